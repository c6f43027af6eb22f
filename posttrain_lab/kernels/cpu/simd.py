"""A tiny SIMD vocabulary for Numba: a vector is a Numba type, a word is one intrinsic over portable LLVM code.

| word                                  | meaning, for L = LANES                                                | on x86           |
|---------------------------------------|-----------------------------------------------------------------------|------------------|
| `zero()`                              | L int32 zeros                                                         | vpxor            |
| `load(array, i)`                      | 2L int16 from array[i:]                                               | vmovdqu          |
| `load_widen(array, i)`                | 2L int8 from array[i:], widened to int16                              | vpmovsxbw        |
| `broadcast_pair(array, i)`            | array[i], array[i + 1] (int16), repeated L times                      | vpbroadcastd     |
| `multiply_add_pairs(t, a, b)`         | t[i] + a[2i] * b[2i] + a[2i+1] * b[2i+1] for L values of i            | vpmaddwd, vpaddd |
| `total(v)`                            | the sum of L int32                                                    | shuffles, adds   |
| `store(array, i, v)`                  | array[i : i + L] = v (int32; or 2L int16)                             | vmovdqu          |
| `add_transposed(a, i, s, b, j, t)`    | a[i + r * s + c] += b[j + c * t + r] for r, c < L (int32)             | vunpck, vperm    |
| `store_transposed(a, i, s, b, at, r, j)` | a[i + c * s + r'] = the c-th four bytes from b[at[r + r'] + j] for r', c < L | the same         |

Words for bytes are in `simd_bytes.py`, for floats in `simd_floats.py`, for sums that become results in `simd_scaling.py`. Nearly all words
leave the instruction to LLVM (NEON: two registers for one vector); those for bytes name x86's where it has one. LANES looks at the
processor, to fill the wide registers of AVX-512.

Arrays are flat and contiguous, indices count elements, and no word checks bounds: the caller does.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from posttrain_lab.kernels.processor import has

word: Any = intrinsic  # Any: a kernel calls a word without its first argument, which no type checker knows


LANES = 16 if has("avx512bw") else 8  # int32 in a vector

I8, I16, I32, F32 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.FloatType()


class Vector(types.Type):
    """`lanes` numbers of one LLVM type."""

    def __init__(self, element: ir.Type, lanes: int):
        self.element, self.lanes = element, lanes
        super().__init__(name=f"Vector({element} x {lanes})")

    @property
    def llvm(self) -> ir.VectorType:
        return ir.VectorType(self.element, self.lanes)


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """Numba hands a Vector to LLVM as an LLVM vector."""

    def __init__(self, manager, vector):
        super().__init__(manager, vector, vector.llvm)


BYTES, WORDS, SUMS = Vector(I8, 4 * LANES), Vector(I16, 2 * LANES), Vector(I32, LANES)  # to multiply, and to add up


def address(context, builder, array_type, pointee, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), pointee.as_pointer())


def instruction(builder, name, *operands):
    """One LLVM intrinsic of vectors of one type."""
    kind = operands[0].type
    return builder.call(
        cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * len(operands)), name), operands
    )


def repeated(builder, number, vector):
    """One number in all lanes."""
    one = builder.insert_element(ir.Constant(vector.llvm, ir.Undefined), number, ir.Constant(I32, 0))
    return choose(builder, one, [0] * vector.lanes)


def choose(builder, vector, lanes):
    """The named lanes of a vector, in that order."""
    order = ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), order)


@word
def zero(typing):
    """LANES int32 zeros."""

    def code(context, builder, signature, args):
        return ir.Constant(SUMS.llvm, None)

    return SUMS(), code


@word
def load(typing, array, index):
    """2 * LANES int16 from array[index:]."""

    def code(context, builder, signature, args):
        pointer = address(context, builder, signature.args[0], WORDS.llvm, *args)
        return builder.load(pointer, align=2)

    return WORDS(array, types.intp), code


@word
def load_widen(typing, array, index):
    """2 * LANES int8 from array[index:], as int16."""

    def code(context, builder, signature, args):
        pointer = address(context, builder, signature.args[0], ir.VectorType(I8, 2 * LANES), *args)
        return builder.sext(builder.load(pointer, align=1), WORDS.llvm)

    return WORDS(array, types.intp), code


@word
def broadcast_pair(typing, array, index):
    """The two int16 at array[index:], repeated in all pairs."""

    def code(context, builder, signature, args):
        pair = builder.load(address(context, builder, signature.args[0], I32, *args), align=2)
        return builder.bitcast(repeated(builder, pair, SUMS), WORDS.llvm)

    return WORDS(array, types.intp), code


@word
def multiply_add_pairs(typing, total, a, b):
    """total[i] + a[2i] * b[2i] + a[2i + 1] * b[2i + 1], int32: exact but for (-2^15)^2 twice, and what wraps around wraps back."""

    def code(context, builder, signature, args):
        wide = ir.VectorType(I32, 2 * LANES)
        product = builder.mul(builder.sext(args[1], wide), builder.sext(args[2], wide))
        even, odd = (choose(builder, product, range(first, 2 * LANES, 2)) for first in (0, 1))
        return builder.add(args[0], builder.add(even, odd))

    return SUMS(SUMS, WORDS, WORDS), code


@word
def total(typing, vector):
    """The sum of the int32 of a vector."""

    def code(context, builder, signature, args):
        part, half = args[0], LANES
        while half > 1:
            half //= 2
            part = builder.add(choose(builder, part, range(half)), choose(builder, part, range(half, 2 * half)))
        return builder.extract_element(part, ir.Constant(I32, 0))

    return types.int32(SUMS), code


@word
def store(typing, array, index, vector):
    """array[index : index + LANES] = vector, int32; or 2 * LANES int16."""

    def code(context, builder, signature, args):
        pointer = address(context, builder, signature.args[0], vector.llvm, args[0], args[1])
        builder.store(args[2], pointer, align=2)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), code


def transposed(builder, rows):
    """Rows and columns of a square of vectors exchanged: each round exchanges blocks of `size` between two rows."""
    many, size = len(rows), len(rows) // 2
    while size:
        first = [lane if not lane & size else lane - size + many for lane in range(many)]
        second = [lane + size if not lane & size else lane + many for lane in range(many)]
        for i in (i for i in range(many) if not i & size):
            one, other = rows[i], rows[i + size]
            rows[i], rows[i + size] = (_mixed(builder, one, other, order) for order in (first, second))
        size //= 2
    return rows


def _mixed(builder, one, other, order):
    """Lanes of two vectors, those of the second counted on from those of the first."""
    return builder.shuffle_vector(one, other, ir.Constant(ir.VectorType(I32, len(order)), order))


def _line(context, builder, array_type, operands, number):
    """Where the vector lies that is `number` strides behind array[index]; operands: (array, index, stride)."""
    array, index, stride = operands
    place = builder.add(index, builder.mul(stride, ir.Constant(stride.type, number)))
    return address(context, builder, array_type, SUMS.llvm, array, place)


@word
def add_transposed(typing, array, index, stride, other, start, step):
    """array[index + r * stride + c] += other[start + c * step + r] for r and c below LANES, int32: a square, transposed."""

    def code(context, builder, signature, args):
        square = [_line(context, builder, signature.args[3], args[3:], i) for i in range(LANES)]
        columns = [builder.load(pointer, align=4) for pointer in square]
        for i, vector in enumerate(transposed(builder, columns)):
            pointer = _line(context, builder, signature.args[0], args[:3], i)
            builder.store(builder.add(builder.load(pointer, align=4), vector), pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, other, types.intp, types.intp), code


@word
def store_transposed(typing, array, index, stride, source, starts, row, offset):
    """array[index + c * stride + r] = four bytes, source[starts[row + r] + offset + 4 * c :], for r and c below LANES; array int32."""

    def code(context, builder, signature, args):
        lines = []
        for i in range(LANES):
            place = builder.add(args[5], ir.Constant(args[5].type, i))
            start = builder.load(address(context, builder, signature.args[4], ir.IntType(64), args[4], place), align=8)
            place = builder.add(start, args[6])
            lines.append(builder.load(address(context, builder, signature.args[3], SUMS.llvm, args[3], place), align=1))
        for i, vector in enumerate(transposed(builder, lines)):
            builder.store(vector, _line(context, builder, signature.args[0], args[:3], i), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, source, starts, types.intp, types.intp), code
