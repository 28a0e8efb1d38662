"""How eleven instruments look and how they are held: one small function each, drawn with a shading brush.

Points of the plane are complex numbers, x to the right and y down: a turn is a product, a shift a sum.
Lengths are in heads, the height of a head, about 23 cm. A player faces the camera: their right hand is at the
left of the picture (side -1), their left hand at the right (side 1); a mirrored player swaps the two.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL.ImageDraw import ImageDraw

Colour = tuple[int, int, int]
Arm = Callable[[int, complex, complex], None]  # draws an arm, given its side, hand (px) and fingers' direction
RIGHT, LEFT = -1, 1  # the player's hands, as the sign of x

BLACK, IVORY, STEEL, GOLD = (26, 24, 26), (238, 232, 216), (196, 200, 206), (214, 168, 66)
EBONY, HORSEHAIR, STRING = (38, 30, 28), (236, 230, 214), (222, 218, 206)


@dataclass(frozen=True)
class Pose:
    """Where the motion stands at one time; silence leaves all of it at rest."""

    level: float  # how strongly the player sounds, 0 to 1
    pitch: float  # 0 the lowest note of the score, 1 the highest
    bow: float  # place of the bow's stroke, -1 to 1
    strum: float  # place of the strumming hand, -1 to 1
    bellows: float  # -1 closed, 1 open
    breath: float  # raised shoulders before a phrase, 0 to 1
    nod: float  # with the beat, -1 to 1
    sway: float  # with the bars, -1 to 1
    mallets: tuple[float, float, float, float]  # x (0 low, 1 high) and height (0 to 1), left hand then right
    fingers: tuple[float, ...]  # of six fingers: 1 pressed, 0 lifted


@dataclass(frozen=True)
class Look:
    """What makes one instrument differ from the next of its kind."""

    colour: Colour
    size: float  # about 1
    tilt: float  # -1 to 1
    variety: float  # 0 to 1: bindings, keys, bars, whatever the instrument has to vary
    turn: float  # of the head: -1 to the left of the picture, 1 to the right

    @property
    def mouth(self) -> complex:
        """Place of the lips, from the base of the neck."""
        return 0.24 * self.turn - 0.44j


@dataclass(frozen=True)
class Shape:
    """An instrument: how to draw it, and how its player sits and is framed."""

    draw: Callable[["Brush", Pose, Look, Arm], None]
    colours: tuple[Colour, ...]
    seated: float  # how likely the player sits
    view: tuple[float, float]  # the picture ends this many heads below the neck, at least and at most
    turn: float = 0.0  # of the head
    blown: bool = False  # held by the mouth: the head keeps still and the cheeks swell
    stands: bool = False  # on the floor: does not sway with the player


SHAPES: dict[str, Shape] = {}


def instrument(**facts):
    """Register the decorated function as the drawing of the instrument of its name."""

    def register(draw):
        SHAPES[draw.__name__] = Shape(draw, **facts)
        return draw

    return register


@lru_cache(4096)
def shade(colour: Colour, light: float) -> Colour:
    """Darken (``light`` below 1) or lighten (above 1, 2 is white) a colour."""
    if light <= 1:
        return tuple(int(c * light) for c in colour)
    return tuple(int(c + (255 - c) * min(light - 1, 1)) for c in colour)


def curve(*knots: complex, closed: bool = False, steps: int = 6) -> np.ndarray:
    """Smooth (Catmull-Rom) curve through the knots, as complex points."""
    z = np.array(knots, dtype=complex)
    before, after = (z[-1], z[:2]) if closed else (z[0], z[-1:])
    z = np.concatenate([[before], z, after])
    t = np.linspace(0, 1, steps, endpoint=False)[None]
    a, b, c, d = (z[i : len(z) - 3 + i, None] for i in range(4))
    pieces = b + t * ((c - a) + t * ((2 * a - 5 * b + 4 * c - d) + t * (3 * b - a - 3 * c + d))) / 2
    return np.append(pieces.ravel(), z[1] if closed else z[-1])


def mirrored(half: np.ndarray) -> np.ndarray:
    """Close an outline by its mirror image in the x axis."""
    return np.concatenate([half, half[::-1].conj()])


def quad(start: complex, end: complex, width: float, end_width: float | None = None) -> np.ndarray:
    """Four corners of a straight, possibly tapering bar."""
    side = 0.5j * (end - start) / (abs(end - start) or 1)
    far = width if end_width is None else end_width
    return np.array([start + side * width, end + side * far, end - side * far, start - side * width])


_TUBE_WIDTHS = np.array([[1.0], [0.8], [0.42], [0.14]])  # of a tube's layers, from rim to highlight
_TUBE_SHIFTS = np.array([[0.0], [0.12], [0.3], [0.38]])  # towards the light, in half widths
CIRCLE = np.exp(2j * np.pi * np.arange(28) / 28)


class Brush:
    """Draws shaded shapes in a frame of its own: placed, turned and sized on the canvas.

    Parameters
    ----------
    draw : ImageDraw or None
        Canvas; None only measures.
    origin, scale : complex
        A point z of this frame falls on pixel ``origin + scale * z``.
    light : complex
        Direction that the light comes from, in pixels before any mirroring; length 1.
    flip_px : float, optional
        Mirror the picture: x becomes ``flip_px - x``.
    """

    def __init__(self, draw: ImageDraw | None, origin=0j, scale=1 + 0j, light=-1j, flip_px=None):
        self.draw, self.origin, self.scale, self.light, self.flip_px = draw, origin, scale, light, flip_px
        self.extent = [np.inf, np.inf, -np.inf, -np.inf]  # x0, y0, x1, y1 in px, of all that was drawn

    def at(self, place: complex, turn_deg: float = 0.0, size: float = 1.0) -> "Brush":
        """Give a brush for a frame inside this one; what it draws counts as drawn by this one."""
        turn = size * np.exp(1j * np.radians(turn_deg))
        child = Brush(self.draw, self.to_px(place), self.scale * turn, self.light, self.flip_px)
        child.extent = self.extent
        return child

    def to_px(self, z):
        """Pixel of a point of this frame, before any mirroring."""
        return self.origin + self.scale * z

    def from_px(self, z):
        """Point of this frame that falls on a pixel, before any mirroring."""
        return (z - self.origin) / self.scale

    def _on_canvas(self, z: np.ndarray) -> list:
        """Pixels x, y, x, y, ... of every outline, shape (..., points); when measuring, none."""
        px = self.origin + self.scale * np.asarray(z, dtype=complex)
        if self.flip_px is not None:
            px = self.flip_px - px.conj()
        if self.draw:
            return px.view(float).tolist()
        x0, y0, x1, y1 = self.extent
        x, y = px.real, px.imag
        self.extent[:] = min(x0, x.min()), min(y0, y.min()), max(x1, x.max()), max(y1, y.max())
        return []

    def _layers(self, outlines: np.ndarray, colour: Colour, tones: Sequence[float]) -> None:
        """Fill outlines, shape (layers, points), one over the other in growing light."""
        for corners, tone in zip(self._on_canvas(outlines), tones, strict=False):
            self.draw.polygon(corners, fill=shade(colour, tone))

    def fill(self, points: Sequence[complex], colour: Colour) -> None:
        """Fill a polygon with one colour."""
        corners = self._on_canvas(points)
        if self.draw:
            self.draw.polygon(corners, fill=colour)

    def solid(self, points: np.ndarray, colour: Colour, bulge: float = 1.0, layers: int = 4) -> None:
        """Fill a polygon so that it seems round: darker at the rim, lighter towards the light."""
        centre = points.mean()
        arm = points - centre
        depth = np.arange(layers)[:, None] / (layers - 1)
        shift = 0.16 * bulge * np.abs(arm).mean() * self.light * abs(self.scale) / self.scale
        outlines = centre + arm * (1 - 0.55 * depth) + shift * depth
        tones = 1 + bulge * (0.3 * depth - 0.22 * (1 - depth) ** 2)
        self._layers(outlines, colour, tones.ravel().tolist())

    def line(self, points: Sequence[complex], width: float, colour: Colour) -> None:
        """Draw a line of round joints."""
        corners = self._on_canvas(points)
        if self.draw:
            px = max(1, round(width * abs(self.scale)))
            self.draw.line(corners, fill=colour, width=px, joint="curve" if px > 2 else None)

    def tube(self, points: Sequence[complex], widths, colour: Colour, gloss: float = 1.0) -> None:
        """Draw a round tube along a curve.

        ``widths`` is one number or one per point; ``gloss`` goes from 0, cloth, to 1, metal.
        """
        z, widths = np.asarray(points, dtype=complex), np.asarray(widths, dtype=float)
        along = np.empty_like(z)
        along[1:-1], along[0], along[-1] = z[2:] - z[:-2], z[1] - z[0], z[-1] - z[-2]
        side = 0.5j * along / np.abs(along) * widths
        lit = self.light / self.scale * abs(self.scale)
        towards = 2 / widths * (lit * side.conj()).real  # how far each side faces the light, -1 to 1
        middle = z + _TUBE_SHIFTS * (side * towards)
        edge = _TUBE_WIDTHS * side
        tones = (0.82 - 0.2 * gloss, 1.0, 1.05 + 0.25 * gloss, 1.16 + 0.5 * gloss)
        layers = 4 if gloss > 0.5 and np.max(widths) * abs(self.scale) > 2.5 else 3
        outlines = np.concatenate([middle + edge, (middle - edge)[:, ::-1]], axis=1)
        self._layers(outlines, colour, tones[:layers])

    def disc(self, centre: complex, radius: float, colour: Colour, squash: float = 1.0) -> None:
        """Fill a circle, or an ellipse ``squash`` times as high as wide."""
        self.fill(centre + radius * (CIRCLE.real + 1j * squash * CIRCLE.imag), colour)

    def ball(self, centre: complex, radius: float, colour: Colour, squash: float = 1.0) -> None:
        """Draw a shaded ellipse."""
        self.solid(centre + radius * (CIRCLE.real + 1j * squash * CIRCLE.imag), colour, layers=3)


def _keys(brush: Brush, start: complex, end: complex, count: int, radius: float, colour: Colour, pressed=()) -> None:
    """Draw round keys in a row; a pressed one is darker."""
    for i in range(count):
        down = pressed[i % len(pressed)] if pressed else 0
        place = start + (end - start) * (i + 0.5) / count
        brush.disc(place, radius, shade(colour, 0.5))
        brush.disc(place, radius * 0.72, shade(colour, 1.4 - 0.6 * down))


def _valves(brush: Brush, places: Sequence[complex], length: complex, colour: Colour, pressed) -> None:
    """Draw valves whose buttons, at ``places``, go down when pressed."""
    for place, down in zip(places, pressed, strict=False):
        button = place + 0.1j * down
        brush.line([button, place + 0.25j], 0.045, STEEL)
        brush.line([button - 0.06, button + 0.06], 0.06, STEEL)
        brush.tube([place + 0.19j, place + 0.92 * length], 0.17, colour)
        brush.tube([place + 0.9 * length, place + length], 0.19, STEEL)


def _bell(brush: Brush, centre: complex, radius: float, colour: Colour) -> None:
    """Draw the open end of a horn, seen from slightly above."""
    brush.ball(centre, radius, shade(colour, 1.15), squash=0.28)
    brush.disc(centre + 0.02j, 0.85 * radius, shade(colour, 0.38), squash=0.22)


def _bow(body: Brush, contact_px: complex, turn_deg: float, length: float, pose: Pose, arm: Arm) -> None:
    """Draw a bow across the strings, its hair on the contact point, and the arm that leads it."""
    stroke = length * (0.5 + 0.36 * pose.bow)  # from the frog to the contact
    bow = body.at(body.from_px(contact_px), turn_deg).at(-stroke)
    bow.line([0.1, length], 0.045, HORSEHAIR)
    stick = curve(-0.12 - 0.13j, 0.4 * length - 0.07j, 0.8 * length - 0.08j, length - 0.13j, length, steps=4)
    bow.line(stick, 0.055, (92, 48, 26))
    bow.fill(quad(0.02 - 0.05j, 0.2 - 0.05j, 0.14), EBONY)
    arm(RIGHT, bow.to_px(0.05 - 0.05j), bow.scale * (0.5 + 0.6j))


_BODY = mirrored(
    np.concatenate(
        [
            curve(0, 0.02 - 0.15j, 0.17 - 0.29j, 0.34 - 0.25j),
            curve(0.36 - 0.24j, 0.40 - 0.18j, 0.50 - 0.155j, 0.60 - 0.165j, 0.655 - 0.21j),
            curve(0.67 - 0.225j, 0.80 - 0.235j, 0.94 - 0.14j, 1.0 - 0.04j),
        ]
    )
)
_SOUND_HOLE = curve(0.40 - 0.145j, 0.43 - 0.12j, 0.50 - 0.12j, 0.56 - 0.095j, 0.585 - 0.115j, steps=4)


def _fiddle(brush: Brush, colour: Colour, fittings: Colour) -> None:
    """Draw a violin or a cello along the x axis, its body from 0 to 1 and its scroll at 1.6."""
    brush.fill(0.5 + 1.035 * (_BODY - 0.5), shade(colour, 0.45))
    brush.solid(_BODY, colour, bulge=0.8)
    brush.tube([0.98, 1.4], [0.085, 0.06], shade(colour, 0.8))
    brush.tube([1.38, 1.5, 1.58, 1.62 + 0.02j], [0.075, 0.085, 0.06, 0.1], shade(colour, 0.85))
    for x in (1.43, 1.47, 1.51, 1.55):
        brush.line([x - 0.08j, x + 0.08j], 0.022, fittings)
    brush.fill(quad(0.62, 1.42, 0.115, 0.065), EBONY)
    brush.fill(quad(0.03, 0.30, 0.05, 0.12), fittings)
    for hole in (_SOUND_HOLE, _SOUND_HOLE.conj()):
        brush.line(hole, 0.024, EBONY)
    brush.line([0.47 - 0.085j, 0.47 + 0.085j], 0.028, (220, 190, 140))
    for y in (-0.035, -0.012, 0.012, 0.035):
        brush.line([0.28 + 1j * y, 0.47 + 1.2j * y, 1.42 + 0.6j * y], 0.006, STRING)


WOODS = ((150, 70, 28), (176, 92, 34), (122, 52, 24), (196, 116, 48), (104, 44, 26))


@instrument(colours=WOODS, seated=0.15, view=(2.5, 4.0), turn=0.35)
def violin(body: Brush, pose: Pose, look: Look, arm: Arm) -> None:
    """Violin on the left shoulder, pointing away from the chin; the bow crosses it."""
    turn = 8 + 9 * look.tilt + 2 * pose.sway
    fiddle = body.at(0.22 - 0.02j, turn, 1.5 * look.size)
    hold = 1.36 - 0.3 * pose.pitch
    arm(LEFT, fiddle.to_px(hold + 0.1j), fiddle.scale * (-0.2 - 1j))
    _fiddle(fiddle, look.colour, EBONY)
    fiddle.fill(0.12 - 0.18j + 0.13 * (CIRCLE.real + 0.7j * CIRCLE.imag), EBONY)
    _bow(body, fiddle.to_px(0.57), -48 + 8 * look.tilt + 5 * (pose.pitch - 0.5), 2.7, pose, arm)


@instrument(colours=WOODS, seated=1.0, view=(4.9, 5.5), stands=True)
def cello(body: Brush, pose: Pose, look: Look, arm: Arm) -> None:
    """Cello upright between the knees, its scroll beside the player's ear."""
    fiddle = body.at(-0.22 + 4.4j, -83 + 4 * look.tilt + pose.sway, 2.95 * look.size)
    fiddle.line([0.02, -0.28], 0.02, STEEL)
    _fiddle(fiddle, look.colour, EBONY)
    _bow(body, fiddle.to_px(0.58), -4 + 6 * look.tilt + 6 * (pose.pitch - 0.5), 2.9, pose, arm)
    arm(LEFT, fiddle.to_px(1.34 - 0.42 * pose.pitch + 0.01j), body.scale * (-1 + 0.05j))


