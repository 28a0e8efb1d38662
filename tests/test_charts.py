import numpy as np
import pandas as pd
import pytest
from looking import drawn, texts
from matplotlib.colors import to_hex

from avsep_lib import charts, plots
from avsep_lib.settings import StudyError


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


def test_bars_carry_means_and_intervals():
    table = pd.DataFrame({"SDR": [-1.0, 8.25], "from": [-2.0, 7.5], "to": [0.0, 9.0]}, index=["mixture", "separator"])
    ax = drawn(charts.method_bars(table)).axes[0]
    assert texts(ax) == ["mixture", "separator"]
    assert [text.get_text().strip() for text in ax.texts] == ["\N{MINUS SIGN}1.00", "8.25"]
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
    ax = drawn(charts.score_boxes(table, by)).axes[0]
    assert {label.rsplit(" ", 1)[0] for label in texts(ax)} == groups
    assert ax.get_xlabel().startswith("SDR (dB)")
    assert all(label.endswith("(12)" if by == "pair" else "(6)") for label in texts(ax))


def test_lists_are_drawn_with_what_they_share():
    solos = pd.DataFrame({"second": [50, 89], "both": [0, 56]}, index=["banjo", "acoustic_guitar"])
    figure = drawn(charts.listed_videos(solos, pd.Series({"flute+violin": 11})))
    left, right = figure.axes
    assert [bar.get_width() for bar in left.patches] == [0, 56, 50, 33]
    assert [text.get_text().strip() for text in left.texts] == ["50", "89"]
    assert texts(left) == ["banjo", "acoustic guitar"] and texts(right) == ["flute + violin"]
    assert [bar.get_width() for bar in right.patches] == [11]


def test_confusion_shows_counts_and_shares():
    ax = drawn(charts.confusion([[3, 1], [0, 0]], ["flute", "tuba"])).axes[0]
    assert [text.get_text() for text in ax.texts] == ["3", "1"]
    assert ax.images[0].get_array().tolist() == [[0.75, 0.25], [0, 0]]


def test_history_draws_what_there_is():
    table = pd.DataFrame({"epoch": [1, 2], "loss_train": [2.0, 1.0], "loss_validation": [2.1, 1.5]})
    assert len(drawn(charts.history(table)).axes) == 1
    figure = drawn(charts.history(table.assign(accuracy_validation=[0.2, 0.9])))
    assert [ax.get_ylabel() for ax in figure.axes] == ["loss", "accuracy (share)"]
    assert [len(ax.lines) for ax in figure.axes] == [2, 1]
    figure = drawn(charts.history(table.assign(si_sdr_validation=[-1.0, 4.0])))
    assert [ax.get_ylabel() for ax in figure.axes] == ["loss", "SI-SDR (dB)"]
    assert figure.axes[1].get_ylim()[0] < -1 and list(figure.axes[1].lines[0].get_ydata()) == [-1, 4]


def test_counts_are_stacked_and_summed():
    counts = pd.DataFrame({"train": [4, 2], "validation": [1, 0], "test": [2, 1]}, index=["acoustic_guitar", "tuba"])
    ax = drawn(charts.clips_per_instrument(counts)).axes[0]
    assert texts(ax) == ["acoustic guitar", "tuba"]
    assert [text.get_text().strip() for text in ax.texts] == ["7", "3"]


SOUND_OF_PIXELS = [f"Sound of Pixels, {kind}, {axis}" for kind in ("ratio", "binary") for axis in ("linear", "log")]


def scores(means, names):
    means = np.array(means, float)
    return pd.DataFrame({"SDR": means, "from": means - 1, "to": means + 1}, index=list(names))


def notes(ax):
    return [text.get_text().strip().replace("\N{MINUS SIGN}", "-") for text in ax.texts]


def test_bars_show_seeds_and_what_is_quoted():
    table = scores([5, 7], SOUND_OF_PIXELS[:2]).assign(**{"seed 0": [4.5, 7.5], "seed 1": [5.5, 6.5]})
    figure = drawn(charts.method_bars(table.assign(quoted=[8.9, np.nan])))
    points = {line.get_label(): list(line.get_xdata()) for line in figure.axes[0].lines}
    assert points["seed 0"] == [4.5, 7.5] and points["seed 1"] == [5.5, 6.5]
    assert [text.get_text() for text in figure.legends[0].texts] == ["seed 0", "seed 1", "quoted, on other data"]
    assert notes(figure.axes[0]) == ["5.00 (quoted: 8.90)", "7.00"]


def test_bars_do_without_an_interval():
    ax = drawn(charts.method_bars(scores([5], ["mixture"]).assign(**{"from": np.nan, "to": np.nan}))).axes[0]
    assert [bar.get_width() for bar in ax.patches] == [5.0]
    assert np.isfinite(ax.get_xlim()).all() and notes(ax) == ["5.00"]


