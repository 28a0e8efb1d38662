"""Pictures of the study: data and an optional ``ax`` in, a figure out; and the one style of all figures.

Made to be read in print, in grey, and by colour-blind eyes: an instrument and a method keep their colour throughout,
and no meaning hangs on colour alone. Spectrograms are in dB below their loudest bin. Axes of arrays: N sources, F bins,
T steps, P pictures, H W of a picture, h w of a map. Used by every notebook.
"""

import io
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from PIL import Image
from scipy import ndimage

from avsep_lib import files, spectra
from avsep_lib.runs import Run
from avsep_lib.settings import Settings

WIDTH = 6.3  # inches, the text width of an A4 page
FLOOR_DB = -60.0  # what is quieter is drawn as black
_SHOWN_HZ = {"linear": (0, 1000, 2000, 3000, 4000, 5000, 10_000), "log": (0, 100, 250, 500, 1000, 2000, 5000, 10_000)}

INK = "#222222"
NOTHING = "#E6E6E6"  # where there is nothing to show: background, silence
_INSTRUMENTS = {
    "accordion": "#332288", "acoustic_guitar": "#CC6677", "cello": "#117733", "clarinet": "#88CCEE",
    "erhu": "#882255", "flute": "#DDAA33", "saxophone": "#44AA99", "trumpet": "#EE7733", "tuba": "#0077BB",
    "violin": "#AA4499", "xylophone": "#999933",
}  # fmt: skip
# How a method's name begins, and its colour: floors grey, ceilings nearly white, what learns in colour, ours darkest.
_METHODS = {
    "mixture": "#DADADA", "nmf, instruments known": "#8C8C8C", "nmf": "#A8A8A8", "robust pca": "#C2C2C2",
    "sound of pixels": "#E08A2E", "semantic mask": "#BC80BD", "ideal": "#F4F4F4", "separator": "#0B5A8A",
    "ours": "#0B5A8A",
}  # fmt: skip
_OTHER_METHOD = "#7FB2D5"
_HATCHES = {"binary": "////", "ideal ratio": "....", "bce": "xxxx", "robust pca": "\\\\\\\\"}  # by a part of the name
_TINTS = {"shuffled": 0.22, "true class": 0.5, "linear": 0.62}  # by a part of the name: how much of the colour is left
_MOST_NAMES = 6  # written into one semantic mask
SPLITS = {"train": "#0B5A8A", "validation": "#E69F00", "test": "#C9DDEA"}

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
    paths = save_with_caption(figure, run.figures_folder / slug, caption, run.provenance())
    run.made += paths
    return paths[0]


def save_with_caption(figure: Figure, path: str | Path, caption: str, made_by: dict[str, object]) -> list[Path]:
    """:func:`save_figure` for one that belongs to no run; ``path`` has no ending. Gives back the files."""
    path = Path(path)
    paths = [path.with_name(f"{path.name}.{kind}") for kind in ("png", "pdf", "json")]
    save_picture(figure, paths[0])
    with files.atomic(paths[1]) as temporary:
        # Without a date, the same figure is the same file.
        figure.savefig(temporary, dpi=300, metadata={"CreationDate": None, "Producer": None, "Creator": None})
    files.write_json(paths[2], {"caption": caption, **made_by})
    return paths


def save_picture(figure: Figure, path: str | Path) -> Path:
    """Save a figure that belongs to no run as PNG; gives back its path."""
    with files.atomic(path) as temporary:
        figure.savefig(temporary, dpi=180, metadata={"Software": None})
    return Path(path)


def canvas(ax: Axes | None, size: tuple[float, float]) -> tuple[Figure, Axes]:
    """The given axes with their figure, or new ones of a size in inches."""
    if ax is not None:
        return ax.figure, ax
    figure = Picture(figsize=size, layout="constrained")
    return figure, figure.subplots()


def instrument_colour(name: str) -> str:
    """The colour of an instrument, the same in every figure; an unknown name gets one of them, always the same."""
    return _INSTRUMENTS.get(name) or list(_INSTRUMENTS.values())[zlib.crc32(name.encode()) % len(_INSTRUMENTS)]


def player_colours(instruments: Sequence[str]) -> list[str]:
    """Colours of instruments; where two are the same, those of places in the picture."""
    if len(set(instruments)) == len(instruments):
        return [instrument_colour(name) for name in instruments]
    return list(_INSTRUMENTS.values())[: len(instruments)]


