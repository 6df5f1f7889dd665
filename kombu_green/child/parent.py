"""The launcher as a worker process sees it: orders come in, notes go out, and its end is noticed.

Nothing here may wait for the parent: one that is stopped (Ctrl-Z) does not read, and work goes on.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from gevent import os as green_os
from gevent.socket import wait_write

from kombu_green.clock import Deadline
from kombu_green.ipc.messages import AdmissionReply, DrainOrder, Heartbeat, LineReader, Note, ReleaseOrder, encode

__all__ = ["Order", "Parent"]

Order = DrainOrder | ReleaseOrder | AdmissionReply


class Parent:
    """The child's end of the control socket; without one (a process run by hand) nobody listens and nothing comes."""

    def __init__(self, fd: int | None) -> None:
        self._fd: Final = fd
        self._unsent: deque[bytes] = deque()
        if fd is not None:
            os.set_inheritable(fd, False)
            green_os.make_nonblocking(fd)

    @property
    def present(self) -> bool:
        """Whether there ever was a parent."""
        return self._fd is not None

    def say(self, note: Note) -> None:
        """Send *note*, or keep it for the next time when the parent does not read.  A heartbeat is not kept."""
        if self._fd is None or (isinstance(note, Heartbeat) and self._unsent):
            self._send()
            return
        self._unsent.append(encode(note))
        self._send()

    def flush(self, seconds: float) -> None:
        """Send what is unsent, for at most so long."""
        deadline = Deadline.after(seconds)
        with suppress(TimeoutError):
            while self._unsent and self._fd is not None:
                wait_write(self._fd, deadline.remaining())
                self._send()

    def listen(self, obey: Callable[[Order], None]) -> None:
        """Hand on every order; come back when the parent is gone.  For a greenlet of its own."""
        reader = LineReader()
        while self._fd is not None:
            try:
                piece = green_os.nb_read(self._fd, 65536)
            except OSError:
                return
            if not piece:
                return
            for note in reader.feed(piece):
                if isinstance(note, Order):
                    obey(note)

    def _send(self) -> None:
        while self._unsent and self._fd is not None:
            line = self._unsent[0]
            try:
                sent = os.write(self._fd, line)
            except BlockingIOError:
                return
            except OSError:  # it is gone, which listen() says
                self._unsent.clear()
                return
            if sent == len(line):
                self._unsent.popleft()
            else:
                self._unsent[0] = line[sent:]
