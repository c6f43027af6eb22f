"""Measure the table of `posttrain_lab.data.fine_tuning_quality`: `python -m posttrain_lab.making.fine_tuning_quality [EXPERIMENT ...]`.

Every experiment is run with seeds 0, 1 and 2, which draw the labels, the new weights and the order. Without names all are run; named ones
replace their own rows. Test images report and choose nothing: learning rates, ranks and strengths were fixed before, on validation images
or for this table by hand. The logistic regression is scikit-learn's (extra `test`).
"""

import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from tqdm import tqdm

from posttrain_lab.data import Dataset, few_labels, load_digits, load_fashion, load_mnist
from posttrain_lab.data.files import FILES
from posttrain_lab.data.fine_tuning_quality import NAME, QualityRun
from posttrain_lab.finetuning import (
    AdaptConfig,
    DistillationConfig,
    adapt,
    add_qlora,
    anchor_of,
    core_set,
    distill,
    ewc_penalty,
    fisher_information,
    l2_sp_penalty,
    outputs_of,
    penalized,
    recover,
    recover_quantized,
    reinitialized,
    round_to_grid,
    select_by_disagreement,
    select_for_labelling,
    validation_accuracy,
    with_replay,
)
from posttrain_lab.making.tables import write_table
from posttrain_lab.measure import predict
from posttrain_lab.metrics import model_bytes
from posttrain_lab.models import digits_cnn, load_pretrained
from posttrain_lab.training import Hooks, TrainingConfig, train

SEEDS = (0, 1, 2)
LABELS = (20, 50, 100, 400)
SHOWN = 2000  # of the 10,000 Fashion test images: the first ones
Rows = Iterator[QualityRun]


def baseline(seed: int) -> Rows:
    """The accuracy of a logistic regression on the pixels, and of the network before adaptation."""
    from sklearn.linear_model import LogisticRegression

    split, base = load_digits(), load_pretrained("mnist_cnn")
    for count in LABELS:
        few = few_labels(split.train, count, seed)
        fitted = LogisticRegression(max_iter=2000).fit(few.images.flatten(1).numpy(), few.labels.numpy())
        score = fitted.score(split.test.images.flatten(1).numpy(), split.test.labels.numpy())
        yield QualityRun("baseline", "logistic regression", str(count), seed, "new", float(score))
    yield QualityRun("baseline", "no training", "0", seed, "new", validation_accuracy(base, split.test))
    yield QualityRun("baseline", "no training", "0", seed, "old", validation_accuracy(base, load_mnist().test))


def frontier(seed: int) -> Rows:
    """New task against old task at 100 labels: all weights with each remedy at several strengths."""
    new, old, base = load_digits(), load_mnist(), load_pretrained("mnist_cnn")
    few, anchor = few_labels(new.train, 100, seed), anchor_of(base)
    fisher = fisher_information(base, old.train.images[:500], seed)
    config = AdaptConfig(seed=seed)
    runs: dict[tuple[str, str], Callable[[], nn.Module]] = {
        ("plain", "0"): lambda: adapt(base, few, "all", config),
        ("LoRA", "0"): lambda: adapt(base, few, "lora", config),
    }
    for strength in (1e3, 1e4):
        hooks = Hooks(loss=penalized(lambda net, s=strength: ewc_penalty(net, anchor, fisher, s)))
        runs["EWC", f"{strength:g}"] = lambda hooks=hooks: adapt(base, few, "all", config, hooks)
    for strength in (1.0,):
        hooks = Hooks(loss=penalized(lambda net, s=strength: l2_sp_penalty(net, anchor, s)))
        runs["L2-SP", f"{strength:g}"] = lambda hooks=hooks: adapt(base, few, "all", config, hooks)
    for count in (100,):
        mixed = with_replay(few, old.train, count, seed)
        runs["replay", str(count)] = lambda mixed=mixed: adapt(base, mixed, "all", config)
    for (method, setting), run in runs.items():
        network = run()
        for metric, split in (("new", new), ("old", old)):
            yield QualityRun("frontier", method, setting, seed, metric, validation_accuracy(network, split.test))


