"""More numbers than one temperature: a factor and a shift per class (vector), or a whole matrix on log-probabilities (Dirichlet).

Both can change which class is on top, and the accuracy with it. The more numbers, the more examples they need; the
validation part says whether they paid (see protocol.py).

Source: Guo et al. (2017) for vector scaling; Kull et al. (2019) for Dirichlet calibration and its penalty.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from .arguments import check_finite
from .temperature import check_logits

STEPS = 500
FLAT = 1e-7  # the largest slope at which the fit counts as finished
FARTHEST = 1e4  # a parameter beyond this is on its way to infinity


@dataclass(frozen=True, eq=False)
class Scaling:
    """New logits [n, c] = x @ weight.T + bias, where x are the logits or, if `logs`, their log-softmax. Frozen; call it."""

    weight: Tensor
    bias: Tensor
    logs: bool

    def __call__(self, logits: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
        check_finite("Scaling", "logits", logits, 2)
        if logits.shape[1] != len(self.bias):
            raise ValueError(f"Scaling was fitted for {len(self.bias)} classes, got logits {list(logits.shape)}.")
        x = logits.double()
        x = log_softmax(x, dim=1) if self.logs else x
        return (x @ self.weight.T + self.bias).to(logits.dtype)


def _minimize(objective: Callable[[Tensor], Tensor], start: Tensor, name: str) -> Tensor:
    """L-BFGS to the end, in float64. The objectives here are convex."""
    found = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [found], max_iter=STEPS, history_size=20, tolerance_grad=FLAT / 10, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = objective(found)
        loss.backward()
        return loss

    with torch.enable_grad():
        for _ in range(3):
            optimizer.step(closure)
            closure()
            if found.grad is not None and found.grad.abs().max() < FLAT and found.abs().max() < FARTHEST:
                return found.detach()
    raise ValueError(
        f"{name} found no finite answer: the labels are (nearly) all explained, so that surer is always better. "
        "Use more data, or fit_temperature."
    )


def _check_all_classes(name: str, logits: Tensor, labels: Tensor) -> None:
    check_logits(name, logits, labels)
    missing = [k for k in range(logits.shape[1]) if not (labels == k).any()]
    if missing:
        raise ValueError(
            f"{name} wants examples of every class, got none of class {missing[0]}; its shift would go to minus infinity."
        )


def fit_vector(logits: Float[Tensor, "n c"], labels: Integer[Tensor, " n"]) -> Scaling:
    """Which factor and shift for each class make the labels least surprising? softmax(w * z + b), 2c numbers.

    logits [n, c] and labels [n] of the calibration part. Raises TypeError or ValueError as `fit_temperature`; ValueError
    when a class has no example or no finite answer exists. Source: Guo et al. (2017).

    >>> logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 2.0], [0.0, 2.0]])
    >>> [round(p, 3) for p in fit_vector(logits, torch.tensor([0, 1, 1, 1, 0]))(logits).softmax(1)[:, 0].tolist()]
    [0.5, 0.5, 0.333, 0.333, 0.333]
    """
    _check_all_classes("fit_vector", logits, labels)
    z, y, classes = logits.double(), labels.long(), logits.shape[1]
    unit = z.abs().max()

    def objective(theta: Tensor) -> Tensor:
        return cross_entropy(z / unit * theta[:classes] + theta[classes:], y)

    start = torch.cat([torch.ones(classes).double() * unit, torch.zeros(classes).double()])
    theta = _minimize(objective, start, "fit_vector")
    return Scaling((theta[:classes] / unit).diag(), theta[classes:] - theta[classes:].mean(), logs=False)


def fit_dirichlet(
    logits: Float[Tensor, "n c"], labels: Integer[Tensor, " n"], off_diagonal: float = 0.01, intercept: float = 0.01
) -> Scaling:
    """Which map of the log-probabilities makes the labels least surprising? softmax(W log p + b), c^2 + c numbers.

    Minimized is the nll + off_diagonal * mean of the squared W_ij (i != j) + intercept * mean of the squared b_i: so many
    numbers need a leash. Which leash is best, validation says. Both >= 0. Logits (not probabilities) are given, as
    everywhere; their log-softmax is taken here. Raises as `fit_vector`, and ValueError for a negative penalty.
    Source: Kull et al. (2019), with their off-diagonal and intercept regularization (ODIR).

    >>> logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 2.0], [0.0, 2.0]])
    >>> free = fit_dirichlet(logits, torch.tensor([0, 1, 1, 1, 0]), off_diagonal=0, intercept=0)
    >>> [round(p, 3) for p in free(logits).softmax(1)[:, 0].tolist()]
    [0.5, 0.5, 0.333, 0.333, 0.333]
    """
    _check_all_classes("fit_dirichlet", logits, labels)
    for penalty in (off_diagonal, intercept):
        if not penalty >= 0:
            raise ValueError(f"fit_dirichlet wants penalties >= 0, got {penalty}; 0 leaves the matrix free.")
    x, y, classes = log_softmax(logits.double(), dim=1), labels.long(), logits.shape[1]
    outside = 1 - torch.eye(classes, dtype=torch.float64)

    def objective(theta: Tensor) -> Tensor:
        weight, bias = theta[:-1], theta[-1]
        leash = off_diagonal * (outside * weight).square().sum() / (classes * (classes - 1))
        return cross_entropy(x @ weight.T + bias, y) + leash + intercept * bias.square().mean()

    start = torch.cat([torch.eye(classes).double(), torch.zeros(1, classes).double()])
    theta = _minimize(objective, start, "fit_dirichlet")
    return Scaling(theta[:-1], theta[-1], logs=True)
