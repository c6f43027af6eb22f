"""The checksum of named tensors and of what is said about them: a changed byte, or a changed number, gives another one."""

import hashlib
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor


def content_checksum(tensors: Iterable[tuple[str, Tensor]], about: Mapping[str, str] | None = None) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of the tensors, and over the texts of `about`, each sorted by name.

    >>> content_checksum([("a", torch.zeros(2))]) == content_checksum([("a", torch.zeros(1, 2))])
    False
    """
    digest = hashlib.sha256()
    for key, text in sorted((about or {}).items()):
        digest.update(f"{key}={text}\n".encode())
    for name, value in sorted(tensors, key=lambda pair: pair[0]):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
