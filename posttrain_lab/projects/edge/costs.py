"""What does a graph cost on the customer's chip, and does it fit? Counted from the graph alone, exactly; no clock, no weights."""

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from .artefact import Refused

INPUT = (1, 28, 28)  # channels, height, width of a photograph
CLASSES = 10


class Costs(NamedTuple):
    """(flash, ram, macs): bytes of flash and of RAM, and multiply-accumulates for one photograph."""

    flash: int
    ram: int
    macs: int


BUDGET = Costs(flash=12_000, ram=8_000, macs=1_500_000)
UNITS = {"flash": "bytes", "ram": "bytes", "macs": "multiply-accumulates"}


def shapes(layers: Sequence[dict[str, Any]]) -> list[tuple[int, ...]]:
    """The shape before the first layer and after each: (channels, height, width), or (features,) behind flatten.

    Raises Refused, naming the layer, where a layer does not fit what comes before it, or the end is not ten numbers.

    >>> shapes([{"operator": "pool", "size": 2}, {"operator": "flatten"}, {"operator": "dense", "in": 196, "out": 10, "bits": 8}])
    [(1, 28, 28), (1, 14, 14), (196,), (10,)]
    """
    found: list[tuple[int, ...]] = [INPUT]
    for number, layer in enumerate(layers):
        found.append(_after(found[-1], number, layer))
    if found[-1] != (CLASSES,) or layers[-1]["operator"] != "dense":
        raise Refused(
            f"the graph ends with {layers[-1]['operator']} and {list(found[-1])}; it must end with a dense of {CLASSES}."
        )
    return found


def _after(shape: tuple[int, ...], number: int, layer: dict[str, Any]) -> tuple[int, ...]:
    kind, is_image = layer["operator"], len(shape) == 3
    if kind in ("conv", "pool", "flatten") and not is_image:
        raise Refused(f"layer {number}: {kind} comes after flatten; it wants an image.")
    if kind == "dense" and is_image:
        raise Refused(f"layer {number}: dense has an image {list(shape)} before it; put flatten there.")
    if kind in ("conv", "dense") and layer["in"] != shape[0]:
        raise Refused(f"layer {number}: in is {layer['in']}, but {shape[0]} come from the layer before.")
    if kind == "pool" and layer["size"] > min(shape[1:]):
        raise Refused(f"layer {number}: a pool of {layer['size']} does not fit an image of {shape[1]} x {shape[2]}.")
    if kind == "conv":
        side = [(size - 1) // layer["stride"] + 1 for size in shape[1:]]  # padding of (kernel - 1) / 2 on both sides
        return (layer["out"], *side)
    if kind == "pool":
        return (shape[0], *(size // layer["size"] for size in shape[1:]))
    return (prod(shape),) if kind == "flatten" else (layer["out"],) if kind == "dense" else shape


def costs(layers: Sequence[dict[str, Any]]) -> Costs:
    """Flash, RAM and multiply-accumulates of the layers of a graph.

    flash: codes at their bits, rounded up to bytes in each layer, and 8 bytes an output channel for its scale and bias. RAM: the largest sum of a
    layer's input and output, a byte a number; relu and flatten work in place. Raises Refused as `shapes`.

    >>> costs([{"operator": "flatten"}, {"operator": "dense", "in": 784, "out": 10, "bits": 4}])
    Costs(flash=4000, ram=794, macs=7840)
    """
    flash = ram = macs = 0
    after = shapes(layers)
    for layer, one, two in zip(layers, after, after[1:], strict=False):
        before, behind = prod(one), prod(two)
        if layer["operator"] in ("conv", "dense"):
            fan_in = layer["in"] * layer.get("kernel", 1) ** 2 // layer.get("groups", 1)
            flash += -(-layer["out"] * fan_in * layer["bits"] // 8) + 8 * layer["out"]
            macs += behind * fan_in
        if layer["operator"] in ("conv", "dense", "pool"):
            ram = max(ram, before + behind)
    return Costs(flash, ram, macs)


def check_budget(found: Costs) -> None:
    """Raise Refused, with every limit that is exceeded, for costs over the customer's budget; equal counts as inside."""
    over = [
        f"{name} {value:,} of {getattr(BUDGET, name):,} {UNITS[name]}"
        for name, value in found._asdict().items()
        if value > getattr(BUDGET, name)
    ]
    if over:
        raise Refused(f"over the budget: {'; '.join(over)}; make the network smaller, or its codes.")
