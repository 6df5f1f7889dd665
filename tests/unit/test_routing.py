from __future__ import annotations

import time
import tracemalloc
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kombu_green.exceptions import UnsupportedOption
from kombu_green.routing import EXCHANGE_TYPES, Binding, Router, check, matches, matches_headers, matches_topic

NOTHING: Mapping[str, Any] = {}


# -- topic ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [
        ("a.#", ["a", "a.b", "a.b.c", "a."], ["", "b", "b.a", "ab"]),
        ("a.*", ["a.b", "a."], ["a", "a.b.c", "b.a"]),
        ("*.stock.#", ["usd.stock", "eur.stock.db"], ["stock.nasdaq", "stock", "usd.bonds.stock"]),
        ("#", ["", "a", "a.b", "."], []),
        ("*", ["a", "ä"], ["", "a.b", "."]),
        ("", [""], ["a", "."]),
        ("#.b", ["b", "a.b", "a.c.b", "b.b"], ["", "b.a"]),
        ("a.#.b", ["a.b", "a.x.b", "a.b.b", "a.x.y.b"], ["a", "b", "a.x"]),
        ("#.a.#.b.#", ["a.b", "x.a.y.b.z", "b.a.b"], ["b.a", "a", ""]),
        ("#.#", ["", "a", "a.b"], []),
        ("*.#", ["a", "a.b", "."], [""]),
        ("#.*", ["a", "a.b"], [""]),
        ("#.*.*", ["a.b", "a.b.c"], ["a", ""]),
        ("a..b", ["a..b"], ["a.b", "a.x.b"]),
        ("a.*.b", ["a..b", "a.x.b"], ["a.b"]),
        ("a*", ["a*"], ["ab", "a"]),  # wildcards are whole words
        ("a.b+", ["a.b+"], ["a.bb"]),
    ],
)
def test_topic_patterns(pattern: str, fits: list[str], fits_not: list[str]) -> None:
    assert [key for key in fits + fits_not if matches_topic(pattern, key)] == fits


