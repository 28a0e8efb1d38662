"""Figures of the study: data and an optional ``ax`` in, a figure out, all in one style.

Made to be read in print, in grey, and by colour-blind eyes: an instrument and a method keep their colour throughout,
and no meaning hangs on colour alone. Spectrograms are in dB below their loudest bin. Axes of arrays: N sources, F bins,
T steps, P pictures, H W of a picture, h w of a map. Used by every notebook.
"""

import io
import zlib
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator
from PIL import Image

from avsep_lib import files, spectra
from avsep_lib.duets import Separation
from avsep_lib.runs import Run
from avsep_lib.settings import Settings

WIDTH = 6.3  # inches, the text width of an A4 page
FLOOR_DB = -60.0  # what is quieter is drawn as black
_SHOWN_HZ = {"linear": (0, 1000, 2000, 3000, 4000, 5000, 10_000), "log": (0, 100, 250, 500, 1000, 2000, 5000, 10_000)}

INK = "#222222"
_INSTRUMENTS = {
    "accordion": "#332288", "acoustic_guitar": "#CC6677", "cello": "#117733", "clarinet": "#88CCEE",
    "erhu": "#882255", "flute": "#DDAA33", "saxophone": "#44AA99", "trumpet": "#EE7733", "tuba": "#0077BB",
    "violin": "#AA4499", "xylophone": "#999933",
}  # fmt: skip
_METHODS = (  # part of a method's name, colour, hatch: floors grey, ceilings hatched, what was learned in colour
    ("shuffled", "#E69F00", ""), ("mixture", "#D5D5D5", ""), ("nmf", "#9A9A9A", ""), ("binary", "#F2F2F2", "////"),
    ("ratio", "#F2F2F2", "...."), ("separator", "#0B5A8A", ""),
)  # fmt: skip
_SPLITS = {"train": "#0B5A8A", "validation": "#E69F00", "test": "#C9DDEA"}

# One style for every figure, also for those that a notebook draws itself; fonts are embedded in a PDF as TrueType.
matplotlib.rcParams.update({
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7,
    "legend.fontsize": 7, "legend.frameon": False, "axes.spines.top": False, "axes.spines.right": False,
    "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6, "lines.linewidth": 1.4,
    "axes.edgecolor": INK, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.titlelocation": "left", "hatch.linewidth": 0.6, "figure.dpi": 110, "pdf.fonttype": 42, "image.cmap": "magma",
})  # fmt: skip


