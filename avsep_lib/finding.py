"""Players found: the picture is divided into a part for each of them, so that each shows one instrument most clearly.

Used by ``duets``, and through it by notebook 05 and ``avsep separate``.
"""

import difflib
import functools
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from avsep_lib.separators import BaseSeparator
from avsep_lib.settings import StudyError
from avsep_lib.watching import Player, within

_NARROWEST = 0.25  # of a player's strip, as a share of an even division of the picture
_UNUSUAL = math.log(2.0)  # how much clearer players have to be seen who are not side by side
_MOST = 4  # players that are looked for where their number is not known
_SEEN = 0.5  # presence of each of several players, at least
_SOMEBODY = 1 / 3  # and of a single one
_APART = 0.6  # how far apart the centres of two players are, at least, as a share of an even part of the picture
_UNSURE = 0.28  # confidence of a name below which it is more often wrong than right

Tile = tuple[int, int, int, int]  # rows from y0 to y1 and columns from x0 to x1 of a grid of places


def check_instruments(separator: BaseSeparator, instruments: Sequence[str], n_players: int | None = None) -> None:
    """Refuse names and a number of players that cannot be looked for, before anything is looked at.

    Raises
    ------
    StudyError
        For an instrument that the separator does not know, for a number of players that is not that of the names, and
        for less than one player.
    """
    for name in instruments:
        if not separator.instruments:
            raise StudyError(f"instrument {name!r} cannot be looked for: this checkpoint names no instruments")
        if name not in separator.instruments:
            near = [known for known in separator.instruments if name in known.split("_") or known.startswith(name)]
            near += difflib.get_close_matches(name, separator.instruments, n=1)
            hint = f"did you mean {near[0]}?" if near else f"this checkpoint knows {', '.join(separator.instruments)}"
            raise StudyError(f"instrument {name!r} is not known; {hint}")
    if n_players is None:
        return
    if n_players < 1:
        raise StudyError(f"{n_players} players cannot be looked for; ask for 1 or more")
    if instruments and n_players != len(instruments):
        raise StudyError(
            f"{n_players} players, but {len(instruments)} instruments ({', '.join(instruments)}); give one of the two"
        )


