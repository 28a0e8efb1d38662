"""Real clips in a folder: solos, mixtures with their true tracks, and what others have scored on them.

The folder is laid out as below; anyone can fill one (``docs/real_clips.md``). Parts may be missing, but not all.

    music_solo/<instrument>-<id>/audio.flac, frame_*.jpg     one player alone: their sound, one or more pictures
    music_pairs/<solo>+<solo>/mix.flac                       the mean of the sounds of two solos, named by their folders
    fcsn/<name>_audio_mixture.flac                           the mean of its tracks, which are
    fcsn/<name>_audio<n>_groundtruth.flac                    the true tracks, n = 1, 2, ...
    fcsn/<name>_Object_detection_<n>.png                     and a picture of each player
    yardstick.csv                                            pair, sop_sdr, sop_sir, sop_sar, mixture_sdr: of each pair
    manifest.csv                                             path, instruments: who is to be seen in pictures of fcsn/

A reference is a source as it stands in its mixture: its sound over the number of sources. Nothing is permuted. Whatever
has no true tracks, such as a folder of duets, is not looked at. Used by ``real``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from avsep_lib import media, protocol
from avsep_lib.settings import StudyError
from avsep_lib.store import SILENT_DB, level_db

DIFFERENT, SAME = protocol.KINDS[0], protocol.KINDS[-1]
UNKNOWN = "unknown"
_YARDSTICK = ["sop_sdr", "sop_sir", "sop_sar", "mixture_sdr"]
_OTHER_NAMES = {"bass_guitar": "electric_bass"}
_LEFT_OVER_DB = -20.0  # of a mixture, what its sources may leave unexplained: clipping, the rounding of a codec


@dataclass(frozen=True)
class RealMixture:
    """Files of one mixture with N known sources.

    Attributes
    ----------
    name : str
    kind : str
        ``2 different`` or ``2 of the same`` for a pair of solos, ``exact, N`` for one that came with its tracks.
    sound : Path
    tracks : N Path
        Each N times as loud as it stands in the mixture.
    pictures : N tuples of Path
    instruments : N str
        ``unknown`` where the folder does not say.
    videos : N str
        What tells the videos apart that the sources are from.
    """

    name: str
    kind: str
    sound: Path
    tracks: tuple[Path, ...]
    pictures: tuple[tuple[Path, ...], ...]
    instruments: tuple[str, ...]
    videos: tuple[str, ...]


def solos(folder: str | Path) -> pd.DataFrame:
    """Solos of a folder of real clips.

    Returns
    -------
    DataFrame
        One row for each: ``solo`` (name of its folder), ``instrument``, ``sound`` (Path), ``pictures`` (tuple of Path,
        in the order of their numbers).

    Raises
    ------
    StudyError
        If there is no such folder, or one of a solo has no instrument in its name, no sound or no pictures.
    """
    rows = []
    for path in _folders(_checked(folder) / "music_solo"):
        instrument, dash, _ = path.name.partition("-")
        if not dash:
            raise StudyError(f"{path}: names no instrument; call it <instrument>-<id>, such as cello-1")
        pictures = [file for file in path.glob("frame_*") if file.suffix.lower() in (".jpg", ".jpeg", ".png")]
        if not pictures:
            raise StudyError(f"{path}: holds no frame_0.jpg; add a picture of the player")
        ordered = tuple(sorted(pictures, key=lambda file: (len(file.stem), file.stem)))
        rows.append([path.name, instrument, _there(path / "audio.flac"), ordered])
    return pd.DataFrame(rows, columns=["solo", "instrument", "sound", "pictures"])


def pairs(folder: str | Path) -> pd.DataFrame:
    """Mixtures of two solos of a folder of real clips, with what the yardstick scores on them.

    Returns
    -------
    DataFrame
        One row for each: ``mixture`` (name of its folder), ``kind`` (``2 different`` or ``2 of the same``), ``sound``
        (Path), ``solos`` (tuple of names), ``instruments`` (tuple), and ``sop_sdr``, ``sop_sir``, ``sop_sar``,
        ``mixture_sdr`` in dB, means over the two sources; NaN where ``yardstick.csv`` is not there or lacks it.

    Raises
    ------
    StudyError
        If a pair names a solo that is not there or has no sound, or ``yardstick.csv`` lacks a column.
    """
    known, rows = solos(folder).set_index("solo").instrument, []
    for path in _folders(Path(folder) / "music_pairs"):
        names = tuple(path.name.split("+"))
        missing = [name for name in names if name not in known.index]
        if len(names) != 2 or missing:
            what = f"there is no music_solo/{missing[0]}" if missing else "it is not of two solos"
            raise StudyError(f"{path}: {what}; call it <solo>+<solo> after two folders of music_solo")
        instruments = tuple(known[list(names)])
        kind = DIFFERENT if len(set(instruments)) == 2 else SAME
        rows.append([path.name, kind, _there(path / "mix.flac"), names, instruments])
    table = pd.DataFrame(rows, columns=["mixture", "kind", "sound", "solos", "instruments"])
    return table.join(yardstick(Path(folder)), on="mixture")


def mixtures(folder: str | Path) -> list[RealMixture]:
    """All that a folder of real clips has true tracks of: its pairs, then its exact mixtures.

    Raises
    ------
    StudyError
        As for :func:`solos` and :func:`pairs`; if an exact mixture lacks tracks, or pictures of its players; or if
        there is nothing at all.
    """
    known = solos(folder).set_index("solo")
    found = []
    for row in pairs(folder).itertuples():
        parts = known.loc[list(row.solos)]
        found.append(
            RealMixture(
                row.mixture, row.kind, row.sound, tuple(parts.sound), tuple(parts.pictures), row.instruments, row.solos
            )
        )
    found += _exact(Path(folder))
    if not found:
        raise StudyError(
            f"{folder}: holds no mixture in music_pairs or fcsn; docs/real_clips.md says how it is laid out"
        )
    return found


def yardstick(folder: Path) -> pd.DataFrame:
    """``yardstick.csv`` by pair; empty where there is none."""
    path = folder / "yardstick.csv"
    if not path.is_file():
        return pd.DataFrame(columns=_YARDSTICK, dtype=float)
    table = _csv(path, ["pair", *_YARDSTICK]).set_index("pair")[_YARDSTICK]
    if table.index.duplicated().any():
        raise StudyError(f"{path}: has {table.index[table.index.duplicated()][0]} twice; keep one of the rows")
    return table.apply(pd.to_numeric, errors="coerce")


def heard(mixture: RealMixture, sample_rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """A mixture (L,) and its references (N, L), checked against each other."""
    wave = media.read_audio(mixture.sound, sample_rate_hz)
    tracks = [media.read_audio(path, sample_rate_hz) for path in mixture.tracks]
    for path, track in zip(mixture.tracks, tracks, strict=True):
        if len(track) != len(wave):
            raise StudyError(f"{path}: has {len(track)} samples, but {mixture.sound} has {len(wave)}; cut them alike")
    sources = np.stack(tracks) / np.float32(len(tracks))
    left = level_db(wave - sources.sum(0))
    if all_sound(sources) and left > level_db(wave) + _LEFT_OVER_DB:
        raise StudyError(
            f"{mixture.sound}: is not the mean of its sources; mix them anew, each divided by {len(tracks)}"
        )
    return wave, sources


def all_sound(sources: np.ndarray) -> bool:
    """Whether none of the sources (N, L) is silent: else nothing of their mixture is scored."""
    return min(level_db(source) for source in sources) >= SILENT_DB


def seen(paths: Sequence[Path]) -> np.ndarray:
    """Pictures of one player as they are, uint8 (P, H, W, 3)."""
    pictures = []
    for path in paths:
        try:
            with Image.open(path) as image:
                pictures.append(np.asarray(image.convert("RGB")))
        except (OSError, SyntaxError) as error:
            raise StudyError(f"{path}: is not a picture, or was cut off ({error}); extract it again") from error
        if pictures[-1].shape != pictures[0].shape:
            raise StudyError(f"{path}: has another size than {paths[0].name}; give pictures of one size")
    return np.stack(pictures)


def _checked(folder: str | Path) -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise StudyError(f"{folder}: there is no such folder; give one of real clips (docs/real_clips.md)")
    return folder


def _folders(folder: Path) -> list[Path]:
    """Folders below one that may be missing, by name."""
    return sorted(path for path in folder.glob("*") if path.is_dir())


def _there(path: Path) -> Path:
    if not path.is_file():
        raise StudyError(f"{path}: is missing; docs/real_clips.md says how a folder of real clips is laid out")
    return path


def _exact(folder: Path) -> list[RealMixture]:
    """Mixtures that came with their tracks."""
    said = _manifest(folder)
    found = []
    for sound in sorted((folder / "fcsn").glob("*_audio_mixture.flac")):
        name = sound.name.removesuffix("_audio_mixture.flac")
        count = len(list(sound.parent.glob(f"{name}_audio*_groundtruth.flac")))
        if count < 2:
            raise StudyError(f"{sound}: has {count} tracks; add {name}_audio1_groundtruth.flac and the others")
        numbers = range(1, count + 1)
        tracks = tuple(_there(sound.with_name(f"{name}_audio{n}_groundtruth.flac")) for n in numbers)
        pictures = tuple((_there(sound.with_name(f"{name}_Object_detection_{n}.png")),) for n in numbers)
        instruments = tuple(said.get(f"fcsn/{picture.name}", UNKNOWN) for (picture,) in pictures)
        videos = tuple(f"{name} {n}" for n in numbers)
        found.append(RealMixture(name, f"exact, {count}", sound, tracks, pictures, instruments, videos))
    return found


def _manifest(folder: Path) -> dict[str, str]:
    """Instrument of each file that ``manifest.csv`` says something of, in our words."""
    path = folder / "manifest.csv"
    if not path.is_file():
        return {}
    table = _csv(path, ["path", "instruments"]).dropna(subset=["path", "instruments"])
    names = table.instruments.str.strip().str.replace(" ", "_")
    return dict(zip(table.path, names.replace(_OTHER_NAMES), strict=True))


def _csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str)
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: cannot be read as CSV ({str(error).splitlines()[0]}); mend or remove it") from error
    missing = [name for name in columns if name not in table]
    if missing:
        raise StudyError(f"{path}: has no column {missing[0]!r}; it needs {', '.join(columns)}")
    return table
