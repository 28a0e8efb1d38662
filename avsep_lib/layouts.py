"""Data sets that lie in folders, told by how they lie there: every reader gives the same table.

- instruments: ``<instrument>/<video>``, at will below a folder called ``train``, ``val`` or ``test``. A folder of
  several players has their names with ``+`` or a space between (``acoustic_guitar violin``). So lie MUSIC, MUSIC-21
  and Solos (``DoubleBass/<id>.mp4``).
- URMP: ``NN_Name_inst1_inst2/`` with ``Vid_*.mp4``, and ``AuSep_k_inst_*.wav``, the true track of each player
- AVE: ``Annotations.txt`` and ``AVE/<id>.mp4``; rows ``Category&id&Quality&Start&End``; lists of the splits called
  ``trainSet.txt``, ``valSet.txt`` and ``testSet.txt``. Only instruments are taken.
- MUSIC-Synthetic: ``audio/K.wav``, ``video/K.jpg`` and ``box/K.npy``, below a folder for each split

The table has the columns ``video_id``, ``path``, ``frames_path``, ``kind``, ``instruments`` (names as ours, joined by
``+``) and ``split``, which is empty where the layout names none. Nothing is decoded here, and nothing written. Used
through ``datasets`` and ``rendered``.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from avsep_lib.settings import MUSIC_21, StudyError

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
KNOWN = {*MUSIC_21, *URMP_INSTRUMENTS.values(), "mandolin", "harp", "harmonica", "recorder", "marimba", "vibraphone"}
_SAME = {"violin_fiddle": "violin", "french_horn": "horn", "doublebass": "double_bass", "contrabass": "double_bass"}
_SPLITS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test", "test1": "test",
}  # fmt: skip
_DEEPEST = 3  # folders: split or set, instrument, video
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
        The rows of a folder; none where it is of another layout.
    """

    name: str
    expected: str
    rows: Callable[[Path], list[tuple]]


def read(folder: str | Path) -> pd.DataFrame:
    """All videos of a folder, by the first layout that fits.

    Parameters
    ----------
    folder : path of the data set, as it was unpacked or downloaded

    Returns
    -------
    DataFrame
        The columns above; a video's name is that of its file, or its whole path where two files are called the same.

    Raises
    ------
    StudyError
        If no layout fits; the message lists what was expected. If the sound of a set is not there as sound.
    """
    folder = Path(folder).expanduser().absolute()
    if not folder.is_dir():
        raise StudyError(f"{folder}: is no folder; give the folder of a data set")
    for layout in LAYOUTS:
        rows = layout.rows(folder)
        if rows:
            table = pd.DataFrame(sorted(rows), columns=["path", "frames_path", "instruments", "split"])
            table["kind"] = np.where(table["instruments"].str.contains("+", regex=False), "duet", "solo")
            table["video_id"] = _names(folder, table["path"])
            return table[list(COLUMNS)]
    expected = "; ".join(f"{layout.name}: {layout.expected}" for layout in LAYOUTS)
    raise StudyError(
        f"{folder}: is laid out in no way that is known. Expected is an index.csv, a train.csv, or {expected}"
    )


