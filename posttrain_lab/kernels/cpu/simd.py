"""A tiny SIMD vocabulary for Numba: a vector is a Numba type, a word is one intrinsic over portable LLVM code.

| word                          | meaning, for L = LANES                                        | on x86           |
|-------------------------------|---------------------------------------------------------------|------------------|
| `zero()`                      | L int32 zeros                                                 | vpxor            |
| `load(array, i)`              | 2L int16 from array[i:]                                       | vmovdqu          |
| `load_widen(array, i)`        | 2L int8 from array[i:], widened to int16                      | vpmovsxbw        |
| `broadcast_pair(array, i)`    | array[i], array[i + 1] (int16), repeated L times              | vpbroadcastd     |
| `multiply_add_pairs(t, a, b)` | t[i] + a[2i] * b[2i] + a[2i+1] * b[2i+1] for L values of i    | vpmaddwd, vpaddd |
| `total(v)`                    | the sum of L int32                                            | shuffles, adds   |
| `store(array, i, v)`          | array[i : i + L] = v (int32)                                  | vmovdqu          |

No word names a processor: LLVM turns each into what the machine has (NEON: two registers for one vector). Only LANES
looks at it, to fill the wide registers of AVX-512. Arrays are flat and contiguous, indices count elements, and no word
checks bounds: the caller does.

Numba's cache on disk looks at the file of a kernel, not at this one: after a change here, save the kernel's file too.
"""

from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic, models, register_model

word: Any = intrinsic  # Any: a kernel calls a word without its first argument, which no type checker knows

LANES = 16 if binding.get_host_cpu_features().get("avx512bw") else 8  # int32 in a vector

I8, I16, I32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)


class Vector(types.Type):
    """`lanes` integers of `width` bits in one register."""

    def __init__(self, width: int, lanes: int):
        self.width, self.lanes = width, lanes
        super().__init__(name=f"Vector(int{width} x {lanes})")

    @property
    def llvm(self) -> ir.VectorType:
        return ir.VectorType(ir.IntType(self.width), self.lanes)


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """Numba hands a Vector to LLVM as an LLVM vector."""

    def __init__(self, manager, vector):
        super().__init__(manager, vector, vector.llvm)


WORDS, SUMS = Vector(16, 2 * LANES), Vector(32, LANES)  # int16 to multiply, int32 to add up


def _address(context, builder, array_type, pointee, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), pointee.as_pointer())


def _choose(builder, vector, lanes):
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
        pointer = _address(context, builder, signature.args[0], WORDS.llvm, *args)
        return builder.load(pointer, align=2)

    return WORDS(array, types.intp), code


@word
def load_widen(typing, array, index):
    """2 * LANES int8 from array[index:], as int16."""

    def code(context, builder, signature, args):
        pointer = _address(context, builder, signature.args[0], ir.VectorType(I8, 2 * LANES), *args)
        return builder.sext(builder.load(pointer, align=1), WORDS.llvm)

    return WORDS(array, types.intp), code


@word
def broadcast_pair(typing, array, index):
    """The two int16 at array[index:], repeated in all pairs."""

    def code(context, builder, signature, args):
        pair = builder.load(_address(context, builder, signature.args[0], I32, *args), align=2)
        one = builder.insert_element(ir.Constant(SUMS.llvm, ir.Undefined), pair, ir.Constant(I32, 0))
        return builder.bitcast(_choose(builder, one, [0] * LANES), WORDS.llvm)

    return WORDS(array, types.intp), code


@word
def multiply_add_pairs(typing, total, a, b):
    """total[i] + a[2i] * b[2i] + a[2i + 1] * b[2i + 1], exact for int8 values: each product has at most 15 bits."""

    def code(context, builder, signature, args):
        wide = ir.VectorType(I32, 2 * LANES)
        product = builder.mul(builder.sext(args[1], wide), builder.sext(args[2], wide))
        even, odd = (_choose(builder, product, range(first, 2 * LANES, 2)) for first in (0, 1))
        return builder.add(args[0], builder.add(even, odd))

    return SUMS(SUMS, WORDS, WORDS), code


@word
def total(typing, vector):
    """The sum of the int32 of a vector."""

    def code(context, builder, signature, args):
        part, half = args[0], LANES
        while half > 1:
            half //= 2
            part = builder.add(_choose(builder, part, range(half)), _choose(builder, part, range(half, 2 * half)))
        return builder.extract_element(part, ir.Constant(I32, 0))

    return types.int32(SUMS), code


@word
def store(typing, array, index, vector):
    """array[index : index + LANES] = vector, int32."""

    def code(context, builder, signature, args):
        pointer = _address(context, builder, signature.args[0], SUMS.llvm, args[0], args[1])
        builder.store(args[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), code
