"""How long does a class take, and is every score right? Two measurements, each a table in the terminal.

    python tests/grading/class_of_copies.py class --students 1000 --workers 2
    python tests/grading/class_of_copies.py compare --students 20 --units 02_quantization 00_start_here

`class`: submissions of unit 00 (perfect, half, blank and hostile in turn) are graded; in the middle the run is ended by kill -9, once,
and begun again. Every score must be right, and nothing may be graded twice. CI runs it with 40 (test_class_of_copies.py).
`compare`: processor seconds of the whole tree of processes for a class of perfect submissions, gradebook and feedback included: stock
nbgrader, and ours. Start-up is in both; `each` is what a submission costs beyond the first.
"""

import argparse
import copy
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell

from posttrain_lab import checks
from posttrain_lab.grading.course import CONFIG, find_course, read_notebook
from posttrain_lab.grading.release import student_notebook

REPOSITORY = Path(__file__).resolve().parents[2]
COURSE = find_course()
UNIT = "00_start_here"
KINDS = ("perfect", "half", "blank", "hostile")
HOSTILE = """
import os, sys
for path in ("gradebook.db", "../../../gradebook.db", "/root", os.path.expanduser("~")):
    try:
        os.system(f"rm -rf {path} 2>/dev/null")
    except OSError:
        pass
import posttrain_lab.grading.kernel_side as side
side.answer = lambda *a: "passed"
while os.fork() and False:
    pass
"""
STOCK = """
c = get_config()
c.CourseDirectory.course_id = "stock"
c.CourseDirectory.root = {root!r}
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", "feedback", "*.py"]
c.Execute.timeout = 600
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = r"[\\s\\S]*"
"""


def submission(kind: str, unit: str) -> nbformat.NotebookNode:
    """A notebook of one kind; half: every second answer is that of the source."""
    solved, book = read_notebook(COURSE.source(unit)), student_notebook(COURSE, unit)
    if kind == "perfect":
        return solved
    if kind == "hostile":
        place = next(i for i, cell in enumerate(book.cells) if "setup" in cell.metadata.get("tags", [])) + 1
        book.cells.insert(place, new_code_cell(HOSTILE))
    if kind == "half":
        right = {_grade_id(cell): cell.source for cell in solved.cells}
        for name in list(checks.exercises(unit))[::2]:
            next(cell for cell in book.cells if _grade_id(cell) == name).source = right[name]
    return book


def wanted(kind: str, unit: str) -> int:
    points = [exercise.points for exercise in checks.exercises(unit).values()]
    return {"perfect": sum(points), "half": sum(points[::2])}.get(kind, 0)


def _grade_id(cell: nbformat.NotebookNode) -> str:
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def make(root: Path, unit: str, students: dict[str, str], source: str = "solutions") -> None:
    """A course with a submission for each student, of the kind that stands beside the name."""
    shutil.copytree(COURSE.sources() / unit, root / source / unit)
    books = {kind: submission(kind, unit) for kind in set(students.values())}
    for student, kind in students.items():
        folder = root / "submitted" / student / unit
        folder.mkdir(parents=True)
        (folder / f"{unit}.ipynb").write_text(nbformat.writes(signed(books[kind], student)), encoding="utf-8")


def signed(book: nbformat.NotebookNode, student: str) -> nbformat.NotebookNode:
    """The notebook with the student's name in each answer: no two answers of a class are the same text."""
    book = copy.deepcopy(book)
    for cell in book.cells:
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source += f"\n# {student}"
    return book


def graded(root: Path, unit: str, workers: int, kill_at: int = 0) -> int:
    """Run the command in the course; kill it when so many are done. Its exit status."""
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "posttrain_lab", "grade", unit, "--workers", str(workers)]
    process = subprocess.Popen(command, cwd=root, env=env, stdout=subprocess.DEVNULL)
    while process.poll() is None and kill_at:
        if sum(state == "done" for _, state, _ in jobs(root)) >= kill_at:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.2)
    return process.wait()


def jobs(root: Path) -> list[tuple[str, str, int]]:
    """Student, state and tries of each job."""
    path = root / ".posttrain_lab" / "grading.sqlite3"
    if not path.exists():
        return []
    base = sqlite3.connect(path, timeout=30)
    try:
        return base.execute("select student, state, tries from jobs").fetchall()
    except sqlite3.OperationalError:  # there is no table yet
        return []
    finally:
        base.close()


