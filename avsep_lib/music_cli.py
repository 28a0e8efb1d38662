"""The commands ``avsep music status``, ``download``, ``prepare`` and ``leaks``: from a list to a checked data set."""

import argparse
import math
import shlex
from pathlib import Path

from avsep_lib.settings import PROJECT_ROOT, StudyError, from_parameters


def add(commands) -> None:
    """Add ``music`` to the commands of ``avsep``."""
    music = commands.add_parser("music", help="MUSIC, MUSIC-21 or your own list or videos: fetch, prepare, look")
    parts = music.add_subparsers(required=True, metavar="status|download|prepare|leaks")

    status = parts.add_parser("status", help="what is there, missing, lost and usable, by instrument")
    status.add_argument("--card", type=Path, metavar="FILE", help="write a data card of it, in Markdown")
    status.set_defaults(command=_status)

    download = parts.add_parser("download", help="fetch videos with yt-dlp; goes on where it was stopped")
    download.add_argument("--most", type=int, metavar="N", help="fetch at most N videos this time (all)")
    download.add_argument("--again", action="store_true", help="ask again for those that were gone, private or blocked")
    download.add_argument("--at-a-time", type=int, default=2, metavar="N", help="downloads side by side (2)")
    download.add_argument("--rate", type=float, default=2.0, metavar="MB", help="megabytes a second, all together (2)")
    download.add_argument("--pause", type=float, default=4.0, metavar="S", help="seconds after each video (4)")
    download.add_argument("--cookies", default="", metavar="FILE", help="cookies of a browser; read, never changed")
    download.set_defaults(command=_download)

    prepare = parts.add_parser("prepare", help="make small files of them for training, mark what is silent, index them")
    prepare.add_argument("--workers", type=_count, metavar="N", help="processes (one for each core)")
    prepare.add_argument("--least", type=_seconds, default=6.0, metavar="S", help="seconds of sound that it takes (6)")
    prepare.add_argument("--by-uploader", action="store_true", help="split lists anew, each uploader in one split")
    prepare.add_argument("--keep-splits", action="store_true", help="do not move near-duplicates into one split")
    prepare.set_defaults(command=_prepare)

    leaks = parts.add_parser("leaks", help="what two lists share; ends with code 2 where one video is in both")
    for name in ("a", "b"):
        leaks.add_argument(name, metavar=name.upper(), help="music, music21, an index or a list of any known form")
    leaks.add_argument("--kept", type=Path, default=PROJECT_ROOT / "data" / "fingerprints", metavar="DIR",
                       help="folder of fingerprints (data/fingerprints)")  # fmt: skip
    leaks.set_defaults(command=_leaks)

    for part in (status, download, prepare):
        part.add_argument("--root", type=Path, metavar="DIR", help="folder of the videos (data/music)")
        part.add_argument(
            "--dataset",
            metavar="NAME",
            help="music, music21, your own list (JSON or CSV) or, to prepare, videos (both lists)",
        )


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes; give 0 or more")
    return int(text)


def _seconds(text: str) -> float:
    if not 0 < float(text) < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no length; give seconds above 0")
    return float(text)


def _status(options: argparse.Namespace) -> None:
    from avsep_lib import files, music

    root = _root(options)
    if _is_dataset(options.dataset) and Path(options.dataset).exists():
        raise StudyError(f"{options.dataset}: status is of lists; of videos, {root / 'prepared.csv'} says what became")
    for name, videos in _lists(options.dataset).items():
        print(f"{_title(name)} in {root}")
        print(music.status(root, videos).to_string(), flush=True)
        for word, count in music.why_not(root, videos).items():
            print(f"{word}: {count}")
        print()
    if options.card:
        with files.atomic(options.card) as part:
            part.write_text(_card(options, root))
        print(options.card)


def _download(options: argparse.Namespace) -> None:
    from avsep_lib import music, music_download, runs

    enough = options.at_a_time >= 1 and (options.most is None or options.most >= 1)
    if not (enough and 0 < options.rate < math.inf and 0 <= options.pause < math.inf):
        raise StudyError("--at-a-time, --rate and --most must be above 0, --pause not below, and none of them infinite")
    root = _root(options)
    (videos,) = _lists(options.dataset or "music").values()
    manners = music_download.Manners(options.at_a_time, 1e6 * options.rate, options.pause, options.cookies)
    noted = music_download.download(
        list(videos["video_id"]), root, manners, most=options.most, again=options.again, progress=runs.Progress()
    )
    print(noted.table()["state"].value_counts().to_string() if len(noted.table()) else "nothing to fetch")
    print(music.status(root, videos).loc[["all"]].to_string())
    print(f"{noted.path}\nnext: avsep music prepare{_same(options)}")


