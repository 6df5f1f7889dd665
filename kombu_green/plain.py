"""Bodies that are bytes or text already, and charsets.  For :mod:`kombu_green.serialization`."""

from __future__ import annotations

from typing import Any

from kombu_green.exceptions import DecodeError, EncodeError

__all__ = ["BINARY", "BYTES_LIKE", "raw_encode", "read", "to_text", "type_name", "write_text"]

BYTES_LIKE = (bytes, bytearray, memoryview)
BINARY = frozenset(("", "binary", "ascii-8bit"))
"""Content encodings, in small letters, that are no charset."""

# Python calls these charsets, too; some take time by the square of the length, and none is used for text.
_NO_CHARSETS = frozenset(("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"))


def raw_encode(body: Any) -> tuple[str, str, bytes]:
    """``(content_type, content_encoding, payload)`` of a string or bytes, as ``application/data``."""
    if isinstance(body, str):
        return "application/data", "utf-8", write_text(body)
    if isinstance(body, BYTES_LIKE):
        return "application/data", "binary", bytes(body)
    raise EncodeError(f"raw: {type_name(body)} is neither bytes nor str")


def write_text(body: Any) -> bytes:
    """A string in UTF-8."""
    if not isinstance(body, str):
        raise EncodeError(f"text: {type_name(body)} is not str")
    try:
        return body.encode()
    except UnicodeEncodeError as error:
        raise EncodeError(f"text: a lone surrogate at {error.start} cannot be written in UTF-8") from error


def read(data: Any, content_type: str, charset: str) -> bytes | str:
    """A string, in UTF-8 when the charset is empty; bytes when it is ``binary``, or empty with ``application/data``."""
    if charset in BINARY and (charset or content_type == "application/data"):
        return data if isinstance(data, str) else bytes(data)
    try:
        return to_text(data, charset or "utf-8")
    except DecodeError as error:
        raise DecodeError(f"{content_type}: {error}") from error


def to_text(data: Any, charset: str) -> str:
    """*data* as a string, which it may be already.  The charset is in small letters."""
    if isinstance(data, str):
        return data
    try:
        if charset.replace("-", "_") in _NO_CHARSETS:
            raise LookupError(charset)
        return bytes(data).decode(charset)
    except UnicodeError as error:
        raise DecodeError(f"not {charset}: {error}") from error
    except (LookupError, ValueError):  # ValueError: the name holds a null character
        raise DecodeError(f"unknown charset {charset!r} in content_encoding") from None


def type_name(value: object) -> str:
    """The name of a value's type, with its module unless it is a builtin."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
