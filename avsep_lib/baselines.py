"""Floors and ceilings of every table: the mixture itself, NMF, robust PCA, and the ideal masks.

Each function takes waveforms and gives estimates, float32 (N, L), like a separator does. Used by notebooks 01 and 04.
"""

import contextlib
import itertools
import warnings
from collections.abc import Iterator, Sequence

import librosa
import numpy as np
import pandas as pd
import scipy.linalg
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, non_negative_factorization
from sklearn.exceptions import ConvergenceWarning

from avsep_lib import spectra
from avsep_lib.settings import Settings, StudyError
from avsep_lib.store import VideoStore

_LEARNING_S = 60.0  # sound of each instrument that a dictionary is learned from
_PURSUIT_STEPS = 50  # of robust PCA, at most; about 20 are enough


def mixture_as_estimate(sources: np.ndarray) -> np.ndarray:
    """The mixture for every source: what doing nothing scores. ``sources`` is (N, L) as in the mixture."""
    return np.repeat(sources.sum(0, keepdims=True), len(sources), axis=0)


def ideal_mask(sources: np.ndarray, settings: Settings, kind: str) -> np.ndarray:
    """Estimates of an oracle: a mask made of the true sources, on the axis that the audio net works on.

    Parameters
    ----------
    sources : float array, shape (N, L)
        As they stand in the mixture, which is their sum.
    settings : Settings
        Gives the resolution, so that the ceiling is that of the separator.
    kind : str
        ``binary`` or ``ratio``.

    Returns
    -------
    float32 array, shape (N, L)
    """
    spec = spectra.stft(torch.from_numpy(sources), settings.n_fft, settings.hop)
    mixture = spec.sum(0)
    both = spectra.warp(torch.cat([spec, mixture[None]]).abs(), settings.frequency_axis, settings.log_bins)
    mask = spectra.ideal_binary_mask(both[:-1], both[-1]) if kind == "binary" else spectra.ideal_ratio_mask(both[:-1])
    mask = spectra.unwarp(mask, settings.frequency_axis, spec.shape[-2])
    return spectra.istft(spectra.apply_mask(mixture, mask), settings.n_fft, settings.hop, sources.shape[-1]).numpy()


def blind_nmf(sources: np.ndarray, settings: Settings) -> np.ndarray:
    """Estimates of NMF that knows nothing: components of the mixture, clustered by the MFCC of their spectra.

    Clusters have no names, so the order that fits the sources best is taken: an oracle's help that the separator does
    not get.

    Parameters
    ----------
    sources : float array, shape (N, L)
        As they stand in the mixture, which is their sum; used for the mixture and for the order.
    settings : Settings

    Returns
    -------
    float32 array, shape (N, L)

    References
    ----------
    Spiertz and Gnann, Source-filter based clustering for monaural blind source separation, DAFx 2009.
    """
    count = len(sources)
    spec = spectra.stft(torch.from_numpy(sources.sum(0)), settings.n_fft, settings.hop)
    model = NMF(settings.nmf_components, init="nndsvda", max_iter=200, tol=1e-3, random_state=settings.seed)
    with _limited_iterations():
        gains = model.fit_transform(spec.abs().numpy().T)  # (F, T) -> (T, F): scikit-learn has observations in rows
    mel = librosa.feature.melspectrogram(S=model.components_.T**2, sr=settings.sample_rate_hz, n_mels=40)
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=13)[1:].T  # without the level: (R, 12)
    cluster = KMeans(count, n_init=10, random_state=settings.seed).fit_predict(mfcc)
    parts = [gains[:, cluster == n] @ model.components_[cluster == n] for n in range(count)]
    return _in_best_order(sources, _wiener(spec, np.stack(parts), settings, sources.shape[-1]))


def robust_pca(sources: np.ndarray, settings: Settings) -> np.ndarray:
    """Estimates of robust PCA: what repeats (a magnitude of low rank) apart from what stands out of it (a sparse one).

    Like :func:`blind_nmf` it knows nothing, and is granted the order that fits the sources best.

    Parameters
    ----------
    sources : float array, shape (2, L)
        As they stand in the mixture, which is their sum; used for the mixture and for the order.
    settings : Settings

    Returns
    -------
    float32 array, shape (2, L)

    Raises
    ------
    StudyError
        If there are not two sources.

    References
    ----------
    Huang et al., Singing-voice separation from monaural recordings using robust PCA, ICASSP 2012.
    """
    if len(sources) != 2:
        raise StudyError(f"robust PCA gives 2 parts, not {len(sources)}; leave it out where N is {len(sources)}")
    spec = spectra.stft(torch.from_numpy(sources.sum(0)), settings.n_fft, settings.hop)
    parts = np.abs(_low_rank_and_sparse(spec.abs().numpy())).transpose(0, 2, 1)  # (2, F, T) -> (2, T, F)
    return _in_best_order(sources, _wiener(spec, parts, settings, sources.shape[-1]))


