"""What a process may not do any more: limits, no capabilities, another user, and a filter of system calls (seccomp, by libseccomp)."""

import ctypes
import errno
import os
import resource
from dataclasses import dataclass

USERS = range(40_000, 60_000)  # belong to nobody else; each submission has one of its own, so that limits do not add up
NO_NEW_PRIVILEGES, DROP_BOUNDING, NOT_DUMPABLE = 38, 24, 4
CAPABILITIES = 64
NEW_NAMESPACES = 0x7E020000  # CLONE_NEW*: mounts, control groups, names, ipc, users, processes, network
REFUSED = """
    unshare setns mount umount2 pivot_root chroot move_mount open_tree fsopen fsmount fsconfig fspick mount_setattr
    ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd pidfd_open process_madvise
    socket connect bind listen accept accept4 bpf perf_event_open userfaultfd io_uring_setup io_uring_enter io_uring_register
    add_key request_key keyctl open_by_handle_at name_to_handle_at init_module finit_module delete_module kexec_load kexec_file_load
    reboot swapon swapoff sethostname setdomainname settimeofday clock_settime clock_adjtime adjtimex acct quotactl syslog personality
    mknod mknodat nice setpriority sched_setscheduler
"""


@dataclass(frozen=True)
class Room:
    """What one submission may use: bytes of memory for each process, processes, open files, bytes of a file, seconds of processor time."""

    memory: int = 6 * 2**30
    processes: int = 64
    files: int = 256
    file_size: int = 64 * 2**20
    seconds: int = 1800


def prepare() -> None:
    """Find libseccomp while the programs that find it can still be run. Raises ImportError or RuntimeError where it is not installed."""
    import pyseccomp

    pyseccomp.system_arch()


def give_up(room: Room, number: int = 0) -> None:
    """Take all rights away from this process and those that it will start. Raises OSError where the system refuses.

    `number` tells submissions apart that run at the same time: root becomes another user for each.
    """
    limit(room)
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(CAPABILITIES):
        libc.prctl(DROP_BOUNDING, capability, 0, 0, 0)
    if os.getuid() == 0:
        user = USERS[number % len(USERS)]
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    _drop_capabilities(libc)
    libc.prctl(NOT_DUMPABLE, 0, 0, 0, 0)
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs is refused")
    _filter_calls()
    os.environ.clear()
    os.environ.update(HOME="/tmp", PATH="/usr/bin:/bin", LANG="C.UTF-8", OMP_NUM_THREADS="1", MPLBACKEND="agg")


def limit(room: Room) -> None:
    """The limits alone, which every Unix has."""
    for kind, most in (
        (resource.RLIMIT_AS, room.memory),
        (resource.RLIMIT_NPROC, room.processes),
        (resource.RLIMIT_NOFILE, room.files),
        (resource.RLIMIT_FSIZE, room.file_size),
        (resource.RLIMIT_CPU, room.seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """capset(2) with empty sets: whoever made a namespace of users has all capabilities in it."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    if libc.capset(header, (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capset is refused")


def _filter_calls() -> None:
    """Refused calls fail with EPERM; clone3 with ENOSYS, so that the C library takes clone, whose flags can be looked at."""
    import pyseccomp

    allow = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    refused = pyseccomp.ERRNO(errno.EPERM)
    for name in REFUSED.split():
        if pyseccomp.resolve_syscall(pyseccomp.system_arch(), name) >= 0:  # not each processor has each call
            allow.add_rule(refused, name)
    for bit in range(32):
        if NEW_NAMESPACES >> bit & 1:
            allow.add_rule(refused, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, 1 << bit, 1 << bit))
    allow.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    allow.load()
