"""A duet that a browser can be asked about: a low tone on the left, a high one on the right."""

import numpy as np
from made_duets import made_maps

from avsep_lib import media
from avsep_lib.duets import Separation
from avsep_lib.watching import Player

LOW_HZ, HIGH_HZ = 440, 1320


def tone_duet(folder, seconds=60.0, fps=4, rate_hz=22_050):
    """A separation of a cello that plays 440 Hz and a flute that plays 1,320 Hz; tracks and video lie in a folder."""
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 0.4 * time)
    tones = [(0.4 * swell * np.sin(2 * np.pi * hz * time)).astype(np.float32) for hz in (LOW_HZ, HIGH_HZ)]
    names = ("cello", "flute")
    tracks = [folder / f"{n}_{name}.wav" for n, name in enumerate(names, start=1)]
    for track, tone in zip(tracks, tones, strict=True):
        media.write_audio(track, tone, rate_hz)
    pictures = (_picture(i / fps) for i in range(int(seconds * fps)))
    video = folder / "tones.mp4"
    media.write_video(video, pictures, fps, sum(tones), rate_hz)
    halves = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
    seen = (0.1, 0.2, 0.4, 0.9), (0.6, 0.2, 0.9, 0.9)
    players = [
        Player(name, sure, part, box) for name, sure, part, box in zip(names, (0.93, 0.81), halves, seen, strict=True)
    ]
    owners = np.repeat([[[0.9, 0.8, 0.1, 0.2]], [[0.1, 0.2, 0.9, 0.8]]], 3, axis=1).astype(np.float32)
    maps = made_maps(np.ones((3, 4), np.float32), owners)
    return Separation(video, players, tracks, len(time), maps, _picture(1.0), rate_hz)


def _picture(time_s):
    """Two round players who sway, (180, 320, 3)."""
    rows, columns = np.mgrid[:180, :320]
    picture = np.empty((180, 320, 3), np.uint8)
    picture[:] = np.array([44, 52, 64]) + (rows[..., None] / 6).astype(np.uint8)
    for n, colour in enumerate([(17, 150, 90), (221, 170, 51)]):
        middle = 80 + 160 * n + 12 * np.sin(2 * time_s + n)
        picture[(rows - 100) ** 2 + (columns - middle) ** 2 < 48**2] = colour
    return picture
