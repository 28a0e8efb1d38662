"""Duets: a video with several players in; a track, a mask and a sound map for each player out.

A video is gone through twice, so that it may be of any length: first its pictures are looked at, then its sound is
separated block by block. Players are expected side by side, left to right. Used by notebook 05 and ``avsep separate``.
"""

import itertools
import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from avsep_lib import baselines, evaluation, files, media, rendered, spectra
from avsep_lib.separators import BaseSeparator
from avsep_lib.settings import Settings, StudyError
from avsep_lib.store import check_sound, grid_times_s

_NARROWEST = 0.25  # of a player's strip, as a share of an even division of the picture
_DIMMED = 0.3  # brightness of the players that are not heard
_PICTURES = {
    "cpu": 2,
    "cuda": 32,
}  # that go through the frame net at a time: more are slower on a CPU, for want of cache
_BLACK = 16, 128, 128  # of luma and both chromas
_DIM = {black: np.rint(black + _DIMMED * (np.arange(256) - black)).astype(np.uint8) for black in set(_BLACK)}


@dataclass(frozen=True)
class Player:
    """Somebody in the picture: the instrument, how sure the classifier is, and a strip of the picture.

    ``left`` and ``right`` are shares of the picture's width.
    """

    instrument: str
    confidence: float
    left: float
    right: float


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
    sound_map : float32 array, shape (h, w)
        Energy of the sound of each place, averaged over the video.
    owner_map : float32 array, shape (N, h, w)
        For each place, how alike its sound is to each player's; adds up to one.
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
    sound_map: np.ndarray
    owner_map: np.ndarray
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


@dataclass(frozen=True)
class Watched:
    """What the nets saw in the pictures of a video.

    Attributes
    ----------
    samples : int
        Length L of the video's sound.
    looks : Tensor, shape (P, K, h, w)
        The query of every place of every picture.
    named : Tensor, shape (K', h, w)
        What all pictures say together of who is where, by which a strip is named.
    times_s : float array, shape (P,)
    settings : Settings
    """

    samples: int
    looks: Tensor
    named: Tensor
    times_s: np.ndarray
    settings: Settings

    def looks_near(self, start: int) -> Tensor:
        """Pixel queries of the pictures of the window that starts at a sample, (P', K, h, w)."""
        middle = (start + self.settings.clip_samples / 2) / self.settings.sample_rate_hz
        nearest = np.argsort(np.abs(self.times_s - middle), kind="stable")[: self.settings.frames_per_clip]
        return self.looks[torch.as_tensor(np.sort(nearest))]


@torch.inference_mode()
def look(
    separator: BaseSeparator, path: str | Path, progress: Callable[[str, int, int], None] | None = None
) -> Watched:
    """Look at a video's pictures, ``feature_fps`` of them for each second, a few at a time.

    Raises
    ------
    StudyError
        If the video is missing, broken, without sound, silent or too short.
    """
    settings, device = separator.settings, separator.device
    samples = _checked_samples(path, settings)
    times = grid_times_s(samples, settings)
    looks, named = [], []
    frames = media.frames_at(path, times, settings.frame_size_px)
    while part := list(itertools.islice(frames, _PICTURES[device.type])):
        seen, names = separator.look(torch.from_numpy(np.stack(part)).to(device))
        looks += seen
        named += names
        if progress:
            progress("looking", len(looks), len(times))
    return Watched(samples, torch.stack(looks), separator.over_pictures(torch.stack(named)), times, settings)


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
    tracks = _track_paths(players, folder.name if folder else out)
    _separate_sound(separator, path, seen, players, tracks, progress)
    rate = separator.sample_rate_hz
    energy, owners = sound_maps(separator, seen, players, media.audio_blocks(path, rate))
    frame = media.read_frames(path, [seen.samples / rate / 2], separator.settings.frame_size_px)[0]
    return Separation(Path(path), players, tracks, seen.samples, energy, owners, frame, rate, folder)


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
            return strip_queries(separator, seen.looks_near(start), players)

        for estimates in separator.stream(blocks, asked):
            for write, estimate in zip(writers, estimates, strict=True):
                write(estimate)
            done += estimates.shape[1]
            if progress:
                progress("separating", done, seen.samples)


