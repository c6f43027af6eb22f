"""Unit 06: kernels in place of the notebook's, right ones written in another way and wrong ones, selected by HOW.

`alternatives.py` loads this module when one of them is first called, because Triton's interpreter must be chosen before a kernel is made.
"""

import torch
import triton
import triton.language as tl

from posttrain_lab.kernels.gpu import interpreter


@triton.jit
def add_kernel(x_ptr, y_ptr, out_ptr, n, BLOCK: tl.constexpr, HOW: tl.constexpr):
    first = tl.arange(0, BLOCK)
    i = tl.program_id(0) * BLOCK + first
    if HOW == "clamped":  # lanes beyond the end compute the last element again
        i = tl.minimum(i, n - 1)
        tl.store(out_ptr + i, tl.load(x_ptr + i) + tl.load(y_ptr + i))
    else:
        if HOW == "from the end":
            i = n - 1 - i
        inside = (i >= 0) & (i < n)
        y = tl.load(x_ptr + i, mask=inside) + tl.load(y_ptr + i, mask=inside)
        if HOW == "clears first":  # a race: the first block is cleared by every program
            tl.store(out_ptr + first, tl.zeros((BLOCK,), tl.float32), mask=first < n)
        if HOW == "one block":
            tl.store(out_ptr + first, y, mask=first < n)
        elif HOW == "into x":
            tl.store(x_ptr + i, y, mask=inside)
        else:
            tl.store(out_ptr + i, y, mask=inside)


def masked_add(x, y, block=16, how=""):
    n, x, y = len(x), interpreter.guarded(x), interpreter.guarded(y)
    out = interpreter.output(n)
    interpreter.launch(add_kernel, (triton.cdiv(n, block),), x, y, out, n, BLOCK=block, HOW=how)
    return out.cpu()


@triton.jit
def rows_kernel(x_ptr, codes_ptr, scale_ptr, columns, BLOCK: tl.constexpr, HOW: tl.constexpr):
    row, k = tl.program_id(0), tl.arange(0, BLOCK)
    places = row * columns + k
    x = tl.load(x_ptr + places, mask=k < columns, other=1.0 if HOW == "filled with ones" else 0.0)
    top = tl.maximum(tl.max(x, axis=0), -tl.min(x, axis=0))
    scale = tl.where(top > 0, top / 127, 1.0)
    code = tl.floor(x * (127 / tl.where(top > 0, top, 127.0)) + 0.5)
    if HOW == "half to even":
        code = (x / scale + 12582912.0) - 12582912.0
    if HOW == "half away from zero":
        code = tl.where(x < 0, -tl.floor(0.5 - x / scale), tl.floor(x / scale + 0.5))
    if HOW == "tiny in place of one":
        scale = tl.maximum(top / 127, 1e-8)
    tl.store(scale_ptr + (0 if HOW == "one place" else row), scale)
    tl.store(codes_ptr + places, code.to(tl.int8), mask=k < columns)


def row_quantize(x, how=""):
    rows, columns = x.shape
    x, codes, scale = interpreter.guarded(x), interpreter.output(rows, columns, dtype=torch.int8), interpreter.output(rows)
    interpreter.launch(rows_kernel, (rows,), x, codes, scale, columns, BLOCK=triton.next_power_of_2(columns), HOW=how)
    return codes.cpu(), scale.cpu()


