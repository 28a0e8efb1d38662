"""Files that are either old or new, never half written. Used by every module that writes."""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well, and vanishes when it does not.

    Parameters
    ----------
    path : str or Path
        File to write; missing folders are made.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    temporary.chmod(0o644)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | Path, content: dict) -> None:
    """Write JSON, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def write_csv(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table, atomically, unless the file holds it already.

    Names of files may hold anything: what is no text is written as its code, and a carriage return in quotes.
    """
    path = Path(path)
    text = table.to_csv(index=False, lineterminator="\r\n").replace("\r\n", "\n")
    content = text.encode("utf-8", "backslashreplace")
    if path.is_file() and path.read_bytes() == content:
        return
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def printable(text: str) -> str:
    """A text of one line that no terminal obeys: what cannot be shown is written as its code."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder that need not be there yet."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def state(path: str | Path) -> tuple[int, int] | None:
    """What tells whether a file has changed: its size and when it was written, in ns; None where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns
