"""The command: errors before measuring, in a sentence; a whole quick run."""

import csv
import sys

import pytest
import torch

from posttrain_lab.benchmark import machine, probe, report, timing
from posttrain_lab.benchmark.rows import Entrant, Race
from posttrain_lab.cli import app
from posttrain_lab.kernels.cpu.roofline_probe import multiplications

from .results import MACHINE


def command(capsys, monkeypatch, *arguments) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["posttrain-lab", "bench", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as stopped:
        app.main()
    shown = capsys.readouterr()
    return stopped.value.code or 0, shown.out, shown.err


@pytest.fixture
def never_measures(monkeypatch):
    def fail(*_):
        raise AssertionError("measured before the files were checked")

    monkeypatch.setattr(probe, "crashes", fail)


@pytest.mark.usefixtures("never_measures")
@pytest.mark.parametrize("option", ["--csv", "--html"])
def test_a_missing_folder(capsys, monkeypatch, tmp_path, option):
    code, _, err = command(capsys, monkeypatch, option, tmp_path / "no" / "file")
    assert code == 1
    assert err == f"Error: bench wants a folder that exists for {option}, there is no {tmp_path / 'no'}; choose another.\n"


@pytest.mark.usefixtures("never_measures")
def test_a_folder_for_a_file(capsys, monkeypatch, tmp_path):
    code, _, err = command(capsys, monkeypatch, "--csv", tmp_path)
    assert code == 1
    assert err == f"Error: bench wants a file for --csv, {tmp_path} is a folder; add a name.\n"


@pytest.mark.usefixtures("never_measures")
def test_a_read_only_folder(capsys, monkeypatch, read_only_folder):
    code, _, err = command(capsys, monkeypatch, "--html", read_only_folder / "b.html")
    assert code == 1
    assert err == f"Error: bench cannot write into {read_only_folder} for --html; choose another folder.\n"


def test_a_run_writes_both_files_though_targets_fail_and_a_peer_crashed(capsys, monkeypatch, tmp_path):
    fine = Entrant(lambda p: lambda: p.expected("float"))
    small = Race("sparse_linear", 4, 16, 8, 0.5, entrants={"posttrain_lab": fine, "torch_csr": fine})
    monkeypatch.setattr("posttrain_lab.benchmark.rows.races", lambda cores, quick: [small])
    monkeypatch.setattr(probe, "crashes", lambda names: {"sparse_linear/torch_csr": "the process died by SIGSEGV"})
    monkeypatch.setattr(machine, "describe", lambda seconds: MACHINE)
    paths = tmp_path / "b.csv", tmp_path / "b.html"
    code, out, _ = command(capsys, monkeypatch, "--quick", "--csv", paths[0], "--html", paths[1])
    assert code == 0
    assert all(str(path) in out for path in paths)
    assert "sparse_linear, torch_csr: crashed: the process died by SIGSEGV" in out
    with paths[0].open(encoding="utf-8", newline="") as file:
        assert [row["note"] for row in csv.DictReader(file)] == ["", "crashed: the process died by SIGSEGV"]


def test_cores_of_a_container_are_whole_and_at_least_one():
    assert machine.usable_cores() >= 1


def test_peaks_are_measured_and_threads_come_back(monkeypatch):
    monkeypatch.setattr(machine, "MEMORY", 2**20)
    before = torch.get_num_threads()
    found = machine.measure_peaks(1, 0.0)
    assert min(found.fp32, found.int8, found.memory, found.cache) > 0
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("pairs", [False, True])
def test_the_loop_of_multiplications_counts_right(pairs):
    call, operations = multiplications(pairs, repeats=3)
    assert call() == operations // 2


@pytest.mark.slow
def test_a_quick_run_shares_ten_seconds_and_covers_the_table(capsys, monkeypatch, tmp_path):
    """How long the rest takes, such as the fewest rounds of a slow peer, is the processor's business."""
    budgets, run_race = [], timing.run_race

    def noting(race, problem, budget, crashed):
        budgets.append(budget)
        return run_race(race, problem, budget, crashed)

    monkeypatch.setattr(timing, "run_race", noting)
    code, out, _ = command(capsys, monkeypatch, "--quick", "--csv", tmp_path / "b.csv", "--html", tmp_path / "b.html")
    assert code == 0
    assert budgets[0] == pytest.approx(10 / len(budgets))
    assert all(0 <= budget <= 10 for budget in budgets)
    assert "targets hold" in out
    with (tmp_path / "b.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == report.COLUMNS
    ours = [row for row in rows if row["implementation"] == "posttrain_lab"]
    assert all(row["p50"] for row in ours), [row["note"] for row in ours if not row["p50"]]
    assert (tmp_path / "b.html").stat().st_size > 1e6
