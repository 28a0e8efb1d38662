"""The lists of MUSIC and MUSIC-21, as they were published: which videos of YouTube, and what is played in them.

Identifiers only, as facts; the videos belong to those who made them. A list is a table with the columns ``video_id``,
``kind`` (``solo`` or ``duet``) and ``instruments`` (joined by ``+``). Used by ``avsep music`` and by notebook 01.

References
----------
github.com/roudimit/MUSIC_dataset; *The Sound of Pixels* (ECCV 2018) for MUSIC, *The Sound of Motions* (ICCV 2019) for
MUSIC-21.
"""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from avsep_lib import clips, instrument_names
from avsep_lib.settings import StudyError

NAMES = ("music", "music21")
"""The lists that come with the project."""
COLUMNS = ["video_id", "kind", "instruments"]
TITLES = {"music": "MUSIC", "music21": "MUSIC-21"}
_FOLDER = Path(__file__).parent / "lists"
_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_MARKS = (",", ";", "\t")  # between the cells of a table


def is_id(text: object) -> bool:
    """Whether a text can be the name of a video on YouTube, and so is safe in a file's name and in an address."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def read_list(name: str | Path) -> pd.DataFrame:
    """A list by its name, or one's own from a file.

    Parameters
    ----------
    name : str or Path
        ``music``, ``music21``, a JSON file of a form in which MUSIC or Solos was published (``{"DoubleBass": [id]}``,
        ``{"Trombone": {id: [[0, 6050]]}}``), or a CSV file with the columns above.

    Returns
    -------
    DataFrame
        In the order of the list. Names of one's own list are not checked, but for those in the form of Solos, which
        is told by them; see :func:`is_id`.

    Raises
    ------
    StudyError
        If there is no such list, the file is of another form or names no video, or a row lacks a name, is of an
        unknown kind or has as many instruments as its kind cannot.
    """
    path = _FOLDER / f"{name}.csv" if name in NAMES else Path(name).expanduser()
    return _from_json(path) if path.suffix.lower() == ".json" else _from_table(path)


def read_table(path: Path, columns: Sequence[str] = ("video_id",)) -> pd.DataFrame:
    """A table with a header, as text without spaces around it, numbered by its rows as an editor counts them.

    Parameters
    ----------
    path : a CSV file, with commas, semicolons or tabs
    columns : what it must have

    Raises
    ------
    StudyError
        If it is no such table, holds no videos, or a row has no name or another number of cells than the header.
    """
    text = content(path)
    file, mark = io.StringIO(text, newline=""), mark_of(text) or ","
    reader = csv.reader(file, delimiter=mark, skipinitialspace=True, strict=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except csv.Error as error:
        raise StudyError(f"{path} row {reader.line_num}: {error}; write the table again") from None
    (_, header), *rows = [(number, row) for number, row in rows if any(row)]
    if lacking := [column for column in columns if column not in header]:
        raise StudyError(f"{path}: has no column {', '.join(lacking)}; the first line must name {', '.join(columns)}")
    if twice := {name for name in header if name and header.count(name) > 1}:
        raise StudyError(f"{path}: has two columns {' and '.join(sorted(twice))}; keep one")
    if not rows:
        raise StudyError(f"{path}: names no videos; add rows")
    for number, row in rows:
        if len(row) != len(header):
            raise StudyError(f"{path} row {number}: has {len(row)} cells, and the header {len(header)}; correct it")
    table = pd.DataFrame([row for _, row in rows], index=[number for number, _ in rows], columns=header)
    for number in table.index[table["video_id"] == ""]:
        raise StudyError(f"{path} row {number}: video_id is empty; fill it in or remove the row")
    return table


def content(path: Path) -> str:
    """The text of a list.

    Raises
    ------
    StudyError
        If it is not there, no text, or empty.
    """
    if not path.is_file():
        raise StudyError(f"list {str(path)!r} is neither {' nor '.join(NAMES)} nor a file that is there")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise StudyError(f"{path}: is no list of videos, since it is not text; check the path") from None
    if not text.strip():
        raise StudyError(f"{path}: is no list of videos, since it is empty; get it again")
    return text


def mark_of(text: str) -> str:
    """What stands between the cells of a table whose first line names ``video_id``; nothing where none does."""
    header = text.lstrip().splitlines()[0]
    return next((each for each in _MARKS if "video_id" in cells(header, each)), "")


def cells(line: str, mark: str = ",") -> list[str]:
    """The cells of a line by itself, without quotes and spaces around them."""
    try:
        return [cell.strip() for row in csv.reader([line], delimiter=mark, skipinitialspace=True) for cell in row]
    except csv.Error:  # too long for a cell
        return [line]


def both() -> dict[str, pd.DataFrame]:
    """The two lists by name."""
    return {name: read_list(name) for name in NAMES}


def counts(lists: Mapping[str, pd.DataFrame], kind: str = "solo") -> pd.DataFrame:
    """How many videos of a kind each list names: one row per instrument or pair, one column per list."""
    columns = {name: table[table["kind"] == kind]["instruments"].value_counts() for name, table in lists.items()}
    return pd.DataFrame(columns).fillna(0).astype(int).sort_index()


def overlap(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """What two lists share.

    Returns
    -------
    DataFrame
        One row per instrument or pair, with the numbers ``first``, ``second``, ``both`` (under the same name) and
        ``renamed`` (in the other list, but under another name).
    """
    known = dict(zip(other["video_id"], other["instruments"], strict=True))
    theirs = one["video_id"].map(known)
    table = pd.DataFrame(
        {
            "first": one["instruments"].value_counts(),
            "second": other["instruments"].value_counts(),
            "both": one[theirs == one["instruments"]]["instruments"].value_counts(),
            "renamed": one[theirs.notna() & (theirs != one["instruments"])]["instruments"].value_counts(),
        }
    )
    return table.fillna(0).astype(int).sort_index()


def duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of a list whose video it names more than once, or under names that differ only in capital letters.

    The latter would be one file on the disks of macOS and Windows.
    """
    folded = table["video_id"].str.casefold()
    return table[folded.duplicated(keep=False)].sort_values("video_id").reset_index(drop=True)


