"""Which nodes of a graph can compute with integers, which cannot, and why not.

| role      | operators                                     | with integers                                                       |
|-----------|-----------------------------------------------|---------------------------------------------------------------------|
| product   | Conv2d, Linear                                | int8 x int8 -> int32, then rescaled                                 |
| pointwise | add, mul, cat, averages, activations, a gain  | 16-bit codes in; rescaled, or read from a table                     |
| same      | views, max pooling, padding with zeros        | the codes as they are                                               |
| float     | layer norm, softmax, products of activations  | not here: a float island, with a border on each side                |

A pointwise or same node stays in float when no integer reaches it, or when its result is read by float nodes alone: a border is
moved to where it costs least. The output of the network may be integers.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from .capture import VIEWS, constant, op_name
from .layers import ChannelAffine, module_of
from .windows import is_plain_average

# fmt: off
ACTIVATIONS = frozenset((
    "relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max", "hardswish", "hardsigmoid", "sigmoid", "silu", "gelu", "tanh",
    "leaky_relu", "elu", "softplus", "mish", "abs", "neg", "square", "exp", "sqrt", "rsqrt", "log_sigmoid", "div", "pow",
))
# fmt: on
CLAMPS = frozenset(("relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max"))
SUMS = frozenset(("add", "sub", "rsub", "mul"))
AVERAGES = frozenset(("adaptive_avg_pool2d", "avg_pool2d", "mean"))
SAME = (VIEWS - {"alias", "detach"}) | {"max_pool2d", "contiguous", "clone", "roll", "constant_pad_nd", "pad"}
WHY = {
    "layer_norm": "needs the mean and variance of each row",
    "group_norm": "needs the mean and variance of each group",
    "softmax": "its exponentials need a range of each row's own",
    "scaled_dot_product_attention": "multiplies two activations and takes a softmax",
    "matmul": "multiplies two activations",
    "bmm": "multiplies two activations",
    "conv2d": "its weight depends on the input",
    "linear": "its weight depends on the input",
    "conv_transpose2d": "transposed convolutions have no integer layer here",
    "conv1d": "convolutions in one dimension have no integer layer here",
    "conv3d": "convolutions in three dimensions have no integer layer here",
    "embedding": "reads rows of a table, multiplies nothing",
}


@dataclass
class Role:
    """What a node does, whether with integers, and why not."""

    kind: str
    integer: bool = False
    why: str = ""


def is_tensor(node: Any) -> bool:
    """Does the node give a float tensor, or several?"""
    value = node.meta.get("val") if isinstance(node, fx.Node) else None
    first = value[0] if isinstance(value, tuple | list) and value else value
    return isinstance(first, Tensor) and first.is_floating_point()


def tensor_inputs(graph: fx.GraphModule, node: fx.Node) -> list[fx.Node]:
    """The inputs that are float tensors and no constants."""
    return [one for one in node.all_input_nodes if is_tensor(one) and constant(graph, one) is None]


def _kind(graph: fx.GraphModule, node: fx.Node) -> str:
    module, name, inputs = module_of(graph, node), op_name(node), tensor_inputs(graph, node)
    if isinstance(module, nn.Conv2d | nn.Linear):
        return "product"
    if isinstance(module, ChannelAffine):
        return "pointwise"
    if not is_tensor(node) or not inputs:
        return "float" if name == "embedding" else "other"
    if name in SAME and len(inputs) == 1 and _keeps_codes(node, name):
        return "same"
    constants = [one for one in node.all_input_nodes if is_tensor(one) and constant(graph, one) is not None]
    one_number = len(inputs) == 1 and not constants and inputs[0] is node.args[0]
    if (name in ACTIVATIONS and one_number) or (name in AVERAGES and is_plain_average(node)):
        return "pointwise"
    if (name in SUMS and node.kwargs.get("alpha", 1) == 1) or name == "cat":
        return "pointwise"
    return "float"


def _keeps_codes(node: fx.Node, name: str) -> bool:
    """Padding must be with zeros, which have a code; an index by a tensor is not looked at."""
    if name == "constant_pad_nd":
        return bool((node.args[2] if len(node.args) > 2 else node.kwargs.get("value", 0)) == 0)
    if name == "pad":
        given = dict(zip(("mode", "value"), node.args[2:], strict=False)) | dict(node.kwargs)
        return bool(given.get("mode", "constant") == "constant" and not given.get("value"))
    return True


def assign_roles(graph: fx.GraphModule) -> dict[fx.Node, Role]:
    """The role of each node that gives a float tensor."""
    roles: dict[fx.Node, Role] = {}
    for node in graph.graph.nodes:
        role = roles[node] = Role(_kind(graph, node))
        reached = any(roles[one].integer for one in tensor_inputs(graph, node))
        role.integer = role.kind == "product" or (role.kind in ("pointwise", "same") and reached)
        if role.kind in ("pointwise", "same") and not reached:
            role.why = "no integer layer stands before it"
        elif role.kind == "float":
            role.why = WHY.get(op_name(node), f"no integer rule for {op_name(node) or node.op}")
    for node in reversed(graph.graph.nodes):
        role, readers = roles[node], list(node.users)
        if role.integer and role.kind != "product" and not any(one.op == "output" or roles[one].integer for one in readers):
            role.integer, role.why = False, "read by float operators only"
    return roles
