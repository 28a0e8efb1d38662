"""Data sets that lie in folders, told by how they lie there: every reader gives the same table.

- instruments: ``<instrument>/<video>``, at will below or above a folder called ``train``, ``val`` or ``test``, and with
  other folders between (``videos/solo/cello/a.mp4``, ``cello/<id>/<id>.mp4``): the nearest known name above a video
  counts, else the nearest of any kind. A folder of several players has their names one after the other
  (``instrument_names.joined``). So lie MUSIC, MUSIC-21 and Solos (``DoubleBass/<id>.mp4``).
- URMP: ``NN_Name_inst1_inst2/`` with ``Vid_*.mp4``, and ``AuSep_k_inst_*.wav``, the true track of each player; at any
  depth, as in ``URMP/Dataset``
- AVE: ``Annotations.txt`` and ``AVE/<id>.mp4``, in the folder or one below; rows ``Category&id&Quality&Start&End``;
  lists of the splits called ``trainSet.txt``, ``valSet.txt`` and ``testSet.txt``. Only instruments are taken.
- MUSIC-Synthetic: ``audio/K.wav``, ``video/K.jpg`` and ``box/K.npy``, below a folder for each split. Two of the four
  players of a picture sound, and only instruments that sound are boxed; where one of the two has no boxes, its name is
  not known, so only pictures whose boxes name two are taken. Its sounds last a second, so it can be used with clips
  of at most that alone: ``--set clip_samples=8191 audio_levels=4`` (0.74 s), at any preset.

The table has the columns ``video_id``, ``path``, ``frames_path``, ``kind``, ``instruments`` (names as ours, joined by
``+``) and ``split``, which is empty where the layout names none. Nothing is decoded here, and nothing written. Used
through ``datasets`` and ``rendered``.
"""

import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from avsep_lib import instrument_names, list_formats, music_lists
from avsep_lib.settings import StudyError

COLUMNS = ("video_id", "path", "frames_path", "kind", "instruments", "split")
VIDEOS = {".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".ts", ".flv", ".wmv", ".3gp", ".ogv"}
_SOUNDS = {".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus"}
URMP_INSTRUMENTS = {
    "vn": "violin", "va": "viola", "vc": "cello", "db": "double_bass", "fl": "flute", "ob": "oboe", "cl": "clarinet",
    "sax": "saxophone", "bn": "bassoon", "tpt": "trumpet", "hn": "horn", "tbn": "trombone", "tba": "tuba",
}  # fmt: skip
"""What URMP's file names say, in our words."""
_SYNTHETIC_INSTRUMENTS = {
    1: "cello", 3: "acoustic_guitar", 8: "saxophone", 10: "trumpet", 11: "violin", 12: "flute", 13: "accordion",
}  # fmt: skip
_SPLITS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test", "test1": "test",
}  # fmt: skip
_AVE_LISTS = {"train": "trainSet.txt", "validation": "valSet.txt", "test": "testSet.txt"}
_SHOWN = 8  # names in a message
_CODES = "|".join(URMP_INSTRUMENTS)
_PIECE = re.compile(rf"\d+_.+?((?:_(?:{_CODES}))+)")
_TRACK = re.compile(rf"AuSep_(\d+)_({_CODES})_.*\.wav", re.IGNORECASE)


class Layout(NamedTuple):
    """A way in which a data set may lie in a folder.

    Attributes
    ----------
    name : str
    expected : str
        What must be there, for a message.
    rows : callable
        The rows of a folder and of all videos in it, as ``(path, frames_path, instruments, split)``; none where it is
        of another layout.
    """

    name: str
    expected: str
    rows: Callable[[Path, list[Path]], list[tuple]]


