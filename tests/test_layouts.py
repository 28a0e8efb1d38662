"""Each layout is told by a tiny tree of it, and what fits none is told what was expected."""

import numpy as np
import pytest

from avsep_lib import layouts
from avsep_lib.settings import StudyError


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def read(folder):
    """``{video_id: (kind, instruments, split)}``, where everything else is as it should be."""
    table = layouts.read(folder)
    assert list(table.columns) == list(layouts.COLUMNS) and table.video_id.is_unique
    assert all(path.startswith(str(folder)) for path in [*table.path, *table.frames_path])
    return {row.video_id: (row.kind, row.instruments, row.split) for row in table.itertuples()}


def test_instruments_and_what_is_no_video(tmp_path):
    touch(tmp_path, "cello/a.mp4", "cello/b.MKV", "flute/c.webm", "readme.txt", "cello/d.mp4.part", "cello/.e.mp4")
    touch(
        tmp_path, "flute/backup.json", "acoustic_guitar violin/f.mp4", "cello+flute+tuba/g.mov", "Kora/h.mp4", "i.mp4"
    )
    assert read(tmp_path) == {
        "a": ("solo", "cello", ""), "b": ("solo", "cello", ""), "c": ("solo", "flute", ""),
        "f": ("duet", "acoustic_guitar+violin", ""), "g": ("duet", "cello+flute+tuba", ""), "h": ("solo", "kora", ""),
    }  # fmt: skip


def test_instruments_below_splits_and_below_any_folder(tmp_path):
    touch(tmp_path, "train/cello/a.mp4", "val/cello/b.mp4", "Test/flute/c.mp4", "solo/flute/d.mp4")
    assert read(tmp_path) == {
        "a": ("solo", "cello", "train"), "b": ("solo", "cello", "validation"), "c": ("solo", "flute", "test"),
        "d": ("solo", "flute", ""),
    }  # fmt: skip


def test_solos_has_names_of_its_own(tmp_path):
    touch(tmp_path, "DoubleBass/-x1.mp4", "Horn/x2.mp4", "Saxophone/x3.mkv", "Violin/x4.mp4")
    assert [name for _, name, _ in read(tmp_path).values()] == ["double_bass", "horn", "saxophone", "violin"]


def test_videos_that_are_called_the_same_have_their_path_for_a_name(tmp_path):
    touch(tmp_path, "cello/1.mp4", "flute/1.mp4", "flute/2.mp4")
    assert list(read(tmp_path)) == ["cello/1.mp4", "flute/1.mp4", "2"]


PIECE = ("Vid_01_Jupiter_vn_vc.mp4", "AuMix_01_Jupiter_vn_vc.wav", "AuSep_1_vn_01_Jupiter.wav",
         "AuSep_2_vc_01_Jupiter.wav", "Notes_1_vn_01_Jupiter.txt", "Sco_01_Jupiter_vn_vc.mid")  # fmt: skip


def test_urmp(tmp_path):
    touch(tmp_path, *(f"01_Jupiter_vn_vc/{name}" for name in PIECE))
    touch(
        tmp_path, "19_Pavane_cl_vn_vc/Vid_19_Pavane_cl_vn_vc.mp4", "Supplementary_Files/x.txt", "20_Empty_vn_vn/x.pdf"
    )
    touch(tmp_path, "44_K515_vn_vn_va_va_vc/Vid_44_K515_vn_vn_va_va_vc.mp4")
    assert read(tmp_path) == {
        "Vid_01_Jupiter_vn_vc": ("duet", "violin+cello", "test"),
        "Vid_19_Pavane_cl_vn_vc": ("duet", "clarinet+violin+cello", "test"),
        "Vid_44_K515_vn_vn_va_va_vc": ("duet", "violin+violin+viola+viola+cello", "test"),
    }
    folder = tmp_path / "01_Jupiter_vn_vc"
    assert layouts.true_tracks(folder / PIECE[0]) == [folder / PIECE[2], folder / PIECE[3]]
    assert layouts.true_tracks(folder / "other.mp4") == []
    assert layouts.true_tracks(tmp_path / "cello/Vid_1.mp4") == []


