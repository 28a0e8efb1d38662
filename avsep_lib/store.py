"""What is kept of each video: its sound as samples, and its pictures as features of a frozen backbone or as JPEGs.

All are computed once, written as ``.npy`` files and memory-mapped, so that a window of a video is read, not the
video. What the settings' ``shards`` hold is taken from there, and no file is looked for. Used through ``mixtures`` by
notebooks 02 to 05.
"""

import hashlib
import json
import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from avsep_lib import files, jpegs, media, shards
from avsep_lib.backbones import Backbone
from avsep_lib.settings import Settings, StudyError

SILENT_DB = -60.0
"""A video or clip whose level (root mean square) is lower counts as silent."""
ROOM = 1.1
"""Short side of kept pictures as a multiple of what a net sees: room for the random squares of training."""
_OPEN_FILES = 256
"""Files that are memory-mapped at a time; each takes one of the files that a process may have open."""
_UNUSABLE = ("path", "video_id", "reason")


class Row(NamedTuple):
    """What a store knows of a video: little, since there may be a hundred thousand."""

    path: str
    frames_path: str
    split: str
    instruments: str


class VideoStore:
    """Sound and pictures (or their features) of the videos of an index.

    Parameters
    ----------
    index : DataFrame
        As ``clips.read_index`` gives it.
    settings : Settings
    """

    def __init__(self, index: pd.DataFrame, settings: Settings):
        self.settings = settings
        rows = map(Row, *(index[column] for column in Row._fields))
        self.rows = dict(zip(index["video_id"], rows, strict=True))
        self.refused: set[str] = set()
        self.folder = settings.data_folder / "store"
        self.shards = shards.Shards(settings.shards) if settings.shards else None
        self._made_by = {kind: _digest([*_decides(kind, settings), settings.fps]) for kind in shards.KINDS}
        self._begin()

    def __getstate__(self) -> dict:
        """For a loading process that is spawned: it opens the files itself."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_open", "_lock")}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._begin()

    def _begin(self) -> None:
        self._open: OrderedDict[tuple[str, str], np.ndarray] = OrderedDict()
        self._lock = threading.Lock()  # JPEGs are decoded by several threads

    def prepare(
        self, backbone: Backbone | None = None, progress: Callable[[str, int, int], None] | None = None
    ) -> None:
        """Compute what is missing; what a killed run has written is kept.

        Parameters
        ----------
        backbone : Backbone, optional
            If it is frozen, features are kept too; if it is trained, pictures are.
        progress : callable, optional
            Called with a label, the videos done and their number.

        Raises
        ------
        StudyError
            If none of the videos can be used, or if one of the rendered data set cannot: it can be made again.

        Warns
        -----
        UserWarning
            If a video is missing, broken, silent, without sound or shorter than a clip. It is set aside, see
            :meth:`usable`, and ``store/unusable.csv`` says why.
        """
        computing = {"sound": self._read_sound}
        if backbone is not None:
            kind = "features" if backbone.frozen else "pictures"
            compute = self._compute_features if backbone.frozen else self._pack_pictures
            computing[kind] = lambda video_id: compute(video_id, backbone)
        held = {kind: _names_in(self.folder / kind) for kind in computing}  # one question for all videos
        refused = {}
        for done, video_id in enumerate(self.rows):
            try:
                self._prepare_video(video_id, computing, held)
            except StudyError as error:
                if self.settings.dataset == "rendered":
                    raise
                refused[video_id] = str(error)
            if progress:
                progress("preparing videos", done + 1, len(self.rows))
        self._set_aside(refused)

    def usable(self, index: pd.DataFrame) -> pd.DataFrame:
        """The rows of an index whose videos :meth:`prepare` has not set aside."""
        return index[~index["video_id"].isin(self.refused)].reset_index(drop=True)

    def sound(self, video_id: str) -> np.ndarray:
        """Samples of a whole video, float32 (L,), at the settings' sample rate."""
        return self._load(video_id, "sound")

    def window(self, video_id: str, start: int) -> np.ndarray:
        """Samples of one clip, float32 (clip_samples,), from sample ``start``."""
        end = start + self.settings.clip_samples
        if self._sharded(video_id, "sound"):
            return np.array(self.shards.read(video_id, "sound", self._made_by["sound"], start, end))
        return np.array(self.sound(video_id)[start:end])

    def last_start(self, video_id: str) -> int:
        """Largest sample at which a clip of this video can start."""
        if self._sharded(video_id, "sound"):
            return self.shards.length(video_id, "sound", self._made_by["sound"]) - self.settings.clip_samples
        return len(self.sound(video_id)) - self.settings.clip_samples

    def picture_times_s(self, start: int) -> np.ndarray:
        """Times of the pictures of a clip that starts at sample ``start``, spread around its middle."""
        settings = self.settings
        middle = (start + settings.clip_samples / 2) / settings.sample_rate_hz
        offsets = np.arange(settings.frames_per_clip) - (settings.frames_per_clip - 1) / 2
        return np.clip(middle + offsets * settings.frame_spacing / settings.fps, 0, None)

    def features(self, video_id: str, start: int) -> np.ndarray:
        """Features of the pictures of one clip, float16 (P, C, h, w), from the nearest cached pictures."""
        cached = self._load(video_id, "features")
        places = np.rint(self.picture_times_s(start) * self.settings.feature_fps - 0.5).astype(int)
        return np.array(cached[np.clip(places, 0, len(cached) - 1)])

    def pictures(self, video_id: str, start: int, crop: jpegs.Crop = jpegs.CENTRE) -> np.ndarray:
        """Pictures of one clip, uint8 (P, S, S, 3), a square of each: from what is kept, or else from the video.

        The video itself gives only the square in the middle.
        """
        times = self.picture_times_s(start)
        if (video_id, "pictures") in self._open or self._there(video_id, "pictures"):
            packed = self._load(video_id, "pictures")
            numbers = np.rint(times * self.settings.fps).astype(int).clip(0, jpegs.count(packed) - 1)
            return jpegs.unpack(packed, numbers, self.settings.frame_size_px, crop)
        return self._square(video_id, times)

    def all_features(self, video_id: str) -> np.ndarray:
        """Every cached picture's features, float16 (P, C, h, w), ``feature_fps`` for each second."""
        return np.array(self._load(video_id, "features"))

    def all_pictures(self, video_id: str) -> np.ndarray:
        """The pictures that :meth:`all_features` stands for, uint8 (P, S, S, 3)."""
        return self._square(video_id, grid_times_s(len(self.sound(video_id)), self.settings))

    def _prepare_video(self, video_id: str, computing: dict[str, Callable], held: dict[str, set[str]]) -> None:
        """Compute what lacks of one video."""
        missing = [kind for kind in computing if not self._sharded(video_id, kind)]
        source = self._source(video_id) if missing else []
        for kind in missing:
            if self._name(video_id, kind, source) not in held[kind]:
                self._keep(video_id, kind, computing[kind](video_id))

    def _set_aside(self, refused: dict[str, str]) -> None:
        """Go on without some videos; ``unusable.csv`` lists them beside those of other indices."""
        first, path = next(iter(refused.values()), ""), self.folder / "unusable.csv"
        if refused and len(refused) == len(self.rows):
            raise StudyError(f"none of {len(refused)} videos can be used; the first: {first}")
        if refused or path.is_file():
            rows = [(self.rows[video_id].path, video_id, reason) for video_id, reason in refused.items()]
            others = _refused_before(path, {row.path for row in self.rows.values()})
            files.write_csv(pd.concat([others, pd.DataFrame(rows, columns=_UNUSABLE)]), path)
        if refused:
            left_out = f"{len(refused)} of {len(self.rows)} videos cannot be used and are left out"
            warnings.warn(f"{left_out}; {path} says why. The first: {first}", stacklevel=3)
        for video_id in refused:
            del self.rows[video_id]
        self.refused |= refused.keys()

    def _read_sound(self, video_id: str) -> np.ndarray:
        settings, path = self.settings, self.rows[video_id].path
        sound = media.read_audio(path, settings.sample_rate_hz)
        remedies = "remove it from the index or set a smaller clip_samples", "remove it from the index"
        check_sound(path, len(sound), np.mean(np.square(sound, dtype=np.float64)), settings, *remedies)
        return sound

    def _pack_pictures(self, video_id: str, backbone: Backbone) -> np.ndarray:
        """All pictures at ``fps``, as JPEGs a little larger than a net sees them."""
        settings, path = self.settings, self.rows[video_id].frames_path
        times = np.arange(np.ceil(len(self.sound(video_id)) / settings.sample_rate_hz * settings.fps)) / settings.fps
        room_px = round(ROOM * settings.frame_size_px)
        return jpegs.pack(media.frames_at(path, times, room_px, directory_fps=settings.fps))

    @torch.inference_mode()
    def _compute_features(self, video_id: str, backbone: Backbone) -> np.ndarray:
        pictures = torch.from_numpy(self.all_pictures(video_id)).to(backbone.mean.device)
        return torch.cat([backbone(part) for part in pictures.split(32)]).half().cpu().numpy()

    def _square(self, video_id: str, times_s: np.ndarray) -> np.ndarray:
        size = self.settings.frame_size_px
        row = self.rows[video_id]
        frames = media.read_frames(row.frames_path, times_s, size, directory_fps=self.settings.fps)
        return centre_square(frames, size)

    def kept(self) -> list[dict[str, object]]:
        """What is kept of each video as files, in the order of the index, for ``shards.pack``.

        Raises
        ------
        StudyError
            If the sound of a video is not prepared.
        """
        videos = []
        for video_id, row in self.rows.items():
            files_of = {kind: self._path(video_id, kind) for kind in shards.KINDS}
            if not files_of["sound"].is_file():
                raise self._not_prepared(video_id, "sound")
            kept = {kind: (self._made_by[kind], str(path)) for kind, path in files_of.items() if path.is_file()}
            about = {"split": row.split, "instruments": row.instruments}
            videos.append({"video_id": video_id, "about": about, "kept": kept})
        return videos

    def _sharded(self, video_id: str, kind: str) -> bool:
        return self.shards is not None and self.shards.holds(video_id, kind, self._made_by[kind])

    def _there(self, video_id: str, kind: str) -> bool:
        return self._sharded(video_id, kind) or self._path(video_id, kind).is_file()

    def _path(self, video_id: str, kind: str) -> Path:
        return self.folder / kind / self._name(video_id, kind, self._source(video_id))

    def _source(self, video_id: str) -> list[object]:
        """What tells whether a video has changed."""
        path = self.rows[video_id].path
        return [path, *(files.state(path) or ())]  # what is not there is named when it is read

    def _name(self, video_id: str, kind: str, source: list[object]) -> str:
        """Name of a file that depends on everything that decides its content."""
        row, (sample_rate_hz, *decides) = self.rows[video_id], _decides(kind, self.settings)
        if kind != "sound":
            decides += [row.frames_path, self.settings.fps] if row.frames_path != row.path else []
        return f"{_digest([source[0], sample_rate_hz, *source[1:], *decides])}.npy"

    def _keep(self, video_id: str, kind: str, values: np.ndarray) -> None:
        with files.atomic(self._path(video_id, kind)) as temporary:
            np.save(temporary, values)

    def _load(self, video_id: str, kind: str) -> np.ndarray:
        if self._sharded(video_id, kind):
            return self.shards.read(video_id, kind, self._made_by[kind])
        with self._lock:
            if (video_id, kind) not in self._open:
                self._open[video_id, kind] = self._mapped(video_id, kind)
                if len(self._open) > _OPEN_FILES:
                    self._open.popitem(last=False)  # it closes when the last slice of it goes
            self._open.move_to_end((video_id, kind))
            return self._open[video_id, kind]

    def _mapped(self, video_id: str, kind: str) -> np.ndarray:
        path = self._path(video_id, kind)
        if not path.is_file():
            raise self._not_prepared(video_id, kind)
        try:
            return np.load(path, mmap_mode="r").view(np.ndarray)  # slices of it are cheaper
        except (ValueError, EOFError):
            raise StudyError(f"{path}: was cut off; delete it, and it is computed again") from None

    def _not_prepared(self, video_id: str, kind: str) -> StudyError:
        return StudyError(f"{self.rows[video_id].path}: its {kind} are not prepared; call VideoStore.prepare first")


