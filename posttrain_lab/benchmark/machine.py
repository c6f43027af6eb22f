"""What can this machine do at most? Arithmetic and bandwidth, measured now; its name, its vector units, the versions."""

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from posttrain_lab.kernels.cpu.roofline_probe import multiplications
from posttrain_lab.kernels.cpu.simd import LANES
from posttrain_lab.kernels.processor import VNNI
from posttrain_lab.measure import device_name, using_threads

PACKAGES = ("posttrain-lab", "torch", "numba", "llvmlite", "numpy", "scipy", "onnxruntime")
MEMORY, CACHE = 128 * 2**20, 2**18  # bytes of the arrays that bandwidth is measured with: of all threads, of each


@dataclass(frozen=True)
class Peaks:
    """Measured on `threads` threads: float32 GFLOP/s, int8 GOPS (a multiply and an add are two), GB/s from memory and cache."""

    threads: int
    fp32: float
    int8: float
    memory: float
    cache: float


@dataclass(frozen=True)
class Machine:
    """The device, its vector units, the versions of what is measured, and the peaks on 1 thread and on all."""

    device: str
    simd: str
    cores: int
    versions: str
    peaks: tuple[Peaks, ...]
    load: float = 0.0  # programs that wanted a core in the minute before


def usable_cores() -> int:
    """Cores this process may use: of its affinity, and of its share in a container."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = Path("/sys/fs/cgroup/cpu.max")
    quota, _, period = limit.read_text().partition(" ") if limit.is_file() else ("max", "", "")
    return max(1, min(cores, int(quota) // int(period))) if quota.isdigit() else cores


def _best(call: Callable[[], object], seconds: float) -> float:
    """The shortest of the calls made in about this time: a peak is what nothing disturbed."""
    call()
    best, until = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
        if time.perf_counter() > until:
            return best


def fp32_peak(seconds: float) -> float:
    """GFLOP/s of torch's matrix product of 1024 x 1024."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    return 2 * 1024**3 / _best(lambda: a @ b, seconds) / 1e9


def int8_peak(threads: int, seconds: float) -> float:
    """GOPS of exact int8 products that never leave the registers, on each of the threads."""
    call, operations = multiplications(repeats=100_000)  # milliseconds, so that starting a thread does not count
    with ThreadPoolExecutor(threads) as pool:
        best = _best(lambda: list(pool.map(lambda _: call(), range(threads))), seconds)
    return operations * threads / best / 1e9


def bandwidth(size: int, threads: int, seconds: float) -> float:
    """GB/s of each thread reading `size` bytes of its own (a maximum), or copying them (read and written): what is more."""
    repeats = max(1, 2**26 // size)  # small arrays many times, so that starting a thread does not count
    pairs = [(np.ones(size // 4, np.float32), np.zeros(size // 4, np.float32)) for _ in range(threads)]

    def read(pair: tuple[np.ndarray, np.ndarray]) -> None:
        for _ in range(repeats):
            pair[0].max()

    def copy(pair: tuple[np.ndarray, np.ndarray]) -> None:
        for _ in range(repeats):
            np.copyto(pair[1], pair[0])

    moved = size * threads * repeats
    with ThreadPoolExecutor(threads) as pool:
        reading, copying = (_best(lambda work=work: list(pool.map(work, pairs)), seconds / 2) for work in (read, copy))
    return max(moved / reading, 2 * moved / copying) / 1e9


def measure_peaks(threads: int, seconds: float) -> Peaks:
    """All peaks in about four times this many seconds."""
    with using_threads(threads), torch.no_grad():
        memory = bandwidth(MEMORY // threads, threads, seconds)
        cache = bandwidth(CACHE, threads, seconds)
        return Peaks(threads, fp32_peak(seconds), int8_peak(threads, seconds), memory, cache)


def versions() -> str:
    """`package version` of all that is measured, with semicolons between."""
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{package} missing")
    return "; ".join([f"python {platform.python_version()}", *found])


def describe(seconds: float) -> Machine:
    """This machine, with `seconds` for each peak."""
    cores, load = usable_cores(), os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    counts = (1, cores) if cores > 1 else (1,)
    vnni = " with VNNI" if VNNI else ""
    simd = f"{torch.backends.cpu.get_cpu_capability()}{vnni}, kernels use vectors of {32 * LANES} bits"
    device = device_name(torch.device("cpu"))
    return Machine(device, simd, cores, versions(), tuple(measure_peaks(count, seconds) for count in counts), load)
