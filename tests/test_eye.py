"""The eye: what ImageNet's classes tell about instruments, summed as its table says, and at the right place."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from avsep_lib import eye as eyes
from avsep_lib.eye import EVIDENCE, UNSEEN, Eye, imagenet_classes
from avsep_lib.settings import MUSIC_21, StudyError

CLASSES = imagenet_classes()
NOTHING = "tench"  # a fish: tells of no instrument
GRID = 7


@pytest.fixture(scope="module")
def eye():
    return Eye()


@pytest.fixture(scope="module")
def pictures():
    """Four different pictures, smooth, and nowhere the same left and right: uint8 (4, 96, 96, 3)."""
    coarse = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 255
    return F.interpolate(coarse, (96, 96), mode="bicubic").clamp(0, 255).byte().permute(0, 2, 3, 1)


class Colours(nn.Module):
    """A backbone whose features are how red, green and blue each place is, from 0 to 1."""

    def forward(self, pictures):
        return F.adaptive_avg_pool2d(pictures.permute(0, 3, 1, 2) / 255, GRID)


def with_head(eye, features, bias, **weights):
    """A copy of an eye whose head is as linear as told: a bias of one class, weights of one feature each."""
    copied = copy.deepcopy(eye)
    copied.head = nn.Linear(features, 1000).requires_grad_(False)
    for parameter in copied.head.parameters():
        parameter.zero_()
    copied.head.bias[CLASSES.index(bias)] = 100
    for name, feature in weights.items():
        copied.head.weight[CLASSES.index(name), feature] = 200
    return copied


def certain(eye, name):
    """An eye that is sure that every picture is one of ImageNet's classes."""
    return with_head(eye, 1280, name)


@pytest.fixture
def colour_eye(eye):
    """An eye that sees a cello in what is more than half red, a flute in what is more than half blue."""
    colour_eye = with_head(eye, 3, NOTHING, cello=0, flute=2)
    colour_eye.backbone = Colours()
    return colour_eye


def painted(height, width, red=(0, 0), blue=(0, 0)):
    """A black picture with columns of it in red and in blue: (1, height, width, 3)."""
    picture = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    picture[:, :, slice(*red), 0] = picture[:, :, slice(*blue), 2] = 255
    return picture


# The table


def test_the_table_is_of_the_instruments_and_of_classes_that_there_are():
    assert tuple(EVIDENCE) == MUSIC_21 and set(UNSEEN) <= set(MUSIC_21)
    told = [name for row in EVIDENCE.values() for name in row]
    assert len(CLASSES) == 1000 and all(CLASSES.count(name) == 1 for name in told)
    assert all(weight > 0 for row in EVIDENCE.values() for weight in row.values())


@pytest.mark.parametrize("wrong", [("cello", "kazoo"), ()])
def test_unknown_instruments_are_refused(wrong):
    with pytest.raises(StudyError, match="kazoo" if wrong else "no instruments"):
        Eye(wrong)


# Probabilities


@pytest.mark.parametrize(
    "looks_like, instrument",
    [
        ("accordion", "accordion"), ("acoustic guitar", "acoustic_guitar"), ("cello", "cello"), ("oboe", "clarinet"),
        ("bow", "erhu"), ("flute", "flute"), ("sax", "saxophone"), ("cornet", "trumpet"), ("French horn", "tuba"),
        ("violin", "violin"), ("marimba", "xylophone"), ("banjo", "banjo"), ("grand piano", "piano"),
        ("electric guitar", "electric_bass"), (NOTHING, "erhu"),
    ],
)  # fmt: skip
def test_what_is_surely_seen_names_the_instrument(eye, pictures, looks_like, instrument):
    assert MUSIC_21[certain(eye, looks_like).probabilities(pictures[:1]).argmax()] == instrument


def test_probabilities_are_the_sums_of_the_table(eye, pictures):
    told = torch.tensor([EVIDENCE[name].get("trombone", 0) + UNSEEN.get(name, 0.001) for name in MUSIC_21])
    torch.testing.assert_close(certain(eye, "trombone").probabilities(pictures[:1]), told / told.sum())


