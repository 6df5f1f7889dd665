"""What a broker would send, built from the events that must come out."""

from __future__ import annotations

from struct import pack

from hypothesis import strategies as st

from kombu_green.transport.amqp.protocol.frames import (
    BASIC_ACK,
    BASIC_DELIVER,
    BASIC_GET_OK,
    BASIC_NACK,
    BASIC_RETURN,
    content_frames,
    method_frame,
    shortstr,
)
from kombu_green.transport.amqp.protocol.parser import Confirmed, Delivery, Event, GetOk, Method, Returned

FRAME_MAX = 4096
DECLARE_OK = 50 << 16 | 11


def frames_of(event: Event) -> bytes:
    """The frames by which a broker would say *event*."""
    match event:
        case Delivery(channel, consumer_tag, tag, redelivered, route, properties, body):
            arguments = bytes((len(consumer_tag),)) + consumer_tag + pack(">QB", tag, redelivered) + route
            return method_frame(channel, BASIC_DELIVER, arguments) + content(channel, properties, body)
        case GetOk(channel, tag, redelivered, route, properties, body):
            arguments = pack(">QB", tag, redelivered) + route + pack(">I", 7)
            return method_frame(channel, BASIC_GET_OK, arguments) + content(channel, properties, body)
        case Returned(channel, code, text, route, properties, body):
            arguments = pack(">HB", code, len(text)) + text + route
            return method_frame(channel, BASIC_RETURN, arguments) + content(channel, properties, body)
        case Confirmed(channel, tag, multiple, positive):
            return method_frame(channel, BASIC_ACK if positive else BASIC_NACK, pack(">QB", tag, multiple))
        case Method(channel, method, arguments):
            return method_frame(channel, method, arguments)
    raise AssertionError(event)


def content(channel: int, properties: bytes, body: bytes) -> bytes:
    return content_frames(channel, properties, body, FRAME_MAX)


channels = st.integers(1, 3)
tags = st.integers(1, 2**63)
routes = st.builds(
    lambda exchange, key: shortstr(exchange, "") + shortstr(key, ""), st.text(max_size=20), st.text(max_size=20)
)
properties = st.binary(max_size=30).map(lambda more: b"\0\0" + more)
bodies = st.one_of(
    st.binary(max_size=60),
    st.integers(0, 3 * FRAME_MAX).map(lambda size: b"b" * size),
)
short = st.binary(max_size=30)

events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Delivery, channels, short, tags, st.integers(0, 1), routes, properties, bodies),
    st.builds(GetOk, channels, tags, st.integers(0, 1), routes, properties, bodies),
    st.builds(Returned, channels, st.just(312), short, routes, properties, bodies),
    st.builds(Confirmed, channels, tags, st.booleans(), st.booleans()),
    st.builds(Method, channels, st.just(DECLARE_OK), st.binary(max_size=40)),
)
