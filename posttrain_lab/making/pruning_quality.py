"""Make the table of unit 01: how good pruned networks are on the whole test set, over three seeds.

    python -m posttrain_lab.making.pruning_quality quality FOLDER_WITH_IDX_GZ KEPT [ROW ...]   about 10 minutes; networks into KEPT
    python -m posttrain_lab.making.pruning_quality speed KEPT                                  half a minute, for one column

Every row is trained after pruning on images that the seed draws (or, for channels, orders) from the 57,000 that `fashion_cnn` itself was
trained on, all but the calibration and validation images of `load_fashion()`; `training_data` raises if one of these, or of the test
images, is among them. Every recovery runs on one thread, for at most a minute of processor time (the column `seconds`), and without a
teacher. Scores use the weights or calibration images; the settings below were chosen on validation and calibration images, the
widths of the channels by measured latency. Test images are used once, at the end of each row. `speedup_batch_64` depends on the
machine and on what else runs on it, so it is measured separately, when nothing else runs: the three seeds of "half the MACs" have the
same shapes, so they differ by timing noise only. The network that is pruned is always the shipped `fashion_cnn`.
"""

import copy
import csv
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from posttrain_lab import pruning
from posttrain_lab.data import Dataset, Split, load_fashion
from posttrain_lab.data.files import FILES
from posttrain_lab.finetuning.freeze import freeze, unfreeze
from posttrain_lab.making.fashion_networks import training_images
from posttrain_lab.making.tables import write_table
from posttrain_lab.measure import latency, predict
from posttrain_lab.metrics import accuracy, macs, wilson_interval
from posttrain_lab.models import load_pretrained
from posttrain_lab.pruning.masks import keep_largest
from posttrain_lab.training import TrainingConfig, train

TABLE = FILES / "pruning_quality.csv"
LAST = ("speedup_batch_64", "seconds")  # columns
SEEDS = (0, 1, 2)
ENDS = ("0", "15")  # the first and the last layer
FIRST_BLOCK = ("0", "1")  # its convolution and its batch norm
# channels that stay: of six choices with 48 to 50 % of the MACs the fastest at 64 images
WIDTHS = {"0": 8, "4": 40, "8": 80, "13": 64}
SCAN = tuple(i / 10 for i in range(11))
TIGHT = 0.2  # share of the dense bytes in the comparison of allocations
Row = dict[str, object]
Result = tuple[nn.Module, nn.Module]  # before and after recovery
Method = Callable[[nn.Module, Split, int], Result]


def training_data(folder: Path, split: Split) -> Dataset:
    """The 57,000 training images that are not held out; ValueError if an image of calibration, validation or test is among them."""
    images, labels = training_images(folder, held_out=True)
    found = {image.numpy().tobytes() for image in images}
    for name, part in (("calibration", split.calibration), ("validation", split.validation), ("test", split.test)):
        twice = sum(image.numpy().tobytes() in found for image in part.images)
        if twice:
            raise ValueError(f"training_data wants no image of {name} among the training images, got {twice} of them.")
    return Dataset(images, labels, split.train.classes)


def drawn(data: Dataset, count: int, seed: int) -> Dataset:
    """`count` images, a different choice for each seed."""
    index = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))[:count]
    return Dataset(data.images[index], data.labels[index], data.classes)


def recovered(pruned: pruning.Pruned, split: Split, config: TrainingConfig, images: int = 28_000) -> Result:
    """A masked network after training the weights that are left."""
    start = pruned.model.to(memory_format=torch.channels_last)
    after, _ = pruning.train_masked(start, pruned.masks, drawn(split.train, images, config.seed), config, progress=False)
    return pruned.model, after


