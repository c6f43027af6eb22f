"""Cases and known mistakes of `lifetimes`: from which step to which does each buffer live?

Conventions that the notebook states in the same words:
- steps: a list of (bytes, reads, scratch); `reads` are the numbers of earlier steps; step 0, the input, reads nothing;
- a step of 0 bytes (a Flatten) reads one result and gives it a second name: whoever reads this step reads that result;
- one buffer (bytes, first, last) for each step that writes bytes, in the order of the steps: from its own step to the last that reads it;
  one that nobody reads ends at its own step, and the result of the last step lives to the last step;
- behind them one buffer (scratch, t, t) for each step t whose scratch is not 0, in the order of the steps.
"""

from collections.abc import Callable, Iterable

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw

Step = tuple[int, list[int], int]
Buffer = tuple[int, int, int]


def _owner(steps: list[Step], number: int) -> int:
    """The step whose bytes this step's result is."""
    return number if steps[number][0] else _owner(steps, steps[number][1][0])


def _readers(steps: list[Step], number: int) -> list[int]:
    """The steps that read this step's bytes, under whichever name."""
    return [t for t, (_, reads, _) in enumerate(steps) if any(_owner(steps, one) == number for one in reads)]


def _results(steps: list[Step]) -> list[Buffer]:
    return [(size, t, max([t, *_readers(steps, t)])) for t, (size, _, _) in enumerate(steps) if size]


def _scratch(steps: list[Step]) -> list[Buffer]:
    return [(scratch, t, t) for t, (_, _, scratch) in enumerate(steps) if scratch]


def right_lifetimes(steps: list[Step]) -> list[Buffer]:
    return _results(steps) + _scratch(steps)


def _network(draw: Draw, count: int, flat: Iterable[int] = (), far: int = 4) -> list[Step]:
    """Random steps: each reads the one before, some a second one from up to `far` steps before; those in `flat` are Flattens."""
    steps: list[Step] = [(draw.whole(20, 99), [], 0)]
    for t in range(1, count):
        reads = [t - 1, draw.whole(max(0, t - far), t - 1)] if draw.whole(0, 2) == 0 else [t - 1]
        scratch = draw.whole(0, 1) * draw.whole(1, 9)
        steps.append((0, [t - 1], 0) if t in flat else (draw.whole(10, 99), draw.shuffled(sorted(set(reads))), scratch))
    return steps


def lifetimes_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "lifetimes")
    a, b, c, d, e = draw.shuffled([16, 24, 33, 48, 57])
    s = draw.whole(3, 9)
    return [
        Case("a chain", ([(a, [], 0), (b, [0], 0), (c, [1], 0), (d, [2], 0)],)),
        Case("a shortcut", ([(a, [], 0), (b, [0], 0), (c, [1], 0), (d, [2], 0), (e, [1, 3], 0), (a, [4], 0)],)),
        Case("a shortcut, which is read first", ([(a, [], 0), (b, [0], 0), (c, [1], 0), (d, [2, 0], 0), (e, [3], 0)],)),
        Case("the input is read again at the end", ([(a, [], 0), (b, [0], 0), (c, [1], 0), (d, [0, 2], 0)],)),
        Case("scratch", ([(a, [], 0), (b, [0], s), (c, [1], 0), (d, [2], s + 1)],)),
        Case("a Flatten", ([(a, [], 0), (b, [0], s), (0, [1], 0), (c, [2], 0), (d, [3], 0)],)),
        Case(
            "a Flatten, and its image is read later too", ([(a, [], 0), (b, [0], 0), (0, [1], 0), (c, [2], 0), (d, [3, 1], 0)],)
        ),
        Case("two Flattens in a row", ([(a, [], 0), (b, [0], 0), (0, [1], 0), (0, [2], 0), (c, [3], 0), (d, [4], 0)],)),
        Case("a Flatten at the end", ([(a, [], 0), (b, [0], s), (c, [1], 0), (0, [2], 0)],)),
        Case("a result that nobody reads", ([(a, [], 0), (b, [0], 0), (c, [0], 0), (d, [2], 0)],)),
        Case("the input is flattened", ([(a, [], 0), (0, [0], 0), (b, [1], 0), (c, [0, 2], s)],)),
        Case("an input only", ([(a, [], 0)],)),
        Case("some steps, by name", (), {"steps": _network(draw, draw.whole(6, 9), (5,))}),
        Case("many shortcuts and Flattens", (_network(draw, 14, (4, 9, 10)),)),
        Case(
            "a result that is read three times",
            ([(a, [], 0), (b, [0], 0), (c, [1], s), (d, [1, 2], 0), (e, [1, 3], 0), (a, [4], 0)],),
        ),
    ]


FASHION_CNN = [(784, [], 0), (18816, [0], 12), (4704, [1], 0), (9408, [2], 216), (2352, [3], 0), (4704, [4], 432)]
FASHION_CNN += [(864, [5], 0), (0, [6], 0), (64, [7], 0), (40, [8], 0)]


def lifetimes_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "steps at work")
    return [
        Case("the steps of fashion_cnn", (FASHION_CNN,)),
        Case("a network of 60 steps with long shortcuts", (_network(draw, 60, (59, 30), far=25),)),
    ]


def _with(
    last: Callable[[list[Step], int], int], scratch: Callable[[list[Step]], list[Buffer]] = _scratch
) -> Callable[..., list[Buffer]]:
    """Another end of each result, or other scratch."""
    return lambda steps: [(size, t, last(steps, t)) for t, (size, _, _) in enumerate(steps) if size] + scratch(steps)


