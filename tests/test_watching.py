"""Pictures are looked at a few at a time, and each player gets the part of them that shows their instrument."""

import dataclasses
import weakref

import numpy as np
import pytest
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


def test_strips_are_named_as_the_classifier_names_a_clip_of_them(separator, duet):
    seen = watching.look(separator, duet.path)
    frames = media.read_frames(duet.path, seen.times_s, separator.settings.frame_size_px)
    with torch.inference_mode():
        features = separator.frame_net.features(torch.from_numpy(frames))
        torch.testing.assert_close(seen.looks, separator.frame_net.pixel_queries(features))
        expected = separator.classifier(features[..., 1:3]).log_softmax(-1)
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


NAMES = ["cello", "flute", "tuba"]


def painted(*names, height=2):
    """Queries (K, h, w) of a picture whose columns each show one instrument, or nothing."""
    queries = torch.zeros(len(NAMES), height, len(names))
    for column, name in enumerate(names):
        if name:
            queries[NAMES.index(name), :, column] = 1.0
    return queries


@pytest.fixture
def sees():
    """A separator that reads painted queries."""
    separator = BaseSeparator()
    separator.instruments, separator.name = NAMES, lambda named: (8 * named.amax((-2, -1))).log_softmax(-1)
    return separator


@pytest.mark.parametrize("widths", [(5, 5), (3, 7), (7, 3), (2, 8), (4, 3, 3), (2, 4, 4)])
def test_the_cut_that_names_each_part_best_is_found(sees, widths):
    shown = NAMES[: len(widths)][::-1]
    columns = [name for name, width in zip(shown, widths, strict=True) for _ in range(width)]
    players = watching.find_players(sees, painted(*columns), len(widths))
    assert [player.instrument for player in players] == shown
    edges = np.cumsum((0, *widths)) / 10
    assert [player.part[0] for player in players] == pytest.approx(edges[:-1])
    assert [player.part[2] for player in players] == pytest.approx(edges[1:])
    assert min(player.confidence for player in players) > 0.9


def test_names_are_given_to_the_parts_that_show_them(sees):
    picture = painted(*["flute"] * 4, *["tuba"] * 6)
    right = watching.find_players(sees, picture, 2, ["tuba", "flute"])
    assert [(player.instrument, player.part[0]) for player in right] == [("flute", 0), ("tuba", 0.4)]
    partly = watching.find_players(sees, picture, 2, ["tuba", "cello"])
    assert [player.instrument for player in partly] == ["cello", "tuba"]
    assert partly[0].confidence < 0.1 < 0.9 < partly[1].confidence
    twice = watching.find_players(sees, picture, 1, ["flute", "flute"])
    assert [player.instrument for player in twice] == ["flute", "flute"]


def test_a_picture_that_says_nothing_is_cut_evenly(sees):
    players = watching.find_players(sees, painted(*[None] * 8), 2)
    assert [(player.part[0], player.part[2]) for player in players] == [(0, 0.5), (0.5, 1)]


def test_the_query_of_a_strip_is_its_maximum_by_hand():
    looks = torch.tensor([[[[1.0, 2, 3, 4]], [[9, 0, 0, 0]]], [[[0, 0, 5, 0]], [[0, 1, 2, 0]]]])  # (P, K, h, w)
    players = [strip("flute", 1.0, 0.0, 0.5), strip("tuba", 1.0, 0.5, 1.0)]
    separator = BaseSeparator()
    assert watching.part_queries(separator, looks, players).tolist() == [[2, 9], [5, 2]]
    uneven = [strip("flute", 1.0, 0.0, 0.25), strip("tuba", 1.0, 0.25, 1.0)]
    assert watching.part_queries(separator, looks, uneven).tolist() == [[1, 9], [5, 2]]


def watched(looks, tiny, seconds=3.0):
    return Watched(len(wave(seconds)), looks, looks.amax(0), np.arange(len(looks)) + 0.5, tiny)


def test_a_window_looks_at_the_pictures_nearest_to_it(tiny):
    looks = torch.arange(6.0).view(6, 1, 1, 1)
    seen = watched(looks, tiny, 6.0)
    assert tiny.frames_per_clip == 2
    for start_s, nearest in ((0, [0, 1]), (2.2, [2, 3]), (4.5, [4, 5])):
        middle = start_s + tiny.clip_s / 2
        assert sorted(np.argsort(np.abs(seen.times_s - middle))[:2]) == nearest
        assert seen.looks_near(int(start_s * RATE_HZ)).flatten().tolist() == nearest
