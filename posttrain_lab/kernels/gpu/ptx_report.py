"""Kernels compiled for a chip that is not here: what the compiler made of them, without a GPU.

`compile_ahead` writes down the same call as the op would make (see `launch.py`) on a small layer, compiles it for the chip, and
asks ptxas, NVIDIA's assembler, for registers and spills. Triton brings its own ptxas. What is left unknown is the speed.
"""

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from posttrain_lab.kernels.packed import GROUP, Int4Weight, Int8ConvWeight
from posttrain_lab.kernels.sparse_weights import BlockSparseWeight, NMWeight, SparseWeight

from . import block_sparse, conv, int4, int8, nm, quantize, sparse
from .launch import Launch

CHIPS = {75: "T4", 80: "A100", 86: "RTX 30", 89: "RTX 40, L4", 90: "H100, H200"}
POINTERS = {
    torch.float32: "*fp32",
    torch.float16: "*fp16",
    torch.int32: "*i32",
    torch.int8: "*i8",
    torch.uint8: "*u8",
}
M, N, K = 128, 256, 512  # the layer of the examples: sizes divisible by 16, as most are


@dataclass(frozen=True)
class PtxReport:
    """What a kernel became on a chip.

    ptx: the assembly. multiply: the tensor core instructions in it. registers: of a thread. spills: bytes of stores and loads of
    registers that found no place. shared: bytes of shared memory of a block. ptxas is absent: registers and spills are None.
    """

    kernel: str
    chip: int
    ptx: str
    multiply: tuple[str, ...]
    registers: int | None
    spills: int | None
    shared: int


def _int8(scaled: bool) -> Launch:
    x, w = torch.empty(M, K, dtype=torch.int8), torch.empty(N, K, dtype=torch.int8)
    if not scaled:
        return int8.plan(x, w, torch.empty(M, N, dtype=torch.int32))
    return int8.plan(x, w, torch.empty(M, N), (torch.empty(M), torch.empty(N), torch.empty(N)), "gelu")