class Picture(Figure):
    """A figure that a notebook shows once, as the value of a cell, at twice the resolution of the screen."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        data = io.BytesIO()
        self.savefig(data, format="png", dpi=1.5 * self.dpi)
        return data.getvalue(), {"width": round(self.get_figwidth() * self.dpi)}


def save_figure(figure: Figure, run: Run, slug: str, caption: str) -> Path:
    """Save a figure of the study as PNG, as PDF, and as JSON that says where it came from.

    Parameters
    ----------
    figure : Figure
    run : Run
        Says the folder; the files are added to what the run made.
    slug : str
        Number of the notebook and a name, such as ``01_masks``.
    caption : str
        What the thesis prints below it.

    Returns
    -------
    Path
        Of the PNG.
    """
    paths = [run.figures_folder / f"{slug}.{kind}" for kind in ("png", "pdf", "json")]
    with files.atomic(paths[0]) as temporary:
        figure.savefig(temporary, dpi=180, metadata={"Software": None})
    with files.atomic(paths[1]) as temporary:
        # Without a date, the same figure is the same file.
        figure.savefig(temporary, dpi=300, metadata={"CreationDate": None, "Producer": None, "Creator": None})
    files.write_json(paths[2], {"caption": caption, **run.provenance()})
    run.made += paths
    return paths[0]


def save_picture(figure: Figure, path: str | Path) -> Path:
    """Save a figure that belongs to no run as PNG; gives back its path."""
    with files.atomic(path) as temporary:
        figure.savefig(temporary, dpi=180, metadata={"Software": None})
    return Path(path)


def instrument_colour(name: str) -> str:
    """The colour of an instrument, the same in every figure; an unknown name gets one of them, always the same."""
    return _INSTRUMENTS.get(name) or list(_INSTRUMENTS.values())[zlib.crc32(name.encode()) % len(_INSTRUMENTS)]


def player_colours(instruments: Sequence[str]) -> list[str]:
    """Colours of instruments; where two are the same, those of places in the picture."""
    if len(set(instruments)) == len(instruments):
        return [instrument_colour(name) for name in instruments]
    return list(_INSTRUMENTS.values())[: len(instruments)]


def method_look(name: str) -> dict[str, str]:
    """Face colour, edge and hatch of a method, the same in every figure."""
    known = ((colour, hatch) for part, colour, hatch in _METHODS if part in name.lower())
    colour, hatch = next(known, ("#56B4E9", ""))
    return {"facecolor": colour, "edgecolor": INK, "hatch": hatch, "linewidth": 0.6}


def readable(name: str) -> str:
    """``acoustic_guitar`` as *acoustic guitar*, ``cello+flute`` as *cello + flute*."""
    return str(name).replace("_", " ").replace("+", " + ")


def clips_per_instrument(counts: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Videos of each instrument by split: ``counts`` as ``clips.counts`` gives it, instruments by splits."""
    figure, ax = _canvas(ax, (WIDTH, 0.6 + 0.24 * len(counts)))
    left = np.zeros(len(counts))
    rows = np.arange(len(counts))
    for split, numbers in counts.items():
        ax.barh(rows, numbers, left=left, height=0.7, color=_SPLITS[split], edgecolor="white", label=split)
        left += numbers.to_numpy()
    for row, total in zip(rows, left, strict=True):
        ax.text(total, row, f" {total:.0f}", va="center", fontsize=7)
    ax.set_yticks(rows, [readable(name) for name in counts.index])
    ax.set(xlabel="solo videos", xlim=(0, left.max() * 1.06))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return figure


def waveform(sound: np.ndarray, sample_rate_hz: int, ax: Axes | None = None, title: str = "") -> Figure:
    """Samples (L,) over time, as the range within each of at most 1500 columns."""
    figure, ax = _canvas(ax, (WIDTH, 1.3))
    parts = np.array_split(np.asarray(sound), min(1500, len(sound)))
    times = np.linspace(0, len(sound) / sample_rate_hz, len(parts))
    ax.fill_between(times, [p.min() for p in parts], [p.max() for p in parts], color=_SPLITS["train"], linewidth=0.4)
    limit = max(float(np.abs(sound).max()), 1e-3) * 1.05
    ax.set(xlabel="time (s)", ylabel="amplitude", xlim=(0, times[-1]), ylim=(-limit, limit), title=title)
    return figure


def spectrogram(
    magnitude: np.ndarray, settings: Settings, axis: str = "linear", ax: Axes | None = None, title: str = "",
    loudest: float | None = None, bar: bool = True,
) -> Figure:  # fmt: skip
    """A magnitude in dB, with true frequencies.

    Parameters
    ----------
    magnitude : real array or Tensor, shape (F, T)
    settings : Settings
        Gives the sample rate and the distance of two steps.
    axis : str
        What the rows of ``magnitude`` are: ``linear``, or ``log`` after ``spectra.to_log``.
    ax : Axes, optional
    title : str
    loudest : float, optional
        The magnitude that is 0 dB, so that several panels can be compared; by default the largest of this one.
    bar : bool
        Whether to draw the colour bar.
    """
    figure, ax = _canvas(ax, (WIDTH, 2.2))
    magnitude = np.asarray(magnitude)
    loudest = loudest or max(float(magnitude.max()), spectra.LOG_FLOOR)
    shown = 20 * np.log10(np.maximum(magnitude / loudest, 10 ** (FLOOR_DB / 20)))
    image = _time_frequency(ax, shown, settings, axis, title, cmap="magma", vmin=FLOOR_DB, vmax=0)
    if bar:
        _colour_bar(image, ax, "level (dB)")
    return figure


