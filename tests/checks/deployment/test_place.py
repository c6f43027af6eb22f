"""`place`: what every exercise must do, an independent right answer, and how near the plans are to the best."""

from itertools import permutations

from posttrain_lab.checks.deployment import place
from posttrain_lab.checks.deployment.place import place_cases, place_workload
from posttrain_lab.deployment.memory import Buffer, peak
from tests.checks.exercise_tests import ExerciseTests


def by_painting(buffers, alignment):
    """Each step is a row of bits, one for each byte, and a buffer paints its bytes in all its steps."""
    rows, found = {}, [0] * len(buffers)
    for number in sorted(range(len(buffers)), key=lambda one: (-buffers[one][0], one)):
        size, first, last = buffers[number]
        paint, painted, at = (1 << size) - 1, 0, 0
        for t in range(first, last + 1):
            painted |= rows.get(t, 0)
        while painted >> at & paint:
            at += alignment
        rows |= {t: rows.get(t, 0) | paint << at for t in range(first, last + 1)}
        found[number] = at
    return found


def arena(buffers, offsets):
    return max((at + size for (size, _, _), at in zip(buffers, offsets, strict=True)), default=0)


def best_of_all_orders(buffers):
    """The smallest arena of all orders of placing, each as low as it fits: brute force."""
    best = sum(size for size, _, _ in buffers)
    for order in permutations(range(len(buffers))):
        placed = []
        for number in order:
            size, first, last = buffers[number]
            taken = sorted((at, at + n) for n, a, b, at in placed if a <= last and first <= b)
            at = 0
            for start, end in taken:
                if at + size <= start:
                    break
                at = max(at, end)
            placed.append((size, first, last, at))
        best = min(best, max(at + size for size, _, _, at in placed))
    return best


class TestPlace(ExerciseTests):
    exercise = place
    independent = staticmethod(by_painting)

    def test_plans_are_near_the_best_of_all_orders(self):
        for case in place_cases(0):
            buffers = [*case.args, *case.kwargs.values()][0]
            if 0 < len(buffers) <= 6:
                assert arena(buffers, self.exercise.oracle(buffers, 1)) <= 1.5 * best_of_all_orders(buffers)

    def test_the_network_of_the_page_reaches_the_lower_bound(self):
        buffers = place_workload(0)[0].args[0]
        bound = peak([Buffer(*one) for one in buffers])
        assert arena(buffers, self.exercise.oracle(buffers, 8)) == bound == 23_520
