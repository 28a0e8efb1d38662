"""The index of videos: a table that is checked when it is read, and splits in which no video stands twice.

One row is one video, with the columns

- ``video_id``: text, unique
- ``path``: its file; absolute in memory, relative to the index in ``index.csv``
- ``kind``: ``solo`` or ``duet``
- ``instruments``: names joined by ``+``, one for a solo, two or more for a duet (``cello+flute``)
- ``split``: ``train``, ``validation`` or ``test``
- ``duration_s``: length in seconds
- ``frames_path``, ``n_frames``: where the pictures are. For a video these are ``path`` and 0; the lists of
  Sound of Pixels name a directory of pictures and their number.
- ``uploader``, if it is there: whose video it is. Their videos stay in one split.

Every error is a ``ClipsError``: one line that names the row as an editor counts it (the header is row 1). Used by
everything that asks for data, and by notebook 01.
"""

import difflib
import math
import os
import re
from collections.abc import Hashable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd

from avsep_lib import dealing, files, folders, instrument_names, media
from avsep_lib.settings import StudyError

COLUMNS = ("video_id", "path", "kind", "instruments", "split", "duration_s")
KINDS = ("solo", "duet")  # a piece for one player, and for several
SPLITS = ("train", "validation", "test")
SOUND_OF_PIXELS_FPS = 8
SECONDS_FPS = 1  # lists of CCoL, CLIPSep, and those of iQuery for MUSIC count a picture for each second
_LEVELS_UP = 3  # how far above a Sound-of-Pixels list its files are looked for
_BELOW = ("", "data", "AVE_Dataset")  # and below these, where a list leaves out its folders
_LISTENED = 3  # sounds of a list whose length is held against what it counts
_PLAIN = re.compile(r"(?!\s*$)[^/\0]+(/[^/\0]+)*")  # a relative path; one with dots as a part is looked at again
_DOTS = re.compile(r"(^|/)\.{1,2}(/|$)")


class ClipsError(StudyError):
    """An index of videos that cannot be used as it is; the message names the row and says what to do."""


def read_index(path: str | Path, *, instruments: Sequence[str] = (), check_files: bool = True) -> pd.DataFrame:
    """Read an ``index.csv`` and check every row of it.

    Parameters
    ----------
    path : path of the index
    instruments : the names that may occur; empty allows any
    check_files : whether every file must be there. Each folder is listed once for that; without it, nothing but the
        index is read, and a file that is missing is named when it is first asked for.

    Returns
    -------
    DataFrame
        The columns above, ``path`` and ``frames_path`` absolute; further columns are kept as text.

    Raises
    ------
    ClipsError
        If the index is missing, empty or lacks a column, or if a row repeats a video, holds an unknown kind,
        split or instrument, an impossible length, or points to no file. A relative path that leaves the folder
        of the index is refused too, because a copied index would then silently point to other files; videos
        that lie elsewhere are named by absolute paths.
    """
    path = Path(path)
    table = _read_csv(path, header=0)
    lacking = [column for column in COLUMNS if column not in table.columns]
    if lacking:
        raise ClipsError(f"{path}: has no column {', '.join(lacking)}; the first line must name {', '.join(COLUMNS)}")
    if "frames_path" not in table.columns:
        table["frames_path"], table["n_frames"] = table["path"], "0"
    folder = path.absolute().parent
    same = table["path"].equals(table["frames_path"])
    table["path"] = _all_inside(folder, table["path"], path)
    table["frames_path"] = table["path"] if same else _all_inside(folder, table["frames_path"], path)
    return _checked(table, path, 2, instruments, check_files)


