"""Charts of the study: drawings of numbers, in the style of :mod:`avsep_lib.plots`.

As there, each takes data and an optional ``ax`` and gives back a figure. Scores are in dB, and whiskers are 95 %
intervals over videos. No meaning hangs on colour alone: bars are named, lines have a dash and a marker of their own.
Used by notebooks 01 to 04.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from scipy.optimize import isotonic_regression

from avsep_lib.plots import (
    INK,
    SPLITS,
    WIDTH,
    Picture,
    canvas,
    grey,
    instrument_colour,
    method_look,
    mixed,
    readable,
)
from avsep_lib.settings import StudyError
from avsep_lib.tables import with_pair

_MINUS = "\N{MINUS SIGN}"
_RULE = "#CCCCCC"  # lines that only lead the eye
_DASHES = ("--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_SEED_MARKERS = ("o", "D", "s", "^", "v")
_OUTLINE = [withStroke(linewidth=3.2, foreground=INK)]  # so that white is seen on light boxes
_HALO = [withStroke(linewidth=2.2, foreground="white")]  # so that ink is seen on dark bars
_HISTORY = {"loss": ("loss", (0, None)), "accuracy": ("accuracy (share)", (0, 1.02)), "si_sdr": ("SI-SDR (dB)", None)}
_WAYS = ("shuffled pictures", "own pictures", "true class")
_DARKEST_STEP, _LIGHTEST_STEP = 1.0, 0.25  # of the separator's colour, from the last step of an ablation to its first


def clips_per_instrument(counts: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Videos of each instrument by split: ``counts`` as ``clips.counts`` gives it, instruments by splits."""
    figure, ax = canvas(ax, (WIDTH, 0.6 + 0.24 * len(counts)))
    left = np.zeros(len(counts))
    rows = np.arange(len(counts))
    for split, numbers in counts.items():
        ax.barh(rows, numbers, left=left, height=0.7, color=SPLITS[split], edgecolor="white", label=split)
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


