"""Videos are prepared once, whatever is wrong with some of them, and a killed or stopped run loses nothing."""

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from avsep_lib import clips, fingerprints, inventory, media, preparation
from avsep_lib.settings import StudyError

RATE_HZ = 22_050


def film(path, seconds=7.0, loud=lambda t: t >= 0, moves=lambda t: t >= 0, size=(48, 64), seed=0):
    """A video whose sound is noise where ``loud`` says so, and whose picture changes where ``moves`` does."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    picture, pictures = rng.integers(0, 255, (*size, 3), dtype=np.uint8), []
    for number in range(round(seconds * 10)):
        picture = rng.integers(0, 255, (*size, 3), dtype=np.uint8) if moves(number / 10) else picture
        pictures.append(picture)
    media.write_video(path, pictures, 10, 0.1 * rng.normal(size=len(times)) * loud(times), RATE_HZ)
    return path


def table(*paths, **columns):
    """Sources made of files: solos on the tuba."""
    rows = {"video_id": [path.stem for path in paths], "path": [str(path) for path in paths]}
    return pd.DataFrame({**rows, "kind": "solo", "instruments": "tuba", "split": "train", **columns})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A few videos: whole, cut off, without sound, silent, too short, no video at all, and with pauses."""
    folder = tmp_path_factory.mktemp("videos")
    film(folder / "whole.mp4")
    film(folder / "second.mp4", seed=1)
    data = film(folder / "cut.mp4", seed=2).read_bytes()
    (folder / "cut.mp4").write_bytes(data[: len(data) // 2])
    media.write_video(folder / "mute.mp4", [np.zeros((48, 64, 3), np.uint8)] * 70, 10, None, 0)
    film(folder / "silent.mp4", loud=lambda t: t < 1)
    film(folder / "short.mp4", seconds=2.0)
    (folder / "text.mp4").write_text("this is no video")
    film(folder / "pauses.mp4", 16.0, loud=lambda t: (t < 4) | (t > 7), moves=lambda t: t < 9)
    return folder


@pytest.fixture(scope="module")
def prepared(made, tmp_path_factory):
    """All of them, prepared by two processes."""
    root = tmp_path_factory.mktemp("root")
    sources = table(*sorted(made.glob("*.mp4")), lists="music")
    told = []
    found = preparation.prepare(sources, root, 2, lambda *so_far: told.append(so_far))
    return SimpleNamespace(root=root, sources=sources, told=told, table=found.set_index("video_id"))


def test_what_is_wrong_with_a_video_is_said_and_the_rest_goes_on(prepared):
    states = {"whole": "usable", "second": "usable", "pauses": "usable", "short": "short", "silent": "silent",
              "cut": "broken", "mute": "broken", "text": "broken"}  # fmt: skip
    assert prepared.table.state.to_dict() == states
    assert (prepared.table.reason != "").to_dict() == {name: state != "usable" for name, state in states.items()}
    assert "2.0 s" in prepared.table.reason["short"] and "no sound track" in prepared.table.reason["mute"]
    assert pd.read_csv(prepared.root / "prepared.csv", index_col=0).state.to_dict() == states
    assert [done for _, done, _ in prepared.told] == list(range(1, 9)) and {of for *_, of in prepared.told} == {8}


def test_a_prepared_video_has_the_sound_and_the_pictures_that_were_asked_for(prepared, made):
    path = prepared.root / "prepared/whole.mp4"
    info = media.probe(path)
    assert (info.sample_rate_hz, info.channels, info.fps) == (11_025, 1, 8)
    assert (info.height_px, info.width_px) == (256, 342)
    sound, source = (media.read_audio(each, 11_025) for each in (path, made / "whole.mp4"))
    assert len(sound) == len(source) and np.abs(sound - source).max() < 1 / 2**15
    times = [0.0, 2.5, 6.75]
    ours, theirs = (media.read_frames(each, times, 48).astype(float) for each in (path, made / "whole.mp4"))
    right, wrong = (np.corrcoef(ours.ravel(), other.ravel())[0, 1] for other in (theirs, theirs[::-1]))
    assert right > 0.8 and wrong < 0.6  # the middle one is the same in both


def test_silent_and_still_stretches_are_marked(prepared):
    marks = pd.read_csv(prepared.root / "stretches.csv")
    marks = marks[marks.video_id == "pauses"].set_index("what")
    assert marks.loc["silent", ["from_s", "to_s"]].tolist() == pytest.approx([4, 7], abs=0.5)
    assert marks.loc["still", ["from_s", "to_s"]].tolist() == pytest.approx([9, 16], abs=0.3)
    assert prepared.table.silent_s["pauses"] == pytest.approx(3, abs=0.5)
    assert prepared.table.loc[["whole", "second"], ["silent_s", "still_s"]].to_numpy().tolist() == [[0, 0], [0, 0]]


def test_the_index_is_one_that_a_study_reads(prepared):
    index = clips.read_index(prepared.root / "index.csv", instruments=["tuba"])
    assert sorted(index.video_id) == ["pauses", "second", "whole"]
    assert set(index.lists) == {"music"} and (index.duration_s > 6).all()
    assert (prepared.root / "index.csv").read_text().count("prepared/") == 3  # relative: the folder can be moved


def test_a_second_run_does_nothing_and_changes_nothing(prepared):
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in (prepared.root / "prepared").iterdir()}
    tables = [(prepared.root / name).read_bytes() for name in ("index.csv", "prepared.csv", "stretches.csv")]
    told = []
    preparation.prepare(prepared.sources, prepared.root, 2, lambda *so_far: told.append(so_far))
    assert not told
    assert before == {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in before}
    assert len(before) == 8 + 3 == len(list((prepared.root / "prepared").iterdir()))
    assert tables == [(prepared.root / name).read_bytes() for name in ("index.csv", "prepared.csv", "stretches.csv")]


def test_a_video_that_changed_is_prepared_again_and_no_other(prepared, tmp_path):
    shutil.copytree(prepared.root, tmp_path / "root")
    sources = prepared.sources[prepared.sources.video_id.isin(["whole", "short"])]
    longer = film(tmp_path / "short.mp4", seed=3)
    sources = sources.assign(path=[str(longer) if name == "short" else path
                                   for name, path in zip(sources.video_id, sources.path, strict=True)])  # fmt: skip
    told = []
    found = preparation.prepare(sources, tmp_path / "root", 0, lambda *so_far: told.append(so_far))
    assert set(found.state) == {"usable"} and told == [("preparing videos", 2, 2)]


def test_how_long_a_video_must_be_may_change(made, tmp_path):
    sources = table(made / "short.mp4", made / "whole.mp4", made / "silent.mp4")
    states, looked_at = [], []
    for least_s in (6.0, 1.5, 1.5, 8.0):
        told = []
        found = preparation.prepare(
            sources, tmp_path, 0, lambda *so_far, told=told: told.append(so_far), least_s=least_s
        )
        states.append(found.state.tolist())
        looked_at.append(len(told))
    assert states == [
        ["short", "usable", "silent"],
        *[["usable", "usable", "silent"]] * 2,
        ["short", "short", "silent"],
    ]
    assert looked_at == [3, 1, 0, 2]  # only those to which it makes a difference


def test_a_video_that_broke_leaves_the_index(prepared, tmp_path):
    path = film(tmp_path / "one.mp4")
    preparation.prepare(table(path), tmp_path / "root", 0)
    assert (tmp_path / "root/index.csv").is_file()
    path.write_bytes(b"")
    found = preparation.prepare(table(path), tmp_path / "root", 0)
    assert found.state.tolist() == ["broken"] and "0 bytes" in found.reason[0]
    assert not (tmp_path / "root/index.csv").exists() and not (tmp_path / "root/prepared/one.mp4").exists()


def test_names_never_become_paths(made, tmp_path):
    names = ["../../x", "-o", "", "a/b", "x\x00y", "/etc/passwd", "nul\n"]
    sources = table(*[made / "whole.mp4"] * len(names)).assign(video_id=names)
    (tmp_path / "in").mkdir()
    with contextlib.suppress(clips.ClipsError):  # an empty name is refused by the index, after all
        preparation.prepare(sources, tmp_path / "in/root", 0)
    inside = set((tmp_path / "in/root/prepared").iterdir())
    assert len(inside) == 2 * len(names)
    assert list(tmp_path.iterdir()) == [tmp_path / "in"] and list((tmp_path / "in").iterdir()) == [tmp_path / "in/root"]
    assert preparation.safe_name("-o") == "-o" and len({preparation.safe_name(name) for name in names}) == len(names)


def test_pictures_in_a_folder_are_prepared_too(tmp_path):
    sound = 0.1 * np.random.default_rng(0).normal(size=7 * 11_025)
    media.write_audio(tmp_path / "one.wav", sound, 11_025)
    (tmp_path / "frames").mkdir()
    for number in range(56):
        value = np.full((40, 60, 3), 4 * number, np.uint8)
        media.Image.fromarray(value).save(tmp_path / f"frames/{number:06d}.jpg")
    sources = table(tmp_path / "one.wav", frames_path=str(tmp_path / "frames"))
    assert preparation.prepare(sources, tmp_path / "root", 0).state.tolist() == ["usable"]
    picture = media.read_frames(tmp_path / "root/prepared/one.mp4", [6.0], 40)
    assert picture.mean() == pytest.approx(4 * 48, abs=4)


# The disk


def test_what_does_not_fit_is_refused_before_anything_is_written(made, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=500_100_000))
    with pytest.raises(preparation.NoRoomError, match=r"2 videos to prepare take about 0\.0 GB.*0\.5 GB are free"):
        preparation.prepare(table(made / "whole.mp4", made / "second.mp4"), tmp_path / "root", 0)
    assert not (tmp_path / "root").exists()


