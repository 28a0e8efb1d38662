"""Duets: a video with several players in; a track, a mask and a sound map for each player out.

Players are expected side by side, left to right. Used by notebook 05 and ``avsep separate``.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from avsep_lib import baselines, evaluation, media, rendered, spectra
from avsep_lib.networks import Separator
from avsep_lib.settings import Settings, StudyError
from avsep_lib.store import check_sound, grid_times_s

_NARROWEST = 0.25  # of a player's strip, as a share of an even division of the picture
_DIMMED = 0.3  # brightness of the players that are not heard


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
    players : list of Player
        N, from left to right.
    mixture : float32 array, shape (L,)
    estimates : float32 array, shape (N, L)
    sound_map : float32 array, shape (h, w)
        Energy of the sound of each place, averaged over the video.
    owner_map : float32 array, shape (N, h, w)
        For each place, how alike its sound is to each player's; adds up to one.
    frame : uint8 array, shape (H, W, 3)
        The picture in the middle of the video.
    sample_rate_hz : int
    """

    path: Path
    players: list[Player]
    mixture: np.ndarray
    estimates: np.ndarray
    sound_map: np.ndarray
    owner_map: np.ndarray
    frame: np.ndarray
    sample_rate_hz: int


@dataclass(frozen=True)
class Watched:
    """A video's sound, and what the frame net saw in its pictures.

    Attributes
    ----------
    mixture : float32 array, shape (L,)
    features : Tensor, shape (P, C, h, w)
    looks : Tensor, shape (P, K, h, w)
        The query of every place of every picture.
    times_s : float array, shape (P,)
    settings : Settings
    """

    mixture: np.ndarray
    features: Tensor
    looks: Tensor
    times_s: np.ndarray
    settings: Settings

    def looks_near(self, start: int) -> Tensor:
        """Pixel queries of the pictures of the window that starts at a sample, (P', K, h, w)."""
        middle = (start + self.settings.clip_samples / 2) / self.settings.sample_rate_hz
        nearest = np.argsort(np.abs(self.times_s - middle), kind="stable")[: self.settings.frames_per_clip]
        return self.looks[torch.as_tensor(np.sort(nearest))]


@torch.inference_mode()
def look_and_listen(
    separator: Separator, path: str | Path, progress: Callable[[str, int, int], None] | None = None
) -> Watched:
    """Read a video's sound and look at its pictures, ``feature_fps`` of them for each second, a few at a time.

    Raises
    ------
    StudyError
        If the video is missing, broken, without sound, silent or too short.
    """
    settings = separator.settings
    mixture = media.read_audio(path, settings.sample_rate_hz)
    check_sound(path, mixture, settings, "give a longer video", "there is nothing to separate")
    times = grid_times_s(len(mixture), settings)
    device, parts = separator.synthesizer.bias.device, []
    for start in range(0, len(times), 16):
        frames = media.read_frames(path, times[start : start + 16], settings.frame_size_px)
        parts.append(separator.frame_net.features(torch.from_numpy(frames).to(device)))
        if progress:
            progress("looking", min(start + 16, len(times)), len(times))
    features = torch.cat(parts)
    return Watched(mixture, features, separator.frame_net.pixel_queries(features), times, settings)


def separate_video(
    separator: Separator,
    path: str | Path,
    n_players: int = 2,
    instruments: Sequence[str] = (),
    progress: Callable[[str, int, int], None] | None = None,
) -> Separation:
    """Find the players of a video and give each their own track.

    Parameters
    ----------
    separator : Separator
    path : str or Path
        A video with sound.
    n_players : int
        Players to look for, side by side.
    instruments : sequence of str
        Their names, in any order; empty to find out. A name counts for one player.
    progress : callable, optional
        Called with a label, what is done and how much there is.

    Returns
    -------
    Separation

    Raises
    ------
    StudyError
        If the video is missing, broken, without sound, silent or too short, or an instrument is not known.
    """
    seen = look_and_listen(separator, path, progress)
    players = find_players(separator, seen.features, n_players, instruments)
    estimates = separator.separate_queries(seen.mixture, lambda start: strip_queries(seen.looks_near(start), players))
    energy, owners = sound_maps(separator, seen, players)
    middle_s = len(seen.mixture) / separator.sample_rate_hz / 2
    frame = media.read_frames(path, [middle_s], separator.settings.frame_size_px)[0]
    return Separation(Path(path), players, seen.mixture, estimates, energy, owners, frame, separator.sample_rate_hz)


