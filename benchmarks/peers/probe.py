"""The fewest lines that speak AMQP under gevent: what pure Python can do at most, and no product.

It knows no errors, no reconnects, no heartbeats: it sends joined frames, reads 256 KiB at a time, and unpacks in place.
Source: AMQP 0-9-1, sections 2.3.5 (frames) and 4.2 (methods).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from struct import Struct, pack
from urllib.parse import urlsplit

import orjson

from benchmarks.bodies import body
from benchmarks.round import Load, Measure, Sample, Span, bounded

QUEUE = b"load-probe"
END = b"\xce"
FRAME = Struct(">BHI")
DELIVER = Struct(">Q")
WINDOW = 100
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
        return next(self.frames())

    def frames(self) -> Iterator[bytes]:
        """Payloads of whole frames, without end."""
        while True:
            data, at = self.rest, 0
            while len(data) - at >= 8:
                size = int.from_bytes(data[at + 3 : at + 7], "big")
                if len(data) - at < size + 8:
                    break
                self.rest = data[at + size + 8 :]
                yield data[at + 7 : at + 7 + size]
                data, at = self.rest, 0
            self.rest = data[at:] + self.socket.recv(PIECE)

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


def publish_confirmed_by_many(load: Load) -> Sample:
    return _confirmed(load, WINDOW)


def _confirmed(load: Load, window: int) -> Sample:
    probe = Probe(load.url)
    probe._ask(1, (85, 10), b"\0")
    sent = confirmed = 0
    frames = probe.frames()
    with Span() as span:
        for _ in bounded(load.messages // window, load.seconds):
            probe.socket.sendall(b"".join([_message(sent + number) for number in range(window)]))
            sent += window
            while confirmed < sent:
                answer = next(frames)
                (tag,) = DELIVER.unpack_from(answer, 4)
                confirmed = tag if answer[12] else confirmed + 1
    probe.purge()
    probe.close()
    return span.sample(sent)


def consume(load: Load) -> Sample:
    filler = Probe(load.url)
    for number in range(load.messages):
        filler.socket.sendall(_message(number))
    filler._ask(1, (50, 10), b"\0\0" + _short(QUEUE) + b"\x02" + pack(">I", 0))
    filler.close()
    probe = Probe(load.url, empty=False)
    probe._ask(1, (60, 10), pack(">IHB", 0, 100, 0))
    probe._ask(1, (60, 20), b"\0\0" + _short(QUEUE) + _short(b"t") + b"\0" + pack(">I", 0))
    handled = _consumed(probe, load.warm_up)
    with Span() as span:
        _consumed(probe, load.messages - handled)
    probe.purge()
    probe.close()
    return span.sample(load.messages - handled)


def _consumed(probe: Probe, count: int) -> int:
    """Decode and ack *count* messages; the acks of one ``recv`` go out together."""
    acks: list[bytes] = []
    frames = probe.frames()
    handled = tag = 0
    while handled < count:
        if len(probe.rest) < 1200 and acks:
            probe.socket.sendall(b"".join(acks))
            acks.clear()
        payload = next(frames)
        if payload[:4] == b"\0\x3c\0\x3c":
            (tag,) = DELIVER.unpack_from(payload, 5 + payload[4])
        elif payload[:4] == b"\0\x3c\0\0":
            continue
        else:
            orjson.loads(payload)
            acks.append(_method(1, (60, 80), DELIVER.pack(tag) + b"\0"))
            handled += 1
    probe.socket.sendall(b"".join(acks))
    return handled


MEASURES: dict[str, Measure] = {
    "amqp-publish": publish,
    "amqp-confirm": publish_confirmed,
    "amqp-confirm-many": publish_confirmed_by_many,
    "amqp-consume": consume,
}
