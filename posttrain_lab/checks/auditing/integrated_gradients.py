"""Cases and known mistakes of `integrated_gradients`: how much does each pixel contribute on the way from the baseline to the image?

Conventions that the notebook states in the same words:
- (x - baseline) * mean over k of d logit_target / d x at baseline + a_k (x - baseline), a_k = (k + 1/2) / steps, k = 0 .. steps - 1;
- x, baseline float [n, ...] of one shape, target int64 [n]; like x; the logit of each image's own target, no softmax;
- the model (in eval mode; its weights may hold gradients already) and x are left as they were.

The oracle works in float64; float32 in any order of its sums stays within 1e-5 of the largest contribution.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import near
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.engine.small_networks import convolutional, deep, doubled, images, labels, linear

NAMES = ("model", "x", "baseline", "target", "steps")
Output = Callable[[Tensor, Tensor], Tensor]


def _own_logit(logits: Tensor, target: Tensor) -> Tensor:
    return logits.gather(1, target[:, None])[:, 0]


def _slope(model: nn.Module, at: Tensor, target: Tensor, output: Output = _own_logit) -> Tensor:
    at = at.detach().clone().requires_grad_(True)
    return torch.autograd.grad(output(model(at), target).sum(), at)[0]


def _along(
    places: Callable[[int], list[float]], output: Output = _own_logit, total: bool = False
) -> Callable[[nn.Module, Tensor, Tensor, Tensor, int], Tensor]:
    """The rule with these places between baseline (0) and image (1)."""

    def rule(model: nn.Module, x: Tensor, baseline: Tensor, target: Tensor, steps: int) -> Tensor:
        net, low, way = doubled(model), baseline.double(), x.double() - baseline.double()
        slopes = [_slope(net, low + a * way, target, output) for a in places(steps)]
        mean = torch.stack(slopes).sum(0) / (1 if total else len(slopes))
        return (way * mean).to(x.dtype)

    return rule


def _middles(steps: int) -> list[float]:
    return [(k + 0.5) / steps for k in range(steps)]


right_integrated = _along(_middles)


def _case(draw: Draw, model: nn.Module, shape: tuple[int, ...], classes: int, steps: int) -> tuple:
    x, baseline = images(draw, *shape), images(draw, *shape, inside=0.2)
    return model, x, baseline, labels(draw, shape[0], classes), steps


def integrated_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "integrated")
    n = draw.whole(3, 5)
    model, x, baseline, target, steps = _case(draw, deep(draw, 24, 12, 4), (n, 1, 4, 6), 4, 5)
    named = _case(draw, deep(draw, 12, 7, 3), (2, 12), 3, 3)
    return [
        Case("a network with a hidden layer", _case(draw, deep(draw, 24, 12, 4), (n, 1, 4, 6), 4, 4)),
        Case("one step", _case(draw, deep(draw, 24, 12, 4), (n, 1, 4, 6), 4, 1)),
        Case("a linear model", _case(draw, linear(draw, 20, 3), (n, 1, 4, 5), 3, 2)),
        Case("a convolutional network", _case(draw, convolutional(draw, 2, 6, 4, 3), (n, 2, 6, 4), 3, 7)),
        Case("views that are not contiguous", (model, strided(x), strided(baseline), target, steps)),
        Case("a black baseline", (model, x, torch.zeros_like(x), target, steps)),
        Case("the baseline is the image", (model, x, x.clone(), target, steps)),
        Case(
            "rows of features of both signs, by name", (), dict(zip(NAMES, (named[0], named[1] - 0.5, *named[2:]), strict=True))
        ),
        Case("one image", _case(draw, deep(draw, 15, 8, 5), (1, 1, 3, 5), 5, 6)),
        Case("small logits", _case(draw, deep(draw, 15, 8, 3, 0.02), (n, 15), 3, 3)),
    ]


def integrated_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "integrated at work")
    precise = _case(draw, doubled(deep(draw, 12, 5, 3)), (3, 12), 3, 4)
    trained = _case(draw, deep(draw, 784, 16, 10), (4, 1, 28, 28), 10, 32)
    return [
        Case("28 x 28 pixels, 32 steps", trained),
        Case("1,100 rows", _case(draw, deep(draw, 6, 5, 3), (1100, 6), 3, 2)),
        Case("float64", (precise[0], precise[1].double(), precise[2].double(), *precise[3:])),
        Case("large features", (linear(draw, 8, 3), 1e5 * draw.normal(3, 8), 1e4 * draw.normal(3, 8), labels(draw, 3, 3), 2)),
    ]


def _complete(call: Call, seed: int) -> str | None:
    """The parts of a linear model are exact with one step, those of a smooth network to a thousandth with 64 (with ReLU, kinks cost more)."""
    draw = Draw(seed, "integrated law")
    smooth = deep(draw, 12, 8, 3)
    smooth[2] = nn.GELU()
    for words, network, steps in (("a linear model", linear(draw, 12, 3), 1), ("a smooth network", smooth, 64)):
        model, x, baseline, target, _ = _case(draw, network, (4, 12), 3, steps)
        with torch.no_grad():
            change = _own_logit(model(x), target) - _own_logit(model(baseline), target)
        parts = call(model, x, baseline, target, steps)
        gap = ((parts.sum(1) - change).abs() / parts.abs().sum(1)).max()
        if not gap <= 1e-3:
            return f"the parts must add up to logit(x) - logit(baseline); of {words} they miss it by {float(gap):.2%}."
    return None


def _trapezoid(model: nn.Module, x: Tensor, baseline: Tensor, target: Tensor, steps: int) -> Tensor:
    left, right = (_along(lambda n, more=more: [(k + more) / n for k in range(n)]) for more in (0, 1))
    return (left(model, x, baseline, target, steps) + right(model, x, baseline, target, steps)) / 2


def _softmax(logits: Tensor, target: Tensor) -> Tensor:
    return _own_logit(logits.softmax(1), target)


def _log_softmax(logits: Tensor, target: Tensor) -> Tensor:
    return _own_logit(logits.log_softmax(1), target)


def _first_target(logits: Tensor, target: Tensor) -> Tensor:
    return logits[:, int(target[0])]


def _all(logits: Tensor, target: Tensor) -> Tensor:
    return logits.sum(1)


def _largest(logits: Tensor, target: Tensor) -> Tensor:
    return logits.amax(1)


def _gradient_only(model: nn.Module, x: Tensor, baseline: Tensor, target: Tensor, steps: int) -> Tensor:
    return _slope(doubled(model), x.double(), target).to(x.dtype)


def _gradient_times(x_only: bool) -> Callable[..., Tensor]:
    def mistaken(model: nn.Module, x: Tensor, baseline: Tensor, target: Tensor, steps: int) -> Tensor:
        factor = x if x_only else x - baseline
        return factor * _slope(doubled(model), x.double(), target).to(x.dtype)

    return mistaken


def _mean_slope(model: nn.Module, x: Tensor, baseline: Tensor, target: Tensor, steps: int) -> Tensor:
    net, low, way = doubled(model), baseline.double(), x.double() - baseline.double()
    return torch.stack([_slope(net, low + a * way, target) for a in _middles(steps)]).mean(0).to(x.dtype)


def _black(model: nn.Module, x: Tensor, baseline: Tensor, target: Tensor, steps: int) -> Tensor:
    return right_integrated(model, x, torch.zeros_like(x), target, steps)


def _times_x(model: nn.Module, x: Tensor, baseline: Tensor, target: Tensor, steps: int) -> Tensor:
    return x * _mean_slope(model, x, baseline, target, steps)


def _backwards(model: nn.Module, x: Tensor, baseline: Tensor, target: Tensor, steps: int) -> Tensor:
    return -right_integrated(model, x, baseline, target, steps)


def _from_black(model: nn.Module, x: Tensor, baseline: Tensor, target: Tensor, steps: int) -> Tensor:
    """The places are a_k x, the factor is right."""
    return (x - baseline) * _mean_slope(model, x, torch.zeros_like(x), target, steps)


INTEGRATED_MISTAKES = (
    Mistake(
        "left rule",
        "Your places begin at the baseline, k / steps (left rule); use the middles of the steps, (k + 1/2) / steps.",
        _along(lambda steps: [k / steps for k in range(steps)]),
    ),
    Mistake(
        "right rule",
        "Your places end at the image, (k + 1) / steps (right rule); use the middles of the steps, (k + 1/2) / steps.",
        _along(lambda steps: [(k + 1) / steps for k in range(steps)]),
    ),
    Mistake(
        "both ends",
        "Your places run from the baseline to the image, both included; use the middles of the steps, (k + 1/2) / steps.",
        _along(lambda steps: torch.linspace(0, 1, max(steps, 2)).tolist()[:steps]),
    ),
    Mistake(
        "trapezoids",
        "You average the gradients at the ends of each step (trapezoidal rule); use those at the middles, (k + 1/2) / steps.",
        _trapezoid,
    ),
    Mistake(
        "probability",
        "You explain a probability (softmax), which mixes in the other classes; take the target's logit.",
        _along(_middles, _softmax),
    ),
    Mistake(
        "log-probability",
        "You explain a log-probability, which mixes in the other classes; take the target's logit.",
        _along(_middles, _log_softmax),
    ),
    Mistake(
        "gradient times image",
        "You multiply the gradient at x by x; average the gradients on the way, and multiply by x - baseline.",
        _gradient_times(x_only=True),
    ),
    Mistake(
        "gradient times difference",
        "You use the gradient at x alone; average it over the way from the baseline.",
        _gradient_times(x_only=False),
    ),
    Mistake("gradient", "You return the gradient at x; average it over the way, and multiply by x - baseline.", _gradient_only),
    Mistake(
        "first target for all",
        "You use the first target for every image; each image has its own.",
        _along(_middles, _first_target),
    ),
    Mistake(
        "largest logit",
        "You explain the largest logit; explain that of `target`, whichever class the model prefers.",
        _along(_middles, _largest),
    ),
    Mistake(
        "all logits",
        "You add all logits of an image; take the one of its target (logits[torch.arange(n), target], or gather).",
        _along(_middles, _all),
    ),
    Mistake(
        "difference forgotten",
        "You return the mean gradient; multiply it by x - baseline, or the parts do not add up to the change.",
        _mean_slope,
    ),
    Mistake("times x", "You multiply by x; multiply by x - baseline.", _times_x),
    Mistake("black baseline", "You take black (0) as the baseline; use the given one.", _black),
    Mistake(
        "way from black",
        "Your places are a_k x, on the way from black; they are baseline + a_k (x - baseline).",
        _from_black,
    ),
    Mistake(
        "sum of gradients",
        "You add the gradients; divide by steps.",
        _along(_middles, total=True),
    ),
    Mistake("sign", "You multiply by baseline - x; multiply by x - baseline.", _backwards),
    Mistake(
        "absolute values",
        "You take absolute values; a pixel that speaks against the target has a negative part.",
        lambda *case: right_integrated(*case).abs(),
    ),
)


integrated_gradients = Exercise(
    name="integrated_gradients",
    unit="07_auditing",
    points=3,
    difficulty=3,
    minutes=11,
    oracle=right_integrated,
    cases=integrated_cases,
    workload=integrated_workload,
    mistakes=INTEGRATED_MISTAKES,
    judge=near(1e-5, strict_dtype=True),
    laws=(Law("completeness", _complete),),
    legal={"not contiguous": "Results may lie in memory in any order (contiguous or not)."},
    through="auditing.gradients:in_training",
    library="auditing:integrated_gradients",
)
