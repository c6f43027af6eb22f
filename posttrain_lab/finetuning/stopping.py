"""Early stopping: keep the weights that were best on validation, and stop when they no longer get better."""

from dataclasses import dataclass

from torch import Tensor, nn

from posttrain_lab.data import Dataset
from posttrain_lab.measure import predict
from posttrain_lab.metrics import accuracy
from posttrain_lab.training import TrainingState

KEY = "early stopping"


def validation_accuracy(model: nn.Module, data: Dataset) -> float:
    """Which fraction of these examples does the model get right? Its mode is not changed.

    >>> import torch
    >>> data = Dataset(torch.eye(2), torch.tensor([0, 1]), ("a", "b"))
    >>> validation_accuracy(nn.Identity(), data)
    1.0
    """
    return accuracy(predict(model, data.images, batch_size=256), data.labels)


@dataclass(frozen=True, eq=False)
class EarlyStopping:
    """Early stopping: ends a run `patience` epochs after its best one, and restores the best weights.

    data: validation examples, never test. Give the same object as `before` and in `after_epoch` of the training loop's
    Hooks; with it in `before`, the untrained weights count as epoch 0, so that validation accuracy cannot fall. Of equal
    epochs the later one is kept. Its state is part of the run's state, and so of a checkpoint.
    Raises ValueError for no examples or patience below 1. Source: Prechelt 1998.
    """

    data: Dataset
    patience: int = 3

    def __post_init__(self) -> None:
        if not len(self.data) or self.patience < 1:
            raise ValueError(
                f"EarlyStopping wants examples and patience >= 1, got {len(self.data)} examples, patience={self.patience}."
            )

    def __call__(self, state: TrainingState) -> None:
        """Measure, store the best weights, and end the run after `patience` epochs without improvement."""
        memory = state.memory.setdefault(KEY, {"accuracy": [], "best": -1.0, "best_epoch": 0, "weights": {}})
        if state.finished or (state.epoch and state.epoch == memory.get("seen")):
            return
        now = validation_accuracy(state.model, self.data)
        memory["seen"] = state.epoch
        memory["accuracy"].append(now)
        if now >= memory["best"]:
            weights: dict[str, Tensor] = {name: value.clone() for name, value in state.model.state_dict().items()}
            memory.update(best=now, best_epoch=state.epoch, weights=weights)
        state.finished = state.epoch - memory["best_epoch"] >= self.patience
        if state.finished or state.epoch >= state.config.epochs:
            state.model.load_state_dict(memory["weights"])
