"""The embedded data set: MP4 files of players, made from a seed.

Each video has a player, a score, a performer and a scene of its own. Duets have two, three or four players side by side
in one picture; beside each lie the true track of every player and a JSON file with the true boxes. Used by every
notebook.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import soundfile
from joblib.externals.loky import get_reusable_executor

from avsep_lib import clips, drawings, files, layouts, media, performers, scores
from avsep_lib.settings import Settings, StudyError, to_dict

_DECIDES = ("instruments", "solos_train", "solos_validation", "solos_test", "duets", "trios", "quartets",
            "video_s", "video_fps", "video_height_px", "soundfont", "seed")  # fmt: skip
_SAMPLE_RATE_HZ = 22_050  # of the sound in the files
_WIDTHS = {1: 4 / 3, 2: 9 / 5, 3: 12 / 5, 4: 14 / 5}  # width of the picture by players, as a multiple of its height
VERSION = 1
"""Goes up when the same settings would render other videos, so that old ones are not taken for new."""


def folder(settings: Settings) -> Path:
    """Where the videos of these settings lie."""
    decides = {name: to_dict(settings)[name] for name in _DECIDES}
    digest = hashlib.sha256(json.dumps([VERSION, decides]).encode()).hexdigest()[:8]
    return settings.data_folder / "rendered" / f"{settings.preset}-{digest}"


def render(settings: Settings, progress: Callable[[str, int, int], None] | None = None) -> Path:
    """Make the videos that are not there yet, and the index of all.

    Parameters
    ----------
    settings : Settings
    progress : callable, optional
        Called with a label, the videos done and their number.

    Returns
    -------
    Path
        The ``index.csv``. Solos are split by video; every duet is a test video.

    Notes
    -----
    A killed run keeps its finished videos: each file appears whole or not at all.
    """
    root = folder(settings)
    plan = planned(settings)
    missing = [row for row in plan.itertuples() if not (root / row.path).is_file()]
    jobs = (
        joblib.delayed(render_video)(row.video_id, row.instruments.split("+"), root / row.path, settings)
        for row in missing
    )
    done = len(plan) - len(missing)
    for _ in joblib.Parallel(n_jobs=-1, return_as="generator_unordered")(jobs):
        done += 1
        if progress:
            progress("rendering videos", done, len(plan))
    if missing:  # joblib would keep its workers, and take what later work loads into them for a leak
        get_reusable_executor().shutdown(wait=True)
    clips.write_index(plan.assign(path=[str(root / path) for path in plan.path]), root / "index.csv")
    return root / "index.csv"


def planned(settings: Settings) -> pd.DataFrame:
    """Every video of the set, by name, before any is made; paths are relative to the set's folder."""
    rows = []
    counts = {"train": settings.solos_train, "validation": settings.solos_validation, "test": settings.solos_test}
    for instrument in settings.instruments:
        for split, count in counts.items():
            for number in range(count):
                video_id = f"{instrument}-{split}-{number:03d}"
                rows.append((video_id, f"solos/{video_id}.mp4", "solo", instrument, split, settings.video_s))
    pieces = {"duet": settings.duets, "trio": settings.trios, "quartet": settings.quartets}
    for players, (word, count) in enumerate(pieces.items(), start=2):
        if players > len(settings.instruments):
            continue  # they all play different instruments
        rng = np.random.default_rng([settings.seed, players])  # its own, so that more of some change none of the others
        for number in range(count):
            chosen = [settings.instruments[i] for i in rng.choice(len(settings.instruments), players, replace=False)]
            video_id = f"{word}-{number:03d}-{'-'.join(chosen)}"
            rows.append((video_id, f"duets/{video_id}.mp4", "duet", "+".join(chosen), "test", settings.video_s))
    return pd.DataFrame(rows, columns=["video_id", "path", "kind", "instruments", "split", "duration_s"])