@instrument(colours=((120, 40, 22), (86, 36, 24), (58, 30, 22), (140, 62, 30)), seated=1.0, view=(4.2, 5.3))
def erhu(body: Brush, pose: Pose, look: Look, arm: Arm) -> None:
    """Erhu: a small drum on the left thigh, a long thin neck, and a bow that passes between two strings."""
    stand = body.at(0.62 + 2.62j, -88 + 3 * look.tilt, 1.05 * look.size)  # x runs up the neck
    stand.tube([-0.2, 3.45, 3.62 - 0.1j, 3.72 - 0.24j], [0.1, 0.1, 0.1, 0.12], look.colour)
    for x in (2.72, 3.1):
        stand.tube([x + 0.05j, x + 0.42j], [0.06, 0.12], shade(look.colour, 0.8))
    drum = 0.36 * np.exp(1j * np.pi * (np.arange(6) + 0.5) / 3)
    stand.solid(0.12 + 1.18 * drum, look.colour, bulge=0.6)
    stand.solid(0.12 + 0.95 * drum, (206, 190, 150), bulge=0.4)
    for spot in (0, 0.16 + 0.1j, -0.12 + 0.13j, 0.1 - 0.14j, -0.13 - 0.1j, 0.26 - 0.04j, -0.02 + 0.24j):
        stand.disc(0.12 + spot, 0.045, (110, 96, 70))
    for y in (-0.03, 0.03):
        stand.line([0.1 + 1j * y, 2.75 + 2j * y], 0.016, STRING)
    stand.line([2.2 - 0.1j, 2.2 + 0.1j], 0.03, (200, 60, 40))
    _bow(body, stand.to_px(0.66), -5 + 5 * look.tilt, 3.2, pose, arm)
    arm(LEFT, stand.to_px(2.05 - 0.85 * pose.pitch + 0.1j), body.scale * (-1 - 0.1j))


