"""The semantic mask: one class of instrument for each bin of the mixture, by ear alone; pictures only say who plays.

A class is a place in the list of trained instruments; one more, ``len(instruments)``, is ``background``. Axes as in
``networks``, with C classes. Used by notebook 04.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from avsep_lib import checkpoints, spectra, training
from avsep_lib.audio_net import fresh_audio_net, log_magnitude
from avsep_lib.networks import FrameClassifier
from avsep_lib.settings import Settings


class SemanticNet(nn.Module):
    """Listens, and says of each bin of a mixture which class sounds there.

    Parameters
    ----------
    settings : Settings
    instruments : sequence of str
        Names of the classes: those of the training, in their order.
    """

    def __init__(self, settings: Settings, instruments: Sequence[str]):
        super().__init__()
        self.settings, self.instruments = settings, list(instruments)
        self.audio_net = fresh_audio_net(settings, len(self.instruments))

    def forward(self, log_magnitude: Tensor) -> Tensor:
        """Scores of each class at each bin: log magnitude (B, F, T) -> (B, C, F, T)."""
        return self.audio_net(log_magnitude)

    def probabilities(self, magnitude: Tensor) -> Tensor:
        """How probable each class is at each bin, on the audio net's axis: magnitude (B, F, T) -> (B, C, F, T).

        They sum to one if the net was trained with cross-entropy. Those of ``bce`` stand alone; what raised their
        positives in the loss is taken back here, so that one ``background_threshold`` fits both.
        """
        scores = self(log_magnitude(magnitude)).float()
        if self.settings.semantic_loss == "cross_entropy":
            return scores.softmax(1)
        return (scores - np.log(_positive_weight(scores.shape[1]))).sigmoid()


def class_magnitudes(magnitudes: Tensor, classes: Tensor, n_classes: int) -> Tensor:
    """What sounds of each class in a mixture; two sources of one class add up.

    Parameters
    ----------
    magnitudes : Tensor, shape (B, N, F, T)
    classes : int64 Tensor, shape (B, N)
        Of each source.
    n_classes : int
        C.

    Returns
    -------
    Tensor, shape (B, C, F, T)
    """
    total = magnitudes.new_zeros(len(magnitudes), n_classes, *magnitudes.shape[2:])
    return total.scatter_add_(1, classes[..., None, None].expand_as(magnitudes), magnitudes)


def semantic_loss(scores: Tensor, magnitudes: Tensor, mixture: Tensor, kind: str) -> Tensor:
    """Distance of scores to what each class contributes, each bin weighted as by ``training.bin_weight``.

    Silent bins count for next to nothing, so they do not teach the first class of the list.

    Parameters
    ----------
    scores, magnitudes : Tensor, shape (B, C, F, T)
        ``magnitudes`` as :func:`class_magnitudes` gives them.
    mixture : Tensor, shape (B, F, T)
        Magnitude.
    kind : str
        ``cross_entropy`` against each class's share of the sum of magnitudes, or ``bce``: each class on its own against
        its ideal binary mask, a bin of its own counting as much as all of the C - 1 others'.

    Returns
    -------
    Tensor, shape ()
    """
    weight = training.bin_weight(mixture)
    if kind == "cross_entropy":
        return (weight * F.cross_entropy(scores, spectra.ideal_ratio_mask(magnitudes), reduction="none")).mean()
    target = spectra.ideal_binary_mask(magnitudes, mixture)
    positive = torch.full_like(scores[:1, :1, :1, :1], _positive_weight(scores.shape[1]))
    return F.binary_cross_entropy_with_logits(
        scores, target, weight.unsqueeze(1).expand_as(scores), pos_weight=positive
    )


def _positive_weight(n_classes: int) -> float:
    """Weight of a class's own bins: at most one class of C is the loudest in a bin, so C - 1 are absent."""
    return float(max(n_classes - 1, 1))


class SemanticTask(L.LightningModule):
    """Train a semantic net on mixtures whose sources have ``classes``."""

    def __init__(self, net: SemanticNet):
        super().__init__()
        self.net, self.settings = net, net.settings

    def training_step(self, batch: dict[str, Tensor], number: int) -> dict:
        """Loss of one batch of mixtures, and their number."""
        return {"loss": self._loss(batch), "count": len(batch["sources"])}

    def validation_step(self, batch: dict[str, Tensor], number: int) -> None:
        """Loss on the fixed list of validation mixtures."""
        self.log("loss_validation", self._loss(batch), batch_size=len(batch["sources"]))

    def configure_optimizers(self) -> dict:
        """As for a separator."""
        return training.optimizers(self.net, self.settings)

    def _loss(self, batch: dict[str, Tensor]) -> Tensor:
        magnitudes, mixture = training.mix(batch["sources"], self.settings, batch.get("colour_db"), batch.get("gains"))
        scores = self.net(log_magnitude(mixture)).float()
        theirs = class_magnitudes(magnitudes, batch["classes"], len(self.net.instruments))
        return semantic_loss(scores, theirs, mixture, self.settings.semantic_loss)


def semantic_mask(probabilities: Tensor, background: float) -> Tensor:
    """The class of each bin.

    Parameters
    ----------
    probabilities : Tensor, shape (B, C, F, T)
        On any axis.
    background : float
        Bins where no class is as probable as this belong to none.

    Returns
    -------
    int64 Tensor, shape (B, F, T)
        The most probable class, or C where it is background.

    Examples
    --------
    >>> semantic_mask(torch.tensor([0.2, 0.7]).view(1, 2, 1, 1), 0.5).item()
    1
    >>> semantic_mask(torch.tensor([0.2, 0.4]).view(1, 2, 1, 1), 0.5).item()
    2
    """
    largest, found = probabilities.max(1)
    return found.masked_fill(largest < background, probabilities.shape[1])


