"""Real data that comes with the package. `load_fashion()` and `load_mortality()` give a `Split` each: train, calibration, validation, test."""

from posttrain_lab.data.fashion import load_fashion, load_full_fashion
from posttrain_lab.data.mortality import load_mortality
from posttrain_lab.data.split import Dataset, Split

__all__ = ["Dataset", "Split", "load_fashion", "load_full_fashion", "load_mortality"]
