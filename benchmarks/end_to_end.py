"""How fast training goes from files to weights: ours against loading and training as the released code does, same data.

The reference reads whole MP3 files and JPEGs in two worker processes and takes plain float32 steps. Ours is
``training.fit``, with checkpoints and validation as in the study, once with the published ResNet-18 on kept JPEGs and
once with the default, the frozen backbone whose features are cached.
"""

import contextlib
import dataclasses
import io
import os
import tempfile
import time
from pathlib import Path

import made_up
import measure
import numpy as np
import pandas as pd
import torch
from loader import AsReleased
from torch.utils.data import DataLoader
from training_step import paper, plain_loss, plain_optimizer, separator_of

from avsep_lib import clips, mixtures, runs, training
from avsep_lib.backbones import Backbone
from avsep_lib.settings import Settings
from avsep_lib.store import VideoStore

ABOUT = "Mixtures trained in a second, from files to weights: paper configuration, batches of 2 mixtures of 2 solos."
ROWS = {"as released": "plain", "ours, ResNet-18": "resnet18", "ours, default backbone": "efficientnet_lite0"}


def plain(settings: Settings, listed: Path, steps: int) -> float:
    """Mixtures a second of a loop in the style of the released code; the first two steps are not counted."""
    rows = clips.read_sound_of_pixels_index(listed, "train").to_dict("records")
    separator = separator_of(settings)
    optimizer = plain_optimizer(separator, settings)
    batches = iter(DataLoader(AsReleased(rows, settings), settings.batch_size, num_workers=2))
    for step in range(steps + 2):
        if step == 2:
            began = time.perf_counter()
        loss = plain_loss(separator, next(batches))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return steps * settings.batch_size / (time.perf_counter() - began)


def ours(settings: Settings, listed: Path, steps: int) -> float:
    """Mixtures a second of ``training.fit``: its second epoch, validation and saved state included."""
    settings = dataclasses.replace(settings, mixtures_per_epoch=steps * settings.batch_size, epochs=2)
    index = clips.read_sound_of_pixels_index(listed, "train")
    kept = VideoStore(index, settings)
    kept.prepare(Backbone(settings.backbone, pretrained=False).eval())
    separator = separator_of(settings)
    cached = separator.frame_net.backbone.frozen
    mixer = mixtures.Mixer(index, kept, settings)
    validation = mixtures.listed_loader(mixtures.fixed_list(mixer, 2, 2), kept, cached)
    ends, save = [], training.Last.on_train_epoch_end

    def timed(last, trainer, task):
        save(last, trainer, task)
        ends.append(time.perf_counter())

    training.Last.on_train_epoch_end = timed  # the last thing that happens in an epoch
    with contextlib.redirect_stdout(io.StringIO()):
        training.fit_separator(
            separator, mixtures.training_loader(mixer, cached), validation, runs.begin("03", settings)
        )
    return settings.mixtures_per_epoch / (ends[1] - ends[0])


def row(how: str, quick: bool, listed: Path, folder: Path, steps: int) -> float:
    """Mixtures a second of one row, in this process."""
    settings = paper(
        quick, "resnet18" if how == "plain" else how, data_root=str(folder), out=tempfile.mkdtemp(dir=folder)
    )
    return (plain if how == "plain" else ours)(dataclasses.replace(settings, device="cpu"), listed, steps)


def main() -> None:
    """Measure and report."""
    options = measure.arguments("end_to_end", ABOUT)
    minutes, steps, turns = (0.25, 2, 1) if options.quick else (3, 12, 3)
    found: dict[str, list] = {name: [] for name in ROWS}
    with tempfile.TemporaryDirectory() as folder:
        listed = made_up.solos(Path(folder), 4, int(60 * minutes))
        for _ in range(turns):
            for name, how in ROWS.items():
                found[name].append(measure.in_own_process(row, how, options.quick, listed, Path(folder), steps))
    rows = {
        name: {"mixtures a second": np.median([rate for rate, _ in all_]), "peak MiB": max(peak for _, peak in all_)}
        for name, all_ in found.items()
    }
    table = pd.DataFrame(rows).T
    table["times faster"] = table["mixtures a second"] / table["mixtures a second"].iloc[0]
    measure.report(options, table, tracks=f"4 solos of {minutes} minutes", batch=2, cores=len(os.sched_getaffinity(0)))


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
