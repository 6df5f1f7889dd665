"""Rows of the message table: how a message is encoded, and the statements that put, reserve, settle and count them.

Most functions here run for many callers in one transaction: they get one argument of each caller and return one outcome
for each.  An outcome that is an exception is raised for that caller alone.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, delete, exists, func, insert, select, update

from kombu_green import extended_json
from kombu_green.exceptions import DecodeError, EncodeError
from kombu_green.message import Content
from kombu_green.storage.contract import Put, Receipt, Reserved
from kombu_green.storage.declaration_rules import HIGHEST_PRIORITY, clip_priority
from kombu_green.storage.sqlalchemy.catalog import KnownQueue, no_queue
from kombu_green.storage.sqlalchemy.database import Transaction
from kombu_green.storage.sqlalchemy.schema import DELAYED, LEASED, READY, message

__all__ = ["Availability", "EncodedPut", "LeaseChange", "Reservation", "ReservedRow"]
__all__ += ["ack", "count", "decode", "due_in", "encode", "extend", "purge", "put", "release", "reserve"]

log = logging.getLogger(__name__)

_MAX_RESERVED: Final = 500  # rows that one reserve takes or makes ready: bounds how long the database is locked

# What can be taken, by state: one condition for all would use no index.  The condition of a partial index has to stand
# in a statement word for word.
_IS_READY = (message.c.queue_id == bindparam("queue"), message.c.state == READY)
_IS_HELD_BACK = (message.c.queue_id == bindparam("queue"), message.c.state != READY)
_IS_LEASED = (*_IS_HELD_BACK, message.c.state == LEASED)
_IS_DELAYED = (*_IS_HELD_BACK, message.c.state == DELAYED)
_HAS_ENDED = message.c.ends <= bindparam("now")  # by the clock of the state
# A receipt is valid as long as its token is the last one that was given to the message.
_IS_HELD = (message.c.id == bindparam("number"), message.c.token == bindparam("held"))

_PUT = insert(message)

_AVAILABILITY = select(
    exists().where(*_IS_READY),
    select(func.min(message.c.ends)).where(*_IS_LEASED).scalar_subquery(),
    select(func.min(message.c.ends)).where(*_IS_DELAYED).scalar_subquery(),
)
_END_LEASES, _END_DELAYS = (
    update(message)
    .where(message.c.id.in_(select(message.c.id).where(*of, _HAS_ENDED).order_by(message.c.ends).limit(_MAX_RESERVED)))
    .values(state=READY)  # the token stays: a late ack or renewal is valid until the message is taken again
    for of in (_IS_LEASED, _IS_DELAYED)
)
_RESERVE = (
    update(message)
    .where(
        message.c.id.in_(
            select(message.c.id).where(*_IS_READY).order_by(message.c.urgency, message.c.id).limit(bindparam("most"))
        )
    )
    .values(state=LEASED, ends=bindparam("end"), token=bindparam("fresh"), takes=message.c.takes + 1)
    .returning(message.c.urgency, message.c.id, message.c.takes, message.c.expires, message.c.envelope, message.c.body)
)

_ACK = delete(message).where(*_IS_HELD)
_RELEASE = update(message).where(*_IS_HELD).values(state=READY, token=None)
_DELAY = update(message).where(*_IS_HELD).values(state=DELAYED, token=None, ends=bindparam("end"))
_EXTEND = update(message).where(*_IS_HELD).values(state=LEASED, ends=bindparam("end"))

_PURGE_READY = delete(message).where(*_IS_READY)
_PURGE_LEASED, _PURGE_DELAYED = (delete(message).where(*of, _HAS_ENDED) for of in (_IS_LEASED, _IS_DELAYED))
_COUNT_READY = select(func.count()).select_from(message).where(*_IS_READY)
_COUNT_LEASED, _COUNT_DELAYED = (
    select(func.count()).select_from(message).where(*of, _HAS_ENDED) for of in (_IS_LEASED, _IS_DELAYED)
)


class EncodedPut(NamedTuple):
    """A message to be put: its envelope is all but the body, as extended JSON.  *delay* in seconds."""

    queue: str
    priority: int
    delay: float
    expires: float | None
    envelope: bytes
    body: bytes


class Reservation(NamedTuple):
    """How many messages to take from each queue, for a lease of so many seconds."""

    wants: Mapping[str, int]
    lease: float


class ReservedRow(NamedTuple):
    """A message that was taken, still encoded."""

    receipt: Receipt
    priority: int
    takes: int
    expires: float | None
    envelope: bytes
    body: bytes


class LeaseChange(NamedTuple):
    """Receipts, and the seconds of their new lease or delay."""

    receipts: Sequence[Receipt]
    seconds: float


class Availability(NamedTuple):
    """Whether a message is ready in some queues, and in how many seconds the next lease and the next delay end there.

    None where nothing is leased or delayed, and 0 or less for what has ended already.
    """

    ready: bool
    lease: float | None = None
    delay: float | None = None

    @property
    def due_in(self) -> float | None:
        """Seconds until a message can be taken, 0 for now; None if none is there."""
        if self.ready:
            return 0.0
        ends = [seconds for seconds in (self.lease, self.delay) if seconds is not None]
        return max(0.0, min(ends)) if ends else None


# -- encoding


def encode(item: Put) -> EncodedPut:
    """Raises :exc:`~kombu_green.exceptions.EncodeError` for a header or property that JSON cannot hold."""
    content = item.content
    parts = [item.exchange, item.routing_key, content.content_type, content.content_encoding]
    envelope = extended_json.dumps([*parts, content.headers, content.properties])
    if b'"__type__"' in envelope:
        _check_decodable(envelope)
    return EncodedPut(item.queue, item.priority, item.delay, item.expires, envelope, bytes(content.body))


def _check_decodable(envelope: bytes) -> None:
    """A header that only looks like an extended type is refused here, as its consumer could not read the message."""
    try:
        extended_json.loads(envelope)
    except DecodeError as error:
        raise EncodeError(f"a header has the shape of an extended type: {error}") from error


def decode(row: ReservedRow) -> Reserved:
    """Never fails: a message whose decoding raised would come back for ever.  It loses its headers instead."""
    exchange, routing_key, content_type, content_encoding, headers, properties = _envelope_parts(row)
    content = Content(row.body, content_type, content_encoding, headers, properties)
    return Reserved(row.receipt, content, exchange, routing_key, row.priority, row.takes, row.expires)


def _envelope_parts(row: ReservedRow) -> Sequence[Any]:
    try:
        parts: Sequence[Any] = extended_json.loads(row.envelope)
    except DecodeError as error:
        log.error("message %d of queue %r has lost its headers: %s", row.receipt.id, row.receipt.queue, error)
        return "", row.receipt.queue, None, None, {}, {}
    return parts


# -- putting


def put(transaction: Transaction, callers: Sequence[Sequence[EncodedPut]]) -> list[Exception | None]:
    known = transaction.queues(item.queue for items in callers for item in items)
    outcomes: list[Exception | None] = []
    rows: list[dict[str, Any]] = []
    for items in callers:
        unknown = next((item.queue for item in items if item.queue not in known), None)
        outcomes.append(None if unknown is None else no_queue(unknown))
        if unknown is None:
            rows += [_row(item, known[item.queue], transaction.now) for item in items]
            transaction.woken.update(item.queue for item in items)
    if rows:
        transaction.run_for_each(_PUT, rows)
    return outcomes


def _row(item: EncodedPut, queue: KnownQueue, now: float) -> dict[str, Any]:
    return {
        "queue_id": queue.id,
        "state": 2 if item.delay > 0 else 0,
        "urgency": HIGHEST_PRIORITY - clip_priority(item.priority, queue.max_priority),
        "ends": now + item.delay if item.delay > 0 else 0.0,
        "token": None,
        "takes": 0,
        "expires": item.expires,
        "envelope": item.envelope,
        "body": item.body,
    }


# -- taking


def reserve(transaction: Transaction, callers: Sequence[Reservation]) -> list[list[ReservedRow] | Exception]:
    known = transaction.queues(name for caller in callers for name in caller.wants)
    outcomes: list[list[ReservedRow] | Exception] = []
    shares: dict[tuple[str, float], list[tuple[list[ReservedRow], int]]] = defaultdict(list)
    for caller in callers:
        unknown = next((name for name in caller.wants if name not in known), None)
        taken: list[ReservedRow] = []
        outcomes.append(taken if unknown is None else no_queue(unknown))
        for name, count in caller.wants.items() if unknown is None else ():
            if count > 0:
                shares[name, caller.lease].append((taken, count))
    for (name, lease), wanted in shares.items():
        found = iter(_take(transaction, known[name], lease, sum(count for _, count in wanted)))
        for taken, count in wanted:
            taken.extend(islice(found, count))
    return outcomes


def _take(transaction: Transaction, queue: KnownQueue, lease: float, most: int) -> list[ReservedRow]:
    ready, lease_ends_in, delay_ends_in = _availability(transaction, queue.id)
    if lease_ends_in is not None and lease_ends_in <= 0:
        ready = True
        transaction.run(_END_LEASES, queue=queue.id, now=transaction.lease_now)
    if delay_ends_in is not None and delay_ends_in <= 0:
        ready = True
        transaction.run(_END_DELAYS, queue=queue.id, now=transaction.now)
    if not ready:
        return []
    token = os.urandom(8)  # one for all of them: the pair of id and token is fresh at each take
    rows: Sequence[Any] = transaction.run(
        _RESERVE, queue=queue.id, most=min(most, _MAX_RESERVED), end=transaction.lease_now + lease, fresh=token
    ).fetchall()
    return [
        ReservedRow(Receipt(queue.spec.name, number, token), HIGHEST_PRIORITY - urgency, takes, expires, envelope, body)
        # by urgency and id: a database returns the rows of an update in any order
        for urgency, number, takes, expires, envelope, body in sorted(rows)
    ]


def due_in(transaction: Transaction, callers: Sequence[Collection[str]]) -> list[float | None]:
    """For a consumer that waits: seconds until a message can be taken from one of some queues, None for never.

    A queue that does not exist counts as ready: reserve raises the error.
    """
    known = transaction.queues(name for names in callers for name in names)
    outcomes: list[float | None] = []
    for names in callers:
        found = [_availability(transaction, known[name].id).due_in if name in known else 0.0 for name in names]
        outcomes.append(min((seconds for seconds in found if seconds is not None), default=None))
    return outcomes


def _availability(transaction: Transaction, queue_id: int) -> Availability:
    row: Any = transaction.run(_AVAILABILITY, queue=queue_id).fetchone()
    ready, lease, delay = row
    return Availability(
        bool(ready),
        None if lease is None else lease - transaction.lease_now,
        None if delay is None else delay - transaction.now,
    )


# -- settling: each returns the receipts of each caller that are not valid any more


def ack(transaction: Transaction, callers: Sequence[Sequence[Receipt]]) -> list[list[Receipt]]:
    return [[receipt for receipt in receipts if not _acked(transaction, receipt)] for receipts in callers]


def _acked(transaction: Transaction, receipt: Receipt) -> bool:
    return transaction.run(_ACK, number=receipt.id, held=receipt.token).rowcount == 1


def release(transaction: Transaction, callers: Sequence[LeaseChange]) -> list[list[Receipt]]:
    transaction.woken.update(receipt.queue for caller in callers for receipt in caller.receipts)
    return [
        [receipt for receipt in receipts if not _released(transaction, receipt, delay)] for receipts, delay in callers
    ]


def _released(transaction: Transaction, receipt: Receipt, delay: float) -> bool:
    if delay > 0:
        end = transaction.now + delay
        return transaction.run(_DELAY, number=receipt.id, held=receipt.token, end=end).rowcount == 1
    return transaction.run(_RELEASE, number=receipt.id, held=receipt.token).rowcount == 1


def extend(transaction: Transaction, callers: Sequence[LeaseChange]) -> list[list[Receipt]]:
    return [
        [receipt for receipt in receipts if not _extended(transaction, receipt, transaction.lease_now + lease)]
        for receipts, lease in callers
    ]


def _extended(transaction: Transaction, receipt: Receipt, end: float) -> bool:
    return transaction.run(_EXTEND, number=receipt.id, held=receipt.token, end=end).rowcount == 1


# -- counting and deleting what is ready


def purge(transaction: Transaction, callers: Sequence[str]) -> list[int | Exception]:
    return [_purge(transaction, name) for name in callers]


def _purge(transaction: Transaction, name: str) -> int | Exception:
    queue = transaction.queues([name]).get(name)
    if queue is None:
        return no_queue(name)
    ready = transaction.run(_PURGE_READY, queue=queue.id).rowcount
    leased = transaction.run(_PURGE_LEASED, queue=queue.id, now=transaction.lease_now).rowcount
    return ready + leased + transaction.run(_PURGE_DELAYED, queue=queue.id, now=transaction.now).rowcount


def count(transaction: Transaction, queue_id: int) -> int:
    """How many messages of one queue could be taken now."""
    ready: Any = transaction.run(_COUNT_READY, queue=queue_id).fetchone()
    leased: Any = transaction.run(_COUNT_LEASED, queue=queue_id, now=transaction.lease_now).fetchone()
    delayed: Any = transaction.run(_COUNT_DELAYED, queue=queue_id, now=transaction.now).fetchone()
    return int(ready[0] + leased[0] + delayed[0])
