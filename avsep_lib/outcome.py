"""All that comes of one video, in one folder: tracks, films, figures, a page that plays them.

Used by ``avsep separate``.
"""

import json
import math
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from avsep_lib import duet_plots, duets, files, films, media, plots, report, runs
from avsep_lib.duets import Separation
from avsep_lib.finding import unsure
from avsep_lib.separators import BaseSeparator
from avsep_lib.settings import StudyError
from avsep_lib.watching import Player

CONTENTS = "separation.json"
_STILL = 1.0  # of 255: pictures that differ by less do not move
_QUIET = 1e-4  # of the energy of all sound, -40 dB


def write_all(
    separator: BaseSeparator,
    video: str | Path,
    out: str | Path,
    n_players: int | None = None,
    instruments: Sequence[str] = (),
    at: tuple[float, float] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Iterator[str]:
    """Separate a video, and write what came of it to a folder.

    Parameters
    ----------
    separator, video, n_players, instruments, at, progress : as in ``duets.separate_video``
    out : str or Path
        The folder. What an earlier call left there is removed, other files stay.

    Yields
    ------
    str
        Lines to be told as it goes: who was found, what to beware of, the path of each file that is there.

    Raises
    ------
    StudyError
        As ``duets.separate_video``; or if the disk is full later on. The files whose paths were told stay.
    """
    out = Path(out)
    if Path(video).resolve().parent == out.resolve():
        raise StudyError(
            f"{video}: lies in the folder for what comes of it, and could be written over; give another --out"
        )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        separation = duets.separate_video(separator, video, n_players, instruments, progress, out, at)
        notes = [*dict.fromkeys(str(each.message) for each in caught), *_remarks(separation, bool(instruments))]
    _remove_older(out, separation.tracks)
    yield from map(told, separation.players)
    yield from (f"note: {note}" for note in notes)
    made = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of faults that were told
        for path in _shown(separation, separator, out, notes, progress):
            made.append(path.name)
            _write_contents(out, separation, made, notes)
            yield str(path)
    yield str(out / CONTENTS)


def told(player: Player) -> str:
    """A player in a line: where, what, and how sure that is."""
    x0, y0, x1, y1 = player.part
    where = f"{x0:4.0%} to {x1:4.0%} of the width"
    if (y0, y1) != (0, 1):
        where += f", {y0:4.0%} to {y1:4.0%} of the height"
    sure = "" if math.isnan(player.confidence) else f" ({player.confidence:.0%} sure)"
    return f"{where}: {player.instrument}{sure}"


def _shown(
    separation: Separation, separator: BaseSeparator, out: Path, notes: Sequence[str], progress: Callable | None
) -> Iterator[Path]:
    """Each file as soon as it is there: first what cannot be had again without the separator."""
    yield from separation.tracks
    figures = {
        "Who was found where, who sounds where, and the share of each": plots.save_picture(
            duet_plots.duet_panel(separation, separator.settings), out / "players.png"
        ),
        "Where sound is, which places sound alike, and when: a rough guide": plots.save_picture(
            duet_plots.sound_map_panel(separation), out / "sound_maps.png"
        ),
    }
    yield from figures.values()
    videos = films.write_videos(separation, out, progress=progress)
    yield from videos
    yield report.write_report(separation, out, videos, figures, notes)


def _remarks(separation: Separation, told_names: bool) -> list[str]:
    """What to beware of in what was found, or told."""
    players, remarks = separation.players, []
    if players[0].instrument == duets.PLACE:
        _, (mixture, place) = separation.excerpt()
        if np.square(place).mean() < _QUIET * np.square(mixture).mean():
            remarks.append("this place asks for hardly any sound; try one on an instrument")
    elif len(players) == 1 and told_names:
        remarks.append("asked for alone, an instrument gets only what is surely its own; name all who play if you can")
    elif len(players) == 1:
        remarks.append("one player only was found, who has all the sound; if more play, say --players 2 or name them")
    doubtful = [player for player in players if unsure(player)]
    if doubtful:
        names = " and ".join(f"{player.instrument} ({player.confidence:.0%})" for player in doubtful)
        remarks.append(
            f"little in the picture looks like {names}; are the names right?"
            if told_names
            else f"hardly sure of {names}; name who plays with --instruments if you know it"
        )
    names = [player.instrument for player in players]
    if len(set(names)) < len(names) and not math.isnan(players[0].confidence):
        remarks.append("players of the same instrument ask for the same sound: each gets an even share of it")
    times = np.array([0.1, 0.5, 0.9]) * separation.samples / separation.sample_rate_hz
    seen = media.read_frames(separation.path, times, 64).astype(np.float32)
    if max(np.abs(seen[1:] - seen[0]).mean(axis=(1, 2, 3))) < _STILL:
        remarks.append("its picture hardly moves; who plays is found, but not who moves to which sound")
    return remarks


def _remove_older(out: Path, new: Sequence[Path]) -> None:
    """Remove what the list of an earlier call names, if it lies in the folder itself."""
    try:
        names = json.loads((out / CONTENTS).read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    keep = {path.name for path in new}
    shutil.rmtree(out / report.BESIDE, ignore_errors=True)
    for name in names:
        if isinstance(name, str) and Path(name).name == name and name not in keep:
            (out / name).unlink(missing_ok=True)


def _write_contents(out: Path, separation: Separation, made: Sequence[str], notes: Sequence[str]) -> None:
    """What was found and made, for programs to read."""
    players = [
        {
            **asdict(player),
            "confidence": None if math.isnan(player.confidence) else player.confidence,
            "track": track.name,
        }
        for player, track in zip(separation.players, separation.tracks, strict=False)
    ]
    content = {"video": separation.path.name, "players": players, "notes": list(notes), "files": list(made)}
    files.write_json(out / CONTENTS, content | runs.made_with())
