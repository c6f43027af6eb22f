"""The ops as torch sees them: schemas, shapes for tracing, and the implementation that the device picks when first used.

`torch.compile(fullgraph=True)`, `torch.export` and meta tensors go through. torch.library.custom_op says the same shorter, but
its first call imports torch's compiler: 1,000 modules, seconds. No op has a gradient: kernels are for finished models.
"""

import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from .geometry import conv_size
from .packed import Int4Weight, Int8ConvWeight, Int8Weight, Packed
from .sparse_weights import BlockSparseWeight, NMWeight, SparseWeight
from .views_cache import plain

LIBRARY = torch.library.Library("posttrain_lab", "FRAGMENT")
SCHEMAS = (
    "int8_matmul(Tensor a, Tensor b) -> Tensor",
    "int8_linear(Tensor x, Tensor codes, Tensor scale, Tensor? corrections, Tensor? bias, str activation) -> Tensor",
    "int8_conv2d(Tensor x, Tensor codes, Tensor? w_scale, Tensor? corrections, int[] kernel, int groups, int out, int stride, "
    "int padding, int pad_value, Tensor? scale, Tensor? bias, str activation) -> Tensor",
    "int4_linear(Tensor x, Tensor codes, Tensor scale, int out, Tensor? bias, str activation, str activations) -> Tensor",
    "sparse_linear(Tensor x, Tensor values, Tensor columns, Tensor row_pointers, Tensor? bias) -> Tensor",
    "block_sparse_linear(Tensor x, Tensor values, Tensor columns, Tensor row_pointers, int out, Tensor? bias) -> Tensor",
    "nm_linear(Tensor x, Tensor values, Tensor positions, Tensor? bias) -> Tensor",
)


@functools.cache
def _backend(op: str, kind: str) -> ModuleType:
    """The implementations for a kind of device, imported when first asked for; an error names the missing library and the remedy."""
    try:
        if kind == "cpu":
            from . import cpu as found
        else:
            from . import gpu as found  # type: ignore[attr-defined,no-redef]
        getattr(found, op)  # the GPU's are loaded one by one
    except ModuleNotFoundError as error:
        wants = {"numba": "pip install numba", "triton": "pip install posttrain-lab[gpu]"}
        missing = (error.name or "").split(".")[0]
        if missing not in wants:
            raise
        message = f"{op} on the {kind} wants {missing}, which is not installed; {wants[missing]}."
        raise ModuleNotFoundError(message, name=missing) from error
    return found


def _run_int8_matmul(a: Tensor, b: Tensor) -> Tensor:
    return _backend("int8_matmul", a.device.type).int8_matmul(a, b)


def _run_int8_linear(x, codes, scale, corrections, bias, activation):
    weight = Int8Weight(codes, scale, x.shape[1], corrections)
    return _backend("int8_linear", x.device.type).int8_linear(x.detach(), weight, bias, activation)


