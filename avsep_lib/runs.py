"""A run: its folder, its seeds and where its numbers came from.

A run lives in ``results/<preset>/<name>/`` and is finished when its ``run.json`` says so; nothing else is believed.
Used by every notebook.
"""

import contextlib
import json
import os
import platform
import random
import subprocess
import time
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from avsep_lib.files import atomic, write_json
from avsep_lib.settings import PROJECT_ROOT, Settings, StudyError, from_parameters, to_dict

_PACKAGES = ("av", "lightning", "librosa", "mir_eval", "numpy", "pandas", "scikit-learn", "torch", "torchaudio",
             "torchvision")  # fmt: skip
_OUTSIDE = {"device", "workers", "devices", "nodes", "save_every_steps", "out", "data_root", "shards", "real"}
"""Settings that say where and how a run runs, not what comes out."""


@dataclass
class Run:
    """One run of one notebook. Make it with :func:`start`, end it with :meth:`finish`.

    Attributes
    ----------
    settings : Settings
    name : str
        Folder below ``results/<preset>/``, such as ``03_seed0``.
    device : str
        ``cpu`` or ``cuda``, after ``auto`` has been decided.
    """

    settings: Settings
    name: str
    device: str
    started: float = field(default_factory=time.time)
    made: list[Path] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where tables and ``run.json`` go."""
        return self.settings.out_root / "results" / self.settings.preset / self.name

    @property
    def figures_folder(self) -> Path:
        """The study's ``figures/``, those of seed 0; a smoke run keeps its own, since its pictures mean nothing."""
        own = self.settings.preset == "smoke" or self.settings.seed
        return self.folder / "figures" if own else self.settings.out_root / "figures"

    def checkpoint(self, name: str) -> Path:
        """Path of a checkpoint of this preset and seed, such as ``separator.pt``."""
        folder = self.settings.out_root / "checkpoints" / self.settings.preset / f"seed{self.settings.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    def write_table(self, table: pd.DataFrame, name: str, digits: int = 2, latex: bool = True) -> pd.DataFrame:
        """Save a table as ``<name>.csv``, in full, and ``<name>.tex``, rounded; give it back for display.

        Without ``latex``, as CSV only: for lists that nobody prints.
        """
        self.made += save_table(table, self.folder / name, digits, latex)
        return table

    def provenance(self) -> dict:
        """Settings, commit, packages and machine that made a number."""
        return {
            "run": self.name,
            "settings": {k: v for k, v in to_dict(self.settings).items() if k not in _OUTSIDE},
            **made_with(self.device),
        }

    def summary(self) -> pd.DataFrame:
        """What this run is, as a table to show at the head of a notebook."""
        rows = {
            "run": self.name,
            "preset": self.settings.preset,
            "data": self.settings.dataset,
            "seed": self.settings.seed,
            "device": hardware(self.device)["device"],
            "folder": _shown(self.folder),
            "packages": ", ".join(f"{p} {metadata.version(p)}" for p in ("torch", "lightning", "librosa")),
        }
        return pd.DataFrame({"this run": rows})

    def finish(self, **promised: Path) -> None:
        """Check that every promised file exists, then mark the run as finished in ``run.json``.

        Raises
        ------
        StudyError
            If a promised file is missing or empty.
        """
        for label, path in promised.items():
            if not path.is_file() or not path.stat().st_size:
                raise StudyError(f"{label}: {path} was promised by {self.name} but is missing or empty")
        files = sorted({*self.made, *promised.values()})
        self._write(
            finished=True, minutes=round((time.time() - self.started) / 60, 2), files=[_shown(f) for f in files]
        )

    def _write(self, **state: object) -> None:
        write_json(self.folder / "run.json", {"finished": False, **state, **self.provenance()})


def start(notebook: str, namespace: MutableMapping[str, object], own: Sequence[str] = ()) -> Run:
    """Begin a run with the parameters that a notebook's first cells defined.

    Every plain variable (text, number, truth value, list) that exists when this is first called is a parameter, so a
    mistyped one is refused, also when it came through ``papermill -p``.

    Parameters
    ----------
    notebook : str
        Name of the notebook, such as ``02_frame_net_training``.
    namespace : dict
        ``globals()`` of the notebook.
    own : sequence of str
        Parameters of this notebook alone, which are no settings.

    Returns
    -------
    Run
        With its folder made, all random generators seeded and ``run.json`` saying that it is not finished.

    Raises
    ------
    StudyError
        For a parameter that is unknown, of the wrong type, or impossible.
    """
    names = namespace.setdefault("_parameter_names", _plain_names(namespace))
    parameters = {name: namespace[name] for name in names if name not in own}
    return begin(notebook[:2], from_parameters(**parameters))


def begin(label: str, settings: Settings) -> Run:
    """Begin a run called ``<label>_seed<seed>``; as :func:`start`, without a notebook."""
    run = Run(settings, f"{label}_seed{settings.seed}", choose_device(settings.device))
    run.folder.mkdir(parents=True, exist_ok=True)
    seed_everything(settings.seed)
    write_json(run.folder / "settings.json", to_dict(settings))
    run._write()
    return run


