"""Sound of any length in windows that overlap by half, and what became of them cross-faded into one sound again.

Both work block by block: no more than a few windows are held. Axes: N sources, L samples of a window. Used by
``separators`` and ``full_band``.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor


def cut(blocks: Iterable[np.ndarray], length: int) -> Iterator[tuple[np.ndarray, int]]:
    """Windows of a sound that comes in blocks.

    Parameters
    ----------
    blocks : iterable of float arrays, shape (n,) or (n, channels)
        Of any sizes; read only as far as the next window needs.
    length : int
        Samples L of a window.

    Yields
    ------
    window : float32 array, shape (L,) or (L, channels)
        From every multiple of ``L // 2`` on, until one reaches the end; the last one is filled up with silence.
    own : int
        Samples at its beginning that no later window holds: ``L // 2``, and what is left in the last one.
    """
    half, parts, count = length // 2, [], 0
    for block in blocks:
        parts.append(np.asarray(block, np.float32))
        count += len(block)
        if count <= length:  # joining every small block would copy a window each time
            continue
        held = np.concatenate(parts)
        while len(held) > length:
            yield held[:length], half
            held = held[half:]
        parts, count = [held], len(held)
    held = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    yield np.pad(held, ((0, length - len(held)), *[(0, 0)] * (held.ndim - 1))), len(held)


class CrossFade:
    """Adds up windows that overlap, each faded in and out.

    Parameters
    ----------
    length : int
        Samples L of a window.
    device : torch.device
    """

    def __init__(self, length: int, device: torch.device | str = "cpu"):
        # In double precision it is never 0 (in single it is), so that the ends keep a weight.
        fade = torch.hann_window(length + 2, periodic=False, dtype=torch.float64)[1:-1]
        self.fade = fade.float().to(device)
        self.weight = torch.zeros(length, device=device)
        self.sum: Tensor | float = 0.0

    def add(self, window: Tensor, own: int) -> Tensor:
        """Add a window (N, L); returns its first ``own`` samples (N, own), which are finished and are let go."""
        total, self.weight = self.sum + window * self.fade, self.weight + self.fade
        finished = total[:, :own] / self.weight[:own]
        self.sum = torch.nn.functional.pad(total[:, own:], (0, own))
        self.weight = torch.nn.functional.pad(self.weight[own:], (0, own))
        return finished
