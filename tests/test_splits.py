"""What belongs together stays together, and what is tested on one list is not trained on from another."""

import pandas as pd
import pytest

from avsep_lib import clips, duplicates, fingerprints, splits
from avsep_lib.settings import StudyError


def listed(names, instruments="cello", split="train", **columns):
    """A list of solos (or duets) that need no files."""
    kind = "duet" if "+" in instruments else "solo"
    table = pd.DataFrame({"video_id": list(names), "path": [f"/data/{name}.mp4" for name in names], "kind": kind,
                          "instruments": instruments, "split": split, "duration_s": 10.0})  # fmt: skip
    return table.assign(**columns)


def pairs(*numbers):
    return pd.DataFrame(list(numbers), columns=["first", "second"])


# Groups


def test_groups_join_names_files_uploaders_and_near_duplicates(tmp_path):
    index = listed("abcdefg", uploader=["", "u", "u", None, "", " ", ""])
    assert list(splits.groups(index)) == ["a", "b", "b", "d", "e", "f", "g"]
    (tmp_path / "d.mp4").write_bytes(b"film")
    (tmp_path / "e.mp4").symlink_to("d.mp4")
    index["path"] = [str(tmp_path / f"{name}.mp4") for name in index.video_id]
    assert list(splits.groups(index, pairs((2, 3), (5, 6)))) == ["a", "b", "b", "b", "b", "f", "f"]
    index["video_id"] = ["g", *"bcdefg"]
    assert list(splits.groups(index)) == ["g", "b", "b", "d", "d", "f", "g"]


def test_a_list_of_names_alone_has_groups_too():
    assert list(splits.groups(pd.DataFrame({"video_id": ["a", "b", "a"]}))) == ["a", "b", "a"]


def test_near_duplicates_are_numbered_as_the_rows_and_missing_files_are_passed_by(monkeypatch, tmp_path):
    index = listed("abcd", frames_path=["", "/pictures/b", "", ""])
    index["path"] = [str(tmp_path / name) for name in index.video_id]
    for path in index.path[1:]:
        open(path, "wb").close()
    asked = []
    monkeypatch.setattr(fingerprints, "of_videos", lambda *paths, **options: asked.extend(zip(*paths, strict=True)))
    monkeypatch.setattr(duplicates, "find", lambda prints: pairs((0, 2)))
    assert splits.near_duplicates(index).values.tolist() == [[1, 3]]
    assert asked == [(index.path[1], "/pictures/b"), (index.path[2],) * 2, (index.path[3],) * 2]


def test_near_duplicates_share_a_split(monkeypatch):
    index = listed([f"v{n:02d}" for n in range(30)])
    alike = pairs(*((n, n + 10) for n in range(10)))
    monkeypatch.setattr(splits, "near_duplicates", lambda *asked: alike)
    for seed in range(3):
        split = splits.split_by_group(index, (0.4, 0.3, 0.3), seed).split
        assert all(split[n] == split[n + 10] for n in range(10)) and set(split) == set(clips.SPLITS)
        assert split.value_counts().to_dict() == {"train": 12, "validation": 9, "test": 9}


# The published split


def test_the_published_split_has_its_proportions():
    solos = [listed([f"{name}{n}" for n in range(113)], name) for name in ("cello", "flute", "tuba", "erhu", "drum")]
    duets = listed([f"d{n}" for n in range(149)], "cello+flute")
    index = pd.concat([*solos, duets], ignore_index=True)
    split = splits.published(index, seed=3)
    table = pd.crosstab(split.kind, split.split)
    assert table.loc["solo", ["train", "validation", "test"]].tolist() == [335, 100, 130]
    assert table.loc["duet"].to_dict() == {"train": 65, "validation": 0, "test": 84}
    assert split.split.equals(splits.published(index, seed=3).split)
    assert not split.split.equals(splits.published(index, seed=4).split)
    together = splits.published(index, 3, pairs((0, 700), (1, 701), (2, 702)))  # a solo and a duet, e.g. of one player
    assert all(together.split[n] == together.split[700 + n] for n in range(3))


# Lists that must not train what others test


MUSIC = pd.concat([listed("ab"), listed("c", split="validation"), listed("de", "flute", "test")], ignore_index=True)
MUSIC21 = pd.concat([listed("abcdvw"), listed("ex", "flute", "test"), listed("yz", "banjo", "validation")],
                    ignore_index=True)  # fmt: skip


def test_tested_videos_are_left_out_of_the_larger_list():
    tested = clips.choose(MUSIC, "test")
    left = splits.leave_out(MUSIC21, tested)
    assert "".join(left.video_id) == "abcvwxyz"
    with pytest.raises(StudyError, match=r"video d is trained on.*2 such"):
        splits.check_apart(MUSIC21, tested)
    splits.check_apart(left, tested)


def test_what_belongs_to_a_tested_video_is_left_out_too():
    tested = clips.choose(MUSIC, "test")
    uploaded = MUSIC21.assign(uploader=[*"......", *".u", *".."]).replace(".", "")
    left = splits.leave_out(uploaded, tested.assign(uploader=["u", ""]))
    assert "".join(left.video_id) == "abcvwyz"
    alike = pairs((4, len(MUSIC21)))  # v is a near-duplicate of the first tested one
    assert "".join(splits.leave_out(MUSIC21, tested, alike).video_id) == "abcwxyz"
    with pytest.raises(StudyError, match="video v is"):
        splits.check_apart(splits.leave_out(MUSIC21, tested).query("video_id == 'v'"), tested, pairs((0, 1)))


def test_nothing_left_is_said():
    with pytest.raises(StudyError, match="all 10 videos"):
        splits.leave_out(MUSIC21, MUSIC21)


def test_a_larger_list_inherits_the_splits_of_the_smaller():
    inherited = splits.inherit(MUSIC21, MUSIC, pairs((0, 6), (5, 6)))  # w, e and a look alike, and e is tested
    split = inherited.set_index("video_id").split
    assert split.to_dict() == {"a": "test", "b": "train", "c": "validation", "d": "test", "v": "train", "w": "test",
                               "e": "test", "x": "test", "y": "validation", "z": "validation"}  # fmt: skip
    for one, other in ((inherited, MUSIC), (MUSIC, splits.inherit(MUSIC21, MUSIC))):
        tested = other[other.split != "train"]
        if one is inherited:
            splits.check_apart(one[one.split == "train"], tested)
    assert list(MUSIC21.split[:4]) == ["train"] * 4  # the list given is left alone


def test_after_inheriting_neither_list_trains_what_the_other_tests():
    inherited = splits.inherit(MUSIC21, MUSIC)
    for one, other in ((inherited, MUSIC), (MUSIC, inherited)):
        splits.check_apart(one[one.split == "train"], other[other.split != "train"])
    with pytest.raises(StudyError):
        splits.check_apart(MUSIC21[MUSIC21.split == "train"], MUSIC[MUSIC.split != "train"])


def test_near_duplicates_move_to_the_last_of_their_splits_and_uploaders_do_not_count():
    index = pd.DataFrame(
        {"video_id": list("abcdef"), "split": ["train", "validation", "train", "test", "train", "train"]}
    )
    alike = pd.DataFrame({"first": [0, 2, 4], "second": [1, 3, 5]})
    moved = splits.together(index.assign(uploader="one"), alike)
    assert list(moved.split) == ["validation", "validation", "test", "test", "train", "train"]
    assert splits.together(index, alike.iloc[:0]).equals(index)
