"""Delayed delivery without a plug-in: a ladder of queues that hold a message for 1, 2, 4, … seconds.  Pure.

A delay of 11 seconds is 8 + 2 + 1: the message waits in the queues of levels 3, 1 and 0, and then goes where it was
published to.  Each level is a headers exchange and a queue with a fixed time to live, whose dead letters go to the
exchange of the next lower level; what an exchange does not match goes there, too, as that is its alternate exchange::

    publish ─→ exchange 3 ─→ queue 3 (8 s) ─→ exchange 2 ─→ exchange 1 ─→ queue 1 (2 s) ─→ exchange 0 ─→ …
                                                    └─ (bit not set: alternate exchange)

The last exchange, ``kombu_green.delay.out``, knows each target by a header; one that is there no more has left its
messages in ``kombu_green.delay.unroutable``, which keeps the last 10 000.  Headers say the way and not the routing key
(as in Celery's ladder), so the key arrives as it was sent.  They must not begin with ``x-``, as headers exchanges leave
those out, and they are taken off when the message arrives.

The number of queues is fixed, whatever delays are used, and within each one all messages have the same time to live, so
that none waits for another.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from kombu_green.exceptions import UnsupportedOption
from kombu_green.message import Content

__all__ = [
    "LONGEST",
    "OUT",
    "PREFIX",
    "Target",
    "arguments_of_queue",
    "arrived",
    "delayed",
    "level_name",
    "matching",
    "whole_seconds",
]

PREFIX: Final = "kombu_green.delay."
OUT: Final = PREFIX + "out"
UNROUTABLE: Final = PREFIX + "unroutable"
UNROUTABLE_MOST: Final = 10_000

#: seconds; 180 days, as 2**24 is a little more
LONGEST: Final = 180 * 24 * 3600

_HEADER: Final = "kombu-green-delay-"
_QUEUE: Final = _HEADER + "queue"
_EXCHANGE: Final = _HEADER + "exchange"
_EXPIRATION: Final = _HEADER + "expiration"
_EXPIRES: Final = _HEADER + "expires"  # milliseconds since 1970

#: the broker's account of dead letters; with it on, a message that comes round again is dropped as a cycle
_DEATH: Final = ("x-death", "x-first-death-", "x-last-death-")


class Target(NamedTuple):
    """Where a delayed message goes in the end: to a queue by the nameless exchange, or to an exchange."""

    exchange: str
    queue: str

    @classmethod
    def of(cls, exchange: str, routing_key: str) -> Target:
        return cls(exchange, "" if exchange else routing_key)

    def header(self) -> dict[str, Any]:
        """By which :data:`OUT` knows it; also the arguments of its binding, with ``x-match``."""
        return {_EXCHANGE: self.exchange} if self.exchange else {_QUEUE: self.queue}


class Delayed(NamedTuple):
    """A message on its way into the ladder."""

    exchange: str
    level: int
    content: Content


def level_name(level: int) -> str:
    """The name of a level's exchange and queue; below level 0 is the way out."""
    return OUT if level < 0 else f"{PREFIX}{level}"


def whole_seconds(delay: float) -> int:
    """Never early, and less than a second late; :exc:`UnsupportedOption` beyond 180 days."""
    if not 0 < delay <= LONGEST:
        raise UnsupportedOption(f"a delay of {delay:g} seconds: it can be up to {LONGEST} seconds, which is 180 days")
    return math.ceil(delay)


def matching(headers: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a binding that takes messages with all of *headers*."""
    return {"x-match": "all", **headers}


def bit(level: int) -> dict[str, Any]:
    """The header of a message that has to wait at *level*."""
    return {f"{_HEADER}{level}": True}


def arguments_of_queue(level: int, *, safe: bool) -> dict[str, Any]:
    """*safe*: a message leaves the queue only when the next one has it, which RabbitMQ can since 3.10.

    Without it a broker that is killed amidst a move loses what is moved: 164 of 20 000 in a trial, and none with it.
    """
    found: dict[str, Any] = {"x-dead-letter-exchange": level_name(level - 1), "x-message-ttl": 2**level * 1000}
    if safe:
        found |= {"x-queue-type": "quorum", "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
    return found


def delayed(content: Content, target: Target, delay: float, now: float) -> Delayed:
    """What to publish instead of *content*, which stays as it is, and to which exchange.  *now*: seconds since 1970."""
    seconds = whole_seconds(delay)
    headers = {name: value for name, value in content.headers.items() if not _is_ours(name) and not _is_death(name)}
    headers |= target.header()
    for level in range(seconds.bit_length()):
        if seconds >> level & 1:
            headers |= bit(level)
    properties = dict(content.properties)
    expiration = properties.pop("expiration", None)
    if expiration is not None:
        # its time begins when a consumer could see it, and in the ladder it would cut the wait short
        headers |= {_EXPIRATION: str(expiration), _EXPIRES: int((now + seconds) * 1000) + int(expiration)}
    level = seconds.bit_length() - 1
    content = Content(content.body, content.content_type, content.content_encoding, headers, properties)
    return Delayed(level_name(level), level, content)


class Arrived(NamedTuple):
    """What a message was before it was delayed; *expires*: seconds since 1970."""

    exchange: str
    expires: float | None


def arrived(headers: dict[str, Any], properties: dict[str, Any]) -> Arrived:
    """Take the ladder's marks off a message that came through it."""
    exchange = headers.get(_EXCHANGE)
    expiration, expires = headers.get(_EXPIRATION), headers.get(_EXPIRES)
    for name in [name for name in headers if _is_ours(name) or _is_death(name)]:
        del headers[name]
    if isinstance(expiration, str) and expiration.isdigit():  # anybody may have sent it
        properties["expiration"] = expiration
    return Arrived(exchange if isinstance(exchange, str) else "", expires / 1000 if type(expires) is int else None)


def _is_ours(name: str) -> bool:
    return name.startswith(_HEADER)


def _is_death(name: str) -> bool:
    return name.startswith(_DEATH)
