"""What PyAV makes of a file, piece by piece: its tracks, its sound in mono blocks, its frames in order.

Damage is noted in a list of ``faults`` and skipped; FFmpeg's errors come out as a ``MediaError``. Used through
``media`` by every module that touches a video.
"""

import math
import os
import warnings
from bisect import bisect_right
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

import av
import numpy as np
import soxr

from avsep_lib.settings import StudyError

_SOUND_GAP_S = 0.05  # a hole in the time stamps longer than this was sound once; shorter ones are rounding
TIME_TOLERANCE_S = 0.001  # Matroska rounds time stamps to 1 ms, so frame i may stand just behind i / fps
_REORDER_FRAMES = 4  # an index may list a key frame by its decoding time, earlier than it is shown
_BLIND_SEEK_S = 5.0  # in a file without an index, walk as far as this rather than jump
_RATES_HZ = 1000, 1_000_000  # of sound; outside, a header is broken, and resampling would fill the memory
_MOST_CHANNELS = 8  # in planes of their own: PyAV 18 reads beyond the memory of more
_LONGEST_GAP_S = 4 * 3600  # a longer hole is a broken time stamp
_SILENCE_S = 10  # of a hole in one block
LARGEST_PX = 8192 * 8192  # of a picture; FFmpeg refuses larger ones before it makes room for them
_NARROWEST = 20  # long side of a picture by its short side
_OPTIONS = {"protocol_whitelist": "file", "pattern_type": "none", "max_pixels": str(LARGEST_PX)}
_LISTS = {"hls", "concat", "sdp", "dash", "rtsp", "rtp", "imf"}  # name other files, and so lead anywhere


class MediaError(StudyError):
    """A sound or video file that cannot be read or written; the message names it and says what to do."""


@contextmanager
def opened(path):
    """The container of a file, with FFmpeg's errors told in our words."""
    path = Path(path)
    if not os.path.isfile(path):  # of os, which says no where pathlib raises: a name too long, a loop of links
        there = os.path.exists(path)
        what = "is not a file; give a video or sound file" if there else "does not exist; check the path"
        raise MediaError(f"{path}: {what}")
    if path.stat().st_size == 0:
        raise MediaError(f"{path}: is empty (0 bytes); get the file again")
    try:
        # An absolute name never looks like a protocol ("http:..."), which FFmpeg would follow.
        with av.open(str(path.absolute()), options=_OPTIONS, metadata_errors="replace") as container:
            if _LISTS & set(container.format.name.split(",")):
                raise MediaError(f"{path}: is a list of other files ({container.format.name}); give a video itself")
            yield container
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        message = f"{path}: is not a media file, or was cut off ({reason}); get it again"
        raise MediaError(message) from error


def track(container, kind):
    """The first track of a kind that can be decoded, or None; a cover picture is no picture track."""
    cover = av.stream.Disposition.attached_pic
    tracks = (s for s in container.streams if s.type == kind and s.codec_context is not None)
    found = next((s for s in tracks if kind == "audio" or not s.disposition & cover), None)
    if found is not None and kind == "video" and not found.codec_context.is_open:
        found.codec_context.options = {"max_pixels": str(LARGEST_PX)}
    return found


def check_shape(path, height, width):
    """Refuse pictures so narrow that their long side would fill the memory when the short one is brought to size."""
    if max(height, width) > _NARROWEST * min(height, width):
        raise MediaError(f"{path}: has pictures of {width} x {height} px; get the file again")


def _origin_s(container):
    """Where the file's own clock stands at our time 0; before 0 runs only the codec's run-in."""
    return max(0.0, (container.start_time or 0) / av.time_base)


def duration_s(container):
    """Length in seconds, from the packets where the header does not know it (recordings of a browser)."""
    if container.duration:
        return container.duration / av.time_base
    container.seek(0)
    end_s = 0.0
    with suppress(IndexError):  # a damaged file may gain tracks while it is read, which PyAV does not expect
        for packet in container.demux():
            if packet.pts is not None:
                end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return max(0.0, end_s - _origin_s(container))


def promised_s(container, stream):
    """When the header says that a track ends, from our time 0."""
    if not stream.duration:
        return duration_s(container)
    start_s = float((stream.start_time or 0) * stream.time_base) - _origin_s(container)
    return max(0.0, start_s) + float(stream.duration * stream.time_base)


