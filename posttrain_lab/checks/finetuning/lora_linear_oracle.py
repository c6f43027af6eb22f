"""The right answer to `LoRALinear`, with all steps that the known mistakes change."""

import copy
from typing import Any

import torch
from torch import Tensor, nn


class LoRA(nn.Module):
    """The right answer; `mistake` changes one part."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float, mistake: str = "") -> None:
        super().__init__()
        self.linear = linear.requires_grad_(mistake == "base trained")
        self.mistake, self.merged = mistake, False
        scales = {"times rank": alpha * rank, "missing": 1.0, "no alpha": 1 / rank, "no rank": alpha, "root": alpha / rank**0.5}
        self.scale = scales.get(mistake, alpha / rank)
        a = torch.randn(rank, linear.in_features)
        a = {"both zero": torch.zeros_like(a), "alike": a[:1].expand_as(a)}.get(mistake, a)
        b = (torch.randn if mistake == "both random" else torch.zeros)(linear.out_features, rank)
        self.A = nn.Parameter(a.clone(), requires_grad=mistake != "a fixed")
        self.B = nn.Parameter(b)

    def correction(self) -> Tensor:
        return self.B @ self.A

    def forward(self, x: Tensor) -> Tensor:
        low = self.scale * (x @ self.A.T @ self.B.T)
        if self.mistake == "base left out":
            return low
        if self.mistake == "bias twice" and self.linear.bias is not None:
            low = low + self.linear.bias
        return self.linear(x) + low

    def merge(self) -> Any:
        if self.merged and self.mistake != "merge twice":
            raise RuntimeError("merged already")
        self.merged = True
        merged = self.linear if self.mistake == "merge in place" else copy.deepcopy(self.linear)
        delta = (1.0 if self.mistake == "merge unscaled" else self.scale) * self.correction().detach()
        if self.mistake == "delta only":
            merged.weight.data = delta
        elif self.mistake == "subtracted":
            merged.weight.data -= delta
        elif self.mistake != "merge forgets":
            merged.weight.data += delta
        if self.mistake == "merge without bias":
            merged.bias = None  # type: ignore[assignment]
        return merged.weight.data if self.mistake == "weight returned" else merged
