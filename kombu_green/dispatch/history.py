"""What has happened to a message so far, in headers of our own: attempts, where it came from, what went wrong.

A message that is retried or dead-lettered is published again.  The broker's own record of it (``x-death``) has to be
removed then: RabbitMQ takes a message that comes back with the same ``x-death`` for a cycle and drops it silently.  Our
headers start with ``x-``, which headers exchanges leave out of matching.  They hold strings and integers only, which
every transport can carry; the one exception is bytes that came over AMQP and could not be decoded.

================================== =================================================================================
``x-kombu-green-attempts``         attempts made so far (int)
``x-kombu-green-queue``            the queue in which they were made
``x-kombu-green-exchange``         the exchange that the message was first published to
``x-kombu-green-routing-key``      and its routing key
``x-kombu-green-first-failed``     when the first attempt failed (ISO 8601, UTC)
``x-kombu-green-exception``        the class of the last exception; also ``-message`` and ``-traceback``, shortened
``x-kombu-green-reason``           why it was dead-lettered; ``x-kombu-green-dead-lettered`` says when
``x-kombu-green-expiration``       the ``expiration`` that was removed: a dead letter must not expire
``x-kombu-green-user-id``          the ``user_id`` that was removed: a broker refuses the id of another user
``x-kombu-green-cc``               the ``CC`` header that was removed: the broker would send those copies again
``x-kombu-green-unreadable``       the bytes of properties that could not be decoded
``x-kombu-green-unwritable``       headers and properties that could not be published again, shortened
================================== =================================================================================

A history counts in its own queue only.  A program that copies ``message.headers`` to a message for another queue, and
a consumer of ``<queue>.dead``, start at attempt 1.

A dead letter that is returned to its queue (:func:`headers_for_return`) starts again with ``attempts`` 0, otherwise
the retry policy would dead-letter it at its first failure.  The other headers stay until the next failure overwrites
them.  These are added, and stay:

================================== =================================================================================
``x-kombu-green-returned``         how often it was returned to its queue (int)
``x-kombu-green-returned-by``      who returned it the last time, and when
``x-kombu-green-earlier-attempts`` attempts made before it was last returned (int)
``x-kombu-green-earlier``          one line for each earlier time in the dead-letter queue; the last 2 KiB
================================== =================================================================================

What was removed stays removed: with its ``expiration`` a message could expire before it is handled, and the copies
were sent when it was first published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from kombu_green.dispatch.outcome import LONGEST_MESSAGE, Failure, shortened

__all__ = [
    "UNREADABLE",
    "MessageOrigin",
    "attempt_of",
    "bare",
    "headers_for_dead_letter",
    "headers_for_requeue",
    "headers_for_retry",
    "headers_for_return",
    "origin_of",
    "properties_for",
    "without_traceback",
]

PREFIX: Final = "x-kombu-green-"
ATTEMPTS: Final = PREFIX + "attempts"
QUEUE: Final = PREFIX + "queue"
EXCHANGE: Final = PREFIX + "exchange"
ROUTING_KEY: Final = PREFIX + "routing-key"
FIRST_FAILED: Final = PREFIX + "first-failed"
EXCEPTION: Final = PREFIX + "exception"
MESSAGE: Final = PREFIX + "message"
TRACEBACK: Final = PREFIX + "traceback"
REASON: Final = PREFIX + "reason"
DEAD_LETTERED: Final = PREFIX + "dead-lettered"
EXPIRATION: Final = PREFIX + "expiration"
USER_ID: Final = PREFIX + "user-id"
CC: Final = PREFIX + "cc"
UNREADABLE: Final = PREFIX + "unreadable"
UNWRITABLE: Final = PREFIX + "unwritable"
RETURNED: Final = PREFIX + "returned"
RETURNED_BY: Final = PREFIX + "returned-by"
EARLIER_ATTEMPTS: Final = PREFIX + "earlier-attempts"
EARLIER: Final = PREFIX + "earlier"

#: bytes of the header that says what :func:`bare` left out; with the reason it fits into AMQP's smallest frame
_LONGEST_UNWRITABLE: Final = 1024
#: the headers that :func:`bare` keeps: short strings and numbers that this module made
_KEPT_BY_BARE: Final = (ATTEMPTS, QUEUE, FIRST_FAILED, EXCEPTION, REASON, DEAD_LETTERED)
_ADDED_BY_BROKERS: Final = frozenset({"x-death", "x-delivery-count", "CC", "BCC"})
_PREFIXES_OF_BROKERS: Final = ("x-first-death-", "x-last-death-")
#: headers that stay when a dead letter is returned to its queue
_KEPT_BY_RETURN: Final = (
    *(EXCHANGE, ROUTING_KEY, FIRST_FAILED, EXCEPTION, MESSAGE, TRACEBACK, REASON, DEAD_LETTERED),
    *(EXPIRATION, USER_ID, CC),
)
_LONGEST_NAME: Final = 256  # bytes of the name of the user who returned it
_LARGEST_INT: Final = 2**31 - 1  # of the smallest integer type of AMQP's field tables that brokers use


@dataclass(frozen=True, slots=True)
class MessageOrigin:
    """The queue that a message was taken from, and the exchange and key that it was published with."""

    queue: str
    exchange: str = ""
    routing_key: str = ""


def attempt_of(headers: object, queue: str) -> int:
    """Which attempt a delivery from *queue* is; 1 is the first.  Malformed headers count as no history."""
    found = _history(headers, queue)
    return 1 if found is None else min(found[ATTEMPTS], _LARGEST_INT - 1) + 1


def origin_of(headers: object, delivered: MessageOrigin) -> MessageOrigin:
    """Where a delivery was first published: *delivered* itself, unless the headers of an earlier attempt say otherwise.

    A retried message is delivered with its queue's name as routing key; callbacks are chosen by the original key.
    """
    found = _history(headers, delivered.queue)
    if found is None:
        return delivered
    exchange, key = found.get(EXCHANGE), found.get(ROUTING_KEY)
    return (
        MessageOrigin(delivered.queue, exchange, key)
        if isinstance(exchange, str) and isinstance(key, str)
        else delivered
    )


def headers_for_retry(
    headers: object,
    *,
    origin: MessageOrigin,
    attempt: int,
    now: float,
    failure: Failure | None = None,
    properties: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Headers for the next attempt at a message whose attempt number *attempt* has failed.

    *headers* and *properties* are those of the delivery and are not changed; *origin* says how it was delivered;
    *now* is the time in seconds since 1970.
    """
    first = origin_of(headers, origin)
    found = _history(headers, origin.queue) or {}
    began = found.get(FIRST_FAILED)
    result = _cleaned(headers) | _earlier_returns(found)
    result |= {ATTEMPTS: min(max(attempt, 1), _LARGEST_INT), QUEUE: first.queue}
    result |= {EXCHANGE: first.exchange, ROUTING_KEY: first.routing_key}
    result[FIRST_FAILED] = shortened(began, 64) if isinstance(began, str) else _iso(now)
    if failure is not None:
        result |= {EXCEPTION: failure.exception, MESSAGE: failure.message, TRACEBACK: failure.traceback}
    result |= _removed(headers, USER_ID, (properties or {}).get("user_id"))
    return result | _removed(headers, CC, _cc(headers))