def render_video(video_id: str, instruments: list[str], path: Path, settings: Settings) -> None:
    """Make one video, and for several players the truth beside it.

    Parameters
    ----------
    video_id : str
        With the seed, it decides everything that is drawn.
    instruments : list of str
        One for each player, from left to right.
    path : Path
    settings : Settings
    """
    name = int.from_bytes(hashlib.sha256(video_id.encode()).digest()[:8], "big")
    score_rng, sound_rng, scene_rng = (np.random.default_rng([settings.seed, 3, name, part]) for part in range(3))
    parts = [scores.compose(instrument, settings.video_s, score_rng) for instrument in instruments]
    tracks = np.stack([
        performers.perform(instrument, part, settings.video_s, _SAMPLE_RATE_HZ, sound_rng, settings.soundfont)
        for instrument, part in zip(instruments, parts, strict=True)
    ])  # fmt: skip
    tracks /= len(tracks)  # a mixture is the mean of its sources, so it cannot clip
    height = settings.video_height_px
    size = height, 2 * round(height * _WIDTHS[len(instruments)] / 2)
    scene = drawings.Scene(instruments, parts, size, scene_rng)
    times = np.arange(round(settings.video_s * settings.video_fps)) / settings.video_fps
    if len(instruments) > 1:
        _write_truth(path, tracks, scene.boxes, instruments, size)
    # The video comes last: where it exists, its truth does too.
    frames = (scene.picture(float(time_s)) for time_s in times)
    media.write_video(path, frames, settings.video_fps, tracks.sum(0), _SAMPLE_RATE_HZ)


def with_truth(duets: pd.DataFrame) -> pd.DataFrame:
    """The duets that have their true tracks beside them: rendered ones, and the pieces of URMP.

    Raises
    ------
    StudyError
        If none has. Usual cause: a data set of other real videos.
    """
    known = duets[[Path(p).with_suffix(".json").is_file() or bool(layouts.true_tracks(p)) for p in duets.path]]
    if known.empty:
        raise StudyError("no duet of this data set has true tracks beside it; use `avsep separate` on its videos")
    return known.reset_index(drop=True)


def read_truth(path: str | Path, sample_rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """The true tracks and boxes of a rendered duet or of a piece of URMP.

    Parameters
    ----------
    path : str or Path
        The duet's video.
    sample_rate_hz : int

    Returns
    -------
    tracks : float32 array, shape (N, L)
        Their sum is the sound of the video, up to its coding. In URMP, a track that ends early is silent from there.
    boxes : float array, shape (N, 4)
        x0, y0, x1, y1 of each player, as shares of the picture's width and height. URMP does not tell them: its
        players stand side by side in the order of the tracks, so even strips stand in.

    Raises
    ------
    StudyError
        If the video has no truth beside it (usual cause: it is a real one), or a part of it was cut off.
    """
    truth = Path(path).with_suffix(".json")
    if not truth.is_file():
        recorded = layouts.true_tracks(path)
        if not recorded:
            raise StudyError(f"{path}: has no true tracks beside it; only rendered duets and pieces of URMP do")
        return _recorded(recorded, sample_rate_hz)
    cut_off = f"was cut off; delete {path}, and it is rendered again with its truth"
    try:
        content = json.loads(truth.read_text())
    except ValueError:
        raise StudyError(f"{truth}: {cut_off}") from None
    tracks = [media.read_audio(truth.parent / name, sample_rate_hz) for name in content["tracks"]]
    shortest, *_, longest = sorted(len(track) for track in tracks)
    if shortest < longest:
        name = content["tracks"][[len(track) for track in tracks].index(shortest)]
        raise StudyError(f"{truth.parent / name}: {cut_off}")
    return np.stack(tracks), np.array(content["boxes"])


def _recorded(paths: list[Path], sample_rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """Tracks that were recorded apart, all as long as the longest, and even strips of the picture."""
    tracks = [media.read_audio(path, sample_rate_hz) for path in paths]
    longest = max(map(len, tracks))
    edges = np.linspace(0, 1, len(paths) + 1)
    boxes = np.stack([edges[:-1], np.zeros(len(paths)), edges[1:], np.ones(len(paths))], axis=1)
    return np.stack([np.pad(track, (0, longest - len(track))) for track in tracks]), boxes


def _write_truth(path: Path, tracks: np.ndarray, boxes: list, instruments: list[str], size_px: tuple[int, int]) -> None:
    names = [f"{path.stem}-{n}-{instrument}.flac" for n, instrument in enumerate(instruments)]
    for name, track in zip(names, tracks, strict=True):
        with files.atomic(path.parent / name) as temporary:
            soundfile.write(temporary, track, _SAMPLE_RATE_HZ, subtype="PCM_16")
    height, width = size_px
    shares = [[x0 / width, y0 / height, x1 / width, y1 / height] for x0, y0, x1, y1 in boxes]
    files.write_json(path.with_suffix(".json"), {"instruments": instruments, "tracks": names, "boxes": shares})
