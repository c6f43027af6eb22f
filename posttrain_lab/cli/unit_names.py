"""What a user may call a unit: its full name, its number, or the name of its subject. No exercise is imported for that."""

from difflib import get_close_matches
from functools import partial
from typing import Annotated

import typer

from posttrain_lab.checks import UNITS


def full_name(unit: str) -> str:
    """The unit's full name, given the full name, its beginning or its subject.

    Raises ValueError when there is no such unit, with the one that may have been meant.

    >>> full_name("02"), full_name("quantization")
    ('02_quantization', '02_quantization')
    """
    found = [name for name in UNITS if name == unit or name.startswith(unit) or _subject(name) == unit]
    if not unit or len(found) != 1:
        likely = _meant(unit)
        link = f". Did you mean {likely}? The" if likely else "; the"
        raise ValueError(f"There is no unit {unit!r}{link} units are: {', '.join(UNITS)}.")
    return found[0]


def asked_for(unit: str | None) -> str | None:
    """`full_name` of an argument that may be left out."""
    return None if unit is None else full_name(unit)


def _subject(name: str) -> str:
    return name.partition("_")[2]


def _meant(unit: str) -> str:
    """The number of a unit for 2, a name for one with a slip of the keyboard; else nothing."""
    number = next((name for name in UNITS if unit.isdecimal() and int(name[:2]) == int(unit)), "")[:2]
    close = get_close_matches(unit, [*UNITS, *map(_subject, UNITS)], n=1, cutoff=0.7)
    return number or next(iter(close), "")


def units_that_begin(incomplete: str) -> list[str]:
    """For the shell's completion.

    >>> units_that_begin("02")
    ['02_quantization']
    """
    return [name for name in UNITS if name.startswith(incomplete)]


a_unit = partial(typer.Argument, metavar="UNIT", callback=asked_for, autocompletion=units_that_begin)
Unit = Annotated[str, a_unit(help="The unit, for example 02_quantization (02 is enough).")]
