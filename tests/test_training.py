"""The loss is the published one, the nets learn, and a training that was killed ends as if it had not been."""

import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from avsep_lib import callbacks, clips, evaluation, mixtures, spectra, training
from avsep_lib.mixtures import Mixer
from avsep_lib.networks import FrameClassifier, FrameNet, Separator
from avsep_lib.settings import StudyError, to_dict


@pytest.fixture
def train(index, store, tiny):
    """A function that trains the separator of a run; afterwards ``train.net`` has the weights."""

    def train(run):
        cached = run.settings.backbone == "efficientnet_lite0"
        torch.manual_seed(0)
        train.net = Separator(run.settings, tiny.instruments)
        solos = {split: Mixer(clips.choose(index, split, "solo"), store, run.settings) for split in clips.SPLITS}
        listed = mixtures.fixed_list(solos["validation"], 2, 2)
        loader = mixtures.training_loader(solos["train"], cached)
        return training.fit_separator(train.net, loader, mixtures.listed_loader(listed, store, cached), run)

    return train


@pytest.fixture
def train_frame_net(index, store, backbone, tiny):
    """As ``train``, for the frame net alone."""

    def train_frame_net(run):
        torch.manual_seed(0)
        train_frame_net.net = FrameClassifier(FrameNet(backbone, run.settings.channels), len(tiny.instruments))
        parts = [training.labelled_pictures(clips.choose(index, split, "solo"), store, list(tiny.instruments), True)
                 for split in ("train", "validation")]  # fmt: skip
        return training.fit_frame_net(train_frame_net.net, *parts, run)

    return train_frame_net


def weights(net):
    return {key: value.clone() for key, value in net.state_dict().items()}