def instrument(text: str) -> str:
    """The name of an instrument as ours are written: ``DoubleBass``, ``double bass`` -> ``double_bass``."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text.strip())
    name = re.sub(r"[\s,/_-]+", "_", words.lower()).strip("_")
    return _SAME.get(name, name)


def instruments(text: str) -> str:
    """The players that the name of a folder tells, joined by ``+``: ``acoustic_guitar violin``, ``Acoustic guitar``."""
    if "+" in text:
        return "+".join(instrument(part) for part in text.split("+") if part.strip())
    parts = [instrument(part) for part in text.split()]
    several = len(parts) > 1 and instrument(text) not in KNOWN and set(parts) <= KNOWN
    return "+".join(parts) if several else instrument(text)


def true_tracks(video: str | Path) -> list[Path]:
    """The true track of each player of a piece of URMP, in its order; empty for any other video.

    Players stand side by side in the order of the tracks.
    """
    video = Path(video)
    if not video.name.startswith("Vid_") or not _PIECE.fullmatch(video.parent.name):
        return []
    found = [(int(match[1]), path) for path in video.parent.iterdir() if (match := _TRACK.fullmatch(path.name))]
    return [path for _, path in sorted(found)]


def _instrument_folders(folder: Path) -> list[tuple]:
    """Rows of a tree of instruments."""
    rows = []
    for path in _files(folder, VIDEOS):
        *above, _ = path.relative_to(folder).parts
        name = instruments(above[-1]) if above else ""
        if not name or name in _SPLITS:
            continue
        split = next((_SPLITS[part.lower()] for part in above[:-1] if part.lower() in _SPLITS), "")
        rows.append((str(path), str(path), name, split))
    return rows


def _urmp(folder: Path) -> list[tuple]:
    """Rows of URMP; all its pieces are test videos, as they are too few to train on."""
    rows = []
    for piece in _folders(folder):
        match = _PIECE.fullmatch(piece.name)
        videos = [path for path in _files(piece, VIDEOS) if path.name.startswith("Vid_")] if match else []
        if videos:
            names = [URMP_INSTRUMENTS[code] for code in match[1].strip("_").split("_")]
            rows.append((str(videos[0]), str(videos[0]), "+".join(names), "test"))
    return rows


def _ave(folder: Path) -> list[tuple]:
    """Rows of AVE whose category is an instrument; a video with several events counts once."""
    if not (folder / "Annotations.txt").is_file():
        return []
    splits = {}
    for name, split in (("trainSet.txt", "train"), ("valSet.txt", "validation"), ("testSet.txt", "test")):
        splits |= {video: split for _, video in _annotations(folder / name)}
    files = {path.stem: str(path) for path in _files(folder, VIDEOS)}
    rows = {}
    for category, video in _annotations(folder / "Annotations.txt"):
        if video in files and instrument(category) in KNOWN:
            rows.setdefault(video, (files[video], files[video], instrument(category), splits.get(video, "")))
    return list(rows.values())


def _annotations(path: Path) -> Iterator[tuple[str, str]]:
    """Category and video of each line."""
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            category, _, rest = line.partition("&")
            if rest and not rest.startswith("VideoID"):
                yield category, rest.partition("&")[0]


def _synthetic(folder: Path) -> list[tuple]:
    """Rows of MUSIC-Synthetic whose instruments are told by boxes."""
    rows = []
    for box in sorted(folder.glob("box")) + sorted(folder.glob("*/box")) + sorted(folder.glob("*/*/box")):
        above = box.parent
        sounds = {path.stem: path for path in _files(above / "audio", _SOUNDS)}
        if not sounds and any((above / "audio").glob("*.pkl")):
            raise StudyError(
                f"{above / 'audio'}: holds spectrograms (.pkl), from which no sound comes back; put K.wav beside each"
            )
        split = next((_SPLITS[part] for part in above.relative_to(folder).parts if part in _SPLITS), "")
        for picture in _files(above / "video", {".jpg", ".jpeg", ".png"}):
            names = _boxed(box / f"{picture.stem}.npy")
            if picture.stem in sounds and names:
                rows.append((str(sounds[picture.stem]), str(picture), "+".join(names), split))
    return rows


def _boxed(path: Path) -> list[str]:
    """Instruments that the boxes of a picture name, rows of x, y, width, height and a number."""
    try:
        boxes = np.atleast_2d(np.load(path, allow_pickle=False))
        return [_SYNTHETIC_INSTRUMENTS[int(row[-1])] for row in boxes]
    except (OSError, ValueError, KeyError, IndexError):
        return []


def _files(folder: Path, suffixes: set[str], depth: int = 0) -> Iterator[Path]:
    """Files of some kinds in a folder and below; what is hidden is left out, and no link to a folder is followed."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if depth < _DEEPEST:
                yield from _files(Path(entry.path), suffixes, depth + 1)
        elif os.path.splitext(entry.name)[1].lower() in suffixes:
            yield Path(entry.path)


def _folders(folder: Path) -> list[Path]:
    """Folders in a folder."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _names(folder: Path, paths: pd.Series) -> list[str]:
    """A name for each video, none twice."""
    stems = [Path(path).stem for path in paths]
    count = Counter(stems)
    return [
        stem if count[stem] == 1 else Path(path).relative_to(folder).as_posix()
        for stem, path in zip(stems, paths, strict=True)
    ]


LAYOUTS = (
    Layout("URMP", "NN_Name_vn_vc/ with Vid_*.mp4 and AuSep_*.wav", _urmp),
    Layout("AVE", "Annotations.txt and AVE/<id>.mp4", _ave),
    Layout("MUSIC-Synthetic", "audio/K.wav, video/K.jpg and box/K.npy", _synthetic),
    Layout("instruments", "<instrument>/<video>, or train/<instrument>/<video>", _instrument_folders),
)
"""In the order in which they are tried."""
