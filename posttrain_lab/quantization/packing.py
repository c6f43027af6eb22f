"""Codes of 2 to 4 bits share bytes: 2 bits, four codes a byte; 3 and 4 bits, two codes a byte; 5 to 8 bits, one.

| bits | codes a byte | bits of byte i, low to high                         |
|------|--------------|-----------------------------------------------------|
| 2    | 4            | code[4i], code[4i+1], code[4i+2], code[4i+3]        |
| 3, 4 | 2            | code[2i], code[2i+1] (3 bits: one bit stays unused) |

Each code is stored in two's complement. Left out: a dense 3-bit layout, which saves a quarter and needs shifts across
bytes.
"""

from math import prod

import torch
from jaxtyping import Int8, Shaped, UInt8
from torch import Tensor
from torch.nn import functional as F

from .affine import code_range


def codes_per_byte(bits: int) -> int:
    """How many codes of `bits` bits share a byte?

    >>> [codes_per_byte(bits) for bits in (2, 3, 4, 5, 8)]
    [4, 2, 2, 1, 1]
    """
    code_range(bits, caller="codes_per_byte")
    return 4 if bits == 2 else 2 if bits <= 4 else 1


def pack_codes(codes: Int8[Tensor, "*shape"], bits: int) -> Shaped[Tensor, "..."]:
    """Pack codes of `bits` bits: uint8 [ceil(n / codes a byte)] for 2 to 4 bits; unchanged for 5 to 8.

    Raises TypeError for codes that are not int8, ValueError for codes that need more bits.

    >>> pack_codes(torch.tensor([1, -1, 7], dtype=torch.int8), bits=4)
    tensor([241,   7], dtype=torch.uint8)
    """
    low, high = code_range(bits, caller="pack_codes")
    if codes.dtype != torch.int8:
        raise TypeError(f"pack_codes wants int8 codes, got {codes.dtype}; use quantize_weight.")
    if codes.numel() and not (low <= int(codes.amin()) and int(codes.amax()) <= high):
        raise ValueError(
            f"pack_codes wants codes in {low}..{high} for {bits} bits, got {int(codes.amin())}..{int(codes.amax())}; "
            "quantize to as many bits as you pack."
        )
    slots = codes_per_byte(bits)
    if slots == 1:
        return codes.contiguous()
    flat = F.pad(codes.flatten(), (0, -codes.numel() % slots)).reshape(-1, slots).view(torch.uint8)
    width = 8 // slots
    packed = torch.zeros(len(flat), dtype=torch.uint8, device=codes.device)
    for slot in range(slots):
        packed |= (flat[:, slot] & (2**width - 1)) << (slot * width)
    return packed


def unpack_codes(packed: Int8[Tensor, "..."] | UInt8[Tensor, " n"], bits: int, shape: tuple[int, ...]) -> Int8[Tensor, "..."]:
    """Unpack codes: int8 of the given shape; only shifts, no float.

    Each code is shifted to the top of its byte and back as a signed number, which extends its sign.
    Raises ValueError when the bytes do not fit the shape.

    >>> unpack_codes(torch.tensor([241, 7], dtype=torch.uint8), bits=4, shape=(3,))
    tensor([ 1, -1,  7], dtype=torch.int8)
    """
    slots, count = codes_per_byte(bits), prod(shape)
    if packed.numel() != -(-count // slots):
        raise ValueError(
            f"unpack_codes wants {-(-count // slots)} bytes for {bits}-bit codes of shape {tuple(shape)}, "
            f"got {packed.numel()}; give the bits and shape that were packed."
        )
    if slots == 1:
        return packed.reshape(shape)
    width = 8 // slots
    parts = [(packed << (8 - width - slot * width)).view(torch.int8) >> (8 - width) for slot in range(slots)]
    return torch.stack(parts, dim=1).flatten()[:count].reshape(shape)
