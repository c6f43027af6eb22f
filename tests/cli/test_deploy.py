"""`posttrain-lab deploy`: the three artefacts, and what is told when one cannot be made."""

import sys

import numpy as np
import pytest

from posttrain_lab.cli import app
from posttrain_lab.cli import deploy as command
from posttrain_lab.deployment import compare
from posttrain_lab.deployment import deploy as deployment
from posttrain_lab.deployment.card import check_artefact
from posttrain_lab.deployment.compiled import compiler
from posttrain_lab.deployment.engine import node
from posttrain_lab.deployment.operations import operations
from posttrain_lab.deployment.operations import run as run_operations
from posttrain_lab.deployment.preprocess import Contract
from posttrain_lab.deployment.runtime import load_onnx, start_onnxruntime
from posttrain_lab.deployment.saved import save_program
from posttrain_lab.experiments.deployables import deployable
from tests.deployment.networks import random_network, shipped


def run(capsys, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["posttrain-lab", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stopped:
        app.main()
    printed = capsys.readouterr()
    return stopped.value.code or 0, printed.out, printed.err


@pytest.fixture(scope="module")
def made():
    return {}


@pytest.fixture
def quick(monkeypatch, made):
    """Each network is quantized once for all tests of this module."""
    monkeypatch.setattr(
        command,
        "deployable",
        lambda *asked: made.setdefault(asked, None) or made.update({asked: deployable(*asked)}) or made[asked],
    )


@pytest.fixture
def saved(tmp_path):
    save_program(operations(shipped("fashion_cnn")), tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


def test_a_page_of_a_shipped_network(capsys, monkeypatch, tmp_path, quick):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    code, out, err = run(capsys, monkeypatch, "deploy", "fashion_cnn", "--output", tmp_path / "a.html", "--images", 40, "--open")
    assert (code, err) == (0, "")
    assert "equal to the list of operations" in out
    assert node() is None or "equal to the page's WebAssembly" in out
    assert "400 numbers of 40 images" in out
    assert max(map(len, out.partition("Written:")[0].splitlines())) <= 80
    assert "…" not in out
    assert opened == [(tmp_path / "a.html").as_uri()]
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "ankle boot" in page
    assert '"inverted":false' in page
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.html", "a.html.card.html", "a.html.card.md"]


def test_c_of_a_saved_program(capsys, monkeypatch, tmp_path, saved):
    code, out, _ = run(capsys, monkeypatch, "deploy", saved, "--to", "c", "--output", tmp_path / "net.c", "--images", 20)
    assert code == 0
    assert "RAM for an image" in out
    assert compiler() is None or "equal to the C code" in out
    assert (tmp_path / "net.h").read_text(encoding="utf-8").startswith("#ifndef NET_H")
    check_artefact(tmp_path / "net.c")


def test_the_pruned_one_in_c_says_its_contract(capsys, monkeypatch, tmp_path, quick):
    path = tmp_path / "net.c"
    code, _, _ = run(capsys, monkeypatch, "deploy", "fashion_cnn_pruned", "--to", "c", "--output", path, "--images", 20)
    assert code == 0
    assert r'#define NET_CONTRACT "{\"channels\": 1, \"high\": 1.0' in (tmp_path / "net.h").read_text(encoding="utf-8")


def test_onnx_of_a_saved_program(capsys, monkeypatch, saved, tmp_path):
    code, _, err = run(capsys, monkeypatch, "deploy", saved, "--to", "onnx", "--output", tmp_path / "a.onnx", "--images", 2)
    assert (code, "not from a saved program" in err) == (1, True)


@pytest.mark.parametrize("name", ["fashion_cnn", "fashion_resnet"])
def test_onnx_of_a_shipped_network(capsys, monkeypatch, tmp_path, quick, name):
    pytest.importorskip("onnxruntime", reason="pip install onnxruntime")
    code, out, _ = run(capsys, monkeypatch, "deploy", name, "--to", "onnx", "--output", tmp_path / "a.onnx", "--images", 40)
    assert code == 0
    assert "equal to onnxruntime" in out
    assert name != "fashion_cnn" or (tmp_path / "a.onnx").stat().st_size < 1.2 * 119_950
    session, contract = load_onnx(tmp_path / "a.onnx", start_onnxruntime)
    one = deployable(name, 3)
    assert contract == Contract()
    assert np.array_equal(session({"x": one.images.numpy()})[0], one.network(one.images).numpy())


def test_nothing_is_written_where_a_number_differs(capsys, monkeypatch, tmp_path, saved):
    monkeypatch.setattr(compare, "node", lambda: "node")
    monkeypatch.setattr(compare, "time_engine", lambda program, codes: {"JavaScript": [1.0]})
    monkeypatch.setattr(compare, "run_engine", lambda program, codes: {"JavaScript": np.zeros((len(codes), 10), int)})
    code, _, err = run(capsys, monkeypatch, "deploy", saved, "--output", tmp_path / "a.html", "--images", 40)
    assert (code, (tmp_path / "a.html").exists()) == (1, False)
    assert "the page's JavaScript differs from the network on 40 of 40 images" in err


def test_the_first_block_that_differs_ends_the_comparison(monkeypatch, tmp_path, saved):
    monkeypatch.setattr(compare, "node", lambda: "node")
    monkeypatch.setattr(compare, "BLOCK", 4)
    sevens = iter([0, 7, 0])  # the second block is wrong
    monkeypatch.setattr(
        compare,
        "run_engine",
        lambda program, codes: {"JavaScript": run_operations(program, codes)[-1].reshape(4, -1) + next(sevens)},
    )
    done = []
    with pytest.raises(RuntimeError, match="the page's JavaScript differs from the network on 4 of 8 images"):
        deployment.deploy(deployable(str(saved), 12), "web", tmp_path / "a.html", progress=lambda *counts: done.append(counts))
    assert done == [(4, 12), (8, 12)]


def test_what_cannot_be_run_here_is_said(capsys, monkeypatch, tmp_path, saved):
    for module in (compare, deployment):
        monkeypatch.setattr(module, "node", lambda: None)
        monkeypatch.setattr(module, "compiler", lambda: None)
    for target, told in (("web", "no Node.js"), ("c", "no compiler")):
        path = tmp_path / f"net.{target}"
        code, out, _ = run(capsys, monkeypatch, "deploy", saved, "--to", target, "--output", path, "--images", 2)
        assert (code, told in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nothing",), "or one of fashion_cnn"),
        (("no.safetensors",), "finds no file no.safetensors"),
        (("fashion_cnn", "--to", "toaster"), "wants a target of web, c, onnx"),
        (("fashion_cnn", "--to", "c", "--open"), "--open opens a page"),
        (("fashion_vit",), "'"),
    ],
)
def test_what_cannot_be_deployed(capsys, monkeypatch, tmp_path, arguments, told):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, monkeypatch, "deploy", *arguments)
    assert (code, out) == (1, "")
    assert told in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_program(capsys, monkeypatch, saved):
    saved.write_bytes(saved.read_bytes()[:-1] + b"x")
    code, _, err = run(capsys, monkeypatch, "deploy", saved)
    assert (code, "damaged" in err) == (1, True)


def test_a_folder_that_does_not_exist(capsys, monkeypatch, tmp_path, saved):
    code, _, err = run(capsys, monkeypatch, "deploy", saved, "--output", tmp_path / "no" / "a.html", "--images", 2)
    assert code == 1
    assert "deploy wants a folder that exists for --output" in err


def test_an_arena_over_the_budget(capsys, monkeypatch, tmp_path, saved):
    path = tmp_path / "a.c"
    code, _, err = run(capsys, monkeypatch, "deploy", saved, "--to", "c", "--budget", 4096, "--images", 2, "--output", path)
    assert (code, path.exists()) == (1, False)
    assert "bytes, the budget is 4096; the largest parts are" in err


def test_a_page_of_what_takes_no_pictures(capsys, monkeypatch, tmp_path):
    program = operations(random_network(0)[0])  # two channels
    save_program(program, tmp_path / "two.safetensors")
    path = tmp_path / "a.html"
    code, _, err = run(capsys, monkeypatch, "deploy", tmp_path / "two.safetensors", "--output", path, "--images", 2)
    assert (code, "wants a network for pictures of 1 or 3 channels" in err, path.exists()) == (1, True, False)
