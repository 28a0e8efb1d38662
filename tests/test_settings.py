"""Settings refuse what cannot be meant, in a line that names it, and none of them is without effect."""

import ast
import dataclasses
import json
from pathlib import Path

import pytest

from avsep_lib import settings as settings_module
from avsep_lib.settings import PRESETS, PROJECT_ROOT, Settings, StudyError, from_parameters, parse_assignments, to_dict


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_valid_and_survive_a_round_trip(preset):
    settings = from_parameters(preset)
    assert settings.preset == preset
    assert from_parameters(**to_dict(settings)) == settings


def test_round_trip_keeps_changed_values():
    settings = from_parameters("smoke", seed=7, mask="ratio", decay_epochs=[1, 2], instruments=["tuba", "flute"])
    assert from_parameters(**to_dict(settings)) == settings
    assert settings.decay_epochs == (1, 2)


def test_the_preset_published_is_the_published_system():
    settings = from_parameters("published")
    assert (settings.backbone, settings.names_first, settings.competing, settings.soft_masks) == (
        "resnet18", False, False, False
    )  # fmt: skip
    assert (settings.mask, settings.loss, settings.audio_time_stride, settings.colour_db) == ("binary", "mask", 1, 0)
    assert (settings.sample_rate_hz, settings.clip_samples, settings.n_fft, settings.hop) == (11_025, 65_535, 1022, 256)
    assert (settings.bins, settings.steps, settings.channels, settings.audio_levels) == (256, 256, 32, 7)
    assert (settings.optimizer, settings.batch_size, settings.epochs, settings.decay_epochs) == (
        "sgd",
        80,
        100,
        (40, 80),
    )


def test_without_strided_time_a_clip_may_be_shorter():
    assert from_parameters("smoke", clip_samples=12_287, audio_time_stride=1).steps == 48  # refused at stride 2, below


