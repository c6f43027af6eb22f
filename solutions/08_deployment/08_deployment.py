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
# A trained network lives in PyTorch. A phone, a camera and a watch have no PyTorch. They have little memory, no Python, some of them
# not even floats. *Deployment* is the way from the one to the other. Computing where the data arise is called *edge computing*.
#
# **The question.** One network that sorts images of clothes, in 8-bit integers: can it leave PyTorch without a single number changing?
# And does it fit: into the memory, into the time, into the battery?
#
# **You need** Python and a little PyTorch (tensors, convolutions). Unit 02 helps: it builds the integers that are used here. No
# other unit must come first.
#
# **How it works.** There are six exercises; the unit takes about 80 minutes. Replace `raise NotImplementedError` with
# your lines; the course's own answers have at most six. The cell right below tries the examples of the docstring. The next
# one checks your function on many more calls and says in a sentence what is wrong. Run both as often as you like. A mistake
# costs only its own exercise. The figures use *your* functions, so they show your work.
# Results may lie in memory in any order (contiguous or not), where nothing else is said.
# The library has such functions too; in a check they are closed, so write yours.
# In a terminal, `posttrain-lab check 08` shows the points of the whole notebook. The [glossary](../glossary.md) explains
# the terms of the field.

# %% tags=["setup"]
import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Int, Int8, Int32, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab import checks, data, models, widgets
from posttrain_lab import quantization as lib
from posttrain_lab.deployment.memory import scratch_bytes
from posttrain_lab.deployment.operations import operations
from posttrain_lab.deployment.program import IntegerProgram
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
        return torch.cat([network(part).argmax(1) for part in images.split(500)])


def peak(buffers: Sequence[Buffer]) -> int:
    """The most bytes that live at one time: no arena can be smaller (exercises 5 and 6)."""
    return max(sum(size for size, first, last in buffers if first <= t <= last) for t in {first for _, first, _ in buffers})


