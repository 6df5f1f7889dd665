"""From bytes to events: whole, byte by byte, in any pieces, with what is not finished yet, and what is broken."""

from __future__ import annotations

import tracemalloc
from struct import pack

import pytest
from amqp.serialization import dumps, loads
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.exceptions import ProtocolError
from kombu_green.transport.amqp.protocol.frames import BASIC_DELIVER, HEARTBEAT, content_frames, method_frame, shortstr
from kombu_green.transport.amqp.protocol.parser import (
    LARGEST_HEADER,
    Delivery,
    Event,
    FrameParser,
    GetOk,
    MessageRoute,
    Method,
    Oversized,
    Returned,
    read_route,
)
from tests.unit.transport.amqp.protocol.streams import DECLARE_OK, FRAME_MAX, events, frames_of

DELIVERY = Delivery(1, b"tag", 7, 0, b"\x05media\x05video", b"\0\0", b"body")


def fed(*pieces: bytes, largest: int = 1 << 20) -> list[Event]:
    parser = FrameParser(FRAME_MAX, largest)
    found = [event for piece in pieces for event in parser.feed(piece)]
    if parser.broken is not None:
        raise parser.broken
    return found


@given(st.lists(events, max_size=6))
def test_whole(expected: list[Event]) -> None:
    assert fed(b"".join(map(frames_of, expected))) == expected


@given(st.lists(events, max_size=3))
def test_byte_by_byte(expected: list[Event]) -> None:
    stream = b"".join(map(frames_of, expected))
    assert fed(*(stream[at : at + 1] for at in range(len(stream)))) == expected


@given(st.lists(events, max_size=6), st.lists(st.integers(1, 5000)), st.data())
def test_in_any_pieces_with_heartbeats_between(expected: list[Event], sizes: list[int], data: st.DataObject) -> None:
    stream = HEARTBEAT.join(map(frames_of, expected))
    pieces = []
    for size in sizes:
        pieces.append(stream[:size])
        stream = stream[size:]
    assert fed(*pieces, stream) == expected


@given(events, events)
def test_what_trails_is_kept_for_later(first: Event, second: Event) -> None:
    parser = FrameParser(FRAME_MAX)
    trailing = frames_of(second)
    cut = len(trailing) // 2
    found = parser.feed(frames_of(first) + trailing[:cut])
    assert found[:1] == [first]
    found += parser.feed(trailing[cut:])
    assert found == [first, second]


def test_contents_of_several_channels_may_be_mixed() -> None:
    one = [
        method_frame(1, BASIC_DELIVER, b"\x01a" + pack(">QB", 1, 0) + b"\0\0"),
        *split(content_frames(1, b"\0\0", b"x" * 9000, FRAME_MAX)),
    ]
    two = [
        method_frame(2, BASIC_DELIVER, b"\x01b" + pack(">QB", 1, 1) + b"\0\0"),
        *split(content_frames(2, b"\0\0", b"y" * 9000, FRAME_MAX)),
    ]
    mixed = [frame for pair in zip(one, two, strict=True) for frame in pair]
    found = fed(b"".join(mixed))
    assert found == [
        Delivery(1, b"a", 1, 0, b"\0\0", b"\0\0", b"x" * 9000),
        Delivery(2, b"b", 1, 1, b"\0\0", b"\0\0", b"y" * 9000),
    ]


def split(stream: bytes) -> list[bytes]:
    """The frames of *stream*."""
    found = []
    while stream:
        size = int.from_bytes(stream[3:7], "big") + 8
        found.append(stream[:size])
        stream = stream[size:]
    return found


def frame(kind: int, channel: int, payload: bytes, end: bytes = b"\xce") -> bytes:
    return pack(">BHI", kind, channel, len(payload)) + payload + end


def header(size: int, class_id: int = 60) -> bytes:
    return frame(2, 1, pack(">HHQH", class_id, 0, size, 0))


