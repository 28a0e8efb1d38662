"""Groups stay whole, shares are kept where that can be, and the order of rows does not matter."""

import numpy as np
import pandas as pd

from avsep_lib import dealing


def videos(groups, instruments="cello"):
    """Videos, named by their numbers, of the groups given."""
    names = [f"v{n:03d}" for n in range(len(groups))]
    return pd.DataFrame({"video_id": names, "instruments": instruments, "group": groups})


def test_groups_stay_whole_and_the_numbers_are_those_wanted():
    table = videos([n // 3 for n in range(30)])
    places = dealing.deal(table, {"cello": np.array([24, 3, 3])}, 0)
    assert table.video_id.map(places).groupby(table.group).nunique().max() == 1
    assert np.bincount(list(places.values())).tolist() == [24, 3, 3]


def test_who_is_alone_fills_up_what_groups_leave():
    table = videos([0] * 5 + list(range(1, 16)))
    places = dealing.deal(table, {"cello": np.array([16, 2, 2])}, 3)
    assert {places[f"v{n:03d}"] for n in range(5)} == {0}  # five fit into the first place only
    assert np.bincount(list(places.values())).tolist() == [16, 2, 2]


def test_a_group_larger_than_every_place_goes_where_it_overflows_least():
    places = dealing.deal(videos([0] * 9 + [1]), {"cello": np.array([8, 1, 1])}, 0)
    assert [list(places.values()).count(place) for place in range(3)].count(9) == 1
    assert places["v000"] == 0


def test_a_group_of_two_instruments_is_weighed_for_both():
    table = videos([0, 0, *range(1, 19)], ["cello", "flute"] * 10)
    wanted = {"cello": np.array([10, 0]), "flute": np.array([9, 1])}
    places = dealing.deal(table, wanted, 0)
    assert places["v000"] == places["v001"] == 0  # no cello is wanted in the other place
    assert sum(places.values()) == 1


def test_groups_are_drawn_by_the_room_that_there_is():
    table = videos([n // 2 for n in range(400)])
    places = dealing.deal(table, {"cello": np.array([200, 200])}, 0)
    assert [places[f"v{n:03d}"] for n in range(0, 400, 2)] != sorted(places[f"v{n:03d}"] for n in range(0, 400, 2))
    other = dealing.deal(table.sample(frac=1, random_state=1), {"cello": np.array([200, 200])}, 0)
    assert other == places
    assert dealing.deal(table, {"cello": np.array([200, 200])}, 1) != places


def test_sizes_are_nearest_to_the_fractions():
    assert dealing.sizes(10, (0.8, 0.1, 0.1)).tolist() == [8, 1, 1]
    assert dealing.sizes(4, (0.9, 0.05, 0.05)).tolist() == [2, 1, 1]  # none is empty where that can be
    assert dealing.sizes(1, (0.5, 0.25, 0.25)).sum() == 1
