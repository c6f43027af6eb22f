"""What a submission sees, compared with a list; formgrader's way into the sandbox; and servers that are replaced after a crash."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell
from small_unit import UNIT, blank, cell, make_course, notebook, register, write

from posttrain_lab.checks.engine.task import Case
from posttrain_lab.grading import autograde, questions
from posttrain_lab.grading.autograde import GradeInKernel
from posttrain_lab.grading.kernel import KernelSubmission
from posttrain_lab.grading.sandbox.available import no_sandbox
from posttrain_lab.grading.sandbox.fork_server import LineClosed, connect, receive, send
from posttrain_lab.grading.sandbox.sandboxed_kernel import Confinement, SandboxedKernel
from posttrain_lab.grading.sandbox.view import copy_package, hidden, visible
from posttrain_lab.grading.session import GraderFault, KernelLost, Limits

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(bool(no_sandbox()), reason="this machine lacks a sandbox"),
]
PROBE = """
import json, os, resource
def names(path):
    try:
        return sorted(os.listdir(path))
    except OSError:
        return None
def is_socket(handle):
    try:
        return os.readlink(f"/proc/self/fd/{handle}").startswith("socket:")
    except OSError:
        return False
status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
seen = {
    "root": names("/"), "etc": names("/etc"), "dev": names("/dev"), "tmp": names("/tmp"),
    "processes": [name for name in names("/proc") if name.isdigit()],
    "network": [line.split(":")[0].strip() for line in open("/proc/net/dev").read().splitlines()[2:]],
    "sockets": sum(is_socket(handle) for handle in names("/proc/self/fd")),
    "environment": sorted(os.environ), "groups": os.getgroups(), "root user": 0 in os.getresuid() + os.getresgid(),
    "status": {key: status[key] for key in ("CapEff", "CapPrm", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")},
    "host": os.uname().nodename, "writable": [top for top in names("/") if os.access("/" + top, os.W_OK)],
    "package": [name for name in ("proof", "course", "making") if os.path.exists("/work/" + name)],
}
print(json.dumps(seen))
"""
USUAL_TOPS = {"bin", "dev", "etc", "lib", "lib64", "proc", "tmp", "usr"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The worker's confinement; its folder can be entered by others."""
    folder = Path("/tmp") / f"posttrain-lab-test-{os.getpid()}"
    folder.mkdir()
    copy_package(folder)
    shown = visible(folder)
    yield Confinement(folder, tuple(shown), tuple(hidden(Path.cwd(), shown)))
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


@pytest.fixture(scope="module")
def server(place):
    with place.server() as server:
        yield server


def test_a_submission_sees_what_is_on_the_list_and_no_more(server, place):
    with SandboxedKernel(server.address) as kernel:
        seen = json.loads(kernel.run(PROBE)[0].text)
    tops = {path.parts[1] for path in map(Path, (sys.prefix, sys.base_prefix))}
    assert set(seen["root"]) <= USUAL_TOPS | tops
    assert set(seen["etc"]) <= {"fonts", "ld.so.cache", "localtime"}
    assert seen["dev"] == ["null", "urandom", "zero"]
    assert set(seen["tmp"]) <= {place.package.name, *({Path(sys.prefix).parts[2]} if sys.prefix.startswith("/tmp") else ())}
    assert (seen["processes"], seen["sockets"], seen["groups"], seen["root user"]) == (["1"], 1, [], os.getuid() == 12_345)
    assert set(seen["network"]) <= {"lo"}
    assert set(seen["environment"]) <= {"HOME", "LANG", "MPLBACKEND", "OMP_NUM_THREADS", "PATH"}
    none = "0000000000000000"
    assert seen["status"] == {"CapEff": none, "CapPrm": none, "CapBnd": none, "CapAmb": none, "NoNewPrivs": "1", "Seccomp": "2"}
    assert seen["writable"] == ["tmp"]


def test_a_server_that_was_killed_is_replaced(place):
    with place.server() as server:
        _, process = connect(server.address)
        os.kill(server._process.pid, signal.SIGKILL)
        server._process.wait()
        with pytest.raises(OSError, match="refused"):
            connect(server.address)
        server.start()
        with SandboxedKernel(server.address) as kernel:
            assert kernel.run("print(1 + 1)")[0].text == "2\n"
        assert process != server._process.pid


def test_limits_are_named_in_full_whoever_met_them(server):
    with SandboxedKernel(server.address, limits=Limits(cell=1, call=1, exercise=3)) as kernel:
        with pytest.raises(KernelLost, match=r"^the cell did not end within 1 seconds of processor time; look for a loop"):
            kernel.run("while True:\n    pass")
        with pytest.raises(KernelLost, match=r"^the cell did not end within 1 seconds; look for what it waits for"):
            kernel.run("import time\ntime.sleep(1000)")
        with pytest.raises(KernelLost, match=r"^your function used all of its 3 seconds of processor time"):
            kernel.ask("[0 for _ in iter(int, 1)]", left=0.3)


SLEEPS = """
import os, time
calls = 0
def double(x):
    global calls
    calls += 1
    if x == WHEN:
        WHAT
    time.sleep(0.3)
    return 2 * x
"""


@pytest.mark.parametrize(
    ("when", "what", "wanted"),
    [
        (-1, "pass", [0, 2, 4, 6]),  # all together take longer than one call may, each by itself does not
        (2, "os._exit(1)", [0, 2, "process ended while it ran"]),
        (2, "time.sleep(100)", [0, 2, "did not return within 1 seconds; look for what it waits for"]),
        (2, "while True: pass", [0, 2, "did not return within 1 seconds of processor time"]),
        (0, "os._exit(1)", ["process ended while it ran"]),
    ],
)
def test_a_seed_is_asked_at_once_and_again_one_by_one_when_that_fails(server, monkeypatch, when, what, wanted):
    """Nothing is lost by it: right answers stay right, and the sentence is that of the call which did it."""
    cases = [Case("", (number,)) for number in range(len(wanted) if when < 0 else 4)]
    monkeypatch.setattr(questions, "_WRITTEN", {})
    monkeypatch.setattr(questions, "_TOGETHER", {})
    questions.write_before(cases)
    with SandboxedKernel(server.address, limits=Limits(cell=20, call=1, exercise=2)) as kernel:
        kernel.run(SLEEPS.replace("WHEN", str(when)).replace("WHAT", what))
        submission = KernelSubmission(kernel, "double")
        found = [case.run(submission) for case in cases]
        for outcome, want in zip(found, wanted, strict=False):
            assert want in outcome.error if isinstance(want, str) else outcome.value == want
        assert kernel.starts <= 3


def test_a_seed_is_asked_in_one_message(server, monkeypatch):
    cases = [Case("", (number,)) for number in range(3)]
    monkeypatch.setattr(questions, "_WRITTEN", {})
    monkeypatch.setattr(questions, "_TOGETHER", {})
    questions.write_before(cases)
    with SandboxedKernel(server.address) as kernel:
        kernel.run(SLEEPS.replace("WHEN", "-1").replace("WHAT", "pass").replace("time.sleep(0.3)", "pass"))
        submission = KernelSubmission(kernel, "double")
        assert cases[0].run(submission).value == 0
        assert kernel.ask("calls") == "3"
        assert [case.run(submission).value for case in cases[1:]] == [2, 4]
        assert kernel.ask("calls") == "3"
        assert cases[0].run(submission).value == 0  # what is asked again is called again
        assert kernel.ask("calls") == "4"


def test_a_message_that_is_too_long_is_not_read():
    import socket

    first, second = socket.socketpair()
    with first, second:
        send(first, {"x": "y" * 100})
        with pytest.raises(LineClosed, match="50 are allowed"):
            receive(second, largest=50)


def test_formgrader_grades_in_the_sandbox(monkeypatch, tmp_path):
    register(monkeypatch)
    monkeypatch.chdir(make_course(tmp_path))
    book = notebook({"cube": blank("cube")})
    look = f"import os\nprint(open('data.txt').read(), os.path.exists({str(tmp_path)!r}), os.getpid())\ndef helper():\n    pass"
    book.cells.insert(2, new_code_cell(look, id="look"))
    folder = write(book, tmp_path / "autograded" / "ann" / UNIT).parent
    (folder / "data.txt").write_text("mine")
    resources = {"nbgrader": {"assignment": UNIT}, "metadata": {"path": str(folder)}}
    book, _ = GradeInKernel().preprocess(book, resources)
    assert cell(book, "look").outputs[0].text == "mine False 1\n"
    kinds = {name: cell(book, f"test_{name}").outputs[0].output_type for name in ("double", "split", "cube", "stack", "seconds")}
    assert kinds == {"double": "stream", "split": "stream", "cube": "error", "stack": "stream", "seconds": "stream"}


def test_formgrader_refuses_without_a_sandbox_unless_told(monkeypatch):
    monkeypatch.setattr(autograde, "no_sandbox", lambda: "No sandbox: give --no-sandbox to do without.")
    with pytest.raises(GraderFault, match=r"set c\.GradeInKernel\.sandbox = False to do without"):
        GradeInKernel().preprocess(notebook(), {"nbgrader": {"assignment": UNIT}})
