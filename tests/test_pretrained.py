"""The separator of the project: queries are classes, chosen together; its weights are believed only whole."""

import dataclasses
import itertools
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import soxr
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from avsep_lib import components, duets, media, networks, pretrained, sound_maps, synthesis
from avsep_lib.ear import Ear
from avsep_lib.pretrained import Pretrained
from avsep_lib.scores import Note
from avsep_lib.settings import MUSIC_21, StudyError, from_parameters

CLASSES = ["cello", "drum", "flute", "violin"]
COLOURS = {"cello": (200, 0, 0), "drum": (0, 200, 0), "flute": (0, 0, 200), "violin": (200, 200, 0)}
GRID = 7


class ColourEye(nn.Module):
    """Knows instruments by their colour, at 7 x 7 places: a class for each, and one for nothing."""

    def logits(self, pictures):
        cells = nn.functional.adaptive_avg_pool2d(pictures.permute(0, 3, 1, 2).float(), GRID)  # (P, 3, 7, 7)
        colours = torch.tensor([COLOURS[name] for name in CLASSES]).float()
        alike = (1 - (cells[:, None] - colours[:, :, None, None]).abs().amax(2) / 100).clamp(0, 1)
        return 20 * torch.cat([alike, torch.full_like(alike[:, :1], 0.5)], 1)

    def told(self, logits, alone=False):
        return logits.softmax(-1)[..., :-1]

    def probabilities(self, pictures):
        scores = self.told(self.logits(pictures).movedim(1, -1)).mean((0, 1, 2)) + 0.01
        return scores / scores.sum()


@pytest.fixture(scope="module")
def settings():
    return from_parameters("smoke", frame_size_px=56)


@pytest.fixture(scope="module")
def ear(settings):
    torch.manual_seed(0)
    ear = Ear(settings, CLASSES)
    with torch.no_grad():
        ear.classes *= 5  # so that untrained masks differ
    return ear.eval()


@pytest.fixture(scope="module")
def separator(ear):
    return Pretrained(ColourEye(), ear).eval()


def picture(*names, size=56):
    """Stripes side by side in the colours of instruments, or black, one picture (1, H, W, 3)."""
    stripes = [np.full((size, size // len(names), 3), COLOURS.get(name, (0, 0, 0)), np.uint8) for name in names]
    return np.concatenate(stripes, axis=1)[None]


def noise(length=20_000, seed=0):
    return np.random.default_rng(seed).standard_normal(length).astype(np.float32) * 0.1


# What it offers


def test_named_gives_probabilities_in_the_order_of_the_classes(separator):
    said = separator.named([picture("flute"), np.concatenate([picture("cello")] * 3)])
    assert said.shape == (2, len(CLASSES)) and said.dtype == np.float32
    np.testing.assert_allclose(said.sum(1), 1, rtol=1e-5)
    assert [CLASSES[one] for one in said.argmax(1)] == ["flute", "cello"]


@pytest.mark.parametrize("length", [1, 16_383, 40_000])
def test_pictures_ask_as_the_names_do(separator, length):
    mixture = noise(length)
    seen = separator.separate(mixture, [picture("violin"), picture("drum")])
    told = separator.separate_named(mixture, ["violin", "drum"])
    assert seen.shape == (2, length) and seen.dtype == np.float32
    np.testing.assert_array_equal(seen, told)
    np.testing.assert_allclose(told.sum(0), mixture, atol=1e-4)
    np.testing.assert_allclose(separator.separate_named(mixture, ["drum", "violin"]), told[::-1], atol=1e-6)


def test_two_of_one_instrument_share_the_mixture_evenly(separator):
    estimates = separator.separate_named(noise(), ["cello", "cello"])
    np.testing.assert_allclose(estimates, np.stack([noise() / 2] * 2), atol=1e-5)


def test_a_single_source_leaves_what_is_not_its_own(separator):
    mixture = noise()
    estimate = separator.separate_named(mixture, ["flute"])[0]
    assert 0 < np.square(estimate).sum() < 0.9 * np.square(mixture).sum()


def test_rate_and_classes_are_those_of_the_ear(separator, settings):
    assert separator.sample_rate_hz == settings.sample_rate_hz and separator.instruments == CLASSES


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda net: net.separate_named(noise(), ["flute", "kazoo"]), "'kazoo' is not known; choose from cello, drum"),
        (lambda net: net.separate_named(noise(), []), "names must hold"),
        (lambda net: net.separate_named(np.zeros((2, 9)), ["flute"]), r"mixture must have shape \(L,\)"),
        (lambda net: net.named([picture("flute")[0]]), r"frames\[0\] must be uint8"),
        (lambda net: net.separate(noise(), []), "frames must hold"),
    ],
)
def test_what_does_not_fit_is_named(separator, call, words):
    with pytest.raises(StudyError, match=words):
        call(separator)


