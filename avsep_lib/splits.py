"""Splits in which nothing that belongs together is torn apart, and lists that must not train what others test.

What belongs together: rows of one video, of one file, of one uploader, and near-duplicates by their fingerprints.
Used by ``leaks`` and by whoever splits a list of their own.
"""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from avsep_lib import clips, dealing, duplicates, fingerprints, folders
from avsep_lib.settings import StudyError

PUBLISHED = {"solo": (335, 100, 130), "duet": (65, 0, 84)}
"""Videos for training, validation and test in the published split of MUSIC, when all 714 were there."""


def groups(index: pd.DataFrame, alike: pd.DataFrame | None = None) -> pd.Series:
    """What belongs together.

    Parameters
    ----------
    index : table with the column ``video_id``; ``path`` and ``uploader`` count where they are there and not empty
    alike : pairs of near-duplicates, ``first`` and ``second``, as ``duplicates.find`` gives them; they number the rows
        of ``index``

    Returns
    -------
    Series of str
        For each row, the first ``video_id`` by the alphabet of all that belong together with it.
    """
    edges = [np.zeros((0, 2), int)] if alike is None else [alike[["first", "second"]].to_numpy(int)]
    for keys in (index["video_id"], real_files(index), column(index, "uploader")):
        codes = pd.factorize(pd.Series(list(keys), dtype=object).replace("", None))[0]
        known = np.flatnonzero(codes >= 0)
        order = known[np.argsort(codes[known], kind="stable")]
        same = np.flatnonzero(np.diff(codes[order]) == 0)
        edges.append(np.stack([order[same], order[same + 1]], axis=1))
    one, other = np.concatenate(edges).T
    matrix = sparse.coo_matrix((np.ones(len(one)), (one, other)), shape=(len(index), len(index)))
    labels = sparse.csgraph.connected_components(matrix, directed=False)[1]
    names = pd.Series(list(index["video_id"]), index=index.index, dtype=str)
    return names.groupby(labels).transform("min")


def near_duplicates(
    index: pd.DataFrame, kept: Path | None = None, progress: Callable[[str, int, int], None] | None = None
) -> pd.DataFrame:
    """Pairs of near-duplicates among the videos of an index whose files are there.

    Parameters
    ----------
    index : table with ``video_id``, ``path`` and, if pictures lie elsewhere, ``frames_path``
    kept : Path, optional
        Folder in which fingerprints are kept.
    progress : callable, optional
        Called with a label, the videos done and their number.

    Returns
    -------
    DataFrame
        As ``duplicates.find`` gives it; ``first`` and ``second`` number the rows of ``index``.
    """
    paths = _absolute(column(index, "path"))
    gone = folders.missing(set(paths) - {""})
    rows = np.array([i for i, path in enumerate(paths) if path and path not in gone], int)
    frames = column(index, "frames_path")
    prints = fingerprints.of_videos(
        [paths[i] for i in rows], [frames[i] or paths[i] for i in rows], kept=kept, progress=progress
    )
    found = duplicates.find(prints)
    return found.assign(first=rows[found["first"]], second=rows[found["second"]])


