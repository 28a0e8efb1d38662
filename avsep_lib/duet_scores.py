"""Rendered duets scored: tracks against the true ones, and places against the true boxes. Used by notebook 05."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from avsep_lib import baselines, evaluation, rendered
from avsep_lib.duets import Separation, separate_video
from avsep_lib.separators import BaseSeparator


def score_duets(separator: BaseSeparator, duets: pd.DataFrame, progress: Callable | None = None) -> pd.DataFrame:
    """Separate rendered duets and score them against their true tracks and boxes.

    Parameters
    ----------
    separator : BaseSeparator
    duets : DataFrame
        Rows of an index, of kind ``duet``, with their truth beside them.
    progress : callable, optional

    Returns
    -------
    DataFrame
        A row for each player of each duet and each method (``mixture``, ``separator``, ``ideal ratio mask``): the
        columns of ``evaluation.evaluate``, ``found`` (the instrument that was seen) and ``pointed`` (whether the
        loudest place among those that sound like this player lies in the player's box).
    """
    rows, true, methods = [], [], {"mixture": [], "separator": [], "ideal ratio mask": []}
    for number, duet in enumerate(duets.itertuples()):
        separation = separate_video(separator, duet.path)
        tracks, boxes = rendered.read_truth(duet.path, separator.sample_rate_hz)
        length = min(tracks.shape[-1], separation.samples)
        true.append(tracks[:, :length])
        methods["mixture"].append(baselines.mixture_as_estimate(true[-1]))
        methods["separator"].append(separation.estimates[:, :length])
        methods["ideal ratio mask"].append(baselines.ideal_mask(true[-1], separator.settings, "ratio"))
        pointed = points_at(separation, boxes)
        for source, name in enumerate(duet.instruments.split("+")):
            found = separation.players[source].instrument
            rows.append((number, source, duet.video_id, name, found, pointed[source]))
        if progress:
            progress("separating duets", number + 1, len(duets))
    listed = pd.DataFrame(rows, columns=["mixture", "source", "video_id", "instrument", "found", "pointed"])
    return evaluation.evaluate(listed, true, methods, separator.settings)


def points_at(separation: Separation, boxes: np.ndarray) -> list[bool]:
    """For each player, whether the loudest of the places that sound like them lies in their box.

    ``boxes`` are (N, 4): x0, y0, x1, y1 as shares of the picture.
    """
    hits = []
    for owner, (x0, y0, x1, y1) in zip(separation.maps.owners, boxes, strict=True):
        row, column = np.unravel_index(np.argmax(owner * separation.maps.energy), owner.shape)
        x, y = (column + 0.5) / owner.shape[1], (row + 0.5) / owner.shape[0]
        hits.append(bool(x0 <= x <= x1 and y0 <= y <= y1))
    return hits
