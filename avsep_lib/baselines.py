"""Floors and ceilings of every table: the mixture itself, NMF, and the ideal masks.

Each function takes waveforms and gives estimates, float32 (N, L), like a separator does. Used by notebooks 01 and 04.
"""

import contextlib
import itertools
import warnings
from collections.abc import Iterator, Sequence

import librosa
import numpy as np
import pandas as pd
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF, non_negative_factorization
from sklearn.exceptions import ConvergenceWarning

from avsep_lib import spectra
from avsep_lib.settings import Settings
from avsep_lib.store import VideoStore

_LEARNING_S = 60.0  # sound of each instrument that a dictionary is learned from


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
    estimates = _wiener(spec, np.stack(parts), settings, sources.shape[-1])
    orders = itertools.permutations(range(count))
    best = max(orders, key=lambda order: float((sources * estimates[list(order)]).sum()))
    return estimates[list(best)]


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
