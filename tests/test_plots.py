import json
import re

import numpy as np
import pytest
import torch
from looking import drawn, texts
from matplotlib.colors import to_hex, to_rgb

from avsep_lib import plots, runs, spectra
from avsep_lib.settings import INSTRUMENTS, PROJECT_ROOT, from_parameters


@pytest.fixture
def settings(tmp_path):
    return from_parameters("smoke", out=str(tmp_path))


@pytest.mark.parametrize("axis", ["linear", "log"])
def test_tone_is_drawn_at_its_frequency(settings, axis):
    tone_hz = 1000
    time_s = torch.arange(settings.clip_samples) / settings.sample_rate_hz
    spec = spectra.stft(torch.sin(2 * torch.pi * tone_hz * time_s), settings.n_fft, settings.hop).abs()
    magnitude = spectra.warp(spec, axis, 256)
    ax = plots.spectrogram(magnitude, settings, axis).axes[0]
    row_of_tick = dict(zip(texts(ax), ax.get_yticks(), strict=True))["1000"]
    row_of_tone = float(magnitude.mean(-1).argmax())
    assert abs(row_of_tick - row_of_tone) <= 1.5
    assert ax.get_ylabel() == "frequency (Hz)" and ax.get_xlabel() == "time (s)"


def test_spectrogram_is_in_decibels_below_the_loudest(settings):
    magnitude = np.full((64, 8), 1e-9)
    magnitude[3], magnitude[9] = 10.0, 1.0
    shown = plots.spectrogram(magnitude, settings).axes[0].images[0].get_array()
    assert shown.max() == pytest.approx(0) and shown.min() == pytest.approx(plots.FLOOR_DB)
    assert shown[9, 0] == pytest.approx(-20)
    quieter = plots.spectrogram(magnitude, settings, loudest=100.0).axes[0].images[0].get_array()
    assert quieter.max() == pytest.approx(-20)


def test_a_given_ax_is_used(settings):
    figure = plots.Picture()
    left, right = figure.subplots(1, 2)
    assert plots.mask(np.eye(64), settings, ax=left) is figure
    assert plots.waveform(np.sin(np.arange(999)), 100, right) is figure
    assert right.get_xlim()[1] == pytest.approx(9.99)


def test_same_figure_is_the_same_file_and_says_where_it_came_from(settings):
    run = runs.begin("01", settings)
    contents = []
    for _ in range(2):
        path = plots.save_figure(plots.waveform(np.ones(50), 10), run, "01_wave", "A wave.")
        contents.append([path.with_suffix(kind).read_bytes() for kind in (".png", ".pdf")])
    assert contents[0] == contents[1]
    assert b"/FontFile2" in contents[0][1], "fonts are embedded as TrueType"
    assert path.parent == run.figures_folder and path.parent.is_relative_to(run.folder), "smoke keeps its own figures"
    told = json.loads(path.with_suffix(".json").read_text())
    assert told["caption"] == "A wave." and told["run"] == "01_seed0" and told["settings"]["preset"] == "smoke"
    assert {path.with_suffix(kind) for kind in (".png", ".pdf", ".json")} <= set(run.made)


def test_a_figure_is_shown_once_as_a_picture():
    data, size = plots.waveform(np.ones(50), 10)._repr_png_()
    assert data.startswith(b"\x89PNG") and size["width"] == pytest.approx(plots.WIDTH * 110, abs=1)


def test_instruments_have_colours_of_their_own():
    colours = [to_rgb(plots.instrument_colour(name)) for name in INSTRUMENTS]
    distances = [np.abs(np.subtract(a, b)).sum() for i, a in enumerate(colours) for b in colours[:i]]
    assert min(distances) > 0.2
    assert plots.instrument_colour("kazoo") == plots.instrument_colour("kazoo")
    assert len(set(plots.player_colours(["cello", "cello"]))) == 2


def test_methods_differ_without_colour():
    looks = [
        plots.method_look(name) for name in ("mixture", "NMF", "separator", "ideal binary mask", "ideal ratio mask")
    ]
    greys = [(round(np.dot(to_rgb(look["facecolor"]), (0.3, 0.59, 0.11)), 1), look["hatch"]) for look in looks]
    assert len(set(greys)) == len(greys)


def test_masks_panel_has_a_row_for_each_source(settings):
    values = torch.rand(3, 64, 20)
    pictures = np.zeros((3, 8, 8, 3), np.uint8)
    figure = plots.masks_panel(
        values.sum(0), values, {"ideal": values, "predicted": values}, settings, INSTRUMENTS[:3], pictures
    )
    titles = [ax.get_title(loc="left") for ax in drawn(figure).axes]
    assert [title for title in titles if title] == ["mixture", "accordion", "in the mixture", "ideal", "predicted",
                                                    "acoustic guitar", "cello"]  # fmt: skip
    assert sum(len(ax.images) for ax in figure.axes) == 1 + 3 * 4
    drawn(plots.masks_panel(values.sum(0), values, {}, settings, INSTRUMENTS[:3]))


def test_heat_map_is_bright_where_the_map_is():
    maps = np.zeros((2, 7, 7), np.float32)
    maps[0, 1, 5] = maps[1, 5, 1] = 1
    figure = drawn(plots.heat_maps(np.full((70, 70, 3), 128, np.uint8), maps, ["a", "b"]))
    for ax, place in zip(figure.axes, ((15, 55), (55, 15)), strict=False):
        shown = ax.images[-1].get_array()
        assert shown.shape == (70, 70)
        assert np.abs(np.subtract(np.unravel_index(shown.argmax(), shown.shape), place)).max() <= 2


