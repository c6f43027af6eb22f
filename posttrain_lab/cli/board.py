"""`posttrain-lab board`: score what a class handed in for a project, and write the board."""

import datetime
import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from posttrain_lab import __version__
from posttrain_lab.data import Dataset, load_fashion
from posttrain_lab.data.unseen_fashion import unseen_fashion
from posttrain_lab.grading.course import CourseError, find_course
from posttrain_lab.grading.sheets import secret_of
from posttrain_lab.projects.board import Board, Standing
from posttrain_lab.projects.board_page import BoardText, write_board
from posttrain_lab.projects.edge import DRAWS, PHOTOGRAPHS, PROJECT, on_board
from posttrain_lab.projects.instances import PUBLIC

SECRET = "project_secret.txt"  # in the course's folder; published once the class is graded
WIDEST = 48  # characters of a remark in a terminal


@dataclass(frozen=True)
class BoardWish:
    """What the command line said: the folder with the original clothes, whether the instances are the public ones, where the board goes."""

    clothes: Path | None = None
    public: bool = False
    output: Path = Path("board")
    solutions: Path | None = None


def run_board(project: str, folder: Path, wish: BoardWish) -> None:
    """Score, write board.html and board.csv, and print the rows. Raises ValueError for a project that has no board."""
    if project not in PROJECT and project != PROJECT.partition("_")[0]:
        raise ValueError(f"board wants the project {PROJECT}, got {project!r}.")
    found = on_board.entries(folder)
    secret = PUBLIC if wish.public else secret_of(Path.cwd(), SECRET)
    clothes, told = _clothes(wish)
    score = on_board.scorer(clothes, secret)
    with tqdm(total=len(found), desc="scoring", unit="entry", leave=False, disable=None) as bar:
        board = Board(
            wish.output,
            on_board.instances(clothes, secret),
            commit(),
            datetime.datetime.now(datetime.UTC).date().isoformat(),
            once_a_day=not wish.public,
            progress=lambda name: bar.update(),
        )
        rows = board.update(found, score)
    points = _points(rows, score, wish)
    seed = "public" if wish.public else f"sha256 {hashlib.sha256(secret.encode()).hexdigest()[:12]}"
    text = BoardText("Edge project: board", "Brier score", _sentences(told, wish.public, points is not None), seed, points)
    files = write_board(wish.output, rows, text)
    _print(rows, points)
    print("Written: " + ", ".join(str(one) for one in files))


def _clothes(wish: BoardWish) -> tuple[Dataset, str]:
    if wish.clothes is not None:
        return unseen_fashion(wish.clothes), "The clothes are those of Fashion-MNIST that the package does not ship."
    part = load_fashion()
    if wish.public:
        return part.validation, "The clothes are the shipped validation part."
    return part.test, "The clothes are the shipped test part, so whoever trained on it gains; --clothes takes others."


def _points(rows: list[Standing], score: on_board.Scorer, wish: BoardWish) -> dict[str, float] | None:
    """Points of each scored entry, where the naive and the excellent solution are there."""
    try:
        folder = find_course(solutions=wish.solutions).sources() / PROJECT / "artefacts"
    except CourseError:
        return None
    by_score = on_board.bands(folder, score)
    return {one.name: by_score(one.score) for one in rows if one.sha256}


def _sentences(clothes: str, public: bool, points: bool) -> tuple[str, ...]:
    found = [
        f"The mean Brier score of {DRAWS} x {PHOTOGRAPHS:,} photographs: 0 is perfect, lower is better. {clothes}",
        "Two entries share a place when the 95 % interval of their paired difference holds 0, and all between them with them.",
    ]
    if public:
        found.append("These instances are public: practise here. Whoever learns them by heart is good here only.")
    else:
        found.append(
            "These instances are hidden: one run a day, and a new score counts only when it is better beyond its interval. "
            "The secret is published when the class is graded; then everybody can repeat this board."
        )
    if points:
        found.append(f"Points lie on the line from the naive solution (0) to the excellent one ({on_board.POINTS}).")
    return tuple(found)


def commit() -> str:
    """The commit of the checkout around this package; without one its version."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return __version__
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return __version__
    return done.stdout.strip()


def _print(rows: list[Standing], points: dict[str, float] | None) -> None:
    table = Table(title="Edge project: board", title_justify="left")
    for column in ("place", "name", "Brier", "interval", *(["points"] if points is not None else []), "remark"):
        table.add_column(column, overflow="fold")
    for one in rows:
        score = [f"{one.score:.4f}", f"{one.low:.4f} to {one.high:.4f}"] if one.sha256 else ["", ""]
        gained = [f"{points[one.name]:.1f}" if one.sha256 else ""] if points is not None else []
        table.add_row(str(one.place or ""), escape(one.name), *score, *gained, escape(one.remark))
    Console(highlight=False).print(table)
