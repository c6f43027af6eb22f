"""The exercises of all units: their order and points; what a check prints, and what it raises."""

from dataclasses import replace

import pytest

from posttrain_lab import checks
from posttrain_lab.checks.engine.exercise import VISIBLE_SEEDS, CheckFailed
from posttrain_lab.checks.engine.submission import LocalSubmission

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
    "07_auditing": {
        "mcnemar": 2,
        "identified_exemplars": 2,
        "class_damage": 2,
        "integrated_gradients": 3,
        "occlusion": 2,
        "rank_agreement": 2,
        "fgsm": 2,
        "pgd": 3,
        "straight_through": 2,
        "worst_case_accuracy": 1,
        "certified_radius": 2,
    },
    "08_deployment": {
        "pixel_table": 1,
        "channels_last": 2,
        "multiply_shift": 3,
        "double_is_exact": 2,
        "lifetimes": 2,
        "place": 3,
        "pool_first": 2,
        "emit_dense": 3,
        "first_difference": 2,
        "export": 2,
        "tail": 1,
        "prepare": 2,
        "diagnose": 1,
        "energy": 1,
        "fits": 1,
    },
    "11_clinic": {
        "group_report": 2,
        "leak_check": 3,
        "company": 2,
        "state_difference": 2,
        "same_answers": 2,
        "grid_report": 2,
        "gradient_report": 2,
        "overfit_one_batch": 3,
        "count_calls": 2,
    },
    "12_project_edge": {"costs": 2},
}


@pytest.mark.parametrize("unit", POINTS)
def test_exercises_stand_in_the_order_of_the_notebook_with_their_points(unit):
    assert {name: e.points for name, e in checks.exercises(unit).items()} == POINTS[unit]
    assert list(checks.exercises(unit)) == list(POINTS[unit])


def test_an_unknown_unit_is_named():
    with pytest.raises(ValueError, match="no unit '07_none'; the units are: 00_start_here"):
        checks.exercises("07_none")
    with pytest.raises(AttributeError, match="no unit 'nothing'"):
        checks.nothing  # noqa: B018


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
    broken = replace(checks.exercises("00_start_here")["accuracy"], oracle=lambda logits, labels: 1 / 0)
    with pytest.raises(RuntimeError, match="check of accuracy is broken on as many examples as classes"):
        broken.check(LocalSubmission(lambda logits, labels: 1.0))
