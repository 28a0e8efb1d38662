"""What is said of the folder of MUSIC holds: on a fresh clone, in the middle of the way, and at its end."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from avsep_lib import clips, datasets, files, media, music, music_lists
from avsep_lib.settings import StudyError


@pytest.fixture(scope="module")
def videos():
    return music_lists.with_splits()


def named(videos, instruments, count, lists="music"):
    """The first names of an instrument or pair in a list."""
    chosen = videos[(videos.instruments == instruments) & videos.lists.str.split("+").map(lambda each: lists in each)]
    return chosen.video_id.tolist()[:count]


@pytest.fixture
def root(tmp_path, videos):
    """A folder in which tubas and a duet were fetched, some are lost, and the tubas are prepared."""
    tubas, flutes = named(videos, "tuba", 4), named(videos, "flute", 5)
    (duet,) = named(videos, "flute+violin", 1)
    (tmp_path / "videos/of my own").mkdir(parents=True)
    for name, folder in [*((name, ".") for name in tubas), (duet, "of my own"), ("not-in-list", ".")]:
        (tmp_path / "videos" / folder / f"{name}.mp4").write_bytes(b"video")
    (tmp_path / "videos/.part").mkdir()
    (tmp_path / f"videos/.part/{flutes[4]}.mp4").write_bytes(b"half")
    noted = music.Availability(tmp_path)
    for name, state in zip(flutes, ["gone", "private", "failed", "short"], strict=False):
        noted.note(name, state, "said\nso")
    noted.note("../../x", "refused", "is no name")
    noted.note(tubas[0], "fetched", uploader="UC1")
    found = [("usable", "", 120.0, 6.0), ("usable", "", 60.0, 0.0), ("silent", "too quiet", 10.0, 9.0)]
    for name, (state, reason, duration_s, silent_s) in zip(tubas[:3], found, strict=True):
        path = tmp_path / f"prepared/{name}.mp4"
        lengths = {"duration_s": duration_s, "silent_s": silent_s, "still_s": 0.0}
        files.write_json(path.with_suffix(".json"), {"state": state, "reason": reason, "bytes": 8, **lengths})
        if state == "usable":
            path.write_bytes(b"prepared")
    return tmp_path


def test_on_a_fresh_clone_all_are_missing(tmp_path, videos):
    table = music.status(tmp_path / "none", videos)
    assert table.loc["all"].to_dict() == {
        "listed": 1313, "there": 0, "lost": 0, "missing": 1313, "prepared": 0, "usable": 0, "minutes": 0,
    }  # fmt: skip
    assert table.index[0] == "accordion" and table.index[-2:].tolist() == ["xylophone+flute", "all"]
    assert music.why_not(tmp_path / "none", videos).empty
    assert not (tmp_path / "none").exists()


def test_each_video_is_counted_where_it_belongs(root, videos):
    table = music.status(root, videos[videos.lists != "music21"])
    assert table.loc["tuba"].tolist() == [51, 4, 0, 47, 3, 2, 3.0]
    assert table.loc["flute"].tolist() == [48, 0, 3, 45, 0, 0, 0.0]
    assert table.loc["flute+violin", ["listed", "there", "prepared"]].tolist() == [11, 1, 0]
    assert table.loc["all", "listed"] == 685
    assert (table.listed == table.there + table.lost + table.missing).all()
    assert music.why_not(root, videos).to_dict() == {"gone": 1, "private": 1, "failed": 1, "short": 1, "silent": 1}


def test_what_was_fetched_and_removed_again_is_missing(root, videos):
    (tuba,) = named(videos, "tuba", 1)
    (root / f"videos/{tuba}.mp4").unlink()
    (root / f"prepared/{tuba}.mp4").unlink()
    assert music.status(root, videos).loc["tuba", ["there", "missing"]].tolist() == [3, 49]
    assert music.why_not(root, videos)["removed"] == 1


def test_sources_are_what_is_there_with_split_and_uploader(root, videos):
    table = music.sources(root, videos).set_index("video_id")
    tubas = named(videos, "tuba", 4)
    assert sorted(table.index) == sorted([*tubas, *named(videos, "flute+violin", 1)])
    assert table.uploader[tubas[0]] == "UC1" and (table.uploader != "").sum() == 1
    assert (
        table[table.kind == "duet"].split.tolist() == ["test"]
        and "of my own" in table[table.kind == "duet"].path.iloc[0]
    )


def test_a_note_is_kept_in_one_line_and_the_last_one_counts(root, videos):
    (flute,) = named(videos, "flute", 1)
    music.Availability(root).note(flute, "fetched")
    again = music.Availability(root)
    assert again.state(flute) == "fetched" and len(again.table()) == 6
    assert again.table().reason.tolist()[1] == "said so"
    assert len((root / "availability.csv").read_text().splitlines()) == 7


def test_a_prepared_video_counts_when_its_source_was_deleted_and_not_when_it_is_gone_itself(root, videos):
    one, other = named(videos, "tuba", 2)
    (root / f"videos/{one}.mp4").unlink()
    (root / f"prepared/{other}.mp4").unlink()
    (root / f"prepared/{named(videos, 'tuba', 3)[2]}.json").write_text("{half of")
    tubas = music.status(root, videos).loc["tuba"]
    assert tubas[["there", "prepared", "usable"]].tolist() == [4, 1, 1]
    table = music.sources(root, videos).set_index("video_id")
    assert table.path[one] == str(root / f"prepared/{one}.mp4") and table.path[other].startswith(str(root / "videos"))


def test_videos_may_lie_behind_links_and_no_loop_of_them_is_followed_twice(root, videos):
    (tuba,) = named(videos, "tuba", 1)
    (root / "elsewhere").mkdir()
    (root / f"videos/{tuba}.mp4").rename(root / f"elsewhere/{tuba}.mp4")
    (root / f"prepared/{tuba}.mp4").unlink()
    (root / "videos/linked").symlink_to(root / "elsewhere")
    (root / "elsewhere/loop").symlink_to(root / "videos")
    (root / "videos/dangling.mp4").symlink_to(root / "none.mp4")
    there = music.videos_there(root)
    assert there[tuba] == root / f"videos/linked/{tuba}.mp4" and "dangling" not in there


def test_two_who_note_at_once_lose_nothing(tmp_path):
    def note(who):
        noted = music.Availability(tmp_path)
        for number in range(20):
            noted.note(f"{who}{number}", "gone")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(note, "ab"))
    wanted = {f"{who}{number}" for who in "ab" for number in range(20)}
    assert set(music.Availability(tmp_path).table().video_id) == wanted


def test_the_table_is_read_again_only_when_somebody_else_has_noted(tmp_path, monkeypatch):
    ours, read, reads = music.Availability(tmp_path), music.Availability._read, []
    monkeypatch.setattr(music.Availability, "_read", lambda self: reads.append(self) or read(self))
    for number in range(5):
        ours.note(f"a{number}", "gone")
    assert not reads
    music.Availability(tmp_path).note("theirs", "private")
    ours.note("a5", "gone")
    assert reads.count(ours) == 1 and ours.state("theirs") == "private" and len(ours.table()) == 7


@pytest.mark.parametrize("name", ["availability.csv"])
@pytest.mark.parametrize("content", ["a,b\n1,2\n", "", 'video_id\n"open'])
def test_a_table_that_somebody_spoiled_is_named(root, videos, name, content):
    (root / name).write_text(content)
    with pytest.raises(StudyError, match=name) as error:
        music.status(root, videos)
    assert "\n" not in str(error.value)


def test_the_card_has_the_numbers_of_the_status(root, videos):
    card = music.card(root, videos, "MUSIC and MUSIC-21")
    assert "**Listed:** 1313 videos. **There:** 5. **Usable:** 2, 3.0 minutes." in card
    assert "1 gone" in card and "1 private" in card and "0.1 minutes silent" in card
    assert "| tuba | 52 | 4 | 0 | 48 | 3 | 2 | 3.0 |" in card
    fresh = music.card(root / "none", videos, "MUSIC")
    assert "**There:** 0" in fresh and "**Asked for:** not yet" in fresh


# As a data set


@pytest.fixture
def prepared(tmp_path, tiny):
    """Settings whose data folder holds a prepared flute of each list, and one of neither."""
    folder = tmp_path / "data/music"
    rows = []
    for name, lists in (("a", "music+music21"), ("b", "music21"), ("c", "")):
        sound = 0.1 * np.random.default_rng(0).normal(size=20_000)
        media.write_video(folder / f"prepared/{name}.mp4", [np.zeros((48, 64, 3), np.uint8)] * 16, 8, sound, 11_025)
        rows.append((name, str(folder / f"prepared/{name}.mp4"), "solo", "flute", "train", 1.8, lists))
    clips.write_index(pd.DataFrame(rows, columns=[*clips.COLUMNS, "lists"]), folder / "index.csv")
    return dataclasses.replace(tiny, data_root=str(tmp_path / "data"))


def test_a_list_is_a_data_set_by_its_name(prepared):
    names = {
        name: datasets.open_dataset(dataclasses.replace(prepared, dataset=name)).video_id.tolist()
        for name in music_lists.NAMES
    }
    assert names == {"music": ["a"], "music21": ["a", "b"]}


def test_a_list_of_which_nothing_is_prepared_says_what_to_run(prepared, tmp_path):
    with pytest.raises(StudyError, match=r"avsep music download --dataset music21.*avsep music prepare"):
        datasets.open_dataset(dataclasses.replace(prepared, dataset="music21", data_root=str(tmp_path / "none")))
    path = tmp_path / "data/music/index.csv"
    index = clips.read_index(path)
    clips.write_index(index[index.lists == ""], path)
    with pytest.raises(StudyError, match="holds no video of MUSIC;"):
        datasets.open_dataset(dataclasses.replace(prepared, dataset="music"))
