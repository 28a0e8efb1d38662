"""Training the ear on the sound bank: mixtures of one to four instruments, recorded anyhow, and some wrong questions.

A training mixture is a function of the seed and its number alone, so a training that was interrupted goes on as if it
had not been. Used by ``avsep train-ear`` and ``benchmarks``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

from avsep_lib import bank, parallel, pretrained, recording, spectra, training
from avsep_lib.ear import Ear
from avsep_lib.mixtures import COLOUR_POINTS, Draws
from avsep_lib.runs import Run
from avsep_lib.settings import INSTRUMENTS, Settings

_NOTES = 0.4  # of the sources play real notes, where the bank has them
_CEILING = 1e-2  # of a source's energy: an error below that, 20 dB, earns next to nothing
_SNR_WEIGHT = 0.03  # of a decibel, beside the magnitude loss


@dataclass(frozen=True)
class Augmentation:
    """How mixtures differ from plain pairs whose classes are known.

    Attributes
    ----------
    recorded : float
        Strength of ``recording.recorded``: rooms, phones, hum, clipping.
    speed : float
        Largest logarithm of a source's speed; 0.2 is three and a half semitones.
    gain_db : float
        Standard deviation.
    coloured : bool
        A random equaliser for each source, of ``colour_db``.
    sources : sequence of float
        How often one, two, three and four play together.
    opened : float
        Share of the batches in which others play too, or somebody who is asked for does not.
    wrong : float
        Share of the other mixtures in which one source is asked for by a wrong name.
    rare : float
        How often an instrument of MUSIC-21 plays for each time that one of MUSIC does.
    """

    recorded: float = 1.0
    speed: float = 0.2
    gain_db: float = 4.0
    coloured: bool = True
    sources: tuple[float, float, float, float] = (0.06, 0.58, 0.24, 0.12)
    opened: float = 0.2
    wrong: float = 0.12
    rare: float = 0.3


PLAIN = Augmentation(0.0, 0.0, 2.0, False, (0.0, 1.0, 0.0, 0.0), 0.0, 0.0, 1.0)
"""As validation mixes: pairs of two different instruments, as they are."""


class BankMixtures(Dataset):
    """Mixtures of the bank's performances, by number.

    An item is a dictionary: ``sources`` float32 (N, L); ``queries`` float32 (M, C), who is asked for; ``owners``
    float32 (M + 1, N), which source each answer should hold, the last for what nobody asked for; ``colour_db`` (N, 7)
    the points of a random equaliser; and ``closed``, whether those asked for are all who play.

    Parameters
    ----------
    table : DataFrame
        Rows of a bank of one split.
    folder : str or Path
        The bank.
    settings : Settings
        Its ``instruments`` give the classes their order.
    augmentation : Augmentation
    """

    def __init__(
        self, table: pd.DataFrame, folder: str | Path, settings: Settings, augmentation: Augmentation = Augmentation()
    ):
        self.settings, self.augmentation, folder = settings, augmentation, Path(folder)
        self.files = {
            name: {tone: [folder / file for file in part.file] for tone, part in rows.groupby("tone")}
            for name, rows in table[table.instrument.isin(settings.instruments)].groupby("instrument")
        }
        self.names = [name for name in settings.instruments if name in self.files]
        weights = np.array([1.0 if name in INSTRUMENTS else augmentation.rare for name in self.names])
        self.weights = weights / weights.sum()

    def __len__(self) -> int:
        return self.settings.validation_mixtures

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """Mixture ``number``; those of one batch have the same number of sources and kind of question."""
        settings = self.settings
        n_sources, closed = self._batch_kind(number // settings.batch_size)
        rng = np.random.default_rng([settings.seed, int(self.augmentation != PLAIN), number])
        playing = rng.choice(len(self.names), n_sources, replace=False, p=self.weights)
        sounds = np.stack([self._source(self.names[one], rng) for one in playing])
        classes = [settings.instruments.index(self.names[one]) for one in playing]
        asked, owners = self._question(classes, closed, rng)
        colour_db = rng.normal(0, settings.colour_db * self.augmentation.coloured, (n_sources, COLOUR_POINTS))
        return {
            "sources": torch.from_numpy(sounds),
            "queries": F.one_hot(torch.tensor(asked), len(settings.instruments)).float(),
            "owners": torch.from_numpy(owners),
            "colour_db": torch.from_numpy(colour_db.astype(np.float32)),
            "closed": torch.tensor(closed),
        }

    def _batch_kind(self, batch: int) -> tuple[int, bool]:
        """How many play in a batch of training, and whether all of them are asked for."""
        rng = np.random.default_rng([self.settings.seed, 2, batch])
        n_sources = int(rng.choice([1, 2, 3, 4], p=self.augmentation.sources))
        return n_sources, bool(n_sources > 1 and rng.random() > self.augmentation.opened)

    def _source(self, name: str, rng: np.random.Generator) -> np.ndarray:
        """A clip of one player, float32 (L,)."""
        settings, changed, tones = self.settings, self.augmentation, self.files[name]
        others = [tone for tone in tones if tone != "notes"]
        tone = (
            "notes" if "notes" in tones and (not others or rng.random() < _NOTES) else others[rng.integers(len(others))]
        )
        stored = np.load(tones[tone][rng.integers(len(tones[tone]))], mmap_mode="r")
        speed = float(np.exp(rng.uniform(-changed.speed, changed.speed))) if changed.speed else 1.0
        last = max(len(stored) - settings.clip_samples * speed - 2, 0)
        sound = recording.read_at_speed(stored, rng.uniform(0, last), settings.clip_samples, speed)
        sound = recording.recorded(sound, settings.sample_rate_hz, changed.recorded, rng)
        gain_db = np.clip(rng.normal(0, changed.gain_db), -12, 12)
        return sound * np.float32(10 ** (gain_db / 20))

    def _question(self, classes: list[int], closed: bool, rng: np.random.Generator) -> tuple[list[int], np.ndarray]:
        """Classes to ask for (M), and the source that each answer should hold (M + 1, N)."""
        strangers = [one for one in range(len(self.settings.instruments)) if one not in classes]
        owners = np.eye(len(classes) + 1, len(classes), dtype=np.float32)
        if closed:
            asked = list(classes)
            if self.augmentation.wrong and strangers and rng.random() < self.augmentation.wrong:
                asked[rng.integers(len(asked))] = strangers[rng.integers(len(strangers))]
            return asked, owners
        # As many questions as sources, each of them for somebody who plays or for a stranger.
        asked = list(classes)
        for place in range(len(asked)):
            if strangers and rng.random() < 0.4:
                asked[place] = strangers.pop(rng.integers(len(strangers)))
                owners[-1] += owners[place]
                owners[place] = 0
        return asked, owners


class EarTask(L.LightningModule):
    """Train an ear to give each class that is asked for what is its own."""

    def __init__(self, ear: Ear):
        super().__init__()
        self.net, self.settings = ear, ear.settings

    def training_step(self, batch: dict[str, Tensor], number: int) -> dict:
        """Loss of one batch of mixtures, and their number."""
        return {"loss": self._loss(batch), "count": len(batch["sources"])}

    def validation_step(self, batch: dict[str, Tensor], number: int) -> None:
        """Loss on fixed mixtures of held-out fonts and phrases, and the SI-SDR (dB) of what comes out."""
        settings = self.settings
        true = batch["sources"] / batch["sources"].shape[1]  # (B, N, L)
        heard = spectra.through_masks(
            true.sum(1), lambda spec: self.net.masks(spec, batch["queries"]), settings.n_fft, settings.hop
        )
        scores = scale_invariant_signal_distortion_ratio(heard, true)
        numbers = {"loss_validation": self._loss(batch), "si_sdr_validation": scores.mean()}
        self.log_dict(numbers, batch_size=len(true))

    def configure_optimizers(self) -> dict:
        """As for a separator."""
        return training.optimizers(self.net, self.settings)

    def _loss(self, batch: dict[str, Tensor]) -> Tensor:
        specs = training.coloured(batch["sources"], self.settings, batch["colour_db"])  # (B, N, F, T)
        closed = bool(batch["closed"][0])
        mixture = specs.sum(1)
        axis, bins = self.settings.frequency_axis, self.settings.log_bins
        asked = 1 - (1 - batch["queries"]).prod(1)  # (B, M, C) -> (B, C)
        scores = self.net(spectra.warp(mixture.abs(), axis, bins), asked, closed).float()
        own = batch["queries"].argmax(-1)  # (B, M)
        chosen = scores.gather(1, own[..., None, None].expand(-1, -1, *scores.shape[2:]))
        if not closed:
            chosen = torch.cat([chosen, scores[:, -1:]], dim=1)
        masks = spectra.unwarp(chosen.softmax(1), axis, mixture.shape[-2])
        wanted = torch.einsum("bmn,bnft->bmft", batch["owners"].to(specs.dtype), specs)[:, : masks.shape[1]]
        return ear_loss(masks, mixture, wanted)


def ear_loss(masks: Tensor, mixture: Tensor, wanted: Tensor) -> Tensor:
    """What masks miss: absolute difference of magnitudes, and signal-to-noise ratio of complex spectra.

    Parameters
    ----------
    masks : Tensor, shape (B, M, F, T)
    mixture : complex Tensor, shape (B, F, T)
    wanted : complex Tensor, shape (B, M, F, T)

    Returns
    -------
    Tensor, shape ()

    References
    ----------
    Magnitudes as in ``training.magnitude_loss``. The ratio is cut off at 20 dB as in Wisdom et al., Unsupervised sound
    separation using mixture invariant training, NeurIPS 2020, equation 2; sources that should be silent have none.
    """
    let_through = masks * mixture.abs().unsqueeze(1)
    loudness = parallel.mean_of_all(mixture.abs().mean()).clamp_min(spectra.LOG_FLOOR)
    absolute = (let_through - wanted.abs()).abs().mean() / loudness
    energy = wanted.abs().square().sum((-2, -1))
    error = (masks * mixture.unsqueeze(1) - wanted).abs().square().sum((-2, -1))
    sounding = energy > 1e-6 * energy.amax()
    ratio_db = 10 * torch.log10((energy + 1e-8) / (error + _CEILING * energy + 1e-8))
    return absolute - _SNR_WEIGHT * (ratio_db * sounding).sum() / sounding.sum().clamp_min(1)


def train(
    run: Run,
    folder: str | Path,
    augmentation: Augmentation = Augmentation(),
    tones: Sequence[str] = (),
    label: str = "ear",
) -> Ear:
    """Train an ear on a bank; goes on where it was interrupted, and keeps the weights that validate best.

    Parameters
    ----------
    run : Run
        With settings of the preset ``ear``.
    folder : str or Path
        A bank that ``bank.build`` made.
    augmentation : Augmentation
        Of the training; validation is plain.
    tones : sequence of str
        Train on these only, such as ``FluidR3``, ``notes`` or ``synthesis``; by default on all.
    label : str
        Of its checkpoints.

    Returns
    -------
    Ear
        In evaluation mode.
    """
    settings = run.settings
    table = bank.read(folder)
    ear = Ear(settings, settings.instruments)
    draws = Draws(settings.mixtures_per_epoch, settings.batch_size)
    options = {"num_workers": settings.workers, "persistent_workers": settings.workers > 0}
    heard = table[(table.split == "train") & (table.tone.isin(tones) if tones else True)]
    batches = DataLoader(BankMixtures(heard, folder, settings, augmentation), batch_sampler=draws, **options)
    held_out = BankMixtures(table[table.split == "validation"], folder, settings, PLAIN)
    training.fit(EarTask(ear), batches, DataLoader(held_out, settings.batch_size), run, settings.epochs, label)
    return ear.eval()


def train_to_file(run: Run, folder: str | Path) -> Path:
    """:func:`train`, and the weights as one file that ``pretrained.load`` reads, which is given back."""
    path = run.checkpoint(pretrained.WEIGHTS.name)
    pretrained.save(train(run, folder), path)
    run.finish(weights=path)
    return path
