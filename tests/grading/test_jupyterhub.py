"""A real JupyterHub with the configuration of docs/: two people log in, one fetches and submits, the other releases, collects and grades."""

import contextlib
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from posttrain_lab.grading.course import find_course, read_notebook
from posttrain_lab.grading.overview import counts
from posttrain_lab.grading.sandbox.available import no_sandbox
from tests.course.server import free_port

psutil = pytest.importorskip("psutil")
pytest.importorskip("jupyterhub", reason="JupyterHub is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        shutil.which("configurable-http-proxy") is None,
        reason="configurable-http-proxy is not installed (npm install -g configurable-http-proxy)",
    ),
]
HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
UNIT, COURSE, SECONDS = "00_start_here", "posttrain_lab", 240


@dataclass(frozen=True)
class Person:
    """Somebody who has logged in with a name and a password, and from then on shows a token."""

    hub: str
    name: str
    token: str

    def ask(self, method: str, path: str, wanted: tuple[int, ...] = (200,), **more: Any) -> requests.Response:
        reply = requests.request(
            method, f"{self.hub}/{path}", headers={"Authorization": f"token {self.token}"}, timeout=SECONDS, **more
        )
        assert reply.status_code in wanted, (reply.status_code, path, reply.text[:2000])
        return reply

    def start_server(self) -> None:
        made = self.ask("POST", f"hub/api/users/{self.name}/server", wanted=(201, 202))
        if made.status_code == 201:  # it runs already
            return
        for line in self.ask("GET", f"hub/api/users/{self.name}/server/progress", stream=True).iter_lines():
            if line.startswith(b"data:") and json.loads(line[5:]).get("ready"):
                return
        raise AssertionError(f"the server of {self.name} did not start")


def log_in(hub: str, name: str) -> Person:
    with requests.Session() as browser:
        browser.get(f"{hub}/hub/login", timeout=SECONDS)
        mark = {"_xsrf": browser.cookies.get("_xsrf", path="/hub/")}
        form = {"username": name, "password": "secret", **mark}
        reply = browser.post(f"{hub}/hub/login", params=mark, data=form, timeout=SECONDS, allow_redirects=False)
        assert reply.status_code == 302, reply.text[:2000]
        mark = {"_xsrf": browser.cookies.get("_xsrf", path="/hub/")}
        made = browser.post(f"{hub}/hub/api/users/{name}/tokens", params=mark, json={"note": "test"}, timeout=SECONDS)
        assert made.status_code == 201, made.text[:2000]
        return Person(hub, name, made.json()["token"])


def settings(folder: Path) -> None:
    """The course's folder, and everybody's nbgrader_config.py as the page has it, with another place of the exchange."""
    course, found = folder / "course", find_course()
    shutil.copytree(found.sources() / UNIT, course / "solutions" / UNIT)
    shutil.copytree(found.course / UNIT, course / "course" / UNIT)
    text = (REPOSITORY / "nbgrader_config.py").read_text(encoding="utf-8")
    (course / "nbgrader_config.py").write_text(f"{text}\nc.ExchangeCollect.check_owner = False\n", encoding="utf-8")
    page = (REPOSITORY / "docs" / "jupyterhub.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- nbgrader_config -->\n```python\n(.+?)```\n<!-- end -->", page, re.S)[1]
    assert block.count("/srv/nbgrader/exchange") == 1
    (folder / "jupyter").mkdir()
    exchange = folder / "exchange"
    (folder / "jupyter" / "nbgrader_config.py").write_text(
        block.replace("/srv/nbgrader/exchange", str(exchange)), encoding="utf-8"
    )
    exchange.mkdir()
    exchange.chmod(0o777)
    for name in ("grader", "ann", "teacher"):
        (folder / "home" / name).mkdir(parents=True)