def reference(pattern: Sequence[str], words: Sequence[str]) -> bool:
    """The definition, word by word, with all the ways that # can go."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return reference(pattern[1:], words) or (bool(words) and reference(pattern, words[1:]))
    return bool(words) and pattern[0] in ("*", words[0]) and reference(pattern[1:], words[1:])


def split(text: str) -> list[str]:
    return text.split(".") if text else []


KEYS = st.lists(st.sampled_from(["a", "b", "cc", ""]), max_size=7).map(".".join)
PATTERNS = st.lists(st.sampled_from(["a", "b", "cc", "", "*", "#", "#"]), max_size=7).map(".".join)


@given(PATTERNS, KEYS)
@example("#.a.b.#.b", "a.a.b.b.a.b")
def test_topic_agrees_with_the_definition(pattern: str, key: str) -> None:
    assert matches_topic(pattern, key) is reference(split(pattern), split(key))


@given(KEYS)
def test_a_key_matches_itself(key: str) -> None:
    assert matches_topic(key, key)


@given(PATTERNS, KEYS)
def test_one_more_hash_never_hurts(pattern: str, key: str) -> None:
    if matches_topic(pattern, key):
        assert matches_topic(f"{pattern}.#" if pattern else "#", key)


def test_a_hostile_pattern_costs_no_more_than_its_length_times_the_key() -> None:
    pattern, key = ".".join(["#", "a"] * 60 + ["b"]), ".".join(["a"] * 120)
    begin = time.process_time()
    assert not matches_topic(pattern, key)
    assert time.process_time() - begin < 1.0  # a backtracking matcher would not come back


# -- headers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "headers", "expected"),
    [
        ({"a": 1, "b": "x"}, {"a": 1, "b": "x", "c": 0}, True),
        ({"a": 1, "b": "x"}, {"a": 1}, False),
        ({"x-match": "all", "a": 1, "b": "x"}, {"a": 1, "b": "y"}, False),
        ({"x-match": "any", "a": 1, "b": "x"}, {"b": "x"}, True),
        ({"x-match": "any", "a": 1, "b": "x"}, {"b": "y"}, False),
        ({}, {}, True),
        ({"x-match": "any"}, {"a": 1}, False),
        ({"x-match": "all", "x-b": 1}, {}, True),  # not looked at: nothing is asked for
        ({"x-match": "any", "x-b": 1}, {"x-b": 1}, False),
        ({"x-match": "all-with-x", "x-b": 1}, {}, False),
        ({"x-match": "all-with-x", "x-b": 1}, {"x-b": 1}, True),  # x-match itself is not asked for
        ({"x-match": "any-with-x", "a": 1, "x-b": 1}, {"x-b": 1}, True),
        ({"x-match": "any-with-x", "a": 1, "x-b": 1}, {"x-b": 2}, False),
        ({"a": None}, {"a": "whatever"}, True),
        ({"a": None}, {"a": None}, True),
        ({"a": None}, {"b": 1}, False),
        ({"a": 0}, {"a": None}, False),
    ],
)
def test_headers(arguments: dict[str, Any], headers: dict[str, Any], expected: bool) -> None:
    assert matches_headers(arguments, headers) is expected


VALUES: list[Any] = [
    True,
    False,
    1,
    0,
    1.0,
    0.0,
    "1",
    "True",
    b"1",
    "",
    [],
    [1],
    [True],
    [1.0],
    {},
    {"k": 1},
    {"k": True},
]
VALUES += [[[1]], [["1"]], Decimal(1), datetime(2026, 1, 31, tzinfo=UTC), {"k": [1]}, {"k": [True]}, {"j": 1}]


@pytest.mark.parametrize("wanted", VALUES, ids=repr)
def test_header_values_are_equal_only_with_equal_types(wanted: Any) -> None:
    assert [value for value in VALUES if matches_headers({"a": wanted}, {"a": value})] == [wanted]
    assert sum(matches_headers({"a": wanted}, {"a": value}) for value in VALUES) == 1


MODES = {"all": (all, False), "any": (any, False), "all-with-x": (all, True), "any-with-x": (any, True)}
TABLES = st.dictionaries(st.sampled_from(["a", "b", "x-c"]), st.sampled_from([1, True, "1", None]))


@given(st.sampled_from(sorted(MODES)), TABLES, TABLES)
def test_headers_agree_with_the_definition(mode: str, arguments: dict[str, Any], headers: dict[str, Any]) -> None:
    decide, with_x = MODES[mode]
    judged = []
    for name, value in arguments.items():
        if with_x or not name.startswith("x-"):
            there = headers.get(name, "absent")
            judged.append(name in headers if value is None else (type(there), there) == (type(value), value))
    assert matches_headers({"x-match": mode, **arguments}, headers) is decide(judged)


# -- one binding, and all of an exchange -------------------------------------------------------------------------------


def test_direct_and_fanout() -> None:
    video = Binding("q", "video")
    assert matches("direct", video, "video", NOTHING)
    assert not matches("direct", video, "video.hd", NOTHING)
    assert not matches("direct", Binding("q", "#"), "video", NOTHING)
    assert matches("direct", Binding("q"), "", NOTHING)
    assert matches("fanout", video, "anything", NOTHING)


@given(
    st.sampled_from(EXCHANGE_TYPES),
    st.lists(st.builds(Binding, st.sampled_from("pqrs"), PATTERNS, TABLES), max_size=6),
    st.lists(st.tuples(KEYS, TABLES), max_size=4),
)
def test_a_router_gives_each_matching_queue_once_in_the_order_of_bindings(
    kind: str, bindings: list[Binding], messages: list[tuple[str, dict[str, Any]]]
) -> None:
    router = Router(kind, iter(bindings))
    for key, headers in messages * 2:  # the second time from the router's memory
        queues = [binding.queue for binding in bindings if matches(kind, binding, key, headers)]
        assert router.route(key, headers) == tuple(dict.fromkeys(queues))


@pytest.mark.parametrize("kind", EXCHANGE_TYPES)
def test_an_exchange_without_bindings_routes_nowhere(kind: str) -> None:
    assert Router(kind, ()).route("a", {"a": 1}) == ()


def test_a_topic_router_stays_small_and_right() -> None:
    router = Router("topic", [Binding("evens", "0.#"), Binding("all", "#")])
    tracemalloc.start()
    try:
        for number in range(10_000):
            expected = ("evens", "all") if number % 2 == 0 else ("all",)
            assert router.route(f"{number % 2}.{number:01000}", NOTHING) == expected
        assert tracemalloc.get_traced_memory()[0] < 6_000_000  # all those keys are 10 MB
    finally:
        tracemalloc.stop()


def test_bindings_are_values() -> None:
    assert Binding("q", "k", {"a": 1}) == Binding("q", "k", {"a": 1}) != Binding("q", "k", {"a": 2})
    assert len({Binding("q", "k"), Binding("q", "k"), Binding("q", "l"), Binding("q", "k", {"a": [1]})}) == 3


def test_unknown_exchange_types_are_refused_with_those_that_exist() -> None:
    for refuse in (
        lambda: check("topics"),
        lambda: Router("topics", ()),
        lambda: matches("topics", Binding("q"), "", {}),
    ):
        with pytest.raises(UnsupportedOption, match="'topics': known are direct, fanout, headers, topic"):
            refuse()


@pytest.mark.parametrize("x_match", ["some", 1, None, ["all"]])
def test_unknown_x_match_is_refused_with_the_queue(x_match: Any) -> None:
    binding = Binding("media", "", {"x-match": x_match})
    with pytest.raises(
        UnsupportedOption, match=r"queue 'media' is bound with x-match .*known are all, any, all-with-x"
    ):
        check("headers", binding)
    with pytest.raises(UnsupportedOption, match="x-match"):
        Router("headers", [binding])
    check("topic", binding)  # means nothing there
