"""Has this machine what the sandbox needs? If not, one sentence says what is missing, and the remedy."""

import os
import sys
from collections.abc import Callable
from functools import cache

ELSEWHERE = (
    "grade in a container or virtual machine with Linux (docs/grading.md has a recipe), or give --no-sandbox to do without"
)
LIBRARY = (
    "install it (Debian, Ubuntu: apt-get install libseccomp2; Fedora: dnf install libseccomp), or give --no-sandbox to do without"
)
REFUSED = "docs/grading.md says how to allow it in a container and under Ubuntu's AppArmor; or grade as root, or give --no-sandbox to do without"


@cache
def no_sandbox() -> str:
    """Why this machine has no sandbox, with the remedy; empty where it has one. Tried once, in a child."""
    if not sys.platform.startswith("linux"):
        return f"The sandbox is made of what Linux has, and this is {sys.platform}: {ELSEWHERE}."
    from posttrain_lab.grading.sandbox import rights  # needs what only Unix has

    try:
        rights.prepare()
    except (ImportError, RuntimeError, OSError) as error:
        return f"The sandbox needs libseccomp ({error}): {LIBRARY}."
    said = told_by_child(_tried)
    return "" if said == "yes" else f"This machine allows no sandbox ({said or 'the try ended without a word'}): {REFUSED}."


def described() -> str:
    """The sandbox of this machine in a few words, for `doctor`."""
    from posttrain_lab.grading.sandbox import namespaces

    means = "as root, who becomes nobody in it" if namespaces.is_administrator() else "by a namespace of users"
    return f"namespaces, system call filter, limits; {means}"


def told_by_child(work: Callable[[], str]) -> str:
    """What `work` returns, or the words of its error, in a child of this process. (On Linux.)"""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        try:
            os.write(write, work().encode()[:500])
        except BaseException as error:
            os.write(write, str(error).encode()[:500])
        finally:
            os._exit(0)
    os.close(write)
    said = b""
    while part := os.read(read, 512):
        said += part
    os.close(read)
    os.waitpid(child, 0)
    return said.decode(errors="replace")


def _tried() -> str:
    from posttrain_lab.grading.sandbox import namespaces, rights

    namespaces.enter([])
    rights.give_up(rights.Room())
    return "yes"
