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
    assert [path.name for path in paths] == ["1_flute.mp4", "2_flute.mp4"]
    for path, player, estimate in zip(paths, grey.players, grey.estimates, strict=True):
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
