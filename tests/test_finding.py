"""Each player gets the part of the picture that shows their instrument, and it is found how many they are."""

import numpy as np
import pytest
import torch
from made_duets import strip

from avsep_lib import finding
from avsep_lib.separators import BaseSeparator
from avsep_lib.settings import StudyError

NAMES = ["cello", "flute", "tuba", "violin"]


def painted(*names, height=2):
    """Queries (1, K, h, w) of a picture whose columns each show one instrument, or nothing."""
    return scene([names] * height)


def scene(rows):
    """Queries (1, K, h, w) of a picture whose places each show one instrument, or nothing."""
    queries = torch.zeros(1, len(NAMES), len(rows), len(rows[0]))
    for row, names in enumerate(rows):
        for column, name in enumerate(names):
            if name:
                queries[0, NAMES.index(name), row, column] = 1.0
    return queries


@pytest.fixture
def sees():
    """A separator that reads painted queries: by the share of a part that shows an instrument."""
    separator = BaseSeparator()
    separator.instruments = NAMES
    separator.presence = lambda named: named.mean((0, -2, -1))

    def name(named, alone=False):
        scores = separator.presence(named) + 0.01
        return (scores / scores.sum()).log()

    separator.name = name
    return separator


@pytest.mark.parametrize("widths", [(5, 5), (3, 7), (7, 3), (2, 8), (4, 3, 3), (2, 4, 4)])
def test_the_cut_that_names_each_part_best_is_found(sees, widths):
    shown = NAMES[: len(widths)][::-1]
    columns = [name for name, width in zip(shown, widths, strict=True) for _ in range(width)]
    players = finding.find_players(sees, painted(*columns), len(widths))
    assert [player.instrument for player in players] == shown
    edges = np.cumsum((0, *widths)) / 10
    assert [player.part[0] for player in players] == pytest.approx(edges[:-1])
    assert [player.part[2] for player in players] == pytest.approx(edges[1:])
    assert min(player.confidence for player in players) > 0.9


def test_names_are_given_to_the_parts_that_show_them(sees):
    picture = painted(*["flute"] * 4, *["tuba"] * 6)
    right = finding.find_players(sees, picture, 2, ["tuba", "flute"])
    assert [(player.instrument, player.part[0]) for player in right] == [("flute", 0), ("tuba", 0.4)]
    partly = finding.find_players(sees, picture, 2, ["tuba", "cello"])
    assert [player.instrument for player in partly] == ["cello", "tuba"]
    assert partly[0].confidence < 0.1 < 0.9 < partly[1].confidence
    twice = finding.find_players(sees, picture, 1, ["flute", "flute"])
    assert [player.instrument for player in twice] == ["flute", "flute"]


def test_a_picture_that_says_nothing_is_cut_evenly(sees):
    players = finding.find_players(sees, painted(*[None] * 8), 2)
    assert [(player.part[0], player.part[2]) for player in players] == [(0, 0.5), (0.5, 1)]


@pytest.mark.parametrize(
    "rows, n_players, parts",
    [
        (["c", "f"], 2, [(0, 0, 1, 0.5), (0, 0.5, 1, 1)]),
        (["c", "f", "t"], 3, [(0, 0, 1, 1 / 3), (0, 1 / 3, 1, 2 / 3), (0, 2 / 3, 1, 1)]),
        (["cf", "tv"], 4, [(0, 0, 0.5, 0.5), (0.5, 0, 1, 0.5), (0, 0.5, 0.5, 1), (0.5, 0.5, 1, 1)]),
    ],
)  # fmt: skip
def test_players_may_be_above_one_another_or_in_a_grid(sees, rows, n_players, parts):
    names = {name[0]: name for name in NAMES}
    picture = scene([[names[place] for place in row] for row in rows]).repeat_interleave(4, -1).repeat_interleave(4, -2)
    players = finding.find_players(sees, picture, n_players)
    assert [player.part for player in players] == [pytest.approx(part) for part in parts]
    assert [player.instrument for player in players] == [*NAMES[:n_players]]


def test_side_by_side_is_preferred_where_both_are_as_clear(sees):
    """A cello at the upper left and a flute at the lower right."""
    picture = scene([["cello", None], ["cello", None], [None, "flute"], [None, "flute"]]).repeat_interleave(2, -1)
    players = finding.find_players(sees, picture, 2)
    assert [player.part for player in players] == [(0, 0, 0.5, 1), (0.5, 0, 1, 1)]


def test_a_box_is_around_the_places_that_show_the_instrument(sees):
    picture = scene([[None] * 6, [None, "cello", None, None, "flute", "flute"], [None] * 6, ["cello"] + [None] * 5])
    cello, flute = finding.find_players(sees, picture, 2)
    assert cello.box == pytest.approx((1 / 6, 1 / 4, 2 / 6, 2 / 4))  # the other cello is not joined to the clearest
    assert flute.box == pytest.approx((4 / 6, 1 / 4, 1, 2 / 4))


