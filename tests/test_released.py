"""The released Sound of Pixels and our networks are the same function.

``reference/sound_of_pixels.json`` holds masks, queries and a training loss that were computed by running the released
code, typed off outside this repository, with weights and an input that simple rules fill. The rules stand there in
words and below in code. The weights go the whole way here: files with the released names, the command, a checkpoint.
"""

import dataclasses
import json
import math
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from avsep_lib import cli, clips, media, networks, released, spectra, training
from avsep_lib.settings import StudyError

REFERENCE = json.loads(Path(__file__).with_name("reference").joinpath("sound_of_pixels.json").read_text())
FILES = SOUND, FRAME, SYNTHESIZER = released.FILES
SAMPLES = 65_535


def numbers(name, count):
    """In [-1, 1), by a hash of the name and of each place: splitmix64, its upper 24 bits."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(zlib.crc32(name.encode()))
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    z = (z ^ z >> np.uint64(31)) >> np.uint64(40)
    return z.astype(np.float32) * np.float32(2**-23) - np.float32(1)


def weight(name, shape):
    """The tensor of one key of the released networks."""
    special = REFERENCE["rule"]["centre and spread"]
    if name.endswith("num_batches_tracked"):
        return torch.tensor(1000)
    if name in special:
        centre, spread = special[name]
    elif name.endswith((".bias", ".running_mean")):
        centre, spread = 0, 0.1
    elif len(shape) == 4:
        centre, spread = 0, math.sqrt(6 / math.prod(shape[1:]))
    else:
        centre, spread = 1, 0.25
    values = np.float32(centre) + np.float32(spread) * numbers(name, math.prod(shape))
    return torch.from_numpy(values.reshape(shape))


@pytest.fixture(scope="module")
def weights():
    """The three state dicts."""
    return {file: {name: weight(name, shape) for name, shape in REFERENCE["shapes"][file].items()} for file in FILES}


@pytest.fixture(scope="module")
def folder(weights, tmp_path_factory):
    """The three files in the format of their time, that of the frame net without counts of batches (PyTorch 0.4.0)."""
    folder = tmp_path_factory.mktemp("released")
    for file, state in weights.items():
        if file == FRAME:
            state = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
        torch.save(state, folder / file, _use_new_zipfile_serialization=False)
    return folder


@pytest.fixture(scope="module")
def checkpoint(folder):
    """What the command makes of them."""
    path = folder / "checkpoints" / "released.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cli.main(["import-sound-of-pixels", str(folder), "--out", str(path)]) == 0
    return path


@pytest.fixture(scope="module")
def separator(checkpoint):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return networks.load_separator(checkpoint)


@pytest.fixture(scope="module")
def sources():
    """Sound of two sources, float32 (2, L)."""
    t = np.arange(SAMPLES) / 11_025
    waves = []
    for n, pitch_hz in enumerate((196.0, 440.0)):
        tone = sum(0.5 / k * np.sin(2 * np.pi * pitch_hz * k * t + k) for k in range(1, 6))
        swell = 0.5 + 0.5 * np.cos(2 * np.pi * (0.7 + 0.6 * n) * t)
        waves.append(0.35 * swell * tone + 0.02 * numbers(f"sound {n}", SAMPLES))
    return torch.from_numpy(np.stack(waves).astype(np.float32))


@pytest.fixture(scope="module")
def pictures():
    """Three pictures of two sources, uint8 (2, 3, 224, 224, 3)."""
    shown = []
    for n, square in enumerate((32, 112)):
        side = 224 // square
        colours = ((numbers(f"pictures {n}", 3 * side * side * 3) + 1) * 128).astype(np.uint8)
        shown.append(colours.reshape(3, side, side, 3).repeat(square, 1).repeat(square, 2))
    return torch.from_numpy(np.stack(shown))


@pytest.fixture(scope="module")
def queries(separator, pictures):
    with torch.inference_mode():
        return separator.frame_net(separator.frame_net.features(pictures))


@pytest.fixture(scope="module")
def spec(separator, sources):
    """Spectrogram of the mixture, complex128 (1, F, T).

    In double precision, as in the reference: the logarithm makes much of the rounding of faint bins.
    """
    return spectra.stft(sources.mean(0).double(), separator.settings.n_fft, separator.settings.hop)[None]


# The same function


def test_the_networks_have_the_released_sizes(separator):
    nets = {SOUND: separator.audio_net, FRAME: separator.frame_net, SYNTHESIZER: separator.synthesizer}
    counts = {file: sum(p.numel() for p in net.parameters()) for file, net in nets.items()}
    assert counts == REFERENCE["parameters"] == {SOUND: 30_274_210, FRAME: 11_324_000, SYNTHESIZER: 33}


def test_every_released_tensor_arrives(separator, weights):
    """As many of them, and none lost or doubled: their sums agree."""
    nets = {SOUND: separator.audio_net, FRAME: separator.frame_net, SYNTHESIZER: separator.synthesizer}
    for file, net in nets.items():
        ours = sorted(float(v.double().sum()) for k, v in net.state_dict().items() if "num_batches" not in k)
        theirs = sorted(float(v.double().sum()) for k, v in weights[file].items() if "num_batches" not in k)
        assert ours == theirs


def test_queries_are_those_of_the_released_code(queries):
    np.testing.assert_allclose(queries, REFERENCE["queries"], atol=1e-5)
    assert np.std(REFERENCE["queries"]) > 0.1  # or the agreement would mean little


@pytest.mark.parametrize("many", [False, True])
def test_masks_are_those_of_the_released_code(separator, spec, queries, monkeypatch, many):
    """By both ways to compute them, that for few queries and that for many."""
    asked = queries.repeat(32, 1) if many else queries  # only the first two are compared
    magnitude = spectra.to_log(spec.abs().float(), separator.settings.log_bins)
    monkeypatch.setattr(separator, "settings", dataclasses.replace(separator.settings, soft_masks=True))
    with torch.inference_mode():
        masks = separator.predict(magnitude, asked[None])[0, :2].numpy()
    places = REFERENCE["places"]
    reference = np.array(REFERENCE["masks"])
    np.testing.assert_allclose(masks[:, places][:, :, places], reference, atol=1e-5)
    low, high = np.quantile(reference, [0.1, 0.9])
    assert low < 0.1 and high > 0.7 and np.abs(reference[0] - reference[1]).max() > 0.1


def test_masks_are_cut_on_the_linear_axis_as_in_the_released_code(separator, spec, queries):
    rows, columns = REFERENCE["linear places"]
    reference = np.array(REFERENCE["linear masks"])
    with torch.inference_mode():
        masks = separator.masks(spec.to(torch.complex64), queries[None])[0].numpy()
    assert set(np.unique(masks)) == {0.0, 1.0}
    np.testing.assert_array_equal(masks[:, rows][:, :, columns], reference > 0.5)
    assert np.abs(reference - 0.5).min() > 1e-4  # or rounding could turn a bin


def test_the_training_loss_is_that_of_the_released_code(separator, sources, pictures):
    with torch.inference_mode():
        loss = training.separation_loss(separator, {"sources": sources[None], "seen": pictures[None]})
    assert float(loss) == pytest.approx(REFERENCE["loss"], abs=1e-5)


def test_settings_are_those_of_the_published_evaluation_and_nothing_is_named(separator):
    settings = separator.settings
    assert settings.backbone == "resnet18" and settings.mask == "binary"
    assert not settings.soft_masks and not settings.competing
    assert separator.instruments == [] and not settings.pretrained  # so that nothing is downloaded


# What cannot be imported


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"nowhere: there is no such folder.*sound_best\.pth"):
        released.import_sound_of_pixels(tmp_path / "nowhere", tmp_path / "out.pt")


def test_missing_files_are_named(tmp_path, capsys):
    (tmp_path / SYNTHESIZER).write_bytes(b"")
    assert cli.main(["import-sound-of-pixels", str(tmp_path), "--out", str(tmp_path / "out.pt")]) == 2
    said = capsys.readouterr().err
    assert f"lacks {SOUND}, {FRAME};" in said and said.count("\n") == 1
    assert not (tmp_path / "out.pt").exists()


def put(key, value):
    return lambda state: state | {key: value}


def drop(key):
    return lambda state: {name: value for name, value in state.items() if name != key}


DEEP = "unet_block.model.1.model.3.model.3.model.3.model.3.model.3.model.5.weight"


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (SOUND, drop(DEEP), f"{DEEP} is missing"),
        (
            FRAME,
            put("fc.weight", torch.zeros(64, 512, 3, 3)),
            "fc.weight is (64, 512, 3, 3) but must be (32, 512, 3, 3)",
        ),
        (SYNTHESIZER, put("gain", torch.zeros(1)), "gain belongs to no layer"),
        (SYNTHESIZER, lambda state: {"history": [1.0]}, "is no state dict"),
        (SYNTHESIZER, lambda state: b"<html>", "cannot be read as weights"),
    ],
)
def test_a_file_that_does_not_fit_is_named_with_its_key(folder, weights, tmp_path, file, change, words):
    for name in FILES:
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / file).unlink()
    content = change(weights[file])
    if isinstance(content, bytes):
        (tmp_path / file).write_bytes(content)
    else:
        torch.save(content, tmp_path / file)
    with pytest.raises(StudyError) as error:
        released.import_sound_of_pixels(tmp_path, tmp_path / "out.pt")
    assert str(error.value).startswith(f"{tmp_path / file}: ") and words in str(error.value)
    assert "\n" not in str(error.value) and not (tmp_path / "out.pt").exists()


# Its use


@pytest.fixture(scope="module")
def short(checkpoint, tmp_path_factory):
    """The same checkpoint for windows of three seconds, as long as the tiny videos have."""
    separator = networks.load_separator(checkpoint)
    separator.settings = dataclasses.replace(separator.settings, clip_samples=32_767)
    path = tmp_path_factory.mktemp("short") / "separator.pt"
    networks.save_separator(separator, path)
    return path


def test_an_imported_separator_separates_a_duet(capsys, tmp_path, short, index, tiny):
    video = clips.choose(index, kind="duet").path[0]
    out = tmp_path / "out"
    assert cli.main(["separate", str(video), "--checkpoint", str(short), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "  0% to  50% of the width: player\n" in said and " 50% to 100% of the width: player\n" in said
    assert "nan" not in said
    names = {f"{number}_player.{kind}" for number in (1, 2) for kind in ("wav", "mp4")}
    assert {path.name for path in out.iterdir()} == names | {
        "players.png", "sound_maps.png", "side_by_side.mp4", "report.html", "separation.json",
    }  # fmt: skip
    sound = media.read_audio(video, 11_025)
    for number in (1, 2):
        track = media.read_audio(out / f"{number}_player.wav", 11_025)
        assert len(track) == len(sound) and 0 < np.std(track) <= np.std(sound) * 1.01


def test_instruments_cannot_be_asked_of_it(capsys, tmp_path, short, index):
    video = clips.choose(index, kind="duet").path[0]
    asked = ["--instruments", "flute", "tuba", "--out", str(tmp_path / "out")]
    assert cli.main(["separate", str(video), "--checkpoint", str(short), *asked]) == 2
    said = capsys.readouterr().err
    assert "'flute'" in said and "names no instruments" in said
