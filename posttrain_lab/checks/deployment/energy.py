"""Cases and known mistakes of `energy`: how many joules does one image cost, at least and at most?

Conventions that the notebook states in the same words:
- picojoules after Horowitz 2014: a product and a sum 0.3 (8 bits), 1.5 (16) or 4.6 (32); 8 bytes from the small memory 20; weights from
  the chip 20 to 100 for 8 bytes, from DRAM 1300 to 2600;
- macs * arithmetic + every activation written and read once + every weight read once; (low, high) in joules, plain floats.
"""

from collections.abc import Callable

from posttrain_lab.checks.engine.exercise import Call, Case, Exercise, Law, Mistake
from posttrain_lab.checks.engine.judges import close
from posttrain_lab.checks.engine.random_cases import Draw

Arguments = tuple[int, int, int, int, bool]
Bounds = tuple[float, float]
NAMES = ("macs", "weight_bytes", "activation_bytes", "bits", "dram")
OPERATION = {8: 0.3, 16: 1.5, 32: 4.6}
SMALL, CHIP, DRAM = 20 / 8, (20 / 8, 100 / 8), (1300 / 8, 2600 / 8)  # picojoules a byte


def _parts(macs: float, weight_bytes: float, activation_bytes: float, bits: int, dram: bool) -> tuple[float, float, Bounds]:
    """Picojoules of arithmetic, of activations, and the bounds of those of weights."""
    low, high = DRAM if dram else CHIP
    return macs * OPERATION[bits], 2 * activation_bytes * SMALL, (weight_bytes * low, weight_bytes * high)


def right_energy(macs: int, weight_bytes: int, activation_bytes: int, bits: int, dram: bool) -> Bounds:
    arithmetic, activations, (low, high) = _parts(macs, weight_bytes, activation_bytes, bits, dram)
    return (arithmetic + activations + low) / 1e12, (arithmetic + activations + high) / 1e12


def _case(draw: Draw, bits: int, dram: bool) -> Arguments:
    """Each of the three parts is a good share of the whole."""
    weights = draw.whole(2_000, 200_000)
    macs = round(weights * draw.real(20, 80))
    scale = 40 if dram else 3
    return macs, weights, round(weights * draw.real(1, 4)) * scale, bits, dram


def energy_cases(seed: int) -> list[Case]:
    draw = Draw(seed, "energy")
    return [
        *(
            Case(f"{bits} bits, weights {where}", _case(draw, bits, dram))
            for bits in (8, 16, 32)
            for where, dram in (("in DRAM", True), ("on the chip", False))
        ),
        Case("no multiplications", (0, draw.whole(10, 99), draw.whole(10, 99), 8, True)),
        Case("no weights", (draw.whole(10, 99), 0, draw.whole(10, 99), 16, True)),
        Case("no activations", (draw.whole(10, 99), draw.whole(10, 99), 0, 32, False)),
        Case("by name", (), dict(zip(NAMES, _case(draw, 8, True), strict=True))),
    ]


def energy_workload(seed: int) -> list[Case]:
    del seed
    return [
        Case("the network of the course in integers", (4_289_536, 107_992, 42_396, 8, True)),
        Case("a network of 388 million multiplications", (388_000_000, 4_608_992, 7_103_616, 8, True)),
    ]


def _twice_as_much(call: Call, seed: int) -> str | None:
    macs, weights, activations, bits, dram = _case(Draw(seed, "energy law"), 8, True)
    once, twice = call(macs, weights, activations, bits, dram), call(2 * macs, 2 * weights, 2 * activations, bits, dram)
    fits = all(abs(b - 2 * a) <= 1e-6 * b for a, b in zip(once, twice, strict=True))
    return None if fits else "twice the multiplications and bytes cost twice the energy."


