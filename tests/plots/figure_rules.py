"""What holds for every figure of a unit."""

from collections.abc import Callable

import plotly.graph_objects as go
import plotly.io as pio


def check_figure(draw: Callable[[], go.Figure], x_title: bool = True, y_title: bool = True) -> None:
    """Its axes have titles (but those whose rows or columns carry names), it is small, and drawn again it is the same."""
    figure = draw()
    assert isinstance(figure, go.Figure)
    assert figure.layout.xaxis.title.text or not x_title
    assert figure.layout.yaxis.title.text or not y_title
    assert len(pio.to_json(figure)) < 12_000
    assert pio.to_json(figure) == pio.to_json(draw())
