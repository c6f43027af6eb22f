"""Does a map explain this model, or would it look the same for any model? Tests that a map can fail.

- `cascade`: the layers are given new random weights, from the last to the first. A map that explains the model must change; one that
  shows edges of the image does not.
- `deletion_curve`: the pixels with the largest values are removed first. The probability of the target must fall faster than when
  random pixels are removed. A removed pixel makes an image unlike any other, so compare curves, and do not read one alone.

Maps are compared by `rank_agreement`, signed and absolute: absolute values agree much more, because both maps are small where the image is
empty (Adebayo et al. show both).

Source: Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim 2018, "Sanity Checks for Saliency Maps"; Petsiuk et al. 2018 (deletion).
"""

import copy
import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from posttrain_lab.arguments import check_count

from .arguments import check_inputs, check_targets, undisturbed


def average_ranks(values: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The place of each value in rising order, from 1; equal values share the mean of their places.

    >>> average_ranks(torch.tensor([0.3, 0.1, 0.3, 0.9]))
    tensor([2.5000, 1.0000, 2.5000, 4.0000], dtype=torch.float64)
    """
    _, index, count = values.unique(return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    return (last - (count.double() - 1) / 2)[index]


def rank_agreement(a: Float[Tensor, "*shape"], b: Float[Tensor, "*shape"]) -> float:
    """Do two maps order the pixels in the same way? Spearman's rank correlation, from -1 to 1.

    The correlation of the average ranks. NaN when a map is constant: it orders nothing. Signed values are compared as they are; take
    absolute values before, if you want those. Raises ValueError for other shapes or NaN. Source: Spearman (1904).

    >>> rank_agreement(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 4.0, 90.0]))
    1.0
    """
    if a.shape != b.shape or a.numel() == 0:
        raise ValueError(f"rank_agreement wants two maps of one shape, got {list(a.shape)} and {list(b.shape)}.")
    if a.isnan().any() or b.isnan().any():
        raise ValueError("rank_agreement wants maps of numbers, got NaN; look for the gradient that is none.")
    first, second = (average_ranks(x.flatten()) for x in (a, b))
    first, second = first - first.mean(), second - second.mean()
    size = math.sqrt(float(first @ first) * float(second @ second))
    return max(-1.0, min(1.0, float(first @ second) / size)) if size else math.nan


def cascade(model: nn.Module, seed: int = 0) -> Iterator[tuple[str, nn.Module]]:
    """Copies of the model with more and more random layers: the last one, the last two, and so on to the first.

    Yields (the name of the layer that was drawn new now, a copy in eval mode). Layers with
    weights and `reset_parameters` are drawn as for a new network.
    Raises ValueError for a model without such layers (quantized ones: draw the float model, then quantize).

    >>> [name for name, _ in cascade(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)))]
    ['2', '0']
    """
    now = copy.deepcopy(model).eval()
    layers = [
        (name, m) for name, m in now.named_modules() if hasattr(m, "reset_parameters") and list(m.parameters(recurse=False))
    ]
    if not layers:
        raise ValueError("cascade wants a model with float layers that can be drawn anew, got none; give the float model.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, layer in reversed(layers):
            layer.reset_parameters()  # type: ignore[operator]
            yield name, copy.deepcopy(now)


def deletion_curve(
    model: nn.Module,
    image: Float[Tensor, "c h w"],
    values: Float[Tensor, "h w"],
    target: int,
    shares: Sequence[float],
    baseline: float = 0.0,
) -> list[float]:
    """The probability of the target after the most important share of the pixels is set to `baseline`, for each share.

    values [h, w]: larger is removed earlier; shares in [0, 1]. Raises ValueError for other shapes, shares or targets. Source: Petsiuk et al. (2018).

    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> curve = deletion_curve(model, torch.rand(1, 2, 2), torch.rand(2, 2), 0, [0.0, 0.5, 1.0])
    >>> len(curve)
    3
    """
    check_inputs("deletion_curve", "image", image)
    if image.ndim != 3 or values.shape != image.shape[1:] or not all(0 <= share <= 1 for share in shares):
        raise ValueError(
            f"deletion_curve wants an image [c, h, w], values [h, w] and shares in [0, 1], got {list(image.shape)}, "
            f"{list(values.shape)} and {list(shares)}."
        )
    check_count("deletion_curve", "the number of shares", len(shares))
    order = values.flatten().argsort(descending=True, stable=True)
    parts = []
    for share in shares:
        flat = image.flatten(1).clone()
        flat[:, order[: round(share * len(order))]] = baseline
        parts.append(flat.reshape(image.shape))
    with undisturbed("deletion_curve", model), torch.no_grad():
        logits = model(torch.stack(parts))
    check_targets("deletion_curve", torch.tensor([target]), 1, logits.shape[1])
    return logits.double().softmax(1)[:, target].tolist()