def test_steps_of_an_ablation_darken_and_say_what_they_gain():
    table = scores([5, 6.5, 6.25], ["Sound of Pixels", "+ longer", "+ deeper"])
    ax = drawn(charts.ablation_bars(table)).axes[0]
    assert texts(ax) == ["Sound of Pixels", "+ longer", "+ deeper"]
    assert {"+1.50", "-0.25", "gain (dB)"} <= set(notes(ax))
    greys = [plots.grey(to_hex(bar.get_facecolor())) for bar in ax.patches]
    assert greys[0] - greys[1] > 0.1 and greys[1] - greys[2] > 0.1
    assert "+9.00" in notes(charts.ablation_bars(table.assign(gain=[np.nan, 9, 1])).axes[0])


def test_gains_that_may_be_nothing_stand_in_brackets():
    gains = pd.DataFrame({"SDR gained": [9.0, -0.5], "from": [8.0, -1.5], "to": [10.0, 0.5]}, index=["mixture", "NMF"])
    ax = drawn(charts.gain_bars(gains)).axes[0]
    assert notes(ax) == ["+9.00", "(-0.50)"]
    assert [bar.get_width() for bar in ax.patches] == [9.0, -0.5]
    assert ax.get_xlim()[0] < -1.5 and ax.get_xlim()[1] > 10


def test_three_ways_to_ask_stand_on_one_line():
    table = pd.DataFrame(
        {"shuffled pictures": [-1.0, 0.0], "own pictures": [7.0, 10.0], "true class": [np.nan, 11.0]},
        index=["semantic mask", "separator"],
    )
    figure = drawn(charts.what_pictures_give(table))
    ax = figure.axes[0]
    assert texts(ax) == ["semantic mask", "separator"] and ax.get_xlabel() == "mean SDR (dB)"
    points = [line.get_xdata()[0] for line in ax.lines if line.get_marker() not in ("", "None")]
    np.testing.assert_array_equal(points, [-1, 7, np.nan, 0, 10, 11])
    assert [text.get_text() for text in figure.legends[0].texts] == ["shuffled pictures", "own pictures", "true class"]
    looks = {(key.get_marker(), key.get_markerfacecolor()) for key in figure.legends[0].legend_handles}
    assert len(looks) == 3, "told apart without colour"


def histories(names):
    table = pd.DataFrame({"epoch": [1, 2, 3], "seconds": [60.0, 120.0, 180.0], "si_sdr_validation": [0.0, 3.0, 4.0]})
    return {name: table.assign(si_sdr_validation=table.si_sdr_validation + n / 100) for n, name in enumerate(names)}


def test_learning_is_drawn_over_minutes_and_lines_differ_in_grey():
    names = [*SOUND_OF_PIXELS, "semantic mask", "separator"]
    figure = drawn(charts.learning_curves(histories(names)))
    ax = figure.axes[0]
    assert [list(line.get_xdata()) for line in ax.lines] == [[1, 2, 3]] * len(names)
    assert list(ax.lines[1].get_ydata()) == pytest.approx([0.01, 3.01, 4.01])
    assert len({(str(line.get_linestyle()), line.get_marker()) for line in ax.lines}) == len(names)
    assert all(plots.grey(to_hex(line.get_color())) < 0.6 for line in ax.lines), "seen on white"
    assert ax.get_xlabel() == "time of training (min)" and ax.get_ylabel().endswith("(dB)")
    assert sorted(notes(ax)) == sorted(names)
    places = sorted(ax.transData.transform((0, text.xyann[1]))[1] for text in ax.texts)
    assert np.diff(places).min() > 7 / 72 * figure.dpi, "names do not touch, though their lines nearly end in one point"


@pytest.mark.parametrize("lost", ["seconds", "si_sdr_validation"])
def test_a_history_without_its_column_is_refused_by_name(lost):
    tables = {"separator": histories(["separator"])["separator"].drop(columns=lost)}
    with pytest.raises(StudyError, match=f"'separator' has no column '{lost}'"):
        charts.learning_curves(tables)


def test_background_stands_apart_in_a_confusion():
    matrix = np.array([[3, 1, 2], [0, 5, 0]])
    ax = drawn(charts.confusion(matrix, ["flute", "tuba"], columns=["flute", "tuba", "background"])).axes[0]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["flute", "tuba", "background"]
    assert texts(ax) == ["flute", "tuba"]
    assert [list(line.get_xdata()) for line in ax.lines] == [[1.5, 1.5]]
    ax = charts.confusion(matrix[:, :2], ["flute", "tuba"], axes=("true", "heard")).axes[0]
    assert not ax.lines and (ax.get_ylabel(), ax.get_xlabel()) == ("true", "heard")


