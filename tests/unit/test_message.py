from __future__ import annotations

from typing import Any

import pytest

from kombu_green.exceptions import ContentDisallowed, DecodeError, MessageStateError
from kombu_green.message import Content, Message
from kombu_green.serialization import prepare_accept_content


def message(body: bytes = b"{}", content_type: str | None = "application/json", **content: Any) -> Message:
    return Message(Content(body, content_type, content.pop("content_encoding", "utf-8"), **content))


@pytest.mark.parametrize("body", [b"null", b"0", b"false", b'""', b"[]"])
def test_falsy_payloads_are_decoded_once(body: bytes) -> None:
    got = message(body)
    first = got.payload
    got.body = b"something else"
    assert got.payload is first or got.payload == first


@pytest.mark.parametrize(
    "bad",
    [
        {"body": b"{"},
        {"body": b"\xff"},
        {"content_encoding": "klingon"},
        {"content_type": "application/unheard-of"},
        {"headers": {"compression": "application/x-gzip"}},
        {"headers": {"compression": "application/unheard-of"}},
        {"headers": {"compression": 7}},
    ],
)
def test_whatever_cannot_be_decoded_is_a_decode_error(bad: dict[str, Any]) -> None:
    with pytest.raises(DecodeError):
        message(**bad).decode()


def test_only_what_is_accepted_is_decoded() -> None:
    got = message(b"cos\nsystem\n.", "application/x-python-serialize", content_encoding="binary")
    with pytest.raises(ContentDisallowed, match="application/x-python-serialize"):
        got.decode()
    got.accept = prepare_accept_content(["json"])
    with pytest.raises(ContentDisallowed):
        got.decode()


def test_a_message_without_channel_cannot_be_settled() -> None:
    with pytest.raises(MessageStateError, match="not delivered by a channel"):
        message().ack()


def test_missing_content_type_means_bytes() -> None:
    assert message(b"\x00raw", None, content_encoding=None).payload == b"\x00raw"


def test_its_text_is_one_line_whatever_was_published() -> None:
    content = Content(b"", content_type="a/b\nINFO forged", properties={"message_id": "c\nd"})
    shown = repr(Message(content, delivery_info={"routing_key": "e\nf"}))
    assert shown.isprintable()
    assert r"a/b\nINFO forged" in shown