@torch.inference_mode()
def find_players(
    separator: Separator, features: Tensor, n_players: int, instruments: Sequence[str] = ()
) -> list[Player]:
    """Divide the picture into strips side by side so that each shows one instrument most clearly.

    A separator that names no instruments has it divided evenly: its players are called ``player``, with a confidence
    that is not a number.

    Parameters
    ----------
    separator : Separator
        Its classifier names what a strip shows.
    features : Tensor, shape (P, C, h, w)
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
    width = features.shape[-1]
    if not 1 <= n_players <= width // 2:
        raise StudyError(f"{n_players} players do not fit side by side into this picture; ask for 1 to {width // 2}")
    if not separator.instruments:
        return [Player("player", math.nan, n / n_players, (n + 1) / n_players) for n in range(n_players)]
    best: tuple[float, list[Player]] | None = None
    named = {strip: _name_strip(separator, features, *strip) for strip in itertools.combinations(range(width + 1), 2)}
    for cuts in _cuts(width, n_players):
        scores = torch.stack([named[strip] for strip in itertools.pairwise(cuts)])  # (N, classes), log probabilities
        for chosen in _assignments(separator, scores, instruments):
            total = float(sum(scores[n, c] for n, c in enumerate(chosen)))
            if best is None or total > best[0] + 1e-6:
                players = [
                    Player(separator.instruments[c], float(scores[n, c].exp()), left / width, right / width)
                    for n, (c, (left, right)) in enumerate(zip(chosen, itertools.pairwise(cuts), strict=True))
                ]
                best = total, players
    return best[1]


def strip_queries(looks: Tensor, players: Sequence[Player]) -> Tensor:
    """The query of each player, (N, K): the maximum of pixel queries (P, K, h, w) over the pictures and the strip."""
    width = looks.shape[-1]
    strips = [slice(round(p.left * width), round(p.right * width)) for p in players]
    return torch.stack([looks[..., strip].amax(dim=(0, 2, 3)) for strip in strips])


@torch.inference_mode()
def sound_maps(separator: Separator, seen: Watched, players: Sequence[Player]) -> tuple[np.ndarray, np.ndarray]:
    """Who sounds where: the energy of the sound of each place, and whose sound it is like.

    Parameters
    ----------
    separator : Separator
    seen : Watched
    players : sequence of Player

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
    settings, mixture = separator.settings, seen.mixture
    energies, distances = [], []
    for start in range(0, len(mixture) - settings.clip_samples + 1, settings.clip_samples):
        wave = torch.from_numpy(mixture[start : start + settings.clip_samples])
        spec = spectra.stft(wave.to(seen.looks.device), settings.n_fft, settings.hop)
        looks = seen.looks_near(start)
        places = looks.amax(0).flatten(1).T  # (P, K, h, w) -> (h w, K)
        asked = strip_queries(looks, players)
        masks = separator.masks(spec[None], torch.cat([places, asked])[None], alone=True)[0]
        heard, wanted = masks.split([len(places), len(players)])
        power = spec.abs().square()
        energies.append((heard.square() * power).mean(dim=(-2, -1)))
        apart = torch.stack([((heard - mask).square() * power).sum(dim=(-2, -1)) for mask in wanted])
        distances.append(apart / power.sum().clamp_min(1e-12))
    shape = looks.shape[-2:]
    energy = torch.stack(energies).mean(0).reshape(shape)
    owners = (-20 * torch.stack(distances).mean(0)).softmax(0).reshape(len(players), *shape)
    return energy.cpu().numpy(), owners.cpu().numpy()


