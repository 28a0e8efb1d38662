"""Each place has the energy of its own sound, and the player whose sound it is like."""

import numpy as np
import pytest
import torch
from made_duets import strip, wave

from avsep_lib import sound_maps, spectra, watching
from avsep_lib.separators import BaseSeparator
from avsep_lib.watching import Player, Watched


def watched(looks, tiny, seconds=3.0):
    return Watched(len(wave(seconds)), looks, looks.amax(0), np.arange(len(looks)) + 0.5, tiny)


def test_sound_lies_where_the_places_let_it_pass(tiny):
    """The mask of a query is its first channel, for every bin; only the left half lets sound pass."""
    looks = torch.zeros(3, 1, 2, 4)
    looks[..., :2] = 1.0

    def place_masks(mixture_spec, queries):
        return queries[:, 0, None, None].expand(-1, tiny.log_bins, mixture_spec.shape[-1]), "log"

    players = [strip("flute", 1.0, 0.0, 0.5), strip("tuba", 1.0, 0.5, 1.0)]
    separator = BaseSeparator()
    separator.settings, separator.place_masks = tiny, place_masks
    maps = sound_maps.sound_maps(separator, watched(looks, tiny), players, [wave(3.0)])
    energy, owners = maps.energy, maps.owners
    assert energy.shape == (2, 4) and owners.shape == (2, 2, 4)
    assert (energy[:, :2] > 0).all() and (energy[:, 2:] == 0).all()
    np.testing.assert_allclose(energy[:, :2], energy[0, 0], rtol=1e-5)
    np.testing.assert_allclose(owners.sum(0), 1, atol=1e-6)
    assert (owners[0, :, :2] > 0.99).all() and (owners[1, :, 2:] > 0.99).all()
    assert (maps.clusters[:, :2] == 0).all() and (maps.clusters[:, 2:] == -1).all()


