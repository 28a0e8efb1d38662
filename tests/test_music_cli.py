"""``avsep music`` from the first look to an index that a study takes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_youtube import serving

from avsep_lib import cli, clips, datasets, media, music, music_download, music_lists


def run(capsys, *arguments):
    """What a command says."""
    assert cli.main(["music", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def refused(capsys, *arguments):
    assert cli.main(["music", *map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("avsep: ") and error.count("\n") == 1
    return error


def write_noise(path, seed=0):
    """A video of 7 s."""
    rng = np.random.default_rng(seed)
    pictures = [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(70)]
    media.write_video(path, pictures, 10, 0.1 * rng.normal(size=7 * 22_050), 22_050)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """The path of a video of 7 s."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_noise(path)
    return path


def test_status_works_on_a_fresh_clone_and_writes_nothing(capsys, tmp_path):
    said = run(capsys, "status", "--root", tmp_path / "none")
    assert "MUSIC in " in said and "MUSIC-21 in " in said
    rows = {line.split()[0]: line.split()[1:] for line in said.split("MUSIC-21")[0].splitlines() if line.split()}
    assert rows["all"] == ["685", "0", "0", "685", "0", "0", "0.0"]
    assert rows["acoustic_guitar+violin"][0] == "43"
    assert not (tmp_path / "none").exists()
    run(capsys, "status", "--root", tmp_path / "none", "--dataset", "music21", "--card", tmp_path / "card.md")
    assert (tmp_path / "card.md").read_text().startswith("# Data card: MUSIC-21 on this machine")


def test_a_list_of_one_s_own_is_fetched_prepared_and_becomes_a_data_set(capsys, tmp_path, film, monkeypatch):
    names = [
        f"{instrument}-00{number:02d}"[-11:].rjust(11, "_") for instrument in ("tuba", "flute") for number in range(4)
    ]
    videos = {"tuba": [*names[:4], "../../../x"], "flute": names[4:], "flute tuba": ["duet-000000"]}
    (tmp_path / "mine.json").write_text(json.dumps({"videos": videos}))
    root, mine = tmp_path / "root", tmp_path / "mine.json"
    with serving() as youtube:
        youtube.videos = dict.fromkeys(names[1:], film.read_bytes()) | {"duet-000000": film.read_bytes()}
        youtube.videos[names[4]] = "This video is private"
        download = music_download.download
        monkeypatch.setattr(
            music_download,
            "download",
            lambda *given, **named: download(*given, **named, extractors=[youtube.extractor]),
        )
        few = run(capsys, "download", "--dataset", mine, "--root", root, "--pause", 0, "--most", 2)
        assert len(list((root / "videos").glob("*.mp4"))) == 1 and "gone" in few
        said = run(capsys, "download", "--dataset", mine, "--root", root, "--pause", 0)
    assert {path.stem for path in (root / "videos").glob("*.mp4")} == {*names[1:4], *names[5:], "duet-000000"}
    assert f"avsep music prepare --root {root} --dataset {mine}" in said
    state = pd.read_csv(root / "availability.csv", index_col=0).state
    assert (state[names[0]], state[names[4]], state["../../../x"]) == ("gone", "private", "refused")
    (root / f"videos/{names[1]}.mp4").write_bytes(b"broken since")
    said = run(capsys, "prepare", "--dataset", mine, "--root", root, "--workers", 0)
    assert f"{names[1]}: broken, " in said and f"avsep study --dataset {root / 'index.csv'}" in said
    index = clips.read_index(root / "index.csv")
    assert len(index) == 6 and set(index.lists) == {"mine"} and index[index.kind == "duet"].split.tolist() == ["test"]
    assert "**Usable:** 6" in (root / "DATA_CARD.md").read_text()


def test_a_list_prepared_after_another_keeps_what_was_there(capsys, tmp_path, film):
    videos = music_lists.with_splits()
    one, other = (videos[videos.lists == lists].video_id.iloc[0] for lists in ("music", "music21"))
    (tmp_path / "videos").mkdir()
    for name in (one, other):
        shutil.copy(film, tmp_path / f"videos/{name}.mp4")
    for dataset, there in (("music", {one}), ("music21", {one, other})):
        run(capsys, "prepare", "--dataset", dataset, "--root", tmp_path, "--workers", 0)
        assert set(clips.read_index(tmp_path / "index.csv").video_id) == there


def test_an_index_of_one_s_own_videos_is_prepared_too(capsys, tmp_path, film):
    shutil.copy(film, tmp_path / "one.mp4")
    rows = [["../one", tmp_path / "one.mp4", "solo", "flute", "train", 7.0]]
    pd.DataFrame(rows, columns=clips.COLUMNS).to_csv(tmp_path / "index.csv", index=False)
    run(capsys, "prepare", "--dataset", tmp_path / "index.csv", "--root", tmp_path / "root", "--workers", 0)
    index = clips.read_index(tmp_path / "root/index.csv")
    assert index.video_id.tolist() == ["../one"] and index.path[0].startswith(str(tmp_path / "root/prepared"))