def _low_rank_and_sparse(matrix: np.ndarray) -> np.ndarray:
    """The two parts (2, F, T) whose sum is a matrix (F, T): principal component pursuit by augmented Lagrangians.

    Candès et al., Robust principal component analysis?, JACM 2011; inexact steps as in Lin et al., arXiv:1009.5055.
    """
    sparse = np.zeros_like(matrix)
    largest = float(np.linalg.norm(matrix, 2))
    if not largest:
        return np.stack([matrix, sparse])
    weight = float(max(matrix.shape) ** -0.5)
    multiplier = matrix / max(largest, float(np.abs(matrix).max()) / weight)
    penalty = 1.25 / largest
    for _ in range(_PURSUIT_STEPS):
        left, values, right = scipy.linalg.svd(
            matrix - sparse + multiplier / penalty, full_matrices=False, check_finite=False
        )
        rank = int((values > 1 / penalty).sum())
        low_rank = (left[:, :rank] * (values[:rank] - 1 / penalty)) @ right[:rank]
        rest = matrix - low_rank
        sparse = rest + multiplier / penalty
        sparse = np.sign(sparse) * np.maximum(np.abs(sparse) - weight / penalty, 0)
        multiplier = multiplier + penalty * (rest - sparse)
        penalty *= 1.5
        if np.linalg.norm(rest - sparse) < 1e-4 * np.linalg.norm(matrix):
            break
    return np.stack([low_rank, sparse])


class Nmf:
    """Non-negative matrix factorisation with a dictionary for each instrument, learned from the training solos.

    It is told which instruments play, so it knows more than the separator, and looks at nothing.

    Parameters
    ----------
    solos : DataFrame
        Training solos.
    store : VideoStore
    settings : Settings

    References
    ----------
    Virtanen, Monaural sound source separation by NMF, IEEE TASLP 2007; dictionaries as in Smaragdis et al., 2007.
    """

    def __init__(self, solos: pd.DataFrame, store: VideoStore, settings: Settings):
        self.settings = settings
        self.dictionaries = {
            instrument: self._learn([store.sound(video_id) for video_id in part.video_id])
            for instrument, part in solos.groupby("instruments")
        }

    def __call__(self, sources: np.ndarray, instruments: Sequence[str]) -> np.ndarray:
        """Estimates of the sources of a mixture, float32 (N, L), told their instruments."""
        settings = self.settings
        spec = spectra.stft(torch.from_numpy(sources.sum(0)), settings.n_fft, settings.hop)
        dictionary = np.concatenate([self.dictionaries[name] for name in instruments])  # (N R, F)
        magnitude = spec.abs().numpy().T  # (F, T) -> (T, F): scikit-learn has observations in rows
        with _limited_iterations():
            gains, _, _ = non_negative_factorization(
                magnitude, H=dictionary, n_components=len(dictionary), init="custom", update_H=False, max_iter=200,
                tol=1e-3,
            )  # fmt: skip
        by_source = zip(np.split(gains, len(sources), axis=1), np.split(dictionary, len(sources)), strict=True)
        return _wiener(spec, np.stack([g @ d for g, d in by_source]), settings, sources.shape[-1])

    def _learn(self, sounds: list[np.ndarray]) -> np.ndarray:
        """Dictionary (R, F) from the same share of each sound."""
        settings = self.settings
        share = int(_LEARNING_S * settings.sample_rate_hz / len(sounds))
        heard = torch.from_numpy(np.concatenate([sound[:share] for sound in sounds]))
        magnitude = spectra.stft(heard, settings.n_fft, settings.hop).abs().numpy().T
        model = NMF(settings.nmf_components, init="nndsvda", max_iter=200, tol=1e-3, random_state=settings.seed)
        with _limited_iterations():
            model.fit(magnitude)
        return model.components_.astype(np.float32)


def _in_best_order(sources: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """Estimates (N, L) in the order that fits the sources best, for methods whose parts have no names."""
    orders = itertools.permutations(range(len(sources)))
    best = max(orders, key=lambda order: float((sources * estimates[list(order)]).sum()))
    return estimates[list(best)]


@contextlib.contextmanager
def _limited_iterations() -> Iterator[None]:
    """Stop after a set number of iterations; that is meant, so nothing is to be warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def _wiener(spec: torch.Tensor, parts: np.ndarray, settings: Settings, length: int) -> np.ndarray:
    """Waveforms (N, L) of a mixture (F, T) shared out as the modelled magnitudes (N, T, F) say."""
    mask = spectra.ideal_ratio_mask(torch.from_numpy(parts.transpose(0, 2, 1).astype(np.float32)))
    return spectra.istft(spectra.apply_mask(spec, mask), settings.n_fft, settings.hop, length).numpy()