def method_look(name: str) -> dict[str, str]:
    """Face colour, edge and hatch of a method, the same in every figure.

    The colour is that of its kind; lighter for the linear axis, the true class given and shuffled pictures. The hatch
    says which mask: lines for binary, dots for an ideal ratio mask.
    """
    name = name.lower()
    colour = next((colour for start, colour in _METHODS.items() if name.startswith(start)), _OTHER_METHOD)
    tint = min((share for part, share in _TINTS.items() if part in name), default=1.0)
    hatch = next((hatch for part, hatch in _HATCHES.items() if part in name), "")
    return {"facecolor": mixed(colour, tint), "edgecolor": INK, "hatch": hatch, "linewidth": 0.6}


def mixed(colour: str, share: float, other: str = "white") -> str:
    """A share of a colour, the rest of it another one."""
    return to_hex(share * np.array(to_rgb(colour)) + (1 - share) * np.array(to_rgb(other)))


def grey(colour: str) -> float:
    """How light a colour is when printed in grey, from 0 to 1."""
    return float(np.dot(to_rgb(colour), (0.299, 0.587, 0.114)))


def readable(name: str) -> str:
    """``acoustic_guitar`` as *acoustic guitar*, ``cello+flute`` as *cello + flute*."""
    return re.sub(r"(?<=\w)\+(?=\w)", " + ", str(name).replace("_", " "))


def waveform(sound: np.ndarray, sample_rate_hz: int, ax: Axes | None = None, title: str = "") -> Figure:
    """Samples (L,) over time, as the range within each of at most 1500 columns."""
    figure, ax = canvas(ax, (WIDTH, 1.3))
    parts = np.array_split(np.asarray(sound), min(1500, len(sound)))
    times = np.linspace(0, len(sound) / sample_rate_hz, len(parts))
    ax.fill_between(times, [p.min() for p in parts], [p.max() for p in parts], color=SPLITS["train"], linewidth=0.4)
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
    figure, ax = canvas(ax, (WIDTH, 2.2))
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
    figure, ax = canvas(ax, (WIDTH, 2.2))
    image = _time_frequency(ax, np.asarray(values), settings, axis, title, cmap="viridis", vmin=0, vmax=1)
    if bar:
        _colour_bar(image, ax, "mask")
    return figure


def semantic_mask(
    classes: np.ndarray, instruments: Sequence[str], settings: Settings, axis: str = "log", ax: Axes | None = None,
    title: str = "", legend: bool = True,
) -> Figure:  # fmt: skip
    """A semantic mask in the colours of its instruments, each named where most of it is, which survives print in grey.

    Parameters
    ----------
    classes : int array or Tensor, shape (F, T)
        The class of each bin, or C for background, which is light grey.
    instruments : C str
    settings : Settings
    axis : str
        What the rows F are, ``linear`` or ``log``.
    ax : Axes, optional
    title : str
    legend : bool
        Whether to add a legend of the classes that occur.
    """
    figure, ax = canvas(ax, (WIDTH, 2.4))
    classes = np.asarray(classes)
    colours = ListedColormap([*(instrument_colour(name) for name in instruments), NOTHING])
    _time_frequency(ax, classes, settings, axis, title, cmap=colours, vmin=-0.5, vmax=len(instruments) + 0.5)
    _name_classes(ax, classes, instruments)
    if legend:
        handles = _class_patches([classes], instruments)
        figure.legend(handles=handles, loc="outside upper left", ncols=min(len(handles), 6))
    return figure


