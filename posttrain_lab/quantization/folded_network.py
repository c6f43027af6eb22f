"""Batch norm folding in a whole network: a Sequential layer by layer, any other network by its traced graph."""

import copy

from torch import Tensor, nn

from posttrain_lab.module_walks import check_own_weights, computes_as, described

from .fold import fold_batchnorm
from .graphs.pairs import convolutions_before_norms


def fold_model(model: nn.Module, example: Tensor | None = None) -> nn.Module:
    """A network that computes the same in eval mode without the batch norms that follow a Conv2d directly.

    A Sequential needs no example: nested Sequentials are folded too (each separately), every other layer is copied, and later layers
    get a smaller index when a batch norm is removed. Any other network is traced with example [n, ...]: the copy is of the same class,
    and a folded batch norm becomes an nn.Identity. The given model is not changed.

    Raises TypeError for a model that is not a Sequential, without an example; ValueError for code that cannot be traced, by its line, and
    for weights that are computed from others; and what `fold_batchnorm` raises.

    >>> len(fold_model(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())))
    2
    """
    if isinstance(model, nn.Module):
        check_own_weights("fold_model", model)
        if example is not None:
            return _fold_traced(model, example)
    if not computes_as(model, nn.Sequential):
        raise TypeError(
            f"fold_model wants an nn.Sequential, got {described(model, nn.Sequential)}; give an example input too, so that the network "
            "can be traced, or fold its pairs with fold_batchnorm."
        )
    layers: list[nn.Module] = []
    for layer in model:
        if computes_as(layer, nn.BatchNorm2d) and layers and computes_as(layers[-1], nn.Conv2d):
            layers[-1] = fold_batchnorm(layers[-1], layer)
        else:
            layers.append(fold_model(layer) if computes_as(layer, nn.Sequential) else copy.deepcopy(layer))
    return nn.Sequential(*layers).train(model.training)


def _fold_traced(model: nn.Module, example: Tensor) -> nn.Module:
    folded = copy.deepcopy(model)
    for conv, norm in convolutions_before_norms(model, example, "fold_model"):
        parent, _, name = conv.rpartition(".")
        setattr(folded.get_submodule(parent), name, fold_batchnorm(model.get_submodule(conv), model.get_submodule(norm)))  # type: ignore[arg-type]
        parent, _, name = norm.rpartition(".")
        setattr(folded.get_submodule(parent), name, nn.Identity())
    return folded.train(model.training)
