"""Fiddle tunes and folk songs for the sound bank, out of the corpus of music21.

music21 is needed once, to read the tunes; the bank then keeps them as plain numbers. Used by ``bank``.
"""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from avsep_lib import files
from avsep_lib.scores import Note
from avsep_lib.settings import StudyError

COLLECTIONS = ("ryansMammoth", "oneills1850", "airdsAirs")
"""Folders of the corpus: single melodies, all printed before 1908."""
_FEWEST = 24  # notes of a tune worth playing


def collect(path: str | Path, progress: Callable[[str, int, int], None] | None = None) -> int:
    """Read the tunes with music21 and keep them in one file.

    Parameters
    ----------
    path : str or Path
        An .npz file: ``notes`` float32 (notes, 3), of each its beat, its length in beats and its MIDI number; and
        ``ends`` int64 (tunes,), where each tune ends.
    progress : callable, optional
        Called with a label, what is done and how much there is.

    Returns
    -------
    int
        How many tunes there are.

    Raises
    ------
    StudyError
        If music21 is not installed.
    """
    try:
        from music21 import corpus
    except ImportError:
        raise StudyError("music21 is not installed; run `pip install music21`") from None
    paths = sorted(p for p in map(Path, corpus.getPaths()) if p.parent.name in COLLECTIONS and p.suffix == ".abc")
    tunes = []
    for number, tune in enumerate(paths):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bars that are too short
            notes = [n for n in corpus.parse(tune).flatten().notes if n.isNote and n.quarterLength > 0]
        if len(notes) >= _FEWEST:
            tunes.append(np.array([(n.offset, n.quarterLength, n.pitch.midi) for n in notes], np.float32))
        if progress:
            progress("reading tunes", number + 1, len(paths))
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, notes=np.concatenate(tunes), ends=np.cumsum([len(tune) for tune in tunes]))
    return len(tunes)


def read(path: str | Path) -> list[np.ndarray]:
    """The tunes of a file that :func:`collect` wrote, each float32 (notes, 3); none if there is no such file."""
    if not Path(path).is_file():
        return []
    with np.load(path) as kept:
        return np.split(kept["notes"], kept["ends"][:-1])


def as_score(tune: np.ndarray, register: tuple[int, int], duration_s: float, rng: np.random.Generator) -> list[Note]:
    """A stretch of a tune for one player: in their register, at a tempo of their own.

    Parameters
    ----------
    tune : float array, shape (notes, 3)
        Beats, lengths in beats, MIDI numbers.
    register : (low, high)
        MIDI numbers; single notes may stick out.
    duration_s : float
        Of the score. The tune is played again from its beginning where it is shorter.
    rng : Generator

    Returns
    -------
    list of Note
        Sorted by start, within [0, ``duration_s``].
    """
    beat_s, gate = 60 / rng.uniform(60, 150), rng.uniform(0.8, 1.0)
    length = float((tune[:, 0] + tune[:, 1]).max())
    times = int(np.ceil(duration_s / (length * beat_s))) + 1
    beats = np.concatenate([tune[:, 0] + length * n for n in range(times)])
    lengths, pitches = np.tile(tune[:, 1], times), np.tile(tune[:, 2], times)
    first = rng.integers(len(tune) // 2)
    middle = rng.uniform(register[0] + 5, max(register[1] - 5, register[0] + 6))
    shift = round(middle - float(np.median(pitches[first : first + 40])))
    notes = []
    for beat, beats_long, pitch in zip(beats[first:], lengths[first:], pitches[first:], strict=True):
        start_s = float(beat - beats[first]) * beat_s + rng.uniform(0, 0.015)
        if start_s >= duration_s - 0.08:
            break
        end_s = min(start_s + max(float(beats_long) * beat_s * gate, 0.06), duration_s)
        loudness = float(np.clip(0.6 + 0.15 * (beat % 1 == 0) + rng.normal(0, 0.08), 0.1, 1))
        notes.append(Note(start_s, end_s, int(np.clip(pitch + shift, 21, 108)), loudness))
    return notes
