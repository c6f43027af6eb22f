"""Fine-tuning: teach a trained network something more from few labels, and know what it costs and what it forgets."""

from .active import core_set, disagreement, entropy, margin, select_by_disagreement, select_for_labelling
from .distill import DistillationConfig, distill, distillation_loss, feature_loss, outputs_of
from .forgetting import anchor_of, ewc_penalty, fisher_information, l2_sp_penalty, penalized, with_replay
from .freeze import bias_names, freeze, head_names, norm_names, trainable_names, unfreeze
from .groups import parameter_groups
from .lora import LoRAConv2d, LoRALinear
from .optim import AdamW, adamw_step, sgd_step
from .recover import Grid, recover, recover_quantized, round_to_grid
from .stopping import EarlyStopping, validation_accuracy

__all__ = [
    "AdamW",
    "DistillationConfig",
    "EarlyStopping",
    "Grid",
    "LoRAConv2d",
    "LoRALinear",
    "adamw_step",
    "anchor_of",
    "bias_names",
    "core_set",
    "disagreement",
    "distill",
    "distillation_loss",
    "entropy",
    "ewc_penalty",
    "feature_loss",
    "fisher_information",
    "freeze",
    "head_names",
    "l2_sp_penalty",
    "margin",
    "norm_names",
    "outputs_of",
    "parameter_groups",
    "penalized",
    "recover",
    "recover_quantized",
    "round_to_grid",
    "select_by_disagreement",
    "select_for_labelling",
    "sgd_step",
    "trainable_names",
    "unfreeze",
    "validation_accuracy",
    "with_replay",
]
