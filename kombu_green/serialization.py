"""Bodies to bytes and back, by content type.

Without a serializer's name a ``str`` travels as ``text/plain`` in UTF-8, bytes as ``application/data``, and anything else as
JSON.  A content type that can do harm when it is read (pickle), or that this process did not ask for, is refused unless
it is in the accept list.  The registry is one for the process, as in kombu.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from kombu_green import extended_json
from kombu_green.exceptions import (
    ContentDisallowed,
    DecodeError,
    EncodeError,
    SerializationError,
    SerializerNotInstalled,
)

__all__ = [
    "SerializerRegistry",
    "decode",
    "disable_insecure_serializers",
    "dumps",
    "enable_insecure_serializers",
    "encode",
    "loads",
    "prepare_accept_content",
    "raw_encode",
    "register",
    "registry",
    "unregister",
]

Encoder = Callable[[Any], bytes | str]
Decoder = Callable[[Any], Any]

_BINARY = frozenset(("binary", "ascii-8bit"))
_UTF8 = frozenset(("utf-8", "utf8", "us-ascii", "ascii", *_BINARY))  # what a decoder of UTF-8 can be given as it is
_NOT_CHARSETS = frozenset(("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined"))
_INSECURE = ("pickle", "yaml", "msgpack")


class _Serializer(NamedTuple):
    name: str
    content_type: str
    content_encoding: str
    encoder: Encoder | None
    decoder: Decoder | None
    plain: bool = False  # bytes and text as they are: they can do no harm, and no accept list has to name them


class SerializerRegistry:
    """The serializers by name and by content type, and which types are refused when nobody gives an accept list."""

    def __init__(self) -> None:
        self._names: dict[str, _Serializer] = {}
        self._types: dict[str, _Serializer] = {}
        self._disabled: set[str] = set()

    @property
    def name_to_type(self) -> Mapping[str, str]:
        """The content type of each serializer."""
        return {name: found.content_type for name, found in self._names.items()}

    @property
    def type_to_name(self) -> Mapping[str, str]:
        """The serializer's name of each content type."""
        return {content_type: found.name for content_type, found in self._types.items()}

    def register(
        self,
        name: str,
        encoder: Encoder | None,
        decoder: Decoder | None,
        content_type: str,
        content_encoding: str = "utf-8",
    ) -> None:
        """Add a serializer, or replace the one of that name.

        ``encoder`` takes the body and returns bytes (or a string); ``decoder`` takes bytes (a string, when the message
        says another charset than UTF-8).  Either may be None: writing, or reading, is then an error.
        """
        self.add(_Serializer(name, content_type, content_encoding, encoder, decoder))

    def add(self, serializer: _Serializer) -> None:
        self._names[serializer.name] = self._types[serializer.content_type] = serializer

    def unregister(self, name: str) -> None:
        """Forget it; :exc:`~kombu_green.exceptions.SerializerNotInstalled` when there is none of that name."""
        found = self._find(name)
        del self._names[name]
        if self._types.get(found.content_type) is found:
            del self._types[found.content_type]

    def enable(self, name: str) -> None:
        """Accept a serializer, by name or content type, where no accept list is given."""
        self._disabled.discard(self._type_of(name))

    def disable(self, name: str) -> None:
        """Refuse a serializer, by name or content type, where no accept list is given."""
        self._disabled.add(self._type_of(name))

    def encode(self, body: Any, serializer: str | None = None) -> tuple[str, str, bytes]:
        """``(content_type, content_encoding, payload)`` of a body.

        Raises :exc:`~kombu_green.exceptions.EncodeError` when the serializer cannot write it, and
        :exc:`~kombu_green.exceptions.SerializerNotInstalled` when there is no such serializer.
        """
        if serializer is None:
            if isinstance(body, bytes | bytearray | memoryview):
                return "application/data", "binary", bytes(body)
            if isinstance(body, str):
                return "text/plain", "utf-8", _utf8(body)
            serializer = "json"
        elif serializer == "raw":
            return raw_encode(body)
        found = self._names.get(serializer) or self._find(serializer)
        if found.encoder is None:
            raise SerializerNotInstalled(f"the serializer {serializer!r} can read but not write")
        try:
            payload = found.encoder(body)
        except SerializationError:
            raise
        except Exception as error:
            raise EncodeError(f"{_kind(body)} as {serializer}: {type(error).__name__}: {error}") from error
        return found.content_type, found.content_encoding, payload if type(payload) is bytes else _as_bytes(payload)

    def decode(
        self,
        data: bytes | bytearray | memoryview | str,
        content_type: str | None,
        content_encoding: str | None,
        accept: frozenset[str] | None = None,
    ) -> Any:
        """The body.  *accept* is a set of content types, as :func:`prepare_accept_content` gives it.

        Raises :exc:`~kombu_green.exceptions.ContentDisallowed` when the type is not accepted, and
        :exc:`~kombu_green.exceptions.DecodeError` when it is unknown or the data is not what it says.
        """
        found = self._types.get(content_type or "application/data") or self._resolve(content_type)
        content_type = found.content_type
        if found.plain:
            return _plain(data, content_type, content_encoding)
        if content_type in self._disabled if accept is None else content_type not in accept:
            raise ContentDisallowed(_disallowed(found, accept))
        if found.decoder is None:
            raise DecodeError(f"{content_type}: the serializer {found.name!r} can write but not read")
        try:
            if content_encoding not in _UTF8 and found.content_encoding not in _BINARY:
                data = _text(data, content_encoding)
            return found.decoder(data)
        except DecodeError as error:
            raise DecodeError(f"{content_type}: {error}") from error.__cause__
        except SerializationError:
            raise
        except Exception as error:
            raise DecodeError(f"{content_type}: {type(error).__name__}: {error}") from error

    def prepare_accept_content(self, accept: Iterable[str] | None) -> frozenset[str] | None:
        """Content types from a mix of those and serializers' names; None stays None (the default)."""
        return None if accept is None else frozenset(self._type_of(name) for name in accept)

    def _type_of(self, name: str) -> str:
        return name if "/" in name else self._find(name).content_type

    def _find(self, name: str) -> _Serializer:
        found = self._names.get(name)
        if found is None:
            raise SerializerNotInstalled(f"no serializer {name!r}: known are {', '.join(self._names)}")
        return found

    def _resolve(self, content_type: str | None) -> _Serializer:
        """A type with parameters or capitals, as ``Application/JSON; charset=utf-8``."""
        plain = content_type.partition(";")[0].strip().lower() if isinstance(content_type, str) else ""
        found = self._types.get(plain)
        if found is None:
            raise DecodeError(f"unknown content type {content_type!r}: known are {', '.join(self._types)}")
        return found


