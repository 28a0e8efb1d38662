"""Notebook 05 as somebody uses it who has trained: every cell is run in JupyterLab, and its stage is played with."""

import subprocess
import sys

import nbformat
import numpy as np
import pytest
import soundfile
import soxr
from lab_notebook import Notebook
from person import Person

from avsep_lib.settings import PROJECT_ROOT

# A separator of the smoke preset hardly separates: on stage, the true tracks stand in for its own, which sound alike.
_BEFORE = """
import dataclasses
from pathlib import Path

separated = separation
rate_hz = settings.sample_rate_hz
paths = [Path(f"true_{n}.wav") for n in (1, 2)]
for path, sound in zip(paths, rendered.read_truth(separation.path, rate_hz)[0], strict=True):
    media.write_audio(path, sound, rate_hz)
separation = dataclasses.replace(separation, tracks=paths)
"""


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """The smoke study up to its separator: parameters for the next notebook."""
    root = tmp_path_factory.mktemp("study")
    avsep = [sys.executable, "-m", "avsep_lib.cli", "study", "--preset", "smoke", "--only", "01", "02", "03"]
    places = {"out": str(root / "out"), "data_root": str(root / "data")}
    command = [*avsep, "--out", places["out"], "--set", f"data_root={places['data_root']}", "rivals=none"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return {"preset": "smoke", **places}


@pytest.fixture(scope="module")
def notebook(chromium, lab, study, shots):
    """Notebook 05 in JupyterLab, every cell of it run."""
    copy = nbformat.read(PROJECT_ROOT / "notebooks/05_duet_demos.ipynb", 4)
    (parameters,) = [cell for cell in copy.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source += "".join(f"\n{name} = {value!r}" for name, value in study.items())
    (place,) = [n for n, cell in enumerate(copy.cells) if cell.source.startswith("listening.stage(")]
    copy.cells.insert(place + 1, nbformat.v4.new_code_cell("separation = separated"))
    copy.cells.insert(place, nbformat.v4.new_code_cell(_BEFORE.strip()))
    nbformat.write(copy, lab.folder / "duets.ipynb")
    context = chromium.new_context(viewport={"width": 1360, "height": 900})
    page = context.new_page()
    page.goto(lab.url("duets.ipynb"))
    try:
        notebook = Notebook(page)
        notebook.run(len(copy.cells))
        yield notebook
    finally:
        page.screenshot(path=shots / "duets.png")
        context.close()


@pytest.fixture(scope="module")
def person(notebook):
    person = Person(notebook.page)
    person.stage.scroll_into_view_if_needed()
    return person


@pytest.fixture(scope="module")
def tracks(notebook, lab):
    """The tracks of the two players, float (L,) each, and their rate in Hz."""
    (left, rate_hz), (right, _) = (soundfile.read(lab.folder / f"true_{n}.wav") for n in (1, 2))
    return (left, right), rate_hz


def error_db(heard, wanted, rate_hz):
    """How far what plays is from a sound at those times, whatever their gains: dB below the sound."""
    moments, played_hz = heard
    wanted, error, power = soxr.resample(wanted, rate_hz, played_hz), 0.0, 1e-12
    for time_s, played in moments:
        count, room = len(played), round(0.2 * played_hz)
        first = max(round(time_s * played_hz) - count - room, 0)
        near = wanted[first : first + count + 2 * room]
        energy = np.convolve(np.square(near), np.ones(count), "valid")
        likeness = np.correlate(near, played) / np.sqrt(np.maximum(energy, 1e-12))
        place = np.abs(likeness).argmax()
        there = near[place : place + count]
        there = there * (there @ played / max(there @ there, 1e-12))
        error, power = error + np.square(played - there).sum(), power + np.square(there).sum()
    return 10 * np.log10(error / power)


def assert_heard(heard, number, sounds, rate_hz):
    """What plays is the track of this player, and not that of the other."""
    own = error_db(heard, sounds[number - 1], rate_hz)
    other = error_db(heard, sounds[2 - number], rate_hz)
    assert own < -25 and other > own + 15, (own, other)


def test_the_right_player_is_heard(person, tracks):
    sounds, rate_hz = tracks
    person.press("play")
    person.wait("state.playing")
    assert error_db(person.hear(), sum(sounds), rate_hz) < -25
    person.press(person.name_of(2, "solo "))
    person.restart()
    assert_heard(person.hear(), 2, sounds, rate_hz)
    person.press(person.name_of(2, "solo "))
    person.choose(person.name_of(1))
    person.restart()
    assert_heard(person.hear(), 1, sounds, rate_hz)


def test_a_fader_silences_a_player(person, tracks):
    sounds, rate_hz = tracks
    person.choose("everybody")
    person.fade(1, 0)
    person.restart()
    assert_heard(person.hear(), 2, sounds, rate_hz)
    person.fade(1, 1)


def test_a_place_is_heard(person):
    person.click(0.25, 0.5)
    person.wait("state.heard === 'place' && !state.asking && state.playing")
    assert not person.state()["problem"] and person.state()["levels"]["place"] > 0
    person.restart()
    assert max(np.abs(played).max() for _, played in person.hear()[0]) > 1e-3
