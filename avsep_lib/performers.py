"""The sound of one performer playing a score.

A General MIDI font gives the raw tone; what a listener knows a player by (tuning, vibrato, brightness, attack,
breath, room, level) is drawn on top, around what all players of an instrument share. A performance is a
function of its arguments alone. Used by ``rendered``. Axes: L samples, C steps of the control curves, F bins.
"""

import functools
import io
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import midirenderer
import numpy as np
import pretty_midi
from scipy import fft, ndimage, signal

from avsep_lib.scores import Note
from avsep_lib.settings import StudyError
from avsep_lib.voices import PERCUSSION, VOICES, Voice

_CONTROL_HZ = 400  # rate of the curves that shape a performance


@functools.lru_cache(maxsize=4)
def _font(path: str) -> bytes:
    """Read a soundfont once per process."""
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise _font_error(path, error) from error


def _font_error(path: str, error: Exception) -> StudyError:
    advice = "set soundfont to the path of an .sf2 file, or leave it empty"
    return StudyError(f"soundfont {path!r} cannot be used ({error}): {advice}")


def _render(midi: bytes, soundfont: str) -> tuple[np.ndarray, int]:
    """Sound of MIDI bytes: mono float32 (L,), and its rate in Hz."""
    path = soundfont or str(Path(pretty_midi.__file__).with_name("TimGM6mb.sf2"))
    try:
        sound = midirenderer.render_wave_from(_font(path), midi)
    except RuntimeError as error:
        raise _font_error(path, error) from error
    with wave.open(io.BytesIO(sound)) as file:
        stereo = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2)
        return (stereo[:, 0].astype(np.float32) + stereo[:, 1]) / 2**16, file.getframerate()


def font_tone(soundfont: str, notes: Sequence[Note], player: SimpleNamespace, end_s: float) -> tuple[np.ndarray, int]:
    """The raw sound of notes from a soundfont, mono float32 (L,), and its rate in Hz."""
    return _render(_midi(notes, player, end_s), soundfont)


def _released(notes: Sequence[Note]) -> list[Note]:
    """Let each key go before it is struck again: the renderer would end the new note with the old one."""
    next_strike: dict[int, float] = {}
    released = []
    for note in sorted(notes, key=lambda n: (-n.start_s, -n.pitch)):
        end_s = min(note.end_s, next_strike.get(note.pitch, np.inf) - 0.002)
        next_strike[note.pitch] = note.start_s
        if end_s > note.start_s:
            released.append(replace(note, end_s=end_s))
    return released[::-1]


def _midi(notes: Sequence[Note], player: SimpleNamespace, end_s: float) -> bytes:
    """MIDI file of the notes, one channel per layer, dry, until ``end_s``."""
    midi = pretty_midi.PrettyMIDI(resolution=960, initial_tempo=60)
    for index, (program, semitones, level) in enumerate(player.layers):
        channel = pretty_midi.Instrument(max(program, 0), is_drum=program == PERCUSSION)
        controls = {7: round(127 * level**0.5), 10: 64, 91: 0, 93: 0}  # volume, pan, reverb, chorus
        channel.control_changes = [pretty_midi.ControlChange(n, value, 0) for n, value in controls.items()]
        # The file sounds until its last event.
        channel.control_changes.append(pretty_midi.ControlChange(10, 64, end_s))
        bend = player.detune_cents * (index % 2 - 0.5) / 200  # of the usual range, two semitones
        channel.pitch_bends = [pretty_midi.PitchBend(round(8191 * bend), 0)]
        for note in notes:
            loudness = min(max(0.7 + player.dynamics * (note.loudness - 0.7), 0), 1)
            velocity, pitch = round(30 + 92 * loudness), min(note.pitch + semitones, 127)
            channel.notes.append(pretty_midi.Note(velocity, pitch, note.start_s, note.end_s))
        midi.instruments.append(channel)
    file = io.BytesIO()
    midi.write(file)
    return file.getvalue()


@dataclass(frozen=True)
class _Curves:
    """What a player does from moment to moment, at ``_CONTROL_HZ``: arrays of shape (C,)."""

    time_s: np.ndarray
    score_s: np.ndarray  # time in the even, unbent rendering that sounds at ``time_s``
    gain: np.ndarray