def linear_probabilities(net: SemanticNet, mixture_spec: Tensor) -> Tensor:
    """How probable each class is at each bin, on the linear axis: complex (B, F, T) -> (B, C, F, T)."""
    axis, bins = net.settings.frequency_axis, mixture_spec.shape[-2]
    magnitude = spectra.warp(spectra.magnitude(mixture_spec), axis, net.settings.log_bins)
    return spectra.unwarp(net.probabilities(magnitude), axis, bins)


def masks(net: SemanticNet, mixture_spec: Tensor, classes: Tensor, hard: bool = True) -> Tensor:
    """Masks of the classes that are asked for, ready to apply.

    Parameters
    ----------
    net : SemanticNet
    mixture_spec : complex Tensor, shape (B, F, T)
        On the linear axis.
    classes : int64 Tensor, shape (B, N)
        Of each source. Two that ask for one class get the same mask.
    hard : bool
        1 where the semantic mask has the class, else 0: the thesis's way. Otherwise the sources share each bin by the
        probabilities of their classes.

    Returns
    -------
    Tensor, shape (B, N, F, T)
        On the linear axis: probabilities are unwarped before they are cut.
    """
    probabilities = linear_probabilities(net, mixture_spec)
    asked = classes[..., None, None]  # (B, N) -> (B, N, 1, 1)
    if hard:
        found = semantic_mask(probabilities, net.settings.background_threshold)
        return (found.unsqueeze(1) == asked).to(probabilities.dtype)
    return spectra.ideal_ratio_mask(probabilities.gather(1, asked.expand(-1, -1, *probabilities.shape[2:])))


@torch.inference_mode()
def said(classifier: FrameClassifier, seen: Tensor) -> Tensor:
    """The class that the pictures of each source show, as the frame net says.

    Parameters
    ----------
    classifier : FrameClassifier
        With the same classes as the semantic net.
    seen : Tensor, shape (..., P, C, h, w) or uint8 (..., P, H, W, 3)
        Features or pictures of a clip: ``seen`` of the batches of ``mixtures``.

    Returns
    -------
    int64 Tensor, shape (...)
        Most probable in the mean over the clip's pictures, each named by itself, as the frame net has learned it.
    """
    features = classifier.frame_net.features(seen.to(classifier.linear.weight.device))
    scores = classifier(features.unsqueeze(-4))  # (..., P, C, h, w) -> (..., P, 1, C, h, w): clips of one picture
    return scores.softmax(-1).mean(-2).argmax(-1)


@torch.inference_mode()
def separate_listed(net: SemanticNet, loader: DataLoader, classes: Tensor, hard: bool = True) -> list[np.ndarray]:
    """Estimates for each mixture of a fixed list, with the mixture's phase.

    Parameters
    ----------
    net : SemanticNet
        In evaluation mode.
    loader : DataLoader
        Of ``mixtures.listed_loader``.
    classes : int64 Tensor, shape (mixtures, N)
        What each source is asked for by: the true classes, or what :func:`said` of its pictures or of others'.
    hard : bool
        As in :func:`masks`.

    Returns
    -------
    list of float32 arrays, shape (N, L)
    """
    settings, device, estimates = net.settings, _device(net), []
    for batch in loader:
        wave = batch["sources"].sum(1) / batch["sources"].shape[1]
        asked = classes[len(estimates) : len(estimates) + len(wave)].to(device)
        masks_of = functools.partial(masks, net, classes=asked, hard=hard)
        separated = spectra.through_masks(wave.to(device), masks_of, settings.n_fft, settings.hop)
        estimates += list(separated.cpu().numpy())
    return estimates


@torch.inference_mode()
def heard(net: SemanticNet, waves: Tensor) -> Tensor:
    """The class that a solo sounds like, by ear alone.

    Parameters
    ----------
    net : SemanticNet
        In evaluation mode.
    waves : Tensor, shape (B, L)
        Solos of a clip's length.

    Returns
    -------
    int64 Tensor, shape (B,)
        The class to which the semantic mask gives most of the energy; C for background, or for silence.
    """
    settings = net.settings
    spec = spectra.stft(waves.to(_device(net)), settings.n_fft, settings.hop)
    probabilities = linear_probabilities(net, spec)
    found = semantic_mask(probabilities, settings.background_threshold)
    energy = probabilities.new_zeros(len(waves), probabilities.shape[1] + 1)
    energy.scatter_add_(1, found.flatten(1), spectra.magnitude(spec).square().flatten(1))
    energy[:, -1] += energy.sum(1) == 0  # nothing sounds
    return energy.argmax(1)


def save_semantic(net: SemanticNet, path: str | Path) -> None:
    """Write weights, settings and class names to one file, atomically."""
    checkpoints.save_net(net, net.settings, net.instruments, False, path)


def load_semantic(path: str | Path, device: str = "cpu") -> SemanticNet:
    """Read a semantic net that :func:`save_semantic` wrote; no code of the file is executed.

    Returns
    -------
    SemanticNet
        In evaluation mode.

    Raises
    ------
    StudyError
        If the file is missing, broken, of other settings, or of another net.
    """
    content, settings = checkpoints.read_net(path)
    net = SemanticNet(settings, content["instruments"])
    checkpoints.load_state(net, content["state"], path)
    return net.to(device).eval()


def _device(net: SemanticNet) -> torch.device:
    return next(net.parameters()).device
