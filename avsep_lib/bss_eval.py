"""SDR, SIR and SAR (BSS Eval v3): by mir_eval, or the same from correlations alone, several times as fast.

BSS Eval splits an estimate e by two projections: on its own reference under every filter of 512 taps, and on all the
references under such filters. With d the correlations of e with the delayed references and G those of the delayed
references with each other (block Toeplitz, and Cholesky factor L),

    own projection      c = G_jj^-1 d_j,   |target|^2       = d_j' c
    what it left over   r = d - G_:j c,    |interference|^2 = r' G^-1 r = |L^-1 r|^2
    the rest                               |artifacts|^2    = |e|^2 - |target|^2 - |interference|^2

mir_eval filters every projection out as a wave; here no wave is made, and one factor serves all estimates of a mixture.
The three parts are orthogonal: SDR is |target|^2 over |interference|^2 + |artifacts|^2, SIR is |target|^2 over
|interference|^2, and SAR is |target|^2 + |interference|^2 over |artifacts|^2. Where rounding could show in so small a
difference, the artifacts are made as a wave after all; where that is not sure either, mir_eval answers.

References
----------
Vincent, Gribonval, Févotte, Performance measurement in blind audio source separation, IEEE TASLP 2006.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.linalg import lapack

from avsep_lib.settings import StudyError

TAPS = 512
_BLOCK = 1024  # samples of a block; at least TAPS
_EPS = np.finfo(np.float64).eps
_LEAST_PIVOT = 16 * _EPS  # of the Gram matrix, as a share of its diagonal; below, references depend on each other
_STILL = 1e-4  # of what is left over, what the references may still explain: 0.0004 dB
_SURE = 1e-6  # rounding as a share of an energy; a hundred times less than 0.01 dB allows


@dataclass(frozen=True)
class _References:
    """All that is needed of the references of a mixture, N of them.

    Attributes
    ----------
    waves : float array, shape (N, L)
    delayed : complex array, shape (N, blocks, bins)
        Conjugate spectra of each block together with the one before it.
    lags : float array, shape (N, N, 2 TAPS - 1)
        Correlation of reference i with j, lags -511 to 511.
    own : list of float arrays, shape (TAPS, TAPS)
        Cholesky factor for each reference alone.
    factor : float array, shape (N TAPS, N TAPS)
        Cholesky factor for all of them.
    """

    waves: np.ndarray
    delayed: np.ndarray
    lags: np.ndarray
    own: list[np.ndarray]
    factor: np.ndarray


def by_mir_eval(references: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """SDR, SIR and SAR in dB by mir_eval, without permutation: (N, L) and (N, L) -> (3, N)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # mir_eval 0.8 announces that its separation module will go
        from mir_eval.separation import bss_eval_sources

        return np.stack(bss_eval_sources(references, estimates, compute_permutation=False)[:3])


