"""Run a command as an ordinary user: `python as_user.py USER COMMAND...`, by root.

Where the Python, or this repository, lies in a folder that others may not enter, as /root, the command sees it all the same: in a view
of the files of its own, that folder holds nothing but these.
"""

import ctypes
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve()
NEW_MOUNTS, BIND, RECURSIVE, PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000
libc = ctypes.CDLL(None, use_errno=True)


def main(user: int, command: list[str]) -> None:
    done(libc.unshare(NEW_MOUNTS))
    mount(None, Path("/"), None, RECURSIVE | PRIVATE)
    needed = [Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), HERE.parents[2]]
    closed: dict[Path, list[Path]] = {}
    for path in needed:
        for parent in reversed(path.parents):
            if not parent.stat().st_mode & 0o001:
                closed.setdefault(parent, []).append(path)
                break
    for parent, inside in closed.items():
        handles = [os.open(path, os.O_PATH) for path in inside]
        mount("tmpfs", parent, "tmpfs", 0)
        parent.chmod(0o755)
        for path, handle in zip(inside, handles, strict=True):
            path.mkdir(parents=True, exist_ok=True)
            mount(f"/proc/self/fd/{handle}", path, None, BIND | RECURSIVE)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    os.execv(command[0], command)


def mount(source: str | None, target: Path, kind: str | None, flags: int) -> None:
    words = [None if one is None else os.fsencode(one) for one in (source, str(target), kind)]
    done(libc.mount(*words, flags, None))


def done(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
