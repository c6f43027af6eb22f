"""How kernels are compiled: once for a machine, their parts only within them, told to who waits."""

import gc
import os
import subprocess
import sys

import numpy as np
import pytest
from numba import njit, types
from numba.core import caching

from posttrain_lab.kernels.cpu import int8, jit_cache, linear, simd

LINEAR = "import torch; from posttrain_lab import kernels as k; k.int8_linear(torch.ones(1, 4), k.Int8Weight.from_float(torch.ones(2, 4)))"


def printed(code: str, **environment: str) -> str:
    """What a new process prints, which must end well and complain of nothing."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}, check=True, timeout=120
    )
    assert done.stderr == ""
    return done.stdout.strip()


@jit_cache.inner
def divided(x, y, parts):
    """A division whose error model is that of kernels, and memory that is borrowed."""
    for i in range(len(x)):
        parts[i] = x[i] / y
    return parts[0]


def test_parts_of_kernels_have_no_machine_code_of_their_own():
    @njit(nogil=True)
    def kernel(x, y):
        return divided(x, y, np.empty(len(x)))

    assert kernel(np.ones(3), 2.0) == 0.5
    assert kernel(np.ones(3), 0.0) == np.inf
    (made,) = divided.overloads.values()
    assert isinstance(made.library, jit_cache.Part)
    engine = made.library._codegen._engine
    assert not engine.is_symbol_defined(made.fndesc.llvm_func_name)
    assert "fdiv" in str(made.library._final_module), "but code for others to take in"


def test_one_part_in_two_kernels_and_with_other_types():
    @jit_cache.inner
    def outer(x, y, parts):
        return divided(x, y, parts) + divided(x[1:], y, parts)

    kernels = [njit(lambda x, y: outer(x, y, np.empty(2)) + 1), njit(lambda x, y: outer(x, y, np.empty(2)) * 2)]
    for kind in (np.float32, np.float64, np.int16):
        assert [kernel(np.array([1, 3], kind), 2.0) for kernel in kernels] == [3, 4]


def test_two_parts_of_one_signature_are_told_apart():
    @jit_cache.inner
    def more(x):
        return x + 1

    @jit_cache.inner
    def less(x):
        return x - 1

    assert njit(lambda x: 100 * more(x) + less(x))(5) == 604


def test_python_cannot_call_a_part():
    @jit_cache.inner
    def twice(x):
        return 2 * x

    for _ in range(2):  # before a kernel used it, and after
        with pytest.raises(TypeError, match=r"twice is compiled into kernels, which alone can call it; .* its \.py_func"):
            twice(3)
        assert njit(lambda x: twice(x))(3) == twice.py_func(3) == 6


def test_a_part_cannot_allocate():
    @jit_cache.inner
    def made(n):
        return np.empty(n).sum()

    with pytest.raises(Exception, match="Only accept returning of array passed into the function"):
        njit(lambda n: made(n))(3)


def test_a_kernel_gets_no_array_from_a_part(nothing_on_disk):
    """Numba refuses a part that returns an array alone; in a tuple it would be freed by the kernel, which never owned it."""

    @jit_cache.inner
    def parts(x):
        return x[:2], (1, x[2:])

    @jit_cache.inner
    def total(x):
        low, (_, high) = parts(x)
        return low.sum() + high.sum()

    assert jit_cache.compiled(lambda x: total(x))(np.arange(4)) == 6
    with pytest.raises(
        TypeError, match=r"<lambda> gets an array from parts, which only borrows its arrays; call it from an inner function"
    ):
        jit_cache.compiled(lambda x: parts(x)[0].sum())(np.arange(4))


def test_a_mistake_in_a_part_is_told():
    @jit_cache.inner
    def wrong(x):
        return x.no_such_thing

    with pytest.raises(Exception, match="no_such_thing"):
        njit(lambda x: wrong(x))(1)


@pytest.fixture
def nothing_on_disk(monkeypatch):
    """No folder in which numba could keep a kernel."""
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])


@pytest.mark.parametrize("on", [True, False])
def test_the_garbage_collector_waits_and_is_left_as_it_was(on, nothing_on_disk):
    seen = []

    @simd.word
    def look(typing):
        seen.append(gc.isenabled())
        return types.int64(), lambda context, builder, signature, args: context.get_constant(types.int64, 7)

    kernel = jit_cache.compiled(lambda x: x + look())
    (gc.enable if on else gc.disable)()
    try:
        assert kernel(1) == 8
        assert gc.isenabled() == on
    finally:
        gc.enable()
    assert seen
    assert not any(seen)


def test_the_garbage_collector_goes_on_after_a_mistake(nothing_on_disk):
    with pytest.raises(Exception, match="no_such_thing"):
        jit_cache.compiled(lambda x: x.no_such_thing)(1)
    assert gc.isenabled()


@pytest.mark.slow
def test_numba_that_is_switched_off_is_told_by_numba():
    """NUMBA_DISABLE_JIT, for who looks for a mistake: the words are no Python, and say so."""
    told = printed(f"try: {LINEAR}\nexcept NotImplementedError as error: print(error)", NUMBA_DISABLE_JIT="1")
    assert "not usable in pure-python" in told


@pytest.mark.slow
def test_kernels_are_kept_on_disk(tmp_path):
    code = """
