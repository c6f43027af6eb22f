"""A network as a graph of torch's own operators, whatever Python its forward is written in.

torch.export runs the network once on symbols and writes down every operator with its operands: the weights that are really
multiplied, in the order of the calls. A layer that is called twice is two nodes, a forward of one's own is what it computes, and
functions between the layers are there like the layers. torch.fx's symbolic tracing, which the pruning uses, keeps whole layers
as nodes and with them names that can be cut; it stops at functions that torchvision wraps (swin's attention) and inside
nn.MultiheadAttention. Left out: networks whose way depends on the values, more than one input.
"""

import inspect
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn

from posttrain_lab.metrics import evaluating

VIEWS = frozenset(
    [
        *("view", "_unsafe_view", "reshape", "flatten", "unflatten", "permute", "transpose", "t"),
        *(
            "squeeze",
            "unsqueeze",
            "select",
            "slice",
            "expand",
            "split",
            "split_with_sizes",
            "chunk",
            "unbind",
            "detach",
            "alias",
            "narrow",
            "movedim",
            "getitem",
        ),
    ]
)
REMOVED = frozenset(("dropout", "feature_dropout", "alpha_dropout", "alias", "detach", "lift_fresh_copy"))


def op_name(node: fx.Node) -> str:
    """The operator's name without its overload: "conv2d", "add", "getitem"; "" for a node that calls none."""
    if node.op != "call_function":
        return ""
    packet = getattr(node.target, "overloadpacket", None)
    return str(packet).rpartition(".")[2] if packet is not None else getattr(node.target, "__name__", "")


def layer_name(node: fx.Node) -> str:
    """The name of the layer that made the node, as in `model.get_submodule(name)`; "" for the network itself."""
    stack = node.meta.get("nn_module_stack") or {}
    return str(list(stack.values())[-1][0]) if stack else ""


def source_line(node: fx.Node) -> str:
    """The line of Python that made the node, outside torch: 'file.py, line 7, in forward: x = x + y'."""
    frames = [part for part in (node.meta.get("stack_trace") or "").split('File "') if part.strip()]
    frames = [part for part in frames if "/torch/" not in part.partition('"')[0]] or frames
    return " ".join(frames[-1].replace('"', "").split()) if frames else "no line known"


@contextmanager
def _plain_attention() -> Iterator[None]:
    """nn.MultiheadAttention by its own operators: torch's fused path would hide its weights."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def capture(model: nn.Module, example: Tensor, caller: str) -> fx.GraphModule:
    """The network in eval mode as a graph of torch's operators, free of in-place changes and of dropout.

    example [n, ...]: inputs of the size that the network will get; n stays free. The parameters are shared with the model, which is
    not changed. What depends on weights alone (a weight norm, position codes) is computed once and becomes a constant.
    Raises ValueError naming the line that torch.export cannot follow.

    >>> graph = capture(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), torch.zeros(2, 2), "this example")
    >>> [op_name(node) for node in graph.graph.nodes if node.op == "call_function"]
    ['linear', 'relu']
    """
    _check_one_input(model, caller)
    example = example[:2] if len(example) > 1 else torch.cat([example[:1], example[:1]])
    batch = ({0: torch.export.Dim("batch")},)
    try:
        with _plain_attention(), evaluating(model), torch.enable_grad():
            program = torch.export.export(model, (example,), dynamic_shapes=batch, strict=False)
            graph = program.module(check_guards=False)
            if not _out_of_place(graph):  # an in-place change of a view: let torch rewrite the whole graph
                graph = _module(program.run_decompositions({}))
    except Exception as error:  # whatever the model's own code does on a symbol
        raise ValueError(
            f"{caller} wants a network that torch.export can trace, got stuck at {_line_of(error)}: {_short(error)}. {_advice(error)}"
        ) from error
    _tidy(graph)
    _fold_constants(graph)
    graph.graph._tracer_cls = fx.Tracer  # export's own cannot be built again when the network is loaded
    return fx.GraphModule(graph, graph.graph)  # without export's ban on train() and eval()


def _check_one_input(model: nn.Module, caller: str) -> None:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    given = inspect.signature(model.forward).parameters.values()
    needed = [one.name for one in given if one.kind in kinds and one.default is inspect.Parameter.empty]
    if len(needed) > 1:
        raise ValueError(
            f"{caller} wants a network with one input, got forward({', '.join(needed)}); wrap it in a module that takes one tensor "
            "and takes it apart."
        )


def _module(program: torch.export.ExportedProgram) -> fx.GraphModule:
    """The program as a module; without the checks of sizes that torch 2.9 and newer put in front."""
    options = {"check_guards": False} if "check_guards" in inspect.signature(program.module).parameters else {}
    return program.module(**options)  # type: ignore[return-value]


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _advice(error: Exception) -> str:
    if "specialized it to be a constant" in str(error):
        return "Its forward makes the number of examples a fixed number, as len(x) does; write x.shape[0]."
    return "Rewrite what depends on the values of a tensor (if, for, int()), or quantize its parts one by one."


def _line_of(error: Exception) -> str:
    """The last line of the traceback that is the user's: outside torch and outside this package's front end."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/torch/" not in frame.filename]
    mine = [frame for frame in frames if frame.filename != __file__]
    if not mine:
        return "no line of the network"
    frame = mine[-1]
    return f"{frame.filename}, line {frame.lineno}, in {frame.name}: {frame.line}"


