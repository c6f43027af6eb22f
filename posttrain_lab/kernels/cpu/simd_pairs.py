"""The words of `simd.py` for Winograd's inner product, which multiplies sums of two int8 (see `winograd.py`).

| word                            | meaning                                                                        | on x86              |
|---------------------------------|--------------------------------------------------------------------------------|---------------------|
| `even_bytes(v)`, `odd_bytes(v)` | of 4L int8 those at 0, 2, 4 ..., at 1, 3, 5 ..., as 2L int16                   | vpsllw, vpsraw      |
| `add_words(a, b)`               | a + b, int16                                                                   | vpaddw              |
| `store_mixed(array, i, a, b)`   | array[i : i + 4L] = a[0], a[1], b[0], b[1], a[2], a[3], b[2], b[3] ... (int16) | vpunpck, vperm2i128 |
"""

from llvmlite import ir
from numba import types

from .simd import BYTES, I32, LANES, SUMS, WORDS, address, word

EIGHT = ir.Constant(WORDS.llvm, [8] * WORDS.lanes)


@word
def even_bytes(typing, vector):
    """The int8 at 0, 2, 4 ... of a vector, as int16."""

    def code(context, builder, signature, args):
        return builder.ashr(builder.shl(builder.bitcast(args[0], WORDS.llvm), EIGHT), EIGHT)

    return WORDS(BYTES), code


@word
def odd_bytes(typing, vector):
    """The int8 at 1, 3, 5 ... of a vector, as int16."""

    def code(context, builder, signature, args):
        return builder.ashr(builder.bitcast(args[0], WORDS.llvm), EIGHT)

    return WORDS(BYTES), code


@word
def add_words(typing, a, b):
    """a + b, int16."""

    def code(context, builder, signature, args):
        return builder.add(*args)

    return WORDS(WORDS, WORDS), code


@word
def store_mixed(typing, array, index, a, b):
    """array[index : index + 4 * LANES] = a[0], a[1], b[0], b[1], a[2], a[3], b[2], b[3] ...: int16, by pairs from a and b in turn."""

    def code(context, builder, signature, args):
        one, other = (builder.bitcast(vector, SUMS.llvm) for vector in args[2:])
        order = [lane + start for lane in range(LANES) for start in (0, LANES)]
        mixed = builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(I32, 2 * LANES), order))
        builder.store(mixed, address(context, builder, signature.args[0], mixed.type, *args[:2]), align=2)
        return context.get_dummy_value()

    return types.void(array, types.intp, WORDS, WORDS), code
