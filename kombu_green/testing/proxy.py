"""A TCP proxy for tests, which breaks the network between a client and its server for real.

::

    with FaultProxy("127.0.0.1", 5672) as proxy, Connection(f"amqp://127.0.0.1:{proxy.port}//") as connection:
        connection.connect()
        proxy.at(b"\\x00\\x32\\x00\\x0a", proxy.cut)  # AMQP's queue.declare
        ...

Nothing in it waits for time to pass: a fault is there when its method returns.  It needs no patched standard library.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from socket import IPPROTO_TCP, SHUT_WR, SO_LINGER, SO_REUSEADDR, SOL_SOCKET, TCP_NODELAY
from typing import Final, Self

import gevent
from gevent.event import Event
from gevent.socket import create_connection
from gevent.socket import socket as Socket  # noqa: N812  it is a class

from kombu_green.clock import Deadline
from kombu_green.green.group import Group, MayEnd
from kombu_green.service import Service

__all__ = ["FaultProxy", "Way"]

_CHUNK: Final = 64 * 1024


class Way(Enum):
    """The direction that a fault affects."""

    UP = "from the client to the server"
    DOWN = "from the server to the client"


class _Stream:
    """One direction of one connection."""

    def __init__(self, way: Way, source: Socket, sink: Socket) -> None:
        self.way: Final = way
        self.source: Final = source
        self.sink: Final = sink
        self.tail = b""  # the last bytes that passed: a marker may have begun in them


class _Trigger:
    """*action* is called once, just before the bytes that complete *marker* are passed on."""

    def __init__(self, way: Way, marker: bytes, action: Callable[[], object]) -> None:
        self.way: Final = way
        self.marker: Final = marker
        self.action: Final = action


class FaultProxy(Service):
    """Listens on :attr:`port` of the loopback and passes everything on to *host*:*port*, until it is told otherwise.

    Faults are for all connections together, and stay until :meth:`heal`.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server: Final = (host, port)
        self._listener: Socket | None = None
        self._links: list[tuple[Socket, Socket]] = []
        self._streams: list[_Stream] = []
        self._triggers: list[_Trigger] = []
        self._cut_after: dict[Way, int] = {}
        self._gates: Final = {way: Event() for way in Way}
        self._swallowing = False
        self._delay = 0.0
        self._split, self._pause = 0, 0.0
        self._group = Group("fault proxy", lambda name, error: None)
        #: the port to connect to; 0 before the first start, then always the same
        self.port = 0
        #: connections that were accepted so far
        self.taken = 0
        #: bytes that were passed on so far
        self.passed: Final = dict.fromkeys(Way, 0)

    @property
    def open(self) -> int:
        """Connections that are open now."""
        return len(self._links)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop(Deadline.after(5))

    def on_start(self) -> None:
        self._group.start()
        self.heal()

    def on_stop(self, deadline: Deadline) -> None:
        self.refuse()
        self.cut()
        self._group.stop(deadline)
        self._streams.clear()

    # -- faults

    def refuse(self) -> None:
        """Refuse new connections.  Those that are open stay."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()

    def accept(self) -> None:
        """Accept connections again."""
        if self._listener is None:
            listener = Socket()
            listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen(128)
            self.port = listener.getsockname()[1]
            self._listener = listener
            self._group.spawn(self._take, listener, name="accept", on_end=MayEnd())

    def cut(self) -> None:
        """Reset all connections that are open now, both ways."""
        for link in list(self._links):
            self._reset(link)

    def cut_after(self, count: int, way: Way = Way.UP) -> None:
        """Pass on *count* more bytes, and then reset the connection on which the last of them was."""
        self._cut_after[way] = count

    def half_close(self, way: Way = Way.DOWN) -> None:
        """Shut down one direction of all connections, as a sender that has sent everything; the other one goes on."""
        for stream in self._streams:
            if stream.way is way:
                _shut(stream.sink)

    def stall(self, way: Way | None = None) -> None:
        """Pass on nothing more, so that buffers fill up and the sender blocks.  None is both ways."""
        for each in Way if way is None else (way,):
            self._gates[each].clear()

    def black_hole(self) -> None:
        """Receive everything and pass on nothing, both ways, on new connections too; neither side gets an error."""
        self._swallowing = True

    def delay(self, seconds: float) -> None:
        """Pass on each piece *seconds* later."""
        self._delay = seconds

    def split(self, size: int, pause: float = 0.0005) -> None:
        """Pass on *size* bytes at a time, with *pause* seconds between, so that each is a packet of its own."""
        self._split, self._pause = size, pause

    def at(self, marker: bytes, action: Callable[[], object], way: Way = Way.UP) -> None:
        """Call *action*, once, just before the bytes that complete *marker* are passed on."""
        self._triggers.append(_Trigger(way, marker, action))

    def heal(self) -> None:
        """End all faults.  After a black hole bytes are missing, so the connections that are open are reset."""
        if self._swallowing:
            self.cut()
        self._swallowing = False
        self._delay, self._split = 0.0, 0
        self._triggers.clear()
        self._cut_after.clear()
        for gate in self._gates.values():
            gate.set()
        if self.running:
            self.accept()

    # -- passing bytes on

    def _take(self, listener: Socket) -> None:
        while listener is self._listener:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # it was closed
            self.taken += 1
            self._group.spawn(self._connect, client, name="connect", on_end=MayEnd())

    def _connect(self, client: Socket) -> None:
        try:
            server = create_connection(self._server)
        except OSError:
            _abort(client)
            return
        link = client, server
        self._links.append(link)
        streams = _Stream(Way.UP, client, server), _Stream(Way.DOWN, server, client)
        self._streams += streams
        for stream in streams:
            stream.sink.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            self._group.spawn(self._pass, stream, link, name=stream.way.name, on_end=MayEnd())

    def _pass(self, stream: _Stream, link: tuple[Socket, Socket]) -> None:
        try:
            while data := stream.source.recv(_CHUNK):
                self._fire_triggers(stream, data)
                self._pass_on(stream, data, link)
            self._gates[stream.way].wait()
            _shut(stream.sink)
        except OSError:
            self._reset(link)
        finally:
            self._streams.remove(stream)
            if link in self._links and not any(other.source in link for other in self._streams):
                self._links.remove(link)
                for each in link:
                    each.close()

    def _fire_triggers(self, stream: _Stream, data: bytes) -> None:
        seen = stream.tail + data
        for trigger in [each for each in self._triggers if each.way is stream.way and each.marker in seen]:
            self._triggers.remove(trigger)
            trigger.action()
        stream.tail = seen[-64:]

    def _pass_on(self, stream: _Stream, data: bytes, link: tuple[Socket, Socket]) -> None:
        step = self._split or len(data)
        for at in range(0, len(data), step):
            piece = data[at : at + step]
            if self._delay:
                gevent.sleep(self._delay)
            self._gates[stream.way].wait()
            if self._swallowing:
                continue
            left = self._cut_after.get(stream.way)
            if left is not None:
                piece = piece[:left]
                self._cut_after[stream.way] = left - len(piece)
            stream.sink.sendall(piece)
            self.passed[stream.way] += len(piece)
            if left is not None and left == len(piece):
                del self._cut_after[stream.way]
                self._reset(link)
                return
            if self._split:
                gevent.sleep(self._pause)

    def _reset(self, link: tuple[Socket, Socket]) -> None:
        if link in self._links:
            self._links.remove(link)
            for each in link:
                _abort(each)


def _abort(open_socket: Socket) -> None:
    """Close it with a reset, as a host that crashed and came back would."""
    with suppress(OSError):  # the other side has closed it already
        open_socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    open_socket.close()


def _shut(open_socket: Socket) -> None:
    with suppress(OSError):  # the connection is gone
        open_socket.shutdown(SHUT_WR)
