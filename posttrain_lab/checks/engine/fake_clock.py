"""A function whose duration is known, on a clock that only it advances: a check tests timing code without depending on time."""

import contextlib
import time
import timeit
from collections.abc import Callable, Iterator
from typing import Any

SECONDS = ("perf_counter", "monotonic", "time", "process_time", "thread_time")
REAL = {name: getattr(time, name) for base in SECONDS for name in (base, base + "_ns") if hasattr(time, name)}
HOLDERS = (timeit.timeit, timeit.repeat, timeit.Timer.__init__)


class TimedCall:
    """Call number i takes `durations[i]` seconds of a clock that `installed` puts in place of all of Python's clocks.

    Most of a call is spent waiting: the clocks of the processor's time (`process_time`, `thread_time`) see a quarter of it.
    """

    def __init__(self, durations: tuple[float, ...]):
        self.durations = tuple(durations)
        self.now, self.calls = 1000.0, 0

    def __call__(self) -> None:
        self.now += self.durations[min(self.calls, len(self.durations) - 1)]
        self.calls += 1

    def _clock(self, name: str) -> Callable[[], Any]:
        share = 0.25 if name.startswith(("process", "thread")) else 1.0
        return (lambda: round(share * self.now * 1e9)) if name.endswith("_ns") else (lambda: share * self.now)

    @contextlib.contextmanager
    def installed(self, function: Any) -> Iterator[None]:
        """Replace the clocks in `time` and `timeit`, and those that `function` took by name or as a default."""
        fake = {id(real): self._clock(name) for name, real in REAL.items()}
        with contextlib.ExitStack() as stack:
            layers = list(_unwrapped(function))
            for namespace in (time.__dict__, timeit.__dict__, *(getattr(layer, "__globals__", {}) for layer in layers)):
                _swap(stack, namespace, fake)
            for holder in (*HOLDERS, *layers):
                _swap_defaults(stack, holder, fake)
            yield


def _unwrapped(function: Any) -> Iterator[Any]:
    """The function and, below its decorators, those that it wraps (9 at most)."""
    for _ in range(10):
        yield function
        if (function := getattr(function, "__wrapped__", None)) is None:
            return


def _swap(stack: contextlib.ExitStack, namespace: dict[str, Any], fake: dict[int, Any]) -> None:
    for name, value in list(namespace.items()):
        if id(value) in fake:
            namespace[name] = fake[id(value)]
            stack.callback(namespace.__setitem__, name, value)


def _swap_defaults(stack: contextlib.ExitStack, function: Any, fake: dict[int, Any]) -> None:
    defaults = getattr(function, "__defaults__", None)
    if defaults:
        function.__defaults__ = tuple(fake.get(id(value), value) for value in defaults)
        stack.callback(setattr, function, "__defaults__", defaults)
    if keywords := getattr(function, "__kwdefaults__", None):
        _swap(stack, keywords, fake)
