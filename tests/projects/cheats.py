"""Two entries that try to get round the project's rules by training, kept in cheats/: python -m tests.projects.cheats writes them again."""

from pathlib import Path
from runpy import run_path

import torch

from posttrain_lab.data import load_fashion
from posttrain_lab.projects.edge import DRAWS, PROJECT, camera, photographs, save_artefact
from posttrain_lab.projects.instances import PUBLIC, instance_seed
from posttrain_lab.quantization import QuantizationConfig, quantize_model
from posttrain_lab.training import TrainingConfig, train
from tests.projects.graphs import SOLUTIONS

FOLDER = Path(__file__).parent / "cheats"


def learns_the_public_board(recipes):
    """Trained on the photographs of the public instances themselves, not on others."""
    parts = [photographs(load_fashion().validation, instance_seed(PUBLIC, PROJECT, k)) for k in range(DRAWS)]
    images, labels = torch.cat([one.images for one in parts]), torch.cat([one.labels for one in parts])
    model, _ = train(recipes["chain"]((1, 8, 16, 32), (2, 2, 2), 512), images, labels, TrainingConfig(epochs=12))
    network = quantize_model(model, images[:300], QuantizationConfig(mode="integer"))
    save_artefact(network, FOLDER / "learns_the_public_board")


def trains_on_the_test_part(recipes):
    """The good recipe on the shipped test part, of which a board without --clothes takes its photographs."""
    split = load_fashion()
    test = split.test
    model, _ = train(
        recipes["chain"]((1, 8, 16, 32), (2, 2, 2), 512),
        test.images,
        test.labels,
        TrainingConfig(epochs=12),
        recipes["photographed"],
    )
    seen = camera(split.calibration.images[:300], 7)
    network = quantize_model(model, seen, QuantizationConfig(mode="integer"))
    with torch.no_grad():
        temperature = recipes["fit_temperature"](network(camera(split.calibration.images, 7)), split.calibration.labels)
    save_artefact(network, FOLDER / "trains_on_the_test_part", temperature)


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = run_path(str(SOLUTIONS.parent / "recipes.py"))
    learns_the_public_board(found)
    trains_on_the_test_part(found)
