"""The sound bank: performances of every instrument by many players, on what package registries hold.

A performance is a function of its place in the bank alone, so a bank that was interrupted goes on, and two machines
with the same packages make the same one. Used by ``ear_training``, ``avsep bank`` and ``benchmarks``.
"""

import functools
import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import soundfile
import soxr

from avsep_lib import files, performers, sampled, scores, sound_packages, synthesis, tunes
from avsep_lib.settings import INSTRUMENTS, MUSIC_21, StudyError
from avsep_lib.voices import VOICES, Voice

RATE_HZ = 11_025
SECONDS = 24.0  # of a performance
_HELD_OUT = "TimGM6mb"  # the font that only validates
_PHRASES = "GCompris"
_BORROWED = {"erhu": "violin", "guzheng": "ukulele", "banjo": "acoustic_guitar", "pipa": "acoustic_guitar"}
"""Whose real notes play an instrument that has none of its own."""
_TUNES = 0.25  # share of the performances that play a tune
_REEDS = (
    ((21, 0, 1.0),), ((23, 0, 1.0),), ((21, 0, 1.0), (21, 0, 0.9)), ((21, 0, 1.0), (23, 0, 0.9)),
    ((23, 0, 1.0), (21, 12, 0.4)), ((20, 0, 1.0), (21, 0, 0.8)),
)  # fmt: skip
"""Of an accordion, in fonts that are better than the one of the rendered videos."""


@dataclass(frozen=True)
class Performance:
    """A place in the bank: ``tone`` (a font, real ``notes``, ``synthesis`` or the phrases), instrument and number."""

    tone: str
    instrument: str
    number: int

    @property
    def split(self) -> str:
        """``validation`` for what no training hears, else ``train``."""
        return "validation" if self.tone in (_HELD_OUT, _PHRASES) else "train"

    @property
    def file(self) -> str:
        """Its path within the bank: a NumPy array, int16 (L,) at :data:`RATE_HZ`."""
        return f"performances/{self.tone}/{self.instrument}/{self.number:03d}.npy"