def _run_int8_conv2d(x, codes, w_scale, corrections, kernel, groups, out, stride, padding, pad_value, scale, bias, activation):
    weight = Int8ConvWeight(codes, w_scale, (kernel[0], kernel[1]), x.shape[3] // groups, groups, out, corrections)
    backend = _backend("int8_conv2d", x.device.type)
    return backend.int8_conv2d(x, weight, stride, padding, pad_value, scale, bias, activation)


def _run_int4_linear(x, codes, scale, out, bias, activation, activations):
    weight = Int4Weight(codes, scale, x.shape[1], out)
    return _backend("int4_linear", x.device.type).int4_linear(x.detach(), weight, bias, activation, activations)


def _run_sparse_linear(x, values, columns, row_pointers, bias):
    weight = SparseWeight(values, columns, row_pointers, x.shape[1])
    return _backend("sparse_linear", x.device.type).sparse_linear(x.detach(), weight, bias)


def _run_block_sparse_linear(x, values, columns, row_pointers, out, bias):
    weight = BlockSparseWeight(values, columns, row_pointers, out, x.shape[1])
    return _backend("block_sparse_linear", x.device.type).block_sparse_linear(x.detach(), weight, bias)


def _run_nm_linear(x, values, positions, bias):
    return _backend("nm_linear", x.device.type).nm_linear(x.detach(), NMWeight(values, positions), bias)


def _conv_shape(x, codes, w_scale, corrections, kernel, groups, out, stride, padding, pad_value, scale, bias, activation):
    height, width = (conv_size(x.shape[1 + i], kernel[i], stride, padding) for i in (0, 1))
    return x.new_empty(x.shape[0], height, width, out, dtype=torch.int32 if scale is None else torch.float32)


RUN: dict[str, Callable[..., Tensor]] = {
    "int8_matmul": _run_int8_matmul,
    "int8_linear": _run_int8_linear,
    "int8_conv2d": _run_int8_conv2d,
    "int4_linear": _run_int4_linear,
    "sparse_linear": _run_sparse_linear,
    "block_sparse_linear": _run_block_sparse_linear,
    "nm_linear": _run_nm_linear,
}
FLAT: dict[str, Callable[..., tuple]] = {  # the arguments of `reference.py` as the schemas name them: tensors and numbers
    "int8_matmul": lambda a, b: (a, b),
    "int8_linear": lambda x, w, *rest: (x, w.codes, w.scale, w.corrections, *rest),
    "int8_conv2d": lambda x, w, *rest: (x, w.codes, w.scale, w.corrections, list(w.kernel), w.groups, w.out_features, *rest),
    "int4_linear": lambda x, w, *rest: (x, w.codes, w.scale, w.out_features, *rest),
    "sparse_linear": lambda x, w, bias: (x, w.values, w.columns, w.row_pointers, bias),
    "block_sparse_linear": lambda x, w, bias: (x, w.values, w.columns, w.row_pointers, w.out_features, bias),
    "nm_linear": lambda x, w, bias: (x, w.values, w.positions, bias),
}
SHAPES: dict[str, Callable[..., Tensor]] = {
    "int8_matmul": lambda a, b: a.new_empty((a.shape[0], b.shape[1]), dtype=torch.int32),
    "int8_linear": lambda x, codes, scale, *rest: x.new_empty(x.shape[0], scale.shape[0]),
    "int8_conv2d": _conv_shape,
    "int4_linear": lambda x, codes, scale, out, *rest: x.new_empty(x.shape[0], out),
    "sparse_linear": lambda x, values, columns, row_pointers, bias: x.new_empty(x.shape[0], row_pointers.shape[0] - 1),
    "block_sparse_linear": lambda x, values, columns, row_pointers, out, bias: x.new_empty(x.shape[0], out),
    "nm_linear": lambda x, values, positions, bias: x.new_empty(x.shape[0], positions.shape[0]),
}


def _register() -> None:
    for schema in SCHEMAS:
        name = schema.split("(")[0]
        LIBRARY.define(schema)
        for key in ("CPU", "CUDA"):
            LIBRARY.impl(name, RUN[name], key)
        torch.library.register_fake(f"posttrain_lab::{name}", SHAPES[name], lib=LIBRARY)


_register()
OPS = {name: getattr(torch.ops.posttrain_lab, name).default for name in RUN}


def watched() -> bool:
    """Does anything of torch want to see each op: a compiler, an export, a trace, a mode, a transform, autocast, a profiler?"""
    return bool(
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._len_torch_function_stack()
        or torch._C._functorch.peek_interpreter_stack() is not None  # type: ignore[attr-defined]
        or torch._C._get_tracing_state() is not None
        or torch._C._is_any_autocast_enabled()
        or torch.autograd._profiler_enabled()  # type: ignore[attr-defined]
    )


def direct(arguments: tuple[Any, ...]) -> bool:
    """May the implementation for the cpu be called past torch's dispatcher? Only where that would do nothing but call it."""
    if watched():
        return False
    for part in arguments:
        if isinstance(part, Tensor):
            if not plain(part):
                return False
        elif isinstance(part, Packed) and not part.plain:
            return False
    return True


def fast_path(name: str, x: Any, *arguments: Any) -> Tensor | None:
    """What the implementation for the cpu gives for arguments as they nearly always come, which it knows by few questions.

    None where something is unusual: then all is to be checked, and `call` to be used.
    """
    if type(x) is not Tensor or not x.is_cpu or watched():
        return None
    return _fast_path(name)(x, *arguments)


@functools.cache
def _fast_path(name: str) -> Callable[..., Tensor | None]:
    return getattr(_backend(name, "cpu"), f"{name}_fast_path")


def call(name: str, *arguments: Any) -> Tensor:
    """The op of this name, through torch's dispatcher where anything could want to see it; arguments as in `reference.py`.

    On the cpu, with one row, the way through the dispatcher and back takes as long as the kernel.
    """
    if direct(arguments):
        return getattr(_backend(name, "cpu"), name)(*arguments)
    return OPS[name](*FLAT[name](*arguments))