_GUITAR = mirrored(
    curve(
        0,
        0.01 - 0.2j,
        0.14 - 0.37j,
        0.34 - 0.385j,
        0.5 - 0.29j,
        0.6 - 0.25j,
        0.72 - 0.275j,
        0.88 - 0.28j,
        0.98 - 0.16j,
        1.0,
    )
)


@instrument(
    colours=((222, 168, 92), (232, 190, 124), (196, 120, 54), (164, 74, 32), (70, 40, 30), (238, 206, 150)),
    seated=0.8,
    view=(3.5, 5.0),
)
def acoustic_guitar(body: Brush, pose: Pose, look: Look, arm: Arm) -> None:
    """Guitar across the body: the hand at the sound hole strums, the other walks along the neck."""
    guitar = body.at(-1.15 + 2.35j, -13 + 8 * look.tilt + pose.sway, 2.2 * look.size)
    guitar.fill(0.5 + 1.03 * (_GUITAR - 0.5), shade(look.colour, 0.35))
    guitar.solid(_GUITAR, look.colour, bulge=0.6)
    wood = shade((96, 56, 32), 0.7 + 0.6 * look.variety)
    guitar.tube([0.98, 1.82], [0.105, 0.085], wood, gloss=0.5)
    guitar.fill(quad(1.8, 2.08, 0.12, 0.15), shade(wood, 0.8))
    for x in (1.87, 1.94, 2.01):
        guitar.line([x - 0.1j, x + 0.1j], 0.025, STEEL)
    if look.variety > 0.4:
        guitar.fill(0.6 + 0.16j + 0.13 * (CIRCLE.real + 0.8j * CIRCLE.imag), shade(look.colour, 0.4))
    guitar.disc(0.67, 0.135, shade(look.colour, 0.6))
    guitar.disc(0.67, 0.118, shade(look.colour, 1.3))
    guitar.disc(0.67, 0.105, (30, 20, 16))
    guitar.fill(quad(0.76, 1.82, 0.095, 0.08), EBONY)
    for fret in 1.82 - 1.08 * (1 - 0.9 ** np.arange(1, 12)):
        guitar.line([fret - 0.042j, fret + 0.042j], 0.01, (170, 160, 140))
    guitar.fill(quad(0.26 - 0.14j, 0.26 + 0.14j, 0.06), EBONY)
    for y in np.linspace(-0.034, 0.034, 6):
        guitar.line([0.26 + 1.2j * y, 1.85 + 1j * y], 0.005, STRING)
    arm(LEFT, guitar.to_px(1.72 - 0.55 * pose.pitch + 0.06j), guitar.scale * (-0.15 - 1j))
    arm(RIGHT, guitar.to_px(0.58 - 0.04j + 0.13j * pose.strum), guitar.scale * (0.7 + 0.6j))


