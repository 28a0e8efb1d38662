"""Each rival is trained once, for the time of ours, and goes on where it was killed; what it cost is told."""

import dataclasses
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from avsep_lib import networks, rivals, runs, semantic, training
from avsep_lib.networks import FrameClassifier, FrameNet, Separator
from avsep_lib.recipes import OURS, RECIPES
from avsep_lib.settings import StudyError

NAMES = ["semantic", "sound_of_pixels"]
SECONDS = (20.0, 50.0)  # of ours, up to the end of each epoch
CHANGES = {"epochs": 2, "mixtures_per_epoch": 8, "batch_size": 4}


@pytest.fixture(scope="module")
def begun(tiny, store, backbone, tmp_path_factory):
    """A function that gives the settings of a study whose notebooks 02 and 03 have finished, in a new folder."""

    def begun(**changes):
        settings = dataclasses.replace(tiny, out=str(tmp_path_factory.mktemp("rivals")), **CHANGES | changes)
        torch.manual_seed(0)
        net = FrameClassifier(FrameNet(backbone, tiny.channels), len(tiny.instruments))
        first, second = runs.begin("02", settings), runs.begin("03", settings)
        networks.save_frame_classifier(net, settings, tiny.instruments, first.checkpoint("frame_net.pt"))
        first.finish()
        networks.save_separator(Separator(settings, tiny.instruments), second.checkpoint("separator.pt"))
        epochs = pd.DataFrame({"epoch": [1, 2], "loss_train": [0.5, 0.4], "si_sdr_validation": [1.0, 2.0]})
        epochs.to_csv(second.folder / "history.csv", index=False)
        pd.DataFrame({"epoch": [1, 2], "seconds": SECONDS}).to_csv(second.folder / "clock.csv", index=False)
        second.finish()
        return settings

    return begun


@pytest.fixture
def affordable(monkeypatch):
    """Names of the rivals that are measured, each of which is said to afford eight mixtures in an epoch."""
    measured = []
    monkeypatch.setattr(rivals, "_affordable", lambda run, recipe, ours: measured.append(recipe.name) or 8)
    return measured


@pytest.fixture(scope="module")
def study(begun):
    """Settings of a study with two rivals, as if each could afford eight mixtures in an epoch."""
    settings = begun()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rivals, "_affordable", lambda run, recipe, ours: 8)
        rivals.train_rivals(settings, NAMES)
    return settings


def rival(settings, name):
    return runs.Run(settings, f"{name}_seed{settings.seed}", "cpu")


def weights(path):
    return torch.load(path, weights_only=True)["state"]


# How many mixtures


