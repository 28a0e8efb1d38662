"""What came of a duet as videos: one player is heard, the others are dimmed.

Used by notebook 05 and ``avsep separate``.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from avsep_lib import media
from avsep_lib.duets import Separation, track_paths
from avsep_lib.watching import Player

_DIMMED = 0.3  # brightness of the players that are not heard
_BLACK = 16, 128, 128  # of luma and both chromas
_DIM = {black: np.rint(black + _DIMMED * (np.arange(256) - black)).astype(np.uint8) for black in set(_BLACK)}


def write_videos(separation: Separation, out: str | Path, fps: float = 12.0, height_px: int = 360) -> list[Path]:
    """One MP4 for each player: only their sound, the others dimmed; never larger than the video itself.

    The video is walked through once for all, and each player's is encoded in a thread of its own.
    """
    info = media.probe(separation.path)
    short_side_px = min(height_px, info.height_px, info.width_px)
    paths = [path.with_suffix(".mp4") for path in track_paths(separation.players, out)]
    rate = separation.sample_rate_hz
    times = np.arange(0, separation.samples / rate, 1 / fps)
    with ExitStack() as stack:
        films = [stack.enter_context(media.video_writer(path, fps, rate)) for path in paths]
        sounds = [media.audio_blocks(track, rate) for track in separation.tracks]
        threads = stack.enter_context(ThreadPoolExecutor(len(films)))

        def add(film: media.Film, sound: Iterator[np.ndarray], picture: tuple[np.ndarray, ...], end_s: float) -> None:
            film.show(picture)
            while film.samples < end_s * film.rate and (block := next(sound, None)) is not None:
                film.play(block)

        ends_s = [*times[1:], math.inf]
        for end_s, planes in zip(ends_s, media.planes_at(separation.path, times, short_side_px), strict=True):
            dark = [np.take(_DIM[black], plane) for black, plane in zip(_BLACK, planes, strict=True)]
            pictures = [_lit(planes, dark, player) for player in separation.players]
            list(threads.map(add, films, sounds, pictures, itertools.repeat(end_s)))
    return paths


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
