"""Cases and known mistakes of `read_ptx`: which instruction multiplies matrices, how often it occurs, and how many registers are declared.

Conventions: comments (// to the end of the line) do not count. `multiply` is the first instruction whose name begins with "mma." or
"wgmma.mma_async", "" when there is none; `times` is how many such instructions the text has; `registers` is the sum of the numbers
in all `.reg` lines, predicates included.
"""

import re
from collections.abc import Callable
from typing import Any

from posttrain_lab.checks.engine.exercise import Case, Exercise, Mistake
from posttrain_lab.checks.engine.random_cases import Draw

NAME = r"(?:wgmma\.mma_async|mma)\.[\w.]+"


INSTRUCTION = rf"^\s*(?:@!?%p\d+\s+)?({NAME})"


def right_read(ptx: str) -> dict[str, Any]:
    text = re.sub(r"//.*", "", ptx)
    names = re.findall(INSTRUCTION, text, re.MULTILINE)
    registers = sum(int(n) for n in re.findall(r"\.reg\s+\.\w+\s+%\w+<(\d+)>", text))
    return {"multiply": names[0] if names else "", "times": len(names), "registers": registers}


MMA = {
    "sm_80": "mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s8.s8.s32",
    "sm_75": "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32",
    "sm_90": "wgmma.mma_async.sync.aligned.m64n64k32.s32.s8.s8",
}


OTHER = "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"


def _ptx(draw: Draw, chip: str, times: int, guard: str = "", comment: bool = True, others: int = 0) -> str:
    """A text as Triton writes it: `times` multiply instructions after the predicate `guard`, and then `others` of another kind."""
    kinds = (("pred", "p"), ("b16", "rs"), ("b32", "r"), ("b64", "rd"))
    registers = [f"\t.reg .{kind} \t%{name}<{draw.whole(3, 400)}>;" for kind, name in kinds]
    lines = [f"\tld.global.b32 {{ %r{i} }}, [ %rd{i} + 0 ];" for i in range(draw.whole(1, 4))]
    if comment:
        lines.append(f"\t// {MMA['sm_80']} would come here")
    if chip == "sm_90":
        lines.append("\twgmma.fence.sync.aligned;")
    for i in range(times + others):
        lines.append(f"\t{guard}{MMA[chip] if i < times else OTHER} {{ %r{4 * i}, %r{4 * i + 1} }}, %rd{i}, %rd{i + 1}, %p3;")
        lines.append(f"\tadd.s32 \t%r{i}, %r{i + 1}, 4; \t// tile {i}")
    if chip == "sm_90":
        lines += ["\twgmma.commit_group.sync.aligned;", "\twgmma.wait_group.sync.aligned 0;"]
    lines += [
        "\tmul.wide.s32 \t%rd1, %r1, 4;",
        "\tmad.lo.s32 \t%r1, %r2, %r3, %r4;",
        "\tst.global.b32 [ %rd9 + 0 ], { %r1 };",
        "\tret;",
    ]
    head = [
        ".version 8.7",
        f".target {chip}",
        ".address_size 64",
        ".visible .entry kernel(",
        "\t.param .u64 kernel_param_0",
        ")",
        "{",
    ]
    return "\n".join([*head, *registers, *lines, "}", ""])


def reading_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "read_ptx")
    return [
        Case("a kernel for sm_80", (_ptx(draw, "sm_80", draw.whole(2, 9)),)),
        Case("a kernel for sm_90", (_ptx(draw, "sm_90", draw.whole(2, 5)),)),
        Case("a kernel without a matrix instruction", (_ptx(draw, draw.pick(("sm_80", "sm_75")), 0),)),
        Case("half precision on sm_75", (_ptx(draw, "sm_75", draw.whole(3, 6), comment=False),)),
        Case("instructions after a predicate", (_ptx(draw, "sm_80", draw.whole(2, 4), "@%p1 "),)),
        Case("instructions after a negated predicate", (_ptx(draw, "sm_80", draw.whole(2, 4), "@!%p12 "),)),
        Case("two kinds of instructions", (_ptx(draw, "sm_80", draw.whole(1, 3), others=draw.whole(1, 3)),)),
        Case("one instruction", (_ptx(draw, "sm_90", 1),)),
    ]


LONG = """
.file 1 "/tmp/mma.sync.py"
.visible .entry long_kernel(.param .u64 long_kernel_param_0)
{{
.reg .pred %p<{p}>;
// .reg .b32 %old<77>;
\t.reg .b16 \t%rs<2>;
\t.reg .b32\t%r<{r}>;
\t.reg .f32 \t%f<{f}>;
\t.reg .b64 \t%rd<{rd}>;
$L__BB0_1:
\twmma.load.a.sync.aligned.row.m16n16k16.shared.s8 {{ %r1, %r2 }}, [%rd1], %r9;
\twmma.mma.sync.aligned.row.col.m16n16k16.s32.s8.s8.s32 {{ %r1 }}, {{ %r2 }}, {{ %r3 }}, {{ %r1 }};
\tmov.b32 %r4, %r5; // before mma.sync.aligned.m16n8k32
\tmov.b32 %r6, %r7; // it was .reg .b32 %old<78>;
\t@%p{guard} {sparse} {{ %r1 }}, {{ %r2 }}, {{ %r3 }}, {{ %r1 }}, %r9, 0x0;
{more}@%p1 bra $L__BB0_1;
\tret;
}}
"""


