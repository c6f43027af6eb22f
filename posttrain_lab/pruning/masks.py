"""Which weights stay? A mask is a bool tensor of the weight's shape, True where a weight is kept.

The number of removed weights is always exact: they are chosen by rank, not by a threshold, so equal magnitudes do not change it.
Source: LeCun, Denker, Solla 1989, "Optimal Brain Damage", for the idea; Han et al. 2015 for magnitude.
"""

import copy

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .arguments import check_mask, check_nm, check_sparsity, check_weight, prunable_layers


def keep_largest(scores: Float[Tensor, "*shape"], removed: int) -> Bool[Tensor, "*shape"]:
    """True for all but the `removed` lowest scores; among equal scores the earlier are removed first. NaN is never removed.

    >>> keep_largest(torch.tensor([3.0, 1.0, 1.0]), 1)
    tensor([ True, False,  True])
    """
    flat = scores.flatten()
    if removed <= 0:
        return torch.ones_like(scores, dtype=torch.bool)
    threshold = flat.kthvalue(min(removed, len(flat))).values  # selecting takes n steps, sorting n log n
    kept = ~(flat <= threshold)  # NaN counts as the largest
    equal = (flat == threshold).nonzero().flatten()
    kept[equal[max(0, len(equal) - (len(flat) - removed - int(kept.sum()))) :]] = True
    return kept.reshape(scores.shape)


def magnitude_mask(weight: Float[Tensor, "*shape"], sparsity: float) -> Bool[Tensor, "*shape"]:
    """Which weights of one tensor stay when the smallest are removed?

    Exactly round(sparsity * n) of the n weights are removed: those with the smallest |w|; among equal ones the earlier.

    weight: any shape; sparsity in [0, 1]; the mask is True where a weight is kept. Raises TypeError unless weight is a float tensor
    and sparsity a number; ValueError for a sparsity outside [0, 1], NaN, infinity or an empty weight. Source: Han et al. 2015.

    >>> magnitude_mask(torch.tensor([0.5, -3.0, 0.1, 2.0]), 0.5)
    tensor([False,  True, False,  True])
    """
    weight = check_weight("magnitude_mask", weight)
    return keep_largest(weight.abs(), round(check_sparsity("magnitude_mask", sparsity) * weight.numel()))


def global_masks(weights: dict[str, Float[Tensor, "..."]], sparsity: float) -> dict[str, Bool[Tensor, "..."]]:
    """Which weights of a whole network stay when the smallest of all layers together are removed?

    One threshold for all: exactly round(sparsity * total) weights are removed, those with the smallest |w| over all tensors.
    Tensors with fewer than two axes (biases, norms) are neither counted nor pruned.

    weights: by name; the masks have the same names. Raises as `magnitude_mask`, naming the layer, and ValueError for no weights.

    >>> masks = global_masks({"a": torch.tensor([[1.0, 5.0]]), "b": torch.tensor([[6.0, 7.0]])}, 0.25)
    >>> masks["a"], masks["b"]
    (tensor([[False,  True]]), tensor([[True, True]]))
    """
    sparsity = check_sparsity("global_masks", sparsity)
    if not isinstance(weights, dict) or not weights:
        raise ValueError(f"global_masks wants a dict of weights by name, got {weights!r}; do dict(model.named_parameters()).")
    checked = {name: check_weight("global_masks", weight, name) for name, weight in weights.items()}
    return global_from_scores({name: w.abs() if w.ndim > 1 else None for name, w in checked.items()}, checked, sparsity)


def global_from_scores(
    scores: dict[str, Tensor | None], weights: dict[str, Tensor], sparsity: float
) -> dict[str, Bool[Tensor, "..."]]:
    """One threshold over all scores; None keeps a tensor whole."""
    counted = {name: score.flatten() for name, score in scores.items() if score is not None}
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    if not counted:
        return masks
    together = torch.cat(list(counted.values()))
    kept = keep_largest(together, round(sparsity * together.numel()))
    parts = kept.split([score.numel() for score in counted.values()])
    return masks | {name: part.reshape(weights[name].shape) for name, part in zip(counted, parts, strict=True)}


def nm_mask(weight: Float[Tensor, "out in"], n: int, m: int) -> Bool[Tensor, "out in"]:
    """Which n of each m neighbouring inputs stay? Those with the largest |w|.

    weight [out, in], groups of m along `in`: in row o, inputs g*m ... g*m + m - 1 form group g. A pattern that hardware and our
    kernels can use (2:4). Raises as `magnitude_mask`; ValueError for n > m or an `in` that m does not divide.
    Source: Mishra et al. 2021, "Accelerating Sparse Deep Neural Networks".

    >>> nm_mask(torch.tensor([[0.1, -4.0, 3.0, 0.2]]), 2, 4)
    tensor([[False,  True,  True, False]])
    """
    return nm_from_scores("nm_mask", check_weight("nm_mask", weight, ndim=2).abs(), n, m)


