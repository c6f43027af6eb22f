"""An integer program as one pair of C files: C99 with stdint.h alone; no malloc, no float; constants that stay in flash.

The kernels are the .c files in files/, written once for all networks; here are only a network's constants, its arena and the order of
its calls. A Cortex-M has no double and little RAM: images are channels last, so that a window is a few long runs of memory, and a
pooled convolution keeps only the largest sum of each channel (`memory.py` says where everything lies).
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, Int8
from torch import Tensor

from .memory import MemoryPlan, plan_memory, reads_in_place, scratch_bytes
from .program import IntegerProgram, Operation

KERNELS = Path(__file__).parent / "files"
TYPES = {8: "int8_t", 16: "code16_t", 32: "sum32_t"}
PUBLIC = {8: "int8_t", 16: "int16_t", 32: "int32_t"}
STORED = {"weight": "int8_t", "bias": "int32_t", "multiplier": "int32_t", "shift": "int8_t"}
KEYWORDS = (
    " auto break case char const continue default do double else enum extern float for goto if inline int long register "
    "restrict return short signed sizeof static struct switch typedef union unsigned void volatile while "
)


@dataclass(frozen=True)
class CFiles:
    """The two files, and where everything lies in the arena."""

    header: str
    source: str
    plan: MemoryPlan


def to_c(program: IntegerProgram, name: str = "network", budget: int | None = None) -> CFiles:
    """The program in C: `name`_input() says where to write the codes of an image, `name`_run() gives the result.

    The table `name`_code has the code of each pixel 0..255. budget: the most bytes of RAM that the arena may need.
    Raises ValueError for a name that is none in C, and for an arena over the budget.
    """
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or f" {name} " in KEYWORDS:
        raise ValueError(f"to_c wants a name that C allows, such as fashion_cnn, got {name!r}.")
    plan = plan_memory(program, budget)
    parts = [f'#include "{name}.h"\n', *_kernels(program), _table(program, name)]
    parts.append(f"static union {{\n    int64_t aligned;\n    int8_t bytes[{name.upper()}_ARENA_BYTES];\n}} arena;\n")
    calls = []
    for number, operation in enumerate(program.operations):
        constants, call = _operation(program, plan, number, operation)
        parts += constants
        calls.append(f"    {call}")
    result = PUBLIC[program.result.bits]
    at = plan.values[program.operations[-1].output]
    parts.append(f"int8_t *{name}_input(void) {{ return arena.bytes + {plan.values[0]}; }}\n")
    body = "\n".join([*calls, f"    return (const {result} *)(const void *)(arena.bytes + {at});"])
    parts.append(f"const {result} *{name}_run(void) {{\n{body}\n}}\n")
    return CFiles(_header(program, name, plan), "\n".join(parts), plan)


def _header(program: IntegerProgram, name: str, plan: MemoryPlan) -> str:
    up, shape = name.upper(), " x ".join(str(size) for size in program.values[0].shape)
    return f"""#ifndef {up}_H