def _curves(notes: Sequence[Note], player: SimpleNamespace, duration_s: float, rng: np.random.Generator) -> _Curves:
    """Pitch, as a warp of time, and gain of a performance."""
    time_s = np.arange(int(duration_s * _CONTROL_HZ) + 2) / _CONTROL_HZ
    lead = {note.start_s: note.pitch for note in notes} or {0.0: 60}  # the highest of each onset
    starts, pitches = np.array(list(lead)), np.array(list(lead.values()))
    current = np.maximum(np.searchsorted(starts, time_s, "right") - 1, 0)
    since_s = np.maximum(time_s - starts[current], 0)
    share = np.minimum(since_s / np.diff(starts, append=max(duration_s, starts[-1] + 0.1))[current], 1)

    knots_s = np.arange(0, duration_s + 1, 0.5)
    wander = np.interp(time_s, knots_s, rng.normal(size=len(knots_s)))
    phase = 2 * np.pi * player.vibrato_hz * time_s + wander
    depth = np.clip((since_s - player.vibrato_delay_s) / 0.25, 0, 1)
    came_from = np.clip(np.diff(pitches, prepend=pitches[:1]), -3, 3)[current] * -100
    cents = (
        player.tuning_cents
        + player.drift_cents * wander
        + player.vibrato_cents * depth * np.sin(phase)
        + player.scoop_cents * np.exp(-since_s / 0.05)
        + came_from * np.exp(-since_s / max(player.slide_s, 1e-4))
    )
    score_s = np.cumsum(2 ** (cents / 1200)) / _CONTROL_HZ
    gain_db = player.swell_db * np.sin(np.pi * share) + player.tremolo_db * depth * np.sin(phase + 0.7)
    softness = 0.85 * np.exp(-since_s / max(player.attack_s, 1e-4))
    return _Curves(time_s, score_s - score_s[0], 10 ** (gain_db / 20) * (1 - softness))


def _warped(sound: np.ndarray, positions: np.ndarray, bandwidth: float) -> np.ndarray:
    """``sound`` read between its samples, without what lies above ``bandwidth`` cycles per sample."""
    size = fft.next_fast_len(len(sound), real=True)
    spectrum = fft.rfft(sound, size)
    spectrum[int(size * bandwidth) :] = 0
    return np.interp(positions, np.arange(len(sound)), fft.irfft(spectrum, size)[: len(sound)])


def _bent(notes: Sequence[Note], curves: _Curves) -> list[Note]:
    """The notes where they must stand in the rendering to be heard in time after the warp."""
    spans_s = np.interp([(n.start_s, n.end_s) for n in notes], curves.time_s, curves.score_s)
    return [replace(note, start_s=a, end_s=b) for note, (a, b) in zip(notes, spans_s, strict=True)]


def _rms(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(sound**2))) + 1e-9


def _response_db(hz: np.ndarray, voice: Voice, player: SimpleNamespace, rng: np.random.Generator) -> np.ndarray:
    """Colour of an instrument, of its maker and a microphone: gain in dB at each of ``hz``, shape (F,)."""
    own = [(150 * 40 ** rng.random(), player.resonance_db * rng.normal(), rng.uniform(0.2, 0.6)) for _ in range(4)]
    octave = np.log2(hz / 1000)
    response_db = player.tilt_db * np.clip(octave, -3, 3)
    for peak_hz, peak_db, width in [*voice.formants, *own]:
        distance = (octave - np.log2(peak_hz * player.shift / 1000)) / width
        response_db = response_db + peak_db * np.exp(-(distance**2))
    return response_db


def _room(player: SimpleNamespace, sample_rate_hz: int, rng: np.random.Generator) -> np.ndarray:
    """Impulse response of a room: the direct sound and a tail of noise that swells and dies."""
    time_s = np.arange(1, int(player.room_s * sample_rate_hz)) / sample_rate_hz
    tail = signal.lfilter([1], [1, -0.5], rng.standard_normal(len(time_s)))
    tail *= np.minimum(time_s / 0.008, 1) * 10 ** (-3 * time_s / player.room_s)
    tail *= 10 ** (player.wet_db / 20) / np.sqrt(np.sum(tail**2))
    return np.concatenate([[1], tail]).astype(np.float32)


