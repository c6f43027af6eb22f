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
# # 03 Fine-tuning: a new task from few labels, and what is forgotten
#
# A network has learned to classify digits from one source. Now digits come from another: other writers, another scanner,
# fewer pixels. Its accuracy falls. Do you train a new network? Or do you train the old one further, and if so, which of
# its parameters may change? In this unit you write the parts of the answer: freezing, learning rates by layer, the AdamW
# step, low-rank adapters, a penalty that protects the old task, a choice of what to label, distillation into a smaller
# network, and training that recovers the accuracy of a compressed one.
#
# **The question.** How many labelled images does a network with random weights need until it classifies the new digits as
# well as the adapted one does after 20? And how much of the old digits does the adapted one forget? Both are measured
# below, by code you can open.
#
# **You need** Python and a little PyTorch (tensors, `nn.Module`, `backward`). No other unit comes first.
#
# **How it works.** There are eight exercises; the unit takes about 150 minutes. Replace `raise NotImplementedError`
# with your lines; the course's own answers have at most six. The cell right below tries the examples of the docstring.
# The next one checks your function on many more calls and says in a sentence what is wrong. Run both as often as you
# like. A mistake costs only its own exercise. The figures use *your* functions, so they show your work. In a terminal,
# `posttrain-lab check 03` shows the points of the whole notebook. The [glossary](../glossary.md) explains the terms of
# the field.
#
# **Which images for what.** Weights learn from *train* images, choices are made on *validation* images, and the
# *test* images are used for the numbers at the end. Some results need many repetitions, more than a minute of
# computing. They come from a table that is part of the course, and the text says so each time; the white marks in that
# figure are measured live.

# %% tags=["setup"]
import copy
import itertools
import sys

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from tqdm import tqdm

from posttrain_lab import checks, data, measure, metrics, models, quantization, training, widgets
from posttrain_lab import finetuning as lib
from posttrain_lab.data.label_curves import load_label_curves, mean_interval
from posttrain_lab.plots import finetuning as plots
from posttrain_lab.plots import passports as passport_plots

torch.set_num_threads(1)  # one thread: times can be compared, and sums come out the same at every run
torch.manual_seed(0)
old, new = data.load_mnist(), data.load_digits()  # the task that the network was trained on, and the new one
base = models.load_pretrained("mnist_cnn")


def accuracy_of(network: nn.Module, part: data.Dataset) -> float:
    return metrics.accuracy(measure.predict(network, part.images), part.labels)


def cross_entropy(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(network(images), labels)


def teach(network: nn.Module, labelled: data.Dataset, optimizer, steps: int = 60, loss=cross_entropy) -> nn.Module:
    """Some steps on batches of 25 labelled images, in place; frozen parameters stay. In eval mode at the end."""
    order, done = torch.Generator().manual_seed(0), 0
    while done < steps:
        for images, labels in training.shuffled_batches(labelled.images, labelled.labels, 25, order):
            optimizer.zero_grad()
            loss(network, images, labels).backward()
            optimizer.step()
            done += 1
    return network.eval()


# %% [markdown]
# ## Where we start
#
# The old digits are from MNIST: 28 x 28 pixels. The new ones are from the UCI collection: 8 x 8 pixels, enlarged to
# the same size. The classes are the same, 0 to 9. The *passport* of the network on both, on images it has not been
# trained on:

# %% tags=["nbval-ignore-output"]
before = [measure.passport(base, split, f"on {name}", repeats=5) for name, split in (("old", old), ("new", new))]
measure.compare(before)

# %% [markdown]
# The network has never been trained on a new digit, and still classifies many correctly. Fine-tuning starts from this.

# %% tags=["widget", "nbval-ignore-output"]
widgets.predict(
    "Teach the network with 20 labelled new digits, two of each. How many labels does a network that starts from "
    "random weights need to be as good?",
    ["about 20 too", "about 50", "100 or more"],
    "The figure 'what a label buys' in part 2 shows it.",
)

# %% [markdown]
# ## Part 1: which parameters are trained, and how
#
# ### Exercise 1: freeze
# *Difficulty 2 of 5, 14 minutes, 3 points*
#
# **Aim:** make only the named parameters trainable, and freeze everything else.
#
# - `trainable` holds exact names of `model.named_parameters()`, such as `"15.weight"`. Those get
#   `requires_grad = True`, **all other parameters** get `requires_grad = False`, independent of what they had before.
# - A [batch norm](../glossary.md#batch-norm) has numbers that change without a gradient: in train mode it averages the
#   statistics of its inputs into `running_mean` and `running_var`. `freeze` is called on a network in train mode. **A batch
#   norm none of whose parameters is trainable** (also one that has no parameters) is set to eval mode (`.eval()`): it uses
#   its stored statistics and does not change them. Every other layer stays in train mode.
# - Return how many elements are trainable, a plain `int` (`numel` counts the elements of one tensor).
# - `model.modules()` goes through all layers, also those inside others, and `isinstance(layer, nn.BatchNorm2d)`
#   recognizes a batch norm. Set all `requires_grad` first, then look at the batch norms.
#
# A later `model.train()` would set the batch norms back to train mode. So the order is: train mode first, freeze second. Leave
# `train` and all other attributes of the layers as they are: whoever unfreezes the network later needs them. (The library's
# `lib.freeze` does replace `train`, so that the order does not matter there, and `lib.unfreeze` puts it back.)
#
# **Predict:** you freeze everything but the last layer with `requires_grad = False` alone, and train on the new
# digits. Then you put the old last layer back. Does the network answer as before on the old digits?
#
# <details><summary>Answer</summary>
#
# No. No weight has changed, but the running statistics have, and in eval mode every output depends on them. The
# experiment below counts the answers that change.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "freeze", "locked": false, "schema_version": 3, "solution": true, "task": false}
def freeze(model: nn.Module, trainable: list[str]) -> int:
    """Make only the named parameters trainable; batch norms without trainable parameters go to eval mode. Changes `model`.

    Returns the number of trainable elements.

    >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3)).train()
    >>> freeze(model, ["3.weight", "3.bias"])
    27
    >>> model[1].training, model[0].training, model[0].bias.requires_grad
    (False, True, False)
    """
    ### BEGIN SOLUTION
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trainable)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and not any(p.requires_grad for p in module.parameters()):
            module.eval()
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
    ### END SOLUTION


# %%
checks.try_examples(freeze)