def same_weights(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def raise_after(monkeypatch, owner, name, calls):
    """Let a method of a class fail at its call number ``calls``, as a kill would."""
    whole, count = getattr(owner, name), [0]

    def fragile(self, *args, **kwargs):
        count[0] += 1
        if count[0] == calls:
            raise MemoryError("killed")
        return whole(self, *args, **kwargs)

    monkeypatch.setattr(owner, name, fragile)


# The loss


def test_mask_loss_by_hand():
    """One mixture of two sources, 2 x 2."""
    magnitudes = torch.tensor([[[[3.0, 1.0], [0.0, 2.0]], [[1.0, 3.0], [0.0, 2.0]]]])  # (B, N, F, T)
    mixture = torch.tensor([[[4.0, 4.0], [0.0, 50_000.0]]])
    logits = torch.tensor([[[[2.0, -1.0], [0.5, 0.0]], [[-2.0, 1.0], [0.5, 3.0]]]])
    weight = [math.log(5), math.log(5), 1e-3, 10.0]
    target = {"binary": [[1, 0, 0, 0], [0, 1, 0, 0]], "ratio": [[0.75, 0.25, 0, 0.5], [0.25, 0.75, 0, 0.5]]}
    for mask, expected in target.items():
        total = 0.0
        for n in range(2):
            for place in range(4):
                p, y = 1 / (1 + math.exp(-logits[0, n].flatten()[place])), expected[n][place]
                distance = -(y * math.log(p) + (1 - y) * math.log(1 - p)) if mask == "binary" else abs(p - y)
                total += weight[place] * distance / 8
        assert training.mask_loss(logits, magnitudes, mixture, mask).item() == pytest.approx(total, rel=1e-5)


def test_magnitude_loss_by_hand():
    """One mixture of two sources, 2 x 2: what masks let through against the sources, as a share of the mixture."""
    magnitudes = torch.tensor([[[[3.0, 1.0], [0.0, 2.0]], [[1.0, 3.0], [0.0, 2.0]]]])  # (B, N, F, T)
    mixture = torch.tensor([[[4.0, 4.0], [0.0, 8.0]]])
    logits = torch.tensor([[[[2.0, -1.0], [0.5, 0.0]], [[-2.0, 1.0], [0.5, 3.0]]]])
    total = 0.0
    for n in range(2):
        for place in range(4):
            mask, heard = 1 / (1 + math.exp(-logits[0, n].flatten()[place])), mixture.flatten()[place].item()
            total += abs(mask * heard - magnitudes[0, n].flatten()[place].item()) / 8
    assert training.magnitude_loss(logits, magnitudes, mixture).item() == pytest.approx(total / 4, rel=1e-5)
    louder = training.magnitude_loss(logits, 10 * magnitudes, 10 * mixture)
    assert louder.item() == pytest.approx(total / 4, rel=1e-5)
    silent = training.magnitude_loss(logits, 0 * magnitudes, 0 * mixture)
    assert silent.item() == 0


def test_perfect_masks_have_no_loss_on_magnitudes():
    """Where the magnitudes of the sources add up to that of the mixture."""
    magnitudes = torch.rand(2, 3, 4, 5) + 0.01
    mixture = magnitudes.sum(1)
    logits = (magnitudes / mixture.unsqueeze(1)).logit()
    assert training.magnitude_loss(logits, magnitudes, mixture).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("n_sources", [2, 3])
@pytest.mark.parametrize("axis", ["log", "linear"])
def test_mix_is_the_spectrum_of_the_mean(tiny, n_sources, axis):
    settings = dataclasses.replace(tiny, frequency_axis=axis)
    torch.manual_seed(0)
    sources = torch.randn(2, n_sources, tiny.clip_samples)
    magnitudes, mixture = training.mix(sources, settings)
    assert magnitudes.shape == (2, n_sources, settings.bins, settings.steps) and mixture.shape == (
        2,
        *magnitudes.shape[2:],
    )
    spec = spectra.stft(sources.mean(1), settings.n_fft, settings.hop).abs()
    torch.testing.assert_close(mixture, spectra.warp(spec, axis, settings.log_bins), atol=1e-3, rtol=1e-3)
    alone = spectra.stft(sources[:, 1] / n_sources, settings.n_fft, settings.hop).abs()
    torch.testing.assert_close(magnitudes[:, 1], spectra.warp(alone, axis, settings.log_bins), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("mask", "loss"), [("binary", "mask"), ("ratio", "mask"), ("ratio", "magnitude")])
def test_one_batch_is_learned_by_heart(tiny, train_mixer, mask, loss):
    """Within 60 steps the loss of one batch falls to less than half."""
    torch.manual_seed(0)
    settings = dataclasses.replace(tiny, mask=mask, loss=loss, channels=8, audio_base_channels=8)
    separator = Separator(settings, tiny.instruments)
    batch = next(iter(mixtures.training_loader(train_mixer, True)))
    optimizer = torch.optim.Adam([p for p in separator.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = training.separation_loss(separator, batch)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_gains_are_those_of_the_released_code(tiny):
    """A gain for each source, what it raises above full scale is clipped, and then the mean is taken."""
    torch.manual_seed(0)
    sources = torch.rand(2, 2, tiny.clip_samples) * 2 - 1
    gains = torch.tensor([[0.5, 1.5], [1.2, 1.0]])
    changed = (sources * gains[..., None]).clamp(-1, 1)
    assert (changed.abs() == 1).any()
    for one, other in zip(training.mix(sources, tiny, gains=gains), training.mix(changed, tiny), strict=True):
        torch.testing.assert_close(one, other)


def test_labelled_pictures_carry_the_class_of_their_video(index, store, tiny):
    solos = clips.choose(index, "train", "solo").iloc[[3, 0]]
    names = list(tiny.instruments)
    data = training.labelled_pictures(solos, store, names, True)
    assert len(data) == 2 * int(tiny.video_s)
    for start, row in zip((0, int(tiny.video_s)), solos.itertuples(), strict=True):
        features, label = data[start]
        assert names[label] == row.instruments
        assert torch.equal(features[0].float(), torch.from_numpy(store.all_features(row.video_id)[0]).float())
    picture, _ = training.labelled_pictures(solos, store, names, False)[0]
    assert picture.dtype == torch.uint8 and picture.shape == (1, tiny.frame_size_px, tiny.frame_size_px, 3)


# The training


def test_the_frame_net_learns_the_instruments(start_run, train_frame_net):
    history = train_frame_net(start_run("02", frame_epochs=6, frame_learning_rate=0.02, channels=16))
    assert list(history.epoch) == [1, 2, 3, 4, 5, 6]
    assert history.loss_train.iloc[-1] < 0.7 * history.loss_train.iloc[0]
    assert history.accuracy_validation.iloc[-1] >= 0.5  # a guess is right in a quarter


@pytest.mark.parametrize(
    "changes",
    [
        {"backbone": "resnet18", "pretrained": False},
        {"loss": "mask"},
        {"mask": "binary", "loss": "mask"},
        {"audio_time_stride": 1},
        {"frequency_axis": "linear"},
        {"optimizer": "sgd"},
        {"precision": "bfloat16"},
        {"n_sources": 3},
    ],
    ids=lambda changes: "-".join(f"{name}={value}" for name, value in changes.items()),
)
def test_every_variant_trains(start_run, train, changes):
    run = start_run(epochs=1, mixtures_per_epoch=4, **changes)
    history = train(run)
    assert len(history) == 1
    assert history[["loss_train", "loss_validation"]].map(math.isfinite).all(axis=None)
    torch.manual_seed(0)
    before = Separator(run.settings, train.net.instruments).state_dict()
    after = train.net.state_dict()
    for part in ("audio_net.down.0.0.weight", "synthesizer.bias", "frame_net.head.weight"):
        assert not torch.equal(before[part], after[part]), part
    trunk = [key for key in before if key.startswith("frame_net.backbone") and key.endswith("weight")]
    assert any(not torch.equal(before[key], after[key]) for key in trunk) == (changes.get("backbone") == "resnet18")


def test_the_trunk_has_its_own_learning_rate(start_run):
    run = start_run(backbone="resnet18", pretrained=False, optimizer="sgd", trunk_learning_rate=1e-5)
    net = Separator(run.settings, run.settings.instruments)
    trunk, rest = training.SeparationTask(net).configure_optimizers()["optimizer"].param_groups
    assert (trunk["lr"], rest["lr"]) == (1e-5, run.settings.learning_rate)
    assert {id(p) for p in trunk["params"]} == {id(p) for p in net.frame_net.backbone.parameters()}


def test_sgd_lowers_its_rate_at_the_epochs_asked_for(start_run, train):
    history = train(start_run(optimizer="sgd", decay_epochs=(1, 2), epochs=3, learning_rate=0.01))
    assert list(history.learning_rate) == pytest.approx([0.01, 0.001, 0.0001])


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 19, 20, 100])
def test_adamw_warms_up_and_cools_down_however_short_the_training(tiny, steps):
    settings = dataclasses.replace(tiny, epochs=1, mixtures_per_epoch=steps * tiny.batch_size)
    found = training.optimizers(torch.nn.Linear(2, 2), settings)
    optimizer, schedule, rates = found["optimizer"], found["lr_scheduler"]["scheduler"], []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            schedule.step()
    assert all(math.isfinite(rate) and rate > 0 for rate in rates)
    if steps > 2:
        assert rates.index(max(rates)) == max(round(0.1 * steps), 2) - 1
        assert max(rates) == pytest.approx(settings.learning_rate) and rates[-1] < 0.01 * rates[0]


def test_si_sdr_of_validation_is_that_of_the_evaluation(start_run, index, store, tiny):
    """Five mixtures, so in two batches, the second of them shorter."""
    run = start_run(epochs=1)
    torch.manual_seed(0)
    net = Separator(run.settings, tiny.instruments)
    mixers = [Mixer(clips.choose(index, split, "solo"), store, run.settings) for split in ("train", "validation")]
    validation = mixtures.listed_loader(mixtures.fixed_list(mixers[1], 5, 2), store, True)
    history = training.fit_separator(net, mixtures.training_loader(mixers[0], True), validation, run)
    pairs = zip(evaluation.references(validation), evaluation.separate_listed(net.eval(), validation), strict=True)
    expected = np.mean([evaluation.si_sdr(true, estimates) for true, estimates in pairs])
    assert history.si_sdr_validation[0] == pytest.approx(expected, abs=1e-3)


def test_the_weights_with_the_least_validation_loss_are_kept(start_run, train, monkeypatch):
    scripted(monkeypatch, [3.0, 1.0, 2.0])
    kept, whole = {}, training.Last.on_train_epoch_end

    def remember(self, trainer, task):
        kept[trainer.current_epoch] = weights(task.net)
        whole(self, trainer, task)

    monkeypatch.setattr(training.Last, "on_train_epoch_end", remember)
    train(start_run(epochs=3))
    assert same_weights(weights(train.net), kept[1])
    assert not same_weights(weights(train.net), kept[2])


def scripted(monkeypatch, losses):
    """Let the validation say what it is told to."""

    def validation_step(self, batch, number):
        self.log("loss_validation", torch.tensor(losses[self.trainer.current_epoch]), batch_size=1)

    monkeypatch.setattr(training.SeparationTask, "validation_step", validation_step)


# Going on


def outcome(run, history, net, label):
    last = torch.load(run.checkpoint(f"{label}_last.ckpt"), weights_only=True)
    return (run.folder / "history.csv").read_bytes(), history, weights(net), last["state_dict"]


def assert_same_outcome(one, other):
    assert one[0] == other[0]
    pd.testing.assert_frame_equal(one[1], other[1], check_exact=True)
    assert same_weights(one[2], other[2])
    assert same_weights(one[3], other[3])


@pytest.mark.parametrize(
    ("optimizer", "place", "calls"),
    [
        ("adamw", ("SeparationTask", "training_step"), 4),  # in the middle of the second epoch
        ("sgd", ("SeparationTask", "training_step"), 6),  # in the third, after the rate has fallen
        ("adamw", ("Last", "on_train_epoch_end"), 2),  # at the end of the second epoch, before its state is saved
    ],
)
def test_a_separator_goes_on_as_if_nothing_had_happened(start_run, train, tmp_path, place, calls, optimizer):
    changes = {"epochs": 3, "optimizer": optimizer, "decay_epochs": (1, 2)}
    whole = start_run(**changes, seed=0)
    uninterrupted = outcome(whole, train(whole), train.net, "separator")
    run = dataclasses.replace(whole, settings=dataclasses.replace(whole.settings, out=str(tmp_path / "killed")))
    with pytest.MonkeyPatch.context() as patch:
        raise_after(patch, getattr(training, place[0]), place[1], calls)
        with pytest.raises(MemoryError):
            train(run)
    assert_same_outcome(outcome(run, train(run), train.net, "separator"), uninterrupted)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize(("calls", "saved"), [(4, 2), (8, 6), (11, 10)])
def test_a_separator_goes_on_within_an_epoch(start_run, train, tmp_path, monkeypatch, calls, saved, optimizer):
    """Epochs of five steps, saved every second one: killed in the middle of the first, second and third."""
    changes = {
        "epochs": 3,
        "optimizer": optimizer,
        "decay_epochs": (1, 2),
        "mixtures_per_epoch": 20,
        "save_every_steps": 2,
    }
    whole = start_run(**changes)
    uninterrupted = outcome(whole, train(whole), train.net, "separator")
    run = dataclasses.replace(whole, settings=dataclasses.replace(whole.settings, out=str(tmp_path / "killed")))
    with pytest.MonkeyPatch.context() as patch:
        raise_after(patch, training.SeparationTask, "training_step", calls)
        with pytest.raises(MemoryError):
            train(run)
    last = torch.load(run.checkpoint("separator_last.ckpt"), weights_only=True)
    assert last["global_step"] == saved
    steps, step = [], training.SeparationTask.training_step
    monkeypatch.setattr(training.SeparationTask, "training_step", lambda *args: steps.append(1) or step(*args))
    assert_same_outcome(outcome(run, train(run), train.net, "separator"), uninterrupted)
    assert len(steps) == 15 - saved  # nothing is trained twice


@pytest.fixture
def clock(monkeypatch):
    """A clock that only trainings move: a second for each step, a hundred for each batch of validation."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    for name, seconds in (("training_step", 1.0), ("validation_step", 100.0)):
        whole = getattr(training.SeparationTask, name)

        def slow(self, batch, number, whole=whole, seconds=seconds):
            clock.now += seconds
            return whole(self, batch, number)

        monkeypatch.setattr(training.SeparationTask, name, slow)
    return clock


@pytest.mark.parametrize("save_every_steps", [200, 1])
def test_seconds_of_training_are_without_validation_and_outlive_a_kill(start_run, train, clock, save_every_steps):
    """Epochs of two steps, killed in the second step of the second: what is done again is not counted twice."""
    run = start_run(epochs=3, save_every_steps=save_every_steps)
    with pytest.MonkeyPatch.context() as patch:
        raise_after(patch, training.SeparationTask, "training_step", 4)
        with pytest.raises(MemoryError):
            train(run)
    clock.now += 1000  # until somebody starts it again
    train(run)
    table = pd.read_csv(run.folder / "clock.csv")
    assert list(table.columns) == ["epoch", "seconds"] and list(table.epoch) == [1, 2, 3]
    assert list(table.seconds) == [2.0, 4.0, 6.0]
    assert "seconds" not in pd.read_csv(run.folder / "history.csv")
    (run.folder / "clock.csv").unlink()
    train(run)  # finished, but says again how long it took
    pd.testing.assert_frame_equal(pd.read_csv(run.folder / "clock.csv"), table)


def test_a_frame_net_goes_on_as_if_nothing_had_happened(start_run, train_frame_net, tmp_path):
    whole = start_run("02", frame_epochs=3)
    uninterrupted = outcome(whole, train_frame_net(whole), train_frame_net.net, "frame_net")
    run = dataclasses.replace(whole, settings=dataclasses.replace(whole.settings, out=str(tmp_path / "killed")))
    with pytest.MonkeyPatch.context() as patch:
        raise_after(patch, training.FrameTask, "training_step", 7)
        with pytest.raises(MemoryError):
            train_frame_net(run)
    assert_same_outcome(outcome(run, train_frame_net(run), train_frame_net.net, "frame_net"), uninterrupted)


def test_the_best_weights_are_still_known_after_an_interruption(start_run, train, monkeypatch, tmp_path):
    """Epoch 2 is the best and the last before the kill; epoch 3 is better than epoch 1, but must not replace it."""
    scripted(monkeypatch, [3.0, 1.0, 2.0])
    whole = start_run(epochs=3)
    train(whole)
    best = weights(train.net)
    run = dataclasses.replace(whole, settings=dataclasses.replace(whole.settings, out=str(tmp_path / "killed")))
    with pytest.MonkeyPatch.context() as patch:
        raise_after(patch, training.SeparationTask, "training_step", 5)
        with pytest.raises(MemoryError):
            train(run)
    train(run)
    assert same_weights(weights(train.net), best)


KILLED = """
import json, os, signal, sys
import torch
from avsep_lib import clips, mixtures, rendered, runs, settings, store, training
from avsep_lib.networks import Separator

torch.set_num_threads(1)
run = runs.begin("03", settings.from_parameters(**json.loads(sys.argv[1])))
index = clips.read_index(rendered.render(run.settings))
kept = store.VideoStore(index, run.settings)
mixers = [mixtures.Mixer(clips.choose(index, split, "solo"), kept, run.settings) for split in ("train", "validation")]
torch.manual_seed(0)
net = Separator(run.settings, run.settings.instruments)
validation = mixtures.listed_loader(mixtures.fixed_list(mixers[1], 2, 2), kept, True)
step, count = training.SeparationTask.training_step, []

def mortal(self, batch, number):
    count.append(number)
    if len(count) == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, number)

