"""`checks.try_examples` runs the examples of a docstring, says what holds or what came, and leaves everything as it was."""

import builtins
import linecache
import random
import statistics
import sys
import types

import numpy as np
import pytest
import torch

from posttrain_lab import checks
from posttrain_lab.checks import examples
from posttrain_lab.checks.engine import time_limit
from posttrain_lab.kernels.cpu.notebook import on_tensors

timers = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no timers of processor time")

CELL = '''
def scaled(x, by=2):
    """The numbers times `by`.

    >>> scaled(torch.tensor([1.0, 200.0]))
    tensor([  2., 400.])
    >>> three = 3
    >>> scaled(torch.ones(2), by=three)
    tensor([3., 3.])
    """
    {body}
'''


def notebook(source: str, **names):
    """A module like that of a notebook's kernel, in which this cell ran."""
    module = types.ModuleType("a_notebook")
    vars(module).update(torch=torch, **names)
    exec(source, vars(module))
    return module


def said(function, capsys) -> str:
    assert checks.try_examples(function) is None
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def scaled(body: str, **names):
    return notebook(CELL.format(body=body), **names).scaled


def test_a_right_answer(capsys):
    assert said(scaled("return x * by"), capsys) == "scaled: 3 of 3 examples hold.\n"


def test_the_first_example_that_does_not_hold(capsys):
    assert said(scaled("return x * 2"), capsys) == (
        "scaled: example 3 of 3 does not hold.\n"
        "    >>> scaled(torch.ones(2), by=three)\n"
        "The docstring promises:\n"
        "    tensor([3., 3.])\n"
        "Your answer gives:\n"
        "    tensor([2., 2.])\n"
    )


def test_an_example_of_several_lines_is_shown_as_it_stands(capsys):
    text = '''
def f(x):
    """
    >>> for i in range(1):
    ...     f(i)
    1
    """
'''
    assert ">>> for i in range(1):\n    ...     f(i)\n" in said(notebook(text).f, capsys)
    assert "Your answer gives:\n    nothing\n" in said(notebook(text).f, capsys)


def test_an_answer_that_raises_is_told_without_a_traceback(capsys):
    out = said(scaled("return x @ torch.ones(3, 3)"), capsys)
    assert "Your answer raises:\n    RuntimeError: " in out
    assert "Traceback" not in out
    assert "File" not in out


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return x + torch.ones(5)", "RuntimeError in line 11 of your cell (return x + torch.ones(5)): The size"),
        (
            "return fmean([])",
            "StatisticsError in line 11 of your cell (return fmean([])): fmean requires",
        ),  # not Python's own line
    ],
)
def test_an_error_names_the_line_of_the_cell(body, told, monkeypatch, capsys):
    source = CELL.format(body=body)
    monkeypatch.setitem(linecache.cache, "<a cell>", (len(source), None, source.splitlines(keepends=True), "<a cell>"))
    module = types.ModuleType("a_notebook")
    vars(module).update(torch=torch, fmean=statistics.fmean)
    exec(compile(source, "<a cell>", "exec"), vars(module))
    assert told in said(module.scaled, capsys)


def test_an_error_of_the_example_itself_has_no_line_of_the_cell(capsys):
    function = scaled("return x")
    function.__doc__ = "\n    >>> scaled(unknown)\n    1\n"
    assert "Your answer raises:\n    NameError: name 'unknown' is not defined\n" in said(function, capsys)


@pytest.mark.parametrize("body", ["raise SystemExit(3)", "raise BaseException"])
def test_nothing_that_the_answer_raises_comes_out(body, capsys):
    assert "Your answer raises:" in said(scaled(body), capsys)


def test_an_error_whose_words_cannot_be_had(capsys):
    odd = type("Odd", (Exception,), {"__str__": lambda self: 1 / 0})
    assert "Your answer raises:\n    Odd:\n" in said(scaled("raise odd", odd=odd), capsys)


def test_an_empty_answer_is_not_written_yet(capsys):
    out = said(scaled("raise NotImplementedError"), capsys)
    assert out == f"scaled: {examples.EMPTY}\n"
    assert "not written yet" in out


