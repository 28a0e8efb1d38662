"""Windows of a sound that comes in blocks are those of the whole sound, and add up to it again."""

import numpy as np
import pytest
import torch

from avsep_lib import windows

SOUND = np.random.default_rng(0).standard_normal(1_000).astype(np.float32)


def in_blocks(sound, size):
    return [sound[start : start + size] for start in range(0, len(sound), size)]


def as_whole(sound, length):
    """Every window of a sound that is at hand, and how many samples no later one holds."""
    half = length // 2
    starts = range(0, max(len(sound) - length, 0) + half, half)
    padded = np.pad(sound, (0, starts[-1] + length))
    return [(padded[start : start + length], half if start < starts[-1] else len(sound) - start) for start in starts]


@pytest.mark.parametrize("length", [20, 21, 333, 1_000, 1_500])
@pytest.mark.parametrize("size", [1, 7, 64, 999, 1_000])
@pytest.mark.parametrize("count", [1, 21, 499, 1_000])
def test_blocks_of_any_size_give_the_windows_of_the_whole(length, size, count):
    found = list(windows.cut(in_blocks(SOUND[:count], size), length))
    expected = as_whole(SOUND[:count], length)
    assert [own for _, own in found] == [own for _, own in expected]
    np.testing.assert_array_equal(np.stack([w for w, _ in found]), np.stack([w for w, _ in expected]))
    assert sum(own for _, own in found) == count


def test_no_sound_is_one_silent_window():
    ((window, own),) = windows.cut([], 8)
    assert window.shape == (8,) and not window.any() and own == 0


def test_no_more_is_read_than_the_next_window_needs():
    read = []
    pending = windows.cut((read.append(n) or SOUND[n : n + 10] for n in range(0, 1_000, 10)), 101)
    next(pending)
    assert len(read) == 11
    next(pending)
    assert len(read) == 16


@pytest.mark.parametrize("length", [20, 21, 333, 1_500])
def test_windows_added_up_are_the_sound(length):
    faded = windows.CrossFade(length)
    pieces = [faded.add(torch.from_numpy(window)[None], own) for window, own in windows.cut([SOUND], length)]
    np.testing.assert_allclose(torch.cat(pieces, 1)[0], SOUND, atol=1e-6)
