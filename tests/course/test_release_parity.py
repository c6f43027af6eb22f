"""course/ is exactly what the release makes of solutions/: nobody edits it by hand."""

from posttrain_lab.checks import UNITS
from posttrain_lab.grading.course import find_course
from posttrain_lab.grading.release import release


def test_every_unit_with_checks_has_a_notebook_and_the_other_way_round():
    assert set(find_course().units()) == set(UNITS)


def test_course_is_what_the_release_makes():
    report = release(check=True)
    assert report.passed, report.message
    assert {f"{unit}/{unit}.ipynb" for unit in UNITS} <= set(report.files)