def decoded(container, stream, faults):
    """Frames of a track; what cannot be decoded is noted and skipped."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            frames = packet.decode() if packet is not None else None
        except av.FFmpegError as error:
            what = "its sound is" if stream.type == "audio" else "its pictures are"
            faults.append(f"{what} damaged ({error.strerror})")
            continue
        except IndexError:  # a damaged file may gain tracks while it is read, which PyAV does not expect
            faults.append("its tracks change in the middle")
            return
        if frames is None:
            return
        yield from frames


def warn(path, faults):
    """One warning for all that was wrong with a file."""
    if faults:
        more = f", and {len(faults) - 1} more faults" if len(faults) > 1 else ""
        warnings.warn(f"{path}: {faults[0]}{more}; went on with the rest", stacklevel=3)


def sound_pieces(container, stream, faults, channels=0):
    """(rate, block) in order, with silence for what is missing, so that sound stays with picture.

    Blocks are mono, (n,), or with ``channels`` all of these, (n, channels).
    """
    shape = (channels,) if channels else ()
    end_s = _origin_s(container)
    longest_s = min((container.duration or 0) / av.time_base, _LONGEST_GAP_S)
    for frame in decoded(container, stream, faults):
        gap_s = 0.0 if frame.time is None else frame.time - end_s
        if frame.format.is_planar and frame.layout.nb_channels > _MOST_CHANNELS:
            if stream.codec_context.channels > _MOST_CHANNELS:
                many = f"has sound of {frame.layout.nb_channels} channels"
                raise MediaError(f"{container.name}: {many}; mix it down to {_MOST_CHANNELS} or fewer")
            faults.append("its sound is damaged (channels that are not there)")
            continue
        if not _RATES_HZ[0] <= frame.sample_rate <= _RATES_HZ[1]:
            raise MediaError(f"{container.name}: has sound at {frame.sample_rate} Hz; get the file again")
        if _SOUND_GAP_S < gap_s <= longest_s:  # a hole longer than the file is a broken time stamp
            missing = round(gap_s * frame.sample_rate)
            for done in range(0, missing, _SILENCE_S * frame.sample_rate):
                size = min(_SILENCE_S * frame.sample_rate, missing - done)
                yield frame.sample_rate, np.zeros((size, *shape), np.float32)
            end_s += gap_s
        block = _samples(frame)
        if not channels:
            block = block.mean(axis=1)
        elif block.shape[1] != channels:  # a file may change in the middle
            block = np.repeat(block.mean(axis=1, keepdims=True), channels, axis=1)
        yield frame.sample_rate, block
        end_s += frame.samples / frame.sample_rate


def _samples(frame):
    """A decoded block as float32 (n, C), whatever its sample format."""
    samples = frame.to_ndarray()  # (C, n) planar, (1, n * C) packed
    samples = samples.T if frame.format.is_planar else samples.reshape(frame.samples, -1)
    if samples.dtype.kind == "f":
        return samples.astype(np.float32, copy=False)
    full = 2.0 ** (8 * samples.itemsize - 1)
    return ((samples - full * (samples.dtype.kind == "u")) / full).astype(np.float32)


def resampled(pieces, sample_rate_hz, channels=0):
    """Blocks of :func:`sound_pieces` at one rate, one by one, so that only the result is held in memory."""
    nothing = np.zeros((0, channels) if channels else 0, np.float32)
    resampler, current = None, None
    for rate, samples in chain(pieces, [(None, nothing)]):
        if rate != current and resampler is not None:
            yield resampler.resample_chunk(nothing, last=True)
        if rate != current and rate is not None:
            resampler, current = _resampler(rate, sample_rate_hz, channels), rate
        if rate is not None:
            yield samples if resampler is None else resampler.resample_chunk(samples)


def _resampler(rate, sample_rate_hz, channels):
    """What brings blocks to a rate; None where they have it, so that they stay as they are."""
    if rate == sample_rate_hz:
        return None
    return soxr.ResampleStream(rate, sample_rate_hz, max(channels, 1), dtype="float32")


class Walk:
    """Forward through the frames of a video, with a jump to a later key frame where that saves decoding."""

    def __init__(self, container, stream, faults):
        self.container, self.stream, self.faults = container, stream, faults
        self.origin_s = _origin_s(container)
        self.keys_s = _key_times_s(container, stream)
        self.margin_s = _REORDER_FRAMES / float(stream.average_rate or 25)
        self._start()

    def _start(self, key_s=None):
        """Decode from the key frame at or before a time; without one, from where the file stands."""
        if key_s is not None:
            with suppress(av.FFmpegError):
                self.container.seek(int(key_s / self.stream.time_base), stream=self.stream)
        self.frames = decoded(self.container, self.stream, self.faults)
        self.shown, self.coming = None, next(self.frames, None)

    def to(self, time_s):
        """The frame shown at a time that is not before the one asked for last; None if there is no frame."""
        clock_s = time_s + self.origin_s + TIME_TOLERANCE_S
        key_s = self._key_before(clock_s)
        if self.coming is not None and key_s > _clock_s(self.coming):
            self._start(key_s)
            if self.coming is None or _clock_s(self.coming) > clock_s:  # the index is wrong: walk all the way
                self.keys_s = [-math.inf]
                self._start(0.0)
        while self.coming is not None and _clock_s(self.coming) <= clock_s:
            self.shown, self.coming = self.coming, next(self.frames, None)
        return self.shown if self.shown is not None else self.coming

    def _key_before(self, clock_s):
        """Time of a key frame that surely comes before a time."""
        if not self.keys_s:
            return clock_s - _BLIND_SEEK_S
        return self.keys_s[max(0, bisect_right(self.keys_s, clock_s - self.margin_s) - 1)]


def _key_times_s(container, stream):
    """Clock times of the key frames; empty where the index is not at hand at once (Matroska, MPEG-TS)."""
    entries = stream.index_entries
    if not len(entries) or entries[-1].timestamp * stream.time_base < duration_s(container) / 2:
        return []
    return [float(entry.timestamp * stream.time_base) for entry in entries if entry.is_keyframe]


def _clock_s(frame):
    """When a frame is shown, on the file's own clock."""
    return frame.time if frame.time is not None else 0.0
