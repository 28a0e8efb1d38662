"""Deals videos out to splits: groups whole, each instrument in its shares, the same for a seed.

scikit-learn's ``StratifiedGroupKFold`` makes folds of one size, and one more video moves many others. Here a split may
have any share, and few move. Used by ``clips`` and ``splits``.
"""

import hashlib
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd


def deal(videos: pd.DataFrame, wanted: Mapping[str, np.ndarray], seed: int) -> dict[str, int]:
    """Give each video a place.

    Parameters
    ----------
    videos : DataFrame
        Columns ``video_id`` (each once), ``instruments``, and ``group``: videos of one group get one place.
    wanted : mapping of str to int array, shape (n,)
        How many videos of these instruments each of n places shall get.
    seed : same seed, same places, whatever the order of the rows

    Returns
    -------
    dict of str to int
        The place of each ``video_id``. Groups come first, the largest before, each where it fits best; who is alone
        fills what is left, so that the numbers are those wanted unless a group is larger than its place.
    """
    room = {instruments: np.array(sizes, int) for instruments, sizes in wanted.items()}
    places: dict[str, int] = {}
    members = videos.sort_values("video_id").groupby("group", sort=False)
    together = [group for _, group in members if len(group) > 1]
    for group in sorted(together, key=lambda group: (-len(group), _order(seed, group["video_id"].iloc[0]))):
        counts = group["instruments"].value_counts()
        place = _best(counts, room, _order(seed, group["video_id"].iloc[0]))
        places |= dict.fromkeys(group["video_id"], place)
        for instruments, count in counts.items():
            room[instruments][place] -= count
    alone = videos[~videos["video_id"].isin(places)]
    for instruments, part in alone.groupby("instruments"):
        # The order hangs on each video alone, so that one more video moves few of the others.
        ids = sorted(part["video_id"], key=lambda name: _order(seed, name))
        left = np.clip(room[instruments], 0, None)
        while left.sum() > len(ids):  # another place was overfull
            left[left.argmax()] -= 1
        places |= dict(zip(ids, np.repeat(np.arange(len(left)), left).tolist(), strict=True))
    return places


def sizes(n: int, fractions: Sequence[float]) -> np.ndarray:
    """How many of n videos each place gets: nearest to the fractions, and none empty where that can be."""
    exact = np.asarray(fractions) * n
    whole = np.floor(exact + 1e-9).astype(int)
    whole[np.argsort(whole - exact, kind="stable")[: n - whole.sum()]] += 1
    for i in np.flatnonzero((whole == 0) & (np.asarray(fractions) > 0)):
        if whole.max() > 1:
            whole[whole.argmax()] -= 1
            whole[i] += 1
    return whole


def _order(seed: int, name: Hashable) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogatepass")).digest()


def _best(counts: pd.Series, room: Mapping[str, np.ndarray], draw: bytes) -> int:
    """The place where a group overflows least; among several such, one drawn by the room that they have."""
    rooms = np.stack([np.clip(room[instruments], 0, None) for instruments in counts.index])  # (instruments, places)
    overflow = np.clip(counts.to_numpy()[:, None] - rooms, 0, None).sum(0)
    weights = np.where(overflow == overflow.min(), rooms.sum(0), 0)
    if not weights.any():  # nothing has room: where most was wanted
        return int(np.stack([room[instruments] for instruments in counts.index]).sum(0).argmax())
    shares = np.cumsum(weights) / weights.sum()
    return int(np.searchsorted(shares, int.from_bytes(draw[:8], "big") / 2**64, side="right"))
