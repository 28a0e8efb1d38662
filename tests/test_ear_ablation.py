"""The ablation of the ear: what each training leaves out, and that all are scored alike."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from avsep_lib import ear_ablation, ear_training, real_clips
from avsep_lib.ear import Ear
from avsep_lib.ear_ablation import ROWS, Row
from avsep_lib.settings import StudyError, from_parameters


@pytest.fixture
def settings(tmp_path):
    return from_parameters(
        "ear", instruments=("cello", "drum", "flute", "violin"), out=str(tmp_path), batch_size=4, mixtures_per_epoch=8,
        audio_levels=3, audio_base_channels=4, channels=4, log_bins=64, clip_samples=16_383, epochs=1, device="cpu",
        precision="float32", validation_mixtures=4,
    )  # fmt: skip


def test_each_row_lacks_one_thing():
    whole = ROWS["whole"]
    assert whole == Row(whole.title) and whole.augmentation == ear_training.Augmentation()
    for name, row in ROWS.items():
        changed = [f.name for f in fields(row.augmentation)
                   if getattr(row.augmentation, f.name) != getattr(whole.augmentation, f.name)]  # fmt: skip
        assert bool(row.left_out) != bool(changed) or name == "whole"
        assert len(changed) <= 1 or name == "pairs"
    assert len({row.title for row in ROWS.values()}) == len(ROWS)


def test_rows_are_trained_on_what_they_may_hear_and_compared(settings, bank_of_sines, monkeypatch):
    heard, real = [], ear_training.BankMixtures
    monkeypatch.setattr(
        ear_training, "BankMixtures", lambda table, *more: heard.append(set(table.tone)) or real(table, *more)
    )
    table, path = ear_ablation.ablate(settings, bank_of_sines, only=["whole", "no_notes"])
    assert heard == [{"FluidR3", "notes"}, {"TimGM6mb"}, {"FluidR3"}, {"TimGM6mb"}]
    assert list(table.index) == ["all of it", "without real notes"]
    scores = table["SI-SDR, held-out font"]
    gains = table["SI-SDR, held-out font: gain"]
    assert gains.iloc[0] == 0 and gains.iloc[1] == pytest.approx(scores.iloc[1] - scores.iloc[0]) and gains.iloc[1] != 0
    pd.testing.assert_frame_equal(pd.read_csv(path, index_col="training"), table)


def test_an_unknown_row_is_named_before_anything_is_trained(settings, bank_of_sines):
    with pytest.raises(StudyError, match="'no_drums' is not known; choose from whole"):
        ear_ablation.ablate(settings, bank_of_sines, only=["whole", "no_drums"])
    assert not (settings.out_root / "results").exists()


def test_real_pairs_are_scored_with_their_true_classes(settings, monkeypatch):
    """An ear that cannot tell gives half of the mixture to each: the mixture's own SDR, which is that of the levels."""
    rng = np.random.default_rng(0)
    sources = rng.standard_normal((2, 30_000)).astype(np.float32) * [[0.1], [0.05]]
    kinds = [real_clips.DIFFERENT, real_clips.SAME]
    listed = [real_clips.RealMixture(kind, kind, None, (), (), ("cello", "flute"), ("a", "b")) for kind in kinds]
    asked = []
    monkeypatch.setattr(real_clips, "mixtures", lambda folder: listed)
    monkeypatch.setattr(
        real_clips, "heard", lambda mixture, rate_hz: asked.append(mixture.kind) or (sources.sum(0), sources)
    )
    ear = Ear(settings, settings.instruments).eval()
    ear.classes.data.zero_()
    assert ear_ablation.mean_sdr(ear, "clips") == pytest.approx(0, abs=0.5)  # 6 dB up and 6 dB down
    assert asked == [real_clips.DIFFERENT]
