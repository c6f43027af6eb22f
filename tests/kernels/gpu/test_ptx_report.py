"""What the compiler makes of the Triton kernels for chips that are not here: instructions, registers, spills."""

import re
from dataclasses import replace

import pytest
import torch

pytest.importorskip("triton")
import triton

from posttrain_lab.kernels import gpu
from posttrain_lab.kernels.gpu import block_sparse, conv, int4, int8, launch, nm, ptx_report, quantize, sparse
from posttrain_lab.kernels.packed import Int4Weight, Int8ConvWeight, Int8Weight
from posttrain_lab.kernels.sparse_weights import BlockSparseWeight, NMWeight, SparseWeight

if not isinstance(int8.multiply, triton.JITFunction):
    pytest.skip("Triton's interpreter compiles nothing; unset TRITON_INTERPRET", allow_module_level=True)

INT8 = ("int8_matmul", "int8_linear", "int8_conv2d", "int4_linear")
INSTRUCTION = {80: r"mma\.sync.*s32\.s8\.s8\.s32", 90: r"(wgmma\.mma_async|mma)\.sync.*s32\.s8\.s8"}
FASTER = [(name, index) for name, make in ptx_report.EXAMPLES.items() for index in range(len(make().kernel.others))]


def fits(compiled: ptx_report.PtxReport) -> bool:
    """No register found its place in memory; where ptxas is absent nothing is known."""
    if compiled.registers is None:
        pytest.skip("no ptxas here")
    return compiled.spills == 0 and 0 < compiled.registers <= 255


@pytest.mark.parametrize("chip", [80, 90])
def test_int8_products_run_on_the_int8_tensor_cores(chip):
    compiled = ptx_report.compile_ahead("int8_matmul", chip)
    assert all(re.search(INSTRUCTION[chip], name) for name in compiled.multiply), compiled.multiply
    assert compiled.multiply
    assert fits(compiled)
    if chip == 90:
        assert any(name.startswith("wgmma") for name in compiled.multiply)


def test_before_sm_80_int8_products_go_through_floats():
    """Triton from 3.3 on has no tensor cores before sm_80: fp16 products become float32 multiply-adds, as exact as before."""
    made = ptx_report.EXAMPLES["int8_matmul"]().fitted(75)
    assert made.constants["HALF"] is True
    compiled = ptx_report.compiled(made, 75)
    assert "s8.s8" not in " ".join(compiled.multiply)
    assert "fma.rn.f32" in compiled.ptx or any("f32.f16.f16.f32" in name for name in compiled.multiply)
    assert fits(compiled)


def test_rounding_is_not_fused_and_division_is_exact():
    """x * inverse must be rounded before it is rounded to a whole number; 127 / max is IEEE's."""
    ptx = ptx_report.compile_ahead("quantize", 80).ptx
    assert not re.search(r"\bfma\.|\.ftz|div\.(full|approx)", ptx)
    assert "mul.rn.f32" in ptx
    assert "div.rn.f32" in ptx


@pytest.mark.slow
@pytest.mark.parametrize("chip", [75, 80, 90])
@pytest.mark.parametrize("name", ptx_report.EXAMPLES)
def test_the_default_tile_spills_nothing(name, chip):
    compiled = ptx_report.compile_ahead(name, chip)
    assert fits(compiled)
    assert compiled.shared <= 48 * 1024  # what every chip gives a block
    if name in INT8 and chip >= 80:
        assert any(re.search(INSTRUCTION[chip], found) for found in compiled.multiply)


@pytest.mark.slow
@pytest.mark.parametrize("chip", [80, 90])
@pytest.mark.parametrize(("name", "index"), FASTER)
def test_tiles_that_race_spill_nothing(name, index, chip):
    made = ptx_report.EXAMPLES[name]()
    made = replace(made, kernel=replace(made.kernel, default=made.kernel.others[index]))
    compiled = ptx_report.compiled(made, chip)
    assert fits(compiled)
    assert compiled.shared <= 99 * 1024  # sm_86 and sm_89, the smallest from sm_80 on


def test_a_launch_is_compiled_as_it_is_made():
    """Tuples, None, ones and numbers that 16 divides reach the compiler as at a launch."""
    made = int8.plan(*(torch.empty(size, dtype=torch.int8) for size in [(1, 48), (5, 48)]), torch.empty(1, 5, dtype=torch.int32))
    source = ptx_report.source_of(made)
    assert source.signature["x"] == "*i8"
    assert source.signature["scales"] == ("constexpr",) * 3
    assert source.signature["sizes"] == ("constexpr", "i32", "i32")
    where = {name: made.kernel.function.arg_names.index(name) for name in ("scales", "sizes")}
    assert source.constants[where["scales"], 1] is None
    assert source.constants[where["sizes"], 0] == 1
    assert (where["sizes"], 2) in source.attrs
    assert (where["sizes"], 1) not in source.attrs


@pytest.mark.parametrize(("name", "chip", "message"), [("int9", 80, "got 'int9'"), ("int8_matmul", 42, "got 42")])
def test_other_names_and_chips_are_errors(name, chip, message):
    with pytest.raises(ValueError, match=message):
        ptx_report.compile_ahead(name, chip)


