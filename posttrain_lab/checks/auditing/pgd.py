"""Cases and known mistakes of `pgd`: many small steps, each followed by a projection into the ball around x and into [0, 1].

Conventions that the notebook states in the same words:
- x_0 = project(start); x_{t+1} = project(x_t + step sign(d loss / d x_t)), `steps` times; project: clamp to [x - eps, x + eps], then to [0, 1];
- loss: the cross entropy of the true labels; start like x, possibly outside of the ball; steps at least 1; like x;
- the model (whose weights may hold gradients already) is asked in eval mode and is left as it was.

The cases have gradients whose signs are clear on the whole way (see `networks`).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.checks.auditing.gradients import loss_gradient, until_clear
from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.engine.small_networks import convolutional, deep, doubled, images, labels, linear, weight_of

Arguments = tuple[nn.Module, Tensor, Tensor, float, float, int, Tensor]
NAMES = ("model", "x", "y", "eps", "step", "steps", "start")


def _project(moved: Tensor, x: Tensor, eps: float) -> Tensor:
    return torch.minimum(torch.maximum(moved, x - eps), x + eps).clamp(0, 1)


def right_pgd(model: nn.Module, x: Tensor, y: Tensor, eps: float, step: float, steps: int, start: Tensor) -> Tensor:
    model, wide = doubled(model), x.double()
    moved = _project(start.double(), wide, eps)
    for _ in range(steps):
        moved = _project(moved + step * loss_gradient(model, moved, y).sign(), wide, eps)
    return moved.to(x.dtype)


def _gradients(model: nn.Module, x: Tensor, y: Tensor, eps: float, step: float, steps: int, start: Tensor) -> list[Tensor]:
    """The gradients on the whole way."""
    model, wide, found = doubled(model), x.double(), []
    moved = _project(start.double(), wide, eps)
    for _ in range(steps):
        found.append(loss_gradient(model, moved, y))
        moved = _project(moved + step * found[-1].sign(), wide, eps)
    return found


def _walk(
    draw: Draw, network: Callable[[], nn.Module], shape: tuple[int, ...], classes: int, steps: int, start: str = "inside"
) -> Arguments:
    """A case with clear gradients; the start is x, in the ball or outside of it."""

    def make() -> Arguments:
        x, eps = images(draw, *shape), round(draw.real(0.06, 0.2), 3)
        step = round(eps * draw.real(0.2, 0.45), 4)
        away = {"x": 0.0, "inside": eps, "outside": 2.5 * eps}[start]
        begin = x + away * draw.uniform(-1, 1, *shape)
        return network(), x, labels(draw, shape[0], classes), eps, step, steps, begin if start == "outside" else begin.clamp(0, 1)

    return until_clear(make, _gradients)


def pgd_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "pgd")
    n = draw.whole(3, 5)
    viewed = _walk(draw, lambda: deep(draw, 20, 8, 3), (n, 1, 4, 5), 3, 4)
    named = _walk(draw, lambda: deep(draw, 12, 6, 4), (1, 12), 4, 3)
    blind = _walk(draw, lambda: _without_every_third(linear(draw, 15, 3)), (n, 1, 3, 5), 3, 3)
    far = _walk(draw, lambda: linear(draw, 20, 2), (n, 1, 4, 5), 2, 14)
    return [
        Case("five steps", _walk(draw, lambda: deep(draw, 24, 9, 4), (n, 1, 4, 6), 4, 5)),
        Case("a start outside of the ball", _walk(draw, lambda: deep(draw, 20, 8, 4), (n, 1, 4, 5), 4, 2, "outside")),
        Case("one step from x itself", _walk(draw, lambda: deep(draw, 20, 8, 3), (n, 1, 4, 5), 3, 1, "x")),
        Case("a linear model, thirty small steps until the corner", (*far[:4], far[3] / 12, 30, far[6])),
        Case("steps as large as the ball", (*far[:4], 1.5 * far[3], 3, far[6])),
        Case("a network in train mode", _trained(_walk(draw, lambda: convolutional(draw, 1, 6, 4, 3, 0.5), (n, 1, 6, 4), 3, 3))),
        Case("views that are not contiguous", (viewed[0], strided(viewed[1]), *viewed[2:6], strided(viewed[6]))),
        Case("pixels that the model does not use", blind),
        Case("eps is 0", (*viewed[:3], 0.0, 0.05, 3, viewed[6])),
        Case("one row of features, by name", (), dict(zip(NAMES, named, strict=True))),
    ]


def _without_every_third(model: nn.Sequential) -> nn.Sequential:
    """A model that does not look at some pixels: their gradient is exactly 0."""
    weight_of(model)[:, ::3] = 0
    return model


def _trained(case: Arguments) -> Arguments:
    return (case[0].train(), *case[1:])


def pgd_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "pgd at work")
    precise = _walk(draw, lambda: doubled(deep(draw, 12, 5, 3)), (4, 12), 3, 6)
    return [
        Case("8 x 8 pixels, ten classes", _walk(draw, lambda: deep(draw, 64, 24, 10), (6, 1, 8, 8), 10, 10)),
        Case("28 x 28 pixels", _walk(draw, lambda: linear(draw, 784, 10), (3, 1, 28, 28), 10, 4)),
        Case("1,100 rows", _walk(draw, lambda: linear(draw, 5, 2), (1100, 5), 2, 3)),
        Case("float64", (precise[0], precise[1].double(), *precise[2:6], precise[6].double())),
    ]


def _the_corner_of_a_linear_model(call: Call, seed: int) -> str | None:
    """Two classes: the worst image is known."""
    draw = Draw(seed, "pgd law")
    model, x, y, eps = linear(draw, 12, 2), images(draw, 5, 12), labels(draw, 5, 2), 0.1
    weight = weight_of(model)
    corner = (x + eps * (weight[1 - y] - weight[y]).sign()).clamp(0, 1)
    start = (x + eps * draw.uniform(-1, 1, 5, 12)).clamp(0, 1)
    found = call(model, x, y, eps, 0.03, 8, start)
    if not torch.allclose(found, corner, atol=1e-5):
        return "on a linear model of two classes, enough steps must reach the corner of the ball, clamp(x + eps sign, 0, 1)."
    before, after = (F.cross_entropy(model(z), y, reduction="none") for z in (start, call(model, x, y, eps, 0.03, 2, start)))
    return None if (after >= before - 1e-6).all() else "on a linear model the loss must not fall below that of the start."


def _with(
    project: Callable[..., Tensor] = _project,
    sign: float = 1.0,
    first: Callable[..., Tensor] | None = None,
    more: int = 0,
    shape: Callable[[Tensor], Tensor] = torch.sign,
) -> Callable[..., Tensor]:
    """The right walk with another projection, direction or start; `project(moved, x, eps, last)`."""

    def mistaken(model: nn.Module, x: Tensor, y: Tensor, eps: float, step: float, steps: int, start: Tensor) -> Tensor:
        net, wide = doubled(model), x.double()
        moved = (first or _project)(start.double(), wide, eps)
        for _ in range(steps + more):
            forward = moved + sign * step * shape(loss_gradient(net, moved, y))
            moved = project(forward, wide, eps) if project is _project else project(forward, wide, eps, moved)
        return moved.to(x.dtype)

    return mistaken


def _around_the_start(model: nn.Module, x: Tensor, y: Tensor, eps: float, step: float, steps: int, start: Tensor) -> Tensor:
    return right_pgd(model, start, y, eps, step, steps, start).to(x.dtype)


def _unprojected(model: nn.Module, x: Tensor, y: Tensor, eps: float, step: float, steps: int, start: Tensor) -> Tensor:
    walk = _with(lambda moved, x, eps, last: moved.clamp(0, 1))
    return _project(walk(model, x, y, eps, step, steps, start).double(), x.double(), eps).to(x.dtype)


def _from_x(model: nn.Module, x: Tensor, y: Tensor, eps: float, step: float, steps: int, start: Tensor) -> Tensor:
    return right_pgd(model, x, y, eps, step, steps, x)


def _own_mode(model: nn.Module, x: Tensor, y: Tensor, eps: float, step: float, steps: int, start: Tensor) -> Tensor:
    model.eval()
    return right_pgd(model, x, y, eps, step, steps, start)


def _first_gradient(model: nn.Module, x: Tensor, y: Tensor, eps: float, step: float, steps: int, start: Tensor) -> Tensor:
    wide = x.double()
    moved = _project(start.double(), wide, eps)
    direction = loss_gradient(doubled(model), moved, y).sign()
    for _ in range(steps):
        moved = _project(moved + step * direction, wide, eps)
    return moved.to(x.dtype)


def _best_of_prediction(model: nn.Module, x: Tensor, y: Tensor, eps: float, step: float, steps: int, start: Tensor) -> Tensor:
    return right_pgd(model, x, doubled(model)(x.double()).argmax(1), eps, step, steps, start)


PGD_MISTAKES = (
    Mistake(
        "around the last iterate",
        "You clamp to the ball around the last image, which moves on, so the change grows; clamp around x.",
        _with(lambda moved, x, eps, last: _project(moved, last, eps)),
    ),
    Mistake(
        "around the start",
        "You clamp to the ball around start; the ball is the one around x.",
        _around_the_start,
    ),
    Mistake(
        "start not projected",
        "You begin outside of the ball when start is outside; project the start before the first step.",
        _with(first=lambda start, x, eps: start),
    ),
    Mistake(
        "no ball",
        "You never clamp to [x - eps, x + eps], so the change may be as large as step times steps; project after each step.",
        _with(lambda moved, x, eps, last: moved.clamp(0, 1)),
    ),
    Mistake(
        "no box",
        "Your pixels leave [0, 1]; clamp to the ball, then to [0, 1], after each step.",
        _with(lambda moved, x, eps, last: torch.minimum(torch.maximum(moved, x - eps), x + eps)),
    ),
    Mistake(
        "no projection at the end",
        "You project before each step but not after the last one; the last image must be in the ball too.",
        lambda model, x, y, eps, step, steps, start: _last_free(model, x, y, eps, step, steps, start),
    ),
    Mistake(
        "ball at the end only",
        "You walk freely and project once at the end; then the gradients belong to images that are not allowed: project each step.",
        _unprojected,
    ),
    Mistake("minus sign", "You decrease the loss, as in training; an attack adds step times the sign.", _with(sign=-1.0)),
    Mistake(
        "gradient without sign",
        "You add the gradient itself; add step times its sign.",
        _with(shape=lambda g: g),
    ),
    Mistake("start ignored", "You begin at x; begin at `start`, which decides where the walk ends.", _from_x),
    Mistake(
        "one gradient",
        "You compute the gradient once; compute it again at each new image.",
        _first_gradient,
    ),
    Mistake("one step too many", "You take one step more than `steps`.", _with(more=1)),
    Mistake("one step too few", "You take one step less than `steps`.", _with(more=-1)),
    Mistake(
        "steps of eps",
        "Your steps have the size eps; use `step`, which is smaller.",
        lambda model, x, y, eps, step, steps, start: right_pgd(model, x, y, eps, eps, steps, start),
    ),
    Mistake(
        "predicted class as label",
        "You use the predicted class; use the true labels y.",
        _best_of_prediction,
    ),
    Mistake(
        "left in eval mode",
        "You leave a model that was in train mode in eval mode; put the mode back (with evaluating(model): ...).",
        _own_mode,
    ),
)


def _last_free(model: nn.Module, x: Tensor, y: Tensor, eps: float, step: float, steps: int, start: Tensor) -> Tensor:
    net, wide = doubled(model), x.double()
    moved = start.double()
    for _ in range(steps):
        moved = _project(moved, wide, eps)
        moved = moved + step * loss_gradient(net, moved, y).sign()
    return moved.to(x.dtype)


pgd = Exercise(
    name="pgd",
    unit="07_auditing",
    points=3,
    difficulty=3,
    minutes=9,
    oracle=right_pgd,
    cases=pgd_cases,
    workload=pgd_workload,
    mistakes=PGD_MISTAKES,
    judge=close(1e-5, 2e-6, strict_dtype=True),
    laws=(Law("a linear model", _the_corner_of_a_linear_model),),
    legal={"not contiguous": "Results may lie in memory in any order (contiguous or not)."},
    through="auditing.gradients:in_training",
    library="auditing:pgd",
)
