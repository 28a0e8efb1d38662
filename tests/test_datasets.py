"""One door to every data set, and a clear word where there is none."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from avsep_lib import clips, datasets, media
from avsep_lib.networks import Backbone
from avsep_lib.settings import StudyError
from avsep_lib.store import VideoStore


@pytest.fixture
def pixels(tmp_path, tiny):
    """A folder as Sound of Pixels has it, and a function that writes a list of some of its videos."""
    rng = np.random.default_rng(0)
    names = {name: [f"{name}{n}" for n in range(6)] for name in ("flute", "tuba")}
    picture = Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    for instrument, videos in names.items():
        for video in videos:
            media.write_audio(
                tmp_path / f"data/audio/{instrument}/{video}.wav", rng.standard_normal(20_000) * 0.1, 11_025
            )
            frames = tmp_path / f"data/frames/{instrument}/{video}.mp4"
            frames.mkdir(parents=True)
            for n in range(1, 4):
                picture.save(frames / f"{n:06d}.jpg")

    def write(name, numbers):
        rows = [
            f"audio/{i}/{videos[n]}.wav,frames/{i}/{videos[n]}.mp4,16" for i, videos in names.items() for n in numbers
        ]
        path = tmp_path / "data" / name
        path.write_text("\n".join(rows) + "\n")
        return path

    return write


def opened(tiny, dataset):
    return datasets.open_dataset(dataclasses.replace(tiny, dataset=str(dataset)))


def test_the_rendered_set_is_made_where_it_is_missing(tiny, index):
    assert datasets.open_dataset(tiny).equals(index)


def test_an_index_is_found_by_its_file_or_folder(tiny, index, tmp_path):
    clips.write_index(index, tmp_path / "index.csv")
    assert opened(tiny, tmp_path / "index.csv").equals(index)
    assert opened(tiny, tmp_path).equals(index)


def test_a_list_of_sound_of_pixels_is_split_by_video(tiny, pixels):
    path = pixels("all.csv", range(6))
    index = opened(tiny, path)
    assert len(index) == 12 and set(index.kind) == {"solo"}
    counts = clips.counts(index)
    assert list(counts.index) == ["flute", "tuba"] and (counts > 0).all(axis=None)
    assert opened(tiny, path).equals(index)
    clips.check_splits(index)


def test_a_folder_of_lists_keeps_its_splits(tiny, pixels):
    pixels("train.csv", range(3))
    pixels("val.csv", [3])
    folder = pixels("test.csv", [4, 5]).parent
    index = opened(tiny, folder)
    assert index.groupby("split").video_id.count().to_dict() == {"train": 6, "validation": 2, "test": 4}


def test_without_a_test_list_half_of_the_validation_becomes_it(tiny, pixels):
    pixels("train.csv", range(4))
    folder = pixels("val.csv", [4, 5]).parent
    index = opened(tiny, folder)
    assert index.groupby("split").video_id.count().to_dict() == {"train": 8, "validation": 2, "test": 2}
    clips.check_splits(index)


def test_a_leak_between_lists_is_refused(tiny, pixels):
    pixels("train.csv", range(4))
    folder = pixels("val.csv", [3, 4]).parent
    with pytest.raises(StudyError, match=r"flute3|tuba3"):
        opened(tiny, folder)


def test_sound_and_directories_of_frames_go_into_the_store(tiny, pixels, tmp_path):
    index = opened(tiny, pixels("all.csv", range(6))).iloc[:2]
    settings = dataclasses.replace(tiny, data_root=str(tmp_path / "kept"))
    kept = VideoStore(index, settings)
    kept.prepare(Backbone("efficientnet_lite0").eval())
    assert len(kept.sound(index.video_id[0])) == 20_000
    assert kept.all_features(index.video_id[0]).shape[:2] == (1, 1280)
    moved = index.assign(frames_path=[str(tmp_path / "elsewhere")] * 2)
    with pytest.raises(StudyError, match="not prepared"):
        VideoStore(moved, settings).all_features(index.video_id[0])


@pytest.mark.parametrize("name", ["renderd", "nowhere/index.csv"])
def test_a_data_set_that_is_not_there_is_named(tiny, name):
    with pytest.raises(StudyError, match=name):
        opened(tiny, name)


def test_an_empty_folder_is_no_data_set(tiny, tmp_path):
    with pytest.raises(StudyError, match=tmp_path.name):
        opened(tiny, tmp_path)


def test_a_row_that_points_nowhere_is_named(tiny, index, tmp_path):
    shutil.copy(index.path[0], tmp_path / "one.mp4")
    rows = pd.DataFrame(
        [["a", "one.mp4", "solo", "flute", "train", 4.0], ["b", "two.mp4", "solo", "flute", "test", 4.0]]
    )
    rows.to_csv(tmp_path / "index.csv", header=clips.COLUMNS, index=False)
    with pytest.raises(StudyError, match=r"index.csv row 3.*two.mp4"):
        opened(tiny, tmp_path)
