"""Scores: SDR, SIR, SAR and SI-SDR of each source, what is silent, intervals and tables.

References are the true waveforms as they stand in the mixture. Estimates are never permuted: giving the right sound to
the right player is the task. A silent reference or estimate has no SDR; it is left out of means and counted. Used by
notebooks 04 and 05.
"""

from collections.abc import Iterable, Sequence

import joblib
import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch.utils.data import DataLoader

from avsep_lib import baselines, bss_eval, mixtures, spectra
from avsep_lib.networks import Separator
from avsep_lib.settings import StudyError
from avsep_lib.store import SILENT_DB, VideoStore, level_db

METRICS = ("sdr_db", "sir_db", "sar_db", "si_sdr_db")
_RESAMPLINGS = 2000


def score(references: np.ndarray, estimates: np.ndarray, metric: str = "mir_eval") -> pd.DataFrame:
    """SDR, SIR, SAR (BSS Eval v3) and SI-SDR of each source, without permutation.

    Parameters
    ----------
    references, estimates : float array, shape (N, L)
    metric : str
        Who computes SDR, SIR and SAR: ``mir_eval``, or ``fast``, which gives the same within 0.01 dB.

    Returns
    -------
    DataFrame
        One row for each source: sdr_db, sir_db, sar_db, si_sdr_db and silent: ``""``, ``reference``, ``estimate``, or
        ``mixture`` for a source whose mixture has another, silent reference, since nothing of such a mixture can be
        scored. A silent estimate has no score of its own.

    Raises
    ------
    StudyError
        If the shapes differ. Usual cause: estimates of another length than their references.

    References
    ----------
    Vincent et al., Performance measurement in blind audio source separation, IEEE TASLP 2006;
    Le Roux et al., SDR - half-baked or well done?, ICASSP 2019.
    """
    return score_methods(references, [estimates], metric)[0]


def score_methods(
    references: np.ndarray, methods: Sequence[np.ndarray], metric: str = "mir_eval"
) -> list[pd.DataFrame]:
    """:func:`score` of several methods on one mixture; ``fast`` does the work on the references once for all."""
    references, methods = np.asarray(references, np.float64), [np.asarray(one, np.float64) for one in methods]
    for estimates in methods:
        if references.shape != estimates.shape or references.ndim != 2:
            raise StudyError(f"references {references.shape} and estimates {estimates.shape} must both be (N, L)")
    silent_reference = np.array([level_db(wave) < SILENT_DB for wave in references])
    if silent_reference.any():
        silent = np.where(silent_reference, "reference", "mixture")
        return [pd.DataFrame(dict.fromkeys(METRICS, np.nan) | {"silent": silent}) for _ in methods]
    silent_estimate = np.array([[level_db(wave) < SILENT_DB - 40 for wave in estimates] for estimates in methods])
    # The score of one estimate does not depend on the others, so a silent one can be stood in for.
    heard = np.where(silent_estimate[..., None], references, np.stack(methods))
    if metric == "fast":
        scores = bss_eval.bss_eval(references, heard)
    else:
        scores = np.stack([bss_eval.by_mir_eval(references, estimates) for estimates in heard], axis=1)
    tables = []
    for (sdr, sir, sar), estimates, silent in zip(scores.swapaxes(0, 1), heard, silent_estimate, strict=True):
        table = pd.DataFrame(dict(zip(METRICS, (sdr, sir, sar, si_sdr(references, estimates)), strict=True)))
        table[silent] = np.nan
        tables.append(table.assign(silent=np.where(silent, "estimate", "")))
    return tables


