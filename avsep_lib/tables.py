"""Tables of scores: means with their intervals, by method, mixture and pair of instruments, differences, several seeds.

Every function takes ``metrics``, the table of ``evaluation.evaluate``: one row for each method and source. Intervals
cover 95 % and are over videos, since clips of one video resemble each other. Used by notebooks 01, 02, 04 and 05.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from avsep_lib.settings import StudyError

_RESAMPLINGS = 2000
_FURTHER = {
    "SIR": "sir_db", "SAR": "sar_db", "SI-SDR": "si_sdr_db", "SDRi": "sdri_db", "Dice": "dice", "IoU": "iou",
}  # fmt: skip


def summary(metrics: pd.DataFrame, by: str | Sequence[str] = "method") -> pd.DataFrame:
    """Mean of each metric with the 95 % interval of the mean SDR, the median SDR, and counts.

    Parameters
    ----------
    metrics : DataFrame
        As ``evaluation.evaluate`` gives it; metrics that it lacks are left out.
    by : str or list of str
        Column or columns whose values become the rows, in their order of appearance.

    Returns
    -------
    DataFrame
        Columns ``SDR``, ``from``, ``to``, ``median``, ``SIR``, ``SAR``, ``SI-SDR``, ``SDRi`` in dB, ``Dice``, ``IoU``,
        and the counts ``sources`` (scored) and ``silent`` (not scored). A row without a score is NaN but for these.

    Raises
    ------
    StudyError
        If nothing at all is scored.
    """
    _check_scored(metrics.sdr_db)
    rows = {}
    for name, part in metrics.groupby(by, sort=False):
        low, high = interval_over_videos(part.sdr_db, part.video_id) if part.sdr_db.notna().any() else (np.nan, np.nan)
        rows[name] = {"SDR": part.sdr_db.mean(), "from": low, "to": high, "median": part.sdr_db.median()}
        rows[name] |= {title: part[column].mean() for title, column in _FURTHER.items() if column in part}
        rows[name] |= {"sources": int(part.sdr_db.notna().sum()), "silent": int((part.silent != "").sum())}
    table = pd.DataFrame(rows).T.astype({"sources": int, "silent": int})
    return table.rename_axis([by] if isinstance(by, str) else list(by))


def by_mixture(metrics: pd.DataFrame) -> pd.DataFrame:
    """Mean of each metric over the sources of a mixture.

    Parameters
    ----------
    metrics : DataFrame
        As ``evaluation.evaluate`` gives it.

    Returns
    -------
    DataFrame
        One row for each method and mixture (of each kind, where there is a column ``kind``), in their order:
        ``method``, ``mixture``, ``pair`` (its instruments, sorted, joined by ``+``), the means of the sources that are
        scored, and ``sources``, how many these are.
    """
    keys = ["method", *_mixture_keys(metrics)]
    groups = metrics.groupby(keys, sort=False)
    columns = [name for name in ("sdr_db", *_FURTHER.values()) if name in metrics]
    table = groups[columns].mean()
    table.insert(0, "pair", groups.instrument.agg(_pair))
    return table.assign(sources=groups.sdr_db.count()).reset_index()


def by_pair(metrics: pd.DataFrame) -> pd.DataFrame:
    """:func:`summary` of each method for each pair (or trio, or quartet) of instruments.

    Returns
    -------
    DataFrame
        Rows ``pair`` (sorted) and ``method`` (in order of appearance), columns as in :func:`summary`.
    """
    return summary(with_pair(metrics).sort_values("pair", kind="stable"), ["pair", "method"])


def with_pair(metrics: pd.DataFrame) -> pd.DataFrame:
    """The table with a column ``pair``: the instruments of each source's mixture, sorted, joined by ``+``."""
    return metrics.assign(pair=metrics.groupby(["method", *_mixture_keys(metrics)]).instrument.transform(_pair))


