"""Tables on known numbers: means, intervals over videos, differences of the same sources, pairs and seeds."""

import numpy as np
import pandas as pd
import pytest

from avsep_lib.settings import StudyError
from avsep_lib.tables import (
    accuracy,
    by_mixture,
    by_pair,
    interval_over_videos,
    over_seeds,
    paired_difference,
    paired_differences,
    summary,
)


def metrics(**columns):
    size = len(columns["sdr_db"])
    rows = {"mixture": range(size), "source": 0, "video_id": [f"v{i}" for i in range(size)], "method": "separator",
            "sir_db": 0.0, "sar_db": 0.0, "si_sdr_db": 0.0, "sdri_db": 0.0, "dice": 0.5, "iou": 0.3,
            "silent": ""}  # fmt: skip
    return pd.DataFrame(rows | columns)


def test_summary_on_known_numbers():
    table = pd.concat([
        metrics(sdr_db=[1.0, 2.0, 6.0], sir_db=[3.0, 4.0, 5.0]),
        metrics(sdr_db=[5.0, np.nan, 5.0], silent=["", "estimate", ""], method="oracle"),
    ])  # fmt: skip
    found = summary(table)
    assert list(found.index) == ["separator", "oracle"]
    first, second = found.loc["separator"], found.loc["oracle"]
    assert (first.SDR, first["median"], first.SIR) == (3.0, 2.0, 4.0)
    assert (first["SI-SDR"], first.SDRi, first.Dice, first.IoU) == (0, 0, 0.5, 0.3)
    assert 1 <= first["from"] < 3 < first.to <= 6
    assert (second.SDR, second["from"], second.to) == (5.0, 5.0, 5.0)
    assert (first.sources, first.silent, second.sources, second.silent) == (3, 0, 2, 1)
    assert found.sources.dtype == int


def test_metrics_that_a_table_lacks_are_left_out():
    found = summary(metrics(sdr_db=[1.0, 2.0]).drop(columns=["sdri_db", "dice", "iou"]))
    assert list(found) == ["SDR", "from", "to", "median", "SIR", "SAR", "SI-SDR", "sources", "silent"]


def test_a_method_without_a_score_is_counted_and_a_table_without_one_refused():
    nothing = metrics(sdr_db=[np.nan, np.nan], silent="estimate", method="mute")
    row = summary(pd.concat([metrics(sdr_db=[1.0, 2.0]), nothing])).loc["mute"]
    assert row[["SDR", "from", "to", "median"]].isna().all() and (row.sources, row.silent) == (0, 2)
    with pytest.raises(StudyError, match="silent"):
        summary(nothing)


def test_interval_of_constant_values_has_no_width():
    low, high = interval_over_videos(pd.Series([2.5] * 6), pd.Series(list("aabbcd")))
    assert low == high == 2.5


def test_more_clips_of_the_same_videos_do_not_narrow_the_interval():
    values, videos = pd.Series([1.0, 2.0, 4.0, 8.0]), pd.Series(list("abcd"))
    once = interval_over_videos(values, videos)
    many = interval_over_videos(pd.concat([values] * 25), pd.concat([videos] * 25))
    assert once == pytest.approx(many)
    more = interval_over_videos(pd.concat([values] * 25), pd.Series([f"v{i}" for i in range(100)]))
    assert more[1] - more[0] < 0.5 * (once[1] - once[0])


def test_one_video_says_nothing_about_others():
    low, high = interval_over_videos(pd.Series([1.0, 5.0, 9.0]), pd.Series(list("aaa")))
    assert np.isnan(low) and np.isnan(high)


def test_the_interval_of_many_videos_is_that_of_a_normal_mean():
    values = pd.Series(np.random.default_rng(1).normal(3, 2, 1000))
    low, high = interval_over_videos(values, pd.Series(range(1000)))
    reach = 1.96 * values.std() / np.sqrt(1000)
    assert (low, high) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.1 * reach)


def test_intervals_are_the_same_each_time():
    values = pd.Series([1.0, 2.0, 4.0, 8.0])
    assert interval_over_videos(values, values) == interval_over_videos(values, values)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    videos = pd.Series(range(40))
    covered = 0
    for _ in range(60):
        low, high = interval_over_videos(pd.Series(rng.standard_normal(40)), videos)
        covered += low < 0 < high
    assert covered >= 50


def test_videos_without_a_score_do_not_pull_the_interval_to_zero():
    values, videos = pd.Series([7.0, np.nan, np.nan, 7.0]), pd.Series(list("abcd"))
    assert interval_over_videos(values, videos) == (7.0, 7.0)
    with pytest.raises(StudyError, match="silent"):
        interval_over_videos(pd.Series([np.nan, np.nan]), pd.Series(list("ab")))


