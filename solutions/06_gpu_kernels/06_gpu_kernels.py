# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 06 GPU kernels: how often does a chip read the same number?
#
# A GPU can multiply faster than it can read from memory. So the speed of a kernel often depends less on the number of its operations than
# on how often it reads the same number from memory. This can be counted. In this unit you write the kernels of a quantized network in
# Triton, a language for GPUs inside Python, and every read and write of your kernels is counted.
#
# **The question.** Multiply two matrices of 128 × 128 codes. Together they are 32,768 bytes. How many bytes does your kernel read, and
# how does that depend on the size of its tiles? And on three generations of GPUs: is there *one* instruction that multiplies tiles of int8
# codes, and does the compiler use it? Both are answered below, by counting and by reading the compiled code.
#
# **You need** Python and a little PyTorch. No GPU: without one, Triton's *interpreter* runs your kernels on the processor, one program after
# the other. With an NVIDIA GPU of the Ampere generation or later the same cells run on it. Triton exists for Linux; elsewhere open the unit
# in Colab. Unit 02 explains what a code and a scale are; exercise 2 repeats what is needed here.
#
# **How it works.** There are seven exercises; the unit takes about 150 minutes. An exercise's cell begins with a finished function that
# takes tensors and *launches* a kernel. Below it you write the body of the kernel in place of `raise NotImplementedError`; the course's own
# kernels have at most six lines there. The next cell tries the examples of the docstring, and the one after it checks. A mistake costs only
# its own exercise. In a terminal, `posttrain-lab check 06` shows the points of the whole notebook. The [glossary](../glossary.md) explains
# the terms of the field.
#
# **How mistakes are found.** Some mistakes change the result of a GPU kernel in some runs only. `interpreter.launch` makes them visible in
# every run: in the interpreter the programs run in random order, reading or writing outside of the tensors is an error, results start with
# wrong values (NaN), and bytes are counted. The check also wants each program to store its own block only, and compiles your kernel once:
# Triton's compiler refuses some Python that the interpreter takes.

# %% tags=["setup"]
import re

import torch
from jaxtyping import Float32, Int8, Int32, UInt8
from torch import Tensor

from posttrain_lab import checks, data, measure, models, widgets
from posttrain_lab.kernels.gpu import interpreter
from posttrain_lab.kernels.gpu.notebook import CHIPS, compile_ahead
from posttrain_lab.plots import gpu_kernels as plots

DEVICE = interpreter.start()  # before triton is imported: without a fitting GPU it sets TRITON_INTERPRET=1; says what to do if triton is missing

import triton
import triton.language as tl

torch.set_num_threads(1)  # one thread: times can be compared
torch.manual_seed(0)
split = data.load_fashion()
model = models.load_pretrained("fashion_cnn")

# %% tags=["nbval-ignore-output"]
print("kernels run", "on " + torch.cuda.get_device_name() if DEVICE == "cuda" else "in the interpreter, on the processor")
print("triton", triton.__version__)

# %% [markdown]
# **Predict.**

# %% tags=["widget", "nbval-ignore-output"]
widgets.predict(
    "A product of two 128 x 128 int8 matrices in tiles of 16 x 16: how often is each input number read from memory?",
    ["once", "about 8 times", "about 128 times"],
    "Exercise 3 counts it.",
)

# %% [markdown]
# ## Part 1: programs, lanes, masks
#
# A GPU runs thousands of copies of one kernel. Triton calls a copy a [program](../glossary.md#program). Each knows its number,
# `tl.program_id(0)`, and works on a *block* of neighbouring elements at once; one element of a block is called a lane here. The programs
# run in any order, at the same time, and cannot wait for one another.
#
# A kernel gets tensors as *pointers*. `x_ptr + i` is the address of element i; if `i` is a block of numbers, this is a block of addresses.
# `tl.load(addresses, mask=...)` reads them and `tl.store(addresses, values, mask=...)` writes. Where the [mask](../glossary.md#mask) is
# false nothing is read or written. Block sizes are powers of two and known to the compiler (`tl.constexpr`); sizes of tensors are neither.
#
# ### Exercise 1: add two vectors
# *Difficulty 1 of 5, 12 minutes, 2 points*
#
# **Aim:** each program adds one block of BLOCK numbers; the last block may go beyond the end.
#
# $$out[i] = x[i] + y[i], \qquad i = p \cdot BLOCK + 0 \dots BLOCK - 1, \quad i < n$$
#
# p is the program's number, `tl.arange(0, BLOCK)` the block of lanes. x, y and out are float32 `[n]`.
# No result of this unit need be contiguous.
#
# **Predict:** n = 5 and BLOCK = 4. How many programs run, and how many lanes must not store?
#
# <details><summary>Answer</summary>
#
# Two programs of four lanes, eight lanes in all. Three are beyond the end. Without a mask they would overwrite whatever comes after the
# result in memory: on a GPU often without an error message.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "masked_add", "locked": false, "schema_version": 3, "solution": true, "task": false}
def masked_add(x: Float32[Tensor, " n"], y: Float32[Tensor, " n"], block: int = 16) -> Float32[Tensor, " n"]:
    """The sum of two vectors, one program for each block of `block` numbers.

    >>> masked_add(torch.arange(5.0), torch.ones(5), block=4)
    tensor([1., 2., 3., 4., 5.])
    """
    n, x, y = len(x), interpreter.guarded(x), interpreter.guarded(y)
    out = interpreter.output(n)
    interpreter.launch(masked_add_kernel, (triton.cdiv(n, block),), x, y, out, n, BLOCK=block)
    return out.cpu()


@triton.jit
def masked_add_kernel(x_ptr, y_ptr, out_ptr, n, BLOCK: tl.constexpr):
    """One block: offsets from the program's number, two masked loads, one masked store."""
    ### BEGIN SOLUTION
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + i, mask=i < n)
    y = tl.load(y_ptr + i, mask=i < n)
    tl.store(out_ptr + i, x + y, mask=i < n)
    ### END SOLUTION

# %%
checks.try_examples(masked_add)

