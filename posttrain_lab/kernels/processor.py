"""What the processor multiplies at once, as numba will compile for it. Imported when the first weights are packed: it needs numba.

VNNI multiplies four bytes by four bytes and adds in 32 bits. AVX2 alone multiplies pairs of bytes and adds them in 16 bits, where they
saturate; other processors multiply pairs of 16-bit numbers.
"""

from llvmlite import binding
from numba.core import config


def has(*names: str) -> bool:
    """Will numba compile for a processor with all of these features?"""
    if getattr(config, "CPU_NAME", None):  # another processor was asked for, as numba's manual describes
        return all(f"+{name}" in (getattr(config, "CPU_FEATURES", None) or "").split(",") for name in names)
    features = binding.get_host_cpu_features()
    return all(features.get(name) for name in names)


VNNI = has("avx512vnni", "avx512bw") or has("avxvnni")
STEP = 4 if VNNI or has("avx2") else 2  # codes of an output that one multiplication takes together
SHIFT = 128 if STEP == 4 else 0  # what is added to inputs, since products of bytes want one side unsigned
PAIRS_SATURATE = STEP == 4 and not VNNI
