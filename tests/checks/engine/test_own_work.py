"""While a student's function is checked, the library's own function is closed, however it is called; others may use it meanwhile."""

import threading

import pytest
import torch

from posttrain_lab import metrics
from posttrain_lab.checks.engine.own_work import LibraryUsed, closed
from posttrain_lab.checks.engine.stand_ins import trusted_work
from posttrain_lab.checks.engine.submission import LocalSubmission

LOGITS, LABELS = torch.eye(3), torch.tensor([0, 1, 1])
SENTENCE = "the library's own accuracy made this; write it yourself in the cell above"


def swallowed(logits, labels):
    try:
        return metrics.accuracy(logits, labels)
    except BaseException:
        return 2 / 3


def imported_inside(logits, labels):
    from posttrain_lab.metrics import accuracy

    return accuracy(logits, labels)


WAYS = {
    "in a lambda": lambda logits, labels: metrics.accuracy(logits, labels),
    "imported inside": imported_inside,
    "with its error caught": swallowed,
}


@pytest.mark.parametrize("way", WAYS)
def test_the_librarys_function_is_no_answer(way):
    outcome = LocalSubmission(WAYS[way], library="metrics:accuracy").call(LOGITS, LABELS)
    assert SENTENCE in outcome.error


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_of_the_student_meets_the_closed_door_too():
    def in_thread(logits, labels):
        box = []
        thread = threading.Thread(target=lambda: box.append(metrics.accuracy(logits, labels)))
        thread.start()
        thread.join()
        return box[0]

    assert "IndexError" in LocalSubmission(in_thread, library="metrics:accuracy").call(LOGITS, LABELS).error


def test_several_names_are_closed_and_all_opened_again():
    with closed("metrics:accuracy metrics:model_bytes"):
        with pytest.raises(LibraryUsed, match="model_bytes"):
            metrics.model_bytes(torch.nn.ReLU())
        with pytest.raises(LibraryUsed, match="accuracy"):
            metrics.accuracy(LOGITS, LABELS)
    assert metrics.accuracy(LOGITS, LABELS) == pytest.approx(2 / 3)


def test_the_oracle_may_use_it_while_an_answer_is_checked():
    inside, done = threading.Event(), threading.Event()

    def answer(logits, labels):
        inside.set()
        assert done.wait(20)
        return 0.0

    thread = threading.Thread(target=LocalSubmission(answer, library="metrics:accuracy").call, args=(LOGITS, LABELS))
    thread.start()
    assert inside.wait(20)
    with pytest.raises(LibraryUsed):  # closed for all others ...
        metrics.accuracy(LOGITS, LABELS)
    with trusted_work():  # ... but the checks' own code
        assert metrics.accuracy(LOGITS, LABELS) == pytest.approx(2 / 3)
    done.set()
    thread.join()
    assert metrics.accuracy(LOGITS, LABELS) == pytest.approx(2 / 3)


def test_two_checks_at_once_open_the_door_only_when_both_are_over():
    with closed("metrics:accuracy"):
        with closed("metrics:accuracy"):
            pass
        with pytest.raises(LibraryUsed):
            metrics.accuracy(LOGITS, LABELS)
    assert metrics.accuracy(LOGITS, LABELS) == pytest.approx(2 / 3)


def test_a_class_of_the_library_cannot_be_built_nor_inherited_from():
    from posttrain_lab.finetuning import LoRALinear

    class Mine(LoRALinear):
        pass

    layer = torch.nn.Linear(2, 2)
    with closed("finetuning:LoRALinear"):
        for kind in (LoRALinear, Mine):
            with pytest.raises(LibraryUsed, match="LoRALinear"):
                kind(layer, 1, 1.0)
    assert LoRALinear(layer, 1, 1.0)(torch.ones(1, 2)).shape == (1, 2)