# Choosing together


def chosen(separator, *rows):
    return [CLASSES[one] for one in separator.choose(torch.tensor(rows).log())]


def test_players_are_rather_different(separator):
    assert chosen(separator, (0.7, 0.1, 0.1, 0.1), (0.1, 0.1, 0.7, 0.1)) == ["cello", "flute"]
    # Both look most like a cello, and the second might be a violin as well.
    assert chosen(separator, (0.8, 0.05, 0.05, 0.1), (0.5, 0.05, 0.05, 0.4)) == ["cello", "violin"]
    assert chosen(separator, (0.5, 0.05, 0.05, 0.4), (0.8, 0.05, 0.05, 0.1)) == ["violin", "cello"]


def test_two_who_are_clearly_the_same_stay_the_same(separator):
    sure = (0.998, 0.001, 0.0005, 0.0005)
    assert chosen(separator, sure, sure) == ["cello", "cello"]
    assert chosen(separator, sure, sure, (0.1, 0.8, 0.05, 0.05)) == ["cello", "cello", "drum"]


def test_the_choice_is_the_most_probable_by_hand(separator):
    torch.manual_seed(0)
    for _ in range(20):
        scores = torch.randn(3, 4).mul(2).log_softmax(-1)

        def worth(classes, scores=scores):
            """Log probability, less what each repetition costs: 1, then 2, ... times the logarithm of 20."""
            counts = [classes.count(one) for one in set(classes)]
            repeats = sum(count * (count - 1) / 2 for count in counts)
            return sum(float(scores[n, one]) for n, one in enumerate(classes)) - repeats * np.log(20)

        best = max(itertools.product(range(4), repeat=3), key=worth)
        assert separator.choose(scores) == best


def test_more_players_than_classes_repeat_some(separator):
    assert sorted(set(separator.choose(torch.zeros(6, 4)))) == [0, 1, 2, 3]


def test_a_class_that_is_ruled_out_is_no_error(separator):
    assert chosen(separator, (1.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)) == ["cello", "cello"]


# Places, for duets


def test_a_part_is_named_as_a_whole_in_each_picture(separator):
    """One picture shows a flute at the left, another nothing: the mean over both, of the part that is asked for."""
    pictures = np.concatenate([picture(*["flute"] * 3, *[""] * 4), picture("")])
    looks, named = separator.look(torch.from_numpy(pictures))
    assert looks.shape == (2, len(CLASSES), GRID, GRID) and len(named) == 2
    flute = CLASSES.index("flute")
    torch.testing.assert_close(looks[0, flute, 0].round(), torch.tensor([1.0, 1, 1, 0, 0, 0, 0]))
    said = separator.name(named[..., :3])
    assert said.argmax() == flute and said.exp().sum().item() == pytest.approx(1)
    assert said[flute].exp().item() == pytest.approx(0.501 / 0.504, abs=1e-3)
    assert separator.presence(named[..., :3])[flute].item() == pytest.approx(0.5 / 0.525, abs=1e-3)
    assert separator.presence(named[..., 3:]).max() < 0.01


def test_a_part_asks_for_the_instrument_found_there_or_for_what_is_seen(separator):
    looks = torch.zeros(4, 2, 2)
    looks[2, 0, 1], looks[0, 1, 0] = 0.5, 0.25
    assert separator.query(looks, "violin").tolist() == [0, 0, 0, 1]
    assert separator.query(looks).tolist() == [0.25, 0, 0.5, 0]
    assert separator.query(looks * 2 + 1).sum() == pytest.approx(1)


