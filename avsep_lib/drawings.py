"""Pictures of players moving with their notes: a room, its light, its camera, and the people who play in it.

Every choice is drawn once, when a ``Scene`` is made; ``Scene.picture`` then depends on the time alone, so
frames can be drawn in any order. Shapes are drawn at twice the size and averaged down: smooth edges, cheaply.
Used by ``rendered``; the instruments themselves are in ``instrument_shapes``.
"""

import colorsys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter1d

from avsep_lib.instrument_shapes import CIRCLE, SHAPES, Brush, Colour, Look, Pose, curve, quad, shade
from avsep_lib.scores import Note
from avsep_lib.settings import StudyError

OVERSAMPLING = 2  # canvas pixels per pixel of the picture
MARGIN_PX, MAX_SHAKE_PX = 6, 1.8  # of the canvas around the picture; how far the camera shakes
BOX_MARGIN_PX = MAX_SHAKE_PX + 1  # and half the width of a line
PHRASE_GAP_S, PHRASE_S = 0.25, 2.2  # a silence that ends a phrase; the longest breath or draw of the bellows

# ----------------------------------------------------------------------------------------------------- motion


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
            self._strokes(
                [(a, b, min(0.95, (b - a) * (0.5 + 1.3 * loud))) for a, b, _, loud in self.strikes]
            ),
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
        return np.interp(
            self.time_s, times, np.append(places[0], np.stack([places[:-1], places[1:]], axis=1))
        )

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


# ----------------------------------------------------------------------------------------------------- player

SKINS = ((236, 198, 168), (226, 182, 148), (216, 168, 130), (186, 132, 96), (140, 94, 66), (96, 64, 48))
HAIRS = (
    (30, 24, 22), (52, 36, 28), (92, 60, 36), (140, 96, 54), (196, 160, 100), (150, 148, 146), (120, 52, 30),
)  # fmt: skip
HAIR_STYLES = ("short", "short", "long", "bun", "curly", "bald")
FACE = curve(
    -0.5j, 0.26 - 0.43j, 0.375 - 0.14j, 0.355 + 0.14j, 0.2 + 0.41j, 0.5j,
    -0.2 + 0.41j, -0.355 + 0.14j, -0.375 - 0.14j, -0.26 - 0.43j, closed=True, steps=4,
)  # fmt: skip
CAP = curve(
    -0.4 - 0.02j, -0.3 - 0.26j, -0.3j, 0.25 - 0.2j, 0.36 - 0.2j, 0.41, 0.42 - 0.3j, 0.24 - 0.52j,
    -0.57j, -0.26 - 0.52j, -0.43 - 0.3j, closed=True, steps=3,
)  # fmt: skip
BEARD = curve(
    -0.33 + 0.12j, -0.18 + 0.24j, 0.18 + 0.24j, 0.33 + 0.12j, 0.21 + 0.44j, 0.53j, -0.21 + 0.44j, closed=True
)
CURLS = 0.4 * np.exp(1j * np.linspace(0.95, 2.05, 9) * np.pi) * 1.1 - 0.05j
NOSE, SMILE = np.array([-0.02j, 0.03 + 0.12j, -0.03 + 0.14j]), np.array([-0.1 + 0.29j, 0.31j, 0.1 + 0.29j])
TORSO_Y = np.array([-0.16, -0.1, 0.02, 0.16, 0.4, 0.9, 1.5, 2.1, 2.8])
TORSO_WIDTH = np.array([0.36, 0.7, 1.3, 1.62, 1.76, 1.66, 1.46, 1.4, 1.5])  # at each y