@triton.jit
def matmul_kernel(
    x_ptr, w_ptr, out_ptr, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, HOW: tl.constexpr
):  # fmt: skip
    m = tl.program_id(0) * BM + tl.arange(0, BM)[:, None]
    n = tl.program_id(1) * BN + tl.arange(0, BN)[None, :]
    total, real = tl.zeros((BM, BN), tl.int32), tl.zeros((BM, BN), tl.float32)
    if HOW == "in int8":  # element by element
        for k in range(0, K):
            x, w = tl.load(x_ptr + m * K + k, mask=m < M, other=0), tl.load(w_ptr + n * K + k, mask=n < N, other=0)
            total += x * w
    else:
        for start in range(0, K, 32 if HOW == "steps of 32" else BK):
            k = start + tl.arange(0, BK)
            if HOW == "no other":
                x = tl.load(x_ptr + m * K + k[None, :], mask=(m < M) & (k[None, :] < K))
                w = tl.load(w_ptr + n * K + k[:, None], mask=(n < N) & (k[:, None] < K))
            else:
                x = tl.load(x_ptr + m * K + k[None, :], mask=(m < M) & (k[None, :] < K), other=0)
                w = tl.load(w_ptr + n * K + k[:, None], mask=(n < N) & (k[:, None] < K), other=0)
            if HOW == "total added twice":
                total += tl.dot(x, w, total, out_dtype=tl.int32)
            elif HOW == "sums in float32":
                real += tl.dot(x.to(tl.float32), w.to(tl.float32))
            elif HOW == "float16 steps":  # exact: 32 products of 128 * 128 fit the 24 bits of a float32
                total += tl.dot(x.to(tl.float16), w.to(tl.float16)).to(tl.int32)
            else:
                total += tl.dot(x, w, out_dtype=tl.int32)
    if HOW == "sums in float32":
        total = real.to(tl.int32)
    if HOW == "added to what was there":
        tl.atomic_add(out_ptr + m * N + n, total, mask=(m < M) & (n < N))
    else:
        tl.store(out_ptr + m * N + n, total, mask=(m < M) & (n < N))


def int8_matmul(x, w, block_m=16, block_n=16, block_k=32, how=""):
    (M, K), N = x.shape, len(w)
    x, w, out = interpreter.guarded(x), interpreter.guarded(w), interpreter.output(M, N, dtype=torch.int32)
    grid = (triton.cdiv(M, block_m), triton.cdiv(N, block_n))
    interpreter.launch(matmul_kernel, grid, x, w, out, M, N, K, BM=block_m, BN=block_n, BK=block_k, HOW=how)
    return out.cpu()


@triton.jit
def fused_kernel(
    x_ptr, w_ptr, x_scale_ptr, w_scale_ptr, bias_ptr, out_ptr, M, N, K,
    RELU: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, HOW: tl.constexpr,
):  # fmt: skip
    m = tl.program_id(0) * BM + tl.arange(0, BM)[:, None]
    n = tl.program_id(1) * BN + tl.arange(0, BN)[None, :]
    total = tl.zeros((BM, BN), tl.int32)
    for start in range(0, K, BK):
        step = start + tl.arange(0, BK)
        x_tile = tl.load(x_ptr + m * K + step[None, :], mask=(m < M) & (step[None, :] < K), other=0)
        w_tile = tl.load(w_ptr + n * K + step[:, None], mask=(n < N) & (step[:, None] < K), other=0)
        total = tl.dot(x_tile, w_tile, total, out_dtype=tl.int32)
    x_scale = tl.load(x_scale_ptr + m, mask=m < M, other=0)
    if HOW == "a scale a program":
        x_scale = tl.load(x_scale_ptr + tl.program_id(0))
    w_scale = tl.load(w_scale_ptr + n, mask=n < N, other=0)
    bias = tl.load(bias_ptr + n, mask=(n < M) if HOW == "bias masked by m" else (n < N), other=0)
    scale = x_scale * w_scale
    if HOW == "scales in float16":
        scale = scale.to(tl.float16).to(tl.float32)
    y = tl.fma(total.to(tl.float32), scale, bias + tl.zeros((BM, BN), tl.float32))
    if HOW == "weights first":
        y = x_scale * (w_scale * total.to(tl.float32)) + bias
    if RELU:
        y = tl.where(y > 0, y, 0.01 * y if HOW == "leaky" else 0.0)
    tl.store(out_ptr + m * N + n, y, mask=(m < M) if HOW == "store masked by m" else (m < M) & (n < N))


