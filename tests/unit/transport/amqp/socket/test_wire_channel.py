"""Calls on one AMQP channel, whose connection is a list of what was written."""

from __future__ import annotations

import gevent
import pytest
from gevent.hub import Hub

from kombu_green.clock import Deadline
from kombu_green.exceptions import ConnectionLost, EncodeError, NotFound, OperationalError, ProtocolError
from kombu_green.transport.amqp.protocol import rpc
from kombu_green.transport.amqp.protocol.parser import FrameParser, Method
from kombu_green.transport.amqp.socket.handshake import Tuning
from kombu_green.transport.amqp.socket.wire_channel import IGNORE_EVENTS, Answer, CallNotSent, WireChannel

QOS = rpc.qos(1)
QOS_OK = Method(7, QOS.reply, b"")
PURGE = rpc.purge_queue("queue")
PURGE_OK = Method(7, PURGE.reply, b"\0\0\0\1")


class Written:
    """A connection to a broker that says nothing by itself."""

    answer_within = 20.0
    blocked: str | None = None
    tuning = Tuning(frame_max=4096)

    def __init__(self) -> None:
        self.hub: Hub = gevent.get_hub()
        self.channel = WireChannel(self, 7, IGNORE_EVENTS)
        self.frames: list[bytes] = []
        self.failed: list[OperationalError] = []
        self.forgotten: list[int] = []

    def check_thread(self) -> None: ...

    def write_soon(self, frames: bytes) -> None:
        self.frames.append(frames)

    def forget_channel(self, channel: WireChannel) -> None:
        self.forgotten.append(channel.number)

    def fail(self, error: OperationalError) -> None:
        self.failed.append(error)

    def methods(self) -> list[int]:
        """The numbers of the methods that were written."""
        events = FrameParser(4096).feed(b"".join(self.frames))
        return [event.method for event in events if isinstance(event, Method)]


def call(channel: WireChannel, what: rpc.RpcCall, seconds: float = 20) -> Answer:
    return channel.call(what, Deadline.after(seconds))


def test_a_second_call_is_written_when_the_first_is_answered() -> None:
    written = Written()
    first = gevent.spawn(call, written.channel, QOS)
    second = gevent.spawn(call, written.channel, PURGE)
    gevent.idle()
    assert written.methods() == [QOS.method]
    assert written.channel.awaits_answer
    written.channel.received(QOS_OK)
    assert first.get(timeout=20) is QOS_OK
    gevent.idle()
    assert written.methods() == [QOS.method, PURGE.method]
    written.channel.received(PURGE_OK)
    assert second.get(timeout=20) is PURGE_OK
    assert not written.channel.awaits_answer


def test_a_call_that_was_given_up_still_delays_the_next_one() -> None:
    written = Written()
    with pytest.raises(TimeoutError, match=r"basic\.qos"):
        call(written.channel, QOS, 0)
    waiting = gevent.spawn(call, written.channel, PURGE)
    gevent.idle()
    assert written.methods() == [QOS.method]
    written.channel.received(QOS_OK)
    gevent.idle()
    assert written.methods() == [QOS.method, PURGE.method]
    written.channel.received(PURGE_OK)
    assert waiting.get(timeout=20) is PURGE_OK


def test_a_close_by_the_broker_refuses_the_call_and_later_ones_are_not_sent() -> None:
    written = Written()
    waiting = gevent.spawn(call, written.channel, PURGE)
    gevent.idle()
    text = "NOT_FOUND - no queue 'queue' in vhost '/'"
    written.channel.received(Method(7, rpc.CHANNEL_CLOSE, rpc.pack_arguments("BsBB", 404, text, 0, 0)))
    with pytest.raises(NotFound, match="no queue"):
        waiting.get(timeout=20)
    assert written.forgotten == [7]
    with pytest.raises(CallNotSent, match="no queue"):
        call(written.channel, QOS)
    assert written.methods() == [PURGE.method, rpc.CHANNEL_CLOSE_OK]


def test_an_answer_to_nothing_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError, match="where nothing was asked"):
        Written().channel.received(QOS_OK)


@pytest.mark.parametrize("arguments", [b"", b"\0\0\0", b"\0\0\0\1\1"])
def test_an_answer_with_other_arguments_than_it_must_have_is_a_protocol_error(arguments: bytes) -> None:
    written = Written()
    gevent.spawn(call, written.channel, PURGE)
    gevent.idle()
    with pytest.raises(ProtocolError, match=r"queue\.purge|cannot be read"):
        written.channel.received(Method(7, PURGE.reply, arguments))


def test_the_caller_goes_on_when_its_answer_cannot_be_handled() -> None:
    written = Written()

    def fail(*_: object) -> None:
        raise ValueError("a fault in here")

    waiting = gevent.spawn(written.channel.call, QOS, Deadline.after(20), fail)
    gevent.idle()
    with pytest.raises(ValueError, match="a fault in here"):
        written.channel.received(QOS_OK)
    with pytest.raises(ConnectionLost, match="a fault in here"):
        waiting.get(timeout=5)


def test_arguments_that_fit_into_no_frame_are_refused() -> None:
    written = Written()
    with pytest.raises(EncodeError, match=r"queue\.declare"):
        call(written.channel, rpc.declare_queue("queue", False, True, False, False, {"x": "y" * 5000}))
    assert not written.frames


def test_a_call_that_is_not_answered_in_the_connections_time_ends_the_connection() -> None:
    written = Written()
    written.answer_within = 0.01
    with pytest.raises(TimeoutError):
        call(written.channel, QOS)
    assert [type(error) for error in written.failed] == [ConnectionLost]
