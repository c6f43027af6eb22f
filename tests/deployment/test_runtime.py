"""A runtime is asked whether it computes 64 bits before it is believed; a file that changed, or fits no camera, is told."""

import numpy as np
import pytest
import torch

from posttrain_lab.deployment.contract import Contract
from posttrain_lab.deployment.runtime import SUMS, check_runtime, load_onnx, sealed, self_check_model
from posttrain_lab.quantization import to_onnx
from tests.deployment.networks import shipped

onnx = pytest.importorskip("onnx", reason="pip install onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="pip install onnxruntime")


def start(model):
    session = onnxruntime.InferenceSession(model)
    return lambda inputs: session.run(None, inputs)


def cut(values):
    return np.asarray(values).astype(np.int64).astype(np.uint32).astype(np.int32).astype(np.int64)


def cut_to_32_bits(model):
    """A runtime that keeps the low 32 bits of every int64, one node after the other."""
    graph = onnx.load_from_string(model).graph
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    steps = {"Mul": np.multiply, "Add": np.add, "Sub": np.subtract, "Div": lambda a, b: np.trunc(a / np.where(b == 0, 1, b))}

    def run(inputs):
        x = inputs["x"].astype(np.int64)
        for node in graph.node:
            x = cut(steps[node.op_type](x, cut(constants[node.input[1]]))) if node.op_type in steps else x
        return [x.astype(np.int32)]

    return run


def saturated_to_32_bits(model):
    """One that ends at the limits of int32 instead, as OpenVINO does."""
    return lambda inputs: [(np.clip(inputs["x"].astype(np.int64) * 1_518_500_250, -(2**31), 2**31 - 1) >> 31).astype(np.int32)]


def test_onnxruntime_computes_as_the_standard_says():
    check_runtime(start)


@pytest.mark.parametrize("runtime", [cut_to_32_bits, saturated_to_32_bits])
def test_a_runtime_of_32_bits_is_told(runtime):
    with pytest.raises(RuntimeError, match=r"does not compute int64 as ONNX says: sums \[5, -7, 100\]"):
        check_runtime(runtime)


def test_the_question_has_the_operators_of_our_networks():
    asked = {node.op_type for node in self_check_model().graph.node}
    assert asked <= {node.op_type for node in to_onnx(shipped("fashion_cnn")).graph.node}
    assert {"Mul", "Div"} <= asked
    found = start(self_check_model().SerializeToString())({"x": np.array(SUMS, np.int32)})[0]
    assert found.tolist() == [round(one * 0.5**0.5) for one in SUMS]  # none of them lies near a tie


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(sealed(to_onnx(shipped("fashion_cnn")), Contract(inverted=True)))
    return path


def test_a_file_and_its_contract_come_back(written):
    session, contract = load_onnx(written, start)
    images = torch.rand(3, 1, 28, 28)
    assert contract == Contract(inverted=True)
    assert np.array_equal(session({"x": images.numpy()})[0], shipped("fashion_cnn")(images).numpy())


def test_a_file_without_a_contract(written):
    written.write_bytes(sealed(to_onnx(shipped("fashion_cnn")), None))
    assert load_onnx(written, start)[1] is None


@pytest.mark.parametrize("place", [400, 30_000, 60_000])
def test_a_changed_byte(written, place):
    content = bytearray(written.read_bytes())
    content[place] ^= 4
    written.write_bytes(content)
    with pytest.raises(ValueError, match=r"is damaged|is none"):
        load_onnx(written, start)


def test_what_is_no_artefact(written, tmp_path):
    written.write_bytes(written.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"is damaged|is none, or cut short"):
        load_onnx(written, start)
    with pytest.raises(FileNotFoundError, match="load_onnx finds no file"):
        load_onnx(tmp_path / "b.onnx", start)


def test_a_contract_for_another_network(written):
    written.write_bytes(sealed(to_onnx(shipped("fashion_cnn")), Contract(size=(32, 32))))
    with pytest.raises(ValueError, match=r"the contract promises images \[1, 32, 32\]"):
        load_onnx(written, start)


def test_a_wrong_runtime_is_told_at_load(written):
    with pytest.raises(RuntimeError, match="does not compute int64"):
        load_onnx(written, cut_to_32_bits)