# %% nbgrader={"grade": true, "grade_id": "test_freeze", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.finetuning.freeze(freeze)
### BEGIN HIDDEN TESTS
checks.finetuning.freeze(freeze, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Four common choices, counted by your function, then the experiment of the prediction. Both networks train the same
# last layer on the same 50 labels. In one of them your `freeze` freezes the statistics too.

# %% tags=["nbval-ignore-output"]
everything = [name for name, _ in base.named_parameters()]
choices = {"head": lib.head_names(base), "norms": lib.norm_names(base), "biases": lib.bias_names(base), "all": everything}
counts = {name: freeze(copy.deepcopy(base).train(), names) for name, names in choices.items()}
plots.trainable_counts(counts, counts["all"])

# %% [markdown]
# *What is seen: four dots on a logarithmic axis. The head, the norms and the biases are each about one hundredth of the
# network or less.*

# %% tags=["nbval-ignore-output"]
few = data.few_labels(new.train, 50)
on_old, on_new = {"as it was": accuracy_of(base, old.validation)}, {"as it was": accuracy_of(base, new.validation)}
for name, hold in (("statistics held", freeze), ("statistics free", lambda network, names: network.requires_grad_(False))):
    network = copy.deepcopy(base).train()
    hold(network, choices["head"])
    network[-1].requires_grad_(True)
    teach(network, few, torch.optim.AdamW(network[-1].parameters(), lr=1e-2))
    on_new[name] = accuracy_of(network, new.validation)
    network[-1] = base[-1]  # the old head again
    on_old[name] = accuracy_of(network, old.validation)
    was, now = (measure.predict(one, old.validation.images) for one in (base, network))
    print(f"{name}: {int((was.argmax(1) != now.argmax(1)).sum())} of {len(was)} old answers changed, ", end="")
    print(f"a logit by at most {(was - now).abs().max():.2g}")
sizes = {"old digits, old head": len(old.validation), "new digits, new head": len(new.validation)}
plots.grouped_accuracy(dict(zip(sizes, (on_old, on_new), strict=True)), sizes)

# %% [markdown]
# *What is seen: pairs of bars with 95 % intervals for three networks. With frozen statistics, the old head gives exactly
# the same logits on the old digits as before, as printed. With statistics that are not frozen its logits differ and some
# answers change, though no weight before it has changed. On these two kinds of digits the loss is small; count the
# changed answers, because the intervals hide them.*
#
# **Question.** If the statistics are not frozen, the new task may gain. Why might that be, and what is the cost?
#
# <details><summary>Answer</summary>
#
# New statistics fit the new digits: each channel is centred and scaled for them, which is a cheap form of adaptation. The
# cost is that the statistics no longer fit the old task. If you need both tasks, store two sets of statistics.
#
# </details>

# %% [markdown]
# ### Exercise 2: a learning rate for each layer
# *Difficulty 3 of 5, 14 minutes, 2 points*
#
# **Aim:** give early layers smaller learning rates than late ones, and no weight decay to biases and norms.
#
# Early layers detect edges, which every digit has; late layers detect what distinguishes the classes. So late ones should
# change more (Howard and Ruder 2018). A layer is a module with parameters of its own, in the order of `model.modules()`;
# `module.parameters(recurse=False)` gives a module's own parameters, without those of modules inside it. With layers
# 0 to L − 1:
#
# $$rate_l = base\_lr \cdot decay^{\,L - 1 - l}, \qquad 0 < decay \le 1$$
#
# The last layer has the rate `base_lr`, each one before it `decay` times the rate of the next. Return a list of dicts
# as optimizers take it: `{"params": [tensors], "lr": rate}`.
#
# - **Every parameter is in exactly one group**, also one that is frozen now. One that two layers share belongs
#   to the first of them (`model.named_parameters()` lists it once, under its first name). To test whether two parameters
#   are the same object, use `is`, a `set` or a `dict`; `==` and `in` on a list compare their values.
# - **Biases and all parameters of norms** get `"weight_decay": 0.0` in their group. Groups of other weights have no key
#   `"weight_decay"`, so that the optimizer's own value is used. In our networks the biases and parameters of norms are
#   exactly the parameters with one axis, `p.ndim == 1`.
# - The order and the number of groups are free.
#
# **Predict:** why does a weight decay harm the scale of a batch norm?
#
# <details><summary>Answer</summary>
#
# Decay pulls towards 0. A scale of 0 switches its channel off, and that is not a useful way to make a network simpler. For
# the weights of a convolution, values near 0 are a reasonable default; for a scale, 1 would be.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "parameter_groups", "locked": false, "schema_version": 3, "solution": true, "task": false}
def parameter_groups(model: nn.Module, base_lr: float, decay: float) -> list[dict]:
    """Groups for an optimizer: the last layer has the rate base_lr, each one before it `decay` times the rate of the next.

    Each parameter in one group; biases and norms with "weight_decay": 0.0, the others without this key.

    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> rows = [(len(p), group["lr"], group.get("weight_decay")) for group in parameter_groups(model, 0.1, 0.5) for p in group["params"]]
    >>> rows  # (outputs, rate, weight decay) of each parameter
    [(4, 0.05, None), (4, 0.05, 0.0), (2, 0.1, None), (2, 0.1, 0.0)]
    """
    ### BEGIN SOLUTION
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name, _ in model.named_parameters()))
    groups = []
    for name, p in model.named_parameters():
        rate = base_lr * decay ** (len(layers) - 1 - layers.index(name.rpartition(".")[0]))
        groups.append({"params": [p], "lr": rate} | ({"weight_decay": 0.0} if p.ndim == 1 else {}))
    return groups
    ### END SOLUTION


# %%
checks.try_examples(parameter_groups)

# %% nbgrader={"grade": true, "grade_id": "test_parameter_groups", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.finetuning.parameter_groups(parameter_groups)
### BEGIN HIDDEN TESTS
checks.finetuning.parameter_groups(parameter_groups, hidden=True)
### END HIDDEN TESTS


# %% tags=["widget", "nbval-ignore-output"]
def draw_rates(decay: float):
    names = {id(p): name for name, p in base.named_parameters()}
    rows = {names[id(p)]: group for group in parameter_groups(base, 1e-3, decay) for p in group["params"]}
    ordered = [name for name, _ in base.named_parameters()]
    rates = [rows[name]["lr"] for name in ordered]
    return plots.layer_rates(ordered, rates, [rows[name].get("weight_decay") is None for name in ordered])


widgets.slider_figure(draw_rates, decay=widgets.Slider(0.3, 1.0, start=0.6, step=0.1, label="decay"))

# %% [markdown]
# *What is seen: one mark for each parameter, from the first convolution to the last layer, on a logarithmic axis. The
# marks rise in equal steps; the squares have no weight decay. With decay 1 all are equal.*
#
# **Question.** Which decay makes "all layers" nearly the same as "the head alone"?
#
# <details><summary>Answer</summary>
#
# A very small one: at 0.3 the learning rate of the first convolution is thousands of times smaller than the head's.
# Freezing is the limit for a decay towards 0.
#
# </details>

