"""From a probability to the decision with the lowest expected cost: thresholds, costs, and whether a model is useful at all.

Source: Elkan (2001); Vickers and Elkin (2006).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from .arguments import check_finite, check_positive, check_probability, check_share, check_zero_one
from .estimates import Interval


def bayes_threshold(cost_fp: float, cost_fn: float) -> float:
    """From which probability on is an alarm the cheaper choice? cost_fp / (cost_fp + cost_fn).

    An alarm costs (1 - p) cost_fp on average, no alarm p cost_fn; they are equal at the threshold. It holds for
    calibrated probabilities. Costs in any one unit, > 0. Raises ValueError for costs <= 0, NaN or infinite.
    Source: Elkan (2001).

    >>> bayes_threshold(cost_fp=1, cost_fn=9)
    0.1
    """
    check_positive("bayes_threshold", cost_fp=cost_fp, cost_fn=cost_fn)
    return cost_fp / (cost_fp + cost_fn)


def _check_decisions(name: str, p: Tensor, y: Tensor) -> None:
    check_probability(name, "p", p)
    check_zero_one(name, "y", y, len(p))


def _check_threshold(name: str, threshold: float) -> None:
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not threshold == threshold:
        raise ValueError(f"{name} wants threshold to be a number, got {threshold!r}; see bayes_threshold.")


def expected_cost(p: Float[Tensor, " n"], y: Shaped[Tensor, " n"], threshold: float, cost_fp: float, cost_fn: float) -> float:
    """What is the average cost per case when every p >= threshold raises an alarm?

    cost = (cost_fp * false alarms + cost_fn * misses) / n
    p [n] probabilities of y = 1; y [n] bool or 0/1; costs > 0 in any one unit, and the answer has that unit per case.
    Raises TypeError for other dtypes; ValueError for p outside [0, 1], NaN, shapes that differ, costs <= 0.

    >>> expected_cost(torch.tensor([0.2, 0.5, 0.6, 0.1]), torch.tensor([0, 0, 1, 1]), 0.5, cost_fp=1, cost_fn=10)
    2.75
    """
    return float(case_costs(p, y, threshold, cost_fp, cost_fn).mean())


def case_costs(
    p: Float[Tensor, " n"], y: Shaped[Tensor, " n"], threshold: float, cost_fp: float, cost_fn: float
) -> Float[Tensor, " n"]:
    """What does each single case cost? Their mean is `expected_cost`; `bootstrap_interval` resamples them. float64.

    >>> case_costs(torch.tensor([0.2, 0.5]), torch.tensor([1, 0]), 0.5, cost_fp=1, cost_fn=10).tolist()
    [10.0, 1.0]
    """
    _check_decisions("expected_cost", p, y)
    _check_threshold("expected_cost", threshold)
    check_positive("expected_cost", cost_fp=cost_fp, cost_fn=cost_fn)
    alarm, sick = p.double() >= threshold, y != 0
    return cost_fp * (alarm & ~sick).double() + cost_fn * (~alarm & sick).double()


@dataclass(frozen=True, eq=False)
class CostCurve:
    """Cost per case at each threshold, [k] float64 each, with the ends of its bootstrap interval."""

    threshold: Tensor
    cost: Tensor
    low: Tensor
    high: Tensor

    def cheapest(self) -> float:
        """The threshold with the smallest cost; the smallest such threshold when several tie."""
        return self.threshold[int(self.cost.argmin())].item()


def cost_curve(
    p: Float[Tensor, " n"], y: Shaped[Tensor, " n"], costs: tuple[float, float], thresholds: Tensor | None = None, seed: int = 0
) -> CostCurve:
    """What is the average cost per case at every threshold, and with which interval? costs = (cost_fp, cost_fn).

    thresholds [k] (none: 0, 0.01 .. 1). The interval holds the middle 95 % of 1,000 bootstrap resamples of the cases. To CHOOSE a
    threshold by this curve, use the validation part. For probabilities that are right, the curve is lowest at `bayes_threshold`.
    Raises as `expected_cost`.

    >>> cost_curve(torch.tensor([0.2, 0.5, 0.6, 0.1]), torch.tensor([0, 0, 1, 0]), (1, 10)).cheapest()
    0.51
    """
    steps = torch.arange(101, dtype=torch.float64) / 100 if thresholds is None else thresholds.double()
    each = torch.stack([case_costs(p, y, t, *costs) for t in steps.tolist()])
    drawn = bootstrap_means(each, seed)
    low, high = drawn.quantile(drawn.new_tensor([0.025, 0.975]), dim=1)
    return CostCurve(steps, each.mean(dim=1), low, high)


def bootstrap_means(each: Float[Tensor, "k n"], seed: int = 0, resamples: int = 1000) -> Float[Tensor, "k resamples"]:
    """The means of `resamples` bootstrap draws of the n columns, the same columns for every row (paired).

    >>> bootstrap_means(torch.ones(2, 5).double()).shape
    torch.Size([2, 1000])
    """
    n = each.shape[1]
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(n, (resamples, n), generator=generator)
    counts = torch.zeros(resamples, n, dtype=torch.float64).scatter_add_(1, drawn, torch.ones(resamples, n).double())
    return each.double() @ counts.T / n


def saving(before: Float[Tensor, " n"], after: Float[Tensor, " n"], level: float = 0.95, seed: int = 0) -> Interval:
    """Which share of the cost does the second rule save, on the same cases? 1 - mean(after) / mean(before), with its interval.

    before, after [n]: `case_costs` of the same cases in the same order, which are resampled together (paired): the difficulty that
    a case has for both rules cancels. Raises ValueError for lengths that differ, NaN, level outside (0, 1), and when the first rule
    costs nothing.

    >>> saving(torch.tensor([10.0, 0.0, 10.0]), torch.tensor([1.0, 1.0, 1.0])).value
    0.85
    """
    check_finite("saving", "before", before, 1)
    check_finite("saving", "after", after, 1)
    check_share("saving", "level", level)
    if len(before) != len(after):
        raise ValueError(f"saving wants costs of the same cases, got {len(before)} and {len(after)}.")
    if before.mean() <= 0:
        raise ValueError("saving wants a first rule that costs something, got a mean of 0; there is nothing to save.")
    old, new = bootstrap_means(torch.stack([before, after]), seed)
    share = 1 - new[old > 0] / old[old > 0]
    low, high = share.quantile(share.new_tensor([(1 - level) / 2, (1 + level) / 2])).tolist()
    return Interval(1 - (after.double().mean() / before.double().mean()).item(), low, high, level)


def net_benefit(
    p: Float[Tensor, " n"], y: Shaped[Tensor, " n"], thresholds: Float[Tensor, " k"]
) -> tuple[Float64[Tensor, " k"], Float64[Tensor, " k"]]:
    """Is the model better than an alarm for everybody or nobody? (benefit of the model, benefit of alarming all), [k] each.

    benefit(t) = true alarms / n - false alarms / n * t / (1 - t); alarming nobody has 0. A threshold t says that one
    true alarm is worth (1 - t)/t false ones, in units of true alarms per case. thresholds [k] in (0, 1).
    Raises as `expected_cost`, and ValueError for thresholds outside (0, 1). Source: Vickers and Elkin (2006).

    >>> model, everybody = net_benefit(torch.tensor([0.9, 0.2]), torch.tensor([1, 0]), torch.tensor([0.5]))
    >>> model.item(), everybody.item()
    (0.5, 0.0)
    """
    _check_decisions("net_benefit", p, y)
    check_probability("net_benefit", "thresholds", thresholds)
    if not ((thresholds > 0) & (thresholds < 1)).all():
        raise ValueError("net_benefit wants thresholds above 0 and below 1, got 0 or 1; no price belongs to these.")
    t, sick = thresholds.double(), (y != 0).double()
    alarm = (p.double() >= t[:, None]).double()
    price = t / (1 - t)
    true, false = alarm @ sick / len(p), alarm @ (1 - sick) / len(p)
    return true - price * false, sick.mean() - price * (1 - sick.mean())
