"""Training the ear: what it is asked, what it should answer, and that a training can be repeated and resumed."""

import pandas as pd
import pytest
import torch
from torch.utils.data import default_collate

from avsep_lib import ear_training, pretrained
from avsep_lib.ear import Ear
from avsep_lib.ear_training import BankMixtures, ear_loss
from avsep_lib.runs import begin, read_state
from avsep_lib.settings import from_parameters, to_dict

NAMES = ("cello", "drum", "flute", "violin")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return from_parameters(
        "smoke", dataset="bank", instruments=NAMES, out=str(tmp_path_factory.mktemp("ear")), batch_size=4,
        mixtures_per_epoch=16, audio_levels=3, epochs=2, device="cpu", precision="float32", validation_mixtures=4,
        colour_db=3.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(bank_of_sines):
    return bank_of_sines


@pytest.fixture(scope="module")
def mixtures(settings, folder):
    table = pd.read_csv(folder / "bank.csv")
    return BankMixtures(table[table.split == "train"], folder, settings)


def test_a_mixture_is_a_function_of_its_number(mixtures):
    first, again, other = mixtures[5], mixtures[5], mixtures[6]
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["sources"], other["sources"])


def test_a_batch_has_one_number_of_sources_and_one_kind_of_question(mixtures, settings):
    kinds = set()
    for batch in range(40):
        items = [mixtures[batch * 4 + place] for place in range(4)]
        joined = default_collate(items)
        assert joined["closed"].unique().numel() == 1
        kinds.add((joined["sources"].shape[1], bool(joined["closed"][0])))
        assert joined["sources"].shape[2] == settings.clip_samples
    assert {n for n, _ in kinds} == {1, 2, 3, 4}
    assert {closed for n, closed in kinds if n > 1} == {True, False}
    assert all(not closed for n, closed in kinds if n == 1)  # one alone could have everything


def test_every_source_has_one_owner_and_a_stranger_gets_nothing(mixtures):
    strangers, wrong = 0, 0
    for number in range(160):
        item = mixtures[number]
        owners, asked = item["owners"], item["queries"].argmax(-1)
        assert (owners.sum(0) == 1).all()
        assert len(set(asked.tolist())) == len(asked)
        if item["closed"]:
            assert owners[-1].sum() == 0
            wrong += 1
        else:
            strangers += int((owners[:-1].sum(1) == 0).sum())
    assert strangers > 5 and wrong > 40


def test_validation_is_plain_pairs(settings, folder):
    table = pd.read_csv(folder / "bank.csv")
    held_out = BankMixtures(table[table.split == "validation"], folder, settings, ear_training.PLAIN)
    assert len(held_out) == 4
    for number in range(4):
        item = held_out[number]
        assert item["sources"].shape[0] == 2 and item["closed"] and not item["colour_db"].any()
        levels = item["sources"].square().mean(1).sqrt()
        assert ((levels > 0.02) & (levels < 0.5)).all()


def spectra_of(*bins):
    """Complex spectra (1, M, F, 1) with the given bins."""
    return torch.tensor(bins, dtype=torch.complex64)[None, ..., None]


def test_the_loss_is_least_for_the_right_masks():
    wanted = spectra_of([3, 0, 1], [0, 2, 0])
    mixture = wanted.sum(1)
    right = torch.tensor([[1.0, 0, 1], [0, 1, 0]])[None, ..., None]
    best = ear_loss(right, mixture, wanted)
    # No difference of magnitudes, and both sources at the 20 dB where the ratio is cut off.
    assert best.item() == pytest.approx(-0.03 * 20, abs=1e-3)
    assert ear_loss(1 - right, mixture, wanted) > best
    assert ear_loss(torch.full_like(right, 0.5), mixture, wanted) > best


def test_a_source_that_should_be_silent_counts_by_what_it_lets_through():
    wanted = spectra_of([3, 2, 1], [0, 0, 0])
    mixture = wanted.sum(1)
    quiet = torch.tensor([[1.0, 1, 1], [0, 0, 0]])[None, ..., None]
    assert ear_loss(quiet, mixture, wanted).item() == pytest.approx(-0.6, abs=1e-3)
    assert ear_loss(torch.ones_like(quiet), mixture, wanted).item() == pytest.approx(-0.6 + 6 / 6 / 2 * 3 / 3, abs=0.01)


def test_masks_of_a_closed_question_share_out_the_mixture(settings, mixtures):
    """The loss of a net that cannot tell is that of even shares."""
    ear = Ear(settings, NAMES)
    torch.nn.init.zeros_(ear.classes)
    task = ear_training.EarTask(ear)
    number = next(n for n in range(0, 400, 4) if mixtures[n]["closed"] and len(mixtures[n]["sources"]) == 2)
    batch = default_collate([mixtures[number + place] for place in range(4)])
    even = task._loss(batch)
    specs = ear_training.training.coloured(batch["sources"], settings, batch["colour_db"])
    half = torch.full(specs.shape, 0.5)
    torch.testing.assert_close(even, ear_loss(half, specs.sum(1), specs))


def test_a_training_can_be_interrupted(settings, folder, monkeypatch):
    whole = ear_training.train(begin("ear", settings), folder)
    other = from_parameters(**{**to_dict(settings), "out": settings.out + "2"})
    stopped = begin("ear", other)

    def stop(*arguments):
        raise KeyboardInterrupt

    calls = []
    real = ear_training.EarTask.training_step
    monkeypatch.setattr(
        ear_training.EarTask, "training_step",
        lambda self, batch, number: (calls.append(0), stop() if len(calls) > 6 else real(self, batch, number))[1],
    )  # fmt: skip
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        ear_training.train(stopped, folder)
    monkeypatch.setattr(ear_training.EarTask, "training_step", real)
    resumed = ear_training.train(begin("ear", other), folder)
    for (name, one), other_one in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other_one, msg=name)
    history = pd.read_csv(begin("ear", settings).folder / "history.csv")
    assert list(history.epoch) == [1, 2] and history.si_sdr_validation.notna().all()


def test_the_weights_are_written_for_anyone_to_load(settings, folder):
    run = begin("ear", from_parameters(**{**to_dict(settings), "epochs": 1, "out": settings.out + "3"}))
    path = ear_training.train_to_file(run, folder)
    loaded = pretrained.load(path)
    assert loaded.instruments == list(NAMES)
    assert read_state(run.folder)["finished"]
    again = ear_training.train(run, folder)
    for (name, one), other in zip(again.state_dict().items(), loaded.ear.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, msg=name, rtol=1e-3, atol=1e-4)  # half precision
