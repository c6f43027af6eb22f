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
# # 07 Auditing: what has a smaller network forgotten, what does it look at, and can it be fooled?
#
# Two networks with the same accuracy need not be the same. One may have lost a whole class that few images belong to; one may
# answer for a reason that has nothing to do with the question; one may be wrong as soon as somebody wants it to be. Accuracy
# shows none of this. An *audit* asks.
#
# **The question.** A network is pruned, or rounded to 8 bits, and its accuracy seems nearly what it was. What has changed? And
# somebody says that rounding made it robust against attacks. Is that so? Both are measured below, and the claim is taken apart.
#
# **You need** Python and a little PyTorch (tensors, `softmax`, gradients). Units 01 and 02 help; no other unit must come first.
#
# **How it works.** There are eleven exercises; the unit takes about 125 minutes. Replace `raise NotImplementedError` with
# your lines; the course's own answers have at most six. The cell right below tries the examples of the docstring. The next
# one checks your function on many more calls and says in a sentence what is wrong. Run both as often as you like. A mistake
# costs only its own exercise. The figures use *your* functions, so they show your work.
# Results may lie in memory in any order (contiguous or not).
# In a terminal, `posttrain-lab check 07` shows the points of the whole notebook. The [glossary](../glossary.md) explains
# the terms of the field.
#
# **Which images for what.** While we explore, *validation* images are used. *Test* images are used where nothing is chosen by
# them: to compare populations of networks, and for the last table.

# %% tags=["setup"]
import copy
import math
from collections.abc import Callable, Iterator
from statistics import NormalDist

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab import auditing as lib
from posttrain_lab import calibration, checks, comparisons, data, models, pruning, widgets
from posttrain_lab.data.fashion_populations import load_fashion_populations
from posttrain_lab.experiments import digit_populations as digits
from posttrain_lab.metrics import evaluating, wilson_interval
from posttrain_lab.plots import auditing as plots
from posttrain_lab.plots.start_here import gallery
from posttrain_lab.tails import binomial_tail

torch.set_num_threads(1)  # one thread: sums come out the same at every run
torch.manual_seed(0)
fashion, small = data.load_fashion(), data.load_small_digits()
clothes = fashion.train.classes


