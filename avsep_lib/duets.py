"""Duets: a video with several players in; a track, a mask and a sound map for each player out.

A video is gone through twice, so that it may be of any length: first its pictures are looked at, then its sound is
separated block by block. Players are expected side by side, left to right. Used by notebook 05 and ``avsep separate``.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from avsep_lib import files, media
from avsep_lib.separators import BaseSeparator
from avsep_lib.sound_maps import SoundMaps, sound_maps
from avsep_lib.watching import Player, Watched, find_players, look, part_queries


@dataclass(frozen=True)
class Separation:
    """What came of one video.

    Attributes
    ----------
    path : Path
        The video, which holds the mixture.
    players : list of Player
        N, from left to right.
    tracks : list of Path
        N WAV files, the sound of each player.
    samples : int
        Their length L.
    maps : SoundMaps
        Who sounds where.
    frame : uint8 array, shape (H, W, 3)
        The picture in the middle of the video.
    sample_rate_hz : int
    folder : TemporaryDirectory, optional
        Holds the tracks as long as the separation is in use, where no other folder was asked for.
    """

    path: Path
    players: list[Player]
    tracks: list[Path]
    samples: int
    maps: SoundMaps
    frame: np.ndarray
    sample_rate_hz: int
    folder: tempfile.TemporaryDirectory | None = field(default=None, repr=False, compare=False)

    @property
    def mixture(self) -> np.ndarray:
        """The sound of the video, float32 (L,), read from it each time."""
        return media.read_audio(self.path, self.sample_rate_hz)

    @property
    def estimates(self) -> np.ndarray:
        """The tracks, float32 (N, L), read from their files each time."""
        return np.stack([media.read_audio(track, self.sample_rate_hz) for track in self.tracks])

    def excerpt(self, seconds: float = 60.0) -> tuple[float, np.ndarray]:
        """The middle of the mixture and of the tracks, for what cannot show hours.

        Returns
        -------
        start_s : float
            0 where the video is no longer than ``seconds``.
        waves : float32 array, shape (1 + N, L')
            The mixture first.
        """
        length = min(round(seconds * self.sample_rate_hz), self.samples)
        start = (self.samples - length) // 2
        waves = [_stretch(path, self.sample_rate_hz, start, length) for path in (self.path, *self.tracks)]
        return start / self.sample_rate_hz, np.stack(waves)


def separate_video(
    separator: BaseSeparator,
    path: str | Path,
    n_players: int = 2,
    instruments: Sequence[str] = (),
    progress: Callable[[str, int, int], None] | None = None,
    out: str | Path | None = None,
) -> Separation:
    """Find the players of a video and give each their own track, a WAV file ``<number>_<instrument>.wav``.

    Parameters
    ----------
    separator : BaseSeparator
    path : str or Path
        A video with sound.
    n_players : int
        Players to look for, side by side.
    instruments : sequence of str
        Their names, in any order; empty to find out. A name counts for one player.
    progress : callable, optional
        Called with a label, what is done and how much there is.
    out : str or Path, optional
        Folder for the tracks; by default a temporary one, which goes with the separation.

    Returns
    -------
    Separation

    Raises
    ------
    StudyError
        If the video is missing, broken, without sound, silent or too short, or an instrument is not known. No track
        is written then.
    """
    seen = look(separator, path, progress)
    players = find_players(separator, seen.named, n_players, instruments)
    folder = tempfile.TemporaryDirectory(prefix="avsep-") if out is None else None
    tracks = track_paths(players, folder.name if folder else out)
    _separate_sound(separator, path, seen, players, tracks, progress)
    rate = separator.sample_rate_hz
    maps = sound_maps(separator, seen, players, media.audio_blocks(path, rate))
    frame = media.read_frames(path, [seen.samples / rate / 2], separator.settings.frame_size_px)[0]
    return Separation(Path(path), players, tracks, seen.samples, maps, frame, rate, folder)


def _separate_sound(
    separator: BaseSeparator,
    path: str | Path,
    seen: Watched,
    players: Sequence[Player],
    tracks: Sequence[Path],
    progress: Callable[[str, int, int], None] | None,
) -> None:
    """Write the track of each player as the sound comes; all of them appear at the end."""
    blocks = media.audio_blocks(path, separator.sample_rate_hz)
    done = 0
    with ExitStack() as stack:
        writers = [stack.enter_context(media.audio_writer(track, separator.sample_rate_hz)) for track in tracks]

        def asked(start: int) -> Tensor:
            return part_queries(separator, seen.looks_near(start), players)

        for estimates in separator.stream(blocks, asked):
            for write, estimate in zip(writers, estimates, strict=True):
                write(estimate)
            done += estimates.shape[1]
            if progress:
                progress("separating", done, seen.samples)


def write_tracks(separation: Separation, out: str | Path) -> list[Path]:
    """Copy the WAV of each player to a folder: ``<number>_<instrument>.wav``."""
    paths = track_paths(separation.players, out)
    for track, path in zip(separation.tracks, paths, strict=True):
        with files.atomic(path) as temporary:
            shutil.copyfile(track, temporary)
    return paths


def track_paths(players: Sequence[Player], folder: str | Path) -> list[Path]:
    """Where the tracks of players lie in a folder."""
    return [Path(folder) / f"{n}_{player.instrument}.wav" for n, player in enumerate(players, start=1)]


def _stretch(path: Path, sample_rate_hz: int, start: int, length: int) -> np.ndarray:
    """A part of a file's sound, float32 (length,); the rest is let go as it comes."""
    parts, place = [], 0
    for block in media.audio_blocks(path, sample_rate_hz):
        parts.append(block[max(start - place, 0) : max(start + length - place, 0)])
        place += len(block)
        if place >= start + length:
            break
    return np.concatenate(parts)
