"""Can the network learn one batch by heart? If not, loss, labels or gradients do not belong together."""

import copy
import math
from collections.abc import Callable

import torch
from jaxtyping import Integer, Shaped
from torch import Tensor, nn

from posttrain_lab.arguments import check_count
from posttrain_lab.metrics import check_model
from posttrain_lab.module_walks import check_copyable


def overfit_one_batch(
    model: nn.Module,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    x: Shaped[Tensor, "n ..."],
    y: Integer[Tensor, " n"],
    steps: int = 100,
    lr: float = 1e-2,
) -> float:
    """How far can the loss of one batch fall? The smallest of `steps` losses of a copy; near 0 where all is well.

    A copy of the model, in train mode, takes steps of Adam on loss_of(model(x), y); what is frozen stays frozen. A loss that stays high
    tells of a floor (softmax taken twice cannot fall below 1.46 with ten classes), of labels that contradict the images, or
    of gradients that do not arrive. The model and torch's random numbers stay as they were.
    x [n, ...], y [n]. Raises TypeError for other types; ValueError for steps < 1, lr that is not positive, other lengths, a model
    in which nothing learns, or a first loss that is no number.

    >>> x, y = torch.eye(4), torch.arange(4)
    >>> overfit_one_batch(nn.Linear(4, 4), nn.functional.cross_entropy, x, y, steps=200, lr=0.1) < 0.05
    True
    """
    check_model("overfit_one_batch", model)
    check_copyable("overfit_one_batch", model)
    check_count("overfit_one_batch", "steps", steps)
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"overfit_one_batch wants a positive learning rate, got lr={lr}.")
    if len(x) != len(y) or len(y) == 0:
        raise ValueError(f"overfit_one_batch wants one label for each example, got {len(x)} examples and {len(y)} labels.")
    twin = copy.deepcopy(model).train()
    live = [p for p in twin.parameters() if p.requires_grad]
    if not live:
        raise ValueError("overfit_one_batch wants a model in which something learns, got one that is frozen; see unfreeze.")
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        return _smallest(twin, lambda: loss_of(twin(x), y), torch.optim.Adam(live, lr=lr), steps)


def _smallest(model: nn.Module, loss_now: Callable[[], Tensor], optimizer: torch.optim.Optimizer, steps: int) -> float:
    best = math.inf
    for step in range(steps):
        loss = loss_now()
        if step == 0 and not torch.isfinite(loss):
            raise ValueError(f"overfit_one_batch wants a loss that is a number, got {loss.item()} at the first step.")
        optimizer.zero_grad()
        if loss.requires_grad:  # a detached loss teaches nothing, and that is the finding
            loss.backward()
            optimizer.step()
        best = min(best, loss.item())
    return best