def test_an_empty_kernel_is_not_written_yet(capsys):
    out = said(on_tensors(scaled("raise NotImplementedError")), capsys)
    assert out == f"scaled: {examples.EMPTY}\n"


def test_an_error_of_torch_that_has_this_name_is_told(capsys):
    assert "NotImplementedError: not on this device" in said(scaled("raise NotImplementedError('not on this device')"), capsys)


def test_a_promised_error_holds(capsys):
    text = '''
def f(x):
    """
    >>> f(1)
    Traceback (most recent call last):
        ...
    ValueError: no
    """
    raise ValueError("no")
'''
    assert said(notebook(text).f, capsys) == "f: its example holds.\n"


def test_more_spaces_and_other_lines_are_the_same(capsys):
    text = '''
def f(x):
    """
    >>> f(1)
    tensor([[1., 1.],   [1., 1.]])
    """
    return torch.ones(2, 2)
'''
    assert "holds" in said(notebook(text).f, capsys)


@pytest.mark.parametrize(
    "thing", [5, None, "a text", [1], len, torch.ones(1), lambda x: x, type("Empty", (), {})], ids=[*"12345678"]
)
def test_what_has_no_example(thing, capsys):
    assert "its docstring has no `>>>` example to try." in said(thing, capsys)


def test_a_damaged_example(capsys):
    function = scaled("return x")
    function.__doc__ = "\n    >>> 1\n  1\n"
    assert "an example in its docstring cannot be read" in said(function, capsys)
    function.__doc__ = "\n    >>> scaled(1\n    1\n"
    assert "SyntaxError" in said(function, capsys)


def test_a_class_and_the_names_around_it(capsys):
    text = '''
class Twice(torch.nn.Module):
    """
    >>> Twice()(torch.ones(2)) + one
    tensor([3., 3.])
    """
    @staticmethod
    def help(): ...
    def forward(self, x):
        return 2 * x
'''
    assert said(notebook(text, one=1).Twice, capsys) == "Twice: its example holds.\n"


def test_a_kernel_in_its_wrapper(capsys):
    assert said(on_tensors(scaled("return x * np.float32(by)", np=np)), capsys) == "scaled: 3 of 3 examples hold.\n"


def test_the_kernels_names_and_generators_are_left_alone(capsys):
    text = '''
def f(x):
    """
    >>> torch, three = 1, 3
    >>> f(three)
    3
    """
    torch.manual_seed(1), np.random.seed(1), random.seed(1)
    return x
'''
    module = notebook(text, np=np, random=random)
    names, hook, out = dict(vars(module)), sys.displayhook, sys.stdout
    drawn = torch.get_rng_state(), np.random.get_state()[1].tobytes(), random.getstate()  # noqa: NPY002
    underscore = vars(builtins).get("_", "none")
    assert "2 of 2" in said(module.f, capsys)
    assert vars(module) == names
    assert vars(builtins).get("_", "none") == underscore
    assert (sys.displayhook, sys.stdout) == (hook, out)
    assert torch.equal(drawn[0], torch.get_rng_state())
    assert drawn[1:] == (np.random.get_state()[1].tobytes(), random.getstate())  # noqa: NPY002
    builtins._ = "mine"
    said(module.f, capsys)
    assert builtins._ == "mine"
    del builtins._


def test_what_the_answer_writes_to_stderr_is_not_shown(capsys):
    assert "3 of 3" in said(scaled("print(torch, file=sys.stderr); return x * by", sys=sys), capsys)


@timers
def test_an_answer_that_never_returns(monkeypatch, capsys):
    monkeypatch.setattr(examples, "CALL", 0.05)
    monkeypatch.setattr(examples, "WALL", 10_000)
    monkeypatch.setattr(time_limit, "WALL", 10_000)
    out = said(scaled("while True: pass"), capsys)
    assert out.endswith(
        "nothing: your function did not return within 0.05 seconds of processor time; look for a loop that never ends.\n"
    )


def test_a_long_result_is_cut(capsys):
    assert len(said(scaled("return list(range(10_000))"), capsys)) < 1200
