"""Tunes: kept as plain numbers, and played in an instrument's register at any tempo."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from avsep_lib import tunes
from avsep_lib.settings import StudyError

SCALE = np.array([(beat, 1, 60 + beat % 8) for beat in range(32)], np.float32)


def note(offset, midi):
    return SimpleNamespace(offset=offset, quarterLength=0.5, pitch=SimpleNamespace(midi=midi), isNote=True)


def corpus(monkeypatch, melodies):
    """Put a music21 in place whose corpus holds these melodies by file name."""
    parse = lambda path: SimpleNamespace(flatten=lambda: SimpleNamespace(notes=melodies[str(path)]))  # noqa: E731
    fake = SimpleNamespace(getPaths=lambda: list(melodies), parse=parse)
    monkeypatch.setitem(sys.modules, "music21", SimpleNamespace(corpus=fake))


def test_tunes_come_back_as_they_were_collected(tmp_path, monkeypatch):
    long = [note(0.5 * n, 60 + n) for n in range(30)]
    held = SimpleNamespace(isNote=False, offset=0, quarterLength=1)
    corpus(
        monkeypatch,
        {
            "x/airdsAirs/one.abc": [held, *long],
            "x/airdsAirs/short.abc": long[:5],
            "x/bach/chorale.abc": long,
            "x/oneills1850/two.abc": long[:24],
        },
    )
    seen = []
    assert tunes.collect(tmp_path / "tunes.npz", lambda *where: seen.append(where)) == 2
    assert seen[-1] == ("reading tunes", 3, 3)
    one, two = tunes.read(tmp_path / "tunes.npz")
    np.testing.assert_array_equal(one, [(0.5 * n, 0.5, 60 + n) for n in range(30)])
    np.testing.assert_array_equal(two, one[:24])


def test_no_music21_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "music21", None)
    with pytest.raises(StudyError, match="pip install music21"):
        tunes.collect(tmp_path / "tunes.npz")


def test_no_file_has_no_tunes(tmp_path):
    assert tunes.read(Path(tmp_path) / "tunes.npz") == []


@pytest.mark.parametrize("register", [(26, 64), (55, 98)])
def test_a_score_keeps_the_melody_within_time_and_register(register):
    for seed in range(10):
        score = tunes.as_score(SCALE, register, 24.0, np.random.default_rng(seed))
        starts = [n.start_s for n in score]
        assert starts == sorted(starts) and starts[0] < 0.02
        assert all(n.start_s < n.end_s <= 24.0 and 0.1 <= n.loudness <= 1 for n in score)
        assert score[-1].end_s > 22.0
        steps = {a.pitch - b.pitch for a, b in zip(score[1:], score, strict=False)}
        assert steps == {1, -7}
        middle = np.median([n.pitch for n in score])
        assert register[0] <= middle <= register[1]
