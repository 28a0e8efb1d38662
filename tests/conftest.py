"""A tiny rendered data set that all tests share. Everything is written below pytest's temporary folder."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from avsep_lib import clips, duets, networks, rendered
from avsep_lib.mixtures import Mixer
from avsep_lib.runs import begin
from avsep_lib.settings import PROJECT_ROOT, from_parameters
from avsep_lib.store import VideoStore

torch.set_num_threads(1)  # the nets of the tests are so small that threads only wait for each other


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Settings smaller than those of the smoke preset: 17 videos of four seconds, one of them a duet."""
    root = tmp_path_factory.mktemp("study")
    return from_parameters(
        "smoke",
        out=str(root / "out"),
        data_root=str(root / "data"),
        device="cpu",
        precision="float32",
        solos_train=2,
        solos_validation=1,
        solos_test=1,
        duets=1,
        trios=0,
        quartets=0,
        video_height_px=96,
        video_fps=8,
        frame_size_px=64,
        channels=4,
        audio_levels=3,
        audio_base_channels=4,
        batch_size=4,
        mixtures_per_epoch=8,
    )


@pytest.fixture(scope="session")
def index(tiny):
    """The index of the tiny data set, rendered."""
    return clips.read_index(rendered.render(tiny), instruments=tiny.instruments)


@pytest.fixture(scope="session")
def bank_of_sines(tmp_path_factory):
    """A sound bank of four instruments, each of which plays one pitch."""
    folder = tmp_path_factory.mktemp("bank")
    rows = []
    for place, name in enumerate(("cello", "drum", "flute", "violin")):
        for tone, split in (("FluidR3", "train"), ("notes", "train"), ("TimGM6mb", "validation")):
            wave = np.sin(2 * np.pi * 200 * 1.7**place * np.arange(40_000) / 11_025)
            file = f"{tone}_{name}.npy"
            np.save(folder / file, np.round(8000 * wave).astype(np.int16))
            rows.append((tone, name, 0, split, file, 3.6))
    table = pd.DataFrame(rows, columns=["tone", "instrument", "number", "split", "file", "seconds"])
    table.to_csv(folder / "bank.csv", index=False)
    return folder


@pytest.fixture(scope="session")
def backbone():
    """The frozen backbone with its ImageNet weights."""
    return networks.Backbone("efficientnet_lite0").eval()


@pytest.fixture(scope="session")
def store(index, tiny, backbone):
    """Sound and features of every video of the tiny data set."""
    store = VideoStore(index, tiny)
    store.prepare(backbone)
    return store


@pytest.fixture(scope="session")
def duet(index):
    """A rendered duet."""
    return clips.choose(index, "test", "duet").iloc[0]


@pytest.fixture(scope="session")
def separator(tiny):
    """Untrained, and with pictures large enough for a grid of five columns."""
    torch.manual_seed(0)
    return networks.Separator(dataclasses.replace(tiny, frame_size_px=96), tiny.instruments).eval()


@pytest.fixture(scope="session")
def separation(separator, duet):
    """What the untrained separator makes of the duet."""
    return duets.separate_video(separator, duet.path, 2)


@pytest.fixture
def train_mixer(index, store, tiny):
    """Draws from the training solos."""
    return Mixer(clips.choose(index, "train", "solo"), store, tiny)


@pytest.fixture
def test_mixer(index, store, tiny):
    """Draws from the test solos."""
    return Mixer(clips.choose(index, "test", "solo"), store, tiny)


@pytest.fixture
def start_run(tiny, tmp_path):
    """A function that begins a run of changed tiny settings, below the test's own folder."""

    def start_run(label="03", **changes):
        return begin(label, dataclasses.replace(tiny, out=str(tmp_path / "out"), **changes))

    return start_run


@pytest.fixture(scope="session")
def smoke_study(tmp_path_factory):
    """The whole study at the smallest preset, run once as a user would, from another folder than the project's."""
    root = tmp_path_factory.mktemp("smoke")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in written()}
    avsep = Path(sys.executable).with_name("avsep")
    command = [avsep, "study", "--preset", "smoke", "--out", root / "out", "--set", f"data_root={root / 'data'}"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    after = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in written()}
    touched = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    results = root / "out/results/smoke"
    return SimpleNamespace(root=root, out=root / "out", data=root / "data", results=results, done=done, touched=touched)


def written():
    """Files of the project that a study could write."""
    return [path for name in ("figures", "results", "notebooks") for path in (PROJECT_ROOT / name).rglob("*")]
