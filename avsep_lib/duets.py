"""Duets: a video with several players in; a track, a mask and a sound map for each player out.

A video is gone through twice, so that it may be of any length: first its pictures are looked at, then its sound is
separated window by window. Used by notebook 05 and ``avsep separate``.
"""

import math
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from avsep_lib import files, full_band, media
from avsep_lib.finding import check_instruments, find_players
from avsep_lib.separators import BaseSeparator
from avsep_lib.settings import StudyError
from avsep_lib.sound_maps import SoundMaps, sound_maps
from avsep_lib.watching import Player, Watched, look, part_queries

PLACE = "place"
"""What a place is called that is asked for, whoever plays there."""
_LARGEST = 2**32 - 2**16  # bytes: plain WAV counts no further


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
        WAV files with the sound of each player, at the rate and with the channels of the video. Of a single instrument
        that was named, or of a place, there is one more, the rest; so all add up to the video's sound.
    samples : int
        Length L of the sound at ``sample_rate_hz``.
    maps : SoundMaps
        Who sounds where.
    frame : uint8 array, shape (H, W, 3)
        The picture in the middle of the video.
    sample_rate_hz : int
        Of the separator, which heard the sound at this rate.
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
        """The players' tracks, mixed down, float32 (N, L), read from their files each time."""
        estimates = np.zeros((len(self.players), self.samples), np.float32)
        for estimate, track in zip(estimates, self.tracks, strict=False):
            sound = media.read_audio(track, self.sample_rate_hz)[: self.samples]
            estimate[: len(sound)] = sound
        return estimates

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
        paths = self.path, *self.tracks[: len(self.players)]
        waves = [_stretch(path, self.sample_rate_hz, start, length) for path in paths]
        return start / self.sample_rate_hz, np.stack(waves)


def separate_video(
    separator: BaseSeparator,
    path: str | Path,
    n_players: int | None = None,
    instruments: Sequence[str] = (),
    progress: Callable[[str, int, int], None] | None = None,
    out: str | Path | None = None,
    at: tuple[float, float] | None = None,
    seen: Watched | None = None,
) -> Separation:
    """Find the players of a video and give each their own track, a WAV file ``<number>_<instrument>.wav``.

    The tracks have the sample rate and the channels of the video's own sound, and add up to it.

    Parameters
    ----------
    separator : BaseSeparator
    path : str or Path
        A video with sound.
    n_players : int, optional
        Players to look for; None to find out.
    instruments : sequence of str
        Their names, in any order; empty to find out. A name counts for one player.
    progress : callable, optional
        Called with a label, what is done and how much there is.
    out : str or Path, optional
        Folder for the tracks; by default a temporary one, which goes with the separation.
    at : (x, y), optional
        Ask for the sound of this place alone, as shares of the picture's width and height.
    seen : Watched, optional
        What ``look`` saw in the video, where it was looked at before.

    Returns
    -------
    Separation
        Of a single instrument that was named, or of a place, there is a second track, ``rest.wav``: all the other
        sound. A single player who was found has all of it.

    Raises
    ------
    StudyError
        If the video is missing, broken, without sound or pictures, or silent, if nobody is seen, an instrument is not
        known, or the disk has no room for the tracks. No track is written then.

    Warns
    -----
    UserWarning
        If a part of the video is damaged, or the disk was full before the end: the tracks end there.
    """
    check_instruments(separator, instruments, n_players)
    if at and (instruments or n_players):
        raise StudyError(
            "a place is asked for whoever plays there; give --at alone, without names or a number of players"
        )
    seen = look(separator, path, progress) if seen is None else seen
    try:
        players = [_place(seen, *at)] if at else find_players(separator, seen.named, n_players, instruments)
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from None
    folder = tempfile.TemporaryDirectory(prefix="avsep-") if out is None else None
    tracks = track_paths(players, folder.name if folder else out)
    if at or len(instruments) == 1:
        tracks.append(tracks[0].with_name("rest.wav"))
    samples = _separate_sound(separator, path, seen, players, tracks, progress)
    rate = separator.sample_rate_hz
    maps = sound_maps(separator, seen, players, media.audio_blocks(path, rate))
    frame = media.read_frames(path, [samples / rate / 2], separator.settings.frame_size_px)[0]
    return Separation(Path(path), players, tracks, samples, maps, frame, rate, folder)


def _separate_sound(
    separator: BaseSeparator,
    path: str | Path,
    seen: Watched,
    players: Sequence[Player],
    tracks: Sequence[Path],
    progress: Callable[[str, int, int], None] | None,
) -> int:
    """Write the tracks as the sound comes; all appear at the end. Returns their length at the separator's rate."""
    info = media.probe(path)
    rate, channels = info.sample_rate_hz, info.channels
    total_s, done = seen.samples / separator.sample_rate_hz, 0
    large = _check_room(tracks, total_s * rate * channels)

    def asked(start: int) -> Tensor:
        return part_queries(separator, seen.looks_near(start), players)

    pieces = full_band.stream(
        separator, media.audio_blocks(path, rate, channels), rate, asked, rest=len(tracks) > len(players)
    )
    with ExitStack() as stack:
        writers = [stack.enter_context(media.audio_writer(track, rate, channels, large)) for track in tracks]
        try:
            for piece in pieces:
                for write, track in zip(writers, piece, strict=True):
                    write(track)
                done += piece.shape[1]
                if progress:
                    progress("seconds separated", min(int(done / rate), int(total_s)), int(total_s))
        except media.MediaError as error:
            if not done:
                raise
            warnings.warn(f"{error}; the tracks end at {done / rate:.0f} s of {total_s:.0f} s", stacklevel=3)
    return min(round(done / rate * separator.sample_rate_hz), seen.samples)


def _check_room(tracks: Sequence[Path], values: float) -> bool:
    """Refuse to begin where tracks of so many values have no room; says whether they are too large for plain WAV."""
    folder = tracks[0].parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(
            f"{folder}: cannot be a folder for tracks ({error.strerror}); give another one with --out"
        ) from None
    each, free = 4 * values, files.free_bytes(folder)
    if len(tracks) * each > free:
        need = f"{len(tracks)} tracks of {each / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free"
        raise StudyError(f"{folder}: has no room for {need}; give a folder on another disk with --out")
    return each > _LARGEST


def _place(seen: Watched, x: float, y: float) -> Player:
    """One place of the grid, as somebody who is asked for."""
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise StudyError(f"place {x:g},{y:g} is outside the picture; give shares of its width and height, from 0 to 1")
    height, width = seen.looks.shape[-2:]
    row, column = min(int(y * height), height - 1), min(int(x * width), width - 1)
    cell = column / width, row / height, (column + 1) / width, (row + 1) / height
    return Player(PLACE, math.nan, cell, cell)


def write_tracks(separation: Separation, out: str | Path) -> list[Path]:
    """Copy the tracks to a folder, by the names they have."""
    paths = [Path(out) / track.name for track in separation.tracks]
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
    stretch = np.concatenate(parts)
    return np.pad(stretch, (0, length - len(stretch)))
