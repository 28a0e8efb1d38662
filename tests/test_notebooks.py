"""The five chapters keep their form, and run from the first to the last, twice with the same tables."""

import ast
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import papermill
import pytest

from avsep_lib.recipes import RECIPES
from avsep_lib.settings import PROJECT_ROOT, Settings

CHAPTERS = sorted((PROJECT_ROOT / "notebooks").glob("*.ipynb"))
BIN = Path(sys.executable).parent
LONGEST_CELL, LONGEST_PARAMETERS, MOST_CELLS, MOST_LINES, MOST_PLAYERS = 15, 25, 38, 220, 25
FORBIDDEN = ("!pip", "%pip", "sys.path", "%matplotlib", "warnings.filterwarnings", "os.chdir", "%cd")


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem[:2])
def chapter(request):
    content = nbformat.read(request.param, as_version=4)
    content.path = str(request.param)
    return content


def of_kind(chapter, kind):
    return [cell for cell in chapter.cells if cell.cell_type == kind]


def lines(cell):
    return [line for line in cell.source.splitlines() if line.strip()]


def parameters(chapter):
    (cell,) = [cell for cell in chapter.cells if "parameters" in cell.metadata.get("tags", [])]
    return cell


def headings(chapter, level):
    return [
        match
        for cell in of_kind(chapter, "markdown")
        for match in re.findall(rf"^{'#' * level} (.+)$", cell.source, re.MULTILINE)
    ]


# Form


def test_there_are_five_numbered_chapters():
    assert [path.name[:3] for path in CHAPTERS] == ["01_", "02_", "03_", "04_", "05_"]


def test_cells_are_short_and_few(chapter):
    code = of_kind(chapter, "code")
    long = [cell.id for cell in code if len(lines(cell)) > LONGEST_CELL and cell is not parameters(chapter)]
    assert not long
    assert len(lines(parameters(chapter))) <= LONGEST_PARAMETERS
    assert len(code) <= MOST_CELLS and sum(len(lines(cell)) for cell in code) <= MOST_LINES
    assert len(of_kind(chapter, "markdown")) >= len(code)


def test_what_belongs_into_the_library_is_not_here(chapter):
    source = "\n".join(cell.source for cell in of_kind(chapter, "code"))
    assert not [word for word in FORBIDDEN if word in source]
    nodes = list(ast.walk(ast.parse(source)))
    assert not [node for node in nodes if isinstance(node, ast.ClassDef)]
    assert sum(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) for node in nodes) <= 2


def test_parameters_are_typed_literals_with_a_comment(chapter):
    cell = parameters(chapter)
    assert cell.cell_type == "code" and chapter.cells.index(cell) <= 3
    statements = ast.parse(cell.source).body
    assert len(statements) == len(lines(cell)), "one parameter on each line"
    for statement, line in zip(statements, lines(cell), strict=True):
        assert isinstance(statement, ast.AnnAssign) and isinstance(statement.annotation, ast.Name), line
        value = ast.literal_eval(statement.value)
        assert type(value).__name__ == statement.annotation.id, line
        assert re.search(r"  # \w.{8}", line) and "|" not in line, line


def test_all_chapters_begin_with_the_same_parameters():
    heads = {tuple(lines(parameters(nbformat.read(path, as_version=4)))[:6]) for path in CHAPTERS}
    assert len(heads) == 1
    names = [line.split(":")[0] for line in heads.pop()]
    assert names == ["preset", "dataset", "seed", "device", "out", "data_root"]
    assert set(names) <= set(Settings.__dataclass_fields__)


def test_papermill_sees_every_parameter_with_its_type_and_help(chapter):
    seen = papermill.inspect_notebook(chapter.path)
    statements = ast.parse(parameters(chapter).source).body
    assert list(seen) == [statement.target.id for statement in statements]
    for statement in statements:
        found = seen[statement.target.id]
        assert found["inferred_type_name"] == statement.annotation.id
        assert ast.literal_eval(found["default"]) == ast.literal_eval(statement.value)
        assert len(found["help"]) > 8
    assert seen["preset"]["default"] == '"laptop"'


