"""The ladder, walked as the broker would walk it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kombu_green.exceptions import UnsupportedOption
from kombu_green.message import Content
from kombu_green.routing import matches_headers
from kombu_green.transport.amqp.delay_ladder import (
    LONGEST,
    OUT,
    DelayTarget,
    add_delay,
    arguments_of_queue,
    level_header,
    level_name,
    match_headers,
    remove_delay,
)

LEVELS = 24


def walk(exchange: str, headers: dict[str, Any]) -> int:
    """Seconds until a message reaches the way out."""
    waited = 0
    below = {level_name(level): level_name(level - 1) for level in range(LEVELS)}
    while exchange != OUT:
        level = next(level for level in range(LEVELS) if level_name(level) == exchange)
        if matches_headers(match_headers(level_header(level)), headers):
            arguments = arguments_of_queue(level, safe=True)
            waited += arguments["x-message-ttl"] // 1000
            exchange = arguments["x-dead-letter-exchange"]
        else:
            exchange = below[exchange]  # its alternate exchange
    return waited


@given(st.floats(0, LONGEST, exclude_min=True))
@example(1.0)
@example(0.001)
@example(float(LONGEST))
def test_waits_as_long_as_asked_never_less_and_less_than_a_second_more(delay: float) -> None:
    prepared = add_delay(Content(b""), DelayTarget.of("", "queue"), delay, 0.0)
    assert walk(prepared.exchange, prepared.content.headers) == math.ceil(delay)
    assert prepared.exchange == level_name(prepared.level)


@pytest.mark.parametrize("delay", [0, -1, LONGEST + 1, math.inf, math.nan])
def test_other_delays_are_refused(delay: float) -> None:
    with pytest.raises(UnsupportedOption, match="180 days"):
        add_delay(Content(b""), DelayTarget.of("", "queue"), delay, 0.0)


@pytest.mark.parametrize("target", [DelayTarget.of("", "queue"), DelayTarget.of("media", "video.mp4")])
def test_the_way_out_knows_the_target_and_no_other(target: DelayTarget) -> None:
    headers = add_delay(Content(b"", headers={"mine": 1}), target, 5, 0.0).content.headers
    others = [
        DelayTarget.of("", "other"),
        DelayTarget.of("other", ""),
        DelayTarget.of("queue", "queue"),
        DelayTarget.of("", "media"),
    ]
    assert matches_headers(match_headers(target.header()), headers)
    assert not any(matches_headers(match_headers(other.header()), headers) for other in others)


def test_what_arrives_is_what_was_sent() -> None:
    content = Content(b"body", "text/plain", "utf-8", {"mine": 1}, {"priority": 3})
    prepared = add_delay(content, DelayTarget.of("media", "video"), 3, 0.0)
    assert content.headers == {"mine": 1}
    headers, properties = prepared.content.headers, prepared.content.properties
    headers |= {"x-death": [{"count": 1}], "x-first-death-queue": "q", "x-last-death-reason": "expired"}
    assert remove_delay(headers, properties) == ("media", None)
    assert (headers, properties) == ({"mine": 1}, {"priority": 3})


def test_a_tenth_retry_carries_no_account_of_earlier_ones() -> None:
    headers: dict[str, Any] = {"mine": 1}
    for _ in range(10):
        prepared = add_delay(Content(b"", headers=headers), DelayTarget.of("", "queue"), 7, 0.0)
        assert not any(name.startswith("x-") for name in prepared.content.headers)
        headers = prepared.content.headers | {"x-death": [{"queue": level_name(2), "reason": "expired", "count": 1}]}
    remove_delay(headers, {})
    assert headers == {"mine": 1}


def test_an_expiration_begins_when_the_delay_ends() -> None:
    content = Content(b"", properties={"expiration": "1500"})
    prepared = add_delay(content, DelayTarget.of("", "queue"), 10, 1000.0)
    assert "expiration" not in prepared.content.properties
    found = remove_delay(prepared.content.headers, prepared.content.properties)
    assert found.expires == 1011.5
    assert prepared.content.properties == {"expiration": "1500"}
    assert prepared.content.headers == {}


@pytest.mark.parametrize("headers", [{"kombu-green-delay-exchange": 7}, {"kombu-green-delay-expires": "soon"}, {}])
def test_rubbish_in_the_marks_is_no_error(headers: dict[str, Any]) -> None:
    assert remove_delay(headers, {}) == ("", None)


@pytest.mark.parametrize("spoofed", ["soon", "", None, 5, ["5"]])
def test_an_expiration_that_is_none_is_left_out(spoofed: Any) -> None:
    content = Content(b"", headers={"kombu-green-delay-expiration": spoofed})
    remove_delay(content.headers, content.properties)
    assert content == Content(b"")
