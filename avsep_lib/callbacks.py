"""What happens beside a training: its history, its saved states, and files that are never half written.

Lightning callbacks and plugins; used through ``training`` by notebooks 02 and 03.
"""

import time
from pathlib import Path

import lightning as L
import pandas as pd
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback, Checkpoint

from avsep_lib import files
from avsep_lib.runs import Run
from avsep_lib.settings import Settings, to_dict


class History(Callback):
    """Keeps each epoch's numbers: in the checkpoint, in ``history.csv``, and as one printed line.

    The training loss is the mean over all examples of an epoch, of all processes, also where the epoch was interrupted.
    An epoch of minutes prints where it is every half minute. The seconds of training, without validation, stand
    apart in ``clock.csv``, since they alone differ from run to run.
    """

    EVERY_S = 30

    def __init__(self, run: Run, epochs: int):
        self.run, self.epochs, self.rows = run, epochs, []
        self.total = self.count = 0.0  # of the losses of the running epoch, each times its examples, and of examples
        self.seconds, self.trained = [0.0], 0.0  # of training, up to the end of each epoch and in all

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Learn how to ask the other processes; start the clock of an epoch that is resumed in its middle."""
        self.clock = self.spoke = self.noted = time.perf_counter()
        device = trainer.strategy.root_device  # where the processes can reach it
        self.mean_of_all = lambda value: trainer.strategy.reduce(
            torch.as_tensor(value, dtype=torch.float64, device=device), reduce_op="mean"
        )

    def on_train_epoch_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Start the clock of an epoch, and note the rate that it starts with."""
        self.clock = self.spoke = self.noted = time.perf_counter()
        self.rate = trainer.optimizers[0].param_groups[-1]["lr"]

    def on_train_batch_end(self, trainer: L.Trainer, task: L.LightningModule, outputs, batch, number: int) -> None:
        """Add the loss of a step, and say where a long epoch is."""
        self.total = self.total + outputs["loss"].detach().double() * outputs["count"]  # on its device: nobody waits
        self.count += outputs["count"]
        now = time.perf_counter()
        self.trained, self.noted = self.trained + now - self.noted, now
        if trainer.is_global_zero and time.perf_counter() - self.spoke > self.EVERY_S:
            self.spoke = time.perf_counter()
            share = (number + 1) / trainer.num_training_batches
            print(f"epoch {trainer.current_epoch + 1:3d}: {share:.0%}", flush=True)

    def on_train_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Add a row."""
        numbers = {"loss_train": self.mean_of_all(self.total / self.count), **trainer.callback_metrics}
        numbers = {name: round(float(value), 6) for name, value in numbers.items()}
        self.rows.append({"epoch": trainer.current_epoch + 1, **numbers, "learning_rate": self.rate})
        self.seconds.append(self.trained)
        self.total = self.count = 0.0
        if not trainer.is_global_zero:
            return
        seconds = time.perf_counter() - self.clock
        shown = "  ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        left = (self.epochs - trainer.current_epoch - 1) * seconds / 60
        done = f"epoch {trainer.current_epoch + 1:3d} of {self.epochs}"
        print(f"{done}  {shown}  {seconds:.1f} s, {left:.1f} min to go", flush=True)

    def table(self) -> pd.DataFrame:
        """All epochs so far; written to ``history.csv`` too."""
        table = pd.DataFrame(self.rows)
        with files.atomic(self.run.folder / "history.csv") as path:
            table.to_csv(path, index=False)
        clock = pd.DataFrame({"epoch": table.epoch, "seconds": self.seconds[1:]}).round(2)
        with files.atomic(self.run.folder / "clock.csv") as path:
            clock.to_csv(path, index=False)
        return table

    def state_dict(self) -> dict:
        """Travel with the checkpoint."""
        total = float(self.mean_of_all(self.total))
        clock = {"seconds": self.seconds, "trained": self.trained}
        return {"rows": self.rows, "total": total, "count": self.count, "rate": self.rate, **clock}

    def load_state_dict(self, state: dict) -> None:
        """Come back from the checkpoint."""
        self.rows, self.rate = list(state["rows"]), state["rate"]
        self.total, self.count = state["total"], state["count"]
        if "seconds" in state:  # unless it is older than they are
            self.seconds, self.trained = list(state["seconds"]), state["trained"]
        else:
            self.seconds = [0.0] * (len(self.rows) + 1)


class Last(Checkpoint):
    """Saves the state of the training: after each epoch, once all of it is recorded, and within it every so many steps.

    Lightning calls checkpoint callbacks last and in their order, so this one knows the best weights of its epoch too.

    Parameters
    ----------
    path : Path
    every_steps : int
        Steps between two saved states within an epoch; 0 saves after epochs only.
    """

    def __init__(self, path: Path, every_steps: int = 0):
        self.path, self.every_steps = path, every_steps

    def on_train_batch_end(self, trainer: L.Trainer, task: L.LightningModule, outputs, batch, number: int) -> None:
        """Save, if it is time to and the epoch does not end here."""
        inside = number + 1 < trainer.num_training_batches
        if inside and self.every_steps and trainer.global_step % self.every_steps == 0:
            trainer.save_checkpoint(self.path, weights_only=False)

    def on_train_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Save."""
        trainer.save_checkpoint(self.path, weights_only=False)


class Settled(Callback):
    """Puts the settings into each checkpoint."""

    def __init__(self, settings: Settings):
        self.settings = settings

    def on_save_checkpoint(self, trainer: L.Trainer, task: L.LightningModule, checkpoint: dict) -> None:
        """Add the settings."""
        checkpoint["settings"] = to_dict(self.settings)


class AtomicFiles(TorchCheckpointIO):
    """Checkpoints that are either old or new, never half written."""

    def save_checkpoint(self, checkpoint: dict, path: str | Path, storage_options: object = None) -> None:
        """Write beside the target, then take its place."""
        with files.atomic(path) as temporary:
            super().save_checkpoint(checkpoint, temporary, storage_options)
