"""Sound and frames out of any video, and videos with sound back in (PyAV, which brings its own FFmpeg).

Time 0 is where the file begins, for its sound and its pictures alike, so they stay together even where one
track starts late. Sound is float32, mono, (L,), nominally within [-1, 1]; frames are uint8 RGB, (P, H, W, 3).
Every error is a ``MediaError``: one line that names the file and says what to do. Files appear whole or not
at all. Used by every module that touches a video, and by notebooks 01 and 05.
"""

import math
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr
from PIL import Image

from avsep_lib.files import atomic
from avsep_lib.settings import StudyError

_AAC_RATES_HZ = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_AAC_BITS_PER_SAMPLE = 5  # 40 to 50 dB over the coding noise; the codec's own choice leaves 25 dB
_PADDING = 4096  # samples: more than any codec adds behind the last one to fill its block
_SOUND_GAP_S = 0.05  # a hole in the time stamps longer than this was sound once; shorter ones are rounding
_TIME_TOLERANCE_S = 0.001  # Matroska rounds time stamps to 1 ms, so frame i may stand just behind i / fps
_REORDER_FRAMES = 4  # an index may list a key frame by its decoding time, earlier than it is shown
_BLIND_SEEK_S = 5.0  # in a file without an index, walk as far as this rather than jump
_FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")
_LAYOUTS = {1: "mono", 2: "stereo"}


class MediaError(StudyError):
    """A sound or video file that cannot be read or written; the message names it and says what to do."""


@dataclass(frozen=True)
class MediaInfo:
    """What a file holds. Rates, sizes and counts are 0 where there is no such track."""

    duration_s: float
    fps: float
    height_px: int
    width_px: int
    sample_rate_hz: int
    channels: int


def probe(path: str | Path) -> MediaInfo:
    """Length, rates and size of a sound or video file.

    Parameters
    ----------
    path : path of the file

    Returns
    -------
    MediaInfo
        ``height_px`` and ``width_px`` are those of the upright picture: a phone's portrait video is tall.

    Raises
    ------
    MediaError
        If the file is missing, empty, no media file, or holds neither sound nor pictures. Usual cause: a
        download or a rendering that was cut off.
    """
    with _opened(path) as container:
        sound, picture = _track(container, "audio"), _track(container, "video")
        if sound is None and picture is None:
            raise MediaError(f"{path}: holds neither sound nor pictures; give a video or sound file")
        height, width, fps = 0, 0, 0.0
        if picture is not None:
            height, width = picture.height, picture.width
            fps = float(picture.average_rate or picture.guessed_rate or 0)
            first = next(_decoded(container, picture, []), None)  # only a frame knows how it is turned
            if first is not None and first.rotation % 180:
                height, width = width, height
        rate, channels = (sound.codec_context.sample_rate, sound.codec_context.channels) if sound else (0, 0)
        return MediaInfo(_duration_s(container), fps, height, width, rate, channels)


def read_audio(path: str | Path, sample_rate_hz: int) -> np.ndarray:
    """The whole sound of a video or sound file, mixed down to one channel.

    Parameters
    ----------
    path : path of a video, or of a sound file (wav, flac, mp3, ...)
    sample_rate_hz : rate of the result in Hz

    Returns
    -------
    float32 array, shape (L,)
        Mean of the channels; sample i sounds ``i / sample_rate_hz`` seconds after the file begins. What the
        codec added in front or behind is gone.

    Raises
    ------
    MediaError
        If the file is missing, empty, broken, has no sound track, or none of it can be decoded.

    Warns
    -----
    UserWarning
        If a part is damaged: it is silent here, or missing at the end of a file that was cut off.
    """
    faults: list[str] = []
    with _opened(path) as container:
        stream = _track(container, "audio")
        if stream is None:
            raise MediaError(f"{path}: has no sound track; choose a video with sound")
        audio = np.concatenate(list(_resampled(_pieces(container, stream, faults), sample_rate_hz)))
        promised_s = _promised_s(container, stream)
    if not audio.size:
        raise MediaError(f"{path}: no sound of it can be decoded; get the file again")
    length = round(promised_s * sample_rate_hz)
    if length < len(audio) <= length + _PADDING:
        audio = audio[:length]
    elif len(audio) < length - sample_rate_hz:
        faults.append(f"its sound ends at {len(audio) / sample_rate_hz:.1f} s of {promised_s:.1f} s")
    _warn(path, faults)
    return audio


