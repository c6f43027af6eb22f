"""Fine-tuning: adapt a trained network to a new task with few labels, and measure what it costs and what it forgets."""

from .active import core_set, disagreement, entropy, margin, select_by_disagreement, select_for_labelling
from .adapter_files import load_adapter, read_adapter, save_adapter
from .adapters import adaptable, add_lora, checksum, merge_lora, own_statistics, without_adapter
from .checkpoints import Checkpoints, load_checkpoint, save_checkpoint
from .distill import DistillationConfig, distill, distillation_loss, feature_loss, outputs_of
from .forgetting import anchor_of, ewc_penalty, fisher_information, l2_sp_penalty, penalized, with_replay
from .freeze import bias_names, freeze, head_names, norm_names, trainable_names, unfreeze
from .groups import parameter_groups
from .lora import LoRAConv2d, LoRALinear
from .methods import METHODS, AdaptConfig, adapt, gradual_unfreezing, prepared, reinitialized, stages_from_the_end
from .optim import AdamW, adamw_step, sgd_step
from .qlora import QLoRALinear, add_qlora
from .recover import Grid, masking, recover, recover_quantized, round_to_grid
from .schedules import RateFinding, RateRange, constant, cosine, find_rate, following, linear_warmup
from .stopping import EarlyStopping, validation_accuracy

__all__ = [
    "METHODS",
    "AdamW",
    "AdaptConfig",
    "Checkpoints",
    "DistillationConfig",
    "EarlyStopping",
    "Grid",
    "LoRAConv2d",
    "LoRALinear",
    "QLoRALinear",
    "RateFinding",
    "RateRange",
    "adamw_step",
    "adapt",
    "adaptable",
    "add_lora",
    "add_qlora",
    "anchor_of",
    "bias_names",
    "checksum",
    "constant",
    "core_set",
    "cosine",
    "disagreement",
    "distill",
    "distillation_loss",
    "entropy",
    "ewc_penalty",
    "feature_loss",
    "find_rate",
    "fisher_information",
    "following",
    "freeze",
    "gradual_unfreezing",
    "head_names",
    "l2_sp_penalty",
    "linear_warmup",
    "load_adapter",
    "load_checkpoint",
    "margin",
    "masking",
    "merge_lora",
    "norm_names",
    "outputs_of",
    "own_statistics",
    "parameter_groups",
    "penalized",
    "prepared",
    "read_adapter",
    "recover",
    "recover_quantized",
    "reinitialized",
    "round_to_grid",
    "save_adapter",
    "save_checkpoint",
    "select_by_disagreement",
    "select_for_labelling",
    "sgd_step",
    "stages_from_the_end",
    "trainable_names",
    "unfreeze",
    "validation_accuracy",
    "with_replay",
    "without_adapter",
]
