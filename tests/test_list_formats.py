"""Lists are read in every form in which the field writes them, and what is none is named."""

import json

import pandas as pd
import pytest

from avsep_lib import clips, list_formats, music_lists
from avsep_lib.settings import StudyError


def put(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def with_files(folder, name, rows):
    """A list of Sound of Pixels, and something at each path that it names."""
    lines = []
    for instruments, video in rows:
        audio, frames = folder / f"audio/{instruments}/{video}.wav", folder / f"frames/{instruments}/{video}.mp4"
        audio.parent.mkdir(parents=True, exist_ok=True)
        audio.write_bytes(b"sound")
        frames.mkdir(parents=True, exist_ok=True)
        lines.append(f"audio/{instruments}/{video}.wav,frames/{instruments}/{video}.mp4,80")
    return put(folder / name, *lines)


def test_a_folder_of_the_published_split_is_read_by_the_names_of_its_lists(tmp_path):
    with_files(tmp_path, "TrainS335_D65.csv", [("cello", "a"), ("flute violin", "d")])
    with_files(tmp_path, "ValValS100.csv", [("cello", "b")])
    with_files(tmp_path, "ValTestS130.csv", [("flute", "c")])
    with_files(tmp_path, "TestD84.csv", [("cello flute", "e")])
    index = list_formats.read_folder(tmp_path).set_index("video_id")
    assert index.split.to_dict() == {"a": "train", "d": "train", "b": "validation", "c": "test", "e": "test"}
    assert index.kind.to_dict() == {"a": "solo", "d": "duet", "b": "solo", "c": "solo", "e": "duet"}


def test_half_of_the_validation_becomes_the_test_where_there_is_none(tmp_path):
    with_files(tmp_path, "train.csv", [("cello", f"a{n}") for n in range(3)])
    with_files(tmp_path, "val.csv", [("cello", f"b{n}") for n in range(6)])
    index = list_formats.read_folder(tmp_path)
    assert index.split.value_counts().to_dict() == {"train": 3, "validation": 3, "test": 3}


def test_lists_of_cof_have_longer_names_too(tmp_path):
    with_files(tmp_path, "music_TrainS335_D65_f8fps_11k.csv", [("cello", "a"), ("flute violin", "d")])
    with_files(tmp_path, "music_ValValS100_f8fps_11k.csv", [("cello", "b")])
    with_files(tmp_path, "music_ValTestS130_f8fps_11k.csv", [("flute", "c")])
    with_files(tmp_path, "music_TestD84_f8fps_11k.csv", [("cello flute", "e")])
    index = list_formats.read_folder(tmp_path).set_index("video_id")
    assert index.split.to_dict() == {"a": "train", "d": "train", "b": "validation", "c": "test", "e": "test"}


@pytest.mark.parametrize("name", ["music", "music21", "ave"])
def test_without_a_validation_list_a_tenth_of_the_training_becomes_it(tmp_path, name):
    rows = [(instrument, f"{instrument}{n}") for instrument in ("cello", "flute") for n in range(10)]
    with_files(tmp_path, f"train{name}.csv", rows)
    with_files(tmp_path, f"test{name}.csv", [("cello", "t"), ("flute", "u")])
    index = list_formats.read_folder(tmp_path)
    assert clips.counts(index).values.tolist() == [[9, 1, 1], [9, 1, 1]]
    assert index.equals(list_formats.read_folder(tmp_path)) and set(index.video_id[index.split == "test"]) == {"t", "u"}


def test_a_video_of_two_names_is_left_out_of_the_earlier_split(tmp_path):
    for name, label in (("train", '"Male speech, man speaking"'), ("test", '"Female speech, woman speaking"')):
        put(tmp_path / f"{name}.csv", f"0qvQIuQoODo.wav,0qvQIuQoODo.mp4,12,{label}", f"{name}.wav,{name}.mp4,12,Banjo")
    for name in ("0qvQIuQoODo", "train", "test"):
        put(tmp_path / f"audio/{name}.wav", "sound")
        (tmp_path / f"frames/{name}.mp4").mkdir(parents=True)
    with pytest.warns(UserWarning, match=r"0qvQIuQoODo \(1 videos in all\) stand in two splits under two names"):
        index = list_formats.read_folder(tmp_path)
    assert index.set_index("video_id").split.to_dict() == {"train": "train", "0qvQIuQoODo": "test", "test": "test"}


def test_a_folder_without_lists_or_with_a_leak_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"train\.csv"):
        list_formats.read_folder(tmp_path)
    with_files(tmp_path, "train.csv", [("cello", "a"), ("cello", "b")])
    with_files(tmp_path, "val.csv", [("cello", "b"), ("cello", "c")])
    with pytest.raises(StudyError, match="video b stands in train and "):
        list_formats.read_folder(tmp_path)


