"""A broker that violates the protocol: a documented error, and only this connection is closed."""

from __future__ import annotations

import random
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from struct import pack
from time import monotonic

import gevent
import pytest
from amqp.serialization import dumps
from gevent.event import Event
from gevent.server import StreamServer
from gevent.socket import socket as Socket  # noqa: N812  it is a class

from kombu_green.clock import Deadline
from kombu_green.connection import Connection
from kombu_green.entity import Queue
from kombu_green.exceptions import ConnectionLost, DecodeError, OperationalError, ProtocolError
from kombu_green.message import Message
from kombu_green.transport.amqp.amqp_transport import AMQPTransport
from kombu_green.transport.amqp.protocol import rpc
from kombu_green.transport.amqp.protocol.frames import BASIC_DELIVER, content_frames, method_frame
from kombu_green.transport.contract import Transport
from kombu_green.worker.consumer import QueueConsumer
from kombu_green.worker.slots import Slots
from tests.unit.transport.amqp.protocol.test_parser import frame, header

PATIENCE = 10.0
FRAME_MAX = 8192


class Broker:
    """A server that accepts every login and consumer, and then sends *evil* on the consumer's channel."""

    def __init__(self, evil: Callable[[int], bytes], consume_ok: bytes) -> None:
        self.evil = evil
        self.consume_ok = consume_ok
        self.heard = b""
        self.ended = Event()

    def serve(self, client: Socket, address: object) -> None:
        with suppress(OSError):
            client.recv(8)
            start = dumps("ooFSS", (0, 9, {"product": "Evil"}, "PLAIN", "en_US"))
            client.sendall(method_frame(0, 10 << 16 | 10, start))
            while data := client.recv(1 << 16):
                self.heard += data
                client.sendall(b"".join(self._answer(each) for each in _frames(data)))
        self.ended.set()

    def _answer(self, said: bytes) -> bytes:
        channel = int.from_bytes(said[1:3], "big")
        method = int.from_bytes(said[7:11], "big")
        answers = {
            10 << 16 | 11: method_frame(0, 10 << 16 | 30, pack(">HIH", 0, FRAME_MAX, 0)),  # start-ok: tune
            10 << 16 | 50: method_frame(0, 10 << 16 | 51, b""),
            10 << 16 | 40: method_frame(0, 10 << 16 | 41, b"\0"),
            20 << 16 | 10: method_frame(channel, 20 << 16 | 11, b"\0\0\0\0"),
            50 << 16 | 10: method_frame(channel, 50 << 16 | 11, dumps("sll", ("q", 0, 1))),
            60 << 16 | 10: method_frame(channel, 60 << 16 | 11, b""),
        }
        if method == 60 << 16 | 20:
            return method_frame(channel, 60 << 16 | 21, self.consume_ok) + self.evil(channel)
        return answers.get(method, b"")


def _frames(data: bytes) -> Iterator[bytes]:
    while len(data) > 7:
        size = int.from_bytes(data[3:7], "big") + 8
        yield data[:size]
        data = data[size:]


@contextmanager
def consuming(
    evil: Callable[[int], bytes], consume_ok: bytes = b"\x03tag"
) -> Iterator[tuple[Transport, Broker, list[Message]]]:
    """A connection with a consumer that receives *evil*."""
    broker = Broker(evil, consume_ok)
    server = StreamServer(("127.0.0.1", 0), broker.serve)
    server.start()
    got: list[Message] = []
    with gevent.Timeout(PATIENCE):
        connection = Connection(
            f"amqp://127.0.0.1:{server.server_port}//",
            transport_options={"largest_message": 1 << 20, "answer_timeout": 0.5},
        )
        transport = connection.connect()
        try:
            channel = transport.create_channel()
            channel.queue_declare("q")
            channel.basic_consume("q", got.append, consumer_tag="tag")
            yield transport, broker, got
        finally:
            transport.close()
            server.stop()


def ended(transport: Transport) -> OperationalError:
    """The error that ends the connection."""
    with pytest.raises(OperationalError) as caught:
        drain_for_ever(transport)
    return caught.value


