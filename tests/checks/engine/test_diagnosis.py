"""A known mistake is named only when it gives what the submission gave, also on all that the submission passed before."""

import dataclasses

import pytest

from posttrain_lab.checks.engine.exercise import Case, Exercise, Law, Mistake


def _cases(seed):
    return [Case("a small number", (2.0,)), Case("a larger one", (3.0,)), Case("a negative one", (-1.0,))]


def _even(call, seed):
    return None if call(4.0) == call(-4.0) else "f(-x) is f(x)."


MISTAKES = (
    Mistake("doubled", "You double x; square it.", lambda x: 2 * x),  # 2.0 is right by chance
    Mistake("cubed", "You cube x; square it.", lambda x: x**3),
    Mistake("always six", "You return a constant.", lambda x: 6.0),  # agrees with doubled on 3.0, and fails on 2.0
    Mistake("sign kept", "You keep the sign; a square has none.", lambda x: x * abs(x)),
)


@pytest.fixture
def squared():
    return Exercise(
        name="squared",
        unit="00_start_here",
        points=1,
        difficulty=1,
        minutes=1,
        oracle=lambda x: x * x,
        cases=_cases,
        mistakes=MISTAKES,
        laws=(Law("an even function", _even),),
    )


def named(exercise, function, seeds=(0, 1)):
    return exercise.check(exercise.submission(function), seeds).mistake


def test_known_mistakes_are_named(squared):
    assert [named(squared, mistake.function) for mistake in MISTAKES] == [mistake.name for mistake in MISTAKES]


def test_a_mistake_that_fails_where_the_submission_passed_is_not_named(squared):
    seen = []

    def six_from_the_second_call_on(x):
        seen.append(x)
        return x * x if x == 2.0 else 6.0

    assert named(squared, six_from_the_second_call_on) == "doubled"  # 2 -> 4 and 3 -> 6 fit
    assert named(squared, lambda x: x * x if x in (2.0, 3.0) else -2.0) == ""  # doubled gives -2.0 too, but 6.0 for 3.0


def test_seeds_before_count_too(squared):
    calls = []

    def wrong_later(x):
        calls.append(x)
        return x * x if len(calls) <= 6 else 2 * x

    assert named(squared, wrong_later) == ""  # right in the whole first seed, where the mistake fails


def test_what_a_call_leaves_changed_is_no_known_mistakes_sign(squared):
    import torch

    def unmannerly(x):
        torch.set_grad_enabled(False)
        return x * x

    verdict = squared.check(squared.submission(unmannerly))
    assert (verdict.passed, verdict.mistake) == (False, "")
    assert "leaves torch's gradient mode" in verdict.message


def _leaves_gradients_off_at(points):
    import torch

    def unmannerly(x):
        if x in points:
            torch.set_grad_enabled(False)
        return x * x

    return unmannerly


def test_manners_are_watched_in_cases(squared):
    without_laws = dataclasses.replace(squared, laws=())
    assert not without_laws.check(without_laws.submission(_leaves_gradients_off_at({2.0, 3.0}))).passed


def test_manners_are_watched_in_laws(squared):
    verdict = squared.check(squared.submission(_leaves_gradients_off_at({4.0})))  # which no case calls with
    assert not verdict.passed
    assert "an even function: your function leaves torch's gradient mode" in verdict.message


def test_the_first_call_is_repeated_at_the_end(squared):
    seen = set()

    def forgets(x):
        again = x in seen
        seen.add(x)
        return 0.0 if again else x * x

    assert "Called again with the same arguments" in squared.check(squared.submission(forgets), (0,)).message
