"""What a message is known by."""

from __future__ import annotations

import pytest

from kombu_green.ipc.message_keys import (
    BY_BYTES,
    BY_ID,
    BY_NUMBER,
    KEY_SIZE,
    identity_prefix,
    message_id_in,
    message_key,
)


def test_keys_have_one_size() -> None:
    identities = [
        identity_prefix("", BY_ID),
        identity_prefix("q", BY_BYTES),
        identity_prefix("q", BY_BYTES) + bytes(100_000),
    ]
    keys = {message_key(identity) for identity in identities}
    assert len(keys) == 3
    assert {len(key) for key in keys} == {KEY_SIZE}
    assert {message_key(key) for key in keys} == keys


def test_no_identity_is_as_short_as_a_key() -> None:
    assert min(len(identity_prefix("", by)) for by in (BY_ID, BY_NUMBER, BY_BYTES)) > KEY_SIZE


@pytest.mark.parametrize(
    ("identity", "id"),
    [
        (identity_prefix("größe", BY_ID) + "nummer-ä".encode(), "nummer-ä"),
        (identity_prefix("q", BY_ID) + b"x" * 1000, "x" * 64),
        (identity_prefix("q", BY_ID) + "\ud800".encode("utf-8", "surrogatepass"), "\ufffd" * 3),
        (identity_prefix("q", BY_NUMBER) + b"7", ""),
        (identity_prefix("q", BY_BYTES) + identity_prefix("q", BY_ID) + b"forged", ""),
        (bytes(range(16)), ""),
        (b"", ""),
    ],
)
def test_its_message_id_can_be_read_from_it(identity: bytes, id: str) -> None:
    assert message_id_in(identity) == id
