"""The stage in a real JupyterLab: cells are run by Shift and Enter, the widget is clicked, and what plays is heard."""

import nbformat
import pytest
from lab_notebook import Notebook
from person import SILENT_DB, Person
from tones import HIGH_HZ, LOW_HZ

TESTS = __file__.rsplit("/", 2)[0]
_CELLS = [
    f"""
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path[:0] = ["{TESTS}", "{TESTS}/browser"]
import numpy as np
from tones import HIGH_HZ, LOW_HZ, tone_duet

from avsep_lib import listening
from avsep_lib.settings import StudyError
""",
    """
def answer(separator, path, places, seen):
    (x, y), = places
    if y < 0.1:
        raise StudyError("nothing is known of the sky")
    hz = LOW_HZ if x < 0.5 else HIGH_HZ
    return 0.4 * np.sin(2 * np.pi * hz * np.arange(60 * 11_025) / 11_025)[None]

listening.ask_places, listening.look = answer, lambda *_: None
""",
    """
duet = tone_duet(Path("."))
widget = listening.stage(duet, SimpleNamespace(sample_rate_hz=11_025))
widget
""",
]


@pytest.fixture(scope="module")
def person(chromium, lab, shots):
    cells = [nbformat.v4.new_code_cell(source.strip()) for source in _CELLS]
    cells.append(nbformat.v4.new_code_cell("print(widget.heard, widget.gains, widget.place)"))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), lab.folder / "tones.ipynb")
    context = chromium.new_context(viewport={"width": 1360, "height": 900})
    page, asked = context.new_page(), []
    page.on("request", lambda request: request.url.startswith(("http", "ws")) and asked.append(request.url))
    page.goto(lab.url("tones.ipynb"))
    try:
        notebook = Notebook(page)
        notebook.run(len(_CELLS))
        person = Person(page)
        person.notebook = notebook
        yield person
    finally:
        page.screenshot(path=shots / "lab.png")
        foreign = [url for url in asked if "//127.0.0.1" not in url]
        context.close()
    assert not foreign


def test_everybody_is_heard_then_one(person):
    person.press("play")
    person.wait("state.playing && state.time > 0.3")
    assert min(person.heard_db(LOW_HZ, HIGH_HZ)) > SILENT_DB + 30
    before = person.state()["time"]
    person.press("solo 2 flute")
    low, high = person.heard_db(LOW_HZ, HIGH_HZ)
    assert low < SILENT_DB and high > SILENT_DB + 30
    assert person.state()["playing"] and person.state()["time"] > before
    person.choose("everybody")
    person.fade(2, 0)
    low, high = person.heard_db(LOW_HZ, HIGH_HZ)
    assert low > SILENT_DB + 30 and high < SILENT_DB
    person.fade(2, 1)


def test_a_place_is_asked_of_the_kernel(person):
    for x, loud in ((0.8, 1), (0.2, 0), (0.2, 0)):
        person.choose("everybody")
        person.click(x, 0.6)
        person.wait("state.heard === 'place' && !state.asking")
        levels = person.heard_db(LOW_HZ, HIGH_HZ)
        assert levels[loud] > SILENT_DB + 30 and levels[1 - loud] < SILENT_DB


def test_what_the_kernel_cannot_answer_is_said(person):
    person.choose("1 cello")
    person.click(0.5, 0.05)
    person.wait("state.problem.includes('nothing is known of the sky')")
    assert person.state()["heard"] == "1" and person.stage.get_by_text("nothing is known of the sky").is_visible()
    person.click(0.5, 0.6)
    person.wait("state.heard === 'place' && !state.problem")


def test_the_kernel_knows_what_was_chosen(person):
    person.choose("2 flute")
    person.fade(1, 0)
    person.notebook.select(len(_CELLS) + 1)
    person.notebook.run()
    said = person.notebook.cells.nth(len(_CELLS)).locator(".jp-OutputArea-output").text_content()
    assert said.startswith("2 [0.0, 1.0]")
