"""The words of `simd.py` for bytes: products of int8 codes four at a time, and of codes of 4 bits.

Codes of 4 bits: a byte holds two codes 0..15, an activation is an int8.

| word                                | meaning                                                                           | on x86              |
|-------------------------------------|-----------------------------------------------------------------------------------|---------------------|
| `load_bytes(array, i)`              | 4L uint8 from array[i:]                                                           | vmovdqu             |
| `low_nibbles(v)`, `high_nibbles(v)` | bits 0-3, bits 4-7 of each byte                                                   | vpand, vpsrlw       |
| `broadcast_quad(array, i)`          | the four int8 at array[i:], repeated L times                                      | vpbroadcastd        |
| `copy_quad(a, i, b, j)`             | a[i], int32, = the four bytes from b[j:]                                          | mov                 |
| `repeat_quad(number)`               | the four bytes that an int32 is made of, repeated L times                         | vpbroadcastd        |
| `zero_products()`                   | zeros to add products to: 2L int16, L int32 with VNNI                             | vpxor               |
| `add_products(t, u, s)`             | products of uint8 u and int8 s, added in pairs (in fours with VNNI); t[i] must    | vpmaddubsw, vpaddw; |
|                                     | stay below 2^15                                                                   | VNNI: vpdpbusd      |
| `sum_products(total, t)`            | total[i] + t[2i] + t[2i+1], int32 (total[i] + t[i] with VNNI)                     | vpmaddwd, vpaddd    |
| `fold_words(t)`                     | an int32 of two int16: the sum of all t[2i], and that of all t[2i + 1]            | vpaddw, shuffles    |
| `multiply_add_quads(t, u, s)`       | t[i] + the sum of four products of uint8 u and int8 s; without VNNI, two          | vpmaddubsw,         |
|                                     | products must stay within 16 bits, where they saturate (see `../panel_layout.py`) | vpmaddwd, vpaddd;   |
|                                     |                                                                                   | VNNI: vpdpbusd      |

One step of a product of int8 codes takes STEP of them; the type of the inputs x says which words it is made of:

| word                         | x int16, as they are | x uint8: codes + SHIFT |
|------------------------------|----------------------|------------------------|
| `step(x)`                    | 2                    | 4                      |
| `load_weights(array, i, x)`  | `load_widen`         | `load_bytes`           |
| `broadcast_step(x, i)`       | `broadcast_pair`     | `broadcast_quad`       |
| `multiply_add_step(t, x, w)` | `multiply_add_pairs` | `multiply_add_quads`   |
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from posttrain_lab.kernels.processor import VNNI, has

from .simd import (
    BYTES,
    I16,
    I32,
    LANES,
    SUMS,
    WORDS,
    address,
    broadcast_pair,
    choose,
    instruction,
    load_widen,
    multiply_add_pairs,
    repeated,
    word,
    zero,
)


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
        return builder.bitcast(repeated(builder, quad, SUMS), BYTES.llvm)

    return BYTES(array, types.intp), code


@word
def copy_quad(typing, array, index, source, start):
    """array[index], an int32, becomes the four bytes from source[start:]."""

    def code(context, builder, signature, args):
        quad = builder.load(address(context, builder, signature.args[2], I32, *args[2:]), align=1)
        builder.store(quad, address(context, builder, signature.args[0], I32, *args[:2]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, source, types.intp), code


@word
def repeat_quad(typing, number):
    """The four bytes that an int32 is made of, repeated."""

    def code(context, builder, signature, args):
        return builder.bitcast(repeated(builder, args[0], SUMS), BYTES.llvm)

    return BYTES(types.int32), code


@word
def zero_words(typing):
    """2 * LANES int16 zeros."""

    def code(context, builder, signature, args):
        return ir.Constant(WORDS.llvm, None)

    return WORDS(), code


def _byte_pairs(builder, unsigned, signed):
    """u[2i] * s[2i] + u[2i + 1] * s[2i + 1] as int16."""
    if has("avx2"):
        name = "llvm.x86.avx512.pmaddubs.w.512" if LANES == 16 else "llvm.x86.avx2.pmadd.ub.sw"
        kind = ir.FunctionType(WORDS.llvm, [BYTES.llvm] * 2)
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [unsigned, signed])
    wide = ir.VectorType(I16, 4 * LANES)
    product = builder.mul(builder.zext(unsigned, wide), builder.sext(signed, wide))
    even, odd = (choose(builder, product, range(first, 4 * LANES, 2)) for first in (0, 1))
    return builder.add(even, odd)


def _word_pairs(builder, vector):
    """v[2i] + v[2i + 1] as int32."""
    if has("avx2"):  # times one, by the name of the instruction: LLVM would take the ones for superfluous
        name = "llvm.x86.avx512.pmaddw.d.512" if LANES == 16 else "llvm.x86.avx2.pmadd.wd"
        kind = ir.FunctionType(SUMS.llvm, [WORDS.llvm] * 2)
        ones = ir.Constant(WORDS.llvm, [1] * WORDS.lanes)
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [vector, ones])
    wide = builder.sext(vector, ir.VectorType(I32, 2 * LANES))
    even, odd = (choose(builder, wide, range(first, 2 * LANES, 2)) for first in (0, 1))
    return builder.add(even, odd)


@word
def add_byte_pairs(typing, total, unsigned, signed):
    """total[i] + u[2i] * s[2i] + u[2i + 1] * s[2i + 1] in int16; exact while pairs and sums stay below 2^15."""

    def code(context, builder, signature, args):
        return builder.add(args[0], _byte_pairs(builder, *args[1:]))

    return WORDS(WORDS, BYTES, BYTES), code


@word
def add_word_pairs(typing, total, vector):
    """total[i] + v[2i] + v[2i + 1]."""

    def code(context, builder, signature, args):
        return builder.add(args[0], _word_pairs(builder, args[1]))

    return SUMS(SUMS, WORDS), code


@word
def add_sums(typing, total, vector):
    """total[i] + v[i]."""

    def code(context, builder, signature, args):
        return builder.add(*args)

    return SUMS(SUMS, SUMS), code


@word
def fold_words(typing, vector):
    """The sums of the even and of the odd ones of 2 * LANES int16, as the halves of an int32, the even ones below."""

    def code(context, builder, signature, args):
        part, half = args[0], 2 * LANES
        while half > 2:
            half //= 2
            part = builder.add(choose(builder, part, range(half)), choose(builder, part, range(half, 2 * half)))
        return builder.bitcast(part, I32)

    return types.int32(WORDS), code


@word
def multiply_add_quads(typing, total, unsigned, signed):
    """total[i] + the sum of unsigned[4i + j] * signed[4i + j] for j in 0..3; without VNNI two products must stay within 16 bits."""

    def code(context, builder, signature, args):
        if not VNNI:
            return builder.add(args[0], _word_pairs(builder, _byte_pairs(builder, *args[1:])))
        quads = [builder.bitcast(part, SUMS.llvm) for part in args[1:]]
        return instruction(builder, f"llvm.x86.avx512.vpdpbusd.{32 * LANES}", args[0], *quads)

    return SUMS(SUMS, BYTES, BYTES), code


zero_products = zero if VNNI else zero_words
add_products = multiply_add_quads if VNNI else add_byte_pairs
sum_products = add_sums if VNNI else add_word_pairs


def _chosen(bytes_word, words_word, x) -> Any:
    """The definition of a word for these inputs: an array or a vector, of bytes or of int16."""
    return (bytes_word if x == BYTES or getattr(x, "dtype", None) == types.uint8 else words_word)._defn


@word
def step(typing, x):
    """Codes that one step takes."""
    size = 4 if x.dtype == types.uint8 else 2

    def code(context, builder, signature, args):
        return ir.Constant(context.get_value_type(types.intp), size)

    return types.intp(x), code


@word
def load_weights(typing, array, index, x):
    """The weights of LANES outputs for one step with x."""
    signature, load_them = _chosen(load_bytes, load_widen, x)(typing, array, index)

    def code(context, builder, given, args):
        return load_them(context, builder, given, args[:2])

    return signature.return_type(array, types.intp, x), code


@word
def broadcast_step(typing, x, index):
    """The inputs of one step at x[index:], repeated."""
    return _chosen(broadcast_quad, broadcast_pair, x)(typing, x, index)


@word
def multiply_add_step(typing, total, x, weights):
    """total + the products of one step."""
    return _chosen(multiply_add_quads, multiply_add_pairs, x)(typing, total, x, weights)
