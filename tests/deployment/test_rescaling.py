"""Fixed point in halves and in doubles against Python's integers, ties and negative sums above all."""

import random
from fractions import Fraction
from math import floor

import pytest
import torch

from posttrain_lab.deployment.layouts import after_flatten, channels_last, pixel_table
from posttrain_lab.deployment.rescaling import double_is_exact, multiply_shift, pool_first
from posttrain_lab.quantization import affine_qparams, quantize


def numbers(count):
    choose = random.Random(3)
    for _ in range(count):
        m, shift = choose.randrange(2**30, 2**31), choose.randrange(17, 63)
        yield choose.randrange(-(2**30) + 1, 2**30), m, shift
        yield choose.randrange(-(2**29), 2**29) | 1, 2**30, choose.choice([31, 32, 40])  # ties


def test_halves_against_pythons_integers():
    cases = list(numbers(3000))
    sums, m, shift = (torch.tensor(column) for column in zip(*cases, strict=True))
    got = multiply_shift(sums.int()[None], m, shift)[0].tolist()
    assert got == [(s * a + (1 << (b - 1))) >> b for s, a, b in cases]


@pytest.mark.parametrize("shift", [16, 63])
def test_shifts_that_do_not_fit(shift):
    with pytest.raises(ValueError, match=r"shifts in 17\.\.62"):
        multiply_shift(torch.zeros(1, 1, dtype=torch.int32), torch.tensor([2**30]), torch.tensor([shift]))


@pytest.mark.parametrize("bits", [8, 16])
def test_doubles_are_exact_where_they_are_said_to_be(bits):
    choose, ends = random.Random(5), 2 ** (bits - 1)
    claimed = 0
    for _ in range(400):
        weight, bias = choose.randrange(-127, 128), choose.randrange(-(2**29), 2**29)
        m, shift = choose.randrange(2**30, 2**31), choose.randrange(17, 60)
        one = torch.tensor([[weight]], dtype=torch.int8), torch.tensor([bias]), torch.tensor([m]), torch.tensor([shift])
        if not double_is_exact(*one, bits).item():
            continue
        claimed += 1
        for s in [bias + weight * x for x in (-128, -1, 0, 1, 127)]:
            whole = max(-ends, min(ends - 1, (s * m + (1 << (shift - 1))) >> shift))
            assert whole == max(-ends, min(ends - 1, floor(s * (m / 2**shift) + 0.5)))
    assert claimed > 50


def test_pooling_sums_gives_the_same_codes():
    generator = torch.Generator().manual_seed(2)
    sums = torch.randint(-(2**14), 2**14, (7, 9, 5), generator=generator, dtype=torch.int32)
    bias, m = torch.randint(-99, 99, (5,), generator=generator), torch.randint(2**30, 2**31, (5,), generator=generator)
    shift = torch.tensor([36, 37, 38, 38, 39])
    codes = [
        [
            [
                max(-128, min(127, floor(Fraction((int(v) + int(b)) * int(a), 2 ** int(s)) + Fraction(1, 2))))
                for v, b, a, s in zip(pixel, bias, m, shift, strict=True)
            ]
            for pixel in row
        ]
        for row in sums
    ]
    after = torch.tensor(codes)[:6, :8].reshape(3, 2, 4, 2, 5).amax((1, 3))
    assert torch.equal(pool_first(sums, bias, m, shift, 2), after.to(torch.int8))
    with pytest.raises(ValueError, match="at least 9 x 9"):
        pool_first(sums, bias, m, shift, 9)


def test_layouts():
    image = torch.randint(-9, 9, (1, 3, 4, 5))
    weight = torch.randint(-9, 9, (6, 3, 4, 5))
    want = torch.nn.functional.conv2d(image.double(), weight.double()).flatten()
    row = image.permute(0, 2, 3, 1).flatten()
    assert torch.equal((channels_last(weight) * row).sum(1).double(), want)
    assert torch.equal((after_flatten(weight.flatten(1), 3, 4, 5) * row).sum(1).double(), want)
    for wrong in (lambda: channels_last(weight[0]), lambda: after_flatten(weight.flatten(1), 3, 5, 5)):
        with pytest.raises(ValueError, match="wants a weight"):
            wrong()


@pytest.mark.parametrize(("low", "high", "bits"), [(0.0, 1.0, 8), (-1.0, 2.0, 8), (0.0, 0.4, 8), (0.0, 1.0, 4)])
def test_the_pixel_table(low, high, bits):
    scale, zero = affine_qparams(low, high, bits)
    table = pixel_table(scale, zero, bits)
    assert [quantize(torch.tensor([v / 255]), scale, zero, bits).item() for v in range(256)] == table.tolist()
