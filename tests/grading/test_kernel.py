"""What a kernel answers is data of unknown worth: an outcome of the right kinds comes through, the rest is a sentence."""

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import torch
from safetensors.torch import save
from small_unit import SETUP, exercise, source
from torch import nn

from posttrain_lab.checks.engine import serialize
from posttrain_lab.checks.engine.exercise import EMPTY, Case, Exercise
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.submission import LocalSubmission
from posttrain_lab.grading import kernel_side, session
from posttrain_lab.grading.kernel import KernelSubmission, check_in_kernel, decoded, vetted
from posttrain_lab.grading.session import GraderFault, KernelLost, Limits, StudentKernel

pytestmark = pytest.mark.slow


class Scripted:
    """In the place of a kernel: answers with these texts, or raises these exceptions."""

    def __init__(self, *answers: str | Exception, limits: Limits | None = None):
        self.answers, self.asked, self.limits, self.used = list(answers), [], limits or Limits(), 0.0

    def answer(self, asked: tuple[str, ...], left: float) -> str:
        self.asked.append((asked, left))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def written(value: Any) -> str:
    return repr(base64.b64encode(serialize.encode(value)).decode("ascii"))


def tree(value: Any, **tensors: torch.Tensor) -> str:
    """A message with any JSON in it."""
    return repr(base64.b64encode(save(tensors, {"tree": json.dumps(value)})).decode("ascii"))


def layer(name: str, **options: Any) -> dict[str, Any]:
    fields = {"kind": "layer", "name": name, "training": False, "options": options, "tensors": {}, "children": []}
    return {"kind": "Outcome", "fields": {"kind": "dict", "items": [["value", fields]]}}


def test_an_honest_outcome_comes_through():
    outcome = Outcome(torch.arange(3.0), (None, torch.ones(2)), ("mm",), (1,), "", False)
    got = KernelSubmission(Scripted(written(outcome)), "double").call(torch.ones(3))
    assert torch.equal(got.value, outcome.value)
    assert torch.equal(got.gradients[1], torch.ones(2))
    assert (got.gradients[0], got.float_products, got.changed) == (None, ("mm",), (1,))


@pytest.mark.parametrize("name", ["numpy matmul", "mean", "mul", "_sparse_mm"])
def test_every_product_that_the_spy_notes_comes_through(name):
    outcome = Outcome(torch.arange(3.0), float_products=(name,))
    assert KernelSubmission(Scripted(written(outcome)), "double").call(torch.ones(3)).float_products == (name,)


def test_the_question_holds_the_name_and_the_arguments():
    kernel = Scripted(written(Outcome(value=1)))
    KernelSubmission(kernel, "Cube", "apply").call(torch.ones(2), gradients=(0,), at=0.5)
    (name, attribute, question, *_), left = kernel.asked[0]
    assert (name, attribute) == ("Cube", "apply")
    args, kwargs, gradients = serialize.decode(base64.b64decode(question))
    assert torch.equal(args[0], torch.ones(2))
    assert (kwargs, gradients, left) == ({"at": 0.5}, (0,), Limits().exercise)


@pytest.mark.parametrize("name", ["", "a b", "x'); import os; ('"])
def test_only_a_name_of_python_is_sent(name):
    with pytest.raises(ValueError, match="wants names of Python"):
        KernelSubmission(Scripted(""), name)


