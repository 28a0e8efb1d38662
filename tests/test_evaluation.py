"""Scores equal their closed forms, swapped estimates are a mistake, and silence is never 0 dB."""

import dataclasses

import joblib
import numpy as np
import pandas as pd
import pytest
import torch

from avsep_lib import baselines, clips, evaluation, mixtures
from avsep_lib.evaluation import METRICS, score, si_sdr
from avsep_lib.networks import Separator
from avsep_lib.settings import StudyError
from avsep_lib.tables import paired_difference, summary

LENGTH = 12_000
WAVES = list(METRICS[:4])  # what needs no more than an estimate and its references


def band(low, high, seed):
    """Noise between two shares of the band, orthogonal to whatever a filter makes of another band."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(LENGTH))
    bins = np.arange(len(spectrum)) / len(spectrum)
    spectrum[(bins < low) | (bins > high)] = 0
    wave = np.fft.irfft(spectrum, LENGTH) * np.hanning(LENGTH)  # without edges, which would sound in every band
    return wave / np.sqrt(np.mean(wave**2)) * 0.1


@pytest.fixture(scope="module")
def references():
    return np.stack([band(0.02, 0.2, 0), band(0.3, 0.5, 1)])


@pytest.fixture(autouse=True)
def in_this_process():
    """Score in threads: processes take longer to start than these few scores."""
    with joblib.parallel_config(backend="threading"):
        yield


@pytest.fixture(params=["mir_eval", "fast"])
def metric(request):
    return request.param


NOISE = np.stack([band(0.6, 0.75, 2), band(0.8, 0.95, 3)])


@pytest.mark.parametrize("k", [0.03, 0.1, 0.3])
def test_scores_equal_the_closed_form(references, k, metric):
    """Orthogonal noise of k times the level: SDR = SAR = SI-SDR = -20 log10 k, and no interference."""
    table = score(references, references + k * NOISE, metric)
    for name in ("sdr_db", "sar_db", "si_sdr_db"):
        np.testing.assert_allclose(table[name], -20 * np.log10(k), atol=0.1)
    assert (table.sir_db > 30).all()
    assert list(table.silent) == ["", ""]


def test_interference_of_the_other_source_lowers_sir_alone(references, metric):
    table = score(references, references + 0.1 * references[::-1], metric)
    np.testing.assert_allclose(table.sir_db, 20, atol=0.2)
    np.testing.assert_allclose(table.sdr_db, 20, atol=0.2)
    assert (table.sar_db > 40).all()


def test_swapped_estimates_are_not_put_right(references, metric):
    estimates = references + 0.1 * NOISE + 0.1 * references[::-1]
    right, swapped = score(references, estimates, metric), score(references, estimates[::-1], metric)
    assert (right.sdr_db > 15).all()
    assert (swapped.sdr_db < -10).all()


def test_a_score_does_not_depend_on_the_other_estimate(references):
    estimates = references + 0.2 * NOISE
    other = estimates.copy()
    other[1] = NOISE[0]
    np.testing.assert_allclose(
        score(references, estimates).iloc[0, :3].astype(float), score(references, other).iloc[0, :3].astype(float)
    )


@pytest.mark.parametrize("gain", [0.01, 3.0, -1.0])
def test_si_sdr_does_not_depend_on_scale(references, gain):
    estimates = references + 0.3 * NOISE
    np.testing.assert_allclose(si_sdr(references, gain * estimates), si_sdr(references, estimates), atol=1e-6)
    np.testing.assert_allclose(si_sdr(references, estimates), -20 * np.log10(0.3), atol=1e-3)


def test_a_silent_estimate_has_no_score_of_its_own(references, metric):
    estimates = references + 0.1 * NOISE
    whole = score(references, estimates, metric)
    estimates[0] = 0
    table = score(references, estimates, metric)
    assert table.loc[0, WAVES].isna().all() and table.silent[0] == "estimate"
    np.testing.assert_allclose(table.loc[1, WAVES].astype(float), whole.loc[1, WAVES].astype(float))
    assert table.silent[1] == ""


def test_a_silent_reference_leaves_nothing_to_score(references, metric):
    quiet = references.copy()
    quiet[1] *= 1e-4
    table = score(quiet, references, metric)
    assert table[WAVES].isna().all(axis=None)
    assert list(table.silent) == ["mixture", "reference"]  # both count as left out


def test_a_quiet_estimate_is_still_scored(references, metric):
    table = score(references, references * 1e-3 + 1e-5 * NOISE, metric)
    assert table[WAVES].notna().all(axis=None)


@pytest.mark.parametrize("shape", [(2, LENGTH - 1), (1, LENGTH), (LENGTH,)])
def test_shapes_that_differ_are_refused(references, shape):
    with pytest.raises(StudyError, match="references"):
        score(references, np.zeros(shape))


def test_every_source_of_a_summary_is_scored_or_counted_as_silent(references):
    silenced = references.copy()
    silenced[1] = 0
    listed = pd.DataFrame({"mixture": [0, 0, 1, 1], "source": [0, 1, 0, 1], "video_id": list("abcd")})
    scores = pd.concat([score(true, references + 0.1 * NOISE) for true in (references, silenced)], ignore_index=True)
    table = pd.concat([listed, scores], axis=1).assign(method="noisy")
    row = summary(table).loc["noisy"]
    assert row.sources == 2 and row.sources + row.silent == len(table)


# Masks


TONES = 20, 40, 60, 80  # their bins


def tones(*numbers, level=0.1):
    """A sum of some of four tones. Each fills three bins of its own, also at both ends, where it mirrors itself."""
    samples = np.arange(12 * 1022 + 1)
    return level * sum(np.cos(2 * np.pi * TONES[n] * samples / 1022) for n in numbers)


def overlap(estimates, tiny, references=None):
    references = np.stack([tones(0, 1), tones(2, 3)]) if references is None else references
    dice, iou = evaluation.mask_overlap(references, np.stack(estimates), tiny)
    return dice.round(2).tolist(), iou.round(2).tolist()


def test_overlap_of_tones_equals_the_closed_form(tiny):
    """Each tone fills as many bins as another: a mask of m tones, a true one of two, s shared: 2s/(m+2), s/(m+2-s)."""
    assert overlap([tones(0, 1), tones(2, 3)], tiny) == ([1, 1], [1, 1])
    assert overlap([tones(0), tones(2, 3, 0)], tiny) == ([0.67, 0.8], [0.5, 0.67])
    assert overlap([tones(2, 3), tones(0, 1)], tiny) == ([0, 0], [0, 0])
    assert overlap([tones(1, 2), tones(1, 2)], tiny) == ([0.5, 0.5], [0.33, 0.33])


def test_a_quieter_estimate_fills_its_mask_down_to_half_of_the_mixture(tiny):
    assert overlap([tones(0, 1, level=0.06), tones(2, 3, level=0.04)], tiny) == ([1, 0], [1, 0])


def test_two_empty_masks_agree(tiny):
    """A source below half of the mixture everywhere, and an estimate that is quiet too."""
    sources = np.stack([tones(0, level=0.1), tones(0, level=0.01)])
    assert overlap([tones(0), tones(0, level=0.01)], tiny, sources) == ([1, 1], [1, 1])
    assert overlap([tones(0), tones(0)], tiny, sources) == ([1, 0], [1, 0])


def test_bins_far_below_the_loudest_have_no_part_in_the_overlap(tiny):
    """A tone 70 dB down is nobody's; one 40 dB down is half of what is to be found."""
    for level_db, found in ((-70, 1.0), (-40, 0.67)):
        quiet = tones(1, level=0.1 * 10 ** (level_db / 20))
        assert overlap([tones(0), tones(2)], tiny, np.stack([tones(0) + quiet, tones(2)]))[0] == [found, 1]