def environment(folder: Path, ports: list[int]) -> dict[str, str]:
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
        "JUPYTER_CONFIG_PATH": str(folder / "jupyter"),
        "JUPYTER_CONFIG_DIR": str(folder / "no settings"),
        "POSTTRAIN_LAB_COURSE": str(folder / "course"),
        "POSTTRAIN_LAB_ACCOUNT": "",
        "POSTTRAIN_LAB_FORMGRADER_PORT": str(ports[3]),
        "HUB_TEST": str(folder),
        "HUB_PORTS": " ".join(map(str, ports[:3])),
        "CONFIGPROXY_AUTH_TOKEN": "0" * 64,
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Iterator[tuple[Path, str, dict[str, str]]]:
    """The folder of everything, the hub's address, and the environment of the grader's account."""
    folder = tmp_path_factory.mktemp("hub")
    settings(folder)
    ports = [free_port() for _ in range(4)]
    env = environment(folder, ports)
    command = [sys.executable, "-m", "jupyterhub", "-f", str(HERE / "hub_config.py")]
    with (folder / "hub.log").open("w") as log:
        hub = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{ports[0]}"
    try:
        wait_for(f"{address}/hub/api", hub, folder / "hub.log")
        wait_for(f"{address}/services/{COURSE}/api", hub, folder / "hub.log")
        yield folder, address, env
    finally:
        end(hub)


def wait_for(address: str, hub: subprocess.Popen, log: Path) -> None:
    for _ in range(SECONDS * 2):
        with contextlib.suppress(requests.RequestException):
            if requests.get(address, timeout=10).ok:
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            hub.wait(0.5)
            break
    raise AssertionError(f"{address} does not answer:\n" + log.read_text()[-5000:])


def end(hub: subprocess.Popen) -> None:
    """The hub ends its proxy and servers; what is left of them is ended by its number."""
    with contextlib.suppress(psutil.NoSuchProcess):
        started = psutil.Process(hub.pid).children(recursive=True)
    hub.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        hub.wait(60)
    hub.kill()
    for process in psutil.wait_procs(started, 5)[1]:
        process.kill()


def solved(book: dict) -> dict:
    """The fetched notebook with the answers of the source."""
    answers = {
        c.metadata.nbgrader.grade_id: c.source
        for c in read_notebook(find_course().source(UNIT)).cells
        if "nbgrader" in c.metadata
    }
    for cell in book["cells"]:
        data = cell["metadata"].get("nbgrader", {})
        if data.get("solution"):
            cell["source"] = answers[data["grade_id"]]
    return book


def told(command: str, folder: Path, env: dict[str, str]) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "posttrain_lab", *command.split()],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_one_fetches_and_submits_and_the_other_releases_collects_and_grades(place):
    folder, hub, env = place
    ann, teacher = log_in(hub, "ann"), log_in(hub, "teacher")
    ann.ask("GET", f"services/{COURSE}/formgrader/manage_assignments", wanted=(403,))
    assert "formgrader" in teacher.ask("GET", f"services/{COURSE}/formgrader/manage_assignments").text
    assert teacher.ask("POST", f"services/{COURSE}/formgrader/api/assignment/{UNIT}/release").json()["success"]

    ann.start_server()
    assignment = {"course_id": COURSE, "assignment_id": UNIT}
    fetched = ann.ask("POST", "user/ann/assignments/fetch", data=assignment).json()
    assert fetched["success"], fetched
    path = f"user/ann/api/contents/{UNIT}/{UNIT}.ipynb"
    book = ann.ask("GET", path).json()["content"]
    ann.ask("PUT", path, json={"type": "notebook", "format": "json", "content": solved(book)})
    assert ann.ask("POST", "user/ann/assignments/submit", data=assignment).json()["success"]
    assert not (folder / "home" / "teacher" / UNIT).exists()

    course = folder / "course"
    assert "1 submissions: 1 new." in told(f"collect {UNIT} {folder / 'exchange' / COURSE}", course, env)
    told(f"grade {UNIT}{' --no-sandbox' if no_sandbox() else ''}", course, env)
    with (course / "grades.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["student_id"], float(row["score"])) == ("ann", counts(UNIT)[2])  # the paragraph waits for a person
    listed = teacher.ask("GET", f"services/{COURSE}/formgrader/api/submissions/{UNIT}").json()
    assert [(one["student"], one["autograded"]) for one in listed] == [("ann", True)]
