"""Comparing: what counts as equal, and the words for the first difference."""

import pytest
import torch
from torch import nn

from posttrain_lab.checks.engine.judges import by_precision, close, difference, near, same, show
from posttrain_lab.checks.engine.outcome import Outcome

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("want", "got"),
    [
        (1, 1),
        (1.0, 1),
        (0.5, 0.5 + 1e-9),
        (NAN, NAN),
        (INF, INF),
        ("a", "a"),
        (None, None),
        ((1, 2.0), [1, 2.0]),
        ({"a": 1}, {"a": 1}),
        (torch.tensor([1.0, NAN]), torch.tensor([1.0, NAN], dtype=torch.float64)),
        (torch.tensor([1], dtype=torch.int8), torch.tensor([1], dtype=torch.int8)),
        (torch.zeros(0, 3), torch.zeros(0, 3)),
    ],
)
def test_equal(want, got):
    assert difference(want, got, 1e-6, 1e-6) is None


@pytest.mark.parametrize(
    ("want", "got", "words"),
    [
        (1, 2, "expected 1, got 2."),
        (1, True, "expected the plain number 1, got True (a bool)."),
        (1, 1.0, "expected the whole number 1, got 1 (a float)."),
        (1.0, torch.tensor(1.0), "expected the plain number 1, got 1 (a Tensor)."),
        (0.5, 0.6, "expected 0.5, got 0.6."),
        (0.5, NAN, "expected 0.5, got nan."),
        (INF, -INF, "expected inf, got -inf."),
        ("a", 1, "expected 'a', got 1."),
        (None, 0, "expected None, got 0."),
        (True, 1, "expected True, got 1."),
        ((1, 2), (1, 3), "in value [1], expected 2, got 3."),
        ((1, 2), (1,), "expected 2 values, got (1,)."),
        ({"a": 1}, {"b": 1}, "expected a dict with the keys ['a'], got {'b': 1}."),
        ({"a": 1}, {"a": 2}, "in value ['a'], expected 1, got 2."),
        (torch.zeros(2), 0.0, "expected a tensor, got 0 (a float)."),
        (torch.zeros(2), torch.zeros(3), "expected the shape (2,), got (3,)."),
        (torch.zeros(2), torch.zeros(2).half(), "expected the dtype torch.float32, got torch.float16."),
        (torch.zeros(2), torch.zeros(2, dtype=torch.int64), "expected the dtype torch.float32, got torch.int64."),
        (torch.tensor([1, 2, 3]), torch.tensor([1, 3, 4]), "expected 2 at [1], got 3 (2 of 3 differ)."),
        (torch.tensor(1.5), torch.tensor(2.5), "expected 1.5, got 2.5 (1 of 1 differ)."),
        (nn.ReLU(), nn.GELU(), "expected a ReLU, got GELU."),
    ],
)
def test_different(want, got, words):
    assert difference(want, got, 1e-6, 1e-6) == words


def test_a_strict_dtype():
    assert (
        difference(torch.zeros(1), torch.zeros(1).double(), 0, 0, strict_dtype=True)
        == "expected the dtype torch.float32, got torch.float64."
    )


def test_layers_are_compared_by_their_tensors():
    first, second = nn.Linear(2, 1), nn.Linear(2, 1)
    second.load_state_dict(first.state_dict())
    assert difference(first, second, 0, 0) is None
    second.bias.data += 1
    assert "in value ['bias']" in difference(first, second, 0, 0)


def test_something_that_cannot_be_compared_is_our_fault():
    with pytest.raises(TypeError, match="cannot compare a set"):
        difference({1}, {1}, 0, 0)


def test_gradients_are_judged_with_the_values():
    want, got = (Outcome(torch.zeros(1), (torch.tensor([g]),)) for g in (1.0, 0.0))
    assert close()(want, want) is None
    assert close()(want, got).startswith("the gradient is wrong: in value [0], expected 1 at [0], got 0")
    assert close()(Outcome(1.0, (None,)), Outcome(1.0, (torch.zeros(1),))) is not None


@pytest.mark.parametrize(("got", "fine"), [(0.09, True), (-0.09, True), (0.11, False)])
def test_near_measures_by_the_largest_number(got, fine):
    judge = near(1e-3)
    assert (judge(Outcome((0.0, 100.0)), Outcome((got, 100.0))) is None) == fine
    assert (judge(Outcome(torch.tensor([0.0, 100.0])), Outcome(torch.tensor([got, 100.0]))) is None) == fine


def test_near_without_numbers_wants_the_same():
    assert near(1.0)(Outcome(torch.zeros(0)), Outcome(torch.zeros(0))) is None
    assert near(1.0)(Outcome(None), Outcome(1)) is not None


def test_same_compares_errors_without_line_and_numbers():
    known = Outcome(error="your function raised RuntimeError: the minor of order 5 is not positive")
    met = Outcome(
        error="your function raised RuntimeError in line 3 of your cell (u = chol(h)): the minor of order 7 is not positive"
    )
    other = Outcome(error="your function raised RuntimeError in line 3 of your cell (u = chol(h)): shapes differ")
    assert same(known, met, close())
    assert not same(known, other, close())
    assert not same(known, Outcome(1), close())
    assert not same(Outcome(1), Outcome(1, changed=(0,)), close())


def test_same_of_kinds_that_a_judge_cannot_take_is_no():
    def judge(want, got):
        return None if want.value.shape == got.value.shape else "another shape"

    assert not same(Outcome(1), Outcome(torch.zeros(1)), judge)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.tensor(3), "3"),
        (torch.tensor(0.25), "0.25"),
        (torch.zeros(2, 3), "a tensor float32 of shape (2, 3)"),
        (1 / 3, "0.333333"),
        ("x" * 99, "'" + "x" * 76 + "..."),
    ],
)
def test_show(value, text):
    assert show(value) == text


def test_a_float64_result_is_judged_by_its_own_judge():
    judge = by_precision(close(1e-6, 0.0, strict_dtype=True), close(1e-12, 0.0, strict_dtype=True))
    one = torch.ones(1)
    assert judge(Outcome(value=one), Outcome(value=one + 2e-7)) is None
    assert judge(Outcome(value=one.double()), Outcome(value=one.double() + 2e-7))
    assert "dtype" in (judge(Outcome(value=one.double()), Outcome(value=one)) or "")
