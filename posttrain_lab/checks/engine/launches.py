"""The adapter `launched` for exercises that ask for a GPU kernel: did the student's kernel make the result, alone, and would a GPU take it?

NotTheTask when no kernel is launched, or torch computes a part of the result. What is told only of a right result (`manners.remark`): the
result is not what the kernel stored, the kernel got other numbers than the function's arguments, two programs store in one place, a
number is stored twice, or Triton's compiler refuses the kernel, which its interpreter takes. Where the kernels run on a GPU only the
first of these are seen.
"""

import inspect
import subprocess
from collections.abc import Callable, Iterable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from posttrain_lab.checks.engine.adapters import watcher
from posttrain_lab.checks.engine.facts import differ
from posttrain_lab.checks.engine.looking import NotTheTask, inside, looking
from posttrain_lab.checks.engine.manners import remark
from posttrain_lab.checks.engine.stand_ins import is_running, is_stand_in
from posttrain_lab.kernels.gpu import interpreter

TORCH_PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "_int_mm", "mv", "dot"}
# ops of torch that compute; ops that create, copy, slice or convert tensors are not listed
COMPUTING = TORCH_PRODUCTS | set(
    """
    add sub rsub mul div abs neg floor round ceil trunc relu clamp clamp_min clamp_max maximum minimum max amax min amin
    sum where remainder floor_divide bitwise_and bitwise_or bitwise_xor __and__ __or__ __lshift__ __rshift__
    bitwise_left_shift bitwise_right_shift convolution linear index_add scatter_add prod mean reciprocal
    addcmul addcdiv cumsum sign _cdist_forward _sparse_mm pow sqrt square fmod lerp outer vdot
    """.split()  # noqa: SIM905
)
COMPILED_AT = 8  # the call of a function at which its kernel is compiled: most wrong kernels have failed before, and a compiler takes a second
CHIP = 80  # Ampere, the oldest GPU on which the notebook runs
POINTERS = {torch.float32: "*fp32", torch.int32: "*i32", torch.int8: "*i8", torch.uint8: "*u8"}
_ANSWERS: dict[str, Any] = {}
_REFUSALS: "WeakKeyDictionary[Callable[..., Any], list[str]]" = WeakKeyDictionary()
_CALLS: "WeakKeyDictionary[Callable[..., Any], int]" = WeakKeyDictionary()


@watcher
def launched(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The answer of a function that launches a kernel, which makes the whole result."""
    return watched_launch(function, args, kwargs)[0]


def watched_launch(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, interpreter.Traffic | None]:
    """As `launched`, with the traffic of its launches (None for a stand-in, which is not watched)."""
    if is_stand_in(function):
        return function(*args, **kwargs), None
    stand_ins = []

    def look(name: str, operands: tuple[Any, ...]) -> None:
        if inside(vars(interpreter)):
            return
        if is_running():  # a known mistake, called by the proof from a cell of the notebook
            stand_ins.append(name)
        elif name in COMPUTING:
            raise NotTheTask(
                f"torch's {name} computes here what the kernel should; leave the function above the kernel as it was"
            )

    with interpreter.counting() as traffic, looking(look):
        result = function(*args, **kwargs)
    if not traffic.launches and not stand_ins:
        raise NotTheTask("no kernel was launched; leave the function above the kernel as it was, and write the kernel's body")
    if not stand_ins:
        for note in _notes(function, result, [*args, *kwargs.values()], traffic):
            remark(note)
    return result, traffic


def _notes(function: Callable[..., Any], result: Any, given: list[Any], traffic: interpreter.Traffic) -> Iterable[str]:
    parts = [part for part in (result if isinstance(result, tuple | list) else [result]) if isinstance(part, Tensor)]
    if any(all(differ(part, left) for left in traffic.left) for part in parts):
        yield "returns other numbers than its kernel stored; leave the function above the kernel as it was"
    stored = [left for before, left in zip(traffic.given, traffic.left, strict=True) if differ(before, left)]
    known = [_sorted(value) for value in (*given, *stored) if isinstance(value, Tensor)]  # a kernel may read another's result
    if any(not _poisoned(one) and all(differ(_sorted(one), other) for other in known) for one in traffic.given):
        yield "gives its kernel other numbers than its arguments; leave the function above the kernel as it was"
    if traffic.shared:
        yield "stores in one place from several programs; each program stores its own block, and no other program does"
    elif traffic.idle:
        yield "has programs that store nothing; each program stores its own block"
    if traffic.twice:
        yield "stores a number more than once; compute it to its end, then store it once"
    _CALLS[function] = _CALLS.get(function, 0) + 1
    if _CALLS[function] == COMPILED_AT and interpreter.interpreted():
        _REFUSALS[function] = [note for launch in traffic.kernels if (note := _refused(*launch))]
    yield from _REFUSALS.get(function, [])


def _poisoned(tensor: Tensor) -> bool:
    """Is it memory for a result, as `interpreter.output` gives it?"""
    return not differ(tensor, torch.full_like(tensor, interpreter.POISON.get(tensor.dtype, 0)))


def _sorted(tensor: Tensor) -> Tensor:
    """Its numbers in order: a copy in another layout has the same ones."""
    return tensor.detach().flatten().double().sort().values


def _refused(kernel: Any, args: tuple[Any, ...], meta: dict[str, Any]) -> str:
    """What Triton's compiler has against a kernel, as a note; "" if nothing, or if it cannot be asked."""
    from posttrain_lab.kernels.gpu.notebook import Ahead, compile_ahead, source_of

    names = [name for name in inspect.signature(kernel.fn).parameters if name not in meta]
    types = [POINTERS.get(arg.dtype, "*fp32") if isinstance(arg, Tensor) else "i32" for arg in args]
    if len(names) != len(types) or any(isinstance(arg, float) for arg in args):
        return ""
    signature = dict(zip(names, types, strict=True))
    key = f"{source_of(kernel.fn)} {signature} {meta}"
    if key not in _ANSWERS:
        try:
            _ANSWERS[key] = compile_ahead(kernel, signature, meta, CHIP)
        except (OSError, subprocess.SubprocessError):  # no second process here, or none in time
            _ANSWERS[key] = Ahead(CHIP)
    made = _ANSWERS[key]
    if not made.error or made.error.startswith("NameError"):  # a name of the notebook that the text of the kernel lacks
        return ""
    where = f" ({made.line})" if made.line else ""
    return f"would not run on a GPU: the interpreter takes this kernel, Triton's compiler does not{where}: {made.error}"
