"""The right answer to `optimal_rounding`: GPTQ in float64, with the parts that its known mistakes change."""

import torch
from torch import Tensor


def top(bits: int) -> int:
    return 2 ** (bits - 1) - 1


def row_scales(weight: Tensor, bits: int) -> Tensor:
    """[out, 1], float64."""
    largest = weight.double().abs().amax(1, keepdim=True)
    return torch.where(largest == 0, 1.0, largest / top(bits))


def nearest(weight: Tensor, scale: Tensor, bits: int) -> Tensor:
    return (weight / scale).round().clamp(-top(bits), top(bits)) * scale


def inverse(inputs: Tensor, damping: float) -> Tensor:
    """The inverse of the damped H; damping 0 gives the result of an answer without damping."""
    hessian = inputs.double().T @ inputs.double()
    hessian += damping * hessian.diagonal().mean().clamp(min=1e-12) * torch.eye(len(hessian))
    return torch.cholesky_inverse(torch.linalg.cholesky(hessian))


def steps_of(inputs: Tensor, damping: float = 0.01) -> Tensor:
    """For each column, the share of its error that each later column compensates: rows of the Cholesky factor over their diagonal."""
    factor = torch.linalg.cholesky(inverse(inputs, damping), upper=True)
    return factor / factor.diagonal()[:, None]


def rounded_by(weight: Tensor, bits: int, steps: Tensor, scale: Tensor | None = None) -> Tensor:
    """Column by column: round to nearest, then change the later columns by the error times `steps`."""
    scale = row_scales(weight, bits) if scale is None else scale
    left, result = weight.double().clone(), torch.empty(weight.shape, dtype=torch.float64)
    for j in range(weight.shape[1]):
        result[:, j : j + 1] = nearest(left[:, j : j + 1], scale, bits)
        left[:, j + 1 :] -= (left[:, j : j + 1] - result[:, j : j + 1]) * steps[j, j + 1 :]
    return result.float()


def right_rounding(weight: Tensor, inputs: Tensor, bits: int) -> Tensor:
    return rounded_by(weight, bits, steps_of(inputs))


def to_nearest(weight: Tensor, inputs: Tensor, bits: int) -> Tensor:
    return nearest(weight.double(), row_scales(weight, bits), bits).float()
