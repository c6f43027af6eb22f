"""Cases and known mistakes of `state_difference`: what has moved between two states of a network, and by how much?

Conventions that the notebook states in the same words:
- {name: |after - before| / |before|} for every entry of the state, buffers and counters too; Euclidean norms in float64;
- 0 where nothing moved, also for 0 / 0; infinite where 0 became something else; NaN where a NaN is;
- both states have the same names, in any order, and the same shapes. Plain floats.

float64 norms in any order of their sums agree to 1e-12; the judge allows 1e-6.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, plain, strided
from posttrain_lab.checks.engine.small_networks import convolutional

State = dict[str, Tensor]
Change = Callable[[Tensor, Tensor], float]
INF, NAN = float("inf"), float("nan")


def _norm(values: Tensor) -> float:
    return math.sqrt(float((plain(values.flatten()) ** 2).sum()))


def _moved(before: Tensor, after: Tensor) -> Tensor:
    return after.double() - before.double()


def right_change(before: Tensor, after: Tensor) -> float:
    moved, size = _norm(_moved(before, after)), _norm(before.double())
    if moved == 0:
        return 0.0
    return moved / size if size else INF if moved == moved else NAN


def _each(change: Change = right_change) -> Callable[[State, State], dict[str, float]]:
    """This change of every entry."""

    def report(before: State, after: State) -> dict[str, float]:
        return {name: change(before[name], after[name]) for name in before}

    return report


right_difference = _each()


def _states(draw: Draw) -> tuple[State, State]:
    """A network before and after: statistics, a counter and one row of the head have moved, a bias left 0."""
    before = {name: values.clone() for name, values in convolutional(draw, 1, 6, 4, 3).state_dict().items()}
    before["0.bias"].zero_()
    before["6.bias"].zero_()
    before["1.num_batches_tracked"] += draw.whole(3, 9)
    after = {name: values.clone() for name, values in before.items()}
    after["1.running_mean"] += draw.normal(4)
    after["1.running_var"] *= draw.uniform(0.5, 2, 4)
    after["1.num_batches_tracked"] += draw.whole(2, 7)
    after["6.weight"][1] += draw.normal(24, std=0.4)
    after["6.bias"] += draw.normal(3)
    return before, after


def _pair(draw: Draw, *shape: int, factor: float = 1.0) -> tuple[State, State]:
    first = factor * draw.normal(*shape)
    return {"weight": first}, {"weight": first + 0.3 * factor * draw.normal(*shape)}


def _hardly_moved(draw: Draw) -> tuple[State, State]:
    first = draw.normal(4, 3).double()
    return {"weight": first}, {"weight": first * (1 + 1e-9 * draw.uniform(1, 2, 4, 3).double())}


def difference_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "state difference")
    before, after = _states(draw)
    one, other = _pair(draw, 4, 6)
    bytes_before, bytes_after = (torch.randint(1, 250, (9,), generator=draw.generator).to(torch.uint8) for _ in range(2))
    whole, strange = torch.arange(1, 7) * draw.whole(2, 5), draw.normal(5)
    strange[2] = NAN
    return [
        Case("a network with batch norm", (before, after)),
        Case("names in another order", (before, dict(draw.shuffled(list(after.items()))))),
        Case("nothing has moved", (before, {name: values.clone() for name, values in before.items()})),
        Case("views that are not contiguous", ({"w": strided(one["weight"])}, {"w": strided(other["weight"])})),
        Case("bytes that rise and fall", ({"mask": bytes_before}, {"mask": bytes_after})),
        Case("whole numbers", ({"steps": whole}, {"steps": whole.flip(0)})),
        Case("float64, which has hardly moved", _hardly_moved(draw)),
        Case("a NaN has come in", ({"w": draw.normal(5)}, {"w": strange})),
        Case("all signs have turned", ({"w": one["weight"]}, {"w": -one["weight"]})),
        Case("twice as large", ({"w": one["weight"]}, {"w": 2 * one["weight"]})),
        Case("an empty buffer", ({"none": torch.zeros(0), "w": draw.normal(3)}, {"none": torch.zeros(0), "w": draw.normal(3)})),
        Case("very large numbers, by name", (), dict(zip(("before", "after"), _pair(draw, 5, factor=1e25), strict=True))),
        Case("very small numbers", _pair(draw, 7, factor=1e-25)),
    ]


def difference_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "state difference at work")
    return [Case("a weight of 64 x 1,152", _pair(draw, 64, 1152))]


def _twice_as_far(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "state difference law")
    start, way = draw.normal(6, 3).double(), draw.normal(6, 3).double()
    once, twice = (call({"w": start}, {"w": start + k * way})["w"] for k in (1, 2))
    return (
        None
        if math.isclose(twice, 2 * once, rel_tol=1e-6)
        else f"twice as far must be twice as much; got {once:.6g} and {twice:.6g}."
    )


def _guarded(change: Change, none: float = 0.0, fresh: float = INF) -> Change:
    """`change` where something is divided by; `none` for 0 / 0 and `fresh` where 0 became something else."""

    def guarded(before: Tensor, after: Tensor) -> float:
        if _norm(_moved(before, after)) == 0:
            return none if _norm(before.double()) == 0 else 0.0
        return (
            change(before, after) if _norm(before.double()) else fresh if _norm(after.double()) == _norm(after.double()) else NAN
        )

    return guarded


def _largest(values: Tensor) -> float:
    return float(values.double().abs().max()) if values.numel() else 0.0


def _only(keep: Callable[[str, Tensor], bool]) -> Callable[[State, State], dict[str, float]]:
    return lambda before, after: {
        name: found for name, found in right_difference(before, after).items() if keep(name, before[name])
    }


def _wrapped(before: Tensor, after: Tensor) -> float:
    """The difference in the entry's own dtype: bytes wrap around."""
    moved, size = _norm((after - before).double()), _norm(before.double())
    return 0.0 if moved == 0 else moved / size if size else INF


