"""Sound and frames out of any video, and videos with sound back in (PyAV, which brings its own FFmpeg).

Time 0 is where the file begins, for its sound and its pictures alike, so they stay together even where one
track starts late. Sound is float32, mono, (L,), nominally within [-1, 1]; frames are uint8 RGB, (P, H, W, 3).
Every error is a ``MediaError``: one line that names the file and says what to do. Files appear whole or not
at all. Used by every module that touches a video, and by notebooks 01 and 05.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr
from av.video.reformatter import VideoReformatter
from PIL import Image

from avsep_lib import decoding
from avsep_lib.decoding import MediaError
from avsep_lib.files import atomic

_AAC_RATES_HZ = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_AAC_BITS_PER_SAMPLE = 5  # 40 to 50 dB over the coding noise; the codec's own choice leaves 25 dB
_PADDING = 4096  # samples: more than any codec adds behind the last one to fill its block
_FRAME_SUFFIXES = (".jpg", ".jpeg", ".png")
_LAYOUTS = {1: "mono", 2: "stereo"}


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
    with decoding.opened(path) as container:
        sound, picture = decoding.track(container, "audio"), decoding.track(container, "video")
        if sound is None and picture is None:
            raise MediaError(f"{path}: holds neither sound nor pictures; give a video or sound file")
        height, width, fps = 0, 0, 0.0
        if picture is not None:
            height, width = picture.height, picture.width
            fps = float(picture.average_rate or picture.guessed_rate or 0)
            first = next(decoding.decoded(container, picture, []), None)  # only a frame knows how it is turned
            if first is not None and first.rotation % 180:
                height, width = width, height
        rate, channels = (sound.codec_context.sample_rate, sound.codec_context.channels) if sound else (0, 0)
        return MediaInfo(decoding.duration_s(container), fps, height, width, rate, channels)


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
    return np.concatenate(list(audio_blocks(path, sample_rate_hz)))


def audio_blocks(path: str | Path, sample_rate_hz: int, channels: int = 0) -> Iterator[np.ndarray]:
    """:func:`read_audio` in blocks as they are decoded, so that sound of any length fits into memory.

    Parameters
    ----------
    path, sample_rate_hz : as in :func:`read_audio`
    channels : int
        0 mixes down to one. The number that :func:`probe` tells keeps them apart.

    Yields
    ------
    float32 array, shape (n,) or (n, channels)
        None is empty. The same errors and warnings come, those about its end only there.
    """
    faults: list[str] = []
    with decoding.opened(path) as container:
        stream = decoding.track(container, "audio")
        if stream is None:
            raise MediaError(f"{path}: has no sound track; choose a video with sound")
        promised_s = decoding.promised_s(container, stream)
    length, count, behind = round(promised_s * sample_rate_hz), 0, []
    with decoding.opened(path) as container:  # again, since looking for the end may have walked there
        pieces = decoding.sound_pieces(container, decoding.track(container, "audio"), faults, channels)
        for block in decoding.resampled(pieces, sample_rate_hz, channels):
            kept = block[: max(length - count, 0)]
            count += len(block)
            if count > length + _PADDING:  # more than padding: it is sound, whatever the header says
                kept, behind = np.concatenate([*behind, block]), []
            elif len(kept) < len(block):
                behind.append(block[len(kept) :])
            if len(kept):
                yield kept
    if not count:
        raise MediaError(f"{path}: no sound of it can be decoded; get the file again")
    if not length:  # a header that promises nothing is not believed
        yield from behind
    if count < length - sample_rate_hz:
        faults.append(f"its sound ends at {count / sample_rate_hz:.1f} s of {promised_s:.1f} s")
    decoding.warn(path, faults)


def read_frames(
    path: str | Path, times_s: Sequence[float], short_side_px: int, *, directory_fps: float = 8
) -> np.ndarray:
    """The pictures that are shown at some times.

    Parameters
    ----------
    path : path of a video, of a directory of numbered jpg or png frames (as Sound of Pixels has them), or of one
        jpg or png, which is shown all the time
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
    times = _checked_times(path, times_s)
    order = np.argsort(times, kind="stable")
    pictures: list[np.ndarray] = [None] * len(times)
    for i, picture in zip(
        order, frames_at(path, times[order], short_side_px, directory_fps=directory_fps), strict=True
    ):
        pictures[i] = picture
    return np.stack(pictures)


