"""The audio net keeps the shape of what it hears, and masks that compete share each bin. More of it: test_networks."""

import pytest
import torch

from avsep_lib.audio_net import AudioNet, compete, fresh_audio_net, log_magnitude


def parameters(net):
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("time_stride", [1, 2, 3])
def test_audio_net_keeps_bins_and_steps(time_stride):
    net = AudioNet(channels=5, levels=3, base_channels=4, time_stride=time_stride)
    assert net(torch.randn(2, 32, 48)).shape == (2, 5, 32, 48)
    assert net.weighted_sum(torch.randn(2, 32, 48), torch.rand(2, 3, 5)).shape == (2, 3, 32, 48)


@pytest.mark.parametrize("levels", [1, 3])
def test_strided_time_makes_every_level_as_much_shorter(levels):
    whole, strided = (AudioNet(channels=5, levels=levels, base_channels=4, time_stride=stride) for stride in (1, 2))
    shapes = []
    for net in (whole, strided):
        x = net.input_norm(torch.randn(1, 1, 32, 32))
        shapes.append([(x := down(x)).shape[-2:] for down in net.down])
    assert [(bins, steps // 2) for bins, steps in shapes[0]] == shapes[1]
    # One more number for each bin and step that a tap of the first level sees: 4 x 8 places instead of 4 x 4.
    assert parameters(strided) - parameters(whole) == 4 * 16


def test_audio_net_has_no_activation_at_its_end():
    torch.manual_seed(0)
    sound = AudioNet(channels=8, levels=3, base_channels=4)(torch.randn(2, 32, 16))
    assert sound.min() < 0 < sound.max()


def test_a_fresh_one_has_the_size_of_the_settings_and_small_weights(tiny):
    net = fresh_audio_net(tiny, 5)
    assert net(torch.randn(1, 64, 64)).shape == (1, 5, 64, 64) and len(net.down) == tiny.audio_levels
    assert net.down[0][0].weight.std() < 0.002


def test_logits_that_compete_are_a_softmax():
    logits = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(compete(logits).sigmoid(), logits.softmax(1))
    assert torch.equal(compete(logits[:, :1]), logits[:, :1])


def test_silence_has_a_logarithm():
    heard = log_magnitude(torch.tensor([0.0, 1.0]))
    assert torch.isfinite(heard).all() and heard[1] == pytest.approx(0, abs=1e-6)