@instrument(
    colours=((206, 210, 216), (220, 222, 226), (216, 196, 150), (190, 194, 204)),
    seated=0.15, view=(2.2, 3.6), turn=0.35, blown=True,
)  # fmt: skip
def flute(body: Brush, pose: Pose, look: Look, arm: Arm) -> None:
    """Flute held sideways, to the right of the player."""
    pipe = body.at(look.mouth + 0.05j, 172 + 6 * look.tilt + 1.5 * pose.sway, look.size)  # x runs to the foot
    arm(LEFT, pipe.to_px(0.95 - 0.12j), pipe.scale * (0.2 + 1j))
    pipe.tube([-0.42, 2.6], 0.13, look.colour)
    for x in (-0.4, 0.42, 2.05):
        pipe.tube([x, x + 0.07], 0.165, shade(look.colour, 0.9))
    pipe.tube([-0.14, 0.14], 0.2, shade(look.colour, 1.1))
    _keys(pipe, 0.62 + 0.03j, 1.95 + 0.03j, 11, 0.075, look.colour, pose.fingers)
    arm(RIGHT, pipe.to_px(1.65 - 0.14j), pipe.scale * (0.1 + 1j))


@instrument(colours=((34, 32, 36), (44, 38, 38), (30, 28, 34), (58, 36, 30)), seated=0.5, view=(2.8, 4.0), blown=True)
def clarinet(body: Brush, pose: Pose, look: Look, arm: Arm) -> None:
    """Clarinet straight down from the mouth, black with silver keys."""
    pipe = body.at(look.mouth, 90 + 9 * look.tilt + 2 * pose.sway, look.size)  # x runs to the bell
    pipe.tube([-0.02, 0.3, 0.32, 2.3, 2.55, 2.75, 2.85], [0.07, 0.15, 0.17, 0.18, 0.24, 0.36, 0.42], look.colour)
    for x in (0.34, 0.68, 1.5, 2.34):
        pipe.tube([x, x + 0.06], 0.2, STEEL)
    pipe.line([0.8 - 0.1j, 1.4 - 0.1j], 0.03, STEEL)
    pipe.line([1.62 + 0.1j, 2.2 + 0.1j], 0.03, STEEL)
    _keys(pipe, 0.8 + 0.02j, 1.45 + 0.02j, 4, 0.075, STEEL, pose.fingers)
    _keys(pipe, 1.62 - 0.02j, 2.25 - 0.02j, 4, 0.08, STEEL, pose.fingers[2:])
    arm(LEFT, pipe.to_px(1.05 - 0.1j), pipe.scale * (-0.3 + 1j))
    arm(RIGHT, pipe.to_px(1.85 + 0.1j), pipe.scale * (-0.3 - 1j))


