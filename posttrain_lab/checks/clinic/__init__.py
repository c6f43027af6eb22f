"""The exercises of unit 11, in the notebook's order; each stands in the module with its name."""

from posttrain_lab.checks.clinic.company import company
from posttrain_lab.checks.clinic.count_calls import count_calls
from posttrain_lab.checks.clinic.gradient_report import gradient_report
from posttrain_lab.checks.clinic.grid_report import grid_report
from posttrain_lab.checks.clinic.group_report import group_report
from posttrain_lab.checks.clinic.leak_check import leak_check
from posttrain_lab.checks.clinic.overfit_one_batch import overfit_one_batch
from posttrain_lab.checks.clinic.same_answers import same_answers
from posttrain_lab.checks.clinic.state_difference import state_difference

EXERCISES = (
    group_report,
    leak_check,
    company,
    state_difference,
    same_answers,
    grid_report,
    gradient_report,
    overfit_one_batch,
    count_calls,
)
