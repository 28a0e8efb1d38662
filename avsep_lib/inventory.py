"""What a preparation leaves behind as tables: what became of each video, and the index of those that can be used.

``prepared.csv`` has a row for every video, ``stretches.csv`` one for each part that is silent or whose picture is
still, ``duplicates.csv`` one for each pair of near-duplicates, ``index.csv`` is read by a study. Used by
``preparation``.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from avsep_lib import clips, files, splits

RECORD = ("state", "reason", "duration_s", "silent_s", "still_s", "bytes", "note")
"""What ``prepared.csv`` tells of a video, beside its name."""
DUPLICATES = ("first", "second", "by", "share", "first_listed", "second_listed", "first_split", "second_split")
"""Columns of ``duplicates.csv``: two videos, what they share, the splits that they were listed in and have now."""
FINGERPRINTS = "fingerprints"
"""Folder of the fingerprints of prepared videos."""


def write(
    sources: pd.DataFrame,
    records: Mapping[str, dict],
    targets: Mapping[str, Path],
    root: Path,
    keep_splits: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """Write the tables of a preparation.

    Parameters
    ----------
    sources : DataFrame
        As ``preparation.prepare`` takes it.
    records, targets : mapping of str to dict, to Path
        The record and the file of each video, by name; a record may be empty.
    root : Path
        Folder of the tables.
    keep_splits : bool
        Leave near-duplicates in the splits that they have.
    progress : callable, optional
        Called with a label, the videos done and their number.

    Returns
    -------
    DataFrame
        The content of ``prepared.csv``.
    """
    rows = [{"video_id": name, **{key: record[key] for key in RECORD}} for name, record in records.items() if record]
    table = pd.DataFrame(rows, columns=["video_id", *RECORD])
    marks = [(name, what, *piece) for name, record in records.items() if record
             for what in ("silent", "still") for piece in record[what]]  # fmt: skip
    files.write_csv(table, root / "prepared.csv")
    files.write_csv(pd.DataFrame(marks, columns=["video_id", "what", "from_s", "to_s"]), root / "stretches.csv")
    index = _index(sources, table, targets)
    alike = splits.near_duplicates(index, root / FINGERPRINTS, progress)
    apart = index if keep_splits else splits.together(index, alike)
    files.write_csv(_named(alike, index, apart), root / "duplicates.csv")
    if len(index):
        clips.write_index(apart, root / "index.csv")
    else:
        (root / "index.csv").unlink(missing_ok=True)
    return table


def records(root: Path) -> dict[str, dict]:
    """The records of a preparation, also of one that was killed, by the name of their file.

    One that cannot be read, or whose video is gone or was changed, is left out.
    """
    found = {}
    for path in sorted((root / "prepared").glob("[!.]*.json")):
        try:
            record = json.loads(path.read_text())
            target = path.with_suffix(".mp4")
            if record["state"] != "usable" or target.stat().st_size == record["bytes"]:
                found[path.stem] = record
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def duplicates(root: Path) -> str:
    """What ``duplicates.csv`` holds, in a line; nothing if that is nothing."""
    path = root / "duplicates.csv"
    table = pd.read_csv(path, dtype=str) if path.is_file() else pd.DataFrame()
    if table.empty:
        return ""
    moved = {row.first for row in table.itertuples() if row.first_listed != row.first_split}
    moved |= {row.second for row in table.itertuples() if row.second_listed != row.second_split}
    return f"{len(table)} pairs of near-duplicates, for which {len(moved)} videos changed their split"


def _index(sources: pd.DataFrame, table: pd.DataFrame, targets: Mapping[str, Path]) -> pd.DataFrame:
    """The rows of what can be used, with the files and the lengths that were prepared."""
    usable = table[table["state"] == "usable"].set_index("video_id")
    index = sources[sources["video_id"].isin(usable.index)].drop(columns=["frames_path", "n_frames"], errors="ignore")
    found = {column: index["video_id"].map(usable[column]) for column in ("duration_s", "silent_s", "still_s")}
    index = index.assign(**found, path=[str(targets[name]) for name in index["video_id"]]).reset_index(drop=True)
    return index[[*clips.COLUMNS, *(column for column in index if column not in clips.COLUMNS)]]


def _named(alike: pd.DataFrame, index: pd.DataFrame, apart: pd.DataFrame) -> pd.DataFrame:
    """Near-duplicates by their names, with the splits that they were listed in and the one that they have now."""
    columns = {"by": alike["by"], "share": alike["share"].round(3)}
    for place in ("first", "second"):
        rows = alike[place].to_numpy()
        columns[place] = index["video_id"].to_numpy()[rows]
        columns[f"{place}_listed"] = index["split"].to_numpy()[rows]
        columns[f"{place}_split"] = apart["split"].to_numpy()[rows]
    return pd.DataFrame(columns)[list(DUPLICATES)]
