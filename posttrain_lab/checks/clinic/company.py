"""Cases and known mistakes of `company`: does an answer depend on who else is in the batch?

Conventions that the notebook states in the same words:
- the largest |model(x) - model(quarters of x)| over all examples and logits; the quarters are x.chunk(4), at least 8 examples;
- the model answers in the mode that it is in, and is left as it was, statistics too: ask a copy; the result is a plain float.

In eval mode, rounding is all that is left: below 1e-5 for logits of these sizes.
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


def _answers(model: nn.Module, x: Tensor, parts: Callable[[Tensor], tuple[Tensor, ...]]) -> tuple[Tensor, Tensor]:
    twin = copy.deepcopy(model)
    with torch.no_grad():
        return twin(x), torch.cat([twin(part) for part in parts(x)])


def _quarters(x: Tensor) -> tuple[Tensor, ...]:
    return x.chunk(4)


def _largest(together: Tensor, parted: Tensor) -> Tensor:
    return (together - parted).abs().max()


def _with(
    measure: Measure = _largest, parts: Callable[[Tensor], tuple[Tensor, ...]] = _quarters
) -> Callable[[nn.Module, Tensor], float]:
    return lambda model, x: float(measure(*_answers(model, x, parts)))


right_company = _with()


def _network(draw: Draw) -> nn.Sequential:
    return convolutional(draw, 1, 6, 4, 3).train()


def _uneven(draw: Draw, n: int, *shape: int) -> Tensor:
    """Examples that grow along the batch, so that its parts differ."""
    scale = torch.linspace(0.2, 4, n).view(-1, *[1] * len(shape))
    return (draw.normal(n, *shape) * scale)[torch.randperm(n, generator=draw.generator)]


def _frozen_norm(draw: Draw) -> nn.Sequential:
    """In train mode, but for its batch norm."""
    model = _network(draw)
    model[1].eval()
    return model


def company_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "company")
    shape = (1, 6, 4)
    return [
        Case("batch norm in train mode", (_network(draw), _uneven(draw, 16, *shape))),
        Case("batch norm in eval mode", (_network(draw).eval(), _uneven(draw, 16, *shape))),
        Case("all in train mode but the batch norm", (_frozen_norm(draw), _uneven(draw, 12, *shape))),
        Case("no batch norm, train mode", (deep(draw, 24, 9, 3).train(), _uneven(draw, 13, *shape))),
        Case("parts of different sizes", (_network(draw), _uneven(draw, 13, *shape))),
        Case("eight examples, a view that is not contiguous", (_network(draw), strided(_uneven(draw, 8, *shape)))),
        Case("two channels", (convolutional(draw, 2, 4, 6, 5).train(), _uneven(draw, 20, 2, 4, 6))),
        Case(
            "the first examples are alike",
            (_network(draw), torch.cat([images(draw, 1, *shape).expand(4, *shape), _uneven(draw, 12, *shape)])),
        ),
    ]


def company_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "company at work")
    return [Case("64 images of 28 x 28 pixels", (convolutional(draw, 1, 28, 28, 10).train(), images(draw, 64, 1, 28, 28)))]


def _dropout_is_heard(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "company law")
    x = images(draw, 16, 1, 6, 4)
    awake, asleep = (call(convolutional(draw, 1, 6, 4, 3, dropout=0.5).train(mode), x) for mode in (True, False))
    return (
        None
        if asleep < 1e-4 < awake
        else f"dropout must be heard in train mode and not in eval mode; got {awake:.3g} and {asleep:.3g}."
    )


def _evaluated(model: nn.Module, x: Tensor) -> float:
    return right_company(copy.deepcopy(model).eval(), x)


def _trained(model: nn.Module, x: Tensor) -> float:
    return right_company(copy.deepcopy(model).train(), x)


def _asked_twice(model: nn.Module, x: Tensor) -> float:
    twin = copy.deepcopy(model)
    with torch.no_grad():
        return float(_largest(twin(x), twin(x)))


COMPANY_MISTAKES = (
    Mistake(
        "eval first", "You set the model to eval mode first; ask it in the mode in which it is, that is the question.", _evaluated
    ),
    Mistake("train first", "You set the model to train mode; ask it in the mode in which it is.", _trained),
    Mistake("asked twice", "You ask twice with the same batch; the second time cut it into quarters.", _asked_twice),
    Mistake(
        "mean",
        "You take the mean of the changes; take the largest.",
        _with(lambda together, parted: (together - parted).abs().mean()),
    ),
    Mistake(
        "without magnitude",
        "You take the largest difference with its sign; take the magnitude first.",
        _with(lambda together, parted: (together - parted).max().clamp_min(-9.0)),
    ),
    Mistake(
        "classes only",
        "You count examples whose class changes; measure by how much a logit changes.",
        _with(lambda together, parted: (together.argmax(1) != parted.argmax(1)).double().mean()),
    ),
    Mistake(
        "first example",
        "You look at the first example only; take all of them.",
        _with(lambda together, parted: _largest(together[:1], parted[:1])),
    ),
    Mistake(
        "first quarter",
        "You look at the first quarter only; put all four together again.",
        _with(lambda together, parted: _largest(together[: -(-len(together) // 4)], parted[: -(-len(together) // 4)])),
    ),
    Mistake("halves", "You cut the batch into halves; cut it into quarters, x.chunk(4).", _with(parts=lambda x: x.chunk(2))),
    Mistake(
        "probabilities",
        "You compare probabilities; compare logits.",
        _with(lambda together, parted: _largest(together.softmax(1), parted.softmax(1))),
    ),
    Mistake(
        "sum of the logits",
        "You add the changes of an example's logits; take the largest one.",
        _with(lambda together, parted: (together - parted).abs().sum(1).max()),
    ),
    Mistake(
        "norm",
        "You take the norm of an example's changes; take the largest one.",
        _with(lambda together, parted: (together - parted).norm(dim=1).max()),
    ),
    Mistake(
        "relative",
        "You divide by the size of the logits; return the change itself.",
        _with(lambda together, parted: _largest(together, parted) / together.abs().max()),
    ),
)


company = Exercise(
    name="company",
    unit="11_clinic",
    points=2,
    difficulty=2,
    minutes=7,
    oracle=right_company,
    cases=company_cases,
    workload=company_workload,
    mistakes=COMPANY_MISTAKES,
    judge=close(1e-4, 2e-5),
    laws=(Law("dropout is heard", _dropout_is_heard),),
    library="clinic:company",
)
