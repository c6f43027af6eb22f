"""The words of `simd.py` that bring int32 sums into a matrix: subtract, scale, and stop at its edge.

| word                          | meaning                                                                      | on x86             |
|-------------------------------|------------------------------------------------------------------------------|--------------------|
| `load_sums(array, i)`         | L int32 from array[i:]                                                       | vmovdqu            |
| `subtract_sums(sums, r)`      | sums - r                                                                     | vpsubd             |
| `scaled_sums(sums, a, s, b)`  | float32(sums) * (a * s) + b for vectors sums, s, b and one number a          | vcvtdq2ps, vmulps  |
| `scaled_floats(y, a, b)`      | y * a + b for vectors y and b and one number a                               | vmulps, vaddps     |
| `positive(y)`                 | y, and 0 where it is below                                                   | vcmpps, vandps     |
| `load_up_to(array, i, last)`  | L numbers (int32 or float32) from array[i:]; beyond `last` that one repeated | vmovss, vpinsrd    |
| `store_up_to(array, i, v, n)` | array[i : i + n] = the first n numbers of a vector; n >= L: all              | vmovups, or vmovss |
"""

from llvmlite import ir
from numba import types

from .simd import I32, LANES, SUMS, address, repeated, word
from .simd_floats import SCALED


@word
def load_sums(typing, array, index):
    """LANES int32 from array[index:]."""

    def code(context, builder, signature, args):
        return builder.load(address(context, builder, signature.args[0], SUMS.llvm, *args), align=4)

    return SUMS(array, types.intp), code


@word
def subtract_sums(typing, sums, other):
    """sums - other; what wrapped around in int32 wraps back."""

    def code(context, builder, signature, args):
        return builder.sub(*args)

    return SUMS(SUMS, SUMS), code


@word
def scaled_sums(typing, sums, number, scales, bias):
    """float32(sums) * (number * scales) + bias, rounded after each step."""

    def code(context, builder, signature, args):
        scale = builder.fmul(repeated(builder, args[1], SCALED), args[2])
        return builder.fadd(builder.fmul(builder.sitofp(args[0], SCALED.llvm), scale), args[3])

    return SCALED(SUMS, types.float32, SCALED, SCALED), code


@word
def scaled_floats(typing, floats, number, bias):
    """floats * number + bias, rounded after each step."""

    def code(context, builder, signature, args):
        return builder.fadd(builder.fmul(args[0], repeated(builder, args[1], SCALED)), args[2])

    return SCALED(SCALED, types.float32, SCALED), code


@word
def positive(typing, vector):
    """The vector, and 0 where it is below."""

    def code(context, builder, signature, args):
        none = ir.Constant(SCALED.llvm, None)
        return builder.select(builder.fcmp_ordered("<", args[0], none), none, args[0])

    return SCALED(SCALED), code


def _kind(array):
    """The vector that an array's numbers fill."""
    return SUMS if array.dtype == types.int32 else SCALED


@word
def load_up_to(typing, array, index, last):
    """LANES numbers from array[index:], int32 or float32; what would lie beyond array[last] is that number again."""
    kind = _kind(array)

    def code(context, builder, signature, args):
        vector = ir.Constant(kind.llvm, ir.Undefined)
        for lane in range(LANES):
            place = builder.add(args[1], ir.Constant(args[1].type, lane))
            place = builder.select(builder.icmp_signed("<", place, args[2]), place, args[2])
            number = builder.load(address(context, builder, signature.args[0], kind.element, args[0], place), align=4)
            vector = builder.insert_element(vector, number, ir.Constant(I32, lane))
        return vector

    return kind(array, types.intp, types.intp), code


@word
def store_up_to(typing, array, index, vector, many):
    """array[index : index + many] = the first numbers of a vector; all of it where `many` is LANES or more."""

    def code(context, builder, signature, args):
        def place(kind, lane):
            at = builder.add(args[1], ir.Constant(args[1].type, lane))
            return address(context, builder, signature.args[0], kind, args[0], at)

        with builder.if_else(builder.icmp_signed(">=", args[3], ir.Constant(args[3].type, LANES))) as (whole, part):
            with whole:
                builder.store(args[2], place(vector.llvm, 0), align=4)
            with part:
                for lane in range(LANES - 1):
                    with builder.if_then(builder.icmp_signed(">", args[3], ir.Constant(args[3].type, lane))):
                        number = builder.extract_element(args[2], ir.Constant(I32, lane))
                        builder.store(number, place(vector.element, lane), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), code
