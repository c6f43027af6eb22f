"""Cases and known mistakes of `costs`: what does a graph cost on the customer's chip?

Conventions that the notebook states in the same words:
- flash: in each conv and dense the codes at their bits, rounded up to whole bytes, and 8 bytes for each output channel (scale and bias);
- RAM: the largest of (numbers before + numbers after) over conv, pool and dense, a byte a number; relu and flatten work in place;
- macs: one for each weight of each output number; (flash, ram, macs), plain ints.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw

Layer = dict[str, Any]
HELD = ("conv", "dense")
ON_THEIR_OWN = ("conv", "pool", "dense")  # these need their input and their output at one time


@dataclass(frozen=True)
class SizedLayer:
    """A layer with its size: numbers before and after, weights in all, and how many an output number is a sum of."""

    layer: Layer
    before: int
    after: int

    @property
    def kind(self) -> str:
        return self.layer["operator"]

    @property
    def out(self) -> int:
        return self.layer.get("out", 0)

    @property
    def fan_in(self) -> int:
        return self.layer.get("in", 0) * self.layer.get("kernel", 1) ** 2 // self.layer.get("groups", 1)

    @property
    def bits(self) -> int:
        return self.out * self.fan_in * self.layer.get("bits", 0)


def _steps(layers: list[Layer]) -> Iterator[SizedLayer]:
    """Counted here once more, so that a mistake in the library is none of the check."""
    shape: tuple[int, ...] = (1, 28, 28)
    for layer in layers:
        kind, before = layer["operator"], prod(shape)
        if kind == "conv":
            shape = (layer["out"], *(-(-side // layer["stride"]) for side in shape[1:]))
        elif kind == "pool":
            shape = (shape[0], *(side // layer["size"] for side in shape[1:]))
        elif kind == "flatten":
            shape = (before,)
        elif kind == "dense":
            shape = (layer["out"],)
        yield SizedLayer(layer, before, prod(shape))


def _flash(step: SizedLayer) -> float:
    return -(-step.bits // 8) + 8 * step.out


def _macs(step: SizedLayer) -> float:
    return step.after * step.fan_in


def _ram(step: SizedLayer) -> float:
    return step.before + step.after if step.kind in ON_THEIR_OWN else 0


def right_costs(layers: list[Layer]) -> tuple[int, int, int]:
    steps = list(_steps(layers))
    return int(sum(map(_flash, steps))), int(max(map(_ram, steps))), int(sum(map(_macs, steps)))


def _conv(bits: int, ins: int, out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> Layer:
    size = {"in": ins, "out": out, "kernel": kernel, "stride": stride, "groups": groups}
    return {"operator": "conv", "bits": bits, **size, "scale": 0.05, "zero_point": -128}


def _dense(bits: int, ins: int, out: int = 10) -> Layer:
    return {"operator": "dense", "bits": bits, "in": ins, "out": out}


RELU, FLATTEN = {"operator": "relu"}, {"operator": "flatten"}


def _pool(size: int) -> Layer:
    return {"operator": "pool", "size": size}


def cost_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "edge costs")
    a, b, c = draw.whole(5, 9), 2 * draw.whole(5, 8) + 1, draw.whole(11, 30)
    last = [FLATTEN, _dense(8, 49 * a)]
    halves = [_conv(8, 1, a, stride=2), RELU, _conv(8, a, a, stride=2), RELU]
    return [
        Case("one dense layer of 8 bits", ([FLATTEN, _dense(8, 784)],)),
        Case("one dense layer of 4 bits", ([FLATTEN, _dense(4, 784)],)),
        Case("two convolutions of 8 bits", ([*halves, *last],)),
        Case("two convolutions and a pooling", ([_conv(8, 1, a, stride=2), RELU, _conv(8, a, a), RELU, _pool(2), *last],)),
        Case(
            "odd numbers of 4-bit codes", ([_conv(4, 1, b, stride=4), _conv(4, b, 3), FLATTEN, _dense(4, 147, 3), _dense(4, 3)],)
        ),
        Case("groups", ([_conv(8, 1, 2 * a, 5, 2), RELU, _conv(4, 2 * a, 4 * a, 3, 2, groups=a), FLATTEN, _dense(8, 196 * a)],)),
        Case("kernels of 1, 5 and 7", ([_conv(8, 1, a, 7, 2), _conv(8, a, b, 1), _conv(4, b, a, 5, 2), *last],)),
        Case("a stride that does not divide", ([_conv(8, 1, a, 3, 3), RELU, FLATTEN, _dense(4, 100 * a)],)),
        Case("a pooling that does not divide", ([_pool(3), _conv(8, 1, b, stride=2), RELU, FLATTEN, _dense(8, 25 * b)],)),
        Case("a large image before a pooling", ([_conv(8, 1, a), RELU, _pool(2), _pool(2), *last],)),
        Case(
            "relu where the image is largest", ([_conv(4, 1, 2 * a), RELU, _conv(8, 2 * a, 2, stride=4), FLATTEN, _dense(8, 98)],)
        ),
        Case("a wide dense layer", ([_conv(8, 1, 4, stride=4), FLATTEN, _dense(8, 196, c), RELU, _dense(8, c)],)),
        Case("by name", (), {"layers": [*halves, *last]}),
    ]


def cost_workload(seed: int) -> list[Case]:
    """The graphs of the notebook, and one that is over the budget everywhere."""
    del seed
    small = [_conv(8, 1, 8, stride=2), RELU, _conv(8, 8, 16, stride=2), RELU, _conv(8, 16, 32, stride=2), RELU, FLATTEN]
    large = [_conv(4, 1, 16, stride=2), RELU, _conv(4, 16, 24), RELU, _conv(4, 24, 32, stride=2), RELU]
    return [
        Case("the small network", ([*small, _dense(8, 512)],)),
        Case("the network of 4 bits", ([*large, _conv(4, 32, 24, stride=2), RELU, FLATTEN, _dense(4, 384)],)),
        Case("a network over the budget", ([_conv(8, 1, 48), RELU, _conv(8, 48, 96), FLATTEN, _dense(8, 96 * 784)],)),
    ]


def _with(
    flash: Callable[[SizedLayer], float] = _flash,
    ram: Callable[[SizedLayer], float] = _ram,
    macs: Callable[[SizedLayer], float] = _macs,
    most: Callable[[list[float]], float] = max,
    after: Callable[[tuple[Any, Any, Any]], Any] = lambda found: tuple(map(int, found)),
) -> Callable[[list[Layer]], Any]:
    def mistaken(layers: list[Layer]) -> Any:
        steps = list(_steps(layers))
        return after((sum(map(flash, steps)), most([ram(step) for step in steps]), sum(map(macs, steps))))

    return mistaken


def _rounded_once(layers: list[Layer]) -> tuple[int, int, int]:
    _, ram, macs = right_costs(layers)
    steps = list(_steps(layers))
    return ceil(sum(step.bits for step in steps) / 8) + sum(8 * step.out for step in steps), ram, macs


def _groups_ignored(step: SizedLayer) -> int:
    return step.fan_in * step.layer.get("groups", 1)


def _input_places(step: SizedLayer) -> float:
    places = step.before // step.layer["in"] if step.kind == "conv" else 1
    return places * step.out * step.fan_in


COST_MISTAKES = (
    Mistake("8 bits for all", "You count a byte for each code; one of 4 bits takes half a byte (bits / 8).",
            _with(flash=lambda s: s.out * s.fan_in + 8 * s.out)),
    Mistake("bits, not bytes", "You add bits to bytes; eight bits are a byte.", _with(flash=lambda s: s.bits + 8 * s.out)),
    Mistake("rounded down", "An odd number of 4-bit codes ends in half a byte; that byte is taken too: round up in each layer.",
            _with(flash=lambda s: s.bits // 8 + 8 * s.out)),
    Mistake("rounded once", "You round the bytes of all layers together; each layer begins on a byte of its own: round up in each.", _rounded_once),
    Mistake("scales and biases forgotten", "You count the codes only; each output channel has a scale and a bias too, 8 bytes.",
            _with(flash=lambda s: -(-s.bits // 8))),
    Mistake("scale or bias", "You count 4 bytes for an output channel; its scale and its bias take 4 each.",
            _with(flash=lambda s: -(-s.bits // 8) + 4 * s.out)),
    Mistake("8 bytes an input channel", "You count 8 bytes for each input channel; scale and bias belong to output channels.",
            _with(flash=lambda s: -(-s.bits // 8) + 8 * s.layer.get("in", 0))),
    Mistake("one scale a layer", "You count one scale and one bias for a layer; each output channel has its own.",
            _with(flash=lambda s: -(-s.bits // 8) + 8 * (s.kind in HELD))),
    Mistake("groups ignored", "You count every input channel for every output; with groups an output sees in / groups of them.",
            _with(flash=lambda s: -(-_groups_ignored(s) * s.out * s.layer.get("bits", 0) // 8) + 8 * s.out,
                  macs=lambda s: s.after * _groups_ignored(s))),
    Mistake("groups ignored in macs", "Flash is right, but an output of a grouped conv sums over in / groups channels only.",
            _with(macs=lambda s: s.after * _groups_ignored(s))),
    Mistake("weights for macs", "You count each weight once; a conv uses it at every place of its output.", _with(macs=lambda s: s.out * s.fan_in)),
    Mistake("places of the input", "You count the places of a conv's input; it computes one sum for each place of its output.",
            _with(macs=_input_places)),
    Mistake("operations", "You count a multiplication and an addition as two; together they are one multiply-accumulate.",
            _with(macs=lambda s: 2 * _macs(s))),
    Mistake("dense left out of macs", "You leave the dense layers out of macs; each output is a sum of `in` products.",
            _with(macs=lambda s: _macs(s) if s.kind == "conv" else 0)),
    Mistake("largest image", "You take the largest image; a layer needs its input and its output at one time: add them.",
            _with(ram=lambda s: max(s.before, s.after))),
    Mistake("outputs only", "You take the largest output; a layer needs its input beside it.",
            _with(ram=lambda s: s.after if s.kind in ON_THEIR_OWN else 0)),
    Mistake("all images", "You add all layers; only one works at a time: take the largest sum.", _with(most=sum)),
    Mistake("relu beside its input", "You count input and output of relu; it works in place, and so does flatten.",
            _with(ram=lambda s: s.before + s.after)),
    Mistake("pool in place", "You leave out pool; it needs its input and its output at one time.",
            _with(ram=lambda s: s.before + s.after if s.kind in HELD else 0)),
    Mistake("floats in RAM", "You count 4 bytes a number in RAM; the chip keeps int8 codes, a byte each.", _with(ram=lambda s: 4 * _ram(s))),
    Mistake("another order", "You return the three in another order; it is flash, RAM, macs.",
            _with(after=lambda found: (int(found[0]), int(found[2]), int(found[1])))),
    Mistake("floats", "You return floats; bytes and operations are counted, so return ints (use // or math.ceil).",
            _with(after=lambda found: tuple(map(float, found)))),
)  # fmt: skip

costs = Exercise(
    name="costs",
    unit="12_project_edge",
    points=2,
    difficulty=3,
    minutes=15,
    oracle=right_costs,
    cases=cost_cases,
    workload=cost_workload,
    mistakes=COST_MISTAKES,
    library="projects.edge.costs:costs",
)