def frames_at(
    path: str | Path, times_s: Sequence[float], short_side_px: int, *, directory_fps: float = 8
) -> Iterator[np.ndarray]:
    """:func:`read_frames` one by one, in a single walk through the video; the times must not fall.

    Yields
    ------
    uint8 array, shape (H, W, 3)
        Where two times show the same picture, the same array comes twice: do not change it.
    """
    times = _checked_times(path, times_s)
    if (np.diff(times) < 0).any():
        raise MediaError(f"{path}: times_s must not fall when pictures are read one by one; sort them")
    if os.path.isdir(path):
        yield from _directory_frames(Path(path), times, short_side_px, directory_fps)
        return
    if Path(path).suffix.lower() in _FRAME_SUFFIXES and os.path.isfile(path):
        yield from [_still(Path(path), short_side_px)] * len(times)
        return
    last, size, scale = None, None, VideoReformatter()
    for frame in _shown(path, times):
        if frame is not last:
            size = size or _scaled(frame.height, frame.width, short_side_px)  # once: a video may change its size
            height, width = size
            small = scale.reformat(frame, width, height, "rgb24", interpolation="BICUBIC", threads=1)
            last, picture = frame, np.rot90(small.to_ndarray(), k=round(frame.rotation / 90))
        yield picture


def planes_at(path: str | Path, times_s: Sequence[float], short_side_px: int) -> Iterator[tuple[np.ndarray, ...]]:
    """:func:`frames_at` as an encoder takes them, which spares the way over RGB and back.

    Yields
    ------
    tuple of three uint8 arrays, shapes (H, W), (H / 2, W / 2), (H / 2, W / 2)
        Luma from 16 (black) to 235, and two chromas around 128, by ITU-R BT.601; H and W are even.
    """
    times, last, size, scale = _checked_times(path, times_s), None, None, VideoReformatter()
    for frame in _shown(path, times):
        if frame is not last:
            size = size or [2 * math.ceil(side / 2) for side in _scaled(frame.height, frame.width, short_side_px)]
            height, width = size
            small = scale.reformat(
                frame, width, height, "yuv420p", dst_colorspace="ITU601", dst_color_range="MPEG",
                interpolation="BILINEAR", threads=1,
            )  # fmt: skip
            turns = round(frame.rotation / 90)
            last, planes = frame, tuple(np.rot90(plane, turns) for plane in _planes(small.to_ndarray()))
        yield planes


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
    sound = None if audio is None else np.asarray(audio, np.float32)
    if sound is not None and (sound.ndim > 2 or sound[:1].size not in _LAYOUTS):
        raise MediaError(f"{path}: sound must have shape (L,), (L, 1) or (L, 2), not {sound.shape}")
    channels = 0 if sound is None else sound[:1].size
    done = 0  # samples
    with video_writer(path, fps, sample_rate_hz, channels) as film:
        for i, frame in enumerate(frames):
            film.show(frame)
            if sound is not None:  # side by side, so that neither waits in memory for the other
                upto = round((i + 1) / film.fps * sample_rate_hz)
                film.play(sound[done:upto])
                done = upto
        if sound is not None:
            film.play(sound[done:])


@contextmanager
def video_writer(
    path: str | Path, fps: float, sample_rate_hz: int = 0, channels: int = 1, kept: bool = False
) -> Iterator["Film"]:
    """:func:`write_video` picture by picture and block by block: what is given to the :class:`Film` is written.

    The file appears when the block ends well, and not at all when it does not.

    Parameters
    ----------
    path, fps, sample_rate_hz : as in :func:`write_video`
    channels : int
        1 or 2; 0 for a silent film.
    kept : bool
        For what is kept to train on: the sound is FLAC (16 bits) at its own rate instead of AAC, and the pictures are
        coded with more effort, to two thirds of the size.
    """
    own_rate = kept or sample_rate_hz in _AAC_RATES_HZ
    rate = (sample_rate_hz if own_rate else 48_000) if channels else 1000
    with container_writer(path, rate) as container:
        fps = Fraction(fps).limit_denominator(1001)
        film = Film(path, container, fps, sample_rate_hz, rate, channels, kept)
        yield film
        film.end()


