"""What does the course find on this machine? Each finding says what is installed and, if something is missing, how to get it."""

import importlib.metadata
import os
import platform
import sys
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

GOOD, NOTE, MISSING = "ok", "note", "missing"
NEEDED = ("torch", "torchvision", "numba", "jupyterlab", "nbgrader", "ipywidgets", "plotly")
OPTIONAL = {
    "onnxruntime": "unit 02 compares with it: pip install onnx onnxruntime",
    "triton": "unit 06 runs on it, on Linux only: pip install triton",
}


@dataclass(frozen=True)
class Finding:
    """One line of the report: `state` is ok, note or missing; `remedy` says what to do."""

    what: str
    found: str
    state: str = GOOD
    remedy: str = ""


def installed_version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def python_finding(version: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """Python 3.11 to 3.13 is supported."""
    known = (3, 11) <= version <= (3, 13)
    remedy = "" if known else "Install Python 3.11, 3.12 or 3.13 and make the environment again."
    return Finding("Python", f"{version[0]}.{version[1]} on {platform.system()}", GOOD if known else MISSING, remedy)


def package_findings() -> list[Finding]:
    """The packages the course needs, and the two it can use."""
    found = []
    for name in NEEDED:
        version = installed_version(name)
        remedy = "" if version else "pip install -e . in the folder of posttrain-lab"
        found.append(Finding(name, version or "not installed", GOOD if version else MISSING, remedy))
    for name, use in OPTIONAL.items():
        version = installed_version(name)
        found.append(Finding(name, version or "not installed", GOOD if version else NOTE, "" if version else use))
    return found


def machine_findings() -> list[Finding]:
    """Cores, the width of the vector units, memory, and a GPU if there is one."""
    import psutil
    import torch

    from posttrain_lab.measure import device_name

    memory = psutil.virtual_memory()
    free = memory.available / 2**30
    low = free < 1.5
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none; nothing in the course needs one"
    if torch.backends.mps.is_available():
        gpu = "Apple GPU (the course measures on the CPU)"
    return [
        Finding(
            "CPU",
            f"{device_name(torch.device('cpu'))}, {os.cpu_count()} cores, torch uses {torch.get_num_threads()}",
        ),
        Finding("SIMD", torch.backends.cpu.get_cpu_capability()),
        Finding(
            "memory",
            f"{memory.total / 2**30:.1f} GB, {free:.1f} GB free",
            NOTE if low else GOOD,
            "Close other programs: a unit uses up to 1.5 GB." if low else "",
        ),
        Finding("GPU", gpu),
    ]


def lab_findings() -> list[Finding]:
    """nbgrader inside JupyterLab, the Python kernel, and a browser of notebooks."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_core.paths import jupyter_path

    extension = any((Path(p) / "@jupyter" / "nbgrader").is_dir() for p in jupyter_path("labextensions"))
    kernel = "python3" in KernelSpecManager().find_kernel_specs()
    browser = _browser()
    again = "pip install --force-reinstall --no-deps"
    return [
        Finding(
            "nbgrader in Lab",
            "yes" if extension else "no",
            GOOD if extension else MISSING,
            "" if extension else f"{again} nbgrader",
        ),
        Finding("Python kernel", "yes" if kernel else "no", GOOD if kernel else MISSING, "" if kernel else f"{again} ipykernel"),
        Finding(
            "browser",
            browser or "none found",
            GOOD if browser else NOTE,
            "" if browser else "start prints an address: open it in any browser.",
        ),
    ]


def sandbox_finding() -> Finding:
    """The sandbox in which a class is graded; learners do not need it."""
    from posttrain_lab.grading.sandbox.available import described, no_sandbox

    reason = no_sandbox()
    return Finding(
        "sandbox", "none" if reason else described(), NOTE if reason else GOOD, f"Only to grade. {reason}" if reason else ""
    )


def _browser() -> str | None:
    try:
        return getattr(webbrowser.get(), "name", None) or type(webbrowser.get()).__name__
    except webbrowser.Error:
        return None


def file_findings() -> list[Finding]:
    """The shipped data, whole or damaged, and whether the home folder can be written."""
    from posttrain_lab.cli.start import writable
    from posttrain_lab.data.files import FILES, checksums, open_file

    size, wrong = 0, []
    for name in checksums():
        try:
            size += len(open_file(FILES / name).getbuffer())
        except (OSError, ValueError) as error:
            wrong.append(str(error))
    data = Finding("data", f"{len(checksums())} files, {size / 1e6:.1f} MB, checksums right")
    if wrong:
        data = Finding("data", f"{len(wrong)} of {len(checksums())} files missing or damaged", MISSING, " ".join(wrong))
    ok = writable(Path.home())
    home = Finding(
        "home folder",
        "can be written" if ok else "read-only",
        GOOD if ok else NOTE,
        "" if ok else "start uses a temporary folder.",
    )
    return [data, home]


def examine() -> list[Finding]:
    """All findings, in the order they are shown."""
    packages = package_findings()
    found = [python_finding(), *packages]
    if all(f.state != MISSING for f in packages):
        found += [*machine_findings(), *lab_findings(), sandbox_finding()]
    return found + file_findings()


def print_findings(findings: list[Finding], console: Console | None = None) -> int:
    """Print the table; returns 1 when something needed is missing, else 0."""
    console = console or Console(markup=False, highlight=False)
    table = Table(title="posttrain-lab doctor", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("", "what", "found, and below it what to do"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        table.add_row(finding.state, finding.what, "\n".join(filter(None, [finding.found, finding.remedy])))
    console.print(table)
    missing = [finding.what for finding in findings if finding.state == MISSING]
    console.print(f"Missing: {', '.join(missing)}." if missing else "All that is needed is here. Next: posttrain-lab start")
    return 1 if missing else 0
