"""kombu's bodies are read here, and the reverse: content type, encoding, compression and payload."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from kombu import compression as kombu_compression
from kombu import serialization as kombu_serialization

from kombu_green import compression, serialization

kombu_dumps: Callable[..., tuple[str, str, Any]] = kombu_serialization.dumps
kombu_loads: Callable[..., Any] = kombu_serialization.loads
kombu_compress: Callable[[bytes, str], tuple[bytes, str]] = kombu_compression.compress
kombu_decompress: Callable[[bytes, str], bytes] = kombu_compression.decompress

BODIES: list[tuple[Any, str | None]] = [
    ({"id": UUID(int=7), "when": datetime(2026, 1, 31, 12), "raw": b"\xff", "n": 2**70, "none": None}, None),
    ([1, "ä", 2.5, True], "json"),
    ("häß", None),
    ("häß", "json"),
    ("häß", "raw"),
    (b"\xff\x00", None),
    (b"\xff\x00", "raw"),
    ({"a": [1, None]}, "pickle"),
    ({"a": [1, None, "ä"]}, "yaml"),
    ({"a": [1, None, "ä", b"\xff"]}, "msgpack"),
]


@pytest.mark.parametrize(("body", "serializer"), BODIES)
def test_bodies_are_read_in_both_directions(body: Any, serializer: str | None) -> None:
    ours, theirs = serialization.encode(body, serializer), kombu_dumps(body, serializer)
    assert ours[:2] == theirs[:2]
    accept = frozenset((ours[0],))
    for content_type, content_encoding, payload in (ours, theirs):
        data = payload.encode() if isinstance(payload, str) else payload  # a transport of kombu's does this
        assert serialization.decode(data, content_type, content_encoding, accept) == body
        assert kombu_loads(data, content_type, content_encoding, accept={*accept, "text/plain"}) == body


def test_both_refuse_the_same_types_without_an_accept_list() -> None:
    for name, content_type in kombu_serialization.registry.name_to_type.items():
        refused = content_type in kombu_serialization.registry._disabled_content_types
        assert serialization.registry.name_to_type[name] == content_type
        assert (content_type in serialization.registry._disabled) is refused


@pytest.mark.parametrize("method", ["gzip", "zlib", "bzip2", "bzip", "lzma", "xz"])
def test_compression_is_the_same_in_both_directions(method: str) -> None:
    body = b"to be or not to be, " * 50
    packed, content_type = compression.compress(body, method)
    kombu_packed, kombu_content_type = kombu_compress(body, method)
    assert content_type == kombu_content_type
    assert kombu_decompress(packed, content_type) == body
    assert compression.decompress(kombu_packed, content_type) == body
