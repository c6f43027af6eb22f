"""Which batch norms of a network read one convolution, and that convolution nothing else? By the traced graph, not by names."""

from typing import Any

from torch import Tensor, fx, nn

from .capture import capture, op_name

NORMS = ("batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm")


def convolutions_before_norms(model: nn.Module, example: Tensor, caller: str) -> list[tuple[str, str]]:
    """Pairs (name of the Conv2d, name of the BatchNorm2d), each layer called once, the convolution's result read by the norm alone."""
    graph = capture(model, example, caller)
    modules = dict(model.named_modules(remove_duplicate=False))
    readers: dict[str, int] = {}
    for node in graph.graph.nodes:
        if node.op == "get_attr":
            readers[str(node.target)] = readers.get(str(node.target), 0) + len(node.users)
    pairs = []
    for node in graph.graph.nodes:
        conv = node.args[0] if op_name(node) in NORMS else None
        if isinstance(conv, fx.Node) and op_name(conv) == "conv2d" and len(conv.users) == 1:
            weight, mean = str(_target(conv.args[1])), str(_target(node.args[3]))
            first, second = weight.rpartition(".")[0], mean.rpartition(".")[0]
            once = readers.get(weight) == 1 and readers.get(mean) == 1
            plain = type(modules.get(second)) is nn.BatchNorm2d and isinstance(modules.get(first), nn.Conv2d)
            if once and plain and hasattr(modules[first], "weight") and weight.endswith(".weight"):
                pairs.append((first, second))
    return pairs


def _target(value: Any) -> Any:
    return value.target if isinstance(value, fx.Node) else None
