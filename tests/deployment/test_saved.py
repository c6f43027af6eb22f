"""A saved program comes back the same; a damaged or foreign file is told."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from posttrain_lab.content_checksum import content_checksum
from posttrain_lab.data import load_fashion
from posttrain_lab.deployment.operations import input_codes, operations, run
from posttrain_lab.deployment.preprocess import Contract
from posttrain_lab.deployment.saved import FORMAT, arrays_of, as_json, load_program, save_program
from tests.deployment.networks import shipped


@pytest.mark.parametrize("name", ["fashion_cnn", "fashion_resnet"])
def test_saved_and_loaded(name, tmp_path):
    program = operations(shipped(name))
    save_program(program, tmp_path / "network.safetensors")
    again = load_program(tmp_path / "network.safetensors")
    assert as_json(again) == as_json(program)
    assert arrays_of(again).keys() == arrays_of(program).keys()
    codes = input_codes(program, load_fashion().validation.images[:9]).numpy()
    assert np.array_equal(run(again, codes)[-1], run(program, codes)[-1])
    assert (tmp_path / "network.safetensors").stat().st_size < 1.3 * program.weight_bytes


@pytest.fixture
def saved(tmp_path):
    save_program(operations(shipped("fashion_cnn")), tmp_path / "a")
    return tmp_path / "a"


@pytest.mark.parametrize("place", [-1, -1000, 1500])
def test_a_changed_byte(saved, place):
    content = bytearray(saved.read_bytes())
    content[place] ^= 1
    saved.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged|is none"):
        load_program(saved)


def test_a_file_cut_short(saved):
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut short"):
        load_program(saved)


def test_a_file_of_another_kind(tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "a")
    with pytest.raises(ValueError, match="wants a file of save_program"):
        load_program(tmp_path / "a")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="finds no file"):
        load_program(tmp_path / "a")


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(OSError, match="save_program cannot write"):
        save_program(operations(shipped("fashion_cnn")), tmp_path / "no" / "a")


def test_the_contract_is_saved_too(tmp_path):
    contract = Contract(low=-1.0, inverted=True, turns=3, order="BGR")
    program = replace(operations(shipped("fashion_cnn")), contract=contract)
    save_program(program, tmp_path / "a")
    again = load_program(tmp_path / "a")
    assert again.contract == contract
    assert torch.equal(again.pixel_codes, program.pixel_codes)


def rewritten(path, change):
    """The same file with another graph, and a checksum that is right."""
    tensors, graph = load_file(path), as_json(load_program(path))
    change(graph)
    about = {"format": FORMAT, "graph": json.dumps(graph, sort_keys=True)}
    save_file(tensors, path, about | {"checksum": content_checksum(tensors.items(), about)})


def test_a_contract_of_another_size_is_told_at_load(saved):
    rewritten(saved, lambda graph: graph.update(contract=json.loads(Contract(size=(32, 32)).as_json())))
    with pytest.raises(ValueError, match=r"the contract promises images \[1, 32, 32\], the network wants \[1, 28, 28\]"):
        load_program(saved)


def test_a_file_from_before_there_were_contracts(saved):
    rewritten(saved, lambda graph: graph.pop("contract"))
    assert load_program(saved).contract is None
