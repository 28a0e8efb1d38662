"""Each layout is told by a tiny tree of it, and what fits none is told what was expected."""

import warnings

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
    with pytest.warns(UserWarning) as warned:
        found = read(tmp_path)
    said = [str(each.message) for each in warned]
    assert any("kora: no known instruments" in text for text in said)
    assert any("1 of 7 videos are left out" in text for text in said) and len(said) == 2
    assert found == {
        "a": ("solo", "cello", ""), "b": ("solo", "cello", ""), "c": ("solo", "flute", ""),
        "f": ("duet", "acoustic_guitar+violin", ""), "g": ("duet", "cello+flute+tuba", ""), "h": ("solo", "kora", ""),
    }  # fmt: skip


def test_instruments_below_splits_and_below_any_folder(tmp_path):
    touch(tmp_path, "train/cello/a.mp4", "val/cello/b.mp4", "Test/flute/c.mp4", "solo/flute/d.mp4")
    assert read(tmp_path) == {
        "a": ("solo", "cello", "train"), "b": ("solo", "cello", "validation"), "c": ("solo", "flute", "test"),
        "d": ("solo", "flute", ""),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "instruments", "split"),
    [("cello/train/a.mp4", "cello", "train"), ("flute/Test_set/a.mp4", "flute", "test"),
     ("data/videos/solo/cello/a.mp4", "cello", ""), ("cello/a/a.mp4", "cello", ""),
     ("val/tuba/x/y/a.mp4", "tuba", "validation"),
     ("MUSIC21/violin/Kora/a.mp4", "violin", ""), ("cello/cello.mp4", "cello", ""), ("Kora/a/a.mp4", "kora", ""),
     ("duet/acoustic_guitar-violin/a.mp4", "acoustic_guitar+violin", "")],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*no known instruments")
def test_the_nearest_known_name_above_a_video_is_its_instrument(tmp_path, path, instruments, split):
    touch(tmp_path, path, "flute/other.mp4")
    row = next(row for row in layouts.read(tmp_path).itertuples() if row.path.endswith(path))
    assert (row.instruments, row.split) == (instruments, split)


def test_a_tree_without_a_known_instrument_is_refused(tmp_path):
    touch(tmp_path, "videos/a.mp4", "My Song/b.mp4", "train/clips/c.mp4")
    with pytest.raises(StudyError, match=r"none of its folders .*found: clips, my_song, videos.*<instrument>/<video>"):
        layouts.read(tmp_path)


def test_solos_has_names_of_its_own(tmp_path):
    touch(tmp_path, "DoubleBass/-x1.mp4", "Horn/x2.mp4", "Saxophone/x3.mkv", "Violin/x4.mp4")
    assert [name for _, name, _ in read(tmp_path).values()] == ["double_bass", "horn", "saxophone", "violin"]


def test_videos_that_are_called_the_same_have_their_path_for_a_name(tmp_path):
    touch(tmp_path, "cello/1.mp4", "flute/1.mp4", "flute/2.mp4")
    assert list(read(tmp_path)) == ["cello/1.mp4", "flute/1.mp4", "2"]


def test_files_of_one_video_of_youtube_are_taken_once(tmp_path):
    touch(tmp_path, "MUSIC21/cello/M3dekVSwNjY.mp4", "solo/cello/M3dekVSwNjY.webm", "solo/flute/a.mp4")
    touch(tmp_path, "MUSIC21/flute/8DHG_hVSw1o.mp4", "val/flute/8DHG_hVSw1o.mp4")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = layouts.read(tmp_path).set_index("video_id")
    assert sorted(table.index) == ["8DHG_hVSw1o", "M3dekVSwNjY", "a"]
    assert table.path["M3dekVSwNjY"].endswith("MUSIC21/cello/M3dekVSwNjY.mp4")
    assert table.split["8DHG_hVSw1o"] == "validation"


def test_files_of_several_instruments_that_are_called_as_one_video_are_named(tmp_path):
    touch(tmp_path, "cello/performance.mp4", "flute/performance.mp4")
    with pytest.warns(UserWarning, match="several instruments are called performance"):
        assert read(tmp_path) == {"performance": ("solo", "cello", "")}


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


