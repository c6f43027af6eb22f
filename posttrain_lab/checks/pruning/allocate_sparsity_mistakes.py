"""The known mistakes of `allocate_sparsity`, each with the sentence that it deserves."""

from posttrain_lab.checks.engine.exercise import Mistake
from posttrain_lab.checks.pruning.allocate_sparsity_oracle import (
    STEP,
    Curves,
    Shares,
    Sizes,
    accuracy_at,
    by_loss,
    equal_losses,
    even_sparsity,
    greedy,
    kept_weights,
    largest_first,
    right_allocate,
    tolerant_first,
    tolerant_for_size,
)


def _by_size(curves: Curves, sizes: Sizes, budget: int) -> Shares:
    """A sparsity in proportion to the size of the layer, at most 1."""
    limits = (0.0, 1.0)
    for _ in range(60):
        middle = sum(limits) / 2
        enough = kept_weights(sizes, {name: min(1.0, middle * size) for name, size in sizes.items()}) <= budget
        limits = (limits[0], middle) if enough else (middle, limits[1])
    return {name: min(1.0, limits[1] * size) for name, size in sizes.items()}


def _since_dense(curves: Curves, sizes: Sizes, budget: int) -> Shares:
    """The price of a step counts what was lost before it."""
    shares = dict.fromkeys(curves, 0.0)
    while (surplus := kept_weights(sizes, shares) - budget) > 1e-7 * max(1, budget):
        open_ones = [name for name, share in shares.items() if share < 1]
        best = min(open_ones, key=lambda name: (curves[name][0] - accuracy_at(curves[name], shares[name] + STEP)) / sizes[name])
        shares[best] = min(1.0, shares[best] + STEP, shares[best] + surplus / sizes[best])
    return shares


def _beyond_one(curves: Curves, sizes: Sizes, budget: int) -> Shares:
    """A layer of which nothing is left goes on for nothing."""
    shares = dict.fromkeys(curves, 0.0)
    while (surplus := kept_weights(sizes, shares) - budget) > 1e-7 * max(1, budget):
        losses = {
            name: accuracy_at(curve, shares[name]) - accuracy_at(curve, shares[name] + STEP) for name, curve in curves.items()
        }
        best = min(losses, key=lambda name: losses[name] / sizes[name])
        shares[best] += min(STEP, surplus / sizes[best])
    return shares


def _over_budget(curves: Curves, sizes: Sizes, budget: int) -> Shares:
    """Stops before the step that would meet the budget."""
    shares, step = right_allocate(curves, sizes, budget), 0.05
    return {name: int(share / step) * step if share < 1 else share for name, share in shares.items()}


ALLOCATE_MISTAKES = (
    Mistake(
        "one sparsity for all", "Every layer gets the same sparsity; the curves say which layers can give more.", even_sparsity
    ),
    Mistake(
        "sizes ignored",
        "You look for the step that loses least; look for the smallest loss for each parameter that goes: divide by the size.",
        by_loss,
    ),
    Mistake(
        "loss since the start",
        "Your price counts all that the layer has lost so far; count what this step loses, curve(s) - curve(s + 0.01).",
        _since_dense,
    ),
    Mistake(
        "in proportion to the size",
        "Your sparsities follow the sizes of the layers alone; the curves say what a layer can give.",
        _by_size,
    ),
    Mistake(
        "beyond 1",
        "A layer goes beyond sparsity 1, where nothing is left of it and a step seems free; offer no step from 1 on.",
        _beyond_one,
    ),
    Mistake(
        "equal losses",
        "You let each layer lose the same accuracy; a large layer gives more parameters for that, so it should lose more.",
        equal_losses,
    ),
    Mistake(
        "most tolerant first",
        "You empty the most tolerant layer, then the next; a curve gets steep near 1, so go on in small steps.",
        tolerant_first,
    ),
    Mistake(
        "whole layers",
        "You empty whole layers, the cheapest for its size first; a curve gets steep near 1, so go on in small steps.",
        tolerant_for_size,
    ),
    Mistake(
        "largest layer first",
        "You prune the largest layer first, whatever its curve says; weigh the loss against the parameters that go.",
        largest_first,
    ),
    Mistake(
        "dearest step first",
        "You take the step that loses most for each parameter; take the one that loses least.",
        greedy(lambda loss, parameters: -loss / parameters, 0.05),
    ),
    Mistake(
        "ratio upside down",
        "You multiply the loss by the parameters that go; divide by them: many parameters for a small loss is cheap.",
        greedy(lambda loss, parameters: loss * parameters, 0.05),
    ),
    Mistake(
        "densities returned",
        "You return which share of each layer stays; the sparsity, the share that goes, is wanted.",
        lambda curves, sizes, budget: {name: 1 - share for name, share in right_allocate(curves, sizes, budget).items()},
    ),
    Mistake(
        "budget removed",
        "You remove as many parameters as the budget; the budget is what stays.",
        lambda curves, sizes, budget: right_allocate(curves, sizes, sum(sizes.values()) - budget),
    ),
    Mistake(
        "over budget",
        "You stop one step too early and keep more than the budget; take a part of the last step.",
        _over_budget,
    ),
    Mistake(
        "last step too long",
        "Your last step goes far below the budget; take only the part of it that is needed.",
        greedy(lambda loss, parameters: loss / parameters, 0.05, exact=False),
    ),
)
