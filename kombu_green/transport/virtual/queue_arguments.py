"""Which arguments of a declaration, a consumer or a message are honoured on a store, and what they mean.  Pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from kombu_green import routing
from kombu_green.capabilities import Capabilities
from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import EncodeError, PreconditionFailed, UnsupportedOption
from kombu_green.message import PROPERTIES, Content
from kombu_green.storage.contract import Put

__all__ = ["HONOURED", "check_consumer_arguments", "check_delay", "check_exchange_support", "check_prefetch"]
__all__ += ["check_properties", "check_queue_support", "expiry", "priority_of", "put_for"]

_IsValid = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_milliseconds(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_level(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 255


#: the queue arguments that are honoured on a store, and what they may be
HONOURED: Final[Mapping[str, tuple[_IsValid, str]]] = {
    "x-dead-letter-exchange": (_is_text, "the name of an exchange"),
    "x-dead-letter-routing-key": (_is_text, "a routing key"),
    "x-max-priority": (_is_level, "a whole number from 0 to 255"),
    "x-message-ttl": (_is_milliseconds, "milliseconds, a whole number that is not negative"),
}

_MOST_PREFETCHED: Final = 0xFFFF  # AMQP's limit, here too so that a program runs on every transport


def check_queue_support(spec: QueueSpec, capabilities: Capabilities) -> None:
    """Raise :exc:`~kombu_green.exceptions.UnsupportedOption` for an argument that would be ignored.

    Raises :exc:`~kombu_green.exceptions.PreconditionFailed`, as RabbitMQ does, for a malformed one.
    """
    for name, value in spec.arguments.items():
        if name not in HONOURED:
            raise UnsupportedOption(
                f"queue {spec.name!r}: this transport cannot honour the argument {name!r}"
                f" (it can: {', '.join(sorted(HONOURED))})"
            )
        is_valid, meant = HONOURED[name]
        if not is_valid(value):
            raise PreconditionFailed(f"queue {spec.name!r}: {name} must be {meant}, not {value!r}")
    if "x-max-priority" in spec.arguments and not capabilities.priorities:
        raise UnsupportedOption(f"queue {spec.name!r}: this transport has no priorities")
    if "x-message-ttl" in spec.arguments and not capabilities.ttl:
        raise UnsupportedOption(f"queue {spec.name!r}: this transport has no time to live")


def check_exchange_support(spec: ExchangeSpec) -> None:
    """Raise :exc:`~kombu_green.exceptions.UnsupportedOption` for a type that is unknown and for any argument."""
    routing.check(spec.type)
    for name in spec.arguments:
        raise UnsupportedOption(f"exchange {spec.name!r}: this transport cannot honour the argument {name!r}")


def check_consumer_arguments(queue: str, arguments: Mapping[str, Any]) -> None:
    """Raise :exc:`~kombu_green.exceptions.UnsupportedOption`: a store honours no argument of a consumer."""
    for name in arguments:
        raise UnsupportedOption(f"a consumer of {queue!r}: this transport cannot honour the argument {name!r}")


def check_prefetch(size: int, count: int, for_all: bool) -> None:
    """Raise :exc:`~kombu_green.exceptions.UnsupportedOption` for a prefetch that would not be kept."""
    if size:
        raise UnsupportedOption(f"a prefetch size of {size} bytes: a prefetch counts messages here: use prefetch_count")
    if for_all:
        raise UnsupportedOption("a prefetch for all consumers together: each consumer has its own here")
    if not 0 <= count <= _MOST_PREFETCHED:
        raise UnsupportedOption(f"a prefetch of {count}: AMQP allows 0 to {_MOST_PREFETCHED}")


def check_delay(delay: float) -> None:
    """Raise ``ValueError`` for a delay that is negative or not a number."""
    if not delay >= 0:
        raise ValueError(f"delay={delay!r}: seconds, and not less than 0")


def check_properties(properties: Mapping[str, Any]) -> None:
    """Raise :exc:`~kombu_green.exceptions.EncodeError` for a property that AMQP does not have or cannot hold.

    So a message that can be published here can be published on every transport.
    """
    if not PROPERTIES.issuperset(properties):
        unknown = [str(name) for name, value in properties.items() if name not in PROPERTIES and value is not None]
        if unknown:
            raise EncodeError(
                f"AMQP has no property {', '.join(map(repr, sorted(unknown)))}"
                f" (it has: {', '.join(sorted(PROPERTIES))}; what is your own goes into headers)"
            )
    expiration = properties.get("expiration")
    if expiration is not None and not (str(expiration).isascii() and str(expiration).isdigit()):
        raise EncodeError(f"property expiration is {expiration!r}, and AMQP has milliseconds in digits there")


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
