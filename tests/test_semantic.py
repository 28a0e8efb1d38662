"""The semantic net learns which class sounds in a bin, and what is asked for by class comes out by class."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from avsep_lib import clips, mixtures, networks, semantic, spectra, training
from avsep_lib.networks import FrameClassifier, FrameNet
from avsep_lib.semantic import SemanticNet
from avsep_lib.settings import StudyError

KINDS = ["cross_entropy", "bce"]
LOW_HZ, HIGH_HZ = (150, 500), (1500, 4000)


@pytest.fixture
def net(tiny):
    """Not trained, without background, and with weights large enough that classes differ."""
    torch.manual_seed(0)
    net = SemanticNet(dataclasses.replace(tiny, background_threshold=0.0), tiny.instruments)
    net.audio_net.apply(lambda part: nn.init.normal_(part.weight, 0, 0.3) if isinstance(part, nn.Conv2d) else None)
    return net.eval()


def tones(settings, count, rng):
    """Mixtures of a low and a high tone in either order: sources (B, 2, L) and classes (B, 2)."""
    time_s = np.arange(settings.clip_samples) / settings.sample_rate_hz
    classes = np.array([rng.permutation(2) for _ in range(count)])
    sources = [[0.5 * np.sin(2 * np.pi * rng.uniform(*(LOW_HZ, HIGH_HZ)[c]) * time_s) for c in row] for row in classes]
    return torch.tensor(np.array(sources), dtype=torch.float32), torch.from_numpy(classes)


@pytest.fixture(scope="module", params=KINDS)
def learned(request, tiny):
    """A net that has learned low tones from high ones in forty steps."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    settings = dataclasses.replace(tiny, semantic_loss=request.param, audio_base_channels=8, audio_time_stride=1)
    task = semantic.SemanticTask(SemanticNet(settings, ["low", "high"]))
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-2)
    losses = []
    for number in range(40):
        sources, classes = tones(settings, 4, rng)
        gains = torch.from_numpy(rng.uniform(0, 1, (4, 2)).astype(np.float32))
        loss = task.training_step({"sources": sources, "classes": classes, "gains": gains}, number)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.3 * np.mean(losses[:5])
    return task.net.eval()


def sdr_db(references, estimates):
    noise = ((references - estimates) ** 2).sum(-1)
    return (10 * torch.log10((references**2).sum(-1) / noise)).mean().item()


# What is learned


def test_class_magnitudes_by_hand():
    """Two mixtures of two sources, three classes; the second mixture has one class twice."""
    magnitudes = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]], [[[5.0, 6.0]], [[7.0, 8.0]]]])  # (B, N, F, T)
    found = semantic.class_magnitudes(magnitudes, torch.tensor([[2, 0], [1, 1]]), 3)
    expected = [[[[3.0, 4.0]], [[0.0, 0.0]], [[1.0, 2.0]]], [[[0.0, 0.0]], [[12.0, 14.0]], [[0.0, 0.0]]]]
    assert torch.equal(found, torch.tensor(expected))


def test_losses_by_hand():
    """One mixture of three classes, two bins."""
    magnitudes = torch.tensor([[[[3.0, 0.0]], [[1.0, 2.0]], [[0.0, 0.0]]]])  # (B, C, F, T)
    mixture = torch.tensor([[[4.0, 2.0]]])
    scores = torch.tensor([[[[2.0, -1.0]], [[0.5, 0.0]], [[-3.0, 1.0]]]])
    weight = [math.log(5), math.log(3)]
    shares, binary = [[0.75, 0.25, 0], [0, 1, 0]], [[1, 0, 0], [0, 1, 0]]
    by_share = by_mask = 0.0
    for t in range(2):
        s = [scores[0, c, 0, t].item() for c in range(3)]
        log_sum = math.log(sum(math.exp(x) for x in s))
        by_share -= weight[t] * sum(y * (x - log_sum) for x, y in zip(s, shares[t], strict=True)) / 2
        for x, y in zip(s, binary[t], strict=True):
            p = 1 / (1 + math.exp(-x))
            by_mask -= weight[t] * (2 * y * math.log(p) + (1 - y) * math.log(1 - p)) / 6  # positives count C - 1 = 2
    for kind, expected in zip(KINDS, (by_share, by_mask), strict=True):
        assert semantic.semantic_loss(scores, magnitudes, mixture, kind).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_silent_bins_teach_no_class(kind):
    magnitudes = torch.zeros(1, 3, 1, 2)
    magnitudes[0, 1, 0, 0] = 20.0  # the second bin is silent
    scores = torch.zeros(1, 3, 1, 2, requires_grad=True)
    semantic.semantic_loss(scores, magnitudes, magnitudes.sum(1), kind).backward()
    loud, silent = scores.grad[0, :, 0].unbind(-1)
    assert loud[1] < 0 and (loud[[0, 2]] > 0).all()
    assert silent.abs().max() < 1e-3 * loud.abs().max()
    assert (silent == silent[0]).all()  # the first class is no better than the others


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_reaches_every_weight(tiny, train_mixer, kind):
    torch.manual_seed(0)
    settings = dataclasses.replace(tiny, semantic_loss=kind)
    task = semantic.SemanticTask(SemanticNet(settings, train_mixer.instruments))
    outcome = task.training_step(next(iter(mixtures.training_loader(train_mixer, True))), 0)
    outcome["loss"].backward()
    assert outcome["count"] == tiny.batch_size
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in task.net.parameters())


