"""From a probability to a decision that costs least: thresholds, costs, and whether a model is worth asking at all.

Source: Elkan (2001); Drummond and Holte (2006); Vickers and Elkin (2006).
"""

from jaxtyping import Float, Shaped
from torch import Tensor

from .arguments import check_positive, check_probability, check_zero_one


def bayes_threshold(cost_fp: float, cost_fn: float) -> float:
    """From which probability on is an alarm the cheaper choice? cost_fp / (cost_fp + cost_fn).

    An alarm costs (1 - p) cost_fp on average, silence p cost_fn; they are equal at the threshold. It holds for
    probabilities that are right. Costs in any one unit, > 0. Raises ValueError for costs <= 0, NaN or infinite.
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
    """What does a case cost on average when every p >= threshold raises an alarm?

    cost = (cost_fp * false alarms + cost_fn * misses) / n
    p [n] probabilities of y = 1; y [n] bool or 0/1; costs > 0 in any one unit, and the answer has that unit per case.
    Raises TypeError for other dtypes; ValueError for p outside [0, 1], NaN, shapes that differ, costs <= 0.

    >>> import torch
    >>> expected_cost(torch.tensor([0.2, 0.5, 0.6, 0.1]), torch.tensor([0, 0, 1, 1]), 0.5, cost_fp=1, cost_fn=10)
    2.75
    """
    return float(case_costs(p, y, threshold, cost_fp, cost_fn).mean())


def case_costs(
    p: Float[Tensor, " n"], y: Shaped[Tensor, " n"], threshold: float, cost_fp: float, cost_fn: float
) -> Float[Tensor, " n"]:
    """What does each single case cost? Their mean is `expected_cost`; `bootstrap_interval` resamples them. float64.

    >>> import torch
    >>> case_costs(torch.tensor([0.2, 0.5]), torch.tensor([1, 0]), 0.5, cost_fp=1, cost_fn=10).tolist()
    [10.0, 1.0]
    """
    _check_decisions("expected_cost", p, y)
    _check_threshold("expected_cost", threshold)
    check_positive("expected_cost", cost_fp=cost_fp, cost_fn=cost_fn)
    alarm, sick = p.double() >= threshold, y != 0
    return cost_fp * (alarm & ~sick).double() + cost_fn * (~alarm & sick).double()
