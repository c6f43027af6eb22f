"""Make the table of unit 01: how good pruned networks are on the whole test set, over three seeds.

    python -m posttrain_lab.data.making.pruning_quality            needs nothing but the package; some minutes a seed

Every recovery trains on the 7,000 shipped training images, on one thread, for at most a minute of processor time (the column `seconds`
says how long). Scores look at calibration images; the settings below were chosen on validation images. Test images are counted once,
at the end of each row. `speedup_batch_64` depends on the machine and on what else runs on it: the three seeds of "half the MACs" have
the same shapes, so their spread is that of the clock. The seed orders the training images; the network that is pruned is always the
shipped `fashion_cnn`.
"""

import copy
import csv
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import nn

from posttrain_lab import pruning
from posttrain_lab.data import Dataset, Split, load_fashion
from posttrain_lab.data.files import FILES
from posttrain_lab.data.making.fashion_cnn import shift_and_flip
from posttrain_lab.measure import latency, predict
from posttrain_lab.metrics import accuracy, macs, wilson_interval
from posttrain_lab.models import load_pretrained
from posttrain_lab.training import TrainingConfig, train

SEEDS = (0, 1, 2)
ENDS = ("0", "15")  # the first and the last layer
SCAN = tuple(i / 10 for i in range(11))
TIGHT = 0.2  # share of the dense bytes in the comparison of allocations
Row = dict[str, object]
Result = tuple[nn.Module, nn.Module]  # before and after recovery


def recovered(pruned: pruning.Pruned, split: Split, config: TrainingConfig) -> Result:
    """A masked network after training what is left."""
    start = pruned.model.to(memory_format=torch.channels_last)
    after, _ = pruning.train_masked(start, pruned.masks, split.train, config, shift_and_flip, progress=False)
    return pruned.model, after


def unstructured(sparsity: float) -> Callable[[nn.Module, Split, int], Result]:
    """The smallest weights go, wherever they are, little by little during the first half of the training."""

    def run(model: nn.Module, split: Split, seed: int) -> Result:
        at_once = pruning.prune_model(model, pruning.PruningConfig(sparsity=sparsity)).model
        config = TrainingConfig(epochs=10, learning_rate=8e-3, seed=seed)
        start = copy.deepcopy(model).to(memory_format=torch.channels_last)
        after, _ = pruning.prune_gradually(start, split.train, pruning.GradualConfig(sparsity), config, shift_and_flip)
        return at_once, after

    return run


def two_of_four(model: nn.Module, split: Split, seed: int) -> Result:
    """2:4 in all layers but the first and the last."""
    pruned = pruning.prune_model(model, pruning.PruningConfig(pattern="nm", skip=ENDS))
    return recovered(pruned, split, TrainingConfig(epochs=4, learning_rate=2e-3, seed=seed))


def channels(model: nn.Module, split: Split, seed: int) -> Result:
    """Half of the arithmetic: the same share of channels of each layer, the lowest Taylor scores, in multiples of 8."""
    budget = pruning.WorkBudget(share=0.5, rule="uniform", multiple=8)
    small = pruning.prune_units(model, split.calibration.images[:1], budget, "taylor", split.calibration)
    start = small.to(memory_format=torch.channels_last)
    config = TrainingConfig(epochs=8, learning_rate=3e-3, seed=seed)
    return small, train(start, split.train.images, split.train.labels, config, shift_and_flip, progress=False)[0]


def at_equal_bytes(shares: Callable[[nn.Module, Split, float], dict[str, float]]) -> Callable[[nn.Module, Split, int], Result]:
    """Prune each layer by its own share, all together to TIGHT of the dense weights' bytes."""

    def run(model: nn.Module, split: Split, seed: int) -> Result:
        config = pruning.PruningConfig(pattern="layer", sparsities=tuple(shares(model, split, TIGHT).items()))
        return recovered(pruning.prune_model(model, config), split, TrainingConfig(epochs=4, learning_rate=4e-3, seed=seed))

    return run


def even_shares(model: nn.Module, split: Split, kept: float) -> dict[str, float]:
    """The same sparsity for every layer."""
    return dict.fromkeys(pruning.masks_of(model), 1 - kept)


