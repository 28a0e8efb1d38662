"""The index is checked row by row, and no video stands in two splits."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avsep_lib import clips, media
from avsep_lib.clips import (
    SPLITS,
    ClipsError,
    check_splits,
    choose,
    counts,
    read_index,
    read_sound_of_pixels_index,
    split_by_video,
    write_index,
)

HEADER = "video_id,path,kind,instruments,split,duration_s"
ROWS = (
    "v1,solo/v1.mp4,solo,violin,train,12.5",
    "v2,solo/v2.mp4,solo,cello,validation,20",
    "v3,solo/v3.mp4,solo,cello,test,20",
    "d1,duet/d1.mp4,duet,cello+flute,test,9.75",
)


def put(folder, rows=ROWS, header=HEADER, files=True):
    """An index file, with something at every path it names."""
    path = folder / "index.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    for row in rows if files else ():
        file = folder / row.split(",")[1]
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"film")
    return path


def made_up(count, names=("cello", "flute", "cello+flute")):
    """Many videos that need no files."""
    rows = [
        (f"{name}{i}", f"/data/{name}{i}.mp4", "duet" if "+" in name else "solo", name, "train", 10.0)
        for name in names
        for i in range(count)
    ]
    return pd.DataFrame(rows, columns=list(clips.COLUMNS))


def refused(path, *said, **options):
    with pytest.raises(ClipsError) as error:
        read_index(path, **options)
    text = str(error.value)
    assert "\n" not in text
    for words in said:
        assert words in text


def test_reading_makes_paths_absolute(tmp_path):
    index = read_index(put(tmp_path), instruments=("cello", "flute", "violin"))
    assert index.path[0] == str(tmp_path / "solo" / "v1.mp4")
    assert list(index.frames_path) == list(index.path)
    assert list(index.n_frames) == [0] * 4
    assert list(index.duration_s) == [12.5, 20, 20, 9.75]
    assert index.instruments[3] == "cello+flute"


def test_round_trip_and_relative_paths(tmp_path, monkeypatch):
    index = read_index(put(tmp_path)).assign(note="kept")
    index.loc[1, ["path", "frames_path"]] = "/elsewhere/v2.mp4"
    write_index(index, tmp_path / "again.csv")
    text = (tmp_path / "again.csv").read_text()
    assert "solo/v1.mp4" in text and str(tmp_path) not in text and "/elsewhere/v2.mp4" in text
    monkeypatch.chdir(tmp_path)
    pd.testing.assert_frame_equal(read_index("again.csv", check_files=False), index)


def test_a_moved_folder_is_still_read(tmp_path):
    (tmp_path / "a").mkdir()
    put(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert read_index(tmp_path / "b" / "index.csv").path[0] == str(tmp_path / "b" / "solo" / "v1.mp4")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("v1,solo/other.mp4,solo,violin,train,5", "row 2"),  # names the earlier one too
        ("v9,solo/v1.mp4,solo,violin,train,5", "solo/v1.mp4"),
        ("v9,./solo/v1.mp4,solo,violin,train,5", "row 2"),
        ("v9,solo/v9.mp4,trio,violin,train,5", "trio"),
        ("v9,solo/v9.mp4,solo,violin,training,5", "did you mean train"),
        ("v9,solo/v9.mp4,solo,violin+cello,train,5", "violin+cello"),
        ("v9,solo/v9.mp4,duet,violin,train,5", "a duet has 2 or more"),
        ("v9,solo/v9.mp4,duet,violin+,train,5", "lacks a name"),
        ("v9,solo/v9.mp4,solo,,train,5", "lacks a name"),
        ("v9,solo/v9.mp4,solo,violine,train,5", "did you mean violin"),
        ("v9,solo/v9.mp4,solo,violin,train,0", "above 0"),
        ("v9,solo/v9.mp4,solo,violin,train,nan", "above 0"),
        ("v9,solo/v9.mp4,solo,violin,train,long", "above 0"),
        ("v9,solo/v9.mp4,solo,violin,train", "above 0"),
        (",solo/v9.mp4,solo,violin,train,5", "video_id"),
        ("v9,,solo,violin,train,5", "names no file"),
        ("v9,../v9.mp4,solo,violin,train,5", "leads out of the folder"),
    ],
)
def test_each_fault_names_its_row(tmp_path, row, said):
    path = put(tmp_path, (*ROWS, row), files=False)
    refused(path, "index.csv row 6", said, instruments=("cello", "flute", "violin"), check_files=False)


def test_a_row_that_points_nowhere(tmp_path):
    path = put(tmp_path)
    (tmp_path / "solo" / "v2.mp4").unlink()
    refused(path, "index.csv row 3", "solo/v2.mp4 does not exist", "remove the row")
    assert len(read_index(path, check_files=False)) == 4


def test_faults_of_the_whole_file(tmp_path):
    refused(tmp_path / "none.csv", "none.csv", "does not exist")
    refused(put(tmp_path, ()), "no videos")
    refused(put(tmp_path, ROWS, HEADER.replace("split", "part")), "no column split")
    (tmp_path / "index.csv").write_text("")
    refused(tmp_path / "index.csv", "not a CSV")
    (tmp_path / "index.csv").write_bytes(b"\xff\xfe\x00\x9d" * 50)
    refused(tmp_path / "index.csv", "not a CSV")
    refused(put(tmp_path, (*ROWS, "v9,solo/v9.mp4,solo,violin,train,5,6,7")), "not a CSV", "line 6")


def test_rows_keep_their_numbers_behind_a_blank_line(tmp_path):
    rows = (*ROWS[:2], "", ROWS[2], "v9,x.mp4,solo,violin,never,5", "")
    path = put(tmp_path, rows, files=False)
    refused(path, "row 6", "never", check_files=False)
    assert len(read_index(put(tmp_path, (*ROWS, "", ""), files=False), check_files=False)) == 4


def test_writing_refuses_what_reading_would(tmp_path):
    index = made_up(2)
    for bad, said in (
        (index[:0], "no videos"),
        (index.drop(columns="kind"), "no column kind"),
        (index.assign(split="all"), "row 2"),
    ):
        with pytest.raises(ClipsError, match=said):
            write_index(bad, tmp_path / "index.csv")
    assert not list(tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_index(tmp_path, monkeypatch):
    path = put(tmp_path)
    before = path.read_text()

    def full(self, content):
        self.write_text("video_id,pa")
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        write_index(made_up(2), path)
    assert path.read_text() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["duet", "index.csv", "solo"]


@pytest.mark.parametrize("name", ["NA", "null", "nan", "a\rb", "a\nb", 'a"b', "a,b", "\u2028", " a"])
def test_any_name_outlives_a_file(tmp_path, name):
    index = made_up(2)
    index.loc[0, "video_id"] = name
    write_index(index, tmp_path / "index.csv")
    assert read_index(tmp_path / "index.csv", check_files=False).video_id[0] == name


# Lists of Sound of Pixels

LIST = (
    ("acoustic_guitar", "M3dekVSwNjY", 1580),
    ("saxophone acoustic_guitar", "-abc_12.3", 800),
    ("xylophone", "Zz0", 96),
)


def released(root, rows=LIST, name="data/train.csv"):
    """A list as the released scripts write it, and the files it names."""
    lines = []
    for folder, video, number in rows:
        audio, frames = root / "data/audio" / folder / f"{video}.mp3", root / "data/frames" / folder / f"{video}.mp4"
        frames.mkdir(parents=True)
        audio.parent.mkdir(parents=True, exist_ok=True)
        audio.write_bytes(b"sound")
        lines.append(f"./data/audio/{folder}/{video}.mp3,./data/frames/{folder}/{video}.mp4,{number}")
    (root / name).write_text("\n".join(lines) + "\n")
    return root / name


def test_sound_of_pixels_list_is_read_as_it_is(tmp_path):
    index = read_sound_of_pixels_index(released(tmp_path), "validation")
    assert list(index.video_id) == ["M3dekVSwNjY", "-abc_12.3", "Zz0"]
    assert list(index.kind) == ["solo", "duet", "solo"]
    assert list(index.instruments) == ["acoustic_guitar", "saxophone+acoustic_guitar", "xylophone"]
    assert list(index.duration_s) == [197.5, 100, 12]
    assert list(index.n_frames) == [1580, 800, 96]
    assert set(index.split) == {"validation"}
    assert index.path[0] == str(tmp_path / "data/audio/acoustic_guitar/M3dekVSwNjY.mp3")
    assert index.frames_path[0] == str(tmp_path / "data/frames/acoustic_guitar/M3dekVSwNjY.mp4")


def test_sound_of_pixels_list_survives_our_own_index(tmp_path):
    index = read_sound_of_pixels_index(released(tmp_path))
    write_index(index, tmp_path / "index.csv")
    pd.testing.assert_frame_equal(read_index(tmp_path / "index.csv"), index)


def test_sound_of_pixels_faults(tmp_path):
    path = released(tmp_path)
    lines = path.read_text().splitlines()

    def said(rows, *words):
        path.write_text("\n".join(rows) + "\n")
        with pytest.raises(ClipsError) as error:
            read_sound_of_pixels_index(path)
        for word in words:
            assert word in str(error.value)

    said([*lines, "./data/audio/cello/gone.mp3,./data/frames/cello/gone.mp4,80"], "train.csv row 4", "gone.mp3")
    said([lines[0], lines[1].replace(",800", ",0")], "row 2", "number of frames")
    said([lines[0], lines[1].replace(",800", ",many")], "row 2", "number of frames")
    said([lines[0], lines[0]], "row 2", "row 1")
    said([line.rsplit(",", 1)[0] for line in lines], "2 columns")
    said([line.replace("./data", "./nowhere") for line in lines], "row 1", "nowhere")
    said(["./data/audio/a b c/x.mp3,./data/frames/x.mp4,9", lines[0]], "row 1", "a b c/x.mp3 does not exist")
    with pytest.raises(ClipsError, match="unknown split 'val'"):
        path.write_text(lines[0])
        read_sound_of_pixels_index(path, "val")


def as_ccol(root, folder="data", sep="/", label=False):
    """A list as CCoL and iQuery write it, with a slash in front, or as CLIPSep does, with a label behind."""
    lines = []
    for name, video in (("cello", "c1"), ("acoustic_guitar", "g1")):
        audio, frames = (
            root / folder / "audio" / name / f"{video}.wav",
            root / folder / "frames" / name / f"{video}.mp4",
        )
        frames.mkdir(parents=True)
        audio.parent.mkdir(parents=True, exist_ok=True)
        audio.write_bytes(b"sound")
        row = f"/{name}/{video}.wav,/{name}/{video}.mp4,41" + (f",{name}" if label else "")
        lines.append(row.replace("/", sep))
    (root / "train.csv").write_text("\n".join(lines) + "\n")
    return root / "train.csv"


@pytest.mark.parametrize("way", [{}, {"folder": ""}, {"label": True}, {"sep": "\\"}])
def test_lists_of_those_who_came_after_are_read(tmp_path, way):
    index = read_sound_of_pixels_index(as_ccol(tmp_path, **way), "test")
    assert list(index.video_id) == ["c1", "g1"] and list(index.instruments) == ["cello", "acoustic_guitar"]
    assert list(index.duration_s) == [41, 41]  # they count seconds
    assert index.path[0] == str(tmp_path / way.get("folder", "data") / "audio/cello/c1.wav")
    assert index.frames_path[0] == str(tmp_path / way.get("folder", "data") / "frames/cello/c1.mp4")


def test_a_label_behind_is_one_instrument(tmp_path):
    path = as_ccol(tmp_path)
    first, second = path.read_text().split()
    path.write_text(f'{first},"Violin, fiddle"\n{second},Acoustic guitar\n')
    index = read_sound_of_pixels_index(path)
    assert list(index.instruments) == ["violin", "acoustic_guitar"] and set(index.kind) == {"solo"}


def test_the_root_and_rate_of_a_list_can_be_given(tmp_path):
    path = released(tmp_path / "there")
    moved = path.rename(tmp_path / "train.csv")
    index = read_sound_of_pixels_index(moved, root=tmp_path / "there", fps=16)
    assert list(index.duration_s) == [98.75, 50, 6] and index.path[0].startswith(str(tmp_path / "there/data"))
    with pytest.raises(ClipsError, match="not below"):
        read_sound_of_pixels_index(moved, root=tmp_path / "elsewhere")
    assert list(read_sound_of_pixels_index(moved, check_files=False).video_id) == [video for _, video, _ in LIST]


# Splits


def test_splits_are_disjoint_and_stratified():
    index = split_by_video(made_up(50), seed=3)
    table = pd.crosstab(index.instruments, index.split)[list(SPLITS)]
    assert table.to_numpy().tolist() == [[40, 5, 5]] * 3
    check_splits(index)


def test_splits_hang_on_the_seed_and_not_on_the_order():
    index = made_up(30)
    one = split_by_video(index, seed=7)
    shuffled = index.sample(frac=1, random_state=np.random.RandomState(0))
    other = split_by_video(shuffled, seed=7).loc[index.index]
    pd.testing.assert_frame_equal(one, other)
    assert not one.split.equals(split_by_video(index, seed=8).split)
    assert set(index.split) == {"train"}  # the table given is left alone


def test_one_more_instrument_changes_no_other():
    few = split_by_video(made_up(20, ("cello", "flute")))
    more = split_by_video(made_up(20, ("accordion", "cello", "flute")))
    pd.testing.assert_series_equal(
        few.set_index("video_id").split, more.set_index("video_id").split[list(few.video_id)]
    )


def test_rows_of_one_video_stay_together():
    index = pd.concat(
        [made_up(20, ("cello",)), made_up(20, ("flute",)).assign(video_id=[f"cello{i}" for i in range(20)])]
    )
    assert split_by_video(index).groupby("video_id").split.nunique().max() == 1


def test_videos_of_one_uploader_stay_together():
    index = made_up(30)
    index["uploader"] = [f"u{n % 12}" if n % 2 else "" for n in range(len(index))]
    index.loc[0, "uploader"] = float("nan")
    split = split_by_video(index)
    known = split[split.uploader.fillna("") != ""]
    assert known.groupby("uploader").split.nunique().max() == 1 and known.split.nunique() > 1
    table = pd.crosstab(split.instruments, split.split)[list(SPLITS)]
    assert (table.sum() == [72, 9, 9]).all()  # uploaders of several instruments, and the numbers still hold
    unknown = split_by_video(index.assign(uploader=""))
    pd.testing.assert_series_equal(unknown.split, split_by_video(made_up(30)).split)


def test_groups_that_are_given_stay_together():
    index = made_up(20, ("cello",))
    groups = ["copies" if n in (3, 7, 11) else n for n in range(20)]
    for seed in range(5):
        assert split_by_video(index, (0.4, 0.3, 0.3), seed, groups).split[[3, 7, 11]].nunique() == 1
    assert any(split_by_video(index, (0.4, 0.3, 0.3), seed).split[[3, 7, 11]].nunique() > 1 for seed in range(5))


@pytest.mark.parametrize(
    ("count", "fractions", "sizes"),
    [
        (1, (0.8, 0.1, 0.1), [1, 0, 0]),
        (3, (0.8, 0.1, 0.1), [1, 1, 1]),
        (5, (0.8, 0.1, 0.1), [3, 1, 1]),
        (7, (1, 0, 0), [7, 0, 0]),
        (4, (0, 0.5, 0.5), [0, 2, 2]),
        (10, (0.6, 0.2, 0.2), [6, 2, 2]),
    ],
)
def test_sizes_of_small_sets(count, fractions, sizes):
    split = split_by_video(made_up(count, ("cello",)), fractions).split
    assert [int((split == name).sum()) for name in SPLITS] == sizes


def test_fractions_that_are_none():
    for fractions in ((0.8, 0.2), (0.8, 0.3, -0.1), (0.5, 0.1, 0.1)):
        with pytest.raises(ClipsError, match="fractions"):
            split_by_video(made_up(3), fractions)


def test_leaks_are_found_by_name_and_by_file(tmp_path):
    index = made_up(2, ("cello",))
    twice = pd.concat([index, index[:1].assign(split="test", path="/data/copy.mp4")])
    with pytest.raises(ClipsError, match="video cello0 stands in train and test"):
        check_splits(twice)
    (tmp_path / "film.mp4").write_bytes(b"film")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "film.mp4")
    linked = index.assign(path=[str(tmp_path / "film.mp4"), str(tmp_path / "link.mp4")], split=["train", "test"])
    with pytest.raises(ClipsError, match=r"film\.mp4 stands in train and test"):
        check_splits(linked)
    check_splits(index)


# Looking at it


def test_counts_are_of_solos(tmp_path):
    table = counts(read_index(put(tmp_path)))
    assert list(table.columns) == list(SPLITS)
    assert table.loc["cello"].tolist() == [0, 1, 1]
    assert table.loc["violin"].tolist() == [1, 0, 0]
    assert "flute" not in table.index


def test_choose(tmp_path):
    index = read_index(put(tmp_path))
    chosen = choose(index, "test", "solo")
    assert list(chosen.video_id) == ["v3"] and list(chosen.index) == [0]
    assert len(choose(index)) == 4
    with pytest.raises(ClipsError, match=r"none of the 4 videos .* split train and kind duet"):
        choose(index, "train", "duet")
    with pytest.raises(ClipsError, match="unknown split 'val'"):
        choose(index, "val")


def test_choose_by_number_of_players(tmp_path):
    more = ["t1,duet/t1.mp4,duet,cello+flute+tuba,test,5", "q1,duet/q1.mp4,duet,cello+flute+tuba+violin,test,5"]
    index = read_index(put(tmp_path, [*ROWS, *more]))
    assert [list(choose(index, kind="duet", players=n).video_id) for n in (2, 3, 4)] == [["d1"], ["t1"], ["q1"]]
    assert list(choose(index, "test", "duet").video_id) == ["d1", "t1", "q1"]
    assert set(choose(index, players=1).kind) == {"solo"}
    with pytest.raises(ClipsError, match="of split train and players 2; add some"):
        choose(index, "train", players=2)


@pytest.mark.parametrize(
    ("folder", "name"),
    [("Acoustic_guitar", "acoustic_guitar"), ("Violin", "violin"), ("flute_violin", "flute+violin"),
     ("acoustic_guitar violin", "acoustic_guitar+violin"), ("xylophone-flute", "xylophone+flute"), ("Horse", "horse")],
)  # fmt: skip
def test_a_folder_of_a_list_tells_who_plays_however_it_is_written(tmp_path, folder, name):
    index = read_sound_of_pixels_index(released(tmp_path, ((folder, "a", 80),)))
    assert list(index.instruments) == [name] and list(index.kind) == ["duet" if "+" in name else "solo"]


@pytest.mark.parametrize("above", ["", "data", "AVE_Dataset"])
def test_rows_without_a_folder_are_looked_for_beside_the_list(tmp_path, above):
    (tmp_path / above / "frames/a.mp4").mkdir(parents=True)
    (tmp_path / above / "audio").mkdir()
    (tmp_path / above / "audio/a.wav").write_bytes(b"sound")
    (tmp_path / "train.csv").write_text("a.wav,a.mp4,12,Church bell\n")
    index = read_sound_of_pixels_index(tmp_path / "train.csv")
    assert index.path[0] == str(tmp_path / above / "audio/a.wav")
    assert index.frames_path[0] == str(tmp_path / above / "frames/a.mp4") and index.duration_s[0] == 12


@pytest.mark.parametrize(
    ("slash", "numbers", "lengths_s"),
    [("/", (50, 75, 100), (2, 3, 4)), ("/", (2, 3, 4), (2, 3, 4)), ("", (16, 24, 32), (2, 3, 4)),
     ("", (2, 3, 4), (2, 3, 4)), ("/", (3, 4, 5), (3, 4, 5))],
)  # fmt: skip
def test_a_count_of_pictures_is_held_against_the_sound(tmp_path, slash, numbers, lengths_s):
    rows = []
    for name, number, seconds in zip("abc", numbers, (2, 3, 4), strict=True):
        media.write_audio(tmp_path / f"cello/{name}.wav", np.full(seconds * 1000, 0.1), 1000)
        (tmp_path / f"cello/{name}.mp4").mkdir()
        rows.append(f"{slash}cello/{name}.wav,{slash}cello/{name}.mp4,{number}")
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    index = read_sound_of_pixels_index(tmp_path / "list.csv")
    assert list(index.duration_s) == pytest.approx(lengths_s)
    assert list(index.n_frames) == list(numbers)
