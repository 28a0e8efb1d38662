"""What came of a duet, in one figure; in the style of :mod:`avsep_lib.plots`.

Used by notebook 05 and ``avsep separate``.
"""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

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
    figure = Picture(figsize=(WIDTH * columns / 3, 5.0), layout="constrained")
    grid = figure.add_gridspec(3, columns, height_ratios=[1.1, 1, 1])
    places = [figure.add_subplot(grid[0, column]) for column in range(3)]
    _draw_places(separation, places, colours, true_boxes)
    start_s, waves = separation.excerpt()
    magnitude = np.abs(_log_magnitudes(waves, settings))
    loudest = float(magnitude[0].max())
    top = figure.add_subplot(grid[1, 0])
    spectrogram(magnitude[0], settings, "log", top, "mixture", loudest, bar=False)
    tracks, shares = [], []
    for n, (player, colour) in enumerate(zip(separation.players, colours, strict=True), start=1):
        tracks.append(figure.add_subplot(grid[1, n]))
        title = f"track: {readable(player.instrument)}"
        spectrogram(magnitude[n], settings, "log", tracks[-1], title, loudest, bar=False)
        shares.append(figure.add_subplot(grid[2, n]))
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
    colour_keys(figure.add_subplot(grid[2, 0]), top.images[0], shares[0].images[0], "share; grey: silence")
    return figure


def _draw_places(separation: Separation, axes: Sequence[Axes], colours: Sequence[str], true_boxes) -> None:
    """Three pictures: the players' strips, the sound map, and whose sound it is."""
    picture = separation.frame
    height, width = picture.shape[:2]
    found = [player.box for player in separation.players]
    sure = ["" if np.isnan(player.confidence) else f"{player.confidence:.0%}" for player in separation.players]
    boxes(picture, found, [player.instrument for player in separation.players], axes[0], sure, "players found")
    energy = draw_map(picture, separation.maps.energy / max(separation.maps.energy.max(), 1e-12), axes[1], 1.0)
    axes[1].set_title("where sound is")
    colour_key(axes[1], energy, "energy, relative", (0.1, -0.12, 0.8, 0.06))
    _draw_owners(separation, axes[2], colours)
    for box in () if true_boxes is None else true_boxes:
        corner, size = (box[0] * width, box[1] * height), ((box[2] - box[0]) * width, (box[3] - box[1]) * height)
        for ax in axes:
            ax.add_patch(Rectangle(corner, *size, fill=False, edgecolor="white", linestyle=":", lw=1))


def _draw_owners(separation: Separation, ax: Axes, colours: Sequence[str]) -> None:
    """The player whose sound each place resembles most, named where most of their energy is."""
    picture = separation.frame
    strength = np.clip(smooth(separation.maps.energy / max(separation.maps.energy.max(), 1e-12), picture.shape), 0, 1)
    owners = np.stack([smooth(owner, picture.shape) for owner in separation.maps.owners])
    owner = owners.argmax(0)
    tint = np.array([to_rgb(colour) for colour in colours])[owner] * 255
    opacity = 0.2 + 0.5 * np.sqrt(strength)[..., None]
    framed(ax, (greyed(picture) * (1 - opacity) + tint * opacity).astype(np.uint8), "whose sound it is")
    for n, (player, colour) in enumerate(zip(separation.players, colours, strict=True)):
        if not (owner == n).any():
            continue
        if not (owner == n).all():
            ax.contour(owner == n, [0.5], colors="white", linewidths=0.8)
        row, column = np.unravel_index(np.where(owner == n, strength, -1).argmax(), owner.shape)
        column = np.clip(column, 0.15 * owner.shape[1], 0.85 * owner.shape[1])
        label = ax.text(column, row, readable(player.instrument), ha="center", va="center", fontsize=6, color="white")
        label.set(bbox={"facecolor": colour, "edgecolor": "white", "linewidth": 0.6, "pad": 1.5}, in_layout=False)


def _log_magnitudes(waves: np.ndarray, settings: Settings) -> np.ndarray:
    """Magnitudes of waves (N, L) on the log axis, (N, F, T)."""
    spec = spectra.stft(torch.from_numpy(np.ascontiguousarray(waves, np.float32)), settings.n_fft, settings.hop)
    return spectra.to_log(spec.abs(), settings.log_bins).numpy()
