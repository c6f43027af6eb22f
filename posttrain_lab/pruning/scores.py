"""How much does a weight matter? One score for each weight; the lowest are removed first.

| score     | formula                              | needs                | source                                                      |
|-----------|--------------------------------------|----------------------|-------------------------------------------------------------|
| magnitude | abs(w)                               | nothing              | Han et al. 2015                                             |
| lamp      | w^2 / sum of its layer's v^2 >= w^2  | nothing              | Lee et al. 2021, "Layer-adaptive Sparsity" (LAMP)           |
| random    | uniform                              | a seed               | the baseline for all others                                 |
| taylor    | abs(w * gradient of the loss)        | images and labels    | Molchanov et al. 2017, "Pruning Convolutional Neural Networks" |
| wanda     | abs(w) * l2 norm of its input        | images               | Sun et al. 2023, "A Simple and Effective Pruning Approach"  |
| obs       | w^2 / [H^-1]_jj, H = X^T X           | images               | Hassibi and Stork 1993, "Optimal Brain Surgeon"             |
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.data import Dataset
from posttrain_lab.metrics import evaluating
from posttrain_lab.quantization.layer_math import layer_gram

from .arguments import check_weight, prunable_layers

DAMPING = 0.01  # of the mean diagonal of H, as in SparseGPT
BATCH = 100
PIECE = 25  # images at a time for gradients, which store every layer's outputs
DATALESS = ("magnitude", "lamp")  # scores that need the weights only
SCORES = (*DATALESS, "random", "taylor", "wanda", "obs")


def wanda_scores(weight: Float[Tensor, "out in"], inputs: Float[Tensor, "tokens in"]) -> Float[Tensor, "out in"]:
    """How much does each weight contribute to the output? Its magnitude times the norm of its input.

    score[o, j] = |weight[o, j]| * sqrt(sum over tokens of inputs[t, j]^2)

    weight [out, in]; inputs [tokens, in]: the layer's inputs, for calibration images. Sun et al. compare scores within a
    row (an output), not across rows. Raises TypeError unless both are float tensors; ValueError for other axes, NaN, widths that
    differ.
    Source: Sun et al. 2023, "A Simple and Effective Pruning Approach for Large Language Models" (Wanda).

    >>> wanda_scores(torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, 0.5], [4.0, 0.0]]))
    tensor([[5., 1.]])
    """
    weight = check_weight("wanda_scores", weight, ndim=2)
    inputs = check_weight("wanda_scores", inputs, "inputs", ndim=2)
    if weight.shape[1] != inputs.shape[1]:
        raise ValueError(
            f"wanda_scores wants inputs [tokens, {weight.shape[1]}], got {list(inputs.shape)}; give what flows into this layer."
        )
    return weight.abs() * inputs.norm(dim=0)


def lamp_scores(weight: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Scores that can be compared between layers of different scale: each square over the sum of the squares that are not smaller.

    score[u] = w_u^2 / sum over the v of the same layer with |w_v| >= |w_u| of w_v^2;  0 where w_u is 0

    Within a layer the order is that of |w|. Multiplying a layer by a number does not change the scores, so one ranking over all layers
    is meaningful, and the largest weight of each layer has score 1: no layer loses all weights. Of equal magnitudes the earlier have
    the lower score.

    weight: any shape. Raises TypeError unless it is a float tensor; ValueError for NaN, infinity or an empty weight.
    Source: Lee et al. 2021, "Layer-adaptive Sparsity for the Magnitude-based Pruning" (LAMP).

    >>> lamp_scores(torch.tensor([2.0, -1.0, 0.0]))
    tensor([1.0000, 0.2000, 0.0000])
    """
    squares = check_weight("lamp_scores", weight).flatten().square()
    order = squares.argsort(stable=True)
    still_there = squares[order].flip(0).cumsum(0).flip(0).clamp_min(torch.finfo(squares.dtype).tiny)
    return torch.empty_like(squares).index_copy_(0, order, squares[order] / still_there).reshape(weight.shape)


