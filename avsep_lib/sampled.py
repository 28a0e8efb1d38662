"""Real notes, played: each note of a score takes the nearest recorded one, moved to its pitch.

Used by ``bank``, beside the tones of soundfonts.
"""

import functools
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import librosa
import numpy as np
import soundfile
import soxr

from avsep_lib.scores import Note
from avsep_lib.settings import StudyError

RATE_HZ = 22_050
"""Rate of the notes in memory: twice what the study hears."""
_NAME = re.compile(r"([A-G]s?)(\d)(?: .*)?")
_RELEASE_S = 0.08
_LOUD = 0.02  # of a note's peak: where it begins


@functools.lru_cache(maxsize=4)
def read_notes(folder: str) -> tuple[tuple[int, np.ndarray], ...]:
    """Recorded notes of one instrument, by pitch.

    Parameters
    ----------
    folder : str
        Holds MP3 files named by their note, such as ``As3.mp3`` for A sharp 3.

    Returns
    -------
    tuple of (pitch, sound)
        MIDI number, and mono float32 (L,) at :data:`RATE_HZ` from where it begins, with a peak of 1.

    Raises
    ------
    StudyError
        If there are none, or one cannot be read.
    """
    notes = []
    for path in sorted(Path(folder).glob("*.mp3")):
        if not (match := _NAME.fullmatch(path.stem)):
            continue
        try:
            sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise StudyError(f"{path}: cannot be read ({error}); delete its folder and build the bank again") from None
        mono = soxr.resample(sound.mean(1), rate, RATE_HZ)
        mono /= max(np.abs(mono).max(), 1e-6)
        begin = max(int(np.argmax(np.abs(mono) > _LOUD)) - RATE_HZ // 200, 0)
        notes.append((int(librosa.note_to_midi(match[1].replace("s", "#") + match[2])), mono[begin:]))
    if not notes:
        raise StudyError(f"{folder}: holds no notes; build the bank again")
    return tuple(sorted(notes, key=lambda note: note[0]))


def tone(folder: str, notes: Sequence[Note], player: SimpleNamespace, end_s: float) -> tuple[np.ndarray, int]:
    """The raw sound of notes, as ``performers.play`` wants it.

    Parameters
    ----------
    folder : str
        As of :func:`read_notes`.
    notes : sequence of Note
        One that is longer than its recording dies away with it.
    player : SimpleNamespace
        Its ``dynamics`` says how far loudness follows the score, its ``layers`` how many reeds or strings sound
        together and ``detune_cents`` how far apart.
    end_s : float
        Length in seconds.

    Returns
    -------
    sound : float32 array, shape (L,)
    rate_hz : int
    """
    recorded = read_notes(folder)
    pitches = np.array([pitch for pitch, _ in recorded])
    sound = np.zeros(int((end_s + 1) * RATE_HZ), np.float32)
    for number, note in enumerate(notes):
        near = np.argsort(np.abs(pitches - note.pitch), kind="stable")
        start = int(note.start_s * RATE_HZ)
        # Neighbours in turn: no player repeats a note exactly.
        pitch, source = recorded[near[number % 2] if len(near) > 1 and _close(pitches, near, note.pitch) else near[0]]
        for layer in range(min(len(player.layers), 2)):
            cents = player.detune_cents * (layer % 2 - 0.5) * (len(player.layers) > 1)
            played = _at_pitch(source, note, pitch - cents / 100)[: max(len(sound) - start, 0)]
            sound[start : start + len(played)] += played * 10 ** (player.dynamics * (note.loudness - 0.7))
    return sound[: int(end_s * RATE_HZ)], RATE_HZ


def _at_pitch(source: np.ndarray, note: Note, pitch: float) -> np.ndarray:
    """A recording of ``pitch`` as the note wants it, float32 (L,); silent from where it ends."""
    step = 2 ** ((note.pitch - pitch) / 12)
    length = min(int((note.end_s - note.start_s + _RELEASE_S) * RATE_HZ), int((len(source) - 1) / step))
    played = np.interp(np.arange(length) * step, np.arange(len(source)), source).astype(np.float32)
    fade = min(int(_RELEASE_S * RATE_HZ), length)
    played[length - fade :] *= np.linspace(1, 0, fade, dtype=np.float32) ** 2
    return played


def _close(pitches: np.ndarray, near: np.ndarray, pitch: int) -> bool:
    """Whether the second nearest recording is at most two semitones farther than the nearest."""
    return abs(pitches[near[1]] - pitch) <= abs(pitches[near[0]] - pitch) + 2
