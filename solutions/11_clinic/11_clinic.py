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
# # 11 Clinic: a run that finishes and looks healthy. Is it?
#
# A program that crashes tells you so. A training run that is wrong does not: the loss falls, a number comes out, and nobody asks. The
# network that is evaluated is not the one that was compressed, a test image was among the training images, one layer never learned.
# Such mistakes are *silent failures*. People who repair them do not stare at the code. They measure.
#
# **The question.** Which measurement finds what a log hides? You write nine *instruments*, each a few lines long. Then twelve patients
# come to your ward: small runs of this course's own subjects. Some of them are healthy.
#
# **You need** Python and PyTorch (modules, `state_dict`, gradients). The patients come from units 01 to 04, so these help.
#
# **How it works.** There are nine exercises; the unit takes about 195 minutes, of which the ward takes 90: a good place for a break is before it.
# Replace `raise NotImplementedError` with your lines; the course's own answers have at most six. The cell right below tries the
# examples of the docstring. The next one checks your function on many more calls and says in a sentence what is wrong. Run both as
# often as you like. The figures use *your* functions, so they show your work.
# Results may lie in memory in any order (contiguous or not).
# The library has such functions too (`posttrain_lab.clinic`); a check does not let you call them, so write your own.
# In a terminal, `posttrain-lab check 11` shows your points. The [glossary](../glossary.md) explains the terms of the field.

# %% tags=["setup"]
import copy
import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab import checks, clinic, data, metrics, widgets
from posttrain_lab.clinic.subjects import (  # noqa: F401 (some patients need them)
    Examples,
    answers,
    badly_lit,
    drawn,
    ece,
    fit,
    hits,
    mlp,
    optimizer_of,
    seeded,
    state,
    trained,
    turned,
    weight,
)
from posttrain_lab.metrics import evaluating, wilson_interval
from posttrain_lab.plots import auditing as curve_plots
from posttrain_lab.plots import clinic as plots
from posttrain_lab.quantization import PerChannel, fake_quantize_weight, fold_model

torch.set_num_threads(1)  # one thread: sums come out the same at every run
torch.manual_seed(0)
names = data.load_fashion().train.classes


def take_step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step of an optimizer on this loss (exercise 8)."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# %% [markdown]
# ## Part 1: is the number what it says?
#
# The subject of most patients is a small network for clothes of 14 x 14 pixels. One is trained here, in about a second. `train`, `new` and
# `test` are disjoint parts of the data.

# %% tags=["nbval-ignore-output"]
model, log, train, new, test = trained(0)
print("mean loss of each epoch:", " ".join(f"{loss:.3f}" for loss in log))
print(f"accuracy on {len(test.y)} test images: {hits(model, test):.1%}")

# %% [markdown]
# ### Exercise 1: for whom is it right?
# *Difficulty 1 of 5, 7 minutes, 2 points*
#
# **Aim:** give the accuracy in each group, with its interval.
#
# A single accuracy is a mean, and a mean hides. A group may be a class, the source of an image, or the people for whom a value was missing:
# `groups` holds any whole numbers. The result is `{group: (hits, n, low, high)}` for the groups that occur: how many answers are right, how
# many examples the group has, and Wilson's 95 % interval, `wilson_interval(hits, n)`. An answer is the class with the largest logit;
# of equal ones it is the lower class, as `argmax` does it. Keys are whole numbers (`int`), hits and n too. `logits` is `float [n, c]`,
# `labels` and `groups` are `int64 [n]`.
#
# **Predict:** a group has 10 examples, and 9 of them are right. Another has 1,000, and 850 are right. For which are you surer?
#
# <details><summary>Answer</summary>
#
# For the second. 9 of 10 can come from a group in which 60 % would be right; the interval says so.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "group_report", "locked": false, "schema_version": 3, "solution": true, "task": false}
def group_report(
    logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"], groups: Int[Tensor, " n"]
) -> dict[int, tuple[int, int, float, float]]:
    """In each group: how many are right, of how many, and Wilson's 95 % interval.

    >>> logits = torch.tensor([[2.0, 1.0], [0.0, 3.0], [1.0, 1.0]])
    >>> report = group_report(logits, torch.tensor([0, 1, 1]), torch.tensor([5, 5, 2]))
    >>> {group: (hits, n) for group, (hits, n, low, high) in report.items()}  # the tie goes to class 0
    {2: (0, 1), 5: (2, 2)}
    """
    ### BEGIN SOLUTION
    right, report = logits.argmax(dim=1) == labels, {}
    for group in groups.unique().tolist():
        hits, n = int(right[groups == group].sum()), int((groups == group).sum())
        report[group] = (hits, n, *wilson_interval(hits, n))
    return report
    ### END SOLUTION

# %%
checks.try_examples(group_report)

