"""Packed pictures come back nearly as they were, and only those that are asked for are decoded."""

import numpy as np
import pytest

from avsep_lib import jpegs
from avsep_lib.jpegs import Crop


@pytest.fixture(scope="module")
def pictures():
    """Five pictures, 40 x 60, smooth as photographs are, each of another colour."""
    y, x = np.mgrid[:40, :60]
    ramp = np.stack([x * 4, y * 6, (x + y) * 2], axis=-1)
    return [np.clip(ramp * (0.5 + number / 10), 0, 255).astype(np.uint8) for number in range(5)]


@pytest.fixture(scope="module")
def packed(pictures):
    return jpegs.pack(pictures)


def close(one, other):
    return np.abs(one.astype(int) - other).max() <= 6


def test_the_square_in_the_middle_comes_back_in_the_order_asked_for(pictures, packed):
    assert packed.dtype == np.uint8 and packed.ndim == 1 and jpegs.count(packed) == 5
    squares = jpegs.unpack(packed, [3, 0, 3], 40)
    assert squares.shape == (3, 40, 40, 3) and squares.dtype == np.uint8
    for square, number in zip(squares, (3, 0, 3), strict=True):
        assert close(square, pictures[number][:, 10:50])


@pytest.mark.parametrize(
    ("crop", "rows", "columns"),
    [
        (Crop(0.5, 0, 0), slice(0, 20), slice(0, 20)),
        (Crop(0.5, 1, 1), slice(20, 40), slice(40, 60)),
        (Crop(0.5, 0.5, 0), slice(0, 20), slice(20, 40)),
    ],
)
def test_a_square_lies_where_it_was_asked_for(pictures, packed, crop, rows, columns):
    (square,) = jpegs.unpack(packed, [2], 20, crop)
    assert close(square, pictures[2][rows, columns])
    (mirrored,) = jpegs.unpack(packed, [2], 20, Crop(crop.side, crop.x, crop.y, mirrored=True))
    np.testing.assert_array_equal(mirrored, square[:, ::-1])


def test_a_square_is_brought_to_size(packed):
    assert jpegs.unpack(packed, [0, 1], 24).shape == (2, 24, 24, 3)


def test_only_what_is_asked_for_is_decoded(packed, monkeypatch):
    opened, whole = [], jpegs.decode_jpeg
    monkeypatch.setattr(jpegs, "decode_jpeg", lambda file, *how: opened.append(len(file)) or whole(file, *how))
    jpegs.unpack(packed, [4], 40)
    assert len(opened) == 1 and opened[0] < len(packed) / 4


def test_a_mapped_file_serves_as_an_array(packed, tmp_path):
    np.save(tmp_path / "packed.npy", packed)
    mapped = np.load(tmp_path / "packed.npy", mmap_mode="r")
    np.testing.assert_array_equal(jpegs.unpack(mapped, [1, 4], 40), jpegs.unpack(packed, [1, 4], 40))
