"""Who gets which patients? Twelve cases from a token, and the token from a secret and a name.

    token = HMAC-SHA256(secret, student), the first 16 hexadecimal digits

A token decides everything: which patients, with which data, healthy or not, and where they are broken. Whoever has the secret makes it again
from the name alone, so a grader need not believe what a notebook says. A sheet is no secret from its owner: this code is open, and a
learner who reads it finds the answers. What counts for points must be measured, and repaired, all the same.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass

from .code import shown_code, shown_part
from .patient import HEALTHY, Part, Patient, Run
from .patients import LEVELS, PATIENTS

PUBLIC = "posttrain-lab"  # the secret of those who learn alone
OF_EACH_LEVEL = 4
HEALTHY_ONE_IN = 4
SEEDS = 10_000  # secret seeds, with which repairs are judged, begin there
TOKEN = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class SheetCase:
    """One patient of a sheet: which one, on which data, and whether and where it is broken."""

    number: int
    name: str
    seed: int
    broken: bool
    place: str = ""

    @property
    def patient(self) -> Patient:
        """The patient as everybody can get it."""
        return PATIENTS[self.name]

    @property
    def diagnosis(self) -> str:
        """The right answer: one of the kinds A to H, or healthy."""
        return self.patient.kind if self.broken else HEALTHY

    def run(self, part: Part | None = None) -> Run:
        """The run; with another part, if one is given."""
        return self.patient.run(self.seed, part or self.patient.part(self.broken, self.place))

    def code(self) -> str:
        """What the level shows of the code."""
        return shown_code(self.patient, self.broken, self.place)

    def part(self) -> str:
        """The interface of the part that may be broken."""
        return shown_part(self.patient)


def token_of(secret: str, student: str) -> str:
    """The token of a student. Raises ValueError for an empty secret or name.

    >>> token_of(PUBLIC, "ann")
    '799d78812c3e9759'
    """
    if not secret or not student:
        raise ValueError("token_of wants a secret and a student's name, got an empty one.")
    return hmac.new(secret.encode(), student.encode(), hashlib.sha256).hexdigest()[:16]


def sheet(token: str) -> tuple[SheetCase, ...]:
    """The twelve cases of a token, in rising level; one in four is healthy, at random.

    Raises ValueError for anything but 16 hexadecimal digits.

    >>> [case.patient.level for case in sheet(token_of(PUBLIC, "ann"))]
    [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]
    """
    token = token.strip().lower()
    if not TOKEN.fullmatch(token):
        raise ValueError(f"sheet wants a token of 16 digits 0-9 and a-f, got {token!r}; copy it from what you were given.")
    names: list[str] = []
    for level in sorted(LEVELS):
        names += sorted(LEVELS[level], key=lambda name: _number(token, name, "order"))[:OF_EACH_LEVEL]
    return tuple(_case(token, number, name) for number, name in enumerate(names, 1))


def _case(token: str, number: int, name: str) -> SheetCase:
    broken = _number(token, name, "healthy") % HEALTHY_ONE_IN > 0
    places = PATIENTS[name].places
    place = places[_number(token, name, "place") % len(places)] if broken and places else ""
    return SheetCase(number, name, _number(token, name, "seed") % SEEDS, broken, place)


def _number(*words: str) -> int:
    """A large number, the same on every machine and in every version of Python."""
    return int.from_bytes(hashlib.sha256("/".join(words).encode()).digest(), "big")
