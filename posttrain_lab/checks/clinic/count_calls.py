"""Cases and known mistakes of `count_calls`: how many examples go through a model while some work is done?

Conventions that the notebook states in the same words:
- the rows of all outputs of the model itself while work() runs, added; layers inside it do not count; a plain int;
- the hook is gone afterwards, also when work() raises, and its error comes through; work() runs once.

The adapter makes the work in the student's process, because a function cannot be sent.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn

from posttrain_lab.checks.clinic.at_work import Stopped
from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw, strided
from posttrain_lab.checks.engine.small_networks import convolutional, deep, images, linear

Count = Callable[[Any, tuple[Any, ...], Any], int]


def _rows(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> int:
    return len(output)


@contextlib.contextmanager
def _watching(layers: list[nn.Module], count: Count, seen: list[int]) -> Iterator[None]:
    hooks = [layer.register_forward_hook(lambda *call: seen.append(count(*call))) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _with(
    count: Count = _rows,
    total: Callable[[list[int]], int] = sum,
    layers: Callable[[nn.Module], list[nn.Module]] = lambda model: [model],
    times: int = 1,
) -> Callable[[nn.Module, Callable[[], object]], int]:
    """The right answer that counts otherwise, elsewhere, or runs the work more than once."""

    def answer(model: nn.Module, work: Callable[[], object]) -> int:
        seen: list[int] = []
        with _watching(layers(model), count, seen):
            for _ in range(times):
                work()
        return total(seen)

    return answer


right_count = _with()


def count_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "count calls")
    n = draw.whole(7, 10)
    x = images(draw, n, 1, 6, 4)
    kinds = {
        "once": "one batch",
        "in parts": "a batch in parts of three",
        "all, then two": "a batch, then two of its examples",
        "two, then all": "two examples, then the batch",
        "nothing": "work that does not call the model",
        "one layer of it": "work that calls one layer of the model",
        "by name": "the model is called with input=x",
        "inside another": "the model is a layer of another network",
        "two networks": "another network runs as well",
        "raises": "work that raises after a batch",
    }
    networks = [convolutional(draw, 1, 6, 4, 3), deep(draw, 24, 5, 4), linear(draw, 24, 3)]
    cases = [Case(words, (networks[i % 3], x, kind)) for i, (kind, words) in enumerate(kinds.items())]
    return [*cases, Case("a view that is not contiguous", (networks[0], strided(x), "in parts"))]


def count_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "count calls at work")
    return [Case("1,000 rows in parts of three", (deep(draw, 12, 5, 3), draw.normal(draw.whole(900, 1000), 12), "in parts"))]


def _left(model: nn.Module, work: Callable[[], object]) -> int:
    """Removes its hook, unless work raises."""
    seen: list[int] = []
    hook = model.register_forward_hook(lambda *call: seen.append(_rows(*call)))
    work()
    hook.remove()
    return sum(seen)


def _swallowed(model: nn.Module, work: Callable[[], object]) -> int:
    seen: list[int] = []
    with _watching([model], _rows, seen), contextlib.suppress(Stopped):
        work()
    return sum(seen)


COUNT_MISTAKES = (
    Mistake("calls", "You count calls; count the examples in them, the rows of each output.", _with(lambda *call: 1)),
    Mistake(
        "layers too",
        "You count the layers inside the model as well; a hook on the model itself is enough.",
        _with(layers=lambda model: list(model.modules())),
    ),
    Mistake(
        "layers only",
        "You count the layers inside the model; put the hook on the model itself.",
        _with(layers=lambda model: [layer for layer in model.modules() if not list(layer.children())]),
    ),
    Mistake("work done twice", "You run work() twice (to warm up?); run it once, while the hook is there.", _with(times=2)),
    Mistake(
        "last call",
        "You return the rows of the last call; add those of all calls.",
        _with(total=lambda seen: seen[-1] if seen else 0),
    ),
    Mistake(
        "largest call", "You return the largest batch; add the rows of all calls.", _with(total=lambda seen: max(seen, default=0))
    ),
    Mistake(
        "first call",
        "You return the rows of the first call; add those of all calls.",
        _with(total=lambda seen: seen[0] if seen else 0),
    ),
    Mistake("hook stays after an error", "When work() raises, your hook stays; remove it in `finally`.", _left),
    Mistake("error swallowed", "An error of work() does not come through; let it pass, after the hook is gone.", _swallowed),
    Mistake(
        "numbers",
        "You count the numbers of the output; count its rows, len(output).",
        _with(lambda module, inputs, output: output.numel()),
    ),
    Mistake(
        "inputs",
        "You count the rows of the first positional input, and the model may be called by name; count those of the output.",
        _with(lambda module, inputs, output: len(inputs[0]) if inputs else 0),
    ),
    Mistake(
        "columns",
        "You count the columns of the output; count its rows, len(output).",
        _with(lambda module, inputs, output: output.shape[-1]),
    ),
)


count_calls = Exercise(
    name="count_calls",
    unit="11_clinic",
    points=2,
    difficulty=2,
    minutes=8,
    oracle=right_count,
    cases=count_cases,
    workload=count_workload,
    mistakes=COUNT_MISTAKES,
    judge=close(0, 0),
    through="clinic.at_work:counted",
    library="clinic:count_calls",
)
