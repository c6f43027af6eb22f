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
# # 02 Quantization: four times smaller, and how much worse?
#
# A trained network is a long list of numbers, and each usually takes 32 bits. Are so many bits needed? In this unit you
# store and multiply 8-bit integers instead, and then 4-bit ones. You write every step yourself: the map from real numbers
# to codes, the integer layer, training with rounded weights, and a rounding of weights that gives a smaller output error
# than rounding to nearest.
#
# **The question.** The course ships a small network that sorts images of clothes into ten classes. Make it four times
# smaller. How many of the 10,000 test images does it then get wrong that it got right before? And is it faster *on this
# machine*? Both answers are measured at the end, by code you can open.
#
# **You need** Python and a little PyTorch (tensors, `nn.Linear`). No other unit comes first.
#
# **How it works.** There are ten exercises; the unit takes about 170 minutes. Replace `raise NotImplementedError` with
# your lines; the course's own answers have at most six. The cell right below tries the examples of the docstring. The
# next one checks your function on many more calls and says in a sentence what is wrong. Run both as often as you like.
# A mistake costs only its own exercise: later ones use the library's version, `lib`, of what came before. The figures
# use *your* functions, so they show your work. In a terminal, `posttrain-lab check 02` shows the points of the whole
# notebook. The [glossary](../glossary.md) explains the terms of the field.
#
# **Which images for what.** Ranges are fitted on *calibration* images, choices are made on *validation* images, and
# the *test* images are used once, for the last numbers of the unit. If we chose by the test set, its accuracy would be
# too high, an optimistic estimate.

# %% tags=["setup"]
import copy
import math
import sys

import torch
from jaxtyping import Float, Float32, Int, Int8, Int32
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import trange

from posttrain_lab import checks, comparisons, data, kernels, measure, metrics, models, training, widgets
from posttrain_lab import quantization as lib
from posttrain_lab.experiments import course_results
from posttrain_lab.plots import passports as passport_plots
from posttrain_lab.plots import quantization as plots
from posttrain_lab.quantization.packing import pack_codes, unpack_codes

torch.set_num_threads(1)  # one thread: times can be compared, and sums come out the same at every run
torch.manual_seed(0)
split = data.load_fashion()
model = models.load_pretrained("fashion_cnn")
model = model.to(memory_format=torch.channels_last)  # the memory format in which its convolutions are fastest


def nearest(column: Tensor, scale: Tensor, bits: int) -> Tensor:
    """The nearest point of a symmetric grid: a column [out] of weights, a scale for each output (exercise 10)."""
    top = 2 ** (bits - 1) - 1
    return torch.round(column / scale).clamp(-top, top) * scale


# %% [markdown]
# ## Where we start
#
# First the network as it is: how good, how large, how fast? The *passport* of a network collects these numbers.
# Accuracy comes with its 95 % interval, because 2,000 images are a sample. Times are medians of many runs on one
# thread.

# %% tags=["nbval-ignore-output"]
before = measure.passport(model, split, "fp32", part="validation", repeats=15)
measure.compare([before])

# %% [markdown]
# **Predict.** You will replace each 32-bit weight and each number that flows between the layers by an 8-bit integer.

# %% tags=["widget", "nbval-ignore-output"]
widgets.predict(
    "Of 1,000 test images, how many answers will change (to another class) when every number has 8 bits?",
    ["fewer than 10", "10 to 50", "more than 50"],
    "The section 'The numbers, once' counts them.",
)

# %% [markdown]
# ## Part 1: real numbers to integers and back
#
# With `bits` bits we have the signed codes $q_{min} = -2^{bits-1}$ to $q_{max} = 2^{bits-1} - 1$; for 8 bits, −128 to
# 127. Two parameters say which real number a code stands for: the [scale](../glossary.md#scale) (the step, that is the
# difference of the real numbers of two neighbouring codes) and the [zero point](../glossary.md#zero-point) (the code that
# stands for 0):
#
# $$x \approx (q - zero\_point) \cdot scale$$
#
# ### Exercise 1: from a range to scale and zero point
# *Difficulty 2 of 5, 12 minutes, 3 points*
#
# **Aim:** choose scale and zero point so that the codes cover the range [low, high].
#
# One rule comes from practice: 0 must have a code of its own, exactly. Padding and ReLU produce thousands of zeros, and
# a zero that is dequantized to 0.004 is an error that always has the same sign. So the range is first *widened to contain 0*.
#
# $$low' = \min(low, 0) \qquad high' = \max(high, 0)$$
#
# | codes | scale | zero point |
# |---|---|---|
# | asymmetric | $(high' - low') / (q_{max} - q_{min})$ | $round(q_{min} - low' / scale)$ |
# | symmetric | $\max(-low', high') / q_{max}$ | $0$ |
#
# If the widened range has no width (low = high = 0), return scale `1.0` and zero point `0`, in both cases. Everything
# here is a plain Python number: `scale` a float, `zero_point` an int.
#
# **Predict:** activations after a ReLU lie between 0 and 6. Which code stands for 0? And how many of the 256 codes would
# never be used if we kept zero point 0 with codes −128 to 127?
#
# <details><summary>Answer</summary>
#
# The lowest code, −128: the range starts at 0, so all codes lie at or above it. With zero point 0 the negative half,
# 128 codes, would stand for numbers that never occur, and each step would be twice as wide.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "affine_qparams", "locked": false, "schema_version": 3, "solution": true, "task": false}
def affine_qparams(low: float, high: float, bits: int = 8, symmetric: bool = False) -> tuple[float, int]:
    """Scale and zero point that map the real range [low, high], widened to contain 0, onto signed codes of `bits` bits.

    asymmetric: scale = (high - low) / (2^bits - 1), zero_point = round(qmin - low / scale), qmin = -2^(bits-1)
    symmetric:  scale = max(-low, high) / (2^(bits-1) - 1), zero_point = 0
    A range without width after widening, low = high = 0: scale 1.0 and zero_point 0. Returns (float, int).

    >>> affine_qparams(-16.0, 47.75)
    (0.25, -64)
    >>> affine_qparams(2.0, 25.5)  # 0 is not in this range, so it is widened
    (0.1, -128)
    """
    ### BEGIN SOLUTION
    low, high, top = min(low, 0.0), max(high, 0.0), 2 ** (bits - 1) - 1
    if symmetric or low == high:
        return max(-low, high) / top or 1.0, 0
    scale = (high - low) / (2**bits - 1)
    return scale, round(-top - 1 - low / scale)
    ### END SOLUTION


# %%
checks.try_examples(affine_qparams)