def test_what_raises_positives_in_the_loss_is_taken_back(tiny):
    """A class that is there in 3 of 10 like bins is learned as probability 0.3, whatever the loss."""
    target, count = 0.3, 4
    net = SemanticNet(dataclasses.replace(tiny, semantic_loss="bce"), tiny.instruments)
    weight = count - 1
    optimum = math.log(weight * target / (1 - target))  # where the derivative of the weighted loss is zero
    net.forward = lambda heard: torch.full((1, count, 2, 2), optimum)
    torch.testing.assert_close(net.probabilities(torch.ones(1, 2, 2)), torch.full((1, count, 2, 2), target))


# The mask


def test_bins_without_a_probable_class_are_background():
    probabilities = torch.tensor([[0.5, 0.2, 0.1], [0.3, 0.3, 0.9]]).view(1, 2, 1, 3)  # (B, C, F, T)
    assert semantic.semantic_mask(probabilities, 0.35).flatten().tolist() == [0, 2, 1]
    assert semantic.semantic_mask(probabilities, 0.0).flatten().tolist() == [0, 1, 1]
    assert semantic.semantic_mask(probabilities, 0.95).flatten().tolist() == [2, 2, 2]


@pytest.mark.parametrize("axis", ["log", "linear"])
def test_hard_masks_of_all_classes_are_disjoint(net, axis):
    net.settings = dataclasses.replace(net.settings, frequency_axis=axis)
    spec = torch.randn(2, 512, 64, dtype=torch.complex64)
    everyone = torch.arange(4).repeat(2, 1)
    with torch.no_grad():
        mask = semantic.masks(net, spec, everyone)
        assert mask.shape == (2, 4, 512, 64) and ((mask == 0) | (mask == 1)).all()
        assert (mask.sum(1) == 1).all()  # nothing is background here
        assert (mask.mean((2, 3)) > 0).sum() > 2  # and several classes are found
        net.settings = dataclasses.replace(net.settings, background_threshold=0.9)
        fewer = semantic.masks(net, spec, everyone)
    assert (fewer <= mask).all() and fewer.sum() < mask.sum()


def test_soft_masks_share_each_bin_among_those_asked_for(net):
    spec = torch.randn(2, 512, 64, dtype=torch.complex64)
    asked = torch.tensor([[2, 0], [1, 1]])
    with torch.no_grad():
        mask = semantic.masks(net, spec, asked, hard=False)
        all_four = semantic.masks(net, spec, torch.arange(4).repeat(2, 1), hard=False)
    torch.testing.assert_close(mask.sum(1), torch.ones(2, 512, 64))
    torch.testing.assert_close(mask[0, 0], all_four[0, 2] / (all_four[0, 2] + all_four[0, 0]))
    torch.testing.assert_close(mask[1], torch.full((2, 512, 64), 0.5))


def test_two_sources_of_one_class_get_one_mask(net):
    with torch.no_grad():
        mask = semantic.masks(net, torch.randn(1, 512, 64, dtype=torch.complex64), torch.tensor([[3, 3]]))
    assert torch.equal(mask[:, 0], mask[:, 1])


# What comes of it


@pytest.mark.parametrize("hard", [True, False])
def test_two_registers_are_learned_and_separated(learned, hard):
    sources, classes = tones(learned.settings, 8, np.random.default_rng(1))
    true, mixture = sources / 2, sources.mean(1)
    asked = {"true": classes, "wrong": classes.flip(1)}
    loader = [{"sources": part} for part in sources.split(3)]
    found = {
        name: sdr_db(true, torch.from_numpy(np.stack(semantic.separate_listed(learned, loader, given, hard))))
        for name, given in asked.items()
    }
    floor = sdr_db(true, mixture.unsqueeze(1).expand_as(true))
    assert found["true"] > floor + 8
    assert found["wrong"] < floor


def test_solos_are_heard_as_what_they_are(learned):
    sources, classes = tones(learned.settings, 12, np.random.default_rng(2))
    assert (semantic.heard(learned, sources.flatten(0, 1)) == classes.flatten()).float().mean() > 0.8