def layer_grams(model: nn.Module, images: Float[Tensor, "n ..."]) -> dict[str, Float[Tensor, "groups k k"]]:
    """X^T X of the inputs X of each Linear and Conv2d, by layer, in float64; k: the inputs of one output (a token or a window).

    >>> layer_grams(nn.Sequential(nn.Linear(2, 1)), torch.tensor([[1.0, 2.0]]))["0"]
    tensor([[[1., 2.],
             [2., 4.]]], dtype=torch.float64)
    """
    grams: dict[str, Tensor] = {}

    def adder(name: str) -> Callable[[Any, tuple[Tensor, ...]], None]:
        def add(layer: Any, inputs: tuple[Tensor, ...]) -> None:
            gram = layer_gram(layer, inputs[0])
            grams[name] = grams[name] + gram if name in grams else gram

        return add

    hooks = [layer.register_forward_pre_hook(adder(name)) for name, layer in prunable_layers("layer_grams", model).items()]
    try:
        with evaluating(model), torch.no_grad():
            for part in images.split(BATCH):
                model(part)
    finally:
        for hook in hooks:
            hook.remove()
    return grams


def layer_scores(
    model: nn.Module, kind: str = "magnitude", data: Dataset | None = None, seed: int = 0
) -> dict[str, Float[Tensor, "..."]]:
    """How much does each weight of each Linear and Conv2d matter? Scores by layer, each of its weight's shape.

    kind: one of the table above; data: calibration images for "wanda" and "obs", with labels for "taylor"; seed: for "random".
    The model is not changed. Raises ValueError for an unknown kind, missing data, NaN weights or shared ones, naming the layer.

    >>> layer_scores(nn.Sequential(nn.Linear(2, 1)), "magnitude")["0"].shape
    torch.Size([1, 2])
    """
    if kind not in SCORES:
        raise ValueError(f"layer_scores wants kind to be one of {', '.join(SCORES)}, got {kind!r}.")
    layers: dict[str, Any] = prunable_layers("layer_scores", model)
    if kind == "magnitude":
        return {name: layer.weight.detach().abs() for name, layer in layers.items()}
    if kind == "lamp":
        return {name: lamp_scores(layer.weight) for name, layer in layers.items()}
    if kind == "random":
        generator = torch.Generator().manual_seed(seed)
        return {name: torch.rand(layer.weight.shape, generator=generator) for name, layer in layers.items()}
    if data is None or len(data) == 0:
        raise ValueError(f"layer_scores wants calibration images for kind {kind!r}, got none; give split.calibration.")
    if kind == "taylor":
        gradients = mean_gradients(model, data)
        return {name: (layer.weight.detach() * gradients[f"{name}.weight"]).abs() for name, layer in layers.items()}
    grams = layer_grams(model, data.images)
    return {name: _from_gram(kind, layer.weight.detach(), grams[name]) for name, layer in layers.items() if name in grams}


def mean_gradients(model: nn.Module, data: Dataset) -> dict[str, Tensor]:
    """The gradient of the mean cross-entropy over the data, in eval mode, by the name of the parameter.

    >>> from posttrain_lab.data import Dataset
    >>> data = Dataset(torch.ones(4, 2), torch.zeros(4, dtype=torch.int64), ("a", "b"))
    >>> mean_gradients(nn.Sequential(nn.Linear(2, 2, bias=False)), data)["0.weight"].shape
    torch.Size([2, 2])
    """
    trial = copy.deepcopy(model).eval().requires_grad_(True)
    for x, y in zip(data.images.split(PIECE), data.labels.split(PIECE), strict=True):
        (F.cross_entropy(trial(x), y, reduction="sum") / len(data)).backward()
    named = trial.named_parameters(remove_duplicate=False)
    return {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in named}


def _from_gram(kind: str, weight: Tensor, gram: Tensor) -> Tensor:
    """Wanda or OBS scores, group by group, in the weight's shape."""
    parts = weight.flatten(1).double().chunk(len(gram))
    if kind == "wanda":
        scores = [rows.abs() * one.diagonal().sqrt() for rows, one in zip(parts, gram, strict=True)]
    else:
        scores = [rows.square() / inverse_gram(one).diagonal() for rows, one in zip(parts, gram, strict=True)]
    return torch.cat(scores).reshape(weight.shape).float()


def inverse_gram(gram: Float[Tensor, "k k"]) -> Float[Tensor, "k k"]:
    """(X^T X + damping)^-1 in float64; inputs that are always 0 get a diagonal of 1.

    >>> round(inverse_gram(torch.eye(2).double())[0, 0].item(), 4)
    0.9901
    """
    gram = gram.detach().double().clone()
    diagonal = gram.diagonal()
    damping = DAMPING * diagonal.mean()
    diagonal.add_(torch.where(diagonal == 0, 1.0, damping))
    return torch.cholesky_inverse(torch.linalg.cholesky(gram))
