"""What the stage in a browser is given: who plays where, their tracks as AAC, a small film, and whose each place is.

The stage itself is ``web/stage.js``: a page of ``report`` and a widget of ``listening`` show the same one.
"""

import io
import itertools
import math
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr
from PIL import Image

from avsep_lib import media
from avsep_lib.duets import Separation
from avsep_lib.plots import player_colours, readable
from avsep_lib.sound_maps import SILENT

WEB = Path(__file__).with_name("web")
PEAK = 0.9
"""Where the loudest of the sounds that are heard together peaks."""

_POINTS = 240  # of a player's waveform
_BLOCK = 1 << 16
_REST = "#8C8C8C"  # the colour of what no player plays
_KBITS_PER_S = 128
_RATES_HZ = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
# From surround in the order of WAV (front left, right, centre, deep, back left, right) to stereo, by ITU-R BS.775.
_TO_STEREO = np.array([[1, 0], [0, 1], [0.71, 0.71], [0, 0], [0.71, 0], [0, 0.71]], np.float32)


def scene(separation: Separation) -> dict:
    """What a stage shows beside sound and pictures, all of it plain numbers and text.

    Returns
    -------
    dict
        ``title``, ``seconds``, ``size`` (width, height in pixels), ``owners`` (``rows``, ``columns``, and ``of``:
        for each place, row by row, the number from 1 of the player whose sound it resembles most, or where it is silent
        of the player whose part it is in).
    """
    owners = _owners(separation)
    height, width = separation.frame.shape[:2]
    return {
        "title": separation.path.name,
        "seconds": soundfile.info(separation.tracks[0]).duration,
        "size": [width, height],
        "owners": {"rows": owners.shape[0], "columns": owners.shape[1], "of": owners.ravel().tolist()},
    }


def cast(separation: Separation) -> tuple[list[dict], float]:
    """The players as a stage shows them, and the gain of their tracks; what is left of the sound comes last.

    Returns
    -------
    players : list of dict
        ``name``, ``colour``, ``confidence`` (None where there is none), ``part``, and ``peaks``: the outline of the
        track, from 0 to 1, where 1 is the loudest of all players.
    gain : float
        The one factor with which neither a track nor their sum exceeds ``PEAK``.
    """
    loudest, peaks = _outlines(separation.tracks)
    top = max(float(peaks.max()), 1e-9)
    colours = player_colours([player.instrument for player in separation.players])
    players = [
        {
            "name": readable(player.instrument),
            "colour": colour,
            "confidence": None if math.isnan(player.confidence) else round(float(player.confidence), 3),
            "part": [round(float(share), 4) for share in player.part],
        }
        for player, colour in zip(separation.players, colours, strict=True)
    ]
    rest = separation.tracks[len(players) :]
    players += [{"name": path.stem, "colour": _REST, "confidence": None, "part": [0, 0, 0, 0]} for path in rest]
    for player, outline in zip(players, peaks, strict=True):
        player["peaks"] = [round(float(peak / top), 3) for peak in outline]
    return players, PEAK / loudest if loudest > 0 else 1.0


def compressed(track: str | Path, gain: float = 1.0) -> bytes:
    """What :func:`compress` writes, for a short sound."""
    with tempfile.TemporaryDirectory(prefix="avsep-") as folder:
        return compress(track, Path(folder) / "sound.m4a", gain).read_bytes()


