"""How did the class do? One page without anything outside it: scores, exercise by exercise which misconception how often, what to look at."""

import html
import json
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, MissingEntry

from posttrain_lab.grading.clinic_sheet import SHEET, by_kind
from posttrain_lab.grading.exports import points, score_of, title_of
from posttrain_lab.grading.jobs import Job, Jobs
from posttrain_lab.whole_files import write_whole

FOLDER = "reports"
SLOWEST = 10
BARS = 12
EMPTY, OTHER = "still empty", "another wrong answer"
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>body {{ font: 16px/1.5 sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }}
table {{ border-collapse: collapse; margin: 1em 0 }} td, th {{ padding: .3em .8em; border-bottom: 1px solid #ccc; text-align: left;
vertical-align: top; overflow-wrap: anywhere }} caption {{ text-align: left; font-weight: bold }} td.number {{ text-align: right }}</style></head>
<body><h1>{title}</h1>
<p>{summary}</p>
{sections}
</body></html>
"""


@dataclass(frozen=True)
class Marked:
    """One student's line: what the job table knows, and the score, None when nothing is graded."""

    job: Job
    score: float | None

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        return self.job.answer.get("verdicts") or []

    @property
    def flags(self) -> list[str]:
        """What a person should look at, though it is graded."""
        answer = self.job.answer
        return [str(text) for kind in ("remarks", "flags") for text in answer.get(kind) or []]


def write_report(base: Gradebook, root: Path, jobs: Jobs, unit: str) -> Path:
    """Write reports/UNIT.html."""
    known, refused = {job.student: job for job in jobs.of(unit)}, {job.student: job for job in jobs.refused(unit)}
    rows = [Marked(job, _score(base, unit, student)) for student, job in sorted({**refused, **known}.items())]
    rows = [Marked(_with_remark(row.job, refused.get(row.job.student)), row.score) for row in rows]
    try:
        most = float(base.find_assignment(unit).max_score or 0)
    except MissingEntry:
        most = 0.0
    path = root / FOLDER / f"{unit}.html"
    path.parent.mkdir(exist_ok=True)
    write_whole(path, report(f"{title_of(unit)}: the class", rows, most))
    return path


def _with_remark(job: Job, refused: Job | None) -> Job:
    """The job of what is graded, with a remark about a later submission that could not be taken in."""
    if refused is None or job.state == "failed":
        return job
    remarks = [*(job.answer.get("remarks") or []), f"a later submission {refused.answer['problem']}"]
    return replace(job, result=json.dumps({**job.answer, "remarks": remarks}))


def rewrite_reports(base: Gradebook, root: Path, jobs: Jobs) -> list[str]:
    """Write the reports that are there again; their names."""
    paths = sorted((root / FOLDER).glob("*.html"))
    return [f"{FOLDER}/{write_report(base, root, jobs, path.stem).name}" for path in paths]


def report(title: str, rows: Sequence[Marked], most: float) -> str:
    """The page."""
    scores = [row.score for row in rows if row.score is not None]
    failed = [(row.job.student, row.job.answer.get("problem", "")) for row in rows if row.job.state == "failed"]
    unfinished = [row for row in rows if row.job.state in ("queued", "running", "judged")]
    summary = f"{len(rows)} submissions, {len(scores)} graded, {len(failed)} need attention, {len(unfinished)} not finished."
    if scores:
        middle = f"mean {points(statistics.fmean(scores))}, median {points(statistics.median(scores))} of {points(most)} points"
        summary += f" Scores: {middle}."
    slow = sorted((row for row in rows if row.job.seconds), key=lambda row: -row.job.seconds)[:SLOWEST]
    sections = [
        _histogram(scores, most) if scores else "",
        _table("Needs attention", ("student", "why"), failed),
        _table("To look at", ("student", "remark"), [(row.job.student, text) for row in rows for text in row.flags]),
        _table("Exercises", ("exercise", "right", "of", "what was wrong, and how often"), _exercises(rows)),
        _table("Patients", ("what they had", "answered", "named", "evidence", "repaired"), by_kind(_sheets(rows))),
        _table("The slowest", ("student", "seconds"), [(row.job.student, f"{row.job.seconds:.1f}") for row in slow]),
    ]
    return PAGE.format(title=html.escape(title), summary=summary, sections="\n".join(filter(None, sections)))


