"""Make docs/torchvision.md: fifteen torchvision networks, each technique's error and seconds, with PyTorch's result beside it.

    python -m tests.peers.torchvision_table [--size 64] [--networks resnet18,vit_b_16]

One thread, one network at a time; half an hour for all. Rows of networks that are not asked for stay as they are.
"""

import argparse
import gc
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from posttrain_lab.quantization import QuantizationConfig, quantize_model
from tests.peers.pt2e import pt2e, rounded_weights
from tests.peers.torchvision_networks import NAMES, images, network

PLACE = Path(__file__).parents[2] / "docs" / "torchvision.md"
CALIBRATION, TESTED = 16, 16
TECHNIQUES = {
    "static": {"mode": "static"},
    "integer": {"mode": "integer"},
    "dynamic": {"mode": "dynamic"},
    "weight-only 8": {"mode": "weight_only"},
    "weight-only 4": {"mode": "weight_only", "bits": 4},
}
HEAD = """# Torchvision's networks, quantized

Made by `python -m tests.peers.torchvision_table`. Random weights, batch-norm statistics from data, images of smooth noise, {size} x {size}
pixels, {n} for calibration, {m} others for the error: |y - y_float| / |y_float| over all outputs. Random weights enlarge errors from
layer to layer, so compare a number with PyTorch's beside it, not with 0.01. Seconds: CPU time of `quantize_model`, one thread.
PyTorch: for static, integer and dynamic PT2E (torchao {torchao}, the settings of its X86InductorQuantizer on every convolution and linear
layer); for weights alone torch's fake quantization per channel. MACs: the share of multiply-accumulates done in integers.

| network | technique | error | PyTorch's error | ratio | seconds | MACs in integers |
|---------|-----------|-------|-----------------|-------|---------|------------------|
"""


def error(got: torch.Tensor, want: torch.Tensor) -> float:
    """|got - want| / |want|."""
    return float((got - want).norm() / want.norm())


def outputs(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The model's outputs, eight images at a time."""
    with torch.no_grad():
        return torch.cat([model(part) for part in x.split(8)])


def peers(model: nn.Module, calibration: torch.Tensor, x: torch.Tensor) -> dict[str, Callable[[], torch.Tensor]]:
    """PyTorch's outputs for each technique."""
    return {
        "static": lambda: pt2e(model, calibration, x, dynamic=False),
        "integer": lambda: pt2e(model, calibration, x, dynamic=False),
        "dynamic": lambda: pt2e(model, calibration, x, dynamic=True),
        "weight-only 8": lambda: rounded_weights(model, x, 8),
        "weight-only 4": lambda: rounded_weights(model, x, 4),
    }


def rows(name: str, size: int) -> list[str]:
    """The table's rows of one network."""
    model, calibration, x = network(name, size), images(CALIBRATION, size, 1), images(TESTED, size, 2)
    want, made, theirs = outputs(model, x), [], {}
    for technique, make in peers(model, calibration, x).items():
        theirs[technique] = theirs["static"] if technique == "integer" else error(make(), want)
    for technique, options in TECHNIQUES.items():
        started = time.process_time()
        try:
            quantized = quantize_model(model, calibration, QuantizationConfig(**options))  # type: ignore[arg-type]
            seconds = time.process_time() - started
            mine = error(outputs(quantized, x), want)
        except (ValueError, NotImplementedError, RuntimeError) as refused:
            made.append(f"| {name} | {technique} | {str(refused).splitlines()[0][:150]} | | | | |")
            continue
        share = f"{100 * quantized.report.share:.1f} %" if hasattr(quantized, "report") else ""
        peer = f"{theirs[technique]:.4f} | {mine / theirs[technique]:.2f}" if technique in theirs else " | "
        made.append(f"| {name} | {technique} | {mine:.4f} | {peer} | {seconds:.1f} | {share} |")
        del quantized
        gc.collect()
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--networks", default=",".join(NAMES))
    parser.add_argument("--out", type=Path, default=PLACE)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    import torchao

    known: dict[str, list[str]] = {}
    for line in given.out.read_text().splitlines() if given.out.exists() else []:
        if line.startswith("| ") and line.split(" ")[1] in NAMES:
            known.setdefault(line.split(" ")[1], []).append(line)
    head = HEAD.format(size=given.size, n=CALIBRATION, m=TESTED, torchao=torchao.__version__)
    for name in given.networks.split(","):
        known[name] = rows(name, given.size)
        print("\n".join(known[name]), flush=True)
        given.out.write_text(head + "\n".join(line for one in NAMES for line in known.get(one, [])) + "\n")


if __name__ == "__main__":
    main()
