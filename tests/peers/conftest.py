"""The tests against other packages take minutes and their imports warn: only `pytest -m peers` (or a path into this folder) runs them."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    named = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    if "peers" in config.option.markexpr or any(path.is_relative_to(HERE) for path in named):
        return
    left_out = [item for item in items if item.get_closest_marker("peers")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("peers")]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Here a warning of another package is no error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