def with_splits(lists: Mapping[str, pd.DataFrame] | None = None) -> pd.DataFrame:
    """All videos of the lists once, each with its split.

    Parameters
    ----------
    lists : mapping of str to DataFrame, optional
        Both, if none are given.

    Returns
    -------
    DataFrame
        With the columns ``split`` and ``lists`` (names joined by ``+``). Solos are dealt out by video, duets are for
        the test. Splits are of the lists, not of what could be fetched: they stay as they are when a video disappears.
        A solo of both lists has one split, so no model of one list is tested on what it learned from the other.
    """
    lists = both() if lists is None else lists
    parts = [table.assign(lists=name) for name, table in lists.items()]
    together = pd.concat(parts, ignore_index=True)
    names = together.groupby("video_id", sort=False)["lists"].agg(lambda each: "+".join(dict.fromkeys(each)))
    videos = together.drop_duplicates("video_id").assign(lists=lambda table: table["video_id"].map(names))
    videos = clips.split_by_video(videos)
    return videos.assign(split=videos["split"].where(videos["kind"] == "solo", "test")).reset_index(drop=True)


def _from_table(path: Path) -> pd.DataFrame:
    """A list with the columns of ours."""
    table = read_table(path, COLUMNS)[COLUMNS]
    for row in table.itertuples():
        _check(f"{path} row {row.Index}", *row[1:])
    return table.reset_index(drop=True)


def _from_json(path: Path) -> pd.DataFrame:
    """A list as MUSIC was published, where names of instruments have a space between two; or as Solos was."""
    try:
        listed = json.loads(content(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise _of_another_form(path, error) from None
    of_music = isinstance(listed, dict) and "videos" in listed
    rows = _rows(path, listed["videos"] if of_music else listed)
    if not of_music and not all(is_id(video_id) for video_id, *_ in rows):
        raise _of_another_form(path, "it has no 'videos', and names none of YouTube by instrument")
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(path: Path, listed: object) -> list[tuple[str, str, str]]:
    """The rows of what names videos by instruments."""
    if not isinstance(listed, dict) or not any(listed.values()):
        raise _of_another_form(path, "it names no videos by instrument")
    rows = []
    for names, videos in listed.items():
        if not isinstance(videos, list | dict):
            raise _of_another_form(path, f"{names!r} has no list of videos")
        instruments = instrument_names.joined(names)
        if not instrument_names.are_known(instruments):
            instruments = instrument_names.joined(names.replace(" ", "+"))
        for number, video_id in enumerate(videos, 1):
            video_id = video_id.strip() if isinstance(video_id, str) else video_id
            rows.append((video_id, clips.KINDS["+" in instruments], instruments))
            _check(f"{path}: video {number} of {names!r}", *rows[-1])
    return rows


def _of_another_form(path: Path, why: object) -> StudyError:
    form = '{"videos": {"flute violin": ["8DHG_hVSw1o", ...]}}, or a CSV table with ' + ", ".join(COLUMNS)
    return StudyError(f"{path}: is no list of videos ({why}); it must be JSON such as {form}")


def _check(where: str, video_id: object, kind: str, instruments: str) -> None:
    """Refuse what a row cannot say."""
    if not isinstance(video_id, str) or not video_id:
        raise StudyError(f"{where}: {video_id!r} is no name of a video; write its name, in quotes")
    if kind not in clips.KINDS:
        raise StudyError(f"{where}: unknown kind {kind!r}; it must be {' or '.join(clips.KINDS)}")
    clips.check_players(where, kind, instruments)
