"""The exercises of unit 08, in the notebook's order; each stands in the module with its name."""

from posttrain_lab.checks.deployment.emit_dense import emit_dense
from posttrain_lab.checks.deployment.pool_first import pool_first

EXERCISES = (
    pool_first,
    emit_dense,
)