import torch
from posttrain_lab import kernels
from posttrain_lab.kernels.cpu import int8
from posttrain_lab.kernels.processor import VNNI
a = torch.ones(20, 20, dtype=torch.int8)
assert (kernels.int8_matmul(a, a) == 20).all()
kernel = int8.multiply_tiles if VNNI else int8.multiply_split
print(sum(kernel.stats.cache_hits.values()), sum(kernel.stats.cache_misses.values()))
"""
    assert [printed(code, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)] == ["0 1", "1 0"]


def test_kernels_on_disk_are_old_when_any_file_of_theirs_changed():
    for kernel in (int8.multiply_tiles, linear.multiply_few):
        assert kernel._cache._cache_file._source_stamp == jit_cache.SOURCES
    sources = {name for name, _, _ in jit_cache.SOURCES}
    assert {"simd.py", "int8_microkernel.py", "int8.py", "jit_cache.py"} <= sources
    assert {"panel_layout.py", "processor.py"} <= sources, "kernels hold their constants"


def test_without_a_folder_to_write_kernels_still_compile(nothing_on_disk):
    def double(x):
        return 2 * x

    with pytest.raises(RuntimeError, match="cannot cache"):
        njit(cache=True)(double)
    assert jit_cache.compiled(double)(21) == 42


def in_a_terminal(code: str, pty, **environment: str) -> str:
    """What a new process writes to its terminal."""
    main, other = pty.openpty()
    subprocess.run([sys.executable, "-c", code], stderr=other, env={**os.environ, **environment}, check=True, timeout=120)
    os.close(other)
    try:
        return os.read(main, 10_000).decode()
    except OSError:  # Linux: nothing is left, and nobody is there who could write
        return ""
    finally:
        os.close(main)


@pytest.mark.slow
def test_a_terminal_is_told_about_compiling(tmp_path):
    """In a terminal a first use says that it compiles; the second process finds the kernel on disk and says nothing."""
    pty = pytest.importorskip("pty", reason="a pseudo-terminal is made as on Unix")
    told = [in_a_terminal(LINEAR, pty, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)]
    assert "Compiling multiply_few for this processor, once" in told[0]
    assert told[1] == ""


@pytest.mark.slow
@pytest.mark.parametrize("wanted", [True, False])
def test_a_notebook_is_told_about_compiling_when_it_wants_to(tmp_path, wanted):
    code = "import sys, types; sys.modules['ipykernel'] = types.ModuleType('ipykernel'); " + LINEAR
    told = printed(code, NUMBA_CACHE_DIR=str(tmp_path), POSTTRAIN_LAB_NOTES="1" if wanted else "")
    assert ("Compiling multiply_few for this processor, once" in told) == wanted