def test_gallery_and_boxes_can_be_drawn():
    picture = np.zeros((40, 60, 3), np.uint8)
    assert len(drawn(plots.frames([picture] * 7, list("abcdefg"))).axes) == 12
    ax = drawn(plots.boxes(picture, [(0, 0, 0.5, 1), (0.5, 0, 1, 1)], ["flute", "tuba"])).axes[0]
    assert [text.get_text() for text in ax.texts] == ["flute", "tuba"]


def test_every_committed_figure_has_a_caption():
    folder = PROJECT_ROOT / "figures"
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| .+ \|$", (folder / "README.md").read_text(), re.MULTILINE)
    slugs = [slug for slug, _ in rows]
    assert len(set(slugs)) == len(slugs) and slugs == sorted(slugs, key=lambda slug: slug[:2])
    assert {path.stem for path in folder.iterdir() if path.suffix in (".png", ".pdf", ".json")} <= set(slugs)


def test_methods_are_told_apart_by_colour_hatch_or_shade():
    pixels = [f"Sound of Pixels, {kind}, {axis}" for kind in ("ratio", "binary") for axis in ("linear", "log")]
    learned = [*pixels, "semantic mask", "separator"]
    for name in learned:
        ways = [name, f"{name}, true class given", f"{name}, shuffled pictures"]
        own, given, shuffled = (plots.grey(plots.method_look(way)["facecolor"]) for way in ways)
        assert own + 0.03 < given < shuffled - 0.03
    names = ["mixture", "NMF, blind", "NMF, instruments known", "robust PCA", *learned, "semantic mask, weighted BCE",
             "ideal binary mask", "ideal ratio mask"]  # fmt: skip
    looks = {(plots.method_look(name)["facecolor"], plots.method_look(name)["hatch"]) for name in names}
    assert len(looks) == len(names)
    darkest = min(names, key=lambda name: plots.grey(plots.method_look(name)["facecolor"]))
    assert darkest == "separator"


def test_only_a_plus_between_names_is_spaced():
    assert plots.readable("acoustic_guitar+flute") == "acoustic guitar + flute"
    assert plots.readable("+ deeper audio net") == "+ deeper audio net"


def semantic_example():
    """Class 1 below, class 4 above, background between; one stray bin of class 2."""
    classes = np.full((64, 40), len(INSTRUMENTS))
    classes[:20], classes[40:], classes[30, 30] = 1, 4, 2
    return classes


def test_semantic_mask_draws_its_classes_and_names_the_large_ones(settings):
    classes = semantic_example()
    figure = drawn(plots.semantic_mask(classes, INSTRUMENTS, settings))
    ax = figure.axes[0]
    np.testing.assert_array_equal(ax.images[0].get_array(), classes)
    shown = ax.images[0].to_rgba(classes)
    assert to_hex(shown[0, 0]) == plots.instrument_colour(INSTRUMENTS[1]).lower()
    assert to_hex(shown[25, 0]) == plots.NOTHING.lower()
    names = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert set(names) == {plots.readable(INSTRUMENTS[n]) for n in (1, 4)}, "not the stray one"
    assert names[plots.readable(INSTRUMENTS[1])] < 20 and names[plots.readable(INSTRUMENTS[4])] >= 40
    legend = [text.get_text() for text in figure.legends[0].texts]
    assert legend == [*(plots.readable(INSTRUMENTS[n]) for n in (1, 2, 4)), "background"]
    assert ax.get_ylabel() == "frequency (Hz)" and ax.get_xlabel() == "time (s)"


def test_silence_has_a_semantic_mask_without_names(settings):
    figure = drawn(plots.semantic_mask(np.full((64, 40), len(INSTRUMENTS)), INSTRUMENTS, settings))
    assert not figure.axes[0].texts and len(figure.legends[0].texts) == 1


@pytest.mark.parametrize("count", [0, 2])
def test_semantic_panel_has_one_legend(settings, count):
    classes = semantic_example()
    pictures, names = [np.zeros((8, 8, 3), np.uint8)] * count, list(INSTRUMENTS[:count])
    figure = drawn(
        plots.semantic_panel(np.ones((64, 40)), classes, classes[::-1], INSTRUMENTS, settings, "log", pictures, names)
    )
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert [title for title in titles if title] == [
        *(plots.readable(name) for name in names), "mixture", "true semantic mask", "predicted semantic mask"
    ]  # fmt: skip
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.texts][-1] == "background" and len(legend.texts) == 4
    true, predicted = (ax.images[0].get_array() for ax in figure.axes if "semantic" in ax.get_title(loc="left"))
    np.testing.assert_array_equal(true, predicted[::-1])


def test_loudest_class_of_each_bin_and_background_below_the_floor():
    magnitudes = np.array([[[1.0, 0.1, 2e-4]], [[0.5, 0.2, 1e-4]]])
    assert plots.loudest_classes(magnitudes, [3, 7], 11).tolist() == [[3, 7, 11]]


def test_a_name_stands_on_its_class_even_in_a_crowd(settings):
    classes = np.full((64, 40), len(INSTRUMENTS))
    for n in range(8):
        classes[5 * n : 5 * n + 4, 2 * n : 2 * n + 20] = n
    texts = drawn(plots.semantic_mask(classes, INSTRUMENTS, settings)).axes[0].texts
    assert len(texts) == 6, "no more than can be read"
    for text in texts:
        time_s, row = text.get_position()
        step = round(time_s * settings.sample_rate_hz / settings.hop)
        assert plots.readable(INSTRUMENTS[classes[int(row), step]]) == text.get_text()
