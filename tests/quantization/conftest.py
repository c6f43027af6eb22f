"""What several test modules of this folder compare with."""

from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def torchao() -> ModuleType:
    """torchao's quantization primitives; their import takes seconds, so the fast tests go without."""
    from torchao.quantization import quant_primitives

    return quant_primitives
