"""The board as a page and as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from posttrain_lab.whole_files import csv_text, save_whole

from .board import Standing

FILES = Path(__file__).parent / "files"
SHORT = 10  # digits of a hash on the page


@dataclass(frozen=True)
class BoardText:
    """What stands around the rows: the title, what a score is, sentences on the instances, their seed (a public one, or the hash of a secret
    one), and how many points each entry has (or None).
    """

    title: str
    unit: str
    sentences: tuple[str, ...]
    seed: str
    points: dict[str, float] | None = None


def write_board(folder: Path, rows: Sequence[Standing], text: BoardText) -> tuple[Path, Path]:
    """Write board.html and board.csv; returns both."""
    page, table = folder / "board.html", folder / "board.csv"
    environment = Environment(loader=FileSystemLoader(FILES), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    scored = [one for one in rows if one.sha256]
    low = min((one.low for one in scored), default=0.0)
    span = max((one.high for one in scored), default=1.0) - low or 1.0
    bars = {one.name: (100 * (one.low - low) / span, max(0.5, 100 * (one.high - one.low) / span)) for one in scored}
    shown = [what for what, _ in scored[0].shown] if scored else []
    rest = {"text": text, "rows": rows, "bars": bars, "shown": shown, "short": SHORT}
    save_whole("board", page, environment.get_template("board.html").render(**rest).strip() + "\n")
    save_whole("board", table, csv_text(_lines(rows, shown, text)))
    return page, table


def _lines(rows: Sequence[Standing], shown: Sequence[str], text: BoardText) -> list[list[object]]:
    points = ["points"] if text.points is not None else []
    head = ["place", "name", text.unit, "low", "high", *shown, *points, "sha256", "seed", "commit", "last run", "remark"]
    lines: list[list[object]] = [list(head)]
    for one in rows:
        score = [f"{value:.4f}" for value in (one.score, one.low, one.high)] if one.sha256 else ["", "", ""]
        own = dict(one.shown)
        gained = [f"{text.points.get(one.name, 0.0):.1f}"] if text.points is not None else []
        values = [own.get(what, "") for what in shown]
        lines.append(
            [one.place or "", one.name, *score, *values, *gained, one.sha256, text.seed, one.commit, one.day, one.remark]
        )
    return lines