def compress(track: str | Path, path: Path, gain: float = 1.0) -> Path:
    """Write a sound file as AAC in MP4, which every browser decodes: mono or stereo, at most 48 kHz and 128 kbit/s.

    Parameters
    ----------
    track : str or Path
        Of any length, rate, and number of channels.
    path : Path
        The file to write.
    gain : float

    Raises
    ------
    MediaError
        If the disk refuses.
    """
    info = soundfile.info(track)
    channels, rate = min(info.channels, 2), info.samplerate
    if rate not in _RATES_HZ:
        rate = _RATES_HZ[-1]
    resample = soxr.ResampleStream(info.samplerate, rate, channels) if rate != info.samplerate else None
    done = 0
    with media.container_writer(path) as container:
        stream = container.add_stream("aac", rate=rate, layout="mono" if channels == 1 else "stereo")
        # Slow rates have room for less.
        stream.bit_rate = min(1000 * _KBITS_PER_S, 5 * rate * channels)
        for block in itertools.chain(_blocks(track), [None]):
            if resample is not None:
                block = resample.resample_chunk(
                    np.zeros((0, channels), np.float32) if block is None else block, block is None
                )
            if block is None or not len(block):
                continue
            samples = np.clip(block * np.float32(gain), -1, 1).T
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", stream.layout.name)
            frame.sample_rate, frame.pts = rate, done
            done += samples.shape[1]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def film(separation: Separation) -> bytes:
    """What :func:`write_film` writes, of a short video."""
    with tempfile.TemporaryDirectory(prefix="avsep-") as folder:
        return write_film(separation, Path(folder) / "film.mp4").read_bytes()


def write_film(separation: Separation, path: Path, height_px: int = 360, fps: float = 12.0) -> Path:
    """Write the pictures of the video alone, as a small MP4 (H.264), never larger than the video itself."""
    info = media.probe(separation.path)
    times = np.arange(0, scene(separation)["seconds"], 1 / fps)
    with media.video_writer(path, fps, channels=0) as writer:
        for planes in media.planes_at(separation.path, times, min(height_px, info.height_px, info.width_px)):
            writer.show(planes)
    return path


def picture(separation: Separation, height_px: int = 480) -> bytes:
    """The picture in the middle of the video as a JPEG, never larger than the video itself."""
    info = media.probe(separation.path)
    middle = scene(separation)["seconds"] / 2
    frame = media.read_frames(separation.path, [middle], min(height_px, info.height_px, info.width_px))[0]
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", quality=85)
    return out.getvalue()


def _owners(separation: Separation) -> np.ndarray:
    """The number of the player whom each place belongs to, from 1, int (h, w)."""
    energy, owners = separation.maps.energy, separation.maps.owners.argmax(0) + 1
    rows, columns = ((np.arange(count) + 0.5) / count for count in energy.shape)
    silent = energy < SILENT * energy.max()
    for number, player in enumerate(separation.players, start=1):
        x0, y0, x1, y1 = player.part
        within = ((y0 <= rows) & (rows < y1))[:, None] & ((x0 <= columns) & (columns < x1))
        owners[silent & within] = number
    return owners


def _blocks(track: str | Path) -> Iterator[np.ndarray]:
    """A sound file block by block, float32 (n, 1 or 2)."""
    with soundfile.SoundFile(track) as file:
        for block in file.blocks(_BLOCK, dtype="float32", always_2d=True):
            channels = block.shape[1]
            if channels > 2:
                mix = _TO_STEREO[:channels]
                block = block[:, : len(mix)] @ (mix / mix.sum(0).max())
            yield block


def _outlines(tracks: Sequence[Path]) -> tuple[float, np.ndarray]:
    """The peak of the loudest track or of their sum, and the outline of each track, (N, points)."""
    length = soundfile.info(tracks[0]).frames
    step = max(math.ceil(length / _POINTS), 1)
    peaks, loudest, start = np.zeros((len(tracks), math.ceil(length / step))), 0.0, 0
    with ExitStack() as stack:
        readers = [stack.enter_context(closing(_blocks(track))) for track in tracks]
        for blocks in zip(*readers, strict=True):
            levels = np.abs(np.stack(blocks)).max(-1)  # (N, n)
            loudest = max(loudest, float(np.abs(sum(blocks)).max()), float(levels.max()))
            points = (start + np.arange(levels.shape[1])) // step
            for outline, level in zip(peaks, levels, strict=True):
                np.maximum.at(outline, points, level)
            start += levels.shape[1]
    return loudest, peaks