def test_mixtures_are_read_source_by_source(tmp_path):
    path = put(tmp_path / "testsep.csv", "/flute/a.wav, /cello/-b_1.wav", "", r"\cello\-b_1.wav, \flute violin\c.wav")
    listed = list_formats.read_pairs(path)
    assert listed.drop(columns="path").values.tolist() == [
        [0, 0, "a", "flute"], [0, 1, "-b_1", "cello"], [1, 0, "-b_1", "cello"], [1, 1, "c", "flute+violin"],
    ]  # fmt: skip
    assert listed.path[0] == "/flute/a.wav"
    with pytest.raises(StudyError, match="no list of mixtures"):
        list_formats.read_pairs(put(tmp_path / "list.csv", "/flute/a.wav,/flute/a.mp4,41"))


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("sop.csv", ["./data/audio/cello/a.mp3,./data/frames/cello/a.mp4,80", "x/flute/b.mp3,x/flute/b.mp4,9"]),
        ("ccol.csv", ["/cello/a.wav,/cello/a.mp4,41", "/flute/b.wav, /flute/b.mp4,41"]),
        ("clipsep.csv", ["s/audio/cello/a.wav,s/pre/cello/a,212,cello", "s/audio/flute/b.wav,s/pre/flute/b,9,flute"]),
        ("pairs.csv", ["/cello/a.wav, /flute/b.wav", "/flute/b.wav, /cello/a.wav"]),
        ("four.csv", ["/cello/a.wav, /flute/b.wav, /cello/a.wav, /flute/b.wav"]),
        ("windows.csv", [r".\audio\cello\a.wav,.\frames\cello\a,41", r".\audio\flute\b.wav,.\frames\flute\b,41"]),
        ("ids.txt", ["cello/a", "flute/b.mp4", "cello/a.wav"]),
        ("capitals.csv", ["/Cello/a.wav,/Cello/a.mp4,41", "/Flute/b.wav,/Flute/b.mp4,41"]),
        ("trainSet.txt", ["Cello&a&good&0&10", "Flute&b&good&2&8", "Cello&a&good&3&5"]),
        ("Annotations.txt", ["Category&VideoID&Quality&StartTime&EndTime", "Cello&a&good&0&10", "Flute&b&good&2&8"]),
        ("table.csv", ["video_id,kind,instruments,uploader", "a,solo,cello,u", "b,solo,flute,"]),
        ("music.json", [json.dumps({"videos": {"cello": ["a"], "flute": ["b"]}})]),
    ],
)
def test_what_a_list_names_is_read_without_its_files(tmp_path, name, lines):
    table = list_formats.read_any(put(tmp_path / name, *lines))
    assert list(table.video_id) == ["a", "b"] and list(table.instruments) == ["cello", "flute"]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("semicolons.csv", ["video_id;kind", "RUhOCu3LNXM;solo"]),
        ("tabs.tsv", ["video_id\tkind", "RUhOCu3LNXM\tsolo"]),
        ("spaces.csv", ["kind, video_id", "solo, RUhOCu3LNXM "]),
        ("quoted.csv", ['"video_id","kind"', '"RUhOCu3LNXM","solo"']),
        ("mark.csv", ["\ufeffvideo_id,kind", "RUhOCu3LNXM,solo"]),
        ("index.csv", [",".join(clips.COLUMNS), " RUhOCu3LNXM ,x/a.mp4,solo,flute,train,8"]),
        ("pairs.csv", ['"/flute/RUhOCu3LNXM.wav","/flute/RUhOCu3LNXM.wav"']),
        ("large.JSON", ['{"videos": {"flute": ["RUhOCu3LNXM"]}}']),
        ("mark.json", ['\ufeff{"videos": {"flute": [" RUhOCu3LNXM "]}}']),
        ("quoted.txt", ['"RUhOCu3LNXM"']),
        ("address.txt", ["https://www.youtube.com/watch?v=RUhOCu3LNXM"]),
        ("address.txt", ["http://m.youtube.com/watch?list=x&v=RUhOCu3LNXM&t=3s"]),
        ("address.txt", ["youtu.be/RUhOCu3LNXM?t=3"]),
        ("format.txt", ["videos/RUhOCu3LNXM.f137.mp4"]),
        ("vggsound.txt", ["RUhOCu3LNXM_000012.mp4"]),
        ("picture.txt", ["RUhOCu3LNXM.jpg"]),
    ],
)
def test_a_video_is_known_however_a_list_writes_it(tmp_path, name, lines):
    assert list(list_formats.read_any(put(tmp_path / name, *lines)).video_id) == ["RUhOCu3LNXM"]