def _chosen(method: str, pool: Dataset, labelled: list[int], networks: list[nn.Module], seed: int) -> list[int]:
    """The 20 examples of the pool that are labelled next."""
    left = torch.tensor([i for i in range(len(pool)) if i not in set(labelled)])
    images = pool.images[left]
    if method == "core-set":
        with torch.no_grad():
            features, known = (outputs_of(networks[0], "14", x)[1] for x in (images, pool.images[labelled]))
        return left[core_set(features, 20, known)].tolist()
    if method == "disagreement":
        return left[select_by_disagreement(torch.stack([predict(net, images) for net in networks]), 20)].tolist()
    return left[select_for_labelling(predict(networks[0], images), 20, method, seed + len(labelled))].tolist()  # type: ignore[arg-type]


def active(seed: int) -> Rows:
    """From 20 random labels to 60, twenty at a time: which choice needs fewest? A committee is three networks of different seeds."""
    split, base = load_digits(), load_pretrained("mnist_cnn")
    pool = split.train
    first = torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))[:20].tolist()
    for method in ("random", "entropy", "margin", "core-set", "disagreement"):
        labelled = list(first)
        while True:
            few = Dataset(pool.images[labelled], pool.labels[labelled], pool.classes)
            config = AdaptConfig(steps=120, seed=seed, missing_classes=True)
            members = 3 if method == "disagreement" else 1
            networks = [adapt(base, few, "all", replace(config, seed=seed + 100 * member)) for member in range(members)]
            score = validation_accuracy(networks[0], split.test)
            yield QualityRun("active", method, str(len(labelled)), seed, "new", score)
            if len(labelled) == 60:
                break
            labelled += _chosen(method, pool, labelled, networks, seed)


def distillation(seed: int) -> Rows:
    """A network of a quarter of the size: alone, with its teacher on the same images, on unlabelled ones too, with features."""
    split, base = load_digits(), load_pretrained("mnist_cnn")
    few = few_labels(split.train, 100, seed)
    teacher = adapt(base, few, "all", AdaptConfig(seed=seed))
    student = reinitialized(digits_cnn(width=8), seed)
    short = TrainingConfig(epochs=75, batch_size=25, learning_rate=5e-3, seed=seed)
    long = replace(short, epochs=8)  # 900 images: about as many steps as 75 epochs of 100
    logits = DistillationConfig(training=short)
    pool = DistillationConfig(weight=1.0, training=long)  # weight 1: the labels of the pool are not used
    runs = {
        "teacher": lambda: teacher,
        "alone": lambda: train(student, few.images, few.labels, short, progress=False)[0],
        "logits": lambda: distill(student, teacher, few.images, few.labels, logits),
        "logits and features": lambda: distill(student, teacher, few.images, few.labels, replace(logits, layers=("11", "11"))),
        "logits, 800 unlabelled images": lambda: distill(student, teacher, split.train.images, torch.zeros(900).long(), pool),
    }
    for method, run in runs.items():
        score = validation_accuracy(run(), split.test)
        yield QualityRun("distillation", method, "digits, 100 labels", seed, "new", score)


def fashion_distillation(seed: int) -> Rows:
    """The same for clothes: the teacher was trained on 57,000 images, the student on 7,000."""
    split, teacher = load_fashion(), load_pretrained("fashion_cnn")
    student = reinitialized(digits_cnn(width=8), seed)
    config = TrainingConfig(epochs=4, batch_size=128, learning_rate=8e-3, seed=seed)
    images, labels = split.train.images, split.train.labels
    runs = {
        "alone": lambda: train(student, images, labels, config, progress=False)[0],
        "logits": lambda: distill(student, teacher, images, labels, DistillationConfig(training=config)),
    }
    for method, run in runs.items():
        score = validation_accuracy(run(), split.test)
        yield QualityRun("distillation", method, "clothes, 7000 labels", seed, "new", score)


