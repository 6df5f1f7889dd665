"""Closes as py-amqp writes them, and malformed ones."""

from __future__ import annotations

import pytest
from amqp.serialization import dumps
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.exceptions import ProtocolError
from kombu_green.transport.amqp.protocol.rpc import read_close


@given(st.integers(0, 65535), st.text(max_size=60))
def test_a_close_is_read(code: int, text: str) -> None:
    assert read_close(dumps("BsBB", (code, text, 50, 10))) == (code, text)


def test_a_text_that_was_cut_within_a_character_is_read() -> None:
    assert read_close(b"\x01\x94\x06caf\xc3..\0\x32\0\x0a") == (404, "caf�..")


@pytest.mark.parametrize("raw", [b"", b"\x01\x94", b"\x01\x94\xff", b"\x01\x94\0\0\0\0", b"\x01\x94\0\0\0\0\0\0"])
def test_a_malformed_close_is_a_protocol_error(raw: bytes) -> None:
    with pytest.raises(ProtocolError, match=f"a close of {len(raw)} bytes"):
        read_close(raw)
