"""Cases and known mistakes of `place`: an offset in the arena for each buffer, the largest first, each as low as it fits.

Conventions that the notebook states in the same words:
- buffers: a list of (bytes, first, last), bytes at least 1; two live at one time when first and last touch or overlap;
- the largest is placed first, of equal ones the earlier in the list; each gets the lowest multiple of `alignment` at which it overlaps no
  placed buffer that lives at the same time;
- the result is a list of offsets, plain whole numbers, in the order of `buffers`.
"""

from collections.abc import Callable
from operator import itemgetter

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.random_cases import Draw

Buffer = tuple[int, int, int]
Key = Callable[[tuple[int, Buffer]], object]


def _meet(a: Buffer, b: Buffer) -> bool:
    return a[1] <= b[2] and b[1] <= a[2]


def _lowest(size: int, taken: list[tuple[int, int]], alignment: int) -> int:
    """Byte by byte, by the taken intervals [start, end)."""
    at = 0
    while any(start < at + size and at < end for start, end in taken):
        at += alignment
    return at


def _largest_first(item: tuple[int, Buffer]) -> int:
    return -item[1][0]


def right_place(buffers: list[Buffer], alignment: int) -> list[int]:
    return _greedy(buffers, alignment)


def _greedy(
    buffers: list[Buffer],
    alignment: int,
    key: Key = _largest_first,
    meet: Callable[[Buffer, Buffer], bool] = _meet,
    lowest: Callable[[int, list[tuple[int, int]], int], int] = _lowest,
) -> list[int]:
    offsets: dict[int, int] = {}
    for number, one in sorted(enumerate(buffers), key=key):  # type: ignore[arg-type]
        taken = [(at, at + buffers[other][0]) for other, at in offsets.items() if meet(one, buffers[other])]
        offsets[number] = lowest(one[0], taken, alignment)
    return [offsets[number] for number in range(len(buffers))]


def _random(draw: Draw, count: int, steps: int, most: int = 60) -> list[Buffer]:
    starts = [draw.whole(0, steps - 1) for _ in range(count)]
    return [(draw.whole(1, most), first, min(steps, first + draw.whole(0, 4))) for first in starts]


def place_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "place")
    a, b = draw.whole(5, 9), draw.whole(11, 19)
    few = _random(draw, 7, 6)
    return [
        Case("three buffers", ([(4, 0, 1), (b, 1, 2), (a, 2, 3)], 1)),
        Case("lifetimes that touch", ([(a, 0, 2), (b, 2, 4), (a + 1, 4, 6)], 1)),
        Case("lifetimes that do not touch", ([(a, 0, 1), (b, 2, 3), (a + 1, 4, 5)], 1)),
        Case("a gap that just fits", ([(40, 0, 1), (30, 1, 3), (20, 3, 4), (10, 2, 3), (10, 3, 3)], 1)),
        Case("a gap that is one byte too small", ([(40, 0, 1), (30, 1, 3), (20, 3, 4), (21, 2, 3), (11, 3, 3)], 1)),
        Case("alignment 8", ([(a, 0, 2), (b, 1, 3), (3, 2, 4), (2, 0, 4)], 8)),
        Case("equal sizes", ([(b, 0, 2), (b, 1, 3), (b, 2, 4), (a, 0, 1), (a, 3, 4)], 1)),
        Case("the smallest first in the list", (sorted(_random(draw, 8, 7), key=itemgetter(0)), 4)),
        Case("in the order of time", (sorted(_random(draw, 8, 7), key=itemgetter(1)), 1)),
        Case("alignment 3", (few, 3)),
        Case("one buffer", ([(b, 3, 5)], 16)),
        Case("no buffer", ([], 4)),
        Case("by name", (), {"buffers": _random(draw, 6, 5), "alignment": 4}),
        Case("many", (_random(draw, 20, 12), draw.pick((2, 5)))),
    ]


FASHION_CNN = [
    (784, 0, 1),
    (18816, 1, 2),
    (4704, 2, 3),
    (9408, 3, 4),
    (2352, 4, 5),
    (4704, 5, 6),
    (864, 6, 8),
    (64, 8, 9),
    (40, 9, 9),
]
FASHION_CNN += [(12, 1, 1), (216, 3, 3), (432, 5, 5)]


def place_workload(seed: int) -> list[Case]:
    draw = Draw(seed, "arena at work")
    return [
        Case("the buffers of fashion_cnn", (FASHION_CNN, 8)),
        Case("70 buffers", (_random(draw, 70, 60, most=5000), 16)),
    ]


def _no_two_overlap(call: Call, seed: int) -> str | None:
    draw = Draw(seed, "place law")
    buffers = _random(draw, 12, 8)
    offsets = call(buffers, 4)
    if any(offset % 4 for offset in offsets):
        return "an offset is no multiple of the alignment."
    for i, (one, at) in enumerate(zip(buffers, offsets, strict=True)):
        for other, there in zip(buffers[:i], offsets[:i], strict=True):
            if _meet(one, other) and at < there + other[0] and there < at + one[0]:
                return "two buffers that live at one time overlap."
    return None


