"""Pruning: find weights that hardly matter, remove them, and measure whether the network becomes smaller and faster."""

from .allocation import allocate_cost, allocate_sparsity, predicted_loss
from .break_even import BreakEvenGrid, BreakEvenRow, measure_break_even
from .channels import prune_channels
from .costs import layer_costs
from .masked import keep_masks, masked_step, train_masked
from .masks import apply_masks, block_mask, channel_mask, global_masks, magnitude_mask, masks_of, nm_mask
from .network import Pruned, PruningConfig, prune_model
from .saving import load_pruned, save_pruned
from .schedules import GradualConfig, Ticket, cubic_sparsity, lottery_tickets, prune_gradually
from .scores import lamp_scores, layer_grams, layer_scores, wanda_scores
from .second_order import sparsegpt
from .sensitivity import sensitivity_scan
from .sparse import csr_matmul, model_stored_bytes, stored_bytes, to_csr, use_sparse_layers
from .structured import Cut, Group, Unit, find_groups, mask_units, remove_units
from .units import WorkBudget, choose_units, prune_units, unit_scores

__all__ = [
    "BreakEvenGrid",
    "BreakEvenRow",
    "Cut",
    "GradualConfig",
    "Group",
    "Pruned",
    "PruningConfig",
    "Ticket",
    "Unit",
    "WorkBudget",
    "allocate_cost",
    "allocate_sparsity",
    "apply_masks",
    "block_mask",
    "channel_mask",
    "choose_units",
    "csr_matmul",
    "cubic_sparsity",
    "find_groups",
    "global_masks",
    "keep_masks",
    "lamp_scores",
    "layer_costs",
    "layer_grams",
    "layer_scores",
    "load_pruned",
    "lottery_tickets",
    "magnitude_mask",
    "mask_units",
    "masked_step",
    "masks_of",
    "measure_break_even",
    "model_stored_bytes",
    "nm_mask",
    "predicted_loss",
    "prune_channels",
    "prune_gradually",
    "prune_model",
    "prune_units",
    "remove_units",
    "save_pruned",
    "sensitivity_scan",
    "sparsegpt",
    "stored_bytes",
    "to_csr",
    "train_masked",
    "unit_scores",
    "use_sparse_layers",
    "wanda_scores",
]
