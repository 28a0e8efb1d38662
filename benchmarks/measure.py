"""What the benchmarks share: interleaved timing, peak memory of a process, one table and one JSON file for each.

A benchmark times ours against a plain reference in the same run and says the ratio; seconds alone mean little
elsewhere. ``--quick`` makes everything small: it shows that a benchmark runs, and its numbers mean nothing.
"""

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path

import pandas as pd

from avsep_lib import files, runs
from avsep_lib.settings import PROJECT_ROOT

RESULTS = PROJECT_ROOT / "results" / "benchmarks"


def arguments(name: str, about: str, **switches: str) -> argparse.Namespace:
    """Options that every benchmark has, and switches of its own with a word on each."""
    parser = argparse.ArgumentParser(prog=f"python benchmarks/{name}.py", description=about)
    parser.add_argument("--quick", action="store_true", help="small: does it run? the numbers mean nothing")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="where the nets compute (cpu)")
    parser.add_argument("--out", type=Path, default=RESULTS / f"{name}.json", help="JSON file to write")
    for switch, meaning in switches.items():
        parser.add_argument(f"--{switch}", action="store_true", help=meaning)
    parser.set_defaults(name=name)
    options = parser.parse_args()
    if options.quick:
        print("--quick: this shows that the benchmark runs; its numbers mean nothing")
    return options


def interleaved(work: dict[str, Callable[[], object]], repeats: int) -> pd.DataFrame:
    """Seconds of each piece of work, called in turn so that a busy moment hits all alike; a first round is not timed.

    Returns
    -------
    DataFrame
        One row for each piece: ``seconds`` (the median), ``least``, ``most`` and ``times faster`` than the first.
    """
    seconds = {name: [] for name in work}
    for turn in range(repeats + 1):
        for name, call in work.items():
            began = time.perf_counter()
            call()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    rows = {
        name: {"seconds": statistics.median(taken), "least": min(taken), "most": max(taken)}
        for name, taken in seconds.items()
    }
    return with_ratios(pd.DataFrame(rows).T)


def with_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Add how many times faster each row is than the first one, which is the reference."""
    return table.assign(**{"times faster": table.seconds.iloc[0] / table.seconds})


def in_own_process(call: Callable, *arguments: object) -> tuple[object, float]:
    """What ``call(*arguments)`` returns in a fresh process, and that process's peak memory in MiB."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:  # unlike a Pool's, it may have children
        return pool.submit(_with_peak, call, arguments).result()


def _with_peak(call: Callable, arguments: tuple) -> tuple[object, float]:
    answer = call(*arguments)
    return answer, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(options: argparse.Namespace, table: pd.DataFrame, **setup: object) -> None:
    """Print a table and write it with what was measured, where, and with which packages."""
    for name, value in setup.items():
        print(f"{name.replace('_', ' ')}: {value}")
    print(table.to_string(float_format=lambda value: f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"))
    files.write_json(
        options.out,
        {
            "benchmark": options.name,
            "quick": options.quick,
            "setup": setup,
            "rows": {
                row: {k: float(f"{v:.5g}") for k, v in values.items()} for row, values in table.to_dict("index").items()
            },
            "commit": runs.commit(),
            "hardware": runs.hardware(options.device),
            "packages": {name: metadata.version(name) for name in ("av", "mir_eval", "numpy", "scipy", "torch")},
        },
    )
    print(f"written to {options.out}")