#define {up}_H
#include <stdint.h>
#define {up}_INPUTS {program.values[0].count} /* {shape}: height, width, channels */
#define {up}_OUTPUTS {program.result.count}
{_promise(program, up)}#define {up}_ARENA_BYTES {plan.arena} /* all memory that changes, but for the stack */
extern const int8_t {name}_code[256]; /* the code of a pixel 0..255 */
int8_t *{name}_input(void); /* write the codes of one image here, channels last; {name}_run overwrites them */
const {PUBLIC[program.result.bits]} *{name}_run(void); /* the result, until the next image */
#endif
"""


def _promise(program: IntegerProgram, up: str) -> str:
    """The contract with the camera, for people to read and for programs to compare."""
    if program.contract is None:
        return ""
    text = program.contract.as_json().replace('"', '\\"')
    return (
        f'#define {up}_CONTRACT "{text}" /* what a photo must be made into: size in pixels, the numbers of pixels 0 and 255 */\n'
    )


def _kernels(program: IntegerProgram) -> list[str]:
    """The kernels that the network calls, each for the types of codes that it has there."""
    parts = [_file("common"), _file("conv")] if any(one.kind == "conv" for one in program.operations) else [_file("common")]
    made: set[str] = set()
    for operation in program.operations:
        kind = "pool" if operation.kind in ("max", "mean") else operation.kind
        x, y = program.values[operation.inputs[0]].bits, program.values[operation.output].bits
        key = f"{kind} {x} {y if kind != 'pool' else ''}"
        if kind in ("pool", "rescale", "average") and key not in made:
            made.add(key)
            parts.append(
                _file(kind)
                .replace("_X_Y", f"_{x}_{y}")
                .replace("_X(", f"_{x}(")
                .replace("X_t", TYPES[x])
                .replace("Y_t", TYPES[y])
            )
    return parts


def _file(name: str) -> str:
    return (KERNELS / f"{name}.c").read_text(encoding="utf-8")


def array(kind: str, name: str, values: np.ndarray) -> str:
    """A constant array; without `const` it would be copied into RAM."""
    text = [str(value) for value in values.ravel().tolist()]
    lines = [",".join(text[first : first + 24]) for first in range(0, len(text), 24)]
    return f"{kind} {name}[{values.size}] = {{\n" + ",\n".join(lines) + "};\n"


def _table(program: IntegerProgram, name: str) -> str:
    return array("const int8_t", f"{name}_code", program.pixel_codes.numpy())


def _operation(program: IntegerProgram, plan: MemoryPlan, number: int, operation: Operation) -> tuple[list[str], str]:
    """The constants of one operation, and its call."""
    y = f"(void *)(arena.bytes + {plan.values[operation.output]})"
    xs = [f"(const void *)(arena.bytes + {plan.values[one]})" for one in operation.inputs]
    x_bits, y_bits = program.values[operation.inputs[0]].bits, program.values[operation.output].bits
    count, kind = program.values[operation.output].count, operation.kind
    window = f"static const window_t w{number} = {{{_window(program, operation)}}};"
    ends = f"static const ends_t e{number} = {{{operation.zero_point}, {operation.low}, {operation.high}}};"
    if kind in ("max", "mean"):
        return [window], f"pool_{x_bits}(&w{number}, {xs[0]}, {y}, {int(kind == 'mean')});"
    if kind == "conv":
        return _conv(program, number, operation), f"conv(&c{number}, {xs[0]}, {y}, {_scratch(program, plan, number)});"
    shift = int(operation.array("shift")[0])
    fixed = f"{int(operation.array('multiplier')[0])}, {shift}, &e{number}"
    if kind == "rescale":
        return [ends], f"rescale_{x_bits}_{y_bits}({xs[0]}, {y}, {count}, {operation.x_zero}, {fixed});"
    if kind == "average":
        return [window, ends], f"average_{x_bits}_{y_bits}(&w{number}, {xs[0]}, {y}, {fixed});"
    return [ends, _sum(program, number, operation)], f"sum{number}({', '.join(xs)}, {y});"


def _window(program: IntegerProgram, operation: Operation) -> str:
    one, left, top = operation.window, operation.window.pads[0], operation.window.pads[2]
    shapes = [*program.values[operation.inputs[0]].shape, *program.values[operation.output].shape]
    return ", ".join(str(value) for value in [*shapes, *one.kernel, *one.stride, top, left, *one.dilation])


def _conv(program: IntegerProgram, number: int, operation: Operation) -> list[str]:
    used = {name: getattr(operation, name) for name in STORED if getattr(operation, name) is not None}
    constants = [array(f"static const {STORED[name]}", f"{name}{number}", values) for name, values in used.items()]
    names = {name: f"{name}{number}" if name in used else "0" for name in STORED}
    low = max(operation.low, -(2**31) + 1)  # C has no literal for -2^31; sums stay above -2^30
    fields = [
        f"{{{_window(program, operation)}}}, {{{operation.zero_point}, {low}, {operation.high}}}",
        *(operation.groups, operation.x_zero, int(program.values[operation.output].bits == 16), *operation.pool),
        *(names["weight"], names["shift"], names["bias"], names["multiplier"]),
    ]
    return [*constants, f"static const conv_t c{number} = {{{', '.join(str(one) for one in fields)}}};"]


def _scratch(program: IntegerProgram, plan: MemoryPlan, number: int) -> str:
    """The window's copy and the best sums: the sums first, as they must lie on whole words."""
    operation, at = program.operations[number], plan.scratch[number]
    pooled = operation.pool != (1, 1)
    best = 4 * program.values[operation.output].shape[2] if pooled else 0
    assert scratch_bytes(program, operation) >= best
    window = "0" if reads_in_place(program, operation) else f"arena.bytes + {at + best}"
    return f"{window}, {f'(void *)(arena.bytes + {at})' if pooled else '0'}"


