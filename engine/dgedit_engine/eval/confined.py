"""Confine this process, then run the program on stdin: `sandbox.py` starts it as a process.

The first line of stdin holds the limits, the rest is the program; the last line of stdout is the
verdict. The layers, each of which works without the others: limits of the process; namespaces of
user and network; Landlock, by which the kernel refuses writing outside the folder; seccomp, by
which it ends a process that forks, executes or opens a socket; and an audit hook, which ends the
program before Python does such a thing, and can name it. Imports the standard library alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import os
import platform
import resource
import signal
import struct
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

_FILE = 1 << 20  # bytes of the largest file
_FILES = 32  # open at a time
_CHANGES = 200  # openings for writing, folders made and the like

_FORBIDDEN = (
    *("socket.", "subprocess.", "ctypes.", "os.exec", "os.fork", "os.posix_spawn", "os.spawn"),
    *("os.system", "os.startfile", "os.kill", "pty.", "resource.setrlimit", "resource.prlimit"),
    *("sys.addaudithook", "signal.pthread_kill", "os.chroot", "syslog."),
)
"""Prefixes of audit events that end the program."""

_PATHS = {
    **{"os.remove": ((0, 1),), "os.rmdir": ((0, 1),), "os.mkdir": ((0, 2),)},
    **{"os.rename": ((0, 2), (1, 3)), "os.link": ((0, 2), (1, 3)), "os.symlink": ((1, 2),)},
    **{"os.chmod": ((0, 2),), "os.chown": ((0, 3),), "os.utime": ((0, 3),)},
    **{"os.truncate": ((0, None),), "os.setxattr": ((0, None),), "os.removexattr": ((0, None),)},
    **{"shutil.rmtree": ((0, None),), "os.chflags": ((0, None),)},
}
"""Events that change files, with the places of their paths among the arguments, and of the folders
these are relative to.
"""

_CALLS = {
    "x86_64": (
        *(57, 58, 59, 322),  # fork, vfork, execve, execveat
        *(41, 53),  # socket, socketpair
        *(62, 200, 129, 297, 424, 434),  # kill, tkill, (tg)sigqueueinfo, pidfd_send_signal, _open
        *(101, 310, 311, 321, 298, 425),  # ptrace, process_vm_*, bpf, perf_event_open, io_uring
        *(161, 155, 165, 166, 272, 308),  # chroot, pivot_root, (u)mount, unshare, setns
        *(304,),  # open_by_handle_at
        *(133, 259, 175, 313, 246, 169, 167, 168),  # mknod(at), modules, kexec, reboot, swap
        *(248, 249, 250, 323),  # keys, userfaultfd
    ),
    "aarch64": (
        *(221, 281, 198, 199, 129, 130, 138, 240, 424, 434, 117, 270, 271, 280, 241, 425),
        *(51, 41, 40, 39, 97, 268, 265, 33, 105, 273, 104, 142, 224, 225, 217, 218, 219, 282),
    ),
}
"""The system calls that end a process, by machine; the second row has no fork to name."""

_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435


def main() -> NoReturn:
    """Confine this process, run the program, give the verdict."""
    head, _, source = sys.stdin.buffer.read().partition(b"\n")
    limits = json.loads(head)
    folder = os.getcwd()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    say = _say(limits["nonce"])
    _limit(limits["seconds"], limits["megabytes"])
    _confine(folder)
    _watch(folder, say)
    os.write(1, b"begun\n")
    say(_run(source.decode("utf-8", "surrogatepass")))


def _run(source: str) -> str:
    """Run the program as the main module, and return how it ended."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.argv = [""]
    try:
        exec(compile(source, "<program>", "exec"), module.__dict__)
    except MemoryError:
        return "memory"
    except SystemExit:
        return "failed: it left before its end"
    except BaseException as error:
        return f"failed: {type(error).__name__[:40]}"
    return "passed"


def _say(nonce: str) -> Callable[[str], NoReturn]:
    """Return a function that writes the verdict and ends the process, whatever the program did to
    `os` and `sys`.
    """
    write, leave = os.write, os._exit

    def say(verdict: str) -> NoReturn:
        try:
            sys.stdout.flush()  # the program's own, or a verdict would not stand last
        except BaseException:
            verdict = "failed: it closed its output" if verdict == "passed" else verdict
        try:
            write(1, f"\n{nonce} {verdict}\n".encode("ascii", "replace"))
        finally:
            leave(0)

    return say


