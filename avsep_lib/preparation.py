"""Videos made ready for training: 11,025 Hz mono sound and 8 pictures a second, 256 px short side, a small file each.

A prepared video is an MP4 file that plays anywhere (H.264, and FLAC, which loses nothing), so an index of them is an
index like any other. Beside it lies a JSON file that says what was found: it is written last, so what has one is done.
What became of every video stands in the tables of ``inventory``. Used by ``avsep music prepare``.
"""

import errno
import hashlib
import itertools
import json
import os
import re
import signal
import time
import warnings
from collections.abc import Callable, Container, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import cpu_count
from joblib.externals.loky import get_reusable_executor

from avsep_lib import decoding, files, fingerprints, inventory, media
from avsep_lib.settings import StudyError

SAMPLE_RATE_HZ, FPS, SHORT_SIDE_PX = 11_025, 8, 256
SILENT_DB = -60.0  # as in the store, which is too heavy to load into every process
STILL_LEVELS = 3.0  # of 219: where no block of 8 x 8 pixels changes more from picture to picture, nothing moves
LEAST_S = 6.0  # a clip of the published length
VERSION = 1
"""Goes up when the same video would be prepared otherwise."""

_SILENCE_S, _STILLNESS_S, _BLOCK_S = 1.0, 2.0, 0.25  # shortest stretches that are marked; resolution of the former
_LONGEST_S, _NARROWEST = 4 * 3600, 8  # beyond, a header is broken or hostile
_GUESSED_BYTES_PER_S = 40_000  # of a prepared video, before there are any to measure
_RESERVE_BYTES = 500_000_000  # left free on the disk
_STALE_S = 600  # a part of a file that nobody has touched for so long was left by a kill
_NO_ROOM, _REFUSED = (errno.ENOSPC, errno.EDQUOT), (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


class NoRoomError(StudyError):
    """The disk is full, or would be."""


def prepare(
    sources: pd.DataFrame,
    root: str | Path,
    workers: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    only: Container[str] | None = None,
    least_s: float = LEAST_S,
    keep_splits: bool = False,
) -> pd.DataFrame:
    """Prepare what is not prepared yet, and write the index of all that can be used.

    Parameters
    ----------
    sources : DataFrame
        With ``video_id``, ``path``, ``kind``, ``instruments`` and ``split``, and ``frames_path`` where pictures lie
        apart. Further columns are kept in the index. Names may be anything: they never become a path as they are.
    root : path of a folder
        Gets ``prepared/``, ``fingerprints/`` and the tables of ``inventory``, ``index.csv`` among them.
    workers : int, optional
        Processes; as many as there are cores if not given. With 0, all is done in this one, without a guard
        against files that make a decoder hang or die.
    progress : callable, optional
        Called with a label, the videos done and their number.
    only : container of str, optional
        Names of the videos to prepare now. Of the others, what is prepared already stays in the index.
    least_s : float
        Seconds that a video must last and sound, without its silent stretches; a clip of the published length.
    keep_splits : bool
        Leave near-duplicates in the splits that they have in ``sources``. Else they all move to the last of training,
        validation and test that one of them has, so that none is tested on what it was trained on.

    Returns
    -------
    DataFrame
        The content of ``prepared.csv``: one row per video, with ``state`` (``usable``, ``short``, ``silent`` or
        ``broken``), ``reason``, ``duration_s``, ``silent_s``, ``still_s`` and ``bytes``.

    Raises
    ------
    NoRoomError
        If the disk has no room for what is missing, before anything is written, or if it fills up on the way.
    StudyError
        If the folder cannot be written.

    Notes
    -----
    A killed run keeps what it has finished. A video whose file has not changed is not looked at again. A video whose
    ``path`` is its own prepared file is taken as it is: the one that it was made of may be deleted.
    """
    root = Path(root).absolute()
    folder = root / "prepared"
    targets = {row.video_id: folder / f"{safe_name(row.video_id)}.mp4" for row in sources.itertuples()}
    pictures = sources["frames_path"] if "frames_path" in sources else sources["path"]
    asked = dict(zip(sources["video_id"], zip(sources["path"], pictures, strict=True), strict=True))
    _check_sources(asked, targets, folder)
    known = {name: _record(target, *asked[name], least_s) for name, target in targets.items()}
    missing = [name for name, record in known.items() if record is None and (only is None or name in only)]
    jobs = {name: (*asked[name], targets[name], least_s) for name in missing}
    if jobs:
        _check_room(jobs, [record for record in known.values() if record], root)
        _clear(folder)
        _run(jobs, workers, progress, sum(record is not None for record in known.values()) + len(jobs))
    records = {name: _record(target, *asked[name], least_s) for name, target in targets.items()}
    for name in missing:
        changed = f"{asked[name][0]}: changed while it was read; prepare it again"
        records[name] = records[name] or _broken(*asked[name], targets[name], changed)
    return inventory.write(sources, records, targets, root, keep_splits, progress)


def safe_name(video_id: str) -> str:
    """A file's name for a video's: the same where it is harmless, else a digest of it."""
    if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}", video_id):
        return video_id
    return hashlib.sha256(video_id.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def prepare_video(path: str, frames_path: str, target: Path, least_s: float = LEAST_S) -> dict[str, object]:
    """Prepare one video and write down what was found.

    Parameters
    ----------
    path, frames_path : str
        Where its sound and its pictures are.
    target : Path
        The MP4 file to write; its record lies beside it, with the suffix ``.json``. A video that cannot be used
        leaves a record only.
    least_s : float
        As in :func:`prepare`.

    Returns
    -------
    dict
        The record.

    Raises
    ------
    NoRoomError, StudyError
        If the disk is full or the target cannot be written. What is wrong with the video itself is in the record.
    """
    record = _broken(path, frames_path, target, "")
    try:
        with warnings.catch_warnings(record=True) as faults:
            warnings.simplefilter("always")
            record |= {"reason": "", **_prepared(path, frames_path, target, least_s)}
        record["note"] = " ".join(str(fault.message) for fault in faults if fault.category is UserWarning)
    except Exception as error:  # a file may break a decoder in any way, and the next one waits
        _raise_if_ours(error, target)
        record = _broken(path, frames_path, target, str(error) if isinstance(error, StudyError) else repr(error))
    _keep_record(target, record)
    return record


def _prepared(path: str, frames_path: str, target: Path, least_s: float) -> dict[str, object]:
    """What a video holds; if it can be used, its file is written."""
    _check_size(path, frames_path)
    sound = _sound(path)
    duration_s = len(sound) / SAMPLE_RATE_HZ
    silent = stretches(_quiet(sound), _BLOCK_S, _SILENCE_S, duration_s)
    silent_s = _total(silent)
    found = {"duration_s": round(duration_s, 3), "silent": silent, "silent_s": silent_s}
    if duration_s < least_s:
        return found | {"state": "short", "reason": f"lasts {duration_s:.1f} s, less than {least_s:g} s"}
    if duration_s - silent_s < least_s:
        return found | {
            "state": "silent",
            "reason": f"{silent_s:.0f} of {duration_s:.0f} s are below {SILENT_DB:.0f} dB",
        }
    still = stretches(_write(frames_path, sound, target), 1 / FPS, _STILLNESS_S, duration_s)
    fingerprints.keep(target, target.parent.with_name(inventory.FINGERPRINTS))
    return found | {"state": "usable", "still": still, "still_s": _total(still), "bytes": target.stat().st_size}


def _check_size(path: str, frames_path: str) -> None:
    """Refuse what would fill the memory, by what its header says."""
    if os.path.isdir(frames_path):
        return
    info = media.probe(frames_path)
    short, long = sorted((info.width_px, info.height_px))
    if not short:
        raise StudyError(f"{frames_path}: has no picture track; choose a video with pictures")
    if short * long > decoding.LARGEST_PX or long > _NARROWEST * short:
        raise StudyError(f"{frames_path}: pictures of {info.width_px} x {info.height_px} px are none; get it again")


def _sound(path: str) -> np.ndarray:
    """The sound of a file, (L,), unless it is hours long."""
    blocks, count = [], 0
    for block in media.audio_blocks(path, SAMPLE_RATE_HZ):
        blocks.append(np.nan_to_num(block).clip(-1, 1))
        count += len(block)
        if count > _LONGEST_S * SAMPLE_RATE_HZ:
            raise StudyError(f"{path}: lasts longer than {_LONGEST_S / 3600:.0f} hours; cut it into pieces")
    return np.concatenate(blocks)


def _write(frames_path: str, sound: np.ndarray, target: Path) -> list[bool]:
    """Write a prepared video; whether each picture is as the one before."""
    count = int(np.ceil(len(sound) / SAMPLE_RATE_HZ * FPS))
    still, before, played = [], None, 0
    with media.video_writer(target, FPS, SAMPLE_RATE_HZ, kept=True) as film:
        for number, planes in enumerate(_pictures(frames_path, np.arange(count) / FPS), start=1):
            film.show(planes)
            now = _blocks(planes[0] if isinstance(planes, tuple) else planes.mean(axis=2))
            still.append(before is not None and now.shape == before.shape and abs(now - before).max() < STILL_LEVELS)
            before, upto = now, round(number / FPS * SAMPLE_RATE_HZ)
            film.play(sound[played:upto])
            played = upto
    return still[1:2] + still[1:]  # the first is as still as the second


def _pictures(frames_path: str, times_s: np.ndarray) -> Iterator:
    """Pictures at some times: planes of a video, or RGB of a folder."""
    if os.path.isdir(frames_path):
        return media.frames_at(frames_path, times_s, SHORT_SIDE_PX, directory_fps=FPS)
    return media.planes_at(frames_path, times_s, SHORT_SIDE_PX)


def _blocks(luma: np.ndarray) -> np.ndarray:
    """Means of blocks of 8 x 8 pixels, which the noise of a codec hardly moves."""
    height, width = (side // 8 * 8 for side in luma.shape)
    return luma[:height, :width].reshape(height // 8, 8, width // 8, 8).mean(axis=(1, 3), dtype=np.float32)


def _quiet(sound: np.ndarray) -> np.ndarray:
    """Whether each quarter of a second is silent; the last one is what is left."""
    starts = np.arange(0, len(sound), round(_BLOCK_S * SAMPLE_RATE_HZ))
    power = np.add.reduceat(np.square(sound, dtype=np.float64), starts) / np.diff([*starts, len(sound)])
    return 10 * np.log10(power + 1e-20) < SILENT_DB


def stretches(flags: list[bool] | np.ndarray, step_s: float, least_s: float, end_s: float) -> list[list[float]]:
    """Where flags stay up for long enough: ``[[from, to], ...]`` in seconds.

    Parameters
    ----------
    flags : sequence of bool, one for each step
    step_s, least_s, end_s : float
        Length of a step, the shortest stretch that counts, and the end that none goes beyond, in seconds.
    """
    edges = np.flatnonzero(np.diff([False, *flags, False])).reshape(-1, 2) * step_s
    edges = np.minimum(edges, end_s)
    return [[round(float(a), 3), round(float(b), 3)] for a, b in edges if b - a >= least_s]


def _total(pieces: list[list[float]]) -> float:
    """Seconds in stretches."""
    return round(sum(b - a for a, b in pieces), 3)


# Records


def _check_sources(asked: dict[str, tuple[str, str]], targets: dict[str, Path], folder: Path) -> None:
    """Refuse to read what an earlier run has written, unless it stands for itself and is whole."""
    for name, (path, frames_path) in asked.items():
        itself = path == frames_path == str(targets[name])
        if Path(path).is_relative_to(folder) and not (itself and _record(targets[name], path, path, 0)):
            raise StudyError(f"{path}: is a prepared video; name another folder with --root, or remove it there")


def _state_of(path: str, frames_path: str, target: Path) -> list:
    """What tells whether a source has changed; what lies in the folder of all may move with it."""
    marks: list = []
    for file in dict.fromkeys((path, frames_path)):
        inside = Path(file).is_relative_to(target.parent.parent)
        name = os.path.relpath(file, target.parent.parent) if inside else str(file)
        marks += [name, *(files.state(file) or (-1, -1))]
    return marks


def _record(target: Path, path: str, frames_path: str, least_s: float) -> dict[str, object] | None:
    """The record of a video, if it is of this source and the file that it speaks of is there."""
    try:
        record = json.loads(target.with_suffix(".json").read_text())
        same_source = path == str(target) or record["source"] == _state_of(path, frames_path, target)
        known = record["version"] == VERSION and same_source
        there = record["state"] != "usable" or target.stat().st_size == record["bytes"]
        long_enough = record["duration_s"] - record["silent_s"] >= least_s
        same = (record["state"] == "usable") == long_enough or record["state"] == "broken"
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if known and there and same else None


def _keep_record(target: Path, record: dict[str, object]) -> None:
    try:
        if record["state"] != "usable":
            target.unlink(missing_ok=True)
        files.write_json(target.with_suffix(".json"), record)
    except OSError as error:
        _raise_if_ours(error, target)


def _broken(path: str, frames_path: str, target: Path, reason: str) -> dict[str, object]:
    """The record of a video of which nothing can be used."""
    record = {"version": VERSION, "source": _state_of(path, frames_path, target), "state": "broken", "note": ""}
    nothing = {"silent": [], "still": [], "duration_s": 0.0, "silent_s": 0.0, "still_s": 0.0, "bytes": 0}
    return record | {"reason": " ".join(reason.split())} | nothing


def _raise_if_ours(error: BaseException, target: Path) -> None:
    """Raise where the disk is to blame and not the video."""
    cause: BaseException | None = error
    while cause is not None:
        code, name = getattr(cause, "errno", None), getattr(cause, "filename", None)
        if code in _NO_ROOM:
            raise NoRoomError(f"{target.parent}: the disk is full; make room, and the same command goes on") from None
        if code in _REFUSED and str(name or "").startswith(str(target.parent)):
            raise StudyError(f"{target.parent}: cannot be written ({os.strerror(code)}); check the folder") from None
        cause = cause.__cause__ or cause.__context__


# Many at once


def _run(jobs: dict[str, tuple], workers: int | None, progress, total: int) -> None:
    """Prepare each; a video at which a process dies or hangs is told from those beside it, and noted as broken."""
    finished = total - len(jobs)

    def tell(count: int = 1) -> None:
        nonlocal finished
        finished += count
        if progress:
            progress("preparing videos", finished, total)

    if workers == 0:
        for job in jobs.values():
            prepare_video(*job)
            tell()
        return
    while jobs:
        suspects = _pool(jobs, workers or cpu_count(), tell)
        if not suspects and jobs:
            raise StudyError(
                "the processes that prepare videos die at once; try --workers 0, or look for lack of memory"
            )
        for name in suspects:
            path, frames_path, target, _ = jobs[name]
            if _pool({name: jobs[name]}, 1, tell):
                hung = f"{path}: a decoder died or hung; get the file again"
                _keep_record(target, _broken(path, frames_path, target, hung))
                _marker(target).unlink(missing_ok=True)
                tell()
            jobs.pop(name)


def _pool(jobs: dict[str, tuple], workers: int, tell: Callable[[], None]) -> list[str]:
    """Work through jobs and take out what is done; if a process dies, the names of those that were in hand."""
    executor = get_reusable_executor(max_workers=min(workers, len(jobs)), timeout=60)
    waiting, futures = iter(list(jobs.items())), {}
    try:
        while True:
            # No more than the workers' queue takes: what lies before it makes loky stumble when it is interrupted.
            for name, job in itertools.islice(waiting, 2 * workers - len(futures)):
                futures[executor.submit(_guarded, *job)] = name
            if not futures:
                break
            for future in wait(futures, return_when=FIRST_COMPLETED).done:
                future.result()
                jobs.pop(futures.pop(future))
                tell()
    except BrokenProcessPool:
        return [name for name, (_, _, target, _) in jobs.items() if _marker(target).exists()]
    except BaseException:
        executor.shutdown(wait=False, kill_workers=True)
        raise
    executor.shutdown(wait=True)  # joblib would keep them, and take what later work loads into them for a leak
    return []


def _guarded(path: str, frames_path: str, target: Path, least_s: float) -> None:
    """Prepare a video in a process of its own, which dies rather than hang."""
    marker = _marker(target)
    try:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    except OSError as error:
        _raise_if_ours(error, target)
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process even while it is inside a decoder
        signal.alarm(_patience_s(path, frames_path, target))
    try:
        prepare_video(path, frames_path, target, least_s)
    finally:
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        marker.unlink(missing_ok=True)


def _patience_s(path: str, frames_path: str, target: Path) -> int:
    """How long a video may take: two minutes, and another for every 5 MB."""
    size = sum(max(mark, 0) for mark in _state_of(path, frames_path, target)[1::3])
    return 120 + 60 * (size // 5_000_000)


def _marker(target: Path) -> Path:
    """A file that is there while a video is in hand."""
    return target.with_name(f".{target.stem}.at_work")


def _clear(folder: Path) -> None:
    """Remove what a killed run has left half written."""
    for path in folder.glob(".*"):
        try:
            if path.name.endswith(".at_work") or time.time() - path.stat().st_mtime > _STALE_S:
                path.unlink()
        except OSError:
            continue  # another run was quicker


# Room


def _check_room(jobs: dict[str, tuple], done: list[dict], root: Path) -> None:
    """Refuse to begin what does not fit on the disk."""
    need, free = foretold_bytes(jobs.values(), done), files.free_bytes(root)
    if need + _RESERVE_BYTES > free:
        raise NoRoomError(
            f"{root}: {len(jobs)} videos to prepare take about {need / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; "
            "make room, or name another folder with --root"
        )


def foretold_bytes(jobs, done: list[dict]) -> int:
    """What jobs will take on the disk, by their length and by what those that are done took for each second."""
    measured = [(record["bytes"], record["duration_s"]) for record in done if record["state"] == "usable"]
    rate = np.divide(*np.sum(measured, axis=0)) if len(measured) > 2 else _GUESSED_BYTES_PER_S
    return round(sum(_length_s(path) for path, *_ in jobs) * rate)


def _length_s(path: str) -> float:
    """Length by the header; 0 for what cannot be read and so will take nothing."""
    try:
        with decoding.opened(path) as container:
            return min((container.duration or 0) / decoding.av.time_base, _LONGEST_S)
    except StudyError:
        return 0.0
