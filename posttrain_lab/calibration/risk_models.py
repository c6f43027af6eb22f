"""Two binary classifiers of a row of features: one that is nearly calibrated, one that is very overconfident.

Both are frozen networks that give logits [n, 2], so that everything else in the course works on them.
Source: Cox (1958); naive Bayes as in Hastie, Tibshirani, Friedman (2009), 6.6.3.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from posttrain_lab.data import Dataset

from .arguments import check_finite
from .newton import fit_logistic

LEAST_VARIANCE = 1e-9  # added to every variance, as a share of the largest: no variance is 0, even for a constant feature


def _checked(name: str, train: Dataset) -> tuple[Tensor, Tensor]:
    if not isinstance(train, Dataset):
        raise TypeError(f"{name} wants a Dataset, got {type(train).__name__}; give split.train.")
    check_finite(name, "features", train.images, 2)
    if set(train.labels.unique().tolist()) != {0, 1}:
        raise ValueError(f"{name} wants labels 0 and 1, both of them, got {train.labels.unique().tolist()[:5]}.")
    return train.images.double(), train.labels


class LogisticRegression(nn.Module):
    """logits [n, 2] = (0, x @ weight + bias)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n 2"]:
        score = x @ self.weight + self.bias
        return torch.stack([torch.zeros_like(score), score], dim=1)


def fit_logistic_regression(train: Dataset, l2: float = 0.0) -> LogisticRegression:
    """Which weighted sum of the features is the log-odds of class 1? Fitted by maximum likelihood, to convergence.

    l2 >= 0 shrinks the weights of the standardized features. Raises TypeError for another type; ValueError for NaN, infinity, one
    class, negative l2, and when the classes are separated or features repeat each other (l2 > 0 helps).
    Source: Cox (1958).

    >>> people = Dataset(torch.tensor([[0.0], [0.0], [1.0], [1.0], [1.0]]), torch.tensor([0, 1, 0, 1, 1]), ("no", "yes"))
    >>> [round(p, 3) for p in fit_logistic_regression(people)(people.images).softmax(1)[:, 1].tolist()]
    [0.5, 0.5, 0.667, 0.667, 0.667]
    """
    x, y = _checked("fit_logistic_regression", train)
    if not l2 >= 0:
        raise ValueError(f"fit_logistic_regression wants l2 >= 0, got {l2}; 0 is plain maximum likelihood.")
    *weight, bias = fit_logistic(x, y, l2)
    return LogisticRegression(train.images.new_tensor(weight), train.images.new_tensor(bias)).eval()


class NaiveBayes(nn.Module):
    """logits [n, 2]: log P(class) + sum of the log densities of the features, each a normal of its own."""

    mean: Tensor
    variance: Tensor
    log_prior: Tensor

    def __init__(self, mean: Tensor, variance: Tensor, log_prior: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("variance", variance)
        self.register_buffer("log_prior", log_prior)

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n 2"]:
        away = (x[:, None].double() - self.mean).square() / self.variance
        density = -(away + (2 * torch.pi * self.variance).log()).sum(dim=2) / 2
        return (self.log_prior + density).to(x.dtype)


def fit_naive_bayes(train: Dataset) -> NaiveBayes:
    """How likely is each class when the features of a class are assumed to be independent and normal?

    They are not independent: information that two of them share is counted twice, so the model is very overconfident. That makes
    it a good example for calibration. Raises TypeError for another type; ValueError for NaN, infinity, one class.

    >>> people = Dataset(torch.tensor([[0.0], [2.0], [4.0], [6.0]]), torch.tensor([0, 0, 1, 1]), ("no", "yes"))
    >>> fit_naive_bayes(people)(torch.tensor([[3.0]])).softmax(1)
    tensor([[0.5000, 0.5000]])
    """
    x, y = _checked("fit_naive_bayes", train)
    parts = [x[y == c] for c in (0, 1)]
    floor = LEAST_VARIANCE * x.var(dim=0, correction=0).max()
    mean = torch.stack([part.mean(dim=0) for part in parts])
    variance = torch.stack([part.var(dim=0, correction=0) for part in parts]) + floor
    shares = torch.tensor([len(part) / len(y) for part in parts], dtype=torch.float64)
    return NaiveBayes(mean, variance, shares.log()).eval()
