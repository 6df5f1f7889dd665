"""Frames that are to be written to one socket, and when they are sent.

Frames are collected and sent with one system call: at the end of the hub's iteration (:meth:`Outbox.flush_soon`), when
the caller will switch to the hub anyway, or at once (:meth:`Outbox.flush`).  What the socket does not accept is kept,
in order, until it is writable again; :attr:`Outbox.stalled` is true meanwhile, and the connection's reader greenlet
continues the write.

Acks, and publishes without confirms, are special: the caller does not wait for an answer.  They are sent at once, as a
script may never switch to the hub again.  While deliveries are being handed to callbacks, the hub is sure to run soon,
and :class:`AckBatch` collects them: one ack frame for many messages, one system call.  A batch is small, because the
broker refills the prefetch as soon as it sees the acks.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from gevent.hub import Hub
from gevent.socket import socket as Socket  # noqa: N812  it is a class

from kombu_green.clock import Deadline
from kombu_green.transport.amqp.protocol.acks import ConsumerAcks
from kombu_green.transport.amqp.socket.waiters import WaitQueue

__all__ = ["HIGH_WATER", "AckBatch", "Outbox"]

#: bytes that may wait for a socket that is not writable; beyond that publishers wait
HIGH_WATER: Final = 1024 * 1024

#: writes in one batch at most
BATCH_WRITES: Final = 16

#: seconds that the first write of a batch waits at most while deliveries are handed over
BATCH_SECONDS: Final = 0.005


class AckBatch:
    """Acks and unconfirmed publishes of one connection that are not sent yet.

    :attr:`deferring` is above 0 while the greenlet that writes is sure to switch to the hub soon, so that its writes
    may wait in a batch.
    """

    __slots__ = ("_acks", "_since", "_writes", "deferring")

    def __init__(self) -> None:
        self.deferring = 0
        self._acks: list[ConsumerAcks] = []
        self._writes = 0
        self._since = 0.0

    def add_acks(self, acks: ConsumerAcks) -> None:
        """*acks* has pending frames; to be called once until the next :meth:`take`."""
        self._acks.append(acks)

    def count_write(self) -> bool:
        """Count one write; returns whether it is the first since the last :meth:`take`."""
        self._writes += 1
        if self._writes > 1:
            return False
        self._since = monotonic()
        return True

    @property
    def full(self) -> bool:
        """Whether there are so many writes that they are sent before the hub's iteration ends."""
        return self._writes >= BATCH_WRITES

    @property
    def due(self) -> bool:
        """Whether it is to be sent before the next delivery is handed over: it is full, or has waited long enough."""
        writes = self._writes
        return writes >= BATCH_WRITES or (writes > 0 and monotonic() - self._since >= BATCH_SECONDS)

    def take(self) -> bytes:
        """The frames of all pending acks and rejects; the batch is empty afterwards."""
        self._writes = 0
        acks = self._acks
        if not acks:
            return b""
        self._acks = []
        return b"".join([each.frames() for each in acks])


class Outbox:
    """Frames for *socket*, which must be non-blocking.

    *take_acks* returns ack frames and is called right before each send; *failed* is called with the error of a send
    that failed; *stalled* is called when the socket has not accepted everything.
    """

    def __init__(
        self,
        hub: Hub,
        socket: Socket,
        take_acks: Callable[[], bytes],
        failed: Callable[[OSError], None],
        stalled: Callable[[], None],
    ) -> None:
        self._hub: Final = hub
        self._socket: Final = socket
        self._take_acks: Final = take_acks
        self._failed: Final = failed
        self._on_stall: Final = stalled
        self._parts: list[bytes] = []
        self._size = 0
        self._rest: memoryview | None = None
        self._scheduled = False
        self._waiting: Final = WaitQueue(hub)
        self._closed = False
        #: how often something was sent
        self.sends = 0
        #: how many bytes the kernel has accepted
        self.bytes_sent = 0

    @property
    def stalled(self) -> bool:
        """Whether the socket has not accepted everything that was sent."""
        return self._rest is not None

    @property
    def full(self) -> bool:
        """Whether more than :data:`HIGH_WATER` bytes wait, so that publishers must wait too."""
        return self._size > HIGH_WATER and not self._closed

    @property
    def waiting(self) -> int:
        """Bytes that the kernel has not accepted yet."""
        return self._size

    def put(self, frames: bytes) -> None:
        """Append whole frames; sends nothing."""
        self._parts.append(frames)
        self._size += len(frames)

    def flush_soon(self) -> None:
        """Send at the end of the hub's iteration."""
        if not self._scheduled:
            self._scheduled = True
            self._hub.loop.run_callback(self._flush_scheduled)

    def _flush_scheduled(self) -> None:
        self._scheduled = False
        self.flush()

    def flush(self) -> None:
        """Send everything, as far as the socket accepts it.  Never waits."""
        acks = self._take_acks()
        if acks:
            self.put(acks)
        if self._rest is None and self._parts:
            self._send()

    def resume(self) -> None:
        """The socket is writable again: send what it has not accepted."""
        rest = self._rest
        if rest is not None:
            self._rest = None
            self._send(rest)  # by itself: joined with others it would be copied for each piece that is accepted
            if self._rest is None and self._parts:
                self._send()
        if self._size * 2 < HIGH_WATER:
            self._waiting.wake_all()

    def _send(self, rest: memoryview | None = None) -> None:
        data: bytes | memoryview
        if rest is None:
            parts = self._parts
            data = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
        else:
            data = rest
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._size = 0
            self._failed(error)
            return
        self.sends += 1
        self.bytes_sent += sent
        self._size -= sent
        if sent < len(data):
            self._rest = memoryview(data)[sent:]
            self._on_stall()

    def wait_for_room(self, deadline: Deadline, what: str) -> None:
        """If it is :attr:`full`, wait until much of it was sent; the caller has to look again, as others wait, too.

        ``TimeoutError``, which names *what* has to wait, at *deadline*.
        """
        if self.full:
            self._waiting.wait(deadline, what)

    def close(self) -> None:
        """Drop what was not sent, and wake all that wait for room."""
        self._closed = True
        self._parts.clear()
        self._rest = None
        self._size = 0
        self._waiting.wake_all()
