"""Seeded scores: a melody in the idiom of each instrument.

Finished notes are in seconds and MIDI numbers. While a score grows, time is in beats and pitch in degrees of a scale,
because motifs repeat and move on those. A score is a function of its arguments alone. Used by ``rendered``.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from avsep_lib.settings import StudyError


@dataclass(frozen=True)
class Note:
    """One note of a score: ``pitch`` is a MIDI number, ``loudness`` lies between 0 and 1."""

    start_s: float
    end_s: float
    pitch: int
    loudness: float


SLOW = ((2, 2), (3, 1), (2, 1, 1), (1, 1, 2), (1.5, 0.5, 2), (4,))
WALKING = ((1, 1, 1, 1), (1, 1, 2), (1.5, 0.5, 1, 1), (1, 0.5, 0.5, 2), (2, 1, 1), (0.5, 0.5, 1, 2))
LIVELY = (
    (1, 0.5, 0.5, 1, 1),
    (0.5,) * 8,
    (0.5, 0.5, 1, 0.5, 0.5, 1),
    (1.5, 0.5, 0.5, 0.5, 1),
    (1, 1, 0.5, 0.5, 1),
)
RAPID = (
    (0.5, 0.25, 0.25) * 4,
    (0.5,) * 8,
    (0.25,) * 8 + (0.5,) * 4,
    (1, 0.25, 0.25, 0.5) * 2,
    (0.5, 0.5, 1) * 2,
)
SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10), "dorian": (0, 2, 3, 5, 7, 9, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10), "gong": (0, 2, 4, 7, 9), "yu": (0, 3, 5, 7, 10),
}  # fmt: skip
HEPTATONIC = ("major", "minor", "dorian", "mixolydian")
PROGRESSIONS = ((0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 5, 3), (0, 1, 4, 0), (0, 3, 0, 4))  # roots, as degrees
FORMS = ("AABA", "ABAB", "AABB", "ABAC")
LONGEST_REST_S = 0.5


@dataclass(frozen=True)
class _Bar:
    """Four beats of a melody over one chord; ``events`` are (beat, beats, degree)."""

    events: tuple[tuple[float, float, int], ...]
    chord: int  # degree of the root
    low: int  # lowest degree of the register
    last: bool  # of its phrase


_Events = list[tuple[float, float, int]]  # (beat, beats, degree), as in a bar
_Texture = Callable[[_Bar, float, np.random.Generator], _Events]  # the float is the performer's own taste, 0..1


def _single_line(bar: _Bar, taste: float, rng: np.random.Generator) -> _Events:
    return list(bar.events)


def _double_stops(bar: _Bar, taste: float, rng: np.random.Generator) -> _Events:
    """Thirds and sixths below some of the long notes."""
    lower = 2 if taste < 0.5 else 5
    seconds = [(b, d, p - lower) for b, d, p in bar.events if d >= 1 and p - lower >= bar.low and rng.random() < 0.3]
    return [*bar.events, *seconds]


def _oom_pah(bar: _Bar, taste: float, rng: np.random.Generator) -> _Events:
    """Root and fifth in turn, now and then a bar of melody."""
    if rng.random() < 0.25 + 0.4 * taste:
        return list(bar.events)
    root = bar.low + (bar.chord - bar.low) % 7
    fifth = root + 4 if taste < 0.5 or root - 3 < bar.low else root - 3
    beats = 1 if taste > 0.25 else 2
    return [(b, beats, (root, fifth)[i % 2]) for i, b in enumerate(range(0, 4, beats))]


def _left_hand(bar: _Bar, taste: float, rng: np.random.Generator) -> _Events:
    """The melody over a held triad, or over bass and chord in turn."""
    root = bar.low - 7 + (bar.chord - bar.low) % 7
    triad = [root, root + 2, root + 4]
    if taste < 0.5:
        return [*bar.events, *((0.0, 4.0, p) for p in triad)]
    afterbeats = [(b, 0.8, p) for b in (1.0, 3.0) for p in triad]
    return [*bar.events, (0.0, 1.0, root), (2.0, 1.0, root), *afterbeats]


def _plucked_chords(bar: _Bar, taste: float, rng: np.random.Generator) -> _Events:
    """Arpeggios or strums that ring to the end of the bar; some bars carry the melody on top."""
    root = bar.low + (bar.chord - bar.low) % 7
    voicing = [root, root + 4, root + 7, root + 9, root + 11]
    if taste < 0.65:
        order = ((0, 2, 3, 4, 3, 2, 3, 2), (0, 1, 2, 3, 4, 3, 2, 1), (0, 3, 2, 4, 1, 3, 2, 4))[int(taste * 4.6)]
        picked = [(i * 0.5, min(2.0, 4 - i * 0.5), voicing[k]) for i, k in enumerate(order)]
        return [e if rng.random() > 0.1 else (e[0], e[1], e[2] + 1) for e in picked]
    strums = ((0, 1), (1, 0.5), (1.5, 0.5), (2, 1), (3, 0.5), (3.5, 0.5)) if taste < 0.85 else ((0, 2), (2, 2))
    chords = [(b + 0.03 * i, d, p) for b, d in strums for i, p in enumerate(voicing)]
    tune = [(b, d, p + 7) for b, d, p in bar.events if d >= 1 and b in (1, 2, 3) and rng.random() < 0.3]
    return chords + tune


def _mallets(bar: _Bar, taste: float, rng: np.random.Generator) -> _Events:
    """Long notes become rolls of two mallets; a second mallet joins on some of the short ones."""
    interval, rate = (7, 2, 0)[int(taste * 2.99)], 0.125 if taste < 0.5 else 0.25
    events: _Events = []
    for beat, beats, degree in bar.events:
        if beats >= 1 and rng.random() < 0.6:
            strokes = np.arange(0, beats - 1e-6, rate)
            events += [(beat + s, rate, degree + interval * (i % 2)) for i, s in enumerate(strokes)]
        else:
            events.append((beat, beats, degree))
            if interval and rng.random() < 0.25:
                events.append((beat, beats, degree + interval))
    return events


def _over_drones(bar: _Bar, taste: float, rng: np.random.Generator) -> _Events:
    """The melody over one or two held low tones that never change."""
    drones = [bar.low - 7, bar.low - 14][: 1 + (taste > 0.4)]
    return [*bar.events, *((0.0, 4.0, p) for p in drones)]


def _sweeps(bar: _Bar, taste: float, rng: np.random.Generator) -> _Events:
    """The melody, an octave below on strong beats, and now and then a run up or down over all the strings."""
    events = [(b, max(d, 1.5), p) for b, d, p in bar.events]
    events += [(b, d, p - 5) for b, d, p in bar.events if b in (0, 2) and p - 5 >= bar.low and rng.random() < 0.5]
    if rng.random() < 0.15 + 0.3 * taste:
        run = np.arange(10) if rng.random() < 0.5 else np.arange(10)[::-1]
        events += [(3.0 + 0.09 * i, 1.0, bar.low + 2 + int(p)) for i, p in enumerate(run)]
    return events


# Keys of the General MIDI drum kit stand in for degrees; see ``compose``.
_KICK, _SNARE, _SIDE, _CLOSED, _OPEN, _RIDE, _CRASH = 36, 38, 37, 42, 46, 51, 49
_TOMS = (41, 43, 45, 47, 48, 50)


def _drum_kit(bar: _Bar, taste: float, rng: np.random.Generator) -> _Events:
    """A beat of kick, snare and cymbal, some bars a fill or a solo over the toms."""
    if rng.random() < 0.15 + 0.35 * taste:
        step = (0.25, 0.5)[int(rng.integers(2))]
        keys = rng.choice([_SNARE, _SNARE, *_TOMS, _KICK], int(4 / step))
        return [(i * step, step, int(k)) for i, k in enumerate(keys) if rng.random() < 0.85] or [(0.0, 1.0, _KICK)]
    cymbal, snare = (_CLOSED, _RIDE, _OPEN)[int(taste * 2.99)], _SNARE if rng.random() < 0.8 else _SIDE
    events = [(b, 0.5, cymbal) for b in np.arange(0, 4, 0.5 if taste > 0.3 else 1.0).tolist()]
    events += [(1.0, 1.0, snare), (3.0, 1.0, snare), (0.0, 1.0, _KICK)]
    events += [(b, 0.5, _KICK) for b in (1.5, 2.0, 2.5, 3.5) if rng.random() < 0.4]
    return events + ([(0.0, 2.0, _CRASH)] if bar.last else [])


def _hand_drums(bar: _Bar, taste: float, rng: np.random.Generator) -> _Events:
    """A pattern of open, muted and low strokes that repeats with small changes."""
    keys = (63, 62, 62, 64, 63, 62, 63, 64) if taste < 0.5 else (62, 62, 63, 63, 62, 64, 64, 63)
    swapped = [int(rng.choice((60, 61, 62, 63, 64))) if rng.random() < 0.15 else k for k in keys]
    return [(0.5 * i, 0.5, k) for i, k in enumerate(swapped) if rng.random() < 0.9] or [(0.0, 0.5, 63)]


@dataclass(frozen=True)
class _Idiom:
    """How an instrument's melodies go: register of the tune (MIDI), tempo, bars, scales, articulation, texture."""

    register: tuple[int, int]
    tempo_bpm: tuple[float, float]
    rhythms: tuple[tuple[float, ...], ...]
    scales: tuple[str, ...] = HEPTATONIC
    gate: tuple[float, float] = (0.85, 1.0)  # sounding share of a note
    breath_s: float = 0.0  # rest after a phrase
    leaps: float = 0.2  # share of steps wider than a second
    texture: _Texture = _single_line


