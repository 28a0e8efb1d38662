"""Combined training as one call: what notebook 03 does step by step, for processes that train together.

Behind ``avsep train RUN``, which notebook 03 starts where there are several GPUs, and which torchrun or SLURM may
start on several hosts.
"""

from pathlib import Path

import pandas as pd
from torch.utils.data import DataLoader

from avsep_lib import backbones, clips, datasets, mixtures, networks, parallel, runs, training
from avsep_lib.runs import Run
from avsep_lib.store import VideoStore


def train(folder: str | Path, changed: dict[str, object] | None = None) -> Path:
    """Train the separator of a run that notebook 03 has begun, with all processes; goes on where it was killed.

    Parameters
    ----------
    folder : str or Path
        Of the run, such as ``results/server/03_seed0``. Its ``settings.json`` says everything; where notebook 03 has
        not begun it, it is begun with the settings of notebook 02.
    changed : dict, optional
        Settings that differ from it: ``devices`` and ``nodes``.

    Returns
    -------
    Path
        The separator's file.

    Raises
    ------
    StudyError
        If this is no run, or notebook 02 has not finished with the same settings.

    Notes
    -----
    Everything is built in main memory; each process then moves to its own GPU.
    """
    folder = Path(folder).expanduser().resolve()
    before = folder.with_name(folder.name.replace("03_", "02_", 1))
    if not (folder / "settings.json").is_file() and runs.read_state(before).get("finished"):
        runs.begin("03", runs.reopen(before).settings)
    run = runs.reopen(folder, **(changed or {}))
    run.settings = backbones.with_available_backbone(run.settings)
    runs.seed_everything(run.settings.seed)
    separator, train_batches, validation_batches = prepare(run)
    training.fit_separator(separator, train_batches, validation_batches, run, together=True)
    path = run.checkpoint("separator.pt")
    if parallel.is_first():
        networks.save_separator(separator, path)
    return path


def prepare(run: Run) -> tuple[networks.Separator, DataLoader, DataLoader]:
    """A separator that starts from the frame net of notebook 02, with batches to train and to validate it on."""
    settings = run.settings
    runs.finished(settings, "02")
    index = datasets.open_dataset(settings, runs.Progress())
    classifier, instruments = networks.load_frame_classifier(run.checkpoint("frame_net.pt"))
    separator = networks.Separator(settings, instruments)
    separator.start_from(classifier)
    backbone = classifier.frame_net.backbone
    solos = {split: clips.choose(index, split, "solo") for split in ("train", "validation")}
    kept = VideoStore(pd.concat(solos.values()), settings)
    kept.prepare(backbone, runs.Progress())
    mixers = {split: mixtures.Mixer(kept.usable(rows), kept, settings) for split, rows in solos.items()}
    listed = mixtures.fixed_list(
        mixers["validation"], settings.validation_mixtures, settings.n_sources, seed=settings.seed
    )
    train_batches = mixtures.training_loader(mixers["train"], backbone.frozen)
    return separator, train_batches, mixtures.listed_loader(listed, kept, backbone.frozen, instruments)
