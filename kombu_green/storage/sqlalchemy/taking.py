"""Taking messages under a lease, for many callers at once, and looking whether there are any."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import bindparam, exists, func, select, update

from kombu_green.storage.contract import Receipt
from kombu_green.storage.priorities import HIGHEST
from kombu_green.storage.sqlalchemy.catalog import KnownQueue, no_queue
from kombu_green.storage.sqlalchemy.session import Session
from kombu_green.storage.sqlalchemy.tables import LEASED, READY, message

__all__ = ["Demand", "Look", "Taken", "look", "reserve"]

_MOST = 500  # rows that one reserve takes or makes ready: bounds how long the database is held

_LOOK = select(
    exists().where(message.c.queue_id == bindparam("queue"), message.c.state == READY),
    select(func.min(message.c.due))
    .where(message.c.queue_id == bindparam("queue"), message.c.state != READY)
    .scalar_subquery(),
)

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
        message.c.urgency,
        message.c.id,
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
    for (name, lease), wanted in shares.items():
        found = iter(_take(session, known[name], lease, sum(count for _, count in wanted)))
        for taken, count in wanted:
            taken.extend(islice(found, count))
    return outcomes


def _take(session: Session, queue: KnownQueue, lease: float, most: int) -> list[Taken]:
    look = _look(session, queue.id)
    if look.is_due(session.now):
        session.run(_PROMOTE, queue=queue.id, now=session.now)
    elif not look.ready:
        return []
    token = os.urandom(8)  # one for all: the pair of id and token is fresh at each take
    rows: Sequence[Any] = session.run(
        _RESERVE, queue=queue.id, most=min(most, _MOST), end=session.now + lease, fresh=token
    ).fetchall()
    return [
        Taken(Receipt(queue.spec.name, number, token), HIGHEST - urgency, takes, expires, envelope, body)
        # by urgency and id, of which no two are the same; a database returns them in any order
        for urgency, number, takes, expires, envelope, body in sorted(rows)
    ]


def look(session: Session, callers: Sequence[Collection[str]]) -> list[Look]:
    """What a waiting consumer needs to know.  A queue that is not there is ready: to take from it is an error."""
    known = session.queues(name for names in callers for name in names)
    return [
        _joined([_look(session, known[name].id) if name in known else Look(True, None) for name in names])
        for names in callers
    ]


def _joined(looks: Sequence[Look]) -> Look:
    return Look(
        any(look.ready for look in looks), min((look.due for look in looks if look.due is not None), default=None)
    )


def _look(session: Session, queue: int) -> Look:
    row: Any = session.run(_LOOK, queue=queue).fetchone()
    ready, due = row
    return Look(bool(ready), due)
