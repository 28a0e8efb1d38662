"""Scores and performers: their contract, their seeds, and a sound that is that of the notes."""

import dataclasses
import itertools

import numpy as np
import pytest

from avsep_lib.performers import perform
from avsep_lib.scores import Note, compose
from avsep_lib.settings import INSTRUMENTS, StudyError

RATE_HZ = 11_025
PITCHES = {
    "accordion": 67, "acoustic_guitar": 52, "cello": 45, "clarinet": 64, "erhu": 72, "flute": 77,
    "saxophone": 58, "trumpet": 69, "tuba": 38, "violin": 74, "xylophone": 76,
}  # fmt: skip
each_instrument = pytest.mark.parametrize("instrument", INSTRUMENTS)


def play(instrument, duration_s, *seed):
    rng = np.random.default_rng(seed)
    return perform(instrument, compose(instrument, duration_s, rng), duration_s, RATE_HZ, rng)


def window_levels_db(sound, window_s=3.0):
    """RMS of every window of a sound, in dB of full scale."""
    energy = np.cumsum(np.concatenate([[0], sound.astype(float) ** 2]))
    size = round(window_s * RATE_HZ)
    return 10 * np.log10((energy[size:] - energy[:-size]) / size + 1e-12)


def heard_pitch(sound, around):
    """MIDI pitch within half an octave of ``around`` whose harmonics carry most of the magnitude."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 2**17))
    pitches = around + np.arange(-6, 6, 0.05)
    harmonics_hz = 440 * 2 ** ((pitches[:, None] - 69) / 12) * np.arange(1, 7)
    bins = np.round(harmonics_hz * 2**17 / RATE_HZ).astype(int)
    magnitudes = np.where(bins < len(spectrum), spectrum[np.minimum(bins, len(spectrum) - 1)], 0)
    return pitches[np.sum(np.sqrt(magnitudes), axis=1).argmax()]


@each_instrument
def test_a_score_keeps_its_promises(instrument):
    for seed, duration_s in enumerate([0.4, 3.0, 7.3] + 30 * [20.0]):
        notes = compose(instrument, duration_s, np.random.default_rng(seed))
        assert notes[0].start_s < 0.3
        assert [n.start_s for n in notes] == sorted(n.start_s for n in notes)
        sounding_until = 0.0
        for note in [*notes, Note(duration_s, duration_s, 60, 0.5)]:
            assert note.start_s - sounding_until <= 0.6, "a long rest"
            sounding_until = max(sounding_until, note.end_s)
        for note in notes:
            assert 0 <= note.start_s < note.end_s <= duration_s
            assert isinstance(note.pitch, int) and 24 <= note.pitch <= 108
            assert 0 <= note.loudness <= 1


def test_scores_are_idiomatic():
    notes = {name: [compose(name, 20.0, np.random.default_rng(seed)) for seed in range(8)] for name in INSTRUMENTS}
    density = {name: np.mean([len(score) / 20 for score in scores]) for name, scores in notes.items()}
    register = {name: np.median([n.pitch for score in scores for n in score]) for name, scores in notes.items()}
    assert density["tuba"] < 2 < 4 < density["xylophone"]
    assert register["tuba"] < register["cello"] < register["violin"] < register["flute"]
    for name in ("clarinet", "erhu", "flute", "saxophone", "trumpet", "tuba"):
        for score in notes[name]:
            overlaps = [a.end_s - b.start_s for a, b in itertools.pairwise(score)]
            assert max(overlaps) < 0.02, f"{name} plays one note at a time"
    for name in ("acoustic_guitar", "accordion"):
        together = [sum(n.start_s <= t < n.end_s for n in score) for score in notes[name] for t in range(1, 19)]
        assert np.mean(together) > 1.5, f"{name} plays chords"


@each_instrument
def test_a_seed_decides_score_and_sound(instrument):
    first, same, other = (compose(instrument, 6.0, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == same
    assert first != other
    np.random.seed(0)
    sounds = [perform(instrument, first, 2.0, RATE_HZ, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(sounds[0], sounds[1])
    assert np.abs(sounds[0] - sounds[2]).max() > 0.01
    assert np.random.get_state()[2] == 624, "the global generator was used"


@each_instrument
def test_a_performance_is_never_silent_and_never_clips(instrument):
    for seed in range(2):
        sound = play(instrument, 8.5, seed)
        assert sound.dtype == np.float32
        assert sound.shape == (round(8.5 * RATE_HZ),)
        assert np.abs(sound).max() < 0.99
        assert window_levels_db(sound).min() > -40
        assert -30 < window_levels_db(sound, 8.4).mean() < -16


@each_instrument
def test_the_pitch_is_that_of_the_note(instrument):
    pitch = PITCHES[instrument]
    for seed in range(3):
        note = Note(0.2, 2.0, pitch, 0.7)
        sound = perform(instrument, [note], 2.0, RATE_HZ, np.random.default_rng(seed))
        held = sound[int(0.25 * RATE_HZ) : int(0.7 * RATE_HZ)]
        assert heard_pitch(held, pitch) == pytest.approx(pitch, abs=0.6)


@pytest.mark.parametrize("instrument", ["xylophone", "trumpet", "accordion"])
def test_a_note_sounds_when_it_is_written(instrument):
    for seed in range(3):
        sound = perform(instrument, [Note(2.5, 2.9, 70, 0.8)], 3.0, RATE_HZ, np.random.default_rng(seed))
        level = np.abs(sound) / np.abs(sound).max()
        assert np.argmax(level > 0.2) / RATE_HZ == pytest.approx(2.5, abs=0.03)
        assert level[: int(2.48 * RATE_HZ)].max() < 0.1


def test_performers_of_one_instrument_differ_but_instruments_differ_more():
    note = Note(0.1, 2.0, 64, 0.7)
    spectra = {}
    for name in ("clarinet", "trumpet", "erhu", "tuba"):
        sounds = [perform(name, [note], 2.0, RATE_HZ, np.random.default_rng(seed)) for seed in range(6)]
        power = [np.abs(np.fft.rfft(sound)) ** 2 / np.sum(sound**2) for sound in sounds]
        edges = np.geomspace(200, len(power[0]) - 1, 25).astype(int)
        spectra[name] = 10 * np.log10([np.add.reduceat(p, edges[:-1]) + 1e-3 for p in power])
    within = {name: np.sqrt(np.mean(np.var(s, axis=0))) for name, s in spectra.items()}
    means = np.array([s.mean(axis=0) for s in spectra.values()])
    between = np.sqrt(np.mean((means[:, None] - means[None]) ** 2, axis=2))
    assert min(within.values()) > 1.5, "dB between performers"
    assert between[~np.eye(4, dtype=bool)].min() > 4, "dB between instruments"


def test_rests_and_repeated_keys_are_played():
    assert np.abs(perform("flute", [], 1.0, RATE_HZ, np.random.default_rng(0))).max() < 0.01
    held = Note(0.0, 2.0, 60, 0.7)  # still down when it is struck again
    again = dataclasses.replace(held, start_s=1.0)
    sound = perform("clarinet", [held, again], 2.0, RATE_HZ, np.random.default_rng(0))
    assert window_levels_db(sound, 0.5).min() > -40


@pytest.mark.parametrize("call", [compose, lambda name, s, rng: perform(name, [], s, RATE_HZ, rng)])
def test_an_unknown_instrument_is_named(call):
    with pytest.raises(StudyError, match=r"'kazoo'.*accordion.*xylophone"):
        call("kazoo", 1.0, np.random.default_rng(0))


def test_a_soundfont_that_cannot_be_used_is_named(tmp_path):
    broken = tmp_path / "broken.sf2"
    broken.write_bytes(b"RIFF and nothing else")
    for path in (tmp_path / "missing.sf2", broken, tmp_path):
        with pytest.raises(StudyError, match=rf"{path.name}.*set soundfont to the path of an .sf2 file"):
            perform("flute", [Note(0, 1, 72, 0.7)], 1.0, RATE_HZ, np.random.default_rng(0), str(path))