def unstructured(model: nn.Module, split: Split, seed: int) -> Result:
    """Gradual global pruning by LAMP scores, during the first 60 % of the training.

    The first block is pruned with the others but does not learn: it has 0.2 % of the weights and a fifth of the time of a step.
    """
    at_once = pruning.prune_model(model, pruning.PruningConfig(sparsity=0.9, score="lamp")).model
    start = copy.deepcopy(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    freeze(start, [name for name, _ in start.named_parameters() if name.split(".")[0] not in FIRST_BLOCK])
    config = TrainingConfig(epochs=2, batch_size=64, learning_rate=3e-3, weight_decay=0.0, seed=seed)
    gradual = pruning.GradualConfig(sparsity=0.9, share=0.6, score="lamp")
    after, _ = pruning.prune_gradually(start, drawn(split.train, 45_000, seed), gradual, config, progress=False)
    unfreeze(after)
    return at_once, after


def two_of_four(model: nn.Module, split: Split, seed: int) -> Result:
    """2:4 in all layers but the first and the last."""
    pruned = pruning.prune_model(model, pruning.PruningConfig(pattern="nm", skip=ENDS))
    return recovered(pruned, split, TrainingConfig(epochs=1, learning_rate=2e-3, seed=seed))


def channels(model: nn.Module, split: Split, seed: int) -> Result:
    """Half of the arithmetic: of each layer the channels with the highest Taylor scores stay, as many as WIDTHS says."""
    example = split.calibration.images[:1]
    groups = pruning.find_groups(model, example)
    scores = pruning.unit_scores(model, groups, "taylor", split.calibration)
    stay = {name: keep_largest(score, len(score) - WIDTHS[name]) for name, score in scores.items()}
    small = pruning.remove_units(model, groups, stay, example)
    start = small.to(memory_format=torch.channels_last)
    config = TrainingConfig(epochs=2, batch_size=64, learning_rate=4e-3, seed=seed)
    return small, train(start, split.train.images, split.train.labels, config, progress=False)[0]


def at_equal_bytes(shares: Callable[[nn.Module, Split, float], dict[str, float]]) -> Method:
    """Prune each layer by its own share, all together to TIGHT of the dense weights' bytes."""

    def run(model: nn.Module, split: Split, seed: int) -> Result:
        config = pruning.PruningConfig(pattern="layer", sparsities=tuple(shares(model, split, TIGHT).items()))
        return recovered(pruning.prune_model(model, config), split, TrainingConfig(epochs=1, learning_rate=4e-3, seed=seed))

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
METHODS: dict[str, Method] = {
    "90 % unstructured, global": unstructured,
    "half the MACs, channels": channels,
    "2:4, all but first and last": two_of_four,
    "equal bytes, uniform": at_equal_bytes(even_shares),
    "equal bytes, by sensitivity": at_equal_bytes(sensitive_shares),
}


def right(model: nn.Module, data: Dataset) -> int:
    """How many images the model gets right."""
    return round(accuracy(predict(model, data.images, 250), data.labels) * len(data))


def speedup(dense: nn.Module, pruned: nn.Module, images: torch.Tensor, rounds: int = 25) -> float:
    """How many times faster `pruned` is on this batch, in plain torch: the 20th percentiles of alternating calls."""
    with torch.no_grad():
        pairs = [[latency(lambda n=network: n(images), 1, 0)[1] for network in (dense, pruned)] for _ in range(rounds + 3)]
    fast = [sorted(times)[len(times) // 5] for times in zip(*pairs[3:], strict=True)]  # the first three warm up
    return fast[0] / fast[1]


def row(method: str, seed: int, split: Split, kept: Path) -> Row:
    """Prune, recover, measure; the recovered network is saved in the folder `kept`."""
    dense, test = load_pretrained("fashion_cnn"), split.test
    start = time.process_time()
    before, after = METHODS[method](dense, split, seed)
    seconds = time.process_time() - start
    after = after.to(memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
    pruning.save_pruned(after, kept / file_name(method, seed))
    baseline, hits, n = right(dense, test) / len(test), right(after, test), len(test)
    low, high = wilson_interval(hits, n)
    return {
        "network": "fashion_cnn",
        "method": method,
        "seed": seed,
        "dense": baseline,
        "before_recovery": right(before, test) / n,
        "accuracy": hits / n,
        "low": round(low, 4),
        "high": round(high, 4),
        "points": round(100 * (hits / n - baseline), 2),
        "validation": right(after, split.validation) / len(split.validation),
        "weights_left": round(weights(after) / weights(dense), 4),
        "macs_left": round(macs(after, test.images[:1]) / macs(dense, test.images[:1]), 4),
        "bytes_left": round(pruning.model_stored_bytes(after) / pruning.model_stored_bytes(dense), 4),
        "seconds": round(seconds, 1),
    }


def weights(model: nn.Module) -> int:
    """How many weights of linear layers and convolutions are not 0."""
    return sum(int(mask.sum()) for mask in pruning.masks_of(model).values())


def file_name(method: str, seed: object) -> str:
    """The file name for the network of a row."""
    return f"{list(METHODS).index(method)}-{seed}.safetensors"


def quality(folder: str, kept: str, *methods: str) -> None:
    """Fill the table, all rows or those of these methods; `speedup_batch_64` is left empty there."""
    split = load_fashion()
    split = replace(split, train=training_data(Path(folder), split))
    Path(kept).mkdir(parents=True, exist_ok=True)
    table = [one for one in read() if methods and one["method"] not in methods]
    for method in methods or METHODS:
        for seed in SEEDS:
            table.append(row(method, seed, split, Path(kept)))
            print(table[-1], flush=True)
            write(table)


def speed(kept: str) -> None:
    """Fill the column `speedup_batch_64` for every network of the folder `kept`: half a minute, while the machine does nothing else."""
    dense, images, table = load_pretrained("fashion_cnn"), load_fashion().validation.images[:64], read()
    for one in table:
        path = Path(kept) / file_name(str(one["method"]), one["seed"])
        one["speedup_batch_64"] = round(speedup(dense, pruning.load_pruned(path, dense), images), 2)
        print(one["method"], one["seed"], one["speedup_batch_64"], flush=True)
    write(table)


def read() -> list[Row]:
    """The table as it is."""
    return [dict(one) for one in csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines())] if TABLE.is_file() else []


def write(table: list[Row]) -> None:
    """The table as CSV, methods in their order."""
    order = list(METHODS)
    columns = [*(key for key in table[0] if key not in LAST), *LAST]
    write_table(TABLE, columns, sorted(table, key=lambda one: (order.index(str(one["method"])), str(one["seed"]))))


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"quality": quality, "speed": speed}[sys.argv[1]](*sys.argv[2:])
