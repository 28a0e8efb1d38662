"""The audio net: a U-Net from what is heard to channels of sound, and what stands before and behind it.

Axes: B batch, N sources, K channels, F bins, T steps. Used by ``networks``, ``ear`` and ``semantic``.
"""

import torch
from torch import Tensor, nn

from avsep_lib import spectra
from avsep_lib.settings import Settings


class AudioNet(nn.Module):
    """Listens: a U-Net from the mixture's log magnitude to K channels of sound.

    Parameters
    ----------
    channels : int
        Channels K of the output, without activation.
    levels : int
        Halvings of both axes; F and T must be multiples of ``2 ** levels``.
    base_channels : int
        Width of the first level; it doubles up to eight times that.
    time_stride : int
        Steps that the first level takes as one, before it halves both axes: work falls by as much, and masks become
        smoother in time. T must be a multiple of it too.

    References
    ----------
    Zhao et al., The Sound of Pixels, ECCV 2018, section 3.2. With 32, 7 and 64 it has the 30,274,210 parameters of
    the released network. Strided time: Zhu and Rahtu, V-SlowFast Network for Efficient Visual Sound Separation, WACV
    2022.
    """

    def __init__(self, channels: int = 32, levels: int = 7, base_channels: int = 64, time_stride: int = 1):
        super().__init__()
        widths = [base_channels * min(2**level, 8) for level in range(levels)]
        self.input_norm = nn.BatchNorm2d(1)
        self.down = nn.ModuleList(
            _down(before, width, first=level == 0, last=level == levels - 1, time_stride=1 if level else time_stride)
            for level, (before, width) in enumerate(zip([1, *widths], widths, strict=False))
        )
        self.up = nn.ModuleList(
            _up(
                widths[level] * (1 if level == levels - 1 else 2),
                widths[level - 1] if level else channels,
                outermost=level == 0,
                time_stride=1 if level else time_stride,
            )
            for level in reversed(range(levels))
        )

    def forward(self, log_magnitude: Tensor) -> Tensor:
        """Log magnitude (B, F, T) -> channels of sound (B, K, F, T)."""
        return self.up[-1](self._below_top(log_magnitude))

    def weighted_sum(self, log_magnitude: Tensor, weights: Tensor) -> Tensor:
        """Sums of the channels of sound: log magnitude (B, F, T), weights (B, N, K) -> (B, N, F, T).

        The same as ``einsum("bnk,bkft->bnft", weights, self(log_magnitude))``, and several times faster for few sums.
        The layers after the last ReLU are linear, so the sum over channels can be taken first, in their weights; and
        each of the 3 x 3 taps of the convolution is but one number for each bin, so it can be taken before enlarging.
        """
        relu, enlarge, convolution = self.up[-1]
        taps = torch.einsum("bnk,kcyx->bnyxc", weights, convolution.weight)
        x = relu(self._below_top(log_magnitude))
        # As a product of (B, places, C) and (B, C, 9 N), which keeps the gradient in the order of memory of x.
        each = x.movedim(1, -1).flatten(1, 2) @ taps.flatten(1, 3).mT
        each = enlarge(each.mT.unflatten(-1, x.shape[-2:]))  # (B, places, 9 N) -> (B, 9 N, F, T)
        each = nn.functional.pad(each, (1, 1, 1, 1)).unflatten(1, taps.shape[1:4])  # (B, N, 3, 3, F + 2, T + 2)
        bins, steps = log_magnitude.shape[-2:]
        total = sum(each[:, :, i, j, i : i + bins, j : j + steps] for i in range(3) for j in range(3))
        return total + (weights @ convolution.bias)[..., None, None]

    def _below_top(self, log_magnitude: Tensor) -> Tensor:
        """What the last layers up work on: (B, F, T) -> (B, C, F / 2, T / 2 / time_stride)."""
        x = self.input_norm(log_magnitude.unsqueeze(1))  # (B, F, T) -> (B, 1, F, T)
        skips = []
        for down in self.down:
            x = down(x)
            skips.append(x)
        x = skips.pop()
        for up in self.up[:-1]:
            x = torch.cat([skips.pop(), up(x)], dim=1)
        return x


def fresh_audio_net(settings: Settings, channels: int) -> AudioNet:
    """An audio net of the size that the settings say, with the published initial weights."""
    net = AudioNet(channels, settings.audio_levels, settings.audio_base_channels, settings.audio_time_stride)
    return net.apply(_small_weights)


def log_magnitude(magnitude: Tensor) -> Tensor:
    """What the audio net hears: the natural logarithm of a magnitude, (..., F, T)."""
    return (magnitude + spectra.LOG_FLOOR).log()


def compete(logits: Tensor) -> Tensor:
    """Logits against all the others: (B, N, F, T) -> (B, N, F, T), whose sigmoids are a softmax over N.

    A single source has nobody to compete with and keeps its logits.
    """
    if logits.shape[1] == 1:
        return logits
    others = [logits[:, [m for m in range(logits.shape[1]) if m != n]].logsumexp(1) for n in range(logits.shape[1])]
    return logits - torch.stack(others, dim=1)


def _down(before: int, width: int, first: bool, last: bool, time_stride: int) -> nn.Sequential:
    """Halve both axes: (B, before, F, T) -> (B, width, F / 2, T / 2 / time_stride)."""
    kernel, stride, padding = (4, 4 * time_stride), (2, 2 * time_stride), (1, time_stride)
    convolution = nn.Conv2d(before, width, kernel, stride, padding, bias=False)
    if first:
        return nn.Sequential(convolution)
    # Not in place: the skip connection needs the value before the activation.
    layers = [nn.LeakyReLU(0.2), convolution]
    return nn.Sequential(*layers) if last else nn.Sequential(*layers, nn.BatchNorm2d(width))


def _up(before: int, width: int, outermost: bool, time_stride: int) -> nn.Sequential:
    """Double both axes: (B, before, F, T) -> (B, width, 2 F, 2 T time_stride)."""
    layers = [
        nn.ReLU(),
        nn.Upsample(scale_factor=(2, 2 * time_stride), mode="bilinear", align_corners=True),
        nn.Conv2d(before, width, 3, padding=1, bias=outermost),
    ]
    return nn.Sequential(*layers) if outermost else nn.Sequential(*layers, nn.BatchNorm2d(width))


def _small_weights(module: nn.Module) -> None:
    """Start as published: convolutions from N(0, 0.001), norms from N(1, 0.02)."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.001)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
