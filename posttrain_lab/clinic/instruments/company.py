"""Does an answer depend on who else is in the batch, or on when it is asked?"""

import copy
from collections.abc import Callable

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from posttrain_lab.module_walks import check_copyable

FEWEST = 8


def company(model: Callable[[Tensor], Tensor], x: Shaped[Tensor, "n ..."]) -> float:
    """By how much does a logit change when the same examples come in other company, or a second time?

    The largest of |model(x) - model(quarters of x)| and |model(x) - model(x) asked again|. Rounding only where every answer is the
    example's own; a batch norm in train mode, dropout, or a random transform on the way make it large.
    The model answers in the mode that it is in, and stays as it was: a network is copied before. A function is taken, too.
    x [n, ...], n >= 8, so that a quarter has two examples. Raises TypeError for a model that cannot be called; ValueError for n < 8.

    >>> torch.manual_seed(0) and company(nn.Sequential(nn.BatchNorm1d(3)).train(), torch.arange(24.0).reshape(8, 3)) > 1
    True
    >>> company(nn.Linear(3, 2), torch.ones(8, 3)) < 1e-6
    True
    """
    if not callable(model):
        raise TypeError(f"company wants a network or a function, got {type(model).__name__}.")
    if len(x) < FEWEST:
        raise ValueError(f"company wants at least {FEWEST} examples, two for each quarter of the batch, got {len(x)}.")
    if isinstance(model, nn.Module):
        check_copyable("company", model)
        model = copy.deepcopy(model)
    with torch.no_grad():
        together, again = model(x), model(x)
        parted = torch.cat([model(part) for part in x.chunk(4)])
    return float(torch.maximum((together - again).abs(), (together - parted).abs()).max())