def arena_bytes(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    """How many bytes does an arena have whose buffers begin at these offsets?"""
    return max(offset + size for (size, _, _), offset in zip(buffers, offsets, strict=True))


# %% [markdown]
# ## Part 1: what a device has to know
#
# The network of the course has three convolutions and two linear layers. `lib.quantize_model` makes an integer network of it, as at the
# end of unit 02: images become codes of 8 bits, products are added up in int32, and each sum becomes a code again. We look at it on
# *validation* images, as we may choose something by what we see.

# %% tags=["nbval-ignore-output"]
model = models.load_pretrained("fashion_cnn")
network = lib.quantize_model(model, fashion.calibration.images, lib.QuantizationConfig(mode="integer"))
program = operations(network, pool=False)
for name, one in (("float", model), ("integer", network)):
    print(f"{name:8} accuracy {(answers(one, seen.images) == seen.labels).double().mean():.1%}")
for operation in program.operations:
    value = program.values[operation.output]
    print(f"layer {operation.name:3} {operation.kind:5} writes {value.bytes:6,} bytes, {program.macs_of(operation):9,} multiplications")

# %% [markdown]
# Nothing in this table is a float. But before the first layer somebody has to make codes of a picture: pixels from 0 to 255.

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
# $$table_v = clamp\left( round\left( \frac{v / 255}{scale} \right) + zero\_point, \; -2^{bits-1}, \; 2^{bits-1} - 1 \right) \qquad v = 0, \dots, 255$$
#
# The network was trained on numbers from 0 to 1, so a pixel $v$ stands for $v / 255$. `scale` is a positive float, the size of one step;
# `zero_point` is the code of black, one of the codes, so no pixel has a code below it; `bits` is from 2 to 8. The result is `int8 [256]`.
#
# **Predict:** for this network `scale` is 1/255 and `zero_point` is -128. What does the table do?
#
# <details><summary>Answer</summary>
#
# It subtracts 128: pixel and code differ by a constant. That is no accident: the darkest pixel of the calibration images was 0 and the brightest 255.
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
# Memory is one long row of bytes. PyTorch stores an image channel by channel: all of red, then all of green (NCHW). A convolution looks at
# windows, and needs all channels of a few neighbouring pixels. So small devices store the channels of one pixel side by side (NHWC, *channels
# last*): a row of the window is then one piece of memory. The filters must have the same order:
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
# It gives other names to the axes and moves no number. The numbers of the first channel would be taken for the channels of the first pixel.
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
# *What is seen: two rising lines. Channel by channel, the line has a small stair for each channel, of three pieces; channels last it has three long straight
# pieces, however many channels there are.*
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
# Comparing numbers with PyTorch on a few images. The shapes agree, nothing crashes, and the classes are hardly better than guesses. A square filter also
# hides that rows and columns were swapped; the check uses 3 x 2.
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
# The two floors, one after the other, give the same as one floor at the end. `sums` is `int32 [n, out]` with $|sum| < 2^{30}$; each channel has its own
# `multiplier` (`[out]`, $2^{30} \le m < 2^{31}$, int32 or int64) and `shift` (`[out]`, from 17 to 62, int8 or int64). The result is
# `int64 [n, out]`. Convert to int64 first: int8 and int32 wrap around without a word. For tensors, `x >> 16` rounds down and `x & 65535` keeps the
# lower 16 bits.
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
# Other people round differently. Where do they differ from you? The figure tries sums from -24 to 24 with $m = 2^{30}$: the shift 31 halves a sum,
# 32 quarters it, and so on.


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
# *What is seen: four rows of markers, one for each shift; within a row each variant has its own line. "No half" differs at many sums of both signs. "Towards zero" differs at
# negative sums only; "away from zero" at single negative sums, the ties; "to even" at every second tie of both signs.*
#
# Now real images: all sums of the first layer for 20 of them.

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
    print(f"{name:20} {int(before.sum()):7,} of {sums.numel():,} numbers differ, after the ReLU {int(after.sum()):6,} of the codes")

# %% [markdown]
# **Question.** Three of the four mistakes change no code here. May they stay?
#
# <details><summary>Answer</summary>
#
# No. They differ at negative numbers, which the ReLU of this layer hides, and at ties, which a multiplier of 31 bits hardly ever meets. A layer without a ReLU, or
# a multiplier that is a power of two, shows them. A test on real images does not find these bugs: feed ties and negative sums on purpose.
#
# </details>
#
# ### Exercise 4: when is a double enough?
# *Difficulty 3 of 5, 9 minutes, 2 points*
#
# **Aim:** for which channels gives the short formula in doubles, floor(sum * (m / 2^shift) + 0.5), the right code for *every* image?
#
# The short formula is one multiplication, and faster than halves. It is exact when no number on the way is rounded. A sum is at most
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
        print(f"layer {operation.name:3} shifts {int(arrays[3].min())} to {int(arrays[3].max())}: exact in {int(safe.sum())} of {len(safe)} channels")
plots.against_bound(sizes, good, 53, "log2 of reach * m")

# %% [markdown]
# *What is seen: a column of points for each layer, and a dashed line at 53. The columns rise from layer to layer; in the last one some points lie above the line.
# One point, in layer 13, has another form: this channel is not exact.*
#
# **Question.** Other points lie above the line too. Why are they exact?
#
# <details><summary>Answer</summary>
#
# Their shift is at most 43: a sum that large is saturated before a lost bit could matter. One channel has a shift of 44, and for it a proof is missing. So the page that
# you make at the end uses doubles in the layers where they are proven, and halves in the other.
#
# </details>
#
# ## Part 3: memory
#
# A small chip has a few kilobytes of RAM and nobody to ask for more. The weights lie in flash, which is larger. What lies between the layers needs RAM: each layer reads
# one image and writes the next. All of it is put into one block of a fixed size, the *arena*. How large must it be?

# %% tags=["widget", "nbval-ignore-output"]
widgets.predict(
    "The largest image between two layers has 18,816 bytes. How large is the arena at least?",
    ["18,816 bytes", "more than that", "the sum of all images"],
    "A layer reads one image while it writes another.",
)

# %% [markdown]
# ### Exercise 5: from when to when
# *Difficulty 3 of 5, 10 minutes, 2 points*
#
# **Aim:** from which step to which is each buffer needed?
#
# A network is a list of steps, counted from 0. Each is `(bytes, reads, scratch)`: how many bytes it writes, which earlier steps' results it reads (a list of
# their numbers), and how many bytes it needs while it runs, for example for a copy of a window. Step 0 is the input and reads nothing. A result lives from the step that writes it to
# the *last* step that reads it; a *shortcut* is read again much later. A result that nobody reads ends at its own step. The result of the last step lives to the last
# step.
#
# A Flatten writes 0 bytes: its result is a second name for the result that it reads (its only one), and whoever reads the Flatten reads that result.
#
# Return a list of buffers `(bytes, first, last)`: one for each step that writes bytes, in the order of the steps; behind them `(scratch, t, t)` for each
# step $t$ whose scratch is not 0, in the same order. A hint: keep for each step the step that owns its bytes; a dictionary keeps the order in which its keys came in.
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
    owner, last = [], {}
    for t, (size, reads, _) in enumerate(steps):
        owner.append(t if size else owner[reads[0]])
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


resnet = lib.quantize_model(models.load_pretrained("fashion_resnet"), fashion.calibration.first(300), lib.QuantizationConfig(mode="integer"))
living = {"fashion_cnn": lifetimes(steps_of(program)), "fashion_resnet": lifetimes(steps_of(operations(resnet, pool=False)))}
for name, buffers in living.items():
    print(f"{name:15} side by side {sum(size for size, _, _ in buffers):7,} bytes, most at one time {peak(buffers):6,}")
buffers = living["fashion_cnn"]
plots.rectangles(buffers, side_by_side(buffers), peak(buffers), sum(size for size, _, _ in buffers))

# %% [markdown]
# *What is seen: a staircase of rectangles that rises to the right; one of them is by far the highest. Above most of them and below them is empty space: bytes that wait. The
# dashed line is the most that lives at one time.*
#
# **Question.** Which two buffers make the peak? What would make it smaller?
#
# <details><summary>Answer</summary>
#
# The output of the first convolution, 18,816 bytes, and what the pooling makes of it, 4,704 bytes: together 23,520. If the pooling came before the large image is written, the
# large image would not exist. That is exercise 7.
#
# </details>
#
# ### Exercise 6: a place for each
# *Difficulty 4 of 5, 11 minutes, 3 points*
#
# **Aim:** an offset in the arena for each buffer, so that no two that live at the same time share a byte, in as few bytes as possible.
#
# The best plan is hard to find (the problem is NP-hard). A simple rule comes near (Pisarchyk and Lee 2020): place the **largest buffer first**, of equal ones the earlier in the
# list, and give each **the lowest offset that is free**. Free means: no byte of it is taken by a placed buffer that lives at the same time. Lifetimes that touch count as the
# same time: the step that reads the one writes the other. Offsets are multiples of `alignment`, as many chips read four or eight bytes at a time.
#
# `buffers` is a list of `(bytes, first, last)` with at least 1 byte each, `alignment` at least 1. The result is a list of plain whole numbers, in the order of
# `buffers`. A hint: the lowest free offset is 0, or the end of a taken piece, rounded up: `-(-end // alignment) * alignment`.
#
# **Predict:** why the largest first?
#
# <details><summary>Answer</summary>
#
# Small buffers fit into the gaps that large ones leave. The other way round, many small ones lie scattered, and no gap is large enough for the large one.
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
        tops = [0] + [-(-end // alignment) * alignment for _, end in taken]
        offsets[i] = min(at for at in tops if all(at + size <= start or end <= at for start, end in taken))
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
    return plot.update_layout(title_text=f"arena {arena_bytes(buffers, offsets):,} bytes; no plan needs less than {peak(buffers):,}")


widgets.slider_figure(
    draw_arena, name=widgets.Choice(tuple(living), label="network"), placed=widgets.Slider(1, 27, start=27, step=1, label="buffers placed")
)

# %% [markdown]
# *What is seen: the same rectangles. The more of them are placed, the lower they lie, one above the other only where their times meet; with all of them placed the highest edge is the dashed
# line. With one placed the picture is the staircase.*
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
print(f"200 random networks: the lower bound is reached in {reached}, on average {sum(ratios) / 200:.3f} times the bound, at most {max(ratios):.2f}")
for name, buffers in living.items():
    arena = arena_bytes(buffers, place(buffers, alignment=8))
    print(f"{name:15} arena {arena:6,} bytes; fits into 32 KiB of RAM: {'yes' if arena <= 32 * 1024 else 'no'}")

# %% [markdown]
# **Question.** A buffer is off by one byte, and two results overlap in one step. How would you notice?
#
# <details><summary>Answer</summary>
#
# Perhaps not at all: one code of one image is wrong now and then. So a planner is checked by a rule (no two overlap), not by looking at classes. In the emitted C the arena can be
# *painted*: filled with a pattern before the run, to see afterwards which bytes were used.
#
# </details>