def drain_for_ever(transport: Transport) -> None:
    while True:
        transport.drain_events(Deadline.after(PATIENCE))


def deliver(
    channel: int, body: bytes = b"body", properties: bytes = b"\0\0", tag: int = 1, consumer: bytes = b"tag"
) -> bytes:
    arguments = bytes((len(consumer),)) + consumer + pack(">QB", tag, 0) + b"\0\x01q"
    return method_frame(channel, BASIC_DELIVER, arguments) + content_frames(channel, properties, body, FRAME_MAX)


def begun(channel: int, size: int) -> bytes:
    """A delivery whose header announces *size* bytes."""
    method = method_frame(channel, BASIC_DELIVER, b"\x03tag" + pack(">QB", 1, 0) + b"\0\x01q")
    return method + frame(2, channel, pack(">HHQH", 60, 0, size, 0))


EVIL: dict[str, Callable[[int], bytes]] = {
    "no frame end": lambda channel: frame(1, channel, b"\0\x3c\0\x1e\0", end=b"\0"),
    "unknown frame type": lambda channel: frame(9, channel, b""),
    "oversized frame": lambda channel: pack(">BHI", 3, channel, FRAME_MAX),
    "oversized header": lambda channel: begun(channel, 9)[:-22] + pack(">BHI", 2, channel, 1 << 21),
    "body larger than any": lambda channel: begun(channel, 1 << 33),
    "body longer than announced": lambda channel: begun(channel, 3) + frame(3, channel, b"four"),
    "body shorter than announced": lambda channel: begun(channel, 9) + frame(3, channel, b"four") + deliver(channel),
    "wrong channel": lambda channel: deliver(channel + 100),
    "method on channel 0": lambda channel: deliver(0),
    "body on another channel": lambda channel: begun(channel, 4) + frame(3, channel + 1, b"four"),
    "consumer that is not there": lambda channel: deliver(channel, consumer=b"other"),
    "answer that nobody asked for": lambda channel: method_frame(channel, 50 << 16 | 11, dumps("sll", ("q", 0, 0))),
    "unknown method": lambda channel: method_frame(channel, 99 << 16 | 99, b""),
    "close that cannot be read": lambda channel: method_frame(channel, 20 << 16 | 40, b"\x01"),
    "connection close that cannot be read": lambda channel: method_frame(0, 10 << 16 | 50, b""),
    "confirm of nothing": lambda channel: header(5),
    "delivery tag that came before": lambda channel: deliver(channel) + deliver(channel),
    "delivery tag below the last one": lambda channel: deliver(channel, tag=2) + deliver(channel),
    "delivery tag 0": lambda channel: deliver(channel, tag=0),
    "another protocol": lambda channel: b"HTTP/1.1 400 Bad Request\r\n\r\n",
}


@pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL)
def test_a_protocol_violation_ends_only_this_connection_with_a_reason(evil: Callable[[int], bytes]) -> None:
    with consuming(evil) as (transport, broker, got):
        error = ended(transport)
        assert isinstance(error, ProtocolError)
        assert str(error)
        broker.ended.wait()
        assert pack(">HHH", 10, 50, 501) in broker.heard, "it says goodbye, and why"
        assert not got
        assert not transport.connected


@pytest.mark.parametrize("consume_ok", [b"", b"\x03ta", b"\x05other"], ids=["empty", "truncated", "another tag"])
def test_an_answer_whose_arguments_are_wrong_is_refused(consume_ok: bytes) -> None:
    with (
        pytest.raises(ProtocolError, match=r"basic\.consume|end too early|cannot be read"),
        consuming(lambda channel: b"", consume_ok),
    ):
        pytest.fail("it consumes")


def test_a_cancel_ends_though_a_delivery_tag_came_twice() -> None:
    with consuming(lambda channel: deliver(channel) + deliver(channel)) as (transport, _, _):
        assert isinstance(ended(transport), ProtocolError)
        assert not transport.connected


