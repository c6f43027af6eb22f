"""Lifetimes, the bound, the placement; and a plan that really keeps apart what lives at one time."""

import itertools
import random

import numpy as np
import pytest

from posttrain_lab.data import load_fashion
from posttrain_lab.deployment.memory import Buffer, MemoryStep, lifetimes, peak, place, plan_memory
from posttrain_lab.deployment.operations import apply, expected, input_codes, operations
from posttrain_lab.deployment.program import DTYPES
from tests.deployment.networks import random_network, shipped


def random_buffers(seed, count):
    choose = random.Random(seed)
    starts = [choose.randrange(10) for _ in range(count)]
    return [Buffer(choose.randrange(1, 40), first, first + choose.randrange(4)) for first in starts]


def check_apart(buffers, offsets, alignment=1):
    for (a, at), (b, bt) in itertools.combinations(zip(buffers, offsets, strict=True), 2):
        together = set(range(a.first, a.last + 1)) & set(range(b.first, b.last + 1))
        assert not together or at + a.bytes <= bt or bt + b.bytes <= at
    assert all(offset >= 0 and offset % alignment == 0 for offset in offsets)


def arena(buffers, offsets):
    return max(one.bytes + offset for one, offset in zip(buffers, offsets, strict=True))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("alignment", [1, 8])
def test_placed_buffers_never_overlap(seed, alignment):
    buffers = random_buffers(seed, 12)
    offsets = place(buffers, alignment)
    check_apart(buffers, offsets, alignment)
    assert peak(buffers) <= arena(buffers, offsets)
    if alignment == 1:
        assert arena(buffers, offsets) <= 1.5 * peak(buffers)


@pytest.mark.parametrize("seed", range(10))
def test_the_bound_against_painting_every_byte(seed):
    buffers = random_buffers(seed, 9)
    assert peak(buffers) == max(sum(b.bytes for b in buffers if time in range(b.first, b.last + 1)) for time in range(-1, 20))


def test_no_buffers():
    assert (peak([]), place([]), lifetimes([])) == (0, [], [])


def test_a_shortcut_lives_until_it_is_added():
    steps = [
        MemoryStep("x", 8),
        MemoryStep("a", 8, ("x",), scratch=3),
        MemoryStep("flat", 0, ("a",)),
        MemoryStep("y", 8, ("flat", "x")),
    ]
    found = {one.name: (one.first, one.last) for one in lifetimes(steps)}
    assert found == {"x": (0, 3), "a": (1, 3), "y": (3, 3), "scratch of a": (1, 1)}


@pytest.mark.parametrize("steps", [[MemoryStep("a", 1, ("b",))], [MemoryStep("a", 1), MemoryStep("a", 1)]])
def test_names_that_are_unknown_or_written_twice(steps):
    with pytest.raises(ValueError, match="each name written once"):
        lifetimes(steps)


def run_in_arena(program, plan, codes):
    """Every value in one block of bytes, as a device has it; what is not written is a sign that can be seen."""
    memory = np.full((len(codes), plan.arena), 0x5A, np.uint8)

    def write(number, array):
        flat = np.ascontiguousarray(array).reshape(len(codes), -1).view(np.uint8)
        memory[:, plan.values[number] : plan.values[number] + flat.shape[1]] = flat

    def read(number):
        value, at = program.values[number], plan.values[number]
        flat = np.ascontiguousarray(memory[:, at : at + value.bytes]).view(DTYPES[value.bits])
        return flat.reshape(-1, *value.shape)

    write(0, codes)
    for operation, scratch in zip(program.operations, plan.scratch, strict=True):
        inputs = [read(one) for one in operation.inputs]
        if scratch >= 0:
            used = next(
                one for one in plan.buffers if one.offset == scratch and one.name.startswith("scratch of " + operation.name)
            )
            memory[:, scratch : scratch + used.bytes] = 0xA5
        assert all(np.array_equal(one, read(number)) for one, number in zip(inputs, operation.inputs, strict=True))
        write(operation.output, apply(program, operation, inputs))
    return read(program.operations[-1].output)


@pytest.mark.parametrize("seed", range(9))
@pytest.mark.parametrize("pool", [True, False])
def test_random_networks_run_in_their_arena(seed, pool):
    network, images = random_network(seed)
    program = operations(network, pool)
    got = run_in_arena(program, plan_memory(program), input_codes(program, images).numpy())
    want = expected(network, images).numpy()
    assert np.array_equal(got.reshape(want.shape), want)


@pytest.mark.parametrize(
    ("name", "pool", "most"), [("fashion_cnn", True, 7_464), ("fashion_cnn", False, 23_520), ("fashion_resnet", True, 23_736)]
)
def test_arenas_of_the_shipped_networks(name, pool, most):
    program = operations(shipped(name), pool)
    plan = plan_memory(program)
    assert plan.arena <= most
    assert plan.arena == peak(plan.buffers)
    codes = input_codes(program, load_fashion().validation.images[:5]).numpy()
    assert np.array_equal(
        run_in_arena(program, plan, codes).reshape(5, 10), expected(shipped(name), load_fashion().validation.images[:5])
    )


def test_an_arena_over_the_budget():
    with pytest.raises(ValueError, match=r"needs an arena of \d+ bytes, the budget is 1000; the largest parts are"):
        plan_memory(operations(shipped("fashion_cnn")), budget=1000)
