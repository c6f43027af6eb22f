"""Make the shipped answers of unit 07: `python -m posttrain_lab.making.fashion_populations`, about a quarter of an hour on one thread.

Ten networks `fashion_cnn` are trained from ten seeds on the 7,000 shipped training images. Each is pruned (one threshold for all layers, then one
epoch to recover) to three sparsities, and its weights are rounded to three widths, with a scale for each channel. Nothing is chosen. The
answers for the test images are kept, not the networks. Then run `python -m posttrain_lab.making.checksums`.
"""

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from posttrain_lab.data import Split, load_fashion
from posttrain_lab.data.fashion_populations import DENSE, NAME
from posttrain_lab.data.files import FILES
from posttrain_lab.making.fashion_networks import fresh, shift_and_flip
from posttrain_lab.measure import predict
from posttrain_lab.pruning import PruningConfig, prune_model, train_masked
from posttrain_lab.quantization import QuantizationConfig, quantize_model
from posttrain_lab.training import TrainingConfig, train

SEEDS = range(10)
TRAINING = TrainingConfig(epochs=5, batch_size=128, learning_rate=8e-3, weight_decay=0.02)
RECOVERY = TrainingConfig(epochs=1, batch_size=128, learning_rate=2e-3, weight_decay=0.02)
SPARSITIES, BITS = (0.5, 0.8, 0.9), (8, 4, 3)


def with_seed(config: TrainingConfig, seed: int) -> TrainingConfig:
    return TrainingConfig(**{**vars(config), "seed": seed})


def dense(split: Split, seed: int) -> nn.Module:
    """One network, trained from this seed."""
    torch.manual_seed(seed)
    return train(
        fresh("fashion_cnn"), split.train.images, split.train.labels, with_seed(TRAINING, seed), shift_and_flip, progress=False
    )[0]


def smaller(model: nn.Module, split: Split, seed: int) -> dict[str, nn.Module]:
    """The six smaller versions of one network, by their names."""
    found: dict[str, nn.Module] = {}
    for sparsity in SPARSITIES:
        pruned = prune_model(model, PruningConfig(sparsity=sparsity))
        found[f"{100 * sparsity:.0f} % pruned"], _ = train_masked(
            pruned.model, pruned.masks, split.train, with_seed(RECOVERY, seed), progress=False
        )
    for bits in BITS:
        found[f"{bits} bits"] = quantize_model(model, split.calibration, QuantizationConfig(bits=bits, mode="weight_only"))
    return found


def answers(model: nn.Module, split: Split) -> np.ndarray:
    """The predicted class numbers of the test images, uint8."""
    return predict(model, split.test.images, 500).argmax(1).byte().numpy()


def main() -> None:
    torch.set_num_threads(1)
    split = load_fashion()
    labels: dict[str, list[np.ndarray]] = {}
    for seed in tqdm(SEEDS, unit="network"):
        model = dense(split, seed)
        for name, network in {DENSE: model, **smaller(model, split, seed)}.items():
            labels.setdefault(name, []).append(answers(network, split))
    stacked = np.stack([np.stack(rows) for rows in labels.values()])
    np.savez_compressed(FILES / NAME, names=np.array(list(labels)), labels=stacked)


if __name__ == "__main__":
    main()
