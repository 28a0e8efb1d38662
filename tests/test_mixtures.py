"""A mixture is a function of the seed and its number alone, and no split hears the videos of another."""

import dataclasses

import numpy as np
import pytest
import torch

from avsep_lib import clips, mixtures
from avsep_lib.mixtures import Draws, Mixer, TrainingMixtures, fixed_list
from avsep_lib.settings import StudyError


@pytest.fixture
def solos(index):
    return clips.choose(index, "train", "solo")


def batches(solos, store, settings, epoch=0):
    loader = mixtures.training_loader(Mixer(solos, store, settings), cached_features=True)
    loader.batch_sampler.set_epoch(epoch)
    return list(loader)


def same(one, other):
    return len(one) == len(other) and all(
        torch.equal(a[key], b[key]) for a, b in zip(one, other, strict=True) for key in a
    )


def test_batches_do_not_depend_on_the_number_of_workers(solos, store, tiny):
    alone = batches(solos, store, tiny)
    assert len(alone) == 2
    assert same(alone, batches(solos, store, dataclasses.replace(tiny, workers=2)))


def test_mixtures_depend_on_seed_and_number_only(solos, store, tiny):
    data = TrainingMixtures(Mixer(solos, store, tiny), True)
    fourth = data[4]
    np.random.seed(1)
    torch.manual_seed(1)
    data[0]
    assert same([fourth], [data[4]])
    assert not torch.equal(fourth["sources"], data[5]["sources"])
    other = dataclasses.replace(tiny, seed=1)
    assert not torch.equal(fourth["sources"], TrainingMixtures(Mixer(solos, store, other), True)[4]["sources"])


def test_epochs_differ_and_can_be_returned_to(solos, store, tiny):
    first, second = batches(solos, store, tiny, 0), batches(solos, store, tiny, 1)
    assert not same(first, second)
    assert same(second, batches(solos, store, tiny, 1))
    draws = Draws(11, 5)
    numbers = []
    for epoch in range(3):
        draws.set_epoch(epoch)
        numbers += draws
    assert (
        np.concatenate(numbers).tolist() == list(range(30))
        and len(draws) == 2
        and {len(batch) for batch in numbers} == {5}
    )


def test_processes_that_train_together_share_each_batch_out():
    parts = []
    for rank in range(3):
        draws = Draws(24, 6)
        draws.share(rank, 3)
        draws.set_epoch(1)
        parts.append(list(draws))
        assert len(draws) == 4
    for step, whole in zip(zip(*parts, strict=True), np.arange(24, 48).reshape(4, 6), strict=True):
        assert np.concatenate(step).tolist() == whole.tolist()


def test_steps_that_are_done_are_left_out():
    draws = Draws(12, 3)
    draws.begin_at(6)
    drawn = []
    for epoch in range(3):
        draws.set_epoch(epoch)
        drawn.append([batch[0] for batch in draws])
        assert len(draws) == 4  # Lightning counts those that are done itself
    assert drawn == [[], [18, 21], [24, 27, 30, 33]]


def test_an_item_holds_the_clips_it_was_drawn_with(solos, store, tiny):
    mixer = Mixer(solos, store, tiny)
    names = list(solos.video_id[:2])
    item = mixtures.item(store, [(names[0], 100), (names[1], 0)], True)
    assert item["sources"].shape == (2, tiny.clip_samples) and item["sources"].dtype == torch.float32
    np.testing.assert_array_equal(item["sources"][0], store.window(names[0], 100))
    np.testing.assert_array_equal(item["sources"][1], store.window(names[1], 0))
    np.testing.assert_array_equal(item["seen"][1], store.features(names[1], 0))
    data = TrainingMixtures(mixer, True)
    drawn = data.drawn(3)
    assert (
        torch.equal(data[3]["gains"], torch.from_numpy(drawn.gains))
        and ((drawn.gains >= 0.5) & (drawn.gains <= 1.5)).all()
    )
    np.testing.assert_array_equal(data[3]["sources"][1], store.window(*drawn.clips[1]))
    pictures = TrainingMixtures(mixer, False)[0]
    assert pictures["seen"].dtype == torch.uint8
    assert pictures["seen"].shape == (2, tiny.frames_per_clip, tiny.frame_size_px, tiny.frame_size_px, 3)


