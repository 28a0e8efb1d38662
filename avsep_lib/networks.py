"""The networks: frame net, audio net, synthesizer, and the separator built of them.

Axes: B batch, N sources, K channels, F bins, T steps, L samples, P pictures, H W of a picture, h w of a feature map.
Pictures are uint8 (..., H, W, 3). Used by notebooks 02 to 05.
"""

import copy
import functools
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from avsep_lib import files, spectra, windows
from avsep_lib.backbones import Backbone
from avsep_lib.settings import Settings, StudyError, from_parameters, to_dict

_WINDOWS = 4  # of a sound that go through the nets at a time


class FrameNet(nn.Module):
    """Looks: pictures of a clip in, a query of K channels out.

    A convolution brings the backbone's features to K channels; the largest value over places and pictures is the
    query. Its kernel is 3 x 3 on ResNet-18, as published, and 1 x 1 on EfficientNet-Lite0, whose cells see far enough.

    References
    ----------
    Zhao et al., The Sound of Pixels, ECCV 2018, section 3.2.
    """

    def __init__(self, backbone: Backbone, channels: int):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Conv2d(backbone.out_channels, channels, backbone.kernel, padding=backbone.kernel // 2)

    def features(self, seen: Tensor) -> Tensor:
        """Backbone features of pictures: uint8 (..., P, H, W, 3) -> float (..., P, C, h, w); cached ones pass."""
        if seen.dtype != torch.uint8:
            return seen.float()
        flat = self.backbone(seen.flatten(0, -4))  # (..., P, H, W, 3) -> (B, H, W, 3) -> (B, C, h, w)
        return flat.unflatten(0, seen.shape[:-3])

    def pixel_queries(self, features: Tensor) -> Tensor:
        """The query of every place: (..., P, C, h, w) -> (..., P, K, h, w), within (0, 1)."""
        flat = self.head(features.flatten(0, -4))
        return flat.sigmoid().unflatten(0, features.shape[:-3])

    def forward(self, features: Tensor) -> Tensor:
        """The query of a clip: (..., P, C, h, w) -> (..., K), the maximum over pictures and places."""
        return self.pixel_queries(features).amax(dim=(-4, -2, -1))


class FrameClassifier(nn.Module):
    """A frame net with one linear layer on top that names the instrument."""

    def __init__(self, frame_net: FrameNet, n_classes: int):
        super().__init__()
        self.frame_net = frame_net
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Initializing zero-element tensors")  # without classes
            self.linear = nn.Linear(frame_net.head.out_channels, n_classes)

    def forward(self, features: Tensor) -> Tensor:
        """Class scores of a clip: (..., P, C, h, w) -> (..., classes)."""
        return self.linear(self.frame_net(features))

    def maps(self, features: Tensor) -> Tensor:
        """Class scores of each place: (..., P, C, h, w) -> (..., P, classes, h, w)."""
        queries = self.frame_net.pixel_queries(features).movedim(-3, -1)  # (..., P, K, h, w) -> (..., P, h, w, K)
        return self.linear(queries).movedim(-1, -3)


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


class Synthesizer(nn.Module):
    """Brings both together: an inner product of query and sound, a scale for each channel, one bias.

    References
    ----------
    Zhao et al., The Sound of Pixels, ECCV 2018, section 3.2.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, queries: Tensor, sound: Tensor) -> Tensor:
        """Mask logits: queries (B, N, K), sound (B, K, F, T) -> (B, N, F, T)."""
        return torch.einsum("bnk,bkft->bnft", queries * self.scale, sound) + self.bias

    def of(self, queries: Tensor, audio_net: AudioNet, log_magnitude: Tensor) -> Tensor:
        """Mask logits of a mixture (B, F, T), the shorter way for few queries (B, N, K); equal up to rounding."""
        if 9 * queries.shape[1] < audio_net.up[-1][-1].in_channels:
            return audio_net.weighted_sum(log_magnitude, queries * self.scale) + self.bias
        return self(queries, audio_net(log_magnitude))


class Separator(nn.Module):
    """Frame net, audio net and synthesizer, with the settings they were built of.

    Parameters
    ----------
    settings : Settings
    instruments : sequence of str
        Class names, in the order of ``classifier``.
    pretrained : bool
        Whether a trained backbone starts from ImageNet weights (not needed before a checkpoint is loaded).

    Attributes
    ----------
    classifier : FrameClassifier
        The frame net as it was before combined training: it names instruments and their places in duets.
    """

    def __init__(self, settings: Settings, instruments: Sequence[str], pretrained: bool | None = None):
        super().__init__()
        backbone = Backbone(settings.backbone, settings.pretrained if pretrained is None else pretrained)
        self.settings, self.instruments = settings, list(instruments)
        self.frame_net = FrameNet(backbone, settings.channels)
        self.audio_net = fresh_audio_net(settings, settings.channels)
        self.synthesizer = Synthesizer(settings.channels)
        self.classifier = FrameClassifier(FrameNet(backbone, settings.channels), len(self.instruments))

    @property
    def sample_rate_hz(self) -> int:
        """Rate of every waveform that goes in or out."""
        return self.settings.sample_rate_hz

    def start_from(self, classifier: FrameClassifier) -> None:
        """Take over a trained frame net: as it is for names and places, and as the start of combined training.

        Without the setting ``names_first``, combined training starts as it is, from ImageNet alone.
        """
        if not self.frame_net.backbone.frozen:
            # Combined training moves the shared trunk; the classifier keeps its own.
            self.classifier.frame_net.backbone = copy.deepcopy(classifier.frame_net.backbone)
        self.classifier.load_state_dict(classifier.state_dict())
        self.classifier.requires_grad_(False)
        if self.settings.names_first:
            self.frame_net.load_state_dict(classifier.frame_net.state_dict())

    def forward(self, log_magnitude: Tensor, queries: Tensor) -> Tensor:
        """Mask logits: log magnitude (B, F, T) and queries (B, N, K) -> (B, N, F, T)."""
        return self.synthesizer.of(queries, self.audio_net, log_magnitude)

    def predict(self, magnitude: Tensor, queries: Tensor, alone: bool = False) -> Tensor:
        """Masks on the audio net's axis.

        Parameters
        ----------
        magnitude : Tensor, shape (B, F, T)
            Of the mixture, on the audio net's axis.
        queries : Tensor, shape (B, N, K)
            Of all who sound: with the setting ``competing`` their masks share each bin.
        alone : bool
            Each query answers for itself whatever the settings say, as places of a picture do.

        Returns
        -------
        Tensor, shape (B, N, F, T)
            Within [0, 1]; zeros and ones when binary masks are cut (``soft_masks=False``).
        """
        return self._cut(self._soft(magnitude, queries, alone))

    def masks(self, mixture_spec: Tensor, queries: Tensor, alone: bool = False) -> Tensor:
        """Masks on the linear axis, ready to apply: as :meth:`predict`, of a complex spectrogram (B, F, T).

        They are unwarped before they are cut, as in the released code, so that cut masks are zeros and ones here too.
        """
        axis, bins = self.settings.frequency_axis, mixture_spec.shape[-2]
        magnitude = spectra.warp(spectra.magnitude(mixture_spec), axis, self.settings.log_bins)
        return self._cut(spectra.unwarp(self._soft(magnitude, queries, alone), axis, bins))

    def estimates(self, waves: Tensor, queries: Tensor, alone: bool = False) -> Tensor:
        """Waveforms that queries ask for: mixtures (B, L) of a clip's length, queries (B, N, K) -> (B, N, L)."""
        masks_of = functools.partial(self.masks, queries=queries, alone=alone)
        return spectra.through_masks(waves, masks_of, self.settings.n_fft, self.settings.hop)

    def _soft(self, magnitude: Tensor, queries: Tensor, alone: bool) -> Tensor:
        """Masks on the audio net's axis before any cut, (B, N, F, T)."""
        logits = self(log_magnitude(magnitude), queries).float()
        return (compete(logits) if self.settings.competing and not alone else logits).sigmoid()

    def _cut(self, mask: Tensor) -> Tensor:
        """A binary mask cut at a half where the settings ask for it."""
        cut = self.settings.mask == "binary" and not self.settings.soft_masks
        return (mask > 0.5).to(mask.dtype) if cut else mask

    @torch.inference_mode()
    def separate(self, mixture: np.ndarray, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Waveform of each source that the pictures ask for.

        Parameters
        ----------
        mixture : float array, shape (L,)
            At ``sample_rate_hz``, of any length.
        frames : N uint8 arrays, each of shape (P, H, W, 3)
            Pictures of each source.

        Returns
        -------
        float32 array, shape (N, L)

        Raises
        ------
        StudyError
            If shapes or types are not those above.

        Notes
        -----
        Windows of a clip's length overlap by half and are cross-faded, so length costs time but not quality.
        """
        mixture, pictures = _checked(mixture, frames)
        device = self.synthesizer.bias.device
        queries = torch.stack([self.frame_net(self.frame_net.features(p.to(device))) for p in pictures])  # (N, K)
        return self.separate_queries(mixture, lambda window: queries)

    def separate_queries(self, mixture: np.ndarray, queries_at: Callable, alone: bool = False) -> np.ndarray:
        """As :meth:`separate`, with ``queries_at(start_sample) -> (N, K)`` giving each window's queries."""
        return np.concatenate(list(self.stream([mixture], queries_at, alone)), axis=1)

    @torch.inference_mode()
    def stream(
        self, blocks: Iterable[np.ndarray], queries_at: Callable[[int], Tensor], alone: bool = False
    ) -> Iterator[np.ndarray]:
        """Separate sound of any length as it comes, with a few windows in memory.

        Parameters
        ----------
        blocks : iterable of float arrays, shape (n,)
            The mixture at ``sample_rate_hz`` in blocks of any sizes, read as far as the next estimates need.
        queries_at : callable
            Given the sample at which a window starts, its queries (N, K); called once for each window, in order.
        alone : bool
            As in :meth:`predict`.

        Yields
        ------
        float32 array, shape (N, m)
            Pieces of the estimates in order; together they are as long as the mixture.

        Notes
        -----
        Four windows go through the nets at a time: on two cores that takes two thirds of the time of one by one, and
        eight are hardly quicker. float32 throughout: bfloat16 would save a tenth of a second for each minute of sound.
        """
        settings, device = self.settings, self.synthesizer.bias.device
        length, start = settings.clip_samples, 0
        faded, pending = windows.CrossFade(length, device), windows.cut(blocks, length)
        while batch := list(itertools.islice(pending, _WINDOWS)):
            queries = torch.stack([queries_at(start + n * (length // 2)) for n in range(len(batch))])  # (B, N, K)
            waves = torch.from_numpy(np.stack([window for window, _ in batch])).to(device)
            estimates = self.estimates(waves, queries, alone)
            for estimate, (_, own) in zip(estimates, batch, strict=True):
                yield faded.add(estimate, own).cpu().numpy()
            start += len(batch) * (length // 2)


def compete(logits: Tensor) -> Tensor:
    """Logits against all the others: (B, N, F, T) -> (B, N, F, T), whose sigmoids are a softmax over N.

    A single source has nobody to compete with and keeps its logits.
    """
    if logits.shape[1] == 1:
        return logits
    others = [logits[:, [m for m in range(logits.shape[1]) if m != n]].logsumexp(1) for n in range(logits.shape[1])]
    return logits - torch.stack(others, dim=1)


def log_magnitude(magnitude: Tensor) -> Tensor:
    """What the audio net hears: the natural logarithm of a magnitude, (..., F, T)."""
    return (magnitude + spectra.LOG_FLOOR).log()


def save_separator(separator: Separator, path: str | Path) -> None:
    """Write weights, settings and class names to one file, atomically.

    A frozen backbone is left out: its weights come with the installation.
    """
    save_net(separator, separator.settings, separator.instruments, separator.frame_net.backbone.frozen, path)


def load_separator(path: str | Path, device: str = "cpu") -> Separator:
    """Read a separator that :func:`save_separator` wrote; no code of the file is executed.

    Parameters
    ----------
    path : str or Path
    device : str
        ``cpu`` or ``cuda``.

    Returns
    -------
    Separator
        In evaluation mode.

    Raises
    ------
    StudyError
        If the file is missing, broken, or of other settings; the message names the field that does not fit.
    """
    content, settings = read_net(path)
    separator = Separator(settings, content["instruments"], pretrained=settings.backbone == "efficientnet_lite0")
    if settings.backbone == "resnet18":
        separator.classifier.frame_net.backbone = copy.deepcopy(separator.frame_net.backbone)
    load_state(separator, content["state"], path)
    return separator.to(device).eval()


def save_frame_classifier(
    classifier: FrameClassifier, settings: Settings, instruments: Sequence[str], path: str | Path
) -> None:
    """Write a trained frame net with its classes, as :func:`save_separator` does."""
    save_net(classifier, settings, instruments, classifier.frame_net.backbone.frozen, path)


def load_frame_classifier(path: str | Path, device: str = "cpu") -> tuple[FrameClassifier, list[str]]:
    """Read what :func:`save_frame_classifier` wrote; no code of the file is executed.

    Parameters
    ----------
    path : str or Path
    device : str
        ``cpu`` or ``cuda``.

    Returns
    -------
    classifier : FrameClassifier
        In evaluation mode.
    instruments : list of str
        Names of its classes, in their order.

    Raises
    ------
    StudyError
        If the file is missing, broken, or of other settings; the message names the field that does not fit.
    """
    content, settings = read_net(path)
    backbone = Backbone(settings.backbone, pretrained=settings.backbone == "efficientnet_lite0")
    classifier = FrameClassifier(FrameNet(backbone, settings.channels), len(content["instruments"]))
    load_state(classifier, content["state"], path)
    return classifier.to(device).eval(), content["instruments"]


def save_net(module: nn.Module, settings: Settings, instruments: Sequence[str], frozen: bool, path: str | Path) -> None:
    """Write weights (without those of a frozen backbone), settings and class names to one file, atomically."""
    state = {k: v.cpu() for k, v in module.state_dict().items() if not (frozen and "backbone.body." in k)}
    content = {"settings": to_dict(settings), "instruments": list(instruments), "state": state}
    with files.atomic(path) as temporary:
        torch.save(content, temporary)


def read_net(path: str | Path) -> tuple[dict, Settings]:
    """Content and settings of what :func:`save_net` wrote, both checked; no code of the file is executed."""
    content = load_checked(path, ("settings", "instruments", "state"))
    try:
        return content, from_parameters(**content["settings"])
    except StudyError as error:
        raise StudyError(f"{path}: made with other settings than this version knows: {error}") from None


def load_checked(path: str | Path, fields: Sequence[str]) -> dict:
    """A checkpoint's dictionary without executing code of it, with the fields it must have."""
    path = Path(path)
    if not path.is_file():
        raise StudyError(f"{path}: there is no such checkpoint; notebooks 02 (frame net) and 03 make them")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise StudyError(f"{path}: cannot be read as a checkpoint ({reason}); train it again") from None
    kinds = {"instruments": list}  # of the fields; the others are dictionaries
    for name in fields:
        if not isinstance(content, dict) or not isinstance(content.get(name), kinds.get(name, dict)):
            raise StudyError(f"{path}: is no checkpoint of this study, it has no {name!r}")
    return content


def load_state(module: nn.Module, state: dict[str, Tensor], path: str | Path) -> None:
    """Load weights, a frozen backbone's excepted; a name or shape that differs is refused and named."""
    expected = module.state_dict()
    for key, value in expected.items():
        if key in state and state[key].shape != value.shape:
            raise StudyError(
                f"{path}: made with other settings, {key} is {tuple(state[key].shape)} "
                f"but these settings need {tuple(value.shape)}"
            )
    frozen = {
        f"{name}.{key}"
        for name, part in module.named_modules(remove_duplicate=False)
        if isinstance(part, Backbone) and part.frozen
        for key in part.state_dict()
    }
    wrong = sorted((expected.keys() - frozen) ^ (state.keys() - frozen))
    if wrong:
        raise StudyError(f"{path}: made with other settings, {wrong[0]} is only on one side")
    module.load_state_dict(state, strict=False)


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


def fresh_audio_net(settings: Settings, channels: int) -> AudioNet:
    """An audio net of the size that the settings say, with the published initial weights."""
    net = AudioNet(channels, settings.audio_levels, settings.audio_base_channels, settings.audio_time_stride)
    return net.apply(_small_weights)


def _small_weights(module: nn.Module) -> None:
    """Start as published: convolutions from N(0, 0.001), norms from N(1, 0.02)."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.001)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


def _checked(mixture: np.ndarray, frames: Sequence[np.ndarray]) -> tuple[np.ndarray, list[Tensor]]:
    """Arguments of :meth:`Separator.separate` after a look at their shapes and types."""
    mixture = np.asarray(mixture, dtype=np.float32)
    if mixture.ndim != 1 or not len(mixture):
        raise StudyError(f"mixture must have shape (L,), not {mixture.shape}; average the channels first")
    if not np.isfinite(mixture).all():
        raise StudyError("mixture holds NaN or infinity; look for the cause where it was computed")
    if not len(frames):
        raise StudyError("frames must hold one list of pictures for each source")
    for n, pictures in enumerate(frames):
        pictures = np.asarray(pictures)
        if pictures.ndim != 4 or pictures.shape[-1] != 3 or pictures.dtype != np.uint8 or not len(pictures):
            raise StudyError(f"frames[{n}] must be uint8 (P, H, W, 3), not {pictures.dtype} {pictures.shape}")
    return mixture, [torch.from_numpy(np.ascontiguousarray(pictures)) for pictures in frames]
