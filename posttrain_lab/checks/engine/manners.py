"""What a call does besides returning a value: what it leaves changed in its arguments and in the machine, and whose memory its result is.

The oracle is watched in the same way, and what it does too is part of the task. `Manners.around` wraps a function where it is called,
inside of an adapter, so that objects that are never sent (an optimizer, a network in train mode, a dict of masks) are seen as well.
"""

import contextlib
import ctypes
import functools
import itertools
import random
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from posttrain_lab.checks.engine.facts import LARGE, differ, facts

SEED = 20_261_130  # torch's generator starts with it before each call: with another seed afterwards, the function has set it
PYTHONS, NUMPYS = random.Random(SEED).getstate(), np.random.RandomState(SEED).get_state(legacy=False)
NOT_CONTIGUOUS = "returns a tensor that is not contiguous in memory (contiguous)"  # wrong only where `strict` says so
GRADIENTS, DTYPE = "torch's gradient mode (set_grad_enabled)", "torch's default dtype (set_default_dtype)"
THREADS = "torch's number of threads (set_num_threads)"
DETERMINISTIC = "torch's deterministic mode (use_deterministic_algorithms)"
ERRORS = "numpy's error handling (seterr)"
NUMPY_SEED, PYTHON_SEED = "numpy's random seed (numpy.random.seed)", "Python's random seed (random.seed)"
FILTERS = "Python's warning filters (warnings)"
WORDS = 624  # of a Mersenne twister's state
REFILLS = 1000  # of these words in one call
Watched = Callable[..., Any]
_REMARKS: ContextVar[list[str] | None] = ContextVar("what a watcher noticed during this call", default=None)


def remark(note: str) -> None:
    """Add a note to the call that runs now: what a watcher (authorship.py) saw is told only if the value is right."""
    remarks = _REMARKS.get()
    if remarks is not None:
        remarks.append(note)


class Manners:
    """The notes of one call, each the end of "your function ...", and the result of the call before."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._last: list[tuple[Tensor, Tensor]] = []

    def around(self, function: Watched) -> Watched:
        """The same function, watched."""

        @functools.wraps(function)
        def watched(*args: Any, **kwargs: Any) -> Any:
            given = {f"argument {n + 1}": a for n, a in enumerate(args)} | {f"the argument {k}": a for k, a in kwargs.items()}
            before, machine, modules = _all_facts(given), _machine(), len(sys.modules)
            token = _REMARKS.set(self.notes)
            try:
                result = function(*args, **kwargs)
            finally:
                _REMARKS.reset(token)
                changed = _differences(machine, _machine())
                if len(sys.modules) != modules:  # a first import may change these; the next call shows whose doing it is
                    changed = [what for what in changed if what not in (FILTERS, NUMPY_SEED, PYTHON_SEED)]
                self.notes += [f"leaves {what} changed; put it back" for what in changed]
                _put_back(machine)
            after = _all_facts(given)
            changed = [what for what in before if what not in after or differ(before[what], after[what])]
            self.notes += [f"changes {what}" for what in (*changed, *(what for what in after if what not in before))]
            self.notes += self._of_result(result, given)
            return result

        return watched

    def _of_result(self, result: Any, given: Mapping[str, Any]) -> Iterator[str]:
        parts = list(_tensors(result))
        if any(differ(raw.detach(), kept) for raw, kept in self._last):
            yield "overwrites the result of the call before; make a new tensor in each call"
        network = isinstance(result, nn.Module)
        self._last = [] if network else [(part, part.detach().clone()) for part in parts if part.numel() < LARGE]
        for where, value in given.items():
            theirs = {_memory(tensor) for tensor in _tensors(value)} - {0}
            if any(_memory(part) in theirs for part in parts):
                yield f"returns memory of {where}, so that changing one changes the other; return a copy (clone)"
        plain = [part for part in parts if not isinstance(part, nn.Parameter)]
        if not network and _share(plain):
            yield "returns two tensors in one memory, so that changing one changes the other; return copies (clone)"
        if any(part.requires_grad for part in plain):
            yield "returns a tensor that requires a gradient; the result is data (torch.no_grad or detach)"
        if any(not part.requires_grad for part in parts if isinstance(part, nn.Parameter)):
            yield "returns a parameter that cannot be trained (requires_grad)"
        if any(not part.is_contiguous() for part in plain):
            yield NOT_CONTIGUOUS


@contextlib.contextmanager
def seeded() -> Iterator[None]:
    """Seed the generators of torch, numpy and Python, and put them back afterwards."""
    torchs, pythons = torch.default_generator.get_state(), random.getstate()
    numpys = None if _numpys_memory() == AT_SEED else np.random.get_state(legacy=False)  # noqa: NPY002
    torch.default_generator.manual_seed(SEED)  # torch.manual_seed formats three stack traces for devices not yet in use
    random.setstate(PYTHONS)
    if numpys is not None:
        seed_numpy()
    try:
        yield
    finally:
        torch.default_generator.set_state(torchs)
        random.setstate(pythons)
        if numpys is not None or _numpys_memory() != AT_SEED:
            np.random.set_state(numpys or NUMPYS)  # noqa: NPY002


@contextlib.contextmanager
def numpy_at_seed() -> Iterator[None]:
    """Keep numpy's generator at its seed for a whole check, so that each call costs half; put it back afterwards."""
    numpys = np.random.get_state(legacy=False)  # noqa: NPY002
    seed_numpy()
    try:
        yield
    finally:
        np.random.set_state(numpys)  # noqa: NPY002


