"""Cases and known mistakes of `same_answers`: by how much do two networks differ that should compute the same?

Conventions that the notebook states in the same words:
- max |a(x) - b(x)| over all examples and all logits, a plain float; infinite where an answer is NaN;
- both answer in eval mode, and are then in the modes in which they were.

The rest is float32 rounding: 1e-5 for logits of these sizes.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.engine.small_networks import convolutional, deep, images

Measure = Callable[[Tensor, Tensor], Tensor]
INF, NAN = float("inf"), float("nan")


def _answers(a: nn.Module, b: nn.Module, x: Tensor, train: bool | None = False) -> tuple[Tensor, Tensor]:
    """What both say. train=None: each in the mode in which it is."""
    twins = [copy.deepcopy(model) if train is None else copy.deepcopy(model).train(train) for model in (a, b)]
    with torch.no_grad():
        return twins[0](x).double(), twins[1](x).double()


def _largest(first: Tensor, second: Tensor) -> Tensor:
    return (first - second).abs().max()


def _with(
    measure: Measure = _largest, nan: float = INF, train: bool | None = False
) -> Callable[[nn.Module, nn.Module, Tensor], float]:
    """The right answer with another measure, another value where one says NaN, or another mode."""

    def answer(a: nn.Module, b: nn.Module, x: Tensor) -> float:
        first, second = _answers(a, b, x, train)
        if first.isnan().any() or second.isnan().any():
            return nan
        return float(measure(first, second))

    return answer


right_same = _with()


def _noisy(draw: Draw, model: nn.Sequential, size: float) -> nn.Sequential:
    twin = copy.deepcopy(model)
    for p in twin.parameters():
        p.data += size * draw.normal(*p.shape)
    return twin


def _broken(model: nn.Sequential, value: float = NAN) -> nn.Sequential:
    twin = copy.deepcopy(model)
    list(twin.parameters())[-1].data[0] = value
    return twin


def _one_logit(draw: Draw, model: nn.Sequential, by: float) -> nn.Sequential:
    """The same network but for one logit."""
    twin = copy.deepcopy(model)
    list(twin.parameters())[-1].data[draw.whole(0, 2)] += by
    return twin


def _other_norm(draw: Draw, model: nn.Sequential) -> nn.Sequential:
    """The statistics of the batch norm are other ones: seen in eval mode only."""
    twin = copy.deepcopy(model)
    twin.get_buffer("1.running_mean").add_(draw.normal(4, std=0.5))
    return twin


def same_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "same answers")
    n = draw.whole(6, 9)
    x = lambda: images(draw, n, 1, 6, 4)  # noqa: E731
    net, rows = convolutional(draw, 1, 6, 4, 3, dropout=0.5), deep(draw, 24, 7, 3)
    return [
        Case("two different networks", (rows, deep(draw, 24, 5, 3), x())),
        Case("a noisy copy", (rows, _noisy(draw, rows, 0.02), x())),
        Case("the same network", (rows, copy.deepcopy(rows), x())),
        Case("one logit is larger", (rows, _one_logit(draw, rows, 0.75), x())),
        Case("one logit is smaller, a view that is not contiguous", (rows, _one_logit(draw, rows, -0.5), strided(x()))),
        Case(
            "other statistics in a batch norm, both in train mode",
            (copy.deepcopy(net).train(), _other_norm(draw, net).train(), x()),
        ),
        Case("the first in train mode", (copy.deepcopy(net).train(), net, x())),
        Case("the second in train mode", (net, copy.deepcopy(net).train(), x())),
        Case("the second says NaN", (rows, _broken(rows), x())),
        Case("both say NaN", (_broken(rows), _broken(rows), x())),
        Case("inputs of both signs", (rows, _noisy(draw, rows, 0.1), draw.normal(n, 24))),
        Case("one image, by name", (), dict(zip("abx", (rows, _noisy(draw, rows, 0.3), images(draw, 1, 1, 6, 4)), strict=True))),
    ]


def same_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "same answers at work")
    net = convolutional(draw, 1, 28, 28, 10)
    return [Case("60 images of 28 x 28 pixels", (net, _noisy(draw, net, 1e-3), images(draw, 60, 1, 28, 28)))]


def _both_ways(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "same answers law")
    a, b, x = deep(draw, 12, 5, 3), deep(draw, 12, 6, 3), draw.normal(7, 12)
    there, back = call(a, b, x), call(b, a, x)
    return None if abs(there - back) <= 1e-6 * abs(there) else f"a against b is {there:.6g}, b against a {back:.6g}."


SAME_MISTAKES = (
    Mistake(
        "classes only",
        "You compare classes; a network can be wrong long before a class changes, so compare logits.",
        _with(lambda a, b: (a.argmax(1) != b.argmax(1)).double().mean()),
    ),
    Mistake("mean", "You take the mean; take the largest difference.", _with(lambda a, b: (a - b).abs().mean())),
    Mistake("without magnitude", "You take the largest a - b; take the magnitude first.", _with(lambda a, b: (a - b).max())),
    Mistake(
        "first minus largest",
        "You compare the largest logits of both; compare logit by logit.",
        _with(lambda a, b: (a.amax(1) - b.amax(1)).abs().max()),
    ),
    Mistake(
        "in their modes", "The networks answer in the mode in which they are; set both to eval mode meanwhile.", _with(train=None)
    ),
    Mistake("train mode", "The networks answer in train mode; set both to eval mode meanwhile.", _with(train=True)),
    Mistake(
        "probabilities", "You compare probabilities; compare logits.", _with(lambda a, b: _largest(a.softmax(1), b.softmax(1)))
    ),
    Mistake("first example", "You look at the first example only; take all of them.", _with(lambda a, b: _largest(a[:1], b[:1]))),
    Mistake(
        "first logit", "You look at the first logit only; take all of them.", _with(lambda a, b: _largest(a[:, :1], b[:, :1]))
    ),
    Mistake(
        "relative",
        "You divide by the size of the logits; return the difference itself.",
        _with(lambda a, b: _largest(a, b) / a.abs().max()),
    ),
    Mistake(
        "norm",
        "You take the norm over an example's logits; take the largest difference.",
        _with(lambda a, b: (a - b).norm(dim=1).max()),
    ),
    Mistake("squares", "You return a squared difference; return the difference.", _with(lambda a, b: _largest(a, b) ** 2)),
    Mistake("NaN", "You return NaN where a network says NaN; NaN is never above a limit, so return infinity.", _with(nan=NAN)),
    Mistake("0 for NaN", "Where a network says NaN you return 0; that is no equal answer, return infinity.", _with(nan=0.0)),
)


same_answers = Exercise(
    name="same_answers",
    unit="11_clinic",
    points=2,
    difficulty=1,
    minutes=7,
    oracle=right_same,
    cases=same_cases,
    workload=same_workload,
    mistakes=SAME_MISTAKES,
    judge=close(1e-4, 2e-5),
    laws=(Law("both ways", _both_ways),),
    library="clinic:same_answers",
)
