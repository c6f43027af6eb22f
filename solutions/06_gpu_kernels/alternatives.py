"""Unit 06: right answers, written in another way. They prove that the grader accepts every right answer.

The exercises ask for kernels, so these are kernels: `kernel` launches one of other_kernels.py. The functions in plain torch below compute
the same results in another way; unnamed_mistakes.py changes them.
"""

import functools
import importlib.util
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from posttrain_lab.kernels.gpu import interpreter


@functools.cache
def _other_kernels():
    path = Path(__file__).with_name("other_kernels.py")
    spec = importlib.util.spec_from_file_location("other_kernels", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def kernel(name, how=""):
    """A function that launches this kernel of other_kernels.py, in the process of a notebook or of a test."""

    def launches(*args, **kwargs):
        with interpreter.left_as_found():
            interpreter.start()
            return getattr(_other_kernels(), name)(*args, **kwargs, how=how)

    launches.__name__ = f"{name}_{how.replace(' ', '_')}"
    return launches


# ---- masked_add, row_quantize
def add_block_by_block(x, y, block=16):
    out = torch.full((len(x),), torch.nan)
    for start in reversed(range(0, len(x), block)):
        out[start : start + block] = x[start : start + block] + y[start : start + block]
    return out


def add_in_numpy(x, y, block=16):
    return torch.from_numpy(np.add(x.numpy(), y.numpy()))


def rows_one_by_one(x):
    codes, scales = torch.empty(x.shape, dtype=torch.int8), torch.ones(len(x))
    for r, row in enumerate(x):
        scales[r] = row.abs().max() / 127 if row.any() else 1.0
        codes[r] = (row / scales[r] + 0.5).floor().to(torch.int8)
    return codes, scales


def rows_in_float64(x):
    top = torch.maximum(x.amax(1), -x.amin(1)).double()
    scale = torch.where(top > 0, top / 127, 1.0)
    return torch.floor(x / scale[:, None] + 0.5).to(torch.int8), scale.float()


def rows_padded(x):
    """As the kernel does: a block of the next power of two, zeros beyond the end."""
    block = 1 << (x.shape[1] - 1).bit_length()
    wide = F.pad(x, (0, block - x.shape[1]))
    scale = wide.abs().amax(1) / 127
    scale[scale == 0] = 1
    return torch.floor(wide / scale[:, None] + 0.5)[:, : x.shape[1]].to(torch.int8), scale


# ---- products
def matmul_by_tiles(x, w, block_m=16, block_n=16, block_k=32):
    out = torch.zeros(len(x), len(w), dtype=torch.int32)
    for k in reversed(range(0, x.shape[1], block_k)):
        for m in range(0, len(x), block_m):
            part = x[m : m + block_m, k : k + block_k].int() @ w[:, k : k + block_k].int().T
            out[m : m + block_m] += part
    return out


def matmul_in_float64(x, w, block_m=16, block_n=16, block_k=32):
    return (x.double() @ w.double().T).int()


def matmul_by_outer(x, w, **tiles):
    out = torch.zeros(len(x), len(w), dtype=torch.int32)
    for k in range(x.shape[1]):
        out += torch.outer(x[:, k].int(), w[:, k].int())
    return out


def fused_by_steps(xq, wq, x_scale, w_scale, bias, relu=False, **tiles):
    y = F.linear(xq.double() * x_scale[:, None].double(), wq.double() * w_scale[:, None].double(), bias.double())
    return (y.clamp(min=0) if relu else y).float()


def fused_rows_first(xq, wq, x_scale, w_scale, bias, relu=False, **tiles):
    y = matmul_by_tiles(xq, wq) * x_scale[:, None] * w_scale[None, :]
    return torch.where(y + bias > 0, y + bias, 0.0) if relu else y + bias


# ---- fewer bytes
def unpack_by_table(packed, scale, columns, group, block=32):
    table = torch.tensor([0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1], dtype=torch.float32)
    k = torch.arange(columns)
    byte = packed.int()[:, k // 2]
    return table[torch.where(k % 2 == 0, byte % 16, byte // 16).long()] * scale[:, k // group]


def unpack_by_shifts(packed, scale, columns, group, block=32):
    """Shifts up and back down: the arithmetic shift extends the sign."""
    wide = packed.view(torch.int8).int()
    codes = torch.stack([(wide << 28) >> 28, wide >> 4], 2).flatten(1)[:, :columns]
    return codes * scale.repeat_interleave(group, 1)[:, :columns]


def sparse_by_dense(x, blocks, columns, starts, block_m=16):
    side, rows = blocks.shape[1], len(starts) - 1
    weight = torch.zeros(rows, x.shape[1] // side, side, side)
    for i in range(len(blocks)):
        weight[int((starts[1:] <= i).sum()), int(columns[i])] = blocks[i].float()
    return (x.double() @ weight.transpose(1, 2).reshape(rows * side, -1).double().T).int()


def sparse_by_einsum(x, blocks, columns, starts, block_m=16):
    side = blocks.shape[1]
    tiles = x.unflatten(1, (-1, side)).int()[:, columns.long()]
    parts = (tiles[:, :, None, :] * blocks.int()[None]).sum(3)
    row = torch.repeat_interleave(torch.arange(len(starts) - 1), starts.diff().long())
    out = torch.zeros(len(x), len(starts) - 1, side, dtype=torch.int64).index_add(1, row, parts)
    return out.flatten(1).int()


# ---- read_ptx
def read_line_by_line(ptx):
    names, registers = [], 0
    for line in ptx.splitlines():
        words = line.split("//")[0].split()
        if words and words[0].startswith("@"):
            words = words[1:]
        if words and words[0].startswith(("mma.", "wgmma.mma_async.")):
            names.append(words[0])
        elif words and words[0] == ".reg":
            registers += int(words[-1].split("<")[1].split(">")[0])
    return {"multiply": (names or [""])[0], "times": len(names), "registers": registers}


ALTERNATIVES = {
    "masked_add": (kernel("masked_add", "from the end"), kernel("masked_add", "clamped")),
    "row_quantize": (kernel("row_quantize"),),
    "int8_matmul": (kernel("int8_matmul", "float16 steps"),),
    "fused_linear": (kernel("fused_linear", "weights first"),),
    "unpack_int4": (kernel("unpack_int4"),),
    "block_sparse_matmul": (kernel("block_sparse_matmul"),),
    "read_ptx": (read_line_by_line,),
}
