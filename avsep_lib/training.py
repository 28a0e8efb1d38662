"""Training: the frame net alone, then frame net and audio net together, as Lightning modules over one ``fit``.

A training is resumed from its last saved state wherever it was killed, and ends with the numbers it would have had.
Several processes that train together give the numbers of one, up to rounding. Used by notebooks 02 and 03.
"""

import logging
import math
import subprocess
import sys
import warnings
from pathlib import Path

import lightning as L
import pandas as pd
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

from avsep_lib import parallel, spectra
from avsep_lib.audio_net import compete, log_magnitude
from avsep_lib.callbacks import AtomicFiles, History, Last, Settled
from avsep_lib.checkpoints import load_checked
from avsep_lib.mixtures import Draws
from avsep_lib.networks import FrameClassifier, Separator
from avsep_lib.runs import Run
from avsep_lib.settings import Settings, StudyError, to_dict
from avsep_lib.store import VideoStore

_RESUME_ANYWAY = {
    "out", "data_root", "shards", "workers", "device", "devices", "nodes", "save_every_steps", "soft_masks", "metric",
    "validation_mixtures", "test_mixtures", "other_mixtures", "nmf_components", "background_threshold", "rivals",
    "real",
}  # fmt: skip
"""Settings that may differ between a training and its resumption."""
_NOT_OF_THE_FRAME_NET = {
    "n_fft", "hop", "frequency_axis", "log_bins", "audio_levels", "audio_base_channels", "audio_time_stride", "mask",
    "loss", "competing",
    "n_sources", "different_instruments", "augment_pictures", "colour_db", "names_first", "epochs",
    "mixtures_per_epoch", "batch_size", "optimizer", "learning_rate", "decay_epochs",
}  # fmt: skip
"""Settings of combined training alone."""
_OF_THE_SEMANTIC_NET = {"semantic_loss"}
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # its hints are no news in a notebook


