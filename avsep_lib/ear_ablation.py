"""What each part of the bank and each augmentation brings the ear: small trainings that lack one of them.

Used by ``avsep ablate-ear``.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from avsep_lib import bank, bss_eval, pretrained, real_clips, runs
from avsep_lib.ear import Ear
from avsep_lib.ear_training import Augmentation, train
from avsep_lib.eye import Eye
from avsep_lib.settings import Settings, StudyError

SMALL = {"audio_base_channels": 16, "epochs": 3, "mixtures_per_epoch": 800}
"""In what these trainings differ from that of the project: a narrower net, and a twentieth of the mixtures."""
_WHOLE = Augmentation()


@dataclass(frozen=True)
class Row:
    """A training: its title in the table, the tones that it does not hear, and how its mixtures are augmented."""

    title: str
    left_out: tuple[str, ...] = ()
    augmentation: Augmentation = _WHOLE


ROWS = {
    "whole": Row("all of it"),
    "no_notes": Row("without real notes", ("notes",)),
    "no_synthesis": Row("without tones by rule", ("synthesis",)),
    "fonts": Row("three soundfonts alone", ("notes", "synthesis")),
    "one_font": Row("one soundfont alone", ("notes", "synthesis", "MuseScore", "Csound")),
    "no_recording": Row("without rooms, phones, hum, clipping", (), dataclasses.replace(_WHOLE, recorded=0.0)),
    "no_equaliser": Row("without the random equaliser", (), dataclasses.replace(_WHOLE, coloured=False)),
    "no_speed": Row("without change of speed", (), dataclasses.replace(_WHOLE, speed=0.0)),
    "pairs": Row(
        "pairs alone, all questions right",
        (),
        dataclasses.replace(_WHOLE, sources=(0.0, 1.0, 0.0, 0.0), opened=0.0, wrong=0.0),
    ),
}
"""By name."""


def ablate(
    settings: Settings, folder: str | Path, real: str | Path | None = None, only: Sequence[str] = ()
) -> tuple[pd.DataFrame, Path]:
    """Train every row, the same number of mixtures for all, and score them; what is trained is not trained again.

    Parameters
    ----------
    settings : Settings
        Of the preset ``ear`` with the changes of :data:`SMALL`.
    folder : str or Path
        The bank.
    real : str or Path, optional
        Real clips (``docs/real_clips.md``): their pairs of two different instruments are scored too, with true
        classes.
    only : sequence of str
        Names in :data:`ROWS`; by default all. All are compared with the first.

    Returns
    -------
    table : DataFrame
        By title: ``SI-SDR, held-out font`` in dB, of the epoch that validated best; ``SDR, real pairs``; and both less
        those of the first row.
    path : Path
        Of the table, a CSV file.
    """
    for name in only:
        if name not in ROWS:
            raise StudyError(f"--only {name!r} is not known; choose from {', '.join(ROWS)}")
    tones, found = set(bank.read(folder).tone), {}
    for name in only or ROWS:
        row = ROWS[name]
        run = runs.begin(f"ablation_{name}", settings)
        heard = sorted(tones - set(row.left_out))
        ear = train(run, folder, row.augmentation, heard, label=f"ablation_{name}")
        history = pd.read_csv(run.folder / "history.csv")
        best = history.loc[history.loss_validation.idxmin()]
        found[row.title] = {"SI-SDR, held-out font": best.si_sdr_validation}
        if real:
            found[row.title]["SDR, real pairs"] = mean_sdr(ear, real)
        run.finish()
    table = pd.DataFrame(found).T.rename_axis("training")
    for column in list(table):
        table[f"{column}: gain"] = table[column] - table[column].iloc[0]
    whole = runs.begin("ablation", settings)
    whole.write_table(table, "ear_ablation")
    whole.finish()
    return table, whole.folder / "ear_ablation.csv"


def mean_sdr(ear: Ear, folder: str | Path) -> float:
    """Mean SDR (dB) over the sources of all real pairs of two different instruments, true classes given."""
    separator = pretrained.Pretrained(Eye(ear.instruments), ear).eval()
    scores = []
    for mixture in real_clips.mixtures(folder):
        if mixture.kind == real_clips.DIFFERENT:
            wave, sources = real_clips.heard(mixture, separator.sample_rate_hz)
            if real_clips.all_sound(sources):
                estimates = separator.separate_named(wave, mixture.instruments)
                scores.append(bss_eval.bss_eval(sources, estimates)[0])
    return float(np.mean(scores))
