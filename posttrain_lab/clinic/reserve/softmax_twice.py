"""The loss takes softmax of probabilities: softmax twice. It learns, more slowly, and its confidences mean nothing."""

from torch import Tensor
from torch.nn import functional as F

from ..instruments import overfit_one_batch
from ..patient import Handles, Patient, Run
from ..subjects import answers, clothes, cnn, drawn, ece, fit, hits, optimizer_of


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy of what the network answers."""
    return F.cross_entropy(logits, labels)


def broken(logits: Tensor, labels: Tensor) -> Tensor:
    """Of its softmax, of which cross_entropy takes another."""
    return F.cross_entropy(logits.softmax(1), labels)


def run(seed: int, loss_of) -> Run:
    train, test = clothes(seed, 2000, 2000)
    model = drawn(cnn, seed)
    log = fit(model, train, optimizer_of(model), 4, seed, loss=loss_of)
    handles = {"model": model.eval(), "new": drawn(cnn, seed), "loss_of": loss_of, "batch": train.first(50), "test": test}
    return Run(log, hits(model, test), handles)


def smallest_loss(handles: Handles) -> float:
    return overfit_one_batch(handles["new"], handles["loss_of"], *handles["batch"])


PATIENT = Patient(
    level=2,
    kind="D",
    words="softmax is taken twice",
    shows="test accuracy",
    healthy=loss_of,
    broken=broken,
    run=run,
    instrument="overfit_one_batch",
    examine=smallest_loss,
    threshold=0.5,
    honest=lambda handles: ece(answers(handles["model"], handles["test"].x), handles["test"].y),
)
