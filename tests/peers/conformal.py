"""TorchCP and MAPIE for the tests: a classifier that gives back what it is told, and TorchCP without the parts that need a compiler.

TorchCP 1.2.1 is in none of our extras: it demands torchsort, which is compiled when it is installed, and torch_geometric, and it
puts a folder `tests` into site-packages. Its scores and predictors need neither. `.ci/run --all` installs it with `--no-deps`;
where it is missing, the tests with it are skipped (tests/skips.py knows the reason).
"""

import importlib
import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from tests.calibration.test_conformal import Told


def mapie_classifier(score, probabilities, labels, level):
    """predict(new probabilities, include_last_label) -> the sets [n, c] of MAPIE, calibrated on the given part."""
    from mapie.classification import SplitConformalClassifier

    told = Told().fit(probabilities.numpy(), labels.numpy())
    mapie = SplitConformalClassifier(told, confidence_level=level, conformity_score=score, prefit=True, random_state=0)
    mapie.conformalize(probabilities.numpy(), labels.numpy())

    def predict(new: torch.Tensor, include=None) -> np.ndarray:
        params = {} if include is None else {"include_last_label": include}
        return mapie.predict_set(new.numpy(), conformity_score_params=params)[1][:, :, 0]

    return predict


def torchcp() -> SimpleNamespace:
    """TorchCP's scores and predictors. Its __init__ files import everything, so empty packages stand in for two of them."""
    found = importlib.util.find_spec("torchcp") if "torchcp" not in sys.modules else sys.modules["torchcp"].__spec__
    if found is None:
        pytest.skip("TorchCP is not installed")
    for name, folder in (("torchcp", ""), ("torchcp.classification", "/classification")):
        if name not in sys.modules:
            package = ModuleType(name)
            package.__path__ = [f"{found.submodule_search_locations[0]}{folder}"]
            package.__spec__ = found if name == "torchcp" else None
            sys.modules[name] = package
    sys.modules.setdefault("torchsort", SimpleNamespace(soft_rank=None, soft_sort=None))  # type: ignore[arg-type]
    wanted = {
        "torchcp.classification.predictor": ("SplitPredictor", "ClassConditionalPredictor"),
        "torchcp.classification.score": ("APS", "LAC", "RAPS"),
        "torchcp.regression.score": ("CQR",),
        "torchcp.utils.common": ("calculate_conformal_value",),
    }
    modules = {name: importlib.import_module(name) for name in wanted}
    return SimpleNamespace(**{one: getattr(modules[name], one) for name, ones in wanted.items() for one in ones})
