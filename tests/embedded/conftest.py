"""Other processors and runtimes must be installed first: only `pytest -m embedded` (or a path into this folder) runs these tests."""

from pathlib import Path

import pytest

from tests.left_out import leave_out

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    leave_out("embedded", HERE, config, items)