def nm_from_scores(caller: str, scores: Float[Tensor, "out ..."], n: int, m: int, layer: str = "") -> Bool[Tensor, "out ..."]:
    """The n largest scores of each m along the flattened inputs."""
    rows = scores.flatten(1)
    check_nm(caller, n, m, rows.shape[1], layer)
    groups = rows.reshape(len(rows), -1, m)
    order = groups.argsort(dim=2, descending=True, stable=True)[:, :, :n]
    return torch.zeros_like(groups, dtype=torch.bool).scatter_(2, order, True).reshape(scores.shape)


def block_mask(weight: Float[Tensor, "out in"], sparsity: float, block: int = 16) -> Bool[Tensor, "out in"]:
    """Which square blocks of a weight stay? Those with the largest sum of squares.

    Exactly round(sparsity * blocks) blocks are removed; blocks at the edges may be cut off. weight [out, in].
    Raises as `magnitude_mask`, and ValueError for a block below 1. Source: Narang et al. 2017, "Block-Sparse Recurrent Neural Networks".

    >>> block_mask(torch.tensor([[1.0, 1.0, 5.0, 0.0]]).repeat(2, 1), 0.5, block=2)[0]
    tensor([False, False,  True,  True])
    """
    weight = check_weight("block_mask", weight, ndim=2)
    return block_from_scores("block_mask", weight.square(), check_sparsity("block_mask", sparsity), block)


def block_from_scores(caller: str, scores: Float[Tensor, "out ..."], sparsity: float, block: int) -> Bool[Tensor, "out ..."]:
    """Blocks [block, block] of the scores [out, flattened inputs], ranked by their sums."""
    if isinstance(block, bool) or not isinstance(block, int) or block < 1:
        raise ValueError(f"{caller} wants a block side of 1 or more, got {block!r}; the kernels take 4, 8, 16 and 32.")
    rows = scores.flatten(1)
    out, width = rows.shape
    padded = torch.nn.functional.pad(rows, (0, -width % block, 0, -out % block))
    sums = padded.reshape(-1, block, padded.shape[1] // block, block).sum((1, 3))
    kept = keep_largest(sums, round(sparsity * sums.numel()))
    return kept.repeat_interleave(block, 0).repeat_interleave(block, 1)[:out, :width].reshape(scores.shape)


def channel_mask(weight: Float[Tensor, "out ..."], sparsity: float) -> Bool[Tensor, " out"]:
    """Which output channels of one layer stay? Those with the largest l2 norm.

    Exactly round(sparsity * out) channels are removed, but one always stays. weight [out, ...]; the mask [out] is what
    `prune_channels` takes. Raises as `magnitude_mask`. Source: Li et al. 2017, "Pruning Filters for Efficient ConvNets" (with l1).

    >>> channel_mask(torch.tensor([[3.0, 4.0], [1.0, 1.0]]), 0.5)
    tensor([ True, False])
    """
    weight = check_weight("channel_mask", weight)
    removed = round(check_sparsity("channel_mask", sparsity) * len(weight))
    return keep_largest(weight.reshape(len(weight), -1).norm(dim=1), min(removed, len(weight) - 1))


def apply_masks(model: nn.Module, masks: dict[str, Bool[Tensor, "..."]]) -> nn.Module:
    """A copy of the network with exact zeros at the masked weights; the model is not changed.

    masks: by the name of the layer. Raises ValueError for a name that is not a Linear or Conv2d, a mask of another shape, shared
    weights.

    >>> apply_masks(nn.Sequential(nn.Linear(1, 1)), {"0": torch.tensor([[False]])})[0].weight.item()
    0.0
    """
    prunable_layers("apply_masks", model)  # before the copy: torch cannot copy weights that a hook computes
    pruned = copy.deepcopy(model)
    layers = prunable_layers("apply_masks", pruned)
    for name, mask in masks.items():
        if name not in layers:
            raise ValueError(f"apply_masks wants names of Linear or Conv2d layers ({', '.join(layers)}), got {name!r}.")
        check_mask("apply_masks", mask, layers[name].weight, name)  # type: ignore[arg-type]
        with torch.no_grad():
            layers[name].weight.masked_fill_(~mask, 0.0)  # type: ignore[operator, union-attr]
    return pruned


def masks_of(model: nn.Module) -> dict[str, Bool[Tensor, "..."]]:
    """Which weights of this network are left? True where a weight of a Linear or Conv2d is not 0, by layer.

    >>> masks_of(nn.Sequential(nn.ReLU(), nn.Linear(2, 1)))["1"]
    tensor([[True, True]])
    """
    return {name: layer.weight.detach() != 0 for name, layer in prunable_layers("masks_of", model).items()}  # type: ignore[union-attr]