# %% nbgrader={"grade": true, "grade_id": "test_affine_qparams", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.quantization.affine_qparams(affine_qparams)
### BEGIN HIDDEN TESTS
checks.quantization.affine_qparams(affine_qparams, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Each tick below is the real number of one code, drawn by your function. Move the ends of the range and the bits.


# %% tags=["widget", "nbval-ignore-output"]
def draw_grid(low: float, high: float, bits: int):
    scale, zero_point = affine_qparams(low, high, bits)
    codes = range(-(2 ** (bits - 1)), 2 ** (bits - 1))
    return plots.grid_line([(code - zero_point) * scale for code in codes], list(codes), zero_point, (low, high))


widgets.slider_figure(
    draw_grid,
    low=widgets.Slider(-3.0, 1.0, start=-1.2, label="low"),
    high=widgets.Slider(1.1, 4.0, start=2.0, label="high"),
    bits=widgets.Choice((2, 3, 4), start=3, label="bits"),
)

# %% [markdown]
# *What is seen: a number line with one tick for each code, evenly spaced. The code that stands for 0 is marked by a
# diamond and is always exactly at 0; the wanted range is a bar below. The outermost ticks are not always at the ends of
# the bar.*
#
# **Question.** Move `low` above 0. Why do the ticks stay where they were? And why do the outermost ticks miss the
# ends of the bar by up to half a step?
#
# <details><summary>Answer</summary>
#
# The range is widened to contain 0, so any positive `low` acts like 0. The zero point is rounded to a whole code: the
# whole grid is shifted by up to half a step so that one tick is at 0 exactly.
#
# </details>

# %% [markdown]
# ### Exercise 2: to codes
# *Difficulty 1 of 5, 8 minutes, 2 points*
#
# **Aim:** turn real numbers of any shape into codes.
#
# $$q = clamp(round(x / scale) + zero\_point,\; q_{min},\; q_{max})$$
#
# Round to the nearest whole number; on a tie to the even one (`torch.round` does this). *Then* add the zero point,
# *then* clamp to −2^(bits−1) … 2^(bits−1) − 1. Numbers outside the range, infinity too, get the outermost code on their
# side. For any number of bits, codes are stored as `torch.int8`. x is `float [*shape]` of 32 or 64 bits, q is `int8 [*shape]`;
# how q lies in memory is free, and so it is for all results of this unit.
#
# **Predict:** with scale 0.1 and zero point 0, which codes do 0.26 and 99.0 get in 8 bits? What would
# `.to(torch.int8)` alone make of 2.6, and of 990?
#
# <details><summary>Answer</summary>
#
# 0.26 / 0.1 = 2.6 is rounded to 3; 990 is clamped to 127. The cast alone cuts 2.6 off to 2, and 990 does not fit: it
# wraps around to some unrelated code. A saturated number is wrong by a bounded amount, a wrapped one can change its
# sign.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "quantize", "locked": false, "schema_version": 3, "solution": true, "task": false}
def quantize(x: Float[Tensor, "*shape"], scale: float, zero_point: int, bits: int = 8) -> Int8[Tensor, "*shape"]:
    """Real numbers to codes: round to nearest, ties to even, add the zero point, then clamp.

    q = clamp(round(x / scale) + zero_point, -2^(bits-1), 2^(bits-1) - 1), stored as int8 for any number of bits

    >>> quantize(torch.tensor([0.26, -0.26, 99.0]), scale=0.1, zero_point=0)
    tensor([  3,  -3, 127], dtype=torch.int8)
    >>> quantize(torch.tensor([0.5, 1.5, 9.0]), scale=1.0, zero_point=1, bits=3)
    tensor([1, 3, 3], dtype=torch.int8)
    """
    ### BEGIN SOLUTION
    codes = torch.round(x / scale) + zero_point
    return codes.clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).to(torch.int8)
    ### END SOLUTION


# %%
checks.try_examples(quantize)