def build(
    folder: str | Path, per_tone: int = 40, workers: int = 2, progress: Callable[[str, int, int], None] | None = None
) -> pd.DataFrame:
    """Fetch the sounds and have them played; goes on from what is there.

    Parameters
    ----------
    folder : str or Path
        Of the bank.
    per_tone : int
        Performances of each instrument of MUSIC on each font and by synthesis; twice as many on real notes, half as
        many of the other instruments of MUSIC-21, and a quarter on the font that only validates.
    workers : int
        Processes.
    progress : callable, optional
        Called with a label, what is done and how much there is.

    Returns
    -------
    DataFrame
        One row for each performance: tone, instrument, number, split, file and seconds; also in ``bank.csv``.

    Raises
    ------
    StudyError
        If no package could be had.
    """
    folder = Path(folder)
    packages = sound_packages.fetch(folder, progress)
    there = packages[packages.state == "there"]
    planned = plan(there, per_tone)
    missing = [one for one in planned if not (folder / one.file).is_file()]
    jobs = joblib.Parallel(workers, return_as="generator_unordered")(
        joblib.delayed(_perform_to_file)(one, folder) for one in missing
    )
    for done, _ in enumerate(jobs):
        if progress:
            progress("playing", len(planned) - len(missing) + done + 1, len(planned))
    rows = [
        {
            "tone": one.tone, "instrument": one.instrument, "number": one.number, "split": one.split, "file": one.file,
            "seconds": len(np.load(folder / one.file, mmap_mode="r")) / RATE_HZ,
        }
        for one in planned
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    with files.atomic(folder / "bank.csv") as temporary:
        table.to_csv(temporary, index=False)
    return table


def plan(packages: pd.DataFrame, per_tone: int) -> list[Performance]:
    """The performances that packages allow; ``packages`` as ``sound_packages.fetch`` gives them, all of them there."""
    planned = []
    notes = set(packages.target[packages.kind == "notes"])
    for font in packages.target[packages.kind == "font"]:
        planned += [Performance(font, name, n) for name in MUSIC_21 for n in range(_count(name, per_tone, font))]
    for name in MUSIC_21:
        if _BORROWED.get(name, name) in notes:
            planned += [Performance("notes", name, n) for n in range(_count(name, per_tone, "notes"))]
    for name in synthesis.FAMILIES:
        planned += [Performance("synthesis", name, n) for n in range(_count(name, per_tone, "synthesis"))]
    if (packages.kind == "phrases").any():
        planned += [Performance(_PHRASES, name, 0) for name in sound_packages.PHRASES]
    return planned


def _count(instrument: str, per_tone: int, tone: str) -> int:
    share = {_HELD_OUT: 0.25, "notes": 2.0}.get(tone, 1.0)
    return max(round(share * per_tone * (1 if instrument in INSTRUMENTS else 0.5)), 1)


def read(folder: str | Path) -> pd.DataFrame:
    """The table of a bank that :func:`build` made, one row for each performance.

    Raises
    ------
    StudyError
        If there is none.
    """
    path = Path(folder) / "bank.csv"
    if not path.is_file():
        raise StudyError(f"{path}: there is no sound bank; run `avsep bank`")
    return pd.read_csv(path)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Performances and minutes of each split and tone of a bank's table."""
    groups = table.groupby(["split", "tone"])
    return pd.DataFrame(
        {
            "instruments": groups.instrument.nunique(),
            "performances": groups.size(),
            "minutes": (groups.seconds.sum() / 60).round().astype(int),
        }
    )


def missing(folder: str | Path) -> dict[str, str]:
    """Packages that a bank was built without, and why."""
    listed = pd.read_csv(Path(folder) / "licences.csv")
    listed = listed[listed.state != "there"]
    return dict(zip(listed.name, listed.state, strict=True))


@functools.lru_cache(maxsize=1)
def _tune_book(path: str) -> list[np.ndarray]:
    """Tunes, read once per process."""
    return tunes.read(path)


def _perform_to_file(one: Performance, folder: Path) -> None:
    sound = perform(one, folder)
    path = folder / one.file
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        np.save(file, np.round(np.clip(sound, -1, 1) * 32767).astype(np.int16))


def perform(one: Performance, folder: str | Path) -> np.ndarray:
    """Sound of one place in the bank, float32 (L,) at :data:`RATE_HZ`."""
    folder = Path(folder)
    if one.tone == _PHRASES:
        sound, rate = soundfile.read(folder / "phrases" / f"{one.instrument}.ogg", dtype="float32", always_2d=True)
        return soxr.resample(sound.mean(1), rate, RATE_HZ)
    rng = np.random.default_rng([zlib.crc32(one.file.encode()), 0])
    score = score_of(one.instrument, _tune_book(str(folder / "tunes.npz")), rng)
    voice = voice_of(one.instrument, one.tone, rng)
    if one.tone == "notes":
        tone = functools.partial(sampled.tone, str(folder / "notes" / _BORROWED.get(one.instrument, one.instrument)))
    elif one.tone == "synthesis":
        tone = functools.partial(synthesis.tone, synthesis.drawn(one.instrument, rng))
    else:
        tone = functools.partial(performers.font_tone, str(folder / "fonts" / f"{one.tone}.sf2"))
    return _stored(performers.play(voice, score, SECONDS, RATE_HZ, rng, tone), rng)


def score_of(instrument: str, tune_book: list[np.ndarray], rng: np.random.Generator) -> list[scores.Note]:
    """What one player plays: a melody in the instrument's idiom, or a free one, or a tune, quicker or slower."""
    kind = rng.random()
    if kind < _TUNES and tune_book and instrument in scores.RANGES:
        tune = tune_book[rng.integers(len(tune_book))]
        return tunes.as_score(tune, scores.RANGES[instrument], SECONDS, rng)
    tempo = float(np.exp(rng.uniform(-0.35, 0.45)))
    score = scores.compose(instrument, SECONDS * tempo, rng, freely=kind > 0.6)
    shift = int(rng.integers(-5, 6)) if instrument in scores.RANGES else 0  # a drum kit has one place for each drum
    return [
        replace(note, start_s=note.start_s / tempo, end_s=note.end_s / tempo, pitch=note.pitch + shift)
        for note in score
    ]


def voice_of(instrument: str, tone: str, rng: np.random.Generator) -> Voice:
    """How one player of the bank sounds.

    A voice's formants tell one rendered instrument from another; here the tones are better, and real instruments
    differ more from each other, so formants are weak and rooms, microphones and habits wide. Only the erhu, which no
    package has, is made by them.
    """
    voice = VOICES[instrument]
    strength = rng.uniform(0.5, 1.2) if instrument == "erhu" else rng.uniform(0, 0.5)
    tones = _REEDS if instrument == "accordion" else voice.tones
    if rng.random() < 0.5 and instrument != "accordion":
        tones = tuple(layers[:1] for layers in tones)  # one plain tone
    low, high = voice.vibrato_cents
    return replace(
        voice,
        tones=tones,
        formants=tuple((hz, db * strength, width) for hz, db, width in voice.formants),
        vibrato_cents=(low * 0.3, high * 1.4) if tone != "notes" else (0, high * 0.5),
        tilt_db=(-4, 3),
        resonance_db=(1, 6),
        tuning_cents=(-40, 40) if voice.tuning_cents == Voice.tuning_cents else voice.tuning_cents,
        room_s=(0.1, 1.6),
        wet_db=(-25, -1),
        floor_db=(-75, -42),
        slide_s=voice.slide_s if instrument == "erhu" or rng.random() < 0.7 else (0, 0.05),
        dynamics=(0.4, 1.1),
    )


def _stored(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sound as a phone or a web page stores it: often through a codec, now and then clipped."""
    if rng.random() < 0.15:
        loud = 10 ** (rng.uniform(0, 12) / 20) * sound / max(np.abs(sound).max(), 1e-6)
        sound = np.clip(loud, -1, 1) * 0.7
    kind = rng.random()
    if kind > 0.5:
        return sound
    file = io.BytesIO()
    encoded = {"format": "MP3"} if kind < 0.3 else {"format": "OGG", "subtype": "VORBIS"}
    level = min(rng.uniform(0.4, 1), 0.98)  # libsndfile refuses what is almost 1
    soundfile.write(file, np.clip(sound, -0.99, 0.99), RATE_HZ, compression_level=level, **encoded)
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    return np.pad(decoded[: len(sound)], (0, max(len(sound) - len(decoded), 0)))
