"""Mix and separate: draw N videos, cut a clip of each, add the sounds up, ask for each one back.

A training mixture is a function of the seed and its number alone, whatever the workers and wherever a run was
interrupted; validation and test mixtures stand in a fixed, seeded list. Used by notebooks 01, 03 and 04.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from avsep_lib.jpegs import CENTRE, Crop
from avsep_lib.settings import Settings, StudyError
from avsep_lib.store import ROOM, VideoStore

_GAINS = (0.5, 1.5)  # of each source in training, as in the released code
_AHEAD = 4  # batches that each loading process prepares while others are trained on
COLOUR_POINTS = 7  # of the random equaliser, evenly spaced in octaves


class Mixer:
    """Draws mixtures from the solos of one split.

    Parameters
    ----------
    solos : DataFrame
        Rows of an index, all of kind ``solo``.
    store : VideoStore
        Prepared for these rows.
    settings : Settings
    """

    def __init__(self, solos: pd.DataFrame, store: VideoStore, settings: Settings):
        self.store, self.settings = store, settings
        self.instruments = sorted(solos.instruments.unique())
        self.by_instrument = {name: list(part.video_id) for name, part in solos.groupby("instruments")}
        self.instrument_of = dict(zip(solos.video_id, solos.instruments, strict=True))
        self.videos = list(self.instrument_of)

    def draw(self, rng: np.random.Generator, n_sources: int, instruments: str = "different") -> list[tuple[str, int]]:
        """Videos and start samples of one mixture.

        Parameters
        ----------
        rng : Generator
        n_sources : int
            N.
        instruments : str
            ``different`` takes N different instruments, ``same`` N videos of one, ``any`` N different videos.

        Returns
        -------
        list of (video_id, start)
        """
        if instruments == "different":
            chosen = [self._pick(rng, self.by_instrument[name]) for name in self._names(rng, n_sources)]
        else:
            pool = self.videos if instruments == "any" else self._one_instrument(rng, n_sources)
            if len(pool) < n_sources:
                raise StudyError(f"a mixture of {n_sources} needs as many videos, but there are only {len(pool)}")
            chosen = [pool[i] for i in rng.choice(len(pool), n_sources, replace=False)]
        return [(video_id, int(rng.integers(self.store.last_start(video_id) + 1))) for video_id in chosen]

    def _names(self, rng: np.random.Generator, n_sources: int) -> list[str]:
        if n_sources > len(self.instruments):
            raise StudyError(
                f"a mixture of {n_sources} different instruments cannot be drawn from {len(self.instruments)}: "
                f"{', '.join(self.instruments)}"
            )
        return [self.instruments[i] for i in rng.choice(len(self.instruments), n_sources, replace=False)]

    def _one_instrument(self, rng: np.random.Generator, n_sources: int) -> list[str]:
        enough = [name for name in self.instruments if len(self.by_instrument[name]) >= n_sources]
        return self.by_instrument[self._pick(rng, enough)] if enough else []

    @staticmethod
    def _pick(rng: np.random.Generator, items: list[str]) -> str:
        return items[rng.integers(len(items))]


def fixed_list(mixer: Mixer, count: int, n_sources: int, instruments: str = "different", seed: int = 0) -> pd.DataFrame:
    """The seeded list of mixtures that a score is taken on.

    Parameters
    ----------
    mixer : Mixer
        Of the validation or test split.
    count, n_sources : int
    instruments : str
        ``different`` or ``same``, see :meth:`Mixer.draw`.
    seed : int

    Returns
    -------
    DataFrame
        One row for each source: mixture, source, video_id, instrument, start (in samples).
    """
    rows = []
    for mixture in range(count):
        rng = np.random.default_rng([seed, 1, mixture])
        for source, (video_id, start) in enumerate(mixer.draw(rng, n_sources, instruments)):
            rows.append((mixture, source, video_id, mixer.instrument_of[video_id], start))
    return pd.DataFrame(rows, columns=["mixture", "source", "video_id", "instrument", "start"])


@dataclass(frozen=True)
class Drawn:
    """What a training mixture is made of: clips (videos with start samples), and how each source is changed."""

    clips: list[tuple[str, int]]
    gains: np.ndarray
    colour_db: np.ndarray
    crops: list[Crop]


class TrainingMixtures(Dataset):
    """Training mixtures by number, without an end.

    An item is a dictionary: ``sources`` float32 (N, L); ``seen``, the cached features float16 (N, P, C, h, w) or, for
    a backbone that is trained, the pictures uint8 (N, P, S, S, 3); and what is done to each sound on the device:
    ``gains`` (N,), and with the setting ``colour_db`` the points of a random equaliser (N, 7), which lets one performer
    sound like many. ``classes`` int64 (N,) says what plays, by the order of ``mixer.instruments``.
    """

    def __init__(self, mixer: Mixer, cached_features: bool):
        self.mixer, self.cached = mixer, cached_features

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Mixture ``number``: a function of the seed and of the number alone."""
        drawn = self.drawn(number)
        playing = [self.mixer.instrument_of[video_id] for video_id, _ in drawn.clips]
        changes = {"gains": torch.from_numpy(drawn.gains), "classes": classes_of(playing, self.mixer.instruments)}
        if self.mixer.settings.colour_db:
            changes["colour_db"] = torch.from_numpy(drawn.colour_db)
        return item(self.mixer.store, drawn.clips, self.cached, drawn.crops) | changes

    def __getitems__(self, numbers: Sequence[int]) -> list[dict[str, Tensor]]:
        """Several mixtures; JPEGs are decoded by as many threads as torch uses, which is one in a loading process."""
        if self.cached:
            return [self[number] for number in numbers]
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            return list(pool.map(self.__getitem__, numbers))

    def drawn(self, number: int) -> Drawn:
        """Clips, gains, equalisers and squares of mixture ``number``."""
        settings = self.mixer.settings
        rng = np.random.default_rng([settings.seed, 0, number])
        clips = self.mixer.draw(rng, settings.n_sources, "different" if settings.different_instruments else "any")
        colour_db = rng.normal(0, settings.colour_db, (len(clips), COLOUR_POINTS)).astype(np.float32)
        gains = rng.uniform(*_GAINS, len(clips)).astype(np.float32)
        crops = [CENTRE] * len(clips)
        if settings.augment_pictures:
            crops = [Crop(1 / ROOM, *rng.uniform(size=2), mirrored=bool(rng.integers(2))) for _ in clips]
        return Drawn(clips, gains, colour_db, crops)