def _largest(model: nn.Module, keep: float) -> dict[str, Tensor]:
    """Global magnitude masks: the largest weights of all Linear and Conv2d layers together."""
    weights = {f"{n}.weight": m.weight.detach().abs() for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    flat = torch.cat([w.flatten() for w in weights.values()])
    threshold = flat.sort(descending=True).values[round(keep * len(flat)) - 1]
    return {name: w >= threshold for name, w in weights.items()}


def recovery(seed: int) -> Rows:
    """The Fashion network pruned to a tenth, and rounded to 3 bits: before, and after one epoch on 7,000 images."""
    split, model = load_fashion(), load_pretrained("fashion_cnn")
    test = split.test.first(SHOWN)
    config = TrainingConfig(batch_size=128, learning_rate=2e-3, weight_decay=0.0, seed=seed)
    masks = _largest(model, keep=0.1)
    rounded, grids = round_to_grid(model, bits=3)
    runs = {
        ("dense", "before"): lambda: model,
        ("pruned 90 %", "before"): lambda: recover(model, masks, split, 0, config, keep_best=True),
        ("pruned 90 %", "after"): lambda: recover(model, masks, split, 1, config, keep_best=True),
        ("3 bits", "before"): lambda: rounded,
        ("3 bits", "after"): lambda: recover_quantized(rounded, grids, split, 1, config),
    }
    for (method, setting), run in runs.items():
        network = run()
        kept = {"pruned 90 %": lambda net: all(not net.get_parameter(n)[~m].any() for n, m in masks.items())}
        kept["3 bits"] = lambda net: all(grid.holds(net.get_parameter(n)) for n, grid in grids.items())
        if method in kept and not kept[method](network):
            raise AssertionError(f"{method} {setting}: masks or grids were not kept")
        yield QualityRun("recovery", method, setting, seed, "clothes", validation_accuracy(network, test))


def int4(seed: int) -> Rows:
    """LoRA over float and over 4-bit linear layers, 100 labels; bytes of the whole network with its adapters."""
    split, base = load_digits(), load_pretrained("mnist_cnn")
    few = few_labels(split.train, 100, seed)
    config = TrainingConfig(epochs=50, batch_size=25, learning_rate=5e-3, weight_decay=0.01, seed=seed)
    quantized = train(add_qlora(base, 2, 4, seed=seed), few.images, few.labels, config, progress=False)[0]
    for method, network in (("base in float", base), ("QLoRA", quantized)):
        yield QualityRun("int4", method, "100", seed, "new", validation_accuracy(network, split.test))
        yield QualityRun("int4", method, "100", seed, "bytes", model_bytes(network))


EXPERIMENTS = (baseline, frontier, active, distillation, fashion_distillation, recovery, int4)


def write(rows: list[QualityRun]) -> None:
    """The whole table, in the order of the experiments."""
    numbers = ({**vars(row), "value": round(row.value, 4)} for row in rows)
    write_table(FILES / NAME, list(QualityRun.__dataclass_fields__), numbers)


def read() -> list[QualityRun]:
    """The rows so far; the checksum is not verified while the table grows."""
    if not (FILES / NAME).exists():
        return []
    with (FILES / NAME).open(encoding="utf-8") as file:
        return [QualityRun(**{**r, "seed": int(r["seed"]), "value": float(r["value"])}) for r in csv.DictReader(file)]


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    chosen = [run for run in EXPERIMENTS if not names or run.__name__ in names]
    for run in chosen:
        found = [row for seed in tqdm(SEEDS, desc=run.__name__) for row in run(seed)]
        new = {(row.experiment, row.setting) for row in found}
        write([row for row in read() if (row.experiment, row.setting) not in new] + found)


if __name__ == "__main__":
    main(sys.argv[1:])
