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

Four weights of 4 bits at once: a byte holds two codes 0..15, an activation is an int8.

| word                               | meaning                                                                        | on x86               |
|------------------------------------|--------------------------------------------------------------------------------|----------------------|
| `load_bytes(array, i)`             | 4L uint8 from array[i:]                                                        | vmovdqu              |
| `low_nibbles(v)`, `high_nibbles(v)`| bits 0-3, bits 4-7 of each byte                                                | vpand, vpsrlw        |
| `broadcast_quad(array, i)`         | the four int8 at array[i:], repeated L times                                   | vpbroadcastd         |
| `zero_products()`                  | zeros to add products to: 2L int16, L int32 with VNNI                          | vpxor                |
| `add_products(t, u, s)`            | products of uint8 u and int8 s, added in pairs (in fours with VNNI); t[i] must | vpmaddubsw, vpaddw;  |
|                                    | stay below 2^15                                                                | VNNI: vpdpbusd       |
| `sum_products(total, t)`           | total[i] + t[2i] + t[2i+1], int32 (total[i] + t[i] with VNNI)                  | vpmaddwd, vpaddd     |

Words for floats are in `simd_floats.py`. Nearly all words leave the instruction to LLVM (NEON: two registers for one vector);
those for bytes name x86's where it has one. LANES looks at the processor, to fill the wide registers of AVX-512, and so does
STEP, since processors with VNNI multiply four bytes in one step:

| word                          | STEP = 2                | STEP = 4 (VNNI)                                                    |
|-------------------------------|-------------------------|--------------------------------------------------------------------|
| `load_weights(array, i)`      | `load_widen`, int8      | `load_bytes`, uint8: codes + 128                                   |
| `broadcast_step(array, i)`    | `broadcast_pair`, int16 | `broadcast_quad`, int8                                             |
| `multiply_add_step(t, w, a)`  | `multiply_add_pairs`    | t[i] + the sum of four products w * a, exact in int32 (vpdpbusd)   |

