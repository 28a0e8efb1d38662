"""One name for each instrument, however it is written."""

import pytest

from avsep_lib import instrument_names


@pytest.mark.parametrize(
    ("text", "name"),
    [("DoubleBass", "double_bass"), ("Acoustic guitar", "acoustic_guitar"), ("Violin, fiddle", "violin"),
     ("cello", "cello"), ("acoustic_guitar", "acoustic_guitar"), ("French horn", "horn"), ("erhu flute", "erhu+flute"),
     ("electric bass", "electric_bass"), ("Cello + Flute", "cello+flute"), ("two kazoos", "two_kazoos"),
     ("acoustic_guitar_violin", "acoustic_guitar+violin"), ("acoustic_guitar-violin", "acoustic_guitar+violin"),
     ("acoustic_guitarviolin", "acoustic_guitar+violin"), ("xylophone-flute", "xylophone+flute"),
     ("cello_Acoustic_guitar", "cello+acoustic_guitar"), ("flute & cello", "flute+cello"), ("tuba tuba", "tuba+tuba"),
     ("ViolaViolin", "viola+violin"), ("flute_violin_cello", "flute+violin+cello"),
     ("Horn_double_bass", "horn+double_bass"), ("bass_clarinet", "bass_clarinet"),
     ("ThumbPiano", "thumb_piano"), ("harpsichord", "harpsichord"), ("", "")],
)  # fmt: skip
def test_players_are_told_by_any_writing(text, name):
    assert instrument_names.joined(text) == name


def test_a_single_instrument_is_never_parted():
    assert instrument_names.one("Flute, violin") == "flute_violin"


@pytest.mark.parametrize(("names", "known"), [("cello+flute", True), ("cello+kora", False), ("", False)])
def test_a_name_is_known_where_all_its_players_are(names, known):
    assert instrument_names.are_known(names) is known
