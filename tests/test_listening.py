import base64
import io
import re

import numpy as np
import pytest
import soundfile

from avsep_lib import listening, networks, plots
from avsep_lib.settings import StudyError
from avsep_lib.sound_maps import ask_places


def decoded(page):
    """Sounds that a page holds, and their rates."""
    found = re.findall(r"data:audio/wav;base64,([^\"]+)", page.data)
    return [soundfile.read(io.BytesIO(base64.b64decode(text))) for text in found]


def test_players_share_one_gain():
    loud, quiet = 3 * np.sin(np.arange(800) / 5), 0.3 * np.sin(np.arange(800) / 9)
    (first, rate), (second, _) = decoded(listening.players({"loud": loud, "quiet": quiet}, 8000))
    assert rate == 8000 and len(first) == 800
    assert np.abs(first).max() == pytest.approx(listening.PEAK, abs=1e-3)
    assert np.abs(second).max() == pytest.approx(listening.PEAK / 10, abs=1e-3)


def test_silence_stays_silent():
    ((sound, _),) = decoded(listening.players({"nothing": np.zeros(50)}, 8000))
    assert not sound.any()


def test_labels_are_text():
    assert "<b>" not in listening.players({"<b>": np.ones(9)}, 8000).data


@pytest.mark.parametrize("sounds", [{}, {"stereo": np.ones((2, 9))}, {"nothing": np.ones(0)}])
def test_what_cannot_be_played_is_refused(sounds):
    with pytest.raises(StudyError):
        listening.players(sounds, 8000)


@pytest.fixture(scope="module")
def stage(separation, separator):
    return listening.stage(separation, separator)


def test_a_stage_holds_all_that_it_shows(stage, separation):
    assert [player["name"] for player in stage.players] == [
        plots.readable(player.instrument) for player in separation.players
    ]
    assert len(stage.tracks) == len(stage.gains) == len(separation.tracks)
    assert stage.film[4:8] == b"ftyp" and stage.picture[:2] == b"\xff\xd8"


def test_a_place_is_answered_with_its_sound(stage, separation, separator):
    stage.place = (0.2, 0.5)
    sound, rate = soundfile.read(io.BytesIO(stage.place_sound))
    expected = ask_places(separator, separation.path, [(0.2, 0.5)])[0]
    assert rate == separator.sample_rate_hz and stage.answered == 1 and not stage.problem
    assert np.corrcoef(sound, expected[: len(sound)])[0, 1] > 0.999


def test_a_place_that_cannot_be_answered_says_why(stage, separation, monkeypatch):
    def broken(*_):
        raise StudyError(f"{separation.path}: is gone")

    before = stage.answered
    monkeypatch.setattr(listening, "ask_places", broken)
    stage.place = (0.8, 0.5)
    assert stage.problem.endswith("is gone") and not stage.place_sound and stage.answered == before + 1


def test_without_a_separator_places_are_not_asked(separation):
    stage = listening.stage(separation)
    stage.place = (0.2, 0.5)
    assert not stage.can_ask and not stage.answered


def test_source_is_that_of_the_library():
    page = listening.source(networks.FrameNet.forward, networks.Synthesizer.forward).data
    text = re.sub(r"<[^>]+>", "", page)
    assert text.count("def forward") == 2 and "einsum" in text and "amax" in text
