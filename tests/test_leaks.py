"""A leak of each kind is planted between two lists, and found; where there is none, none is."""

import shutil

import numpy as np
import pandas as pd
import pytest

from avsep_lib import clips, leaks, media
from avsep_lib.settings import StudyError

FPS = 8


@pytest.fixture(scope="module")
def lists(index, tmp_path_factory):
    """Training and test solos of the tiny set; the test list gets a leak of each kind more."""
    folder = tmp_path_factory.mktemp("leaks")
    train = clips.choose(index, "train", "solo").assign(uploader="")
    test = clips.choose(index, "test", "solo").assign(uploader="")
    train.loc[5, "uploader"] = test.loc[0, "uploader"] = "Ana"
    files = [folder / f"{kind}.mp4" for kind in ("video", "file", "content", "sound", "picture")]
    shutil.copy(test.path[1], files[0])  # another film under a known name
    files[1].symlink_to(train.path[1])
    shutil.copy(train.path[2], files[2])
    blank = np.zeros((60, 80, 3), np.uint8)
    media.write_video(files[3], [blank] * 32, FPS, 0.3 * media.read_audio(train.path[3], 22_050)[2000:], 22_050)
    frames = media.read_frames(train.path[4], np.arange(5, 30) / FPS, 80)
    media.write_video(files[4], list(frames[:, :, ::-1]), FPS, None, 22_050)
    paths, names = [str(file) for file in files], [train.video_id[0], "linked", "copied", "heard", "seen"]
    planted = train.iloc[:5].assign(path=paths, frames_path=paths, split="test", video_id=names)
    return train, test, pd.concat([test.iloc[[0, 2, 3]], planted], ignore_index=True)


def test_a_leak_of_each_kind_is_found_once(lists):
    train, test, leaking = lists
    names = list(train.video_id)
    found = leaks.check(train, leaking)
    assert found[["kind", "a", "b"]].values.tolist() == [
        ["video", names[0], names[0]],
        ["file", names[1], "linked"],
        ["content", names[2], "copied"],
        ["sound", names[3], "heard"],
        ["picture", names[4], "seen"],
        ["uploader", names[5], test.video_id[0]],
    ]
    assert found.detail.iloc[-1] == "Ana" and found.share[:3].eq(1).all() and found.share.between(0, 1).all()


def test_lists_without_a_leak_have_none(lists):
    train, test, _ = lists
    found = leaks.check(train, test.assign(uploader=""))
    assert found.empty and list(found) == ["kind", "a", "b", "share", "detail"]
    assert leaks.report(train, test, found).splitlines()[-1] == "no video leaks"


def test_the_report_names_each_leak_and_what_was_looked_at(lists, tmp_path):
    train, _, leaking = lists
    clips.write_index(train, tmp_path / "train.csv")
    text = leaks.report(tmp_path / "train.csv", leaking, leaks.check(train, leaking))
    assert f"A: {tmp_path / 'train.csv'}, {len(train)} videos; {len(train)} of their files looked at" in text
    for kind, words in leaks.KINDS.items():
        assert f"{words}: 1" in text, kind
    assert f"  Ana: {train.video_id[5]} in A" in text and "heard in B, " in text
    assert text.splitlines()[-1] == "5 videos of A leak into B; 1 uploaders have videos in both"


def test_lists_of_names_are_compared_by_names_and_uploaders(tmp_path):
    (tmp_path / "train.csv").write_text("/cello/a.wav,/cello/a.mp4,41\n/cello/b.wav,/cello/b.mp4,41\n")
    (tmp_path / "pairs.csv").write_text("/cello/b.wav, /flute/c.wav\n/cello/b.wav, /flute/d.wav\n")
    found = leaks.check(tmp_path / "train.csv", str(tmp_path / "pairs.csv"))
    assert found[["kind", "a", "b"]].values.tolist() == [["video", "b", "b"]]
    text = leaks.report(tmp_path / "train.csv", tmp_path / "pairs.csv")
    assert "only names compared" in text and "1 videos of A leak into B" in text
    with pytest.raises(StudyError, match=r"gone\.csv"):
        leaks.check(tmp_path / "gone.csv", tmp_path / "pairs.csv")


def test_a_long_report_is_cut_short():
    many = pd.DataFrame({"video_id": [f"v{n}" for n in range(25)]})
    lines = leaks.report(many, many).splitlines()
    assert "  v9" in lines and "  v10" not in lines and "  and 15 more" in lines


def test_a_name_cannot_break_a_line_of_the_report_or_turn_its_colours(tmp_path):
    odd = pd.DataFrame({"video_id": ["a\nb\x1b[31m"], "uploader": ["u\r"]})
    lines = leaks.report(odd, odd).splitlines()
    assert r"  a\nb\x1b[31m" in lines and all(line.isprintable() for line in lines)


def test_solos_of_music_leak_into_music21():
    found = leaks.check("music21", "music")
    assert set(found.kind) == {"video"} and len(found) > 500


def test_files_are_compared_by_content_only_where_sizes_are_equal(tmp_path, monkeypatch):
    for name, content in (("a", b"one"), ("b", b"two"), ("c", b"one"), ("d", b"longer"), ("e", b"two")):
        (tmp_path / name).write_bytes(content)
    paths, opened = [tmp_path / name for name in "abcde"], []
    digest = leaks._digest
    monkeypatch.setattr(leaks, "_digest", lambda path: opened.append(path.name) or digest(path))
    assert list(leaks.same_content(paths)) == [[0, 2], [1, 4]]
    assert sorted(opened) == ["a", "b", "c", "e"]
