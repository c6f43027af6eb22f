"""Every exercise: the oracle and all right answers pass, every wrong one fails, every known mistake by its own name, on every seed."""

import importlib.util
import itertools
import math
import os
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import bsr_matrix
from torch.utils.flop_counter import FlopCounterMode

from posttrain_lab import calibration, checks, finetuning, kernels, measure, metrics, pruning, quantization
from posttrain_lab.checks.exercise import EMPTY, HIDDEN_SEEDS, VISIBLE_SEEDS, CheckFailed
from posttrain_lab.checks.submission import LocalSubmission, Outcome, _identical
from posttrain_lab.checks.wire import decode, encode
from posttrain_lab.kernels.layout import from_panels, to_panels
from posttrain_lab.quantization.packing import pack_codes, unpack_codes

sys.path.insert(0, str(Path(__file__).parent))
from exercise_files import EXERCISES, each_exercise, each_mistake, each_right, each_wrong

# The checks ask with VISIBLE_SEEDS and HIDDEN_SEEDS only; the others show that no seed is special. EXTRA_SEEDS=18 tries many.
EXTRA_SEEDS = tuple(range(2, 2 + int(os.environ.get("EXTRA_SEEDS", "4"))))
SEEDS = (*VISIBLE_SEEDS, *EXTRA_SEEDS, *HIDDEN_SEEDS)
POINTS = {
    "00_start_here": {"accuracy": 1, "wilson_interval": 2, "model_bytes": 2, "latency": 2},
    "01_pruning": {
        "magnitude_mask": 2,
        "global_masks": 2,
        "sensitivity_scan": 3,
        "allocate_sparsity": 3,
        "masked_step": 2,
        "nm_mask": 2,
        "wanda_scores": 1,
        "to_csr": 2,
        "csr_matmul": 2,
        "prune_channels": 4,
    },
    "02_quantization": {
        "affine_qparams": 3,
        "quantize": 2,
        "dequantize": 1,
        "channel_qparams": 2,
        "observe": 3,
        "fold_batchnorm": 3,
        "requantize": 3,
        "int8_linear": 3,
        "fake_quantize": 2,
        "optimal_rounding": 4,
    },
    "03_fine_tuning": {
        "freeze": 3,
        "parameter_groups": 2,
        "adamw_step": 3,
        "LoRALinear": 4,
        "ewc_penalty": 2,
        "select_for_labelling": 2,
        "distillation_loss": 3,
        "recover": 3,
    },
    "04_calibration": {
        "expected_calibration_error": 3,
        "adaptive_ece": 2,
        "nll": 2,
        "brier": 2,
        "fit_temperature": 3,
        "fit_platt": 3,
        "fit_isotonic": 4,
        "bayes_threshold": 1,
        "expected_cost": 2,
        "conformal_quantile": 3,
        "prediction_sets": 1,
        "risk_coverage": 2,
    },
    "05_cpu_kernels": {
        "arithmetic_intensity": 2,
        "attainable": 1,
        "int8_dot": 2,
        "pack_weights": 3,
        "unpack_weights": 1,
        "tile_matmul": 3,
        "simd_matmul": 4,
        "pack_int4": 2,
        "unpack_int4": 2,
        "csr_matmul": 3,
        "nm_pack": 2,
        "nm_matmul": 2,
    },
    "06_gpu_kernels": {
        "masked_add": 2,
        "row_quantize": 3,
        "int8_matmul": 4,
        "fused_linear": 3,
        "unpack_int4": 3,
        "block_sparse_matmul": 3,
        "read_ptx": 2,
    },
}


def library_simd(x, panels, n, show="product"):
    """The library's own kernel; and its instructions in place of the listing that a notebook's kernel gives."""
    if show == "assembly":
        return "vpmaddwd"
    rows = panels.transpose(1, 2).flatten(0, 1).flatten(1)[:n, : x.shape[1]]
    return kernels.int8_matmul(x, rows.T)


