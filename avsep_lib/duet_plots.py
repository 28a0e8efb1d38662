"""What came of a duet, and who sounds where in it, in a figure each; in the style of :mod:`avsep_lib.plots`.

Used by notebook 05 and ``avsep separate``.
"""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from avsep_lib import spectra
from avsep_lib.duets import Separation
from avsep_lib.plots import (
    FLOOR_DB,
    NOTHING,
    WIDTH,
    Picture,
    boxes,
    colour_key,
    colour_keys,
    draw_map,
    framed,
    greyed,
    mask,
    outer_labels,
    player_colours,
    readable,
    smooth,
    spectrogram,
)
from avsep_lib.settings import Settings

_LIKE_NOBODY = "#F2F2F2"

_TALLEST, _AROUND, _ROW = 2.6, 0.72, 1.65  # inches: of a picture, of its title and colour bar, of a row of spectrograms


def duet_panel(separation: Separation, settings: Settings, true_boxes: np.ndarray | None = None) -> Figure:
    """What came of a video: who was found where, who sounds where, and the mixture with the share of each player.

    Parameters
    ----------
    separation : Separation
        As ``duets.separate_video`` gives it.
    settings : Settings
        Those of the separator.
    true_boxes : float array, shape (N, 4), optional
        As ``rendered.read_truth`` gives them, drawn dotted: x0, y0, x1, y1 as shares of the picture.

    Notes
    -----
    Top: the strips of the players, the energy of the sound of each place, and whose sound each place has: in the colour
    of the player it resembles most, strong where there is energy, with a white line between players. Middle: the
    mixture and each track, on one scale. Bottom: the share of each track in the mixture, grey where the mixture is
    60 dB below its loudest bin. Frequencies are on the log axis. Of a video of more than a minute, the minute in
    its middle is drawn.
    """
    count = len(separation.players)
    columns = max(3, count + 1)
    colours = player_colours([player.instrument for player in separation.players])
    width, (high, wide) = WIDTH * columns / 3, separation.frame.shape[:2]
    heights = [min(width / 3 * high / wide, _TALLEST) + _AROUND, 2 * _ROW]
    whole = Picture(figsize=(width, sum(heights)), layout="constrained")
    pictures, figure = whole.subfigures(2, 1, height_ratios=heights)
    _draw_places(separation, pictures.subplots(1, 3), colours, true_boxes)
    grid = figure.add_gridspec(2, columns)
    start_s, waves = separation.excerpt()
    magnitude = np.abs(_log_magnitudes(waves, settings))
    loudest = float(magnitude[0].max())
    top = figure.add_subplot(grid[0, 0])
    spectrogram(magnitude[0], settings, "log", top, "mixture", loudest, bar=False)
    tracks, shares = [], []
    for n, (player, colour) in enumerate(zip(separation.players, colours, strict=True), start=1):
        tracks.append(figure.add_subplot(grid[0, n]))
        title = f"track: {readable(player.instrument)}"
        spectrogram(magnitude[n], settings, "log", tracks[-1], title, loudest, bar=False)
        shares.append(figure.add_subplot(grid[1, n]))
        share = np.clip(magnitude[n] / np.maximum(magnitude[0], spectra.LOG_FLOOR), 0, 1)
        share[magnitude[0] < loudest * 10 ** (FLOOR_DB / 20)] = np.nan  # the share of next to nothing is noise
        shares[-1].set_facecolor(NOTHING)
        mask(share, settings, "log", shares[-1], "its share of the mixture", bar=False)
        for ax in (tracks[-1], shares[-1]):
            ax.title.set_color(colour)
    for image in (ax.images[0] for ax in (top, *tracks, *shares)):
        left, right, *rows = image.get_extent()
        image.set_extent((left + start_s, right + start_s, *rows))
    outer_labels([top, *tracks], last=False)
    outer_labels(shares, last=True, first=False)  # as in the row above
    colour_keys(figure.add_subplot(grid[1, 0]), top.images[0], shares[0].images[0], "share; grey: silence")
    return whole