_IDIOMS = {
    "accordion": _Idiom((60, 84), (92, 132), LIVELY + WALKING, gate=(0.8, 0.98), texture=_left_hand),
    "acoustic_guitar": _Idiom((40, 62), (72, 116), WALKING, gate=(1.0, 1.0), leaps=0.3, texture=_plucked_chords),
    "cello": _Idiom((36, 64), (58, 92), SLOW + WALKING, gate=(0.95, 1.0), texture=_double_stops),
    "clarinet": _Idiom((52, 84), (84, 132), LIVELY + WALKING, breath_s=0.25, leaps=0.3),
    "erhu": _Idiom((62, 86), (54, 80), SLOW + WALKING, ("gong", "yu"), (0.97, 1.0)),
    "flute": _Idiom((65, 94), (80, 132), LIVELY + WALKING, breath_s=0.25),
    "saxophone": _Idiom((46, 76), (76, 126), LIVELY + WALKING, ("dorian", "mixolydian", "yu"), breath_s=0.3, leaps=0.3),
    "trumpet": _Idiom((55, 82), (88, 132), WALKING + LIVELY, ("major", "mixolydian"), (0.8, 0.98), 0.3, 0.3),
    "tuba": _Idiom((29, 50), (70, 104), SLOW + WALKING, ("major", "minor"), (0.8, 0.97), 0.3, 0.25, _oom_pah),
    "violin": _Idiom((57, 91), (72, 126), LIVELY + WALKING + SLOW, gate=(0.92, 1.0), texture=_double_stops),
    "xylophone": _Idiom((65, 91), (104, 152), LIVELY + RAPID, gate=(0.7, 0.95), leaps=0.3, texture=_mallets),
    # Those of MUSIC-21, which the sound bank plays
    "bagpipe": _Idiom((67, 82), (76, 120), LIVELY + RAPID, ("mixolydian",), (1.0, 1.0), texture=_over_drones),
    "banjo": _Idiom((50, 74), (100, 168), RAPID + LIVELY, gate=(1.0, 1.0), leaps=0.4, texture=_plucked_chords),
    "bassoon": _Idiom((34, 67), (76, 126), LIVELY + WALKING, breath_s=0.3, leaps=0.3),
    "congas": _Idiom((48, 76), (84, 132), RAPID, texture=_hand_drums),
    "drum": _Idiom((35, 69), (76, 152), WALKING, texture=_drum_kit),
    "electric_bass": _Idiom((28, 52), (76, 126), LIVELY + WALKING, gate=(0.7, 1.0), leaps=0.35),
    "guzheng": _Idiom((43, 86), (66, 126), LIVELY + RAPID, ("gong", "yu"), (1.0, 1.0), texture=_sweeps),
    "piano": _Idiom((55, 88), (66, 138), LIVELY + WALKING, gate=(0.85, 1.1), leaps=0.3, texture=_left_hand),
    "pipa": _Idiom((50, 86), (76, 138), LIVELY + RAPID, ("gong", "yu"), (0.9, 1.0), texture=_mallets),
    "ukulele": _Idiom((57, 77), (84, 138), WALKING + LIVELY, gate=(1.0, 1.0), leaps=0.3, texture=_plucked_chords),
}


