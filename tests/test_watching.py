"""Pictures are looked at a few at a time, and what each part of them asks for."""

import dataclasses
import weakref

import numpy as np
import torch
from made_duets import RATE_HZ, strip, wave

from avsep_lib import media, watching
from avsep_lib.networks import Backbone, FrameClassifier, FrameNet, Separator
from avsep_lib.separators import BaseSeparator
from avsep_lib.watching import Watched


def test_pictures_are_let_go_as_they_come(separator, duet, monkeypatch):
    pictures, most, plain = [], [], media.frames_at

    class Picture(np.ndarray):
        """Unlike a plain array, it can be watched."""

    def watched_frames(*given):
        for picture in plain(*given):
            most.append(sum(before() is not None for before in pictures))
            own = picture.copy().view(Picture)
            pictures.append(weakref.ref(own))
            yield own

    many = Separator(dataclasses.replace(separator.settings, feature_fps=4.0), separator.instruments).eval()
    monkeypatch.setattr(media, "frames_at", watched_frames)
    seen = watching.look(many, duet.path)
    assert len(pictures) == len(seen.looks) == 16 and max(most) <= 4


def test_players_are_named_by_a_few_pictures_spread_over_the_video(separator, duet, monkeypatch):
    every = watching.look(separator, duet.path)
    monkeypatch.setattr(watching, "_NAMED_BY", 1)
    seen = watching.look(separator, duet.path)
    assert len(seen.looks) == len(every.named) == 4 and 1 <= len(seen.named) < 3
    torch.testing.assert_close(seen.named, every.named[:: 4 // len(seen.named)])


def test_strips_are_named_as_the_classifier_names_a_clip_of_them(separator, duet):
    seen = watching.look(separator, duet.path)
    frames = media.read_frames(duet.path, seen.times_s, separator.settings.frame_size_px)
    with torch.inference_mode():
        features = separator.frame_net.features(torch.from_numpy(frames))
        torch.testing.assert_close(seen.looks, separator.frame_net.pixel_queries(features))
        expected = separator.classifier(features[..., 1:3]).log_softmax(-1)
        torch.testing.assert_close(separator.presence(seen.named[..., 1:3]), expected.exp())
        torch.testing.assert_close(separator.name(seen.named[..., 1:3]), expected)


def test_a_trained_trunk_does_not_name(tiny, duet):
    """Combined training moves its own trunk; names come from the one that learned them."""
    settings = dataclasses.replace(tiny, backbone="resnet18", pretrained=False)
    separator = Separator(settings, tiny.instruments).eval()
    trunk = Backbone("resnet18", pretrained=False)
    separator.start_from(FrameClassifier(FrameNet(trunk, tiny.channels), len(tiny.instruments)))
    named = watching.look(separator, duet.path).named
    with torch.no_grad():
        separator.frame_net.backbone.body[0].weight.zero_()
    torch.testing.assert_close(watching.look(separator, duet.path).named, named)


def test_the_query_of_a_strip_is_its_maximum_by_hand():
    looks = torch.tensor([[[[1.0, 2, 3, 4]], [[9, 0, 0, 0]]], [[[0, 0, 5, 0]], [[0, 1, 2, 0]]]])  # (P, K, h, w)
    players = [strip("flute", 1.0, 0.0, 0.5), strip("tuba", 1.0, 0.5, 1.0)]
    separator = BaseSeparator()
    assert watching.part_queries(separator, looks, players).tolist() == [[2, 9], [5, 2]]
    uneven = [strip("flute", 1.0, 0.0, 0.25), strip("tuba", 1.0, 0.25, 1.0)]
    assert watching.part_queries(separator, looks, uneven).tolist() == [[1, 9], [5, 2]]


def watched(looks, tiny, seconds=3.0):
    return Watched(len(wave(seconds)), looks, looks, np.arange(len(looks)) + 0.5, tiny)


def test_a_window_looks_at_the_pictures_nearest_to_it(tiny):
    looks = torch.arange(6.0).view(6, 1, 1, 1)
    seen = watched(looks, tiny, 6.0)
    assert tiny.frames_per_clip == 2
    for start_s, nearest in ((0, [0, 1]), (2.2, [2, 3]), (4.5, [4, 5])):
        middle = start_s + tiny.clip_s / 2
        assert sorted(np.argsort(np.abs(seen.times_s - middle))[:2]) == nearest
        assert seen.looks_near(int(start_s * RATE_HZ)).flatten().tolist() == nearest
