"""One entry of the glossary."""

import re
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Term:
    """A word: its meaning in a few sentences, related words, the unit where it is practised ("" for none).

    >>> Term("Straight-through estimator (STE)", "A gradient for rounding.").anchor
    'straight-through-estimator'
    """

    name: str
    meaning: str
    see_also: tuple[str, ...] = ()
    unit: str = ""

    @property
    def anchor(self) -> str:
        """The end of a link: the name in small letters, with hyphens between the words and without the text in brackets."""
        without_brackets = re.sub(r"\(.*?\)", "", self.name)
        return re.sub(r"[^a-z0-9]+", "-", without_brackets.lower()).strip("-")


def of_unit(unit: str, *terms: Term) -> tuple[Term, ...]:
    """The terms, practised in this unit.

    >>> [term.unit for term in of_unit("00_start_here", Term("Batch", "Examples of one call."))]
    ['00_start_here']
    """
    return tuple(replace(term, unit=unit) for term in terms)