def _freed(idiom: _Idiom, whole: tuple[int, int], rng: np.random.Generator) -> _Idiom:
    """An idiom somewhere else in the instrument's range, with any rhythms, scales and leaps."""
    span = int(rng.integers(14, 27))
    low = int(rng.integers(whole[0] - 5, max(whole[1] - span, whole[0] - 4)))
    return replace(
        idiom, register=(low, low + span), tempo_bpm=(50, 160), rhythms=SLOW + WALKING + LIVELY + RAPID,
        scales=tuple(SCALES), leaps=float(rng.uniform(0.05, 0.6)), gate=(min(idiom.gate[0], 0.7), 1.0),
        texture=idiom.texture if rng.random() < 0.5 else _single_line,
    )  # fmt: skip


def _melody(idiom: _Idiom, low: int, high: int, n_bars: int, size: int, rng: np.random.Generator) -> list[_Bar]:
    """Phrases of four bars: motifs in a form, each time on a tone of the bar's chord."""
    motifs = {}
    for name in "ABC":
        rhythm = idiom.rhythms[rng.integers(len(idiom.rhythms))]
        steps = rng.choice((-1, 1, 0), len(rhythm), p=(0.45, 0.45, 0.1))
        leaps = rng.choice((-4, -3, -2, 2, 3, 4), len(rhythm))
        contour = np.cumsum(np.where(rng.random(len(rhythm)) < idiom.leaps, leaps, steps))
        motifs[name] = (rhythm, contour - contour[0])
    form, progression = FORMS[rng.integers(len(FORMS))], PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
    bars, degree = [], (low + high) // 2
    for index in range(n_bars):
        rhythm, contour = motifs[form[index % 4]]
        chord = progression[index % 4] % size
        tones = [d for d in range(low, high + 1) if (d - chord) % size in (0, 2, 4)]
        nearest = sorted(tones, key=lambda d: abs(d - degree))[:2]
        degrees = nearest[rng.integers(len(nearest))] + contour
        # Reflect at the ends of the register, so that a motif turns back where the instrument ends.
        span = max(high - low, 1)
        degrees = low + span - np.abs((degrees - low) % (2 * span) - span)
        beats = np.concatenate([[0], np.cumsum(rhythm)[:-1]])
        events = tuple(zip(beats.tolist(), map(float, rhythm), degrees.tolist(), strict=True))
        bars.append(_Bar(events, chord, low, index % 4 == 3))
        degree = int(degrees[-1])
    return bars


