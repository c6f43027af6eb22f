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
# # 04 Calibration: when the model says 90 %, is it right nine times in ten?
#
# A classifier gives a class and a number that looks like a probability. Many decisions need that number: whether to
# ask a person, whether to raise an alarm, how many classes to offer. In this unit you measure whether the number can
# be trusted, correct it, and then decide with it so that mistakes cost least.
#
# **The question.** A model says for each of almost two thousand people how likely they are to die within five years.
# After an alarm a nurse visits the person. A death without an alarm costs as much as ten unnecessary visits. By how much
# does the cost fall when you do not change the model, but correct its probabilities and the threshold? The answer is
# measured at the end, on people whose data were not used before, with its interval.
#
# **You need** Python and a little PyTorch (tensors, `softmax`). No other unit comes first.
#
# **How it works.** There are twelve exercises; the unit takes about 160 minutes. Replace `raise NotImplementedError`
# with your lines; the course's own answers have at most six. The cell right below tries the examples of the docstring.
# The next one checks your function on many more calls and says in a sentence what is wrong. Run both as often as you
# like. A mistake costs only its own exercise. The figures use *your* functions, so they show your work. In a terminal,
# `posttrain-lab check 04` shows the points of the whole notebook. The [glossary](../glossary.md) explains the terms of
# the field.
#
# **Which examples for what.** Everything that is fitted, a temperature or a curve, is fitted on *calibration* examples.
# Choices are made on *validation* examples. The *test* examples are used once, at the end.

# %% tags=["setup"]
import copy
import math
import sys
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from posttrain_lab import calibration as lib
from posttrain_lab import checks, data, finetuning, measure, models, widgets
from posttrain_lab.experiments import compressed_confidences
from posttrain_lab.plots import calibration as plots
from posttrain_lab.plots.start_here import gallery

torch.set_num_threads(1)  # one thread: sums come out the same at every run
torch.manual_seed(0)
split = data.load_fashion()
model = models.load_pretrained("fashion_cnn").to(memory_format=torch.channels_last)


def minimum(loss: Callable[[Tensor], Tensor], start: list[float]) -> list[float]:
    """Where is a smooth loss smallest? L-BFGS in float64; `loss` gets the numbers as one tensor [k] (exercises 5, 6)."""
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    options = {"max_iter": 200, "tolerance_grad": 1e-10, "tolerance_change": 1e-14, "line_search_fn": "strong_wolfe"}
    optimizer = torch.optim.LBFGS([x], **options)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(x)
        value.backward()
        return value

    optimizer.step(closure)
    return x.tolist()


def curve_through(values: Tensor, heights: list[float]) -> Callable[[Tensor], Tensor]:
    """The function that is linear between the points (values, heights) and constant outside them (exercise 7)."""
    return lambda points: torch.from_numpy(np.interp(points, values, heights))


