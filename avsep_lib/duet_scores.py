"""Rendered duets scored: tracks against the true ones, and places against the true boxes. Used by notebook 05."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from avsep_lib import baselines, evaluation, localisation, rendered
from avsep_lib.duets import Separation, separate_video
from avsep_lib.separators import BaseSeparator
from avsep_lib.sound_maps import sound_maps
from avsep_lib.watching import Watched, look

WHOLE, CENTRE, RANDOM, STRIPS = "whole picture", "centre box", "random box", "even strips"
OWN, FOUND, PARTS = "separator", "players found", "parts found"
SILENT, FOREIGN = "silent sound", "foreign sound"
_DRAWS = 100  # of a random place, of which the mean is taken
_SILENCE = 1e-3  # of the level of the right sound, -60 dB: a map of nothing at all would show nothing


@dataclass(frozen=True)
class Heard:
    """A rendered duet, what came of it, and the truth.

    Attributes
    ----------
    video_id : str
    instruments : list of str
        N, from left to right.
    seen : Watched
    separation : Separation
        Of as many players.
    true : float32 array, shape (N, L)
        Their tracks.
    boxes : float array, shape (N, 4)
        Where they are: x0, y0, x1, y1 as shares of the picture's width and height.
    """

    video_id: str
    instruments: list[str]
    seen: Watched
    separation: Separation
    true: np.ndarray
    boxes: np.ndarray


def separate_duets(separator: BaseSeparator, duets: pd.DataFrame, progress: Callable | None = None) -> list[Heard]:
    """Separate rendered duets, each once, for :func:`score_duets` and :func:`localise_duets`.

    Parameters
    ----------
    separator : BaseSeparator
        It is told how many play.
    duets : DataFrame
        Rows of an index, of kind ``duet``, with their truth beside them (``rendered.with_truth``).
    progress : callable, optional

    Returns
    -------
    list of Heard
        Their tracks lie in temporary folders, which go with them.
    """
    every = []
    for number, duet in enumerate(duets.itertuples()):
        names = duet.instruments.split("+")
        seen = look(separator, duet.path)
        separation = separate_video(separator, duet.path, len(names), seen=seen)
        tracks, boxes = rendered.read_truth(duet.path, separator.sample_rate_hz)
        every.append(Heard(duet.video_id, names, seen, separation, tracks[:, : separation.samples], boxes))
        if progress:
            progress("separating duets", number + 1, len(duets))
    return every


def score_duets(separator: BaseSeparator, heard: Sequence[Heard]) -> pd.DataFrame:
    """Score the tracks of duets against the true ones.

    Parameters
    ----------
    separator : BaseSeparator
    heard : list of Heard
        As :func:`separate_duets` gives them.

    Returns
    -------
    DataFrame
        A row for each player of each duet and each method (``mixture``, ``separator``, ``ideal binary mask``,
        ``ideal ratio mask``): the columns of ``evaluation.evaluate``, ``players`` (how many), ``found`` (the instrument
        that was seen) and ``pointed`` (whether the place that lets through most of the player's sound lies in
        their box). ``tables.by_pair`` and ``tables.summary(scores, ["players", "method"])`` sum it up.
    """
    rows, true, methods = [], [], {"mixture": [], "separator": [], "ideal binary mask": [], "ideal ratio mask": []}
    for number, one in enumerate(heard):
        sources, estimates = one.true, one.separation.estimates
        estimates = estimates[:, : sources.shape[-1]]
        true.append(sources)
        methods["mixture"].append(baselines.mixture_as_estimate(sources))
        methods["separator"].append(estimates)
        for kind in ("binary", "ratio"):
            methods[f"ideal {kind} mask"].append(baselines.ideal_mask(sources, separator.settings, kind))
        pointed = points_at(one.separation, one.boxes)
        for source, (name, player) in enumerate(zip(one.instruments, one.separation.players, strict=True)):
            rows.append((number, source, one.video_id, name, len(sources), player.instrument, pointed[source]))
    columns = ["mixture", "source", "video_id", "instrument", "players", "found", "pointed"]
    return evaluation.evaluate(pd.DataFrame(rows, columns=columns), true, methods, separator.settings)


def points_at(separation: Separation, boxes: np.ndarray) -> list[bool]:
    """For each player, whether the place that lets through most of their sound lies in their box.

    ``boxes`` are (N, 4): x0, y0, x1, y1 as shares of the picture.
    """
    return [localisation.points_at(share, box) for share, box in zip(separation.maps.shares, boxes, strict=True)]


def localise_duets(separator: BaseSeparator, heard: Sequence[Heard], progress: Callable | None = None) -> pd.DataFrame:
    """Score where each player's sound is said to be, against their true box, beside answers that know less.

    Parameters
    ----------
    separator : BaseSeparator
    heard : list of Heard
        As :func:`separate_duets` gives them.
    progress : callable, optional

    Returns
    -------
    DataFrame
        A row for each player of each duet and each method: ``video_id``, ``source``, ``instrument``, ``players`` (how
        many), ``method``, ``ciou``, ``at_0.3`` and ``at_0.5`` (whether it is above), ``auc``, ``pointed``, ``silent``
        (the share of places without a player that stay silent) and ``energy`` (let through by all places, relative to
        the right sound). ``localisation.summary`` sums it up. The methods:

        - ``separator``: the map, the share of the player's sound that each place lets through.
        - ``players found`` and ``parts found``: the box of the player that was found, and their part of the picture.
          The middle of a box is where it points.
        - ``whole picture``, ``centre box`` (half of its width and height), ``random box`` (as large, anywhere; the
          mean of 100) and ``even strips`` (as many as players, the player's own taken): they look at nothing.
        - ``foreign sound``: the map for the sound of another duet, as loud as the right one, none of whose instruments
          is in this picture; left out where there is none. What it scores is owed to the picture alone.
        - ``silent sound``: the map for noise 60 dB below the right sound. A map is cut relative to its largest value,
          so it points somewhere even then; its energy says what that is worth.

    References
    ----------
    Senocak et al., CVPR 2018; Arandjelovic and Zisserman, Objects that sound, ECCV 2018. Maps for wrong sounds as in
    Juanola et al., A critical assessment of visual sound source localization models including negative audio, 2024.
    """
    rows = []
    for number, one in enumerate(heard):
        answers = [*_with_maps(separator, heard, number), *_with_boxes(one, number)]
        for method, scored in answers:
            for source, (name, scores) in enumerate(zip(one.instruments, scored, strict=True)):
                fixed = {"video_id": one.video_id, "source": source, "instrument": name, "players": len(scored)}
                rows.append({**fixed, "method": method, **scores})
        if progress:
            progress("localising duets", number + 1, len(heard))
    return pd.DataFrame(rows)


def _with_maps(
    separator: BaseSeparator, heard: Sequence[Heard], number: int
) -> Iterator[tuple[str, list[dict[str, float]]]]:
    """What the maps of a duet score, for each player, for the right sound and for wrong ones."""
    one = heard[number]
    mixture, right = one.separation.mixture, one.separation.maps
    noise = np.random.default_rng(number).standard_normal(len(mixture), np.float32)
    foreign = _foreign(heard, number)
    wrong = {FOREIGN: _at_level(foreign.separation.mixture, mixture)} if foreign else {}
    sounds = {OWN: None} | wrong | {SILENT: _SILENCE * _at_level(noise, mixture)}
    for method, sound in sounds.items():
        maps = right if sound is None else sound_maps(separator, one.seen, one.separation.players, [sound])
        silent = localisation.silent_share(maps.energy, one.boxes, right.energy.max())
        energy = maps.energy.mean() / max(right.energy.mean(), 1e-12)
        scored = []
        for share, box in zip(maps.shares, one.boxes, strict=True):
            points = [localisation.points_at(share, box)]
            scored.append(_scores([localisation.ciou(share, box)], points, silent, energy))
        yield method, scored


def _with_boxes(one: Heard, number: int) -> Iterator[tuple[str, list[dict[str, float]]]]:
    """What boxes that do not depend on the sound score, for each player."""
    count, shape = len(one.instruments), one.separation.maps.energy.shape
    corners = np.random.default_rng(number).uniform(0, 0.5, (_DRAWS, count, 2))
    answers = {  # (draws, N, 4)
        FOUND: [[player.box for player in one.separation.players]],
        PARTS: [[player.part for player in one.separation.players]],
        STRIPS: [[(n / count, 0.0, (n + 1) / count, 1.0) for n in range(count)]],
        WHOLE: [[(0.0, 0.0, 1.0, 1.0)] * count],
        CENTRE: [[(0.25, 0.25, 0.75, 0.75)] * count],
        RANDOM: np.concatenate([corners, corners + 0.5], axis=-1),
    }
    for method, drawn in answers.items():
        drawn = np.asarray(drawn)
        heard_in = [sum(localisation.covered(box, shape) > 0.5 for box in boxes) for boxes in drawn]
        silent = float(np.mean([localisation.silent_share(values, one.boxes, 1.0) for values in heard_in]))
        scored = []
        for n, box in enumerate(one.boxes):
            found = drawn[:, n]
            middles = (found[:, :2] + found[:, 2:]) / 2
            points = [localisation.inside(middle, box) for middle in middles]
            scored.append(_scores([localisation.box_ciou(each, box) for each in found], points, silent, np.nan))
        yield method, scored


def _scores(cious: Sequence[float], pointed: Sequence[bool], silent: float, energy: float) -> dict[str, float]:
    """The scores of an answer, or the means over several that were drawn."""
    scores = {"ciou": np.mean(cious)}
    scores |= {f"at_{level}": np.mean(np.greater_equal(cious, level)) for level in localisation.SUCCESSES}
    scores |= {"auc": np.mean([localisation.success_auc(value) for value in cious]), "pointed": np.mean(pointed)}
    return {name: float(value) for name, value in (scores | {"silent": silent, "energy": energy}).items()}


def _foreign(heard: Sequence[Heard], number: int) -> Heard | None:
    """The next duet none of whose instruments plays in this one; None if there is none."""
    others = [*heard[number + 1 :], *heard[:number]]
    return next((other for other in others if not set(other.instruments) & set(heard[number].instruments)), None)


def _at_level(sound: np.ndarray, of: np.ndarray) -> np.ndarray:
    """A sound as loud as another."""
    return (sound * np.sqrt(np.square(of).mean() / max(np.square(sound).mean(), 1e-12))).astype(np.float32)
