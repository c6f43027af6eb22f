"""Written answers, saboteurs and mutants on the checks of the first unit."""

import functools
import subprocess
import sys

import pytest

from posttrain_lab.grading.course import CourseError
from posttrain_lab.proof.all_saboteurs import SABOTEURS
from posttrain_lab.proof.trials import Bench, mutated, sabotaged, tried, written_answers

pytest.importorskip("resource", reason="processes are forked on Linux and macOS only")
RIGHT = "# RIGHT: by hand\ndef accuracy(logits, labels):\n    return (logits.argmax(1) == labels).double().mean().item()\n"
ALWAYS = "# WRONG: always one half\ndef accuracy(logits, labels):\n    return 0.5\n"
ENDLESS = "# WRONG: never ends\ndef accuracy(logits, labels):\n    while True:\n        pass\n"


@pytest.fixture(scope="module")
def bench():
    return Bench("00_start_here")


def write(folder, **answers):
    place = folder / "00_start_here" / "accuracy"
    place.mkdir(parents=True)
    for name, source in answers.items():
        (place / f"{name}.py").write_text(source)
    return folder


@pytest.mark.slow
def test_written_answers_are_judged(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(Bench, "of_source", functools.partialmethod(Bench.of_source, limit=2.0))
    folder = write(tmp_path, right=RIGHT, wrong=ALWAYS, endless=ENDLESS, misjudged=RIGHT.replace("RIGHT", "WRONG"))
    judged = {answer.path.stem: (answer.right, verdict.passed) for answer, verdict in tried(bench, folder)}
    assert judged == {"right": (True, True), "wrong": (False, False), "endless": (False, False), "misjudged": (False, True)}


def test_files_that_do_not_say_what_they_are_raise(tmp_path):
    with pytest.raises(CourseError, match="must begin with `# RIGHT: why` or `# WRONG: why`"):
        list(written_answers(write(tmp_path, silent="x = 1"), "00_start_here"))


def test_an_unknown_exercise_raises(tmp_path):
    place = tmp_path / "00_start_here" / "acuracy"
    place.mkdir(parents=True)
    (place / "a.py").write_text(RIGHT)
    with pytest.raises(CourseError, match="has no exercise acuracy"):
        list(written_answers(tmp_path, "00_start_here"))


@pytest.mark.slow
def test_saboteurs_and_mutants_of_a_right_answer_fail(bench):
    exercise = bench.exercises["accuracy"]
    machine = tuple(one for one in SABOTEURS if one.group in ("machine", "memory"))
    judged = list(sabotaged(bench, exercise, machine))
    assert [one.name for one in judged if one.passed] == []
    by_the_library = {one.name: one.message for one in judged if one.name.startswith("metrics:accuracy")}
    assert len(by_the_library) == 3
    assert "this is the library's own function" in by_the_library["metrics:accuracy called directly"]
    assert "the library's own accuracy made this" in by_the_library["metrics:accuracy in a lambda"]
    found = list(mutated(bench, exercise, 10_000))
    assert found
    assert [judged.name for _, judged in found if judged.passed] == []


@pytest.mark.slow
def test_of_a_class_the_part_that_is_called_is_wrapped():
    """In a process of its own: where autograd has started its threads, torch refuses to work after a fork."""
    code = (
        "from posttrain_lab.proof.trials import Bench; bench = Bench('02_quantization'); "
        "print(bench.honest(bench.exercises['fake_quantize'])[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert "passed=True" in done.stdout, done.stdout + done.stderr
