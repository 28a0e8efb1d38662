"""Training throughput against batch size, precision and compilation, and how much of the device's rate is reached.

Made for a GPU (``--device cuda``), and runs on a CPU. The floating-point operations of a step are counted by torch
(``FlopCounterMode``: products and convolutions only); the rate that they are held against is what this device reaches
in a large bfloat16 product. ``--compile`` adds rows with ``torch.compile``, which needs a C++ compiler on a CPU, and
with its CUDA graphs (``reduce-overhead``).
"""

import argparse
import itertools
import time

import measure
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode
from training_step import batch_of, paper, separator_of

from avsep_lib import training

ABOUT = "Mixtures trained in a second on one device, by batch size, precision and compilation; paper configuration."


def main() -> None:
    """Measure and report."""
    options = measure.arguments("throughput", ABOUT, compile="also with torch.compile")
    sizes = (2,) if options.quick else ((2, 8) if options.device == "cpu" else (20, 80, 160, 320))
    backbones = ("resnet18", "efficientnet_lite0")
    modes = ["no"] + (["default", "reduce-overhead"] if options.compile else [])
    best = product_rate(options.device, 256 if options.quick else (2048 if options.device == "cpu" else 8192))
    rows = {}
    for backbone, precision, mode, size in itertools.product(backbones, ("float32", "bfloat16"), modes, sizes):
        name = f"{backbone}, {precision}" + ("" if mode == "no" else f", compiled ({mode})") + f", batch {size}"
        rows[name] = row(options, backbone, precision, mode, size, best)
        print(f"{name}: {rows[name]['mixtures a second']:.3g} mixtures a second", flush=True)
    table = pd.DataFrame(rows).T
    table["times faster"] = table["mixtures a second"] / table["mixtures a second"].iloc[0]
    measure.report(options, table, product_rate_tflops=round(best, 3))


def row(options: argparse.Namespace, backbone: str, precision: str, mode: str, size: int, best: float) -> dict:
    """Rate, memory and share of the device's rate of one kind of step."""
    device, on_gpu = torch.device(options.device), options.device == "cuda"
    settings = paper(options.quick, backbone, batch_size=size)
    separator = separator_of(settings).to(device, memory_format=torch.channels_last)
    batch = {
        name: values.to(device) for name, values in batch_of(settings, separator.frame_net.backbone.frozen).items()
    }
    optimizer = training.SeparationTask(separator).configure_optimizers()["optimizer"]
    loss_of = training.separation_loss if mode == "no" else torch.compile(training.separation_loss, mode=mode)

    def step() -> None:
        with torch.autocast(options.device, torch.bfloat16, enabled=precision == "bfloat16"):
            loss = loss_of(separator, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step()  # whatever is made on first use
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    count, began = 0, _now(on_gpu)
    while count < 2 or (_now(on_gpu) - began < (0 if options.quick else 5) and count < 500):
        step()
        count += 1
    rate = count * size / (_now(on_gpu) - began)
    with FlopCounterMode(display=False) as counted:
        loss_of = training.separation_loss
        step()
    tflops = counted.get_total_flops() / size * rate / 1e12
    found = {"mixtures a second": rate, "TFLOP/s": tflops, "share of rate": tflops / best}
    return found | ({"peak MiB": torch.cuda.max_memory_allocated() / 2**20} if on_gpu else {})


def product_rate(device: str, size: int) -> float:
    """TFLOP/s of a product of two square bfloat16 matrices."""
    one, other = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    rates = []
    for _ in range(6):
        began = _now(device == "cuda")
        one @ other
        rates.append(2 * size**3 / (_now(device == "cuda") - began) / 1e12)
    return max(rates)


def _now(on_gpu: bool) -> float:
    """Seconds, once the device has done what it was told."""
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