@instrument(
    colours=(GOLD, (226, 184, 84), (196, 146, 58), (184, 132, 70), (206, 204, 200)),
    seated=0.3, view=(3.1, 4.4), turn=0.2, blown=True,
)  # fmt: skip
def saxophone(body: Brush, pose: Pose, look: Look, arm: Arm) -> None:
    """Saxophone: a neck, a widening body, and a bow that brings the bell up again."""
    horn = body.at(look.mouth, -6 + 8 * look.tilt + 2 * pose.sway, 1.05 * look.size)
    horn.tube(curve(0, 0.2 - 0.1j, 0.34 + 0.1j, 0.3 + 0.4j), [0.07] * 6 + [0.1] * 6 + [0.15] * 7, look.colour)
    bend = curve(0.3 + 0.36j, 0.16 + 1.5j, 0.02 + 2.5j, 0.2 + 2.98j, 0.58 + 2.9j, 0.74 + 2.4j, 0.92 + 1.86j)
    widths = np.interp(np.linspace(0, 1, bend.size), [0, 0.5, 0.8, 0.92, 1], [0.15, 0.34, 0.5, 0.72, 1.08])
    horn.tube(bend, widths, look.colour)
    _bell(horn.at(0.92 + 1.86j, 18), 0, 0.55, look.colour)
    horn.line([0.4 + 0.7j, 0.24 + 2.4j], 0.035, shade(look.colour, 1.5))
    _keys(horn, 0.3 + 0.6j, 0.14 + 1.5j, 5, 0.09, shade(look.colour, 1.2), pose.fingers)
    _keys(horn, 0.12 + 1.6j, 0.04 + 2.5j, 4, 0.12, shade(look.colour, 1.2), pose.fingers[3:])
    _keys(horn, 0.34 + 2.7j, 0.74 + 2.3j, 2, 0.17, shade(look.colour, 1.1))
    arm(LEFT, horn.to_px(0.34 + 0.95j), horn.scale * (-1 + 0.2j))
    arm(RIGHT, horn.to_px(0.0 + 1.95j), horn.scale * (1 + 0.2j))


