"""What came of a duet as videos: one player is heard, the others are dimmed; and all of them side by side.

Used by notebook 05 and ``avsep separate``.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from avsep_lib import media
from avsep_lib.duets import Separation, track_paths
from avsep_lib.watching import Player

SIDE_BY_SIDE = "side_by_side.mp4"
_DIMMED = 0.3  # brightness of the players that are not heard
_BLACK = 16, 128, 128  # of luma and both chromas
_DIM = {black: np.rint(black + _DIMMED * (np.arange(256) - black)).astype(np.uint8) for black in set(_BLACK)}


def write_videos(
    separation: Separation,
    out: str | Path,
    fps: float = 12.0,
    height_px: int = 360,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Path]:
    """One MP4 for each player with only their sound, the others dimmed; and one with all of these side by side.

    Parameters
    ----------
    separation : Separation
    out : str or Path
        Folder for ``<number>_<instrument>.mp4`` and, of several players, ``side_by_side.mp4``, in which each player is
        heard from the side where their picture is.
    fps : float
    height_px : int
        Short side of a player's pictures; never more than that of the video.
    progress : callable, optional
        Called with a label, what is done and how much there is.

    Returns
    -------
    list of Path
        One for each player, then the one with all.

    Raises
    ------
    MediaError
        If the disk refuses. Usual cause: it is full.

    Notes
    -----
    The video is walked through once for all, and each film is encoded in a thread of its own. Sound keeps the tracks'
    rate where AAC knows it, and one or two channels; more are mixed down to one.
    """
    players = separation.players
    info, rate = media.probe(separation.path), media.probe(separation.tracks[0]).sample_rate_hz
    short_side_px = min(height_px, info.height_px, info.width_px)
    paths = [path.with_suffix(".mp4") for path in track_paths(players, out)]
    sounds = [_sound(track) for track in separation.tracks[: len(players)]]
    channels = [count for _, count in sounds]
    blocks = [block for block, _ in sounds]
    if len(players) > 1:
        paths.append(Path(out) / SIDE_BY_SIDE)
        blocks.append(_panned([_sound(track)[0] for track in separation.tracks[: len(players)]]))
        channels.append(2)
    times = np.arange(0, separation.samples / separation.sample_rate_hz, 1 / fps)
    with ExitStack() as stack:
        films = [
            stack.enter_context(media.video_writer(path, fps, rate, count))
            for path, count in zip(paths, channels, strict=True)
        ]
        threads = stack.enter_context(ThreadPoolExecutor(len(films)))

        def add(film: media.Film, sound: Iterator[np.ndarray], picture: tuple[np.ndarray, ...], end_s: float) -> None:
            film.show(picture)
            while film.samples < end_s * film.rate and (block := next(sound, None)) is not None:
                film.play(block)

        ends_s = [*times[1:], math.inf]
        for n, (end_s, planes) in enumerate(
            zip(ends_s, media.planes_at(separation.path, times, short_side_px), strict=True)
        ):
            dark = [np.take(_DIM[black], plane) for black, plane in zip(_BLACK, planes, strict=True)]
            pictures = [_lit(planes, dark, player) for player in players]
            if len(players) > 1:
                pictures.append(_beside(pictures))
            list(threads.map(add, films, blocks, pictures, itertools.repeat(end_s)))
            if progress:
                progress("pictures drawn", n + 1, len(times))
    return paths


def _sound(track: Path) -> tuple[Iterator[np.ndarray], int]:
    """The sound of a track as a film takes it, in blocks (n,) or (n, 2), and its channels."""
    info = media.probe(track)
    channels = 2 if info.channels == 2 else 1
    return media.audio_blocks(track, info.sample_rate_hz, channels if channels == 2 else 0), channels


def _panned(sounds: Sequence[Iterator[np.ndarray]]) -> Iterator[np.ndarray]:
    """Players in stereo, (n, 2), each from where their picture is, at constant power; tracks come in equal blocks."""
    columns = _columns(len(sounds))
    angles = np.linspace(0.1, 0.9, columns)[np.arange(len(sounds)) % columns] * np.pi / 2
    sides = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)  # (N, 2)
    for blocks in zip(*sounds, strict=False):
        mono = np.stack([block.reshape(len(block), -1).mean(axis=1) for block in blocks])  # (N, n)
        yield np.clip(mono.T @ sides, -1, 1)


def _beside(pictures: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    """Pictures (luma, chromas) next to each other, in rows as :func:`_columns` says, black where none is left."""
    columns = _columns(len(pictures))
    black = tuple(np.full_like(plane, value) for plane, value in zip(pictures[0], _BLACK, strict=True))
    rows = [[*pictures[n : n + columns], black, black][:columns] for n in range(0, len(pictures), columns)]
    return tuple(np.block([[picture[plane] for picture in row] for row in rows]) for plane in range(len(black)))


def _columns(count: int) -> int:
    """How many pictures stand in a row: up to three, or half of them."""
    return count if count <= 3 else math.ceil(count / 2)


def _lit(planes: Sequence[np.ndarray], dark: Sequence[np.ndarray], player: Player) -> tuple[np.ndarray, ...]:
    """A picture (luma, chromas) with everything dark but one player's part."""
    lit, (x0, y0, x1, y1) = [], player.part
    for bright, plane in zip(planes, dark, strict=True):
        height, width = plane.shape
        part = (
            slice(math.ceil(y0 * height), math.ceil(y1 * height)),
            slice(math.ceil(x0 * width), math.ceil(x1 * width)),
        )
        lit.append(plane.copy())
        lit[-1][part] = bright[part]
    return tuple(lit)
