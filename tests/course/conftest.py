"""What the tests of this folder share: what each unit costs, one JupyterLab a worker, one run of each notebook."""

import contextlib
import importlib.util
from collections.abc import Iterator

import pytest

from posttrain_lab.checks import UNITS
from posttrain_lab.grading.course import find_course, read_notebook

COST = "unit cost"  # printed at the end of the test run (tests/conftest.py)


@pytest.fixture
def record_cost(record_property):
    """Call it with one line; the line is printed in the summary of the run."""
    return lambda line: record_property(COST, line)


@pytest.fixture(scope="package")
def lab_server(tmp_path_factory) -> Iterator:
    """A JupyterLab for all tests of this worker; a notebook's path is its unit's."""
    from tests.course.server import start_lab

    folder, scratch = tmp_path_factory.mktemp("mine"), tmp_path_factory.mktemp("scratch")
    with start_lab(folder, scratch) as server:
        yield server


@pytest.fixture(scope="package", params=UNITS)
def unit(request) -> str:
    """Each unit in turn: all tests of one unit with a scope as wide as this run before those of the next."""
    if request.param == "06_gpu_kernels" and importlib.util.find_spec("triton") is None:
        pytest.skip("Triton runs on Linux only")
    return request.param


@pytest.fixture(scope="package")
def run(unit, lab_server) -> Iterator:
    """The unit's notebook, run once from top to bottom; its kernel lives until the next unit's turn."""
    from tests.course.live import run_notebook

    done = run_notebook(lab_server, read_notebook(find_course().source(unit)), f"{unit}/{unit}.ipynb")
    yield done
    with contextlib.suppress(OSError):
        lab_server.request("DELETE", f"sessions/{done.session}")