def reopen(folder: str | Path, **changed: object) -> Run:
    """The run whose folder this is, as it was begun; wherever ``results/`` stands now is where it goes on.

    Parameters
    ----------
    folder : str or Path
    **changed
        Settings that differ from those it was begun with.

    Raises
    ------
    StudyError
        If the folder is that of no run.
    """
    folder = Path(folder).expanduser().resolve()
    try:
        saved = json.loads((folder / "settings.json").read_text())
    except (OSError, ValueError):
        raise StudyError(f"{folder}: is no run, it has no settings.json; give results/<preset>/<run>") from None
    settings = from_parameters(**{**saved, "out": str(folder.parents[2]), **changed})
    run = Run(settings, folder.name, choose_device(settings.device))
    if run.folder != folder:
        raise StudyError(f"{folder}: is not where its run would be, {run.folder}; keep results/<preset>/<run> together")
    return run


def seed_everything(seed: int) -> None:
    """Seed python, numpy and torch. On one machine's CPU that repeats every number to the last digit."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def choose_device(device: str) -> str:
    """``auto`` as ``cuda`` or ``cpu``; ``cuda`` without a GPU is refused."""
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise StudyError("device 'cuda' was asked for but torch finds no GPU; set device to auto or cpu")
    return "cuda" if available and device != "cpu" else "cpu"


def hardware(device: str = "cpu") -> dict[str, object]:
    """Processor, cores, memory and device of this machine."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "python": platform.python_version(),
    }


def finished(settings: Settings, label: str) -> Path:
    """Folder of the finished run that a later notebook builds on.

    Raises
    ------
    StudyError
        If it has not run, or did not end; the message names the notebook to run.
    """
    folder = Run(settings, f"{label}_seed{settings.seed}", "cpu").folder
    if not read_state(folder).get("finished"):
        raise StudyError(
            f"{_shown(folder)}: this run has not finished; run notebook {label} with the same preset and seed"
        )
    return folder


def read_state(folder: Path) -> dict:
    """What the ``run.json`` of a folder says; nothing where it is missing or was cut off."""
    try:
        return json.loads((folder / "run.json").read_text())
    except (OSError, ValueError):
        return {}


def save_table(table: pd.DataFrame, path: str | Path, digits: int = 2, latex: bool = True) -> list[Path]:
    """:meth:`Run.write_table` for a table that belongs to no run; ``path`` has no ending. Gives back the files."""
    path = Path(path)
    paths = [path.with_name(f"{path.name}.csv")]
    with atomic(paths[0]) as temporary:
        table.to_csv(temporary, index=not isinstance(table.index, pd.RangeIndex))
    if latex:
        paths.append(path.with_name(f"{path.name}.tex"))
        with atomic(paths[1]) as temporary:
            temporary.write_text(_latex(table, digits))
    return paths


class Progress:
    """Prints how far long work has come, a line every few seconds and one at the end. Call it as it goes."""

    EVERY_S = 10

    def __init__(self):
        self.began = self.spoke = time.perf_counter()

    def __call__(self, label: str, done: int, total: int) -> None:
        """Say that ``done`` of ``total`` is done, if it is time to."""
        now = time.perf_counter()
        if now - self.spoke > self.EVERY_S or (done == total and now - self.began > 1):
            self.spoke = now
            print(f"{label}: {done} of {total}, {now - self.began:.0f} s", flush=True)


def _plain_names(namespace: MutableMapping[str, object]) -> tuple[str, ...]:
    """Variables of a notebook that hold literals; those of IPython itself start with ``_`` or are objects."""
    return tuple(
        name
        for name, value in namespace.items()
        if not name.startswith("_")
        and isinstance(value, (str, int, float, bool, list, tuple))
        and name not in ("In", "Out")
    )


def made_with(device: str = "cpu") -> dict[str, object]:
    """Commit, packages and machine behind a number."""
    packages = {name: metadata.version(name) for name in _PACKAGES}
    return {"commit": commit(), "packages": packages, "hardware": hardware(device)}


def commit() -> str:
    """Git commit of the project, with ``+`` for changes since, or ``unknown`` outside a checkout.

    What a study itself writes over, results and figures, is no change.
    """
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changes = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results", ":!figures")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return head + ("+" if changes else "")


def _git(*arguments: str) -> str:
    """What git says of the project."""
    options = {"cwd": PROJECT_ROOT, "capture_output": True, "text": True, "check": True, "timeout": 10}
    return subprocess.run(["git", *arguments], **options).stdout.strip()


def _latex(table: pd.DataFrame, digits: int) -> str:
    """A ``tabular`` with booktabs rules; numbers rounded, special characters escaped, no row for the index's name."""
    styler = table.style.format(precision=digits, escape="latex").format_index(escape="latex", axis=0)
    styler = styler.format_index(escape="latex", axis=1).hide(names=True)
    if isinstance(table.index, pd.RangeIndex):
        styler = styler.hide()
    return styler.to_latex(hrules=True)


def _shown(path: Path) -> str:
    """A path relative to the project, or the folder it stands in, so that no machine's name is kept."""
    for root in (PROJECT_ROOT, Path.cwd()):
        with contextlib.suppress(ValueError):
            return str(path.relative_to(root))
    return str(path)