def scores(root: Path) -> dict[str, float]:
    base = sqlite3.connect(root / "gradebook.db")
    query = """select student_id, sum(coalesce(grade.auto_score, 0)) from submitted_assignment
        join submitted_notebook on submitted_notebook.assignment_id = submitted_assignment.id
        join grade on grade.notebook_id = submitted_notebook.id group by student_id"""
    try:
        return dict(base.execute(query).fetchall())
    finally:
        base.close()


def whole_class(students: int, workers: int) -> dict[str, float]:
    """Grade with a kill -9 in the middle; what was found. Raises AssertionError when a score is wrong or something was done twice."""
    kinds = {f"s{number:04}_{KINDS[number % 4]}": KINDS[number % 4] for number in range(students)}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        root, start = Path(name), time.monotonic()
        shutil.copy(REPOSITORY / CONFIG, root)
        make(root, UNIT, kinds)
        assert graded(root, UNIT, workers, students // 2) == -signal.SIGKILL
        before = {student: (state, tries) for student, state, tries in jobs(root)}
        assert graded(root, UNIT, workers) == 0
        wrong = {student: score for student, score in scores(root).items() if score != wanted(kinds[student], UNIT)}
        after = {student: (state, tries) for student, state, tries in jobs(root)}
        twice = [student for student, found in before.items() if found[0] in ("judged", "done") and after[student][1] != found[1]]
        again = sum(tries > 1 for _, tries in after.values())
        assert (wrong, twice, len(scores(root)), Counter(state for state, _ in after.values())) == (
            {},
            [],
            students,
            {"done": students},
        )
        assert again <= workers
        assert all((root / "feedback" / student / UNIT / f"{UNIT}.html").is_file() for student in kinds)
        return {"students": students, "done before the kill": sum(state == "done" for state, _ in before.values()),
                "begun twice": again, "seconds": round(time.monotonic() - start)}  # fmt: skip


def seconds_of(command: list[str], root: Path) -> float:
    """Processor seconds of a command and all processes that it waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", "")])
    subprocess.run(command, cwd=root, env=env, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ours(unit: str, students: int) -> float:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        root = Path(name)
        shutil.copy(REPOSITORY / CONFIG, root)
        make(root, unit, {f"s{number:03}": "perfect" for number in range(students)})
        used = seconds_of([sys.executable, "-m", "posttrain_lab", "grade", unit, "--workers", "1"], root)
        assert set(scores(root).values()) == {wanted("perfect", unit)}, scores(root)
        return used


def stock(unit: str, students: int) -> float:
    """nbgrader as it comes: its own autograding in a kernel, and its feedback pages."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        root = Path(name)
        (root / CONFIG).write_text(STOCK.format(root=str(root)), encoding="utf-8")
        make(root, unit, {f"s{number:03}": "perfect" for number in range(students)}, "source")
        nbgrader = [sys.executable, "-m", "nbgrader"]
        seconds_of([*nbgrader, "generate_assignment", unit, "--force"], root)
        used = sum(seconds_of([*nbgrader, step, unit], root) for step in ("autograde", "generate_feedback"))
        assert set(scores(root).values()) == {wanted("perfect", unit)}, scores(root)
        return used


def compare(units: list[str], students: int) -> None:
    """Print the table, and the machine: others that work there make every second of a processor do less."""
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"processor seconds, {students} submissions, gradebook and feedback included; {os.cpu_count()} processors, load {load}")
    print(f"{'unit':<18}{'stock, each':>14}{'ours, each':>14}{'ours, each more':>18}{'stock / ours':>14}{'stock / more':>14}")
    for unit in units:
        theirs, mine, one = stock(unit, students) / students, ours(unit, students), ours(unit, 1)
        more = (mine - one) / max(students - 1, 1)
        ratios = f"{theirs * students / mine:>14.1f}{theirs / more if more else 0:>14.1f}"
        print(f"{unit:<18}{theirs:>14.2f}{mine / students:>14.2f}{more:>18.2f}{ratios}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("class", "compare"))
    parser.add_argument("--students", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--units", nargs="+", default=["02_quantization", "00_start_here"])
    given = parser.parse_args()
    if given.what == "class":
        print(json.dumps(whole_class(given.students, given.workers)))
    else:
        compare(given.units, given.students)


if __name__ == "__main__":
    main()
