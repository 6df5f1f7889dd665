"""What a dead-lettered message carries, as in RabbitMQ, so that programs that read it find what they know.

Source: RabbitMQ's guide "Dead Letter Exchanges".  Pure: returns new headers and contents, and changes none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kombu_green.message import Content
from kombu_green.storage.contract import Reserved

__all__ = ["EXPIRED", "REJECTED", "cycles", "dead_content", "with_death"]

REJECTED: Final = "rejected"
EXPIRED: Final = "expired"


def dead_content(reserved: Reserved, reason: str, now: int) -> Content:
    """The message as it goes to the dead-letter exchange of its queue; *now* is seconds since the epoch."""
    content = reserved.content
    headers = with_death(
        content.headers,
        reason=reason,
        queue=reserved.receipt.queue,
        exchange=reserved.exchange,
        routing_key=reserved.routing_key,
        now=now,
    )
    # as in RabbitMQ, a message that has expired must not expire again in the dead-letter queue
    properties = {name: value for name, value in content.properties.items() if name != "expiration"}
    return Content(content.body, content.content_type, content.content_encoding, headers, properties)


def with_death(
    headers: Mapping[str, Any], *, reason: str, queue: str, exchange: str, routing_key: str, now: int
) -> dict[str, Any]:
    """*headers* with the record that the message was dead-lettered in *queue*; *now* is seconds since the epoch.

    ``x-death`` has one entry for each queue and reason, the latest first, with a count.
    """
    earlier = _entries(headers)
    same = [entry for entry in earlier if (entry.get("queue"), entry.get("reason")) == (queue, reason)]
    others = [entry for entry in earlier if entry not in same]
    count = same[0].get("count", 0) if same else 0
    entry = {
        "reason": reason,
        "count": (count if isinstance(count, int) else 0) + 1,
        "exchange": exchange,
        "routing-keys": [routing_key],
        "queue": queue,
        "time": now,
    }
    first = {"x-first-death-reason": reason, "x-first-death-queue": queue, "x-first-death-exchange": exchange}
    return {**first, **headers, "x-death": [entry, *others]}


def cycles(headers: Mapping[str, Any], queue: str) -> bool:
    """Whether the message was dead-lettered in *queue* before, and was rejected nowhere on its way back.

    It would go round for ever.  RabbitMQ drops it, and so does this package.
    """
    deaths = _entries(headers)
    return any(entry.get("queue") == queue for entry in deaths) and all(
        entry.get("reason") != REJECTED for entry in deaths
    )


def _entries(headers: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = headers.get("x-death")
    # any publisher may have set this header: what is no list of tables counts as none
    return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, Sequence) else []
