"""What every exercise must do. `tests/checks/<unit>/test_<exercise>.py` says which exercise, and adds an independent right answer.

The oracle and all right answers pass, every wrong one fails, every known mistake is named, on every seed (on one seed only for
`pytest -m "not slow"`); cases repeat, are sent unchanged, and survive. conftest.py gives the unit's other answers: `alternatives` and
`wrong`. All answers of one kind are one test: thousands of small tests take longer to organize than to run.
"""

import importlib.util
import os
from dataclasses import replace

import pytest
import torch

from posttrain_lab.checks.engine.adapters import is_watcher
from posttrain_lab.checks.engine.diagnosis import known_outcomes
from posttrain_lab.checks.engine.exercise import EMPTY, HIDDEN_SEEDS, VISIBLE_SEEDS, Exercise
from posttrain_lab.checks.engine.outcome import Outcome
from posttrain_lab.checks.engine.plain_values import identical
from posttrain_lab.checks.engine.serialize import decode, encode

# A check runs on VISIBLE_SEEDS, HIDDEN_SEEDS and a secret one; another, as large as the grader's secret seeds, shows that
# they are not special. .ci/nightly tries 18 more.
EXTRA_SEEDS = tuple(1_000_003 * k % 9_999_991 for k in range(1, 1 + int(os.environ.get("EXTRA_SEEDS", "1"))))
SEEDS = (*VISIBLE_SEEDS, *EXTRA_SEEDS, *HIDDEN_SEEDS)
ODD_VALUES = [None, 0, -1.5, "x", (), [1, 2], {"a": 1}, torch.zeros(2), torch.tensor(float("nan")), (1, "a")]


class OverTheWire:
    """A submission whose calls and outcomes are sent as bytes, as they do while grading."""

    def __init__(self, inner):
        self.inner = inner

    def call(self, *args, gradients=(), **kwargs) -> Outcome:
        args, kwargs = decode(encode((args, kwargs)))
        return decode(encode(self.inner.call(*args, gradients=gradients, **kwargs)))


def scribbler(*args, **kwargs):
    """Sets everything that it was given to zero."""
    for arg in args:
        tensors = arg.state_dict().values() if isinstance(arg, torch.nn.Module) else [arg]
        for tensor in tensors:
            if isinstance(tensor, torch.Tensor) and not tensor.requires_grad:
                tensor.zero_()


class ExerciseTests:
    exercise: Exercise
    independent: staticmethod  # a right answer that shares no code with the oracle: the library's, or another library's

    def trusted(self, function):
        return self.exercise.submission(function, trusted=True)

    def checked(self, function, seeds):
        if "launched" in self.exercise.through and importlib.util.find_spec("triton") is None:
            pytest.skip("Triton runs on Linux only")
        return self.exercise.check(self.exercise.submission(function), seeds)

    def passes(self, function, seeds):
        submission = self.trusted(function)
        if is_watcher(self.exercise.through):  # here others than the student may do the work
            submission = replace(submission, through="")
        verdict = self.exercise.check(submission, seeds)
        assert verdict.passed, verdict.message
        assert (verdict.points, verdict.mistake) == (self.exercise.points, "")

    def names(self, mistake, seeds):
        for seed in seeds:
            verdict = self.exercise.check(self.trusted(mistake.function), (seed,))
            found = (verdict.passed, verdict.points, verdict.mistake)
            assert found == (False, 0, mistake.name), (mistake.name, seed, verdict.message)
            assert verdict.message.startswith(f"{self.exercise.name}: {mistake.message}\n"), (mistake.name, verdict.message)

    @pytest.fixture
    def seeds(self, request):
        """All seeds; a single one for `pytest -m "not slow"`."""
        return (0,) if request.config.option.markexpr == "not slow" else SEEDS

    # ---- what it is made of
    def test_there_are_enough_mistakes_and_each_sentence_helps(self):
        mistakes = self.exercise.mistakes
        names, messages = [m.name for m in mistakes], [m.message for m in mistakes]
        assert len(set(names)) == len(names) >= 6
        assert len(set(messages)) == len(messages)
        assert all(message.endswith(".") and "\n" not in message and 15 < len(message) < 160 for message in messages)
        assert 1 <= self.exercise.difficulty <= 5
        assert self.exercise.minutes > 0

    def test_cases_repeat_by_seed_and_differ_between_seeds(self):
        first, again, other = (encode([(c.args, c.kwargs) for c in self.exercise.cases(seed)]) for seed in (3, 3, 4))
        assert first == again
        assert first != other

    def test_a_tensor_among_the_cases_is_a_view_that_is_not_contiguous(self):
        cases = [case for seed in (0, 1) for case in self.exercise.cases(seed)]
        tensors = [arg for case in cases for arg in case.args if isinstance(arg, torch.Tensor)]
        if tensors:
            assert any(not t.is_contiguous() for t in tensors)

    def test_cases_are_sent_unchanged(self):
        for case in self.exercise.cases(2):
            arrived = decode(encode(case.args))
            assert identical(arrived, case.args)
            for before, after in zip(case.args, arrived, strict=True):
                if isinstance(before, torch.Tensor) and before.numel():
                    assert after.stride() == before.stride(), case.words

    def test_cases_survive_an_answer_that_scribbles_on_them(self):
        known = known_outcomes(self.exercise)
        before = encode([(c.args, c.kwargs) for c, _ in known.wanted(0)])
        assert not self.exercise.check(self.exercise.submission(scribbler), (0,)).passed
        assert encode([(c.args, c.kwargs) for c, _ in known.wanted(0)]) == before

    # ---- right answers
    def test_the_oracle_and_an_independent_answer_pass(self, seeds):
        self.passes(self.exercise.oracle, seeds)
        self.passes(self.independent, seeds)

    @pytest.mark.slow
    def test_right_answers_of_another_shape_pass(self, alternatives):
        for name, alternative in alternatives.items():
            verdict = self.checked(alternative, SEEDS)
            assert verdict.passed, (name, verdict.message)

    # ---- wrong answers
    def test_each_mistake_is_named(self, seeds):
        for mistake in self.exercise.mistakes:
            self.names(mistake, seeds)

    @pytest.mark.slow
    def test_wrong_answers_fail_on_every_seed(self, wrong):
        passed = [(name, seed) for name, answer in wrong.items() for seed in SEEDS if self.checked(answer, (seed,)).passed]
        assert passed == []

    def test_an_empty_cell_says_so(self):
        def blank(*args, **kwargs):
            raise NotImplementedError

        verdict = self.exercise.check(self.exercise.submission(blank))
        assert (verdict.message, verdict.mistake, verdict.calls) == (EMPTY, "", 1)

    def test_any_value_gets_a_verdict(self):
        for value in ODD_VALUES:
            verdict = self.exercise.check(self.exercise.submission(lambda *args, _value=value, **kwargs: _value), (0,))
            assert not verdict.passed, value
            assert self.exercise.name in verdict.message, value

    # ---- the same verdict
    @pytest.mark.slow
    def test_run_twice_and_over_the_wire_the_verdict_is_the_same(self):
        for function in (self.exercise.oracle, self.exercise.mistakes[0].function, self.exercise.mistakes[-1].function):
            here = self.trusted(function)
            for seed in (0, 1):
                verdicts = [self.exercise.check(one, (seed,)) for one in (here, here, OverTheWire(here))]
                assert verdicts[0] == verdicts[1] == verdicts[2]
