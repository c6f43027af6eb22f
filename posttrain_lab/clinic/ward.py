"""A sheet in a notebook: admit a patient, see what its level shows, and look back at the end."""

import textwrap
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from posttrain_lab.data.clinic_runs import load_clinic_runs

from .patient import HEALTHY, NAMES, Handles, Run
from .scoring import Answer, Marks, mark, name_points, repair_fails, sheet_points
from .sheets import SEEDS, SheetCase, sheet

UNKNOWN = dict.fromkeys(NAMES, 1 / len(NAMES))  # "I do not know": nine equal probabilities
FRESH = SEEDS + 77  # the data on which a repair is tried in the notebook
ONCE = partial(repair_fails, tries=1)
Said = Callable[[], Answer]


class Ward:
    """The twelve patients of a token. Each runs once, when it is admitted."""

    def __init__(self, token: str) -> None:
        """Raises ValueError for what is no token."""
        self.cases = sheet(token)
        self._runs: dict[int, tuple[Run, float]] = {}

    def case(self, number: int) -> SheetCase:
        """The case of this number, from 1. Raises ValueError for another."""
        if not 1 <= number <= len(self.cases):
            raise ValueError(f"The ward has patients 1 to {len(self.cases)}, got {number}.")
        return self.cases[number - 1]

    def handles(self, number: int) -> Handles:
        """What the run left behind, to be examined."""
        return self._run(number)[0].handles

    def admit(self, number: int) -> None:
        """Print what is known of a patient: the code that its level shows, the log, what was left behind, and what is asked for."""
        case, (run, _) = self.case(number), self._run(number)
        code = case.code()
        print(f"Patient {number}, level {case.patient.level}\n")
        if code:
            print(f"{code}\n")
        print(
            f"{case.patient.printed(run)}\n\nleft behind: {', '.join(run.handles)}\n{_wrapped(f'evidence: {case.patient.asks()}', 4)}"
        )

    def part(self, number: int) -> None:
        """Print the interface of the part that a repair writes anew."""
        print(self.case(number).part())

    def readable(self, said: Sequence[Said]) -> str:
        """Which answers can be read? A line for each patient; repairs are not run."""
        rows = []
        for case, one in zip(self.cases, said, strict=True):
            try:
                answer = said_by(one)
                told = "not answered yet" if answer is None else _told(answer)
            except Exception as error:
                told = f"{type(error).__name__}: {error}"
            rows.append(f"patient {case.number:2}: {told}")
        return "\n".join(rows)

    def results(self, said: Sequence[Said]) -> str:
        """What each answer earns, what was the matter, and the points of the sheet. A repair is tried on one fresh run."""
        rows, marks = ["patient  evidence  name  repair  what was the matter"], list[Marks]()
        for case, one in zip(self.cases, said, strict=True):
            answer = said_by(one)
            if answer is None:
                rows.append(f"{case.number:7}         -     -       -  not answered yet")
                continue
            try:
                found = mark(case, answer, FRESH, ONCE, self._run(case.number)[1])
            except ValueError as error:
                rows.append(f"{case.number:7}         -     -       -  {error}")
                continue
            marks.append(found)
            matter = case.patient.words if case.broken else "nothing"
            points = f"{case.number:7} {found.evidence:9.0f} {found.name:5.1f} {found.repair:7.1f}  "
            rows.append(_wrapped(f"{points}{matter}", len(points)))
            rows += [_wrapped(f"{'':{len(points)}}{found.told}", len(points))] if found.told else []
        total = f"{sheet_points(marks):.1f} of {5 * len(self.cases)} points"
        return "\n".join([*rows, f"{total}; names count together, and not below 0"])

    def band(self, number: int) -> tuple[list[float], list[float], list[float]]:
        """The losses of this run, and the 5th and the 95th percentile of those of twelve healthy runs."""
        name, losses = self.case(number).name, self._run(number)[0].log
        healthy = np.array([run.losses for run in load_clinic_runs() if run.patient == name and not run.broken])
        low, high = np.percentile(healthy, (5, 95), axis=0)
        return losses, low.tolist(), high.tolist()

    def _run(self, number: int) -> tuple[Run, float]:
        """The run and the number that is asked for, taken before anybody can change what was left behind."""
        if number not in self._runs:
            case = self.case(number)
            run = case.run()
            self._runs[number] = run, case.patient.evidence(run)
        return self._runs[number]


def _wrapped(text: str, indent: int) -> str:
    """At most 72 characters a line, which a narrow notebook shows, the later ones indented."""
    return textwrap.fill(text, 72, subsequent_indent=" " * indent, drop_whitespace=True)


def _told(answer: Answer) -> str:
    """An answer in words. Raises ValueError for what are no probabilities."""
    name_points(answer.name, HEALTHY)
    name = ", ".join(f"{kind} {p:.0%}" for kind, p in answer.name.items() if p)
    return f"{name}; {'no ' if answer.evidence is None else ''}evidence; {'a' if answer.repair else 'no'} repair"


def said_by(one: Said) -> Answer | None:
    """The answer; None where there is none yet. Raises TypeError for anything but an Answer."""
    try:
        answer = one()
    except NotImplementedError:
        return None
    if not isinstance(answer, Answer):
        raise TypeError(f"{getattr(one, '__name__', 'this')} must return an Answer, got {type(answer).__name__}.")
    return answer
