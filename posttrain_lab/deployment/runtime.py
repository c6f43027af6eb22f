"""Does a runtime compute 64-bit integers as the ONNX standard says? Asked at load, before its answers are believed.

OpenVINO's CPU plugin computes int64 in int32, without a word: of our integer graphs 268 of 300 classes came out wrong (2026.4.1). A float
network runs rightly there.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posttrain_lab.quantization.onnx_builder import Graph, onnx_model, onnx_package

from .contract import Contract, contract_of

Session = Callable[[dict[str, np.ndarray]], Sequence[Any]]
SUMS = (0, 1, -1, 5, -7, 100, -1000, 2**20 + 3, -(2**24) - 1)
MULTIPLIER, SHIFT, EXPONENT = 1_518_500_250, 31, 56  # the middle of the multipliers' range: sqrt(1/2) of 2^31


def self_check_model() -> Any:
    """An onnx.ModelProto of the operators that `to_onnx` rescales sums with: "x" int32 [n] -> "y" int32 [n].

    y = floor((x * 1518500250 + 2^30) / 2^31): x times the square root of one half, rounded. The products need 56 bits.
    Raises ImportError with the pip command when onnx is missing.
    """
    kinds, info = onnx_package().TensorProto, onnx_package().helper.make_tensor_value_info
    graph = Graph()
    graph.add("Cast", to=kinds.INT64)
    graph.add("Mul", np.int64(MULTIPLIER))
    graph.add("Add", np.int64(2**EXPONENT + 2 ** (SHIFT - 1)))
    graph.add("Div", np.int64(2**SHIFT))
    graph.add("Sub", np.int64(2 ** (EXPONENT - SHIFT)))
    graph.add("Cast", to=kinds.INT32, output="y")
    return onnx_model(graph, info("x", kinds.INT32, ["n"]), [info("y", kinds.INT32, ["n"])])


def check_runtime(start: Callable[[bytes], Session]) -> None:
    """Raise RuntimeError unless a runtime rescales int32 sums exactly, in 64-bit integers.

    start: makes a session of an ONNX file's bytes; the session gets {"x": int32 [n]} and gives its outputs as a sequence.

    >>> check_runtime(start_onnxruntime)
    """
    found = np.asarray(start(self_check_model().SerializeToString())({"x": np.array(SUMS, np.int32)})[0])
    want = [(one * MULTIPLIER + 2 ** (SHIFT - 1)) >> SHIFT for one in SUMS]
    if found.ravel().tolist() != want:
        raise RuntimeError(
            f"this runtime does not compute int64 as ONNX says: sums {list(SUMS[3:6])} times 0.7071 became {found.ravel().tolist()[3:6]}, "
            f"not {want[3:6]}. Integer networks are wrong in it without a word; use onnxruntime, or the float network."
        )


def sealed(model: Any, contract: Contract | None) -> bytes:
    """The bytes of an ONNX file that carries its contract with the camera, and a SHA-256 over its graph and the contract."""
    text = contract.as_json() if contract else ""
    onnx_package().helper.set_model_props(model, {"contract": text, "sha256": _seal(model, text)})
    return model.SerializeToString()


def _seal(model: Any, contract: str) -> str:
    return hashlib.sha256(model.graph.SerializeToString(deterministic=True) + contract.encode()).hexdigest()


def load_onnx(path: str | Path, start: Callable[[bytes], Session]) -> tuple[Session, Contract | None]:
    """A session of a file that `deploy` wrote, and its contract; file, contract and runtime are checked first.

    start: as for `check_runtime`. Raises FileNotFoundError for no such file; ValueError for one that is damaged, or whose contract is not
    that of the network's input; RuntimeError for a runtime that computes wrongly; ImportError with the pip command without onnx.
    """
    path, onnx = Path(path), onnx_package()
    if not path.is_file():
        raise FileNotFoundError(f"load_onnx finds no file {path}; write one with posttrain-lab deploy --to onnx.")
    try:
        model = onnx.load_from_string(path.read_bytes())
    except Exception as error:  # protobuf has no common class of errors
        raise ValueError(f"load_onnx wants an ONNX file, {path} is none, or cut short; copy or make it again.") from error
    said = {one.key: one.value for one in model.metadata_props}
    if said.get("sha256") != _seal(model, said.get("contract", "")):
        raise ValueError(f"{path} is damaged, or not from deploy: its SHA-256 is not that of its graph; copy or make it again.")
    contract = contract_of(said["contract"]) if said["contract"] else None
    if contract is not None:
        contract.check_fits([one.dim_value for one in model.graph.input[0].type.tensor_type.shape.dim[1:]])
    check_runtime(start)
    return start(path.read_bytes()), contract


def start_onnxruntime(model: bytes) -> Session:
    """A function that runs an ONNX model on one thread. Raises ImportError with the pip command without it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError('start_onnxruntime wants the package onnxruntime; run: pip install "posttrain-lab[peers]"') from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(None, inputs)
