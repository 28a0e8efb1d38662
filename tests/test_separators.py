"""What all separators share, with nets that can be worked out by hand."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from avsep_lib.separators import BaseSeparator, checked_mixture, checked_pictures
from avsep_lib.settings import StudyError


class Shares(BaseSeparator):
    """Each source asks for a share of the mixture by how bright its pictures are."""

    def __init__(self, settings):
        super().__init__()
        self.settings, self.instruments = settings, []
        self.unused = nn.Parameter(torch.zeros(1))
        self.alone = []

    def queries_of(self, pictures):
        return torch.stack([each.float().mean()[None] / 255 for each in pictures])

    def masks(self, mixture_spec, queries, alone=False):
        self.alone.append(alone)
        return queries[..., None].expand(-1, -1, *mixture_spec.shape[-2:])


@pytest.fixture
def separator(tiny):
    return Shares(tiny)


def pictures(brightness):
    return np.full((2, 8, 8, 3), brightness, np.uint8)


def noise(length):
    return np.random.default_rng(0).standard_normal(length).astype(np.float32) * 0.1


@pytest.mark.parametrize("clip_samples", [16_383, 32_767])
@pytest.mark.parametrize("windows", [0.1, 1, 2, 2.7, 6.3])
def test_each_source_gets_its_share_without_a_seam(tiny, clip_samples, windows):
    separator = Shares(dataclasses.replace(tiny, clip_samples=clip_samples))
    mixture = noise(int(windows * clip_samples))
    estimates = separator.separate(mixture, [pictures(51), pictures(255), pictures(0)])
    assert estimates.shape == (3, len(mixture)) and estimates.dtype == np.float32
    np.testing.assert_allclose(estimates, np.stack([mixture / 5, mixture, 0 * mixture]), atol=1e-5)
    assert not any(separator.alone)


def test_a_stream_gives_pieces_in_order_and_asks_once_for_each_window(separator, tiny):
    asked, mixture = [], noise(5 * tiny.clip_samples)

    def queries_at(start):
        asked.append(start)
        return torch.tensor([[0.5]])

    pieces = list(separator.stream(np.array_split(mixture, 7), queries_at, alone=True))
    assert len(pieces) > 2 and all(separator.alone)
    assert asked == [n * (tiny.clip_samples // 2) for n in range(len(asked))]
    np.testing.assert_allclose(np.concatenate(pieces, axis=1)[0], mixture / 2, atol=1e-5)


def test_estimates_of_a_batch_are_those_of_each(separator, tiny):
    waves, queries = torch.from_numpy(noise(2 * tiny.clip_samples)).view(2, -1), torch.tensor([[[0.5]], [[1.0]]])
    estimates = separator.estimates(waves, queries)
    torch.testing.assert_close(estimates[:, 0], waves * queries[:, 0], atol=1e-5, rtol=0)


def test_what_is_not_said_otherwise_is_a_maximum(separator):
    looks = torch.tensor([[[[1.0, 2]], [[9, 0]]], [[[3, 0]], [[0, 4]]]])  # (P, K, h, w)
    together = separator.over_pictures(looks)
    assert together.tolist() == [[[3, 2]], [[9, 4]]]
    assert separator.query(together).tolist() == separator.query(together, "flute").tolist() == [3, 9]
    assert separator.choose(torch.tensor([[0.1, 0.9], [0.2, 0.8]])) == (1, 1)


def test_rate_and_device_are_found(separator, tiny):
    assert separator.sample_rate_hz == tiny.sample_rate_hz and separator.device == torch.device("cpu")


def test_what_a_kind_must_bring_is_missing_in_the_base():
    separator = BaseSeparator()
    for call in (
        lambda: separator.queries_of([]),
        lambda: separator.look(torch.zeros(1)),
        lambda: separator.name(torch.zeros(1)),
        lambda: separator.masks(torch.zeros(1), torch.zeros(1)),
        lambda: separator.place_masks(torch.zeros(1), torch.zeros(1)),
    ):
        with pytest.raises(NotImplementedError):
            call()


def test_what_was_looked_at_is_handed_on():
    mixture = checked_mixture([0.0, 1.0])
    assert mixture.dtype == np.float32 and mixture.tolist() == [0, 1]
    (one,) = checked_pictures([pictures(7)[:, ::-1]])  # a view with a negative stride
    assert one.shape == (2, 8, 8, 3) and one.dtype == torch.uint8 and (one == 7).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: checked_mixture(np.zeros((2, 9))), r"\(L,\), not \(2, 9\)"),
        (lambda: checked_mixture([np.inf]), "infinity"),
        (lambda: checked_pictures([]), "frames must hold"),
        (lambda: checked_pictures([pictures(0), pictures(0)[0]]), r"frames\[1\].*\(8, 8, 3\)"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(StudyError, match=words):
        call()
