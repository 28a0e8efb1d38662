"""The commands do what they say, and what a user can mend ends in one line and exit code 2."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from avsep_lib import __version__, bank, cli, clips, ear_training, media, networks, pretrained, rivals, study
from avsep_lib.ear import Ear
from avsep_lib.recipes import RECIPES
from avsep_lib.settings import MUSIC_21, STUDIES, from_parameters

SCRIPT = Path(sys.executable).with_name("avsep")


@pytest.fixture
def asked(monkeypatch):
    """What ``avsep study`` hands on, instead of running it."""
    calls = []
    monkeypatch.setattr(study, "run_study", lambda *arguments: calls.append(arguments))
    return calls


@pytest.fixture(scope="module")
def checkpoint(tiny, tmp_path_factory):
    """A separator of the tiny settings, untrained."""
    torch.manual_seed(0)
    settings = dataclasses.replace(tiny, frame_size_px=96)
    path = tmp_path_factory.mktemp("separator") / "separator.pt"
    networks.save_separator(networks.Separator(settings, settings.instruments), path)
    return path


def refused(capsys, *arguments):
    """The one line that a command ends with, on a slow machine after others that say how far it is."""
    assert cli.main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr()
    assert all(re.fullmatch(r"[a-z ]+: \d+ of \d+.*", line) for line in said.out.splitlines())
    assert said.err.startswith("avsep: ") and said.err.count("\n") == 1
    return said.err


def test_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0 and capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["bank", "--help"],
        ["train-ear", "--help"],
        ["study", "--help"],
        ["music", "--help"],
        ["music", "download", "--help"],
        ["separate", "--help"],
        ["play"],
    ],
)
def test_help_is_there_and_an_unknown_command_is_not(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    said = capsys.readouterr()
    assert stop.value.code == (0 if "--help" in arguments else 2)
    assert "usage: avsep" in said.out + said.err


def test_an_unknown_preset_is_refused_with_those_there_are(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["study", "--preset", "labtop"])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and "labtop" in error and all(preset in error for preset in STUDIES)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "foo=1"], ["'foo'", "not known"]),
        (["--set", "epoch=3"], ["'epoch'", "did you mean 'epochs'"]),
        (["--set", "epochs=many"], ["'epochs'", "int", "'many'"]),
        (["--set", "epochs"], ["--set 'epochs'", "name=value"]),
        (["--set", "mask=soft"], ["mask 'soft'", "binary, ratio"]),
        (["--preset", "smoke", "--set", "n_sources=9"], ["n_sources", "9"]),
    ],
)
def test_a_setting_that_cannot_be_is_named(capsys, asked, arguments, words):
    line = refused(capsys, "study", *arguments)
    assert all(word in line for word in words)
    assert not asked


def test_a_folder_of_real_clips_is_handed_on_as_it_is_found_from_anywhere(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["study", "--preset", "smoke", "--only", "04", "--real", "clips"]) == 0
    ((settings, changed, only),) = asked
    assert settings.real == changed["real"] == str(tmp_path / "clips") and only == ["04"]


def test_an_unknown_chapter_is_named(capsys, tmp_path):
    assert "--only 09" in refused(capsys, "study", "--preset", "smoke", "--only", "09", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_options_become_settings(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/index.csv").write_text("video_id\n")
    command = "study --preset smoke --dataset mine/index.csv --only 03 04 --set epochs=7 mask=ratio --out here"
    assert cli.main(command.split()) == 0
    ((settings, changed, only),) = asked
    assert settings.preset == "smoke" and settings.epochs == 7 and settings.mask == "ratio"
    assert settings.out == changed["out"] == str(tmp_path / "here")
    assert settings.dataset == changed["dataset"] == str(tmp_path / "mine/index.csv")
    assert only == ["03", "04"] and set(changed) == {"out", "dataset", "epochs", "mask"}


def test_the_default_is_the_laptop_preset_as_it_is(asked):
    assert cli.main(["study"]) == 0
    ((settings, changed, only),) = asked
    assert settings.preset == "laptop" and not changed and not only


def test_an_interruption_says_that_the_work_is_kept(capsys, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "run_study", interrupt)
    assert cli.main(["study"]) == 130
    assert "goes on" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_one_line(capsys, tmp_path):
    (tmp_path / "card.md").mkdir()
    assert cli.main(["music", "status", "--root", str(tmp_path), "--card", str(tmp_path / "card.md")]) == 2
    assert re.fullmatch(r"avsep: .*card\.md.*: .*; check the path, its rights and the disk\n", capsys.readouterr().err)


def test_a_reader_that_has_seen_enough_ends_a_command_quietly():
    command = f"set -o pipefail; {SCRIPT} music status | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout.count("\n") == 1 and done.stderr == ""


def test_the_script_itself_ends_with_code_and_line():
    done = subprocess.run([SCRIPT, "study", "--set", "foo=1"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "foo" in done.stderr


# avsep compare


def test_all_rivals_are_trained_but_where_some_are_named(capsys, tmp_path, monkeypatch):
    calls = []

    def train_rivals(settings, names):
        calls.append((settings, names))
        return [SimpleNamespace(folder=tmp_path / name) for name in names]

    monkeypatch.setattr(rivals, "train_rivals", train_rivals)
    command = ["compare", "--preset", "smoke", "--set", "seed=1", "--out", str(tmp_path)]
    assert cli.main([*command, "--only", "semantic", "sound_of_pixels"]) == 0
    folders = [str(tmp_path / name) for name in ("semantic", "sound_of_pixels")]
    assert capsys.readouterr().out.splitlines() == folders
    assert cli.main(command) == 0
    assert [names for _, names in calls] == [["semantic", "sound_of_pixels"], list(RECIPES)]
    assert all((one.preset, one.seed, one.out) == ("smoke", 1, str(tmp_path)) for one, _ in calls)


def test_an_unknown_rival_is_named_before_anything_is_trained(capsys, tmp_path):
    out = tmp_path / "out"
    line = refused(capsys, "compare", "--preset", "smoke", "--only", "semantic", "nobody", "--out", out)
    assert "'nobody' is not known" in line and "sound_of_pixels" in line
    assert not out.exists()


# avsep separate


def test_the_bank_says_what_it_holds_and_what_it_lacks(capsys, tmp_path, monkeypatch):
    def build(folder, per_tone, workers, progress):
        (folder / "licences.csv").write_text("name,state\nhere,there\nnot-here,missing: npm is not installed here\n")
        rows = [("train", "FluidR3", name, 24.0 * per_tone * workers) for name in ("cello", "flute")]
        return pd.DataFrame(rows, columns=["split", "tone", "instrument", "seconds"])

    monkeypatch.setattr(bank, "build", build)
    command = ["bank", "--folder", str(tmp_path), "--per-tone", "5", "--workers", "1"]
    assert cli.main(command) == 0
    said = capsys.readouterr().out
    assert "not-here: missing: npm is not installed here" in said and "here: there" not in said
    assert "FluidR3" in said and " 2 " in said and " 4" in said  # instruments, minutes


def test_an_ear_is_not_trained_without_a_bank(capsys, tmp_path):
    line = refused(capsys, "train-ear", "--bank", tmp_path / "nothing", "--out", tmp_path)
    assert "nothing" in line and "avsep bank" in line
    assert not any(tmp_path.iterdir())


def test_the_ear_is_trained_with_the_settings_that_were_asked_for(capsys, tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(bank, "read", lambda folder: None)
    monkeypatch.setattr(
        ear_training, "train_to_file", lambda run, folder: trained.append((run.settings, folder)) or tmp_path / "ear"
    )
    assert cli.main(["train-ear", "--bank", "b", "--set", "epochs=3", "--out", str(tmp_path)]) == 0
    ((settings, folder),) = trained
    assert (settings.preset, settings.epochs, settings.instruments, folder) == ("ear", 3, MUSIC_21, Path("b"))
    assert capsys.readouterr().out.strip() == str(tmp_path / "ear")


def test_a_missing_checkpoint_is_named(capsys, tmp_path):
    line = refused(capsys, "separate", "missing.mp4", "--checkpoint", tmp_path / "x.pt")
    assert str(tmp_path / "x.pt") in line and "no such checkpoint" in line


def test_weights_that_are_missing_are_named_with_what_makes_them(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path / "ear.safetensors")
    line = refused(capsys, "separate", "missing.mp4")
    assert str(tmp_path / "ear.safetensors") in line and "avsep train-ear" in line


def test_the_weights_of_the_project_are_the_default(capsys, tmp_path, monkeypatch, index):
    """Any class of theirs may be named, also one that cannot be rendered."""
    torch.manual_seed(0)
    settings = from_parameters("smoke")
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path / "ear.safetensors")
    pretrained.save(Ear(settings, MUSIC_21), tmp_path / "ear.safetensors")
    video, out = clips.choose(index, kind="duet").path[0], tmp_path / "out"
    assert "'kazoo' is not known" in refused(capsys, "separate", video, "--instruments", "kazoo", "--out", out)
    assert cli.main(["separate", video, "--instruments", "bagpipe", "pipa", "--out", str(out)]) == 0
    assert {path.stem[2:] for path in out.glob("*.wav")} == {"bagpipe", "pipa"}
    sound = media.read_audio(video, settings.sample_rate_hz)
    estimates = [media.read_audio(path, settings.sample_rate_hz) for path in out.glob("*.wav")]
    np.testing.assert_allclose(sum(estimates), sound, atol=1e-4)


def test_a_checkpoint_that_was_cut_off_is_named(capsys, tmp_path, checkpoint):
    cut = tmp_path / "cut.pt"
    cut.write_bytes(checkpoint.read_bytes()[:3000])
    assert str(cut) in refused(capsys, "separate", "missing.mp4", "--checkpoint", cut)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--instruments", "flute", "kazoo"], "'kazoo' is not known"),
        (["--players", "9"], "9 players do not fit"),
    ],
)
def test_players_that_cannot_be_are_named(capsys, tmp_path, checkpoint, index, more, words):
    video = clips.choose(index, kind="duet").path[0]
    out = tmp_path / "out"
    assert words in refused(capsys, "separate", video, "--checkpoint", checkpoint, "--out", out, *more)
    assert not out.exists()


def test_a_missing_video_is_named_and_nothing_is_written(capsys, tmp_path, checkpoint):
    out = tmp_path / "out"
    line = refused(capsys, "separate", tmp_path / "missing.mp4", "--checkpoint", checkpoint, "--out", out)
    assert str(tmp_path / "missing.mp4") in line and "does not exist" in line
    assert not out.exists()


@pytest.mark.parametrize("place", ["0.5", "left", "0.1,0.2,0.3"])
def test_a_place_is_two_numbers(capsys, place):
    with pytest.raises(SystemExit):
        cli.main(["separate", "duet.mp4", "--at", place])
    assert f"{place!r} is no place" in capsys.readouterr().err


def test_separate_writes_tracks_films_figures_and_a_page(capsys, tmp_path, checkpoint, index, tiny, monkeypatch):
    monkeypatch.chdir(tmp_path)
    video = Path(clips.choose(index, kind="duet").path[0])
    command = ["separate", str(video), "--checkpoint", str(checkpoint), "--instruments", "tuba", "flute"]
    assert cli.main(command) == 0
    out = tmp_path / "out" / video.stem
    names = {path.name for path in out.iterdir()}
    tracks, players = sorted(out.glob("*.wav")), sorted(out.glob("[12]_*.mp4"))
    assert names == {path.name for path in [*tracks, *players]} | {
        "players.png", "sound_maps.png", "report.html", "separation.json", "side_by_side.mp4",
    }  # fmt: skip
    assert {path.stem[2:] for path in tracks} == {path.stem[2:] for path in players} == {"flute", "tuba"}
    sound = media.read_audio(video, tiny.sample_rate_hz)
    estimates = np.stack([media.read_audio(path, tiny.sample_rate_hz) for path in tracks])
    np.testing.assert_allclose(estimates.sum(0), sound, atol=1e-4)
    for path in players:
        info = media.probe(path)
        assert info.duration_s == pytest.approx(tiny.video_s, abs=0.1) and info.channels == 1 and info.height_px > 0
    with Image.open(out / "players.png") as picture:
        assert min(picture.size) > 200
    said = capsys.readouterr().out
    assert all(name in said for name in names) and "of the width: " in said
