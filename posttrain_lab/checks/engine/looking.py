"""What the watchers of `authorship`, `launches` and `blocks` share: a look at each op of torch before it runs, and their error."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class NotTheTask(Exception):
    """The result may be right, but it was not made as the exercise asks. (Not a TypeError: operators swallow those.)"""


def inside(module: Mapping[str, Any]) -> bool:
    """Is a function of the module with these globals being called?"""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals is not module:
        frame = frame.f_back
    return frame is not None


class _Looker(TorchDispatchMode):
    """Shows each op of torch, its name and operands, before it runs."""

    look: Callable[[str, tuple[Any, ...]], None]


def _look_and_run(self: _Looker, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    name = func.name().split("::")[-1].split(".")[0]
    self.look(name if name.endswith("__") else name.removesuffix("_"), args)  # add_ is add in place
    return func(*args, **(kwargs or {}))


# Set from outside, as in submission.py: torch wraps a method defined inside the class, and that imports its compiler.
_Looker.__torch_dispatch__ = _look_and_run  # type: ignore[method-assign]


@contextlib.contextmanager
def looking(look: Callable[[str, tuple[Any, ...]], None]) -> Iterator[None]:
    looker = _Looker()
    looker.look = look
    with looker:
        yield
