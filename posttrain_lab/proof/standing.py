"""The standing proof of one exercise: all saboteurs, and mutants of its right answer, each failed, allowed by the page, or equivalent."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from posttrain_lab.checks.engine.exercise import Exercise
from posttrain_lab.proof.all_saboteurs import SABOTEURS
from posttrain_lab.proof.equivalents import equivalents, stale
from posttrain_lab.proof.mutants import mutants
from posttrain_lab.proof.record import Record, basis
from posttrain_lab.proof.trials import Bench, Judged, mutated, sabotaged

LEGAL = 3  # saboteurs that one exercise may allow
TEN = 10  # mutants of an exercise that has changed; `--all` tries every one


@dataclass
class Findings:
    """What was tried on one exercise. Its `complaints` are empty when nothing wrong passes and nothing declared is out of date."""

    exercise: Exercise
    solution: str
    calls: int
    saboteurs: list[Judged] = field(default_factory=list)
    survivors: list[str] = field(default_factory=list)
    tried: int = 0
    equivalent: int = 0

    def record(self) -> Record:
        """What is kept of it."""
        killed = [one for one in self.saboteurs if not one.passed]
        return Record(
            basis(self.exercise, self.solution),
            self.calls,
            len(killed),
            tuple(self.exercise.legal),
            tuple(one.name for one in self.saboteurs if one.passed and not one.acted),
            len(mutants(self.solution)),
            self.tried,
            self.equivalent,
        )

    def complaints(self) -> list[str]:
        """One sentence for everything that passes and should not, or is declared and is not so."""
        alive = [one.name for one in self.saboteurs if one.passed and one.acted]
        legal, name = self.exercise.legal, self.exercise.name
        found = [
            f"{name}: the saboteur `{one}` passes; write a case, or declare it legal with the page's words."
            for one in alive
            if one not in legal
        ]
        found += [
            f"{name}: the saboteur `{one}` is declared legal and does not pass; take it out of `legal`."
            for one in legal
            if one not in alive
        ]
        if len(legal) > LEGAL:
            found.append(f"{name}: {len(legal)} saboteurs are declared legal; {LEGAL} are allowed.")
        found += [
            f"{name}: the mutant `{text}` passes; write a case, or say in equivalents/ why it is right."
            for text in self.survivors
        ]
        entries = equivalents(self.exercise.unit, name)
        found += [
            f"{name}: no mutant `{text}` exists any more; take it out of equivalents/."
            for text in stale(entries, mutants(self.solution))
        ]
        return found


def prove_exercise(bench: Bench, exercise: Exercise, count: int) -> Iterator[Findings]:
    """Try all saboteurs and `count` mutants; yields the findings so far after each, for a progress bar."""
    known = equivalents(exercise.unit, exercise.name)
    findings = Findings(exercise, bench.solutions[exercise.name], bench.prepared(exercise)[0])
    for judged in sabotaged(bench, exercise, SABOTEURS):
        findings.saboteurs.append(judged)
        yield findings
    for mutant, judged in mutated(bench, exercise, count):
        findings.tried += 1
        findings.equivalent += judged.passed and mutant.text in known
        if judged.passed and mutant.text not in known:
            findings.survivors.append(mutant.text)
        yield findings
