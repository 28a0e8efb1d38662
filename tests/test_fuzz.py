"""Broken and hostile files, hundreds of them from a seed: none crashes a preparation or a training, each is told why.

``AVSEP_FUZZ=3000`` makes thousands of them, from number ``AVSEP_FUZZ_FIRST`` on. What the files are is in
``broken_files``.
"""

import dataclasses
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from broken_files import NAMES, Breaker

from avsep_lib import clips, datasets, media, mixtures, preparation
from avsep_lib.backbones import Backbone
from avsep_lib.settings import StudyError
from avsep_lib.store import VideoStore

COUNT = int(os.environ.get("AVSEP_FUZZ", 240))
FIRST = int(os.environ.get("AVSEP_FUZZ_FIRST", 0))
MOST_MB = 700  # more than any of these files may take; the small ones take a few

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def breaker(tmp_path_factory):
    return Breaker(tmp_path_factory.mktemp("fuzz") / "files")


@pytest.fixture
def own(tiny, tmp_path):
    """Settings whose store is the test's own."""
    return dataclasses.replace(tiny, data_root=str(tmp_path / "data"), backbone="resnet18", pretrained=False)


def rows(paths, names=None, **more):
    """An index of solos, checked by nobody."""
    names = names or [f"v{n}" for n in range(len(paths))]
    table = pd.DataFrame({"video_id": names, "path": list(map(str, paths)), "kind": "solo", "instruments": "flute"})
    return table.assign(split="train", duration_s=7.0, frames_path=table["path"], n_frames=0, **more)


def everything(folder):
    """All files of a folder with their sizes and times."""
    return {path: (path.lstat().st_size, path.lstat().st_mtime_ns) for path in folder.rglob("*")}


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_a_store_reads_a_broken_file_or_says_in_one_line_what_is_wrong_with_it(breaker, own):
    backbone = Backbone("resnet18", pretrained=False)
    outside, before = everything(breaker.folder.parent / "parts"), peak_mb()
    found = {}
    for number in range(FIRST, FIRST + COUNT):
        what, path = breaker.make(number)
        try:
            VideoStore(rows([path]), own).prepare(backbone)
            found[number] = "read"
        except StudyError as error:
            said = str(error)
            assert said.isprintable() and "broken_files" not in said, (number, what, said)
            assert f"{path.name[:5]}" in said and len(said) > len(path.name) + 15, (number, what, said)
            found[number] = "refused"
        except Exception as error:
            pytest.fail(f"number {number}, {what}, {path.suffix}: {error!r}")
        assert peak_mb() - before < MOST_MB, (number, what)
        path.unlink()
        shutil.rmtree(own.data_root, ignore_errors=True)
    ends = list(found.values())
    assert ends.count("read") > COUNT / 10 and ends.count("refused") > COUNT / 5
    assert everything(breaker.folder.parent / "parts") == outside
    assert not list(breaker.folder.iterdir())  # nothing was written beside them


@pytest.fixture
def crowd(breaker, tmp_path):
    """Sources of a preparation: good videos among broken ones, things that are no files, and names that do harm."""
    breaker.folder.mkdir(exist_ok=True)
    paths = [breaker.make(number)[1] for number in range(10_000, 10_048)]
    for n, kind in enumerate(breaker.suffixes):
        paths.append(breaker.folder / f"good{n}.{kind}")
        paths[-1].write_bytes(breaker.whole[n])
    special = tmp_path / "special"
    special.mkdir()
    os.mkfifo(special / "pipe.mp4")
    (special / "loop.mp4").symlink_to(special / "loop.mp4")
    (special / "folder.mp4").mkdir()
    paths += [special / name for name in ("pipe.mp4", "loop.mp4", "folder.mp4", "none.mp4")]
    paths += ["/dev/zero", "/dev/null", "/etc/passwd", "/proc/self/mem", "../" * 30 + "etc/passwd", "x" * 5000]
    paths += ["http://127.0.0.1:9/a.mp4", "pipe:0", "concat:/etc/passwd|/etc/passwd", "lavfi:sine", "-", ""]
    names = [NAMES[n] if n < len(NAMES) else f"v{n}" for n in range(len(paths))]
    yield rows(paths, names)
    shutil.rmtree(breaker.folder)


def test_a_preparation_lists_every_broken_file_and_training_goes_on_with_the_rest(crowd, own, breaker, tmp_path):
    root = tmp_path / "deep" / "down" / "root"
    before = everything(tmp_path) | everything(breaker.folder)
    told = []
    table = preparation.prepare(crowd, root, 2, lambda *now: told.append(now))
    assert told[-1][1:] == (len(crowd), len(crowd))
    assert list(table.video_id) == list(crowd.video_id)
    usable = table[table.state == "usable"]
    good = [name for name, path in zip(crowd.video_id, crowd.path, strict=True) if Path(path).name.startswith("good")]
    assert len(good) == 6 and set(good) <= set(usable.video_id)
    assert set(table.state) <= {"usable", "short", "silent", "broken"} and len(usable) < len(table) * 0.8
    for row in table[table.state != "usable"].itertuples():
        assert row.reason and row.reason.isprintable(), row
    written = pd.read_csv(root / "prepared.csv", keep_default_na=False)
    assert list(written.state) == list(table.state) and written.reason.map(bool).sum() >= len(table) - len(usable)
    after = everything(tmp_path) | everything(breaker.folder)
    inside = {path for path in after if path.is_relative_to(tmp_path / "deep")}
    assert {path: after[path] for path in after.keys() - inside} == before
    assert not list(Path.cwd().glob("pwned"))

    index = clips.read_index(root / "index.csv")
    settings = dataclasses.replace(own, n_sources=2, different_instruments=False)
    kept = VideoStore(index, settings)
    kept.prepare(Backbone("resnet18", pretrained=False))
    mixer = mixtures.Mixer(index, kept, settings)
    for batch in mixtures.training_loader(mixer, cached_features=False):
        assert np.isfinite(batch["sources"].numpy()).all()


@pytest.mark.parametrize("path", ["../../../../etc/passwd", "videos/../../x.mp4", "..", "videos/./../../x.mp4"])
def test_a_row_that_points_outside_opens_nothing(tiny, tmp_path, path):
    (tmp_path / "videos").mkdir()
    index = tmp_path / "index.csv"
    index.write_text(f"{','.join(clips.COLUMNS)}\nv1,{path},solo,flute,train,5\n")
    with pytest.raises(StudyError, match=r"row 2.*(leads out of the folder|does not exist)") as error:
        opened = datasets.open_dataset(dataclasses.replace(tiny, dataset=str(index)))
        VideoStore(opened, tiny).prepare()
    assert "\n" not in str(error.value)


def test_what_names_other_files_is_not_followed(tmp_path):
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile '/etc/passwd'\n")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    for path in tmp_path.iterdir():
        with pytest.raises(media.MediaError, match=r"list\.m"):
            media.probe(path)
