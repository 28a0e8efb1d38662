"""The console script ``avsep``: a thin face over the modules below."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from avsep_lib import __version__, music_cli
from avsep_lib.settings import PROJECT_ROOT, STUDIES, StudyError, from_parameters, parse_assignments

_BANK = PROJECT_ROOT / "data" / "bank"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; what a user can mend ends in one message on standard error and exit code 2."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except StudyError as error:
        print(f"avsep: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever reads has seen enough, as in `avsep music status | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        place = error.filename2 or error.filename
        print(f"avsep: {place}: {error.strerror}; check the path, its rights and the disk", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("avsep: interrupted; the same command goes on from what is there", file=sys.stderr)
        return 130
    return 0


def _study(options: argparse.Namespace) -> None:
    from avsep_lib import study

    changed = _changed(options)
    study.run_study(from_parameters(options.preset, **changed), changed, options.only)


def _compare(options: argparse.Namespace) -> None:
    from avsep_lib import recipes, rivals

    names = options.only or recipes.RECIPES
    for run in rivals.train_rivals(from_parameters(options.preset, **_changed(options)), list(names)):
        print(run.folder)


def _train(options: argparse.Namespace) -> None:
    from avsep_lib import combined, parallel

    changed = {name: getattr(options, name) for name in ("devices", "nodes") if getattr(options, name)}
    path = combined.train(options.run, changed)
    if parallel.is_first():
        print(path)


def _pack(options: argparse.Namespace) -> None:
    from avsep_lib import backbones, clips, datasets, runs, shards
    from avsep_lib.store import VideoStore

    settings = backbones.with_available_backbone(from_parameters(options.preset, **_changed(options)))
    index = datasets.open_dataset(settings, runs.Progress())
    kept = VideoStore(index, settings)
    backbone = backbones.Backbone(settings.backbone, settings.pretrained).to(runs.choose_device(settings.device))
    kept.prepare(backbone, runs.Progress())
    table = shards.pack(kept.kept(), options.folder, options.shard_mb, runs.Progress())
    clips.write_index(kept.usable(index), options.folder / shards.VIDEOS)
    print(f"{table}\n{options.folder / shards.VIDEOS}")


def _separate(options: argparse.Namespace) -> None:
    from avsep_lib import networks, outcome, runs

    separator = networks.load_separator(options.checkpoint)
    typed = " ".join(options.instruments).replace(",", " ").split()
    names = [name.lower().replace("-", "_") for name in typed]
    out = options.out or Path("out") / options.video.stem
    for line in outcome.write_all(separator, options.video, out, options.players, names, options.at, runs.Progress()):
        print(line, flush=True)


def _score_real(options: argparse.Namespace) -> None:
    import hashlib

    from avsep_lib import pretrained, real, real_report, runs

    weights = options.weights or pretrained.WEIGHTS
    separator = pretrained.load(weights)
    scores = real.score(separator, options.folder, progress=runs.Progress())
    named = real.frame_accuracy(separator, options.folder)
    print(real_report.told(scores, named))
    made_by = {"weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(), **runs.made_with()}
    for path in real_report.save(scores, named, options.out, made_by):
        print(path)


def _bank(options: argparse.Namespace) -> None:
    from avsep_lib import bank, runs

    table = bank.build(options.folder, options.per_tone, options.workers, runs.Progress())
    for name, why in bank.missing(options.folder).items():
        print(f"{name}: {why}")
    print(bank.summary(table).to_string())
    print(options.folder / "licences.csv")


def _train_ear(options: argparse.Namespace) -> None:
    from avsep_lib import bank, ear_training, runs

    bank.read(options.bank)  # before anything is written
    run = runs.begin("ear", from_parameters("ear", **_changed(options)))
    print(ear_training.train_to_file(run, options.bank))


def _ablate_ear(options: argparse.Namespace) -> None:
    from avsep_lib import bank, ear_ablation

    bank.read(options.bank)
    settings = from_parameters("ear", **{**ear_ablation.SMALL, **_changed(options)})
    table, path = ear_ablation.ablate(settings, options.bank, options.clips, options.only)
    print(table.round(2).to_string())
    print(path)


def _import_sound_of_pixels(options: argparse.Namespace) -> None:
    from avsep_lib import released

    released.import_sound_of_pixels(options.folder, options.out)
    print(options.out)


def _changed(options: argparse.Namespace) -> dict[str, object]:
    """Settings given on the command line, beside the preset."""
    changed: dict[str, object] = parse_assignments(options.set)
    if getattr(options, "dataset", None):
        from avsep_lib import music_lists

        path, named = Path(options.dataset).expanduser(), options.dataset in ("rendered", *music_lists.NAMES)
        changed["dataset"] = str(path.resolve()) if path.exists() and not named else options.dataset
    for name in ("real", "out"):
        if getattr(options, name, None):
            changed[name] = str(getattr(options, name).expanduser().resolve())
    return changed


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """What names the settings of a study."""
    parser.add_argument("--preset", choices=STUDIES, default="laptop", help="size of the run (laptop)")
    parser.add_argument(
        "--dataset", help="rendered, music, music21, an index.csv, lists, or a folder of videos (rendered)"
    )
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="change single settings")


def _add_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, help="folder for results, figures and checkpoints (the project)")


def _add_separate(parser: argparse.ArgumentParser) -> None:
    """What is asked of a video."""
    parser.add_argument("video", type=Path, help="a video with sound")
    who = parser.add_argument_group("who plays", "found out, if not given")
    who.add_argument(
        "--instruments", nargs="+", default=[], metavar="NAME", help="such as cello acoustic_guitar; behind the video"
    )
    who.add_argument("--players", type=int, metavar="N", help="how many")
    who.add_argument(
        "--at", type=_place, metavar="X,Y", help="only what sounds at a place, as shares of width and height: 0.25,0.5"
    )
    parser.add_argument(
        "--checkpoint", type=Path, help="separator.pt of a study or ear.safetensors (that of the project)"
    )
    parser.add_argument("--out", type=Path, help="folder for what comes out (out/ and the video's name)")
    parser.set_defaults(command=_separate)


def _place(text: str) -> tuple[float, float]:
    """A place as it is typed: ``0.25,0.5``."""
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no place; give two shares such as 0.25,0.5") from None
    return x, y


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="avsep", description="Visually guided music source separation.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="command")

    study = commands.add_parser("study", help="run the notebooks in order and write tables, figures and pages")
    _add_settings(study)
    _add_out(study)
    study.add_argument("--only", nargs="+", default=[], metavar="NN", help="numbers of the notebooks to run")
    study.add_argument("--real", type=Path, metavar="DIR", help="real clips that notebook 04 scores too (none)")
    study.set_defaults(command=_study)

    compare = commands.add_parser("compare", help="train what notebook 04 compares with, each for the time ours took")
    _add_settings(compare)
    _add_out(compare)
    compare.add_argument("--only", nargs="+", default=[], metavar="NAME", help="recipes of avsep_lib/recipes.py (all)")
    compare.set_defaults(command=_compare)

    train = commands.add_parser("train", help="combined training of a run, with several GPUs or hosts where there are")
    train.add_argument("run", type=Path, help="folder of a run of notebook 03, such as results/server/03_seed0")
    train.add_argument("--devices", type=int, help="processes on each host (all GPUs, or what torchrun or SLURM says)")
    train.add_argument("--nodes", type=int, help="hosts (1, or what torchrun or SLURM says)")
    train.set_defaults(command=_train)

    _add_separate(commands.add_parser("separate", help="give each player of a video their own track"))

    music_cli.add(commands)

    pack = commands.add_parser("pack", help="put what a training reads of a data set into a few files that hosts share")
    pack.add_argument("folder", type=Path, metavar="DIR", help="folder of the shards")
    _add_settings(pack)
    pack.add_argument("--shard-mb", type=int, default=256, metavar="MB", help="megabytes of a shard (256)")
    pack.set_defaults(command=_pack)

    bank = commands.add_parser("bank", help="fetch free sounds and have every instrument played on them")
    bank.add_argument("--folder", type=Path, default=_BANK, metavar="DIR", help="folder of the bank (data/bank)")
    bank.add_argument(
        "--per-tone", type=int, default=40, metavar="N", help="performances of an instrument on a font (40)"
    )
    bank.add_argument("--workers", type=int, default=2, metavar="N", help="processes (2)")
    bank.set_defaults(command=_bank)

    ear = commands.add_parser("train-ear", help="train the ear of the project's separator on the sound bank")
    ear.set_defaults(command=_train_ear)
    ablation = commands.add_parser("ablate-ear", help="train small ears that lack a part of the bank, and compare them")
    ablation.add_argument(
        "--real", type=Path, dest="clips", metavar="DIR", help="real clips whose pairs are scored too (none)"
    )
    ablation.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="rows of avsep_lib/ear_ablation.py (all)"
    )
    ablation.set_defaults(command=_ablate_ear)
    for training in (ear, ablation):
        training.add_argument("--bank", type=Path, default=_BANK, metavar="DIR", help="of `avsep bank` (data/bank)")
        training.add_argument(
            "--set", nargs="+", default=[], metavar="NAME=VALUE", help="change settings, of avsep_lib/settings.py"
        )
        _add_out(training)

    real = commands.add_parser("score-real", help="score the weights of the project on a folder of real clips")
    real.add_argument("folder", type=Path, metavar="DIR", help="laid out as docs/real_clips.md says")
    real.add_argument("--weights", type=Path, metavar="PATH", help="ear.safetensors (the weights of the project)")
    real.add_argument("--out", type=Path, default=PROJECT_ROOT / "results" / "real", help="folder (results/real)")
    real.set_defaults(command=_score_real)

    weights = commands.add_parser("import-sound-of-pixels", help="make a checkpoint of the released weights")
    weights.add_argument("folder", type=Path, metavar="DIR", help="holds {sound,frame,synthesizer}_best.pth")
    weights.add_argument("--out", type=Path, required=True, metavar="CHECKPOINT", help="file to write")
    weights.set_defaults(command=_import_sound_of_pixels)
    return parser


if __name__ == "__main__":
    sys.exit(main())
