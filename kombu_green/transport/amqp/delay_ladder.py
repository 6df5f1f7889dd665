"""Delayed delivery on RabbitMQ without a plug-in: a ladder of queues that hold a message for 1, 2, 4, … seconds.

A delay of 11 seconds is 8 + 2 + 1: the message waits in the queues of levels 3, 1 and 0, and is then routed to where it
was published.  Each level is a headers exchange and a queue.  The exchange routes a message that has the level's header
to the queue, and any other message to its alternate exchange, which is that of the next lower level.  The queue has a
fixed time to live, and its dead letters also go to the exchange of the next lower level::

    publish ─→ exchange 3 ─→ queue 3 (8 s) ─→ exchange 2 ─→ exchange 1 ─→ queue 1 (2 s) ─→ exchange 0 ─→ …
                                                    └─ (no header of level 2: alternate exchange)

The last exchange, ``kombu_green.delay.out``, routes to the target by another header.  When the target was deleted
meanwhile, the message goes to the queue ``kombu_green.delay.unroutable``, which keeps the last 10 000.

The way is written into headers, and not into the routing key as in Celery's ladder, so that the routing key arrives as
it was sent.  The headers cannot begin with ``x-``, which headers exchanges ignore; they are removed when the message
arrives.  The number of queues does not depend on the delays, and all messages of a queue have the same time to live, so
that none is blocked by one in front of it.

:class:`DelayLadder` declares through :class:`LadderBroker`, a small protocol, and its caller publishes; so it works
with any driver for RabbitMQ.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from time import monotonic, time
from typing import Any, Final, NamedTuple, Protocol

from gevent.lock import BoundedSemaphore

from kombu_green.clock import Deadline
from kombu_green.exceptions import PreconditionFailed, UnsupportedOption
from kombu_green.message import Content

__all__ = [
    "LONGEST",
    "OUT",
    "PREFIX",
    "UNROUTABLE",
    "DelayLadder",
    "DelayTarget",
    "DelayedPublish",
    "LadderBroker",
    "OriginalMessage",
    "add_delay",
    "arguments_of_queue",
    "level_header",
    "level_name",
    "match_headers",
    "remove_delay",
]

#: of the names of all exchanges and queues
PREFIX: Final = "kombu_green.delay."
#: the exchange that routes to the targets
OUT: Final = PREFIX + "out"
#: exchange and queue of messages whose target is gone
UNROUTABLE: Final = PREFIX + "unroutable"
UNROUTABLE_MOST: Final = 10_000

#: seconds; 180 days, a little less than 2**24
LONGEST: Final = 180 * 24 * 3600

#: seconds for which a target's binding is trusted after a declare; then it is declared again, as it may be deleted
BINDING_TRUSTED: Final = 1.0

#: targets whose bindings are remembered
_REMEMBERED: Final = 1024

# headers of a message in the ladder
_HEADER: Final = "kombu-green-delay-"
_QUEUE: Final = _HEADER + "queue"
_EXCHANGE: Final = _HEADER + "exchange"
_EXPIRATION: Final = _HEADER + "expiration"
_EXPIRES: Final = _HEADER + "expires"  # milliseconds since 1970

# RabbitMQ's headers about dead-lettering.  With them, a message that comes to one queue twice is dropped as a cycle.
_DEATH: Final = ("x-death", "x-first-death-", "x-last-death-")

# -- messages


class DelayTarget(NamedTuple):
    """Where a delayed message goes in the end: to an exchange, or by the default exchange to a queue."""

    exchange: str
    queue: str

    @classmethod
    def of(cls, exchange: str, routing_key: str) -> DelayTarget:
        return cls(exchange, "" if exchange else routing_key)

    def header(self) -> dict[str, Any]:
        """The header by which the exchange :data:`OUT` routes to it."""
        return {_EXCHANGE: self.exchange} if self.exchange else {_QUEUE: self.queue}


class DelayedPublish(NamedTuple):
    """What to publish to enter the ladder: *content* to *exchange*, which is that of *level*."""

    exchange: str
    level: int
    content: Content


class OriginalMessage(NamedTuple):
    """What a message was before it was delayed; *expires*: seconds since 1970."""

    exchange: str
    expires: float | None


def add_delay(content: Content, target: DelayTarget, delay: float, now: float) -> DelayedPublish:
    """Add the ladder's headers for *delay* seconds to a copy of *content*.  *now*: seconds since 1970.

    The message is never early, and less than a second late.  :exc:`UnsupportedOption` for more than 180 days.
    """
    seconds = _whole_seconds(delay)
    headers = {
        name: value for name, value in content.headers.items() if not _is_ladders(name) and not _is_broker_death(name)
    }
    headers |= target.header()
    for level in range(seconds.bit_length()):
        if seconds >> level & 1:
            headers |= level_header(level)
    properties = dict(content.properties)
    expiration = properties.pop("expiration", None)
    if expiration is not None:
        # it counts from the end of the delay; left in place it would end the wait in a queue of the ladder
        headers |= {_EXPIRATION: str(expiration), _EXPIRES: int((now + seconds) * 1000) + int(expiration)}
    level = seconds.bit_length() - 1
    content = Content(content.body, content.content_type, content.content_encoding, headers, properties)
    return DelayedPublish(level_name(level), level, content)


def remove_delay(headers: dict[str, Any], properties: dict[str, Any]) -> OriginalMessage:
    """Remove the ladder's headers from *headers*, and restore *properties*.  Malformed headers are ignored."""
    exchange = headers.get(_EXCHANGE)
    expiration, expires = headers.get(_EXPIRATION), headers.get(_EXPIRES)
    for name in [name for name in headers if _is_ladders(name) or _is_broker_death(name)]:
        del headers[name]
    if isinstance(expiration, str) and expiration.isdigit():  # any client could have sent the header
        properties["expiration"] = expiration
    return OriginalMessage(
        exchange if isinstance(exchange, str) else "", expires / 1000 if type(expires) is int else None
    )


