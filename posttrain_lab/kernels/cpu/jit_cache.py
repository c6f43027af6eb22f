"""How kernels are compiled: once for a machine, and cached on disk.

| decorator  | for                          | what Numba makes of it                                               |
|------------|------------------------------|----------------------------------------------------------------------|
| `compiled` | a kernel, which Python calls | machine code, cached on disk                                         |
| `inner`    | what kernels call            | LLVM code that is compiled only as a part of the kernels that use it |

A kernel calls about 30 inner functions. By default Numba compiles each of them for itself as well, a third of the time of a first call,
and counts references to each array that they pass on, up to a tenth of the time of a small product. Neither is needed here: inner
functions are only ever part of a kernel, and the kernel holds all arrays until it returns. So

1. `Parts` is a short compiler for inner functions: Python's bytecode to types to LLVM code, and no further.
2. `Part` holds that code and leaves optimisation to the kernel that links it. LLVM then sees kernel and parts as one program.
3. `inner` switches reference counting off, and `compiled` checks that no kernel takes over an array that a part only borrowed.

Numba's manual describes the means ("Customizing the Compiler").
"""

import gc
import os
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numba import njit, types
from numba.core import config, typed_passes, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase
from numba.core.compiler_machinery import LoweringPass, PassManager, register_pass

NOTES = "POSTTRAIN_LAB_NOTES"

# A cached kernel is valid as long as its source is unchanged. Numba compares a kernel's own file only, but kernels are made from all
# files of this folder, and from constants of the folder above: names, times and sizes of them all take the place of that comparison.
HERE = Path(__file__).parent
SOURCES = tuple(
    (file.name, file.stat().st_mtime, file.stat().st_size)
    for folder in (HERE, HERE.parent)
    for file in sorted(folder.glob("*.py"))
)


class Part(JITCodeLibrary):
    """The LLVM code of an inner function. The kernel that links it optimises it and translates it to machine code."""

    def _optimize_functions(self, ll_module):
        # Only the cheap pass over each function, which turns memory into values. Without it there would be more to link, and the kernel's
        # optimisation would take longer.
        ll_module.data_layout = self._codegen._data_layout
        passes, settings = self._codegen._function_pass_manager()
        for function in ll_module.functions:
            if not function.is_declaration:  # Numba would go through functions that are only called as well
                passes.run(function, settings)

    def _optimize_final_module(self):
        pass  # this, the expensive pass, is the kernel's

    def _finalize_final_module(self):
        # As in Numba, without the step that hands the module to the machine-code compiler.
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=True)
class Register(LoweringPass):
    """The last pass: makes the function known to its callers, though it has no machine code.

    Numba looks callers' functions up by what Python would call, which does not exist: an object of its own stands for it. One for each
    function, so that two parts of the same types are told apart.
    """

    _name = "posttrain_lab_register"

    def __init__(self):
        LoweringPass.__init__(self)

    def run_pass(self, state):
        key = object()
        state.targetctx.insert_user_function(key, state["cr"].fndesc, [state.library])
        state["cr"] = state["cr"]._replace(cfunc=key)
        return True


# Of Numba's passes for a function those that such functions need: left out are closures, generators, comprehensions, inlining, `with`.
PASSES = (
    untyped_passes.TranslateByteCode,
    untyped_passes.FixupArgs,
    untyped_passes.IRProcessing,
    untyped_passes.RewriteSemanticConstants,  # with the next one: `if LANES == 16` leaves out what cannot be
    untyped_passes.DeadBranchPrune,
    untyped_passes.GenericRewrites,
    untyped_passes.ReconstructSSA,
    typed_passes.NopythonTypeInference,
    typed_passes.PreLowerStripPhis,
    typed_passes.IRLegalization,
    typed_passes.AnnotateTypes,
    typed_passes.NativeLowering,
    Register,
    typed_passes.NoPythonBackend,
)


class Parts(CompilerBase):
    """The short compiler: PASSES, into a `Part`."""

    def define_pipelines(self):
        self.state.flags.no_compile = True  # stop at LLVM code
        self.state.library = Part(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        passes = PassManager("part of a kernel")
        for one in PASSES:
            passes.add_pass(one, one.__name__)
        passes.finalize()
        return [passes]


def inner(function: Callable) -> Any:
    """A function for kernels to call, compiled into them; divisions as in `compiled`, whoever calls. Python gets a TypeError.

    Its arrays are borrowed: it can neither allocate one nor return one to a kernel (to another inner function it can). Numba would count
    references, one atomic addition at every call for each array; here nobody counts, since the kernel that calls holds its arrays anyway.
    """

    def refuse(*args: object) -> None:
        raise TypeError(
            f"{function.__name__} is compiled into kernels, which alone can call it; for Python there is its .py_func."
        )

    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy", "_nrt": False}
    part: Any = njit(pipeline_class=Parts, **options)(function)
    part._insert = lambda *overload, **options: None  # nothing is registered that Python could call ...
    part._compile_for_args = refuse  # ... and nothing is compiled when it tries
    return part


def compiled(function: Callable) -> Callable:
    """`njit` that releases the GIL, cached on disk for the next process where some folder can be written.

    A first compilation says so in a terminal, and in a notebook where NOTES is set in the environment, as `posttrain-lab start` does
    (else the outputs of a notebook would depend on what is cached). Divisions by zero give infinity, as in numpy.
    """
    if getattr(config, "DISABLE_JIT", False):
        return function
    # 1. The dispatcher, with a cache where Numba finds a folder for it: beside the source, else in the user's cache, else nowhere.
    options = {"nogil": True, "error_model": "numpy"}
    try:
        kernel: Any = njit(cache=True, **options)(function)
    except RuntimeError:  # numba: "cannot cache function ...: no locator available"
        kernel = njit(**options)(function)
    # 2. The cache is valid as long as all sources are (see SOURCES).
    file = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
    if file is not None and hasattr(file, "_source_stamp"):
        file._source_stamp = SOURCES
    # 3. Around each compilation: a note, no garbage collection, and the check that borrowed arrays stay borrowed.
    compile_now, listener = kernel._compiler.compile, _listener()

    def compile_kernel(*args: object) -> object:
        if listener:
            print(f"Compiling {kernel.__name__} for this processor, once ...", file=listener, flush=True)
        with _no_collection():
            made = compile_now(*args)
        _check_owned(kernel.__name__, made.type_annotation)
        return made

    kernel._compiler.compile = compile_kernel
    return kernel


def _check_owned(name: str, annotation: Any) -> None:
    """Raises TypeError where a kernel would own, and free, an array that an inner function had only borrowed."""
    for expression, signature in annotation.calltypes.items():
        called: Any = annotation.typemap.get(expression.func.name) if getattr(expression, "op", None) == "call" else None
        is_part = isinstance(called, types.Dispatcher) and called.dispatcher._compiler.pipeline_class is Parts
        if is_part and _holds_array(signature.return_type):
            part = called.dispatcher.__name__
            raise TypeError(f"{name} gets an array from {part}, which only borrows its arrays; call it from an inner function.")


def _holds_array(kind: Any) -> bool:
    return isinstance(kind, types.Array) or any(map(_holds_array, getattr(kind, "types", ())))


def _listener() -> Any:
    """Where a note about compiling is shown: in the terminal, in the cell of a notebook, or nowhere."""
    if "ipykernel" in sys.modules and os.environ.get(NOTES):
        return sys.stdout
    return sys.stderr if sys.stderr.isatty() else None


@contextmanager
def _no_collection():
    """Switches Python's garbage collector off: it would visit all of torch's objects again and again, a tenth of the time."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