def read(folder: str | Path) -> pd.DataFrame:
    """All videos of a folder, by the first layout that fits.

    Parameters
    ----------
    folder : path of the data set, as it was unpacked or downloaded. Links to folders in it are not followed.

    Returns
    -------
    DataFrame
        The columns above; a video's name is that of its file, or its whole path where two files are called the same.
        Of files that are called after one video of YouTube (``solo/cello/<id>.mp4``, ``MUSIC21/cello/<id>.mp4``) only
        the first is taken, of a test or validation where there is one.

    Raises
    ------
    StudyError
        If no layout fits; the message lists what was expected. If no folder is called as an instrument, or the sound
        of a set is not there as sound.

    Warns
    -----
    UserWarning
        If videos are left out, if names are no known instruments, or if files of several instruments are called after
        one video of YouTube.
    """
    folder = Path(folder).expanduser().absolute()
    if not folder.is_dir():
        raise StudyError(f"{folder}: is no folder; give the folder of a data set")
    videos = list(_files(folder, VIDEOS))
    for layout in LAYOUTS:
        rows = layout.rows(folder, videos)
        if rows:
            left_out = len(set(map(str, videos)) - {path for path, *_ in rows})
            if left_out:
                _warn(
                    f"{folder}: {left_out} of {len(videos)} videos are left out; "
                    f"expected is {layout.name}: {layout.expected}"
                )
            table = pd.DataFrame(sorted(rows), columns=["path", "frames_path", "instruments", "split"])
            table = _once(folder, table)
            table["kind"] = np.where(table["instruments"].str.contains("+", regex=False), "duet", "solo")
            table["video_id"] = _names(folder, table["path"])
            return table[list(COLUMNS)]
    expected = "; ".join(f"{layout.name}: {layout.expected}" for layout in LAYOUTS)
    raise StudyError(
        f"{folder}: is laid out in no way that is known. Expected is an index.csv, a train.csv, or {expected}"
    )


def true_tracks(video: str | Path) -> list[Path]:
    """The true track of each player of a piece of URMP, in its order; empty for any other video.

    Players stand side by side in the order of the tracks. A piece whose tracks are not all there has none, since what
    is left of them does not add up to its sound.
    """
    video = Path(video)
    piece = _PIECE.fullmatch(video.parent.name)
    if not video.name.startswith("Vid_") or not piece:
        return []
    found = [(int(match[1]), path) for path in video.parent.iterdir() if (match := _TRACK.fullmatch(path.name))]
    whole = sorted(number for number, _ in found) == list(range(1, len(_players(piece)) + 1))
    return [path for _, path in sorted(found)] if whole else []


def _players(piece: re.Match) -> list[str]:
    """The codes of the players that the name of a piece of URMP tells."""
    return piece[1].strip("_").split("_")


def _instrument_folders(folder: Path, videos: list[Path]) -> list[tuple]:
    """Rows of a tree of instruments."""
    rows = []
    for path in videos:
        above = path.relative_to(folder).parts[-2::-1]  # the nearest first
        parts = [part for part in above if not _split([part])]
        known = filter(instrument_names.are_known, map(instrument_names.joined, parts))
        others = (instrument_names.joined(part) for part in parts if part != path.stem)
        name = next(known, "") or next(others, "")
        if name:
            rows.append((str(path), str(path), name, _split(reversed(above))))
    found = sorted({name for _, _, name, _ in rows})
    unknown = [name for name in found if not instrument_names.are_known(name)]
    shown = ", ".join(unknown[:_SHOWN]) + (f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else "")
    if rows and unknown == found:
        raise StudyError(
            f"{folder}: none of its folders is called as a known instrument (found: {shown}); expected is "
            f"{LAYOUTS[-1].expected}, such as cello/a.mp4. Give the folder above or below, or write an index.csv"
        )
    if unknown:
        _warn(f"{folder}: {shown}: no known instruments, but taken for some; rename or move folders that are none")
    return rows


def _urmp(folder: Path, videos: list[Path]) -> list[tuple]:
    """Rows of URMP; all its pieces are test videos, as they are too few to train on."""
    rows = {}
    for path in videos:
        piece = path.name.startswith("Vid_") and _PIECE.fullmatch(path.parent.name)
        if piece:
            names = "+".join(URMP_INSTRUMENTS[code] for code in _players(piece))
            rows.setdefault(path.parent, (str(path), str(path), names, "test"))
    return list(rows.values())


def _ave(folder: Path, videos: list[Path]) -> list[tuple]:
    """Rows of AVE whose category is an instrument; a video with several events counts once."""
    notes = [path for pattern in ("", "*/") for path in sorted(folder.glob(f"{pattern}Annotations.txt"))]
    rows = {}
    for root in [path.parent for path in notes if path.is_file()]:
        lists = {split: root / name for split, name in _AVE_LISTS.items()}
        splits = {video: split for split, path in lists.items() if path.is_file()
                  for _, video in list_formats.annotations(path)}  # fmt: skip
        files = {path.stem: str(path) for path in videos if path.is_relative_to(root)}
        for category, video in list_formats.annotations(root / "Annotations.txt"):
            name = instrument_names.one(category)
            if video in files and instrument_names.are_known(name):
                rows.setdefault(video, (files[video], files[video], name, splits.get(video, "")))
    return list(rows.values())


