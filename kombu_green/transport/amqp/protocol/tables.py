"""Field tables: how AMQP writes dictionaries, as in headers and in arguments of declares.

The type letters are RabbitMQ's (https://www.rabbitmq.com/amqp-0-9-1-errata, section 3), which differ from the
specification's.  py-amqp's code is not used here: headers are on the hot path, their depth must be bounded, and a
malformed table must never be read beyond its end.

============ =================================== ==============================================================
written      for                                 read as
============ =================================== ==============================================================
``t``        bool                                bool
``I`` ``l``  int of 32 or 64 bits                int, also from ``b B s u i L``
``d``        float                               float, also from ``f``
``D``        Decimal of 9 digits                 Decimal
``S``        str                                 str, or bytes when it is no UTF-8
``x``        bytes                               bytes
``T``        datetime (naive ones are UTC)       datetime in UTC, or the number when that is beyond the year 9999
``A`` ``F``  list or tuple; mapping              list; dict
``V``        None                                None
============ =================================== ==============================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from struct import Struct
from struct import error as StructError  # noqa: N812  it is a class
from typing import Any, Final

from kombu_green.exceptions import EncodeError, ProtocolError

__all__ = ["DEEPEST", "pack_table", "read_table"]

#: levels of nested tables and arrays that are read and written
DEEPEST: Final = 32

_long: Final = Struct(">I")
_FIXED: Final = {
    ord("b"): Struct(">b"),
    ord("B"): Struct(">B"),
    ord("s"): Struct(">h"),
    ord("u"): Struct(">H"),
    ord("I"): Struct(">i"),
    ord("i"): Struct(">I"),
    ord("l"): Struct(">q"),
    ord("L"): Struct(">q"),  # how py-amqp writes them, whatever the specification says
    ord("f"): Struct(">f"),
    ord("d"): Struct(">d"),
}
_decimal: Final = Struct(">Bi")
_time: Final = Struct(">Q")
_pack_text: Final = Struct(">cI").pack
_pack_int: Final = Struct(">ci").pack
_pack_long: Final = Struct(">cq").pack
_pack_double: Final = Struct(">cd").pack
_pack_time: Final = Struct(">cQ").pack
_pack_decimal: Final = Struct(">cBi").pack

# -- reading


def read_table(raw: bytes, at: int) -> tuple[dict[str, Any], int]:
    """The table at offset *at*, which begins with its length, and the offset of its end.

    :exc:`~kombu_green.exceptions.ProtocolError` when it is malformed.
    """
    try:
        (size,) = _long.unpack_from(raw, at)
        end = at + 4 + size
        if end > len(raw):
            raise ProtocolError(f"a table says that it has {size} bytes, and {len(raw) - at - 4} are left")
        return _table(raw, at + 4, end, DEEPEST), end
    except (StructError, IndexError) as error:
        raise ProtocolError(f"a table ends amidst a value: {error}") from None


def _table(raw: bytes, at: int, end: int, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while at < end:
        begin = at + 1
        at = begin + raw[at]
        name = raw[begin:at].decode("utf-8", "surrogateescape")
        found[name], at = _value(raw, at, end, depth)
    if at != end:
        raise ProtocolError("a table's last value goes beyond its end")
    return found


def _array(raw: bytes, at: int, end: int, depth: int) -> list[Any]:
    found: list[Any] = []
    while at < end:
        value, at = _value(raw, at, end, depth)
        found.append(value)
    if at != end:
        raise ProtocolError("an array's last value goes beyond its end")
    return found


def _value(raw: bytes, at: int, end: int, depth: int) -> tuple[Any, int]:
    letter = raw[at]
    at += 1
    if letter == 83:  # S
        text, at = _text(raw, at, end)
        try:
            return text.decode(), at
        except UnicodeDecodeError:
            return text, at
    fixed = _FIXED.get(letter)
    if fixed is not None:
        return fixed.unpack_from(raw, at)[0], at + fixed.size
    if letter == 116:  # t
        return raw[at] != 0, at + 1
    if letter == 86:  # V
        return None, at
    return _rare_value(raw, at, end, letter, depth)


def _rare_value(raw: bytes, at: int, end: int, letter: int, depth: int) -> tuple[Any, int]:
    if letter == 120:  # x
        return _text(raw, at, end)
    if letter == 84:  # T
        return _moment(_time.unpack_from(raw, at)[0]), at + 8
    if letter == 68:  # D
        scale, digits = _decimal.unpack_from(raw, at)
        return Decimal(digits).scaleb(-scale), at + 5
    if letter == 70 or letter == 65:  # F, A
        if not depth:
            raise ProtocolError(f"tables are nested deeper than {DEEPEST} times")
        (size,) = _long.unpack_from(raw, at)
        at += 4
        if at + size > end:
            raise ProtocolError("a table is longer than the one around it")
        inner = _table if letter == 70 else _array
        return inner(raw, at, at + size, depth - 1), at + size
    raise ProtocolError(f"a table has a value of unknown type {chr(letter)!r}")


def _text(raw: bytes, at: int, end: int) -> tuple[bytes, int]:
    (size,) = _long.unpack_from(raw, at)
    at += 4
    if at + size > end:
        raise ProtocolError("a string in a table goes beyond its end")
    return raw[at : at + size], at + size


def _moment(seconds: int) -> datetime | int:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return seconds


# -- writing


def pack_table(table: Mapping[Any, Any], what: str) -> bytes:
    """*table* packed, its length in front.

    :exc:`~kombu_green.exceptions.EncodeError` names the entry that cannot be written; *what* is the table's own name.
    """
    inside = b"".join([_entry(name, value, what, DEEPEST) for name, value in table.items()])
    return _long.pack(len(inside)) + inside


def _entry(name: Any, value: Any, what: str, depth: int) -> bytes:
    if not isinstance(name, str):
        raise EncodeError(f"{what}: the name {name!r} is {type(name).__name__}, and AMQP has strings only")
    raw = _encoded(name, what)
    if len(raw) > 255:
        raise EncodeError(f"{what}: the name {name[:40]!r}… has {len(raw)} bytes in UTF-8, and AMQP allows 255")
    return b"".join((bytes((len(raw),)), raw, _packed(value, f"{what}[{name!r}]", depth)))


def _packed(value: Any, what: str, depth: int) -> bytes:
    if isinstance(value, str):
        raw = _encoded(value, what)
        return _pack_text(b"S", len(raw)) + raw
    if value is True or value is False:
        return b"t\1" if value else b"t\0"
    if isinstance(value, int):
        if -0x80000000 <= value <= 0x7FFFFFFF:
            return _pack_int(b"I", value)
        if -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
            return _pack_long(b"l", value)
        raise EncodeError(f"{what}: {value} does not fit into 64 bits")
    if value is None:
        return b"V"
    if isinstance(value, float):
        return _pack_double(b"d", value)
    return _rarely_packed(value, what, depth)


def _rarely_packed(value: Any, what: str, depth: int) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return _pack_text(b"x", len(value)) + bytes(value)
    if isinstance(value, datetime):
        return _pack_time(b"T", seconds_of(value, what))
    if isinstance(value, Decimal):
        return _packed_decimal(value, what)
    if not isinstance(value, Mapping | list | tuple):
        raise EncodeError(f"{what}: {type(value).__name__} cannot be written into an AMQP table")
    if not depth:
        raise EncodeError(f"{what}: nested deeper than {DEEPEST} times")
    if isinstance(value, Mapping):
        inside = b"".join([_entry(name, each, what, depth - 1) for name, each in value.items()])
        return _pack_text(b"F", len(inside)) + inside
    inside = b"".join([_packed(each, f"{what}[{number}]", depth - 1) for number, each in enumerate(value)])
    return _pack_text(b"A", len(inside)) + inside


def seconds_of(moment: datetime, what: str) -> int:
    """Whole seconds since 1970; a naive *moment* is taken as UTC, as other AMQP clients do."""
    seconds = int((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp())
    if seconds < 0:
        raise EncodeError(f"{what}: {moment} is before 1970, which AMQP cannot write")
    return seconds


def _packed_decimal(value: Decimal, what: str) -> bytes:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int) or not -255 <= exponent <= 0:
        raise EncodeError(f"{what}: {value} cannot be written as AMQP's decimal")
    number = int("".join(map(str, digits)))
    if number > 0x7FFFFFFF:
        raise EncodeError(f"{what}: {value} has more digits than AMQP's decimal of 31 bits")
    return _pack_decimal(b"D", -exponent, -number if sign else number)


def _encoded(text: str, what: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise EncodeError(f"{what}: cannot be written as UTF-8: {error.reason}") from None
