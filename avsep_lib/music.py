"""The folder of MUSIC and MUSIC-21 on this machine: what is there, what is missing and why, what can be used.

One folder serves both lists, since MUSIC-21 holds the solos of MUSIC::

    videos/<id>.mp4      as fetched; videos that you have already may lie here too, in folders of their own
    availability.csv     video_id, state, reason, date, uploader: what became of each that was asked for
    prepared/, fingerprints/, index.csv and the other tables of ``inventory``, which ``preparation`` writes

Used by ``avsep music`` and ``datasets``.
"""

import os
import threading
from collections.abc import Container, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import filelock
import pandas as pd

from avsep_lib import clips, files, inventory, music_lists
from avsep_lib.settings import StudyError

COLUMNS = ["video_id", "state", "reason", "date", "uploader"]
STATES = ("fetched", "gone", "private", "blocked", "short", "refused", "failed")
"""What became of a video that was asked for; ``refused`` has a name that is none, ``failed`` is asked for again."""
LOST = STATES[1:-1]
SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".m4v", ".avi")
CARD = "DATA_CARD.md"


def videos_there(root: str | Path) -> dict[str, Path]:
    """The files below ``videos/`` by the name of their video; of those deleted since, the prepared ones."""
    return _there(Path(root), inventory.records(Path(root)))


def _there(root: Path, records: Mapping[str, dict]) -> dict[str, Path]:
    """:func:`videos_there`, for records that were read already."""
    prepared = (root / "prepared").absolute()
    kept = {name: prepared / f"{name}.mp4" for name, record in records.items() if record["state"] == "usable"}
    return kept | _fetched(root)


def _fetched(root: Path) -> dict[str, Path]:
    """The files below ``videos/`` by the name of their video."""
    found, seen = {}, set()
    for folder, folders, names in os.walk(root / "videos", onerror=_raise, followlinks=True):
        real = os.path.realpath(folder)
        folders[:] = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names) if real not in seen else ():
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in SUFFIXES and not name.startswith(".") and os.path.exists(Path(folder) / name):
                found.setdefault(stem, Path(folder) / name)
        seen.add(real)
    return found


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


class Availability:
    """The table ``availability.csv``: what became of each video. Safe to note in from several threads and processes."""

    def __init__(self, root: str | Path):
        self.path = Path(root) / "availability.csv"
        self._threads = threading.Lock()
        self._processes = filelock.FileLock(self.path.with_name(".availability.lock"))
        self._rows: dict[str, dict[str, str]] = {}
        self._seen: tuple[int, int] | None = None
        self._catch_up()

    def _catch_up(self) -> None:
        """Take over what another process has noted since, if the file has changed."""
        if (now := files.state(self.path)) != self._seen:
            self._rows |= {row["video_id"]: row for row in self._read().to_dict("records")}
            self._seen = now

    def _read(self) -> pd.DataFrame:
        if not self.path.is_file():
            return pd.DataFrame(columns=COLUMNS)
        try:
            return pd.read_csv(self.path, dtype=str, keep_default_na=False)[COLUMNS]
        except (ValueError, KeyError) as error:
            raise StudyError(f"{self.path}: is no table of {', '.join(COLUMNS)} ({error}); mend or remove it") from None

    def state(self, video_id: str) -> str:
        """One of ``STATES``, or nothing for a video that was not asked for yet."""
        return self._rows.get(video_id, {}).get("state", "")

    def note(self, video_id: str, state: str, reason: str = "", uploader: str = "") -> None:
        """Write down what became of a video, today; the file is old or new, never half written."""
        date = datetime.now(UTC).date().isoformat()
        row = dict(zip(COLUMNS, (video_id, state, " ".join(reason.split()), date, uploader), strict=True))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._threads, self._processes:
            self._catch_up()
            self._rows[video_id] = row
            files.write_csv(self.table(), self.path)
            self._seen = files.state(self.path)

    def table(self) -> pd.DataFrame:
        """All that was noted, in the order in which it was first noted."""
        return pd.DataFrame(list(self._rows.values()), columns=COLUMNS)


def wanted(names: Iterable[str], there: Container[str], noted: Availability, again: bool) -> list[str]:
    """Those of some videos that are not there and, unless they are asked for ``again``, not lost."""
    lost = () if again else LOST
    return [name for name in names if name not in there and noted.state(name) not in lost]


