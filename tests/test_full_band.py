"""Tracks have the sound's own rate and channels, add up to it, and are what the masks say, below the top and above."""

import dataclasses

import numpy as np
import pytest
import torch

from avsep_lib import full_band, spectra
from avsep_lib.separators import BaseSeparator


def noise(seconds, rate_hz, channels, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, (round(seconds * rate_hz), channels)).astype(np.float32)


class Splits(BaseSeparator):
    """Gives the first source what lies below an edge, the second the rest; queries are not read."""

    def __init__(self, settings, edge_hz=2000.0, least=0.0):
        super().__init__()
        self.settings, self.edge_hz, self.least = settings, edge_hz, least
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def masks(self, mixture_spec, queries, alone=False):
        hz = torch.arange(mixture_spec.shape[-2]) * self.settings.sample_rate_hz / self.settings.n_fft
        low = (hz < self.edge_hz).float().clamp(self.least, 1 - self.least)[:, None].expand(mixture_spec.shape[-2:])
        return torch.stack([low, 1 - low])[: queries.shape[1]].expand(len(mixture_spec), -1, -1, -1)


def separated(separator, sound, rate_hz, blocks=7, n=2, rest=False):
    pieces = full_band.stream(separator, np.array_split(sound, blocks), rate_hz, lambda start: torch.zeros(n, 1), rest)
    return np.concatenate(list(pieces), axis=1)


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_tracks_add_up_to_the_sound_at_every_rate_and_with_all_channels(tiny, rate_hz, channels):
    sound = noise(2.3, rate_hz, channels)
    tracks = separated(Splits(tiny, least=0.2), sound, rate_hz)
    assert tracks.shape == (2, *sound.shape) and tracks.dtype == np.float32
    np.testing.assert_allclose(tracks.sum(0), sound, atol=1e-5)


@pytest.mark.parametrize("rate_hz", [8000, 22_050, 44_100])
def test_what_is_masked_is_what_lies_there(tiny, rate_hz):
    times = np.arange(3 * rate_hz) / rate_hz
    low, high = (0.2 * np.sin(2 * np.pi * hz * times).astype(np.float32) for hz in (700.0, 3300.0))
    tracks = separated(Splits(tiny), np.stack([low + high, low - high], axis=1), rate_hz)
    middle = slice(rate_hz // 4, -rate_hz // 4)  # a tone that is cut off has no single frequency
    assert np.abs(tracks[0] - low[:, None])[middle].max() < 0.01  # the same mask for both channels
    assert np.abs(tracks[1] - np.stack([high, -high], axis=1))[middle].max() < 0.01


def test_above_the_top_a_track_has_its_share_of_the_octave_below(tiny):
    """A tone of 9 kHz goes to who has the octave from 2.6 kHz on."""
    rate_hz = 44_100
    times = np.arange(3 * rate_hz) / rate_hz
    tones = [0.2 * np.sin(2 * np.pi * hz * times).astype(np.float32) for hz in (700.0, 4000.0, 9000.0)]
    tracks = separated(Splits(tiny), sum(tones)[:, None], rate_hz)[..., 0]
    middle = slice(rate_hz // 4, -rate_hz // 4)
    assert np.abs(tracks[0] - tones[0])[middle].max() < 0.01
    assert np.abs(tracks[1] - tones[1] - tones[2])[middle].max() < 0.01


def test_the_carried_share_by_hand():
    masks = torch.tensor([[[1.0], [1], [1], [0.25], [0.25], [0.9], [0.9], [0.9], [0.9]]]).expand(1, 9, 2)
    spec = torch.ones(9, 2, dtype=torch.complex64)
    spec[4:8] = torch.tensor([[3.0], [0], [0], [0]])
    made = full_band.carried(masks, spec, 0)
    top = round(0.95 * 8)
    assert made.shape == masks.shape and torch.equal(made[:, :top], masks[:, :top])
    torch.testing.assert_close(made[:, top:], torch.full((1, 9 - top, 2), 0.25))


def test_masks_are_shared_evenly_where_nobody_wants_anything():
    masks = torch.tensor([[[0.2, 0.0]], [[0.6, 0.0]]])
    torch.testing.assert_close(full_band.shared(masks), torch.tensor([[[0.25, 0.5]], [[0.75, 0.5]]]))


def test_the_rest_is_what_no_query_asks_for(tiny):
    sound = noise(2.3, 22_050, 2)
    both, alone = (separated(Splits(tiny), sound, 22_050, n=n, rest=n == 1) for n in (2, 1))
    np.testing.assert_allclose(alone, both, atol=1e-6)


def test_blocks_do_not_matter(tiny):
    sound = noise(2.3, 22_050, 2)
    np.testing.assert_array_equal(*(separated(Splits(tiny), sound, 22_050, blocks) for blocks in (1, 40)))


def test_windows_ask_in_order_at_the_samples_of_the_separator(tiny):
    asked = []

    def queries_at(start):
        asked.append(start)
        return torch.zeros(2, 1)

    list(full_band.stream(Splits(tiny), [noise(4.0, 44_100, 1)], 44_100, queries_at))
    half = tiny.clip_samples / 2
    assert asked == pytest.approx([n * half for n in range(len(asked))], abs=1.5 * len(asked)) and len(asked) >= 4


def test_at_the_separators_own_rate_it_is_what_the_separator_says(tiny):
    """But for the masks above the top, which are carried."""
    settings = dataclasses.replace(tiny, n_fft=1022, hop=256)
    separator = Splits(settings)
    sound = noise(3.0, settings.sample_rate_hz, 1)
    own = separator.separate_queries(sound[:, 0], lambda start: torch.zeros(2, 1))
    tracks = separated(separator, sound, settings.sample_rate_hz)[..., 0]
    one, other = (spectra.stft(torch.from_numpy(waves), 1022, 256).abs()[:, :450] for waves in (own, tracks))
    assert (one - other).square().mean() < 1e-3 * one.square().mean()