def sound_map_panel(separation: Separation, moments: int = 6) -> Figure:
    """Who sounds where in a video: the energy of each place, places that sound alike, and both over time.

    Parameters
    ----------
    separation : Separation
        As ``duets.separate_video`` gives it.
    moments : int
        Maps of the course that are drawn, at most; they lie evenly over the video.

    Notes
    -----
    Top: the mean energy of the sound of each place, and clusters of places by their sound, in the colour of the player
    whom each is most like; light where a cluster is like nobody, without colour where it is silent. Middle: the energy
    at some moments, on one scale. Bottom: the energy of the places of each player over time, relative to the largest.
    """
    maps, count = separation.maps, len(separation.maps.course)
    colours = player_colours([player.instrument for player in separation.players])
    shape = separation.frame.shape[0] / separation.frame.shape[1]
    chosen = np.unique(np.linspace(0, count - 1, moments).round().astype(int))
    heights = [WIDTH / 2 * shape + 0.9, WIDTH / moments * shape + 0.2, 0.95]
    figure = Picture(figsize=(WIDTH, sum(heights)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)
    rows = figure.add_gridspec(3, 1, height_ratios=heights)
    energy, alike = rows[0].subgridspec(1, 2).subplots()
    image = draw_map(separation.frame, maps.energy / max(maps.energy.max(), 1e-12), energy, 1.0)
    energy.set_title("where sound is")
    colour_key(energy, image, "energy, relative", (0.2, -0.09, 0.6, 0.05))
    _draw_clusters(separation, alike, colours)
    strip = rows[1].subgridspec(1, moments, wspace=0.03).subplots(squeeze=False)[0]
    largest = max(maps.course.max(), 1e-12)
    for ax, moment in zip(strip, [*chosen, *[None] * (moments - len(chosen))], strict=True):
        if moment is None:
            ax.set_axis_off()
            continue
        draw_map(separation.frame, maps.course[moment] / largest, ax, 1.0)
        ax.set_title(f"{maps.times_s[moment]:.1f} s", fontsize=7, pad=2)
    _draw_course(separation, figure.add_subplot(rows[2]), colours, maps.times_s[chosen])
    return figure


def _draw_clusters(separation: Separation, ax: Axes, colours: Sequence[str]) -> None:
    """Clusters of places by their sound over the greyed picture, each in the colour of a player."""
    picture, clusters, count = separation.frame, separation.maps.clusters, len(separation.players)
    kinds = np.arange(-1, count + 1)
    found = kinds[np.stack([smooth(clusters == kind, picture.shape) for kind in kinds]).argmax(0)]
    tints = np.array([to_rgb(colour) for colour in [*colours, _LIKE_NOBODY, "black"]]) * 255
    opacity = np.array([*[0.55] * count, 0.6, 0.0])[found][..., None]  # -1, silent, takes the last
    framed(ax, (greyed(picture) * (1 - opacity) + tints[found] * opacity).astype(np.uint8), "places that sound alike")
    _name_places(separation, ax, found, _strength(separation), colours)
    keys = [Patch(facecolor=_LIKE_NOBODY, label="like no player")] if (clusters == count).any() else []
    keys += [Patch(facecolor="#8A8A8A", label="silent")] if (clusters == -1).any() else []
    if keys:
        ax.legend(handles=keys, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=2, borderaxespad=0.2)


def _draw_course(separation: Separation, ax: Axes, colours: Sequence[str], shown_s: np.ndarray) -> None:
    """A line for each player: the energy of the places that sound like them; ticks at the moments shown above."""
    maps = separation.maps
    lines = np.einsum("nhw,chw->nc", maps.owners, maps.course)
    lines /= max(lines.max(), 1e-12)
    for n, (player, colour) in enumerate(zip(separation.players, colours, strict=True)):
        look = {"linestyle": ("-", "--", "-.", ":")[n % 4], "marker": "o" if len(maps.times_s) < 60 else ""}
        ax.plot(maps.times_s, lines[n], color=colour, label=readable(player.instrument), markersize=2.5, **look)
    for time_s in shown_s:
        ax.axvline(time_s, color=NOTHING, linewidth=0.8, zorder=0)
    ax.set(xlabel="time (s)", ylabel="energy", ylim=(0, 1.08), yticks=[0, 0.5, 1], xlim=(0, None))
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.05), handlelength=2.4)


