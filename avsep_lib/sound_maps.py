"""Who sounds where: the energy of the sound of each place of the picture, its course, and whose sound it is like.

Axes: M places of a grid h w, N players, F' bins and T steps of a clip, C moments. Used by ``duets``, and through it by
notebook 05 and ``avsep separate``.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from torch import Tensor

from avsep_lib import media, spectra
from avsep_lib.separators import BaseSeparator
from avsep_lib.settings import Settings
from avsep_lib.watching import Player, Watched, look, part_queries

SILENT = 0.1
"""Share of the energy of the loudest place: a place with less is silent."""
_MOMENT_S = 1.0  # between two maps of the course, about
_LEAST = 1e-4  # of what places differ in most: less is rounding


@dataclass(frozen=True)
class SoundMaps:
    """Who sounds where.

    Attributes
    ----------
    energy : float32 array, shape (h, w)
        Mean energy of the mixture under the mask of each place.
    owners : float32 array, shape (N, h, w)
        For each place, how alike its sound is to each player's; adds up to one over players.
    clusters : int array, shape (h, w)
        Places that sound alike, in one cluster more than there are players: the number of the player whom a cluster is
        more like than the others, N where it is like none of them, as the wall behind them may be, and -1 where it is
        silent (see ``SILENT``).
    course : float32 array, shape (C, h, w)
        The energy over time: a map for about every second.
    times_s : float array, shape (C,)
        The middle of the time of each.
    shares : float32 array, shape (N, h, w)
        The share of each player's sound, by its energy, that a place lets through: where their sound is, however loud
        the others are.
    """

    energy: np.ndarray
    owners: np.ndarray
    clusters: np.ndarray
    course: np.ndarray
    times_s: np.ndarray
    shares: np.ndarray


@torch.inference_mode()
def sound_maps(
    separator: BaseSeparator, seen: Watched, players: Sequence[Player], blocks: Iterable[np.ndarray]
) -> SoundMaps:
    """Who sounds where: the energy of the sound of each place, its course, and whose sound it is like.

    Parameters
    ----------
    separator : BaseSeparator
    seen : Watched
    players : sequence of Player
    blocks : iterable of float32 arrays, shape (n,)
        The mixture, heard clip by clip. The last clip reaches back, and only what is new in it counts; sound shorter
        than a clip is filled up with silence, which does not count.

    Returns
    -------
    SoundMaps
        Its owners are a softmax over players of the negative distance between the place's mask and the player's, each
        bin weighted by the energy of the mixture.

    Notes
    -----
    What is kept of a clip is a map for each moment, and the products of the sounds of all places: the distances that
    clustering needs are in them. So places are clustered by the whole of their spectrograms, none of which is held.

    References
    ----------
    Zhao et al., The Sound of Pixels, ECCV 2018, section 4.4 (sound energy and clustering of pixels).
    """
    settings = separator.settings
    rate, count = settings.sample_rate_hz, len(players)
    course, times, steps, products, distances, passed, total = [], [], [], 0.0, 0.0, 0.0, 0
    for start, wave, own in _clips(blocks, settings.clip_samples):
        spec = spectra.stft(torch.from_numpy(wave).to(seen.looks.device), settings.n_fft, settings.hop)
        masks, axis = separator.place_masks(spec, _queries(separator, seen.looks_near(start), players))
        weights = _weights(spec, axis, masks.shape[-2])
        for first, last in _moments(own, settings):
            piece = [values[..., first:last] for values in (masks[:-count], *weights)]
            course.append((_let_through(*piece) / (len(spec) * (last - first))).cpu())
            times.append((start + (first + last - 1) / 2 * settings.hop) / rate)
            steps.append(last - first)
        heard = _products(masks, *weights)
        products += heard
        passed += torch.stack([_of_player(spec, mask, masks[:-count], axis) for mask in masks[-count:]])
        norms = heard.diagonal()
        apart = (norms[:-count] + norms[-count:, None] - 2 * heard[-count:, :-count]).clamp_min(0)
        distances += apart * len(own) / spec.abs().square().sum().clamp_min(1e-12)
        total += len(own)
    shape = seen.looks.shape[-2:]
    owners = (-20 * distances / total).softmax(0).reshape(count, *shape).cpu().numpy()
    course = torch.stack(course).reshape(-1, *shape).numpy()
    energy = np.average(course, axis=0, weights=steps).astype(np.float32)
    products = products.cpu().numpy()
    whole = products.diagonal()[-count:, None].clip(1e-12)  # energy of each player's sound
    shares = (passed.cpu().numpy() / whole).reshape(count, *shape)
    return SoundMaps(energy, owners, _clustered(products, energy), course, np.array(times), shares)


def _queries(separator: BaseSeparator, looks: Tensor, players: Sequence[Player]) -> Tensor:
    """What every place asks for, and then every player, (M + N, K), of pixel queries (P, K, h, w)."""
    together = separator.over_pictures(looks)
    places = torch.stack([separator.query(place[:, None, None]) for place in together.flatten(1).T])
    return torch.cat([places, part_queries(separator, looks, players)])


def _moments(own: range, settings: Settings) -> Iterator[tuple[int, int]]:
    """First and last step of each moment of a clip of which these samples are its own."""
    edges = np.linspace(0, settings.steps, max(round(settings.clip_s / _MOMENT_S), 1) + 1).round().astype(int)
    edges = edges.clip(round(own.start / settings.hop), own.stop // settings.hop + 1)
    for first, last in itertools.pairwise(edges.tolist()):
        if last > first:
            yield first, last


def _weights(spec: Tensor, axis: str, bins: int) -> tuple[Tensor, Tensor | None]:
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


def _of_player(spec: Tensor, mask: Tensor, places: Tensor, axis: str) -> Tensor:
    """Energy of the sound of a player with a mask (F', T) that each of the masks of places lets through, (M,)."""
    own = spec * spectra.unwarp(mask, axis, len(spec))
    return _let_through(places, *_weights(own, axis, len(mask)))


def _products(masks: Tensor, squares: Tensor, neighbours: Tensor) -> Tensor:
    """Inner products of the sounds under masks (M, F', T), (M, M); those with themselves are :func:`_let_through`."""
    alone = (masks * squares).flatten(1) @ masks.flatten(1).T
    beside = (masks[:, 1:] * neighbours).flatten(1) @ masks[:, :-1].flatten(1).T
    return alone + (beside + beside.T) / 2


def _clustered(products: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Clusters (h, w) of places by the inner products of their sounds and of the players' (M + N, M + N).

    Level plays no part. See :class:`SoundMaps`.
    """
    places, count = energy.size, len(products) - energy.size
    level = np.sqrt(products.diagonal()).clip(1e-12)
    alike = products / np.outer(level, level)
    loud = np.flatnonzero(energy.ravel() > SILENT * energy.max())
    clusters = np.full(places, -1)
    if len(loud):
        values, vectors = np.linalg.eigh(alike[np.ix_(loud, loud)].astype(np.float64))
        points = vectors * np.sqrt(np.where(values > _LEAST * values.max(), values, 0))  # as far apart as the sounds
        kinds = min(count + 1, len(np.unique(points.round(3), axis=0)))
        found = KMeans(kinds, n_init=10, random_state=0).fit_predict(points)
        like = np.stack([alike[places:, loud[found == n]].mean(1) for n in range(kinds)])  # (clusters, N)
        like -= like.mean(1, keepdims=True) if count > 1 else 0  # what is as like all players is like none
        named, player = linear_sum_assignment(like, maximize=True)
        numbers = np.full(kinds, count)
        numbers[named] = np.where(like[named, player] > 0, player, count)
        clusters[loud] = numbers[found]
    return clusters.reshape(energy.shape)


def _clips(blocks: Iterable[np.ndarray], length: int) -> Iterator[tuple[int, np.ndarray, range]]:
    """(start, samples, which of them are its own) of clips that together hold a sound, one behind the other.

    Nearly nothing at the end is left out.
    """
    held, before, start = np.zeros(0, np.float32), np.zeros(0, np.float32), 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= length:
            yield start, held[:length], range(length)
            before, held, start = held[:length], held[length:], start + length
    if not len(before):
        yield start, np.pad(held, (0, length - len(held))), range(len(held))
    elif len(held) > length // 8:
        back = length - len(held)
        yield start - back, np.concatenate([before[-back:], held]), range(back, length)


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