def test_what_an_index_names_and_is_not_there_is_listed(capsys, tmp_path, film):
    shutil.copy(film, tmp_path / "one.mp4")
    rows = [[name, f"{name}.mp4", "solo", "flute", "train", 7.0] for name in ("none", "one")]
    pd.DataFrame(rows, columns=clips.COLUMNS).to_csv(tmp_path / "index.csv", index=False)
    said = run(capsys, "prepare", "--dataset", tmp_path / "index.csv", "--root", tmp_path / "root", "--workers", 0)
    assert f"none: broken, {tmp_path / 'none.mp4'}: does not exist" in said
    assert clips.read_index(tmp_path / "root/index.csv").video_id.tolist() == ["one"]


def test_uploaders_of_a_list_may_be_kept_in_one_split(capsys, tmp_path, film):
    videos = music_lists.with_splits()
    tubas = videos[videos.instruments == "tuba"]
    chosen = [*tubas[tubas.split == "train"].video_id[:3], *tubas[tubas.split == "test"].video_id[:2]]
    noted = music.Availability(tmp_path)
    (tmp_path / "videos").mkdir()
    for number, name in enumerate(chosen):
        write_noise(tmp_path / f"videos/{name}.mp4", number)
        noted.note(name, "fetched", uploader="one" if number in (0, 4) else f"other{number}")
    common = ("prepare", "--root", tmp_path, "--workers", 0)
    run(capsys, *common)
    assert "1 uploaders have solos in more than one split" in (tmp_path / "DATA_CARD.md").read_text()
    assert clips.read_index(tmp_path / "index.csv").groupby("uploader").split.nunique()["one"] == 2
    run(capsys, *common, "--by-uploader")
    assert clips.read_index(tmp_path / "index.csv").groupby("uploader").split.nunique()["one"] == 1
    card = (tmp_path / "DATA_CARD.md").read_text()
    assert "0 uploaders have solos in more than one split" in card and "No near-duplicates were found" in card


def test_near_duplicates_are_told_of_and_may_stay_where_they_are(capsys, tmp_path, film):
    (tmp_path / "set").mkdir()
    for name in ("one", "two"):
        shutil.copy(film, tmp_path / f"set/{name}.mp4")
    rows = [["one", "one.mp4", "solo", "flute", "train", 7.0], ["two", "two.mp4", "solo", "flute", "test", 7.0]]
    pd.DataFrame(rows, columns=clips.COLUMNS).to_csv(tmp_path / "set/index.csv", index=False)
    common = ("prepare", "--dataset", tmp_path / "set", "--root", tmp_path / "root", "--workers", 0)
    assert "for which 1 videos changed their split" in run(capsys, *common)
    assert set(clips.read_index(tmp_path / "root/index.csv").split) == {"test"}
    assert "for which 0 videos changed their split" in run(capsys, *common, "--keep-splits")
    assert list(clips.read_index(tmp_path / "root/index.csv").split) == ["train", "test"]


def test_a_folder_of_one_s_own_videos_is_prepared_too(capsys, tmp_path, film):
    for name in ("flute/one", "tuba/two", "flute+tuba/both"):
        (tmp_path / f"mine/{name}.mp4").parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(film, tmp_path / f"mine/{name}.mp4")
    run(capsys, "prepare", "--dataset", tmp_path / "mine", "--root", tmp_path / "root", "--workers", 0)
    index = clips.read_index(tmp_path / "root/index.csv")
    assert sorted(index.instruments) == ["flute", "flute+tuba", "tuba"]
    assert index[index.kind == "duet"].split.tolist() == ["test"]


def test_a_planted_leak_between_two_lists_is_named_and_ends_with_code_2(capsys, tmp_path):
    table = music_lists.read_list("music")
    table[:10].to_csv(tmp_path / "train.csv", index=False)
    table[9:20].to_csv(tmp_path / "test.csv", index=False)
    table[10:20].to_csv(tmp_path / "clean.csv", index=False)
    kept = ("--kept", tmp_path / "kept")
    assert "no video leaks" in run(capsys, "leaks", tmp_path / "train.csv", tmp_path / "clean.csv", *kept)
    assert cli.main(["music", "leaks", *map(str, (tmp_path / "train.csv", tmp_path / "test.csv", *kept))]) == 2
    said = capsys.readouterr()
    assert table.video_id[9] in said.out and said.err.startswith("avsep: 1 videos of ")