def hits(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Which images does the model get right? bool [n]."""
    with evaluating(model), torch.no_grad():
        return torch.cat([model(part).argmax(1) for part in images.split(500)]) == labels


def logit(model: nn.Module, image: Tensor, target: int) -> float:
    """The logit of a class for one image [c, h, w] (exercise 5)."""
    with torch.no_grad():
        return model(image[None])[0, target].item()


def squares(image: Tensor, window: int) -> Iterator[Tensor]:
    """All squares of window x window pixels that fit into an image [c, h, w], each as bool [h, w] (exercise 5)."""
    height, width = image.shape[1:]
    for i in range(height - window + 1):
        for j in range(width - window + 1):
            square = torch.zeros(height, width, dtype=torch.bool)
            square[i : i + window, j : j + window] = True
            yield square


class Calls(nn.Module):
    """A layer that calls a function (exercise 9)."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def root(f: Callable[[float], float]) -> float:
    """Where does a growing function of a number from 0 to 1 become 0? 0.0 when it is above 0 everywhere (exercise 11)."""
    low, high = 0.0, 1.0
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if f(middle) < 0 else (low, middle)
    return low


# %% [markdown]
# ## Part 1: better, or luck?
#
# The network of the course sorts images of clothes into ten classes. Here are four smaller versions of it, on the 2,000 validation images.

# %% tags=["nbval-ignore-output"]
model = models.load_pretrained("fashion_cnn").to(memory_format=torch.channels_last)
seen = fashion.validation
shrunk = {
    "8 bits": lib.rounded_network(model, fashion.calibration, bits=8),
    "4 bits": lib.rounded_network(model, fashion.calibration, bits=4),
    "30 % pruned": pruning.prune_model(model, pruning.PruningConfig(sparsity=0.3)).model.eval(),
    "70 % pruned": pruning.prune_model(model, pruning.PruningConfig(sparsity=0.7)).model.eval(),
}
right = {name: hits(network, seen.images, seen.labels) for name, network in {"float": model, **shrunk}.items()}
for name, each in right.items():
    low, high = wilson_interval(int(each.sum()), len(each))
    print(f"{name:12} accuracy {each.double().mean():.2%}, 95 % interval {low:.1%} to {high:.1%}")

# %% [markdown]
# **Predict.** Two networks are tested on the same images. The intervals of their accuracies overlap.

# %% tags=["widget", "nbval-ignore-output"]
widgets.predict(
    "The two intervals overlap. What follows?",
    ["neither network is better", "nothing: the two were tested on the same images", "the one with the higher accuracy is better"],
    "Exercise 1 compares them image by image.",
)

# %% [markdown]
# ### Exercise 1: McNemar's test
# *Difficulty 2 of 5, 8 minutes, 2 points*
#
# **Aim:** if neither of two models were better, how probable would a difference of at least this size be?
#
# Both models are right on most images, and both are wrong on the hard ones. Those images say nothing about who is better. Only the
# *discordant* ones do: on $b$ images only the first model is right, on $c$ only the second. If neither is better, each of the $b + c$ is
# decided by the flip of a coin:
#
# $$p = \min\left(1, \; 2 \, P(X \le \min(b, c))\right) \qquad P(X \le m) = 2^{-(b+c)} \sum_{k=0}^{m} \binom{b+c}{k}$$
#
# The factor 2 counts both directions, and a probability is at most 1. Without any discordant image $p$ is 1. `first` and `second` are
# `bool [n]`: is each model right on image i? The result is a plain float. `math.comb(n, k)` is $\binom{n}{k}$.
#
# **Predict:** 18 images are right for the first model only, 6 for the second only. Does it matter whether 2,000 or 20,000 images were
# tested?
#
# <details><summary>Answer</summary>
#
# Not for $p$. The other images are the same for both models. What changes is how large the difference is: 12 of 2,000, or of 20,000.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "mcnemar", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mcnemar(first: Bool[Tensor, " n"], second: Bool[Tensor, " n"]) -> float:
    """The exact two-sided p-value: min(1, 2 P(X <= min(b, c))), X binomial with b + c tries of probability 1/2.

    >>> first = torch.tensor([True, True, True, True, False, True])
    >>> second = torch.tensor([False, False, False, True, False, False])
    >>> mcnemar(first, second)  # b = 4, c = 0: twice 1/16
    0.125
    """
    ### BEGIN SOLUTION
    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    tail = sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    return min(1.0, 2 * tail)
    ### END SOLUTION


# %%
checks.try_examples(mcnemar)

# %% nbgrader={"grade": true, "grade_id": "test_mcnemar", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.auditing.mcnemar(mcnemar)
### BEGIN HIDDEN TESTS
checks.auditing.mcnemar(mcnemar, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
print("float against  only float, only the other right     p  points (95 % interval)")
for name in shrunk:
    b, c = comparisons.discordant(right["float"], right[name])
    gap = comparisons.paired_difference(right["float"], right[name])
    print(
        f"{name:13} {b:11}, {c:5} {mcnemar(right['float'], right[name]):14.2g}  "
        f"{100 * gap.value:+.2f} ({100 * gap.low:+.2f} to {100 * gap.high:+.2f})"
    )


def as_hits(b: int, c: int) -> tuple[Tensor, Tensor]:
    """Two models with these numbers of discordant images."""
    first = torch.arange(b + c) < b
    return first, ~first


shares = [0.5 + i / 20 for i in range(11)]
lines = {f"{n} discordant images": [mcnemar(*as_hits(round(share * n), n - round(share * n))) for share in shares] for n in (10, 20, 60, 200)}
plots.curves(shares, lines, "share of them that only the better model gets right", "p")

# %% [markdown]
# *What is seen: four falling lines, from 1 at the left. With 200 discordant images p is near 0 when the better model wins 60 % of them; with
# ten it takes nine.*
#
# **Question.** Where do the separate intervals above and your test disagree? How large must a difference be to be found at all?
#
# <details><summary>Answer</summary>
#
# Compare each p with the two intervals: p is small for a network whose interval overlaps with that of the float network. The next cell says
# which difference a test on n images can find, if one image in twenty is discordant. From now on, wherever this course says
# "better", it compares in pairs: `comparisons.mcnemar`, `comparisons.paired_difference`.
#
# </details>

# %% tags=["nbval-ignore-output"]
for n in (300, 2000, 10_000):
    print(f"{n:6} images: {100 * comparisons.detectable_difference(n, discordant_share=0.05):.1f} points are found four times in five (p < 0.05)")

# %% [markdown]
# ## Part 2: what has it forgotten?
#
# A smaller network disagrees with the large one on some images. But so do two large networks that were trained from different seeds.
# To see what *compression* changes, compare populations: several dense networks with several compressed ones (Hooker et al. 2019).
#
# We train small networks on digits of 8 x 8 pixels. One class is rare: of the eights only 15 training images are kept, of
# the other digits 90. Six networks, then the same six with 50, 70 and 80 % of their weights removed and trained a little more.

# %% tags=["nbval-ignore-output"]
RARE = 8
some = digits.with_rare_class(small.train, RARE, kept=15)
dense_networks = digits.trained_population(some, seeds=range(6))
labels = small.test.labels
dense = digits.answers(dense_networks, small.test.images)
pruned = {
    f"{100 * sparsity:.0f} % pruned": digits.answers(digits.pruned_population(dense_networks, sparsity, some), small.test.images)
    for sparsity in (0.5, 0.7, 0.8)
}
for name, found in {"dense": dense, **pruned}.items():
    print(f"{name:12} accuracy {(found == labels).double().mean():.1%}, of the eights {(found == labels)[:, labels == RARE].double().mean():.1%}")

# %% [markdown]
# ### Exercise 2: images that compression changes
# *Difficulty 2 of 5, 7 minutes, 2 points*
#
# **Aim:** find the images whose most frequent label is another one among the compressed networks than among the dense ones, the
# *compression-identified exemplars*.
#
# $$exemplar_i = \left[ \; mode_k \, dense_{k,i} \ne mode_k \, compressed_{k,i} \; \right]$$
#
# The *modal label* of an image is the label that most models of a population give to it; a tie goes to the smallest label. `dense` is
# `int64 [k, n]`: the labels that k models give to n images; `compressed` is `int64 [m, n]`; k and m are at least 2 and may differ. The
# result is `bool [n]`.
#
# **Predict:** why is the mean of the labels no good, and why is one network of each kind not enough?
#
# <details><summary>Answer</summary>
#
# Class numbers have no order: between a pullover (2) and a coat (4) there is no dress (3). And one pair of networks disagrees on
# many images by the chance of its seeds alone.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "identified_exemplars", "locked": false, "schema_version": 3, "solution": true, "task": false}
def identified_exemplars(dense: Int[Tensor, "k n"], compressed: Int[Tensor, "m n"]) -> Bool[Tensor, " n"]:
    """Which images have another modal label among the compressed models? A tie goes to the smallest label.

    >>> dense = torch.tensor([[1, 2, 7], [1, 2, 3], [5, 0, 3]])
    >>> compressed = torch.tensor([[1, 0, 7], [4, 0, 3]])
    >>> identified_exemplars(dense, compressed)  # 1 and 1, 2 and 0, 3 and 3: ties go to the smallest
    tensor([False,  True, False])
    """
    ### BEGIN SOLUTION
    def modal(labels: Tensor) -> Tensor:
        votes = F.one_hot(labels).sum(dim=0)  # [n, classes]
        return votes.argmax(dim=1)  # the first of equal ones

    return modal(dense) != modal(compressed)
    ### END SOLUTION


# %%
checks.try_examples(identified_exemplars)

# %% nbgrader={"grade": true, "grade_id": "test_identified_exemplars", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.auditing.identified_exemplars(identified_exemplars)
### BEGIN HIDDEN TESTS
checks.auditing.identified_exemplars(identified_exemplars, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
for name, found in pruned.items():
    changed = identified_exemplars(dense, found)
    eights = (labels[changed] == RARE).double().mean()
    print(f"{name:12} {int(changed.sum()):3} exemplars; {eights:.0%} of them are eights, as are {(labels == RARE).double().mean():.0%} of all images")
half = identified_exemplars(dense[::2], dense[1::2])
print(f"for comparison, three dense networks against the three others: {int(half.sum())} images")

# %% [markdown]
# **Question.** The eights are few. Why are so many of them among the exemplars? And what does the last line say?
#
# <details><summary>Answer</summary>
#
# A likely reason, not measured here: the networks saw few eights, so a small change of the weights is enough to turn their answers.
# The last line is what chance alone gives; with half of the weights removed there are no more exemplars than that: populations of three differ on some images although nothing was
# compressed. A number of exemplars without this comparison says little.
#
# </details>

# %% [markdown]
# ### Exercise 3: which classes paid
# *Difficulty 2 of 5, 8 minutes, 2 points*
#
# **Aim:** by how much more than the whole does each class change?
#
# $$damage_c = \left( \overline{recall}_c^{\,compressed} - \overline{recall}_c^{\,dense} \right)$$
# $$\qquad\qquad - \left( \overline{accuracy}^{\,compressed} - \overline{accuracy}^{\,dense} \right)$$
#
# The *recall* of class $c$ is the share of its own images that a model gets right; the bar is the mean over the models of a population.
# The second bracket is the change that every class shares. Negative: the class lost more than the accuracy says. `dense [k, n]`,
# `compressed [m, n]` and `labels [n]` are `int64` below `classes`; the result is `float [classes]`, with NaN for a class without images.
#
# **Predict:** a class has one image in a hundred. All of its images are lost, and nothing else. How much does the accuracy fall?
#
# <details><summary>Answer</summary>
#
# By one point. The damage of the class is minus 99 points.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "class_damage", "locked": false, "schema_version": 3, "solution": true, "task": false}
def class_damage(
    dense: Int[Tensor, "k n"], compressed: Int[Tensor, "m n"], labels: Int[Tensor, " n"], classes: int
) -> Float[Tensor, " classes"]:
    """The change of each class's recall minus the change of the accuracy, means over the models; NaN without images.

    >>> labels = torch.tensor([0, 0, 0, 1])
    >>> dense, compressed = torch.tensor([[0, 0, 0, 1], [0, 0, 0, 1]]), torch.tensor([[0, 0, 0, 0], [0, 0, 0, 0]])
    >>> class_damage(dense, compressed, labels, classes=2).tolist()  # class 1 is lost: -1 against -1/4 of the whole
    [0.25, -0.75]
    """
    ### BEGIN SOLUTION
    def gap(predicted: Tensor) -> Tensor:
        hits = (predicted == labels).double()
        recall = torch.stack([hits[:, labels == c].mean() for c in range(classes)])
        return recall - hits.mean()

    return gap(compressed) - gap(dense)
    ### END SOLUTION


# %%
checks.try_examples(class_damage)

# %% nbgrader={"grade": true, "grade_id": "test_class_damage", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.auditing.class_damage(class_damage)
### BEGIN HIDDEN TESTS
checks.auditing.class_damage(class_damage, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
damages = {name: (100 * class_damage(dense, found, labels, 10)).tolist() for name, found in pruned.items()}
worst = lib.damage_tests(dense, pruned["70 % pruned"], labels, 10)[0]
print(f"most damaged at 70 %: class {worst.label}, {100 * worst.change:+.1f} points, p = {worst.p:.2f}")
print("(Welch's test over the networks, Holm's correction)")
plots.class_bars([str(c) for c in range(10)], damages, "damage (points)")

# %% [markdown]
# *What is seen: for each digit three bars, up or down from zero. The eight's bars point down, deeper with more weights removed; other digits go
# up and down by less, until at 80 % several classes change much.*
#
# **Question.** Is the damage of the eight proven by these networks?
#
# <details><summary>Answer</summary>
#
# The printed p is not small. Welch's test asks whether the means of two groups of networks differ by more than the networks within each
# group do. How well a network knows the eights depends much on its seed, six networks are few, and Holm's correction makes p larger
# because ten classes are asked about at once. The exemplars point to the eights; the means over six networks do not
# prove it. More networks do, as in the next section.
#
# </details>
#
# ### Ten large networks
#
# Training ten networks on clothes takes too long for a page. The following answers are *shipped*: ten networks `fashion_cnn` were trained from ten
# seeds on the 7,000 training images (the network of the course saw more images, and is better); each was pruned to three sparsities (and trained for one epoch more) and rounded to three widths. The
# script is `posttrain_lab/making/fashion_populations.py`. Note that the pruned ones learned for one epoch more than the dense ones. What is computed from them is computed now, by your functions.

# %% tags=["nbval-ignore-output"]
populations = load_fashion_populations()
truth = fashion.test.labels
ten = populations.pop("dense")
print(f"             accuracy  exemplars   most damaged class\ndense        {(ten == truth).double().mean():8.2%}")
for name, found in populations.items():
    first = lib.damage_tests(ten, found, truth, 10)[0]
    changed = identified_exemplars(ten, found)
    print(
        f"{name:12} {(found == truth).double().mean():8.2%} {int(changed.sum()):10}   "
        f"{clothes[first.label]}, {100 * first.change:+.1f} points, p = {first.p:.4f}"
    )
kinds = list(populations)
plots.class_bars(clothes, {name: (100 * class_damage(ten, populations[name], truth, 10)).tolist() for name in (kinds[2], kinds[5])}, "damage (points)")

# %% tags=["nbval-ignore-output"]
strongest = populations[kinds[2]]
changed = identified_exemplars(ten, strongest).nonzero()[:10, 0]
before, after = (lib.modal_labels(part[:, changed]) for part in (ten, strongest))
captions = [f"{clothes[a]} → {clothes[b]}" for a, b in zip(before.tolist(), after.tolist(), strict=True)]
gallery(fashion.test.images[changed], captions)

# %% [markdown]
# *What is seen: two rows of five test images for which most dense networks and most strongly pruned ones disagree. Below each, what the dense networks
# say and, after the arrow, what the pruned ones say. They are tops whose kind a person cannot tell for sure either:
# the dense networks call them shirts, the pruned ones a T-shirt, a pullover or a coat.*
#
# **Question.** Which images are forgotten first, and why does the accuracy hardly show it?
#
# <details><summary>Answer</summary>
#
# Those that are hard for a person too: unusual, or between two classes. Other classes gain what this one loses, so the accuracy falls less than the
# class. Whether it matters depends on who sends such images. A camera at a hospital door sees the unusual cases that count.
#
# </details>

# %% [markdown]
# ## Part 3: what does an answer rest on?
#
# An *attribution* gives each pixel its part in the answer. There are many methods, and every map looks convincing. So we write two of
# them, and then a test that a map can fail.
#
# ### Exercise 4: integrated gradients
# *Difficulty 3 of 5, 11 minutes, 3 points*
#
# **Aim:** how much does each pixel contribute on the way from a baseline (for example black) to the image?
#
# $$IG_j = (x_j - baseline_j) \; \frac{1}{steps} \sum_{k=0}^{steps-1} \frac{\partial \, logit_{target}}{\partial x_j}
# \Big( x^{(k)} \Big)$$
# $$x^{(k)} = baseline + a_k (x - baseline) \qquad a_k = \frac{k + 1/2}{steps}$$
#
# The gradient at the image alone says what would change the answer a little. Its mean over the way adds up (*completeness*): the sum of all parts
# approaches $logit(x) - logit(baseline)$. The $a_k$ are the middles of the steps. We explain the logit of each image's own target (the
# model's output for this class, before softmax; softmax would mix in the other classes). `x` and `baseline` are `float [n, ...]` of one shape, `target` is
# `int64 [n]`; the result is like `x`, in shape and dtype. The model is in eval mode; leave it, the gradients that its weights may hold, and `x` as they
# were: `torch.autograd.grad(y, x)[0]` gives a gradient without storing one in the model.
#
# **Predict:** of a linear model, how many steps are needed?
#
# <details><summary>Answer</summary>
#
# One. Its gradient is the same everywhere: each part is weight times (x - baseline).
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "integrated_gradients", "locked": false, "schema_version": 3, "solution": true, "task": false}
def integrated_gradients(
    model: nn.Module, x: Float[Tensor, "n ..."], baseline: Float[Tensor, "n ..."], target: Int[Tensor, " n"], steps: int
) -> Float[Tensor, "n ..."]:
    """(x - baseline) times the mean gradient of the target's logit, at the middles of `steps` steps from the baseline to x.

    >>> def square(x):  # a model with one logit
    ...     return x.square().sum(dim=1, keepdim=True)
    >>> integrated_gradients(square, torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, 1.0]]), torch.tensor([0]), steps=2)
    tensor([[8., 0.]])
    """
    ### BEGIN SOLUTION
    total = torch.zeros_like(x)
    for k in range(steps):
        at = (baseline + (k + 0.5) / steps * (x - baseline)).requires_grad_(True)
        logits = model(at).gather(1, target[:, None])
        total += torch.autograd.grad(logits.sum(), at)[0]
    return (x - baseline) * total / steps
    ### END SOLUTION


# %%
checks.try_examples(integrated_gradients)

# %% nbgrader={"grade": true, "grade_id": "test_integrated_gradients", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.auditing.integrated_gradients(integrated_gradients)
### BEGIN HIDDEN TESTS
checks.auditing.integrated_gradients(integrated_gradients, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Choose an image and a class. The map shows which pixels speak for the class, and which against it.


# %% tags=["widget", "nbval-ignore-output"]
def draw_target(image: int, target: str):
    x = seen.images[image : image + 1]
    chosen = torch.tensor([clothes.index(target)])
    parts = integrated_gradients(model, x, torch.zeros_like(x), chosen, steps=32)[0, 0]
    with torch.no_grad():
        logits = model(x)[0] - model(torch.zeros_like(x))[0]
    captions = [f"a {clothes[int(seen.labels[image])]}", f"parts sum to {parts.sum():.2f}; the logit of '{target}' changes by {logits[chosen[0]]:.2f}"]
    return plots.panels([[x[0, 0], parts]], [captions])


widgets.slider_figure(
    draw_target,
    image=widgets.Slider(0, 20, start=2, step=1, label="validation image"),
    target=widgets.Choice(clothes, start=clothes[6], label="target"),
)

# %% [markdown]
# *What is seen: left the image, right its map: orange pixels speak for the class, blue ones against it. The caption compares the sum of the parts with
# the change of the logit.*
#
# **Question.** Where is the map always white, whichever class you choose? What does that say about completeness?
#
# <details><summary>Answer</summary>
#
# Where the image is black, as the baseline is: x - baseline is 0. A black pixel cannot be a reason for anything, by
# construction, even if a hole in the bag is what gives it away. The parts are complete for this baseline, and another baseline
# gives other parts.
#
# </details>
#
# ### Exercise 5: occlusion
# *Difficulty 3 of 5, 10 minutes, 2 points*
#
# **Aim:** how much does the target's logit drop when a part of the image is hidden? No gradient is needed, so it works for every model.
#
# $$drop = logit(image) - logit(hidden)$$
#
# A square of window x window pixels, in all channels, is set to `baseline`, at every place where it fits into the image, one pixel apart. The
# map has at each pixel the *mean* drop of all the squares that cover it: near the border these are fewer. `image` is
# `float [c, h, w]`, the result `[h, w]` has the dtype of the image. Given above: `squares(image, window)` gives every square as `bool [h, w]`, and
# `logit(model, image, target)` the logit as a plain float.
#
# **Predict:** how often is the model called for 28 x 28 pixels and a window of 5?
#
# <details><summary>Answer</summary>
#
# 24 x 24 squares, and once more for the whole image.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "occlusion", "locked": false, "schema_version": 3, "solution": true, "task": false}
def occlusion(model: nn.Module, image: Float[Tensor, "c h w"], target: int, window: int, baseline: float) -> Float[Tensor, "h w"]:
    """At each pixel the mean drop of the target's logit, over all squares that cover the pixel.

    >>> def left(x):  # a model whose logit is the sum of the first column
    ...     return x[:, 0, :, 0].sum(dim=1, keepdim=True)
    >>> occlusion(left, torch.ones(1, 2, 3), target=0, window=2, baseline=0.5)
    tensor([[1.0000, 0.5000, 0.0000],
            [1.0000, 0.5000, 0.0000]])
    """
    ### BEGIN SOLUTION
    whole = logit(model, image, target)
    total, count = torch.zeros(2, *image.shape[1:], dtype=image.dtype)
    for square in squares(image, window):
        total += square * (whole - logit(model, torch.where(square, baseline, image), target))
        count += square
    return total / count
    ### END SOLUTION


# %%
checks.try_examples(occlusion)

# %% nbgrader={"grade": true, "grade_id": "test_occlusion", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.auditing.occlusion(occlusion)
### BEGIN HIDDEN TESTS
checks.auditing.occlusion(occlusion, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# The same image for three networks: as trained, with 70 % of the weights removed, and rounded to 8 bits. (Rounding stops gradients,
# as exercise 9 will show; `lib.straight_through`, which you will write there, lets them pass.)

# %% tags=["nbval-ignore-output"]
audited = {"float": model, "70 % pruned": shrunk["70 % pruned"], "8 bits": lib.straight_through(shrunk["8 bits"])}
image, target = seen.images[9:10], seen.labels[9:10]
rows, captions = [], []
for name, network in audited.items():
    parts = integrated_gradients(network, image, torch.zeros_like(image), target, steps=32)[0, 0]
    hidden = occlusion(network, image[0], int(target), window=5, baseline=0.0)
    rows.append([image[0, 0], parts, hidden])
    answer = clothes[int(network(image).argmax())]
    captions.append([f"{name}: {answer}", "integrated gradients", "occlusion"])
plots.panels(rows, captions)

# %% [markdown]
# *What is seen: a row for each network: the image with the network's answer, a fine map of single pixels, and a smooth map of squares; orange
# speaks for the true class, blue against it. The rows of the float network and of the 8 bits look alike; that of the pruned one differs in places.*
#
# **Question.** The two methods show different maps of one and the same network. Which is right?
#
# <details><summary>Answer</summary>
#
# Both, for their own question: one adds up changes on the way from black, the other removes a part of the picture that the network has never
# seen removed. Neither says what the network "thinks". But we can ask whether a map depends on the network at all.
#
# </details>
#
# ### Exercise 6: do two maps agree?
# *Difficulty 3 of 5, 8 minutes, 2 points*
#
# **Aim:** compare the order in which two maps rank the pixels, with one number from -1 to 1: Spearman's rank correlation.
#
# $$r = \frac{\sum_i (R_i - \bar R)(S_i - \bar S)}{\sqrt{\sum_i (R_i - \bar R)^2 \sum_i (S_i - \bar S)^2}}$$
#
# $R$ and $S$ are the ranks of the pixels in the two maps, over all pixels together. Equal values share the mean of their places: of
# 3, 7, 7, 9 the ranks are 1, 2.5, 2.5, 4. Values are compared with their signs. A map whose values are all equal orders nothing; the result
# is NaN. `a` and `b` are float maps of one shape; the result is a plain float. `x.unique(return_inverse=True, return_counts=True)` gives the
# different values in rising order, which of them each pixel has, and how often each occurs. The last place of a value is the running sum
# of these counts.
#
# **Predict:** the same 40 % of the pixels are exactly 0 in both maps. Somebody gives equal values different ranks, by their place in the picture. Does the
# agreement rise or fall?
#
# <details><summary>Answer</summary>
#
# It rises: the empty pixels then have the same order in both maps, for no other reason than that both were numbered from the upper left
# corner.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "rank_agreement", "locked": false, "schema_version": 3, "solution": true, "task": false}
def rank_agreement(a: Float[Tensor, "*shape"], b: Float[Tensor, "*shape"]) -> float:
    """Spearman's rank correlation of two maps: equal values share the mean of their places; NaN for a constant map.

    >>> round(rank_agreement(torch.tensor([0.0, 0.0, 2.0, 90.0]), torch.tensor([0.0, 1.0, 3.0, 2.0])), 3)
    0.738
    """
    ### BEGIN SOLUTION
    def ranks(x: Tensor) -> Tensor:
        _, place, count = x.flatten().unique(return_inverse=True, return_counts=True)
        middle = (count.cumsum(dim=0) - (count - 1) / 2).double()[place]
        return middle - middle.mean()

    return (ranks(a) @ ranks(b) / (ranks(a).norm() * ranks(b).norm())).item()
    ### END SOLUTION


# %%
checks.try_examples(rank_agreement)

# %% nbgrader={"grade": true, "grade_id": "test_rank_agreement", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.auditing.rank_agreement(rank_agreement)
### BEGIN HIDDEN TESTS
checks.auditing.rank_agreement(rank_agreement, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# **The test that a map can fail.** Give the layers of the network new random weights, from the last to the first (Adebayo et al. 2018). Soon it
# knows nothing. A map that explains the network must become another map. We compare three: the gradient, integrated gradients, and
# a picture of the edges, which never looked at the network.


# %% tags=["nbval-ignore-output"]
def edges(x: Tensor) -> Tensor:
    """How much each pixel differs from its right and lower neighbours: no network is asked."""
    return (x - x.roll(1, 2)).abs() + (x - x.roll(1, 3)).abs()


makers = {
    "gradient": lambda network, x, y: lib.gradient_map(network, x, y),
    "integrated gradients": lambda network, x, y: integrated_gradients(network, x, torch.zeros_like(x), y, steps=16),
    "edges": lambda network, x, y: edges(x),
}
pictures, answers_of = seen.images[:12], seen.labels[:12]
stages = [("trained", model), *((f"layer {name} and later", network) for name, network in lib.cascade(model))]
agreement = {}
for name, make in makers.items():
    first = make(model, pictures, answers_of)
    for kind, change in (("signed", lambda m: m), ("absolute", torch.abs)):
        agreement[f"{name}, {kind}"] = [
            sum(rank_agreement(change(a), change(b)) for a, b in zip(first, make(network, pictures, answers_of), strict=True)) / len(pictures)
            for _, network in stages
        ]
for name, values in agreement.items():
    print(f"{name}\n   ", " ".join(f"{value:5.2f}" for value in values))
shown = {name: values for name, values in agreement.items() if name != "edges, absolute"}
plots.curves(range(len(stages)), shown, "layers with random weights, counted from the last", "agreement with the map of the trained network")

# %% [markdown]
# *What is seen: five lines that begin at 1. The signed maps fall towards 0. The absolute values of integrated gradients stay high to the end. The
# edges stay at 1.*
#
# **Question.** Which maps passed? Why do absolute values agree so much more?
#
# <details><summary>Answer</summary>
#
# The edges fail: they would explain any network. Signed gradients pass. The absolute values of integrated gradients agree with those of a
# network that knows nothing, because both are 0 where the image is black and large where it is bright: they mostly show the image. Many
# published heat maps show absolute values.
#
# </details>
#
# A second test removes the pixels that a map calls most important, and watches the probability of the class.

# %% tags=["nbval-ignore-output"]
removed = [0.0, 0.05, 0.1, 0.2, 0.3, 0.5]
chance = torch.rand(pictures.shape[1:], generator=torch.Generator().manual_seed(0))[0]
maps = {name: make(model, pictures, answers_of)[:, 0] for name, make in makers.items()} | {"random": chance.expand(len(pictures), -1, -1)}
falling = {
    name: torch.tensor([lib.deletion_curve(model, x, m, int(y), removed) for x, m, y in zip(pictures, found, answers_of, strict=True)]).mean(0)
    for name, found in maps.items()
}
plots.curves(removed, falling, "share of the pixels set to black, the most important first", "mean probability of the true class")

# %% [markdown]
# *What is seen: four falling lines. Integrated gradients fall fastest at first. The edges, which know nothing of the network, fall slowly at first, like
# random pixels, and end below all others.*
#
# **Question.** The edges failed the first test and end lowest here. What does a deletion curve measure?
#
# <details><summary>Answer</summary>
#
# At the left, whether the map knows what this network needs. At the right, how well the picture is destroyed: an image without its edges is no
# piece of clothing any more. So compare curves where few pixels are removed, together with a test that the edges fail.
#
# </details>
#
# ### A table of people, and a leak
#
# For linear models the attribution is exact. A logistic regression predicts who dies within five years (unit 04). Its log-odds, $\log(p / (1 - p))$, are a weighted
# sum; the *Shapley value* of a feature is $w_j (x_j - \bar x_j)$, and they add up to the log-odds minus their mean (`lib.linear_shapley`). In
# probabilities nothing adds up. Now we plant a mistake as it happens in real tables: a column that is filled in *after* the outcome is known.

# %% tags=["nbval-ignore-output"]
people = data.load_mortality()
names = list(data.mortality.FEATURES)


def with_letter(part: data.Dataset, seed: int) -> data.Dataset:
    """One more column: a letter was sent to the family. It follows the outcome, with a few exceptions."""
    chance = torch.rand(len(part), generator=torch.Generator().manual_seed(seed))
    letter = torch.where(chance < 0.05, 1 - part.labels, part.labels).float()
    return data.Dataset(torch.cat([part.images, letter[:, None]], dim=1), part.labels, part.classes)


bars = {}
for name, train_part, part in (
    ("as it should be", people.train, people.validation),
    ("with the letter", with_letter(people.train, 0), with_letter(people.validation, 1)),
):
    risk = calibration.fit_logistic_regression(train_part)
    parts = lib.linear_shapley(risk.weight, part.images, train_part.images)
    bars[name] = (*parts.abs().mean(0).tolist(), *[0.0] * (8 - part.images.shape[1]))
    area = calibration.roc_auc(risk(part.images)[:, 1], part.labels)
    print(f"{name:16} area under the ROC curve {area.value:.3f} on people not fitted on")
plots.features([*names, "letter to the family"], bars, "mean absolute Shapley value (log-odds)")

# %% [markdown]
# *What is seen: two bars for each of seven features, and one for the letter. As it should be, age has by far the longest bar. With the
# letter, its bar is the longest.*
#
# **Question.** The second model is better in every validation. How do you find out that it is worthless?
#
# <details><summary>Answer</summary>
#
# Not by accuracy: the leak is in the validation table too. The attribution shows a feature that should not know the answer, and
# somebody who knows how the table was made asks when the column is filled in. An attribution does not find leaks; it tells where to ask.
# And it says nothing about causes: age is not a treatment.
#
# </details>

# %% [markdown]
# ## Part 4: can it be fooled?
#
# An [adversarial example](../glossary.md#adversarial-example) is an image that was changed on purpose, so little that a person hardly notices, and is
# misclassified. An [attack](../glossary.md#adversarial-attack) searches for it. Here every pixel may change by at most `eps`, and pixels stay in [0, 1].
#
# ### Exercise 7: one step along the sign of the gradient
# *Difficulty 2 of 5, 8 minutes, 2 points*
#
# **Aim:** change every pixel by eps in the direction that increases the loss (*fast gradient sign method*, FGSM).
#
# $$x' = clamp\left(x + eps \cdot sign\left(\frac{\partial \, loss}{\partial x}\right), \; 0, \; 1\right)$$
#
# The loss is the cross entropy of the *true* labels. Only signs matter: where the gradient is 0 the pixel stays. The sum and the mean of the
# losses of several images give the same signs; we add them up, so that no gradient becomes so small that it rounds to 0. `x` is `float [n, ...]` in [0, 1], `y` is `int64 [n]`; the
# result is like `x`, in shape and dtype. The model is asked in eval mode and is left as it was: its mode, its weights, the gradients that they hold; so is `x`. Inside of
# `with evaluating(model):` a model is in eval mode; afterwards it has its own mode again.
#
# **Predict:** eps is 0.1, and each pixel changes by a tenth at most. Why is this enough to move the logits by a lot?
#
# <details><summary>Answer</summary>
#
# All pixels move together, each in the direction that hurts. In 64 or 784 dimensions many small changes add up: for a linear model to
# eps times the sum of the absolute weights.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "fgsm", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fgsm(model: nn.Module, x: Float[Tensor, "n ..."], y: Int[Tensor, " n"], eps: float) -> Float[Tensor, "n ..."]:
    """clamp(x + eps * sign of the gradient of the loss, 0, 1), for the true labels y.

    >>> layer = nn.Linear(3, 2, bias=False)
    >>> layer.weight.data = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])  # the third pixel is not used
    >>> fgsm(layer, torch.tensor([[0.75, 0.875, 0.5]]), torch.tensor([0]), eps=0.25)
    tensor([[0.5000, 1.0000, 0.5000]])
    """
    ### BEGIN SOLUTION
    with evaluating(model):
        moving = x.clone().requires_grad_(True)
        loss = F.cross_entropy(model(moving), y, reduction="sum")
        gradient = torch.autograd.grad(loss, moving)[0]
    return (x + eps * gradient.sign()).clamp(0, 1)
    ### END SOLUTION


# %%
checks.try_examples(fgsm)

# %% nbgrader={"grade": true, "grade_id": "test_fgsm", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.auditing.fgsm(fgsm)
### BEGIN HIDDEN TESTS
checks.auditing.fgsm(fgsm, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Move eps. Left the image, in the middle the change (amplified: its largest value is drawn in full colour), right the attacked image. The captions
# say what the float network and the one of 8 bits answer, and how sure they are.


# %% tags=["widget", "nbval-ignore-output"]
def draw_attack(eps: float, image: int):
    x, y = seen.images[image : image + 1], seen.labels[image : image + 1]
    moved = fgsm(model, x, y, eps)
    answers = []
    for name, network in (("float", model), ("8 bits", shrunk["8 bits"])):
        p = network(moved).softmax(1)[0]
        answers.append(f"{name}: {clothes[int(p.argmax())]} {p.max():.0%}")
    return plots.panels([[x[0, 0], (moved - x)[0, 0], moved[0, 0]]], [[f"a {clothes[int(y)]}", "change, amplified", "; ".join(answers)]], last_plain=True)


widgets.slider_figure(
    draw_attack,
    eps=widgets.Slider(0.0, 0.2, start=0.04, step=0.01, label="eps"),
    image=widgets.Slider(0, 20, start=4, step=1, label="validation image"),
)

# %% [markdown]
# *What is seen: three pictures in a row. Nearly everywhere the change is eps up, eps down, or none; it is less where a pixel reaches
# 0 or 1. With a small eps the attacked image looks like the first one, and for some images the answers are other ones; both networks mostly
# give the same wrong answer.*
#
# **Question.** The images were made against the float network. Why do they fool the one of 8 bits too?
#
# <details><summary>Answer</summary>
#
# It computes nearly the same function. Images that fool one network often fool another (they *transfer*), even one that was trained
# separately. Remember this when somebody says that rounding protects.
#
# </details>
#
# ### Exercise 8: many small steps
# *Difficulty 3 of 5, 9 minutes, 3 points*
#
# **Aim:** take small steps, each along the gradient at the image reached, and return into the allowed region after each one
# (*projected gradient descent*, PGD).
#
# $$x_0 = project(start) \qquad x_{t+1} = project\left(x_t + step \cdot sign\left(\frac{\partial \, loss}{\partial x_t}\right)\right)$$
#
# `project` clamps to $[x - eps, \; x + eps]$, then to $[0, 1]$. There are `steps` steps, at least one. The ball is the one around `x`, not around
# the last image. `start` is like `x`, possibly outside of the ball, so it is projected too. The result is like `x`, in shape and dtype. Given is the
# gradient of the loss:


# %% tags=["setup"]
def loss_gradient(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The gradient of the summed cross entropy with respect to x, in eval mode; nothing is left behind."""
    with evaluating(model):
        moving = x.detach().clone().requires_grad_(True)
        return torch.autograd.grad(F.cross_entropy(model(moving), y, reduction="sum"), moving)[0]


# %% [markdown]
# **Predict:** on a linear model of two classes, where does the walk end?
#
# <details><summary>Answer</summary>
#
# In a corner of the ball: every pixel has moved by eps, in the direction of its weight, as after one step of FGSM. The gradient's signs never change. On a
# network they do; that is why small steps find more.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "pgd", "locked": false, "schema_version": 3, "solution": true, "task": false}
def pgd(
    model: nn.Module, x: Float[Tensor, "n ..."], y: Int[Tensor, " n"], eps: float, step: float, steps: int, start: Float[Tensor, "n ..."]
) -> Float[Tensor, "n ..."]:
    """Walk along the sign of the loss gradient; project the start and every step into the ball around x and into [0, 1].

    >>> layer = nn.Linear(2, 2, bias=False)
    >>> layer.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> x = torch.tensor([[0.75, 0.875]])
    >>> pgd(layer, x, torch.tensor([0]), eps=0.25, step=0.125, steps=3, start=x + 9)
    tensor([[0.6250, 1.0000]])
    """
    ### BEGIN SOLUTION
    low, high = (x - eps).clamp(min=0), (x + eps).clamp(max=1)
    moved = start.clamp(low, high)
    for _ in range(steps):
        moved = (moved + step * loss_gradient(model, moved, y).sign()).clamp(low, high)
    return moved
    ### END SOLUTION


# %%
checks.try_examples(pgd)

# %% nbgrader={"grade": true, "grade_id": "test_pgd", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.auditing.pgd(pgd)
### BEGIN HIDDEN TESTS
checks.auditing.pgd(pgd, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# From here on a small network on digits, so that everything runs in seconds; all ten digits have all their images now.

# %% tags=["nbval-ignore-output"]
plain = digits.train(digits.small_network(0, 64), small.train.images, small.train.labels, digits.TRAINING, progress=False)[0]
x, y = small.validation.images, small.validation.labels
start = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def accuracy(network: nn.Module, images: Tensor) -> float:
    return hits(network, images, y).double().mean().item()


def walk(network: nn.Module, eps: float, steps: int = 10) -> Tensor:
    """Your attack from a random start, in steps of a quarter of eps."""
    return pgd(network, x, y, eps, eps / 4, steps, x + eps * start)


sizes = [0.0, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2]
lines = {
    "random change": [accuracy(plain, (x + eps * start.sign()).clamp(0, 1)) for eps in sizes],
    "one step (FGSM)": [accuracy(plain, fgsm(plain, x, y, eps)) for eps in sizes],
    "ten steps (PGD)": [accuracy(plain, walk(plain, eps)) for eps in sizes],
}
plots.curves(sizes, lines, "eps", "accuracy")

# %% [markdown]
# *What is seen: three lines over eps. A random change of the same size hardly hurts. One step costs most of the accuracy, ten steps a little
# more, and at the right end hardly anything is left.*
#
# **Question.** Robustness against noise is easy to measure. Why does it say little about attacks?
#
# <details><summary>Answer</summary>
#
# Noise points in all directions, and in many dimensions nearly none of it in the one that hurts. An adversary chooses that one.
#
# </details>
#
# ### A claim: rounding makes networks robust
#
# The same attack on the same network with weights and activations of 8 bits. Look at the numbers, as they can be found in several papers.

# %% tags=["nbval-ignore-output"]
EPS = 0.1
rounded = lib.rounded_network(plain, small.calibration, bits=8)
print(f"float:  clean {accuracy(plain, x):.1%}, attacked {accuracy(plain, walk(plain, EPS)):.1%}")
print(f"8 bits: clean {accuracy(rounded, x):.1%}, attacked {accuracy(rounded, walk(rounded, EPS)):.1%}")

# %% tags=["widget", "nbval-ignore-output"]
widgets.predict(
    "The network of 8 bits is hardly hurt by the attack. Why?",
    ["rounding removes small changes of the pixels", "its gradients are useless to the attack", "it is less accurate, and so harder to fool"],
    "The next exercise finds out.",
)

# %% [markdown]
# ### Exercise 9: straight through
# *Difficulty 3 of 5, 8 minutes, 2 points*
#
# **Aim:** a network with the outputs of the rounded one and a gradient that an attack can use.
#
# Rounding is a staircase: its derivative is 0 almost everywhere, so the gradient of the whole network is 0, and the attack does not move. The
# [straight-through](../glossary.md#straight-through-estimator) trick keeps the value and replaces the gradient:
#
# $$y = rounded(x)_{detached} + (x - x_{detached})$$
#
# The bracket is 0, but its gradient is that of $x$. `quantized` is an `nn.Sequential`; some of its layers (its own, not nested ones) are
# `lib.Rounding`, which rounds its input to multiples of `scale` and keeps it in the range of its bits, as integers do. Return a *new* `nn.Module`: for every x the outputs of `quantized`, and the gradient as if each `Rounding` were the identity,
# also where it clamps. `quantized` itself is not changed. Its other layers may be those of `quantized`. Given above: `Calls(function)` makes a layer of a function.
# (A lambda looks its names up when it is called: one that is made in a loop sees the last layer. Make it in a function that gets the layer.)
#
# **Predict:** why not simply attack the network without its rounding?
#
# <details><summary>Answer</summary>
#
# That is another network, with other outputs. It often works (the images transfer), but a result must be about the network that is
# used: the gradients are taken at *its* values.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "straight_through", "locked": false, "schema_version": 3, "solution": true, "task": false}
def straight_through(quantized: nn.Sequential) -> nn.Module:
    """The same outputs, and the gradient as if each lib.Rounding were the identity. A new module.

    >>> network = nn.Sequential(lib.Rounding(scale=0.5, zero_point=0, bits=3), nn.Linear(1, 1, bias=False))
    >>> network[1].weight.data = torch.tensor([[3.0]])
    >>> x = torch.tensor([[0.6], [9.0]], requires_grad=True)
    >>> y = straight_through(network)(x)
    >>> y.tolist(), torch.autograd.grad(y.sum(), x)[0].tolist()
    ([[1.5], [4.5]], [[3.0], [3.0]])
    """
    ### BEGIN SOLUTION
    def passing(rounding: nn.Module) -> nn.Module:
        return Calls(lambda x: rounding(x).detach() + (x - x.detach()))

    layers = [passing(layer) if isinstance(layer, lib.Rounding) else layer for layer in copy.deepcopy(quantized)]
    return nn.Sequential(*layers)
    ### END SOLUTION


# %%
checks.try_examples(straight_through)

# %% nbgrader={"grade": true, "grade_id": "test_straight_through", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.auditing.straight_through(straight_through)
### BEGIN HIDDEN TESTS
checks.auditing.straight_through(straight_through, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
passing = straight_through(rounded)
for name, network in (("float", plain), ("8 bits", rounded), ("8 bits, straight through", passing)):
    print(f"{name:26} {lib.gradients_hidden(network, x, y):.0%} of the images: all gradients are 0")
images_against = {"float": walk(plain, EPS), "8 bits": walk(rounded, EPS), "8 bits, straight through": walk(passing, EPS)}
table = {f"made against: {name}": {"float": accuracy(plain, moved), "8 bits": accuracy(rounded, moved)} for name, moved in images_against.items()}
plots.matrix(table, "accuracy of", "images")

# %% [markdown]
# *What is seen: a table of three rows and two columns. The row of images made against the 8 bits directly is dark: nearly all are right. The other
# two rows are equally pale, in both columns.*
#
# **Question.** Take the claim apart: which three observations show that the network of 8 bits is no more robust?
#
# <details><summary>Answer</summary>
#
# Its gradients are 0, so the naive attack only tried its random start. With the gradient of the float path the attack is as strong as against the
# float network. And images made against the float network fool it just as well: an adversary needs no trick at all. Rounding did not remove the
# weakness, it hid the gradient (Athalye et al. 2018). The next section adds an attack that uses no gradient.
#
# </details>
#
# ### Exercise 10: the worst case
# *Difficulty 1 of 5, 4 minutes, 1 point*
#
# **Aim:** with several attacks, which share of the images is right under *every* one?
#
# $$\frac{1}{n} \sum_i \left[ \; correct_{a,i} \text{ for every attack } a \; \right]$$
#
# `correct` is `bool [attacks, n]`: is image i still classified correctly under attack a? The result is a share of all n images, a plain float.
#
# **Predict:** one attack leaves 60 % right, another one 50 %. Between which values is the worst case?
#
# <details><summary>Answer</summary>
#
# Between 10 % and 50 %: it depends on whether they fool the same images. The adversary chooses the attack for each image.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "worst_case_accuracy", "locked": false, "schema_version": 3, "solution": true, "task": false}
def worst_case_accuracy(correct: Bool[Tensor, "attacks n"]) -> float:
    """The share of images that are classified correctly under every attack.

    >>> worst_case_accuracy(torch.tensor([[True, True, False, True], [True, False, True, True]]))
    0.5
    """
    ### BEGIN SOLUTION
    return correct.all(dim=0).double().mean().item()
    ### END SOLUTION


# %%
checks.try_examples(worst_case_accuracy)

# %% nbgrader={"grade": true, "grade_id": "test_worst_case_accuracy", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks.auditing.worst_case_accuracy(worst_case_accuracy)
### BEGIN HIDDEN TESTS
checks.auditing.worst_case_accuracy(worst_case_accuracy, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Now a fair trial, with three attacks on each network: ten steps along the gradient (through the rounding), one step made against
# the float network (transfer), and the *Square attack*, which only calls the network (`lib.square_attack`). Besides, there is a network that was trained on
# attacked images (*adversarial training*, `lib.adversarial_training`: the same training loop, with PGD inside), and what pruning and rounding make of it.

# %% tags=["nbval-ignore-output"]
hardening = digits.TrainingConfig(epochs=20, batch_size=64, learning_rate=1e-2, weight_decay=0.0)
hardened, _ = lib.adversarial_training(
    digits.small_network(0, 64), small.train.images, small.train.labels, lib.TrainingAttack(eps=EPS, step=EPS / 2, steps=3), hardening
)


def prune(network: nn.Module) -> nn.Module:
    return pruning.prune_model(network, pruning.PruningConfig(sparsity=0.7)).model.eval()


networks = {
    "float": plain,
    "8 bits": passing,
    "70 % pruned": prune(plain),
    "adversarially trained": hardened,
    "the same, 70 % pruned": prune(hardened),
    "the same, 4 bits": straight_through(lib.rounded_network(hardened, small.calibration, bits=4, activation_bits=4)),
}


def trial(network: nn.Module, images: Tensor, labels: Tensor, begin: Tensor) -> Tensor:
    """Which images stay right, under each of three attacks? bool [3, n]."""
    tried = [
        pgd(network, images, labels, EPS, EPS / 4, 10, begin),
        fgsm(plain, images, labels, EPS),
        lib.square_attack(network, images, labels, EPS, 60, torch.Generator().manual_seed(0)),
    ]
    return torch.stack([hits(network, moved, labels) for moved in tried])


print("right:                    clean  gradient, transfer, Square   worst case")
for name, network in networks.items():
    found = trial(network, x, y, x + EPS * start)
    each = ", ".join(f"{share:.0%}" for share in found.double().mean(1).tolist())
    print(f"{name:24} {accuracy(network, x):6.1%} {each:>27} {worst_case_accuracy(found):12.1%}")

# %% [markdown]
# **Question.** What does adversarial training cost, and does compression undo it?
#
# <details><summary>Answer</summary>
#
# Compare the clean accuracies: it costs some points on images that nobody attacked, and in training each of the three steps of the attack
# costs one forward and one backward pass more. Pruned and rounded, the hardened network keeps most of its worst-case accuracy here, and the pruned
# plain one gains none. In other studies strong pruning did undo it: measure it for your network.
#
# </details>
#
# ### Exercise 11: a guarantee
# *Difficulty 3 of 5, 9 minutes, 2 points*
#
# **Aim:** a radius within which *no* attack can change the answer.
#
# *Randomized smoothing* asks the network about many noisy copies of an image, with normal noise of standard deviation $\sigma$, and answers what it
# says most often. If the true share of that answer is at least $p$, no change of an L2 length (the root of the sum of the squared changes of the pixels) below
#
# $$radius = \sigma \; \Phi^{-1}(p)$$
#
# alters it; $\Phi^{-1}$ is the quantile of the normal distribution, `NormalDist().inv_cdf` (Cohen et al. 2019). We only know that
# `top_count` of `n` copies agreed, so $p$ is a lower bound: the $p$ for which `top_count` or more of `n` have the probability
# $\alpha$ (one-sided Clopper-Pearson bound); 0 when `top_count` is 0. When $p \le 1/2$ nothing is certified: return 0.0. The result is a plain
# float. `top_count` and `n` count *new* copies: on the copies by which the class was chosen it leads by construction. Given:
# `binomial_tail(top_count, n, p)` is the probability of `top_count` or more successes, and `root(f)` finds where a growing function of a number from 0
# to 1 becomes 0.
#
# **Predict:** all of 1,000 copies agree. Is the radius infinite?
#
# <details><summary>Answer</summary>
#
# No: the true share may be a little below 1. With α = 0.001 the bound is 0.001 to the power of 1/1000.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "certified_radius", "locked": false, "schema_version": 3, "solution": true, "task": false}
def certified_radius(top_count: int, n: int, sigma: float, alpha: float) -> float:
    """sigma * Phi^-1(p), p: the one-sided lower Clopper-Pearson bound of top_count / n; 0.0 when p <= 1/2.

    >>> round(certified_radius(top_count=95, n=100, sigma=0.5, alpha=0.05), 3)  # with 95/100 itself it would be 0.822
    0.634
    >>> certified_radius(top_count=56, n=100, sigma=0.5, alpha=0.05)
    0.0
    """
    ### BEGIN SOLUTION
    p = root(lambda p: binomial_tail(top_count, n, p) - alpha)
    return sigma * NormalDist().inv_cdf(p) if p > 0.5 else 0.0
    ### END SOLUTION


# %%
checks.try_examples(certified_radius)

# %% nbgrader={"grade": true, "grade_id": "test_certified_radius", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.auditing.certified_radius(certified_radius)
### BEGIN HIDDEN TESTS
checks.auditing.certified_radius(certified_radius, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
SIGMA, ALPHA = 0.25, 0.001
noisy, _ = digits.train(digits.small_network(0, 64), small.train.images, small.train.labels, digits.TRAINING, augment=lib.noisy(SIGMA), progress=False)


def radii(network: nn.Module, images: Tensor, labels: Tensor) -> list[float]:
    """For each image the certified radius, -1 when the smoothed network is wrong or abstains (certifies nothing)."""
    generator, found = torch.Generator().manual_seed(0), []
    for image, label in zip(images, labels.tolist(), strict=True):
        chosen = int(lib.noisy_votes(network, image, SIGMA, 100, generator).argmax())
        count = int(lib.noisy_votes(network, image, SIGMA, 1000, generator)[chosen])
        radius = certified_radius(count, 1000, SIGMA, ALPHA)
        found.append(radius if chosen == label and radius > 0 else -1.0)
    return found


distances = [i / 20 for i in range(17)]
certified = {}
print("share right of 60 images       unsmoothed   certified at distance 0   at 0.3")
for name, network in (("trained as usual", plain), ("trained with noise", noisy), ("trained with noise, 70 % pruned", prune(noisy))):
    found = torch.tensor(radii(network, x[:60], y[:60]))
    certified[name] = [(found >= r).double().mean() for r in distances]
    shares = [(found >= r).double().mean().item() for r in (0.0, 0.3)]
    print(f"{name:30} {hits(network, x[:60], y[:60]).double().mean():10.1%} {shares[0]:25.0%} {shares[1]:8.0%}")
plots.curves(distances, certified, "radius (L2 length of the change)", "share certified and right")

# %% [markdown]
# *What is seen: three falling staircases over the radius, which end before 0.8. The networks that were trained with noise lie above the one trained as
# usual.*
#
# **Question.** What does smoothing cost? Why do all lines end, and what does a guarantee not say?
#
# <details><summary>Answer</summary>
#
# An answer costs 1,100 calls of the network, and on some images it abstains or is wrong: compare the share at distance 0. With 1,000 copies the bound cannot come nearer to 1, so no radius can be larger: more copies would extend the lines, by less and less. The guarantee holds with
# probability 1 - α for each image, for changes of this length only. A rotation by ten degrees is a much larger change, and no attack.
#
# </details>
#
# ### How sure is a fooled network?
#
# [Unit 04](../04_calibration/04_calibration.ipynb) asked whether confidence can be trusted: the ECE is the mean gap between confidence and accuracy.
# Under attack? And what would a threshold refuse, set so that it refuses one in twenty of the right answers on clean images?

# %% tags=["nbval-ignore-output"]
print("                                ECE   right   mean   wrong   mean  of these")
print("                                    answers  conf. answers  conf.   refused")
for name, network in (("float", plain), ("8 bits", passing), ("adversarially trained", hardened)):
    for kind, images in (("clean", x), ("attacked", walk(network, EPS))):
        with torch.no_grad():
            p = network(images).softmax(1)
        confidence, answer = p.max(1)
        wrong = answer != y
        ece = calibration.expected_calibration_error(confidence.clamp(max=1), ~wrong)
        if kind == "clean":
            threshold = confidence[~wrong].quantile(0.05)  # refuses one in twenty of the right answers
        refused = (confidence[wrong] < threshold).double().mean()
        print(
            f"{name:21} {kind:8} {ece:.3f} {int((~wrong).sum()):7} {confidence[~wrong].mean():6.2f} "
            f"{int(wrong.sum()):7} {confidence[wrong].mean():6.2f} {refused:9.0%}"
        )

# %% [markdown]
# **Question.** Could a threshold on the confidence catch attacked images?
#
# <details><summary>Answer</summary>
#
# Some: fooled answers are on average less sure than right answers on clean images. But more than half of them pass this threshold, and
# an adversary who knows of it attacks that as well. Calibration holds for images from the source it was fitted on; an adversary is another source.
#
# </details>
#
# ## The numbers, once
#
# Nothing is chosen any more. The test images: every network of the trial, clean and in the worst case, compared in pairs with the float network.

# %% tags=["nbval-ignore-output"]
last, truth_small = small.test.images, small.test.labels
begin = last + EPS * (torch.rand(last.shape, generator=torch.Generator().manual_seed(1)) * 2 - 1)
kept = {}
print("right:                clean  p to float  worst case  interval          p")
for name, network in networks.items():
    clean, found = hits(network, last, truth_small), trial(network, last, truth_small, begin)
    kept[name] = clean, found.all(0)
    low, high = wilson_interval(int(found.all(0).sum()), len(last))
    pairs = [mcnemar(a, b) for a, b in zip(kept[name], kept["float"], strict=True)]
    print(
        f"{name:21} {clean.double().mean():.1%} {pairs[0]:11.2g} {worst_case_accuracy(found):11.1%} "
        f"{100 * low:4.0f} to {high:.0%} {pairs[1]:9.2g}"
    )

# %% [markdown]
# ## What the numbers say
#
# - **Better or luck.** Intervals of two networks on the same images are the wrong yardstick. The discordant images decide, and their number
#   says what can be found at all.
# - **Forgotten.** The more weights were removed, the more a rare class lost, and more than the accuracy said. On the ten large networks the test
#   confirmed damage for single classes (a part of it comes from the extra epoch); on six small ones it did not, although the means pointed there.
# - **What it looks at.** Two attribution methods gave two maps of one network. One kind of map agreed with itself when the network knew nothing. The
#   attribution of the linear model showed a leak that made every score better.
# - **Fooled.** The claim that rounding makes robust came from gradients of 0. Attacked properly, or with images of the float network, the 8 bits lost what the float
#   network lost. Adversarial training helped in the worst case, at a cost on clean images.
# - **Where the techniques lost.** An attack proves weakness, never strength: the worst case is only as bad as the attacks that were tried. The
#   guarantee is small, slow, and about one kind of change. Attributions told us where to ask, and answered nothing alone.
# - **What was not measured.** Attacks that know of the defence, other norms, other seeds of the hardened network, people who judge the maps.

# %% [markdown]
# ## In your own words
#
# Write a paragraph of about 120 words on the accuracy of the attacked networks: is the network of 8 bits harder to attack? In
# a class a person marks it with three points: one for two numbers of the figure, *as they came out on your machine*, each
# with how sure it is; one for a reason that rests on something you computed in this unit; and one for what the figure cannot
# show, and how you would find out.

# %% [markdown] nbgrader={"grade": true, "grade_id": "explain_attack", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# Two accuracies on the same images, with their paired interval. The gradient of a rounded layer is zero, so an attack that
# follows it stands still and seems weak; with the straight-through gradient of this unit it is strong again. A stronger
# attack, or one made for this network, is not shown; I would try both before I believe in a defence.
# ### END SOLUTION

# %% [markdown]
# ## Five questions

# %% jupyter={"source_hidden": true} tags=["widget", "nbval-ignore-output"]
widgets.quiz(
    [
        widgets.Question(
            "Two networks, the same 1,000 images: 40 are right for the first only, 10 for the second only. What decides?",
            ("the intervals of the two accuracies", "the 40 and the 10", "the number of images"),
            1,
            "Only discordant images say who is better. All others are the same for both.",
        ),
        widgets.Question(
            "Six dense and six pruned networks have 30 exemplars. What do you ask first?",
            ("how many exemplars two groups of dense networks have", "how sparse the networks are", "what the accuracy is"),
            0,
            "Seeds alone make populations differ. Only what goes beyond it is due to compression.",
        ),
        widgets.Question(
            "A heat map looks the same after all weights were replaced by random ones. What does it explain?",
            ("the network", "the image", "the training data"),
            1,
            "It does not depend on the network, so it cannot explain it. It shows the image.",
        ),
        widgets.Question(
            "An attack leaves 97 % of the images of a quantized network right. What do you check?",
            ("whether its gradients are 0", "whether eps is small enough", "nothing: it is robust"),
            0,
            "Then try straight-through, transfer, and an attack without gradients.",
        ),
        widgets.Question(
            "Attack A leaves 60 % right, attack B 55 %. The worst-case accuracy is",
            ("57.5 %", "55 %", "55 % or less"),
            2,
            "They may fool different images. Count the images that are right under both.",
        ),
    ]
)

# %% [markdown]
# ## Papers
#
# - McNemar 1947, *Note on the Sampling Error of the Difference Between Correlated Proportions*: exercise 1.
# - Hooker, Courville, Clark, Dauphin, Frome 2019, *What Do Compressed Deep Neural Networks Forget?*: exercises 2 and 3.
# - Hooker, Moorosi, Clark, Bengio, Denton 2020, *Characterising Bias in Compressed Models*: rare classes pay.
# - Sundararajan, Taly, Yan 2017, *Axiomatic Attribution for Deep Networks*: exercise 4.
# - Zeiler, Fergus 2014, *Visualizing and Understanding Convolutional Networks*: exercise 5.
# - Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim 2018, *Sanity Checks for Saliency Maps*: the random layers.
# - Lundberg, Lee 2017, *A Unified Approach to Interpreting Model Predictions*: Shapley values.
# - Szegedy et al. 2014, *Intriguing Properties of Neural Networks*; Goodfellow, Shlens, Szegedy 2015, *Explaining and Harnessing Adversarial
#   Examples*: exercise 7.
# - Madry, Makelov, Schmidt, Tsipras, Vladu 2018, *Towards Deep Learning Models Resistant to Adversarial Attacks*: exercise 8.
# - Athalye, Carlini, Wagner 2018, *Obfuscated Gradients Give a False Sense of Security*: exercise 9.
# - Andriushchenko, Croce, Flammarion, Hein 2020, *Square Attack*.
# - Cohen, Rosenfeld, Kolter 2019, *Certified Adversarial Robustness via Randomized Smoothing*: exercise 11.
#
# ## If you want more
#
# 1. **Another ball.** `lib.pgd_l2` attacks with changes of a bounded L2 length. Compare what it finds with the certified radii.
# 2. **Another map.** `lib.grad_cam` and `lib.smooth_grad`: do they pass the test of the random layers?
# 3. **Fewer bits.** Make the rounded network of 4 and 3 bits. Does the naive attack look even weaker?
# 4. **A stronger claim.** Adversarial training with `steps=1`: is the network still robust against ten steps?
# 5. **A balanced class.** Train the populations with all eights. Which class is damaged most now?
#
# Words of this unit in the glossary: [McNemar's test](../glossary.md#mcnemar-s-test), [compression-identified
# exemplar](../glossary.md#compression-identified-exemplar), [attribution](../glossary.md#attribution), [integrated
# gradients](../glossary.md#integrated-gradients), [Shapley value](../glossary.md#shapley-value), [adversarial
# example](../glossary.md#adversarial-example), [adversarial attack](../glossary.md#adversarial-attack), [adversarial
# training](../glossary.md#adversarial-training), [hidden gradient](../glossary.md#hidden-gradient), [randomized
# smoothing](../glossary.md#randomized-smoothing), [interpretability](../glossary.md#interpretability).
