"""The sound bank: its plan, its performances, and that an interrupted building goes on."""

import numpy as np
import pandas as pd
import pytest
import soundfile

from avsep_lib import bank, performers, sound_packages, synthesis
from avsep_lib.settings import INSTRUMENTS, MUSIC_21, StudyError
from avsep_lib.voices import VOICES

TUNES = [np.array([(beat, 1, 60) for beat in range(32)], np.float32)]


def packages(*kinds):
    """What `fetch` says is there, of some kinds."""
    rows = [(one.kind, one.target, "there") for one in sound_packages.PACKAGES if one.kind in kinds]
    return pd.DataFrame(rows, columns=["kind", "target", "state"])


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """A folder as `fetch` leaves it, with three notes and one phrase, and the font that pretty_midi brings."""
    folder = tmp_path_factory.mktemp("bank")
    (folder / "notes" / "violin").mkdir(parents=True)
    (folder / "phrases").mkdir()
    for name, hz in (("A3", 220.0), ("A4", 440.0), ("A5", 880.0)):
        sound = 0.5 * np.sin(2 * np.pi * hz * np.arange(6 * 22_050) / 22_050)
        soundfile.write(folder / "notes" / "violin" / f"{name}.mp3", sound, 22_050)
    soundfile.write(folder / "phrases" / "cello.ogg", 0.1 * np.ones((44_100, 2)), 44_100)
    return folder


def test_the_plan_covers_all_of_music_21_and_keeps_a_font_for_validation():
    planned = bank.plan(packages("font", "notes", "phrases"), per_tone=4)
    by_split = pd.DataFrame(
        [(one.split, one.tone, one.instrument) for one in planned], columns=["split", "tone", "name"]
    )
    for split, rows in by_split.groupby("split"):
        assert set(rows.name) == set(MUSIC_21), split
    tones = by_split.groupby("split").tone.unique()
    assert set(tones["validation"]) == {"TimGM6mb", "GCompris"}
    assert not set(tones["validation"]) & set(tones["train"])
    assert len({one.file for one in planned}) == len(planned)


def test_how_many_of_each():
    count = pd.DataFrame([(one.tone, one.instrument) for one in bank.plan(packages("font", "notes"), 8)]).value_counts()
    assert (count["synthesis", "cello"], count["synthesis", "guzheng"]) == (8, 4)
    assert ("synthesis", "drum") not in count
    assert (count["FluidR3", "cello"], count["FluidR3", "banjo"]) == (8, 4)
    assert (count["notes", "cello"], count["notes", "erhu"], count["TimGM6mb", "cello"]) == (16, 16, 2)
    assert ("notes", "drum") not in count


def test_without_notes_the_fonts_play():
    tones = {one.tone for one in bank.plan(packages("font"), 2)}
    assert tones == {"FluidR3", "MuseScore", "TimGM6mb", "Csound", "synthesis"}


@pytest.mark.parametrize("tone", ["notes", "synthesis"])
@pytest.mark.parametrize("instrument", ["violin", "erhu"])  # the erhu borrows the violin's notes
def test_a_performance_is_a_function_of_its_place(sounds, tone, instrument):
    sound = bank.perform(bank.Performance(tone, instrument, 0), sounds)
    assert sound.shape == (round(bank.SECONDS * bank.RATE_HZ),)
    assert 0.01 < np.std(sound) < 1
    np.testing.assert_array_equal(sound, bank.perform(bank.Performance(tone, instrument, 0), sounds))
    assert np.abs(sound - bank.perform(bank.Performance(tone, instrument, 1), sounds)).max() > 0.01


def test_a_phrase_is_read_as_it_is(sounds):
    sound = bank.perform(bank.Performance("GCompris", "cello", 0), sounds)
    assert len(sound) == bank.RATE_HZ
    assert sound[2000:-2000].mean() == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("instrument", MUSIC_21)
def test_scores_keep_to_the_time_and_to_midi(instrument):
    for seed in range(8):  # melodies in the idiom, free ones and tunes
        score = bank.score_of(instrument, TUNES, np.random.default_rng(seed))
        assert len(score) > 8
        assert all(0 <= note.start_s < note.end_s <= bank.SECONDS + 1e-6 and 0 < note.pitch < 128 for note in score)


def test_a_quarter_plays_tunes_but_drums_never():
    def tells(instrument):  # this tune has one pitch, which no melody has
        scores = (bank.score_of(instrument, TUNES, np.random.default_rng(seed)) for seed in range(80))
        return np.mean([len({note.pitch for note in score}) == 1 for score in scores])

    assert 0.1 < tells("cello") < 0.4
    assert tells("congas") == 0


def test_drums_are_never_transposed():
    keys = {note.pitch for seed in range(6) for note in bank.score_of("congas", TUNES, np.random.default_rng(seed))}
    assert keys <= set(range(60, 65))


def test_formants_are_weak_but_the_erhus():
    for seed in range(8):
        rng = np.random.default_rng(seed)
        erhu, cello = bank.voice_of("erhu", "FluidR3", rng), bank.voice_of("cello", "FluidR3", rng)
        assert abs(erhu.formants[1][1]) >= 0.5 * abs(VOICES["erhu"].formants[1][1])
        assert abs(cello.formants[1][1]) <= 0.5 * abs(VOICES["cello"].formants[1][1])


def test_building_goes_on_and_says_what_is_there(sounds, monkeypatch):
    monkeypatch.setattr(sound_packages, "fetch", lambda folder, progress=None: _there(packages("notes", "phrases")))
    monkeypatch.setattr(bank, "SECONDS", 2.0)
    monkeypatch.setattr(sound_packages, "PHRASES", {"cello": "cello"})
    monkeypatch.setattr(synthesis, "FAMILIES", {"tuba": synthesis.FAMILIES["tuba"]})
    table = bank.build(sounds, per_tone=1, workers=1)
    assert set(table.instrument) == {"violin", "erhu", "cello", "tuba"}
    pd.testing.assert_frame_equal(bank.read(sounds), table)
    kept = sounds / table.file[0]
    before = kept.read_bytes(), kept.stat().st_mtime_ns
    (sounds / table.file[1]).unlink()
    bank.build(sounds, per_tone=1, workers=1)
    assert (kept.read_bytes(), kept.stat().st_mtime_ns) == before
    assert np.load(sounds / table.file[1]).dtype == np.int16


def _there(table):
    return table[table.target.isin(["violin", "GCompris"])]


def test_no_bank_is_said_so(tmp_path):
    with pytest.raises(StudyError, match="there is no sound bank; run `avsep bank`"):
        bank.read(tmp_path)


def test_the_codec_keeps_length(monkeypatch):
    sound = 0.1 * np.sin(np.arange(20_000) / 5).astype(np.float32)
    lengths = {len(bank._stored(sound, np.random.default_rng(seed))) for seed in range(12)}
    assert lengths == {20_000}


def test_every_voice_of_music_21_can_play():
    assert set(VOICES) == set(MUSIC_21) >= set(INSTRUMENTS)
    sound = performers.perform(
        "drum", bank.score_of("drum", [], np.random.default_rng(0)), 2.0, 11_025, np.random.default_rng(0)
    )
    assert np.std(sound) > 0.01
