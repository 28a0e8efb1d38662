"""Two processes end where one does, batch norms see the whole batch, and what cannot be shared out is refused."""

import dataclasses
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import torch.distributed as dist
from torch import nn

from avsep_lib import combined, networks, parallel, runs, training
from avsep_lib.networks import FrameClassifier, FrameNet
from avsep_lib.settings import StudyError

CHANGES = {"epochs": 2, "mixtures_per_epoch": 12, "batch_size": 4, "save_every_steps": 2}


@pytest.fixture
def begun(tiny, store, backbone, tmp_path):
    """A function that begins a run of notebook 03 where notebook 02 has finished, in a folder of its own."""

    def begun(name, **changes):
        torch.manual_seed(0)
        net = FrameClassifier(FrameNet(backbone, tiny.channels), len(tiny.instruments))
        settings = dataclasses.replace(tiny, out=str(tmp_path / name), **CHANGES, **changes)
        first = runs.begin("02", settings)
        networks.save_frame_classifier(net, settings, tiny.instruments, first.checkpoint("frame_net.pt"))
        first.finish()
        return runs.begin("03", settings)

    return begun


def weights(path):
    return torch.load(path, weights_only=True)["state"]


def assert_close(one, other):
    """Weights and history of two runs agree but for rounding."""
    read = [pd.read_csv(run.folder / "history.csv") for run in (one, other)]
    pd.testing.assert_frame_equal(*read, rtol=1e-4)
    first, second = (weights(run.checkpoint("separator.pt")) for run in (one, other))
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-3, atol=2e-4, msg=name)


MORTAL = """
import os, signal, sys
from avsep_lib import cli, training

step, count = training.SeparationTask.training_step, []

def mortal(self, batch, number):
    count.append(number)
    if len(count) == 6 and os.environ["LOCAL_RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, number)

training.SeparationTask.training_step = mortal
sys.exit(cli.main(["train", sys.argv[1]]))
"""


@pytest.mark.slow
def test_two_processes_one_of_them_killed_end_where_one_process_does(begun, tmp_path, monkeypatch, capsys):
    """torchrun's two are killed in the second epoch; notebook 03's own two go on from the step that was saved."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = begun("alone")
    assert combined.train(alone.folder) == alone.checkpoint("separator.pt")

    together = begun("together", devices=2)
    script = tmp_path / "mortal.py"
    script.write_text(MORTAL)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    killed = subprocess.run([*torchrun, str(script), str(together.folder)], capture_output=True, text=True)
    assert killed.returncode != 0 and "SIGKILL" in killed.stderr, killed.stderr
    saved = torch.load(together.checkpoint("separator_last.ckpt"), weights_only=True)
    assert saved["global_step"] == 5 - 1 and not together.checkpoint("separator.pt").exists()

    separator, train, validation = combined.prepare(together)
    started, start = [], subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda how, **options: started.append(how) or start(how, **options))
    history = training.fit_separator(separator, train, validation, together)
    assert [command[1:] for command in started] == [["-m", "avsep_lib.cli", "train", str(together.folder)]]
    assert "epoch   2 of 2" in capsys.readouterr().out  # what the others print is seen here
    assert_close(together, alone)
    assert list(history.epoch) == [1, 2]
    kept = weights(together.checkpoint("separator.pt"))
    assert all(torch.equal(value, kept[name]) for name, value in separator.state_dict().items() if name in kept)


@pytest.fixture
def group():
    """This process as a group of one."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("training", [True, False])
