import json

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from avsep_lib import plots, runs, spectra
from avsep_lib.settings import INSTRUMENTS, from_parameters


@pytest.fixture
def settings(tmp_path):
    return from_parameters("smoke", out=str(tmp_path))


def drawn(figure):
    """Drawing is where a wrong layout or label fails."""
    figure.canvas.draw()
    return figure


def texts(ax):
    return [label.get_text() for label in ax.get_yticklabels()]


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
