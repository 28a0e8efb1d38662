"""How fast training mixtures are read: ours against loading as the released Sound of Pixels does it.

The reference decodes a whole MP3 file for each sound of each mixture, opens three JPEG files of it and brings them to
size, and computes every STFT by itself, in two worker processes. Ours reads windows of memory-mapped files that were
prepared once; the STFT of the whole batch is computed by the training step, and is counted where it says so.
"""

import dataclasses
import itertools
import tempfile
import time
from pathlib import Path

import librosa
import made_up
import measure
import numpy as np
import pandas as pd
import soundfile
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from avsep_lib import clips, mixtures, training
from avsep_lib.backbones import Backbone
from avsep_lib.settings import from_parameters
from avsep_lib.store import VideoStore

ABOUT = "Mixtures read in a second, ready for the nets: paper configuration, two solos of minutes, 3 pictures each."


class AsReleased(Dataset):
    """Mixtures loaded in the style of the released code."""

    def __init__(self, rows, settings):
        self.rows, self.settings = rows, settings
        self.look = transforms.Compose(
            [
                transforms.Resize(int(1.1 * settings.frame_size_px), transforms.InterpolationMode.BICUBIC),
                transforms.RandomCrop(settings.frame_size_px),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    def __len__(self):
        return 1_000_000

    def __getitem__(self, number):
        rng = np.random.default_rng(number)
        chosen = [self.rows[i] for i in rng.choice(len(self.rows), 2, replace=False)]
        clips_of = [self.clip(row, rng) for row in chosen]
        sounds = [sound / 2 for sound, _ in clips_of]
        spectra = [self.stft(sound) for sound in (*sounds, sum(sounds))]
        return {"pictures": torch.stack([seen for _, seen in clips_of]), "magnitudes": np.stack(spectra)}

    def clip(self, row, rng):
        settings = self.settings
        sound, rate = soundfile.read(row["path"], dtype="float32")  # the whole file, whatever is needed of it
        start = rng.integers(len(sound) - settings.clip_samples)
        window = np.clip(sound[start : start + settings.clip_samples] * rng.uniform(0.5, 1.5), -1, 1)
        middle = int((start + settings.clip_samples / 2) / rate * settings.fps)
        numbers = np.clip(middle + np.array([-1, 0, 1]) * settings.frame_spacing, 0, row["n_frames"] - 1)
        files = [Path(row["frames_path"]) / f"{number + 1:06d}.jpg" for number in numbers]
        return window, torch.stack([self.look(Image.open(file).convert("RGB")) for file in files])

    def stft(self, sound):
        return np.abs(librosa.stft(sound, n_fft=self.settings.n_fft, hop_length=self.settings.hop)).astype(np.float32)


def per_second(batches, batch_size: int, seconds: float, then=None) -> float:
    """Mixtures a second, after a first batch that is not counted."""
    batches = iter(batches)
    next(batches)
    began, count = time.perf_counter(), 0
    for batch in batches:
        if then:
            then(batch)
        count += batch_size
        if time.perf_counter() - began > seconds:
            break
    return count / (time.perf_counter() - began)


def main() -> None:
    """Measure and report."""
    options = measure.arguments("loader", ABOUT)
    minutes, seconds, turns = (3, 6.0, 3) if not options.quick else (0.25, 0.3, 1)
    with tempfile.TemporaryDirectory() as folder:
        listed = made_up.solos(Path(folder), 4, int(60 * minutes))
        index = clips.read_sound_of_pixels_index(listed, "train")
        settings = from_parameters(
            "published", batch_size=16, workers=0, data_root=folder, mixtures_per_epoch=1_000_000
        )
        kept = VideoStore(index, settings)
        kept.prepare(Backbone("resnet18", pretrained=False))
        kept.prepare(Backbone("efficientnet_lite0", pretrained=False).eval())
        loaders = {
            "as released, two workers": DataLoader(AsReleased(index.to_dict("records"), settings), 16, num_workers=2)
        }
        for (what, cached), workers in itertools.product({"JPEGs": False, "cached features": True}.items(), (0, 2)):
            mixer = mixtures.Mixer(index, kept, settings)
            mixer.settings = dataclasses.replace(settings, workers=workers)
            loaders[f"{what}, {'two workers' if workers else 'one process'}"] = mixtures.training_loader(mixer, cached)
        rates = {}
        for _, (name, loader) in itertools.product(range(turns), loaders.items()):
            rates.setdefault(name, []).append(per_second(loader, 16, seconds))
            if "released" not in name:
                heard = per_second(
                    loader, 16, seconds, lambda batch: training.mix(batch["sources"], settings, gains=batch["gains"])
                )
                rates.setdefault(f"{name}, with STFT", []).append(heard)
    table = pd.DataFrame({name: {"mixtures a second": float(np.median(rate))} for name, rate in rates.items()}).T
    table["times faster"] = table["mixtures a second"] / table["mixtures a second"].iloc[0]
    measure.report(options, table, tracks=f"4 solos of {minutes} minutes", batch=16, turns=turns)


if __name__ == "__main__":
    main()