@torch.inference_mode()
def find_players(
    separator: BaseSeparator, named: Tensor, n_players: int, instruments: Sequence[str] = ()
) -> list[Player]:
    """Divide the picture into strips side by side so that each shows one instrument most clearly.

    A separator that names no instruments has it divided evenly: its players are called ``player``, with a confidence
    that is not a number.

    Parameters
    ----------
    separator : BaseSeparator
        It names what a strip shows.
    named : Tensor, shape (K', h, w)
        See :class:`Watched`.
    n_players : int
    instruments : sequence of str
        Names that must appear; empty to find out.

    Returns
    -------
    list of Player
        From left to right.

    Raises
    ------
    StudyError
        For an instrument that the separator does not know, or more players than the picture has room for.
    """
    if instruments:
        n_players = len(instruments)
        for name in instruments:
            if not separator.instruments:
                raise StudyError(f"instrument {name!r} cannot be looked for: this checkpoint names no instruments")
            if name not in separator.instruments:
                raise StudyError(
                    f"instrument {name!r} is not known; this checkpoint knows {', '.join(separator.instruments)}"
                )
    width = named.shape[-1]
    if not 1 <= n_players <= width // 2:
        raise StudyError(f"{n_players} players do not fit side by side into this picture; ask for 1 to {width // 2}")
    if not separator.instruments:
        return [Player("player", math.nan, n / n_players, (n + 1) / n_players) for n in range(n_players)]
    best: tuple[float, list[Player]] | None = None
    names = {strip: separator.name(named[..., slice(*strip)]) for strip in itertools.combinations(range(width + 1), 2)}
    for cuts in _cuts(width, n_players):
        scores = torch.stack([names[strip] for strip in itertools.pairwise(cuts)])  # (N, classes), log probabilities
        for chosen in _assignments(separator, scores, instruments):
            total = float(sum(scores[n, c] for n, c in enumerate(chosen)))
            if best is None or total > best[0] + 1e-6:
                players = [
                    Player(separator.instruments[c], float(scores[n, c].exp()), left / width, right / width)
                    for n, (c, (left, right)) in enumerate(zip(chosen, itertools.pairwise(cuts), strict=True))
                ]
                best = total, players
    return best[1]


def strip_queries(separator: BaseSeparator, looks: Tensor, players: Sequence[Player]) -> Tensor:
    """The query of each player, (N, K): what all places of the strip ask for, of pixel queries (P, K, h, w)."""
    looks = separator.over_pictures(looks)
    width = looks.shape[-1]
    strips = [slice(round(p.left * width), round(p.right * width)) for p in players]
    return torch.stack(
        [separator.query(looks[..., strip], p.instrument) for strip, p in zip(strips, players, strict=True)]
    )


