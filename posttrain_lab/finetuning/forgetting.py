"""Learn a new task without forgetting the old one: EWC, L2-SP, replay.

Sources: EWC, Kirkpatrick et al. 2017; L2-SP, Li, Grandvalet, Davoine 2018; replay, Robins 1995. Left out: networks that grow.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from posttrain_lab.data import Dataset
from posttrain_lab.metrics import evaluating

Named = dict[str, Tensor]
FISHER_BATCH = 50  # images whose gradients are in memory at a time


def anchor_of(model: nn.Module) -> Named:
    """A copy of the current parameters: the values that a penalty pulls back to.

    >>> list(anchor_of(nn.Linear(2, 1)))
    ['weight', 'bias']
    """
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def _check_named(caller: str, model: nn.Module, given: Named, what: str) -> None:
    parameters = dict(model.named_parameters())
    unknown = [name for name in given if name not in parameters]
    if unknown:
        raise ValueError(f"{caller} wants {what} by the names of the model's parameters, got {unknown[:3]}; see anchor_of.")
    for name, value in given.items():
        if value.shape != parameters[name].shape:
            raise ValueError(
                f"{caller} wants {what} in the shapes of the parameters, got {list(value.shape)} for '{name}' "
                f"{list(parameters[name].shape)}; it belongs to another model."
            )


def ewc_penalty(model: nn.Module, anchor: Named, fisher: Named, strength: float) -> Float[Tensor, ""]:
    """How large is the penalty for changing weights that the old task needs?

    penalty = strength / 2 * sum_i F_i (theta_i - anchor_i)^2

    anchor and fisher: {parameter's name: tensor of its shape}; F from `fisher_information` on the OLD task. Parameters that
    fisher does not name have no penalty. A scalar with a gradient: add it to the new task's loss.
    Raises ValueError for names or shapes of another model, or an F without its anchor. Source: Kirkpatrick et al. 2017.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> anchor, fisher = {"weight": model.weight.detach() - 2.0}, {"weight": torch.tensor([[3.0]])}
    >>> round(ewc_penalty(model, anchor, fisher, strength=1.0).item(), 4)  # 1/2 * 3 * 2^2
    6.0
    """
    _check_named("ewc_penalty", model, fisher, "fisher")
    _check_named("ewc_penalty", model, anchor, "anchor")
    missing = [name for name in fisher if name not in anchor]
    if missing:
        raise ValueError(f"ewc_penalty wants an anchor for every parameter of fisher, got none for {missing[:3]}; see anchor_of.")
    parameters = dict(model.named_parameters())
    terms = [(fisher[name] * (parameters[name] - anchor[name]).square()).sum() for name in fisher]
    return 0.5 * strength * sum(terms, torch.zeros((), device=next(iter(parameters.values())).device))


def l2_sp_penalty(model: nn.Module, anchor: Named, strength: float) -> Float[Tensor, ""]:
    """How large is the penalty for changing any weight? strength / 2 * sum_i (theta_i - anchor_i)^2: EWC with every F = 1.

    Raises ValueError for names or shapes of another model. Source: Li, Grandvalet, Davoine 2018.

    >>> model = nn.Linear(1, 1, bias=False)
    >>> round(l2_sp_penalty(model, {"weight": model.weight.detach() - 2.0}, strength=1.0).item(), 4)
    2.0
    """
    return ewc_penalty(model, anchor, {name: torch.ones_like(value) for name, value in anchor.items()}, strength)


def fisher_information(model: nn.Module, images: Float[Tensor, "n ..."], seed: int = 0) -> Named:
    """On which weights do the model's predictions depend? The diagonal of the Fisher information, for each parameter.

    F_i = mean over images of (d log p(y | x) / d theta_i)^2,  y drawn from the model's own p(y | x) with `seed`

    images [n, ...] of the old task; labels are not needed. Batch norm in eval mode; the model is not changed.
    Raises ValueError for no images. Sources: Kirkpatrick et al. 2017; drawing y: Kunstner, Hennig, Balles 2019.

    >>> model = nn.Linear(2, 2)
    >>> {name: list(F.shape) for name, F in fisher_information(model, torch.ones(5, 2)).items()}
    {'weight': [2, 2], 'bias': [2]}
    """
    if not len(images):
        raise ValueError("fisher_information wants at least one image, got none; give some of the old task.")
    generator = torch.Generator().manual_seed(seed)
    parameters = anchor_of(model)
    buffers = {name: buffer.detach() for name, buffer in model.named_buffers()}

    def log_likelihood(values: Named, x: Tensor, y: Tensor) -> Tensor:
        return -F.cross_entropy(functional_call(model, (values, buffers), (x[None],)), y[None])

    total = {name: torch.zeros_like(value) for name, value in parameters.items()}
    with evaluating(model):
        for x in images.split(FISHER_BATCH):
            with torch.no_grad():
                y = torch.multinomial(model(x).softmax(1), 1, generator=generator).squeeze(1)
            for name, gradient in vmap(grad(log_likelihood), in_dims=(None, 0, 0))(parameters, x, y).items():
                total[name] += gradient.square().sum(0)
    return {name: value / len(images) for name, value in total.items()}


def penalized(penalty: Callable[[nn.Module], Tensor]) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    """Cross-entropy plus a penalty on the weights, as `Hooks(loss=...)` of the training loop takes it.

    >>> loss = penalized(lambda model: l2_sp_penalty(model, anchor_of(model), 1.0))
    >>> model = nn.Linear(2, 2)
    >>> x, y = torch.ones(3, 2), torch.tensor([0, 1, 1])
    >>> torch.equal(loss(model, x, y), F.cross_entropy(model(x), y))
    True
    """
    return lambda model, x, y: F.cross_entropy(model(x), y) + penalty(model)


def with_replay(new: Dataset, old: Dataset, count: int, seed: int = 0) -> Dataset:
    """The new examples and `count` old ones, drawn with `seed`, in random order: the old task is trained too.

    Raises ValueError for a count outside 0..len(old), other image sizes, or other classes. Source: Robins 1995.

    >>> few = Dataset(torch.zeros(3, 1, 2, 2), torch.tensor([0, 1, 0]), ("a", "b"))
    >>> len(with_replay(few, few, 2))
    5
    """
    if not 0 <= count <= len(old):
        raise ValueError(f"with_replay wants a count from 0 to {len(old)}, the number of old examples, got {count}.")
    if new.images.shape[1:] != old.images.shape[1:] or new.classes != old.classes:
        raise ValueError(
            f"with_replay wants images and classes of one kind, got {list(new.images.shape[1:])} and {list(old.images.shape[1:])}, "
            f"{len(new.classes)} and {len(old.classes)} classes."
        )
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(old), generator=generator)[:count]
    order = torch.randperm(len(new) + count, generator=generator)
    images, labels = torch.cat([new.images, old.images[chosen]]), torch.cat([new.labels, old.labels[chosen]])
    return Dataset(images[order], labels[order], new.classes)
