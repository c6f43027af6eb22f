"""The half of the grader's calls that runs in the student's kernel. Its results are not trusted: `kernel.py` checks them."""

import base64
import sys
from typing import Any

import torch

from posttrain_lab.checks import wire
from posttrain_lab.checks.submission import LocalSubmission, Outcome, describe

LIMIT = 60 * 2**20


def answer(name: str, attribute: str, question: str, through: str = "") -> str:
    """Call the notebook's function `name` with the arguments in `question` (base64 of wire bytes); the outcome, in the same format."""
    try:
        args, kwargs, gradients = wire.decode(base64.b64decode(question))
        outcome = _called(name, attribute, through, args, gradients, kwargs)
    except BaseException as error:  # SystemExit and KeyboardInterrupt of the student's code end the call, not the kernel
        outcome = Outcome(error=describe(error))
    return base64.b64encode(_written(outcome)).decode("ascii")


def warm_up() -> None:
    """The first call imports much of torch, so make one before the time of the student's calls is limited."""
    codes, ones = torch.ones(1, dtype=torch.int8), torch.ones(1)
    LocalSubmission(torch.mul, trusted=True).call(codes, ones, gradients=(1,))


def _called(name: str, attribute: str, through: str, args: Any, gradients: Any, kwargs: Any) -> Outcome:
    found = vars(sys.modules["__main__"]).get(name)
    if found is None:
        return Outcome(error=f"the name `{name}` is not defined when its check runs.")
    return LocalSubmission(found, attribute, through=through).call(*args, gradients=tuple(gradients), **kwargs)


def _written(outcome: Outcome) -> bytes:
    try:
        raw = wire.encode(outcome)
    except Exception as error:
        return wire.encode(Outcome(error=f"what your function returned cannot be sent to the grader ({error})."))
    if len(raw) > LIMIT:
        return wire.encode(Outcome(error=f"your function returned {len(raw) // 2**20} MiB; much less is expected."))
    return raw
