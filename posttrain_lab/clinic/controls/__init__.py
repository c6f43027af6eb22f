"""Not every bug hurts: four classics that did no damage here, although an instrument sees them. A bug is a claim; measure it.

Each is made like a patient, and none is on a sheet.
"""

from posttrain_lab.clinic.patient import Patient

from . import no_t_squared, one_class_calibration, teacher_in_train_mode, wrong_axis

CONTROLS: dict[str, Patient] = {
    module.CONTROL.name: module.CONTROL for module in (teacher_in_train_mode, no_t_squared, one_class_calibration, wrong_axis)
}
