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
# # 01 Pruning: most weights can go. Is the network faster then?
#
# A trained network holds many weights that hardly matter. In this unit you find them, set them to zero, and train the
# others to make up for the loss. Then comes the harder part: a zero that is stored and multiplied like any other number
# saves nothing. You store only the weights that are left, multiply only these, and remove whole channels, and each time
# you measure what is gained.
#
# **The question.** The course ships a small network that sorts images of clothes into ten classes. How many of its
# weights can be removed before it loses one point of accuracy? And which way of removing makes it faster *on this
# machine*? Both answers are measured at the end, by code you can open.
#
# **You need** Python and a little PyTorch (tensors, `nn.Linear`, an optimizer). No other unit comes first.
#
# **How it works.** There are ten exercises; the unit takes about 165 minutes. Replace `raise NotImplementedError` with
# your lines; the course's own answers have at most six. The cell right below tries the examples of the docstring. The
# next one checks your function on many more calls and says in a sentence what is wrong. Run both as often as you like.
# A mistake costs only its own exercise: later ones use the library's version, `lib`, of what came before. The figures
# use *your* functions, so they show your work; the text names the three that use the library's (lottery tickets, the
# break-even map, the choice of channels). In a terminal, `posttrain-lab check 01` shows the points of the whole
# notebook. The [glossary](../glossary.md) explains the terms of the field.
#
# **Which images for what.** Weights are changed on *training* images, scores are computed on *calibration* images,
# choices are made on *validation* images, and the *test* images are used once, for the last numbers of the unit.

# %% tags=["setup"]
import copy
import csv
import dataclasses
import itertools
import sys
from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int32
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from posttrain_lab import checks, data, measure, metrics, models, training, widgets
from posttrain_lab import pruning as lib
from posttrain_lab.experiments import course_results
from posttrain_lab.plots import passports as passport_plots
from posttrain_lab.plots import pruning as plots

torch.set_num_threads(1)  # one thread: times can be compared, and sums come out the same at every run
torch.manual_seed(0)
split = data.load_fashion()
model = models.load_pretrained("fashion_cnn")
model = model.to(memory_format=torch.channels_last)  # the memory format in which its convolutions are fastest
few = split.validation.first(400)  # for figures that run the network many times


def accuracy_of(network: nn.Module, part: data.Dataset) -> float:
    """The accuracy on one part of the split, in eval mode; the network's modes stay as they are."""
    return metrics.accuracy(measure.predict(network, part.images, batch_size=100), part.labels)


def prunable(network: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.Conv2d]]:
    """(name, layer) of every linear layer and convolution, in the order of the network."""
    return ((name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d))


def accuracy_at(curve: list[float], sparsity: float) -> float:
    """A curve over sparsities 0, 1/(n - 1), ..., 1, interpolated linearly; beyond 1 it stays at its last value."""
    place = min(sparsity, 1.0) * (len(curve) - 1)
    left = min(int(place), len(curve) - 2)
    return curve[left] + (place - left) * (curve[left + 1] - curve[left])


def kept_parameters(sizes: dict[str, int], sparsities: dict[str, float]) -> float:
    """How many weights are left in all layers together?"""
    return sum(size * (1 - sparsities[name]) for name, size in sizes.items())


def with_tensors(layer: nn.Module, **tensors: Tensor | None) -> nn.Module:
    """A copy of a layer with other tensors and matching sizes; `with_tensors(linear, weight=w[:, :3])`."""
    new = copy.deepcopy(layer)
    for name, tensor in tensors.items():
        if tensor is not None:
            learned = isinstance(getattr(new, name), nn.Parameter)
            setattr(new, name, nn.Parameter(tensor.detach().clone()) if learned else tensor.detach().clone())
    if isinstance(new, nn.Conv2d):
        new.out_channels, new.in_channels = new.weight.shape[:2]
    elif isinstance(new, nn.Linear):
        new.out_features, new.in_features = new.weight.shape
    else:
        new.num_features = len(new.weight)
    return new


# %% [markdown]
# ## Where we start
#
# First the network as it is: how good, how large, how fast? The *passport* of a network collects these numbers.
# Accuracy comes with its 95 % interval, because 2,000 images are a sample. Times are medians of many runs on one
# thread.

# %% tags=["nbval-ignore-output"]
before = measure.passport(model, split, "dense", part="validation", repeats=15)
measure.compare([before])

# %% [markdown]
# In which layers are the weights? Each line is a layer that can be pruned.

# %%
for name, layer in prunable(model):
    share = layer.weight.numel() / sum(other.weight.numel() for _, other in prunable(model))
    print(f"layer {name:>2}  {type(layer).__name__:7} {list(layer.weight.shape)!s:15} {share:6.1%} of the weights")

# %% [markdown]
# **Predict.** You will set the smallest weights of the whole network to zero and change nothing else.

# %% tags=["widget", "nbval-ignore-output"]
widgets.predict(
    "How many of ten weights can be removed before the accuracy falls by more than five points?",
    ["one or two", "about five", "eight or nine"],
    "The figure below exercise 2 has a slider for it.",
)

# %% [markdown]
# ## Part 1: which weights matter?
#
# ### Exercise 1: keep the largest
# *Difficulty 1 of 5, 8 minutes, 2 points*
#
# **Aim:** mark the weights of one tensor that are kept when the weights of smallest magnitude are removed.
#
# A weight near zero changes a sum little. So the simplest score of a weight is its magnitude |w| (Han et al. 2015).
# The result is a *mask*: a `bool` tensor with the shape of the weight, **True where a weight is kept**.
#
# - Exactly `round(sparsity * n)` of the n weights are removed. Python's `round` is meant: a half is rounded to the even
#   number.
# - Among equal magnitudes any may be removed, but the count stays exact. A threshold cannot guarantee that: select indices
#   instead of comparing values. `argsort` and `topk` give indices, not ranks.
# - Sparsity 0 keeps everything, sparsity 1 nothing. The weight itself is not changed.
# - A weight may lie in memory in another order (this network's convolutions do): use `flatten` and `reshape`, not `view`.
#   So may the results of this unit.
#
# **Predict:** four weights, 1, −3, 1 and 1, and sparsity 0.5. How many does `weight.abs() > 1` keep?
#
# <details><summary>Answer</summary>
#
# One, where two should stay. Trained weights are rarely equal; rounded ones, and those that are zero already, often are.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "magnitude_mask", "locked": false, "schema_version": 3, "solution": true, "task": false}
def magnitude_mask(weight: Float[Tensor, "*shape"], sparsity: float) -> Bool[Tensor, "*shape"]:
    """True for the weights that are kept when the round(sparsity * n) smallest magnitudes are removed.

    weight [*shape] stays unchanged; sparsity from 0 to 1. Among equal magnitudes any may be removed.

    >>> magnitude_mask(torch.tensor([0.5, -3.0, 0.1, 2.0]), 0.5)
    tensor([False,  True, False,  True])
    >>> magnitude_mask(torch.tensor([1.0, -1.0, 1.0, 1.0]), 0.75).sum()  # equal ones: still exactly one is kept
    tensor(1)
    """
    ### BEGIN SOLUTION
    order = weight.abs().flatten().argsort()
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[order[: round(sparsity * weight.numel())]] = False
    return mask.reshape(weight.shape)
    ### END SOLUTION


# %%
checks.try_examples(magnitude_mask)

