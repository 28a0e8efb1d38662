"""The protocol of every score as code: which mixtures are scored, and that no video stands in two splits.

``docs/protocol.md`` says why. Used by notebook 04.
"""

import hashlib

import pandas as pd

from avsep_lib import clips, leaks, mixtures
from avsep_lib.mixtures import Mixer
from avsep_lib.settings import Settings, StudyError

_DRAWN = {
    "2 different": (2, "different"), "3 different": (3, "different"), "4 different": (4, "different"),
    "2 of the same": (2, "same"),
}  # fmt: skip
KINDS = tuple(_DRAWN)
"""Kinds of test mixtures: how many sources, of different instruments or of one. Each is reported apart."""


def lists(mixer: Mixer, settings: Settings) -> pd.DataFrame:
    """The test mixtures of every kind, drawn with the seed.

    Parameters
    ----------
    mixer : Mixer
        Of the test split.
    settings : Settings
        ``test_mixtures`` are drawn of the first kind and ``other_mixtures`` of each other, with ``seed``.

    Returns
    -------
    DataFrame
        One row for each source: kind, mixture (numbered from 0 in each kind), source, video_id, instrument, start (in
        samples). Kinds for which there are too few instruments, or too few videos of one, are left out.

    Raises
    ------
    StudyError
        If no kind is left.
    """
    tables = []
    for kind, (n_sources, instruments) in _DRAWN.items():
        if _can_draw(mixer, n_sources, instruments):
            count = settings.test_mixtures if kind == KINDS[0] else settings.other_mixtures
            listed = mixtures.fixed_list(mixer, count, n_sources, instruments, settings.seed)
            listed.insert(0, "kind", kind)
            tables.append(listed)
    if not tables:
        raise StudyError("the test split has one video only, and nothing to mix it with; add test videos")
    return pd.concat(tables, ignore_index=True)


def digest(listed: pd.DataFrame) -> str:
    """What a list is known by: the first 12 digits of the SHA-256 of its CSV."""
    return hashlib.sha256(listed.to_csv(index=False, lineterminator="\n").encode()).hexdigest()[:12]


def check_disjoint(index: pd.DataFrame) -> None:
    """Refuse an index in which one video stands in two splits, under its own name or another.

    Parameters
    ----------
    index : DataFrame
        As ``clips.read_index`` gives it.

    Raises
    ------
    StudyError
        If two rows of different splits have one ``video_id``, one file, or files of the same content; it names them.
        Contents are compared only where sizes are equal.
    """
    clips.check_splits(index)
    for copies in leaks.same_content(index.path):
        if index.iloc[copies].split.nunique() > 1:
            _refuse(index.iloc[copies])


def _can_draw(mixer: Mixer, n_sources: int, instruments: str) -> bool:
    if instruments == "same":
        return any(len(videos) >= n_sources for videos in mixer.by_instrument.values())
    return len(mixer.instruments) >= n_sources


def _refuse(copies: pd.DataFrame) -> None:
    firsts = copies.drop_duplicates("split")
    where = " and ".join(f"as {row.video_id} in {row.split}" for row in firsts.itertuples())
    raise StudyError(f"video {firsts.video_id.iloc[0]} stands in two splits: the same file {where}; remove one of them")
