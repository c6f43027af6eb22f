"""Which channels of which layers must be removed together? Follow labels through the traced network.

torch.fx represents the network as a graph. Each output channel of a Linear or convolution gets a label; the labels flow through the
graph as the activations do: a ReLU passes them on, an addition joins those at the same position, a flatten repeats them, batch norm and
the next layer record which of their own elements belong to which label. A function without a rule (LayerNorm, a softmax over channels,
the output) may need every channel, so the labels that reach it must stay: less is pruned, but nothing wrong.

Idea: dependency graphs as in Fang et al. 2023, "DepGraph: Towards Any Structural Pruning"; here the order of channels is followed
through reshapes by running these on the labels themselves. Left out: parameters outside layers, transposed convolutions, recurrence.
"""

from typing import Any

import torch
from torch import Tensor, fx, nn

from posttrain_lab.metrics import evaluating
from posttrain_lab.module_walks import computes_as

from .graph_rules import ELEMENTWISE, POOLS, Rules, unflattened
from .labels import Labels, no_labels

CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
WITH_RULES = (nn.Linear, *CONVS, *NORMS, nn.Flatten, nn.Unflatten, *POOLS, *ELEMENTWISE)


class NamingTracer(fx.Tracer):
    """fx's tracer, which records the current module, so that an error can name it."""

    where = ""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """A subclass that keeps the `forward` of a layer with a rule is followed by that rule, one with its own by its code."""
        return super().is_leaf_module(m, module_qualified_name) or computes_as(m, *WITH_RULES)

    def call_module(self, m: nn.Module, forward: Any, args: tuple, kwargs: dict) -> Any:
        before, self.where = self.where, self.path_of_module(m)
        result = super().call_module(m, forward, args, kwargs)
        self.where = before  # not in a finally: an error leaves the name of the innermost module
        return result


def traced(model: nn.Module, caller: str) -> fx.GraphModule:
    """The model as a graph. Raises ValueError naming the module whose code torch.fx cannot follow."""
    tracer = NamingTracer()
    try:
        return fx.GraphModule(model, tracer.trace(model))
    except Exception as error:  # fx does not catch errors of the model's own code on a symbol
        where = f"'{tracer.where}' ({type(model.get_submodule(tracer.where)).__name__})" if tracer.where else "the network itself"
        raise ValueError(
            f"{caller} wants a network that torch.fx can trace, got stuck in {where}: {error}. "
            "Rewrite what depends on the values of a tensor (if, for, int()), or prune its parts one by one."
        ) from error


class Follower(fx.Interpreter):
    """Run the graph on an example and carry labels along. `places[layer, side]`: the label of each position of that side.

    Sides: "out" and "in" of a Linear or convolution (inputs of one group), "norm" of a batch norm.
    """

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.rules = Rules()
        self.labels, self.node_labels = self.rules.labels, self.rules.found
        self.places: dict[tuple[str, str], Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n.op == "call_module":
            inputs, layer = self.rules.tensors(n), self.fetch_attr(str(n.target))
            alone = len(inputs) == 1 and isinstance(value, Tensor)
            self.node_labels[n] = (
                self._module(str(n.target), layer, inputs[0], value) if alone else self.rules.unknown(inputs, value)
            )
        elif n.op in ("call_function", "call_method"):
            self.rules.values = self.env
            self.node_labels[n] = self.rules.function(n, value)
        elif isinstance(value, Tensor):
            self.node_labels[n] = no_labels(value)
        if n.op == "output":
            fx.map_arg(n.args, lambda node: self.rules.fix(self.node_labels.get(node)))
        return value

    def _module(self, name: str, layer: Any, x: Tensor, value: Any) -> Any:
        if computes_as(layer, nn.Linear):
            return self._linear(name, layer, x, value)
        if computes_as(layer, *CONVS):
            return self._convolution(name, layer, x, value)
        if computes_as(layer, *NORMS):
            return self._norm(name, layer, x)
        if computes_as(layer, nn.Flatten, nn.Unflatten):  # themselves, on labels
            sizes = unflattened(layer.dim, layer.unflattened_size) if isinstance(layer, nn.Unflatten) else {}  # type: ignore[arg-type]
            return self.rules.reshaped(x, layer(x), sizes)
        if computes_as(layer, *POOLS):
            return self.rules.per_channel(x, value)
        if computes_as(layer, *ELEMENTWISE) and not list(layer.parameters()):
            return x
        return self.rules.unknown([x], value)

    def _note(self, layer: str, side: str, labels: Tensor) -> Tensor:
        """Record the labels of a side; a second call of the same layer joins them. Returns those of the first call."""
        first = self.places.setdefault((layer, side), labels)
        self.labels.join(first, labels)
        return first

    def _linear(self, name: str, layer: nn.Linear, x: Tensor, value: Tensor) -> Tensor:
        last = x.ndim - 1
        if self.labels.varying(x) not in ([], [last]):  # channels on another axis: each is treated alike
            self._note(name, "out", torch.zeros(layer.out_features, dtype=torch.int64))
            return x.narrow(last, 0, 1).expand(value.shape)
        self._note(name, "in", x.reshape(-1, layer.in_features)[0])
        return self._note(name, "out", self.labels.fresh(layer.out_features)).expand(value.shape)

    def _convolution(self, name: str, layer: Any, x: Tensor, value: Tensor) -> Tensor:
        if self.labels.varying(x) not in ([], [1]) or x.ndim != layer.weight.ndim:
            return self.rules.unknown([x], value)
        channels = x.flatten(2)[0, :, 0]
        out = self.labels.fresh(layer.out_channels)
        if layer.groups == layer.in_channels > 1:  # depthwise: an input and its outputs are one unit
            self.labels.join(out.reshape(layer.groups, -1), channels[:, None])
        else:  # each group of the convolution loses the same positions
            grouped = channels.reshape(layer.groups, -1)
            self.labels.join(grouped, grouped[:1])
            self._note(name, "in", grouped[0])
            outputs = out.reshape(layer.groups, -1)
            self.labels.join(outputs, outputs[:1])
        out = self._note(name, "out", out)
        return out.reshape(1, -1, *[1] * (value.ndim - 2)).expand(value.shape)

    def _norm(self, name: str, layer: Any, x: Tensor) -> Tensor:
        if self.labels.varying(x) not in ([], [1]):
            return self.rules.unknown([x], x)
        self._note(name, "norm", x.flatten(2)[0, :, 0] if x.ndim > 2 else x[0])
        return x


def follow(model: nn.Module, example: Tensor, caller: str) -> tuple[Labels, dict[tuple[str, str], Tensor]]:
    """The labels, and those of every side of every layer, after one example has gone through."""
    graph = traced(model, caller)
    follower = Follower(graph)
    try:
        with evaluating(model), evaluating(graph), torch.no_grad():
            follower.run(example[:1])
    except RuntimeError as error:
        raise ValueError(
            f"{caller} wants an example that the network takes, got shape {list(example.shape)} {example.dtype}: {error}"
        ) from error
    return follower.labels, follower.places