# %% nbgrader={"grade": true, "grade_id": "test_magnitude_mask", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.pruning.magnitude_mask(magnitude_mask)
### BEGIN HIDDEN TESTS
checks.pruning.magnitude_mask(magnitude_mask, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Is magnitude a good score? A score must beat chance. Every layer loses the same share of its weights, once by your
# mask and once at random.

# %% tags=["nbval-ignore-output"]
shares = (0.2, 0.4, 0.6, 0.7, 0.8, 0.9)
chance = torch.Generator().manual_seed(0)


def by_layer(sparsity: float, of=lambda weight: weight) -> nn.Module:
    """The network with the same sparsity in every layer; your mask ranks the magnitudes of `of(weight)`."""
    masks = {name: magnitude_mask(of(layer.weight.detach()), sparsity) for name, layer in prunable(model)}
    return lib.apply_masks(model, masks)


each_layer = [accuracy_of(by_layer(s), few) for s in shares]
at_random = [accuracy_of(by_layer(s, lambda w: torch.rand(w.shape, generator=chance)), few) for s in shares]
dense_accuracy = accuracy_of(model, few)
both = {"your magnitude_mask": each_layer, "at random": at_random}
plots.accuracy_against_sparsity(shares, both, dense_accuracy, len(few))

# %% [markdown]
# *What is seen: two curves that fall as more weights are removed. Both leave the grey band, the dense network's 95 %
# interval, early; the one by magnitude falls much later than the random one.*
#
# **Question.** Nothing was trained here. Where do you expect the curve after some training? Can you already choose the right
# sparsity from this figure?
#
# <details><summary>Answer</summary>
#
# Further right, so it is too early to choose. The weights that are left were trained together with the others; further
# training lets them take over part of the others' work. How much is lost *before* training says little about how much is
# lost *after* it. Exercise 5 trains.
#
# </details>

# %% [markdown]
# ### Exercise 2: one ranking for all layers
# *Difficulty 2 of 5, 10 minutes, 2 points*
#
# **Aim:** rank the weights of all layers together, so that some layers lose more than others.
#
# `weights` is a dict of named tensors. Rank all their magnitudes in one list; the smallest of the whole network are removed.
#
# - A tensor with fewer than two axes, a bias or a batch norm, is left whole (its mask is all True) and is **not
#   counted**. Of the others together exactly `round(sparsity * total)` weights are removed.
# - The result has every name, with a mask of its tensor's shape. Equal magnitudes as in exercise 1.
#
# `torch.cat` joins many tensors into one, `tensor.split([n1, n2, ...])` cuts it again. You may use `lib.magnitude_mask`.
#
# **Predict:** a layer of 1,000 weights near 0.01 and one of 10 weights near 1. Which share of each is removed at sparsity 0.5?
#
# <details><summary>Answer</summary>
#
# About half of the first, none of the second. A layer whose weights are all small can lose everything, and then no signal
# passes. Magnitudes of different layers are not quite comparable, but this ranking compares them.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "global_masks", "locked": false, "schema_version": 3, "solution": true, "task": false}
def global_masks(weights: dict[str, Float[Tensor, "..."]], sparsity: float) -> dict[str, Bool[Tensor, "..."]]:
    """Masks by one ranking of |w| over all tensors with two axes or more; the others are kept whole and not counted.

    Exactly round(sparsity * total) weights are removed, total being the weights of the ranked tensors.

    >>> some = {"a": torch.tensor([[1.0, -5.0]]), "b": torch.tensor([[6.0, 7.0]]), "c": torch.tensor([0.1])}
    >>> masks = global_masks(some, 0.5)
    >>> masks["a"], masks["b"], masks["c"]
    (tensor([[False, False]]), tensor([[True, True]]), tensor([True]))
    """
    ### BEGIN SOLUTION
    ranked = {name: weight for name, weight in weights.items() if weight.ndim > 1}
    together = torch.cat([weight.flatten() for weight in ranked.values()])
    parts = lib.magnitude_mask(together, sparsity).split([weight.numel() for weight in ranked.values()])
    masks = {name: torch.ones_like(weight, dtype=torch.bool) for name, weight in weights.items()}
    masks.update({name: part.reshape(weights[name].shape) for name, part in zip(ranked, parts, strict=True)})
    return masks
    ### END SOLUTION


# %%
checks.try_examples(global_masks)

# %% nbgrader={"grade": true, "grade_id": "test_global_masks", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.pruning.global_masks(global_masks)
### BEGIN HIDDEN TESTS
checks.pruning.global_masks(global_masks, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Move the sparsity. The dashed lines are the threshold that follows from your masks; the title gives the accuracy of the
# pruned network, measured again at every move.

# %% tags=["widget", "nbval-ignore-output"]
weights = {name: layer.weight.detach() for name, layer in prunable(model)}
every_weight = torch.cat([weight.flatten() for weight in weights.values()])


def draw_histogram(percent: int):
    masks = global_masks(weights, percent / 100)
    gone = torch.cat([weights[name][~mask] for name, mask in masks.items()])
    threshold = gone.abs().max().item() if len(gone) else 0.0
    accuracy = accuracy_of(lib.apply_masks(model, masks), few)
    return plots.weight_histogram(every_weight, threshold, accuracy, dense_accuracy, len(few))


widgets.slider_figure(draw_histogram, percent=widgets.Slider(0, 99, start=70, step=1, label="% removed"))

# %% [markdown]
# *What is seen: a histogram of all weights on a logarithmic axis, highest at zero. The removed weights are a hatched band
# in the middle, between two dashed lines; a small move of the lines takes many weights.*
#
# **Question.** Look up your guess from the beginning: how many of ten weights can be removed before five points are lost?
# And why does the accuracy hardly change at first, and then fall faster and faster?
#
# <details><summary>Answer</summary>
#
# The weights that are removed first are the smallest of very many: their sum is small. With each further step of the
# slider the removed weights are larger, and the errors of one layer are added to those of the next.
#
# </details>

# %% tags=["nbval-ignore-output"]
together = [accuracy_of(lib.apply_masks(model, global_masks(weights, s)), few) for s in shares]
nine_tenths = {name: 1 - mask.float().mean().item() for name, mask in global_masks(weights, 0.9).items()}
both = {"all layers together": together, "layer by layer": each_layer}
plots.accuracy_against_sparsity(shares, both, dense_accuracy, len(few))

# %% tags=["nbval-ignore-output"]
even = dict.fromkeys(nine_tenths, 0.9)
plots.layer_shares({"all layers together": nine_tenths, "layer by layer": even}, "90 % of all weights are gone")

# %% [markdown]
# *What is seen: above, two curves; the one with a single ranking lies higher. Below, two bars for each layer: the single ranking
# removes far fewer from the first layer, and fewer from the last, than from the large layers between them.*
#
# **Question.** The first and the last layer are small, and they keep a larger share of their weights. What does this cost, and
# what is gained?
#
# <details><summary>Answer</summary>
#
# It costs almost nothing: few weights are in them. Much is gained, because all that the network computes passes through
# them. Small layers do not always have large weights, though. So the next exercise measures each layer.
#
# </details>

# %% [markdown]
# ## Part 2: how sensitive is each layer?
#
# ### Exercise 3: prune one layer alone
# *Difficulty 3 of 5, 15 minutes, 3 points*
#
# **Aim:** measure how much accuracy each layer costs when it alone is pruned.
#
# For every `nn.Linear` and `nn.Conv2d` of the model, under its name in `named_modules()`, give the accuracy in eval
# mode at each sparsity, in the order given: prune this layer by `lib.magnitude_mask`, measure, put its weights back.
#
# - The numbers are used for a choice, so they come from `split.validation`, from all of it.
# - All other layers stay dense, and every sparsity starts from the dense weights.
# - The model is not changed: each weight, each buffer, and the mode (train or eval) of each module are as before. The
#   first line is given: work on the copy `twin`, and the model is safe.
# - On the twin, `layer.weight.data = whole * mask` puts in a new tensor and leaves `whole` as it is; `mul_` changes the tensor
#   itself, and also whatever you stored of it without `clone()`.
#
# `prunable(network)` and `accuracy_of(network, part)` come from the setup cell.
#
# **Predict:** which of the five layers will be the most sensitive at 90 %, and which the least?
#
# <details><summary>Answer</summary>
#
# See the figure. A rule of thumb: small layers near the input are the most sensitive, large linear layers the least. Measure
# it anyway.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "sensitivity_scan", "locked": false, "schema_version": 3, "solution": true, "task": false}
def sensitivity_scan(model: nn.Module, split: data.Split, sparsities: list[float]) -> dict[str, list[float]]:
    """Validation accuracy when one layer alone is pruned by magnitude: for each layer, one number for each sparsity.

    Every nn.Linear and nn.Conv2d is scanned; the given model is not changed, neither weights nor buffers nor modes.

    >>> curves = sensitivity_scan(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), split, [1.0, 0.0])
    >>> list(curves), len(curves["1"]), round(curves["1"][0], 2)  # without weights one class is named for all images
    (['1'], 2, 0.1)
    """
    twin, curves = copy.deepcopy(model), {}
    ### BEGIN SOLUTION
    for (name, layer), sparsity in itertools.product(prunable(twin), sparsities):
        whole = layer.weight.data
        layer.weight.data = whole * lib.magnitude_mask(whole, sparsity)
        curves.setdefault(name, []).append(accuracy_of(twin, split.validation))
        layer.weight.data = whole
    return curves
    ### END SOLUTION


# %%
checks.try_examples(sensitivity_scan)

# %% nbgrader={"grade": true, "grade_id": "test_sensitivity_scan", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.pruning.sensitivity_scan(sensitivity_scan)
### BEGIN HIDDEN TESTS
checks.pruning.sensitivity_scan(sensitivity_scan, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Your scan at eleven sparsities, on some of the validation images. It measures the network more than fifty times.

# %% tags=["nbval-ignore-output"]
grid = [k / 10 for k in range(11)]
small_split = dataclasses.replace(split, validation=few)
curves = {}
for sparsity in tqdm(grid, desc="scan", unit="sparsity", mininterval=2, file=sys.stdout):
    for name, (accuracy,) in sensitivity_scan(model, small_split, [sparsity]).items():
        curves.setdefault(name, []).append(accuracy)
named = {f"layer {name}": curve for name, curve in curves.items()}
plots.accuracy_against_sparsity(grid, named, dense_accuracy, len(few))

# %% [markdown]
# *What is seen: five curves, one for each layer. The first falls almost from the start. The others stay in the grey band for
# long, the last layer not quite as long as those in the middle. All end near chance level, where no weight of a layer is left.*
#
# **Question.** Why is the sum of these losses not the loss of pruning all layers at once?
#
# <details><summary>Answer</summary>
#
# For each curve the four other layers are dense, and they tolerate a small error. Errors of several layers add up and are
# amplified on the way. The curves still show which layers are more sensitive, and that is all the next exercise needs.
#
# </details>

# %% [markdown]
# ### Exercise 4: spend a budget
# *Difficulty 4 of 5, 25 minutes, 3 points*
#
# **Aim:** choose a sparsity for each layer, so that a given number of weights is left and the curves predict the least loss.
#
# `curves[name][i]` is the accuracy at sparsity i / (len − 1), linear between the points. `sizes[name]` counts the
# weights of the layer, and `budget` those that may stay in all:
#
# $$\text{minimise} \; \sum_{layers} \big( curve(0) - curve(s) \big)$$
# $$\text{so that} \; \sum_{layers} size \cdot (1 - s) \le budget$$
#
# Use at least 0.999 of the budget. A good way is greedy: again and again take the step of 0.01 that costs least *for each
# removed weight*,
#
# $$price = \frac{curve(s) - curve(s + 0.01)}{size}$$
#
# until the budget is met, and of the last step only the part that is needed. At sparsity 1 a layer is empty and no step is
# left. The check accepts any method that misses at most a fifth of the possible gain over one sparsity for all layers.
#
# `accuracy_at(curve, s)` and `kept_parameters(sizes, sparsities)` come from the setup cell. Stop when the surplus is
# below a millionth of a weight, because sums of floats are rarely exactly equal to a given number.
#
# **Predict:** two layers have the same curve, one is ten times as large. Which one is pruned first?
#
# <details><summary>Answer</summary>
#
# The large one: the same loss of accuracy removes ten times as many weights.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "allocate_sparsity", "locked": false, "schema_version": 3, "solution": true, "task": false}
def allocate_sparsity(curves: dict[str, list[float]], sizes: dict[str, int], budget: int) -> dict[str, float]:
    """A sparsity for each layer: at most `budget` weights are kept, at least 0.999 of it, with little predicted loss.

    >>> curves = {"tough": [0.9, 0.9, 0.9], "frail": [0.9, 0.5, 0.1]}
    >>> found = allocate_sparsity(curves, {"tough": 100, "frail": 100}, budget=150)
    >>> {name: round(share, 3) for name, share in found.items()}
    {'tough': 0.5, 'frail': 0.0}
    """
    ### BEGIN SOLUTION
    found = dict.fromkeys(curves, 0.0)
    while (surplus := kept_parameters(sizes, found) - budget) > 1e-6:
        price = {n: (accuracy_at(curves[n], s) - accuracy_at(curves[n], s + 0.01)) / sizes[n] for n, s in found.items() if s < 1}
        name = min(price, key=price.get)
        found[name] = min(1.0, found[name] + min(0.01, surplus / sizes[name]))
    return found
    ### END SOLUTION


# %%
checks.try_examples(allocate_sparsity)

# %% nbgrader={"grade": true, "grade_id": "test_allocate_sparsity", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.pruning.allocate_sparsity(allocate_sparsity)
### BEGIN HIDDEN TESTS
checks.pruning.allocate_sparsity(allocate_sparsity, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Your allocation at six budgets, against one sparsity for all layers. A kept weight counts 4 bytes here; what storing it
# really takes is the subject of part 5. Measured curves are noisy, so each is first made monotone: no point may be higher
# than an earlier one.

# %% tags=["nbval-ignore-output"]
sizes = {name: layer.weight.numel() for name, layer in prunable(model)}
falling = {name: list(itertools.accumulate(curve, min)) for name, curve in curves.items()}


def pruned_by(sparsities: dict[str, float]) -> tuple[float, float]:
    """(kB of kept weights, accuracy) when each layer has a sparsity of its own."""
    masks = {name: lib.magnitude_mask(weight, sparsities[name]) for name, weight in weights.items()}
    return 4 * kept_parameters(sizes, sparsities) / 1000, accuracy_of(lib.apply_masks(model, masks), few)


budgets = [round(share * sum(sizes.values())) for share in (0.4, 0.3, 0.2, 0.15, 0.1, 0.06)]
front = {
    "one sparsity for all": [pruned_by(dict.fromkeys(sizes, 1 - budget / sum(sizes.values()))) for budget in budgets],
    "your allocation": [pruned_by(allocate_sparsity(falling, sizes, budget)) for budget in budgets],
}
spent = allocate_sparsity(falling, sizes, budgets[4])
plots.layer_shares({"your allocation": spent, "all layers together": nine_tenths}, "90 % of all weights are gone")

# %% [markdown]
# *What is seen: two bars for each layer. Your allocation leaves the first layer dense and removes less from the last one than the
# single ranking of exercise 2 does; the large layers in the middle lose more for it.*
#
# Can you beat it by hand? Set the sparsity of each layer; the star is your network, measured at every move.

# %% tags=["widget", "nbval-ignore-output"]
def draw_front(**percent: int):
    mine = {name: percent[f"layer_{name}"] / 100 for name in sizes}
    return plots.pareto({**front, "by hand": [pruned_by(mine)]}, dense_accuracy, len(few))


handles = {f"layer_{name}": widgets.Slider(0, 100, start=75, step=5, label=f"layer {name}, %") for name in sizes}
widgets.slider_figure(draw_front, **handles)

# %% [markdown]
# *What is seen: two curves that rise with the bytes of the kept weights, and a star for the sliders. The curve of your allocation
# lies far above the other and reaches the grey band on the right.*
#
# **Question.** The upper left edge of all points is called the *Pareto front*. Why is a point below it never a good choice?
#
# <details><summary>Answer</summary>
#
# For each point below there is one on the front that is as small and more accurate, or as accurate and smaller. Along the
# front a smaller network is always less accurate: one must choose. Every choice here was made on validation images.
#
# </details>

# %% [markdown]
# ## Part 3: train the remaining weights
#
# ### Exercise 5: a step that keeps zeros
# *Difficulty 2 of 5, 10 minutes, 2 points*
#
# **Aim:** take a step of any optimizer so that pruned weights are exactly 0 afterwards.
#
# An optimizer knows nothing of masks. Its momentum contains old gradients, so a weight whose gradient is masked can change
# all the same. (Weight decay needs no gradient either, but it leaves a zero at zero.)
#
# - `masks` maps a parameter to its `bool` mask, True where a weight is kept. Parameters without a mask (a bias) change
#   freely; an optimizer may have several parameter groups.
# - One ordinary `optimizer.step()`, then zeros, **in place**: the optimizer and the network must see the same tensor.
#   All other weights are as the step left them, now and in the steps that follow: do not change the optimizer's state
#   for them. What happens to gradients, and to the optimizer's state of *pruned* weights, is free.
#
# **Predict:** after three steps with momentum you prune a layer and go on, with its gradient masked. How many of its
# pruned weights are 0 after the next step?
#
# <details><summary>Answer</summary>
#
# Practically none. The momentum of three steps is not masked and moves every weight away from 0 again.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "masked_step", "locked": false, "schema_version": 3, "solution": true, "task": false}
def masked_step(optimizer: torch.optim.Optimizer, masks: dict[nn.Parameter, Bool[Tensor, "..."]]) -> None:
    """One step of the optimizer, then exact zeros where a mask is False; all other weights are as the step left them.

    >>> weight = nn.Parameter(torch.tensor([1.0, 1.0]))
    >>> weight.grad = torch.tensor([0.5, 0.0])
    >>> masked_step(torch.optim.SGD([weight], lr=1.0), {weight: torch.tensor([True, False])})
    >>> weight.data  # the second had no gradient: a mask on the gradient alone would have left it at 1
    tensor([0.5000, 0.0000])
    """
    ### BEGIN SOLUTION
    optimizer.step()
    with torch.no_grad():
        for parameter, mask in masks.items():
            parameter.mul_(mask)
    ### END SOLUTION


# %%
checks.try_examples(masked_step)

# %% nbgrader={"grade": true, "grade_id": "test_masked_step", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.pruning.masked_step(masked_step)
### BEGIN HIDDEN TESTS
checks.pruning.masked_step(masked_step, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Three ways to train on after pruning in the middle of a run: SGD with momentum takes three ordinary steps, then 90 % of
# the weights are set to 0, then five more steps follow. After each we count pruned weights that are not 0.


# %% tags=["nbval-ignore-output"]
def gradient_only(optimizer, masks):
    for parameter, mask in masks.items():
        parameter.grad *= mask
    optimizer.step()


def before_the_step(optimizer, masks):
    for parameter, mask in masks.items():
        parameter.data *= mask
    optimizer.step()


def count_moved(step, steps: int = 5) -> list[int]:
    """How many pruned weights are not 0 after each masked step."""
    network, order, counts = copy.deepcopy(model).train(), torch.Generator().manual_seed(0), []
    optimizer = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-4)
    batches = training.shuffled_batches(split.train.images, split.train.labels, 64, order)
    for number, (images, labels) in enumerate(itertools.islice(batches, 3 + steps)):
        if number == 3:  # prune in the middle of the run
            found = global_masks({name: layer.weight.detach() for name, layer in prunable(network)}, 0.9)
            masks = {layer.weight: found[name] for name, layer in prunable(network)}
            for parameter, mask in masks.items():
                parameter.data *= mask
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        if number < 3:
            optimizer.step()
        else:
            step(optimizer, masks)
            counts.append(sum(int((parameter[~mask] != 0).sum()) for parameter, mask in masks.items()))
    return counts


ways = {
    "mask on the gradient": gradient_only,
    "mask before the step": before_the_step,
    "your masked_step": masked_step,
}
plots.moved_again({name: count_moved(way) for name, way in ways.items()}, round(0.9 * len(every_weight)))

# %% [markdown]
# *What is seen: two curves near the top, where almost all pruned weights have moved away from 0, and yours at 0.*
#
# **Question.** Suppose the run had *started* with pruned weights and a new optimizer. Then one of the two upper ways would
# look right. Which, and why?
#
# <details><summary>Answer</summary>
#
# The mask on the gradient: with momentum 0, weights 0 and gradients 0 nothing changes, and the weight decay of a zero is 0.
# A test that begins there finds no mistake. That is why the check takes some ordinary steps first.
#
# </details>
#
# Now your step is used. The network is pruned to three sparsities by your allocation, measured, and then trained for a short
# time. `lib.model_stored_bytes` counts the bytes when each layer is stored in the format that is smallest for it.


# %% tags=["nbval-ignore-output"]
def train_on(network: nn.Module, masks: dict[str, Tensor], images: int, words: str, epochs: int = 2, rate: float = 3e-3):
    """A copy of the network after some training in which pruned weights stay 0."""
    network, order = copy.deepcopy(network).train(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    chosen = {layer.weight: masks[name] for name, layer in prunable(network) if name in masks}
    part = split.train.first(images)
    with tqdm(total=epochs * -(-images // 64), desc=words, unit="step", mininterval=2, file=sys.stdout) as bar:
        for epoch in range(epochs):
            for group in optimizer.param_groups:
                group["lr"] = rate * (1 - epoch / epochs)
            for x, y in training.shuffled_batches(part.images, part.labels, 64, order):
                optimizer.zero_grad()
                F.cross_entropy(network(x), y).backward()
                masked_step(optimizer, chosen)
                bar.update()
    return network.eval()


half = split.validation.first(1000)
recovered, rows = {}, []
for sparsity in (0.7, 0.8, 0.9):
    spent = allocate_sparsity(falling, sizes, round((1 - sparsity) * sum(sizes.values())))
    masks = {name: magnitude_mask(weight, spent[name]) for name, weight in weights.items()}
    pruned = lib.apply_masks(model, masks)
    recovered[sparsity] = train_on(pruned, masks, 2500, f"{sparsity:.0%} pruned")
    size = lib.model_stored_bytes(recovered[sparsity]) / 1000
    rows.append((sparsity, size, accuracy_of(pruned, half), accuracy_of(recovered[sparsity], half)))
plots.recovery(rows, (lib.model_stored_bytes(model) / 1000, accuracy_of(model, half)), len(half))

# %% [markdown]
# *What is seen: accuracy against stored bytes, smaller to the left. The lower curve, pruned only, falls steeply on the
# left; the upper one, after a little training, stays near the lower edge of the dense network's grey band.*
#
# **Question.** No removed weight came back. What did the training change, and why are so few steps enough? The network that
# keeps the most weights may even have lost a little: why?
#
# <details><summary>Answer</summary>
#
# It changed the weights that are left, and the batch norms, whose statistics fit the smaller sums again. A few hundred
# steps are enough because almost everything the network has learned is still in these weights. But the training used a small
# part of the images that the network was first trained on, at a rather high learning rate, and that alone costs something.
# More images and a longer training at a lower rate recover more; the table at the end of the unit says how much.
#
# </details>

# %% [markdown]
# ### Is it the weights, or only their positions?
#
# *The lottery ticket hypothesis* (Frankle and Carbin 2019): inside an untrained network there is a small one that would
# have learned as well alone, **from the same initial values**. A small test of it: train a small network, prune a share,
# reset the rest to its initial values, and so on. Then take the last masks, draw *new* initial values, and train these. Here the
# library works: `lib.lottery_tickets` does all rounds, and `lib.train_masked` trains with masks.
#
# **Predict:** which one is better at the end, the network with its own initial values or the one with new ones?


# %% tags=["nbval-ignore-output"]
def little_network(seed: int) -> nn.Sequential:
    """14 x 14 pixels, 48 hidden units, ten classes; its initial values depend on the seed alone."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(196, 48), nn.ReLU(), nn.Linear(48, 10)).eval()


rounds, settings = 4, training.TrainingConfig(epochs=6, batch_size=64, learning_rate=5e-3)
lessons = split.train.first(1000)
runs = {"rewound to its initial values": [], "new initial values": []}
for seed in tqdm(range(3), desc="lottery tickets", unit="seed", file=sys.stdout):
    config = dataclasses.replace(settings, seed=seed)
    tickets = lib.lottery_tickets(little_network(seed), lessons, 0.97, rounds, config, progress=False)
    runs["rewound to its initial values"].append([accuracy_of(ticket.trained, half) for ticket in tickets])
    anew = little_network(100 + seed)
    redrawn = [lib.train_masked(anew, ticket.masks, lessons, config, progress=False)[0] for ticket in tickets]
    runs["new initial values"].append([accuracy_of(one, half) for one in redrawn])
plots.tickets([1 - ticket.sparsity for ticket in tickets], runs, len(half))

# %% [markdown]
# *What is seen: two curves over the share of weights that is left, on a logarithmic axis, fewer to the right. Both begin at
# the same height; the bars reach from the worst to the best of three seeds. At the right the network that was rewound to its
# initial values stays higher.*
#
# **Question.** Is the difference at the right larger than the bars? What would you need to claim it for a large network?
#
# <details><summary>Answer</summary>
#
# Read it off your own figure; three seeds are few. For large networks the hypothesis failed in this simple form, and
# rewinding to values *after some training* was needed (Frankle et al. 2020). With a long training after pruning, the
# positions alone are often as good (Liu et al. 2019). The hypothesis is famous, and whether it holds depends on the setting.
#
# </details>

# %% [markdown]
# ## Part 4: zeros in a pattern, and other scores
#
# ### Exercise 6: n of each m
# *Difficulty 2 of 5, 10 minutes, 2 points*
#
# **Aim:** keep exactly n of each m neighbouring weights of a row.
#
# Zeros at arbitrary positions are hard for a processor: it cannot know where the next weight is. In an *N:M* pattern (Mishra
# et al. 2021) each group of m has exactly n weights, so the memory layout is known in advance. Some GPUs skip the zeros of
# 2:4 in hardware.
#
# weight is `[out, in]`, with one row or more. Groups run **along `in`**: columns 0 to m − 1 of a row, then m to 2m − 1, and so on; m divides
# `in`. The n largest magnitudes of each group are kept, among equal ones any. `tensor.unflatten(1, (-1, m))` makes
# `[out, in / m, m]`; `topk(n, dim=2).indices` and `scatter(2, places, True)` do the rest.
#
# **Predict:** 2:4 and a mask of sparsity 0.5 remove equally many weights. Which one keeps the larger sum of magnitudes?
#
# <details><summary>Answer</summary>
#
# The free mask, unless both are equal: it may take the largest of the whole tensor. The pattern is more regular and usually costs
# some accuracy.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "nm_mask", "locked": false, "schema_version": 3, "solution": true, "task": false}
def nm_mask(weight: Float[Tensor, "out in"], n: int, m: int) -> Bool[Tensor, "out in"]:
    """True for the n largest magnitudes of each m neighbours along `in`; m divides in.

    >>> nm_mask(torch.tensor([[0.1, -4.0, 3.0, 0.2, 9.0, 8.0, 7.0, 6.0]]), 2, 4)
    tensor([[False,  True,  True, False,  True,  True, False, False]])
    """
    ### BEGIN SOLUTION
    groups = weight.abs().unflatten(1, (-1, m))
    places = groups.topk(n, dim=2).indices
    mask = torch.zeros_like(groups, dtype=torch.bool).scatter(2, places, True)
    return mask.flatten(1)
    ### END SOLUTION


# %%
checks.try_examples(nm_mask)

# %% nbgrader={"grade": true, "grade_id": "test_nm_mask", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.pruning.nm_mask(nm_mask)
### BEGIN HIDDEN TESTS
checks.pruning.nm_mask(nm_mask, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
linear = model[13].weight.detach()
rows_kept = lib.channel_mask(linear, 0.5)[:, None].expand(linear.shape)
corner = {"anywhere": magnitude_mask(linear, 0.5), "2 of 4": nm_mask(linear, 2, 4), "whole rows": rows_kept}
plots.patterns({name: mask[:16, :16] for name, mask in corner.items()})

# %% [markdown]
# *What is seen: the same corner of a weight three times; dark squares are kept. On the left they lie anywhere; in the
# middle each group of four neighbours in a row has exactly two; on the right whole rows are dark or empty.*
#
# **Question.** Order the three by how much accuracy they cost at the same number of zeros, and by how easily a processor
# makes use of them.
#
# <details><summary>Answer</summary>
#
# Anywhere, 2 of 4, whole rows: in this order the accuracy gets worse, and the zeros become easier to use. Whole rows need no
# new kernel at all: the layer is just smaller. Part 6 does that.
#
# </details>

# %% [markdown]
# ### Exercise 7: look at the inputs too
# *Difficulty 1 of 5, 6 minutes, 1 point*
#
# **Aim:** score a weight by how much it contributes to the output.
#
# A small weight with large inputs can matter more than a large weight with small ones. Wanda (Sun et al. 2023) multiplies
# the magnitude by the l2 norm of the weight's input, over all tokens:
#
# $$score[o, j] = |w[o, j]| \cdot \sqrt{\textstyle\sum_t inputs[t, j]^2}$$
#
# weight is `[out, in]`, inputs `[tokens, in]`, the scores are `[out, in]`, of the weight's dtype. The norm is a root of a
# *sum*; it is not divided by the number of tokens.
#
# **Predict:** an input is 0 for every image. What is the score of its weights?
#
# <details><summary>Answer</summary>
#
# 0, however large they are. Magnitude alone would keep the large ones.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "wanda_scores", "locked": false, "schema_version": 3, "solution": true, "task": false}
def wanda_scores(weight: Float[Tensor, "out in"], inputs: Float[Tensor, "tokens in"]) -> Float[Tensor, "out in"]:
    """|weight| times the l2 norm of each input over all tokens (Sun et al. 2023).

    >>> wanda_scores(torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0, 0.5], [-4.0, 0.0]]))
    tensor([[5., 1.]])
    """
    ### BEGIN SOLUTION
    return weight.abs() * inputs.norm(dim=0)
    ### END SOLUTION


# %%
checks.try_examples(wanda_scores)

# %% nbgrader={"grade": true, "grade_id": "test_wanda_scores", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks.pruning.wanda_scores(wanda_scores)
### BEGIN HIDDEN TESTS
checks.pruning.wanda_scores(wanda_scores, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# The large linear layer, once by magnitude and once by your scores; its inputs come from calibration images. Wanda compares
# weights within a row, so the same share of each *row* goes. The figure shows some weights of both rankings.

# %% tags=["nbval-ignore-output"]
with torch.no_grad():
    inputs = torch.cat([model[:13](images) for images in split.calibration.images[:500].split(100)])
scores = wanda_scores(linear, inputs)
by_size, by_score = (torch.stack([magnitude_mask(row, 0.7) for row in values]) for values in (linear, scores))
for name, mask in (("magnitude", by_size), ("Wanda", by_score)):
    error = ((inputs @ (linear * ~mask).T).square().sum() / (inputs @ linear.T).square().sum()).item()
    accuracy = accuracy_of(lib.apply_masks(model, {"13": mask}), half)
    print(f"{name:9} keeps {mask.float().mean():.0%}; error of the output {error:.2%}, accuracy {accuracy:.1%}")
some = torch.arange(0, linear.numel(), 140)
norms = inputs.norm(dim=0).expand(linear.shape)
plots.judged(*(values.flatten()[some] for values in (linear.abs(), norms, by_size, by_score)))

# %% [markdown]
# *What is seen: each marker is a weight. The horizontal axis is the norm of its input, the vertical axis its magnitude. Weights
# low on the right are kept by Wanda only, weights high on the left by magnitude only. The printed lines above give the error of
# the layer's output.*
#
# **Question.** Wanda has the smaller error of the output. Must it have the better accuracy?
#
# <details><summary>Answer</summary>
#
# No. It uses no labels: it preserves the output of one layer, not the predicted class. Where many weights are not needed,
# the two scores give nearly the same network, as here. In large language models, where some inputs are a hundred times as
# large as others, Wanda is clearly better.
#
# </details>

# %% [markdown]
# ## Part 5: zeros that are not stored
#
# ### Exercise 8: compressed rows
# *Difficulty 3 of 5, 10 minutes, 2 points*
#
# **Aim:** store only the weights that are not 0, and their positions.
#
# *Compressed sparse rows* (CSR) holds three arrays, as scipy and PyTorch do:
#
# | array | shape, dtype | holds |
# |---|---|---|
# | `values` | `[kept]`, as the weight | what is not exactly 0, row by row, in the order of the columns |
# | `columns` | `[kept]`, int32 | the column of each |
# | `row_pointers` | `[out + 1]`, int32 | row o is `values[row_pointers[o] : row_pointers[o + 1]]` |
#
# weight has at least one row. A row may be empty; then its two pointers are equal. The first pointer is 0, the last the number of
# values. Tiny weights and NaN are not 0.
# `mask.nonzero()` lists indices row by row; `cumsum` adds up counts. Both give int64, twice the bytes that are needed.
#
# **Predict:** at which sparsity is a float32 weight in CSR as large as the dense one?
#
# <details><summary>Answer</summary>
#
# At about 50 %: each stored weight needs an index as wide as itself. Below that, CSR is *larger* than the weight it replaces.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "to_csr", "locked": false, "schema_version": 3, "solution": true, "task": false}
def to_csr(
    weight: Float[Tensor, "out in"],
) -> tuple[Float[Tensor, " kept"], Int32[Tensor, " kept"], Int32[Tensor, " rows"]]:
    """The weight without its zeros: (values, columns, row_pointers); the indices are int32, row_pointers [out + 1].

    >>> to_csr(torch.tensor([[0.0, -2.0], [0.0, 0.0], [3.0, 4.0]]))
    (tensor([-2.,  3.,  4.]), tensor([1, 0, 1], dtype=torch.int32), tensor([0, 1, 1, 3], dtype=torch.int32))
    """
    ### BEGIN SOLUTION
    kept = weight != 0
    columns = kept.nonzero()[:, 1]
    ends = kept.sum(dim=1).cumsum(dim=0)
    pointers = torch.cat([torch.tensor([0]), ends])
    return weight[kept], columns.to(torch.int32), pointers.to(torch.int32)
    ### END SOLUTION


# %%
checks.try_examples(to_csr)

# %% nbgrader={"grade": true, "grade_id": "test_to_csr", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.pruning.to_csr(to_csr)
### BEGIN HIDDEN TESTS
checks.pruning.to_csr(to_csr, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
fine_grid = [k / 20 for k in range(20)]
stored = {"dense": [], "your CSR": [], "bit mask": [], "2 of 4": []}
for sparsity in fine_grid:
    thin = linear * lib.magnitude_mask(linear, sparsity)
    ways_of_storing = lib.stored_bytes(thin)
    stored["dense"].append(ways_of_storing["dense"])
    stored["your CSR"].append(sum(array.nbytes for array in to_csr(thin)))
    stored["bit mask"].append(ways_of_storing["bitmask"])
    stored["2 of 4"].append(lib.stored_bytes(linear * nm_mask(linear, 2, 4))["nm"])
plots.bytes_against_sparsity(fine_grid, stored)

# %% [markdown]
# *What is seen: the dense line is flat. Your CSR begins at twice its height, crosses it in the middle and falls to about a
# tenth; a bit mask (one bit for each position) is smaller than both for most sparsities. 2 of 4 has one size, a little above
# half.*
#
# **Question.** The bit mask is smaller than CSR nearly everywhere. Why is it not used for multiplying?
#
# <details><summary>Answer</summary>
#
# To find the next weight one must count bits. In CSR the column is stored, ready to be used. The bit mask is good for
# files, and `lib.save_pruned` writes it.
#
# </details>

# %% [markdown]
# ### Exercise 9: multiply what is left
# *Difficulty 3 of 5, 10 minutes, 2 points*
#
# **Aim:** compute weight @ x from the three arrays.
#
# $$y[o] = \sum_{j = row\_pointers[o]}^{row\_pointers[o + 1] - 1} values[j] \cdot x[columns[j]]$$
#
# `csr` is the tuple of exercise 8, x is `[in, batch]`, y is `[out, batch]`, all numbers are float32; rows without weights give 0.
# Multiply only what is stored, so build no dense weight: an input that no weight reads may even be infinite. You may loop over
# rows. Or take all stored weights at once: `torch.repeat_interleave(torch.arange(out), row_pointers.diff())` gives the row
# of each, and `y.index_add(0, rows, products)` adds products into their rows.
#
# **Predict:** at 90 % zeros there is a tenth of the multiplications. Is the product ten times as fast?
#
# <details><summary>Answer</summary>
#
# No. A dense product reads memory in order and multiplies many numbers with one instruction. Here the processor first reads,
# for each weight, which row of x it needs. The map below measures where this is still faster.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "csr_matmul", "locked": false, "schema_version": 3, "solution": true, "task": false}
def csr_matmul(csr: tuple[Tensor, Tensor, Tensor], x: Float[Tensor, "in batch"]) -> Float[Tensor, "out batch"]:
    """weight @ x: y[o] is the sum of values[j] * x[columns[j]] over the values j of row o.

    >>> columns, row_pointers = (torch.tensor(some, dtype=torch.int32) for some in ([1, 0], [0, 1, 1, 2]))
    >>> csr_matmul((torch.tensor([2.0, 3.0]), columns, row_pointers), torch.tensor([[1.0], [10.0]]))
    tensor([[20.],
            [ 0.],
            [ 3.]])
    """
    ### BEGIN SOLUTION
    values, columns, pointers = csr
    rows = torch.repeat_interleave(torch.arange(len(pointers) - 1), pointers.diff())
    y = torch.zeros(len(pointers) - 1, x.shape[1])
    return y.index_add(0, rows, values[:, None] * x[columns])
    ### END SOLUTION


# %%
checks.try_examples(csr_matmul)

# %% nbgrader={"grade": true, "grade_id": "test_csr_matmul", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.pruning.csr_matmul(csr_matmul)
### BEGIN HIDDEN TESTS
checks.pruning.csr_matmul(csr_matmul, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Your two functions run the large linear layer of the network with 90 % zeros. Are the logits the same, and what does the layer take
# for 64 images?


# %% tags=["nbval-ignore-output"]
class YourSparseLinear(nn.Module):
    """A linear layer that stores and multiplies only the weights that are not 0."""

    def __init__(self, layer: nn.Linear):
        super().__init__()
        self.csr, self.bias = to_csr(layer.weight.detach()), layer.bias

    def forward(self, x: Tensor) -> Tensor:
        return csr_matmul(self.csr, x.T).T + self.bias


thin_network = recovered[0.9]
with_yours = copy.deepcopy(thin_network)
with_yours[13] = YourSparseLinear(with_yours[13])
same = (measure.predict(with_yours, half.images) - measure.predict(thin_network, half.images)).abs().max().item()
print(f"{len(half)} images, largest difference of a logit: {same:.1e}")
with torch.no_grad():
    layers = {"dense": thin_network[13], "your functions": with_yours[13]}
    for name, quantiles in measure.latencies({n: lambda layer=one: layer(inputs[:64]) for n, one in layers.items()}, 9, 2).items():
        print(f"layer 13, {name:14} {1e6 * quantiles[1]:7.0f} microseconds for 64 images")

# %% [markdown]
# *What is seen: the logits agree. Your functions usually take longer than the dense product: a way in PyTorch's own steps writes every
# single product to memory before it adds them up. A compiled kernel need not do that.*
#
# ### The break-even map
#
# A layer `[n, n]` of random weights, pruned to each sparsity, on batches of several sizes, one thread. Three ways of others, not
# yours, timed after their outputs were compared: PyTorch's dense product, PyTorch's own CSR, and the course's sparse kernel, which
# is compiled for this machine (unit 05 opens it). Each cell says how many times faster than dense a way was.
#
# **Predict:** where is the border between faster and slower, and does it move with the batch?

# %% tags=["nbval-ignore-output"]
sparsities, batches, sides = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98), (1, 8, 64), (256, 1024)
points, layers = [], list(itertools.product(sides, sparsities))
for side, sparsity in tqdm(layers, desc="break-even map", unit="layer", mininterval=2, file=sys.stdout):
    square = lib.BreakEvenGrid(sizes=((side, side),), batches=batches, sparsities=(sparsity,), repeats=5)
    points += lib.measure_break_even(square, progress=False)
speed = {}
for side, (way, words) in itertools.product(sides, (("torch_csr", "torch CSR"), ("ours", "our kernel"))):
    found = {(p.batch, p.sparsity): p.dense / getattr(p, way) for p in points if p.out == side}
    title = f"{words}, n = {side}"
    speed[title] = [[found[batch, sparsity] for sparsity in sparsities] for batch in batches]
plots.break_even(speed, sparsities, batches)

# %% [markdown]
# *What is seen: four tables of coloured cells, sparsity across and batch up; above for the small layer, below for the large one,
# PyTorch's CSR on the left and the course's kernel on the right. Cells below 1 are marked "slower" and are reddish: there
# pruning made the layer slower. Cells above 1 are bluish. Most of the red lies on the left, at few zeros; for a batch of 1 and
# for the small layer it often reaches far to the right.*
#
# **Question.** Half of the multiplications are gone at 50 %. Why is the sparse product still slower in many of these cells?
#
# <details><summary>Answer</summary>
#
# Dense code does 8 or 16 multiplications in one instruction and reads memory in order. Sparse code reads an index for
# every weight. It must save many multiplications to make up for that, and at a batch of 1 it cannot even use one weight
# for several columns. In a small layer the fixed costs of a call count more. Where the border lies depends on the processor
# and the kernel: it has to be measured.
#
# </details>

# %% [markdown]
# ## Part 6: remove whole channels
#
# ### Exercise 10: really smaller layers
# *Difficulty 4 of 5, 20 minutes, 4 points*
#
# **Aim:** remove whole channels, so that three smaller, ordinary layers are left.
#
# A convolution computes channels, a batch norm normalizes each, the next layer reads them. If a channel is removed, its part
# is removed from all three:
#
# | layer | loses |
# |---|---|
# | `conv`, weight `[out, in, h, w]` | filters: axis 0 of weight, and of bias if there is one |
# | `bn` | entries of weight, bias, `running_mean` and `running_var`, all `[out]`; `num_batches_tracked` is one number and stays |
# | `next_layer`, `Conv2d` `[out2, out, h, w]` | axis 1 of weight; its bias belongs to its outputs and stays |
# | `next_layer`, `Linear` `[out2, out * area]`, behind a flatten | `area` columns for each channel, side by side: channel c has columns c · area to (c + 1) · area − 1; area follows from the shape |
#
# - `keep` is a `bool` tensor `[out]`, True where a channel stays; the order of the channels stays too.
# - The smaller layers compute what the old ones would compute if the removed channels were 0 at the input of the next
#   layer. So everything that belongs to these channels is simply removed, and nothing is added elsewhere.
# - Return three **new** layers, each with the options, the mode (train or eval) and the dtype of the old one, in the order (conv, bn,
#   next_layer). No tensor is shared with an old layer, or training one would change the other.
#
# `with_tensors(layer, weight=..., ...)` from the setup cell copies a layer, puts in other tensors (None is skipped) and sets
# its sizes to match. `keep.repeat_interleave(area)` repeats each entry.
#
# **Predict:** half of the channels of two neighbouring convolutions go. What happens to the arithmetic of the second?
#
# <details><summary>Answer</summary>
#
# It falls to a quarter: half of its inputs and half of its outputs are gone.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "prune_channels", "locked": false, "schema_version": 3, "solution": true, "task": false}
def prune_channels(
    conv: nn.Conv2d, bn: nn.BatchNorm2d, next_layer: nn.Conv2d | nn.Linear, keep: Bool[Tensor, " out"]
) -> tuple[nn.Conv2d, nn.BatchNorm2d, nn.Conv2d | nn.Linear]:
    """Three new layers without the channels where keep is False; next_layer loses the inputs that belonged to them.

    >>> keep = torch.tensor([True, False, False, True])
    >>> conv, bn, last = prune_channels(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4 * 9, 5), keep)
    >>> conv.weight.shape, bn.running_mean.shape, last
    (torch.Size([2, 1, 3, 3]), torch.Size([2]), Linear(in_features=18, out_features=5, bias=True))
    """
    ### BEGIN SOLUTION
    new_conv = with_tensors(conv, weight=conv.weight[keep], bias=None if conv.bias is None else conv.bias[keep])
    norm = {name: getattr(bn, name)[keep] for name in ("weight", "bias", "running_mean", "running_var")}
    inputs = keep.repeat_interleave(next_layer.weight.shape[1] // len(keep))
    return new_conv, with_tensors(bn, **norm), with_tensors(next_layer, weight=next_layer.weight[:, inputs])
    ### END SOLUTION


# %%
checks.try_examples(prune_channels)

# %% nbgrader={"grade": true, "grade_id": "test_prune_channels", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
checks.pruning.prune_channels(prune_channels)
### BEGIN HIDDEN TESTS
checks.pruning.prune_channels(prune_channels, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Your function is applied through the network: three convolutions, each with its batch norm and the next layer. Half of the
# arithmetic is to be removed. Which channels stay is decided by the library: `lib.unit_scores` by gradients, on calibration images
# (Molchanov et al. 2019), and `lib.choose_units` finds how many. The figure shows this choice; the cell below it removes the channels
# with your function.

# %% tags=["nbval-ignore-output"]
example = split.calibration.images[:1]
groups = lib.find_groups(model, example)
importance = lib.unit_scores(model, groups, "taylor", split.calibration.first(500))
stays = lib.choose_units(model, groups, importance, example, lib.WorkBudget(share=0.5, rule="uniform", multiple=8))
plots.channel_norms(model[4].weight.detach().flatten(1).norm(dim=1), stays["4"])

# %% tags=["nbval-ignore-output"]
smaller = copy.deepcopy(model)
for three in ((0, 1, 4), (4, 5, 8), (8, 9, 13)):
    new_layers = prune_channels(*(smaller[number] for number in three), stays[str(three[0])])
    for number, layer in zip(three, new_layers, strict=True):
        smaller[number] = layer
if "13" in stays:  # the hidden units between the two linear layers; no batch norm there
    keep = stays["13"]
    smaller[13] = with_tensors(smaller[13], weight=smaller[13].weight[keep], bias=smaller[13].bias[keep])
    smaller[15] = with_tensors(smaller[15], weight=smaller[15].weight[:, keep])
masked = lib.mask_units(model, groups, stays)
sixty = half.images[:60]
for name, network in (("dense", model), ("smaller", smaller)):
    work, size = metrics.macs(network, example), metrics.model_bytes(network)
    print(f"{name:8} {work:9,} MACs, {size:8,} bytes, accuracy {accuracy_of(network, half):.1%}")
plots.agreement(measure.predict(masked, sixty), measure.predict(smaller, sixty))

# %% [markdown]
# *What is seen: above, the channels of the second convolution sorted by the norm of their filters; the removed ones are
# hatched, and they are not simply the smallest. Below, each point is a logit of the masked network and of the smaller one:
# all lie on the diagonal.*
#
# **Question.** In a chain, three layers share one channel. Which layers share a channel when a network adds the outputs of
# two layers?
#
# <details><summary>Answer</summary>
#
# Both layers that are added, and everything that reads the sum: a channel can only be removed from all of them at once. In a
# residual network this joins many layers into one group. `lib.find_groups` follows the network's graph and finds these groups.
#
# </details>
#
# Now the smaller network is trained for a short time. No mask is needed: the removed channels no longer exist.

# %% tags=["nbval-ignore-output"]
cut = train_on(smaller.to(memory_format=torch.channels_last), {}, 3000, "half of the work")
for name, network in (("dense", model), ("cut", smaller), ("trained on", cut)):
    print(f"{name:10} validation accuracy {accuracy_of(network, half):.1%}")
wide, narrow = ({name: len(layer.weight) for name, layer in prunable(network)} for network in (model, cut))
plots.widths(wide, narrow)

# %% [markdown]
# *What is seen: two bars for each layer, its outputs before and after. The last layer keeps its ten classes.*
#
# ## The numbers, once
#
# Everything is chosen. Now, and only now, the 10,000 test images. Three networks: dense, 90 % of the weights zero, and half
# of the arithmetic removed, the last two after their short training. The sizes in the table are those of dense storage,
# because that is how these two networks run.

# %% tags=["nbval-ignore-output"]
chosen = {"dense": model, "90 % zeros": recovered[0.9], "channels cut": cut}
passports = measure.passports(chosen, split, part="test", repeats=15)
measure.compare(passports)

# %% tags=["nbval-ignore-output"]
passport_plots.latency_bars(passports)

# %% [markdown]
# *What is seen: for one image at a time and for batches of 64, one bar for each network, milliseconds for one image. The
# network full of zeros does the same operations as the dense one. Where their bars differ, that comes from measuring: the three
# take turns, yet another program may slow one of them down. The bar of the network with fewer channels is shorter.*
#
# The same networks once more: the size of a file that leaves the zeros out, and the speed when the linear layers run on the
# sparse kernel.

# %% tags=["nbval-ignore-output"]
on_kernels = lib.use_sparse_layers(recovered[0.9])
batch = split.validation.images[:64]
contestants = {**chosen, "90 % zeros, sparse kernel": on_kernels}
with torch.no_grad():
    found = measure.latencies({name: lambda n=network: n(batch) for name, network in contestants.items()}, 15, 3)
timed = {name: quantiles[1] for name, quantiles in found.items()}
for name, network in chosen.items():
    size, dense_size = (lib.model_stored_bytes(one) / 1000 for one in (network, model))
    print(f"{name:13} file {size:6.1f} kB, {dense_size / size:4.1f} times smaller")
print()
for name, seconds in timed.items():
    print(f"{name:26} {timed['dense'] / seconds:4.2f} times as fast as dense, batch of {len(batch)}")

# %% [markdown]
# These recoveries took seconds. The table below was made once, by `posttrain_lab/making/pruning_quality.py`, with up to
# a minute of training for each row and three seeds: **these numbers are shipped, not measured now.** Points are test accuracy
# against dense. One thing is different from above: the recoveries of the table draw their images from all those that the dense
# network itself learned from, not only from the part of them that comes with the course.
#
# *Global* is one ranking of all weights, as in exercise 2; the sparsity grows step by step during training. The score is not |w|
# but w² divided by the sum of the squares of all weights of the layer that are not smaller (`lib.lamp_scores`, Lee et al. 2021):
# it does not depend on the scale of a layer. *Channels* are chosen as in part 6, but how many stay of each layer
# was chosen by measured time, at half of the arithmetic. *2:4* is the pattern of exercise 6. The two rows of *equal bytes* keep a
# fifth of the weights: with one sparsity for all layers, and with one for each by measured curves, as in exercise 4.

# %%
table = data.files.FILES / "pruning_quality.csv"
shipped = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines())) if table.is_file() else []
for method in dict.fromkeys(row["method"] for row in shipped):
    mine = [float(row["points"]) for row in shipped if row["method"] == method]
    ends = f"from {min(mine):+.2f} to {max(mine):+.2f}, seeds: {len(mine)}"
    print(f"{method:30} {sum(mine) / len(mine):+6.2f} points, {ends}")

# %% [markdown]
# ## For unit 02: prune, then quantize
#
# The passports go into one file, `passports.json`, in the folder above this notebook, and the cut network into
# `pruned.safetensors` beside it. Unit 02 writes into the same file and finds the network there.

# %% tags=["nbval-ignore-output"]
course_results.keep_network(cut.to(memory_format=torch.contiguous_format))
for one in course_results.keep_passports(passports):
    print(f"{one.name:16} {one.part:10} accuracy {one.accuracy:.1%}, {one.bytes / 1000:.0f} kB")

# %% [markdown]
# One click quantizes the pruned network to 8-bit integers (unit 02 shows how), measures it on validation images, and saves both
# passports.

# %% tags=["widget", "nbval-ignore-output"]
widgets.run_button("Quantize the pruned network", lambda: course_results.prune_then_quantize(split))

# %% [markdown]
# ## What the numbers say
#
# - **How many can be removed.** With one sparsity for all layers even a few are too many; chosen by measured curves, well over
#   half of the weights can be removed without any training. With a little training nine in ten can, for a loss of a few points;
#   this loss is larger than chance explains. In the shipped table nine in ten are removed for less than one point: with more
#   images, more training, and a score that does not depend on a layer's scale.
# - **Bytes.** Zeros save bytes only in a file that leaves them out. Below half, CSR is larger than dense.
# - **What was not faster.** Zeros alone do not make the network faster: its time is in convolutions, which multiply zeros like any
#   other number, and the linear layers that the sparse kernel speeds up take little of the time. If your table shows a
#   difference all the same, time both networks by turns, several times: what stays is more than chance. In the shipped table none
#   stayed (column `speedup_batch_64` of its file). The map has red cells, where pruning made even a linear layer slower. 2:4
#   costs next to nothing in the table, at half of the weights; run as dense layers it is not faster either.
# - **What was faster.** Removing channels needs no special kernel, and half of the arithmetic saves a good part of the time at a
#   batch of 64. It is not twice as fast, though: in the shipped table no seed was (column `speedup_batch_64` of its file). At
#   the same accuracy it leaves many more weights than unstructured zeros do, and at a batch of 1 fixed costs take away much of
#   the gain.
# - **Choosing.** A single ranking beats one sparsity for all, and an allocation by measured curves beats both. The scan costs
#   validation images only. Its curves are coarse: nothing is measured between the last two points, 90 % and 100 %.
# - **What was not measured.** Energy, GPUs with 2:4 hardware, other networks, other seeds of the first training.

# %% [markdown]
# ## In your own words
#
# Write a paragraph of about 120 words on the figure of Part 6: when does removing weights make a network faster? In a class a
# person marks it with three points: one for two numbers of the figure, *as they came out on your machine*, each with how sure
# it is; one for a reason that rests on something you computed in this unit; and one for what the figure cannot show, and how
# you would find out.

# %% [markdown] nbgrader={"grade": true, "grade_id": "explain_channels", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# Zeros in a dense tensor are multiplied like all other numbers, so the time stays; whole channels make the matrices smaller,
# and the time falls. I give accuracy with its interval and time with its p20 and p80: where the intervals overlap, I claim no
# difference. Other batch sizes, processors and networks are not shown; I would repeat the table there.
# ### END SOLUTION

# %% [markdown]
# ## Five questions

# %% jupyter={"source_hidden": true} tags=["widget", "nbval-ignore-output"]
widgets.quiz(
    [
        widgets.Question(
            "90 % of the weights are zero. What is the size of the network in memory, as PyTorch runs it?",
            ("a tenth", "a fifth, because of the indices", "the same as before"),
            2,
            "A zero is a 32-bit float like any other. Only another storage format saves bytes.",
        ),
        widgets.Question(
            "Why is the mask applied after the optimizer's step?",
            (
                "Momentum moves weights whose gradient is zero",
                "Gradients of pruned weights are always 0",
                "It is faster",
            ),
            0,
            "The zeros are set again after every change that the optimizer makes.",
        ),
        widgets.Question(
            "Two layers lose one point each at 80 % sparsity; one has ten times the weights. Which one do you prune?",
            ("the small one", "the large one", "both to 80 %"),
            1,
            "What counts is the loss of accuracy for each removed weight.",
        ),
        widgets.Question(
            "A channel is removed. Which layer need not change?",
            ("the batch norm behind it", "the layer that reads it", "the layer after that one"),
            2,
            "The layer that reads the channel loses inputs, but all its outputs stay.",
        ),
        widgets.Question(
            "Why does CSR often lose against a dense product at 50 % zeros?",
            (
                "It multiplies the zeros too",
                "Reading an index for each weight costs more than the saved half of the multiplications",
                "Its result is less exact",
            ),
            1,
            "Dense code reads memory in order and multiplies many numbers with one instruction.",
        ),
    ]
)

# %% [markdown]
# ## Papers
#
# - LeCun, Denker, Solla 1989, *Optimal Brain Damage*: the idea, with a second-order score.
# - Hassibi, Stork 1993, *Second Order Derivatives for Network Pruning: Optimal Brain Surgeon*: the same, and the other weights
#   are adjusted.
# - Han, Pool, Tran, Dally 2015, *Learning both Weights and Connections for Efficient Neural Networks*: magnitude, recovery,
#   sensitivity of layers; exercises 1 to 5.
# - Li, Kadav, Durdanovic, Samet, Graf 2017, *Pruning Filters for Efficient ConvNets*: exercise 10.
# - Zhu, Gupta 2017, *To Prune, or Not to Prune*: gradual pruning, and the comparison with a smaller dense network.
# - Frankle, Carbin 2019, *The Lottery Ticket Hypothesis*; Frankle et al. 2020, *Linear Mode Connectivity and the Lottery Ticket
#   Hypothesis*; Liu et al. 2019, *Rethinking the Value of Network Pruning*: the claim, its correction, and a counter-claim.
# - Molchanov et al. 2019, *Importance Estimation for Neural Network Pruning*: the score of part 6.
# - Blalock et al. 2020, *What is the State of Neural Network Pruning?*: why published curves can rarely be compared.
# - Mishra et al. 2021, *Accelerating Sparse Deep Neural Networks*: 2:4; exercise 6.
# - Lee, Park, Mo, Ahn, Shin 2021, *Layer-adaptive Sparsity for the Magnitude-based Pruning*: the ranking of the shipped table.
# - Sun et al. 2023, *A Simple and Effective Pruning Approach for Large Language Models*: exercise 7.
# - Frantar, Alistarh 2023, *SparseGPT*: second order for large models (`lib.sparsegpt`).
#
# ## If you want more
#
# 1. **A fair comparison.** Train a *dense* network as small as your pruned one from new weights, for as many steps. Is pruning
#    better?
# 2. **Second order.** `lib.prune_model` with `score="sparsegpt"` and `pattern="layer"` changes the weights that stay. How much
#    of the training after pruning does it replace?
# 3. **Gradual pruning.** `lib.prune_gradually` prunes while it trains. Compare it with one-shot pruning and as many steps.
# 4. **2:4 everywhere.** Prune all layers but the first and the last by 2:4, recover, and run the linear layers with
#    `lib.use_sparse_layers(network, "nm")`. Which cell of the map does it belong to?
# 5. **Residual.** `models.load_pretrained("fashion_resnet")`: print `lib.find_groups`, remove half of the MACs, and look which
#    layers lost the same channels.
# 6. **Class by class.** Compare `metrics.per_class_accuracy` of dense and 90 % zeros. Do all classes lose equally?
# 7. **A budget too small.** Call `allocate_sparsity` with 5 % of the weights and look at the sparsities. What happens to one
#    layer, and how would a finer grid near 1 prevent it?
#
# **Next:** unit 02 quantizes a network; its last section uses the one that you pruned here.
#
# Words of this unit in the glossary: [pruning](../glossary.md#pruning), [sparsity](../glossary.md#sparsity), [global
# pruning](../glossary.md#global-pruning), [sensitivity scan](../glossary.md#sensitivity-scan), [Pareto
# front](../glossary.md#pareto-front), [momentum](../glossary.md#momentum), [lottery ticket](../glossary.md#lottery-ticket),
# [N:M sparsity](../glossary.md#n-m-sparsity), [Wanda](../glossary.md#wanda), [compressed sparse
# rows](../glossary.md#compressed-sparse-rows), [structured pruning](../glossary.md#structured-pruning),
# [passport](../glossary.md#passport).