def read_frames(
    path: str | Path, times_s: Sequence[float], short_side_px: int, *, directory_fps: float = 8
) -> np.ndarray:
    """The pictures that are shown at some times.

    Parameters
    ----------
    path : path of a video, or of a directory of numbered jpg or png frames (as Sound of Pixels has them)
    times_s : P times in seconds from the beginning, in any order; one behind the end gives the last frame
    short_side_px : length of the shorter side of the result; the aspect is kept
    directory_fps : frames per second of a directory, whose first one is shown at time 0

    Returns
    -------
    uint8 array, shape (P, H, W, 3)
        RGB, upright, in the order of ``times_s``.

    Raises
    ------
    MediaError
        If the file is missing, empty, broken, has no picture track or no frame that can be decoded, or if
        there is no time or one is not finite.

    Warns
    -----
    UserWarning
        If damaged frames were skipped; the frame before stands in for them.
    """
    times = np.asarray(times_s, dtype=float)
    if times.ndim != 1 or not times.size or not np.isfinite(times).all():
        raise MediaError(f"{path}: times_s must be a list of finite seconds, not {times_s!r}")
    if Path(path).is_dir():
        return _directory_frames(Path(path), times, short_side_px, directory_fps)
    faults: list[str] = []
    pictures: list[np.ndarray] = [None] * len(times)
    with _opened(path) as container:
        stream = _track(container, "video")
        if stream is None:
            raise MediaError(f"{path}: has no picture track; choose a video with pictures")
        walk, last = _Walk(container, stream, faults), None
        height, width = _scaled(stream.height, stream.width, short_side_px)
        for i in np.argsort(times, kind="stable"):
            frame = walk.to(times[i])
            if frame is None:
                raise MediaError(f"{path}: no frame of it can be decoded; get the file again")
            if frame is not last:
                small = frame.reformat(width, height, "rgb24", interpolation="BICUBIC")
                last, picture = frame, np.rot90(small.to_ndarray(), k=round(frame.rotation / 90))
            pictures[i] = picture
    _warn(path, faults)
    return np.stack(pictures)


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: float,
    audio: np.ndarray | None,
    sample_rate_hz: int,
) -> None:
    """Write an MP4 file (H.264 and AAC) that every browser plays; it appears whole or not at all.

    Parameters
    ----------
    path : path of the file; missing folders are made
    frames : uint8 RGB arrays of one shape (H, W, 3); a generator is read one by one and may be of any length.
        An odd height or width gains one row or column, as the format demands.
    fps : frames per second
    audio : float array, shape (L,) or (L, C) with C = 1 or 2, within [-1, 1]; None for a silent film
    sample_rate_hz : rate of ``audio`` in Hz; one that AAC does not know is raised to 48 kHz

    Raises
    ------
    MediaError
        If there is no frame, the frames differ in shape or type, the sound is not finite or has more than two
        channels, or the disk refuses. What ``frames`` raises passes through. No file is left behind.
    """
    sound, rate = (None, 1000) if audio is None else _encodable(path, audio, sample_rate_hz)
    # The file notes the length of each track in ticks of this clock: in samples, it is exact.
    options = {"movie_timescale": str(rate)}
    with atomic(path) as part:
        try:
            with av.open(str(part.absolute()), "w", format="mp4", options=options) as container:
                _encode(path, container, frames, Fraction(fps).limit_denominator(1001), sound, rate)
        except av.FFmpegError as error:
            raise MediaError(f"{path}: cannot be written ({error.strerror}); check disk and folder") from error


def write_audio(path: str | Path, audio: np.ndarray, sample_rate_hz: int) -> None:
    """Write a WAV file of 32-bit floats; it appears whole or not at all.

    Floats, because whole numbers would round and clip: the written tracks still add up to their mixture.

    Parameters
    ----------
    path : path of the file; missing folders are made
    audio : float array, shape (L,) or (L, C)
    sample_rate_hz : its rate in Hz

    Raises
    ------
    MediaError
        If a sample is not finite, or the disk refuses.
    """
    _check_finite(path, audio)
    with atomic(path) as part:
        try:
            soundfile.write(part, np.asarray(audio, np.float32), sample_rate_hz, subtype="FLOAT", format="WAV")
        except (soundfile.SoundFileError, OSError) as error:
            raise MediaError(f"{path}: cannot be written ({error}); check disk and folder") from error


# Reading


@contextmanager
def _opened(path):
    """The container of a file, with FFmpeg's errors told in our words."""
    path = Path(path)
    if not path.is_file():
        what = "is not a file; give a video or sound file" if path.exists() else "does not exist; check the path"
        raise MediaError(f"{path}: {what}")
    if path.stat().st_size == 0:
        raise MediaError(f"{path}: is empty (0 bytes); get the file again")
    try:
        # An absolute name never looks like a protocol ("http:..."), which FFmpeg would follow.
        with av.open(str(path.absolute()), metadata_errors="replace") as container:
            yield container
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        message = f"{path}: is not a media file, or was cut off ({reason}); get it again"
        raise MediaError(message) from error