@pytest.mark.parametrize("kept", ["file", "file/below"])
def test_a_folder_that_cannot_keep_fingerprints_is_named(capsys, tmp_path, film, kept):
    (tmp_path / "file").touch()
    for name in ("one", "two"):
        shutil.copy(film, tmp_path / f"{name}.mp4")
        (tmp_path / f"{name}.csv").write_text(f"video_id,path\n{name},{tmp_path / name}.mp4\n")
    lists = (tmp_path / "one.csv", tmp_path / "two.csv")
    error = refused(capsys, "leaks", *lists, "--kept", tmp_path / kept)
    assert str(tmp_path / "file") in error and "--kept DIR" in error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["download", "--dataset", "music22"], "music22"),
        (["status", "--dataset", "none.json"], "none.json"),
        (["download", "--rate", "0"], "--rate"),
        (["download", "--rate", "nan"], "--rate"),
        (["download", "--rate", "inf"], "--rate"),
        (["download", "--pause", "nan"], "--pause"),
        (["download", "--pause", "inf"], "--pause"),
        (["download", "--at-a-time", "0"], "--at-a-time"),
        (["download", "--most", "-1"], "--most"),
        (["download", "--most", "0"], "--most"),
        (["prepare"], "avsep music download"),
        (["prepare", "--dataset", "nowhere/index.csv"], "nowhere"),
        (["prepare", "--dataset", "nowhere/index.csv", "--by-uploader"], "--by-uploader is for lists"),
    ],
)
def test_what_cannot_be_done_is_one_line(capsys, tmp_path, arguments, words):
    assert words in refused(capsys, *arguments, "--root", tmp_path / "root")
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("inside", ["mine", "mine/out"])
def test_what_would_take_its_own_files_for_videos_is_refused(capsys, tmp_path, film, inside):
    (tmp_path / "mine/flute").mkdir(parents=True)
    shutil.copy(film, tmp_path / "mine/flute/one.mp4")
    said = refused(capsys, "prepare", "--dataset", tmp_path / "mine", "--root", tmp_path / inside)
    assert "lies in the data set" in said and sorted(tmp_path.rglob("*.mp4")) == [tmp_path / "mine/flute/one.mp4"]


def test_an_index_is_not_written_over(capsys, tmp_path, film):
    shutil.copy(film, tmp_path / "one.mp4")
    rows = [["one", "one.mp4", "solo", "flute", "train", 7.0]]
    pd.DataFrame(rows, columns=clips.COLUMNS).to_csv(tmp_path / "index.csv", index=False)
    before = (tmp_path / "index.csv").read_bytes()
    assert "lies in the data set" in refused(capsys, "prepare", "--dataset", tmp_path / "index.csv", "--root", tmp_path)
    assert (tmp_path / "index.csv").read_bytes() == before


def test_two_data_sets_of_one_name_have_a_folder_each(tmp_path):
    data = tmp_path / "data"
    names = ["a/index.csv", "b/index.csv", "a/music", "b/music", "a/music.json"]
    places = {datasets.prepared_folder(tmp_path / name, data) for name in names}
    assert len(places) == 5 and data / "music" not in places


def test_videos_of_which_none_can_be_used_end_with_a_line(capsys, tmp_path):
    (tmp_path / "mine/flute").mkdir(parents=True)
    (tmp_path / "mine/flute/a\nb.mp4").write_bytes(b"no video")
    assert cli.main(["music", "prepare", "--dataset", str(tmp_path / "mine"), "--root", str(tmp_path / "root")]) == 2
    said = capsys.readouterr()
    assert "none of 1 videos can be used" in said.err and "a\\nb: broken" in said.out


@pytest.mark.parametrize("option", [("--workers", "-1"), ("--least", "nan"), ("--least", "0")])
def test_what_is_no_number_is_refused(capsys, option):
    with pytest.raises(SystemExit) as stop:
        cli.main(["music", "prepare", *option])
    assert stop.value.code == 2 and option[0] in capsys.readouterr().err


def test_status_is_of_lists(capsys, tmp_path):
    (tmp_path / "mine/flute").mkdir(parents=True)
    assert "status is of lists" in refused(capsys, "status", "--dataset", tmp_path / "mine")


def test_a_folder_called_music_does_not_stand_for_the_list(tmp_path, monkeypatch):
    from avsep_lib import study

    calls = []
    monkeypatch.setattr(study, "run_study", lambda *arguments: calls.append(arguments))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "music").mkdir()
    assert cli.main(["study", "--preset", "smoke", "--dataset", "music"]) == 0
    assert calls[0][0].dataset == "music"


def test_help_loads_nothing_heavy():
    code = "import sys, avsep_lib.cli; print(*{name.split('.')[0] for name in sys.modules})"
    where = Path(cli.__file__).parent.parent
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=where).stdout
    assert not {"torch", "pandas", "yt_dlp", "av"} & set(loaded.split())