training.SeparationTask.training_step = mortal
training.fit_separator(net, mixtures.training_loader(mixers[0], True), validation, run)
"""


def test_a_process_killed_in_training_is_taken_over_by_the_next(start_run, train, store, tmp_path):
    """Killed in the eighth of fifteen steps, the third of its epoch; the sixth was the last that was saved."""
    whole = start_run(epochs=3, mixtures_per_epoch=20, save_every_steps=2)
    uninterrupted = outcome(whole, train(whole), train.net, "separator")
    settings = dataclasses.replace(whole.settings, out=str(tmp_path / "killed"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    child = subprocess.run([sys.executable, "-c", KILLED, json.dumps(to_dict(settings))], env=environment)
    assert child.returncode == -signal.SIGKILL
    run = dataclasses.replace(whole, settings=settings)
    assert torch.load(run.checkpoint("separator_last.ckpt"), weights_only=True)["global_step"] == 6
    assert_same_outcome(outcome(run, train(run), train.net, "separator"), uninterrupted)


def test_a_finished_training_returns_at_once(start_run, train, monkeypatch):
    run = start_run(epochs=2)
    history = train(run)
    trained = weights(train.net)
    raise_after(monkeypatch, training.SeparationTask, "training_step", 1)
    pd.testing.assert_frame_equal(train(run), history)
    assert same_weights(weights(train.net), trained)
    pd.testing.assert_frame_equal(pd.read_csv(run.folder / "history.csv"), history)


@pytest.mark.parametrize("change", [{"learning_rate": 0.5}, {"batch_size": 2}, {"seed": 1}, {"loss": "mask"}])
def test_a_checkpoint_of_other_settings_is_refused_by_name(start_run, train, change):
    run = start_run(epochs=1)
    train(run)
    checkpoint = run.checkpoint("separator_last.ckpt")
    other = start_run(epochs=1, **change)
    if "seed" in change:
        other.checkpoint("separator_last.ckpt").write_bytes(checkpoint.read_bytes())
    (name,) = change
    with pytest.raises(StudyError, match=rf"separator_last.ckpt.*{name} = .*delete"):
        train(other)


def test_settings_that_change_no_weight_may_differ(start_run, train):
    run = start_run(epochs=1)
    history = train(run)
    pd.testing.assert_frame_equal(train(start_run(epochs=1, test_mixtures=3, soft_masks=False, workers=1)), history)


@pytest.mark.parametrize("which", ["last", "best"])
@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_broken_checkpoint_is_named(start_run, train, which, content):
    run = start_run(epochs=1)
    train(run)
    path = run.checkpoint(f"separator_{which}.ckpt")
    path.write_bytes(path.read_bytes()[:5000] if content is None else content)
    with pytest.raises(StudyError, match=rf"separator_{which}.ckpt.*cannot be read"):
        train(run)


def test_a_checkpoint_is_written_whole_or_not_at_all(start_run, train, monkeypatch):
    run = start_run(epochs=2)
    whole = torch.save

    def full_disk(content, target, *args, **kwargs):
        with open(target, "wb") as file:
            file.write(b"half")
        raise OSError("No space left on device")

    def disk_that_fills(content, target, *args, **kwargs):
        if run.checkpoint("separator_last.ckpt").is_file():
            return full_disk(content, target)
        return whole(content, target, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            callbacks.TorchCheckpointIO,
            "save_checkpoint",
            lambda self, content, path, options=None: disk_that_fills(content, path),
        )
        with pytest.raises(OSError, match="No space"):
            train(run)
    folder = run.checkpoint("separator_last.ckpt").parent
    assert {path.name for path in folder.iterdir()} == {"separator_last.ckpt", "separator_best.ckpt"}
    assert len(train(run)) == 2


def test_history_is_printed_epoch_by_epoch_and_nothing_else(start_run, train, capsys):
    train(start_run(epochs=2))
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert len(lines) == 2 and not told.err
    assert "loss_validation" in lines[0] and "2 of 2" in lines[1]


def test_precision_is_what_was_asked_for(start_run):
    assert training.precision(start_run(precision="float32")) == "float32"
    assert training.precision(start_run(precision="bfloat16")) == "bfloat16"
    assert training.precision(start_run(precision="auto")) in ("float32", "bfloat16")