def paired_difference(metrics: pd.DataFrame, method: str, other: str) -> tuple[float, float, float]:
    """Mean SDR of ``method`` above ``other`` on the same sources, with its 95 % interval over videos, in dB.

    Raises
    ------
    StudyError
        If one of them is not in the table, or no source is scored for both.
    """
    for name in (method, other):
        if not (metrics.method == name).any():
            raise StudyError(f"method {name!r} is not in the table; it has {', '.join(metrics.method.unique())}")
    keys = [*_mixture_keys(metrics), "source", "video_id"]
    one, two = (metrics[metrics.method == name].set_index(keys).sdr_db for name in (method, other))
    gain = (one - two).dropna().reset_index("video_id")
    low, high = interval_over_videos(gain.sdr_db, gain.video_id)
    return float(gain.sdr_db.mean()), low, high


def paired_differences(metrics: pd.DataFrame, method: str, others: Sequence[str] | None = None) -> pd.DataFrame:
    """:func:`paired_difference` of a method with several others.

    Parameters
    ----------
    metrics : DataFrame
    method : str
    others : list of str, optional
        Default: every other method, in order of appearance.

    Returns
    -------
    DataFrame
        A row for each other method: ``SDR gained``, ``from``, ``to``, in dB.
    """
    others = [name for name in metrics.method.unique() if name != method] if others is None else others
    rows = {other: paired_difference(metrics, method, other) for other in others}
    return pd.DataFrame.from_dict(rows, "index", columns=["SDR gained", "from", "to"]).rename_axis("over")


def over_seeds(tables: dict[int, pd.DataFrame]) -> pd.DataFrame:
    """Mean SDR of each method for each seed, and how far the seeds are apart.

    Parameters
    ----------
    tables : dict
        The ``metrics`` of each seed.

    Returns
    -------
    DataFrame
        A row for each method, in order of appearance: ``seed 0``, ``seed 1``, ..., their ``mean``, and ``half-range``,
        half the distance from the lowest to the highest. A method that a seed lacks has NaN there and in the last
        two, since a mean over fewer seeds cannot be put beside the others. One seed alone has no range.
    """
    means = {f"seed {seed}": tables[seed].groupby("method", sort=False).sdr_db.mean() for seed in sorted(tables)}
    methods = dict.fromkeys(name for column in means.values() for name in column.index)
    table = pd.DataFrame(means).reindex(list(methods)).rename_axis("method")
    span = table.max(axis=1, skipna=False) - table.min(axis=1, skipna=False)
    return table.assign(mean=table.mean(axis=1, skipna=False), **{"half-range": span / 2 if len(means) > 1 else np.nan})


def interval_over_videos(values: pd.Series, video_ids: pd.Series) -> tuple[float, float]:
    """95 % interval of a mean: percentiles of the means of 2000 resamplings of the videos, always the same ones.

    Parameters
    ----------
    values : Series
        One for each clip; NaN is left out.
    video_ids : Series
        The video of each value.

    Returns
    -------
    low, high : float
        NaN for values of one video only: how videos differ is then not known.

    Raises
    ------
    StudyError
        If there is nothing to average.
    """
    _check_scored(values)
    groups = values.groupby(video_ids.to_numpy()).agg(["sum", "count"]).to_numpy(float)
    groups = groups[groups[:, 1] > 0]  # a video without a score has no part in the mean
    if len(groups) == 1:
        return np.nan, np.nan
    rng = np.random.default_rng(0)
    drawn = groups[rng.integers(len(groups), size=(_RESAMPLINGS, len(groups)))].sum(1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return float(low), float(high)


def accuracy(correct: Sequence[bool]) -> tuple[float, float, float]:
    """Share of right answers with its 95 % interval (Wilson)."""
    result = stats.binomtest(int(np.sum(correct)), len(correct))
    low, high = result.proportion_ci(method="wilson")
    return result.statistic, low, high


def _check_scored(values: pd.Series) -> None:
    if not values.notna().any():
        raise StudyError("no score is left to average; every reference or estimate is silent")


def _mixture_keys(metrics: pd.DataFrame) -> list[str]:
    """Columns that tell mixtures apart: their numbers begin anew for each kind."""
    return [name for name in ("kind", "mixture") if name in metrics]


def _pair(instruments: pd.Series) -> str:
    return "+".join(sorted(instruments))