def _synthetic(folder: Path, videos: list[Path]) -> list[tuple]:
    """Rows of MUSIC-Synthetic whose boxes name two instruments."""
    rows, n_pictures = [], 0
    for box in sorted(folder.glob("box")) + sorted(folder.glob("*/box")) + sorted(folder.glob("*/*/box")):
        above = box.parent
        sounds = {path.stem: path for path in _files(above / "audio", _SOUNDS)}
        if not sounds and any((above / "audio").glob("*.pkl")):
            raise StudyError(
                f"{above / 'audio'}: holds spectrograms (.pkl), from which no sound comes back; put K.wav beside each. "
                "They last a second, so clips must be shorter: --set clip_samples=8191 audio_levels=4"
            )
        split = _split(above.relative_to(folder).parts)
        for picture in _files(above / "video", {".jpg", ".jpeg", ".png"}):
            n_pictures += 1
            names = _boxed(box / f"{picture.stem}.npy")
            if picture.stem in sounds and len(names) == 2:
                rows.append((str(sounds[picture.stem]), str(picture), "+".join(names), split))
    if len(rows) < n_pictures:
        _warn(f"{folder}: {n_pictures - len(rows)} of {n_pictures} pictures are left out; they have no sound, or boxes "
              "that do not name two different instruments")  # fmt: skip
    return rows


def _boxed(path: Path) -> list[str]:
    """Different instruments that the boxes of a picture name, rows of x, y, width, height and a number."""
    try:
        boxes = np.atleast_2d(np.load(path, allow_pickle=False))
        return list(dict.fromkeys(_SYNTHETIC_INSTRUMENTS[int(row[-1])] for row in boxes))
    except (OSError, ValueError, KeyError, IndexError):
        return []


def _split(folders: Iterable[str]) -> str:
    """The split that the first of some folders names (``Test``, ``test_set``), or nothing."""
    words = (re.sub(r"[\s_-]*set$", "", name.lower()) for name in folders)
    return next((_SPLITS[word] for word in words if word in _SPLITS), "")


def _files(folder: Path, suffixes: set[str]) -> Iterator[Path]:
    """Files of some kinds in a folder and below; what is hidden is left out, and no link to a folder is followed."""
    for above, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes:
                yield Path(above, name)


def _once(folder: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Of the files that are called after one video of YouTube the first, of a test or validation where there is one."""
    stems = table["path"].map(lambda path: Path(path).stem)
    trained = ~table["split"].isin(["test", "validation"])
    first = stems[trained.sort_values(kind="stable").index].drop_duplicates().index
    again = stems.map(music_lists.is_id) & ~table.index.isin(first)
    names = table.groupby(stems)["instruments"].transform("nunique")
    odd = stems[again & (names > 1)].unique()
    if len(odd):
        _warn(f"{folder}: files of several instruments are called {', '.join(odd[:_SHOWN])} ({len(odd)} names in all), "
              "as one video of YouTube; only one of each is taken. Rename those that are others")  # fmt: skip
    return table[~again].reset_index(drop=True)


def _names(folder: Path, paths: pd.Series) -> list[str]:
    """A name for each video, none twice."""
    stems = [Path(path).stem for path in paths]
    count = Counter(stems)
    return [
        stem if count[stem] == 1 else Path(path).relative_to(folder).as_posix()
        for stem, path in zip(stems, paths, strict=True)
    ]


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


LAYOUTS = (
    Layout("URMP", "NN_Name_vn_vc/ with Vid_*.mp4 and AuSep_*.wav", _urmp),
    Layout("AVE", "Annotations.txt and AVE/<id>.mp4, of which instruments are taken", _ave),
    Layout("MUSIC-Synthetic", "audio/K.wav (of a second), video/K.jpg and box/K.npy", _synthetic),
    Layout("instruments", "<instrument>/<video>, or train/<instrument>/<video>", _instrument_folders),
)
"""In the order in which they are tried."""
