"""A run keeps what it promised: parameters checked, files whole, and a run.json that can be believed."""

import json
import random

import numpy as np
import pandas as pd
import pytest
import torch

from avsep_lib import files, runs
from avsep_lib.settings import StudyError


def notebook(tmp_path, **variables):
    """What the globals of a notebook hold when it starts a run."""
    return {"__name__": "__main__", "_dh": ["/x"], "In": [""], "Out": {}, "pd": pd, "preset": "smoke", "device": "cpu",
            "out": str(tmp_path / "out"), **variables}  # fmt: skip


def litter(folder):
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def read_state(run):
    return json.loads((run.folder / "run.json").read_text())


def test_start_takes_the_variables_of_the_notebook(tmp_path):
    run = runs.start("03_combined_training", notebook(tmp_path, seed=5))
    assert (run.name, run.settings.preset, run.settings.seed, run.device) == ("03_seed5", "smoke", 5, "cpu")
    assert run.folder == tmp_path / "out/results/smoke/03_seed5"
    assert json.loads((run.folder / "settings.json").read_text())["seed"] == 5


@pytest.mark.parametrize("name", ["presett", "sead"])
def test_start_refuses_a_mistyped_variable(tmp_path, name):
    with pytest.raises(StudyError, match=name):
        runs.start("03", notebook(tmp_path, **{name: "laptop"}))
    assert not (tmp_path / "out").exists()


def test_start_works_again_after_other_variables_were_defined(tmp_path):
    namespace = notebook(tmp_path)
    runs.start("03", namespace)
    namespace |= {"names": ["flute"], "best": 3.5}
    namespace["seed"] = 4  # new since, so it is a variable of the notebook and no parameter
    namespace["preset"] = "smoke"
    assert runs.start("03", namespace).settings.seed == 0


def test_a_run_repeats_its_random_numbers(start_run):
    def draws():
        start_run(seed=3)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draws() == draws()


def test_atomic_keeps_the_old_file_when_the_block_raises(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    with files.atomic(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert not litter(tmp_path)


def test_finish_marks_the_run_only_when_all_promised_files_are_there(start_run):
    run = start_run()
    assert read_state(run)["finished"] is False
    empty = run.folder / "empty.csv"
    empty.touch()
    for path in (run.folder / "missing.csv", empty):
        with pytest.raises(StudyError, match=f"metrics.*{path.name}"):
            run.finish(metrics=path)
        assert read_state(run)["finished"] is False
    empty.write_text("a,b\n")
    run.finish(metrics=empty)
    state = read_state(run)
    assert state["finished"] is True
    assert any(name.endswith("empty.csv") for name in state["files"])


def test_a_later_notebook_needs_the_finished_run(start_run):
    run = start_run("02")
    with pytest.raises(StudyError, match="notebook 02"):
        runs.finished(run.settings, "02")
    with pytest.raises(StudyError, match="notebook 01"):
        runs.finished(run.settings, "01")
    run.finish()
    assert runs.finished(run.settings, "02") == run.folder


def test_a_run_that_starts_again_is_not_finished(start_run):
    run = start_run()
    run.finish()
    again = start_run()
    assert again.folder == run.folder
    assert read_state(again)["finished"] is False


def test_provenance_says_what_made_the_numbers_and_not_where(start_run, tmp_path):
    facts = start_run(seed=2).provenance()
    assert facts["settings"]["seed"] == 2
    assert facts["packages"]["torch"] == "2.11.0"
    assert facts["hardware"]["cores"] >= 1 and facts["hardware"]["memory_gib"] > 0
    assert facts["commit"]
    assert str(tmp_path) not in json.dumps(facts)
    assert not {"out", "data_root", "real", "workers", "device"} & set(facts["settings"])


def test_tables_are_written_in_full_and_rounded(start_run):
    run = start_run()
    table = pd.DataFrame({"SDR": [1.23456, np.nan], "50 %": [2, 3]}, index=["acoustic_guitar", "nmf"])
    assert run.write_table(table, "scores") is table
    back = pd.read_csv(run.folder / "scores.csv", index_col=0)
    pd.testing.assert_frame_equal(back, table)
    latex = (run.folder / "scores.tex").read_text()
    assert "1.23 " in latex and "1.2345" not in latex
    assert r"acoustic\_guitar" in latex and r"50 \%" in latex and r"\toprule" in latex
    run.finish()
    assert [name.rpartition("/")[2] for name in read_state(run)["files"]] == ["scores.csv", "scores.tex"]
    assert not litter(run.folder)


def test_a_table_of_no_run_names_its_files(tmp_path):
    paths = runs.save_table(pd.DataFrame({"a": [1.234]}), tmp_path / "new" / "v1.5")
    assert [path.name for path in paths] == ["v1.5.csv", "v1.5.tex"] and all(path.stat().st_size for path in paths)
    assert len(runs.save_table(pd.DataFrame({"a": [1]}), tmp_path / "list", latex=False)) == 1


def test_a_table_with_numbered_rows_is_written_without_the_numbers(start_run):
    run = start_run()
    run.write_table(pd.DataFrame({"a": [1, 2]}), "plain")
    assert (run.folder / "plain.csv").read_text() == "a\n1\n2\n"


def test_figures_of_a_smoke_run_stay_out_of_the_study(start_run):
    run = start_run()
    assert run.figures_folder == run.folder / "figures"
    assert start_run(preset="laptop").figures_folder == run.settings.out_root / "figures"


def test_checkpoints_of_seeds_and_presets_stand_apart(start_run):
    places = {start_run(**changes).checkpoint("separator.pt") for changes in ({}, {"seed": 1}, {"preset": "laptop"})}
    assert len(places) == 3
    assert all(path.parent.is_dir() for path in places)


def test_cuda_is_refused_where_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert runs.choose_device("auto") == "cpu"
    with pytest.raises(StudyError, match="cuda"):
        runs.choose_device("cuda")


def test_progress_speaks_at_times_and_at_the_end(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(runs.time, "perf_counter", lambda: now[0])
    progress = runs.Progress()
    for done in range(1, 31):
        now[0] += 1
        progress("videos", done, 30)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["videos: 11 of 30, 11 s", "videos: 22 of 30, 22 s", "videos: 30 of 30, 30 s"]


def test_progress_is_silent_about_short_work(capsys):
    runs.Progress()("videos", 3, 3)
    assert capsys.readouterr().out == ""
