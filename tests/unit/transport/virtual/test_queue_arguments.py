from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import PreconditionFailed, UnsupportedOption
from kombu_green.message import PROPERTIES, Content
from kombu_green.storage.memory import MemoryStore
from kombu_green.transport.amqp.protocol.properties import _KNOWN
from kombu_green.transport.virtual.queue_arguments import (
    check_consumer_arguments,
    check_exchange_support,
    check_properties,
    check_queue_support,
    expiry,
    priority_of,
    put_for,
)

ALL = MemoryStore.capabilities


def content(**properties: Any) -> Content:
    return Content(b"x", properties=properties)


def test_an_argument_that_would_be_ignored_is_refused() -> None:
    check_queue_support(QueueSpec("q", arguments={"x-max-priority": 5, "x-message-ttl": 1000}), ALL)
    with pytest.raises(UnsupportedOption, match=r"'q'.*'x-expires'.*it can: x-dead-letter-exchange"):
        check_queue_support(QueueSpec("q", arguments={"x-expires": 1000}), ALL)


@pytest.mark.parametrize(("argument", "lacking"), [("x-max-priority", "priorities"), ("x-message-ttl", "ttl")])
def test_an_argument_that_this_store_cannot_honour_is_refused(argument: str, lacking: str) -> None:
    spec = QueueSpec("q", arguments={argument: 5})
    without: dict[str, Any] = {lacking: False}
    check_queue_support(spec, ALL)
    with pytest.raises(UnsupportedOption, match="'q'"):
        check_queue_support(spec, replace(ALL, **without))


@pytest.mark.parametrize(
    "arguments",
    [
        {"x-message-ttl": -1},
        {"x-message-ttl": "soon"},
        {"x-message-ttl": 1.5},
        {"x-message-ttl": True},
        {"x-max-priority": 256},
        {"x-dead-letter-exchange": 5},
        {"x-dead-letter-routing-key": None},
    ],
    ids=str,
)
def test_a_malformed_argument_is_refused_as_rabbitmq_does(arguments: dict[str, Any]) -> None:
    (name,) = arguments
    with pytest.raises(PreconditionFailed, match=f"'q': {name} must be"):
        check_queue_support(QueueSpec("q", arguments=arguments), ALL)


def test_an_argument_of_a_consumer_is_refused() -> None:
    check_consumer_arguments("q", {})
    with pytest.raises(UnsupportedOption, match=r"'q'.*'x-priority'"):
        check_consumer_arguments("q", {"x-priority": 1})


def test_all_properties_of_amqp_are_taken() -> None:
    check_properties({**dict.fromkeys(PROPERTIES), "expiration": 5, "of a library": None})
    assert PROPERTIES == _KNOWN


def test_an_exchange_has_a_known_type_and_no_arguments() -> None:
    check_exchange_support(ExchangeSpec("e", "topic"))
    with pytest.raises(UnsupportedOption, match="alternate-exchange"):
        check_exchange_support(ExchangeSpec("e", "topic", arguments={"alternate-exchange": "x"}))
    with pytest.raises(UnsupportedOption, match="x-random"):
        check_exchange_support(ExchangeSpec("e", "x-random"))


@pytest.mark.parametrize(
    ("priority", "arguments", "expected"),
    [
        (None, {}, 0),
        (4, {}, 4),
        (200, {}, 9),
        (-1, {}, 0),
        (7, {"x-max-priority": 5}, 5),
        ("high", {}, 0),
        ("3", {}, 3),
    ],
)
def test_a_priority_is_clipped_to_what_the_queue_has(priority: Any, arguments: dict[str, Any], expected: int) -> None:
    assert priority_of(content(priority=priority), QueueSpec("q", arguments=arguments)) == expected


@pytest.mark.parametrize(
    ("expiration", "ttl", "milliseconds"),
    [("5000", None, 5000), (None, 3000, 3000), ("5000", 3000, 3000), (2000, 3000, 2000)],
)
def test_the_lower_of_expiration_and_ttl_counts_from_the_end_of_the_delay(
    expiration: Any, ttl: int | None, milliseconds: int
) -> None:
    spec = QueueSpec("q", arguments={} if ttl is None else {"x-message-ttl": ttl})
    before = time.time()
    expires = expiry(content(expiration=expiration), spec, delay=10)
    assert expires is not None
    assert before + 10 + milliseconds / 1000 <= expires <= time.time() + 10 + milliseconds / 1000


def test_without_a_limit_a_message_does_not_expire() -> None:
    assert put_for(QueueSpec("q"), content(expiration="soon"), "", "q").expires is None
