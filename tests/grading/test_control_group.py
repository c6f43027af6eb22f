"""A control group limits the memory of all processes of a submission; where none may be made, nothing changes."""

import subprocess
import sys

import pytest

from posttrain_lab.grading.sandbox import control_group
from posttrain_lab.grading.sandbox.control_group import ControlGroup

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="control groups are Linux's")
HUNGRY = "import sys; sys.stdin.readline(); held = [bytearray(2**20) for _ in range(400)]; print(len(held))"


def eaten(limit: int) -> tuple[bool, str, bool]:
    """Could a group be made, what says a process that takes 400 MB in it, and did the kernel end it?"""
    group = ControlGroup(limit)
    with subprocess.Popen([sys.executable, "-c", HUNGRY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        group.take([process.pid])
        said = process.communicate("go\n")[0].strip()
    made, ran_out, folder = group.made, group.ran_out, group._folder
    group.close()
    assert not made or not folder.exists()
    return made, said, ran_out


def test_the_kernel_ends_what_takes_too_much_and_nothing_else():
    made, said, ran_out = eaten(2**27)
    assert (said, ran_out) == (("", True) if made else ("400", False))
    assert eaten(2**30)[1:] == ("400", False)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A folder in place of /sys/fs/cgroup, and the lines of /proc/self/cgroup."""
    monkeypatch.setattr(control_group, "ROOT", tmp_path)
    monkeypatch.setattr(control_group, "ENDING", 0.0)
    monkeypatch.setattr(control_group, "OWN", tmp_path / "own")

    def says(*lines: str) -> ControlGroup:
        (tmp_path / "own").write_text("\n".join(lines))
        return ControlGroup(1000)

    return says


def test_version_2_has_the_group_beside_our_own(machine, tmp_path):
    (tmp_path / "user.slice" / "own.scope").mkdir(parents=True)
    group = machine("0::/user.slice/own.scope")
    (folder,) = (tmp_path / "user.slice").glob("posttrain-lab-*")
    assert group.made
    assert (folder / "memory.max").read_text() == "1000"
    group.take([12, 13])
    assert (folder / "cgroup.procs").read_text() == "13"  # each is written alone, as the kernel wants it
    for text, ran_out in (("oom 3\noom_kill 0\n", False), ("oom 3\noom_kill 1\n", True)):
        (folder / "memory.events").write_text(text)
        assert group.ran_out is ran_out


def test_version_1_has_the_group_in_our_own(machine, tmp_path):
    (tmp_path / "memory" / "here").mkdir(parents=True)
    assert machine("9:pids:/", "4:cpu,memory:/here", "0::/").made
    (folder,) = (tmp_path / "memory" / "here").glob("posttrain-lab-*")
    assert (folder / "memory.limit_in_bytes").read_text() == "1000"


@pytest.mark.parametrize("lines", [(), ("0::/not/there/at/all",), ("9:pids:/",), ("what?",)])
def test_where_none_may_be_made_nothing_happens(lines, machine):
    group = machine(*lines)
    group.take([1])
    assert (group.made, group.ran_out) == (False, False)
    group.close()
