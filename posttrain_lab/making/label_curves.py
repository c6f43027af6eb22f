"""Measure the shipped table of unit 03: `python -m posttrain_lab.making.label_curves`.

Five methods, 20 to 400 labels, five draws of labels and weights each, with the defaults of `AdaptConfig`. The test images are used to
report only.
"""

import torch
from tqdm import tqdm

from posttrain_lab.data import few_labels, load_digits, load_mnist
from posttrain_lab.data.files import FILES
from posttrain_lab.data.label_curves import NAME, LabelRun
from posttrain_lab.finetuning import METHODS, AdaptConfig, adapt
from posttrain_lab.finetuning.methods import Method
from posttrain_lab.making.tables import write_table
from posttrain_lab.measure import predict
from posttrain_lab.metrics import accuracy
from posttrain_lab.models import load_pretrained

COUNTS, SEEDS = (20, 50, 100, 400), range(5)


def runs() -> list[LabelRun]:
    """Every method, number of labels and seed; a seed draws the labels and the new weights."""
    torch.set_num_threads(1)
    old, new, base = load_mnist(), load_digits(), load_pretrained("mnist_cnn")
    found = []
    plan: list[tuple[int, int, Method]] = [(seed, count, method) for seed in SEEDS for count in COUNTS for method in METHODS]
    for seed, count, method in tqdm(plan, unit="run"):
        network = adapt(base, few_labels(new.train, count, seed), method, AdaptConfig(seed=seed))
        scores = [accuracy(predict(network, split.test.images), split.test.labels) for split in (new, old)]
        found.append(LabelRun(method, count, seed, *(round(score, 4) for score in scores)))
    return found


def main() -> None:
    write_table(FILES / NAME, list(LabelRun.__dataclass_fields__), map(vars, runs()))


if __name__ == "__main__":
    main()