def sources(root: str | Path, videos: pd.DataFrame, by_uploader: bool = False) -> pd.DataFrame:
    """The videos of a list that are there, as ``preparation.prepare`` wants them.

    Parameters
    ----------
    root : path of the folder
    videos : DataFrame
        As ``music_lists.with_splits`` gives it.
    by_uploader : bool
        Deal out the solos that are there anew, so that those of an uploader stand in one split. Such splits hang on
        what could be fetched.

    Returns
    -------
    DataFrame
        With the columns ``path`` and ``uploader`` besides.
    """
    there = videos_there(root)
    uploader = Availability(root).table().set_index("video_id")["uploader"].to_dict()
    videos = videos[videos["video_id"].isin(there)]
    paths = [str(there[name].absolute()) for name in videos["video_id"]]
    found = videos.assign(path=paths, uploader=[uploader.get(name, "") for name in videos["video_id"]])
    if by_uploader:
        solos = found["kind"] == "solo"
        found.loc[solos, "split"] = clips.split_by_video(found[solos])["split"]
    return found


def states(root: str | Path, videos: pd.DataFrame) -> pd.DataFrame:
    """What is known of each video of a list.

    Returns
    -------
    DataFrame
        The list, with ``there`` (a file of it is), ``fetch`` (its state in ``availability.csv``, or nothing), ``state``
        and ``reason`` (of preparation, or nothing), ``duration_s``, ``silent_s`` and ``still_s``.
    """
    records = inventory.records(Path(root))
    there = _there(Path(root), records)
    noted = Availability(root)
    names = videos["video_id"]
    table = videos.assign(there=names.isin(there), fetch=[noted.state(name) for name in names])
    prepared = _prepared(records)
    for column, nothing in (("state", ""), ("reason", ""), ("duration_s", 0.0), ("silent_s", 0.0), ("still_s", 0.0)):
        table = table.assign(**{column: names.map(prepared[column]).fillna(nothing)})
    return table


def status(root: str | Path, videos: pd.DataFrame) -> pd.DataFrame:
    """How many videos of each instrument or pair are listed, there, lost, missing and usable.

    Returns
    -------
    DataFrame
        One row per instrument or pair, and a last one, ``all``: ``listed`` = ``there`` + ``lost`` (gone, private,
        blocked, short or refused) + ``missing`` (not asked for yet, or failed); of those there, ``prepared``; of these,
        ``usable``, with their ``minutes``.
    """
    return _counted(states(root, videos))


def _counted(table: pd.DataFrame) -> pd.DataFrame:
    """:func:`status` of a table of :func:`states`."""
    lost = ~table["there"] & table["fetch"].isin(LOST)
    marks = pd.DataFrame(
        {
            "kind": table["kind"],
            "instruments": table["instruments"],
            "listed": 1,
            "there": table["there"],
            "lost": lost,
            "missing": ~table["there"] & ~lost,
            "prepared": table["there"] & (table["state"] != ""),
            "usable": table["there"] & (table["state"] == "usable"),
            "minutes": table["duration_s"].where(table["there"] & (table["state"] == "usable"), 0) / 60,
        }
    )
    by_kind = dict(list(marks.groupby("kind")))
    counted = pd.concat(
        [by_kind[kind].groupby("instruments").sum(numeric_only=True) for kind in clips.KINDS if kind in by_kind]
    )
    counted.loc["all"] = counted.sum()
    whole = [column for column in counted if column != "minutes"]
    return counted.astype(dict.fromkeys(whole, int)).round({"minutes": 1})


def why_not(root: str | Path, videos: pd.DataFrame) -> pd.Series:
    """How many videos of a list cannot be used, by what became of them."""
    return _why_not(states(root, videos))


def _why_not(table: pd.DataFrame) -> pd.Series:
    """:func:`why_not` of a table of :func:`states`."""
    fetched = table["fetch"].where(~table["there"], "")
    prepared = table["state"].where(table["there"] & (table["state"] != "usable"), "")
    why = fetched.where(fetched != "fetched", "removed").where(fetched != "", prepared)
    return why[why != ""].value_counts().rename("videos")