@pytest.mark.parametrize(("threshold", "expected"), [(0.0, [1, 0, 2]), (0.5, [1, 2, 2]), (0.8, [2, 2, 2])])
def test_what_is_heard_has_most_of_the_energy(tiny, threshold, expected):
    """A net that takes low bins for class 0 and, surer, high ones for class 1; then the same of silence."""
    settings = dataclasses.replace(tiny, background_threshold=threshold, frequency_axis="linear")
    net = SemanticNet(settings, ["low", "high"])
    low, high = ((torch.arange(512)[:, None] < 256) * 0.4), ((torch.arange(512)[:, None] >= 256) * 0.7)
    net.probabilities = lambda magnitude: torch.stack([low, high]).expand(len(magnitude), 2, 512, magnitude.shape[-1])
    time_s = torch.arange(tiny.clip_samples) / tiny.sample_rate_hz
    one, other = torch.sin(2 * torch.pi * 500 * time_s), torch.sin(2 * torch.pi * 4000 * time_s)
    waves = torch.stack([one + 2 * other, 2 * one + other, 0 * one])
    assert semantic.heard(net, waves).tolist() == expected


def test_estimates_of_a_list_come_in_its_order(net, test_mixer, store, tiny):
    listed = mixtures.fixed_list(test_mixer, 5, 2)
    loader = mixtures.listed_loader(listed, store, True, test_mixer.instruments)
    classes = torch.cat([batch["classes"] for batch in loader])
    estimates = semantic.separate_listed(net, loader, classes)
    assert len(estimates) == 5
    sources = torch.cat([batch["sources"] for batch in loader])[4]
    spec = spectra.stft(sources.mean(0), tiny.n_fft, tiny.hop)
    with torch.no_grad():
        mask = semantic.masks(net, spec[None], classes[4:])[0]
    alone = spectra.istft(spectra.apply_mask(spec, mask), tiny.n_fft, tiny.hop, tiny.clip_samples)
    np.testing.assert_allclose(estimates[4], alone, atol=1e-5)
    assert estimates[4].dtype == np.float32


def test_pictures_say_the_class_in_the_mean_over_themselves(backbone):
    torch.manual_seed(0)
    classifier = FrameClassifier(FrameNet(backbone, 6), 5).eval()
    classifier.linear.weight.data *= 20
    features = torch.rand(3, 2, 4, 1280, 2, 2)  # (B, N, P, C, h, w)
    found = semantic.said(classifier, features)
    assert found.shape == (3, 2) and found.dtype == torch.int64
    with torch.no_grad():
        each = torch.stack([classifier(features[1, 0, p : p + 1]).softmax(-1) for p in range(4)])
    assert found[1, 0] == each.mean(0).argmax()
    assert torch.equal(semantic.said(classifier, features.roll(1, 0)), found.roll(1, 0))


# Training and keeping


def test_a_semantic_net_is_trained_and_what_other_settings_began_is_refused(start_run, index, store):
    run = start_run("04", epochs=2)
    mixers = {name: mixtures.Mixer(clips.choose(index, name, "solo"), store, run.settings) for name in clips.SPLITS}
    names = mixers["train"].instruments
    listed = mixtures.fixed_list(mixers["validation"], 3, 2)

    def train():
        torch.manual_seed(0)
        net = SemanticNet(run.settings, names)
        batches = mixtures.training_loader(mixers["train"], True)
        validation = mixtures.listed_loader(listed, store, True, names)
        task = semantic.SemanticTask(net)
        return net, training.fit(task, batches, validation, run, run.settings.epochs, "semantic")

    net, history = train()
    assert list(history.epoch) == [1, 2] and np.isfinite(history.loss_validation).all()
    assert run.checkpoint("semantic_last.ckpt").is_file()
    run.settings = dataclasses.replace(run.settings, background_threshold=0.6)  # says nothing about the training
    again, _ = train()
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True))
    run.settings = dataclasses.replace(run.settings, semantic_loss="bce")
    with pytest.raises(StudyError, match="semantic_loss = cross_entropy"):
        train()


def test_the_other_nets_do_not_mind_the_loss_of_the_semantic_one(tiny, tmp_path):
    path = tmp_path / "last.ckpt"
    torch.save({"settings": {"semantic_loss": "bce"}, "global_step": 7}, path)
    settings = training.Settings(semantic_loss="cross_entropy")
    assert training._steps_done(path, settings, "separator") == training._steps_done(path, settings, "frame_net") == 7


def test_a_checkpoint_comes_back_whole(net, tmp_path):
    path = tmp_path / "semantic.pt"
    semantic.save_semantic(net, path)
    back = semantic.load_semantic(path)
    assert back.instruments == net.instruments and back.settings == net.settings and not back.training
    heard = torch.randn(1, 64, 64)
    with torch.no_grad():
        assert torch.equal(back(heard), net(heard))


def test_checkpoints_of_other_nets_are_refused_by_name(net, tiny, tmp_path):
    path = tmp_path / "semantic.pt"
    with pytest.raises(StudyError, match=r"semantic\.pt: there is no such checkpoint"):
        semantic.load_semantic(path)
    networks.save_separator(networks.Separator(tiny, tiny.instruments), path)
    with pytest.raises(StudyError, match=r"semantic\.pt: made with other settings"):
        semantic.load_semantic(path)
    net.settings = dataclasses.replace(net.settings, audio_base_channels=8)
    semantic.save_semantic(net, path)
    with pytest.raises(StudyError, match=r"semantic\.pt: made with other settings, audio_net"):
        semantic.load_semantic(path)
