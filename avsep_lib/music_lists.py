"""The lists of MUSIC and MUSIC-21, as they were published: which videos of YouTube, and what is played in them.

Identifiers only, as facts; the videos belong to those who made them. A list is a table with the columns ``video_id``,
``kind`` (``solo`` or ``duet``) and ``instruments`` (joined by ``+``). Used by ``avsep music`` and by notebook 01.

References
----------
github.com/roudimit/MUSIC_dataset; *The Sound of Pixels* (ECCV 2018) for MUSIC, *The Sound of Motions* (ICCV 2019) for
MUSIC-21.
"""

import json
import re
from collections.abc import Mapping
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
        If there is no such list, or the file is of another form.
    """
    path = _FOLDER / f"{name}.csv" if name in NAMES else Path(name).expanduser()
    if not path.is_file():
        raise StudyError(f"list {str(name)!r} is neither {' nor '.join(NAMES)} nor a file that is there")
    try:
        table = _from_json(path) if path.suffix == ".json" else pd.read_csv(path, dtype=str, keep_default_na=False)
        return table[COLUMNS].reset_index(drop=True)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        form = '{"videos": {"flute violin": ["8DHG_hVSw1o", ...]}}, or a CSV table with ' + ", ".join(COLUMNS)
        raise StudyError(f"{path}: is no list of videos ({error}); it must be JSON such as {form}") from None


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


def _from_json(path: Path) -> pd.DataFrame:
    """A list as MUSIC was published, where names of instruments have a space between two; or as Solos was."""
    content = json.loads(path.read_text(encoding="utf-8"))
    of_music = "videos" in content
    rows = []
    for names, videos in (content["videos"] if of_music else content).items():
        if not isinstance(videos, list | dict):
            raise TypeError(f"{names!r} has no list of videos")
        instruments = instrument_names.joined(names)
        if not instrument_names.are_known(instruments):
            instruments = instrument_names.joined(names.replace(" ", "+"))
        rows += [(video_id, clips.KINDS["+" in instruments], instruments) for video_id in videos]
    if not of_music and not (rows and all(is_id(video_id) for video_id, *_ in rows)):
        raise ValueError("it has no 'videos', and names none of YouTube by instrument")
    return pd.DataFrame(rows, columns=COLUMNS)
