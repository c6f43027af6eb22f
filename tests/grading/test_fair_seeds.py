"""A secret seed on which the course's own answers fail is not used."""

import itertools
from pathlib import Path

import pytest

from posttrain_lab.grading.course import CourseError
from posttrain_lab.grading.fair_seeds import DRAWS, fairly_seeded
from posttrain_lab.grading.jobs import Job

SOURCE = Path("solutions/02_quantization/02_quantization.ipynb")


class Judge:
    """The course's answer to `quantize` fails with the unfair seeds."""

    def __init__(self, *unfair: int):
        self.unfair, self.asked = unfair, list[tuple[Path, int]]()

    def __call__(self, folder: Path, seed: int) -> dict:
        self.asked.append((folder, seed))
        right = {"exercise": "observe", "passed": True, "message": ""}
        return {"verdicts": [right, {"exercise": "quantize", "passed": seed not in self.unfair, "message": "no: 3\nof 5"}]}


def seeded(judge, *seeds: int) -> list[int]:
    jobs = [Job("02_quantization", f"student {number}", "key", seed=seed) for number, seed in enumerate(seeds)]
    found = fairly_seeded(jobs, judge, SOURCE, itertools.count(100).__next__)
    assert [job.student for job in found] == [job.student for job in jobs]
    return [job.seed for job in found]


def test_a_fair_seed_stays_and_is_tried_once():
    judge = Judge()
    assert seeded(judge, 7, 7, 8) == [7, 7, 8]
    assert sorted(judge.asked) == [(SOURCE.parent, 7), (SOURCE.parent, 8)]


def test_an_unfair_seed_is_drawn_anew_until_it_is_fair():
    assert seeded(Judge(7, 100), 7, 8, 7) == [101, 8, 101]


def test_a_source_that_always_fails_is_told():
    judge = Judge(7, *range(100, 200))
    with pytest.raises(
        CourseError, match=r"own answers do not pass the checks of 02_quantization: quantize \(no: 3\)\. Mend solutions"
    ):
        seeded(judge, 7)
    assert len(judge.asked) == DRAWS


def test_no_verdict_is_no_reason_to_draw_again():
    assert seeded(lambda folder, seed: {"fault": "the examiner gave no answer"}, 7) == [7]
