"""Pictures of players moving with their notes: the people who play, side by side in a room, and the camera.

Every choice is drawn once, when a ``Scene`` is made; ``Scene.picture`` then depends on the time alone, so
frames can be drawn in any order. Shapes are drawn at twice the size and averaged down: smooth edges, cheaply.
Used by ``rendered``; instruments are in ``instrument_shapes``, movements in ``motion``, walls and light in ``rooms``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from avsep_lib import rooms
from avsep_lib.instrument_shapes import CIRCLE, SHAPES, Brush, Colour, Look, Pose, curve, quad, shade
from avsep_lib.motion import Motion
from avsep_lib.rooms import any_colour, blend
from avsep_lib.scores import Note
from avsep_lib.settings import StudyError

OVERSAMPLING = 2  # canvas pixels per pixel of the picture
MARGIN_PX, MAX_SHAKE_PX = 6, 1.8  # of the canvas around the picture; how far the camera shakes
BOX_MARGIN_PX = MAX_SHAKE_PX + 1  # and half the width of a line

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
BEARD = curve(-0.33 + 0.12j, -0.18 + 0.24j, 0.18 + 0.24j, 0.33 + 0.12j, 0.21 + 0.44j, 0.53j, -0.21 + 0.44j, closed=True)
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
            skin=blend(SKINS[int(tone)], SKINS[int(tone) + 1], tone % 1),
            hair=shade(HAIRS[rng.integers(2 if tone > 3 else len(HAIRS))], rng.uniform(0.8, 1.1)),
            style=style,
            shirt=any_colour(rng, (0.0, 0.65), (0.12, 0.95)),
            trousers=any_colour(rng, (0.05, 0.45), (0.12, 0.5)),
            long_sleeves=rng.random() < 0.6,
            dress=str(rng.choice(("plain", "plain", "stripes", "jacket", "buttons"))),
            glasses=rng.random() < 0.25,
            beard=style in ("short", "bald") and rng.random() < 0.4,
            build=rng.uniform(0.9, 1.1),
        )


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
            colour=shade(blend(a, b, 0.3 * rng.random()), rng.uniform(0.85, 1.06)),
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
        lips = blend(shade(person.skin, 0.5), (176, 84, 80), 0.5)
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
        self.light = rooms.lighting(self.height, self.width, self.towards_light, rng)
        self.shake = rng.uniform([0, 0.1, 0, -3], [MAX_SHAKE_PX / 3, 0.6, 7, 3], (3, 4)).T
        self.softness = rng.uniform(0, 0.5)
        grain = rng.standard_normal((self.height + 64, self.width + 64, 1), dtype=np.float32)
        self.noise = grain * np.float32(rng.uniform(0.5, 3))
        size = [OVERSAMPLING * (side + 2 * MARGIN_PX) for side in (self.width, self.height)]
        backdrop = rooms.backdrop(*size, rng)  # before the players: the room must not tell the instrument
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