@contextmanager
def container_writer(path: str | Path, clock_hz: int = 1000) -> Iterator[av.container.OutputContainer]:
    """An empty MP4 file to put tracks into, by PyAV; it appears when the block ends well.

    The file notes the length of each track in ticks of its clock: at the rate of the sound, it is exact.
    """
    with atomic(path) as part:
        try:
            options = {"movie_timescale": str(clock_hz)}
            with av.open(str(part.absolute()), "w", format="mp4", options=options) as container:
                yield container
        except av.FFmpegError as error:
            raise _refused(path, error.strerror) from error


class Film:
    """A video that is being written; :func:`video_writer` makes one."""

    def __init__(self, path, container, fps, given_rate, rate, channels, kept=False):
        self.path, self.container, self.fps, self.rate, self.channels = path, container, fps, rate, channels
        self.kept = kept
        self.pictures, self.samples, self.first, self.sound_track = 0, 0, None, None
        self.resampler = soxr.ResampleStream(given_rate, rate, channels) if channels and given_rate != rate else None

    def show(self, picture: np.ndarray | tuple[np.ndarray, ...]) -> None:
        """Add a picture: RGB (H, W, 3), or planes as :func:`planes_at` gives them."""
        planes = isinstance(picture, tuple)
        shape, kind = (picture[0].shape, np.uint8) if planes else (picture.shape, picture.dtype)
        self.first = self.first or f"{kind} {shape}"
        if kind != np.uint8 or f"{kind} {shape}" != self.first or not (planes or shape[2:] == (3,)):
            found = f"frame {self.pictures} is {kind} {shape}, the first {self.first}"
            raise MediaError(f"{self.path}: {found}; frames must be uint8 (H, W, 3), all of one size")
        if planes:
            packed = np.concatenate([plane.ravel() for plane in picture]).reshape(-1, shape[1])
            frame = av.VideoFrame.from_ndarray(packed, format="yuv420p")
        else:
            frame = av.VideoFrame.from_ndarray(_even(picture), format="rgb24")
        if not self.pictures:
            self.picture_track = _picture_track(self.container, frame, self.fps, self.kept)
            if self.channels:
                self.sound_track = _sound_track(self.container, self.rate, self.channels, self.kept)
        frame.pts, frame.time_base = self.pictures, 1 / self.fps
        self.pictures += 1
        self.container.mux(self.picture_track.encode(frame))

    def play(self, samples: np.ndarray) -> None:
        """Add sound: float (n,) or (n, channels). The first picture must be there already."""
        _check_finite(self.path, samples)
        samples = np.asarray(samples, np.float32).reshape(-1, self.channels)
        self._encode(samples if self.resampler is None else self.resampler.resample_chunk(samples))

    def end(self) -> None:
        """Write what the codecs still hold."""
        if not self.pictures:
            raise MediaError(f"{self.path}: there is no frame to write; give at least one")
        self.container.mux(self.picture_track.encode(None))
        if self.sound_track is not None:
            if self.resampler is not None:
                self._encode(self.resampler.resample_chunk(np.zeros((0, self.channels), np.float32), last=True))
            self.container.mux(self.sound_track.encode(None))

    def _encode(self, samples):
        """Encode a block of sound (n, channels)."""
        if len(samples):
            samples = np.ascontiguousarray(samples.T)
            block = av.AudioFrame.from_ndarray(samples, format="fltp", layout=_LAYOUTS[self.channels])
            block.sample_rate, block.pts, block.time_base = self.rate, self.samples, Fraction(1, self.rate)
            self.samples += samples.shape[1]
            self.container.mux(self.sound_track.encode(block))


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
    with audio_writer(path, sample_rate_hz, 1 if np.ndim(audio) == 1 else np.shape(audio)[1]) as write:
        write(audio)


@contextmanager
def audio_writer(
    path: str | Path, sample_rate_hz: int, channels: int = 1, large: bool = False
) -> Iterator[Callable[[np.ndarray], None]]:
    """:func:`write_audio` block by block: gives a function that appends samples, float (n,) or (n, channels).

    The file appears when the block ends well, and not at all when it does not. A ``large`` one may exceed the 4 GB of
    plain WAV: it is RF64, which most programs read as WAV.
    """

    def write(samples: np.ndarray) -> None:
        _check_finite(path, samples)
        try:
            file.write(np.asarray(samples, np.float32))
        except (soundfile.SoundFileError, OSError) as error:
            raise _refused(path, error) from error

    with atomic(path) as part:
        try:
            file = soundfile.SoundFile(
                part, "w", sample_rate_hz, channels, subtype="FLOAT", format="RF64" if large else "WAV"
            )
        except (soundfile.SoundFileError, OSError) as error:
            raise _refused(path, error) from error
        with file:
            yield write


