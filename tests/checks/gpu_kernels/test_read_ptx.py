"""`read_ptx`: what every exercise must do, and an independent right answer."""

from posttrain_lab.checks.gpu_kernels import read_ptx
from tests.checks.exercise_tests import ExerciseTests


def read_by_hand(ptx):
    """No regular expression: words between blanks, tabs and semicolons."""
    words = [line.partition("//")[0].replace(";", " ").split() for line in ptx.splitlines()]
    found = [next((word for word in line if word[0] != "@"), "") for line in words]
    names = [name for name in found if name.split(".")[0] == "mma" or name.split(".")[:2] == ["wgmma", "mma_async"]]
    counts = [int(line[-1][line[-1].index("<") + 1 : -1]) for line in words if line[:1] == [".reg"]]
    return {"multiply": [*names, ""][0], "times": len(names), "registers": sum(counts)}


class TestReadPtx(ExerciseTests):
    exercise = read_ptx
    independent = staticmethod(read_by_hand)
