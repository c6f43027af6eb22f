"""The words of `simd.py` that round floats to codes. They look at bits: without the sign, floats are ordered like integers.

| word                              | meaning                                                                    | on x86           |
|-----------------------------------|----------------------------------------------------------------------------|------------------|
| `bits_of(x)`                      | the 32 bits of a float32, as int32                                         |                  |
| `size_of(x)`                      | the bits of |x|, as int32: the larger |x|, the larger they are, NaN on top |                  |
| `float_of(bits)`                  | the float32 with these bits                                                |                  |
| `no_sizes()`                      | 16 zeros                                                                   | vpxor            |
| `larger_sizes(t, array, i)`       | the larger of t and the bits of 16 |float32| from array[i:], lane by lane   | vpand, vpmaxsd   |
| `largest_size(t)`                 | the largest lane                                                           | shuffles         |
| `store_rounded(a, i, b, j, f, r)` | a[i : i + 16] = the lowest bits of b[j] * f + r, ...: whole numbers, where | vmulps, vaddps,  |
|                                   | r is so large that no bits are left for fractions                          | vpshufb          |

Sixteen at a time on every machine; LLVM cuts them to the registers there are.
"""

from llvmlite import ir
from numba import types

from .simd import F32, I32, Vector, address, choose, repeated, word

SIXTEEN, SIZES = Vector(F32, 16), Vector(I32, 16)


@word
def bits_of(typing, number):
    """The bits of a float32 as an int32."""

    def code(context, builder, signature, args):
        return builder.bitcast(args[0], I32)

    return types.int32(types.float32), code


@word
def size_of(typing, number):
    """The bits of |x|: as an int32, the larger the larger |x|, NaN on top."""

    def code(context, builder, signature, args):
        return builder.and_(builder.bitcast(args[0], I32), ir.Constant(I32, 0x7FFFFFFF))

    return types.int32(types.float32), code


@word
def float_of(typing, bits):
    """The float32 that has these bits."""

    def code(context, builder, signature, args):
        return builder.bitcast(args[0], F32)

    return types.float32(types.int32), code


@word
def no_sizes(typing):
    """16 zeros."""

    def code(context, builder, signature, args):
        return ir.Constant(SIZES.llvm, None)

    return SIZES(), code


def _larger(builder, one, other):
    return builder.select(builder.icmp_signed(">", one, other), one, other)


@word
def larger_sizes(typing, sizes, array, index):
    """The larger of `sizes` and the bits of |array[index]|, ..., lane by lane."""

    def code(context, builder, signature, args):
        bits = builder.load(address(context, builder, signature.args[1], SIZES.llvm, *args[1:]), align=4)
        return _larger(builder, args[0], builder.and_(bits, ir.Constant(SIZES.llvm, [0x7FFFFFFF] * 16)))

    return SIZES(SIZES, array, types.intp), code


@word
def largest_size(typing, sizes):
    """The largest of 16 lanes."""

    def code(context, builder, signature, args):
        part, half = args[0], 16
        while half > 1:
            half //= 2
            part = _larger(builder, choose(builder, part, range(half)), choose(builder, part, range(half, 2 * half)))
        return builder.extract_element(part, ir.Constant(I32, 0))

    return types.int32(SIZES), code


@word
def store_rounded(typing, array, index, source, start, factor, rounding):
    """array[index : index + 16] = the lowest bits of source[start] * factor + rounding, ...; array: one or two bytes a number."""

    def code(context, builder, signature, args):
        floats = builder.load(address(context, builder, signature.args[2], SIXTEEN.llvm, *args[2:4]), align=4)
        shifted = builder.fadd(builder.fmul(floats, repeated(builder, args[4], SIXTEEN)), repeated(builder, args[5], SIXTEEN))
        kind = ir.VectorType(ir.IntType(array.dtype.bitwidth), 16)
        codes = builder.trunc(builder.bitcast(shifted, SIZES.llvm), kind)
        builder.store(codes, address(context, builder, signature.args[0], kind, *args[:2]), align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, source, types.intp, types.float32, types.float32), code