@dataclass(frozen=True)
class Person:
    """How a player looks."""

    skin: Colour
    hair: Colour
    style: str  # of the hair
    shirt: Colour
    trousers: Colour
    long_sleeves: bool
    dress: str  # plain, stripes, jacket or buttons
    glasses: bool
    beard: bool
    build: float  # breadth, about 1

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Person":
        """Draw a person."""
        tone = rng.uniform(0, len(SKINS) - 1)
        style = str(rng.choice(HAIR_STYLES))
        return cls(
            skin=_blend(SKINS[int(tone)], SKINS[int(tone) + 1], tone % 1),
            hair=shade(HAIRS[rng.integers(2 if tone > 3 else len(HAIRS))], rng.uniform(0.8, 1.1)),
            style=style,
            shirt=_colour(rng, (0.0, 0.65), (0.12, 0.95)),
            trousers=_colour(rng, (0.05, 0.45), (0.12, 0.5)),
            long_sleeves=rng.random() < 0.6,
            dress=str(rng.choice(("plain", "plain", "stripes", "jacket", "buttons"))),
            glasses=rng.random() < 0.25,
            beard=style in ("short", "bald") and rng.random() < 0.4,
            build=rng.uniform(0.9, 1.1),
        )


def _blend(a: Colour, b: Colour, weight: float) -> Colour:
    return tuple(int(x + (y - x) * weight) for x, y in zip(a, b, strict=True))


