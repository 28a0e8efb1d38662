"""Scores of each source: SDR, SIR, SAR, SI-SDR, SDR over that of the mixture, overlap of masks, and what is silent.

References are the true waveforms as they stand in the mixture. Estimates are never permuted: giving the right sound to
the right player is the task. A silent reference or estimate has no score; it is left out of means and counted. Used by
notebooks 01, 03, 04 and 05.
"""

from collections.abc import Sequence

import joblib
import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from avsep_lib import baselines, bss_eval, spectra
from avsep_lib.networks import Separator
from avsep_lib.separators import BaseSeparator
from avsep_lib.settings import Settings, StudyError
from avsep_lib.store import SILENT_DB, level_db

METRICS = ("sdr_db", "sir_db", "sar_db", "si_sdr_db", "sdri_db", "dice", "iou")
_OF_WAVES = METRICS[:4]  # those that an estimate and its references decide by themselves
_AUDIBLE = 1e-3  # of the loudest bin, -60 dB: quieter ones of a mixture have no part in the overlap of masks


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
        return [pd.DataFrame(dict.fromkeys(_OF_WAVES, np.nan) | {"silent": silent}) for _ in methods]
    silent_estimate = np.array([[level_db(wave) < SILENT_DB - 40 for wave in estimates] for estimates in methods])
    # The score of one estimate does not depend on the others, so a silent one can be stood in for.
    heard = np.where(silent_estimate[..., None], references, np.stack(methods))
    if metric == "fast":
        scores = bss_eval.bss_eval(references, heard)
    else:
        scores = np.stack([bss_eval.by_mir_eval(references, estimates) for estimates in heard], axis=1)
    tables = []
    for (sdr, sir, sar), estimates, silent in zip(scores.swapaxes(0, 1), heard, silent_estimate, strict=True):
        table = pd.DataFrame(dict(zip(_OF_WAVES, (sdr, sir, sar, si_sdr(references, estimates)), strict=True)))
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


