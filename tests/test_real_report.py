"""What is told of real clips says what was scored, in one folder, by one command."""

import hashlib
import json

import joblib
import made_up
import pandas as pd
import pytest
from looking import drawn

from avsep_lib import cli, pretrained, real, real_report
from avsep_lib.real_clips import DIFFERENT


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made_up.fill(tmp_path_factory.mktemp("real") / "clips")


@pytest.fixture(scope="module")
def separator(folder):
    return made_up.Knowing(folder)


@pytest.fixture(scope="module")
def metrics(separator, folder):
    with joblib.parallel_config(backend="threading"):
        return real.score(separator, folder)


@pytest.fixture(scope="module")
def named(separator, folder):
    return real.frame_accuracy(separator, folder)


def test_every_table_is_there_and_none_that_is_empty(metrics, named):
    tables = real_report.every_table(metrics, named)
    names = ["real_methods", "real_same_instrument", "real_by_instrument", "real_pairs", "real_mixtures", "real_solos"]
    assert list(tables) == names
    assert len(tables["real_pairs"]) == 3 and len(tables["real_solos"]) == 4
    assert list(tables["real_mixtures"].instrument) == ["electric_bass", "unknown", "flute"]
    assert (tables["real_mixtures"][real.SEEN] > 40).all() and real.TRUE not in tables["real_mixtures"]
    trio = metrics[metrics.mixture == "trio"]
    assert list(real_report.every_table(trio, named[:0])) == ["real_mixtures"]


def test_figures_are_drawn_of_what_there_is(metrics):
    figures = real_report.every_figure(metrics)
    assert list(figures) == ["real_methods", "real_pairs", "real_by_instrument"]
    for figure, caption in figures.values():
        drawn(figure)
        assert caption.endswith(".")
    assert "1 mixtures" in figures["real_methods"][1]
    assert not real_report.every_figure(metrics[metrics.kind != DIFFERENT])


def test_without_a_yardstick_the_mixture_is_what_ours_is_held_against(metrics):
    figures = real_report.every_figure(metrics[metrics.method != real.YARDSTICK])
    assert figures["real_pairs"][0].axes[0].get_xlabel() == "mixture: SDR (dB)"


def test_what_is_told_on_the_screen(metrics, named):
    said = real_report.told(metrics, named)
    above = real.gain(metrics)[0]
    assert f"above the yardstick: {above:+.2f} dB" in said
    assert "trio, above the mixture: +" in said
    assert "classes of pictures: 4 of 4 solos right (100%" in said
    assert said.endswith("not scored, since a source is silent: cello-1+drum-1")


@pytest.fixture
def weights(tmp_path, monkeypatch, separator):
    """A file that stands in for weights, of which the separator is made that knows the tracks."""
    path = tmp_path / "ear.safetensors"
    path.write_bytes(b"abc")
    monkeypatch.setattr(pretrained, "load", lambda asked: separator if asked == path else None)
    return path


def test_one_command_gives_tables_and_figures(folder, weights, tmp_path, capsys):
    out = tmp_path / "out"
    with joblib.parallel_config(backend="threading"):
        assert cli.main(["score-real", str(folder), "--weights", str(weights), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    there = {path.name for path in out.iterdir()}
    assert all(name in said for name in there)
    assert {"real_metrics.csv", "real_methods.csv", "real_methods.tex", "real_pairs.png", "real_pairs.pdf"} <= there
    assert not [path for path in there if path.endswith((".flac", ".jpg", ".wav"))], "numbers and drawings only"
    table = pd.read_csv(out / "real_methods.csv", index_col=0)
    assert list(table.index) == list(real.WAYS) and table.SDR[real.YARDSTICK] == 8
    beside = json.loads((out / "real_pairs.json").read_text())
    assert beside["weights_sha256"] == hashlib.sha256(b"abc").hexdigest() and {"caption", "commit", "packages"} <= set(
        beside
    )
    assert str(folder) not in "".join(path.read_text() for path in out.glob("*.json"))


def test_a_folder_that_is_not_there_is_named(weights, tmp_path, capsys):
    assert cli.main(["score-real", str(tmp_path / "nowhere"), "--weights", str(weights)]) == 2
    error = capsys.readouterr().err
    assert f"{tmp_path / 'nowhere'}: there is no such folder" in error and error.count("\n") == 1


def test_a_file_that_is_wrong_is_named(weights, tmp_path, capsys):
    folder = made_up.fill(tmp_path / "clips")
    path = folder / "music_solo" / "flute-1" / "audio.flac"
    path.write_bytes(b"no sound")
    command = ["score-real", str(folder), "--weights", str(weights), "--out", str(tmp_path / "out")]
    assert cli.main(command) == 2
    assert str(path) in capsys.readouterr().err and not (tmp_path / "out").exists()