# %% nbgrader={"grade": true, "grade_id": "test_group_report", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.clinic.group_report(group_report)
### BEGIN HIDDEN TESTS
checks.clinic.group_report(group_report, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
by_class = group_report(answers(model, test.x), test.y, test.y)
shares = {names[label]: hits / n for label, (hits, n, _, _) in by_class.items()}
print("worst class:", min(shares, key=shares.get), f"{min(shares.values()):.0%}")
plots.shares({names[label]: found for label, found in by_class.items()}, hits(model, test))

# %% [markdown]
# *What is seen: for each kind of clothes a dot with its interval, and a dotted line at the accuracy of all. Bags, trousers and shoes lie right of
# it; the shirt lies far to the left.*
#
# **Question.** The accuracy of a second network is a point higher. What would you ask first?
#
# <details><summary>Answer</summary>
#
# For whom. A network can gain on easy classes what it loses on the worst one. Patients 1 to 4 below have code that you can read,
# and for some of them this report is all it takes.
#
# </details>
#
# ### Exercise 2: are the parts disjoint?
# *Difficulty 3 of 5, 10 minutes, 3 points*
#
# **Aim:** find the share of a part that has a *near copy* in the training images.
#
# A test image that was learned by heart is no test. Exact copies are found by comparing; but copies are shifted, compressed and
# brightened before anybody splits the data. An image $b$ of `other` has a near copy when
#
# $$\min_{a, \, s} \; \lVert s(b) - a \rVert < tolerance \cdot \lVert b \rVert$$
#
# over all images $a$ of `train` and all 25 shifts $s$ by up to 2 pixels in each direction, around the edges: `images.roll((dy, dx), (2, 3))`.
# Norms are Euclidean, over all channels and pixels. `train` is `float [n, c, h, w]`, `other` is `float [m, c, h, w]`; the result is the share
# of `other`, a plain float. `torch.cdist(rows, others)` gives all distances between rows.
#
# **Predict:** would you expect exactly 0 between two honest parts of clothes?
#
# <details><summary>Answer</summary>
#
# Nearly. Some trousers look alike at 14 x 14 pixels. So compare with what honest parts give, as in the figure.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "leak_check", "locked": false, "schema_version": 3, "solution": true, "task": false}
def leak_check(train: Float[Tensor, "n c h w"], other: Float[Tensor, "m c h w"], tolerance: float = 0.15) -> float:
    """The share of `other` that has a near copy in `train`, shifted by up to 2 pixels.

    >>> images = torch.rand(20, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    >>> leak_check(images[:10], torch.cat([images[10:], images[:2].roll(1, 3)]))  # two of twelve
    0.16666666666666666
    """
    ### BEGIN SOLUTION
    limit, rows = tolerance * other.flatten(1).norm(dim=1), train.flatten(1)
    near = torch.zeros(len(other), dtype=torch.bool)
    for shift in [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]:
        near |= torch.cdist(other.roll(shift, (2, 3)).flatten(1), rows).amin(dim=1) < limit
    return near.double().mean().item()
    ### END SOLUTION

# %%
checks.try_examples(leak_check)

# %% nbgrader={"grade": true, "grade_id": "test_leak_check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.clinic.leak_check(leak_check)
### BEGIN HIDDEN TESTS
checks.clinic.leak_check(leak_check, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
some, honest = train.x[:500], new.x[:100]
moved = some[:30].roll((1, -1), (2, 3)) + 0.05 * torch.randn(30, 1, 14, 14, generator=seeded(0))
leaking = torch.cat([honest[:70], moved])
tolerances = [0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
lines = {name: [leak_check(some, part, t) for t in tolerances] for name, part in (("honest", honest), ("30 of 100 are moved copies", leaking))}
curve_plots.curves(tolerances, lines, "tolerance", "share with a near copy")

# %% [markdown]
# *What is seen: two rising lines. Up to a tolerance of about 0.2 the honest part stays near 0, and the other jumps to about a third as soon as the
# tolerance exceeds the noise of the copies.*
#
# **Question.** Why not take a tolerance of 0.5, to be on the safe side?
#
# <details><summary>Answer</summary>
#
# Then honest clothes count as copies of each other: the instrument alarms for everybody. A threshold is right where the two lines are
# far apart.
#
# </details>
#
# ### Exercise 3: does an answer depend on its company?
# *Difficulty 2 of 5, 7 minutes, 2 points*
#
# **Aim:** by how much does a logit change when the same examples come in other company?
#
# What a network says about an image must not depend on the other images of the batch. A batch norm in *train* mode uses the statistics of
# the batch, dropout draws anew, and a random transform may sit in the pipeline. Ask for the whole batch, then for its quarters,
# `x.chunk(4)`, and put these together again:
#
# $$company = \max_{i, c} \; \lvert \; model(x)_{i c} - model(quarters)_{i c} \; \rvert$$
#
# The model answers *in the mode that it is in*, that is the question; and it is left as it was, its statistics too, so ask a copy
# (`copy.deepcopy`). `x` has at least 8 examples; the result is a plain float, 0 but for rounding when all is well.
#
# **Predict:** someone evaluates with batches of 500 and forgot `model.eval()`. How wrong is the accuracy?
#
# <details><summary>Answer</summary>
#
# Often by little, when the batch looks like the training data. With batches of one class, or of one image, it is another number. The
# next cell shows it.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "company", "locked": false, "schema_version": 3, "solution": true, "task": false}
def company(model: nn.Module, x: Shaped[Tensor, "n ..."]) -> float:
    """The largest change of a logit when the batch is cut into quarters. The model answers in its mode and is left as it was.

    >>> company(nn.Linear(3, 2), torch.ones(8, 3)) < 1e-6
    True
    >>> company(nn.BatchNorm1d(3).train(), torch.arange(24.0).reshape(8, 3)) > 1
    True
    """
    ### BEGIN SOLUTION
    model = copy.deepcopy(model)
    with torch.no_grad():
        together, parted = model(x), torch.cat([model(part) for part in x.chunk(4)])
    return (together - parted).abs().max().item()
    ### END SOLUTION

# %%
checks.try_examples(company)

# %% nbgrader={"grade": true, "grade_id": "test_company", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.clinic.company(company)
### BEGIN HIDDEN TESTS
checks.clinic.company(company, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
def with_norm_in_train_mode(place: int) -> nn.Module:
    """The network in eval mode, but for one batch norm."""
    other = copy.deepcopy(model)
    other[place].train()
    return other


kinds = {"eval mode": model, "first norm in train mode": with_norm_in_train_mode(1), "second norm in train mode": with_norm_in_train_mode(5)}
mixed, by_label = torch.arange(len(test.y)), test.y.argsort(stable=True)
for name, network in kinds.items():
    said = (answers(network, test.x[order], batch=50) for order in (mixed, by_label))
    first, second = (metrics.accuracy(z, test.y[order]) for z, order in zip(said, (mixed, by_label), strict=True))
    print(f"{name:26} accuracy, images mixed {first:.1%}, sorted by class {second:.1%}")
plots.sizes({"": {name: company(network, test.x[:200]) for name, network in kinds.items()}}, "largest change of a logit")

# %% [markdown]
# *What is seen: three dots on a logarithmic axis. In eval mode nothing changes but rounding; with one norm in train mode a logit changes by half a unit and more.*
#
# **Question.** The accuracy on mixed images hardly moves. Is the mistake harmless?
#
# <details><summary>Answer</summary>
#
# No. The same network on the same images, sorted by class, loses points, and which depends on the order. Whoever deploys it sends one image at a time.
#
# </details>
#
# ## Part 2: what has moved, and is it still the same network?
#
# ### Exercise 4: what has moved?
# *Difficulty 1 of 5, 7 minutes, 2 points*
#
# **Aim:** compare two states of a network, entry by entry.
#
# "Everything is frozen but the head" is a claim. The state says whether it holds. For every entry of `state_dict()`, the *buffers* too
# (statistics and counters of batch norms):
#
# $$change = \lVert after - before \rVert \; / \; \lVert before \rVert$$
#
# Euclidean norms in `float64`: convert before you subtract, because bytes wrap around. What has not moved has 0, also where it was 0; where
# 0 became something else the change is infinite, `float("inf")`; where a NaN is, it is NaN. Both dicts have the same names, in any order,
# and the same shapes. The results are plain floats.
#
# **Predict:** all parameters of a network are frozen with `requires_grad_(False)`, and it is trained in train mode. Which entries move?
#
# <details><summary>Answer</summary>
#
# `running_mean`, `running_var` and `num_batches_tracked` of every batch norm. They are not parameters, so no gradient is needed.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "state_difference", "locked": false, "schema_version": 3, "solution": true, "task": false}
def state_difference(before: dict[str, Tensor], after: dict[str, Tensor]) -> dict[str, float]:
    """The relative change of every entry of a state: 0 where nothing moved, infinite where 0 became something else.

    >>> state_difference({"mean": torch.tensor([3.0, 4.0])}, {"mean": torch.tensor([3.0, 5.0])})
    {'mean': 0.2}
    >>> state_difference({"steps": torch.tensor(0), "bias": torch.zeros(2)}, {"steps": torch.tensor(3), "bias": torch.zeros(2)})
    {'steps': inf, 'bias': 0.0}
    """
    ### BEGIN SOLUTION
    report = {}
    for name, old in before.items():
        moved, size = (after[name].double() - old.double()).norm().item(), old.double().norm().item()
        report[name] = 0.0 if moved == 0 else moved / size if size > 0 else moved * float("inf")
    return report
    ### END SOLUTION

# %%
checks.try_examples(state_difference)

# %% nbgrader={"grade": true, "grade_id": "test_state_difference", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.clinic.state_difference(state_difference)
### BEGIN HIDDEN TESTS
checks.clinic.state_difference(state_difference, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
def adapted(freeze: Callable[[nn.Sequential], object]) -> nn.Sequential:
    """The network with a new head for badly lit clothes."""
    network = copy.deepcopy(model).requires_grad_(False)
    network[9].requires_grad_(True)
    freeze(network)
    fit(network, badly_lit(new.first(300)), optimizer_of(network, lr=1e-2), epochs=8)
    return network


runs = {"all in train mode": adapted(lambda network: network.train()), "norms in eval mode": adapted(lambda network: network.eval())}
moved = {}
for name, network in runs.items():
    old = nn.Sequential(*network[:-1], model[-1])  # the old head on the body as it is now
    print(f"{name:18} accuracy, new lamp {hits(network, badly_lit(test)):.1%}, old lamp with the old head {hits(old, test):.1%}")
    changes = state_difference(state(model), state(network))
    moved[name] = {entry: change for entry, change in changes.items() if "batches" not in entry}
plots.sizes(moved, "relative change")

# %% [markdown]
# *What is seen: one row for each entry, dots on a logarithmic axis. The weights of the body are at 0 in both runs, and the head has moved in both. The
# running means and variances moved in one run only.*
#
# **Question.** The run with moving statistics shows the better accuracy under the new lamp. Why may it be the worse run?
#
# <details><summary>Answer</summary>
#
# The statistics fit the new lamp, and the old task is served by the same body. What is gained here is paid there, and the log shows one side only.
#
# </details>
#
# ### Exercise 5: do two networks compute the same?
# *Difficulty 1 of 5, 7 minutes, 2 points*
#
# **Aim:** give the largest difference of the logits of two networks that should be one.
#
# A merge of LoRA, a folded batch norm, channels cut away, a copy in another format, a cache: after each of them the network has another form and
# must still compute the same.
#
# $$gap = \max_{i, c} \; \lvert \; a(x)_{i c} - b(x)_{i c} \; \rvert$$
#
# Both answer in *eval mode*; afterwards each is in the mode in which it was (`with evaluating(model):` does both). The result is a plain
# float, and infinite when an answer is NaN: NaN is never above a limit, so a check against a limit would let it pass.
#
# **Predict:** two networks give the same class on all of 1,000 images. Are they the same?
#
# <details><summary>Answer</summary>
#
# Perhaps not. A small error changes few classes. It shows in the logits at once.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "same_answers", "locked": false, "schema_version": 3, "solution": true, "task": false}
def same_answers(a: nn.Module, b: nn.Module, x: Shaped[Tensor, "n ..."]) -> float:
    """The largest difference between the logits of two networks, both in eval mode; infinite when one of them says NaN.

    >>> layer = nn.Linear(3, 2)
    >>> same_answers(layer, layer, torch.ones(4, 3))
    0.0
    >>> same_answers(layer, nn.Linear(3, 2).requires_grad_(False), torch.full((1, 3), float("nan")))
    inf
    """
    ### BEGIN SOLUTION
    with torch.no_grad(), evaluating(a), evaluating(b):
        gap = (a(x) - b(x)).abs().max().item()
    return math.inf if math.isnan(gap) else gap
    ### END SOLUTION

# %%
checks.try_examples(same_answers)

# %% nbgrader={"grade": true, "grade_id": "test_same_answers", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.clinic.same_answers(same_answers)
### BEGIN HIDDEN TESTS
checks.clinic.same_answers(same_answers, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
def rounded(network: nn.Sequential, bits: int) -> nn.Sequential:
    """A copy whose weights lie on a grid of this many bits."""
    small = copy.deepcopy(network)
    for layer in (0, 4, 9):
        weight(small, str(layer)).data = fake_quantize_weight(weight(network, str(layer)).detach(), bits, PerChannel())
    return small


copies = {"batch norm folded": fold_model(model), **{f"weights of {bits} bits": rounded(model, bits) for bits in (8, 4, 3)}}
for name, network in copies.items():
    agree = (answers(network, test.x).argmax(1) == answers(model, test.x).argmax(1)).double().mean()
    print(f"{name:18} the same class on {agree:.1%} of the test images")
plots.sizes({"": {name: same_answers(model, network, test.x[:500]) for name, network in copies.items()}}, "largest difference of a logit")

# %% [markdown]
# *What is seen: four dots on a logarithmic axis. The folded network differs by rounding, a hundred thousand times less than the network of 8 bits.*
#
# **Question.** The network of 8 bits gives nearly always the same class. Which limit would you set for a fold, and which for 8 bits?
#
# <details><summary>Answer</summary>
#
# For a fold: rounding, here 1e-4 is generous. For 8 bits there is no such limit: the copy is another network on purpose, and its accuracy
# must be compared.
#
# </details>
#
# ### Exercise 6: on which grid does a weight lie?
# *Difficulty 2 of 5, 9 minutes, 2 points*
#
# **Aim:** find out from the weights alone whether the pruned or quantized copy is the one that is used.
#
# Look at the slices of a weight along `axis` (0: one slice for each output); `weight.movedim(axis, 0).flatten(1)` has one in each row. The result is
#
# - the share of all weights that are exactly 0,
# - the most different numbers that one slice has (with b symmetric bits there are at most $2^b - 1$),
# - the share of all weights *at the top*: not 0, and with a magnitude within one part in a million of the largest of their slice.
#
# The first and the last are plain floats, the second is an `int`. `weight` is a float tensor of two or more axes.
#
# **Predict:** a scale was taken before batch norm was folded into the weight, and is ten times too small. Which of the three tells?
#
# <details><summary>Answer</summary>
#
# The last. Most weights are cut off at the largest code, so they crowd at the top. A healthy slice has one or two there.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "grid_report", "locked": false, "schema_version": 3, "solution": true, "task": false}
def grid_report(weight: Float[Tensor, "*shape"], axis: int = 0) -> tuple[float, int, float]:
    """The share of zeros, the most different numbers in a slice along `axis`, and the share at the top of its slice.

    >>> grid_report(torch.tensor([[0.0, 0.5, -1.0, 1.0], [0.1, 0.2, 0.3, 0.4]]))
    (0.125, 4, 0.375)
    """
    ### BEGIN SOLUTION
    slices = weight.movedim(axis, 0).flatten(1)
    sizes = slices.abs()
    top = (sizes >= (1 - 1e-6) * sizes.amax(dim=1, keepdim=True)) & (sizes > 0)
    most = max(len(row.unique()) for row in slices)
    return (slices == 0).double().mean().item(), most, top.double().mean().item()
    ### END SOLUTION

# %%
checks.try_examples(grid_report)

# %% nbgrader={"grade": true, "grade_id": "test_grid_report", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.clinic.grid_report(grid_report)
### BEGIN HIDDEN TESTS
checks.clinic.grid_report(grid_report, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
layer = weight(model, "4").detach()
step = fake_quantize_weight(layer, 4, PerChannel()).flatten(1).abs().amax(1) / 7
cut_off = (layer / (step / 4).view(-1, 1, 1, 1)).round().clamp(-7, 7) * (step / 4).view(-1, 1, 1, 1)
kinds = {
    "as it was learned": layer,
    "80 % pruned": layer * (layer.abs() >= layer.abs().flatten().quantile(0.8)),
    "4 bits": fake_quantize_weight(layer, 4, PerChannel()),
    "4 bits, scale 4 times too small": cut_off,
}
print(f"{'weight of layer 4':33} zeros  values  at the top")
for name, values in kinds.items():
    zeros, most, top = grid_report(values)
    print(f"{name:33} {zeros:5.0%} {most:7} {top:11.0%}")

# %% [markdown]
# **Question.** Somebody shows a network "at 4 bits" whose layers have 72 values in a slice. What happened?
#
# <details><summary>Answer</summary>
#
# The float copy is in use: a slice of this layer has 72 weights, and all are different. The rounded copy was made, and then left aside.
#
# </details>
#
# ## Part 3: does it learn?
#
# ### Exercise 7: which parameters does the loss reach?
# *Difficulty 2 of 5, 9 minutes, 2 points*
#
# **Aim:** give for every parameter how strongly this loss pulls at it, and whether it learns.
#
# A rounding without a straight-through gradient, two factors of LoRA that both begin at 0, a `detach()` in a penalty: the loss of the others goes
# down, and nobody notices that one part stands still. For every parameter:
#
# $$\{name: (\; \lVert \partial loss / \partial w \rVert \; / \; \max(\lVert w \rVert, 10^{-12}), \; learns \;)\}$$
#
# *learns* is `requires_grad`. A frozen parameter, one on which the loss does not depend, and every parameter of a loss without any gradient
# (`loss.requires_grad` is false) has 0.0. Use `torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)`: it gives `None` for what
# is not reached, leaves `.grad` alone (an earlier `backward()` may have left something there), and `loss.backward()` still works afterwards.
# The gradient of a loss stays what it is when the value of the loss is rounded.
#
# **Predict:** why relative to the norm of the weight?
#
# <details><summary>Answer</summary>
#
# A gradient of 0.01 is much for a bias of 0.001, and nothing for a weight of norm 100. Relative sizes can be compared between layers.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "gradient_report", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gradient_report(model: nn.Module, loss: Float[Tensor, ""]) -> dict[str, tuple[float, bool]]:
    """For every parameter: the norm of its gradient relative to its own norm, and whether it learns.

    >>> layer = nn.Linear(2, 1)
    >>> layer.bias = nn.Parameter(torch.ones(1), requires_grad=False)
    >>> layer.weight.data = torch.tensor([[3.0, 4.0]])
    >>> gradient_report(layer, layer(torch.tensor([[0.6, 0.8]])).sum())  # a gradient of norm 1, a weight of norm 5
    {'weight': (0.2, True), 'bias': (0.0, False)}
    """
    ### BEGIN SOLUTION
    live = [p for p in model.parameters() if p.requires_grad and loss.requires_grad]
    found = torch.autograd.grad(loss, live, allow_unused=True, retain_graph=True) if live else []
    norms = {id(p): g.norm().item() for p, g in zip(live, found, strict=True) if g is not None}
    return {
        name: (norms.get(id(p), 0.0) / max(p.norm().item(), 1e-12), p.requires_grad) for name, p in model.named_parameters()
    }
    ### END SOLUTION

# %%
checks.try_examples(gradient_report)

# %% nbgrader={"grade": true, "grade_id": "test_gradient_report", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.clinic.gradient_report(gradient_report)
### BEGIN HIDDEN TESTS
checks.clinic.gradient_report(gradient_report, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
class Rounded(nn.Module):
    """A convolution whose weight is rounded; the gradient passes straight through, or not at all."""

    def __init__(self, inner: nn.Conv2d, straight: bool) -> None:
        super().__init__()
        self.inner, self.straight = inner, straight

    def forward(self, x: Tensor) -> Tensor:
        w = self.inner.weight
        on_grid = fake_quantize_weight(w, 2, PerChannel())
        return F.conv2d(x, w + (on_grid - w).detach() if self.straight else on_grid.detach(), padding=1)


reports = {}
for name, straight in (("straight through", True), ("no gradient", False)):
    network = copy.deepcopy(model)
    network[0], network[4] = Rounded(network[0], straight), Rounded(network[4], straight)
    report = gradient_report(network, F.cross_entropy(network(train.x[:100]), train.y[:100]))
    reports[name] = {parameter: size for parameter, (size, _) in report.items()}
plots.sizes(reports, "gradient relative to the weight")

# %% [markdown]
# *What is seen: a row for each parameter. Where the gradient passes straight through, all have a size. Without it, the weights of both convolutions
# stand at 0, and all other parameters look alive.*
#
# **Question.** Would the loss of the run without gradient fall?
#
# <details><summary>Answer</summary>
#
# Yes: batch norms and head learn. That is why the log does not warn.
#
# </details>
#
# ### Exercise 8: can it learn one batch by heart?
# *Difficulty 2 of 5, 9 minutes, 3 points*
#
# **Aim:** find out whether loss, labels and gradients belong together.
#
# A network with thousands of weights can learn a few images by heart. If it cannot, something is wrong that no learning rate repairs. Take
# a *copy* of the model, in train mode, and an Adam optimizer (`torch.optim.Adam`) with this `lr` over the parameters that learn; what is frozen stays frozen. Then,
# `steps` times: compute `loss_of(model(x), y)` on the whole batch, and take one step. The result is the *smallest* of these `steps` losses, a plain
# float; the loss after the last step is not computed. The given model stays as it was. `take_step(optimizer, loss)` of the first cell does what
# every step does: clear the gradients, compute those of this loss, move.
#
# **Predict:** a colleague applies softmax and then `cross_entropy`, which applies it again. How far can the loss fall with ten classes?
#
# <details><summary>Answer</summary>
#
# To $\ln(e + 9) - 1 = 1.46$: a probability is at most 1, so the right "logit" is 1 and the others are 0. A floor that high is a sign.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "overfit_one_batch", "locked": false, "schema_version": 3, "solution": true, "task": false}
def overfit_one_batch(
    model: nn.Module,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    x: Shaped[Tensor, "n ..."],
    y: Int[Tensor, " n"],
    steps: int = 100,
    lr: float = 1e-2,
) -> float:
    """The smallest of `steps` losses of one batch, which a copy of the model learns with Adam, in train mode.

    >>> x, y = torch.eye(4), torch.arange(4)
    >>> overfit_one_batch(nn.Linear(4, 4), F.cross_entropy, x, y, steps=200, lr=0.1) < 0.05
    True
    """
    ### BEGIN SOLUTION
    twin, losses = copy.deepcopy(model).train(), []
    optimizer = torch.optim.Adam([p for p in twin.parameters() if p.requires_grad], lr=lr)
    for _ in range(steps):
        losses.append(loss := loss_of(twin(x), y))
        take_step(optimizer, loss)
    return min(losses).item()
    ### END SOLUTION

# %%
checks.try_examples(overfit_one_batch)

# %% nbgrader={"grade": true, "grade_id": "test_overfit_one_batch", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.clinic.overfit_one_batch(overfit_one_batch)
### BEGIN HIDDEN TESTS
checks.clinic.overfit_one_batch(overfit_one_batch, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
few = train.first(40)
twice = Examples(few.x.repeat(2, 1, 1, 1), torch.cat([few.y, (few.y + 1) % 10]))  # each image with two labels
wrong = {
    "all is well": (F.cross_entropy, few),
    "softmax taken twice": (lambda z, y: F.cross_entropy(z.softmax(1), y), few),
    "each image has two labels": (F.cross_entropy, twice),
}
steps = [1, 3, 10, 30, 60]
lines = {
    name: [overfit_one_batch(drawn(mlp, 0), loss_of, part.x, part.y, steps=n) for n in steps] for name, (loss_of, part) in wrong.items()
}
curve_plots.curves(steps, lines, "steps", "smallest loss")

# %% [markdown]
# *What is seen: three falling lines. One goes to 0; softmax taken twice stays above about 1.5, and images with two labels above about 0.7.*
#
# **Question.** Where does the second floor come from?
#
# <details><summary>Answer</summary>
#
# With two labels for one image, half and half is the best answer: $\ln 2 = 0.69$. The number of a floor often names its cause.
#
# </details>
#
# ## Part 4: what was measured?
#
# ### Exercise 9: how much work was done?
# *Difficulty 2 of 5, 8 minutes, 2 points*
#
# **Aim:** count how many examples go through a network while something is measured.
#
# A clock measures whatever runs: one call or a hundred, an answer that was remembered, one network with 64 images at once and the other with one.
# Register a *forward hook* on the model (`model.register_forward_hook(f)`, which calls `f(module, inputs, output)` after every call), run `work()` once, and
# add the rows of all outputs, `len(output)`. Layers inside the model do not count by themselves. Afterwards the hook is gone
# (`hook.remove()`), also when `work()` raises; its error comes through. A hook is a context, too: `with model.register_forward_hook(f):` removes it at
# the end of the block. The result is a plain `int`.
#
# **Predict:** where must `hook.remove()` stand, so that it runs in any case?
#
# <details><summary>Answer</summary>
#
# In the `finally` of a `try`, which is what `with` does. Else a work that fails leaves its hook behind, and the next measurement counts twice.
#
# </details>

# %% nbgrader={"grade": false, "grade_id": "count_calls", "locked": false, "schema_version": 3, "solution": true, "task": false}
def count_calls(model: nn.Module, work: Callable[[], object]) -> int:
    """How many examples go through the model while work() runs? The hook is gone afterwards, also after an error.

    >>> layer = nn.Linear(3, 2)
    >>> count_calls(layer, lambda: [layer(torch.ones(5, 3)) for _ in range(4)])
    20
    """
    ### BEGIN SOLUTION
    rows = []
    with model.register_forward_hook(lambda module, inputs, output: rows.append(len(output))):
        work()
    return sum(rows)
    ### END SOLUTION

# %%
checks.try_examples(count_calls)

# %% nbgrader={"grade": true, "grade_id": "test_count_calls", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.clinic.count_calls(count_calls)
### BEGIN HIDDEN TESTS
checks.clinic.count_calls(count_calls, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
remembered = {}


def cached(x: Tensor) -> Tensor:
    """Answers from memory when it has seen these very images."""
    key = x.data_ptr()
    if key not in remembered:
        remembered[key] = model(x)
    return remembered[key]


one = test.x[:1]
works = {
    "100 calls, one image": lambda: [model(one) for _ in range(100)],
    "100 calls with a cache": lambda: [cached(one) for _ in range(100)],
    "100 calls, 64 images": lambda: [model(test.x[:64]) for _ in range(100)],
}
print("what is timed            examples")
for name, work in works.items():
    with torch.no_grad():
        print(f"{name:24} {count_calls(model, work):8}")

# %% [markdown]
# **Question.** The three works take very different times. Which two numbers belong beside each of them?
#
# <details><summary>Answer</summary>
#
# How many examples were computed, and in which batches. A time alone compares nothing.
#
# </details>
#
# ## Part 5: not every bug hurts
#
# Four classics that every list of mistakes names were tried with twelve seeds each: the same run with and without them. The numbers are *shipped* (made by
# `posttrain_lab/making/clinic_runs.py`); what is computed from them is computed now. One of them runs live.
#
# **Predict.** Which of these makes a result worse?

# %% tags=["widget", "nbval-ignore-output"]
widgets.predict(
    "Which of these made the accuracy worse, over twelve seeds?",
    [
        "scales along the inputs instead of the outputs, at 3 bits",
        "a teacher in train mode while it is distilled",
        "ranges calibrated on images of one class",
        "none of them",
    ],
    "Run the next cell.",
)

# %% tags=["nbval-ignore-output"]
print("mistake                                             points (95 % interval)")
for control in clinic.CONTROLS.values():
    change = torch.tensor(clinic.damage(control), dtype=torch.float64) * 100
    half = 2.201 * change.std() / math.sqrt(len(change))  # t, eleven degrees of freedom
    print(f"{control.words:54} {change.mean():+6.1f} ({change.mean() - half:+.1f} to {change.mean() + half:+.1f})")
control = clinic.CONTROLS["wrong_axis"]
shown = [control.run(3, part).shown for part in (control.healthy, control.broken)]
print(f"live, the last one: {shown[0]:.1%} as it should be, {shown[1]:.1%} with the mistake")

# %% [markdown]
# **Question.** Is it a mistake to take the scales along the inputs?
#
# <details><summary>Answer</summary>
#
# By the definition of per-channel weights, yes; here it was better at 3 bits. A bug is a claim about a result: measure it. The others may
# hurt in other networks. Nothing was found here.
#
# </details>
#
# ## Part 6: the ward
#
# Twelve patients wait. Each is a run of this course's subjects that has ended. Which ones, with which data, and what is wrong where is drawn from
# your *token*. About one in four is healthy.
#
# - **Level 1** (patients 1 to 4) shows the whole code and the log.
# - **Level 2** (5 to 8) shows the code, but of one part only its name, its arguments and what it should do.
# - **Level 3** (9 to 12) shows the log alone.
#
# What every run left behind, its *handles*, can be examined: `ward.handles(3)["model"]`. For each patient you give up to three things:
#
# 1. **Evidence**, 1 point: what is asked for at the end of the patient's page, a place or a number, to 2 %.
# 2. **Its name**, 2 points: probabilities for the eight kinds below and `"healthy"`. Being sure and right gives 2, "I do not know" (nine equal ones) gives 0, and
#    being sure and wrong costs 2.5. So say what you believe: $2 \, (1 - d / d_0)$ with $d = \sum_k (p_k - [k \text{ is right}])^2$ and $d_0 = 8/9$ (Brier 1950). The names of all
#    patients count together, and not below 0.
# 3. **A repair**, 2 points: the part, written anew. `ward.part(9)` shows its interface. It is run on data that you have not seen: your instrument
#    must find nothing, and the result must be like those of healthy runs. For a healthy patient hand in none: these 2 points come with the name.
#
# Your functions from above, and everything in the first cell, can be used. `ward.admit(1)` runs a patient (some seconds at most) and prints its page.

# %%
def token() -> str:
    """In a class: return the token that you were given. Alone: keep this one, or take clinic.token_of(clinic.PUBLIC, "your name")."""
    return clinic.token_of(clinic.PUBLIC, clinic.PUBLIC)


ward = clinic.Ward(token())
for kind, words in clinic.KINDS.items():
    print(kind, words)

# %% [markdown]
# A tip for the order: first say what a healthy run would show, then choose the instrument, then look. Add cells of your own wherever you
# like. To say "I think A, perhaps it is healthy": `clinic.Answer({"A": 0.7, "healthy": 0.3}, evidence=0.81, repair=step)`; without evidence or repair, leave
# them out.

# %% [markdown]
# ### Level 1: all code is shown

# %% [markdown]
# **Patient 1**

# %% tags=["nbval-ignore-output"]
ward.admit(1)

# %% nbgrader={"grade": false, "grade_id": "case_1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def case_1() -> clinic.Answer:
    """What is the matter with patient 1? Probabilities, evidence, and the part that you wrote."""
    ### BEGIN SOLUTION
    left = ward.handles(1)

    def prepare(x: Tensor, generator: torch.Generator) -> Tensor:
        return x

    return clinic.Answer({"F": 1.0}, hits(left["model"], left["validation"]), prepare)
    ### END SOLUTION

# %% [markdown]
# **Patient 2**

# %% tags=["nbval-ignore-output"]
ward.admit(2)

# %% nbgrader={"grade": false, "grade_id": "case_2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def case_2() -> clinic.Answer:
    """What is the matter with patient 2? Probabilities, evidence, and the part that you wrote."""
    ### BEGIN SOLUTION

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, masks: dict[str, Tensor]) -> None:
        optimizer.step()
        for name, mask in masks.items():
            weight(model, name).data.mul_(mask)

    return clinic.Answer({"E": 1.0}, "9", step)
    ### END SOLUTION

# %% [markdown]
# **Patient 3**

# %% tags=["nbval-ignore-output"]
ward.admit(3)

# %% nbgrader={"grade": false, "grade_id": "case_3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def case_3() -> clinic.Answer:
    """What is the matter with patient 3? Probabilities, evidence, and the part that you wrote."""
    ### BEGIN SOLUTION
    left = ward.handles(3)

    def class_weights(labels: Tensor) -> Tensor:
        counts = torch.bincount(labels)
        return counts.max() / counts

    return clinic.Answer({"D": 1.0}, left["logits"].argmax(1)[left["test"].y == 1].double().mean().item(), class_weights)
    ### END SOLUTION

# %% [markdown]
# **Patient 4**

# %% tags=["nbval-ignore-output"]
ward.admit(4)

# %% nbgrader={"grade": false, "grade_id": "case_4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def case_4() -> clinic.Answer:
    """What is the matter with patient 4? Probabilities, evidence, and the part that you wrote."""
    ### BEGIN SOLUTION
    left = ward.handles(4)
    return clinic.Answer({"healthy": 1.0}, hits(left["model"], left["new_test"]))
    ### END SOLUTION

# %%
def worst_class(network: nn.Module, part: Examples) -> float:
    """The share of right answers of the class that is right least often: some patients are asked for it. Your `group_report` knows it."""
    with evaluating(network):
        report = group_report(answers(network, part.x), part.y, part.y)
    return min(right / n for right, n, _, _ in report.values())

# %% [markdown]
# ### Level 2: the interface of one part

# %% [markdown]
# **Patient 5**

# %% tags=["nbval-ignore-output"]
ward.admit(5)

# %% nbgrader={"grade": false, "grade_id": "case_5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def case_5() -> clinic.Answer:
    """What is the matter with patient 5? Probabilities, evidence, and the part that you wrote."""
    ### BEGIN SOLUTION
    left = ward.handles(5)
    return clinic.Answer({"healthy": 1.0}, worst_class(left["model"], left["test"]))
    ### END SOLUTION

# %% [markdown]
# **Patient 6**

# %% tags=["nbval-ignore-output"]
ward.admit(6)

# %% nbgrader={"grade": false, "grade_id": "case_6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def case_6() -> clinic.Answer:
    """What is the matter with patient 6? Probabilities, evidence, and the part that you wrote."""
    ### BEGIN SOLUTION
    left = ward.handles(6)

    def merge(layer: nn.Module) -> nn.Module:
        plain = copy.deepcopy(layer.base)
        plain.weight.data += layer.alpha / layer.rank * (layer.B @ layer.A).detach().reshape(plain.weight.shape)
        return plain

    return clinic.Answer({"F": 1.0}, hits(left["merged"], left["test"]), merge)
    ### END SOLUTION

# %% [markdown]
# **Patient 7**

# %% tags=["nbval-ignore-output"]
ward.admit(7)

# %% nbgrader={"grade": false, "grade_id": "case_7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def case_7() -> clinic.Answer:
    """What is the matter with patient 7? Probabilities, evidence, and the part that you wrote."""
    ### BEGIN SOLUTION
    left = ward.handles(7)

    def weight_of(layer: nn.Module) -> Tensor:
        return layer.rounded()

    return clinic.Answer({"E": 1.0}, worst_class(left["model"], left["test"]), weight_of)
    ### END SOLUTION

# %% [markdown]
# **Patient 8**

# %% tags=["nbval-ignore-output"]
ward.admit(8)

# %% nbgrader={"grade": false, "grade_id": "case_8", "locked": false, "schema_version": 3, "solution": true, "task": false}
def case_8() -> clinic.Answer:
    """What is the matter with patient 8? Probabilities, evidence, and the part that you wrote."""
    ### BEGIN SOLUTION
    left = ward.handles(8)

    def split(part: Examples, copies: Callable[[Examples], Examples], generator: torch.Generator) -> tuple[Examples, Examples]:
        order = torch.randperm(len(part.y), generator=generator)
        learn, check = order[: 4 * len(order) // 5], order[4 * len(order) // 5 :]
        return copies(Examples(part.x[learn], part.y[learn])), Examples(part.x[check], part.y[check])

    return clinic.Answer({"G": 1.0}, hits(left["model"], left["fresh"]), split)
    ### END SOLUTION

# %% [markdown]
# ### Level 3: the log alone

# %% [markdown]
# **Patient 9**

# %% tags=["nbval-ignore-output"]
ward.admit(9)

# %% nbgrader={"grade": false, "grade_id": "case_9", "locked": false, "schema_version": 3, "solution": true, "task": false}
def case_9() -> clinic.Answer:
    """What is the matter with patient 9? Probabilities, evidence, and the part that you wrote."""
    ### BEGIN SOLUTION
    left = ward.handles(9)

    def penalty(model: nn.Module, anchor: dict[str, Tensor]) -> Tensor:
        return 0.1 * sum((p - anchor[name]).square().sum() for name, p in model.named_parameters() if name in anchor)

    return clinic.Answer({"B": 1.0}, hits(left["model"], left["test"]), penalty)
    ### END SOLUTION

# %% [markdown]
# **Patient 10**

# %% tags=["nbval-ignore-output"]
ward.admit(10)

# %% nbgrader={"grade": false, "grade_id": "case_10", "locked": false, "schema_version": 3, "solution": true, "task": false}
def case_10() -> clinic.Answer:
    """What is the matter with patient 10? Probabilities, evidence, and the part that you wrote."""
    ### BEGIN SOLUTION
    left = ward.handles(10)
    return clinic.Answer({"healthy": 1.0}, worst_class(left["cut"], left["test"]))
    ### END SOLUTION

# %% [markdown]
# **Patient 11**

# %% tags=["nbval-ignore-output"]
ward.admit(11)

# %% nbgrader={"grade": false, "grade_id": "case_11", "locked": false, "schema_version": 3, "solution": true, "task": false}
def case_11() -> clinic.Answer:
    """What is the matter with patient 11? Probabilities, evidence, and the part that you wrote."""
    ### BEGIN SOLUTION
    left = ward.handles(11)
    return clinic.Answer({"healthy": 1.0}, hits(nn.Sequential(*left["model"][:-1], left["base"][-1]), left["test"]))
    ### END SOLUTION

# %% [markdown]
# **Patient 12**

# %% tags=["nbval-ignore-output"]
ward.admit(12)

# %% nbgrader={"grade": false, "grade_id": "case_12", "locked": false, "schema_version": 3, "solution": true, "task": false}
def case_12() -> clinic.Answer:
    """What is the matter with patient 12? Probabilities, evidence, and the part that you wrote."""
    ### BEGIN SOLUTION
    left = ward.handles(12)

    def begin(layer: nn.Module) -> None:
        nn.init.zeros_(layer.B)

    return clinic.Answer({"B": 1.0}, worst_class(left["model"], left["test"]), begin)
    ### END SOLUTION

# %% [markdown]
# ## What was it?
#
# The next cell is graded. It says which answers can be read.

# %% nbgrader={"grade": true, "grade_id": "test_sheet", "locked": true, "points": 60, "schema_version": 3, "solution": false, "task": false} tags=["nbval-ignore-output"]
said = [case_1, case_2, case_3, case_4, case_5, case_6, case_7, case_8, case_9, case_10, case_11, case_12]
print(ward.readable(said))

# %% [markdown]
# When you have answered, the next cell says what was the matter, for the patients that you have named. It tries each repair on one fresh run;
# in a class three runs decide, on data that nobody has seen.

# %% tags=["nbval-ignore-output"]
print(ward.results(said))

# %% [markdown]
# And here is what the log could have told: the losses of a patient, over the band in which nine of ten healthy runs lie (twelve runs with other
# seeds, shipped).

# %% tags=["widget", "nbval-ignore-output"]
widgets.slider_figure(lambda patient: plots.band(*ward.band(patient), f"patient {patient}"), patient=widgets.Slider(1, 12, 1, 1))

# %% [markdown]
# *What is seen: a learning curve over a grey band. Some sick patients leave the band, others stay within it.*
#
# **Question.** How many of your sick patients could have been told from this figure?
#
# <details><summary>Answer</summary>
#
# It depends on your sheet: count them. But the band is made of twelve healthy runs of the very same kind, which nobody has who looks at a log for the first
# time. And a curve outside says that something differs, not what: for that there are instruments.
#
# </details>
#
# ## What the numbers say
#
# - **A log is no examination.** It ends without an error, and its losses fall, in healthy and in sick runs. Without a healthy run beside it, it says little.
# - **Each instrument answers one question.** None found everything. The art is to know which question to ask: what has moved, what is used, what is
#   reached, who is in the batch, who is in both parts.
# - **A number needs a comparison.** Two honest parts had near copies too, a fold differs by rounding. What counts is the distance to what a healthy run gives.
# - **Not every bug hurts.** Of four classics none did damage here, and one made the result better.
# - **Where the instruments fail.** They find what they ask for. A learning rate that is too small by a factor of two, or labels that are wrong in three of a hundred, would have
#   passed all nine.
# - **What was not measured.** Large networks, several machines, data that change with time.
#
# ## In your own words
#
# Write a paragraph of about 120 words on one patient of your ward: how would you have found it in your own work? In a class a person marks it with three
# points: one for two numbers of yours, with what a healthy run gives; one for the reason why the log did not warn; and one for a check that would
# find it at every run, and what it would cost.

# %% [markdown] nbgrader={"grade": true, "grade_id": "explain_patient", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# The share of zeros of the last layer was 0 where the log said 0.80, a healthy run gives 0.80. The log read the masks, not the weights, and
# the loss fell because the filled layer learned. A line after training that counts the zeros of the saved network finds it: it costs
# one pass over the weights. For a leak: the share of near copies against that of two honest parts.
# ### END SOLUTION

# %% [markdown]
# ## Five questions

# %% jupyter={"source_hidden": true} tags=["widget", "nbval-ignore-output"]
widgets.quiz(
    [
        widgets.Question(
            "All parameters are frozen, and the network is in train mode. What can still change?",
            ("nothing", "the statistics of batch norms", "the biases"),
            1,
            "Statistics are buffers, not parameters. They follow every batch in train mode.",
        ),
        widgets.Question(
            "Two networks give the same class on 1,000 images. What do you compare next?",
            ("the logits", "the accuracy", "the number of parameters"),
            0,
            "Errors show in logits long before a class changes.",
        ),
        widgets.Question(
            "The loss of one batch of ten classes stays at 1.46, however long it is trained. What is likely?",
            ("the learning rate is too small", "softmax is applied twice", "the batch is too large"),
            1,
            "ln(e + 9) - 1 = 1.46 is the floor of cross entropy on probabilities.",
        ),
        widgets.Question(
            "A validation accuracy is far above that on new images. Which instrument do you take first?",
            ("leak_check", "gradient_report", "count_calls"),
            0,
            "Copies of training images in the validation part are the usual reason.",
        ),
        widgets.Question(
            "You have no idea what is wrong with a patient. Which answer earns most, on average?",
            ("the kind that is most frequent, for sure", "nine equal probabilities", "healthy, for sure"),
            1,
            "With a quadratic score nothing earns more, on average, than what one believes.",
        ),
    ]
)

# %% [markdown]
# ## Papers
#
# - Wilson 1927, *Probable Inference, the Law of Succession, and Statistical Inference*: exercise 1.
# - Brier 1950, *Verification of Forecasts Expressed in Terms of Probability*: the score of a name.
# - Kapoor, Narayanan 2023, *Leakage and the Reproducibility Crisis in Machine-Learning-Based Science*: exercise 2.
# - Ioffe, Szegedy 2015, *Batch Normalization*: exercise 3.
# - Sculley et al. 2015, *Hidden Technical Debt in Machine Learning Systems*.
# - Islam, Nguyen, Pan, Rajan 2019, *A Comprehensive Study on Deep Learning Bug Characteristics*.
# - Humbatova, Jahangirova, Bavota, Riccio, Stocco, Tonella 2020, *Taxonomy of Real Faults in Deep Learning Systems*.
# - Karpathy 2019, *A Recipe for Training Neural Networks*: one batch by heart.
#
# ## If you want more
#
# 1. **Another ward.** Take the token of another name, and see whether you are faster.
# 2. **Patients in reserve.** `clinic.RESERVE` has eight more, on no sheet. Run one, healthy and broken, and choose an instrument.
# 3. **A patient of your own.** Break one line of a run of yours. Does one of the nine instruments find it? If not, write the tenth.
# 4. **Always on.** Put two instruments at the end of your own training script. How long do they take?
#
# Words of this unit in the glossary: [silent failure](../glossary.md#silent-failure), [data leakage](../glossary.md#data-leakage), [forward
# hook](../glossary.md#forward-hook), [overfitting one batch](../glossary.md#overfitting-one-batch), [Brier
# score](../glossary.md#brier-score).
