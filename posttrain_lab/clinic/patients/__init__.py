"""The patients by name, in three levels. Each is one file: its part, healthy and broken, its run, and the instrument that tells them apart."""

from posttrain_lab.clinic.patient import Patient

from . import (
    accumulation_not_divided,
    augmented_before_split,
    cached_weights,
    copy_not_used,
    decay_of_frozen,
    eval_in_train_mode,
    lora_both_zero,
    mask_before_step,
    merge_without_scale,
    no_straight_through,
    norm_cut_elsewhere,
    optimizer_of_old_head,
    penalty_detached,
    rate_too_small,
    scale_before_fold,
    second_source_shuffled,
    statistics_move,
    temperature_on_train,
    validation_augmented,
    weights_swapped,
)

IN_LEVELS = {
    1: (
        mask_before_step,
        copy_not_used,
        weights_swapped,
        second_source_shuffled,
        validation_augmented,
        rate_too_small,
        eval_in_train_mode,
    ),
    2: (
        statistics_move,
        merge_without_scale,
        scale_before_fold,
        temperature_on_train,
        augmented_before_split,
        optimizer_of_old_head,
        cached_weights,
    ),
    3: (
        decay_of_frozen,
        lora_both_zero,
        penalty_detached,
        no_straight_through,
        accumulation_not_divided,
        norm_cut_elsewhere,
    ),
}
PATIENTS: dict[str, Patient] = {module.PATIENT.name: module.PATIENT for modules in IN_LEVELS.values() for module in modules}
LEVELS = {level: tuple(module.PATIENT.name for module in modules) for level, modules in IN_LEVELS.items()}
