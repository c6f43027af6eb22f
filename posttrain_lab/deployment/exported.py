"""A network as one file for another runtime: the computation of inference alone, for any number of images."""

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from posttrain_lab.metrics import check_model
from posttrain_lab.quantization import GraphNetwork, IntegerNetwork, to_onnx


def export(model: nn.Module, example: Float[Tensor, "n ..."]) -> Any:
    """The model for other runtimes, in eval mode, on the CPU, with a free batch: a torch.export.ExportedProgram.

    example [n, ...]: images that the model takes; one is enough. An integer network (`quantize_model`, mode "integer") becomes an
    onnx.ModelProto by `to_onnx`, which has its operators. The model itself is not changed: each module keeps its mode and its device.

    Three usual mistakes: in train mode batch norm uses the batch's own mean (accuracy .826 at batch 1, not .921); an example of one
    image makes the batch a constant 1 (`Constraints violated`), so it is taken twice here; and a model left on the GPU takes no image
    from elsewhere.
    Raises TypeError unless it gets an nn.Module and a Tensor, ValueError for no images or, from an integer network, another size;
    torch's own errors for a model whose path depends on its data.

    >>> program = export(nn.Sequential(nn.Linear(2, 3), nn.Dropout()), torch.zeros(1, 2))
    >>> program.module()(torch.zeros(7, 2)).shape
    torch.Size([7, 3])
    """
    check_model("export", model)
    if not isinstance(example, Tensor):
        raise TypeError(f"export wants example to be a Tensor, got {type(example).__name__}; give one image [1, ...].")
    if example.ndim < 2 or not example.numel():
        raise ValueError(f"export wants an example [n, ...] with n >= 1, got {list(example.shape)}; add the batch's axis.")
    if isinstance(model, IntegerNetwork | GraphNetwork):
        if tuple(example.shape[1:]) != tuple(model.input_shape):
            raise ValueError(f"export wants an example [n, {', '.join(map(str, model.input_shape))}], got {list(example.shape)}.")
        return to_onnx(model)
    inference = copy.deepcopy(model).cpu().eval()
    two = example.cpu() if len(example) > 1 else torch.cat([example.cpu()] * 2)
    return torch.export.export(inference, (two,), dynamic_shapes=({0: torch.export.Dim("n")},))
