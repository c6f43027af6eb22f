"""The known mistakes of `allocate_sparsity`, each with its message."""

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
    """The cost of a step includes what was lost before it."""
    shares = dict.fromkeys(curves, 0.0)
    while (surplus := kept_weights(sizes, shares) - budget) > 1e-7 * max(1, budget):
        open_ones = [name for name, share in shares.items() if share < 1]
        best = min(open_ones, key=lambda name: (curves[name][0] - accuracy_at(curves[name], shares[name] + STEP)) / sizes[name])
        shares[best] = min(1.0, shares[best] + STEP, shares[best] + surplus / sizes[best])
    return shares


def _beyond_one(curves: Curves, sizes: Sizes, budget: int) -> Shares:
    """An empty layer is still offered steps, which cost nothing."""
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
        "one sparsity for all",
        "Every layer gets the same sparsity; the curves show which layers can lose more weights.",
        even_sparsity,
    ),
    Mistake(
        "sizes ignored",
        "You choose the step with the smallest loss; choose the smallest loss per removed parameter: divide by the size.",
        by_loss,
    ),
    Mistake(
        "loss since the start",
        "Your cost includes all that the layer has lost so far; use the loss of this step only, curve(s) - curve(s + 0.01).",
        _since_dense,
    ),
    Mistake(
        "in proportion to the size",
        "Your sparsities depend on the sizes of the layers alone; use the curves, which show how sensitive each layer is.",
        _by_size,
    ),
    Mistake(
        "beyond 1",
        "A layer goes beyond sparsity 1, where it is empty and a step seems to cost nothing; offer no step from 1 on.",
        _beyond_one,
    ),
    Mistake(
        "equal losses",
        "You let each layer lose the same accuracy; for that a large layer frees more parameters, so it should lose more.",
        equal_losses,
    ),
    Mistake(
        "most tolerant first",
        "You empty the least sensitive layer, then the next; a curve gets steep near 1, so take small steps in all layers.",
        tolerant_first,
    ),
    Mistake(
        "whole layers",
        "You empty whole layers, the cheapest for its size first; a curve gets steep near 1, so take small steps in all layers.",
        tolerant_for_size,
    ),
    Mistake(
        "largest layer first",
        "You prune the largest layer first and ignore its curve; divide the loss by the number of removed parameters.",
        largest_first,
    ),
    Mistake(
        "dearest step first",
        "You take the step with the largest loss per removed parameter; take the one with the smallest.",
        greedy(lambda loss, parameters: -loss / parameters, 0.05),
    ),
    Mistake(
        "ratio upside down",
        "You multiply the loss by the number of removed parameters; divide by it: many parameters for a small loss is cheap.",
        greedy(lambda loss, parameters: loss * parameters, 0.05),
    ),
    Mistake(
        "densities returned",
        "You return the share of each layer that is kept; return the sparsity, the share that is removed.",
        lambda curves, sizes, budget: {name: 1 - share for name, share in right_allocate(curves, sizes, budget).items()},
    ),
    Mistake(
        "budget removed",
        "You remove as many parameters as the budget says; the budget is the number that is kept.",
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
