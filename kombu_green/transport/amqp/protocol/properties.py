"""Properties of a content: packing and reading content type, headers, delivery mode and the rest of AMQP's list.

Most messages of a program have the same few property blocks, so both directions cache them: packing or reading a block
that was seen before costs one dictionary lookup.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from struct import Struct
from struct import error as StructError  # noqa: N812  it is a class
from typing import Any, Final, NamedTuple

from kombu_green.exceptions import EncodeError, ProtocolError
from kombu_green.message import COUNTED_BY_BROKERS, Content
from kombu_green.transport.amqp.protocol.frames import shortstr
from kombu_green.transport.amqp.protocol.tables import pack_table, read_table, seconds_of

__all__ = ["Properties", "PropertyPacker", "PropertyReader", "as_published"]

#: blocks in each cache; a full cache is cleared
REMEMBERED: Final = 256

_short: Final = Struct(">H")
_long: Final = Struct(">I")
_time: Final = Struct(">Q")

_CONTENT_TYPE: Final = 0x8000
_CONTENT_ENCODING: Final = 0x4000
_HEADERS: Final = 0x2000
_DELIVERY_MODE: Final = 0x1000
_PRIORITY: Final = 0x0800
_TIMESTAMP: Final = 0x0040
# short string properties in the order of the specification; the timestamp stands between the two groups
_STRINGS_BEFORE: Final = (
    ("correlation_id", 0x0400),
    ("reply_to", 0x0200),
    ("expiration", 0x0100),
    ("message_id", 0x0080),
)
_STRINGS_AFTER: Final = (("type", 0x0020), ("user_id", 0x0010), ("app_id", 0x0008), ("cluster_id", 0x0004))
_KNOWN: Final = frozenset(
    {"delivery_mode", "priority", "timestamp"} | {name for name, _ in (*_STRINGS_BEFORE, *_STRINGS_AFTER)}
)
# packed names of the headers in which brokers count deliveries, and bytes of each integer type by its letter
_COUNTED: Final = tuple(bytes((len(name),)) + name.encode() for name in sorted(COUNTED_BY_BROKERS))
_WIDTHS: Final = {ord(kind): width for kind, width in zip("bBsuIilL", (1, 1, 2, 2, 4, 4, 8, 8), strict=True)}
_FEW: Final = frozenset({"delivery_mode", "priority"})


class Properties(NamedTuple):
    """What a :class:`~kombu_green.message.Content` has besides its body."""

    content_type: str | None
    content_encoding: str | None
    headers: dict[str, Any]
    properties: dict[str, Any]


class PropertyPacker:
    """Packs the properties of contents: flags and values, as they follow the body's size in a header frame."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], bytes] = {}

    def pack(self, content: Content) -> bytes:
        """The property block of *content*.

        :exc:`~kombu_green.exceptions.EncodeError` names the property that AMQP does not have or cannot write.
        """
        properties = content.properties
        if content.headers or not _FEW.issuperset(properties):
            return _pack(content)
        key = (
            content.content_type,
            content.content_encoding,
            properties.get("delivery_mode"),
            properties.get("priority"),
        )
        packed = self._known.get(key)
        if packed is None:
            packed = _pack(content)
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[key] = packed
        return packed


def _pack(content: Content) -> bytes:
    properties = content.properties
    flags = 0
    parts: list[bytes] = []
    if content.content_type is not None:
        flags |= _CONTENT_TYPE
        parts.append(shortstr(content.content_type, "content_type", "surrogateescape"))
    if content.content_encoding is not None:
        flags |= _CONTENT_ENCODING
        parts.append(shortstr(content.content_encoding, "content_encoding", "surrogateescape"))
    if content.headers:
        flags |= _HEADERS
        parts.append(pack_table(content.headers, "headers"))
    for name, flag, highest in (("delivery_mode", _DELIVERY_MODE, 2), ("priority", _PRIORITY, 255)):
        value = properties.get(name)
        if value is not None:
            flags |= flag
            parts.append(bytes((_checked_octet(name, value, highest),)))
    flags |= _pack_strings(properties, _STRINGS_BEFORE, parts)
    timestamp = properties.get("timestamp")
    if timestamp is not None:
        flags |= _TIMESTAMP
        parts.append(_time.pack(_checked_time(timestamp)))
    flags |= _pack_strings(properties, _STRINGS_AFTER, parts)
    if not _KNOWN.issuperset(properties):
        _refuse_unknown(properties)
    return b"".join((_short.pack(flags), *parts))


def _pack_strings(properties: Mapping[str, Any], names: tuple[tuple[str, int], ...], parts: list[bytes]) -> int:
    flags = 0
    for name, flag in names:
        value = properties.get(name)
        if value is None:
            continue
        if name == "expiration":
            value = _checked_expiration(value)
        if not isinstance(value, str):
            raise EncodeError(f"property {name} is {type(value).__name__}, and AMQP has a string there")
        flags |= flag
        parts.append(shortstr(value, name, "surrogateescape"))
    return flags