def test_places_have_a_share_of_the_masks_of_who_is_there(separator, settings):
    torch.manual_seed(0)
    spec = torch.randn(settings.n_fft // 2 + 1, settings.steps, dtype=torch.complex64)
    queries = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1.0, 0], [0.25, 0, 0.5, 0], [0, 0.3, 0, 0]])
    with torch.inference_mode():
        masks, axis = separator.place_masks(spec, queries)
        pair = separator.masks(spec[None], queries[None, :2], alone=True)[0]
        nobody, _ = separator.place_masks(spec, torch.zeros(2, 4))
    assert axis == "linear"
    torch.testing.assert_close(masks[:2], pair)
    torch.testing.assert_close(masks[2], 0.25 * pair[0] + 0.5 * pair[1])
    assert not masks[3].any() and nobody.shape == (2, *spec.shape) and not nobody.any()


@pytest.fixture(scope="module")
def video(tmp_path_factory, settings):
    """A flute at the left and a cello at the right, for three seconds."""
    path = tmp_path_factory.mktemp("video") / "duet.mp4"
    frames = np.repeat(picture(*["flute"] * 3, *["cello"] * 4, size=112), 24, axis=0)
    media.write_video(path, frames, 8, noise(33_075), settings.sample_rate_hz)
    return path


def test_a_duet_is_found_and_separated(separator, video):
    found = duets.separate_video(separator, video)
    assert [player.instrument for player in found.players] == ["flute", "cello"]
    assert found.players[0].part[2] == pytest.approx(3 / 7) and min(p.confidence for p in found.players) > 0.5
    told = separator.separate_named(found.mixture, ["flute", "cello"])
    assert np.square(found.estimates - told).sum() < 0.01 * np.square(told).sum()
    assert (
        found.maps.energy.shape == (GRID, GRID) and np.isfinite(found.maps.energy).all() and found.maps.energy.max() > 0
    )
    np.testing.assert_allclose(found.maps.owners.sum(0), 1, atol=1e-5)
    assert (found.maps.owners[0, :, :2] > 0.5).all() and (found.maps.owners[1, :, 5:] > 0.5).all()


def test_a_duet_whose_players_are_told(separator, video):
    found = duets.separate_video(separator, video, instruments=["drum", "flute"])
    assert [player.instrument for player in found.players] == ["flute", "drum"]
    with pytest.raises(StudyError, match="'kazoo' is not known"):
        duets.separate_video(separator, video, instruments=["kazoo"])


def test_places_of_a_video_can_ask(separator, video):
    answers = sound_maps.ask_places(separator, video, [(0.1, 0.5), (0.9, 0.5)])
    told = np.concatenate([separator.separate_named(media.read_audio(video, 11_025), [name]) for name in ("flute",)])
    assert answers.shape == (2, told.shape[1])
    assert np.corrcoef(answers[0], told[0])[0, 1] > np.corrcoef(answers[1], told[0])[0, 1]
    asked = duets.separate_video(separator, video, at=(0.1, 0.5))
    assert [track.stem for track in asked.tracks] == ["1_place", "rest"] and asked.players[0].part[2] < 0.5
    assert np.corrcoef(asked.estimates[0], told[0][: asked.samples])[0, 1] > 0.5


# Weights


@pytest.fixture
def eye(monkeypatch):
    """An eye that needs no weights."""
    monkeypatch.setattr(pretrained, "Eye", lambda instruments: ColourEye())


@pytest.mark.parametrize(("precision", "error_db"), [(torch.float16, -40), (torch.float32, -200)])
def test_what_was_saved_separates_as_before(eye, separator, tmp_path, precision, error_db):
    path = tmp_path / "ear.safetensors"
    pretrained.save(separator.ear, path, precision)
    loaded = networks.load_separator(path)
    assert isinstance(loaded, Pretrained) and not loaded.training and loaded.instruments == CLASSES
    assert all(value.dtype == torch.float32 for value in loaded.state_dict().values() if value.is_floating_point())
    before, after = (net.separate_named(noise(), ["cello", "flute"]) for net in (separator, loaded))
    difference = np.square(after - before).sum() / np.square(before).sum()
    assert 10 * np.log10(difference + 1e-30) < error_db
    assert os.listdir(tmp_path) == ["ear.safetensors"]


def test_without_a_path_the_weights_of_the_project_are_read(eye, ear, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path / "ear.safetensors")
    with pytest.raises(StudyError, match=r"ear\.safetensors: there are no such weights.*avsep") as error:
        networks.load_separator()
    assert "\n" not in str(error.value)
    pretrained.save(ear, tmp_path / "ear.safetensors")
    assert networks.load_separator().instruments == CLASSES


