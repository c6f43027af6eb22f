"""LoRA is merged without alpha / rank: what is tested is the adapted network, what is delivered is another one."""

import copy

from torch import nn

from posttrain_lab.finetuning import LoRAConv2d, LoRALinear, add_lora

from ..instruments import same_answers
from ..patient import Handles, Patient, Run
from ..subjects import digits, fit, hits, optimizer_of

Adapter = LoRALinear | LoRAConv2d


def merge(layer: Adapter) -> nn.Module:
    """The plain layer that computes what this layer computes with its adapter (layer.base, .A, .B, .alpha, .rank)."""
    return layer.merge()


def broken(layer: Adapter) -> nn.Module:
    """Without the scale."""
    plain = layer.base
    plain.weight.data += (layer.B @ layer.A).detach().reshape(plain.weight.shape)
    return plain


def run(seed: int, merge) -> Run:
    base, few, test = digits(seed)
    model = add_lora(base, rank=2, alpha=8.0, seed=seed)
    model.train()
    log = fit(model, few, optimizer_of(model), 12, seed, batch=25)
    model.eval()
    plain = [merge(layer) if hasattr(layer, "A") else layer for layer in copy.deepcopy(model).children()]
    handles = {"adapted": model, "merged": nn.Sequential(*plain), "test": test}
    return Run(log, hits(model, test), handles)


def merge_changed(handles: Handles) -> float:
    if any(hasattr(layer, "A") for layer in handles["merged"]):
        return float("inf")
    return same_answers(handles["adapted"], handles["merged"], handles["test"].x[:50])


PATIENT = Patient(
    level=2,
    kind="F",
    words="LoRA is merged without alpha / rank",
    shows="test accuracy, new scanner",
    healthy=merge,
    broken=broken,
    run=run,
    instrument="same_answers",
    examine=merge_changed,
    threshold=0.01,
    honest=lambda handles: hits(handles["merged"], handles["test"]),
    hurts="lie",
    asked="the accuracy of merged on test",
)
