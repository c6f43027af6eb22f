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
# # 00 Start here: measure before you change
#
# This course is about [post-training](../glossary.md#post-training): what can still be done to a model when its
# training is over. Make it smaller, make it faster, make its confidence match how often it is right. Each of these is a
# claim about numbers. So before you change anything, you learn to measure.
#
# **The question.** The course ships a small network that sorts images of clothes into ten classes. How accurate is it,
# and how sure can we be of that? How large is it, and how fast *on this machine*? Which part of it holds most of the
# bytes, which part takes most of the time: is it the same part? At the end of this unit you have answered all of this
# with functions of your own, and the answers are in one table, the network's [passport](../glossary.md#passport).
#
# **You need** Python and some first experience with PyTorch (a tensor, a model that is called). The unit takes about
# 50 minutes, with four exercises.

# %% [markdown]
# ## How to work here
#
# - **Run a cell:** click into it, press Shift + Enter. Begin with the first one and go down. Nothing can break:
#   *Kernel, Restart Kernel* gives you a fresh start, and your text stays.
# - **An exercise** is a function without a body. Replace `raise NotImplementedError` with your lines; the course's own
#   answers have at most six.
# - **The first try** is the cell right below. It runs the `>>>` examples of the function's docstring and shows what came
#   where the docstring promises something else.
# - **The check** is the cell after it. It calls your function many times and prints one line when all is right.
#   Otherwise it says in a sentence what is wrong. Run both as often as you like.
# - **A guess comes first.** Before most exercises you are asked what you expect. Nobody records it. A wrong guess is
#   what makes a number worth remembering.
# - **Figures run your functions,** so they show your work. A mistake costs only its own exercise: no later exercise
#   needs it. The last figures need exercises 3 and 4.
# - **Help:** read the check's sentence again, then the `>>>` example of the function, then the
#   [glossary](../glossary.md). The course's own version of every function is open: `help(metrics.accuracy)` explains
#   it, and `metrics.accuracy??` shows its lines; `latency` is in `measure`.
# - **Your points:** save the notebook (Ctrl + S), open a second terminal in the folder where you typed
#   `posttrain-lab start`, and type `posttrain-lab check 00_start_here`. It runs your functions and lists points and a
#   sentence for each exercise. `posttrain-lab progress` shows all units.
#
# The next cell loads everything the unit needs. It may be run twice.

# %% tags=["setup"]
import math
import time
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from posttrain_lab import checks, data, measure, metrics, models, widgets
from posttrain_lab.plots import passports as passport_plots
from posttrain_lab.plots import start_here as plots

torch.set_num_threads(1)  # one thread: times can be compared
split = data.load_fashion()
model = models.load_pretrained("fashion_cnn")
PARTS = {
    "block 1": model[0:4],
    "block 2": model[4:8],
    "block 3": model[8:12],
    "linear 1": model[12:15],
    "linear 2": model[15:16],
}


def stopwatch(fn) -> float:
    """Seconds that one call of fn() takes. For exercise 4."""
    start = time.perf_counter()
    fn()
    return time.perf_counter() - start


def in_percent(values) -> list[float]:
    """Each value's share of the sum."""
    return [100 * value / (sum(values) or 1) for value in values]


# %% [markdown]
# ### What a check says
#
# Here is a wrong answer, made on purpose: an accuracy in percent, where a fraction between 0 and 1 is asked for.


# %%
def accuracy_in_percent(logits, labels):
    return 100 * metrics.accuracy(logits, labels)


print(checks.start_here.accuracy.check(checks.start_here.accuracy.submission(accuracy_in_percent)).message)

# %% [markdown]
# The first sentence names the mistake, the line in brackets the first case in which it was found. In your own exercises
# the same text appears below the check.

