"""The C of networks on a Cortex-M4 without floats: every number, and no more memory than was planned."""

import os

import numpy as np
import pytest

from posttrain_lab.data import load_fashion
from posttrain_lab.deployment.memory import plan_memory
from posttrain_lab.deployment.operations import expected, input_codes, operations
from tests.deployment.networks import random_network, shipped

from .arm import missing, run_on_cortex

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.skipif(bool(missing()) and not os.environ.get("CI"), reason=f"{missing()} not here: docs/deployment.md says how"),
]


@pytest.mark.parametrize(("name", "count"), [("fashion_cnn", 20), ("fashion_resnet", 4)])
@pytest.mark.parametrize("flags", [("-O2",), ("-Os",)])
def test_shipped_networks(name, count, flags, tmp_path):
    images, program = load_fashion().validation.images[:count], operations(shipped(name))
    found = run_on_cortex(program, input_codes(program, images).numpy(), tmp_path, flags)
    assert np.array_equal(found.results, expected(shipped(name), images).numpy())
    assert plan_memory(program).arena <= found.ram <= plan_memory(program).arena + 16
    assert found.flash < 1.15 * program.weight_bytes
    assert 0 < found.stack < 1024
    assert 2 < found.instructions / program.macs < 8
    print(f"{name} {flags[0]}: {found.instructions:,} instructions, {found.flash:,} + {found.ram:,} + {found.stack} bytes")


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6])
def test_random_networks(seed, tmp_path):
    network, images = random_network(seed)
    program = operations(network)
    found = run_on_cortex(program, input_codes(program, images[:10]).numpy(), tmp_path)
    assert np.array_equal(found.results, expected(network, images[:10]).numpy())