def raw_encode(body: Any) -> tuple[str, str, bytes]:
    """Bytes and strings as they are, as ``application/data``."""
    if isinstance(body, str):
        return "application/data", "utf-8", _utf8(body)
    if isinstance(body, bytes | bytearray | memoryview):
        return "application/data", "binary", bytes(body)
    raise EncodeError(f"{_kind(body)} is neither str nor bytes, which is all that the serializer 'raw' writes")


def prepare_accept_content(accept: Iterable[str] | None) -> frozenset[str] | None:
    """Content types from a mix of those and serializers' names; None stays None (the default)."""
    return registry.prepare_accept_content(accept)


def enable_insecure_serializers(choices: Iterable[str] = _INSECURE) -> None:
    """Accept these where no accept list is given.  Whoever can publish can then run code here."""
    for name in choices:
        registry.enable(name)


def disable_insecure_serializers(allowed: Iterable[str] | None = ("json",)) -> None:
    """Accept only these where no accept list is given."""
    for name in registry.name_to_type:
        registry.disable(name)
    for name in allowed or ():
        registry.enable(name)


def _kind(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise EncodeError(f"the string has a lone surrogate at {error.start}: it cannot be written in UTF-8") from error


def _as_bytes(payload: Any) -> bytes:
    if isinstance(payload, str):
        return _utf8(payload)
    if isinstance(payload, bytearray | memoryview | bytes):
        return bytes(payload)
    raise EncodeError(f"the serializer returned {_kind(payload)}, not bytes")


def _plain(data: Any, content_type: str, content_encoding: str | None) -> Any:
    if content_encoding is None:
        content_encoding = "binary" if content_type == "application/data" else "utf-8"
    if content_encoding.lower() in _BINARY:
        return data
    return _text(data, content_encoding)


def _text(data: Any, content_encoding: str | None) -> Any:
    """*data* as a string; as it is when it is one, or when its charset is not said."""
    if isinstance(data, str) or not content_encoding or content_encoding.lower() in _BINARY:
        return data
    charset = content_encoding.lower().replace("-", "_")
    try:
        if charset in _NOT_CHARSETS:
            raise LookupError
        return bytes(data).decode(charset)
    except LookupError:
        raise DecodeError(f"unknown charset {content_encoding!r} in content_encoding") from None
    except UnicodeError as error:
        raise DecodeError(f"not {content_encoding}: {error}") from error


def _disallowed(found: _Serializer, accept: frozenset[str] | None) -> str:
    why = "it is accepted only when asked for" if accept is None else f"accepted are {', '.join(sorted(accept))}"
    return f"refused to read {found.name} ({found.content_type}): {why}"


def _unpickle(data: Any) -> Any:
    stream = io.BytesIO(data)
    value = pickle.load(stream)
    if stream.read(1):
        raise DecodeError("something follows the end of the pickle")
    return value


def _pickle(body: Any) -> bytes:
    return pickle.dumps(body, protocol=4)  # what kombu writes


def _raw(body: Any) -> bytes:
    return raw_encode(body)[2]


registry = SerializerRegistry()
registry.register("json", extended_json.dumps, extended_json.loads, "application/json")
for _plain_one in (
    _Serializer("raw", "application/data", "binary", _raw, None, plain=True),
    _Serializer("text", "text/plain", "utf-8", _raw, None, plain=True),
    _Serializer("application/text", "application/text", "utf-8", _raw, None, plain=True),
):
    registry.add(_plain_one)
registry.register("pickle", _pickle, _unpickle, "application/x-python-serialize", "binary")
registry.disable("pickle")

encode = dumps = registry.encode
decode = loads = registry.decode
register = registry.register
unregister = registry.unregister