def test_a_synced_norm_of_one_process_is_a_batch_norm(group, training):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.BatchNorm2d(3)).train(training)
    x, target, outcomes = torch.randn(4, 2, 9, 7), torch.randn(4, 3, 7, 5), []
    start = {name: value.clone() for name, value in net.state_dict().items()}
    for change in (lambda net: net, parallel.SyncOnCpu().apply):
        net.load_state_dict(start)
        y = change(net)(x)
        gradients = torch.autograd.grad((y * target).sum(), list(net.parameters()))
        outcomes.append([y, *gradients, *(value.clone() for value in net.state_dict().values())])
    for one, other in zip(*outcomes, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert type(parallel.SyncOnCpu().revert(net)[1]) is nn.BatchNorm2d


@pytest.mark.parametrize(
    ("environment", "changes", "expected"),
    [
        ({}, {}, (1, 1)),
        ({}, {"devices": 4}, (4, 1)),
        ({}, {"devices": 2, "nodes": 2}, (2, 2)),
        ({"LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "1"}, {}, (2, 2)),
        ({"SLURM_NTASKS": "4", "SLURM_NNODES": "2", "SLURM_PROCID": "1", "SLURM_JOB_NAME": "study"}, {}, (2, 2)),
        ({"SLURM_NTASKS": "1", "SLURM_NNODES": "1", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "study"}, {}, (1, 1)),
        ({"SLURM_NTASKS": "4", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "bash"}, {}, (1, 1)),
    ],
)
def test_processes_are_counted_as_they_were_started(start_run, monkeypatch, environment, changes, expected):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert parallel.processes(start_run(batch_size=8, mixtures_per_epoch=8, **changes)) == expected


def test_every_gpu_is_used_and_more_are_refused(start_run, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    run = dataclasses.replace(start_run(batch_size=8, mixtures_per_epoch=8), device="cuda")
    assert parallel.processes(run) == (4, 1)
    options = parallel.trainer_options(run, together=True)
    assert options["devices"] == 4 and options["strategy"] == "ddp"
    assert type(options["plugins"][0]) is parallel.TorchSyncBatchNorm
    many = dataclasses.replace(run, settings=dataclasses.replace(run.settings, devices=8))
    with pytest.raises(StudyError, match="devices 8 is more than the 4 GPUs"):
        parallel.processes(many)


def test_a_batch_that_cannot_be_shared_out_is_refused(start_run):
    with pytest.raises(StudyError, match=r"batch_size 4 cannot be shared out evenly among 3 processes.*multiple of 3"):
        parallel.processes(start_run(devices=3))


def test_alone_is_one_process_whatever_the_settings_say(start_run):
    options = parallel.trainer_options(start_run(devices=2), together=False)
    assert options["devices"] == 1 and "strategy" not in options


def test_what_train_builds_is_what_notebook_03_builds(begun, tiny):
    """Same seed, same separator and same batches, twice."""
    run, built = begun("twice"), []
    for _ in range(2):
        runs.seed_everything(run.settings.seed)
        separator, train, validation = combined.prepare(run)
        built.append((separator.state_dict(), next(iter(train)), next(iter(validation))))
    for one, other in zip(*built, strict=True):
        assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert separator.instruments == list(tiny.instruments)
    np.testing.assert_array_equal(
        separator.frame_net.head.weight.detach(), separator.classifier.frame_net.head.weight.detach()
    )


def test_train_needs_a_run_whose_frame_net_is_trained(begun, tmp_path, start_run):
    with pytest.raises(StudyError, match=r"is no run, it has no settings\.json"):
        combined.train(tmp_path)
    with pytest.raises(StudyError, match="run notebook 02"):
        combined.train(start_run().folder)


def test_train_begins_a_run_where_only_notebook_02_has_finished(begun, monkeypatch):
    run = begun("unbegun")
    (run.folder / "settings.json").unlink()
    monkeypatch.setattr(training, "fit_separator", lambda *args, **options: None)
    assert combined.train(run.folder) == run.checkpoint("separator.pt")
    assert runs.reopen(run.folder).settings == run.settings


def test_a_training_elsewhere_that_fails_is_named(start_run, capsys):
    run = start_run(devices=2)  # its notebook 02 has not run
    with pytest.raises(StudyError, match=r"avsep train .* exit code 2; its last lines say why"):
        training.fit_separator(None, None, None, run)
    assert "run notebook 02" in capsys.readouterr().out


def test_a_run_is_reopened_where_it_stands_now(begun, tmp_path):
    run = begun("here")
    (tmp_path / "here").rename(tmp_path / "there")
    moved = tmp_path / "there" / run.folder.relative_to(tmp_path / "here")
    again = runs.reopen(moved, devices=2)
    assert again.folder == moved and again.settings.devices == 2
    assert dataclasses.replace(again.settings, out=run.settings.out, devices=0) == run.settings
    (moved.parent / "elsewhere").mkdir()
    (moved / "settings.json").rename(moved.parent / "elsewhere" / "settings.json")
    with pytest.raises(StudyError, match=r"no settings\.json"):
        runs.reopen(moved)
