"""What comes out of shards is what was kept: by name, from front to back, on any host, and after a kill."""

import dataclasses
import io
import json
import os
import pickle
import shutil
import tarfile

import fsspec
import numpy as np
import pandas as pd
import pytest
import torch

from avsep_lib import cli, clips, datasets, mixtures, protocol, shards
from avsep_lib.backbones import Backbone
from avsep_lib.settings import StudyError, from_parameters
from avsep_lib.store import VideoStore

MADE_BY = "0123456789abcdef"


def kept(folder, names, seed=0):
    """Made-up files of some videos, as ``VideoStore.kept`` lists them."""
    rng = np.random.default_rng(seed)
    videos = []
    for name in names:
        files = {"sound": rng.standard_normal(rng.integers(900, 1100)).astype(np.float32),
                 "features": rng.standard_normal((3, 5, 2, 2)).astype(np.float16)}  # fmt: skip
        paths = {kind: folder / kind / f"{len(videos)}-{seed}.npy" for kind in files}
        for kind, values in files.items():
            paths[kind].parent.mkdir(parents=True, exist_ok=True)
            np.save(paths[kind], values)
        about = {"split": "train", "instruments": "tuba"}
        videos.append({"video_id": name, "about": about, "kept": {k: (MADE_BY, str(p)) for k, p in paths.items()}})
    return videos


def values(video, kind):
    return np.load(video["kept"][kind][1])


NAMES = ["one", "-abc_12.3", "0012", "a/../../b", "Zoë, 2", "x" * 400, *(f"v{n}" for n in range(60))]


@pytest.fixture
def packed(tmp_path):
    """Videos of made-up values and the folder of their shards, several of them."""
    videos = kept(tmp_path / "store", NAMES)
    shards.pack(videos, tmp_path / "shards", shard_mb=0.05)
    return videos, tmp_path / "shards"


def test_values_come_back_by_name(packed):
    videos, folder = packed
    reader = shards.Shards(folder)
    assert len(list(folder.glob("*.tar"))) > 3
    for video in videos:
        for kind in video["kept"]:
            assert reader.holds(video["video_id"], kind, MADE_BY)
            got, wanted = reader.read(video["video_id"], kind, MADE_BY), values(video, kind)
            assert got.dtype == wanted.dtype
            np.testing.assert_array_equal(got, wanted)
            assert reader.length(video["video_id"], kind, MADE_BY) == len(wanted)
        np.testing.assert_array_equal(
            reader.read(video["video_id"], "sound", MADE_BY, 100, 300), values(video, "sound")[100:300]
        )
    assert len(reader.read("one", "sound", MADE_BY, 800, 9999)) == len(values(videos[0], "sound")) - 800
    assert not reader.holds("one", "sound", "of other settings") and not reader.holds("two", "sound", MADE_BY)


def test_all_values_come_from_front_to_back(packed):
    videos, folder = packed
    found = list(shards.Shards(folder).each("sound", MADE_BY))
    assert [name for name, _ in found] == NAMES
    for (_, got), video in zip(found, videos, strict=True):
        np.testing.assert_array_equal(got, values(video, "sound"))


def test_a_shard_is_a_tar_file_of_webdataset(packed):
    """Files of a video stand together, under a name whose first dot begins the suffix."""
    videos, folder = packed
    keys, about = [], {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, suffix = member.name.partition(".")
                assert "/" not in member.name and len(member.name) < 200 and not member.mtime and not member.uname
                keys += [key] if keys[-1:] != [key] else []
                if suffix == "json":
                    about[key] = json.load(tar.extractfile(member))
                elif suffix == "sound.npy":
                    sound = np.load(io.BytesIO(tar.extractfile(member).read()))
                    np.testing.assert_array_equal(sound, values(videos[len(keys) - 1], "sound"))
    assert len(keys) == len(set(keys)) == len(videos)
    assert [about[key]["video_id"] for key in keys] == NAMES and about[keys[0]]["instruments"] == "tuba"


def test_a_killed_packing_goes_on(packed, tmp_path, monkeypatch):
    videos, whole = packed
    add, count = shards._add, [0]

    def dies(*arguments):
        count[0] += 1
        if count[0] > 70:
            raise KeyboardInterrupt
        return add(*arguments)

    monkeypatch.setattr(shards, "_add", dies)
    with pytest.raises(KeyboardInterrupt):
        shards.pack(videos, tmp_path / "again", shard_mb=0.05)
    monkeypatch.setattr(shards, "_add", add)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "again").glob("*.tar")}
    assert before and len(before) < len(list(whole.glob("*.tar")))
    told = []
    shards.pack(videos, tmp_path / "again", shard_mb=0.05, progress=lambda *now: told.append(now))
    assert told[0][1] > 1 and told[-1] == ("packing videos", len(videos), len(videos))
    assert sorted(p.name for p in (tmp_path / "again").iterdir()) == sorted(p.name for p in whole.iterdir())
    for path in whole.iterdir():  # nothing of the hour or the user goes in
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()
    assert all((tmp_path / "again" / name).stat().st_mtime_ns == then for name, then in before.items())