# %% [markdown]
# ## The network and its images
#
# An image has 28 x 28 pixels and belongs to one of ten classes (Fashion-MNIST, Xiao et al. 2017). The network gives
# ten numbers for each image, the [logits](../glossary.md#logits); the largest one names its answer.
#
# The images are split into four sets that never mix: *train* was used to train the weights, *calibration* is for fitting
# a few numbers, *validation* for looking and choosing, *test* for the last number of a unit. Until the end of this unit we
# look at [validation](../glossary.md#validation-set) images only.

# %%
images, labels, classes = split.validation.images, split.validation.labels, split.validation.classes
logits = measure.predict(model, images)
print("logits", list(logits.shape), "labels", list(labels.shape))
print(model)

# %% tags=["nbval-ignore-output"]
answers = logits.argmax(dim=1)
missed = (answers != labels).nonzero().flatten()[:5]
some = torch.cat([torch.arange(5), missed])
plots.gallery(images[some], [f"{classes[answers[i]]}<br>is: {classes[labels[i]]}" for i in some])

# %% [markdown]
# *What is seen: ten small grey pictures of clothes in two rows of five, with two lines of words below each.*
#
# The first row shows the first five images; the second row shows five that the network gets wrong. The upper word is its
# answer, the lower one the truth.

# %% [markdown]
# ## Exercise 1: how good?
# *Difficulty 1 of 5, 5 minutes, 1 point*
#
# **Aim:** the fraction of images whose largest logit is that of the right class.
#
# $$accuracy = \frac{1}{n} \sum_{i=1}^{n} \left[\, \arg\max_c\, logits_{i,c} = labels_i \,\right]$$
#
# `logits` [n, c] holds one row per image, `labels` [n] the right classes 0 to c − 1. The result is a plain Python
# `float` between 0 and 1 (`.item()` turns a tensor with one number into one).
#
# **Predict:** twenty people each measure this same network on 100 images of their own. How far apart are their accuracies?

# %% tags=["widget", "nbval-ignore-output"]
widgets.predict(
    "Between the lowest and the highest accuracy of the twenty, how many points will lie?",
    ["less than 2 points", "2 to 5 points", "more than 5 points"],
    "Write the function, then read it off the figure, at 100 images.",
)


