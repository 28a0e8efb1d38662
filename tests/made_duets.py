"""Duets by hand, for the tests of all that comes of them."""

import numpy as np

from avsep_lib import media
from avsep_lib.duets import Separation, track_paths
from avsep_lib.sound_maps import SoundMaps
from avsep_lib.watching import Player

RATE_HZ = 11_025


def strip(instrument, confidence, left, right):
    """A player who has the whole height."""
    return Player(instrument, confidence, (left, 0.0, right, 1.0), (left, 0.0, right, 1.0))


def wave(seconds=2.0, level=0.3):
    return level * np.sin(np.arange(int(seconds * RATE_HZ)) / 7).astype(np.float32)


def made_maps(energy, owners):
    """Maps of a sound that does not change; each place is in the cluster of its owner."""
    return SoundMaps(energy, owners, owners.argmax(0), energy[None], np.array([0.5]), owners * energy)


def made_separation(path, players, energy=None, owners=None):
    """A separation whose tracks lie beside the video."""
    count = len(players)
    tracks = track_paths(players, path.with_suffix(""))
    for n, track in enumerate(tracks):
        media.write_audio(track, wave(level=0.1 * (n + 1)), RATE_HZ)
    shape = (2, 4)
    energy = np.ones(shape, np.float32) if energy is None else energy
    owners = np.full((count, *shape), 1 / count, np.float32) if owners is None else owners
    frame = np.zeros((64, 128, 3), np.uint8)
    return Separation(path, players, tracks, len(wave()), made_maps(energy, owners), frame, RATE_HZ)
