"""Where the sound bank's sounds come from: packages of Debian, npm and PyPI that anyone may install.

Nothing of them is part of the project. What is trained on may be used for anything (MIT, CC-BY, public domain); what
stands under the GPL is kept for validation. :data:`PACKAGES` and ``licences.csv`` beside the sounds say which is which.
Used by ``bank``.
"""

import shutil
import struct
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import pretty_midi

from avsep_lib import files, tunes
from avsep_lib.settings import StudyError


@dataclass(frozen=True)
class Package:
    """One package: where it is, under which licence its sounds stand, and what is taken from it.

    ``kind`` is ``font``, ``notes`` (single recorded notes of one instrument), ``tunes`` (scores) or ``phrases`` (short
    recordings of many). ``target`` names what it becomes: the font, the notes' instrument, the tunes, the phrases.
    """

    name: str
    registry: str
    kind: str
    target: str
    licence: str


_NOTES = {
    "accordion": "harmonium", "acoustic_guitar": "guitar-acoustic", "bassoon": "bassoon", "cello": "cello",
    "clarinet": "clarinet", "flute": "flute", "piano": "piano", "saxophone": "saxophone", "trumpet": "trumpet",
    "tuba": "tuba", "ukulele": "guitar-nylon", "violin": "violin", "xylophone": "xylophone",
}  # fmt: skip
PACKAGES = (
    Package("fluid-soundfont-gm", "Debian", "font", "FluidR3", "MIT"),
    Package("musescore-general-soundfont-lossless", "Debian", "font", "MuseScore", "MIT"),
    Package("pretty_midi", "PyPI", "font", "TimGM6mb", "GPL-2"),
    Package("csound-soundfont", "Debian", "font", "Csound", "public domain"),
    *(
        Package(f"tonejs-instrument-{name}-mp3", "npm", "notes", instrument, "CC-BY-3.0")
        for instrument, name in _NOTES.items()
    ),
    Package("music21", "PyPI", "tunes", "tunes", "BSD-3-Clause; the tunes are older than any copyright"),
    Package("gcompris-qt-data", "Debian", "phrases", "GCompris", "GPL-3+"),
)
"""What the bank is made of."""
PHRASES = {
    "accordion": "accordion", "acoustic_guitar": "guitar", "banjo": "banjo", "cello": "cello", "clarinet": "clarinet",
    "congas": "bongo", "flute": "flute_traversiere", "piano": "piano", "saxophone": "saxophone",
    "trumpet": "trumpet", "tuba": "tuba", "violin": "violin",
}  # fmt: skip
"""Instruments of MUSIC-21 of which the phrases hold a recording, with its name there."""


def fetch(folder: str | Path, progress: Callable[[str, int, int], None] | None = None) -> pd.DataFrame:
    """Bring all packages' sounds into a folder; what is there already is left as it is.

    Parameters
    ----------
    folder : str or Path
        Gets ``fonts/<name>.sf2``, ``notes/<instrument>/*.mp3``, ``phrases/<instrument>.ogg``, ``tunes.npz`` and
        ``licences.csv``.
    progress : callable, optional
        Called with a label, what is done and how much there is.

    Returns
    -------
    DataFrame
        One row for each package, the columns of :class:`Package` and ``state``: ``there``, or why it is missing.

    Notes
    -----
    Debian's packages need ``apt-get`` and ``dpkg-deb``, npm's need ``npm``. A font may as well be put at its place by
    hand. The bank is built of what there is, and says what was missing.
    """
    folder, rows = Path(folder), []
    for number, package in enumerate(PACKAGES):
        rows.append(asdict(package) | {"state": _fetched(package, folder)})
        if progress:
            progress("fetching sounds", number + 1, len(PACKAGES))
    table = pd.DataFrame(rows)
    with files.atomic(folder / "licences.csv") as temporary:
        table.to_csv(temporary, index=False)
    if not (table.state == "there").any():
        raise StudyError(f"{folder}: no package of sounds could be had; {table.state.iloc[0]}")
    return table


