"""Shards: what is kept of many videos in a few large files, for a disk or an object store that several hosts share.

A shard is a plain tar file in the layout of WebDataset: the files of a video stand together, ``KEY.json`` (its name,
split and instruments) before ``KEY.sound.npy`` and ``KEY.features.npy`` or ``KEY.pictures.npy``. Beside the shards lies
one table, ``index.csv``, that says where in which shard the values of each video begin. So a window of any video is one
read of a few hundred kilobytes, from a memory-mapped file or by a range request, while ``tar`` and ``webdataset`` read
the same files from front to back. ``docs/scale.md`` says why this format. Used through ``store``.
"""

import hashlib
import io
import json
import mmap
import os
import tarfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import fsspec
import numpy as np
import pandas as pd

from avsep_lib.files import atomic
from avsep_lib.settings import StudyError

INDEX = "index.csv"
VIDEOS = "videos.csv"
"""The index of the videos themselves, which ``avsep pack`` puts beside that of the shards."""
COLUMNS = ("video_id", "kind", "made_by", "source", "shard", "offset", "dtype", "shape")
KINDS = ("sound", "features", "pictures")
_OPEN_SHARDS = 64  # memory-mapped at a time
_BLOCK = 512  # bytes of tar; what is in a shard begins at a multiple of it
_LONGEST_KEY = 150  # characters; a tar member may be unpacked where names end at 255


class Shards:
    """Values of videos, read out of the shards of one folder or URL.

    Parameters
    ----------
    place : str or Path
        A folder, or a URL that fsspec knows (``s3://bucket/folder``, with the package of its protocol installed).

    Raises
    ------
    StudyError
        If there is no table of shards, or it is none.
    """

    def __init__(self, place: str | Path):
        self.place = str(place)
        self.remote = "://" in self.place
        table = _read_table(self.place)
        self.names, self.shard = np.unique(table["shard"], return_inverse=True)
        self.offset = table["offset"].to_numpy(np.int64)
        self.shapes, self.shape = np.unique(table["dtype"] + ":" + table["shape"], return_inverse=True)
        self.rows: dict[tuple[str, str], dict[str, int]] = {}
        for (kind, made_by), part in table.groupby(["kind", "made_by"]):
            self.rows[kind, made_by] = dict(zip(part["video_id"], part.index, strict=True))  # the last one counts
        self._begin()

    def __getstate__(self) -> dict:
        """For a loading process that is spawned: it opens the shards itself."""
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._begin()

    def holds(self, video_id: str, kind: str, made_by: str) -> bool:
        """Whether values of a kind, made by certain settings, are there for a video."""
        return video_id in self.rows.get((kind, made_by), ())

    def length(self, video_id: str, kind: str, made_by: str) -> int:
        """Length of the first axis, from the table alone."""
        return self._layout(self.rows[kind, made_by][video_id])[1][0]

    def read(self, video_id: str, kind: str, made_by: str, first: int = 0, last: int | None = None) -> np.ndarray:
        """Values of a video, or those from ``first`` up to ``last`` of their first axis.

        Parameters
        ----------
        video_id, kind, made_by : str
            Which :meth:`holds` is true for.
        first, last : int
            As in a slice, not negative.

        Returns
        -------
        array
            As they were kept; not to be written to.

        Raises
        ------
        StudyError
            If the shard is missing or was cut off.
        """
        row = self.rows[kind, made_by][video_id]
        dtype, shape = self._layout(row)
        last = shape[0] if last is None else min(last, shape[0])
        step = dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
        begin = int(self.offset[row]) + first * step
        data = self._bytes(str(self.names[self.shard[row]]), begin, (last - first) * step)
        return np.frombuffer(data, dtype).reshape(-1, *shape[1:])

    def each(self, kind: str, made_by: str) -> Iterator[tuple[str, np.ndarray]]:
        """``(video_id, values)`` of all videos, in the order in which they lie: one pass from front to back."""
        held = self.rows.get((kind, made_by), {})
        for video_id in sorted(held, key=lambda name: (self.shard[held[name]], self.offset[held[name]])):
            yield video_id, self.read(video_id, kind, made_by)

    def _begin(self) -> None:
        self._open: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def _layout(self, row: int) -> tuple[np.dtype, tuple[int, ...]]:
        """Type and shape of the values of a row."""
        dtype, _, shape = str(self.shapes[self.shape[row]]).partition(":")
        return np.dtype(dtype), tuple(int(side) for side in shape.split("x"))

    def _bytes(self, name: str, begin: int, size: int) -> bytes | memoryview:
        path = f"{self.place.rstrip('/')}/{name}"
        try:
            data = _fetched(path, begin, size) if self.remote else self._mapped(path)[begin : begin + size]
        except FileNotFoundError:
            raise StudyError(f"{path}: does not exist; copy the shard again, or pack anew without {INDEX}") from None
        if len(data) < size:
            raise StudyError(f"{path}: was cut off; copy the shard again, or pack anew without {INDEX}")
        return data

    def _mapped(self, path: str) -> memoryview:
        """A whole shard, memory-mapped; only so many stay open."""
        with self._lock:
            if path not in self._open:
                with open(path, "rb") as file:
                    empty = os.fstat(file.fileno()).st_size == 0
                    self._open[path] = memoryview(
                        b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                    )
                if len(self._open) > _OPEN_SHARDS:
                    self._open.popitem(last=False)  # it closes when the last array of it goes
            self._open.move_to_end(path)
            return self._open[path]


