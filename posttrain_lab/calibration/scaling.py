"""More parameters than one temperature: a factor and a shift per class (vector), or a whole matrix on log-probabilities (Dirichlet).

Both can change the predicted class, and so the accuracy. The more parameters, the more examples they need; the
validation part says whether they help (see protocol.py).

Source: Guo et al. (2017) for vector scaling; Kull et al. (2019) for Dirichlet calibration and its penalty.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torch.nn.functional import log_softmax

from .arguments import check_finite
from .newton import fit_softmax
from .temperature import check_logits


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


def _check_all_classes(name: str, logits: Tensor, labels: Tensor) -> None:
    check_logits(name, logits, labels)
    missing = [k for k in range(logits.shape[1]) if not (labels == k).any()]
    if missing:
        raise ValueError(
            f"{name} wants examples of every class, got none of class {missing[0]}; its shift would go to minus infinity."
        )


def fit_vector(logits: Float[Tensor, "n c"], labels: Integer[Tensor, " n"]) -> Scaling:
    """Which factor and shift for each class minimize the negative log-likelihood? softmax(w * z + b), 2c parameters.

    logits [n, c] and labels [n] of the calibration part. Raises TypeError or ValueError as `fit_temperature`; ValueError
    when a class has no example or no finite answer exists. Source: Guo et al. (2017).

    >>> logits = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 2.0], [0.0, 2.0]])
    >>> [round(p, 3) for p in fit_vector(logits, torch.tensor([0, 1, 1, 1, 0]))(logits).softmax(1)[:, 0].tolist()]
    [0.5, 0.5, 0.333, 0.333, 0.333]
    """
    _check_all_classes("fit_vector", logits, labels)
    z, classes = logits.double(), logits.shape[1]
    one = torch.eye(classes, dtype=torch.float64)
    features = torch.cat([z[:, :, None] * one, one.expand(len(z), -1, -1)], dim=2)
    start = torch.cat([torch.ones(classes), torch.zeros(classes)]).double()
    theta = fit_softmax(features, labels, start, ridge=torch.zeros_like(start))
    return Scaling(theta[:classes].diag(), theta[classes:], logs=False)


def fit_dirichlet(
    logits: Float[Tensor, "n c"], labels: Integer[Tensor, " n"], off_diagonal: float = 10.0, intercept: float = 10.0
) -> Scaling:
    """Which map of the log-probabilities minimizes the regularized nll? softmax(W log p + b), c^2 + c parameters (up to some tens of c).

    Minimizes nll + off_diagonal * mean of the squared W_ij (i != j) + intercept * mean of the squared b_i: so many
    parameters need regularization. Choose its strength on validation. Both >= 0. Give logits (not probabilities), as
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
            raise ValueError(f"fit_dirichlet wants penalties >= 0, got {penalty}; 0 switches a penalty off.")
    x, classes = log_softmax(logits.double(), dim=1), logits.shape[1]
    one = torch.eye(classes, dtype=torch.float64)
    products = (one[:, :, None] * x[:, None, None, :]).flatten(2)  # [n, k, c * c]: row k of W is multiplied by x
    features = torch.cat([products, one.expand(len(x), -1, -1)], dim=2)
    off_ridge = 2 * off_diagonal * (1 - one) / (classes * (classes - 1))
    ridge = torch.cat([off_ridge.flatten(), torch.full((classes,), 2 * intercept / classes, dtype=torch.float64)])
    theta = fit_softmax(features, labels, torch.cat([one.flatten(), torch.zeros(classes).double()]), ridge)
    return Scaling(theta[: classes**2].reshape(classes, classes), theta[classes**2 :], logs=True)
