"""For whom is the model right? Accuracy in each group, with its interval."""

from jaxtyping import Float, Integer
from torch import Tensor

from posttrain_lab.metrics import wilson_interval


def group_report(
    logits: Float[Tensor, "n c"], labels: Integer[Tensor, " n"], groups: Integer[Tensor, " n"]
) -> dict[int, tuple[int, int, float, float]]:
    """How often is the model right in each group? {group: (hits, n, low, high)}, with Wilson's 95 % interval.

    groups [n]: any whole numbers: the labels themselves, the source of an image, whether a value was missing. Only groups that occur
    are there, in rising order; a tie of logits goes to the lower class. Raises TypeError for other dtypes; ValueError for other
    lengths, no examples, or NaN.

    >>> import torch
    >>> report = group_report(torch.eye(2)[[0, 0, 1]], torch.tensor([0, 1, 1]), torch.tensor([7, 7, 3]))
    >>> {group: (hits, n) for group, (hits, n, _, _) in report.items()}
    {3: (1, 1), 7: (1, 2)}
    """
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        raise TypeError("group_report wants logits to be a floating-point Tensor; give what the network answers.")
    for name, value in (("labels", labels), ("groups", groups)):
        if not isinstance(value, Tensor) or value.is_floating_point():
            got = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"group_report wants {name} to be a Tensor of whole numbers, got {got}.")
    if logits.ndim != 2 or labels.shape != groups.shape or labels.shape != logits.shape[:1] or logits.numel() == 0:
        raise ValueError(
            f"group_report wants logits [n, c], labels [n] and groups [n] with n >= 1, got {list(logits.shape)}, "
            f"{list(labels.shape)} and {list(groups.shape)}."
        )
    if logits.isnan().any():
        raise ValueError("group_report wants logits that are numbers, got NaN; look for the layer that made it.")
    right = logits.argmax(1) == labels
    found = {}
    for group in groups.unique().tolist():
        hits, n = int(right[groups == group].sum()), int((groups == group).sum())
        found[int(group)] = (hits, n, *wilson_interval(hits, n))
    return found
