"""What came of a video as a page that plays it: ``report.html``, which needs no network and no other file.

Behind ``avsep separate``.
"""

import base64
import itertools
import os
import re
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

import jinja2

from avsep_lib import __version__, files, runs, staging
from avsep_lib.duets import Separation
from avsep_lib.watching import Player

LARGEST_PAGE = 64 << 20
"""Bytes that a page may hold; what would be more lies beside it."""

BESIDE = "report_files"
"""Folder beside a page that does not hold its tracks and film."""

_MARK = f"@{uuid.uuid4()}-"  # and a number: where the content of a file comes
_PIECE = 3 << 16  # bytes of a file in memory at a time; a multiple of 3, so that pieces of base64 can be joined


def write_report(
    separation: Separation,
    folder: str | Path,
    films: Sequence[Path] = (),
    figures: Mapping[str, Path] | None = None,
    notes: Sequence[str] = (),
    settings: Mapping[str, object] | None = None,
) -> Path:
    """Write ``report.html``: the video with its players on a stage, their films, the figures, and who was found.

    Parameters
    ----------
    separation : Separation
        Its tracks lie in ``folder``.
    folder : str or Path
        Where the page is written.
    films : sequence of Path
        MP4 files to show, such as those of ``films.write_videos``.
    figures : mapping of title and Path, optional
        PNG files.
    notes : sequence of str
        Warnings, a line each.
    settings : mapping, optional
        What the separator was, by name, for the line on where all this came from.

    Returns
    -------
    Path
        The page. If all of it would be larger than 64 MB, films are not in it but beside it, of a long video tracks
        too, and it says so.

    Raises
    ------
    StudyError
        If the video can no longer be read.
    """
    folder = Path(folder)
    cast, gain = staging.cast(separation)
    with tempfile.TemporaryDirectory(prefix=".", dir=folder) as made:
        sounds = [staging.compress(track, Path(made) / f"{track.stem}.m4a", gain) for track in separation.tracks]
        moving = staging.write_film(separation, Path(made) / "film.mp4")
        played, shown = (sum(path.stat().st_size for path in paths) for paths in ([*sounds, moving], films))
        room = LARGEST_PAGE * 3 / 4  # base64 takes four letters for three bytes
        held = _Held(folder, played <= room, played + shown <= room)
        data = {
            **staging.scene(separation),
            "players": [{**player, "track": held.source(sound)} for player, sound in zip(cast, sounds, strict=True)],
            "picture": {"base64": base64.b64encode(staging.picture(separation)).decode()},
            "film": held.source(moving),
        }
        page = _template().render(
            title=separation.path.name,
            data=data,
            script=(staging.WEB / "stage.js").read_text(),
            style=(staging.WEB / "stage.css").read_text() + (staging.WEB / "report.css").read_text(),
            players=[_row(*row) for row in itertools.zip_longest(separation.players, cast, separation.tracks)],
            films=[(path.name, held.address(path, "video/mp4", held.films)) for path in films],
            figures=[(title, held.address(path, "image/png")) for title, path in (figures or {}).items()],
            notes=notes,
            beside="" if held.films else "its films" if held.stage else "its tracks and films",
            facts=_facts(separation, settings or {}),
        )
        held.write(page, folder / "report.html")
    return folder / "report.html"


class _Held:
    """Files that a page holds: it is written with a mark for each, and their content is put there piece by piece."""

    def __init__(self, folder: Path, stage: bool, films: bool):
        self.folder, self.stage, self.films, self.paths = folder, stage, films, []

    def source(self, path: Path) -> dict[str, str]:
        """A file as the stage is given it; one that is not held is moved beside the page."""
        if self.stage:
            return {"base64": self._mark(path)}
        beside = self.folder / BESIDE / path.name
        beside.parent.mkdir(exist_ok=True)
        return {"href": self.address(path.replace(beside), "", False)}

    def address(self, path: Path, kind: str, within: bool = True) -> str:
        """A file as an address: its content, or where it lies as seen from the page."""
        if within:
            return f"data:{kind};base64,{self._mark(path)}"
        return quote(Path(os.path.relpath(path, self.folder)).as_posix())

    def write(self, page: str, path: Path) -> None:
        """Write the page with the content of the files in it."""
        with files.atomic(path) as temporary, temporary.open("w", encoding="utf-8") as out:
            for n, part in enumerate(re.split(f"{_MARK}(\\d+)@", page)):
                if n % 2:  # text and numbers come in turn
                    _write_content(self.paths[int(part)], out)
                else:
                    out.write(part)

    def _mark(self, path: Path) -> str:
        self.paths.append(path)
        return f"{_MARK}{len(self.paths) - 1}@"


def _write_content(path: Path, out: TextIO) -> None:
    """Write a file as base64."""
    with path.open("rb") as content:
        while piece := content.read(_PIECE):
            out.write(base64.b64encode(piece).decode())


def _template() -> jinja2.Template:
    """The page; what is put into it is text, whatever it holds."""
    loader = jinja2.FileSystemLoader(staging.WEB)
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True).get_template(
        "report.html"
    )


def _row(player: Player | None, shown: dict, track: Path) -> dict[str, str]:
    """A line of the table of players; of what no player plays, the last."""
    place = "all other sound"
    if player is not None:
        x0, y0, x1, y1 = player.box
        place = f"{x0:.0%} to {x1:.0%} from the left, {y0:.0%} to {y1:.0%} from the top"
    sure = "" if shown["confidence"] is None else f"{shown['confidence']:.0%}"
    return {
        "name": shown["name"],
        "colour": shown["colour"],
        "sure": sure,
        "place": place,
        "track": track.name,
    }


def _facts(separation: Separation, settings: Mapping[str, object]) -> dict[str, str]:
    """Where the page came from; no paths, for pages are passed on."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("torch", "av", "numpy"))
    return {
        "Video": separation.path.name,
        "Made by": f"avsep {__version__}, commit {runs.commit()}",
        "With": versions,
        "The separator hears at": f"{separation.sample_rate_hz} Hz",
        **{name: str(value) for name, value in settings.items()},
    }
