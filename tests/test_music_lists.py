"""The lists that come with the project are those that were published, and one's own are read in the same form."""

import json

import pandas as pd
import pytest

from avsep_lib import clips, music_lists
from avsep_lib.settings import INSTRUMENTS, MUSIC_21, StudyError


@pytest.fixture(scope="module")
def lists():
    return music_lists.both()


def test_the_lists_have_as_many_videos_as_were_published(lists):
    solos, duets = music_lists.counts(lists), music_lists.counts(lists, "duet")
    assert solos.sum().to_dict() == {"music": 536, "music21": 1164}
    assert duets.sum().to_dict() == {"music": 149, "music21": 0} and len(duets) == 9
    assert tuple(solos.index) == MUSIC_21
    assert tuple(solos.index[solos.music > 0]) == INSTRUMENTS
    assert solos.loc["acoustic_guitar"].tolist() == [56, 89]
    assert duets.loc["acoustic_guitar+violin", "music"] == 43


def test_every_name_is_one_of_youtube_and_stands_once(lists):
    for table in lists.values():
        assert all(map(music_lists.is_id, table.video_id))
        assert music_lists.duplicates(table).empty


def test_music21_holds_every_solo_of_music_under_the_same_name_and_none_of_its_duets(lists):
    table = music_lists.overlap(lists["music"], lists["music21"])
    assert table.both.sum() == 536 and table.renamed.sum() == 0
    assert table[table.index.str.contains(r"\+")].both.sum() == 0
    assert (table.first - table.both)[table.both > 0].sum() == 0


def test_a_video_named_twice_or_in_other_capitals_or_under_another_name_is_found(lists):
    rows = [
        ["aaaaaaaaaaa", "flute"],
        ["AAAAAAAAAAA", "tuba"],
        ["bbbbbbbbbbb", "tuba"],
        ["bbbbbbbbbbb", "tuba"],
        ["c", "tuba"],
    ]
    table = pd.DataFrame(rows, columns=["video_id", "instruments"]).assign(kind="solo")
    assert music_lists.duplicates(table).video_id.tolist() == [
        "AAAAAAAAAAA",
        "aaaaaaaaaaa",
        "bbbbbbbbbbb",
        "bbbbbbbbbbb",
    ]
    other = table.assign(instruments="tuba")
    assert music_lists.overlap(table, other).loc["flute"].tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    "name", ["../../x", "-o", "", "iB17xqmFw3", "iB17xqmFw3A\n", "iB17xqmFw3A/", "iB17xqmFw%A", "éB17xqmFw3A", None, 5]
)
def test_what_is_no_id_is_known(name):
    assert not music_lists.is_id(name)


def test_an_id_may_begin_with_a_dash():
    assert music_lists.is_id("-ieHd2A9vOg")


def test_splits_have_every_instrument_and_hold_each_video_once(lists):
    table = music_lists.with_splits()
    assert len(table) == table.video_id.nunique() == 1164 + 149
    assert set(table[table.kind == "duet"].split) == {"test"}
    assert (clips.counts(table) > 0).all(axis=None)
    assert (clips.counts(table[table.lists.str.split("+").map(lambda names: "music" in names)]) > 0).all(axis=None)
    assert table.lists.value_counts().to_dict() == {"music+music21": 536, "music21": 628, "music": 149}


def test_a_split_of_a_video_is_the_same_in_any_order(lists):
    shuffled = {name: table.sample(frac=1, random_state=0) for name, table in reversed(lists.items())}
    one, other = (music_lists.with_splits(each).set_index("video_id").split for each in (lists, shuffled))
    assert one.equals(other.reindex(one.index))


def test_one_s_own_list_may_be_json_or_csv(tmp_path):
    videos = {"flute violin": ["8DHG_hVSw1o"], "tuba": ["../../x", "aaaaaaaaaaa"]}
    (tmp_path / "mine.json").write_text(json.dumps({"version": 1.0, "videos": videos}))
    table = music_lists.read_list(tmp_path / "mine.json")
    assert table.to_numpy().tolist() == [
        ["8DHG_hVSw1o", "duet", "flute+violin"], ["../../x", "solo", "tuba"], ["aaaaaaaaaaa", "solo", "tuba"],
    ]  # fmt: skip
    table.to_csv(tmp_path / "mine.csv", index=False)
    assert music_lists.read_list(tmp_path / "mine.csv").equals(table)


