"""Put grid points into a graph: after what integers compute, before what products multiply, at the borders of float islands."""

from dataclasses import dataclass

from torch import fx

from ..config import QuantizationConfig
from .capture import op_name
from .grids import GridPoint
from .roles import CLAMPS, Role, assign_roles, tensor_inputs


@dataclass
class Annotated:
    """A graph with grid points, and the role of each node, which the node keeps as meta["role"] too."""

    graph: fx.GraphModule
    roles: dict[fx.Node, Role]


def readers(node: fx.Node, roles: dict[fx.Node, Role]) -> list[fx.Node]:
    """Who reads these codes: behind views and max pooling, which keep them, those who read the result."""
    found: list[fx.Node] = []
    for user in node.users:
        keeps = user in roles and roles[user].kind == "same" and roles[user].integer
        found += readers(user, roles) if keeps else [user]
    return found


def fused_clamp(node: fx.Node, roles: dict[fx.Node, Role]) -> fx.Node | None:
    """The ReLU, ReLU6 or clamp that alone reads a product: it becomes the ends of the product's codes."""
    user = next(iter(node.users), None)
    single = len(node.users) == 1 and user is not None and op_name(user) in CLAMPS
    return user if single and roles[node].kind == "product" and roles[user].integer else None  # type: ignore[index]


class _Points:
    def __init__(self, graph: fx.GraphModule, roles: dict[fx.Node, Role], config: QuantizationConfig) -> None:
        self.graph, self.roles, self.config, self.count = graph, roles, config, 0
        self.made: dict[tuple[fx.Node, str], fx.Node] = {}

    def after(self, node: fx.Node, kind: str) -> fx.Node:
        """A new grid point that reads the node; one for each node and kind."""
        if (node, kind) not in self.made:
            self.count += 1
            name = f"grid_{self.count}"
            self.graph.add_submodule(name, GridPoint(kind, self.config))
            with self.graph.graph.inserting_after(node):
                point = self.graph.graph.call_module(name, (node,))
            point.meta = {"val": node.meta["val"], "nn_module_stack": node.meta.get("nn_module_stack")}
            self.made[node, kind] = point
            self.roles[point] = Role("grid", True)
        return self.made[node, kind]


def annotate(graph: fx.GraphModule, config: QuantizationConfig) -> Annotated:
    """Insert the grid points; the graph is changed. See `roles` for what computes with integers."""
    roles = assign_roles(graph)
    points = _Points(graph, roles, config)
    nodes = list(graph.graph.nodes)
    stored: dict[fx.Node, str] = {}  # the kind of grid on which a node's value already is
    for node in nodes:
        role = roles[node]
        if role.kind == "same" and role.integer:
            stored[node] = stored.get(node.args[0], "")  # type: ignore[arg-type]
            continue
        wanted = {"product": "narrow", "pointwise": "wide"}.get(role.kind) if role.integer else None
        if wanted and not (role.kind == "pointwise" and _is_fused(node, roles)):
            for source in tensor_inputs(graph, node):
                if stored.get(source) != wanted:
                    node.replace_input_with(source, points.after(source, wanted))
        kind = _stored_kind(node, roles)
        if kind:
            point = points.after(node, kind)
            stored[point] = kind
            node.replace_all_uses_with(point, delete_user_cb=lambda user, own=point: user is not own)
    graph.recompile()
    for node, role in roles.items():
        node.meta["role"] = role
    return Annotated(graph, {node: roles[node] for node in graph.graph.nodes})


def _is_fused(node: fx.Node, roles: dict[fx.Node, Role]) -> bool:
    source = node.args[0]
    return isinstance(source, fx.Node) and source in roles and fused_clamp(source, roles) is node


def _stored_kind(node: fx.Node, roles: dict[fx.Node, Role]) -> str:
    """The grid of the node's result: narrow when only products read it, none when only float operators do."""
    role = roles[node]
    if not role.integer or role.kind not in ("product", "pointwise") or fused_clamp(node, roles):
        return ""
    users = readers(node, roles)
    if users and all(roles[one].kind == "product" for one in users):
        return "narrow"
    if role.kind == "product" and not any(one in roles and roles[one].integer for one in users):
        return ""  # int32 sums go over the border as they are
    return "wide"
