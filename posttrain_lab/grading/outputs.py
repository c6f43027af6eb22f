"""The outputs of a cell, collected from a kernel's messages: bounded in size, and only what the notebook format allows."""

from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_output, output_from_msg

KINDS = ("stream", "display_data", "execute_result", "error")
MAX_OUTPUTS = 300
MAX_CHARACTERS = 20 * 2**20
CUT = "\n... the rest of the output was left out ...\n"


class Outputs:
    """The outputs of one cell; `take` adds one message."""

    def __init__(self) -> None:
        self.nodes: list[NotebookNode] = []
        self._size = 0
        self._clear = False

    def take(self, message: dict[str, Any]) -> bool:
        """Add what the message shows; True when it says that the cell has ended."""
        kind, content = message.get("msg_type"), message.get("content")
        if not isinstance(content, dict):
            return False
        if kind == "clear_output":
            self._clear = bool(content.get("wait"))
            if not self._clear:
                self.nodes.clear()
        elif kind in KINDS:
            self._add(message)
        return kind == "status" and content.get("execution_state") == "idle"

    def _add(self, message: dict[str, Any]) -> None:
        full = self._size > MAX_CHARACTERS or len(self.nodes) > MAX_OUTPUTS
        self._size += len(str(message["content"]))
        if full:
            return
        if self._size > MAX_CHARACTERS or len(self.nodes) == MAX_OUTPUTS:
            self.nodes.append(new_output("stream", name="stdout", text=CUT))
            self._size = MAX_CHARACTERS + 1
            return
        try:
            node = output_from_msg(message)
            nbformat.validate(node, ref="output", version=4)
        except Exception:  # not an output that a notebook can hold
            return
        self._append(node)

    def _append(self, node: NotebookNode) -> None:
        if self._clear:
            self.nodes.clear()
            self._clear = False
        last = self.nodes[-1] if self.nodes else None
        if last is not None and node.output_type == last.output_type == "stream" and node.name == last.name:
            last.text += node.text
        else:
            self.nodes.append(node)


def error_output(name: str, sentence: str) -> NotebookNode:
    """An error whose traceback is the sentence alone."""
    return new_output("error", ename=name, evalue=sentence, traceback=[sentence])


def first_error(outputs: list[NotebookNode]) -> str:
    """The first error among a cell's outputs, in a few words; empty when there is none.

    >>> first_error([error_output("NameError", "x is not defined")])
    'NameError: x is not defined'
    """
    errors = (f"{node.ename}: {str(node.evalue)[:200]}" for node in outputs if node.output_type == "error")
    return next(errors, "")
