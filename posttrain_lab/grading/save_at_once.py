"""nbgrader's SaveAutoGrades in one transaction: a run that is ended in the middle leaves no half score in the gradebook."""

from typing import Any

from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.preprocessors import SaveAutoGrades


class SaveAtOnce(SaveAutoGrades):
    """nbgrader preprocessor: the points and comments of all cells of a notebook are written together, or none of them."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        names = resources["nbgrader"]
        self.notebook_id, self.assignment_id, self.student_id = names["notebook"], names["assignment"], names["student"]
        with Gradebook(names["db_url"]) as self.gradebook:
            session: Any = self.gradebook.db
            session.commit = session.flush  # nbgrader commits after each cell
            try:
                for index, cell in enumerate(nb.cells):
                    nb.cells[index], resources = self.preprocess_cell(cell, resources, index)
            finally:
                del session.commit
            session.commit()
        return nb, resources
