"""What does one answer rest on? A map that gives each input pixel or feature its part in the logit of a class.

Maps by gradients (gradient, SmoothGrad, integrated gradients, Grad-CAM), one that needs none (occlusion), and the exact answer for linear
models (Shapley values). All explain a logit, not a probability: softmax mixes in the other classes. A model that rounds passes no gradients:
give `straight_through(model)`. Left out: layer-wise relevance propagation, LIME, and Shapley values of networks (sampling).

Source: Simonyan et al. 2014 (gradient); Smilkov et al. 2017 (SmoothGrad); Sundararajan et al. 2017 (integrated gradients); Selvaraju
et al. 2017 (Grad-CAM); Zeiler and Fergus 2014 (occlusion); Lundberg and Lee 2017 (linear Shapley values).
"""

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.arguments import check_count

from .arguments import check_inputs, check_radius, check_targets, chosen_logits, gradient, undisturbed

BATCH = 512  # images that run through the model at once


def _logit_gradient(name: str, model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """The gradient of each image's target logit, like x."""
    x = x.detach().clone().requires_grad_(True)
    return gradient(name, chosen_logits(name, model(x), target), x)


def gradient_map(model: nn.Module, x: Float[Tensor, "n ..."], target: Integer[Tensor, " n"]) -> Float[Tensor, "n ..."]:
    """How fast does the target's logit change with each pixel? d logit_target / d x, signed.

    It says what would change the answer a little, not what the answer rests on: where a unit is saturated the gradient is 0. x [n, ...],
    target [n] class numbers -> like x. Raises TypeError or ValueError for bad input, or a model without gradients. Source: Simonyan et al. (2014).

    >>> layer = nn.Linear(2, 2)
    >>> layer.weight.data = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    >>> gradient_map(layer, torch.zeros(1, 2), torch.tensor([0]))
    tensor([[ 1., -2.]])
    """
    check_inputs("gradient_map", "x", x)
    with undisturbed("gradient_map", model):
        return _logit_gradient("gradient_map", model, x, target)


def smooth_grad(
    model: nn.Module,
    x: Float[Tensor, "n ..."],
    target: Integer[Tensor, " n"],
    sigma: float,
    samples: int,
    generator: torch.Generator,
) -> Float[Tensor, "n ..."]:
    """The gradient map, averaged over `samples` noisy copies of each image (standard deviation sigma, in units of the pixels).

    Raises as `gradient_map`, and ValueError for sigma below 0 or samples below 1. Source: Smilkov et al. (2017).
    """
    check_inputs("smooth_grad", "x", x)
    check_radius("smooth_grad", "sigma", sigma)
    check_count("smooth_grad", "samples", samples)
    total = torch.zeros_like(x)
    with undisturbed("smooth_grad", model):
        for _ in range(samples):
            noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
            total += _logit_gradient("smooth_grad", model, x + sigma * noise, target)
    return total / samples


def integrated_gradients(
    model: nn.Module, x: Float[Tensor, "n ..."], baseline: Float[Tensor, "n ..."], target: Integer[Tensor, " n"], steps: int
) -> Float[Tensor, "n ..."]:
    """How much does each pixel contribute on the way from the baseline to the image? The parts add up to the whole change.

    (x - baseline) * (1 / steps) sum_k d logit_target / d x at baseline + a_k (x - baseline), a_k = (k + 1/2) / steps, k = 0 .. steps - 1: the
    midpoint rule. Completeness: the sum over pixels approaches logit(x) - logit(baseline). x and baseline [n, ...], target [n] -> like x.
    Raises as `gradient_map`, and ValueError for a baseline of another shape or steps below 1. Source: Sundararajan et al. (2017).

    >>> layer = nn.Linear(2, 1, bias=False)
    >>> layer.weight.data = torch.tensor([[1.0, -2.0]])
    >>> integrated_gradients(layer, torch.tensor([[3.0, 1.0]]), torch.zeros(1, 2), torch.tensor([0]), steps=1)
    tensor([[ 3., -2.]])
    """
    name = "integrated_gradients"
    check_inputs(name, "x", x)
    check_inputs(name, "baseline", baseline)
    check_count(name, "steps", steps)
    if baseline.shape != x.shape:
        raise ValueError(f"{name} wants a baseline like x, {list(x.shape)}, got {list(baseline.shape)}; expand it: expand_as(x).")
    total = torch.zeros_like(x)
    with undisturbed(name, model):
        for k in range(steps):
            total += _logit_gradient(name, model, baseline + (k + 0.5) / steps * (x - baseline), target)
    return (x - baseline) * total / steps


def grad_cam(
    model: nn.Module, layer: nn.Module, x: Float[Tensor, "n c h w"], target: Integer[Tensor, " n"]
) -> Float[Tensor, "n h w"]:
    """Where are the feature maps that speak for the target? Coarse: it has the resolution of `layer`, enlarged to the image.

    ReLU(sum_k w_k A_k), w_k = the mean over places of d logit_target / d A_k; A [n, k, ...]: the output of `layer`, a part of the model. The
    ReLU is taken of the sum, not of each term. Raises as `gradient_map`, and ValueError when the layer's output is no map.
    Source: Selvaraju et al. (2017).
    """
    check_inputs("grad_cam", "x", x)
    caught: list[Tensor] = []

    def catch(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        caught.append(output.detach().requires_grad_(True))
        return caught[-1]

    hook = layer.register_forward_hook(catch)
    try:
        with undisturbed("grad_cam", model):
            logits = chosen_logits("grad_cam", model(x), target)
            if len(caught) != 1 or caught[0].ndim != 4:
                raise ValueError(
                    "grad_cam wants a layer of the model that runs once and gives maps [n, k, h, w]; choose the last convolution."
                )
            weights = gradient("grad_cam", logits, caught[0]).mean(dim=(2, 3), keepdim=True)
    finally:
        hook.remove()
    cam = (weights * caught[0].detach()).sum(1, keepdim=True).relu()
    return F.interpolate(cam, size=x.shape[2:], mode="bilinear", align_corners=False)[:, 0]


def occlusion(model: nn.Module, image: Float[Tensor, "c h w"], target: int, window: int, baseline: float) -> Float[Tensor, "h w"]:
    """How much does the target's logit drop when a part of the image is hidden?

    A square of window x window pixels, in all channels, is set to `baseline`, at every place where it fits into the image, one pixel apart.
    drop = logit(image) - logit(hidden). The map has at each pixel the mean drop of the squares that cover it. image [c, h, w] -> [h, w].
    No gradients are needed. Raises TypeError or ValueError for other shapes, a target outside the classes, a window that does not fit.
    Source: Zeiler and Fergus (2014).

    >>> model = nn.Sequential(nn.Flatten(0), nn.Linear(4, 1, bias=False))
    >>> model[1].weight.data = torch.tensor([[1.0, 0.0, 0.0, 2.0]])
    >>> occlusion(nn.Sequential(nn.Flatten(), model[1]), torch.ones(1, 2, 2), target=0, window=1, baseline=0.0)
    tensor([[1., 0.],
            [0., 2.]])
    """
    name = "occlusion"
    check_inputs(name, "image", image)
    check_count(name, "window", window)
    if image.ndim != 3 or window > min(image.shape[1:]):
        raise ValueError(f"{name} wants an image [c, h, w] and a window that fits, got {list(image.shape)} and window {window}.")
    height, width = image.shape[1:]
    places = [(i, j) for i in range(height - window + 1) for j in range(width - window + 1)]
    total, count = (torch.zeros(height, width, dtype=image.dtype) for _ in range(2))
    with undisturbed(name, model), torch.no_grad():
        logits = model(image[None])
        check_targets(name, torch.tensor([target]), 1, logits.shape[1])
        for start in range(0, len(places), BATCH):
            part = places[start : start + BATCH]
            hidden = image.repeat(len(part), 1, 1, 1)
            for copy, (i, j) in zip(hidden, part, strict=True):
                copy[:, i : i + window, j : j + window] = baseline
            drops = logits[0, target] - model(hidden)[:, target]
            for drop, (i, j) in zip(drops, part, strict=True):
                total[i : i + window, j : j + window] += drop
                count[i : i + window, j : j + window] += 1
    return total / count


def linear_shapley(
    weight: Float[Tensor, " d"], x: Float[Tensor, "n d"], background: Float[Tensor, "m d"]
) -> Float[Tensor, "n d"]:
    """How does each feature move the log-odds of a linear model away from its mean over the background?

    phi[i, j] = weight_j (x[i, j] - mean of background[:, j]): the exact Shapley values for features that are switched independently. They add up to
    log-odds(x) - mean log-odds(background). In log-odds, not in probabilities, where features would not add up. Features that go together
    share what they have in common by their weights, and a weight says nothing about causes. Raises ValueError for other shapes.
    Source: Lundberg and Lee (2017).

    >>> linear_shapley(torch.tensor([2.0, -1.0]), torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 1.0], [0.0, 3.0]]))
    tensor([[2., 1.]])
    """
    for argument, value in (("x", x), ("background", background)):
        check_inputs("linear_shapley", argument, value)
    if weight.ndim != 1 or not x.shape[1:] == background.shape[1:] == weight.shape:
        raise ValueError(
            f"linear_shapley wants weight [d], x [n, d] and background [m, d], got {list(weight.shape)}, {list(x.shape)} and "
            f"{list(background.shape)}."
        )
    return weight * (x - background.mean(dim=0))