def mask(
    values: np.ndarray, settings: Settings, axis: str = "linear", ax: Axes | None = None, title: str = "",
    bar: bool = True,
) -> Figure:  # fmt: skip
    """A mask (F, T) from 0 to 1; as :func:`spectrogram`."""
    figure, ax = _canvas(ax, (WIDTH, 2.2))
    image = _time_frequency(ax, np.asarray(values), settings, axis, title, cmap="viridis", vmin=0, vmax=1)
    if bar:
        _colour_bar(image, ax, "mask")
    return figure


def masks_panel(
    mixture: np.ndarray, magnitudes: np.ndarray, masks: dict[str, np.ndarray], settings: Settings,
    names: Sequence[str], pictures: Sequence[np.ndarray] = (), axis: str = "log",
) -> Figure:  # fmt: skip
    """A mixture and, in a row for each source: its picture, its true magnitude, and its masks.

    Parameters
    ----------
    mixture : real array or Tensor, shape (F, T)
    magnitudes : real array or Tensor, shape (N, F, T)
        Of the sources as they stand in the mixture; drawn on the mixture's scale.
    masks : dict of arrays, shape (N, F, T)
        By the title of their column, such as ``ideal binary mask`` and ``predicted mask``.
    settings : Settings
    names : N str
        Instruments of the sources.
    pictures : N uint8 arrays, shape (H, W, 3), optional
    axis : str
        What the rows F are, ``linear`` or ``log``.

    Examples
    --------
    >>> magnitudes, mixture = training.mix(batch["sources"], settings)  # doctest: +SKIP
    >>> ideal = spectra.ideal_binary_mask(magnitudes[0], mixture[0])  # doctest: +SKIP
    >>> masks_panel(mixture[0], magnitudes[0], {"ideal": ideal}, settings, ["cello", "flute"])  # doctest: +SKIP
    """
    seen = int(len(pictures) > 0)
    columns = seen + 1 + len(masks)
    titles = ["in the mixture" if seen else "", *masks]
    figure = Picture(figsize=(WIDTH, 0.3 + 1.35 * (len(names) + 1)), layout="constrained")
    grid = figure.add_gridspec(len(names) + 1, columns, width_ratios=[0.8] * seen + [1] * (columns - seen))
    loudest = float(np.asarray(mixture).max())
    top = figure.add_subplot(grid[0, seen])
    spectrogram(mixture, settings, axis, top, "mixture", loudest, bar=False)
    image = None
    for n, name in enumerate(names):
        if seen:
            _framed(figure.add_subplot(grid[n + 1, 0]), pictures[n], readable(name), instrument_colour(name))
        panels = [figure.add_subplot(grid[n + 1, column]) for column in range(seen, columns)]
        spectrogram(magnitudes[n], settings, axis, panels[0], "", loudest, bar=False)
        for ax, values in zip(panels[1:], masks.values(), strict=True):
            mask(values[n], settings, axis, ax, bar=False)
            image = ax.images[0]
        for ax, title in zip(panels, titles if n == 0 else [], strict=False):
            ax.set_title(title)
        if not seen:
            panels[0].set_title(readable(name), color=instrument_colour(name))
        _outer_labels(panels, last=n == len(names) - 1)
    _outer_labels([top], last=False)
    if masks:
        _keys(figure.add_subplot(grid[0, seen + 1 :]), top.images[0], image)
    return figure


