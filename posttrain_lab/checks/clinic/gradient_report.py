"""Cases and known mistakes of `gradient_report`: which parameters does a loss reach, and how strongly?

Conventions that the notebook states in the same words:
- {name: (norm of the gradient / norm of the weight, learns)} for every parameter, Euclidean norms; learns: requires_grad;
- a weight whose norm is below 1e-12 counts as 1e-12;
- a frozen parameter, one that the loss does not depend on, and every one of a loss without gradient has 0;
- `.grad` stays as it was, and loss.backward() still works afterwards.

All answers share the graph of one loss, so they differ by the rounding of a norm only: 1e-4 is generous.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.engine.small_networks import convolutional, deep, images, labels, linear

SMALLEST = 1e-12
Report = dict[str, tuple[float, bool]]
Size = Callable[[Tensor], float]


def _norm(values: Tensor) -> float:
    return float(values.detach().double().square().sum().sqrt())


def _gradient(loss: Tensor, p: nn.Parameter) -> Tensor | None:
    if not (p.requires_grad and loss.requires_grad):
        return None
    return torch.autograd.grad(loss, [p], allow_unused=True, retain_graph=True)[0]


def _ratio(gradient: Tensor | None, p: Tensor, size: Size = _norm) -> float:
    return (0.0 if gradient is None else size(gradient)) / max(size(p.detach()), SMALLEST)


def right_report(model: nn.Module, loss: Tensor) -> Report:
    return {name: (_ratio(_gradient(loss, p), p), p.requires_grad) for name, p in model.named_parameters()}


def _frozen(model: nn.Sequential, *layers: int) -> nn.Sequential:
    for layer in layers:
        model[layer].requires_grad_(False)
    return model


def _batch(draw: Draw, *shape: int, classes: int) -> tuple[Tensor, Tensor]:
    return images(draw, *shape), labels(draw, shape[0], classes)


def report_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "gradient report")
    n = draw.whole(5, 8)
    flat = lambda: _batch(draw, n, 1, 3, 4, classes=4)  # noqa: E731
    half, zero = deep(draw, 12, 7, 4), deep(draw, 12, 6, 4)
    half[1].bias.requires_grad_(False)
    zero.get_parameter("3.bias").data.zero_()
    x, y = flat()
    return [
        Case("a bias is frozen, gradients of an earlier loss are there", (half, *flat(), "cross entropy", True)),
        Case("nothing is frozen", (deep(draw, 12, 5, 4), *flat(), "cross entropy", False)),
        Case(
            "a frozen layer, and gradients of an earlier loss", (_frozen(deep(draw, 12, 5, 4), 1), *flat(), "squared error", True)
        ),
        Case("a layer on which the loss does not depend", (deep(draw, 12, 6, 4), *flat(), "hidden", False)),
        Case("a loss without gradient", (deep(draw, 12, 6, 4), *flat(), "detached", False)),
        Case("a bias whose entries are all 0", (zero, *flat(), "cross entropy", False)),
        Case("images that are not contiguous", (linear(draw, 12, 4), strided(x), y, "softmax twice", False)),
        Case(
            "batch norm in train mode",
            (convolutional(draw, 1, 6, 4, 3).train(), *_batch(draw, n, 1, 6, 4, classes=3), "cross entropy", True),
        ),
        Case("small weights", (linear(draw, 12, 4, 0.01), *flat(), "cross entropy", False)),
    ]


def report_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "gradient report at work")
    return [
        Case(
            "images of 28 x 28 pixels, the convolution frozen",
            (_frozen(convolutional(draw, 1, 28, 28, 10), 0), *_batch(draw, 40, 1, 28, 28, classes=10), "cross entropy", True),
        )
    ]


def _with(
    size: Size = _norm, ratio: Callable[[Tensor | None, Tensor], float] | None = None
) -> Callable[[nn.Module, Tensor], Report]:
    """The right answer with another measure of size, or another ratio."""
    ratio = ratio or (lambda gradient, p: _ratio(gradient, p, size))

    def mistaken(model: nn.Module, loss: Tensor) -> Report:
        return {name: (ratio(_gradient(loss, p), p), p.requires_grad) for name, p in model.named_parameters()}

    return mistaken


def _stale(model: nn.Module, loss: Tensor) -> Report:
    return {name: (_ratio(p.grad, p), p.requires_grad) for name, p in model.named_parameters()}


def _piled_up(model: nn.Module, loss: Tensor) -> Report:
    if loss.requires_grad:
        loss.backward(retain_graph=True)
    return _stale(model, loss)


def _freed(model: nn.Module, loss: Tensor) -> Report:
    live = [p for p in model.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss, live, allow_unused=True) if loss.requires_grad else [None] * len(live)
    gradients = dict(zip(map(id, live), found, strict=True))
    return {name: (_ratio(gradients.get(id(p)), p), p.requires_grad) for name, p in model.named_parameters()}


def _live_only(model: nn.Module, loss: Tensor) -> Report:
    return {name: found for name, found in right_report(model, loss).items() if found[1]}


def _reached(model: nn.Module, loss: Tensor) -> Report:
    return {name: (ratio, ratio > 0) for name, (ratio, _) in right_report(model, loss).items()}


def _thawed(model: nn.Module, loss: Tensor) -> Report:
    return {name: (ratio, True) for name, (ratio, _) in right_report(model, loss).items()}


def _of_all(model: nn.Module, loss: Tensor) -> Report:
    whole = sum(_norm(p) ** 2 for p in model.parameters()) ** 0.5
    return _with(ratio=lambda gradient, p: (0.0 if gradient is None else _norm(gradient)) / whole)(model, loss)


REPORT_MISTAKES = (
    Mistake(
        "stale", "You read .grad, which an earlier backward() has left; ask torch.autograd.grad for those of this loss.", _stale
    ),
    Mistake(
        "piled up",
        "You call backward(), which adds to .grad; torch.autograd.grad gives the gradients and leaves .grad alone.",
        _piled_up,
    ),
    Mistake("graph freed", "Afterwards loss.backward() no longer works; add retain_graph=True.", _freed),
    Mistake(
        "frozen left out", "Parameters that do not learn are missing; they belong to the report, with 0 and False.", _live_only
    ),
    Mistake(
        "not relative",
        "You return the norm of the gradient; divide it by the norm of the weight.",
        _with(ratio=lambda gradient, p: 0.0 if gradient is None else _norm(gradient)),
    ),
    Mistake("of all weights", "You divide by the norm of all weights together; divide each by the norm of its own.", _of_all),
    Mistake(
        "largest entry",
        "You take the largest entry; take the Euclidean norm, of gradient and weight.",
        _with(size=lambda values: float(values.detach().abs().max())),
    ),
    Mistake(
        "largest entry of the gradient",
        "You take the largest entry of the gradient; take its Euclidean norm.",
        _with(ratio=lambda gradient, p: (0.0 if gradient is None else float(gradient.abs().max())) / max(_norm(p), SMALLEST)),
    ),
    Mistake(
        "mean",
        "You average magnitudes; take the Euclidean norm, of gradient and weight.",
        _with(size=lambda values: float(values.detach().abs().mean())),
    ),
    Mistake(
        "sum of magnitudes of the gradient",
        "You add the magnitudes of the gradient; take its Euclidean norm.",
        _with(ratio=lambda gradient, p: (0.0 if gradient is None else float(gradient.abs().sum())) / max(_norm(p), SMALLEST)),
    ),
    Mistake(
        "squares",
        "Your norms are without the square root.",
        _with(size=lambda values: _norm(values) ** 2),
    ),
    Mistake(
        "learns by gradient",
        "You say that a parameter learns if its gradient is not 0; it learns if requires_grad is true.",
        _reached,
    ),
    Mistake("all learn", "You say that every parameter learns; frozen ones have requires_grad = False.", _thawed),
    Mistake(
        "1 added",
        "You add something to the norm of the weight; divide by max(norm, 1e-12).",
        _with(ratio=lambda gradient, p: (0.0 if gradient is None else _norm(gradient)) / (_norm(p) + 1e-3)),
    ),
)


gradient_report = Exercise(
    name="gradient_report",
    unit="11_clinic",
    points=2,
    difficulty=2,
    minutes=9,
    oracle=right_report,
    cases=report_cases,
    workload=report_workload,
    mistakes=REPORT_MISTAKES,
    judge=close(1e-4, 1e-9),
    legal={
        "inputs in bfloat16": "The gradient of a loss stays what it is when the value of the loss is rounded.",
        "inputs in float16": "The gradient of a loss stays what it is when the value of the loss is rounded.",
    },
    through="clinic.at_work:reported",
    library="clinic:gradient_report",
)