def _int4(floats: bool) -> Launch:
    weight = Int4Weight(torch.empty(N, K // 2, dtype=torch.uint8), torch.empty(K // GROUP, N), K, N)
    x, scale = (torch.empty(M, K), None) if floats else (torch.empty(M, K, dtype=torch.int8), torch.empty(M))
    return int4.plan(x, weight, torch.empty(M, N), scale, torch.empty(N), "relu")


def _conv() -> Launch:
    weight = Int8ConvWeight(torch.empty(64, 3, 3, 32, dtype=torch.int8), torch.empty(64), (3, 3), 32, 1, 64)
    scales = (torch.empty(8), weight.scale, torch.empty(64))
    return conv.plan(torch.empty(8, 16, 16, 32, dtype=torch.int8), weight, torch.empty(8, 16, 16, 64), (1, 1, 0), scales, "relu")


def _quantize(split: bool) -> Launch:
    return quantize.plan(torch.empty(M, K), torch.empty(M, K, dtype=torch.int8), torch.empty(M), split)


def _sparse() -> Launch:
    weight = SparseWeight(torch.empty(64), torch.empty(64, dtype=torch.int32), torch.empty(N + 1, dtype=torch.int32), K)
    return sparse.plan(torch.empty(K, M), weight, torch.empty(N), torch.empty(N, M))


def _blocks() -> Launch:
    places, pointers = torch.empty(9, dtype=torch.int32), torch.empty(N // 32 + 1, dtype=torch.int32)
    weight = BlockSparseWeight(torch.empty(9, 32, 32), places, pointers, N, K)
    return block_sparse.plan(torch.empty(M, K), weight, torch.empty(N), torch.empty(M, N))


def _pairs() -> Launch:
    weight = NMWeight(torch.empty(N, K // 4, 2), torch.empty(N, K // 4, dtype=torch.uint8))
    return nm.plan(torch.empty(M, K), weight, torch.empty(N), torch.empty(M, N))


EXAMPLES: dict[str, Callable[[], Launch]] = {
    "int8_matmul": lambda: _int8(scaled=False),
    "int8_linear": lambda: _int8(scaled=True),
    "int8_conv2d": _conv,
    "int4_linear": lambda: _int4(floats=False),
    "int4_linear_floats": lambda: _int4(floats=True),
    "quantize": lambda: _quantize(split=False),
    "quantize_split": lambda: _quantize(split=True),
    "sparse_linear": _sparse,
    "block_sparse_linear": _blocks,
    "nm_linear": _pairs,
}


def compile_ahead(kernel_name: str, chip: int) -> PtxReport:
    """What does this kernel become on this chip, with its default tile?

    kernel_name: of EXAMPLES; chip: compute capability without its dot, as in CHIPS, such as 80 for sm_80.
    Raises ValueError for other names or chips; RuntimeError in Triton's interpreter, which compiles nothing.
    """
    if kernel_name not in EXAMPLES:
        raise ValueError(f"compile_ahead wants a kernel of {', '.join(EXAMPLES)}, got {kernel_name!r}.")
    if chip not in CHIPS:
        raise ValueError(f"compile_ahead wants a chip of {', '.join(map(str, CHIPS))}, got {chip!r}.")
    return compiled(EXAMPLES[kernel_name]().fitted(chip), chip)


def compiled(launch: Launch, chip: int) -> PtxReport:
    """What does the kernel of this launch become on this chip? Raises RuntimeError in Triton's interpreter."""
    if launch.kernel.interpreted:
        raise RuntimeError("compile_ahead wants Triton's compiler, got its interpreter; unset TRITON_INTERPRET and start again.")
    config, target = launch.kernel.default, GPUTarget("cuda", chip, 32)
    options = {"num_warps": config.num_warps, "num_stages": config.num_stages, "enable_fp_fusion": launch.kernel.fused}
    built = triton.compile(source_of(launch), target=target, options=options)
    ptx = built.asm["ptx"]
    registers, spills = assembled(ptx, chip, launch.kernel.fused)
    multiply = tuple(sorted(set(re.findall(r"(?:wgmma\.mma_async|mma)\.sync[\w.]*", ptx))))
    return PtxReport(launch.kernel.function.__name__, chip, ptx, multiply, registers, spills, built.metadata.shared)


def source_of(launch: Launch) -> ASTSource:
    """The launch as Triton's compiler takes it: types, constants, and which numbers 16 divides."""
    constants = {**launch.constants, **launch.kernel.default.kwargs}
    names = launch.kernel.function.arg_names
    signature = {name: kind(launch.arguments[name]) if name in launch.arguments else "constexpr" for name in names}
    known: dict[tuple[int, ...], Any] = {(names.index(name),): value for name, value in constants.items()}
    divisible = {}
    for name, value in launch.arguments.items():
        for path, leaf in leaves(value, (names.index(name),)):
            if kind(leaf) == "constexpr":
                known[path] = leaf
            elif isinstance(leaf, Tensor) or leaf % 16 == 0:
                divisible[path] = [["tt.divisibility", 16]]
    return ASTSource(fn=launch.kernel.function, signature=signature, constexprs=known, attrs=divisible)


def kind(value: Any) -> Any:
    """Triton's type of an argument: pointers, i32, and constants for None and 1, as at a launch."""
    if isinstance(value, tuple):
        return tuple(kind(part) for part in value)
    if value is None or (isinstance(value, int) and value == 1):
        return "constexpr"
    return POINTERS[value.dtype] if isinstance(value, Tensor) else "i32"


def leaves(value: Any, path: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Each argument inside nested tuples, with where it stands."""
    if not isinstance(value, tuple):
        yield path, value
        return
    for index, part in enumerate(value):
        yield from leaves(part, (*path, index))


def assembled(ptx: str, chip: int, fused: bool) -> tuple[int | None, int | None]:
    """(registers, bytes spilled) by ptxas -v; None where there is no ptxas."""
    ptxas = find_ptxas()
    if ptxas is None:
        return None, None
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx)
        suffix = "a" if chip >= 90 else ""
        flags = ["-v", f"--gpu-name=sm_{chip}{suffix}", *([] if fused else ["--fmad=false"]), "--regAllocOptLevel=2"]
        report = subprocess.run(
            [ptxas, *flags, str(source), "-o", f"{source}.o"], capture_output=True, text=True, check=True
        ).stderr
    spills = sum(int(count) for count in re.findall(r"(\d+) bytes spill", report))
    found = re.search(r"Used (\d+) registers", report)
    return (int(found[1]) if found else None), spills


def find_ptxas() -> str | None:
    """The ptxas that Triton uses."""
    try:
        return triton.knobs.nvidia.ptxas.path  # type: ignore[attr-defined]  # it is loaded by name
    except (AttributeError, RuntimeError):  # Triton before 3.4 has no knobs; or no ptxas anywhere
        here = Path(triton.__file__).parent / "backends/nvidia/bin/ptxas"
        return str(here) if here.exists() else None