def _sum(program: IntegerProgram, number: int, operation: Operation) -> str:
    """The addition of this network's operands, as a function of its own."""
    names = "abcdefgh"[: len(operation.inputs)]
    types = [TYPES[program.values[one].bits] for one in operation.inputs]
    y = TYPES[program.values[operation.output].bits]
    factors = [int(one) for one in operation.array("multiplier")]
    terms = [f"(int64_t){name}[i] * {factor}" for name, factor in zip(names, factors, strict=True)]
    total = " + ".join([*terms, str(int(operation.array("bias")[0]))])
    head = ", ".join([*[f"const {kind} *{name}" for kind, name in zip(types, names, strict=True)], f"{y} *y"])
    shift, count = int(operation.array("shift")[0]), program.values[operation.output].count
    code = f"y[i] = ({y})code_of({total}, {shift}, &e{number});"
    return f"static void sum{number}({head}) {{\n    for (int32_t i = 0; i < {count}; i++) {code}\n}}\n"


def emit_dense(
    name: str,
    weight: Int8[Tensor, "out k"],
    bias: Int[Tensor, " out"],
    multiplier: Int[Tensor, " out"],
    shift: Int[Tensor, " out"],
    limits: tuple[int, int, int],
) -> str:
    """One Linear in C, as a function `void name(const int8_t *x, int8_t *y)`; limits: zero point, lowest and highest code.

    y[o] = clamp(((sum_k x[k] * w[o, k] + bias[o]) * multiplier[o] + 2^(shift-1)) >> shift) + zero point, low, high), int32 sums and
    an int64 product.

    >>> import torch
    >>> one = torch.tensor([1])
    >>> emit_dense("f", torch.ones(1, 2, dtype=torch.int8), one, one, one, (0, -128, 127)).partition("void ")[2].partition("(")[0]
    'f'
    """
    out, k = weight.shape
    zero, low, high = limits
    arrays = {"weight": weight, "bias": bias, "multiplier": multiplier, "shift": shift}
    constants = "".join(array(f"static const {STORED[one]}", f"{name}_{one}", values.numpy()) for one, values in arrays.items())
    return f"""{constants}void {name}(const int8_t *x, int8_t *y) {{
    for (int32_t o = 0; o < {out}; o++) {{
        int32_t sum = {name}_bias[o];
        for (int32_t i = 0; i < {k}; i++) sum += (int32_t)x[i] * {name}_weight[o * {k} + i];
        int64_t code = (int64_t)sum * {name}_multiplier[o] + ((int64_t)1 << ({name}_shift[o] - 1));
        code = (code >> {name}_shift[o]) + {zero};
        y[o] = (int8_t)(code < {low} ? {low} : code > {high} ? {high} : code);
    }}
}}
"""
