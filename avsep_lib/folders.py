"""Whether files are there, asked once for each folder rather than for each file.

On a network disk, a question about a file costs a trip there and back; a folder's list brings thousands of names in a
few. Used by ``clips``, whose index may name a hundred thousand videos.
"""

import os
from collections import defaultdict
from collections.abc import Iterable

_WORTH_A_LIST = 4  # names that are asked for in one folder, from which on it is listed


def missing(paths: Iterable[str]) -> set[str]:
    """Those of some paths at which there is nothing.

    Parameters
    ----------
    paths : iterable of str
        Absolute paths without ``.`` and ``..``, of files or folders.

    Returns
    -------
    set of str
        A link that leads nowhere counts as missing, as for ``os.path.exists``.
    """
    unseen = set()
    for folder, names in _by_folder(paths).items():
        there = _plain(folder) if len(names) >= _WORTH_A_LIST else set()
        unseen |= {_joined(folder, name) for name in names if name not in there}
    return {path for path in unseen if not os.path.exists(path)}


def real(paths: Iterable[str]) -> dict[str, str]:
    """What each of some paths is without links, as ``os.path.realpath`` says.

    Parameters
    ----------
    paths : iterable of str
        Absolute paths without ``.`` and ``..``.

    Returns
    -------
    dict
        Path to path.
    """
    found = {}
    for folder, names in _by_folder(paths).items():
        base = os.path.realpath(folder)
        plain = _plain(folder) if len(names) >= _WORTH_A_LIST else set()
        for name in names:
            path = _joined(folder, name)
            found[path] = _joined(base, name) if name in plain else os.path.realpath(path)
    return found


def _by_folder(paths):
    """Names by the folder they lie in."""
    folders = defaultdict(set)
    for path in paths:
        folder, _, name = path.rpartition("/")
        folders[folder].add(name)
    return folders


def _joined(folder, name):
    return f"{folder.rstrip('/')}/{name}"


def _plain(folder):
    """Names in a folder that are no links; none where it cannot be listed."""
    try:
        with os.scandir(folder or "/") as entries:
            return {entry.name for entry in entries if not entry.is_symlink()}
    except (OSError, ValueError):
        return set()
