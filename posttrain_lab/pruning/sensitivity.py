"""How sensitive is each layer? Prune one layer at a time and measure the accuracy on validation images.

Source: Li et al. 2017, "Pruning Filters for Efficient ConvNets"; Han et al. 2015.
"""

import copy
from collections.abc import Sequence

import torch
from torch import nn
from tqdm.auto import tqdm

from posttrain_lab.data import Split
from posttrain_lab.measure import predict
from posttrain_lab.metrics import accuracy

from .arguments import check_sparsity, prunable_layers
from .masks import magnitude_mask


def sensitivity_scan(
    model: nn.Module, split: Split, sparsities: Sequence[float], progress: bool = True
) -> dict[str, list[float]]:
    """What is the accuracy on validation when one layer alone loses its smallest weights?

    For each nn.Linear and nn.Conv2d, and each sparsity: prune this layer only (`magnitude_mask`), measure, restore the weights.

    split: its validation images are used, never its test images; sparsities: each in [0, 1]. Returns, by the name of the layer,
    one accuracy in [0, 1] for each sparsity. The given model is not changed. Raises TypeError unless it gets a model and a Split;
    ValueError, naming the layer, for a sparsity outside [0, 1], NaN weights or shared ones.

    >>> from posttrain_lab.data import load_fashion
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    >>> list(sensitivity_scan(model, load_fashion(), [0.0, 1.0], progress=False))
    ['1']
    """
    if not isinstance(split, Split):
        raise TypeError(f"sensitivity_scan wants a Split, got {type(split).__name__}; do load_fashion().")
    shares = [check_sparsity("sensitivity_scan", sparsity) for sparsity in sparsities]
    prunable_layers("sensitivity_scan", model)
    trial, data = copy.deepcopy(model), split.validation
    layers = prunable_layers("sensitivity_scan", trial)
    curves: dict[str, list[float]] = {name: [] for name in layers}
    with tqdm(total=len(layers) * len(shares), desc="sensitivity", unit="scan", disable=not progress) as bar:
        for name, layer in layers.items():
            weight: torch.Tensor = layer.weight.data  # type: ignore[assignment, union-attr]
            kept = weight.clone()
            for share in shares:
                weight.copy_(kept * magnitude_mask(kept, share))
                curves[name].append(accuracy(predict(trial, data.images, batch_size=250), data.labels))
                bar.update()
            weight.copy_(kept)
    return curves