def frames(pictures: Sequence[np.ndarray], titles: Sequence[str] = (), columns: int = 6) -> Figure:
    """Pictures, uint8 (H, W, 3) each, in rows of ``columns``; a single row may be shorter."""
    rows = -(-len(pictures) // columns)
    height, width = np.asarray(pictures[0]).shape[:2]
    size, columns = WIDTH / columns, min(columns, len(pictures))
    figure = Picture(figsize=(columns * size, rows * (size * height / width + 0.25)), layout="constrained")
    for n, ax in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if n < len(pictures):
            _framed(ax, pictures[n], titles[n] if len(titles) else "")
        else:
            ax.set_axis_off()
    return figure


def boxes(
    picture: np.ndarray, places: Sequence[Sequence[float]], names: Sequence[str], ax: Axes | None = None,
    notes: Sequence[str] = (), title: str = "",
) -> Figure:  # fmt: skip
    """A picture with a named box for each player.

    Parameters
    ----------
    picture : uint8 array, shape (H, W, 3)
    places : N boxes x0, y0, x1, y1
        As shares of the picture's width and height.
    names : N str
        Instruments.
    ax : Axes, optional
    notes : N str, optional
        Written behind the names.
    title : str
    """
    height, width = picture.shape[:2]
    figure, ax = _canvas(ax, (WIDTH * 0.75, WIDTH * 0.75 * height / width))
    _framed(ax, picture, title)
    for n, (box, name, colour) in enumerate(zip(places, names, player_colours(names), strict=True)):
        corner = box[0] * width + 1, box[1] * height + 1
        size = (box[2] - box[0]) * width - 2, (box[3] - box[1]) * height - 2
        ax.add_patch(Rectangle(corner, *size, fill=False, edgecolor=colour, lw=2))
        text = f"{readable(name)} {notes[n]}" if len(notes) else readable(name)
        # Names of neighbours stand at different heights, so that narrow boxes keep theirs apart.
        place = box[0] * width + 0.02 * width, (0.96 - 0.14 * (n % 2)) * height
        label = ax.text(*place, text, va="bottom", fontsize=6, color="white")
        label.set(bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.5}, in_layout=False)
    return figure


def history(table: pd.DataFrame) -> Figure:
    """Curves of a training: ``table`` with the columns of ``history.csv``, loss left and accuracy, if any, right."""
    kinds = [kind for kind in ("loss", "accuracy") if any(name.startswith(kind) for name in table)]
    figure = Picture(figsize=(WIDTH if len(kinds) > 1 else WIDTH * 0.6, 2.2), layout="constrained")
    looks = {
        "train": {"color": "#0B5A8A", "marker": "o"},
        "validation": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    }
    for ax, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        for part, look in looks.items():
            if f"{kind}_{part}" in table:
                ax.plot(table.epoch, table[f"{kind}_{part}"], label=part, markersize=3, **look)
        ax.set(xlabel="epoch", ylabel=kind if kind == "loss" else f"{kind} (share)")
        ax.set_ylim(*((0, None) if kind == "loss" else (0, 1.02)))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend()
    return figure


def confusion(matrix: np.ndarray, labels: Sequence[str], ax: Axes | None = None) -> Figure:
    """Counts (true, predicted) as numbers, shares of each row as shade."""
    matrix, size = np.asarray(matrix), min(1.4 + 0.3 * len(labels), WIDTH)
    figure, ax = _canvas(ax, (size, size - 0.1))
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in zip(*np.nonzero(matrix), strict=True):
        ink = "white" if shares[row, column] > 0.6 else INK
        ax.text(column, row, matrix[row, column], ha="center", va="center", fontsize=7, color=ink)
    names = [readable(name) for name in labels]
    ax.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="predicted", ylabel="true")
    ax.tick_params(length=0)
    return figure