def sensitive_shares(model: nn.Module, split: Split, kept: float) -> dict[str, float]:
    """Sparsities from the sensitivity scan on validation images."""
    if kept not in _SHARES:
        sizes = {name: mask.numel() for name, mask in pruning.masks_of(model).items()}
        curves = pruning.sensitivity_scan(model, split, SCAN, progress=False)
        _SHARES[kept] = pruning.allocate_sparsity(curves, sizes, kept * sum(sizes.values()))
        print("sensitivity allocation:", {name: round(share, 4) for name, share in _SHARES[kept].items()}, flush=True)
    return _SHARES[kept]


_SHARES: dict[float, dict[str, float]] = {}
METHODS: dict[str, Callable[[nn.Module, Split, int], Result]] = {
    "90 % unstructured, global": unstructured(0.9),
    "half the MACs, channels": channels,
    "2:4, all but first and last": two_of_four,
    "equal bytes, uniform": at_equal_bytes(even_shares),
    "equal bytes, by sensitivity": at_equal_bytes(sensitive_shares),
}


def right(model: nn.Module, data: Dataset) -> int:
    """How many images the model gets right."""
    return round(accuracy(predict(model, data.images, 250), data.labels) * len(data))


def speedup(dense: nn.Module, pruned: nn.Module, images: torch.Tensor, rounds: int = 25) -> float:
    """How many times faster `pruned` is on this batch, in plain torch: the 20th percentiles of calls taken in turns."""
    with torch.no_grad():
        pairs = [(latency(lambda: dense(images), 1, 0)[1], latency(lambda: pruned(images), 1, 0)[1]) for _ in range(rounds + 3)][
            3:
        ]
    fast = [sorted(times)[len(times) // 5] for times in zip(*pairs, strict=True)]
    return fast[0] / fast[1]


def rows(methods: list[str], split: Split) -> Iterator[Row]:
    """One row for each method and seed."""
    dense = load_pretrained("fashion_cnn")
    baseline = right(dense, split.test) / len(split.test)
    weights = sum(mask.numel() for mask in pruning.masks_of(dense).values())
    for method in methods:
        for seed in SEEDS:
            start = time.process_time()
            before, after = METHODS[method](dense, split, seed)
            seconds = time.process_time() - start
            after = after.to(memory_format=torch.contiguous_format).eval()
            hits, n = right(after, split.test), len(split.test)
            low, high = wilson_interval(hits, n)
            yield {
                "network": "fashion_cnn",
                "method": method,
                "seed": seed,
                "dense": baseline,
                "before_recovery": right(before, split.test) / n,
                "accuracy": hits / n,
                "low": round(low, 4),
                "high": round(high, 4),
                "points": round(100 * (hits / n - baseline), 2),
                "validation": right(after, split.validation) / len(split.validation),
                "weights_left": round(sum(int(mask.sum()) for mask in pruning.masks_of(after).values()) / weights, 4),
                "macs_left": round(macs(after, split.test.images[:1]) / macs(dense, split.test.images[:1]), 4),
                "bytes_left": round(pruning.model_stored_bytes(after) / pruning.model_stored_bytes(dense), 4),
                "speedup_batch_64": round(speedup(dense, after, split.test.images[:64]), 2),
                "seconds": round(seconds, 1),
            }


def main(*methods: str) -> None:
    torch.set_num_threads(1)
    target = FILES / "pruning_quality.csv"
    old = list(csv.DictReader(target.read_text(encoding="utf-8").splitlines())) if methods and target.is_file() else []
    table: list[Row] = [dict(row) for row in old if row["method"] not in methods]
    for row in rows(list(methods) or list(METHODS), load_fashion()):
        table.append(row)
        print(row, flush=True)
        write(target, table)


def write(target: Path, table: list[Row]) -> None:
    """The table as CSV, methods in their order."""
    order = list(METHODS)
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(table, key=lambda row: (order.index(str(row["method"])), str(row["seed"]))))


if __name__ == "__main__":
    main(*sys.argv[1:])
