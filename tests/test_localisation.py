"""Scores of maps against boxes, by hand."""

import numpy as np
import pandas as pd
import pytest

from avsep_lib import localisation

LEFT_HALF = (0.0, 0.0, 0.5, 1.0)


@pytest.mark.parametrize(
    ("rows", "box", "expected"),
    [
        ([[1, 1, 0, 0]], LEFT_HALF, 1.0),
        ([[1, 0, 0, 0]], LEFT_HALF, 1 / 2),
        ([[0, 1, 1, 0]], LEFT_HALF, 1 / 3),
        ([[0, 0, 1, 1]], LEFT_HALF, 0.0),
        ([[1, 1, 1, 1]], LEFT_HALF, 1 / 2),  # the whole picture scores the share of the box
        ([[4, 2, 1.9, 0]], LEFT_HALF, 1.0),  # half of the largest counts, less does not
        ([[1, 0], [0, 0]], (0.0, 0.0, 0.25, 0.5), 1 / 2),  # the box fills half of the cell
        ([[1, 0], [1, 0]], (0.25, 0.0, 0.75, 1.0), 1 / 3),  # and here a half of each of two
        ([[0, 0, 0, 0]], LEFT_HALF, 0.0),
    ],
)
def test_ciou_by_hand(rows, box, expected):
    assert localisation.ciou(np.array(rows, float), box) == pytest.approx(expected)


def test_a_fine_map_of_a_box_scores_as_the_box_does():
    box, found = (0.12, 0.3, 0.55, 0.9), (0.2, 0.2, 0.7, 0.8)
    map_of = localisation.covered(found, (400, 400))
    assert localisation.ciou(map_of, box) == pytest.approx(localisation.box_ciou(found, box), abs=0.01)
    assert localisation.box_ciou(box, box) == pytest.approx(1)
    assert localisation.box_ciou((0, 0, 0.1, 0.1), (0.5, 0.5, 1, 1)) == 0


def test_a_box_covers_its_own_area():
    share = localisation.covered((0.1, 0.25, 0.6, 1.0), (7, 13))
    assert share.mean() == pytest.approx(0.5 * 0.75) and share.max() <= 1 and share.min() == 0


@pytest.mark.parametrize(("value", "area"), [(0.0, 0.025), (0.04, 0.025), (0.5, 0.525), (0.52, 0.525), (1.0, 1.0)])
def test_the_area_under_a_success_curve(value, area):
    """Of one answer: 1 at every threshold up to its cIoU, by trapezia 0.05 wide."""
    assert localisation.success_auc(value) == pytest.approx(area)


def test_the_mean_area_is_that_of_the_curve_of_all():
    values, thresholds = np.random.default_rng(0).random(50), np.arange(21) / 20
    curve = np.mean(values[:, None] >= thresholds, axis=0)
    mean = np.mean([localisation.success_auc(value) for value in values])
    assert mean == pytest.approx(np.trapezoid(curve, thresholds))


def test_a_map_points_with_its_largest_cell():
    values = np.array([[0.0, 0, 0, 1], [0, 2, 0, 0]])
    assert localisation.place_of(values) == (0.375, 0.75)
    assert localisation.points_at(values, LEFT_HALF)
    assert not localisation.points_at(values, (0.5, 0, 1, 1))
    assert not localisation.points_at(np.zeros((2, 4)), (0, 0, 1, 1))


def test_places_without_a_player_stay_silent():
    values = np.array([[10.0, 0.99, 1.01, 0.0]])
    assert localisation.silent_share(values, [(0, 0, 0.25, 1)]) == pytest.approx(2 / 3)
    assert localisation.silent_share(values, [(0, 0, 0.25, 1), (0.5, 0, 0.75, 1)]) == 1
    assert localisation.silent_share(values, [(0, 0, 0.25, 1)], largest=100.0) == 1
    assert localisation.silent_share(np.zeros((1, 4)), [LEFT_HALF]) == 1
    assert np.isnan(localisation.silent_share(values, [(0, 0, 1, 1)]))


def test_summary_by_hand():
    scores = {"auc": 0.2, "silent": np.nan, "energy": 1.0}
    rows = [
        {"video_id": "a", "method": "separator", "ciou": 0.2, "at_0.3": 0.0, "at_0.5": 0.0, "pointed": 1.0, **scores},
        {"video_id": "a", "method": "separator", "ciou": 0.4, "at_0.3": 1.0, "at_0.5": 0.0, "pointed": 0.0, **scores},
        {"video_id": "b", "method": "separator", "ciou": 0.6, "at_0.3": 1.0, "at_0.5": 1.0, "pointed": 1.0, **scores},
    ]
    rows += [{**row, "method": "centre box", "ciou": 0.1} for row in rows]
    table = localisation.summary(pd.DataFrame(rows))
    assert list(table.index) == ["separator", "centre box"] and list(table["count"]) == [3, 3]
    own = table.loc["separator"]
    assert own[["cIoU", "cIoU@0.3", "cIoU@0.5", "AUC", "pointing"]].tolist() == pytest.approx(
        [0.4, 2 / 3, 1 / 3, 0.2, 2 / 3]
    )
    assert own["from"] <= own.cIoU <= own.to and np.isnan(own.silent)
