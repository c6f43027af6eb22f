"""Prune a whole network without removing anything yet: `prune_model(model, config, data)` gives a new one, and its masks."""

import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from tqdm.auto import tqdm

from posttrain_lab.data import Dataset
from posttrain_lab.module_walks import name_some

from .arguments import check_nm, check_sparsity, prunable_layers
from .masks import apply_masks, block_from_scores, global_from_scores, keep_largest, nm_from_scores
from .scores import SCORES, layer_grams, layer_scores
from .second_order import prune_layer

BAR_AFTER = 2  # seconds
PATTERNS = ("global", "layer", "row", "nm", "block")


@dataclass(frozen=True)
class PruningConfig:
    """What is removed from a network, and by which score.

    | pattern  | what is compared with what                                                  |
    |----------|-----------------------------------------------------------------------------|
    | "global" | all weights of the network                                                  |
    | "layer"  | the weights of one layer; `sparsities` may give each layer its own share    |
    | "row"    | the weights of one output, as Wanda does                                    |
    | "nm"     | each `m` neighbours along the inputs, of which `n` stay                     |
    | "block"  | square blocks of one layer                                                  |

    score: "magnitude", "lamp", "random", "taylor", "wanda", "obs" (see scores.py), or "sparsegpt", which also changes the weights that stay.
    skip: names of layers that stay whole (often the first and the last). seed: for "random".
    """

    sparsity: float = 0.9
    pattern: str = "global"
    score: str = "magnitude"
    sparsities: tuple[tuple[str, float], ...] = ()
    skip: tuple[str, ...] = ()
    n: int = 2
    m: int = 4
    block: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        check_sparsity("PruningConfig", self.sparsity)
        for name, share in self.sparsities:
            check_sparsity("PruningConfig", share, name)
        if self.pattern not in PATTERNS:
            raise ValueError(f"PruningConfig wants pattern to be one of {', '.join(PATTERNS)}, got {self.pattern!r}.")
        if self.score not in (*SCORES, "sparsegpt"):
            raise ValueError(f"PruningConfig wants score to be one of {', '.join(SCORES)} or sparsegpt, got {self.score!r}.")
        if self.score == "sparsegpt" and self.pattern not in ("layer", "nm"):
            raise ValueError(f"PruningConfig wants pattern 'layer' or 'nm' with sparsegpt, got {self.pattern!r}.")
        check_nm("PruningConfig", self.n, self.m, self.m)


@dataclass(frozen=True, eq=False)
class Pruned:
    """The new model, and by layer its mask, True where a weight is kept."""

    model: nn.Module
    masks: dict[str, Bool[Tensor, "..."]]


@torch.no_grad()
def prune_model(
    model: nn.Module, config: PruningConfig | None = None, data: Dataset | None = None, progress: bool = True
) -> Pruned:
    """A new network whose least important weights are set to 0, and its masks.

    data: calibration images, for the scores that need them. Only weights of Linear and Conv2d layers are counted and removed; a warning
    names what stays whole beside them (`in_proj_weight` of attention, layers that no image reaches when the score needs their inputs).
    The given model is not changed. Raises TypeError unless it is a model; ValueError, naming the layer, for NaN weights, shared ones,
    ones that are computed from others, a layer with a forward of its own, a width that m does not divide, an unknown name to skip.

    >>> pruned = prune_model(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)), PruningConfig(sparsity=0.5))
    >>> sum(int(mask.sum()) for mask in pruned.masks.values())
    15
    """
    config = config or PruningConfig()
    layers = prunable_layers("prune_model", model, config.skip)
    shares = dict(config.sparsities)
    unknown = [name for name in shares if name not in layers]
    if unknown:
        raise ValueError(f"prune_model wants sparsities of layers that are pruned ({', '.join(layers)}), got {unknown[0]!r}.")
    if config.score == "sparsegpt":
        return _second_order(model, config, data, shares)
    with tqdm(total=3, desc="prune_model", unit="step", delay=BAR_AFTER, disable=not progress) as bar:
        with torch.enable_grad():
            found = layer_scores(model, config.score, data, config.seed)
        _say_what_stays(model, [name for name in layers if name not in found])
        scores = {name: found[name] for name in layers if name in found}
        bar.update()
        if config.pattern == "global":
            masks = global_from_scores(dict(scores), scores, config.sparsity)
        else:
            masks = {name: _layer_mask(score, config, shares.get(name, config.sparsity), name) for name, score in scores.items()}
        bar.update()
        pruned = Pruned(apply_masks(model, masks), masks)
        bar.update()
    return pruned


def _say_what_stays(model: nn.Module, unreached: list[str]) -> None:
    """Warn of weights that stay whole although they look like those of Linear layers."""
    attention = [name for name, m in model.named_modules() if isinstance(m, nn.MultiheadAttention)]
    reasons = {
        "in_proj_weight of attention in {}: it is not a layer, and not part of the share": attention,
        "{}: no calibration image reaches them (or their weight is read without a call), and this score needs their inputs": unreached,
    }
    said = [reason.format(name_some(names)) for reason, names in reasons.items() if names]
    if said:
        warnings.warn("prune_model leaves whole: " + "; ".join(said) + ".", stacklevel=4)


def _layer_mask(score: Tensor, config: PruningConfig, sparsity: float, name: str) -> Tensor:
    """The mask of one layer from its scores."""
    if config.pattern == "nm":
        return nm_from_scores("prune_model", score, config.n, config.m, name)
    if config.pattern == "block":
        return block_from_scores("prune_model", score, sparsity, config.block)
    if config.pattern == "row":
        rows = score.flatten(1)
        kept = torch.stack([keep_largest(row, round(sparsity * rows.shape[1])) for row in rows])
        return kept.reshape(score.shape)
    return keep_largest(score, round(sparsity * score.numel()))


def _second_order(model: nn.Module, config: PruningConfig, data: Dataset | None, shares: dict[str, float]) -> Pruned:
    """SparseGPT; every layer has the inputs that it gets in the dense network."""
    if data is None or len(data) == 0:
        raise ValueError("prune_model wants calibration images for score 'sparsegpt', got none; give split.calibration.")
    grams = layer_grams(model, data.images)
    _say_what_stays(model, [name for name in prunable_layers("prune_model", model, config.skip) if name not in grams])
    pruned = apply_masks(model, {})
    layers = prunable_layers("prune_model", pruned, config.skip)
    nm = (config.n, config.m) if config.pattern == "nm" else None
    for name, layer in layers.items():
        if name in grams:
            layer.weight.copy_(prune_layer(layer, grams[name], shares.get(name, config.sparsity), nm, name))
    return Pruned(pruned, {name: layer.weight.detach() != 0 for name, layer in layers.items()})
