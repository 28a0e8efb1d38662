"""What is kept of a video is what the video holds, a killed preparation goes on, and a bad video is named."""

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from avsep_lib import media
from avsep_lib.backbones import Backbone
from avsep_lib.jpegs import Crop
from avsep_lib.settings import StudyError
from avsep_lib.store import ROOM, VideoStore, centre_square, level_db


@pytest.fixture
def own(tiny, tmp_path):
    """Settings whose store is the test's own."""
    return dataclasses.replace(tiny, data_root=str(tmp_path / "data"))


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_sound_is_that_of_the_video(store, index, tiny):
    for row in index.itertuples():
        sound = store.sound(row.video_id)
        assert sound.dtype == np.float32
        np.testing.assert_array_equal(sound, media.read_audio(row.path, tiny.sample_rate_hz))


def test_window_reads_the_right_samples(store, index, tiny):
    name = index.video_id[0]
    sound, last = store.sound(name), store.last_start(name)
    for start in (0, 1234, last):
        window = store.window(name, start)
        assert window.shape == (tiny.clip_samples,)
        np.testing.assert_array_equal(window, sound[start : start + tiny.clip_samples])
    assert last == len(sound) - tiny.clip_samples


def test_features_equal_those_computed_directly(store, index, backbone, tiny):
    for name in index.video_id[:3]:
        kept = store.all_features(name)
        pictures = torch.from_numpy(store.all_pictures(name))
        assert kept.dtype == np.float16 and len(kept) == len(pictures) == int(tiny.video_s)
        with torch.inference_mode():
            np.testing.assert_allclose(kept, backbone(pictures).numpy(), atol=0.02, rtol=2e-3)


def test_pictures_of_a_clip_lie_around_its_middle(store, tiny):
    start = 8_000
    times = store.picture_times_s(start)
    middle = (start + tiny.clip_samples / 2) / tiny.sample_rate_hz
    assert times.mean() == pytest.approx(middle)
    np.testing.assert_allclose(np.diff(times), tiny.frame_spacing / tiny.fps)
    assert (store.picture_times_s(0) >= 0).all()


def test_features_of_a_clip_are_those_of_the_nearest_pictures(store, index, tiny):
    name = index.video_id[0]
    every = store.all_features(name)
    for start in (0, 9_000, store.last_start(name)):
        chosen = store.features(name, start)
        grid = (np.arange(len(every)) + 0.5) / tiny.feature_fps
        nearest = [int(np.argmin(np.abs(grid - time))) for time in store.picture_times_s(start)]
        np.testing.assert_array_equal(chosen, every[nearest])


def test_pictures_are_the_middle_squares_of_the_frames(store, index, tiny):
    row = index.iloc[0]
    pictures = store.pictures(row.video_id, 5_000)
    size = tiny.frame_size_px
    assert pictures.shape == (tiny.frames_per_clip, size, size, 3) and pictures.dtype == np.uint8
    frames = media.read_frames(row.path, store.picture_times_s(5_000), size)
    left = (frames.shape[2] - size) // 2
    assert left > 0
    np.testing.assert_array_equal(pictures, frames[:, :, left : left + size])
    assert centre_square(np.zeros((2, 9, 5, 3)), 5).shape == (2, 5, 5, 3)


def test_pictures_for_a_trained_backbone_are_kept_and_no_longer_read_from_the_video(own, index, monkeypatch):
    (row,) = index.iloc[[0]].itertuples()
    kept, size, expected = VideoStore(index.iloc[[0]], own), own.frame_size_px, {}
    for start in (0, 5_000):
        nearest = np.rint(kept.picture_times_s(start) * own.fps) / own.fps
        expected[start] = centre_square(media.read_frames(row.path, nearest, size), size)
    kept.prepare(Backbone("resnet18", pretrained=False))
    assert [path.parent.name for path in files(own.data_folder)] == ["pictures", "sound"]
    monkeypatch.setattr(media, "read_frames", None)
    monkeypatch.setattr(media, "frames_at", None)
    for start, squares in expected.items():
        pictures = VideoStore(index.iloc[[0]], own).pictures(row.video_id, start)
        assert pictures.shape == squares.shape and pictures.dtype == np.uint8
        assert np.abs(pictures.astype(int) - squares).mean() < 3  # of 255: JPEG, and brought to size twice
    corner = Crop(1 / ROOM, 0.0, 0.0)
    assert kept.pictures(row.video_id, 0, corner).shape == squares.shape
    assert not np.array_equal(kept.pictures(row.video_id, 0, corner), kept.pictures(row.video_id, 0))


def test_a_killed_preparation_goes_on(own, index, backbone, monkeypatch):
    few = index.iloc[:4]
    VideoStore(few.iloc[:2], own).prepare(backbone)
    kept = {path: path.stat().st_mtime_ns for path in files(own.data_folder)}
    assert len(kept) == 4
    stray = own.data_folder / "store/sound/.half.npy"
    stray.write_bytes(b"\x93NUMPY half of it")
    read, whole = [], media.read_audio
    monkeypatch.setattr(media, "read_audio", lambda path, rate: read.append(path) or whole(path, rate))
    seen = []
    again = VideoStore(few, own)
    again.prepare(backbone, lambda *told: seen.append(told))
    assert read == list(few.path[2:])
    assert seen[-1] == ("preparing videos", 4, 4)
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())
    assert all(len(again.all_features(name)) and len(again.sound(name)) for name in few.video_id)