def _without_long_rests(notes: list[Note], duration_s: float) -> list[Note]:
    """Lengthen the last note before each rest that is longer than a listener would wait."""
    notes = sorted(notes, key=lambda n: (n.start_s, n.pitch))
    starts = [n.start_s for n in notes[1:]] + [duration_s]
    sounding_until, filled = 0.0, []
    for note, next_start in zip(notes, starts, strict=True):
        if next_start - max(sounding_until, note.end_s) > LONGEST_REST_S:
            note = replace(note, end_s=next_start - 0.1)
        sounding_until = max(sounding_until, note.end_s)
        filled.append(note)
    return filled


RANGES = {
    "accordion": (48, 90), "acoustic_guitar": (40, 80), "bagpipe": (62, 84), "banjo": (48, 82), "bassoon": (34, 72),
    "cello": (36, 79), "clarinet": (50, 91), "electric_bass": (28, 60), "erhu": (60, 93), "flute": (59, 96),
    "guzheng": (38, 88), "piano": (36, 96), "pipa": (45, 90), "saxophone": (44, 86), "trumpet": (52, 86),
    "tuba": (26, 64), "ukulele": (57, 84), "violin": (55, 98), "xylophone": (45, 100),
}  # fmt: skip
"""What is played on each instrument of MUSIC-21 that has pitches, as MIDI numbers."""


