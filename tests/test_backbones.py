"""ImageNet's classifier fits the frozen backbone: together they are the net that was trained."""

import matplotlib.cbook
import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image

from avsep_lib.backbones import Backbone, _weights_of_lite0, imagenet_head
from avsep_lib.eye import imagenet_classes

SIZE_PX = 224


@pytest.fixture(scope="module")
def picture():
    """An officer's portrait, out of matplotlib: (1, H, W, 3)."""
    with matplotlib.cbook.get_sample_data("grace_hopper.jpg") as file:
        image = Image.open(file).convert("RGB").resize((SIZE_PX, SIZE_PX))
    return torch.from_numpy(np.array(image))[None]


@pytest.fixture(scope="module")
def logits(picture):
    return imagenet_head()(Backbone("efficientnet_lite0")(picture).mean((2, 3)))


def test_the_head_is_frozen_and_linear():
    head = imagenet_head()
    assert head.weight.shape == (1000, 1280) and head.bias.shape == (1000,)
    assert not any(parameter.requires_grad for parameter in head.parameters())
    assert head(torch.zeros(2, 7, 7, 1280)).shape == (2, 7, 7, 1000)


def test_body_and_head_are_the_net_that_was_trained(picture, logits):
    net = EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(_weights_of_lite0())
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        whole = net.eval()(((picture / 255 - mean) / std).permute(0, 3, 1, 2))
    torch.testing.assert_close(logits, whole, rtol=1e-3, atol=1e-3)


def test_classes_are_in_the_order_of_the_logits(logits):
    chances = logits.softmax(-1)[0]
    assert chances.sum().item() == pytest.approx(1, abs=1e-5)
    assert imagenet_classes()[chances.argmax()] == "military uniform"
