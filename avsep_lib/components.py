"""Masks that agree with the mixture's own repetitions: a spectrum that comes again is given to the same source again.

Used by ``pretrained``, whose ear judges every bin by what it learned elsewhere; the mixture itself says which bins
belong together.
"""

import torch
from torch import Tensor

_COMPONENTS = 30
_ITERATIONS = 200
_DECIDED = 4.0  # power that makes the larger share of a component larger still
_WEIGHT = 0.6  # of the components' word, beside that of the bins
_FLOOR = 1e-8


def agreed(magnitude: Tensor, masks: Tensor) -> Tensor:
    """Masks of sources that share a mixture, after its components have been given to those who have most of them.

    Parameters
    ----------
    magnitude : Tensor, shape (B, F, T)
        Of the mixture.
    masks : Tensor, shape (B, N, F, T)
        Within [0, 1], at each bin with a sum of one.

    Returns
    -------
    Tensor, shape (B, N, F, T)
        Likewise.

    Notes
    -----
    The magnitude is factorised into spectra and their course in time, by the same random start each time. What of a
    component the masks let through to each source is its share; shares are sharpened, and components so shared out make
    masks of their own. Those and the given ones are joined as a weighted geometric mean. All constants were chosen on
    the held-out soundfont of the sound bank.

    References
    ----------
    Lee and Seung, Algorithms for non-negative matrix factorization, NIPS 2000, theorem 2, for the divergence.
    Virtanen, Monaural sound source separation by NMF, IEEE TASLP 2007: sources as groups of components.
    """
    heard = magnitude.float() + _FLOOR
    spectra, courses = _factors(heard)  # (B, F, K), (B, K, T)
    explained = heard / (spectra @ courses + _FLOOR)
    let_through = (masks.float() * explained[:, None]) @ courses[:, None].mT  # (B, N, F, K)
    shares = _shared((let_through * spectra[:, None]).sum(2), _DECIDED)  # (B, N, K)
    theirs = (spectra[:, None] * shares[:, :, None]) @ courses[:, None]  # (B, N, F, T)
    return _shared(masks ** (1 - _WEIGHT) * _shared(theirs) ** _WEIGHT)


def _factors(heard: Tensor) -> tuple[Tensor, Tensor]:
    """Spectra (B, F, K) and courses (B, K, T) whose product is near a magnitude (B, F, T)."""
    batch, bins, steps = heard.shape
    start = torch.Generator().manual_seed(0)
    spectra = torch.rand(bins, _COMPONENTS, generator=start).to(heard).expand(batch, -1, -1) + 0.1
    courses = torch.rand(_COMPONENTS, steps, generator=start).to(heard).expand(batch, -1, -1) + 0.1
    for _ in range(_ITERATIONS):
        ratio = heard / (spectra @ courses + _FLOOR)
        courses = courses * (spectra.mT @ ratio) / (spectra.sum(1)[:, :, None] + _FLOOR)
        ratio = heard / (spectra @ courses + _FLOOR)
        spectra = spectra * (ratio @ courses.mT) / (courses.sum(2)[:, None] + _FLOOR)
    return spectra, courses


def _shared(amounts: Tensor, power: float = 1.0) -> Tensor:
    """What each source has of all, (B, N, ...), to a power, with a sum of one; even shares where nobody has any."""
    relative = (amounts / amounts.amax(1, keepdim=True).clamp_min(_FLOOR)) ** power
    whole = relative.sum(1, keepdim=True)
    return torch.where(whole > 0, relative / whole.clamp_min(_FLOOR), 1 / amounts.shape[1])
