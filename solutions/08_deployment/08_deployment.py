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
# # 08 Deployment: can your own network run on a phone, on a chip, and inside a budget?
#
# A trained network lives in PyTorch. A phone, a camera and a watch have no PyTorch. They have little memory, no Python, and some
# of them cannot even compute with floats. *Deployment* is the way from the one to the other. Computing where the data arise is called *edge computing*.
#
# **The question.** One network that sorts images of clothes, in 8-bit integers: can it leave PyTorch without a single number changing?
# And does it fit: into the memory, into the time, into the battery?
#
# **You need** Python and a little PyTorch (tensors, convolutions). Unit 02 helps: it builds the integers that are used here. No
# other unit must come first.
#
# **How it works.** There are fifteen exercises; the unit takes about 130 minutes. Replace `raise NotImplementedError` with
# your lines; the course's own answers have at most six. The cell right below tries the examples of the docstring, the next
# one checks your function on many more calls and says in a sentence what is wrong. Run both as often as you like. The figures
# use *your* functions, so they show your work.
# Results may lie in memory in any order (contiguous or not), where nothing else is said.
# The library has such functions too; a check does not let you call them, so write your own.
# In a terminal, `posttrain-lab check 08` shows your points. The [glossary](../glossary.md) explains the terms of the field.

# %% tags=["setup"]
import copy
import os
import random
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch._dynamo  # torch.export works with it; loading it takes a moment
from jaxtyping import Bool, Float, Int, Int8, Int32, Shaped, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab import calibration, checks, data, measure, models, pruning, widgets
from posttrain_lab import quantization as lib
from posttrain_lab.deployment.budget import Facts
from posttrain_lab.deployment.c99 import to_c
from posttrain_lab.deployment.c_function import run_function
from posttrain_lab.deployment.c_reader import read_c
from posttrain_lab.deployment.compare import start_onnxruntime
from posttrain_lab.deployment.compiled import compiler, run_c, time_c
from posttrain_lab.deployment.contract import Contract
from posttrain_lab.deployment.float_onnx import float_onnx
from posttrain_lab.deployment.memory import plan_memory, scratch_bytes
from posttrain_lab.deployment.operations import input_codes, operations, run
from posttrain_lab.deployment.preprocess import MISTAKES
from posttrain_lab.deployment.program import IntegerProgram
from posttrain_lab.deployment.web import PageText, to_html
from posttrain_lab.metrics import evaluating
from posttrain_lab.plots import auditing as lines
from posttrain_lab.plots import deployment as plots

torch.set_num_threads(1)  # one thread: as on a small chip
torch.manual_seed(0)
fashion = data.load_fashion()
seen = fashion.validation

Step = tuple[int, list[int], int]  # bytes, the steps that are read, scratch bytes
Buffer = tuple[int, int, int]  # bytes, first step, last step


def answers(network: nn.Module, images: Tensor) -> Int[Tensor, " n"]:
    """The class that a network gives to each image."""
    with evaluating(network), torch.no_grad():
        return torch.cat([network(part).argmax(1) for part in images.split(100)])


def peak(buffers: Sequence[Buffer]) -> int:
    """The most bytes that live at one time: no arena can be smaller (exercises 5 and 6)."""
    return max(sum(size for size, first, last in buffers if first <= t <= last) for t in {first for _, first, _ in buffers})


