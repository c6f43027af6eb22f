"""The figure of project 12: what goes in is what is drawn."""

import pytest

from posttrain_lab.plots import edge as plots
from tests.plots.figure_rules import check_figure


def test_scores_stand_with_their_intervals_and_limits():
    found = {"clean": (0.5, 0.48, 0.53), "mine": (0.25, 0.24, 0.27)}
    check_figure(lambda: plots.scores(found, {"works": 0.45}), y_title=False)  # the rows carry names
    drawn = plots.scores(found, {"works": 0.45})
    (dots,) = drawn.data
    assert (list(dots.x), list(dots.y)) == ([0.5, 0.25], ["clean", "mine"])
    assert (list(dots.error_x.array), list(dots.error_x.arrayminus)) == ([0.03, 0.02], [0.02, 0.01])
    assert [(line.x0, line.x1) for line in drawn.layout.shapes] == [(0.45, 0.45)]
    assert [note.text for note in drawn.layout.annotations] == ["works"]
    with pytest.raises(ValueError, match="got none"):
        plots.scores({}, {})