def write_index(index: pd.DataFrame, path: str | Path) -> None:
    """Write an ``index.csv``; it appears whole or not at all.

    Parameters
    ----------
    index : table with the columns above
    path : path of the file. Videos in its folder are stored relative to it, so that both can be moved together;
        others keep their absolute paths.

    Raises
    ------
    ClipsError
        If the table is empty, lacks a column or would be refused by ``read_index`` for another reason than a
        missing file.
    """
    path = Path(path)
    lacking = [column for column in COLUMNS if column not in index.columns]
    if lacking:
        raise ClipsError(f"{path}: the table has no column {', '.join(lacking)}; it is not written")
    stored = index.reset_index(drop=True)
    _checked(stored, path, 2, (), check_files=False)
    for column in {"path", "frames_path"} & set(stored.columns):
        stored[column] = [_relative(path.absolute().parent, text) for text in stored[column]]
    files.write_csv(stored, path)


def read_sound_of_pixels_index(
    path: str | Path, split: str = "train", root: str | Path | None = None, fps: float = 0, check_files: bool = True
) -> pd.DataFrame:
    """Read a list of Sound of Pixels, or of those who came after it: audio path, frames directory, number of frames.

    Parameters
    ----------
    path : path of the list, a CSV file without a header. The name of the folder of a row's audio tells who plays,
        as ``instrument_names.joined`` reads it (``flute violin`` is a duet). A fourth column, as CLIPSep and
        DAVIS have it, names one instrument instead (``Violin, fiddle`` is ``violin``). Relative paths are tried
        from the folder of the list and from three folders above it. Paths that begin with a slash, as CCoL and
        iQuery write them, and names without a folder, as DAVIS does, are tried in these folders too, and in their
        ``audio`` and ``frames``, also below ``data`` and ``AVE_Dataset``.
    split : the split that all its rows belong to
    root : the folder to try instead
    fps : pictures per second; 0 takes 8 for lists of Sound of Pixels, and 1 for those with a slash in front or a
        fourth column, which count seconds. Where the first sounds last less than half or more than twice as long,
        their length decides: iQuery's list of AVE counts every picture.
    check_files : whether every file must be there

    Returns
    -------
    DataFrame
        The columns above; ``path`` is the audio file, and the length is that of the frames.

    Raises
    ------
    ClipsError
        If the list is missing, empty or has other columns, or if a row repeats a video, has no frames or points
        to no file.

    References
    ----------
    github.com/hangzhaomit/Sound-of-Pixels, ``scripts/create_index_files.py``.
    """
    path = Path(path)
    rows = _read_csv(path, header=None)
    if rows.shape[1] not in (3, 4):
        raise ClipsError(
            f"{path}: has {rows.shape[1]} columns; a Sound-of-Pixels list has audio path, frames directory, number"
        )
    audio, frames, numbers, *label = (rows[column].str.strip().str.replace("\\", "/") for column in rows.columns)
    names = label[0].map(_label) if label else audio.map(lambda text: instrument_names.joined(Path(text).parent.name))
    audio_base, frames_base = _bases(path, audio, root, check_files)
    slashed = audio.iloc[0].startswith("/") and audio_base != Path("/")
    paths = [os.path.normpath(audio_base / text.lstrip("/")) for text in audio]
    counted = [_number(text) for text in numbers]
    usual = SECONDS_FPS if slashed or label else SOUND_OF_PIXELS_FPS
    fps = fps or (_heard_fps(paths, counted, usual) if check_files else usual)
    table = pd.DataFrame(
        {
            "video_id": [Path(text).stem for text in audio],
            "path": paths,
            "kind": [KINDS["+" in name] for name in names],
            "instruments": names,
            "split": split,
            "duration_s": [count / fps for count in counted],
            "frames_path": [os.path.normpath(frames_base / text.lstrip("/")) for text in frames],
            "n_frames": numbers,
        },
        index=rows.index,
    )
    return _checked(table, path, 1, (), check_files)