def _track(container, kind):
    """The first track of a kind that can be decoded, or None; a cover picture is no picture track."""
    cover = av.stream.Disposition.attached_pic
    tracks = (s for s in container.streams if s.type == kind and s.codec_context is not None)
    return next((s for s in tracks if kind == "audio" or not s.disposition & cover), None)


def _origin_s(container):
    """Where the file's own clock stands at our time 0; before 0 runs only the codec's run-in."""
    return max(0.0, (container.start_time or 0) / av.time_base)


def _duration_s(container):
    """Length in seconds, from the packets where the header does not know it (recordings of a browser)."""
    if container.duration:
        return container.duration / av.time_base
    container.seek(0)
    packets = (packet for packet in container.demux() if packet.pts is not None)
    ends = [float((packet.pts + (packet.duration or 0)) * packet.time_base) for packet in packets]
    return max(0.0, max(ends, default=0.0) - _origin_s(container))


def _promised_s(container, stream):
    """When the header says that a track ends, from our time 0."""
    if not stream.duration:
        return _duration_s(container)
    start_s = float((stream.start_time or 0) * stream.time_base) - _origin_s(container)
    return max(0.0, start_s) + float(stream.duration * stream.time_base)


def _decoded(container, stream, faults):
    """Frames of a track; what cannot be decoded is noted and skipped."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            frames = packet.decode() if packet is not None else None
        except av.FFmpegError as error:
            faults.append(f"damaged ({error.strerror})")
            continue
        if frames is None:
            return
        yield from frames


def _warn(path, faults):
    """One warning for all that was wrong with a file."""
    if faults:
        more = f", and {len(faults) - 1} more faults" if len(faults) > 1 else ""
        warnings.warn(f"{path}: {faults[0]}{more}; went on with the rest", stacklevel=3)


def _pieces(container, stream, faults):
    """(rate, mono block) in order, with silence for what is missing, so that sound stays with picture."""
    end_s, longest_s = _origin_s(container), (container.duration or 0) / av.time_base
    for frame in _decoded(container, stream, faults):
        gap_s = 0.0 if frame.time is None else frame.time - end_s
        if _SOUND_GAP_S < gap_s <= longest_s:  # a hole longer than the file is a broken time stamp
            yield frame.sample_rate, np.zeros(round(gap_s * frame.sample_rate), np.float32)
            end_s += gap_s
        yield frame.sample_rate, _mono(frame)
        end_s += frame.samples / frame.sample_rate


def _mono(frame):
    """Mean of the channels of a decoded block, float32 (n,), whatever its sample format."""
    samples = frame.to_ndarray()  # (C, n) planar, (1, n * C) packed
    if not frame.format.is_planar:
        samples = samples.reshape(frame.samples, -1).T
    mean = samples.mean(axis=0)
    if samples.dtype.kind != "f":
        full = 2.0 ** (8 * samples.itemsize - 1)
        mean = (mean - full * (samples.dtype.kind == "u")) / full
    return mean.astype(np.float32)


def _resampled(pieces, sample_rate_hz):
    """Arrays at one rate, block by block, so that only the result is held in memory."""
    nothing = np.zeros(0, np.float32)
    resampler, current = None, None
    for rate, samples in chain(pieces, [(None, nothing)]):
        if rate != current and resampler is not None:
            yield resampler.resample_chunk(nothing, last=True)
        if rate != current and rate is not None:
            resampler, current = soxr.ResampleStream(rate, sample_rate_hz, 1, dtype="float32"), rate
        yield resampler.resample_chunk(samples) if rate is not None else nothing


class _Walk:
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
        self.frames = _decoded(self.container, self.stream, self.faults)
        self.shown, self.coming = None, next(self.frames, None)

    def to(self, time_s):
        """The frame shown at a time that is not before the one asked for last; None if there is no frame."""
        clock_s = time_s + self.origin_s + _TIME_TOLERANCE_S
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
    if not len(entries) or entries[-1].timestamp * stream.time_base < _duration_s(container) / 2:
        return []
    return [float(entry.timestamp * stream.time_base) for entry in entries if entry.is_keyframe]


def _clock_s(frame):
    """When a frame is shown, on the file's own clock."""
    return frame.time if frame.time is not None else 0.0


