"""Unit 06: wrong answers for which no known mistake exists. They prove that the grader rejects them."""

from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import torch

from posttrain_lab import kernels as library
from posttrain_lab.checks.engine.stand_ins import stand_in  # plain torch with the result of a wrong kernel

right = SimpleNamespace(**run_path(str(Path(__file__).with_name("alternatives.py"))))


def kernels(name, *ways):
    """Real kernels with these mistakes."""
    return tuple(right.kernel(name, how) for how in ways)


def rows_of(change):
    """The right codes and scales, changed."""
    return lambda x: change(*right.rows_in_float64(x))


def matmul_of(x=lambda x: x, w=lambda w: w, out=lambda out: out):
    return lambda xq, wq, block_m=16, block_n=16, block_k=32: out(right.matmul_in_float64(x(xq), w(wq)))


def fused_of(**change):
    def fused_linear(xq, wq, x_scale, w_scale, bias, relu=False, **tiles):
        given = {"xq": xq, "wq": wq, "x_scale": x_scale, "w_scale": w_scale, "bias": bias, "relu": relu}
        return right.fused_by_steps(**{**given, **{name: new(given[name]) for name, new in change.items()}})

    return fused_linear


def unpack_of(**change):
    def unpack_int4(packed, scale, columns, group, block=32):
        given = {"packed": packed, "scale": scale, "columns": columns, "group": group}
        return right.unpack_by_table(**{**given, **{name: new(given[name]) for name, new in change.items()}})

    return unpack_int4


def sparse_of(out=lambda out: out, **change):
    def block_sparse_matmul(x, blocks, columns, starts, block_m=16):
        given = {"x": x, "blocks": blocks, "columns": columns, "starts": starts}
        return out(right.sparse_by_einsum(**{**given, **{name: new(given[name]) for name, new in change.items()}}))

    return block_sparse_matmul


def read_of(**change):
    return lambda ptx: {**right.read_line_by_line(ptx), **{name: new(ptx) for name, new in change.items()}}


def half_sums(x, w, **tiles):
    """Products in float16 with float16 sums."""
    return (x.half() @ w.half().T).float().nan_to_num(0).int()


def single_sums(x, w, **tiles):
    """Sums in float32: exact only below 2^24."""
    total = torch.zeros(len(x), len(w))
    for k in range(x.shape[1]):
        total += torch.outer(x[:, k].float(), w[:, k].float())
    return total.int()


