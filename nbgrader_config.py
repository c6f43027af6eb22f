"""nbgrader's settings for this course, read by nbgrader and by its panels in JupyterLab when started in this folder."""

from pathlib import Path

c = get_config()  # noqa: F821  (nbgrader defines get_config while it reads this file)

# Sources with solutions live in solutions/; the student notebooks in course/ are made by `posttrain-lab release`.
c.CourseDirectory.course_id = "posttrain_lab"
c.CourseDirectory.root = str(Path(__file__).resolve().parent)
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "course"
# nbgrader hands out every file of a unit's folder; the percent twin and the answers beside it stay at home.
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", "feedback", "*.py"]

# The released cell raises a bare NotImplementedError, which the checks report as "The cell is still empty".
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError"}

# For `nbgrader validate` and the Validate button only: seconds for a cell, where nbgrader allows 30. Autograding has limits of its own,
# for instance c.GradeInKernel.cell_timeout (posttrain_lab/grading/autograde.py); a cell that goes past them costs the kernel a restart.
c.Execute.timeout = 300

# nbgrader gives 0 points for anything on stderr; a warning from torch is not a wrong answer, so stderr does not count.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = r"[\s\S]*"

# A graded cell that the student deleted is added again, and graded like the others.
c.OverwriteCells.add_missing_cells = True

# Autograding: the student's code runs in a kernel of its own and the verdict is computed outside it (posttrain_lab/grading/autograde.py).
c.Autograde.exporter_class = "posttrain_lab.grading.sanitize.TolerantExporter"
c.Autograde.sanitize_preprocessors = [
    "posttrain_lab.grading.sanitize.Sanitize",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.OverwriteCells",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.Autograde.autograde_preprocessors = [
    "posttrain_lab.grading.autograde.GradeInKernel",
    "nbgrader.preprocessors.LimitOutput",
    "posttrain_lab.grading.save_at_once.SaveAtOnce",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]
# What being late costs is said in grading.toml (posttrain_lab/grading/settings.py shows one).
c.AssignLatePenalties.plugin_class = "posttrain_lab.grading.lateness.LateDays"
# c.GradeInKernel.figures = False  # grades a class sooner: cells that only show figures do not run (help: posttrain_lab/grading/autograde.py)

# Feedback shows the checks without their hidden part.
c.GenerateFeedback.preprocessors = [
    "nbgrader.preprocessors.GetGrades",
    "posttrain_lab.grading.sanitize.HideTests",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]

c.GenerateFeedback.exporter_class = "posttrain_lab.grading.feedback_pages.FeedbackExporter"

# Pages made from students' notebooks (feedback, formgrader) run none of their scripts (posttrain_lab/grading/safe_pages.py says why).
c.HTMLExporter.sanitize_html = True
c.HTMLExporter.filters = {"markdown2html": "posttrain_lab.grading.safe_pages.markdown2html"}
c.HTMLExporter.preprocessors = ["posttrain_lab.grading.safe_pages.SafeCells"]
