"""How many weights share one scale: all of them, one channel, or one group of neighbours in a channel.

The fewer weights share a scale, the smaller its steps can be, and the more scales must be stored beside the codes.

| granularity      | weight [out, in]: scales | extra bytes a weight (float32 scales) |
|------------------|--------------------------|---------------------------------------|
| `PerTensor()`    | 1                        | 4 / (out * in)                        |
| `PerChannel()`   | out                      | 4 / in                                |
| `PerGroup(size)` | out * in / size          | 4 / size                              |
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PerTensor:
    """One scale for the whole tensor."""


@dataclass(frozen=True)
class PerChannel:
    """One scale for each index along `axis`; 0 is the output channel of `nn.Linear` and `nn.Conv2d`.

    >>> PerChannel()
    PerChannel(axis=0)
    """

    axis: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.axis, bool) or not isinstance(self.axis, int):
            raise TypeError(f"PerChannel wants a whole number as axis, got {self.axis!r}; use 0 for output channels.")


@dataclass(frozen=True)
class PerGroup:
    """One scale for each `size` neighbouring weights of an output channel, in memory order.

    >>> PerGroup(32)
    PerGroup(size=32)
    """

    size: int

    def __post_init__(self) -> None:
        if isinstance(self.size, bool) or not isinstance(self.size, int):
            raise TypeError(f"PerGroup wants a whole number as size, got {self.size!r}; 32, 64 and 128 are usual.")
        if self.size < 1:
            raise ValueError(f"PerGroup wants a size of at least 1, got {self.size}; 32, 64 and 128 are usual.")


Granularity = PerTensor | PerChannel | PerGroup
