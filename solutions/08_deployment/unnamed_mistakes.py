"""Unit 08: wrong answers that no message names. They prove the grader, as alternatives.py does."""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import torch

right = SimpleNamespace(**run_path(str(Path(__file__).with_name("alternatives.py"))))


def changed(answer, after):
    """A right answer with another result."""
    return lambda *args, **kwargs: after(answer(*args, **kwargs))


def constant(value):
    return lambda *args, **kwargs: value


def rescaled_by_a_float(sums, multiplier, shift):
    return torch.floor(sums * (multiplier / 2.0 ** shift.double()).float() + 0.5).long()


def rescaled_with_16_bits(sums, multiplier, shift):
    return right.halves_in_numpy(sums, multiplier.long() >> 16 << 16, shift)


def exact_by_largest_weight(weight, bias, multiplier, shift):
    return right.exact_in_numpy(weight.long().abs().amax(1, keepdim=True).expand_as(weight), bias, multiplier, shift)


def exact_on_random_images(weight, bias, multiplier, shift):
    """Sums of some images, not of the worst."""
    codes = torch.randint(-128, 128, (weight.shape[1], 9), generator=torch.Generator().manual_seed(0))
    sums = (weight.long() @ codes).abs().amax(1) + bias.abs()
    return (shift <= 43) | (sums * multiplier.long() <= 2**53)


def lives_of_the_chain(steps):
    """Only the step before is read."""
    return right.lives_backwards([(size, reads[:1], scratch) for size, reads, scratch in steps])


def lives_of_the_largest_read(steps):
    return right.lives_backwards([(size, [max(reads)] if reads else [], scratch) for size, reads, scratch in steps])


def place_with_padding(buffers, alignment):
    return right.place_by_gaps([(-(-size // 16) * 16, first, last) for size, first, last in buffers], alignment)


def place_by_area(buffers, alignment):
    """The largest bytes times steps first."""
    order = sorted(range(len(buffers)), key=lambda one: -buffers[one][0] * (buffers[one][2] - buffers[one][1] + 1))
    ranked = {number: len(order) - rank for rank, number in enumerate(order)}
    offsets, placed = [0] * len(buffers), []
    for number in sorted(ranked, key=lambda one: -ranked[one]):
        size, first, last = buffers[number]
        near = [(at, end) for at, end, a, b in placed if a <= last and first <= b]
        at = 0
        while not all(at >= end or at + size <= start for start, end in near):
            at += alignment
        placed.append((at, at + size, first, last))
        offsets[number] = at
    return offsets


OTHERS = run_path(str(Path(__file__).with_name("other_mistakes.py")))  # of exercises 7 to 15
WRONG = OTHERS["WRONG"] | {
    "pixel_table": (
        changed(right.table_in_python, lambda t: t[1:]),
        changed(right.table_in_python, torch.Tensor.int),
        changed(right.table_in_python, lambda t: t.flip(0)),
        lambda scale, zero_point, bits=8: (torch.arange(256) + zero_point).clamp(-128, 127).to(torch.int8),
        lambda scale, zero_point, bits=8: right.table_in_python(1 / 255, zero_point, bits),
    ),
    "channels_last": (
        changed(right.rows_by_loops, lambda t: t.flip(1)),
        changed(right.rows_by_loops, torch.Tensor.float),
        changed(right.rows_by_loops, torch.Tensor.tolist),
        lambda weight: right.rows_by_loops(weight).T.contiguous().T,
        lambda weight: weight.contiguous(memory_format=torch.channels_last),
    ),
    "multiply_shift": (
        rescaled_by_a_float,
        rescaled_with_16_bits,
        changed(right.halves_in_numpy, torch.Tensor.int),
        changed(right.halves_in_numpy, torch.relu),
        changed(right.halves_in_numpy, torch.Tensor.double),
        lambda sums, multiplier, shift: right.halves_in_numpy(sums, multiplier, shift.clamp(max=45)),
    ),
    "double_is_exact": (
        exact_by_largest_weight,
        exact_on_random_images,
        lambda weight, bias, multiplier, shift: torch.zeros(len(weight), dtype=torch.bool),
        lambda weight, bias, multiplier, shift: torch.ones(len(weight), dtype=torch.bool),
        changed(right.exact_in_numpy, lambda t: t[:1]),
        changed(right.exact_in_numpy, torch.Tensor.tolist),
    ),
    "lifetimes": (
        lives_of_the_chain,
        lives_of_the_largest_read,
        changed(right.lives_backwards, sorted),
        changed(right.lives_backwards, lambda found: [(size, first, last - first) for size, first, last in found]),
        changed(right.lives_backwards, lambda found: [(first, last, size) for size, first, last in found]),
        constant([]),
    ),
    "place": (
        place_with_padding,
        place_by_area,
        changed(right.place_by_gaps, lambda found: [float(one) for one in found]),
        changed(right.place_by_gaps, torch.tensor),
        changed(right.place_by_gaps, lambda found: dict(enumerate(found))),
        changed(right.place_by_gaps, max),
    ),
}