Arrays are flat and contiguous, indices count elements, and no word checks bounds: the caller does.
"""

from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic, models, register_model

word: Any = intrinsic  # Any: a kernel calls a word without its first argument, which no type checker knows


def has(*names: str) -> bool:
    """Will numba compile for a processor with all of these features?"""
    if getattr(config, "CPU_NAME", None):  # another processor was asked for, as numba's manual describes
        return all(f"+{name}" in (getattr(config, "CPU_FEATURES", None) or "").split(",") for name in names)
    features = binding.get_host_cpu_features()
    return all(features.get(name) for name in names)


LANES = 16 if has("avx512bw") else 8  # int32 in a vector
STEP = 4 if has("avx512vnni", "avx512bw") or has("avxvnni") else 2  # k that one multiplication takes together
OFFSET = 128 if STEP == 4 else 0  # what packed weights have been raised by, since VNNI wants one side unsigned

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
        one = builder.insert_element(ir.Constant(SUMS.llvm, ir.Undefined), pair, ir.Constant(I32, 0))
        return builder.bitcast(choose(builder, one, [0] * LANES), WORDS.llvm)

    return WORDS(array, types.intp), code


@word
def multiply_add_pairs(typing, total, a, b):
    """total[i] + a[2i] * b[2i] + a[2i + 1] * b[2i + 1], exact for int8 values: each product has at most 15 bits."""

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
    """array[index : index + LANES] = vector, int32."""

    def code(context, builder, signature, args):
        pointer = address(context, builder, signature.args[0], SUMS.llvm, args[0], args[1])
        builder.store(args[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), code


@word
def load_bytes(typing, array, index):
    """4 * LANES bytes from array[index:]."""

    def code(context, builder, signature, args):
        return builder.load(address(context, builder, signature.args[0], BYTES.llvm, *args), align=1)

    return BYTES(array, types.intp), code


def _nibbles(shift: int) -> Any:
    def nibbles(typing, vector):
        def code(context, builder, signature, args):
            moved = builder.lshr(args[0], ir.Constant(BYTES.llvm, [shift] * BYTES.lanes))
            return builder.and_(moved, ir.Constant(BYTES.llvm, [15] * BYTES.lanes))

        return BYTES(BYTES), code

    return word(nibbles)


low_nibbles, high_nibbles = _nibbles(0), _nibbles(4)


@word
def broadcast_quad(typing, array, index):
    """The four int8 at array[index:], repeated."""

    def code(context, builder, signature, args):
        quad = builder.load(address(context, builder, signature.args[0], I32, *args), align=1)
        one = builder.insert_element(ir.Constant(SUMS.llvm, ir.Undefined), quad, ir.Constant(I32, 0))
        return builder.bitcast(choose(builder, one, [0] * LANES), BYTES.llvm)

    return BYTES(array, types.intp), code


@word
def zero_words(typing):
    """2 * LANES int16 zeros."""

    def code(context, builder, signature, args):
        return ir.Constant(WORDS.llvm, None)

    return WORDS(), code


@word
def add_byte_pairs(typing, total, unsigned, signed):
    """total[i] + u[2i] * s[2i] + u[2i + 1] * s[2i + 1] in int16; exact while pairs and sums stay below 2^15."""

    def code(context, builder, signature, args):
        if has("avx2"):
            name = "llvm.x86.avx512.pmaddubs.w.512" if LANES == 16 else "llvm.x86.avx2.pmadd.ub.sw"
            kind = ir.FunctionType(WORDS.llvm, [BYTES.llvm] * 2)
            return builder.add(args[0], builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args[1:]))
        u, s = builder.zext(args[1], wide := ir.VectorType(I16, 4 * LANES)), builder.sext(args[2], wide)
        product = builder.mul(u, s)
        even, odd = (choose(builder, product, range(first, 4 * LANES, 2)) for first in (0, 1))
        return builder.add(args[0], builder.add(even, odd))

    return WORDS(WORDS, BYTES, BYTES), code


@word
def add_word_pairs(typing, total, vector):
    """total[i] + v[2i] + v[2i + 1]."""

    def code(context, builder, signature, args):
        if has("avx2"):  # times one, by the name of the instruction: LLVM would take the ones for superfluous
            name = "llvm.x86.avx512.pmaddw.d.512" if LANES == 16 else "llvm.x86.avx2.pmadd.wd"
            pmadd = cgutils.get_or_insert_function(builder.module, ir.FunctionType(SUMS.llvm, [WORDS.llvm] * 2), name)
            return builder.add(args[0], builder.call(pmadd, [args[1], ir.Constant(WORDS.llvm, [1] * WORDS.lanes)]))
        wide = builder.sext(args[1], ir.VectorType(I32, 2 * LANES))
        even, odd = (choose(builder, wide, range(first, 2 * LANES, 2)) for first in (0, 1))
        return builder.add(args[0], builder.add(even, odd))

    return SUMS(SUMS, WORDS), code


@word
def add_sums(typing, total, vector):
    """total[i] + v[i]."""

    def code(context, builder, signature, args):
        return builder.add(*args)

    return SUMS(SUMS, SUMS), code


@word
def dot_quads(typing, total, unsigned, signed):
    """total[i] + the sum of unsigned[4i + j] * signed[4i + j] for j in 0..3, exact: the instruction of VNNI by its name."""

    def code(context, builder, signature, args):
        quads = [builder.bitcast(part, SUMS.llvm) for part in args[1:]]
        return instruction(builder, f"llvm.x86.avx512.vpdpbusd.{32 * LANES}", args[0], *quads)

    return SUMS(SUMS, BYTES, BYTES), code


if STEP == 4:
    load_weights, broadcast_step, multiply_add_step = load_bytes, broadcast_quad, dot_quads
    zero_products, add_products, sum_products = zero, dot_quads, add_sums
else:
    load_weights, broadcast_step, multiply_add_step = load_widen, broadcast_pair, multiply_add_pairs
    zero_products, add_products, sum_products = zero_words, add_byte_pairs, add_word_pairs