@pytest.mark.parametrize(("step_s", "mixtures"), [(2.0, 8), (0.5, 32), (0.16, 25 * 4), (3.1, 4), (1000.0, 4)])
def test_a_rival_gets_as_many_batches_as_ours_takes_time_for(study, monkeypatch, step_s, mixtures):
    """Ours takes two steps of two seconds for an epoch; the quickest steps count, and the first two of each do not."""
    tapes = {
        "separator": [1, 1, 9, 4, 2, 3, 9, 9, 9, 9],
        "semantic": [0.1, 0.1, 3 * step_s, *[2 * step_s] * 6, step_s],
    }
    asked = []

    def timed(run, recipe):
        asked.append((recipe.name, run.settings))
        return iter(tapes[recipe.name])

    monkeypatch.setattr(rivals, "_timed_steps", timed)
    run = rival(RECIPES["semantic"].settings(study), "semantic")
    assert rivals._affordable(run, RECIPES["semantic"], study) == mixtures
    assert asked == [("semantic", run.settings), ("separator", study)]


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_timed_without_what_happens_between_steps(study, monkeypatch, name):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(rivals, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    kind = semantic.SemanticTask if name == "semantic" else training.SeparationTask
    step = kind.training_step

    def slow(self, batch, number):
        clock.now += number + 1
        return step(self, batch, number)

    monkeypatch.setattr(kind, "training_step", slow)
    found, steps = [], rivals._timed_steps(rival(RECIPES[name].settings(study), name), RECIPES[name])
    for _ in range(5):  # more than an epoch has
        found.append(next(steps))
        clock.now += 100
    assert found == [1, 2, 3, 4, 5]


# Training


def test_a_rival_leaves_its_net_its_history_and_its_time(study):
    for name in NAMES:
        run = rival(study, name)
        assert runs.read_state(run.folder)["finished"]
        settings = runs.reopen(run.folder).settings
        assert settings == dataclasses.replace(RECIPES[name].settings(study), mixtures_per_epoch=8)
        clock = pd.read_csv(run.folder / "clock.csv")
        assert list(clock.epoch) == [1, 2] and 0 < clock.seconds[0] < clock.seconds[1]
    nets = [rivals.load_trained(rival(study, "04"), RECIPES[name]) for name in NAMES]
    assert [type(net) for net in nets] == [semantic.SemanticNet, Separator]
    assert not any(net.training for net in nets)
    assert nets[1].settings.mask == "binary" and nets[1].settings.audio_time_stride == 1
    assert rivals.load_trained(rival(study, "04"), OURS).settings == study


def test_what_is_trained_is_not_trained_again(study, affordable, monkeypatch):
    monkeypatch.setattr(training, "fit", None)
    found = rivals.train_rivals(study, NAMES)
    assert [run.name for run in found] == ["semantic_seed0", "sound_of_pixels_seed0"] and not affordable
    assert rivals.trained(study) == [RECIPES["sound_of_pixels"], RECIPES["semantic"]]  # in the order of the tables


def test_a_rival_goes_on_after_a_kill_with_the_mixtures_it_began_with(study, begun, affordable, monkeypatch):
    settings, calls, step = begun(), [], training.SeparationTask.training_step

    def mortal(self, batch, number):
        calls.append(number)
        if len(calls) == 3:
            raise MemoryError("killed")
        return step(self, batch, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.SeparationTask, "training_step", mortal)
        with pytest.raises(MemoryError):
            rivals.train_rivals(settings, ["sound_of_pixels"])
    assert rivals.trained(settings) == []
    monkeypatch.setattr(rivals, "_affordable", None)  # a second measurement would say something else
    (run,) = rivals.train_rivals(settings, ["sound_of_pixels"])
    assert run.settings.mixtures_per_epoch == 8 and len(affordable) == 1
    whole = rival(study, "sound_of_pixels")
    assert (run.folder / "history.csv").read_bytes() == (whole.folder / "history.csv").read_bytes()
    one, other = (weights(each.checkpoint("sound_of_pixels.pt")) for each in (run, whole))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_a_rival_whose_net_did_not_come_with_its_results_is_trained_anew(begun, affordable):
    settings = begun(epochs=1)
    (run,) = rivals.train_rivals(settings, ["sound_of_pixels"])
    for path in run.checkpoint("sound_of_pixels.pt").parent.glob("sound_of_pixels*"):
        path.unlink()
    assert rivals.trained(settings) == []
    rivals.train_rivals(settings, ["sound_of_pixels"])
    assert len(affordable) == 2 and rivals.trained(settings) == [RECIPES["sound_of_pixels"]]


def test_without_ours_there_is_nothing_to_compare_with(begun, start_run, affordable):
    with pytest.raises(StudyError, match=r"03_seed0: this run has not finished; run notebook 03"):
        rivals.train_rivals(start_run("02").settings, NAMES)
    settings = begun()
    with pytest.raises(StudyError, match="03_seed0: was trained with epochs = 2, not 3; give --set epochs=2"):
        rivals.train_rivals(dataclasses.replace(settings, epochs=3), NAMES)
    with pytest.raises(StudyError, match="recipe 'nobody' is not known"):
        rivals.train_rivals(settings, [*NAMES, "nobody"])
    assert not affordable


# What they cost


def test_histories_tell_seconds_beside_scores(study):
    found = rivals.histories(study, rivals.trained(study))
    assert list(found) == ["Sound of Pixels, binary, log", "semantic mask", "separator"]
    for history in found.values():
        assert list(history.epoch) == [1, 2] and {"seconds", "loss_train"} <= set(history.columns)
    assert tuple(found["separator"].seconds) == SECONDS
    assert "si_sdr_validation" in found["Sound of Pixels, binary, log"]


def test_costs_of_each_trained_net(study):
    run = rival(study, "04")
    table = rivals.costs(run, rivals.trained(study))
    assert list(table.columns) == ["minutes", "mixtures", "parameters", "GFLOP"]
    assert list(table.index) == ["Sound of Pixels, binary, log", "semantic mask", "separator"]
    assert table.minutes["separator"] == SECONDS[-1] / 60
    assert (table.mixtures == 16).all()
    own = Separator(study, study.instruments)
    assert table.parameters["separator"] == sum(p.numel() for p in own.audio_net.parameters())
    assert (table.GFLOP > 0).all()


def test_strided_time_halves_the_work(study):
    settings = dataclasses.replace(study, audio_base_channels=32)
    strides = [dataclasses.replace(settings, audio_time_stride=stride) for stride in (1, 2)]
    whole, half = (rivals._work(Separator(one, study.instruments).eval()) for one in strides)
    assert half == pytest.approx(whole / 2, rel=0.15)


def test_the_work_of_one_convolution_by_hand(study):
    """A net of one level for one class: a convolution down and one up, each bin and step counted twice."""
    settings = dataclasses.replace(study, audio_levels=1, audio_base_channels=5, audio_time_stride=1)
    bins, steps = settings.bins, settings.steps
    down, up = bins // 2 * steps // 2 * 5 * 16, bins * steps * 5 * 9
    assert rivals._work(semantic.SemanticNet(settings, ["flute"]).eval()) == 2 * (down + up)