def test_every_video_and_all_parts_of_it_are_drawn(solos, store, tiny):
    mixer = Mixer(solos, store, tiny)
    rng = np.random.default_rng(0)
    drawn = [clip for _ in range(300) for clip in mixer.draw(rng, 2)]
    assert {name for name, _ in drawn} == set(solos.video_id)
    name = solos.video_id[0]
    starts = np.array([start for video_id, start in drawn if video_id == name])
    assert 0 <= starts.min() < 0.1 * store.last_start(name)
    assert 0.9 * store.last_start(name) < starts.max() <= store.last_start(name)


def test_no_split_hears_the_videos_of_another(index, store, tiny):
    heard = {}
    for split in clips.SPLITS:
        mixer = Mixer(clips.choose(index, split, "solo"), store, tiny)
        rng = np.random.default_rng(0)
        heard[split] = {
            name for _ in range(100) for kind in ("different", "any") for name, _ in mixer.draw(rng, 2, kind)
        }
        assert set(index.set_index("video_id").split[sorted(heard[split])]) == {split}
    assert not heard["train"] & (heard["test"] | heard["validation"])


@pytest.mark.parametrize("n_sources", [2, 3, 4])
def test_a_fixed_list_is_repeated_and_has_different_instruments(test_mixer, n_sources):
    listed = fixed_list(test_mixer, 5, n_sources, seed=3)
    assert listed.equals(fixed_list(test_mixer, 5, n_sources, seed=3))
    assert not listed.equals(fixed_list(test_mixer, 5, n_sources, seed=4))
    assert len(listed) == 5 * n_sources
    assert (listed.groupby("mixture").instrument.nunique() == n_sources).all()
    assert list(listed.source[:n_sources]) == list(range(n_sources))
    # a longer list begins with the shorter one
    assert fixed_list(test_mixer, 8, n_sources, seed=3).iloc[: len(listed)].equals(listed)


def test_a_fixed_list_of_one_instrument(train_mixer):
    listed = fixed_list(train_mixer, 6, 2, "same")
    assert (listed.groupby("mixture").instrument.nunique() == 1).all()
    assert (listed.groupby("mixture").video_id.nunique() == 2).all()


@pytest.mark.parametrize(("n_sources", "kind"), [(5, "different"), (3, "same"), (9, "any")])
def test_more_sources_than_there_are_is_refused(train_mixer, n_sources, kind):
    with pytest.raises(StudyError, match=rf"mixture of {n_sources}"):
        train_mixer.draw(np.random.default_rng(0), n_sources, kind)


def test_listed_mixtures_come_in_order_at_gain_one(test_mixer, store):
    listed = fixed_list(test_mixer, 6, 2)
    found = torch.cat([batch["sources"] for batch in mixtures.listed_loader(listed, store, True)])
    assert found.shape[:2] == (6, 2)
    for row in listed.itertuples():
        np.testing.assert_array_equal(found[row.mixture, row.source], store.window(row.video_id, row.start))


def test_any_two_videos_may_share_an_instrument(solos, store, tiny):
    mixer = Mixer(solos, store, tiny)
    rng = np.random.default_rng(0)
    pairs = [[name for name, _ in mixer.draw(rng, 2, "any")] for _ in range(100)]
    assert all(one != other for one, other in pairs)
    assert any(mixer.instrument_of[one] == mixer.instrument_of[other] for one, other in pairs)


def test_classes_are_places_in_the_list_of_trained_instruments(solos, store, tiny, test_mixer):
    mixer = Mixer(solos, store, tiny)
    data = TrainingMixtures(mixer, True)
    for number in range(4):
        playing = [mixer.instrument_of[video_id] for video_id, _ in data.drawn(number).clips]
        assert [mixer.instruments[n] for n in data[number]["classes"]] == playing
    listed = fixed_list(test_mixer, 6, 2)
    longer = ["a_gong", *mixer.instruments]
    found = torch.cat([batch["classes"] for batch in mixtures.listed_loader(listed, store, True, longer)])
    assert [longer[n] for n in found.flatten()] == list(listed.instrument)
    assert "classes" not in mixtures.ListedMixtures(listed, store, True)[0]
    with pytest.raises(StudyError, match="none of the trained instruments"):
        mixtures.ListedMixtures(listed, store, True, ["a_gong"])