# Reading


def _checked_times(path, times_s):
    """Times as an array, refused where they are none."""
    times = np.asarray(times_s, dtype=float)
    if times.ndim != 1 or not times.size or not np.isfinite(times).all():
        raise MediaError(f"{path}: times_s must be a list of finite seconds, not {times_s!r}")
    return times


def _shown(path, times_s):
    """The decoded frame that is shown at each of some rising times."""
    faults: list[str] = []
    with decoding.opened(path) as container:
        stream = decoding.track(container, "video")
        if stream is None:
            raise MediaError(f"{path}: has no picture track; choose a video with pictures")
        walk = decoding.Walk(container, stream, faults)
        for time_s in times_s:
            frame = walk.to(time_s)
            if frame is None:
                raise MediaError(f"{path}: no frame of it can be decoded; get the file again")
            decoding.check_shape(path, frame.height, frame.width)
            yield frame
    decoding.warn(path, faults)


def _planes(packed):
    """Views of the three planes of a picture as PyAV packs them: (3 H / 2, W) -> (H, W), two of (H / 2, W / 2)."""
    width, flat = packed.shape[1], packed.reshape(-1)
    luma, *chromas = np.split(flat, [flat.size * 2 // 3, flat.size * 5 // 6])
    return luma.reshape(-1, width), *(chroma.reshape(-1, width // 2) for chroma in chromas)


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
    positions = np.floor((times_s + decoding.TIME_TOLERANCE_S) * fps).clip(0, len(files) - 1).astype(int)
    last = None
    for position in positions:
        if position != last:
            last, picture = position, _still(files[position], short_side_px)
        yield picture


def _still(file, short_side_px):
    """One picture file as RGB."""
    try:
        with Image.open(file) as image:
            decoding.check_shape(file, image.height, image.width)
            height, width = _scaled(image.height, image.width, short_side_px)
            image.draft("RGB", (width, height))  # a jpg is decoded at a fraction of its size where that is enough
            return np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC))
    except MediaError:
        raise
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise MediaError(f"{file}: is not a picture, or was cut off ({error}); extract it again") from error


# Writing


def _refused(path, reason):
    """The error of a file that cannot be written."""
    return MediaError(f"{path}: cannot be written ({reason}); check disk and folder")


def _check_finite(path, audio):
    """Refuse sound with NaN or infinity."""
    if not np.isfinite(audio).all():
        raise MediaError(f"{path}: its sound holds NaN or infinity; look for the cause where it was computed")


def _picture_track(container, first, fps, kept):
    """H.264 pictures with a key frame every second and none that looks ahead: made for jumping about."""
    # One thread: the same pictures then give the same bytes, however many cores there are.
    options = {"preset": "veryfast" if kept else "ultrafast", "crf": "23", "bf": "0", "threads": "1"}
    track = container.add_stream("libx264", rate=fps, options=options)
    track.height, track.width = first.height, first.width
    track.pix_fmt, track.gop_size = "yuv420p", max(1, int(fps))
    return track


def _sound_track(container, rate, channels, kept):
    """FLAC, or AAC by the quick coder where it is exact: above 24 kHz it blurs the blocks that hold an attack."""
    if kept:
        return container.add_stream("flac", rate=rate, layout=_LAYOUTS[channels])
    options = {"aac_coder": "fast" if rate <= 24_000 else "twoloop", "aac_tns": "0"}
    track = container.add_stream("aac", rate=rate, layout=_LAYOUTS[channels], options=options)
    track.bit_rate = _AAC_BITS_PER_SAMPLE * rate * channels
    return track


def _even(frame):
    """A frame with even sides; the last row or column stands twice where one is missing."""
    if frame.ndim != 3 or not (frame.shape[0] % 2 or frame.shape[1] % 2):
        return frame
    return np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
