"""What is to be written to one socket, and when it goes out.

Frames are collected and go out in one piece: at the end of the hub's turn when somebody who will let the hub turn has
written them (:meth:`Outbox.flush_soon`), or at once (:meth:`Outbox.flush`).  What the socket does not take is kept, in
order, until it is writable again; then :attr:`Outbox.stalled` is true and the connection's greenlet goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gevent.hub import Hub
from gevent.socket import socket as Socket  # noqa: N812  it is a class

from kombu_green.clock import Deadline
from kombu_green.transport.amqp.waiting import Gate

__all__ = ["HIGH_WATER", "Outbox"]

#: bytes that may wait for a socket that does not take them; whoever publishes more waits
HIGH_WATER: Final = 1024 * 1024


class Outbox:
    """*socket* does not block.

    *gather* gives frames that are made at the last moment; *failed* is told of errors, and *stalled* when the socket
    has not taken everything.
    """

    def __init__(
        self,
        hub: Hub,
        socket: Socket,
        gather: Callable[[], bytes],
        failed: Callable[[OSError], None],
        stalled: Callable[[], None],
    ) -> None:
        self._hub: Final = hub
        self._socket: Final = socket
        self._gather: Final = gather
        self._failed: Final = failed
        self._on_stall: Final = stalled
        self._parts: list[bytes] = []
        self._size = 0
        self._rest: memoryview | None = None
        self._scheduled = False
        self._room = Gate(hub)
        self._closed = False
        self.sends = 0

    @property
    def stalled(self) -> bool:
        """Whether the socket has not taken everything that it was given."""
        return self._rest is not None

    @property
    def full(self) -> bool:
        """Whether so much waits that nobody should publish more."""
        return self._size > HIGH_WATER and not self._closed

    @property
    def waiting(self) -> int:
        """Bytes that are not with the kernel yet."""
        return self._size

    def put(self, frames: bytes) -> None:
        """Whole frames; nothing is sent yet."""
        self._parts.append(frames)
        self._size += len(frames)

    def flush_soon(self) -> None:
        """Send at the end of the hub's turn."""
        if not self._scheduled:
            self._scheduled = True
            self._hub.loop.run_callback(self._flush_now)

    def _flush_now(self) -> None:
        self._scheduled = False
        self.flush()

    def flush(self) -> None:
        """Send what there is, as far as the socket takes it; never waits."""
        gathered = self._gather()
        if gathered:
            self.put(gathered)
        if self._rest is None and self._parts:
            self._send()

    def resume(self) -> None:
        """The socket is writable again."""
        rest = self._rest
        if rest is not None:
            self._rest = None
            self._parts.insert(0, bytes(rest))
            self._send()
        if self._size * 2 < HIGH_WATER:
            self._room.open()

    def _send(self) -> None:
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._size = 0
            self._failed(error)
            return
        self.sends += 1
        self._size -= sent
        if sent < len(data):
            self._rest = memoryview(data)[sent:]
            self._on_stall()

    def wait_for_room(self, deadline: Deadline, what: str) -> None:
        """Wait while it is :attr:`full`."""
        while self.full:
            self._room.wait(deadline, what)

    def close(self) -> None:
        """Forget what was not sent, and let everybody go on who waits for room."""
        self._closed = True
        self._parts.clear()
        self._rest = None
        self._size = 0
        self._room.open()