def bss_eval(references: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """SDR, SIR and SAR in dB as :func:`by_mir_eval` gives them, within 0.01 dB, for any number of methods at once.

    Parameters
    ----------
    references : float array, shape (N, L)
    estimates : float array, shape (..., N, L)
        Of one method or of several, each in the order of the references.

    Returns
    -------
    float64 array, shape (3, ..., N)
        With N = 1 there is nothing to interfere: SIR is infinite.

    Raises
    ------
    StudyError
        If the shapes do not fit, or a reference or an estimate is all zeros, which has no score.
    """
    references, estimates = np.asarray(references, np.float64), np.asarray(estimates, np.float64)
    if references.ndim != 2 or not references.size or estimates.shape[-2:] != references.shape:
        raise StudyError(f"references {references.shape} must be (N, L), and estimates {estimates.shape} (..., N, L)")
    for name, waves in (("reference", references), ("estimate", estimates)):
        if not waves.any(-1).all():
            raise StudyError(f"one {name} is all zeros and has no SDR; leave it out")
    methods = estimates.reshape(-1, *references.shape)
    known = _factorise(references)
    if known is None:
        scores, sure = np.empty((3, *methods.shape[:2])), np.zeros(len(methods), bool)
    else:
        scores, sure = _by_correlation(known, methods)
    for which in np.flatnonzero(~sure):
        scores[:, which] = by_mir_eval(references, methods[which])
    return scores.reshape(3, *estimates.shape[:-1])


def _factorise(references: np.ndarray) -> _References | None:
    """Correlations of the references and their Cholesky factors; None where rounding spoils those."""
    n = len(references)
    blocks = _blocks(references, references.shape[-1])
    # A block of 1024 and the one before it hold all that a delay below 512 can bring in, so nothing wraps around.
    delayed = blocks.conj()
    delayed[:, 1:] += (1 - 2 * (np.arange(_BLOCK + 1) % 2)) * blocks[:, :-1].conj()
    later = np.stack([_correlate(delayed, wave) for wave in blocks], axis=1)  # (N, N, TAPS), lags 0 to 511
    lags = np.concatenate([later.swapaxes(0, 1)[..., :0:-1], later], axis=-1)
    gram = np.zeros((n * TAPS, n * TAPS), order="F")
    for i in range(n):
        for j in range(i + 1):  # LAPACK reads the lower half only
            toeplitz = np.lib.stride_tricks.sliding_window_view(lags[i, j], TAPS)[:, ::-1]
            gram[i * TAPS : (i + 1) * TAPS, j * TAPS : (j + 1) * TAPS] = toeplitz
    before = gram.diagonal().copy()
    others = [lapack.dpotrf(gram[s : s + TAPS, s : s + TAPS], lower=1) for s in range(TAPS, n * TAPS, TAPS)]
    factor, failed = lapack.dpotrf(gram, lower=1, clean=0, overwrite_a=1)
    if failed or not (np.square(factor.diagonal()) > _LEAST_PIVOT * before).all():
        return None
    own = [np.asfortranarray(factor[:TAPS, :TAPS]), *(lower for lower, _ in others)]
    return _References(references, delayed, lags, own, factor)


def _by_correlation(known: _References, methods: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores (3, M, N) of the estimates of M methods, and for each method whether they can be trusted."""
    m, n, length = methods.shape
    energy = np.square(methods).sum(-1)
    found = np.stack([[_correlate(known.delayed, wave) for wave in _blocks(waves, length)] for waves in methods])
    target, own_filters, left = np.empty((m, n)), np.empty((m, n, TAPS)), np.zeros((m, n, n, TAPS))
    for j in range(n):
        half = _solve(known.own[j], found[:, j, j].T)
        target[:, j] = np.square(half).sum(0)
        own_filters[:, j] = _solve(known.own[j], half, transposed=True).T
        for i in set(range(n)) - {j}:
            explained = [np.convolve(known.lags[i, j], taps, "valid") for taps in own_filters[:, j]]
            left[:, j, i] = found[:, j, i] - explained
    half = _solve(known.factor, left.reshape(m * n, n * TAPS).T)
    interference = np.square(half).sum(0).reshape(m, n)
    filters = _solve(known.factor, half, transposed=True).T.reshape(m, n, n, TAPS)
    # First-order effect of rounding in G on a quadratic form; measured errors are up to 25 times as large.
    power = known.lags[range(n), range(n), TAPS - 1]
    rounding = energy + power * np.square(own_filters).sum(-1) + (power * np.square(filters).sum(-1)).sum(-1)
    rounding *= _EPS / _SURE
    distortion = energy - target
    artifacts, certain = distortion - interference, np.ones((m, n), bool)
    for which, j in np.argwhere(~(artifacts > rounding)):
        filters[which, j, j] += own_filters[which, j]
        artifacts[which, j], certain[which, j] = _left_over(known, methods[which, j], filters[which, j])
    sure = certain & (distortion > rounding)
    if n == 1:
        interference[:] = 0
    else:
        sure &= interference > rounding
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.stack([target / distortion, target / interference, (target + interference) / artifacts])
        return 10 * np.log10(ratios), sure.all(-1)


def _blocks(waves: np.ndarray, length: int) -> np.ndarray:
    """Spectra of the blocks of each wave, each padded to twice its length: (N, L) -> (N, blocks, bins).

    As many blocks as references of ``length`` samples and their echo of 511 need.
    """
    count = -(-(length + TAPS - 1) // _BLOCK)
    padded = np.zeros((len(waves), count * _BLOCK))
    padded[:, : waves.shape[-1]] = waves
    return fft.rfft(padded.reshape(len(waves), count, _BLOCK), 2 * _BLOCK)


def _correlate(delayed: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Inner products of a wave, given as its blocks, with each reference delayed by 0 to 511 samples, (N, TAPS)."""
    return fft.irfft(np.stack([(one * blocks).sum(0) for one in delayed]), 2 * _BLOCK)[:, :TAPS]


def _solve(factor: np.ndarray, right: np.ndarray, transposed: bool = False) -> np.ndarray:
    """Solve with a lower triangular factor, or with its transpose."""
    return lapack.dtrtrs(factor, right, lower=1, trans=int(transposed))[0]


def _left_over(known: _References, estimate: np.ndarray, filters: np.ndarray) -> tuple[float, bool]:
    """Energy of an estimate less the filtered references, made as a wave, and whether it can be trusted.

    A wave that is orthogonal to all references, as it should be, has nothing that they could still explain.
    """
    length = len(estimate)
    size = fft.next_fast_len(length + TAPS - 1, real=True)
    projection = (fft.rfft(known.waves, size) * fft.rfft(filters, size)).sum(0)
    rest = -fft.irfft(projection, size)[: length + TAPS - 1]
    rest[:length] += estimate
    explained = np.square(_solve(known.factor, _correlate(known.delayed, _blocks(rest[None], length)[0]).ravel())).sum()
    energy = np.square(rest).sum()
    return energy, explained < _STILL * energy
