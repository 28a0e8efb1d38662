"""Training with several processes: how many there are, which one this is, and batch statistics over all of them.

The number of processes changes no result beyond rounding: the setting ``batch_size`` is that of all of them together,
and batch norms see the whole batch. Used through ``training`` by notebook 03 and ``avsep train``.
"""

import os

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments import LightningEnvironment, SLURMEnvironment, TorchElasticEnvironment
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.plugins.layer_sync import LayerSync, TorchSyncBatchNorm
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from avsep_lib.runs import Run
from avsep_lib.settings import StudyError


def processes(run: Run) -> tuple[int, int]:
    """Processes that train together on each host, and hosts.

    As torchrun or SLURM started them; else the settings ``devices`` and ``nodes``, where 0 devices are all GPUs of this
    host, or one process on a CPU.

    Raises
    ------
    StudyError
        If there are fewer GPUs, or ``batch_size`` cannot be shared out evenly.
    """
    settings = run.settings
    found = torch.cuda.device_count() if run.device == "cuda" else 1
    if TorchElasticEnvironment.detect():
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    elif _slurm_tasks() > 1:
        nodes = int(os.environ["SLURM_NNODES"])
        devices = _slurm_tasks() // nodes
    else:
        devices, nodes = settings.devices or found, settings.nodes
    if run.device == "cuda" and devices > found:
        raise StudyError(f"devices {devices} is more than the {found} GPUs of this host; set it to {found} or fewer")
    if settings.batch_size % (devices * nodes):
        raise StudyError(
            f"batch_size {settings.batch_size} cannot be shared out evenly among {devices * nodes} processes; "
            f"set batch_size to a multiple of {devices * nodes}, or devices and nodes to fewer"
        )
    return devices, nodes


def trainer_options(run: Run, together: bool) -> dict[str, object]:
    """Options of a Lightning trainer for this process alone, or ``together`` with the others of :func:`processes`."""
    devices, nodes = processes(run) if together else (1, 1)
    if devices * nodes == 1:
        return {"devices": 1, "plugins": [LightningEnvironment()]}  # torchrun's or SLURM's variables may be there
    plugins = [TorchSyncBatchNorm() if run.device == "cuda" else SyncOnCpu()]
    if not TorchElasticEnvironment.detect() and _slurm_tasks() == 1:
        plugins.append(LightningEnvironment())
    return {"devices": devices, "num_nodes": nodes, "strategy": "ddp", "plugins": plugins}


def is_first() -> bool:
    """Whether this is the only process, or the first of those that have trained together."""
    return rank_zero_only.rank == 0


def mean_of_all(value: Tensor) -> Tensor:
    """Mean over the processes that train together of something that needs no gradient; alone, the value itself."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def _slurm_tasks() -> int:
    """Processes that SLURM has started for this job, this one included."""
    return int(os.environ["SLURM_NTASKS"]) if SLURMEnvironment.detect() else 1


class SyncOnCpu(LayerSync):
    """Statistics of the whole batch for the batch norms of a CPU, which torch's own refuse."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Turn each batch norm into one that asks the other processes."""
        return self._turn(model, nn.BatchNorm2d, _SyncedNorm)

    def revert(self, model: nn.Module) -> nn.Module:
        """Turn them back."""
        return self._turn(model, _SyncedNorm, nn.BatchNorm2d)

    @staticmethod
    def _turn(model: nn.Module, kind: type, other: type) -> nn.Module:
        for module in model.modules():
            if type(module) is kind:
                module.__class__ = other
        return model


class _SyncedNorm(nn.BatchNorm2d):
    """A batch norm whose mean and variance in training are those of the batch of all processes."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            values = x.float()
            moments = torch.stack([values.mean((0, 2, 3)), values.square().mean((0, 2, 3))])
            mean, square = all_reduce(moments) / dist.get_world_size()
            variance = square - mean.square()
            self._remember(mean.detach(), variance.detach(), x.numel() // x.shape[1] * dist.get_world_size())
            scale = self.weight * (variance + self.eps).rsqrt()
            # (C,) -> (C, 1, 1)
            return (values * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Running statistics, the variance without bias, as torch keeps them."""
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)
