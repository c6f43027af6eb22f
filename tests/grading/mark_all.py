"""A person who marks a paragraph of every student, as formgrader does: `python mark_all.py DB_URL UNIT CELL POINTS TIMES`.

Each mark is one transaction of its own, found and written anew, TIMES rounds over the class.
"""

import sys

from nbgrader.api import Gradebook


def mark(url: str, unit: str, cell: str, points: float, times: int) -> None:
    for _ in range(times):
        with Gradebook(url) as base:
            for submission in base.assignment_submissions(unit):
                student = submission.student_id
                one = base.find_grade(cell, unit, unit, student)
                one.manual_score, one.needs_manual_grade = points, False
                base.find_comment(cell, unit, unit, student).manual_comment = f"{points} for {student}"
                base.db.commit()


if __name__ == "__main__":
    mark(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5]))
