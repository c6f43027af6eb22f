"""Distillation: a small network learns from a large one's probabilities, and from its features.

Sources: Hinton, Vinyals, Dean 2015 (logits); Romero et al. 2015, "FitNets" (features). Left out: distilling without data.
"""

import copy
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from posttrain_lab.metrics import check_model, evaluating
from posttrain_lab.module_walks import check_copyable
from posttrain_lab.training import Hooks, TrainingConfig, check_labels, train


def distillation_loss(
    student: Float[Tensor, "n c"], teacher: Float[Tensor, "n c"], labels: Int64[Tensor, " n"], temperature: float, weight: float
) -> Float[Tensor, ""]:
    """How far is the student from the teacher, and from the labels?

    loss = weight * T^2 * mean_i KL(p_i || q_i) + (1 - weight) * mean_i CE(student_i, labels_i)
    p = softmax(teacher / T),  q = softmax(student / T)

    student, teacher: logits [n, c]; labels [n] in 0..c-1; temperature T > 0; weight in [0, 1]. T^2 keeps the gradient's
    size when T changes. No gradient reaches the teacher.
    Raises ValueError for other shapes, labels outside the classes, T that is not positive, weight outside [0, 1].
    Source: Hinton, Vinyals, Dean 2015.

    >>> student, teacher = torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    >>> distillation_loss(student, teacher, torch.tensor([0]), temperature=2.0, weight=1.0)
    tensor(0.4438)
    """
    if student.shape != teacher.shape:
        raise ValueError(f"distillation_loss wants logits of one shape, got {list(student.shape)} and {list(teacher.shape)}.")
    if not temperature > 0 or not 0 <= weight <= 1:
        raise ValueError(f"distillation_loss wants temperature > 0 and weight in [0, 1], got {temperature} and {weight}.")
    check_labels(labels, student.shape[1], "distillation_loss")
    log_q = F.log_softmax(student / temperature, dim=1)
    log_p = F.log_softmax(teacher.detach() / temperature, dim=1)
    divergence = (log_p.exp() * (log_p - log_q)).sum(1).mean()
    return weight * temperature**2 * divergence + (1 - weight) * F.cross_entropy(student, labels)


def feature_loss(student: Float[Tensor, "n ..."], teacher: Float[Tensor, "n ..."]) -> Float[Tensor, ""]:
    """How far are the student's features from the teacher's? The mean squared difference; no gradient to the teacher.

    Both of one shape: project the student's first where its layer is narrower. Source: Romero et al. 2015.

    >>> feature_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 4.0]]))
    tensor(2.)
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"feature_loss wants features of one shape, got {list(student.shape)} and {list(teacher.shape)}; project them first."
        )
    return F.mse_loss(student, teacher.detach())


def outputs_of(model: nn.Module, layer: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """The model's output for x, and the output of its layer of this name.

    Raises ValueError for a name that the model does not have.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> [list(y.shape) for y in outputs_of(model, "0", torch.ones(5, 2))]
    [[5, 1], [5, 3]]
    """
    names = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    if layer not in names:
        raise ValueError(f"outputs_of wants the name of a layer, one of {', '.join(names)}, got {layer!r}.")
    caught: list[Tensor] = []

    def catch(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        caught.append(output)

    hook = model.get_submodule(layer).register_forward_hook(catch)
    try:
        logits = model(x)
    finally:
        hook.remove()
    if not caught:
        raise ValueError(
            f"outputs_of wants a layer that is called, got {layer!r}, which this network does not call; choose another."
        )
    return logits, caught[-1]


@dataclass(frozen=True)
class DistillationConfig:
    """How to distil. `layers` = (student's layer, teacher's layer) adds `feature_weight` times the loss between their outputs."""

    temperature: float = 4.0
    weight: float = 0.9
    layers: tuple[str, str] | None = None
    feature_weight: float = 1.0
    training: TrainingConfig = field(default_factory=TrainingConfig)


class _WithProjection(nn.Module):
    """The student, and the linear map that brings its features to the teacher's width; the map is not needed after training."""

    def __init__(self, student: nn.Module, width: int, wanted: int, seed: int) -> None:
        super().__init__()
        self.student = student
        bound = width**-0.5
        weight = (2 * torch.rand(wanted, width, generator=torch.Generator().manual_seed(seed)) - 1) * bound
        self.projection = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.student(x)

    def project(self, features: Tensor) -> Tensor:
        """[n, width, ...] -> [n, wanted, ...]: the same linear map at every position of an image."""
        return torch.einsum("oi,ni...->no...", self.projection, features)


def distill(
    student: nn.Module,
    teacher: nn.Module,
    images: Float[Tensor, "n ..."],
    labels: Int64[Tensor, " n"],
    config: DistillationConfig | None = None,
) -> nn.Module:
    """Train a small network (the student) with a large one as teacher: a trained copy of `student`, in eval mode.

    images [n, ...], labels [n]; the loss is `distillation_loss`, plus `feature_weight * feature_loss` when the config names
    layers: the student's features are mapped to the teacher's width by a linear map that is trained too. Both given networks
    are not changed. Raises ValueError for layers that do not exist or whose images differ in size, and as `train` does.
    Sources: Hinton et al. 2015; Romero et al. 2015.
    """
    check_model("distill", student)
    check_model("distill", teacher)
    check_copyable("distill", teacher)
    config = config or DistillationConfig()
    teacher = copy.deepcopy(teacher).eval().requires_grad_(False)
    if config.layers is None:
        hooks = Hooks(loss=lambda model, x, y: distillation_loss(model(x), teacher(x), y, config.temperature, config.weight))
        return train(student, images, labels, config.training, hooks=hooks)[0]
    paired = _paired(student, teacher, images[:1], config)
    own, others = config.layers

    def loss(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        logits, features = outputs_of(model.student, own, x)  # type: ignore[arg-type]
        wanted, goal = outputs_of(teacher, others, x)
        near = feature_loss(model.project(features), goal)  # type: ignore[operator]
        return distillation_loss(logits, wanted, y, config.temperature, config.weight) + config.feature_weight * near

    return train(paired, images, labels, config.training, hooks=Hooks(loss=loss))[0].student  # type: ignore[return-value]


def _paired(student: nn.Module, teacher: nn.Module, example: Tensor, config: DistillationConfig) -> _WithProjection:
    """The student with a projection that fits the two layers."""
    assert config.layers is not None
    with torch.no_grad(), evaluating(student):
        own, goal = outputs_of(student, config.layers[0], example)[1], outputs_of(teacher, config.layers[1], example)[1]
    if own.shape[2:] != goal.shape[2:]:
        raise ValueError(
            f"distill wants layers with images of one size, got {list(own.shape)} from '{config.layers[0]}' and "
            f"{list(goal.shape)} from '{config.layers[1]}'; choose layers of equal depth."
        )
    return _WithProjection(student, own.shape[1], goal.shape[1], config.training.seed)
