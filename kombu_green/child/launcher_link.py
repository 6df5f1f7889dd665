"""The child's end of the control socket: orders of the launcher come in, notes to it go out.

Nothing here waits for the launcher.  One that is stopped (Ctrl-Z) reads nothing, and messages are still handled.
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
from kombu_green.green.fork import forks
from kombu_green.ipc.messages import AdmissionReply, DrainOrder, Heartbeat, LineReader, Note, ReleaseOrder, encode

__all__ = ["LauncherLink", "Order"]

#: what a launcher sends to a child
Order = DrainOrder | ReleaseOrder | AdmissionReply

_READ_SIZE: Final = 65536  # bytes


class LauncherLink:
    """Sends notes to the launcher and receives its orders over the socket *fd*.

    A process that was started by hand has no launcher, and *fd* is None: notes are dropped, and no order comes.
    """

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self._unsent: deque[bytes] = deque()
        if fd is not None:
            os.set_inheritable(fd, False)
            green_os.make_nonblocking(fd)
        forks.add(self)

    def after_fork(self) -> None:
        """In the child of a fork there is no launcher."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @property
    def has_launcher(self) -> bool:
        """Whether a launcher started this process; it may have ended since."""
        return self._fd is not None

    def send(self, note: Note) -> None:
        """Send *note*.  If the launcher does not read, keep it for the next call; of heartbeats none is kept."""
        if self._fd is None or (isinstance(note, Heartbeat) and self._unsent):
            self._send_unsent()
            return
        self._unsent.append(encode(note))
        self._send_unsent()

    def flush(self, seconds: float) -> None:
        """Wait until all notes are sent, for *seconds* at most."""
        deadline = Deadline.after(seconds)
        with suppress(TimeoutError):
            while self._unsent and self._fd is not None:
                wait_write(self._fd, deadline.remaining())
                self._send_unsent()

    def receive_orders(self, on_order: Callable[[Order], None]) -> None:
        """Call *on_order* with each order; return when the launcher has ended.  Blocks its greenlet."""
        reader = LineReader()
        while self._fd is not None:
            try:
                piece = green_os.nb_read(self._fd, _READ_SIZE)
            except OSError:
                return
            if not piece:
                return
            for note in reader.feed(piece):
                if isinstance(note, Order):
                    on_order(note)

    def _send_unsent(self) -> None:
        while self._unsent and self._fd is not None:
            line = self._unsent[0]
            try:
                sent = os.write(self._fd, line)
            except BlockingIOError:
                return
            except OSError:  # the launcher has ended; receive_orders() returns for the same reason
                self._unsent.clear()
                return
            if sent == len(line):
                self._unsent.popleft()
            else:
                self._unsent[0] = line[sent:]
