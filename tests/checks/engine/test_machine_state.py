"""What a function leaves changed in the machine is noticed; what an import or the drawing of random numbers changes is not."""

import random
import sys
import warnings

import numpy as np
import pytest

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
