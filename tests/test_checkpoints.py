"""A checkpoint holds weights, settings and names, and what does not fit is named. More of it: test_networks."""

import pytest
import torch
from torch import nn

from avsep_lib import checkpoints
from avsep_lib.backbones import Backbone
from avsep_lib.settings import StudyError


class Net(nn.Module):
    def __init__(self, width=3, frozen=False):
        super().__init__()
        self.linear = nn.Linear(2, width)
        if frozen:
            self.backbone = Backbone("efficientnet_lite0", pretrained=False)


def test_what_was_written_is_read(tiny, tmp_path):
    one, other = Net(), Net()
    checkpoints.save_net(one, tiny, ("flute", "tuba"), False, tmp_path / "net.pt")
    content, settings = checkpoints.read_net(tmp_path / "net.pt")
    assert settings == tiny and content["instruments"] == ["flute", "tuba"]
    checkpoints.load_state(other, content["state"], "net.pt")
    assert torch.equal(one.linear.weight, other.linear.weight)


def test_a_frozen_backbone_neither_travels_nor_is_missed(tiny, tmp_path):
    net = Net(frozen=True)
    checkpoints.save_net(net, tiny, (), True, tmp_path / "net.pt")
    content, _ = checkpoints.read_net(tmp_path / "net.pt")
    assert set(content["state"]) == {"linear.weight", "linear.bias"}
    checkpoints.load_state(Net(frozen=True), content["state"], "net.pt")


def test_a_shape_or_a_name_that_differs_is_named():
    state = Net().state_dict()
    with pytest.raises(StudyError, match=r"here\.pt: .*linear\.weight is \(3, 2\) but these settings need \(4, 2\)"):
        checkpoints.load_state(Net(4), state, "here.pt")
    with pytest.raises(StudyError, match=r"linear\.bias is only on one side"):
        checkpoints.load_state(Net(), {"linear.weight": state["linear.weight"]}, "here.pt")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"settings": {}, "instruments": []}, "'state'"),
        ({"settings": {}, "instruments": {}, "state": {}}, "'instruments'"),
        ([1], "'settings'"),
    ],
)
def test_a_field_that_is_missing_is_named(tmp_path, content, words):
    torch.save(content, tmp_path / "net.pt")
    with pytest.raises(StudyError, match=words):
        checkpoints.read_net(tmp_path / "net.pt")


def test_a_setting_that_is_not_known_is_named(tmp_path):
    torch.save({"settings": {"colour": 1}, "instruments": [], "state": {}}, tmp_path / "net.pt")
    with pytest.raises(StudyError, match=r"net\.pt: made with other settings.*'colour'"):
        checkpoints.read_net(tmp_path / "net.pt")
