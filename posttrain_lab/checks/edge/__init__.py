"""The exercise of project 12; its other milestones are measured on the artefact, see `posttrain_lab/grading/edge_milestones.py`."""

from posttrain_lab.checks.edge.costs import costs

EXERCISES = (costs,)
