from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import PreconditionFailed
from kombu_green.storage.declaration_rules import (
    clip_priority,
    max_priority,
    require_same_exchange,
    require_same_queue,
)

QUEUE = QueueSpec("q", arguments={"x-message-ttl": 1000, "x-max-priority": 5})
EXCHANGE = ExchangeSpec("e", "topic", arguments={"alternate-exchange": "lost"})


def test_an_equal_declaration_is_accepted() -> None:
    require_same_queue(QUEUE, QueueSpec("q", arguments={"x-max-priority": 5, "x-message-ttl": 1000}))
    require_same_exchange(EXCHANGE, replace(EXCHANGE))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"durable": False}, "durable: there True, asked False"),
        ({"arguments": {"x-message-ttl": 1000}}, "x-max-priority: there 5, asked nothing"),
        ({"arguments": {**QUEUE.arguments, "x-expires": 1}}, "x-expires: there nothing, asked 1"),
        ({"arguments": {"x-message-ttl": True, "x-max-priority": 5}}, "x-message-ttl: there 1000, asked True"),
    ],
)
def test_a_difference_is_named_with_both_values(change: dict[str, Any], said: str) -> None:
    with pytest.raises(PreconditionFailed) as caught:
        require_same_queue(QUEUE, replace(QUEUE, **change))
    assert str(caught.value) == f"queue 'q' exists with other arguments: {said}"


def test_all_differences_are_told_at_once() -> None:
    with pytest.raises(PreconditionFailed) as caught:
        require_same_exchange(EXCHANGE, ExchangeSpec("e", "direct", auto_delete=True))
    assert str(caught.value) == (
        "exchange 'e' exists with other arguments: type: there 'topic', asked 'direct';"
        " auto_delete: there False, asked True; alternate-exchange: there 'lost', asked nothing"
    )


def test_true_and_1_are_different_arguments() -> None:
    with pytest.raises(PreconditionFailed, match="x-single-active-consumer: there True, asked 1"):
        require_same_queue(
            QueueSpec("q", arguments={"x-single-active-consumer": True}),
            QueueSpec("q", arguments={"x-single-active-consumer": 1}),
        )


@pytest.mark.parametrize(("value", "highest"), [(0, 0), (5, 5), (9, 9), (10, 9), (255, 9)])
def test_x_max_priority_lowers_the_highest_priority_but_cannot_raise_it(value: int, highest: int) -> None:
    assert max_priority({"x-max-priority": value}) == highest


def test_without_x_max_priority_the_highest_is_9() -> None:
    assert max_priority({}) == 9


@pytest.mark.parametrize("value", [-1, 256, "5", 5.0, True, None])
def test_an_x_max_priority_out_of_range_is_refused(value: Any) -> None:
    with pytest.raises(PreconditionFailed, match="x-max-priority"):
        max_priority({"x-max-priority": value})


def test_a_priority_out_of_range_is_clipped() -> None:
    assert [clip_priority(priority, 5) for priority in (-1, 0, 4, 5, 6, 255)] == [0, 0, 4, 5, 5, 5]
