"""A data set of 100,000 clips: how long until its index is read, and until the first batch of a training is there.

The clips are a few hundred made-up ones under 100,000 names, so the index, the folders and the table of the shards are
as large as they would be; the values repeat. The plain reference walks the tree for the files, reads the list and looks
at each row, as the lists of this field are read; its first batch comes from loose ``.npy`` files. Every row is a
process of its own. The files have just been written, so the system knows their names, as for a network disk it does
not.
"""

import contextlib
import dataclasses
import itertools
import os
import tempfile
import time
from pathlib import Path

import measure
import numpy as np
import pandas as pd

from avsep_lib import clips, mixtures, shards
from avsep_lib.settings import INSTRUMENTS, Settings, from_parameters
from avsep_lib.store import VideoStore

ABOUT = (
    "Seconds and memory until the index of 100,000 clips is read, and until the first batch of 16 mixtures is there."
)
DIFFERENT = 256  # clips that really differ
FOLDER = Path("videos")


def made_up_set(root: Path, count: int, settings: Settings) -> None:
    """Videos that are names only, what is kept of them as links to a few files, their index, and their shards."""
    rng = np.random.default_rng(0)
    names = [f"clip{number:06d}" for number in range(count)]
    playing = [INSTRUMENTS[number % len(INSTRUMENTS)] for number in range(count)]
    for instrument in INSTRUMENTS:
        (root / FOLDER / instrument).mkdir(parents=True)
    paths = [str(root / FOLDER / instrument / f"{name}.mp4") for name, instrument in zip(names, playing, strict=True)]
    for path in paths:
        os.close(os.open(path, os.O_CREAT))
    split = np.where(np.arange(count) % 10, "train", "test")
    columns = {"video_id": names, "path": paths, "kind": "solo", "instruments": playing, "split": split}
    index = pd.DataFrame(columns | {"duration_s": 20.0, "frames_path": paths, "n_frames": 0})
    clips.write_index(index, root / "index.csv")
    some = []
    for number in range(min(DIFFERENT, count)):
        some.append({kind: root / "values" / f"{kind}{number}.npy" for kind in ("sound", "features")})
        some[-1]["sound"].parent.mkdir(exist_ok=True)
        np.save(some[-1]["sound"], rng.standard_normal(settings.clip_samples + 8000).astype(np.float32))
        np.save(some[-1]["features"], rng.standard_normal((4, 1280, 7, 7)).astype(np.float16))
    store = VideoStore(index, settings)
    for kind in ("sound", "features"):
        (store.folder / kind).mkdir(parents=True)
    for number, name in enumerate(names):
        for kind, file in some[number % len(some)].items():
            os.link(file, store._path(name, kind))
    shards.pack(VideoStore(index.iloc[: len(some)], settings).kept(), root / "shards")
    table = pd.read_csv(root / "shards" / shards.INDEX, dtype=str)
    pairs = table[table["kind"] == "sound"], table[table["kind"] == "features"]
    whole = [part.iloc[np.arange(count) % len(part)].assign(video_id=names) for part in pairs]
    pd.concat(whole).to_csv(root / "shards" / shards.INDEX, index=False)


def plain_index(root: Path) -> list[dict]:
    """Walk for the files, read the list, and look at each row."""
    found = {os.path.join(folder, name) for folder, _, names in os.walk(root / FOLDER) for name in names}
    rows, seen = [], set()
    for row in pd.read_csv(root / "index.csv").to_dict("records"):
        path = os.path.join(root, row["path"])
        if path not in found or row["video_id"] in seen or not row["duration_s"] > 0:
            raise ValueError(f"{path} cannot be used")
        seen.add(row["video_id"])
        rows.append({**row, "path": path})
    return rows


def index_only(how: str, root: Path, settings: Settings) -> float:
    """Seconds until the index is there."""
    began = time.perf_counter()
    rows = plain_index(root) if how == "plain" else clips.read_index(root / "index.csv", check_files=how == "checked")
    seconds = time.perf_counter() - began
    if not len(rows):
        raise ValueError("nothing was read")
    return seconds


def first_batch(how: str, root: Path, settings: Settings) -> float:
    """Seconds until the first batch of the training is there, index included."""
    began = time.perf_counter()
    if how == "plain":
        index = pd.DataFrame(plain_index(root)).assign(frames_path=lambda table: table["path"])
    else:
        settings = dataclasses.replace(settings, shards=str(root / "shards") if how == "shards" else "")
        index = clips.read_index(root / "index.csv", check_files=how != "shards")
    solos = clips.choose(index, "train", "solo")
    kept = VideoStore(solos, settings)
    if how == "plain":
        there = {os.path.join(folder, name) for folder, _, names in os.walk(kept.folder) for name in names}
        for video_id in kept.rows:
            if not {str(kept._path(video_id, kind)) for kind in ("sound", "features")} <= there:
                raise ValueError(f"{video_id} is not prepared")
    else:
        kept.prepare(Frozen())
    next(iter(mixtures.training_loader(mixtures.Mixer(solos, kept, settings), cached_features=True)))
    return time.perf_counter() - began


class Frozen:
    """Stands for a backbone whose features are all there."""

    frozen = True


ROWS = {
    "index, plain: a walk and a look at each row": (index_only, "plain"),
    "index, ours": (index_only, "checked"),
    "index, ours, no file looked at": (index_only, "unchecked"),
    "first batch, plain: walks and loose files": (first_batch, "plain"),
    "first batch, ours, loose files": (first_batch, "loose"),
    "first batch, ours, shards": (first_batch, "shards"),
}


def main() -> None:
    """Measure and report."""
    options = measure.arguments("scale", ABOUT)
    count, turns = (300, 1) if options.quick else (100_000, 3)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        root = Path(folder).resolve()
        settings = from_parameters("laptop", data_root=str(root / "data"), device="cpu")
        measure.in_own_process(made_up_set, root, count, settings)  # what it takes is counted nowhere
        base = measure.in_own_process(float)[1]
        found = {name: [] for name in ROWS}
        for _, (name, (call, how)) in itertools.product(range(turns), ROWS.items()):
            found[name].append(measure.in_own_process(call, how, root, settings))
    rows = {
        name: {"seconds": float(np.median([seconds for seconds, _ in each])), "peak MiB": max(mb for _, mb in each)}
        for name, each in found.items()
    }
    table = pd.DataFrame(rows).T
    table["above libraries"] = table["peak MiB"] - base
    reference = [table.seconds.iloc[0 if name.startswith("index") else 3] for name in table.index]
    table["times faster"] = reference / table.seconds
    measure.report(options, table, clips=count, batch=settings.batch_size, turns=turns)


if __name__ == "__main__":
    main()
