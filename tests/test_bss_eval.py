"""SDR, SIR and SAR by correlations are those of mir_eval, and what rounding would spoil is left to mir_eval."""

import numpy as np
import pytest

from avsep_lib import bss_eval as module
from avsep_lib.bss_eval import bss_eval, by_mir_eval
from avsep_lib.settings import StudyError

LENGTH = 9000
SAMPLE_RATE_HZ = 11_025


def noise(rng):
    return rng.standard_normal(LENGTH)


def tones(rng):
    """Notes of a harmonic tone one after another, each with its attack and decay, over very soft noise."""
    wave, at = 1e-5 * rng.standard_normal(LENGTH), 0
    while at < LENGTH:
        seconds = np.arange(min(int(rng.integers(1500, 4000)), LENGTH - at)) / SAMPLE_RATE_HZ
        f0 = 440 * 2 ** (rng.integers(-24, 12) / 12)
        partials = np.arange(1, int(5000 / f0) + 1)[:, None]
        waves = np.sin(2 * np.pi * f0 * partials * seconds + rng.uniform(0, 6.28, partials.shape)) / partials
        wave[at : at + len(seconds)] += waves.sum(0) * np.exp(-4 * seconds) * np.minimum(seconds / 0.01, 1)
        at += len(seconds)
    return wave


def music(rng):
    """Noise that falls by 6 dB an octave and swells, cut above 4 kHz at -80 dB."""
    spectrum = np.fft.rfft(rng.standard_normal(LENGTH)) / np.arange(20, LENGTH // 2 + 21)
    spectrum[int(4000 / SAMPLE_RATE_HZ * LENGTH) :] *= 1e-4
    return np.fft.irfft(spectrum, LENGTH) * (1.1 + np.sin(np.arange(LENGTH) / rng.integers(300, 900)))


def sources(kind, n_sources, seed=0):
    rng = np.random.default_rng(seed)
    waves = np.stack([kind(rng) for _ in range(n_sources)])
    return 0.1 * waves / waves.std(-1, keepdims=True)


def spoiled(references, snr_db, seed=1):
    """References with the others and noise added, each at half the energy of the error."""
    others = np.roll(references, 1, axis=0) if len(references) > 1 else 0
    error = others + 0.1 * np.random.default_rng(seed).standard_normal(references.shape)
    return references + 10 ** (-snr_db / 20) * np.sqrt(0.5) * error


@pytest.fixture
def handed_over(monkeypatch):
    """The shapes with which mir_eval was called."""
    calls = []

    def watched(references, estimates):
        calls.append(estimates.shape)
        return by_mir_eval(references, estimates)

    monkeypatch.setattr(module, "by_mir_eval", watched)
    return calls


@pytest.mark.parametrize("kind", [noise, tones, music])
@pytest.mark.parametrize("n_sources", [1, 2, 3, 4])
def test_scores_are_those_of_mir_eval(kind, n_sources, handed_over):
    references = sources(kind, n_sources)
    levels = (-20, 0, 10, 30, 60) if n_sources < 3 else (-20, 20, 60)
    estimates = np.stack([spoiled(references, snr_db) for snr_db in levels])
    scores = bss_eval(references, estimates)
    assert handed_over == []
    expected = np.stack([by_mir_eval(references, one) for one in estimates], axis=1)
    np.testing.assert_allclose(scores, expected, atol=1e-3)
    assert scores[0].min() < -8 and scores[0].max() > 50


def test_the_mixture_as_an_estimate_has_no_artifacts_but_rounding(handed_over):
    """Single precision leaves artifacts at about -150 dB; no difference of energies could tell them."""
    references = sources(tones, 2).astype(np.float32)
    mixture = np.stack([references.sum(0)] * 2)
    scores = bss_eval(references, mixture)
    assert handed_over == [] and (scores[2] > 120).all()
    expected = by_mir_eval(references.astype(np.float64), mixture.astype(np.float64))
    np.testing.assert_allclose(scores, expected, atol=1e-3)


def test_a_method_has_the_same_scores_alone_and_among_others():
    references = sources(music, 2)
    estimates = np.stack([spoiled(references, 5), spoiled(references, 15, seed=2)]).reshape(2, 1, 2, LENGTH)
    together = bss_eval(references, estimates)
    assert together.shape == (3, 2, 1, 2)
    np.testing.assert_allclose(together[:, 1, 0], bss_eval(references, estimates[1, 0]), atol=1e-9)


def test_a_filtered_or_late_reference_is_no_error():
    references = sources(noise, 2)
    late = np.pad(references, ((0, 0), (30, 0)))[:, :LENGTH] + 0.01 * sources(noise, 2, seed=5)
    np.testing.assert_allclose(bss_eval(references, late), by_mir_eval(references, late), atol=1e-3)
    assert (bss_eval(references, late)[0] > 15).all()


@pytest.mark.parametrize("length", [300, 512, 1024, 1025, 1536, 2049])
def test_any_length_will_do(length):
    references = sources(noise, 2)[:, :length]
    estimates = spoiled(references, 10)
    np.testing.assert_allclose(bss_eval(references, estimates), by_mir_eval(references, estimates), atol=1e-3)


@pytest.mark.parametrize("case", ["equal", "late copy", "sum of the others", "narrow bands"])
def test_references_that_depend_on_each_other_are_left_to_mir_eval(case, handed_over):
    references = sources(noise, 3 if case == "sum of the others" else 2)
    if case == "equal":
        references[1] = 0.5 * references[0]
    elif case == "late copy":
        references[0, -20:] = 0
        references[1] = np.roll(references[0], 20)
    elif case == "sum of the others":
        references[2] = references[0] + references[1]
    else:  # most of each reference's delays say nothing new
        spectra = np.fft.rfft(references)
        spectra[:, 500:] = 0
        references = np.fft.irfft(spectra, LENGTH) * np.hanning(LENGTH)
    estimates = spoiled(references, 10)
    scores = bss_eval(references, np.stack([estimates, estimates]))
    assert handed_over == [estimates.shape] * 2
    np.testing.assert_array_equal(scores[:, 0], by_mir_eval(references, estimates))


def test_a_perfect_estimate_is_left_to_mir_eval_and_the_rest_is_not(handed_over):
    references = sources(tones, 2)
    scores = bss_eval(references, np.stack([references, spoiled(references, 10)]))
    assert handed_over == [references.shape]
    assert (scores[0, 0] > 150).all() and (scores[0, 1] < 20).all()


def test_one_source_alone_has_no_interference():
    references = sources(music, 1)
    sdr, sir, sar = bss_eval(references, spoiled(references, 20))
    assert sir[0] == np.inf
    assert sdr == pytest.approx(sar, abs=1e-9)


@pytest.mark.parametrize("name", ["reference", "estimate"])
def test_what_is_silent_has_no_score(name):
    waves = {"reference": sources(noise, 2), "estimate": sources(noise, 2, seed=3)}
    waves[name][1] = 0
    with pytest.raises(StudyError, match=f"one {name} is all zeros"):
        bss_eval(waves["reference"], waves["estimate"])


@pytest.mark.parametrize("shape", [(2, LENGTH - 1), (1, LENGTH), (LENGTH,), (2, 3, LENGTH)])
def test_shapes_that_do_not_fit_are_refused(shape):
    with pytest.raises(StudyError, match="must be"):
        bss_eval(sources(noise, 2), np.ones(shape))
