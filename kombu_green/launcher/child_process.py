"""The operating system's side of a worker process: its command line, its descriptors, its signals and its exit status.

No decisions are made here; see :mod:`kombu_green.launcher.child`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import site
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Final

from kombu_green.ipc.messages import PROTOCOL, LineReader, Malformed, Note, encode
from kombu_green.ipc.recorder import RecorderReader, anonymous_file

__all__ = ["ChildProcess", "child_command", "child_environment", "exit_text", "inherited_fds", "module_command"]

_FLAGS: Final = 6  # index of the flags after the command name in /proc/PID/stat, see proc(5)
_EXITING: Final = 0x4  # PF_EXITING
_OVERRIDES_OPTION: Final = "--overrides-fd"
_READS: Final = 16  # pieces read in one go, so that one child cannot keep the launcher from the others


def child_command(verb: str, file: Path, overrides_fd: int | None = None) -> list[str]:
    """The arguments that run *verb* of :mod:`kombu_green.child` on *file*.

    *overrides_fd* holds the settings of the command line (:mod:`kombu_green.ipc.overrides`), and is to be inherited.
    """
    overrides = [] if overrides_fd is None else [_OVERRIDES_OPTION, str(overrides_fd)]
    return module_command("kombu_green.child", [verb, "-c", str(file), *overrides])


def inherited_fds(command: Sequence[str]) -> list[int]:
    """The descriptors that a *command* of :func:`child_command` names."""
    return [int(value) for option, value in pairwise(command) if option == _OVERRIDES_OPTION]


def module_command(module: str, arguments: Sequence[str]) -> list[str]:
    """The argument list that runs *module* of kombu_green with *arguments*, in this interpreter.

    ``-P`` keeps the current folder out of ``sys.path``: a file there may have the name of a module of kombu_green or of
    the standard library.  With ``-X faulthandler`` a SIGABRT prints the stacks of all threads.
    """
    return [sys.executable, "-P", "-X", "faulthandler", "-m", module, *arguments]


def child_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """*environ*, so that a new interpreter imports this kombu_green: a checkout has to be added to ``PYTHONPATH``."""
    root = str(Path(__file__).resolve().parents[2])
    if root in map(os.path.realpath, [*site.getsitepackages(), site.getusersitepackages()]):
        return dict(environ)
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, [root, environ.get("PYTHONPATH")]))}


class ChildProcess:
    """A running worker process, in a process group of its own.

    With a group of its own a terminal's Ctrl-C reaches the launcher only, which tells its children what to do.  And
    what a callback has started (a transcoder, say) can be killed together with the process.
    """

    def __init__(
        self, number: int, popen: subprocess.Popen[bytes], control: socket.socket, recorder: RecorderReader
    ) -> None:
        self.number: Final = number  # of its process slot
        self.pid: Final = popen.pid
        self.control: Final = control
        self.recorder: Final = recorder
        self._popen = popen
        self._reader = LineReader()

    @classmethod
    def start(cls, number: int, command: Sequence[str], lifeline: int) -> ChildProcess:
        """Run *command* with its descriptors added as options; ``OSError`` when that is not possible."""
        with ExitStack() as undo:
            ours, theirs = socket.socketpair()
            undo.callback(ours.close)
            with theirs:
                ours.setblocking(False)
                recorder = RecorderReader(recorder_fd := anonymous_file("kombu-worker"))
                undo.callback(recorder.close)
                fds = {"--control-fd": theirs.fileno(), "--lifeline-fd": lifeline, "--recorder-fd": recorder_fd}
                options = {"--protocol": PROTOCOL, **fds}
                popen = subprocess.Popen(
                    [*command, *(part for option in options.items() for part in map(str, option))],
                    stdin=subprocess.DEVNULL,
                    pass_fds=(*fds.values(), *inherited_fds(command)),
                    env=child_environment(),
                    process_group=0,
                )
            undo.pop_all()
        return cls(number, popen, ours, recorder)

    def send(self, note: Note) -> None:
        """Send *note* without waiting; it is lost when the process does not read, which its missing heartbeats show."""
        with contextlib.suppress(OSError):
            self.control.send(encode(note))

    def receive(self) -> tuple[list[Note | Malformed], bool]:
        """The notes that came since the last call, and whether the socket is still open at the other end."""
        notes: list[Note | Malformed] = []
        for _ in range(_READS):
            try:
                piece = self.control.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                return notes, False
            if not piece:
                return notes, False
            notes += self._reader.feed(piece)
        return notes, True

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def kill(self) -> None:
        """Kill the process and everything that it started in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def reap(self) -> int | None:
        """Its exit code (negative: the signal), or None while it runs.  When it has ended, its group is killed."""
        if self._popen.returncode is None and self._has_ended():
            self.kill()  # before the exit status is collected: until then no other process can get this pid
        return self._popen.poll()

    def is_exiting(self) -> bool:
        """Whether the kernel is taking the process down, or it has ended and was not reaped yet.

        The kernel marks a process as exiting before it closes the first of its sockets, so before a broker can see
        its end.  The control socket does not tell in time: it is among the last descriptors that the kernel closes.
        """
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as stat:
                return bool(int(stat.read().rpartition(b")")[2].split()[_FLAGS]) & _EXITING)
        except FileNotFoundError:  # not on Linux: the control socket has to do, which closes a moment later
            return self.control.fileno() < 0

    def _has_ended(self) -> bool:
        if not hasattr(os, "waitid"):  # macOS before CPython 3.13: what a crashed process had started goes on
            return False
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def exit_text(code: int) -> str:
    """An exit code in words: ``exited with code 3``, ``was ended by SIGKILL``."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
