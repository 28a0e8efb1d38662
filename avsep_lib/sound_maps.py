"""Who sounds where: the energy of the sound of each place of the picture, and whose sound it is like.

Used by ``duets``, and through it by notebook 05 and ``avsep separate``.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avsep_lib import media, spectra
from avsep_lib.separators import BaseSeparator
from avsep_lib.watching import Player, Watched, look, part_queries


@dataclass(frozen=True)
class SoundMaps:
    """Who sounds where.

    Attributes
    ----------
    energy : float32 array, shape (h, w)
        Mean energy of the mixture under the mask of each place.
    owners : float32 array, shape (N, h, w)
        For each place, how alike its sound is to each player's; adds up to one over players.
    """

    energy: np.ndarray
    owners: np.ndarray


@torch.inference_mode()
def sound_maps(
    separator: BaseSeparator, seen: Watched, players: Sequence[Player], blocks: Iterable[np.ndarray]
) -> SoundMaps:
    """Who sounds where: the energy of the sound of each place, and whose sound it is like.

    Parameters
    ----------
    separator : BaseSeparator
    seen : Watched
    players : sequence of Player
    blocks : iterable of float32 arrays, shape (n,)
        The mixture, of which every whole clip is heard.

    Returns
    -------
    SoundMaps
        Its owners are a softmax over players of the negative distance between the place's mask and the player's, each
        bin weighted by the energy of the mixture.

    References
    ----------
    Zhao et al., The Sound of Pixels, ECCV 2018, section 4.4 (sound energy and clustering of pixels).
    """
    settings = separator.settings
    energy, distances, count = 0.0, 0.0, 0
    for start, wave in _clips(blocks, settings.clip_samples):
        spec = spectra.stft(torch.from_numpy(wave).to(seen.looks.device), settings.n_fft, settings.hop)
        looks = seen.looks_near(start)
        together = separator.over_pictures(looks)
        shape = together.shape[-2:]
        places = torch.stack([separator.query(place[:, None, None]) for place in together.flatten(1).T])  # (h w, K)
        asked = part_queries(separator, looks, players)
        masks, axis = separator.place_masks(spec, torch.cat([places, asked]))
        weights = _weights(spec, axis, masks.shape[-2])
        heard, wanted = masks.split([len(places), len(players)])
        energy += _let_through(heard, *weights) / spec.numel()
        apart = torch.stack([_let_through(heard - mask, *weights) for mask in wanted])
        distances += apart / spec.abs().square().sum().clamp_min(1e-12)
        count += 1
    owners = (-20 * distances / count).softmax(0).reshape(len(players), *shape)
    return SoundMaps((energy / count).reshape(shape).cpu().numpy(), owners.cpu().numpy())


def _weights(spec: Tensor, axis: str, bins: int) -> tuple[Tensor, Tensor]:
    """What :func:`_let_through` needs of a mixture (F, T): weights (F', T) of the squares of a mask of F' bins on an
    axis, and (F' - 1, T) of the products of neighbours.

    A bin of the linear axis lies between two rows of the log axis, so its mask squared is a sum of these.
    """
    power = spec.abs().square()
    share = spectra.unwarp(torch.eye(bins, device=power.device), axis, len(power))  # (F, F')
    return share.square().T @ power, 2 * (share[:, 1:] * share[:, :-1]).T @ power


def _let_through(masks: Tensor, squares: Tensor, neighbours: Tensor) -> Tensor:
    """Energy of a mixture under each of the masks (M, F', T), (M,): as if unwarped, at a quarter of the size."""
    alone = masks.square().flatten(1) @ squares.flatten()
    return alone + (masks[:, 1:] * masks[:, :-1]).flatten(1) @ neighbours.flatten()


def _clips(blocks: Iterable[np.ndarray], length: int) -> Iterator[tuple[int, np.ndarray]]:
    """(start, samples) of every whole clip, one behind the other, of sound that comes in blocks."""
    held, start = np.zeros(0, np.float32), 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= length:
            yield start, held[:length]
            held, start = held[length:], start + length


def ask_places(
    separator: BaseSeparator, path: str | Path, places: Sequence[tuple[float, float]], seen: Watched | None = None
) -> np.ndarray:
    """The sound that single places of the picture ask for: pixel queries.

    Parameters
    ----------
    separator : BaseSeparator
    path : str or Path
        A video with sound.
    places : sequence of (x, y)
        As shares of the picture's width and height.
    seen : Watched, optional
        What ``look`` saw in the video, where it is asked again and again.

    Returns
    -------
    float32 array, shape (places, L)
    """
    seen = look(separator, path) if seen is None else seen

    def queries(start: int) -> Tensor:
        looks = separator.over_pictures(seen.looks_near(start))  # (P, K, h, w) -> (K, h, w)
        height, width = looks.shape[-2:]
        cells = [(min(int(y * height), height - 1), min(int(x * width), width - 1)) for x, y in places]
        return torch.stack([separator.query(looks[:, row, column, None, None]) for row, column in cells])

    return separator.separate_queries(media.read_audio(path, separator.sample_rate_hz), queries, alone=True)
