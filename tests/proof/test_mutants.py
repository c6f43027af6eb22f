"""Mutants are small changes: each compiles, none is the same text, the list is always the same."""

import ast

from posttrain_lab.grading.course import find_course, graded_cells, read_notebook
from posttrain_lab.proof.mutants import chosen, mutants

SOURCE = '''
import torch

def helper(x):
    return x + 1

def answer(x: "Tensor 3", low: int = 0) -> int:
    """Docstrings are left alone: 1 + 1."""
    total = 0
    for item in [i for i in x if i > low]:
        total += item * 2
    if total >= 10 and x:
        return -total
    return max(x.sum(dim=0), key=abs)
'''


def changes(source=SOURCE, names=("answer",)):
    return {mutant.change.partition(": ")[2] for mutant in mutants(source, names)}


def test_each_kind_of_change_is_made():
    wanted = {
        "statement left out",
        "filter left out",
        "Gt -> GtE",
        "Mult -> Div",
        "augmented -> plain",
        "condition negated",
        "and <-> or",
        "without USub",
        "max -> min",
        "axis 0 <-> 1",
        "without key=",
        "sum -> mean",
        "without .sum()",
        "2 -> 3",
    }
    assert wanted <= changes()


def test_other_definitions_docstrings_and_annotations_stay():
    for mutant in mutants(SOURCE, ("answer",)):
        assert "return x + 1" in mutant.source
        assert "left alone: 1 + 1" in mutant.source
        assert "'Tensor 3'" in mutant.source


def test_whether_zip_is_strict_is_left_alone():
    source = "def f(a, b):\n    return list(zip(a, b, strict=True))"
    assert not any("strict" in mutant.change or "strict=False" in mutant.source for mutant in mutants(source))


def test_mutants_of_all_solutions_compile_differ_and_repeat():
    sources = [
        cell.source
        for unit in ("01_pruning", "05_cpu_kernels")
        for cell in graded_cells(read_notebook(find_course().source(unit)))
        if cell.solution
    ]
    for source in sources:
        found = mutants(source)
        texts = {mutant.source for mutant in found}
        assert len(texts) == len(found) > 0
        assert ast.unparse(ast.parse(source)) not in texts
        for mutant in found:
            compile(mutant.source, "<mutant>", "exec")
    assert mutants(sources[0]) == mutants(sources[0])


def test_some_are_chosen_by_the_seed():
    found = mutants(SOURCE)
    assert chosen(found, 5, 1) == chosen(found, 5, 1) != chosen(found, 5, 2)
    assert chosen(found, 10_000, 1) == found
