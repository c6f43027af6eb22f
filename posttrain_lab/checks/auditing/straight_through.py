"""Cases and known mistakes of `straight_through`: a rounded network whose outputs stay and whose gradient is that of its float path.

Conventions that the notebook states in the same words:
- quantized: an nn.Sequential, some of whose layers (its own, not nested ones) are `lib.Rounding`, which round to a grid of 2^bits numbers;
- the result is a new nn.Module: for every x the outputs of `quantized`, and the gradient as if each `Rounding` were the identity, also
  where it clamps; `quantized` itself is not changed.

The network is built in the student's process (`outputs_of`), from weights and grids. x + (rounded - x) is rounded to float32 once more:
the judge allows 1e-5 of an output and 1e-4 of a gradient.
"""

import copy
import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from posttrain_lab.auditing import Rounding
from posttrain_lab.checks.engine.adapters import adapter
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided

Grid = tuple[float, int, int]  # scale, zero point, bits


def built(weights: list[Tensor], grids: list[Grid | None]) -> nn.Sequential:
    """Rounding and a linear layer in turn, with ReLU between; a grid of None: no rounding there."""
    layers: list[nn.Module] = []
    for number, (weight, grid) in enumerate(zip(weights, grids, strict=True)):
        layers += [nn.ReLU()] if number else []
        layers += [] if grid is None else [Rounding(*grid)]
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        layer.weight = nn.Parameter(weight.clone(), requires_grad=False)
        layers.append(layer)
    return nn.Sequential(*layers).eval()


@adapter
def outputs_of(function: Callable[[nn.Module], Any], x: Tensor, weights: list[Tensor], grids: list[Grid | None]) -> Tensor:
    """The outputs for x of what the function makes of the rounded network, with their gradients."""
    with torch.random.fork_rng(devices=[]):
        quantized = built(weights, grids)
    passing = function(quantized)
    if not isinstance(passing, nn.Module):
        raise TypeError(f"an nn.Module is wanted, a {type(passing).__name__} was returned")
    return passing(x)


class _Passing(nn.Module):
    """The right answer for one layer; `mistake` changes it."""

    def __init__(self, rounding: Rounding, mistake: str = "") -> None:
        super().__init__()
        self.rounding, self.mistake = rounding, mistake

    def forward(self, x: Tensor) -> Tensor:
        rounded, own = self.rounding(x).detach(), self.rounding
        low, high = ((end - own.zero_point) * own.scale for end in (-(2 ** (own.bits - 1)), 2 ** (own.bits - 1) - 1))
        smooth = {
            "clipped": x.clamp(low, high),
            "times scale": own.scale * x,
            "over scale": x / own.scale,
            "minus": -x,
            "squashed": (x / own.scale).tanh(),
        }.get(self.mistake, x)
        if self.mistake == "float":
            return x
        if self.mistake == "noise":
            return x + own.scale * (torch.arange(x.numel(), dtype=x.dtype).reshape(x.shape) % 3 - 1) / 3
        if self.mistake == "unclamped":
            rounded = (x / own.scale).round().detach() * own.scale
        return rounded + (smooth - smooth.detach())


def _made(mistake: str = "", only: slice = slice(None)) -> Callable[[nn.Sequential], nn.Module]:
    """A new network, some of whose roundings are replaced."""

    def function(quantized: nn.Sequential) -> nn.Module:
        new = copy.deepcopy(quantized)
        places = [(number, layer) for number, layer in enumerate(new) if isinstance(layer, Rounding)]
        for number, layer in places[only]:
            new[number] = _Passing(layer, mistake)
        return new

    return function


right_straight_through = _made()


class _Whole(nn.Module):
    """Outputs of one network, the gradient of another, for the whole instead of layer by layer."""

    def __init__(self, quantized: nn.Sequential) -> None:
        super().__init__()
        self.quantized = copy.deepcopy(quantized)
        self.smooth = nn.Sequential(*(layer for layer in self.quantized if not isinstance(layer, Rounding)))

    def forward(self, x: Tensor) -> Tensor:
        smooth = self.smooth(x)
        return self.quantized(x).detach() + (smooth - smooth.detach())


def _last_removed(quantized: nn.Sequential) -> nn.Module:
    """Rounding is taken out: the float network."""
    return nn.Sequential(*(copy.deepcopy(layer) for layer in quantized if not isinstance(layer, Rounding)))


