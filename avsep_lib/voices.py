"""What makes an instrument sound like itself: tones of a General MIDI font, formants, and the spans that each performer
draws from. A table, read by ``performers``.
"""

from dataclasses import dataclass, fields
from types import SimpleNamespace

import numpy as np

Layers = tuple[tuple[int, int, float], ...]  # (General MIDI program, semitones, level) sounded together
Peaks = tuple[tuple[float, float, float], ...]  # (Hz, dB, width in octaves) of a body, a reed or a bell
Span = tuple[float, float]  # where each performer draws a number of its own


@dataclass(frozen=True)
class Voice:
    """An instrument: tones to choose from, formants, and the spans its performers draw from."""

    tones: tuple[Layers, ...]
    formants: Peaks
    tuning_cents: Span = (-25, 25)
    detune_cents: Span = (0, 0)  # between two layers
    drift_cents: Span = (0, 6)
    vibrato_cents: Span = (0, 0)
    vibrato_hz: Span = (4.5, 6.5)
    vibrato_delay_s: Span = (0.1, 0.4)
    tremolo_db: Span = (0, 0)
    scoop_cents: Span = (0, 0)  # into each note
    slide_s: Span = (0, 0)  # from the note before
    attack_s: Span = (0.005, 0.03)
    swell_db: Span = (0, 2)  # to the middle of each note
    dynamics: Span = (0.5, 1)
    drive: Span = (0, 0)
    tilt_db: Span = (-2, 2)  # per octave
    shift: Span = (0.92, 1.09)  # of all formants: larger and smaller instruments
    resonance_db: Span = (1, 4)
    breath_db: Span = (-46, -34)
    click_db: Span = (-90, -90)
    noise_hz: Span = (2000, 4000)
    room_s: Span = (0.1, 0.6)
    wet_db: Span = (-18, -7)
    floor_db: Span = (-72, -60)
    level_db: Span = (-26, -17)

    def player(self, rng: np.random.Generator) -> SimpleNamespace:
        """Draw a performer: a tone, and a number from each span."""
        drawn = {span.name: rng.uniform(*getattr(self, span.name)) for span in fields(self)[2:]}
        return SimpleNamespace(layers=self.tones[rng.integers(len(self.tones))], **drawn)


PERCUSSION = -1  # stands for a program where notes are keys of the General MIDI drum kit