def semantic_panel(
    mixture: np.ndarray, true_classes: np.ndarray, predicted_classes: np.ndarray, instruments: Sequence[str],
    settings: Settings, axis: str = "log", pictures: Sequence[np.ndarray] = (), names: Sequence[str] = (),
) -> Figure:  # fmt: skip
    """A mixture, its true semantic mask and the predicted one, with one legend.

    Parameters
    ----------
    mixture : real array or Tensor, shape (F, T)
        Magnitude.
    true_classes, predicted_classes : int array or Tensor, shape (F, T)
        As in :func:`semantic_mask`; :func:`loudest_classes` makes the true ones.
    instruments : C str
    settings : Settings
    axis : str
        What the rows F are, ``linear`` or ``log``.
    pictures : N uint8 arrays, shape (H, W, 3), optional
    names : N str, optional
        Instruments in the pictures.
    """
    handles = _class_patches([true_classes, predicted_classes], instruments)
    top = 1.15 if len(pictures) else 0.45
    figure = Picture(figsize=(WIDTH, top + 2.05 + 0.15 * -(-len(handles) // 6)), layout="constrained")
    rows = figure.add_gridspec(2, 1, height_ratios=[top, 1.9])
    head = rows[0].subgridspec(1, len(pictures) + 1, width_ratios=[1] * len(pictures) + [5 - len(pictures)])
    for n, picture in enumerate(pictures):
        name = names[n] if len(names) else ""
        framed(figure.add_subplot(head[n]), picture, readable(name), instrument_colour(name) if name else INK)
    panels = rows[1].subgridspec(1, 3).subplots()
    spectrogram(mixture, settings, axis, panels[0], "mixture", bar=False)
    for ax, classes, title in zip(panels[1:], (true_classes, predicted_classes), ("true", "predicted"), strict=True):
        semantic_mask(classes, instruments, settings, axis, ax, f"{title} semantic mask", legend=False)
    outer_labels(panels, last=True)
    key = figure.add_subplot(head[len(pictures)])
    key.set_axis_off()
    place = (0.1, 0.5, 0.8, 0.09) if len(pictures) else (0.0, 0.7, 0.3, 0.2)
    colour_key(key, panels[0].images[0], "level (dB)", place)
    figure.legend(handles=handles, loc="outside lower center", ncols=6)
    return figure


def loudest_classes(magnitudes: np.ndarray, classes: Sequence[int], n_classes: int) -> np.ndarray:
    """The true semantic mask of sources: the loudest one's class in each bin.

    Parameters
    ----------
    magnitudes : real array or Tensor, shape (N, F, T)
        Of the sources as they stand in the mixture.
    classes : N int
    n_classes : int
        C, which stands for background: bins ``FLOOR_DB`` below the loudest one.

    Returns
    -------
    int array, shape (F, T)
    """
    magnitudes = np.asarray(magnitudes)
    found = np.asarray(classes)[magnitudes.argmax(0)]
    return np.where(magnitudes.max(0) > magnitudes.max() * 10 ** (FLOOR_DB / 20), found, n_classes)


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
            framed(figure.add_subplot(grid[n + 1, 0]), pictures[n], readable(name), instrument_colour(name))
        panels = [figure.add_subplot(grid[n + 1, column]) for column in range(seen, columns)]
        spectrogram(magnitudes[n], settings, axis, panels[0], "", loudest, bar=False)
        for ax, values in zip(panels[1:], masks.values(), strict=True):
            mask(values[n], settings, axis, ax, bar=False)
            image = ax.images[0]
        for ax, title in zip(panels, titles if n == 0 else [], strict=False):
            ax.set_title(title)
        if not seen:
            panels[0].set_title(readable(name), color=instrument_colour(name))
        outer_labels(panels, last=n == len(names) - 1)
    outer_labels([top], last=False)
    if masks:
        colour_keys(figure.add_subplot(grid[0, seen + 1 :]), top.images[0], image)
    return figure


def frames(pictures: Sequence[np.ndarray], titles: Sequence[str] = (), columns: int = 6) -> Figure:
    """Pictures, uint8 (H, W, 3) each, in rows of ``columns``; a single row may be shorter."""
    rows = -(-len(pictures) // columns)
    height, width = np.asarray(pictures[0]).shape[:2]
    size, columns = WIDTH / columns, min(columns, len(pictures))
    figure = Picture(figsize=(columns * size, rows * (size * height / width + 0.25)), layout="constrained")
    for n, ax in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if n < len(pictures):
            framed(ax, pictures[n], titles[n] if len(titles) else "")
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
    figure, ax = canvas(ax, (WIDTH * 0.75, WIDTH * 0.75 * height / width))
    framed(ax, picture, title)
    for n, (box, name, colour) in enumerate(zip(places, names, player_colours(names), strict=True)):
        corner = box[0] * width + 1, box[1] * height + 1
        size = (box[2] - box[0]) * width - 2, (box[3] - box[1]) * height - 2
        ax.add_patch(Rectangle(corner, *size, fill=False, edgecolor=colour, lw=2))
        text = f"{readable(name)} {notes[n]}" if len(notes) else readable(name)
        # Names of neighbours stand at different heights, so that narrow boxes keep theirs apart.
        left = box[0] < 0.65  # further to the right a name would leave the picture
        x, y = (box[0] + 0.02 if left else box[2] - 0.02) * width, (0.96 - 0.14 * (n % 2)) * height
        label = ax.text(x, y, text, va="bottom", ha="left" if left else "right", fontsize=6, color="white")
        label.set(bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.5}, in_layout=False)
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
    framed(ax, greyed(picture), "")
    share = np.clip(smooth(values, picture.shape) / max(largest, 1e-12), 0, 1)
    return ax.imshow(share * largest, cmap="magma", vmin=0, vmax=largest, alpha=0.25 + 0.5 * share)


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


def outer_labels(panels: Sequence[Axes], last: bool, first: bool = True) -> None:
    """In a row of panels, label frequencies at the first one only, and times only in the last row."""
    for ax in panels[int(first) :]:
        ax.set_ylabel("")
        ax.set_yticklabels([])
    if not last:
        for ax in panels:
            ax.set_xlabel("")
            ax.set_xticklabels([])


def colour_keys(ax: Axes, level, share, label: str = "mask") -> None:
    """The colour bars of a panel, of levels and of shares, in a cell of its own."""
    ax.set_axis_off()
    colour_key(ax, level, "level (dB)", (0.1, 0.78, 0.8, 0.1))
    colour_key(ax, share, label, (0.1, 0.26, 0.8, 0.1))


def colour_key(ax: Axes, image, label: str, place: Sequence[float]) -> None:
    """A colour bar at a place in or beside ``ax``: left, bottom, width and height, as shares of its size."""
    bar = ax.figure.colorbar(image, cax=ax.inset_axes(place), orientation="horizontal")
    bar.outline.set_visible(False)
    bar.set_label(label, fontsize=7, labelpad=1)


def _class_patches(masks: Sequence[np.ndarray], instruments: Sequence[str]) -> list[Patch]:
    """Legend of the classes that occur in any of the semantic masks, and of background."""
    counts = sum(np.bincount(np.asarray(classes).ravel(), minlength=len(instruments) + 1) for classes in masks)
    found = [name for name, count in zip(instruments, counts, strict=False) if count]
    patches = [Patch(facecolor=instrument_colour(name), label=readable(name)) for name in found]
    return [*patches, Patch(facecolor=NOTHING, label="background")]


def _name_classes(ax: Axes, classes: np.ndarray, instruments: Sequence[str], least: float = 0.03) -> None:
    """Name each class that holds a share of what sounds, where it is densest and no name stands yet."""
    rows, steps = classes.shape
    counts = np.bincount(classes.ravel(), minlength=len(instruments) + 1)[: len(instruments)]
    free = np.ones(classes.shape)
    left, right, bottom, _ = ax.images[0].get_extent()
    inside = np.zeros(classes.shape)
    inside[:, round(0.17 * steps) : round(0.83 * steps)] = 1  # where a name does not leave the panel
    for number in np.argsort(-counts, kind="stable")[:_MOST_NAMES]:
        if counts[number] <= least * max(counts.sum(), 1):
            break
        own = classes == number
        dense = ndimage.uniform_filter(own.astype(float), (rows / 10, steps / 4), mode="constant") * own
        wanted = next(weight for weight in (dense * free * inside, dense * free, dense) if weight.any())
        row, step = np.unravel_index(wanted.argmax(), classes.shape)
        high, wide = int(rows / 9), int(steps / 2.5)
        free[max(0, row - high) : row + high + 1, max(0, step - wide) : step + wide + 1] = 0
        place = left + (step + 0.5) / steps * (right - left), bottom + row + 0.5
        colour = instrument_colour(instruments[number])
        text = ax.text(*place, readable(instruments[number]), ha="center", va="center", fontsize=6)
        text.set(color="white" if grey(colour) < 0.6 else INK, in_layout=False)
        text.set_bbox({"facecolor": colour, "edgecolor": "white", "linewidth": 0.8, "boxstyle": "round,pad=0.2"})


def _colour_bar(image, axes, label: str) -> None:
    figure = np.asarray(axes).flat[0].figure
    bar = figure.colorbar(image, ax=axes, label=label, pad=0.02, aspect=25)
    bar.outline.set_visible(False)


def framed(ax: Axes, picture: np.ndarray, title: str, colour: str = INK) -> None:
    """A picture without axes or frame."""
    ax.imshow(picture)
    ax.set_title(title, color=colour)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


def greyed(picture: np.ndarray) -> np.ndarray:
    """A picture without colour, light enough for a map on top."""
    grey = np.asarray(picture, np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.repeat((55 + grey * 200 / 255).astype(np.uint8)[..., None], 3, axis=-1)


def smooth(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A map (h, w) at the size of a picture (H, W, ...), its cells spread evenly over it."""
    image = Image.fromarray(np.asarray(values, np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))
