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
# # 05 CPU kernels: the product that the network runs on
#
# Unit 02 turned a network into int8 codes. Is it faster then? That depends on one function: the product of two matrices
# of integers. In this unit you write it yourself, in Python, from a simple correct dot product to a kernel that
# uses the widest instructions of your processor. Then you store weights in 4 bits, and leave most of them out.
#
# **The question.** 256 rows of 1024 codes are multiplied by a layer of 1024 × 1024 weights. How many times faster than three
# simple loops can you make it, *compiled by the same compiler on this machine*? And which share of the machine's peak speed
# is that? Both numbers are measured at the end, by code you can open.
#
# **You need** Python and a little PyTorch (tensors, shapes). Unit 02 explains where int8 codes come from; no unit has to come
# first. No C, no assembly: Numba compiles Python functions for your processor.
#
# **How it works.** There are twelve exercises; the unit takes about 145 minutes. Replace `raise NotImplementedError`
# with your lines; the course's own answers have at most six. The cell right below tries the examples of the docstring.
# The next one checks your function on many more calls and says in a sentence what is wrong. Run both as often as you
# like. A mistake costs only its own exercise. Most figures use *your* functions, so they show your work; where the
# library's kernels are shown, the text says so. In a terminal, `posttrain-lab check 05` shows the points of the whole
# notebook. The [glossary](../glossary.md) explains the terms of the field.

# %% tags=["setup"]

import numpy as np
import torch
from jaxtyping import Float, Int, Int8, Int32, UInt8
from torch import Tensor
from torch.nn import functional as F

from posttrain_lab import checks, kernels, measure, widgets
from posttrain_lab.kernels.cpu.notebook import add_block, in_tiles, on_tensors
from posttrain_lab.kernels.cpu.roofline_probe import int8_peak, read_bandwidth
from posttrain_lab.kernels.cpu.simd import LANES, broadcast_pair, load_widen, multiply_add_pairs
from posttrain_lab.plots import cpu_kernels as plots

torch.set_num_threads(1)  # one thread: the limits of one core are what we study
torch.manual_seed(0)
M, K, N = 256, 1024, 1024  # rows of codes, inputs, outputs
codes = torch.randint(-128, 128, (M, K)).to(torch.int8)
weights = torch.randint(-127, 128, (N, K)).to(torch.int8)


def operations_per_second(way, operations: float = 2.0 * M * K * N, repeats: int = 7) -> float:
    """The median of some calls; the first call compiles and is not measured."""
    return operations / measure.latency(way, repeats=repeats, warmup=2)[1]

# %% [markdown]
# ## Where we start
#
# The definition of the product as a program: three loops. `@on_tensors` lets Numba compile the function to machine code when
# it is first called. Tensors are passed to it as numpy arrays, and the array that it returns is converted back to a tensor.

# %% tags=["nbval-ignore-output"]
@on_tensors
def three_loops(a, b):
    out = np.zeros((a.shape[0], b.shape[1]), np.int32)
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            for k in range(a.shape[1]):
                out[i, j] += np.int32(a[i, k]) * np.int32(b[k, j])
    return out


columns = weights.T.contiguous()  # [inputs, outputs]
speed = {"three loops": operations_per_second(lambda: three_loops(codes, columns), repeats=3)}
print(f"three loops: {speed['three loops'] / 1e9:.2g} GOPS (1e9 operations a second)")

# %% [markdown]
# **Predict.** All versions below give exactly the same numbers.

# %% tags=["widget", "nbval-ignore-output"]
widgets.predict(
    "How many times faster than these three loops will your best version be, on one core?",
    ["about 3 times", "about 20 times", "more than 50 times"],
    "The section 'Your versions on the roof' measures it.",
)

# %% [markdown]
# ## Part 1: how fast could this machine be at best?
#
# ### Exercise 1: arithmetic intensity
# *Difficulty 1 of 5, 8 minutes, 2 points*
#
# **Aim:** count how many operations a product does for each byte that it moves.
#
# A core does two things at the same time: it computes, and it waits for numbers from memory. Which of the two is the limit
# depends on the [arithmetic intensity](../glossary.md#arithmetic-intensity) of the task (Williams, Waterman, Patterson
# 2009), operations per byte. A product of $a$ `[m, k]` and $b$ `[k, n]` needs $m k n$ multiplications and as many additions.
# At best, every input is read once and every result is written once. Results are sums of 4 bytes each, for any width of the
# inputs:
#
# $$intensity = \frac{2 \, m \, k \, n}{bytes \cdot (m k + k n) + 4 \, m n}$$
#
# The result is a Python float. `bytes_per_element` is 4 for float32, 1 for int8, 0.5 for 4-bit codes.
#
# **Predict:** a single row, m = 1, and a large layer of int8 weights. About how many operations are there for each byte?
#
# <details><summary>Answer</summary>
#
# About two: every weight is read, used in one multiplication and one addition, and never needed again. With 256 rows each
# weight is used 256 times.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "arithmetic_intensity", "locked": false, "schema_version": 3, "solution": true, "task": false}
def arithmetic_intensity(m: int, k: int, n: int, bytes_per_element: float) -> float:
    """Operations per byte of the product of a [m, k] and b [k, n], results of 4 bytes.

    2 * m * k * n operations; bytes_per_element for each of the m * k + k * n inputs, 4 for each of the m * n results

    >>> arithmetic_intensity(2, 8, 4, bytes_per_element=1)  # 128 operations, 48 bytes in, 32 bytes out
    1.6
    """
    ### BEGIN SOLUTION
    operations = 2 * m * k * n
    moved = bytes_per_element * (m * k + k * n) + 4 * m * n
    return operations / moved
    ### END SOLUTION

# %%
checks.try_examples(arithmetic_intensity)

