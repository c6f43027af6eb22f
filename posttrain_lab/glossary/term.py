"""What one entry of the glossary holds."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """A word: its meaning in a few sentences, the unit where it is practised ("" for none), related words.

    >>> Term("Straight-through estimator (STE)", "Passes a gradient on.", "02_quantization").anchor
    'straight-through-estimator'
    """

    name: str
    meaning: str
    unit: str = ""
    see_also: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """What a link ends in: the name in small letters, hyphens between the words, nothing of what is in brackets."""
        without_brackets = re.sub(r"\(.*?\)", "", self.name)
        return re.sub(r"[^a-z0-9]+", "-", without_brackets.lower()).strip("-")