def _out_of_place(graph: fx.GraphModule) -> bool:
    """Exchange relu_ for relu and so on; False where a change in place could be seen through another name of the tensor."""
    for node in graph.graph.nodes:
        name = op_name(node)
        if not name.endswith("_") or name.startswith("_"):
            continue
        changed = node.args[0]
        seen = op_name(changed) in VIEWS or any(op_name(user) in VIEWS for user in changed.users)
        plain = getattr(torch.ops.aten, name[:-1], None)
        if seen or changed.op != "call_function" or plain is None or node.target._overloadname not in plain.overloads():
            return False
        node.target = getattr(plain, node.target._overloadname)
    return True


def _tidy(graph: fx.GraphModule) -> None:
    """Drop what does nothing in eval mode and what only checks."""
    for node in list(graph.graph.nodes):
        if op_name(node) in REMOVED:
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)
        elif op_name(node).startswith("_assert") or (node.op == "call_module" and not node.users):
            graph.graph.erase_node(node)
    for node in list(graph.graph.nodes):  # the decomposed batch norm gives three results, of which the first is used
        if op_name(node) == "getitem" and op_name(node.args[0]) == "_native_batch_norm_legit_no_training" and node.args[1] == 0:
            node.replace_all_uses_with(node.args[0])
            node.args[0].meta["val"] = node.meta["val"]
            graph.graph.erase_node(node)
    graph.graph.eliminate_dead_code()


def constant(graph: fx.GraphModule, node: Any) -> Tensor | None:
    """The tensor of a constant node; None for another node."""
    if not isinstance(node, fx.Node) or node.op != "get_attr":
        return None
    value: Any = graph
    for part in str(node.target).split("."):
        value = getattr(value, part)
    return value if isinstance(value, Tensor) else None


@torch.no_grad()
def _fold_constants(graph: fx.GraphModule) -> None:
    """Compute what depends on constants alone."""
    values: dict[fx.Node, Any] = {}
    for node in list(graph.graph.nodes):
        if node.op == "get_attr":
            values[node] = constant(graph, node)
        elif node.op == "call_function" and all(one in values for one in node.all_input_nodes) and "rand" not in op_name(node):
            args, kwargs = fx.map_arg((node.args, node.kwargs), lambda one: values[one])
            values[node] = node.target(*args, **kwargs)
    for node, value in values.items():
        needed = node.op != "get_attr" and any(user not in values for user in node.users)
        if needed and isinstance(value, Tensor):
            name = f"constant_{node.name}"
            graph.register_buffer(name, value.detach().clone())
            with graph.graph.inserting_before(node):
                made = graph.graph.get_attr(name)
            made.meta = dict(node.meta)
            node.replace_all_uses_with(made)
    graph.graph.eliminate_dead_code()
