"""PyTorch's own ways to the same numbers: PT2E (in torchao) for static and dynamic, torch's fake quantization for weights alone.

torchao's X86InductorQuantizer stops at residual networks ("Input partition has more than one output node"), so its settings for int8
activations (histogram observer, affine) and weights (per channel, symmetric) are put on each conv2d and linear here.
"""

import copy
import warnings

import torch
from torch import nn


def pt2e(model: nn.Module, calibration: torch.Tensor, x: torch.Tensor, dynamic: bool) -> torch.Tensor:
    """The outputs of the network as PT2E quantizes it: int8 operands of every convolution and linear layer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _pt2e(model, calibration, x, dynamic)


def _pt2e(model: nn.Module, calibration: torch.Tensor, x: torch.Tensor, dynamic: bool) -> torch.Tensor:
    import torchao.quantization.pt2e.quantizer.x86_inductor_quantizer as x86
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, Quantizer

    config = x86.get_default_x86_inductor_quantization_config(is_dynamic=dynamic)

    class Products(Quantizer):
        def annotate(self, model: torch.fx.GraphModule) -> torch.fx.GraphModule:
            for node in model.graph.nodes:
                if node.target in (torch.ops.aten.conv2d.default, torch.ops.aten.linear.default):
                    settings = {node.args[0]: config.input_activation, node.args[1]: config.weight}
                    node.meta["quantization_annotation"] = QuantizationAnnotation(input_qspec_map=settings, _annotated=True)
            return model

        def validate(self, model: torch.fx.GraphModule) -> None:
            pass

    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    batch = ({0: torch.export.Dim("batch")},)
    graph = torch.export.export(model, (calibration[:2],), dynamic_shapes=batch, strict=False).module(check_guards=False)
    torch.backends.mha.set_fastpath_enabled(enabled)
    prepared = prepare_pt2e(graph, Products())
    with torch.no_grad():
        for part in calibration.split(8):
            prepared(part)
        converted = convert_pt2e(prepared)
        return torch.cat([converted(part) for part in x.split(8)])


@torch.no_grad()
def rounded_weights(model: nn.Module, x: torch.Tensor, bits: int) -> torch.Tensor:
    """The outputs with every weight of a convolution, linear layer or attention rounded by torch's own fake quantization."""
    model, top = copy.deepcopy(model), 2 ** (bits - 1) - 1
    for module in model.modules():
        weights = [getattr(module, name, None) for name in ("weight", "in_proj_weight")]
        for weight in weights if isinstance(module, nn.Linear | nn.Conv2d | nn.MultiheadAttention) else []:
            if weight is not None:
                scale = weight.flatten(1).abs().amax(1).clamp_min(1e-12) / top
                zeros = torch.zeros(len(scale), dtype=torch.int32)
                weight.copy_(torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -top - 1, top))
    return torch.cat([model(part) for part in x.split(8)])