def _case(words: str, draw: Draw, sizes: tuple[int, ...], n: int, grids: list[Grid | None]) -> Case:
    weights = [draw.normal(out, inputs) / inputs**0.5 for inputs, out in itertools.pairwise(sizes)]
    x = draw.normal(n, sizes[0])
    for grid in grids[:1]:
        x = x if grid is None else _off_ties(x, grid)
    return Case(words, (x, weights, grids), gradients=(0,))


def _off_ties(x: Tensor, grid: Grid) -> Tensor:
    """Numbers that are not close to the middle between two steps."""
    steps = x / grid[0]
    away = steps - steps.floor() - 0.5
    return torch.where(away.abs() < 0.05, x + 0.1 * grid[0], x)


def straight_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "straight")
    n, scale = draw.whole(4, 7), round(draw.real(0.21, 0.37), 3)
    coarse = (scale, draw.pick((-2, 1, 2)), 3)
    viewed = _case("views", draw, (6, 5, 3), n, [coarse, (0.21, 0, 4)])
    clamped = _case("clamped", draw, (6, 5, 3), n, [(0.17, 0, 3), (0.3, 1, 4)])
    return [
        _case("two roundings", draw, (7, 6, 4), n, [coarse, (0.23, -1, 4)]),
        _case("one rounding, in front of a linear layer", draw, (5, 3), n, [coarse]),
        _case("three roundings", draw, (6, 8, 5, 3), n, [coarse, (0.11, 0, 5), (0.19, 2, 4)]),
        _case("a layer in front that does not round", draw, (5, 6, 3), n, [None, (0.25, 0, 4)]),
        Case("a view that is not contiguous", (strided(viewed.args[0]), *viewed.args[1:]), gradients=(0,)),
        Case("numbers far outside of the grid", (5 * clamped.args[0], *clamped.args[1:]), gradients=(0,)),
        Case(
            "a grid that is coarser than the numbers",
            (0.1 * draw.normal(n, 4), [draw.normal(3, 4)], [(1.0, 0, 4)]),
            gradients=(0,),
        ),
        _case("one row", draw, (6, 4), 1, [coarse]),
        _case("no rounding at all", draw, (5, 4, 3), n, [None, None]),
    ]


def straight_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "straight at work")
    return [
        _case("8 bits, 64 pixels, ten classes", draw, (64, 32, 10), 20, [(1 / 50, 3, 8), (1 / 64, -100, 8)]),
        _case("1,100 rows", draw, (5, 3), 1100, [(0.3, 0, 4)]),
    ]


STRAIGHT_MISTAKES = (
    Mistake(
        "float outputs",
        "You leave the rounding out, so it is another network that you attack; keep the rounded outputs, and change the gradient only.",
        _last_removed,
    ),
    Mistake(
        "gradient still zero",
        "Your network rounds as before, and its gradient is still zero; put rounded.detach() + (x - x.detach()) in place of it.",
        copy.deepcopy,
    ),
    Mistake(
        "one rounding only",
        "You replace one rounding only; each one that is left stops the gradient: replace all of them.",
        _made(only=slice(0, 1)),
    ),
    Mistake(
        "zero where it clamps",
        "Your gradient is 0 outside of the grid, as in training (unit 02); here it passes everywhere, or it is hidden again.",
        _made("clipped"),
    ),
    Mistake(
        "gradient times scale", "Your gradient is multiplied by the scale; the float path is the identity.", _made("times scale")
    ),
    Mistake("gradient over scale", "Your gradient is divided by the scale; the float path is the identity.", _made("over scale")),
    Mistake("gradient reversed", "Your gradient has the opposite sign; the float path is x itself.", _made("minus")),
    Mistake("squashed", "You pass the gradient of tanh; the float path is the identity.", _made("squashed")),
    Mistake(
        "clamp and zero point lost",
        "You round without the zero point or without clamping; call the layer itself for the outputs.",
        _made("unclamped"),
    ),
    Mistake(
        "float path of the whole network",
        "You use the gradient of the network without rounding; later layers must see rounded inputs, so replace layer by layer.",
        _Whole,
    ),
)


straight_through = Exercise(
    name="straight_through",
    unit="07_auditing",
    points=2,
    difficulty=3,
    minutes=8,
    oracle=right_straight_through,
    cases=straight_cases,
    workload=straight_workload,
    mistakes=STRAIGHT_MISTAKES,
    judge=close(1e-4, 1e-5),
    free={"returns memory of": "Its other layers may be those of `quantized`."},
    through="auditing.straight_through:outputs_of",
    library="auditing:straight_through",
)
