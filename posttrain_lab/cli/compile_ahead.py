"""Compile the CPU's kernels before a notebook asks for them: `start` begins it while JupyterLab starts and the first cells run.

A kernel's first call on a machine takes seconds, since nothing is shipped compiled. Numba keeps what it compiled on disk, and finds it
there whoever compiled it: so a process of its own does it, which no cell waits for. A notebook that is faster compiles for itself.
"""

import os
from collections.abc import Callable

import torch
from torch import Tensor, nn

from posttrain_lab import kernels

POLITE = 15  # niceness: what the learner does goes first
FEW, MANY = 1, 16  # rows: most kernels have a second one for few of them


def _int8_matmul(rows: int) -> object:
    codes = torch.ones(rows, 64, dtype=torch.int8)
    return kernels.int8_matmul(codes, torch.ones(32, 64, dtype=torch.int8).T)


def _int8_conv2d(rows: int) -> object:
    """Plain sums, and sums that are scaled."""
    image, weight = (
        torch.ones(1, 6, 6, 4, dtype=torch.int8),
        kernels.Int8ConvWeight.from_float(_weight(8, 36).reshape(8, 4, 3, 3)),
    )
    return kernels.int8_conv2d(image, weight, 1, 1) if rows == FEW else kernels.int8_conv2d(image, weight, 1, 1, 0, torch.ones(1))


def _int4_linear(rows: int) -> object:
    x, weight = torch.ones(rows, 64), kernels.Int4Weight.from_float(_weight(32, 64))
    return [kernels.int4_linear(x, weight, activations=activations) for activations in ("int8", "float32")]


def _nm_linear(rows: int) -> object:
    return kernels.nm_linear(
        torch.ones(rows, 64), kernels.NMWeight.from_float(_weight(32, 64) * torch.tensor([1.0, 0, 1, 0]).repeat(16))
    )


def _network(rows: int) -> object:
    """A whole integer network, and its layers one by one."""
    from posttrain_lab.quantization import IntegerNetwork, QuantizationConfig, quantize_model

    torch.manual_seed(0)
    layers, images = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 4)], torch.rand(rows, 1, 6, 6)
    network = quantize_model(nn.Sequential(*layers), images, QuantizationConfig(mode="integer"))
    assert isinstance(network, IntegerNetwork)
    return network(images), network.integer(network.quantize_input(images))


def _weight(outputs: int, inputs: int) -> Tensor:
    return torch.linspace(-1.0, 1.0, outputs * inputs).reshape(outputs, inputs)


EXAMPLES: dict[str, Callable[[int], object]] = {
    "network": _network,
    "int8_matmul": _int8_matmul,
    "int8_linear": lambda rows: kernels.int8_linear(torch.ones(rows, 64), kernels.Int8Weight.from_float(_weight(32, 64))),
    "int8_conv2d": _int8_conv2d,
    "int4_linear": _int4_linear,
    "sparse_linear": lambda rows: kernels.sparse_linear(torch.ones(rows, 64), kernels.SparseWeight.from_float(_weight(32, 64))),
    "block_sparse_linear": lambda rows: kernels.block_sparse_linear(
        torch.ones(rows, 64), kernels.BlockSparseWeight.from_float(_weight(32, 64))
    ),
    "nm_linear": _nm_linear,
}


def main() -> None:
    """Call every kernel once, for few rows and for many, behind everything else that the machine does."""
    if hasattr(os, "nice"):
        os.nice(POLITE)
    torch.set_num_threads(1)
    for example in EXAMPLES.values():
        for rows in (FEW, MANY):
            example(rows)


if __name__ == "__main__":
    main()
