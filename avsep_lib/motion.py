"""How a player moves with their notes: bow, breath, bellows, mallets, fingers and sway, at any time.

Everything follows from the score, so that what is seen belongs to what is heard. Used by ``drawings``.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.ndimage import gaussian_filter1d

from avsep_lib.instrument_shapes import Pose
from avsep_lib.scores import Note

PHRASE_GAP_S, PHRASE_S = 0.25, 2.2  # a silence that ends a phrase; the longest breath or draw of the bellows


class Motion:
    """The movements that go with a score, sampled once and interpolated at any time.

    Parameters
    ----------
    score : sequence of Note
        In any order; notes may overlap. Empty is a player who waits.
    """

    RATE_HZ = 60

    def __init__(self, score: Sequence[Note]):
        notes = sorted(score, key=lambda note: note.start_s)
        self.strikes = _group(notes)
        length_s = max((note.end_s for note in notes), default=0.0) + 1.0
        self.time_s = np.arange(0, length_s, 1 / self.RATE_HZ)
        level = np.zeros_like(self.time_s)
        for note in notes:
            sounding = (self.time_s >= note.start_s) & (self.time_s < note.end_s)
            level[sounding] = np.maximum(level[sounding], 0.3 + 0.7 * note.loudness)
        tracks = [*self._general(level), *self._mallets(), *self._fingers()]
        self.tracks = np.stack([self._smooth(track, 0.025) for track in tracks], axis=1)

    def pose(self, time_s: float) -> Pose:
        """Return where the motion stands at a time in seconds; before and after the score it rests."""
        place = min(max(time_s * self.RATE_HZ, 0.0), len(self.time_s) - 1.0)
        i = min(int(place), len(self.time_s) - 2)
        row = (self.tracks[i] + (place - i) * (self.tracks[i + 1] - self.tracks[i])).tolist()
        return Pose(*row[:8], mallets=tuple(row[8:12]), fingers=tuple(row[12:]))

    def _smooth(self, track: np.ndarray, sigma_s: float) -> np.ndarray:
        return gaussian_filter1d(track, sigma_s * self.RATE_HZ, mode="nearest", truncate=3)

    def _general(self, level: np.ndarray) -> list[np.ndarray]:
        """Tracks of a pose, from its level to its sway."""
        phrases = _phrases(self.strikes)
        activity = np.minimum(self._smooth(level, 0.25), self._smooth(level > 0, 0.15))
        beat_s, first_s = _beat(self.strikes)
        phase = 2 * np.pi * (self.time_s - first_s) / beat_s
        breath = np.zeros_like(self.time_s)
        for start_s, *_ in phrases:
            breath = np.maximum(breath, np.exp(-(((self.time_s - start_s + 0.15) / 0.13) ** 2)))
        return [
            level,
            self._pitch(),
            self._strokes([(a, b, min(0.95, (b - a) * (0.5 + 1.3 * loud))) for a, b, _, loud in self.strikes]),
            self._strokes([(a - 0.04, a + 0.09, 0.5 + 0.5 * loud) for a, _, _, loud in self.strikes]),
            self._strokes([(a, b, min(1.0, (b - a) * (0.3 + 0.4 * loud))) for a, b, loud in phrases]),
            breath,
            activity * np.cos(phase),
            activity * np.sin(phase / 4),
        ]

    def _strokes(self, strokes: list[tuple[float, float, float]]) -> np.ndarray:
        """Go to and fro: the k-th (start_s, end_s, reach) ends at + or - its reach; still in between."""
        times, places = [0.0], [0.0]
        for k, (start_s, end_s, reach) in enumerate(strokes):
            times += [max(start_s, times[-1]), max(end_s, times[-1])]
            places += [places[-1], reach * (-1) ** k]
        return np.interp(self.time_s, times, places)

    def _pitch(self) -> np.ndarray:
        """Glide to each pitch in the last tenth of a second before it sounds."""
        if not self.strikes:
            return np.full_like(self.time_s, 0.5)
        scale = _pitch_scale(self.strikes)
        starts = np.array([start_s for start_s, *_ in self.strikes])
        places = np.array([scale(np.mean(pitches)) for _, _, pitches, _ in self.strikes])
        leave = np.maximum(starts[1:] - 0.1, starts[:-1] + 0.6 * np.diff(starts))
        times = np.append(starts[0], np.stack([leave, starts[1:]], axis=1))
        return np.interp(self.time_s, times, np.append(places[0], np.stack([places[:-1], places[1:]], axis=1)))

    def _mallets(self) -> list[np.ndarray]:
        """x and height of the left and the right mallet: single notes alternate, chords take both."""
        hits: tuple[list, list] = ([], [])
        scale = _pitch_scale(self.strikes)
        for k, (start_s, _, pitches, _) in enumerate(self.strikes):
            hands = (0, 1) if len(pitches) > 1 else (k % 2,)
            for hand in hands:  # the left hand is at the low end
                hits[hand].append((start_s, scale((min, max)[hand](pitches))))
        tracks = []
        for hand in (0, 1):
            times, places = np.array(hits[hand] or [(-9.0, 0.35 + 0.3 * hand)]).T
            knots = np.stack([times - 0.1, times + 0.04], axis=1).ravel()
            x = np.interp(self.time_s, np.maximum.accumulate(knots), np.repeat(places, 2))
            distance_s = np.abs(self.time_s[:, None] - times).min(axis=1)
            tracks += [x, np.clip(distance_s / 0.14, 0, 1) ** 1.5]
        return tracks

    def _fingers(self) -> list[np.ndarray]:
        """Six fingers whose pattern is set by the pitch."""
        if not self.strikes:
            return [np.zeros_like(self.time_s)] * 6
        starts = [start_s for start_s, *_ in self.strikes]
        codes = np.array([int(pitches[0]) * 2654435761 >> 13 for _, _, pitches, _ in self.strikes])
        now = codes[np.maximum(np.searchsorted(starts, self.time_s, side="right") - 1, 0)]
        return [(now >> bit & 1).astype(float) for bit in range(6)]


def _group(notes: Sequence[Note]) -> list[tuple[float, float, list[float], float]]:
    """Join notes that start together: (start_s, end_s, pitches, loudness), no overlap in time."""
    groups: list[tuple[float, float, list[float], float]] = []
    for note in notes:
        if groups and note.start_s - groups[-1][0] < 0.03:
            start_s, end_s, pitches, loud = groups[-1]
            groups[-1] = start_s, max(end_s, note.end_s), [*pitches, note.pitch], max(loud, note.loudness)
        else:
            groups.append((note.start_s, note.end_s, [note.pitch], note.loudness))
    after = [start_s for start_s, *_ in groups[1:]] + [np.inf]
    return [(a, min(b, c), pitches, loud) for (a, b, pitches, loud), c in zip(groups, after, strict=False)]


def _phrases(strikes) -> list[tuple[float, float, float]]:
    """(start_s, end_s, loudness) of what is played in one breath."""
    phrases: list[tuple[float, float, float]] = []
    for start_s, end_s, _, loud in strikes:
        if phrases and start_s - phrases[-1][1] < PHRASE_GAP_S and end_s - phrases[-1][0] < PHRASE_S:
            phrases[-1] = phrases[-1][0], end_s, max(loud, phrases[-1][2])
        else:
            phrases.append((start_s, end_s, loud))
    return phrases


def _beat(strikes) -> tuple[float, float]:
    """Length of a beat, folded to between 0.45 and 0.9 s, and the time of the first."""
    if len(strikes) < 2:
        return 0.6, 0.0
    beat_s = float(np.median(np.diff([start_s for start_s, *_ in strikes])))
    return beat_s * 2.0 ** -np.floor(np.log2(beat_s / 0.45)), strikes[0][0]


def _pitch_scale(strikes) -> Callable[[float], float]:
    """Map the score's range of pitches to 0 .. 1; a narrow range keeps to the middle."""
    pitches = [pitch for _, _, group, _ in strikes for pitch in group] or [60]
    low, high = min(pitches), max(pitches)
    room = max(0.0, 12 - (high - low)) / 2
    return lambda pitch: float((pitch - low + room) / (high - low + 2 * room))
