"""The ear: an audio net that is told which instruments play, and says of each bin whose it is.

It has no pictures: the classes come from the eye, or from whoever asks. Axes as in ``networks``, with C classes; a
*query* here is a distribution over the classes, (C,), one-hot for a class that is known. Used by ``pretrained`` and
``ear_training``.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsep_lib import spectra
from avsep_lib.settings import Settings

_SOFTENED = 1e-4  # of the mixture's root mean square: magnitudes below are heard as silence
_EMBEDDED = 64  # numbers that say who plays
_SOFTER = 1.5  # than trained: masks on sounds that were never heard are less often right than they are sure
_QUIET = 1e-5  # root mean square of a magnitude below which nothing is made louder


class Ear(nn.Module):
    """Listens for given classes: a U-Net whose every level is told who plays.

    Parameters
    ----------
    settings : Settings
        ``audio_levels``, ``audio_base_channels`` and ``audio_time_stride`` as for ``AudioNet``; ``channels`` are the K
        channels of sound, of which each class takes a weighted sum.
    instruments : sequence of str
        Names of the C classes.

    Notes
    -----
    All masks of a mixture come from one pass, whoever is asked for: what differs from the audio net of a separator is
    that the classes asked for scale and shift the features of every level (FiLM), so that the net listens for what it
    is asked, and that each bin knows its frequency, by which a tuba differs from a flute. The last level makes its
    2 x 4 bins at once (sub-pixel convolution) instead of enlarging first, which takes a third less time.

    References
    ----------
    Perez et al., FiLM: Visual Reasoning with a General Conditioning Layer, AAAI 2018. Slizovskaia et al., Conditioned
    Source Separation for Musical Instrument Performances, TASLP 2021. Shi et al., Real-Time Single Image and Video
    Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network, CVPR 2016.
    """

    def __init__(self, settings: Settings, instruments: Sequence[str]):
        super().__init__()
        self.settings, self.instruments = settings, list(instruments)
        levels, stride, channels = settings.audio_levels, settings.audio_time_stride, settings.channels
        widths = [settings.audio_base_channels * min(2**level, 8) for level in range(levels)]
        self.told = nn.Sequential(nn.Linear(len(self.instruments) + 1, _EMBEDDED), nn.ReLU())
        self.down = nn.ModuleList(
            _Down(before, width, 1 if level else stride)
            for level, (before, width) in enumerate(zip([2, *widths], widths, strict=False))
        )
        self.up = nn.ModuleList(
            _Up(widths[level] * (1 if level == levels - 1 else 2), widths[level - 1])
            for level in reversed(range(1, levels))
        )
        self.top = nn.Conv2d(2 * widths[0], channels * 4 * stride, 3, padding=1)
        self.classes = nn.Parameter(torch.randn(len(self.instruments) + 1, channels) / channels**0.5)

    def forward(self, magnitude: Tensor, asked: Tensor, closed: bool = True) -> Tensor:
        """Scores of each class, and of anything else, at each bin.

        Parameters
        ----------
        magnitude : Tensor, shape (B, F, T)
            Of the mixture, on the audio net's axis.
        asked : Tensor, shape (B, C)
            1 for each class that is asked for, or how probable it is that it plays.
        closed : bool
            Nothing else sounds.

        Returns
        -------
        Tensor, shape (B, C + 1, F, T)
            A softmax over those who may have it shares out a bin; the last is for what nobody asked for.
        """
        told = self.told(F.pad(asked, (0, 1), value=float(closed)))  # (B, C + 1) -> (B, E)
        x, skips = self._heard(magnitude), []
        for down in self.down:
            x = down(x, told)
            skips.append(x)
        x = skips.pop()
        for up in self.up:
            x = torch.cat([skips.pop(), up(x, told)], dim=1)
        sound = _enlarged(self.top(x.relu()), 2, 2 * self.settings.audio_time_stride)  # (B, K, F, T)
        return torch.einsum("ck,bkft->bcft", self.classes, sound)

    def _heard(self, magnitude: Tensor) -> Tensor:
        """Log magnitude at one loudness for all mixtures, and each bin's place on the axis: (B, 2, F, T)."""
        loudness = magnitude.square().mean((1, 2), keepdim=True).sqrt().clamp_min(_QUIET)
        heard = (magnitude / loudness + _SOFTENED).log() / 4 + 1
        place = torch.linspace(-1, 1, magnitude.shape[1], device=magnitude.device)
        return torch.stack([heard, place[:, None].expand_as(heard)], dim=1)

    def masks(self, mixture_spec: Tensor, queries: Tensor, alone: bool = False) -> Tensor:
        """Masks on the linear axis, ready to apply.

        Parameters
        ----------
        mixture_spec : complex Tensor, shape (B, F, T)
        queries : Tensor, shape (B, N, C)
            A distribution over the classes for each source; two alike get the same mask.
        alone : bool
            Each query takes what is its own, with all classes and anything else beside it, as places of a picture do.
            Otherwise the queries are all who play, and their masks add up to one.

        Returns
        -------
        Tensor, shape (B, N, F, T)
        """
        axis, bins = self.settings.frequency_axis, mixture_spec.shape[-2]
        magnitude = spectra.warp(spectra.magnitude(mixture_spec), axis, self.settings.log_bins)
        asked = 1 - (1 - queries).clamp(0, 1).prod(1)  # (B, N, C) -> (B, C)
        shares = (self(magnitude, asked, closed=not alone).float() / _SOFTER).softmax(1)
        wanted = torch.einsum("bnc,bcft->bnft", queries, shares[:, :-1])
        return spectra.unwarp(wanted if alone else spectra.ideal_ratio_mask(wanted), axis, bins)


class _Down(nn.Module):
    """Halve both axes, as told: (B, before, F, T) -> (B, width, F / 2, T / 2 / time_stride)."""

    def __init__(self, before: int, width: int, time_stride: int):
        super().__init__()
        kernel, stride, padding = (4, 4 * time_stride), (2, 2 * time_stride), (1, time_stride)
        self.convolution = nn.Conv2d(before, width, kernel, stride, padding, bias=False)
        self.norm = _ToldNorm(width)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(self.convolution(x), told), 0.2)


class _Up(nn.Module):
    """Double both axes, as told: (B, before, F, T) -> (B, width, 2 F, 2 T)."""

    def __init__(self, before: int, width: int):
        super().__init__()
        self.convolution = nn.Conv2d(before, width, 3, padding=1, bias=False)
        self.norm = _ToldNorm(width)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        enlarged = F.interpolate(x.relu(), scale_factor=2, mode="bilinear", align_corners=False)
        return self.norm(self.convolution(enlarged), told)


class _ToldNorm(nn.Module):
    """A batch norm whose scale and shift follow what the net is told."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.film = nn.BatchNorm2d(width), nn.Linear(_EMBEDDED, 2 * width)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.film(told)[..., None, None].chunk(2, dim=1)
        return self.norm(x) * (1 + scale) + shift


def _enlarged(x: Tensor, rows: int, columns: int) -> Tensor:
    """Channels laid out as bins: (B, K rows columns, F, T) -> (B, K, F rows, T columns)."""
    x = x.unflatten(1, (-1, rows, columns))  # (B, K, rows, columns, F, T)
    return x.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)