@pytest.mark.parametrize("videos", [["YreSo0ephV8"], {"YreSo0ephV8": [[0, 6050]]}])
def test_lists_of_solos_are_read(tmp_path, videos):
    (tmp_path / "solos.json").write_text(json.dumps({"DoubleBass": videos, "Bassoon": ["Rka-Gpys4bA"]}))
    assert music_lists.read_list(tmp_path / "solos.json").to_numpy().tolist() == [
        ["YreSo0ephV8", "solo", "double_bass"], ["Rka-Gpys4bA", "solo", "bassoon"],
    ]  # fmt: skip


def test_a_space_parts_players_in_the_form_of_music(tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps({"videos": {"kora acoustic_guitar": ["a"], "electric bass": ["b"]}}))
    assert list(music_lists.read_list(tmp_path / "mine.json").instruments) == ["kora+acoustic_guitar", "electric_bass"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"preset": "smoke"}',
        '{"a": {"b": 1}}',
        '{"videos": {"a": "bc"}}',
        '{"videos": [1]}',
        '{"videos": {"flute": 5}}',
        '{"videos": {"flute": "8DHG_hVSw1o"}}',
        '{"flute": "8DHG_hVSw1o"}',
        '{"videos": {}}',
        '{"videos": {"flute": []}}',
        "no json",
    ],
)
def test_a_file_of_another_form_is_named(tmp_path, content):
    (tmp_path / "mine.json").write_text(content)
    with pytest.raises(StudyError, match=r"mine\.json: is no list of videos") as error:
        music_lists.read_list(tmp_path / "mine.json")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("videos", "said"),
    [
        ({"flute": ["a", ["b"]]}, r"video 2 of 'flute': \['b'\] is no name"),
        ({"flute": [123]}, "video 1 of 'flute': 123 is no name"),
        ({"flute": [None]}, "video 1 of 'flute': None is no name"),
        ({"flute": [" "]}, "video 1 of 'flute': '' is no name"),
        ({"": ["a"]}, "video 1 of '': instruments '' lacks a name"),
    ],
)
def test_an_entry_that_cannot_be_meant_is_named(tmp_path, videos, said):
    (tmp_path / "mine.json").write_text(json.dumps({"videos": videos}))
    with pytest.raises(StudyError, match=rf"mine\.json: {said}"):
        music_lists.read_list(tmp_path / "mine.json")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a,trio,a+b+c", "unknown kind 'trio'; it must be solo or duet"),
        ("a,Solo,flute", "unknown kind 'Solo'"),
        ("a,solo,flute+violin", r"a solo has 1 instrument, not 'flute\+violin'"),
        ("a,duet,flute", "a duet has 2 or more instruments"),
        ("a,solo,", "instruments '' lacks a name"),
        (",solo,flute", "video_id is empty"),
        ("a,solo", "has 2 cells, and the header 3"),
        ("a,solo,flute,", "has 4 cells, and the header 3"),
        ('a,solo,"flute', "unexpected end of data"),
    ],
)
def test_a_row_that_cannot_be_meant_is_named(tmp_path, row, said):
    (tmp_path / "mine.csv").write_text(f"video_id,kind,instruments\n\nb,solo,flute\n{row}\n")
    with pytest.raises(StudyError, match=rf"mine\.csv row 4: {said}"):
        music_lists.read_list(tmp_path / "mine.csv")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("video_id,kind,instruments", "names no videos"),
        ("video_id,kind", "has no column instruments"),
        ("video_id,kind,instruments,video_id", "has two columns video_id"),
    ],
)
def test_a_header_that_is_not_enough_is_named(tmp_path, header, said):
    (tmp_path / "mine.csv").write_text(header + "\n")
    with pytest.raises(StudyError, match=rf"mine\.csv: {said}"):
        music_lists.read_list(tmp_path / "mine.csv")


@pytest.mark.parametrize("mark", [",", ";", "\t", ", "])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_table_may_have_other_marks_and_quotes(tmp_path, mark, quote):
    rows = [[f"{quote}{cell}{quote}" for cell in row] for row in (music_lists.COLUMNS, ("a", "solo", "flute"))]
    text = "\n".join(map(mark.join, rows))
    (tmp_path / "mine.csv").write_text(text, encoding="utf-8-sig")
    assert music_lists.read_list(tmp_path / "mine.csv").to_numpy().tolist() == [["a", "solo", "flute"]]


def test_a_list_that_is_not_there_is_named():
    with pytest.raises(StudyError, match="music22"):
        music_lists.read_list("music22")
