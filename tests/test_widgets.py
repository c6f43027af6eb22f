"""The widgets: what is moved reaches the figure, the guess and the score; bad specifications say what to do."""

import json

import ipywidgets
import numpy as np
import plotly.graph_objects as go
import pytest
from bs4 import BeautifulSoup

from posttrain_lab.widgets import PLOTLY, Ask, Choice, Question, Slider, predict, quiz, run_button, slider_figure


def line(slope: float, name: str = "a") -> go.Figure:
    """A line with as many shapes as its slope says, to see that old shapes go away."""
    figure = go.Figure(go.Scatter(x=np.array([0.0, 1.0]), y=np.array([0.0, slope]), name=name))
    for k in range(int(slope)):
        figure.add_vline(x=k)
    return figure.update_layout(title=f"slope {slope}")


def controls_of(box: ipywidgets.VBox) -> list[ipywidgets.Widget]:
    return list(box.children[:-2])


def shown(box: ipywidgets.VBox) -> dict:
    """The figure that the reader sees, as plotly's plain data."""
    (output,) = box.children[-2].outputs
    return output["data"][PLOTLY]


def complaint(box: ipywidgets.VBox) -> str:
    return box.children[-1].value


def test_a_moved_slider_draws_again():
    box = slider_figure(line, slope=Slider(0.0, 4.0, start=3.0))
    assert len(shown(box)["layout"]["shapes"]) == 3
    controls_of(box)[0].value = 1.0
    assert shown(box)["layout"]["title"]["text"] == "slope 1.0"
    assert len(shown(box)["layout"]["shapes"]) == 1


def test_what_is_sent_is_small():
    """A FigureWidget would send the whole of plotly.js with every figure."""
    state = json.dumps([part.get_state() for part in slider_figure(line, slope=Slider(0.0, 1.0, start=1.0)).children[-2:]])
    assert len(state) < 10_000


def test_a_choice_hands_its_value_over_and_starts_where_told():
    box = slider_figure(line, slope=Slider(0, 4, start=1, step=1), name=Choice(("a", "b"), start="b"))
    assert isinstance(controls_of(box)[0], ipywidgets.IntSlider)
    assert shown(box)["data"][0]["name"] == "b"
    controls_of(box)[1].value = "a"
    assert shown(box)["data"][0]["name"] == "a"


def test_an_error_while_drawing_is_shown_and_taken_back():
    def fragile(x: float) -> go.Figure:
        if x > 2:
            raise ValueError("x < 3 only")
        return line(x)

    box = slider_figure(fragile, x=Slider(0.0, 4.0, start=1.0))
    controls_of(box)[0].value = 3.0
    assert complaint(box) == "ValueError: x &lt; 3 only"
    assert shown(box)["layout"]["title"]["text"] == "slope 1.0"
    controls_of(box)[0].value = 2.0
    assert complaint(box) == ""
    assert shown(box)["layout"]["title"]["text"] == "slope 2.0"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Slider(0.0, 1.0, start=2.0), ValueError, "put start between"),
        (lambda: Slider(0.0, 1.0, start=0.5, step=0.0), ValueError, "step > 0"),
        (lambda: Choice(()), ValueError, "wants options"),
        (lambda: Choice((1, 2), start=3), ValueError, "change start"),
        (lambda: slider_figure(line, slope=3), TypeError, "slope=Slider"),
        (lambda: predict("?", ["one"], "then"), ValueError, "at least two"),
        (lambda: quiz([]), ValueError, "at least one"),
        (lambda: Question("?", ("a", "b"), 2, "why"), ValueError, "from 0 to 1"),
    ],
)
def test_bad_specifications(make, error, message):
    with pytest.raises(error, match=message):
        make()


def groups_of(ask: Ask) -> list[BeautifulSoup]:
    return BeautifulSoup(ask._repr_html_(), "html.parser").find_all("fieldset")


def test_a_guess_is_shown_safely():
    (group,) = groups_of(predict("Which?", ["<b>this</b>", "that"], "Run the next cell."))
    assert group.legend.get_text() == "Which?"
    assert [label.get_text() for label in group.find_all("label")] == ["<b>this</b>", "that"]
    assert group.select_one("label + .ptl-said").get_text() == "Your guess: <b>this</b>. Run the next cell."


def test_a_quiz_has_named_groups_and_says_why():
    first, second = groups_of(
        quiz([Question("2 + 2?", ("4", "5"), 0, "Count."), Question("3 + 3?", ("5", "6"), 1, "Count again.")])
    )
    names = [{button["name"] for button in group.find_all("input", type="radio")} for group in (first, second)]
    assert [len(one) for one in names] == [1, 1]
    assert names[0] != names[1]
    assert [said.get_text() for said in first.select("label + .ptl-said")] == ["Right: 4. Count.", "Not yet: 5. Count."]
    assert [button["value"] for button in second.select(".ptl-right")] == ["1"]
    assert second.legend.get_text() == "2. 3 + 3?"


class Page:
    def _repr_html_(self):
        return "<table></table>"


@pytest.mark.parametrize(
    ("action", "shown"),
    [(Page, "<table></table>"), (lambda: "a < b", "<pre>a &lt; b</pre>"), (lambda: 1 / 0, "division by zero")],
)
def test_a_button_shows_what_its_step_gives_each_time(action, shown):
    button, answer = run_button("Go", action).children
    assert answer.value == ""
    for _ in range(2):
        button.click()
        assert shown in answer.value
        assert not button.disabled
