"""Mutants that are right answers too: one file a unit, by exercise, keyed by the changed text, each with its reason.

    [accuracy]
    "return hits.double() -> return hits.float()" = "Hits are few enough to be counted exactly in float32."

An entry whose text no mutant of today has is stale, and fails the proof.
"""

import tomllib
from pathlib import Path

from posttrain_lab.proof.mutants import Mutant

FOLDER = Path(__file__).parent


def equivalents_file(unit: str) -> Path:
    """The file of a unit; it need not exist."""
    return FOLDER / f"{unit}.toml"


def equivalents(unit: str, exercise: str) -> dict[str, str]:
    """The reasons, by the changed text. Raises ValueError for an entry without a reason."""
    path = equivalents_file(unit)
    found = tomllib.loads(path.read_text(encoding="utf-8")).get(exercise, {}) if path.exists() else {}
    for text, reason in found.items():
        if not isinstance(reason, str) or len(reason.split()) < 3:
            raise ValueError(
                f"{path.name}, [{exercise}] {text!r}: write in a sentence why this mutant is right too; it says {reason!r}."
            )
    return found


def stale(entries: dict[str, str], mutants: list[Mutant]) -> list[str]:
    """Texts that no mutant has any more."""
    today = {mutant.text for mutant in mutants}
    return [text for text in entries if text not in today]