def _mean_of_ratios(before: Tensor, after: Tensor) -> float:
    return float((_moved(before, after) / before.double()).abs().mean())


DIFFERENCE_MISTAKES = (
    Mistake(
        "buffers forgotten",
        "Statistics and counters of batch norms are missing; take every entry of the state, not the parameters only.",
        _only(
            lambda name, values: "running" not in name and "tracked" not in name and "steps" not in name and "mask" not in name
        ),
    ),
    Mistake(
        "integers forgotten",
        "Entries of whole numbers are missing; a counter that moved says that a layer was in train mode.",
        _only(lambda name, values: values.is_floating_point()),
    ),
    Mistake(
        "unmoved left out",
        "Entries that did not move are missing; give them 0.",
        lambda before, after: {name: found for name, found in right_difference(before, after).items() if found != 0},
    ),
    Mistake(
        "absolute",
        "You return the norm of the difference; divide it by the norm of `before`.",
        _each(lambda before, after: _norm(_moved(before, after))),
    ),
    Mistake(
        "relative to after",
        "You divide by the norm of `after`; divide by that of `before`.",
        _each(_guarded(lambda before, after: _norm(_moved(before, after)) / _norm(after.double()))),
    ),
    Mistake(
        "largest entry",
        "You compare largest entries; take Euclidean norms.",
        _each(_guarded(lambda before, after: _largest(_moved(before, after)) / _largest(before))),
    ),
    Mistake(
        "largest change",
        "You take the largest change; take the Euclidean norm of all changes.",
        _each(_guarded(lambda before, after: _largest(_moved(before, after)) / _norm(before.double()))),
    ),
    Mistake(
        "mean of ratios",
        "You average the ratios of single entries; divide one norm by the other.",
        _each(_guarded(_mean_of_ratios)),
    ),
    Mistake(
        "difference of norms",
        "You compare the norms of both states; take the norm of the difference, or a turned weight seems unmoved.",
        _each(_guarded(lambda before, after: abs(_norm(after.double()) - _norm(before.double())) / _norm(before.double()))),
    ),
    Mistake(
        "0 / 0", "0 / 0 has become NaN; what was 0 and is 0 has not moved, so give 0.", _each(_guarded(right_change, none=NAN))
    ),
    Mistake(
        "not infinite",
        "Where 0 became something else you divide by a small number; the change is infinite.",
        _each(_guarded(right_change, fresh=1e12)),
    ),
    Mistake(
        "0 for new ones",
        "Where 0 became something else you give 0; the change is infinite.",
        _each(_guarded(right_change, fresh=0.0)),
    ),
    Mistake(
        "wraps around", "You subtract in the entry's own dtype, and bytes wrap around; convert to float64 first.", _each(_wrapped)
    ),
    Mistake(
        "squares",
        "Your norms are without the square root.",
        _each(_guarded(lambda before, after: (_norm(_moved(before, after)) / _norm(before.double())) ** 2)),
    ),
)


state_difference = Exercise(
    name="state_difference",
    unit="11_clinic",
    points=2,
    difficulty=1,
    minutes=7,
    oracle=right_difference,
    cases=difference_cases,
    workload=difference_workload,
    mistakes=DIFFERENCE_MISTAKES,
    judge=close(1e-6, 1e-12),
    laws=(Law("twice as far", _twice_as_far),),
    library="clinic:state_difference",
)