def reading_workload(seed: int) -> list[Case]:
    """A long text: thousands of registers, other names with "mma" in them, a sparse product, tabs, a label and comments everywhere."""
    draw = Draw(seed, "ptx workload")
    numbers = {name: draw.whole(low, 20 * low) for name, low in (("p", 12), ("r", 1100), ("f", 10_100), ("rd", 40))}
    sparse = "mma.sp.sync.aligned.m16n8k64.row.col.satfinite.s32.s8.s8.s32"
    more = "".join(f"{MMA['sm_80']} {{ %r{i} }}, {{ %r2 }}, {{ %r3 }}, {{ %r{i} }};\n" for i in range(draw.whole(120, 180)))
    return [
        Case("a long text with other names in it", (LONG.format(**numbers, guard=draw.whole(0, 9), sparse=sparse, more=more),)),
        Case("no line of registers, no matrix instruction", (".version 8.7\n// mma.sync.aligned.m16n8k32\nret;\n",)),
    ]


def _changed(**changes: Callable[[str], Any]) -> Callable[[str], dict[str, Any]]:
    return lambda ptx: {**right_read(ptx), **{key: change(ptx) for key, change in changes.items()}}


def _with_comments(ptx: str) -> dict[str, Any]:
    names = re.findall(NAME, ptx)
    return {**right_read(ptx), "multiply": names[0] if names else "", "times": len(names)}


def _numbers(ptx: str) -> list[int]:
    return [int(n) for n in re.findall(r"\.reg\s+\.\w+\s+%\w+<(\d+)>", ptx)]


def _any_wgmma(ptx: str) -> dict[str, Any]:
    names = re.findall(r"^\s*(?:@!?%p\d+\s+)?((?:wgmma|mma)\.[\w.]+)", re.sub(r"//.*", "", ptx), re.MULTILINE)
    return {**right_read(ptx), "multiply": names[0] if names else "", "times": len(names)}


def _any_multiply(ptx: str) -> dict[str, Any]:
    text = re.sub(r"//.*", "", ptx)
    names = re.findall(r"^\s*(?:@!?%p\d+\s+)?((?:wgmma\.mma_async|mma|mul|mad)\.[\w.]+)", text, re.MULTILINE)
    return {**right_read(ptx), "multiply": names[0] if names else "", "times": len(names)}


def _unpredicated(ptx: str) -> dict[str, Any]:
    names = re.findall(rf"^\s*({NAME})", re.sub(r"//.*", "", ptx), re.MULTILINE)
    return {**right_read(ptx), "multiply": names[0] if names else "", "times": len(names)}


def _kinds(change: Callable[[list[str]], dict[str, Any]]) -> Callable[[str], dict[str, Any]]:
    """`change` is applied to the right names."""
    return lambda ptx: {**right_read(ptx), **change(re.findall(INSTRUCTION, re.sub(r"//.*", "", ptx), re.MULTILINE))}


READING_MISTAKES = (
    Mistake(
        "last kind",
        "You return the name of the last instruction; return that of the first one in the text.",
        _kinds(lambda names: {"multiply": (names or [""])[-1]}),
    ),
    Mistake(
        "first kind counted",
        "You count only instructions with the first one's name; count every matrix instruction.",
        _kinds(lambda names: {"times": names.count((names or [""])[0])}),
    ),
    Mistake(
        "comments counted",
        "You count an instruction in a comment; remove everything from // to the end of a line.",
        _with_comments,
    ),
    Mistake(
        "fence counted", "wgmma.fence, commit_group and wait_group multiply nothing; count wgmma.mma_async only.", _any_wgmma
    ),
    Mistake(
        "mul and mad counted",
        "mul and mad compute addresses here; count only mma. and wgmma.mma_async instructions.",
        _any_multiply,
    ),
    Mistake("predicate missed", "You miss instructions after a predicate; allow for one such as @%p1 or @!%p1.", _unpredicated),
    Mistake(
        "negated predicate missed",
        "You miss instructions after a negated predicate, as in @!%p1; allow for the ! too.",
        lambda ptx: _unpredicated(re.sub(r"@%p\d+", "", ptx)),
    ),
    Mistake(
        "names counted once",
        "You counted different names; `times` is the number of such instructions in the text.",
        _changed(times=lambda p: int(right_read(p)["times"] > 0)),
    ),
    Mistake(
        "lines of .reg counted",
        "You counted the .reg lines; add up the numbers in <...>, which say how many registers each line declares.",
        _changed(registers=lambda p: len(_numbers(p))),
    ),
    Mistake(
        "largest .reg only",
        "You used one .reg line; add up the registers of all kinds.",
        _changed(registers=lambda p: max(_numbers(p), default=0)),
    ),
    Mistake(
        "predicates left out",
        "You leave out predicate registers (.reg .pred); count them too.",
        _changed(registers=lambda p: sum(_numbers(p)[1:])),
    ),
    Mistake(
        "only the kind",
        "Your `multiply` is only a part of the name; return the whole name of the instruction, with all its dots.",
        _changed(multiply=lambda p: right_read(p)["multiply"].split(".")[0]),
    ),
)


read_ptx = Exercise(
    name="read_ptx",
    unit="06_gpu_kernels",
    points=2,
    difficulty=2,
    minutes=10,
    oracle=right_read,
    cases=reading_cases,
    workload=reading_workload,
    mistakes=READING_MISTAKES,
)
