"""Hand-packed methods are what py-amqp makes of the same."""

from __future__ import annotations

import pytest
from amqp.serialization import dumps, loads
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.exceptions import EncodeError, ProtocolError
from kombu_green.transport.amqp.methods import (
    BASIC_ACK,
    BASIC_NACK,
    BASIC_PUBLISH,
    Route,
    ack_frame,
    nack_frame,
    publish_frame,
    read_route,
    shortstr,
)

names = st.text(max_size=60)


def parts(frame: bytes) -> tuple[int, int, int, bytes]:
    """Type, channel, method and arguments of a whole frame, whose size and end are right."""
    assert int.from_bytes(frame[3:7], "big") == len(frame) - 8
    assert frame[-1] == 0xCE
    return frame[0], int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[7:11], "big"), frame[11:-1]


@given(st.integers(1, 65535), names, names, st.booleans())
def test_publish(channel: int, exchange: str, key: str, mandatory: bool) -> None:
    expected = dumps("Bssbb", (0, exchange, key, mandatory, False))
    assert parts(publish_frame(channel, exchange, key, mandatory)) == (1, channel, BASIC_PUBLISH, expected)


@given(st.integers(1, 65535), st.integers(0, 2**64 - 1), st.booleans())
def test_settling(channel: int, tag: int, flag: bool) -> None:
    assert parts(ack_frame(channel, tag, flag)) == (1, channel, BASIC_ACK, dumps("Lb", (tag, flag)))
    assert parts(nack_frame(channel, tag, flag)) == (1, channel, BASIC_NACK, dumps("Lbb", (tag, False, flag)))


@given(names, names)
def test_route(exchange: str, key: str) -> None:
    raw = dumps("ss", (exchange, key))
    assert read_route(raw) == Route(exchange, key)
    assert loads("ss", raw, 0)[0] == [exchange, key]


def test_a_name_that_is_no_utf8_is_refused() -> None:
    with pytest.raises(EncodeError, match=r"routing key '.udcff' cannot be written"):
        shortstr("\udcff", "routing key")


@given(st.binary(max_size=40))
def test_any_bytes_are_a_route_or_a_protocol_error(raw: bytes) -> None:
    try:
        exchange, key = read_route(raw)
    except ProtocolError:
        return
    assert b"".join(shortstr(name, "", "surrogateescape") for name in (exchange, key)) == raw


@pytest.mark.parametrize("text", ["x" * 256, "é" * 128, "\ud800"])
def test_what_the_broker_would_punish_is_refused(text: str) -> None:
    with pytest.raises(EncodeError, match="routing key"):
        shortstr(text, "routing key")
