"""One door to every data set: a name or a path in, an index with three splits out. Used by every notebook."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from avsep_lib import clips, music, music_lists, rendered
from avsep_lib.settings import Settings, StudyError


def open_dataset(settings: Settings, progress: Callable[[str, int, int], None] | None = None) -> pd.DataFrame:
    """The index of the data set that the settings name; a rendered one is made first where it is missing.

    Parameters
    ----------
    settings : Settings
        ``dataset`` is ``rendered``, ``music`` or ``music21`` (as ``avsep music`` prepares them), an ``index.csv``, a
        Sound-of-Pixels list (rows without a header: sound, frames, number of frames), or a folder with such lists
        called ``train.csv``, ``val.csv`` and, if there is one, ``test.csv``.
    progress : callable, optional
        Called with a label, what is done and how much there is.

    Returns
    -------
    DataFrame
        As ``clips.read_index`` gives it. A list that comes as one file is split by video, with the settings' seed.

    Raises
    ------
    StudyError
        If the data set is not there, or has a row that points nowhere.
    """
    if settings.dataset == "rendered":
        return clips.read_index(rendered.render(settings, progress), instruments=settings.instruments)
    if settings.dataset in music_lists.NAMES:
        return music.read_index(settings.data_folder / "music", settings.dataset)
    path = Path(settings.dataset).expanduser()
    if path.is_dir() and (path / "train.csv").is_file():
        return _folder_of_lists(path, settings)
    path = path / "index.csv" if path.is_dir() else path
    if not path.is_file():
        raise StudyError(f"dataset {settings.dataset!r} is neither 'rendered' nor a file or folder that is there")
    if _has_header(path):
        return clips.read_index(path, check_files=not settings.shards)
    return clips.split_by_video(clips.read_sound_of_pixels_index(path), seed=settings.seed)


def _folder_of_lists(folder: Path, settings: Settings) -> pd.DataFrame:
    """Lists of a Sound-of-Pixels folder; without a test list, half of the validation videos become the test."""
    names = {"train": "train.csv", "validation": "val.csv", "test": "test.csv"}
    parts = {split: clips.read_sound_of_pixels_index(folder / name, split)
             for split, name in names.items() if (folder / name).is_file()}  # fmt: skip
    if "test" not in parts and "validation" in parts:
        halves = clips.split_by_video(parts["validation"], (0.0, 0.5, 0.5), settings.seed)
        parts["validation"] = halves
    index = pd.concat(parts.values(), ignore_index=True)
    clips.check_splits(index)
    return index


def _has_header(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as lines:
        return "video_id" in lines.readline()
