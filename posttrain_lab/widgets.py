"""Interactive elements of a notebook: a figure with sliders, a guess before the run, a quiz. They compute nothing.

Each function returns an ipywidgets object; the notebook shows it as the last value of a cell. Figures with sliders run
the student's own function: `slider_figure` calls it again after each move. A move needs a running kernel.
"""

import html
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
from plotly.graph_objects import Figure

PLOTLY = "application/vnd.plotly.v1+json"
WIDE = ipywidgets.Layout(width="auto", max_width="46em")
LABEL = {"description_width": "9em"}


@dataclass(frozen=True)
class Slider:
    """A slider for a number between `low` and `high`; with integers it gives integers only.

    >>> Slider(0.0, 4.0, start=1.5, step=0.5, label="upper end")
    Slider(low=0.0, high=4.0, start=1.5, step=0.5, label='upper end')
    """

    low: float
    high: float
    start: float
    step: float = 0.1
    label: str = ""

    def __post_init__(self) -> None:
        if not self.low <= self.start <= self.high or self.step <= 0:
            raise ValueError(
                f"Slider wants low <= start <= high and step > 0, got low={self.low}, start={self.start}, "
                f"high={self.high}, step={self.step}; put start between the ends."
            )

    def control(self, name: str) -> ipywidgets.ValueWidget:
        whole = all(isinstance(value, int) for value in (self.low, self.high, self.start, self.step))
        kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
        ends = {"min": self.low, "max": self.high, "step": self.step}
        return kind(value=self.start, description=self.label or name, style=LABEL, layout=WIDE, **ends)


@dataclass(frozen=True)
class Choice:
    """One of several values, shown as a row of buttons; `start` is the first one unless given.

    >>> Choice((2, 4, 8), start=4)
    Choice(options=(2, 4, 8), start=4, label='')
    """

    options: tuple[Any, ...]
    start: Any = None
    label: str = ""

    def __post_init__(self) -> None:
        if not self.options or (self.start is not None and self.start not in self.options):
            raise ValueError(f"Choice wants options and a start among them, got {self.options} and {self.start!r}; change start.")

    def control(self, name: str) -> ipywidgets.ValueWidget:
        start = self.options[0] if self.start is None else self.start
        return ipywidgets.ToggleButtons(
            options=[(str(option), option) for option in self.options],
            value=start,
            description=self.label or name,
            style={**LABEL, "button_width": "auto"},
        )


def slider_figure(draw: Callable[..., Figure], **controls: Slider | Choice) -> ipywidgets.VBox:
    """A figure with controls: `draw(**values)` is called with the controls' values, at every move.

    draw: returns a plotly Figure; controls: one `Slider` or `Choice` for each of its arguments. An error inside `draw` is
    shown as a sentence below the figure, which keeps its last state. The figure is sent as plain data (a FigureWidget
    would send the 5 MB of plotly.js with each figure).

    Raises TypeError for a control of another kind, and whatever `draw` raises on its first call.
    """
    for name, control in controls.items():
        if not isinstance(control, Slider | Choice):
            raise TypeError(f"slider_figure wants a Slider or Choice for {name}, got {control!r}; write {name}=Slider(...).")
    moved = {name: control.control(name) for name, control in controls.items()}
    place, complaint = ipywidgets.Output(), ipywidgets.HTML()

    def show() -> None:
        place.outputs = (_display(draw(**{name: control.value for name, control in moved.items()})),)

    def redraw(_: Any) -> None:
        try:
            show()
            complaint.value = ""
        except Exception as error:
            complaint.value = html.escape(f"{type(error).__name__}: {error}")

    show()
    for control in moved.values():
        control.observe(redraw, names="value")
    return ipywidgets.VBox([*moved.values(), place, complaint])


def _display(figure: Figure) -> dict[str, Any]:
    """The figure as an output of a cell, in the format that this notebook program understands."""
    bundle = figure._repr_mimebundle_() or {PLOTLY: json.loads(str(figure.to_json()))}
    return {"output_type": "display_data", "data": bundle, "metadata": {}}


