"""A file is walked through once, forward, and what is damaged in it is noted."""

import numpy as np
import pytest

from avsep_lib import decoding
from avsep_lib.decoding import MediaError
from avsep_lib.media import write_video


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Two seconds at 8 frames per second, frame i of level 10 i, with a tone."""
    path = tmp_path_factory.mktemp("video") / "grey.mp4"
    frames = (np.full((48, 64, 3), 10 * i, np.uint8) for i in range(16))
    write_video(path, frames, 8, np.sin(np.arange(16_000) / 9) / 2, 8_000)
    return path


def test_tracks_know_their_ends(video):
    with decoding.opened(video) as container:
        sound, pictures = decoding.track(container, "audio"), decoding.track(container, "video")
        assert decoding.track(container, "subtitle") is None
        assert decoding.promised_s(container, sound) == pytest.approx(2, abs=1e-3)
        assert decoding.promised_s(container, pictures) == pytest.approx(2, abs=1e-3)
        assert decoding.duration_s(container) == pytest.approx(2, abs=1e-3)


def test_a_walk_shows_what_is_on_at_each_time(video):
    with decoding.opened(video) as container:
        walk = decoding.Walk(container, decoding.track(container, "video"), [])
        shown = [walk.to(time_s).time for time_s in (0.0, 0.12, 0.125, 0.9, 1.99, 5.0)]
    assert shown == pytest.approx([0.0, 0.0, 0.125, 0.875, 1.875, 1.875])


def test_blocks_of_sound_are_brought_to_one_rate():
    pieces = [(8_000, np.ones(4_000, np.float32)), (8_000, np.zeros(4_000, np.float32))]
    heard = np.concatenate(list(decoding.resampled(pieces, 4_000)))
    assert len(heard) == 4_000
    np.testing.assert_allclose(heard[200:1_800], 1, atol=0.01)
    np.testing.assert_allclose(heard[2_200:], 0, atol=0.01)


def test_faults_are_told_in_one_warning():
    with pytest.warns(UserWarning, match=r"x\.mp4: damaged, and 1 more faults; went on"):
        decoding.warn("x.mp4", ["damaged", "worse"])


def test_ffmpegs_words_become_ours(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"no video" * 50)
    with pytest.raises(MediaError, match=r"x\.mp4: is not a media file"), decoding.opened(tmp_path / "x.mp4"):
        pass