def _checked_octet(name: str, value: object, highest: int) -> int:
    if not isinstance(value, int) or not 0 <= value <= highest:
        raise EncodeError(f"property {name} is {value!r}, and AMQP has a whole number from 0 to {highest} there")
    return value


def _checked_time(value: object) -> int:
    if isinstance(value, datetime):
        return seconds_of(value, "property timestamp")
    if not isinstance(value, int | float) or not 0 <= value < 2**63:
        raise EncodeError(f"property timestamp is {value!r}, and AMQP has seconds since 1970 there")
    return int(value)


def _checked_expiration(value: object) -> str:
    text = str(value)
    if not (text.isascii() and text.isdigit()):
        raise EncodeError(f"property expiration is {value!r}, and AMQP has milliseconds in digits there")
    return text


def _refuse_unknown(properties: Mapping[str, Any]) -> None:
    unknown = sorted(str(name) for name, value in properties.items() if name not in _KNOWN and value is not None)
    if unknown:
        raise EncodeError(
            f"AMQP has no property {', '.join(map(repr, unknown))} (it has: {', '.join(sorted(_KNOWN))};"
            " what is your own goes into headers)"
        )


def as_published(raw: bytes) -> bytes:
    """The block *raw* without the headers in which brokers count deliveries, and without an empty headers table.

    Two deliveries of one message have the same result, so it can identify the message.  A malformed block is returned
    unchanged or changed somehow, but always in the same way.
    """
    try:
        (flags,) = _short.unpack_from(raw, 0)
        if not flags & _HEADERS:
            return raw
        at = 2
        for flag in (_CONTENT_TYPE, _CONTENT_ENCODING):
            at += 1 + raw[at] if flags & flag else 0
        begin = at + 4
        end = begin + _long.unpack_from(raw, at)[0]
        table = raw[begin:end]
        for name in _COUNTED:
            table = _without(table, name)
    except (StructError, IndexError, KeyError):
        return raw
    if not table:
        return _short.pack(flags & ~_HEADERS) + raw[2:at] + raw[end:]
    return raw[:at] + _long.pack(len(table)) + table + raw[end:]


def _without(table: bytes, name: bytes) -> bytes:
    """*table* without the integer entry *name*; unchanged if there is none."""
    at = table.find(name)
    if at < 0:
        return table
    following = at + len(name)
    return table[:at] + table[following + 1 + _WIDTHS[table[following]] :]


class PropertyReader:
    """Reads property blocks.  Each call returns new dictionaries, also for a cached block."""

    def __init__(self) -> None:
        self._known: dict[bytes, Properties] = {}

    def read(self, raw: bytes) -> Properties:
        """The values of block *raw*; :exc:`~kombu_green.exceptions.ProtocolError` when it is malformed."""
        known = self._known.get(raw)
        if known is not None:
            return Properties(known[0], known[1], known[2].copy(), known[3].copy())
        found = _read(raw)
        # a block with a message id comes only once; a nested header would be shared between callers
        if len(raw) <= 128 and "message_id" not in found.properties and not _nested(found.headers):
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[raw] = Properties(found[0], found[1], found[2].copy(), found[3].copy())
        return found


def _nested(headers: Mapping[str, Any]) -> bool:
    return any(isinstance(value, dict | list) for value in headers.values())


def _read(raw: bytes) -> Properties:
    try:
        (flags,) = _short.unpack_from(raw, 0)
        if flags & 3:
            raise ProtocolError("a message has properties that AMQP does not know")
        return _read_flagged(raw, flags)
    except (StructError, IndexError) as error:
        raise ProtocolError(f"a message's properties end too early: {error}") from None


def _read_flagged(raw: bytes, flags: int) -> Properties:
    content_type = content_encoding = None
    headers: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    at = 2
    if flags & _CONTENT_TYPE:
        content_type, at = _string(raw, at)
    if flags & _CONTENT_ENCODING:
        content_encoding, at = _string(raw, at)
    if flags & _HEADERS:
        headers, at = read_table(raw, at)
    if flags & _DELIVERY_MODE:
        properties["delivery_mode"] = raw[at]
        at += 1
    if flags & _PRIORITY:
        properties["priority"] = raw[at]
        at += 1
    for name, flag in _STRINGS_BEFORE:
        if flags & flag:
            properties[name], at = _string(raw, at)
    if flags & _TIMESTAMP:
        (properties["timestamp"],) = _time.unpack_from(raw, at)
        at += 8
    for name, flag in _STRINGS_AFTER:
        if flags & flag:
            properties[name], at = _string(raw, at)
    if at != len(raw):
        raise ProtocolError(f"a message's properties have {len(raw)} bytes and should have {at}")
    return Properties(content_type, content_encoding, headers, properties)


def _string(raw: bytes, at: int) -> tuple[str, int]:
    begin = at + 1
    end = begin + raw[at]
    return raw[begin:end].decode("utf-8", "surrogateescape"), end
