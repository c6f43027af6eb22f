"""The right C of `emit_dense`, and known mistakes: the same text with one piece exchanged."""

from collections.abc import Callable

from torch import Tensor

from posttrain_lab.checks.engine.exercise import Mistake

BODY = """
        {sum_type} sum = {bias};
        for ({counter} i = 0; {until}; i++)
            sum += x[{input}] * {weight};
        {code_type} code = {product};
        code = {shifted};
        code = code + {zero};
        y[o] = {clamped};
"""
PIECES = {
    "sum_type": "int32_t",
    "counter": "int32_t",
    "until": "i < {k}",
    "input": "i",
    "bias": "{name}_bias[o]",
    "weight": "{name}_weight[o * {k} + i]",
    "code_type": "int64_t",
    "product": "(int64_t)sum * {name}_multiplier[o] + ((int64_t)1 << ({name}_shift[o] - 1))",
    "shifted": "code >> {name}_shift[o]",
    "zero": "{zero_point}",
    "clamped": "(int8_t)(code < {low} ? {low} : code > {high} ? {high} : code)",
    "weight_type": "static const int8_t",
    "parameters": "const int8_t *x, int8_t *y",
    "before": "",
}


def _array(kind: str, name: str, values: Tensor) -> str:
    numbers = ", ".join(str(int(value)) for value in values.flatten().tolist())
    return f"{kind} {name}[{values.numel()}] = {{{numbers}}};\n"


def _text(
    pieces: dict[str, str],
    name: str,
    weight: Tensor,
    bias: Tensor,
    multiplier: Tensor,
    shift: Tensor,
    limits: tuple[int, int, int],
) -> str:
    out, k = weight.shape
    zero_point, low, high = limits
    facts = {"name": name, "k": k, "out": out, "zero_point": zero_point, "low": low, "high": high}
    filled = {key: piece.format(**facts) for key, piece in pieces.items()}
    constants = [
        _array(filled["weight_type"], f"{name}_weight", weight),
        _array("static const int32_t", f"{name}_bias", bias),
        _array("static const int32_t", f"{name}_multiplier", multiplier),
        _array("static const uint8_t", f"{name}_shift", shift),
    ]
    body = BODY.format(**filled, k=k)
    loop = f"    for (int32_t o = 0; o < {out}; o++) {{{body}    }}\n"
    return "".join(constants) + f"void {name}({filled['parameters']}) {{\n{filled['before']}{loop}}}\n"


def emitted(name: str, weight: Tensor, bias: Tensor, multiplier: Tensor, shift: Tensor, limits: tuple[int, int, int]) -> str:
    """The right text."""
    return _text(PIECES, name, weight, bias, multiplier, shift, limits)


def _with(**changes: str) -> Callable[..., str]:
    def mistaken(name: str, weight: Tensor, bias: Tensor, multiplier: Tensor, shift: Tensor, limits: tuple[int, int, int]) -> str:
        return _text(PIECES | changes, name, weight, bias, multiplier, shift, limits)

    return mistaken


def _without_columns(
    name: str, weight: Tensor, bias: Tensor, multiplier: Tensor, shift: Tensor, limits: tuple[int, int, int]
) -> str:
    """The weight's own order is that of the transposed matrix."""
    return _text(PIECES | {"until": f"i < {weight.shape[1]}"}, name, weight.T, bias, multiplier, shift, limits)


