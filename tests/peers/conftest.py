"""The tests against other packages take minutes and their imports warn: only `pytest -m peers` (or a path into this folder) runs them."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.left_out import leave_out

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    leave_out("peers", HERE, config, items)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Here a warning of another package is no error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
