"""The networks: frame net, synthesizer, and the separator built of them and of an audio net.

Axes: B batch, N sources, K channels, F bins, T steps, L samples, P pictures, H W of a picture, h w of a feature map.
Pictures are uint8 (..., H, W, 3). Used by notebooks 02 to 05.
"""

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from avsep_lib import spectra
from avsep_lib.audio_net import AudioNet, compete, fresh_audio_net, log_magnitude
from avsep_lib.backbones import Backbone
from avsep_lib.checkpoints import load_state, read_net, save_net
from avsep_lib.separators import BaseSeparator
from avsep_lib.settings import Settings


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


class Separator(BaseSeparator):
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

    def queries_of(self, pictures: Sequence[Tensor]) -> Tensor:
        """What the pictures of N sources ask for: each uint8 (P, H, W, 3) -> (N, K)."""
        return torch.stack([self.frame_net(self.frame_net.features(each)) for each in pictures])

    def look(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Pixel queries of pictures, and those of the classifier, by which :meth:`name` names: (P, K, h, w) each."""
        features, own = self.frame_net.features(pictures), self.classifier.frame_net
        looks = self.frame_net.pixel_queries(features)
        if own.backbone is not self.frame_net.backbone:  # trained on, together with the sound
            features = own.features(pictures)
        return looks, own.pixel_queries(features)

    def name(self, named: Tensor, alone: bool = False) -> Tensor:
        """Log probability of each class: what the classifier says of just these places, (P, K, h, w) -> (C,)."""
        return self.classifier.linear(named.amax((0, -2, -1))).log_softmax(-1)

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

    def place_masks(self, mixture_spec: Tensor, queries: Tensor) -> tuple[Tensor, str]:
        """Masks of places on the cheaper axis, the audio net's, and that axis: (F, T), (M, K) -> (M, F', T)."""
        axis = self.settings.frequency_axis
        magnitude = spectra.warp(mixture_spec.abs(), axis, self.settings.log_bins)
        return self.predict(magnitude[None], queries[None], alone=True)[0], axis

    def _soft(self, magnitude: Tensor, queries: Tensor, alone: bool) -> Tensor:
        """Masks on the audio net's axis before any cut, (B, N, F, T)."""
        logits = self(log_magnitude(magnitude), queries).float()
        return (compete(logits) if self.settings.competing and not alone else logits).sigmoid()

    def _cut(self, mask: Tensor) -> Tensor:
        """A binary mask cut at a half where the settings ask for it."""
        cut = self.settings.mask == "binary" and not self.settings.soft_masks
        return (mask > 0.5).to(mask.dtype) if cut else mask


def save_separator(separator: Separator, path: str | Path) -> None:
    """Write weights, settings and class names to one file, atomically.

    A frozen backbone is left out: its weights come with the installation.
    """
    save_net(separator, separator.settings, separator.instruments, separator.frame_net.backbone.frozen, path)


def load_separator(path: str | Path | None = None, device: str = "cpu") -> BaseSeparator:
    """Read a separator of either kind; no code of the file is executed.

    Parameters
    ----------
    path : str or Path, optional
        What :func:`save_separator` wrote, or ``pretrained.save`` (``.safetensors``). By default the weights that come
        with the project.
    device : str
        ``cpu`` or ``cuda``.

    Returns
    -------
    Separator or Pretrained
        In evaluation mode.

    Raises
    ------
    StudyError
        If the file is missing, broken, or of other settings; the message names the field that does not fit.
    """
    from avsep_lib import pretrained

    if path is None or Path(path).suffix == pretrained.WEIGHTS.suffix:
        return pretrained.load(path, device)
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