DEEP = "[" * 100_000 + "]" * 100_000
FORGED = {
    "empty": "",
    "no base64": "'%%%'",
    "noise": "'" + "A" * 4000 + "'",
    "other text": "'ä'",
    "a number": written(5),
    "an all-passing claim": written({"passed": True, "points": 10}),
    "a list": written([Outcome(value=1)]),
    "error no text": written(Outcome(error=5)),  # type: ignore[arg-type]
    "unsolved no bool": written(Outcome(unsolved=1)),  # type: ignore[arg-type]
    "gradients no tensors": written(Outcome(gradients=(1,))),  # type: ignore[arg-type]
    "unknown product": written(Outcome(float_products=("equal",))),
    "changed far away": written(Outcome(changed=(10**9,))),
    "changed true": written(Outcome(changed=(True,))),
    "no such field": tree({"kind": "Outcome", "fields": {"kind": "dict", "items": [["passed", True]]}}),
    "no such kind": tree({"kind": "Verdict"}),
    "a clock": written(Outcome(value=serialize.TimedCall((1.0,)))),
    "a tensor of nothing": tree({"kind": "tensor", "name": "0", "strides": [1], "parameter": None}),
    "a wild layer": tree(
        layer("BatchNorm2d", num_features=10**11, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True)
    ),
    "a wild pool": tree(layer("MaxPool2d", kernel_size=10**9, stride=1, padding=0)),
    "deep": "'" + base64.b64encode(len(DEEP).to_bytes(8, "little") + DEEP.encode()).decode() + "'",
}


@pytest.mark.parametrize("text", FORGED.values(), ids=FORGED)
def test_what_is_no_outcome_is_a_sentence(text):
    outcome = KernelSubmission(Scripted(text), "double").call(torch.ones(1))
    assert outcome.error.startswith("what came back from your function cannot be read (")
    assert outcome.value is None
    assert not check_in_kernel(exercise("double"), Scripted(text)).passed


@pytest.mark.parametrize("value", [None, True, "right", float("nan"), [], {}, torch.ones(5, dtype=torch.complex64), nn.ReLU()])
def test_no_value_but_the_right_one_passes(value):
    for name in ("double", "split", "cube", "stack", "seconds"):
        verdict = check_in_kernel(exercise(name), Scripted(written(Outcome(value=value))))
        assert not verdict.passed
        assert verdict.points == 0
        assert len(verdict.message) > 10


def test_a_value_that_the_judge_cannot_look_at_fails():
    def judge(want: Outcome, got: Outcome) -> str | None:
        raise RuntimeError("no such operator")

    odd = Exercise(
        name="odd",
        unit="91_small",
        points=2,
        difficulty=1,
        minutes=5,
        oracle=lambda x: x,
        cases=lambda seed: [Case("one", (1,))],
        mistakes=(),
        judge=judge,
    )
    verdict = check_in_kernel(odd, Scripted(written(Outcome(value=1))))
    assert (verdict.passed, verdict.points, verdict.max_points) == (False, 0, 2)
    assert "RuntimeError" in verdict.message


@pytest.mark.parametrize("notes", [["a list"], (1,), ("x",) * 10_001])
def test_notes_are_a_tuple_of_texts(notes):
    with pytest.raises(ValueError, match="wrong kind"):
        vetted(Outcome(value=1, notes=notes))


def test_notes_cannot_paint_the_terminal():
    assert vetted(Outcome(value=1, notes=("\x1b[31mred",))).notes == ("[31mred",)


def test_the_kernels_side_remembers_the_result_of_the_call_before(monkeypatch):
    buffer = torch.zeros(2)
    monkeypatch.setattr(sys.modules["__main__"], "reused", lambda x: buffer.copy_(x), raising=False)

    def asked(value):
        question = base64.b64encode(serialize.encode([(torch.full((2,), value),), {}, ()])).decode("ascii")
        return decoded(kernel_side.answer("reused", "", question)).notes

    assert asked(1.0) == ()
    assert "result of the call before" in asked(2.0)[0]


def test_a_lost_kernel_is_asked_once():
    kernel = Scripted(KernelLost("your function did not return within 3 seconds"))
    submission = KernelSubmission(kernel, "double")
    assert submission.call(1).error == submission.call(2).error == "your function did not return within 3 seconds."
    assert len(kernel.asked) == 1