class ListedMixtures(Dataset):
    """The mixtures of a fixed list, as they are; ``sources`` and ``seen`` as in :class:`TrainingMixtures`.

    ``classes`` too where ``instruments`` are given: those of the training, whose order the classes have.
    """

    def __init__(
        self, listed: pd.DataFrame, store: VideoStore, cached_features: bool, instruments: Sequence[str] | None = None
    ):
        self.store, self.cached = store, cached_features
        parts = [part for _, part in listed.groupby("mixture")]
        self.clips = [list(zip(part.video_id, part.start, strict=True)) for part in parts]
        self.classes = None if instruments is None else [classes_of(part.instrument, instruments) for part in parts]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Mixture ``number`` of the list."""
        known = {"classes": self.classes[number]} if self.classes else {}
        return item(self.store, self.clips[number], self.cached) | known


class Draws(Sampler):
    """Numbers of the training mixtures of each batch of one epoch; Lightning tells it the epoch.

    Parameters
    ----------
    per_epoch, batch_size : int
        Mixtures of an epoch and of a step. What is left over in an epoch is not drawn.
    """

    def __init__(self, per_epoch: int, batch_size: int):
        self.steps, self.batch_size = per_epoch // batch_size, batch_size
        self.epoch = self.first_step = self.rank = 0
        self.world_size = 1

    @property
    def sampler(self) -> "Draws":
        """Itself: where Lightning looks for what to tell the epoch to."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Move to an epoch, so that a resumed run draws what it would have drawn."""
        self.epoch = epoch

    def begin_at(self, step: int) -> None:
        """Leave out the steps before ``step``, counted from the beginning of the training: they are done."""
        self.first_step = step

    def share(self, rank: int, world_size: int) -> None:
        """Draw only the part of each batch that is this process's, of so many that train together."""
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[list[int]]:
        size = self.batch_size // self.world_size
        for step in range(max(self.epoch * self.steps, self.first_step), (self.epoch + 1) * self.steps):
            first = step * self.batch_size + self.rank * size
            yield list(range(first, first + size))


def item(
    store: VideoStore, clips: list[tuple[str, int]], cached: bool, crops: list[Crop] | None = None
) -> dict[str, Tensor]:
    """Sounds and features (or pictures) of the clips of one mixture."""
    sounds = np.stack([store.window(video_id, start) for video_id, start in clips])
    if cached:
        seen = [store.features(video_id, start) for video_id, start in clips]
    else:
        crops = crops or [CENTRE] * len(clips)
        seen = [store.pictures(*clip, crop) for clip, crop in zip(clips, crops, strict=True)]
    return {"sources": torch.from_numpy(sounds), "seen": torch.from_numpy(np.stack(seen))}


def classes_of(names: Iterable[str], instruments: Sequence[str]) -> Tensor:
    """Places of instruments in a list of them, int64 (N,); one that is not in it is refused by name."""
    names, order = list(names), list(instruments)
    strangers = sorted(set(names) - set(order))
    if strangers:
        raise StudyError(f"{strangers[0]!r} is none of the trained instruments ({', '.join(order)}); train with it too")
    return torch.tensor([order.index(name) for name in names])


def training_loader(mixer: Mixer, cached_features: bool) -> DataLoader:
    """Batches of training mixtures, in an order that no number of workers changes."""
    settings = mixer.settings
    draws = Draws(settings.mixtures_per_epoch, settings.batch_size)
    return DataLoader(TrainingMixtures(mixer, cached_features), batch_sampler=draws, **_loading(settings))


def listed_loader(
    listed: pd.DataFrame, store: VideoStore, cached_features: bool, instruments: Sequence[str] | None = None
) -> DataLoader:
    """Batches of the mixtures of a fixed list, in its order; with ``classes`` where ``instruments`` are given."""
    data = ListedMixtures(listed, store, cached_features, instruments)
    return DataLoader(data, batch_size=store.settings.batch_size, **_loading(store.settings))


def _loading(settings: Settings) -> dict[str, object]:
    """Options of a loader: processes that stay between epochs and work ahead, memory that the GPU reads by itself."""
    options = {"num_workers": settings.workers, "pin_memory": torch.cuda.is_available()}
    return options | ({"persistent_workers": True, "prefetch_factor": _AHEAD} if settings.workers else {})
