"""Recover the accuracy of a compressed network by training, and keep its zeros and its grids exactly.

Masks: a pruned weight is 0 after every step. Grids: a quantized weight may change only to other points of its own grid, by the
straight-through estimator (Bengio et al. 2013). Source: retraining after pruning, Han et al. 2015. Left out: regrowing weights.
"""

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from torch.nn.utils import parametrize

from posttrain_lab.data import Split
from posttrain_lab.module_walks import check_copyable, check_own_weights
from posttrain_lab.quantization.affine import code_range, quantize_weight
from posttrain_lab.quantization.granularity import PerChannel
from posttrain_lab.quantization.qat import FakeQuantize
from posttrain_lab.training import Hooks, TrainingConfig, TrainingState, train

from .freeze import check_names
from .stopping import EarlyStopping

Masks = dict[str, Tensor]
RECOVERY = TrainingConfig(learning_rate=2e-3, weight_decay=0.0)


def check_masks(model: nn.Module, masks: Masks, caller: str) -> None:
    """Raise unless each mask is boolean, named like a parameter, and of its shape."""
    parameters = dict(model.named_parameters())
    check_names(masks, parameters, caller)
    for name, mask in masks.items():
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
            got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
            raise TypeError(f"{caller} wants boolean masks, true where a weight stays, got {got} for '{name}'.")
        if mask.shape != parameters[name].shape:
            raise ValueError(
                f"{caller} wants masks in the shapes of the weights, got {list(mask.shape)} for '{name}' "
                f"{list(parameters[name].shape)}."
            )


@torch.no_grad()
def _zero(model: nn.Module, masks: Masks) -> None:
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        parameters[name].masked_fill_(~mask, 0.0)


def recover(
    model: nn.Module,
    masks: dict[str, Bool[Tensor, "..."]],
    split: Split,
    epochs: int,
    config: TrainingConfig | None = None,
    keep_best: bool = False,
) -> nn.Module:
    """How much accuracy does a pruned network recover by more training? A new one, with every masked weight exactly 0.

    masks: {parameter's name: true where a weight stays}; trained on split.train for `epochs`. The masks are applied after
    every step, so that gradients and momentum cannot bring a weight back. The network after the last epoch is returned, in
    eval mode; no other part of the split is used. `keep_best`: of all epochs, and the start, the one with the best accuracy
    on split.validation, which then never falls and no longer says how much was recovered.
    `config`: how to train; its epochs are replaced.
    Raises ValueError or TypeError for masks of other names, shapes or dtypes, and as `train` does.
    Source: Han et al. 2015, "Learning both weights and connections".
    """
    check_copyable("recover", model)
    check_masks(model, masks, "recover")
    model = copy.deepcopy(model)
    _zero(model, masks)
    config = dataclasses.replace(config or RECOVERY, epochs=epochs)
    best = (EarlyStopping(split.validation, patience=epochs + 1),) if keep_best else ()
    hooks = Hooks(before=best, after_epoch=best)
    return train(model, split.train.images, split.train.labels, config, after_step=masking(masks), hooks=hooks)[0]


def masking(masks: Masks) -> Callable[[TrainingState], None]:
    """A hook for the training loop, called after every step: sets weights to 0 where the masks are false."""
    return lambda state: _zero(state.model, masks)


@dataclass(frozen=True, eq=False)
class Grid:
    """The values that a weight may take: code * scale, codes -top..top with top = 2^(bits-1) - 1, and 0 where mask is false.

    scale: broadcasts against the weight, for example [out, 1, 1, 1].
    """

    scale: Tensor
    bits: int
    mask: Tensor | None = None

    def codes(self, weight: Tensor) -> Tensor:
        """The integer codes of a weight on this grid, int8."""
        _, top = code_range(self.bits, symmetric=True, caller="Grid")
        codes = (weight.detach() / self.scale).round().clamp(-top, top).to(torch.int8)
        return codes if self.mask is None else codes * self.mask

    def holds(self, weight: Tensor) -> bool:
        """Does every value lie on the grid, bit for bit?"""
        return torch.equal(self.codes(weight) * self.scale, weight.detach())


class _OnGrid(nn.Module):
    """A parametrization: the layer uses the nearest point of the grid, the gradient passes straight through."""

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        _, self.top = code_range(grid.bits, symmetric=True, caller="Grid")
        self.grid = grid

    def forward(self, weight: Tensor) -> Tensor:
        scale, mask = self.grid.scale, self.grid.mask
        inside = torch.maximum(torch.minimum(weight, self.top * scale), -self.top * scale)
        rounded = FakeQuantize.apply(inside, scale, 0, self.grid.bits)
        return rounded if mask is None else rounded * mask


def round_to_grid(model: nn.Module, bits: int, masks: Masks | None = None) -> tuple[nn.Module, dict[str, Grid]]:
    """A new network whose weights are rounded to few bits, and the grid of each weight.

    Every nn.Linear and nn.Conv2d, a symmetric scale for each output channel, as unit 02's `quantize_weight` chooses it; masked
    weights stay 0. Raises ValueError for bits outside 2..8, and for masks as `recover` does.

    >>> rounded, grids = round_to_grid(nn.Linear(4, 2), bits=3)
    >>> {name: grid.holds(rounded.weight) for name, grid in grids.items()}
    {'weight': True}
    """
    masks = masks or {}
    check_own_weights("round_to_grid", model)
    check_masks(model, masks, "round_to_grid")
    model = copy.deepcopy(model).eval()
    _zero(model, masks)
    grids: dict[str, Grid] = {}
    with torch.no_grad():
        for prefix, layer in model.named_modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                name = f"{prefix}.weight" if prefix else "weight"
                codes, scale = quantize_weight(layer.weight, bits, PerChannel())
                grids[name] = Grid(scale.reshape(-1, *[1] * (layer.weight.ndim - 1)), bits, masks.get(name))
                layer.weight.copy_(codes * grids[name].scale)
    return model, grids


def recover_quantized(
    model: nn.Module, grids: dict[str, Grid], split: Split, epochs: int, config: TrainingConfig | None = None
) -> nn.Module:
    """How much accuracy does a quantized network recover, when its weights may only change to other points of their grids?

    grids: {parameter's name: `Grid`}, as `round_to_grid` gives them: scales, bits and masks stay as they are. The other
    parameters train as floats. Of all epochs, and the start, the best on split.validation is returned, in eval mode.
    Raises ValueError for names that the model does not have, a weight that is not on its grid, and as `train` does.
    Source: straight-through estimator, Bengio, Leonard, Courville 2013.
    """
    check_own_weights("recover_quantized", model)
    check_names(grids, (name for name, _ in model.named_parameters()), "recover_quantized")
    model = copy.deepcopy(model)
    for name, grid in grids.items():
        if not grid.holds(model.get_parameter(name)):
            raise ValueError(f"recover_quantized wants weights on their grids, '{name}' is not; use round_to_grid first.")
        prefix, _, own = name.rpartition(".")
        parametrize.register_parametrization(model.get_submodule(prefix), own, _OnGrid(grid))
    config = dataclasses.replace(config or RECOVERY, epochs=epochs)
    keep_best = EarlyStopping(split.validation, patience=epochs + 1)
    hooks = Hooks(before=(keep_best,), after_epoch=(keep_best,))
    healed = train(model, split.train.images, split.train.labels, config, hooks=hooks)[0]
    for name in grids:
        prefix, _, own = name.rpartition(".")
        parametrize.remove_parametrizations(healed.get_submodule(prefix), own, leave_parametrized=True)
    return healed
