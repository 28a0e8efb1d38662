"""The rendered videos are the same for a seed wherever they are made, and their truth is true."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from avsep_lib import clips, media, rendered
from avsep_lib.settings import StudyError


def decoded(path):
    return media.read_audio(path, 22_050), media.read_frames(path, np.arange(0, 4, 0.25), 96)


@pytest.fixture(scope="module")
def duet(index):
    return clips.choose(index, kind="duet").iloc[0]


@pytest.mark.parametrize("kind", ["solo", "duet"])
def test_a_video_is_the_same_in_another_process(index, tiny, tmp_path, kind):
    """Those of the index were made by worker processes; this one is made here."""
    row = clips.choose(index, "test", kind).iloc[0]
    path = tmp_path / "again.mp4"
    rendered.render_video(row.video_id, row.instruments.split("+"), path, tiny)
    for one, other in zip(decoded(path), decoded(row.path), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("change", ["seed", "name"])
def test_another_seed_or_name_gives_another_video(index, tiny, tmp_path, change):
    row = clips.choose(index, "test", "solo").iloc[0]
    settings = dataclasses.replace(tiny, seed=1) if change == "seed" else tiny
    name = row.video_id if change == "seed" else "another"
    rendered.render_video(name, [row.instruments], tmp_path / "other.mp4", settings)
    for one, other in zip(decoded(tmp_path / "other.mp4"), decoded(row.path), strict=True):
        assert one.shape == other.shape
        assert np.abs(one.astype(float) - other).mean() > 0.01 * np.abs(other.astype(float)).mean()


def test_videos_have_the_length_size_and_sound_that_was_asked_for(index, tiny):
    for row in index.itertuples():
        info = media.probe(row.path)
        assert info.duration_s == pytest.approx(tiny.video_s, abs=0.1)
        assert info.fps == tiny.video_fps and info.height_px == tiny.video_height_px
        sound = media.read_audio(row.path, 22_050)
        assert 0.02 < np.abs(sound).max() <= 1.0
        assert np.sqrt(np.mean(sound**2)) > 0.005


def test_pictures_move(index):
    for row in index.itertuples():
        frames = media.read_frames(row.path, [0.5, 1.5, 2.5], 96).astype(float)
        assert np.abs(np.diff(frames, axis=0)).mean() > 0.1


def test_true_tracks_add_up_to_the_sound_of_the_duet(duet):
    tracks, _ = rendered.read_truth(duet.path, 22_050)
    mixture = media.read_audio(duet.path, 22_050)
    length = min(tracks.shape[1], len(mixture))
    assert abs(tracks.shape[1] - len(mixture)) <= 2
    noise = mixture[:length] - tracks.sum(0)[:length]
    assert 10 * np.log10(np.sum(mixture**2) / np.sum(noise**2)) > 20
    for track in tracks:  # both play
        assert np.mean(track**2) > 1e-6


def test_boxes_lie_in_the_picture_side_by_side(duet):
    _, boxes = rendered.read_truth(duet.path, 11_025)
    assert boxes.shape == (2, 4)
    assert ((boxes >= 0) & (boxes <= 1)).all()
    assert (boxes[:, 0] < boxes[:, 2]).all() and (boxes[:, 1] < boxes[:, 3]).all()
    assert boxes[0, [0, 2]].mean() < boxes[1, [0, 2]].mean()


def test_truth_of_a_video_that_has_none(index):
    with pytest.raises(StudyError, match="no true tracks"):
        rendered.read_truth(clips.choose(index, kind="solo").path[0], 11_025)


def test_splits_are_disjoint_and_as_large_as_asked_for(index, tiny):
    clips.check_splits(index)
    counts = clips.counts(index)
    assert list(counts.index) == sorted(tiny.instruments)
    assert (counts == [tiny.solos_train, tiny.solos_validation, tiny.solos_test]).all(axis=None)
    duets = index[index.kind == "duet"]
    assert len(duets) == tiny.duets and set(duets.split) == {"test"}
    assert index.video_id.is_unique


def test_pieces_of_three_and_four_change_no_other_video(tiny):
    without = rendered.planned(tiny)
    plan = rendered.planned(dataclasses.replace(tiny, duets=2, trios=3, quartets=1))
    more = plan[~plan.video_id.isin(without.video_id)]
    assert plan[plan.video_id.isin(without.video_id)].reset_index(drop=True).equals(without)
    assert list(more.instruments.str.split("+").map(len)) == [2, 3, 3, 3, 4]
    assert [video_id.split("-")[0] for video_id in more.video_id] == ["duet", "trio", "trio", "trio", "quartet"]
    assert set(more.kind) == {"duet"} and set(more.split) == {"test"}
    assert all(len(set(names.split("+"))) == len(names.split("+")) for names in more.instruments)
    few = dataclasses.replace(tiny, instruments=tiny.instruments[:3], trios=3, quartets=1)
    assert not rendered.planned(few).video_id.str.startswith("quartet").any()  # for want of instruments


@pytest.mark.parametrize("players", [3, 4])
def test_the_truth_of_more_players(tiny, tmp_path, players):
    names, settings = list(tiny.instruments[:players]), dataclasses.replace(tiny, video_s=2.0)
    rendered.render_video("a", names, tmp_path / "a.mp4", settings)
    info, (tracks, boxes) = media.probe(tmp_path / "a.mp4"), rendered.read_truth(tmp_path / "a.mp4", 22_050)
    assert tracks.shape == (players, 44_100) and boxes.shape == (players, 4)
    assert (np.square(tracks).mean(-1) > 1e-6).all()
    assert (boxes[:-1, 2] <= boxes[1:, 0]).all(), "nobody stands before another"
    assert info.width_px / players >= 0.65 * info.height_px, "each has room"
    heard = media.read_audio(tmp_path / "a.mp4", 22_050)[: tracks.shape[1]]
    assert np.corrcoef(heard, tracks.sum(0)[: len(heard)])[0, 1] > 0.99


def test_rendering_goes_on_where_it_was_killed(index, tiny, tmp_path, monkeypatch):
    settings = dataclasses.replace(tiny, data_root=str(tmp_path))
    here = rendered.folder(settings)
    shutil.copytree(rendered.folder(tiny), here)
    paths = sorted(here.rglob("*.mp4"))
    gone, cut = paths[0], paths[1]
    half = cut.read_bytes()[:1000]
    gone.unlink()
    cut.unlink()
    stray = cut.with_name(f".{cut.stem}.99999.part.mp4")
    stray.write_bytes(half)
    kept = {path: path.stat().st_mtime_ns for path in paths[2:]}
    told = []
    found = clips.read_index(rendered.render(settings, lambda *words: told.append(words)))
    assert [done for _, done, _ in told] == [len(paths) - 1, len(paths)]
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())
    assert str(stray) not in set(found.path)
    assert len(media.read_audio(cut, 11_025)) > 40_000 and gone.is_file()
    assert all(Path(path).is_relative_to(tmp_path) for path in found.path)


def test_rendering_again_makes_nothing(index, tiny, monkeypatch):
    monkeypatch.setattr(rendered, "render_video", None)
    assert clips.read_index(rendered.render(tiny)).equals(index)


def test_settings_that_would_change_the_videos_get_their_own_folder(tiny):
    changes = ({}, {"seed": 1}, {"video_s": 5.0}, {"solos_train": 3}, {"soundfont": "a.sf2"})
    folders = {rendered.folder(dataclasses.replace(tiny, **change)) for change in changes}
    assert len(folders) == 5
    assert rendered.folder(dataclasses.replace(tiny, epochs=9, out="elsewhere")) in folders
