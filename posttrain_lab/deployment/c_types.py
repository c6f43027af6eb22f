"""Whole numbers as C knows them: types of a fixed width, promotion, and arithmetic that says where C leaves the result open."""

import operator
from collections.abc import Callable
from dataclasses import dataclass


class CError(ValueError):
    """A text that is not the C which is read here, or that does what C leaves undefined."""


@dataclass(frozen=True)
class Kind:
    """An integer type of C.

    >>> Kind(8, True).of(130), Kind(8, False).of(-1)
    (-126, 255)
    """

    bits: int
    signed: bool = True

    def of(self, value: int) -> int:
        """The value after a conversion to this type: its lowest bits."""
        value &= (1 << self.bits) - 1
        return value - (1 << self.bits) if self.signed and value >> (self.bits - 1) else value

    def inside(self, value: int) -> int:
        """The result of arithmetic in this type: unsigned wraps around, signed must not leave its range."""
        if self.signed and not -(1 << (self.bits - 1)) <= value < 1 << (self.bits - 1):
            raise CError(f"a result leaves the range of int{self.bits}_t; what it is then, C leaves open")
        return value if self.signed else self.of(value)


INT, WIDE = Kind(32), Kind(64)
TYPES = {f"{'' if signed else 'u'}int{bits}_t": Kind(bits, signed) for bits in (8, 16, 32, 64) for signed in (True, False)}
TYPES |= {"int": INT, "char": Kind(8, False)}  # char as on Arm: there it is unsigned
CONSTANTS = {
    f"{'' if kind.signed else 'U'}INT{kind.bits}_{end}": (kind, value)
    for kind in TYPES.values()
    for end, value in (("MIN", -(1 << (kind.bits - 1))), ("MAX", (1 << (kind.bits - kind.signed)) - 1))
    if kind.signed or end == "MAX"
}
COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda a, b: abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1),  # towards zero
    "%": lambda a, b: abs(a) % abs(b) * (-1 if a < 0 else 1),
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "<<": lambda a, b: a << b,
    ">>": lambda a, b: a >> b,
}


def promoted(kind: Kind) -> Kind:
    """Types below int become int in an expression."""
    return INT if kind.bits < INT.bits else kind


def common(first: Kind, second: Kind) -> Kind:
    """The type in which C adds or compares two numbers: the wider one; unsigned, when both are as wide and one is.

    >>> common(Kind(8), Kind(16, False)), common(Kind(32), Kind(64))
    (Kind(bits=32, signed=True), Kind(bits=64, signed=True))
    """
    first, second = promoted(first), promoted(second)
    if first.bits != second.bits:
        return max(first, second, key=lambda kind: kind.bits)
    return Kind(first.bits, first.signed and second.signed)


def binary(sign: str, first: Kind, second: Kind) -> tuple[Kind, Callable[[int, int], int]]:
    """The type of `first sign second`, and the function that computes it.

    >>> binary("*", TYPES["int32_t"], TYPES["int64_t"])[1](2**31 - 1, 4)
    8589934588
    """
    kind = promoted(first) if sign in ("<<", ">>") else common(first, second)
    if sign in COMPARISONS:
        test = COMPARISONS[sign]
        return INT, (lambda a, b: int(test(a, b))) if kind.signed else (lambda a, b: int(test(kind.of(a), kind.of(b))))
    compute = ARITHMETIC[sign]
    if kind.signed and sign in ("+", "-", "*"):  # most of the work
        low, high = -(1 << (kind.bits - 1)), (1 << (kind.bits - 1)) - 1

        def plain(a: int, b: int) -> int:
            result = compute(a, b)
            return result if low <= result <= high else kind.inside(result)

        return kind, plain

    def checked(a: int, b: int) -> int:
        if sign in ("/", "%") and not b:
            raise CError("a division by 0")
        if sign in ("<<", ">>") and not 0 <= b < kind.bits:
            raise CError(f"a shift by {b} of a number of {kind.bits} bits; widen it first, as in (int64_t)1 << n")
        if sign == "<<" and kind.signed and a < 0:
            raise CError("a negative number shifted to the left; multiply instead")
        return kind.inside(compute(kind.of(a), b if sign in ("<<", ">>") else kind.of(b)))

    return kind, checked
