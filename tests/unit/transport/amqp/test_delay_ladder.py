"""The ladder: a message goes through it as on the broker, and a driver declares what it needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kombu_green.clock import Deadline
from kombu_green.exceptions import NotFound, PreconditionFailed, UnsupportedOption
from kombu_green.message import Content
from kombu_green.routing import matches_headers
from kombu_green.transport.amqp.delay_ladder import (
    LONGEST,
    OUT,
    UNROUTABLE,
    DelayLadder,
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
def test_the_last_exchange_routes_to_the_target_and_to_no_other(target: DelayTarget) -> None:
    headers = add_delay(Content(b"", headers={"mine": 1}), target, 5, 0.0).content.headers
    others = [
        DelayTarget.of("", "other"),
        DelayTarget.of("other", ""),
        DelayTarget.of("queue", "queue"),
        DelayTarget.of("", "media"),
    ]
    assert matches_headers(match_headers(target.header()), headers)
    assert not any(matches_headers(match_headers(other.header()), headers) for other in others)


def test_a_message_arrives_as_it_was_sent() -> None:
    content = Content(b"body", "text/plain", "utf-8", {"mine": 1}, {"priority": 3})
    prepared = add_delay(content, DelayTarget.of("media", "video"), 3, 0.0)
    assert content.headers == {"mine": 1}
    headers, properties = prepared.content.headers, prepared.content.properties
    headers |= {"x-death": [{"count": 1}], "x-first-death-queue": "q", "x-last-death-reason": "expired"}
    assert remove_delay(headers, properties) == ("media", None)
    assert (headers, properties) == ({"mine": 1}, {"priority": 3})


def test_a_tenth_retry_has_no_headers_of_earlier_delays() -> None:
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
def test_malformed_headers_are_ignored(headers: dict[str, Any]) -> None:
    assert remove_delay(headers, {}) == ("", None)


@pytest.mark.parametrize("spoofed", ["soon", "", None, 5, ["5"]])
def test_a_malformed_expiration_is_ignored(spoofed: Any) -> None:
    content = Content(b"", headers={"kombu-green-delay-expiration": spoofed})
    remove_delay(content.headers, content.properties)
    assert content == Content(b"")


# -- declaring


class Broker:
    """Notes what a driver would declare and bind."""

    def __init__(self, exists: tuple[str, ...] = ("queue", "media"), refuses: str = "") -> None:
        self.exists = exists
        self.refuses = refuses
        self.exchanges: list[str] = []
        self.queues: list[str] = []
        self.bindings: list[tuple[str, str]] = []

    def declare_exchange(self, exchange: str, type: str, *, arguments: Mapping[str, Any], **how: Any) -> None:
        assert arguments.get("alternate-exchange", UNROUTABLE) in (*self.exchanges, UNROUTABLE)
        self.exchanges.append(exchange)

    def declare_queue(self, queue: str, *, arguments: Mapping[str, Any], **how: Any) -> None:
        if self.refuses and queue != UNROUTABLE:
            raise PreconditionFailed(f"queue {queue!r} exists with other arguments: {self.refuses}")
        self.queues.append(queue)

    def bind_exchange(
        self, destination: str, source: str, key: str, arguments: Mapping[str, Any], deadline: Deadline
    ) -> None:
        self.bind_queue(destination, source, key, arguments, deadline)

    def bind_queue(self, queue: str, exchange: str, key: str, arguments: Mapping[str, Any], deadline: Deadline) -> None:
        if queue not in (*self.exists, *self.queues) and not self.refuses:
            raise NotFound(f"no queue {queue!r}")
        self.bindings.append((queue, exchange))


def prepare(ladder: DelayLadder, delay: float, exchange: str = "", routing_key: str = "queue") -> str:
    return ladder.prepare(Content(b""), exchange, routing_key, delay, Deadline.never()).exchange


def test_levels_are_declared_once_and_from_below() -> None:
    broker = Broker()
    ladder = DelayLadder(broker, safe=True)
    assert prepare(ladder, 5) == level_name(2)
    assert broker.exchanges == [UNROUTABLE, OUT, level_name(0), level_name(1), level_name(2)]
    assert prepare(ladder, 1) == level_name(0)
    assert prepare(ladder, 9) == level_name(3)
    assert broker.exchanges[5:] == [level_name(3)]
    assert broker.queues == [UNROUTABLE, *map(level_name, range(4))]


def test_a_target_is_bound_once_in_a_while() -> None:
    broker = Broker()
    ladder = DelayLadder(broker, safe=True)
    for _ in range(3):
        prepare(ladder, 1)
        prepare(ladder, 1, "media", "video")
    assert [binding for binding in broker.bindings if binding[1] == OUT] == [("queue", OUT), ("media", OUT)]


def test_a_target_that_does_not_exist_is_not_found() -> None:
    with pytest.raises(NotFound, match="missing"):
        prepare(DelayLadder(Broker(), safe=True), 1, "", "missing")


def test_queues_that_an_older_broker_was_given_are_used_and_other_differences_are_refused() -> None:
    prepare(DelayLadder(Broker(refuses="x-queue-type: there 'classic', asked 'quorum'"), safe=True), 1)
    with pytest.raises(PreconditionFailed, match="x-message-ttl"):
        prepare(DelayLadder(Broker(refuses="x-message-ttl: there '5', asked '1000'"), safe=True), 1)