@instrument(
    colours=((222, 176, 76), (230, 190, 96), (208, 154, 60), (208, 210, 214)),
    seated=0.2, view=(2.2, 3.6), turn=0.75, blown=True,
)  # fmt: skip
def trumpet(body: Brush, pose: Pose, look: Look, arm: Arm) -> None:
    """Trumpet: level, three valves in the middle and a bell at the end."""
    horn = body.at(look.mouth + 0.12, 3 + 8 * look.tilt + 2 * pose.sway, 1.06 * look.size)
    horn.tube([0, 0.1, 0.14, 0.3], [0.18, 0.14, 0.06, 0.07], STEEL)
    horn.tube([0.25, 1.72], 0.075, look.colour)
    slide = curve(1.3 + 0.42j, 1.66 + 0.42j, 1.8 + 0.21j, 1.66 + 0j, 1.4)
    horn.tube(slide, 0.085, look.colour)
    loop = curve(1.2 + 0.42j, 0.6 + 0.42j, 0.46 + 0.24j, 0.6 + 0.1j, 0.9 + 0.1j, 1.3 + 0.1j)
    horn.tube(loop, 0.085, look.colour)
    _valves(horn, np.array([0.88, 1.06, 1.24]) - 0.35j, 1.01j, look.colour, pose.fingers)
    x = np.linspace(1.1, 2.15, 12)
    horn.tube(x + 0.1j, 0.1 + 0.62 * ((x - 1.1) / 1.05) ** 4 + 0.06 * (x - 1.1), look.colour)
    horn.at(2.15 + 0.1j, 90).ball(0, 0.4, shade(look.colour, 1.2), squash=0.2)
    arm(LEFT, horn.to_px(0.98 + 0.36j), horn.scale * (1 - 0.3j))
    arm(RIGHT, horn.to_px(0.82 - 0.2j), horn.scale * (1 + 0.05j))