EMIT_MISTAKES = (
    Mistake(
        "int16 sums",
        "Your sum has 16 bits and wraps around at 32,767; three products of large codes pass that: int32_t.",
        _with(sum_type="int16_t"),
    ),
    Mistake(
        "int32 product",
        "You multiply two int32_t, and the product does not fit; convert first: (int64_t)sum * multiplier.",
        _with(product="sum * {name}_multiplier[o] + ((int64_t)1 << ({name}_shift[o] - 1))"),
    ),
    Mistake(
        "half in int32",
        "1 << (shift - 1) is an int, which has no bit that high; write (int64_t)1 << (shift - 1).",
        _with(product="(int64_t)sum * {name}_multiplier[o] + (1 << ({name}_shift[o] - 1))"),
    ),
    Mistake(
        "half without brackets",
        "a + b << c is (a + b) << c in C; put brackets around the half: ((int64_t)1 << (shift - 1)).",
        _with(product="(int64_t)sum * {name}_multiplier[o] + (int64_t)1 << ({name}_shift[o] - 1)"),
    ),
    Mistake(
        "zero point within the shift",
        "a >> b + c is a >> (b + c) in C; put brackets around the shift, then add the zero point.",
        _with(shifted="code >> {name}_shift[o] + {zero_point}", zero="0"),
    ),
    Mistake(
        "no half",
        "You cut off instead of rounding; add half, (int64_t)1 << (shift - 1), before the shift.",
        _with(product="(int64_t)sum * {name}_multiplier[o]"),
    ),
    Mistake(
        "division towards zero",
        "/ rounds towards zero, so negative codes are one too large; >> rounds down.",
        _with(shifted="code / ((int64_t)1 << {name}_shift[o])"),
    ),
    Mistake(
        "wrap",
        "Codes outside of low..high wrap around in yours; clamp before the conversion to int8_t.",
        _with(clamped="(int8_t)code"),
    ),
    Mistake(
        "ReLU at 0",
        "You clamp at 0, but 0.0 has the code `zero point`; the lowest code is given as `low`.",
        _with(clamped="(int8_t)(code < 0 ? 0 : code > {high} ? {high} : code)"),
    ),
    Mistake(
        "clamped to 8 bits",
        "You clamp to -128..127; clamp to low..high, which is narrower behind a ReLU or with fewer bits.",
        _with(clamped="(int8_t)(code < -128 ? -128 : code > 127 ? 127 : code)"),
    ),
    Mistake(
        "char",
        "You store weights as char, which is unsigned on Arm: -1 becomes 255 there; write int8_t.",
        _with(weight_type="static const char"),
    ),
    Mistake(
        "const forgotten",
        "Without const your weights are copied into RAM, of which a chip has little; write static const int8_t.",
        _with(weight_type="static int8_t"),
    ),
    Mistake("zero point forgotten", "You forget the zero point; add it after the shift, before clamping.", _with(zero="0")),
    Mistake(
        "zero point after the clamp",
        "You add the zero point after clamping, so codes leave low..high; add it before.",
        _with(zero="0", clamped="(int8_t)((code < {low} ? {low} : code > {high} ? {high} : code) + {zero_point})"),
    ),
    Mistake(
        "zero point subtracted",
        "You subtract the zero point; that is the way back, from codes to numbers, so add it.",
        _with(zero="-({zero_point})"),
    ),
    Mistake(
        "ends exchanged",
        "You set what is below low to high; what is below low becomes low.",
        _with(clamped="(int8_t)(code < {low} ? {high} : code > {high} ? {high} : code)"),
    ),
    Mistake(
        "bias after the shift",
        "You add the bias to the code; it belongs to the sum, before the multiplication.",
        _with(bias="0", zero="{zero_point} + {name}_bias[o]"),
    ),
    Mistake("bias forgotten", "Your sum begins at 0; it begins at the bias of its output.", _with(bias="0")),
    Mistake(
        "sum not reset",
        "You never set the sum back, so each output includes the ones before; begin each at its own bias.",
        _with(
            before="    int32_t total = 0;\n",
            bias="(total += {name}_bias[o])",
            clamped="(total = sum, " + PIECES["clamped"] + ")",
        ),
    ),
    Mistake(
        "first multiplier",
        "You use the first multiplier and shift for all outputs; each output has its own.",
        _with(product=PIECES["product"].replace("[o]", "[0]"), shifted="code >> {name}_shift[0]"),
    ),
    Mistake(
        "only the multiplier's first",
        "You use the first multiplier for all outputs, and each one's own shift; the multiplier is each output's own too.",
        _with(product=PIECES["product"].replace("multiplier[o]", "multiplier[0]")),
    ),
    Mistake(
        "only the shift's first",
        "You use the first shift for all outputs, and each one's own multiplier; the shift is each output's own too.",
        _with(product=PIECES["product"].replace("shift[o]", "shift[0]"), shifted="code >> {name}_shift[0]"),
    ),
    Mistake(
        "transposed weight",
        "You read the weight by columns; row o begins at o * k, its numbers lie side by side.",
        _without_columns,
    ),
    Mistake(
        "by columns of rows",
        "The number of output o and input i stands at o * k + i, row after row; you read at i * out + o.",
        _with(weight="{name}_weight[i * {out} + o]"),
    ),
    Mistake(
        "rows of out numbers",
        "A row has k numbers, one for each input; row o begins at o * k, not at o * out.",
        _with(weight="{name}_weight[o * {out} + i]"),
    ),
    Mistake(
        "the first row only",
        "You multiply by the first row of the weight for all outputs; row o begins at o * k.",
        _with(weight="{name}_weight[i]"),
    ),
    Mistake("one input only", "You multiply every weight by x[o]; the weight of input i belongs to x[i].", _with(input="o")),
    Mistake(
        "one input too far",
        "Your loop runs one input too far, to x[k]; the last one is x[k - 1]: i < k.",
        _with(until="i <= {k}"),
    ),
    Mistake(
        "counter of 8 bits",
        "Your counter has 8 bits: behind 127 comes -128, so it never reaches a larger k; count in int32_t.",
        _with(counter="int8_t"),
    ),
    Mistake(
        "last input forgotten",
        "Your loop ends one input too early; i runs over all k inputs.",
        _with(weight="{name}_weight[o * {k} + i] * (i < {k} - 1)"),
    ),
    Mistake(
        "floats",
        "There are floats in your text; the chip has no unit for them, and multiplier and shift replace them.",
        _with(code_type="double"),
    ),
)
