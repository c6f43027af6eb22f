"""Which units are removed? Scores for channels, heads and hidden units, and a choice that meets a budget of work.

| score     | of a unit                                                              | source                                          |
|-----------|------------------------------------------------------------------------|-------------------------------------------------|
| magnitude | l2 norm of the weights that compute it, over their mean in the group   | Li et al. 2017; Fang et al. 2023 for the groups |
| taylor    | mean over batches of (sum of w * gradient, over the weights that read it)^2 | Molchanov et al. 2019, "Importance Estimation"  |
| random    | uniform                                                                | the baseline                                    |
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from posttrain_lab.data import Dataset
from posttrain_lab.metrics import macs
from posttrain_lab.module_walks import name_some, own_forward

from .masks import keep_largest
from .scores import mean_gradients
from .structured import Group, Unit, find_groups, remove_units, removed_positions, without_units
from .tracing import CONVS
from .work import MacCount

UNIT_SCORES = ("magnitude", "taylor", "random")
BATCH = 100
BAR_AFTER = 2  # seconds
STEPS = 12  # of the bisection: the budget is met to about a thousandth


def unit_scores(
    model: nn.Module, groups: tuple[Group, ...], kind: str = "magnitude", data: Dataset | None = None, seed: int = 0
) -> dict[str, Float[Tensor, " units"]]:
    """How much does each unit matter? One score for each, by group; see the table above.

    data: calibration images with labels, for "taylor"; seed: for "random". Raises ValueError for an unknown kind or missing data.

    >>> from posttrain_lab.pruning import find_groups
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> unit_scores(model, find_groups(model, torch.zeros(1, 2)))["0"].shape
    torch.Size([3])
    """
    if kind not in UNIT_SCORES:
        raise ValueError(f"unit_scores wants kind to be one of {', '.join(UNIT_SCORES)}, got {kind!r}.")
    if kind == "random":
        generator = torch.Generator().manual_seed(seed)
        return {group.name: torch.rand(len(group), generator=generator) for group in groups}
    if kind == "magnitude":
        squares = {name: parameter.detach().square() for name, parameter in model.named_parameters(remove_duplicate=False)}
        norms = {group.name: torch.stack([_total(squares, unit, "out") for unit in group.units]).sqrt() for group in groups}
        return {name: norm / norm.mean().clamp_min(torch.finfo(torch.float32).tiny) for name, norm in norms.items()}
    if data is None or len(data) == 0:
        raise ValueError("unit_scores wants calibration images for kind 'taylor', got none; give split.calibration.")
    batches = [Dataset(x, y, data.classes) for x, y in zip(data.images.split(BATCH), data.labels.split(BATCH), strict=True)]
    scores = {group.name: torch.zeros(len(group)) for group in groups}
    for batch in batches:
        gradients = mean_gradients(model, batch)
        change = {
            name: parameter.detach() * gradients[name] for name, parameter in model.named_parameters(remove_duplicate=False)
        }
        for group in groups:
            scores[group.name] += torch.stack([_total(change, unit, "in") for unit in group.units]).square() / len(batches)
    return scores


def _total(values: dict[str, Tensor], unit: Unit, side: str) -> Tensor:
    """The sum over the weights of one side of a unit."""
    total = torch.zeros(())
    for cut in unit.cuts:
        if cut.side == side:
            weight, at = values[f"{cut.layer}.weight"], list(cut.positions)
            total = total + (weight[:, at].sum() if side == "in" else weight[at].sum())
    return total


@dataclass(frozen=True)
class WorkBudget:
    """How much work may be left: `share` of the dense network's, by `cost(model)`, None for MACs of one example.

    rule "uniform": the same share of units of every group; "global": the lowest scores of all groups, each divided by the cost
    that its removal saves. multiple: units are kept in multiples of this (8 suits SIMD), where a group has that many.
    """

    share: float = 0.5
    rule: str = "global"
    multiple: int = 1
    cost: Callable[[nn.Module], float] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1 or self.rule not in ("uniform", "global") or self.multiple < 1:
            raise ValueError(
                "WorkBudget wants 0 < share <= 1, rule 'uniform' or 'global' and multiple >= 1, got "
                f"share={self.share}, rule={self.rule!r}, multiple={self.multiple}."
            )


def choose_units(
    model: nn.Module, groups: tuple[Group, ...], scores: dict[str, Tensor], example: Tensor, budget: WorkBudget
) -> dict[str, Bool[Tensor, " units"]]:
    """Which units stay so that the work left meets the budget, and as little as possible of the scores is lost?

    The share of removed units (rule "uniform") or of removed score (rule "global") is found by bisection; at each step the cost of the
    smaller network is counted. Every group keeps a unit. Returns, by group, True where a unit stays (for `remove_units`).

    Raises ValueError when even one unit for each group costs more than the budget.
    """
    smallest = _lowest_off(groups, scores, 1.0, budget)
    network = remove_units(model, groups, smallest, example)
    if budget.cost is None:
        count = MacCount(model, example[:1])
        if count(removed_positions(groups, smallest)) == macs(network, example[:1]):
            return _chosen(lambda keep: count(removed_positions(groups, keep)), groups, scores, budget)
    measure = budget.cost or (lambda network: macs(network, example[:1]))
    return _chosen(lambda keep: measure(without_units(model, groups, keep)), groups, scores, budget)


def _chosen(
    cost: Callable[[dict[str, Tensor]], float], groups: tuple[Group, ...], scores: dict[str, Tensor], budget: WorkBudget
) -> dict[str, Tensor]:
    """The units to keep; `cost` of a choice of units."""
    limit = budget.share * cost({})
    ranked = scores if budget.rule == "uniform" else _per_cost(groups, scores, cost)
    if cost(_lowest_off(groups, ranked, 1.0, budget)) > limit:
        raise ValueError(f"choose_units cannot reach {budget.share:.0%} of the work: a unit of each group already costs more.")
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        fits = cost(_lowest_off(groups, ranked, middle, budget)) <= limit
        low, high = (low, middle) if fits else (middle, high)
    return _lowest_off(groups, ranked, high, budget)


def _per_cost(
    groups: tuple[Group, ...], scores: dict[str, Tensor], cost: Callable[[dict[str, Tensor]], float]
) -> dict[str, Tensor]:
    """Scores divided by the cost of one unit of the group, measured by removing half of the group."""
    whole, found = cost({}), {}
    for group in tqdm(groups, desc="cost of units", unit="group", leave=False, delay=BAR_AFTER):
        half = torch.arange(len(group)) >= len(group) // 2
        saved = whole - cost({group.name: half}) if len(group) > 1 else 0.0
        each = max(saved / max(1, len(group) // 2), 1e-9 * whole)
        found[group.name] = scores[group.name] / each
    return found


def _lowest_off(groups: tuple[Group, ...], ranked: dict[str, Tensor], share: float, budget: WorkBudget) -> dict[str, Tensor]:
    """True where a unit stays when `share` of the units, those with the lowest scores, are removed."""
    if budget.rule == "uniform":
        masks = {group.name: keep_largest(ranked[group.name], round(share * len(group))) for group in groups}
    else:
        together = torch.cat([ranked[group.name] for group in groups])
        kept = keep_largest(together, round(share * len(together))).split([len(group) for group in groups])
        masks = {group.name: part for group, part in zip(groups, kept, strict=True)}
    return {name: _at_least(ranked[name], int(mask.sum()), budget.multiple) for name, mask in masks.items()}


def _at_least(scores: Tensor, count: int, multiple: int) -> Tensor:
    """The best `count` units, but one at least, and rounded to the nearest multiple where there are so many."""
    if len(scores) >= multiple:
        count = max(multiple, round(count / multiple) * multiple)
    return keep_largest(scores, len(scores) - min(max(count, 1), len(scores)))


def prune_units(
    model: nn.Module,
    example: Tensor,
    budget: WorkBudget | None = None,
    kind: str = "magnitude",
    data: Dataset | None = None,
    progress: bool = True,
) -> nn.Module:
    """A smaller network with less work: find groups, score, choose, remove. It is not yet trained further.

    Raises as `find_groups`, `unit_scores`, `choose_units` and `remove_units`.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> prune_units(model, torch.zeros(1, 4), WorkBudget(share=0.5))[0].out_features
    4
    """
    with tqdm(total=4, desc="prune_units", unit="step", delay=BAR_AFTER, disable=not progress) as bar:
        groups = find_groups(model, example)
        if not any(len(group) > 1 for group in groups):
            own = [f"{name} ({type(m).__name__})" for name, m in own_forward(model, nn.Linear, *CONVS).items()]
            got = f"layers with a forward of their own, {name_some(own)}" if own else "layers of one channel, or one layer only"
            raise ValueError(f"prune_units wants a network with channels that can go, got none: {got}.")
        bar.update()
        scores = unit_scores(model, groups, kind, data)
        bar.update()
        keep = choose_units(model, groups, scores, example, budget or WorkBudget())
        bar.update()
        smaller = remove_units(model, groups, keep, example)
        bar.update()
    return smaller
