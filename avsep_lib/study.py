"""The five notebooks in their order, headless through papermill, with times, and pages to read afterwards.

Behind ``avsep study``. A failure stops the study and fits on one screen.
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from avsep_lib import files, runs
from avsep_lib.settings import PROJECT_ROOT, Settings, StudyError, to_dict

NOTEBOOKS = PROJECT_ROOT / "notebooks"
_SCREEN = 18
"""Lines of an error's end that are shown."""


class NotebookFailedError(StudyError):
    """A notebook stopped; the message says which, in which cell, and why: lines of its own, unlike other messages."""

    def __init__(self, message: str):
        ValueError.__init__(self, message)


def run_study(settings: Settings, changed: dict[str, object], only: Sequence[str] = ()) -> list[Path]:
    """Run the notebooks and say what came of it.

    Parameters
    ----------
    settings : Settings
        Checked before anything starts.
    changed : dict
        Parameters beside the preset, passed to every notebook.
    only : sequence of str
        Numbers of the notebooks to run, such as ``03``; empty for all.

    Returns
    -------
    list of Path
        The files made: tables, figures, checkpoints and pages.

    Raises
    ------
    StudyError
        If a notebook fails or is not known.
    """
    chosen = choose(only)
    parameters = {"preset": settings.preset, **{name: to_dict(settings)[name] for name in changed}}
    made: list[Path] = []
    began = time.perf_counter()
    for number, notebook in enumerate(chosen, start=1):
        print(f"[{number}/{len(chosen)}] {notebook.name}", flush=True)
        clock = time.perf_counter()
        made += run_notebook(notebook, settings, parameters)
        print(f"      done in {_duration(time.perf_counter() - clock)}\n", flush=True)
    _report(made, time.perf_counter() - began)
    return made


def choose(only: Sequence[str]) -> list[Path]:
    """Notebooks by number, in their order; all of them for an empty choice."""
    every = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    unknown = set(only) - {path.name[:2] for path in every}
    if unknown:
        numbers = ", ".join(path.name[:2] for path in every)
        raise StudyError(f"--only {sorted(unknown)[0]}: there is no such notebook; choose from {numbers}")
    return [path for path in every if not only or path.name[:2] in only]


def run_notebook(notebook: Path, settings: Settings, parameters: dict[str, object]) -> list[Path]:
    """Run one notebook, keep its page, and give back the files that it made."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    run = runs.Run(settings, f"{notebook.name[:2]}_seed{settings.seed}", "cpu")
    run.folder.mkdir(parents=True, exist_ok=True)
    executed = run.folder / "notebook.ipynb"
    (run.folder / "run.json").unlink(missing_ok=True)
    try:
        papermill.execute_notebook(
            notebook, executed, parameters, kernel_name="python3", cwd=str(notebook.parent),
            progress_bar=False, stdout_file=_Indented(), autosave_cell_every=0,
            extra_arguments=["--IPKernelApp.log_level=ERROR"],  # no word on ports
        )  # fmt: skip
    except PapermillExecutionError as error:
        raise NotebookFailedError(_failure(notebook, error, executed)) from None
    except DeadKernelError:
        raise NotebookFailedError(
            f"{notebook.name}: its kernel died, most often for want of memory; see {executed} for how far it came"
        ) from None
    state = runs.read_state(run.folder)
    if not state.get("finished"):
        raise NotebookFailedError(f"{notebook.name}: ran but did not finish its run; see {executed}")
    page = write_page(executed)
    executed.unlink()
    return [*(_absolute(name) for name in state["files"]), page]


def write_page(executed: Path) -> Path:
    """The executed notebook as a page beside it."""
    from nbconvert import HTMLExporter

    content, _ = HTMLExporter(embed_images=True).from_filename(str(executed))
    with files.atomic(executed.with_suffix(".html")) as temporary:
        temporary.write_text(content)
    return executed.with_suffix(".html")


def _failure(notebook: Path, error: Exception, executed: Path) -> str:
    """Notebook, cell and error in one screen."""
    source = error.source.strip().splitlines()
    shown = "\n".join(f"    {line}" for line in source[:_SCREEN])
    return (
        f"{notebook.name} failed in cell {error.exec_count}:\n\n{shown}\n\n"
        f"{error.ename}: {error.evalue}\n\nThe notebook as far as it came: {executed}"
    )


class _Indented:
    """Standard output for what a notebook prints, set off from the study's own lines."""

    def __init__(self):
        self.fresh = True

    def write(self, text: str) -> None:
        for line in text.splitlines(keepends=True):
            sys.stdout.write(f"      {line}" if self.fresh else line)
            self.fresh = line.endswith("\n")
        sys.stdout.flush()

    def flush(self) -> None:
        sys.stdout.flush()


def _report(made: list[Path], seconds: float) -> None:
    """Name what is there to look at, by kind."""
    kinds = {"pages": ".html", "figures": ".png", "tables": ".csv", "checkpoints": ".pt"}
    for path in (path for path in made if path.name == "04_methods.csv"):
        _report_scores(path)
    print(f"The study took {_duration(seconds)}. Look at:")
    for kind, suffix in kinds.items():
        for path in dict.fromkeys(p for p in made if p.suffix == suffix):
            print(f"  {kind:12s} {os.path.relpath(path)}")


def _report_scores(path: Path) -> None:
    """The scores that most people look for first, out of the table of methods."""
    scores = pd.read_csv(path, index_col=0)
    print("Mean SDR on test mixtures of two, in dB, with its 95 % interval:")
    for name in ("mixture", "Sound of Pixels, binary, log", "separator", "ideal ratio mask"):
        if name in scores.index:
            row = scores.loc[name]
            print(f"  {name:29s} {row.SDR:5.1f}  ({row['from']:.1f} to {row.to:.1f})")


def _absolute(name: str) -> Path:
    return Path(name) if Path(name).is_absolute() else PROJECT_ROOT / name


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 90 else f"{seconds:.0f} s"
