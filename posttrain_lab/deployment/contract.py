"""The contract between camera and network: what the network was trained on, so what every photo must be made into.

Nothing fails where it is broken: a network given pixels 0..255 instead of 0..1 is wrong on 83 of 100 images, and 99.8 % sure of itself.
So the contract lies in every artefact, and is checked where one is loaded.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite

from jaxtyping import Float, UInt8
from torch import Tensor

ORDERS = ("RGB", "BGR")


@dataclass(frozen=True)
class Contract:
    """What a network wants of a photo, and what the photos are like.

    size: (height, width) of the network's image. channels: 1 for grey, 3 for colours. low, high: the numbers that stand for the pixels 0
    and 255. inverted: the photos are dark on light where the network knows light on dark, so each pixel v becomes 255 - v.
    turns: how many quarter turns clockwise bring a photo upright (phones store their pictures lying down). order: of a photo's
    channels, "RGB", or "BGR" as OpenCV gives them.
    Raises ValueError, naming the field, for what cannot be.

    >>> Contract(inverted=True).as_json()
    '{"channels": 1, "high": 1.0, "inverted": true, "low": 0.0, "order": "RGB", "size": [28, 28], "turns": 0}'
    """

    size: tuple[int, int] = (28, 28)
    channels: int = 1
    low: float = 0.0
    high: float = 1.0
    inverted: bool = False
    turns: int = 0
    order: str = "RGB"

    def __post_init__(self) -> None:
        whole = len(self.size) == 2 and all(isinstance(one, int) and not isinstance(one, bool) and one >= 1 for one in self.size)
        finite = isfinite(self.low) and isfinite(self.high) and self.low < self.high
        wrong = [
            (not whole, "size to be (height, width), both at least 1", self.size),
            (self.channels not in (1, 3), "channels to be 1 or 3", self.channels),
            (not finite, "low below high, both finite", (self.low, self.high)),
            (not isinstance(self.inverted, bool), "inverted to be True or False", self.inverted),
            (self.turns not in (0, 1, 2, 3), "turns of 0 to 3 quarters", self.turns),
            (self.order not in ORDERS, f"an order of {' or '.join(ORDERS)}", self.order),
        ]
        for is_wrong, wanted, got in wrong:
            if is_wrong:
                raise ValueError(f"Contract wants {wanted}, got {got!r}.")

    def numbers(self, pixels: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The numbers that pixels stand for: low + (high - low) * (pixel / 255)."""
        return self.low + (self.high - self.low) * (pixels.float() / 255)

    def as_json(self) -> str:
        """The contract as one line of JSON, for an artefact."""
        return json.dumps(asdict(self), sort_keys=True)

    def check_fits(self, input_shape: Sequence[int]) -> None:
        """Raise ValueError unless images of this contract are what a network for `input_shape` (channels, height, width) takes."""
        wanted = [self.channels, *self.size]
        if list(input_shape) != wanted:
            raise ValueError(
                f"the contract promises images {wanted}, the network wants {list(input_shape)}; the artefact was put together wrongly."
            )


def contract_of(text: str) -> Contract:
    """Read what `as_json` wrote. Raises ValueError for anything else.

    >>> contract_of(Contract(turns=1).as_json()) == Contract(turns=1)
    True
    """
    try:
        fields = json.loads(text)
        return Contract(**(fields | {"size": tuple(fields["size"])}))
    except (TypeError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"contract_of wants the JSON of a Contract, got {text[:60]!r}; make the artefact again.") from error
