import json

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgb

from avsep_lib import duets, media, plots, runs, spectra
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


def metrics(methods=("mixture", "separator")):
    rng = np.random.default_rng(0)
    rows = [
        {"method": method, "mixture": mixture, "source": n, "video_id": f"{name}-{mixture}", "instrument": name,
         "sdr_db": level + rng.normal(), "silent": ""}
        for level, method in enumerate(methods)
        for mixture in range(6)
        for n, name in enumerate(("flute", "tuba"))
    ]  # fmt: skip
    return pd.DataFrame(rows)


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


def test_bars_carry_means_and_intervals():
    table = pd.DataFrame({"SDR": [-1.0, 8.25], "from": [-2.0, 7.5], "to": [0.0, 9.0]}, index=["mixture", "separator"])
    ax = drawn(plots.method_bars(table)).axes[0]
    assert texts(ax) == ["mixture", "separator"]
    assert [text.get_text().strip() for text in ax.texts] == ["-1.00", "8.25"]
    assert [bar.get_width() for bar in ax.patches] == [-1.0, 8.25]
    ends = [
        container.lines[2][0].get_segments()[0][:, 0].tolist()
        for container in ax.containers
        if hasattr(container, "lines")
    ]
    assert ends == [[-2.0, 0.0], [7.5, 9.0]]


@pytest.mark.parametrize(("by", "groups"), [("instrument", {"tuba", "flute"}), ("pair", {"flute + tuba"})])
def test_boxes_are_grouped_and_counted(by, groups):
    table = metrics()
    table.loc[0, "sdr_db"] = np.nan
    ax = drawn(plots.score_boxes(table, by)).axes[0]
    assert {label.rsplit(" ", 1)[0] for label in texts(ax)} == groups
    assert ax.get_xlabel().startswith("SDR (dB)")
    assert all(label.endswith("(12)" if by == "pair" else "(6)") for label in texts(ax))


def test_confusion_shows_counts_and_shares():
    ax = drawn(plots.confusion([[3, 1], [0, 0]], ["flute", "tuba"])).axes[0]
    assert [text.get_text() for text in ax.texts] == ["3", "1"]
    assert ax.images[0].get_array().tolist() == [[0.75, 0.25], [0, 0]]


def test_history_draws_what_there_is():
    table = pd.DataFrame({"epoch": [1, 2], "loss_train": [2.0, 1.0], "loss_validation": [2.1, 1.5]})
    assert len(drawn(plots.history(table)).axes) == 1
    figure = drawn(plots.history(table.assign(accuracy_validation=[0.2, 0.9])))
    assert [ax.get_ylabel() for ax in figure.axes] == ["loss", "accuracy (share)"]
    assert [len(ax.lines) for ax in figure.axes] == [2, 1]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_duet_panel_draws_every_player(settings, tmp_path, count):
    rng = np.random.default_rng(0)
    players = [duets.Player(name, 0.9, n / count, (n + 1) / count) for n, name in enumerate(INSTRUMENTS[:count])]
    estimates = rng.normal(size=(count, 20_000)).astype(np.float32)
    paths = [tmp_path / f"{n}.wav" for n in range(count + 1)]
    for path, sound in zip(paths, [estimates.sum(0), *estimates], strict=True):
        media.write_audio(path, sound, settings.sample_rate_hz)
    separation = duets.Separation(
        paths[0], players, paths[1:], 20_000, rng.random((7, 12)).astype(np.float32),
        np.full((count, 7, 12), 1 / count, np.float32), np.zeros((96, 170, 3), np.uint8), settings.sample_rate_hz,
    )  # fmt: skip
    figure = drawn(plots.duet_panel(separation, settings, np.array([[0.1, 0.1, 0.4, 0.9]])))
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles.count("its share of the mixture") == count
    assert [title for title in titles if title.startswith("track")] == [
        f"track: {plots.readable(player.instrument)}" for player in players
    ]


def test_duet_panel_draws_the_middle_minute_of_a_long_video(settings, tmp_path):
    samples = 70 * settings.sample_rate_hz
    media.write_audio(tmp_path / "a.wav", np.random.default_rng(0).normal(size=samples), settings.sample_rate_hz)
    separation = duets.Separation(
        tmp_path / "a.wav", [duets.Player("tuba", 0.9, 0.0, 1.0)], [tmp_path / "a.wav"], samples, np.ones((2, 4)),
        np.ones((1, 2, 4)), np.zeros((96, 170, 3), np.uint8), settings.sample_rate_hz,
    )  # fmt: skip
    panels = [ax for ax in plots.duet_panel(separation, settings).axes if ax.get_xlabel() == "time (s)"]
    assert panels
    for ax in panels:
        assert ax.get_xlim() == pytest.approx((5, 65), abs=0.1)


def test_gallery_counts_and_boxes_can_be_drawn():
    picture = np.zeros((40, 60, 3), np.uint8)
    assert len(drawn(plots.frames([picture] * 7, list("abcdefg"))).axes) == 12
    ax = drawn(plots.boxes(picture, [(0, 0, 0.5, 1), (0.5, 0, 1, 1)], ["flute", "tuba"])).axes[0]
    assert [text.get_text() for text in ax.texts] == ["flute", "tuba"]
    counts = pd.DataFrame({"train": [4, 2], "validation": [1, 0], "test": [2, 1]}, index=["acoustic_guitar", "tuba"])
    ax = drawn(plots.clips_per_instrument(counts)).axes[0]
    assert texts(ax) == ["acoustic guitar", "tuba"]
    assert [text.get_text().strip() for text in ax.texts] == ["7", "3"]
