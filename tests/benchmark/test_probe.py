"""A peer that ends its process is named; the others are tried without it."""

import subprocess
import sys

import pytest

from posttrain_lab.benchmark import probe
from posttrain_lab.benchmark.rows import LINEUP, OURS

SCRIPT = """
import os, signal, sys
for name in sys.argv[1:]:
    print(name, flush=True)
    if name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "left":
        os._exit(7)
"""
COMMAND = (sys.executable, "-c", SCRIPT)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_the_culprits_are_found():
    found = probe.crashes(["a", "killed", "b", "left", "c"], COMMAND)
    assert found == {"killed": "the process died by SIGKILL", "left": "the process ended with code 7"}


def test_nothing_crashes():
    assert probe.crashes(["a", "b"], COMMAND) == {}


def test_a_probe_that_does_not_run_says_nothing_about_peers():
    assert probe.crashes(["a"], (sys.executable, "-c", "raise SystemExit(1)")) == {}


def test_a_peer_that_hangs_is_named(monkeypatch):
    """Nobody waits here: the clock runs out as soon as the peer's name is printed."""
    run = subprocess.run

    def out_of_time(command, *, timeout, **options):
        if "slow" in command:
            raise subprocess.TimeoutExpired(command, timeout, output=b"slow\n")
        return run(command, timeout=timeout, **options)

    monkeypatch.setattr(subprocess, "run", out_of_time)
    assert probe.crashes(["slow", "b"], COMMAND) == {"slow": "no answer in 60 s"}


def test_every_peer_is_tried_and_none_of_ours():
    found = probe.trials()
    assert "int8_matmul/torch_int_mm" in found
    assert "int8_conv2d/torch_quantized_x86" in found
    assert not any(OURS in trial for trial in found)
    assert len(found) == sum(not name.startswith(OURS) for entrants in LINEUP.values() for name in entrants)


def test_a_trial_runs_the_peer_and_keeps_its_errors(monkeypatch, capsys):
    from posttrain_lab.benchmark.rows import Entrant

    tried = []

    def fails(problem):
        tried.append((problem.op, problem.m, problem.k, problem.n))
        raise RuntimeError("no such engine")

    monkeypatch.setitem(LINEUP["int8_matmul"], "peer", Entrant(fails))
    probe.main(["int8_matmul/peer"])
    assert tried == [("int8_matmul", 32, 64, 48)]
    assert capsys.readouterr().out == "int8_matmul/peer\n"
