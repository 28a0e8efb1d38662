"""Components of a mixture: what comes again is given to who has most of it, and nothing is made up."""

import torch

from avsep_lib import components

LOW, HIGH = torch.zeros(16), torch.zeros(16)
LOW[[2, 4, 6]], HIGH[[9, 12]] = 1, 1


def mixture():
    """Two spectra that come and go, magnitude (1, F, T), and the magnitudes of each (1, 2, F, T)."""
    time = torch.arange(40)
    parts = torch.stack([torch.outer(LOW, (time % 7 < 3).float()), torch.outer(HIGH, (time % 5 < 2).float())])[None]
    return parts.sum(1), parts


def test_a_note_given_to_the_wrong_source_goes_where_its_component_is():
    heard, parts = mixture()
    true = torch.where(heard[:, None] > 0, parts / heard[:, None].clamp_min(1e-6), 0.5)
    masks = true.clamp(0.2, 0.8)
    masks[..., 7:10] = 1 - masks[..., 7:10]  # one of the six times that the low spectrum sounds
    mended = components.agreed(heard, masks)
    given, now = (one[0, 0, 2:7:2, 7:10] for one in (masks, mended))  # what the low source has of its own partials
    assert (given < 0.21).all() and (now > 0.5).all()
    assert (mended[0, 0, 2:7:2, 14:17] > 0.82).all()


def test_masks_stay_shares():
    heard = torch.rand(2, 16, 40)
    masks = torch.rand(2, 3, 16, 40).softmax(1)
    made = components.agreed(heard, masks)
    assert made.shape == masks.shape and (made >= 0).all()
    torch.testing.assert_close(made.sum(1), torch.ones(2, 16, 40))


def test_who_has_the_larger_share_of_all_gets_more_of_it():
    heard, _ = mixture()
    masks = torch.tensor([0.7, 0.3])[None, :, None, None].expand(1, 2, 16, 40)
    made = components.agreed(heard, masks)[0, :, heard[0] > 0]
    assert (made[0] > 0.8).all()


def test_silence_and_even_masks_are_left_even():
    even = torch.full((1, 2, 16, 40), 0.5)
    for heard in (torch.zeros(1, 16, 40), mixture()[0]):
        torch.testing.assert_close(components.agreed(heard, even), even, atol=1e-3, rtol=0)


def test_the_same_mixture_gets_the_same_masks_whatever_is_beside_it():
    heard = torch.rand(3, 16, 40)
    masks = torch.rand(3, 2, 16, 40).softmax(1)
    together = components.agreed(heard, masks)
    torch.testing.assert_close(components.agreed(heard[1:2], masks[1:2]), together[1:2], atol=1e-4, rtol=1e-4)
