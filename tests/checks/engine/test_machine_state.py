"""What a function leaves changed in the machine is noticed; what an import or the drawing of random numbers changes is not."""

import contextlib
import random
import sys
import warnings

import numpy as np
import pytest
import torch

from posttrain_lab import checks
from posttrain_lab.checks.engine import manners
from posttrain_lab.checks.engine.exercise import CheckFailed
from posttrain_lab.checks.engine.submission import LocalSubmission


def notes_of(function):
    return LocalSubmission(function).call().notes


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda: random.seed(3), "Python's random seed"),
        (lambda: np.random.seed(3), "numpy's random seed"),  # noqa: NPY002
        (lambda: warnings.simplefilter("error"), "Python's warning filters"),
    ],
)
def test_a_change_is_noticed(change, what):
    notes = notes_of(change)
    assert len(notes) == 1
    assert notes[0].startswith(f"leaves {what}")


def test_drawing_is_no_seeding():
    def draws():
        return [random.random() for _ in range(2000)] + np.random.rand(5000).tolist()  # noqa: NPY002

    random.seed(1)  # fresh generators: the first draw renews all of their words
    np.random.seed(1)  # noqa: NPY002
    assert notes_of(draws) == ()
    assert notes_of(draws) == ()


def test_an_import_may_change_the_filters(tmp_path, monkeypatch):
    (tmp_path / "noisy_module.py").write_text("import warnings\nwarnings.simplefilter('error')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "noisy_module", raising=False)

    def imports():
        import noisy_module  # noqa: F401

    assert notes_of(imports) == ()
    monkeypatch.delitem(sys.modules, "noisy_module")


def drawn():
    return np.random.randn(3).tolist(), random.random(), torch.rand(2).tolist()  # noqa: NPY002


@pytest.mark.parametrize("first", [lambda: np.random.seed(3), manners.seed_numpy], ids=["another seed", "the same seed"])  # noqa: NPY002
@pytest.mark.parametrize("call", [drawn, lambda: np.random.seed(5)], ids=["draws", "seeds"])  # noqa: NPY002
def test_each_call_meets_the_same_generators_and_leaves_those_of_the_caller(first, call):
    """Also the half of a pair of normal numbers that numpy keeps for the next draw."""
    state = np.random.get_state(legacy=False)  # noqa: NPY002
    try:
        first()
        np.random.randn()  # noqa: NPY002
        wanted = np.random.randn(5).tolist()  # noqa: NPY002
        first()
        np.random.randn()  # noqa: NPY002
        values = [LocalSubmission(drawn).call().value]
        LocalSubmission(call).call()
        values.append(LocalSubmission(drawn).call().value)
        assert values[0] == values[1]
        assert np.random.randn(5).tolist() == wanted  # noqa: NPY002
        first()
        wanted = np.random.randn(5).tolist()  # noqa: NPY002
        first()
        assert LocalSubmission(drawn).call().value == values[0]
        LocalSubmission(call).call()
        assert LocalSubmission(drawn).call().value == values[0]
        assert np.random.randn(5).tolist() == wanted  # noqa: NPY002
    finally:
        np.random.set_state(state)  # noqa: NPY002


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_a_visible_check_seeds_numpy_once_and_leaves_the_generator_of_the_caller(monkeypatch, error):
    """To write the generator before each call takes longer than most calls."""
    written, calls, seed_numpy = [], [], manners.seed_numpy
    monkeypatch.setattr(manners, "seed_numpy", lambda: (written.append(1), seed_numpy()))

    def answer(probabilities, labels):
        calls.append(1)
        if error:
            raise error
        return ((probabilities - torch.nn.functional.one_hot(labels, probabilities.shape[1])) ** 2).sum(1).mean().item()

    before = np.random.get_state(legacy=False)  # noqa: NPY002
    with pytest.raises(CheckFailed if error is ValueError else error) if error else contextlib.nullcontext():
        checks.calibration.brier(answer)
    after = np.random.get_state(legacy=False)  # noqa: NPY002
    assert len(written) == 1
    assert len(calls) == 1 if error else len(calls) > 10
    assert before["state"]["key"].tolist() == after["state"]["key"].tolist()
    assert {**before, "state": before["state"]["pos"]} == {**after, "state": after["state"]["pos"]}
