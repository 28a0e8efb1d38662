"""The rivals of our separator: each trained for the time that ours took, their histories, and what they cost.

Used by notebook 04 and ``avsep compare``.
"""

import dataclasses
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import lightning as L
import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from avsep_lib import checkpoints, combined, networks, recipes, runs, semantic, training
from avsep_lib.networks import Separator
from avsep_lib.recipes import Recipe
from avsep_lib.runs import Run
from avsep_lib.settings import Settings, StudyError

_WARM_UP, _TIMED_STEPS = 2, 8  # steps that are left out, and of which the quickest says what a step costs


def train_rivals(settings: Settings, names: Sequence[str]) -> list[Run]:
    """Train what ours is compared with, each for the time that ours took; what is trained is not trained again.

    Parameters
    ----------
    settings : Settings
        Of a study whose notebook 03 has finished.
    names : sequence of str
        Of recipes, see ``recipes.RECIPES``.

    Returns
    -------
    list of Run
        Finished, each with ``history.csv`` and ``clock.csv`` in its folder and ``<name>.pt`` among the checkpoints.

    Raises
    ------
    StudyError
        If a name is no recipe, or notebook 03 has not finished, or trained for another time than these settings say.
    """
    asked = [recipes.find(name) for name in names]
    _check_ours(runs.reopen(runs.finished(settings, "03")), settings)
    return [_train(recipe, settings) for recipe in asked]


def trained(settings: Settings) -> list[Recipe]:
    """Recipes that have been trained with these settings, in the order of the tables."""
    return [recipe for recipe in recipes.RECIPES.values() if _is_trained(_run(recipe, settings), recipe)]


def _check_ours(ours: Run, settings: Settings) -> None:
    """Refuse settings with which the time of ours would be another than it was."""
    for name in ("epochs", "mixtures_per_epoch", "batch_size"):
        was, now = getattr(ours.settings, name), getattr(settings, name)
        if was != now:
            raise StudyError(f"{ours.folder}: was trained with {name} = {was}, not {now}; give --set {name}={was}")


def _run(recipe: Recipe, settings: Settings) -> Run:
    """The run of a recipe, with the number of mixtures that ours has."""
    return Run(recipe.settings(settings), f"{recipe.name}_seed{settings.seed}", runs.choose_device(settings.device))


def _is_trained(run: Run, recipe: Recipe) -> bool:
    """Whether the run has finished and its net is there: results travel with the project, checkpoints do not."""
    return bool(runs.read_state(run.folder).get("finished")) and run.checkpoint(f"{recipe.name}.pt").is_file()


def _train(recipe: Recipe, settings: Settings) -> Run:
    run = _run(recipe, settings)
    if _is_trained(run, recipe):
        return run
    last = run.checkpoint(f"{recipe.name}_last.ckpt")
    if last.is_file():  # it goes on with the number that it began with
        count = checkpoints.load_checked(last, ("settings",))["settings"]["mixtures_per_epoch"]
    else:
        count = _affordable(run, recipe, settings)
    run = runs.begin(recipe.name, dataclasses.replace(run.settings, mixtures_per_epoch=count))
    task, train, validation = _prepare(run, recipe)
    print(f"{recipe.title}: {run.settings.epochs} epochs of {run.settings.mixtures_per_epoch} mixtures", flush=True)
    training.fit(task, train, validation, run, run.settings.epochs, recipe.name)
    path = run.checkpoint(f"{recipe.name}.pt")
    task.net.eval()
    if recipe.part == "thesis":
        semantic.save_semantic(task.net, path)
    else:
        networks.save_separator(task.net, path)
    run.finish(weights=path, history=run.folder / "history.csv", clock=run.folder / "clock.csv")
    return run


def _prepare(run: Run, recipe: Recipe) -> tuple[L.LightningModule, DataLoader, DataLoader]:
    """What trains the net of a recipe, with batches to train and to validate it on."""
    separator, train, validation = combined.prepare(run)
    if recipe.part == "thesis":
        return semantic.SemanticTask(semantic.SemanticNet(run.settings, separator.instruments)), train, validation
    return training.SeparationTask(separator), train, validation