def mask_overlap(references: np.ndarray, estimates: np.ndarray, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """How well estimates fill the ideal binary masks of their sources.

    Dice is 2 |A and B| / (|A| + |B|), IoU is |A and B| / |A or B|, counted in bins. The mask A of a source is its ideal
    binary mask; the mask B of an estimate is where its magnitude is above half of the mixture's, which is the same
    rule. Both are taken on the linear axis at ``n_fft`` and ``hop``, whatever axis or mask a method works with, or
    none: so all methods can be compared. Only bins within 60 dB of the loudest of the mixture count. An estimate made
    with an ideal mask stays a little below 1, since its sound has a spectrogram of its own.

    Parameters
    ----------
    references : float array, shape (N, L)
        As they stand in the mixture, which is their sum.
    estimates : float array, shape (..., N, L)
        Of one method or of several.
    settings : Settings

    Returns
    -------
    dice, iou : float array, shape (..., N)
        Within [0, 1]. Where both masks are empty they agree, which is 1.
    """
    waves = [torch.from_numpy(np.asarray(wave, np.float32)) for wave in (references, references.sum(0), estimates)]
    true, mixture, found = (spectra.magnitude(spectra.stft(wave, settings.n_fft, settings.hop)) for wave in waves)
    audible = mixture >= _AUDIBLE * mixture.max()
    ideal = spectra.ideal_binary_mask(true, mixture).bool() & audible
    masks = spectra.ideal_binary_mask(found, mixture).bool() & audible
    shared, sizes = (ideal & masks).sum((-2, -1)).numpy(), ideal.sum((-2, -1)).numpy() + masks.sum((-2, -1)).numpy()
    some = np.maximum(sizes, 1)
    return np.where(sizes, 2 * shared / some, 1.0), np.where(sizes, shared / np.maximum(some - shared, 1), 1.0)


def separate_listed(separator: Separator, loader: DataLoader) -> list[np.ndarray]:
    """Estimates of a separator for each mixture of a fixed list, float32 (N, L), asked for by its pictures.

    ``loader`` is one of ``mixtures.listed_loader``.
    """
    return separate(separator, *heard_and_seen(separator, loader))


@torch.inference_mode()
def heard_and_seen(separator: Separator, loader: DataLoader) -> tuple[Tensor, Tensor]:
    """Mixtures of a fixed list, (mixtures, L), and what their pictures ask for, (mixtures, N, K)."""
    frame_net, device = separator.frame_net, separator.device
    waves, queries = [], []
    for batch in loader:
        waves.append(batch["sources"].sum(1) / batch["sources"].shape[1])
        queries.append(frame_net(frame_net.features(batch["seen"].to(device))))
    return torch.cat(waves), torch.cat(queries)


@torch.inference_mode()
def separate(separator: BaseSeparator, waves: Tensor, queries: Tensor) -> list[np.ndarray]:
    """Estimates, float32 (N, L), for mixtures (mixtures, L) of a clip's length and their queries (mixtures, N, K)."""
    device, estimates = separator.device, []
    for wave, query in zip(waves.split(16), queries.split(16), strict=True):
        estimates += list(separator.estimates(wave.to(device), query).cpu().numpy())
    return estimates


def references(loader: DataLoader) -> list[np.ndarray]:
    """The sources of each mixture of a fixed list as they stand in it, float32 (N, L); their sum is the mixture."""
    return [sources.numpy() / sources.shape[0] for batch in loader for sources in batch["sources"]]


def evaluate(
    listed: pd.DataFrame, true: list[np.ndarray], methods: dict[str, list[np.ndarray]], settings: Settings
) -> pd.DataFrame:
    """Score every method on every mixture of a list.

    Parameters
    ----------
    listed : DataFrame
        As ``mixtures.fixed_list`` or ``protocol.lists`` gives it.
    true : list of arrays, shape (N, L)
        The sources as they stand in the mixture, which is their sum.
    methods : dict
        Estimates of each method, each a list of arrays (N, L) in the order of ``true``. One named ``mixture`` is what
        ``sdri_db`` is counted from; without it the mixture is scored all the same, and not shown.
    settings : Settings
        ``metric`` as in :func:`score`; ``n_fft`` and ``hop`` as in :func:`mask_overlap`.

    Returns
    -------
    DataFrame
        The rows of ``listed`` for each method, with ``METRICS``, ``silent`` and ``method``. ``sdri_db`` is the SDR
        above that of the mixture given as the estimate of the same source. What is silent has no score at all.
    """
    shown = list(methods)
    if "mixture" not in methods:
        methods = methods | {"mixture": [baselines.mixture_as_estimate(sources) for sources in true]}
    floor = list(methods).index("mixture")
    jobs = zip(true, zip(*methods.values(), strict=True), strict=True)
    work = (joblib.delayed(_score_mixture)(sources, estimates, floor, settings) for sources, estimates in jobs)
    every = joblib.Parallel(n_jobs=-1, max_nbytes=None)(work)  # else long ones arrive read-only, which torch warns of
    scored = dict(zip(methods, zip(*every, strict=True), strict=True))
    tables = []
    for name in shown:
        rows = pd.concat(scored[name], ignore_index=True)
        tables.append(pd.concat([listed.reset_index(drop=True), rows], axis=1).assign(method=name))
    return pd.concat(tables, ignore_index=True)


def _score_mixture(
    references: np.ndarray, methods: Sequence[np.ndarray], floor: int, settings: Settings
) -> list[pd.DataFrame]:
    """All metrics of several methods on one mixture; ``floor`` is the number of that which does nothing."""
    tables = score_methods(references, methods, settings.metric)
    overlaps = zip(*mask_overlap(references, np.stack(methods), settings), strict=True)
    nothing = tables[floor].sdr_db
    whole = []
    for table, (dice, iou) in zip(tables, overlaps, strict=True):
        table = table.assign(sdri_db=table.sdr_db - nothing, dice=dice, iou=iou)
        table.loc[table.silent != "", ["dice", "iou"]] = np.nan
        whole.append(table[[*METRICS, "silent"]])
    return whole
