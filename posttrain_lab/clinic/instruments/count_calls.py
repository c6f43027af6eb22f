"""How much work is done while something is measured?"""

from collections.abc import Callable

from torch import Tensor, nn

from posttrain_lab.metrics import check_model


def count_calls(model: nn.Module, work: Callable[[], object]) -> int:
    """How many examples go through the model while work() runs?

    The rows of all its outputs, counted by a forward hook that is gone afterwards, also when work() raises. Layers inside the
    model do not count; a model that remembers an answer and is not called counts 0.
    Raises TypeError unless model is an nn.Module and work can be called; what work() raises.

    >>> import torch
    >>> layer = nn.Linear(3, 2)
    >>> count_calls(layer, lambda: [layer(torch.ones(5, 3)) for _ in range(4)])
    20
    """
    check_model("count_calls", model)
    if not callable(work):
        raise TypeError(
            f"count_calls wants work to be a function without arguments, got {type(work).__name__}; write lambda: ..."
        )
    rows: list[int] = []

    def note(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        first = output if isinstance(output, Tensor) else inputs[0]
        rows.append(len(first))  # type: ignore[arg-type]

    hook = model.register_forward_hook(note)
    try:
        work()
    finally:
        hook.remove()
    return sum(rows)
