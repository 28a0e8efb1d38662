"""Tones made by rule: what each family fixes can be measured in its spectrum."""

from types import SimpleNamespace

import numpy as np
import pytest

from avsep_lib import synthesis
from avsep_lib.scores import Note
from avsep_lib.settings import MUSIC_21

ONE = SimpleNamespace(layers=(0,), detune_cents=0.0, dynamics=1.0)
A3 = Note(0.0, 2.0, 57, 0.7)


def played(instrument, note=A3, player=ONE, seed=0):
    """A second from the middle of a note, and its levels by frequency in steps of 1 Hz."""
    made = synthesis.drawn(instrument, np.random.default_rng(seed))
    sound, rate_hz = synthesis.tone(made, [note], player, note.end_s)
    assert len(sound) == int(note.end_s * rate_hz)
    return sound, np.abs(np.fft.rfft(sound[rate_hz // 2 : rate_hz // 2 + rate_hz]))


def partials(levels, hz, count):
    return np.array([levels[round(hz * k) - 3 : round(hz * k) + 4].max() for k in range(1, count + 1)])


@pytest.mark.parametrize("instrument", synthesis.FAMILIES)
def test_each_instrument_sounds_at_its_pitch(instrument):
    sound, levels = played(instrument)
    assert np.isfinite(sound).all() and 1e-3 < np.abs(sound).max() < 2
    heard = partials(levels, 220, 4)
    between = np.median(levels[230:430])
    assert heard.max() > 20 * between


def test_only_what_keeps_a_pitch_is_made_by_rule():
    assert set(MUSIC_21) - set(synthesis.FAMILIES) == {"drum", "congas"}


def test_a_clarinet_lacks_even_partials_and_a_saxophone_does_not():
    def evens(instrument):
        ratios = []
        for seed in range(8):
            heard = partials(played(instrument, seed=seed)[1], 220, 8)
            ratios.append(heard[1::2].mean() / heard[0::2].mean())
        return np.median(ratios)

    assert evens("clarinet") < 0.5 * evens("saxophone")


def test_a_struck_bar_is_inharmonic():
    made = synthesis.drawn("xylophone", np.random.default_rng(0))
    assert 2 not in made.ratios
    _, levels = played("xylophone")
    assert partials(levels, 220, 2)[1] < 0.05 * partials(levels, 220, 1)[0]


def test_a_plucked_string_dies_away_and_a_bowed_one_is_held():
    def fall_db(instrument):
        sound, _ = played(instrument)
        early, late = sound[3000:6000], sound[18_000:21_000]
        return 10 * np.log10(np.mean(early**2) / np.mean(late**2))

    assert fall_db("banjo") > 20
    assert abs(fall_db("violin")) < 1


def test_louder_brass_is_brighter():
    def heights(loudness):
        heard = partials(played("trumpet", Note(0.0, 2.0, 57, loudness))[1], 220, 12)
        return heard[6:].sum() / heard.sum()

    assert heights(1.0) > 1.2 * heights(0.3)


def test_two_reeds_beat():
    two = SimpleNamespace(layers=(0, 1), detune_cents=20.0, dynamics=1.0)
    single, _ = played("accordion")
    double, _ = played("accordion", player=two)

    def unrest(sound):
        return np.std([np.std(part) for part in np.split(sound[5000:21_000], 40)]) / np.std(sound)

    assert unrest(double) > 3 * unrest(single)


def test_no_two_players_share_a_spectrum():
    one, other = (partials(played("cello", seed=seed)[1], 220, 8) for seed in (1, 2))
    assert np.abs(20 * np.log10((one / one[0]) / (other / other[0]))).max() > 3