def answers(part: lib.Predictions, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
    """The answers of softmax(logits / temperature): their confidence [n], and whether they are right, bool [n]."""
    confidence, predicted = lib.softmax(part.logits / temperature).max(dim=1)
    return confidence.clamp(max=1.0), predicted == part.labels


# %% [markdown]
# ## Where we start
#
# First the network of the course, which sorts images of clothes into ten classes. We run it once on all calibration and
# all validation images, and store its logits. Everything in parts 1 and 2 works on these two tables of numbers.

# %% tags=["nbval-ignore-output"]
fitting = compressed_confidences.fitting_predictions(model, split)
calibration, validation = fitting.calibration, fitting.validation
confidence, correct = answers(validation)
print(f"{len(correct)} validation images, accuracy {correct.double().mean():.1%}, mean confidence {confidence.mean():.1%}")
for low in (0.5, 0.9, 0.99):
    sure = confidence >= low
    print(f"confidence {low} or more: {sure.sum()} answers, {(~correct[sure]).sum()} of them wrong")

# %% [markdown]
# **Predict.** The network is a little too sure, or *overconfident*: its mean confidence is above its accuracy. The same
# network with most of its weights removed and the rest in few bits is much less accurate.

# %% tags=["widget", "nbval-ignore-output"]
widgets.predict(
    "The weights of a network are rounded to 2 bits, and most of its accuracy is lost. What does its confidence do?",
    ["it falls as much", "it falls less: the network is overconfident", "it falls more: the network is underconfident"],
    "The section 'Bits and zeros' measures twenty such networks.",
)

# %% [markdown]
# ## Part 1: how far is the confidence from the accuracy?
#
# The [confidence](../glossary.md#confidence) is the probability that the model gives to its answer. It is *calibrated*
# when, among all answers with confidence 0.8, eight in ten are right, and so for every confidence. A single answer is right
# or wrong, so this can be measured in groups only.
#
# ### Exercise 1: expected calibration error
# *Difficulty 2 of 5, 14 minutes, 3 points*
#
# **Aim:** sort answers into bins by confidence, and compare the mean confidence with the accuracy (hit rate) in each bin.
#
# $$ECE = \sum_b \frac{n_b}{n} \left| \text{hit rate}_b - \text{mean confidence}_b \right|$$
#
# Bins have equal width and are closed on the right: bin $b$ of $1 … bins$ holds
# $(b-1)/bins < confidence \le b/bins$, and a confidence of 0 is in the first bin. Empty bins add nothing. With the weights
# $n_b / n$ every answer counts equally. Confidences are `float [n]`, `correct` is `bool [n]`; the result is a
# plain float.
#
# A useful identity: $n_b \cdot (\text{mean confidence}_b - \text{hit rate}_b)$ is the sum of *confidence − correct*
# over the bin.
#
# **Predict:** 100 answers with confidence 0.9, all right, and 100 answers with confidence 0.9, 80 of them right, in
# one bin. What is the ECE of the bin?
#
# <details><summary>Answer</summary>
#
# 180 of 200 are right: 90 %. The ECE is 0. A bin has only its mean; the difference of the two groups is not measured.
# A small ECE does not mean that every answer has the right probability.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "expected_calibration_error", "locked": false, "schema_version": 3, "solution": true, "task": false}
def expected_calibration_error(confidence: Float[Tensor, " n"], correct: Bool[Tensor, " n"], bins: int = 15) -> float:
    """The mean gap between hit rate and confidence, in bins of equal width that are closed on the right.

    ECE = sum_b (n_b / n) |hit rate of bin b - mean confidence of bin b|; 0 is in the first bin, empty bins add nothing.

    >>> confidence, correct = torch.tensor([0.25, 0.5, 0.75, 1.0]), torch.tensor([True, False, True, True])
    >>> expected_calibration_error(confidence, correct, bins=2)  # 0.5 belongs to the lower bin
    0.125
    """
    ### BEGIN SOLUTION
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    bin_of = torch.bucketize(confidence.double(), edges[1:-1])
    gaps = torch.zeros(bins, dtype=torch.float64).index_add_(0, bin_of, confidence.double() - correct.double())
    return gaps.abs().sum().item() / len(confidence)
    ### END SOLUTION


# %%
checks.try_examples(expected_calibration_error)

# %% nbgrader={"grade": true, "grade_id": "test_expected_calibration_error", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.calibration.expected_calibration_error(expected_calibration_error)
### BEGIN HIDDEN TESTS
checks.calibration.expected_calibration_error(expected_calibration_error, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# The *reliability diagram* shows the bins themselves. Dividing all logits by a *temperature* T makes the network less
# confident (T above 1) or more confident (below). Move it. The title gives your ECE.


# %% tags=["widget", "nbval-ignore-output"]
def draw_reliability(temperature: float):
    confidence, correct = answers(validation, temperature)
    seen = lib.reliability(confidence, correct, bins=15)
    ece, accuracy = expected_calibration_error(confidence, correct), correct.double().mean()
    title = f"T = {temperature:.2f}: ECE {ece:.3f}, accuracy {accuracy:.1%}"
    return plots.reliability_diagram(seen.confidence, seen.hit_rate, seen.count, title)


widgets.slider_figure(draw_reliability, temperature=widgets.Slider(0.4, 3.0, start=1.0, step=0.05, label="temperature T"))

# %% [markdown]
# *What is seen: above, a dot for each bin, with the dashed line of perfect calibration and a bar for each gap; below,
# how many answers each bin holds. At T = 1 the dots lie a little below the line. With a larger T they rise above it,
# with a smaller T they fall far below. Most answers are in the last bin.*
#
# **Question.** Look at the accuracy in the title while you move T. Why does it never change? And which dots would you
# not trust?
#
# <details><summary>Answer</summary>
#
# Dividing a row of logits by a positive number keeps their order, so the largest stays the largest. Do not trust dots of
# bins with few answers; they vary much by chance: a bin with ten answers has hit rates in steps of 0.1.
#
# </details>

# %% [markdown]
# ### Exercise 2: bins of equal mass
# *Difficulty 3 of 5, 10 minutes, 2 points*
#
# **Aim:** let each bin hold about equally many answers.
#
# Most confidences lie near 1, so most bins of equal width are nearly empty. Now the rank decides the bin. For an answer
# with $r$ *strictly smaller* confidences,
#
# $$bin = \left\lfloor \frac{r \cdot bins}{n} \right\rfloor$$
#
# and the sum is the one of exercise 1. Answers with equal confidences have the same $r$, so they are in the same bin.
# `bins` is at most n.
#
# **Predict:** someone sorts the answers and cuts the list into equal parts. Ten answers with the same confidence lie
# on a cut, five are right and come first. What is wrong with the result?
#
# <details><summary>Answer</summary>
#
# It depends on the order of equal confidences in the list: five right ones in one bin, five wrong ones in the
# next, and so two gaps where there is none. Another order would give another ECE for the same model.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "adaptive_ece", "locked": false, "schema_version": 3, "solution": true, "task": false}
def adaptive_ece(confidence: Float[Tensor, " n"], correct: Bool[Tensor, " n"], bins: int = 15) -> float:
    """The calibration error in bins that hold about n / bins answers each: bin = floor(r * bins / n), r = how many are smaller.

    >>> confidence, correct = torch.tensor([0.5, 0.75, 0.5, 0.75]), torch.tensor([False, True, False, True])
    >>> adaptive_ece(confidence, correct, bins=2)
    0.375
    >>> adaptive_ece(torch.full((4,), 0.5), correct, bins=2)  # equal confidences share one bin
    0.0
    """
    ### BEGIN SOLUTION
    smaller = torch.searchsorted(confidence.sort().values, confidence.contiguous())
    bin_of = smaller * bins // len(confidence)
    gaps = torch.zeros(bins, dtype=torch.float64).index_add_(0, bin_of, confidence.double() - correct.double())
    return gaps.abs().sum().item() / len(confidence)
    ### END SOLUTION


# %%
checks.try_examples(adaptive_ece)

# %% nbgrader={"grade": true, "grade_id": "test_adaptive_ece", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.calibration.adaptive_ece(adaptive_ece)
### BEGIN HIDDEN TESTS
checks.calibration.adaptive_ece(adaptive_ece, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# How much do the bins matter? We also measure what chance alone gives: right and wrong answers are drawn at random so that
# every confidence is exactly the probability of being right. (Twenty draws for each number of bins.)

# %% tags=["nbval-ignore-output"]
numbers = (2, 5, 10, 15, 30, 60, 120)
drawn = torch.rand(20, len(confidence), generator=torch.Generator().manual_seed(0), dtype=torch.float64) < confidence
curves = {
    "equal width": [expected_calibration_error(confidence, correct, b) for b in numbers],
    "equal mass": [adaptive_ece(confidence, correct, b) for b in numbers],
    "equal mass, by chance alone": [np.mean([adaptive_ece(confidence, hits, b) for hits in drawn]) for b in numbers],
}
plots.error_against_bins(numbers, curves)

# %% [markdown]
# *What is seen: three curves over the number of bins. The two errors are of similar size and grow with the number of
# bins. The third one, of a model that is calibrated by construction, is not zero: it starts near zero and grows too.*
#
# **Question.** A paper reports an ECE of 1.5 points with 100 bins and 2,000 images. What would you ask?
#
# <details><summary>Answer</summary>
#
# What chance alone gives. The absolute value makes every random deviation positive, and small bins have large deviations.
# An ECE without its bins, its n and its chance level says little. `lib.ece_by_chance` and `lib.debiased_error` help.
#
# </details>

# %% [markdown]
# ### Exercise 3: negative log-likelihood
# *Difficulty 2 of 5, 8 minutes, 2 points*
#
# **Aim:** how small is the probability that the model gives to the true class?
#
# $$NLL = -\frac{1}{n} \sum_i \log softmax(logits_i)_{label_i}$$
#
# The mean over examples of minus the natural logarithm of the label's probability. Logits are `float [n, c]`, labels
# `int64 [n]`; the result is a plain float. It must stay right when logits are in the thousands: softmax then gives
# exact zeros, and log 0 is infinite. Logits of classes that are ruled out, never the label's, are $-\infty$.
#
# **Predict:** a model gives the true class probability 0.5, then 0.05, then 0.005. How does the loss grow?
#
# <details><summary>Answer</summary>
#
# By the same amount each time, log 10 ≈ 2.3. Probability 0 for the true class has an infinite loss: this loss has no upper
# limit for confident mistakes.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "nll", "locked": false, "schema_version": 3, "solution": true, "task": false}
def nll(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> float:
    """The mean negative log-likelihood of the labels in nats: -log of each label's probability, from logits of any size.

    >>> nll(torch.tensor([[1000.0, 0.0], [0.0, 1000.0]]), torch.tensor([0, 0]))
    500.0
    """
    ### BEGIN SOLUTION
    return -logits.double().log_softmax(dim=1).gather(1, labels[:, None]).mean().item()
    ### END SOLUTION


# %%
checks.try_examples(nll)

# %% nbgrader={"grade": true, "grade_id": "test_nll", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.calibration.nll(nll)
### BEGIN HIDDEN TESTS
checks.calibration.nll(nll, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 4: Brier score
# *Difficulty 2 of 5, 7 minutes, 2 points*
#
# **Aim:** how large is the squared distance between the probabilities and the true class?
#
# $$Brier = \frac{1}{n} \sum_i \sum_{k=1}^{c} \left( p_{ik} - [label_i = k] \right)^2$$
#
# The mean over examples of the sum over *all* classes, from 0 to 2. $[label_i = k]$ is 1 for the label and 0 for the
# others. Probabilities are `float [n, c]`, labels `int64 [n]`; the result is a plain float. Use the probabilities as they are,
# also where rounding lets a row add up to 0.99. And square the differences themselves: the square expanded,
# $1 - 2p + \ldots$, loses its digits in float32 when p is close to 1, as it is in most rows.
#
# **Predict:** two models give the true class 0.5. One gives 0.5 to one other class, the other spreads 0.5 over five
# classes. Which has the better score?
#
# <details><summary>Answer</summary>
#
# The second: 0.25 + 5 × 0.01 against 0.25 + 0.25. To give 0.5 to one wrong class is worse.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "brier", "locked": false, "schema_version": 3, "solution": true, "task": false}
def brier(probabilities: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> float:
    """The mean over examples of the squared distance to the truth, summed over all classes: 0 is perfect, 2 the worst.

    >>> brier(torch.tensor([[0.5, 0.25, 0.25]]), torch.tensor([0]))
    0.375
    """
    ### BEGIN SOLUTION
    truth = F.one_hot(labels, probabilities.shape[1])
    return (probabilities.double() - truth).square().sum(dim=1).mean().item()
    ### END SOLUTION


# %%
checks.try_examples(brier)

# %% nbgrader={"grade": true, "grade_id": "test_brier", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.calibration.brier(brier)
### BEGIN HIDDEN TESTS
checks.calibration.brier(brier, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Four models on the validation images: the network as trained, a more confident one (logits doubled), a less confident one
# (logits halved), and one that gives every class the same probability for every image. Which is best? All
# numbers come from your functions.

# %% tags=["nbval-ignore-output"]
candidates = {
    "as trained": validation.logits,
    "bolder": 2 * validation.logits,
    "more modest": validation.logits / 2,
    "one in ten, always": torch.zeros_like(validation.logits),
}
scores = {}
for name, logits in candidates.items():
    sure, right = answers(lib.Predictions(logits, validation.labels))
    scores[name] = {
        "accuracy": right.double().mean().item(),
        "ECE": expected_calibration_error(sure, right),
        "NLL": nll(logits, validation.labels),
        "Brier": brier(lib.softmax(logits), validation.labels),
    }
plots.scorecard(scores, larger_is_better=["accuracy"])

# %% [markdown]
# *What is seen: a table of four models and four scores, the best number of each column bold on a dark ground. Three
# models have the same accuracy. The one that says "one in ten" for everything has an ECE of zero, and is the worst by
# every other score.*
#
# **Question.** The fourth model is perfectly calibrated. What is it good for? And which of the scores can you trust to
# choose a model?
#
# <details><summary>Answer</summary>
#
# For nothing: there are equally many images of each class, so "one in ten" is always correct and never useful.
# Calibration alone is easy to reach. NLL and Brier score are *proper*: on average only the true probabilities
# make them smallest, so they reward both accuracy and calibration. Use ECE to find what is wrong, and a proper
# score to choose.
#
# </details>

# %% [markdown]
# ## Part 2: temperature scaling, one parameter
#
# ### Exercise 5: fit a temperature
# *Difficulty 3 of 5, 18 minutes, 3 points*
#
# **Aim:** find the T > 0 for which softmax(logits / T) has the smallest negative log-likelihood.
#
# $$T = \arg\min_{T > 0} NLL(logits / T,\; labels)$$
#
# The result is a plain float; all temperatures of this course lie between 0.05 and 20. Any method that converges is fine:
# the check allows 1 %. `minimum(loss, start)` of the setup cell minimizes a smooth loss of a few parameters. `start` is a list
# of their starting values, and the result is a list too. The loss gets the parameters as a tensor and must return a tensor
# that has a gradient: `F.cross_entropy(logits, labels)` is the NLL as such a tensor, where your `nll` is a plain
# float. A trick for keeping T positive: use $\log T$ as the parameter.
#
# **Predict:** the network is a little too sure. Will T be above or below 1?
#
# <details><summary>Answer</summary>
#
# Above: larger T, smaller differences between logits, smaller confidence.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "fit_temperature", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fit_temperature(logits: Float[Tensor, "n c"], labels: Int[Tensor, " n"]) -> float:
    """The T > 0 that divides the logits so that softmax(logits / T) has the smallest negative log-likelihood.

    >>> logits, labels = torch.tensor([[2.0, 0.0]] * 4), torch.tensor([0, 0, 0, 1])
    >>> round(fit_temperature(logits, labels), 2)  # three of four are right: 2 / T = log 3
    1.82
    """
    ### BEGIN SOLUTION
    log_t = minimum(lambda x: F.cross_entropy(logits.double() / x.exp(), labels), [0.0])[0]
    return math.exp(log_t)
    ### END SOLUTION


# %%
checks.try_examples(fit_temperature)

# %% nbgrader={"grade": true, "grade_id": "test_fit_temperature", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.calibration.fit_temperature(fit_temperature)
### BEGIN HIDDEN TESTS
checks.calibration.fit_temperature(fit_temperature, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
temperature = fit_temperature(calibration.logits, calibration.labels)
for name, t in (("as trained", 1.0), ("your T", temperature)):
    sure, right = answers(validation, t)
    print(
        f"{name:10} T = {t:.3f}: validation accuracy {right.double().mean():.2%}, "
        f"ECE {expected_calibration_error(sure, right):.4f}, NLL {nll(validation.logits / t, validation.labels):.4f}"
    )
some = torch.logspace(-0.6, 0.6, 41).tolist()
curves = {
    "calibration images (fitted here)": [nll(calibration.logits / t, calibration.labels) for t in some],
    "validation images": [nll(validation.logits / t, validation.labels) for t in some],
}
plots.loss_against_temperature(some, curves, temperature)

# %% [markdown]
# *What is seen: two curves over the temperature, each with one minimum, one for the images on which T was fitted and one for
# others. They lie close together, and their minima are nearly at the same T, marked by a line.*
#
# **Question.** T was fitted on a thousand images that the network was not trained on. What would you expect from T
# fitted on the training images?
#
# <details><summary>Answer</summary>
#
# There the network is right more often than on new images, so its large confidences look justified. T would be too small,
# perhaps below 1, and calibration on new images would become worse.
#
# </details>

# %% [markdown]
# ## Part 3: decide so that mistakes cost least
#
# **The data.** Blood values of people of fifty or more in one county of Minnesota, taken between 1995 and 2003, and
# whether they died within five years (data set `flchain` of the R package `survival`, from a study of the Mayo
# Clinic). Who is in it: people who came to one clinic and agreed. Who is not: the young, and people from elsewhere; the
# people of that county were mostly white. People for whom the five years are not known are left out; where creatinine is
# missing, the median takes its place and a feature says so. **It must not be used** for decisions about any real
# person (care, insurance, work, credit), for statements about causes, or to find out who these people were. The costs
# below are invented for teaching. The whole data card comes with the package: `posttrain_lab/data/files/flchain_card.md`.
#
# **The models.** *Naive Bayes* multiplies the likelihoods of the features as if these were independent. They are not, so it
# counts the same information twice. *Logistic regression* weights them together. Both are fitted on the train part. A score
# is the log-odds $\log (p / (1 - p))$ of the probability p of death that a model predicts.

# %% tags=["nbval-ignore-output"]
people = data.load_mortality()
parts = {"calibration": people.calibration, "validation": people.validation}
nurses = {"naive Bayes": lib.fit_naive_bayes(people.train), "logistic": lib.fit_logistic_regression(people.train)}
scores = {name: {part: lib.log_odds(m(d.images)).float() for part, d in parts.items()} for name, m in nurses.items()}
died = {part: d.labels for part, d in parts.items()}
for part, labels in died.items():
    print(f"{part}: {len(labels)} people, {int(labels.sum())} died within five years")
for name in nurses:
    p = scores[name]["validation"].double().sigmoid()
    high = p >= 0.9
    print(f"{name:11} claims 0.9 or more for {int(high.sum())} people; of these {int(died['validation'][high].sum())} died")

# %% [markdown]
# ### Exercise 6: Platt scaling
# *Difficulty 3 of 5, 12 minutes, 3 points*
#
# **Aim:** turn a score into a probability by a linear function of the log-odds.
#
# $$p = sigmoid(a \cdot score + b)$$
#
# The pair (a, b) of plain floats minimizes the mean of the *cross entropy* $-t \log p - (1 - t) \log(1 - p)$. With labels
# 0 and 1 for t this is the NLL of exercise 3 for two classes. Here t is not the label, but Platt's target:
#
# | label | target |
# |---|---|
# | 1, of which there are $N_1$ | $(N_1 + 1) / (N_1 + 2)$ |
# | 0, of which there are $N_0$ | $1 / (N_0 + 2)$ |
#
# They are a little inside of 0 and 1, so that a and b stay finite even when a threshold separates the classes.
# `F.binary_cross_entropy_with_logits(logits, targets)` takes such targets. Scores are `float [n]`, labels `int64 [n]`.
# Any method that converges is fine, such as `minimum` of the setup cell: the check allows 0.4 %, and 0.002 more for b.
#
# **Predict:** temperature scaling has one parameter, and a score of 0 stays at probability one half. What does b add?
#
# <details><summary>Answer</summary>
#
# It moves the score that stands for one half. When one class is rare and a model was trained as if both were common, all
# scores are too large by the same amount; no temperature corrects that.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "fit_platt", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fit_platt(scores: Float[Tensor, " n"], labels: Int[Tensor, " n"]) -> tuple[float, float]:
    """The line (a, b) for which sigmoid(a * score + b) has the smallest cross entropy with Platt's targets.

    The targets are (N1 + 1) / (N1 + 2) for label 1 and 1 / (N0 + 2) for label 0, with N1 and N0 their numbers.

    >>> a, b = fit_platt(torch.tensor([-1.0, -1.0, 1.0, 1.0]), torch.tensor([0, 0, 1, 1]))
    >>> round(a, 3), round(abs(b), 3)  # sigmoid(a) = 3/4 and sigmoid(-a) = 1/4
    (1.099, 0.0)
    """
    ### BEGIN SOLUTION
    ones, zeros = int((labels == 1).sum()), int((labels == 0).sum())
    targets = torch.where(labels == 1, (ones + 1) / (ones + 2), 1 / (zeros + 2)).double()
    a, b = minimum(lambda x: F.binary_cross_entropy_with_logits(x[0] * scores.double() + x[1], targets), [1.0, 0.0])
    return a, b
    ### END SOLUTION


# %%
checks.try_examples(fit_platt)

# %% nbgrader={"grade": true, "grade_id": "test_fit_platt", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.calibration.fit_platt(fit_platt)
### BEGIN HIDDEN TESTS
checks.calibration.fit_platt(fit_platt, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 7: isotonic regression, any rising curve
# *Difficulty 5 of 5, 20 minutes, 4 points*
#
# **Aim:** find the curve that never falls and has the smallest squared distance to the labels (*isotonic regression*).
#
# First, examples with equal scores are one point: their mean label, with their number as its weight. This is done for
# you. Then *pool adjacent violators*: go through the points from the left, and build a list of blocks, each with its
# mean, its weight and the number of points in it. Each point begins as a block of its own. While the last block's mean
# is below that of the block before it, pool the two:
#
# $$\text{mean} = \frac{w_1 m_1 + w_2 m_2}{w_1 + w_2} \qquad \text{weight} = w_1 + w_2$$
#
# The mean of a pooled block may be below the one before *it*, so compare again. At the end all points of a block get its
# mean, and `curve_through(values, heights)` returns the function that is linear between two neighbouring
# scores and constant below the first and above the last. That function can be called as often as one likes; another fit, or
# other numbers in `scores` afterwards, do not change it.
#
# **Predict:** scores 1, 2, 3, 4 with labels 0, 1, 0, 0. What are the heights?
#
# <details><summary>Answer</summary>
#
# 0, then the last three have their mean 1/3. Pooling 1 and 0 gives 1/2; the next 0 is below it and is pooled too: the
# block of two has weight two, (2 · 1/2 + 1 · 0) / 3.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "fit_isotonic", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fit_isotonic(scores: Float[Tensor, " n"], labels: Int[Tensor, " n"]) -> Callable[[Tensor], Tensor]:
    """The rising curve nearest to the labels, as a function of points [m]: linear between scores, constant outside.

    >>> curve = fit_isotonic(torch.tensor([4.0, 1.0, 2.0, 3.0]), torch.tensor([0, 0, 1, 0]))
    >>> [round(p, 3) for p in curve(torch.tensor([0.0, 1.5, 3.0, 9.0])).tolist()]
    [0.0, 0.167, 0.333, 0.333]
    """
    values, place = scores.double().unique(return_inverse=True)  # the different scores, rising
    weights = torch.bincount(place).double()
    means = torch.bincount(place, weights=labels.double()) / weights
    blocks = []  # each: mean, weight, how many scores
    ### BEGIN SOLUTION
    for mean, weight in zip(means.tolist(), weights.tolist(), strict=True):
        blocks.append((mean, weight, 1))
        while len(blocks) > 1 and blocks[-1][0] < blocks[-2][0]:
            (m1, w1, k1), (m2, w2, k2) = blocks.pop(-2), blocks.pop()
            blocks.append(((w1 * m1 + w2 * m2) / (w1 + w2), w1 + w2, k1 + k2))
    return curve_through(values, [mean for mean, _, size in blocks for _ in range(size)])
    ### END SOLUTION


# %%
checks.try_examples(fit_isotonic)

# %% nbgrader={"grade": true, "grade_id": "test_fit_isotonic", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
checks.calibration.fit_isotonic(fit_isotonic)
### BEGIN HIDDEN TESTS
checks.calibration.fit_isotonic(fit_isotonic, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Both of your curves for naive Bayes, fitted on the people of the calibration part. The circles show other people, those of
# the validation part, in twelve groups of equal size, ordered by score.

# %% tags=["nbval-ignore-output"]
a, b = fit_platt(scores["naive Bayes"]["calibration"], died["calibration"])
isotonic = fit_isotonic(scores["naive Bayes"]["calibration"], died["calibration"])
grid = torch.linspace(-8, 12, 161)
order = scores["naive Bayes"]["validation"].argsort()
groups = [group for group in order.tensor_split(12)]
middle = [scores["naive Bayes"]["validation"][g].clamp(-8, 12).mean() for g in groups]
share = [died["validation"][g].double().mean() for g in groups]
maps = {"as claimed": grid.sigmoid(), "Platt": (a * grid + b).sigmoid(), "isotonic": isotonic(grid)}
plots.probability_maps({name: (grid, p) for name, p in maps.items()}, (middle, share))

# %% [markdown]
# *What is seen: three rising curves over the log-odds that naive Bayes predicts. "As claimed" goes to 1 soon after 0; the
# circles stay far below it on the right and above it on the left. Platt's curve is so flat that it is too high for some circles
# and too low for others. The isotonic curve is a staircase near the circles.*
#
# **Question.** Platt's curve misses the circles although it was fitted correctly. Why? And why not always take
# the isotonic one?
#
# <details><summary>Answer</summary>
#
# A function that is linear in the log-odds cannot fit: the scores of naive Bayes become very large on the right, but the share
# of deaths does not rise any more there. The true curve is not in the family of Platt's curves. The isotonic curve assumes only
# that a higher score means a higher risk, but it can overfit: with few people its steps follow chance. Here its lowest step
# claims a risk of exactly 0, only because none of these people died.
#
# </details>

# %% [markdown]
# ### Exercise 8: from costs to a threshold
# *Difficulty 1 of 5, 4 minutes, 1 point*
#
# **Aim:** from which probability on is an alarm the cheaper choice?
#
# An alarm for a person with risk p costs $(1 - p) \cdot c_{fp}$ on average, no alarm costs $p \cdot c_{fn}$. They are
# equal at
#
# $$threshold = \frac{c_{fp}}{c_{fp} + c_{fn}}$$
#
# **Predict:** a miss costs ten false alarms. Is the threshold above or below 0.1?
#
# <details><summary>Answer</summary>
#
# Slightly below: 1/11. At p = 1/11 there are ten healthy people for each sick one, and ten false alarms cost one miss.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "bayes_threshold", "locked": false, "schema_version": 3, "solution": true, "task": false}
def bayes_threshold(cost_fp: float, cost_fn: float) -> float:
    """The probability from which on an alarm is cheaper: cost_fp for a false alarm, cost_fn for a miss, both above 0.

    >>> bayes_threshold(cost_fp=1, cost_fn=9)
    0.1
    """
    ### BEGIN SOLUTION
    return cost_fp / (cost_fp + cost_fn)
    ### END SOLUTION


# %%
checks.try_examples(bayes_threshold)

# %% nbgrader={"grade": true, "grade_id": "test_bayes_threshold", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks.calibration.bayes_threshold(bayes_threshold)
### BEGIN HIDDEN TESTS
checks.calibration.bayes_threshold(bayes_threshold, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 9: what a threshold costs
# *Difficulty 2 of 5, 8 minutes, 2 points*
#
# **Aim:** what is the average cost per person when every p ≥ threshold raises an alarm?
#
# $$cost = \frac{1}{n} \left( c_{fp} \cdot \#\{p \ge t,\, y = 0\} + c_{fn} \cdot \#\{p < t,\, y = 1\} \right)$$
#
# The mean is over *all* n people; right decisions cost nothing. p is `float [n]`, y is `int64 [n]`, 0 or 1; the
# result is a plain float. If p equals the threshold there is an alarm.
#
# **Predict:** with threshold 0 everybody gets an alarm. What is the cost per person, if one in eight dies and a false
# alarm costs 1? And an alarm for nobody, if a miss costs 10?
#
# <details><summary>Answer</summary>
#
# 7/8 = 0.875, and 10/8 = 1.25. A model must cost less than the smaller of the two, or it is of no use.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "expected_cost", "locked": false, "schema_version": 3, "solution": true, "task": false}
def expected_cost(p: Float[Tensor, " n"], y: Int[Tensor, " n"], threshold: float, cost_fp: float, cost_fn: float) -> float:
    """The mean cost per person when p >= threshold raises an alarm: cost_fp for a false one, cost_fn for each miss.

    >>> p, y = torch.tensor([0.25, 0.5, 0.75, 0.125]), torch.tensor([0, 0, 1, 1])
    >>> expected_cost(p, y, 0.5, cost_fp=1, cost_fn=10)  # one false alarm, at the threshold, and one miss
    2.75
    """
    ### BEGIN SOLUTION
    alarm = p >= threshold
    cost = cost_fp * (alarm & (y == 0)) + cost_fn * (~alarm & (y == 1))
    return cost.double().mean().item()
    ### END SOLUTION


# %%
checks.try_examples(expected_cost)

# %% nbgrader={"grade": true, "grade_id": "test_expected_cost", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.calibration.expected_cost(expected_cost)
### BEGIN HIDDEN TESTS
checks.calibration.expected_cost(expected_cost, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Cost against threshold on the people of the validation part, where a miss costs as much as ten false alarms: naive Bayes as it
# is, with both of your maps, and a trivial model that gives everyone the share of deaths. The curves are your `expected_cost`;
# the bands are bootstrap intervals: people are resampled many times with replacement, and 95 % of the costs lie in the band.

# %% tags=["nbval-ignore-output"]
FALSE_ALARM, MISS = 1, 10
p_of = {
    "as it is": scores["naive Bayes"]["validation"].double().sigmoid(),
    "Platt": (a * scores["naive Bayes"]["validation"].double() + b).sigmoid(),
    "isotonic": isotonic(scores["naive Bayes"]["validation"]),
    "the same for everyone": torch.full((len(died["validation"]),), died["calibration"].double().mean(), dtype=torch.float64),
}
thresholds = torch.logspace(-2.3, 0, 47, dtype=torch.float64)
curves = {}
for name, p in p_of.items():
    band = lib.cost_curve(p, died["validation"], (FALSE_ALARM, MISS), thresholds)
    cost = [expected_cost(p, died["validation"], t, FALSE_ALARM, MISS) for t in thresholds.tolist()]
    curves[name] = list(zip(cost, band.low.tolist(), band.high.tolist(), strict=True))
plots.cost_against_threshold(thresholds, curves, bayes_threshold(FALSE_ALARM, MISS))

# %% [markdown]
# *What is seen: four curves with bands over the threshold on a logarithmic axis, and a line at Bayes' threshold. The
# trivial model jumps from one level, alarm for all, to a higher one, alarm for none. The isotonic curve is lowest at and
# around the line. "As it is" is flat and low over a wide range to the left of it. Platt's curve has a narrow low part to the
# right of the line.*
#
# **Question.** "As it is" costs nearly as little as "isotonic" at the line, although its probabilities are wrong. How
# can that be? And what would you do about Platt's curve?
#
# <details><summary>Answer</summary>
#
# The cost at one threshold depends only on who lies above and who below it, not on how far. Naive Bayes predicts numbers near 0
# and 1, so few people lie between 1/11 and one half, and the threshold is nearly the best one by chance. Platt's map gives too
# large a risk to the healthy: its own best threshold would be elsewhere. One could choose the threshold on the validation part
# for each map. But that must be repeated when costs change, whereas calibrated probabilities are right for every cost.
#
# </details>

# %% [markdown]
# ## Part 4: guaranteed coverage
#
# ### Exercise 10: the conformal quantile
# *Difficulty 3 of 5, 10 minutes, 3 points*
#
# **Aim:** find the nonconformity score that a new example exceeds with a probability of at most $\alpha$, for any model.
#
# From here on the *score* is the nonconformity score of an example, $1 - p$ of its true class (in part 3 it was a log-odds): it
# is large when the model gives the true class a small probability. With n scores of calibration examples, the answer is the
# k-th smallest of them,
#
# $$k = \lceil (n + 1)(1 - \alpha) \rceil$$
#
# and infinity when k > n: then there are too few examples for this guarantee. The reason is a matter of counting. The score of
# a new example from the same source has each of the n + 1 ranks among the others with the same probability. The result is a
# plain float.
#
# **Predict:** how many calibration examples does a guaranteed coverage of 90 % need at least?
#
# <details><summary>Answer</summary>
#
# Nine: (9 + 1) · 0.9 = 9, the largest score. With eight, k would be 9, and no score is large enough.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "conformal_quantile", "locked": false, "schema_version": 3, "solution": true, "task": false}
def conformal_quantile(scores: Float[Tensor, " n"], alpha: float) -> float:
    """The k-th smallest score, k = ceil((n + 1)(1 - alpha)); infinity when k > n.

    >>> conformal_quantile(torch.tensor([1.0, 0.25, 0.75, 0.5]), alpha=0.4)
    0.75
    >>> conformal_quantile(torch.tensor([1.0, 0.25, 0.75, 0.5]), alpha=0.1)
    inf
    """
    ### BEGIN SOLUTION
    k = math.ceil((len(scores) + 1) * (1 - alpha))
    return scores.sort().values[k - 1].item() if k <= len(scores) else math.inf
    ### END SOLUTION


# %%
checks.try_examples(conformal_quantile)

# %% nbgrader={"grade": true, "grade_id": "test_conformal_quantile", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
checks.calibration.conformal_quantile(conformal_quantile)
### BEGIN HIDDEN TESTS
checks.calibration.conformal_quantile(conformal_quantile, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 11: sets of classes
# *Difficulty 1 of 5, 4 minutes, 1 point*
#
# **Aim:** list every class whose nonconformity score is not above q.
#
# Class k is in the set of an example when $1 - p_k \le q$, equality included. Probabilities are `float [n, c]`, the
# result is `bool [n, c]`; q may be infinite, and a set may be empty.
#
# **Predict:** what happens to the sets when q grows? And when the model is uncertain?
#
# <details><summary>Answer</summary>
#
# A larger q can only add classes. An uncertain model gives similar probabilities to several classes: if q is large enough, all of
# them are in the set; if q is small, the set may be empty.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "prediction_sets", "locked": false, "schema_version": 3, "solution": true, "task": false}
def prediction_sets(probabilities: Float[Tensor, "n c"], q: float) -> Bool[Tensor, "n c"]:
    """The classes whose nonconformity score is at most q: class k is in the set of example i when 1 - probabilities[i, k] <= q.

    >>> prediction_sets(torch.tensor([[0.75, 0.25], [0.5, 0.5]]), q=0.5)
    tensor([[ True, False],
            [ True,  True]])
    """
    ### BEGIN SOLUTION
    return 1 - probabilities <= q
    ### END SOLUTION


# %%
checks.try_examples(prediction_sets)

# %% nbgrader={"grade": true, "grade_id": "test_prediction_sets", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks.calibration.prediction_sets(prediction_sets)
### BEGIN HIDDEN TESTS
checks.calibration.prediction_sets(prediction_sets, hidden=True)
### END HIDDEN TESTS

# %% [markdown]
# Does the guarantee hold? From the 2,000 validation images we draw 35 at random, fit q on them for a coverage of 90 %, and
# measure on all others how often the true class is in the set. That is done 500 times, with your function and with the plain
# 90 % quantile.

# %% tags=["nbval-ignore-output"]
PROMISE = 0.9
p, labels = lib.softmax(validation.logits / temperature), validation.labels
strange = lib.conformal_scores(p, labels)
generator, kept = torch.Generator().manual_seed(0), {"your quantile": [], "plain quantile": []}
for _ in range(500):
    order = torch.randperm(len(labels), generator=generator)
    few, others = order[:35], order[35:]
    bounds = conformal_quantile(strange[few], 1 - PROMISE), strange[few].quantile(PROMISE).item()
    for name, q in zip(kept, bounds, strict=True):
        inside = prediction_sets(p[others], q).gather(1, labels[others, None])
        kept[name].append(inside.double().mean().item())
plots.coverage_histogram(kept, PROMISE, len(others))

# %% [markdown]
# *What is seen: two histograms of coverage over 500 splits, with a line at 90 %. Both are wide, because 35 images are
# few. The mean of yours, given in the title, lies above the line; that of the plain quantile lies below.*
#
# **Question.** In many splits your coverage is below 90 %. Is the guarantee violated?
#
# <details><summary>Answer</summary>
#
# No. It holds on average over the calibration examples and the new one together. For one given calibration set the
# coverage may be higher or lower; with more examples it varies less. And it holds over all images, not for each kind of image:
# hard classes may be covered less (`lib.class_quantiles` gives a guarantee for each class).
#
# </details>
#
# Now with all thousand calibration images and a higher coverage. Which images get large sets?

# %% tags=["nbval-ignore-output"]
q = conformal_quantile(lib.conformal_scores(lib.softmax(calibration.logits / temperature), calibration.labels), alpha=0.02)
sets = prediction_sets(p, q)
size, right = sets.sum(dim=1), p.argmax(dim=1) == labels
covered = sets.gather(1, labels[:, None]).double().mean()
print(f"1 - q = {1 - q:.4f}; validation coverage {covered:.1%}, mean size {size.double().mean():.2f} classes")
found = [s for s in range(int(size.max()) + 1) if (size == s).any()]
plots.accuracy_by_set_size(found, [int((size == s).sum()) for s in found], [right[size == s].double().mean() for s in found])

# %% [markdown]
# *What is seen: a bar for each size of set. Most images get a single class, and there nearly all answers are right. The larger
# the set, the lower the accuracy of the top answer: the sets are large where the model is often wrong.*


# %% tags=["nbval-ignore-output"]
def names_of(row: Tensor) -> str:
    names = [split.validation.classes[k] for k in row.nonzero().flatten()]
    return "<br>".join(", ".join(names[i : i + 2]) for i in range(0, len(names), 2)) or "(empty)"


shown = torch.cat([(size == s).nonzero().flatten()[:4] for s in (1, 2, 4)])
wide = F.pad(split.validation.images[shown], (10, 10, 0, 4))  # room for the names
gallery(wide, [names_of(sets[i]) for i in shown], columns=4)

# %% [markdown]
# *What is seen: twelve images with the classes of their sets below. The first row has sets of one class: easy cases. In the
# second row there are two classes, in the third four; these are mostly upper garments that a person might confuse too.*
#
# **Question.** Which classes appear together again and again? What would a shop do with such an answer?
#
# <details><summary>Answer</summary>
#
# Shirt, T-shirt, pullover, coat and dress. In images this small they look alike. A shop could ask a person to choose among
# these few classes, instead of showing one wrong class with a high confidence.
#
# </details>

# %% [markdown]
# ### Exercise 12: answer only when the confidence is high
# *Difficulty 3 of 5, 9 minutes, 2 points*
#
# **Aim:** if only the examples with the highest confidence are answered, which share of the answers is wrong?
#
# One point for each of the k different confidences t, from the largest down:
#
# $$coverage(t) = \frac{\#\{confidence \ge t\}}{n}$$
# $$risk(t) = \frac{\#\{confidence \ge t \text{ and wrong}\}}{\#\{confidence \ge t\}}$$
#
# Answers with equal confidences are added together, so the last point is (1, error rate). Confidences are `float [n]`,
# `correct` is `bool [n]`; the result is a pair of float tensors `[k]`.
#
# **Predict:** does temperature scaling help to choose which examples to answer?
#
# <details><summary>Answer</summary>
#
# Hardly: only the order of the confidences matters. For two classes T does not change the order at all, for more
# classes a little. The figure shows it.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "risk_coverage", "locked": false, "schema_version": 3, "solution": true, "task": false}
def risk_coverage(confidence: Float[Tensor, " n"], correct: Bool[Tensor, " n"]) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
    """(coverage, risk): share answered and share wrong among them, one point for each different confidence, largest first.

    >>> coverage, risk = risk_coverage(torch.tensor([0.5, 0.75, 0.5, 1.0]), torch.tensor([True, False, False, True]))
    >>> coverage.tolist(), risk.tolist()
    ([0.25, 0.5, 1.0], [0.0, 0.5, 0.5])
    """
    ### BEGIN SOLUTION
    _, place = (-confidence).unique(return_inverse=True)
    answered = torch.bincount(place).cumsum(dim=0).double()
    wrong = torch.bincount(place, weights=(~correct).double()).cumsum(dim=0)
    return answered / len(confidence), wrong / answered
    ### END SOLUTION


# %%
checks.try_examples(risk_coverage)

# %% nbgrader={"grade": true, "grade_id": "test_risk_coverage", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks.calibration.risk_coverage(risk_coverage)
### BEGIN HIDDEN TESTS
checks.calibration.risk_coverage(risk_coverage, hidden=True)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
sure, right = answers(validation)
scaled_sure, _ = answers(validation, temperature)
top = validation.logits.double().topk(2).values
orders = {
    "as trained": sure,
    "after your T": scaled_sure,
    "two largest logits": torch.sigmoid(top[:, 0] - top[:, 1]),
    "at random": torch.rand(len(sure), generator=torch.Generator().manual_seed(0), dtype=torch.float64),
}
curves = {}
for name, values in orders.items():
    coverage, risk = risk_coverage(values, right)
    curves[name] = coverage[19::20], risk[19::20]  # every twentieth point keeps the notebook small
    at = int((coverage - 0.8).abs().argmin())
    print(f"{name:18} 80 % answered: {risk[at]:.2%} wrong; all: {risk[-1]:.2%}; curve's area {lib.aurc(values, right):.4f}")
plots.risk_against_coverage(curves)

# %% [markdown]
# *What is seen: four curves of the share of wrong answers over the share of answered examples. Three lie on top of each other,
# near zero on the left and rising to the error rate; the random order reaches that level early.*
#
# **Question.** The network was not well calibrated as trained, and still its curve is as good as after scaling. What does
# that say about what calibration is for?
#
# <details><summary>Answer</summary>
#
# For ranking it is not needed; the order is enough. It is needed wherever the number itself is used: costs, thresholds that are
# stated as probabilities, comparing two models, or telling a person how reliable the answer is.
#
# </details>

# %% [markdown]
# ## Distribution shift: when the images change
#
# T was fitted on clean images. In practice images may be rotated, blurred or noisy. Does the confidence fall as fast as the
# accuracy? Each point is measured now, on a thousand validation images.

# %% tags=["nbval-ignore-output"]
thousand = split.validation.first(1000)
cases = [(kind, change, s) for kind, (change, strengths) in compressed_confidences.SHIFTS.items() for s in strengths]
panels = {kind: {name: ([], []) for name in ("accuracy", "confidence", "confidence, your T")} for kind in compressed_confidences.SHIFTS}
for kind, change, strength in tqdm(cases, desc="shifted pictures", unit="shift", file=sys.stdout):
    part = lib.Predictions(measure.predict(model, change(thousand.images, strength)), thousand.labels)
    right = answers(part)[1].double().mean().item()
    for name, value in zip(panels[kind], (right, answers(part)[0].mean(), answers(part, temperature)[0].mean()), strict=True):
        panels[kind][name][0].append(strength)
        panels[kind][name][1].append(float(value))
plots.confidence_under_shift(panels)

# %% [markdown]
# *What is seen: three panels, for rotation, blur and noise, with three curves each: accuracy and mean confidence before and
# after scaling. On the left all three are close. As the images get worse the accuracy falls fastest; both confidences stay far
# above it, the scaled one a little nearer.*
#
# **Question.** What does the temperature, fitted on clean images, guarantee for rotated ones?
#
# <details><summary>Answer</summary>
#
# Nothing. Calibration holds for the source it was fitted on. Under shift it fails where it is needed most, and the network's
# output does not show it. The coverage of the conformal sets fails in the same way. Monitor the inputs, or fit again on a few
# labelled new ones.
#
# </details>

# %% [markdown]
# ### And a network that was adapted
#
# Unit 03 adapts a network to a new task with [LoRA](../glossary.md#lora): low-rank matrices beside frozen weights. Here the new
# task is the clothes rotated by some degrees, with 200 labelled images. Which of the two networks below is calibrated on rotated
# images: the one that was trained on upright ones, or the adapted one? Both are measured with the temperature from
# above, and with one fitted again on rotated calibration images.

# %% tags=["nbval-ignore-output"]
turned = data.load_corrupted_fashion("rotation", severity=3)
few = data.few_labels(turned.train, 200, seed=0)
adapted = finetuning.merge_lora(finetuning.adapt(model, few, "lora", finetuning.AdaptConfig(steps=100)))
print("on rotated images    accuracy   ECE  with your T  with T fitted again")
for name, network in (("trained on upright", model), ("adapted by LoRA", adapted)):
    part = compressed_confidences.fitting_predictions(network, turned)
    again = fit_temperature(part.calibration.logits, part.calibration.labels)
    errors = [expected_calibration_error(*answers(part.validation, t)) for t in (1.0, temperature, again)]
    shown = "{:7.3f} {:9.3f} {:14.3f}".format(*errors)
    print(f"{name:19} {answers(part.validation)[1].double().mean():8.1%} {shown}  (T = {again:.2f})")

# %% [markdown]
# **Question.** Fitting again corrected the confidences of the network that was not adapted. Is it as good as the other one now?
#
# <details><summary>Answer</summary>
#
# No. Its confidences are calibrated, but low, because it is often wrong: compare the accuracies. Adapting increased the accuracy.
# The network that was trained on images of the new kind is also nearly calibrated, so that a new temperature gains little or
# nothing.
#
# </details>

# %% [markdown]
# ## Bits and zeros
#
# What do pruning and few bits do to the confidences? Twenty networks are made now from the one above: the smallest weights set to
# zero (none, 50, 70, 80 %), the others stored in 32, 8, 4, 3 or 2 bits with a scale for each channel. Nothing is trained again.
# For each we measure your ECE on the validation images, with the temperature of the network before compression and with
# one that *your* `fit_temperature` finds for it on the calibration images.

# %% tags=["nbval-ignore-output"]
columns, rows = [f"{100 * s:.0f} %" for s in compressed_confidences.SPARSITIES], [str(bits) for bits in compressed_confidences.BITS]
maps = {name: [] for name in ("accuracy lost", "ECE, old temperature", "ECE, fitted again")}
best = answers(validation)[1].double().mean().item()
with tqdm(total=len(rows) * len(columns), desc="compressed networks", unit="network", file=sys.stdout) as bar:
    for bits in compressed_confidences.BITS:
        for name in maps:
            maps[name].append([])
        for sparsity in compressed_confidences.SPARSITIES:
            small = compressed_confidences.fitting_predictions(compressed_confidences.compress(model, split.calibration, sparsity, bits), split)
            refitted = fit_temperature(small.calibration.logits, small.calibration.labels)
            lost = best - answers(small.validation)[1].double().mean().item()
            errors = [expected_calibration_error(*answers(small.validation, t)) for t in (temperature, refitted)]
            for name, value in zip(maps, (max(lost, 0.0), *errors), strict=True):
                maps[name][-1].append(value)
            bar.update()
plots.error_maps(rows, columns, maps, "weights set to zero", "bits of a weight")

# %% [markdown]
# *What is seen: three tables of twenty cells in percentage points, darker is worse, full colour from 30 points on. Left, the accuracy
# lost: nothing at 8 bits, little at 4, more with every weight that is removed, and nearly everything at 2 bits. Middle, the ECE
# with the old temperature: it is small where the accuracy is hardly lower, and grows to tens of points as accuracy is lost. Right,
# after fitting T again: light everywhere.*
#
# **Question.** Your first guess: does the confidence of a compressed network fall as much as its accuracy? And where did
# fitting again gain nothing?
#
# <details><summary>Answer</summary>
#
# No: if it did, the middle map would be light. The map does not say in which direction they differ. At 2 bits the confidence
# falls less than the accuracy: the network is overconfident. With 80 % zeros and more bits it falls more: the network is
# underconfident. So the confidence of a compressed network does not show how much accuracy was lost.
# Where compression cost no accuracy, the old temperature was still good, and the new one differs by chance. Note what fitting
# again cannot do: the left map stays as it is. The networks of 2 bits are hardly better than chance; their new temperature makes
# their confidences low, as those of the model that says "one in ten".
#
# </details>

# %% [markdown]
# ## The numbers, once
#
# Everything is fitted and chosen. Now, and only now, the test examples: 10,000 images, and people whose data were not used before.
# First the triage: the cost per person in units of one false alarm, with bootstrap intervals. "Chosen" is the map with the
# smallest Brier score on the validation part.

# %% tags=["nbval-ignore-output"]
truth = people.test.labels
score = {name: lib.log_odds(m(people.test.images)).float() for name, m in nurses.items()}
brier_of = {name: brier(lib.two_columns(p_of[name]), died["validation"]) for name in ("as it is", "Platt", "isotonic")}
chosen = min(brier_of, key=brier_of.get)
print("validation Brier:", ", ".join(f"{name} {value:.4f}" for name, value in brier_of.items()), "->", chosen)
test_p = {
    "as it is": score["naive Bayes"].double().sigmoid(),
    "Platt": (a * score["naive Bayes"].double() + b).sigmoid(),
    "isotonic": isotonic(score["naive Bayes"]),
}
cut = bayes_threshold(FALSE_ALARM, MISS)
ways = {
    "naive Bayes as it is, 0.5": (test_p["as it is"], 0.5),
    "naive Bayes as it is, 1/11": (test_p["as it is"], cut),
    "naive Bayes, Platt, 1/11": (test_p["Platt"], cut),
    "naive Bayes, isotonic, 1/11": (test_p["isotonic"], cut),
    "logistic as it is, 1/11": (score["logistic"].double().sigmoid(), cut),
    "alarm for all": (torch.ones(len(truth)).double(), cut),
    "alarm for none": (torch.zeros(len(truth)).double(), cut),
}
costs = {}
for name, (p, t) in ways.items():
    cost = expected_cost(p, truth, t, FALSE_ALARM, MISS)
    spread = lib.bootstrap_interval(lambda each: each.mean().item(), lib.case_costs(p, truth, t, FALSE_ALARM, MISS))
    costs[name] = cost, spread.low, spread.high
before, after = (lib.case_costs(p, truth, t, FALSE_ALARM, MISS) for p, t in (ways["naive Bayes as it is, 0.5"], (test_p[chosen], cut)))
saved = lib.saving(before, after)
print(f"{len(truth)} test people, {int(truth.sum())} died. Against naive Bayes as it is, cut at 0.5,")
print(f"{chosen} and 1/11 saves {saved.value:.0%} of the cost (95 % interval {saved.low:.0%} to {saved.high:.0%})")
plots.costs_with_intervals(costs)

# %% [markdown]
# *What is seen: seven ways to decide, a marker and an interval each. "0.5" and both ways without a model are expensive; isotonic
# and the logistic regression are cheapest; naive Bayes with 1/11 as it is lies close behind; Platt's map costs more than it.*
#
# And the network: once as trained, once with your temperature. Dividing the logits by T is the same as dividing the last layer's
# weights and bias by T, so the calibrated network has the same size and speed.


# %% tags=["nbval-ignore-output"]
def with_temperature(network: nn.Sequential, t: float) -> nn.Sequential:
    """A copy whose logits are divided by t: the last layer's weights and bias are."""
    scaled = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in scaled[-1].parameters():
            parameter /= t
    return scaled


test = compressed_confidences.final_predictions(model, split)
for name, t in (("as trained", 1.0), ("your T", temperature)):
    sure, right = answers(test, t)
    band = lib.bootstrap_interval(expected_calibration_error, sure, right, resamples=200)
    print(
        f"{name:10} accuracy {right.double().mean():.2%}, ECE {band.value:.4f} ({band.low:.4f} to {band.high:.4f})\n"
        f"{'':10} NLL {nll(test.logits / t, test.labels):.4f}, Brier {brier(lib.softmax(test.logits / t), test.labels):.4f}"
    )
chance = lib.ece_by_chance(sure, resamples=100)
print(f"an ECE up to {chance.high:.4f} would be chance alone")
inside = prediction_sets(lib.softmax(test.logits / temperature), q).gather(1, test.labels[:, None])
print(f"sets with a guaranteed coverage of 98 %: coverage {inside.double().mean():.2%} on {len(test.labels)} test images")

# %% tags=["nbval-ignore-output"]
calibrated = with_temperature(model, temperature)
passports = measure.passports({"as trained": model, "your T": calibrated}, split, part="test", repeats=10)
measure.compare(passports)

# %% [markdown]
# ## What the numbers say
#
# - **Costs.** The model was not changed. A map of its scores and a threshold that follows from the costs saved a large part of
#   the cost; the interval says how uncertain this is. Most of it came from the threshold: 0.5 is right only when both mistakes
#   cost the same.
# - **Where calibration did not help.** At the same threshold Platt's map made naive Bayes more expensive, because the shape of the map was
#   wrong. Logistic regression, as it is, was as good as any: it needed no calibration. And for choosing what to answer, the
#   temperature made no difference.
# - **What it cannot do.** No map makes a model more accurate at telling examples apart. "One in ten, always" had no calibration
#   error and no use. Look at a proper score, too.
# - **Compression.** As long as accuracy is not lost, calibration is not either. Beyond that the confidence does not follow: at 2
#   bits it falls less than the accuracy, with most weights removed it can fall more. Fitting a single parameter again, on a thousand
#   labelled images, makes the networks nearly calibrated, not more accurate.
# - **Shift.** Everything here holds for new examples from the same source. Rotated and blurred images are not.
# - **What was not measured.** Whether the costs are right, whether a nurse's visit helps, other places, other decades, other
#   seeds of the split. An average cost per person also hides differences: most misses may be in one group.

# %% [markdown]
# ## In your own words
#
# Write a paragraph of about 120 words on the reliability diagrams before and after temperature scaling: would you trust a
# confidence of 0.9? In a class a person marks it with three points: one for two numbers of the figure, *as they came out on
# your machine*, each with how sure it is; one for a reason that rests on something you computed in this unit; and one for
# what the figure cannot show, and how you would find out.

# %% [markdown] nbgrader={"grade": true, "grade_id": "explain_confidence", "locked": false, "points": 3, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# Two bins with their counts and intervals: before, the accuracy lies below the confidence; after, within the interval. The
# temperature is one number, fitted on validation images: it corrects the mean of the confidences, no single bin, and no
# order. Shifted images are not in this figure; there I would look at the diagram again before trusting it.
# ### END SOLUTION

# %% [markdown]
# ## Five questions

# %% jupyter={"source_hidden": true} tags=["widget", "nbval-ignore-output"]
widgets.quiz(
    [
        widgets.Question(
            "A model says 10 % for every image; there are ten equally frequent classes. What is true?",
            ("It is badly calibrated", "It is perfectly calibrated and useless", "Its Brier score is 0"),
            1,
            "One in ten answers is right, as claimed. A proper score such as NLL or Brier shows that it knows nothing.",
        ),
        widgets.Question(
            "You fit T on the training images and get T below 1. What happened?",
            (
                "The network is underconfident",
                "On images it was trained on, the network is right more often than on new ones",
                "The optimizer did not converge",
            ),
            1,
            "On memorized images large confidences look justified. Fit on examples that were not trained on.",
        ),
        widgets.Question(
            "A miss costs four false alarms. From which probability on do you raise an alarm?",
            ("0.5", "0.25", "0.2"),
            2,
            "c_fp / (c_fp + c_fn) = 1 / 5. 0.25 are the odds.",
        ),
        widgets.Question(
            "With 5 calibration examples you are asked for sets with coverage 95 %. What are they?",
            ("sets up to the largest score", "sets with every class", "empty sets"),
            1,
            "k = ceil(6 x 0.95) = 6 > 5: no score of five is large enough, so q is infinite.",
        ),
        widgets.Question(
            "Temperature scaling changed the ECE by a lot. What about the accuracy?",
            ("It stays exactly the same", "It rises a little", "It falls a little"),
            0,
            "Dividing by a positive number keeps the order of the logits, so the answer is the same.",
        ),
    ]
)

# %% [markdown]
# ## Papers
#
# - Guo, Pleiss, Sun, Weinberger 2017, *On Calibration of Modern Neural Networks*: temperature scaling; large networks are
#   overconfident.
# - Naeini, Cooper, Hauskrecht 2015, *Obtaining Well Calibrated Probabilities Using Bayesian Binning*: the ECE.
# - Kumar, Liang, Ma 2019, *Verified Uncertainty Calibration*: what bins hide, and estimates without their bias.
# - Gneiting, Raftery 2007, *Strictly Proper Scoring Rules, Prediction, and Estimation*: why NLL and Brier score can be trusted.
# - Platt 1999, *Probabilistic Outputs for Support Vector Machines*: exercise 6.
# - Zadrozny, Elkan 2002, *Transforming Classifier Scores into Accurate Multiclass Probability Estimates*: isotonic regression.
# - Elkan 2001, *The Foundations of Cost-Sensitive Learning*: exercise 8.
# - Angelopoulos, Bates 2023, *Conformal Prediction: A Gentle Introduction*: exercises 10 and 11.
# - Ovadia et al. 2019, *Can You Trust Your Model's Uncertainty?*: calibration under shift.
# - Van Calster et al. 2019, *Calibration: the Achilles Heel of Predictive Analytics*: the medical view.
#
# ## If you want more
#
# 1. **More parameters.** `lib.fit_vector` and `lib.fit_dirichlet` have more parameters than T. Choose among them with
#    `lib.choose` on validation images. Do more parameters help with a thousand images?
# 2. **A guarantee for each class.** `lib.class_quantiles`: how large do the sets of shirts become?
# 3. **Adaptive prediction sets.** `lib.adaptive_scores` (APS). Compare mean size and the coverage of hard images.
# 4. **Other costs.** Let a miss cost 3, or 100. Which of the maps stays good without being fitted again?
# 5. **Label shift.** Sample people of the test part so that half of them died. `lib.saerens_em` corrects the probabilities
#    without a single label. By how much does the cost fall?
#
# Words of this unit in the glossary: [calibration](../glossary.md#calibration), [confidence](../glossary.md#confidence),
# [expected calibration error](../glossary.md#expected-calibration-error), [reliability
# diagram](../glossary.md#reliability-diagram), [temperature scaling](../glossary.md#temperature-scaling), [negative
# log-likelihood](../glossary.md#negative-log-likelihood), [Brier score](../glossary.md#brier-score), [proper
# score](../glossary.md#proper-score), [Platt scaling](../glossary.md#platt-scaling), [isotonic
# regression](../glossary.md#isotonic-regression), [conformal prediction](../glossary.md#conformal-prediction), [selective
# prediction](../glossary.md#selective-prediction), [base rate](../glossary.md#base-rate).
