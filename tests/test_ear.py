"""The ear: shapes, masks that share, and a net that hears who is asked for."""

import pytest
import torch

from avsep_lib.ear import Ear, _enlarged
from avsep_lib.settings import from_parameters

CLASSES = ["cello", "drum", "flute"]


@pytest.fixture(scope="module")
def settings():
    return from_parameters("smoke")


@pytest.fixture
def ear(settings):
    torch.manual_seed(0)
    ear = Ear(settings, CLASSES)
    for module in ear.modules():
        if hasattr(module, "film"):
            torch.nn.init.normal_(module.film.weight, std=0.5)
    return ear.eval()


def one_hot(*classes):
    return torch.nn.functional.one_hot(torch.tensor(classes), len(CLASSES)).float()


def mixture(settings, batch=2):
    shape = (batch, settings.n_fft // 2 + 1, settings.steps)
    return torch.complex(torch.randn(shape), torch.randn(shape))


def test_scores_of_every_class_and_of_the_rest(ear, settings):
    magnitude = torch.rand(2, settings.log_bins, settings.steps)
    assert ear(magnitude, torch.ones(2, 3)).shape == (2, 4, settings.log_bins, settings.steps)


def test_masks_of_all_who_play_add_up_to_one(ear, settings):
    with torch.inference_mode():
        masks = ear.masks(mixture(settings), one_hot(0, 2).expand(2, 2, 3))
    assert masks.shape == (2, 2, settings.n_fft // 2 + 1, settings.steps)
    torch.testing.assert_close(masks.sum(1), torch.ones_like(masks[:, 0]))


def test_masks_alone_leave_room_for_others(ear, settings):
    with torch.inference_mode():
        masks = ear.masks(mixture(settings), one_hot(0, 2).expand(2, 2, 3), alone=True)
    assert (masks.sum(1) < 1 - 1e-6).all() and (masks >= 0).all()


def test_two_of_one_class_share_evenly_and_one_alone_takes_all(ear, settings):
    with torch.inference_mode():
        two = ear.masks(mixture(settings), one_hot(1, 1).expand(2, 2, 3))
        one = ear.masks(mixture(settings), one_hot(1).expand(2, 1, 3))
    torch.testing.assert_close(two, torch.full_like(two, 0.5))
    torch.testing.assert_close(one, torch.ones_like(one))


def test_loudness_changes_no_mask(ear, settings):
    spec, queries = mixture(settings), one_hot(0, 2).expand(2, 2, 3)
    with torch.inference_mode():
        torch.testing.assert_close(ear.masks(spec, queries), ear.masks(100 * spec, queries), atol=1e-3, rtol=1e-3)


def test_silence_gives_finite_masks(ear, settings):
    with torch.inference_mode():
        masks = ear.masks(0 * mixture(settings), one_hot(0, 2).expand(2, 2, 3))
    assert torch.isfinite(masks).all()


def test_who_else_is_asked_for_is_heard(ear, settings):
    """The mask of the cello is another beside a flute than beside a drum, also within its own scores."""
    magnitude = torch.rand(1, settings.log_bins, settings.steps)
    with torch.inference_mode():
        beside_flute = ear(magnitude, one_hot(0, 2).sum(0, keepdim=True))
        beside_drum = ear(magnitude, one_hot(0, 1).sum(0, keepdim=True))
    assert (beside_flute[:, 0] - beside_drum[:, 0]).abs().max() > 1e-4


def test_a_query_may_be_unsure(ear, settings):
    spec, sure = mixture(settings), one_hot(0, 2).expand(2, 2, 3)
    unsure = 0.98 * sure + 0.02 / 3
    with torch.inference_mode():
        difference = (ear.masks(spec, sure) - ear.masks(spec, unsure)).abs().max()
    assert 0 < difference < 0.2


def test_channels_are_laid_out_as_bins():
    x = torch.arange(2 * 2 * 4, dtype=torch.float).view(1, 16, 1, 1)  # two channels of two rows and four columns
    torch.testing.assert_close(_enlarged(x, 2, 4)[0, 1], torch.arange(8, 16, dtype=torch.float).view(2, 4))


def test_it_learns_whose_a_bin_is(settings):
    """Low bins belong to the cello, high ones to the flute: a few steps are enough to hear that."""
    torch.manual_seed(0)
    ear = Ear(settings, CLASSES).train()
    optimizer = torch.optim.Adam(ear.parameters(), 1e-2)
    half = settings.log_bins // 2
    asked = one_hot(0, 2).sum(0, keepdim=True).expand(4, 3)
    losses = []
    for _ in range(12):
        scores = ear(torch.rand(4, settings.log_bins, settings.steps), asked)[:, [0, 2]].log_softmax(1)
        losses.append(-(scores[:, 0, :half].mean() + scores[:, 1, half:].mean()))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.25 * losses[0]