# %% nbgrader={"grade": false, "grade_id": "accuracy", "locked": false, "schema_version": 3, "solution": true, "task": false}
def accuracy(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> float:
    """The fraction of rows whose largest logit is in the column of the label.

    >>> accuracy(torch.tensor([[0.2, 0.8], [3.0, 1.0], [0.1, 0.3], [2.0, -2.0]]), torch.tensor([1, 0, 0, 0]))
    0.75
    """
    ### BEGIN SOLUTION
    hits = logits.argmax(dim=1) == labels
    return hits.double().mean().item()
    ### END SOLUTION


# %%
checks.try_examples(accuracy)

# %% nbgrader={"grade": true, "grade_id": "test_accuracy", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks.start_here.accuracy(accuracy)
### BEGIN HIDDEN TESTS
checks.start_here.accuracy(accuracy, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
generator = torch.Generator().manual_seed(0)
samples = {}
for size in (20, 50, 100, 200, 500, 1000):
    chosen = [torch.randperm(len(labels), generator=generator)[:size] for _ in range(20)]
    samples[size] = [accuracy(logits[index], labels[index]) for index in chosen]
print(f"20 samples of 100 images: {min(samples[100]):.1%} to {max(samples[100]):.1%}")
plots.accuracy_of_samples(samples, accuracy(logits, labels))

# %% [markdown]
# *What is seen: a column of dots for each sample size, and a dashed line across all columns, the accuracy on all images. The
# columns are tall on the left, where samples are small, and short on the right.*
#
# **Look:** every dot is the same network. Someone shows you that a change raised the accuracy by one point, measured
# on 100 images. What do you say?
#
# <details><summary>Answer</summary>
# That a hundred images cannot show it. At that size the dots of one unchanged network lie several points apart, so a
# difference of one point is well inside what chance does. An accuracy is a measurement on a sample: it needs its
# size, or better an interval, beside it.
# </details>

# %% [markdown]
# ## Exercise 2: how sure?
# *Difficulty 2 of 5, 8 minutes, 2 points*
#
# **Aim:** the range of true accuracies that agree with the observed hits in n trials, the [Wilson
# interval](../glossary.md#wilson-interval). A hit is an image that the network gets right.
#
# With $p = hits / n$:
#
# $$center = p + \frac{z^2}{2n} \qquad half = z \sqrt{\frac{p(1-p)}{n} + \frac{z^2}{4n^2}}$$
#
# $$(low, high) = \frac{center \mp half}{1 + z^2/n}$$
#
# `hits` and `n` are whole numbers, the result is a pair of plain floats between 0 and 1. `z = 1.96` gives an interval
# that holds the true accuracy in about 95 of 100 experiments. The formula you may know from school, $p \mp z
# \sqrt{p(1-p)/n}$, is the [normal approximation](../glossary.md#normal-approximation). It fails near 0 and 1, and
# good networks have accuracies near 1.

# %% tags=["widget", "nbval-ignore-output"]
widgets.predict(
    "You test ten images and the network gets all ten right. What is the lower end of Wilson's 95 % interval?",
    ["about 99 %", "about 90 %", "about 70 %"],
    "Write the function; the figure below starts with ten of ten.",
)


# %% nbgrader={"grade": false, "grade_id": "wilson_interval", "locked": false, "schema_version": 3, "solution": true, "task": false}
def wilson_interval(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The two ends (low, high) of the Wilson interval for the rate behind `hits` of `n`.

    >>> [round(end, 3) for end in wilson_interval(10, 10)]  # the normal approximation says [1.0, 1.0]
    [0.722, 1.0]
    """
    ### BEGIN SOLUTION
    p = hits / n
    center = p + z**2 / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return (center - half) / (1 + z**2 / n), (center + half) / (1 + z**2 / n)
    ### END SOLUTION


# %%
checks.try_examples(wilson_interval)

# %% nbgrader={"grade": true, "grade_id": "test_wilson_interval", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.start_here.wilson_interval(wilson_interval)
### BEGIN HIDDEN TESTS
checks.start_here.wilson_interval(wilson_interval, hidden=True)
### END HIDDEN TESTS


# %% tags=["widget", "nbval-ignore-output"]
def draw_intervals(percent: int, n: int):
    hits = round(n * percent / 100)
    p = hits / n
    half = 1.96 * math.sqrt(p * (1 - p) / n)
    return plots.intervals({"Wilson": wilson_interval(hits, n), "normal approximation": (p - half, p + half)}, p)


widgets.slider_figure(
    draw_intervals,
    percent=widgets.Slider(0, 100, start=100, step=1, label="hits (%)"),
    n=widgets.Choice((10, 100, 1000, 10_000), label="images n"),
)

# %% [markdown]
# *What is seen: a horizontal line for each method on an axis of accuracy, and a thin vertical line at 0 % and at 100 %. When all
# of ten images are hits, Wilson's line reaches down to about 70 %, and that of the normal approximation is a single point.*
#
# **Look:** move the hits down to 90 % with ten images. What is wrong with the normal approximation, and how many
# images does it take until the two agree?
#
# <details><summary>Answer</summary>
# It goes beyond 100 %, which no accuracy can. At 100 % it has no width at all, as if ten images could prove perfection.
# Wilson's interval stays inside, and its center is moved towards 50 %. From some hundreds of images on, with misses among
# them, you can hardly tell the two apart. At a fixed accuracy below 100 %, ten times the images make the interval
# about three times narrower, since its width falls with the square root of n.
# </details>

# %% [markdown]
# ## Exercise 3: how large?
# *Difficulty 2 of 5, 8 minutes, 2 points*
#
# **Aim:** the bytes of all numbers that a model stores.
#
# $$bytes = \sum_{t\, \in\, parameters\, \cup\, buffers} count(t) \cdot width(t)$$
#
# [Parameters](../glossary.md#parameter) are what training changed; [buffers](../glossary.md#buffer) are stored too,
# such as the running mean of a batch norm. The width is each tensor's own: 4 bytes for a float32, 2 for a float16, 1
# for an int8. A tensor that two layers share counts once. The result is an `int`.
#
# **Predict:** the network has five parts. Each block is a [convolution](../glossary.md#convolution), a batch norm, a
# ReLU and a pooling step that halves the image; two [linear layers](../glossary.md#linear-layer) follow. Give each
# part points for its share of the bytes.

# %% tags=["widget", "nbval-ignore-output"]
byte_guess = dict.fromkeys(PARTS, 2)


def draw_byte_guess(**points):
    byte_guess.update(points)
    return plots.part_shares(list(PARTS), {"your guess": in_percent(points.values())}, "share of the bytes (%)")


widgets.slider_figure(draw_byte_guess, **{part: widgets.Slider(0, 10, start=2, step=1, label=part) for part in PARTS})


# %% nbgrader={"grade": false, "grade_id": "model_bytes", "locked": false, "schema_version": 3, "solution": true, "task": false}
def model_bytes(model: nn.Module) -> int:
    """The bytes of all parameters and buffers of `model`, each number as wide as its dtype, shared tensors once.

    >>> model_bytes(nn.Sequential(nn.Linear(10, 3), nn.BatchNorm1d(3).half()))  # 33 numbers of 4, 12 of 2, 1 of 8 bytes
    164
    """
    ### BEGIN SOLUTION
    tensors = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    ### END SOLUTION


# %%
checks.try_examples(model_bytes)

# %% nbgrader={"grade": true, "grade_id": "test_model_bytes", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.start_here.model_bytes(model_bytes)
### BEGIN HIDDEN TESTS
checks.start_here.model_bytes(model_bytes, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
part_bytes = [model_bytes(part) for part in PARTS.values()]
print(f"{model_bytes(model):,} bytes:", ", ".join(f"{part} {n:,}" for part, n in zip(PARTS, part_bytes, strict=True)))
byte_shares = {"your guess": in_percent(byte_guess.values()), "measured": in_percent(part_bytes)}
plots.part_shares(list(PARTS), byte_shares, "share of the bytes (%)")

# %% [markdown]
# *What is seen: two bars for each of the five parts, your guess and what was measured. Among the measured ones that of linear 1
# is the tallest, and those of block 1 and linear 2 can hardly be seen.*
#
# **Look:** which part is the largest, and why, although a linear layer looks like the simplest layer of all?
# (Hint: `linear 1` maps 864 numbers to 64.)
#
# <details><summary>Answer</summary>
# The first linear layer. It has one weight for each pair of input and output, 864 times 64. A convolution uses a
# small window of weights again at every position of the image, so it needs far fewer: it saves bytes, not arithmetic.
# To make the file smaller, start with the largest bars.
# </details>

# %% [markdown]
# ## Exercise 4: how fast?
# *Difficulty 3 of 5, 10 minutes, 2 points*
#
# **Aim:** the seconds of a fast, a typical and a slow call: the [percentiles](../glossary.md#percentile) p20, p50 and p80
# of many calls.
#
# 1. Call `fn()` `warmup` times and throw these times away.
# 2. Measure `repeats` further calls, each one separately. `stopwatch(fn)` from the first cell gives the seconds of
#    one call.
# 3. Sort the times $t_1 \le t_2 \le \dots \le t_{repeats}$ and take
#
# $$p_k = t_j \quad \text{with} \quad j = \left\lceil k \cdot repeats\, /\, 100 \right\rceil \qquad k = 20,\ 50,\ 80$$
#
# (the nearest rank; any usual definition of a percentile is accepted). The formula counts from 1, Python's lists from
# 0.
#
# **Predict:** the same five parts, now for a [batch](../glossary.md#batch) of 64 images on one thread. Give each part
# points for its share of the time.

# %% tags=["widget", "nbval-ignore-output"]
time_guess = dict.fromkeys(PARTS, 2)


def draw_time_guess(**points):
    time_guess.update(points)
    return plots.part_shares(list(PARTS), {"your guess": in_percent(points.values())}, "share of the time (%)")


widgets.slider_figure(draw_time_guess, **{part: widgets.Slider(0, 10, start=2, step=1, label=part) for part in PARTS})


# %% nbgrader={"grade": false, "grade_id": "latency", "locked": false, "schema_version": 3, "solution": true, "task": false}
def latency(fn, repeats: int = 50, warmup: int = 5) -> tuple[float, float, float]:
    """(p20, p50, p80) in seconds of `repeats` calls of fn(), measured after `warmup` calls that do not count.

    >>> naps = iter([0.2, 0.001, 0.001, 0.001, 0.001, 0.001])  # the first call is slow, as first calls are
    >>> max(latency(lambda: time.sleep(next(naps)), repeats=5, warmup=1)) < 0.03
    True
    """
    ### BEGIN SOLUTION
    for _ in range(warmup):
        fn()
    times = sorted(stopwatch(fn) for _ in range(repeats))
    p20, p50, p80 = (times[math.ceil(k * repeats / 100) - 1] for k in (20, 50, 80))
    return p20, p50, p80
    ### END SOLUTION


# %%
checks.try_examples(latency)

# %% nbgrader={"grade": true, "grade_id": "test_latency", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.start_here.latency(latency)
### BEGIN HIDDEN TESTS
checks.start_here.latency(latency, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Now the network on this machine. The dots are single calls, the warm-up included; the lines are
# your three numbers.

# %% tags=["nbval-ignore-output"]
batch, fresh = images[:64], models.load_pretrained("fashion_cnn")
calls = []


def recorded_call():
    calls.append(stopwatch(partial(fresh, batch)))


with torch.no_grad():
    found = latency(recorded_call, repeats=40, warmup=5)
p20, p50, p80, mean = (1000 * seconds for seconds in (*found, sum(calls) / len(calls)))
print(f"p20 {p20:.2f} ms, p50 {p50:.2f} ms, p80 {p80:.2f} ms; mean of all dots {mean:.2f} ms")
plots.call_times(calls, found)

# %% [markdown]
# *What is seen: one dot for each call, in milliseconds on a log axis, and three horizontal lines: p20, p50 and p80. Some dots
# lie above or below all three lines.*
#
# **Look:** run the cell above three times. Which of the four printed numbers changes most, and which would you
# report?
#
# <details><summary>Answer</summary>
# On a quiet machine the mean: a single slow call, caused by another program or by first-time work such as reserving memory,
# moves it, while the median p50 hardly changes. Report p50, with p20 and p80 to say how much it varies, and always
# with batch size, threads and machine.
# </details>

# %% [markdown]
# ## Where are the bytes, where is the time?
#
# The figure runs your `model_bytes` and your `latency` on each part and puts your guesses beside them. *Work* is the
# number of multiply-accumulates ([MACs](../glossary.md#mac)), which can be counted without any clock. Switch between
# the three, and between one image and a batch of 64.

# %% tags=["widget", "nbval-ignore-output"]
rows = {"bytes": {1: part_bytes, 64: part_bytes}, "work": {}, "time": {}}
with torch.no_grad():
    for size in (1, 64):
        x, rows["work"][size], rows["time"][size] = images[:size], [], []
        for part in PARTS.values():
            rows["work"][size].append(metrics.macs(part, x))
            rows["time"][size].append(latency(partial(part, x), repeats=20, warmup=3)[1])
            x = part(x)


def draw_shares(what: str, size: int):
    guess = byte_guess if what == "bytes" else time_guess
    shares = {"your guess": in_percent(guess.values()), "measured": in_percent(rows[what][size])}
    return plots.part_shares(list(PARTS), shares, f"share of the {what} (%)")


widgets.slider_figure(
    draw_shares,
    what=widgets.Choice(("bytes", "work", "time"), start="time", label="share of"),
    size=widgets.Choice((1, 64), start=64, label="images a call"),
)

# %% tags=["nbval-ignore-output"]
for size in (1, 64):
    print(f"{size} image(s) a call, billions of multiply-accumulates per second:")
    for part, work, seconds in zip(PARTS, rows["work"][size], rows["time"][size], strict=True):
        print(f"  {part}: {work / seconds / 1e9:.1f}")

# %% [markdown]
# **Look:** where do your guesses of bytes and time differ from the bars? And why can you not predict the time from
# the count of MACs?
#
# <details><summary>Answer</summary>
# The bytes are in the last block and the first linear layer, the time in the convolutions. The linear layers have
# more than half of the bytes and take a small part of the time. MACs do not tell the time: the printed speeds differ
# from part to part. The first block does little arithmetic on large images, so most of its time goes into moving them,
# batch norm and pooling included. So a smaller file and a faster answer need work on different parts of this network.
# </details>

# %% [markdown]
# ## The passport
#
# All of it in one table. First your own four functions, on the validation images that you have been looking at. Then
# the course's own passport, and now, once, on the 10,000 *test* images. What is new in it is the
# [ECE](../glossary.md#expected-calibration-error), the gap between the network's confidence and how often it is right.

# %% tags=["nbval-ignore-output"]
share = accuracy(logits, labels)
low, high = wilson_interval(round(share * len(labels)), len(labels))
with torch.no_grad():
    p20, p50, p80 = latency(partial(model, images[:1]), repeats=50, warmup=5)
print(f"accuracy {share:.2%} ({low:.2%} to {high:.2%}), {model_bytes(model):,} bytes, {1000 * p50:.2f} ms an image")

# %% tags=["nbval-ignore-output"]
passport = measure.passport(model, split, "fp32", part="test")
passport_plots.passport_card(passport)

# %% [markdown]
# *What is seen: a table with one row for each number that was measured, from the accuracy to the versions of the software.*
#
# ## What the numbers say
#
# - **Good, but not for every class.** The overall accuracy hides the [worst class](../glossary.md#worst-class-accuracy), which
#   lies far below it. In every later unit look at both: a change can leave the first alone and ruin the second.
# - **Known within limits.** Even 10,000 images leave an interval. A later unit that gains or loses less than its width has
#   to compare both networks image by image: they see the same images, and only those count for which one is right and
#   the other wrong. And the interval holds for images like these, not for photographs
#   from your phone.
# - **Small and fast are two things.** The bytes and the time are in different parts. Storing the weights in fewer
#   bits reduces the bytes, and may or may not reduce the time.
# - **What was lost.** Nothing yet: you changed nothing. That is the point of measuring first: from now on each unit
#   shows this table twice, before and after.
# - **What was not measured.** Energy, other machines, more than one thread, the memory that a run needs.

# %% [markdown]
# ## In your own words
#
# Write a paragraph of about 120 words on the figure of bytes and time by part: which part would you make smaller, and which
# faster? In a class a person marks it with three points: one for two numbers of the figure, *as they came out on your
# machine*, each with how sure it is; one for a reason that rests on something you computed in this unit; and one for what the
# figure cannot show, and how you would find out.

# %% [markdown] nbgrader={"grade": true, "grade_id": "explain_time", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# The part with most bytes is made smaller first; the one with most time, whose range from p20 to p80 stays above the others',
# is made faster. They differ, because the weights of a linear layer are used once an image, and those of a convolution again
# at every place. The figure shows one machine with one thread: another machine, or another batch size, needs another run.
# ### END SOLUTION

# %% [markdown]
# ## Five questions

# %% jupyter={"source_hidden": true} tags=["widget", "nbval-ignore-output"]
widgets.quiz(
    [
        widgets.Question(
            "Network A gets 93 of 100 images right, network B 91 of another 100. Is A better?",
            ("Yes, by two points", "It cannot be told from this", "No, B is better"),
            1,
            "Both Wilson intervals are about ten points wide and overlap almost completely. More images, or the same "
            "images for both, are needed.",
        ),
        widgets.Question(
            "You have tried twenty versions and kept the one with the best accuracy on the test set. Its accuracy "
            "there is",
            ("an honest estimate", "probably too high", "probably too low"),
            1,
            "The best of twenty was partly lucky on these very images. Choose on validation images, and use the "
            "test images once.",
        ),
        widgets.Question(
            "model.half() turns all float32 numbers into float16. What changes for certain?",
            ("The bytes of the weights halve", "Each call takes half the time", "The accuracy falls by a point"),
            0,
            "Two bytes instead of four, by definition. Time and accuracy have to be measured; on many CPUs "
            "float16 is even slower.",
        ),
        widgets.Question(
            "Why is the first call of a network left out of its latency?",
            (
                "It may include work that is done only once",
                "It is always wrong",
                "The clock is not exact enough for it",
            ),
            0,
            "Reserving memory, filling caches, perhaps compiling: done once. If your users only ever make one "
            "call, measure that one.",
        ),
        widgets.Question(
            "Layer X has twice the multiply-accumulates of layer Y. It takes",
            ("twice the time", "the same time", "a time that has to be measured"),
            2,
            "Time also goes into moving numbers, and small or irregular work uses the processor badly. You saw "
            "it in the printed speeds.",
        ),
    ]
)

# %% [markdown]
# ## Papers
#
# - Wilson 1927, *Probable Inference, the Law of Succession, and Statistical Inference*, Journal of the American
#   Statistical Association 22: exercise 2, in four pages.
# - Brown, Cai, DasGupta 2001, *Interval Estimation for a Binomial Proportion*, Statistical Science 16: how badly the
#   normal approximation does, and what to use instead.
# - Xiao, Rasul, Vollgraf 2017, *Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms*,
#   arXiv:1708.07747: the images.
# - Guo, Pleiss, Sun, Weinberger 2017, *On Calibration of Modern Neural Networks*, ICML: why confidences need
#   checking, and the ECE of the passport.
# - Hoefler, Belli 2015, *Scientific Benchmarking of Parallel Computing Systems*, SC15: twelve rules for reporting
#   times.
# - Sze, Chen, Yang, Emer 2017, *Efficient Processing of Deep Neural Networks: A Tutorial and Survey*, Proceedings of
#   the IEEE 105: why bytes, MACs and time differ.
#
# ## If you want more
#
# 1. **Half the bytes.** Take `models.load_pretrained("fashion_cnn").half()` and `images.half()`. Bytes, accuracy,
#    latency: what was gained, what was lost on this machine?
# 2. **Two threads.** Measure p50 for batches of 1 and 64 with `torch.set_num_threads(2)`. Where does it help? Set it
#    back to 1.
# 3. **Test the interval.** Draw 1,000 samples of 50 images from the validation set, with repetition. In how many of
#    them does your interval hold the accuracy of the whole set? And the normal approximation's?
# 4. **Class by class.** `metrics.per_class_accuracy(logits, labels, 10)` gives one accuracy a class. Show images of the
#    worst class with `plots.gallery`. Would you do better?
# 5. **Keep it.** `passport.save("fp32.json")`, restart the kernel, `measure.Passport.load("fp32.json")`, and
#    `measure.compare([old, new])` with a second measurement. Which numbers are the same to the last digit, which are
#    not?
#
# **Next:** unit 02, quantization, makes this network about four times smaller and shows both passports.
#
# Words of this unit in the glossary: [post-training](../glossary.md#post-training),
# [accuracy](../glossary.md#accuracy), [logits](../glossary.md#logits), [Wilson
# interval](../glossary.md#wilson-interval), [bytes of a model](../glossary.md#bytes-of-a-model),
# [dtype](../glossary.md#dtype), [latency](../glossary.md#latency), [percentile](../glossary.md#percentile),
# [warm-up](../glossary.md#warm-up), [MAC](../glossary.md#mac), [test set](../glossary.md#test-set), [validation
# set](../glossary.md#validation-set), [passport](../glossary.md#passport).