def _prepare(options: argparse.Namespace) -> None:
    from avsep_lib import datasets, files, inventory, music, preparation, runs

    root = _root(options)
    if _is_dataset(options.dataset):
        if options.by_uploader:
            raise StudyError("--by-uploader is for lists whose videos `avsep music download` has fetched")
        path, only = Path(options.dataset).expanduser().resolve(), None
        _check_outside(root, path)
        ready = not path.is_dir() or any((path / name).is_file() for name in ("index.csv", "train.csv"))
        settings = from_parameters(dataset=str(path))
        sources = datasets.open_dataset(settings, check_files=False) if ready else datasets.videos_of(path)
    else:
        only = set().union(*(videos["video_id"] for videos in _lists(options.dataset).values()))
        own = options.dataset if _is_own(options.dataset) else None
        sources = music.sources(root, _together(own), options.by_uploader)
        if not len(sources):
            raise StudyError(f"{root / 'videos'}: holds no video of the list; run `avsep music download` first")
    table = preparation.prepare(
        sources, root, options.workers, runs.Progress(), only, options.least, options.keep_splits
    )
    print(table["state"].value_counts().to_string())
    for row in table[table["state"] != "usable"].itertuples():
        print(files.printable(f"{row.video_id}: {row.state}, {row.reason}"))
    if told := inventory.duplicates(root):
        print(f"{told}: {root / 'duplicates.csv'}")
    if not _is_dataset(options.dataset):
        with files.atomic(root / music.CARD) as part:
            part.write_text(_card(options, root))
        print(root / music.CARD)
    index = root / "index.csv"
    if not index.is_file():
        raise StudyError(f"none of {len(table)} videos can be used; {root / 'prepared.csv'} says why")
    print(f"{index}\nnext: avsep study --dataset {shlex.quote(str(index))} --only 01 02 03 04 --out out/real")


def _leaks(options: argparse.Namespace) -> None:
    from avsep_lib import leaks, runs

    try:
        found = leaks.check(options.a, options.b, options.kept, runs.Progress())
    except OSError as error:
        advice = "give lists that can be read, and a folder that can be written with --kept DIR"
        raise StudyError(f"{error.filename or options.kept}: {error.strerror or error}; {advice}") from None
    print(leaks.report(options.a, options.b, found))
    videos = found[found["kind"] != "uploader"]
    if len(videos):
        count = videos["a"].nunique()
        raise StudyError(f"{count} videos of {options.a} stand in {options.b} too; train on what is in one list only")


def _root(options: argparse.Namespace) -> Path:
    """The folder of the videos."""
    from avsep_lib import datasets

    if options.root:
        return options.root.expanduser().absolute()
    data = PROJECT_ROOT / "data"
    return datasets.prepared_folder(Path(options.dataset), data) if _is_own(options.dataset) else data / "music"


def _check_outside(root: Path, path: Path) -> None:
    """Refuse a folder whose files would be taken for videos, or whose index would be written over."""
    inside = path if path.is_dir() else path.parent
    if root.resolve().is_relative_to(path) or (path.name == "index.csv" and root.resolve() == inside):
        raise StudyError(f"--root {root}: lies in the data set {inside}; name a folder elsewhere")


def _is_own(dataset: str | None) -> bool:
    """Whether something else is named than the lists that come with the project."""
    from avsep_lib import music_lists

    return bool(dataset) and dataset not in music_lists.NAMES


def _lists(dataset: str | None) -> dict:
    """The lists that are meant, with their splits, by name."""
    from avsep_lib import music_lists

    if _is_own(dataset):
        return {Path(dataset).stem: _together(dataset)}
    every = _together()
    names = [dataset] if dataset else music_lists.NAMES
    return {name: every[[name in lists.split("+") for lists in every["lists"]]] for name in names}


def _together(own: str | None = None):
    """All videos of both lists, or of one's own."""
    from avsep_lib import music_lists

    return music_lists.with_splits({Path(own).stem: music_lists.read_list(own)} if own else None)


def _is_dataset(dataset: str | None) -> bool:
    """Whether what is named is a data set with files, and not a list of names."""
    from avsep_lib import music_lists

    if not _is_own(dataset) or dataset.lower().endswith(".json"):
        return False
    path = Path(dataset).expanduser()
    if not path.is_file():
        return True
    with path.open(encoding="utf-8-sig", errors="replace") as lines:
        header = lines.readline()
    mark = music_lists.mark_of(header) if header.strip() else ""
    return not mark or "path" in music_lists.cells(header, mark)


def _card(options: argparse.Namespace, root: Path) -> str:
    """The data card of the lists that are meant."""
    from avsep_lib import music

    return "\n".join(music.card(root, videos, _title(name)) for name, videos in _lists(options.dataset).items())


def _title(name: str) -> str:
    from avsep_lib import music_lists

    return music_lists.TITLES.get(name, name)


def _same(options: argparse.Namespace) -> str:
    """The options of this command that the next one needs too."""
    root = f" --root {shlex.quote(str(options.root))}" if options.root else ""
    return root + (f" --dataset {shlex.quote(options.dataset)}" if options.dataset else "")
