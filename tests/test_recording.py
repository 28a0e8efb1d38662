"""What rooms, microphones and codecs do to a sound."""

import numpy as np
import pytest

from avsep_lib import recording

RATE_HZ = 11_025


def sine(hz, seconds=2.0):
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def test_speed_one_reads_what_is_stored():
    stored = np.arange(-500, 500, dtype=np.int16)
    got = recording.read_at_speed(stored, 100, 50, 1.0)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, stored[100:150] / 32768, atol=1e-7)


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_quicker_is_higher(speed):
    stored = np.round(sine(400) * 32767).astype(np.int16)
    spectrum = np.abs(np.fft.rfft(recording.read_at_speed(stored, 10.5, RATE_HZ, speed)))
    assert spectrum.argmax() == pytest.approx(400 * speed, abs=1)


def test_beyond_the_end_is_silence():
    got = recording.read_at_speed(np.full(100, 1000, np.int16), 60, 100, 1.0)
    assert (got[:40] > 0).all() and (got[41:] == 0).all()


@pytest.mark.parametrize("seed", range(12))
def test_any_recording_has_one_level_and_its_length(seed):
    rng = np.random.default_rng(seed)
    got = recording.recorded(sine(300), RATE_HZ, 5.0, rng)  # each change nearly for certain
    assert got.shape == (2 * RATE_HZ,) and got.dtype == np.float32 and np.isfinite(got).all()
    assert np.sqrt(np.mean(got**2)) == pytest.approx(0.1, rel=1e-3)


def test_strength_nought_changes_the_level_alone():
    sound = sine(300)
    got = recording.recorded(sound, RATE_HZ, 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(got, sound * (0.1 / np.sqrt(np.mean(sound**2))), rtol=1e-5)


def test_silence_stays_silent():
    assert not recording.recorded(np.zeros(500, np.float32), RATE_HZ, 0.0, np.random.default_rng(0)).any()


def test_a_room_rings_on_and_a_narrow_channel_loses_the_heights():
    rng = np.random.default_rng(1)
    click = np.zeros(2 * RATE_HZ, np.float32)
    click[100] = 1
    rung = recording._room(click, RATE_HZ, rng)
    assert rung[100] == pytest.approx(1, abs=0.5) and np.abs(rung[400:1000]).max() > 1e-3
    narrow = recording._narrow(sine(5300), RATE_HZ, np.random.default_rng(0))
    assert np.std(narrow) < 0.5 * np.std(sine(5300))
