"""The commands `posttrain-lab new exercise` and `posttrain-lab new unit`."""

from typing import Annotated

import typer

from posttrain_lab.cli.unit_names import Unit

new = typer.Typer(
    no_args_is_help=True, help="Begin a new exercise or a new unit, as stubs that `prove` names until they are written."
)


@new.command("exercise")
def new_exercise(unit: Unit, name: Annotated[str, typer.Argument(help="The name of its function.", metavar="NAME")]) -> None:
    """Begin one more exercise of a UNIT: check, cells of the notebook, test and glossary."""
    from posttrain_lab.cli.new import begin_exercise

    begin_exercise(unit, name)


@new.command("unit")
def new_unit(
    name: Annotated[str, typer.Argument(help="The name of its module in posttrain_lab/checks.", metavar="NAME")],
) -> None:
    """Begin one more unit, without exercises, after the last."""
    from posttrain_lab.cli.new import begin_unit

    begin_unit(name)
