"""The fewest lines that speak AMQP under gevent: what pure Python can do at most, and no product.

It knows no errors, no reconnects, no heartbeats: it sends joined frames, reads 256 KiB at a time, and unpacks in place.
Source: AMQP 0-9-1, sections 2.3.5 (frames) and 4.2 (methods).
"""

from __future__ import annotations

import socket
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from struct import Struct, pack
from urllib.parse import urlsplit

import orjson

from benchmarks.bodies import body
from benchmarks.round import Load, Measure, Sample, Span, bounded
from benchmarks.workers import consumed

QUEUE = b"load-probe"
END = b"\xce"
FRAME = Struct(">BHI")
SIZE = Struct(">I")
TAG = Struct(">Q")
ACK = Struct(">BHIHHQBB")
PIECE = 1 << 18


def _short(text: bytes) -> bytes:
    return bytes((len(text),)) + text


def _method(channel: int, number: tuple[int, int], arguments: bytes = b"") -> bytes:
    payload = pack(">HH", *number) + arguments
    return FRAME.pack(1, channel, len(payload)) + payload + END


# basic.publish to the nameless exchange, and a header with content type, encoding and delivery mode 2
PUBLISH = _method(1, (60, 40), b"\0\0" + _short(b"") + _short(QUEUE) + b"\0")
PROPERTIES = pack(">H", 0xD000) + _short(b"application/json") + _short(b"utf-8") + b"\x02"


