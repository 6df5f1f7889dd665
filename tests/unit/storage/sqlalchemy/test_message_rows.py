"""Encoding of rows; the statements are tested with the store, and by the storage contract."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kombu_green.exceptions import EncodeError
from kombu_green.message import Content
from kombu_green.storage.contract import Put, Receipt
from kombu_green.storage.sqlalchemy.message_rows import EncodedPut, ReservedRow, decode, encode

RECEIPT = Receipt("q", 7, b"token")


def row(encoded: EncodedPut) -> ReservedRow:
    return ReservedRow(RECEIPT, encoded.priority, 2, encoded.expires, encoded.envelope, encoded.body)


def test_a_decoded_row_is_what_was_encoded() -> None:
    content = Content(b"\x00body", "text/plain", "binary", {"when": datetime(2026, 1, 31, tzinfo=UTC)}, {"priority": 3})
    reserved = decode(row(encode(Put("q", content, "media", "video.new", 3, expires=1.9e9))))
    assert reserved.content == content
    assert (reserved.exchange, reserved.routing_key, reserved.priority) == ("media", "video.new", 3)
    assert (reserved.receipt, reserved.takes, reserved.expires) == (RECEIPT, 2, 1.9e9)


@pytest.mark.parametrize(
    "header", [iter(()), {"__type__": "not registered", "__value__": 1}], ids=["an iterator", "an unknown type"]
)
def test_a_header_that_could_not_be_decoded_is_refused(header: object) -> None:
    with pytest.raises(EncodeError):
        encode(Put("q", Content(b"x", headers={"header": header})))


def test_a_damaged_envelope_loses_its_headers_and_keeps_the_body(caplog: pytest.LogCaptureFixture) -> None:
    reserved = decode(ReservedRow(RECEIPT, 0, 1, None, b"\x00", b"body"))
    assert reserved.content == Content(b"body", None, None, {}, {})
    assert (reserved.exchange, reserved.routing_key) == ("", "q")
    assert "message 7 of queue 'q' has lost its headers" in caplog.text
