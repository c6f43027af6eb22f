"""The board of a project: what stands for each entry, one hidden run a day, and a row that changes only when the better score is no chance.

    board/board.json    for each entry what stands and what was tried last
    board/kept/         for each artefact that stands its score of every instance, named after its SHA-256

A Ladder (Blum, Hardt 2015): who may try every day learns little about the hidden instances, since a new score counts only when the
paired difference from the one that stands exceeds its interval.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from posttrain_lab.comparisons import paired_difference
from posttrain_lab.whole_files import save_whole

from .standing import places

STATE, KEPT = "board.json", "kept"


@dataclass(frozen=True)
class Scored:
    """What one run gave: the score of every instance [n], and what else is shown, as (what, value)."""

    rows: Tensor
    shown: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Standing:
    """One entry: the artefact whose score stands, that score with its interval, the day of its last run, and a remark."""

    name: str
    sha256: str = ""
    score: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    shown: tuple[tuple[str, str], ...] = ()
    day: str = ""
    tried: str = ""
    remark: str = ""
    commit: str = ""
    place: int = 0


@dataclass(frozen=True)
class Board:
    """Where a board is kept, on which instances, by which commit (or version) of the kit, and what today is called.

    instances: what decides them, such as the hash of the secret; where it changes, everybody is scored anew. once_a_day: as for hidden
    instances; a public board may be tried as often as one likes.
    """

    folder: Path
    instances: str
    commit: str
    day: str
    once_a_day: bool = True
    progress: Callable[[str], object] = field(default=lambda name: None)

    def update(self, entries: Mapping[str, bytes | str], score: Callable[[bytes], Scored]) -> list[Standing]:
        """Score what is new, and return the entries in the order of their places, those without a score last.

        entries: for each name the artefact's bytes, or the sentence that says why there is none. score(artefact) raises ValueError for
        one that is refused. Saved after each entry: an interrupted board goes on where it was.
        """
        (self.folder / KEPT).mkdir(parents=True, exist_ok=True)
        known = self._known()
        for name, content in entries.items():
            known[name] = self._next(known.get(name, Standing(name)), content, score)
            self._save(known)
            self.progress(name)
        return self._placed([known[name] for name in entries])

    def _known(self) -> dict[str, Standing]:
        """What stood before, unless it was scored on other instances."""
        path = self.folder / STATE
        if not path.is_file():
            return {}
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            rows = {one["name"]: Standing(**one | {"shown": tuple(map(tuple, one["shown"]))}) for one in state["entries"]}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is damaged ({error}); restore it, or delete it to score everybody again.") from None
        return rows if state["instances"] == self.instances else {}

    def _save(self, known: Mapping[str, Standing]) -> None:
        state = {"instances": self.instances, "entries": [asdict(one) for one in known.values()]}
        save_whole("board", self.folder / STATE, json.dumps(state, indent=1) + "\n")

    def _next(self, before: Standing, content: bytes | str, score: Callable[[bytes], Scored]) -> Standing:
        if isinstance(content, str):
            return replace(before, remark=content)
        digest = hashlib.sha256(content).hexdigest()
        if digest == before.sha256:
            return replace(before, remark="")
        if digest == before.tried:
            return before
        if self.once_a_day and before.day == self.day:
            return replace(before, remark="a new artefact waits: one hidden run a day")
        try:
            found = score(content)
        except ValueError as error:
            return replace(before, tried=digest, remark=f"refused: {error}")
        return self._judged(before, digest, found)

    def _judged(self, before: Standing, digest: str, found: Scored) -> Standing:
        """The new artefact's standing where there was none, or where it is better beyond its interval; else the old one, and a remark."""
        tried = replace(before, tried=digest, day=self.day)
        if before.sha256:
            gain = paired_difference(self._rows(before.sha256), found.rows)
            told = f"{abs(gain.value):.4f} {'better' if gain.value > 0 else 'worse'} ({gain.low:.4f} to {gain.high:.4f})"
            if gain.low <= 0:
                return replace(tried, remark=f"the last run does not count: {told}")
        np.save(self.folder / KEPT / f"{digest}.npy", found.rows.double().numpy(), allow_pickle=False)
        mean = paired_difference(found.rows, torch.zeros_like(found.rows))
        shown, commit = found.shown, self.commit
        return replace(
            tried, sha256=digest, score=mean.value, low=mean.low, high=mean.high, shown=shown, commit=commit, remark=""
        )

    def _rows(self, digest: str) -> Tensor:
        path = self.folder / KEPT / f"{digest}.npy"
        try:
            return torch.from_numpy(np.load(path, allow_pickle=False))
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{path} is missing or damaged ({error}); delete {self.folder / STATE} to score everybody again."
            ) from None

    def _placed(self, entries: list[Standing]) -> list[Standing]:
        scored = [one for one in entries if one.sha256]
        if scored:
            found = places(torch.stack([self._rows(one.sha256) for one in scored]))
            scored = [replace(one, place=place) for one, place in zip(scored, found, strict=True)]
        return sorted(scored, key=lambda one: one.score) + [one for one in entries if not one.sha256]
