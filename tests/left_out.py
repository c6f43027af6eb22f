"""Kinds of tests that run only when they are asked for: by their marker, or by a path into their folder."""

from pathlib import Path

import pytest


def leave_out(marker: str, folder: Path, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests with this marker, unless `-m` names it or a path of the command line lies in the folder."""
    named = [Path(argument.partition("::")[0]).resolve() for argument in config.args]
    if marker in config.option.markexpr or any(path.is_relative_to(folder) for path in named):
        return
    left_out = [item for item in items if item.get_closest_marker(marker)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker(marker)]
