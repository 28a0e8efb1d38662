"""Lists of videos and of mixtures as the successors of Sound of Pixels publish them, read into our index.

- Sound of Pixels: rows of sound, frames, number of frames, without a header. With a slash in front: CCoL, iQuery. With
  the instrument behind: CLIPSep, DAVIS. Read by ``clips.read_sound_of_pixels_index``.
- CCoL, iQuery, DAVIS: rows of two or more sounds that are mixed for a test (``/flute/a.wav, /cello/b.wav``).
- Text: a name, a path or an address of YouTube in each line; with the sound and the video of a clip in each line, DSOL
  (``<id>_0_1000.flac <id>_0_1000.mp4``).
- AVE: rows ``Category&id&Quality&Start&End``.
- MUSIC, Solos: a JSON file; a table whose header names ``video_id``. Both are read by ``music_lists``.

Used by ``datasets``, ``splits`` and ``leaks``.
"""

import re
import warnings
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pandas as pd

from avsep_lib import clips, instrument_names, music_lists
from avsep_lib.settings import StudyError

FILES = {
    "train": ("train.csv", "trainmusic.csv", "trainmusic21.csv", "trainave.csv", "TrainS335_D65.csv",
              "music_TrainS335_D65_f8fps_11k.csv"),
    "validation": ("val.csv", "ValValS100.csv", "music_ValValS100_f8fps_11k.csv"),
    "test": ("test.csv", "testmusic.csv", "testmusic21.csv", "testave.csv", "ValTestS130.csv", "TestD84.csv",
             "music_ValTestS130_f8fps_11k.csv", "music_TestD84_f8fps_11k.csv"),
}  # fmt: skip
"""What lists are called, by their split: Sound of Pixels and CCoL; iQuery; COF, whose names tell how many solos (S) and
duets (D) each holds of the published split."""
_SOUNDS = (".wav", ".mp3", ".flac", ".m4a", ".ogg", ".aac", ".opus")
_FILES = (*_SOUNDS, ".mp4", ".m4v", ".webm", ".mkv", ".avi", ".mov", ".jpg", ".jpeg", ".png", ".npy")
_ID = r"([A-Za-z0-9_-]{11})"
_CUT = re.compile(_ID + r"(?:_\d+_\d+|_\d{6}|\.f\d[\w-]*)")  # and from when to when, from when, or the format of yt-dlp
_ADDRESS = re.compile(
    r"(?:https?://)?(?:(?:www|m|music)\.)?(?:youtube\.com/(?:watch\?(?:\S*&)?v=|shorts/|embed/|live/)|youtu\.be/)"
    + _ID + r"(?:[?&#/]\S*)?"
)  # fmt: skip
_NEXT = re.compile(rf"({'|'.join(map(re.escape, _FILES))})\s", re.IGNORECASE)  # a file, and another behind it
_NO_NAME = re.compile(r"[\s&?=:;|<>\"'{}]")
_AVE_FIELDS = 5
_SHOWN = 5  # videos that a warning names


def in_folder(folder: str | Path) -> dict[str, list[Path]]:
    """The lists that lie in a folder, by split; only splits that have one."""
    there = {split: [Path(folder) / name for name in names if (Path(folder) / name).is_file()]
             for split, names in FILES.items()}  # fmt: skip
    return {split: paths for split, paths in there.items() if paths}


def read_folder(folder: str | Path, seed: int = 0) -> pd.DataFrame:
    """The index of a folder of lists; each list is a split.

    Parameters
    ----------
    folder : holds a list for training and others, called as ``FILES`` says
    seed : without a test list, half of the validation videos become the test, drawn with it; without one for
        validation, a tenth of the training videos of each instrument become it

    Returns
    -------
    DataFrame
        As ``clips.read_index`` gives it.

    Raises
    ------
    StudyError
        If there is no list, one of them cannot be read, or a video stands in two splits.

    Warns
    -----
    UserWarning
        If a video stands in two splits under two names of instruments, as one of AVE does in the lists of DAVIS: it
        is left out of the earlier one, of training first.
    """
    parts = {split: pd.concat([clips.read_sound_of_pixels_index(path, split) for path in paths])
             for split, paths in in_folder(folder).items()}  # fmt: skip
    if not parts:
        raise StudyError(f"{folder}: holds no list of videos; one for training is called {' or '.join(FILES['train'])}")
    if "test" not in parts and "validation" in parts:
        parts["validation"] = clips.split_by_video(parts["validation"], (0.0, 0.5, 0.5), seed)
    index = pd.concat(parts.values()).drop_duplicates(["video_id", "split"], ignore_index=True)
    index = _without_renamed(index, folder)
    clips.check_splits(index)
    if "test" in parts and "validation" not in parts:
        training = index["split"] == "train"
        index.loc[training, "split"] = clips.split_by_video(index[training], (0.9, 0.1, 0.0), seed)["split"]
    return index


def read_pairs(path: str | Path) -> pd.DataFrame:
    """A list of mixtures: which videos sound together.

    Parameters
    ----------
    path : CSV file without a header, a mixture in each row, a sound in each column

    Returns
    -------
    DataFrame
        A row for each source: ``mixture``, ``source`` (both from 0), ``video_id``, ``instruments`` (the name of the
        sound's folder), ``path`` (as the list writes it). CCoL names four sounds in a row; in its test with silent
        objects, the second and the fourth of them are only seen.

    Raises
    ------
    StudyError
        If it is no such list.
    """
    rows = list(_rows(_lines(path)).values())
    if not _are_pairs(rows):
        raise StudyError(f"{path}: is no list of mixtures; each row must name two or more sounds (/flute/a.wav, ...)")
    table = [(mixture, source, text) for mixture, row in enumerate(rows) for source, text in enumerate(row)]
    listed = pd.DataFrame(table, columns=["mixture", "source", "path"])
    names = [_named(text) for text in listed["path"]]
    listed.insert(2, "video_id", [video for video, _ in names])
    listed.insert(3, "instruments", [instruments for _, instruments in names])
    return listed


