import base64
import io
import re

import numpy as np
import pytest
import soundfile
from made_duets import strip

from avsep_lib import duets, listening, media, networks
from avsep_lib.settings import StudyError
from avsep_lib.sound_maps import SoundMaps


def decoded(page):
    """Sounds that a page holds, and their rates."""
    found = re.findall(r"data:audio/wav;base64,([^\"]+)", page.data)
    return [soundfile.read(io.BytesIO(base64.b64decode(text))) for text in found]


@pytest.fixture
def separation(tmp_path):
    players = [strip("cello", 0.9, 0.0, 0.5), strip("flute", 0.9, 0.5, 1.0)]
    estimates = np.stack([np.full(100, 0.25), np.full(100, -0.05)]).astype(np.float32)
    paths = [tmp_path / f"{name}.wav" for name in ("mixture", "cello", "flute")]
    for path, sound in zip(paths, [estimates.sum(0), *estimates], strict=True):
        media.write_audio(path, sound, 8000)
    empty = np.zeros((7, 12), np.float32)
    return duets.Separation(paths[0], players, paths[1:], 100, SoundMaps(empty, np.stack([empty, empty])),
                            np.zeros((9, 16, 3), np.uint8), 8000)  # fmt: skip


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


def test_faders_add_the_tracks_up(separation):
    assert np.allclose(listening.remix(separation, [1, 1]), separation.mixture)
    assert np.allclose(listening.remix(separation, [0, 2]), -0.1)


def test_panel_has_a_fader_for_each_player(separation):
    *faders, _ = listening.listen_panel(separation).children
    assert [fader.description for fader in faders] == ["cello", "flute"]
    faders[0].value = 0  # runs the panel's own code again


def test_source_is_that_of_the_library():
    page = listening.source(networks.FrameNet.forward, networks.Synthesizer.forward).data
    text = re.sub(r"<[^>]+>", "", page)
    assert text.count("def forward") == 2 and "einsum" in text and "amax" in text