def _with(
    factor: float = 1e-12,
    weights: Callable[[int, int], float] = lambda weight_bytes, macs: weight_bytes,
    activations: Callable[[int], float] = lambda n: n,
    arithmetic: float = 1,
    bits: Callable[[int], int] = lambda bits: bits,
    dram: Callable[[bool], bool] = lambda dram: dram,
    after: Callable[[Bounds], object] = lambda bounds: bounds,
) -> Callable[..., object]:
    def mistaken(macs: int, weight_bytes: int, activation_bytes: int, bits_: int, dram_: bool) -> object:
        a, b, (low, high) = _parts(
            arithmetic * macs, weights(weight_bytes, macs), activations(activation_bytes), bits(bits_), dram(dram_)
        )
        return after((factor * (a + b + low), factor * (a + b + high)))

    return lambda macs, weight_bytes, activation_bytes, bits, dram: mistaken(macs, weight_bytes, activation_bytes, bits, dram)


ENERGY_MISTAKES = (
    Mistake(
        "activations forgotten",
        "You leave out the activations; each is written once and read once.",
        _with(activations=lambda n: 0),
    ),
    Mistake(
        "activations once",
        "You count activations once; each is written and read: twice its bytes.",
        _with(activations=lambda n: n / 2),
    ),
    Mistake(
        "bytes and not 8 bytes",
        "The numbers for memory are for 8 bytes at once; divide the bytes by 8.",
        _with(weights=lambda weight_bytes, macs: 8 * weight_bytes, activations=lambda n: 8 * n),
    ),
    Mistake(
        "whole 8 bytes",
        "You divide by 8 with //, which cuts off; divide with /.",
        _with(weights=lambda weight_bytes, macs: weight_bytes // 8 * 8, activations=lambda n: 2 * n // 8 * 4),
    ),
    Mistake(
        "whole 8 bytes, then doubled",
        "You divide by 8 with //, which cuts off, before you double; divide with /.",
        _with(weights=lambda weight_bytes, macs: weight_bytes // 8 * 8, activations=lambda n: n // 8 * 8),
    ),
    Mistake(
        "weights twice",
        "You count the weights twice; they are read once for an image, and never written.",
        _with(weights=lambda weight_bytes, macs: 2 * weight_bytes),
    ),
    Mistake(
        "a weight for each multiplication",
        "You read a weight for each multiplication; each is read once for an image, and used many times.",
        _with(weights=lambda weight_bytes, macs: macs),
    ),
    Mistake(
        "bits of 32",
        "You take the numbers of 32-bit floats always; ARITHMETIC has one for each number of bits.",
        _with(bits=lambda b: 32),
    ),
    Mistake("bits of 8", "You take the numbers of 8 bits always; floats cost more.", _with(bits=lambda b: 8)),
    Mistake(
        "always DRAM", "You take the weights from DRAM always; dram False means memory on the chip.", _with(dram=lambda d: True)
    ),
    Mistake(
        "never DRAM",
        "You take the weights from the chip always; dram True means 1.3 to 2.6 nJ for 8 bytes.",
        _with(dram=lambda d: False),
    ),
    Mistake("arithmetic forgotten", "You leave out the multiplications and sums.", _with(arithmetic=0)),
    Mistake(
        "product and sum",
        "A MAC is one product and one sum, and the number given is for both; count it once.",
        _with(arithmetic=2),
    ),
    Mistake("picojoules", "You return picojoules; one of them is 1e-12 joules.", _with(factor=1)),
    Mistake("nanojoules", "You divide by 1e9; a picojoule is 1e-12 joules.", _with(factor=1e-9)),
    Mistake("microjoules", "You return microjoules; return joules.", _with(factor=1e-6)),
    Mistake(
        "middle",
        "You return one number; the sources give bounds, so return (low, high).",
        _with(after=lambda bounds: sum(bounds) / 2),
    ),
    Mistake("high first", "You return the high bound first; the order is (low, high).", _with(after=lambda bounds: bounds[::-1])),
)


energy = Exercise(
    name="energy",
    unit="08_deployment",
    points=1,
    difficulty=2,
    minutes=4,
    oracle=right_energy,
    cases=energy_cases,
    workload=energy_workload,
    mistakes=ENERGY_MISTAKES,
    judge=close(1e-6, 1e-18),
    laws=(Law("twice as much", _twice_as_much),),
    library="deployment.budget:energy",
)