_TUBA_OUTER = curve(
    0.92 - 0.3j, 0.9 + 0.7j, 0.6 + 1.4j, 1.66j, -0.6 + 1.38j,
    -0.84 + 0.7j, -0.78 - 0.1j, -0.42 - 0.42j, -0.1 - 0.2j,
)  # fmt: skip
_TUBA_INNER = curve(
    -0.1 - 0.2j, 0.5j, 0.2 + 1.0j, 0.48 + 0.9j, 0.52 + 0.2j, 0.3 - 0.2j, 0.02 + 0.1j, -0.2 + 0.8j
)  # fmt: skip


@instrument(
    colours=((214, 168, 70), (224, 182, 86), (198, 142, 56), (204, 206, 210)),
    seated=1.0, view=(4.2, 5.2), blown=True,
)  # fmt: skip
def tuba(body: Brush, pose: Pose, look: Look, arm: Arm) -> None:
    """Tuba on the lap, its bell above the player's shoulder."""
    horn = body.at(0.1 + 1.3j, 4 + 6 * look.tilt + pose.sway, look.size)
    arm(LEFT, horn.to_px(0.95 + 0.9j), horn.scale * (-0.2 - 1j))
    bell = np.linspace(0, 1, 14)
    horn.tube(0.92 - 0.2j - 2.0j * bell, 0.62 + 0.3 * bell + 1.0 * bell**5, look.colour)
    _bell(horn, 0.92 - 2.2j, 0.98, look.colour)
    horn.tube(_TUBA_OUTER, np.linspace(0.62, 0.3, _TUBA_OUTER.size), look.colour)
    horn.tube(_TUBA_INNER, 0.2, look.colour)
    _valves(horn, np.array([-0.5, -0.28, -0.06, 0.16]) + 0.1j, 0.92j, shade(look.colour, 1.1), pose.fingers)
    pipe = [horn.from_px(body.to_px(look.mouth + 0.03j)), -0.15 - 1.2j, -0.35 - 0.8j, -0.46 - 0.2j]
    horn.tube(curve(*pipe), 0.09, look.colour)
    horn.tube([pipe[0], pipe[0] + 0.06 + 0.14j], [0.22, 0.1], STEEL)
    arm(RIGHT, horn.to_px(-0.3 + 0.02j), horn.scale * (0.8 + 0.4j))


def _keyboard(brush: Brush, pose: Pose) -> None:
    """Draw piano keys from top to bottom; those near the pitch are played."""
    brush.fill(quad(0.12j, 2.18j, 0.42), BLACK)
    for i, y in enumerate(np.linspace(0.23, 2.05, 16) * 1j):
        press = 0.03 * pose.fingers[i % 6] * (abs(i / 15 - pose.pitch) < 0.3)
        brush.fill(quad(y - 0.18 + press, y + 0.18, 0.1), IVORY)
        if i % 7 not in (2, 6):
            brush.fill(quad(y - 0.02 + 0.06j, y + 0.19 + 0.06j, 0.07), BLACK)


@instrument(
    colours=((150, 22, 30), (28, 28, 32), (236, 232, 226), (30, 60, 120), (110, 20, 70), (24, 90, 70)),
    seated=0.75,
    view=(2.9, 4.2),
)
def accordion(body: Brush, pose: Pose, look: Look, arm: Arm) -> None:
    """Accordion: keys on one box, buttons on the other, and bellows that breathe between them."""
    box = body.at(0.2j, 4 * look.tilt + pose.sway, 1.05 * look.size)
    for side in (-1, 1):
        body.line([side * 0.42 - 0.02j, side * 0.5 + 0.7j], 0.13, shade(look.colour, 0.35))
    width = 0.85 + 0.42 * pose.bellows  # of the bellows at their middle
    left, fan = -0.52, 5 + 7 * (1 + pose.bellows)
    far = box.at(left + width + 1.15j, fan)  # the moving box
    top, bottom = box.from_px(far.to_px(-0.92j)), box.from_px(far.to_px(0.92j))
    folds = np.linspace(0, 1, 15)
    inside, cloth = shade(look.colour, 0.45), shade((168, 160, 150), 0.75 + 0.3 * look.variety)
    upper, lower = left + 0.26j + folds * (top - left - 0.26j), left + 2.04j + folds * (bottom - left - 2.04j)
    for i in range(14):
        fold = [upper[i], upper[i + 1], lower[i + 1], lower[i]]
        box.fill(fold, inside if i % 2 else cloth)
    far.solid(quad(0.22 - 0.98j, 0.22 + 0.98j, 0.5), look.colour, bulge=0.5)
    for y in np.linspace(-0.8, 0.8, 9):
        for x in (0.12, 0.24, 0.36):
            far.disc(x + 1j * y, 0.04, IVORY if look.variety < 0.7 else BLACK)
    box.solid(quad(left - 0.22 + 0.18j, left - 0.22 + 2.12j, 0.5), look.colour, bulge=0.5)
    for y in (0.45, 0.8, 1.15, 1.5, 1.85):
        box.line([left - 0.3 + 1j * y, left - 0.06 + 1j * y], 0.07, shade(look.colour, 1.5))
    keys = left - 0.64
    _keyboard(box.at(keys), pose)
    arm(LEFT, far.to_px(0.46 + 0.25j), far.scale * (-1 - 0.3j))
    arm(RIGHT, box.to_px(keys - 0.2 + 0.5j + 1.1j * pose.pitch), box.scale * (1 - 0.1j))


