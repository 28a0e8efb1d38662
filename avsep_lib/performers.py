"""The sound of one performer playing a score.

A General MIDI font gives the raw tone; what a listener knows a player by (tuning, vibrato, brightness, attack,
breath, room, level) is drawn on top, around what all players of an instrument share. A performance is a
function of its arguments alone. Used by ``rendered``. Axes: L samples, C steps of the control curves, F bins.
"""

import functools
import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import SimpleNamespace

import midirenderer
import numpy as np
import pretty_midi
from scipy import fft, ndimage, signal

from avsep_lib.scores import Note
from avsep_lib.settings import StudyError

_Layers = tuple[tuple[int, int, float], ...]  # (General MIDI program, semitones, level) sounded together
_Peaks = tuple[tuple[float, float, float], ...]  # (Hz, dB, width in octaves) of a body, a reed or a bell
_Span = tuple[float, float]  # where each performer draws a number of its own


@dataclass(frozen=True)
class _Voice:
    """An instrument: tones to choose from, formants, and the spans its performers draw from."""

    tones: tuple[_Layers, ...]
    formants: _Peaks
    tuning_cents: _Span = (-25, 25)
    detune_cents: _Span = (0, 0)  # between two layers
    drift_cents: _Span = (0, 6)
    vibrato_cents: _Span = (0, 0)
    vibrato_hz: _Span = (4.5, 6.5)
    vibrato_delay_s: _Span = (0.1, 0.4)
    tremolo_db: _Span = (0, 0)
    scoop_cents: _Span = (0, 0)  # into each note
    slide_s: _Span = (0, 0)  # from the note before
    attack_s: _Span = (0.005, 0.03)
    swell_db: _Span = (0, 2)  # to the middle of each note
    dynamics: _Span = (0.5, 1)
    drive: _Span = (0, 0)
    tilt_db: _Span = (-2, 2)  # per octave
    shift: _Span = (0.92, 1.09)  # of all formants: larger and smaller instruments
    resonance_db: _Span = (1, 4)
    breath_db: _Span = (-46, -34)
    click_db: _Span = (-90, -90)
    noise_hz: _Span = (2000, 4000)
    room_s: _Span = (0.1, 0.6)
    wet_db: _Span = (-18, -7)
    floor_db: _Span = (-72, -60)
    level_db: _Span = (-26, -17)

    def player(self, rng: np.random.Generator) -> SimpleNamespace:
        """Draw a performer: a tone, and a number from each span."""
        drawn = {span.name: rng.uniform(*getattr(self, span.name)) for span in fields(self)[2:]}
        return SimpleNamespace(layers=self.tones[rng.integers(len(self.tones))], **drawn)


