"""Patients in reserve: made like the others, on no sheet yet. One that is moved to `patients` must be measured over twelve seeds first."""

from posttrain_lab.clinic.patient import Patient

from . import (
    best_is_dense,
    conformal_on_train,
    one_seed,
    other_batch,
    rare_class,
    raw_calibration,
    schedule_per_batch,
    softmax_twice,
)

RESERVE: dict[str, Patient] = {
    module.PATIENT.name: module.PATIENT
    for module in (
        best_is_dense,
        conformal_on_train,
        one_seed,
        other_batch,
        rare_class,
        raw_calibration,
        schedule_per_batch,
        softmax_twice,
    )
}
