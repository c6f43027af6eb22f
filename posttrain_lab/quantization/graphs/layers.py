"""The products of a captured graph as plain layers: nn.Conv2d and nn.Linear again, with batch norm folded in.

Every function of the kit that rounds or multiplies takes such layers, so the graph's `conv2d(x, weight, bias, ...)` nodes become
calls of modules. The same weight in two calls becomes one module with two calls. A batch norm that no convolution can take
in (densenet's stand in front), and a product with one constant for each channel (convnext's layer scale), become a ChannelAffine.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn

from ..fold import fold_batchnorm
from .capture import constant, op_name
from .pairs import NORMS


class ChannelAffine(nn.Module):
    """x * gain + bias, one gain and one bias for each index along `axis`; as an integer layer, one rescaling a channel.

    >>> ChannelAffine(torch.tensor([1.0, 2.0]), None, axis=1)(torch.ones(1, 2, 1)).flatten()
    tensor([1., 2.])
    """

    gain: Tensor
    bias: Tensor

    def __init__(self, gain: Tensor, bias: Tensor | None, axis: int) -> None:
        super().__init__()
        self.axis = axis
        self.register_buffer("gain", gain.detach().float().flatten())
        self.register_buffer("bias", torch.zeros_like(self.gain) if bias is None else bias.detach().float().flatten())

    def shaped(self, values: Tensor, ndim: int) -> Tensor:
        """Values [channels] with axes of size 1, to broadcast against ndim axes."""
        return values.reshape([-1 if axis == self.axis % ndim else 1 for axis in range(ndim)])

    def forward(self, x: Tensor) -> Tensor:
        return x * self.shaped(self.gain, x.ndim) + self.shaped(self.bias, x.ndim)


def parent_name(target: str) -> str:
    """The layer to which a parameter belongs: "a.conv.weight" -> "a.conv", "attention.in_proj_weight" -> "attention.in_proj"."""
    return target.removesuffix("weight").rstrip("._") or "layer"


def arguments(node: fx.Node) -> dict[str, Any]:
    """The operator's arguments by their names in torch's schema, defaults included."""
    schema = node.target._schema.arguments  # type: ignore[union-attr]
    given = {argument.name: value for argument, value in zip(schema, node.args, strict=False)}
    defaults = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}
    return {**defaults, **given, **node.kwargs}


def _built(node: fx.Node, weight: Tensor, bias: Tensor | None) -> nn.Module | None:
    """The layer that computes what the node does, around the same tensors."""
    with torch.device("meta"):
        if op_name(node) == "linear" and weight.ndim == 2:
            layer: Any = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
        elif op_name(node) == "conv2d":
            named = arguments(node)
            channels = (weight.shape[1] * named["groups"], weight.shape[0])
            shape = {name: _pair(named[name]) for name in ("stride", "padding", "dilation")}
            layer = nn.Conv2d(*channels, _pair(weight.shape[2:]), groups=named["groups"], bias=bias is not None, **shape)
        else:
            return None
    layer.weight = nn.Parameter(weight.detach(), requires_grad=weight.is_floating_point())
    layer.bias = None if bias is None else nn.Parameter(bias.detach())
    return layer.eval()


def _pair(value: str | Iterable[int]) -> Any:
    if isinstance(value, str):
        return value
    sizes = tuple(value)
    return sizes * 2 if len(sizes) == 1 else sizes


def _put(graph: fx.GraphModule, node: fx.Node, name: str, module: nn.Module, x: Any) -> fx.Node:
    """A call of the module in place of the node; the name gets a number when another module has it."""
    name, number = name.replace(".", "_"), 2
    free = name
    while hasattr(graph, free) and getattr(graph, free) is not module:
        free, number = f"{name}_{number}", number + 1
    graph.add_submodule(free, module)
    with graph.graph.inserting_before(node):
        made = graph.graph.call_module(free, (x,))
    made.meta = dict(node.meta)
    node.replace_all_uses_with(made)
    graph.graph.erase_node(node)
    return made


def put_layers(graph: fx.GraphModule) -> None:
    """Exchange the graph's linear and conv2d nodes with constant weights for modules, then fold its batch norms."""
    made: dict[tuple, nn.Module] = {}
    for node in list(graph.graph.nodes):
        if op_name(node) not in ("linear", "conv2d"):
            continue
        named = arguments(node)
        weight, bias = constant(graph, named["weight"]), constant(graph, named["bias"])
        if weight is None or (named["bias"] is not None and bias is None):
            continue  # a weight that depends on the input stays a function
        key = (
            named["weight"],
            named["bias"],
            str({name: named[name] for name in named if name not in ("input", "weight", "bias")}),
        )
        layer = made.get(key) or _built(node, weight, bias)
        if layer is not None:
            made[key] = layer
            _put(graph, node, parent_name(str(named["weight"].target)), layer, named["input"])
    _fold_norms(graph)
    _put_constant_products(graph)
    drop_unused(graph)
    graph.recompile()


