"""A made-up folder of real clips, and a separator that knows its tracks."""

import numpy as np
import pandas as pd
import soundfile
from PIL import Image

from avsep_lib import media

RATE_HZ = 11_025
INSTRUMENTS = ["cello", "drum", "electric_bass", "flute"]
SOLOS = {"cello-1": 0.1, "cello-2": 0.1, "drum-1": 0.0, "flute-1": 0.05}  # how loud; a drum that is silent
PAIRS = ("cello-1+cello-2", "cello-1+drum-1", "cello-1+flute-1")
TRIO = {"electric_bass": 0.05, "unknown": 0.1, "flute": 0.05}


def fill(folder):
    """Solos and pairs of white noise, a mixture of three tracks, and a yardstick for two of the pairs."""
    sounds = {}
    for number, (name, loud) in enumerate(SOLOS.items()):
        sounds[name] = write(folder / "music_solo" / name / "audio.flac", noise(number, loud))
        for picture in range(2):
            paint(folder / "music_solo" / name / f"frame_{picture}.png", name.split("-")[0], number)
    for pair in PAIRS:
        write(folder / "music_pairs" / pair / "mix.flac", sum(sounds[name] for name in pair.split("+")) / 2)
    tracks = []
    for number, (name, loud) in enumerate(TRIO.items(), start=1):
        track = write(folder / "fcsn" / f"trio_audio{number}_groundtruth.flac", noise(10 + number, loud))
        tracks.append(track)
        paint(folder / "fcsn" / f"trio_Object_detection_{number}.png", name, 10 + number)
    write(folder / "fcsn" / "trio_audio_mixture.flac", sum(tracks) / 3)
    rows = [["fcsn/trio_Object_detection_1.png", "bass guitar"], ["fcsn/trio_Object_detection_3.png", "flute"]]
    pd.DataFrame(rows, columns=["path", "instruments"]).to_csv(folder / "manifest.csv", index=False)
    yardstick(folder, {"cello-1+flute-1": (8.0, 14.0, 12.0, 0.0), "cello-1+cello-2": (1.0, 2.0, 9.0, 0.0)})
    return folder


def yardstick(folder, scores):
    """SDR, SIR and SAR of others by pair, and the SDR of the mixture itself."""
    table = pd.DataFrame.from_dict(scores, "index", columns=["sop_sdr", "sop_sir", "sop_sar", "mixture_sdr"])
    table.rename_axis("pair").to_csv(folder / "yardstick.csv")


def noise(seed, loud):
    return loud * np.random.default_rng(seed).normal(size=RATE_HZ)


def write(path, sound):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, RATE_HZ)
    return sound


def paint(path, instrument, number):
    """A picture of one colour: red says the instrument, green the player."""
    place = INSTRUMENTS.index(instrument) if instrument in INSTRUMENTS else 0
    Image.fromarray(np.full((4, 6, 3), (place, number, 0), np.uint8)).save(path)


class Knowing:
    """Sees what the colours say, and gives each player the sound that the folder has of them: a perfect separator."""

    instruments, sample_rate_hz = INSTRUMENTS, RATE_HZ

    def __init__(self, folder):
        solos = [folder / "music_solo" / name / "audio.flac" for name in SOLOS]
        tracks = [folder / "fcsn" / f"trio_audio{number}_groundtruth.flac" for number in (1, 2, 3)]
        paths = dict(enumerate(solos)) | {11 + n: path for n, path in enumerate(tracks)}
        self.sounds = {number: media.read_audio(path, RATE_HZ) for number, path in paths.items()}
        self.asked = []

    def named(self, frames):
        return np.stack([np.eye(len(INSTRUMENTS))[pictures[0, 0, 0, 0]] for pictures in frames])

    def separate(self, mixture, frames):
        return np.stack([self.sounds[pictures[0, 0, 0, 1]] for pictures in frames]) / np.float32(len(frames))

    def separate_named(self, mixture, names):
        self.asked.append(tuple(names))
        return np.repeat(mixture[None], len(names), axis=0)  # does nothing