def library_pack4(codes):
    """Row by row, because the library packs a tensor as one row."""
    rows = [pack_codes(row.contiguous(), 4) for row in codes]
    return torch.stack(rows) if rows else torch.zeros(0, -(-codes.shape[1] // 2), dtype=torch.uint8)


def library_unpack4(packed, k):
    rows = [unpack_codes(row.contiguous(), 4, (k,)) for row in packed]
    return torch.stack(rows) if rows else torch.zeros(0, k, dtype=torch.int8)


def nm_pack_by_search(weight):
    """Of the six pairs of places the first with the largest magnitudes; the bytes are the library's, where it keeps these places."""
    groups = weight.unflatten(1, (-1, 4)).abs().double().numpy()
    pairs = list(itertools.combinations(range(4), 2))
    best = np.argmax([sum(groups[..., place] for place in pair) for pair in pairs], axis=0)
    places = torch.tensor(pairs)[torch.from_numpy(best)]
    values = torch.take_along_dim(weight.unflatten(1, (-1, 4)), places, 2)
    packed = kernels.NMWeight(values, (places * torch.tensor([1, 4])).sum(2).to(torch.uint8))
    kept = torch.zeros(*places.shape[:2], 4).scatter(2, places, values).flatten(1)
    again = kernels.NMWeight.from_float(kept)  # where a kept weight is 0, it may keep another place
    assert torch.equal(again.dense(), kept)
    assert torch.equal(packed.dense(), kept)
    whole = (values != 0).all(2)
    assert torch.equal(again.positions[whole], packed.positions[whole])
    return packed.values, packed.positions


def intensity_by_counting(m, k, n, width):
    """torch counts the operations, and the bytes of tensors of that width (4-bit codes: two in a byte)."""
    dtypes = {4: torch.float32, 2: torch.float16, 1: torch.int8, 0.5: torch.int8}
    a, b = torch.empty(m, k, device="meta"), torch.empty(k, n, device="meta")
    with FlopCounterMode(display=False) as counter:
        out = a @ b
    inputs = sum(part.to(dtypes[width]).nbytes for part in (a, b)) / (2 if width == 0.5 else 1)
    return counter.get_total_flops() / (inputs + out.nbytes)


def attainable_by_the_clock(intensity, peak, bandwidth):
    """A second's worth of bytes, in exact fractions: how long do their operations take?"""
    operations = Fraction(intensity) * Fraction(bandwidth)
    return float(operations / max(Fraction(1), operations / Fraction(peak)))


def rows_in_fractions(x):
    """Scales as float32 rounds them, codes in exact fractions."""
    scales = [np.float32(np.abs(row).max()) / np.float32(127) if np.any(row) else np.float32(1) for row in x.numpy()]
    half = Fraction(1, 2)
    codes = [
        [math.floor(Fraction(number) / Fraction(float(scale)) + half) for number in row.tolist()]
        for row, scale in zip(x, scales, strict=True)
    ]
    return torch.tensor(codes, dtype=torch.int8).reshape(x.shape), torch.tensor(np.array(scales))


def library_fused(xq, wq, x_scale, w_scale, bias, relu=False, **tiles):
    """The library's exact product, finished in float64."""
    y = kernels.int8_matmul(xq, wq.T).double() * x_scale[:, None].double() * w_scale.double() + bias.double()
    return (y.relu() if relu else y).float()


def library_unpack(packed, scale, columns, group, block=32):
    codes = library_unpack4(packed, columns)
    return torch.stack([codes[:, k].float() * scale[:, k // group] for k in range(columns)], 1)


def scipys_blocks(x, blocks, columns, starts, block_m=16):
    side = blocks.shape[1]
    shape = ((len(starts) - 1) * side, x.shape[1])
    weight = bsr_matrix((blocks.numpy().astype(np.int64), columns.numpy(), starts.numpy()), shape=shape)
    return torch.from_numpy((weight @ x.numpy().astype(np.int64).T).T.astype(np.int32))


def read_by_hand(ptx):
    """No regular expression: words between blanks, tabs and semicolons."""
    words = [line.partition("//")[0].replace(";", " ").split() for line in ptx.splitlines()]
    found = [next((word for word in line if word[0] != "@"), "") for line in words]
    names = [name for name in found if name.split(".")[0] == "mma" or name.split(".")[:2] == ["wgmma", "mma_async"]]
    counts = [int(line[-1][line[-1].index("<") + 1 : -1]) for line in words if line[:1] == [".reg"]]
    return {"multiply": [*names, ""][0], "times": len(names), "registers": sum(counts)}


CPU_KERNELS = {
    "arithmetic_intensity": intensity_by_counting,
    "attainable": attainable_by_the_clock,
    "int8_dot": lambda a, b: kernels.int8_matmul(a[None], b[:, None]).item(),
    "pack_weights": lambda w: to_panels(w, 2),
    "unpack_weights": lambda panels, n, k: from_panels(panels, n, k),
    "tile_matmul": lambda a, b, tile: kernels.int8_matmul(a, b),
    "simd_matmul": library_simd,
    "pack_int4": library_pack4,
    "unpack_int4": library_unpack4,
    "csr_matmul": lambda values, columns, pointers, x: (
        kernels.sparse_linear(x.T, kernels.SparseWeight.from_csr(values, columns, pointers, len(x))).T
    ),
    "nm_pack": nm_pack_by_search,
    "nm_matmul": lambda values, positions, x: kernels.nm_linear(x.T, kernels.NMWeight(values, positions)).T,
}
GPU_KERNELS = {
    "masked_add": lambda x, y, block=16: torch.from_numpy(np.add(x.numpy(), y.numpy())),
    "row_quantize": rows_in_fractions,
    "int8_matmul": lambda x, w, **tiles: kernels.int8_matmul(x, w.T),
    "fused_linear": library_fused,
    "unpack_int4": library_unpack,
    "block_sparse_matmul": scipys_blocks,
    "read_ptx": read_by_hand,
}
# for every exercise a right answer that shares no code with its oracle
LIBRARY = {
    "00_start_here": {
        **{name: getattr(metrics, name) for name in ("accuracy", "wilson_interval", "model_bytes")},
        "latency": measure.latency,
    },
    "01_pruning": {name: getattr(pruning, name) for name in POINTS["01_pruning"]},
    "02_quantization": {
        "fake_quantize": quantization.FakeQuantize.apply,
        **{name: getattr(quantization, name) for name in POINTS["02_quantization"] if name != "fake_quantize"},
    },
    "03_fine_tuning": {name: getattr(finetuning, name) for name in POINTS["03_fine_tuning"]},
    "04_calibration": {name: getattr(calibration, name) for name in POINTS["04_calibration"]},
    "05_cpu_kernels": CPU_KERNELS,
    "06_gpu_kernels": GPU_KERNELS,
}


class OverTheWire:
    """A submission whose calls and outcomes travel as bytes, as they do while grading."""

    def __init__(self, inner):
        self.inner = inner

    def call(self, *args, gradients=(), **kwargs) -> Outcome:
        args, kwargs = decode(encode((args, kwargs)))
        return decode(encode(self.inner.call(*args, gradients=gradients, **kwargs)))


@pytest.mark.parametrize("unit", POINTS)
def test_exercises_stand_in_the_order_of_the_notebook_with_their_points(unit):
    assert {name: e.points for name, e in checks.exercises(unit).items()} == POINTS[unit]
    assert list(checks.exercises(unit)) == list(POINTS[unit])


def test_an_unknown_unit_is_named():
    with pytest.raises(ValueError, match="no unit '07_none'; the units are: 00_start_here"):
        checks.exercises("07_none")
    with pytest.raises(AttributeError, match="no unit 'nothing'"):
        checks.nothing  # noqa: B018


@each_exercise
def test_there_are_enough_mistakes_and_each_sentence_helps(exercise):
    names, messages = [m.name for m in exercise.mistakes], [m.message for m in exercise.mistakes]
    assert len(set(names)) == len(names) >= 6
    assert len(set(messages)) == len(messages)
    assert all(message.endswith(".") and "\n" not in message and 15 < len(message) < 160 for message in messages)
    assert 1 <= exercise.difficulty <= 5
    assert exercise.minutes > 0


@each_exercise
def test_cases_repeat_by_seed_and_differ_between_seeds(exercise):
    first, again, other = (encode([(c.args, c.kwargs) for c in exercise.cases(seed)]) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@each_exercise
def test_the_oracle_and_the_library_pass(exercise):
    oracle_and_library_pass(exercise, (0, 104))


@pytest.mark.slow
@each_exercise
def test_the_oracle_and_the_library_pass_on_the_other_seeds(exercise):
    oracle_and_library_pass(exercise, [seed for seed in SEEDS if seed not in (0, 104)])


def oracle_and_library_pass(exercise, seeds):
    adapter = "" if exercise.through.startswith("own_work:") else exercise.through  # here others than the student may do the work
    for function in (exercise.oracle, LIBRARY[exercise.unit][exercise.name]):
        verdict = exercise.check(replace(exercise.submission(function, trusted=True), through=adapter), seeds)
        assert verdict.passed, verdict.message
        assert (verdict.points, verdict.mistake) == (exercise.points, "")


@each_mistake
def test_a_mistake_is_named(exercise, mistake):
    named_on(exercise, mistake, (0,))


@pytest.mark.slow
@each_mistake
def test_a_mistake_is_named_on_the_other_seeds(exercise, mistake):
    named_on(exercise, mistake, SEEDS[1:])


def named_on(exercise, mistake, seeds):
    for seed in seeds:
        verdict = exercise.check(exercise.submission(mistake.function, trusted=True), (seed,))
        assert (verdict.passed, verdict.points, verdict.mistake) == (False, 0, mistake.name), (seed, verdict.message)
        assert verdict.message.startswith(f"{exercise.name}: {mistake.message}\n")


def skip_without_triton(exercise):
    if exercise.through == "own_work:launched" and importlib.util.find_spec("triton") is None:
        pytest.skip("Triton runs on Linux only")


@each_right
def test_a_right_answer_of_another_shape_passes(exercise, function):
    skip_without_triton(exercise)
    verdict = exercise.check(exercise.submission(function), (0,))
    assert verdict.passed, verdict.message


@pytest.mark.slow
@each_right
def test_a_right_answer_passes_on_the_other_seeds(exercise, function):
    skip_without_triton(exercise)
    verdict = exercise.check(exercise.submission(function), SEEDS[1:])
    assert verdict.passed, verdict.message


@pytest.mark.slow
@each_wrong
def test_a_wrong_answer_fails_on_every_seed(exercise, function):
    for seed in SEEDS:
        assert not exercise.check(exercise.submission(function), (seed,)).passed, seed


@pytest.mark.slow
@each_exercise
def test_run_twice_says_the_same(exercise):
    for function in (exercise.oracle, exercise.mistakes[0].function, exercise.mistakes[-1].function):
        verdicts = [exercise.check(exercise.submission(function, trusted=True), (0,)) for _ in range(2)]
        assert verdicts[0] == verdicts[1]


@pytest.mark.slow
@each_exercise
def test_the_verdict_over_the_wire_is_the_same(exercise):
    for function in (exercise.oracle, exercise.mistakes[0].function, exercise.mistakes[-1].function):
        here = exercise.submission(function, trusted=True)
        assert exercise.check(here, (1,)) == exercise.check(OverTheWire(here), (1,))


@each_exercise
def test_cases_travel_unchanged(exercise):
    for case in exercise.cases(2):
        arrived = decode(encode(case.args))
        assert _identical(arrived, case.args)
        for before, after in zip(case.args, arrived, strict=True):
            if isinstance(before, torch.Tensor) and before.numel():
                assert after.stride() == before.stride(), case.words


@each_exercise
def test_cases_survive_an_answer_that_scribbles_on_them(exercise):
    def scribbler(*args, **kwargs):
        for arg in args:
            tensors = arg.state_dict().values() if isinstance(arg, torch.nn.Module) else [arg]
            for tensor in tensors:
                if isinstance(tensor, torch.Tensor) and not tensor.requires_grad:
                    tensor.zero_()
        return None

    before = encode([(c.args, c.kwargs) for c, _ in exercise._wanted(0)])
    assert not exercise.check(exercise.submission(scribbler), (0,)).passed
    assert encode([(c.args, c.kwargs) for c, _ in exercise._wanted(0)]) == before


@each_exercise
def test_cases_hold_what_every_exercise_must_meet(exercise):
    """Sizes that differ between seeds, so that none can be learned by heart, and for tensors a view that is not contiguous."""
    tensors = [arg for seed in (0, 1) for case in exercise.cases(seed) for arg in case.args if isinstance(arg, torch.Tensor)]
    if tensors:
        assert any(not t.is_contiguous() for t in tensors)


@each_exercise
def test_an_empty_cell_says_so(exercise):
    def blank(*args, **kwargs):
        raise NotImplementedError

    verdict = exercise.check(exercise.submission(blank))
    assert (verdict.message, verdict.mistake, verdict.calls) == (EMPTY, "", 1)


@pytest.mark.parametrize(
    "value", [None, 0, -1.5, "x", (), [1, 2], {"a": 1}, torch.zeros(2), torch.tensor(float("nan")), (1, "a")]
)
def test_any_value_gets_a_verdict(value):
    for exercise in EXERCISES:
        verdict = exercise.check(exercise.submission(lambda *args, _value=value, **kwargs: _value), (0,))
        assert not verdict.passed
        assert exercise.name in verdict.message


def test_the_notebook_prints_a_line_or_one_sentence(capsys):
    quantize = checks.exercises("02_quantization")["quantize"]
    quantize(lambda x, scale, zero_point, bits=8: quantize.oracle(x, scale, zero_point, bits))
    assert (
        capsys.readouterr().out
        == f"quantize: right in all {quantize.check(LocalSubmission(quantize.oracle), VISIBLE_SEEDS).calls} trials.\n"
    )
    with pytest.raises(CheckFailed, match=r"^quantize: You cut off the fraction") as failed:
        quantize(
            lambda x, scale, zero_point, bits=8: (
                (x / scale).trunc().add(zero_point).clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).char()
            )
        )
    assert failed.value._render_traceback_() == [str(failed.value)]
    assert "&lt;" in CheckFailed("a < b")._repr_html_()


def test_a_broken_oracle_is_no_fault_of_the_student():
    import dataclasses

    broken = dataclasses.replace(EXERCISES[0], oracle=lambda logits, labels: 1 / 0)
    with pytest.raises(RuntimeError, match="check of accuracy is broken on as many examples as classes"):
        broken.check(LocalSubmission(lambda logits, labels: 1.0))