_VOICES = {
    "accordion": _Voice(  # two reeds, a little apart, and sometimes one an octave above
        (((20, 0, 1.0), (22, 0, 0.9)), ((20, 0, 1.0), (20, 0, 0.9)), ((22, 0, 1.0), (22, 0, 0.9), (20, 12, 0.3)),
         ((21, 0, 1.0), (22, 12, 0.4)), ((20, 0, 1.0), (22, 0, 0.8), (20, 12, 0.5))),
        ((450, 4, 0.8), (1800, 6, 0.9), (3600, 5, 0.8)),
        detune_cents=(9, 22), drift_cents=(0, 0), attack_s=(0, 0), noise_hz=(600, 1500),
    ),
    "acoustic_guitar": _Voice(
        (((24, 0, 1.0),), ((25, 0, 1.0),), ((24, 0, 0.8), (25, 0, 0.8)), ((25, 0, 0.8), (25, 12, 0.3))),
        ((110, 6, 0.5), (220, 4, 0.5), (2600, 3, 1.0)),
        drift_cents=(0, 0), attack_s=(0, 0), swell_db=(0, 0), breath_db=(-80, -70), click_db=(-36, -24),
        detune_cents=(0, 4), tilt_db=(-1.5, 2.5),
    ),
    "cello": _Voice(
        (((42, 0, 1.0),), ((43, 0, 1.0),), ((42, 0, 1.0), (48, 0, 0.4)), ((41, 0, 1.0), (42, 0, 0.7))),
        ((110, 4, 0.5), (200, 7, 0.6), (420, 6, 0.6), (1300, -8, 0.9), (2300, 6, 0.7)),
        vibrato_hz=(4.5, 6), vibrato_cents=(10, 28), attack_s=(0.05, 0.14), swell_db=(1, 4), drive=(0.4, 1.2),
        breath_db=(-38, -27), noise_hz=(1000, 2000), tilt_db=(-2, 1),
    ),
    "clarinet": _Voice(
        (((71, 0, 1.0),), ((71, 0, 1.0), (74, 0, 0.3)), ((71, 0, 1.0), (75, 0, 0.4))),
        ((1500, 4, 0.7), (3500, -6, 1.0)),
        vibrato_cents=(0, 4), attack_s=(0.015, 0.05), breath_db=(-48, -38), tilt_db=(-3, 1),
    ),
    "erhu": _Voice(  # no font has one: a fiddle that sings through a small drum covered with snake skin
        (((110, 0, 1.0),), ((40, 0, 1.0),), ((110, 0, 1.0), (41, 0, 0.5))),
        ((300, -12, 1.0), (900, 12, 0.45), (1650, -14, 0.5), (2700, 15, 0.45), (4500, -12, 0.7)),
        vibrato_hz=(5, 7), vibrato_cents=(35, 70), vibrato_delay_s=(0.05, 0.2), tremolo_db=(0.5, 2),
        slide_s=(0.03, 0.07), attack_s=(0.04, 0.1), swell_db=(2, 5), drive=(1, 2.5), breath_db=(-36, -27),
        noise_hz=(2500, 4000), shift=(0.94, 1.06),
    ),
    "flute": _Voice(
        (((73, 0, 1.0),), ((72, 0, 1.0),), ((73, 0, 1.0), (72, 0, 0.6)), ((73, 0, 0.7), (74, 0, 0.7))),
        ((700, 3, 0.8), (3500, -8, 1.0)),
        vibrato_hz=(4.2, 5.8), vibrato_cents=(3, 14), tremolo_db=(1, 4), attack_s=(0.03, 0.09),
        breath_db=(-31, -21), noise_hz=(2200, 4500), tilt_db=(-2.5, 1.5),
    ),
    "saxophone": _Voice(
        (((65, 0, 1.0),), ((66, 0, 1.0),), ((65, 0, 1.0), (66, 0, 0.6)), ((66, 0, 1.0), (67, 0, 0.8)),
         ((64, 0, 0.7), (65, 0, 0.7))),
        ((550, 8, 0.6), (1200, 6, 0.5), (2900, -5, 0.7)),
        vibrato_hz=(4.5, 6), vibrato_cents=(8, 30), vibrato_delay_s=(0.2, 0.5), scoop_cents=(-70, -15),
        drive=(0.5, 1.5), attack_s=(0.02, 0.06), breath_db=(-34, -25), noise_hz=(1200, 2500),
    ),
    "trumpet": _Voice(
        (((56, 0, 1.0),), ((56, 0, 1.0), (57, 0, 0.5)), ((56, 0, 0.7), (59, 0, 0.9))),
        ((300, -5, 0.9), (1300, 6, 0.7), (2600, 5, 0.7)),
        vibrato_cents=(0, 14), vibrato_delay_s=(0.3, 0.6), scoop_cents=(-30, 0), drive=(1, 3),
        attack_s=(0.01, 0.04), swell_db=(0, 3), breath_db=(-52, -42), tilt_db=(-1, 2),
    ),
    "tuba": _Voice(
        (((58, 0, 1.0),), ((58, 0, 1.0), (57, 0, 0.4)), ((58, 0, 1.0), (60, 0, 0.3))),
        ((90, 9, 1.0), (240, 5, 0.8), (1200, -8, 1.0), (3000, -14, 1.2)),
        vibrato_cents=(0, 6), drive=(0.3, 1.4), attack_s=(0.03, 0.08), breath_db=(-46, -32), noise_hz=(300, 900),
        tilt_db=(-5, -1),
    ),
    "violin": _Voice(
        (((40, 0, 1.0),), ((110, 0, 1.0),), ((40, 0, 1.0), (48, 0, 0.3)), ((40, 0, 1.0), (44, 0, 0.25))),
        ((280, 4, 0.5), (500, 4, 0.5), (1500, -6, 0.6), (3000, 9, 0.9)),
        vibrato_cents=(12, 32), vibrato_delay_s=(0.05, 0.3), tremolo_db=(0, 1.5), attack_s=(0.02, 0.09),
        swell_db=(0, 4), drive=(0.3, 1.2), breath_db=(-37, -27), noise_hz=(3500, 5000),
    ),
    "xylophone": _Voice(  # bars are tuned to the third partial (xylophone) or the fourth (marimba)
        (((13, 0, 1.0), (13, 19, 0.4)), ((13, 0, 1.0), (12, 19, 0.25)), ((12, 0, 1.0), (12, 24, 0.3)),
         ((12, 0, 0.7), (13, 0, 0.7), (13, 19, 0.3))),
        ((900, 4, 1.0), (2800, 5, 1.0)),
        drift_cents=(0, 0), attack_s=(0, 0), swell_db=(0, 0), breath_db=(-90, -80), click_db=(-24, -12),
        noise_hz=(1200, 3500), room_s=(0.1, 0.5),
    ),
}  # fmt: skip
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
        channel = pretty_midi.Instrument(program)
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


def _response_db(hz: np.ndarray, voice: _Voice, player: SimpleNamespace, rng: np.random.Generator) -> np.ndarray:
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
    voice: _Voice,
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
        One of ``settings.INSTRUMENTS``.
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
    if instrument not in _VOICES:
        raise StudyError(f"instrument {instrument!r} is unknown; choose one of {', '.join(_VOICES)}")
    voice = _VOICES[instrument]
    player = voice.player(rng)
    notes = _released([note for note in notes if note.start_s < duration_s])
    curves = _curves(notes, player, duration_s, rng)
    raw, raw_hz = _render(_midi(_bent(notes, curves), player, curves.score_s[-1] + 0.1), soundfont)

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
