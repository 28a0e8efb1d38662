"""What goes wrong ends in one clear line that names the thing, exit code not 0, and nothing written before is lost.

Faults of single functions stand with their module: parameters in ``test_settings``, videos in ``test_store``,
``test_media`` and ``test_duets``, rows of an index in ``test_clips``, checkpoints in ``test_networks`` and
``test_training``. Here: whole commands, and files that a kill or a full disk left half written.
"""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avsep_lib import cli, clips, datasets, media, rendered, runs
from avsep_lib.settings import StudyError
from avsep_lib.store import VideoStore


def study(*arguments):
    return cli.main(["study", "--preset", "smoke", *map(str, arguments)])


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def cut(path, keep=0.5):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    return path


# Whole commands


@pytest.fixture
def real_index(index, tmp_path):
    """An index of videos of one's own: copies of the tiny data set's solos, in a folder of their own."""
    solos = index[index.kind == "solo"].reset_index(drop=True)
    for row in solos.itertuples():
        shutil.copy(row.path, tmp_path / f"{row.video_id}.mp4")
    paths = [str(tmp_path / f"{name}.mp4") for name in solos.video_id]
    clips.write_index(solos.assign(path=paths, frames_path=paths), tmp_path / "index.csv")
    return tmp_path / "index.csv"


def last_line(said):
    """The line of a failed study that says what is wrong."""
    (line,) = [line for line in said.err.splitlines() if line.startswith(("StudyError", "ClipsError", "MediaError"))]
    return line


def test_a_study_leaves_a_broken_video_of_an_index_out_and_lists_it(real_index, tmp_path):
    broken = tmp_path / "flute-train-001.mp4"
    cut(broken)
    assert (
        study("--only", "01", "--dataset", real_index, "--out", tmp_path / "out", "--set", f"data_root={tmp_path}") == 0
    )
    listed = pd.read_csv(tmp_path / "store/unusable.csv")
    assert list(listed.video_id) == ["flute-train-001"] and str(broken) in listed.reason[0]
    (page,) = (tmp_path / "out").rglob("notebook.html")
    assert "videos cannot be used and are left out" in page.read_text()


def test_a_row_that_points_nowhere_stops_the_study_by_its_number(real_index, tmp_path, capsys):
    (tmp_path / "flute-train-001.mp4").unlink()
    row = 2 + [line.split(",")[0] for line in real_index.read_text().splitlines()[1:]].index("flute-train-001")
    assert (
        study("--only", "01", "--dataset", tmp_path, "--out", tmp_path / "out", "--set", f"data_root={tmp_path}") == 2
    )
    line = last_line(capsys.readouterr())
    assert f"index.csv row {row}: " in line and "flute-train-001.mp4 does not exist" in line


def test_a_data_set_that_is_not_there_stops_the_study_by_name(tmp_path, capsys):
    assert study("--only", "01", "--dataset", tmp_path / "none.csv", "--out", tmp_path / "out") == 2
    assert "none.csv" in last_line(capsys.readouterr())


def test_a_training_of_other_settings_is_not_gone_on_with_and_not_lost(smoke_study, tmp_path, capsys):
    """Notebook 03 finds the checkpoints of a training at another rate."""
    out = tmp_path / "out"
    shutil.copytree(smoke_study.out / "results/smoke/02_seed0", out / "results/smoke/02_seed0")
    shutil.copytree(smoke_study.out / "checkpoints", out / "checkpoints")
    before = snapshot(out / "checkpoints")
    assert study("--only", "03", "--out", out, "--set", f"data_root={smoke_study.data}", "learning_rate=0.5") == 2
    line = last_line(capsys.readouterr())
    assert "separator_last.ckpt" in line and "learning_rate = 0.003" in line and "0.5" in line and "delete" in line
    assert snapshot(out / "checkpoints") == before
    assert not json.loads((out / "results/smoke/03_seed0/run.json").read_text())["finished"]


def test_a_chapter_needs_the_one_before_it(tmp_path, capsys):
    assert study("--only", "04", "--out", tmp_path / "out", "--set", f"data_root={tmp_path / 'data'}") == 2
    line = last_line(capsys.readouterr())
    assert "03_seed0" in line and "run notebook 03" in line
    assert not (tmp_path / "data").exists()


# Half-written files


@pytest.fixture
def own(tiny, index, tmp_path):
    """Settings whose rendered videos and store are the test's own."""
    settings = dataclasses.replace(tiny, data_root=str(tmp_path / "data"))
    shutil.copytree(rendered.folder(tiny), rendered.folder(settings))
    return settings


def test_a_rendered_video_that_was_cut_off_is_named_and_made_again_when_deleted(own):
    videos = datasets.open_dataset(own)
    path = Path(videos.path[3])
    whole = media.read_audio(path, own.sample_rate_hz)
    cut(path)
    with pytest.raises(StudyError, match="cut off") as error:
        VideoStore(datasets.open_dataset(own), own).prepare()
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    path.unlink()
    kept = VideoStore(datasets.open_dataset(own), own)
    kept.prepare()
    np.testing.assert_array_equal(kept.sound(videos.video_id[3]), whole)


def test_an_index_that_was_cut_off_is_written_again(own):
    videos = datasets.open_dataset(own)
    cut(rendered.folder(own) / "index.csv", 0.3)
    assert datasets.open_dataset(own).equals(videos)


@pytest.mark.parametrize("keep", [0.0, 0.0005, 0.5, 0.99])
def test_sound_that_was_cut_off_in_the_store_is_named(own, keep):
    videos = datasets.open_dataset(own).iloc[:2]
    VideoStore(videos, own).prepare()
    paths = sorted((own.data_folder / "store/sound").glob("*.npy"))
    cut(paths[0], keep)
    kept = VideoStore(videos, own)
    kept.prepare()
    with pytest.raises(StudyError, match="was cut off; delete it") as error:
        [kept.sound(name) for name in videos.video_id]
    assert str(paths[0]) in str(error.value)
    paths[0].unlink()
    again = VideoStore(videos, own)
    again.prepare()
    assert all(len(again.sound(name)) for name in videos.video_id)


@pytest.mark.filterwarnings("ignore:.*damaged:UserWarning")
@pytest.mark.parametrize("what", [".json", ".flac"])
@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_truth_that_was_cut_off_is_named(own, what, keep):
    duet = clips.choose(datasets.open_dataset(own), kind="duet").path[0]
    path = cut(sorted(Path(duet).parent.glob(f"*{what}"))[0], keep)
    with pytest.raises(StudyError) as error:
        rendered.read_truth(duet, own.sample_rate_hz)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", '{"finished": tr'])
def test_a_run_whose_record_was_cut_off_has_not_finished(start_run, content):
    run = start_run("03")
    run.finish()
    assert runs.finished(run.settings, "03") == run.folder
    (run.folder / "run.json").write_text(content)
    with pytest.raises(StudyError, match="has not finished; run notebook 03"):
        runs.finished(run.settings, "03")


def test_what_a_killed_writer_leaves_is_never_taken_for_data(own):
    """The temporary files of ``files.atomic`` begin with a dot and end as the real ones do."""
    videos = datasets.open_dataset(own)
    folder = Path(videos.path[0]).parent
    for stray in (folder / ".x1.mp4", rendered.folder(own) / ".x2.csv", own.data_folder / "store/sound/.x3.npy"):
        stray.parent.mkdir(parents=True, exist_ok=True)
        stray.write_bytes(b"half of it")
    again = datasets.open_dataset(own)
    assert again.equals(videos)
    VideoStore(again.iloc[:2], own).prepare()