def test_masks_can_be_counted_for_several_methods_at_once(tiny):
    sources = np.stack([tones(0, 1), tones(2, 3)])
    both = np.stack([sources, sources[::-1]])
    dice, iou = evaluation.mask_overlap(sources, both, tiny)
    assert dice.shape == iou.shape == (2, 2)
    np.testing.assert_array_equal(dice[0], evaluation.mask_overlap(sources, both[0], tiny)[0])


# On mixtures


@pytest.fixture(scope="module")
def listed(index, store, tiny):
    return mixtures.fixed_list(mixtures.Mixer(clips.choose(index, "test", "solo"), store, tiny), 3, 2)


@pytest.fixture(scope="module")
def loader(listed, store):
    return mixtures.listed_loader(listed, store, True)


@pytest.fixture(scope="module")
def separator(tiny):
    """Untrained, but with masks that depend on the query."""
    torch.manual_seed(0)
    separator = Separator(tiny, tiny.instruments).eval()
    separator.frame_net.head.weight.data *= 20
    for module in separator.audio_net.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight, std=0.2)
    return separator


def test_references_are_the_sources_as_they_stand_in_the_mixture(listed, loader, store):
    true = evaluation.references(loader)
    assert len(true) == 3
    for row in listed.itertuples():
        np.testing.assert_allclose(true[row.mixture][row.source], store.window(row.video_id, row.start) / 2)


def test_estimates_of_a_list_are_those_of_the_separator(separator, loader, listed, store):
    true, estimates = evaluation.references(loader), evaluation.separate_listed(separator, loader)
    assert [wave.shape for wave in estimates] == [wave.shape for wave in true]
    part = listed[listed.mixture == 2]
    seen = torch.stack([torch.from_numpy(store.features(row.video_id, row.start)) for row in part.itertuples()])
    queries = separator.frame_net(seen.float()).detach()
    window = separator.separate_queries(true[2].sum(0), lambda start: queries)
    np.testing.assert_allclose(estimates[2], window, atol=1e-3 * np.abs(window).max())


