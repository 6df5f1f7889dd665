"""What a message has been through, in headers of our own: attempts, where it came from, what went wrong.

A retried or buried message is published anew, so the broker's account of it ends; and it must, because RabbitMQ takes
``x-death`` of a message that comes round again for a cycle and drops it in silence.  Our headers start with ``x-``,
which headers exchanges leave out of matching, and hold strings and integers only, which every transport carries (but
for bytes that came over AMQP and could not be read).

============================== =====================================================================================
``x-kombu-green-attempts``     attempts made so far (int)
``x-kombu-green-queue``        the queue in which they were made
``x-kombu-green-exchange``     the exchange that the message was first published to
``x-kombu-green-routing-key``  and with what key
``x-kombu-green-first-failed`` when the first attempt failed (ISO 8601, UTC)
``x-kombu-green-exception``    the class of the last exception; also ``-message`` and ``-traceback``, shortened
``x-kombu-green-reason``       why it was buried, and ``x-kombu-green-buried``, when
``x-kombu-green-expiration``   the ``expiration`` that was taken off: a dead letter must not vanish
``x-kombu-green-user-id``      the ``user_id`` that was taken off: a broker refuses another user's
``x-kombu-green-cc``           the ``CC`` header that was taken off: a broker would send the copies once more
``x-kombu-green-unreadable``   the bytes of properties that could not be read, as they came
``x-kombu-green-unwritable``   what stood in headers and properties that could not be written again, shortened
============================== =====================================================================================

A history counts in its own queue alone: a program that passes ``message.headers`` on to another queue, or a consumer of
``<queue>.dead``, starts afresh.

A dead letter that is brought back (:func:`revived`) begins a new life.  ``attempts`` is 0 again, or the policy would
bury it at its first failure, and the waits begin anew with it.  All else stays as the death has left it until the next
failure writes over it, and these go with it from then on:

================================== =================================================================================
``x-kombu-green-revived``          how often it was brought back (int)
``x-kombu-green-revived-by``       who did that the last time, and when
``x-kombu-green-earlier-attempts`` attempts made in all its earlier lives (int)
``x-kombu-green-earlier``          how each of those ended and who brought it back, a line each; the last 2 KiB
================================== =================================================================================

What was taken off stays off: an ``expiration`` would let it vanish before anybody is there to handle it, and copies
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
    "Origin",
    "attempt_of",
    "bare",
    "buried",
    "origin_of",
    "properties_for",
    "requeued",
    "retried",
    "revived",
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
BURIED: Final = PREFIX + "buried"
EXPIRATION: Final = PREFIX + "expiration"
USER_ID: Final = PREFIX + "user-id"
CC: Final = PREFIX + "cc"
UNREADABLE: Final = PREFIX + "unreadable"
UNWRITABLE: Final = PREFIX + "unwritable"
REVIVED: Final = PREFIX + "revived"
REVIVED_BY: Final = PREFIX + "revived-by"
EARLIER_ATTEMPTS: Final = PREFIX + "earlier-attempts"
EARLIER: Final = PREFIX + "earlier"

#: bytes of what :func:`bare` leaves out; with the reason it fits into the smallest frame that AMQP has
_LONGEST_RECORD: Final = 1024
#: what :func:`bare` keeps: short strings and numbers of our own making
_ESSENTIAL: Final = (ATTEMPTS, QUEUE, FIRST_FAILED, EXCEPTION, REASON, BURIED)
_BROKERS: Final = frozenset({"x-death", "x-delivery-count", "CC", "BCC"})
_BROKERS_PREFIXES: Final = ("x-first-death-", "x-last-death-")
#: what stays of a death once it is brought back
_OF_A_DEATH: Final = (
    *(EXCHANGE, ROUTING_KEY, FIRST_FAILED, EXCEPTION, MESSAGE, TRACEBACK, REASON, BURIED),
    *(EXPIRATION, USER_ID, CC),
)
_LONGEST_NAME: Final = 256  # bytes of who brought it back
_MOST: Final = 2**31 - 1  # what the narrowest integer of a field table holds


@dataclass(frozen=True, slots=True)
class Origin:
    """The queue that a message was taken from, and the exchange and key that it was published with."""

    queue: str
    exchange: str = ""
    routing_key: str = ""


def attempt_of(headers: object, queue: str) -> int:
    """The number of the attempt that a delivery from *queue* is, 1 for the first; rubbish counts as no history."""
    found = _history(headers, queue)
    return 1 if found is None else min(found[ATTEMPTS], _MOST - 1) + 1


def origin_of(headers: object, delivered: Origin) -> Origin:
    """Where a delivery first came from: *delivered* itself, unless an earlier attempt in that queue wrote it down.

    The key with which a retried message comes back is its queue's name; callbacks are found by the one it had.
    """
    found = _history(headers, delivered.queue)
    if found is None:
        return delivered
    exchange, key = found.get(EXCHANGE), found.get(ROUTING_KEY)
    return Origin(delivered.queue, exchange, key) if isinstance(exchange, str) and isinstance(key, str) else delivered


def retried(
    headers: object,
    *,
    origin: Origin,
    attempt: int,
    now: float,
    failure: Failure | None = None,
    properties: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Headers for the next try of a message whose attempt number *attempt* is over.

    *headers* and *properties* are those of the delivery and stay as they are; *origin* says how it was delivered;
    *now* is the time in seconds since 1970.
    """
    first = origin_of(headers, origin)
    found = _history(headers, origin.queue) or {}
    began = found.get(FIRST_FAILED)
    result = _cleaned(headers) | _earlier_lives(found)
    result |= {ATTEMPTS: min(max(attempt, 1), _MOST), QUEUE: first.queue}
    result |= {EXCHANGE: first.exchange, ROUTING_KEY: first.routing_key}
    result[FIRST_FAILED] = shortened(began, 64) if isinstance(began, str) else _iso(now)
    if failure is not None:
        result |= {EXCEPTION: failure.exception, MESSAGE: failure.message, TRACEBACK: failure.traceback}
    result |= _taken_off(headers, USER_ID, (properties or {}).get("user_id"))
    return result | _taken_off(headers, CC, _cc(headers))


