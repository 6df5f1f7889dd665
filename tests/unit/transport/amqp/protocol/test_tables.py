"""Field tables: both ways, against py-amqp's reading and writing, and what is broken."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from amqp.serialization import dumps, loads
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.exceptions import EncodeError, ProtocolError
from kombu_green.transport.amqp.protocol.tables import DEEPEST, pack_table, read_table

moments = st.integers(0, 253402300799).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
decimals = st.builds(
    lambda number, places: Decimal(number).scaleb(-places), st.integers(-(2**31) + 1, 2**31 - 1), st.integers(0, 9)
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=20)
    | moments
    | decimals
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
tables = st.dictionaries(st.text(max_size=30), values, max_size=5)


def read(raw: bytes) -> dict[str, Any]:
    found, end = read_table(raw, 0)
    assert end == len(raw)
    return found


@given(tables)
def test_comes_back_as_it_was(table: dict[str, Any]) -> None:
    found = read(pack_table(table, "headers"))
    assert found == table
    assert [type(value) for value in found.values()] == [type(value) for value in table.values()]


@given(
    st.dictionaries(
        st.text(max_size=30),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        ),
        max_size=5,
    )
)
def test_py_amqp_reads_and_writes_the_same(table: dict[str, Any]) -> None:
    assert loads("F", pack_table(table, "headers"), 0)[0] == [table]
    assert read(dumps("F", (table,))) == table


def test_a_tuple_is_an_array_and_a_naive_moment_is_utc() -> None:
    found = read(pack_table({"a": (1, "x"), "t": datetime(2024, 1, 2, 3, 4, 5)}, "headers"))
    assert found == {"a": [1, "x"], "t": datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)}


def test_text_that_is_no_utf8_is_bytes() -> None:
    assert read(dumps("F", ({"a": b"\xff"},))) == {"a": b"\xff"}


@pytest.mark.parametrize(
    ("letter", "raw", "expected"),
    [
        (b"b", b"\xff", -1),
        (b"B", b"\xff", 255),
        (b"s", b"\xff\xfe", -2),
        (b"u", b"\xff\xfe", 65534),
        (b"i", b"\xff\xff\xff\xff", 2**32 - 1),
        (b"f", b"\x3f\x80\0\0", 1.0),
        (b"T", b"\xff" * 8, 2**64 - 1),  # beyond the year 9999
    ],
)
def test_what_others_write(letter: bytes, raw: bytes, expected: object) -> None:
    entry = b"\x01a" + letter + raw
    assert read(len(entry).to_bytes(4, "big") + entry) == {"a": expected}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"n": 2**63}, r"headers\['n'\].*64 bits"),
        ({"n": {"deep": [0, object()]}}, r"headers\['n'\]\['deep'\]\[1\]: object"),
        ({"n": datetime(1969, 1, 1, tzinfo=UTC)}, "before 1970"),
        ({"n": Decimal("1e10")}, "decimal"),
        ({"n": Decimal(2**31)}, "31 bits"),
        ({"n": Decimal("nan")}, "decimal"),
        ({"n" * 256: 1}, "256 bytes"),
        ({1: 2}, "name 1 is int"),
        ({"n": "\ud800"}, "UTF-8"),
    ],
)
def test_what_cannot_be_written_is_named(value: dict[Any, Any], message: str) -> None:
    with pytest.raises(EncodeError, match=message):
        pack_table(value, "headers")


@pytest.mark.parametrize("wrap", [lambda inner: {"a": inner}, lambda inner: [inner]])
def test_nesting_is_bounded_both_ways(wrap: Any) -> None:
    value: Any = 1
    for _ in range(DEEPEST):
        value = wrap(value)
    assert read(pack_table({"a": value}, "headers")) == {"a": value}
    with pytest.raises(EncodeError, match="nested deeper"):
        pack_table({"a": wrap(value)}, "headers")
    with pytest.raises(ProtocolError, match="nested deeper"):
        read(dumps("F", ({"a": wrap(value)},)))


def test_a_table_nested_a_million_times_takes_no_stack() -> None:
    raw = b""
    for _ in range(3000):
        raw = len(raw).to_bytes(4, "big") + raw
        raw = b"\x01aF" + raw
    with pytest.raises(ProtocolError, match="nested deeper"):
        read(len(raw).to_bytes(4, "big") + raw)


@given(st.binary(max_size=120))
def test_any_bytes_are_a_table_or_a_protocol_error(noise: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        read_table(noise, 0)


@given(tables, st.data())
def test_a_damaged_table_never_reads_beyond_its_end(table: dict[str, Any], data: st.DataObject) -> None:
    raw = bytearray(pack_table(table, "headers"))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        _, end = read_table(bytes(raw), 0)
    except ProtocolError:
        return
    assert end <= len(raw)
