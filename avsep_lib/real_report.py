"""What a separator scores on real clips, as tables, figures and a few lines for a screen.

Every function takes the tables of ``real.score`` (``metrics``) and ``real.frame_accuracy`` (``named``). Names of tables
and figures begin with ``real_``. Used by notebook 04 and by ``avsep score-real``.
"""

from pathlib import Path

import pandas as pd

from avsep_lib import charts, plots, real, runs, tables
from avsep_lib.real import MIXTURE, SEEN, TRUE, WAYS, YARDSTICK
from avsep_lib.real_clips import DIFFERENT, SAME


def every_table(metrics: pd.DataFrame, named: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables by name; one is left out where the folder has nothing for it.

    Returns
    -------
    dict of DataFrame
        ``real_methods``, the main one, of pairs of two different instruments; ``real_same_instrument``, likewise;
        ``real_by_instrument``; ``real_pairs``; ``real_mixtures``, those that came with their tracks, source by source;
        ``real_solos``.
    """
    made = {}
    for name, kind in (("real_methods", DIFFERENT), ("real_same_instrument", SAME)):
        if _scored(metrics, kind):
            made[name] = real.summary(metrics, kind)
    if "real_methods" in made:
        made["real_by_instrument"] = real.by_instrument(metrics)
    pairs = metrics.kind.isin([DIFFERENT, SAME])
    if pairs.any():
        made["real_pairs"] = real.by_mixture(metrics[pairs])
    if not pairs.all():
        made["real_mixtures"] = _by_source(metrics[~pairs])
    if len(named):
        made["real_solos"] = named
    return made


def every_figure(metrics: pd.DataFrame) -> dict[str, tuple[plots.Picture, str]]:
    """Figures of pairs of two different instruments by name, each with its caption; none where no such pair is scored.

    Returns
    -------
    dict of (Figure, str)
        ``real_methods``, ``real_pairs``, ``real_by_instrument``: drawings of the tables of these names.
    """
    if not _scored(metrics, DIFFERENT):
        return {}
    means, pairs = real.summary(metrics), real.by_mixture(metrics[metrics.kind == DIFFERENT])
    groups, other = real.by_instrument(metrics), YARDSTICK if YARDSTICK in pairs else MIXTURE
    bars = {f"pairs: {way}": way for way in (YARDSTICK, SEEN, TRUE) if f"pairs: {way}" in groups}
    return {
        "real_methods": (
            charts.method_bars(means),
            f"Mean SDR on {means.mixtures[MIXTURE]} mixtures of two real solos of different instruments.",
        ),
        "real_pairs": (
            charts.against(pairs, SEEN, other),
            f"SDR of each of these mixtures: ours against the {other}. Above the diagonal ours is better.",
        ),
        "real_by_instrument": (
            charts.bars_by_group(groups, groups.pairs, bars, {SEEN: SEEN}),
            "Bars: mean SDR of the pairs in which an instrument plays. Points: that of its own sound.",
        ),
    }


def told(metrics: pd.DataFrame, named: pd.DataFrame) -> str:
    """The main findings in a few lines, for a screen."""
    lines = []
    for title, kind in (("pairs of two different instruments", DIFFERENT), ("pairs of one instrument", SAME)):
        if _scored(metrics, kind):
            table = real.summary(metrics, kind)[["SDR", "from", "to", "SIR", "SAR", "SI-SDR", "mixtures", "silent"]]
            lines += [f"{title}, mean over sources in dB", table.rename_axis(None).round(2).to_string(), ""]
    if {SEEN, YARDSTICK} <= set(metrics[metrics.kind == DIFFERENT].dropna(subset="sdr_db").method):
        mean, low, high = real.gain(metrics)
        lines.append(f"{SEEN}, above the yardstick: {mean:+.2f} dB ({low:+.2f} to {high:+.2f})")
        apart = real.agreement(metrics)
        lines.append(f"the mixture's own scores differ from those of the yardstick by {apart:.4f} dB at most")
    for name, part in metrics[~metrics.kind.isin([DIFFERENT, SAME])].groupby("mixture", sort=False):
        gains = part[part.method.isin([SEEN, TRUE])].groupby("method", sort=False).sdri_db.mean()
        said = ", ".join(f"{value:+.2f} dB {way}" for way, value in gains.items())
        lines.append(f"{name}, above the mixture: {said}")
    if len(named):
        share, low, high = tables.accuracy(named.right)
        count = f"{named.right.sum()} of {len(named)} solos right"
        lines.append(f"classes of pictures: {count} ({share:.0%}, {low:.0%} to {high:.0%})")
    lines += [f"not scored, since a source is silent: {name}" for name in real.not_scored(metrics)]
    return "\n".join(lines)


def save(metrics: pd.DataFrame, named: pd.DataFrame, folder: str | Path, made_by: dict[str, object]) -> list[Path]:
    """Write all tables and figures, and the scores of each source, into one folder.

    Parameters
    ----------
    metrics, named : DataFrame
    folder : path
    made_by : dict
        What JSON beside each figure says of where it came from.

    Returns
    -------
    list of Path
        The files: CSV and LaTeX of tables, PNG, PDF and JSON of figures.
    """
    folder = Path(folder)
    made = runs.save_table(metrics, folder / "real_metrics", latex=False)
    for name, table in every_table(metrics, named).items():
        made += runs.save_table(table, folder / name)
    for name, (figure, caption) in every_figure(metrics).items():
        made += plots.save_with_caption(figure, folder / name, caption, made_by)
    return made


def _scored(metrics: pd.DataFrame, kind: str) -> bool:
    """Whether any mixture of a kind has a score."""
    return bool(metrics[metrics.kind == kind].sdr_db.notna().any())


def _by_source(metrics: pd.DataFrame) -> pd.DataFrame:
    """SDR of each source, a row for each, a column for each way."""
    keys = ["mixture", "source", "instrument", "said"]
    table = metrics.set_index([*keys, "method"]).sdr_db.unstack("method")
    table = table[[way for way in WAYS if way in table]].rename_axis(index={"mixture": "name"})
    return table.reset_index().rename_axis(columns=None)
