"""Made-up data for the benchmarks: long solos as Sound of Pixels keeps them, an MP3 file and a folder of JPEGs each."""

from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

RATE_HZ = 11_025
FPS = 8


def solos(folder: Path, count: int, seconds: int, height_px: int = 256, width_px: int = 455) -> Path:
    """Write solos of as many instruments and the list of them, rows of sound, frames and number of frames."""
    rows = []
    for number in range(count):
        sound = folder / "audio" / f"instrument{number}" / f"solo{number}.mp3"
        frames = folder / "frames" / f"instrument{number}" / f"solo{number}.mp4"
        sound.parent.mkdir(parents=True)
        frames.mkdir(parents=True)
        soundfile.write(sound, tune(number, seconds), RATE_HZ, format="MP3")
        for index in range(seconds * FPS):
            picture(number, index, height_px, width_px).save(frames / f"{index + 1:06d}.jpg", quality=90)
        rows.append(f"{sound},{frames},{seconds * FPS}")
    (folder / "train.csv").write_text("\n".join(rows) + "\n")
    return folder / "train.csv"


def tune(seed: int, seconds: float) -> np.ndarray:
    """Notes with overtones and a little noise, float32 (L,)."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    note = (time_s * 3).astype(int)
    pitch_hz = rng.uniform(110, 880, note.max() + 1)[note]
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    fade = np.exp(-4 * (time_s * 3 % 1))
    wave = sum(np.sin(k * phase) / k for k in range(1, 7)) * fade + 0.01 * rng.standard_normal(len(time_s))
    return (0.2 * wave).astype(np.float32)


def picture(seed: int, index: int, height_px: int, width_px: int) -> Image.Image:
    """A smooth picture with some grain, as hard to compress as a frame of a video."""
    rng = np.random.default_rng([seed, index])
    coarse = rng.integers(0, 256, (9, 16, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width_px, height_px), Image.Resampling.BICUBIC), np.int16)
    return Image.fromarray((smooth + rng.integers(-8, 9, smooth.shape)).clip(0, 255).astype(np.uint8))
