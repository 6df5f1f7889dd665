from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import PreconditionFailed
from kombu_green.storage.equivalence import check_exchange, check_queue

QUEUE = QueueSpec("q", arguments={"x-message-ttl": 1000, "x-max-priority": 5})
EXCHANGE = ExchangeSpec("e", "topic", arguments={"alternate-exchange": "lost"})


def test_the_same_is_the_same() -> None:
    check_queue(QUEUE, QueueSpec("q", arguments={"x-max-priority": 5, "x-message-ttl": 1000}))
    check_exchange(EXCHANGE, replace(EXCHANGE))


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
        check_queue(QUEUE, replace(QUEUE, **change))
    assert str(caught.value) == f"queue 'q' exists with other arguments: {said}"


def test_all_differences_are_told_at_once() -> None:
    with pytest.raises(PreconditionFailed) as caught:
        check_exchange(EXCHANGE, ExchangeSpec("e", "direct", auto_delete=True))
    assert str(caught.value) == (
        "exchange 'e' exists with other arguments: type: there 'topic', asked 'direct';"
        " auto_delete: there False, asked True; alternate-exchange: there 'lost', asked nothing"
    )


def test_a_number_is_not_a_truth_value() -> None:
    with pytest.raises(PreconditionFailed, match="x-single-active-consumer: there True, asked 1"):
        check_queue(
            QueueSpec("q", arguments={"x-single-active-consumer": True}),
            QueueSpec("q", arguments={"x-single-active-consumer": 1}),
        )
