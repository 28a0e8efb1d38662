"""One door to every data set: a name or a path in, an index with three splits out. Used by every notebook."""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from avsep_lib import clips, layouts, list_formats, music, music_lists, preparation, rendered
from avsep_lib.settings import Settings, StudyError


def open_dataset(
    settings: Settings, progress: Callable[[str, int, int], None] | None = None, check_files: bool = True
) -> pd.DataFrame:
    """The index of the data set that the settings name; a rendered one is made first where it is missing.

    Parameters
    ----------
    settings : Settings
        ``dataset`` is ``rendered``, ``music`` or ``music21`` (as ``avsep music`` prepares them), an ``index.csv``, a
        Sound-of-Pixels list (rows without a header: sound, frames, number of frames), or a folder with such lists
        called ``train.csv``, ``val.csv`` and, if there is one, ``test.csv`` (other names:
        ``list_formats.FILES``); or any folder in a layout of ``layouts``,
        such as ``<instrument>/<video>`` or URMP, which is prepared below ``data_folder`` first.
    progress : callable, optional
        Called with a label, what is done and how much there is.
    check_files : bool
        Whether each file that an ``index.csv`` names must be there; with ``shards``, none needs to.

    Returns
    -------
    DataFrame
        As ``clips.read_index`` gives it. A list that comes as one file is split by video, with the settings' seed, and
        so are solos of a folder that names no splits; its pieces for several are test videos. Of a folder, what cannot
        be used is left out.

    Raises
    ------
    StudyError
        If the data set is not there, has a row that points nowhere, or holds nothing that can be used.

    Warns
    -----
    UserWarning
        If videos of a folder cannot be used; it names the table that says why.
    """
    check_files = check_files and not settings.shards
    if settings.dataset == "rendered":
        return clips.read_index(rendered.render(settings, progress), instruments=settings.instruments)
    if settings.dataset in music_lists.NAMES:
        return music.read_index(settings.data_folder / "music", settings.dataset, check_files)
    path = Path(settings.dataset).expanduser()
    if path.is_dir() and "train" in list_formats.in_folder(path):
        return list_formats.read_folder(path, settings.seed)
    if path.is_dir() and not (path / "index.csv").is_file():
        return _folder_of_videos(path, settings, progress)
    path = path / "index.csv" if path.is_dir() else path
    if not path.is_file():
        raise StudyError(f"dataset {settings.dataset!r} is neither 'rendered' nor a file or folder that is there")
    if _has_header(path):
        return clips.read_index(path, check_files=check_files)
    return clips.split_by_video(clips.read_sound_of_pixels_index(path), seed=settings.seed)


def videos_of(folder: Path, seed: int = 0) -> pd.DataFrame:
    """The videos of a folder in a layout of ``layouts``, each with a split, as ``preparation.prepare`` wants them."""
    return _with_splits(layouts.read(folder), seed)


def prepared_folder(path: Path, data_folder: Path) -> Path:
    """Where the videos of a folder, of an index or of a list are prepared, unless another folder is named."""
    path = path.expanduser().resolve()
    digest = hashlib.sha256(str(path).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    name = path.parent.name if path.name == "index.csv" else path.stem
    return data_folder / "folders" / f"{preparation.safe_name(name)}-{digest}"


def _folder_of_videos(folder: Path, settings: Settings, progress) -> pd.DataFrame:
    """A folder of videos, prepared: of solos the small copies, of pieces for several the videos as they are.

    The latter are heard at their own rate, and their true tracks lie beside them.
    """
    found = videos_of(folder, settings.seed)
    root = prepared_folder(folder, settings.data_folder)
    table = preparation.prepare(found, root, progress=progress, least_s=settings.clip_s)
    refused = int((table["state"] != "usable").sum())
    why = f"{refused} of {len(table)} videos of {folder} cannot be used; {root / 'prepared.csv'} says why"
    if refused == len(table):
        raise StudyError(why)
    if refused:
        warnings.warn(why, stacklevel=3)
    index = clips.read_index(root / "index.csv", check_files=False)
    first = found.set_index("video_id")
    several = index["kind"] == "duet"
    for column in ("path", "frames_path"):
        index.loc[several, column] = index.loc[several, "video_id"].map(first[column])
    return index


def _with_splits(found: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Videos whose splits are all named: by the layout, or else by dealing out the solos."""
    found = found.assign(split=found["split"].mask((found["split"] == "") & (found["kind"] == "duet"), "test"))
    solos, unnamed = found["kind"] == "solo", found["split"] == ""
    lacking = [split not in set(found.loc[solos, "split"]) for split in clips.SPLITS]
    if unnamed.any():
        dealt, shares = unnamed, (0.8, 0.1, 0.1)
    else:  # a list of two splits: the one that lacks is taken from the training
        dealt, shares = (
            solos & (found["split"] == "train"),
            (1 - 0.1 * sum(lacking), *(0.1 * part for part in lacking[1:])),
        )
    if dealt.any():
        found.loc[dealt, "split"] = clips.split_by_video(found[dealt], shares, seed)["split"]
    return found


def _has_header(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as lines:
        return "video_id" in lines.readline()