RAINBOW = (
    (214, 54, 48), (236, 130, 40), (240, 206, 60), (92, 174, 74), (60, 150, 190), (64, 84, 170),
    (140, 70, 150),
)  # fmt: skip


def _bar(brush: Brush, centre: complex, length: float, colour: Colour) -> None:
    """Draw a bar that lies flat, seen from the front and above."""
    back, front = centre - 0.5j * length, centre + 0.5j * length
    brush.fill(quad(back + 0.02, front + 0.02 + 0.07j, 0.31), shade(colour, 0.35))
    brush.fill(quad(back, front, 0.28, 0.3), colour)
    brush.fill(quad(back - 0.05, front - 0.05, 0.07), shade(colour, 1.3))


def _stand(brush: Brush, places: np.ndarray, lengths: np.ndarray, metal: Colour) -> None:
    """Draw the legs of a xylophone and a resonator below each bar."""
    for x in (-2.2, 2.2):
        brush.tube([x + 0.3j, 1.02 * x + 2.6j], 0.12, (52, 48, 50))
    brush.tube([-2.2 + 1.9j, 2.2 + 1.9j], 0.09, (52, 48, 50))
    for x, length in zip(places, lengths, strict=True):
        brush.tube([x + 0.2j, x + 0.3j + 0.85j * length], 0.22, metal)


@instrument(
    colours=((128, 62, 34), (158, 84, 44), (92, 46, 32), (186, 118, 66)),
    seated=0.0,
    view=(4.4, 5.2),
    stands=True,
)
def xylophone(body: Brush, pose: Pose, look: Look, arm: Arm) -> None:
    """Xylophone on its stand before the player: bars of graded length, tubes below, two mallets."""
    bars = body.at(2.75j, 1.5 * look.tilt, 0.95 * look.size)
    count, span = 13, 4.7
    places = span * (0.5 - (np.arange(count) + 0.5) / count)  # the lowest at the player's left
    lengths = np.linspace(1.3, 0.65, count)
    rainbow = look.variety > 0.75
    colours = [RAINBOW[i % 7] if rainbow else shade(look.colour, 0.92 + 0.1 * (i * 5 % 3)) for i in range(count)]
    _stand(bars, places, lengths, (150, 150, 158) if look.variety < 0.6 else (188, 156, 84))
    for y in (-0.86, -0.5, -0.06, 0.3):
        bars.line([-span / 2 + 0.5j * y, span / 2 + 1j * y], 0.07, shade(look.colour, 0.5))
    for i, (x, length, colour) in enumerate(zip(places, lengths, colours, strict=True)):
        if i % 7 not in (2, 6):
            _bar(bars, x - span / count / 2 - 0.5j * length, 0.5 * length, colour)
    for x, length, colour in zip(places, lengths, colours, strict=True):
        _bar(bars, x + 0.12j, 0.62 * length, colour)
    for y in (-0.2, 0.16):
        bars.line([-span / 2 + 0.06j + 0.5j * y, span / 2 + 0.06j + 1j * y], 0.03, IVORY)
    for side, x, height in ((LEFT, *pose.mallets[:2]), (RIGHT, *pose.mallets[2:])):
        head = span * (0.46 - 0.92 * x) + 0.16j - 0.75j * height
        hand = 0.42 * head.real + side * 0.55 - 1.0j - 0.35j * height
        bars.line([hand - 0.1 * (head - hand), head], 0.05, (214, 186, 140))
        bars.ball(head, 0.13, shade((190, 50, 60), 0.6 + look.variety))
        arm(side, bars.to_px(hand), bars.scale * (head - hand) / abs(head - hand))
