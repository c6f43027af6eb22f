"""A file system, processes, users and a network of one's own for the calling process: Linux namespaces, step by step.

This is what container engines do (man 7 namespaces, man 2 pivot_root). They start a program; here a process that has imported torch
already must enter, so the system calls are made from Python, by way of the C library.
"""

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

NEW_MOUNTS, NEW_UTS, NEW_IPC, NEW_USERS, NEW_PIDS, NEW_NETWORK = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
READ_ONLY, NO_SUID, NO_DEVICES, NO_PROGRAMS, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 8, 0x20, 0x1000, 0x4000, 0x40000
ADMINISTRATION = 1 << 21  # CAP_SYS_ADMIN
NOBODY = 65534
DETACH = 2
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
DEVICES = ("null", "zero", "urandom")
TMP = "size=256m,mode=1777"
_libc = ctypes.CDLL(None, use_errno=True)


class NoSandbox(OSError):
    """This machine does not allow a sandbox; the message says what was refused."""


def enter(visible: Iterable[Path], hidden: Iterable[Path] = (), new_root: Path = Path("/mnt")) -> None:
    """Leave everything behind but `visible`, read-only, at the same paths, with an empty /tmp. Raises NoSandbox where it is refused.

    `hidden` folders are empty even inside a visible one; a visible one inside a hidden one is there.

    The process that goes on is a child: the caller waits for it and exits. It is process 1 of its namespace, so that all it starts
    ends with it.
    """
    user, group = os.getuid(), os.getgid()
    kinds = NEW_MOUNTS | NEW_UTS | NEW_IPC | NEW_PIDS | NEW_NETWORK
    if is_administrator():  # only they may make the others without a namespace of users
        _call("unshare", kinds)
    else:
        _call("unshare", kinds | NEW_USERS)
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user or NOBODY} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group or NOBODY} {group} 1")
    _become_first_process()
    _call("mount", None, b"/", None, RECURSIVE | PRIVATE, None)  # what is mounted here is not seen outside
    _mount("tmpfs", new_root, "tmpfs", NO_SUID | NO_DEVICES, "size=8m,mode=755")
    _special_files(new_root)
    hidden, visible = set(hidden), set(visible)
    for path in sorted(hidden | visible, key=lambda path: len(path.parts)):  # after /tmp, where one of them may lie
        _show(path, new_root) if path in visible else _hide(path, new_root)
    for path in hidden:
        _mount(None, new_root / path.relative_to("/"), None, BIND | REMOUNT | READ_ONLY | NO_SUID | NO_DEVICES)
    _change_root(new_root)


def is_administrator() -> bool:
    """May this process make namespaces as it is? Root in a container often may not."""
    status = Path("/proc/self/status").read_text()
    return bool(int(status.partition("CapEff:")[2].split()[0], 16) & ADMINISTRATION)


def _become_first_process() -> None:
    """A new namespace of processes begins with the next child."""
    child = os.fork()
    if child:
        os.closerange(3, 1024)  # the child's line must close when the child ends
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    _libc.prctl(1, 9, 0, 0, 0)  # when the one that waits is killed, so is this one


def _show(path: Path, root: Path) -> None:
    """A read-only view of a file or folder, at its own path below the new root. A link is made again as a link."""
    target = root / path.relative_to("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        if not target.is_symlink():
            target.symlink_to(os.readlink(path))
        return
    if path.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.touch()
    _mount(str(path), target, None, BIND | RECURSIVE)
    kept = os.statvfs(target).f_flag & NO_PROGRAMS  # what was forbidden before cannot be allowed again
    _mount(None, target, None, BIND | REMOUNT | READ_ONLY | NO_SUID | NO_DEVICES | kept)


def _hide(path: Path, root: Path) -> None:
    """An empty folder, for the time being one that can be written to."""
    target = root / path.relative_to("/")
    target.mkdir(parents=True, exist_ok=True)
    _mount("tmpfs", target, "tmpfs", NO_SUID | NO_DEVICES, "size=1m,mode=755")


def _special_files(root: Path) -> None:
    """/tmp to write in, /proc of the new processes only, and three harmless devices."""
    for name in ("proc", "dev", "tmp", "old"):
        (root / name).mkdir(exist_ok=True)
    _mount("tmpfs", root / "tmp", "tmpfs", NO_SUID | NO_DEVICES, TMP)
    for name in DEVICES:
        (root / "dev" / name).touch()
        _mount(f"/dev/{name}", root / "dev" / name, None, BIND)
    _mount("proc", root / "proc", "proc", NO_SUID | NO_DEVICES | NO_PROGRAMS)


def _change_root(root: Path) -> None:
    """The new root in place of the old one, which is taken away; then the new one is read-only too."""
    os.chdir(root)
    number = PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise NoSandbox(f"no number of pivot_root is known for {os.uname().machine}")
    _call("syscall", number, b".", b"old")
    os.chdir("/")
    _call("umount2", b"/old", DETACH)
    os.rmdir("/old")
    _mount(None, Path("/"), None, BIND | REMOUNT | READ_ONLY | NO_SUID | NO_DEVICES)
    os.chdir("/tmp")


def _mount(source: str | None, target: Path, kind: str | None, flags: int, options: str | None = None) -> None:
    _call("mount", _bytes(source), _bytes(str(target)), _bytes(kind), flags, _bytes(options))


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else os.fsencode(text)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments):
        code = ctypes.get_errno()
        shown = ", ".join(str(a) for a in arguments if a is not None)
        raise NoSandbox(code, f"the system refuses {name}({shown}): {os.strerror(code)}")