def test_an_oracle_is_far_above_the_mixture_in_a_table(listed, loader, tiny, metric):
    true = evaluation.references(loader)
    methods = {
        "mixture": [baselines.mixture_as_estimate(sources) for sources in true],
        "ideal": [baselines.ideal_mask(sources, tiny, "ratio") for sources in true],
    }
    table = evaluation.evaluate(listed, true, methods, dataclasses.replace(tiny, metric=metric))
    assert list(table.columns) == [*listed.columns, *METRICS, "silent", "method"]
    assert len(table) == 2 * len(listed)
    assert table.method.unique().tolist() == ["mixture", "ideal"]
    pd.testing.assert_frame_equal(table[table.method == "ideal"][listed.columns].reset_index(drop=True), listed)
    by_hand = score(true[2], methods["ideal"][2], metric)
    rows = table[(table.method == "ideal") & (table.mixture == 2)]
    np.testing.assert_allclose(rows.sdr_db, by_hand.sdr_db)
    gain, low, high = paired_difference(table, "ideal", "mixture")
    assert gain > 5 and low <= gain <= high


def test_the_gain_over_the_mixture_is_counted_from_the_same_source(listed, loader, tiny):
    true = evaluation.references(loader)
    methods = {
        "ideal": [baselines.ideal_mask(sources, tiny, "binary") for sources in true],
        "mixture": [baselines.mixture_as_estimate(sources) for sources in true],
    }
    table = evaluation.evaluate(listed, true, methods, tiny)
    ideal, mixture = (table[table.method == name].reset_index(drop=True) for name in methods)
    np.testing.assert_allclose(ideal.sdri_db, ideal.sdr_db - mixture.sdr_db)
    assert (mixture.sdri_db == 0).all() and (ideal.sdri_db > 5).all()
    alone = evaluation.evaluate(listed, true, {"ideal": methods["ideal"]}, tiny)
    pd.testing.assert_frame_equal(alone, table[table.method == "ideal"], rtol=1e-6)
    dice, iou = evaluation.mask_overlap(true[1], methods["ideal"][1], tiny)
    np.testing.assert_array_equal(ideal[ideal.mixture == 1].dice, dice)
    np.testing.assert_array_equal(ideal[ideal.mixture == 1].iou, iou)
    assert (ideal.dice > mixture.dice).all()


def test_swapped_estimates_lose_in_every_metric_but_the_artefacts(listed, loader, tiny):
    true = evaluation.references(loader)
    right = [baselines.ideal_mask(sources, tiny, "binary") for sources in true]
    table = evaluation.evaluate(listed, true, {"right": right, "swapped": [pair[::-1] for pair in right]}, tiny)
    means = table.groupby("method")[list(METRICS)].mean()
    for name in ("sdr_db", "sir_db", "si_sdr_db", "sdri_db"):
        assert means[name]["right"] > means[name]["swapped"] + 10
    for name in ("dice", "iou"):
        assert means[name]["right"] > means[name]["swapped"] + 0.5


def test_what_is_silent_has_no_score_at_all(listed, loader, tiny):
    true = evaluation.references(loader)
    true[0] = true[0].copy()
    true[0][1] = 0
    estimates = [sources.copy() for sources in true]
    estimates[1][0] = 0
    table = evaluation.evaluate(listed, true, {"own": estimates}, tiny)
    assert table.silent.tolist() == ["mixture", "reference", "estimate", "", "", ""]
    assert table[list(METRICS)].isna().all(axis=1).tolist() == [True] * 3 + [False] * 3
    assert table[list(METRICS)].isna().any(axis=1).tolist() == [True] * 3 + [False] * 3


def test_both_metrics_give_one_table(listed, loader, tiny):
    true = evaluation.references(loader)
    methods = {kind: [baselines.ideal_mask(sources, tiny, kind) for sources in true] for kind in ("binary", "ratio")}
    methods["binary"][1][0] = 0
    exact, fast = (
        evaluation.evaluate(listed, true, methods, dataclasses.replace(tiny, metric=metric))
        for metric in ("mir_eval", "fast")
    )
    pd.testing.assert_frame_equal(fast, exact, rtol=0, atol=0.01)
    assert (fast.silent == "estimate").sum() == 1


def test_methods_of_one_mixture_share_the_work_on_its_references(listed, loader, tiny, monkeypatch):
    shapes = []

    def watched(references, estimates):
        shapes.append(estimates.shape)
        return np.zeros((3, *estimates.shape[:-1]))

    monkeypatch.setattr(evaluation.bss_eval, "bss_eval", watched)
    true = evaluation.references(loader)
    evaluation.evaluate(listed, true, dict.fromkeys("abc", true), tiny)
    assert shapes == [(4, *true[0].shape)] * 3  # and the mixture, for what is gained on it
