"""The C of a network by zig's compiler, which pip installs without an administrator, for this processor."""

import importlib.util
import os
import sys

import numpy as np
import pytest

from posttrain_lab.data import load_fashion
from posttrain_lab.deployment.c99 import to_c
from posttrain_lab.deployment.compiled import run_c
from posttrain_lab.deployment.operations import expected, input_codes, operations
from tests.deployment.networks import shipped

HERE = importlib.util.find_spec("ziglang") is not None
pytestmark = [
    pytest.mark.embedded,
    pytest.mark.skipif(not HERE and not os.environ.get("CI"), reason="zig is not here: pip install ziglang"),
]


@pytest.mark.parametrize("flags", [("-O2",), ("-O3", "-march=native")])
def test_a_thousand_images(flags):
    images, program = load_fashion().validation.images[:1000], operations(shipped("fashion_cnn"))
    command = (sys.executable, "-m", "ziglang", "cc")
    found = run_c(program, to_c(program), input_codes(program, images).numpy(), flags, command)
    assert np.array_equal(found, expected(shipped("fashion_cnn"), images).numpy())
