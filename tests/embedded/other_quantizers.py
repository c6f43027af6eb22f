"""Runtimes that quantize by themselves: ExecuTorch and LiteRT on `fashion_cnn`, rows for the table in docs/deployment.md.

    python -m venv other && other/bin/pip install -e . executorch litert-torch onnxruntime
    other/bin/python -m tests.embedded.other_quantizers

Their integers are not ours, so what is compared is the class: with the float network, on 1,000 images. Each has one thread and one image
a call; times are of the processor, and the ratio is to onnxruntime on our integers, measured in the same run. No part of CI: the two and
what they want take gigabytes.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from posttrain_lab.data import load_fashion
from posttrain_lab.experiments.deployables import deployable
from posttrain_lab.models import load_pretrained

from .table import OURS, clocked, p50, runtimes

Call = Callable[[Tensor], np.ndarray]
Found = tuple[str, Call, int]  # name, one image -> logits, bytes of the file
SEEN = 300  # images for the ranges


def quantized(model: nn.Module, quantizer: Any, images: Tensor, **options: Any) -> nn.Module:
    """The exported model with ranges from these images, one at a time."""
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    watched = prepare_pt2e(torch.export.export(model, (images[:1],)).module(), quantizer)
    for image in images.split(1):
        watched(image)
    return convert_pt2e(watched, **options)


def executorch(model: nn.Module, images: Tensor) -> Iterator[Found]:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
    from executorch.exir import to_edge_transform_and_lower
    from executorch.runtime import Runtime

    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    for kind, made in (("float32", model), ("int8", quantized(model, quantizer, images))):
        exported = torch.export.export(made, (images[:1],))
        program = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()]).to_executorch().buffer
        method = Runtime.get().load_program(program).load_method("forward")
        yield f"ExecuTorch, XNNPACK, {kind}", lambda image, run=method.execute: run([image])[0].numpy(), len(program)


def litert(model: nn.Module, images: Tensor) -> Iterator[Found]:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import litert_torch
    from litert_torch.quantize import pt2e_quantizer, quant_config

    settings = pt2e_quantizer.get_symmetric_quantization_config(is_per_channel=True, is_dynamic=False)
    quantizer = pt2e_quantizer.PT2EQuantizer().set_global(settings)
    options = {"quant_config": quant_config.QuantConfig(pt2e_quantizer=quantizer)}
    small = quantized(model, quantizer, images, fold_quantize=False)
    for kind, made, how in (("float32", model, {}), ("int8", small, options)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.tflite"
            litert_torch.convert(made, (images[:1],), **how).export(str(path))
            content = path.read_bytes()
        yield f"LiteRT, {kind}", interpreted(content), len(content)


def interpreted(content: bytes) -> Call:
    """One image through LiteRT's interpreter; an input of codes is rounded as its own scale says."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]["index"]

    def call(image: Tensor) -> np.ndarray:
        x = image.numpy()
        if taken["dtype"] == np.int8:
            scale, zero = taken["quantization"]
            x = np.clip(np.round(x / scale) + zero, -128, 127).astype(np.int8)
        interpreter.set_tensor(taken["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(given)

    return call


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    model, made = load_pretrained("fashion_cnn").eval(), deployable("fashion_cnn", 1000)
    answers = model(made.images).argmax(1).numpy()
    base = next(float(row[2]) for row in runtimes(made) if row[0] == OURS)
    for runtime in (executorch, litert):
        for name, call, size in runtime(model, load_fashion().calibration.images[:SEEN]):
            same = sum(int(call(image).argmax() == answer) for image, answer in zip(made.images.split(1), answers, strict=True))
            ms = p50(clocked(call, made.images[:200]))
            print(f"| fashion_cnn | {name} | {same:,} of 1,000 classes | {ms:.3f} | {ms / base:.2f} | {size:,} |  |", flush=True)


if __name__ == "__main__":
    main()
