"""Names of instruments as ours are written, however folders and lists write them.

Used by ``clips``, ``music_lists``, ``list_formats`` and ``layouts``.
"""

import re
from functools import lru_cache

from avsep_lib.settings import MUSIC_21

KNOWN = frozenset({
    *MUSIC_21, "double_bass", "harmonica", "harp", "horn", "mandolin", "marimba", "oboe", "recorder", "trombone",
    "vibraphone", "viola",
})  # fmt: skip
"""Names that are surely instruments; others may be, too."""
_SAME = {"violin_fiddle": "violin", "french_horn": "horn", "contrabass": "double_bass"}
_BETWEEN = re.compile(r"[\s,&/_-]+")
_BY_LETTERS = {_BETWEEN.sub("", text): name for text, name in ({name: name for name in KNOWN} | _SAME).items()}


def one(text: str) -> str:
    """The name of a single instrument: ``DoubleBass``, ``double bass`` -> ``double_bass``."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return _BY_LETTERS.get(_letters(text), _BETWEEN.sub("_", words.lower()).strip("_"))


@lru_cache(4096)
def joined(text: str) -> str:
    """The players that a text tells, joined by ``+``.

    Parameters
    ----------
    text : such as the name of a folder. Several players have a ``+`` between them, or else known names and nothing
        more: ``acoustic_guitar violin``, ``acoustic_guitar-violin`` and ``acoustic_guitarviolin`` are two.

    Returns
    -------
    str
        An unknown text is one instrument, whatever spaces it holds.
    """
    if "+" in text:
        return "+".join(one(part) for part in text.split("+") if part.strip())
    return "+".join(_parts(_letters(text))) or one(text)


def are_known(names: str) -> bool:
    """Whether all instruments of a name as :func:`joined` gives it are known."""
    return set(names.split("+")) <= KNOWN


def _letters(text: str) -> str:
    """A text without capitals and without what stands between its words."""
    return _BETWEEN.sub("", text.lower())


def _parts(letters: str) -> list[str]:
    """The known names that letters are made of, the longest first; none where something is left over."""
    for known in sorted(_BY_LETTERS, key=len, reverse=True):
        if letters == known:
            return [_BY_LETTERS[known]]
        if letters.startswith(known) and (rest := _parts(letters[len(known) :])):
            return [_BY_LETTERS[known], *rest]
    return []
