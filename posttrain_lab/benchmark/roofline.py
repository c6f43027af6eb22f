"""Where a race stands below the roofs of this machine (Williams et al. 2009): its operations, its bytes, its share of the peak."""

from collections.abc import Sequence

from .machine import Peaks
from .problems import Conv
from .rows import Race
from .timing import Result, median, shape_of


def work_and_bytes(race: Race, sizes: tuple[float, float, float]) -> tuple[float, float]:
    """Operations (two for a product that counts) and bytes that must move at least once."""
    work = 2.0 * race.m * race.k * race.n * race.density
    inputs = _image_numbers(race.conv) if race.conv else race.m * race.k
    return work, inputs * sizes[0] + race.k * race.n * sizes[1] + race.m * race.n * sizes[2]


def _image_numbers(conv: Conv) -> int:
    return conv.images * conv.size**2 * conv.cin


def share_of_peak(race: Race, seconds: float | None, peaks: Peaks | None) -> float | None:
    """Operations a second as a share of the measured peak: of int8 products, or of float ones. None for int4, whose peak is not measured."""
    if not seconds or peaks is None or race.op == "int4_linear":
        return None
    peak = peaks.int8 if race.op.startswith("int8") else peaks.fp32
    return 2.0 * race.m * race.k * race.n * race.density / seconds / 1e9 / peak


def roofline_points(results: Sequence[Result], threads: int) -> dict[str, list[tuple[float, float, str]]]:
    """For each implementation: operations for a byte, GOPS, and the words shown on hover."""
    points: dict[str, list[tuple[float, float, str]]] = {}
    for result in results:
        race = result.race
        for one in result.timings:
            seconds = median(one)
            if race.threads == threads and seconds:
                work, moved = work_and_bytes(race, race.entrants[one.name].sizes)
                points.setdefault(one.name, []).append((work / moved, work / seconds / 1e9, f"{race.op} {shape_of(race)}"))
    return points