def test_of_many_groups_the_best_and_the_worst_are_drawn():
    rows = [
        {"method": method, "mixture": n, "source": 0, "video_id": str(n), "instrument": f"kind {n}", "sdr_db": sign * n}
        for n in range(10)
        for method, sign in (("separator", 1.0), ("mixture", -3.0))
    ]
    ax = drawn(charts.score_boxes(pd.DataFrame(rows), most=4)).axes[0]
    assert [label.split(" (")[0] for label in texts(ax)] == ["kind 9", "kind 8", "kind 1", "kind 0"], "by the separator"
    assert notes(ax) == ["6 more between"]
    assert not drawn(charts.score_boxes(pd.DataFrame(rows), most=10)).axes[0].texts


def test_mixtures_of_two_kinds_with_one_number_are_two_pairs():
    table = metrics(["separator"])
    other = table.assign(kind="other", instrument=table.instrument.replace("flute", "cello"))
    ax = charts.score_boxes(pd.concat([table.assign(kind="two"), other]), by="pair").axes[0]
    assert {label.split(" (")[0] for label in texts(ax)} == {"flute + tuba", "cello + tuba"}


@pytest.mark.parametrize(
    "figure",
    [
        lambda: charts.method_bars(scores([1, 2], ["NMF, blind", "ideal ratio mask"])),
        lambda: charts.learning_curves(histories(["separator"])),
        lambda: charts.confusion(np.eye(2, dtype=int), ["flute", "tuba"]),
        lambda: charts.score_boxes(metrics()),
    ],
)
def test_fonts_are_embedded(figure, tmp_path):
    figure().savefig(tmp_path / "a.pdf")
    content = (tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in content and b"/Type3" not in content


def real_pairs():
    return pd.DataFrame(
        {"pair": ["flute+tuba", "cello+flute", "cello+tuba"], "right": [True, False, True],
         "ours": [1.0, 8.0, np.nan], "theirs": [3.0, 6.5, 2.0]}
    )  # fmt: skip


def test_each_mixture_is_a_point_and_a_row_with_the_largest_gain_first():
    figure = drawn(charts.against(real_pairs(), "ours", "theirs"))
    ax, names = figure.axes
    points = {(line.get_xdata()[0], line.get_ydata()[0]): line.get_marker() for line in ax.lines[1:]}
    assert points == {(6.5, 8.0): "s", (3.0, 1.0): "o"}, "a square where a class was mistaken; none without a score"
    (diagonal,) = ax.lines[:1]
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    assert notes(names) == ["1", "cello + flute", "+1.5", "2", "flute + tuba", "-2.0", "gain (dB)"]
    assert ax.get_xlim() == ax.get_ylim() and ax.get_xlabel() == "theirs: SDR (dB)"
    assert charts.against(real_pairs(), "ours", "theirs", "others").axes[0].get_xlabel() == "others: SDR (dB)"


def test_bars_stand_in_groups_with_points_on_their_own():
    table = pd.DataFrame({"a": [1.0, -2.0], "b": [3.0, 4.0], "own": [2.5, 5.0]}, index=["acoustic_guitar", "tuba"])
    counts = pd.Series([2, 7], index=table.index, name="pairs")
    looks = {"a": "Sound of Pixels", "b": "ours"}
    figure = drawn(charts.bars_by_group(table, counts, looks, {"own": "ours"}))
    ax = figure.axes[0]
    assert texts(ax) == ["acoustic guitar (2)", "tuba (7)"] and ax.get_xlabel().endswith("in brackets: pairs")
    assert [[bar.get_width() for bar in group] for group in ax.containers] == [[1, -2], [3, 4]]
    (points,) = [line for line in ax.lines if line.get_marker() == "D"]
    middles = [bar.get_y() + bar.get_height() / 2 for bar in ax.containers[1]]
    assert list(points.get_xdata()) == [2.5, 5.0] and list(points.get_ydata()) == pytest.approx(middles)
    labels = [text.get_text() for text in figure.legends[0].texts]
    assert labels == ["Sound of Pixels", "ours", "ours: its own sound"]


def test_localisation_is_drawn_for_every_method():
    names = ["separator", "foreign sound", "centre box"]
    shares = {
        "cIoU": [0.5, 0.3, 0.2],
        "from": [0.4, np.nan, 0.1],
        "to": [0.6, np.nan, 0.3],
        "pointing": [0.9, 0.5, 0.1],
    }
    table = pd.DataFrame(shares | {"silent": [0.8, 0.2, np.nan]}, index=pd.Index(names, name="method"))
    left, middle, right = drawn(charts.localisation_bars(table)).axes
    assert [label.get_text() for label in left.get_yticklabels()] == names and not middle.get_yticklabels()[
        0
    ].get_text()
    assert [bar.get_width() for bar in left.patches] == [0.5, 0.3, 0.2]
    assert [bar.get_width() for bar in middle.patches] == [0.9, 0.5, 0.1]
    assert len(left.collections) == 2 and not middle.collections, "whiskers where an interval is known"
    assert left.patches[1].get_hatch() and not left.patches[0].get_hatch()
    assert [text.get_text() for text in right.texts] == ["0.80", "0.20", ""]