def compose(instrument: str, duration_s: float, rng: np.random.Generator, freely: bool = False) -> list[Note]:
    """Write a melody in the idiom of an instrument.

    A key, a mode and a tempo are drawn, then motifs that repeat and move in phrases of four bars over a chord
    progression, in a part of the instrument's register.

    Parameters
    ----------
    instrument : str
        One of ``settings.MUSIC_21``.
    duration_s : float
        Length of the score in seconds.
    rng : numpy.random.Generator
        Where every choice is drawn from.
    freely : bool
        Leave the idiom: any part of the instrument's range, any rhythm, tempo and scale.

    Returns
    -------
    list of Note
        Sorted by start, all within [0, ``duration_s``]. The first note starts before 0.3 s and no rest, that at the
        end included, is longer than 0.6 s.

    Raises
    ------
    StudyError
        If the instrument is unknown.

    Examples
    --------
    >>> notes = compose("tuba", 4.0, np.random.default_rng(0))
    >>> notes == compose("tuba", 4.0, np.random.default_rng(0)), notes[0].pitch < 60
    (True, True)
    """
    if instrument not in _IDIOMS:
        raise StudyError(f"instrument {instrument!r} is unknown; choose one of {', '.join(_IDIOMS)}")
    idiom = _IDIOMS[instrument]
    if freely and instrument in RANGES:
        idiom = _freed(idiom, RANGES[instrument], rng)
    scale = SCALES[idiom.scales[rng.integers(len(idiom.scales))]]
    tonic = int(rng.integers(12))
    pitches = np.array([tonic + 12 * octave + step for octave in range(10) for step in scale])
    if idiom.texture in (_drum_kit, _hand_drums):
        pitches = np.arange(128)  # keys, not tones
    low = int(np.searchsorted(pitches, idiom.register[0] + rng.integers(0, 6)))
    high = int(np.searchsorted(pitches, idiom.register[1] - rng.integers(0, 6))) - 1
    beat_s = 60 / rng.uniform(*idiom.tempo_bpm)
    taste, gate, lead_s = rng.random(), rng.uniform(*idiom.gate), rng.uniform(0, min(0.25, duration_s / 4))
    bars = _melody(idiom, low, high, int(duration_s / (4 * beat_s)) + 1, len(scale), rng)
    notes = []
    for index, bar in enumerate(bars):
        arc = 0.5 + 0.25 * np.sin(np.pi * (index % 4 + 0.5) / 4)  # each phrase swells and fades
        for beat, beats, degree in idiom.texture(bar, taste, rng):
            start_s = lead_s + (4 * index + beat) * beat_s + (beat > 0) * rng.uniform(0, 0.012)
            breath_s = idiom.breath_s if bar.last and beat + beats >= 4 else 0.0
            end_s = start_s + max(beats * beat_s * gate - breath_s, 0.06)
            loudness = np.clip(arc + 0.12 * (beat % 2 == 0) + rng.normal(0, 0.06), 0.1, 1)
            if start_s < duration_s - min(0.08, duration_s / 2):
                notes.append(Note(float(start_s), min(float(end_s), duration_s), int(pitches[degree]), float(loudness)))
    return _without_long_rests(notes, duration_s)
