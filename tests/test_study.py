"""The notebooks run in their order, a failure says where and why, and only a finished run is believed."""

import json

import nbformat
import pytest

from avsep_lib import study
from avsep_lib.settings import PROJECT_ROOT, StudyError, from_parameters

FINISHING = """
from pathlib import Path
from avsep_lib import runs
from avsep_lib.settings import from_parameters
run = runs.begin("01", from_parameters(preset=preset, seed=seed, out=out))
(run.folder / "told.csv").write_text(f"{preset},{seed},{Path.cwd().name}")
print("one line")
run.finish(told=run.folder / "told.csv")
"""


@pytest.fixture
def settings(tmp_path):
    return from_parameters("smoke", out=str(tmp_path / "out"), seed=5)


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """A function that writes a notebook of some cells to the folder that the study reads."""
    folder = tmp_path / "chapters"
    folder.mkdir()
    monkeypatch.setattr(study, "NOTEBOOKS", folder)

    def notebook(name, *cells):
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        content = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
        parameters = 'preset = "laptop"\nseed = 0\nout = ""'
        content.cells = [nbformat.v4.new_code_cell(source) for source in (parameters, *cells)]
        content.cells[0].metadata.tags = ["parameters"]
        nbformat.write(content, folder / name)
        return folder / name

    return notebook


def test_the_study_has_five_chapters_in_order():
    names = [path.name for path in study.choose([])]
    assert [name[:3] for name in names] == ["01_", "02_", "03_", "04_", "05_"]


@pytest.mark.parametrize(("only", "chosen"), [(["03"], ["03"]), (["04", "02"], ["02", "04"]), (["05", "05"], ["05"])])
def test_chapters_are_chosen_by_number_and_keep_their_order(only, chosen):
    assert [path.name[:2] for path in study.choose(only)] == chosen


@pytest.mark.parametrize("number", ["07", "3", "03_combined_training"])
def test_an_unknown_number_is_named_with_those_there_are(number):
    with pytest.raises(StudyError, match=rf"--only {number}: .*choose from 01, 02, 03, 04, 05$"):
        study.choose(["02", number])


def test_a_chapter_gets_its_parameters_and_its_files_are_named(notebook, settings, tmp_path, capsys, monkeypatch):
    notebook("01_good.ipynb", FINISHING)
    monkeypatch.chdir(tmp_path)
    made = study.run_study(settings, {"out": settings.out, "seed": 5})
    folder = settings.out_root / "results/smoke/01_seed5"
    assert set(made) == {folder / "told.csv", folder / "notebook.html"}
    assert all(path.stat().st_size for path in made)
    assert (folder / "told.csv").read_text() == "smoke,5,chapters"
    assert "one line" in (folder / "notebook.html").read_text()
    assert not list(folder.glob("*.ipynb"))
    shown = capsys.readouterr().out
    assert "[1/1] 01_good.ipynb" in shown and "      one line" in shown
    assert "out/results/smoke/01_seed5/told.csv" in shown and "out/results/smoke/01_seed5/notebook.html" in shown


def test_the_first_failure_stops_the_study_and_fits_on_a_screen(notebook, settings, tmp_path):
    later = tmp_path / "later"
    many = "\n".join(f"step = {n}" for n in range(40))
    notebook("01_bad.ipynb", "reached = True", f"rows = {{}}\nrows['cello']\n{many}")
    notebook("02_later.ipynb", f"open({str(later)!r}, 'w').close()")
    with pytest.raises(study.NotebookFailedError) as error:
        study.run_study(settings, {"out": settings.out})
    text = str(error.value)
    assert text.startswith("01_bad.ipynb failed in cell 3") or text.startswith("01_bad.ipynb failed in cell 4")
    assert "    rows['cello']" in text and "KeyError: 'cello'" in text
    assert len(text.splitlines()) <= 30 and "\x1b" not in text
    executed = settings.out_root / "results/smoke/01_seed5/notebook.ipynb"
    assert str(executed) in text and "reached = True" in executed.read_text()
    assert not later.exists()


def test_what_a_user_can_mend_is_said_as_it_is(notebook, settings):
    notebook("01_bad.ipynb", "from avsep_lib.settings import StudyError", "raise StudyError('tuba.mp4: is silent')")
    with pytest.raises(study.NotebookFailedError, match=r"StudyError: tuba\.mp4: is silent\n"):
        study.run_study(settings, {"out": settings.out})


def test_a_dead_kernel_is_no_success(notebook, settings):
    notebook("01_dies.ipynb", "import os\nos._exit(1)", FINISHING)
    with pytest.raises(study.NotebookFailedError, match=r"01_dies.ipynb: its kernel died.*notebook.ipynb"):
        study.run_study(settings, {"out": settings.out})


def test_a_chapter_that_does_not_finish_its_run_is_refused_whatever_an_earlier_one_left(notebook, settings):
    path = notebook("01_idle.ipynb", "print('nothing')")
    state = settings.out_root / "results/smoke/01_seed5/run.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"finished": True, "files": []}))
    with pytest.raises(study.NotebookFailedError, match=r"01_idle.ipynb: ran but did not finish its run"):
        study.run_notebook(path, settings, {"out": settings.out})


def test_the_report_names_each_file_once_and_by_its_kind(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = [tmp_path / name for name in ("a.csv", "a.tex", "b.png", "b.pdf", "c.pt", "page.html", "a.csv")]
    study._report(made, 75.0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "The study took 75 s. Look at:"
    assert [line.split() for line in lines[1:]] == [
        ["pages", "page.html"], ["figures", "b.png"], ["tables", "a.csv"], ["checkpoints", "c.pt"],
    ]  # fmt: skip


def test_chapters_are_those_of_the_project():
    assert study.NOTEBOOKS == PROJECT_ROOT / "notebooks"
