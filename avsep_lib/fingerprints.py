"""Fingerprints of the sound and the pictures of a video: what stays when it is coded again, cut, scaled or mirrored.

Sound: the peaks of its spectrogram in threes, each an integer that knows no gain, with the step at which it stands
(after Wang, *An Industrial-Strength Audio Search Algorithm*, ISMIR 2003). Pictures: the signs of the lowest 64
coefficients of a cosine transform, one integer for each picture that differs from those before. Used by ``duplicates``.
"""

import hashlib
import json
import os
import warnings
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import fft, ndimage, signal

from avsep_lib import files, media

VERSION = 1
"""Goes up when the same file would get another fingerprint, so that kept ones are not taken for new."""
SAMPLE_RATE_HZ = 11_025
STEP = 256
"""Samples from one column of the spectrogram to the next."""
PICTURES_APART_S = 1.0
"""A picture is looked at each second."""
LONGEST_S = 600.0
"""Of a longer video, the first ten minutes count."""
MIRRORED = np.uint64(sum(1 << (8 * row + column) for row in range(8) for column in range(1, 8, 2)))
"""A mirrored picture's fingerprint is the picture's, with these bits turned: odd columns change their sign."""

_FFT = 1024
_QUIET_DB = -30.0  # peaks this far below the loudest of the video are not looked at
_SMOOTH_STEPS = 2.0  # levels are averaged over time: the peak of a long note would else stand anywhere in it
_NEAR = (15, 15)  # a peak is the largest within so many bins and steps
_LATER = (3, 64)  # steps from a peak to those it is put together with
_FAR_BINS = 64  # and bins
_PARTNERS = 4  # the nearest peaks that a peak is put together with, two at a time
_SIDE_PX = 32
_FLAT = 4.0  # a picture whose brightness differs by less (standard deviation of 255) says nothing
_SAME_BITS = 2  # a picture that differs by no more from one before adds nothing


@dataclass(frozen=True)
class Fingerprint:
    """What a video is recognised by; empty arrays where it has no sound or no pictures.

    ``marks`` are int64 (n, 2): an integer of three peaks, and the step where it stands. ``pictures`` are uint64 (p,).
    """

    marks: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    pictures: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint64))


def of_sound(wave: np.ndarray) -> np.ndarray:
    """The marks of a sound.

    Parameters
    ----------
    wave : float array, shape (L,)
        At ``SAMPLE_RATE_HZ``.

    Returns
    -------
    int64 array, shape (n, 2)
        An integer of three peaks of the spectrogram, and the step of the first; some 50 for each second.
        None for silence.
    """
    bins, steps = _peaks(np.asarray(wave, np.float32))
    if len(steps) < 3:
        return np.zeros((0, 2), np.int64)
    marks = []
    partners = _partners(bins, steps)  # (peaks, _PARTNERS), -1 where there is none
    for i in range(_PARTNERS):
        for j in range(i + 1, _PARTNERS):
            first, second = partners[:, i], partners[:, j]
            there = np.flatnonzero((first >= 0) & (second >= 0))
            first, second = first[there], second[there]
            parts = [
                bins[there], bins[first] - bins[there] + _FAR_BINS, bins[second] - bins[there] + _FAR_BINS,
                (steps[first] - steps[there] + 1) // 2, (steps[second] - steps[there] + 1) // 2,
            ]  # fmt: skip
            value = np.zeros(len(there), np.int64)
            for part, bits in zip(parts, (9, 8, 8, 6, 6), strict=True):
                value = value << bits | part
            marks.append(np.stack([value, steps[there]], axis=1))
    return np.concatenate(marks)


def of_pictures(frames: Iterable[np.ndarray]) -> np.ndarray:
    """The fingerprints of pictures, without repetitions.

    Parameters
    ----------
    frames : uint8 arrays, shape (H, W, 3)

    Returns
    -------
    uint64 array, shape (p,)
        In the order of the pictures; one that differs in 2 bits or fewer from one before is left out, and so is one
        that is nearly of one brightness.
    """
    kept: list[np.uint64] = []
    for frame in frames:
        value = _of_picture(frame)
        if value is not None and not (np.bitwise_count(np.array(kept, np.uint64) ^ value) <= _SAME_BITS).any():
            kept.append(value)
    return np.array(kept, np.uint64)


def of_video(path: str | Path, frames_path: str | Path | None = None) -> Fingerprint:
    """The fingerprint of a video, or of a sound file and a directory of pictures.

    Parameters
    ----------
    path : str or Path
    frames_path : str or Path, optional
        Where the pictures are, if not in ``path``.

    Returns
    -------
    Fingerprint
        Empty where there is no sound or no picture, or none can be decoded: nothing can be recognised by it.
    """
    pictures = frames_path or path
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a damaged part is missing on both sides
        try:
            marks = of_sound(_beginning(path))
        except media.MediaError:
            marks = Fingerprint().marks
        try:
            length_s = min(max(_length_s(pictures), PICTURES_APART_S), LONGEST_S)
            times = np.arange(PICTURES_APART_S / 2, length_s, PICTURES_APART_S)
            seen = of_pictures(media.frames_at(pictures, times, _SIDE_PX))
        except media.MediaError:
            seen = Fingerprint().pictures
    return Fingerprint(marks, seen)