def ask_places(separator: Separator, path: str | Path, places: Sequence[tuple[float, float]]) -> np.ndarray:
    """The sound that single places of the picture ask for: pixel queries.

    Parameters
    ----------
    separator : Separator
    path : str or Path
        A video with sound.
    places : sequence of (x, y)
        As shares of the picture's width and height.

    Returns
    -------
    float32 array, shape (places, L)
    """
    seen = look_and_listen(separator, path)

    def queries(start: int) -> Tensor:
        looks = seen.looks_near(start).amax(0)  # (P, K, h, w) -> (K, h, w)
        height, width = looks.shape[-2:]
        return torch.stack(
            [looks[:, min(int(y * height), height - 1), min(int(x * width), width - 1)] for x, y in places]
        )

    return separator.separate_queries(seen.mixture, queries, alone=True)


def score_duets(separator: Separator, duets: pd.DataFrame, progress: Callable | None = None) -> pd.DataFrame:
    """Separate rendered duets and score them against their true tracks and boxes.

    Parameters
    ----------
    separator : Separator
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
        length = min(tracks.shape[-1], len(separation.mixture))
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
    return evaluation.evaluate(listed, true, methods, separator.settings.metric)


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
    """One WAV for each player: ``<number>_<instrument>.wav``."""
    paths = []
    for n, (player, estimate) in enumerate(zip(separation.players, separation.estimates, strict=True), start=1):
        paths.append(Path(out) / f"{n}_{player.instrument}.wav")
        media.write_audio(paths[-1], estimate, separation.sample_rate_hz)
    return paths


def write_videos(separation: Separation, out: str | Path, fps: float = 12.0, height_px: int = 360) -> list[Path]:
    """One MP4 for each player: only their sound, the others dimmed."""
    paths = []
    for n, (player, estimate) in enumerate(zip(separation.players, separation.estimates, strict=True), start=1):
        paths.append(Path(out) / f"{n}_{player.instrument}.mp4")
        frames = _dimmed_frames(separation, player, fps, height_px)
        media.write_video(paths[-1], frames, fps, estimate, separation.sample_rate_hz)
    return paths


def _dimmed_frames(separation: Separation, player: Player, fps: float, height_px: int) -> Iterator[np.ndarray]:
    """Frames of the video with everything dark but one player's strip."""
    times = np.arange(0, len(separation.mixture) / separation.sample_rate_hz, 1 / fps)
    light = None
    for start in range(0, len(times), 32):
        for frame in media.read_frames(separation.path, times[start : start + 32], height_px):
            if light is None:
                columns = np.arange(frame.shape[1]) / frame.shape[1]
                inside = (columns >= player.left) & (columns < player.right)
                light = np.where(inside, 1.0, _DIMMED).astype(np.float32)[None, :, None]
            yield (frame * light).astype(np.uint8)


def _name_strip(separator: Separator, features: Tensor, left: int, right: int) -> Tensor:
    """Log probability of each class for the columns ``left`` to ``right``."""
    return separator.classifier(features[..., left:right].float()).log_softmax(-1)


def _cuts(width: int, n_players: int) -> Iterator[tuple[int, ...]]:
    """Ways to cut a width into strips none of which is too narrow, the most even first."""
    least = max(int(width / n_players * _NARROWEST), 2)
    inner = itertools.combinations(range(1, width), n_players - 1)
    every = [(0, *cuts, width) for cuts in inner]
    wide = [cuts for cuts in every if min(b - a for a, b in itertools.pairwise(cuts)) >= least]
    return iter(sorted(wide, key=lambda cuts: sum((b - a) ** 2 for a, b in itertools.pairwise(cuts))))


def _assignments(separator: Separator, scores: Tensor, instruments: Sequence[str]) -> Iterator[tuple[int, ...]]:
    """Classes that the strips may be given: the named ones in any order, or the likeliest of each."""
    if not instruments:
        return iter([tuple(scores.argmax(-1).tolist())])
    return itertools.permutations([separator.instruments.index(name) for name in instruments])