DELIVER = method_frame(1, BASIC_DELIVER, b"\x01a" + pack(">QB", 1, 0) + b"\0\0")


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (frame(1, 1, pack(">I", DECLARE_OK), end=b"\xcf"), "does not end"),
        (frame(4, 1, b""), "unknown type 4"),
        (frame(0x41, 0x4D51, b""), "unknown type 65"),
        (frame(1, 1, b"\0\x0a"), "method frame of 2 bytes"),
        (pack(">BHI", 3, 1, FRAME_MAX), "were agreed on"),
        (pack(">BHI", 1, 1, 0xFFFFFFFF), "were agreed on"),
        (DELIVER + pack(">BHI", 2, 1, LARGEST_HEADER + 1), "were agreed on"),
        (header(10), "belongs to nothing"),
        (frame(3, 1, b"body"), "without a header"),
        (DELIVER + frame(3, 1, b"body"), "without a header"),
        (DELIVER + header(10) + header(10), "belongs to nothing"),
        (DELIVER + header(10) + DELIVER, "amidst a content"),
        (DELIVER + DELIVER, "amidst a content"),
        (DELIVER + header(10) + frame(3, 1, b"x" * 11), "longer than the 10"),
        (DELIVER + header(10) + frame(3, 1, b"x" * 4) + frame(3, 1, b"x" * 7), "longer than the 10"),
        (DELIVER + header(10) + frame(3, 2, b"x" * 10), "channel 2 without a header"),
        (DELIVER + header((1 << 32) + 1), "are allowed"),
        (DELIVER + header(2**64 - 1), "are allowed"),
        (DELIVER + header(0, class_id=10), "class 10"),
        (DELIVER + frame(2, 1, b"\0\x3c"), "header frame of 2 bytes"),
        (method_frame(1, BASIC_DELIVER, b"\xffa") + content_frames(1, b"\0\0", b"x", FRAME_MAX), "too short"),
        (method_frame(1, BASIC_DELIVER, b"") + content_frames(1, b"\0\0", b"x", FRAME_MAX), "too short"),
        (method_frame(1, 60 << 16 | 80, b"\0"), "confirm of 1 bytes"),
    ],
)
def test_what_is_not_allowed_says_why(stream: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        fed(stream)


@pytest.mark.parametrize("size", [FRAME_MAX - 7, 50_000, LARGEST_HEADER])
def test_a_header_may_be_larger_than_a_frame_up_to_its_own_bound(size: int) -> None:
    properties = b"p" * (size - 12)
    content = frame(2, 1, pack(">HHQ", 60, 0, 4) + properties) + frame(3, 1, b"body")
    for pieces in ((DELIVER + content,), (DELIVER, content[:100], content[100:])):
        assert fed(*pieces) == [Delivery(1, b"a", 1, 0, b"\0\0", properties, b"body")]


@pytest.mark.parametrize("size", [11, 4000, 9000, 300_000])
@pytest.mark.parametrize("piece", [1 << 20, 997])
def test_a_body_above_the_limit_is_dropped_and_told(size: int, piece: int) -> None:
    delivery = Delivery(1, b"tag", 7, 0, b"\x05media\x05video", b"\0\0", b"x" * size)
    get_ok = GetOk(2, 8, 1, b"\0\x01q", b"\0\0", b"x" * size)
    returned = Returned(3, 312, b"NO_ROUTE", b"\0\x01q", b"\0\0", b"x" * size)
    small = delivery._replace(body=b"x" * 10)
    told: tuple[Event, ...] = (small, delivery, get_ok, small, returned, small)
    stream = b"".join(map(frames_of, told))
    assert fed(*(stream[at : at + piece] for at in range(0, len(stream), piece)), largest=10) == [
        small,
        Oversized(1, delivery._replace(body=b""), size, 10),
        Oversized(2, get_ok._replace(body=b""), size, 10),
        small,
        Oversized(3, returned._replace(body=b""), size, 10),
        small,
    ]


def test_a_dropped_body_takes_no_memory() -> None:
    parser = FrameParser(FRAME_MAX, 1000)
    chunk = frame(3, 1, b"x" * 4000) * 100
    parser.feed(DELIVER + header(400_000_000))
    tracemalloc.start()
    try:
        for _ in range(50):
            assert parser.feed(chunk) == []
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_short_body_is_waited_for_and_taken_for_no_other() -> None:
    parser = FrameParser(FRAME_MAX)
    assert parser.feed(DELIVER + header(10) + frame(3, 1, b"x" * 9)) == []
    assert parser.feed(method_frame(1, DECLARE_OK, b"")) == []
    assert "amidst a content" in str(parser.broken)


def test_what_came_before_the_damage_counts_and_nothing_after_it() -> None:
    parser = FrameParser(FRAME_MAX)
    assert parser.feed(frames_of(DELIVERY) + frame(4, 1, b"") + frames_of(DELIVERY)) == [DELIVERY]
    assert "unknown type 4" in str(parser.broken)
    assert parser.feed(frames_of(DELIVERY)) == []


def test_an_announced_size_takes_no_memory() -> None:
    parser = FrameParser(FRAME_MAX, 1 << 40)
    tracemalloc.start()
    try:
        parser.feed(DELIVER + header(1 << 39))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_tiny_frames_take_no_more_memory_than_their_bytes(size: int) -> None:
    parser = FrameParser(FRAME_MAX, 1 << 20)
    parser.feed(DELIVER + header(1 << 20))
    stream = frame(3, 1, b"x" * size) * 1000
    tracemalloc.start()
    try:
        for _ in range(100):
            assert parser.feed(stream) == []
        assert tracemalloc.get_traced_memory()[0] < 1.3 * 100_000 * size + 10_000
    finally:
        tracemalloc.stop()


def test_no_content_is_taken_in_on_a_channel_that_is_not_open() -> None:
    parser = FrameParser(FRAME_MAX)
    parser.channels = (2,)
    assert parser.feed(DELIVER.replace(b"\0\1", b"\0\2", 1) + header(9).replace(b"\0\1", b"\0\2", 1)) == []
    assert parser.broken is None
    assert parser.feed(DELIVER) == []
    assert "channel 1, which is not open" in str(parser.broken)


@given(st.lists(events, min_size=1, max_size=4), st.data())
def test_a_fuzzed_stream_gives_events_or_a_protocol_error(expected: list[Event], data: st.DataObject) -> None:
    stream = bytearray(b"".join(map(frames_of, expected)))
    for _ in range(data.draw(st.integers(1, 4))):
        stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
    parser = FrameParser(FRAME_MAX, 1 << 20)
    for at in range(0, len(stream), 997):
        for event in parser.feed(bytes(stream[at : at + 997])):
            assert isinstance(event, tuple)


@given(st.binary(max_size=300))
def test_noise_gives_events_or_a_protocol_error(noise: bytes) -> None:
    assert all(isinstance(event, Method) for event in FrameParser(FRAME_MAX).feed(noise))


names = st.text(max_size=60)


@given(names, names)
def test_a_route_is_read(exchange: str, key: str) -> None:
    raw = dumps("ss", (exchange, key))
    assert read_route(raw) == MessageRoute(exchange, key)
    assert loads("ss", raw, 0)[0] == [exchange, key]


@given(st.binary(max_size=40))
def test_any_bytes_are_a_route_or_a_protocol_error(raw: bytes) -> None:
    try:
        exchange, key = read_route(raw)
    except ProtocolError:
        return
    assert b"".join(shortstr(name, "", "surrogateescape") for name in (exchange, key)) == raw
