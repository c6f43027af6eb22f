"""`start`: JupyterLab opens on the learner's copy, in two lines, and what is in the way is said."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from posttrain_lab.checks import UNITS
from posttrain_lab.checks.engine.exercise import Verdict
from posttrain_lab.cli import app, compile_ahead, own_copy, start
from posttrain_lab.grading import progress
from posttrain_lab.grading.course import Course
from posttrain_lab.grading.overview import NOTHING_YET, index_page, progress_in
from posttrain_lab.kernels.operators import OPS


@pytest.fixture
def course(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "course"
    folder.mkdir()
    (folder / "index.md").write_text("# The course", encoding="utf-8")
    monkeypatch.setattr(own_copy, "find_course", lambda: Course(folder))
    return folder


def test_port_in_use_is_said():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert not start.port_is_free(port)
        with pytest.raises(ValueError, match=f"Port {port} is in use; choose another with --port"):
            start.free_port_asked_for(port)
    assert start.free_port_asked_for(port) == port


@pytest.mark.parametrize("port", [0, -1, 70_000])
def test_impossible_port_is_said_before_anything_is_copied(course, tmp_path, monkeypatch, port):
    monkeypatch.setattr(start, "run_lab", lambda *_: pytest.fail("JupyterLab was started"))
    with pytest.raises(ValueError, match="between 1 and 65535"):
        app.start(tmp_path / "mine", port, browser=False)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.filterwarnings("ignore:.*is damaged:UserWarning")
def test_a_new_first_page_tells_what_was_checked_before(course, tmp_path, monkeypatch, damaged):
    (course / "index.md").write_text(index_page(tuple(UNITS)), encoding="utf-8")
    kept = progress.save(tmp_path / "mine", "00_start_here", [Verdict("accuracy", True, "right", 1, 1)])
    if damaged:
        kept.write_text("{", encoding="utf-8")
    monkeypatch.setattr(start, "run_lab", lambda *_: None)
    app.start(tmp_path / "mine", None, browser=False)
    told = progress_in((tmp_path / "mine" / "index.md").read_text(encoding="utf-8"))
    assert told == NOTHING_YET if damaged else "| 00 Start here | 1 of 7 | 1 of 4 | " in told


def test_arguments_serves_the_folder_and_opens_the_first_page(tmp_path):
    arguments = start.lab_arguments(tmp_path, None, browser=False)
    assert f"--ServerApp.root_dir={tmp_path.resolve()}" in arguments
    assert "--LabApp.default_url=/lab/tree/index.md" in arguments
    assert "--no-browser" in arguments
    assert "--no-browser" not in start.lab_arguments(tmp_path, None, browser=True)


def test_read_only_home_moves_jupyter_elsewhere(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(start, "writable", lambda folder: False)
    env = start.environment()
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "NUMBA_CACHE_DIR"):
        assert not env[name].startswith(str(Path.home() / ".jupyter"))
    assert "read-only" in capsys.readouterr().out
    os.rmdir(Path(env["JUPYTER_CONFIG_DIR"]).parent)


def test_writable_home_is_left_alone(monkeypatch):
    monkeypatch.setattr(start, "writable", lambda folder: True)
    monkeypatch.delenv("JUPYTER_DATA_DIR", raising=False)
    assert "JUPYTER_DATA_DIR" not in start.environment()


def test_writable_asks_the_nearest_folder_that_exists(tmp_path):
    assert start.writable(tmp_path / "not" / "there" / "yet")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no folder that its owner may not write to by mode")
def test_read_only_folder_is_seen(read_only_folder):
    assert not start.writable(read_only_folder)


def test_every_kernel_is_compiled_ahead_in_a_process_that_says_nothing(monkeypatch):
    calls = []
    monkeypatch.setattr(start.subprocess, "Popen", lambda *arguments, **options: calls.append((arguments, options)))
    start.compile_ahead()
    ((command,), options) = calls[0]
    assert command[1:] == ("-m", "posttrain_lab.cli.compile_ahead")
    assert {options[name] for name in ("stdin", "stdout", "stderr")} == {subprocess.DEVNULL}
    assert set(compile_ahead.EXAMPLES) == {"network", *OPS}


def test_where_no_process_can_be_started_jupyterlab_still_starts(monkeypatch):
    def fail(*arguments, **options):
        raise OSError("no more processes")

    monkeypatch.setattr(start.subprocess, "Popen", fail)
    start.compile_ahead()


@pytest.mark.parametrize("rows", [compile_ahead.FEW, compile_ahead.MANY])
def test_the_examples_run(rows):
    for example in compile_ahead.EXAMPLES.values():
        assert example(rows) is not None


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows sends a process no Ctrl-C of its own")
def test_jupyterlab_says_only_where_it_is_what_opened_and_that_it_stopped(course, tmp_path):
    """In a process of its own, as from a terminal, with a thread that never ends, as a browser leaves one: from the first line to Ctrl-C."""
    code = f"""import threading
from pathlib import Path
from posttrain_lab.checks import UNITS
from posttrain_lab.checks.engine.exercise import Verdict
from posttrain_lab.cli import app, own_copy, start
from posttrain_lab.grading import progress
from posttrain_lab.grading.course import Course
from posttrain_lab.grading.overview import NOTHING_YET, index_page, progress_in
own_copy.find_course = lambda: Course(Path({str(course)!r}))
start.compile_ahead = lambda: None
threading.Thread(target=threading.Event().wait).start()
app.start(Path("below/mine"), None, browser=False)"""
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    env = {**os.environ, **{name: str(tmp_path / name.lower()) for name in names}}
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said = [process.stdout.readline() for _ in range(3)]
        address = urlsplit(said[2].split()[-1])
        with urlopen(f"http://{address.netloc}/custom/custom.css?{address.query}", timeout=60) as reply:
            look = reply.read().decode()
        process.send_signal(signal.SIGINT)
        said += process.communicate(timeout=120)[0].splitlines(keepends=True)
    finally:
        process.kill()
        process.wait()
    assert said[:2] == ["Your course is in below/mine: 1 files new, 0 as you left them.\n", "JupyterLab starts.\n"]
    assert re.fullmatch(start.opening_line(r"http://127\.0\.0\.1:\d+/lab/tree/index\.md\?token=\w+", False) + "\n", said[2])
    assert said[3:] == ["\n", "JupyterLab has stopped. Your notebooks are in below/mine.\n"]
    assert look == (start.LOOK / "custom.css").read_text(encoding="utf-8")  # figures in the colours of the theme
    assert process.returncode == 0