def requeued(headers: object, *, origin: Origin, properties: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Headers for one that goes back to its queue by being published again: the same attempt, with all its history.

    *headers* and *properties* are those of the delivery and stay as they are; *origin* says how it was delivered.
    """
    first = origin_of(headers, origin)
    found = _history(headers, origin.queue) or {}
    kept = {name: value for name, value in found.items() if str(name).startswith(PREFIX)}
    result = _cleaned(headers) | kept | {ATTEMPTS: found.get(ATTEMPTS, 0), QUEUE: first.queue}
    result |= {EXCHANGE: first.exchange, ROUTING_KEY: first.routing_key}
    result |= _taken_off(headers, USER_ID, (properties or {}).get("user_id"))
    return result | _taken_off(headers, CC, _cc(headers))


def buried(
    headers: object,
    *,
    origin: Origin,
    attempt: int,
    now: float,
    reason: str,
    failure: Failure | None = None,
    properties: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Headers for ``<queue>.dead``: as :func:`retried`, with the reason and the time."""
    result = retried(headers, origin=origin, attempt=attempt, now=now, failure=failure, properties=properties)
    result |= {REASON: shortened(reason, LONGEST_MESSAGE), BURIED: _iso(now)}
    return result | _taken_off(headers, EXPIRATION, (properties or {}).get("expiration"))


def revived(headers: object, *, queue: str, now: float, by: str) -> dict[str, Any]:
    """Headers for a dead letter that goes back to *queue*, where it came from, at the wish of *by* (``user@host``).

    *headers* stay as they are; *now* is the time in seconds since 1970.  One that was not buried by us, and says
    nothing of itself, begins its history here.
    """
    found = _history(headers, queue) or {}
    lives = _earlier_lives(found)
    who, attempts = shortened(by, _LONGEST_NAME), found.get(ATTEMPTS, 0)
    result = _cleaned(headers) | {name: found[name] for name in _OF_A_DEATH if name in found}
    result |= {ATTEMPTS: 0, QUEUE: queue, REVIVED: min(lives.get(REVIVED, 0) + 1, _MOST)}
    result |= {
        REVIVED_BY: f"{who} {_iso(now)}",
        EARLIER_ATTEMPTS: min(lives.get(EARLIER_ATTEMPTS, 0) + attempts, _MOST),
    }
    told = f"{attempts} attempts until {found.get(BURIED, '?')}: {found.get(REASON, 'no reason is known')}"
    lines = [*filter(None, [lives.get(EARLIER)]), f"{told}; brought back {_iso(now)} by {who}"]
    return result | {EARLIER: shortened("\n".join(lines), LONGEST_MESSAGE, keep_end=True)}


def without_traceback(headers: Mapping[str, Any]) -> dict[str, Any]:
    """What :func:`revived` made without the one header of ours that is long, when a broker did not take all of it."""
    return {name: value for name, value in headers.items() if name != TRACEBACK}


def bare(headers: Mapping[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Of the *headers* that :func:`buried` made only what every broker takes, when it did not take all of them.

    What a foreign producer got through is not always what can be published again: headers that fill a whole frame,
    a timestamp of 64 bits.  What is left out stands in one header, as far as there is room.
    """
    kept = {name: headers[name] for name in _ESSENTIAL if name in headers}
    left_out = {name: value for name, value in headers.items() if name not in kept}
    return {**kept, UNWRITABLE: shortened(repr((left_out, dict(properties))), _LONGEST_RECORD)}


def properties_for(properties: Mapping[str, Any], *, burial: bool) -> dict[str, Any]:
    """A delivery's properties as they can be published again, for a retry or for ``<queue>.dead``."""
    taken = {"user_id", "expiration"} if burial else {"user_id"}
    return {name: value for name, value in properties.items() if name not in taken}


def _history(headers: object, queue: str) -> Mapping[str, Any] | None:
    """*headers*, if they hold a history that was made in *queue*: anybody may have sent them."""
    if not isinstance(headers, Mapping) or headers.get(QUEUE) != queue:
        return None
    attempts = headers.get(ATTEMPTS)
    return headers if type(attempts) is int and attempts >= 0 else None


def _earlier_lives(found: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of the lives before this one, as far as it is what :func:`revived` writes."""
    counts = {name: found.get(name) for name in (REVIVED, EARLIER_ATTEMPTS)}
    told = {name: found.get(name) for name in (REVIVED_BY, EARLIER)}
    kept: dict[str, Any] = {name: n for name, n in counts.items() if type(n) is int and 0 <= n <= _MOST}
    return kept | {
        name: shortened(text, LONGEST_MESSAGE, keep_end=True) for name, text in told.items() if isinstance(text, str)
    }


def _cleaned(headers: object) -> dict[str, Any]:
    """A copy without the broker's account and an earlier one of ours."""
    if not isinstance(headers, Mapping):
        return {}
    return {
        name: value
        for name, value in headers.items()
        if name in (UNREADABLE, UNWRITABLE)
        or (name not in _BROKERS and not str(name).startswith((PREFIX, *_BROKERS_PREFIXES)))
    }


def _taken_off(headers: object, name: str, value: object) -> dict[str, Any]:
    """What must not travel under its own name: from this delivery or, when it has gone already, from an earlier one."""
    if value is None and isinstance(headers, Mapping):
        value = headers.get(name)
    return {} if value is None else {name: value}


def _cc(headers: object) -> object:
    return headers.get("CC") if isinstance(headers, Mapping) else None


def _iso(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