def test_new_and_changed_videos_go_into_new_shards(packed, tmp_path):
    videos, folder = packed
    before = {path.name: path.read_bytes() for path in folder.glob("*.tar")}
    changed = kept(tmp_path / "store", ["new", "one"], seed=7)
    shards.pack([*changed, *videos[1:]], folder)
    reader = shards.Shards(folder)
    np.testing.assert_array_equal(reader.read("one", "sound", MADE_BY), values(changed[1], "sound"))
    np.testing.assert_array_equal(reader.read("new", "sound", MADE_BY), values(changed[0], "sound"))
    assert len(list(folder.glob("*.tar"))) == len(before) + 1
    assert all((folder / name).read_bytes() == content for name, content in before.items())


def test_shards_are_read_from_an_object_store(packed):
    videos, folder = packed
    bucket = fsspec.filesystem("memory")
    for path in folder.iterdir():
        bucket.pipe_file(f"/bucket/{path.name}", path.read_bytes())
    reader = shards.Shards("memory://bucket")
    for video in videos[:8]:
        got = reader.read(video["video_id"], "sound", MADE_BY, 5, 50)
        np.testing.assert_array_equal(got, values(video, "sound")[5:50])
    bucket.rm("/bucket", recursive=True)
    with pytest.raises(StudyError, match=r"memory://.*does not exist"):
        reader.read("one", "sound", MADE_BY)


def test_few_shards_are_open_at_a_time(packed, monkeypatch):
    videos, folder = packed
    monkeypatch.setattr(shards, "_OPEN_SHARDS", 2)
    reader = shards.Shards(folder)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    for video in videos:
        np.testing.assert_array_equal(
            np.array(reader.read(video["video_id"], "sound", MADE_BY)), values(video, "sound")
        )
    if before is not None:
        assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_what_is_wrong_with_shards_is_named(packed, tmp_path):
    videos, folder = packed
    with pytest.raises(StudyError, match=r"none/index\.csv: does not exist; pack"):
        shards.Shards(tmp_path / "none")
    (folder / "shard-000000.tar").write_bytes((folder / "shard-000000.tar").read_bytes()[:3000])
    (folder / "shard-000001.tar").unlink()
    reader = shards.Shards(folder)
    found = []
    for name in NAMES:
        try:
            reader.read(name, "sound", MADE_BY)
        except StudyError as error:
            found.append(str(error))
    assert any("shard-000000.tar: was cut off" in text for text in found)
    assert any("shard-000001.tar: does not exist" in text for text in found)
    for content in ("", "a,b\n1,2\n", "\x00\xff"):
        (folder / "index.csv").write_text(content)
        with pytest.raises(StudyError, match=r"index\.csv: (is no table|has no column)"):
            shards.Shards(folder)
    cut = videos[3]["kept"]["features"][1]
    with open(cut, "r+b") as file:
        file.truncate(150)
    with pytest.raises(StudyError, match="was cut off; delete it"):
        shards.pack(videos, tmp_path / "other")
    assert not list((tmp_path / "other").glob("*"))


# Through the store