def of_videos(
    paths: Sequence[str | Path],
    frames_paths: Sequence[str | Path] | None = None,
    kept: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Fingerprint]:
    """The fingerprints of many videos.

    Parameters
    ----------
    paths, frames_paths : as in :func:`of_video`
    kept : Path, optional
        Folder in which fingerprints are kept, and looked for; a file that has changed gets a new one.
    progress : callable, optional
        Called with a label, the videos done and their number, after each that was not kept.
    """
    prints = []
    for path, frames_path in zip(paths, frames_paths or paths, strict=True):
        known = _read(_file(path, frames_path, kept)) if kept else None
        prints.append(known or _taken(path, frames_path, kept))
        if progress and not known:
            progress("taking fingerprints", len(prints), len(paths))
    return prints


def keep(path: str | Path, folder: Path) -> None:
    """Take the fingerprint of a video and put it where :func:`of_videos` looks for it."""
    _taken(path, path, folder)


def _taken(path, frames_path, kept):
    """A fingerprint, put into the folder if there is one."""
    taken = of_video(path, frames_path)
    if kept:
        with files.atomic(_file(path, frames_path, kept)) as part:
            np.savez(part, marks=taken.marks, pictures=taken.pictures)
    return taken


def _file(path, frames_path, folder):
    """Where a fingerprint is kept; folder and videos may move together."""
    states = [(os.path.relpath(name, folder), *state) for name in (path, frames_path) if (state := files.state(name))]
    return folder / f"{hashlib.sha256(json.dumps([VERSION, states]).encode()).hexdigest()[:16]}.npz"


def _read(file):
    """A fingerprint that was kept; None where there is none, or half of one."""
    try:
        with np.load(file) as arrays:
            return Fingerprint(arrays["marks"], arrays["pictures"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _beginning(path):
    """Sound of a file, up to ``LONGEST_S``."""
    blocks, count = [], 0
    for block in media.audio_blocks(path, SAMPLE_RATE_HZ):
        blocks.append(block)
        count += len(block)
        if count >= LONGEST_S * SAMPLE_RATE_HZ:
            break
    return np.concatenate(blocks)[: round(LONGEST_S * SAMPLE_RATE_HZ)]


def _peaks(wave):
    """Bins and steps of the peaks of the spectrogram, in order of time."""
    if len(wave) < _FFT:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(wave, _FFT)[::STEP]
    spectrum = np.abs(fft.rfft(windows * signal.windows.hann(_FFT, sym=False).astype(np.float32), axis=1))[:, :512]
    top = spectrum.max()
    if top < 1e-4:  # silence: about -100 dB
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    level_db = 20 * np.log10(np.maximum(spectrum / top, 10 ** (1.5 * _QUIET_DB / 20)))
    level_db = ndimage.gaussian_filter1d(level_db, _SMOOTH_STEPS, axis=0)
    peaks = (level_db == ndimage.maximum_filter(level_db, size=_NEAR[::-1])) & (level_db > _QUIET_DB)
    steps, bins = np.nonzero(peaks)
    return bins, steps


def _partners(bins, steps):
    """For each peak, the numbers of the peaks soon after it and near in pitch: (n, _PARTNERS), -1 for none."""
    found = np.full((len(steps), _PARTNERS), -1)
    for i in range(len(steps)):
        after, end = np.searchsorted(steps, steps[i] + np.array(_LATER))
        near = after + np.flatnonzero(np.abs(bins[after:end] - bins[i]) < _FAR_BINS)[:_PARTNERS]
        found[i, : len(near)] = near
    return found


def _of_picture(frame):
    """The fingerprint of a picture, or None if it is of one brightness."""
    luma = np.asarray(frame, np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    if luma.std() < _FLAT:
        return None
    rows, columns = (_averages(side) for side in luma.shape)
    low = fft.dctn(rows @ luma @ columns.T)[:8, :8].reshape(-1) > 0
    low[0] = False  # the mean: always positive
    return np.packbits(low, bitorder="little").view(np.uint64)[0]


def _averages(side):
    """Matrix that averages a side of any length to ``_SIDE_PX``: (32, side)."""
    edges = np.linspace(0, side, _SIDE_PX + 1)
    ends = np.minimum(edges[1:, None], np.arange(1, side + 1))
    return np.clip(ends - np.maximum(edges[:-1, None], np.arange(side)), 0, None) * _SIDE_PX / side


def _length_s(path):
    """Length of a video, or of a directory of 8 pictures a second."""
    if Path(path).is_dir():
        return len(list(Path(path).iterdir())) / 8
    return media.probe(path).duration_s