@torch.inference_mode()
def find_players(
    separator: BaseSeparator, named: Tensor, n_players: int | None = 2, instruments: Sequence[str] = ()
) -> list[Player]:
    """Divide the picture so that each part shows one instrument most clearly.

    Parts are strips side by side; strips one above the other, or a grid of two by two for four players, only where
    they are clearer by far. A separator that names no instruments has the picture divided into even strips: its
    players are called ``player``, with a confidence that is not a number.

    Parameters
    ----------
    separator : BaseSeparator
        It names what a part shows.
    named : Tensor, shape (P', K', h', w')
        See :class:`Watched`.
    n_players : int or None
        None to find out: as many as are clearly there, up to four, each with an instrument of their own and away from
        the others. A separator that names no instruments takes two.
    instruments : sequence of str
        Names that must appear, one for each player; empty to find out.

    Returns
    -------
    list of Player
        From left to right, and rows of a grid from top to bottom.

    Raises
    ------
    StudyError
        As for :func:`check_instruments`; for more players than the picture has room for; and, where their number is to
        be found out, if nobody is seen who plays anything.

    Notes
    -----
    What counts as clearly there was chosen on real clips, for the separator of the project: it finds one player in 39
    of 43 solos, two in 13 of 25 duets (in some of which only one is to be seen), and refuses 18 of 22 pictures of
    nobody. That of a study finds the number in all rendered solos and duets.
    """
    check_instruments(separator, instruments)
    n_players = len(instruments) or n_players
    if not separator.instruments:
        return _even(named, n_players or 2)
    if n_players is not None:
        return _divided(separator, named, n_players, instruments)
    if _clearest(separator, named) < _SOMEBODY:
        raise StudyError(
            f"nobody is seen who plays {', '.join(separator.instruments[:-1])} or {separator.instruments[-1]}; "
            "name who plays with --instruments"
        )
    for number in range(min(_MOST, max(named.shape[-2:]) // 2), 1, -1):
        players = _divided(separator, named, number)
        if _are_there(separator, named, players):
            return players
    return _divided(separator, named, 1)


def unsure(player: Player) -> bool:
    """Whether the name of a player is worth a warning.

    On 25 real duets, 34 of the 35 surer names were right, and 6 of the 15 others. A player without a name is never
    unsure.
    """
    return player.confidence < _UNSURE


def _even(named: Tensor, n_players: int) -> list[Player]:
    """Players of whom nothing is known, side by side."""
    _check_room(*named.shape[-2:], n_players)
    parts = [(n / n_players, 0.0, (n + 1) / n_players, 1.0) for n in range(n_players)]
    return [Player("player", math.nan, part, part) for part in parts]


def _divided(separator: BaseSeparator, named: Tensor, n_players: int, instruments: Sequence[str] = ()) -> list[Player]:
    """The division of the picture whose parts are named most surely, together."""
    _check_room(*named.shape[-2:], n_players)

    @functools.cache
    def names(tile: Tile) -> Tensor:
        return separator.name(_cut(named, tile), alone=n_players == 1)

    best: tuple[float, tuple[Tile, ...], tuple[int, ...]] | None = None
    for tiles, handicap in _layouts(*named.shape[-2:], n_players):
        scores = torch.stack([names(tile) for tile in tiles])  # (N, classes), log probabilities
        for chosen in _assignments(separator, scores, instruments):
            total = float(sum(scores[n, c] for n, c in enumerate(chosen))) - handicap
            if best is None or total > best[0] + 1e-6:
                best = total, tiles, chosen
    _, tiles, chosen = best
    return [_player(separator, named, tile, kind, names(tile)) for tile, kind in zip(tiles, chosen, strict=True)]


def _player(separator: BaseSeparator, named: Tensor, tile: Tile, kind: int, names: Tensor) -> Player:
    """Who has a part of the picture and plays an instrument of a given number; ``names`` is what the part is named."""
    seen = _cut(named, tile)
    there = _at_places(separator, seen, kind)
    rows, columns = ndimage.find_objects(_around_clearest(there))[0]
    y0, _, x0, _ = tile
    box = (y0 + rows.start, y0 + rows.stop, x0 + columns.start, x0 + columns.stop)
    height, width = named.shape[-2:]
    part, seen_at = (_shares(one, height, width) for one in (tile, box))
    confidence, presence = float(names[kind].exp()), float(separator.presence(seen)[kind])
    return Player(separator.instruments[kind], confidence, part, seen_at, presence)


def _at_places(separator: BaseSeparator, named: Tensor, kind: int) -> np.ndarray:
    """How sure each place of a part is to show an instrument, (h', w')."""
    places = [separator.name(place)[kind] for place in named.flatten(-2)[..., None, None].unbind(-3)]
    return torch.stack(places).exp().reshape(named.shape[-2:]).cpu().numpy()


def _around_clearest(there: np.ndarray) -> np.ndarray:
    """The clearest place of a map and those joined to it that are half as clear, as ones in zeros."""
    groups, _ = ndimage.label(there >= there.max() / 2)
    return (groups == groups.flat[there.argmax()]).astype(int)


def _clearest(separator: BaseSeparator, named: Tensor) -> float:
    """Presence of whoever is clearest in any strip of the picture: one player need not fill it."""
    width = named.shape[-1]
    strips = [cut for cut in itertools.combinations(range(width + 1), 2) if cut[1] - cut[0] >= width * _NARROWEST]
    return max(float(separator.presence(named[..., slice(*strip)]).max()) for strip in strips)


def _are_there(separator: BaseSeparator, named: Tensor, players: Sequence[Player]) -> bool:
    """Whether several players are clearly there, each with another instrument, seen best in their part, and apart.

    More than two must also be named surely: they are rarer, and a place for a third is easily found.
    """
    kinds = [separator.instruments.index(player.instrument) for player in players]
    if min(player.presence for player in players) < _SEEN or len(set(kinds)) < len(kinds):
        return False
    if len(players) > 2 and any(map(unsure, players)):
        return False
    for player in players:
        # A long flute reaches into the part that was taken for a clarinet's: it is one player.
        if separator.presence(within(named, player.part))[kinds].max() > player.presence + 1e-6:
            return False
    centres = [_centre(separator, named, player, kind) for kind, player in zip(kinds, players, strict=True)]
    apart = min(math.dist(one, other) for one, other in itertools.combinations(centres, 2))
    return apart >= _APART / len(players)


def _centre(separator: BaseSeparator, named: Tensor, player: Player, kind: int) -> tuple[float, float]:
    """Where the instrument of a player is in the middle: x, y as shares of the picture."""
    there = _at_places(separator, within(named, player.part), kind)
    (height, width), (x0, y0, _, _) = named.shape[-2:], player.part
    y, x = ndimage.center_of_mass(there)
    return x0 + (x + 0.5) / width, y0 + (y + 0.5) / height


def _cut(named: Tensor, tile: Tile) -> Tensor:
    """The places of a tile."""
    y0, y1, x0, x1 = tile
    return named[..., y0:y1, x0:x1]


def _shares(tile: Tile, height: int, width: int) -> tuple[float, float, float, float]:
    """A tile as in :class:`Player`."""
    y0, y1, x0, x1 = tile
    return x0 / width, y0 / height, x1 / width, y1 / height


def _check_room(height: int, width: int, n_players: int) -> None:
    """Refuse more players than there is room for."""
    most = max(height, width) // 2
    if not 1 <= n_players <= most:
        raise StudyError(f"{n_players} players do not fit into this picture; ask for 1 to {most}")


def _layouts(height: int, width: int, n_players: int) -> Iterator[tuple[tuple[Tile, ...], float]]:
    """Ways to divide a picture, and how much clearer each has to be than the first ones; the most even come first."""
    for cuts in _cuts(width, n_players) if n_players <= width // 2 else ():
        yield tuple((0, height, x0, x1) for x0, x1 in itertools.pairwise(cuts)), 0.0
    if 1 < n_players <= height // 2:
        for cuts in _cuts(height, n_players):
            yield tuple((y0, y1, 0, width) for y0, y1 in itertools.pairwise(cuts)), _UNUSUAL
    if n_players == 4 and height >= 4:
        for rows, columns in itertools.product(_cuts(height, 2), _cuts(width, 2)):
            pairs = itertools.product(itertools.pairwise(rows), itertools.pairwise(columns))
            yield tuple((*row, *column) for row, column in pairs), _UNUSUAL


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