def _on_top(size: int, taken: list[tuple[int, int]], alignment: int) -> int:
    end = max((end for _, end in taken), default=0)
    return -(-end // alignment) * alignment


def _a_byte_between(size: int, taken: list[tuple[int, int]], alignment: int) -> int:
    return _lowest(size, [(start, end + 1) for start, end in taken], alignment)


def _a_byte_shared(size: int, taken: list[tuple[int, int]], alignment: int) -> int:
    return _lowest(size, [(start, max(start + 1, end - 1)) for start, end in taken], alignment)


def _first_byte_only(size: int, taken: list[tuple[int, int]], alignment: int) -> int:
    return _lowest(1, taken, alignment)


def _side_by_side(buffers: list[Buffer], alignment: int) -> list[int]:
    offsets, at = [], 0
    for size, _, _ in buffers:
        offsets.append(at)
        at = -(-(at + size) // alignment) * alignment
    return offsets


def _in_order_of_size(buffers: list[Buffer], alignment: int) -> list[int]:
    offsets = right_place(buffers, alignment)
    return [offsets[number] for number, _ in sorted(enumerate(buffers), key=_largest_first)]


def _cut_down(buffers: list[Buffer], alignment: int) -> list[int]:
    return _greedy(
        buffers,
        alignment,
        lowest=lambda size, taken, step: next(at for at in _ends(taken, step) if _is_free(at, size, taken, step)),
    )


def _ends(taken: list[tuple[int, int]], step: int) -> list[int]:
    return sorted({0, *(end // step * step for _, end in taken)})


def _is_free(at: int, size: int, taken: list[tuple[int, int]], step: int) -> bool:
    """As seen by one who cuts ends down to the multiple below."""
    return all(at + size <= start or at >= end // step * step for start, end in taken)


PLACE_MISTAKES = (
    Mistake(
        "lifetimes that touch",
        "You let two buffers share bytes in the step in which one is read and the other written; touching lifetimes meet.",
        lambda buffers, alignment: _greedy(buffers, alignment, meet=lambda a, b: a[1] < b[2] and b[1] < a[2]),
    ),
    Mistake(
        "in the order of time",
        "You place the buffers in the order of their first step; the largest comes first.",
        lambda buffers, alignment: _greedy(buffers, alignment, key=lambda item: item[1][1]),
    ),
    Mistake(
        "in the order of the list",
        "You place the buffers in the order of the list; the largest comes first.",
        lambda buffers, alignment: _greedy(buffers, alignment, key=lambda item: 0),
    ),
    Mistake(
        "the smallest first",
        "You place the smallest buffer first; the largest comes first.",
        lambda buffers, alignment: _greedy(buffers, alignment, key=lambda item: item[1][0]),
    ),
    Mistake(
        "the longest first",
        "You place the buffer that lives longest first; the one with the most bytes comes first.",
        lambda buffers, alignment: _greedy(buffers, alignment, key=lambda item: item[1][1] - item[1][2]),
    ),
    Mistake(
        "equal ones in reverse",
        "Of equal buffers you place the later first; keep their order (sorted does, but for reverse=True with the number in the key).",
        lambda buffers, alignment: _greedy(buffers, alignment, key=lambda item: (-item[1][0], -item[0])),
    ),
    Mistake(
        "alignment ignored",
        "Your offsets are no multiples of `alignment`; round an end up to the next multiple.",
        lambda buffers, alignment: _greedy(buffers, 1),
    ),
    Mistake(
        "rounded down",
        "You round an end down to a multiple of the alignment, into the buffer that ends there; round up.",
        _cut_down,
    ),
    Mistake(
        "gaps not used",
        "You put a buffer on top of all that live with it; a gap below them may be large enough.",
        lambda buffers, alignment: _greedy(buffers, alignment, lowest=_on_top),
    ),
    Mistake(
        "a byte between",
        "You leave a byte free behind each buffer; the next may begin at offset + bytes.",
        lambda buffers, alignment: _greedy(buffers, alignment, lowest=_a_byte_between),
    ),
    Mistake(
        "a byte shared",
        "The last byte of a buffer is used twice; it ends at offset + bytes, exclusive.",
        lambda buffers, alignment: _greedy(buffers, alignment, lowest=_a_byte_shared),
    ),
    Mistake(
        "the first byte only",
        "You look whether a buffer's first byte is free; all of its bytes have to be.",
        lambda buffers, alignment: _greedy(buffers, alignment, lowest=_first_byte_only),
    ),
    Mistake(
        "side by side",
        "You put all buffers side by side; those that never live at one time may share bytes.",
        _side_by_side,
    ),
    Mistake(
        "all on 0",
        "All your buffers begin at 0; those that live at one time need bytes of their own.",
        lambda buffers, alignment: [0] * len(buffers),
    ),
    Mistake(
        "in the order of size",
        "Your offsets are in the order of size; return them in the order of `buffers`.",
        _in_order_of_size,
    ),
)

place = Exercise(
    name="place",
    unit="08_deployment",
    points=3,
    difficulty=3,
    minutes=8,
    oracle=right_place,
    cases=place_cases,
    workload=place_workload,
    mistakes=PLACE_MISTAKES,
    laws=(Law("no two overlap", _no_two_overlap),),
    library="deployment.memory:place",
)
