"""Open the learner's own copy of the course in JupyterLab."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import webbrowser
from contextlib import suppress
from pathlib import Path

from posttrain_lab.grading.overview import INDEX

LOCAL = ("localhost", "127.0.0.1", "::1")
SETTINGS = Path(__file__).parent / "jupyter"
LOOK = SETTINGS / "custom"  # its custom.css gives figures the colours of the theme
COMPILE = (sys.executable, "-m", "posttrain_lab.cli.compile_ahead")


def port_is_free(port: int) -> bool:
    """Can a server listen on this port of this machine?"""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def writable(folder: Path) -> bool:
    """Can a file be made in this folder (or in the nearest one above it that exists)?"""
    folder = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def environment() -> dict[str, str]:
    """The environment for JupyterLab: our settings, and with a read-only home its files in a temporary folder."""
    env = {"POSTTRAIN_LAB_NOTES": "1", **os.environ}  # print a note below the cell when a kernel is compiled
    env["JUPYTER_CONFIG_PATH"] = os.pathsep.join([str(SETTINGS), *filter(None, [env.get("JUPYTER_CONFIG_PATH")])])
    if not writable(Path.home() / ".jupyter"):
        spare = tempfile.mkdtemp(prefix="posttrain-lab-")
        print(f"Your home folder is read-only: JupyterLab keeps its settings in {spare} this time.")
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "NUMBA_CACHE_DIR"):
            env[name] = str(Path(spare) / name.lower())
    return env


def free_port_asked_for(port: int | None) -> int | None:
    """The port, if it is one and free; None is any. Raises ValueError with what to do else.

    >>> free_port_asked_for(None) is None
    True
    """
    if port is not None and not 1 <= port <= 65535:
        raise ValueError(f"start wants a port between 1 and 65535, got {port}.")
    if port is not None and not port_is_free(port):
        raise ValueError(f"Port {port} is in use; choose another with --port, or leave it out.")
    return port


def lab_arguments(folder: Path, port: int | None, browser: bool) -> list[str]:
    """The arguments of JupyterLab: of its log only what is an error."""
    arguments = [
        f"--ServerApp.root_dir={folder.resolve()}",
        f"--CourseDirectory.root={folder.resolve()}",  # where nbgrader would look for a class; elsewhere it logs an error
        f"--LabApp.default_url=/lab/tree/{INDEX}",
        "--ServerApp.answer_yes=True",
        "--ServerApp.log_level=ERROR",
        "--LabApp.log_level=ERROR",
        "--LabApp.custom_css=True",
    ]
    if port is not None:
        arguments += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    if not browser:
        arguments.append("--no-browser")
    if getattr(os, "geteuid", lambda: 1)() == 0:
        arguments.append("--allow-root")
    return arguments


def has_browser() -> bool:
    """Does Python find a browser on this machine?"""
    try:
        return webbrowser.get() is not None
    except webbrowser.Error:
        return False


def opening_line(address: str, opened: bool) -> str:
    """What a reader needs while JupyterLab runs: the address, what opens, how to stop.

    >>> opening_line("http://127.0.0.1:8888/lab", opened=True)
    'JupyterLab opens in your browser; Ctrl-C stops it. Its address: http://127.0.0.1:8888/lab'
    """
    what = "JupyterLab opens in your browser" if opened else "JupyterLab runs: open its address in a browser"
    return f"{what}; Ctrl-C stops it. Its address: {address}"


def compile_ahead() -> None:
    """Begin to compile the CPU's kernels in a process that says nothing, and ends by itself also when this one has ended.

    Where no process can be started, a notebook's first call of a kernel compiles it, as without this.
    """
    nowhere = subprocess.DEVNULL
    with suppress(OSError):
        subprocess.Popen(COMPILE, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True)


def run_lab(folder: Path, port: int | None, browser: bool) -> None:
    """Run JupyterLab in this process until Ctrl-C, which ends the process."""
    arguments = lab_arguments(folder, port, browser)
    os.environ.update(environment())
    compile_ahead()
    from jupyterlab.labapp import LabApp  # reads the environment when imported

    server = LabApp.initialize_server(argv=arguments)
    server.static_custom_path.insert(1, str(LOOK))  # its handler has this very list: a reader's own custom.css stands first
    address = server.local_url if server.ip in LOCAL else server.public_url
    server.identity_provider.token_generated = False  # else it logs the address again, in four lines
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: server.stop(from_signal=True))  # its own asks, and logs
    line = opening_line(address, browser and has_browser())
    server.io_loop.add_callback(print, line, flush=True)  # once it listens there: it has asked for that before
    server.start()
    print(f"\nJupyterLab has stopped. Your notebooks are in {folder}.", flush=True)
    os._exit(0)  # all is cleaned up; but a thread of anyio's that read a file for a browser stays, and Python would wait for it