def test_the_seconds_of_an_exercise_end_it():
    kernel = Scripted(written(Outcome(value=1)), limits=Limits(exercise=0.0))
    assert "used all of its 0 seconds" in KernelSubmission(kernel, "double").call(1).error
    assert kernel.asked == []


def test_an_exercise_counts_what_its_own_calls_used():
    kernel = Scripted(written(Outcome(value=1)))
    kernel.used = 500.0  # by the exercises before
    submission = KernelSubmission(kernel, "double")
    submission.call(1)
    kernel.used += 45.0
    submission.call(1)
    assert [left for _, left in kernel.asked] == [60.0, 15.0]


def test_calls_that_wait_are_ended_by_the_clock(monkeypatch):
    kernel = Scripted(written(Outcome(value=1)))
    submission = KernelSubmission(kernel, "double")
    late = monotonic() + 301
    monkeypatch.setattr("posttrain_lab.grading.kernel.monotonic", lambda: late)
    assert "together did not end within 300 seconds; look for what it waits for" in submission.call(1).error


def test_faults_that_are_not_the_students_are_raised():
    with pytest.raises(GraderFault, match="has an argument that cannot be sent to the kernel"):
        KernelSubmission(Scripted(""), "double").call(object())
    with pytest.raises(GraderFault, match="no kernel"):
        check_in_kernel(exercise("double"), Scripted(GraderFault("no kernel")))
    doubled = [written(Outcome(value=2 * case.args[0])) for case in exercise("double").cases(0)]
    with pytest.raises(GraderFault, match="died in a law"):
        check_in_kernel(exercise("double"), Scripted(*doubled, GraderFault("died in a law")))


def test_errors_are_shortened_and_cannot_paint_the_terminal():
    outcome = vetted(Outcome(error="\x1b[31mred\x1b[0m\r\n" + "x" * 10**6))
    assert "\x1b" not in outcome.error
    assert len(outcome.error) <= 2000


def test_decoded_wants_a_text_of_sane_length(monkeypatch):
    monkeypatch.setattr(serialize, "LIMIT", 10)
    with pytest.raises(ValueError, match="too long"):
        decoded("A" * 21)


@pytest.mark.parametrize("spelt", ["layer", "l\\u0061yer"])
def test_a_wild_layer_is_refused_however_its_kind_is_spelt(spelt):
    tree = {
        "kind": "layer",
        "name": "MaxPool2d",
        "options": {"kernel_size": 10**9},
        "tensors": {},
        "children": [],
        "training": True,
    }
    text = json.dumps(tree).replace('"layer"', f'"{spelt}"')
    raw = save({}, {"tree": text})
    with pytest.raises(ValueError, match="far too large"):
        decoded(base64.b64encode(raw).decode())


def test_the_helper_answers_in_this_process_too(monkeypatch):
    main = __import__("__main__")
    monkeypatch.setattr(main, "twice", lambda x: 2 * x, raising=False)
    monkeypatch.setattr(main, "leaves", lambda x: exit(3), raising=False)
    monkeypatch.setattr(main, "huge", lambda x: torch.zeros(100), raising=False)

    def ask(name: str) -> Outcome:
        question = base64.b64encode(serialize.encode([(torch.ones(2),), {}, ()])).decode()
        return vetted(decoded(repr(kernel_side.answer(name, "", question))))

    assert torch.equal(ask("twice").value, torch.tensor([2.0, 2.0]))
    assert "raised SystemExit" in ask("leaves").error
    assert "the name `nothing` is not defined" in ask("nothing").error
    monkeypatch.setattr(kernel_side, "LIMIT", 200)
    assert "much less is expected" in ask("huge").error


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudentKernel]:
    folder = tmp_path_factory.mktemp("submission")
    (folder / "torch.py").write_text("raise SystemExit", encoding="utf-8")
    with StudentKernel(folder, Limits(cell=20, call=15)) as kernel:
        kernel.run(SETUP)
        yield kernel


