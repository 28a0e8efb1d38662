"""The conda environment and the package pin the same versions, and those are what is installed."""

import re
import tomllib
from importlib import metadata

import pytest
import yaml

from avsep_lib.settings import PROJECT_ROOT

CONDA = yaml.safe_load((PROJECT_ROOT / "environment.yml").read_text())
PROJECT = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]


def pins(requirements):
    """``{"torch": "2.11.0"}`` of ``["torch==2.11.0"]``."""
    pairs = [requirement.partition("==")[::2] for requirement in requirements]
    assert len(dict(pairs)) == len(pairs), "a package is pinned twice"
    return dict(pairs)


def ours():
    return pins([*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]])


def test_both_files_pin_the_same_versions():
    packages = next(item["pip"] for item in CONDA["dependencies"] if isinstance(item, dict))
    assert packages[-1] == "-e ."
    assert pins(packages[:-1]) == ours()


def test_every_version_is_exact():
    assert all(re.fullmatch(r"\d[\w.]*", version) for version in ours().values()), ours()


def test_the_conda_environment_is_free_and_of_a_supported_python():
    assert CONDA["name"] == "avsep"
    assert CONDA["channels"] == ["conda-forge", "nodefaults"]
    (python,) = [item for item in CONDA["dependencies"] if str(item).startswith("python=")]
    lowest = re.search(r">=([\d.]+)", PROJECT["requires-python"]).group(1)
    assert python == f"python={lowest}"


@pytest.mark.parametrize("package", ours())
def test_what_is_pinned_is_installed(package):
    assert metadata.version(package).partition("+")[0] == ours()[package]
