"""The clinic of unit 11: runs that finish, look healthy and may be wrong, and the instruments that find out.

instruments   nine questions that a log does not answer      sheets    twelve cases for each learner, from a token
patient       what a patient is: a run with one part         code      what a level shows of a patient's code
patients      each in a file of its own, in three levels     scoring   points for evidence, name and repair
controls      bugs that did no harm                          subjects  data, networks and loop that all of them share
reserve       more patients, on no sheet yet                     ward     a sheet in a notebook: admit, treat, look back
"""

from .code import shown_code, shown_part
from .controls import CONTROLS
from .instruments import (
    company,
    count_calls,
    gradient_report,
    grid_report,
    group_report,
    leak_check,
    overfit_one_batch,
    same_answers,
    state_difference,
)
from .patient import HEALTHY, KINDS, NAMES, Patient, Run
from .patients import LEVELS, PATIENTS
from .reserve import RESERVE
from .scoring import (
    Answer,
    Marks,
    damage,
    evidence_holds,
    like_healthy_runs,
    mark,
    name_points,
    refused,
    repair_fails,
    sheet_points,
    treated,
    trial_of,
)
from .sheets import PUBLIC, SheetCase, sheet, token_of
from .ward import UNKNOWN, Ward, said_by

__all__ = [
    "CONTROLS",
    "HEALTHY",
    "KINDS",
    "LEVELS",
    "NAMES",
    "PATIENTS",
    "PUBLIC",
    "RESERVE",
    "UNKNOWN",
    "Answer",
    "Marks",
    "Patient",
    "Run",
    "SheetCase",
    "Ward",
    "company",
    "count_calls",
    "damage",
    "evidence_holds",
    "gradient_report",
    "grid_report",
    "group_report",
    "leak_check",
    "like_healthy_runs",
    "mark",
    "name_points",
    "overfit_one_batch",
    "refused",
    "repair_fails",
    "said_by",
    "same_answers",
    "sheet",
    "sheet_points",
    "shown_code",
    "shown_part",
    "state_difference",
    "token_of",
    "treated",
    "trial_of",
]
