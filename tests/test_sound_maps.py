"""Each place has the energy of its own sound, and the player whose sound it is like."""

import numpy as np
import torch
from made_duets import strip, wave

from avsep_lib import sound_maps, spectra, watching
from avsep_lib.separators import BaseSeparator
from avsep_lib.watching import Watched


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


def test_sound_maps_do_not_depend_on_the_blocks_and_equal_those_of_the_linear_axis(separator, duet, separation):
    seen, sound = watching.look(separator, duet.path), separation.mixture
    maps = sound_maps.sound_maps(separator, seen, separation.players, np.array_split(sound, 50))
    energy, owners = maps.energy, maps.owners
    np.testing.assert_allclose(energy, separation.maps.energy, rtol=1e-4)
    np.testing.assert_allclose(owners, separation.maps.owners, atol=1e-4)
    settings, by_hand = separator.settings, []
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