def _whole_seconds(delay: float) -> int:
    if not 0 < delay <= LONGEST:
        raise UnsupportedOption(f"a delay of {delay:g} seconds: it can be up to {LONGEST} seconds, which is 180 days")
    return math.ceil(delay)


def _is_ladders(name: str) -> bool:
    return name.startswith(_HEADER)


def _is_broker_death(name: str) -> bool:
    return name.startswith(_DEATH)


# -- exchanges and queues


def level_name(level: int) -> str:
    """The name of a level's exchange and queue; below level 0 that of the exchange :data:`OUT`."""
    return OUT if level < 0 else f"{PREFIX}{level}"


def level_header(level: int) -> dict[str, Any]:
    """The header of a message that has to wait at *level*."""
    return {f"{_HEADER}{level}": True}


def match_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a binding to a headers exchange that matches messages with all of *headers*."""
    return {"x-match": "all", **headers}


def arguments_of_queue(level: int, *, safe: bool) -> dict[str, Any]:
    """The arguments of a level's queue.

    *safe*: a message is removed only when the next queue has confirmed it (RabbitMQ 3.10 and newer).  Without it, a
    broker that is killed loses messages that are just being moved: 164 of 20 000 in a trial, and none with it.
    """
    found: dict[str, Any] = {"x-dead-letter-exchange": level_name(level - 1), "x-message-ttl": 2**level * 1000}
    if safe:
        found |= {"x-queue-type": "quorum", "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
    return found


class LadderBroker(Protocol):
    """What a driver does for the ladder.

    Each method sends RabbitMQ's method of that name and waits for its answer.  A refusal is raised as
    :exc:`~kombu_green.exceptions.NotFound` or :exc:`~kombu_green.exceptions.PreconditionFailed`, the latter with the
    broker's text, and must not harm what else the driver does.  Declaring or binding again what is there does nothing.
    """

    def declare_exchange(
        self,
        exchange: str,
        type: str,
        *,
        passive: bool,
        durable: bool,
        auto_delete: bool,
        arguments: Mapping[str, Any],
        deadline: Deadline,
    ) -> None: ...

    def declare_queue(
        self,
        queue: str,
        *,
        passive: bool,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        arguments: Mapping[str, Any],
        deadline: Deadline,
    ) -> object: ...

    def bind_exchange(
        self, destination: str, source: str, key: str, arguments: Mapping[str, Any], deadline: Deadline
    ) -> None: ...

    def bind_queue(
        self, queue: str, exchange: str, key: str, arguments: Mapping[str, Any], deadline: Deadline
    ) -> None: ...


class DelayLadder:
    """The ladder of one connection: declares exchanges, queues and bindings when a message needs them.

    *safe*: the broker can move dead letters without losing any when it is killed (see :func:`arguments_of_queue`).
    """

    def __init__(self, broker: LadderBroker, *, safe: bool) -> None:
        self._broker: Final = broker
        self._safe: Final = safe
        self._building: Final = BoundedSemaphore()
        self._levels = -1  # how many levels are declared; -1: not even the exchange OUT
        self._bindings: dict[DelayTarget, float] = {}  # until when a target's binding is trusted, by monotonic()

    def prepare(
        self, content: Content, exchange: str, routing_key: str, delay: float, deadline: Deadline
    ) -> DelayedPublish:
        """Declare what a message to this target needs, and return what to publish instead of *content*.

        It is to be published with the same routing key.  :exc:`~kombu_green.exceptions.NotFound` when the target
        does not exist.
        """
        target = DelayTarget.of(exchange, routing_key)
        prepared = add_delay(content, target, delay, time())
        if self._levels <= prepared.level:
            self._declare_levels(prepared.level, deadline)
        self._bind(target, deadline)
        return prepared

    def _declare_levels(self, highest: int, deadline: Deadline) -> None:
        if not self._building.acquire(timeout=deadline.remaining()):
            raise TimeoutError("declaring the queues of delayed delivery: the deadline passed")
        try:
            if self._levels < 0:
                self._declare_out(deadline)
                self._levels = 0
            for level in range(self._levels, highest + 1):
                self._declare_level(level, deadline)
                self._levels = level + 1
        finally:
            self._building.release()

    def _declare_out(self, deadline: Deadline) -> None:
        self._declare_exchange(UNROUTABLE, "fanout", None, deadline)
        self._declare_queue(UNROUTABLE, {"x-max-length": UNROUTABLE_MOST}, deadline)
        self._broker.bind_queue(UNROUTABLE, UNROUTABLE, "", {}, deadline)
        self._declare_exchange(OUT, "headers", UNROUTABLE, deadline)

    def _declare_level(self, level: int, deadline: Deadline) -> None:
        name = level_name(level)
        self._declare_exchange(name, "headers", level_name(level - 1), deadline)
        try:
            self._declare_queue(name, arguments_of_queue(level, safe=self._safe), deadline)
        except PreconditionFailed as error:
            if "x-queue-type" not in str(error):  # a queue that was declared on an older RabbitMQ serves as well
                raise
        self._broker.bind_queue(name, name, "", match_headers(level_header(level)), deadline)

    def _bind(self, target: DelayTarget, deadline: Deadline) -> None:
        if self._bindings.get(target, 0.0) > monotonic():
            return
        arguments = match_headers(target.header())
        if target.exchange:
            self._broker.bind_exchange(target.exchange, OUT, "", arguments, deadline)
        else:
            self._broker.bind_queue(target.queue, OUT, "", arguments, deadline)
        if len(self._bindings) >= _REMEMBERED:
            self._bindings.clear()
        self._bindings[target] = monotonic() + BINDING_TRUSTED

    def _declare_exchange(self, name: str, type: str, alternate: str | None, deadline: Deadline) -> None:
        self._broker.declare_exchange(
            name,
            type,
            passive=False,
            durable=True,
            auto_delete=False,
            arguments={} if alternate is None else {"alternate-exchange": alternate},
            deadline=deadline,
        )

    def _declare_queue(self, name: str, arguments: Mapping[str, Any], deadline: Deadline) -> None:
        self._broker.declare_queue(
            name,
            passive=False,
            durable=True,
            exclusive=False,
            auto_delete=False,
            arguments=arguments,
            deadline=deadline,
        )