def _colour(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
    """Draw a colour of any hue."""
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    return tuple(int(255 * c) for c in rgb)


class Player:
    """One person with one instrument and one score."""

    def __init__(self, name: str, score: Sequence[Note], rng: np.random.Generator):
        self.shape = SHAPES[name]
        self.person = Person.drawn(rng)
        self.motion = Motion(score)
        self.seated = rng.random() < self.shape.seated
        self.cut = rng.uniform(*self.shape.view)
        self.mirrored = rng.random() < 0.25
        a, b = rng.permutation(self.shape.colours)[:2].tolist()
        self.look = Look(
            colour=shade(_blend(a, b, 0.3 * rng.random()), rng.uniform(0.85, 1.06)),
            size=rng.uniform(0.93, 1.07),
            tilt=rng.uniform(-1, 1),
            variety=rng.random(),
            turn=self.shape.turn + rng.uniform(-0.2, 0.2),
        )

    def extent(self) -> tuple[float, float, float, float]:
        """Measure x0, y0, x1, y1 over the whole motion, in heads from the neck."""
        ruler = Brush(None, flip_px=0.0 if self.mirrored else None)
        times = np.linspace(0, self.motion.time_s[-1], 16).tolist()
        strikes = self.motion.strikes[:: max(1, len(self.motion.strikes) // 16)]
        for time_s in times + [s for a, b, *_ in strikes for s in (a, b)]:
            self.paint(ruler, self.motion.pose(time_s))
        return tuple(ruler.extent)

    def paint(self, room: Brush, pose: Pose) -> None:
        """Draw the player, neck at the origin of ``room``, which is measured in heads."""
        lean = np.exp(1j * np.radians(1.1 * pose.sway))
        body = room.at(2.7j * (1 - lean) + 0.035j * pose.nod - 0.05j * pose.breath, 1.1 * pose.sway)
        self._legs(room)
        self._torso(body)
        self._head(body, pose)

        def arm(side: int, hand_px: complex, fingers: complex) -> None:
            self._arm(body, side, body.from_px(hand_px), fingers / body.scale, pose)

        self.shape.draw(room if self.shape.stands else body, pose, self.look, arm)

    def _legs(self, room: Brush) -> None:
        person, build = self.person, self.person.build
        if self.seated:
            room.fill(quad(-0.95 + 2.95j, 0.95 + 2.95j, 0.3), (58, 44, 36))
            for x in (-0.85, 0.85):
                room.line([x + 3j, 1.1 * x + 5.2j], 0.12, (48, 36, 30))
        for side in (-1, 1):
            hip = side * 0.4 * build + 2.6j
            knee, foot = (1.12 + 3.25j, 1.0 + 5.05j) if self.seated else (0.46 + 4.4j, 0.5 + 6.1j)
            if side < 0:
                knee, foot = -knee.conjugate(), -foot.conjugate()
            room.fill(quad(foot - 0.05, foot + side * 0.42 + 0.12j, 0.26), (34, 28, 28))
            _limb(room, (hip, knee, foot), (0.86 * build, 0.6, 0.4), person.trousers)

    def _torso(self, body: Brush) -> None:
        person = self.person
        if person.style == "long":
            body.tube([-1.2j, -0.7j, 0.35j], [0.8, 1.0, 0.95], person.hair, gloss=0.2)
        body.tube(1j * TORSO_Y, TORSO_WIDTH * person.build, person.shirt, gloss=0.1)
        self._dress(body)
        body.tube([-0.4j, 0.12j], [0.34, 0.4], shade(person.skin, 0.86), gloss=0.2)
        body.fill(0.08j + 0.26 * (CIRCLE.real + 0.6j * CIRCLE.imag), shade(person.skin, 0.88))

    def _dress(self, body: Brush) -> None:
        person, half = self.person, 0.68 * self.person.build
        if person.dress == "stripes":
            for y in np.arange(0.7, 2.7, 0.32) * 1j:
                body.fill(quad(y - half, y + half, 0.13), shade(person.shirt, 1.35))
        elif person.dress == "jacket":
            body.fill([-0.22, 0.22, 0.03 + 1.7j, -0.03 + 1.7j], (232, 232, 230))
            tie = [-0.05 + 0.1j, 0.05 + 0.1j, 0.09 + 1.2j, 1.4j, -0.09 + 1.2j]
            body.fill(tie, shade(person.trousers, 0.8))
            for side in (-1, 1):
                body.fill([side * 0.24, side * 0.52 + 0.55j, 1.75j], shade(person.shirt, 0.7))
        elif person.dress == "buttons":
            body.line([0.15j, 2.7j], 0.03, shade(person.shirt, 0.6))
            for y in np.arange(0.5, 2.6, 0.45) * 1j:
                body.disc(y, 0.05, shade(person.shirt, 0.5))

    def _head(self, body: Brush, pose: Pose) -> None:
        person, turn = self.person, self.look.turn
        head = body.at(-0.3j, 0 if self.shape.blown else 3.5 * pose.nod).at(-0.47j)
        if person.style == "bun":
            head.ball(-0.2 * turn - 0.6j, 0.2, person.hair)
        if person.style != "bald":
            head.fill(-0.1 * turn - 0.07j + 1.1 * FACE, person.hair)
        for side in (-1, 1):
            if side * turn < 0.5:
                head.disc(side * 0.375 - 0.12 * turn + 0.04j, 0.085, shade(person.skin, 0.85), squash=1.4)
        head.solid(FACE, person.skin, bulge=0.55)
        if self.shape.blown:
            for side in (-1, 1):
                cheek = side * 0.23 + 0.1 * turn + 0.22j
                head.disc(cheek, 0.07 + 0.06 * pose.level, shade(person.skin, 1.1))
        self._face(head, 0.2 * turn, pose)
        if person.style != "bald":
            head.solid(CAP + 0.06 * turn, person.hair, bulge=0.3, layers=3)
        if person.style == "curly":
            for curl in CURLS:
                head.ball(curl, 0.16, person.hair)

    def _face(self, head: Brush, shift: float, pose: Pose) -> None:
        person = self.person
        if person.beard:
            head.fill(BEARD, person.hair)
        for side in (-1, 1):
            eye = shift + side * 0.15 - 0.03j
            head.disc(eye, 0.06, (240, 236, 230), squash=0.6)
            head.disc(eye + 0.1 * shift, 0.036, (30, 22, 20))
            brow = eye - 0.11j - 0.02j * pose.level
            head.line([brow - 0.08, brow + 0.08], 0.035, shade(person.hair, 0.8))
            if person.glasses:
                head.line(eye + 0.115 * np.append(CIRCLE, 1), 0.025, (30, 28, 30))
        head.line(NOSE + 1.3 * shift, 0.035, shade(person.skin, 0.68))
        lips = _blend(shade(person.skin, 0.5), (176, 84, 80), 0.5)
        if self.shape.blown:
            head.disc(shift + 0.31j, 0.07, lips, squash=0.7)
        else:
            head.line(SMILE + shift, 0.04, lips)

    def _arm(self, body: Brush, side: int, hand: complex, fingers: complex, pose: Pose) -> None:
        """Draw shoulder, elbow, hand and fingers; a hand nearby foreshortens the arm."""
        person = self.person
        shoulder = side * 0.74 * person.build + 0.34j
        reach = hand - shoulder
        distance = abs(reach)
        bone = max(0.85, min(1.4, 0.8 * distance), 0.505 * distance)
        bend = 1j * reach / distance * np.sqrt(max(bone**2 - distance**2 / 4, 0))
        hang = bend.imag + 0.4 * side * bend.real  # the elbow hangs down and out, and never jumps
        elbow = shoulder + reach / 2 + bend * np.clip(3 * hang, -1, 1)
        sleeve, joints, widths = shade(person.shirt, 0.92), (shoulder, elbow, hand), (0.5, 0.37, 0.21)
        body.disc(shoulder, 0.25, sleeve)
        if person.long_sleeves:
            _limb(body, joints, widths, sleeve)
        else:
            _limb(body, joints, np.multiply(widths, 0.86), person.skin)
            body.tube([shoulder, shoulder + 0.75 * (elbow - shoulder)], [0.5, 0.44], sleeve, gloss=0.1)
        along = fingers / abs(fingers)
        body.ball(hand, 0.16, person.skin)
        for i in range(4):
            lift = 0.09 * (1 - pose.fingers[i])
            knuckle = hand + along * (0.08 + 0.09j * (i - 1.5))
            tip = knuckle + along * (0.2 - lift)
            body.line([knuckle, tip], 0.08, shade(person.skin, 0.86 + 0.05 * (i % 2)))


def _limb(brush: Brush, joints: Sequence[complex], widths: Sequence[float], colour: Colour) -> None:
    """Draw an arm or a leg: root, joint and end, the joint rounded."""
    root, joint, end = joints
    bent = joint + 0.04 * (root + end - 2 * joint)
    points = [root, joint + 0.2 * (root - joint), bent, joint + 0.2 * (end - joint), end]
    brush.disc(joint, 0.48 * widths[1], shade(colour, 0.8))
    brush.tube(points, np.interp([0, 0.4, 0.5, 0.6, 1], [0, 0.5, 1], widths), colour, gloss=0.1)


# ------------------------------------------------------------------------------------------------------- room


def _clouds(rng: np.random.Generator, height: int, width: int, cells: int) -> np.ndarray:
    """Smooth noise between 0 and 1, shape (height, width)."""
    field = Image.fromarray(rng.integers(0, 256, (cells, cells), dtype=np.uint8))
    return np.asarray(field.resize((width, height), Image.Resampling.BICUBIC)) / 255.0


def _wall(draw: ImageDraw.ImageDraw, w: int, h: int, paint: Colour, rng: np.random.Generator) -> None:
    """A plain wall, some with a picture or two."""
    for _ in range(rng.integers(0, 3)):
        x, y = rng.uniform(0, w), rng.uniform(0, 0.4 * h)
        a, b = rng.uniform(0.1, 0.22) * w, rng.uniform(0.15, 0.35) * h
        draw.rectangle((x, y, x + a, y + b), fill=_colour(rng, (0, 0.5), (0.1, 0.9)))
        draw.rectangle((x + 7, y + 7, x + a - 7, y + b - 7), fill=_colour(rng, (0.1, 0.7), (0.3, 0.9)))


def _curtain(draw: ImageDraw.ImageDraw, w: int, h: int, paint: Colour, rng: np.random.Generator) -> None:
    """A curtain whose folds are not quite even."""
    fold = rng.uniform(18, 50)
    for x in range(w):
        wave = np.sin(2 * np.pi * x / fold + 0.8 * np.sin(x / 90))
        draw.line((x, 0, x, h), fill=shade(paint, 0.9 + 0.22 * wave))


def _bookshelf(draw: ImageDraw.ImageDraw, w: int, h: int, paint: Colour, rng: np.random.Generator) -> None:
    """Shelves full of books."""
    shelf, wood = rng.uniform(90, 130), shade(paint, 0.45)
    draw.rectangle((0, 0, w, h), fill=shade(wood, 0.6))
    for y in np.arange(rng.uniform(-60, 0), h, shelf):
        x = 0.0
        while x < w:
            thick, tall = rng.uniform(9, 26), rng.uniform(0.55, 0.9) * shelf
            if rng.random() < 0.9:
                book = (x, y + shelf - tall, x + thick, y + shelf)
                draw.rectangle(book, fill=_colour(rng, (0.1, 0.6), (0.2, 0.8)))
            x += thick + 1.5
        draw.rectangle((0, y + shelf - 2, w, y + shelf + 9), fill=wood)


def _window(draw: ImageDraw.ImageDraw, w: int, h: int, paint: Colour, rng: np.random.Generator) -> None:
    """A window onto sky and bushes."""
    sky = _colour(rng, (0.05, 0.3), (0.8, 1.0))
    x, y = rng.uniform(0, 0.6) * w, rng.uniform(-0.1, 0.12) * h
    a, b = rng.uniform(0.25, 0.5) * w, rng.uniform(0.4, 0.65) * h
    draw.rectangle((x - 12, y - 12, x + a + 12, y + b + 12), fill=(236, 234, 228))
    draw.rectangle((x, y, x + a, y + b), fill=sky)
    for _ in range(12):
        r, cx = rng.uniform(0.05, 0.16) * a, x + rng.uniform(0.1, 0.9) * a
        draw.ellipse((cx - r, y + b - 1.6 * r, cx + r, y + b), fill=(60 + int(60 * rng.random()), 110, 60))
    draw.line((x + a / 2, y, x + a / 2, y + b), fill=(236, 234, 228), width=9)
    draw.line((x, y + b / 2, x + a, y + b / 2), fill=(236, 234, 228), width=9)


def _panels(draw: ImageDraw.ImageDraw, w: int, h: int, paint: Colour, rng: np.random.Generator) -> None:
    """Boards of wood, side by side."""
    board, wood = rng.uniform(34, 90), _blend(paint, (150, 100, 60), 0.75)
    for x in np.arange(-rng.uniform(0, board), w, board):
        draw.rectangle((x, 0, x + board, h), fill=shade(wood, rng.uniform(0.86, 1.06)))
        for grain in rng.uniform(x, x + board, 5):
            draw.line((grain, 0, grain + rng.normal(0, 5), h), fill=shade(wood, 0.84), width=1)
        draw.line((x, 0, x, h), fill=shade(wood, 0.5), width=3)


def _stage(draw: ImageDraw.ImageDraw, w: int, h: int, paint: Colour, rng: np.random.Generator) -> None:
    """A dark stage with three spotlights."""
    draw.rectangle((0, 0, w, h), fill=shade(paint, 0.16))
    for x in rng.uniform(0, w, 3):
        foot = x + rng.normal(0, 0.25) * w
        for spread in (70, 54, 38):
            cone = [x - 8, 0, x + 8, 0, foot + spread, h, foot - spread, h]
            draw.polygon(cone, fill=shade(paint, 0.42 - spread / 300))
        draw.ellipse((x - 16, -10, x + 16, 16), fill=shade(paint, 1.8))


BACKDROPS = (_wall, _wall, _curtain, _bookshelf, _window, _panels, _stage)


def _backdrop(w: int, h: int, rng: np.random.Generator) -> Image.Image:
    """Paint a room on a canvas of w by h pixels: a wall of some kind, a floor, and their uneven light."""
    paint = _colour(rng, (0.03, 0.45), (0.35, 0.95))
    image = Image.new("RGB", (w, h), paint)
    draw = ImageDraw.Draw(image)
    BACKDROPS[rng.integers(len(BACKDROPS))](draw, w, h, paint, rng)
    floor, edge = _blend(paint, _colour(rng, (0.1, 0.5), (0.2, 0.6)), 0.8), rng.uniform(0.78, 1.0) * h
    draw.rectangle((0, edge, w, h), fill=floor)
    draw.rectangle((0, edge - 8, w, edge), fill=shade(floor, rng.choice((0.5, 1.5))))
    for x in np.linspace(-1.5 * w, 2.5 * w, 24):
        draw.line((w / 2 + (x - w / 2) * 0.4, edge, x, h), fill=shade(floor, 0.8), width=2)
    image = image.reduce(2).filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 3.5))).resize((w, h))
    light = 0.75 + 0.4 * _clouds(rng, h, w, 4) + 0.06 * (_clouds(rng, h, w, 90) - 0.5)
    return Image.fromarray(np.clip(np.asarray(image) * light[..., None], 0, 255).astype(np.uint8))


