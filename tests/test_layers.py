"""The library stands in layers, as ``docs/design.md`` says, and is light to import."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import avsep_lib

FOLDER = Path(avsep_lib.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
SHOWING = {"plots", "charts", "duet_plots", "listening"}
LONGEST = 600


def table():
    """Modules in the order of the design's table, each with its job."""
    text = (FOLDER.parent / "docs/design.md").read_text()
    section = text.split("## The layers of the library")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.+?) \|$", section, re.MULTILINE))


def imported(module):
    """Dotted names of all that a module imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse((FOLDER / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_the_table_names_every_module_once():
    assert sorted(table()) == MODULES
    assert all(job.strip() for job in table().values())


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_above(module):
    order = list(table())
    ours = {name.split(".")[1] for name in imported(module) if name.startswith("avsep_lib.")} & set(MODULES)
    below = {name for name in ours if order.index(name) >= order.index(module)}
    assert not below, f"{module} imports {', '.join(sorted(below))}, which stands below it in docs/design.md"


@pytest.mark.parametrize("module", MODULES)
def test_only_what_shows_knows_how_to_show(module):
    shown = {name.split(".")[0] for name in imported(module)} & {
        "matplotlib",
        "IPython",
        "ipywidgets",
        "anywidget",
        "seaborn",
    }
    assert not shown or module in SHOWING


@pytest.mark.parametrize("module", MODULES)
def test_a_module_can_be_read_in_one_sitting(module):
    assert len((FOLDER / f"{module}.py").read_text().splitlines()) <= LONGEST


def loaded_after(statement):
    """Packages that a fresh process has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_the_library_is_light_to_import():
    loaded = loaded_after("import avsep_lib, avsep_lib.settings")
    assert not loaded & {"torch", "torchvision", "matplotlib", "IPython", "numpy", "pandas"}


def test_the_workers_of_a_loader_load_nothing_to_show():
    loaded = loaded_after("import avsep_lib.mixtures, avsep_lib.rendered")
    assert not loaded & {"matplotlib", "IPython", "ipywidgets"}
