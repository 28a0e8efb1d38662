"""The floors and ceilings of every table stand where they belong."""

import dataclasses

import numpy as np
import pytest
import torch

from avsep_lib import baselines, clips, mixtures, spectra
from avsep_lib.settings import StudyError


@pytest.fixture(scope="module")
def pairs(index, store, tiny):
    """Sources (N, L) of eight test mixtures, with their instruments."""
    mixer = mixtures.Mixer(clips.choose(index, "test", "solo"), store, tiny)
    listed = mixtures.fixed_list(mixer, 8, 2)
    return [
        (np.stack([store.window(row.video_id, row.start) / 2 for row in part.itertuples()]), list(part.instrument))
        for _, part in listed.groupby("mixture")
    ]


@pytest.fixture(scope="module")
def nmf(index, store, tiny):
    return baselines.Nmf(clips.choose(index, "train", "solo"), store, tiny)


def sdr_db(references, estimates):
    """Plain SDR, no filter allowed; the mean over sources."""
    return np.mean(10 * np.log10((references**2).sum(-1) / ((references - estimates) ** 2).sum(-1)))


def floor_db(pairs):
    return np.mean([sdr_db(sources, baselines.mixture_as_estimate(sources)) for sources, _ in pairs])


def test_mixture_as_estimate_is_the_sum_for_everyone():
    sources = np.random.default_rng(0).standard_normal((3, 10))
    estimates = baselines.mixture_as_estimate(sources)
    assert estimates.shape == (3, 10)
    np.testing.assert_allclose(estimates, np.tile(sources.sum(0), (3, 1)))


@pytest.mark.parametrize("kind", ["binary", "ratio"])
def test_ideal_masks_beat_the_mixture_by_far(pairs, tiny, kind):
    settings = dataclasses.replace(tiny, log_bins=256)
    ceiling = np.mean([sdr_db(sources, baselines.ideal_mask(sources, settings, kind)) for sources, _ in pairs])
    assert ceiling > floor_db(pairs) + 8


def test_the_ceiling_is_that_of_the_separators_resolution(pairs, tiny):
    """A finer log-frequency axis has a higher ceiling, the linear axis the highest."""
    axes = [{"log_bins": 32}, {"log_bins": 128}, {"frequency_axis": "linear"}]
    ceilings = [
        np.mean([sdr_db(s, baselines.ideal_mask(s, dataclasses.replace(tiny, **axis), "binary")) for s, _ in pairs])
        for axis in axes
    ]
    assert ceilings[0] < ceilings[1] < ceilings[2]


def test_ideal_mask_by_hand(tiny):
    """On the linear axis: the mask of magnitudes, the mixture's phase."""
    sources = np.random.default_rng(0).standard_normal((2, 9_000)).astype(np.float32)
    settings = dataclasses.replace(tiny, frequency_axis="linear")
    spec = torch.stft(torch.from_numpy(sources), 1022, 256, window=torch.hann_window(1022), return_complex=True)
    mask = (spec.abs() > 0.5 * spec.sum(0).abs()).float()
    expected = torch.istft(spec.sum(0) * mask, 1022, 256, window=torch.hann_window(1022), length=9_000)
    np.testing.assert_allclose(baselines.ideal_mask(sources, settings, "binary"), expected, atol=1e-5)


def test_nmf_that_knows_the_instruments_beats_the_mixture(pairs, nmf):
    found = [sdr_db(sources, nmf(sources, names)) for sources, names in pairs]
    assert np.mean(found) > floor_db(pairs) + 1


def test_nmf_gives_each_name_its_own_estimate(pairs, nmf):
    sources, names = pairs[0]
    estimates = nmf(sources, names)
    assert estimates.shape == sources.shape and estimates.dtype == np.float32
    np.testing.assert_allclose(nmf(sources, names[::-1])[::-1], estimates, atol=1e-3)
    np.testing.assert_allclose(estimates.sum(0), sources.sum(0), atol=1e-4)  # nothing is lost


