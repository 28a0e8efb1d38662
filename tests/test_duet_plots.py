import dataclasses

import numpy as np
import pytest
from looking import drawn
from made_duets import made_maps, made_separation, strip

from avsep_lib import duet_plots, duets, media, plots
from avsep_lib.settings import INSTRUMENTS, from_parameters
from avsep_lib.sound_maps import SoundMaps


@pytest.fixture
def settings(tmp_path):
    return from_parameters("smoke", out=str(tmp_path))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_duet_panel_draws_every_player(settings, tmp_path, count):
    rng = np.random.default_rng(0)
    players = [strip(name, 0.9, n / count, (n + 1) / count) for n, name in enumerate(INSTRUMENTS[:count])]
    estimates = rng.normal(size=(count, 20_000)).astype(np.float32)
    paths = [tmp_path / f"{n}.wav" for n in range(count + 1)]
    for path, sound in zip(paths, [estimates.sum(0), *estimates], strict=True):
        media.write_audio(path, sound, settings.sample_rate_hz)
    separation = duets.Separation(
        paths[0], players, paths[1:], 20_000, made_maps(rng.random((7, 12)).astype(np.float32),
        np.full((count, 7, 12), 1 / count, np.float32)), np.zeros((96, 170, 3), np.uint8), settings.sample_rate_hz,
    )  # fmt: skip
    figure = drawn(duet_plots.duet_panel(separation, settings, np.array([[0.1, 0.1, 0.4, 0.9]])))
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles.count("its share of the mixture") == count
    assert [title for title in titles if title.startswith("track")] == [
        f"track: {plots.readable(player.instrument)}" for player in players
    ]


def test_duet_panel_draws_the_middle_minute_of_a_long_video(settings, tmp_path):
    samples = 70 * settings.sample_rate_hz
    media.write_audio(tmp_path / "a.wav", np.random.default_rng(0).normal(size=samples), settings.sample_rate_hz)
    separation = duets.Separation(
        tmp_path / "a.wav", [strip("tuba", 0.9, 0.0, 1.0)], [tmp_path / "a.wav"], samples, made_maps(np.ones((2, 4)),
        np.ones((1, 2, 4))), np.zeros((96, 170, 3), np.uint8), settings.sample_rate_hz,
    )  # fmt: skip
    panels = [ax for ax in duet_plots.duet_panel(separation, settings).axes if ax.get_xlabel() == "time (s)"]
    assert panels
    for ax in panels:
        assert ax.get_xlim() == pytest.approx((5, 65), abs=0.1)


def test_places_are_named_and_silence_has_no_share(settings, tmp_path):
    samples = 20_000
    tone = np.sin(2 * np.pi * 1000 * np.arange(samples) / settings.sample_rate_hz).astype(np.float32)
    tone[samples // 2 :] = 0
    media.write_audio(tmp_path / "a.wav", tone, settings.sample_rate_hz)
    energy = np.full((6, 12), 0.1, np.float32)
    energy[3, 2] = energy[3, 9] = 1
    owners = np.zeros((2, 6, 12), np.float32)
    owners[0, :, :6] = owners[1, :, 6:] = 0.55
    owners[1, :, :6] = owners[0, :, 6:] = 0.45
    players = [strip("accordion", 0.9, 0.0, 0.5), strip("violin", 0.9, 0.5, 1.0)]
    separation = duets.Separation(
        tmp_path / "a.wav", players, [tmp_path / "a.wav"] * 2, samples, made_maps(energy, owners),
        np.full((96, 192, 3), 128, np.uint8), settings.sample_rate_hz,
    )  # fmt: skip
    figure = drawn(duet_plots.duet_panel(separation, settings))
    panels = {ax.get_title(loc="left"): ax for ax in figure.axes}
    owned = panels["whose sound it is"]
    names = {text.get_text(): text.get_position()[0] for text in owned.texts}
    assert names["accordion"] < 96 < names["violin"]
    left, right = owned.images[0].get_array()[56, [40, 150]].astype(int)
    assert np.abs(left - right).sum() > 60, "close shares, yet colours that are far apart"
    share = panels["its share of the mixture"].images[0].get_array()
    assert np.ma.getmaskarray(share)[:, -8:].all(), "nothing is shown in silence"
    assert share.max() == pytest.approx(1) and not np.ma.getmaskarray(share)[:, :20].all()
    assert {"energy, relative", "level (dB)", "share; grey: silence"} <= {
        bar.get_xlabel() for ax in figure.axes for bar in ax.child_axes
    }


def moving_maps(count, moments, shape=(6, 12)):
    """A sound that moves from the first player to the last; the lowest row is like no player, the highest is silent."""
    course = np.zeros((moments, *shape), np.float32)
    owners = np.full((count, *shape), 1 / count, np.float32)
    clusters = np.full(shape, count)
    clusters[0] = -1
    width = shape[1] // count
    for n in range(count):
        owners[:, 1:-1, n * width : (n + 1) * width] = 0.1 / max(count - 1, 1)
        owners[n, 1:-1, n * width : (n + 1) * width] = 0.9
        clusters[1:-1, n * width : (n + 1) * width] = n
        course[n * moments // count : (n + 1) * moments // count, 1:-1, n * width : (n + 1) * width] = 1 + n
    return SoundMaps(course.mean(0), owners, clusters, course, np.arange(moments) + 0.5, owners)


@pytest.mark.parametrize(("count", "moments"), [(1, 1), (2, 4), (4, 90)])
def test_sound_map_panel_draws_the_course_and_the_clusters(tmp_path, count, moments):
    players = [strip(name, 0.9, n / count, (n + 1) / count) for n, name in enumerate(INSTRUMENTS[:count])]
    separation = dataclasses.replace(
        made_separation(tmp_path / "a.mp4", players), maps=moving_maps(count, moments),
        frame=np.full((96, 192, 3), 128, np.uint8),
    )  # fmt: skip
    figure = drawn(duet_plots.sound_map_panel(separation))
    panels = {ax.get_title(loc="left"): ax for ax in figure.axes}
    names = [plots.readable(player.instrument) for player in players]
    assert [text.get_text() for text in panels["places that sound alike"].texts] == names
    keys = [text.get_text() for text in panels["places that sound alike"].get_legend().get_texts()]
    assert keys == ["like no player", "silent"]
    colours = panels["places that sound alike"].images[0].get_array().astype(int)
    assert np.ptp(colours[5], axis=-1).max() == 0 and np.ptp(colours[48], axis=-1).min() > 20  # silence has no colour
    times = [title for title in panels if title.endswith(" s")]
    assert len(times) == min(moments, 6) and times[0] == "0.5 s" and times[-1] == f"{moments - 0.5:.1f} s"
    lines = next(ax for ax in figure.axes if ax.get_xlabel() == "time (s)").lines[:count]
    if count > 1:
        assert lines[0].get_ydata()[0] > 3 * lines[-1].get_ydata()[0]
        assert lines[-1].get_ydata()[-1] > 3 * lines[0].get_ydata()[-1]


def test_sound_map_panel_of_silence(tmp_path):
    separation = made_separation(tmp_path / "a.mp4", [strip("tuba", 0.9, 0.0, 1.0)])
    nothing = np.zeros((2, 4), np.float32)
    maps = SoundMaps(nothing, np.ones((1, 2, 4)), np.full((2, 4), -1), nothing[None], np.array([0.5]), nothing[None])
    assert drawn(duet_plots.sound_map_panel(dataclasses.replace(separation, maps=maps)))