def heat_maps(
    frame: np.ndarray, maps: np.ndarray, titles: Sequence[str] = (), label: str = "probability",
    largest: float | None = 1.0, columns: int = 4,
) -> Figure:  # fmt: skip
    """Maps drawn over their picture, which is greyed so that only the map has colour.

    Parameters
    ----------
    frame : uint8 array, shape (H, W, 3) or (N, H, W, 3)
        One picture for all maps, or one for each.
    maps : real array or Tensor, shape (N, h, w)
        Of any resolution; they cover the whole picture and are smoothed to its size. All share one scale from 0.
    titles : N str, optional
    label : str
        What the values are, for the colour bar.
    largest : float, optional
        Upper end of the scale; None takes the largest value of all maps.
    columns : int
        Maps in a row, at most.
    """
    maps, pictures = np.asarray(maps), np.asarray(frame)
    pictures = np.broadcast_to(pictures, (len(maps), *pictures.shape[-3:]))
    columns = min(columns, len(maps))
    rows = -(-len(maps) // columns)
    height = rows * (WIDTH / columns * pictures.shape[1] / pictures.shape[2] + 0.25)
    figure = Picture(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    image = None
    for n, ax in enumerate(axes.flat):
        if n < len(maps):
            image = draw_map(pictures[n], maps[n], ax, maps.max() if largest is None else largest)
            ax.set_title(titles[n] if len(titles) else "")
        else:
            ax.set_axis_off()
    _colour_bar(image, axes, label)
    return figure


def draw_map(picture: np.ndarray, values: np.ndarray, ax: Axes, largest: float):
    """One map (h, w) over its picture (H, W, 3) in ``ax``; gives back the image of the map."""
    _framed(ax, _greyed(picture), "")
    share = np.clip(_smooth(values, picture.shape) / max(largest, 1e-12), 0, 1)
    return ax.imshow(share * largest, cmap="magma", vmin=0, vmax=largest, alpha=0.25 + 0.5 * share)


def method_bars(table: pd.DataFrame, ax: Axes | None = None, unit: str = "mean SDR (dB)") -> Figure:
    """Mean SDR of each method with its 95 % interval.

    Parameters
    ----------
    table : DataFrame
        As ``evaluation.summary`` gives it: a row for each method, from top to bottom, with ``SDR``, ``from``, ``to``.
    ax : Axes, optional
    unit : str
        Label of the axis of values.
    """
    figure, ax = _canvas(ax, (WIDTH, 0.6 + 0.3 * len(table)))
    for row, (name, values) in enumerate(table.iterrows()):
        mean, low, high = (float(values[column]) for column in ("SDR", "from", "to"))
        ax.barh(row, mean, height=0.66, **method_look(str(name)))
        ax.errorbar(mean, row, xerr=[[mean - low], [high - mean]], color=INK, linewidth=1, capsize=2.5)
        ax.text(max(high, 0), row, f"  {mean:.2f}", va="center", fontsize=7)
    ax.set_yticks(range(len(table)), [readable(name) for name in table.index])
    ax.axvline(0, color=INK, linewidth=0.6)
    ax.set(xlabel=f"{unit}; whiskers: 95 % interval of the mean", ylim=(len(table) - 0.5, -0.5))
    ax.margins(x=0.1)
    ax.tick_params(axis="y", length=0)
    return figure


def score_boxes(metrics: pd.DataFrame, by: str = "instrument", ax: Axes | None = None) -> Figure:
    """SDR of every source: a box for each group, and in it for each method.

    Parameters
    ----------
    metrics : DataFrame
        Rows of ``evaluation.evaluate``, of one or a few methods.
    by : str
        Column that groups, such as ``instrument``; ``pair`` is the instruments of the mixture that a source is from.
    ax : Axes, optional

    Notes
    -----
    A box holds the middle half, its line is the median, whiskers reach the furthest value within 1.5 boxes, and what
    lies beyond is drawn as points. Groups stand in the order of their median. Silent sources have no score.
    """
    if by == "pair" and "pair" not in metrics:
        together = metrics.groupby(["method", "mixture"]).instrument
        metrics = metrics.assign(pair=together.transform(lambda names: "+".join(sorted(names))))
    metrics = metrics.dropna(subset="sdr_db")
    groups = list(metrics.groupby(by).sdr_db.median().sort_values(ascending=False).index)
    methods = list(metrics.method.unique())
    figure, ax = _canvas(ax, (WIDTH, 0.7 + len(groups) * (0.14 + 0.14 * len(methods))))
    width = 0.76 / len(methods)
    for place, method in enumerate(methods):
        values = [metrics[(metrics[by] == group) & (metrics.method == method)].sdr_db for group in groups]
        rows = np.arange(len(groups)) + (place - (len(methods) - 1) / 2) * width
        ax.boxplot(
            values, positions=rows, widths=0.85 * width, orientation="horizontal", patch_artist=True,
            manage_ticks=False, boxprops=method_look(method), medianprops={"color": "#D55E00", "linewidth": 1.6},
            capprops={"linewidth": 0.6}, whiskerprops={"linewidth": 0.6},
            flierprops={"marker": ".", "markersize": 3, "markerfacecolor": INK},
        )  # fmt: skip
    counted = metrics.groupby([by, "method"]).size().groupby(by).max()
    ax.set_yticks(range(len(groups)), [f"{readable(group)} ({counted[group]})" for group in groups])
    ax.set(xlabel="SDR (dB); in brackets: sources", ylim=(len(groups) - 0.5, -0.5))
    ax.axvline(0, color=INK, linewidth=0.6, zorder=0)
    ax.grid(axis="x", linewidth=0.3, color="#CCCCCC")
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    keys = [Patch(**method_look(method), label=readable(method)) for method in methods]
    figure.legend(handles=keys, loc="outside upper left", ncols=len(keys))
    return figure


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
    Top: the strips of the players, the energy of the sound of each place, and whose sound each place has, in the
    players' colours and bright where there is energy. Middle: the mixture and each track, on one scale. Bottom: the
    share of each track in the mixture. Frequencies are on the log axis. Of a video of more than a minute, the minute in
    its middle is drawn.
    """
    count = len(separation.players)
    columns = max(3, count + 1)
    colours = player_colours([player.instrument for player in separation.players])
    figure = Picture(figsize=(WIDTH * columns / 3, 4.6), layout="constrained")
    grid = figure.add_gridspec(3, columns, height_ratios=[1.1, 1, 1])
    _draw_places(separation, [figure.add_subplot(grid[0, column]) for column in range(3)], colours, true_boxes)
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
        mask(share, settings, "log", shares[-1], "its share of the mixture", bar=False)
        for ax in (tracks[-1], shares[-1]):
            ax.title.set_color(colour)
    for image in (ax.images[0] for ax in (top, *tracks, *shares)):
        left, right, *rows = image.get_extent()
        image.set_extent((left + start_s, right + start_s, *rows))
    _outer_labels([top, *tracks], last=False)
    _outer_labels(shares, last=True, first=False)  # as in the row above
    _keys(figure.add_subplot(grid[2, 0]), top.images[0], shares[0].images[0])
    return figure


def _canvas(ax: Axes | None, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """The given axes with their figure, or new ones."""
    if ax is not None:
        return ax.figure, ax
    figure = Picture(figsize=size, layout="constrained")
    return figure, figure.subplots()


def frequency_rows(frequencies_hz: np.ndarray, rows: int, sample_rate_hz: int, axis: str) -> np.ndarray:
    """Rows, fractional, at which frequencies lie on an axis of ``rows`` bins; the inverse of ``spectra.to_log``."""
    share = np.asarray(frequencies_hz) / (sample_rate_hz / 2)
    return (np.log1p(20 * share) / np.log(21) if axis == "log" else share) * (rows - 1)


def _time_frequency(ax: Axes, values: np.ndarray, settings: Settings, axis: str, title: str, **look):
    """An image of (F, T) over time in s and frequency in Hz."""
    rows, steps = values.shape
    step_s = settings.hop / settings.sample_rate_hz
    image = ax.imshow(
        values, origin="lower", aspect="auto", interpolation="nearest",
        extent=(-0.5 * step_s, (steps - 0.5) * step_s, -0.5, rows - 0.5), **look,
    )  # fmt: skip
    shown = [hz for hz in _SHOWN_HZ[axis] if hz <= settings.sample_rate_hz / 2]
    ax.set_yticks(frequency_rows(shown, rows, settings.sample_rate_hz, axis), shown)
    ax.set(xlabel="time (s)", ylabel="frequency (Hz)", title=title)
    return image


def _outer_labels(panels: Sequence[Axes], last: bool, first: bool = True) -> None:
    """In a row of panels, label frequencies at the first one only, and times only in the last row."""
    for ax in panels[int(first) :]:
        ax.set_ylabel("")
        ax.set_yticklabels([])
    if not last:
        for ax in panels:
            ax.set_xlabel("")
            ax.set_xticklabels([])


def _keys(ax: Axes, level, share) -> None:
    """The colour bars of a panel, in a cell of its own."""
    ax.set_axis_off()
    for image, label, height in ((level, "level (dB)", 0.78), (share, "mask", 0.26)):
        bar = ax.figure.colorbar(image, cax=ax.inset_axes([0.1, height, 0.8, 0.1]), orientation="horizontal")
        bar.outline.set_visible(False)
        bar.set_label(label, fontsize=7, labelpad=1)


def _colour_bar(image, axes, label: str) -> None:
    figure = np.asarray(axes).flat[0].figure
    bar = figure.colorbar(image, ax=axes, label=label, pad=0.02, aspect=25)
    bar.outline.set_visible(False)


def _framed(ax: Axes, picture: np.ndarray, title: str, colour: str = INK) -> None:
    ax.imshow(picture)
    ax.set_title(title, color=colour)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


def _greyed(picture: np.ndarray) -> np.ndarray:
    """A picture without colour, light enough for a map on top."""
    grey = np.asarray(picture, np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.repeat((55 + grey * 200 / 255).astype(np.uint8)[..., None], 3, axis=-1)


def _smooth(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A map (h, w) at the size of a picture (H, W, ...), its cells spread evenly over it."""
    image = Image.fromarray(np.asarray(values, np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def _draw_places(separation: Separation, axes: Sequence[Axes], colours: Sequence[str], true_boxes) -> None:
    """Three pictures: the players' strips, the sound map, and whose sound it is."""
    picture = separation.frame
    height, width = picture.shape[:2]
    strips = [(player.left, 0, player.right, 1) for player in separation.players]
    sure = ["" if np.isnan(player.confidence) else f"{player.confidence:.0%}" for player in separation.players]
    boxes(picture, strips, [player.instrument for player in separation.players], axes[0], sure, "players found")
    draw_map(picture, separation.sound_map, axes[1], float(separation.sound_map.max()))
    axes[1].set_title("where sound is")
    strength = np.clip(_smooth(separation.sound_map, picture.shape) / separation.sound_map.max(), 0, 1)[..., None]
    owners = np.stack([_smooth(owner, picture.shape) for owner in separation.owner_map], axis=-1).clip(0, 1)
    owners /= np.maximum(owners.sum(-1, keepdims=True), 1e-12)
    tint = owners @ np.array([to_rgb(colour) for colour in colours]) * 255
    opacity = 0.2 + 0.65 * strength
    _framed(axes[2], (_greyed(picture) * (1 - opacity) + tint * opacity).astype(np.uint8), "whose sound it is")
    for box in () if true_boxes is None else true_boxes:
        corner, size = (box[0] * width, box[1] * height), ((box[2] - box[0]) * width, (box[3] - box[1]) * height)
        for ax in axes:
            ax.add_patch(Rectangle(corner, *size, fill=False, edgecolor="white", linestyle=":", lw=1))


def _log_magnitudes(waves: np.ndarray, settings: Settings) -> np.ndarray:
    """Magnitudes of waves (N, L) on the log axis, (N, F, T)."""
    spec = spectra.stft(torch.from_numpy(np.ascontiguousarray(waves, np.float32)), settings.n_fft, settings.hop)
    return spectra.to_log(spec.abs(), settings.log_bins).numpy()