def test_ave_gives_its_instruments(tmp_path):
    touch(tmp_path, *(f"AVE/{name}.mp4" for name in ("a", "b", "c", "d", "gone_not")))
    lines = ["Violin, fiddle&a&good&0&10", "Church bell&b&good&0&10", "Acoustic guitar&c&good&2&8", "Flute&d&good&0&10"]
    lines += ["Accordion&a&good&3&5", "Banjo&lost&good&0&10", ""]
    (tmp_path / "Annotations.txt").write_text("Category&VideoID&Quality&StartTime&EndTime\n" + "\n".join(lines))
    (tmp_path / "trainSet.txt").write_text("\n".join(lines[:2]))
    (tmp_path / "valSet.txt").write_text(lines[2])
    (tmp_path / "testSet.txt").write_text(lines[3] + "\n")
    assert read(tmp_path) == {
        "a": ("solo", "violin", "train"), "c": ("solo", "acoustic_guitar", "validation"),
        "d": ("solo", "flute", "test"),
    }  # fmt: skip


def synthetic(folder, sound="wav"):
    for split in ("train/train", "test1"):
        touch(folder, *(f"{split}/audio/{n}.{sound}" for n in range(3)), *(f"{split}/video/{n}.jpg" for n in range(3)))
        (folder / split / "box").mkdir()
    np.save(folder / "test1/box/0.npy", np.array([[0.0, 0.0, 0.5, 0.5, 13], [0.5, 0.5, 0.5, 0.5, 11]]))
    np.save(folder / "test1/box/1.npy", np.array([[0.0, 0.0, 0.5, 0.5, 8]]))
    np.save(folder / "test1/box/2.npy", np.array([[0.0, 0.0, 0.5, 0.5, 99]]))


def test_music_synthetic_takes_instruments_from_its_boxes(tmp_path):
    synthetic(tmp_path)
    assert read(tmp_path) == {"0": ("duet", "accordion+violin", "test"), "1": ("solo", "saxophone", "test")}
    table = layouts.read(tmp_path)
    assert table.path[0].endswith("audio/0.wav") and table.frames_path[0].endswith("video/0.jpg")


def test_spectrograms_are_no_sound_and_no_pickle_is_opened(tmp_path):
    synthetic(tmp_path, "pkl")
    with pytest.raises(StudyError, match=r"audio: holds spectrograms .* put K.wav"):
        layouts.read(tmp_path)


@pytest.mark.parametrize(
    "names", [(), ("a.mp4", "b.mp4"), ("cello/a.txt",), ("train/a.mp4",), (".hidden/cello/a.mp4",)]
)
def test_what_fits_no_layout_is_told_what_was_expected(tmp_path, names):
    touch(tmp_path, *names)
    with pytest.raises(StudyError, match=tmp_path.name) as error:
        layouts.read(tmp_path)
    for expected in ("<instrument>/<video>", "URMP", "AuSep", "Annotations.txt", "box/K.npy", "index.csv"):
        assert expected in str(error.value)


def test_no_folder(tmp_path):
    with pytest.raises(StudyError, match="is no folder"):
        layouts.read(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "name"),
    [("DoubleBass", "double_bass"), ("Acoustic guitar", "acoustic_guitar"), ("Violin, fiddle", "violin"),
     ("cello", "cello"), ("acoustic_guitar", "acoustic_guitar"), ("French horn", "horn"), ("erhu flute", "erhu+flute"),
     ("electric bass", "electric_bass"), ("Cello + Flute", "cello+flute"), ("two kazoos", "two_kazoos")],
)  # fmt: skip
def test_names_of_instruments(text, name):
    assert layouts.instruments(text) == name


def test_no_link_to_a_folder_is_followed(tmp_path):
    touch(tmp_path, "set/cello/a.mp4", "elsewhere/b.mp4")
    (tmp_path / "set/flute").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/cello/loop").symlink_to(tmp_path / "set")
    assert list(read(tmp_path / "set")) == ["a"]
