"""Rendered duets are scored against their own truth."""

import numpy as np
from made_duets import made_separation, strip

from avsep_lib import clips, duet_scores, media, rendered


def test_pointing_by_hand(tmp_path):
    sound = np.array([[1.0, 0, 0, 0], [0, 0, 0, 9]])
    owners = np.array([[[0.9, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.2]], [[0.1, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.8]]])
    players = [strip("flute", 1.0, 0.0, 0.5), strip("tuba", 1.0, 0.5, 1.0)]
    separation = made_separation(tmp_path / "a.mp4", players, sound, owners)
    left, right = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
    # The loud corner at the lower right wins for both: 0.2 * 9 is more than 0.9 * 1.
    assert duet_scores.points_at(separation, np.array([left, right])) == [False, True]
    assert duet_scores.points_at(separation, np.array([right, (0.5, 0.0, 1.0, 0.5)])) == [True, False]


# Scores


def test_scores_have_a_row_for_each_player_and_method(separator, separation, index, duet):
    told = []
    scores = duet_scores.score_duets(separator, clips.choose(index, "test", "duet"), lambda *words: told.append(words))
    assert set(scores.method) == {"mixture", "separator", "ideal ratio mask"}
    assert scores.groupby("method").size().to_dict() == dict.fromkeys(set(scores.method), 2)
    assert {"mixture", "source", "video_id", "instrument", "found", "pointed", "sdr_db", "sir_db"} <= set(scores)
    own = scores[scores.method == "separator"]
    assert list(own.instrument) == duet.instruments.split("+")
    assert list(own.found) == [player.instrument for player in separation.players]
    assert scores.pointed.isin([True, False]).all() and np.isfinite(scores.sdr_db).all()
    assert told == [("separating duets", 1, 1)]


def test_the_true_tracks_are_those_of_the_players_in_their_order(separator, index, duet, monkeypatch):
    """A separator that returns the truth scores far above the mixture; one that swaps it, far below."""
    tracks, _ = rendered.read_truth(duet.path, separator.sample_rate_hz)
    real = duet_scores.separate_video
    for order, better in ((slice(None), True), (slice(None, None, -1), False)):
        monkeypatch.setattr(
            duet_scores, "separate_video", lambda net, path, order=order: _with(real(net, path), tracks[order])
        )
        means = duet_scores.score_duets(separator, clips.choose(index, kind="duet")).groupby("method").sdr_db.mean()
        assert (means["separator"] > means["mixture"] + 20) is np.bool_(better)
        assert means["ideal ratio mask"] > means["mixture"] + 2


def _with(separation, estimates):
    for track, estimate in zip(separation.tracks, estimates, strict=True):
        media.write_audio(track, estimate, separation.sample_rate_hz)
    return separation
