"""How well a map says where a sound comes from: maps and boxes against true boxes.

A map is a grid of values (h, w) that covers the picture. Its cells are taken as the rectangles that they are, so areas
are exact and nothing is enlarged. A box is x0, y0, x1, y1 in shares of the picture's width and height. Used by
``duet_scores``, and through it by notebook 05.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from avsep_lib import tables
from avsep_lib.sound_maps import SILENT

SUCCESSES = (0.3, 0.5)  # of cIoU: usual for several sources, and for one
_THRESHOLDS = np.arange(21) / 20
Box = Sequence[float]


def answer(values: np.ndarray, level: float = 0.5) -> np.ndarray:
    """Cells that a map (h, w) points out, bool (h, w): those with at least ``level`` of its largest value.

    A map that is zero everywhere points at nothing.
    """
    return (values >= level * values.max()) & (values > 0)


def covered(box: Box, shape: tuple[int, int]) -> np.ndarray:
    """The share of each cell of a grid that lies in a box, (h, w)."""
    x0, y0, x1, y1 = box
    rows, columns = (
        np.clip(np.minimum(high * n, np.arange(n) + 1) - np.maximum(low * n, np.arange(n)), 0, 1)
        for low, high, n in ((y0, y1, shape[0]), (x0, x1, shape[1]))
    )
    return np.outer(rows, columns)


def ciou(values: np.ndarray, box: Box) -> float:
    """Overlap of the cells that a map points out with a true box: their common area over that of both together.

    Parameters
    ----------
    values : float array, shape (h, w)
        Cut at half of its largest value, as usual.
    box : x0, y0, x1, y1

    References
    ----------
    Senocak et al., Learning to localize sound source in visual scenes, CVPR 2018 (consensus IoU; with one box, each
    place of which counts fully, it is the intersection over the union).
    """
    share, chosen = covered(box, values.shape), answer(values)
    return float(share[chosen].sum() / (share.sum() + (1 - share)[chosen].sum()))


def box_ciou(found: Box, box: Box) -> float:
    """:func:`ciou` of an answer that is a box itself."""
    width, height = (max(min(found[n + 2], box[n + 2]) - max(found[n], box[n]), 0) for n in (0, 1))
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (found, box)]
    return float(width * height / (sum(areas) - width * height))


def success_auc(value: float) -> float:
    """Area under the success curve of one cIoU: 1 up to it and 0 beyond, at thresholds from 0 to 1 in steps of 0.05.

    The mean over answers is the area under the curve of all answers (Senocak et al., 2018).
    """
    return float(np.trapezoid(np.float64(value >= _THRESHOLDS), _THRESHOLDS))


def place_of(values: np.ndarray) -> tuple[float, float]:
    """The middle x, y of the largest cell of a map (h, w), in shares of the picture; the first one of equals."""
    row, column = np.unravel_index(np.argmax(values), values.shape)
    return (column + 0.5) / values.shape[1], (row + 0.5) / values.shape[0]


def points_at(values: np.ndarray, box: Box) -> bool:
    """Whether the largest cell of a map lies in a box: the pointing game.

    A map that is zero everywhere points at nothing.

    References
    ----------
    Zhang et al., Top-down neural attention by excitation backprop, ECCV 2016; for sound, Arandjelovic and Zisserman,
    Objects that sound, ECCV 2018.
    """
    return bool(values.max() > 0) and inside(place_of(values), box)


def inside(place: tuple[float, float], box: Box) -> bool:
    """Whether a place x, y lies in a box."""
    return bool(box[0] <= place[0] <= box[2] and box[1] <= place[1] <= box[3])


def silent_share(values: np.ndarray, boxes: Sequence[Box], largest: float | None = None) -> float:
    """Share of the places where nobody is that stay silent.

    Parameters
    ----------
    values : float array, shape (h, w)
        Energy of the sound of each place.
    boxes : sequence of boxes
        Of all who sound. Nobody is where the middle of a cell lies in none of them.
    largest : float, optional
        Energy of which a place has less than a tenth to be silent; by default that of the loudest place.

    Returns
    -------
    float
        NaN if there is no such place.
    """
    height, width = values.shape
    y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    free = ~np.any([(x0 <= x) & (x <= x1) & (y0 <= y) & (y <= y1) for x0, y0, x1, y1 in boxes], axis=0)
    largest = values.max() if largest is None else largest
    quiet = (values < SILENT * largest) | (values == 0)
    return float(quiet[free].mean()) if free.any() else np.nan


def summary(places: pd.DataFrame, by: str | Sequence[str] = "method") -> pd.DataFrame:
    """Means of the rows of ``duet_scores.localise_duets``, by method.

    Parameters
    ----------
    places : DataFrame
    by : str or list of str
        Column or columns whose values become the rows, in their order of appearance; ``["players", "method"]``.

    Returns
    -------
    DataFrame
        ``cIoU`` with its 95 % interval over videos (``from``, ``to``), the shares above ``cIoU@0.3`` and ``cIoU@0.5``,
        ``AUC``, ``pointing`` (the share whose place lies in the true box), ``silent`` (the share of places without a
        player that stay silent), ``energy`` (let through, relative to the right sound), and ``count``, of answers.
    """
    rows = {}
    for name, part in places.groupby(by, sort=False):
        low, high = tables.interval_over_videos(part.ciou, part.video_id)
        rows[name] = {"cIoU": part.ciou.mean(), "from": low, "to": high}
        rows[name] |= {f"cIoU@{level}": part[f"at_{level}"].mean() for level in SUCCESSES}
        rows[name] |= {"AUC": part.auc.mean(), "pointing": part.pointed.mean(), "silent": part.silent.mean()}
        rows[name] |= {"energy": part.energy.mean(), "count": len(part)}
    table = pd.DataFrame(rows).T.astype({"count": int})
    return table.rename_axis([by] if isinstance(by, str) else list(by))