# %% nbgrader={"grade": true, "grade_id": "test_arithmetic_intensity", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.cpu_kernels.arithmetic_intensity(arithmetic_intensity)
### BEGIN HIDDEN TESTS
checks.cpu_kernels.arithmetic_intensity(arithmetic_intensity, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 2: the roofline
# *Difficulty 1 of 5, 5 minutes, 1 point*
#
# **Aim:** compute how fast a task can be at best, from its intensity and two numbers of the machine.
#
# $$attainable = \min(peak, \; intensity \cdot bandwidth)$$
#
# peak: operations a second; bandwidth: bytes a second; the result: operations a second, a float. As a function of the intensity
# this is a slope that ends in a flat [roof](../glossary.md#roofline). The point where the two meet is the *ridge point*.
#
# **Predict:** peak 500 GOPS, bandwidth 20 GB/s. From which intensity on is memory no longer the limit?
#
# <details><summary>Answer</summary>
#
# 500 / 20 = 25 operations per byte. A product with one row (about 2) is far to the left of it: on such a task even a perfect
# kernel reaches less than a tenth of the peak.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "attainable", "locked": false, "schema_version": 3, "solution": true, "task": false}
def attainable(intensity: float, peak: float, bandwidth: float) -> float:
    """The roofline: operations a second that a task of this intensity can reach, min(peak, intensity * bandwidth).

    >>> attainable(2.0, peak=100.0, bandwidth=20.0), attainable(8.0, peak=100.0, bandwidth=20.0)
    (40.0, 100.0)
    """
    ### BEGIN SOLUTION
    return min(peak, intensity * bandwidth)
    ### END SOLUTION

# %%
checks.try_examples(attainable)

# %% nbgrader={"grade": true, "grade_id": "test_attainable", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks.cpu_kernels.attainable(attainable)
### BEGIN HIDDEN TESTS
checks.cpu_kernels.attainable(attainable, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Now the numbers of this machine, measured: the peak of products of 16-bit pairs (the instruction you will use), the peak of
# the best integer multiplication that this processor has, and the bandwidth of reading from memory.

# %% tags=["nbval-ignore-output"]
peaks = {"pairs of 16 bits": int8_peak(pairs=True), "best int8 instruction": int8_peak()}
bandwidth = read_bandwidth()
print(", ".join(f"{name}: {peak / 1e9:.0f} GOPS" for name, peak in peaks.items()), end=", ")
print(f"memory: {bandwidth / 1e9:.1f} GB/s")
scale = [2.0 ** (e / 4) for e in range(-8, 41)]
roofs = {name: [attainable(i, peak, bandwidth) for i in scale] for name, peak in peaks.items()}

# %% [markdown]
# Move the number of rows, and the width of the inputs. The point is the best that a product of that shape could reach.

# %% tags=["widget", "nbval-ignore-output"]
def draw_shape(rows: int, width: float):
    intensity = arithmetic_intensity(2**rows, K, N, width)
    best = attainable(intensity, peaks["best int8 instruction"], bandwidth)
    title = f"{2**rows} rows x {K} x {N}: intensity {intensity:.3g}, at best {best / 1e9:.3g} GOPS"
    return plots.roofline(scale, roofs, {"this product": [(intensity, best)]}, title)


widgets.slider_figure(
    draw_shape,
    rows=widgets.Slider(0, 10, start=0, step=1, label="rows, 2 to the"),
    width=widgets.Choice((0.5, 1, 2, 4), start=1, label="bytes an input"),
)

# %% [markdown]
# *What is seen: both axes are logarithmic. The roofs rise with slope one and end in flat lines, one for each kind of
# multiplication. With more rows the point moves up the slope, and then along the roof.*
#
# **Question.** With one row, which change moves the point further up: half the bytes per input, or twice the peak?
#
# <details><summary>Answer</summary>
#
# Half the bytes: it nearly doubles the intensity, and on the slope speed is intensity times bandwidth. Twice the peak only
# raises the flat part, far to the right. That is why weights of language models, which process one token at a time, are
# stored in 4 bits.
#
# </details>
#
# ## Part 2: exact integers
#
# ### Exercise 3: a dot product of int8 codes
# *Difficulty 1 of 5, 8 minutes, 2 points*
#
# **Aim:** sum products of int8 numbers exactly, without overflow.
#
# $$dot = \sum_k a_k \, b_k$$
#
# a and b are `int8 [k]`; the result is a plain Python int. Products of two int8 numbers need up to 16 bits, and sums need
# more: **widen first, then multiply**. Floats are not needed, and float32 sums can be wrong beyond $2^{24}$.
#
# **Predict:** what is `torch.tensor([100], dtype=torch.int8) * 2`? How many products of 100 and 100 fit an int16 sum?
#
# <details><summary>Answer</summary>
#
# −56: 200 does not fit int8 and wraps around. The largest int16 is 32,767, so three products of 10,000 fit and the fourth does
# not.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "int8_dot", "locked": false, "schema_version": 3, "solution": true, "task": false}
def int8_dot(a: Int8[Tensor, " k"], b: Int8[Tensor, " k"]) -> int:
    """The exact sum of a[k] * b[k], a plain int; widened to 32 bits before multiplying.

    >>> int8_dot(torch.tensor([100, -128, 3], dtype=torch.int8), torch.tensor([2, -128, 1], dtype=torch.int8))
    16587
    """
    ### BEGIN SOLUTION
    products = a.to(torch.int32) * b.to(torch.int32)
    return products.sum().item()
    ### END SOLUTION

# %%
checks.try_examples(int8_dot)

# %% nbgrader={"grade": true, "grade_id": "test_int8_dot", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.cpu_kernels.int8_dot(int8_dot)
### BEGIN HIDDEN TESTS
checks.cpu_kernels.int8_dot(int8_dot, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
lengths = list(range(1, 13))
hundreds = torch.full((12,), 100, dtype=torch.int8)
exact = [int8_dot(hundreds[:length], hundreds[:length]) for length in lengths]


def wrapped(total: int, bits: int) -> int:
    return (total + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


plots.accumulators(lengths, {"your int8_dot": exact, "int16": [wrapped(t, 16) for t in exact], "int8": [wrapped(t, 8) for t in exact]})

# %% [markdown]
# *What is seen: your sums rise in a straight line. Those of a 16-bit accumulator follow it for three steps and then jump
# down; those of an 8-bit one stay near zero from the first product on.*
#
# **Question.** Many chips have an instruction that multiplies unsigned by signed bytes, adds neighbouring products and
# *saturates* at 16 bits. For which inputs is its result wrong?
#
# <details><summary>Answer</summary>
#
# The sum of two products of up to 255 · 127 = 32,385 each does not fit 16 bits. With two large codes side by side the sum
# is clamped to 32,767 (or to −32,768). Libraries avoid it by using only 7 bits on such machines. Products of *pairs of int16 into
# int32*, which you will use, never saturate for int8 values. The end of the unit explains how bytes can be multiplied exactly.
#
# </details>
#
# ## Part 3: the memory layout
#
# ### Exercise 4: pack the weights
# *Difficulty 3 of 5, 12 minutes, 3 points*
#
# **Aim:** store the weights in the order in which the kernel will read them.
#
# The instruction of exercise 7 takes *pairs*: for many outputs at once it multiplies two neighbouring inputs by two
# weights and adds both products. So the two weights of a pair have to be next to each other, and after them the pair of the
# next output. Sixteen outputs form a [panel](../glossary.md#packing):
#
# $$panels[p, s, c, i] = w[16 p + c, \; 2 s + i] \qquad \text{shape } [\lceil n/16 \rceil, \lceil k/2 \rceil, 16, 2]$$
#
# w is `int8 [n, k]`; the edges are padded with 0. The result is contiguous. `F.pad(w, (0, right, 0, below))` pads with zeros,
# and in Python `-n % 16` is how much must be added to n to reach a multiple of 16. Then reshape to `[panels, 16, pairs, 2]`,
# and move an axis.
#
# **Predict:** which weight comes third in memory, `w[0, 2]` or `w[1, 0]`?
#
# <details><summary>Answer</summary>
#
# `w[1, 0]`: after the pair of output 0 comes the pair of output 1. In rows it would have been `w[0, 2]`.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "pack_weights", "locked": false, "schema_version": 3, "solution": true, "task": false}
def pack_weights(w: Int8[Tensor, "n k"]) -> Int8[Tensor, "panels pairs 16 2"]:
    """Rows to panels of 16 outputs: panels[p, s, c, i] = w[16 p + c, 2 s + i], padded with 0; contiguous.

    >>> panels = pack_weights(torch.tensor([[1, 2, 3], [4, 5, 6]], dtype=torch.int8))
    >>> panels.shape, panels.flatten()[:4], panels[0, 1, :2]
    (torch.Size([1, 2, 16, 2]), tensor([1, 2, 4, 5], dtype=torch.int8), tensor([[3, 0],
            [6, 0]], dtype=torch.int8))
    """
    ### BEGIN SOLUTION
    n, k = w.shape
    padded = F.pad(w, (0, k % 2, 0, -n % 16))
    rows = padded.reshape(len(padded) // 16, 16, padded.shape[1] // 2, 2)
    return rows.transpose(1, 2).contiguous()
    ### END SOLUTION

# %%
checks.try_examples(pack_weights)

# %% nbgrader={"grade": true, "grade_id": "test_pack_weights", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.cpu_kernels.pack_weights(pack_weights)
### BEGIN HIDDEN TESTS
checks.cpu_kernels.pack_weights(pack_weights, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Your function as a figure: each cell is a weight, its number is the index in memory where your `pack_weights` puts it.

# %% tags=["widget", "nbval-ignore-output"]
def draw_places(n: int, k: int):
    numbered = torch.arange(1, n * k + 1).reshape(n, k)  # two int8 digits of base 100 identify each weight
    high, low = (pack_weights(part.to(torch.int8)).flatten().long() for part in (numbered // 100, numbered % 100))
    found = 100 * high + low
    places = torch.zeros(n * k + 1, dtype=torch.long)
    places[found] = torch.arange(len(found))
    return plots.memory_order(places[1:].reshape(n, k), 16)


widgets.slider_figure(
    draw_places,
    n=widgets.Slider(1, 33, start=20, step=1, label="outputs"),
    k=widgets.Slider(1, 12, start=7, step=1, label="inputs"),
)

# %% [markdown]
# *What is seen: the indices go down the first two columns in pairs: 0 1, then below 2 3, for sixteen outputs; then they
# continue at the top of the next two columns. Below a thick line the next panel begins.*
#
# **Question.** With an odd number of inputs some indices are skipped. Which, and why can the kernel not just leave them
# out?
#
# <details><summary>Answer</summary>
#
# The second element of each last pair: it is a padding zero. The kernel reads whole vectors of pairs; without the zero all
# following weights would be shifted. A zero costs a multiplication and changes no sum.
#
# </details>
#
# ### Exercise 5: unpack the weights
# *Difficulty 2 of 5, 6 minutes, 1 point*
#
# **Aim:** get the weights back from their panels.
#
# panels is `int8 [panels, pairs, 16, 2]`, the result `int8 [n, k]`. What lies beyond n and k is padding (a library may put
# other numbers than 0 there) and must not be in the result. The result may be a view of the panels.
#
# **Predict:** why does the function need n and k?
#
# <details><summary>Answer</summary>
#
# The shape of the panels only gives the sizes rounded up: 17 to 32 outputs all make two panels.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "unpack_weights", "locked": false, "schema_version": 3, "solution": true, "task": false}
def unpack_weights(panels: Int8[Tensor, "panels pairs 16 2"], n: int, k: int) -> Int8[Tensor, "n k"]:
    """The inverse of pack_weights: w[16 p + c, 2 s + i] = panels[p, s, c, i] for the n outputs and k inputs that exist.

    >>> unpack_weights(pack_weights(torch.tensor([[1, 2, 3], [4, 5, 6]], dtype=torch.int8)), n=2, k=3)
    tensor([[1, 2, 3],
            [4, 5, 6]], dtype=torch.int8)
    """
    ### BEGIN SOLUTION
    rows = panels.transpose(1, 2).reshape(16 * panels.shape[0], 2 * panels.shape[1])
    return rows[:n, :k].contiguous()
    ### END SOLUTION

# %%
checks.try_examples(unpack_weights)

# %% nbgrader={"grade": true, "grade_id": "test_unpack_weights", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks.cpu_kernels.unpack_weights(unpack_weights)
### BEGIN HIDDEN TESTS
checks.cpu_kernels.unpack_weights(unpack_weights, hidden=True)
### END HIDDEN TESTS

# %%
start = torch.equal(unpack_weights(pack_weights(weights), N, K), weights)
odd = torch.equal(unpack_weights(pack_weights(weights[:999, :333]), 999, 333), weights[:999, :333])
print(f"{N} x {K} weights come back: {start}; 999 x 333 of them: {odd}")

# %% [markdown]
# ## Part 4: faster, step by step
#
# ### Exercise 6: blocks
# *Difficulty 3 of 5, 14 minutes, 3 points*
#
# **Aim:** cut the product into [tiles](../glossary.md#tiling) that fit into a cache.
#
# The three loops read a whole column of b for each result. The elements of a column are far apart in memory, and when the next
# result needs it again, it may no longer be in the first-level cache. In a block of `tile` values of each index i, j and k, every
# element is used many times while it is in the cache.
#
# `add_block(out, a, b, first, end)` is given. It does `out[i, j] += a[i, k] * b[k, j]` for all indices from `first = (i, j, k)`
# to `end = (i, j, k)` (exclusive), and raises an `IndexError` when `end` is out of range. You write the loops around it: every
# block once, smaller ones at the edges, with `tile` as it is given. Floats are not accepted. a is `int8 [m, k]`, b `int8 [k, n]`, the result `int32 [m, n]`. No
# product of this unit need be contiguous. Numba compiles numpy
# calls too: `np.zeros((m, n), np.int32)`.
#
# **Predict:** m = k = n = 100 and tile = 32. How many blocks are there?
#
# <details><summary>Answer</summary>
#
# Four in each direction (32, 32, 32 and 4), so 64.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "tile_matmul", "locked": false, "schema_version": 3, "solution": true, "task": false}
@on_tensors
def tile_matmul(a: Int8[Tensor, "m k"], b: Int8[Tensor, "k n"], tile: int) -> Int32[Tensor, "m n"]:
    """The exact product a @ b, block by block: for all i, j, p in steps of `tile`, add_block from (i, j, p) to its end.

    >>> a, b = torch.full((3, 5), -128, dtype=torch.int8), torch.full((5, 1), -128, dtype=torch.int8)
    >>> tile_matmul(a, b, 2)
    tensor([[81920],
            [81920],
            [81920]], dtype=torch.int32)
    """
    (m, k), n = a.shape, b.shape[1]
    ### BEGIN SOLUTION
    out = np.zeros((m, n), np.int32)
    for i in range(0, m, tile):
        for j in range(0, n, tile):
            for p in range(0, k, tile):
                add_block(out, a, b, (i, j, p), (min(i + tile, m), min(j + tile, n), min(p + tile, k)))
    return out
    ### END SOLUTION

# %%
checks.try_examples(tile_matmul)

# %% nbgrader={"grade": true, "grade_id": "test_tile_matmul", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.cpu_kernels.tile_matmul(tile_matmul)
### BEGIN HIDDEN TESTS
checks.cpu_kernels.tile_matmul(tile_matmul, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
tiles = (8, 16, 32, 64, 128, 256, 1024)
assert torch.equal(tile_matmul(codes, columns, 64), kernels.int8_matmul(codes, columns))  # equality before time
by_tile = [operations_per_second(lambda t=t: tile_matmul(codes, columns, t), repeats=3) for t in tiles]
speed["your tile_matmul"] = max(by_tile)
print(f"best tile: {tiles[by_tile.index(max(by_tile))]}, {max(by_tile) / speed['three loops']:.0f} times the three loops")
plots.tile_speeds(tiles, {"your tile_matmul": by_tile, "three loops": [speed["three loops"]] * len(tiles)})

# %% [markdown]
# *What is seen: speed over the side of a tile. The three loops are a flat line at the bottom. Your curve begins a little above
# it and rises with the tile. (If it is flat, your blocks do not depend on `tile`.)*
#
# **Question.** Small tiles fit the cache best. Why are they slow here all the same?
#
# <details><summary>Answer</summary>
#
# `add_block` is faster for two reasons: its inner loop runs along rows, so the compiler can multiply many neighbours at once,
# and it uses one element of a for all of them. With a tile of 8 the rows are too short to gain much. The last point is a single
# block of everything. If it is the fastest, these matrices fit into the second-level cache anyway, and the order of the loops
# has brought the whole gain. The level of memory nearest to the arithmetic is the registers, and the next exercise uses them.
#
# </details>
#
# ### Exercise 7: the inner step, in vectors
# *Difficulty 4 of 5, 18 minutes, 4 points*
#
# **Aim:** write the few lines that do nearly all the work, with the functions of `kernels.cpu.simd`.
#
# A [vector register](../glossary.md#simd) holds `LANES` sums of 32 bits. One instruction multiplies pairs of 16-bit numbers
# and adds each two products: exactly what `pack_weights` prepared. On x86 it is `vpmaddwd`, or `vpdpwssd`, which adds the
# result to the old sums as well. Each function stands for an instruction or two:
#
# | function | meaning |
# |---|---|
# | `load_widen(w, p)` | 2 · LANES int8 numbers from `w[p:]`, widened to int16: a pair of weights for LANES outputs |
# | `broadcast_pair(x, r)` | the pair `x[r], x[r + 1]` (int16), repeated LANES times |
# | `multiply_add_pairs(total, a, b)` | `total[l] + a[2l] * b[2l] + a[2l + 1] * b[2l + 1]` for each lane l |
#
# `@in_tiles` builds the loops around your step, as the library's kernels do: the sums a, b, c, d of *four rows* of x
# stay in registers while the step is called for one pair of inputs after another. x and w are flat. The pair of the first
# row is at `x[r]`, that of the next rows at `x[r + row]`, `x[r + 2 * row]`, `x[r + 3 * row]`; the weights are at
# `w[p]`, the same for all four rows. Return the four new sums. The check calls the finished product
# `simd_matmul(x, panels, n)` and looks for the pair multiplication in the compiled code.
#
# **Predict:** why four rows and not one?
#
# <details><summary>Answer</summary>
#
# The weights are loaded and widened once and used four times. And a sum has to wait some cycles for the multiplication before
# it; four independent sums fill that time.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "simd_matmul", "locked": false, "schema_version": 3, "solution": true, "task": false}
@in_tiles
def simd_matmul(a, b, c, d, x, r, row, w, p):
    """One step, four rows, two inputs: a += pair at x[r] times the weights at w[p], b the same for x[r + row], c, d.

    Returns (a, b, c, d). The decorator makes of it simd_matmul(x int8 [m, k], panels, n) -> int32 [m, n].

    >>> x, w = torch.tensor([[1, 2, 3]], dtype=torch.int8), torch.tensor([[10, 0, 1], [0, 1, 0]], dtype=torch.int8)
    >>> simd_matmul(x, pack_weights(w), 2)
    tensor([[13,  2]], dtype=torch.int32)
    """
    ### BEGIN SOLUTION
    pairs = load_widen(w, p)
    a = multiply_add_pairs(a, broadcast_pair(x, r), pairs)
    b = multiply_add_pairs(b, broadcast_pair(x, r + row), pairs)
    c = multiply_add_pairs(c, broadcast_pair(x, r + 2 * row), pairs)
    d = multiply_add_pairs(d, broadcast_pair(x, r + 3 * row), pairs)
    return a, b, c, d
    ### END SOLUTION

# %%
checks.try_examples(simd_matmul)

# %% nbgrader={"grade": true, "grade_id": "test_simd_matmul", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
checks.cpu_kernels.simd_matmul(simd_matmul)
### BEGIN HIDDEN TESTS
checks.cpu_kernels.simd_matmul(simd_matmul, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Equality first, then time. And the machine code of your inner loop: how many multiplications does it contain?

# %% tags=["nbval-ignore-output"]
panels = pack_weights(weights)
product = kernels.int8_matmul(codes, columns)
assert torch.equal(simd_matmul(codes, panels, N), product)
speed["your simd_matmul"] = operations_per_second(lambda: simd_matmul(codes, panels, N))
listing = simd_matmul(codes, panels, N, "assembly")
found = {name: listing.count(name) for name in ("vpmaddwd", "vpdpwssd", "smlal", "vpmulld")}
print(f"{LANES} lanes;", ", ".join(f"{name}: {count}" for name, count in found.items() if count))
lines = [line.split("#")[0].strip() for line in listing.splitlines() if "vpmaddwd" in line or "vpdpwssd" in line]
print("\n".join(lines[:4]))
plots.speeds(speed, f"{M} x {K} x {N}, one thread")

# %% [markdown]
# *What is seen: three dots on a logarithmic axis, each version so far, GOPS at the end. Above it some lines of your kernel in
# machine code: one instruction multiplies two inputs by the weights of all lanes.*
#
# **Question.** The library's kernel for weights known in advance uses on x86 not pairs but groups of four inputs, with
# [VNNI](../glossary.md#vnni) in a single instruction. What must be true of the layout then?
#
# <details><summary>Answer</summary>
#
# Four neighbouring inputs of an output have to lie together: [16][4] in place of [16][2]. One operand of that instruction is
# unsigned, so the library adds 128 to the inputs and subtracts what this adds to every sum (this is called compensation).
#
# </details>
#
# ## Part 5: fewer bytes
#
# With one row at a time, memory is the limit (exercise 1). Then smaller weights make the product faster.
#
# ### Exercise 8: two codes in a byte
# *Difficulty 2 of 5, 8 minutes, 2 points*
#
# **Aim:** pack 4-bit codes, two in a byte.
#
# Codes from −8 to 7 need four bits, a [nibble](../glossary.md#nibble). Byte i of a row holds code 2i in its low nibble (bits
# 0 to 3) and code 2i + 1 in its high one (bits 4 to 7), each in two's complement. If k is odd, the last high nibble is 0.
# codes is `int8 [n, k]`, the result `uint8 [n, ceil(k / 2)]`. The result need not be contiguous. `code & 15` keeps four bits, also of a
# negative number.
#
# $$byte = (low \;\&\; 15) \;|\; ((high \;\&\; 15) \ll 4)$$
#
# **Predict:** which byte do the codes (1, −1) become? And (−1, 1), if you forget `& 15`?
#
# <details><summary>Answer</summary>
#
# 1 + 16 · 15 = 241. Without `& 15` the −1 has ones in all bits, so the byte becomes 255: the other code is lost.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "pack_int4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def pack_int4(codes: Int8[Tensor, "n k"]) -> UInt8[Tensor, "n bytes"]:
    """Codes -8..7 to bytes: code 2i in bits 0-3, code 2i + 1 in bits 4-7, two's complement; 0 where a code is missing.

    >>> pack_int4(torch.tensor([[1, -1, -8]], dtype=torch.int8))
    tensor([[241,   8]], dtype=torch.uint8)
    """
    ### BEGIN SOLUTION
    nibbles = F.pad(codes, (0, codes.shape[1] % 2)).to(torch.int32) & 15
    return (nibbles[:, ::2] | (nibbles[:, 1::2] << 4)).to(torch.uint8)
    ### END SOLUTION

# %%
checks.try_examples(pack_int4)

# %% nbgrader={"grade": true, "grade_id": "test_pack_int4", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.cpu_kernels.pack_int4(pack_int4)
### BEGIN HIDDEN TESTS
checks.cpu_kernels.pack_int4(pack_int4, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 9: unpack signed 4-bit codes
# *Difficulty 3 of 5, 8 minutes, 2 points*
#
# **Aim:** get the signed codes back with shifts only.
#
# Nibbles 8 to 15 stand for −8 to −1. A shift to the right copies the sign bit if the number is *signed*. So shift a nibble to
# the top of its byte, interpret the byte as int8 (`.view(torch.int8)` changes no bit), and shift it down again. packed is
# `uint8 [n, ceil(k / 2)]`, the result `int8 [n, k]`, in the order of the codes. It need not be contiguous.
#
# **Predict:** the byte 241 once more. What is 241 >> 4 as uint8, and what after `.view(torch.int8)`?
#
# <details><summary>Answer</summary>
#
# 15 and −1. The bits 1111 0001 are −15 as int8, and −15 >> 4 is −1: ones are shifted in from the left.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "unpack_int4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def unpack_int4(packed: UInt8[Tensor, "n bytes"], k: int) -> Int8[Tensor, "n k"]:
    """The inverse of pack_int4: k signed codes in each row.

    >>> unpack_int4(torch.tensor([[241, 8]], dtype=torch.uint8), k=3)
    tensor([[ 1, -1, -8]], dtype=torch.int8)
    """
    ### BEGIN SOLUTION
    low = (packed << 4).view(torch.int8) >> 4
    high = packed.view(torch.int8) >> 4
    return torch.stack((low, high), dim=2).flatten(1)[:, :k]
    ### END SOLUTION

# %%
checks.try_examples(unpack_int4)

# %% nbgrader={"grade": true, "grade_id": "test_unpack_int4", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.cpu_kernels.unpack_int4(unpack_int4)
### BEGIN HIDDEN TESTS
checks.cpu_kernels.unpack_int4(unpack_int4, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
every_byte = torch.arange(256).to(torch.uint8)[:, None]
plots.nibbles(unpack_int4(every_byte, 1)[:, 0])

# %% [markdown]
# *What is seen: a saw-tooth. In each group of 16 bytes the low code rises from 0 to 7, falls to −8 and rises to −1.*
#
# Is it faster? One row and a layer of 4096 × 4096 weights, with the library's kernels that unpack in registers.

# %% tags=["nbval-ignore-output"]
size = 4096
one_row, large = torch.randn(1, size), torch.randn(size, size) / 64
int8_weight, int4_weight = kernels.Int8Weight.from_float(large), kernels.Int4Weight.from_float(large)
row_ways = {
    "torch float32": lambda: F.linear(one_row, large),
    "library int8_linear": lambda: kernels.int8_linear(one_row, int8_weight),
    "library int4_linear": lambda: kernels.int4_linear(one_row, int4_weight),
}
row_speed = {name: operations_per_second(way, 2.0 * size * size, repeats=15) for name, way in row_ways.items()}
megabytes = (large.numel() * 4 / 1e6, int8_weight.bytes / 1e6, int4_weight.bytes / 1e6)
print("MB of weights:", ", ".join(f"{name} {mb:.1f}" for name, mb in zip(row_ways, megabytes, strict=True)))
plots.speeds(row_speed, f"one row x {size} x {size}, one thread")

# %% [markdown]
# *What is seen: three dots on a logarithmic axis, speed for a single row. Fewer bytes of weights give more speed, until
# unpacking or the cache is the limit.*
#
# **Question.** Is the gain as large as the ratio of the bytes? Where could the rest be?
#
# <details><summary>Answer</summary>
#
# Compare with the MB printed above. Where the gain is smaller than the ratio, arithmetic (unpacking, scaling each group) has
# become the limit. Where it is larger, the smaller weights fit into the last-level cache, which is faster than memory. Then the
# roofline has a steeper slope.
#
# </details>
#
# ## Part 6: fewer weights
#
# ### Exercise 10: a product with sparse rows
# *Difficulty 3 of 5, 12 minutes, 3 points*
#
# **Aim:** multiply with the weights that are left after pruning, and with no others.
#
# [Compressed sparse rows](../glossary.md#compressed-sparse-rows) store three arrays: `values` (the weights that are not 0, row by
# row), `columns` (the input of each), and `row_pointers`: the values of output o are those from `row_pointers[o]` to
# `row_pointers[o + 1]` (exclusive). A row without weights has two equal pointers.
#
# $$out[o] = \sum_{j = row\_pointers[o]}^{row\_pointers[o + 1] - 1} values[j] \cdot x[columns[j]]$$
#
# values is `float32 [kept]`, columns `int32 [kept]`, row_pointers `int32 [out + 1]`, x `float32 [in, batch]`, the result
# `float32 [out, batch]`. Each `x[columns[j]]` is a whole row of x, so one weight is multiplied by the whole batch. The sparse
# products of torch and scipy are not accepted here.
#
# **Predict:** how many bytes does a stored weight take here, and from which share of zeros on is that fewer than dense?
#
# <details><summary>Answer</summary>
#
# Eight: four for the value and four for its column. If fewer than half of the weights are stored, this is smaller. Whether it
# is *faster* is another question.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "csr_matmul", "locked": false, "schema_version": 3, "solution": true, "task": false}
@on_tensors
def csr_matmul(
    values: Float[Tensor, " kept"], columns: Int[Tensor, " kept"], row_pointers: Int[Tensor, " rows"], x: Float[Tensor, "k batch"]
) -> Float[Tensor, "out batch"]:
    """out[o] = sum of values[j] * x[columns[j]] for j from row_pointers[o] to row_pointers[o + 1]; float32 [out, batch].

    >>> values, columns = torch.tensor([2.0, 3.0, 4.0]), torch.tensor([1, 0, 1], dtype=torch.int32)
    >>> pointers = torch.tensor([0, 1, 1, 3], dtype=torch.int32)  # the second row is empty
    >>> csr_matmul(values, columns, pointers, torch.tensor([[1.0, 10.0], [5.0, 50.0]]))
    tensor([[ 10., 100.],
            [  0.,   0.],
            [ 23., 230.]])
    """
    ### BEGIN SOLUTION
    out = np.zeros((len(row_pointers) - 1, x.shape[1]), np.float32)
    for row in range(len(out)):
        for j in range(row_pointers[row], row_pointers[row + 1]):
            out[row] += values[j] * x[columns[j]]
    return out
    ### END SOLUTION

# %%
checks.try_examples(csr_matmul)

# %% nbgrader={"grade": true, "grade_id": "test_csr_matmul", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.cpu_kernels.csr_matmul(csr_matmul)
### BEGIN HIDDEN TESTS
checks.cpu_kernels.csr_matmul(csr_matmul, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 11: two of four
# *Difficulty 3 of 5, 10 minutes, 2 points*
#
# **Aim:** keep the two largest of each four weights, in a format with a fixed size.
#
# Arbitrary columns are hard for a processor, because it cannot know addresses in advance. [2:4
# sparsity](../glossary.md#n-m-sparsity) (Mishra et al. 2021) allows exactly two weights in each four neighbours along the inputs.
# Then two positions of 2 bits each are enough:
#
# - of each four weights keep the two of largest magnitude, on a tie the earlier one;
# - `values [out, k / 4, 2]`: the kept weights, in the order of their positions (0 to 3);
# - `positions [out, k / 4]`, uint8: first position + 4 · second position.
#
# weight is `float32 [out, k]`; 4 divides k. The results need not be contiguous.
# `argsort(dim=2, descending=True, stable=True)` keeps the earlier of equals first; `gather` selects by index.
#
# **Predict:** what are values and position of the group (0.5, −3, 1, 2)?
#
# <details><summary>Answer</summary>
#
# −3 and 2, at the positions 1 and 3: 1 + 4 · 3 = 13.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "nm_pack", "locked": false, "schema_version": 3, "solution": true, "task": false}
def nm_pack(weight: Float[Tensor, "out k"]) -> tuple[Float[Tensor, "out groups 2"], UInt8[Tensor, "out groups"]]:
    """The two largest magnitudes of each four weights, in order of position, and first position + 4 * second position.

    >>> values, positions = nm_pack(torch.tensor([[0.5, -3.0, 1.0, 2.0]]))
    >>> values, positions
    (tensor([[[-3.,  2.]]]), tensor([[13]], dtype=torch.uint8))
    """
    ### BEGIN SOLUTION
    groups = weight.reshape(len(weight), -1, 4)
    largest = groups.abs().argsort(dim=2, descending=True, stable=True)[:, :, :2]
    places = largest.sort(dim=2).values
    return groups.gather(2, places), (places[:, :, 0] + 4 * places[:, :, 1]).to(torch.uint8)
    ### END SOLUTION

# %%
checks.try_examples(nm_pack)

# %% nbgrader={"grade": true, "grade_id": "test_nm_pack", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.cpu_kernels.nm_pack(nm_pack)
### BEGIN HIDDEN TESTS
checks.cpu_kernels.nm_pack(nm_pack, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 12: multiply two of four
# *Difficulty 3 of 5, 8 minutes, 2 points*
#
# **Aim:** multiply with a 2:4 weight.
#
# Group g of an output belongs to the rows $4g$ to $4g + 3$ of x; its two values are multiplied by two of them:
#
# $$out[o] = \sum_g \big( values[o, g, 0] \cdot x[4g + first] + values[o, g, 1] \cdot x[4g + second] \big)$$
#
# with first = positions % 4 and second = positions // 4. positions is uint8: convert it to `int` before you compute with it.
# x is `float32 [k, batch]`, the result `float32 [out, batch]`.
#
# **Predict:** half of the multiplications are gone. Will it be twice as fast as the dense product?
#
# <details><summary>Answer</summary>
#
# Hardly on a CPU: it has no instruction for it. For each weight its position must be read and an address computed, and the dense
# product is among the best optimized programs that exist. GPUs with sparse tensor cores do it in hardware.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "nm_matmul", "locked": false, "schema_version": 3, "solution": true, "task": false}
@on_tensors
def nm_matmul(
    values: Float[Tensor, "out groups 2"], positions: UInt8[Tensor, "out groups"], x: Float[Tensor, "k batch"]
) -> Float[Tensor, "out batch"]:
    """out[o] = sum over groups g of values[o, g, 0] * x[4 g + positions % 4] + values[o, g, 1] * x[4 g + positions // 4].

    >>> values, positions = torch.tensor([[[-3.0, 2.0]]]), torch.tensor([[13]], dtype=torch.uint8)
    >>> nm_matmul(values, positions, torch.tensor([[1.0], [10.0], [100.0], [1000.0]]))
    tensor([[1970.]])
    """
    ### BEGIN SOLUTION
    out = np.zeros((values.shape[0], x.shape[1]), np.float32)
    for row in range(values.shape[0]):
        for g in range(values.shape[1]):
            first, second = 4 * g + int(positions[row, g]) % 4, 4 * g + int(positions[row, g]) // 4
            out[row] += values[row, g, 0] * x[first] + values[row, g, 1] * x[second]
    return out
    ### END SOLUTION

# %%
checks.try_examples(nm_matmul)

# %% nbgrader={"grade": true, "grade_id": "test_nm_matmul", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.cpu_kernels.nm_matmul(nm_matmul)
### BEGIN HIDDEN TESTS
checks.cpu_kernels.nm_matmul(nm_matmul, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# The race: a layer of 512 × 512 weights, 64 rows, float32. From which sparsity on is the sparse product faster?

# %% tags=["nbval-ignore-output"]
side, batch = 512, 64
dense, x = torch.randn(side, side), torch.randn(batch, side)
x_columns = x.T.contiguous()
kept_shares = (0.02, 0.05, 0.1, 0.2, 0.5)


def times_faster(way, repeats: int = 9) -> float:
    """The dense product and this way take turns."""
    timed = measure.latencies({"dense": lambda: F.linear(x, dense), "way": way}, repeats, warmup=2)
    return timed["dense"][1] / timed["way"][1]


sparse_curves = {"your csr_matmul": [], "library sparse_linear": []}
for share in kept_shares:
    pruned = dense * (torch.rand(side, side) < share)
    packed = kernels.SparseWeight.from_float(pruned)
    parts = packed.values, packed.columns, packed.row_pointers
    worst = (csr_matmul(*parts, x_columns) - pruned @ x_columns).abs().max().item()
    assert worst < 1e-2, worst
    sparse_curves["your csr_matmul"].append(times_faster(lambda parts=parts: csr_matmul(*parts, x_columns)))
    sparse_curves["library sparse_linear"].append(times_faster(lambda packed=packed: kernels.sparse_linear(x, packed)))
values, positions = nm_pack(dense)
library_nm = kernels.NMWeight(values, positions)
print(f"2:4, times faster than dense: yours {times_faster(lambda: nm_matmul(values, positions, x_columns)):.2g}, ", end="")
print(f"library nm_linear {times_faster(lambda: kernels.nm_linear(x, library_nm)):.2g}")
plots.sparse_race(kept_shares, sparse_curves)

# %% [markdown]
# *What is seen: both axes are logarithmic. Above the dashed line a sparse product is faster than the dense one. Both curves
# fall from left to right: the more weights are kept, the smaller the gain. The library's curve lies above yours.*
#
# **Question.** Your kernel does a tenth of the multiplications at 10 % kept. Why is it not ten times faster?
#
# <details><summary>Answer</summary>
#
# Each weight costs more than its multiplications: its column has to be read, a row of x anywhere in memory has to be
# fetched, and `out[row]` is read and written for each weight. The library keeps the sums of an output in registers
# and works on tiles of x (Gale et al. 2020 do the same on GPUs).
#
# </details>
#
# ## Your versions on the roof
#
# Everything you wrote, next to the library's kernels and PyTorch: int8, 4 bits, one weight in ten, two of four. Only the
# operations that a version really does are counted, so a sparse product as high as the dense one would be faster. Your 4-bit
# version is composed here of `unpack_int4`, `pack_weights` and `simd_matmul`, all repeated in each call. `int8_linear` and
# `int4_linear` also quantize their input and scale the result. The sparse products are float32.

# %% tags=["nbval-ignore-output"]
real, real_weights = torch.randn(M, K), torch.randn(N, K)
across = {rows: real[:rows].T.contiguous() for rows in (1, 16, M)}  # [inputs, rows], for your sparse products
packed8, packed4 = kernels.Int8Weight.from_float(real_weights), kernels.Int4Weight.from_float(real_weights)
tenth = kernels.SparseWeight.from_float(real_weights * (torch.rand(N, K) < 0.1))
small = torch.randint(-8, 8, (N, K)).to(torch.int8)
two_of_four, in_bytes = kernels.NMWeight(*nm_pack(real_weights)), pack_int4(small)
best_tile = tiles[by_tile.index(max(by_tile))]


def from_nibbles(rows: int) -> Tensor:
    return simd_matmul(codes[:rows], pack_weights(unpack_int4(in_bytes, K)), N)


assert torch.equal(from_nibbles(16), kernels.int8_matmul(codes[:16], small.T))  # equality before time


def dense_way(bytes_per_element: float, call) -> tuple:
    return K * N, lambda rows: arithmetic_intensity(rows, K, N, bytes_per_element), call


def sparse_way(kept: int, bytes_each: float, call) -> tuple:
    """Each stored weight takes `bytes_each`, its index included; inputs and outputs are float32."""
    return kept, lambda rows: 2 * rows * kept / (bytes_each * kept + 4 * rows * (K + N)), call


csr_parts, kept = (tenth.values, tenth.columns, tenth.row_pointers), len(tenth.values)
nm_parts = (two_of_four.values, two_of_four.positions)
ways = {
    "int8, loops": {
        "three loops": dense_way(1, lambda rows: three_loops(codes[:rows], columns)),
        "your tile_matmul": dense_way(1, lambda rows: tile_matmul(codes[:rows], columns, best_tile)),
    },
    "int8, vectors": {
        "your simd_matmul": dense_way(1, lambda rows: simd_matmul(codes[:rows], panels, N)),
        "library int8_linear": dense_way(1, lambda rows: kernels.int8_linear(real[:rows], packed8)),
    },
    "4 bits": {
        "your unpack_int4 first": dense_way(0.5, from_nibbles),
        "library int4_linear": dense_way(0.5, lambda rows: kernels.int4_linear(real[:rows], packed4)),
    },
    "one weight in ten": {
        "your csr_matmul": sparse_way(kept, 8, lambda rows: csr_matmul(*csr_parts, across[rows])),
        "library sparse_linear": sparse_way(kept, 8, lambda rows: kernels.sparse_linear(real[:rows], tenth)),
    },
    "two of four": {
        "your nm_matmul": sparse_way(K * N // 2, 4.5, lambda rows: nm_matmul(*nm_parts, across[rows])),
        "library nm_linear": sparse_way(K * N // 2, 4.5, lambda rows: kernels.nm_linear(real[:rows], two_of_four)),
    },
    "float32": {"torch linear": dense_way(4, lambda rows: F.linear(real[:rows], real_weights))},
}


def placed(name: str, weights_met: int, intensity, call) -> list[tuple[float, float]]:
    """(Intensity, measured operations a second) for three numbers of rows."""
    repeats = 3 if name == "three loops" else 7
    return [(intensity(m), operations_per_second(lambda m=m: call(m), 2.0 * m * weights_met, repeats)) for m in across]


on_roof = {kind: {name: placed(name, *way) for name, way in versions.items()} for kind, versions in ways.items()}
points = {name: pairs for versions in on_roof.values() for name, pairs in versions.items()}
plots.versions_on_roof(scale, roofs, on_roof, f"1, 16 and {M} rows x {K} x {N}, one thread")

# %% [markdown]
# *What is seen: for each version three marks joined by a dotted line, from one row (left) to 256 rows (right). Each kind has
# its colour and its mark, full for yours and open for the others; a click in the legend hides one. The
# three loops lie far below the roof at any intensity. Tiles are faster, and for many rows the vectors of exercise 7 are
# faster again, near the roof of pairs. Unpacking 4-bit codes again for each product costs the most for a single row. The sparse
# versions lie low: they do few operations, and each is expensive. Marks on the left may lie above the slope: the weights of
# this layer fit into a cache, which is faster than memory.*
#
# **Question.** The library's `sparse_linear` lies far below its `int8_linear`. Can it still be the faster layer?
#
# <details><summary>Answer</summary>
#
# Yes. It does a tenth of the multiplications, so at a tenth of the speed it needs the same time. The height says how well a
# version uses the machine; the time of a layer is its operations divided by that. The lines below compare times.
#
# </details>

# %% tags=["nbval-ignore-output"]
final = {name: pairs[-1][1] for name, pairs in points.items()}
gain, share = final["your simd_matmul"] / final["three loops"], final["your simd_matmul"] / peaks["pairs of 16 bits"]
print(f"{M} rows: your simd_matmul is {gain:.0f} times as fast as three loops and reaches {share:.0%}")
print(f"of the peak of pairs; that is {final['your simd_matmul'] / final['torch linear']:.1f} times torch's float32")
print(f"and {final['your simd_matmul'] / final['library int8_linear']:.2f} times the library's int8_linear.")
print("times as fast as torch's float32 layer:")
work = {name: weights_met for versions in ways.values() for name, (weights_met, *_) in versions.items()}
for row, (number, text) in enumerate(zip(across, ("one row", "16 rows", f"{M} rows"), strict=True)):
    took = {name: 2 * number * work[name] / pairs[row][1] for name, pairs in points.items()}
    names = ("your simd_matmul", "your unpack_int4 first", "your csr_matmul", "your nm_matmul")
    print(f"{text:8}", end=" ")
    print(", ".join(f"{name.removeprefix('your ').removesuffix(' first')} {took['torch linear'] / took[name]:.2g}" for name in names))

# %% [markdown]
# ## What the numbers say
#
# - **What was gained.** The same numbers, bit for bit, many times faster, from three changes: a layout in memory that is read
#   in order, tiles that stay in registers, and one instruction for many products. None of them is an algorithm with
#   fewer operations.
# - **What is slower.** On x86 the library's kernel is faster than yours: it multiplies groups of four bytes where you multiply
#   pairs of 16 bits, and keeps more sums. Four sums may be too few to fill the time that a multiplication takes: compare
#   your share of the peak above, and try stretch task 1. For a single row your kernel computes three rows for nothing,
#   since a tile has four. Your sparse products are slower than the dense one unless nearly all weights are removed, and at 2:4
#   even the library's kernel gains little: the printed line says how much.
# - **Exact results with saturating instructions.** FBGEMM, the library behind torch's int8 layers, multiplies bytes as they are
#   (`vpmaddubsw`): three instructions for 32 products, where pairs of 16 bits take four. Its 16-bit sums saturate, so it is
#   sometimes wrong (the question below `int8_dot`). The library's `int8_linear` uses the same instruction and is exact: when
#   weights are packed, it looks for neighbours that could saturate, which is two of one sign with a sum beyond 128, since
#   255 · 128 is still below 2¹⁵. There the panel gets a smaller weight, and the rest goes to a short list of outliers that is
#   added afterwards (`kernels/panel_layout.py`, `kernels/cpu/saturation_outliers.py`). Of normally distributed weights a few pairs in a hundred need
#   it. If all weights are at the ends of their range, every pair does: still exact, but slow. With VNNI nothing saturates.
#   Exactness costs some percent of the time: where VNNI is missing, FBGEMM and ours are about equally fast, and for large products
#   ours is more often the slower one. With a single row both wait for memory.
# - **Half of the multiplications can be saved.** x₁w₁ + x₂w₂ = (x₁ + w₂)(x₂ + w₁) - x₁x₂ - w₁w₂. What is subtracted depends on a
#   row of x or on a column of w alone, so it is computed once for all products. Sums of two int8 have 9 bits and are multiplied as
#   pairs of int16, without any loss. The library's `int8_matmul` does this for many rows without VNNI (`kernels/cpu/winograd.py`):
#   its weights are new in each call, so that looking for pairs that saturate would take too long. There are more additions instead;
#   a processor has more units for additions than for multiplications.
# - **Where the library misses its own goals.** In a terminal, `posttrain-lab bench --quick` compares its kernels with goals that
#   were set before they were written, and with other libraries, and says which are missed and which would need more than the
#   peak. Where this page was made, without VNNI, four kinds were out of reach. `int8_linear` and `int8_conv2d` should never be slower
#   than FBGEMM: both run the same three instructions near their peak, and exactness costs additional time. `int8_matmul` should be
#   50 times as fast as `torch._int_mm`: with one row, reading the weights once takes longer than that; with 16 rows, packing them
#   does; with more it mostly stays a little below. `int4_linear` should be 1.5 times as fast as `int8_linear` for one row: unpacking
#   turns 24 vector instructions into 28, so only reading becomes cheaper; and where a layer has few outputs, quantizing the rows
#   takes as long as the products save. Two threads should be 1.8 times as fast as one: the two processors of a rented machine may
#   share one core, or may be used by another customer for a while.
# - **Between the kernels.** A small network spends most of its time between them: calling its layers one by one from Python takes longer
#   than their products. The integer network of unit 02 therefore runs as one compiled call, which goes through a list of the layers and
#   keeps their codes in one piece of memory (`kernels/cpu/network.py`): same bits, and one image in about a tenth of the time.
# - **How sure a ratio is.** `bench` calls the library and its rival in turn; two calls of a turn are a pair, since what slowed down the one
#   slowed down the other. It prints the median of the pairs' ratios with a 95 % interval. Where the interval holds 1, nobody has won.
# - **The peak varies.** It depends on the clock, which depends on heat and on the width of the instructions; two runs
#   may differ by some percent. A point above its slope tells you that numbers came from a cache.
# - **What was not measured.** Several threads, energy, other processors, other sizes. Sizes that are not multiples of a tile
#   are slower per operation.

# %% [markdown]
# ## In your own words
#
# Write a paragraph of about 120 words on your versions on the roof: what holds back your best one? In a class a person marks
# it with three points: one for two numbers of the figure, *as they came out on your machine*, each with how sure it is; one
# for a reason that rests on something you computed in this unit; and one for what the figure cannot show, and how you would
# find out.

# %% [markdown] nbgrader={"grade": true, "grade_id": "explain_roof", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# Two points with their repeats, and where they lie: left of the ridge the bytes a second limit, right of it the operations a
# second. The intensity that I computed says on which side each one is; what lies far below both limits waits for something
# else, such as single loads or one thread. A busy machine, other shapes and other processors are not shown.
# ### END SOLUTION

# %% [markdown]
# ## Five questions

# %% jupyter={"source_hidden": true} tags=["widget", "nbval-ignore-output"]
widgets.quiz(
    [
        widgets.Question(
            "One row, a layer larger than every cache. What helps most?",
            ("more multiplications per second", "fewer bytes per weight", "larger tiles"),
            1,
            "Its intensity is about two operations per byte: it is on the slope of the roofline, where only bytes matter.",
        ),
        widgets.Question(
            "Why are products of int8 codes summed in int32?",
            (
                "Because int32 is faster than int16",
                "Because two products of -128 and -128 already exceed int16",
                "Because the result is scaled by a float",
            ),
            1,
            "One product, 16,384, still fits 16 bits. Two make 32,768, one too many, and each doubling needs one bit more.",
        ),
        widgets.Question(
            "What does packing change?",
            ("the values of the weights", "the number of multiplications", "the order in which weights lie in memory"),
            2,
            "The kernel reads memory in order and finds each pair where its instruction needs it; values stay as they are.",
        ),
        widgets.Question(
            "A code of -3 in a nibble is read as 13. What went wrong?",
            ("the sign bit was not extended", "the nibbles were swapped", "the byte was packed twice"),
            0,
            "13 is 1101; as a signed number of four bits that is -3. Shift it down as a signed number.",
        ),
        widgets.Question(
            "Ninety percent of the weights are zero. The sparse product is ...",
            ("always ten times faster", "faster or slower: it depends on the kernel and the batch", "never faster"),
            1,
            "A stored sparse weight costs more time than a dense one. Only a measurement on the machine decides.",
        ),
    ]
)

# %% [markdown]
# ## Papers
#
# - Williams, Waterman, Patterson 2009, *Roofline: An Insightful Visual Performance Model for Multicore Architectures*:
#   exercises 1 and 2.
# - Winograd 1968, *A New Algorithm for Inner Product*: fewer multiplications, at the end of the unit.
# - Goto and van de Geijn 2008, *Anatomy of High-Performance Matrix Multiplication*: panels, tiles and registers, exercises
#   4 to 7.
# - Jacob et al. 2018, *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference*:
#   why the sums are int32.
# - Khudia et al. 2021, *FBGEMM: Enabling High-Performance Low-Precision Deep Learning Inference*: the int8 kernels
#   inside PyTorch.
# - Mishra et al. 2021, *Accelerating Sparse Deep Neural Networks*: 2:4 sparsity in hardware.
# - Gale, Zaharia, Young, Elsen 2020, *Sparse GPU Kernels for Deep Learning*: sparse products that are faster.
# - Lam, Pitrou, Seibert 2015, *Numba: A LLVM-based Python JIT Compiler*: the compiler that you used.
#
# ## If you want more
#
# 1. **Eight rows.** Write the kernel around the step yourself, with eight sums in place of four. Is it faster on every
#    processor? (Count the vector registers of yours.)
# 2. **Sums in registers.** Change `csr_matmul` so that the sums of an output are local variables and written once. Does the
#    break-even move?
# 3. **4-bit codes in the kernel.** Unpack inside the step: the functions `low_nibbles`, `high_nibbles` and `add_products` are
#    in `kernels.cpu.simd_bytes`. Compare one row with `int4_linear`.
# 4. **A roofline for the cache.** Measure the bandwidth of an array that fits into the second-level cache and draw its slope
#    into the figure.
# 5. **Two threads.** Cut the panels in two and let `threading` run both (with `nogil`, Numba releases the GIL, Python's global
#    lock). Which points of the roofline double?
#
# Words of this unit in the glossary: [arithmetic intensity](../glossary.md#arithmetic-intensity),
# [roofline](../glossary.md#roofline), [accumulator](../glossary.md#accumulator), [packing](../glossary.md#packing),
# [tiling](../glossary.md#tiling), [SIMD](../glossary.md#simd), [VNNI](../glossary.md#vnni), [nibble](../glossary.md#nibble),
# [compressed sparse rows](../glossary.md#compressed-sparse-rows), [N:M sparsity](../glossary.md#n-m-sparsity),
# [latency](../glossary.md#latency).