def _sheets(rows: Sequence[Marked]) -> list[str]:
    """The sheets of unit 11, in short."""
    return [str(verdict["mistake"]) for row in rows for verdict in row.verdicts if verdict["exercise"] == SHEET]


def _exercises(rows: Sequence[Marked]) -> list[tuple[str, ...]]:
    """For each exercise: how many are right, of how many, and each misconception with its number."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        for verdict in (one for one in row.verdicts if one["exercise"] != SHEET):
            found.setdefault(str(verdict["exercise"]), []).append(verdict)
    lines = []
    for name, verdicts in found.items():
        right = sum(bool(verdict["passed"]) for verdict in verdicts)
        wrong = Counter(_kind(verdict) for verdict in verdicts if not verdict["passed"])
        told = "\n".join(f"{count} × {kind}" for kind, count in wrong.most_common())
        lines.append((name, str(right), str(len(verdicts)), told or "-"))
    return lines


def _kind(verdict: dict[str, Any]) -> str:
    """The misconception by its name and sentence; else whether nothing was written, or something else."""
    message = str(verdict["message"])
    if verdict["mistake"]:  # the sentence is the first line, behind the exercise's name; the case follows
        sentence = message.partition("\n")[0].removeprefix(f"{verdict['exercise']}: ")
        return f"{verdict['mistake']}: {sentence[:300]}"
    return EMPTY if EMPTY in message else OTHER


def _table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, every cell escaped; nothing when there is no row."""
    lines = ["".join(_cell(cell) for cell in row) for row in rows]
    if not lines:
        return ""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    return f"<table><caption>{html.escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def _cell(text: str) -> str:
    number = ' class="number"' if text.replace(".", "", 1).isdigit() else ""
    return f"<td{number}>{html.escape(text).replace(chr(10), '<br>')}</td>"


def _histogram(scores: Sequence[float], most: float) -> str:
    """How many students have how many points, as a picture that a screen reader can read too."""
    bars = min(BARS, max(1, int(most)))
    width = most / bars or 1.0
    counts = Counter(min(bars, int(score / width)) for score in scores)  # the last bar is the full score alone
    labels = [f"{points(place * width)} to under {points((place + 1) * width)}" for place in range(bars)] + [
        f"all {points(most)}"
    ]
    tallest, step = max(counts.values()), 620 / (bars + 1)
    parts = []
    for place, label in enumerate(labels):
        height, x = 150 * counts[place] / tallest, 20 + place * step
        shape = f'x="{x:.1f}" y="{170 - height:.1f}" width="{step * 0.85:.1f}" height="{height:.1f}"'
        parts.append(f'<rect {shape} fill="#0b63a5"><title>{counts[place]} students with {label} points</title></rect>')
        middle = x + step * 0.425
        parts.append(f'<text x="{middle:.1f}" y="{166 - height:.1f}" text-anchor="middle">{counts[place] or ""}</text>')
        short = points(place * width) if place < bars else points(most)
        parts.append(f'<text x="{middle:.1f}" y="186" text-anchor="middle">{short}</text>')
    told = "; ".join(f"{counts[place]} with {label} points" for place, label in enumerate(labels) if counts[place])
    axis = '<text x="330" y="206" text-anchor="middle">points</text>'
    head = '<svg viewBox="0 0 660 212" role="img" font-size="12" style="max-width: 100%">'
    return f"<h2>Scores</h2>\n{head}<title>Scores of the class: {told}</title>{''.join(parts)}{axis}</svg>"


def _score(base: Gradebook, unit: str, student: str) -> float | None:
    try:
        return score_of(base.find_submission(unit, student))
    except MissingEntry:
        return None
