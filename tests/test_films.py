"""A video for each player: their sound, their part of the picture, the others dimmed."""

import numpy as np
import pytest
from made_duets import RATE_HZ, made_separation, strip, wave

from avsep_lib import films, media


@pytest.fixture
def grey(tmp_path):
    """A separation by hand of a grey video of two seconds, whose second player has three quarters of it."""
    path = tmp_path / "grey.mp4"
    media.write_video(path, np.full((20, 90, 160, 3), 200, np.uint8), 10, wave(), RATE_HZ)
    return made_separation(path, [strip("flute", 0.9, 0.0, 0.25), strip("flute", 0.8, 0.25, 1.0)])


def test_videos_have_their_players_sound_and_dim_the_others(grey, tmp_path):
    paths = films.write_videos(grey, tmp_path / "out", fps=10, height_px=90)
    assert [path.name for path in paths] == ["1_flute.mp4", "2_flute.mp4", films.SIDE_BY_SIDE]
    for path, player, estimate in zip(paths[:2], grey.players, grey.estimates, strict=True):
        info = media.probe(path)
        assert (info.height_px, info.width_px, info.fps) == (90, 160, 10)
        assert info.duration_s == pytest.approx(2.0, abs=0.1)
        sound = media.read_audio(path, RATE_HZ)
        assert len(sound) == len(estimate)
        assert np.abs(sound - estimate).max() < 0.05 * np.abs(estimate).max() + 0.01
        columns = media.read_frames(path, [0.0, 1.0, 1.9], 90).mean(axis=(0, 1, 3))
        inside = np.zeros(160, bool)
        inside[int(player.part[0] * 160) : int(player.part[2] * 160)] = True
        edge = np.abs(np.arange(160) - 40) < 4
        assert np.abs(columns[inside & ~edge] - 200).max() < 8
        assert np.abs(columns[~inside & ~edge] - 60).max() < 8


def test_side_by_side_each_player_is_lit_once_and_heard_from_their_side(grey, tmp_path):
    *_, path = films.write_videos(grey, tmp_path / "out", fps=10, height_px=90)
    columns = media.read_frames(path, [1.0], 90).mean(axis=(0, 1, 3))  # (2 * 160,)
    lit = {0: slice(8, 32), 1: slice(160 + 48, 320 - 8)}
    for player, where in lit.items():
        assert np.abs(columns[where] - 200).max() < 8, player
    assert np.abs(columns[48 : 160 - 8] - 60).max() < 8 and np.abs(columns[168 : 160 + 32] - 60).max() < 8
    both = np.concatenate(list(media.audio_blocks(path, RATE_HZ, 2)))
    one, other = grey.estimates
    sides = np.cos(np.array([0.1, 0.9]) * np.pi / 2)
    left, right = sides @ np.stack([one, other]), sides[::-1] @ np.stack([one, other])
    assert np.abs(both - np.stack([left, right], axis=1)).max() < 0.03


@pytest.mark.parametrize(("count", "shape"), [(1, None), (3, (90, 480)), (4, (180, 320)), (5, (180, 480))])
def test_many_pictures_stand_in_rows(tmp_path, count, shape):
    path = tmp_path / "grey.mp4"
    media.write_video(path, np.full((20, 90, 160, 3), 200, np.uint8), 10, wave(), RATE_HZ)
    players = [strip("flute", 0.9, n / count, (n + 1) / count) for n in range(count)]
    paths = films.write_videos(made_separation(path, players), tmp_path / "out", fps=10, height_px=90)
    assert len(paths) == count + (count > 1)
    if shape:
        info = media.probe(paths[-1])
        assert (info.height_px, info.width_px) == shape


@pytest.mark.parametrize(("channels", "kept"), [(2, 2), (6, 1)])
def test_films_keep_rate_and_stereo(tmp_path, channels, kept):
    path = tmp_path / "grey.mp4"
    media.write_video(path, np.full((20, 90, 160, 3), 200, np.uint8), 10, wave(), RATE_HZ)
    separation = made_separation(path, [strip("flute", 0.9, 0.0, 1.0)])
    sound = np.stack([wave(level=0.1 * n) for n in range(channels)], axis=1)
    media.write_audio(separation.tracks[0], np.repeat(sound, 4, axis=0), 4 * RATE_HZ)
    (film,) = films.write_videos(separation, tmp_path / "out")
    info = media.probe(film)
    assert (info.sample_rate_hz, info.channels) == (4 * RATE_HZ, kept)
