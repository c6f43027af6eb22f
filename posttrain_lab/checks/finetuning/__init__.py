"""The exercises of unit 03, in the notebook's order; each is in the module of its name, with its conventions.

Most of them use an adapter in the student's process (marked @adapter): layers, optimizers and networks that are changed in place cannot
be sent, but their outputs, gradients and tensors can.
"""

from posttrain_lab.checks.finetuning.adamw_step import adamw_step
from posttrain_lab.checks.finetuning.distillation_loss import distillation_loss
from posttrain_lab.checks.finetuning.ewc_penalty import ewc_penalty
from posttrain_lab.checks.finetuning.freeze import freeze
from posttrain_lab.checks.finetuning.lora_linear import LoRALinear
from posttrain_lab.checks.finetuning.parameter_groups import parameter_groups
from posttrain_lab.checks.finetuning.recover import recover
from posttrain_lab.checks.finetuning.select_for_labelling import select_for_labelling

EXERCISES = (
    freeze,
    parameter_groups,
    adamw_step,
    LoRALinear,
    ewc_penalty,
    select_for_labelling,
    distillation_loss,
    recover,
)
