"""Real data that comes with the package. `load_fashion()` gives a `Split` of train, calibration, validation and test."""

from posttrain_lab.data.fashion import load_fashion, load_full_fashion
from posttrain_lab.data.split import Dataset, Split

__all__ = ["Dataset", "Split", "load_fashion", "load_full_fashion"]