def si_sdr(references: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """Scale-invariant SDR in dB, (N, L) and (N, L) -> (N,).

    References
    ----------
    Le Roux et al., SDR - half-baked or well done?, ICASSP 2019, equation 5.
    """
    scale = (estimates * references).sum(-1) / np.square(references).sum(-1)
    target = scale[:, None] * references
    with np.errstate(divide="ignore"):  # a perfect estimate has an infinite one
        return 10 * np.log10(np.square(target).sum(-1) / np.square(estimates - target).sum(-1))


def score_many(
    jobs: Iterable[tuple[np.ndarray, Sequence[np.ndarray]]], metric: str = "mir_eval"
) -> list[list[pd.DataFrame]]:
    """:func:`score_methods` of many mixtures, one process for each core; a mixture and its methods stay together."""
    work = (joblib.delayed(score_methods)(true, methods, metric) for true, methods in jobs)
    return joblib.Parallel(n_jobs=-1)(work)


@torch.inference_mode()
def separate_listed(separator: Separator, loader: DataLoader, shuffled: bool = False) -> list[np.ndarray]:
    """Estimates of a separator for each mixture of a fixed list.

    Parameters
    ----------
    separator : Separator
    loader : DataLoader
        Of ``mixtures.listed_loader``.
    shuffled : bool
        Give every mixture the pictures of the one before: what is left of the score does not come from looking.

    Returns
    -------
    list of float32 arrays, shape (N, L)
    """
    device = separator.synthesizer.bias.device
    frame_net = separator.frame_net
    waves, queries = [], []
    for batch in loader:
        waves.append(batch["sources"].sum(1) / batch["sources"].shape[1])
        queries.append(frame_net(frame_net.features(batch["seen"].to(device))))
    waves, queries = torch.cat(waves), torch.cat(queries)
    if shuffled:
        queries = queries.roll(1, dims=0)
    settings, estimates = separator.settings, []
    for wave, query in zip(waves.split(16), queries.split(16), strict=True):
        spec = spectra.stft(wave.to(device), settings.n_fft, settings.hop)
        separated = spectra.apply_mask(spec, separator.masks(spec, query))
        estimates += list(spectra.istft(separated, settings.n_fft, settings.hop, wave.shape[-1]).cpu().numpy())
    return estimates


def references(loader: DataLoader) -> list[np.ndarray]:
    """The sources of each mixture of a fixed list as they stand in it, float32 (N, L); their sum is the mixture."""
    return [sources.numpy() / sources.shape[0] for batch in loader for sources in batch["sources"]]


def compare(separator: Separator, nmf: baselines.Nmf, listed: pd.DataFrame, store: VideoStore) -> pd.DataFrame:
    """Score every method of the main table on the same mixtures.

    Parameters
    ----------
    separator : Separator
    nmf : baselines.Nmf
    listed : DataFrame
        As ``mixtures.fixed_list`` gives it.
    store : VideoStore

    Returns
    -------
    DataFrame
        As :func:`evaluate` gives it; from floor to ceiling: ``mixture``, ``NMF, blind``, ``NMF, instruments known``,
        ``separator, shuffled pictures``, ``separator``, ``ideal binary mask``, ``ideal ratio mask``.
    """
    settings = separator.settings
    loader = mixtures.listed_loader(listed, store, separator.frame_net.backbone.frozen)
    true = references(loader)
    names = [list(part.instrument) for _, part in listed.groupby("mixture")]
    methods = {
        "mixture": [baselines.mixture_as_estimate(sources) for sources in true],
        "NMF, blind": [baselines.blind_nmf(sources, settings) for sources in true],
        "NMF, instruments known": [nmf(sources, who) for sources, who in zip(true, names, strict=True)],
        "separator, shuffled pictures": separate_listed(separator, loader, shuffled=True),
        "separator": separate_listed(separator, loader),
        "ideal binary mask": [baselines.ideal_mask(sources, settings, "binary") for sources in true],
        "ideal ratio mask": [baselines.ideal_mask(sources, settings, "ratio") for sources in true],
    }
    return evaluate(listed, true, methods, store.settings.metric)


def evaluate(
    listed: pd.DataFrame, true: list[np.ndarray], methods: dict[str, list[np.ndarray]], metric: str = "mir_eval"
) -> pd.DataFrame:
    """Score every method on every mixture of a list.

    Parameters
    ----------
    listed : DataFrame
        As ``mixtures.fixed_list`` gives it.
    true : list of arrays, shape (N, L)
    methods : dict
        Estimates of each method, in the order of ``true``.
    metric : str
        As in :func:`score`.

    Returns
    -------
    DataFrame
        The rows of ``listed`` for each method, with ``method``, the metrics and ``silent``.
    """
    jobs = zip(true, zip(*methods.values(), strict=True), strict=True)
    scored = zip(*score_many(jobs, metric), strict=True)
    tables = []
    for name, parts in zip(methods, scored, strict=True):
        rows = pd.concat(parts, ignore_index=True)
        tables.append(pd.concat([listed.reset_index(drop=True), rows], axis=1).assign(method=name))
    return pd.concat(tables, ignore_index=True)


def summary(metrics: pd.DataFrame, by: str = "method") -> pd.DataFrame:
    """Mean of each metric with the 95 % interval of the mean SDR, the median SDR, and counts.

    Parameters
    ----------
    metrics : DataFrame
        As :func:`evaluate` gives it.
    by : str
        Column whose values become the rows, in their order of appearance.

    Returns
    -------
    DataFrame
    """
    rows = {}
    for name, part in metrics.groupby(by, sort=False):
        low, high = interval_over_videos(part.sdr_db, part.video_id)
        rows[name] = {
            "SDR": part.sdr_db.mean(), "from": low, "to": high, "median": part.sdr_db.median(),
            "SIR": part.sir_db.mean(), "SAR": part.sar_db.mean(), "SI-SDR": part.si_sdr_db.mean(),
            "sources": int(part.sdr_db.notna().sum()), "silent": int((part.silent != "").sum()),
        }  # fmt: skip
    return pd.DataFrame(rows).T.astype({"sources": int, "silent": int}).rename_axis(by)


def paired_difference(metrics: pd.DataFrame, method: str, other: str) -> tuple[float, float, float]:
    """Mean SDR of ``method`` above ``other`` on the same sources, with its 95 % interval over videos, in dB."""
    wide = metrics.pivot_table(index=["mixture", "source", "video_id"], columns="method", values="sdr_db")
    gain = (wide[method] - wide[other]).dropna().reset_index("video_id")
    return (float(gain[0].mean()), *interval_over_videos(gain[0], gain.video_id))


def interval_over_videos(values: pd.Series, video_ids: pd.Series) -> tuple[float, float]:
    """95 % interval of a mean by resampling videos, since clips of one video are not independent.

    Raises
    ------
    StudyError
        If there is nothing to average.
    """
    groups = values.groupby(video_ids.to_numpy()).agg(["sum", "count"]).to_numpy(float)
    groups = groups[groups[:, 1] > 0]  # a video without a score has no part in the mean
    if not len(groups):
        raise StudyError("no score is left to average; every reference or estimate is silent")
    rng = np.random.default_rng(0)
    drawn = groups[rng.integers(len(groups), size=(_RESAMPLINGS, len(groups)))].sum(1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return float(low), float(high)


def accuracy(correct: Sequence[bool]) -> tuple[float, float, float]:
    """Share of right answers with its 95 % interval (Wilson)."""
    result = stats.binomtest(int(np.sum(correct)), len(correct))
    low, high = result.proportion_ci(method="wilson")
    return result.statistic, low, high