def headers_for_requeue(
    headers: object, *, origin: MessageOrigin, properties: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Headers for a message that is put back into its queue by publishing it: the attempt and the history stay.

    *headers* and *properties* are those of the delivery and are not changed; *origin* says how it was delivered.
    """
    first = origin_of(headers, origin)
    found = _history(headers, origin.queue) or {}
    kept = {name: value for name, value in found.items() if str(name).startswith(PREFIX)}
    result = _cleaned(headers) | kept | {ATTEMPTS: found.get(ATTEMPTS, 0), QUEUE: first.queue}
    result |= {EXCHANGE: first.exchange, ROUTING_KEY: first.routing_key}
    result |= _removed(headers, USER_ID, (properties or {}).get("user_id"))
    return result | _removed(headers, CC, _cc(headers))


def headers_for_dead_letter(
    headers: object,
    *,
    origin: MessageOrigin,
    attempt: int,
    now: float,
    reason: str,
    failure: Failure | None = None,
    properties: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Headers for ``<queue>.dead``: those of :func:`headers_for_retry`, with the reason and the time."""
    result = headers_for_retry(headers, origin=origin, attempt=attempt, now=now, failure=failure, properties=properties)
    result |= {REASON: shortened(reason, LONGEST_MESSAGE), DEAD_LETTERED: _iso(now)}
    return result | _removed(headers, EXPIRATION, (properties or {}).get("expiration"))


def headers_for_return(headers: object, *, queue: str, now: float, by: str) -> dict[str, Any]:
    """Headers for a dead letter that *by* (``user@host``) returns to *queue*.

    *headers* are not changed; *now* is the time in seconds since 1970.  A message that kombu_green did not dead-letter
    has no history yet: it begins here.
    """
    found = _history(headers, queue) or {}
    returns = _earlier_returns(found)
    who, attempts = shortened(by, _LONGEST_NAME), found.get(ATTEMPTS, 0)
    result = _cleaned(headers) | {name: found[name] for name in _KEPT_BY_RETURN if name in found}
    result |= {ATTEMPTS: 0, QUEUE: queue, RETURNED: min(returns.get(RETURNED, 0) + 1, _LARGEST_INT)}
    result |= {
        RETURNED_BY: f"{who} {_iso(now)}",
        EARLIER_ATTEMPTS: min(returns.get(EARLIER_ATTEMPTS, 0) + attempts, _LARGEST_INT),
    }
    ended = f"{attempts} attempts until {found.get(DEAD_LETTERED, '?')}: {found.get(REASON, 'no reason is known')}"
    lines = [*filter(None, [returns.get(EARLIER)]), f"{ended}; returned {_iso(now)} by {who}"]
    return result | {EARLIER: shortened("\n".join(lines), LONGEST_MESSAGE, keep_end=True)}


def without_traceback(headers: Mapping[str, Any]) -> dict[str, Any]:
    """*headers* of :func:`headers_for_return` without the traceback, for when all of them do not fit into a frame."""
    return {name: value for name, value in headers.items() if name != TRACEBACK}


def bare(headers: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """The *headers* of :func:`headers_for_dead_letter` that every broker takes, for when it did not take all of them.

    What another client could publish cannot always be published again by this one: headers that fill a whole frame, a
    timestamp of 64 bits.  One header has the text of what is left out, shortened.
    """
    kept = {name: headers[name] for name in _KEPT_BY_BARE if name in headers}
    left_out = {name: value for name, value in headers.items() if name not in kept}
    return {**kept, UNWRITABLE: shortened(repr((left_out, dict(properties))), _LONGEST_UNWRITABLE)}


def properties_for(properties: Mapping[str, Any], *, keep_expiration: bool = True) -> dict[str, Any]:
    """A delivery's properties as they can be published again; a dead letter must not expire."""
    removed = {"user_id"} if keep_expiration else {"user_id", "expiration"}
    return {name: value for name, value in properties.items() if name not in removed}


def _history(headers: object, queue: str) -> Mapping[str, Any] | None:
    """*headers*, if they hold a valid history that was made in *queue*: any producer may have sent them."""
    if not isinstance(headers, Mapping) or headers.get(QUEUE) != queue:
        return None
    attempts = headers.get(ATTEMPTS)
    return headers if type(attempts) is int and attempts >= 0 else None


def _earlier_returns(found: Mapping[str, Any]) -> dict[str, Any]:
    """The headers about earlier returns, if they have the types that :func:`headers_for_return` writes."""
    counts = {name: found.get(name) for name in (RETURNED, EARLIER_ATTEMPTS)}
    told = {name: found.get(name) for name in (RETURNED_BY, EARLIER)}
    kept: dict[str, Any] = {name: n for name, n in counts.items() if type(n) is int and 0 <= n <= _LARGEST_INT}
    return kept | {
        name: shortened(text, LONGEST_MESSAGE, keep_end=True) for name, text in told.items() if isinstance(text, str)
    }


def _cleaned(headers: object) -> dict[str, Any]:
    """A copy without the headers that brokers add and those of our own."""
    if not isinstance(headers, Mapping):
        return {}
    return {
        name: value
        for name, value in headers.items()
        if name in (UNREADABLE, UNWRITABLE)
        or (name not in _ADDED_BY_BROKERS and not str(name).startswith((PREFIX, *_PREFIXES_OF_BROKERS)))
    }


def _removed(headers: object, name: str, value: object) -> dict[str, Any]:
    """Header *name* with *value*, which is removed from this delivery, or with what an earlier attempt removed."""
    if value is None and isinstance(headers, Mapping):
        value = headers.get(name)
    return {} if value is None else {name: value}


def _cc(headers: object) -> object:
    return headers.get("CC") if isinstance(headers, Mapping) else None


def _iso(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
