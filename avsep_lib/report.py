"""What came of a video as a page that plays it: ``report.html``, which needs no network and no other file.

Behind ``avsep separate``.
"""

import base64
import os
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

import jinja2

from avsep_lib import __version__, files, runs, staging
from avsep_lib.duets import Separation
from avsep_lib.plots import readable
from avsep_lib.watching import Player

LARGEST_PAGE = 64 << 20
"""Bytes that a page may hold; what would be more lies beside it."""

_BESIDE = "report_files"


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
        The page. If all of it would be larger than 64 MB, tracks and films are not in it but beside it, and it says so.

    Raises
    ------
    StudyError
        If the video can no longer be read.
    """
    folder = Path(folder)
    cast, gain = staging.cast(separation)
    sounds = [staging.compressed(track, gain) for track in separation.tracks]
    moving = staging.film(separation)
    within = sum(map(len, [*sounds, moving])) + sum(path.stat().st_size for path in films) <= LARGEST_PAGE * 3 / 4

    def held(content: bytes, name: str) -> dict[str, str]:
        if within:
            return {"base64": base64.b64encode(content).decode()}
        with files.atomic(folder / _BESIDE / name) as temporary:
            temporary.write_bytes(content)
        return {"href": f"{_BESIDE}/{quote(name)}"}

    names = [f"{track.stem}.m4a" for track in separation.tracks]
    data = {
        **staging.scene(separation),
        "players": [
            {**player, "track": held(sound, name)} for player, sound, name in zip(cast, sounds, names, strict=True)
        ],
        "picture": {"base64": base64.b64encode(staging.picture(separation)).decode()},
        "film": held(moving, "film.mp4"),
    }
    page = _template().render(
        title=separation.path.name,
        data=data,
        script=(staging.WEB / "stage.js").read_text(),
        style=(staging.WEB / "stage.css").read_text() + (staging.WEB / "report.css").read_text(),
        players=[
            _row(player, shown, track)
            for player, shown, track in zip(separation.players, cast, separation.tracks, strict=False)
        ],
        films=[(path.name, _address(path, "video/mp4", within, folder)) for path in films],
        figures=[(title, _address(path, "image/png", True, folder)) for title, path in (figures or {}).items()],
        notes=notes,
        within=within,
        facts=_facts(separation, settings or {}),
    )
    with files.atomic(folder / "report.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    return folder / "report.html"


def _template() -> jinja2.Template:
    """The page; what is put into it is text, whatever it holds."""
    loader = jinja2.FileSystemLoader(staging.WEB)
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True).get_template(
        "report.html"
    )


def _row(player: Player, shown: dict, track: Path) -> dict[str, str]:
    """A line of the table of players."""
    x0, y0, x1, y1 = player.box
    sure = "" if shown["confidence"] is None else f"{shown['confidence']:.0%}"
    place = f"{x0:.0%} to {x1:.0%} from the left, {y0:.0%} to {y1:.0%} from the top"
    return {
        "name": readable(player.instrument),
        "colour": shown["colour"],
        "sure": sure,
        "place": place,
        "track": track.name,
    }


def _address(path: Path, kind: str, within: bool, folder: Path) -> str:
    """A file as an address: its content, or where it lies as seen from the page."""
    if within:
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
    return quote(Path(os.path.relpath(path, folder)).as_posix())


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