def test_probabilities_sum_to_one_and_know_no_order(eye, pictures):
    said = eye.probabilities(pictures)
    assert said.shape == (21,) and said.dtype == torch.float32 and (said > 0).all()
    assert said.sum().item() == pytest.approx(1, abs=1e-5)
    torch.testing.assert_close(eye.probabilities(pictures.flip(0)), said, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(eye.probabilities(pictures.flip(2)), said, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(eye.probabilities(pictures[:1]), said, rtol=1e-2)


def test_instruments_come_in_the_order_that_is_asked_for(eye, pictures):
    few = ("violin", "cello", "tuba")
    among_all = eye.probabilities(pictures[:1])[[MUSIC_21.index(name) for name in few]]
    torch.testing.assert_close(Eye(few).probabilities(pictures[:1]), among_all / among_all.sum())


def test_pictures_count_alike_however_many_there_are(colour_eye, monkeypatch):
    monkeypatch.setattr(eyes, "_AT_ONCE", 2)
    cello, flute = painted(32, 32, red=(0, 32)), painted(32, 32, blue=(0, 32))
    said = colour_eye.probabilities(torch.cat([cello, cello, cello, flute, flute]))
    rest = 0.001 * 19 + sum(UNSEEN.values())
    assert said[MUSIC_21.index("cello")].item() == pytest.approx((0.6 + 0.001) / (1 + rest), abs=1e-4)
    assert said[MUSIC_21.index("flute")].item() == pytest.approx((0.4 + 0.001) / (1 + rest), abs=1e-4)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("where", [(0, 32), (64, 96)])
def test_a_long_picture_is_also_seen_at_its_ends(colour_eye, turned, where):
    picture = painted(32, 96, red=where)  # a third of it, too little to be seen in the whole
    said = colour_eye.probabilities(picture.transpose(1, 2) if turned else picture)
    rest = 0.001 * 19 + sum(UNSEEN.values())
    assert said[MUSIC_21.index("cello")].item() == pytest.approx((0.25 + 0.001) / (0.25 + rest), abs=1e-4)


# Places


def told_at_places(eye, pictures):
    """What the table tells of each place: (P, C, h, w)."""
    return eye.told(eye.logits(pictures).movedim(1, -1)).movedim(-1, 1)


def test_logits_are_of_each_picture_at_places_of_its_own_shape(eye, pictures):
    seen = eye.logits(pictures)
    assert seen.shape == (4, 1000, 10, 10) and seen.dtype == torch.float32
    torch.testing.assert_close(eye.logits(pictures[2:3])[0], seen[2], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "size, grid", [((90, 160), (8, 13)), ((160, 90), (13, 8)), ((50, 100), (7, 14)), ((20, 400), (5, 20))]
)
def test_places_are_nearly_square_and_about_a_hundred(eye, size, grid):
    assert eye.logits(torch.zeros(1, *size, 3, dtype=torch.uint8)).shape[-2:] == grid


def test_what_is_told_is_the_sum_of_the_table_and_no_distribution(eye):
    logits = torch.zeros(2, 1000)
    logits[0, CLASSES.index("trombone")] = logits[1, CLASSES.index(NOTHING)] = 100
    told = eye.told(logits)
    torch.testing.assert_close(told[0], torch.tensor([EVIDENCE[name].get("trombone", 0.0) for name in MUSIC_21]))
    assert told[1].max() < 1e-30


def test_weights_above_one_lift_no_instrument_beside_others(eye):
    assert EVIDENCE["tuba"]["French horn"] > 1
    logits = torch.zeros(1000)
    logits[CLASSES.index("French horn")], logits[CLASSES.index("cornet")] = 50.0, 50.0  # a half each
    told = eye.told(logits)
    assert told[MUSIC_21.index("tuba")].item() == pytest.approx(told[MUSIC_21.index("trumpet")].item()) == 0.5
    assert eye.told(logits, alone=True)[MUSIC_21.index("tuba")] == 1


def test_a_part_is_told_as_a_picture_of_it_pooled(eye, pictures):
    """The head is linear, so the mean of logits is what it says of the mean of features."""
    with torch.no_grad():
        wide = eyes._resized(pictures, 320, 320)
        features = (eye.backbone(wide) + eye.backbone(wide.flip(2)).flip(3)) / 2
        expected = eye.head(features[..., 2:6].mean((-2, -1)))
    torch.testing.assert_close(eye.logits(pictures)[..., 2:6].mean((-2, -1)), expected, rtol=1e-3, atol=1e-3)


def test_places_of_a_mirrored_picture_are_mirrored(eye, pictures):
    seen, mirrored = eye.logits(pictures), eye.logits(pictures.flip(2))
    torch.testing.assert_close(mirrored, seen.flip(3), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(mirrored, seen, rtol=0.1)


@pytest.mark.parametrize("size", [(56, 56), (40, 210), (280, 70)])
def test_places_are_where_the_instruments_are(colour_eye, size):
    height, width = size
    seventh = width // GRID
    seen = told_at_places(colour_eye, painted(height, width, red=(0, 2 * seventh), blue=(5 * seventh, width)))[0]
    columns = {name: seen[MUSIC_21.index(name)].mean(0) for name in ("cello", "flute", "violin")}
    torch.testing.assert_close(columns["cello"], torch.tensor([1.0, 1, 0, 0, 0, 0, 0]), rtol=0, atol=1e-3)
    torch.testing.assert_close(columns["flute"], torch.tensor([0.0, 0, 0, 0, 0, 1, 1]), rtol=0, atol=1e-3)
    assert columns["violin"].amax() < 1e-3


# What it refuses, and what it is


@pytest.mark.parametrize(
    "wrong",
    [torch.zeros(1, 8, 8, 3), torch.zeros(8, 8, 3, dtype=torch.uint8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
     torch.zeros(0, 8, 8, 3, dtype=torch.uint8)],
)  # fmt: skip
def test_what_is_no_picture_is_refused(eye, wrong):
    for ask in (eye.probabilities, eye.logits):
        with pytest.raises(ValueError, match="not uint8"):
            ask(wrong)


def test_nothing_of_it_is_trained(eye):
    assert not any(parameter.requires_grad for parameter in eye.parameters())
    assert not any(module.training for module in Eye(["cello"]).modules())
