"""Make the pruned network that unit 02 uses by default: half of the work of `fashion_cnn`, channels removed, then trained.

    python -m posttrain_lab.making.fashion_cnn_pruned > posttrain_lab/data/files/fashion_cnn_pruned.log

Trained on the 7,000 shipped training images; nothing is chosen. The test images are used once, to report. Then run
`python -m posttrain_lab.making.checksums`.
"""

import torch

from posttrain_lab.data import load_fashion
from posttrain_lab.data.files import FILES
from posttrain_lab.making.fashion_networks import shift_and_flip
from posttrain_lab.making.training_run import REPORTED, trained
from posttrain_lab.measure import predict
from posttrain_lab.metrics import accuracy, macs
from posttrain_lab.models import load_pretrained
from posttrain_lab.pruning import WorkBudget, prune_units, save_pruned
from posttrain_lab.training import TrainingConfig

CONFIG = TrainingConfig(epochs=6, batch_size=128, learning_rate=3e-3, weight_decay=0.02, seed=0)
BUDGET = WorkBudget(share=0.5, rule="uniform", multiple=8)


def main() -> None:
    torch.set_num_threads(1)
    split, dense = load_fashion(), load_pretrained("fashion_cnn")
    example = split.calibration.images[:1]
    model = prune_units(dense, example, BUDGET, "taylor", split.calibration).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    print(f"{BUDGET}, {CONFIG}")
    print(f"MACs: {macs(model, example)} of {macs(dense, example)}", flush=True)
    model = trained(model, split.train.images, split.train.labels, CONFIG, shift_and_flip)
    save_pruned(model, FILES / "fashion_cnn_pruned.safetensors")
    for part in REPORTED:
        data = getattr(split, part)
        found = [f"{accuracy(predict(network, data.images), data.labels):.4f}" for network in (dense, model)]
        print(f"{part}: accuracy {found[0]} before, {found[1]} after")


if __name__ == "__main__":
    main()
