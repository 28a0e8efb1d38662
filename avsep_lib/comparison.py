"""Every method on the same mixtures: who is scored, how each is asked, and the tables that come of it.

Used by notebook 04.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch.utils.data import DataLoader

from avsep_lib import baselines, evaluation, mixtures, recipes, runs, semantic, spectra, tables, training
from avsep_lib.networks import FrameClassifier, Separator
from avsep_lib.recipes import Recipe
from avsep_lib.rivals import load_trained
from avsep_lib.runs import Run
from avsep_lib.settings import Settings
from avsep_lib.store import VideoStore

WAYS = ("", ", shuffled pictures", ", true class given")
"""What follows the title of a learned method: asked by its pictures, by those of another mixture, by the true class."""


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
    ours = load_trained(run, recipes.OURS)
    loader = mixtures.listed_loader(listed, store, ours.frame_net.backbone.frozen, ours.instruments)
    true = evaluation.references(loader)
    methods = floors(listed, true, nmf, run.settings)
    for recipe in rivals:
        net = load_trained(run, recipe)
        if recipe.part == "thesis":
            for title, hard in ((recipe.title, True), (f"{recipe.title}, soft", False)):
                estimates = semantic_in_three_ways(net, ours.classifier, loader, hard)
                methods |= {title + way: estimates[way] for way in WAYS}
        elif recipe.part == "ablation":
            methods[recipe.title] = evaluation.separate_listed(net, loader)
        else:
            methods |= {recipe.title + way: each for way, each in in_three_ways(net, loader, store).items()}
    methods |= {recipes.OURS.title + way: each for way, each in in_three_ways(ours, loader, store).items()}
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
    device, frame_net = separator.device, separator.frame_net
    queries = {name: [] for name in separator.instruments}
    for video_id, row in store.rows.items():
        if row.split == "train":
            cached = frame_net.backbone.frozen
            seen = store.features(video_id, 0) if cached else store.pictures(video_id, 0)
            queries[row.instruments].append(frame_net(frame_net.features(torch.from_numpy(seen).to(device))))
    return torch.stack([torch.stack(each).mean(0) for each in queries.values()])


def semantic_in_three_ways(
    net: semantic.SemanticNet, classifier: FrameClassifier, loader: DataLoader, hard: bool
) -> dict[str, list[np.ndarray]]:
    """Estimates of the semantic net for a fixed list, with the classes that the frame net sees, and as in ``WAYS``.

    ``hard`` takes each bin for one class, the thesis's way; else its probability among the asked ones is the mask.
    """
    said = torch.cat([semantic.said(classifier, batch["seen"]) for batch in loader])
    true = torch.cat([batch["classes"] for batch in loader])
    asked = dict(zip(WAYS, (said, said.roll(1, dims=0), true), strict=True))
    return {way: semantic.separate_listed(net, loader, asked[way], hard) for way in WAYS}


def published_table(metrics: pd.DataFrame) -> pd.DataFrame:
    """Table 1 of the paper run again: its rows in its order, ours beside what it says of MUSIC.

    SDRi is the gain over the mixture, which the paper calls NSDR. Rows that were not run again have no score of ours.
    """
    ours = tables.summary(metrics).reindex(columns=["SDRi", "SIR", "SAR"])
    rows = {}
    for title, method, quoted in recipes.TABLE_1:
        run_again = ours.loc[method] if method in ours.index else [float("nan")] * 3
        rows[title] = [*run_again, *quoted]
    columns = ["SDRi", "SIR", "SAR", "NSDR (quoted)", "SIR (quoted)", "SAR (quoted)"]
    return pd.DataFrame(rows, index=columns).T.rename_axis("method")


def ladder(metrics: pd.DataFrame) -> pd.DataFrame:
    """Steps from the published method to ours that have been trained, with their scores; see ``recipes.LADDER``.

    The last one is called a step only where all before it have been trained.
    """
    scores = tables.summary(metrics)
    titles = [recipes.RECIPES[name].title for name in recipes.LADDER] + [recipes.OURS.title]
    steps = scores.loc[[title for title in titles if title in scores.index]]
    return steps.rename(index={recipes.OURS.title: recipes.LAST_STEP}) if len(steps) == len(titles) else steps


def of_pictures(metrics: pd.DataFrame) -> pd.DataFrame:
    """Mean SDR of each learned method asked by wrong pictures, by its own, and by the true class."""
    means = metrics.groupby("method", sort=False).sdr_db.mean()
    learned = [name.removesuffix(WAYS[1]) for name in means.index if name.endswith(WAYS[1])]
    order = {"shuffled pictures": WAYS[1], "own pictures": WAYS[0], "true class": WAYS[2]}
    rows = {name: {column: means[name + way] for column, way in order.items()} for name in learned}
    return pd.DataFrame(rows).T.rename_axis("method")


def of_seeds(run: Run) -> dict[int, pd.DataFrame]:
    """``metrics.csv`` of this run and of the finished runs of other seeds, by seed."""
    every = {}
    for folder in sorted(run.folder.parent.glob("04_seed*")):
        if folder == run.folder or runs.read_state(folder).get("finished"):
            every[int(folder.name.removeprefix("04_seed"))] = pd.read_csv(folder / "metrics.csv")
    return dict(sorted(every.items()))


def resolutions(true: Sequence[np.ndarray], listed: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Scores of ideal ratio masks at several resolutions: what each costs, whatever net would predict them."""
    bins = sorted({settings.log_bins // 2, settings.log_bins, 2 * settings.log_bins})
    axes = {f"{n} bins, log": dataclasses.replace(settings, frequency_axis="log", log_bins=n) for n in bins}
    axes[f"{settings.n_fft // 2 + 1} bins, linear"] = dataclasses.replace(settings, frequency_axis="linear")
    methods = {
        f"ideal ratio mask, {name}": [baselines.ideal_mask(sources, own, "ratio") for sources in true]
        for name, own in axes.items()
    }
    return tables.summary(evaluation.evaluate(listed, list(true), methods, settings))


@dataclasses.dataclass(frozen=True)
class Example:
    """One mixture of a list, to be drawn and heard: magnitudes and masks on the audio net's axis, and waveforms."""

    names: list[str]
    pictures: list[np.ndarray]
    mixture: torch.Tensor
    magnitudes: torch.Tensor
    masks: dict[str, torch.Tensor]
    sounds: dict[str, np.ndarray]


@torch.inference_mode()
def example(separator: Separator, rows: pd.DataFrame, store: VideoStore) -> Example:
    """What our separator makes of one mixture, given by its rows of a list."""
    loader = mixtures.listed_loader(rows, store, separator.frame_net.backbone.frozen)
    magnitudes, mixture = training.mix(next(iter(loader))["sources"], store.settings)
    _, queries = evaluation.heard_and_seen(separator, loader)
    predicted = separator.predict(mixture.to(queries.device), queries).cpu()
    true, estimates = evaluation.references(loader)[0], evaluation.separate_listed(separator, loader)[0]
    sounds = {"mixture": true.sum(0)}
    for n, name in enumerate(rows.instrument):
        sounds |= {f"{name}, true": true[n], f"{name}, estimate": estimates[n]}
    masks = {"ideal binary mask": spectra.ideal_binary_mask(magnitudes, mixture)[0], "predicted mask": predicted[0]}
    pictures = [store.pictures(row.video_id, row.start)[0] for row in rows.itertuples()]
    return Example(list(rows.instrument), pictures, mixture[0], magnitudes[0], masks, sounds)