class FrameTask(L.LightningModule):
    """Train a frame net to name the instrument of single pictures."""

    def __init__(self, classifier: FrameClassifier, settings: Settings):
        super().__init__()
        self.net, self.settings = classifier, settings

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> dict:
        """Cross-entropy of one batch of pictures (or of their features), and their number."""
        return {"loss": self._score(batch)[0], "count": len(batch[1])}

    def validation_step(self, batch: tuple[Tensor, Tensor], number: int) -> None:
        """Cross-entropy and accuracy on pictures of videos that were not trained on."""
        loss, correct = self._score(batch)
        self.log_dict({"loss_validation": loss, "accuracy_validation": correct}, batch_size=len(batch[1]))

    def _score(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        seen, classes = batch
        scores = self.net(self.net.frame_net.features(seen))
        return F.cross_entropy(scores, classes), (scores.argmax(-1) == classes).float().mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW on what is not frozen, the pretrained trunk at its own rate."""
        return torch.optim.AdamW(_groups(self.net, self.settings, self.settings.frame_learning_rate), fused=True)


class SeparationTask(L.LightningModule):
    """Mix and separate: train a separator to give back each source of a mixture.

    Mixing, spectra, warp, target and weights are computed here, on the device and for the whole batch.

    References
    ----------
    Zhao et al., The Sound of Pixels, ECCV 2018, section 3.3.
    """

    def __init__(self, separator: Separator):
        super().__init__()
        self.net, self.settings = separator, separator.settings

    def training_step(self, batch: dict[str, Tensor], number: int) -> dict:
        """Mask loss of one batch of mixtures, and their number."""
        return {"loss": separation_loss(self.net, batch), "count": len(batch["sources"])}

    def validation_step(self, batch: dict[str, Tensor], number: int) -> None:
        """Mask loss on the fixed list of validation mixtures, and the SI-SDR (dB) of what comes out."""
        queries = self.net.frame_net(self.net.frame_net.features(batch["seen"]))
        true = batch["sources"] / batch["sources"].shape[1]  # (B, N, L)
        scores = scale_invariant_signal_distortion_ratio(self.net.estimates(true.sum(1), queries), true)
        numbers = {"loss_validation": separation_loss(self.net, batch), "si_sdr_validation": scores.mean()}
        self.log_dict(numbers, batch_size=len(true))

    def configure_optimizers(self) -> dict:
        """SGD with falling steps, as published, or AdamW with warm-up and cosine."""
        return optimizers(self.net, self.settings)


def optimizers(net: nn.Module, settings: Settings) -> dict:
    """What trains a net on mixtures, as Lightning wants it: optimizer and schedule by the settings."""
    groups = _groups(net, settings, settings.learning_rate)
    if settings.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, momentum=0.9, fused=True)
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, list(settings.decay_epochs), gamma=0.1)
        return {"optimizer": optimizer, "lr_scheduler": schedule}
    optimizer = torch.optim.AdamW(groups, fused=True)
    steps = settings.epochs * (settings.mixtures_per_epoch // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in groups],
        total_steps=steps,
        pct_start=min(max(0.1, 2 / steps), 0.9),  # of one step only, it would divide by zero
        cycle_momentum=False,
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def separation_loss(separator: Separator, batch: dict[str, Tensor]) -> Tensor:
    """Loss of the predicted masks of one batch.

    Parameters
    ----------
    separator : Separator
    batch : dict
        As the loaders of ``mixtures`` give it: ``sources`` (B, N, L), in training ``gains`` (B, N) and ``colour_db``
        (B, N, 7), and ``seen``, features (B, N, P, C, h, w) or pictures (B, N, P, S, S, 3).

    Returns
    -------
    Tensor, shape ()
        :func:`mask_loss`, or with the setting ``loss="magnitude"`` :func:`magnitude_loss`. With ``competing``, the mean
        of that for independent masks, which single places need, and for competing ones, which players asked for
        together need.
    """
    magnitudes, mixture = mix(batch["sources"], separator.settings, batch.get("colour_db"), batch.get("gains"))
    frame_net = separator.frame_net
    logits = separator(log_magnitude(mixture), frame_net(frame_net.features(batch["seen"]))).float()
    measured = [logits, compete(logits)] if separator.settings.competing else [logits]
    if separator.settings.loss == "magnitude":
        return sum(magnitude_loss(one, magnitudes, mixture) for one in measured) / len(measured)
    return sum(mask_loss(one, magnitudes, mixture, separator.settings.mask) for one in measured) / len(measured)


def mix(
    sources: Tensor, settings: Settings, colour_db: Tensor | None = None, gains: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Magnitudes of sources and of their mixture, on the audio net's axis.

    Parameters
    ----------
    sources : Tensor, shape (B, N, L)
    settings : Settings
    colour_db : Tensor, shape (B, N, 7), optional
        An equaliser for each source: its gain in dB at points evenly spaced in octaves, joined by straight lines.
    gains : Tensor, shape (B, N), optional
        Of each source; what they raise above full scale is clipped, as in the released code.

    Returns
    -------
    magnitudes : Tensor, shape (B, N, F, T)
        Of the sources as they stand in the mixture, which is their mean.
    mixture : Tensor, shape (B, F, T)
    """
    if gains is not None:
        sources = (sources.float() * gains.unsqueeze(-1)).clamp(-1, 1)
    spec = coloured(sources, settings, colour_db)
    both = spec, sum(spec.unbind(1))  # the STFT of a sum is the sum of STFTs
    return tuple(spectra.warp(spectra.magnitude(s), settings.frequency_axis, settings.log_bins) for s in both)


def coloured(sources: Tensor, settings: Settings, colour_db: Tensor | None = None) -> Tensor:
    """Spectrograms of sources as they stand in their mixture, each through its equaliser: complex (B, N, F, T).

    Arguments as those of :func:`mix`.
    """
    with torch.autocast(sources.device.type, enabled=False), torch.no_grad():
        spec = spectra.stft(sources.float() / sources.shape[1], settings.n_fft, settings.hop)
        return spec if colour_db is None else spec * _equaliser(colour_db, spec.shape[-2]).unsqueeze(-1)


def _equaliser(colour_db: Tensor, bins: int) -> Tensor:
    """Gain of each linear bin, (B, N, points) -> (B, N, F)."""
    octaves = torch.log2(torch.arange(1, bins + 1, device=colour_db.device))
    place = octaves / octaves[-1] * (colour_db.shape[-1] - 1)
    left = place.long().clamp_max(colour_db.shape[-1] - 2)
    share = place - left
    return 10 ** ((colour_db[..., left] * (1 - share) + colour_db[..., left + 1] * share) / 20)


def mask_loss(logits: Tensor, magnitudes: Tensor, mixture: Tensor, mask: str) -> Tensor:
    """Weighted distance of predicted masks to the ideal ones.

    Parameters
    ----------
    logits, magnitudes : Tensor, shape (B, N, F, T)
    mixture : Tensor, shape (B, F, T)
    mask : str
        ``binary`` or ``ratio``.

    Returns
    -------
    Tensor, shape ()
        Binary cross-entropy (binary masks) or absolute difference (ratio masks), each bin weighted by
        ``clamp(log1p(mixture), 1e-3, 10)``.
    """
    weight = bin_weight(mixture).unsqueeze(1).expand_as(logits)
    if mask == "binary":
        target = spectra.ideal_binary_mask(magnitudes, mixture)
        return F.binary_cross_entropy_with_logits(logits, target, weight)
    return (weight * (logits.sigmoid() - spectra.ideal_ratio_mask(magnitudes)).abs()).mean()


def magnitude_loss(logits: Tensor, magnitudes: Tensor, mixture: Tensor) -> Tensor:
    """Absolute difference of what predicted masks let through to the sources, as a share of the mixtures of a batch.

    Shapes as in :func:`mask_loss`. A bin counts as loud as it is, which is nearer to what is scored than the distance
    of masks. The batch is that of all processes that train together.

    References
    ----------
    Weninger et al., Discriminatively trained recurrent neural networks for single-channel speech separation, GlobalSIP
    2014 (signal approximation).
    """
    let_through = logits.sigmoid() * mixture.unsqueeze(1)
    loudness = parallel.mean_of_all(mixture.mean()).clamp_min(spectra.LOG_FLOOR)
    return (let_through - magnitudes).abs().mean() / loudness


def bin_weight(mixture: Tensor) -> Tensor:
    """What each bin of a mixture (..., F, T) counts in a loss: loud ones more, silent ones next to nothing."""
    return mixture.log1p().clamp(1e-3, 10)


def labelled_pictures(index: pd.DataFrame, store: VideoStore, instruments: list[str], cached: bool) -> TensorDataset:
    """Single pictures of solos with their class, one per second of video or as cached.

    Returns
    -------
    TensorDataset
        Items ``(features float16 (1, C, h, w) or pictures uint8 (1, S, S, 3), class)``.
    """
    seen, classes = [], []
    strangers = set(index.instruments) - set(instruments)
    if strangers:
        raise StudyError(f"{sorted(strangers)[0]!r} has no training video; add one, or remove its other videos")
    for row in index.itertuples():
        pictures = store.all_features(row.video_id) if cached else store.all_pictures(row.video_id)
        seen.append(torch.from_numpy(pictures).unsqueeze(1))  # (P, ...) -> (P, 1, ...): each picture a clip of one
        classes += [instruments.index(row.instruments)] * len(pictures)
    values = torch.cat(seen)
    return TensorDataset(values, torch.tensor(classes))


def fit_frame_net(
    classifier: FrameClassifier, train: TensorDataset, validation: TensorDataset, run: Run
) -> pd.DataFrame:
    """Train the frame net alone; resumes by itself. Returns the history, one row for each epoch."""
    settings = run.settings
    # For one process the distributed sampler is a shuffle by seed and epoch alone, so a resumed run repeats it.
    order = DistributedSampler(train, num_replicas=1, rank=0, shuffle=True, seed=settings.seed)
    batches = DataLoader(train, settings.frame_batch_size, sampler=order)
    task = FrameTask(classifier, settings)
    return fit(
        task, batches, DataLoader(validation, settings.frame_batch_size), run, settings.frame_epochs, "frame_net"
    )


def fit_separator(
    separator: Separator, train: DataLoader, validation: DataLoader, run: Run, together: bool = False
) -> pd.DataFrame:
    """Train frame net and audio net together; resumes by itself. Returns the history, one row for each epoch.

    Where there are several GPUs (or ``devices`` asks for several processes), ``avsep train`` does the work in processes
    of their own, and what they learned is taken over. ``together`` says that this is one of them.
    """
    if not together and math.prod(parallel.processes(run)) > 1:
        _train_elsewhere(run)
    return fit(SeparationTask(separator), train, validation, run, run.settings.epochs, "separator", together)


def fit(
    task: L.LightningModule,
    train: DataLoader,
    validation: DataLoader,
    run: Run,
    epochs: int,
    label: str,
    together: bool = False,
) -> pd.DataFrame:
    """Train to the last epoch, from the last saved state if there is one; keep the weights that validate best.

    Parameters
    ----------
    task : LightningModule
        With the network to train in ``task.net``.
    train, validation : DataLoader
        A training loader over ``mixtures.Draws`` can be resumed within an epoch, and shared out among processes.
    run : Run
    epochs : int
    label : str
        Names the checkpoints: ``<label>_last.ckpt`` and ``<label>_best.ckpt``.
    together : bool
        Train with the other processes of ``parallel.processes``.

    Returns
    -------
    DataFrame
        One row for each epoch; also in the run's ``history.csv``.

    Raises
    ------
    StudyError
        If a checkpoint is there that other settings made.
    """
    last, best = run.checkpoint(f"{label}_last.ckpt"), run.checkpoint(f"{label}_best.ckpt")
    done = _steps_done(last, run.settings, label) if last.is_file() else 0
    history = History(run, epochs)
    keep = ModelCheckpoint(
        dirpath=best.parent, filename=best.stem, monitor="loss_validation", save_last=False,
        save_on_train_epoch_end=True, enable_version_counter=False,
    )  # fmt: skip
    draws = train.batch_sampler if isinstance(train.batch_sampler, Draws) else None
    callbacks = [history, Settled(run.settings), keep, Last(last, run.settings.save_every_steps if draws else 0)]
    trainer = _trainer(run, epochs, callbacks, together)
    if draws:
        draws.begin_at(done)
        draws.share(trainer.global_rank, trainer.world_size)
    task.to(memory_format=torch.channels_last)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="lightning")  # what it warns of is meant
        warnings.filterwarnings("ignore", category=FutureWarning, module="lightning")
        trainer.fit(task, train, validation, ckpt_path=last if last.is_file() else None, weights_only=True)
    task.load_state_dict(load_checked(best, ("state_dict",))["state_dict"])
    return history.table() if trainer.is_global_zero else pd.DataFrame(history.rows)


