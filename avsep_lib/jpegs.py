"""Pictures of a video packed as JPEGs into one array, and decoded only where they are asked for.

The array is uint8 (bytes,): the number of pictures, where each begins and the last ends (int64 each), then the JPEGs.
It can be memory-mapped, so that reading three pictures of a long video touches the pages of those three. Used by
``store`` for backbones that are trained.
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.v2.functional import InterpolationMode, resize

_QUALITY = 90
_WORD = 8  # bytes of an int64


@dataclass(frozen=True)
class Crop:
    """A square of a picture.

    Attributes
    ----------
    side : float
        Its length as a share of the picture's short side.
    x, y : float
        Where it lies in the room that is left: 0 at the left or top, 1 at the right or bottom.
    mirrored : bool
        Whether left and right are exchanged.
    """

    side: float = 1.0
    x: float = 0.5
    y: float = 0.5
    mirrored: bool = False


CENTRE = Crop()


def pack(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """Pack pictures, each uint8 (H, W, 3), into one uint8 array (bytes,)."""
    files = []
    for picture in pictures:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=_QUALITY)
        files.append(file.getvalue())
    first = _WORD * (len(files) + 2)
    ends = first + np.cumsum([len(file) for file in files], dtype=np.int64)
    head = np.array([len(files), first, *ends], np.int64)
    return np.frombuffer(head.tobytes() + b"".join(files), np.uint8)


def count(packed: np.ndarray) -> int:
    """Number of pictures in an array of :func:`pack`."""
    return int(packed[:_WORD].view(np.int64)[0])


def unpack(packed: np.ndarray, numbers: Sequence[int], size_px: int, crop: Crop = CENTRE) -> np.ndarray:
    """The same square of some pictures.

    Parameters
    ----------
    packed : uint8 array, shape (bytes,)
        As :func:`pack` gives it, in memory or memory-mapped.
    numbers : sequence of int
        P pictures, from 0.
    size_px : int
        Side S of the result.
    crop : Crop
        The square in the middle where it is not given.

    Returns
    -------
    uint8 array, shape (P, S, S, 3)
    """
    places = packed[_WORD : _WORD * (count(packed) + 2)].view(np.int64)
    files = [torch.from_numpy(packed[places[number] : places[number + 1]].copy()) for number in numbers]
    squares = [_square(decode_jpeg(file, ImageReadMode.RGB), size_px, crop) for file in files]
    return torch.stack([square.permute(1, 2, 0) for square in squares]).numpy()  # (3, S, S) -> (S, S, 3), as it lies


def _square(picture: Tensor, size_px: int, crop: Crop) -> Tensor:
    """A square of a picture, uint8 (3, H, W) -> (3, S, S)."""
    height, width = picture.shape[1:]
    side = round(crop.side * min(height, width))
    left, top = int(crop.x * (width - side)), int(crop.y * (height - side))
    square = picture[:, top : top + side, left : left + side]
    if side != size_px:
        square = resize(square, [size_px, size_px], InterpolationMode.BICUBIC, antialias=True)
    return square.flip(-1) if crop.mirrored else square
