"""How long one training step takes: ours against a plain one in the style of the released Sound of Pixels, same nets.

The plain step computes in float32 in the default order of memory, warps with ``grid_sample``, calls the frame net once
for each source, makes all K channels of sound and then their inner product, and lets SGD go from tensor to tensor. Its
spectra come ready from the loader; ours computes them within the step. Each row runs in a process of its own, so that
its peak memory is its own.
"""

import copy
import os
import time

import measure
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from avsep_lib import spectra, training
from avsep_lib.networks import Separator
from avsep_lib.settings import Settings, from_parameters

ABOUT = (
    "Seconds of a training step, paper configuration: 256 x 256 bins, 2 mixtures of 2 sources, 3 pictures at 224 px."
)
PLAIN = "plain: float32"
ROWS = {
    PLAIN: {"plain": True},
    "ours, float32": {"precision": "float32"},
    "ours, bfloat16": {"precision": "bfloat16"},
    "ours, bfloat16, cached features": {"precision": "bfloat16", "backbone": "efficientnet_lite0"},
}


def paper(quick: bool, backbone: str = "resnet18", **changes: object) -> Settings:
    """Settings of the published networks, or of small ones."""
    small = {"audio_base_channels": 8, "audio_levels": 4, "channels": 8, "log_bins": 64, "clip_samples": 16_383,
             "frame_size_px": 64} if quick else {}  # fmt: skip
    given = {"backbone": backbone, "pretrained": False, "batch_size": 2, "workers": 0, **small, **changes}
    return from_parameters("published", **given)


def separator_of(settings: Settings) -> Separator:
    """A fresh separator ready to be trained, its classifier out of the way."""
    torch.manual_seed(0)
    separator = Separator(settings, ["flute", "tuba"])
    if not separator.frame_net.backbone.frozen:
        separator.classifier.frame_net.backbone = copy.deepcopy(separator.frame_net.backbone)
    separator.classifier.requires_grad_(False)
    return separator.train()


def batch_of(settings: Settings, cached: bool) -> dict[str, torch.Tensor]:
    """A batch as the loader gives it."""
    rng = np.random.default_rng(0)
    batch, sources, pictures = settings.batch_size, settings.n_sources, settings.frames_per_clip
    sounds = 0.1 * rng.standard_normal((batch, sources, settings.clip_samples), np.float32)
    size = settings.frame_size_px
    if cached:
        seen = rng.standard_normal((batch, sources, pictures, 1280, size // 32, size // 32), np.float32).astype(
            np.float16
        )
    else:
        seen = rng.integers(0, 256, (batch, sources, pictures, size, size, 3), dtype=np.uint8)
    gains = np.ones((batch, sources), np.float32)
    return {"sources": torch.from_numpy(sounds), "seen": torch.from_numpy(seen), "gains": torch.from_numpy(gains)}


def as_released(batch: dict[str, torch.Tensor], settings: Settings) -> dict[str, torch.Tensor]:
    """The same batch as the released loader gives it: normalised pictures, and magnitudes of sources and mixture."""
    pictures = batch["seen"].permute(0, 1, 2, 5, 3, 4) / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    spec = spectra.stft(batch["sources"] / settings.n_sources, settings.n_fft, settings.hop)
    every = torch.cat([spec, spec.sum(1, keepdim=True)], 1).abs()
    return {"pictures": (pictures - mean.view(3, 1, 1)) / std.view(3, 1, 1), "magnitudes": every}


def plain_loss(separator: Separator, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Loss of a batch of :func:`as_released`, computed plainly."""
    settings, frame_net = separator.settings, separator.frame_net
    every, pictures = batch["magnitudes"], batch["pictures"]
    rows = torch.linspace(-1, 1, settings.log_bins)
    places = torch.stack(
        torch.broadcast_tensors(
            torch.linspace(-1, 1, every.shape[-1])[None], ((21 ** ((rows + 1) / 2) - 11) / 10)[:, None]
        ),
        dim=-1,
    )
    every = F.grid_sample(every, places.expand(len(every), -1, -1, -1), align_corners=True)
    mixture, targets = every[:, -1:], (every[:, :-1] > 0.5 * every[:, -1:]).float()
    weight = mixture.log1p().clamp(1e-3, 10)
    queries = []
    for n in range(settings.n_sources):
        maps = frame_net.head(frame_net.backbone.body(pictures[:, n].flatten(0, 1)))
        queries.append(maps.unflatten(0, pictures.shape[:1] + pictures.shape[2:3]).amax((1, 3, 4)).sigmoid())
    sound = separator.audio_net((mixture[:, 0] + 1e-10).log())
    losses = []
    for n, query in enumerate(queries):
        mask = separator.synthesizer(query[:, None], sound)[:, 0].sigmoid()
        losses.append(F.binary_cross_entropy(mask, targets[:, n], weight[:, 0]))
    return torch.stack(losses).mean()


def plain_optimizer(separator: Separator, settings: Settings) -> torch.optim.Optimizer:
    """SGD as it is by default in the year of the released code: tensor by tensor."""
    learning = [p for p in separator.parameters() if p.requires_grad]
    return torch.optim.SGD(learning, settings.learning_rate, momentum=0.9, weight_decay=1e-4, foreach=False)


def row(options: dict, quick: bool, seconds: float, batch_size: int = 2) -> float:
    """Median seconds of a step of one row, in this process; at least two steps, the first of which is not timed."""
    plain, precision = options.get("plain", False), options.get("precision", "float32")
    settings = paper(quick, options.get("backbone", "resnet18"), batch_size=batch_size)
    separator = separator_of(settings)
    batch = batch_of(settings, separator.frame_net.backbone.frozen)
    if plain:
        batch, optimizer = as_released(batch, settings), plain_optimizer(separator, settings)
    else:
        separator = separator.to(memory_format=torch.channels_last)
        optimizer = training.SeparationTask(separator).configure_optimizers()["optimizer"]
    taken: list[float] = []
    while len(taken) < 2 or sum(taken) < seconds:
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = plain_loss(separator, batch) if plain else training.separation_loss(separator, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken[1:]))


def main() -> None:
    """Measure and report."""
    options = measure.arguments("training_step", ABOUT)
    turns, seconds = (1, 0.0) if options.quick else (3, 15.0)
    found: dict[str, list] = {}
    for _ in range(turns):
        for name, how in ROWS.items():
            found.setdefault(name, []).append(measure.in_own_process(row, how, options.quick, seconds))
    rows = {
        name: {"seconds": np.median([taken for taken, _ in runs]), "peak MiB": max(peak for _, peak in runs)}
        for name, runs in found.items()
    }
    table = measure.with_ratios(pd.DataFrame(rows).T)
    measure.report(options, table, mixtures=2, cores=len(os.sched_getaffinity(0)), turns=turns)


if __name__ == "__main__":
    main()
