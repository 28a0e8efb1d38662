"""How people record: what becomes of a player's sound between the string and the file, drawn anew for each clip.

Everything is numpy, for the processes that load data. Used by ``ear_training``.
"""

import numpy as np
from scipy import fft, signal

_LEVEL = 0.1  # root mean square of a source before its gain


def read_at_speed(stored: np.ndarray, start: float, length: int, speed: float) -> np.ndarray:
    """A stretch of a stored sound, played quicker and higher, or slower and lower, as a tape would.

    Parameters
    ----------
    stored : int16 array, shape (L,)
    start : float
        Sample at which the stretch begins. What lies beyond the end is silence.
    length : int
        Samples that come out.
    speed : float
        1 leaves it as it is.

    Returns
    -------
    float32 array, shape (length,)
    """
    first = int(start)
    part = np.asarray(stored[first : first + int(length * speed) + 2], np.float32) / 32768
    places = (start - first) + speed * np.arange(length, dtype=np.float64)
    return np.interp(places, np.arange(len(part)), part, right=0.0).astype(np.float32)


def recorded(sound: np.ndarray, rate_hz: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A source as some room, some microphone and some web page have left it.

    Parameters
    ----------
    sound : float32 array, shape (L,)
    rate_hz : int
    strength : float
        0 changes nothing but the level; 1 is what training uses.
    rng : Generator

    Returns
    -------
    float32 array, shape (L,)
        At a root mean square of 0.1, or silent.
    """
    for chance, change in ((0.25, _room), (0.2, _narrow), (0.12, _driven), (0.25, _noisy), (0.06, _broken_off)):
        if rng.random() < chance * strength:
            sound = change(sound, rate_hz, rng)
    level = np.sqrt(np.mean(sound**2))
    return (sound * (_LEVEL / level)).astype(np.float32) if level > 1e-5 else np.zeros_like(sound)


def _room(sound: np.ndarray, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """A room with a few early echoes and a tail that loses its heights first."""
    length_s, wet = rng.uniform(0.15, 1.2), 10 ** (rng.uniform(-12, 2) / 20)
    time_s = np.arange(int(length_s * rate_hz)) / rate_hz
    tail = rng.standard_normal(len(time_s)).astype(np.float32) * 10 ** (-3 * time_s / length_s)
    tail = signal.lfilter([1], [1, -rng.uniform(0.2, 0.8)], tail)
    for echo_s in rng.uniform(0.002, 0.04, 4):
        tail[int(echo_s * rate_hz)] += rng.normal(0, 4)
    tail *= wet / np.sqrt(np.sum(tail**2))
    tail[0] += 1
    size = fft.next_fast_len(len(sound) + len(tail), real=True)
    wet_sound = fft.irfft(fft.rfft(sound, size) * fft.rfft(tail.astype(np.float32), size), size)
    return wet_sound[: len(sound)].astype(np.float32)


def _narrow(sound: np.ndarray, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """What a phone or a codec leaves: nothing above, and often little below."""
    high = rng.uniform(2200, 0.48 * rate_hz)
    if rng.random() < 0.5:
        return signal.sosfilt(signal.butter(6, high, fs=rate_hz, output="sos"), sound).astype(np.float32)
    band = (rng.uniform(60, 350), high)
    return signal.sosfilt(signal.butter(3, band, "bandpass", fs=rate_hz, output="sos"), sound).astype(np.float32)


def _driven(sound: np.ndarray, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Too loud for the microphone: bent softly, or cut."""
    loud = sound / max(float(np.sqrt(np.mean(sound**2))), 1e-5) * 10 ** (rng.uniform(-12, 0) / 20)
    return np.tanh(loud) if rng.random() < 0.5 else np.clip(loud, -1, 1)


def _noisy(sound: np.ndarray, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """The hiss of a microphone, the rumble of a street, or the hum of the mains."""
    kind = rng.random()
    if kind < 0.4:
        noise = rng.standard_normal(len(sound)).astype(np.float32)
    elif kind < 0.75:
        noise = signal.lfilter([1], [1, -rng.uniform(0.8, 0.98)], rng.standard_normal(len(sound)))
    else:
        mains, time_s = rng.choice((50.0, 60.0)), np.arange(len(sound)) / rate_hz
        noise = sum(
            rng.random() / k * np.sin(2 * np.pi * mains * k * time_s + rng.uniform(0, 6.3)) for k in (1, 2, 3, 4, 6)
        )
    level = np.sqrt(np.mean(sound**2)) / max(float(np.sqrt(np.mean(noise**2))), 1e-6)
    return (sound + noise * level * 10 ** (rng.uniform(-45, -20) / 20)).astype(np.float32)


def _broken_off(sound: np.ndarray, rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """A player who begins late, or stops early."""
    edge, fade = int(rng.uniform(0.15, 0.85) * len(sound)), int(0.05 * rate_hz)
    gate = np.clip((np.arange(len(sound)) - edge) / fade, 0, 1).astype(np.float32)
    return sound * (gate if rng.random() < 0.5 else 1 - gate)