def _fetched(package: Package, folder: Path) -> str:
    """``there``, or one line that says why the package is missing."""
    place = {
        "font": folder / "fonts" / f"{package.target}.sf2",
        "notes": folder / "notes" / package.target,
        "phrases": folder / "phrases",
        "tunes": folder / "tunes.npz",
    }[package.kind]
    if place.exists():
        return "there"
    try:
        if package.kind == "tunes":
            place.parent.mkdir(parents=True, exist_ok=True)
            tunes.collect(place)
            return "there"
        with tempfile.TemporaryDirectory(prefix="avsep-") as temporary:
            _TAKE[package.kind](_unpacked(package, Path(temporary)), place)
    except (OSError, subprocess.SubprocessError, tarfile.TarError, StudyError) as error:
        return f"missing: {(str(error) or type(error).__name__).splitlines()[0]}"
    return "there"


def _unpacked(package: Package, folder: Path) -> Path:
    """Download a package and unpack it below ``folder``."""
    if package.registry == "PyPI":
        return Path(pretty_midi.__file__).parent
    if package.registry == "npm":
        _call(["npm", "pack", package.name, "--silent"], folder)
        with tarfile.open(next(folder.glob("*.tgz"))) as archive:
            archive.extractall(folder / "x", filter="data")
    else:
        _call(["apt-get", "download", package.name], folder)
        _call(["dpkg-deb", "-x", str(next(folder.glob("*.deb"))), "x"], folder)
    return folder / "x"


def _call(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=1800)
    except FileNotFoundError:
        raise StudyError(f"{command[0]} is not installed here") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "").strip().splitlines()
        raise StudyError(f"{' '.join(command)} failed: {said[-1] if said else error.returncode}") from None


def _take_font(unpacked: Path, place: Path) -> None:
    fonts = [path for path in unpacked.rglob("*.sf2") if not path.is_symlink()]
    place.parent.mkdir(parents=True, exist_ok=True)
    with files.atomic(place) as temporary:
        shutil.copyfile(max(fonts, key=lambda path: path.stat().st_size), temporary)


def _take_notes(unpacked: Path, place: Path) -> None:
    partial = place.with_name(place.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for path in unpacked.rglob("*.mp3"):
        shutil.copyfile(path, partial / path.name)
    partial.rename(place)


def _take_phrases(unpacked: Path, place: Path) -> None:
    stored = resources(next(unpacked.rglob("instruments.rcc")).read_bytes())
    by_name = {Path(name).stem: content for name, content in stored.items() if name.endswith(".ogg")}
    partial = place.with_name("phrases.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for instrument, name in PHRASES.items():
        (partial / f"{instrument}.ogg").write_bytes(by_name[name])
    partial.rename(place)


_TAKE = {"font": _take_font, "notes": _take_notes, "phrases": _take_phrases}


def resources(content: bytes) -> dict[str, bytes]:
    """Files in a Qt resource file (``.rcc``), by their path within it.

    Raises
    ------
    StudyError
        If it is none.

    References
    ----------
    Qt's resource compiler, ``rcc --binary``: a tree of nodes, names in UTF-16 and contents, all big-endian.
    """
    if content[:4] != b"qres":
        raise StudyError("this is no Qt resource file; fetch gcompris-qt-data again")
    version, tree, data, names = struct.unpack(">4I", content[4:20])
    size, found = (14 if version < 2 else 22), {}

    def walk(node: int, path: str) -> None:
        name, flags = struct.unpack(">IH", content[tree + node * size :][:6])
        if node:
            (length,) = struct.unpack(">H", content[names + name :][:2])
            path += "/" + content[names + name + 6 :][: 2 * length].decode("utf-16-be")
        if flags & 2:  # a folder
            count, first = struct.unpack(">II", content[tree + node * size + 6 :][:8])
            for child in range(first, first + count):
                walk(child, path)
            return
        (offset,) = struct.unpack(">I", content[tree + node * size + 10 :][:4])
        (length,) = struct.unpack(">I", content[data + offset :][:4])
        stored = content[data + offset + 4 :][:length]
        found[path.lstrip("/")] = zlib.decompress(stored[4:]) if flags & 1 else stored

    walk(0, "")
    return found
