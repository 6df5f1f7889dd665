"""What is remembered of deliveries."""

from __future__ import annotations

import pytest

from kombu_green.exceptions import ProtocolError
from kombu_green.message import Content
from kombu_green.transport.amqp.channel.delivery import DeliveryDecoder
from kombu_green.transport.amqp.protocol.properties import PropertyPacker, as_published


def block(**properties: object) -> bytes:
    return PropertyPacker().pack(Content(b"", "text/plain", "utf-8", {"x-delivery-count": 1}, properties))


def test_what_comes_again_is_read_once() -> None:
    decoder = DeliveryDecoder()
    raw = block(correlation_id="1")
    first = decoder.published[raw]
    assert first == as_published(raw) != raw
    assert decoder.published[bytes(bytearray(raw))] is first
    assert decoder.routes[b"\1x\1y"] == ("x", "y")


def test_many_different_ones_and_large_ones_do_not_pile_up() -> None:
    decoder = DeliveryDecoder()
    for number in range(5000):
        raw = block(correlation_id=str(number))
        assert decoder.published[raw] == as_published(raw)
    assert len(decoder.published) <= 1024
    large = PropertyPacker().pack(Content(b"", None, None, {"x": "y" * 10_000}, {}))
    assert decoder.published[large] == as_published(large)
    assert large not in decoder.published


def test_what_cannot_be_read_is_not_remembered() -> None:
    decoder = DeliveryDecoder()
    with pytest.raises(ProtocolError):
        decoder.routes[b"\xff"]
    assert not decoder.routes
