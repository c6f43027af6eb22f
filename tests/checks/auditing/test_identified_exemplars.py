"""`identified_exemplars`: what every exercise must do, and an independent right answer."""

from collections import Counter

import torch

from posttrain_lab.checks.auditing import identified_exemplars
from tests.checks.exercise_tests import ExerciseTests


def by_counting(dense, compressed):
    """In plain Python."""
    modes = []
    for labels in (dense, compressed):
        counts = [Counter(column) for column in labels.T.tolist()]
        modes.append([min(c, key=lambda label, c=c: (-c[label], label)) for c in counts])
    return torch.tensor([a != b for a, b in zip(*modes, strict=True)])


class TestIdentifiedExemplars(ExerciseTests):
    exercise = identified_exemplars
    independent = staticmethod(by_counting)
