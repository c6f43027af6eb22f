"""What does a layer cost at each sparsity: parameters, bytes, arithmetic, or seconds measured here and now?

Left out: sparse convolutions, for which there is no kernel; their seconds are those of the dense layer at any sparsity.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.kernels.layers import SparseLinear
from posttrain_lab.measure import latency
from posttrain_lab.metrics import evaluating

from .arguments import check_sparsity, prunable_layers
from .channels import slice_outputs
from .masks import magnitude_mask
from .sparse import stored_bytes

UNITS = ("parameters", "bytes", "macs", "seconds")
REPEATS = 15


def layer_costs(
    model: nn.Module, example: Tensor, sparsities: Sequence[float], unit: str = "parameters"
) -> dict[str, list[float]]:
    """What does each Linear and Conv2d cost when it is magnitude-pruned to each of these sparsities?

    | unit         | cost of a layer                                                                             |
    |--------------|---------------------------------------------------------------------------------------------|
    | "parameters" | weights that are not 0                                                                      |
    | "bytes"      | the smallest of `stored_bytes`                                                              |
    | "macs"       | multiply-accumulates for one example, without those of weights that are 0                   |
    | "seconds"    | median time on `example` as it is: dense or, for a Linear, on the sparse kernel if faster   |

    example [n, ...]. The model is not changed. Raises ValueError for another unit, and as `magnitude_mask`, naming the layer.

    >>> layer_costs(nn.Sequential(nn.Linear(4, 2)), torch.zeros(3, 4), [0.0, 0.5], "macs")
    {'0': [8.0, 4.0]}
    """
    if unit not in UNITS:
        raise ValueError(f"layer_costs wants unit to be one of {', '.join(UNITS)}, got {unit!r}.")
    layers = prunable_layers("layer_costs", model)
    shares = [check_sparsity("layer_costs", share) for share in sparsities]
    seen = _inputs(model, layers, example)
    return {name: [_cost(layer, *seen[name], share, unit) for share in shares] for name, layer in layers.items() if name in seen}


def _inputs(model: nn.Module, layers: dict[str, Any], example: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """(input, output) of each layer that the example reaches."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def keeper(name: str) -> Any:
        return lambda layer, inputs, output: seen.__setitem__(name, (inputs[0].clone(), output))

    hooks = [layer.register_forward_hook(keeper(name)) for name, layer in layers.items()]
    try:
        with evaluating(model), torch.no_grad():
            model(example)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


@torch.no_grad()
def _cost(layer: Any, x: Tensor, y: Tensor, share: float, unit: str) -> float:
    mask = magnitude_mask(layer.weight, share)
    kept = int(mask.sum())
    if unit == "parameters":
        return float(kept)
    if unit == "bytes":
        return float(min(stored_bytes(layer.weight * mask).values()))
    if unit == "macs":
        return kept * (y[0].numel() / len(layer.weight))  # each weight is used once for each number of its output channel
    dense = latency(lambda: layer(x), REPEATS, 2)[1]
    if not isinstance(layer, nn.Linear) or share < 0.5:
        return dense
    pruned = slice_outputs(layer, torch.arange(layer.out_features))
    pruned.weight.mul_(mask)
    sparse = SparseLinear.from_linear(pruned)
    return min(dense, latency(lambda: sparse(x), REPEATS, 2)[1])
