"""Near-duplicates among videos, by their fingerprints: the same recording or film under another name.

What two fingerprints share is found by sorting, so that no pair of videos without anything in common is looked at.
Used by ``splits`` and ``leaks``.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from avsep_lib.fingerprints import MIRRORED, Fingerprint

LEAST_MARKS = 8
"""So many marks of two sounds must agree, at one delay between them,"""
LEAST_SOUND_SHARE = 0.06
"""and be such a part of the marks of the shorter one."""
SAME_BITS = 6
"""Two pictures are the same if their fingerprints differ in no more bits than this."""
LEAST_PICTURE_SHARE = 0.5
"""Such a part of the pictures of one video must be found in the other."""

_WINDOW = 32  # neighbours that a sorted entry is held against: bounds the work where thousands share one value
_TABLES, _TABLE_BITS = 12, 20  # bits of a picture by which it is looked up, and how often other ones


def find(prints: Sequence[Fingerprint], sound: bool = True, pictures: bool = True) -> pd.DataFrame:
    """Pairs of videos that are near-duplicates.

    Parameters
    ----------
    prints : fingerprints of the videos
    sound, pictures : whether to compare these

    Returns
    -------
    DataFrame
        ``first`` < ``second`` (numbers of videos), ``by`` (``sound`` or ``picture``), and ``share``: the part of the
        marks, or of the pictures, of the one that has fewer which the other has too.
    """
    tables = [by_sound(prints)] if sound else []
    tables += [by_pictures(prints)] if pictures else []
    return pd.concat(tables, ignore_index=True) if tables else _table()


def by_sound(prints: Sequence[Fingerprint]) -> pd.DataFrame:
    """:func:`find` by sound alone."""
    counts = np.array([len(one.marks) for one in prints], np.int64)
    owners = np.repeat(np.arange(len(prints)), counts)
    marks = np.concatenate([one.marks for one in prints] or [Fingerprint().marks])
    order = np.lexsort((owners, marks[:, 0]))
    values, steps, owners = marks[order, 0], marks[order, 1], owners[order]
    longest = int(steps.max(initial=0)) + 2
    keys = [np.zeros(0, np.int64)]  # a pair of videos and a delay in one number, so that sorting counts them
    for here, there in _neighbours(values):
        other = owners[here] != owners[there]
        here, there = here[other], there[other]
        pair = owners[here] * len(prints) + owners[there]
        keys.append(pair * (2 * longest) + steps[there] - steps[here] + longest)
    delays, agreeing = np.unique(np.concatenate(keys), return_counts=True)
    beside = np.flatnonzero(np.diff(delays) == 1)  # sound that is cut between two steps agrees with both
    total = agreeing.copy()
    total[beside] += agreeing[beside + 1]
    total[beside + 1] += agreeing[beside]
    best = pd.Series(total).groupby(delays // (2 * longest)).max()
    first, second = np.divmod(best.index.to_numpy(), max(len(prints), 1))
    share = np.minimum(best.to_numpy() / np.minimum(counts[first], counts[second]), 1)
    enough = (best.to_numpy() >= LEAST_MARKS) & (share >= LEAST_SOUND_SHARE)
    return _table(first[enough], second[enough], "sound", share[enough])


def by_pictures(prints: Sequence[Fingerprint]) -> pd.DataFrame:
    """:func:`find` by pictures alone; a mirrored picture counts as the same."""
    owners = np.repeat(np.arange(len(prints)), [len(one.pictures) for one in prints])
    values = np.concatenate([one.pictures for one in prints] or [Fingerprint().pictures])
    owners, values = np.tile(owners, 2), np.concatenate([values, values ^ MIRRORED])
    pairs = [np.zeros(0, np.int64)]
    rng = np.random.default_rng(0)
    for _ in range(_TABLES):
        bits = rng.choice(np.arange(1, 64), _TABLE_BITS, replace=False)
        looked_up = values & np.bitwise_or.reduce(np.uint64(1) << bits.astype(np.uint64))
        order = np.lexsort((values, looked_up))
        for here, there in _neighbours(looked_up[order]):
            here, there = order[here], order[there]
            near = np.bitwise_count(values[here] ^ values[there]) <= SAME_BITS
            low, high = np.sort([owners[here[near]], owners[there[near]]], axis=0)
            pairs.append(np.unique((low * len(prints) + high)[low != high]))
    first, second = np.divmod(np.unique(np.concatenate(pairs)), max(len(prints), 1))
    share = np.array([_pictures_shared(prints[i].pictures, prints[j].pictures)
                      for i, j in zip(first, second, strict=True)])  # fmt: skip
    enough = share >= LEAST_PICTURE_SHARE
    return _table(first[enough], second[enough], "picture", share[enough])


def _pictures_shared(one: np.ndarray, other: np.ndarray) -> float:
    """Part of the pictures of the video with fewer that the other has too, all as they are or all mirrored."""
    fewer, more = sorted((one, other), key=len)
    apart = fewer[:, None] ^ more
    return max(float((np.bitwise_count(way).min(axis=1) <= SAME_BITS).mean()) for way in (apart, apart ^ MIRRORED))


def _table(first=(), second=(), by="sound", share=()) -> pd.DataFrame:
    """Pairs as ``find`` gives them."""
    return pd.DataFrame({"first": np.asarray(first, np.int64), "second": np.asarray(second, np.int64),
                         "by": pd.Series([by] * len(first), dtype=str), "share": np.asarray(share, float)})  # fmt: skip


def _neighbours(values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places of equal values in a sorted array, at most ``_WINDOW`` apart."""
    for apart in range(1, min(_WINDOW, len(values) - 1) + 1):
        here = np.flatnonzero(values[apart:] == values[:-apart])
        if not len(here):
            return
        yield here, here + apart
