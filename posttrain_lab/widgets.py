"""Interactive elements of a notebook: a figure with sliders, a guess before the run, a quiz. They compute nothing.

The notebook shows what a function returns as the last value of a cell. Figures with sliders are made with ipywidgets and run
the student's own function: `slider_figure` calls it again after each move, which needs a running kernel. A guess and a quiz are
plain HTML, radio buttons whose answers a style sheet shows: they work on every page that shows HTML, without a kernel.
"""

import hashlib
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


class Ask:
    """Questions with radio buttons, as HTML; the answer to a choice is shown below it, and `score` counts the right ones.

    A group is named by its question: a page has it once in a form, and groups of two forms are apart. "dialog" sends nothing.
    """

    def __init__(self, groups: Sequence[str], score: str = "") -> None:
        self.html = f'<form method="dialog" class="ptl-ask" data-lm-suppress-shortcuts="true"><style>{STYLE}</style>{"".join(groups)}{score}</form>'

    def _repr_html_(self) -> str:
        return self.html


STYLE = """
.ptl-ask { counter-reset: ptl-right; max-width: 46em }
.ptl-ask fieldset { border: 0; padding: 0; margin: 0 0 1em; min-inline-size: 0 }
.ptl-ask legend { font-weight: bold; font-size: inherit; padding: 0; margin: 0 0 .3em; white-space: normal }
.ptl-ask label { display: flex; gap: .6em; align-items: baseline; padding: .15em 0; overflow-wrap: anywhere }
.ptl-ask input { flex: none; margin: 0 }
.ptl-ask .ptl-said { display: none; margin: 0 0 .4em 1.6em }
.ptl-ask label:has(:checked) + .ptl-said { display: block }
.ptl-ask .ptl-right:checked { counter-increment: ptl-right }
.ptl-ask .ptl-score::before { content: counter(ptl-right) }
"""


def predict(question: str, options: Sequence[str], then: str) -> Ask:
    """A question before the run: choosing one of the options shows your guess and the sentence `then`.

    Raises ValueError below two options.

    >>> predict("Which is larger?", ["the file", "the memory"], "Run the next cell.").html.count("<input")
    2
    """
    if len(options) < 2:
        raise ValueError(f"predict wants at least two options, got {len(options)}; add one to choose from.")
    guesses = [(option, f"<i>Your guess: {html.escape(option)}.</i> {html.escape(then)}") for option in options]
    return Ask([_group(question, guesses)])


def _group(legend: str, choices: Sequence[tuple[str, str]], right: int = -1) -> str:
    """One question: each choice with the HTML that is shown once it is chosen."""
    name = f"q{hashlib.sha256(legend.encode()).hexdigest()[:8]}"
    rows = [
        f'<label><input type="radio" name="{name}" value="{place}"{" class=ptl-right" if place == right else ""}>'
        f'<span>{html.escape(choice)}</span></label><p class="ptl-said" aria-live="polite">{said}</p>'
        for place, (choice, said) in enumerate(choices)
    ]
    return f"<fieldset><legend>{html.escape(legend)}</legend>{''.join(rows)}</fieldset>"


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


def quiz(questions: Sequence[Question]) -> Ask:
    """A quiz: questions with buttons; each choice is answered with right or not yet, and why.

    The last line counts the questions answered right; a choice may be changed. Raises ValueError without any question.

    >>> ask = Question("How many codes have 4 bits?", ("8", "16"), right=1, why="2^4 = 16.")
    >>> "<b>Not yet: 8.</b> 2^4 = 16." in quiz([ask]).html
    True
    """
    if not questions:
        raise ValueError("quiz wants at least one question, got none; add a Question.")
    groups = [_answered(f"{number}. {question.text}", question) for number, question in enumerate(questions, 1)]
    return Ask(groups, f'<p><b class="ptl-score"> of {len(questions)} right.</b></p>')


def _answered(legend: str, question: Question) -> str:
    verdicts = ["Right" if place == question.right else "Not yet" for place in range(len(question.choices))]
    said = [
        f"<b>{verdict}: {html.escape(choice)}.</b> {html.escape(question.why)}"
        for verdict, choice in zip(verdicts, question.choices, strict=True)
    ]
    return _group(legend, list(zip(question.choices, said, strict=True)), question.right)
