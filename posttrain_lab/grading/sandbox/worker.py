"""The program inside the sandbox: a fork server whose children run one submission's cells and calls.

`python -m posttrain_lab.grading.sandbox.worker SOCKET SETTINGS`; the settings are JSON: visible and hidden (paths), confined (bool),
room (see `rights.Room`).
"""

import base64
import contextlib
import json
import os
import socket
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from posttrain_lab.checks.engine import manners
from posttrain_lab.data.fashion import keep_pixels
from posttrain_lab.grading import kernel_side
from posttrain_lab.grading.sandbox import namespaces, rights
from posttrain_lab.grading.sandbox.fork_server import receive, send, serve

USUAL = "data kernels measure metrics models training widgets plots passport quantization pruning finetuning calibration"
MOST_TEXT = 2 * 2**20


def main() -> None:
    """Import what notebooks import, then fork for each submission."""
    settings = json.loads(sys.argv[2])
    torch.set_num_threads(1)
    for name in USUAL.split():
        __import__(f"posttrain_lab.{name}")
    if settings["confined"]:
        rights.prepare()
    shell = _shell()
    kernel_side.warm_up()
    manners.seed_numpy()  # so that no call has to
    keep_pixels()  # so that no notebook has to unpack them
    serve(sys.argv[1], lambda line: submission(line, shell, settings))


def submission(line: socket.socket, shell: InteractiveShell, settings: dict[str, Any]) -> None:
    """Enter the sandbox, say so, then answer until the line is closed."""
    if settings["confined"]:
        number = os.getpid()  # in the sandbox each is number 1
        namespaces.enter(map(Path, settings["visible"]), map(Path, settings["hidden"]))
        rights.give_up(rights.Room(**settings["room"]), number)
    else:
        os.setsid()
        rights.limit(rights.Room(**settings["room"]))
    _silence()
    send(line, {"ready": True, "confined": settings["confined"]})
    while True:
        asked = json.loads(receive(line))
        if "files" in asked:
            send(line, _written(asked["files"]))
        else:
            send(line, _told(shell, asked))


def _told(shell: InteractiveShell, asked: dict[str, Any]) -> dict[str, Any]:
    if "cell" in asked:
        return _run(shell, asked["cell"])
    if "answer" in asked:  # the most frequent by far, so it is no expression that must be parsed
        return _text(lambda: str(kernel_side.answer(*asked["answer"])))
    if "answers" in asked:  # the cases of a seed
        return {"texts": [str(kernel_side.answer(*one)) for one in asked["answers"]]}
    return _text(lambda: repr(eval(asked["ask"], shell.user_ns)))  # the grader's expression, among the student's names


def _written(files: dict[str, str]) -> dict[str, Any]:
    """The submission's other files, in the folder where its code runs."""
    folder = Path(tempfile.mkdtemp(prefix="submission"))
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(base64.b64decode(content))
    os.chdir(folder)
    return {"written": len(files)}


class _Shell(InteractiveShell):
    """An IPython without history and colours, whose displays and errors are collected."""

    def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
        _MESSAGES.append(
            _message("error", ename=str(etype.__name__), evalue=str(evalue)[:2000], traceback=[str(line) for line in stb])
        )


def _shell() -> InteractiveShell:
    """The shell; a notebook's names are those of a new, empty `__main__`."""
    sys.modules["__main__"] = names = types.ModuleType("__main__")
    config = Config()
    config.HistoryManager.enabled = False
    shell = _Shell.instance(config=config, user_module=names, displayhook_class=_Shown, display_pub_class=_Published)
    shell.colors = "nocolor"
    return shell


_MESSAGES: list[dict[str, Any]] = []  # of the present cell, in the words of Jupyter's protocol


class _Published(DisplayPublisher):
    """What `display` shows."""

    def publish(self, data: Any, metadata: Any = None, **_: Any) -> None:
        _MESSAGES.append(_message("display_data", data=data, metadata=metadata or {}))


class _Shown(DisplayHook):
    """The value of a cell's last line."""

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        _MESSAGES.append(_message("execute_result", data=format_dict, metadata=md_dict or {}, execution_count=0))


class _Stream:
    """stdout or stderr of a cell."""

    encoding, errors = "utf-8", "replace"

    def __init__(self, name: str):
        self.name = name

    def write(self, text: str) -> int:
        last = _MESSAGES[-1] if _MESSAGES else None
        if last and last["msg_type"] == "stream" and last["content"]["name"] == self.name:
            if len(last["content"]["text"]) < MOST_TEXT:
                last["content"]["text"] += text
        else:
            _MESSAGES.append(_message("stream", name=self.name, text=text))
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def _message(kind: str, **content: Any) -> dict[str, Any]:
    return {"msg_type": kind, "content": content}


def _run(shell: InteractiveShell, source: str) -> dict[str, Any]:
    """The messages of a cell; an error is the last of them."""
    _MESSAGES.clear()
    with contextlib.redirect_stdout(_Stream("stdout")), contextlib.redirect_stderr(_Stream("stderr")):  # type: ignore[type-var]
        shell.run_cell(source, store_history=False, silent=False)
    return {"messages": json.loads(json.dumps(_MESSAGES, default=repr))}


def _text(wanted: Callable[[], str]) -> dict[str, Any]:
    try:
        return {"text": wanted()}
    except BaseException as error:
        return {"text": "", "error": f"{type(error).__name__}"}


def _silence() -> None:
    """Nothing is read from or written to the grader's terminal."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(nothing, handle)


if __name__ == "__main__":
    main()
