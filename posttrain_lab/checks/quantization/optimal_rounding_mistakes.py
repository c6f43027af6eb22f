"""Known mistakes of `optimal_rounding`: other factors, other errors, other grids."""

from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Mistake
from posttrain_lab.checks.quantization.optimal_rounding_oracle import (
    inverse,
    nearest,
    right_rounding,
    rounded_by,
    row_scales,
    steps_of,
    to_nearest,
    top,
)


def _changed(change: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor, int], Tensor]:
    """The right answer with other steps."""
    return lambda weight, inputs, bits: rounded_by(weight, bits, change(steps_of(inputs)))


def _through_hessian(weight: Tensor, inputs: Tensor, bits: int) -> Tensor:
    hessian = torch.linalg.inv(inverse(inputs, 0.01))
    return rounded_by(weight, bits, hessian / hessian.diagonal()[:, None])


def _cholesky_of_hessian(weight: Tensor, inputs: Tensor, bits: int) -> Tensor:
    factor = torch.linalg.cholesky(torch.linalg.inv(inverse(inputs, 0.01)), upper=True)
    return rounded_by(weight, bits, factor / factor.diagonal()[:, None])


def _first_errors(weight: Tensor, inputs: Tensor, bits: int) -> Tensor:
    """The error of a column is taken from the given weights, not from those that were changed to compensate."""
    scale, steps, left = row_scales(weight, bits), steps_of(inputs), weight.double().clone()
    for j in range(weight.shape[1]):
        left[:, j : j + 1] = nearest(left[:, j : j + 1], scale, bits)
        left[:, j + 1 :] -= (weight.double()[:, j : j + 1] - left[:, j : j + 1]) * steps[j, j + 1 :]
    return left.float()


def _fixed_damping(weight: Tensor, inputs: Tensor, bits: int) -> Tensor:
    """In float32, as the notebook computes: there this damping is too small for large inputs."""
    hessian = inputs.T @ inputs + 0.01 * torch.eye(inputs.shape[1])
    factor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True)
    return rounded_by(weight, bits, factor / factor.diagonal()[:, None])


def _one_inverse(weight: Tensor, inputs: Tensor, bits: int) -> Tensor:
    whole = inverse(inputs, 0.01)
    return rounded_by(weight, bits, whole / whole.diagonal()[:, None])


def _not_divided(weight: Tensor, inputs: Tensor, bits: int) -> Tensor:
    return rounded_by(weight, bits, torch.linalg.cholesky(inverse(inputs, 0.01), upper=True))


def _one_grid(weight: Tensor, inputs: Tensor, bits: int) -> Tensor:
    scale = (weight.double().abs().max() / top(bits)).expand(len(weight), 1)
    return rounded_by(weight, bits, steps_of(inputs), scale)


def _moving_grid(weight: Tensor, inputs: Tensor, bits: int) -> Tensor:
    steps, left = steps_of(inputs), weight.double().clone()
    for j in range(weight.shape[1]):
        before = left[:, j : j + 1].clone()
        left[:, j : j + 1] = nearest(before, row_scales(left, bits), bits)
        left[:, j + 1 :] -= (before - left[:, j : j + 1]) * steps[j, j + 1 :]
    return left.float()


def _not_rounded(weight: Tensor, inputs: Tensor, bits: int) -> Tensor:
    steps, left = steps_of(inputs), weight.double().clone()
    for j in range(weight.shape[1]):
        error = left[:, j : j + 1] - nearest(left[:, j : j + 1], row_scales(weight, bits), bits)
        left[:, j + 1 :] -= error * steps[j, j + 1 :]
    return left.float()


ROUNDING_MISTAKES = (
    Mistake(
        "rounding to nearest",
        "That is rounding to nearest; change the later columns of `rest` by the error times row j of U, "
        "and round columns of `rest`.",
        to_nearest,
    ),
    Mistake(
        "wrong sign",
        "You change the later columns with the wrong sign, so the error grows; subtract the error times the factor.",
        _changed(lambda steps: -steps),
    ),
    Mistake(
        "through H",
        "You use rows of H for the update; use the Cholesky factor of the inverse of H.",
        _through_hessian,
    ),
    Mistake(
        "Cholesky factor of H",
        "Your U is the Cholesky factor of H itself; take that of the inverse of H (torch.cholesky_inverse).",
        _cholesky_of_hessian,
    ),
    Mistake(
        "error of the given weight",
        "You compare the rounded column with `weight`; the error is that of `rest`, which holds the changes so far.",
        _first_errors,
    ),
    Mistake(
        "one inverse for all columns",
        "You use rows of the inverse of H itself, which changes as columns are rounded; use rows of its upper Cholesky factor U.",
        _one_inverse,
    ),
    Mistake(
        "not divided by the diagonal",
        "You forgot to divide the error by U[j, j], so the update of the later columns is too small or too large.",
        _not_divided,
    ),
    Mistake(
        "next column only",
        "You change the next column only; change all later columns, as each can compensate a part of the error.",
        _changed(lambda steps: torch.diag(steps.diagonal(1), 1)),
    ),
    Mistake(
        "no damping",
        "Your H is singular with fewer tokens than features or a feature that is always 0; first add damping in proportion to its diagonal.",
        lambda weight, inputs, bits: rounded_by(weight, bits, steps_of(inputs, damping=0.0)),
    ),
    Mistake(
        "fixed damping",
        "Your damping is one number for all inputs; take a part of the mean of H's diagonal, which grows with the inputs.",
        _fixed_damping,
    ),
    Mistake(
        "one grid for all rows",
        "You round all rows to one grid; every output channel has a scale of its own (channel_qparams).",
        _one_grid,
    ),
    Mistake(
        "grid from changed weights",
        "You compute the scales again from changed weights; compute them once at the start, from the given weights.",
        _moving_grid,
    ),
    Mistake(
        "not rounded",
        "You return the changed weights before rounding; return the rounded columns.",
        _not_rounded,
    ),
    Mistake(
        "codes returned",
        "You return codes; return the dequantized weights, codes times the scale of their row.",
        lambda weight, inputs, bits: (right_rounding(weight, inputs, bits).double() / row_scales(weight, bits)).round().float(),
    ),
    Mistake(
        "bits ignored",
        "You always round to 8 bits; `bits` says how many codes there are.",
        lambda weight, inputs, bits: right_rounding(weight, inputs, 8),
    ),
)