def _draw_places(separation: Separation, axes: Sequence[Axes], colours: Sequence[str], true_boxes) -> None:
    """Three pictures: where the players are seen, the sound map, and whose sound it is."""
    picture = separation.frame
    height, width = picture.shape[:2]
    found = [player.box for player in separation.players]
    sure = ["" if np.isnan(player.confidence) else f"{player.confidence:.0%}" for player in separation.players]
    boxes(picture, found, [player.instrument for player in separation.players], axes[0], sure, "players found")
    energy = draw_map(picture, separation.maps.energy / max(separation.maps.energy.max(), 1e-12), axes[1], 1.0)
    axes[1].set_title("where sound is")
    colour_key(axes[1], energy, "energy, relative", (0.1, -0.12, 0.8, 0.06))
    _draw_owners(separation, axes[2], colours)
    for ax in axes:
        ax.set_anchor("N")
    for box in () if true_boxes is None else true_boxes:
        corner, size = (box[0] * width, box[1] * height), ((box[2] - box[0]) * width, (box[3] - box[1]) * height)
        for ax in axes:
            ax.add_patch(Rectangle(corner, *size, fill=False, edgecolor="white", linestyle=":", lw=1))


def _draw_owners(separation: Separation, ax: Axes, colours: Sequence[str]) -> None:
    """The player whose sound each place resembles most, named where most of their energy is."""
    picture = separation.frame
    strength = _strength(separation)
    owners = np.stack([smooth(owner, picture.shape) for owner in separation.maps.owners])
    owner = owners.argmax(0)
    tint = np.array([to_rgb(colour) for colour in colours])[owner] * 255
    opacity = 0.2 + 0.5 * np.sqrt(strength)[..., None]
    framed(ax, (greyed(picture) * (1 - opacity) + tint * opacity).astype(np.uint8), "whose sound it is")
    _name_places(separation, ax, owner, strength, colours)


def _strength(separation: Separation) -> np.ndarray:
    """Energy of each place at the size of the picture, from 0 to 1."""
    energy = separation.maps.energy
    return np.clip(smooth(energy / max(energy.max(), 1e-12), separation.frame.shape), 0, 1)


def _name_places(separation: Separation, ax: Axes, owner: np.ndarray, strength, colours: Sequence[str]) -> None:
    """Outline the places (H, W) of each player, and name them where most of their energy is and no name stands."""
    (height, width), taken = owner.shape, []
    for n, (player, colour) in enumerate(zip(separation.players, colours, strict=True)):
        if not (owner == n).any():
            continue
        if not (owner == n).all():
            ax.contour(owner == n, [0.5], colors="white", linewidths=0.8)
        row, column = np.unravel_index(np.where(owner == n, strength, -1).argmax(), owner.shape)
        column = np.clip(column, 0.15 * width, 0.85 * width)
        rows = [row + 0.16 * height * away for away in (0, 1, -1, 2, -2, 3, -3)]
        near = [y for y, x in taken if abs(x - column) < 0.3 * width]
        free = [y for y in rows if 0 <= y < height and all(abs(y - other) > 0.15 * height for other in near)]
        row = free[0] if free else row
        taken.append((row, column))
        label = ax.text(column, row, readable(player.instrument), ha="center", va="center", fontsize=6, color="white")
        label.set(bbox={"facecolor": colour, "edgecolor": "white", "linewidth": 0.6, "pad": 1.5}, in_layout=False)


def _log_magnitudes(waves: np.ndarray, settings: Settings) -> np.ndarray:
    """Magnitudes of waves (N, L) on the log axis, (N, F, T)."""
    spec = spectra.stft(torch.from_numpy(np.ascontiguousarray(waves, np.float32)), settings.n_fft, settings.hop)
    return spectra.to_log(spec.abs(), settings.log_bins).numpy()
