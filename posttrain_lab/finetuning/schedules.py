"""Learning-rate schedules as functions of the step, and a search for the rate to begin with.

Sources: warmup, Goyal et al. 2017; cosine, Loshchilov and Hutter 2017; the search, Smith 2017. Left out: restarts, and
schedules that look at the loss.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.training import Hooks, NotFiniteError, TrainingConfig, train

Schedule = Callable[[int, int], float]


def _check(caller: str, step: int, steps: int, warmup: int) -> None:
    if not 0 <= step <= steps or steps < 1 or not 0 <= warmup <= steps:
        raise ValueError(
            f"{caller} wants 0 <= step <= steps and 0 <= warmup <= steps, got step={step}, steps={steps}, warmup={warmup}."
        )


def linear_warmup(step: int, steps: int, warmup: int = 0) -> float:
    """The factor of the learning rate that rises from 0 for `warmup` steps and then falls linearly to 0.

    >>> [linear_warmup(step, steps=6, warmup=2) for step in range(7)]
    [0.0, 0.5, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    _check("linear_warmup", step, steps, warmup)
    return step / warmup if step < warmup else (steps - step) / max(1, steps - warmup)


def cosine(step: int, steps: int, warmup: int = 0) -> float:
    """The factor of the learning rate that rises from 0 for `warmup` steps and then falls to 0 along half a cosine.

    (1 + cos(pi t)) / 2,  t = (step - warmup) / (steps - warmup). Source: Loshchilov and Hutter 2017.

    >>> [round(cosine(step, steps=4), 3) for step in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """
    _check("cosine", step, steps, warmup)
    return step / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def constant(step: int, steps: int) -> float:
    """The factor 1 at every step: a constant learning rate.

    >>> constant(3, 10)
    1.0
    """
    return 1.0


def following(factor: Schedule) -> Callable[[torch.optim.Optimizer, int], Any]:
    """A schedule of this module for `Hooks(schedule=...)` of the training loop; every group has its own peak rate.

    >>> hooks = Hooks(schedule=following(lambda step, steps: cosine(step, steps, warmup=steps // 10)))
    """
    return lambda optimizer, steps: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor(min(step, steps), steps))


@dataclass(frozen=True)
class RateFinding:
    """Result of `find_rate`: the loss before each step, at a growing rate; `suggestion` is the rate where it fell fastest."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float


@dataclass(frozen=True)
class RateRange:
    """Which rates `find_rate` tries: from `low` to `high` in `steps` steps of equal ratio."""

    low: float = 1e-5
    high: float = 1.0
    steps: int = 60

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high or self.steps < 5:
            raise ValueError(f"find_rate wants 0 < low < high and steps >= 5, got {self.low}, {self.high}, {self.steps}.")


class _Enough(Exception):
    """Raised inside `find_rate` to stop training: the loss has diverged."""


def find_rate(
    model: nn.Module, images: Tensor, labels: Tensor, config: TrainingConfig | None = None, tried: RateRange | None = None
) -> RateFinding:
    """How large may the learning rate be? Train a copy for some steps, the rate growing each time, and watch the loss.

    images, labels: training examples. It stops when the smoothed loss (each new one counts 10 %) is four times its lowest.
    `suggestion`: the rate of the steepest fall of the smoothed loss over the logarithm of the rate, before its lowest point.
    The model is not changed. Raises as `train` does; NaN ends the search like any other diverged loss.
    Source: Smith 2017, "Cyclical learning rates for training neural networks".
    """
    config, tried = TrainingConfig() if config is None else config, tried or RateRange()
    peak = config.learning_rate
    growth = (tried.high / tried.low) ** (1 / (tried.steps - 1))
    seen: list[float] = []
    smooth: list[float] = []

    def loss(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        value = F.cross_entropy(net(x), y)
        seen.append(value.item())
        smooth.append(value.item() if not smooth else 0.9 * smooth[-1] + 0.1 * value.item())
        if len(seen) > tried.steps or smooth[-1] > 4 * min(smooth):
            raise _Enough
        return value

    def schedule(optimizer: torch.optim.Optimizer, steps: int) -> Any:
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: tried.low * growth**step / peak)

    epochs = tried.steps // max(1, -(-len(labels) // config.batch_size)) + 1
    config = dataclasses.replace(config, epochs=epochs)
    with contextlib.suppress(_Enough, NotFiniteError):
        train(model, images, labels, config, progress=False, hooks=Hooks(loss=loss, schedule=schedule))
    count = min(len(seen), tried.steps)
    rates = tuple(tried.low * growth**step for step in range(count))
    return RateFinding(rates, tuple(seen[:count]), _steepest(rates, smooth[:count]))


def _steepest(rates: tuple[float, ...], smooth: list[float]) -> float:
    """The rate at which the smoothed loss falls fastest, up to its lowest point."""
    finite = [value if math.isfinite(value) else math.inf for value in smooth]
    end = max(2, finite.index(min(finite)) + 1)
    falls = [finite[i] - finite[i + 1] for i in range(min(end, len(finite)) - 1)]
    return rates[falls.index(max(falls))] if falls else rates[0]