@torch.inference_mode()
def sound_maps(
    separator: BaseSeparator, seen: Watched, players: Sequence[Player], blocks: Iterable[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Who sounds where: the energy of the sound of each place, and whose sound it is like.

    Parameters
    ----------
    separator : BaseSeparator
    seen : Watched
    players : sequence of Player
    blocks : iterable of float32 arrays, shape (n,)
        The mixture, of which every whole clip is heard.

    Returns
    -------
    energy : float32 array, shape (h, w)
        Mean energy of the mixture under the mask of each place.
    owners : float32 array, shape (N, h, w)
        Softmax over players of the negative distance between the place's mask and the player's, each bin weighted by
        the energy of the mixture.

    References
    ----------
    Zhao et al., The Sound of Pixels, ECCV 2018, section 4.4 (sound energy and clustering of pixels).
    """
    settings = separator.settings
    energy, distances, count = 0.0, 0.0, 0
    for start, wave in _clips(blocks, settings.clip_samples):
        spec = spectra.stft(torch.from_numpy(wave).to(seen.looks.device), settings.n_fft, settings.hop)
        looks = seen.looks_near(start)
        together = separator.over_pictures(looks)
        shape = together.shape[-2:]
        places = torch.stack([separator.query(place[:, None, None]) for place in together.flatten(1).T])  # (h w, K)
        asked = strip_queries(separator, looks, players)
        masks, axis = separator.place_masks(spec, torch.cat([places, asked]))
        weights = _weights(spec, axis, masks.shape[-2])
        heard, wanted = masks.split([len(places), len(players)])
        energy += _let_through(heard, *weights) / spec.numel()
        apart = torch.stack([_let_through(heard - mask, *weights) for mask in wanted])
        distances += apart / spec.abs().square().sum().clamp_min(1e-12)
        count += 1
    owners = (-20 * distances / count).softmax(0).reshape(len(players), *shape)
    return (energy / count).reshape(shape).cpu().numpy(), owners.cpu().numpy()


def _weights(spec: Tensor, axis: str, bins: int) -> tuple[Tensor, Tensor]:
    """What :func:`_let_through` needs of a mixture (F, T): weights (F', T) of the squares of a mask of F' bins on an
    axis, and (F' - 1, T) of the products of neighbours.

    A bin of the linear axis lies between two rows of the log axis, so its mask squared is a sum of these.
    """
    power = spec.abs().square()
    share = spectra.unwarp(torch.eye(bins, device=power.device), axis, len(power))  # (F, F')
    return share.square().T @ power, 2 * (share[:, 1:] * share[:, :-1]).T @ power


def _let_through(masks: Tensor, squares: Tensor, neighbours: Tensor) -> Tensor:
    """Energy of a mixture under each of the masks (M, F', T), (M,): as if unwarped, at a quarter of the size."""
    alone = masks.square().flatten(1) @ squares.flatten()
    return alone + (masks[:, 1:] * masks[:, :-1]).flatten(1) @ neighbours.flatten()


def _clips(blocks: Iterable[np.ndarray], length: int) -> Iterator[tuple[int, np.ndarray]]:
    """(start, samples) of every whole clip, one behind the other, of sound that comes in blocks."""
    held, start = np.zeros(0, np.float32), 0
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= length:
            yield start, held[:length]
            held, start = held[length:], start + length


def ask_places(separator: BaseSeparator, path: str | Path, places: Sequence[tuple[float, float]]) -> np.ndarray:
    """The sound that single places of the picture ask for: pixel queries.

    Parameters
    ----------
    separator : BaseSeparator
    path : str or Path
        A video with sound.
    places : sequence of (x, y)
        As shares of the picture's width and height.

    Returns
    -------
    float32 array, shape (places, L)
    """
    seen = look(separator, path)

    def queries(start: int) -> Tensor:
        looks = separator.over_pictures(seen.looks_near(start))  # (P, K, h, w) -> (K, h, w)
        height, width = looks.shape[-2:]
        cells = [(min(int(y * height), height - 1), min(int(x * width), width - 1)) for x, y in places]
        return torch.stack([separator.query(looks[:, row, column, None, None]) for row, column in cells])

    return separator.separate_queries(media.read_audio(path, separator.sample_rate_hz), queries, alone=True)


def score_duets(separator: BaseSeparator, duets: pd.DataFrame, progress: Callable | None = None) -> pd.DataFrame:
    """Separate rendered duets and score them against their true tracks and boxes.

    Parameters
    ----------
    separator : BaseSeparator
    duets : DataFrame
        Rows of an index, of kind ``duet``, with their truth beside them.
    progress : callable, optional

    Returns
    -------
    DataFrame
        A row for each player of each duet and each method (``mixture``, ``separator``, ``ideal ratio mask``): the
        columns of ``evaluation.evaluate``, ``found`` (the instrument that was seen) and ``pointed`` (whether the
        loudest place among those that sound like this player lies in the player's box).
    """
    rows, true, methods = [], [], {"mixture": [], "separator": [], "ideal ratio mask": []}
    for number, duet in enumerate(duets.itertuples()):
        separation = separate_video(separator, duet.path)
        tracks, boxes = rendered.read_truth(duet.path, separator.sample_rate_hz)
        length = min(tracks.shape[-1], separation.samples)
        true.append(tracks[:, :length])
        methods["mixture"].append(baselines.mixture_as_estimate(true[-1]))
        methods["separator"].append(separation.estimates[:, :length])
        methods["ideal ratio mask"].append(baselines.ideal_mask(true[-1], separator.settings, "ratio"))
        pointed = points_at(separation, boxes)
        for source, name in enumerate(duet.instruments.split("+")):
            found = separation.players[source].instrument
            rows.append((number, source, duet.video_id, name, found, pointed[source]))
        if progress:
            progress("separating duets", number + 1, len(duets))
    listed = pd.DataFrame(rows, columns=["mixture", "source", "video_id", "instrument", "found", "pointed"])
    return evaluation.evaluate(listed, true, methods, separator.settings)


def points_at(separation: Separation, boxes: np.ndarray) -> list[bool]:
    """For each player, whether the loudest of the places that sound like them lies in their box.

    ``boxes`` are (N, 4): x0, y0, x1, y1 as shares of the picture.
    """
    hits = []
    for owner, (x0, y0, x1, y1) in zip(separation.owner_map, boxes, strict=True):
        row, column = np.unravel_index(np.argmax(owner * separation.sound_map), owner.shape)
        x, y = (column + 0.5) / owner.shape[1], (row + 0.5) / owner.shape[0]
        hits.append(bool(x0 <= x <= x1 and y0 <= y <= y1))
    return hits


def write_tracks(separation: Separation, out: str | Path) -> list[Path]:
    """Copy the WAV of each player to a folder: ``<number>_<instrument>.wav``."""
    paths = _track_paths(separation.players, out)
    for track, path in zip(separation.tracks, paths, strict=True):
        with files.atomic(path) as temporary:
            shutil.copyfile(track, temporary)
    return paths


def write_videos(separation: Separation, out: str | Path, fps: float = 12.0, height_px: int = 360) -> list[Path]:
    """One MP4 for each player: only their sound, the others dimmed; never larger than the video itself.

    The video is walked through once for all, and each player's is encoded in a thread of its own.
    """
    info = media.probe(separation.path)
    short_side_px = min(height_px, info.height_px, info.width_px)
    paths = [path.with_suffix(".mp4") for path in _track_paths(separation.players, out)]
    rate = separation.sample_rate_hz
    times = np.arange(0, separation.samples / rate, 1 / fps)
    with ExitStack() as stack:
        films = [stack.enter_context(media.video_writer(path, fps, rate)) for path in paths]
        sounds = [media.audio_blocks(track, rate) for track in separation.tracks]
        threads = stack.enter_context(ThreadPoolExecutor(len(films)))

        def add(film: media.Film, sound: Iterator[np.ndarray], picture: tuple[np.ndarray, ...], end_s: float) -> None:
            film.show(picture)
            while film.samples < end_s * film.rate and (block := next(sound, None)) is not None:
                film.play(block)

        ends_s = [*times[1:], math.inf]
        for end_s, planes in zip(ends_s, media.planes_at(separation.path, times, short_side_px), strict=True):
            dark = [np.take(_DIM[black], plane) for black, plane in zip(_BLACK, planes, strict=True)]
            pictures = [_lit(planes, dark, player) for player in separation.players]
            list(threads.map(add, films, sounds, pictures, itertools.repeat(end_s)))
    return paths


def _lit(planes: Sequence[np.ndarray], dark: Sequence[np.ndarray], player: Player) -> tuple[np.ndarray, ...]:
    """A picture (luma, chromas) with everything dark but one player's strip."""
    lit = []
    for bright, plane in zip(planes, dark, strict=True):
        width = plane.shape[1]
        strip = slice(math.ceil(player.left * width), math.ceil(player.right * width))
        lit.append(plane.copy())
        lit[-1][:, strip] = bright[:, strip]
    return tuple(lit)


def _track_paths(players: Sequence[Player], folder: str | Path) -> list[Path]:
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


def _checked_samples(path: str | Path, settings: Settings) -> int:
    """Length of a video's sound, heard once through; one that is too short or silent is refused."""
    samples, total = 0, 0.0
    for block in media.audio_blocks(path, settings.sample_rate_hz):
        samples += len(block)
        total += float(np.square(block, dtype=np.float64).sum())
    check_sound(path, samples, total / samples, settings, "give a longer video", "there is nothing to separate")
    return samples


def _cuts(width: int, n_players: int) -> Iterator[tuple[int, ...]]:
    """Ways to cut a width into strips none of which is too narrow, the most even first."""
    least = max(int(width / n_players * _NARROWEST), 2)
    inner = itertools.combinations(range(1, width), n_players - 1)
    every = [(0, *cuts, width) for cuts in inner]
    wide = [cuts for cuts in every if min(b - a for a, b in itertools.pairwise(cuts)) >= least]
    return iter(sorted(wide, key=lambda cuts: sum((b - a) ** 2 for a, b in itertools.pairwise(cuts))))


def _assignments(separator: BaseSeparator, scores: Tensor, instruments: Sequence[str]) -> Iterator[tuple[int, ...]]:
    """Classes that the strips may be given: the named ones in any order, or the likeliest of each."""
    if not instruments:
        return iter([separator.choose(scores)])
    return itertools.permutations([separator.instruments.index(name) for name in instruments])