def split_by_group(
    index: pd.DataFrame,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    kept: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """``clips.split_by_video``, with near-duplicates kept together: every video is looked at and listened to once.

    Parameters
    ----------
    index, fractions, seed : as in ``clips.split_by_video``
    kept, progress : as in :func:`near_duplicates`
    """
    return clips.split_by_video(index, fractions, seed, groups(index, near_duplicates(index, kept, progress)))


def published(index: pd.DataFrame, seed: int = 0, alike: pd.DataFrame | None = None) -> pd.DataFrame:
    """The split of *The Sound of Pixels*, in its proportions: which video stood where was never published.

    Of 714 videos, 500 trained (435 solos, 65 duets), 130 solos were mixed for its scores, and 84 duets were its test.
    COF's lists, named after it, set 100 of the training solos aside for validation. So are the solos of ``index`` dealt
    out 335 : 100 : 130, and its duets 65 : 0 : 84, each instrument and pair for itself.

    Parameters
    ----------
    index : table with the columns of ``clips``; its splits are replaced
    seed : same seed, same splits
    alike : as in :func:`groups`

    Returns
    -------
    DataFrame
        A copy in the same order.
    """
    videos = clips.one_row_each(index, groups(index, alike))
    kinds = dict(zip(index["instruments"], index["kind"], strict=True))
    wanted = {}
    for instruments, n in videos["instruments"].value_counts().items():
        parts = np.array(PUBLISHED[kinds[instruments]])
        wanted[instruments] = dealing.sizes(n, parts / parts.sum())
    places = dealing.deal(videos, wanted, seed)
    return index.assign(split=[clips.SPLITS[places[name]] for name in index["video_id"]])


def leave_out(index: pd.DataFrame, tested: pd.DataFrame, alike: pd.DataFrame | None = None) -> pd.DataFrame:
    """What of a list may train a model that is tested on another: nothing that belongs together with a tested video.

    MUSIC-21 holds the solos of MUSIC. Who trains on one and tests on the other trains on
    ``leave_out(music21, music_test)``.

    Parameters
    ----------
    index, tested : tables as in :func:`groups`
    alike : pairs of near-duplicates among the rows of both, those of ``tested`` numbered behind those of ``index``

    Returns
    -------
    DataFrame
        The rows of ``index`` that are left, numbered from 0.

    Raises
    ------
    StudyError
        If none is left.
    """
    left = index[~_with_tested(index, tested, alike)].reset_index(drop=True)
    if left.empty:
        raise StudyError(
            f"all {len(index)} videos belong together with those that are tested; train on another list, or split again"
        )
    return left


def check_apart(index: pd.DataFrame, tested: pd.DataFrame, alike: pd.DataFrame | None = None) -> None:
    """Refuse a training list of which a video, or one that belongs together with it, is tested.

    Parameters
    ----------
    index, tested, alike : as in :func:`leave_out`

    Raises
    ------
    StudyError
        It names the first such video, and says how many there are.
    """
    both = np.flatnonzero(_with_tested(index, tested, alike))
    if len(both):
        first = list(index["video_id"])[both[0]]
        raise StudyError(
            f"video {first} is trained on, and it or one that belongs together with it is tested "
            f"({len(both)} such in all); train on splits.leave_out of the list"
        )


def inherit(index: pd.DataFrame, known: pd.DataFrame, alike: pd.DataFrame | None = None) -> pd.DataFrame:
    """Give the videos that another list splits already the split that they have there, and all that belongs to them.

    After ``music21 = inherit(music21, music)``, a model trained on either list can be tested on both.

    Parameters
    ----------
    index, known : tables as in :func:`groups`, with ``split``
    alike : as in :func:`leave_out`, with ``known`` for ``tested``

    Returns
    -------
    DataFrame
        A copy of ``index`` in the same order. What belongs together and has several splits in ``known`` gets the last
        of training, validation and test.
    """
    both = pd.concat([index, known], ignore_index=True)
    names = groups(both, alike)
    places = pd.Series(pd.Categorical(known["split"], clips.SPLITS).codes, index=range(len(index), len(both)))
    latest = places.groupby(names.iloc[len(index) :]).max()
    mine = names.iloc[: len(index)].map(latest)
    return index.assign(split=_named_splits(mine, index["split"]))


def together(index: pd.DataFrame, alike: pd.DataFrame) -> pd.DataFrame:
    """Move near-duplicates that stand in several splits into the last of training, validation and test among these.

    Parameters
    ----------
    index : table as in :func:`groups`, with ``split``; its uploaders do not count, since one may have most videos
    alike : as in :func:`groups`

    Returns
    -------
    DataFrame
        A copy in the same order.
    """
    names = groups(index.drop(columns="uploader", errors="ignore"), alike)
    places = pd.Series(pd.Categorical(index["split"], clips.SPLITS).codes, index=index.index)
    latest = places.groupby(names).transform("max")
    return index.assign(split=_named_splits(latest, index["split"]))


def column(index: pd.DataFrame, name: str) -> list[str]:
    """A column of an index as text; empty where there is none."""
    if name not in index.columns:
        return [""] * len(index)
    return index[name].fillna("").astype(str).str.strip().tolist()


def _named_splits(places: pd.Series, before: pd.Series) -> list[str]:
    """The names of splits by their numbers; where there is none, what was before."""
    return [clips.SPLITS[int(place)] if place >= 0 else old for place, old in zip(places, before, strict=True)]


def _with_tested(index: pd.DataFrame, tested: pd.DataFrame, alike: pd.DataFrame | None) -> np.ndarray:
    """Which rows of a list belong together with a tested video, bool (rows,)."""
    names = groups(pd.concat([index, tested], ignore_index=True), alike).to_numpy()
    return np.isin(names[: len(index)], names[len(index) :])


def _absolute(paths: list[str]) -> list[str]:
    return [os.path.abspath(path) if path else "" for path in paths]


def real_files(index: pd.DataFrame) -> list[str]:
    """The files of an index without links; empty where none is named."""
    paths = _absolute(column(index, "path"))
    without_links = folders.real({path for path in paths if path})
    return [without_links.get(path, path) for path in paths]