@pytest.fixture
def sharded(store, index, tiny, tmp_path):
    """The tiny data set's shards, and settings of a host that has nothing else."""
    shards.pack(store.kept(), tmp_path / "shards", shard_mb=1)
    settings = dataclasses.replace(tiny, shards=str(tmp_path / "shards"), data_root=str(tmp_path / "nothing"))
    gone = [path.replace("rendered", "elsewhere") for path in index.path]
    return index.assign(path=gone, frames_path=gone), settings


def test_a_store_of_shards_needs_no_other_file(sharded, store, index, backbone, tiny):
    elsewhere, settings = sharded
    other = VideoStore(elsewhere, settings)
    other.prepare(backbone)
    assert not os.path.exists(settings.data_root)
    for name in index.video_id:
        assert other.last_start(name) == store.last_start(name)
        np.testing.assert_array_equal(other.sound(name), store.sound(name))
        np.testing.assert_array_equal(other.window(name, 1234), store.window(name, 1234))
        np.testing.assert_array_equal(other.features(name, 500), store.features(name, 500))
        np.testing.assert_array_equal(other.all_features(name), store.all_features(name))
    with pytest.raises(StudyError, match="not prepared"):
        VideoStore(elsewhere, dataclasses.replace(settings, feature_fps=2.0)).all_features(index.video_id[0])


def test_mixtures_from_shards_are_those_from_files(sharded, train_mixer, index, tiny):
    elsewhere, settings = sharded
    solos = clips.choose(elsewhere, "train", "solo")
    mixer = mixtures.Mixer(solos, pickle.loads(pickle.dumps(VideoStore(solos, settings))), settings)
    for one, other in zip(
        mixtures.training_loader(train_mixer, True), mixtures.training_loader(mixer, True), strict=True
    ):
        assert one.keys() == other.keys()
        for name in one:
            assert one[name].equal(other[name])


def test_an_index_whose_videos_lie_elsewhere_is_opened_where_there_are_shards(sharded, tmp_path):
    elsewhere, settings = sharded
    clips.write_index(elsewhere, tmp_path / "index.csv")
    opened = datasets.open_dataset(dataclasses.replace(settings, dataset=str(tmp_path / "index.csv")))
    pd.testing.assert_frame_equal(opened, elsewhere)
    with pytest.raises(StudyError, match="does not exist"):
        datasets.open_dataset(dataclasses.replace(settings, dataset=str(tmp_path / "index.csv"), shards=""))


def test_a_data_set_is_packed_by_one_command_and_trained_on_where_no_video_is(index, tmp_path, capsys):
    solos = clips.choose(index, kind="solo")
    (tmp_path / "videos").mkdir()
    copies = [shutil.copy(path, tmp_path / "videos") for path in solos.path]
    (tmp_path / "videos/broken.mp4").write_bytes(b"no video")
    rows = solos.assign(path=copies, frames_path=copies)
    broken = str(tmp_path / "videos/broken.mp4")
    bad = rows.iloc[[0]].assign(video_id="broken", path=broken, frames_path=broken)
    clips.write_index(pd.concat([rows, bad]), tmp_path / "index.csv")
    command = ["pack", tmp_path / "shards", "--preset", "smoke", "--dataset", tmp_path / "index.csv"]
    with pytest.warns(UserWarning, match="1 of .* left out"):
        assert cli.main([*map(str, command), "--set", f"data_root={tmp_path / 'data'}"]) == 0
    assert str(tmp_path / "shards/videos.csv") in capsys.readouterr().out
    shutil.rmtree(tmp_path / "videos")
    shutil.rmtree(tmp_path / "data")

    places = {"shards": str(tmp_path / "shards"), "dataset": str(tmp_path / "shards/videos.csv")}
    settings = from_parameters("smoke", **places, data_root=str(tmp_path / "data"), device="cpu")
    there = datasets.open_dataset(settings)
    assert set(there.video_id) == set(solos.video_id)
    protocol.check_disjoint(there)
    kept = VideoStore(there, settings)
    kept.prepare(Backbone(settings.backbone))
    batch = next(iter(mixtures.training_loader(mixtures.Mixer(clips.choose(there, "train"), kept, settings), True)))
    assert torch.isfinite(batch["sources"]).all() and not (tmp_path / "data").exists()
