"""Optimal rounding, known as GPTQ: round the weights of a layer one column at a time; later columns compensate the error.

The output error of a linear layer is |x (W - Q)^T|^2 = tr (W - Q) H (W - Q)^T with H = X^T X. After column j is
rounded, the best change of the later columns follows from the inverse of H; its Cholesky factor contains all these
inverses at once. Left out: the blocked update (an optimisation for large layers) and the order by activation size.

Source: Frantar, Ashkboos, Hoefler, Alistarh 2022, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers"; Hassibi and Stork 1993 for the update.
"""

import torch
from jaxtyping import Float, Int8
from torch import Tensor

from .affine import channel_qparams, code_range, quantize

DAMPING = 0.01  # of the mean diagonal of H: keeps it invertible when there are few tokens or inputs depend on each other


def check_layer(weight: Tensor, inputs: Tensor, caller: str) -> None:
    """Raise unless weight [out, in] and inputs [tokens, in] are finite floats with equal `in`."""
    for name, value in (("weight", weight), ("inputs", inputs)):
        if not isinstance(value, Tensor) or not value.is_floating_point():
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"{caller} wants a float tensor as {name}, got {kind}; convert with .float().")
        if value.ndim != 2 or value.numel() == 0:
            shape = "[out, in]" if name == "weight" else "[tokens, in]"
            raise ValueError(f"{caller} wants {name} {shape}, not empty, got {list(value.shape)}; use flatten(1).")
        if not torch.isfinite(value).all():
            raise ValueError(f"{caller} wants finite {name}, got NaN or infinity; find their source first.")
    if weight.shape[1] != inputs.shape[1]:
        raise ValueError(
            f"{caller} wants inputs with the weight's {weight.shape[1]} features, got {inputs.shape[1]}; "
            "give what flows into this layer, [tokens, in]."
        )


def optimal_rounding(
    weight: Float[Tensor, "out in"], inputs: Float[Tensor, "tokens in"], bits: int, group: int | None = None
) -> Float[Tensor, "out in"]:
    """Which weights on the grid change the layer's output least?

    For each column j, with U the upper Cholesky factor of (X^T X + 0.01 mean(diag) I)^-1 = U^T U:
        q_j = nearest point of the grid to w_j
        w_k <- w_k - (w_j - q_j) / U[j, j] * U[j, k]    for all k > j

    weight [out, in]; inputs [tokens, in]: the layer's inputs, from calibration data; bits 2..8. The grid is
    that of channel_qparams(weight, bits, group): one symmetric scale per output channel, or per group of `group`
    columns. Returns the dequantized weights [out, in] float32. A column whose inputs are all zero is rounded to
    nearest and changes no other.

    Raises TypeError for dtypes that are not float; ValueError for shapes that do not fit, NaN, infinity, bits outside
    2..8. Source: Frantar et al. 2022.

    >>> weight = torch.tensor([[0.4, 0.4, 1.0]])
    >>> inputs = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])  # the first two columns are always added
    >>> optimal_rounding(weight, inputs, bits=2)                   # 0.4 + 0.4 is nearer to 1 than to 0
    tensor([[0., 1., 1.]])
    """
    code_range(bits, caller="optimal_rounding")
    check_layer(weight, inputs, "optimal_rounding")
    scale = channel_qparams(weight, bits, group)
    columns = scale[:, None].expand_as(weight) if group is None else scale.repeat_interleave(group, dim=1)
    rows = inputs.detach().double()
    return optimal_codes(weight, rows.T @ rows, columns, bits).float() * columns.float()


def optimal_codes(
    weight: Float[Tensor, "out in"], gram: Float[Tensor, "in in"], scale: Float[Tensor, "out in"], bits: int
) -> Int8[Tensor, "out in"]:
    """The codes of `optimal_rounding`, from gram = X^T X and the scale of every weight (a grid with zero point 0).

    >>> gram = torch.eye(2).double()  # independent inputs: no compensation is possible, so this is rounding to nearest
    >>> optimal_codes(torch.tensor([[0.4, -1.0]]), gram, torch.ones(1, 2), bits=2)
    tensor([[ 0, -1]], dtype=torch.int8)
    """
    _, top = code_range(bits, symmetric=True, caller="optimal_codes")
    factor = _inverse_factor(gram)
    left = weight.detach().double().clone()
    scale = scale.float()
    codes = torch.empty(weight.shape, dtype=torch.int8, device=weight.device)
    for j in range(weight.shape[1]):
        codes[:, j] = quantize(left[:, j].float(), scale[:, j], 0, bits).clamp_(-top, top)
        error = (left[:, j] - codes[:, j] * scale[:, j].double()) / factor[j, j]
        left[:, j + 1 :] -= error[:, None] * factor[j, j + 1 :]
    return codes


def _inverse_factor(gram: Tensor) -> Tensor:
    """U, upper triangular, with U^T U = (gram + damping)^-1; inputs that are always zero get a diagonal of 1."""
    gram = gram.detach().double().clone()
    diagonal = gram.diagonal()
    damping = DAMPING * diagonal.mean()
    diagonal.add_(torch.where(diagonal == 0, 1.0, damping))
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    return torch.linalg.cholesky(inverse, upper=True)