def test_a_store_travels_to_another_process_without_what_it_has_open(store, index):
    name = index.video_id[0]
    sound = store.sound(name)
    travelled = pickle.dumps(store)
    assert len(travelled) < 20_000 < sound.nbytes
    np.testing.assert_array_equal(pickle.loads(travelled).sound(name), sound)


def test_a_video_that_changed_is_prepared_again(own, index, tmp_path):
    row = index.iloc[[0]].copy()
    path = tmp_path / "video.mp4"
    row["path"] = row["frames_path"] = str(path)
    for level in (0.1, 0.3):
        wave = np.full(30_000, level, np.float32) * np.sin(np.arange(30_000) / 5)
        media.write_video(path, np.zeros((30, 32, 32, 3), np.uint8), 10, wave, 11_025)
        kept = VideoStore(row, own)
        kept.prepare()
        assert np.abs(kept.sound(row.video_id.iloc[0])).max() == pytest.approx(level, rel=0.2)


@pytest.mark.parametrize("change", [{"frame_size_px": 96}, {"feature_fps": 2.0}])
def test_features_of_other_settings_are_not_taken(store, index, tiny, change):
    other = VideoStore(index, dataclasses.replace(tiny, **change))
    assert len(other.sound(index.video_id[0]))  # the sound does not depend on them
    with pytest.raises(StudyError, match="not prepared"):
        other.all_features(index.video_id[0])


def bad_video(kind, folder, settings):
    path = folder / f"{kind}.mp4"
    frames = np.zeros((16, 32, 32, 3), np.uint8)
    rate, sound = settings.sample_rate_hz, np.sin(np.arange(20_000) / 7).astype(np.float32) * 0.3
    if kind == "broken":
        path.write_bytes(b"this is no video " * 100)
    elif kind == "empty":
        path.touch()
    elif kind == "half":
        media.write_video(path, frames, 8, sound, rate)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "silent":
        media.write_video(path, frames, 8, sound * 0, rate)
    elif kind == "mute":
        media.write_video(path, frames, 8, None, rate)
    elif kind == "short":
        media.write_video(path, frames, 8, sound[:8_000], rate)
    elif kind == "blind":
        media.write_audio(path, sound, rate)
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "does not exist"),
        ("broken", "not a media file"),
        ("empty", "empty"),
        ("half", "cut off"),
        ("silent", "silent"),
        ("mute", "no sound"),
        ("short", "shorter than a clip"),
        ("blind", "no picture"),
    ],
)
def test_a_bad_video_is_named_and_the_good_ones_are_kept(own, index, backbone, tmp_path, kind, words):
    path = bad_video(kind, tmp_path, own)
    bad = index.iloc[[1]].assign(video_id="bad", path=str(path), frames_path=str(path))
    with pytest.raises(StudyError, match=words) as error:
        VideoStore(pd.concat([index.iloc[[0]], bad, index.iloc[[2]]]), own).prepare(backbone)
    text = str(error.value)
    assert str(path) in text and "\n" not in text
    assert VideoStore(index.iloc[[0]], own).all_features(index.video_id[0]).size
    assert not [file for file in files(own.data_folder) if file.name.startswith(".")]


def test_bad_videos_of_an_index_are_set_aside_and_listed(own, index, backbone, tmp_path):
    paths = [bad_video(kind, tmp_path, own) for kind in ("broken", "silent", "short", "blind")]
    bad = index.iloc[:4].assign(video_id=[path.stem for path in paths], path=list(map(str, paths)))
    bad["frames_path"] = bad["path"]
    both = pd.concat([index.iloc[[0]], bad, index.iloc[[2]]], ignore_index=True)
    settings = dataclasses.replace(own, dataset="index.csv")
    kept, listed = VideoStore(both, settings), own.data_folder / "store" / "unusable.csv"
    with pytest.warns(
        UserWarning, match=r"4 of 6 videos .* left out; .*unusable\.csv says why\. The first: .*broken\.mp4"
    ):
        kept.prepare(backbone)
    assert list(kept.usable(both).video_id) == list(index.video_id[[0, 2]])
    assert kept.usable(index).equals(index)  # it knows nothing against the others
    told = pd.read_csv(listed)
    assert list(told.video_id) == ["broken", "silent", "short", "blind"]
    assert all(Path(path).name in reason for path, reason in zip(told.path, told.reason, strict=True))

    VideoStore(index.iloc[[0]], settings).prepare(backbone)  # speaks of no other video
    assert len(pd.read_csv(listed)) == 4
    Path(paths[1]).write_bytes(Path(index.path[1]).read_bytes())
    with pytest.warns(UserWarning, match="3 of 6"):
        VideoStore(both, settings).prepare(backbone)
    assert "silent" not in list(pd.read_csv(listed).video_id)
    with pytest.raises(StudyError, match=r"none of 3 videos can be used; the first: .*broken\.mp4"):
        VideoStore(bad.iloc[[0, 2, 3]], settings).prepare(backbone)


def test_levels():
    assert level_db(np.zeros(10)) < -150
    assert level_db(np.full(100, 0.1)) == pytest.approx(-20)