def test_connection_blocked_between_the_frames_of_a_body_is_obeyed() -> None:
    blocked = method_frame(0, rpc.CONNECTION_BLOCKED, b"\x06memory")

    def between(channel: int) -> bytes:
        method = method_frame(channel, BASIC_DELIVER, b"\x03tag" + pack(">QB", 1, 0) + b"\0\x01q")
        header = frame(2, channel, pack(">HHQH", 60, 0, 4, 0))
        return blocked.join((method, header, frame(3, channel, b"bo"), frame(3, channel, b"dy")))

    with consuming(between) as (transport, _, got):
        transport.drain_events(Deadline.after(PATIENCE))
        assert [message.body for message in got] == [b"body"]
        assert isinstance(transport, AMQPTransport)
        assert transport.blocked == "memory"


def test_a_worker_does_not_reconnect_as_fast_as_it_can() -> None:
    """It consumes each time, and the broker ends that at once with a frame that is not allowed."""
    began: list[float] = []

    def evil(channel: int) -> bytes:
        began.append(monotonic())
        return frame(9, channel, b"")

    broker = Broker(evil, b"\x06worker")
    server = StreamServer(("127.0.0.1", 0), broker.serve)
    server.start()
    failures: list[BaseException] = []
    slots = Slots("q", 1, Message.ack, failures.append)
    with Connection(f"amqp://127.0.0.1:{server.server_port}//") as connection:
        consumer = QueueConsumer(Queue("q"), connection, slots, failures.append, prefetch=1)
        consumer.start()
        with gevent.Timeout(PATIENCE):
            while len(began) < 6:
                gevent.sleep(0.01)
        consumer.stop(Deadline.after(PATIENCE))
    server.stop()
    assert not failures
    assert began[5] - began[0] >= 0.05 + 0.1 + 0.2 + 0.4 + 0.8


def test_unreadable_properties_do_not_end_the_connection() -> None:
    """RabbitMQ delivers such messages, so the connection stays open and the message can be dead-lettered."""
    nested = b""
    for _ in range(500):
        nested = b"\x01aF" + len(nested).to_bytes(4, "big") + nested
    bottomless = b"\x20\0" + len(nested).to_bytes(4, "big") + nested
    with consuming(lambda channel: deliver(channel, properties=bottomless) + deliver(channel, tag=2)) as (
        transport,
        _,
        got,
    ):
        while len(got) < 2:
            transport.drain_events(Deadline.after(PATIENCE))
        with pytest.raises(DecodeError, match="nested deeper"):
            got[0].payload  # noqa: B018  looking is what fails
        assert list(got[0].headers.values()) == [bottomless]
        assert got[0].delivery_info["routing_key"] == "q"
        assert got[1].headers == {}
        got[0].reject()


def test_a_route_that_cannot_be_read_is_the_messages_own_trouble() -> None:
    def cut_off(channel: int) -> bytes:
        method = method_frame(channel, BASIC_DELIVER, b"\x03tag" + pack(">QB", 1, 0) + b"\0\x05q")
        return method + content_frames(channel, b"\0\0", b"body", FRAME_MAX)

    with consuming(cut_off) as (transport, _, got):
        transport.drain_events(Deadline.after(PATIENCE))
        assert got[0].delivery_info["routing_key"] == ""
        with pytest.raises(DecodeError, match="longer or shorter"):
            got[0].payload  # noqa: B018  looking is what fails
        got[0].reject()


@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_in_frames_end_at_most_the_connection(seed: int) -> None:
    chance = random.Random(seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(20):
        stream = bytearray(
            b"".join(deliver(1, chance.randbytes(chance.randrange(3000)), tag=tag) for tag in range(1, 6))
        )
        for _ in range(chance.randrange(1, 5)):
            stream[chance.randrange(len(stream))] = chance.randrange(256)
        with consuming(partial(_on, bytes(stream))) as (transport, broker, _):
            with suppress(ConnectionLost, TimeoutError):
                for _ in range(6):
                    transport.drain_events(Deadline.after(0.02))
            transport.close()
            broker.ended.wait()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def _on(stream: bytes, channel: int) -> bytes:
    return stream if channel == 1 else stream.replace(pack(">H", 1), pack(">H", channel))
