"""Pictures are pure functions of scene and time, move with the notes, and stay inside their boxes."""

import numpy as np
import pytest

from avsep_lib.drawings import BOX_MARGIN_PX, Scene
from avsep_lib.motion import Motion
from avsep_lib.scores import Note
from avsep_lib.settings import INSTRUMENTS, StudyError

SOLO_PX, DUET_PX = (240, 320), (240, 432)
PITCHES = (60, 67, 62, 71, 64, 72)
MELODY = [Note(0.4 * k, 0.4 * k + 0.36, pitch, 0.8) for k, pitch in enumerate(PITCHES)]
PLAYING_S, SILENCE_S = np.arange(0.3, 2.0, 0.15), np.arange(4.0, 5.7, 0.15)


def scene(names, seed=0, size_px=None, score=MELODY):
    size_px = size_px or (SOLO_PX if len(names) == 1 else DUET_PX)
    return Scene(names, [score] * len(names), size_px, np.random.default_rng(seed))


def still(made):
    """Take away what moves without the notes: the camera and the noise of its sensor."""
    made.noise[:] = 0
    made.shake[0] = 0
    return made


def change(made, times):
    """Mean difference of successive pictures."""
    pictures = np.stack([made.picture(time_s) for time_s in times]).astype(float)
    return np.abs(np.diff(pictures, axis=0)).mean()


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_every_instrument_moves_with_its_notes_and_rests_in_silence(name):
    made = still(scene([name], seed=3))
    picture = made.picture(0.5)
    assert picture.shape == (*SOLO_PX, 3) and picture.dtype == np.uint8
    assert picture.std() > 10
    assert change(made, PLAYING_S) > 0.1
    assert change(made, SILENCE_S) == 0


@pytest.mark.parametrize("name", ["violin", "xylophone"])
def test_playing_moves_more_than_silence_even_with_shake_and_noise(name):
    made = scene([name], seed=5)
    assert change(made, PLAYING_S) > change(made, SILENCE_S)


def test_a_picture_depends_on_the_seed_and_the_time_alone():
    first, again, other = (scene(["cello"], seed) for seed in (1, 1, 2))
    forwards = [first.picture(time_s) for time_s in (0.1, 0.5, 0.9)]
    backwards = [again.picture(time_s) for time_s in (0.9, 0.5, 0.1)][::-1]
    np.testing.assert_array_equal(forwards, backwards)
    assert first.boxes == again.boxes
    assert np.abs(forwards[0].astype(float) - other.picture(0.1)).mean() > 5


@pytest.mark.parametrize("names", [("violin", "tuba"), ("xylophone", "accordion"), ("flute", "erhu", "trumpet")])
def test_boxes_stand_in_order_and_hold_all_that_moves(names):
    made = still(scene(names, seed=7))
    boxes = np.array(made.boxes)
    assert boxes.shape == (len(names), 4)
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= DUET_PX[::-1]).all()
    assert (boxes[:-1, 2] <= boxes[1:, 0]).all()

    pictures = np.stack([made.picture(time_s) for time_s in PLAYING_S]).astype(int)
    moved = np.ptp(pictures, axis=0).max(axis=-1) > 12
    for x0, y0, x1, y1 in boxes:
        inside = slice(int(y0), int(np.ceil(y1)) + 1), slice(int(x0), int(np.ceil(x1)) + 1)
        assert moved[inside].any()
        moved[inside] = False
    assert not moved.any()


@pytest.mark.parametrize("name", ["accordion", "cello", "trumpet", "xylophone"])
def test_a_box_is_tight(name):
    """What differs from the same room without its player is the player."""
    made = still(scene([name], seed=11))
    with_player = made.picture(0.7).astype(int)
    made.necks = made.necks + 5000
    drawn = np.abs(with_player - made.picture(0.7)).max(axis=-1) > 12
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    x0, y0, x1, y1 = made.boxes[0]
    slack = np.array([columns[0] - x0, rows[0] - y0, x1 - columns[-1], y1 - rows[-1]])
    assert (slack >= 0).all()
    assert (slack <= 0.2 * (x1 - x0) + 2 * BOX_MARGIN_PX).all()


def test_the_bow_turns_with_each_note_and_rests_between():
    motion = Motion([Note(0.0, 0.5, 60, 0.5), Note(1.0, 1.5, 62, 1.0), Note(2.0, 2.5, 64, 0.5)])
    places = [motion.pose(time_s).bow for time_s in (0.65, 0.85, 1.65, 1.85, 2.7)]
    assert places[0] == pytest.approx(places[1], abs=1e-6)
    assert places[2] == pytest.approx(places[3], abs=1e-6)
    assert places[0] > 0 > places[2] and places[4] > 0
    assert abs(places[2]) > places[0]  # louder is further


def test_mallets_meet_the_bar_of_the_pitch_at_the_onset():
    motion = Motion([Note(0.5, 0.7, 60, 1.0), Note(1.5, 1.7, 72, 1.0)])
    low, high = motion.pose(0.5).mallets, motion.pose(1.5).mallets
    assert low[0] == pytest.approx(0, abs=0.05) and high[2] == pytest.approx(1, abs=0.05)
    assert low[1] < 0.2 < motion.pose(1.0).mallets[1]
    assert high[3] < 0.2 < motion.pose(1.0).mallets[3]


def test_a_player_without_notes_waits():
    made = still(scene(["flute"], score=[]))
    np.testing.assert_array_equal(made.picture(0.0), made.picture(3.0))


def test_what_cannot_be_drawn_is_named():
    with pytest.raises(StudyError, match="kazoo"):
        scene(["violin", "kazoo"])
    with pytest.raises(StudyError, match="2 instruments but 1 scores"):
        Scene(["violin", "flute"], [MELODY], DUET_PX, np.random.default_rng(0))
    with pytest.raises(StudyError, match="0 instruments"):
        scene([])
