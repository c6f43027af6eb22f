"""How functions between the layers propagate labels: one rule for each kind, by the function's name in torch.

After every rule labels differ along one axis at most, the axis of the channels (or heads): a smaller tensor needs this.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from .labels import Labels, no_labels, without_repeats

ELEMENTWISE = (
    *(nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.LeakyReLU, nn.ELU),
    *(nn.Softplus, nn.Mish, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d),
)
POOLS = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d),
    *(nn.Upsample, nn.ZeroPad2d),
)
# fmt: off
SAME = (
    "relu", "relu_", "relu6", "gelu", "silu", "sigmoid", "tanh", "hardswish", "hardsigmoid", "hardtanh", "leaky_relu",
    "elu", "softplus", "mish", "dropout", "dropout2d", "abs", "neg", "exp", "sqrt", "rsqrt", "square", "clamp", "clip",
    "contiguous", "clone", "detach", "float", "to", "pow", "add", "add_", "iadd", "sub", "sub_", "isub", "rsub", "mul",
    "mul_", "imul", "div", "div_", "truediv", "maximum", "minimum",
)
POOLING = (
    "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "interpolate", "max_pool1d", "avg_pool1d",
)
# fmt: on
REDUCING = ["mean", "sum", "amax", "amin"]
SIZED = ["view", "reshape", "unflatten"]
MOVING = ["flatten", "permute", "transpose", "swapaxes", "movedim", "unsqueeze", "squeeze"]
Found = Any  # a tensor of labels, a tuple of these, or None for a value that is not a tensor


class Rules:
    """The rules, the labels that they join, and the labels found for each node so far."""

    def __init__(self) -> None:
        self.labels = Labels()
        self.found: dict[fx.Node, Found] = {}
        self.values: Mapping[fx.Node, Any] = {}

    def function(self, n: fx.Node, value: Any) -> Found:
        """The labels of a function's or method's result."""
        name = n.target if isinstance(n.target, str) else getattr(n.target, "__name__", "")
        inputs = self.tensors(n)
        if not inputs:
            tensor = isinstance(value, Tensor)
            return no_labels(value) if tensor else None
        if name == "getitem":
            return self._getitem(n, value)
        if not isinstance(value, Tensor):
            pieces = isinstance(value, tuple | list) and any(isinstance(one, Tensor) for one in value)
            return self._pieces(n, name, inputs[0], value) if pieces else None
        rule = self._rule(name)
        return rule(n, inputs, value) if rule else self.unknown(inputs, value)

    def _rule(self, name: str) -> Callable[[fx.Node, list[Tensor], Tensor], Tensor] | None:
        if name in SAME:
            return lambda n, inputs, value: self.elementwise(inputs, value)
        if name in POOLING:
            return lambda n, inputs, value: self.per_channel(inputs[0], value)
        if name in (*SIZED, *MOVING):
            return lambda n, inputs, value: self.reshaped(inputs[0], self._run_on_labels(n), _sizes(n, name))
        named = {"cat": self._cat, "concat": self._cat, "softmax": self._softmax, "scaled_dot_product_attention": self._attention}
        return named.get(name) or (self._reduced if name in REDUCING else self._matmul if name in ("matmul", "bmm") else None)

    def tensors(self, n: fx.Node) -> list[Tensor]:
        """The labels of all tensors that go into this node."""
        nodes: list[Tensor] = []
        for node in n.all_input_nodes:
            found = self.found.get(node)
            nodes += [one for one in (found if isinstance(found, tuple) else (found,)) if isinstance(one, Tensor)]
        return nodes

    def _run_on_labels(self, n: fx.Node) -> Any:
        """The node's own function, on labels."""

        def swap(node: fx.Node) -> Any:
            found = self.found.get(node)
            return self.values[node] if found is None else found

        args, kwargs = fx.map_arg(n.args, swap), fx.map_arg(n.kwargs, swap)
        if not isinstance(n.target, str):
            return n.target(*args, **kwargs)  # type: ignore[operator]
        method = "reshape" if n.target == "view" else n.target  # labels need not lie in memory as the values do
        return getattr(args[0], method)(*args[1:], **kwargs)

    def fix(self, labels: Found) -> None:
        """None of these may be removed."""
        for one in labels if isinstance(labels, tuple) else (labels,):
            if isinstance(one, Tensor):
                self.labels.fix(one)

    def unknown(self, inputs: Sequence[Tensor], value: Any) -> Found:
        """No rule: all labels of the inputs must stay; the output has no labels."""
        self.fix(tuple(inputs))
        if isinstance(value, tuple | list):
            return tuple(no_labels(one) if isinstance(one, Tensor) else None for one in value)
        return no_labels(value)

    def elementwise(self, inputs: Sequence[Tensor], value: Tensor) -> Tensor:
        """Labels at the same position are joined. An operand of size 1 along the channel axis broadcasts over any number of them."""
        lead = max(inputs, key=lambda one: (len(self.labels.varying(one)), one.numel()))
        axes = {axis - lead.ndim for axis in self.labels.varying(lead)}
        for one in inputs:
            if {axis - one.ndim for axis in self.labels.varying(one)} - axes:
                return self.unknown(inputs, value)
            if not axes or any(-axis <= one.ndim and one.shape[axis] > 1 for axis in axes):
                self.labels.join(one, lead)
        return lead.expand(value.shape)

    def per_channel(self, x: Tensor, value: Any) -> Found:
        """Pooling: every channel separately; the other axes may change in any way."""
        if not isinstance(value, Tensor) or self.labels.varying(x) not in ([], [1]) or x.ndim != value.ndim or x.ndim < 3:
            return self.unknown([x], value)
        return x.flatten(2)[:, :, 0].reshape(*x.shape[:2], *[1] * (x.ndim - 2)).expand(value.shape)

    def reshaped(self, x: Tensor, moved: Tensor, sizes: dict[int, bool]) -> Tensor:
        """`sizes`: for an axis of the result, may its size change? A split axis keeps whole slices along the one that may."""
        varying, sizes = self.labels.varying(moved), {axis % moved.ndim: free for axis, free in sizes.items()}
        free = [axis for axis in varying if sizes.get(axis, True)]
        if varying and not free:
            self.labels.fix(x)
        elif len(varying) > 1:
            self.labels.join_slices(moved, free[0])
        return moved

    def _cat(self, n: fx.Node, inputs: list[Tensor], value: Tensor) -> Tensor:
        given: Any = n.kwargs.get("dim", n.args[1] if len(n.args) > 1 else 0)
        axis: int = given % value.ndim
        first = [one.movedim(axis, 0) for one in inputs]
        few = without_repeats(*first)  # so that labels, which images repeat for each pixel, do not become as large as images
        whole = [part.expand(len(one), *part.shape[1:]) for part, one in zip(few, first, strict=True)]
        joined = torch.cat(whole).movedim(0, axis).expand(value.shape)
        if self.labels.varying(joined) not in ([], [axis]):  # channels on another axis must agree in all parts
            for one in inputs[1:]:
                self.labels.join(one.narrow(axis, 0, 1), inputs[0].narrow(axis, 0, 1))
        return joined

    def _softmax(self, n: fx.Node, inputs: list[Tensor], value: Tensor) -> Tensor:
        axis = n.kwargs.get("dim", n.args[1] if len(n.args) > 1 else None)
        x = inputs[0]
        free = isinstance(axis, int) and axis % x.ndim not in self.labels.varying(x)
        return x if free else self.unknown(inputs, value)

    def _reduced(self, n: fx.Node, inputs: list[Tensor], value: Tensor) -> Tensor:
        x = inputs[0]
        axes = n.kwargs.get("dim", n.args[1] if len(n.args) > 1 else None)
        axes = [axes] if isinstance(axes, int) else axes
        if axes is None or any(axis % x.ndim in self.labels.varying(x) for axis in axes):  # type: ignore[operator, union-attr]
            return self.unknown(inputs, value)
        keep = bool(n.kwargs.get("keepdim", n.args[2] if len(n.args) > 2 else False))
        return x.amax(tuple(axes), keepdim=keep)  # type: ignore[arg-type]

    def _matmul(self, n: fx.Node, inputs: list[Tensor], value: Tensor) -> Tensor:
        """Batched matrix products: the batch axes (heads) are joined; channels inside the matrices must stay."""
        if any(one.ndim < 3 or set(self.labels.varying(one)) & {one.ndim - 1, one.ndim - 2} for one in inputs):
            return self.unknown(inputs, value)
        return self.elementwise([one[..., :1, :1] for one in inputs], value[..., :1, :1]).expand(value.shape)

    def _attention(self, n: fx.Node, inputs: list[Tensor], value: Tensor) -> Tensor:
        """Heads are joined; channels inside a head must stay, because the scale depends on their number."""
        return self._matmul(n, inputs, value)

    def _getitem(self, n: fx.Node, value: Any) -> Found:
        found = self.found.get(n.args[0])  # type: ignore[arg-type]
        if isinstance(found, tuple):
            return found[n.args[1]]  # type: ignore[index]
        if not isinstance(found, Tensor):
            return None
        index = n.args[1] if isinstance(n.args[1], tuple) else (n.args[1],)
        if len(n.all_input_nodes) > 1 or any(isinstance(one, list | Tensor) for one in index):
            return self.unknown([found], value)
        part = found[n.args[1]]  # type: ignore[index]
        if len(self.labels.roots(part).unique()) < len(self.labels.roots(found).unique()):
            self.labels.fix(found)  # an index in the code selects channels by their position
        return part

    def _pieces(self, n: fx.Node, name: str, x: Tensor, value: Sequence[Any]) -> Found:
        """chunk joins labels at the same position of each piece, so that pieces stay equal; others may not cut channels."""
        if name not in ("chunk", "split", "unbind") or n.all_input_nodes[0] is not n.args[0]:
            return self.unknown([x], value)
        parts, whole = self._run_on_labels(n), len(self.labels.roots(x).unique())
        if any(len(self.labels.roots(part).unique()) < whole for part in parts):  # cut along the channels
            if name == "chunk" and len({part.shape for part in parts}) == 1:
                for part in parts[1:]:
                    self.labels.join(parts[0], part)
            else:
                self.labels.fix(x)
        return tuple(parts)


def unflattened(axis: int, sizes: Sequence[Any]) -> dict[int, bool]:
    """`sizes` of an axis that becomes several: those given as -1, or computed, may change."""
    first = axis if axis >= 0 else axis + 1 - len(sizes)
    return {first + place: not isinstance(size, int) or size == -1 for place, size in enumerate(sizes)}


def _sizes(n: fx.Node, name: str) -> dict[int, bool]:
    """Which axes of the result may change their size? Not those whose size is a number in the code, unless it is -1."""
    given: list[Any] = list(n.args[1:])
    if name == "unflatten":
        return unflattened(n.kwargs.get("dim", given[0] if given else 0), n.kwargs.get("sizes", given[-1] if given else ()))  # type: ignore[arg-type]
    if name not in SIZED:
        return {}
    return unflattened(0, given[0] if given and isinstance(given[0], tuple | list) else given)
