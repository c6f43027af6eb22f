"""Which parameters learn from this loss, and how strongly?"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from posttrain_lab.metrics import check_model

SMALLEST = 1e-12  # a weight whose norm is 0 (a bias at its start) counts as this


def gradient_report(model: nn.Module, loss: Float[Tensor, ""]) -> dict[str, tuple[float, bool]]:
    """Which parameters does this loss reach? {name: (norm of the gradient / norm of the weight, learns)} for every parameter.

    |d loss / d w| / max(|w|, 1e-12), Euclidean norms; learns: the parameter asks for a gradient. A parameter that is frozen, or that the
    loss does not depend on, has 0; so has every one of a loss that carries no gradient at all. `.grad` stays as it was, and
    loss.backward() is still possible afterwards.
    loss: one number, made by the model. Raises TypeError unless model is an nn.Module and loss a Tensor; ValueError for a loss of
    several numbers, or one after its own backward().

    >>> layer = nn.Linear(2, 1)
    >>> _ = layer.bias.requires_grad_(False)
    >>> {name: learns for name, (_, learns) in gradient_report(layer, layer(torch.ones(3, 2)).sum()).items()}
    {'weight': True, 'bias': False}
    """
    check_model("gradient_report", model)
    if not isinstance(loss, Tensor):
        raise TypeError(f"gradient_report wants loss to be a Tensor, got {type(loss).__name__}; leave .item() away.")
    if loss.numel() != 1:
        raise ValueError(f"gradient_report wants a loss of one number, got shape {list(loss.shape)}; take its mean.")
    live = {name: p for name, p in model.named_parameters() if p.requires_grad}
    found = dict(zip(live, _gradients(loss, list(live.values())), strict=True))
    norms = {name: 0.0 if g is None else float(g.norm()) for name, g in found.items()}
    return {
        name: (norms.get(name, 0.0) / max(float(p.detach().norm()), SMALLEST), p.requires_grad)
        for name, p in model.named_parameters()
    }


def _gradients(loss: Tensor, parameters: list[nn.Parameter]) -> tuple[Tensor | None, ...]:
    if not parameters or not loss.requires_grad:
        return (None,) * len(parameters)
    try:
        return torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    except RuntimeError as error:
        raise ValueError(
            f"gradient_report wants a loss before its backward(); compute the loss again. torch said: {error}"
        ) from None
