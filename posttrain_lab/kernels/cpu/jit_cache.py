"""How kernels are compiled: kept on disk, and their parts only once.

| decorator  | for                              | what numba makes of it                                                      |
|------------|----------------------------------|-----------------------------------------------------------------------------|
| `compiled` | a kernel, which Python calls     | machine code, kept on disk; Python's garbage collector waits meanwhile      |
| `inner`    | what kernels call                | code for the kernel to take in, neither optimised nor translated on its own |

Numba would optimise and translate each of the 30 functions below a kernel on its own as well, and look in each for closures and other
things that are not there: a third of the time of a first call. `Parts` leaves that out, by numba's way to change its compiler
("Customizing the Compiler" in its manual).
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

# What kernels on disk were made from: numba looks at a kernel's own file only, but kernels share words and tiles.
SOURCES = tuple((file.name, file.stat().st_mtime, file.stat().st_size) for file in sorted(Path(__file__).parent.glob("*.py")))


class Part(JITCodeLibrary):
    """The code of an inner function: whoever links it optimises and translates it with its own."""

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self._codegen._data_layout
        passes, settings = self._codegen._function_pass_manager()
        for function in ll_module.functions:
            if not function.is_declaration:  # numba goes through what is only called as well
                passes.run(function, settings)

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=True)
class Register(LoweringPass):
    """A function without machine code becomes known to those that call it."""

    _name = "posttrain_lab_register"

    def __init__(self):
        LoweringPass.__init__(self)

    def run_pass(self, state):
        key = object()  # in the place of what Python would call
        state.targetctx.insert_user_function(key, state["cr"].fndesc, [state.library])
        state["cr"] = state["cr"]._replace(cfunc=key)
        return True


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
    """Numba's compiler for inner functions."""

    def define_pipelines(self):
        self.state.flags.no_compile = True
        self.state.library = Part(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        passes = PassManager("part of a kernel")
        for one in PASSES:
            passes.add_pass(one, one.__name__)
        passes.finalize()
        return [passes]


def inner(function: Callable) -> Any:
    """A function for kernels to call, compiled into them; divisions as in `compiled`, whoever calls. Python gets a TypeError.

    Its arrays are borrowed: it can neither allocate one nor return one to a kernel. Numba counts the references to each array, an
    atomic addition at every call that takes one; here nobody counts, since the kernel that calls holds its arrays anyway.
    """

    def refuse(*args: object) -> None:
        raise TypeError(
            f"{function.__name__} is compiled into kernels, which alone can call it; for Python there is its .py_func."
        )

    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy", "_nrt": False}
    part: Any = njit(pipeline_class=Parts, **options)(function)
    part._insert = lambda *overload, **options: None  # nothing is found that Python could call ...
    part._compile_for_args = refuse  # ... and nothing is made for it
    return part


def compiled(function: Callable) -> Callable:
    """`njit`, kept on disk for the next process where some folder can be written, else compiled in each process.

    A first compilation says so in a terminal, and in a notebook where NOTES is set in the environment, as `posttrain-lab start` does
    (else the outputs of a notebook would depend on what is on disk). Divisions by zero give infinity, as in numpy.
    """
    if getattr(config, "DISABLE_JIT", False):
        return function
    options = {"nogil": True, "error_model": "numpy"}
    try:
        kernel: Any = njit(cache=True, **options)(function)
    except RuntimeError:  # numba: "cannot cache function ...: no locator available"
        kernel = njit(**options)(function)
    file = getattr(getattr(kernel, "_cache", None), "_cache_file", None)
    if file is not None and hasattr(file, "_source_stamp"):
        file._source_stamp = SOURCES
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
        called = annotation.typemap.get(expression.func.name) if getattr(expression, "op", None) == "call" else None
        is_part = isinstance(called, types.Dispatcher) and called.dispatcher._compiler.pipeline_class is Parts
        if is_part and _holds_array(signature.return_type):
            part = called.dispatcher.__name__
            raise TypeError(f"{name} gets an array from {part}, which only borrows its arrays; call it from an inner function.")


def _holds_array(kind: types.Type) -> bool:
    return isinstance(kind, types.Array) or (isinstance(kind, types.BaseTuple) and any(map(_holds_array, kind.types)))


def _listener() -> Any:
    """Where a note about compiling is read: the terminal, the cell of a notebook, or nowhere."""
    if "ipykernel" in sys.modules and os.environ.get(NOTES):
        return sys.stdout
    return sys.stderr if sys.stderr.isatty() else None


@contextmanager
def _no_collection():
    """Python's garbage collector waits: it would go through all of torch's objects again and again, a tenth of the time."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