def _decides(kind: str, settings: Settings) -> list[object]:
    """The settings that decide what is kept of a video; those of a directory of frames hang on ``fps``, too."""
    decides: list[object] = [settings.sample_rate_hz]
    if kind == "features":
        decides += [settings.backbone, settings.pretrained, settings.frame_size_px, settings.feature_fps]
    if kind == "pictures":
        decides += [settings.frame_size_px, settings.fps, ROOM]
    return decides


def _digest(decides: list[object]) -> str:
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]


def _names_in(folder: Path) -> set[str]:
    """Names of the files in a folder that need not be there."""
    return set(os.listdir(folder)) if folder.is_dir() else set()


def _refused_before(path: Path, asked: set[str]) -> pd.DataFrame:
    """The table of videos that were set aside, without those that were asked for again."""
    if not path.is_file():
        return pd.DataFrame(columns=_UNUSABLE)
    known = pd.read_csv(path, dtype=str, keep_default_na=False)
    return known[~known["path"].isin(asked)]


def grid_times_s(samples: int, settings: Settings) -> np.ndarray:
    """Times of the pictures that are looked at in a video of so many samples, each in the middle of its part."""
    seconds, rate = samples / settings.sample_rate_hz, settings.feature_fps
    return (np.arange(max(int(seconds * rate), 1)) + 0.5) / rate


