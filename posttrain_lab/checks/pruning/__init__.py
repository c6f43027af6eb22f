"""The exercises of unit 01, in the notebook's order; each is in the module of its name, with its conventions."""

from posttrain_lab.checks.pruning.allocate_sparsity import allocate_sparsity
from posttrain_lab.checks.pruning.csr_matmul import csr_matmul
from posttrain_lab.checks.pruning.global_masks import global_masks
from posttrain_lab.checks.pruning.magnitude_mask import magnitude_mask
from posttrain_lab.checks.pruning.masked_step import masked_step
from posttrain_lab.checks.pruning.nm_mask import nm_mask
from posttrain_lab.checks.pruning.prune_channels import prune_channels
from posttrain_lab.checks.pruning.sensitivity_scan import sensitivity_scan
from posttrain_lab.checks.pruning.to_csr import to_csr
from posttrain_lab.checks.pruning.wanda_scores import wanda_scores

EXERCISES = (
    magnitude_mask,
    global_masks,
    sensitivity_scan,
    allocate_sparsity,
    masked_step,
    nm_mask,
    wanda_scores,
    to_csr,
    csr_matmul,
    prune_channels,
)