def test_a_setting_cannot_be_changed_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        from_parameters("smoke").seed = 1


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"preset": "desktop"}, ["desktop", "laptop"]),
        ({"preset": ["smoke"]}, ["preset", "smoke"]),
        ({"epoch": 3}, ["'epoch'", "'epochs'"]),
        ({"presett": "smoke"}, ["'presett'", "'preset'"]),
        ({"xyzzy": 3}, ["'xyzzy'"]),
        ({"epochs": "many"}, ["epochs", "int", "many"]),
        ({"epochs": 2.5}, ["epochs", "int", "2.5"]),
        ({"epochs": True}, ["epochs", "int", "True"]),
        ({"pretrained": "no"}, ["pretrained", "bool", "no"]),
        ({"pretrained": 1}, ["pretrained", "bool"]),
        ({"mask": 1}, ["mask", "str"]),
        ({"instruments": 3}, ["instruments", "list"]),
        ({"instruments": []}, ["instruments", "list"]),
        ({"decay_epochs": ["x"]}, ["decay_epochs", "int", "x"]),
        ({"learning_rate": "nan"}, ["learning_rate", "finite"]),
        ({"mask": "soft"}, ["mask", "soft", "binary", "ratio"]),
        ({"backbone": "resnet50"}, ["backbone", "resnet18"]),
        ({"instruments": ["kazoo", "flute"]}, ["kazoo"]),
        ({"instruments": ["flute", "flute", "tuba"]}, ["instruments", "flute"]),
        ({"epochs": 0}, ["epochs", "above 0"]),
        ({"weight_decay": -1.0}, ["weight_decay", "negative"]),
        ({"seed": -1}, ["seed", "negative"]),
        ({"n_sources": 5}, ["n_sources", "5"]),
        ({"n_sources": 3, "instruments": ["flute", "tuba"]}, ["n_sources", "3", "2"]),
        ({"log_bins": 100}, ["log_bins", "100", "audio_levels"]),
        ({"frequency_axis": "linear", "n_fft": 1000}, ["n_fft", "501", "audio_levels"]),
        ({"clip_samples": 16_000}, ["clip_samples", "63", "audio_levels"]),
        ({"clip_samples": 12_287}, ["clip_samples", "48", "audio_levels 4", "audio_time_stride 2", "multiple of 32"]),
        ({"audio_time_stride": 0}, ["audio_time_stride", "above 0"]),
        ({"loss": "mse"}, ["loss", "mse", "mask", "magnitude"]),
        ({"rivals": "some"}, ["rivals", "some", "none, main, all"]),
        ({"video_s": 1.0}, ["video_s", "1.0"]),
        ({"batch_size": 64}, ["batch_size", "64", "mixtures_per_epoch", "32"]),
        ({"nmf_components": 1}, ["nmf_components", "4", "1"]),
        ({"semantic_loss": "mse"}, ["semantic_loss", "mse", "cross_entropy", "bce"]),
        ({"background_threshold": 1.0}, ["background_threshold", "below 1", "1.0"]),
        ({"background_threshold": -0.1}, ["background_threshold", "negative"]),
        ({"hop": 1024, "clip_samples": 16_383}, ["hop", "1024", "n_fft"]),
    ],
)
def test_each_mistake_is_named_in_one_line(parameters, words):
    with pytest.raises(StudyError) as error:
        from_parameters(**{"preset": "smoke", **parameters})
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({"pretrained": "false"}, {"pretrained": False}),
        ({"pretrained": "True"}, {"pretrained": True}),
        ({"learning_rate": "1e-3"}, {"learning_rate": 0.001}),
        ({"learning_rate": 1}, {"learning_rate": 1.0}),
        ({"epochs": "7"}, {"epochs": 7}),
        ({"instruments": "tuba, flute"}, {"instruments": ("tuba", "flute")}),
        ({"decay_epochs": "3,5"}, {"decay_epochs": (3, 5)}),
    ],
)
def test_text_of_papermill_and_yaml_is_understood(given, meant):
    settings = from_parameters("smoke", **given)
    for name, value in meant.items():
        assert getattr(settings, name) == value
        assert type(getattr(settings, name)) is type(value)


def test_assignments_of_a_command_line():
    assert parse_assignments(["epochs=3", " mask = ratio ", "out=a=b"]) == {
        "epochs": "3",
        "mask": "ratio",
        "out": "a=b",
    }
    for wrong in ("epochs", "=3"):
        with pytest.raises(StudyError, match="name=value"):
            parse_assignments([wrong])


def test_no_setting_is_dead():
    """Each field is read by another module or a notebook, or by a property of ``Settings`` that is."""
    folder = Path(settings_module.__file__).parent
    used = set()
    for path in folder.glob("*.py"):
        if path.name != "settings.py":
            used |= _read_of(ast.parse(path.read_text()), "settings")
    for path in (PROJECT_ROOT / "notebooks").glob("*.ipynb"):
        used |= _read_of(ast.parse(_code_of(path)), "settings")
    tree = ast.parse((folder / "settings.py").read_text())
    properties = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings").body
    for node in properties:
        if isinstance(node, ast.FunctionDef) and node.name in used:
            used |= _read_of(node, "self")
    assert {field.name for field in dataclasses.fields(Settings)} - used == set()


def _code_of(notebook):
    """The code of a notebook without IPython's own commands."""
    cells = json.loads(notebook.read_text())["cells"]
    lines = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def _read_of(tree, owner):
    """Attributes that are read of ``owner`` or of ``<anything>.owner``."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and owner in (getattr(node.value, "id", None), getattr(node.value, "attr", None))
    }


def test_a_message_is_one_printable_line_whatever_a_file_is_called():
    error = StudyError("/a/b\n\x1b[2J\u202e\udc80é 名.mp4: is empty")
    assert str(error) == "/a/b\\n\\x1b[2J\\u202e\\udc80é 名.mp4: is empty"
    assert str(StudyError(str(error))) == str(error)
