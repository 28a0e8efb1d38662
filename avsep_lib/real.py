"""What a separator scores on real clips, beside a yardstick that others have measured on them.

``real_clips`` says how the folder is laid out. A reference is a source as it stands in its mixture, and nothing is
permuted, as everywhere. ``real_report`` shows what comes of it. Used by notebook 04 and by ``avsep score-real``.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import torch

from avsep_lib import baselines, evaluation, real_clips, tables
from avsep_lib.real_clips import DIFFERENT, seen
from avsep_lib.settings import Settings

MIXTURE, YARDSTICK, IDEAL = "mixture", "Sound of Pixels (yardstick)", "ideal ratio mask"
SEEN, TRUE = "ours, classes from the pictures", "ours, true classes"
WAYS = (MIXTURE, YARDSTICK, SEEN, TRUE, IDEAL)
"""From floor to ceiling. The yardstick was trained on real videos of the same collection; its scores are read."""
SETTINGS = Settings(metric="fast")
"""Resolution of the ideal mask: that of the published Sound of Pixels, whatever the preset."""
_THEIRS = {"sop_sdr": "sdr_db", "sop_sir": "sir_db", "sop_sar": "sar_db"}


class NamedSeparator(Protocol):
    """What a separator must offer; that of ``pretrained`` does.

    One that chooses classes for all sources of a mixture together has a method ``choose`` that takes their log
    probabilities, a Tensor (N, C), and gives N classes.
    """

    instruments: Sequence[str]
    sample_rate_hz: int

    def named(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Probabilities (N, C) of the classes, from the pictures (P, H, W, 3) of each source."""

    def separate(self, mixture: np.ndarray, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Estimates (N, L) of a mixture (L,), its classes found from the pictures."""

    def separate_named(self, mixture: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Estimates (N, L) of a mixture (L,), told its classes."""


def score(
    separator: NamedSeparator,
    folder: str | Path,
    settings: Settings = SETTINGS,
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """Score a separator on every real mixture, in both of its ways, beside floor, yardstick and ceiling.

    Parameters
    ----------
    separator : NamedSeparator
        Such as ``pretrained.load()`` gives it.
    folder : path
        Laid out as the head of ``real_clips`` says.
    settings : Settings
        ``metric``; ``n_fft``, ``hop`` and frequency axis of the ideal mask.
    progress : function of (label, done, total), optional

    Returns
    -------
    DataFrame
        As ``evaluation.evaluate`` gives it: a row for each of ``WAYS`` (column ``method``) and source, with ``mixture``
        (its name), ``kind``, ``source``, ``video_id``, ``instrument`` and ``said``, the class that its pictures
        ask for. The yardstick is known for whole pairs, so both of their sources have its mean. There are no rows of
        the true classes where one is unknown to the folder or to the separator. With a silent source, nothing of its
        mixture is scored.

    Raises
    ------
    StudyError
        As for :func:`real_clips.mixtures`; if lengths in a mixture differ, or it is not the mean of its sources.
    """
    found, rows, true = real_clips.mixtures(folder), [], []
    methods: dict[str, list[np.ndarray]] = {way: [] for way in WAYS if way != YARDSTICK}
    untold = []
    for number, mixture in enumerate(found):
        wave, sources = real_clips.heard(mixture, separator.sample_rate_hz)
        frames = [seen(pictures) for pictures in mixture.pictures]
        said = [separator.instruments[place] for place in _asked(separator, separator.named(frames))]
        nothing = np.repeat(wave[None], len(sources), axis=0)
        scored = real_clips.all_sound(sources)
        known = set(mixture.instruments) <= set(separator.instruments)
        untold += [] if known else [mixture.name]
        true.append(sources)
        methods[MIXTURE].append(nothing)
        methods[SEEN].append(separator.separate(wave, frames) if scored else nothing)
        methods[TRUE].append(separator.separate_named(wave, mixture.instruments) if scored and known else nothing)
        methods[IDEAL].append(baselines.ideal_mask(sources, settings, "ratio"))
        for source, (instrument, video) in enumerate(zip(mixture.instruments, mixture.videos, strict=True)):
            rows.append([mixture.kind, mixture.name, source, video, instrument, said[source]])
        if progress:
            progress("real mixtures", number + 1, len(found))
    listed = pd.DataFrame(rows, columns=["kind", "mixture", "source", "video_id", "instrument", "said"])
    metrics = evaluation.evaluate(listed, true, methods, settings)
    metrics = metrics[(metrics.method != TRUE) | ~metrics.mixture.isin(untold)]
    both = dict(list(metrics.groupby("method")))
    both[YARDSTICK] = _yardstick_rows(both[MIXTURE], real_clips.yardstick(Path(folder)))
    return pd.concat([both[way] for way in WAYS if way in both and len(both[way])], ignore_index=True)


def frame_accuracy(separator: NamedSeparator, folder: str | Path) -> pd.DataFrame:
    """The class that the pictures of each real solo say, beside its true one; ``tables.accuracy`` takes ``right``.

    Returns
    -------
    DataFrame
        One row for each solo: ``solo``, ``instrument``, ``said``, its ``probability``, ``right``.
    """
    table = real_clips.solos(folder)
    if table.empty:
        return pd.DataFrame(columns=["solo", "instrument", "said", "probability", "right"])
    sure = np.concatenate([separator.named([seen(pictures)]) for pictures in table.pictures])
    said = [separator.instruments[place] for place in sure.argmax(1)]
    table = table[["solo", "instrument"]].assign(said=said, probability=sure.max(1))
    return table.assign(right=table.said == table.instrument)


def summary(metrics: pd.DataFrame, kind: str = DIFFERENT) -> pd.DataFrame:
    """Mean over the sources of one kind of mixture, as ``tables.summary``, for each way, and how many ``mixtures``.

    Intervals are over mixtures, since the yardstick has one number for each.
    """
    part = metrics[metrics.kind == kind]
    table = tables.summary(part.assign(video_id=part.mixture))
    scored = part[part.sdr_db.notna()].groupby("method").mixture.nunique()
    return table.assign(mixtures=scored.reindex(table.index, fill_value=0))


def by_mixture(metrics: pd.DataFrame, value: str = "sdr_db") -> pd.DataFrame:
    """Mean over the sources of each mixture, a row for each, a column for each way.

    Returns
    -------
    DataFrame
        ``kind``, ``name``, ``pair`` (instruments, joined by ``+``), ``said`` (classes of the pictures, likewise),
        ``right`` (all of them), then those of ``WAYS`` that there are, in dB; NaN where nothing is scored.
    """
    floor = metrics[metrics.method == MIXTURE]
    groups = floor.assign(right=floor.said == floor.instrument).groupby(["kind", "mixture"], sort=False)
    table = groups.agg(pair=("instrument", "+".join), said=("said", "+".join), right=("right", "all"))
    means = metrics.groupby(["kind", "mixture", "method"])[value].mean().unstack("method")
    table = table.join(means[[way for way in WAYS if way in means]])
    table = table.rename_axis(index={"mixture": "name"}, columns=None)  # since one of the ways is called mixture
    return table.reset_index()


def by_instrument(metrics: pd.DataFrame, kind: str = DIFFERENT) -> pd.DataFrame:
    """Mean SDR of each way for each instrument.

    Returns
    -------
    DataFrame
        Rows ``instrument``, the best of ours first; ``sources`` and the mean over its own sound of each way but the
        yardstick; ``pairs``, and behind ``pairs: `` the mean over all pairs that it plays in, which the yardstick has.
    """
    part = metrics[(metrics.kind == kind) & metrics.sdr_db.notna()]
    own = part[part.method != YARDSTICK].pivot_table(index="instrument", columns="method", values="sdr_db")
    own = own[[way for way in WAYS if way in own]]
    counts = (
        part[part.method == MIXTURE].groupby("instrument").agg(sources=("source", "size"), pairs=("mixture", "nunique"))
    )
    means = part.groupby(["method", "mixture"]).sdr_db.mean().rename("mean")
    played = part[["method", "mixture", "instrument"]].drop_duplicates().join(means, on=["method", "mixture"])
    whole = played.pivot_table(index="instrument", columns="method", values="mean")
    whole = whole[[way for way in (YARDSTICK, SEEN, TRUE) if way in whole]].add_prefix("pairs: ")
    return counts[["sources"]].join(own).join(counts.pairs).join(whole).sort_values(SEEN, ascending=False)


def gain(
    metrics: pd.DataFrame, way: str = SEEN, other: str = YARDSTICK, kind: str = DIFFERENT
) -> tuple[float, float, float]:
    """Mean SDR of a way above another on the same mixtures, with its 95 % interval over mixtures, in dB.

    Raises
    ------
    StudyError
        If one of the ways has no row, or no mixture is scored for both.
    """
    whole = tables.by_mixture(metrics[metrics.kind == kind])
    return tables.paired_difference(whole.assign(source=0, video_id=whole.mixture), way, other)


def agreement(metrics: pd.DataFrame) -> float:
    """The largest difference, in dB, between what we and the yardstick's table score for the mixtures themselves.

    Below 0.01 dB says that references, metric and order are the same. NaN without a yardstick.
    """
    whole = tables.by_mixture(metrics[metrics.method.isin([MIXTURE, YARDSTICK])]).set_index(["method", "mixture"])
    if YARDSTICK not in whole.index:
        return float("nan")
    theirs = whole.loc[YARDSTICK]
    return float((whole.loc[MIXTURE].sdr_db - (theirs.sdr_db - theirs.sdri_db)).abs().max())


def not_scored(metrics: pd.DataFrame) -> list[str]:
    """Names of the mixtures with a silent source, of which nothing is scored."""
    floor = metrics[(metrics.method == MIXTURE) & (metrics.silent == "reference")]
    return list(floor.mixture.unique())


def _yardstick_rows(floor: pd.DataFrame, yardstick: pd.DataFrame) -> pd.DataFrame:
    """Rows of the yardstick: those of the mixture that it knows, with its scores and no others."""
    known = yardstick.dropna(subset="sop_sdr")
    rows = floor[floor.mixture.isin(known.index)].assign(method=YARDSTICK)
    values = known.loc[rows.mixture].set_axis(rows.index)
    rows[list(evaluation.METRICS)] = np.nan
    for theirs, ours in _THEIRS.items():
        rows[ours] = values[theirs]
    return rows.assign(sdri_db=values.sop_sdr - values.mixture_sdr)


def _asked(separator: NamedSeparator, sure: np.ndarray) -> Sequence[int]:
    """Classes that a separator asks for where its eye is this sure, (N, C): the likeliest, or those that it chooses."""
    choose = getattr(separator, "choose", None)
    with np.errstate(divide="ignore"):
        return sure.argmax(1) if choose is None else choose(torch.from_numpy(np.log(sure)))
