"""Rendered duets are scored against their own truth."""

import dataclasses

import numpy as np
import pytest
from made_duets import made_separation, strip

from avsep_lib import clips, duet_scores, localisation, media, rendered, tables


def test_pointing_by_hand(tmp_path):
    players = [strip("flute", 1.0, 0.0, 0.5), strip("tuba", 1.0, 0.5, 1.0)]
    separation = made_separation(tmp_path / "a.mp4", players)
    shares = np.full((2, 2, 4), 0.1)
    shares[0, 0, 1], shares[1, 1, 3] = 0.5, 0.2
    separation = dataclasses.replace(separation, maps=dataclasses.replace(separation.maps, shares=shares))
    left, right = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
    assert duet_scores.points_at(separation, np.array([left, right])) == [True, True]
    assert duet_scores.points_at(separation, np.array([right, (0.5, 0.0, 1.0, 0.5)])) == [False, False]


@pytest.fixture(scope="module")
def heard(separator, index):
    """The duet of the data set, separated."""
    return duet_scores.separate_duets(separator, clips.choose(index, "test", "duet"))


# Scores


def test_a_duet_is_separated_once_and_told_of(separator, index, duet, monkeypatch):
    told, looked, real = [], [], duet_scores.look
    monkeypatch.setattr(duet_scores, "look", lambda *given: looked.append(given) or real(*given))
    monkeypatch.setattr("avsep_lib.duets.look", None)
    rows = clips.choose(index, "test", "duet")
    (one,) = duet_scores.separate_duets(separator, rows, lambda *words: told.append(words))
    assert len(looked) == 1 and told == [("separating duets", 1, 1)]
    assert one.instruments == duet.instruments.split("+") and len(one.separation.players) == 2
    assert one.true.shape == (2, one.separation.samples) and one.boxes.shape == (2, 4)


def test_scores_have_a_row_for_each_player_and_method(separator, heard, duet):
    scores = duet_scores.score_duets(separator, heard)
    assert list(scores.method.unique()) == ["mixture", "separator", "ideal binary mask", "ideal ratio mask"]
    assert scores.groupby("method").size().to_dict() == dict.fromkeys(set(scores.method), 2)
    assert {"mixture", "source", "video_id", "instrument", "found", "pointed", "sdr_db", "sir_db"} <= set(scores)
    own = scores[scores.method == "separator"]
    assert list(own.instrument) == duet.instruments.split("+") and set(own.players) == {2}
    assert list(own.found) == [player.instrument for player in heard[0].separation.players]
    assert scores.pointed.isin([True, False]).all() and np.isfinite(scores.sdr_db).all()
    pairs = tables.by_pair(scores)
    assert set(pairs.index.get_level_values("pair")) == {"+".join(sorted(duet.instruments.split("+")))}
    assert tables.summary(scores, ["players", "method"]).sources.tolist() == [2] * 4


def test_the_true_tracks_are_those_of_the_players_in_their_order(separator, index, duet):
    """A separator that returns the truth scores far above the mixture; one that swaps it, far below."""
    tracks, _ = rendered.read_truth(duet.path, separator.sample_rate_hz)
    heard = duet_scores.separate_duets(separator, clips.choose(index, kind="duet"))
    for order, better in ((slice(None), True), (slice(None, None, -1), False)):
        for track, estimate in zip(heard[0].separation.tracks, tracks[order], strict=True):
            media.write_audio(track, estimate, separator.sample_rate_hz)
        means = duet_scores.score_duets(separator, heard).groupby("method").sdr_db.mean()
        assert (means["separator"] > means["mixture"] + 20) is np.bool_(better)
        assert means["ideal ratio mask"] > means["mixture"] + 2


# Places


def test_places_have_a_row_for_each_player_and_method(separator, heard):
    told = []
    places = duet_scores.localise_duets(separator, heard, lambda *words: told.append(words))
    table = localisation.summary(places)
    assert list(table.index) == [
        "separator", "silent sound", "players found", "parts found", "even strips", "whole picture", "centre box",
        "random box",
    ]  # a single duet has no foreign one  # fmt: skip
    assert set(table["count"]) == {2} and told == [("localising duets", 1, 1)]
    (one,) = heard
    areas = (one.boxes[:, 2:] - one.boxes[:, :2]).prod(1)
    own = places[places.method == "whole picture"]
    np.testing.assert_allclose(own.ciou, areas)
    assert set(own.silent) == {0} and own.energy.isna().all()
    right, silent = (places[places.method == name] for name in ("separator", "silent sound"))
    np.testing.assert_allclose(right.energy, 1)
    assert (silent.energy < 1e-4).all() and set(silent.silent) == {1}
    for row, share, box in zip(right.itertuples(), one.separation.maps.shares, one.boxes, strict=True):
        assert row.ciou == localisation.ciou(share, box)
    assert list(right.pointed.astype(bool)) == duet_scores.points_at(one.separation, one.boxes)


def test_foreign_sound_is_that_of_others_and_as_loud(separator, heard, monkeypatch):
    """Its map is asked with another duet's sound at the right one's level; a duet that shares a player is none."""
    (one,) = heard
    asked = []
    real = duet_scores.sound_maps
    monkeypatch.setattr(duet_scores, "sound_maps", lambda *given: asked.append(given[-1][0]) or real(*given))
    like = dataclasses.replace(one, instruments=[one.instruments[0], "bagpipe"])
    other = dataclasses.replace(one, instruments=["erhu", "bagpipe"])
    assert "foreign sound" not in set(duet_scores.localise_duets(separator, [one, like]).method)
    asked.clear()
    places = duet_scores.localise_duets(separator, [one, like, other])
    assert list(places[places.method == "foreign sound"].source) == [0, 1, 0, 1]  # of the first and of the last
    mixture = one.separation.mixture
    foreign, noise = asked[:2]
    assert 20 * np.log10(np.std(noise) / np.std(mixture)) == pytest.approx(-60, abs=0.1)
    np.testing.assert_allclose(foreign, mixture, atol=1e-6)


def test_an_even_division_is_a_strong_answer_and_a_random_one_is_not(separator, heard):
    places = duet_scores.localise_duets(separator, heard).groupby("method").ciou.mean()
    assert places["even strips"] > places["whole picture"] > places["random box"] > 0.05
