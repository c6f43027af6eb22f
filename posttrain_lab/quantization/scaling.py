"""Divide the input features of a layer by factors and multiply its weights by them, so that rounding loses less.

x W^T = (x / s) (W * s)^T for every s > 0 per input feature. AWQ chooses s so that weights with large inputs
lose less; SmoothQuant so that large inputs become smaller and the weights, which are easier to quantize, larger.
"""

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .affine import fake_quantize_weight
from .granularity import PerChannel, PerGroup
from .low_bit import check_layer

AWQ_STEPS = 20
SMALLEST_SHARE = 1e-4  # of the largest input magnitude: features that are always 0 get a scale too


def awq_scale(
    weight: Float[Tensor, "out in"], inputs: Float[Tensor, "tokens in"], bits: int, group: int | None = None
) -> Float[Tensor, " in"]:
    """By which factor should each input feature's weights be multiplied before rounding, so that the output changes least?

    s_j = (mean |x_j|)^a, divided by sqrt(max s * min s); a is the point of {0, 0.05, ..., 1} with the smallest error
    |x W^T - x (Q(W * s) / s)^T|^2. With a = 0 every s_j is 1, so on `inputs` the result is never worse than
    plain rounding.

    weight [out, in]; inputs [tokens, in]; group: weights that share a scale, None for a whole output channel. Returns
    s [in]. The rounded weight is fake_quantize_weight(weight * s, ...) / s. Raises like `optimal_rounding`.
    Source: Lin et al. 2024, "AWQ: Activation-aware Weight Quantization".

    >>> inputs = torch.tensor([[100.0, 1.0], [90.0, -1.0]])
    >>> scale = awq_scale(torch.tensor([[0.12, 1.0]]), inputs, bits=3)
    >>> bool(scale[0] > scale[1])
    True
    """
    check_layer(weight, inputs, "awq_scale")
    weight, rows = weight.detach().float(), inputs.detach().float()
    granularity = PerChannel() if group is None else PerGroup(group)
    size = rows.abs().mean(dim=0)
    size = size.clamp_min(SMALLEST_SHARE * float(size.max())) if float(size.max()) > 0 else torch.ones_like(size)
    best, smallest = torch.ones_like(size), float("inf")
    for exponent in torch.linspace(0, 1, AWQ_STEPS + 1).tolist():
        scale = size**exponent
        scale = scale / (scale.max() * scale.min()).sqrt()
        change = fake_quantize_weight(weight * scale, bits, granularity) / scale - weight
        error = float((rows @ change.T).square().mean())
        if error < smallest:
            best, smallest = scale, error
    return best


def smoothquant(
    weight: Float[Tensor, "out in"], inputs: Float[Tensor, "tokens in"], strength: float = 0.5
) -> tuple[Float[Tensor, "out in"], Float[Tensor, " in"]]:
    """How can input features with outliers be made smaller without changing the layer's output?

    s_j = max|x_j|^strength / max|W_:j|^(1 - strength);  x W^T = (x / s) (W * s)^T

    weight [out, in]; inputs [tokens, in]; strength 0 (weights get equal ranges) to 1 (inputs do). Returns (W * s,
    s): divide the inputs by s, or fold 1 / s into the layer before (`smooth_pair`). Features or columns of zeros have
    s = 1. Raises like `optimal_rounding`, and ValueError for a strength outside 0..1. Source: Xiao et al. 2023,
    "SmoothQuant".

    >>> smoothquant(torch.tensor([[1.0, 1.0]]), torch.tensor([[100.0, 1.0]]))[1]
    tensor([10.,  1.])
    """
    check_layer(weight, inputs, "smoothquant")
    if not 0 <= strength <= 1:
        raise ValueError(f"smoothquant wants a strength from 0 to 1, got {strength}; 0.5 divides the difficulty equally.")
    largest_input, largest_weight = inputs.detach().abs().amax(dim=0), weight.detach().abs().amax(dim=0)
    scale = largest_input**strength / largest_weight ** (1 - strength)
    scale = torch.where((largest_input > 0) & (largest_weight > 0), scale, torch.ones_like(scale))
    return weight.detach() * scale, scale


def smooth_pair(
    first: nn.Linear, second: nn.Linear, inputs: Float[Tensor, "tokens hidden"], strength: float = 0.5
) -> tuple[nn.Linear, nn.Linear]:
    """Where does the division by s go? Into the layer before: two new linear layers whose composition is unchanged.

    first [hidden, in] and second [out, hidden], with nothing or a ReLU between them (positive factors commute with a
    ReLU); inputs [tokens, hidden]: the inputs of `second`. Raises like `smoothquant`. Source: Xiao et al. 2023.

    >>> first, second = smooth_pair(nn.Linear(2, 3), nn.Linear(3, 1), torch.rand(5, 3))
    >>> first.weight.shape, second.weight.shape
    (torch.Size([3, 2]), torch.Size([1, 3]))
    """
    weight, scale = smoothquant(second.weight, inputs, strength)
    if first.out_features != second.in_features:
        raise ValueError(
            f"smooth_pair wants layers that follow each other, got {first.out_features} outputs before "
            f"{second.in_features} inputs; give neighbours."
        )
    first, second = copy.deepcopy(first), copy.deepcopy(second)
    with torch.no_grad():
        first.weight.div_(scale[:, None])
        if first.bias is not None:
            first.bias.div_(scale)
        second.weight.copy_(weight)
    return first, second