def test_chapters_are_committed_without_what_a_run_leaves(chapter):
    for cell in of_kind(chapter, "code"):
        assert not cell.outputs and cell.execution_count is None, cell.id
    assert all(set(cell.metadata) <= {"tags"} for cell in chapter.cells)
    assert set(chapter.metadata) - {"path"} <= {"kernelspec", "language_info"}
    assert chapter.metadata.kernelspec.name == "python3"


def test_cells_have_names_that_stay(chapter):
    names = [cell.id for cell in chapter.cells]
    assert len(set(names)) == len(names)
    assert not [name for name in names if re.fullmatch(r"[0-9a-f]{8}(-.*)?", name)], "ids made by chance"


def test_the_title_stands_once_and_the_contents_name_every_part(chapter):
    assert re.fullmatch(rf"{Path(chapter.path).name[:2]} · .+", *headings(chapter, 1))
    assert chapter.cells[0].source.startswith("# ")
    (contents,) = [cell.source for cell in of_kind(chapter, "markdown") if "**Contents.**" in cell.source]
    named = " ".join(contents.split("**Contents.**")[1].split("\n\n")[0].split()).split(" · ")
    assert named == headings(chapter, 2)


def test_each_chapter_leads_to_the_next(chapter):
    after = {one.name: other.name for one, other in itertools.pairwise(CHAPTERS)}
    targets = re.findall(r"\]\(([^)#:]+)\)", "\n".join(cell.source for cell in of_kind(chapter, "markdown")))
    assert not [target for target in targets if not (Path(chapter.path).parent / target).exists()]
    assert after.get(Path(chapter.path).name) in [None, *targets]


# The run


def promised(path):
    """Names that the row ``Writes`` of a chapter's table puts in code type."""
    first = nbformat.read(path, as_version=4).cells[0].source
    (row,) = re.findall(r"^\| Writes \| (.+) \|$", first, re.MULTILINE)
    return re.findall(r"`([\w.]+)`", row)


def state(study, number):
    return json.loads((study.results / f"{number}_seed0/run.json").read_text())


def test_the_study_runs_to_its_end(smoke_study):
    assert smoke_study.done.returncode == 0, smoke_study.done.stdout[-3000:] + smoke_study.done.stderr[-3000:]
    assert [f"[{n}/5] {path.name}" in smoke_study.done.stdout for n, path in enumerate(CHAPTERS, 1)] == [True] * 5
    for path in CHAPTERS:
        run = state(smoke_study, path.name[:2])
        assert run["finished"] and run["settings"]["preset"] == "smoke" and run["files"]
        assert all((PROJECT_ROOT / name).stat().st_size for name in run["files"])


def test_it_writes_nothing_into_the_project(smoke_study):
    assert not smoke_study.touched
    assert not [path for path in smoke_study.root.iterdir() if path.name not in ("out", "data")]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem[:2])
def test_a_chapter_writes_what_its_table_promises(smoke_study, path):
    there = {file.name for file in smoke_study.out.rglob("*") if file.stat().st_size}
    names = promised(path)
    assert names
    for name in names:
        table, figure = ({f"{name}.{kind}" for kind in kinds} for kinds in (("csv", "tex"), ("png", "pdf", "json")))
        assert {name} <= there or table <= there or figure <= there, name
    listed = {Path(file).name for file in state(smoke_study, path.name[:2])["files"]}
    assert {name for name in names if "." not in name} <= {Path(file).stem for file in listed}


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem[:2])
def test_a_page_is_kept_of_each_chapter_and_shows_no_failure(smoke_study, path):
    page = (smoke_study.results / f"{path.name[:2]}_seed0/notebook.html").read_text()
    assert "Traceback" not in page and "UserWarning" not in page
    assert page.count("data:image/png;base64") >= 2
    assert 0 <= page.count("<audio") <= MOST_PLAYERS
    assert page.count("<h2") >= len(headings(nbformat.read(path, as_version=4), 2))