@pytest.mark.slow
@pytest.mark.parametrize("name", ["double", "split", "cube", "stack", "seconds"])
def test_a_kernel_gives_the_verdict_of_this_process(kernel, name):
    """Right, empty, gone: the same verdict and message as in the notebook."""
    one = exercise(name)
    kernel.run(source(name))
    right = check_in_kernel(one, kernel)
    assert right == one.check(LocalSubmission(one.oracle, trusted=True))
    assert right.passed
    kernel.run(f"def {one.function_name}(*a, **k): raise NotImplementedError")
    assert check_in_kernel(one, kernel).message == EMPTY
    kernel.run(f"del {one.function_name}")
    assert "is not defined" in check_in_kernel(one, kernel, "SyntaxError: invalid syntax").message
    assert "SyntaxError" in check_in_kernel(one, kernel, "SyntaxError: invalid syntax").message


@pytest.mark.slow
def test_a_known_mistake_is_named_through_the_kernel(kernel):
    kernel.run("def double(x): return x / 2")
    verdict = check_in_kernel(exercise("double"), kernel)
    assert (verdict.mistake, verdict.message.splitlines()[0]) == ("half", "double: You halved x.")


@pytest.mark.slow
def test_cells_run_again_in_a_new_kernel(kernel):
    kernel.run("kept = 41")
    starts = kernel.starts
    with pytest.raises(KernelLost, match="ended while it ran"):
        kernel.run("print('last words', flush=True)\nimport os\nos._exit(1)")
    assert kernel.ask("kept + 1") == "42"
    assert kernel.starts == starts + 1


@pytest.mark.slow
def test_what_never_ends_is_told_the_whole_limit(kernel, monkeypatch):
    """The limit of the call, or that of the exercise, but never what is left of it."""
    monkeypatch.setattr(kernel, "limits", Limits(call=1.0, exercise=7.0))
    monkeypatch.setattr(session, "WALL", 1000)
    endless = "[n for n in iter(int, 1)]"
    with pytest.raises(KernelLost, match=r"^your function did not return within 1 seconds of processor time; look for a loop"):
        kernel.ask(endless, 7.0)
    with pytest.raises(KernelLost, match=r"^your function used all of its 7 seconds of processor time; look for what"):
        kernel.ask(endless, 0.5)


@pytest.mark.slow
def test_what_waits_uses_no_processor_time(kernel, monkeypatch):
    """As on a busy machine: by the clock it takes longer than its limit. What waits for ever ends by the clock all the same."""
    monkeypatch.setattr(kernel, "limits", Limits(call=1.0))
    monkeypatch.setattr(session, "WALL", 1000)
    before = kernel.used
    assert kernel.ask("__import__('threading').Event().wait(1.5)") == "False"
    assert kernel.used - before < 1.0
    monkeypatch.setattr(session, "WALL", 0.5)
    with pytest.raises(KernelLost, match=r"did not return within .* seconds; look for what it waits for"):
        kernel.ask("__import__('threading').Event().wait(60)")


@pytest.mark.slow
def test_the_kernel_does_not_look_for_modules_beside_the_notebook(kernel, tmp_path):
    assert kernel.ask("[p for p in __import__('sys').path if p in ('', '.', __import__('os').getcwd())]") == "[]"
    assert Path(kernel.ask("__import__('os').getcwd()").strip("'")) == kernel.folder


@pytest.mark.slow
def test_restarts_and_seconds_are_bounded(tmp_path):
    with StudentKernel(tmp_path, Limits(restarts=0)) as kernel:
        with pytest.raises(KernelLost):
            kernel.run("import os\nos._exit(1)")
        with pytest.raises(KernelLost, match="ended or blocked its Python process 1 times"):
            kernel.run("1")
    with StudentKernel(tmp_path, Limits(notebook=-1.0)) as kernel, pytest.raises(KernelLost, match="used all of its"):
        kernel.run("1")
