"""Taking messages under a lease, for many callers at once, and looking whether there are any."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import bindparam, exists, func, select, update

from kombu_green.storage.contract import Receipt
from kombu_green.storage.priorities import HIGHEST
from kombu_green.storage.sqlalchemy.catalog import KnownQueue, no_queue
from kombu_green.storage.sqlalchemy.session import Session, chunks
from kombu_green.storage.sqlalchemy.tables import LEASED, READY, message, queue

__all__ = ["Demand", "Look", "Taken", "look", "reserve"]

_MOST = 500  # rows that one reserve takes or makes ready: bounds how long the database is held

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


class Demand(NamedTuple):
    wants: Mapping[str, int]
    lease: float


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
    for chunk in chunks(list(ids)):
        rows = session.connection.execute(_LOOK, {"queues": chunk})
        found.update((row.id, Look(bool(row.ready), row.due)) for row in rows)
    return found
