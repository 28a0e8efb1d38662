"""Spectra come back as they went, the warp keeps its corners, and masks divide what they should."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from avsep_lib import spectra
from avsep_lib.settings import StudyError

RATE_HZ, N_FFT, HOP, LENGTH = 11_025, 1022, 256, 16_383


def tone(frequency_hz, length=LENGTH):
    return torch.sin(2 * torch.pi * frequency_hz * torch.arange(length, dtype=torch.float64) / RATE_HZ).float()


def harmonic(rng, length=32_767):
    """Notes of eight harmonics with falling strength, a new one four times a second."""
    seconds = np.arange(length) / RATE_HZ
    wave, fade = np.zeros(length), RATE_HZ // 4
    for start in range(0, length, fade):
        note = seconds[: min(fade, length - start)]
        pitch_hz, fall = 110 * 2 ** (rng.integers(0, 30) / 12), rng.uniform(0.4, 1.2)
        for k in range(1, 9):
            if k * pitch_hz < RATE_HZ / 2:
                part = np.sin(2 * np.pi * (k * pitch_hz * note + rng.random()))
                wave[start : start + len(note)] += k**-fall * np.exp(-3 * note) * part
    return torch.from_numpy(wave.astype(np.float32))


def sdr_db(reference, estimate):
    return 10 * torch.log10(reference.square().sum(-1) / (reference - estimate).square().sum(-1))


@pytest.mark.parametrize("shape", [(LENGTH,), (2, 3, 5000), (1, 700)])
def test_stft_round_trip(shape):
    torch.manual_seed(0)
    wave = torch.randn(shape)
    spec = spectra.stft(wave, N_FFT, HOP)
    assert spec.shape == (*shape[:-1], N_FFT // 2 + 1, shape[-1] // HOP + 1)
    assert (spectra.istft(spec, N_FFT, HOP, shape[-1]) - wave).abs().max() < 1e-5


def test_stft_finds_a_tone_in_its_bin():
    spec = spectra.stft(tone(RATE_HZ * 100 / N_FFT), N_FFT, HOP).abs()
    assert (spec[:, 5:-5].argmax(0) == 100).all()


def test_a_wave_that_is_too_short_is_refused():
    with pytest.raises(StudyError, match=r"511 samples.*n_fft 1022"):
        spectra.stft(torch.zeros(2, 511), N_FFT, HOP)
    assert spectra.stft(torch.zeros(2, 512), N_FFT, HOP).shape == (2, 512, 3)


def test_warp_and_back_keeps_a_smooth_magnitude():
    """Within 1 % of the peak for a magnitude that changes over tens of bins."""
    bins = torch.arange(512.0)
    smooth = (1 + torch.cos(bins / 30))[:, None] * torch.linspace(1, 2, 7)
    back = spectra.to_linear(spectra.to_log(smooth, 256), 512)
    assert back.shape == smooth.shape
    assert (back - smooth).abs().max() < 0.01 * smooth.max()


def test_first_and_last_bins_and_steps_stay_where_they_are():
    torch.manual_seed(0)
    values = torch.rand(3, 512, 9)
    for warped in (spectra.to_log(values, 256), spectra.to_linear(values, 256)):
        torch.testing.assert_close(warped[:, 0], values[:, 0], atol=1e-4, rtol=0)
        torch.testing.assert_close(warped[:, -1], values[:, -1], atol=1e-4, rtol=0)
    constant = torch.rand(1, 1, 9).expand(1, 512, 9)  # the same at all frequencies: steps must not mix
    torch.testing.assert_close(spectra.to_log(constant, 64), constant[:, :64], atol=1e-4, rtol=0)


def test_the_warp_gives_low_bins_more_room():
    ramp = torch.arange(512.0)[:, None].expand(512, 2)
    rows = spectra.to_log(ramp, 256)[:, 0]
    spacing = rows.diff()
    assert (spacing > 0).all()
    assert spacing[-1] / spacing[0] == pytest.approx(21, rel=0.02)


def test_linear_axis_is_left_alone():
    values = torch.rand(2, 8, 4)
    assert spectra.warp(values, "linear", 4) is values
    assert spectra.unwarp(values, "linear", 16) is values


def test_magnitude_is_the_absolute_value():
    spec = spectra.stft(torch.randn(2, LENGTH), N_FFT, HOP)
    torch.testing.assert_close(spectra.magnitude(spec), spec.abs())
    assert spectra.magnitude(torch.zeros(3) + 0j).eq(0).all()


def by_grid_sample(values, rows, align_corners=True):
    """``spectra._resample_rows`` in the words of the released code."""
    columns = torch.linspace(-1, 1, values.shape[-1], dtype=torch.float64)
    grid = torch.stack(torch.broadcast_tensors(columns[None, :], rows[:, None]), dim=-1).to(values.dtype)
    flat = values.reshape(1, -1, *values.shape[-2:])
    return F.grid_sample(flat, grid[None], align_corners=align_corners).reshape(*values.shape[:-2], *grid.shape[:2])


def test_the_warp_and_its_inverse_are_grid_sample_with_aligned_corners(monkeypatch):
    torch.manual_seed(0)
    values = torch.rand(2, 3, 512, 20)
    ours = spectra.to_log(values, 256), spectra.to_linear(values, 400)
    monkeypatch.setattr(spectra, "_resample_rows", by_grid_sample)
    for one, other in zip(ours, (spectra.to_log(values, 256), spectra.to_linear(values, 400)), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_aligned_corners_are_worth_a_decibel_of_an_ideal_mask(monkeypatch):
    """Public code of this field leaves ``align_corners`` to its default and pays for it."""
    rng = np.random.default_rng(0)
    sources = torch.stack([torch.stack([harmonic(rng), harmonic(rng)]) for _ in range(6)])  # (B, N, L)
    spec = spectra.stft(sources, N_FFT, HOP)

    def ceiling():
        both = spectra.to_log(torch.cat([spec, spec.sum(1, keepdim=True)], 1).abs(), 256)
        mask = spectra.to_linear(spectra.ideal_binary_mask(both[:, :-1], both[:, -1]), 512)
        estimates = spectra.istft(spectra.apply_mask(spec.sum(1), mask), N_FFT, HOP, sources.shape[-1])
        return sdr_db(sources, estimates).mean()

    aligned = ceiling()
    monkeypatch.setattr(spectra, "_resample_rows", lambda values, rows: by_grid_sample(values, rows, False))
    assert aligned > ceiling() + 1


def test_ideal_masks_separate_two_tones_that_do_not_meet():
    sources = torch.stack([tone(500), tone(3000)]) / 2
    spec = spectra.stft(sources, N_FFT, HOP)
    binary = spectra.ideal_binary_mask(spec.abs(), spec.sum(0).abs())
    ratio = spectra.ideal_ratio_mask(spec.abs())
    for mask, least_db in ((binary, 40), (ratio, 40)):
        estimates = spectra.istft(spectra.apply_mask(spec.sum(0), mask), N_FFT, HOP, LENGTH)
        assert (sdr_db(sources, estimates) > least_db).all()


def test_ideal_binary_mask_by_hand():
    magnitudes = torch.tensor([[[3.0, 1.0]], [[1.0, 1.0]]])  # (N, F, T)
    mixture = torch.tensor([[4.0, 2.0]])
    assert spectra.ideal_binary_mask(magnitudes, mixture).tolist() == [[[1, 0]], [[0, 0]]]


@pytest.mark.parametrize("n_sources", [2, 3, 4])
def test_ratio_masks_add_up_to_one_and_rebuild_sources_of_one_phase(n_sources):
    torch.manual_seed(0)
    magnitudes = torch.rand(5, n_sources, 16, 8) + 0.01
    mask = spectra.ideal_ratio_mask(magnitudes)
    torch.testing.assert_close(mask.sum(1), torch.ones(5, 16, 8))
    phase = torch.polar(torch.ones(5, 16, 8), torch.rand(5, 16, 8) * 6)
    rebuilt = spectra.apply_mask(magnitudes.sum(1) * phase, mask)
    torch.testing.assert_close(rebuilt, magnitudes * phase.unsqueeze(1))


def test_masks_of_silence_are_finite():
    silence = torch.zeros(2, 4, 3)
    assert spectra.ideal_ratio_mask(silence).isfinite().all()
    assert (spectra.ideal_binary_mask(silence, silence[0]) == 0).all()


def test_a_mask_on_the_wrong_axis_is_refused():
    with pytest.raises(StudyError, match=r"\(512, 7\).*\(256, 7\).*log-frequency"):
        spectra.apply_mask(torch.ones(512, 7) + 0j, torch.ones(2, 256, 7))


def test_gradients_pass_through_warp_and_masks():
    values = torch.rand(2, 64, 4, requires_grad=True)
    spectra.to_linear(spectra.to_log(values, 32), 64).sum().backward()
    assert values.grad.abs().sum() > 0