def listed_videos(solos: pd.DataFrame, duets: pd.Series) -> Figure:
    """What two lists name: ``solos`` as ``music_lists.overlap`` gives it, and the number of ``duets`` by pair."""
    figure = Picture(figsize=(WIDTH, 0.9 + 0.17 * len(solos)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    parts = {"in both lists": solos["both"], "in MUSIC-21 only": solos["second"] - solos["both"]}
    start = np.zeros(len(solos))
    for (label, numbers), colour in zip(parts.items(), (SPLITS["train"], SPLITS["test"]), strict=True):
        left.barh(range(len(solos)), numbers, 0.7, start, color=colour, edgecolor="white", label=label)
        start += numbers.to_numpy()
    right.barh(range(len(duets)), duets, 0.7, color=SPLITS["train"])
    for ax, totals, what in ((left, start, "solos"), (right, duets.to_numpy(), "duets of MUSIC")):
        for row, total in enumerate(totals):
            ax.text(total, row, f" {total:.0f}", va="center", fontsize=7)
        ax.set(xlabel=what, xlim=(0, max(totals) * 1.12))
        ax.invert_yaxis()
        ax.tick_params(axis="y", length=0)
    left.set_yticks(range(len(solos)), [readable(name) for name in solos.index])
    right.set_yticks(range(len(duets)), [readable(name) for name in duets.index])
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


def history(table: pd.DataFrame) -> Figure:
    """Curves of a training, from the columns of ``history.csv``: loss left, and right accuracy or SI-SDR, if any."""
    kinds = [kind for kind in _HISTORY if any(name.startswith(kind) for name in table)]
    figure = Picture(figsize=(WIDTH if len(kinds) > 1 else WIDTH * 0.6, 2.2), layout="constrained")
    looks = {
        "train": {"color": "#0B5A8A", "marker": "o"},
        "validation": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    }
    for ax, kind in zip(figure.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        for part, look in looks.items():
            if f"{kind}_{part}" in table:
                ax.plot(table.epoch, table[f"{kind}_{part}"], label=part, markersize=3, **look)
        label, limits = _HISTORY[kind]
        ax.set(xlabel="epoch", ylabel=label, ylim=limits)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend()
    return figure


def learning_curves(
    histories: dict[str, pd.DataFrame], value: str = "si_sdr_validation", ax: Axes | None = None,
    label: str = "SI-SDR of validation (dB)",
) -> Figure:  # fmt: skip
    """What each training had reached after how many minutes; each line carries its name at its end.

    Parameters
    ----------
    histories : dict of DataFrame
        By method: a row for each epoch, with ``seconds`` of training up to its end, and ``value``.
    value : str
        Column to draw.
    ax : Axes, optional
    label : str
        What ``value`` is, with its unit.

    Raises
    ------
    StudyError
        If a table lacks one of the two columns.
    """
    for method, table in histories.items():
        missing = [name for name in ("seconds", value) if name not in table]
        if missing:
            raise StudyError(
                f"the history of {method!r} has no column {missing[0]!r}; train it again with this version"
            )
    figure, ax = canvas(ax, (WIDTH, 2.0 + 0.13 * len(histories)))
    ends = []
    for number, (method, table) in enumerate(histories.items()):
        colour = _line_colour(method)
        dash, marker = (
            "-" if method == "separator" else _DASHES[number % len(_DASHES)],
            _MARKERS[number % len(_MARKERS)],
        )
        strong = {"linewidth": 2.2, "zorder": 4} if method == "separator" else {}
        face = "white" if number % 2 else colour
        table = table.dropna(subset=value)
        ax.plot(
            table.seconds / 60, table[value], color=colour, linestyle=dash, marker=marker, markersize=4,
            markerfacecolor=face, label=readable(method), **strong,
        )  # fmt: skip
        ends.append((table.seconds.iloc[-1] / 60, table[value].iloc[-1], readable(method), colour))
    ax.set(xlabel="time of training (min)", ylabel=label, xlim=(0, None))
    ax.grid(axis="y", linewidth=0.3, color=_RULE)
    _name_ends(ax, ends)
    return figure


def confusion(
    matrix: np.ndarray, labels: Sequence[str], ax: Axes | None = None, columns: Sequence[str] | None = None,
    axes: tuple[str, str] = ("true", "predicted"),
) -> Figure:  # fmt: skip
    """Counts (true, predicted) as numbers, shares of each row as shade.

    Parameters
    ----------
    matrix : int array, shape (R, S)
        Such as (C, C), or (C, C + 1) with ``background`` last.
    labels : R str
        Of the rows.
    ax : Axes, optional
    columns : S str, optional
        Of the columns; by default the labels of the rows. ``background`` stands apart, behind a line.
    axes : two str
        What rows and columns are.
    """
    matrix = np.asarray(matrix)
    columns = list(labels if columns is None else columns)
    size = min(1.4 + 0.3 * len(columns), WIDTH)
    cell = (size - 1.4) / len(columns)
    figure, ax = canvas(ax, (size, 1.3 + cell * len(labels)))
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in zip(*np.nonzero(matrix), strict=True):
        ink = "white" if shares[row, column] > 0.6 else INK
        ax.text(column, row, matrix[row, column], ha="center", va="center", fontsize=7, color=ink)
    ax.set_xticks(
        range(len(columns)), [readable(name) for name in columns], rotation=45, ha="right", rotation_mode="anchor"
    )
    ax.set_yticks(range(len(labels)), [readable(name) for name in labels])
    ax.set(xlabel=axes[1], ylabel=axes[0])
    ax.tick_params(length=0)
    if "background" in columns:
        ax.axvline(columns.index("background") - 0.5, color=INK, linewidth=0.8, linestyle=":")
    return figure


def method_bars(
    table: pd.DataFrame, ax: Axes | None = None, unit: str = "mean SDR (dB)",
    whiskers: str = "95 % interval of the mean",
) -> Figure:  # fmt: skip
    """Mean SDR of each method with its 95 % interval.

    Parameters
    ----------
    table : DataFrame
        As ``tables.summary`` gives it: a row for each method, from top to bottom, with ``SDR``, ``from``, ``to``.
        Columns ``seed 0``, ``seed 1``, ... are drawn as points, and ``quoted``, what others published, as a star.
    ax : Axes, optional
    unit : str
        Label of the axis of values.
    whiskers : str
        What ``from`` and ``to`` are.
    """
    figure, ax = canvas(ax, (WIDTH, 0.6 + 0.27 * len(table)))
    quoted = table.get("quoted", pd.Series(np.nan, table.index))
    notes = [
        f"{mean:.2f}" if np.isnan(other) else f"{mean:.2f} (quoted: {other:.2f})"
        for mean, other in zip(table.SDR, quoted, strict=True)
    ]
    looks = [method_look(str(name)) for name in table.index]
    _bars(ax, table.SDR, table["from"], table["to"], looks, notes, table[["to"]].assign(quoted=quoted).max(axis=1))
    _mark(ax, figure, table)
    ax.set(xlabel=f"{unit}; whiskers: {whiskers}")
    return figure


def ablation_bars(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Steps from one method to another, each with its mean SDR and what it gained over the row above.

    Parameters
    ----------
    table : DataFrame
        A row for each step, from top to bottom, with ``SDR``, ``from``, ``to``; each step keeps those above. A column
        ``gain`` is what is written at the right, by default the difference of the means. Columns ``seed 0``, ... are
        drawn as points.
    ax : Axes, optional
    """
    figure, ax = canvas(ax, (WIDTH, 0.75 + 0.27 * len(table)))
    shades = np.linspace(_LIGHTEST_STEP, _DARKEST_STEP, len(table)) if len(table) > 1 else [_DARKEST_STEP]
    strong = method_look("separator")
    looks = [strong | {"facecolor": mixed(strong["facecolor"], share)} for share in shades]
    _bars(ax, table.SDR, table["from"], table["to"], looks)
    _mark(ax, figure, table)
    gains = table["gain"] if "gain" in table else table.SDR.diff()
    for row, gain in enumerate(gains):
        text = "" if np.isnan(gain) else f"{gain:+.2f}".replace("-", _MINUS)
        place = {"va": "center", "ha": "right", "fontsize": 7, "transform": ax.get_yaxis_transform()}
        ax.text(1.12, row, text, weight="bold" if gain > 0 else "normal", **place)
    ax.text(1.12, 1.0, "gain (dB)", ha="right", va="bottom", fontsize=7, transform=ax.transAxes)
    ax.set(xlabel="mean SDR (dB); whiskers: 95 % interval of the mean")
    return figure


def gain_bars(gains: pd.DataFrame, ax: Axes | None = None, method: str = "separator") -> Figure:
    """How much a method is above each other one on the same sources, with the 95 % interval.

    Parameters
    ----------
    gains : DataFrame
        As ``tables.paired_differences`` gives it: a row for each other method, ``SDR gained``, ``from``, ``to`` in dB.
    ax : Axes, optional
    method : str
        The one that gains, named below the axis.

    Notes
    -----
    A bar has the look of the other method. Where the interval holds zero, its number is in brackets.
    """
    figure, ax = canvas(ax, (WIDTH, 0.6 + 0.27 * len(gains)))
    values, low, high = gains["SDR gained"], gains["from"], gains["to"]
    notes = [
        f"({value:+.2f})" if start <= 0 <= end else f"{value:+.2f}"
        for value, start, end in zip(values, low, high, strict=True)
    ]
    _bars(ax, values, low, high, [method_look(str(name)) for name in gains.index], notes)
    ax.axvline(0, color=INK, linewidth=1.2)
    ax.set(xlabel=f"SDR gained by the {method} (dB), with 95 % interval; in brackets: it holds 0")
    return figure


def what_pictures_give(table: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """SDR of each learned method asked by wrong pictures, by its own, and by the true class, on one line.

    Parameters
    ----------
    table : DataFrame
        A row for each method: mean SDR in dB, ``shuffled pictures``, ``own pictures``, ``true class``, or NaN.
    ax : Axes, optional
    """
    figure, ax = canvas(ax, (WIDTH, 0.85 + 0.3 * len(table)))
    looks = dict(zip(_WAYS, (("white", "o", 6), (None, "o", 7), ("white", "D", 5.5)), strict=True))
    for row, (method, values) in enumerate(table.iterrows()):
        colour = _line_colour(str(method))
        ax.plot(
            [values[list(_WAYS)].min(), values[list(_WAYS)].max()], [row, row], color=_RULE, linewidth=2.5, zorder=1
        )
        for way, (face, marker, size) in looks.items():
            ax.plot(values[way], row, marker, color=colour, markerfacecolor=face or colour, markersize=size, zorder=2)
        for way in ("own pictures", "shuffled pictures"):
            place = {"textcoords": "offset points", "ha": "center", "va": "bottom", "fontsize": 6}
            ax.annotate(f"{values[way]:.1f}".replace("-", _MINUS), (values[way], row), (0, 5), **place)
    ax.set_yticks(range(len(table)), [readable(method) for method in table.index])
    ax.set(xlabel="mean SDR (dB)", ylim=(len(table) - 0.4, -0.7))
    ax.grid(axis="x", linewidth=0.3, color=_RULE)
    ax.axvline(0, color=INK, linewidth=0.6, zorder=0)
    ax.margins(x=0.06)
    ax.tick_params(axis="y", length=0)
    keys = [
        Line2D([], [], linestyle="", color=INK, marker=marker, markersize=size, markerfacecolor=face or INK, label=way)
        for way, (face, marker, size) in looks.items()
    ]
    figure.legend(handles=keys, loc="outside upper left", ncols=3)
    return figure


def score_boxes(
    metrics: pd.DataFrame, by: str = "instrument", ax: Axes | None = None, most: int = 16, order: str = "separator"
) -> Figure:
    """SDR of every source: a box for each group, and in it for each method.

    Parameters
    ----------
    metrics : DataFrame
        Rows of ``evaluation.evaluate``, of one or a few methods.
    by : str
        Column that groups, such as ``instrument``; ``pair`` is the instruments of the mixture that a source is from.
    ax : Axes, optional
    most : int
        Of more groups than this, the best and the worst half as many are drawn.
    order : str
        The method whose median orders the groups, best first; all of them, where the table has no such method.

    Notes
    -----
    A box holds the middle half, its line is the median, whiskers reach the furthest value within 1.5 boxes, and what
    lies beyond is drawn as points. Silent sources have no score.
    """
    if by == "pair" and "pair" not in metrics:
        metrics = with_pair(metrics)
    metrics = metrics.dropna(subset="sdr_db")
    ordering = metrics[metrics.method == order] if (metrics.method == order).any() else metrics
    groups = list(ordering.groupby(by).sdr_db.median().sort_values(ascending=False, kind="stable").index)
    left_out = max(len(groups) - most, 0)
    half = most // 2 if left_out else len(groups)
    shown = groups[:half] + groups[len(groups) - (most - half) :] if left_out else groups
    rows = np.arange(len(shown)) + (np.arange(len(shown)) >= half) * 0.8  # room for what is left out
    methods = list(metrics.method.unique())
    figure, ax = canvas(ax, (WIDTH, 0.75 + (rows[-1] + 1) * (0.1 + 0.1 * len(methods))))
    for place, method in enumerate(methods):
        values = [metrics[(metrics[by] == group) & (metrics.method == method)].sdr_db for group in shown]
        _boxes(ax, values, rows, method, place, len(methods))
    for row in rows[1::2]:
        ax.axhspan(row - 0.5, row + 0.5, color="#F4F4F4", zorder=-1)
    if left_out:
        ax.axhline(half - 0.1, color=INK, linewidth=0.6, linestyle=(0, (1, 3)))
        note = {
            "ha": "right",
            "va": "center",
            "fontsize": 6.5,
            "style": "italic",
            "transform": ax.get_yaxis_transform(),
        }
        ax.text(-0.01, half - 0.1, f"{left_out} more between", **note)
    counted = metrics.groupby([by, "method"]).size().groupby(by).max()
    ax.set_yticks(rows, [f"{readable(group)} ({counted[group]})" for group in shown])
    ax.set(xlabel="SDR (dB); in brackets: sources", ylim=(rows[-1] + 0.5, -0.5))
    ax.axvline(0, color=INK, linewidth=0.6, zorder=0)
    ax.grid(axis="x", linewidth=0.3, color=_RULE)
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    keys = [Patch(**method_look(method), label=readable(method)) for method in methods]
    figure.legend(handles=keys, loc="outside upper left", ncols=min(len(keys), 4))
    return figure


def against(table: pd.DataFrame, way: str, other: str, other_label: str = "") -> Figure:
    """One way against another, a numbered point for each mixture; above the diagonal the first is better.

    Parameters
    ----------
    table : DataFrame
        As ``real.by_mixture`` gives it: ``pair`` (two instruments joined by ``+``), ``right`` (their classes), and the
        SDR of both ways in dB. Mixtures that lack one of them are left out.
    way, other : str
        Columns of the vertical and of the horizontal axis.
    other_label : str
        Label of the latter, if not its name.

    Notes
    -----
    Halves of a point have the colours of the two instruments; a square has a class that was mistaken. The list at the
    right names the points, the largest gain first.
    """
    table = table.dropna(subset=[way, other])
    gained = (table[way] - table[other]).sort_values(ascending=False, kind="stable")
    figure = Picture(figsize=(WIDTH, max(3.4, 0.6 + 0.128 * len(table))), layout="constrained")
    ax, names = figure.subplots(1, 2, width_ratios=(1, 0.72))
    values = table[[way, other]].to_numpy()
    low, high = min(values.min(), 0) - 1, values.max() + 1
    ax.plot([low, high], [low, high], color=INK, linewidth=0.8, linestyle="--", zorder=1)
    sides = dict(zip(table.index, _free_sides(table[[other, way]].to_numpy(), (high - low) / 32), strict=True))
    for number, (row, gain) in enumerate(gained.items(), start=1):
        mixture = table.loc[row]
        one, two = (instrument_colour(name) for name in mixture.pair.split("+"))
        look = {
            "marker": "o" if mixture.right else "s", "fillstyle": "left", "markerfacecolor": one,
            "markerfacecoloralt": two, "markeredgecolor": INK, "markeredgewidth": 0.5, "linestyle": "",
        }  # fmt: skip
        ax.plot(mixture[other], mixture[way], markersize=6.5, zorder=3, **look)
        ax.annotate(
            str(number), (mixture[other], mixture[way]), 5.5 * sides[row], textcoords="offset points", fontsize=5.5,
            ha="left" if sides[row][0] > 0 else "right", va="center", path_effects=_HALO, zorder=2,
        )  # fmt: skip
        names.plot(0, number, markersize=5.5, **look)
        place = {"va": "center_baseline", "fontsize": 6.2}
        names.text(-0.06, number, str(number), ha="right", **place)
        names.text(0.06, number, readable(mixture.pair), **place)
        names.text(1.0, number, f"{gain:+.1f}".replace("-", _MINUS), ha="right", **place)
    names.set(xlim=(-0.2, 1.0), ylim=(len(table) + 0.5, -0.5))
    names.text(1.0, 0, "gain (dB)", ha="right", va="center_baseline", fontsize=6.2)
    names.axis("off")
    ax.set(xlabel=f"{other_label or other}: SDR (dB)", ylabel=f"{way}: SDR (dB)", xlim=(low, high), ylim=(low, high))
    ax.set_box_aspect(1)
    ax.grid(linewidth=0.3, color=_RULE)
    ax.set_axisbelow(True)
    keys = [Line2D([], [], linestyle="--", color=INK, linewidth=0.8, label="equal")]
    keys += [
        Line2D([], [], linestyle="", marker=marker, color="white", markeredgecolor=INK, markersize=5, label=label)
        for marker, label in (("o", "both classes right"), ("s", "a class mistaken"))
    ]
    figure.legend(handles=keys, loc="outside upper left", ncols=3)
    figure.get_layout_engine().set(h_pad=0.08)
    return figure


def _free_sides(points: np.ndarray, distance: float) -> np.ndarray:
    """For points (n, 2), the side (n, 2) on which a label at this distance is far from others and from the diagonal."""
    sides = np.array([(1, 0.3), (-1, 0.3), (0.9, -0.8), (-0.9, 0.8)])
    places = points[:, None] + distance * sides  # (n, 4, 2)
    far = np.linalg.norm(places[:, :, None] - points, axis=-1)  # (n, 4, n)
    far[np.arange(len(points)), :, np.arange(len(points))] = np.inf
    far = np.minimum(far.min(-1), np.abs(places[..., 0] - places[..., 1]) / np.sqrt(2))
    return sides[np.minimum(far, distance).argmax(1)]  # the first of those that are far enough


def bars_by_group(
    table: pd.DataFrame, counts: pd.Series, bars: dict[str, str], dots: dict[str, str], ax: Axes | None = None
) -> Figure:
    """A group of bars for each row of a table, with points on them.

    Parameters
    ----------
    table : DataFrame
        Such as ``real.by_instrument`` gives it, values in dB; a row for each group, from top to bottom.
    counts : Series
        What is averaged in each row; its name says what these are.
    bars, dots : dict of str
        Columns to draw, and the method whose name and look each has. A point is drawn on the bar of its method.
    ax : Axes, optional
    """
    figure, ax = canvas(ax, (WIDTH, 0.8 + len(table) * (0.1 + 0.12 * len(bars))))
    height, rows = 0.8 / len(bars), np.arange(len(table))
    places = {method: (n - (len(bars) - 1) / 2) * height for n, method in enumerate(bars.values())}
    for column, method in bars.items():
        ax.barh(
            rows + places[method], table[column], height=0.9 * height, label=readable(method), **method_look(method)
        )
    for column, method in dots.items():
        look = {"markersize": 4, "markerfacecolor": "white", "markeredgewidth": 0.8, "color": INK}
        ax.plot(table[column], rows + places[method], "D", label=f"{readable(method)}: its own sound", **look)
    for row in rows[1::2]:
        ax.axhspan(row - 0.5, row + 0.5, color="#F4F4F4", zorder=-1)
    ax.set_yticks(rows, [f"{readable(name)} ({count})" for name, count in zip(table.index, counts, strict=True)])
    ax.set(xlabel=f"mean SDR (dB); in brackets: {counts.name}", ylim=(len(table) - 0.5, -0.5))
    ax.axvline(0, color=INK, linewidth=0.6)
    ax.grid(axis="x", linewidth=0.3, color=_RULE)
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    keys, labels = ax.get_legend_handles_labels()  # points first; but bars are what is read first
    order = [*range(len(dots), len(keys)), *range(len(dots))]
    figure.legend([keys[n] for n in order], [labels[n] for n in order], loc="outside upper left", ncols=2)
    return figure


def localisation_bars(table: pd.DataFrame) -> Figure:
    """Where each method says that the sound of a player comes from, against the true boxes.

    Parameters
    ----------
    table : DataFrame
        As ``localisation.summary`` gives it: a row for each method, from top to bottom. Drawn are ``cIoU`` with its
        interval, ``pointing`` and ``silent``, all from 0 to 1.
    """
    figure = Picture(figsize=(WIDTH, 0.65 + 0.24 * len(table)), layout="constrained")
    looks = [_localisation_look(str(name)) for name in table.index]
    nothing = pd.Series(np.nan, table.index)
    panels = {
        "cIoU with the true box": (table["cIoU"], table["from"], table["to"]),
        "points into the box (share)": (table["pointing"], nothing, nothing),
        "empty places silent (share)": (table["silent"], nothing, nothing),
    }
    for number, (ax, (label, values)) in enumerate(zip(figure.subplots(1, 3), panels.items(), strict=True)):
        notes = ["" if np.isnan(value) else f"{value:.2f}" for value in values[0]]
        _bars(ax, *values, looks, notes)
        ax.set(xlabel=label, xlim=(0, 1.22), xticks=[0, 0.5, 1])
        if number:
            ax.set_yticklabels([])
    return figure


def _localisation_look(name: str) -> dict[str, object]:
    """Ours in its colour, for a wrong sound hatched, grey where nobody listens."""
    if name.endswith("sound"):
        return {"facecolor": mixed(method_look("separator")["facecolor"], 0.35), "edgecolor": INK, "hatch": "////"}
    return method_look(name) if name == "separator" else {"facecolor": "#C2C2C2", "edgecolor": INK}


def _boxes(ax: Axes, values: Sequence[pd.Series], rows: np.ndarray, method: str, place: int, count: int) -> None:
    """The boxes of one of ``count`` methods, each at its place in its group."""
    width = 0.76 / count
    median = {"color": "white", "linewidth": 1.4, "path_effects": _OUTLINE}
    ax.boxplot(
        values, positions=rows + (place - (count - 1) / 2) * width, widths=0.85 * width, orientation="horizontal",
        patch_artist=True, manage_ticks=False, boxprops=method_look(method), medianprops=median,
        capprops={"linewidth": 0.6}, whiskerprops={"linewidth": 0.6},
        flierprops={"marker": ".", "markersize": 2.5, "markerfacecolor": INK, "markeredgecolor": INK},
    )  # fmt: skip


def _bars(ax: Axes, values, low, high, looks: Sequence[dict], notes: Sequence[str] | None = None, beyond=None) -> None:
    """Named bars of a column of values with whiskers and numbers, the first on top; an interval may be unknown."""
    for row, (value, start, end) in enumerate(zip(values, low, high, strict=True)):
        ax.barh(row, value, height=0.66, **looks[row])
        if not (np.isnan(start) and np.isnan(end)):
            start, end = (value if np.isnan(limit) else limit for limit in (start, end))
            reach = [[value - start], [end - value]]
            ax.errorbar(value, row, xerr=reach, fmt="none", ecolor=INK, linewidth=1, capsize=2.5, path_effects=_HALO)
        right = np.nanmax([value, end, 0, np.nan if beyond is None else beyond.iloc[row]])
        text = f"{value:.2f}" if notes is None else notes[row]
        ax.annotate(
            text.replace("-", _MINUS), (right, row), (7, 0), textcoords="offset points", va="center", fontsize=7
        )
    ax.set_yticks(range(len(values)), [readable(name) for name in values.index])
    ax.axvline(0, color=INK, linewidth=0.6)
    ax.set(ylim=(len(values) - 0.5, -0.5))
    ax.margins(x=0.1)
    ax.tick_params(axis="y", length=0)


def _mark(ax: Axes, figure: Figure, table: pd.DataFrame) -> None:
    """Points for the seeds and stars for what is quoted, with their legend, where a table has such columns."""
    seeds = [name for name in table if str(name).startswith("seed ")]
    for number, name in enumerate(seeds):
        marker = _SEED_MARKERS[number % len(_SEED_MARKERS)]
        look = {"markersize": 3.6, "markerfacecolor": "white", "markeredgewidth": 0.8}
        place = np.arange(len(table)) + 0.2  # below the whisker
        ax.plot(table[name], place, marker, color=INK, label=name, **look)
    if "quoted" in table:
        look = {"markersize": 8, "markerfacecolor": "white", "markeredgewidth": 0.8}
        ax.plot(table.quoted, np.arange(len(table)), "*", color=INK, label="quoted, on other data", **look)
    if seeds or "quoted" in table:
        figure.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=4)


def _line_colour(method: str) -> str:
    """A method's colour, darkened until a line of it can be seen on white."""
    colour = method_look(method)["facecolor"]
    while grey(colour) > 0.52:
        colour = to_hex(mixed(colour, 0.85, "black"))
    return colour


def _name_ends(ax: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Names at the ends of lines (x, y, name, colour), moved apart where they would touch."""
    low, high = ax.get_ylim()
    ax.set_ylim(low, high)
    height_pt = ax.figure.get_figheight() * 72 * 0.75  # of the axes, nearly
    apart = (high - low) * 8.5 / height_pt
    ends = sorted(ends, key=lambda end: end[1])
    steps = apart * np.arange(len(ends))
    places = isotonic_regression([end[1] for end in ends] - steps).x + steps  # the nearest that keep apart, in order
    right = max(end[0] for end in ends)
    ax.set_xlim(0, right * 1.02)
    for (x, y, name, colour), place in zip(ends, places, strict=True):
        ax.annotate(
            name, (x, y), (1.04, place), xycoords="data", textcoords=ax.get_yaxis_transform(), va="center", fontsize=7,
            color=colour, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 3},
        )  # fmt: skip