def test_the_weights_of_the_project_are_small_and_know_music_21():
    assert pretrained.WEIGHTS.stat().st_size < 40e6
    separator = pretrained.load()
    assert separator.instruments == list(MUSIC_21) and separator.sample_rate_hz == 11_025


def test_the_weights_of_the_project_pull_a_cello_and_a_xylophone_apart():
    """Tones made by rule, of players that no training has heard."""
    rng = np.random.default_rng(0)
    made = {}
    for name, notes in {
        "cello": [Note(1.5 * n, 1.5 * n + 1.5, pitch, 0.8) for n, pitch in enumerate((43, 45, 47, 48))],
        "xylophone": [Note(0.3 * n, 0.3 * n + 0.25, 79 + n % 5, 0.8) for n in range(20)],
    }.items():
        player = SimpleNamespace(layers=(0,), detune_cents=0.0, dynamics=1.0)
        sound, rate_hz = synthesis.tone(synthesis.drawn(name, rng), notes, player, 6.0)
        sound = soxr.resample(sound, rate_hz, 11_025)
        made[name] = 0.05 * sound / np.std(sound)
    sources = np.stack(list(made.values()))
    estimates = pretrained.load().separate_named(sources.sum(0), list(made))
    errors = np.square(estimates - sources).sum(1) / np.square(sources).sum(1)
    assert (10 * np.log10(errors) < -6).all()


def test_masks_agree_on_what_comes_again_but_not_where_each_asks_alone(separator):
    spec = torch.randn(1, separator.settings.n_fft // 2 + 1, 64, dtype=torch.complex64)
    queries = separator._one_hot([0, 2])[None]
    of_the_ear = separator.ear.masks(spec, queries)
    torch.testing.assert_close(separator.masks(spec, queries), components.agreed(spec.abs(), of_the_ear))
    assert (separator.masks(spec, queries) - of_the_ear).abs().max() > 0.01
    torch.testing.assert_close(separator.masks(spec, queries, alone=True), separator.ear.masks(spec, queries, True))


def test_settings_travel_but_no_places_of_the_machine(eye, ear, tmp_path):
    path = tmp_path / "ear.safetensors"
    here = dataclasses.replace(ear.settings, out="/somewhere/here", dataset="/somewhere/else", audio_base_channels=4)
    pretrained.save(Ear(here, CLASSES), path)
    assert b"somewhere" not in path.read_bytes()
    kept = pretrained.load(path).settings
    assert all(getattr(kept, name) == getattr(here, name) for name in pretrained._KEPT)


def changed(ear, path, change):
    """A file of weights in which something was changed."""
    pretrained.save(ear, path)
    state = load_file(path)
    written = {"settings": json.dumps({name: getattr(ear.settings, name) for name in pretrained._KEPT})}
    written["instruments"] = json.dumps(CLASSES)
    change(state, written)
    save_file(state, path, written)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state, written: written.update(instruments=json.dumps(CLASSES[:3])), "told.0.weight|classes"),
        (lambda state, written: written.update(settings='{"channels": 9}'), "made with other settings"),
        (lambda state, written: written.update(settings='{"colour": 9}'), "'colour'"),
        (lambda state, written: written.update(settings="[]"), "'settings'"),
        (lambda state, written: written.update(settings="{"), "'settings'"),
        (lambda state, written: written.pop("instruments"), "'instruments'"),
        (lambda state, written: state.pop("top.bias"), r"top\.bias"),
        (lambda state, written: state.update(extra=torch.zeros(1)), "extra"),
    ],
)
def test_a_field_that_does_not_fit_is_named(ear, tmp_path, change, words):
    path = tmp_path / "ear.safetensors"
    changed(ear, path, change)
    with pytest.raises(StudyError, match=words) as error:
        pretrained.load(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["text", "empty", "cut", "torch"])
def test_what_is_no_file_of_weights_is_refused(ear, tmp_path, kind):
    path = tmp_path / "ear.safetensors"
    pretrained.save(ear, path)
    whole = path.read_bytes()
    if kind == "torch":
        torch.save({"settings": {}}, path)
    else:
        path.write_bytes({"text": b"no weights\n" * 9, "empty": b"", "cut": whole[: len(whole) // 2]}[kind])
    with pytest.raises(StudyError, match="cannot be read as weights") as error:
        pretrained.load(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
