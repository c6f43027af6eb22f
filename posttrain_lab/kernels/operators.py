"""The ops as torch sees them: schemas, shapes for tracing, and the implementation that the device picks when first used.

`torch.compile(fullgraph=True)`, `torch.export` and meta tensors go through. torch.library.custom_op says the same shorter, but
its first call imports torch's compiler: 1,000 modules, seconds. No op has a gradient: kernels are for finished models.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from .geometry import conv_geometry
from .packed import Int4Weight, Int8ConvWeight, Int8Weight, Packed
from .sparse_weights import BlockSparseWeight, NMWeight, SparseWeight
from .views_cache import plain

LIBRARY = torch.library.Library("posttrain_lab", "FRAGMENT")


@dataclass(frozen=True)
class Op:
    """An op as torch sees it. Torch knows tensors and numbers but no packed weights: `flatten` takes those apart, `pack` undoes it.

    schema: name, arguments and result. flatten: arguments of `reference.py` -> those of the schema. pack: and back.
    shape: arguments of the schema -> an empty result, for tracing.
    """

    schema: str
    flatten: Callable[..., tuple]
    pack: Callable[..., tuple]
    shape: Callable[..., Tensor]

    @property
    def name(self) -> str:
        return self.schema.partition("(")[0]

    def run(self, *flat: Any) -> Tensor:
        """The implementation for the device of the first tensor, with arguments of the schema."""
        x, *rest = self.pack(*flat)
        return getattr(_backend(self.name, x.device.type), self.name)(x.detach(), *rest)


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


def _pack_conv(x: Tensor, *flat: Any) -> tuple:
    codes, scale, corrections, (kh, kw), groups, outputs, *rest = flat
    return x, Int8ConvWeight(codes, scale, (kh, kw), x.shape[3] // groups, groups, outputs, corrections), *rest


def _conv_shape(x: Tensor, *flat: Any) -> Tensor:
    _, _, _, (kh, kw), groups, outputs, stride, padding, _, scale, _, _ = flat
    geometry = conv_geometry((x.shape[1], x.shape[2], x.shape[3]), (outputs, kh, kw), groups, stride, padding)
    dtype = torch.int32 if scale is None else torch.float32
    return x.new_empty(x.shape[0], geometry.out_height, geometry.out_width, outputs, dtype=dtype)


OPS = {
    op.name: op
    for op in (
        Op(
            "int8_matmul(Tensor a, Tensor b) -> Tensor",
            flatten=lambda a, b: (a, b),
            pack=lambda a, b: (a, b.detach()),
            shape=lambda a, b: a.new_empty((a.shape[0], b.shape[1]), dtype=torch.int32),
        ),
        Op(
            "int8_linear(Tensor x, Tensor codes, Tensor scale, Tensor? corrections, Tensor? bias, str activation) -> Tensor",
            flatten=lambda x, w, *rest: (x, w.codes, w.scale, w.corrections, *rest),
            pack=lambda x, codes, scale, corrections, *rest: (x, Int8Weight(codes, scale, x.shape[1], corrections), *rest),
            shape=lambda x, codes, scale, *rest: x.new_empty(x.shape[0], scale.shape[0]),
        ),
        Op(
            "int8_conv2d(Tensor x, Tensor codes, Tensor? w_scale, Tensor? corrections, int[] kernel, int groups, int out, int stride, "
            "int padding, int pad_value, Tensor? scale, Tensor? bias, str activation) -> Tensor",
            flatten=lambda x, w, *rest: (x, w.codes, w.scale, w.corrections, list(w.kernel), w.groups, w.out_features, *rest),
            pack=_pack_conv,
            shape=_conv_shape,
        ),
        Op(
            "int4_linear(Tensor x, Tensor codes, Tensor scale, int out, Tensor? bias, str activation, str activations) -> Tensor",
            flatten=lambda x, w, *rest: (x, w.codes, w.scale, w.out_features, *rest),
            pack=lambda x, codes, scale, out, *rest: (x, Int4Weight(codes, scale, x.shape[1], out), *rest),
            shape=lambda x, codes, scale, out, *rest: x.new_empty(x.shape[0], out),
        ),
        Op(
            "sparse_linear(Tensor x, Tensor values, Tensor columns, Tensor row_pointers, Tensor? bias) -> Tensor",
            flatten=lambda x, w, bias: (x, w.values, w.columns, w.row_pointers, bias),
            pack=lambda x, values, columns, pointers, bias: (x, SparseWeight(values, columns, pointers, x.shape[1]), bias),
            shape=lambda x, values, columns, pointers, bias: x.new_empty(x.shape[0], pointers.shape[0] - 1),
        ),
        Op(
            "block_sparse_linear(Tensor x, Tensor values, Tensor columns, Tensor row_pointers, int out, Tensor? bias) -> Tensor",
            flatten=lambda x, w, bias: (x, w.values, w.columns, w.row_pointers, w.out_features, bias),
            pack=lambda x, values, columns, pointers, out, bias: (
                x,
                BlockSparseWeight(values, columns, pointers, out, x.shape[1]),
                bias,
            ),
            shape=lambda x, values, columns, pointers, out, bias: x.new_empty(x.shape[0], out),
        ),
        Op(
            "nm_linear(Tensor x, Tensor values, Tensor positions, Tensor? bias) -> Tensor",
            flatten=lambda x, w, bias: (x, w.values, w.positions, bias),
            pack=lambda x, values, positions, bias: (x, NMWeight(values, positions), bias),
            shape=lambda x, values, positions, bias: x.new_empty(x.shape[0], positions.shape[0]),
        ),
    )
}


def _register() -> dict[str, Callable[..., Tensor]]:
    """The ops, made known to torch, as its dispatcher calls them."""
    for op in OPS.values():
        LIBRARY.define(op.schema)
        for key in ("CPU", "CUDA"):
            LIBRARY.impl(op.name, op.run, key)
        torch.library.register_fake(f"posttrain_lab::{op.name}", op.shape, lib=LIBRARY)
    return {name: getattr(torch.ops.posttrain_lab, name).default for name in OPS}


DISPATCHED = _register()


def watched() -> bool:
    """Does a part of torch intercept each op now: a compiler, an export, a trace, a mode, a transform, autocast, a profiler?"""
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
    """May torch's dispatcher be bypassed? Only where it would do nothing but call the implementation for the CPU."""
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
    """The result for the usual arguments on the CPU, after the few checks that tell them apart; None for all others.

    Then the full checks come, with their messages, and `call`. For one row, the full checks would take as long as the kernel.
    """
    if type(x) is not Tensor or not x.is_cpu or watched():
        return None
    return _fast_path(name)(x, *arguments)


@functools.cache
def _fast_path(name: str) -> Callable[..., Tensor | None]:
    return getattr(_backend(name, "cpu"), f"{name}_fast_path")


def call(name: str, *arguments: Any) -> Tensor:
    """Calls the op of this name, through torch's dispatcher where anything could intercept it; arguments as in `reference.py`.

    On the CPU the dispatcher is bypassed where it would do nothing: for one row it takes as long as the kernel.
    """
    if direct(arguments):
        return getattr(_backend(name, "cpu"), name)(*arguments)
    return DISPATCHED[name](*OPS[name].flatten(*arguments))