def test_names_alone_are_enough(tmp_path):
    assert list(list_formats.read_any(put(tmp_path / "ids.txt", "M3dekVSwNjY", "-x.y_z12345")).video_id) == [
        "M3dekVSwNjY", "-x.y_z12345",
    ]  # fmt: skip


def test_a_category_of_ave_may_hold_a_comma(tmp_path):
    table = list_formats.read_any(put(tmp_path / "testSet.txt", "Violin, fiddle&-pyreSm_sQs&good&0&10"))
    assert table.values.tolist() == [["-pyreSm_sQs", "violin"]]


def test_a_file_may_have_spaces_in_its_name(tmp_path):
    table = list_formats.read_any(put(tmp_path / "a.txt", "flute violin/My song.mp4", "Cello/b"))
    assert table.values.tolist() == [["My song", "flute+violin"], ["b", "cello"]]


def test_a_clip_of_dsol_goes_by_its_video(tmp_path):
    lines = ["eBoCeQtoFtM_0_1000.flac eBoCeQtoFtM_0_1000.mp4", "-_-TDDxoaAc_0_1000.flac -_-TDDxoaAc_0_1000.mp4",
             "eBoCeQtoFtM_1000_2000.flac eBoCeQtoFtM_1000_2000.mp4"]  # fmt: skip
    assert list(list_formats.read_any(put(tmp_path / "a.txt", *lines)).video_id) == ["eBoCeQtoFtM", "-_-TDDxoaAc"]


@pytest.mark.parametrize(
    "line",
    ["A line of prose.", "Church bell&RUhOCu3LNXM&good&0", "https://example.org/watch?v=RUhOCu3LNXM", "https://a.b/c",
     "a.flac a.mp4 c", "a.flac b.mp4", '{"videos": 1}', "RUhOCu3LNXM flute", "RUhOCu3LNXM\tflute", "a;flute", "/",
     '""'],
)  # fmt: skip
def test_lines_that_name_no_video_are_refused(tmp_path, line):
    with pytest.raises(StudyError, match=r"a\.txt row 3: .* is no name of a video"):
        list_formats.read_any(put(tmp_path / "a.txt", "RUhOCu3LNXM", "", line))


def test_lines_with_and_without_commas_are_no_list(tmp_path):
    with pytest.raises(StudyError, match=r"a\.txt row 1: 'Videos' is no sound"):
        list_formats.read_any(put(tmp_path / "a.txt", "Videos", "Violin, fiddle", "cello, flute"))


def test_an_index_keeps_its_columns(tmp_path):
    row = ["a", str(tmp_path / "a.mp4"), "solo", "cello", "train", 3.0, "someone"]
    index = pd.DataFrame([row], columns=[*clips.COLUMNS, "uploader"])
    clips.write_index(index, tmp_path / "index.csv")
    for path in (tmp_path, tmp_path / "index.csv"):
        table = list_formats.read_any(path)
        assert table.uploader[0] == "someone" and table.path[0] == str(tmp_path / "a.mp4")


def test_a_folder_of_lists_is_one_list(tmp_path):
    put(tmp_path / "train.csv", "/cello/a.wav,/cello/a.mp4,41")
    put(tmp_path / "testmusic.csv", "/cello/b.wav,/cello/b.mp4,41")
    assert sorted(list_formats.read_any(tmp_path).video_id) == ["a", "b"]
    with pytest.raises(StudyError, match="neither an index"):
        list_formats.read_any(put(tmp_path / "empty/notes.md", "x").parent)


def test_the_lists_that_come_with_the_project_go_by_their_names():
    assert len(list_formats.read_any("music")) == len(music_lists.read_list("music").video_id.unique())


def test_what_is_no_list_is_named(tmp_path):
    (tmp_path / "film.mp4").write_bytes(bytes(range(256)))
    for path, said in ((tmp_path / "film.mp4", "not text"), (put(tmp_path / "a.csv", ""), "empty"),
                       (tmp_path / "gone.csv", "gone.csv"), (put(tmp_path / "b.csv", "a.wav,b"), "2 columns"),
                       (put(tmp_path / "c.csv", "id,kind", "a,solo"), r"c\.csv row 1: 'id' is no sound")):  # fmt: skip
        with pytest.raises(StudyError, match=said):
            list_formats.read_any(path)
