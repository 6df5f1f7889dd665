from __future__ import annotations

import json
import math
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any
from uuid import UUID

import pytest

from kombu_green import extended_json
from kombu_green.exceptions import DecodeError, EncodeError
from kombu_green.extended_json import dumps, loads, register_type

ID = UUID("0532dcdd-293d-4570-aaf6-10780b7f0eca")
NOON = datetime(2026, 1, 31, 12, 0, 0, 123456)
Point = namedtuple("Point", "x y")


@pytest.fixture
def types(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten afterwards."""
    for name in ("_encoders", "_decoders", "_leaves", "_registered_enums"):
        monkeypatch.setattr(extended_json, name, getattr(extended_json, name).copy())


class Colour(Enum):
    RED = "red"
    ID = ID
    NAN = math.nan


class Level(IntEnum):
    HIGH = 3


class Kind(StrEnum):
    VIDEO = "video"


class Text(str):
    __slots__ = ()


class Written:
    def __init__(self, result: Any) -> None:
        self.result = result

    def __json__(self) -> Any:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@dataclass
class Data:
    a: int = 1


# -- the extended types ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (NOON, '{"__type__":"datetime","__value__":"2026-01-31T12:00:00.123456"}'),
        (NOON.replace(tzinfo=UTC), '{"__type__":"datetime","__value__":"2026-01-31T12:00:00.123456+00:00"}'),
        (
            datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=-5))),
            '{"__type__":"datetime","__value__":"0001-01-01T00:00:00-05:00"}',
        ),
        (date(2026, 1, 31), '{"__type__":"date","__value__":"2026-01-31"}'),
        (time(12, 0, 1), '{"__type__":"time","__value__":"12:00:01"}'),
        (time(12, tzinfo=UTC), '{"__type__":"time","__value__":"12:00:00+00:00"}'),
        (Decimal("1.10"), '{"__type__":"decimal","__value__":"1.10"}'),
        (Decimal("NaN"), '{"__type__":"decimal","__value__":"NaN"}'),
        (ID, '{"__type__":"uuid","__value__":{"hex":"0532dcdd293d4570aaf610780b7f0eca"}}'),
        (b"x\x00", '{"__type__":"bytes","__value__":"x\\u0000"}'),
        (b"", '{"__type__":"bytes","__value__":""}'),
        (b"\xff\x00", '{"__type__":"base64","__value__":"/wA="}'),
    ],
    ids=repr,
)
def test_extended_types(value: Any, wire: str) -> None:
    assert dumps(value) == wire.encode()
    for nested in (value, [value], {"a": {"b": [None, value, 1]}}):
        assert repr(loads(dumps(nested))) == repr(nested)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, "NaN"),
        ([1.5, -math.inf], "[1.5,-Infinity]"),
        ({"a": [(None, {"b": math.inf})]}, '{"a":[[null,{"b":Infinity}]]}'),
        (2**70, str(2**70)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        (2**64 - 1, str(2**64 - 1)),
        ("\ud800", '"\\ud800"'),
        ({1: "a", None: "b", False: "c", 1.5: "d"}, '{"1":"a","null":"b","false":"c","1.5":"d"}'),
        (Point(1, [2]), "[1,[2]]"),
        (OrderedDict(b=1, a=2), '{"b":1,"a":2}'),
        (defaultdict(list, a=[1]), '{"a":[1]}'),
        (Text("x"), '"x"'),
        ({Text("x"): Text("y")}, '{"x":"y"}'),
        (True, "true"),
        ("ä\u2028</", '"ä\u2028</"'),
        (-0.0, "-0.0"),
    ],
    ids=repr,
)
def test_what_orjson_refuses_or_writes_otherwise_is_written_as_kombu_does(value: Any, expected: str) -> None:
    assert dumps(value) == expected.encode()


@pytest.mark.parametrize("value", ["null", ["null", None, str(ID)], {"null": f"--{ID}--"}, [None, 1.5, (1,), {}]])
def test_what_only_looks_like_one_of_those_stays_what_it_is(value: Any) -> None:
    assert loads(dumps(value)) == json.loads(json.dumps(value))


def test_any_depth_that_the_standard_library_can_write() -> None:
    for depth in (253, 254, 255, 400):
        value: Any = 1
        for _ in range(depth):
            value = [value]
        assert loads(dumps(value)) == value
        assert loads(dumps([value, ID])) == [value, ID]


def test_an_enum_is_its_value() -> None:
    assert dumps([Colour.RED, Level.HIGH, Kind.VIDEO]) == b'["red",3,"video"]'
    assert dumps([Colour.RED, Colour.NAN, 2**70]) == f'["red",NaN,{2**70}]'.encode()
    assert loads(dumps({"id": Colour.ID})) == {"id": ID}


def test_objects_with_a_json_method() -> None:
    assert loads(dumps({"a": Written([1, None, {"b": Written(ID)}]), "c": Written(math.inf)})) == {
        "a": [1, None, {"b": ID}],
        "c": math.inf,
    }


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("18446744073709551615", "18446744073709551616", "-9223372036854775808", "-9223372036854775809"),
        *(
            "[1,12345678901234567890123]",
            '{"a":-1000000000000000000000}',
            "1700000000000000000",
            "1234567890123456789.5",
        ),
        *(
            "0.00012345678901234567",
            "1e22",
            "1E400",
            "-1e400",
            "NaN",
            "[Infinity,-Infinity]",
            '"\\ud800"',
            '{"a":1,"a":2}',
        ),
        *(
            " [ 1 ,\n2\t] ",
            '"12345678901234567890"',
            '"-1234567890123456789"',
            "-0",
            "1" * 4000,
            '"\\u005f"',
            "0.1e-400",
        ),
    ],
)
def test_reads_like_the_standard_library(text: str) -> None:
    expected = repr(json.loads(text))
    for data in (text, text.encode(), bytearray(text.encode()), memoryview(text.encode())):
        assert repr(loads(data)) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON: .*line 1 column 1"),
        (b"{\n'a': 1}", "not JSON: .*line 2 column 1"),
        (b"[1,]", "not JSON"),
        (b"[1] 2", "not JSON"),
        (b'"\t"', "not JSON"),
        (b"\xef\xbb\xbf1", "not JSON"),
        (b'{"a":"\xff"}', "not UTF-8: .* at byte 6"),
        ("[1]".encode("utf-16"), "not UTF-8"),
        (b"1" * 5000, "not JSON: Exceeds the limit"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"__type__":' * 100_000, "nested too deep"),
        (b'{"__type__":"colour","__value__":1}', "unknown __type__ 'colour': known are .*datetime"),
        (b'{"__type__":["uuid"],"__value__":1}', r"unknown __type__ \['uuid'\]"),
        (b'{"__type__":null,"__value__":1}', "unknown __type__ None"),
        (b'{"__type__":"datetime","__value__":"yesterday"}', "malformed __value__ of __type__ 'datetime': ValueError"),
        (b'{"__type__":"date","__value__":5}', "malformed __value__ of __type__ 'date': TypeError"),
        (b'{"__type__":"time","__value__":"25:00"}', "malformed __value__ of __type__ 'time'"),
        (b'{"__type__":"decimal","__value__":"one"}', "malformed __value__ of __type__ 'decimal'"),
        (b'{"__type__":"uuid","__value__":{}}', "malformed __value__ of __type__ 'uuid'"),
        (b'{"__type__":"uuid","__value__":{"hex":"12"}}', "malformed __value__ of __type__ 'uuid'"),
        (b'{"__type__":"base64","__value__":"/w!A="}', "malformed __value__ of __type__ 'base64'"),
        (b'{"__type__":"bytes","__value__":"\\ud800"}', "malformed __value__ of __type__ 'bytes'"),
    ],
)
def test_what_cannot_be_read_says_why(data: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        loads(data)
    with pytest.raises(DecodeError):
        loads(b"[1," + data + b"]")


def test_a_string_with_a_lone_surrogate_is_not_utf8() -> None:
    with pytest.raises(DecodeError, match="not UTF-8"):
        loads('"\ud800"')


def test_only_the_two_keys_alone_are_an_extended_type() -> None:
    for value in ({"__type__": "uuid"}, {"__type__": "uuid", "__value__": 1, "a": 2}, ["__type__"], {"__value__": 1}):
        assert loads(json.dumps(value)) == value


# -- errors of writing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"a": [1, {"b c": {1, 2}}]},
            r"builtins\.set cannot be written as JSON \(at body\['a'\]\[1\]\['b c'\]\): convert",
        ),
        (object(), r"builtins\.object cannot be written as JSON \(at body\)"),
        ([Data()], r"Data cannot be written as JSON \(at body\[0\]\)"),
        ([1j, None], r"complex cannot"),
        (bytearray(b"x"), "bytearray cannot"),
        (Written({1}), "set cannot be written as JSON .within what a __json__ method"),
        (Written(KeyError("gone")), "cannot be written as JSON: KeyError: 'gone'"),
        ({(1, 2): 3}, "keys must be str, int, float, bool or None, not tuple"),
        ({Colour.RED: 1}, "keys must be str.*not Colour"),
        (type, "cannot be written"),
    ],
)
def test_what_cannot_be_written_names_the_type_and_the_place(value: Any, message: str) -> None:
    with pytest.raises(EncodeError, match=message):
        dumps(value)


def test_circles_and_bottomless_values() -> None:
    circle: list[Any] = [{1}]
    circle[0:0] = [circle]
    with pytest.raises(EncodeError, match="Circular reference"):
        dumps(circle)
    circle.reverse()
    with pytest.raises(EncodeError, match=r"set cannot be written as JSON \(at body\[0\]\)"):
        dumps(circle)
    circle[:] = [Written({1}), circle]
    with pytest.raises(EncodeError, match=r"set cannot be written as JSON \(within"):
        dumps(circle)
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(EncodeError, match="nested too deep"):
        dumps(deep)


# -- registered types --------------------------------------------------------------------------------------------------


def test_a_registered_type_comes_back(types: None) -> None:
    register_type(Data, "data", lambda data: {"a": data.a}, lambda value: Data(**value))
    assert loads(dumps({"d": [Data(2**80), None]})) == {"d": [Data(2**80), None]}


def test_without_a_marker_it_is_written_plain(types: None) -> None:
    register_type(complex, None, lambda value: [value.real, value.imag])
    assert dumps({"c": 1 + 2j}) == b'{"c":[1.0,2.0]}'
    register_type(complex, None, str)
    assert dumps({"c": 1 + 2j}) == b'{"c":"(1+2j)"}'


def test_a_registered_enum_is_not_written_as_its_value(types: None) -> None:
    register_type(Colour, "colour", lambda colour: colour.name, lambda name: Colour[name])
    assert loads(dumps({"a": [Colour.RED, Level.HIGH]})) == {"a": [Colour.RED, 3]}


def test_a_builtin_type_can_be_registered_anew(types: None) -> None:
    register_type(datetime, "when", lambda when: when.timestamp(), lambda seconds: datetime.fromtimestamp(seconds, UTC))
    now = datetime(2026, 1, 31, tzinfo=UTC)
    assert dumps([now]) == b'[{"__type__":"when","__value__":1769817600.0}]'
    assert loads(dumps([now])) == [now]


def test_subclasses_are_written_as_the_class_they_come_from() -> None:
    class Moment(datetime):
        pass

    class Raw(bytes):
        pass

    assert loads(dumps([Moment(2026, 1, 31), Raw(b"\xff")])) == [datetime(2026, 1, 31), b"\xff"]
