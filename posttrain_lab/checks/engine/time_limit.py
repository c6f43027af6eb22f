"""How long may an answer run? Processor time counts, so a busy machine takes nothing away; a wait ends after a few times as much.

The sentences name the limit, never what is left of it. In the notebook two timers of the operating system end the call (`ended_after`);
the command that checks a notebook watches the kernel's process from outside (`grading/session.py`), with these limits and sentences.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from time import process_time
from types import FrameType
from typing import Any

from posttrain_lab.checks.engine.outcome import Outcome

CALL, EXERCISE = 20.0, 60.0  # seconds of processor time for one call of a student's function, and for all calls of one check
WALL = 5  # a call that hardly computes ends after this many times its limit, by the clock
AGAIN = 1.0  # seconds after which a timer rings again: an `except:` in the student's loop swallows the first error
CALLED = "your function did not return"
USED = "your function used all of its {seconds:g} seconds of processor time; look for what makes it slow"


class TimeIsUp(BaseException):
    """The block has used its time; `waited`: by the clock, not of the processor. (`except Exception` does not stop it.)"""

    def __init__(self, waited: bool):
        super().__init__(waited)
        self.waited = waited


@contextlib.contextmanager
def ended_after(processor: float, clock: float) -> Iterator[None]:
    """Raise TimeIsUp in the block after `processor` seconds of processor time, or after `clock` seconds.

    Only in the main thread, and only where the system has such timers (not on Windows): elsewhere nothing ends the block. A timer that
    runs already is somebody else's and stays; the handlers of signals are put back.

    >>> with contextlib.suppress(TimeIsUp), ended_after(0.05, 10):
    ...     while True:
    ...         pass
    """
    with contextlib.ExitStack() as stack:
        if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
            stack.enter_context(_timer(signal.SIGPROF, signal.ITIMER_PROF, processor, waited=False))
            stack.enter_context(_timer(signal.SIGALRM, signal.ITIMER_REAL, clock, waited=True))
        yield


@contextlib.contextmanager
def _timer(number: int, clock: int, seconds: float, waited: bool) -> Iterator[None]:
    def ring(signum: int, frame: FrameType | None) -> None:
        raise TimeIsUp(waited)

    before = signal.getsignal(number)
    if before is None or any(signal.getitimer(clock)):  # a handler that is not Python's cannot be put back
        yield
        return
    signal.signal(number, ring)
    try:
        signal.setitimer(clock, seconds, AGAIN)
        yield
    finally:
        signal.setitimer(clock, 0)
        signal.signal(number, before)


def too_long(what: str, seconds: float, waited: bool) -> str:
    """The sentence about something with a limit of this many seconds of processor time, WALL times as many by the clock.

    >>> too_long(CALLED, 20, waited=False)
    'your function did not return within 20 seconds of processor time; look for a loop that never ends'
    >>> too_long(CALLED, 20, waited=True)
    'your function did not return within 100 seconds; look for what it waits for, or for a loop that never ends'
    """
    if waited:
        return f"{what} within {WALL * seconds:g} seconds; look for what it waits for, or for a loop that never ends"
    return f"{what} within {seconds:g} seconds of processor time; look for a loop that never ends"


def call_too_long(most: float, exercise: float, left: float, waited: bool) -> str:
    """The same about a call, when `left` seconds of the exercise's were left for it: the limit that it met, in full.

    >>> call_too_long(20, 60, 0.0111215, waited=False)
    'your function used all of its 60 seconds of processor time; look for what makes it slow'
    """
    return USED.format(seconds=exercise) if left < most and not waited else too_long(CALLED, most, waited)


class Limited:
    """A submission whose calls may take `call` seconds of processor time each, and `exercise` together.

    After a call that was ended, every later one fails with the same sentence.
    """

    def __init__(self, submission: Any, call: float = CALL, exercise: float = EXERCISE):
        self._submission, self._limits = submission, (call, exercise)
        self._used = 0.0
        self._lost: Outcome | None = None

    def call(self, *args: Any, gradients: tuple[int, ...] = (), **kwargs: Any) -> Outcome:
        """One call of the submission, ended when its time is up."""
        if self._lost is not None:
            return self._lost
        (most, all_calls), before = self._limits, process_time()
        left = all_calls - self._used
        try:
            if left <= 0:
                raise TimeIsUp(waited=False)
            with ended_after(min(most, left), WALL * most):
                return self._submission.call(*args, gradients=gradients, **kwargs)
        except TimeIsUp as end:
            self._lost = Outcome(error=f"{call_too_long(most, all_calls, left, end.waited)}.")
            return self._lost
        finally:
            self._used += process_time() - before
