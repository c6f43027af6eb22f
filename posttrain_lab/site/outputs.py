"""What the cells of an executed notebook show, as HTML for readers without a kernel: figures, tables, widgets in their first state."""

import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

PLOTLY = "application/vnd.plotly.v1+json"
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
HEIGHT = 380  # pixels of a figure that names none
NOTE = "To move it, open the notebook: Launch, above."
Output = Mapping[str, Any]


def shown(output: Output, state: Mapping[str, Any], seen: str = "") -> Output:
    """One output of a cell as a reader's page has it; `seen` says in words what a figure shows.

    >>> shown({"output_type": "stream", "text": "3 of 3"}, {})["text"]
    '3 of 3'
    """
    found = as_html(output, state, seen)
    return output if found is None else {"output_type": "display_data", "metadata": {}, "data": {"text/html": found}}


def as_html(output: Output, state: Mapping[str, Any], seen: str = "") -> str | None:
    """The output as HTML; None when it is text. `state` are the widgets of the notebook by their ids.

    >>> as_html({"data": {"text/html": ["<b>1</b>", "2"]}}, {})
    '<b>1</b>2'
    """
    data = output.get("data", {})
    if PLOTLY in data:
        return figure(data[PLOTLY], seen)
    if VIEW in data and data[VIEW]["model_id"] in state:
        return f'<div class="ptl-widget">{_widget(data[VIEW]["model_id"], state, seen)}<p class="ptl-note">{NOTE}</p></div>'
    return "".join(data["text/html"]) if "text/html" in data else None


def figure(drawn: Mapping[str, Any], seen: str = "") -> str:
    """A plotly figure as a box with its numbers, which `figures.js` draws.

    >>> figure({"data": [], "layout": {"height": 300}}, "a line").split(">")[0]
    '<div class="ptl-figure" role="img" aria-label="a line" style="min-height:300px"'
    """
    layout = drawn.get("layout", {})
    label = html.escape(seen or described(drawn))
    numbers = json.dumps({"data": drawn["data"], "layout": layout}, separators=(",", ":")).replace("</", r"<\/")
    style = f"min-height:{layout.get('height') or HEIGHT}px"
    script = f'<script type="application/json">{numbers}</script>'
    return f'<div class="ptl-figure" role="img" aria-label="{label}" style="{style}">{script}</div>'


def described(drawn: Mapping[str, Any]) -> str:
    """A figure in words, for a page that says none: its title, what its axes are, what is drawn.

    >>> described({"data": [{"name": "int8"}], "layout": {"xaxis": {"title": {"text": "bits"}}, "yaxis": {"title": {"text": "error"}}}})
    'error against bits: int8'
    """
    layout = drawn.get("layout", {})
    across, up = (layout.get(axis, {}).get("title", {}).get("text", "") for axis in ("xaxis", "yaxis"))
    names = ", ".join(dict.fromkeys(trace["name"] for trace in drawn["data"] if trace.get("name")))
    axes = " against ".join(filter(None, (up, across)))
    said = ": ".join(filter(None, (layout.get("title", {}).get("text", ""), axes, names)))
    return re.sub(r"<[^>]+>", " ", said).strip(" :") or "a figure"


def _widget(model: str, state: Mapping[str, Any], seen: str) -> str:
    """A widget and what is in it. Its style and layout are left out."""
    kind, values = state[model]["model_name"], state[model]["state"]
    if "children" in values:
        return "".join(_widget(child.removeprefix("IPY_MODEL_"), state, seen) for child in values["children"])
    if kind == "HTMLModel":
        return _paragraph(values["value"])
    if kind == "OutputModel":
        return "".join(as_html(output, state, seen) or "" for output in values["outputs"])
    return _control(values)


def _paragraph(text: str) -> str:
    return f"<p>{text}</p>" if text else ""


def _control(values: Mapping[str, Any]) -> str:
    """A slider or a row of buttons: its name and where it stands."""
    options: Sequence[str] = values.get("_options_labels") or ()
    value = options[values["index"]] if options and values.get("index") is not None else values.get("value", "")
    name = values.get("description", "")
    return f'<p class="ptl-control">{html.escape(name)} <code>{html.escape(str(value))}</code></p>' if name else ""
