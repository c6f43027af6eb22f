"""The races cover the speed table; every peer gives the right result at a small shape."""

import pytest

from posttrain_lab.benchmark.problems import Conv, Problem
from posttrain_lab.benchmark.rows import LINEUP, OURS, races
from posttrain_lab.benchmark.timing import prepare

LINEAR = [(1, 1024, 1024), (1, 4096, 4096), (16, 1024, 1024), (128, 768, 3072), (256, 1024, 1024), (512, 576, 128), (1024,) * 3]
FBGEMM, FP32 = "torch_quantized_x86", "torch_fp32"
TABLE = [
    *(("int8_linear", shape, 1.0, FBGEMM, 1.0) for shape in LINEAR),
    *(("int8_linear", shape, 1.0, FP32, 1.35) for shape in LINEAR[2:]),
    *(("int8_matmul", shape, 1.0, "torch_int_mm", 50) for shape in LINEAR),
    *(("int4_linear", shape, 1.0, "posttrain_lab_int8_linear", 1.25) for shape in LINEAR[2:]),
    ("int4_linear", (1, 4096, 4096), 1.0, "posttrain_lab_int8_linear", 1.5),
    *(("sparse_linear", (m, 1024, 1024), 0.1, "torch_csr", 1.8) for m in (64, 128, 256)),
    *(("sparse_linear", (m, 1024, 1024), 0.1, FP32, 3.5) for m in (64, 128, 256)),
    ("sparse_linear", (256, 768, 3072), 0.1, "torch_csr", 1.8),
    ("sparse_linear", (256, 768, 3072), 0.1, FP32, 3.5),
    ("sparse_linear", (1, 1024, 1024), 0.1, "scipy_csr", 1.3),
    ("sparse_linear", (1, 1024, 1024), 0.1, FP32, 1.3),
    *(("block_sparse_linear", (m, 1024, 1024), 0.2, FP32, 3.0) for m in (64, 256)),
    *(("nm_linear", (m, 1024, 1024), 0.5, FP32, least) for m in (16, 256) for least in (1.0, 0.6)),
    *(
        ("int8_conv2d", (batch * side**2, 9 * cin, cout), 1.0, FBGEMM, 1.0)
        for cin, cout, side in ((24, 48, 14), (48, 96, 7), (64, 64, 28), (128, 128, 14))
        for batch in (1, 64)
    ),
]


@pytest.mark.parametrize("quick", [True, False])
def test_every_row_of_the_speed_table_is_run(quick):
    found = [
        (race.op, (race.m, race.k, race.n), race.density, target.rival, target.least)
        for race in races(2, quick)
        for target in race.targets
    ]
    assert set(TABLE) <= set(found)
    assert all(OURS in race.entrants for race in races(2, quick))


def test_targets_name_entrants_and_speak_of_one_thread():
    for race in races(4):
        assert {target.rival for target in race.targets} <= set(race.entrants)
        assert race.threads == 1 or not race.targets


def test_one_core_has_no_races_on_more():
    assert {race.threads for race in races(1)} == {1}
    assert {race.threads for race in races(8)} == {1, 8}


def test_a_quick_run_has_linear_and_conv_on_all_threads():
    assert {race.op for race in races(2, quick=True) if race.threads == 2} == {"int8_linear", "int8_conv2d"}


def test_a_convolution_is_described():
    race = next(race for race in races(1) if race.conv == Conv(64, 24, 48, 14))
    assert (race.m, race.k, race.n) == (64 * 14 * 14, 3 * 3 * 24, 48)
    assert race.note == "64 x 14 x 14 x 24, filter 3 x 3, 48 outputs"


PEERS = [(op, name) for op, entrants in LINEUP.items() for name in entrants if not name.startswith(OURS)]


@pytest.mark.parametrize(("op", "name"), PEERS)
def test_a_peer_gives_the_right_result(op, name):
    conv = Conv(3, 8, 16, 5) if op == "int8_conv2d" else None
    problem = Problem(op, *(conv.mkn if conv else (5, 32, 48)), density=0.5, conv=conv)
    entrant = LINEUP[op][name]
    call, _, timing = prepare(name, entrant, problem, lambda: 0.0)
    if call is None and timing.note.startswith("missing"):
        pytest.skip(timing.note)
    assert call is not None, timing.note
    assert timing.right or entrant.saturates, timing.note  # AVX2 without VNNI: the wrong sums are known


def test_pruned_weights_have_the_pattern_of_their_op():
    dense = Problem("nm_linear", 2, 32, 16, 0.5).w
    assert int((dense.reshape(16, 8, 4) != 0).sum(2).max()) == 2
    blocks = Problem("block_sparse_linear", 2, 64, 64, 0.5).w.reshape(4, 16, 4, 16).abs().amax((1, 3))
    assert 0 < int((blocks != 0).sum()) < 16
    kept = (Problem("sparse_linear", 2, 256, 256, 0.1).w != 0).float().mean()
    assert 0.08 < kept < 0.12


def test_extreme_values_are_all_the_largest():
    problem = Problem("int8_linear", 2, 8, 4, extreme=True)
    assert (problem.int8.rows() == 127).all()
    assert problem.expected("int8").allclose(problem.expected("float"))
