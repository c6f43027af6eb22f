"""What does a network cost on a device, and which network fits a budget? Bytes, milliseconds of the slow calls too, joules.

Energy is counted, not measured, from Horowitz 2014 ("Computing's energy problem", 45 nm, 0.9 V), so it is a pair of bounds; a chip of
today needs less of everything, and its ratios are similar. Left out: leakage, control, clock, the camera.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from posttrain_lab.arguments import check_count

ARITHMETIC = {8: 0.2 + 0.1, 16: 1.1 + 0.4, 32: 3.7 + 0.9}  # pJ: int8 product and int32 sum; float product and sum
CACHE = 20.0  # pJ for 8 bytes from 32 kB of SRAM
ON_CHIP = (20.0, 100.0)  # 32 kB to 1 MB
DRAM = (1300.0, 2600.0)
PICO = 1e-12


@dataclass(frozen=True)
class Facts:
    """What is known of one candidate: accuracy on validation images, bytes of flash and RAM, milliseconds and joules an image."""

    name: str
    accuracy: float
    flash: int
    ram: int
    ms: float
    joules: float


def energy(macs: int, weight_bytes: int, activation_bytes: int, bits: int, dram: bool) -> tuple[float, float]:
    """(low, high) joules for one image: arithmetic, every weight read once, every activation written and read once.

    bits 8: integers; 16 and 32: floats. dram: the weights come from DRAM, at 1.3 to 2.6 nJ for 8 bytes; else from the chip's SRAM, at
    20 to 100 pJ. Activations stay in 32 kB of SRAM, 20 pJ. A batch reads the weights once: divide them by its size.
    Raises ValueError for other bits and for negative counts. Source: Horowitz 2014.

    >>> [round(1e6 * joules, 1) for joules in energy(4_289_536, 107_992, 42_396, bits=8, dram=True)]
    [19.0, 36.6]
    """
    if bits not in ARITHMETIC:
        raise ValueError(f"energy wants bits of {', '.join(map(str, ARITHMETIC))}, got {bits}.")
    for name, value in (("macs", macs), ("weight_bytes", weight_bytes), ("activation_bytes", activation_bytes)):
        check_count("energy", name, value, 0)
    fixed = macs * ARITHMETIC[bits] + 2 * activation_bytes / 8 * CACHE
    low, high = (PICO * (fixed + weight_bytes / 8 * access) for access in (DRAM if dram else ON_CHIP))
    return low, high


def tail(times: Sequence[float], warmup: int) -> tuple[float, float, float]:
    """(first, p50, p99) of the times of calls: the first call pays for loading, the percentiles leave out `warmup` calls.

    Percentiles by the nearest rank, as in `latency`: the p-th of n sorted times is at rank ceil(p n / 100).
    Raises ValueError when no time is left.

    >>> tail([9.0, 1.0, 2.0, 3.0], warmup=1)
    (9.0, 2.0, 3.0)
    """
    check_count("tail", "warmup", warmup, 0)
    rest = sorted(times[warmup:])
    if not rest:
        raise ValueError(f"tail wants more times than its warmup of {warmup}, got {len(times)}; measure longer.")
    p50, p99 = (rest[-(-percent * len(rest) // 100) - 1] for percent in (50, 99))
    return times[0], p50, p99


def fits(candidates: Sequence[Facts], flash: int, ram: int, ms: float, joules: float) -> Facts | None:
    """The most accurate candidate inside all four limits (equal counts as inside), the smaller one of two equals; None if none is.

    >>> small, large = Facts("small", 0.8, 10, 2, 1.0, 1e-6), Facts("large", 0.9, 99, 9, 2.0, 2e-6)
    >>> fits([small, large], flash=50, ram=9, ms=9.0, joules=1.0).name
    'small'
    """
    inside = [one for one in candidates if one.flash <= flash and one.ram <= ram and one.ms <= ms and one.joules <= joules]
    return max(inside, key=lambda one: (one.accuracy, -one.flash, -one.ram), default=None)
