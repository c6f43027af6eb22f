"""The edge project on a board: whose artefacts are there, what each scores, and the points between the naive and the excellent solution."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import torch

from posttrain_lab.data.split import Dataset

from ..board import Scored
from ..standing import band_points
from .artefact import GRAPH, Refused
from .costs import costs
from .interpret import program_of
from .packing import artefact_of, content_in, content_of, text_in
from .score import DRAWS, PHOTOGRAPHS, PROJECT, evaluate

POINTS = 20  # of 40: the rest are milestones and the report
CELL = "hand_in"  # the notebook's cell with the artefact's text
LARGEST_NOTEBOOK = 20_000_000  # bytes
Scorer = Callable[[bytes], Scored]


def entries(folder: Path) -> dict[str, bytes | str]:
    """For each folder NAME in `folder` the content of its artefact, or a sentence that says why there is none.

    NAME holds the two files, or a notebook 12_project_edge.ipynb, in it or in a folder 12_project_edge, as submitted/ does: the text is
    read from its cell, which is not run. Raises FileNotFoundError where `folder` has no folders.
    """
    names = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()) if folder.is_dir() else []
    if not names:
        raise FileNotFoundError(
            f"board finds no entries in {folder}; it wants a folder for each, with an artefact or a notebook."
        )
    return {path.name: _entry(path) for path in names}


def _entry(folder: Path) -> bytes | str:
    try:
        if (folder / GRAPH).exists():
            return content_of(folder)
        notebook = next((one for one in _notebooks(folder) if one.is_file() and not one.is_symlink()), None)
        if notebook is None:
            return f"nothing handed in: neither {GRAPH} nor {PROJECT}.ipynb"
        return content_in(_text_of(notebook))
    except (Refused, OSError) as error:
        return f"refused: {error}"


def _notebooks(folder: Path) -> list[Path]:
    return [folder / PROJECT / f"{PROJECT}.ipynb", folder / f"{PROJECT}.ipynb"]


def _text_of(notebook: Path) -> object:
    """What the hand-in cell of a notebook assigns."""
    with notebook.open("rb") as file:
        content = file.read(LARGEST_NOTEBOOK + 1)
    if len(content) > LARGEST_NOTEBOOK:
        raise Refused(f"the notebook has more than {LARGEST_NOTEBOOK:,} bytes; clear its outputs.")
    try:
        cells = json.loads(content)["cells"]
        mine = [cell for cell in cells if cell.get("metadata", {}).get("nbgrader", {}).get("grade_id") == CELL]
        sources = ["".join(cell["source"]) for cell in mine]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"the notebook cannot be read ({type(error).__name__}); save it again.") from None
    if len(sources) != 1:
        raise Refused(f"the notebook has {len(sources)} cells '{CELL}'; it wants the one that it came with.")
    return text_in(sources[0])


def scorer(clothes: Dataset, secret: str, draws: int = DRAWS, count: int = PHOTOGRAPHS) -> Scorer:
    """Score an artefact's content by the Brier score of each photograph; accuracy, ECE and costs are shown beside it."""

    def score(content: bytes) -> Scored:
        artefact = artefact_of(content)
        found, cost = evaluate(program_of(artefact), clothes, secret, draws, count), costs(artefact.layers)
        shown = (
            ("accuracy", f"{100 * found.hits.double().mean().item():.1f} %"),
            ("ECE", f"{found.ece:.3f}"),
            ("flash", f"{cost.flash:,}"),
            ("RAM", f"{cost.ram:,}"),
            ("MACs", f"{cost.macs:,}"),
        )
        return Scored(found.brier, shown)

    return score


def bands(solutions: Path, score: Scorer) -> Callable[[float], float]:
    """Points for a mean Brier score, between the naive and the excellent solution in `solutions`, scored on the same instances."""
    naive, excellent = (score(content_of(solutions / name)).rows.mean().item() for name in ("naive", "excellent"))
    return lambda mean: band_points(mean, naive, excellent, POINTS)


def instances(clothes: Dataset, secret: str) -> str:
    """What decides the photographs, without the secret itself: its hash, the clothes', how many."""
    pixels = hashlib.sha256((clothes.images * 255).round().to(torch.uint8).numpy().tobytes()).hexdigest()[:16]
    return f"{PROJECT}, secret {hashlib.sha256(secret.encode()).hexdigest()[:16]}, clothes {pixels}, {DRAWS} x {PHOTOGRAPHS}"
