"""The exercises of unit 03, in the notebook's order. Their conventions stand in the modules, in the words of the notebook.

Most of them work through an adapter on the student's side (the first function of each module): layers, optimizers and networks that are
changed in place cannot travel, what can be seen of them from outside can.
"""

from posttrain_lab.checks.compare import close
from posttrain_lab.checks.exercise import Exercise
from posttrain_lab.checks.finetuning import choosing, distilling, freezing, grouping, healing, lowrank, remembering, stepping

UNIT = "03_fine_tuning"

freeze = Exercise(
    "freeze",
    UNIT,
    3,
    2,
    14,
    freezing.right_freeze,
    freezing.freeze_cases,
    freezing.FREEZE_MISTAKES,
    freezing.freeze_judge(),
    through="finetuning.freezing:frozen",
)
parameter_groups = Exercise(
    "parameter_groups",
    UNIT,
    2,
    3,
    14,
    grouping.right_groups,
    grouping.groups_cases,
    grouping.PARAMETER_MISTAKES,
    grouping.groups_judge(),
    through="finetuning.grouping:grouped",
)
adamw_step = Exercise(
    "adamw_step",
    UNIT,
    3,
    3,
    16,
    stepping.right_step,
    stepping.step_cases,
    stepping.STEP_MISTAKES,
    close(1e-4, 1e-4),
    through="finetuning.stepping:walk",
)
LoRALinear = Exercise(
    "LoRALinear",
    UNIT,
    4,
    4,
    20,
    lowrank.right_lora,
    lowrank.lora_cases,
    lowrank.LORA_MISTAKES,
    lowrank.lora_judge(),
    through="finetuning.lowrank:adapted",
)
ewc_penalty = Exercise(
    "ewc_penalty",
    UNIT,
    2,
    3,
    12,
    remembering.right_penalty,
    remembering.penalty_cases,
    remembering.PENALTY_MISTAKES,
    close(1e-4, 1e-6),
    through="finetuning.remembering:penalty_and_gradient",
)
select_for_labelling = Exercise(
    "select_for_labelling",
    UNIT,
    2,
    2,
    12,
    choosing.right_select,
    choosing.select_cases,
    choosing.SELECT_MISTAKES,
    laws=choosing.SELECT_LAWS,
)
distillation_loss = Exercise(
    "distillation_loss",
    UNIT,
    3,
    3,
    16,
    distilling.right_loss,
    distilling.distillation_cases,
    distilling.DISTILLATION_MISTAKES,
    close(1e-4, 1e-5),
)
recover = Exercise(
    "recover",
    UNIT,
    3,
    3,
    16,
    healing.right_recover,
    healing.recover_cases,
    healing.RECOVER_MISTAKES,
    healing.recover_judge(),
    through="finetuning.healing:healed",
)
