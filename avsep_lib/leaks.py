"""Leaks between two lists of videos: what is trained on and tested as well, under its own name or another.

Used by ``avsep music leaks`` and by ``protocol``.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pandas as pd

from avsep_lib import files, list_formats, splits

KINDS = {
    "video": "the same video",
    "file": "the same file under another name",
    "content": "a copy of the file under another name",
    "sound": "near-duplicates by their sound",
    "picture": "near-duplicates by their pictures",
    "uploader": "the same uploader",
}
"""What a leak can be, the surest first."""
_SHOWN = 10  # leaks of a kind that a report names


def check(
    list_a: str | Path | pd.DataFrame,
    list_b: str | Path | pd.DataFrame,
    kept: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """Look for leaks between two lists.

    Parameters
    ----------
    list_a, list_b : str, Path or DataFrame
        Lists as ``list_formats.read_any`` takes them, or tables with the column ``video_id``. Files, contents,
        sounds and pictures are compared where ``path`` names files that are there; uploaders, where the column is.
    kept : Path, optional
        Folder in which fingerprints are kept.
    progress : callable, optional
        Called with a label, the videos done and their number.

    Returns
    -------
    DataFrame
        One row for each leak: ``kind`` (of ``KINDS``), ``a`` and ``b`` (a ``video_id`` of each list), ``share`` (of
        marks or pictures in common; else 1), ``detail`` (file or uploader). A pair of videos is named by the surest
        of ``video``, ``file`` and ``content`` alone, or by its sound and by its pictures. An uploader is named once.

    Raises
    ------
    StudyError
        If a list cannot be read.
    """
    a, b = read(list_a), read(list_b)
    shared = a["video_id"][a["video_id"].isin(b["video_id"])]
    rows = [("video", name, name, 1.0, "") for name in shared]
    rows += _same_files(a, b)
    known = {(one, other) for _, one, other, *_ in rows}
    rows += [row for row in _alike(a, b, kept, progress) if row[1:3] not in known and row[1] != row[2]]
    rows += _same_uploaders(a, b)
    return pd.DataFrame(rows, columns=["kind", "a", "b", "share", "detail"])


def report(
    list_a: str | Path | pd.DataFrame, list_b: str | Path | pd.DataFrame, found: pd.DataFrame | None = None
) -> str:
    """What :func:`check` finds, in lines to read.

    Parameters
    ----------
    list_a, list_b : as in :func:`check`
    found : what it gave, if it was called already; a command whose exit code tells of leaks asks whether it is empty
    """
    found = check(list_a, list_b) if found is None else found
    lines = []
    for letter, videos in (("A", list_a), ("B", list_b)):
        table = read(videos)
        name = "a table" if isinstance(videos, pd.DataFrame) else videos
        there = int((table["file"] != "").sum())
        heard = f"{there} of their files looked at" if there else "none of their files is there: only names compared"
        lines.append(f"{letter}: {name}, {len(table)} videos; {heard}")
    for kind, words in KINDS.items():
        part = found[found["kind"] == kind]
        if len(part):
            lines.append(f"{words}: {len(part)}")
            lines += [f"  {_told(row)}" for row in part.head(_SHOWN).itertuples()]
            lines += [f"  and {len(part) - _SHOWN} more"] if len(part) > _SHOWN else []
    videos = found[found["kind"] != "uploader"]
    total = f"{videos['a'].nunique()} videos of A leak into B" if len(videos) else "no video leaks"
    uploaders = int((found["kind"] == "uploader").sum())
    lines.append(total + (f"; {uploaders} uploaders have videos in both" if uploaders else ""))
    return "\n".join(map(files.printable, lines))


def read(videos: str | Path | pd.DataFrame) -> pd.DataFrame:
    """A list as :func:`check` compares it: each video once, with its ``file`` without links, or "" if none is there."""
    table = videos if isinstance(videos, pd.DataFrame) else list_formats.read_any(videos)
    table = table.drop_duplicates("video_id").reset_index(drop=True)
    return table.assign(file=[path if os.path.isfile(path) else "" for path in splits.real_files(table)])


def same_content(paths: Iterable[str | Path]) -> Iterator[list[int]]:
    """Groups of files of the same content, by their numbers; contents are compared only where sizes are equal.

    Yields
    ------
    list of int
        Two or more numbers of ``paths``, in their order. A file that is named twice counts as its own copy; what is
        not there has none.
    """
    paths = list(paths)
    states = [files.state(path) for path in paths]
    for alike in _grouped((i for i, state in enumerate(states) if state), lambda i: states[i][0]):
        yield from _grouped(alike, lambda i: _digest(paths[i]))


def _grouped(numbers: Iterable[int], key: Callable[[int], object]) -> list[list[int]]:
    """Numbers of the same key, where there are several."""
    by_key: dict[object, list[int]] = {}
    for i in numbers:
        by_key.setdefault(key(i), []).append(i)
    return [each for each in by_key.values() if len(each) > 1]


def _digest(path: str | Path) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _same_files(a: pd.DataFrame, b: pd.DataFrame) -> list[tuple]:
    """Videos of both lists that are one file, or copies of one, under two names."""
    both = pd.concat([a, b], ignore_index=True)
    both = both.assign(of_a=both.index < len(a))[both["file"] != ""]
    paths, names, of_a = list(both["file"]), list(both["video_id"]), list(both["of_a"])
    rows = []
    for group in same_content(paths):
        for i in (i for i in group if of_a[i]):
            for j in (j for j in group if not of_a[j] and names[j] != names[i]):
                rows.append(("file" if paths[i] == paths[j] else "content", names[i], names[j], 1.0, paths[j]))
    return rows


def _alike(a: pd.DataFrame, b: pd.DataFrame, kept, progress) -> list[tuple]:
    """Near-duplicates between the lists."""
    both = pd.concat([a, b], ignore_index=True)
    if not ((a["file"] != "").any() and (b["file"] != "").any()):
        return []
    pairs = splits.near_duplicates(both.assign(path=both["file"]), kept, progress)
    names = list(both["video_id"])
    return [
        (by, names[i], names[j], share, "")
        for i, j, by, share in pairs[["first", "second", "by", "share"]].itertuples(index=False)
        if i < len(a) <= j
    ]


def _same_uploaders(a: pd.DataFrame, b: pd.DataFrame) -> list[tuple]:
    """Uploaders of both lists, each with the first video of each."""
    firsts = []
    for table in (a, b):
        names = pd.Series(list(table["video_id"]), index=splits.column(table, "uploader"), dtype=str)
        firsts.append(names[(names.index != "") & ~names.index.duplicated()])
    shared = [name for name in firsts[0].index if name in firsts[1].index]
    return [("uploader", firsts[0][name], firsts[1][name], 1.0, name) for name in shared]


def _told(row) -> str:
    """A leak in one line."""
    if row.kind == "video":
        return row.a
    if row.kind == "uploader":
        return f"{row.detail}: {row.a} in A, {row.b} in B"
    shared = f", {row.share:.0%} in common" if row.kind in ("sound", "picture") else ""
    return f"{row.a} in A, {row.b} in B{shared}"
