"""Properties: both ways, against py-amqp, and dictionaries that nobody shares."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from amqp.basic_message import Message as PyAMQPMessage
from amqp.serialization import decode_properties_basic
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.exceptions import EncodeError, ProtocolError
from kombu_green.message import Content
from kombu_green.transport.amqp.protocol.properties import Properties, PropertyPacker, PropertyReader, as_published

short = st.text(max_size=40)
headers = st.dictionaries(short, st.integers(-5, 5) | short | st.lists(short, max_size=2), max_size=3)
properties = st.fixed_dictionaries(
    {},
    optional={
        "delivery_mode": st.integers(1, 2),
        "priority": st.integers(0, 255),
        "correlation_id": short,
        "reply_to": short,
        "expiration": st.integers(0, 10**9).map(str),
        "message_id": short,
        "timestamp": st.integers(0, 2**40),
        "type": short,
        "user_id": short,
        "app_id": short,
        "cluster_id": short,
    },
)
contents = st.builds(Content, st.just(b""), st.none() | short, st.none() | short, headers, properties)


@given(contents)
def test_comes_back_as_it_was(content: Content) -> None:
    expected = Properties(content.content_type, content.content_encoding, content.headers, content.properties)
    packer, reader = PropertyPacker(), PropertyReader()
    for _ in range(2):  # the second time from memory
        assert reader.read(packer.pack(content)) == expected


@given(contents)
def test_py_amqp_reads_and_writes_the_same(content: Content) -> None:
    given: dict[str, Any] = {"content_type": content.content_type, "content_encoding": content.content_encoding}
    given |= content.properties
    if content.headers:
        given["application_headers"] = content.headers
    expected = {name: value for name, value in given.items() if value is not None}
    assert decode_properties_basic(PropertyPacker().pack(content), 0)[0] == expected
    written = PyAMQPMessage("", **expected)._serialize_properties()
    assert PropertyReader().read(written)[2:] == (content.headers, content.properties)


def test_none_is_not_there() -> None:
    content = Content(b"", properties={"message_id": None, "priority": None, "no-such-thing": None})
    assert PropertyReader().read(PropertyPacker().pack(content)) == Properties(None, None, {}, {})


def test_everybody_has_dictionaries_of_their_own() -> None:
    raw = PropertyPacker().pack(Content(b"", "a", "b", {"h": 1, "l": ["x"]}, {"priority": 1}))
    reader = PropertyReader()
    for _ in range(3):
        found = reader.read(raw)
        assert found == Properties("a", "b", {"h": 1, "l": ["x"]}, {"priority": 1})
        found.headers["mine"] = found.headers["l"].append("mine")
        found.properties["mine"] = True


def test_a_changed_content_is_packed_anew() -> None:
    packer = PropertyPacker()
    content = Content(b"", "a", "b", {}, {"priority": 1})
    first = packer.pack(content)
    content.properties["priority"] = 2
    assert packer.pack(content) != first
    content.headers["h"] = 1
    assert PropertyReader().read(packer.pack(content)).headers == {"h": 1}


def test_timestamps_may_be_datetimes() -> None:
    content = Content(b"", properties={"timestamp": datetime(2024, 1, 1, tzinfo=UTC)})
    assert PropertyReader().read(PropertyPacker().pack(content)).properties == {"timestamp": 1704067200}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"priority": 256}, "priority is 256"),
        ({"priority": "high"}, "priority is 'high'"),
        ({"delivery_mode": 3}, "delivery_mode is 3"),
        ({"expiration": "soon"}, "expiration is 'soon'"),
        ({"expiration": "-1"}, "expiration is '-1'"),
        ({"message_id": 7}, "message_id is int"),
        ({"timestamp": "now"}, "timestamp is 'now'"),
        ({"correlation_id": "x" * 256}, "correlation_id"),
        ({"mesage_id": "x"}, "no property 'mesage_id'"),
    ],
)
def test_what_amqp_does_not_have_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(EncodeError, match=message):
        PropertyPacker().pack(Content(b"", properties=given))


@given(st.binary(max_size=60))
def test_any_bytes_are_properties_or_a_protocol_error(noise: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        PropertyReader().read(noise)


@given(contents, st.data())
def test_damaged_properties_are_read_or_a_protocol_error(content: Content, data: st.DataObject) -> None:
    raw = bytearray(PropertyPacker().pack(content))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtocolError):
        PropertyReader().read(bytes(raw))


def packed(headers: dict[str, Any] | None, **properties: Any) -> bytes:
    return PropertyPacker().pack(Content(b"", "text/plain", "utf-8", headers or {}, properties))


COUNTED = {"x-delivery-count": 3}


@pytest.mark.parametrize(
    ("published", "again"),
    [
        (packed({}), packed(COUNTED)),
        (packed({"a": 1}), packed({"a": 1, **COUNTED})),
        (
            packed({"a": "é", "b": [1, {"c": 2}]}, priority=2),
            packed({"a": "é", "b": [1, {"c": 2}], **COUNTED}, priority=2),
        ),
        (packed({}, correlation_id="x"), packed({"x-acquired-count": 2**40, **COUNTED}, correlation_id="x")),
    ],
)
def test_what_a_broker_counts_is_left_out(published: bytes, again: bytes) -> None:
    assert published != again
    assert as_published(again) == as_published(published) == published


def test_an_empty_table_of_headers_is_none() -> None:
    """kombu always sends one, and what is counted leaves one behind."""
    plain, at = packed({}), 2 + len("_text/plain") + len("_utf-8")
    empty = bytes((plain[0] | 0x20,)) + plain[1:at] + b"\0\0\0\0" + plain[at:]
    assert PropertyReader().read(empty) == PropertyReader().read(plain)
    assert as_published(empty) == plain


@given(st.binary(max_size=60))
def test_no_bytes_hurt_it(raw: bytes) -> None:
    assert as_published(raw) == as_published(raw)
