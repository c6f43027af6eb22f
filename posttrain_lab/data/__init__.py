"""Real data that comes with the package. `load_fashion()` gives a `Split` of train, calibration, validation and test.

`load_mnist()` and `load_digits()` are handwritten digits from two sources; `load_corrupted_fashion()` is Fashion-MNIST with corrupted
images; `load_mortality()` is a table of blood values, with the question who died within five years.
"""

from posttrain_lab.data.corrupted import corrupt, load_corrupted_fashion
from posttrain_lab.data.digits import few_labels, load_digits, load_mnist, load_small_digits
from posttrain_lab.data.fashion import load_fashion, load_full_fashion
from posttrain_lab.data.mortality import load_mortality
from posttrain_lab.data.split import Dataset, Split

__all__ = [
    "Dataset",
    "Split",
    "corrupt",
    "few_labels",
    "load_corrupted_fashion",
    "load_digits",
    "load_fashion",
    "load_full_fashion",
    "load_mnist",
    "load_mortality",
    "load_small_digits",
]
