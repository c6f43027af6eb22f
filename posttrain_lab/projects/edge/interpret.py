"""The grader's interpreter: an artefact as a list of integer operations, run in integers alone.

The same list goes to `deploy`, so that the page and the C code of an artefact give the numbers that were scored.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from posttrain_lab.deployment.from_chain import Listing, unchanged
from posttrain_lab.deployment.layouts import after_flatten, channels_last
from posttrain_lab.deployment.operations import input_codes, run
from posttrain_lab.deployment.program import Affine, IntegerProgram, Value, Window
from posttrain_lab.quantization import fixed_point

from .artefact import Artefact, Refused
from .costs import INPUT, check_budget, costs, shapes

LARGEST_SUM = 2**30  # sums of products and a bias must stay below it, so that int32 holds them everywhere
TINY, HUGE = 2.0**-32, 2.0**29  # multipliers: below, every sum becomes 0; above, fixed-point numbers end
PART = 250  # photographs at a time


def program_of(artefact: Artefact) -> IntegerProgram:
    """The integer operations of an artefact within the budget. Raises Refused for one over it, or with numbers that do not fit.

    A layer rescales its sums by input scale * weight scale / output scale, as a fixed-point number of 31 bits (Jacob et al. 2018). A
    relu raises the lowest code of the layer before it to the zero point.
    """
    graph = artefact.graph
    check_budget(costs(artefact.layers))
    sizes = shapes(artefact.layers)
    listing, now, x = Listing([Value("input", (*INPUT[1:], INPUT[0]))]), 0, Affine(graph["scale"], graph["zero_point"])
    last: tuple[float, ...] = ()
    for number, layer in enumerate(artefact.layers):
        kind = layer["operator"]
        if kind in ("conv", "dense"):
            now, last = _product(listing, now, artefact, number, x, sizes[number + 1]), _units(artefact, number, x)
            x = Affine(layer["scale"], layer["zero_point"]) if "scale" in layer else x
        elif kind == "pool":
            height, width = sizes[number + 1][1:]
            window = Window((layer["size"],) * 2, (layer["size"],) * 2)
            now = listing.add("max", Value(f"pool {number}", (height, width, sizes[number][0])), (now,), window=window)
        elif kind == "relu":
            now = _relu(listing, now, number, x.zero_point)
        else:
            listing.flat.add(now)
    entry = Affine(graph["scale"], graph["zero_point"])
    return IntegerProgram(tuple(listing.values), tuple(listing.operations), INPUT, entry, last)


def _relu(listing: Listing, now: int, number: int, zero_point: int) -> int:
    last = listing.operations[-1] if listing.operations else None
    if last is not None and last.kind == "conv" and last.output == now:
        listing.operations[-1] = replace(last, low=max(last.low, zero_point))
        return now
    value = listing.values[now]
    return listing.add("rescale", replace(value, name=f"relu {number}"), (now,), low=zero_point, **unchanged())


def _units(artefact: Artefact, number: int, x: Affine) -> tuple[float, ...]:
    """The real value of one unit of a layer's sums, for each output channel."""
    return tuple(float(one) * x.scale for one in artefact.tensors[f"{number}.scale"].tolist())


def _product(listing: Listing, now: int, artefact: Artefact, number: int, x: Affine, after: tuple[int, ...]) -> int:
    """A conv or dense: codes in channels-last order, the zero point's part in the bias, one fixed-point number a channel."""
    layer, codes = artefact.layers[number], artefact.tensors[f"{number}.codes"]
    total = codes.flatten(1).long()
    bias = artefact.tensors[f"{number}.bias"].long() - x.zero_point * total.sum(1)
    reach = int((128 * total.abs().sum(1) + bias.abs()).max())
    if reach >= LARGEST_SUM:
        raise Refused(f"layer {number}: sums can reach {reach:,}, int32 has room for 2^30; make the bias smaller.")
    more: dict[str, Any] = {"bias": bias.numpy(), "x_zero": x.zero_point}
    if "scale" in layer:
        more |= {"zero_point": layer["zero_point"], **_rescaling(number, _units(artefact, number, x), layer["scale"])}
    else:
        more |= {"low": -(2**31), "high": 2**31 - 1}
    if layer["operator"] == "conv":
        half = layer["kernel"] // 2
        more["window"] = Window((layer["kernel"],) * 2, (layer["stride"],) * 2, (half,) * 4)
        more |= {"weight": channels_last(codes).numpy(), "groups": layer["groups"]}
        return listing.add("conv", Value(f"conv {number}", (after[1], after[2], after[0])), (now,), **more)
    height, width, channels = listing.values[now].shape
    more |= {"weight": after_flatten(codes, channels, height, width).numpy(), "window": Window((height, width))}
    return listing.add("conv", Value(f"dense {number}", (1, 1, after[0]), 8 if "scale" in layer else 32), (now,), **more)


def _rescaling(number: int, scales: tuple[float, ...], output: float) -> dict[str, np.ndarray]:
    ratios = [one / output for one in scales]
    if max(ratios) >= HUGE:
        raise Refused(
            f"layer {number}: its output's scale {output:g} is too small for its sums; take that of its largest outputs."
        )
    fixed = [fixed_point(one) if one >= TINY else (0, 62) for one in ratios]
    return {"multiplier": np.array([m for m, _ in fixed]), "shift": np.array([s for _, s in fixed])}


def logits(program: IntegerProgram, photographs: Float[Tensor, "n 1 28 28"]) -> Float[Tensor, "n 10"]:
    """What the artefact says of photographs in [0, 1]: each one's answer depends on nothing but itself. float64."""
    scale = torch.tensor(program.output_scale, dtype=torch.float64)
    parts = [run(program, input_codes(program, part).numpy())[-1] for part in photographs.split(PART)]
    return torch.from_numpy(np.concatenate(parts).reshape(len(photographs), -1)).double() * scale