def split_by_video(
    index: pd.DataFrame,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> pd.DataFrame:
    """Deal the videos of each instrument (or pair) out to training, validation and test.

    Parameters
    ----------
    index : table with the columns above; its splits are replaced
    fractions : parts for training, validation and test, with sum 1. Every part above 0 gets a video where there
        are enough of them.
    seed : same seed, same splits, whatever the order of the rows
    groups : for each row, what it belongs to; what belongs together stands in one split. None takes the
        ``uploader``, if there is one. ``splits.groups`` finds near-duplicates too.

    Returns
    -------
    DataFrame
        A copy in the same order; all rows of one ``video_id`` stand in one split, and so do those of one group.

    Raises
    ------
    ClipsError
        If the fractions are not three numbers from 0 to 1 with sum 1.
    """
    if len(fractions) != len(SPLITS) or min(fractions) < 0 or not math.isclose(sum(fractions), 1):
        raise ClipsError(f"fractions must be three numbers from 0 to 1 with sum 1, not {tuple(fractions)}")
    videos = one_row_each(index, groups)
    wanted = {name: dealing.sizes(n, fractions) for name, n in videos["instruments"].value_counts().items()}
    places = dealing.deal(videos, wanted, seed)
    return index.assign(split=[SPLITS[places[name]] for name in index["video_id"]])


def one_row_each(index: pd.DataFrame, groups: Sequence[Hashable] | None = None) -> pd.DataFrame:
    """The videos of an index, one row for each, as ``dealing.deal`` takes them; groups as in :func:`split_by_video`."""
    if groups is None:
        uploaders = index["uploader"].fillna("").astype(str) if "uploader" in index.columns else [""] * len(index)
        groups = [("uploader", name) if name else ("video", video)
                  for name, video in zip(uploaders, index["video_id"], strict=True)]  # fmt: skip
    table = pd.DataFrame({"video_id": list(index["video_id"]), "instruments": list(index["instruments"])})
    table["group"] = pd.factorize(pd.Series(list(groups), dtype=object))[0]
    return table.sort_values(["video_id", "instruments"], kind="stable").drop_duplicates("video_id")


def check_splits(index: pd.DataFrame) -> None:
    """Refuse an index in which one video stands in two splits.

    Parameters
    ----------
    index : table with the columns above, for instance several lists put together

    Raises
    ------
    ClipsError
        If two rows with the same ``video_id``, or with the same file, have different splits.
    """
    paths = [os.path.abspath(path) for path in index["path"]]
    without_links = folders.real(paths)
    files = [without_links[path] for path in paths]
    for what, keys in (("video", list(index["video_id"])), ("file", files)):
        pairs = pd.DataFrame({"key": keys, "split": list(index["split"])}).drop_duplicates()
        leaks = pairs[pairs["key"].duplicated(keep=False)]
        if len(leaks):
            splits = leaks.groupby("key")["split"].unique()
            raise ClipsError(
                f"{what} {splits.index[0]} stands in {' and '.join(splits.iloc[0])} ({len(splits)} such in all); "
                "keep it in one split, or split again by video"
            )


def counts(index: pd.DataFrame) -> pd.DataFrame:
    """Number of solo videos.

    Parameters
    ----------
    index : table with the columns above

    Returns
    -------
    DataFrame
        One row per instrument, in alphabetical order, one column per split.
    """
    solos = index[index["kind"] == "solo"]
    table = pd.crosstab(solos["instruments"], solos["split"])
    return table.reindex(columns=pd.Index(SPLITS, name="split"), fill_value=0)


def check_players(where: str, kind: str, instruments: str) -> None:
    """Refuse a row whose instruments lack a name, or are too few or too many for its kind.

    Parameters
    ----------
    where : how a message names the row
    kind : one of ``KINDS``
    instruments : names joined by ``+``

    Raises
    ------
    ClipsError
        It says what to correct.
    """
    names = instruments.split("+")
    if kind != KINDS[len(names) > 1]:
        wanted = "1 instrument" if kind == "solo" else "2 or more instruments"
        raise ClipsError(f"{where}: a {kind} has {wanted}, not {instruments!r}; correct kind or instruments")
    if not all(names):
        raise ClipsError(f"{where}: instruments {instruments!r} lacks a name; fill it in")


def choose(
    index: pd.DataFrame, split: str | None = None, kind: str | None = None, players: int | None = None
) -> pd.DataFrame:
    """The videos of a split, of a kind, of a number of players, or of all these.

    Parameters
    ----------
    index : table with the columns above
    split : one of ``SPLITS``; None for all
    kind : ``solo`` or ``duet``; None for both
    players : how many play; None for any number

    Returns
    -------
    DataFrame
        A copy whose rows are numbered from 0.

    Raises
    ------
    ClipsError
        If no video is left, or the split or kind is unknown.
    """
    chosen = index
    for column, wanted, known in (("split", split, SPLITS), ("kind", kind, KINDS)):
        if wanted is not None:
            _check_known(f"choose {column}", column, wanted, known)
            chosen = chosen[chosen[column] == wanted]
    if players is not None:
        chosen = chosen[chosen["instruments"].str.count(r"\+") + 1 == players]
    if chosen.empty:
        named = (("split", split), ("kind", kind), ("players", players))
        asked = " and ".join(f"{name} {value}" for name, value in named if value is not None)
        raise ClipsError(
            f"none of the {len(index)} videos of the index is of {asked or 'any kind'}; "
            "add some, or split the index again"
        )
    return chosen.reset_index(drop=True)


def _where(path, row):
    """How a message names a row of a file."""
    return f"{path} row {row}"


def _read_csv(path, header):
    """A CSV file as text, with pandas' errors told in our words."""
    if not path.is_file():
        raise ClipsError(f"{path}: does not exist; render the set, or check the path")
    try:
        table = pd.read_csv(
            path, header=header, dtype=str, skip_blank_lines=False, keep_default_na=False, encoding="utf-8-sig"
        ).fillna("")
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ClipsError(f"{path}: is not a CSV table ({str(error).strip()}); write it again") from error
    return _filled(table[(table != "").any(axis=1)], path)  # the rows keep their numbers


def _filled(table, path):
    """The table, unless it is empty."""
    if table.empty:
        raise ClipsError(f"{path}: holds no videos; render the set again, or add rows")
    return table


def _all_inside(folder, texts, path):
    """Absolute paths of all files that a column of an index names; most need no closer look."""
    base = str(folder).rstrip("/")
    return [
        f"{base}/{text}" if _PLAIN.fullmatch(text) and not _DOTS.search(text) else _inside(folder, text, path, i)
        for i, text in texts.items()
    ]


def _inside(folder, text, path, number):
    """The absolute path of a file named in an index; a relative name must stay in the index's folder."""
    where = _where(path, number + 2)
    if not text.strip():
        raise ClipsError(f"{where}: names no file; fill in its path or remove the row")
    full = os.path.normpath(folder / text)
    if not os.path.isabs(text) and not Path(full).is_relative_to(folder):
        raise ClipsError(f"{where}: {text} leads out of the folder of the index; use an absolute path")
    return full


def _relative(folder, text):
    """A path as an index in ``folder`` stores it."""
    full = Path(os.path.normpath(Path(text).absolute()))
    return full.relative_to(folder).as_posix() if full.is_relative_to(folder) else str(full)


def _label(text):
    """A class as a fourth column names it: one instrument, whatever spaces it holds."""
    return instrument_names.one(text.split(",")[0])


def _heard_fps(paths, counted, fps):
    """Pictures per second by the first sounds of a list, where those contradict what is usual; else that."""
    measured = []
    for path, count in zip(paths[:_LISTENED], counted[:_LISTENED], strict=True):
        with suppress(media.MediaError, ZeroDivisionError):
            measured.append(count / media.probe(path).duration_s)
    heard = float(np.median(measured)) if measured else fps
    return heard if heard > 2 * fps or 0 < heard < fps / 2 else fps


def _bases(path, audio, root, check_files):
    """Folders below which the sound and the pictures of a Sound-of-Pixels list lie."""
    if root is None and any(text.startswith("/") and os.path.isfile(text) for text in audio):
        return Path("/"), Path("/")
    folder = path.absolute().parent
    bases = [Path(root).absolute()] if root is not None else [folder, *folder.parents][: _LEVELS_UP + 1]
    pairs = [(base, base) for base in bases]
    if audio.iloc[0].startswith("/") or "/" not in audio.iloc[0]:
        pairs += [(base / below / "audio", base / below / "frames") for base in bases for below in _BELOW]
    for sound, pictures in pairs:
        if any((sound / text.lstrip("/")).is_file() for text in audio):
            return sound, pictures
    if not check_files:
        return bases[0], bases[0]
    where = f"not below {root}" if root is not None else f"neither below {folder} nor {_LEVELS_UP} folders up"
    raise ClipsError(f"{_where(path, 1)}: {audio.iloc[0]} is {where}; put the list beside its data folder")


def _number(text):
    """A number, or NaN, which the checks refuse."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _checked(table, path, first_row, instruments, check_files):
    """The table with its numbers read; of its rows, only those that look odd are looked at one by one."""
    table = _filled(table, path)
    table = table.assign(duration_s=[_number(text) for text in table["duration_s"]])
    if "n_frames" in table.columns:
        table["n_frames"] = [_number(text) for text in table["n_frames"]]
    missing = folders.missing({*table["path"], *table["frames_path"]}) if check_files else set()
    for i in np.flatnonzero(_odd(table, instruments, missing)):
        _refuse(table, i, path, first_row, instruments, missing)
    if "n_frames" in table.columns:
        table["n_frames"] = table["n_frames"].astype(int)
    return table.reset_index(drop=True)


def _odd(table, instruments, missing):
    """Which rows :func:`_refuse` would refuse, for all of them at once."""
    names = table["instruments"]
    unknown = [each for each in names.unique() if instruments and not set(each.split("+")) <= set(instruments)]
    odd = names.isin(unknown) | names.str.contains(r"^$|^\+|\+$|\+\+")
    odd |= (table["kind"] == "duet") != names.str.contains("+", regex=False)
    for column in ("video_id", "path"):
        odd |= table[column].duplicated() | (table[column] == "")
    for column, known in (("kind", KINDS), ("split", SPLITS)):
        odd |= ~table[column].isin(known)
    odd |= ~(np.isfinite(table["duration_s"]) & (table["duration_s"] > 0))
    if "n_frames" in table.columns:
        odd |= ~(np.isfinite(table["n_frames"]) & (table["n_frames"] >= 0))
    if missing:
        odd |= table["path"].isin(missing) | table["frames_path"].isin(missing)
    return odd.to_numpy()


def _refuse(table, i, path, first_row, instruments, missing):
    """Refuse a row by what is wrong with it first."""
    row, where = table.iloc[i].to_dict(), _where(path, table.index[i] + first_row)
    for column in ("video_id", "path"):
        earlier = int(np.argmax((table[column] == row[column]).to_numpy()))
        if earlier != i or not row[column]:
            fault = f"is that of row {table.index[earlier] + first_row} too" if row[column] else "is empty"
            raise ClipsError(f"{where}: {column} {row[column]!r} {fault}; keep one row for each video")
    _check_row(row, where, instruments)
    for file in (row["path"], row.get("frames_path")):
        if file in missing:
            raise ClipsError(f"{where}: {file} does not exist; make the file again or remove the row")


def _check_row(row, where, instruments):
    """Refuse what a row cannot say."""
    _check_known(where, "kind", row["kind"], KINDS)
    _check_known(where, "split", row["split"], SPLITS)
    check_players(where, row["kind"], row["instruments"])
    for name in row["instruments"].split("+") if instruments else ():
        _check_known(where, "instrument", name, tuple(instruments))
    if not (math.isfinite(row["duration_s"]) and row["duration_s"] > 0):
        raise ClipsError(
            f"{where}: its length (duration_s, or the number of frames) must be above 0; correct it or remove the row"
        )
    frames = row.get("n_frames", 0)
    if not (math.isfinite(frames) and frames >= 0):
        raise ClipsError(f"{where}: n_frames must be a whole number from 0; correct it or remove the row")


def _check_known(where, what, name, known):
    """Refuse a word that is not among the known ones, and say which may be meant."""
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}" if near else f"it must be one of {', '.join(known)}"
        raise ClipsError(f"{where}: unknown {what} {name!r}; {hint}")
