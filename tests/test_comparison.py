"""Every method is scored on the same mixtures, is asked as it says, and stands in the right row of each table."""

import dataclasses

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from avsep_lib import baselines, clips, comparison, evaluation, mixtures, networks, recipes, runs, semantic
from avsep_lib.comparison import WAYS
from avsep_lib.networks import Separator
from avsep_lib.recipes import RECIPES
from avsep_lib.semantic import SemanticNet
from avsep_lib.tables import summary

OWN, SHUFFLED, TRUE = WAYS


@pytest.fixture(autouse=True)
def in_this_process():
    """Score in threads: processes take longer to start than these few scores."""
    with joblib.parallel_config(backend="threading"):
        yield


def wake(net):
    """Weights with which masks depend on the query, in a net that is not trained."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d) and module.weight.requires_grad:
            nn.init.normal_(module.weight, std=0.2)
    return net.eval()


@pytest.fixture(scope="module")
def separator(tiny):
    torch.manual_seed(0)
    separator = Separator(tiny, tiny.instruments).eval()
    wake(separator.audio_net)
    separator.frame_net.head.weight.data *= 20
    return separator


@pytest.fixture(scope="module")
def mixer(index, store, tiny):
    return mixtures.Mixer(clips.choose(index, "test", "solo"), store, tiny)


@pytest.fixture(scope="module")
def listed(mixer):
    return mixtures.fixed_list(mixer, 3, 2)


@pytest.fixture(scope="module")
def loader(listed, store, tiny):
    return mixtures.listed_loader(listed, store, True, tiny.instruments)


@pytest.fixture(scope="module")
def estimates(separator, loader, store):
    return comparison.in_three_ways(separator, loader, store)


def seen(store, rows):
    """Features of the pictures of some rows of a list, (N, P, C, h, w)."""
    return torch.stack([torch.from_numpy(store.features(row.video_id, row.start)) for row in rows.itertuples()])


def assert_asked_by(separator, estimate, mixture, queries):
    expected = separator.separate_queries(mixture, lambda start: queries.detach())
    np.testing.assert_allclose(estimate, expected, atol=1e-3 * np.abs(mixture).max())


# Three ways to ask


def test_shuffled_pictures_are_those_of_the_mixture_before(separator, loader, listed, store, estimates):
    """And the first mixture gets those of the last."""
    true = evaluation.references(loader)
    for number, before in ((1, 0), (0, 2)):
        queries = separator.frame_net(seen(store, listed[listed.mixture == before]).float())
        assert_asked_by(separator, estimates[SHUFFLED][number], true[number].sum(0), queries)
    assert np.abs(estimates[SHUFFLED][1] - estimates[OWN][1]).max() > 0.01 * np.abs(true[1].sum(0)).max()


def test_own_pictures_are_those_of_the_list(separator, loader, estimates):
    for one, other in zip(estimates[OWN], evaluation.separate_listed(separator, loader), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_true_class_asks_by_the_mean_query_of_its_training_videos(separator, index, loader, listed, store, estimates):
    queries = comparison.class_queries(separator, store)
    assert queries.shape == (len(separator.instruments), separator.settings.channels)
    for name, query in zip(separator.instruments, queries, strict=True):
        solos = clips.choose(index, "train", "solo")
        own = [torch.from_numpy(store.features(video, 0)) for video in solos[solos.instruments == name].video_id]
        assert len(own) == separator.settings.solos_train
        torch.testing.assert_close(query, separator.frame_net(torch.stack(own).float()).mean(0))
    names = list(listed[listed.mixture == 1].instrument)
    asked = queries[[separator.instruments.index(name) for name in names]]
    assert_asked_by(separator, estimates[TRUE][1], evaluation.references(loader)[1].sum(0), asked)


def test_swapped_classes_swap_the_estimates(separator, loader, store, estimates):
    swapped = [batch | {"classes": batch["classes"].flip(1)} for batch in loader]
    found = comparison.in_three_ways(separator, swapped, store)
    for one, other in zip(found[TRUE], estimates[TRUE], strict=True):
        np.testing.assert_allclose(one, other[::-1], atol=1e-5)
        assert np.abs(one - other).max() > 1e-3 * np.abs(other).max()
    np.testing.assert_array_equal(found[OWN], estimates[OWN])


@pytest.mark.parametrize("hard", [True, False])
def test_semantic_masks_are_asked_for_by_what_is_seen_by_what_another_sees_and_by_the_truth(loader, monkeypatch, hard):
    said = torch.tensor([[0, 1], [2, 3], [1, 0]])
    monkeypatch.setattr(semantic, "said", lambda classifier, seen: said[: len(seen)])
    monkeypatch.setattr(semantic, "separate_listed", lambda net, loader, classes, hard: (classes.tolist(), hard))
    true = torch.cat([batch["classes"] for batch in loader]).tolist()
    assert comparison.semantic_in_three_ways(None, None, loader, hard) == {
        OWN: ([[0, 1], [2, 3], [1, 0]], hard),
        SHUFFLED: ([[1, 0], [0, 1], [2, 3]], hard),
        TRUE: (true, hard),
    }


# Scores


@pytest.fixture(scope="module")
def run(tiny, separator, tmp_path_factory):
    """A run of notebook 04 with our separator and rivals, none of them trained."""
    torch.manual_seed(1)
    run = runs.begin("04", dataclasses.replace(tiny, out=str(tmp_path_factory.mktemp("comparison"))))
    networks.save_separator(separator, run.checkpoint("separator.pt"))
    for name in ("sound_of_pixels", "with_names"):
        rival = Separator(RECIPES[name].settings(run.settings), tiny.instruments)
        networks.save_separator(rival, run.checkpoint(f"{name}.pt"))
    net = wake(SemanticNet(RECIPES["semantic"].settings(run.settings), tiny.instruments))
    semantic.save_semantic(net, run.checkpoint("semantic.pt"))
    return run


RIVALS = [RECIPES[name] for name in ("sound_of_pixels", "semantic", "with_names")]


@pytest.fixture(scope="module")
def nmf(index, store, tiny):
    return baselines.Nmf(clips.choose(index, "train", "solo"), store, tiny)


@pytest.fixture(scope="module")
def metrics(run, listed, nmf, store):
    with joblib.parallel_config(backend="threading"):
        return comparison.score(run, listed, RIVALS, nmf, store)


def asked(*titles):
    return [title + way for title in titles for way in WAYS]


def test_every_method_is_scored_on_every_source(metrics, listed):
    names = list(metrics.method.unique())
    learned = asked("Sound of Pixels, binary, log", "semantic mask", "semantic mask, soft")
    assert names == [
        *("mixture", "robust PCA", "NMF, blind", "NMF, instruments known"),
        *learned,
        "+ frame net learns names first",
        *asked("separator"),
        *("ideal binary mask, linear", "ideal binary mask", "ideal ratio mask, linear", "ideal ratio mask"),
    ]
    for name in names:
        rows = metrics[metrics.method == name].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows[listed.columns], listed)
        assert (rows.sdr_db.isna() == (rows.silent != "")).all()
    table = summary(metrics)
    assert (table.sources + table.silent == len(listed)).all()
    assert table.SDR["ideal ratio mask"] > table.SDR["mixture"] + 5
    assert abs(table.SDRi["mixture"]) < 1e-9


def test_scores_of_a_method_are_those_of_its_estimates(metrics, listed, loader, estimates):
    true = evaluation.references(loader)
    for way, found in estimates.items():
        rows = metrics[(metrics.method == f"separator{way}") & (metrics.mixture == 2)]
        np.testing.assert_allclose(rows.sdr_db, evaluation.score(true[2], found[2], "fast").sdr_db, atol=0.05)


def test_three_sources_have_no_robust_pca(run, mixer, nmf, store):
    three = mixtures.fixed_list(mixer, 1, 3)
    table = comparison.score(run, three, RIVALS[:1], nmf, store)
    names = set(table.method)
    assert "robust PCA" not in names
    assert {"mixture", "NMF, blind", "separator", "ideal ratio mask", *asked(RIVALS[0].title)} < names
    assert set(table.groupby("method").size()) == {3}


def test_on_linear_frequency_there_is_one_axis_to_be_ideal_on(loader, tiny):
    true = evaluation.references(loader)[:1]
    linear = dataclasses.replace(tiny, frequency_axis="linear")
    assert list(comparison.ceilings(true, linear)) == ["ideal binary mask", "ideal ratio mask"]
    both = comparison.ceilings(true, tiny)
    np.testing.assert_array_equal(
        both["ideal ratio mask, linear"], comparison.ceilings(true, linear)["ideal ratio mask"]
    )
    assert np.abs(both["ideal ratio mask, linear"][0] - both["ideal ratio mask"][0]).max() > 1e-3


# Tables


def table_of(**sdr_db):
    """Metrics of two sources for each method, a decibel below and above what is given."""
    rows = [
        {"method": name, "mixture": 0, "source": n, "video_id": "ab"[n], "sdr_db": mean + 2 * n - 1, "silent": ""}
        for name, mean in sdr_db.items()
        for n in range(2)
    ]
    table = pd.DataFrame(rows)
    return table.assign(sir_db=table.sdr_db + 10, sar_db=table.sdr_db + 20, sdri_db=table.sdr_db + 1)


def test_table_1_stands_beside_what_the_paper_says():
    scores = {"mixture": 0.0, "NMF, blind": 1.0, "Sound of Pixels, binary, log": 5.0, "separator": 9.0}
    table = comparison.published_table(table_of(**scores))
    assert list(table.index) == [name for name, _, _ in recipes.TABLE_1]
    assert list(table.columns) == ["SDRi", "SIR", "SAR", "NSDR (quoted)", "SIR (quoted)", "SAR (quoted)"]
    assert table.loc["NMF"].tolist() == [2.0, 11.0, 21.0, 3.14, 6.70, 10.10]
    assert table.loc["Sound of Pixels, binary, log"].tolist() == [6.0, 15.0, 25.0, 8.87, 15.02, 12.28]
    others = table.drop(["NMF", "Sound of Pixels, binary, log"])
    assert others[["SDRi", "SIR", "SAR"]].isna().all(axis=None)
    assert others[["NSDR (quoted)", "SIR (quoted)", "SAR (quoted)"]].notna().all(axis=None)


def test_the_ladder_has_the_trained_steps_in_their_order_and_ours_last():
    titles = [RECIPES[name].title for name in ("published_optimizer", "sound_of_pixels", "with_names")]
    scores = {"separator": 9.0, titles[2]: 6.0, titles[1]: 5.0, "separator, shuffled pictures": -5.0, titles[0]: 1.0}
    table = comparison.ladder(table_of(**scores))
    assert list(table.index) == [*titles, "separator"]  # some steps are missing, so it is not the next one
    assert table.SDR.tolist() == [1.0, 5.0, 6.0, 9.0]
    whole = {RECIPES[name].title: float(n) for n, name in enumerate(recipes.LADDER)} | {"separator": 9.0}
    assert list(comparison.ladder(table_of(**whole)).index) == [*list(whole)[:-1], recipes.LAST_STEP]


def test_what_pictures_give_has_a_row_for_each_method_that_was_asked_in_three_ways():
    three = {f"separator{way}": sdr for way, sdr in zip(WAYS, (5.0, -3.0, 6.0), strict=True)}
    table = comparison.of_pictures(table_of(mixture=0.0, **three, **{"+ one step": 4.0}))
    assert list(table.index) == ["separator"]
    assert table.loc["separator"].to_dict() == {"shuffled pictures": -3.0, "own pictures": 5.0, "true class": 6.0}


def test_other_seeds_count_once_they_have_finished(tiny, tmp_path):
    settings = dataclasses.replace(tiny, out=str(tmp_path))
    others = [runs.begin("04", dataclasses.replace(settings, seed=seed)) for seed in range(4)]
    for seed, other in enumerate(others[:3]):
        table_of(separator=float(seed)).to_csv(other.folder / "metrics.csv", index=False)
    others[0].finish()  # and 1 is ours, 2 and 3 are under way
    found = comparison.of_seeds(others[1])
    assert list(found) == [0, 1]
    assert [table.sdr_db.mean() for table in found.values()] == [0.0, 1.0]


def test_a_finer_axis_has_the_better_ideal_mask(loader, listed, tiny):
    table = comparison.resolutions(evaluation.references(loader), listed, tiny)
    names = [f"{bins} bins, log" for bins in (32, 64, 128)] + ["512 bins, linear"]
    assert list(table.index) == [f"ideal ratio mask, {name}" for name in names]
    assert table.SDR.is_monotonic_increasing and table.SDR.iloc[-1] > table.SDR.iloc[0] + 1


# One mixture, to be looked at


def test_an_example_is_what_the_separator_makes_of_one_mixture(separator, listed, loader, store, tiny, estimates):
    rows = listed[listed.mixture == 1]
    found = comparison.example(separator, rows, store)
    assert found.names == list(rows.instrument)
    assert found.mixture.shape == (tiny.bins, tiny.steps) and found.magnitudes.shape == (2, tiny.bins, tiny.steps)
    true = evaluation.references(loader)[1]
    np.testing.assert_allclose(found.sounds["mixture"], true.sum(0))
    for n, name in enumerate(found.names):
        np.testing.assert_array_equal(found.sounds[f"{name}, true"], true[n])
        np.testing.assert_allclose(found.sounds[f"{name}, estimate"], estimates[OWN][1][n], atol=1e-5)
        picture = store.pictures(rows.video_id.iloc[n], rows.start.iloc[n])[0]
        np.testing.assert_array_equal(found.pictures[n], picture)
    assert set(found.sounds) == {
        "mixture",
        *(f"{name}, {what}" for name in found.names for what in ("true", "estimate")),
    }
    ideal = found.masks["ideal binary mask"]
    assert torch.equal(ideal, (found.magnitudes > 0.5 * found.mixture).float())
    torch.testing.assert_close(found.masks["predicted mask"].sum(0), torch.ones(tiny.bins, tiny.steps))  # they compete