def test_tensors_on_the_cpu_are_refused():
    a = torch.ones(2, 2, dtype=torch.int8)
    with pytest.raises(NotImplementedError, match=r"want tensors on a GPU, got cpu; set TRITON_INTERPRET=1"):
        gpu.int8_matmul(a, a)


def test_one_race_for_sizes_of_the_same_power_of_two():
    assert launch.racing(int8.MULTIPLY, ("here", 8)) is launch.racing(int8.MULTIPLY, ("here", 8))
    assert launch.racing(int8.MULTIPLY, ("here", 8)) is not launch.racing(int8.MULTIPLY, ("here", 9))
    assert launch.racing(int8.MULTIPLY, ("here", 8)).configs == [int8.MULTIPLY.default, *int8.MULTIPLY.others]


def test_large_work_races_and_small_work_does_not(monkeypatch):
    """Which way `started` takes, with stand-ins for the GPU and the race."""
    taken = []

    class Stand:
        def __init__(self, name):
            self.name = name

        def __getitem__(self, grid):
            return lambda **options: taken.append((self.name, options.get("BM")))

    monkeypatch.setattr(launch, "racing", lambda kernel, key: Stand("race"))
    made = ptx_report.EXAMPLES["int8_matmul"]()
    made = replace(made, kernel=replace(made.kernel, function=Stand("default")))
    for work in ((8, 8, 8), (2**10, 2**9, 2**9)):
        replace(made, work=work).started(torch.device("cuda", 0))
    assert taken == [("default", made.kernel.default.kwargs["BM"]), ("race", None)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_a_race_on_a_gpu_gives_exact_results():
    a, b = (torch.randint(-128, 128, (1024, 1024), dtype=torch.int8) for _ in range(2))
    want = (a.double() @ b.double()).to(torch.int32)
    assert torch.equal(gpu.int8_matmul(a.cuda(), b.cuda()).cpu(), want)


@pytest.fixture
def compiles(monkeypatch) -> list[str]:
    """Every launch is compiled for all chips instead of run; which kernels were. Results are zeros."""
    done = []

    def compile_instead(self):
        for chip in (75, 80, 90):
            done.append(ptx_report.compiled(self.fitted(chip), chip).kernel)

    monkeypatch.setattr(launch.Launch, "run", compile_instead)
    monkeypatch.setattr(ptx_report, "assembled", lambda ptx, chip, fused: (None, None))  # Triton has called ptxas already
    for module in (block_sparse, conv, int4, int8, nm, quantize, sparse):
        monkeypatch.setattr(module, "empty", lambda like, *shape, dtype=torch.float32: torch.zeros(shape, dtype=dtype))
    return done


@pytest.mark.slow
@pytest.mark.parametrize(("m", "n", "k"), [(1, 1, 1), (17, 1, 3), (1, 33, 40), (33, 17, 1)])
def test_every_size_compiles(m, n, k, compiles):
    """A size or stride of 1 becomes a constant in the compiler, which the interpreter does not show."""
    x, bias = torch.zeros(m, k), torch.zeros(n)
    gpu.int8_matmul(torch.zeros(m, k, dtype=torch.int8), torch.zeros(k, n, dtype=torch.int8))
    gpu.int8_linear(x, Int8Weight(torch.zeros(n, k, dtype=torch.int8), torch.ones(n), k), None, "gelu")
    dense = torch.ones(n, k)
    gpu.sparse_linear(x, SparseWeight.from_float(dense), bias)
    for block in (4, 32):
        gpu.block_sparse_linear(x, BlockSparseWeight.from_float(dense, block), None)
    wide = torch.zeros(m, 8 * k)
    packed = Int4Weight(torch.zeros(n, 4 * k, dtype=torch.uint8), torch.ones(k, 16 * -(-n // 16)), 8 * k, n)
    for activations in ("int8", "float32"):
        gpu.int4_linear(wide, packed, bias, "relu", activations)
    gpu.nm_linear(wide[:, : 4 * k], NMWeight(torch.zeros(n, k, 2), torch.zeros(n, k, dtype=torch.uint8)), bias)
    kernels = {"multiply", "quantize", "multiply_kept", "multiply_blocks", "multiply_nibbles", "multiply_pairs"}
    assert set(compiles) == kernels


@pytest.mark.slow
@pytest.mark.parametrize("steps", [(1, 0, 1), (2, 1, -5)])
@pytest.mark.parametrize(("size", "kernel", "channels", "groups"), [(1, 1, 1, 1), (6, 3, 1, 4), (5, 2, 3, 1)])
def test_every_convolution_compiles(size, kernel, channels, groups, steps, compiles):
    x = torch.zeros(1, size, size, channels * groups, dtype=torch.int8)
    weight = torch.zeros(groups, kernel, kernel, channels, dtype=torch.int8)
    packed = Int8ConvWeight(weight, torch.ones(groups), (kernel, kernel), channels, groups, groups)
    gpu.int8_conv2d(x, packed, *steps, None, None, "none")
    gpu.int8_conv2d(x, packed, *steps, torch.ones(1), torch.zeros(groups), "gelu")
    assert compiles == ["convolve"] * 6
