"""Dead-letter headers, as RabbitMQ writes them, so that programs that read them find what they know.

Source: RabbitMQ's guide "Dead Letter Exchanges".  Pure: takes headers, returns new ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["EXPIRED", "REJECTED", "cycles", "with_death"]

REJECTED: Final = "rejected"
EXPIRED: Final = "expired"


def with_death(
    headers: Mapping[str, Any], *, reason: str, queue: str, exchange: str, routing_key: str, now: int
) -> dict[str, Any]:
    """*headers* and the news that the message died in *queue*; *now* is seconds since the epoch.

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
    """Whether the message has been in *queue* before and came back without anybody rejecting it on the way.

    Such a message would go round for ever; RabbitMQ drops it, and so do we.
    """
    deaths = _entries(headers)
    return any(entry.get("queue") == queue for entry in deaths) and all(
        entry.get("reason") != REJECTED for entry in deaths
    )


def _entries(headers: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    found = headers.get("x-death")
    # anybody may have written this header: what is no list of tables counts as none
    return [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, Sequence) else []
