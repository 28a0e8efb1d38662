"""Tones made by rule: what the physics of an instrument's family fixes is kept, the rest is drawn anew for each player.

A net that hears only sampled instruments learns those few instruments. Here no two players share a spectrum, but a
reed still lacks its even partials, a struck bar is still inharmonic, and louder brass is still brighter. Used by
``bank``, beside soundfonts and real notes.

References
----------
Fletcher and Rossing, The Physics of Musical Instruments, 2nd ed., 1998: partials of strings (2.18, 2.67), bars (19.2,
19.6), reeds (15), brass (14).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from avsep_lib.scores import Note

RATE_HZ = 13_000
_Span = tuple[float, float]


@dataclass(frozen=True)
class _Family:
    """What players of a family share; each draws its own number from every span.

    ``slope`` is the power with which partials fall, ``even`` the level of even partials, ``brighter`` how much slower
    partials fall when louder, ``decay_s`` the time to a 60 dB fall (0: held), ``damped`` how much sooner higher ones
    die, ``pluck`` the place of the hand on the string, ``stiff`` its inharmonicity, ``ratios`` those of a bar.
    """

    slope: _Span
    even: _Span = (1, 1)
    brighter: _Span = (0, 0.3)
    attack_s: _Span = (0.01, 0.06)
    decay_s: _Span = (0, 0)
    damped: _Span = (0, 0)
    pluck: _Span = (0, 0)
    stiff: _Span = (0, 0)
    ripple_db: _Span = (1, 5)
    ratios: tuple[tuple[float, ...], ...] = ()


_BOWED = _Family((0.8, 1.7), attack_s=(0.02, 0.12), ripple_db=(3, 8))
_PLUCKED = _Family(
    (0.8, 1.8), attack_s=(0.001, 0.004), decay_s=(1.5, 8), damped=(0.05, 0.5), pluck=(0.06, 0.45), stiff=(1e-5, 3e-4)
)
FAMILIES = {
    "accordion": _Family((0.7, 1.5), (0.6, 1), attack_s=(0.01, 0.05)),
    "acoustic_guitar": _PLUCKED,
    "bagpipe": _Family((0.3, 1.0), attack_s=(0.003, 0.01), ripple_db=(2, 6)),
    "banjo": _Family((0.4, 1.1), attack_s=(0.001, 0.003), decay_s=(0.3, 1.5), damped=(0.02, 0.2), pluck=(0.04, 0.2)),
    "bassoon": _Family((0.7, 1.5), attack_s=(0.015, 0.05), ripple_db=(3, 7)),
    "cello": _BOWED,
    "clarinet": _Family((1.0, 2.0), (0.02, 0.35), (0.1, 0.6), (0.015, 0.05)),
    "electric_bass": _Family(
        (1.2, 2.6), attack_s=(0.002, 0.008), decay_s=(2, 8), damped=(0.1, 0.8), pluck=(0.08, 0.35), stiff=(1e-5, 1e-4)
    ),
    "erhu": _Family((0.6, 1.4), attack_s=(0.03, 0.12), ripple_db=(3, 8)),
    "flute": _Family((1.6, 3.2), (0.4, 1.2), (0.3, 1.0), (0.03, 0.09), ripple_db=(1, 4)),
    "guzheng": _Family(
        (0.8, 1.8), attack_s=(0.001, 0.004), decay_s=(2, 8), damped=(0.03, 0.3), pluck=(0.03, 0.2), stiff=(1e-5, 2e-4)
    ),
    "piano": _Family(
        (1.0, 2.0), brighter=(0.2, 0.8), attack_s=(0.002, 0.006), decay_s=(3, 14), damped=(0.05, 0.4),
        pluck=(0.1, 0.14), stiff=(1e-4, 1e-3),
    ),
    "pipa": _Family((0.5, 1.3), attack_s=(0.001, 0.003), decay_s=(0.5, 2.5), damped=(0.03, 0.3), pluck=(0.04, 0.2)),
    "saxophone": _Family((0.6, 1.5), (0.7, 1.1), (0.2, 0.7), (0.015, 0.06), ripple_db=(2, 6)),
    "trumpet": _Family((0.8, 1.9), brighter=(0.4, 1.2), attack_s=(0.01, 0.05)),
    "tuba": _Family((1.2, 2.4), brighter=(0.3, 0.9), attack_s=(0.02, 0.08)),
    "ukulele": _Family(
        (1.1, 2.0), attack_s=(0.001, 0.004), decay_s=(0.6, 2.5), damped=(0.1, 0.6), pluck=(0.1, 0.45),
        stiff=(1e-5, 1e-4),
    ),
    "violin": _BOWED,
    "xylophone": _Family(
        (0.6, 1.6), attack_s=(0.0005, 0.002), decay_s=(0.15, 1.6), damped=(0.3, 1.5), ripple_db=(2, 6),
        ratios=((1, 3, 6.1, 9.2), (1, 4, 9.2, 16), (1, 3.9, 9.2), (1, 2.76, 5.4, 8.93)),
    ),
}  # fmt: skip
"""The instruments that can be made by rule; drums are left to the fonts."""
_MOST = 40  # partials
_BLOCK = 512  # samples


def drawn(instrument: str, rng: np.random.Generator) -> SimpleNamespace:
    """One player's instrument: a number from each span of its family, and its own unevenness of partials."""
    family = FAMILIES[instrument]
    numbers = {name: rng.uniform(*span) for name, span in vars(family).items() if name != "ratios"}
    ratios = family.ratios[rng.integers(len(family.ratios))] if family.ratios else tuple(range(1, _MOST + 1))
    ripple_db = numbers.pop("ripple_db") * rng.standard_normal(len(ratios))
    return SimpleNamespace(
        **numbers, ratios=np.array(ratios), ripple=10 ** (ripple_db / 20), struck=bool(family.ratios)
    )