def by_bands(tiny, looks, players, sound):
    """Maps of a separator whose query has a number for each half of the bins: what it lets pass of them."""

    def place_masks(mixture_spec, queries):
        bins = len(mixture_spec)
        halves = torch.repeat_interleave(queries, torch.tensor([bins // 8, bins - bins // 8]), dim=1)
        return halves[..., None].expand(-1, -1, mixture_spec.shape[-1]), "linear"

    separator = BaseSeparator()
    separator.settings, separator.place_masks = tiny, place_masks
    return sound_maps.sound_maps(separator, watched(looks, tiny, 4.0), players, [sound])


@pytest.fixture
def two_tones(tiny):
    """A low tone for two seconds, then a high one."""
    time_s = np.arange(round(4.0 * tiny.sample_rate_hz)) / tiny.sample_rate_hz
    return np.where(time_s < 2, np.sin(2 * np.pi * 300 * time_s), 0.5 * np.sin(2 * np.pi * 3000 * time_s)).astype("f4")


def test_places_are_clustered_by_their_sound_and_not_by_its_level(tiny, two_tones):
    looks = torch.zeros(4, 2, 3, 6)
    looks[:, 0, :2, :2] = 1.0  # low, at the left
    looks[:, 0, 0, 0] = 0.7  # softer, and yet the same sound
    looks[:, 1, :2, 4:] = 1.0  # high, at the right
    looks[:, :, 2] = 0.6  # some of all, at the bottom
    parts = {"tuba": (0.0, 0.0, 0.5, 2 / 3), "flute": (0.5, 0.0, 1.0, 2 / 3)}
    players = [Player(name, 1.0, part, part) for name, part in parts.items()]
    found = by_bands(tiny, looks, players, two_tones).clusters
    assert found.tolist() == [[0, 0, -1, -1, 1, 1]] * 2 + [[2] * 6]


def test_a_place_has_the_share_of_each_player_that_it_lets_through(tiny, two_tones):
    """Of the energy: the square of what its mask lets through of the player's own sound, however soft that is."""
    looks = torch.zeros(4, 2, 1, 4)
    looks[:, 0, 0, 0], looks[:, 0, 0, 1], looks[:, 1, 0, 2] = 1.0, 0.5, 0.2
    players = [strip("tuba", 1.0, 0.0, 0.5), strip("flute", 1.0, 0.5, 1.0)]
    shares = by_bands(tiny, looks, players, two_tones).shares
    assert shares.shape == (2, 1, 4)
    np.testing.assert_allclose(shares[:, 0], [[1, 0.25, 0, 0], [0, 0, 0.04, 0]], atol=0.01)


def test_the_course_follows_the_sound(tiny, two_tones):
    looks = torch.zeros(4, 2, 1, 2)
    looks[:, 0, 0, 0] = looks[:, 1, 0, 1] = 1.0
    maps = by_bands(tiny, looks, [strip("tuba", 1.0, 0.0, 0.5), strip("flute", 1.0, 0.5, 1.0)], two_tones)
    assert maps.course.shape == (len(maps.times_s), 1, 2) and 3 <= len(maps.times_s) <= 7
    assert (np.diff(maps.times_s) > 0).all() and 0 < maps.times_s[0] < 1 and 3 < maps.times_s[-1] < 4
    early, late = maps.times_s < 1.4, maps.times_s > 2.6
    assert (maps.course[early, 0, 0] > 100 * maps.course[early, 0, 1]).all()
    assert (maps.course[late, 0, 1] > 100 * maps.course[late, 0, 0]).all()
    np.testing.assert_allclose(maps.energy[0, 0], 2 * 2 * maps.energy[0, 1], rtol=0.05)  # twice the level


@pytest.mark.parametrize("seconds", [0.4, 1.0])
def test_sound_shorter_than_a_clip_is_mapped_and_its_filling_does_not_count(tiny, two_tones, seconds):
    looks = torch.ones(1, 2, 1, 2)
    player = [strip("tuba", 1.0, 0.0, 1.0)]
    short = by_bands(tiny, looks, player, two_tones[: round(seconds * tiny.sample_rate_hz)])
    whole = by_bands(tiny, looks, player, two_tones[: tiny.clip_samples])
    np.testing.assert_allclose(short.energy, whole.energy, rtol=0.05)
    assert short.times_s[-1] <= seconds + 0.05
    assert by_bands(tiny, looks, player, np.zeros(5000, np.float32)).clusters.tolist() == [[-1, -1]]


def test_sound_maps_do_not_depend_on_the_blocks_and_equal_those_of_the_linear_axis(separator, duet, separation):
    seen, sound = watching.look(separator, duet.path), separation.mixture
    maps = sound_maps.sound_maps(separator, seen, separation.players, np.array_split(sound, 50))
    energy, owners = maps.energy, maps.owners
    np.testing.assert_allclose(energy, separation.maps.energy, rtol=1e-4)
    np.testing.assert_allclose(owners, separation.maps.owners, atol=1e-4)
    np.testing.assert_array_equal(maps.clusters, separation.maps.clusters)
    settings, by_hand = separator.settings, []
    sound = sound[: len(sound) // settings.clip_samples * settings.clip_samples]
    energy = sound_maps.sound_maps(separator, seen, separation.players, [sound]).energy
    for start in range(0, len(sound) - settings.clip_samples + 1, settings.clip_samples):
        spec = spectra.stft(
            torch.from_numpy(sound[start : start + settings.clip_samples]), settings.n_fft, settings.hop
        )
        places = seen.looks_near(start).amax(0).flatten(1).T
        with torch.inference_mode():
            masks = separator.masks(spec[None], places[None], alone=True)[0]
        by_hand.append((masks.square() * spec.abs().square()).mean(dim=(-2, -1)).reshape(energy.shape))
    np.testing.assert_allclose(energy, torch.stack(by_hand).mean(0), rtol=1e-4)


def test_places_get_the_answers_they_ask_for(separator, duet, separation):
    places = [(0.1, 0.2), (0.9, 0.2), (1.0, 1.0)]
    answers = sound_maps.ask_places(separator, duet.path, places)
    assert answers.shape == (3, len(separation.mixture)) and answers.dtype == np.float32
    alone = sound_maps.ask_places(separator, duet.path, places[1:2])
    np.testing.assert_allclose(alone[0], answers[1], atol=1e-6)  # no rivals among places


def test_a_place_is_counted_from_the_upper_left(separator, duet, monkeypatch):
    asked = []
    monkeypatch.setattr(separator, "separate_queries", lambda mixture, queries, alone: asked.append(queries(0)))
    sound_maps.ask_places(separator, duet.path, [(0.0, 0.99), (0.99, 0.0)])
    looks = watching.look(separator, duet.path).looks_near(0).amax(0)
    torch.testing.assert_close(asked[0], torch.stack([looks[:, -1, 0], looks[:, 0, -1]]))