def _affordable(run: Run, recipe: Recipe, settings: Settings) -> int:
    """Mixtures of an epoch that take the time of ours.

    Steps of both are taken in turn and the quickest of each are compared, so that whatever else the machine does counts
    for neither.
    """
    both = _timed_steps(run, recipe), _timed_steps(dataclasses.replace(run, settings=settings), recipes.OURS)
    seconds = np.array([[next(steps) for steps in both] for _ in range(_WARM_UP + _TIMED_STEPS)])
    theirs_s, ours_s = seconds[_WARM_UP:].min(0)
    return max(1, round(settings.mixtures_per_epoch / settings.batch_size * ours_s / theirs_s)) * settings.batch_size


def _timed_steps(run: Run, recipe: Recipe) -> Iterator[float]:
    """Train a net that is thrown away, and say how many seconds each step took, loading included."""
    task, train, _ = _prepare(run, recipe)
    device, half = torch.device(run.device), training.precision(run) == "bfloat16"
    task.to(device, memory_format=torch.channels_last).train()
    optimizer, clock = task.configure_optimizers()["optimizer"], time.perf_counter()
    for number, batch in enumerate(itertools.chain.from_iterable(itertools.repeat(train))):
        batch = {name: values.to(device) for name, values in batch.items()}
        with torch.autocast(run.device, torch.bfloat16, enabled=half):
            loss = task.training_step(batch, number)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # waits for the device
        yield time.perf_counter() - clock
        clock = time.perf_counter()


def histories(settings: Settings, rivals: Sequence[Recipe]) -> dict[str, pd.DataFrame]:
    """``history.csv`` of each training with its ``seconds``, by title; ours, ``separator``, stands last."""
    folders = {recipe.title: _run(recipe, settings).folder for recipe in rivals}
    folders[recipes.OURS.title] = runs.finished(settings, "03")
    return {title: _history(folder) for title, folder in folders.items()}


def _history(folder: Path) -> pd.DataFrame:
    """``history.csv`` of a run with the ``seconds`` of its ``clock.csv``."""
    clock = folder / "clock.csv"
    if not clock.is_file():
        raise StudyError(
            f"{clock}: is missing; delete the checkpoints of this run and train it again, to have its times"
        )
    return pd.read_csv(folder / "history.csv").merge(pd.read_csv(clock), on="epoch")


def costs(run: Run, rivals: Sequence[Recipe]) -> pd.DataFrame:
    """What each trained method took: minutes and mixtures of training, parameters and work of its audio net.

    The work is that of one clip and two sources, in billions of multiplications and additions (GFLOP). All look with
    the same eye.
    """
    rows = {}
    times = histories(run.settings, rivals)
    for recipe in [*rivals, recipes.OURS]:
        net = load_trained(run, recipe)
        settings = net.settings
        rows[recipe.title] = {
            "minutes": times[recipe.title].seconds.iloc[-1] / 60,
            "mixtures": settings.epochs * settings.mixtures_per_epoch,
            "parameters": sum(p.numel() for p in net.audio_net.parameters()),
            "GFLOP": _work(net) / 1e9,
        }
    return pd.DataFrame(rows).T.astype({"mixtures": int, "parameters": int}).rename_axis("method")


def load_trained(run: Run, recipe: Recipe) -> Separator | semantic.SemanticNet:
    """The trained net of a recipe, also of ``recipes.OURS``."""
    load = semantic.load_semantic if recipe.part == "thesis" else networks.load_separator
    return load(run.checkpoint(f"{recipe.name}.pt"), run.device)


def _work(net: Separator | semantic.SemanticNet) -> int:
    """Operations of the audio net, and of the synthesizer if there is one, for one clip and two sources."""
    settings, device = net.settings, next(net.audio_net.parameters()).device
    heard = torch.zeros(1, settings.bins, settings.steps, device=device)
    asked = () if isinstance(net, semantic.SemanticNet) else (torch.zeros(1, 2, settings.channels, device=device),)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net(heard, *asked)
    return counter.get_total_flops()