def tone(made: SimpleNamespace, notes: Sequence[Note], player: SimpleNamespace, end_s: float) -> tuple[np.ndarray, int]:
    """The raw sound of notes, as ``performers.play`` wants it.

    Parameters
    ----------
    made : SimpleNamespace
        As :func:`drawn` gives it.
    notes : sequence of Note
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
    sound = np.zeros(int((end_s + 0.1) * RATE_HZ), np.float32)
    voices = [0.0] if len(player.layers) == 1 else [-player.detune_cents / 2, player.detune_cents / 2]
    for note in notes:
        start = int(note.start_s * RATE_HZ)
        for cents in voices:
            played = _note(made, note, cents, player.dynamics)[: len(sound) - start]
            sound[start : start + len(played)] += played
    return sound[: int(end_s * RATE_HZ)], RATE_HZ


def _note(made: SimpleNamespace, note: Note, cents: float, dynamics: float) -> np.ndarray:
    """One note with its partials and their lives, float32 (L,)."""
    ring_s = 0.3 * made.decay_s if made.struck else 0.06
    length = int((note.end_s - note.start_s + ring_s) * RATE_HZ)
    place = made.ratios
    hz = 440 * 2 ** ((note.pitch - 69 + cents / 100) / 12) * place * np.sqrt(1 + made.stiff * place**2)
    heard = hz < 0.45 * RATE_HZ
    place, hz = place[heard], hz[heard]
    level = made.ripple[heard] * place ** -(made.slope - made.brighter * (note.loudness - 0.5))
    level = np.where(place % 2 == 0, made.even, 1.0) * level
    if made.pluck:
        level = level * np.abs(np.sin(np.pi * place * made.pluck)) / np.sin(np.pi * made.pluck)
    fall = 6.9 / made.decay_s * (1 + made.damped * (place - 1)) if made.decay_s else np.zeros(len(place))
    sound = _partials(level * np.exp(2.4j * place**2), (2j * np.pi * hz - fall) / RATE_HZ, length)
    time_s = np.arange(length) / RATE_HZ
    shape = (1 - np.exp(-time_s / made.attack_s)) * np.clip((length / RATE_HZ - time_s) / ring_s, 0, 1)
    return (sound * shape * 0.1 * 10 ** (dynamics * (note.loudness - 0.7))).astype(np.float32)


def _partials(level: np.ndarray, rate: np.ndarray, length: int) -> np.ndarray:
    """Sum of damped partials, ``sum(level * exp(rate * n)).imag``, as one product of matrices: (K,), (K,) -> (L,)."""
    within = np.exp(np.outer(rate, np.arange(_BLOCK)))  # (K, block)
    starts = level * np.exp(np.outer(np.arange(-(-length // _BLOCK)) * _BLOCK, rate))  # (blocks, K)
    return (starts.astype(np.complex64) @ within.astype(np.complex64)).imag.ravel()[:length]