def test_scores_are_numbers_for_every_method_and_source(smoke_study):
    metrics = pd.read_csv(smoke_study.results / "04_seed0/metrics.csv")
    counts = metrics.groupby("method").size()
    assert set(counts) == {12} and {"mixture", "separator", "ideal ratio mask"} <= set(counts.index)
    trained = {recipe.title for recipe in RECIPES.values()}
    assert trained | {"NMF, blind", "robust PCA", "separator, shuffled pictures"} <= set(counts.index)
    scored = metrics[metrics.silent.isna()]
    hard = metrics.method.str.startswith("semantic mask") & ~metrics.method.str.contains("soft")
    assert (metrics[metrics.silent.notna()].silent == "estimate").all()  # test videos sound, nets may find nothing
    assert metrics[~hard].silent.isna().mean() > 0.8  # a hard mask of a net that has hardly learned may be empty
    assert np.isfinite(scored[["sdr_db", "sir_db", "sar_db", "si_sdr_db"]]).all(axis=None)
    means = pd.read_csv(smoke_study.results / "04_seed0/04_methods.csv", index_col=0).SDR
    assert means["ideal ratio mask"] > means["mixture"] + 5
    duets = pd.read_csv(smoke_study.results / "05_seed0/metrics.csv")
    assert set(duets.groupby("method").size()) == {2 + 2 + 3 + 4}
    assert np.isfinite(duets.sdr_db[duets.silent.isna()]).all()
    for number, epochs in (("02", 6), ("03", 2)):
        history = pd.read_csv(smoke_study.results / f"{number}_seed0/history.csv")
        assert list(history.epoch) == list(range(1, epochs + 1)) and np.isfinite(history).all(axis=None)


def test_the_report_names_files_that_are_there(smoke_study):
    report = smoke_study.done.stdout.split("Look at:")[1].splitlines()[1:]
    named = [line.split(maxsplit=1) for line in report if line.strip()]
    assert {kind for kind, _ in named} == {"pages", "figures", "tables", "checkpoints"}
    assert all((smoke_study.root / name).is_file() for _, name in named)
    assert sum(kind == "pages" for kind, _ in named) == 5 + 1  # the chapters, and the report of a duet


def test_a_second_study_gives_the_same_tables_to_the_last_digit(smoke_study, tmp_path):
    """Without rivals, whose number of mixtures the clock decides: all other methods have the same scores."""
    command = [BIN / "avsep", "study", "--preset", "smoke", "--out", tmp_path / "out", "--only", "02", "03", "04"]
    command += ["--set", f"data_root={smoke_study.data}", "rivals=none"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    again = tmp_path / "out/results/smoke"
    tables = [path for number in ("02", "03") for path in (smoke_study.results / f"{number}_seed0").glob("*.csv")]
    tables = [path for path in tables if path.name != "clock.csv"] + [smoke_study.results / "04_seed0/04_mixtures.csv"]
    assert sum(path.name == "history.csv" for path in tables) == 2
    for path in tables:
        name = path.relative_to(smoke_study.results)
        assert (again / name).read_bytes() == path.read_bytes(), name
    first, second = (
        pd.read_csv(folder / "04_seed0/metrics.csv", dtype={"silent": str}) for folder in (smoke_study.results, again)
    )
    assert {"mixture", "NMF, blind", "separator", "separator, true class given"} <= set(second.method)
    assert set(second.method) < set(first.method)
    shared = first[first.method.isin(second.method)].reset_index(drop=True)
    pd.testing.assert_frame_equal(shared, second, check_exact=True)


@pytest.mark.parametrize(("name", "value"), [("presett", "laptop"), ("seed", "one")])
def test_papermill_alone_refuses_what_is_mistyped(tmp_path, name, value):
    notebook = next(path for path in CHAPTERS if path.name.startswith("04_"))
    safe = ["-p", "out", tmp_path / "out", "-p", "data_root", tmp_path / "data"]
    done = subprocess.run(
        [BIN / "papermill", notebook, "out.ipynb", "-p", name, value, *safe],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(("StudyError", "avsep_lib.settings.StudyError")) and repr(name) in last
    assert not (tmp_path / "out").exists() and not (tmp_path / "data").exists()