def _light(height: int, width: int, towards: complex, rng: np.random.Generator) -> np.ndarray:
    """Gain of every pixel, shape (height, width, 3): a slope, a vignette and a tint."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    slope = 1 + rng.uniform(0.05, 0.3) * (x * towards.real + y * towards.imag)
    vignette = 1 - rng.uniform(0.05, 0.4) * (x**2 + y**2) / 2
    warmth = rng.normal(0, 0.07)
    tint = np.array([1 + warmth, 1.0, 1 - warmth]) * rng.uniform(0.92, 1.14)
    return ((slope * vignette)[..., None] * tint).astype(np.float32)


class Scene:
    """A room with one or more players side by side, drawn from ``rng``.

    Parameters
    ----------
    instruments : sequence of str
        Names out of ``settings.INSTRUMENTS``, from left to right.
    scores : sequence of sequences of Note
        What each player plays, in seconds from the start of the video.
    size_px : tuple of int
        Height and width of the picture.
    rng : numpy.random.Generator
        Source of every choice: two scenes from equal generators are equal.

    Attributes
    ----------
    boxes : list of tuple of float
        x0, y0, x1, y1 in px of each player with their instrument, tight over the whole motion.

    Raises
    ------
    StudyError
        If an instrument is unknown, or there is not one score per instrument.
    """

    def __init__(
        self,
        instruments: Sequence[str],
        scores: Sequence[Sequence[Note]],
        size_px: tuple[int, int],
        rng: np.random.Generator,
    ):
        _check(instruments, scores)
        self.height, self.width = size_px
        self.towards_light = complex(np.exp(1j * np.radians(rng.uniform(-150, -30))))
        self.light = _light(self.height, self.width, self.towards_light, rng)
        self.shake = rng.uniform([0, 0.1, 0, -3], [MAX_SHAKE_PX / 3, 0.6, 7, 3], (3, 4)).T
        self.softness = rng.uniform(0, 0.5)
        grain = rng.standard_normal((self.height + 64, self.width + 64, 1), dtype=np.float32)
        self.noise = grain * np.float32(rng.uniform(0.5, 3))
        size = [OVERSAMPLING * (side + 2 * MARGIN_PX) for side in (self.width, self.height)]
        backdrop = _backdrop(*size, rng)  # before the players: the room must not tell the instrument
        self.players = [Player(name, score, rng) for name, score in zip(instruments, scores, strict=True)]
        self._place(rng)
        self.canvas = self._with_shadows(backdrop)

    def _place(self, rng: np.random.Generator) -> None:
        """Give each player a slot of the picture, a size and a box in it."""
        count = len(self.players)
        x0, y0, x1, y1 = np.array([player.extent() for player in self.players]).T
        width, height = x1 - x0, np.array([player.cut for player in self.players]) - y0
        slot = self.width / count
        room = np.minimum(0.94 * (slot - 2 * BOX_MARGIN_PX) / width, 0.95 * self.height / height)
        self.scales = np.minimum(room, 1.3 * room.min()) * rng.uniform(0.84, 1, count)  # px per head
        left = slot * np.arange(count) + (slot - self.scales * width) * rng.uniform(0.3, 0.7, count)
        top = (self.height - self.scales * height) * rng.uniform(0.3, 0.85, count)
        self.necks = left - self.scales * x0 + 1j * (top - self.scales * y0)  # px
        right, bottom = left + self.scales * width, top + self.scales * (y1 - y0)
        edges = np.stack([left, top, right, bottom], axis=1) + BOX_MARGIN_PX * np.array([-1, -1, 1, 1])
        limits = (self.width, self.height, self.width, self.height)
        self.boxes = [tuple(box) for box in np.clip(edges, 0, limits).tolist()]

    def _paint(self, canvas: Image.Image, time_s: float) -> Image.Image:
        """Draw the players on the canvas."""
        draw = ImageDraw.Draw(canvas)
        for player, neck, scale in zip(self.players, self.necks, self.scales, strict=True):
            origin, light, flip_px = OVERSAMPLING * (neck + MARGIN_PX * (1 + 1j)), self.towards_light, None
            if player.mirrored:
                origin, light, flip_px = 1j * origin.imag, -light.conjugate(), origin.real
            brush = Brush(draw, complex(origin), complex(OVERSAMPLING * scale), light, flip_px)
            player.paint(brush, player.motion.pose(time_s))
        return canvas

    def _with_shadows(self, canvas: Image.Image) -> Image.Image:
        """Darken the wall behind the players, away from the light."""
        changed = ImageChops.difference(canvas, self._paint(canvas.copy(), 0.0)).convert("L")
        mask = changed.point(lambda v: 115 * (v > 3)).reduce(4).filter(ImageFilter.GaussianBlur(7))
        away, shadow = -6 * self.towards_light, Image.new("L", mask.size)
        shadow.paste(mask, (round(away.real), round(away.imag)))
        return Image.composite(Image.new("RGB", canvas.size), canvas, shadow.resize(canvas.size))

    def picture(self, time_s: float) -> np.ndarray:
        """Draw the scene at a time; equal times give equal pictures.

        Parameters
        ----------
        time_s : float
            Seconds from the start of the video.

        Returns
        -------
        ndarray of uint8, shape (height, width, 3)
        """
        canvas = self._paint(self.canvas.copy(), time_s)
        x, y = (round(OVERSAMPLING * (MARGIN_PX - 1 + offset)) for offset in self._camera(time_s))
        right, bottom = x + OVERSAMPLING * (self.width + 1), y + OVERSAMPLING * (self.height + 1)
        canvas = canvas.crop((x, y, right, bottom)).reduce(OVERSAMPLING)
        canvas = Image.blend(canvas, ImageChops.offset(canvas, 1, 1), 0.5 * self.softness)
        tick = round(time_s * 1000)
        dy, dx = tick * 7919 % 64, tick * 104729 % 64
        pixels = np.asarray(canvas)[1:, 1:] * self.light  # the offset wraps the first row and column
        pixels += self.noise[dy : dy + self.height, dx : dx + self.width]
        return np.clip(pixels, 0, 255, out=pixels).astype(np.uint8)

    def _camera(self, time_s: float) -> tuple[float, float]:
        """Shake of the camera in px, right and down."""
        reach_px, rate_hz, phase, lag = self.shake
        turn = 2 * np.pi * rate_hz * time_s + phase
        return float(reach_px @ np.sin(turn)), float(reach_px @ np.cos(0.8 * turn + lag))


def _check(instruments: Sequence[str], scores: Sequence[Sequence[Note]]) -> None:
    for name in instruments:
        if name not in SHAPES:
            raise StudyError(f"unknown instrument {name!r}: choose from {', '.join(sorted(SHAPES))}")
    if not instruments or len(instruments) != len(scores):
        counts = f"{len(instruments)} instruments but {len(scores)} scores"
        raise StudyError(f"{counts}: give one score to each of at least one instrument")
