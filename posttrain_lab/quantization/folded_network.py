"""Batch norm folding in a whole network: a Sequential layer by layer, any other network by its traced graph."""

import copy

from torch import Tensor, nn

from .fold import fold_batchnorm
from .graphs.pairs import convolutions_before_norms


def fold_model(model: nn.Module, example: Tensor | None = None) -> nn.Module:
    """A network that computes the same in eval mode without the batch norms that follow a Conv2d directly.

    A Sequential needs no example: nested Sequentials are folded too (each separately), every other layer is copied, and later layers
    get a smaller index when a batch norm is removed. Any other network is traced with example [n, ...]: the copy is of the same class,
    and a folded batch norm becomes an nn.Identity. The given model is not changed.

    Raises TypeError for a model that is not a Sequential, without an example; ValueError for code that cannot be traced, by its line;
    and what `fold_batchnorm` raises.

    >>> len(fold_model(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())))
    2
    """
    if example is not None and isinstance(model, nn.Module):
        return _fold_traced(model, example)
    if not isinstance(model, nn.Sequential) or type(model).forward is not nn.Sequential.forward:
        raise TypeError(
            f"fold_model wants an nn.Sequential, got {type(model).__name__}; give an example input too, so that the network can be traced, or "
            "fold its pairs with fold_batchnorm."
        )
    layers: list[nn.Module] = []
    for layer in model:
        if isinstance(layer, nn.BatchNorm2d) and layers and isinstance(layers[-1], nn.Conv2d):
            layers[-1] = fold_batchnorm(layers[-1], layer)
        else:
            plain = isinstance(layer, nn.Sequential) and type(layer).forward is nn.Sequential.forward
            layers.append(fold_model(layer) if plain else copy.deepcopy(layer))
    return nn.Sequential(*layers).train(model.training)


def _fold_traced(model: nn.Module, example: Tensor) -> nn.Module:
    folded = copy.deepcopy(model)
    for conv, norm in convolutions_before_norms(model, example, "fold_model"):
        parent, _, name = conv.rpartition(".")
        setattr(folded.get_submodule(parent), name, fold_batchnorm(model.get_submodule(conv), model.get_submodule(norm)))  # type: ignore[arg-type]
        parent, _, name = norm.rpartition(".")
        setattr(folded.get_submodule(parent), name, nn.Identity())
    return folded.train(model.training)
