"""Who plays in a video, and where: its pictures are looked at once, and divided into a part for each player.

Used by ``duets``, and through it by notebook 05 and ``avsep separate``.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avsep_lib import media
from avsep_lib.separators import BaseSeparator
from avsep_lib.settings import Settings, StudyError
from avsep_lib.store import check_sound, grid_times_s

_SHORTEST_S = 0.5  # of a video: what is shorter than a clip is filled up with silence
_NARROWEST = 0.25  # of a player's strip, as a share of an even division of the picture
_PICTURES = {
    "cpu": 2,
    "cuda": 32,
}  # that go through the frame net at a time: more are slower on a CPU, for want of cache


@dataclass(frozen=True)
class Player:
    """Somebody in the picture.

    Attributes
    ----------
    instrument : str
    confidence : float
        How sure the classifier is, from 0 to 1.
    part : tuple of float
        The part of the picture that is theirs: x0, y0, x1, y1 as shares of its width and height. Parts of all players
        cover the picture, and none lies on another.
    box : tuple of float
        Where in their part they are seen, likewise.
    """

    instrument: str
    confidence: float
    part: tuple[float, float, float, float]
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Watched:
    """What the nets saw in the pictures of a video.

    Attributes
    ----------
    samples : int
        Length L of the video's sound.
    looks : Tensor, shape (P, K, h, w)
        The query of every place of every picture.
    named : Tensor, shape (K', h, w)
        What all pictures say together of who is where, by which a strip is named.
    times_s : float array, shape (P,)
    settings : Settings
    """

    samples: int
    looks: Tensor
    named: Tensor
    times_s: np.ndarray
    settings: Settings

    def looks_near(self, start: int) -> Tensor:
        """Pixel queries of the pictures of the window that starts at a sample, (P', K, h, w)."""
        middle = (start + self.settings.clip_samples / 2) / self.settings.sample_rate_hz
        nearest = np.argsort(np.abs(self.times_s - middle), kind="stable")[: self.settings.frames_per_clip]
        return self.looks[torch.as_tensor(np.sort(nearest))]


@torch.inference_mode()
def look(
    separator: BaseSeparator, path: str | Path, progress: Callable[[str, int, int], None] | None = None
) -> Watched:
    """Look at a video's pictures, ``feature_fps`` of them for each second, a few at a time.

    Raises
    ------
    StudyError
        If the video is missing, broken, without sound, silent or too short.
    """
    settings, device = separator.settings, separator.device
    samples = _checked_samples(path, settings)
    times = grid_times_s(samples, settings)
    looks, named = [], []
    frames = media.frames_at(path, times, settings.frame_size_px)
    while part := list(itertools.islice(frames, _PICTURES[device.type])):
        seen, names = separator.look(torch.from_numpy(np.stack(part)).to(device))
        looks += seen
        named += names
        if progress:
            progress("looking", len(looks), len(times))
    return Watched(samples, torch.stack(looks), separator.over_pictures(torch.stack(named)), times, settings)


@torch.inference_mode()
def find_players(
    separator: BaseSeparator, named: Tensor, n_players: int, instruments: Sequence[str] = ()
) -> list[Player]:
    """Divide the picture into strips side by side so that each shows one instrument most clearly.

    A separator that names no instruments has it divided evenly: its players are called ``player``, with a confidence
    that is not a number.

    Parameters
    ----------
    separator : BaseSeparator
        It names what a strip shows.
    named : Tensor, shape (K', h, w)
        See :class:`Watched`.
    n_players : int
    instruments : sequence of str
        Names that must appear; empty to find out.

    Returns
    -------
    list of Player
        From left to right.

    Raises
    ------
    StudyError
        For an instrument that the separator does not know, or more players than the picture has room for.
    """
    if instruments:
        n_players = len(instruments)
        for name in instruments:
            if not separator.instruments:
                raise StudyError(f"instrument {name!r} cannot be looked for: this checkpoint names no instruments")
            if name not in separator.instruments:
                raise StudyError(
                    f"instrument {name!r} is not known; this checkpoint knows {', '.join(separator.instruments)}"
                )
    width = named.shape[-1]
    if not 1 <= n_players <= width // 2:
        raise StudyError(f"{n_players} players do not fit side by side into this picture; ask for 1 to {width // 2}")
    if not separator.instruments:
        return [_in_strip("player", math.nan, n / n_players, (n + 1) / n_players) for n in range(n_players)]
    best: tuple[float, list[Player]] | None = None
    names = {strip: separator.name(named[..., slice(*strip)]) for strip in itertools.combinations(range(width + 1), 2)}
    for cuts in _cuts(width, n_players):
        scores = torch.stack([names[strip] for strip in itertools.pairwise(cuts)])  # (N, classes), log probabilities
        for chosen in _assignments(separator, scores, instruments):
            total = float(sum(scores[n, c] for n, c in enumerate(chosen)))
            if best is None or total > best[0] + 1e-6:
                players = [
                    _in_strip(separator.instruments[c], float(scores[n, c].exp()), left / width, right / width)
                    for n, (c, (left, right)) in enumerate(zip(chosen, itertools.pairwise(cuts), strict=True))
                ]
                best = total, players
    return best[1]


def part_queries(separator: BaseSeparator, looks: Tensor, players: Sequence[Player]) -> Tensor:
    """The query of each player, (N, K): what all places of their part ask for, of pixel queries (P, K, h, w)."""
    looks = separator.over_pictures(looks)
    return torch.stack([separator.query(within(looks, player.part), player.instrument) for player in players])


def within(values: Tensor, box: tuple[float, float, float, float]) -> Tensor:
    """The places of a grid that lie in a box: (..., h, w) -> (..., h', w'); ``box`` as in :class:`Player`."""
    height, width = values.shape[-2:]
    x0, y0, x1, y1 = box
    return values[..., round(y0 * height) : round(y1 * height), round(x0 * width) : round(x1 * width)]


def _checked_samples(path: str | Path, settings: Settings) -> int:
    """Length of a video's sound, heard once through; one that is too short or silent is refused."""
    samples, total = 0, 0.0
    for block in media.audio_blocks(path, settings.sample_rate_hz):
        samples += len(block)
        total += float(np.square(block, dtype=np.float64).sum())
    mean = total / samples
    check_sound(path, samples, mean, settings, "give a longer video", "there is nothing to separate", _SHORTEST_S)
    return samples


def _in_strip(instrument: str, confidence: float, left: float, right: float) -> Player:
    """A player who has the whole height."""
    return Player(instrument, confidence, (left, 0.0, right, 1.0), (left, 0.0, right, 1.0))


def _cuts(width: int, n_players: int) -> Iterator[tuple[int, ...]]:
    """Ways to cut a width into strips none of which is too narrow, the most even first."""
    least = max(int(width / n_players * _NARROWEST), 2)
    inner = itertools.combinations(range(1, width), n_players - 1)
    every = [(0, *cuts, width) for cuts in inner]
    wide = [cuts for cuts in every if min(b - a for a, b in itertools.pairwise(cuts)) >= least]
    return iter(sorted(wide, key=lambda cuts: sum((b - a) ** 2 for a, b in itertools.pairwise(cuts))))


def _assignments(separator: BaseSeparator, scores: Tensor, instruments: Sequence[str]) -> Iterator[tuple[int, ...]]:
    """Classes that the strips may be given: the named ones in any order, or the likeliest of each."""
    if not instruments:
        return iter([separator.choose(scores)])
    return itertools.permutations([separator.instruments.index(name) for name in instruments])
