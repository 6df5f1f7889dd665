"""kombu's JSON is read here, and the reverse."""

from __future__ import annotations

import json
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from datetime import UTC, timedelta, timezone
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kombu.utils import json as kombu_json

from kombu_green import extended_json
from kombu_green.exceptions import DecodeError, EncodeError

kombu_dumps: Callable[[Any], str] = kombu_json.dumps
kombu_loads: Callable[[Any], Any] = kombu_json.loads

Pair = namedtuple("Pair", "left right")

ZONES = st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=3))])
TEXT = st.text(st.characters(codec=None, categories=None), max_size=12)  # lone surrogates, too
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**62, max_value=2**66) | st.integers(min_value=-(2**66), max_value=-(2**62)),
    st.floats(),
    TEXT,
    st.binary(max_size=12),
    st.datetimes(timezones=ZONES),
    st.dates(),
    st.times(timezones=ZONES),
    st.decimals(),
    st.uuids(),
    st.uuids().map(str),
)
KEYS = st.one_of(TEXT, TEXT, st.integers(), st.none(), st.booleans(), st.floats())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.builds(Pair, inner, inner),
        st.dictionaries(KEYS, inner, max_size=4),
        st.dictionaries(TEXT, inner, max_size=4),
        st.dictionaries(TEXT, inner, max_size=4).map(OrderedDict),
    ),
    max_leaves=12,
)

thorough = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def outcome(function: Callable[[Any], Any], argument: Any) -> str:
    """The exact result (types, NaN, the sign of zero, the order of keys), or that it fails."""
    try:
        return repr(function(argument))
    except (DecodeError, EncodeError, ValueError, TypeError, ArithmeticError, AttributeError, LookupError):
        return "an error"


@thorough
@given(VALUES)
@example({"id": None, "when": [float("nan"), 2**64]})
def test_kombu_reads_what_we_write(value: Any) -> None:
    assert repr(kombu_loads(extended_json.dumps(value))) == repr(kombu_loads(kombu_dumps(value)))


@thorough
@given(VALUES)
def test_we_read_what_kombu_writes(value: Any) -> None:
    wire = kombu_dumps(value)
    assert repr(extended_json.loads(wire.encode())) == repr(kombu_loads(wire))


@thorough
@given(VALUES)
def test_we_read_what_we_write(value: Any) -> None:
    wire = extended_json.dumps(value)
    assert repr(extended_json.loads(wire)) == repr(kombu_loads(wire))


def join_pairs(pairs: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{key}:{value}" for key, value in pairs) + "}"


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
TOKENS = st.one_of(
    NUMBERS,
    st.sampled_from(
        ["NaN", "Infinity", "-Infinity", "null", "true", "", "[", "]", "{", "}", ",", " ", "\n", '"', "\\"]
    ),
    TEXT.map(json.dumps),
    st.sampled_from(["__type__", "__value__", "uuid", "datetime", "bytes", "colour"]).map(json.dumps),
)
DOCUMENTS = st.recursive(
    TOKENS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(TOKENS, inner), max_size=3).map(join_pairs),
        inner.map(lambda value: f'{{"__type__":"decimal","__value__":{value}}}'),
        inner.map(lambda value: f'{{"__type__":"bytes","__value__":{value}}}'),
    ),
    max_leaves=8,
)


@thorough
@given(DOCUMENTS)
@example("[1,18446744073709551616,-9223372036854775809]")
@example('{"__type__": "uuid", "__value__": {"hex": "0532dcdd293d4570aaf610780b7f0eca"}}')
def test_any_document_reads_the_same_or_fails_in_both(document: str) -> None:
    wire = document.encode("utf-8", "surrogatepass")
    assert outcome(extended_json.loads, wire) == outcome(kombu_loads, wire)


@thorough
@given(VALUES, st.sampled_from([{1}, object, 1j, bytearray(b"x"), range(3)]))
def test_both_refuse_the_same_values(value: Any, unwritable: Any) -> None:
    assert outcome(extended_json.dumps, [value, {"a": unwritable}]) == "an error"
    assert outcome(kombu_dumps, [value, {"a": unwritable}]) == "an error"


def test_json_methods_are_honoured_alike() -> None:
    class Body:
        def __json__(self) -> Any:
            return {"task": "media", "args": [None, b"x"]}

    assert kombu_loads(extended_json.dumps([Body()])) == kombu_loads(kombu_dumps([Body()]))


def test_types_registered_on_both_sides_round_trip() -> None:
    for register in (extended_json.register_type, kombu_json.register_type):
        register(complex, "interop-complex", lambda value: [value.real, value.imag], lambda pair: complex(*pair))
    try:
        assert kombu_loads(extended_json.dumps({"c": 1 + 2j})) == {"c": 1 + 2j}
        assert extended_json.loads(kombu_dumps({"c": 1 + 2j})) == {"c": 1 + 2j}
    finally:
        for module in (extended_json, kombu_json):
            module._encoders.pop(complex)
            module._decoders.pop("interop-complex")
