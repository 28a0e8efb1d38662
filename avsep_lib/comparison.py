"""Every method on the same mixtures: trains the rivals for the time that ours took, and scores all of them.

Used by notebook 04 and ``avsep compare``.
"""

import dataclasses
import itertools
import time
from collections.abc import Sequence

import lightning as L
import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from avsep_lib import baselines, combined, evaluation, mixtures, networks, recipes, runs, semantic, training
from avsep_lib.networks import FrameClassifier, Separator
from avsep_lib.recipes import Recipe
from avsep_lib.runs import Run
from avsep_lib.settings import Settings
from avsep_lib.store import VideoStore

_WARM_UP, _TIMED_STEPS = 2, 6  # steps that are left out, and whose median says what a step costs
WAYS = ("", ", shuffled pictures", ", true class given")
"""What follows the title of a learned method: asked by its pictures, by those of another mixture, by the true class."""


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
        If a name is no recipe, or notebook 03 has not finished with these settings.
    """
    budget_s = float(pd.read_csv(runs.finished(settings, "03") / "clock.csv").seconds.iloc[-1])
    return [_train(recipes.find(name), settings, budget_s) for name in names]


def trained(settings: Settings) -> list[Recipe]:
    """Recipes that have been trained with these settings, in the order of the tables."""
    state = {name: runs.read_state(_run(recipe, settings).folder) for name, recipe in recipes.RECIPES.items()}
    return [recipe for name, recipe in recipes.RECIPES.items() if state[name].get("finished")]


def _run(recipe: Recipe, settings: Settings) -> Run:
    """The run of a recipe: as it was begun, if it was, or as it would begin."""
    run = Run(recipe.settings(settings), f"{recipe.name}_seed{settings.seed}", runs.choose_device(settings.device))
    if (run.folder / "settings.json").is_file():
        begun = runs.reopen(run.folder).settings.mixtures_per_epoch
        run.settings = dataclasses.replace(run.settings, mixtures_per_epoch=begun)
    return run


def _train(recipe: Recipe, settings: Settings, budget_s: float) -> Run:
    run = _run(recipe, settings)
    if runs.read_state(run.folder).get("finished"):
        return run
    if not (run.folder / "settings.json").is_file():
        affordable = _affordable(run, recipe, budget_s)
        run.settings = dataclasses.replace(run.settings, mixtures_per_epoch=affordable)
    run = runs.begin(recipe.name, run.settings)
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


def _affordable(run: Run, recipe: Recipe, budget_s: float) -> int:
    """Mixtures of an epoch with which the training takes ``budget_s``, measured by a few steps."""
    task, train, _ = _prepare(run, recipe)
    settings, device = run.settings, torch.device(run.device)
    task.to(device, memory_format=torch.channels_last).train()
    optimizer, seconds = task.configure_optimizers()["optimizer"], []
    batches = itertools.chain.from_iterable(itertools.repeat(train))
    half = training.precision(run) == "bfloat16"
    for number in range(_WARM_UP + _TIMED_STEPS):
        clock = time.perf_counter()
        batch = {name: values.to(device) for name, values in next(batches).items()}
        with torch.autocast(run.device, torch.bfloat16, enabled=half):
            loss = task.training_step(batch, number)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()  # waits for the device
        seconds.append(time.perf_counter() - clock)
    steps = budget_s / settings.epochs / float(np.median(seconds[_WARM_UP:]))
    return max(1, round(steps)) * settings.batch_size


def score(
    run: Run, listed: pd.DataFrame, rivals: Sequence[Recipe], nmf: baselines.Nmf, store: VideoStore
) -> pd.DataFrame:
    """Score every method on the same mixtures, from floor to ceiling.

    Parameters
    ----------
    run : Run
        Of notebook 04; its checkpoints hold our separator and its rivals.
    listed : DataFrame
        As ``mixtures.fixed_list`` gives it.
    rivals : sequence of Recipe
        Trained ones; those of the ablation are asked by their pictures only, the others in all three ``WAYS``.
    nmf : baselines.Nmf
    store : VideoStore
        Prepared for the listed videos and for the training solos.

    Returns
    -------
    DataFrame
        As ``evaluation.evaluate`` gives it.
    """
    ours = networks.load_separator(run.checkpoint("separator.pt"), run.device)
    loader = mixtures.listed_loader(listed, store, ours.frame_net.backbone.frozen, ours.instruments)
    true = evaluation.references(loader)
    methods = floors(listed, true, nmf, run.settings)
    for recipe in rivals:
        path = run.checkpoint(f"{recipe.name}.pt")
        if recipe.part == "thesis":
            estimates = semantic_in_three_ways(semantic.load_semantic(path, run.device), ours.classifier, loader)
        else:
            estimates = in_three_ways(networks.load_separator(path, run.device), loader, store)
        methods |= {recipe.title + way: estimates[way] for way in (WAYS[:1] if recipe.part == "ablation" else WAYS)}
    methods |= {f"separator{way}": estimates for way, estimates in in_three_ways(ours, loader, store).items()}
    return evaluation.evaluate(listed, true, methods | ceilings(true, run.settings), run.settings)


def floors(
    listed: pd.DataFrame, true: Sequence[np.ndarray], nmf: baselines.Nmf, settings: Settings
) -> dict[str, list[np.ndarray]]:
    """Estimates of what looks at nothing: the mixture, and methods that are blind or told who plays."""
    names = [list(part.instrument) for _, part in listed.groupby("mixture")]
    methods = {"mixture": [baselines.mixture_as_estimate(sources) for sources in true]}
    if true[0].shape[0] == 2:  # a low rank and a sparse part are two
        methods["robust PCA"] = [baselines.robust_pca(sources, settings) for sources in true]
    methods["NMF, blind"] = [baselines.blind_nmf(sources, settings) for sources in true]
    methods["NMF, instruments known"] = [nmf(sources, who) for sources, who in zip(true, names, strict=True)]
    return methods


def ceilings(true: Sequence[np.ndarray], settings: Settings) -> dict[str, list[np.ndarray]]:
    """Estimates of ideal masks, on the linear axis and on that of the separator."""
    linear = dataclasses.replace(settings, frequency_axis="linear")
    axes = {", linear": linear, "": settings} if settings.frequency_axis == "log" else {"": settings}
    return {
        f"ideal {kind} mask{axis}": [baselines.ideal_mask(sources, own, kind) for sources in true]
        for kind in ("binary", "ratio")
        for axis, own in axes.items()
    }


@torch.inference_mode()
def in_three_ways(separator: Separator, loader: DataLoader, store: VideoStore) -> dict[str, list[np.ndarray]]:
    """Estimates of a separator for a fixed list, asked in each of the ``WAYS``.

    The query of a true class is the mean query of its training videos, so it knows the name and has seen no picture of
    the mixture.
    """
    waves, queries = evaluation.heard_and_seen(separator, loader)
    classes = torch.cat([batch["classes"] for batch in loader])
    asked = queries, queries.roll(1, dims=0), class_queries(separator, store)[classes.to(queries.device)]
    return {way: evaluation.separate(separator, waves, query) for way, query in zip(WAYS, asked, strict=True)}


@torch.inference_mode()
def class_queries(separator: Separator, store: VideoStore) -> torch.Tensor:
    """Mean query of the training videos of each class, (C, K)."""
    device, frame_net = separator.synthesizer.bias.device, separator.frame_net
    queries = {name: [] for name in separator.instruments}
    for video_id, row in store.rows.items():
        if row.split == "train":
            cached = frame_net.backbone.frozen
            seen = store.features(video_id, 0) if cached else store.pictures(video_id, 0)
            queries[row.instruments].append(frame_net(frame_net.features(torch.from_numpy(seen).to(device))))
    return torch.stack([torch.stack(each).mean(0) for each in queries.values()])


def semantic_in_three_ways(
    net: semantic.SemanticNet, classifier: FrameClassifier, loader: DataLoader
) -> dict[str, list[np.ndarray]]:
    """Estimates of the semantic net for a fixed list, with the classes that the frame net sees, and as in ``WAYS``."""
    said = torch.cat([semantic.said(classifier, batch["seen"]) for batch in loader])
    true = torch.cat([batch["classes"] for batch in loader])
    asked = dict(zip(WAYS, (said, said.roll(1, dims=0), true), strict=True))
    return {way: semantic.separate_listed(net, loader, asked[way]) for way in WAYS}
