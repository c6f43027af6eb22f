"""`lifetimes`: what every exercise must do, and an independent right answer."""

from posttrain_lab.checks.deployment import lifetimes
from tests.checks.exercise_tests import ExerciseTests


def by_going_back(steps):
    """From the last step to the first: what is still needed after a step lives through it."""
    names = []
    for t, (size, reads, _) in enumerate(steps):
        names.append(t if size else names[reads[0]])
    needed, alive = {names[-1]}, {}
    for t in range(len(steps) - 1, -1, -1):
        needed |= {names[one] for one in steps[t][1]} | {names[t]}
        for name in needed:
            if name <= t:
                alive.setdefault(name, []).append(t)
        needed -= {t}
    found = [(steps[name][0], min(alive[name]), max(alive[name])) for name in sorted(alive)]
    return found + [(step[2], t, t) for t, step in enumerate(steps) if step[2] > 0]


class TestLifetimes(ExerciseTests):
    exercise = lifetimes
    independent = staticmethod(by_going_back)
