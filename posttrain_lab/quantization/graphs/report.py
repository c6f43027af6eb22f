"""Which parts of a quantized network compute with integers, which with floats, and why; and the share of the work in integers."""

from dataclasses import dataclass
from math import prod
from typing import Any

from torch import fx, nn

from .annotate import Annotated
from .capture import layer_name, op_name, source_line
from .layers import module_of

ACTIVATION_PRODUCTS = ("matmul", "bmm", "scaled_dot_product_attention")


@dataclass(frozen=True)
class ReportedPart:
    """One operator: the layer that called it, its name, its arithmetic, multiply-accumulates for one input, why it is in float."""

    layer: str
    operator: str
    integer: bool
    macs: int
    why: str = ""
    line: str = ""


@dataclass(frozen=True)
class GraphReport:
    """The parts of a network in the order of execution.

    share = MACs of the integer products / MACs of all products: Linear, Conv2d, and products of two activations.
    """

    parts: tuple[ReportedPart, ...]

    @property
    def share(self) -> float:
        """Of all multiply-accumulates, those on integers; 0 to 1."""
        total = sum(part.macs for part in self.parts)
        return sum(part.macs for part in self.parts if part.integer) / total if total else 0.0

    @property
    def islands(self) -> tuple[ReportedPart, ...]:
        """The parts in float."""
        return tuple(part for part in self.parts if not part.integer)

    def __str__(self) -> str:
        """The share, and the kinds of operators on each side with the reasons."""
        lines = [f"{100 * self.share:.1f} % of the multiply-accumulates are done in integers"]
        for integer, title in ((True, "integers"), (False, "float")):
            counts: dict[tuple[str, str], int] = {}
            for part in self.parts:
                if part.integer == integer:
                    counts[part.operator, part.why] = counts.get((part.operator, part.why), 0) + 1
            lines += [f"  {title}: {n} x {name}{': ' * bool(why)}{why}" for (name, why), n in counts.items()]
        return "\n".join(lines)


def _macs(node: fx.Node, module: Any) -> int:
    """Multiply-accumulates for one input; the batch axis is the symbolic one, and factors of it are taken out."""
    value = node.meta.get("val")
    if isinstance(module, nn.Linear | nn.Conv2d):
        return _elements(value) * module.weight[0].numel()
    name = op_name(node)
    if name in ("matmul", "bmm"):
        return _elements(value) * int(node.args[0].meta["val"].shape[-1])  # type: ignore[union-attr]
    if name == "scaled_dot_product_attention":
        query, key = node.args[0].meta["val"], node.args[1].meta["val"]  # type: ignore[union-attr]
        return _elements(query) * int(key.shape[-2]) * 2
    if name in ("linear", "conv2d") and isinstance(node.args[1], fx.Node):
        return _elements(value) * prod(int(size) for size in node.args[1].meta["val"].shape[1:])
    return 0


def _elements(value: Any) -> int:
    """Elements for one input: a symbolic axis such as 4 * batch counts its factor."""
    total = 1
    for size in value.shape:
        if isinstance(size, int):
            total *= size
        else:  # an expression in the batch: its value for a batch of one
            expression = size.node.expr
            total *= int(expression.subs(dict.fromkeys(expression.free_symbols, 1)))
    return total


def report_of(annotated: Annotated) -> GraphReport:
    """The report of an annotated graph."""
    parts = []
    for node, role in annotated.roles.items():
        if role.kind in ("grid", "other"):
            continue
        module = module_of(annotated.graph, node)
        operator = type(module).__name__ if module is not None else op_name(node)
        macs = _macs(node, module)
        why = "" if role.integer else role.why
        parts.append(ReportedPart(layer_name(node), operator, role.integer, macs, why, source_line(node)))
    return GraphReport(tuple(parts))
