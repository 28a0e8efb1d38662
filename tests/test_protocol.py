"""The lists that are scored are those that are committed, and a video in two splits is found under any name."""

import ast
import dataclasses
import importlib
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from avsep_lib import clips, mixtures, protocol, rendered
from avsep_lib.settings import PROJECT_ROOT, StudyError, from_parameters


def drawn_without_videos(settings):
    """Lists of rendered videos that need not be there: their names are planned, and so is their length.

    AAC fills its last block up, but what ``media.read_audio`` gives has the nominal length to the sample, so that a
    clip may start at the same samples.
    """
    last_start = round(settings.video_s * settings.sample_rate_hz) - settings.clip_samples
    store = SimpleNamespace(last_start=lambda video_id: last_start)
    solos = clips.choose(rendered.planned(settings), "test", "solo")
    return protocol.lists(mixtures.Mixer(solos, store, settings), settings)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_committed_lists_are_drawn_again(seed):
    drawn = drawn_without_videos(from_parameters("laptop", seed=seed))
    committed = PROJECT_ROOT / f"results/laptop/04_seed{seed}/04_mixtures.csv"
    pd.testing.assert_frame_equal(drawn, pd.read_csv(committed))


def test_rendered_sound_has_the_length_that_is_planned(index, store, tiny):
    assert {len(store.sound(video_id)) for video_id in index.video_id} == {round(tiny.video_s * tiny.sample_rate_hz)}


def test_the_stand_in_draws_what_the_videos_themselves_give(test_mixer, tiny):
    pd.testing.assert_frame_equal(drawn_without_videos(tiny), protocol.lists(test_mixer, tiny))


def test_each_kind_is_numbered_from_zero_and_holds_what_it_says():
    settings = from_parameters("laptop")
    drawn = drawn_without_videos(settings)
    assert list(drawn) == ["kind", "mixture", "source", "video_id", "instrument", "start"]
    assert tuple(drawn.kind.unique()) == protocol.KINDS
    for kind, part in drawn.groupby("kind"):
        count = settings.test_mixtures if kind == "2 different" else settings.other_mixtures
        assert part.mixture.unique().tolist() == list(range(count))
        sizes = part.groupby("mixture").agg({"instrument": "nunique", "video_id": "nunique", "source": "size"})
        n_sources = int(kind[0])
        assert (sizes.source == n_sources).all() and (sizes.video_id == n_sources).all()
        assert (sizes.instrument == (1 if "same" in kind else n_sources)).all()


def test_kinds_that_cannot_be_drawn_are_left_out():
    settings = from_parameters("laptop", instruments=["cello", "flute", "tuba"], solos_test=1)
    assert drawn_without_videos(settings).kind.unique().tolist() == ["2 different", "3 different"]
    alone = dataclasses.replace(settings, instruments=("cello",), solos_test=2, duets=0)
    assert drawn_without_videos(alone).kind.unique().tolist() == ["2 of the same"]
    with pytest.raises(StudyError, match="one video"):
        drawn_without_videos(dataclasses.replace(alone, solos_test=1))


def test_a_digest_tells_lists_apart_and_survives_the_file(tmp_path):
    drawn = drawn_without_videos(from_parameters("laptop"))
    drawn.to_csv(tmp_path / "list.csv", index=False)
    assert protocol.digest(pd.read_csv(tmp_path / "list.csv")) == protocol.digest(drawn)
    drawn.loc[5, "start"] += 1
    assert protocol.digest(pd.read_csv(tmp_path / "list.csv")) != protocol.digest(drawn)


# No video in two splits


def test_the_rendered_set_is_disjoint(index):
    protocol.check_disjoint(index)


def planted(index, **changes):
    """An index to which a training video was added once more, as a test video."""
    leak = clips.choose(index, "train").iloc[:1].assign(**{"split": "test", "video_id": "new"} | changes)
    return pd.concat([index, leak], ignore_index=True)


def test_a_video_of_the_same_name_in_two_splits_is_named(index):
    other = clips.choose(index, "test").path[0]
    name = clips.choose(index, "train").video_id[0]
    with pytest.raises(StudyError, match=f"video {name} stands in train and test"):
        protocol.check_disjoint(planted(index, video_id=name, path=other))


def test_a_file_that_two_splits_share_is_named(index):
    path = clips.choose(index, "train").path[0]
    with pytest.raises(StudyError, match=f"{path} stands in train and test"):
        protocol.check_disjoint(planted(index))


def test_a_copy_of_a_file_in_another_split_is_named(index, tmp_path):
    first = clips.choose(index, "train").iloc[0]
    copy = shutil.copy(first.path, tmp_path / "copy.mp4")
    with pytest.raises(StudyError, match=f"the same file as {first.video_id} in train and as new in test"):
        protocol.check_disjoint(planted(index, path=str(copy)))
    (tmp_path / "copy.mp4").write_bytes(b"x" * Path(first.path).stat().st_size)  # of the same size, but another content
    protocol.check_disjoint(planted(index, path=str(copy)))


def test_a_copy_within_one_split_is_no_leak(index, tmp_path):
    copy = shutil.copy(clips.choose(index, "train").path[0], tmp_path / "copy.mp4")
    protocol.check_disjoint(planted(index, path=str(copy), split="train"))


def test_a_host_that_has_shards_alone_need_not_have_the_files(index):
    protocol.check_disjoint(index.assign(path=[f"/elsewhere/{name}.mp4" for name in index.video_id]))


# The document


def test_code_and_tests_that_the_document_names_are_there():
    text = (PROJECT_ROOT / "docs/protocol.md").read_text()
    tests = set(re.findall(r"`(test_\w+\.py)::(\w+)`", text))
    assert len(tests) > 15
    for file, name in tests:
        nodes = ast.parse((PROJECT_ROOT / "tests" / file).read_text()).body
        assert name in {node.name for node in nodes if isinstance(node, ast.FunctionDef)}, f"{file} has no {name}"
    code = set(re.findall(r"`(protocol|evaluation|tables|training|rivals|comparison)\.(\w+)`", text))
    assert len(code) > 8
    for module, name in code:
        assert hasattr(importlib.import_module(f"avsep_lib.{module}"), name), f"{module} has no {name}"
