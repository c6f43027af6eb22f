"""The figures of unit 07: what goes in is what is drawn, axes are named, and a saved notebook stays small."""

import pytest
import torch

from posttrain_lab.plots import auditing as plots
from tests.plots.figure_rules import check_figure

TABLE = {"float": {"float": 0.4, "8 bits": 0.41}, "8 bits": {"float": 0.9, "8 bits": 0.97}}
FIGURES = {
    "curves": lambda: plots.curves([0.0, 0.1], {"one step": [0.9, 0.4], "ten steps": [0.9, 0.3]}, "eps", "accuracy"),
    "class_bars": lambda: plots.class_bars(["0", "1"], {"pruned": [-3.0, 1.0], "4 bits": [0.5, -0.5]}, "damage (points)"),
    "matrix": lambda: plots.matrix(TABLE, "accuracy of", "made against"),
    "features": lambda: plots.features(["age", "male"], {"as it is": [1.2, 0.1], "leak": [0.9, 0.0]}, "mean absolute value"),
}


BLANK_X, BLANK_Y = {"class_bars"}, {"features"}  # classes and features carry names


@pytest.mark.parametrize("name", FIGURES)
def test_figures_keep_the_rules(name):
    check_figure(FIGURES[name], x_title=name not in BLANK_X, y_title=name not in BLANK_Y)


def test_curves_draw_what_they_get():
    plot = FIGURES["curves"]()
    assert [list(line.y) for line in plot.data] == [[0.9, 0.4], [0.9, 0.3]]
    assert len({line.line.dash for line in plot.data}) == 2
    with pytest.raises(ValueError, match="2 values"):
        plots.curves([0, 1], {"short": [1.0]}, "x", "y")


def test_panels_put_maps_on_a_symmetric_scale_and_images_on_their_own():
    image, change = torch.tensor([[0.0, 1.0]]), torch.tensor([[-0.5, 0.25]])
    plot = plots.panels([[image, change, image]], [["image", "change", "attacked"]], last_plain=True)
    assert [trace.zmin for trace in plot.data] == [0, -100, 0]
    assert list(plot.data[1].z[0]) == [-100, 50]
    assert [note.text for note in plot.layout.annotations] == ["image", "change", "attacked"]
    with pytest.raises(ValueError, match="caption"):
        plots.panels([[image]], [[]])


def test_the_table_shows_percentages():
    assert FIGURES["matrix"]().data[0].text[1] == ["90 %", "97 %"]
