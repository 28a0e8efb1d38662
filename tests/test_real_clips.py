"""A folder of real clips is read as it is laid out, and what is wrong in it is named."""

import shutil

import made_up
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from avsep_lib import real_clips
from avsep_lib.settings import StudyError


@pytest.fixture
def folder(tmp_path):
    return made_up.fill(tmp_path / "clips")


def test_solos_are_named_by_their_folders(folder):
    table = real_clips.solos(folder)
    assert list(table.solo) == list(made_up.SOLOS)
    assert list(table.instrument) == ["cello", "cello", "drum", "flute"]
    assert [path.name for path in table.pictures[0]] == ["frame_0.png", "frame_1.png"]


def test_pictures_come_in_the_order_of_their_numbers(folder):
    one = folder / "music_solo" / "flute-1"
    for number in (10, 2):
        made_up.paint(one / f"frame_{number}.png", "flute", number)
    names = [path.stem for path in real_clips.solos(folder).set_index("solo").pictures["flute-1"]]
    assert names == ["frame_0", "frame_1", "frame_2", "frame_10"]


def test_pairs_carry_their_kind_and_what_others_score(folder):
    table = real_clips.pairs(folder).set_index("mixture")
    assert list(table.index) == list(made_up.PAIRS)
    assert list(table.kind) == [real_clips.SAME, real_clips.DIFFERENT, real_clips.DIFFERENT]
    assert list(table.sop_sdr["cello-1+flute-1":]) == [8.0]
    assert np.isnan(table.sop_sdr["cello-1+drum-1"])


def test_a_folder_without_a_yardstick_has_none(folder):
    (folder / "yardstick.csv").unlink()
    assert real_clips.pairs(folder)[["sop_sdr", "mixture_sdr"]].isna().all(axis=None)


def test_mixtures_that_came_with_their_tracks_know_who_plays(folder):
    trio = real_clips.mixtures(folder)[-1]
    assert (trio.name, trio.kind, len(trio.tracks)) == ("trio", "exact, 3", 3)
    assert trio.instruments == ("electric_bass", "unknown", "flute")
    assert len(set(trio.videos)) == 3
    (folder / "manifest.csv").unlink()
    assert set(real_clips.mixtures(folder)[-1].instruments) == {"unknown"}


def test_parts_may_be_missing(folder):
    shutil.rmtree(folder / "music_pairs")
    assert [one.name for one in real_clips.mixtures(folder)] == ["trio"]
    shutil.rmtree(folder / "music_solo")
    assert [one.name for one in real_clips.mixtures(folder)] == ["trio"]


def test_references_are_the_sources_as_they_stand_in_the_mixture(folder):
    for mixture in real_clips.mixtures(folder):
        wave, sources = real_clips.heard(mixture, made_up.RATE_HZ)
        assert sources.shape == (len(mixture.tracks), made_up.RATE_HZ) and sources.dtype == np.float32
        np.testing.assert_allclose(sources.sum(0), wave, atol=1e-4)
        assert real_clips.all_sound(sources) == ("drum" not in mixture.instruments)


def test_pictures_are_given_as_they_are(folder):
    pictures = real_clips.seen(real_clips.mixtures(folder)[0].pictures[1])
    assert pictures.shape == (2, 4, 6, 3) and pictures.dtype == np.uint8
    assert (pictures == (0, 1, 0)).all()


def gone(path):
    path.unlink()


def emptied(path):
    shutil.rmtree(path)
    path.mkdir()


def renamed(name):
    return lambda path: path.rename(path.with_name(name))


@pytest.mark.parametrize(
    ("place", "spoil", "words"),
    [
        ("music_solo/flute-1", renamed("flute"), ["music_solo/flute", "<instrument>-<id>"]),
        ("music_solo/flute-1", renamed("flute-2"), ["cello-1+flute-1", "there is no music_solo/flute-1"]),
        ("music_solo/flute-1", emptied, ["music_solo/flute-1", "picture"]),
        ("music_solo/flute-1/audio.flac", gone, ["flute-1/audio.flac", "is missing"]),
        ("music_pairs/cello-1+flute-1", renamed("cello-1"), ["music_pairs/cello-1", "not of two solos"]),
        ("music_pairs/cello-1+flute-1/mix.flac", gone, ["mix.flac", "is missing", "docs/real_clips.md"]),
        ("fcsn/trio_audio2_groundtruth.flac", gone, ["trio_audio", "groundtruth.flac"]),
        ("fcsn/trio_Object_detection_2.png", gone, ["trio_Object_detection_2.png", "is missing"]),
    ],
)
def test_what_is_missing_is_named(folder, place, spoil, words):
    spoil(folder / place)
    with pytest.raises(StudyError) as error:
        real_clips.mixtures(folder)
    assert all(word in str(error.value) for word in words) and "\n" not in str(error.value)


def test_a_folder_with_nothing_in_it_is_refused(tmp_path):
    with pytest.raises(StudyError, match="no mixture"):
        real_clips.mixtures(tmp_path)
    with pytest.raises(StudyError, match="nowhere: there is no such folder"):
        real_clips.mixtures(tmp_path / "nowhere")


def test_a_table_that_lacks_a_column_is_refused_by_name(folder):
    path = folder / "yardstick.csv"
    table = pd.read_csv(path)
    table.drop(columns="sop_sir").to_csv(path, index=False)
    with pytest.raises(StudyError, match=r"yardstick\.csv: has no column 'sop_sir'"):
        real_clips.mixtures(folder)
    pd.concat([table, table]).to_csv(path, index=False)
    with pytest.raises(StudyError, match="twice"):
        real_clips.mixtures(folder)
    path.write_bytes(b"")
    with pytest.raises(StudyError, match="cannot be read as CSV"):
        real_clips.mixtures(folder)


def test_sounds_that_do_not_belong_together_are_refused(folder):
    trio = real_clips.mixtures(folder)[-1]
    sound = made_up.noise(13, made_up.TRIO["flute"])
    made_up.write(trio.tracks[2], sound[:-100])
    with pytest.raises(StudyError, match=r"trio_audio3.* has 10925 samples"):
        real_clips.heard(trio, made_up.RATE_HZ)
    made_up.write(trio.tracks[2], 3 * sound)  # mixed without the division
    with pytest.raises(StudyError, match=r"not the mean of its sources.* divided by 3"):
        real_clips.heard(trio, made_up.RATE_HZ)


def test_a_broken_picture_is_named(folder):
    paths = real_clips.solos(folder).pictures[0]
    paths[1].write_bytes(paths[1].read_bytes()[:40])
    with pytest.raises(StudyError, match=r"frame_1\.png: is not a picture"):
        real_clips.seen(paths)
    Image.new("RGB", (9, 9)).save(paths[1])
    with pytest.raises(StudyError, match=r"frame_1\.png: has another size than frame_0\.png"):
        real_clips.seen(paths)
