"""The races as data: which op at which shape on how many threads, who runs, and what the speed table asks for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from . import onnx_peers, peers
from .problems import Conv, Problem

OURS, OUR_INT8 = "posttrain_lab", "posttrain_lab_int8_linear"
FBGEMM, FP32, LAST, INT_MM = "torch_quantized_x86", "torch_fp32", "torch_fp32_channels_last", "torch_int_mm"
CSR, SCIPY, ORT = "torch_csr", "scipy_csr", "onnxruntime"
SAME, BYTES, EXACT = "time", "bytes", "exact"  # what a target compares


@dataclass(frozen=True)
class Entrant:
    """One implementation in a race.

    | field       | meaning                                                                                     |
    |-------------|---------------------------------------------------------------------------------------------|
    | `make`      | takes a Problem, returns a function that computes it once, or raises with a reason          |
    | `expects`   | the kind of right result, see `Problem.expected`                                            |
    | `tolerance` | largest error allowed, in units of the result's root mean square; 0: equal                  |
    | `sizes`     | bytes of an input, of a weight kept or dropped alike, of an output: for the roofline        |
    | `read`      | brings a result into the order and unit of the right one                                    |
    | `saturates` | a known fault of 8-bit peers: a wrong result is noted, and timed nevertheless                |
    """

    make: peers.Maker
    expects: str = "float"
    tolerance: float = 1e-4
    sizes: tuple[float, float, float] = (4, 4, 4)
    read: Callable[[Any, Problem], Any] = lambda result, problem: result
    saturates: bool = False


@dataclass(frozen=True)
class Target:
    """Ours against `rival`: at least `least` times as fast; for bytes at most that share; for exact right where it is not."""

    rival: str
    least: float
    measure: str = SAME


@dataclass(frozen=True)
class Race:
    """One op at one shape: (m, k) times (k, n), `density` of the weights not 0."""

    op: str
    m: int
    k: int
    n: int
    density: float = 1.0
    threads: int = 1
    targets: tuple[Target, ...] = ()
    conv: Conv | None = None
    extreme: bool = False
    entrants: dict[str, Entrant] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """What the columns do not say."""
        return self.conv.words if self.conv else "all activations and weights at their largest" if self.extreme else ""

    def problem(self) -> Problem:
        """Its numbers; the same for any number of threads."""
        return Problem(self.op, self.m, self.k, self.n, self.density, self.conv, self.extreme)


def _transposed(result: Any, problem: Problem) -> Any:
    return result.T


def _channels_to_the_end(result: Any, problem: Problem) -> Any:
    return result.permute(0, 2, 3, 1) if isinstance(result, Tensor) else result.transpose(0, 2, 3, 1)


def _dequantized(result: Any, problem: Problem) -> Any:
    return _channels_to_the_end(result.dequantize(), problem)


def _times_step(result: Any, problem: Problem) -> Any:
    return (_channels_to_the_end(result, problem).astype("float32") - 128) * peers.output_scale(problem)


def _eight_bit(make: peers.Maker, expects: str = "float", tolerance: float = 0.25, **more: Any) -> Entrant:
    """A peer that rounds otherwise than we do, and may saturate."""
    return Entrant(make, expects, tolerance, **{"sizes": (4, 1, 4), "saturates": True, **more})


FLOAT = Entrant(peers.torch_fp32)
SPARSE_PEERS = {CSR: Entrant(peers.torch_csr, sizes=(4, 0.8, 4)), FP32: FLOAT}
LINEUP: dict[str, dict[str, Entrant]] = {
    "int8_matmul": {
        OURS: Entrant(peers.our_int8_matmul, "sums", 0, (1, 1, 4)),
        INT_MM: _eight_bit(peers.torch_int_mm, "sums", 0, sizes=(1, 1, 4)),
        ORT: _eight_bit(onnx_peers.onnx_matmul, "sums", 0, sizes=(1, 1, 4)),
    },
    "int8_linear": {
        OURS: Entrant(peers.our_int8_linear, "int8", sizes=(4, 1, 4)),
        FBGEMM: _eight_bit(peers.torch_quantized),
        ORT: _eight_bit(onnx_peers.onnx_linear),
        FP32: FLOAT,
    },
    "int4_linear": {
        OURS: Entrant(peers.our_int4_linear, "int4", sizes=(4, 0.5625, 4)),
        OUR_INT8: Entrant(peers.our_int8_linear, "int8", sizes=(4, 1, 4)),
        FP32: FLOAT,
    },
    "sparse_linear": {
        OURS: Entrant(peers.our_sparse_linear, sizes=(4, 0.8, 4)),
        SCIPY: Entrant(peers.scipy_csr, sizes=(4, 0.8, 4), read=_transposed),
        **SPARSE_PEERS,
    },
    "block_sparse_linear": {OURS: Entrant(peers.our_block_sparse_linear, sizes=(4, 0.8, 4)), **SPARSE_PEERS},
    "nm_linear": {OURS: Entrant(peers.our_nm_linear, sizes=(4, 2.25, 4)), FP32: FLOAT},
    "int8_conv2d": {
        OURS: Entrant(peers.our_int8_conv2d, "conv", sizes=(1, 1, 4)),
        FBGEMM: _eight_bit(peers.torch_quantized_conv, "conv", sizes=(1, 1, 1), read=_dequantized),
        f"{ORT}_qlinearconv": _eight_bit(onnx_peers.onnx_qlinear_conv, "conv", sizes=(1, 1, 1), read=_times_step),
        f"{ORT}_convinteger": _eight_bit(onnx_peers.onnx_conv_integer, "sums", 0, sizes=(1, 1, 4), read=_channels_to_the_end),
        FP32: Entrant(peers.torch_conv, "conv", read=_channels_to_the_end),
        LAST: Entrant(peers.torch_conv_channels_last, "conv", read=_channels_to_the_end),
    },
}

LINEAR = ((1, 1024, 1024), (1, 4096, 4096), (16, 1024, 1024), (128, 768, 3072), (256, 1024, 1024), (512, 576, 128), (1024,) * 3)
SPARSE = ((64, 1024, 1024), (128, 1024, 1024), (256, 1024, 1024), (256, 768, 3072))
PRUNED = ((16, 1024, 1024), (64, 1024, 1024), (256, 1024, 1024), (128, 768, 3072))
CONVS = ((24, 48, 14), (48, 96, 7), (64, 64, 28), (128, 128, 14))  # channels in, channels out, side of the image
BATCHES = (1, 64)
GEOMETRIC_MEAN, SCALING = 1.05, 1.8  # over all shapes of int8_linear; of int8_linear at 1024^3, from 1 to 2 threads


def _linear_races() -> list[Race]:
    races = [Race("int8_linear", *s, targets=(Target(FBGEMM, 1.0), Target(FP32, 1.35))[: 1 + (s[0] >= 16)]) for s in LINEAR]
    races.append(Race("int8_linear", 16, 1024, 1024, targets=(Target(FBGEMM, 0, EXACT),), extreme=True))
    races += [Race("int8_matmul", *shape, targets=(Target(INT_MM, 50),)) for shape in LINEAR]
    fours = [shape for shape in LINEAR if shape[0] >= 16 or shape[1] == 4096]
    return races + [Race("int4_linear", *s, targets=(Target(OUR_INT8, 1.25 if s[0] >= 16 else 1.5),)) for s in fours]


def _sparse_races() -> list[Race]:
    one = (Target(SCIPY, 1.3), Target(FP32, 1.3))
    races = [Race("sparse_linear", *shape, 0.1, targets=(Target(CSR, 1.8), Target(FP32, 3.5))) for shape in SPARSE]
    races.append(Race("sparse_linear", 1, 1024, 1024, 0.1, targets=one))
    races += [Race("block_sparse_linear", *shape, 0.2, targets=(Target(FP32, 3.0),)) for shape in PRUNED if shape[0] >= 64]
    pruned = (Target(FP32, 1.0), Target(FP32, 0.6, BYTES))
    return races + [Race("nm_linear", *shape, 0.5, targets=pruned) for shape in PRUNED]


def _conv_races() -> list[Race]:
    convs = [Conv(images, *shape) for shape in CONVS for images in BATCHES]
    return [Race("int8_conv2d", *conv.mkn, targets=(Target(FBGEMM, 1.0),), conv=conv) for conv in convs]


def races(cores: int, quick: bool = False) -> list[Race]:
    """All races on one thread, each followed by itself on `cores` threads; quick: only int8_linear and large convolutions twice."""
    found = []
    for race in _linear_races() + _sparse_races() + _conv_races():
        found.append(_with_entrants(race))
        twice = race.m >= 256 and race.op in QUICK if quick else not race.extreme
        if cores > 1 and twice:
            found.append(_with_entrants(race, cores))
    return found


QUICK = ("int8_linear", "int8_conv2d")  # in a quick run also on all threads


def _with_entrants(race: Race, threads: int = 1) -> Race:
    targets = race.targets if threads == 1 else ()
    given = (race.op, race.m, race.k, race.n, race.density, threads, targets, race.conv, race.extreme)
    return Race(*given, entrants=LINEUP[race.op])
