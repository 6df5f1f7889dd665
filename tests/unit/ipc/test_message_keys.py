"""What a message is known by."""

from __future__ import annotations

import pytest

from kombu_green.ipc.message_keys import BY_BYTES, BY_ID, BY_NUMBER, KEY_SIZE, beginning, id_in, key_of


def test_a_key_is_of_one_size_whatever_it_is_made_of() -> None:
    origins = [beginning("", BY_ID), beginning("q", BY_BYTES), beginning("q", BY_BYTES) + bytes(100_000)]
    keys = {key_of(origin) for origin in origins}
    assert len(keys) == 3
    assert {len(key) for key in keys} == {KEY_SIZE}
    assert {key_of(key) for key in keys} == keys


def test_no_origin_is_as_short_as_a_key() -> None:
    assert min(len(beginning("", by)) for by in (BY_ID, BY_NUMBER, BY_BYTES)) > KEY_SIZE


@pytest.mark.parametrize(
    ("origin", "id"),
    [
        (beginning("größe", BY_ID) + "nummer-ä".encode(), "nummer-ä"),
        (beginning("q", BY_ID) + b"x" * 1000, "x" * 64),
        (beginning("q", BY_ID) + "\ud800".encode("utf-8", "surrogatepass"), "\ufffd" * 3),
        (beginning("q", BY_NUMBER) + b"7", ""),
        (beginning("q", BY_BYTES) + beginning("q", BY_ID) + b"forged", ""),
        (bytes(range(16)), ""),
        (b"", ""),
    ],
)
def test_its_message_id_can_be_read_from_it(origin: bytes, id: str) -> None:
    assert id_in(origin) == id
