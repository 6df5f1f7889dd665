from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kombu_green.dispatch.key_pattern import KeyPattern
from kombu_green.routing import matches_topic

WORDS = ["a", "b", "*", "#"]
patterns = st.lists(st.sampled_from(WORDS), max_size=5).map(".".join)
keys = st.lists(st.sampled_from(["a", "b", "c"]), max_size=6).map(".".join)

# every key of up to five words: long enough to tell patterns of up to three words apart
KEYS = [".".join(words) for size in range(6) for words in product("abc", repeat=size)]


def reference(pattern: list[str], key: list[str]) -> bool:
    """AMQP's definition, read aloud."""
    if not pattern:
        return not key
    first, rest = pattern[0], pattern[1:]
    if first == "#":
        return any(reference(rest, key[skipped:]) for skipped in range(len(key) + 1))
    return bool(key) and first in ("*", key[0]) and reference(rest, key[1:])


def words(text: str) -> list[str]:
    return text.split(".") if text else []


@pytest.mark.parametrize(
    ("pattern", "key", "taken"),
    [
        ("a.#", "a", True),
        ("a.#", "a.b.c", True),
        ("a.*", "a.b.c", False),
        ("a.*", "a", False),
        ("*.stock.#", "usd.stock", True),
        ("*.stock.#", "eur.stock.db", True),
        ("*.stock.#", "stock.nasdaq", False),
        ("#", "", True),
        ("*", "", False),
        ("", "", True),
        ("", "a", False),
        ("a.*.b", "a..b", True),  # an empty word is a word
        ("a+b", "aab", False),  # nothing else is special
        ("a", "*", False),
    ],
)
def test_matches(pattern: str, key: str, taken: bool) -> None:
    assert KeyPattern(pattern).matches(key) is taken


@given(patterns, keys)
def test_matches_as_amqp_says_and_as_a_topic_exchange_does(pattern: str, key: str) -> None:
    assert KeyPattern(pattern).matches(key) is reference(words(pattern), words(key)) is matches_topic(pattern, key)


@given(patterns, patterns)
def test_a_common_key_is_found_exactly_when_there_is_one(first: str, second: str) -> None:
    one, other = KeyPattern(first), KeyPattern(second)
    key = one.common(other)
    if key is None:
        assert not any(one.matches(key) and other.matches(key) for key in KEYS)
    else:
        assert reference(words(first), words(key))
        assert reference(words(second), words(key))


short = st.lists(st.sampled_from(WORDS), max_size=3).map(".".join)


@given(short, short)
def test_a_pattern_that_takes_a_part_of_another_one_comes_first(first: str, second: str) -> None:
    one, other = KeyPattern(first), KeyPattern(second)
    ones, others = {k for k in KEYS if one.matches(k)}, {k for k in KEYS if other.matches(k)}
    if ones < others:
        assert one.rank < other.rank
    if ones == others:
        assert one.rank == other.rank


@pytest.mark.parametrize(("one", "other"), [("#.#", "#"), ("a.#.*.#", "a.*.#"), ("#.*", "*.#")])
def test_two_ways_to_write_one_pattern_are_equal_in_rank(one: str, other: str) -> None:
    assert KeyPattern(one).rank == KeyPattern(other).rank


def test_more_literal_words_first_then_star_before_hash() -> None:
    in_order = ["a.b.c", "a.b.*", "a.b.#", "a.*.*", "a.*", "a.*.#", "a.#", "*.*", "*", "*.#", "#"]
    shuffled = in_order[1::2] + in_order[::2]
    assert sorted(shuffled, key=lambda text: KeyPattern(text).rank) == in_order


def test_a_long_foreign_key_is_answered_at_once() -> None:
    assert not KeyPattern("#.a.#.a.#.a.#.a.#.b").matches(".".join("a" * 127))
