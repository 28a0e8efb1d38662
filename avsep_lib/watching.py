"""What is seen in a video: its pictures are looked at once, and what a player's part of them asks for.

Used by ``duets``, and through it by notebook 05 and ``avsep separate``.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avsep_lib import media
from avsep_lib.separators import BaseSeparator
from avsep_lib.settings import Settings
from avsep_lib.store import check_sound, grid_times_s

_SHORTEST_S = 0.5  # of a video: what is shorter than a clip is filled up with silence
_NAMED_BY = 32  # pictures, spread over the video, by which players are named
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
        Where in their part they are seen, likewise: around the clearest place of their instrument.
    presence : float
        How clearly the instrument is seen at all, from 0 to 1, whatever else could be meant; a half is clear.
    """

    instrument: str
    confidence: float
    part: tuple[float, float, float, float]
    box: tuple[float, float, float, float]
    presence: float = math.nan


@dataclass(frozen=True)
class Watched:
    """What the nets saw in the pictures of a video.

    Attributes
    ----------
    samples : int
        Length L of the video's sound.
    looks : Tensor, shape (P, K, h, w)
        The query of every place of every picture.
    named : Tensor, shape (P', K', h', w')
        What some pictures, spread evenly over the video, say of who is where; by it players are found and named.
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
    looks, named, every = [], [], 1
    frames = media.frames_at(path, times, settings.frame_size_px)
    while part := list(itertools.islice(frames, _PICTURES[device.type])):
        seen, names = separator.look(torch.from_numpy(np.stack(part)).to(device))
        named += [one.clone() for n, one in enumerate(names, len(looks)) if n % every == 0]  # not a view of them all
        looks += seen
        if len(named) >= 2 * _NAMED_BY:
            named, every = named[::2], 2 * every
        if progress:
            progress("pictures looked at", len(looks), len(times))
    return Watched(samples, torch.stack(looks), torch.stack(named), times, settings)


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
