"""Project 12: right answers, written in another way. They prove the grader; students do not get them."""

import math

import torch
from torch import nn


# ---- right, written another way
def costs_by_torch(layers):
    """The same network in torch; hooks see what goes in and comes out."""
    modules, seen = [], []
    for layer in layers:
        kind, bias = layer["operator"], layer.get("out", 0)
        if kind == "conv":
            size = layer["in"], layer["out"], layer["kernel"], layer["stride"], layer["kernel"] // 2
            modules.append(nn.Conv2d(*size, groups=layer["groups"]))
        elif kind == "dense":
            modules.append(nn.Linear(layer["in"], bias))
        else:
            modules.append({"relu": nn.ReLU, "flatten": nn.Flatten}[kind]() if kind != "pool" else nn.MaxPool2d(layer["size"]))
    x = torch.zeros(1, 1, 28, 28)
    for layer, module in zip(layers, modules, strict=True):
        y = module(x)
        seen.append((layer, module, x.numel(), y.numel()))
        x = y
    held = [(layer, module.weight, after) for layer, module, _, after in seen if hasattr(module, "weight")]
    flash = sum(math.ceil(weight.numel() * layer["bits"] / 8) + 8 * len(weight) for layer, weight, _ in held)
    ram = max(before + after for layer, _, before, after in seen if layer["operator"] not in ("relu", "flatten"))
    return flash, ram, sum(after * weight[0].numel() for _, weight, after in held)


def costs_by_recursion(layers, shape=(1, 28, 28)):
    if not layers:
        return 0, 0, 0
    layer, *rest = layers
    before = math.prod(shape)
    if layer["operator"] == "conv":
        sides = [(side + 2 * (layer["kernel"] // 2) - layer["kernel"]) // layer["stride"] + 1 for side in shape[1:]]
        after = (layer["out"], *sides)
        weights = layer["in"] // layer["groups"] * layer["kernel"] * layer["kernel"] * layer["out"]
    elif layer["operator"] == "dense":
        after, weights = (layer["out"],), layer["in"] * layer["out"]
    else:
        weights = 0
        after = {"relu": shape, "flatten": (before,)}.get(layer["operator"])
        after = after or (shape[0], shape[1] // layer["size"], shape[2] // layer["size"])
    flash, ram, macs = costs_by_recursion(rest, after)
    if weights:
        flash += (weights * layer["bits"] + 7) // 8 + 8 * layer["out"]
        macs += weights * math.prod(after[1:])
    if layer["operator"] in ("conv", "pool", "dense"):
        ram = max(ram, before + math.prod(after))
    return flash, ram, macs


ALTERNATIVES = {"costs": [costs_by_torch, costs_by_recursion]}