def test_what_is_foretold_follows_what_was_measured(made):
    jobs = [(str(made / "whole.mp4"),)] * 10
    done = [{"state": "usable", "bytes": 2000 * n, "duration_s": float(n)} for n in (1, 2, 3)]
    assert preparation.foretold_bytes(jobs, done) == pytest.approx(2000 * 70, rel=0.02)
    assert preparation.foretold_bytes(jobs, []) > 2000 * 70
    assert preparation.foretold_bytes([(str(made / "text.mp4"),)], done) == 0


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_stops_the_run_and_blames_no_video(made, tmp_path, monkeypatch, code):
    preparation.prepare(table(made / "whole.mp4"), tmp_path / "root", 0)

    def full(*_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(media.Film, "show", full)
        with pytest.raises(preparation.NoRoomError, match="disk is full"):
            preparation.prepare(table(made / "whole.mp4", made / "second.mp4"), tmp_path / "root", 0)
    assert {path.name for path in (tmp_path / "root/prepared").iterdir()} == {"whole.mp4", "whole.json"}
    found = preparation.prepare(table(made / "whole.mp4", made / "second.mp4"), tmp_path / "root", 0)
    assert found.state.tolist() == ["usable", "usable"]


def test_a_folder_that_cannot_be_written_is_named(made, tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root/prepared").write_text("a file in the way")
    with pytest.raises(StudyError, match=r"prepared.*check the folder"):
        preparation.prepare(table(made / "whole.mp4"), tmp_path / "root", 0)


# Processes that die


KILLED = """
import sys, pandas as pd
from avsep_lib import preparation
if __name__ == "__main__":
    print("begun", flush=True)
    preparation.prepare(pd.read_csv(sys.argv[1], dtype=str), sys.argv[2], 2, lambda *so_far: print(*so_far, flush=True))
"""


def test_killed_and_started_again_it_goes_on_from_what_is_there(tmp_path):
    paths = [film(tmp_path / f"{number:02d}.mp4", seed=number) for number in range(20)]
    paths[9].write_bytes(paths[9].read_bytes()[:2000])
    table(*paths).to_csv(tmp_path / "sources.csv", index=False)
    (tmp_path / "kill_me.py").write_text(KILLED)
    command = [sys.executable, tmp_path / "kill_me.py", tmp_path / "sources.csv", tmp_path / "root"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(4)]
        process.send_signal(signal.SIGKILL)
    assert lines[3].split()[-2:] == ["3", "20"]
    time.sleep(0.5)  # its workers see that it is gone
    folder = tmp_path / "root/prepared"
    done = {path: path.stat().st_mtime_ns for path in folder.glob("[!.]*.mp4") if path.with_suffix(".json").exists()}
    assert 3 <= len(done) < 19 and not (tmp_path / "root/index.csv").exists()
    found = preparation.prepare(pd.read_csv(tmp_path / "sources.csv", dtype=str), tmp_path / "root", 0)
    assert found.state.value_counts().to_dict() == {"usable": 19, "broken": 1} and found.state[9] == "broken"
    assert all(path.stat().st_mtime_ns == changed for path, changed in done.items())
    assert len(clips.read_index(tmp_path / "root/index.csv")) == 19


@pytest.fixture(scope="module")
def doubled(tmp_path_factory):
    """Five different videos, a quieter and shorter copy of the second, and one with the sound of the third alone."""
    folder = tmp_path_factory.mktemp("doubled")
    paths = [tune(folder / f"tune{number}.mp4", number) for number in range(5)]
    paths += [tune(folder / "again.mp4", 1, gain=0.4, seconds=9), tune(folder / "heard.mp4", 2, seen=7)]
    return table(*paths).assign(split=["train", "train", "validation", "train", "test", "test", "train"])


def tune(path, number, gain=1.0, seconds=11, seen=None):
    """A video of notes that belong to its number, before a picture that does."""
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    notes = np.random.default_rng(number).uniform(200, 3000, 60)
    sound = gain * 0.2 * np.sin(2 * np.pi * notes[(times / 0.2).astype(int)] * (times % 0.2))
    rng = np.random.default_rng(number if seen is None else seen)
    picture = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    media.write_video(path, [picture] * (seconds * 8), 8, sound, RATE_HZ)
    return path


@pytest.mark.parametrize("keep_splits", [False, True])
def test_near_duplicates_are_listed_and_stand_in_one_split(doubled, tmp_path, keep_splits):
    preparation.prepare(doubled, tmp_path, 2, keep_splits=keep_splits)
    index = clips.read_index(tmp_path / "index.csv").set_index("video_id")
    moved = {} if keep_splits else {"tune1": "test", "heard": "validation"}
    assert index.split.to_dict() == dict(zip(doubled.video_id, doubled.split, strict=True)) | moved
    pairs = pd.read_csv(tmp_path / "duplicates.csv")
    assert {frozenset(pair) for pair in zip(pairs["first"], pairs["second"], strict=True)} == {
        frozenset(("tune1", "again")), frozenset(("tune2", "heard"))
    }  # fmt: skip
    assert list(pairs.columns) == list(inventory.DUPLICATES) and set(pairs.by) == {"sound", "picture"}
    listed = pairs[pairs.by == "sound"].set_index("second")
    assert listed.first_listed.to_dict() == {"again": "train", "heard": "validation"}
    told = inventory.duplicates(tmp_path)
    assert f"{len(pairs)} pairs of near-duplicates" in told and f"{len(moved)} videos changed their split" in told


def test_a_root_that_has_moved_keeps_its_fingerprints(doubled, tmp_path, monkeypatch):
    preparation.prepare(doubled.iloc[:2], tmp_path / "here", 0)
    (tmp_path / "here").rename(tmp_path / "there")
    monkeypatch.setattr(fingerprints, "of_video", None)
    told = []
    preparation.prepare(doubled.iloc[:2], tmp_path / "there", 0, lambda *now: told.append(now))
    assert not told and inventory.duplicates(tmp_path / "there") == ""


def test_a_root_that_has_moved_with_its_videos_is_not_prepared_again(tmp_path):
    path = film(tmp_path / "here/videos/one.mp4")
    preparation.prepare(table(path), tmp_path / "here", 0)
    (tmp_path / "here").rename(tmp_path / "there")
    told = []
    moved = table(tmp_path / "there/videos/one.mp4")
    found = preparation.prepare(moved, tmp_path / "there", 0, lambda *now: told.append(now))
    assert list(found.state) == ["usable"] and not told


def test_a_prepared_video_stands_for_a_source_that_was_deleted_and_for_no_other(tmp_path):
    path = film(tmp_path / "one.mp4")
    preparation.prepare(table(path), tmp_path / "root", 0)
    path.unlink()
    prepared = tmp_path / "root/prepared/one.mp4"
    content = prepared.read_bytes()
    found = preparation.prepare(table(prepared), tmp_path / "root", 0)
    assert list(found.state) == ["usable"] and prepared.read_bytes() == content
    with pytest.raises(StudyError, match=r"one\.mp4: is a prepared video"):
        preparation.prepare(table(prepared).assign(video_id="other"), tmp_path / "root", 0)
    prepared.write_bytes(content[:-5])
    with pytest.raises(StudyError, match=r"one\.mp4: is a prepared video"):
        preparation.prepare(table(prepared), tmp_path / "root", 0)


def test_half_written_files_of_a_killed_run_are_swept_when_they_are_old(made, tmp_path):
    folder = tmp_path / "root/prepared"
    folder.mkdir(parents=True)
    for name, age_s in ((".old.mp4", 3600), (".new.mp4", 0), (".whole.at_work", 0)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age_s,) * 2)
    preparation.prepare(table(made / "whole.mp4"), tmp_path / "root", 0)
    assert {path.name for path in folder.iterdir()} == {".new.mp4", "whole.mp4", "whole.json"}


def fragile(path, frames_path, target, least_s, guarded=preparation._guarded):
    """What a process does with a video, with a decoder that dies or hangs at some."""

    def audio_blocks(path, rate, read=media.audio_blocks):
        if "dies" in str(path):
            os.abort()
        if "hangs" in str(path):
            time.sleep(60)
        return read(path, rate)

    media.audio_blocks, preparation._patience_s = audio_blocks, lambda *_: 4
    guarded(path, frames_path, target, least_s)


@pytest.mark.skipif(not hasattr(signal, "alarm"), reason="no alarm on this system")
def test_a_file_at_which_a_decoder_dies_or_hangs_is_noted_and_those_beside_it_are_not(tmp_path, made, monkeypatch):
    names = ["dies", "fine", "hangs", "well"]
    paths = [shutil.copy(made / "whole.mp4", tmp_path / f"{name}.mp4") for name in names]
    monkeypatch.setattr(preparation, "_guarded", fragile)
    found = preparation.prepare(table(*paths), tmp_path / "root", 2).set_index("video_id")
    assert found.state.to_dict() == {"dies": "broken", "fine": "usable", "hangs": "broken", "well": "usable"}
    assert found.reason[["dies", "hangs"]].str.contains("died or hung").all()
    assert not list((tmp_path / "root/prepared").glob(".*.at_work"))


def test_silence_is_what_the_store_calls_silence():
    from avsep_lib import store  # here, since it is heavy to load for the processes of the test above

    assert preparation.SILENT_DB == store.SILENT_DB


def test_stretches_are_those_that_last():
    flags = [True, True, False, True, False, True, True, True]
    assert preparation.stretches(flags, 0.5, 1.0, 3.8) == [[0, 1], [2.5, 3.8]]
    assert preparation.stretches([], 0.5, 1.0, 0) == []


def test_a_record_that_was_cut_off_is_not_believed(made, tmp_path):
    sources = table(made / "whole.mp4")
    preparation.prepare(sources, tmp_path, 0)
    path = tmp_path / "prepared/whole.json"
    whole = json.loads(path.read_text())
    path.write_text(path.read_text()[:40])
    told = []
    preparation.prepare(sources, tmp_path, 0, lambda *so_far: told.append(so_far))
    assert len(told) == 1 and json.loads(path.read_text()) == whole