def _limit(seconds: float, megabytes: int) -> None:
    """Set the limits of this process, which it cannot raise again."""
    cpu = math.ceil(seconds) + 1
    for kind, soft, hard in (
        (resource.RLIMIT_CPU, cpu, cpu + 1),  # by the soft one we know that it was time
        (resource.RLIMIT_AS, megabytes << 20, megabytes << 20),
        (resource.RLIMIT_FSIZE, _FILE, _FILE),
        (resource.RLIMIT_NOFILE, _FILES, _FILES),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        _, most = resource.getrlimit(kind)
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        with contextlib.suppress(OSError, ValueError):  # macOS lets one not set them all
            resource.setrlimit(kind, (soft, hard))


def _confine(folder: str) -> None:
    """Set up the kernel's layers, as far as it has them."""
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    new_user, new_net, new_ipc = 0x10000000, 0x40000000, 0x08000000
    if libc.unshare(new_user | new_net | new_ipc):
        libc.unshare(new_net)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS, which the other two require
    _keep_within(libc, folder)
    _deny_calls(libc)


def _keep_within(libc: Any, folder: str) -> None:
    """Set up Landlock: nothing is executed, and nothing written or made outside the folder."""
    create, add, restrict = 444, 445, 446  # on every machine
    version = libc.syscall(create, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return
    execute, write, makes = 1 << 0, 1 << 1, sum(1 << bit for bit in range(4, 13))
    truncate = 1 << 14 if version >= 3 else 0
    handled = struct.pack("=Q", execute | write | makes | truncate)
    rules = libc.syscall(create, handled, ctypes.c_size_t(len(handled)), 0)
    for path, allowed in ((folder, write | makes | truncate), (os.devnull, write | truncate)):
        place = os.open(path, os.O_PATH)
        libc.syscall(add, rules, 1, struct.pack("=Qi", allowed, place), 0)
        os.close(place)
    libc.syscall(restrict, rules, 0)
    os.close(rules)


def _deny_calls(libc: Any) -> None:
    """Set up seccomp: a process that makes one of the calls ends; a thread may still be started."""
    machine = platform.machine()
    if machine not in _CALLS or sys.maxsize < 2**32:
        return
    load, equal, least, bits, give = 0x20, 0x15, 0x35, 0x45, 0x06
    kill, allow, missing = 0x80000000, 0x7FFF0000, 0x00050000 | 38  # ENOSYS
    rows = [
        (load, 0, 0, 4),  # the architecture
        (equal, 1, 0, _ARCHITECTURE[machine]),
        (give, 0, 0, kill),
        (load, 0, 0, 0),  # the call's number
        (least, 0, 1, 0x40000000),  # x32
        (give, 0, 0, kill),
        # clone3 keeps its flags where we cannot look: without it, the library takes clone.
        (equal, 0, 1, _CLONE3),
        (give, 0, 0, missing),
    ]
    for number in _CALLS[machine]:
        rows += [(equal, 0, 1, number), (give, 0, 0, kill)]
    rows += [
        (equal, 0, 3, _CLONE[machine]),
        (load, 0, 0, 16),  # its flags
        (bits, 1, 0, 0x00010000),  # CLONE_THREAD
        (give, 0, 0, kill),
        (give, 0, 0, allow),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *row) for row in rows))
    program = struct.pack("@HP", len(rows), ctypes.addressof(code))
    libc.prctl(22, 2, program, 0, 0)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def _watch(folder: str, say: Callable[[str], NoReturn]) -> None:
    """Add the audit hook. An exception could be swallowed, so it ends the process."""
    real, join, readlink, decode = os.path.realpath, os.path.join, os.readlink, os.fsdecode
    inside, null = folder + os.sep, os.devnull
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    changes = 0

    def outside(path: Any, start: Any) -> bool:
        if isinstance(path, int):  # a file that is open already
            return False
        if isinstance(start, int) and start != -1:
            path = join(readlink(f"/proc/self/fd/{start}"), decode(path))
        place = real(decode(path))
        return place != folder and place != null and not place.startswith(inside)

    def hook(event: str, values: tuple[Any, ...]) -> None:
        nonlocal changes
        try:
            if event.startswith(_FORBIDDEN):
                say(f"forbidden: {event}")
            if event == "open":
                path, _, flags = values
                if not flags & writing:
                    return
                if outside(path, None):
                    say("forbidden: open for writing")
            elif event in _PATHS:
                for path, start in _PATHS[event]:
                    if outside(values[path], start and values[start]):
                        say(f"forbidden: {event}")
            else:
                return
            changes += 1
            if changes > _CHANGES:
                say("forbidden: too many files")
        except BaseException:  # values of no use, as of a path that is none
            say(f"forbidden: {event}")

    def refuse(*values: object, **named: object) -> NoReturn:
        say("forbidden: fork_exec")

    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    import _posixsubprocess  # multiprocessing takes it without an event

    _posixsubprocess.fork_exec = refuse
    for name in [name for name in sys.modules if name.split(".")[0] in ("ctypes", "_ctypes")]:
        del sys.modules[name]
    sys.addaudithook(hook)


if __name__ == "__main__":
    main()