def pack(
    videos: Sequence[dict[str, object]],
    folder: str | Path,
    shard_mb: int = 256,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Pack what is kept of videos into shards; those that are packed already stay as they are.

    Parameters
    ----------
    videos : sequence of dict
        ``video_id``, ``about`` (what goes into its JSON file) and ``kept``: for each kind, ``(made_by, file)``, where
        ``file`` is the path of an ``.npy`` file whose name changes with its source. ``VideoStore.kept`` gives them.
    folder : path
        A folder; copy it to an object store when it is complete.
    shard_mb : int
        A shard is closed when it holds as many megabytes.
    progress : callable, optional
        Called with a label, the videos done and their number.

    Returns
    -------
    Path
        The table of the shards. It is written after each shard, so a killed call loses no more than the shard at
        which it was, and the next one goes on. One process packs at a time.

    Raises
    ------
    StudyError
        If the folder's table is none.
    """
    folder = Path(folder)
    table = _read_table(str(folder)) if (folder / INDEX).is_file() else pd.DataFrame(columns=COLUMNS)
    packed = set(zip(table["video_id"], table["kind"], table["source"], strict=True))
    left = [
        video
        for video in videos
        if any((video["video_id"], kind, Path(file).stem) not in packed for kind, (_, file) in video["kept"].items())
    ]
    rows, number, done = [table], len(set(table["shard"])), len(videos) - len(left)
    while left:
        name = f"shard-{number:06d}.tar"
        with atomic(folder / name) as part:
            found, count = _write_shard(part, name, left, shard_mb * 1_000_000)
        rows.append(pd.DataFrame(found, columns=COLUMNS))
        with atomic(folder / INDEX) as part:
            pd.concat(rows).to_csv(part, index=False)
        left, number, done = left[count:], number + 1, done + count
        if progress:
            progress("packing videos", done, len(videos))
    return folder / INDEX


def _write_shard(path, name, videos, limit):
    """Rows of the table for one shard, and how many of the videos it took."""
    rows = []
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for count, video in enumerate(videos, start=1):  # noqa: B007
            key = _key(video["video_id"])
            about = json.dumps({"video_id": video["video_id"], **video["about"]}).encode()
            _add(tar, f"{key}.json", io.BytesIO(about), len(about))
            for kind, (made_by, file) in video["kept"].items():
                with open(file, "rb") as values:
                    dtype, shape = _header(values, file)
                    head, size = values.tell(), os.fstat(values.fileno()).st_size
                    values.seek(0)
                    begin = _add(tar, f"{key}.{kind}.npy", values, size)
                where = begin + head, dtype, "x".join(map(str, shape))
                rows.append((video["video_id"], kind, made_by, Path(file).stem, name, *where))
            if tar.offset >= limit:
                break
    return rows, count


def _add(tar, name, file, size):
    """Put a file into a tar; where its first byte lies. Nothing of the hour or the user goes in."""
    info = tarfile.TarInfo(name)
    info.size = size
    tar.addfile(info, file)
    return tar.offset - -(-size // _BLOCK) * _BLOCK


def _header(values, file):
    """Type and shape of an ``.npy`` file, which is left where its values begin."""
    try:
        version = np.lib.format.read_magic(values)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(values)
    except (ValueError, EOFError):
        raise StudyError(f"{file}: was cut off; delete it, and it is computed again") from None
    whole = values.tell() + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    if os.fstat(values.fileno()).st_size < whole:
        raise StudyError(f"{file}: was cut off; delete it, and it is computed again")
    if fortran or dtype.hasobject or not shape:
        raise StudyError(f"{file}: is no plain array; delete it, and it is computed again")
    return dtype.str, shape


def _key(video_id):
    """A name that WebDataset and any file system take: no dot, no slash, none too long."""
    key = quote(video_id, safe="").replace(".", "%2E")
    return key if len(key) <= _LONGEST_KEY else f"{key[:80]}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _fetched(path, begin, size):
    """Bytes of a shard that lies elsewhere."""
    system, inner = fsspec.core.url_to_fs(path)
    return system.cat_file(inner, start=begin, end=begin + size)


def _read_table(place):
    """The table of the shards in a folder or at a URL."""
    path = f"{place.rstrip('/')}/{INDEX}"
    try:
        with fsspec.open(path, "rb") if "://" in path else open(path, "rb") as file:
            types = dict.fromkeys(COLUMNS, str) | {"offset": np.int64}
            table = pd.read_csv(file, dtype=types, keep_default_na=False)
    except FileNotFoundError:
        raise StudyError(f"{path}: does not exist; pack the prepared videos first, or check shards") from None
    except (ValueError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise StudyError(f"{path}: is no table of shards ({str(error).strip()}); pack the videos anew") from error
    lacking = [column for column in COLUMNS if column not in table.columns]
    if lacking:
        raise StudyError(f"{path}: has no column {', '.join(lacking)}; pack the videos anew")
    return table
