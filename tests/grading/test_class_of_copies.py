"""A class of forty, with a kill -9 in the middle: every score right, nothing graded twice. (A thousand: class_of_copies.py.)"""

import pytest
from class_of_copies import whole_class

from posttrain_lab.grading.sandbox.available import no_sandbox

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(bool(no_sandbox()), reason="this machine lacks a sandbox"),
]


def test_a_class_that_is_ended_in_the_middle_gets_every_score_right():
    found = whole_class(students=40, workers=2)
    assert found["students"] == 40
    assert 20 <= found["done before the kill"] < 40