# %% nbgrader={"grade": true, "grade_id": "test_masked_add", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.gpu_kernels.masked_add(masked_add)
### BEGIN HIDDEN TESTS
checks.gpu_kernels.masked_add(masked_add, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# The lanes of all programs, and how many lanes of *your* kernel's loads were masked. Move the length and the block. (On a GPU they cannot be
# counted.)

# %% tags=["widget", "nbval-ignore-output"]
def draw_lanes(n: int, block: int):
    with interpreter.counting() as traffic:
        masked_add(torch.ones(n), torch.ones(n), block)
    figure = plots.lanes(n, block)
    counted = f"; your loads: {traffic.masked} of {traffic.lanes}" if interpreter.interpreted() else ""
    return figure.update_layout(title_text=f"{figure.layout.title.text}{counted}")


widgets.slider_figure(
    draw_lanes,
    n=widgets.Slider(1, 100, start=37, step=1, label="numbers"),
    block=widgets.Choice((4, 8, 16, 32), start=16, label="block"),
)

# %% [markdown]
# *What is seen: one row of squares for each program. In the last row some squares are crosses, the masked lanes; the title gives their
# share. Larger blocks mean fewer programs, and in the worst case more masked lanes.*
#
# **Question.** A masked lane costs as much time as a working one. Why would anybody choose large blocks?
#
# <details><summary>Answer</summary>
#
# A program has a cost of its own, and a GPU loads neighbouring elements together: many loads at the same time hide the latency of memory.
# For a vector of a million numbers at most one block is not full, so the masked share hardly matters. It matters for short rows.
#
# </details>
#
# ### Exercise 2: quantize a row
# *Difficulty 2 of 5, 16 minutes, 3 points*
#
# **Aim:** quantize each row of a matrix with a scale of its own, one program a row.
#
# In a language model activations differ from token to token by factors of a hundred, so each row gets its own
# [scale](../glossary.md#scale): the largest magnitude becomes code 127 (Dettmers et al. 2022).
#
# $$scale[r] = \max_k |x[r, k]| \,/\, 127, \qquad code[r, k] = \lfloor x[r, k] / scale[r] + 0.5 \rfloor$$
#
# A row of zeros gets scale 1.0. x is float32 `[rows, columns]`, codes are int8 of the same shape, scale is float32 `[rows]`. One block covers
# the whole row: BLOCK is the next power of two. You need `tl.abs`, `tl.max(..., axis=0)`, `tl.where`, `tl.floor`, and `.to(tl.int8)`.
#
# **Predict:** lanes beyond the end of the row are included in `tl.max`. What must a masked load give there (`other=`)?
#
# <details><summary>Answer</summary>
#
# 0: no magnitude is smaller, so the maximum does not change. Without `other` the values of these lanes are undefined.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "row_quantize", "locked": false, "schema_version": 3, "solution": true, "task": false}
def row_quantize(x: Float32[Tensor, "rows columns"]) -> tuple[Int8[Tensor, "rows columns"], Float32[Tensor, " rows"]]:
    """Codes and scales, one scale a row: scale = max |x| / 127 (1.0 for zeros), code = floor(x / scale + 0.5).

    >>> codes, scale = row_quantize(torch.tensor([[0.5, -1.27, 0.026], [0.0, 0.0, 0.0]]))
    >>> codes.tolist(), scale
    ([[50, -127, 3], [0, 0, 0]], tensor([0.0100, 1.0000]))
    """
    rows, columns = x.shape
    x, codes, scale = interpreter.guarded(x), interpreter.output(rows, columns, dtype=torch.int8), interpreter.output(rows)
    block = triton.next_power_of_2(columns)
    interpreter.launch(row_quantize_kernel, (rows,), x, codes, scale, columns, BLOCK=block)
    return codes.cpu(), scale.cpu()


@triton.jit
def row_quantize_kernel(x_ptr, codes_ptr, scale_ptr, columns, BLOCK: tl.constexpr):
    """One row: its largest magnitude, its scale, its codes. Element k of the row is at row * columns + k."""
    row, k = tl.program_id(0), tl.arange(0, BLOCK)
    ### BEGIN SOLUTION
    x = tl.load(x_ptr + row * columns + k, mask=k < columns, other=0.0)
    top = tl.max(tl.abs(x), axis=0)
    scale = tl.where(top == 0, 1.0, top / 127)
    code = tl.floor(x / scale + 0.5).to(tl.int8)
    tl.store(codes_ptr + row * columns + k, code, mask=k < columns)
    tl.store(scale_ptr + row, scale)
    ### END SOLUTION

# %%
checks.try_examples(row_quantize)

# %% nbgrader={"grade": true, "grade_id": "test_row_quantize", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.gpu_kernels.row_quantize(row_quantize)
### BEGIN HIDDEN TESTS
checks.gpu_kernels.row_quantize(row_quantize, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Your kernel in use: rows of activations of very different size, quantized with a scale for each row and with one scale for all.

# %%
rows = torch.randn(6, 200) * torch.tensor([0.01, 0.05, 0.2, 1.0, 4.0, 20.0])[:, None]
codes, scale = row_quantize(rows)
flat_codes, flat_scale = row_quantize(rows.reshape(1, -1))
back = {"a scale a row": codes * scale[:, None], "one scale": (flat_codes * flat_scale).reshape(rows.shape)}
names = [f"size {size:g}" for size in (0.01, 0.05, 0.2, 1, 4, 20)]
errors = {name: ((y - rows).norm(dim=1) / rows.norm(dim=1)).tolist() for name, y in back.items()}
plots.bars({name: dict(zip(names, e, strict=True)) for name, e in errors.items()}, "error / size of the row")

# %% [markdown]
# *What is seen: for six rows of growing size the relative error of the dequantized numbers. With a scale for each row all bars are equally
# low; with one scale the small rows lose everything, an error as large as the row itself.*
#
# **Question.** Why is the bar of one scale equal to 1 on the left?
#
# <details><summary>Answer</summary>
#
# All codes of these rows are 0: half a step of the common scale is larger than their numbers. The dequantized row is zero, so the error is
# the row itself.
#
# </details>
#
# ## Part 2: the product of matrices
#
# ### Exercise 3: int8 codes, int32 sums
# *Difficulty 4 of 5, 25 minutes, 4 points*
#
# **Aim:** each program computes a [tile](../glossary.md#tile) of BM × BN numbers of the product, in a loop over k in steps of BK.
#
# $$out[m, n] = \sum_k x[m, k] \cdot w[n, k]$$
#
# x is int8 `[M, K]`, w is int8 `[N, K]` (one row an output, as `nn.Linear` stores it), out is int32 `[M, N]`. The offsets of the tile are
# given: `m` has the shape `[BM, 1]`, `n` has `[1, BN]`. For each step `k` is a block of BK numbers:
#
# - load the tile of x, `[BM, BK]`, from the offsets `m * K + k[None, :]`;
# - load the tile of w *as `[BK, BN]`*, from `n * K + k[:, None]`: these offsets transpose it;
# - `total = tl.dot(x, w, total, out_dtype=tl.int32)` multiplies and adds.
#
# Mask what lies beyond M, N or K, with `other=0`. At the end store `total` at `m * N + n`.
#
# **Predict:** with tiles of 16 × 16, how often is each number of x read? What changes when the tile has 64 × 64?
#
# <details><summary>Answer</summary>
#
# Each tile in a row of tiles reads the same rows of x: N / 16 times, so 8 times for N = 128. With 64 it is twice. The sums stay in
# registers during the loop, so they cause no memory traffic.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "int8_matmul", "locked": false, "schema_version": 3, "solution": true, "task": false}
def int8_matmul(
    x: Int8[Tensor, "m k"], w: Int8[Tensor, "n k"], block_m: int = 16, block_n: int = 16, block_k: int = 32
) -> Int32[Tensor, "m n"]:
    """x @ w.T, exact, in int32; one program a tile of block_m x block_n.

    >>> x, w = torch.tensor([[100, 100]], dtype=torch.int8), torch.tensor([[100, 100], [1, -1]], dtype=torch.int8)
    >>> int8_matmul(x, w)
    tensor([[20000,     0]], dtype=torch.int32)
    """
    (M, K), N = x.shape, len(w)
    x, w, out = interpreter.guarded(x), interpreter.guarded(w), interpreter.output(M, N, dtype=torch.int32)
    grid = (triton.cdiv(M, block_m), triton.cdiv(N, block_n))
    interpreter.launch(int8_matmul_kernel, grid, x, w, out, M, N, K, BM=block_m, BN=block_n, BK=block_k)
    return out.cpu()


@triton.jit
def int8_matmul_kernel(x_ptr, w_ptr, out_ptr, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """One tile of the product: loop over k in steps of BK, then one store."""
    m = tl.program_id(0) * BM + tl.arange(0, BM)[:, None]
    n = tl.program_id(1) * BN + tl.arange(0, BN)[None, :]
    total = tl.zeros((BM, BN), tl.int32)
    ### BEGIN SOLUTION
    for start in range(0, K, BK):
        k = start + tl.arange(0, BK)
        x = tl.load(x_ptr + m * K + k[None, :], mask=(m < M) & (k[None, :] < K), other=0)
        w = tl.load(w_ptr + n * K + k[:, None], mask=(n < N) & (k[:, None] < K), other=0)
        total = tl.dot(x, w, total, out_dtype=tl.int32)
    tl.store(out_ptr + m * N + n, total, mask=(m < M) & (n < N))
    ### END SOLUTION

# %%
checks.try_examples(int8_matmul)

# %% nbgrader={"grade": true, "grade_id": "test_int8_matmul", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
checks.gpu_kernels.int8_matmul(int8_matmul)
### BEGIN HIDDEN TESTS
checks.gpu_kernels.int8_matmul(int8_matmul, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# The count from the beginning of the unit: bytes that your kernel reads, for four sizes of tiles. (On a GPU they cannot be counted; a formula is
# used instead.)

# %%
side = 128
x, w = (torch.randint(-128, 128, (side, side)).to(torch.int8) for _ in range(2))


def bytes_read(tile: int) -> int:
    """What one product reads with square tiles: counted in the interpreter."""
    with interpreter.counting() as traffic:
        int8_matmul(x, w, tile, tile, 32)
    return traffic.read if interpreter.interpreted() else 2 * side * side * -(-side // tile)


tiles = (16, 32, 64, 128)
read = [bytes_read(tile) for tile in tiles]
for tile, count in zip(tiles, read, strict=True):
    print(f"tiles of {tile:3} x {tile:3}: {count:7,} bytes read, each input {count / (x.numel() + w.numel()):g} times")
plots.curves(
    tiles,
    {"read by your kernel": read, "the inputs, once": [x.numel() + w.numel()] * len(tiles)},
    "side of a tile",
    "bytes read",
    logarithmic="xy",
)

# %% [markdown]
# *What is seen: on logarithmic axes a straight line that falls to the dashed one. Twice the side, half the bytes; a tile as large as the result
# reads everything once.*
#
# **Question.** Then why not always take the largest tile?
#
# <details><summary>Answer</summary>
#
# The sums of a tile are in registers, and a GPU has a fixed number of them: a tile of 128 × 128 already has 16,384 sums. Part 4 shows what
# the compiler does when there are not enough. And one huge tile is one program, on one of a hundred multiprocessors.
#
# </details>
#
# The edges cost time too. Move the sizes of the matrix and the tile; this figure only counts and runs no kernel.

# %% tags=["widget", "nbval-ignore-output"]
def cover(m: int, n: int, tile: int):
    return plots.covering(m, n, tile, tile)


widgets.slider_figure(
    cover,
    m=widgets.Slider(1, 200, start=100, step=1, label="rows"),
    n=widgets.Slider(1, 200, start=130, step=1, label="columns"),
    tile=widgets.Choice((16, 32, 64, 128), start=64, label="tile"),
)

# %% [markdown]
# *What is seen: the matrix as a blue area under a grid of tiles; the part of the grid outside of the blue is computed for nothing. The
# title gives its share, which jumps whenever a size passes a multiple of the tile.*
#
# **Question.** A single row, as when a language model generates its next token: what share of the work is masked with tiles of 64?
#
# <details><summary>Answer</summary>
#
# 63 of 64 rows of each tile. That is why such products have kernels of their own, and why a batch of many requests costs hardly more than one.
#
# </details>
#
# Which tiles run at the same time matters as well, because programs that run together share a cache. The next figure only counts and runs no
# kernel: it numbers the tiles of a 16 × 16 grid in groups of rows, and counts the strips of inputs (the rows of x and of w that one row or
# column of tiles needs) for the tiles that run together.

# %% tags=["widget", "nbval-ignore-output"]
def draw_order(group: int, together: int):
    turns = {}
    for start in range(0, 16, group):
        for column in range(16):
            for row in range(start, min(start + group, 16)):
                turns[row, column] = len(turns)
    first = [place for place, turn in turns.items() if turn < together]
    strips = len({row for row, _ in first}) + len({column for _, column in first})
    title = f"{together} tiles together need {strips} strips of the inputs"
    return plots.order([[turns[i, j] for j in range(16)] for i in range(16)], together, title)


widgets.slider_figure(
    draw_order,
    group=widgets.Choice((1, 2, 4, 8, 16), start=1, label="rows in a group"),
    together=widgets.Slider(4, 128, start=64, step=4, label="tiles at a time"),
)

# %% [markdown]
# *What is seen: a grid of tiles with their numbers in the order of execution; the first ones are dark. In groups of one row the dark tiles are
# a wide stripe; in groups of eight they form a block, and the title counts fewer strips.*
#
# **Question.** Which shape of dark tiles needs the fewest strips?
#
# <details><summary>Answer</summary>
#
# A square: 64 tiles as 8 × 8 need 8 + 8 strips, as 4 × 16 they need 20. This reordering is the "grouped" order of the Triton tutorial.
#
# </details>
#
# ### Exercise 4: the epilogue
# *Difficulty 3 of 5, 18 minutes, 3 points*
#
# **Aim:** finish a linear layer inside the kernel: scales, bias, relu, and only then one store. This is the
# [epilogue](../glossary.md#epilogue); doing it in the same kernel is called [fusion](../glossary.md#kernel-fusion).
#
# $$y[m, n] = acc[m, n] \cdot x\_scale[m] \cdot w\_scale[n] + bias[n]$$
# $$\text{then } \max(y, 0) \text{ if RELU}$$
#
# `acc` is given as `total`, int32 `[BM, BN]`. `m` has the shape `[BM, 1]` and `n` the shape `[1, BN]`, so `tl.load(x_scale_ptr + m, ...)` is
# a column and `tl.load(w_scale_ptr + n, ...)` a row: they broadcast. Multiplied by a float32, an int32 becomes float32. RELU is known to the
# compiler: an ordinary `if` chooses the code.
#
# **Predict:** how often do four separate kernels (product, scale, bias, relu) read and write the result? And the fused one?
#
# <details><summary>Answer</summary>
#
# The separate ones write it four times and read it three times. The fused one writes it once. As int32 or float32, each element of the result
# has 4 bytes: that is 28 bytes against 4.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "fused_linear", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fused_linear(
    xq: Int8[Tensor, "m k"],
    wq: Int8[Tensor, "n k"],
    x_scale: Float32[Tensor, " m"],
    w_scale: Float32[Tensor, " n"],
    bias: Float32[Tensor, " n"],
    relu: bool = False,
    block_m: int = 16,
    block_n: int = 16,
    block_k: int = 32,
) -> Float32[Tensor, "m n"]:
    """A linear layer on codes: (xq @ wq.T) * x_scale per row * w_scale per column + bias, then relu if asked.

    >>> xq, wq = torch.tensor([[10, 20]], dtype=torch.int8), torch.tensor([[1, 2], [3, -4]], dtype=torch.int8)
    >>> fused_linear(xq, wq, torch.tensor([0.1]), torch.tensor([0.5, 0.1]), torch.tensor([0.1, 0.25]), relu=True)
    tensor([[2.6000, 0.0000]])
    """
    (M, K), N = xq.shape, len(wq)
    operands = [interpreter.guarded(t) for t in (xq, wq, x_scale, w_scale, bias)]
    out, grid = interpreter.output(M, N), (triton.cdiv(M, block_m), triton.cdiv(N, block_n))
    blocks = {"BM": block_m, "BN": block_n, "BK": block_k}
    interpreter.launch(fused_linear_kernel, grid, *operands, out, M, N, K, RELU=relu, **blocks)
    return out.cpu()


@triton.jit
def fused_linear_kernel(
    x_ptr, w_ptr, x_scale_ptr, w_scale_ptr, bias_ptr, out_ptr, M, N, K,
    RELU: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """The sums are already computed: load scales and bias, finish, store at m * N + n."""
    m = tl.program_id(0) * BM + tl.arange(0, BM)[:, None]
    n = tl.program_id(1) * BN + tl.arange(0, BN)[None, :]
    total = tl.zeros((BM, BN), tl.int32)
    for start in range(0, K, BK):
        step = start + tl.arange(0, BK)
        x_tile = tl.load(x_ptr + m * K + step[None, :], mask=(m < M) & (step[None, :] < K), other=0)
        w_tile = tl.load(w_ptr + n * K + step[:, None], mask=(n < N) & (step[:, None] < K), other=0)
        total = tl.dot(x_tile, w_tile, total, out_dtype=tl.int32)
    ### BEGIN SOLUTION
    scale = tl.load(x_scale_ptr + m, mask=m < M) * tl.load(w_scale_ptr + n, mask=n < N)
    y = total * scale + tl.load(bias_ptr + n, mask=n < N)
    if RELU:
        y = tl.maximum(y, 0.0)
    tl.store(out_ptr + m * N + n, y, mask=(m < M) & (n < N))
    ### END SOLUTION

# %%
checks.try_examples(fused_linear)

# %% nbgrader={"grade": true, "grade_id": "test_fused_linear", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.gpu_kernels.fused_linear(fused_linear)
### BEGIN HIDDEN TESTS
checks.gpu_kernels.fused_linear(fused_linear, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Your kernels in a network: the two linear layers of the course's network, activations and weights quantized by *your* `row_quantize`,
# multiplied by *your* `fused_linear`.

# %%
images = split.validation.first(48).images
with torch.no_grad():
    features, wanted = model[:13](images), model(images)


def on_your_kernels(x: Tensor, layer: torch.nn.Linear, relu: bool) -> Tensor:
    xq, x_scale = row_quantize(x)
    wq, w_scale = row_quantize(layer.weight.detach())
    return fused_linear(xq, wq, x_scale, w_scale, layer.bias.detach(), relu, 16, 64, 128)


got = on_your_kernels(on_your_kernels(features, model[13], relu=True), model[15], relu=False)
same = int((got.argmax(1) == wanted.argmax(1)).sum())
plots.logits(wanted.flatten().tolist(), got.flatten().tolist(), f"{same} of {len(images)} images get the same answer")

# %% [markdown]
# *What is seen: each logit of the float network on the horizontal axis, that of your kernels on the vertical one; the points lie on the dashed
# diagonal, and the title counts the images whose answer is the same.*
#
# **Question.** No calibration images were needed for these activations. Why?
#
# <details><summary>Answer</summary>
#
# Each row's scale is computed at run time, from the row itself: dynamic quantization. It costs one pass over the activations, and
# no range has to be estimated in advance.
#
# </details>
#
# ## Part 3: fewer bytes
#
# ### Exercise 5: two codes in a byte
# *Difficulty 3 of 5, 18 minutes, 3 points*
#
# **Aim:** dequantize packed 4-bit weights with a scale for each group of columns.
#
# When a product waits for weights, smaller weights are faster, although they must be unpacked first (Frantar et al. 2022). A byte holds two
# neighbours: column 2j in its low four bits, column 2j + 1 in the high ones. Codes are signed: 8 to 15 stand for −8 to −1.
#
# $$out[r, k] = code[r, k] \cdot scale[r, \lfloor k / group \rfloor]$$
#
# `packed` is uint8 `[rows, ⌈columns / 2⌉]`, `scale` is float32 `[rows, ⌈columns / group⌉]`. The kernel converts a byte to int32 before it
# shifts: then `(byte >> 4 * (k % 2)) & 15` is one of 0 to 15. A program does one block of one row.
#
# **Predict:** the byte 241 is 15 · 16 + 1. Which two codes does it hold, in which order?
#
# <details><summary>Answer</summary>
#
# First 1 (the low bits, the even column), then 15, which stands for −1.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "unpack_int4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def unpack_int4(
    packed: UInt8[Tensor, "rows bytes"], scale: Float32[Tensor, "rows groups"], columns: int, group: int, block: int = 32
) -> Float32[Tensor, "rows columns"]:
    """Packed 4-bit codes (low bits first, two's complement) times the scale of their group of columns.

    >>> unpack_int4(torch.tensor([[241, 8]], dtype=torch.uint8), torch.tensor([[0.5, 0.25]]), columns=3, group=2)
    tensor([[ 0.5000, -0.5000, -2.0000]])
    """
    rows, out = len(packed), interpreter.output(len(packed), columns)
    sizes = (columns, packed.shape[1], scale.shape[1], group)  # columns, bytes and groups of a row; columns of a group
    grid = (rows, triton.cdiv(columns, block))
    interpreter.launch(unpack_int4_kernel, grid, interpreter.guarded(packed), interpreter.guarded(scale), out, *sizes, BLOCK=block)
    return out.cpu()


@triton.jit
def unpack_int4_kernel(packed_ptr, scale_ptr, out_ptr, columns, bytes_a_row, groups, group, BLOCK: tl.constexpr):
    """A block of columns k of one row: its bytes, its codes, its scales, its real numbers."""
    row = tl.program_id(0)
    k = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    ### BEGIN SOLUTION
    byte = tl.load(packed_ptr + row * bytes_a_row + k // 2, mask=k < columns, other=0).to(tl.int32)
    nibble = (byte >> (4 * (k % 2))) & 15
    code = tl.where(nibble > 7, nibble - 16, nibble)
    scale = tl.load(scale_ptr + row * groups + k // group, mask=k < columns)
    tl.store(out_ptr + row * columns + k, code * scale, mask=k < columns)
    ### END SOLUTION

# %%
checks.try_examples(unpack_int4)

# %% nbgrader={"grade": true, "grade_id": "test_unpack_int4", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.gpu_kernels.unpack_int4(unpack_int4)
### BEGIN HIDDEN TESTS
checks.gpu_kernels.unpack_int4(unpack_int4, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# The second-to-last layer of the network in 4 bits: your kernel unpacks it, for groups of several sizes.

# %%
weight = model[13].weight.detach()


def pack_int4(weight: Tensor, group: int) -> tuple[Tensor, Tensor]:
    """Packed codes and scales: nearest codes from -7 to 7, one scale for `group` columns (which divides them)."""
    parts = weight.unflatten(1, (-1, group))
    scale = parts.abs().amax(2) / 7
    codes = torch.round(parts / scale[..., None]).flatten(1).int() & 15
    return (codes[:, ::2] | codes[:, 1::2] << 4).to(torch.uint8), scale


error, bits = {}, {}
for group in (8, 24, 72, 216, 864):
    packed, scale = pack_int4(weight, group)
    restored = unpack_int4(packed, scale, weight.shape[1], group, block=256)
    bits[f"{group}"] = 8 * (packed.numel() + 4 * scale.numel()) / weight.numel()
    error[f"{group}"] = float((restored - weight).norm() / weight.norm())
    print(f"groups of {group:3}: {bits[str(group)]:.2f} bits a weight, relative error {error[str(group)]:.3f}")
plots.curves([int(g) for g in error], {"relative error of the weights": list(error.values())}, "columns in a group", "error", "", "x")

# %% [markdown]
# *What is seen: the error of the weights rises with the size of the groups, from left to right. The lines above the figure say what
# small groups cost: their scales take bits too.*
#
# **Question.** Where would you stop making groups smaller?
#
# <details><summary>Answer</summary>
#
# Where more bits for the scales reduce the error less than as many more bits for the codes. With 32-bit scales a group of 8 doubles the size
# of the weights: 8-bit codes with one scale for each row are as large, and much better.
#
# </details>
#
# ### Exercise 6: skip what is zero
# *Difficulty 4 of 5, 20 minutes, 3 points*
#
# **Aim:** multiply by a weight of which only some square blocks are kept, without reading the others.
#
# Single zeros do not help a GPU, because a tile is read and multiplied as a whole. Zeros in *blocks* do: a block of zeros is not stored and not
# read. (The other pattern that hardware supports is [2:4 sparsity](../glossary.md#n-m-sparsity), Mishra et al. 2021.) The weight `[N, K]` is cut
# into blocks of B × B. `blocks[i]` is int8 `[B, B]`, rows are outputs and columns are inputs; `columns[i]` is its block column; those of block
# row r are the i from `starts[r]` up to, not including, `starts[r + 1]`.
#
# Given are `m`, `[BM, 1]`, the block row `row` and the lanes `b` of a block, `[B]`. For each i of your row: the columns of x are
# `columns[i] * B + b`; load the tile of x, `[BM, B]`; load the block *transposed*, `[B, B]` with rows for inputs, from
# `blocks_ptr + i * B * B + b[None, :] * B + b[:, None]`; add their product to `total`. The ends of a `range` may be loaded numbers.
#
# **Predict:** a block row without any block. What must the kernel store there?
#
# <details><summary>Answer</summary>
#
# Zeros. The loop body never runs, and `total` is still zero: the store must come after the loop, not inside it.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "block_sparse_matmul", "locked": false, "schema_version": 3, "solution": true, "task": false}
def block_sparse_matmul(
    x: Int8[Tensor, "m k"],
    blocks: Int8[Tensor, "count b b"],
    columns: Int32[Tensor, " count"],
    starts: Int32[Tensor, " rows_and_one"],
    block_m: int = 16,
) -> Int32[Tensor, "m n"]:
    """x @ weight.T for a weight of kept blocks; those of block row r are blocks[starts[r] : starts[r + 1]].

    >>> blocks = 2 * torch.eye(32, dtype=torch.int8)[None]
    >>> x = torch.arange(64, dtype=torch.int8)[None]
    >>> y = block_sparse_matmul(x, blocks, torch.tensor([1], dtype=torch.int32), torch.tensor([0, 1], dtype=torch.int32))
    >>> y[:, :3]  # twice the numbers 32, 33, 34 of block column 1
    tensor([[64, 66, 68]], dtype=torch.int32)
    """
    (M, K), B, block_rows = x.shape, blocks.shape[1], len(starts) - 1
    operands = [interpreter.guarded(t) for t in (x, blocks, columns, starts)]
    out, grid = interpreter.output(M, block_rows * B, dtype=torch.int32), (triton.cdiv(M, block_m), block_rows)
    interpreter.launch(block_sparse_kernel, grid, *operands, out, M, block_rows * B, K, BM=block_m, B=B)
    return out.cpu()


@triton.jit
def block_sparse_kernel(x_ptr, blocks_ptr, columns_ptr, starts_ptr, out_ptr, M, N, K, BM: tl.constexpr, B: tl.constexpr):
    """One tile of BM rows and one block row: loop over its kept blocks, then store at m * N + row * B + b[None, :]."""
    m = tl.program_id(0) * BM + tl.arange(0, BM)[:, None]
    row, b = tl.program_id(1), tl.arange(0, B)
    total = tl.zeros((BM, B), tl.int32)
    ### BEGIN SOLUTION
    for i in range(tl.load(starts_ptr + row), tl.load(starts_ptr + row + 1)):
        k = tl.load(columns_ptr + i) * B + b
        x = tl.load(x_ptr + m * K + k[None, :], mask=m < M, other=0)
        w = tl.load(blocks_ptr + i * B * B + b[None, :] * B + b[:, None])
        total = tl.dot(x, w, total, out_dtype=tl.int32)
    tl.store(out_ptr + m * N + row * B + b[None, :], total, mask=m < M)
    ### END SOLUTION

# %%
checks.try_examples(block_sparse_matmul)

# %% nbgrader={"grade": true, "grade_id": "test_block_sparse_matmul", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.gpu_kernels.block_sparse_matmul(block_sparse_matmul)
### BEGIN HIDDEN TESTS
checks.gpu_kernels.block_sparse_matmul(block_sparse_matmul, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# How much does skipping save? The bytes that your kernel reads, counted, for a weight of 128 × 256 with more and more blocks kept.

# %%
B, rows_of_blocks, columns_of_blocks = 32, 4, 8
x = torch.randint(-128, 128, (64, columns_of_blocks * B)).to(torch.int8)


def sparse_bytes(share: float) -> int:
    """Bytes read when this share of the blocks is kept, the same number in each block row."""
    kept = round(share * columns_of_blocks)
    columns = torch.cat([torch.randperm(columns_of_blocks)[:kept].sort().values for _ in range(rows_of_blocks)]).int()
    blocks = torch.randint(-127, 128, (len(columns), B, B)).to(torch.int8)
    starts = torch.arange(rows_of_blocks + 1, dtype=torch.int32) * kept
    with interpreter.counting() as traffic:
        block_sparse_matmul(x, blocks, columns, starts, block_m=32)
    return traffic.read if interpreter.interpreted() else 2 * rows_of_blocks * kept * (2 * B * B + 4)


with interpreter.counting() as dense_traffic:
    int8_matmul(x, torch.zeros(rows_of_blocks * B, columns_of_blocks * B, dtype=torch.int8), 32, 32, 32)
shares = (0.125, 0.25, 0.5, 0.75, 1.0)
counted = [sparse_bytes(share) / 1024 for share in shares]
whole = dense_traffic.read / 1024 if interpreter.interpreted() else 2 * rows_of_blocks * columns_of_blocks * 2 * B * B / 1024
plots.curves(
    shares, {"your sparse kernel": counted, "your dense kernel": [whole] * len(shares)}, "share of blocks kept", "KiB read"
)

# %% [markdown]
# *What is seen: a straight line from the lower left: half the blocks, half the bytes. With all blocks kept it is very slightly above the dense
# kernel's dashed line.*
#
# **Question.** Where does this small difference come from?
#
# <details><summary>Answer</summary>
#
# The kernel must read where its blocks are: two pointers for each program and one column index for each block. With blocks of 32 × 32 that is
# almost nothing; with blocks of 1 × 1, single zeros, it would be four bytes for each byte of weight.
#
# </details>
#
# ## Part 4: the code that the chip will run
#
# Triton turns a kernel into [PTX](../glossary.md#ptx), a readable assembly language that all NVIDIA GPUs share; the program `ptxas` turns
# this into the machine code of one generation. No GPU is needed for either, so we can read the code of your kernels for chips that are not here.
#
# ### Exercise 7: read the PTX
# *Difficulty 2 of 5, 10 minutes, 2 points*
#
# **Aim:** find in the text of a compiled kernel which instruction multiplies matrices, how often it occurs, and how many registers are declared.
#
# A line has one instruction; its name comes first, or after a predicate such as `@%p1`. Comments run from `//` to the end of the line and
# do not count. In the code of this unit [tensor cores](../glossary.md#tensor-core) are reached by names that begin with `mma.` or with
# `wgmma.mma_async`. (PTX has others, `wmma.mma` for older code and `tcgen05.mma` for newer chips. Triton uses neither for the chips here.)
# Registers are declared by lines such as `.reg .b32 %r<423>;`: 423 of them. Return a dict:
#
# - `"multiply"`: the whole name of the first such instruction, `""` if there is none;
# - `"times"`: how many such instructions the text has;
# - `"registers"`: the sum over all `.reg` lines, predicates (`.pred`) included.
#
# `re.sub(pattern, "", text)` removes, `re.findall(pattern, text, re.M)` gives all matches of a group; with `re.M`, `^` is the start of a line.
#
# **Predict:** `mma.sync.aligned.m16n8k32...s32.s8.s8.s32` multiplies 16 × 32 by 32 × 8 codes. How many products is that in one instruction?
#
# <details><summary>Answer</summary>
#
# 16 · 8 · 32 = 4,096, shared by the 32 threads of a warp.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "read_ptx", "locked": false, "schema_version": 3, "solution": true, "task": false}
def read_ptx(ptx: str) -> dict[str, str | int]:
    """Which instruction multiplies matrices, how often it occurs, and how many registers are declared.

    >>> text = '''.reg .pred %p<3>;
    ... .reg .b32 %r<20>;
    ... // mma.sync.none would be a comment
    ... @%p1 mma.sync.aligned.m16n8k32.s32 {%r1}, {%r2}, {%r3}, {%r1};
    ... mul.lo.s32 %r1, %r2, %r3;'''
    >>> read_ptx(text)
    {'multiply': 'mma.sync.aligned.m16n8k32.s32', 'times': 1, 'registers': 23}
    """
    ### BEGIN SOLUTION
    text = re.sub(r"//.*", "", ptx)
    names = re.findall(r"^\s*(?:@!?%\w+\s+)?((?:mma|wgmma\.mma_async)\.[\w.]+)", text, re.M)
    registers = sum(int(number) for number in re.findall(r"\.reg\s+\.\w+\s+%\w+<(\d+)>", text))
    return {"multiply": names[0] if names else "", "times": len(names), "registers": registers}
    ### END SOLUTION

# %%
checks.try_examples(read_ptx)

# %% nbgrader={"grade": true, "grade_id": "test_read_ptx", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.gpu_kernels.read_ptx(read_ptx)
### BEGIN HIDDEN TESTS
checks.gpu_kernels.read_ptx(read_ptx, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Now *your* `int8_matmul_kernel`, compiled for three generations. The T4 is the GPU that Colab offers for free.

# %% tags=["nbval-ignore-output"]
TYPES = {"x_ptr": "*i8", "w_ptr": "*i8", "out_ptr": "*i32", "M": "i32", "N": "i32", "K": "i32"}
for chip, name in CHIPS.items():
    made = compile_ahead(int8_matmul_kernel, TYPES, {"BM": 64, "BN": 32, "BK": 32}, chip)
    found = read_ptx(made.ptx)
    print(f"sm_{chip} ({name}):", made.error or f"{found['times']} x {found['multiply'] or 'no matrix instruction'}")
    if not made.error:
        print(f"    {found['registers']} registers in PTX; ptxas gives a thread {made.registers} and spills {made.spilled} bytes")

# %% [markdown]
# If a chip failed above, that is the compiler's answer and no mistake of yours: Triton does not compile int8 products for GPUs before Ampere.
# There is an exact workaround: multiply the codes as 16-bit floats with 32-bit sums. A code fits float16 exactly, and sums are exact up to
# $2^{24}$, that is for K up to 1,024 products of 128 · 128. Does it use the tensor cores? If the line below names no matrix instruction, the
# products are single `fma`s.

# %% tags=["nbval-ignore-output"]
@triton.jit
def half_matmul_kernel(x_ptr, w_ptr, out_ptr, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    """As exercise 3, for K up to 1024, by float16 products: for chips without int8 ones."""
    m = tl.program_id(0) * BM + tl.arange(0, BM)[:, None]
    n = tl.program_id(1) * BN + tl.arange(0, BN)[None, :]
    total = tl.zeros((BM, BN), tl.float32)
    for start in range(0, K, BK):
        k = start + tl.arange(0, BK)
        x = tl.load(x_ptr + m * K + k[None, :], mask=(m < M) & (k[None, :] < K), other=0).to(tl.float16)
        w = tl.load(w_ptr + n * K + k[:, None], mask=(n < N) & (k[:, None] < K), other=0).to(tl.float16)
        total = tl.dot(x, w, total)
    tl.store(out_ptr + m * N + n, total.to(tl.int32), mask=(m < M) & (n < N))


made = compile_ahead(half_matmul_kernel, TYPES, {"BM": 64, "BN": 32, "BK": 32}, 75)
found = read_ptx(made.ptx)
single = len(re.findall(r"\bfma\.rn\.f32", made.ptx))
print(f"sm_75 (T4): {made.error or found['multiply'] or 'no matrix instruction'}; {single} fma instructions")

# %% [markdown]
# Back to the registers, and to the question in Part 2: how large may a tile be? Your kernel for the A100, with growing tiles. A thread can have
# 255 registers; what does not fit is *spilled* to memory and read back.

# %% tags=["nbval-ignore-output"]
registers, spilled = {}, {}
for tile in (16, 32, 64, 128):
    made = compile_ahead(int8_matmul_kernel, TYPES, {"BM": tile, "BN": tile, "BK": 32}, 80)
    registers[f"{tile} x {tile}"], spilled[f"{tile} x {tile}"] = made.registers or 0, made.spilled or 0
plots.bars({"registers a thread": registers, "bytes spilled a thread": spilled}, "count", "A100, 128 threads a program", line=255)

# %% [markdown]
# *What is seen: two bars for each size of tile, and a dashed line at the 255 registers that a thread can have. The registers grow with the tile until
# they reach the line; from there on bytes are spilled.*
#
# **Question.** The largest tile read the fewest bytes in Part 2. What does this figure add?
#
# <details><summary>Answer</summary>
#
# Spilled sums are read and written in every step of k: the memory traffic that the large tile saved is caused again by the spills. More threads
# for a program (`num_warps`) share the sums, which raises the limit: then a larger tile may be faster again. Tiles are chosen by measuring.
#
# </details>
#
# ## Where a GPU would be slower
#
# No GPU is needed to see when it can hardly be faster. Its data sheet gives a lower bound for the time of any kernel: the multiplications over
# the peak, or the bytes over the bandwidth, whichever takes longer. Launching a kernel takes some microseconds more; 5 are assumed here, the one
# number that is neither measured nor from a data sheet. If the data are in the computer's memory, they must be copied to the GPU first, and the
# results back: two more launches. The processor is measured here and now, in float32 on one thread.

# %% tags=["nbval-ignore-output"]
# NVIDIA: int8 operations a second without sparsity, bytes a second (T4: 256 bits at 10 Gbit/s; H100: SXM, half of its 3958 TOPS with sparsity)
SHEETS = {"T4": (130e12, 320e9), "H100": (1979e12, 3350e9)}
CROSSING = 16 * 8e9 * 128 / 130 / 8  # bytes a second: 16 lanes of PCIe 3.0, 8 GT/s each, 128 of 130 bits are data
START = 5e-6  # seconds to launch a kernel: an assumption


def gpu_bound(m: int, n: int, k: int, chip: str, crossing: bool = False) -> float:
    """Lower bound in seconds for an int8 layer, from data sheet and launch; `crossing` adds copies of rows and results."""
    operations, bandwidth = SHEETS[chip]
    work = max(2 * m * n * k / operations, (m * k + n * k + 4 * m * n) / bandwidth)
    return START + work + (2 * START + (m * k + 4 * m * n) / CROSSING) * crossing  # two copies, each launched too


batches = (1, 4, 16, 64, 256, 1024)
weight = torch.randn(64, 864)
inputs = [torch.randn(m, 864) for m in batches]
here = [1e6 * measure.latency(lambda x=x: x @ weight.T, repeats=15, warmup=3)[1] for x in inputs]
bounds = {f"{chip} at best": [1e6 * gpu_bound(m, 64, 864, chip) for m in batches] for chip in ("T4", "H100")}
across = {"T4, data brought there": [1e6 * gpu_bound(m, 64, 864, "T4", crossing=True) for m in batches]}
plots.curves(batches, {"this processor": here, **bounds, **across}, "rows (images in a batch)", "microseconds", logarithmic="xy")

# %% [markdown]
# *What is seen: the times of one small layer (864 inputs, 64 outputs) over the batch, on logarithmic axes. The bounds of the GPUs are flat for small
# batches, at the cost of a launch (three launches where data are copied), and the processor's measured line rises. Where the lines cross depends
# on your machine.*
#
# ## What the numbers say
#
# - **Reading.** The bytes that a product reads fall with the side of its tiles, until there are not enough registers. That was counted, not
#   estimated.
# - **Multiplying.** From Ampere on one instruction multiplies tiles of int8 codes into int32. The T4 has such units too. The output above says
#   whether the compiler of this machine uses them; where it does not, the result can still be exact, but the products are computed one by one.
# - **Where a GPU does not help.** Small layers: launching a kernel takes longer than the layer. Single rows: most of a tile is masked. Data in
#   the computer's memory: copying them takes longer than the product. Single zeros, which no tile can skip.
# - **What was not measured.** Times on a GPU, unless your machine has one. The interpreter shows whether a kernel is correct and what it reads,
#   never how fast it is: it has no cache, and its programs do not run at the same time, so some race conditions are not found.

# %% [markdown]
# ## In your own words
#
# Write a paragraph of about 120 words on the figure of bytes read and tile size: which tile would you take, and why not the
# largest? In a class a person marks it with three points: one for two numbers of the figure, *as they came out on your
# machine*, each with how sure it is; one for a reason that rests on something you computed in this unit; and one for what the
# figure cannot show, and how you would find out.

# %% [markdown] nbgrader={"grade": true, "grade_id": "explain_traffic", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# Two counts, which are exact here, so they have no spread; and the share of masked lanes. A larger tile reads each number
# less often, as my formula says, but needs more registers and leaves fewer programs for the chip. Nothing here was timed on a
# GPU: the figure cannot show which tile is fastest, a run with several tiles could.
# ### END SOLUTION

# %% [markdown]
# ## Five questions

# %% jupyter={"source_hidden": true} tags=["widget", "nbval-ignore-output"]
widgets.quiz(
    [
        widgets.Question(
            "A kernel is right for n = 1024 and sometimes wrong for n = 1000. What is the first suspect?",
            ("the order of the programs", "a mask that is missing", "the rounding of float32"),
            1,
            "1000 is no multiple of the block: the last block reads or writes beyond the end.",
        ),
        widgets.Question(
            "Why does a masked load that feeds a maximum or a sum need other=?",
            (
                "Masked lanes are included and would otherwise have undefined values",
                "Without it the load is slower",
                "Because stores need the same value",
            ),
            0,
            "Choose the value that changes nothing: 0 for a sum or a largest magnitude.",
        ),
        widgets.Question(
            "Tiles with twice the side, both ways. What happens to the bytes read by a product?",
            ("they double", "they stay", "they halve"),
            2,
            "Each number is read once for each tile across it, and there are half as many.",
        ),
        widgets.Question(
            "What does fusing scale, bias and relu into the product save?",
            ("multiplications", "writing and reading the result in memory", "registers"),
            1,
            "The arithmetic is the same; the result no longer goes to memory and back between the steps.",
        ),
        widgets.Question(
            "80 % of the weights are zero, at random places. Why is the block-sparse kernel no faster?",
            (
                "Hardly any block of 32 x 32 is all zeros",
                "Zeros take longer to multiply",
                "int32 sums cannot hold zeros",
            ),
            0,
            "A block can be skipped only when all its 1,024 weights are zero.",
        ),
    ]
)

# %% [markdown]
# ## Papers
#
# - Tillet, Kung, Cox 2019, *Triton: An Intermediate Language and Compiler for Tiled Neural Network Computations*: programs on tiles.
# - Dettmers et al. 2022, *LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale*: exercises 2 to 4, and what outliers do.
# - Frantar et al. 2022, *GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers*: the 4-bit weights of exercise 5.
# - Mishra et al. 2021, *Accelerating Sparse Deep Neural Networks*: 2:4 sparsity, the kind of zeros that tensor cores skip.
# - Gray, Radford, Kingma 2017, *GPU Kernels for Block-Sparse Weights*: exercise 6.
# - Williams, Waterman, Patterson 2009, *Roofline: An Insightful Visual Performance Model for Multicore Architectures*: the bound of the last figure.
#
# ## If you want more
#
# 1. **Tiles that are not square.** Count `bytes_read` for 16 × 64 and 32 × 32: the same number of sums. Which reads less, and why?
# 2. **Grouped order.** Renumber the programs of `int8_matmul_kernel` as in the figure of the grouped order. Does the check still pass? Does the
#    count change?
# 3. **4 bits without unpacking first.** Put exercise 5 in front of the product of exercise 3, inside one kernel, and count the bytes again.
# 4. **Spill less.** Compile with `warps=8` and draw the registers again. From which tile on does it spill now?
# 5. **A real GPU.** Open the notebook where there is one, and time `int8_matmul` against `torch._int_mm` for five tile sizes.
#
# Words of this unit in the glossary: [program](../glossary.md#program), [mask](../glossary.md#mask), [tile](../glossary.md#tile),
# [epilogue](../glossary.md#epilogue), [kernel fusion](../glossary.md#kernel-fusion), [tensor core](../glossary.md#tensor-core),
# [PTX](../glossary.md#ptx), [register](../glossary.md#register), [accumulator](../glossary.md#accumulator).
