"""Kernels for the CPU, in Numba: same names and meanings as in `reference.py`, compiled when first called."""

from .int8 import int8_matmul

__all__ = ["int8_matmul"]
