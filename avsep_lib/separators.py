"""What every separator can do, whatever it is made of: separate sound of any length, and look at players side by side.

Axes: B batch, N sources, K channels of a query, C classes, F bins, T steps, L samples, P pictures, H W of a picture,
h w of its places. Pictures are uint8 (..., H, W, 3). Used by ``networks`` and ``pretrained``, and through them by
notebooks 03 to 05.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from avsep_lib import spectra, windows
from avsep_lib.settings import Settings, StudyError

WINDOWS = 4
"""Windows of a sound that go through the nets at a time."""


class BaseSeparator(nn.Module):
    """A separator without its nets.

    Each kind has its own :meth:`queries_of`, :meth:`look`, :meth:`name`, :meth:`masks` and :meth:`place_masks`. What
    joins pictures and places is a maximum, as published, where a kind does not say otherwise.

    Attributes
    ----------
    settings : Settings
        Of clips, spectrograms and pictures.
    instruments : list of str
        Names of its classes, in their order; empty if it knows none.
    """

    settings: Settings
    instruments: list[str]

    @property
    def sample_rate_hz(self) -> int:
        """Rate of every waveform that goes in or out."""
        return self.settings.sample_rate_hz

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    def queries_of(self, pictures: Sequence[Tensor]) -> Tensor:
        """What the pictures of N sources that sound together ask for: each uint8 (P, H, W, 3) -> (N, K)."""
        raise NotImplementedError

    def look(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """What is seen at each place of pictures.

        Parameters
        ----------
        pictures : uint8 Tensor, shape (P, H, W, 3)

        Returns
        -------
        looks : Tensor, shape (P, K, h, w)
            Pixel queries.
        named : Tensor, shape (P, K', h', w')
            What :meth:`name` reads; it may be the same.
        """
        raise NotImplementedError

    def name(self, named: Tensor, alone: bool = False) -> Tensor:
        """Log probability of each class in a part of pictures: what :meth:`look` saw there, (P, K', h', w') -> (C,).

        ``alone`` says that nobody plays beside.
        """
        raise NotImplementedError

    def presence(self, named: Tensor) -> Tensor:
        """How clearly each class is seen in a part, from 0 to 1, as for :meth:`name`; a half is clear, none may be."""
        return self.name(named).exp()

    def masks(self, mixture_spec: Tensor, queries: Tensor, alone: bool = False) -> Tensor:
        """Masks on the linear axis, ready to apply.

        Parameters
        ----------
        mixture_spec : complex Tensor, shape (B, F, T)
        queries : Tensor, shape (B, N, K)
            Of all who sound together.
        alone : bool
            Each query answers for itself, though masks of players share each bin.

        Returns
        -------
        Tensor, shape (B, N, F, T)
            Within [0, 1].
        """
        raise NotImplementedError

    def place_masks(self, mixture_spec: Tensor, queries: Tensor) -> tuple[Tensor, str]:
        """Masks of many places of which each answers for itself: spectrogram (F, T), queries (M, K) -> (M, F', T).

        Also says on which axis they are, ``log`` or ``linear``: the one on which they cost least.
        """
        raise NotImplementedError

    def over_pictures(self, looks: Tensor) -> Tensor:
        """What several pictures say together: (P, K, h, w) -> (K, h, w)."""
        return looks.amax(0)

    def query(self, looks: Tensor, instrument: str = "") -> Tensor:
        """The query of a part of the picture: pixel queries (K, h, w) -> (K,).

        ``instrument`` is who was found there. A maximum over places has no use for it.
        """
        return looks.amax((-2, -1))

    def choose(self, scores: Tensor) -> tuple[int, ...]:
        """Classes of N players, of their log probabilities (N, C): the likeliest of each."""
        return tuple(scores.argmax(-1).tolist())

    def estimates(self, waves: Tensor, queries: Tensor, alone: bool = False) -> Tensor:
        """Waveforms that queries ask for: mixtures (B, L) of a clip's length, queries (B, N, K) -> (B, N, L)."""
        masks_of = functools.partial(self.masks, queries=queries, alone=alone)
        return spectra.through_masks(waves, masks_of, self.settings.n_fft, self.settings.hop)

    @torch.inference_mode()
    def separate(self, mixture: np.ndarray, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Waveform of each source that the pictures ask for.

        Parameters
        ----------
        mixture : float array, shape (L,)
            At ``sample_rate_hz``, of any length.
        frames : N uint8 arrays, each of shape (P, H, W, 3)
            Pictures of each source.

        Returns
        -------
        float32 array, shape (N, L)

        Raises
        ------
        StudyError
            If shapes or types are not those above.

        Notes
        -----
        Windows of a clip's length overlap by half and are cross-faded, so length costs time but not quality.
        """
        mixture = checked_mixture(mixture)
        queries = self.queries_of(checked_pictures(frames, self.device))
        return self.separate_queries(mixture, lambda window: queries)

    def separate_queries(self, mixture: np.ndarray, queries_at: Callable, alone: bool = False) -> np.ndarray:
        """As :meth:`separate`, with ``queries_at(start_sample) -> (N, K)`` giving each window's queries."""
        return np.concatenate(list(self.stream([mixture], queries_at, alone)), axis=1)

    @torch.inference_mode()
    def stream(
        self, blocks: Iterable[np.ndarray], queries_at: Callable[[int], Tensor], alone: bool = False
    ) -> Iterator[np.ndarray]:
        """Separate sound of any length as it comes, with a few windows in memory.

        Parameters
        ----------
        blocks : iterable of float arrays, shape (n,)
            The mixture at ``sample_rate_hz`` in blocks of any sizes, read as far as the next estimates need.
        queries_at : callable
            Given the sample at which a window starts, its queries (N, K); called once for each window, in order.
        alone : bool
            Each query answers for itself, as in :meth:`masks`.

        Yields
        ------
        float32 array, shape (N, m)
            Pieces of the estimates in order; together they are as long as the mixture.

        Notes
        -----
        Four windows go through the nets at a time: on two cores that takes two thirds of the time of one by one, and
        eight are hardly quicker. float32 throughout: bfloat16 would save a tenth of a second for each minute of sound.
        """
        settings, device = self.settings, self.device
        length, start = settings.clip_samples, 0
        faded, pending = windows.CrossFade(length, device), windows.cut(blocks, length)
        while batch := list(itertools.islice(pending, WINDOWS)):
            queries = torch.stack([queries_at(start + n * (length // 2)) for n in range(len(batch))])  # (B, N, K)
            waves = torch.from_numpy(np.stack([window for window, _ in batch])).to(device)
            estimates = self.estimates(waves, queries, alone)
            for estimate, (_, own) in zip(estimates, batch, strict=True):
                yield faded.add(estimate, own).cpu().numpy()
            start += len(batch) * (length // 2)


def checked_mixture(mixture: np.ndarray) -> np.ndarray:
    """A mixture as float32 (L,), after a look at its shape and values."""
    mixture = np.asarray(mixture, dtype=np.float32)
    if mixture.ndim != 1 or not len(mixture):
        raise StudyError(f"mixture must have shape (L,), not {mixture.shape}; average the channels first")
    if not np.isfinite(mixture).all():
        raise StudyError("mixture holds NaN or infinity; look for the cause where it was computed")
    return mixture


def checked_pictures(frames: Sequence[np.ndarray], device: torch.device | str = "cpu") -> list[Tensor]:
    """Pictures of N sources, each uint8 (P, H, W, 3), on a device, after a look at their shapes and types."""
    if not len(frames):
        raise StudyError("frames must hold one list of pictures for each source")
    for n, pictures in enumerate(frames):
        pictures = np.asarray(pictures)
        if pictures.ndim != 4 or pictures.shape[-1] != 3 or pictures.dtype != np.uint8 or not len(pictures):
            raise StudyError(f"frames[{n}] must be uint8 (P, H, W, 3), not {pictures.dtype} {pictures.shape}")
    return [torch.from_numpy(np.ascontiguousarray(pictures)).to(device) for pictures in frames]
