"""Every benchmark runs, from any directory, and says how much faster than its plain reference each row is."""

import json
import subprocess
import sys

import pytest

from avsep_lib.settings import PROJECT_ROOT

FOLDER = PROJECT_ROOT / "benchmarks"
SHARED = {"measure", "made_up"}
BENCHMARKS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in SHARED)
PER_ROW = {"memory": "peak MiB", "duplicates": "pairs"}  # the others compare times


def test_these_are_the_benchmarks():
    documented = (PROJECT_ROOT / "docs/performance.md").read_text()
    assert {"loader", "training_step", "end_to_end", "evaluation", "duet", "memory"} <= set(BENCHMARKS)
    assert all(f"benchmarks/{name}.py" in documented for name in BENCHMARKS)


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_benchmark_runs_and_writes_what_it_found(name, tmp_path):
    out = tmp_path / "found.json"
    command = [sys.executable, FOLDER / f"{name}.py", "--quick", "--out", out]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text(), parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    assert found["benchmark"] == name
    assert found["quick"] and found["commit"] and found["hardware"]["cores"] and found["packages"]["torch"]
    assert len(found["rows"]) > 1
    for row, values in found["rows"].items():
        assert row in done.stdout
        assert values[PER_ROW.get(name, "times faster")] > 0


def test_committed_results_were_measured_in_full():
    committed = sorted((PROJECT_ROOT / "results/benchmarks").glob("*.json"))
    assert {path.stem for path in committed} == set(BENCHMARKS)
    for path in committed:
        found = json.loads(path.read_text())
        assert not found["quick"] and found["benchmark"] == path.stem and "unknown" not in found["commit"]
