"""The code of a run as a learner sees it: exactly what is executed, without what would tell the answer.

The source is read from the patient's own file. The part is shown under one name and with one docstring, whether it is healthy or broken; a
drawn place stands in it as a constant.
"""

import ast
import inspect
import textwrap

from .patient import Part, Patient


def shown_code(patient: Patient, broken: bool, place: str = "") -> str:
    """Level 1: the part and the run. Level 2: the part's interface, and the run. Level 3: nothing.

    >>> from posttrain_lab.clinic.patients import PATIENTS
    >>> print(shown_code(PATIENTS["rate_too_small"], broken=True).split("def run")[0].strip())
    def make_optimizer(model):
        \"\"\"The optimizer that adapts a trained network to a new scanner.\"\"\"
        return torch.optim.AdamW(model.parameters(), lr=2e-05, weight_decay=0.01)
    """
    if patient.level == 3:
        return ""
    part = _tree(patient.broken if broken else patient.healthy)
    contract = _tree(patient.healthy)
    part.name, part.body = contract.name, [contract.body[0], *part.body[1:]]
    part.args.kwonlyargs, part.args.kw_defaults = [], []
    if patient.level == 2:
        part.body = [contract.body[0], ast.Expr(ast.Constant(...))]
    _WithPlace(place).visit(part)
    return f"{ast.unparse(part)}\n\n\n{ast.unparse(_tree(patient.run))}"


def shown_part(patient: Patient) -> str:
    """The interface of the part that a repair writes anew, at any level: its name, its arguments and its docstring.

    >>> from posttrain_lab.clinic.patients import PATIENTS
    >>> print(shown_part(PATIENTS["lora_both_zero"]))
    def begin(layer):
        \"\"\"How an adapter begins: it changes nothing yet.\"\"\"
        ...
    """
    part = _tree(patient.healthy)
    part.body = [part.body[0], ast.Expr(ast.Constant(...))]
    return ast.unparse(part)


def _tree(function: Part) -> ast.FunctionDef:
    """The function's syntax tree, without its annotations."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(tree, ast.FunctionDef)
    for argument in [*tree.args.args, *tree.args.kwonlyargs]:
        argument.annotation = None
    tree.returns = None
    return tree


class _WithPlace(ast.NodeTransformer):
    """The variable `place` becomes its value."""

    def __init__(self, place: str) -> None:
        self.place = place

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(self.place) if node.id == "place" else node