def predict(question: str, options: Sequence[str], then: str) -> ipywidgets.VBox:
    """A question before the run: choosing one of the options shows your guess and the sentence `then`.

    The guess is the `value` of the second child (None until a choice is made). Raises ValueError below two options.

    >>> predict("Which is larger?", ["the file", "the memory"], "Run the next cell.").children[1].value is None
    True
    """
    if len(options) < 2:
        raise ValueError(f"predict wants at least two options, got {len(options)}; add one to choose from.")
    buttons = _buttons(options)
    answer = ipywidgets.HTML()

    def chosen(change: Any) -> None:
        answer.value = f"<p><i>Your guess: {html.escape(str(change['new']))}.</i> {html.escape(then)}</p>"

    buttons.observe(chosen, names="value")
    return ipywidgets.VBox([ipywidgets.HTML(f"<b>{html.escape(question)}</b>"), buttons, answer])


def _buttons(options: Sequence[str]) -> ipywidgets.RadioButtons:
    return ipywidgets.RadioButtons(options=list(options), value=None, layout=WIDE)


def run_button(label: str, action: Callable[[], Any]) -> ipywidgets.VBox:
    """A button for a longer step; each click calls `action()` and shows the result below.

    What is returned is shown by its `_repr_html_` when it has one, else as text; an error is shown as a sentence.

    >>> box = run_button("Count", lambda: 2 + 2)
    >>> box.children[0].click()
    >>> box.children[1].value
    '<pre>4</pre>'
    """
    button = ipywidgets.Button(description=label, layout=ipywidgets.Layout(width="auto"))
    answer = ipywidgets.HTML()

    def clicked(_: Any) -> None:
        button.disabled, answer.value = True, "<p><i>Working; this takes some seconds.</i></p>"
        try:
            found = action()
            shown = getattr(found, "_repr_html_", None)
            answer.value = shown() if shown else f"<pre>{html.escape(str(found))}</pre>"
        except Exception as error:
            answer.value = html.escape(f"{type(error).__name__}: {error}")
        finally:
            button.disabled = False

    button.on_click(clicked)
    return ipywidgets.VBox([button, answer])


@dataclass(frozen=True)
class Question:
    """A quiz question: `right` is the index of the right choice, `why` the explanation shown after any choice."""

    text: str
    choices: tuple[str, ...]
    right: int
    why: str

    def __post_init__(self) -> None:
        if not 0 <= self.right < len(self.choices):
            last = len(self.choices) - 1
            raise ValueError(f"Question wants right from 0 to {last}, got {self.right}; it is an index.")


def quiz(questions: Sequence[Question]) -> ipywidgets.VBox:
    """A quiz: questions with buttons; each choice is answered with right or not yet, and why.

    The last line counts the questions answered right; a choice may be changed. Raises ValueError without any question.

    >>> ask = Question("How many codes have 4 bits?", ("8", "16"), right=1, why="2^4 = 16.")
    >>> box = quiz([ask])
    >>> box.children[0].children[1].value = "16"
    >>> box.children[-1].value
    '<b>1 of 1 right.</b>'
    """
    if not questions:
        raise ValueError("quiz wants at least one question, got none; add a Question.")
    score = ipywidgets.HTML(_score(0, len(questions)))
    right: set[int] = set()

    def answered(number: int, is_right: bool) -> None:
        (right.add if is_right else right.discard)(number)
        score.value = _score(len(right), len(questions))

    boxes = [_question_box(number, question, answered) for number, question in enumerate(questions)]
    return ipywidgets.VBox([*boxes, score])


def _score(right: int, total: int) -> str:
    return f"<b>{right} of {total} right.</b>"


def _question_box(number: int, question: Question, answered: Callable[[int, bool], None]) -> ipywidgets.VBox:
    buttons, answer = _buttons(question.choices), ipywidgets.HTML()

    def chosen(change: Any) -> None:
        is_right = change["new"] == question.choices[question.right]
        verdict = f"{'Right' if is_right else 'Not yet'}: {change['new']}."
        answer.value = f"<p><b>{html.escape(verdict)}</b> {html.escape(question.why)}</p>"
        answered(number, is_right)

    buttons.observe(chosen, names="value")
    title = ipywidgets.HTML(f"<b>{number + 1}. {html.escape(question.text)}</b>")
    return ipywidgets.VBox([title, buttons, answer])
