"""On which grid does a weight lie? It tells whether the compressed copy is the one that is used."""

from jaxtyping import Float
from torch import Tensor

RELATIVE = 1e-6


def grid_report(weight: Float[Tensor, "*shape"], axis: int = 0) -> tuple[float, int, float]:
    """Is this weight pruned or quantized, and does it fill its range? (share of zeros, most values in a slice, share at the top).

    The slices are those along `axis` (0: one for each output). Zeros are exact ones; values: the most different numbers that a slice has
    (at most 2^b - 1 with b symmetric bits); at the top: the share of all weights whose magnitude is the largest of their
    slice, to 1 part in 1,000,000, zeros not counted. Clipped weights crowd there; one in each slice is usual.
    weight: two or more axes. Raises TypeError unless it is a float tensor; ValueError for fewer axes, none of that number, no weights, NaN.

    >>> import torch
    >>> grid_report(torch.tensor([[0.0, 0.5, -1.0, 1.0], [0.1, 0.2, 0.3, 0.4]]))
    (0.125, 4, 0.375)
    """
    if not isinstance(weight, Tensor) or not weight.is_floating_point():
        got = weight.dtype if isinstance(weight, Tensor) else type(weight).__name__
        raise TypeError(f"grid_report wants a floating-point Tensor, got {got}; give layer.weight.")
    if weight.ndim < 2 or weight.numel() == 0 or weight.isnan().any():
        raise ValueError(f"grid_report wants a weight of two or more axes, without NaN, got shape {list(weight.shape)}.")
    if not -weight.ndim <= axis < weight.ndim:
        raise ValueError(f"grid_report wants an axis from 0 to {weight.ndim - 1}, got {axis}.")
    slices = weight.detach().movedim(axis, 0).flatten(1)
    sizes = slices.abs()
    top = (sizes >= sizes.amax(1, keepdim=True) * (1 - RELATIVE)) & (sizes > 0)
    most = max(len(row.unique()) for row in slices)
    return (slices == 0).double().mean().item(), most, top.double().mean().item()