@pytest.mark.parametrize("given", [".", "URMP", "URMP/Dataset", "URMP/Dataset/01_Jupiter_vn_vc"])
def test_pieces_of_urmp_are_found_from_above_and_within(tmp_path, given):
    touch(tmp_path / "URMP/Dataset/01_Jupiter_vn_vc", *PIECE)
    touch(tmp_path, "URMP/Supplementary_Files/readme.txt")
    assert read(tmp_path / given) == {"Vid_01_Jupiter_vn_vc": ("duet", "violin+cello", "test")}


@pytest.mark.parametrize("lost", PIECE[2:4])
def test_a_piece_without_one_of_its_tracks_has_no_truth(tmp_path, lost):
    touch(tmp_path / "01_Jupiter_vn_vc", *(name for name in PIECE if name != lost))
    assert layouts.true_tracks(tmp_path / "01_Jupiter_vn_vc" / PIECE[0]) == []


def test_what_lies_beside_a_set_is_counted(tmp_path):
    touch(tmp_path, "URMP/Dataset/01_Jupiter_vn_vc/Vid_01_Jupiter_vn_vc.mp4", "MUSIC/cello/a.mp4", "MUSIC/tuba/b.mp4")
    with pytest.warns(UserWarning, match="2 of 3 videos are left out; expected is URMP"):
        assert list(read(tmp_path)) == ["Vid_01_Jupiter_vn_vc"]


@pytest.mark.parametrize("given", ["AVE_Dataset", "."])
@pytest.mark.filterwarnings("ignore:.*videos are left out")
def test_ave_gives_its_instruments(tmp_path, given):
    above, tmp_path = tmp_path / given, tmp_path / "AVE_Dataset"
    touch(tmp_path, *(f"AVE/{name}.mp4" for name in ("a", "b", "c", "d", "gone_not")))
    lines = ["Violin, fiddle&a&good&0&10", "Church bell&b&good&0&10", "Acoustic guitar&c&good&2&8", "Flute&d&good&0&10"]
    lines += ["Accordion&a&good&3&5", "Banjo&lost&good&0&10", ""]
    (tmp_path / "Annotations.txt").write_text("Category&VideoID&Quality&StartTime&EndTime\n" + "\n".join(lines))
    (tmp_path / "trainSet.txt").write_text("\n".join(lines[:2]))
    (tmp_path / "valSet.txt").write_text(lines[2])
    (tmp_path / "testSet.txt").write_text(lines[3] + "\n")
    assert read(above) == {
        "a": ("solo", "violin", "train"), "c": ("solo", "acoustic_guitar", "validation"),
        "d": ("solo", "flute", "test"),
    }  # fmt: skip


def synthetic(folder, sound="wav"):
    named = {"0": (13, 11), "1": (8,), "2": (99, 1), "3": (1, 1, 11, 1), "4": (1, 3, 11), "5": (12, 12)}
    for split in ("train/train", "Test1"):
        touch(folder, *(f"{split}/audio/{n}.{sound}" for n in named), *(f"{split}/video/{n}.jpg" for n in named))
        (folder / split / "box").mkdir()
    for picture, numbers in named.items():
        np.save(folder / f"Test1/box/{picture}.npy", np.array([[0.0, 0.0, 0.5, 0.5, number] for number in numbers]))


def test_music_synthetic_takes_pictures_whose_boxes_name_two_instruments(tmp_path):
    synthetic(tmp_path)
    with pytest.warns(UserWarning, match="10 of 12 pictures are left out"):
        found = read(tmp_path)
    assert found == {"0": ("duet", "accordion+violin", "test"), "3": ("duet", "cello+violin", "test")}


@pytest.mark.filterwarnings("ignore:.*pictures are left out")
def test_music_synthetic_has_a_picture_and_a_sound(tmp_path):
    synthetic(tmp_path)
    table = layouts.read(tmp_path)
    assert table.path[0].endswith("audio/0.wav") and table.frames_path[0].endswith("video/0.jpg")


def test_spectrograms_are_no_sound_and_no_pickle_is_opened(tmp_path):
    synthetic(tmp_path, "pkl")
    with pytest.raises(StudyError, match=r"audio: holds spectrograms .* put K.wav .* clip_samples"):
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


def test_no_link_to_a_folder_is_followed(tmp_path):
    touch(tmp_path, "set/cello/a.mp4", "elsewhere/b.mp4")
    (tmp_path / "set/flute").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set/cello/loop").symlink_to(tmp_path / "set")
    assert list(read(tmp_path / "set")) == ["a"]
