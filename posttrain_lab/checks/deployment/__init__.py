"""The exercises of unit 08, in the notebook's order; each stands in the module with its name."""

from posttrain_lab.checks.deployment.channels_last import channels_last
from posttrain_lab.checks.deployment.diagnose import diagnose
from posttrain_lab.checks.deployment.double_is_exact import double_is_exact
from posttrain_lab.checks.deployment.emit_dense import emit_dense
from posttrain_lab.checks.deployment.energy import energy
from posttrain_lab.checks.deployment.export import export
from posttrain_lab.checks.deployment.first_difference import first_difference
from posttrain_lab.checks.deployment.fits import fits
from posttrain_lab.checks.deployment.lifetimes import lifetimes
from posttrain_lab.checks.deployment.multiply_shift import multiply_shift
from posttrain_lab.checks.deployment.pixel_table import pixel_table
from posttrain_lab.checks.deployment.place import place
from posttrain_lab.checks.deployment.pool_first import pool_first
from posttrain_lab.checks.deployment.prepare import prepare
from posttrain_lab.checks.deployment.tail import tail

EXERCISES = (
    pixel_table,
    channels_last,
    multiply_shift,
    double_is_exact,
    lifetimes,
    place,
    pool_first,
    emit_dense,
    first_difference,
    export,
    tail,
    prepare,
    diagnose,
    energy,
    fits,
)