def test_a_box_is_never_empty_and_inside_the_part(sees):
    for player in finding.find_players(sees, painted(*[None] * 8), 2):
        (x0, y0, x1, y1), (left, top, right, bottom) = player.box, player.part
        assert left <= x0 < x1 <= right and top <= y0 < y1 <= bottom and player.presence == 0


def test_parts_of_a_separator_without_names_are_even():
    separator = BaseSeparator()
    separator.instruments = []
    for asked in (2, None):
        players = finding.find_players(separator, torch.zeros(1, 3, 4, 9), asked)
        assert [player.part for player in players] == [(0, 0, 0.5, 1), (0.5, 0, 1, 1)]
        assert {player.instrument for player in players} == {"player"} and not any(map(finding.unsure, players))


# How many


@pytest.mark.parametrize("shown", [["flute"], ["flute", "cello"], ["tuba", "flute", "cello"], NAMES])
def test_the_number_of_players_is_found(sees, shown):
    players = finding.find_players(sees, painted(*np.repeat(shown, 3)), None)
    assert [player.instrument for player in players] == list(shown)
    assert all(player.presence == 1 for player in players)


def test_one_who_fills_a_part_of_the_picture_is_one(sees):
    players = finding.find_players(sees, painted(*[None] * 5, "flute", "flute", "flute", *[None] * 4), None)
    assert [(player.instrument, player.part) for player in players] == [("flute", (0, 0, 1, 1))]
    assert player_columns(players[0], 12) == (5, 8)


def player_columns(player, width):
    return round(player.box[0] * width), round(player.box[2] * width)


def test_two_instruments_in_one_place_are_one_player(sees):
    """Who holds a cello may look like a violinist beside it; two players sit apart."""
    near = painted(*[None] * 4, "cello", "cello", "violin", "violin", *[None] * 4)
    assert len(finding.find_players(sees, near, None)) == 1
    apart = painted("cello", "cello", "cello", "cello", *[None] * 2, "violin", "violin", "violin", "violin")
    assert len(finding.find_players(sees, apart, None)) == 2


def test_a_part_that_shows_the_instrument_of_the_other_is_no_player(sees):
    """Part of a flute may look like a clarinet, but more like a flute still."""
    picture = painted(*["flute"] * 8)
    picture[0, NAMES.index("cello"), :, :4] = 0.9
    assert [player.instrument for player in finding.find_players(sees, picture, None)] == ["flute"]
    picture[0, NAMES.index("flute"), :, :4] = 0.1
    assert [player.instrument for player in finding.find_players(sees, picture, None)] == ["cello", "flute"]


def test_two_of_one_instrument_are_found_only_when_they_are_asked_for(sees):
    picture = painted(*["cello"] * 4, *[None] * 2, *["cello"] * 4)
    assert len(finding.find_players(sees, picture, None)) == 1
    assert [player.instrument for player in finding.find_players(sees, picture, 2)] == ["cello", "cello"]


def test_nobody_is_said(sees):
    with pytest.raises(
        StudyError, match=r"nobody is seen who plays cello, flute, tuba or violin.*--instruments"
    ) as error:
        finding.find_players(sees, painted(*[None] * 8), None)
    assert "\n" not in str(error.value)
    assert len(finding.find_players(sees, painted(*[None] * 8), None, ["flute", "tuba"])) == 2


def test_a_name_is_unsure_below_a_confidence():
    assert [finding.unsure(strip("flute", sure, 0, 1)) for sure in (0.1, 0.27, 0.29, 0.9)] == [
        True,
        True,
        False,
        False,
    ]


# What can be asked


@pytest.mark.parametrize(
    "instruments, n_players, words",
    [
        (["flute", "celo"], None, "'celo' is not known; did you mean cello"),
        (["zither"], None, "'zither' is not known.*knows cello, flute, tuba, violin"),
        (["flute", "tuba"], 3, "3 players, but 2 instruments .flute, tuba."),
        ([], 0, "0 players"),
    ],
)
def test_what_cannot_be_looked_for_is_said_before_looking(sees, instruments, n_players, words):
    with pytest.raises(StudyError, match=words) as error:
        finding.check_instruments(sees, instruments, n_players)
    assert "\n" not in str(error.value)


def test_what_can_be_looked_for_passes(sees):
    for instruments, n_players in ((["flute", "tuba"], 2), (["flute", "flute"], None), ([], 3), ([], None)):
        finding.check_instruments(sees, instruments, n_players)
    sees.instruments = []
    finding.check_instruments(sees, [], 2)
    with pytest.raises(StudyError, match="names no instruments"):
        finding.check_instruments(sees, ["flute"])