def seed_numpy() -> None:
    """Seed numpy's generator. Where it stands so already `seeded` leaves it: reading and writing it takes longer than most calls."""
    np.random.set_state(NUMPYS)  # noqa: NPY002


def unmannerly(free: Iterable[str], strict: Iterable[str], wanted: Iterable[str], notes: Iterable[str]) -> str | None:
    """The first note about a function that does not hold for the oracle too (`wanted`) and that the page does not leave free.

    `free` and `strict` hold beginnings or other parts of notes.

    >>> unmannerly((), (), ["changes a"], ["changes a", "changes b"])
    'your function changes b.'
    """
    theirs = set(wanted)
    for note in notes:
        asked = note != NOT_CONTIGUOUS or any(part in note for part in strict)
        if asked and note not in theirs and not any(part in note for part in free):
            return f"your function {note}."
    return None


def _all_facts(given: Mapping[str, Any]) -> dict[str, Any]:
    seen: set[int] = set()
    return {name: fact for where, value in given.items() for name, fact in facts(where, value, seen)}


def _machine() -> dict[str, Any]:
    return {
        GRADIENTS: torch.is_grad_enabled(),
        DTYPE: torch.get_default_dtype(),
        THREADS: torch.get_num_threads(),
        DETERMINISTIC: torch.are_deterministic_algorithms_enabled(),
        "torch's random seed (manual_seed)": torch.default_generator.initial_seed(),
        NUMPY_SEED: _numpys_words(),
        PYTHON_SEED: random.getstate()[1][:-1],
        ERRORS: tuple(sorted(np.geterr().items())),
        FILTERS: list(warnings.filters),
    }


def _numpys_words() -> bytes:
    """The 624 words of numpy's generator.

    >>> _numpys_words() == np.random.get_state(legacy=False)["state"]["key"].tobytes()
    True
    """
    return _numpys_memory()[: 4 * WORDS]


def _numpys_memory() -> bytes:
    """The words of numpy's generator, and which of them is next: `get_state` copies them one by one, which takes longer than all else here."""
    return _memory_of(np.random.get_bit_generator())  # type: ignore[attr-defined]


def _memory_of(generator: Any) -> bytes:
    if not isinstance(generator, np.random.MT19937):  # somebody has put another in its place
        return b""
    return ctypes.string_at(generator.ctypes.state_address, 4 * WORDS + 4)


AT_SEED = _memory_of(np.random.RandomState(SEED)._bit_generator)


def _differences(machine: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    changed = [what for what in machine if machine[what] != now[what]]
    seeds = {what: (_words(machine[what]), _words(now[what])) for what in changed if what in (NUMPY_SEED, PYTHON_SEED)}
    return [what for what in changed if what not in seeds or not _only_drawn(*seeds[what])]


def _words(state: bytes | tuple[int, ...]) -> tuple[int, ...]:
    """The generator's words as whole numbers."""
    return state if isinstance(state, tuple) else tuple(np.frombuffer(state, np.uint32).tolist())


def _only_drawn(before: tuple[int, ...], now: tuple[int, ...]) -> bool:
    """Do the generator's words `now` follow from those `before` by drawing numbers? (Both generators are Mersenne twisters.)

    >>> words = random.getstate()[1][:-1]
    >>> draws = [random.random() for _ in range(1000)]
    >>> _only_drawn(words, random.getstate()[1][:-1]), _only_drawn(words, random.Random(1).getstate()[1][:-1])
    (True, False)
    """
    if len(before) != WORDS or len(now) != WORDS:
        return False
    twin = random.Random()
    twin.setstate((3, (*before, len(before)), None))
    for _ in range(REFILLS):
        twin.getrandbits(32 * len(before))
        if twin.getstate()[1][:-1] == now:
            return True
    return False


def _put_back(machine: Mapping[str, Any]) -> None:
    """Another call must not meet what this one left. (Seeds and filters are put back around the call.)"""
    torch.set_grad_enabled(machine[GRADIENTS])
    torch.set_default_dtype(machine[DTYPE])
    if torch.get_num_threads() != machine[THREADS]:
        torch.set_num_threads(machine[THREADS])
    if torch.are_deterministic_algorithms_enabled() != machine[DETERMINISTIC]:  # setting it imports torch's compiler: 120 MB
        torch.use_deterministic_algorithms(machine[DETERMINISTIC])
    np.seterr(**dict(machine[ERRORS]))


def _tensors(value: Any, depth: int = 0) -> Iterator[Tensor]:
    """The dense tensors in a value, each once."""
    if isinstance(value, Tensor):
        if value.layout == torch.strided:
            yield value
    elif isinstance(value, nn.Module):
        yield from value.parameters()
        yield from value.buffers()
    elif isinstance(value, dict | list | tuple) and depth < 4:
        seen: set[int] = set()
        for item in value.values() if isinstance(value, dict) else value:
            for tensor in _tensors(item, depth + 1):
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield tensor


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.numel() else 0


def _share(parts: list[Tensor]) -> bool:
    """Does one tensor begin before another ends? (Parts of one tensor, one behind the other, as `split` makes them, may lie together.)"""
    spans = sorted(_span(part) for part in parts if part.numel())
    return any(start < end for (_, end), (start, _) in itertools.pairwise(spans))


def _span(tensor: Tensor) -> tuple[int, int]:
    """The addresses of the first byte of a tensor and of the one behind its last."""
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + (last + 1) * tensor.element_size()
