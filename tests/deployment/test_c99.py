"""The C of a network: strict compilers accept it, sanitizers find nothing, and every number is the one that torch computes."""

import ctypes
import os
import re
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import torch

from posttrain_lab.data import load_fashion
from posttrain_lab.deployment.c99 import emit_dense, to_c
from posttrain_lab.deployment.compiled import compiler, run_c
from posttrain_lab.deployment.operations import expected, input_codes, operations
from posttrain_lab.deployment.preprocess import Contract, as_input
from posttrain_lab.quantization import fixed_point
from tests.deployment.networks import random_network, shipped

needs_compiler = pytest.mark.skipif(
    compiler() is None and not os.environ.get("CI"), reason="no C compiler here: install gcc to run this"
)
SANITIZED = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def check_exact(network, images, flags, pool=True):
    program = operations(network, pool)
    got = run_c(program, to_c(program), input_codes(program, images).numpy(), flags)
    assert np.array_equal(got, expected(network, images).numpy())


@needs_compiler
@pytest.mark.parametrize("flags", [("-O0",), ("-O1",), ("-O2",), ("-O3", "-march=native"), ("-Os", "-Wpedantic")])
def test_a_thousand_images(flags):
    check_exact(shipped("fashion_cnn"), load_fashion().validation.images[:1000], flags)


@needs_compiler
@pytest.mark.parametrize("flags", [("-O2",), SANITIZED])
def test_a_residual_network(flags):
    check_exact(shipped("fashion_resnet"), load_fashion().validation.images[: 1000 if flags == ("-O2",) else 50], flags)


@needs_compiler
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("pool", [True, False])
def test_random_networks_under_sanitizers(seed, pool):
    check_exact(*random_network(seed), SANITIZED, pool)


@needs_compiler
@pytest.mark.parametrize("seed", range(6))
def test_random_networks_at_full_speed(seed):
    check_exact(*random_network(seed), ("-O3", "-march=native"))


def test_what_the_code_contains():
    files = to_c(operations(shipped("fashion_cnn")), "shoe")
    code = re.sub(r"/\*.*?\*/", "", files.source + files.header, flags=re.DOTALL)
    assert re.findall(r"#include (\S+)", code) == ['"shoe.h"', "<stdint.h>"]
    assert not re.search(r"\b(malloc|free|float|double|printf|char)\b", code)
    assert all(re.match(r"(static )?const ", line) for line in code.splitlines() if re.search(r"\[\d*\] = \{", line))
    assert f"SHOE_ARENA_BYTES {files.plan.arena} " in files.header


def test_the_table_keeps_the_contract():
    program = replace(operations(shipped("fashion_cnn")), contract=Contract(low=-1.0, high=3.0))
    source = to_c(program, "shoe").source
    found = [int(one) for one in re.search(r"shoe_code\[256\] = \{([^}]*)\}", source)[1].split(",")]
    for pixel in (0, 7, 64, 255):
        image = as_input(torch.full((28, 28), pixel, dtype=torch.uint8), program.contract)
        assert input_codes(program, image).unique().tolist() == [found[pixel]]
    assert found == sorted(found)


@pytest.mark.parametrize("name", ["7up", "", "a-b", "float", "a b", "naïve"])
def test_names_that_c_does_not_know(name):
    with pytest.raises(ValueError, match="wants a name that C allows"):
        to_c(operations(shipped("fashion_cnn")), name)


def test_an_arena_over_the_budget():
    with pytest.raises(ValueError, match="the budget is 4096"):
        to_c(operations(shipped("fashion_cnn")), budget=4096)


@needs_compiler
def test_one_dense_layer(tmp_path):
    generator = torch.Generator().manual_seed(1)
    weight = torch.randint(-127, 128, (6, 33), generator=generator, dtype=torch.int8)
    bias, fixed = (
        torch.randint(-5000, 5000, (6,), generator=generator),
        torch.tensor([fixed_point(2.0**-n) for n in range(4, 10)]),
    )
    (tmp_path / "f.c").write_text(
        "#include <stdint.h>\n" + emit_dense("f", weight, bias, fixed[:, 0], fixed[:, 1], (-3, -3, 127))
    )
    command = [
        compiler(),
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-shared",
        "-fPIC",
        str(tmp_path / "f.c"),
        "-o",
        str(tmp_path / "f.so"),
    ]
    subprocess.run(command, check=True)
    function, y = ctypes.CDLL(str(tmp_path / "f.so")).f, np.zeros(6, np.int8)
    for x in [
        *torch.randint(-128, 128, (200, 33), generator=generator, dtype=torch.int8),
        torch.full((33,), -128, dtype=torch.int8),
    ]:
        function(x.numpy().ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p))
        sums = [int(bias[o]) + sum(int(a) * int(b) for a, b in zip(x, weight[o], strict=True)) for o in range(6)]
        want = [
            max(-3, min(127, ((s * int(m) + (1 << (int(n) - 1))) >> int(n)) - 3)) for s, (m, n) in zip(sums, fixed, strict=True)
        ]
        assert y.tolist() == want