def tiles_only(x, w, block_m=16, block_n=16, block_k=32):
    """Whole tiles only; the rest of the result is not written."""
    out = right.matmul_in_float64(x, w)
    out[len(x) // block_m * block_m :] = 0x55555555
    return out


def last_program_wins(x, y, block=16):
    """All programs write to the same block: the result depends on their order."""
    out = torch.full((len(x),), torch.nan)
    start = (len(x) - 1) // block * block
    part = x[start:] + y[start:]
    out[: len(part)] = part
    return out


STAND_INS = {
    "masked_add": (
        last_program_wins,
        lambda x, y, block=16: torch.zeros(len(x)),
        lambda x, y, block=16: (x + y).half(),
        lambda x, y, block=16: (x + y)[:-1],
        lambda x, y, block=16: (x + y).nan_to_num(posinf=0.0),
        lambda x, y, block=16: x * y,
        lambda x, y, block=16: (x + y)[None],
    ),
    "row_quantize": (
        rows_of(lambda codes, scale: (codes.float(), scale)),
        rows_of(lambda codes, scale: (codes, scale[:, None])),
        rows_of(lambda codes, scale: (codes, scale.half().float())),
        rows_of(lambda codes, scale: (codes.abs(), scale)),
        rows_of(lambda codes, scale: (scale, codes)),
        rows_of(lambda codes, scale: codes),
        lambda x: (torch.round(x / right.rows_padded(x)[1][:, None]).to(torch.int8), right.rows_padded(x)[1]),
        lambda x: right.rows_padded(x.contiguous().view(1, -1)),
    ),
    "int8_matmul": (
        half_sums,
        single_sums,
        tiles_only,
        matmul_of(x=lambda x: x.clamp(min=-127)),
        matmul_of(w=lambda w: w.flip(0)),
        matmul_of(out=lambda out: out.float()),
        matmul_of(out=lambda out: out.long()),
        matmul_of(out=lambda out: out + 1),
        matmul_of(x=lambda x: x.view(torch.uint8)),
    ),
    "fused_linear": (
        fused_of(bias=lambda bias: bias[:1].expand_as(bias)),
        fused_of(w_scale=lambda scale: scale.flip(0)),
        fused_of(x_scale=lambda scale: scale.mean().expand_as(scale)),
        fused_of(bias=lambda bias: bias.round()),
        fused_of(xq=lambda xq: xq[:, :32] if xq.shape[1] > 32 else xq, wq=lambda wq: wq[:, :32] if wq.shape[1] > 32 else wq),
        lambda *args, **options: right.fused_by_steps(*args, **options).half(),
        lambda *args, **options: right.fused_by_steps(*args, **options).abs(),
        lambda *args, **options: right.fused_by_steps(*args, **options).round(),
    ),
    "unpack_int4": (
        unpack_of(group=lambda group: 2 * group),
        unpack_of(packed=lambda packed: packed & 0x7F),
        unpack_of(scale=lambda scale: scale.abs().half().float()),
        unpack_of(scale=lambda scale: scale.flip(1)),
        lambda packed, scale, columns, group, block=32: right.unpack_by_table(packed, scale, columns, group).round(),
        lambda packed, scale, columns, group, block=32: right.unpack_by_table(packed, scale, columns, group)[:, : columns - 1],
        lambda packed, scale, columns, group, block=32: right.unpack_by_table(packed, scale, columns, group).clamp(min=-7),
    ),
    "block_sparse_matmul": (
        sparse_of(columns=lambda columns: columns.flip(0)),
        sparse_of(blocks=lambda blocks: blocks.flip(0)),
        sparse_of(blocks=lambda blocks: blocks.tril()),
        sparse_of(out=lambda out: out.float()),
        sparse_of(out=lambda out: (out + 2**15) % 2**16 - 2**15),
        sparse_of(out=lambda out: out.T.contiguous()),
        sparse_of(out=lambda out: out[:, :32]),
    ),
    "read_ptx": (
        read_of(multiply=lambda ptx: "mma"),
        read_of(times=lambda ptx: ptx.count("mma")),
        read_of(times=lambda ptx: float(right.read_line_by_line(ptx)["times"])),
        read_of(registers=lambda ptx: str(right.read_line_by_line(ptx)["registers"])),
        read_of(registers=lambda ptx: ptx.count("%r")),
        lambda ptx: tuple(right.read_line_by_line(ptx).values()),
        lambda ptx: {"multiply": "", "times": 0, "registers": right.read_line_by_line(ptx)["registers"]},
    ),
}

KERNELS = {
    "masked_add": ("clears first", "one block", "into x"),
    "row_quantize": ("filled with ones", "half to even", "half away from zero", "tiny in place of one", "one place"),
    "int8_matmul": ("in int8", "steps of 32", "no other", "total added twice", "sums in float32", "added to what was there"),
    "fused_linear": ("a scale a program", "bias masked by m", "scales in float16", "leaky", "store masked by m"),
    "unpack_int4": ("bytes rounded down", "shift by one", "group of the byte", "place in the group", "groups rounded down"),
    "block_sparse_matmul": ("counted from zero", "end included", "parts in int16", "stored in the loop", "block row forgotten"),
}


def product_then_torch(xq, wq, x_scale, w_scale, bias, relu=False, **tiles):
    """The product in a kernel, the rest in torch: right numbers, but no fusion."""
    y = right.kernel("int8_matmul")(xq, wq, **tiles) * x_scale[:, None] * w_scale + bias
    return y.clamp(min=0) if relu else y


# ---- right numbers that no kernel made
BESIDE = {
    "masked_add": (right.add_block_by_block, right.add_in_numpy),
    "row_quantize": (right.rows_one_by_one, right.rows_in_float64, right.rows_padded),
    "int8_matmul": (
        right.matmul_by_tiles,
        right.matmul_in_float64,
        right.matmul_by_outer,
        lambda x, w, **tiles: library.int8_matmul(x, w.T),
    ),
    "fused_linear": (right.fused_by_steps, right.fused_rows_first, product_then_torch),
    "unpack_int4": (right.unpack_by_table, right.unpack_by_shifts),
    "block_sparse_matmul": (right.sparse_by_dense, right.sparse_by_einsum),
}
WRONG = {
    name: (*map(stand_in, answers), *kernels(name, *KERNELS.get(name, ())), *BESIDE.get(name, ()))
    for name, answers in STAND_INS.items()
}
