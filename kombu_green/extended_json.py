"""JSON with the types that kombu 5 adds: datetime, date, time, Decimal, UUID and bytes.

They travel as ``{"__type__": "datetime", "__value__": "2026-01-31T12:00:00"}``; an object with a ``__json__`` method is
written as what that returns.  What this writes kombu reads, and the reverse.

orjson does nearly all of it.  It differs from kombu in a few values, silently in some, so whatever may hold one of those
is done by the standard library's encoder or decoder instead:

* writing: a UUID (orjson writes a bare string), NaN and the infinities (``null``); and what orjson refuses: integers
  beyond 64 bits, lone surrogates, keys that are not strings, subclasses, more than 254 levels;
* reading: integers beyond 64 bits (orjson makes floats of them, with other digits), NaN, Infinity, lone surrogates.

An ``Enum`` is written as its value, unless its class is registered.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any
from uuid import UUID

import orjson

from kombu_green.exceptions import DecodeError, EncodeError

__all__ = ["dumps", "loads", "register_type"]

_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS

_UUID_SHAPE = re.compile(rb"-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-")
_DIGITS_ALIKE = bytes.maketrans(b"123456789", b"000000000")
_WIDE = b"0" * 19
_BEYOND_64_BITS = re.compile(rb"-[0-9]{19}|[0-9]{20}")


def dumps(value: Any) -> bytes:
    """UTF-8 JSON.  Raises :exc:`~kombu_green.exceptions.EncodeError` that names the type that cannot be written."""
    if not _native_registered:
        try:
            data = orjson.dumps(value, _leaf, _OPTIONS)
        except TypeError:
            return _dumps_exactly(value)
        if (b"null" not in data and _UUID_SHAPE.search(data) is None) or not _orjson_differs(value):
            return data
    return _dumps_exactly(value)


def loads(data: bytes | bytearray | memoryview | str) -> Any:
    """The value.  Raises :exc:`~kombu_green.exceptions.DecodeError` for anything that is not JSON in UTF-8."""
    raw = data if type(data) is bytes else _as_bytes(data)
    if b'"__type__"' not in raw and (_WIDE not in raw.translate(_DIGITS_ALIKE) or _BEYOND_64_BITS.search(raw) is None):
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            pass  # NaN or a lone surrogate, or really malformed
    return _loads_exactly(raw)


def register_type(
    kind: type, marker: str | None, encoder: Callable[[Any], Any], decoder: Callable[[Any], Any] = lambda value: value
) -> None:
    """Write instances of *kind* as what *encoder* returns, and call *decoder* with that when *marker* is read.

    Without a marker it is written as it is, and there is nothing to decode.
    """
    global _native_registered
    _encoders[kind] = (marker, encoder)
    _leaves.pop(kind, None)
    if marker is not None:
        _decoders[marker] = decoder
    if issubclass(kind, Enum):
        _native_registered = True  # orjson would write its value and not ask


def _marked(marker: str, value: Any) -> dict[str, Any]:
    return {"__type__": marker, "__value__": value}


def _mark_bytes(value: bytes) -> dict[str, Any]:
    try:
        return _marked("bytes", value.decode())
    except UnicodeDecodeError:
        return _marked("base64", base64.b64encode(value).decode("ascii"))


_encoders: dict[type, tuple[str | None, Callable[[Any], Any]]] = {
    datetime: ("datetime", datetime.isoformat),  # before date, which it is an instance of
    date: ("date", date.isoformat),
    time: ("time", time.isoformat),
    Decimal: ("decimal", str),
    UUID: ("uuid", lambda value: {"hex": value.hex}),
}
_decoders: dict[str, Callable[[Any], Any]] = {
    "bytes": lambda value: value.encode(),
    "base64": lambda value: base64.b64decode(value, validate=True),
    "datetime": datetime.fromisoformat,
    "date": lambda value: datetime.fromisoformat(value).date(),
    "time": time.fromisoformat,
    "decimal": Decimal,
    "uuid": lambda value: UUID(hex=value["hex"]),
}
# What may be written in the midst of orjson's work: exact types whose form holds neither null nor a UUID.
_leaves: dict[type, Callable[[Any], dict[str, Any]]] = {
    datetime: lambda value: _marked("datetime", value.isoformat()),
    date: lambda value: _marked("date", value.isoformat()),
    time: lambda value: _marked("time", value.isoformat()),
    Decimal: lambda value: _marked("decimal", str(value)),
    bytes: _mark_bytes,
}
_native_registered = False


def _leaf(value: Any) -> dict[str, Any]:
    return _leaves[type(value)](value)  # a KeyError makes orjson give up, and the other encoder takes over


def _orjson_differs(value: Any) -> bool:
    """Whether the value holds something that orjson writes natively and otherwise than kombu."""
    kind = type(value)
    if kind is dict:
        return any(map(_orjson_differs, value.values()))
    if kind is list or kind is tuple:
        return any(map(_orjson_differs, value))
    if kind is float:
        return not isfinite(value)
    return kind is UUID or (isinstance(value, Enum) and _orjson_differs(value.value))


def _dumps_exactly(value: Any) -> bytes:
    try:
        return _ENCODER.encode(value).encode()
    except EncodeError:
        raise
    except RecursionError:
        raise EncodeError("nested too deep for JSON") from None
    except Exception as error:  # a __json__ method or a registered encoder may raise anything
        raise EncodeError(f"cannot be written as JSON: {type(error).__name__}: {error}") from error


def _default(value: Any) -> Any:
    if isinstance(value, Enum) and type(value) not in _encoders:
        return value.value
    reduce = getattr(value, "__json__", None)
    if reduce is not None:
        return reduce()
    for kind, (marker, encoder) in _encoders.items():
        if isinstance(value, kind):
            return encoder(value) if marker is None else _marked(marker, encoder(value))
    if isinstance(value, bytes):
        return _mark_bytes(value)
    kind = type(value)
    raise EncodeError(
        f"{kind.__module__}.{kind.__qualname__} cannot be written as JSON:"
        " convert it, give its class a __json__ method, or register_type it"
    )


_ENCODER = json.JSONEncoder(default=_default, separators=(",", ":"))


def _as_bytes(data: bytes | bytearray | memoryview | str) -> bytes:
    return data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)


def _loads_exactly(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode(), object_hook=_revive)
    except DecodeError:
        raise
    except RecursionError:
        raise DecodeError("nested too deep for JSON") from None
    except UnicodeDecodeError as error:
        raise DecodeError(f"not JSON in UTF-8: {error.reason} at byte {error.start}") from error
    except Exception as error:
        raise DecodeError(f"not JSON: {error}") from error


def _revive(value: dict[str, Any]) -> Any:
    if value.keys() != {"__type__", "__value__"}:
        return value
    marker = value["__type__"]
    decoder = _decoders.get(marker) if isinstance(marker, str) else None
    if decoder is None:
        raise DecodeError(f"unknown __type__ {marker!r} in JSON: known are {', '.join(_decoders)}")
    try:
        return decoder(value["__value__"])
    except Exception as error:
        raise DecodeError(f"malformed {marker} in JSON: {type(error).__name__}: {error}") from error
