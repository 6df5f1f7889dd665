"""Which arguments of a declaration are honoured on a store, and what they make of a message.  Pure."""

from __future__ import annotations

import time
from typing import Any, Final

from kombu_green import routing
from kombu_green.capabilities import Capabilities
from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import UnsupportedOption
from kombu_green.message import Content
from kombu_green.storage.contract import Put

__all__ = ["HONOURED", "check_exchange_support", "check_queue_support", "expiry", "priority_of", "put_for"]

#: the queue arguments that are honoured on a store
HONOURED: Final = frozenset({"x-dead-letter-exchange", "x-dead-letter-routing-key", "x-max-priority", "x-message-ttl"})


def check_queue_support(spec: QueueSpec, capabilities: Capabilities) -> None:
    """Raise :exc:`~kombu_green.exceptions.UnsupportedOption` for an argument that would be ignored."""
    for name in spec.arguments:
        if name not in HONOURED:
            raise UnsupportedOption(
                f"queue {spec.name!r}: this transport cannot honour the argument {name!r}"
                f" (it can: {', '.join(sorted(HONOURED))})"
            )
    if "x-max-priority" in spec.arguments and not capabilities.priorities:
        raise UnsupportedOption(f"queue {spec.name!r}: this transport has no priorities")
    if "x-message-ttl" in spec.arguments and not capabilities.ttl:
        raise UnsupportedOption(f"queue {spec.name!r}: this transport has no time to live")


def check_exchange_support(spec: ExchangeSpec) -> None:
    """Raise :exc:`~kombu_green.exceptions.UnsupportedOption` for a type that is unknown and for any argument."""
    routing.check(spec.type)
    for name in spec.arguments:
        raise UnsupportedOption(f"exchange {spec.name!r}: this transport cannot honour the argument {name!r}")


def put_for(spec: QueueSpec, content: Content, exchange: str, routing_key: str, delay: float = 0.0) -> Put:
    """What to put into the queue of *spec*; *delay* is in seconds."""
    return Put(
        spec.name, content, exchange, routing_key, priority_of(content, spec), delay, expiry(content, spec, delay)
    )


def priority_of(content: Content, spec: QueueSpec) -> int:
    """0 to 9, no more than the queue's ``x-max-priority``; a message without one has 0."""
    priority = _whole(content.properties.get("priority"))
    return max(0, min(priority or 0, 9, _whole(spec.arguments.get("x-max-priority"), 9) or 0))


def expiry(content: Content, spec: QueueSpec, delay: float) -> float | None:
    """When the message expires, in seconds since the epoch; None is never.

    The lower of the message's ``expiration`` and the queue's ``x-message-ttl`` counts, from the end of its *delay*.
    """
    limits = [
        limit
        for limit in (_whole(content.properties.get("expiration")), _whole(spec.arguments.get("x-message-ttl")))
        if limit is not None
    ]
    return time.time() + delay + min(limits) / 1000 if limits else None


def _whole(value: Any, default: int | None = None) -> int | None:
    """*value* as an integer, or *default* if it is none: properties are set by any publisher."""
    if value is None:  # the most frequent case, and an exception costs more than all other checks of a publish
        return default
    try:
        return int(value)
    except (TypeError, ValueError):
        return default