def read_any(path: str | Path) -> pd.DataFrame:
    """What a list of any form names, each video once, whether its files are there or not.

    Parameters
    ----------
    path : ``music`` or ``music21``, an index, a list of a form above, a folder with an ``index.csv`` or with lists

    Returns
    -------
    DataFrame
        ``video_id``, and what else the list tells: ``kind``, ``instruments``, ``path``, ``frames_path``, ``uploader``,
        ``split``.

    Raises
    ------
    StudyError
        If there is no such list, or it is of no known form.
    """
    if path in music_lists.NAMES:
        return music_lists.read_list(path)
    path = Path(path).expanduser()
    if path.is_dir():
        if (path / "index.csv").is_file():
            return read_any(path / "index.csv")
        lists = [read_any(part) for parts in in_folder(path).values() for part in parts]
        if not lists:
            raise StudyError(f"{path}: holds neither an index.csv nor lists; name the list itself")
        return pd.concat(lists).drop_duplicates("video_id").reset_index(drop=True)
    if path.suffix.lower() == ".json":
        return music_lists.read_list(path)
    lines = _lines(path)
    if music_lists.mark_of(next(iter(lines.values()))):
        return _table(path)
    rows = _rows(lines)
    if _are_pairs(rows.values()):
        return read_pairs(path).drop_duplicates("video_id")[["video_id", "instruments"]].reset_index(drop=True)
    if all(line.count("&") == _AVE_FIELDS - 1 for line in lines.values()):
        names = [(video, instrument_names.one(category)) for category, video in annotations(path)]
    elif all(len(row) == 1 for row in rows.values()):
        names = [_named(_told(row[0], f"{path} row {number}")) for number, row in rows.items()]
    else:
        _check_sounds(path, rows)
        return clips.read_sound_of_pixels_index(path, check_files=False)
    return pd.DataFrame(names, columns=["video_id", "instruments"]).drop_duplicates("video_id", ignore_index=True)


def annotations(path: str | Path) -> list[tuple[str, str]]:
    """Category and video of each line of a list of AVE, as they stand there; lines of another form are left out."""
    lines = Path(path).read_text(encoding="utf-8-sig", errors="replace").splitlines()
    fields = [line.strip().split("&") for line in lines]
    return [(row[0], row[1]) for row in fields if len(row) > 1 and row[1] != "VideoID"]


def _without_renamed(index: pd.DataFrame, folder: str | Path) -> pd.DataFrame:
    """An index in the order of its splits, without what stands in a later one under another name of an instrument."""
    order = index["split"].map(clips.SPLITS.index)
    last = order.groupby(index["video_id"]).transform("max")
    names = index.groupby("video_id")["instruments"].transform("nunique")
    twice = (order < last) & (names > 1)
    if twice.any():
        videos = index["video_id"][twice].unique()
        warnings.warn(
            f"{folder}: {', '.join(videos[:_SHOWN])} ({len(videos)} videos in all) stand in two splits under two names "
            "of instruments, and are left out of the earlier one; take them out of one list",
            stacklevel=3,
        )
    return index[~twice].reset_index(drop=True)


def _table(path: Path) -> pd.DataFrame:
    """A table that has a header: an index, or one that tells less."""
    table = music_lists.read_table(path)
    if set(clips.COLUMNS) <= set(table):
        table = clips.read_index(path, check_files=False)
        table["video_id"] = table["video_id"].str.strip()
    return table.drop_duplicates("video_id", ignore_index=True)


def _lines(path: str | Path) -> dict[int, str]:
    """The lines of a list that hold anything, by their numbers."""
    lines = music_lists.content(Path(path)).splitlines()
    return {number: line for number, line in enumerate(lines, 1) if line.strip()}


def _rows(lines: dict[int, str]) -> dict[int, list[str]]:
    """The fields of a list, without quotes and spaces around them; separators of Windows are turned."""
    return {number: [cell.replace("\\", "/") for cell in music_lists.cells(line)] for number, line in lines.items()}


def _are_pairs(rows: Iterable[list[str]]) -> bool:
    return all(len(row) > 1 and all(text.lower().endswith(_SOUNDS) for text in row) for row in rows)


def _check_sounds(path: Path, rows: dict[int, list[str]]) -> None:
    """Refuse a table without a header of ours whose rows do not begin with a sound."""
    for number, row in rows.items():
        if not row[0].lower().endswith(_FILES):
            raise StudyError(
                f"{path} row {number}: {row[0]!r} is no sound of a list of Sound of Pixels; give such a list, a name "
                "or a path in each line, or a table whose first line names video_id"
            )


def _told(text: str, where: str) -> str:
    """The name or the file that a line of text is; of the files of a clip, as DSOL names them, the first."""
    if address := _ADDRESS.fullmatch(text):
        return address[1]
    files = text.split() if _NEXT.search(text) else [text]
    name = PurePosixPath(text).name
    if len({PurePosixPath(file).stem for file in files}) > 1 or (
        not text.lower().endswith(_FILES) and (_NO_NAME.search(name) or not name or "://" in text)
    ):
        raise StudyError(f"{where}: {text!r} is no name of a video; give a name or a path in each line")
    return files[0]


def _named(text: str) -> tuple[str, str]:
    """The name of a video and its instruments, by a path or by the name alone."""
    path = PurePosixPath(text)
    name = path.stem if path.suffix.lower() in _FILES else path.name
    cut = _CUT.fullmatch(name)
    return cut[1] if cut else name, instrument_names.joined(path.parent.name)