def drop_unused(graph: fx.GraphModule) -> None:
    """Drop nodes, modules, parameters and buffers that nothing reads: they would be counted, trained and saved."""
    graph.graph.eliminate_dead_code()
    graph.delete_all_unused_submodules()
    read = {str(node.target) for node in graph.graph.nodes if node.op == "get_attr"}
    for name in [*graph._parameters, *graph._buffers]:
        if name not in read:
            delattr(graph, name)


def module_of(graph: fx.GraphModule, node: Any) -> Any:
    """The module that a node calls; None for another node."""
    return graph.get_submodule(str(node.target)) if isinstance(node, fx.Node) and node.op == "call_module" else None


def _norm(graph: fx.GraphModule, node: fx.Node) -> nn.BatchNorm2d | None:
    """The batch norm of this node in eval mode, as a module; None where its statistics are those of the batch."""
    named = arguments(node)
    tensors = [constant(graph, named[name]) for name in ("weight", "bias", "running_mean", "running_var")]
    mean, variance = tensors[2:]
    if named.get("training") or mean is None or variance is None:
        return None
    norm = nn.BatchNorm2d(len(mean), eps=named["eps"], affine=False, dtype=mean.dtype)
    norm.running_mean, norm.running_var = mean, variance
    for name, value in zip(("weight", "bias"), tensors[:2], strict=True):
        if value is not None:
            setattr(norm, name, nn.Parameter(value.detach(), requires_grad=False))
    return norm.eval()


def _fold_norms(graph: fx.GraphModule) -> None:
    for node in list(graph.graph.nodes):
        norm = _norm(graph, node) if op_name(node) in NORMS else None
        if norm is None:
            continue
        before = node.args[0]
        layer = module_of(graph, before)
        if isinstance(layer, nn.Conv2d) and len(before.users) == 1:
            made = _put(graph, node, f"{before.target}", fold_batchnorm(layer, norm), before.args[0])
            made.meta["nn_module_stack"] = before.meta.get("nn_module_stack")
            made.meta["folded"] = node.meta.get("nn_module_stack")
            graph.graph.erase_node(before)
            continue
        ones = torch.ones_like(norm.running_mean)  # type: ignore[arg-type]
        gain = (norm.running_var.double() + norm.eps).rsqrt() * (ones if norm.weight is None else norm.weight)  # type: ignore[union-attr]
        bias = -norm.running_mean * gain + (0 * ones if norm.bias is None else norm.bias)  # type: ignore[operator]
        _put(graph, node, str(parent_name(node.name)), ChannelAffine(gain, bias, axis=1), before)


def _put_constant_products(graph: fx.GraphModule) -> None:
    """mul(x, c) with one constant for each channel becomes a ChannelAffine."""
    for node in list(graph.graph.nodes):
        if op_name(node) != "mul" or len(node.args) != 2:
            continue
        for x, other in (node.args, node.args[::-1]):
            factor, value = constant(graph, other), x.meta.get("val") if isinstance(x, fx.Node) else None
            if factor is None or value is None or constant(graph, x) is not None:
                continue
            axes = [axis for axis, size in enumerate(factor.shape) if size > 1]
            if len(axes) == 1 and factor.ndim <= value.ndim and value.shape[axes[0] - factor.ndim] == factor.numel():
                _put(graph, node, parent_name(str(other.target)), ChannelAffine(factor, None, axes[0] - factor.ndim), x)
                break