# %% nbgrader={"grade": true, "grade_id": "test_quantize", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.quantization.quantize(quantize)
### BEGIN HIDDEN TESTS
checks.quantization.quantize(quantize, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
x = torch.linspace(-2.2, 2.2, 221)
plots.staircase(x, {f"{bits} bits": quantize(x, 1.5 / (2 ** (bits - 1) - 1), 0, bits) for bits in (3, 4)})

# %% [markdown]
# *What is seen: two staircases that rise with x. The 3-bit one has few wide steps, the 4-bit one about twice as many.
# Both end in flat parts on the left and right, where numbers are outside the range.*
#
# **Question.** Each staircase has one step more below zero than above. Why?
#
# <details><summary>Answer</summary>
#
# There is one negative code more: 3 bits give −4 to 3. Symmetric quantization of weights does not use the lowest code, so
# that w and −w are always rounded to opposite numbers.
#
# </details>

# %% [markdown]
# ### Exercise 3: from codes back to real numbers
# *Difficulty 1 of 5, 4 minutes, 1 point*
#
# **Aim:** give the real number that each code stands for.
#
# $$x = (q - zero\_point) \cdot scale$$
#
# q has any integer dtype, `int8 [*shape]` here and `int32` for the sums of a layer later; x is `float32 [*shape]`. One
# question to be careful about: in which dtype is the difference computed?
#
# **Predict:** what is `torch.tensor([127], dtype=torch.int8) - (-128)`?
#
# <details><summary>Answer</summary>
#
# −1. The difference 255 does not fit int8 and wraps around. Convert to a wider dtype first, then subtract.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "dequantize", "locked": false, "schema_version": 3, "solution": true, "task": false}
def dequantize(q: Int[Tensor, "*shape"], scale: float, zero_point: int) -> Float32[Tensor, "*shape"]:
    """Codes to the real numbers they stand for, as float32: (q - zero_point) * scale.

    >>> dequantize(torch.tensor([127, 0], dtype=torch.int8), scale=0.5, zero_point=-128)
    tensor([127.5000,  64.0000])
    """
    ### BEGIN SOLUTION
    return (q.to(torch.float32) - zero_point) * scale
    ### END SOLUTION


# %%
checks.try_examples(dequantize)

# %% nbgrader={"grade": true, "grade_id": "test_dequantize", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks.quantization.dequantize(dequantize)
### BEGIN HIDDEN TESTS
checks.quantization.dequantize(dequantize, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Your three functions together: 40 numbers are quantized and dequantized. Move the upper end of the range. A wide range
# has coarse steps, a narrow one clips large numbers.

# %% tags=["widget", "nbval-ignore-output"]
numbers = torch.cat([torch.linspace(-0.95, 1.0, 39) + 0.02 * torch.sin(7 * torch.arange(39)), torch.tensor([2.4])])


def draw_round_trip(high: float, bits: int):
    scale, zero_point = affine_qparams(-1.0, high, bits)
    back = dequantize(quantize(numbers, scale, zero_point, bits), scale, zero_point)
    return plots.number_line(numbers, back, scale)


widgets.slider_figure(
    draw_round_trip,
    high=widgets.Slider(0.2, 4.0, start=2.4, label="upper end"),
    bits=widgets.Choice((2, 3, 4, 8), start=3, label="bits"),
)

# %% [markdown]
# *What is seen: the numbers on an upper line, the dequantized numbers on a lower line, and a connection for each. Inside
# the range a number moves by at most half a step; numbers beyond the upper end all go to the last tick. The title gives
# both errors.*
#
# **Question.** With 2 bits, find the upper end with the smallest mean squared error. Is it at the largest number? And
# with 8 bits?
#
# <details><summary>Answer</summary>
#
# With 2 bits it is better to clip the largest number: one large clipping error allows finer steps for 39 others. With 8
# bits the steps are fine anyway, and clipping costs more than it saves. Exercise 5 chooses the range by the data.
#
# </details>

# %% [markdown]
# ## Part 2: how many weights share one scale?
#
# ### Exercise 4: scales for weights
# *Difficulty 2 of 5, 10 minutes, 2 points*
#
# **Aim:** give each output channel, or each group of neighbouring weights, a scale of its own.
#
# Weights are quantized symmetrically: zero point 0, codes −top to top with $top = 2^{bits-1} - 1$. For a weight
# `[out, ...]` (`nn.Linear` has `[out, in]`, `nn.Conv2d` has `[out, in, height, width]`), with the channel's weights
# in one row:
#
# $$scale[o] = \frac{\max |weight[o]|}{top}$$
# $$scale[o, g] = \frac{\max |row_o[g \cdot group : (g+1) \cdot group]|}{top}$$
#
# The result is `[out]` without `group` and `[out, weights of a channel / group]` with it, of the weight's dtype. `group` always
# divides.
# Where all weights are 0 the scale is 1.0.
#
# **Predict:** the weights of a channel are ten times smaller than those of its neighbour, and both share one 4-bit
# scale that fits the larger one. How many different codes are left for the small channel?
#
# <details><summary>Answer</summary>
#
# The large one uses −7 to 7. The small one reaches 0.7 steps at most, so only −1, 0 and 1 are left.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "channel_qparams", "locked": false, "schema_version": 3, "solution": true, "task": false}
def channel_qparams(weight: Float[Tensor, "out ..."], bits: int = 8, group: int | None = None) -> Float[Tensor, "out ..."]:
    """Symmetric scales of a weight: max |weights that share it| / (2^(bits-1) - 1); 1.0 where all these weights are 0.

    group None: one scale for each index of the first axis, [out].
    Else one for each `group` neighbours in weight[o].flatten(), [out, weights of a channel / group].

    >>> channel_qparams(torch.tensor([[0.5, -12.7], [1.27, 0.0]]))
    tensor([0.1000, 0.0100])
    >>> channel_qparams(torch.tensor([[0.7, 0.1, -1.4, 0.2]]), bits=4, group=2)
    tensor([[0.1000, 0.2000]])
    """
    ### BEGIN SOLUTION
    rows = weight.flatten(1)
    if group is not None:
        rows = rows.unflatten(1, (-1, group))
    largest = rows.abs().amax(dim=-1)
    return torch.where(largest > 0, largest / (2 ** (bits - 1) - 1), 1.0)
    ### END SOLUTION


# %%
checks.try_examples(channel_qparams)

# %% nbgrader={"grade": true, "grade_id": "test_channel_qparams", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.quantization.channel_qparams(channel_qparams)
### BEGIN HIDDEN TESTS
checks.quantization.channel_qparams(channel_qparams, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Now round all weights of the network with your scales, from 8 bits down to 2, and measure the accuracy. Activations
# stay float here. We compare granularities on some *validation* images.

# %% tags=["nbval-ignore-output"]
half = split.validation.first(1000)


def accuracy_of(network: nn.Module, part: data.Dataset = half) -> float:
    return metrics.accuracy(measure.predict(network, part.images, batch_size=100), part.labels)


def round_weights(network: nn.Sequential, bits: int, scales_of) -> nn.Sequential:
    """A copy of the network with every weight on its grid; `scales_of(weight, bits)` gives the scales."""
    network, top = copy.deepcopy(network), 2 ** (bits - 1) - 1
    for layer in network:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            scale = scales_of(layer.weight.detach(), bits).reshape(-1, 1)
            rows = layer.weight.detach().reshape(len(scale), -1)
            rounded = (rows / scale).round().clamp(-top, top) * scale
            layer.weight.data.copy_(rounded.reshape(layer.weight.shape))
    return network


granularities = {
    "per tensor": lambda w, bits: channel_qparams(w.reshape(1, -1), bits),
    "per channel": lambda w, bits: channel_qparams(w, bits),
    "groups of 24": lambda w, bits: channel_qparams(w, bits, 24 if w[0].numel() % 24 == 0 else None),
}
widths = (2, 3, 4, 6, 8)
few = half.first(500)
curves = {name: [accuracy_of(round_weights(model, b, f), few) for b in widths] for name, f in granularities.items()}
plots.accuracy_against_bits(widths, curves, accuracy_of(model, few), len(few))

# %% [markdown]
# *What is seen: accuracy rises with the bits and is flat on the right. The three curves separate on the left: one
# scale per tensor falls first. The grey band is the float network's 95 % interval on these images. Groups are used
# where 24 divides the weights of a channel; elsewhere that curve uses channels.*
#
# **Question.** A group of 24 weights has one 32-bit scale. How many bits does a 4-bit weight really take then?
# When is "4 bits in small groups" larger than "5 bits per channel"?
#
# <details><summary>Answer</summary>
#
# 4 + 32 / 24 = 5.3 bits. Every group smaller than 32 weights makes 4 bits cost more than 5. Large models use groups
# of 32 to 128 and 16-bit scales.
#
# </details>

# %% [markdown]
# ## Part 3: ranges of activations
#
# Weights are known; activations depend on the image. Their range must be estimated from examples, the calibration
# images. A single outlier can make it much wider.
#
# ### Exercise 5: observe a range
# *Difficulty 3 of 5, 15 minutes, 3 points*
#
# **Aim:** choose the range of a tensor in three ways.
#
# | method | low, high |
# |---|---|
# | `"minmax"` | the smallest and the largest number of x |
# | `"percentile"` | the quantiles 0.001 and 0.999 of x itself, signs included (`torch.quantile` interpolates) |
# | `"mse"` | `f * min, f * max` for the f in `torch.linspace(0.01, 1, 100)` with the smallest error; on a tie the larger f |
#
# The error of a range is `lib.squared_error(x, low, high, bits)`. It quantizes x with that range (asymmetric codes),
# dequantizes and sums the squared differences, *clipping included*. The result need not contain 0: exercise 1 widens
# it later. Return two Python floats (`.item()`, `.tolist()`).
#
# **Predict:** after a ReLU 10,000 numbers lie between 0 and 1, and a single one is 10. Where do the three ranges end?
# Does it matter for "mse" whether there are 8 bits or 4?
#
# <details><summary>Answer</summary>
#
# "minmax" ends at 10, "percentile" near 1, because one number in 10,000 is rarer than one in a thousand. "mse" balances
# the two errors: with 8 bits the steps are fine anyway, so it keeps (nearly) the whole range; with 4 bits it clips the
# outlier to make the steps finer for all others, and ends below 3.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "observe", "locked": false, "schema_version": 3, "solution": true, "task": false}
def observe(x: Float[Tensor, "..."], method: str = "minmax", bits: int = 8) -> tuple[float, float]:
    """The range (low, high) of x by one of three methods, as two Python floats.

    minmax: the smallest and the largest number. percentile: the quantiles 0.001 and 0.999 of x, linearly interpolated.
    mse: (f * min, f * max) for the f of torch.linspace(0.01, 1, 100) with the smallest
    lib.squared_error(x, f * min, f * max, bits), on a tie the larger f. The range is not widened to contain 0.

    >>> low, high = observe(torch.arange(1001.0), "percentile")
    >>> round(low, 3), round(high, 3)
    (1.0, 999.0)
    >>> low, high = observe(torch.tensor([-1.0, 0.0, 1.0, 1.0, 2.0, 2.0, 5.0]), "mse", bits=2)
    >>> round(low, 3), round(high, 3)
    (-0.81, 4.05)
    """
    ### BEGIN SOLUTION
    if method == "percentile":
        return tuple(torch.quantile(x, torch.tensor([0.001, 0.999])).tolist())
    low, high = x.min().item(), x.max().item()
    factors = torch.linspace(0.01, 1, 100).flip(0).tolist() if method == "mse" else [1.0]
    ranges = [(f * low, f * high) for f in factors]  # largest first: min() keeps the first of equals
    return min(ranges, key=lambda r: lib.squared_error(x, *r, bits))
    ### END SOLUTION


# %%
checks.try_examples(observe)

# %% nbgrader={"grade": true, "grade_id": "test_observe", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.quantization.observe(observe)
### BEGIN HIDDEN TESTS
checks.quantization.observe(observe, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# The activations after the third convolution, for 50 calibration images. The curves show the error of each reduced
# range, split into its two causes; the marks show the upper ends that your three methods choose.

# %% tags=["widget", "nbval-ignore-output"]
with torch.no_grad():
    activations = model[:11](split.calibration.images[:50]).flatten()[::12]


def draw_errors(bits: int):
    highs = torch.linspace(0.05, 1, 39) * activations.max()
    inside = [(activations <= high) for high in highs]
    total = [lib.squared_error(activations, 0.0, high.item(), bits) / len(activations) for high in highs]
    clipped = [((activations - high) * ~kept).square().mean().item() for high, kept in zip(highs, inside, strict=True)]
    marks = {method: observe(activations, method, bits)[1] for method in ("minmax", "percentile", "mse")}
    return plots.range_errors(highs, total, clipped, marks)


widgets.slider_figure(draw_errors, bits=widgets.Choice((3, 4, 6, 8), start=4, label="bits"))

# %% [markdown]
# *What is seen: on a logarithmic axis, clipping error falls as the range grows, rounding error rises with it, and
# their sum has a minimum in between. The mark of "mse" is at the minimum; "minmax" is at the right end. With more bits the
# minimum moves right.*
#
# **Question.** Why does the minimum move to the right when bits are added?
#
# <details><summary>Answer</summary>
#
# Each bit halves the step, so the rounding error falls to a quarter at the same range, while the clipping error does not
# change. So the two balance at a wider range. With many bits minmax is nearly best; clipping only helps with few bits.
#
# </details>

# %% [markdown]
# ## Part 4: a network of integers
#
# ### Exercise 6: fold the batch norm
# *Difficulty 3 of 5, 12 minutes, 3 points*
#
# **Aim:** make one convolution that computes the same as a convolution and the batch norm after it.
#
# After training, batch norm is a fixed affine map per channel, with the stored `running_mean` and `running_var`, the
# learned `weight` and `bias`, and `eps` inside the root:
#
# $$y_c = \frac{weight_c}{\sqrt{running\_var_c + eps}} \, (conv_c - running\_mean_c) + bias_c$$
#
# An affine map after an affine map is an affine map. Write $factor_c$ for the fraction; then the new convolution has
#
# $$W'[c] = factor_c \, W[c] \qquad\qquad b'_c = factor_c \, (b_c - running\_mean_c) + bias_c$$
#
# with $b_c = 0$ when the old one has no bias. W is `[out, in, height, width]`, everything with index c is `[out]`.
# Return a *new* `nn.Conv2d` with a bias, all other settings (stride, padding, `padding_mode`, ...) as before; do not change
# `conv` and `bn`. `copy.deepcopy` helps, and so does `nn.Parameter`. The new layer is only used, so its parameters may have
# `requires_grad` or not.
#
# **Predict:** why is this done before quantization, not after?
#
# <details><summary>Answer</summary>
#
# The factor differs from channel to channel. With one scale for the whole tensor, the weights would no longer lie on a
# common grid and would have to be rounded again. With one scale per channel the codes could stay: the factor can be
# multiplied into the scale of its channel. But the bias and the range of the outputs to be quantized are those of the
# folded layer, so fold first. Without folding, the batch norm stays as a float operation between the integer layers.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "fold_batchnorm", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fold_batchnorm(conv: nn.Conv2d, bn: nn.BatchNorm2d) -> nn.Conv2d:
    """One new convolution, with a bias, that equals conv followed by bn in eval mode; conv and bn stay as they were.

    factor = bn.weight / sqrt(bn.running_var + bn.eps)
    weight' = factor * weight;  bias' = factor * (bias - bn.running_mean) + bn.bias

    >>> conv, bn = nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=5.0)
    >>> conv.weight.data, bn.weight.data = torch.full((1, 1, 1, 1), 2.0), torch.tensor([6.0])
    >>> bn.bias.data, bn.running_mean, bn.running_var = torch.tensor([1.0]), torch.tensor([3.0]), torch.tensor([4.0])
    >>> folded = fold_batchnorm(conv, bn)
    >>> folded.weight.item(), folded.bias.item()  # factor = 6 / sqrt(4 + 5) = 2
    (4.0, -5.0)
    """
    ### BEGIN SOLUTION
    factor = bn.weight / torch.sqrt(bn.running_var + bn.eps)
    old_bias = 0.0 if conv.bias is None else conv.bias
    folded = copy.deepcopy(conv)
    folded.weight = nn.Parameter(conv.weight * factor[:, None, None, None])
    folded.bias = nn.Parameter(factor * (old_bias - bn.running_mean) + bn.bias)
    return folded
    ### END SOLUTION


# %%
checks.try_examples(fold_batchnorm)

# %% nbgrader={"grade": true, "grade_id": "test_fold_batchnorm", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.quantization.fold_batchnorm(fold_batchnorm)
### BEGIN HIDDEN TESTS
checks.quantization.fold_batchnorm(fold_batchnorm, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
with torch.no_grad():
    merged = fold_batchnorm(model[4], model[5])
    maps = model[:4](half.images[:50])
    difference = (merged(maps) - model[5](model[4](maps))).abs().max().item()
print(f"second convolution, largest difference of the outputs: {difference:.1e}")
plots.channel_ranges(model[4].weight.flatten(1).abs().amax(1), merged.weight.flatten(1).abs().amax(1))

# %% [markdown]
# *What is seen: two bars for each of the 48 channels, the largest weight before and after folding. After folding the
# channels differ more: the title gives the ratio of the largest to the smallest.*
#
# **Question.** What does this picture say about one scale for the whole tensor?
#
# <details><summary>Answer</summary>
#
# After folding each channel's weights contain its own factor, and a single scale must fit the largest. Channels with small
# weights use few codes. That is why per-channel scales became the rule for convolutions.
#
# </details>

# %% [markdown]
# ### Exercise 7: from int32 sums back to 8 bits, without a float
# *Difficulty 4 of 5, 15 minutes, 3 points*
#
# **Aim:** convert the int32 sums of a layer to the int8 codes of the next one, with integer operations only.
#
# A layer multiplies codes and sums in int32. One unit of such a sum stands for $s_x s_w$, one unit of the output for
# $s_y$. So each sum must be multiplied by the real number $multiplier = s_x s_w / s_y$, usually between 0 and 1. A chip
# without float units does this with an integer and a shift (Jacob et al. 2018):
#
# $$multiplier \approx m \cdot 2^{-shift}, \qquad m \text{ a whole number from } 2^{30} \text{ to } 2^{31}$$
# $$r = \lfloor (acc \cdot m + 2^{shift-1}) / 2^{shift} \rfloor \qquad
# q = clamp(r + zero\_point,\; q_{min},\; q_{max})$$
#
# - `math.frexp(multiplier)` gives `(fraction, exponent)` with multiplier = fraction · 2^exponent and a fraction from
#   0.5 to 1. Hence m = round(fraction · 2^31) and shift = 31 − exponent.
# - The product needs up to 62 bits: convert `acc` to int64 first.
# - Adding $2^{shift-1}$, half of the divisor, makes the division round to nearest; **ties go up**, towards +∞. The
#   shift `>>` of a tensor rounds down, also for negative numbers.
# - The zero point comes after the shift, the clamp last. acc is `int32 [*shape]`, the result `int8 [*shape]`;
#   $2^{-30}$ < multiplier < 1.
#
# **Predict:** multiplier 0.5, zero point 0. Which codes do the sums 5 and −5 get? Which would they get without the
# added half?
#
# <details><summary>Answer</summary>
#
# 2.5 and −2.5 are ties and go up: 3 and −2. Without the half everything is rounded down: 2 and −3. Rounding down
# shifts every number by half a step in the same direction, and the next layers get the sum of all these shifts.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "requantize", "locked": false, "schema_version": 3, "solution": true, "task": false}
def requantize(acc: Int32[Tensor, "*shape"], multiplier: float, zero_point: int, bits: int = 8) -> Int8[Tensor, "*shape"]:
    """int32 sums to codes with integers only: multiply by m, add half, shift right, add the zero point, clamp.

    multiplier = m * 2^-shift with m = round(fraction * 2^31), shift = 31 - exponent from math.frexp(multiplier);
    int64 products; ties go up (towards +infinity). Codes -2^(bits-1) ... 2^(bits-1) - 1, stored as int8.

    >>> requantize(torch.tensor([5, -5, 1000], dtype=torch.int32), multiplier=0.5, zero_point=10)
    tensor([ 13,   8, 127], dtype=torch.int8)
    """
    ### BEGIN SOLUTION
    fraction, exponent = math.frexp(multiplier)
    m, shift = round(fraction * 2**31), 31 - exponent
    rounded = (acc.to(torch.int64) * m + (1 << (shift - 1))) >> shift
    codes = rounded + zero_point
    return codes.clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).to(torch.int8)
    ### END SOLUTION


# %%
checks.try_examples(requantize)

# %% nbgrader={"grade": true, "grade_id": "test_requantize", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.quantization.requantize(requantize)
### BEGIN HIDDEN TESTS
checks.quantization.requantize(requantize, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
sums = torch.arange(-60, 61, dtype=torch.int32)
real = sums.double() * 0.0625
plots.rounding_errors(sums, {"your requantize": requantize(sums, 0.0625, 0) - real, "rounded down": real.floor() - real})

# %% [markdown]
# *What is seen: the error of each sum's code, in steps. Yours is a saw-tooth between minus a half and a half. Rounding down
# gives a saw-tooth between minus one and zero. The title gives both means: yours is not exactly 0, because all ties go up.*
#
# **Question.** m has 31 bits. How large can its own error make the result, compared with a step of 1, when the output
# fits 8 bits?
#
# <details><summary>Answer</summary>
#
# m is rounded by at most 0.5, and m is at least 2^30, so its relative error is at most 2^-31. The output is at most a few
# hundred steps, so the product is wrong by less than a millionth of a step. This matters only when a result is almost
# exactly a tie.
#
# </details>

# %% [markdown]
# ### Exercise 8: a linear layer on integers
# *Difficulty 4 of 5, 15 minutes, 3 points*
#
# **Aim:** compute a linear layer from codes, with every product and every sum in integers.
#
# Put $x = s_x (q_x - z_x)$ and $w_o = s_w[o] \, q_w[o]$ into $y_o = \sum_k x_k w_{ok} + b_o$, and rearrange:
#
# $$y[n, o] = s_x \, s_w[o] \, \Big( \underbrace{\sum_k q_x[n, k] \, q_w[o, k]}_{\text{int32}}
# \;-\; z_x \underbrace{\sum_k q_w[o, k]}_{\text{row sums}} \Big) + b[o]$$
#
# Shapes: `xq` is int8 `[n, in]`, `wq` int8 `[out, in]`, `w_scale` float `[out]`, `bias` float `[out]` or None, y
# float32 `[n, out]`. The sums must be exact: **integer tensors, int32**, also in `sum(..., dtype=torch.int32)`. The
# check detects float products and float sums of codes, in torch and in numpy; to scale the finished sums, floats are right.
# (`@` works with int32 tensors. It is slow in PyTorch; the
# comparison of speeds below uses a fast kernel.)
#
# **Predict:** how large can the sum get for in = 864 and 8-bit codes? Does it fit int8? int16? int32?
#
# <details><summary>Answer</summary>
#
# Up to 128 · 127 · 864, about 14 million: far too large for int16 (32,767), and well within int32 (2.1 billion).
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "int8_linear", "locked": false, "schema_version": 3, "solution": true, "task": false}
def int8_linear(
    xq: Int8[Tensor, "n in"],
    x_scale: float,
    x_zero: int,
    wq: Int8[Tensor, "out in"],
    w_scale: Float[Tensor, " out"],
    bias: Float[Tensor, " out"] | None = None,
) -> Float32[Tensor, "n out"]:
    """A linear layer on codes: integer products and sums in int32, corrected by the zero point, scaled once at the end.

    y = x_scale * w_scale * (xq @ wq.T - x_zero * row sums of wq) + bias

    >>> xq = torch.tensor([[-128, 127]], dtype=torch.int8)  # stands for the numbers 0 and 127.5
    >>> wq = torch.tensor([[3, 2]], dtype=torch.int8)       # stands for 0.3 and 0.2
    >>> int8_linear(xq, 0.5, -128, wq, torch.tensor([0.1]), torch.tensor([1.0]))
    tensor([[26.5000]])
    """
    ### BEGIN SOLUTION
    wide = wq.to(torch.int32)
    acc = xq.to(torch.int32) @ wide.T
    acc = acc - x_zero * wide.sum(dim=1, dtype=torch.int32)
    y = acc * (x_scale * w_scale)
    return y if bias is None else y + bias
    ### END SOLUTION


# %%
checks.try_examples(int8_linear)

# %% nbgrader={"grade": true, "grade_id": "test_int8_linear", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.quantization.int8_linear(int8_linear)
### BEGIN HIDDEN TESTS
checks.quantization.int8_linear(int8_linear, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Now your layer is used: both linear layers of the network are replaced by ones that call *your* `int8_linear`.
# Their input range comes from the calibration images.


# %% tags=["nbval-ignore-output"]
@torch.no_grad()
def with_integer_linear(network: nn.Sequential, images: Tensor) -> nn.Sequential:
    """A network like this one whose linear layers run on your int8_linear."""
    layers, x = [], images
    for layer in network:
        if isinstance(layer, nn.Linear):
            scale, zero_point = lib.affine_qparams(*lib.observe(x), bits=8)
            layers.append(lib.Int8Linear.from_linear(layer, scale, zero_point, matmul=int8_linear))
        else:
            layers.append(layer)
        x = layer(x)
    return nn.Sequential(*layers).eval()


folded = lib.fold_model(model)
yours = with_integer_linear(folded, split.calibration.images[:200])
print(f"float {accuracy_of(model):.1%}, with your integer layers {accuracy_of(yours):.1%} ({len(half)} validation images)")
sixty = half.images[:60]
plots.agreement(measure.predict(model, sixty), measure.predict(yours, sixty))

# %% [markdown]
# *What is seen: each point is one logit of one image. The horizontal axis is its float value, the vertical axis the change
# that the integer layers make. The points form a flat cloud around zero: the changes are small compared with the logits.*
#
# **Question.** For which images can the predicted class change?
#
# <details><summary>Answer</summary>
#
# For those whose two largest logits differ by no more than twice the largest change: one may fall while the other rises.
# The network was already uncertain about them.
#
# </details>

# %% [markdown]
# ### The race: is it faster here?
#
# Fewer bits do not always mean less time. Four ways to run one linear layer `[n, n]`, timed on this machine,
# one thread, after their outputs were compared. The integer kernel is part of the course and compiled for this
# machine when it is first called:
#
# | name | weights | arithmetic |
# |---|---|---|
# | float | 32-bit floats | float matrix product |
# | fake-quantized | floats that lie on a grid | input rounded to a grid, then a float product |
# | int8 | int8 codes | input quantized, int8 kernel with int32 sums, scaled |
# | int4 | two codes a byte | unpacked to int8, then as int8 |
#
# **Predict:** for which sizes will int8 be the fastest? Will fake quantization ever be? Will int4 be faster than int8?

# %% tags=["nbval-ignore-output"]
sizes, batches = (128, 512, 1024), (1, 16, 128)


def contestants(n: int, rows: int) -> dict:
    """One linear layer [n, n] on rows of x, as four functions without arguments."""
    x, w = torch.randn(rows, n), torch.randn(n, n) / n**0.5
    scale, zero_point = lib.affine_qparams(*lib.observe(x))
    codes, w_scale = lib.quantize_weight(w, 8, lib.PerChannel())
    codes4, w_scale4 = lib.quantize_weight(w, 4, lib.PerChannel())
    on_grid, packed = lib.dequantize_weight(codes, w_scale, lib.PerChannel()), pack_codes(codes4, 4)
    eight, four = (  # what does not depend on x is computed once: scales and row sums
        (scale * s, zero_point * c.sum(1, dtype=torch.int32)) for c, s in ((codes, w_scale), (codes4, w_scale4))
    )

    def rounded() -> Tensor:
        return (x / scale).round_().add_(zero_point).clamp_(-128, 127)

    def integers(weight: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
        return (kernels.int8_matmul(rounded().to(torch.int8), weight.T) - offset) * factor

    return {
        "float": lambda: F.linear(x, w),
        "fake-quantized": lambda: F.linear((rounded() - zero_point) * scale, on_grid),
        "int8": lambda: integers(codes, *eight),
        "int4": lambda: integers(unpack_codes(packed, 4, (n, n)), *four),
    }


speed = {name: [[0.0] * len(sizes) for _ in batches] for name in ("fake-quantized", "int8", "int4")}
for i, rows in enumerate(batches):
    for j, n in enumerate(sizes):
        ways = contestants(n, rows)
        torch.testing.assert_close(ways["int8"](), ways["fake-quantized"](), rtol=1e-3, atol=1e-3)
        seconds = measure.latencies(ways, repeats=9, warmup=2)  # they take turns; [1] is the median
        for name in speed:
            speed[name][i][j] = seconds["float"][1] / seconds[name][1]
plots.race(sizes, batches, speed)

# %% [markdown]
# *What is seen: three tables of coloured cells, layer size from left to right and batch from bottom to top. Each cell says
# how many times faster than float32 the method was. Cells below 1 are marked "slower" and are reddish, cells above 1 bluish.*
#
# **Question.** Where is int8 slower, and why can the answer on another machine be different?
#
# <details><summary>Answer</summary>
#
# In small layers the fixed costs, rounding the input and several calls in place of one, are larger than the cost of the
# product. With a batch of 1 and a large layer the processor waits for memory, and a quarter of the bytes takes less time:
# here int8 can be faster on any machine. With a large batch the arithmetic counts. A processor with 8-bit multiply-add
# instructions (VNNI, AMX, Arm dot products) or a GPU with tensor cores gains there; without them int8 has the same
# number of multiplications to do, and extra work around them. int4 as written here unpacks its weights at every call:
# compared with int8 it saves memory and costs time. Fake quantization cannot be faster: it computes the float product and
# more.
#
# </details>

# %% [markdown]
# ## Part 5: below 8 bits
#
# ### Exercise 9: a gradient through rounding
# *Difficulty 3 of 5, 20 minutes, 2 points*
#
# **Aim:** make it possible to train a network whose weights are rounded.
#
# *Fake quantization* quantizes and dequantizes at once: $y = (clamp(round(x / scale) + zero\_point) -
# zero\_point) \cdot scale$. Its true derivative is 0 almost everywhere, so nothing would be learned. The
# [straight-through estimator](../glossary.md#straight-through-estimator) (Bengio et al. 2013) replaces the derivative of
# rounding by 1, but only where nothing was clamped:
#
# $$\frac{\partial L}{\partial x} = \frac{\partial L}{\partial y} \cdot [\, q_{min} \le round(x / scale) + zero\_point \le q_{max} \,]$$
#
# The ends count as inside. The scale is a number, or a tensor that broadcasts over x: one scale for each row, `[out, 1]`,
# as the training below uses it. Round as in exercise 2: ties to even, before the zero point is added. x is `float [*shape]`
# of 32 or 64 bits, y has its dtype. Keep in `ctx` what backward needs: several calls may come before the first backward. Scale,
# zero point and bits get the gradient `None`. `ctx.save_for_backward(t)` keeps a tensor for the backward pass; there,
# `ctx.saved_tensors` is a tuple with it. Codes have their usual range, −2^(bits−1) to 2^(bits−1) − 1.
#
# **Predict:** a weight lies far above the range, and the loss would fall if it were smaller. Will training change it?
#
# <details><summary>Answer</summary>
#
# Not through this gradient: outside the range it is 0. The weight stays there unless weight decay moves it or the range
# becomes wider.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "fake_quantize", "locked": false, "schema_version": 3, "solution": true, "task": false}
class FakeQuantize(torch.autograd.Function):
    """Quantize and dequantize at once; the gradient of x passes where the code was not clamped, and is 0 elsewhere.

    >>> x = torch.tensor([0.26, 9.0], requires_grad=True)
    >>> y = FakeQuantize.apply(x, 0.1, 0, 4)  # codes -8 ... 7
    >>> y.detach()
    tensor([0.3000, 0.7000])
    >>> torch.autograd.grad(y.sum(), x)
    (tensor([1., 0.]),)
    """

    @staticmethod
    def forward(
        ctx, x: Float[Tensor, "*shape"], scale: float | Tensor, zero_point: int, bits: int
    ) -> Float[Tensor, "*shape"]:
        """y = (clamp(round(x / scale) + zero_point) - zero_point) * scale; save where nothing was clamped."""
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        ### BEGIN SOLUTION
        codes = torch.round(x / scale) + zero_point
        ctx.save_for_backward((codes >= low) & (codes <= high))
        return (codes.clamp(low, high) - zero_point) * scale
        ### END SOLUTION

    @staticmethod
    def backward(ctx, gradient: Float[Tensor, "*shape"]) -> tuple[Float[Tensor, "*shape"], None, None, None]:
        """The gradient of x where the code was inside its range, else 0; None for scale, zero_point and bits."""
        ### BEGIN SOLUTION
        (inside,) = ctx.saved_tensors
        return gradient * inside, None, None, None
        ### END SOLUTION


# %%
checks.try_examples(FakeQuantize)

# %% nbgrader={"grade": true, "grade_id": "test_fake_quantize", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.quantization.fake_quantize(FakeQuantize)
### BEGIN HIDDEN TESTS
checks.quantization.fake_quantize(FakeQuantize, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
x = torch.linspace(-1.6, 1.6, 161, requires_grad=True)
y = FakeQuantize.apply(x, 0.3, 0, 3)
(slope,) = torch.autograd.grad(y.sum(), x)
plots.straight_through(x.detach(), y.detach(), slope)

# %% [markdown]
# *What is seen: the output is a staircase with flat ends. The gradient is 1 over the staircase and 0 over the flat ends.*
#
# **Question.** The part where the gradient is 1 is a little wider on the left than on the right, and reaches half a step
# beyond the last codes. Why?
#
# <details><summary>Answer</summary>
#
# There is one more code below zero, −4 against 3. And a number up to half a step beyond the last code is still
# rounded to it without being clamped.
#
# </details>
#
# Now training at 3 bits: the weights are rounded by your function at every step, the gradient passes through, and the
# underlying float weights are updated. This is [quantization-aware training](../glossary.md#quantization-aware-training).
# It takes some seconds.


# %% tags=["nbval-ignore-output"]
class OnGrid(nn.Module):
    """A weight quantized and dequantized by your FakeQuantize, with one scale per channel."""

    def __init__(self, bits: int):
        super().__init__()
        self.bits = bits

    def forward(self, weight: Tensor) -> Tensor:
        scale = lib.channel_qparams(weight.detach(), self.bits)
        return FakeQuantize.apply(weight, scale.reshape(-1, *[1] * (weight.ndim - 1)), 0, self.bits)


def train_on_grid(network: nn.Module, part: data.Dataset, epochs: int, rate: float) -> list[float]:
    """Train in place by gradient descent with momentum; the validation accuracy before and after each epoch."""
    speeds = [(p, torch.zeros_like(p)) for p in network.parameters()]
    order, curve = torch.Generator().manual_seed(0), [accuracy_of(network)]
    for _ in trange(epochs, desc="training at 3 bits", unit="epoch", file=sys.stdout):
        for images, labels in training.shuffled_batches(part.images, part.labels, 64, order):
            loss = F.cross_entropy(network(images), labels)
            gradients = torch.autograd.grad(loss, [p for p, _ in speeds])
            with torch.no_grad():
                for (p, speed), gradient in zip(speeds, gradients, strict=True):
                    p -= rate * speed.mul_(0.9).add_(gradient)
        curve.append(accuracy_of(network))
    return curve


trained = copy.deepcopy(folded)
for layer in trained:
    if isinstance(layer, nn.Linear | nn.Conv2d):
        nn.utils.parametrize.register_parametrization(layer, "weight", OnGrid(3))
qat_curve = train_on_grid(trained, split.train.first(1500), epochs=2, rate=0.01)
print("after each epoch:", *(f"{value:.1%}" for value in qat_curve))
plots.training_curve(qat_curve, accuracy_of(model), len(half))

# %% [markdown]
# *What is seen: validation accuracy after each epoch. It starts where plain rounding to 3 bits leaves the network,
# rises most in the first epoch, and comes near the dashed line of the float network.*
#
# **Question.** What did this cost that the other methods of this unit do not need?
#
# <details><summary>Answer</summary>
#
# Labelled training images, gradients through the whole network, and the time for them. For a network with billions of
# weights that is often too expensive. The next exercise needs some unlabelled inputs only.
#
# </details>

# %% [markdown]
# ### Exercise 10: rounding that compensates its errors
# *Difficulty 5 of 5, 25 minutes, 4 points*
#
# **Aim:** choose the rounding of a layer's weights so that the layer's *output* changes least.
#
# Rounding each weight to its nearest code is best for each weight alone. But the weights of a row are summed: if one was
# rounded up, it may be better to round the next down. GPTQ (Frantar et al. 2022) takes the columns one after another. It
# rounds one, and changes all later columns to compensate the error. How much each must change follows from the inputs,
# `inputs [tokens, in]`, through
#
# $$H = inputs^\top inputs \; [in, in] \qquad\qquad H^{-1} = U^\top U \quad (U \text{ upper triangular})$$
#
# For the columns j = 0, 1, … of the weight `[out, in]`:
#
# $$q_j = nearest(w_j) \qquad e = \frac{w_j - q_j}{U[j, j]} \qquad
# w_k \leftarrow w_k - e \cdot U[j, k] \;\; \text{for all } k > j$$
#
# $w_j$, $q_j$ and e are columns `[out]`, so the update of all later columns is an outer product `[out, in - j - 1]`
# (`torch.outer`).
#
# - **Damping.** Inputs that are always 0, or copies of each other, make H singular. First add 0.01 times the mean of
#   its diagonal to the diagonal: `hessian + 0.01 * hessian.diagonal().mean() * torch.eye(len(hessian))`. It
#   grows with the inputs. The exact amount matters little: the check asks for a small error, not for this number, and
#   another method with an error as small is right too.
# - **U** is `torch.linalg.cholesky(inverse, upper=True)`, where the inverse of the damped H is
#   `torch.cholesky_inverse(torch.linalg.cholesky(damped))`.
# - **Grid.** `nearest(column, scale, bits)` from the setup cell rounds a column to the symmetric grid. The scales are
#   those of the original weight, and stay fixed.
#
# The first three lines are given: `rest` is the copy that you change, `result` takes the rounded columns and is what you
# return.
#
# **Predict:** two inputs are always equal, and both weights are 0.4 with a grid of 0, ±1. What does rounding to
# nearest make of their sum? What should it be?
#
# <details><summary>Answer</summary>
#
# Both become 0, so the sum is 0 in place of 0.8. Rounding one of them to 1 makes the sum 1, much closer. Through U the
# error of the first column changes the second one before it is rounded.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "optimal_rounding", "locked": false, "schema_version": 3, "solution": true, "task": false}
def optimal_rounding(weight: Float[Tensor, "out in"], inputs: Float[Tensor, "tokens in"], bits: int) -> Float[Tensor, "out in"]:
    """Weights on the symmetric per-channel grid that change inputs @ weight.T least (GPTQ, Frantar et al. 2022).

    For each column j: q_j = nearest(w_j); w_k -= (w_j - q_j) / U[j, j] * U[j, k] for all k > j, with
    U the upper Cholesky factor of the inverse of H + 0.01 * mean(diagonal of H) * I, H = inputs.T @ inputs.
    Returns the dequantized weights, float32.

    >>> inputs = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])  # the first two inputs are always equal
    >>> optimal_rounding(torch.tensor([[0.4, 0.4, 1.0]]), inputs, bits=2)
    tensor([[0., 1., 1.]])
    """
    scale = lib.channel_qparams(weight, bits)
    rest, result = weight.clone(), torch.zeros_like(weight)
    hessian = inputs.T @ inputs
    ### BEGIN SOLUTION
    damped = hessian + 0.01 * hessian.diagonal().mean() * torch.eye(len(hessian))
    factor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(damped)), upper=True)
    for j in range(weight.shape[1]):
        result[:, j] = nearest(rest[:, j], scale, bits)
        rest[:, j + 1 :] -= torch.outer((rest[:, j] - result[:, j]) / factor[j, j], factor[j, j + 1 :])
    return result
    ### END SOLUTION


# %%
checks.try_examples(optimal_rounding)

# %% nbgrader={"grade": true, "grade_id": "test_optimal_rounding", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
checks.quantization.optimal_rounding(optimal_rounding)
### BEGIN HIDDEN TESTS
checks.quantization.optimal_rounding(optimal_rounding, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Your function rounds all five layers at 4 and 3 bits. A convolution is a linear layer on patches of the image
# (`F.unfold`). The inputs are calibration images; the error is measured on others.


# %% tags=["nbval-ignore-output"]
def linear_inputs(layer: nn.Module, x: Tensor) -> Tensor:
    """The inputs [tokens, in] that a layer multiplies by its flattened weight: images, or patches of every eighth image."""
    if not isinstance(layer, nn.Conv2d):
        return x
    patches = F.unfold(x[::8], layer.kernel_size, padding=layer.padding).transpose(1, 2).flatten(0, 1)
    return patches[:: max(1, len(patches) // 4000)]


@torch.no_grad()
def round_layers(bits: int, rounding) -> tuple[nn.Sequential, dict[str, float]]:
    """The folded network, each weight rounded by `rounding(weight, inputs, bits)`; each layer's output error."""
    network, errors = copy.deepcopy(folded), {}
    fit, fresh = split.calibration.images[:300], half.images[:150]
    for name, layer in network.named_children():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            weight, tokens = layer.weight.flatten(1).clone(), linear_inputs(layer, fresh)
            rounded = rounding(weight, linear_inputs(layer, fit), bits)
            errors[f"{type(layer).__name__} {name}"] = (
                (tokens @ (rounded - weight).T).square().sum() / (tokens @ weight.T).square().sum()
            ).item()
            layer.weight.data.copy_(rounded.reshape(layer.weight.shape))
        fit, fresh = (torch.cat([folded.get_submodule(name)(part) for part in x.split(50)]) for x in (fit, fresh))
    return network, errors


def to_nearest(weight: Tensor, inputs: Tensor, bits: int) -> Tensor:
    return lib.fake_quantize_weight(weight, bits, lib.PerChannel())


layer_errors = {}
for bits in (4, 3):
    for name, rounding in (("nearest", to_nearest), ("yours", optimal_rounding)):
        network, layer_errors[f"{bits} bits, {name}"] = round_layers(bits, rounding)
        print(f"{bits} bits, {name:8} validation accuracy {accuracy_of(network, split.validation):.2%}")
plots.layer_errors(layer_errors)

# %% [markdown]
# *What is seen: for each layer four markers on a logarithmic axis, the relative squared error of its output on images
# that were not used for rounding. At both widths your rounding lies below rounding to nearest.*
#
# **Question.** Which property of the inputs makes this gain possible? When would there be no gain at all?
#
# <details><summary>Answer</summary>
#
# An element of H is the product of two inputs, summed over all tokens. Neighbouring pixels and features of one image are
# often large together, so H is far from diagonal, and a later weight can compensate an earlier error. There is no gain if
# H is diagonal: then no column can help another, and the method is rounding to nearest. Inputs that are independent of
# each other make H (nearly) diagonal only if their means are 0. Behind a ReLU the means are positive: then a later weight
# can at least compensate the mean of an error.
#
# </details>

# %% [markdown]
# ## The whole network in integers
#
# `lib.quantize_model` does all steps: fold, observe, quantize, and for `mode="integer"` it builds a network that computes
# without floats inside. Between quantizing the image and reading the logits there are int8 codes, int32 sums and the
# shifts of exercise 7. We choose the observer on validation images.

# %% tags=["nbval-ignore-output"]
candidates = {}
for observer in ("minmax", "percentile", "mse"):
    config = lib.QuantizationConfig(bits=8, observer=observer, mode="integer")
    candidates[observer] = lib.quantize_model(model, split.calibration.first(300), config)
scores = {name: accuracy_of(network) for name, network in candidates.items()}
best = max(scores, key=scores.get)
print("validation accuracy:", ", ".join(f"{name} {score:.1%}" for name, score in scores.items()))
right = {name: measure.predict(network, half.images).argmax(1) == half.labels for name, network in candidates.items()}
for name in candidates:
    if name != best:
        b, c = comparisons.discordant(right[best], right[name])
        print(f"{best} against {name}: {b} to {c} discordant images, p = {comparisons.mcnemar(right[best], right[name]):.2g}")

# %% [markdown]
# The candidates were tested on the same images, so their separate intervals are the wrong yardstick: both are right, or
# both wrong, on most images. Only the images count for which exactly one is right. McNemar's test says how probable such
# a difference is if neither is better; unit 07 writes it.
#
# Is the integer network correct? Another program should give the same numbers. *onnxruntime* runs the same integer
# network in the ONNX format.

# %% tags=["nbval-ignore-output"]
integer_network = candidates[best]
try:
    import onnxruntime
except ImportError:
    print('onnxruntime is not installed. To compare: pip install "posttrain-lab[peers]", then run this cell again.')
else:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    graph = lib.to_onnx(integer_network).SerializeToString()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    some = half.images[:200]
    theirs = torch.cat([torch.from_numpy(session.run(None, {"x": x.numpy()})[0]) for x in some.split(50)])
    ours = measure.predict(integer_network, some)
    print(f"onnxruntime {onnxruntime.__version__}, {len(some)} images, {ours.numel()} logits:")
    print(f"  {int((ours != theirs).sum())} logits differ; largest difference {(ours - theirs).abs().max():.2g}")

# %% [markdown]
# ## The numbers, once
#
# Everything is chosen. Now, and only now, the 10,000 test images. int8 and int4 are integer networks with 8-bit
# activations; int4 has 4-bit weights, two in a byte, rounded by GPTQ. The table compares each row with fp32.


# %% tags=["nbval-ignore-output"]
def low_bit(rounding: str) -> nn.Module:
    config = lib.QuantizationConfig(bits=4, observer=best, mode="integer", rounding=rounding)
    return lib.quantize_model(model, split.calibration.first(300), config)


chosen = {"fp32": model, "int8": integer_network, "int4": low_bit("gptq")}
passports = measure.passports(chosen, split, part="test", repeats=10)
measure.compare(passports)

# %% tags=["nbval-ignore-output"]
passport_plots.accuracy_against_bytes(passports)

# %% [markdown]
# *What is seen: three points with their 95 % intervals, size on a logarithmic axis. int8 stands left of fp32 at nearly the
# same height, int4 further left and lower.*

# %% tags=["nbval-ignore-output"]
passport_plots.latency_bars(passports)

# %% [markdown]
# *What is seen: for one image at a time and for batches of 64, one bar for each network, milliseconds for one image.*
#
# Two more counts. Did rounding with GPTQ matter at 4 bits? And back to the question at the top and your first guess:
# how many answers did int8 change, from right to wrong or from wrong to right?

# %% tags=["nbval-ignore-output"]
fp32, int8, int4 = (one.accuracy for one in passports)
nearest4 = accuracy_of(low_bit("nearest"), split.test)
print(f"{len(split.test)} test images, points lost against fp32:")
print(f"  int8 {100 * (fp32 - int8):.2f}")
print(f"  int4 {100 * (fp32 - int4):.2f} rounded by GPTQ, {100 * (fp32 - nearest4):.2f} rounded to nearest")
was, now = (measure.predict(network, split.test.images).argmax(1) for network in (model, integer_network))
was_right, is_right = was == split.test.labels, now == split.test.labels
worse, better, changed = (was_right & ~is_right).sum(), (~was_right & is_right).sum(), (was != now).sum()
print(f"int8 changed {changed} of {len(was)} answers, {1000 * changed / len(was):.1f} of 1,000:")
print(f"  {worse} right ones became wrong, {better} wrong ones right, {changed - worse - better} stayed wrong")

# %% [markdown]
# ## Pruned first, then quantized
#
# Unit 01 removes channels from the same network. Do the two savings multiply? The passports of this unit go into the file that
# unit 01 writes too, `passports.json` in the folder above this notebook. One click takes the network that you pruned there, or
# one that comes with the course if there is none yet, quantizes it to 8 bits, and measures both on validation images.

# %% tags=["nbval-ignore-output"]
course_results.keep_passports(passports)
pruned_one, where_from = course_results.pruned_network()
print(f"{where_from}: {metrics.model_bytes(pruned_one) / 1000:.0f} kB in float32, the whole network {metrics.model_bytes(model) / 1000:.0f} kB")

# %% tags=["widget", "nbval-ignore-output"]
widgets.run_button("Quantize the pruned network", lambda: course_results.prune_then_quantize(split))

# %% [markdown]
# ## What the numbers say
#
# - **Size.** Eight bits make the file about four times smaller, and four bits almost eight times. "Almost", because
#   scales and biases stay wide.
# - **Accuracy.** Both networks saw the same 10,000 images, so compare the printed counts: right answers that became wrong,
#   and wrong ones that became right. If they differ by less than about twice the square root of their sum, the difference
#   may be chance. At 4 bits the loss is larger, and its size depends on the way of rounding.
# - **Time.** Compare the latencies in the table with the race. The integer network runs as one compiled call: no
#   Python between its layers, no copies of patches, and pooling before the sums are rescaled. How it fares against
#   float depends on the processor: with instructions that multiply and add bytes it gains, and without them there is
#   little time to gain, for PyTorch's float convolution is tuned for it. What is gained in any case is memory.
# - **The worst class.** An average hides which class loses. Look at the worst class before and after.
# - **What was not measured.** Energy, other processors, other seeds of training, images unlike these.

# %% [markdown]
# ## In your own words
#
# Write a paragraph of about 120 words on the figure of accuracy and bits in Part 5: below how many bits would you train
# again, rather than only round? In a class a person marks it with three points: one for two numbers of the figure, *as they
# came out on your machine*, each with how sure it is; one for a reason that rests on something you computed in this unit; and
# one for what the figure cannot show, and how you would find out.

# %% [markdown] nbgrader={"grade": true, "grade_id": "explain_bits", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# Two accuracies with their intervals, on the same images, so the images on which only one network is right decide. Each bit
# less doubles the step, and the squared error of rounding grows four times; `optimal_rounding` moves this point, and does not
# remove it. It is one network and one set of images; a larger network may lose less, which a second run would show.
# ### END SOLUTION

# %% [markdown]
# ## Five questions

# %% jupyter={"source_hidden": true} tags=["widget", "nbval-ignore-output"]
widgets.quiz(
    [
        widgets.Question(
            "Why must 0 have a code of its own?",
            (
                "So that the scale is positive",
                "So that padding and ReLU zeros come back as exactly 0",
                "So that the largest number is not clipped",
            ),
            1,
            "Zeros are frequent. If 0 were dequantized to a small number, all these errors would have the same sign.",
        ),
        widgets.Question(
            "10,000 activations between 0 and 1, a single one of 10, and 4 bits. Which range has the smallest squared error?",
            (
                "from the smallest to the largest number",
                "one that clips the outlier",
                "the widest range that float32 allows",
            ),
            1,
            "Few codes: a wide range makes every step coarse. One clipped number costs less than that.",
        ),
        widgets.Question(
            "Why is the batch norm folded into the convolution before rounding?",
            (
                "Afterwards its factors would move the channels off a grid that they share",
                "Batch norm cannot run on calibration images",
                "Because the convolution has no bias",
            ),
            0,
            "Each channel has a factor of its own. With one scale per channel it could go into the scale; the bias and the "
            "range of the outputs would still change. Fold first, then round.",
        ),
        widgets.Question(
            "A fake-quantized network takes as many bytes as the float network, and more time. Why?",
            (
                "Fake quantization failed",
                "Its values lie on a grid, but are still stored and multiplied as 32-bit floats",
                "int8 products are as slow as float ones",
            ),
            1,
            "Fake quantization predicts the accuracy of an integer network. As a simulation it saves nothing, and rounding "
            "costs time.",
        ),
        widgets.Question(
            "What does GPTQ use that rounding to nearest does not?",
            ("the labels of the images", "gradients of the loss", "which inputs of the layer are large together"),
            2,
            "Only inputs, no labels: products of inputs say how later weights can compensate an earlier error.",
        ),
    ]
)

# %% [markdown]
# ## Papers
#
# - Jacob et al. 2018, *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference*:
#   the integer network of this unit, exercises 1, 7 and 8.
# - Krishnamoorthi 2018, *Quantizing Deep Convolutional Networks for Efficient Inference: A Whitepaper*: per channel
#   against per tensor.
# - Nagel et al. 2021, *A White Paper on Neural Network Quantization*: the best text to read next; ranges, folding,
#   training.
# - Bengio, Léonard, Courville 2013, *Estimating or Propagating Gradients Through Stochastic Neurons for Conditional
#   Computation*: the straight-through gradient.
# - Esser et al. 2020, *Learned Step Size Quantization*: the scale becomes a parameter too.
# - Frantar et al. 2022, *GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers*:
#   exercise 10.
# - Lin et al. 2024, *AWQ: Activation-aware Weight Quantization*: protect the weights with large inputs.
# - Xiao et al. 2023, *SmoothQuant*: move the difficulty from activations to weights.
#
# ## If you want more
#
# 1. **Learn the scale** (LSQ). Give `FakeQuantize` a gradient for the scale: inside the range, code − x / scale; outside
#    it, the outermost code. Does the 3-bit curve rise faster?
# 2. **Protect important weights** (AWQ). `lib.awq_scale` chooses a factor per input feature. Try to get below your own
#    GPTQ errors at 3 bits in one layer.
# 3. **Another order.** Let exercise 10 take the columns with the largest diagonal of H first. Does the output error
#    fall in every layer?
# 4. **Three bits in integers.** `lib.quantize_model` with `bits=3, rounding="gptq"`: where on the accuracy curve is it, and
#    how many bytes does it take?
# 5. **Class by class.** Compare `metrics.per_class_accuracy` before and after 4 bits. Do all classes lose equally?
#
# Words of this unit in the glossary: [quantization](../glossary.md#quantization), [scale](../glossary.md#scale),
# [zero point](../glossary.md#zero-point), [calibration](../glossary.md#calibration), [batch norm
# folding](../glossary.md#batch-norm-folding), [quantization-aware
# training](../glossary.md#quantization-aware-training), [GPTQ](../glossary.md#gptq),
# [accuracy](../glossary.md#accuracy), [passport](../glossary.md#passport).
