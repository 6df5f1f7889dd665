"""JSON with the types that kombu 5 adds: datetime, date, time, Decimal, UUID and bytes.

They travel as ``{"__type__": "datetime", "__value__": "2026-01-31T12:00:00"}``; an object with a ``__json__`` method is
written as what that returns.  What this writes kombu reads, and the reverse.

orjson does nearly all of it.  In a few values it differs from kombu, silently in some, so whatever may hold one of
those goes through the standard library instead:

* writing: a UUID (orjson writes a bare string), NaN and the infinities (``null``); and what orjson refuses: integers
  beyond 64 bits, lone surrogates, keys that are not strings, subclasses, more than 254 levels;
* reading: integers beyond 64 bits (orjson makes floats of them), NaN, Infinity, lone surrogates, the extended types.

An ``Enum`` is written as its value, unless its class is registered (kombu refuses it).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
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
    """*value* as JSON in UTF-8.

    Raises :exc:`~kombu_green.exceptions.EncodeError`, which names the type that cannot be written and where it is.
    """
    if _registered_enums:
        return _dumps_exactly(value)
    try:
        data = orjson.dumps(value, _leaf, _OPTIONS)
    except TypeError:
        return _dumps_exactly(value)
    if (b"null" in data or _UUID_SHAPE.search(data)) and _orjson_differs(value):
        return _dumps_exactly(value)
    return data


def loads(data: bytes | bytearray | memoryview | str) -> Any:
    """The value of JSON in UTF-8.

    Raises :exc:`~kombu_green.exceptions.DecodeError`, which says what is wrong and where.
    """
    raw = data if type(data) is bytes else _to_bytes(data)
    if b'"__type__"' not in raw and not _may_hold_wide_integers(raw):
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError:
            pass  # NaN or a lone surrogate, or really malformed
    return _loads_exactly(raw)


def register_type(
    kind: type, marker: str | None, encoder: Callable[[Any], Any], decoder: Callable[[Any], Any] = lambda value: value
) -> None:
    """Write instances of *kind* as what *encoder* returns, and give that to *decoder* when *marker* is read.

    Without a marker it is written as it is, and there is nothing to decode.  As in kombu a subclass is written as the
    first registered class that it is an instance of, and what JSON knows (str, int, dict, …) is never asked about.
    """
    _encoders[kind] = (marker, encoder)
    _leaves.pop(kind, None)
    if marker is not None:
        _decoders[marker] = decoder
    if issubclass(kind, Enum):
        _registered_enums.add(kind)


def _marked(marker: str, value: Any) -> dict[str, Any]:
    return {"__type__": marker, "__value__": value}


def _mark_bytes(value: bytes) -> dict[str, Any]:
    try:
        return _marked("bytes", value.decode())
    except UnicodeDecodeError:
        return _marked("base64", base64.b64encode(value).decode("ascii"))


_encoders: dict[type, tuple[str | None, Callable[[Any], Any]]] = {
    datetime: ("datetime", datetime.isoformat),  # before date, as it is one
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
_registered_enums: set[type] = (
    set()
)  # orjson writes enums natively and would not ask: it is not used while there is one

# What can be written in the midst of orjson's work: exact types only, whose form needs none of the checks in dumps().
_leaves: dict[type, Callable[[Any], dict[str, Any]]] = {
    datetime: lambda value: _marked("datetime", value.isoformat()),
    date: lambda value: _marked("date", value.isoformat()),
    time: lambda value: _marked("time", value.isoformat()),
    Decimal: lambda value: _marked("decimal", str(value)),
    bytes: _mark_bytes,
}


def _leaf(value: Any) -> dict[str, Any]:
    return _leaves[type(value)](value)  # a KeyError makes orjson give up


_PLAIN = frozenset((str, int, bool, type(None), *_leaves))


def _orjson_differs(value: Any) -> bool:
    """Whether *value*, which orjson wrote, holds a UUID, NaN or infinity (an enum's value may be one)."""
    waiting: list[Iterable[Any]] = [(value,)]
    for items in waiting:
        for item in items:
            kind = type(item)
            if kind in _PLAIN:
                continue
            if kind is dict:
                waiting.append(item.values())
            elif kind is list or kind is tuple:
                waiting.append(item)
            elif kind is float:
                if item - item != 0.0:  # faster than isfinite() where it counts
                    return True
            elif not isinstance(item, Enum):
                return True
            else:
                waiting.append((item.value,))
    return False


class _Unwritable(Exception):
    """The value is its argument."""


def _default(value: Any) -> Any:
    if isinstance(value, Enum) and type(value) not in _registered_enums:
        return value.value
    reduce = getattr(value, "__json__", None)
    if reduce is not None:
        return reduce()
    for kind, (marker, encoder) in _encoders.items():
        if isinstance(value, kind):
            return encoder(value) if marker is None else _marked(marker, encoder(value))
    if isinstance(value, bytes):
        return _mark_bytes(value)
    raise _Unwritable(value)


# Short separators, but pure ASCII: it is the only way to write a lone surrogate.
_ENCODER = json.JSONEncoder(default=_default, separators=(",", ":"))


def _dumps_exactly(value: Any) -> bytes:
    try:
        return _ENCODER.encode(value).encode("ascii")
    except _Unwritable as error:
        (unwritable,) = error.args
        kind = type(unwritable)
        raise EncodeError(
            f"{kind.__module__}.{kind.__qualname__} cannot be written as JSON ({_where(value, unwritable)}):"
            " convert it, give its class a __json__ method, or register its type"
        ) from None
    except RecursionError:
        raise EncodeError("nested too deep to be written as JSON") from None
    except Exception as error:  # a __json__ method or a registered encoder may raise anything
        raise EncodeError(f"cannot be written as JSON: {type(error).__name__}: {error}") from error


def _where(body: Any, wanted: Any) -> str:
    waiting = [("body", body)]
    seen = set()
    for path, value in waiting:
        if value is wanted:
            return f"at {path}"
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            waiting.extend((f"{path}[{key!r}]", item) for key, item in value.items())
        elif isinstance(value, list | tuple):
            waiting.extend((f"{path}[{index}]", item) for index, item in enumerate(value))
    return "within what a __json__ method or a registered encoder returned"


def _to_bytes(data: bytearray | memoryview | bytes | str) -> bytes:
    return data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)


def _may_hold_wide_integers(raw: bytes) -> bool:
    # A regular expression alone would take longer than orjson does; a run of 19 digits is rare.
    return _WIDE in raw.translate(_DIGITS_ALIKE) and _BEYOND_64_BITS.search(raw) is not None


def _loads_exactly(raw: bytes) -> Any:
    try:
        return json.loads(raw.decode(), object_hook=_revive)
    except DecodeError:
        raise
    except RecursionError:
        raise DecodeError("nested too deep") from None
    except UnicodeDecodeError as error:
        raise DecodeError(f"not UTF-8: {error.reason} at byte {error.start}") from error
    except ValueError as error:
        raise DecodeError(f"not JSON: {error}") from error


def _revive(value: dict[str, Any]) -> Any:
    if value.keys() != {"__type__", "__value__"}:
        return value
    marker = value["__type__"]
    decoder = _decoders.get(marker) if isinstance(marker, str) else None
    if decoder is None:
        raise DecodeError(f"unknown __type__ {marker!r}: known are {', '.join(_decoders)}")
    try:
        return decoder(value["__value__"])
    except Exception as error:
        raise DecodeError(f"malformed __value__ of __type__ {marker!r}: {type(error).__name__}: {error}") from error
