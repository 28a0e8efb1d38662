"""All that comes of a video lies in one folder, is told as it comes, and stays if the disk fills up."""

import json
import math

import numpy as np
import pytest
from made_duets import RATE_HZ, wave

from avsep_lib import films, media, outcome
from avsep_lib.settings import StudyError
from avsep_lib.watching import Player

KINDS = {"players.png", "sound_maps.png", "report.html", "separation.json"}


@pytest.fixture(scope="module")
def written(separator, duet, tmp_path_factory):
    """The folder of a duet, and what was told."""
    out = tmp_path_factory.mktemp("outcome") / "out"
    return out, list(outcome.write_all(separator, duet.path, out, n_players=2))


def test_a_folder_holds_all_and_each_file_is_told(written):
    out, lines = written
    contents = json.loads((out / outcome.CONTENTS).read_text())
    names = {path.name for path in out.iterdir()}
    found = [f"{n}_{player['instrument']}" for n, player in enumerate(contents["players"], start=1)]
    assert names == KINDS | {"side_by_side.mp4"} | {f"{name}.{kind}" for name in found for kind in ("wav", "mp4")}
    assert {line for line in lines if str(out) in line} == {str(out / name) for name in names}
    assert set(contents["files"]) | {outcome.CONTENTS} == names
    assert [player["track"] for player in contents["players"]] == [f"{name}.wav" for name in found]
    assert contents["commit"] and contents["packages"]


def test_players_are_told_first_with_their_place(written):
    _, lines = written
    assert " of the width: " in lines[0] and "% sure" in lines[0]


def test_the_pages_picture_and_tracks_are_those_of_the_folder(written):
    out, _ = written
    page = (out / "report.html").read_text()
    assert "<script src" not in page and page.count("data:video/mp4") >= 3


def test_a_second_call_removes_what_the_first_left_and_nothing_else(separator, duet, tmp_path):
    (tmp_path / "mine.wav").write_text("mine")
    list(outcome.write_all(separator, duet.path, tmp_path, instruments=["tuba", "flute"]))
    list(outcome.write_all(separator, duet.path, tmp_path, instruments=["xylophone", "acoustic_guitar"]))
    assert {path.stem.split("_")[-1] for path in tmp_path.glob("*.wav")} == {"mine", "xylophone", "guitar"}


def test_a_list_from_elsewhere_removes_nothing_outside(separator, duet, tmp_path):
    kept = tmp_path / "kept.txt"
    kept.write_text("stays")
    out = tmp_path / "out"
    out.mkdir()
    (out / outcome.CONTENTS).write_text(json.dumps({"files": ["../kept.txt", str(kept), 3]}))
    list(outcome.write_all(separator, duet.path, out, n_players=2))
    assert kept.read_text() == "stays"


def test_what_is_there_stays_when_the_disk_fills_up(separator, duet, tmp_path, monkeypatch):
    def full(*given, **named):
        raise media.MediaError(f"{tmp_path}/1_x.mp4: cannot be written (No space left on device)")

    monkeypatch.setattr(films, "write_videos", full)
    told = []
    with pytest.raises(media.MediaError, match="No space left"):
        told.extend(outcome.write_all(separator, duet.path, tmp_path, n_players=2))
        pytest.fail("the error is told")
    names = {path.name for path in tmp_path.iterdir()}
    assert {"players.png", "sound_maps.png", outcome.CONTENTS} < names and len(list(tmp_path.glob("*.wav"))) == 2


def still(path):
    media.write_video(path, np.full((24, 90, 160, 3), 90, np.uint8), 8, wave(3.0), RATE_HZ)
    return path


def test_a_still_picture_and_a_single_player_are_noted(separator, tmp_path):
    lines = list(outcome.write_all(separator, still(tmp_path / "still.mp4"), tmp_path / "out", n_players=1))
    notes = [line for line in lines if line.startswith("note: ")]
    assert any("hardly moves" in note for note in notes) and any("one player only" in note for note in notes)
    (track,) = (tmp_path / "out").glob("*.wav")
    np.testing.assert_allclose(
        media.read_audio(track, RATE_HZ), media.read_audio(tmp_path / "still.mp4", RATE_HZ), atol=1e-4
    )
    assert not (tmp_path / "out/side_by_side.mp4").exists()


def test_a_single_name_leaves_a_rest_and_is_not_asked_for_again(separator, duet, tmp_path):
    lines = list(outcome.write_all(separator, duet.path, tmp_path, instruments=["flute"]))
    assert {path.name for path in tmp_path.glob("*.wav")} == {"1_flute.wav", "rest.wav"}
    assert any("name all who play" in line for line in lines) and not any("--players" in line for line in lines)


def test_names_that_were_told_are_doubted_not_asked_for(separator, duet, tmp_path, monkeypatch):
    monkeypatch.setattr(outcome, "unsure", lambda player: True)
    told, found = (
        [*outcome.write_all(separator, duet.path, tmp_path / name, **asked)]
        for name, asked in (("told", {"instruments": ["tuba", "flute"]}), ("found", {"n_players": 2}))
    )
    assert any("are the names right?" in line for line in told) and not any("--instruments" in line for line in told)
    assert any("name who plays with --instruments" in line for line in found)


def test_the_video_is_never_written_over(separator, tmp_path):
    video = still(tmp_path / "1_flute.mp4")
    before = video.read_bytes()
    with pytest.raises(StudyError, match=r"1_flute\.mp4: lies in the folder.*another --out"):
        list(outcome.write_all(separator, video, tmp_path, n_players=2))
    assert video.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == ["1_flute.mp4"]


def test_a_place_has_a_track_and_a_rest(separator, duet, tmp_path):
    lines = list(outcome.write_all(separator, duet.path, tmp_path, at=(0.2, 0.4)))
    assert {path.name for path in tmp_path.glob("*.wav")} == {"1_place.wav", "rest.wav"}
    assert not any("one player only" in line for line in lines)


@pytest.mark.parametrize(
    ("player", "line"),
    [
        (Player("cello", 0.5, (0, 0, 0.5, 1), (0, 0, 1, 1)), "  0% to  50% of the width: cello (50% sure)"),
        (
            Player("player", math.nan, (0.5, 0.5, 1, 1), (0, 0, 1, 1)),
            " 50% to 100% of the width,  50% to 100% of the height: player",
        ),
    ],
)
def test_a_player_in_a_line(player, line):
    assert outcome.told(player) == line