def _scaled(height, width, short_side_px):
    """(height, width) with the shorter one as asked for."""
    scale = short_side_px / min(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _directory_frames(folder, times_s, short_side_px, fps):
    """``read_frames`` for a folder of numbered pictures."""
    files = [file for file in folder.iterdir() if file.suffix.lower() in _FRAME_SUFFIXES]
    if not files:
        raise MediaError(f"{folder}: holds no jpg or png frames; extract the frames of this video again")
    files.sort(key=lambda file: (len(file.stem), file.stem))  # 2.jpg comes before 10.jpg
    positions = np.floor((times_s + _TIME_TOLERANCE_S) * fps).clip(0, len(files) - 1).astype(int)
    pictures = {i: _still(files[i], short_side_px) for i in np.unique(positions)}
    return np.stack([pictures[i] for i in positions])


def _still(file, short_side_px):
    """One picture file as RGB."""
    try:
        with Image.open(file) as image:
            height, width = _scaled(image.height, image.width, short_side_px)
            image.draft("RGB", (width, height))  # a jpg is decoded at a fraction of its size where that is enough
            return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))
    except (OSError, SyntaxError) as error:
        raise MediaError(f"{file}: is not a picture, or was cut off ({error}); extract it again") from error


# Writing


def _check_finite(path, audio):
    """Refuse sound with NaN or infinity."""
    if not np.isfinite(audio).all():
        raise MediaError(f"{path}: its sound holds NaN or infinity; look for the cause where it was computed")


def _encodable(path, audio, rate):
    """Sound as AAC takes it, checked: float32 (C, L), and its rate in Hz."""
    sound = np.asarray(audio, np.float32)
    sound = sound[:, None] if sound.ndim == 1 else sound
    if sound.ndim != 2 or sound.shape[1] not in _LAYOUTS:
        raise MediaError(f"{path}: sound must have shape (L,), (L, 1) or (L, 2), not {np.shape(audio)}")
    _check_finite(path, sound)
    if rate not in _AAC_RATES_HZ:
        sound, rate = soxr.resample(sound, rate, 48_000), 48_000
    return sound.T, rate


def _encode(path, container, frames, fps, sound, rate):
    """Encode pictures and sound side by side, so that neither waits in memory for the other."""
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise MediaError(f"{path}: there is no frame to write; give at least one")
    picture_track = _picture_track(container, _even(first), fps)
    sound_track = None if sound is None else _sound_track(container, rate, len(sound))
    done = 0  # samples
    for i, frame in enumerate(chain([first], frames)):
        if frame.shape != first.shape or frame.dtype != np.uint8 or frame.shape[2:] != (3,):
            found = f"frame {i} is {frame.dtype} {frame.shape}, the first {first.dtype} {first.shape}"
            raise MediaError(f"{path}: {found}; frames must be uint8 (H, W, 3), all of one size")
        picture = av.VideoFrame.from_ndarray(_even(frame), format="rgb24")
        picture.pts, picture.time_base = i, 1 / fps
        container.mux(picture_track.encode(picture))
        if sound is not None:
            upto = round((i + 1) / fps * rate)
            done = _encode_sound(container, sound_track, sound[:, done:upto], rate, done)
    container.mux(picture_track.encode(None))
    if sound is not None:
        _encode_sound(container, sound_track, sound[:, done:], rate, done)
        container.mux(sound_track.encode(None))


def _picture_track(container, first, fps):
    """H.264 pictures with a key frame every second and none that looks ahead: made for jumping about."""
    # One thread: the same pictures then give the same bytes, however many cores there are.
    options = {"preset": "ultrafast", "crf": "23", "threads": "1"}
    track = container.add_stream("libx264", rate=fps, options=options)
    track.height, track.width = first.shape[:2]
    track.pix_fmt, track.gop_size = "yuv420p", max(1, int(fps))
    return track


def _sound_track(container, rate, channels):
    """AAC sound, by the quick coder where it is exact: above 24 kHz it blurs the blocks that hold an attack."""
    options = {"aac_coder": "fast" if rate <= 24_000 else "twoloop", "aac_tns": "0"}
    track = container.add_stream("aac", rate=rate, layout=_LAYOUTS[channels], options=options)
    track.bit_rate = _AAC_BITS_PER_SAMPLE * rate * channels
    return track


def _encode_sound(container, track, samples, rate, done):
    """Encode a block of sound (C, n) that begins at sample ``done``; returns where the next one begins."""
    if samples.shape[1]:
        samples = np.ascontiguousarray(samples)
        block = av.AudioFrame.from_ndarray(samples, format="fltp", layout=_LAYOUTS[len(samples)])
        block.sample_rate, block.pts, block.time_base = rate, done, Fraction(1, rate)
        container.mux(track.encode(block))
    return done + samples.shape[1]


def _even(frame):
    """A frame with even sides; the last row or column stands twice where one is missing."""
    if frame.ndim != 3 or not (frame.shape[0] % 2 or frame.shape[1] % 2):
        return frame
    return np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