def test_dictionaries_are_learned_of_training_videos_and_repeat(index, store, tiny, nmf):
    assert set(nmf.dictionaries) == set(tiny.instruments)
    again = baselines.Nmf(clips.choose(index, "train", "solo"), store, tiny)
    for name, dictionary in nmf.dictionaries.items():
        assert dictionary.shape == (tiny.nmf_components, tiny.n_fft // 2 + 1)
        np.testing.assert_array_equal(dictionary, again.dictionaries[name])


@pytest.mark.parametrize("n_sources", [2, 3, 4])
def test_blind_nmf_shares_out_the_mixture_in_the_best_order(pairs, tiny, n_sources):
    sources = np.concatenate([sources for sources, _ in pairs])[:n_sources]
    settings = dataclasses.replace(tiny, nmf_components=6)
    estimates = baselines.blind_nmf(sources, settings)
    assert estimates.shape == sources.shape and estimates.dtype == np.float32
    lost = np.square(estimates.sum(0) - sources.sum(0)).sum()
    assert lost < 0.05 * np.square(sources.sum(0)).sum()  # bins that no component knows
    fit = (sources * estimates).sum()
    assert all((sources * np.roll(estimates, shift, axis=0)).sum() <= fit for shift in range(1, n_sources))


def drone_and_bursts(settings):
    """A chord that never changes (a magnitude of rank one), and eight short tones here and there: (2, L)."""
    rng = np.random.default_rng(0)
    time_s = np.arange(settings.clip_samples) / settings.sample_rate_hz
    drone = sum(np.sin(2 * np.pi * f * time_s) / n for n, f in enumerate((220.0, 441.3, 659.7, 1203.0), 1))
    bursts = np.zeros(settings.clip_samples)
    for start in rng.integers(settings.clip_samples - 600, size=8):
        bursts[start : start + 600] += 3 * np.hanning(600) * np.sin(2 * np.pi * rng.uniform(300, 4000) * time_s[:600])
    return 0.1 * np.stack([drone, bursts]).astype(np.float32)


@pytest.mark.parametrize("flipped", [False, True])
def test_robust_pca_takes_bursts_off_a_drone(tiny, flipped):
    settings = dataclasses.replace(tiny, clip_samples=32_767)
    sources = drone_and_bursts(settings)[:: -1 if flipped else 1].copy()
    estimates = baselines.robust_pca(sources, settings)
    assert estimates.shape == sources.shape and estimates.dtype == np.float32
    assert sdr_db(sources, estimates) > sdr_db(sources, baselines.mixture_as_estimate(sources)) + 6


def test_low_rank_and_sparse_parts_are_found_exactly():
    """A known matrix of rank 2 and a known sparse one, of which only the sum is seen."""
    rng = np.random.default_rng(0)
    low_rank = rng.standard_normal((60, 2)) @ rng.standard_normal((2, 40))
    sparse = (rng.random((60, 40)) < 0.05) * rng.choice([-5.0, 5.0], (60, 40))
    found = baselines._low_rank_and_sparse(low_rank + sparse)
    np.testing.assert_allclose(found, np.stack([low_rank, sparse]), atol=0.02)
    assert np.linalg.matrix_rank(found[0], tol=0.1) == 2


def test_robust_pca_has_two_parts_only(tiny):
    with pytest.raises(StudyError, match="robust PCA gives 2 parts, not 3"):
        baselines.robust_pca(np.zeros((3, tiny.clip_samples), np.float32), tiny)


def test_baselines_of_silence_are_finite(nmf, tiny):
    silence = np.zeros((2, tiny.clip_samples), np.float32)
    assert np.isfinite(nmf(silence, ["flute", "tuba"])).all()
    assert np.isfinite(baselines.robust_pca(silence, tiny)).all()
    assert np.isfinite(baselines.ideal_mask(silence, tiny, "ratio")).all()
    assert spectra.stft(torch.from_numpy(silence), tiny.n_fft, tiny.hop).abs().max() == 0
