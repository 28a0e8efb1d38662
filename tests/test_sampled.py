"""Real notes, played: right pitch, right time, and clear words about a folder without notes."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from avsep_lib import sampled
from avsep_lib.scores import Note
from avsep_lib.settings import StudyError

PLAYER = SimpleNamespace(dynamics=1.0, layers=(0,), detune_cents=0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two notes, a sine each, with a tenth of a second of silence before it."""
    path = tmp_path_factory.mktemp("notes")
    for name, hz in (("A3", 220.0), ("Cs5", 554.365)):
        time_s = np.arange(3 * 44_100) / 44_100
        sound = np.concatenate([np.zeros(4410), 0.5 * np.sin(2 * np.pi * hz * time_s)])
        soundfile.write(path / f"{name}.mp3", sound, 44_100)
    (path / "readme.mp3").write_bytes(b"named like no note")
    return str(path)


def loudest_hz(sound, rate):
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return np.fft.rfftfreq(len(sound), 1 / rate)[spectrum.argmax()]


def test_notes_are_read_with_their_pitch_and_begin_at_once(folder):
    (low, first), (high, _) = sampled.read_notes(folder)
    assert (low, high) == (57, 73)
    assert np.abs(first[: sampled.RATE_HZ // 50]).max() > 0.5


@pytest.mark.parametrize("pitch", [55, 57, 60, 72, 76])
def test_a_note_sounds_at_its_pitch_and_in_its_time(folder, pitch):
    sound, rate = sampled.tone(folder, [Note(0.5, 1.5, pitch, 0.7)], PLAYER, 2.0)
    assert sound.shape == (2 * rate,) and sound.dtype == np.float32
    assert loudest_hz(sound, rate) == pytest.approx(440 * 2 ** ((pitch - 69) / 12), rel=0.01)
    assert np.abs(sound[: int(0.49 * rate)]).max() == 0
    assert np.abs(sound[int(1.6 * rate) :]).max() == 0
    assert np.abs(sound[int(0.6 * rate) : int(1.4 * rate)]).max() > 0.5


def test_louder_in_the_score_is_louder(folder):
    soft, loud = (
        np.abs(sampled.tone(folder, [Note(0, 1, 57, loudness)], PLAYER, 1.0)[0]).max() for loudness in (0.4, 0.9)
    )
    assert loud == pytest.approx(soft * 10**0.5, rel=1e-3)


def test_a_note_beyond_the_end_and_one_longer_than_its_recording_do_no_harm(folder):
    sound, rate = sampled.tone(folder, [Note(0, 30, 57, 0.7), Note(9, 12, 57, 0.7)], PLAYER, 8.0)
    assert len(sound) == 8 * rate
    assert np.abs(sound[4 * rate :]).max() == 0  # the recording has three seconds


def test_a_folder_without_notes_is_named(tmp_path):
    with pytest.raises(StudyError, match="holds no notes"):
        sampled.read_notes(str(tmp_path))


def test_a_broken_note_is_named(tmp_path):
    (tmp_path / "A4.mp3").write_bytes(b"no sound at all")
    with pytest.raises(StudyError, match=r"A4\.mp3: cannot be read"):
        sampled.read_notes(str(tmp_path))
