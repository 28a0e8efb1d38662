"""One door to every data set, and a clear word where there is none."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from avsep_lib import clips, datasets, media, preparation, rendered
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


# Folders of videos


@pytest.fixture
def film(tmp_path):
    """A function that writes a video of seven seconds."""

    def write(path, level=0.3, seconds=7):
        rng = np.random.default_rng(list(str(path).encode()))
        frames = (rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(int(seconds * 8)))
        sound = level * np.sin(np.arange(int(seconds * 22_050)) * rng.uniform(0.05, 0.2))
        media.write_video(tmp_path / path, frames, 8, sound, 22_050)
        return sound

    return write


def test_a_folder_of_instruments_is_prepared_and_what_is_broken_is_left_out(tiny, film, tmp_path):
    for n in range(5):
        film(f"set/cello/c{n}.mp4")
    film("set/DoubleBass/d.mp4")
    film("set/cello flute/piece.mp4")
    film("set/cello/silent.mp4", level=0)
    (tmp_path / "set/cello/broken.mp4").write_bytes(b"no video")
    settings = dataclasses.replace(tiny, dataset=str(tmp_path / "set"), data_root=str(tmp_path / "data"))
    with pytest.warns(UserWarning, match=r"2 of 9 videos .* cannot be used; .*prepared\.csv says why"):
        index = datasets.open_dataset(settings)
    videos = index.set_index("video_id")
    assert sorted(videos.index) == ["c0", "c1", "c2", "c3", "c4", "d", "piece"]
    assert videos.instruments["d"] == "double_bass" and videos.instruments["piece"] == "cello+flute"
    assert videos.path["piece"] == str(tmp_path / "set/cello flute/piece.mp4") and videos.split["piece"] == "test"
    assert videos.path["c0"].startswith(settings.data_root) and set(videos.split) == set(clips.SPLITS)
    assert videos.duration_s.tolist() == pytest.approx([7] * 7, abs=0.1)
    VideoStore(index, settings).prepare(Backbone("resnet18", pretrained=False))
    with pytest.warns(UserWarning):
        pd.testing.assert_frame_equal(datasets.open_dataset(settings), index)


def test_a_folder_of_which_nothing_can_be_used_is_named(tiny, tmp_path):
    (tmp_path / "set/cello").mkdir(parents=True)
    (tmp_path / "set/cello/a.mp4").touch()
    settings = dataclasses.replace(tiny, dataset=str(tmp_path / "set"), data_root=str(tmp_path / "data"))
    with pytest.raises(StudyError, match=r"1 of 1 videos of .*set cannot be used"):
        datasets.open_dataset(settings)


def test_a_piece_of_urmp_has_its_true_tracks(tiny, film, tmp_path):
    name = "01_Jupiter_vn_vc"
    film(f"urmp/{name}/Vid_{name}.mp4")
    tracks = [level * np.sin(np.arange(samples) / 9) for level, samples in ((0.1, 77_000), (0.2, 70_000))]
    for number, (code, track) in enumerate(zip(("vn", "vc"), tracks, strict=True), start=1):
        media.write_audio(tmp_path / f"urmp/{name}/AuSep_{number}_{code}_01_Jupiter.wav", track, 11_025)
    index = opened(dataclasses.replace(tiny, data_root=str(tmp_path / "data")), tmp_path / "urmp")
    known = rendered.with_truth(clips.choose(index, "test", "duet"))
    assert list(known.instruments) == ["violin+cello"] and known.path[0] == str(
        tmp_path / f"urmp/{name}/Vid_{name}.mp4"
    )
    true, boxes = rendered.read_truth(known.path[0], 11_025)
    np.testing.assert_allclose(true[0], tracks[0], atol=1e-6)
    np.testing.assert_allclose(true[1], np.pad(tracks[1], (0, 7_000)), atol=1e-6)
    np.testing.assert_allclose(boxes, [[0, 0, 0.5, 1], [0.5, 0, 1, 1]])


@pytest.mark.parametrize(("clip_samples", "state"), [(8_191, "usable"), (16_383, "short")])
def test_music_synthetic_needs_clips_of_a_second(tiny, tmp_path, clip_samples, state):
    for folder in ("audio", "video", "box"):
        (tmp_path / "set/test1" / folder).mkdir(parents=True)
    media.write_audio(tmp_path / "set/test1/audio/0.wav", np.sin(np.arange(11_025) / 9) / 3, 11_025)
    Image.new("RGB", (64, 48), (10, 200, 30)).save(tmp_path / "set/test1/video/0.jpg")
    np.save(tmp_path / "set/test1/box/0.npy", np.array([[0, 0, 0.5, 0.5, 13], [0.5, 0, 0.5, 0.5, 11]]))
    settings = dataclasses.replace(tiny, clip_samples=clip_samples)
    found = datasets.videos_of(tmp_path / "set")
    table = preparation.prepare(found, tmp_path / "data", workers=0, least_s=settings.clip_s)
    assert list(table.state) == [state]


def test_music_synthetic_shows_a_picture_all_the_time(tiny, tmp_path):
    for folder in ("audio", "video", "box"):
        (tmp_path / "set/test1" / folder).mkdir(parents=True)
    media.write_audio(tmp_path / "set/test1/audio/0.wav", np.sin(np.arange(80_000) / 9) / 3, 11_025)
    Image.new("RGB", (64, 48), (10, 200, 30)).save(tmp_path / "set/test1/video/0.jpg")
    np.save(tmp_path / "set/test1/box/0.npy", np.array([[0, 0, 0.5, 0.5, 13], [0.5, 0, 0.5, 0.5, 11]]))
    settings = dataclasses.replace(tiny, data_root=str(tmp_path / "data"))
    index = opened(settings, tmp_path / "set")
    assert list(index.instruments) == ["accordion+violin"]
    kept = VideoStore(index, settings)
    kept.prepare(Backbone("resnet18", pretrained=False))
    assert np.abs(kept.pictures("0", 100).mean(axis=(0, 1, 2)) - (10, 200, 30)).max() < 5


@pytest.mark.parametrize(
    ("named", "splits"),
    [(("train", "test"), {"train", "validation", "test"}), (("train",), {"train", "validation", "test"}),
     (("", "", "test"), {"train", "validation", "test"}), (("train", "validation", "test"), None)],
)  # fmt: skip
def test_splits_that_a_layout_names_are_kept_and_those_that_lack_are_dealt(named, splits):
    split = [named[n % len(named)] for n in range(60)]
    found = pd.DataFrame(
        {"video_id": [f"v{n}" for n in range(60)], "kind": "solo", "instruments": "cello", "split": split}
    )
    given = datasets._with_splits(found, 0)
    assert set(given.split) == (splits or set(named))
    assert (given.split[found.split == "test"] == "test").all()
    if splits is None:
        pd.testing.assert_frame_equal(given, found)


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
