"""Channels are removed, but their batch norm keeps its first entries in place of theirs."""

import copy

import torch
from torch import Tensor, nn

from posttrain_lab.pruning.channels import slice_inputs, slice_norm, slice_outputs

from ..instruments import same_answers
from ..patient import Patient, Run
from ..subjects import HEAD, hits, trained, weight, worst_class


def cut_norm(norm: nn.BatchNorm2d, keep: Tensor) -> nn.BatchNorm2d:
    """The batch norm of the channels that stay, at these positions."""
    return slice_norm(norm, keep)


def broken(norm: nn.BatchNorm2d, keep: Tensor) -> nn.BatchNorm2d:
    """As many, but the first."""
    return slice_norm(norm, torch.arange(len(keep)))


def run(seed: int, cut_norm) -> Run:
    model, log, _, _, test = trained(seed)
    head = weight(model, HEAD).detach().reshape(10, 16, 9)
    keep = (head.square().sum((0, 2)) * weight(model, "5").square()).topk(12).indices.sort().values
    silenced, small = copy.deepcopy(model), copy.deepcopy(model)
    small[4], small[5] = slice_outputs(model[4], keep), cut_norm(model[5], keep)
    small[9] = slice_inputs(model[9], torch.arange(144).reshape(16, 9)[keep].flatten())
    weight(silenced, HEAD).data = torch.zeros_like(head).index_copy(1, keep, head[:, keep]).flatten(1)
    return Run(log, hits(small, test), {"silenced": silenced, "cut": small, "test": test})


PATIENT = Patient(
    level=3,
    kind="E",
    words="the batch norm of a cut layer keeps its first entries in place of those of the channels that stay",
    shows="test accuracy with 12 of 16 channels",
    healthy=cut_norm,
    broken=broken,
    run=run,
    instrument="same_answers",
    examine=lambda handles: same_answers(handles["silenced"], handles["cut"], handles["test"].x[:100]),
    threshold=0.01,
    asked="of cut on test: the share of right answers of the class that is right least often",
    number=lambda handles: worst_class(handles["cut"], handles["test"]),
)
