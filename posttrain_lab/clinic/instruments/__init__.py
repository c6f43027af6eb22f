"""Nine instruments. Each answers one question that the log of a training run does not.

gradient_report    which parameters learn                 grid_report    is it pruned, quantized, clipped
state_difference   what has moved                         count_calls    how much work is done while it is measured
overfit_one_batch  do loss and labels belong together     group_report   for whom is it right
leak_check         do two parts share examples            same_answers   do two networks compute the same
company            does an answer depend on its batch

None of them leaves a trace in the network it looks at.
"""

from .company import company
from .count_calls import count_calls
from .gradient_report import gradient_report
from .grid_report import grid_report
from .group_report import group_report
from .leak_check import leak_check
from .overfit_one_batch import overfit_one_batch
from .same_answers import same_answers
from .state_difference import state_difference

__all__ = [
    "company",
    "count_calls",
    "gradient_report",
    "grid_report",
    "group_report",
    "leak_check",
    "overfit_one_batch",
    "same_answers",
    "state_difference",
]