def _end(steps: list[Step], t: int) -> int:
    return max([t, *_readers(steps, t)])


def _direct_readers(steps: list[Step], t: int) -> list[int]:
    return [later for later, (_, reads, _) in enumerate(steps) if t in reads]


def _through_one_flatten(steps: list[Step]) -> list[list[int]]:
    """What each step reads, with a single Flatten on the way."""
    return [[one if steps[one][0] else steps[one][1][0] for one in reads] for _, reads, _ in steps]


def _interleaved(steps: list[Step]) -> list[Buffer]:
    scratch = {t: (size, t, t) for size, t, _ in _scratch(steps)}
    found = []
    for buffer in _results(steps):
        found += [buffer, *([scratch[buffer[1]]] if buffer[1] in scratch else [])]
    return found


def _inside_results(steps: list[Step]) -> list[Buffer]:
    return [(size + steps[t][2], t, last) for size, t, last in _results(steps)]


def _with_flattens(steps: list[Step]) -> list[Buffer]:
    copied = [(size or steps[_owner(steps, t)][0], reads, scratch) for t, (size, reads, scratch) in enumerate(steps)]
    return _results(copied) + _scratch(steps)


def _empty_buffers(steps: list[Step]) -> list[Buffer]:
    return [(size, t, _end(steps, t)) for t, (size, _, _) in enumerate(steps)] + _scratch(steps)


def _from_first_reader(steps: list[Step]) -> list[Buffer]:
    return [(size, min(_readers(steps, t), default=t), last) for size, t, last in _results(steps)] + _scratch(steps)


LIFETIMES_MISTAKES = (
    Mistake(
        "the next step only",
        "You let each result end at the step after it; a shortcut is read later, so look for the last step that reads it.",
        _with(lambda steps, t: min(t + 1, len(steps) - 1)),
    ),
    Mistake(
        "the first reader",
        "You end a result at the first step that reads it; others may read it later, so take the last.",
        _with(lambda steps, t: min(_readers(steps, t), default=t)),
    ),
    Mistake(
        "one step too short",
        "Your results end one step too early; the step that reads a result still needs it.",
        _with(lambda steps, t: max(t, _end(steps, t) - 1) if _readers(steps, t) else t),
    ),
    Mistake(
        "one step too long",
        "Your results live one step too long; the step that reads a result last is its end.",
        _with(lambda steps, t: min(_end(steps, t) + 1, len(steps) - 1) if _readers(steps, t) else t),
    ),
    Mistake(
        "all to the end",
        "You keep every result to the end, so that no memory is used twice; each ends at the last step that reads it.",
        _with(lambda steps, t: len(steps) - 1),
    ),
    Mistake(
        "behind a Flatten",
        "You lose the bytes at a Flatten; whoever reads it reads the image before it, which lives on.",
        _with(lambda steps, t: max([t, *_direct_readers(steps, t)])),
    ),
    Mistake(
        "one Flatten only",
        "You go back over one Flatten; several may follow one another, so go on to the step that wrote bytes.",
        _with(lambda steps, t: max([t, *(later for later, reads in enumerate(_through_one_flatten(steps)) if t in reads)])),
    ),
    Mistake(
        "the first of what is read",
        "You look at the first result that a step reads; it may read several: go through all of them.",
        _with(lambda steps, t: _end([(size, reads[:1], scratch) for size, reads, scratch in steps], t)),
    ),
    Mistake(
        "a copy for a Flatten",
        "You give a Flatten bytes of its own; it writes nothing, it is a second name for what it reads.",
        _with_flattens,
    ),
    Mistake(
        "empty buffers",
        "You list a buffer of 0 bytes for a Flatten; it writes nothing, so it has no buffer.",
        _empty_buffers,
    ),
    Mistake(
        "scratch forgotten",
        "You forgot the scratch; a step needs it while it runs.",
        _with(_end, lambda steps: []),
    ),
    Mistake(
        "scratch to the end",
        "Your scratch lives on to the next step; it is needed in its own step only.",
        _with(_end, lambda steps: [(size, t, min(t + 1, len(steps) - 1)) for size, t, _ in _scratch(steps)]),
    ),
    Mistake(
        "empty scratch",
        "You list scratch of 0 bytes; a step without scratch has no such buffer.",
        _with(_end, lambda steps: [(scratch, t, t) for t, (_, _, scratch) in enumerate(steps)]),
    ),
    Mistake(
        "scratch between the results",
        "Your buffers are right, but not in their order: first all results, then all scratch, each in the order of the steps.",
        _interleaved,
    ),
    Mistake(
        "scratch within the result",
        "You add the scratch to the result's bytes, where it lives as long as the result; give it a buffer of its own.",
        _inside_results,
    ),
    Mistake(
        "without the input",
        "You forgot step 0; the input needs memory too.",
        lambda steps: _results(steps)[1:] + _scratch(steps),
    ),
    Mistake(
        "from the first reader",
        "Your buffers begin where they are first read; a result needs its memory from the step that writes it.",
        _from_first_reader,
    ),
)

lifetimes = Exercise(
    name="lifetimes",
    unit="08_deployment",
    points=2,
    difficulty=2,
    minutes=7,
    oracle=right_lifetimes,
    cases=lifetimes_cases,
    workload=lifetimes_workload,
    mistakes=LIFETIMES_MISTAKES,
    library="deployment.memory:lifetimes",
)
