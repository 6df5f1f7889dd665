"""One worker process as the parent holds it: started, spoken to, signalled, buried.  No decisions are made here."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from kombu_green.ipc.messages import PROTOCOL, Ask, LineReader, Malformed, Note, Settled, encode
from kombu_green.ipc.recorder import Recording, anonymous_file
from kombu_green.launcher.children import child_environment
from kombu_green.launcher.hardlimits import Doom
from kombu_green.launcher.states import Vitals

__all__ = ["Process", "how_it_ended"]

_FLAGS: Final = 6  # of what follows the name in /proc/PID/stat; source: proc(5)
_EXITING: Final = 0x4  # PF_EXITING


class Process:
    """A running child, in a process group of its own.

    The group keeps a terminal's Ctrl-C to the parent, which tells the children what to do; and what a callback started
    (a transcoder, say) ends together with a process that was killed.
    """

    def __init__(
        self, number: int, popen: subprocess.Popen[bytes], control: socket.socket, recording: Recording
    ) -> None:
        self.number: Final = number
        self.pid: Final = popen.pid
        self.vitals: Final = Vitals(time.monotonic())
        self.control: Final = control
        self.recording: Final = recording
        self._popen = popen
        self._reader = LineReader()
        #: what it said of its end; None when it said nothing
        self.released: int | None = None
        self.problems: list[str] | None = None
        #: what it asked, or said, of redelivered messages, until the inquest takes it
        self.questions: list[Ask | Settled] = []
        #: what the parent ends it for
        self.doom: Doom | None = None

    @classmethod
    def start(cls, number: int, command: Sequence[str], lifeline: int) -> Process:
        """Run *command* with its descriptors added as options; ``OSError`` when that is not possible."""
        with ExitStack() as undo:
            ours, theirs = socket.socketpair()
            undo.callback(ours.close)
            with theirs:
                ours.setblocking(False)
                recording = Recording(recorder := anonymous_file("kombu-worker"))
                undo.callback(recording.close)
                fds = {"--control-fd": theirs.fileno(), "--lifeline-fd": lifeline, "--recorder-fd": recorder}
                options = {"--protocol": PROTOCOL, **fds}
                popen = subprocess.Popen(
                    [*command, *(part for option in options.items() for part in map(str, option))],
                    stdin=subprocess.DEVNULL,
                    pass_fds=tuple(fds.values()),
                    env=child_environment(),
                    process_group=0,
                )
            undo.pop_all()
        return cls(number, popen, ours, recording)

    def say(self, note: Note) -> None:
        """Tell it; one that does not listen any more is judged by its silence."""
        with contextlib.suppress(OSError):
            self.control.send(encode(note))

    def hear(self) -> tuple[list[Note | Malformed], bool]:
        """What it said since the last call, and whether it can say more."""
        heard: list[Note | Malformed] = []
        for _ in range(16):  # one that babbles does not keep the parent from the others
            try:
                piece = self.control.recv(65536)
            except BlockingIOError:
                break
            except OSError:
                return heard, False
            if not piece:
                return heard, False
            heard += self._reader.feed(piece)
        return heard, True

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def kill(self) -> None:
        """It and everything that it started in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def ended(self) -> int | None:
        """Its exit code (negative: the signal), once; None while it runs.  What it started in its group ends, too."""
        if self._popen.returncode is None and self._is_over():
            self.kill()  # before it is waited for: until then nobody else can be given its number
        return self._popen.poll()

    def leaves(self) -> bool:
        """Whether it is on its way out of the kernel, or ended and was not buried yet.

        It is before the first of its sockets is closed, so before a broker can know.  Its control socket is no help: of
        what a process leaves open, Linux closes the last one first.
        """
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as stat:
                return bool(int(stat.read().rpartition(b")")[2].split()[_FLAGS]) & _EXITING)
        except FileNotFoundError:  # not on Linux: the end of its control socket tells as much, a moment later
            return self.control.fileno() < 0

    def _is_over(self) -> bool:
        if not hasattr(os, "waitid"):  # macOS before CPython 3.13: left-overs of a crash are left over
            return False
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def how_it_ended(code: int) -> str:
    """``exited with code 3``, ``was ended by SIGKILL``."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