# %% [markdown]
# ### Exercise 3: one step of AdamW
# *Difficulty 3 of 5, 16 minutes, 3 points*
#
# **Aim:** write the step that nearly all fine-tuning uses.
#
# AdamW (Loshchilov and Hutter 2019) stores two running means for every element: m of its gradient g and v of the
# squared gradient. In step t = 1, 2, …
#
# $$\theta \leftarrow (1 - lr \cdot weight\_decay)\, \theta$$
# $$m \leftarrow \beta_1 m + (1 - \beta_1) g \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2$$
# $$\theta \leftarrow \theta - lr \cdot \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + eps}$$
#
# - `param` and `state` are changed **in place** (`mul_`, `sub_`; a new `param.data` counts too), and nothing is returned.
#   `grad` is not changed.
# - `state` is `{}` before the first step and belongs to this parameter. You choose what to store in it:
#   `state.get("t", 0)` helps. m and v begin at 0; dividing by $1 - \beta^t$ corrects the bias that this causes.
# - First the decay, then the step. eps is added to the root of the *corrected* second mean.
#
# `param`, `grad` are float `[*shape]`, in float64 the step is as exact as float64. A beta or eps may be 0.
#
# **Predict:** the gradients of two weights are 10 and 0.001. With lr 0.1 and no decay, by how much does each change in the
# first step?
#
# <details><summary>Answer</summary>
#
# Both by 0.1, against the sign of the gradient. In the first step the corrected m is g and the corrected v is g², so
# the quotient is 1 or −1 for any size of g. That is why one learning rate fits layers with very different gradients.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "adamw_step", "locked": false, "schema_version": 3, "solution": true, "task": false}
def adamw_step(
    param: Float[Tensor, "*shape"],
    grad: Float[Tensor, "*shape"],
    state: dict,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> None:
    """One step of AdamW; changes `param` and `state` in place. `state` is {} before the first step.

    param *= 1 - lr * weight_decay;  param -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    >>> param, state = torch.tensor([1.0, -2.0]), {}
    >>> adamw_step(param, torch.tensor([10.0, 0.001]), state, lr=0.1, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.5)
    >>> param  # 0.95 * 1 - 0.1 and 0.95 * -2 - 0.1
    tensor([ 0.8500, -2.0000])
    """
    ### BEGIN SOLUTION
    b1, b2 = betas
    t = state["t"] = state.get("t", 0) + 1
    m = state["m"] = b1 * state.get("m", 0.0) + (1 - b1) * grad
    v = state["v"] = b2 * state.get("v", 0.0) + (1 - b2) * grad**2
    param.mul_(1 - lr * weight_decay)
    param.sub_(lr * (m / (1 - b1**t)) / ((v / (1 - b2**t)).sqrt() + eps))
    ### END SOLUTION


# %%
checks.try_examples(adamw_step)

# %% nbgrader={"grade": true, "grade_id": "test_adamw_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.finetuning.adamw_step(adamw_step)
### BEGIN HIDDEN TESTS
checks.finetuning.adamw_step(adamw_step, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Now your step is used. Two weights, a loss with a long valley, 60 steps from the star. Plain gradient descent and momentum
# are the library's; the third path is yours. All three get the same learning rate. Move it: for which rates does each path
# leave the valley, and for which is it very slow?


# %% tags=["widget", "nbval-ignore-output"]
def bent_valley(w: Tensor) -> Tensor:
    return (1 - w[..., 0]).square() + 10 * (w[..., 1] - w[..., 0].square()).square()


def straight_valley(w: Tensor) -> Tensor:
    return 0.5 * (w[..., 0] - 1).square() + 20 * (w[..., 1] - 0.5 * w[..., 0]).square()


SURFACES = {"bent valley": bent_valley, "straight valley": straight_valley}
WALKERS = {
    "plain descent": lambda w, g, state, lr: lib.sgd_step(w, g, state, lr),
    "momentum 0.9": lambda w, g, state, lr: lib.sgd_step(w, g, state, lr, momentum=0.9),
    "your AdamW": lambda w, g, state, lr: adamw_step(w, g, state, lr, (0.9, 0.999), 1e-8, 0.0),
}


def walk(step, surface, lr: float, steps: int = 60) -> Tensor:
    """The two weights after each step, [steps + 1, 2]; a path that leaves the map stays where it left."""
    w, state, places = torch.tensor([-1.3, 1.6]), {}, []
    for _ in range(steps + 1):
        places.append(w.clone())
        here = w.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(surface(here), here)
        if w.abs().max() < 5:
            step(w, gradient, state, lr)
    return torch.stack(places)


def draw_walks(surface: str, exponent: float):
    loss, axis = SURFACES[surface], torch.linspace(-2, 2, 33)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1)
    paths = {name: walk(step, loss, 10**exponent) for name, step in WALKERS.items()}
    return plots.surface_walks(
        (axis, axis), (loss(grid) + 0.01).log10(), paths, {name: loss(path[-1]).item() for name, path in paths.items()}
    )


widgets.slider_figure(
    draw_walks,
    surface=widgets.Choice(tuple(SURFACES), label="surface"),
    exponent=widgets.Slider(-3.0, 0.0, start=-1.6, step=0.2, label="log10 of the rate"),
)

# %% [markdown]
# *What is seen: contour lines of a valley and three paths that begin at one star. Small rates: plain gradient descent is very
# slow, momentum speeds up, AdamW takes steps of nearly constant length. Large rates: plain descent jumps across the
# valley and leaves the map first.*
#
# **Question.** Make the rate as large as possible without AdamW leaving the map. Why does it never come to rest?
#
# <details><summary>Answer</summary>
#
# The length of its steps is about the learning rate as long as the gradients keep their sign, however small the gradients
# are. Near the minimum it oscillates. So training lowers the rate towards the end: a schedule.
#
# </details>
#
# The adapters of part 2 and the networks of the figure in part 3 are trained by your step, through
# `lib.AdamW(..., step_function=adamw_step)`. Elsewhere torch's own optimizers are used.

# %% [markdown]
# ## Part 2: adapters beside frozen weights
#
# ### Exercise 4: a low-rank adapter
# *Difficulty 4 of 5, 20 minutes, 4 points*
#
# **Aim:** add a trainable low-rank correction to a linear layer, while the layer itself is frozen.
#
# LoRA (Hu et al. 2022) freezes the weight W `[out, in]` and learns two small matrices, A `[rank, in]` and
# B `[out, rank]`:
#
# $$y = linear(x) + \frac{alpha}{rank} \; x A^\top B^\top \qquad\qquad W' = W + \frac{alpha}{rank} \, B A$$
#
# - `LoRALinear(linear, rank, alpha)` is an `nn.Module` with **two trainable parameters, A and B, and no other**: the
#   given layer's weight and bias get `requires_grad = False` and do not change. A tensor becomes a trainable
#   parameter by `nn.Parameter(tensor)`. Call the two `self.A` and `self.B`, store them in the shapes above, and leave
#   `self.linear`: later cells find all three by these names.
# - At the start the output is that of the given layer: **one of the two begins with zeros, the other with random
#   numbers** of any kind.
# - `merge()` returns an `nn.Linear` with the weight W′ and the bias of the given layer. A second `merge()` raises an
#   error (given below). The LoRALinear gives the same outputs after `merge()` as before. x is float32 `[..., in]`.
# - A weight's `.data` can be changed without a gradient (`merged.weight.data`), and `@` is the product of matrices.
#
# **Predict:** a layer with in = 576 and out = 64, rank 2. How many elements do A and B have, as a share of its weights? And
# why not begin with zeros in both?
#
# <details><summary>Answer</summary>
#
# 2 · (576 + 64) = 1,280 against 36,864, about 3.5 %. With both zero, the gradient of A is multiplied by B = 0 and that of B
# by A = 0: nothing would ever change.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "LoRALinear", "locked": false, "schema_version": 3, "solution": true, "task": false}
class LoRALinear(nn.Module):
    """A frozen linear layer, and a correction of low rank beside it: y = linear(x) + alpha / rank * x A^T B^T.

    >>> layer = LoRALinear(nn.Linear(3, 2, bias=False), rank=2, alpha=4.0)
    >>> for parameter in layer.parameters():
    ...     _ = nn.init.constant_(parameter, 0.5)
    >>> layer(torch.ones(1, 3)).detach()  # 1.5 + 4 / 2 * 1.5
    tensor([[4.5000, 4.5000]])
    >>> layer.merge().weight.detach()  # 0.5 + 4 / 2 * 0.5
    tensor([[1.5000, 1.5000, 1.5000],
            [1.5000, 1.5000, 1.5000]])
    """

    def __init__(self, linear: nn.Linear, rank: int, alpha: float):
        super().__init__()
        self.linear, self.scale, self.merged = linear, alpha / rank, False
        ### BEGIN SOLUTION
        self.linear.requires_grad_(False)
        self.A = nn.Parameter(torch.randn(rank, linear.in_features) / linear.in_features**0.5)
        self.B = nn.Parameter(torch.zeros(linear.out_features, rank))
        ### END SOLUTION

    def forward(self, x: Float[Tensor, "*n in"]) -> Float[Tensor, "*n out"]:
        """The given layer's output and the correction."""
        ### BEGIN SOLUTION
        return self.linear(x) + self.scale * (x @ self.A.T @ self.B.T)
        ### END SOLUTION

    def merge(self) -> nn.Linear:
        """One plain linear layer that computes the same; a second call is an error."""
        if self.merged:
            raise RuntimeError("merged already: a second time would add the correction twice")
        self.merged, merged = True, copy.deepcopy(self.linear)
        ### BEGIN SOLUTION
        merged.weight.data += self.scale * (self.B @ self.A).detach()
        return merged
        ### END SOLUTION


# %%
checks.try_examples(LoRALinear)

# %% nbgrader={"grade": true, "grade_id": "test_LoRALinear", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
checks.finetuning.LoRALinear(LoRALinear)
### BEGIN HIDDEN TESTS
checks.finetuning.LoRALinear(LoRALinear, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# The whole network with adapters: your class for the two linear layers, the library's `LoRAConv2d` (the same idea
# for a convolution) for the others. Your `freeze` freezes the rest, your `adamw_step` trains.


# %% tags=["nbval-ignore-output"]
def with_lora(network: nn.Module, rank: int = 2, alpha: float = 4.0) -> nn.Module:
    """A copy of the network in train mode with an adapter beside each layer; everything else is frozen."""
    torch.manual_seed(0)
    network = copy.deepcopy(network).train()
    for name, layer in list(network.named_children()):
        if isinstance(layer, nn.Linear | nn.Conv2d):
            kind = LoRALinear if isinstance(layer, nn.Linear) else lib.LoRAConv2d
            network._modules[name] = kind(layer, rank, alpha)
    freeze(network, [name for name, p in network.named_parameters() if name.rpartition(".")[2] in ("A", "B")])
    return network


def adamw(network: nn.Module, lr: float) -> lib.AdamW:
    return lib.AdamW([p for p in network.parameters() if p.requires_grad], lr=lr, step_function=adamw_step)


def plain(network: nn.Module) -> nn.Module:
    """The network with every adapter merged into its layer."""
    merged = copy.deepcopy(network)
    for name, layer in list(merged.named_children()):
        if hasattr(layer, "merge"):
            merged._modules[name] = layer.merge()
    return merged.eval()


adapted = with_lora(base)
share = sum(p.numel() for p in adapted.parameters() if p.requires_grad) / counts["all"]
teach(adapted, few, adamw(adapted, 5e-3), steps=100)
merged = plain(adapted)
change = (measure.predict(adapted, new.validation.images) - measure.predict(merged, new.validation.images)).abs().max()
held = adapted[-1].linear.weight.equal(base[-1].weight)
print(f"trainable: {share:.1%} of the network; the base's last layer is bit for bit as before: {held}")
print(f"validation, new digits: {accuracy_of(base, new.validation):.1%} before, {accuracy_of(adapted, new.validation):.1%} now")
print(f"merged into plain layers, the largest difference of a logit is {change:.1e}")

# %% [markdown]
# ### What a label buys: accuracy against the number of labels
#
# Five ways to learn the new digits from 20, 50, 100 and 400 labels: *scratch* (random weights), the *head* alone, the
# *norms* alone, *LoRA*, and *all* weights. And a sixth without a network: logistic regression on the pixels.
# One run says little, because another draw of 20 images gives another result. The curves are **from the table of the
# course**: means and 95 % intervals over several draws. The logistic regression and the white marks are **live**.

# %% tags=["nbval-ignore-output"]
NAMES = {"scratch": "scratch", "head": "head", "norm": "norms", "lora": "LoRA", "all": "all weights"}
runs, label_counts = load_label_curves(), (20, 50, 100, 400)


def regression(count: int, seed: int) -> float:
    """Test accuracy of a logistic regression on the pixels: one linear layer, a little weight decay, to convergence."""
    some, layer = data.few_labels(new.train, count, seed), nn.Linear(784, 10)
    nn.init.zeros_(layer.weight), nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(layer(some.images.flatten(1)), some.labels) + 1e-3 * layer.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return accuracy_of(nn.Sequential(nn.Flatten(), layer), new.test)


curves = {
    name: [
        (count, *mean_interval([run.new for run in runs if (run.method, run.labels) == (method, count)]))
        for count in label_counts
    ]
    for method, name in NAMES.items()
}
curves["regression, just now"] = [
    (count, *mean_interval([regression(count, seed) for seed in range(5)])) for count in label_counts
]
again = lib.adapt(base, few, "head", lib.AdaptConfig(seed=0))  # the same 50 labels as in the table's first run
live = {"head": (50, accuracy_of(again, new.test)), "LoRA, yours": (50, accuracy_of(adapted, new.test))}
(stored,) = [run.new for run in runs if (run.method, run.labels, run.seed) == ("head", 50, 0)]
print(f"head, 50 labels, first draw: {stored:.1%} in the table, {live['head'][1]:.1%} measured just now")
plots.label_curves(curves, live, len(new.test))

# %% [markdown]
# *What is seen: accuracy rises with the labels. On the left, all curves that begin with the trained network lie above
# scratch and above the regression, and their intervals are wide. On the right scratch
# is about as good as the best of them.*
#
# **Question.** Read the answer to the question at the top off the figure. From how many labels on is it no longer useful to
# adapt an old network?
#
# <details><summary>Answer</summary>
#
# Go up from 20 labels to the best adapted curve, then right until the curve of *scratch* is as high. Where the intervals
# overlap, the difference may be chance. The cell below computes it from the table.
#
# </details>

# %% tags=["nbval-ignore-output"]
best = max((name for name in curves if name not in ("scratch", "regression, just now")), key=lambda name: curves[name][0][1])
goal = curves[best][0][1]
enough = [int(count) for count, mean, *_ in curves["scratch"] if mean >= goal]
print(f"with 20 labels the best is {best}: {goal:.1%}")
print(f"scratch gets there with {enough[0]} labels" if enough else "scratch does not get there with 400 labels")
for count, mean, low, high in curves["regression, just now"]:
    beaten = [name for name in NAMES.values() if dict((row[0], row[1]) for row in curves[name])[count] < mean]
    print(f"{count:3} labels: logistic regression {mean:.1%} [{low:.1%}, {high:.1%}] beats {', '.join(beaten) or 'none of them'}")

# %% [markdown]
# ## Part 3: what is forgotten
#
# ### Exercise 5: a penalty that protects the old task
# *Difficulty 3 of 5, 12 minutes, 2 points*
#
# **Aim:** add a penalty for changing the weights on which the old task depends.
#
# Elastic weight consolidation (EWC, Kirkpatrick et al. 2017) adds a penalty to the loss of the new task. It pulls each
# parameter θ back to its value before training, `anchor`, and pulls strongly where the [Fisher
# information](../glossary.md#fisher-information) of the *old* task is large:
#
# $$penalty = \frac{strength}{2} \sum_i fisher_i \, (\theta_i - anchor_i)^2$$
#
# - `anchor` and `fisher` are dicts with the same keys in any order, names of `model.named_parameters()`, and tensors of
#   the parameters' shapes. Look them up by name.
# - **Parameters that they do not name** (a new head) get no penalty; all that they name count, also one that is frozen now.
# - The result is a scalar tensor, as exact as the parameters or more, whose gradient reaches the parameters. During training
#   the parameters have gradients of the new task in `.grad`; the penalty does not use or change them, nor the two dicts,
#   which serve for all steps. The training loop calls `backward`.
#
# **Predict:** what is the gradient of the penalty at the anchor? What if `strength` is huge?
#
# <details><summary>Answer</summary>
#
# 0, so it has no effect on the first step. With a huge strength, weights that matter to the old task cannot change, and those
# with Fisher information 0 still can: it is a soft freeze, weight by weight.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ewc_penalty", "locked": false, "schema_version": 3, "solution": true, "task": false}
def ewc_penalty(model: nn.Module, anchor: dict[str, Tensor], fisher: dict[str, Tensor], strength: float) -> Float[Tensor, ""]:
    """strength / 2 * sum of fisher * (parameter - anchor)^2 over all elements of the parameters that anchor names.

    >>> model = nn.Linear(1, 2, bias=False)
    >>> model.weight.data = torch.tensor([[5.0], [1.0]])
    >>> penalty = ewc_penalty(model, {"weight": torch.tensor([[2.0], [2.0]])}, {"weight": torch.tensor([[1.0], [4.0]])}, strength=2.0)
    >>> penalty.item()  # 2 / 2 * (1 * 3^2 + 4 * (-1)^2)
    13.0
    """
    ### BEGIN SOLUTION
    parameters = dict(model.named_parameters())
    terms = [(fisher[name] * (parameters[name] - anchor[name]).square()).sum() for name in anchor]
    return strength / 2 * sum(terms)
    ### END SOLUTION


# %%
checks.try_examples(ewc_penalty)

# %% nbgrader={"grade": true, "grade_id": "test_ewc_penalty", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.finetuning.ewc_penalty(ewc_penalty)
### BEGIN HIDDEN TESTS
checks.finetuning.ewc_penalty(ewc_penalty, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Now both tasks in one figure. All weights learn from the 50 new labels, with your penalty at several strengths. For
# comparison: the head alone, your LoRA, and *replay*: 50 old images among the new ones. Both accuracies are on validation
# images.


# %% tags=["nbval-ignore-output"]
def both(network: nn.Module) -> tuple[float, float]:
    return accuracy_of(network, new.validation), accuracy_of(network, old.validation)


anchor = {name: p.detach().clone() for name, p in base.named_parameters()}
fisher = lib.fisher_information(base, old.train.images[:200])
points = {"EWC, your penalty": [], "head": [], "LoRA": [("", *both(adapted))], "replay": []}
for strength in tqdm((0.0, 100.0, 1e4, 1e6), desc="strengths", file=sys.stdout):
    network = copy.deepcopy(base).train()
    freeze(network, everything)

    def penalized(network, images, labels, strength=strength):
        return cross_entropy(network, images, labels) + ewc_penalty(network, anchor, fisher, strength)

    teach(network, few, adamw(network, 2e-3), steps=60, loss=penalized)
    points["EWC, your penalty"].append((f"{strength:g}", *both(network)))
for name, names, labelled in (("head", choices["head"], few), ("replay", everything, lib.with_replay(few, old.train, 50))):
    network = copy.deepcopy(base).train()
    freeze(network, names)
    teach(network, labelled, adamw(network, 1e-2 if name == "head" else 2e-3), steps=60)
    points[name].append(("", *both(network)))
plots.frontier(points, both(base))

# %% [markdown]
# *What is seen: each point is one network; the horizontal axis is the new task, the vertical axis the old one. The star is the
# network before. The EWC curve begins at strength 0, where the old task has lost most, and rises with the strength; the first
# steps up cost the new task nearly nothing. Each number is measured on 200 images, so two or three points may be chance.*
#
# **Question.** LoRA did not change a single weight of the base. Why is it still below the star here, and why does
# this matter less than for the others?
#
# <details><summary>Answer</summary>
#
# With its adapters the network computes other outputs, so the old task loses accuracy. But the adapters can be removed: the
# base is unchanged, bit for bit. One base with an adapter for each task forgets nothing, as long as it is known which task an
# image belongs to.
#
# </details>

# %% tags=["nbval-ignore-output"]
without = copy.deepcopy(adapted)
for name, layer in list(without.named_children()):
    if hasattr(layer, "merge"):
        without._modules[name] = layer.linear if isinstance(layer, LoRALinear) else layer.base
same = torch.equal(measure.predict(without, old.test.images), measure.predict(base, old.test.images))
print(f"{len(old.test)} old test images; without adapters the logits are the base's, bit for bit: {same}")

# %% [markdown]
# ## Part 4: which images to label
#
# ### Exercise 6: select
# *Difficulty 2 of 5, 12 minutes, 2 points*
#
# **Aim:** choose the images that a person should label next.
#
# [Active learning](../glossary.md#active-learning) selects the images about which the network is most uncertain. With
# p = softmax(logits), row by row (logits `[n, c]`, one row an image):
#
# | method | first comes the image with |
# |---|---|
# | `"entropy"` | the largest $-\sum_c p_c \log p_c$ |
# | `"margin"` | the smallest difference of the two largest *probabilities* |
# | `"random"` | any k different images, by any generator: the baseline for the others |
#
# Return an int64 tensor `[k]` of different row numbers, the most uncertain first; 0 ≤ k ≤ n. Ties may be broken in any way. A
# probability may be 0 in float32, and then $p \log p$ counts as 0: `torch.special.entr(p)` is −p log p and handles this.
# `topk`, `argsort` and `torch.randperm` help. Set no seed of torch, numpy or Python: other cells draw from the same generators.
#
# **Predict:** probabilities (0.5, 0.5, 0) and (0.4, 0.3, 0.3). Which image comes first by entropy, which by margin?
#
# <details><summary>Answer</summary>
#
# By entropy the second (1.09 against 0.69): three classes are possible. By margin the first (0 against 0.1): its two most
# probable classes tie.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "select_for_labelling", "locked": false, "schema_version": 3, "solution": true, "task": false}
def select_for_labelling(logits: Float[Tensor, "n c"], k: int, method: str) -> Int64[Tensor, " k"]:
    """Row numbers of the k images to label next, the most uncertain first; method "random", "entropy" or "margin".

    >>> logits = torch.tensor([[5.0, 0.0, 0.0], [2.0, 2.0, -9.0], [0.3, 0.0, 0.0]])
    >>> select_for_labelling(logits, 2, "entropy"), select_for_labelling(logits, 2, "margin")
    (tensor([2, 1]), tensor([1, 2]))
    """
    ### BEGIN SOLUTION
    if method == "random":
        return torch.randperm(len(logits))[:k]
    p = logits.softmax(dim=1)
    ordered = p.sort(dim=1, descending=True).values
    score = torch.special.entr(p).sum(dim=1) if method == "entropy" else ordered[:, 1] - ordered[:, 0]
    return score.argsort(descending=True)[:k]
    ### END SOLUTION


# %%
checks.try_examples(select_for_labelling)

# %% nbgrader={"grade": true, "grade_id": "test_select_for_labelling", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.finetuning.select_for_labelling(select_for_labelling)
### BEGIN HIDDEN TESTS
checks.finetuning.select_for_labelling(select_for_labelling, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# The comparison, all of it **live**, eight times with other first images. Each run begins with ten labels, one of each class;
# five times your function chooses ten more out of the pool of 900. To make this quick only the head learns, on features that
# the frozen network computed once.

# %% tags=["nbval-ignore-output"]
body = nn.Sequential(*list(base.children())[:-1]).eval()
features, held_features = (measure.predict(body, part.images) for part in (new.train, new.validation))


def train_head(x: Tensor, y: Tensor) -> nn.Linear:
    """The base's head, trained further on these features by full batches."""
    head = copy.deepcopy(base[-1])
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        (F.cross_entropy(head(x), y) + 1e-3 * head.weight.square().sum()).backward()
        optimizer.step()
    return head


def race(method: str, seed: int) -> list[float]:
    """Validation accuracy with 10, 20, ... 60 labels."""
    torch.manual_seed(seed)
    order = torch.randperm(len(new.train))
    labelled = torch.stack([order[new.train.labels[order] == c][0] for c in range(10)])
    scores = []
    for _ in range(6):
        head = train_head(features[labelled], new.train.labels[labelled])
        with torch.no_grad():
            scores.append((head(held_features).argmax(1) == new.validation.labels).double().mean().item())
            rest = torch.tensor(sorted(set(range(len(features))) - set(labelled.tolist())))
            labelled = torch.cat([labelled, rest[select_for_labelling(head(features[rest]), 10, method)]])
    return scores


contest = {}
for method in tqdm(("random", "entropy", "margin"), desc="methods", file=sys.stdout):
    repeated = [race(method, seed) for seed in range(8)]
    contest[method] = [
        (10 * (i + 1), *mean_interval([scores[i] for scores in repeated])) for i in range(6)
    ]
print("number of labels: points gained")
for method in ("entropy", "margin"):
    gains = [100 * (a[1] - b[1]) for a, b in zip(contest[method], contest["random"], strict=True)]
    print(f"{method:8} - random:", ", ".join(f"{10 * (i + 1)}: {g:+.1f}" for i, g in enumerate(gains)))
plots.label_curves(contest, {}, len(new.validation), "validation accuracy (%)")

# %% [markdown]
# *What is seen: three curves from one common point, means of eight runs with 95 % intervals, all measured just now. Where
# the intervals overlap, this figure does not show that one method is better.*
#
# **Question.** Look for label counts at which entropy or margin is no better, or worse, than random. What can go wrong
# with ten at a time, and with a network that was trained on few labels?
#
# <details><summary>Answer</summary>
#
# Ten images chosen at once can be nearly the same: all of them are hard for one reason, so together they add little. And the
# uncertainty of a network that was trained on ten labels is unreliable: it may choose unusual images that teach little. Random
# images are distributed like the test images, and are a strong baseline as long as there are few labels.
#
# </details>

# %% [markdown]
# ## Part 5: smaller networks
#
# ### Exercise 7: learn from a teacher
# *Difficulty 3 of 5, 16 minutes, 3 points*
#
# **Aim:** train a small network on the probabilities of a large one, not on labels alone.
#
# A label says "7". A teacher says "7, a little like 1, and not at all like 0". To give the small probabilities more weight,
# the outputs of both networks are softened by a temperature T (Hinton, Vinyals, Dean 2015):
#
# $$p = softmax(teacher / T) \qquad q = softmax(student / T)$$
# $$loss = weight \cdot T^2 \cdot \underset{images}{mean} \; KL(p \,\|\, q)$$
# $$\qquad\qquad + \; (1 - weight) \cdot \underset{images}{mean} \; CE(student, label)$$
#
# with $KL(p \| q) = \sum_c p_c (\log p_c - \log q_c)$, natural logarithms. The cross-entropy CE has temperature 1. Logits are
# `[n, c]`, labels int64 `[n]`; the result is a scalar tensor, as exact as the logits or more: float64 for float64 logits.
#
# - A gradient reaches the student's logits and **none the teacher's** (`detach`).
# - A probability may be 0 in float32, the teacher's or the student's: work with `log_softmax`.
# - `F.kl_div(log q, p, reduction="batchmean")` is the mean over images of KL(p || q), with log q first.
#
# **Predict:** why T²?
#
# <details><summary>Answer</summary>
#
# Softening divides the logits by T, and with it the gradient, once for the division and once because p and q come closer. T²
# undoes both, so that `weight` means the same at every temperature.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "distillation_loss", "locked": false, "schema_version": 3, "solution": true, "task": false}
def distillation_loss(
    student: Float[Tensor, "n c"], teacher: Float[Tensor, "n c"], labels: Int64[Tensor, " n"], temperature: float, weight: float
) -> Float[Tensor, ""]:
    """weight * T^2 * mean KL(softmax(teacher / T) || softmax(student / T)) + (1 - weight) * cross-entropy with the labels.

    >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    >>> round(distillation_loss(student, teacher, torch.tensor([0]), temperature=2.0, weight=1.0).item(), 4)
    0.4438
    """
    ### BEGIN SOLUTION
    log_q = F.log_softmax(student / temperature, dim=1)
    p = F.softmax(teacher.detach() / temperature, dim=1)
    divergence = F.kl_div(log_q, p, reduction="batchmean")
    return weight * temperature**2 * divergence + (1 - weight) * F.cross_entropy(student, labels)
    ### END SOLUTION


# %%
checks.try_examples(distillation_loss)

# %% nbgrader={"grade": true, "grade_id": "test_distillation_loss", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.finetuning.distillation_loss(distillation_loss)
### BEGIN HIDDEN TESTS
checks.finetuning.distillation_loss(distillation_loss, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# The teacher's probabilities for one image, as they are and softened; the title gives *your* loss, with the weight 1, of a
# student that holds all classes for equally likely. Move the temperature.

# %% tags=["widget", "nbval-ignore-output"]
teacher_logits = measure.predict(base, old.train.images[:600])
unsure = teacher_logits.softmax(1).amax(1).argmin()  # the image for which the teacher has the lowest confidence


def draw_softened(temperature: float):
    columns = {f"T = {t:g}": (teacher_logits[unsure] / t).softmax(0).tolist() for t in dict.fromkeys((1.0, temperature))}
    knows_nothing, teacher = torch.zeros(1, teacher_logits.shape[1]), teacher_logits[unsure][None]
    loss = distillation_loss(knows_nothing, teacher, old.train.labels[:1], temperature, weight=1.0).item()
    figure = plots.softened(data.digits.CLASSES, columns, temperature)
    return figure.update_layout(title_text=f"{figure.layout.title.text}: your loss of a student that knows nothing is {loss:.2f}")


widgets.slider_figure(draw_softened, temperature=widgets.Slider(1.5, 10.0, start=4.0, step=0.5, label="temperature"))

# %% [markdown]
# *What is seen: for each class a mark at temperature 1 and one at the chosen temperature, on a logarithmic axis. Softening
# brings the marks closer to each other; their order does not change. The loss in the title rises with T and then hardly
# changes: the difference to equal marks gets smaller, and T² makes up for it.*
#
# Now a student with a quarter of the parameters, trained on 600 old digits: on the labels alone, and with your loss. Three
# seeds each, **live**.


# %% tags=["nbval-ignore-output"]
small_set = old.train.first(600)


def small_network(seed: int, weight: float, steps: int = 72) -> nn.Module:
    """A network of a quarter of the size, trained with your loss; weight 0 is the labels alone."""
    torch.manual_seed(seed)
    student = models.digits_cnn(width=8).train()
    optimizer, order = torch.optim.AdamW(student.parameters(), lr=5e-3), torch.Generator().manual_seed(seed)
    for _ in range(steps // 12):
        for index in torch.randperm(len(small_set), generator=order).split(50):
            optimizer.zero_grad()
            logits = student(small_set.images[index])
            distillation_loss(logits, teacher_logits[index], small_set.labels[index], temperature=4.0, weight=weight).backward()
            optimizer.step()
    return student.eval()


alone, taught = ([small_network(seed, weight) for seed in range(3)] for weight in (0.0, 0.9))
sizes = [sum(p.numel() for p in network.parameters()) for network in (base, alone[0])]
print(f"{sizes[1]:,} parameters, {sizes[1] / sizes[0]:.0%} of the teacher's {sizes[0]:,}; {len(old.test)} old test images")
for name, found in (("labels alone", alone), ("with the teacher", taught)):
    scores = [accuracy_of(network, old.test) for network in found]
    mean, low, high = mean_interval(scores)
    print(f"{name:17} {', '.join(f'{score:.1%}' for score in scores)}; mean {mean:.1%} [{low:.1%}, {high:.1%}]")
differences = [accuracy_of(b, old.test) - accuracy_of(a, old.test) for a, b in zip(alone, taught, strict=True)]
print("gain of each pair, points:", ", ".join(f"{100 * d:+.1f}" for d in differences))

# %% [markdown]
# **Question.** The teacher was trained on 3,600 images, the student on 600 of them. What did the student get from the
# teacher that is not in its labels?
#
# <details><summary>Answer</summary>
#
# What the teacher learned from the other 3,000: which digits resemble which, and how certain an answer can be. Look at the
# printed pairs before you trust the gain; with three pairs the intervals are wide.
#
# </details>

# %% [markdown]
# ### Exercise 8: recover the accuracy of a compressed network
# *Difficulty 3 of 5, 16 minutes, 3 points*
#
# **Aim:** train a pruned network further, and keep its zeros.
#
# After pruning, the weights that are left were trained together with others that are removed. Some more training lets them
# take over the work of these. This is called *recovery*. But an optimizer changes every weight, also those at 0:
# momentum and the gradient itself make them nonzero again.
#
# - `masks` maps names of parameters to boolean tensors, **true where a weight stays**. In the given network the
#   pruned weights are 0; they must be **exactly 0 after every step**. `recovered.get_parameter(name).data` and `mul_`
#   help.
# - Train on `split.train` only, for `epochs` passes, and choose nothing by the other images: afterwards the validation images
#   say how much was recovered. A parameter that is frozen stays as it is. The loop over its batches is given; write what happens in it: one
#   optimizer step on the cross-entropy (`F.cross_entropy`), as in `teach` in the first cell, and then the
#   masks. Gradients add up until `optimizer.zero_grad()` clears them.
# - Return a new network, in eval mode (after the loop); the given one is not changed. The copy is given below, in train mode.
# - A network whose weights are rounded to a grid (by a parametrization) keeps that grid: only use `get_parameter`, and do
#   not replace its layers.
#
# **Predict:** is it enough to multiply the *gradients* by the masks?
#
# <details><summary>Answer</summary>
#
# If the weight is exactly 0 and the optimizer has no state for it, yes: no gradient, no decay, no step. With a momentum from
# earlier steps, no. Setting the weights back to 0 after each step works in every case.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "recover", "locked": false, "schema_version": 3, "solution": true, "task": false}
def recover(model: nn.Module, masks: dict[str, Bool[Tensor, "..."]], split: data.Split, epochs: int) -> nn.Module:
    """A copy of the network, trained on split.train; weights where a mask is false are 0 after every step.

    >>> images, labels = torch.tensor([[[[1.0, 2.0]]], [[[2.0, 1.0]]]]), torch.tensor([0, 1])
    >>> part = data.Dataset(images, labels, ("left", "right"))
    >>> model, mask = nn.Sequential(nn.Flatten(), nn.Linear(2, 2)), torch.tensor([[True, False], [True, True]])
    >>> model[1].weight.data *= mask
    >>> healed = recover(model, {"1.weight": mask}, data.Split("two", part, part, part, part), epochs=2)
    >>> healed[1].weight[0, 1].item(), healed.training, healed[1].weight.equal(model[1].weight)
    (0.0, False, False)
    """
    recovered, order = copy.deepcopy(model).train(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(recovered.parameters(), lr=2e-3, weight_decay=0.01)
    part = split.train
    passes = [training.shuffled_batches(part.images, part.labels, 64, order) for _ in range(epochs)]
    for images, labels in itertools.chain.from_iterable(passes):
        ### BEGIN SOLUTION
        optimizer.zero_grad()
        F.cross_entropy(recovered(images), labels).backward()
        optimizer.step()
        for name, mask in masks.items():
            recovered.get_parameter(name).data.mul_(mask)
    return recovered.eval()
    ### END SOLUTION


# %%
checks.try_examples(recover)

# %% nbgrader={"grade": true, "grade_id": "test_recover", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.finetuning.recover(recover)
### BEGIN HIDDEN TESTS
checks.finetuning.recover(recover, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Two compressed networks, both made from the network for clothes that comes with the course. One loses the smallest 80 % of
# the weights in each layer. The other keeps all of them at 3 bits: a grid of seven values for each channel. (How to prune and
# how to quantize well are units of their own.) Your `recover` trains each for one pass over 2,500 images. For the second one
# the weights are parametrized: the layer uses the nearest point of its grid, and the gradient passes straight through.


# %% tags=["nbval-ignore-output"]
class OnGrid(nn.Module):
    """The weight that the layer uses: the nearest point of its grid, also during training."""

    def __init__(self, grid: lib.Grid):
        super().__init__()
        self.grid = grid

    def forward(self, weight: Tensor) -> Tensor:
        return quantization.FakeQuantize.apply(weight, self.grid.scale, 0, self.grid.bits).clamp(-3 * self.grid.scale, 3 * self.grid.scale)


clothes = data.load_fashion()
lesson = data.Split("fashion", clothes.train.first(2500), clothes.calibration, clothes.validation, clothes.test)
whole = models.load_pretrained("fashion_cnn")
weights = {name: p.detach() for name, p in whole.named_parameters() if p.ndim > 1}
masks = {name: w.abs() > w.abs().flatten().kthvalue(round(0.8 * w.numel())).values for name, w in weights.items()}
pruned = copy.deepcopy(whole)
with torch.no_grad():
    for name, mask in masks.items():
        pruned.get_parameter(name).mul_(mask)
rounded, grids = lib.round_to_grid(whole, bits=3)
on_grid = copy.deepcopy(rounded)
for name, grid in grids.items():
    parametrize.register_parametrization(on_grid.get_submodule(name.rpartition(".")[0]), "weight", OnGrid(grid))
healed = recover(pruned, masks, lesson, epochs=1)
refined = recover(on_grid, {}, lesson, epochs=1)
for name in grids:
    parametrize.remove_parametrizations(refined.get_submodule(name.rpartition(".")[0]), "weight", leave_parametrized=True)
networks = {"whole": whole, "pruned": pruned, "pruned, recovered": healed, "3 bits": rounded, "3 bits, recovered": refined}
zeros = all(not healed.get_parameter(name)[~mask].any() for name, mask in masks.items())
points_kept = all(grid.holds(refined.get_parameter(name)) for name, grid in grids.items())
print(f"every pruned weight is exactly 0 after recovery: {zeros}; sparsity {metrics.sparsity(healed):.1%}")
print(f"every weight of the 3-bit network lies on its grid after recovery: {points_kept}")
passports = measure.passports(networks, clothes, repeats=3)
measure.compare(passports)

# %% tags=["nbval-ignore-output"]
scores = {one.name: one.accuracy for one in passports}
plots.grouped_accuracy({"clothes, validation": scores}, {"clothes, validation": len(clothes.validation)})

# %% [markdown]
# *What is seen: five bars with 95 % intervals. Both compressed networks are far below the original one, and both recover most
# of the loss after one short pass.*
#
# **Question.** The size in the passports is the same for all five. Why? And what would have to happen to gain from the zeros
# and from the seven values?
#
# <details><summary>Answer</summary>
#
# Zeros and grid points are stored here as 32-bit floats like any other number. There is a gain when only the remaining weights
# are stored, or codes of 3 bits with a scale, and when a kernel computes with them. Units 01, 02 and 05 are about that.
#
# </details>

# %% [markdown]
# ## The numbers, once
#
# Everything is chosen: LoRA with rank 2 from 50 labels, your layers, your step, your freeze. Now the test images of the
# new task, for the network as it was and for the one with its adapters merged.

# %% tags=["nbval-ignore-output"]
last = measure.passports({"as it was": base, "adapted": merged}, new, part="test", repeats=8)
measure.compare(last)

# %% tags=["nbval-ignore-output"]
passport_plots.accuracy_against_bytes(last)

# %% [markdown]
# *What is seen: two points with their 95 % intervals at the same size. Adapting has changed the accuracy, and not the number
# of bytes.*
#
# And how fast are the adapters beside the weights, before they are merged? What has the old task lost?

# %% tags=["nbval-ignore-output"]
tests = {"new digits": new.test, "old digits": old.test}
for task, part in tests.items():
    was, now = accuracy_of(base, part), accuracy_of(merged, part)
    low, high = metrics.wilson_interval(round(now * len(part)), len(part))
    print(f"{task}: {was:.1%} before, {now:.1%} [{low:.1%}, {high:.1%}] adapted with 50 labels, {len(part)} test images")
image = new.test.images[:1]
with torch.no_grad():
    for name, network in (("as it was", base), ("adapters beside the weights", adapted), ("adapters merged", merged)):
        milliseconds = 1000 * measure.latency(lambda network=network: network(image), repeats=30)[1]
        print(f"one image, {name}: {milliseconds:.2f} ms")

# %% [markdown]
# ## What the numbers say
#
# - **Few labels.** With 20 labels every method that begins with the trained network is better than those that begin without
#   it. With 400 the best methods are about equal: a pretrained start saves labels, and no more than that.
# - **How much must be trained?** On these digits training all weights has the highest mean at every number of labels. LoRA,
#   with a few percent of the parameters, is close behind it, and their intervals overlap. The head alone and the norms alone
#   start lower and stop improving earlier: they have too few parameters.
# - **Forgetting.** Every method that changes what the network computes costs something of the old task, and a small number of
#   trainable parameters does not mean little forgetting: look at LoRA in the figure of part 3. EWC preserves most of the old
#   task at little cost, replay needs the old images, and adapters can be removed.
# - **What was worse.** With 400 labels the head alone and the norms alone fall behind a network trained from scratch. Active
#   learning is no better, or worse, than random while there are few labels. Adapters beside the weights make a forward pass
#   slower until they are merged. Recovery needs labels.
# - **What was not measured.** Other pairs of tasks: between tasks that have nothing in common a trained network may be no
#   better start than a random one. Larger networks, where LoRA's saving of memory matters. Labels that are wrong.

# %% [markdown]
# ## In your own words
#
# Write a paragraph of about 120 words on the figure of accuracy and number of labels: when was it worth to start from the
# trained network? In a class a person marks it with three points: one for two numbers of the figure, *as they came out on
# your machine*, each with how sure it is; one for a reason that rests on something you computed in this unit; and one for
# what the figure cannot show, and how you would find out.

# %% [markdown] nbgrader={"grade": true, "grade_id": "explain_labels", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# Two points of the curves with the spread of their repeats. The frozen features are useful already, so few parameters need
# labels, as the table of trainable parameters shows; with many labels the curves come together. Tasks that are less like the
# first one are not shown; I would take one of other images, and draw both curves again.
# ### END SOLUTION

# %% [markdown]
# ## Five questions

# %% jupyter={"source_hidden": true} tags=["widget", "nbval-ignore-output"]
widgets.quiz(
    [
        widgets.Question(
            "All parameters are frozen, and the network is in train mode. What can still change its answers?",
            ("nothing", "the running statistics of its batch norms", "the weight decay"),
            1,
            "Statistics are averaged in every forward pass in train mode, without any gradient.",
        ),
        widgets.Question(
            "Why does AdamW shrink the weights directly, and not through the gradient?",
            (
                "through the gradient, the decay would be divided by the root of v like any gradient",
                "because it is faster to compute",
                "because biases have no gradient",
            ),
            0,
            "Then weights with large gradients would be decayed less, which is not intended.",
        ),
        widgets.Question(
            "Why may only one factor of LoRA begin at zero?",
            (
                "otherwise the start would not be the given layer",
                "otherwise both gradients are always 0",
                "otherwise the rank is too large",
            ),
            1,
            "The gradient of each factor is multiplied by the other one.",
        ),
        widgets.Question(
            "Whose Fisher information does EWC need?",
            ("that of the new task", "that of the old task", "that of both together"),
            1,
            "It says which weights the old task depends on. The penalty keeps these near their old values.",
        ),
        widgets.Question(
            "Entropy beats random in one race of active learning. What do you know?",
            (
                "that entropy is better on these data",
                "that it is better with few labels",
                "little: races differ, so repeat them and look at the intervals",
            ),
            2,
            "The beginning is drawn at random, and ten labels more or less decide much.",
        ),
    ]
)

# %% [markdown]
# ## Papers
#
# - Howard and Ruder 2018, *Universal Language Model Fine-tuning for Text Classification*: rates by layer, gradual
#   unfreezing.
# - Kingma and Ba 2015, *Adam*; Loshchilov and Hutter 2019, *Decoupled Weight Decay Regularization*: exercise 3.
# - Hu et al. 2022, *LoRA: Low-Rank Adaptation of Large Language Models*: exercise 4. Dettmers et al. 2023, *QLoRA*: the same over a
#   4-bit base.
# - Frankle, Schwab, Morcos 2021, *Training BatchNorm and Only BatchNorm*: how far the norms alone can go.
# - Kirkpatrick et al. 2017, *Overcoming Catastrophic Forgetting in Neural Networks*: exercise 5. Li, Grandvalet, Davoine 2018, *Explicit
#   Inductive Bias for Transfer Learning*: pull all weights back equally.
# - Settles 2009, *Active Learning Literature Survey*: exercise 6. Sener and Savarese 2018, *Active Learning for Convolutional Neural
#   Networks: A Core-Set Approach*: choose images that differ.
# - Hinton, Vinyals, Dean 2015, *Distilling the Knowledge in a Neural Network*: exercise 7.
# - Han et al. 2015, *Learning both Weights and Connections for Efficient Neural Networks*: exercise 8.
#
# ## If you want more
#
# 1. **Gradual unfreezing.** `lib.gradual_unfreezing` with `lib.stages_from_the_end(base)`: does it beat all weights at once
#    with 20 labels? Repeat with five draws before you answer.
# 2. **Choose images that differ.** Add `lib.core_set` on the features to the comparison of part 4. It uses the images and not
#    the network's uncertainty.
# 3. **QLoRA.** `lib.add_qlora` puts adapters over 4-bit weights. How many bytes does it take, and how much does it lose?
# 4. **Distil features.** `lib.distill` with `layers=` also compares the outputs of inner layers. Does the small network gain
#    more?
# 5. **Rotated clothes.** Adapt the network for clothes to `data.load_corrupted_fashion("rotation")` and draw the
#    figure of part 3 for it.
#
# Words of this unit in the glossary: [fine-tuning](../glossary.md#fine-tuning), [freezing](../glossary.md#freezing), [batch
# norm](../glossary.md#batch-norm), [Adam](../glossary.md#adam), [weight decay](../glossary.md#weight-decay), [learning
# rate](../glossary.md#learning-rate), [LoRA](../glossary.md#lora), [catastrophic
# forgetting](../glossary.md#catastrophic-forgetting), [EWC](../glossary.md#elastic-weight-consolidation), [Fisher
# information](../glossary.md#fisher-information), [active learning](../glossary.md#active-learning),
# [entropy](../glossary.md#entropy), [distillation](../glossary.md#distillation), [KL
# divergence](../glossary.md#kl-divergence), [passport](../glossary.md#passport).