def _trainer(run: Run, epochs: int, callbacks: list[Callback], together: bool) -> L.Trainer:
    """A trainer that says nothing by itself and writes whole files."""
    options = parallel.trainer_options(run, together)
    return L.Trainer(
        accelerator="gpu" if run.device == "cuda" else "cpu",
        max_epochs=epochs,
        precision="bf16-mixed" if precision(run) == "bfloat16" else "32-true",
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,  # one printed line per epoch reads the same in a terminal, a notebook and a log
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        **options | {"plugins": [AtomicFiles(), *options["plugins"]]},
    )


def _train_elsewhere(run: Run) -> None:
    """Run ``avsep train`` and print what it prints, so that a notebook shows it."""
    command = [sys.executable, "-m", "avsep_lib.cli", "train", str(run.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        try:
            for line in child.stdout:
                print(line, end="", flush=True)
        except BaseException:
            child.terminate()
            raise
    if child.returncode:
        raise StudyError(f"avsep train {run.folder} stopped with exit code {child.returncode}; its last lines say why")


def precision(run: Run) -> str:
    """``auto`` as ``bfloat16`` where the processor or the GPU computes in it, else ``float32``."""
    if run.settings.precision != "auto":
        return run.settings.precision
    if run.device == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if torch.cpu._is_avx512_bf16_supported() else "float32"


def _groups(net: nn.Module, settings: Settings, rate: float) -> list[dict]:
    """Parameters that learn, those of a pretrained trunk at their own rate."""
    trunk, rest = [], []
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            (trunk if ".backbone." in f".{name}" else rest).append(parameter)
    groups = [{"params": trunk, "lr": settings.trunk_learning_rate}] if trunk else []
    return [{**g, "weight_decay": settings.weight_decay} for g in [*groups, {"params": rest, "lr": rate}]]


def _steps_done(path: Path, settings: Settings, label: str) -> int:
    """Steps that a saved training has done; what other settings began is refused."""
    saved = load_checked(path, ("settings",))
    theirs, ours = {**to_dict(Settings()), **saved["settings"]}, to_dict(settings)  # what is newer had its default
    free = _RESUME_ANYWAY | (_NOT_OF_THE_FRAME_NET if label == "frame_net" else set())
    free |= set() if label.startswith("semantic") else _OF_THE_SEMANTIC_NET
    for name in (name for name in ours if name not in free):
        if theirs[name] != ours[name]:
            raise StudyError(
                f"{path}: was made with {name} = {theirs[name]}, these settings say {ours[name]}; "
                "delete the file to train afresh, or give another out folder or seed"
            )
    return saved["global_step"]