def _noise(
    notes: Sequence[Note],
    sound: np.ndarray,
    player: SimpleNamespace,
    sample_rate_hz: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Breath or bow that follows the sound, and a click where a mallet or a nail strikes; shape (L,)."""
    strikes = np.zeros(len(sound), np.float32)
    for note in notes:
        strikes[min(int(note.start_s * sample_rate_hz), len(sound) - 1)] = note.loudness
    decay = np.float32(np.exp(-1 / (0.006 * sample_rate_hz)))
    clicks = signal.lfilter(np.ones(1, np.float32), np.array([1, -decay], np.float32), strikes)
    envelope = np.sqrt(np.maximum(ndimage.uniform_filter1d(sound**2, sample_rate_hz // 50), 0))
    level = 10 ** (player.breath_db / 20) * envelope + 4 * 10 ** (player.click_db / 20) * clicks
    return level * rng.standard_normal(len(sound), np.float32)


def _coloured(
    sound: np.ndarray,
    noise: np.ndarray,
    voice: Voice,
    player: SimpleNamespace,
    sample_rate_hz: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """The sound through the body of its instrument, with its noise, in a room; shape (L,)."""
    room = _room(player, sample_rate_hz, rng)
    size = fft.next_fast_len(len(sound) + len(room), real=True)
    bins_hz = np.maximum(fft.rfftfreq(size, 1 / sample_rate_hz), 20)
    hz = np.geomspace(20, sample_rate_hz / 2, 256)
    body = np.interp(bins_hz, hz, 10 ** (_response_db(hz, voice, player, rng) / 20)).astype(np.float32)
    hiss = np.interp(bins_hz, hz, 1 / (1 + (np.log2(hz / player.noise_hz) / 0.9) ** 4)).astype(np.float32)
    spectrum = (fft.rfft(sound, size) * body + fft.rfft(noise, size) * hiss) * fft.rfft(room, size)
    spectrum[bins_hz < 30] = 0  # rumble
    return fft.irfft(spectrum, size)[: len(sound)]


def perform(
    instrument: str,
    notes: Sequence[Note],
    duration_s: float,
    sample_rate_hz: int,
    rng: np.random.Generator,
    soundfont: str = "",
) -> np.ndarray:
    """Play a score as a performer drawn from ``rng``.

    Parameters
    ----------
    instrument : str
        One of ``settings.MUSIC_21``.
    notes : sequence of Note
        The score; what starts after ``duration_s`` is not heard.
    duration_s : float
        Length of the performance in seconds.
    sample_rate_hz : int
        Samples per second.
    rng : numpy.random.Generator
        Where the performer, the room and the noise are drawn from.
    soundfont : str
        Path of an .sf2 file; empty is the one that pretty_midi brings.

    Returns
    -------
    float32 ndarray, shape (L,)
        L = round(``duration_s`` * ``sample_rate_hz``) samples, below 1 in magnitude; about -26 to -17 dB RMS of
        full scale.

    Raises
    ------
    StudyError
        If the instrument is unknown or the soundfont cannot be read.

    Examples
    --------
    >>> sound = perform("flute", [Note(0.0, 1.0, 72, 0.7)], 1.0, 11_025, np.random.default_rng(0))
    >>> sound.shape, sound.dtype
    ((11025,), dtype('float32'))
    """
    if instrument not in VOICES:
        raise StudyError(f"instrument {instrument!r} is unknown; choose one of {', '.join(VOICES)}")
    return play(VOICES[instrument], notes, duration_s, sample_rate_hz, rng, functools.partial(font_tone, soundfont))


def play(
    voice: Voice,
    notes: Sequence[Note],
    duration_s: float,
    sample_rate_hz: int,
    rng: np.random.Generator,
    tone: Callable[[Sequence[Note], SimpleNamespace, float], tuple[np.ndarray, int]],
) -> np.ndarray:
    """As :func:`perform`, with any voice and with a ``tone`` of one's own.

    ``tone(notes, player, end_s)`` gives the raw sound of notes, mono float32 (L,), and its rate in Hz.
    """
    player = voice.player(rng)
    notes = _released([note for note in notes if note.start_s < duration_s])
    curves = _curves(notes, player, duration_s, rng)
    raw, raw_hz = tone(_bent(notes, curves), player, curves.score_s[-1] + 0.1)

    time_s = np.arange(round(duration_s * sample_rate_hz)) / sample_rate_hz
    positions = raw_hz * np.interp(time_s, curves.time_s, curves.score_s)
    sound = _warped(raw, positions, min(0.46 * sample_rate_hz / raw_hz, 0.5))
    sound = (sound * np.interp(time_s, curves.time_s, curves.gain)).astype(np.float32)
    sound /= _rms(sound)
    if player.drive:
        sound = np.tanh(player.drive / 2 * sound)  # louder is brighter, as on brass and reeds
        sound /= _rms(sound)

    sound = _coloured(sound, _noise(notes, sound, player, sample_rate_hz, rng), voice, player, sample_rate_hz, rng)
    sound *= min(10 ** (player.level_db / 20) / _rms(sound), 0.95 / max(np.max(np.abs(sound)), 1e-9))
    sound += 10 ** (player.floor_db / 20) * rng.standard_normal(len(sound), np.float32)
    return np.clip(sound, -0.99, 0.99)