def test_paired_difference_compares_the_same_sources():
    first = metrics(sdr_db=[5.0, 7.0, 9.0, 1.0])
    second = metrics(sdr_db=[2.0, 4.0, 6.0, np.nan], method="mixture").iloc[::-1]
    assert paired_difference(pd.concat([first, second]), "separator", "mixture") == pytest.approx((3, 3, 3))
    assert paired_difference(pd.concat([first, second]), "mixture", "separator")[0] == pytest.approx(-3)


def test_accuracy_with_its_interval():
    share, low, high = accuracy([True] * 9 + [False])
    assert share == 0.9
    assert (low, high) == pytest.approx((0.5958, 0.9821), abs=1e-3)  # Wilson
    assert accuracy([True] * 5)[2] == 1.0


# By mixture, by pair, by seed


@pytest.fixture
def mixed():
    """Two mixtures of one pair of instruments, named in either order, and one of another; two methods 3 dB apart."""
    rows = pd.DataFrame({
        "mixture": [0, 0, 1, 1, 2, 2], "source": [0, 1] * 3, "video_id": ["f0", "c0", "c1", "f1", "t0", "c0"],
        "instrument": ["flute", "cello", "cello", "flute", "tuba", "cello"], "sir_db": 0.0, "silent": "",
        "sdr_db": [1.0, 3.0, 5.0, 7.0, 10.0, 20.0],
    })  # fmt: skip
    return pd.concat([rows.assign(method="low"), rows.assign(method="high", sdr_db=rows.sdr_db + 3)])


def test_a_mixture_scores_the_mean_of_its_sources(mixed):
    found = by_mixture(mixed)
    assert list(found) == ["method", "mixture", "pair", "sdr_db", "sir_db", "sources"]
    assert found.method.tolist() == ["low"] * 3 + ["high"] * 3 and found.mixture.tolist() == [0, 1, 2] * 2
    assert found.pair.tolist() == ["cello+flute", "cello+flute", "cello+tuba"] * 2
    assert found.sdr_db.tolist() == [2, 6, 15, 5, 9, 18]


def test_a_source_without_a_score_is_left_out_of_its_mixture(mixed):
    mixed.loc[(mixed.method == "low") & (mixed.video_id == "f0"), ["sdr_db", "silent"]] = np.nan, "estimate"
    first = by_mixture(mixed).iloc[0]
    assert (first.sdr_db, first.sources) == (3, 1)


def test_mixtures_of_different_kinds_are_kept_apart(mixed):
    both = pd.concat([mixed.assign(kind="2 different"), mixed.assign(kind="3 different", sdr_db=mixed.sdr_db - 1)])
    found = by_mixture(both).set_index(["kind", "method", "mixture"]).sdr_db
    assert len(found) == 12 and found["2 different", "low", 0] == 2 and found["3 different", "low", 0] == 1
    assert paired_difference(both, "high", "low")[0] == pytest.approx(3)


def test_a_pair_of_instruments_is_one_row_for_each_method(mixed):
    found = by_pair(mixed)
    assert found.index.names == ["pair", "method"]
    assert found.index.tolist() == [
        ("cello+flute", "low"), ("cello+flute", "high"), ("cello+tuba", "low"), ("cello+tuba", "high"),
    ]  # fmt: skip
    assert found.SDR.tolist() == [4, 7, 15, 18] and found.sources.tolist() == [4, 4, 2, 2]
    assert found["median"]["cello+flute", "low"] == 4


def test_paired_differences_have_a_row_for_each_other_method(mixed):
    third = mixed[mixed.method == "low"].assign(method="third", sdr_db=lambda rows: rows.sdr_db - 2)
    found = paired_differences(pd.concat([mixed, third]), "high")
    assert found.index.tolist() == ["low", "third"] and list(found) == ["SDR gained", "from", "to"]
    np.testing.assert_allclose(found, [[3, 3, 3], [5, 5, 5]])  # a constant gain is exact, however far scores spread
    assert paired_differences(mixed, "high", ["low"]).index.tolist() == ["low"]
    with pytest.raises(StudyError, match="'other' is not in the table; it has low, high"):
        paired_differences(mixed, "high", ["other"])


def test_seeds_stand_side_by_side_with_their_mean_and_half_their_distance():
    def of(method, *sdr_db):
        return metrics(sdr_db=list(sdr_db), method=method)

    found = over_seeds({1: of("a", 4.0, 6.0), 0: pd.concat([of("b", 2.0, 2.0), of("a", 1.0, 2.0)])})
    assert list(found) == ["seed 0", "seed 1", "mean", "half-range"]
    assert found.loc["a"].tolist() == [1.5, 5.0, 3.25, 1.75]
    assert found.loc["b", "seed 0"] == 2 and found.loc["b"].isna().tolist() == [False, True, True, True]
    assert found.index.tolist() == ["b", "a"]
    alone = over_seeds({3: of("a", 1.0)}).loc["a"]
    assert alone["mean"] == 1 and np.isnan(alone["half-range"])
