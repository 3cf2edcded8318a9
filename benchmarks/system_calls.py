"""Asks before each system call of a process that changes files: go on, fail, or be killed there.

Used by `fault_sweep`. The kernel's own means for it, seccomp's user notification (Linux 5.19 on
x86-64): only the calls of `CALLS` stop, of any thread and of any child, and everything else runs at
full speed, which under strace it does not.
"""

import ctypes
import errno
import fcntl
import os
import platform
import re
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

WRITES = {"write": 1, "pwrite64": 18, "writev": 20, "pwritev": 296, "ftruncate": 77}
SYNCS = {"fsync": 74, "fdatasync": 75}
NAMES = {
    "rename": 82, "renameat": 264, "renameat2": 316, "mkdir": 83, "mkdirat": 258, "unlink": 87,
    "unlinkat": 263, "rmdir": 84, "link": 86, "linkat": 265, "symlink": 88, "symlinkat": 266,
    "truncate": 76, "copy_file_range": 326,
}  # fmt: skip
OPENAT = {"openat": 257}  # only where it makes or empties a file
BEGINS = {"alarm": 37}  # which a decoding process calls before and after each file
CALLS = WRITES | SYNCS | NAMES | OPENAT | BEGINS
BY_NUMBER = {number: name for name, number in CALLS.items()}

NEW_PRIVILEGES, SECCOMP, SET_FILTER, LISTEN_KILLABLY = 38, 317, 1, 1 << 3 | 1 << 5
LOAD, EQUAL, ANY_BIT, END = 0x20, 0x15, 0x45, 0x06
ALLOW, ASK = 0x7FFF0000, 0x7FC00000
NUMBER, FLAGS = 0, 16 + 2 * 8  # places in seccomp_data
CHANGING = os.O_CREAT | os.O_TRUNC
QUESTION, ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
RECEIVE = 0xC0000000 | QUESTION.size << 16 | ord("!") << 8
SEND = 0xC0000000 | ANSWER.size << 16 | ord("!") << 8 | 1
CONTINUE = 1
HUNG_SECONDS = 600.0


@dataclass(frozen=True)
class Call:
    """A system call that is about to happen: its name, process, and file where it writes to one."""

    name: str
    process: int
    file: str = ""


KILL, GO, FAIL = "kill", "go", "fail"  # what to do with a call
Judge = Callable[[Call], str]


def listened(channel: socket.socket) -> None:
    """From here on this process and its children ask; the listener goes through `channel`."""
    assert platform.machine() == "x86_64", "the numbers of system calls are those of x86-64"
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(NEW_PRIVILEGES, 1, 0, 0, 0)
    content = b"".join(_program())
    program = ctypes.create_string_buffer(content, len(content))
    told = struct.pack("HxxxxxxQ", len(content) // 8, ctypes.addressof(program))
    listener = libc.syscall(SECCOMP, SET_FILTER, LISTEN_KILLABLY, told)
    if listener < 0:
        raise OSError(ctypes.get_errno(), "no seccomp listener")
    socket.send_fds(channel, [b"."], [listener])
    os.close(listener)


def _program() -> list[bytes]:
    """Instructions of the filter: asks for `CALLS`, and for `openat` where it changes a file."""
    others = [number for name, number in CALLS.items() if name not in OPENAT]
    code = [_instruction(LOAD, NUMBER)]
    for place, number in enumerate(others):
        code.append(_instruction(EQUAL, number, len(others) - place + 3))
    code.append(_instruction(EQUAL, OPENAT["openat"], 0, 2))
    code.append(_instruction(LOAD, FLAGS))
    code.append(_instruction(ANY_BIT, CHANGING, 1, 0))
    return [*code, _instruction(END, ALLOW), _instruction(END, ASK)]


def _instruction(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)


def judged(channel: socket.socket, process: int, judge: Judge) -> int | None:
    """Answers all questions of a process and its children; its exit code, None where it hung."""
    listener = socket.recv_fds(channel, 1, 1)[1][0]
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    end = time.monotonic() + HUNG_SECONDS
    while time.monotonic() < end:
        events = dict(poll.poll(1000)).get(listener, 0)
        if events & select.POLLIN:
            _answer(listener, judge)
        elif events & select.POLLHUP:  # nobody is left who could ask
            os.close(listener)
            return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    os.close(listener)
    return None


def halted(process: int) -> None:
    """Stops every thread of a process group; who waits for an answer already stands still."""
    os.killpg(process, signal.SIGSTOP)
    end = time.monotonic() + HUNG_SECONDS
    while any(_runs(thread) for thread in Path(f"/proc/{process}/task").iterdir()):
        assert time.monotonic() < end, "its threads do not stop"
        time.sleep(0.001)


def _runs(thread: Path) -> bool:
    """Whether a thread is running or in a system call, other than waiting for an answer of ours."""
    try:
        state = (thread / "stat").read_text().rpartition(")")[2].split()[0]
        return state == "R" or (state == "D" and "seccomp" not in (thread / "wchan").read_text())
    except OSError:  # it has ended
        return False


def _answer(listener: int, judge: Judge) -> None:
    question = bytearray(QUESTION.size)
    try:
        fcntl.ioctl(listener, RECEIVE, question)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.EINTR}:  # who asked was killed
            return
        raise
    ticket, thread, _, number, _, _, *arguments = QUESTION.unpack(question)
    value = 0
    try:
        call = _call(BY_NUMBER[number], thread, arguments[0])
    except OSError:  # who asked was killed
        return
    match judge(call):
        case "kill":
            os.kill(call.process, signal.SIGKILL)
            return
        case "fail":
            value = -errno.EIO
    answer = ANSWER.pack(ticket, 0, value, 0 if value else CONTINUE)
    try:
        fcntl.ioctl(listener, SEND, answer)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def _call(name: str, thread: int, descriptor: int) -> Call:
    place = Path(f"/proc/{thread}")
    group = re.search(r"^Tgid:\s*(\d+)", (place / "status").read_text(), re.MULTILINE)
    assert group
    written = name in WRITES or name in SYNCS
    file = str((place / "fd" / str(descriptor)).readlink()) if written else ""
    return Call(name, int(group[1]), file)
