"""Train the shipped MNIST network and print the log kept beside its checkpoint: `python -m posttrain_lab.making.mnist_cnn`.

It sees the 3,600 training images of `load_mnist()` and no others.
"""

from posttrain_lab.data.digits import load_mnist
from posttrain_lab.making.training_run import TrainingRun, shift, ship
from posttrain_lab.models import digits_cnn
from posttrain_lab.training import TrainingConfig

CONFIG = TrainingConfig(epochs=12, batch_size=64, learning_rate=5e-3, weight_decay=0.02, seed=0)


def main() -> None:
    split = load_mnist()
    ship("mnist_cnn", TrainingRun(digits_cnn, CONFIG, shift), split.train.images, split.train.labels, split)


if __name__ == "__main__":
    main()