def check_sound(
    path: str | Path,
    samples: int,
    mean_square: float,
    settings: Settings,
    if_short: str,
    if_silent: str,
    least_s: float | None = None,
) -> None:
    """Refuse sound that is too short or silent, by the name of its video and with what to do about it.

    Too short is what is shorter than a clip, or than ``least_s``.
    """
    if samples < (settings.clip_samples if least_s is None else least_s * settings.sample_rate_hz):
        least = f"a clip of {settings.clip_s:.2f} s" if least_s is None else f"{least_s:.2f} s"
        lasts = f"its sound lasts {samples / settings.sample_rate_hz:.2f} s"
        raise StudyError(f"{path}: {lasts}, shorter than {least}; {if_short}")
    if _decibels(mean_square) < SILENT_DB:
        raise StudyError(f"{path}: is silent ({_decibels(mean_square):.0f} dB); {if_silent}")


def centre_square(frames: np.ndarray, size_px: int) -> np.ndarray:
    """The square in the middle of pictures whose short side is ``size_px``: (P, H, W, 3) -> (P, S, S, 3)."""
    top, left = (frames.shape[1] - size_px) // 2, (frames.shape[2] - size_px) // 2
    return frames[:, top : top + size_px, left : left + size_px]


def level_db(sound: np.ndarray) -> float:
    """Level (root mean square) of samples, in dB below full scale."""
    return _decibels(np.mean(np.square(sound, dtype=np.float64)))


def _decibels(mean_square: float) -> float:
    return float(10 * np.log10(mean_square + 1e-20))
