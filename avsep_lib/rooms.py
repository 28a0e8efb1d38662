"""The room behind the players: a wall of some kind, a floor, and the light that falls on them.

Every choice is drawn from a generator before the players are, so that the room cannot tell the instrument. Used by
``drawings``.
"""

import colorsys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from avsep_lib.instrument_shapes import Colour, shade


def blend(a: Colour, b: Colour, weight: float) -> Colour:
    """Mix two colours; weight 0 is all ``a``."""
    return tuple(int(x + (y - x) * weight) for x, y in zip(a, b, strict=True))


def any_colour(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
    """Draw a colour of any hue."""
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    return tuple(int(255 * c) for c in rgb)


def _clouds(rng: np.random.Generator, height: int, width: int, cells: int) -> np.ndarray:
    """Smooth noise between 0 and 1, shape (height, width)."""
    field = Image.fromarray(rng.integers(0, 256, (cells, cells), dtype=np.uint8))
    return np.asarray(field.resize((width, height), Image.Resampling.BICUBIC)) / 255.0


def _wall(draw: ImageDraw.ImageDraw, w: int, h: int, paint: Colour, rng: np.random.Generator) -> None:
    """A plain wall, some with a picture or two."""
    for _ in range(rng.integers(0, 3)):
        x, y = rng.uniform(0, w), rng.uniform(0, 0.4 * h)
        a, b = rng.uniform(0.1, 0.22) * w, rng.uniform(0.15, 0.35) * h
        draw.rectangle((x, y, x + a, y + b), fill=any_colour(rng, (0, 0.5), (0.1, 0.9)))
        draw.rectangle((x + 7, y + 7, x + a - 7, y + b - 7), fill=any_colour(rng, (0.1, 0.7), (0.3, 0.9)))


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
                draw.rectangle(book, fill=any_colour(rng, (0.1, 0.6), (0.2, 0.8)))
            x += thick + 1.5
        draw.rectangle((0, y + shelf - 2, w, y + shelf + 9), fill=wood)


def _window(draw: ImageDraw.ImageDraw, w: int, h: int, paint: Colour, rng: np.random.Generator) -> None:
    """A window onto sky and bushes."""
    sky = any_colour(rng, (0.05, 0.3), (0.8, 1.0))
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
    board, wood = rng.uniform(34, 90), blend(paint, (150, 100, 60), 0.75)
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


def backdrop(w: int, h: int, rng: np.random.Generator) -> Image.Image:
    """Paint a room on a canvas of w by h pixels: a wall of some kind, a floor, and their uneven light."""
    paint = any_colour(rng, (0.03, 0.45), (0.35, 0.95))
    image = Image.new("RGB", (w, h), paint)
    draw = ImageDraw.Draw(image)
    BACKDROPS[rng.integers(len(BACKDROPS))](draw, w, h, paint, rng)
    floor, edge = blend(paint, any_colour(rng, (0.1, 0.5), (0.2, 0.6)), 0.8), rng.uniform(0.78, 1.0) * h
    draw.rectangle((0, edge, w, h), fill=floor)
    draw.rectangle((0, edge - 8, w, edge), fill=shade(floor, rng.choice((0.5, 1.5))))
    for x in np.linspace(-1.5 * w, 2.5 * w, 24):
        draw.line((w / 2 + (x - w / 2) * 0.4, edge, x, h), fill=shade(floor, 0.8), width=2)
    image = image.reduce(2).filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 3.5))).resize((w, h))
    light = 0.75 + 0.4 * _clouds(rng, h, w, 4) + 0.06 * (_clouds(rng, h, w, 90) - 0.5)
    return Image.fromarray(np.clip(np.asarray(image) * light[..., None], 0, 255).astype(np.uint8))


def lighting(height: int, width: int, towards: complex, rng: np.random.Generator) -> np.ndarray:
    """Gain of every pixel, shape (height, width, 3): a slope, a vignette and a tint."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    slope = 1 + rng.uniform(0.05, 0.3) * (x * towards.real + y * towards.imag)
    vignette = 1 - rng.uniform(0.05, 0.4) * (x**2 + y**2) / 2
    warmth = rng.normal(0, 0.07)
    tint = np.array([1 + warmth, 1.0, 1 - warmth]) * rng.uniform(0.92, 1.14)
    return ((slope * vignette)[..., None] * tint).astype(np.float32)