def fused_linear(xq, wq, x_scale, w_scale, bias, relu=False, block_m=16, block_n=16, block_k=32, how=""):
    (M, K), N = xq.shape, len(wq)
    operands = [interpreter.guarded(t) for t in (xq, wq, x_scale, w_scale, bias)]
    out, grid = interpreter.output(M, N), (triton.cdiv(M, block_m), triton.cdiv(N, block_n))
    blocks = {"BM": block_m, "BN": block_n, "BK": block_k}
    interpreter.launch(fused_kernel, grid, *operands, out, M, N, K, RELU=relu, **blocks, HOW=how)
    return out.cpu()


@triton.jit
def unpack_kernel(
    packed_ptr, scale_ptr, out_ptr, columns, bytes_a_row, groups, group, BLOCK: tl.constexpr, HOW: tl.constexpr
):  # fmt: skip
    row = tl.program_id(0)
    k = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    line = row * (columns // 2 if HOW == "bytes rounded down" else bytes_a_row)
    byte = tl.load(packed_ptr + line + k // 2, mask=k < columns, other=0).to(tl.int32)
    if HOW == "shift by one":
        byte = byte << 3 * (k % 2)
    code = (byte << 28 - 4 * (k % 2)) >> 28  # shifted to the top of 32 bits and down again, which extends the sign
    place = k // group
    if HOW == "group of the byte":
        place = k // 2 // group
    if HOW == "place in the group":
        place = k % group % groups
    start = row * (columns // group if HOW == "groups rounded down" else groups)
    scale = tl.load(scale_ptr + start + place, mask=k < columns, other=0)
    tl.store(out_ptr + row * columns + k, code * scale, mask=k < columns)


def unpack_int4(packed, scale, columns, group, block=32, how=""):
    rows, out = len(packed), interpreter.output(len(packed), columns)
    sizes = (columns, packed.shape[1], scale.shape[1], group)
    grid = (rows, triton.cdiv(columns, block))
    operands = interpreter.guarded(packed), interpreter.guarded(scale), out
    interpreter.launch(unpack_kernel, grid, *operands, *sizes, BLOCK=block, HOW=how)
    return out.cpu()


@triton.jit
def sparse_kernel(
    x_ptr, blocks_ptr, columns_ptr, starts_ptr, out_ptr, M, N, K, BM: tl.constexpr, B: tl.constexpr, HOW: tl.constexpr
):  # fmt: skip
    m = tl.program_id(0) * BM + tl.arange(0, BM)[:, None]
    row, b = tl.program_id(1), tl.arange(0, B)
    total = tl.zeros((BM, B), tl.int32)
    first, end = tl.load(starts_ptr + row), tl.load(starts_ptr + row + 1)
    if HOW == "counted from zero":
        first, end = 0, end - first
    if HOW == "end included":
        end += 1
    for i in range(first, end):
        k = tl.load(columns_ptr + i) * B + b
        x = tl.load(x_ptr + m * K + k[None, :], mask=m < M, other=0)
        w = tl.trans(tl.load(blocks_ptr + i * B * B + b[:, None] * B + b[None, :]))
        part = tl.dot(x, w, out_dtype=tl.int32)
        total += part.to(tl.int16) if HOW == "parts in int16" else part
        if HOW == "stored in the loop":
            tl.store(out_ptr + m * N + row * B + b[None, :], total, mask=m < M)
    if HOW == "block row forgotten":
        tl.store(out_ptr + m * N + b[None, :], total, mask=m < M)
    elif HOW != "stored in the loop":
        tl.store(out_ptr + m * N + row * B + b[None, :], total, mask=m < M)


def block_sparse_matmul(x, blocks, columns, starts, block_m=16, how=""):
    (M, K), B, block_rows = x.shape, blocks.shape[1], len(starts) - 1
    operands = [interpreter.guarded(t) for t in (x, blocks, columns, starts)]
    out, grid = interpreter.output(M, block_rows * B, dtype=torch.int32), (triton.cdiv(M, block_m), block_rows)
    interpreter.launch(sparse_kernel, grid, *operands, out, M, block_rows * B, K, BM=block_m, B=B, HOW=how)
    return out.cpu()
