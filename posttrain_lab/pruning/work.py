"""How much work is left without some units? MACs from the shapes of one run, so that no smaller network must be built for each question."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from posttrain_lab.metrics import COUNTED, macs

Gone = Mapping[tuple[str, str], set[int]]  # positions that are removed, by layer and side


class MacCount:
    """MACs of a network without some positions of its layers: `count(gone)`.

    A layer takes p * outputs * inputs * kernel MACs, where p, how often an output is computed, does not change when units go. It does
    in a network whose layers run along the axis of the units: compare with `macs` of one smaller network.

    >>> import torch
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> MacCount(model, torch.zeros(1, 4))({("0", "out"): {0, 1}, ("2", "in"): {0, 1}})
    36
    """

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        self.model, self.runs = model, dict[nn.Module, int]()
        hooks = [layer.register_forward_hook(self._note) for layer in model.modules() if isinstance(layer, COUNTED)]
        try:
            whole = macs(model, example)
        finally:
            for hook in hooks:
                hook.remove()
        self.others = whole - sum(self._macs(layer, 0, 0) for layer in self.runs)

    def _note(self, layer: Any, inputs: object, output: Tensor) -> None:
        self.runs[layer] = self.runs.get(layer, 0) + output.numel() // len(layer.weight)

    def _macs(self, layer: Any, outputs: int, inputs: int) -> int:
        """Of one layer that has lost so many outputs, and inputs of each group."""
        out, each = layer.weight.shape[:2]
        return self.runs[layer] * (out - outputs) * (each - inputs) * layer.weight[0, 0].numel()

    def __call__(self, gone: Gone) -> int:
        lost: dict[nn.Module, dict[str, int]] = {layer: {} for layer in self.runs}
        for (name, side), positions in gone.items():
            lost.setdefault(self.model.get_submodule(name), {})[side] = len(positions)
        return self.others + sum(self._macs(layer, lost[layer].get("out", 0), lost[layer].get("in", 0)) for layer in self.runs)
