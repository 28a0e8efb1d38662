"""Sound separated at its own sample rate and channels, by masks that were made at the separator's.

A separator hears one channel up to half of its own rate (5.5 kHz). Its masks are read at the bins and steps of a
spectrogram of the whole sound, and carried on above. Axes: N sources, C channels, F bins, T steps, L samples; those
of the sound's own rate have a stroke: F', T', L'. Used by ``duets``, and so by ``avsep separate`` and notebook 05.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import soxr
import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len
from torch import Tensor

from avsep_lib import spectra, windows
from avsep_lib.separators import WINDOWS, BaseSeparator
from avsep_lib.settings import Settings

_TOP = 0.95  # of half the separator's rate: resampling damps what lies above, so masks are not read there
_CARRIED = 0.5  # of that again: from there on, a mask says what goes on above the top


@torch.inference_mode()
def stream(
    separator: BaseSeparator,
    blocks: Iterable[np.ndarray],
    sample_rate_hz: int,
    queries_at: Callable[[int], Tensor],
    rest: bool = False,
) -> Iterator[np.ndarray]:
    """Separate sound of any length, rate and channels as it comes, with a few windows in memory.

    Parameters
    ----------
    separator : BaseSeparator
    blocks : iterable of float arrays, shape (n, C)
        The mixture in blocks of any sizes, read as far as the next tracks need.
    sample_rate_hz : int
        Of the blocks, and of what comes out.
    queries_at : callable
        Given the sample, at the separator's rate, at which a window starts, its queries (N, K); called once for each
        window, in order.
    rest : bool
        Queries answer for themselves, and one more source is what none of them asks for.

    Yields
    ------
    float32 array, shape (N, m, C)
        Pieces of the tracks in order; together they are as long as the mixture, and all sources add up to it.

    Notes
    -----
    Windows last as long as a clip, overlap by half and are cross-faded. Both are done at the sound's own rate; each
    window is mixed down and resampled by itself for the separator, which makes masks of it.
    """
    settings, device = separator.settings, separator.device
    ratio = sample_rate_hz / settings.sample_rate_hz
    length, start = round(settings.clip_samples * ratio), 0
    faded, pending = windows.CrossFade(length, device), windows.cut(blocks, length)
    while batch := list(itertools.islice(pending, WINDOWS)):
        starts = [round((start + n * (length // 2)) / ratio) for n in range(len(batch))]
        queries = torch.stack([queries_at(first) for first in starts])  # (B, N, K)
        heard = np.stack([_at_rate_of(separator, window, sample_rate_hz) for window, _ in batch])
        specs = spectra.stft(torch.from_numpy(heard).to(device), settings.n_fft, settings.hop)  # (B, F, T)
        for (window, own), spec, masks in zip(batch, specs, separator.masks(specs, queries, rest), strict=True):
            if rest:
                masks = torch.cat([masks, (1 - masks.sum(0, keepdim=True)).clamp_min(0)])
            wave = torch.from_numpy(np.ascontiguousarray(window.T)).to(device)  # (L', C) -> (C, L')
            tracks = masked(wave, shared(masks), spec, settings, sample_rate_hz)  # (N, C, L')
            finished = faded.add(tracks.flatten(0, 1), own).reshape(*tracks.shape[:2], own)
            yield finished.transpose(1, 2).cpu().numpy()
        start += len(batch) * (length // 2)


def shared(masks: Tensor) -> Tensor:
    """Masks whose sum over sources is one in each bin, (N, F, T), evenly where none wants anything."""
    whole = masks.sum(0)
    return torch.where(whole > 0, masks / whole.clamp_min(1e-12), 1 / len(masks))


def masked(wave: Tensor, masks: Tensor, spec: Tensor, settings: Settings, sample_rate_hz: int) -> Tensor:
    """Sound through masks that were made of it at another rate.

    Parameters
    ----------
    wave : Tensor, shape (C, L')
        At ``sample_rate_hz``.
    masks : Tensor, shape (N, F, T)
        On the linear axis, of the same time at the rate of ``settings``.
    spec : complex Tensor, shape (F, T)
        Of the mixture that they were made of.
    settings : Settings
        Of the separator.
    sample_rate_hz : int

    Returns
    -------
    Tensor, shape (N, C, L')
    """
    n_fft = 2 * next_fast_len(round(settings.n_fft * sample_rate_hz / settings.sample_rate_hz / 2), real=True)
    hop = n_fft // 4
    own = spectra.stft(wave, n_fft, hop)  # (C, F', T')
    rows = torch.arange(own.shape[1], device=wave.device) * (sample_rate_hz / n_fft)  # Hz
    steps = torch.arange(own.shape[2], device=wave.device) * (hop / sample_rate_hz)  # s
    masks = carried(masks, spec, settings.sample_rate_hz)
    read = _read(masks, rows * settings.n_fft / settings.sample_rate_hz, steps * settings.sample_rate_hz / settings.hop)
    return spectra.istft(own * read[:, None], n_fft, hop, wave.shape[-1])


def carried(masks: Tensor, spec: Tensor, sample_rate_hz: int) -> Tensor:
    """Masks (N, F, T) whose top is what they let through below it, at each step.

    From 0.95 of half the sample rate on, each mask is one number for a step: its mean over the octave below, weighted
    by the magnitude of the mixture. What a source plays there goes on above: partials, hiss and attacks. Of the ways
    tried on rendered duets with ideal masks this gave the highest SDR above 5.6 kHz: 3.8 dB, with the masks' own last
    rows 3.1 dB, with even shares 0.7 dB.
    """
    bins = masks.shape[-2] - 1
    top = round(_TOP * bins)
    octave = slice(round(_CARRIED * top), top)
    weight = spectra.magnitude(spec[octave]) + 1e-12
    above = (masks[:, octave] * weight).sum(1, keepdim=True) / weight.sum(0)  # (N, 1, T)
    return torch.cat([masks[:, :top], above.expand(-1, bins + 1 - top, -1)], dim=1)


def _read(masks: Tensor, rows: Tensor, steps: Tensor) -> Tensor:
    """Masks (N, F, T) at fractional rows (F',) and steps (T',), bilinearly, the last value beyond their ends."""
    bins, count = masks.shape[-2:]
    y, x = 2 * rows / (bins - 1) - 1, 2 * steps / max(count - 1, 1) - 1
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1).to(masks.dtype)  # (F', T', 2), x first
    return F.grid_sample(masks[None], grid[None], padding_mode="border", align_corners=True)[0]


def _at_rate_of(separator: BaseSeparator, window: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """A window (L', C) as the separator hears it: one channel, at its rate, as long as a clip, (L,)."""
    length, mono = separator.settings.clip_samples, np.ascontiguousarray(window.mean(axis=1), np.float32)
    if sample_rate_hz != separator.sample_rate_hz:
        mono = soxr.resample(mono, sample_rate_hz, separator.sample_rate_hz)[:length]
    return np.pad(mono, (0, length - len(mono)))