def card(root: str | Path, videos: pd.DataFrame, title: str) -> str:
    """A data card of what is there, in Markdown: how much, of what, what is lost, and what to keep in mind."""
    table = states(root, videos)
    counted = _counted(table)
    every = next(counted.tail(1).itertuples())
    usable = table[table["there"] & (table["state"] == "usable")]
    dates = Availability(root).table()["date"]
    asked = f"between {dates.min()} and {dates.max()}" if len(dates) else "not yet"
    silent, still = usable["silent_s"].sum() / 60, usable["still_s"].sum() / 60
    lost = ", ".join(f"{count} {name}" for name, count in _why_not(table).items()) or "none"
    alike = inventory.duplicates(Path(root)) or "No near-duplicates were found"
    uploaders = _in_several_splits(Path(root))
    splits = clips.counts(usable) if len(usable) else pd.DataFrame(columns=clips.SPLITS)
    return f"""# Data card: {title} on this machine

Written by `avsep music`; it says what lies in this folder, not what was published.

- **Listed:** {every.listed} videos. **There:** {every.there}. **Usable:** {every.usable}, {every.minutes:.1f} minutes.
- **Asked for:** {asked}. **Cannot be used:** {lost}. `availability.csv` and `prepared.csv` name each with its reason.
- **Marked** in what is usable: {silent:.1f} minutes silent, {still:.1f} minutes with a still picture (`stretches.csv`).
- **Form:** an MP4 file for each video; 11,025 Hz mono (FLAC, 16 bits), 8 pictures a second, 256 px short side (H.264).
- **Splits** are made of the lists, by video, so they stay when a video disappears, unless `--by-uploader` was given. A
  video has the same split in MUSIC and in MUSIC-21, and duets are for the test: no model is tested on what it learned
  from the other list. {alike}. {uploaders} uploaders have solos in more than one split.
- **Truth:** none. Duets have no tracks of their own; scores are those of solos that were mixed.
- **Rights:** the videos belong to those who made them. The project passes on their identifiers only. Whoever fetches
  them answers for it, under the law of their country and the terms of YouTube; do not pass them on.

## Videos by instrument

{_markdown(counted)}

## Usable solos by split

{_markdown(splits)}
"""


def read_index(root: str | Path, name: str, check_files: bool = True) -> pd.DataFrame:
    """The usable videos of a list, as ``clips.read_index`` gives them.

    Raises
    ------
    StudyError
        If nothing of the list is prepared; it says which commands do that.
    """
    path = Path(root) / "index.csv"
    commands = f"`avsep music download --dataset {name}`, then `avsep music prepare --dataset {name}`"
    if not path.is_file():
        raise StudyError(f"{path}: is not there, so no video of {music_lists.TITLES[name]} is prepared; run {commands}")
    index = clips.read_index(path, check_files=check_files)
    listed = index["lists"].str.split("+") if "lists" in index else pd.Series([[]] * len(index))
    chosen = index[[name in names for names in listed]].reset_index(drop=True)
    if chosen.empty:
        raise StudyError(f"{path}: holds no video of {music_lists.TITLES[name]}; run {commands}")
    return chosen


def _in_several_splits(root: Path) -> int:
    """How many uploaders have prepared solos in more than one split."""
    path = root / "index.csv"
    index = clips.read_index(path, check_files=False) if path.is_file() else pd.DataFrame(columns=["uploader"])
    if "uploader" not in index or index.empty:
        return 0
    known = index[(index["kind"] == "solo") & (index["uploader"] != "")]
    return int((known.groupby("uploader")["split"].nunique() > 1).sum())


def _prepared(records: Mapping[str, dict]) -> pd.DataFrame:
    """What preparation has found, by video."""
    columns = ["state", "reason", "duration_s", "silent_s", "still_s"]
    rows = {name: [record[column] for column in columns] for name, record in records.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _markdown(table: pd.DataFrame) -> str:
    """A table as Markdown, without a further package."""
    rows: list[Iterable] = [["", *table.columns], ["---"] + ["---:"] * len(table.columns)]
    rows += [[name, *row] for name, row in zip(table.index, table.to_numpy(dtype=object), strict=True)]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)
