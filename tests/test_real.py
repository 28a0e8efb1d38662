"""Scores on real clips are those that are known in closed form, and stand beside the yardstick on equal terms."""

import shutil

import joblib
import made_up
import numpy as np
import pytest
import torch

from avsep_lib import real, real_clips

PAIR = "cello-1+flute-1"


def scored(separator, folder):
    with joblib.parallel_config(backend="threading"):
        return real.score(separator, folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made_up.fill(tmp_path_factory.mktemp("real") / "clips")


@pytest.fixture(scope="module")
def knowing(folder):
    return made_up.Knowing(folder)


@pytest.fixture(scope="module")
def metrics(knowing, folder):
    return scored(knowing, folder)


def test_every_way_has_a_row_for_each_source(metrics):
    counts = metrics.groupby(["method", "mixture"]).size().unstack("mixture")
    assert list(metrics.method.unique()) == list(real.WAYS)
    assert (counts.loc[[real.MIXTURE, real.SEEN, real.IDEAL]] == [2, 2, 2, 3]).all(axis=None)
    assert set(counts.columns[counts.loc[real.YARDSTICK].notna()]) == {"cello-1+cello-2", PAIR}
    assert np.isnan(counts.trio[real.TRUE]), "who plays is not known there"


def test_scores_are_those_of_the_closed_form(metrics):
    floor, ours, ceiling = (
        metrics[(metrics.method == way) & (metrics.mixture == PAIR)].sdr_db
        for way in (real.MIXTURE, real.SEEN, real.IDEAL)
    )
    share = 512 / made_up.RATE_HZ  # of a noise, what the 512 taps of BSS Eval explain by another one
    power = np.array([made_up.SOLOS["cello-1"], made_up.SOLOS["flute-1"]]) ** 2
    nothing = 10 * np.log10((power + share * power[::-1]) / ((1 - share) * power[::-1]))
    assert list(floor) == pytest.approx(list(nothing), abs=0.3)
    assert (ours > 100).all(), "it hands over the references"
    assert (ceiling.array > floor.array + 0.5).all() and (ceiling.array < ours.array).all()


def test_what_is_told_the_classes_gets_them_in_order(knowing, metrics):
    assert ("cello", "flute") in knowing.asked and ("cello", "cello") in knowing.asked
    assert ("cello", "drum") not in knowing.asked, "nothing is separated where nothing is scored"
    rows = metrics[(metrics.method == real.TRUE) & (metrics.mixture == PAIR)]
    assert list(rows.sdri_db) == pytest.approx([0, 0], abs=1e-6), "it hands over the mixture"


def test_a_mixture_with_a_silent_source_is_not_scored(metrics):
    assert real.not_scored(metrics) == ["cello-1+drum-1"]
    assert metrics[metrics.mixture == "cello-1+drum-1"].sdr_db.isna().all()


def test_the_yardstick_is_read(metrics):
    rows = metrics[(metrics.method == real.YARDSTICK) & (metrics.mixture == PAIR)]
    assert rows[["sdr_db", "sir_db", "sar_db", "sdri_db"]].to_numpy().tolist() == [[8, 14, 12, 8]] * 2
    assert rows[["si_sdr_db", "dice", "iou"]].isna().all(axis=None)


def test_the_summary_counts_mixtures(metrics):
    table = real.summary(metrics)
    assert list(table.index) == list(real.WAYS)
    assert table.SDR[real.YARDSTICK] == 8 and table.SDR[real.SEEN] > 40 and table.SDR[real.MIXTURE] < 1
    assert (table.mixtures == 1).all() and table.silent[real.SEEN] == 2
    assert real.summary(metrics, real_clips.SAME).SDR[real.YARDSTICK] == 1


def test_a_row_for_each_mixture(metrics):
    table = real.by_mixture(metrics).set_index("name")
    assert table.loc[PAIR, ["pair", "said", "right"]].tolist() == ["cello+flute", "cello+flute", True]
    assert table.loc[PAIR, real.YARDSTICK] == 8 and np.isnan(table.loc["cello-1+drum-1", real.SEEN])
    assert table.pair["trio"] == "electric_bass+unknown+flute" and not table.right["trio"]


def test_a_row_for_each_instrument(metrics):
    table = real.by_instrument(metrics)
    assert sorted(table.index) == ["cello", "flute"] and (table[["sources", "pairs"]] == 1).all(axis=None)
    assert table.loc["cello", real.MIXTURE] == pytest.approx(6.02, abs=0.4)
    assert (table[f"pairs: {real.YARDSTICK}"] == 8).all(), "it is known for whole pairs only"
    assert table[real.SEEN].is_monotonic_decreasing and real.YARDSTICK not in table


def test_gains_are_over_the_same_mixtures(metrics):
    ours = real.by_mixture(metrics).set_index("name")[real.SEEN]
    assert real.gain(metrics)[0] == pytest.approx(ours[PAIR] - 8)
    assert real.gain(metrics, real.TRUE, real.MIXTURE)[0] == pytest.approx(0, abs=1e-6)


def test_agreement_with_the_yardstick_is_that_of_the_mixtures(metrics):
    floor = real.by_mixture(metrics).set_index("name")["mixture"][[PAIR, "cello-1+cello-2"]]
    assert real.agreement(metrics) == pytest.approx(floor.abs().max()), "the table says 0 dB of both"
    theirs = (metrics.method == real.YARDSTICK) & (metrics.mixture == PAIR)
    agreeing = metrics.assign(sdri_db=metrics.sdri_db.mask(theirs, 8 - floor[PAIR] + 0.5))
    assert real.agreement(agreeing[agreeing.mixture == PAIR]) == pytest.approx(0.5)


def test_a_folder_without_a_yardstick(knowing, folder, tmp_path):
    shutil.copytree(folder / "music_solo", tmp_path / "music_solo")
    shutil.copytree(folder / "music_pairs" / PAIR, tmp_path / "music_pairs" / PAIR)
    metrics = scored(knowing, tmp_path)
    assert list(metrics.method.unique()) == [way for way in real.WAYS if way != real.YARDSTICK]
    assert np.isnan(real.agreement(metrics)) and real.YARDSTICK not in real.by_mixture(metrics)
    assert f"pairs: {real.SEEN}" in real.by_instrument(metrics)


def test_what_is_asked_is_chosen_together_where_a_separator_does(folder, knowing):
    class Choosing(made_up.Knowing):
        def choose(self, scores):
            assert isinstance(scores, torch.Tensor) and scores.shape[1] == len(self.instruments)
            return range(len(scores))

    table = real.by_mixture(scored(Choosing(folder), folder)).set_index("name")
    assert table.said[PAIR] == "cello+drum" and not table.right[PAIR]


def test_pictures_are_right_or_not(knowing, folder):
    table = real.frame_accuracy(knowing, folder)
    assert list(table.solo) == list(made_up.SOLOS) and table.right.all() and (table.probability == 1).all()
    made_up.paint(folder / "music_solo" / "flute-1" / "frame_0.png", "drum", 3)
    table = real.frame_accuracy(knowing, folder).set_index("solo")
    made_up.paint(folder / "music_solo" / "flute-1" / "frame_0.png", "flute", 3)
    assert table.said["flute-1"] == "drum" and list(table.right) == [True, True, True, False]


def test_a_folder_without_solos_names_nobody(knowing, tmp_path):
    table = real.frame_accuracy(knowing, tmp_path)
    assert table.empty and list(table.columns) == ["solo", "instrument", "said", "probability", "right"]
