"""Parameter groups for an optimizer: deeper layers have higher learning rates, biases and norms have no weight decay.

Sources: discriminative rates, Howard and Ruder 2018 (ULMFiT); no decay on biases and norms, as in Goyal et al. 2017.
"""

import math
from typing import Any

from torch import nn

from .freeze import NORMS


def parameter_groups(model: nn.Module, base_lr: float, decay: float) -> list[dict[str, Any]]:
    """Which learning rate does each layer get? Groups for a torch optimizer, from the first layer to the last.

    rate of layer i = base_lr * decay^(L - 1 - i),   i = 0 (first) ... L - 1 (last, at base_lr)

    A layer is a module with parameters of its own, in the order of registration; `decay` in (0, 1] is the ratio of each
    layer's rate to that of the next layer. Each group is {"params": [...], "lr": rate}; the group of a layer's biases, and every
    parameter of a norm, also has "weight_decay": 0.0, while the other groups take the optimizer's own. A parameter that
    two layers share is listed once, with the first.
    Raises ValueError for a model without parameters, base_lr that is not positive, decay outside (0, 1].
    Source: Howard and Ruder 2018.

    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2, bias=False))
    >>> [(group["lr"], group.get("weight_decay")) for group in parameter_groups(model, base_lr=0.1, decay=0.5)]
    [(0.05, None), (0.05, 0.0), (0.1, None)]
    """
    if not (math.isfinite(base_lr) and base_lr > 0 and 0 < decay <= 1):
        raise ValueError(f"parameter_groups wants base_lr > 0 and decay in (0, 1], got {base_lr} and {decay}.")
    layers = [module for module in model.modules() if module._parameters and any(True for _ in module.parameters(recurse=False))]
    if not layers:
        raise ValueError("parameter_groups wants a model with parameters, got none; give the network itself.")
    groups: list[dict[str, Any]] = []
    seen: set[int] = set()
    for i, layer in enumerate(layers):
        fresh = [p for p in layer.parameters(recurse=False) if id(p) not in seen]
        seen.update(map(id, fresh))
        spared = [p for p in fresh if p.ndim < 2 or isinstance(layer, NORMS)]
        decayed = [p for p in fresh if p.ndim >= 2 and not isinstance(layer, NORMS)]
        rate = base_lr * decay ** (len(layers) - 1 - i)
        if decayed:
            groups.append({"params": decayed, "lr": rate})
        if spared:
            groups.append({"params": spared, "lr": rate, "weight_decay": 0.0})
    return groups
