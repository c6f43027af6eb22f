"""The words of `simd.py` for floats.

Sixteen at a time on every machine; LLVM cuts them to the registers there are:

| word                        | meaning                               | on x86       |
|-----------------------------|---------------------------------------|--------------|
| `zero_floats()`             | 16 float32 zeros                      | vxorps       |
| `load_floats(array, i)`     | 16 float32 from array[i:]             | vmovups      |
| `repeat_float(array, i)`    | array[i], sixteen times               | vbroadcastss |
| `multiply_add(t, a, v)`     | t + a * v, one number a, rounded once | vfmadd231ps  |
| `store_floats(array, i, v)` | array[i : i + 16] = v                 | vmovups      |

As many as there are int32 sums, to scale these, or to use all of one register:

| word                           | meaning                                                       |
|--------------------------------|---------------------------------------------------------------|
| `zero_scaled()`                | LANES float32 zeros                                           |
| `load_scaled(array, i)`        | LANES float32 from array[i:]                                  |
| `gather_scaled(array, at, i)`  | array[at[i]] ... array[at[i + LANES - 1]], places >= 0, int32 |
| `add_scaled(y, sums, o, s, i)` | y + float32(sums - o) * s[i : i + LANES], one int32 o         |
| `store_scaled(array, i, y)`    | array[i : i + LANES] = y                                      |

Of both widths:

| word                        | meaning                              | on x86      |
|-----------------------------|--------------------------------------|-------------|
| `multiply_vectors(t, u, v)` | t + u * v lane by lane, rounded once | vfmadd231ps |
| `total_floats(v)`           | the sum of all lanes, in halves      | shuffles    |

Eight rows of eight, to turn a matrix:

| word                                              | meaning                                                         |
|---------------------------------------------------|-----------------------------------------------------------------|
| `transpose_eight(source, i, step, target, j, to)` | target[j + c * to + r] = source[i + r * step + c], r, c in 0..7 |
"""

from llvmlite import ir
from numba import types

from .simd import I32, LANES, SUMS, Vector, address, choose, instruction, repeated, transposed, word

I64, F32 = ir.IntType(64), ir.FloatType()
FLOATS, SCALED = Vector(F32, 16), Vector(F32, LANES)


@word
def zero_floats(typing):
    """16 float32 zeros."""

    def code(context, builder, signature, args):
        return ir.Constant(FLOATS.llvm, None)

    return FLOATS(), code


@word
def load_floats(typing, array, index):
    """16 float32 from array[index:]."""

    def code(context, builder, signature, args):
        return builder.load(address(context, builder, signature.args[0], FLOATS.llvm, *args), align=4)

    return FLOATS(array, types.intp), code


@word
def repeat_float(typing, array, index):
    """array[index] in all 16 lanes."""

    def code(context, builder, signature, args):
        return repeated(builder, builder.load(address(context, builder, signature.args[0], F32, *args), align=4), FLOATS)

    return FLOATS(array, types.intp), code


@word
def multiply_add(typing, total, number, vector):
    """total + number * vector, each lane rounded once."""

    def code(context, builder, signature, args):
        return instruction(builder, "llvm.fma.v16f32", repeated(builder, args[1], FLOATS), args[2], args[0])

    return FLOATS(FLOATS, types.float32, FLOATS), code


@word
def multiply_vectors(typing, total, first, second):
    """total + first * second, lane by lane, each rounded once."""

    def code(context, builder, signature, args):
        return instruction(builder, f"llvm.fma.v{total.lanes}f32", args[1], args[2], args[0])

    return total(total, total, total), code


@word
def total_floats(typing, vector):
    """The sum of all lanes, always in the same order."""

    def code(context, builder, signature, args):
        part, half = args[0], vector.lanes
        while half > 1:
            half //= 2
            part = builder.fadd(choose(builder, part, range(half)), choose(builder, part, range(half, 2 * half)))
        return builder.extract_element(part, ir.Constant(I32, 0))

    return types.float32(vector), code


@word
def store_floats(typing, array, index, vector):
    """array[index : index + 16] = vector, float32."""

    def code(context, builder, signature, args):
        builder.store(args[2], address(context, builder, signature.args[0], FLOATS.llvm, args[0], args[1]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), code


@word
def zero_scaled(typing):
    """LANES float32 zeros."""

    def code(context, builder, signature, args):
        return ir.Constant(SCALED.llvm, None)

    return SCALED(), code


@word
def load_scaled(typing, array, index):
    """LANES float32 from array[index:]."""

    def code(context, builder, signature, args):
        return builder.load(address(context, builder, signature.args[0], SCALED.llvm, *args), align=4)

    return SCALED(array, types.intp), code


@word
def gather_scaled(typing, array, at, index):
    """array[at[index]], array[at[index + 1]], ... LANES of them, one by one: two places are read at once, and no gather of the
    processor is asked, which takes longer on AMD's Zen and on Intel's since they guard it."""

    def code(context, builder, signature, args):
        pairs = address(context, builder, signature.args[1], I64, *args[1:])
        start = context.make_array(signature.args[0])(context, builder, args[0]).data
        result, half = ir.Constant(SCALED.llvm, ir.Undefined), ir.Constant(I64, 32)
        for lane in range(0, LANES, 2):
            pair = builder.load(builder.gep(pairs, [ir.Constant(I32, lane // 2)]), align=4)
            for i, place in enumerate((builder.lshr(builder.shl(pair, half), half), builder.lshr(pair, half))):
                number = builder.load(builder.gep(start, [place]), align=4)
                result = builder.insert_element(result, number, ir.Constant(I32, lane + i))
        return result

    return SCALED(array, at, types.intp), code


@word
def add_scaled(typing, y, sums, offset, scales, index):
    """y + float32(sums - offset) * scales[index : index + LANES], each lane rounded once after the conversion."""

    def code(context, builder, signature, args):
        exact = builder.sub(args[1], repeated(builder, args[2], SUMS))
        scale = builder.load(address(context, builder, signature.args[3], SCALED.llvm, *args[3:]), align=4)
        return instruction(builder, f"llvm.fma.v{LANES}f32", builder.sitofp(exact, SCALED.llvm), scale, args[0])

    return SCALED(SCALED, SUMS, types.int32, scales, types.intp), code


@word
def store_scaled(typing, array, index, vector):
    """array[index : index + LANES] = vector, float32."""

    def code(context, builder, signature, args):
        builder.store(args[2], address(context, builder, signature.args[0], SCALED.llvm, args[0], args[1]), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), code


@word
def transpose_eight(typing, source, i, step, target, j, to):
    """target[j + c * to + r] = source[i + r * step + c] for r and c in 0..7, float32."""

    def code(context, builder, signature, args):
        eight = ir.VectorType(F32, 8)

        def line(array, start, stride, r):
            index = builder.add(args[start], builder.mul(args[stride], ir.Constant(args[stride].type, r)))
            return address(context, builder, signature.args[array], eight, args[array], index)

        rows = [builder.load(line(0, 1, 2, r), align=4) for r in range(8)]
        for c, column in enumerate(transposed(builder, rows)):
            builder.store(column, line(3, 4, 5, c), align=4)
        return context.get_dummy_value()

    return types.void(source, types.intp, types.intp, target, types.intp, types.intp), code
