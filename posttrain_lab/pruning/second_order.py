"""Remove weights and adjust the others, so that the layer's output changes as little as possible.

The output error of a layer is tr (W - P) H (W - P)^T with H = X^T X. When weight j of a row is removed, the best change of the later
weights k is -w_j / U[j, j] * U[j, k], with U^T U = H^-1 (Optimal Brain Surgeon, one column at a time for all rows: SparseGPT). The same
step as in `quantization.optimal_rounding`, with 0 in place of the grid.

Source: Hassibi and Stork 1993; Frantar and Alistarh 2023, "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot".
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .arguments import check_nm, check_sparsity, check_weight
from .masks import keep_largest, nm_from_scores
from .scores import inverse_gram

BLOCK = 32  # columns for which the mask is chosen at once; corrections reach the columns of later blocks first


def sparsegpt(
    weight: Float[Tensor, "out in"], inputs: Float[Tensor, "tokens in"], sparsity: float = 0.5, nm: tuple[int, int] | None = None
) -> Float[Tensor, "out in"]:
    """Which weights should be removed, and how must the others change, so that the layer's output changes least?

    Blocks of columns, from left to right: the weights with the lowest w^2 / U[j, j]^2 are removed; the later columns compensate the
    error of each. Exactly round(sparsity * n) zeros; with nm = (n, m), n of each m inputs stay instead.

    weight [out, in]; inputs [tokens, in]: the layer's inputs, for calibration images. Returns the new weight, float32.
    Raises TypeError unless both are float tensors; ValueError for shapes that do not fit, NaN, a sparsity outside [0, 1], a bad n:m.
    Source: Frantar and Alistarh 2023.

    >>> inputs = torch.tensor([[1.0, 1.0], [1.0, 1.0]])  # the two inputs are always equal: one weight can replace both
    >>> sparsegpt(torch.tensor([[1.0, 2.0]]), inputs, 0.5).round(decimals=1)
    tensor([[0., 3.]])
    """
    weight, inputs = check_weight("sparsegpt", weight, ndim=2), check_weight("sparsegpt", inputs, "inputs", ndim=2)
    if weight.shape[1] != inputs.shape[1]:
        raise ValueError(f"sparsegpt wants inputs [tokens, {weight.shape[1]}], got {list(inputs.shape)}; give what flows in.")
    rows = inputs.double()
    return prune_rows(weight, rows.T @ rows, check_sparsity("sparsegpt", sparsity), nm)


def prune_rows(
    weight: Float[Tensor, "out in"],
    gram: Float[Tensor, "in in"],
    sparsity: float,
    nm: tuple[int, int] | None = None,
    layer: str = "",
) -> Float[Tensor, "out in"]:
    """`sparsegpt` from gram = X^T X.

    >>> prune_rows(torch.tensor([[1.0, 2.0]]), torch.eye(2).double(), 0.5)  # independent inputs: no compensation is possible
    tensor([[0., 2.]])
    """
    if nm is not None:
        check_nm("sparsegpt", *nm, weight.shape[1], layer)
    factor = torch.linalg.cholesky(inverse_gram(gram), upper=True)
    left, width, done = weight.double().clone(), weight.shape[1], 0
    size = BLOCK if nm is None else max(nm[1], BLOCK // nm[1] * nm[1])
    for start in range(0, width, size):
        columns = slice(start, min(start + size, width))
        scores = left[:, columns].square() / factor.diagonal()[columns].square()
        goal = round(sparsity * len(weight) * columns.stop)
        mask = nm_from_scores("sparsegpt", scores, *nm, layer) if nm else keep_largest(scores, goal - done)
        done = goal
        _pass_on(left, factor, columns, mask)
    return left.to(weight.dtype)


def _pass_on(left: Tensor, factor: Tensor, columns: slice, mask: Bool[Tensor, "out block"]) -> None:
    """Set removed weights to 0, column by column; later columns compensate the error."""
    for place, j in enumerate(range(columns.start, columns.stop)):
        error = torch.where(mask[:, place], 0.0, left[:, j]) / factor[j, j]
        left[:, j + 1 :] -= error[:, None] * factor[j, j + 1 :]
        left[:, j] = torch.where(mask[:, place], left[:, j], 0.0)


def prune_layer(layer: Any, gram: Tensor, sparsity: float, nm: tuple[int, int] | None, name: str) -> Tensor:
    """The new weight of a Linear or Conv2d, each group of a convolution with its own gram [groups, k, k]."""
    parts = layer.weight.detach().flatten(1).chunk(len(gram))
    rows = [prune_rows(part, one, sparsity, nm, name) for part, one in zip(parts, gram, strict=True)]
    return torch.cat(rows).reshape(layer.weight.shape)