VOICES = {
    "accordion": Voice(  # two reeds, a little apart, and sometimes one an octave above
        (((20, 0, 1.0), (22, 0, 0.9)), ((20, 0, 1.0), (20, 0, 0.9)), ((22, 0, 1.0), (22, 0, 0.9), (20, 12, 0.3)),
         ((21, 0, 1.0), (22, 12, 0.4)), ((20, 0, 1.0), (22, 0, 0.8), (20, 12, 0.5))),
        ((450, 4, 0.8), (1800, 6, 0.9), (3600, 5, 0.8)),
        detune_cents=(9, 22), drift_cents=(0, 0), attack_s=(0, 0), noise_hz=(600, 1500),
    ),
    "acoustic_guitar": Voice(
        (((24, 0, 1.0),), ((25, 0, 1.0),), ((24, 0, 0.8), (25, 0, 0.8)), ((25, 0, 0.8), (25, 12, 0.3))),
        ((110, 6, 0.5), (220, 4, 0.5), (2600, 3, 1.0)),
        drift_cents=(0, 0), attack_s=(0, 0), swell_db=(0, 0), breath_db=(-80, -70), click_db=(-36, -24),
        detune_cents=(0, 4), tilt_db=(-1.5, 2.5),
    ),
    "cello": Voice(
        (((42, 0, 1.0),), ((43, 0, 1.0),), ((42, 0, 1.0), (48, 0, 0.4)), ((41, 0, 1.0), (42, 0, 0.7))),
        ((110, 4, 0.5), (200, 7, 0.6), (420, 6, 0.6), (1300, -8, 0.9), (2300, 6, 0.7)),
        vibrato_hz=(4.5, 6), vibrato_cents=(10, 28), attack_s=(0.05, 0.14), swell_db=(1, 4), drive=(0.4, 1.2),
        breath_db=(-38, -27), noise_hz=(1000, 2000), tilt_db=(-2, 1),
    ),
    "clarinet": Voice(
        (((71, 0, 1.0),), ((71, 0, 1.0), (74, 0, 0.3)), ((71, 0, 1.0), (75, 0, 0.4))),
        ((1500, 4, 0.7), (3500, -6, 1.0)),
        vibrato_cents=(0, 4), attack_s=(0.015, 0.05), breath_db=(-48, -38), tilt_db=(-3, 1),
    ),
    "erhu": Voice(  # no font has one: a fiddle that sings through a small drum covered with snake skin
        (((110, 0, 1.0),), ((40, 0, 1.0),), ((110, 0, 1.0), (41, 0, 0.5))),
        ((300, -12, 1.0), (900, 12, 0.45), (1650, -14, 0.5), (2700, 15, 0.45), (4500, -12, 0.7)),
        vibrato_hz=(5, 7), vibrato_cents=(35, 70), vibrato_delay_s=(0.05, 0.2), tremolo_db=(0.5, 2),
        slide_s=(0.03, 0.07), attack_s=(0.04, 0.1), swell_db=(2, 5), drive=(1, 2.5), breath_db=(-36, -27),
        noise_hz=(2500, 4000), shift=(0.94, 1.06),
    ),
    "flute": Voice(
        (((73, 0, 1.0),), ((72, 0, 1.0),), ((73, 0, 1.0), (72, 0, 0.6)), ((73, 0, 0.7), (74, 0, 0.7))),
        ((700, 3, 0.8), (3500, -8, 1.0)),
        vibrato_hz=(4.2, 5.8), vibrato_cents=(3, 14), tremolo_db=(1, 4), attack_s=(0.03, 0.09),
        breath_db=(-31, -21), noise_hz=(2200, 4500), tilt_db=(-2.5, 1.5),
    ),
    "saxophone": Voice(
        (((65, 0, 1.0),), ((66, 0, 1.0),), ((65, 0, 1.0), (66, 0, 0.6)), ((66, 0, 1.0), (67, 0, 0.8)),
         ((64, 0, 0.7), (65, 0, 0.7))),
        ((550, 8, 0.6), (1200, 6, 0.5), (2900, -5, 0.7)),
        vibrato_hz=(4.5, 6), vibrato_cents=(8, 30), vibrato_delay_s=(0.2, 0.5), scoop_cents=(-70, -15),
        drive=(0.5, 1.5), attack_s=(0.02, 0.06), breath_db=(-34, -25), noise_hz=(1200, 2500),
    ),
    "trumpet": Voice(
        (((56, 0, 1.0),), ((56, 0, 1.0), (57, 0, 0.5)), ((56, 0, 0.7), (59, 0, 0.9))),
        ((300, -5, 0.9), (1300, 6, 0.7), (2600, 5, 0.7)),
        vibrato_cents=(0, 14), vibrato_delay_s=(0.3, 0.6), scoop_cents=(-30, 0), drive=(1, 3),
        attack_s=(0.01, 0.04), swell_db=(0, 3), breath_db=(-52, -42), tilt_db=(-1, 2),
    ),
    "tuba": Voice(
        (((58, 0, 1.0),), ((58, 0, 1.0), (57, 0, 0.4)), ((58, 0, 1.0), (60, 0, 0.3))),
        ((90, 9, 1.0), (240, 5, 0.8), (1200, -8, 1.0), (3000, -14, 1.2)),
        vibrato_cents=(0, 6), drive=(0.3, 1.4), attack_s=(0.03, 0.08), breath_db=(-46, -32), noise_hz=(300, 900),
        tilt_db=(-5, -1),
    ),
    "violin": Voice(
        (((40, 0, 1.0),), ((110, 0, 1.0),), ((40, 0, 1.0), (48, 0, 0.3)), ((40, 0, 1.0), (44, 0, 0.25))),
        ((280, 4, 0.5), (500, 4, 0.5), (1500, -6, 0.6), (3000, 9, 0.9)),
        vibrato_cents=(12, 32), vibrato_delay_s=(0.05, 0.3), tremolo_db=(0, 1.5), attack_s=(0.02, 0.09),
        swell_db=(0, 4), drive=(0.3, 1.2), breath_db=(-37, -27), noise_hz=(3500, 5000),
    ),
    "xylophone": Voice(  # bars are tuned to the third partial (xylophone) or the fourth (marimba)
        (((13, 0, 1.0), (13, 19, 0.4)), ((13, 0, 1.0), (12, 19, 0.25)), ((12, 0, 1.0), (12, 24, 0.3)),
         ((12, 0, 0.7), (13, 0, 0.7), (13, 19, 0.3))),
        ((900, 4, 1.0), (2800, 5, 1.0)),
        drift_cents=(0, 0), attack_s=(0, 0), swell_db=(0, 0), breath_db=(-90, -80), click_db=(-24, -12),
        noise_hz=(1200, 3500), room_s=(0.1, 0.5),
    ),
    "bagpipe": Voice(  # a chanter; its drones stand in the score
        (((109, 0, 1.0),), ((109, 0, 1.0), (68, 0, 0.4)), ((109, 0, 0.8), (111, 0, 0.8))),
        ((1000, 5, 0.8), (2800, 5, 0.8)),
        drift_cents=(0, 3), detune_cents=(0, 8), attack_s=(0, 0.01), swell_db=(0, 0), dynamics=(0, 0.1),
        breath_db=(-44, -34),
    ),
    "banjo": Voice(
        (((105, 0, 1.0),), ((105, 0, 1.0), (25, 0, 0.3)), ((105, 0, 0.8), (106, 0, 0.4))),
        ((500, 5, 0.7), (2200, 5, 0.8)),
        drift_cents=(0, 0), attack_s=(0, 0), swell_db=(0, 0), breath_db=(-80, -70), click_db=(-34, -20),
    ),
    "bassoon": Voice(
        (((70, 0, 1.0),), ((70, 0, 1.0), (71, 0, 0.2)), ((70, 0, 0.8), (68, 0, 0.3))),
        ((480, 7, 0.6), (1150, 4, 0.6), (3000, -8, 1.0)),
        vibrato_cents=(0, 16), attack_s=(0.02, 0.06), breath_db=(-46, -34), tilt_db=(-4, 0),
    ),
    "congas": Voice(
        (((PERCUSSION, 0, 1.0),),),
        ((200, 4, 0.7), (1500, 3, 1.0)),
        drift_cents=(0, 0), tuning_cents=(-250, 250), attack_s=(0, 0), swell_db=(0, 0), breath_db=(-90, -80),
        click_db=(-40, -26), noise_hz=(800, 3000),
    ),
    "drum": Voice(
        (((PERCUSSION, 0, 1.0),),),
        ((90, 3, 0.7), (4000, 3, 1.2)),
        drift_cents=(0, 0), tuning_cents=(-200, 200), attack_s=(0, 0), swell_db=(0, 0), breath_db=(-90, -80),
        resonance_db=(1, 5),
    ),
    "electric_bass": Voice(
        (((33, 0, 1.0),), ((34, 0, 1.0),), ((35, 0, 1.0),), ((36, 0, 1.0),), ((33, 0, 0.8), (34, 0, 0.6))),
        ((100, 5, 0.8), (700, 3, 0.8)),
        drift_cents=(0, 0), slide_s=(0, 0.02), attack_s=(0, 0.01), swell_db=(0, 0), drive=(0, 2.5),
        breath_db=(-80, -60), click_db=(-46, -30), room_s=(0.05, 0.3), wet_db=(-30, -14), tilt_db=(-4, 0),
    ),
    "guzheng": Voice(
        (((107, 0, 1.0),), ((107, 0, 1.0), (46, 0, 0.5)), ((107, 0, 0.8), (15, 0, 0.5)), ((46, 0, 0.7), (25, 0, 0.6))),
        ((350, 4, 0.7), (1800, 3, 0.9)),
        drift_cents=(0, 0), vibrato_cents=(0, 25), attack_s=(0, 0), swell_db=(0, 0), breath_db=(-80, -70),
        click_db=(-38, -24), scoop_cents=(-60, 0),
    ),
    "piano": Voice(
        (((0, 0, 1.0),), ((1, 0, 1.0),), ((3, 0, 1.0),), ((0, 0, 0.8), (1, 0, 0.6))),
        ((180, 2, 1.0), (2500, 2, 1.0)),
        drift_cents=(0, 0), attack_s=(0, 0), swell_db=(0, 0), breath_db=(-80, -70), detune_cents=(0, 5),
    ),
    "pipa": Voice(
        (((106, 0, 1.0),), ((106, 0, 0.8), (105, 0, 0.5)), ((106, 0, 1.0), (25, 0, 0.4)), ((107, 0, 0.6),)),
        ((600, 5, 0.7), (2500, 5, 0.8)),
        drift_cents=(0, 0), vibrato_cents=(0, 20), attack_s=(0, 0), swell_db=(0, 0), breath_db=(-80, -70),
        click_db=(-32, -20), scoop_cents=(-40, 0),
    ),
    "ukulele": Voice(
        (((24, 0, 1.0),), ((24, 0, 1.0), (46, 0, 0.3)), ((24, 0, 1.0), (45, 0, 0.3)), ((25, 0, 0.5), (24, 0, 0.8))),
        ((420, 6, 0.6), (2200, 2, 0.8)),
        drift_cents=(0, 0), attack_s=(0, 0), swell_db=(0, 0), breath_db=(-80, -70), click_db=(-38, -24),
        tilt_db=(-2.5, 1),
    ),
}  # fmt: skip
"""The instruments of MUSIC-21; rendered videos use those of MUSIC, whose numbers are part of that data set."""
