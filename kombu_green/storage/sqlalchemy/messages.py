"""The statements that put, take and settle messages, each for many callers at once.

Everything here runs in one transaction that writes, of which there is one at a time.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, delete, exists, func, insert, select, update

from kombu_green.storage.contract import Receipt
from kombu_green.storage.priorities import HIGHEST, clip
from kombu_green.storage.sqlalchemy.catalog import KnownQueue, no_queue
from kombu_green.storage.sqlalchemy.session import Session
from kombu_green.storage.sqlalchemy.tables import DELAYED, LEASED, READY, message, queue

__all__ = [
    "Change",
    "Demand",
    "Deposit",
    "Look",
    "Taken",
    "ack",
    "count",
    "extend",
    "look",
    "purge",
    "put",
    "release",
    "reserve",
]

_MOST = 500  # rows that one reserve takes or makes ready: bounds how long the database is held
_CHUNK = 500  # values in one list of a statement

_LOOK = select(
    queue.c.id,
    exists().where(message.c.queue_id == queue.c.id, message.c.state == READY).label("ready"),
    select(func.min(message.c.due))
    .where(message.c.queue_id == queue.c.id, message.c.state != READY)
    .scalar_subquery()
    .label("due"),
).where(queue.c.id.in_(bindparam("queues", expanding=True)))

_PROMOTE = (
    update(message)
    .where(
        message.c.id.in_(
            select(message.c.id)
            .where(
                message.c.queue_id == bindparam("queue"), message.c.state != READY, message.c.due <= bindparam("now")
            )
            .order_by(message.c.due)
            .limit(_MOST)
        )
    )
    .values(state=READY)  # and the token stays: a late ack or renewal still counts while nobody else has it
)

_RESERVE = (
    update(message)
    .where(
        message.c.id.in_(
            select(message.c.id)
            .where(message.c.queue_id == bindparam("queue"), message.c.state == READY)
            .order_by(message.c.urgency, message.c.id)
            .limit(bindparam("most"))
        )
    )
    .values(state=LEASED, due=bindparam("end"), token=bindparam("fresh"), takes=message.c.takes + 1)
    .returning(
        message.c.id,
        message.c.urgency,
        message.c.takes,
        message.c.expires,
        message.c.envelope,
        message.c.body,
    )
)

_THESE = message.c.id.in_(bindparam("ids", expanding=True))
_TOKENS = select(message.c.id, message.c.token).where(_THESE).with_for_update()
_ACK = delete(message).where(_THESE)
_RELEASE = update(message).where(_THESE).values(state=READY, token=None)
_DELAY = update(message).where(_THESE).values(state=DELAYED, token=None, due=bindparam("end"))
_EXTEND = update(message).where(_THESE).values(state=LEASED, due=bindparam("end"))


class Deposit(NamedTuple):
    """A message to be put, encoded."""

    queue: str
    priority: int
    delay: float
    expires: float | None
    envelope: bytes
    body: bytes


class Demand(NamedTuple):
    wants: Mapping[str, int]
    lease: float


class Change(NamedTuple):
    """Receipts, and the seconds of their new lease or delay."""

    receipts: Sequence[Receipt]
    seconds: float


class Taken(NamedTuple):
    """A message that was taken, still encoded."""

    receipt: Receipt
    priority: int
    takes: int
    expires: float | None
    envelope: bytes
    body: bytes


class Look(NamedTuple):
    """Whether something is ready in some queues, and when (epoch seconds) the next of them is due."""

    ready: bool
    due: float | None

    def is_due(self, now: float) -> bool:
        return self.due is not None and self.due <= now


def put(session: Session, callers: Sequence[Sequence[Deposit]]) -> list[Exception | None]:
    known = session.queues(deposit.queue for deposits in callers for deposit in deposits)
    outcomes: list[Exception | None] = []
    rows: list[dict[str, Any]] = []
    for deposits in callers:
        unknown = next((deposit.queue for deposit in deposits if deposit.queue not in known), None)
        outcomes.append(None if unknown is None else no_queue(unknown))
        if unknown is None:
            rows += [_row(deposit, known[deposit.queue], session.now) for deposit in deposits]
            session.woken.update(deposit.queue for deposit in deposits)
    if rows:
        session.connection.execute(insert(message), rows)
    return outcomes


def _row(deposit: Deposit, queue: KnownQueue, now: float) -> dict[str, Any]:
    return {
        "queue_id": queue.id,
        "state": 2 if deposit.delay > 0 else 0,
        "urgency": HIGHEST - clip(deposit.priority, queue.ceiling),
        "due": now + deposit.delay if deposit.delay > 0 else 0.0,
        "takes": 0,
        "expires": deposit.expires,
        "envelope": deposit.envelope,
        "body": deposit.body,
    }


def reserve(session: Session, callers: Sequence[Demand]) -> list[list[Taken] | Exception]:
    known = session.queues(name for demand in callers for name in demand.wants)
    outcomes: list[list[Taken] | Exception] = []
    shares: dict[tuple[str, float], list[tuple[list[Taken], int]]] = defaultdict(list)
    for demand in callers:
        unknown = next((name for name in demand.wants if name not in known), None)
        taken: list[Taken] = []
        outcomes.append(taken if unknown is None else no_queue(unknown))
        for name, count in demand.wants.items() if unknown is None else ():
            if count > 0:
                shares[name, demand.lease].append((taken, count))
    looks = _looks(session, {known[name].id for name, _ in shares})
    for (name, lease), wanted in shares.items():
        found = _take(session, known[name], looks[known[name].id], lease, sum(count for _, count in wanted))
        for taken, count in wanted:
            taken.extend(islice(found, count))
    return outcomes


def _take(session: Session, queue: KnownQueue, look: Look, lease: float, most: int) -> Iterator[Taken]:
    connection, now = session.connection, session.now
    if look.is_due(now):
        connection.execute(_PROMOTE, {"queue": queue.id, "now": now})
    elif not look.ready:
        return iter(())
    token = os.urandom(8)  # one for all: the pair of id and token is fresh at each take
    rows = connection.execute(
        _RESERVE, {"queue": queue.id, "most": min(most, _MOST), "end": now + lease, "fresh": token}
    ).all()
    name = queue.spec.name
    return (
        Taken(Receipt(name, row.id, token), HIGHEST - row.urgency, row.takes, row.expires, row.envelope, row.body)
        for row in sorted(rows, key=_place)  # a database returns them in any order
    )


def _place(row: Any) -> tuple[int, int]:
    return row.urgency, row.id


def ack(session: Session, callers: Sequence[Sequence[Receipt]]) -> list[list[Receipt]]:
    held, lost = _held(session, callers)
    for ids in _chunks([number for numbers in held for number in numbers]):
        session.connection.execute(_ACK, {"ids": ids})
    return lost


def release(session: Session, callers: Sequence[Change]) -> list[list[Receipt]]:
    held, lost = _held(session, [change.receipts for change in callers])
    for delay, numbers in _by_seconds(callers, held):
        statement = _DELAY if delay > 0 else _RELEASE
        for ids in _chunks(numbers):
            session.connection.execute(statement, {"ids": ids} | ({"end": session.now + delay} if delay > 0 else {}))
    session.woken.update(receipt.queue for change in callers for receipt in change.receipts)
    return lost


def extend(session: Session, callers: Sequence[Change]) -> list[list[Receipt]]:
    held, lost = _held(session, [change.receipts for change in callers], once=False)
    for lease, numbers in _by_seconds(callers, held):
        for ids in _chunks(numbers):
            session.connection.execute(_EXTEND, {"ids": ids, "end": session.now + lease})
    return lost


def _held(
    session: Session, callers: Sequence[Sequence[Receipt]], once: bool = True
) -> tuple[list[list[int]], list[list[Receipt]]]:
    """Ids of the messages whose last take each caller has, and the receipts of those that it has not.

    With *once* a receipt is good for its first bearer only.
    """
    tokens: dict[int, bytes] = {}
    for ids in _chunks(list({receipt.id for receipts in callers for receipt in receipts})):
        tokens.update((row.id, row.token) for row in session.connection.execute(_TOKENS, {"ids": ids}))
    held: list[list[int]] = []
    lost: list[list[Receipt]] = []
    for receipts in callers:
        held.append([])
        lost.append([])
        for receipt in receipts:
            if tokens.get(receipt.id) != receipt.token:
                lost[-1].append(receipt)
                continue
            held[-1].append(receipt.id)
            if once:
                del tokens[receipt.id]
    return held, lost


def _by_seconds(callers: Sequence[Change], held: Sequence[Sequence[int]]) -> Iterable[tuple[float, list[int]]]:
    groups: dict[float, list[int]] = defaultdict(list)
    for change, numbers in zip(callers, held, strict=True):
        groups[change.seconds] += numbers
    return groups.items()


def purge(session: Session, callers: Sequence[str]) -> list[int | Exception]:
    return [_purge(session, name) for name in callers]


def _purge(session: Session, name: str) -> int | Exception:
    queue = session.queues([name]).get(name)
    if queue is None:
        return no_queue(name)
    conditions = _takeable(queue.id, session.now)
    return sum(session.connection.execute(delete(message).where(*condition)).rowcount for condition in conditions)


def count(session: Session, queue_id: int) -> int:
    """How many messages could be taken now."""
    counting = select(func.count()).select_from(message)
    conditions = _takeable(queue_id, session.now)
    return sum(session.connection.execute(counting.where(*condition)).scalar_one() for condition in conditions)


def _takeable(queue_id: int, now: float) -> tuple[tuple[ColumnElement[bool], ...], ...]:
    """Each of the two has an index; one condition with both would have none."""
    mine = message.c.queue_id == queue_id
    return (mine, message.c.state == READY), (mine, message.c.state != READY, message.c.due <= now)


def look(session: Session, callers: Sequence[Collection[str]]) -> list[Look]:
    """What a waiting consumer needs to know; queues that are not there have nothing."""
    known = session.queues(name for names in callers for name in names)
    looks = _looks(session, {known[name].id for names in callers for name in names if name in known})
    return [_joined([looks[known[name].id] for name in names if name in known]) for names in callers]


def _joined(looks: Sequence[Look]) -> Look:
    return Look(
        any(look.ready for look in looks), min((look.due for look in looks if look.due is not None), default=None)
    )


def _looks(session: Session, ids: Collection[int]) -> dict[int, Look]:
    found: dict[int, Look] = {}
    for chunk in _chunks(list(ids)):
        rows = session.connection.execute(_LOOK, {"queues": chunk})
        found.update((row.id, Look(bool(row.ready), row.due)) for row in rows)
    return found


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """Lists that fit into a statement."""
    return (ids[at : at + _CHUNK] for at in range(0, len(ids), _CHUNK))
