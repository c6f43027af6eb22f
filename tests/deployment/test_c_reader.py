"""The interpreter of a small part of C against gcc, and what it refuses."""

import random

import numpy as np
import pytest
import torch

from posttrain_lab.deployment.c99 import emit_dense
from posttrain_lab.deployment.c_function import run_function
from posttrain_lab.deployment.c_reader import CError, read_c
from posttrain_lab.deployment.compiled import compiler

needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C compiler here: install gcc to run this")
PLAIN = ("-std=c99", "-w", "-O1")
HEAD = "static const int16_t a[3] = {-300, 7, 32767};\nconst uint8_t b = 250;\n"
LOCALS = "int64_t c = (int64_t)1 << 40; uint32_t d = 4000000000; int8_t e = -128; uint64_t f = 77;"
LEAVES = (
    "x[0]",
    "x[1]",
    "a[0]",
    "a[2]",
    "b",
    "c",
    "d",
    "e",
    "f",
    "3",
    "0x7f",
    "010",
    "2147483647",
    "5000000000",
    "9u",
    "1LL",
    "INT8_MIN",
    "UINT32_MAX",
)
SIGNS = ("+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "<", ">", "<=", ">=", "==", "!=", "&&", "||")
CASTS = ("int8_t", "uint8_t", "int16_t", "uint16_t", "int32_t", "uint32_t", "int64_t", "uint64_t", "int")


def expression(dice, depth):
    kind = dice.random()
    if depth == 0 or kind < 0.1:
        return dice.choice(LEAVES)
    one, two = expression(dice, depth - 1), expression(dice, depth - 1)
    if kind < 0.7:
        return f"({one} {dice.choice(SIGNS)} {two})"
    if kind < 0.8:
        return f"({dice.choice('-~!+')}{one})"
    if kind < 0.9:
        return f"(({dice.choice(CASTS)}){one})"
    return f"({one} ? {two} : {expression(dice, depth - 1)})"


def function(lines):
    """Each result as its lowest byte, and as the remainder of a prime number."""
    parts = [f"y[{2 * i}] = ({line}); y[{2 * i + 1}] = ({line}) % 113;" for i, line in enumerate(lines)]
    return f"{HEAD}void f(const int8_t *x, int8_t *y) {{ {LOCALS} {' '.join(parts)} }}"


@needs_compiler
def test_random_expressions_against_gcc():
    """Those that C leaves open are refused; of the others every result is that of gcc."""
    dice, kept, refused = random.Random(0), [], 0
    while len(kept) < 80:
        line = expression(dice, dice.choice((1, 2, 3)))
        try:
            read_c(function([line]), "f")([5, -7], 2)
            kept.append(line)
        except CError:
            refused += 1
    assert 5 < refused < 200
    text = function(kept)
    assert read_c(text, "f")([5, -7], 160) == run_function(text, "f", np.array([[5, -7]], np.int8), 160, PLAIN)[0].tolist()


PROGRAM = """#include <stdint.h>
static const int8_t w[6] = {1, -2, 3, -4, 5, -6,}; // a comma too many is right
/* a comment
   of two lines */
static const int32_t limit = 4;
void g(const int8_t *x, int8_t *y)
{
    int32_t total[3] = {0}, i, n = 0;
    for (i = 0; i < 3; ++i) total[i] = i;
    for (int j = 0, k = 5; j < k; j++, k--) { if (j == 1) continue; total[0] += w[j] * x[k]; }
    while (1) { n += 2; if (n > 9) break; else total[1] -= n; }
    { int32_t n = 100; total[2] = n--, total[2] += n; }
    y[0] = total[0]; y[1] = (int8_t)total[1]; y[2] = total[2] > limit && n != 0 ? n++ : -1; y[3] = n;
    n <<= 3; n |= 1; n ^= 5; n %= 50; n /= 2; n >>= 1; n -= -1; n *= 3; n &= 0x3f; y[4] = n;
    if (n) return;
    y[4] = 0;
}
"""


@needs_compiler
def test_statements_against_gcc():
    text = PROGRAM.replace("total[3] = {0}", "total[3]")
    x = np.random.default_rng(0).integers(-128, 128, (5, 6)).astype(np.int8)
    found = [read_c(text, "g")(row.tolist(), 5) for row in x]
    assert found == run_function(text, "g", x, 5, PLAIN).tolist()


@needs_compiler
def test_a_layer_against_gcc():
    draw = torch.Generator().manual_seed(0)
    weight = torch.randint(-128, 128, (9, 40), generator=draw).to(torch.int8)
    bias = torch.randint(-9999, 9999, (9,), generator=draw)
    multiplier, shift = torch.randint(2**30, 2**31, (9,), generator=draw), torch.randint(38, 42, (9,), generator=draw)
    text = emit_dense("layer", weight, bias, multiplier, shift, (-5, -60, 100))
    x = torch.randint(-128, 128, (20, 40), generator=draw).to(torch.int8).numpy()
    assert [read_c(text, "layer")(row.tolist(), 9) for row in x] == run_function(text, "layer", x, 9).tolist()


def body(lines, before=""):
    return f"{before}\nvoid f(const int8_t *x, int8_t *y) {{\n{lines}\n}}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no function void f"),
        ("void g(const int8_t *x, int8_t *y) {}", "called g, not f"),
        (body("y[0] = 1;") + body("y[0] = 1;"), "one function is read"),
        (body("y[0] = 1;", "int8_t w[2] = {1, 2};"), "w lacks const"),
        (body("y[0] = 1;", "static int32_t n = 3;"), "n lacks const"),
        (body("int8_t w[2] = {1, 2}; y[0] = 1;"), "w lacks const"),
        (body("float a = 1; y[0] = 1;"), "whole numbers only"),
        (body("y[0] = 1.5;"), "not read here"),
        (body("y[0] = abs(x[0]);"), "a call of abs"),
        (body("const int8_t *p = x; y[0] = 1;"), "a pointer"),
        (body("y[0] = n;"), "n is not declared"),
        (body("y[0] = 1"), "';' was expected"),
        (body("long n = 1; y[0] = n;"), "depends on the machine"),
        (body("x[0] = 1; y[0] = 1;"), "is it const"),
        (body("3 = 4; y[0] = 1;"), "cannot be written"),
        (body("y[0] = 1;", "#define N 3"), "not read here"),
        (body("y[0] = " + 5000 * "(" + "1" + 5000 * ")" + ";"), "too deep"),
        (body("y[0] = 1;").replace("const ", ""), "the parameters are"),
        (body("y[0] = 1;", "const int8_t w[1] = {1, 2};"), "2 numbers for the array w"),
        (body("y[0] = 99999999999999999999;"), "leaves the range"),
        (body("y[0] = " + "9" * 9000 + ";"), "leaves the range"),
        (body("y[0] = 08;"), "08 is no number"),
        (body("y[0] = 1;") + " " * 600_000, "characters"),
    ],
)
def test_what_is_not_read(text, words):
    with pytest.raises(CError, match=words.replace("[", r"\[")):
        read_c(text, "f")([1, 2], 1)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("y[0] = x[2];", "outside of its 2 numbers, at 2"),
        ("y[1] = 1;", "outside of its 1 numbers"),
        ("int32_t n; y[0] = n;", "before it is written"),
        ("", r"y\[0\] is never written"),
        ("int32_t n = 2147483647; n = n + x[0]; y[0] = 1;", "leaves the range of int32_t"),
        ("y[0] = -(-2147483647 - 1);", "leaves the range"),
        ("y[0] = 1 << 40;", "a shift by 40 of a number of 32 bits"),
        ("y[0] = -1 << 2;", "a negative number shifted"),
        ("y[0] = 5 / (x[0] - 1);", "a division by 0"),
        ("while (1) y[0] = 1;", "does one never end"),
        ("for (;;) ;", "does one never end"),
        ("while (1) { int8_t w[500000]; } y[0] = 1;", "does one never end"),
        ("while (1) y[0] = 1" + 2000 * " + 1" + ";", "does one never end"),
    ],
)
def test_what_c_leaves_open(lines, words, monkeypatch):
    monkeypatch.setattr("posttrain_lab.deployment.c_reader.WORK", 20_000)
    run = read_c(body(lines), "f")
    with pytest.raises(CError, match=words):
        run([1, 2], 1)


def test_a_plain_char_is_unsigned_as_on_arm():
    text = body("y[0] = w[0] < 0;", "const char w[1] = {-1};")
    assert read_c(text, "f")([0], 1) == [0]


def test_a_call_leaves_nothing_for_the_next():
    run = read_c(body("int32_t n; int32_t m[2]; if (x[0]) { n = 1; m[0] = 1; } y[0] = n + m[0];"), "f")
    assert run([1], 1) == [2]
    with pytest.raises(CError, match="before it is written"):
        run([0], 1)


@pytest.mark.skipif(compiler() is None, reason="no C compiler here: install gcc to run this")
def test_texts_that_gcc_refuses():
    with pytest.raises(RuntimeError, match="refuses the C text"):
        run_function("void f(const int8_t *x, int8_t *y) { y[0] = x[0] }", "f", np.zeros((1, 1), np.int8), 1)


def test_no_compiler_is_said(monkeypatch):
    monkeypatch.setattr("posttrain_lab.deployment.c_function.compiler", lambda: None)
    with pytest.raises(FileNotFoundError, match="install gcc"):
        run_function("", "f", np.zeros((1, 1), np.int8), 1)