class Probe:
    """One connection with one channel."""

    def __init__(self, url: str, *, empty: bool = True) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        self.tag = 0
        self.came: deque[bytes] = deque()  # frames that came behind an answer
        login = b"\0" + (parts.username or "guest").encode() + b"\0" + (parts.password or "guest").encode()
        self.socket.sendall(b"AMQP\0\0\x09\x01")
        self._answer()
        self._ask(0, (10, 11), pack(">I", 0) + _short(b"PLAIN") + pack(">I", len(login)) + login + _short(b"en_US"))
        self.socket.sendall(_method(0, (10, 31), pack(">HIH", 2047, 131072, 0)))
        self._ask(0, (10, 40), _short(b"/") + b"\0\0")
        self._ask(1, (20, 10), b"\0")
        self._ask(1, (50, 10), b"\0\0" + _short(QUEUE) + b"\x02" + pack(">I", 0))
        if empty:
            self.purge()

    def _ask(self, channel: int, number: tuple[int, int], arguments: bytes) -> bytes:
        self.socket.sendall(_method(channel, number, arguments))
        return self._answer()

    def _answer(self) -> bytes:
        while not self.came:
            self.came.extend(self.read())
        return self.came.popleft()

    def read(self) -> list[bytes]:
        """The payloads of the frames that one ``recv`` completes."""
        data = self.rest + self.socket.recv(PIECE)
        payloads = []
        at, length = 0, len(data)
        while length - at >= 8:
            (size,) = SIZE.unpack_from(data, at + 3)
            following = at + 8 + size
            if following > length:
                break
            payloads.append(data[at + 7 : following - 1])
            at = following
        self.rest = data[at:]
        return payloads

    def deliveries(self, payloads: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        """Tags and bodies; a method may have come with the ``recv`` before that of its body."""
        for payload in payloads:
            start = payload[:4]
            if start == b"\0\x3c\0\x3c":
                (self.tag,) = TAG.unpack_from(payload, 5 + payload[4])
            elif start != b"\0\x3c\0\0":  # neither a method nor a header
                yield self.tag, payload

    def purge(self) -> None:
        self._ask(1, (50, 30), b"\0\0" + _short(QUEUE) + b"\0")

    def close(self) -> None:
        self.socket.close()


def _message(number: int) -> bytes:
    content = orjson.dumps(body(number))
    head = pack(">HHQ", 60, 0, len(content)) + PROPERTIES
    return b"".join((PUBLISH, FRAME.pack(2, 1, len(head)), head, END, FRAME.pack(3, 1, len(content)), content, END))


def publish(load: Load) -> Sample:
    probe = Probe(load.url)
    send = probe.socket.sendall
    for number in range(load.warm_up):
        send(_message(number))
    done = 0
    with Span() as span:
        for number in bounded(load.messages, load.seconds):
            send(_message(number))
            done += 1
        probe._ask(1, (50, 10), b"\0\0" + _short(QUEUE) + b"\x02" + pack(">I", 0))
    probe.purge()
    probe.close()
    return span.sample(done)


def publish_confirmed(load: Load) -> Sample:
    return _confirmed(load, 1)


def publish_100_in_flight(load: Load) -> Sample:
    return _confirmed(load, 100)


def publish_1000_in_flight(load: Load) -> Sample:
    return _confirmed(load, 1_000)


def _confirmed(load: Load, window: int) -> Sample:
    """With so many in flight; what one ``recv`` has confirmed makes room for as many."""
    probe = Probe(load.url)
    probe._ask(1, (85, 10), b"\0")
    sent = confirmed = 0
    end = time.monotonic() + load.seconds
    with Span() as span:
        while confirmed < load.messages and time.monotonic() < end:
            room = min(window - (sent - confirmed), load.messages - sent)
            probe.socket.sendall(b"".join([_message(sent + number) for number in range(room)]))
            sent += room
            for answer in probe.read():
                (tag,) = TAG.unpack_from(answer, 4)
                confirmed = tag if answer[12] else confirmed + 1
    probe.purge()
    probe.close()
    return span.sample(confirmed)


def consume(load: Load) -> Sample:
    messages = _fill(load)
    probe = consuming(load.url, 100)
    before = _consumed(probe, load.warm_up)
    with Span() as span:
        handled = _consumed(probe, messages - before)
    probe.close()
    return span.sample(handled)


def work(load: Load) -> Sample:
    return _worked(load, 100, "handle")


def wait(load: Load) -> Sample:
    return _worked(load, 200, "wait")


def consuming(url: str, prefetch: int) -> Probe:
    """One that is delivered what waits."""
    probe = Probe(url, empty=False)
    probe._ask(1, (60, 10), pack(">IHB", 0, prefetch, 0))
    probe._ask(1, (60, 20), b"\0\0" + _short(QUEUE) + _short(b"t") + b"\0" + pack(">I", 0))
    return probe


def ack(tag: int, *, multiple: bool) -> bytes:
    return ACK.pack(1, 1, 13, 60, 80, tag, multiple, 0xCE)


def _consumed(probe: Probe, count: int) -> int:
    """Decode and ack at least *count* messages; the acks of one ``recv`` go out as one."""
    handled = 0
    payloads = list(probe.came)
    probe.came.clear()
    while True:
        found = list(probe.deliveries(payloads))
        for _, content in found:
            orjson.loads(content)
        if found:
            probe.socket.sendall(ack(found[-1][0], multiple=True))
            handled += len(found)
        if handled >= count:
            return handled
        payloads = probe.read()


def _fill(load: Load) -> int:
    """How many messages wait then."""
    filler = Probe(load.url)
    done = 0
    for number in bounded(load.messages, load.seconds):
        filler.socket.sendall(_message(number))
        done += 1
    filler._ask(1, (50, 10), b"\0\0" + _short(QUEUE) + b"\x02" + pack(">I", 0))
    filler.close()
    return done


def _worked(load: Load, slots: int, callback: str) -> Sample:
    command = [sys.executable, "-m", "benchmarks.applications.probe_worker", load.url, str(slots), callback]
    return consumed(load, [command], 1, _fill(load))


MEASURES: dict[str, Measure] = {
    "amqp-publish": publish,
    "amqp-confirm": publish_confirmed,
    "amqp-confirm-many/greenlets": publish_100_in_flight,
    "amqp-confirm-many/window": publish_1000_in_flight,
    "amqp-consume": consume,
    "amqp-worker": work,
    "amqp-wait/slots": wait,
}
