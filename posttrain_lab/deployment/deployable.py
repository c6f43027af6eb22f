"""What is to be deployed: the program, what it came from, and what is known of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, Int, Int8
from torch import Tensor, nn

from .operations import expected, input_codes, run
from .program import IntegerProgram

PART = 20  # images at a time: all values of all operations live at once


@dataclass(frozen=True)
class About:
    """What no measurement tells: the data a network was trained on, what it is for, and where it must not be trusted."""

    data: str = "Not known: the program came from a file."
    use: str = "Not known: the program came from a file."
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Deployable:
    """A program; `network`: where it came from, None for a file; images [n, ...] as floats, to compare and to measure on.

    labels [n], where known; names of the classes, and the temperature of the confidences.
    """

    name: str
    program: IntegerProgram
    images: Float[Tensor, "n ..."]
    network: nn.Module | None = None
    labels: Int[Tensor, " n"] | None = None
    classes: tuple[str, ...] = ()
    temperature: float = 1.0
    about: About = field(default_factory=About)

    def blocks(self, size: int) -> Iterator["Deployable"]:
        """The same with `size` of the images at a time, and their labels; one of no images when there are none."""
        for first in range(0, max(1, len(self.images)), size):
            labels = None if self.labels is None else self.labels[first : first + size]
            yield replace(self, images=self.images[first : first + size], labels=labels)

    def codes(self) -> Int8[np.ndarray, "n h w c"]:
        """The images as the program takes them."""
        return input_codes(self.program, self.images).numpy()

    def listed(self) -> Int[np.ndarray, "n out"]:
        """The result of the list of operations, one after the other in NumPy, for every image."""
        codes = self.codes()
        parts = [run(self.program, codes[first : first + PART])[-1] for first in range(0, len(codes), PART)]
        return np.concatenate(parts).reshape(len(codes), -1)

    def wanted(self) -> Int[np.ndarray, "n out"]:
        """What every artefact must give: the network's own integers; of a file, those of its operations."""
        return self.listed() if self.network is None else expected(self.network, self.images).numpy()

    def logits(self, integers: Int[np.ndarray, "n out"]) -> Float[Tensor, "n out"]:
        """The numbers that a result's integers stand for."""
        places = self.program.result.count // len(self.program.output_scale)
        scale = torch.tensor(self.program.output_scale, dtype=torch.float64).repeat(places)
        return (torch.from_numpy(integers).double() - self.program.output_zero) * scale


def from_program(name: str, program: IntegerProgram, count: int) -> Deployable:
    """A program alone: its images are noise in the whole range of its codes, its classes have numbers for names.

    >>> from posttrain_lab.deployment.operations import operations
    >>> from posttrain_lab.quantization import QuantizationConfig, quantize_model
    >>> network = quantize_model(nn.Sequential(nn.Linear(2, 3)), torch.rand(8, 2), QuantizationConfig(mode="integer"))
    >>> from_program("small", operations(network), count=4).classes
    ('0', '1', '2')
    """
    x, half = program.input, 2 ** (program.input.bits - 1)
    codes = torch.randint(-half, half, (count, *program.input_shape), generator=torch.Generator().manual_seed(0))
    images = (codes - x.zero_point).float() * x.scale
    return Deployable(name, program, images, classes=tuple(str(number) for number in range(program.result.count)))
