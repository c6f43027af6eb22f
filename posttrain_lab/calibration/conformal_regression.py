"""An interval instead of a number: conformalized quantile regression.

Two linear functions are fitted, below and above which alpha / 2 of the targets should lie. How far the targets of the calibration
part lie outside says by how much to move both; then the coverage is guaranteed, even if the two functions fit badly.

Source: Koenker and Bassett (1978); Romano, Patterson, Candès (2019); Hunter and Lange (2000) for the fit.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .arguments import check_finite, check_share

STEPS = 2000
CONVERGED = 1e-9  # relative change of the loss below which the fit has converged
CORNER = 1e-5  # width, in units of the spread of y, of the rounded corner of the pinball loss


@dataclass(frozen=True, eq=False)
class Line:
    """x @ weight + bias: weight [d] float64. Calling it with x [n, d] gives [n] in the dtype of x."""

    weight: Tensor
    bias: float

    def __call__(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        return (x.double() @ self.weight + self.bias).to(x.dtype)


def pinball_loss(predicted: Float[Tensor, " n"], y: Float[Tensor, " n"], share: float) -> float:
    """How well does a prediction estimate the `share` quantile of y? The mean of max(share r, (share - 1) r), r = y - predicted.

    The best constant is the `share` quantile of y. In units of y. Source: Koenker and Bassett (1978).

    >>> pinball_loss(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 2.0]), 0.75)
    0.5
    """
    check_share("pinball_loss", "share", share)
    r = y.double() - predicted.double()
    return torch.maximum(share * r, (share - 1) * r).mean().item()


def fit_quantile(x: Float[Tensor, "n d"], y: Float[Tensor, " n"], share: float) -> Line:
    """Below which linear function do `share` of the targets lie? Linear quantile regression.

    Minimizes the pinball loss with its corner smoothed by CORNER; each step solves a weighted least-squares problem that majorizes
    the loss and touches it, so the loss never rises (Hunter and Lange 2000). x [n, d] finite features of the TRAIN part, y [n] finite.
    Raises TypeError for other dtypes; ValueError for NaN, infinity, lengths that differ, fewer than d + 2 examples, share outside (0, 1).

    >>> line = fit_quantile(torch.tensor([[0.0], [1.0], [2.0], [3.0]]), torch.tensor([0.0, 2.0, 4.0, 6.0]), 0.5)
    >>> round(line.weight.item(), 3), round(abs(line.bias), 3)
    (2.0, 0.0)
    """
    check_finite("fit_quantile", "x", x, 2)
    check_finite("fit_quantile", "y", y, 1)
    check_share("fit_quantile", "share", share)
    if len(x) != len(y) or len(y) < x.shape[1] + 2:
        raise ValueError(f"fit_quantile wants x [n, d] and y [n] with n >= d + 2, got {list(x.shape)} and {list(y.shape)}.")
    mean, sd = x.double().mean(dim=0), x.double().std(dim=0)
    sd = torch.where(sd > 0, sd, torch.ones_like(sd))
    features = torch.cat([(x.double() - mean) / sd, torch.ones(len(x), 1, dtype=torch.float64)], dim=1)
    unit = y.double().std().clamp(min=torch.finfo(torch.float32).tiny)
    theta = _majorize(features, y.double() / unit, share) * unit
    weight = theta[:-1] / sd
    return Line(weight, (theta[-1] - (weight * mean).sum()).item())


def _majorize(x: Tensor, y: Tensor, share: float) -> Tensor:
    theta = torch.linalg.lstsq(x, y[:, None]).solution[:, 0]
    tilt = (2 * share - 1) * x.sum(dim=0)
    before = torch.inf
    for _ in range(STEPS):
        r = y - x @ theta
        weight = 1 / (CORNER + r.abs())
        scaled = x * weight[:, None]
        theta = torch.linalg.lstsq(x.T @ scaled, (scaled.T @ y + tilt)[:, None], driver="gelsd").solution[:, 0]
        r = y - x @ theta
        loss = (r.abs() + (2 * share - 1) * r - CORNER * (CORNER + r.abs()).log()).mean().item()
        if before - loss < CONVERGED * (1 + abs(loss)):
            break
        before = loss
    return theta


def interval_scores(low: Float[Tensor, " n"], high: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """How far is each target outside of its interval? max(low - y, y - high): below 0 inside. For `conformal_quantile`.

    >>> interval_scores(torch.tensor([0.0, 0.0]), torch.tensor([2.0, 2.0]), torch.tensor([3.0, 0.5]))
    tensor([ 1.0000, -0.5000])
    """
    for name, value in (("low", low), ("high", high), ("y", y)):
        check_finite("interval_scores", name, value, 1)
    return torch.maximum(low - y, y - high)


def widen(low: Float[Tensor, " n"], high: Float[Tensor, " n"], q: float) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """The intervals (low - q, high + q) that contain a new target with probability >= 1 - alpha. q = inf: all numbers.

    q < 0 narrows; an interval narrowed past its middle becomes empty (low > high). q = conformal_quantile(interval_scores(...), alpha).

    >>> widen(torch.tensor([0.0]), torch.tensor([2.0]), 0.5)
    (tensor([-0.5000]), tensor([2.5000]))
    """
    return low - q, high + q