def arena_bytes(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    """How many bytes does an arena have whose buffers begin at these offsets?"""
    return max(offset + size for (size, _, _), offset in zip(buffers, offsets, strict=True))


def owners(steps: Sequence[Step]) -> list[int]:
    """For each step the step that wrote the bytes of its result: itself, or behind a Flatten the one before it (exercise 5)."""
    found: list[int] = []
    for t, (size, reads, _) in enumerate(steps):
        found.append(t if size else found[reads[0]])
    return found


def lowest(size: int, taken: Sequence[tuple[int, int]], alignment: int) -> int:
    """The lowest multiple of alignment at which `size` bytes overlap none of the taken pieces (begin, end) (exercise 6)."""
    places = [0, *(-(-end // alignment) * alignment for _, end in taken)]
    return min(at for at in places if all(at + size <= begin or end <= at for begin, end in taken))


STORED = {"weight": "int8_t", "bias": "int32_t", "multiplier": "int32_t", "shift": "int8_t"}
ARITHMETIC = {8: 0.3, 16: 1.5, 32: 4.6}  # picojoules of a product and a sum, by bits (exercise 14)
SMALL, ON_CHIP, DRAM = 20.0, (20.0, 100.0), (1300.0, 2600.0)  # picojoules for 8 bytes
UNDO: dict[str, Callable[[Tensor], Tensor]] = {"right": lambda x: x} | {name: one.undo for name, one in MISTAKES.items()}


def constants(name: str, **arrays: Tensor) -> str:
    """Constant arrays in C: name_weight and so on (exercise 8)."""
    numbers = {key: ", ".join(str(value) for value in array.flatten().tolist()) for key, array in arrays.items()}
    return "".join(
        f"static const {STORED[key]} {name}_{key}[{arrays[key].numel()}] = {{{text}}};\n" for key, text in numbers.items()
    )


def middle(photo: Tensor, size: tuple[int, int]) -> Tensor:
    """The largest part with the proportions of size (height, width), from the middle of a photo [h, w, 3] (exercise 12)."""
    height, width = photo.shape[:2]
    h, w = max(1, min(height, width * size[0] // size[1])), max(1, min(width, height * size[1] // size[0]))
    return photo[(height - h) // 2 :, (width - w) // 2 :][:h, :w]


def means(grey: Tensor, size: tuple[int, int]) -> Tensor:
    """The rounded means, ties up, of size (height, width) areas of a picture [h, w] of whole numbers (exercise 12)."""
    covers = []  # which rows, and which columns, does each area have?
    for length, n in zip(grey.shape, size, strict=True):
        at, i = torch.arange(length), torch.arange(n)[:, None]
        covers.append(((at >= i * length // n) & (at < -(-(i + 1) * length // n))).double())
    sums, count = (covers[0] @ grey.double() @ covers[1].T).long(), torch.outer(covers[0].sum(1), covers[1].sum(1)).long()
    return (2 * sums + count) // (2 * count)


# %% [markdown]
# ## Part 1: what a device has to know
#
# The network of the course has three convolutions and two linear layers. `lib.quantize_model` makes an integer network of it, as at the
# end of unit 02: images become codes of 8 bits, products are added up in int32, and each sum becomes a code again. We look at it on
# *validation* images, as we may choose something by what we see.

# %% tags=["nbval-ignore-output"]
model = models.load_pretrained("fashion_cnn")
network = lib.quantize_model(model, fashion.calibration.first(100), lib.QuantizationConfig(mode="integer"))
program = operations(network, pool=False)
for name, one in (("float", model), ("integer", network)):
    print(f"{name:8} accuracy {(answers(one, seen.images) == seen.labels).double().mean():.1%}")
for operation in program.operations:
    value = program.values[operation.output]
    kind = "linear" if value.shape[:2] == (1, 1) else operation.kind  # to a device, a convolution of an image of one pixel
    print(
        f"layer {operation.name:3} {kind:6} writes {value.bytes:6,} bytes, {program.macs_of(operation):9,} multiplications"
    )

# %% [markdown]
# Nothing in this table is a float. But somebody has to make codes of a picture, of pixels from 0 to 255.

# %% tags=["widget", "nbval-ignore-output"]
widgets.predict(
    "How many different numbers can one grey pixel of a camera be?",
    ["2", "256", "as many as there are floats from 0 to 1"],
    "Then all of its codes can be computed before the first picture is taken.",
)

# %% [markdown]
# ### Exercise 1: a table in place of a formula
# *Difficulty 1 of 5, 6 minutes, 1 point*
#
# **Aim:** the code of each pixel from 0 to 255, so that the device needs no division and no float.
#
# $$table_v = clamp\left( round\left( \frac{v / 255}{scale} \right) + zero\_point, \; -2^{bits-1}, \; 2^{bits-1} - 1 \right)$$
#
# The network was trained on numbers from 0 to 1, so a pixel $v$ stands for $v / 255$. `scale` is a positive float, the size of one step;
# `zero_point` is the code of black, one of the codes, so no pixel has a code below it; `bits` is from 2 to 8. The result is `int8 [256]`. Exact ties may go either way.
#
# **Predict:** for this network `scale` is 1/255 and `zero_point` is -128. What does the table do?
#
# <details><summary>Answer</summary>
#
# It subtracts 128: the darkest pixel of the calibration images was 0 and the brightest 255.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "pixel_table", "locked": false, "schema_version": 3, "solution": true, "task": false}
def pixel_table(scale: float, zero_point: int, bits: int = 8) -> Int8[Tensor, "256"]:
    """The code of each pixel v: clamp(round(v / 255 / scale) + zero_point), to the codes of `bits` bits.

    >>> pixel_table(scale=1 / 255, zero_point=-128)[[0, 1, 255]]
    tensor([-128, -127,  127], dtype=torch.int8)
    >>> pixel_table(scale=0.11, zero_point=-3, bits=4)[[0, 100, 255]]  # 3.57 steps are 4; 9.09 steps would be code 6
    tensor([-3,  1,  6], dtype=torch.int8)
    """
    ### BEGIN SOLUTION
    codes = (torch.arange(256) / 255 / scale).round() + zero_point
    return codes.clamp(max=2 ** (bits - 1) - 1).to(torch.int8)  # no code is below the zero point
    ### END SOLUTION


# %%
checks.try_examples(pixel_table)

# %% nbgrader={"grade": true, "grade_id": "test_pixel_table", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks.deployment.pixel_table(pixel_table)
### BEGIN HIDDEN TESTS
checks.deployment.pixel_table(pixel_table, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
table = pixel_table(network.input.scale, network.input.zero_point)
pixels = (seen.images * 255).round().long()  # as a camera gives them
differ = table[pixels] != network.quantize_input(seen.images)
print(f"codes that differ from the network's own: {int(differ.sum())} of {differ.numel():,}")
plots.staircases(
    {
        "this network": table.tolist(),
        "calibrated on dark images": pixel_table(0.5 / 255, -128).tolist(),
        "4 bits": pixel_table(1 / 15, -8, bits=4).tolist(),
    },
    "pixel",
    "code",
)

# %% [markdown]
# *What is seen: a straight rising line for this network; a line twice as steep that reaches the highest code in the middle and stays there; and
# sixteen broad steps near zero for 4 bits.*
#
# **Question.** A network was calibrated on dark images. What does it see of a bright one?
#
# <details><summary>Answer</summary>
#
# Every pixel from 128 up has the highest code: bright parts are one white area. The scale is a promise about the camera.
#
# </details>
#
# ### Exercise 2: channels last
# *Difficulty 2 of 5, 7 minutes, 2 points*
#
# **Aim:** put the weights in the order in which a device reads an image.
#
# Memory is one long row of bytes. PyTorch stores an image channel by channel: all of red, then all of green (NCHW). A convolution needs all
# channels of a few neighbouring pixels. So small devices store the channels of one pixel side by side (NHWC, *channels last*): a row of the
# window is then one piece of memory. The filters must have the same order:
#
# $$row_{o, \, (i \, k_w + j) \, c + channel} = weight_{o, \, channel, \, i, \, j}$$
#
# `weight` is `[out, c, kh, kw]` of any dtype; the result `[out, kh * kw * c]` has the same dtype. Row $i$ is the slowest, then column $j$, then the
# channel. The result is contiguous: a device reads it byte by byte; where nothing moves, it may be a view of the weight. `x.permute(...)` changes the
# order of axes, `x.flatten(1)` joins all but the first, `x.contiguous()` puts the numbers in this order into memory.
#
# **Predict:** why does `weight.reshape(out, kh, kw, c)` not do it?
#
# <details><summary>Answer</summary>
#
# It gives other names to the axes and moves no number.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "channels_last", "locked": false, "schema_version": 3, "solution": true, "task": false}
def channels_last(weight: Shaped[Tensor, "out c kh kw"]) -> Shaped[Tensor, "out k"]:
    """Each filter as one row in the order row, column, channel; k = kh * kw * c; contiguous.

    >>> channels_last(torch.tensor([[[[1, 2, 3]], [[10, 20, 30]]]]))  # one filter of two channels, one row, three columns
    tensor([[ 1, 10,  2, 20,  3, 30]])
    """
    ### BEGIN SOLUTION
    return weight.permute(0, 2, 3, 1).flatten(1).contiguous()
    ### END SOLUTION


# %%
checks.try_examples(channels_last)

# %% nbgrader={"grade": true, "grade_id": "test_channels_last", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.deployment.channels_last(channels_last)
### BEGIN HIDDEN TESTS
checks.deployment.channels_last(channels_last, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Where does a window lie in memory? An image of 8 x 8 pixels has some channels; the filter sees 3 x 3 pixels of it. The figure shows the
# address that is read at each step of one sum: with torch's order for image and filter, and with channels last for both.


# %% tags=["widget", "nbval-ignore-output"]
def draw_addresses(channels: int):
    address = torch.arange(channels * 64)
    torch_s = address.reshape(channels, 8, 8)
    last = address.reshape(8, 8, channels).permute(2, 0, 1)  # the same image, channels last in memory
    read = {
        "channel by channel": torch_s[:, 2:5, 2:5].flatten().tolist(),
        "channels last": channels_last(last[None, :, 2:5, 2:5])[0].tolist(),
    }
    runs = {name: 1 + sum(b != a + 1 for a, b in pairwise(found)) for name, found in read.items()}
    named = {f"{name}: {runs[name]} pieces": found for name, found in read.items()}
    return lines.curves(range(9 * channels), named, "step of the sum", "address")


widgets.slider_figure(draw_addresses, channels=widgets.Slider(1, 12, start=6, step=1, label="channels"))

# %% [markdown]
# *What is seen: two rising lines. Channel by channel, each channel has three short pieces; channels last there are three long pieces in all.*
#
# A Linear behind a Flatten is a filter as large as its image. Its columns come in torch's order too, and your function puts them right.


# %% tags=["nbval-ignore-output"]
def after_flatten(weight: Shaped[Tensor, "out features"], c: int, h: int, w: int) -> Shaped[Tensor, "out features"]:
    """The columns of a Linear behind a Flatten of images [c, h, w], as filters of h x w pixels: channels last."""
    return channels_last(weight.reshape(len(weight), c, h, w))


def classes_by(weight: Tensor, rows: Tensor) -> Tensor:
    """The classes when the first Linear has these weights and reads these rows."""
    linear, after = network.layers.get_submodule("13"), network.layers.get_submodule("15")
    sums = (rows.double() @ weight.double().T).to(torch.int32)  # doubles hold these sums exactly
    return network.dequantize_output(after(linear.finish(sums))).argmax(1)


codes = network.quantize_input(seen.images[:1000])
for name, layer in network.layers.named_children():
    if name == "12":  # the Flatten
        break
    codes = layer(codes)
on_device = codes.permute(0, 2, 3, 1).flatten(1)  # as a device flattens: channels last
weight = network.layers.get_submodule("13").weight_codes()
wanted = answers(network, seen.images[:1000])
for name, columns in (("your order", after_flatten(weight, *codes.shape[1:])), ("torch's order", weight)):
    print(f"{name:14} {int((classes_by(columns, on_device) != wanted).sum())} of 1,000 images get another class")

# %% [markdown]
# **Question.** The second line shows a frequent bug. No error was raised. What would have found it?
#
# <details><summary>Answer</summary>
#
# Comparing numbers with PyTorch on a few images. The shapes agree, nothing crashes, and the classes are hardly better than guesses.
#
# </details>
#
# ## Part 2: one multiplication, exactly
#
# A sum of products becomes a code again: it is multiplied by a number below 1. Integers cannot do that, but they can multiply by a large whole
# number $m$ and shift the product to the right by some bits, which divides by a power of two (unit 02, `requantize`). The product has up to
# 61 bits. JavaScript has no such number: it has *doubles*, which hold every whole number up to $2^{53}$ and not all above. A small chip
# multiplies 32 bits at a time.

# %% tags=["nbval-ignore-output"]
one, m = 715_827_881, 1_500_000_001
print(f"the product in integers {one * m:,}\nthe product in doubles  {int(float(one) * float(m)):,}")

# %% [markdown]
# ### Exercise 3: multiply and shift, in halves
# *Difficulty 4 of 5, 10 minutes, 3 points*
#
# **Aim:** the exact rescaled number, with no number above $2^{53}$ on the way.
#
# $$result = \left\lfloor \frac{sum \cdot m}{2^{shift}} + \frac12 \right\rfloor = (sum \cdot m + 2^{shift-1}) \gg shift$$
#
# The shift $\gg$ rounds down, towards minus infinity, also for negative numbers. So ties go up: 2.5 becomes 3, and -2.5 becomes -2. Now split
# $m = high \cdot 2^{16} + low$ with $0 \le low < 2^{16}$. Then 16 bits can be shifted away early:
#
# $$result = \left( sum \cdot high + \left\lfloor \frac{sum \cdot low}{2^{16}} \right\rfloor + 2^{shift-17} \right) \gg (shift - 16)$$
#
# The two floors, one after the other, give the same as one floor at the end. `sums` is `int32 [n, out]` with $|sum| < 2^{30}$ (n may be 0); each channel has its own
# `multiplier` (`[out]`, $2^{30} \le m < 2^{31}$, int32 or int64) and `shift` (`[out]`, from 17 to 62, int8 or int64). The result is
# `int64 [n, out]`. Convert to int64 first: int8 and int32 wrap around without a word. For tensors, `x >> 16` rounds down and `x & 65535` keeps the
# lower 16 bits. The check watches tensors and arrays. Python's own whole numbers have no end, so a loop over them passes even with the whole product; no
# device has such numbers.
#
# **Predict:** how large can $sum \cdot high$ become?
#
# <details><summary>Answer</summary>
#
# Below $2^{30} \cdot 2^{15} = 2^{45}$. The other product stays below $2^{46}$, and the half is at most $2^{45}$. All of them fit into a double.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "multiply_shift", "locked": false, "schema_version": 3, "solution": true, "task": false}
def multiply_shift(
    sums: Int32[Tensor, "n out"], multiplier: Int[Tensor, " out"], shift: Int[Tensor, " out"]
) -> Int[Tensor, "n out"]:
    """(sums * multiplier + 2^(shift-1)) >> shift for each channel, in halves of 16 bits; int64.

    >>> sums = torch.tensor([[5], [-5], [-6]], dtype=torch.int32)
    >>> multiply_shift(sums, torch.tensor([2**30]), torch.tensor([31])).flatten()  # 2.5, -2.5 and -3: ties go up
    tensor([ 3, -2, -3])
    """
    ### BEGIN SOLUTION
    sums, multiplier, shift = sums.long(), multiplier.long(), shift.long()
    high, low = multiplier >> 16, multiplier & 65535
    half = 2 ** (shift - 17)
    return (sums * high + (sums * low >> 16) + half) >> (shift - 16)
    ### END SOLUTION


# %%
checks.try_examples(multiply_shift)

# %% nbgrader={"grade": true, "grade_id": "test_multiply_shift", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.deployment.multiply_shift(multiply_shift)
### BEGIN HIDDEN TESTS
checks.deployment.multiply_shift(multiply_shift, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Where do other roundings differ from yours? The figure tries sums from -24 to 24 with $m = 2^{30}$: the shift 31 halves a sum, 32 quarters it.


# %% tags=["nbval-ignore-output"]
def away_from_zero(product: Tensor, shift: Tensor) -> Tensor:
    size = (product.abs() + (1 << (shift - 1))) >> shift
    return size * product.sign()


def to_even(product: Tensor, shift: Tensor) -> Tensor:
    code, rest, half = product >> shift, product & ((1 << shift) - 1), 1 << (shift - 1)
    return code + ((rest > half) | ((rest == half) & (code % 2 == 1))).long()


VARIANTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "no half": lambda product, shift: product >> shift,
    "half away from zero": away_from_zero,
    "half to even": to_even,
    "towards zero": lambda product, shift: torch.div(product + (1 << (shift - 1)), 1 << shift, rounding_mode="trunc"),
}
small, shifts = torch.arange(-24, 25, dtype=torch.int32)[:, None].expand(49, 4), torch.arange(31, 35)
mine = multiply_shift(small, torch.full((4,), 2**30), shifts)
found = {}
for name, variant in VARIANTS.items():
    other = variant(small.long() * 2**30, shifts.expand(49, 4))
    found[name] = [(int(small[i, j]), int(shifts[j])) for i, j in (other != mine).nonzero().tolist()]
plots.marked(found, "sum", "shift")

# %% [markdown]
# *What is seen: four rows of markers, one for each shift. "No half" differs at many sums of both signs, "towards zero" at negative sums only, "away from zero" at
# single negative sums, the ties; "to even" at every second tie of both signs.*
#
# Now real images: all sums of the first layer for 20 of them, and the codes after its ReLU.

# %% tags=["nbval-ignore-output"]
first = network.layers.get_submodule("0")
codes = F.pad(network.quantize_input(seen.images[:20]), (1, 1, 1, 1), value=network.input.zero_point)
sums = F.conv2d(codes.double(), first.weight_codes().double()).permute(0, 2, 3, 1).reshape(-1, 24).to(torch.int32) + first.bias
m, shift = first.multiplier.long(), first.shift.long()
exact = multiply_shift(sums, m, shift)
low, high = first.limits()
for name, variant in VARIANTS.items():
    other = variant(sums.long() * m, shift.expand_as(sums))
    before, after = other != exact, (other + first.y.zero_point).clamp(low, high) != (exact + first.y.zero_point).clamp(low, high)
    print(
        f"{name:19} {int(before.sum()):7,} of {sums.numel():,} numbers and {int(after.sum()):6,} codes differ"
    )

# %% [markdown]
# **Question.** Three of the four mistakes change no code here. May they stay?
#
# <details><summary>Answer</summary>
#
# No. They differ at negative numbers, which the ReLU of this layer hides, and at ties, which a multiplier of 31 bits hardly ever meets. Another layer shows them.
# A test on real images does not find these bugs: feed ties and negative sums on purpose.
#
# </details>
#
# ### Exercise 4: when is a double enough?
# *Difficulty 3 of 5, 9 minutes, 2 points*
#
# **Aim:** for which channels does the short formula in doubles, floor(sum * (m / 2^shift) + 0.5), give the right code for *every* image?
#
# It is faster than halves, and exact when no number on the way is rounded. A sum is at most
#
# $$reach_o = 128 \sum_k |weight_{o,k}| + |bias_o|$$
#
# because an input code is at least -128. So a channel is safe where
#
# $$reach_o \cdot m_o + 2^{shift_o - 1} \le 2^{53} \qquad \text{or} \qquad shift_o \le 43$$
#
# The second condition: with a small shift, a product beyond $2^{52}$ is more than 511 after the shift, so its code is the highest or the lowest anyway, and the
# rounding of a double cannot bring it back. `weight` is `int8 [out, k]` and may hold -128; `bias`, `multiplier` and `shift` are integers `[out]` of any width, with $|bias| <
# 2^{29}$, $2^{30} \le m < 2^{31}$ and $17 \le shift \le 62$. Convert to int64 first. The result is `bool [out]`.
#
# **Predict:** you observe the largest sum on 10,000 images. May you use it in place of *reach*?
#
# <details><summary>Answer</summary>
#
# No. The next image may have a larger one. A proof needs the worst sum that the weights allow.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "double_is_exact", "locked": false, "schema_version": 3, "solution": true, "task": false}
def double_is_exact(
    weight: Int8[Tensor, "out k"], bias: Int[Tensor, " out"], multiplier: Int[Tensor, " out"], shift: Int[Tensor, " out"]
) -> Bool[Tensor, " out"]:
    """reach * multiplier + 2^(shift-1) <= 2^53, or shift <= 43; reach = 128 * sum |weight| + |bias|.

    >>> weight = torch.tensor([[100, -128], [100, -128], [1, -1]], dtype=torch.int8)
    >>> bias, m = torch.tensor([-(2**27), 2**27, 9]), torch.tensor([2**30, 2**30, 2**30])
    >>> double_is_exact(weight, bias, m, shift=torch.tensor([43, 44, 44]))
    tensor([ True, False,  True])
    """
    ### BEGIN SOLUTION
    reach = 128 * weight.long().abs().sum(1) + bias.long().abs()
    fits = reach * multiplier.long() + 2 ** (shift.long() - 1) <= 2**53
    return fits | (shift <= 43)
    ### END SOLUTION


# %%
checks.try_examples(double_is_exact)

# %% nbgrader={"grade": true, "grade_id": "test_double_is_exact", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.deployment.double_is_exact(double_is_exact)
### BEGIN HIDDEN TESTS
checks.deployment.double_is_exact(double_is_exact, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
sizes, good = {}, {}
for operation in program.operations:
    if operation.multiplier is not None:
        arrays = [torch.from_numpy(operation.array(name)) for name in ("weight", "bias", "multiplier", "shift")]
        safe = double_is_exact(*arrays)
        reach = 128 * arrays[0].long().abs().sum(1) + arrays[1].abs()
        sizes[f"layer {operation.name}"] = torch.log2(reach.double() * arrays[2]).tolist()
        good[f"layer {operation.name}"] = safe.tolist()
        print(
            f"layer {operation.name:3} shifts {int(arrays[3].min())} to {int(arrays[3].max())}: exact in {int(safe.sum())} of {len(safe)} channels"
        )
plots.against_bound(sizes, good, 53, "log2 of reach * m")

# %% [markdown]
# *What is seen: a column of points for each layer, and a dashed line at 53. In the last column some points lie above it. One of them, of another form, is not exact.*
#
# **Question.** Other points lie above the line too. Why are they exact?
#
# <details><summary>Answer</summary>
#
# Their shift is at most 43: a sum that large is saturated before a lost bit could matter. One channel has a shift of 44, and for it a proof is missing. So your page
# uses doubles in the layers where they are proven, and halves in the other.
#
# </details>
#
# ## Part 3: memory
#
# A small chip has a few kilobytes of RAM. The weights lie in flash, which is larger. What lies between the layers needs RAM: each layer reads one image and writes the
# next. All of it is put into one block of a fixed size, the *arena*. How large must it be?

# %% tags=["widget", "nbval-ignore-output"]
widgets.predict(
    "The table above shows what each layer writes. How large is the arena at least?",
    ["as large as the largest image", "larger than that", "the sum of all images"],
    "A layer reads one image while it writes another.",
)

# %% [markdown]
# ### Exercise 5: from when to when
# *Difficulty 2 of 5, 7 minutes, 2 points*
#
# **Aim:** from which step to which is each buffer needed?
#
# A network is a list of steps, counted from 0. Each is `(bytes, reads, scratch)`: how many bytes it writes, which earlier steps' results it reads (a list of
# their numbers), and how many bytes it needs while it runs, for example for a copy of a window. Step 0 is the input and reads nothing. A result lives from the step that writes it to
# the *last* step that reads it, or to its own step where nobody reads it; a *shortcut* is read again much later. The result of the last step lives to the last step.
#
# A Flatten writes 0 bytes: its result is a second name for the result that it reads, and whoever reads the Flatten reads that result. Given: `owners(steps)`, for each step
# the step whose bytes its result is.
#
# Return a list of buffers `(bytes, first, last)`: one for each step that writes bytes, in the order of the steps; behind them `(scratch, t, t)` for each
# step $t$ whose scratch is not 0, in the same order. A hint: a dictionary keeps the order in which its keys came in.
#
# **Predict:** step 4 reads 1 and 3. How long does the result of step 1 live?
#
# <details><summary>Answer</summary>
#
# From 1 to 4, also while steps 2 and 3 run, which do not need it.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "lifetimes", "locked": false, "schema_version": 3, "solution": true, "task": false}
def lifetimes(steps: list[Step]) -> list[Buffer]:
    """(bytes, first, last) of each result that has bytes, then (scratch, t, t) of each step t that has scratch.

    >>> lifetimes([(16, [], 0), (8, [0], 3), (0, [1], 0), (5, [2, 0], 0)])  # step 2 is a Flatten: step 3 reads the 8 bytes
    [(16, 0, 3), (8, 1, 3), (5, 3, 3), (3, 1, 1)]
    """
    ### BEGIN SOLUTION
    owner, last = owners(steps), {}
    for t, (_, reads, _) in enumerate(steps):
        last |= {owner[one]: t for one in [*reads, t]}
    results = [(steps[t][0], t, end) for t, end in last.items()]
    return results + [(scratch, t, t) for t, (_, _, scratch) in enumerate(steps) if scratch]
    ### END SOLUTION


# %%
checks.try_examples(lifetimes)

# %% nbgrader={"grade": true, "grade_id": "test_lifetimes", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.deployment.lifetimes(lifetimes)
### BEGIN HIDDEN TESTS
checks.deployment.lifetimes(lifetimes, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# The steps of our network, and of a second one with shortcuts, `fashion_resnet`. The figure puts all buffers on top of one another, so that no byte is used twice.


# %% tags=["nbval-ignore-output"]
def steps_of(program: IntegerProgram) -> list[Step]:
    """The input and the operations as (bytes, reads, scratch). Here a Flatten is no operation at all."""
    steps = [(program.values[0].bytes, [], 0)]
    for operation in program.operations:
        steps.append((program.values[operation.output].bytes, list(operation.inputs), scratch_bytes(program, operation)))
    return steps


def side_by_side(buffers: Sequence[Buffer]) -> list[int]:
    """Offsets that use no byte twice."""
    return [sum(size for size, _, _ in buffers[:number]) for number in range(len(buffers))]


resnet = lib.quantize_model(
    models.load_pretrained("fashion_resnet"), fashion.calibration.first(100), lib.QuantizationConfig(mode="integer")
)
living = {"fashion_cnn": lifetimes(steps_of(program)), "fashion_resnet": lifetimes(steps_of(operations(resnet, pool=False)))}
for name, buffers in living.items():
    print(f"{name:15} side by side {sum(size for size, _, _ in buffers):7,} bytes, most at one time {peak(buffers):6,}")
buffers = living["fashion_cnn"]
plots.rectangles(buffers, side_by_side(buffers), peak(buffers), sum(size for size, _, _ in buffers))

# %% [markdown]
# *What is seen: a staircase of rectangles that rises to the right, one by far the highest; around them are bytes that wait. The dashed line is the most that lives at one time.*
#
# **Question.** Which two buffers make the peak? What would make it smaller?
#
# <details><summary>Answer</summary>
#
# The output of the first convolution, and what the pooling makes of it. If the pooling came first, the large image would not exist: exercise 7.
#
# </details>
#
# ### Exercise 6: a place for each
# *Difficulty 3 of 5, 8 minutes, 3 points*
#
# **Aim:** an offset in the arena for each buffer, so that no two that live at the same time share a byte, in as few bytes as possible.
#
# The best plan is hard to find (the problem is NP-hard). A simple rule comes near (Pisarchyk and Lee 2020): place the **largest buffer first**, of equal ones the earlier in the
# list, and give each **the lowest offset that is free**. Free means: no byte of it is taken by a placed buffer that lives at the same time. Lifetimes that touch count as the
# same time: the step that reads the one writes the other. Offsets are multiples of `alignment`, as many chips read four or eight bytes at a time.
#
# `buffers` is a list of `(bytes, first, last)` with at least 1 byte each, `alignment` at least 1. The result is a list of plain whole numbers, in the order of
# `buffers`. Given: `lowest(size, taken, alignment)`, the lowest free offset, where `taken` lists the pieces (begin, end) that are taken.
#
# **Predict:** why the largest first?
#
# <details><summary>Answer</summary>
#
# Small buffers fit into the gaps that large ones leave; a large one finds no gap among small ones.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "place", "locked": false, "schema_version": 3, "solution": true, "task": false}
def place(buffers: list[Buffer], alignment: int) -> list[int]:
    """Offsets in the order of `buffers`: the largest is placed first, each at the lowest multiple of alignment that is free.

    >>> place([(4, 0, 1), (10, 1, 2), (2, 2, 3)], alignment=4)  # the first and the last never meet: both lie on the second
    [12, 0, 12]
    """
    ### BEGIN SOLUTION
    offsets = {}
    for i, (size, first, last) in sorted(enumerate(buffers), key=lambda item: -item[1][0]):
        taken = [(at, at + buffers[j][0]) for j, at in offsets.items() if buffers[j][1] <= last and first <= buffers[j][2]]
        offsets[i] = lowest(size, taken, alignment)
    return [offsets[i] for i in range(len(buffers))]
    ### END SOLUTION


# %%
checks.try_examples(place)

# %% nbgrader={"grade": true, "grade_id": "test_place", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.deployment.place(place)
### BEGIN HIDDEN TESTS
checks.deployment.place(place, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Watch the arena shrink. The slider says how many of the largest buffers your function places; the others still lie side by side above them.


# %% tags=["widget", "nbval-ignore-output"]
def draw_arena(name: str, placed: int):
    buffers = sorted(living[name], reverse=True)
    offsets = place(buffers[:placed], alignment=8)
    offsets += [arena_bytes(buffers[:placed], offsets) + at for at in side_by_side(buffers[placed:])]
    plot = plots.rectangles(buffers, offsets, peak(buffers), sum(size for size, _, _ in buffers))
    return plot.update_layout(
        title_text=f"arena {arena_bytes(buffers, offsets):,} bytes; no plan needs less than {peak(buffers):,}"
    )


widgets.slider_figure(
    draw_arena,
    name=widgets.Choice(tuple(living), label="network"),
    placed=widgets.Slider(1, 27, start=1, step=1, label="buffers placed"),
)

# %% [markdown]
# *What is seen: the same rectangles. The more of them are placed, the lower they lie; with all of them placed the highest edge is the dashed line.*
#
# Is the rule always that good? Random networks with shortcuts say.


# %% tags=["nbval-ignore-output"]
def random_network(dice: random.Random, count: int) -> list[Step]:
    """A chain with random sizes, in which every third step reads a second, earlier result."""
    steps: list[Step] = [(dice.randint(10, 1000), [], 0)]
    for t in range(1, count):
        steps.append((dice.randint(10, 1000), sorted({t - 1, dice.randrange(max(0, t - 8), t) if t % 3 == 0 else t - 1}), 0))
    return steps


dice, ratios = random.Random(0), []
for _ in range(200):
    buffers = lifetimes(random_network(dice, 30))
    ratios.append(arena_bytes(buffers, place(buffers, alignment=1)) / peak(buffers))
reached = sum(ratio == 1 for ratio in ratios)
print(
    f"200 random networks: {reached} reach the bound; {sum(ratios) / 200:.3f} times it on average, at most {max(ratios):.2f}"
)
for name, buffers in living.items():
    arena = arena_bytes(buffers, place(buffers, alignment=8))
    print(f"{name:15} arena {arena:6,} bytes; fits into 32 KiB of RAM: {'yes' if arena <= 32 * 1024 else 'no'}")

# %% [markdown]
# **Question.** A buffer is off by one byte, and two results overlap in one step. How would you notice?
#
# <details><summary>Answer</summary>
#
# Perhaps not at all: one code of one image is wrong now and then. So a planner is checked by a rule (no two overlap), not by looking at classes.
#
# </details>

# %% [markdown]
# ### Exercise 7: pool before you rescale
# *Difficulty 2 of 5, 8 minutes, 2 points*
#
# **Aim:** a max pooling that needs no large image: the largest *sum* of each window is kept, and only this one becomes a code.
#
# A larger sum never has a smaller code, because no multiplier is negative. So pooling may come before the codes:
#
# $$r_o = \left( (\max_{window} sums + bias_o) \cdot m_o + 2^{shift_o - 1} \right) \gg shift_o$$
# $$code_o = clamp(r_o, \; -128, \; 127)$$
#
# `sums` is `int32 [h, w, out]` (channels last); `bias`, `multiplier` and `shift` are `int64 [out]`. Windows have `size` x `size` pixels and do not overlap. Rows and columns that fill
# no window are left out. $|max + bias| < 2^{30}$ and $1 \le shift \le 62$: compute in int64 (a float32 does not hold all whole numbers above $2^{24}$). The zero point is 0 here. The result is `int8 [h // size, w // size, out]`. Rescale only the largest sums: that is
# the aim. A hint: `x.unflatten(0, (a, b))` splits the first axis into two, and `x.amax((1, 3))` takes the largest over two axes.
#
# **Predict:** an image of 7 x 7 pixels is pooled by windows of 2 x 2. How many sums are rescaled for each channel?
#
# <details><summary>Answer</summary>
#
# Nine. The last row and column belong to no window.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "pool_first", "locked": false, "schema_version": 3, "solution": true, "task": false}
def pool_first(
    sums: Int32[Tensor, "h w out"],
    bias: Int[Tensor, " out"],
    multiplier: Int[Tensor, " out"],
    shift: Int[Tensor, " out"],
    size: int,
) -> Int8[Tensor, "ph pw out"]:
    """The codes of the largest sum of each window: ((max + bias) * multiplier + 2^(shift-1)) >> shift, clamped to int8.

    >>> sums = torch.tensor([[[4], [8], [99]], [[6], [-9], [99]]], dtype=torch.int32)  # the third column fills no window
    >>> pool_first(sums, torch.tensor([2]), torch.tensor([2**30]), torch.tensor([31]), size=2)  # half of 8 + 2
    tensor([[[5]]], dtype=torch.int8)
    """
    ### BEGIN SOLUTION
    h, w = sums.shape[0] // size, sums.shape[1] // size
    windows = sums[: h * size, : w * size].unflatten(1, (w, size)).unflatten(0, (h, size))
    best = windows.amax((1, 3)).long() + bias
    return ((best * multiplier + 2 ** (shift - 1)) >> shift).clamp(-128, 127).to(torch.int8)
    ### END SOLUTION


# %%
checks.try_examples(pool_first)

# %% nbgrader={"grade": true, "grade_id": "test_pool_first", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.deployment.pool_first(pool_first)
### BEGIN HIDDEN TESTS
checks.deployment.pool_first(pool_first, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# The same network with pooling on the sums, placed by your `place`. Then your function against the other order, on random sums.

# %% tags=["nbval-ignore-output"]
fused = operations(network)
arenas = {}
for name, one in (("codes first", program), ("pooled first", fused)):
    buffers = lifetimes(steps_of(one))
    arenas[name] = arena_bytes(buffers, place(buffers, alignment=8))
    print(f"{name:12} arena {arenas[name]:6,} bytes, {one.macs:9,} multiplications")

some = [
    torch.randint(-(2**20), 2**20, (28, 28, 24)).int(),
    torch.zeros(24).long(),
    torch.full((24,), 2**30),
    torch.full((24,), 43),
]
late = F.max_pool2d(pool_first(*some, size=1).permute(2, 0, 1).float(), 2).permute(1, 2, 0)
print(f"codes that differ from those of the other order: {int((pool_first(*some, size=2) != late).sum())} of {late.numel()}")
lines.class_bars(list(arenas), {"arena": list(arenas.values())}, "bytes")

# %% [markdown]
# *What is seen: two bars. The second is less than a third of the first.*
#
# **Question.** Why are there fewer multiplications too?
#
# <details><summary>Answer</summary>
#
# The third convolution gives 7 x 7 pixels, of which the pooling uses 6 x 6. The others are not computed any more.
#
# </details>
#
# ## Part 4: the network as C
#
# A chip runs no Python. But every C compiler of the last twenty years understands C99. Of its library only `stdint.h` is needed, which names integers by their width. You
# write the text of one layer.

# %% tags=["widget", "nbval-ignore-output"]
widgets.predict(
    "The weights stand in the C file as an array, but the word const is forgotten. What happens?",
    ["the numbers are wrong", "the weights are copied into RAM", "nothing: const is for readers only"],
    "What may change must lie in RAM. What is const may stay in flash.",
)

# %% [markdown]
# ### Exercise 8: a layer that writes itself
# *Difficulty 3 of 5, 9 minutes, 3 points*
#
# **Aim:** the text of a C function for one linear layer on codes.
#
# $$sum_o = bias_o + \sum_i x_i \, w_{o,i}$$
#
# $$y_o = clamp\left( \left( (sum_o \cdot m_o + 2^{shift_o - 1}) \gg shift_o \right) + zero\_point, \; low, \; high \right)$$
#
# `weight` is `int8 [out, k]`, `bias`, `multiplier` and `shift` are integers `[out]`, `limits` is (zero point, low, high), and $1 \le shift \le 62$. The sum is an `int32_t`; the product with the multiplier needs an
# `int64_t`. Given is `constants(name, ...)`, which writes the four arrays as constants `name_weight` (row after row, so the number of output o and input i stands at `o * k + i`),
# `name_bias`, `name_multiplier` and `name_shift`; the frame of the function, `void name(const int8_t *x, int8_t *y)` with a loop over `o`; and `clamp`, the last line of the loop, which
# clamps `code` to low..high and writes it to `y[o]`. Write what stands before it as a text into the variable `body`: the sum over `i`, and an `int64_t code` made of it.
#
# C has four traps here. `a + b << c` is `(a + b) << c`: put brackets around each shift. `sum * multiplier` of two `int32_t` is an `int32_t` and too small: `(int64_t)sum * multiplier` is not. `1 << 42` is an `int` and too small: `(int64_t)1 << 42`. And
# `char` is signed on a PC and unsigned on a phone: write `int8_t`. In Python, `{{` in an f-string gives one `{`.
#
# Your C is checked without a compiler: a small interpreter reads it. It knows constants, whole numbers of `int8_t` to `uint64_t`, `for`, `while`, `if`, `?:` and all operators; no calls,
# no pointers but `x` and `y`, no floats, no `#define`. It stops where C leaves the result open, as at a sum that does not fit its type.
#
# **Predict:** three products of two codes: can their sum pass 16 bits?
#
# <details><summary>Answer</summary>
#
# Yes: 3 times 128 times 128 is 49,152, and `int16_t` ends at 32,767.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "emit_dense", "locked": false, "schema_version": 3, "solution": true, "task": false}
def emit_dense(
    name: str,
    weight: Int8[Tensor, "out k"],
    bias: Int[Tensor, " out"],
    multiplier: Int[Tensor, " out"],
    shift: Int[Tensor, " out"],
    limits: tuple[int, int, int],
) -> str:
    """A linear layer on codes as C: constants, and void name(const int8_t *x, int8_t *y). limits: zero point, low, high.

    >>> weight, one = torch.tensor([[2, -3]], dtype=torch.int8), torch.tensor([1])
    >>> run = read_c(emit_dense("f", weight, one, one * 2**30, one * 31, (7, -128, 127)), "f")
    >>> run([5, -1], 1)  # (1 + 10 + 3) / 2 + 7
    [14]
    """
    out, k = weight.shape
    zero, low, high = limits
    head = constants(name, weight=weight, bias=bias, multiplier=multiplier, shift=shift)
    clamp = f"y[o] = (int8_t)(code < {low} ? {low} : code > {high} ? {high} : code);"
    ### BEGIN SOLUTION
    body = f"""int32_t sum = {name}_bias[o];
        for (int32_t i = 0; i < {k}; i++) sum += x[i] * {name}_weight[o * {k} + i];
        int64_t code = (int64_t)sum * {name}_multiplier[o] + ((int64_t)1 << ({name}_shift[o] - 1));
        code = (code >> {name}_shift[o]) + {zero};"""
    ### END SOLUTION
    return (
        head
        + f"void {name}(const int8_t *x, int8_t *y) {{\n    for (int32_t o = 0; o < {out}; o++) {{\n        {body}\n        {clamp}\n    }}\n}}\n"
    )


# %%
checks.try_examples(emit_dense)

# %% nbgrader={"grade": true, "grade_id": "test_emit_dense", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.deployment.emit_dense(emit_dense)
### BEGIN HIDDEN TESTS
checks.deployment.emit_dense(emit_dense, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Your text of layer 13, read by the interpreter and by this machine's compiler, if there is one; and the whole network as C, written by the library.

# %% tags=["nbval-ignore-output"]
images = seen.images[:300]
codes = input_codes(fused, images)
values = run(fused, codes.numpy())  # the codes of all layers
layer = next(one for one in fused.operations if one.name == "13")
arrays = [torch.from_numpy(layer.array(name)) for name in ("weight", "bias", "multiplier", "shift")]
text = emit_dense("layer_13", arrays[0].to(torch.int8), *arrays[1:], (layer.zero_point, layer.low, layer.high))
x, want = (torch.from_numpy(values[number].reshape(300, -1)) for number in (layer.inputs[0], layer.output))
print(text[:130].replace("\n", " ") + " ...\n" + text[text.index("void") :])
print("the interpreter agrees on an image:", read_c(text, "layer_13")(x[0].tolist(), 64) == want[0].tolist())
if compiler():
    theirs = torch.from_numpy(run_function(text, "layer_13", x.numpy(), 64))
    print(f"compiled: {int((theirs != want).sum())} of {want.numel():,} codes of {len(x)} images differ")
    whole = run_c(fused, to_c(fused), codes.numpy(), ("-O3",))
    print(
        f"the whole network: {int((whole != values[-1].reshape(whole.shape)).sum())} of {whole.size:,} sums of {len(images)} images differ"
    )
else:
    print(
        "No C compiler was found. To see your C run, install gcc or clang;\nwithout an administrator: pip install ziglang, then zig cc."
    )

# %% tags=["nbval-ignore-output"]
plan = plan_memory(fused)
flash = {"const": fused.weight_bytes + 256, "const forgotten": fused.weight_bytes + 256}
ram = {"const": plan.arena, "const forgotten": plan.arena + fused.weight_bytes + 256}
print(f"constants {flash['const']:,} bytes, arena {plan.arena:,} bytes")
lines.class_bars(["flash", "RAM"], {name: [flash[name], ram[name]] for name in flash}, "bytes")

# %% [markdown]
# *What is seen: two groups of two bars. In flash both are equal. In RAM the bar with const is small; without it, it is higher than that of flash.*
#
# **Question.** Why does the weight stay in flash too when it is copied into RAM?
#
# <details><summary>Answer</summary>
#
# RAM is empty when the power comes on. The numbers must be kept somewhere, and are copied from there before the program begins.
#
# </details>
#
# ## Part 5: the same network, really?
#
# The C code, the page and the runtime shall compute *the same network*. Many people compare the classes of a hundred images. Is that enough?

# %% tags=["widget", "nbval-ignore-output"]
widgets.predict(
    "A port rounds every code a little wrongly. On how many of 1,000 images is the class another one?",
    ["on nearly all", "on about half", "on a few, or on none"],
    "Below, bugs are planted into the network, and both comparisons are tried.",
)

# %% [markdown]
# ### Exercise 9: where do they part?
# *Difficulty 2 of 5, 5 minutes, 2 points*
#
# **Aim:** the first layer in which two programs differ, because this is where the bug is.
#
# `ours` and `theirs` are dictionaries: a name of a layer and its numbers, a tensor `[n, ...]` for n images, perhaps only `[n]`. Both have the same names and shapes, and `ours` is in the order of execution;
# `theirs` may be in any order. Return (name of the first layer with a number that differs, the share of this layer's numbers that differ, the first image with such a number) as plain
# str, float and int; `None` when all numbers are equal. Compare exactly: codes are whole numbers. A NaN equals nothing.
#
# **Predict:** why not the layer with the *most* differences?
#
# <details><summary>Answer</summary>
#
# An error in one code of an early layer touches many sums of the next one. The layer with the most differences is usually innocent.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "first_difference", "locked": false, "schema_version": 3, "solution": true, "task": false}
def first_difference(
    ours: Mapping[str, Shaped[Tensor, "..."]], theirs: Mapping[str, Shaped[Tensor, "..."]]
) -> tuple[str, float, int] | None:
    """(first layer of ours that differs, share of its numbers, first image), or None.

    >>> ours = {"conv": torch.tensor([[1, 2], [3, 4]]), "fc": torch.tensor([[5], [6]])}
    >>> theirs = {"fc": torch.tensor([[9], [9]]), "conv": torch.tensor([[1, 2], [3, 5]])}
    >>> first_difference(ours, theirs)  # one number of four, in the second image
    ('conv', 0.25, 1)
    """
    ### BEGIN SOLUTION
    for name in ours:
        wrong = (ours[name] != theirs[name]).reshape(len(ours[name]), -1)
        if wrong.any():
            return name, wrong.double().mean().item(), int(wrong.any(1).nonzero()[0])
    return None
    ### END SOLUTION


# %%
checks.try_examples(first_difference)

# %% nbgrader={"grade": true, "grade_id": "test_first_difference", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.deployment.first_difference(first_difference)
### BEGIN HIDDEN TESTS
checks.deployment.first_difference(first_difference, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Five bugs that people have really made, each planted into one layer of our network: the first layer that differs, the share of its numbers, and how many of 300 images get
# another class.

# %% tags=["nbval-ignore-output"]
bugs = {
    "one multiplier for all channels": ("4", lambda one: {"multiplier": np.full_like(one.multiplier, one.multiplier[0])}),
    "multiplier of 16 bits": ("8", lambda one: {"multiplier": one.multiplier >> 15 << 15}),
    "ReLU at code 0": ("0", lambda one: {"low": 0}),
    "weights in torch's order": (
        "13",
        lambda one: {"weight": one.weight.reshape(-1, 9, 96).swapaxes(1, 2).reshape(one.weight.shape)},
    ),
    "bias cut to a whole code": ("8", lambda one: {"bias": one.bias >> 12 << 12}),
}


def by_layer(program: IntegerProgram) -> dict[str, Tensor]:
    """The numbers of every operation, by its name."""
    values = run(program, codes.numpy())
    return {one.name: torch.from_numpy(values[one.output]) for one in program.operations}


ours, shares = by_layer(fused), {}
for bug, (where, change) in bugs.items():
    planted = [replace(one, **change(one)) if one.name == where else one for one in fused.operations]
    theirs = by_layer(replace(fused, operations=tuple(planted)))
    layer_found, share, _ = first_difference(ours, theirs)
    scale = torch.tensor(fused.output_scale)
    classes = [(numbers["15"].reshape(len(codes), -1) * scale).argmax(1) for numbers in (ours, theirs)]
    shares[bug] = [(ours[name] != theirs[name]).double().mean() for name in ours]
    print(
        f"{bug:31} first in layer {layer_found:2} ({share:6.2%}); other class: {int((classes[0] != classes[1]).sum()):3}"
    )
lines.curves(list(range(len(ours))), shares, "layer, in the order of execution", "share that differs")

# %% [markdown]
# *What is seen: five lines that lie at 0 until the layer of their bug, and then rise, most of them to nearly 1.*
#
# **Question.** Which of the bugs would a comparison of classes have found?
#
# <details><summary>Answer</summary>
#
# Read the last column: for some bugs no image, or only a few, has another class, although most of the numbers are wrong.
#
# </details>
#
# ## Part 6: another runtime
#
# Where there is an operating system, others have written fast *runtimes*: onnxruntime, ExecuTorch, LiteRT. They do not run your Python; they get a graph of the network's operations. Making it is
# called *exporting*.

# %% tags=["nbval-ignore-output"]
try:
    torch.export.export(copy.deepcopy(model).eval(), (seen.images[:1],), dynamic_shapes=({0: torch.export.Dim("n")},))
except Exception as error:
    print("an example of one image:", type(error).__name__, str(error).strip().splitlines()[0][:34])
frozen = torch.export.export(copy.deepcopy(model).eval(), (seen.images[:1],)).module()
try:
    frozen(seen.images[:4])
except Exception as error:
    print("one image, run with four:", type(error).__name__, str(error).splitlines()[0][:37])
shaky = copy.deepcopy(model).train()
with torch.no_grad():
    for batch in (1, 8, 128):
        found = torch.cat([copy.deepcopy(shaky)(part).argmax(1) for part in seen.images[:512].split(batch)])
        print(f"in train mode, batches of {batch:3}: accuracy {(found == seen.labels[:512]).double().mean():.1%}")

# %% [markdown]
# ### Exercise 10: export
# *Difficulty 3 of 5, 6 minutes, 2 points*
#
# **Aim:** a graph of the network that is right for any number of images.
#
# `torch.export.export(model, (example,), dynamic_shapes=({0: torch.export.Dim("n")},))` runs the model once with the example and writes down what happens. The axis 0 of the first argument is free then, under the
# name n. Two traps lie in it. It writes down what happens *in the mode that the layers are in*, so they must be in eval mode while you export; afterwards each layer has the mode that it had. And a
# batch of 1 is taken for a constant, whatever `dynamic_shapes` says. But `example`, float `[n, ...]`, may be a single image: put two copies of it together (`torch.cat`).
#
# Given: `with evaluating(model):` sets all layers to eval mode, and puts each one's mode back at the end. Return the `ExportedProgram`. It gives the network's logits, nothing before or behind them.
#
# **Predict:** what does batch norm do in train mode with a batch of one image?
#
# <details><summary>Answer</summary>
#
# It takes mean and variance of this one image, in place of those of the training set. The accuracies above show it.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "export", "locked": false, "schema_version": 3, "solution": true, "task": false}
def export(model: nn.Module, example: Float[Tensor, "n ..."]) -> torch.export.ExportedProgram:
    """The model in eval mode, for any number of images; each layer keeps its mode.

    >>> program = export(nn.Sequential(nn.Linear(2, 3), nn.Dropout()), torch.zeros(1, 2))
    >>> program.module()(torch.zeros(7, 2)).shape
    torch.Size([7, 3])
    """
    ### BEGIN SOLUTION
    two = torch.cat([example, example])
    with evaluating(model):
        return torch.export.export(model, (two,), dynamic_shapes=({0: torch.export.Dim("n")},))
    ### END SOLUTION


# %%
checks.try_examples(export)

# %% nbgrader={"grade": true, "grade_id": "test_export", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.deployment.export(export)
### BEGIN HIDDEN TESTS
checks.deployment.export(export, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
program_of_model = export(model, seen.images[:1])
with torch.no_grad(), evaluating(model):
    for n in (1, 2, 7):
        gap = (program_of_model.module()(seen.images[:n]) - model(seen.images[:n])).abs().max()
        print(f"{n} images: largest difference from the model {gap:.1g}")
for node in list(program_of_model.graph.nodes)[-9:-1]:
    print("  ", node.name, tuple(node.meta["val"].shape))

# %% [markdown]
# In the list, the first size of each shape is a name, not a number.
#
# ## Part 7: how long does it take?
#
# A mean says little about a device. A user waits for the *first* answer, in which the program is loaded. After that the usual answer counts, and the slow ones.
#
# ### Exercise 11: the tail
# *Difficulty 1 of 5, 4 minutes, 1 point*
#
# **Aim:** three numbers for a list of times: the first call, the one in the middle, and the slow end.
#
# `times` are floats in the order of the calls; there are more than `warmup` of them. `first` is the very first. The others leave out the first `warmup` calls and are percentiles by *nearest rank*: of n sorted times, $p_{50}$ and $p_{99}$ are
# those at rank $\lceil p \, n / 100 \rceil$, counted from 1. In Python `-(-a // b)` is $\lceil a / b \rceil$ for whole numbers. Return plain floats (first, p50, p99).
#
# **Predict:** of 50 calls after the warm-up, which one is p99?
#
# <details><summary>Answer</summary>
#
# Rank ⌈49.5⌉ = 50: the slowest. For a p99 that leaves one call out, 100 calls are needed.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "tail", "locked": false, "schema_version": 3, "solution": true, "task": false}
def tail(times: Sequence[float], warmup: int) -> tuple[float, float, float]:
    """(first, p50, p99); the percentiles by nearest rank, without the first `warmup` calls.

    >>> tail([9.0, 1.0, 4.0, 2.0, 3.0], warmup=1)
    (9.0, 2.0, 4.0)
    """
    ### BEGIN SOLUTION
    rest = sorted(times[warmup:])
    p50, p99 = (rest[-(-p * len(rest) // 100) - 1] for p in (50, 99))
    return times[0], p50, p99
    ### END SOLUTION


# %%
checks.try_examples(tail)

# %% nbgrader={"grade": true, "grade_id": "test_tail", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks.deployment.tail(tail)
### BEGIN HIDDEN TESTS
checks.deployment.tail(tail, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# One image at a time, with 1 to 16 threads, and with busy neighbours: programs that do nothing but keep the cores busy.


# %% tags=["nbval-ignore-output"]
def times_of(call: Callable[[], object], calls: int = 110) -> list[float]:
    """Milliseconds of each call."""
    found = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        found.append(1000 * (time.perf_counter() - start))
    return found


def image_of(network: nn.Module) -> Callable[[], object]:
    """A call of the network with one image."""
    ready, image = copy.deepcopy(network).eval(), seen.images[:1].clone()

    def call() -> object:
        with torch.no_grad():
            return ready(image)

    return call


cores, measured = os.cpu_count() or 1, {}
for threads in (1, 2, 4, 8, 16):
    with measure.using_threads(threads):
        measured[f"{threads} threads"] = tail(times_of(image_of(model)), warmup=10)
neighbours = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(2 * cores)]
try:
    measured["1 thread, busy neighbours"] = tail(times_of(image_of(model)), warmup=10)
finally:
    for one in neighbours:
        one.kill()
        one.wait()
print(f"float network in PyTorch, this machine has {cores} cores")
for name, (first, p50, p99) in measured.items():
    print(f"{name:26} first {first:6.2f} ms, p50 {p50:6.2f} ms, p99 {p99:7.2f} ms")

# %% [markdown]
# **Question.** Why are more threads than cores slower? Which number do the neighbours change most?
#
# <details><summary>Answer</summary>
#
# The threads of one layer wait for one another, and those that have no core wait longest. Neighbours change p50 little and p99 much: now and then they have the core for some milliseconds.
#
# </details>
#
# And a *cold* process: how long until the first answer, from the start of the program?

# %% tags=["nbval-ignore-output"]
for name, line in {
    "Python alone": "pass",
    "numpy": "import numpy",
    "torch": "import torch",
    "onnxruntime": "import onnxruntime",
}.items():
    start = time.perf_counter()
    ended = subprocess.run([sys.executable, "-c", line], stderr=subprocess.DEVNULL)
    print(
        f"{name:14} ready after {time.perf_counter() - start:5.2f} s" if ended.returncode == 0 else f"{name:14} is not installed"
    )

# %% [markdown]
# A program in C is ready after a few milliseconds; the page of the last part as soon as the browser has read it.
#
# Is 8-bit arithmetic faster? On this machine, see for yourself:

# %% tags=["nbval-ignore-output"]
one_image = seen.images[:1]
ways = {"float, PyTorch": image_of(model), "int8, PyTorch and Numba": image_of(network)}
try:
    for name, graph in (("float, onnxruntime", float_onnx(model)), ("int8, onnxruntime", lib.to_onnx(network))):
        session = start_onnxruntime(graph.SerializeToString())
        ways[name] = lambda session=session: session({"x": one_image.numpy()})
except ImportError as error:
    print(error)
if compiler():
    times = time_c(to_c(fused), codes[:110].numpy(), ("-O3",))
    print(f"{'int8, C, -O3':26} p50 {tail(times, warmup=10)[1]:6.3f} ms")
for name, call in ways.items():
    print(f"{name:26} p50 {tail(times_of(call), warmup=10)[1]:6.3f} ms")

# %% [markdown]
# **Question.** Float in onnxruntime is faster here than our int8 in C. How can that be, when int8 moves a quarter of the bytes?
#
# <details><summary>Answer</summary>
#
# All weights of this network fit into the cache of a PC, so bytes cost little. A PC multiplies eight or sixteen floats with one instruction, in kernels that were tuned for years. Our int8 in onnxruntime goes through
# general operators, with rescaling in 64 bits; our C is plain C. The row of PyTorch and Numba is the same integers in a compiled call that uses byte instructions where the processor has them: look how near it comes.
# ExecuTorch's int8 kernels take less than half of the float time of onnxruntime (measured when this course was made), with other numbers than PyTorch's. Integers win by their *size*, by their exactness, and on chips without float units.
#
# </details>
#
# ## Part 8: from the camera to the network
#
# Somebody builds an app around the network, and it is wrong on most pictures, without any message. Nearly always something has happened to the picture on its way.

# %% tags=["widget", "nbval-ignore-output"]
widgets.predict(
    "An app forgets to divide the pixels by 255. Accuracy falls to one image in six. How sure is the network of its answers?",
    ["not sure: about 20 %", "as sure as before", "surer than ever: nearly 100 %"],
    "The table below shows confidence beside accuracy.",
)

# %% tags=["nbval-ignore-output"]
few, truth = seen.images[:300], seen.labels[:300]
table = {}
print(f"{'':25} accuracy (confidence)")
for name, undo in {"right": None, **MISTAKES}.items():
    wrong = few if undo is None else undo.make(few)
    for kind, one in (("float", model), ("int8", network)):
        p = measure.predict(one, wrong).softmax(1).amax(1)
        table[name, kind] = (answers(one, wrong) == truth).double().mean().item(), p.mean().item()
    cells = [f"{kind} {table[name, kind][0]:.3f} ({table[name, kind][1]:.3f})" for kind in ("float", "int8")]
    print(f"{name:25} {cells[0]}; {cells[1]}")
names = ["right", *MISTAKES]
lines.class_bars(names, {kind: [table[name, kind][0] for name in names] for kind in ("float", "int8")}, "accuracy")

# %% [markdown]
# *What is seen: ten groups of two bars. Four mistakes of scale cost the float network most of its accuracy and the int8 network much less. Two swaps cost both alike. The last two mistakes cost nearly nothing.*
#
# **Question.** With pixels 0..255 the float network is right on one image in six at a confidence of nearly 1. Why, and why is int8 so much better?
#
# <details><summary>Answer</summary>
#
# Numbers 255 times too large make logits some hundred times too large, and softmax turns any difference of such logits into a confidence of 1. In int8 everything bright *saturates*: the network sees a picture in
# black and white, in the right range, and its shape is still there.
#
# </details>
#
# A *contract* says what the network wants of a picture; every artefact of the library carries it.
#
# ### Exercise 12: keep the contract
# *Difficulty 3 of 5, 6 minutes, 2 points*
#
# **Aim:** from a camera's photo to the pixels that the network knows, in whole numbers, so that each device gets the same ones.
#
# `photo` is `uint8 [h, w, 3]`. In this order:
#
# 1. Turn it upright: `contract.turns` quarter turns *clockwise*. (`torch.rot90(x, k, (0, 1))` turns `k` times the other way.)
# 2. Cut the largest part with the proportions of `contract.size` from the middle. Given: `middle(photo, size)`.
# 3. Its channels are red, green, blue; where `contract.order` is `"BGR"` they are blue, green, red.
# 4. Grey: $(299 R + 587 G + 114 B + 500) \, // \, 1000$, in int64 (convert first: uint8 wraps around at 256). The eye sees green best.
# 5. Each pixel of the result is the rounded mean of an area. Given: `means(grey, size)`, for grey `[h, w]`.
# 6. Where `contract.inverted` is true, v becomes 255 - v: the photos are dark on light, and the network was trained on light on dark.
#
# The result is `uint8`, of `contract.size` (height, width).
#
# **Predict:** why must the photo be turned *before* the middle is cut out?
#
# <details><summary>Answer</summary>
#
# The proportions are those of the upright picture. For a square image the order would not matter; 7 x 5 of a photo that lies on its side would be 5 x 7.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "prepare", "locked": false, "schema_version": 3, "solution": true, "task": false}
def prepare(photo: UInt8[Tensor, "h w 3"], contract: Contract) -> UInt8[Tensor, "size_h size_w"]:
    """The photo turned, cut, grey, small and, where the contract says so, inverted.

    >>> prepare(torch.full((60, 80, 3), 200, dtype=torch.uint8), Contract(size=(2, 3), inverted=True))
    tensor([[55, 55, 55],
            [55, 55, 55]], dtype=torch.uint8)
    """
    ### BEGIN SOLUTION
    colours = middle(torch.rot90(photo, -contract.turns, (0, 1)), contract.size).long()
    red, green, blue = (colours.flip(2) if contract.order == "BGR" else colours).unbind(2)
    small = means((299 * red + 587 * green + 114 * blue + 500) // 1000, contract.size)
    return (255 - small if contract.inverted else small).to(torch.uint8)
    ### END SOLUTION


# %%
checks.try_examples(prepare)

# %% nbgrader={"grade": true, "grade_id": "test_prepare", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.deployment.prepare(prepare)
### BEGIN HIDDEN TESTS
checks.deployment.prepare(prepare, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# A photo such as a phone takes it: a dark dress on white paper, the phone held on its side. Your function makes of it what the network wants.

# %% tags=["nbval-ignore-output"]
dress = (seen.images[9, 0] * 255).round().to(torch.uint8)
paper = torch.full((280, 400), 255, dtype=torch.uint8)
paper[:, 60:340] = 255 - dress.repeat_interleave(10, 0).repeat_interleave(10, 1)
lying = torch.rot90(paper, 1, (0, 1))[..., None].repeat(1, 1, 3)
for name, contract in (
    ("by the contract", Contract(inverted=True, turns=1)),
    ("not turned", Contract(inverted=True)),
    ("not inverted", Contract(turns=1)),
):
    pixels = prepare(lying, contract)
    logits = measure.predict(network, pixels[None, None].float() / 255)[0]
    same = int((pixels == dress).sum())
    print(f"{name:15} {same:3} of 784 pixels as in the data: {seen.classes[int(logits.argmax())]}, confidence {logits.softmax(0).max():.2f}")

# %% [markdown]
# ### Exercise 13: what has the app done?
# *Difficulty 2 of 5, 4 minutes, 1 point*
#
# **Aim:** from pictures as they reach the network, with their labels, find which of the nine mistakes of the table was made.
#
# Given: `UNDO`, a dictionary of ten names, `"right"` and the nine mistakes; each has a function that takes the mistake back (for `"right"` it changes nothing). Undo each *by itself*, and return the name after which the
# model is least surprised: the mean cross-entropy of the labels is smallest. `images` are float `[n, c, h, w]`, height and width are equal; `labels` are `int64 [n]`; the model is in eval mode.
# Only the name counts; how exactly you compute the losses does not matter.
#
# **Predict:** why not the name after which the network is most confident?
#
# <details><summary>Answer</summary>
#
# The table says it: the confidence is highest where the accuracy is lowest.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "diagnose", "locked": false, "schema_version": 3, "solution": true, "task": false}
def diagnose(model: nn.Module, images: Float[Tensor, "n c h w"], labels: Int[Tensor, " n"]) -> str:
    """The name in UNDO after whose undoing the mean cross-entropy of the labels is smallest.

    >>> def mean_pixel(x):  # a model of two classes: bright or dark
    ...     return 9 * torch.stack([x.mean((1, 2, 3)) - 0.5, 0.5 - x.mean((1, 2, 3))], dim=1)
    >>> images = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 1, 4, 4)
    >>> diagnose(mean_pixel, 1 - images, torch.tensor([1, 0]))
    'black and white swapped'
    """
    ### BEGIN SOLUTION
    loss = {}
    with torch.no_grad():
        for name, undo in UNDO.items():
            loss[name] = F.cross_entropy(model(undo(images)), labels).item()
    return min(loss, key=loss.get)
    ### END SOLUTION


# %%
checks.try_examples(diagnose)

# %% nbgrader={"grade": true, "grade_id": "test_diagnose", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks.deployment.diagnose(diagnose)
### BEGIN HIDDEN TESTS
checks.deployment.diagnose(diagnose, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
model.eval()
for name, mistake in MISTAKES.items():
    found = diagnose(model, mistake.make(few), truth)
    print(f"planted: {name:26} found: {found}")

# %% [markdown]
# **Question.** Is there a mistake that is not found? Does it matter?
#
# <details><summary>Answer</summary>
#
# Dividing by 256 instead of 255 changes each pixel by less than half a percent, so chance decides between it and "right". It costs no accuracy either; a test that compares codes finds it at once.
#
# </details>
#
# ## Part 9: inside a budget
#
# A device has so much flash, so much RAM, so many milliseconds, and a battery. What an image takes of the last can be bounded by counting.
#
# ### Exercise 14: how many joules?
# *Difficulty 2 of 5, 4 minutes, 1 point*
#
# **Aim:** bounds of the energy of one image, by counting (Horowitz 2014; newer chips need less of everything, in similar proportions).
#
# $$E = macs \cdot e_{bits} + 2 \cdot \frac{activation\_bytes}{8} \cdot e_{small} + \frac{weight\_bytes}{8} \cdot e_{weights}$$
#
# In picojoules (1 pJ = $10^{-12}$ J): a multiplication and a sum cost $e_{bits}$ = 0.3 for 8 bits, 1.5 for 16 and 4.6 for 32: `ARITHMETIC[bits]`. Reading or writing 8 bytes costs 20 in the small memory where the activations are (`SMALL`);
# each is written once and read once. The weights are read once for an image: 8 bytes cost 20 to 100 from memory on the chip (`ON_CHIP`), and 1,300 to 2,600 from DRAM (`DRAM`), where `dram` is true. The
# result is (low, high) in joules, plain floats.
#
# **Predict:** how many 8-bit multiplications cost as much as reading one byte from DRAM?
#
# <details><summary>Answer</summary>
#
# 1,300 / 8 is 162 pJ, and a multiplication with its sum is 0.3 pJ: more than 500.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "energy", "locked": false, "schema_version": 3, "solution": true, "task": false}
def energy(macs: int, weight_bytes: int, activation_bytes: int, bits: int, dram: bool) -> tuple[float, float]:
    """(low, high) joules of one image.

    >>> [round(1e6 * joules, 1) for joules in energy(4_289_536, 107_992, 42_396, bits=8, dram=True)]  # microjoules
    [19.0, 36.6]
    """
    ### BEGIN SOLUTION
    fixed = macs * ARITHMETIC[bits] + 2 * activation_bytes / 8 * SMALL
    low, high = DRAM if dram else ON_CHIP
    return (fixed + weight_bytes / 8 * low) * 1e-12, (fixed + weight_bytes / 8 * high) * 1e-12
    ### END SOLUTION


# %%
checks.try_examples(energy)

# %% nbgrader={"grade": true, "grade_id": "test_energy", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks.deployment.energy(energy)
### BEGIN HIDDEN TESTS
checks.deployment.energy(energy, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
moved = sum(value.bytes for value in fused.values)
print("energy of an image, and how many images a battery of 10 Wh is enough for")
for bits in (32, 16, 8):
    for where, dram in (("in DRAM", True), ("on the chip", False)):
        low, high = energy(fused.macs, fused.weight_bytes * bits // 8, moved * bits // 8, bits, dram)
        print(
            f"{bits:2} bits, {where:11}: {1e6 * low:5.1f} to {1e6 * high:5.1f} microjoules; {36_000 / high:.1e} images or more"
        )

# %% [markdown]
# ### Exercise 15: which one fits?
# *Difficulty 1 of 5, 4 minutes, 1 point*
#
# **Aim:** of several networks the most accurate one that keeps every limit.
#
# `candidates` is a list of `Facts` with the attributes `name`, `accuracy`, `flash`, `ram` (bytes), `ms` and `joules` (for one image). A limit that is met exactly is kept. Of equally accurate ones take the one with
# less flash. Return the candidate itself, or `None` if none keeps all four limits.
#
# **Predict:** you choose by accuracy. On which images should it be measured?
#
# <details><summary>Answer</summary>
#
# On validation images. Whoever chooses by the test images reports too good a number.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "fits", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fits(candidates: list[Facts], flash: int, ram: int, ms: float, joules: float) -> Facts | None:
    """The most accurate candidate inside all four limits, of equal ones that with less flash; None if there is none.

    >>> small, large = Facts("small", 0.8, 10, 2, 1.0, 1e-6), Facts("large", 0.9, 99, 9, 2.0, 2e-6)
    >>> fits([small, large], flash=50, ram=9, ms=9.0, joules=1.0).name
    'small'
    """
    ### BEGIN SOLUTION
    inside = [c for c in candidates if c.flash <= flash and c.ram <= ram and c.ms <= ms and c.joules <= joules]
    return max(inside, key=lambda c: (c.accuracy, -c.flash), default=None)
    ### END SOLUTION


# %%
checks.try_examples(fits)

# %% nbgrader={"grade": true, "grade_id": "test_fits", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks.deployment.fits(fits)
### BEGIN HIDDEN TESTS
checks.deployment.fits(fits, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Candidates: the network of the course, three smaller ones made of it by removing channels (unit 01), and the residual network. The budget: a chip with 96 KiB of flash and 20 KiB of RAM.

# %% tags=["nbval-ignore-output"]
networks = {"fashion_cnn": network, "fashion_resnet": resnet}
for share in (0.7, 0.5, 0.35):
    small = pruning.prune_units(
        model, seen.images[:1], pruning.WorkBudget(share), "taylor", fashion.calibration.first(100), progress=False
    )
    networks[f"{share:.0%} of the work"] = lib.quantize_model(
        small, fashion.calibration.first(100), lib.QuantizationConfig(mode="integer")
    )
part, facts = seen.first(1000), []
print(f"{'':16} accuracy,   flash,    RAM, time here, at most")
for name, one in networks.items():
    listed = operations(one)
    low, high = energy(listed.macs, listed.weight_bytes, sum(value.bytes for value in listed.values), 8, dram=False)
    hits = (answers(one, part.images) == part.labels).double().mean().item()
    speed = tail(times_of(image_of(one), 40), warmup=5)[1]
    facts.append(Facts(name, hits, listed.weight_bytes, plan_memory(listed).arena, speed, high))
    print(
        f"{name:16} {hits:8.3f}, {listed.weight_bytes:7,}, {facts[-1].ram:6,}, {speed:5.2f} ms, {1e6 * high:.1f} microjoules"
    )
FLASH, RAM = 96 * 1024, 20 * 1024
chosen = fits(facts, FLASH, RAM, ms=20.0, joules=20e-6)
print("chosen:", chosen.name if chosen else "none fits")
plots.budget_box(
    [(one.name, one.flash, one.accuracy) for one in facts],
    FLASH,
    chosen.name if chosen else "",
    "flash (bytes)",
    "accuracy on validation images",
)

# %% [markdown]
# *What is seen: five named points; to the right of a dashed line is more flash than there is. The chosen point lies to its left.*
#
# Two networks can also work together. In a *cascade* the small one answers where its calibrated confidence is high, and the large one is asked about the others.

# %% tags=["nbval-ignore-output"]
last = list(networks)[-1]
tiny, big = networks[last], network
temperature = calibration.fit_temperature(
    measure.predict(tiny, fashion.calibration.first(500).images), fashion.calibration.first(500).labels
)
confident = (measure.predict(tiny, part.images) / temperature).softmax(1).amax(1)
cheap, dear = (answers(one, part.images) == part.labels for one in (tiny, big))
work = [operations(one).macs / 1e6 for one in (tiny, big)]
cascade = []
for threshold in (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 1.01):
    asked = confident < threshold
    right = torch.where(asked, dear, cheap).double().mean().item()
    cascade.append((work[0] + asked.double().mean().item() * work[1], right))
    print(
        f"threshold {threshold:.2f}: {asked.double().mean():4.0%} go on; {cascade[-1][0]:.2f} M multiplications, accuracy {right:.3f}"
    )
print(f"the large one alone: {work[1]:.2f} M multiplications, accuracy {dear.double().mean():.3f}")
lines.curves(
    [x for x, _ in cascade], {"cascade": [y for _, y in cascade]}, "million multiplications an image, on average", "accuracy"
)

# %% [markdown]
# *What is seen: a line that rises steeply at first and is flat later: the last images that the large network is asked about change nothing any more.*
#
# **Question.** Compare with the large one alone. When does a cascade pay, and what does it cost that the figure does not show?
#
# <details><summary>Answer</summary>
#
# It pays where the small one is sure of most images, and right. Ours was pruned and not trained again, and is seldom sure: with the accuracy of the large one, the cascade multiplies more than it does alone.
# It costs flash for both networks, and time that varies: p99 is the time of both together.
#
# </details>
#
# ## Your page
#
# The last artefact is a page: one file with the network, its engine and a few pictures in it. It makes no request to anyone. Send it to your phone, switch the network off, and it works. WebAssembly computes the
# sums, and where it is missing JavaScript does, in doubles where they are proven exact (exercise 4) and in halves elsewhere (exercise 3).

# %% tags=["nbval-ignore-output"]
logits = measure.predict(network, fashion.calibration.images)
warm = calibration.fit_temperature(logits, fashion.calibration.labels)
share = (answers(network, fashion.test.images[:2000]) == fashion.test.labels[:2000]).double().mean()
sentence = f"8-bit integers, {fused.weight_bytes:,} bytes of constants, right on {share:.1%} of 2,000 test images."
examples = (fashion.test.images[:10] * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
page = to_html(fused, PageText("What do you wear?", tuple(fashion.test.classes), sentence, warm), examples)
path = Path("my_page.html")
path.write_text(page, encoding="utf-8")
print(f"{path}: {len(page.encode()):,} bytes, beside this notebook. Open it in your browser.")
OPEN = False  # True opens it in your browser
if OPEN:
    webbrowser.open(path.resolve().as_uri())

# %% [markdown]
# Draw a shoe on it. Then try the camera: put a dark piece of clothing on a light table. Where is it sure and wrong? Neither accuracy nor calibration is promised for such pictures.
#
# In a terminal, `posttrain-lab deploy fashion_cnn --to web` makes such a page too, and writes a card with all numbers beside it; `--to c` and `--to onnx` make the other two.
#
# ## What the numbers say
#
# - **Exact.** Not one number changed on the way from PyTorch to C: whole numbers have no rounding that depends on the order. Floats of two runtimes agree to about 1e-5 only.
# - **Classes prove little.** Planted bugs changed up to nearly all numbers; three of the five changed few of the classes, or none.
# - **Memory.** Reuse of the arena and pooling before rescaling made the RAM several times smaller. No accuracy was paid for that.
# - **Time.** Means hide the first call and the slow ones. Threads above the number of cores cost time.
# - **The picture.** Wrong preprocessing costs more accuracy than pruning and rounding together, and some of it raises the confidence.
# - **Where the technique lost.** On a PC, float in a tuned runtime is several times faster than our exact int8 in C or as ONNX. Nothing here was timed on a real chip.

# %% [markdown]
# ## In your own words
#
# Write a paragraph of about 120 words on the figure of flash and accuracy with its budget: which network would you put on the
# chip, and what would make you choose another? In a class a person marks it with three points: one for two numbers of the
# figure, *as they came out on your machine*, each with how sure it is; one for a reason that rests on something you computed
# in this unit; and one for what the figure cannot show, and how you would find out.

# %% [markdown] nbgrader={"grade": true, "grade_id": "explain_budget", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# The chosen point has the highest accuracy to the left of the line; beside it I give the next smaller one. With 1,000 images
# the interval of an accuracy is about two points wide on each side, so a gap smaller than that decides nothing, and I would
# count the images on which only one of the two is right. Flash is exact, as all numbers are constants; the arena that my
# `place` found is its lower bound. The figure cannot show the time on the chip or the energy, which was only bounded by
# counting: I would run the C on a board, and measure its tail.
# ### END SOLUTION

# %% [markdown]
# ## Five questions

# %% jupyter={"source_hidden": true} tags=["widget", "nbval-ignore-output"]
widgets.quiz(
    [
        widgets.Question(
            "Two programs give the same class for each of 1,000 images. What is proven?",
            ("they compute the same network", "little: their numbers may all differ", "that the rounding is the same"),
            1,
            "Compare number by number, layer by layer, with ties and negative sums among them.",
        ),
        widgets.Question(
            "The output of the first layer needs most of the RAM, and a max pooling follows. What helps?",
            ("pool the sums before they are rescaled", "round to 4 bits", "a faster processor"),
            0,
            "The large image then never exists.",
        ),
        widgets.Question(
            "An app shows a confidence of 99.8 % and is nearly always wrong. What do you check first?",
            ("the calibration", "the range of the pixels", "the number of threads"),
            1,
            "Pixels 0..255 in place of 0..1 make logits huge, and softmax sure.",
        ),
        widgets.Question(
            "An exported network has accuracy 0.83 at batch 1 and 0.92 at batch 128. Why?",
            ("it was exported in train mode", "batch 1 is too small for the cache", "the example had one image"),
            0,
            "Batch norm takes mean and variance of the batch.",
        ),
        widgets.Question(
            "The mean time is 0.4 ms, p99 is 50 ms. A camera gives 30 pictures a second. What happens?",
            ("nothing: 0.4 ms is enough", "about one picture in three seconds comes late", "every picture comes late"),
            1,
            "One call in a hundred takes longer than the 33 ms between two pictures.",
        ),
    ]
)

# %% [markdown]
# ## Papers
#
# - Jacob et al. 2018, *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference*: exercises 3 and 8.
# - Pisarchyk, Lee 2020, *Efficient Memory Management for Deep Neural Net Inference*: exercises 5 and 6.
# - Lai, Suda, Chandra 2018, *CMSIS-NN: Efficient Neural Network Kernels for Arm Cortex-M CPUs*: exercises 2 and 7.
# - Horowitz 2014, *Computing's Energy Problem (and what we can do about it)*: exercise 14.
# - Mitchell et al. 2019, *Model Cards for Model Reporting*: the card beside an artefact.
# - Dean, Barroso 2013, *The Tail at Scale*: exercise 11.
#
# ## If you want more
#
# 1. **A cascade of your own.** Write `cascade(small, large, images, threshold)`. Choose the threshold on *validation* images so that at most one image in five goes to the large network, and report
#    accuracy and mean multiplications on the test images.
# 2. **A convolution in C.** Extend `emit_dense` to a 3 x 3 convolution over channels-last codes. The padding has the code of the zero point, not 0.
# 3. **Close the gap.** Write the sums of exercise 8 so that four outputs share one pass over `x`. How much faster is it with `-O3`?
#
# Words of this unit in the glossary: [edge computing](../glossary.md#edge-computing), [mobile deployment](../glossary.md#mobile-deployment), [arena](../glossary.md#arena), [channels
# last](../glossary.md#channels-last), [flash](../glossary.md#flash), [RAM](../glossary.md#ram), [DRAM](../glossary.md#dram), [scratch memory](../glossary.md#scratch-memory),
# [shortcut](../glossary.md#shortcut), [double](../glossary.md#double), [export](../glossary.md#export), [runtime](../glossary.md#runtime), [ONNX](../glossary.md#onnx), [latency](../glossary.md#latency),
# [cascade](../glossary.md#cascade), [model card](../glossary.md#model-card), [WebAssembly](../glossary.md#webassembly).
