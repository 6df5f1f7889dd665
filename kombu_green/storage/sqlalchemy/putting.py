"""Putting messages, for many callers at once; counting and deleting those that could be taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, func, insert, select

from kombu_green.storage.priorities import HIGHEST, clip
from kombu_green.storage.sqlalchemy.catalog import KnownQueue, no_queue
from kombu_green.storage.sqlalchemy.session import Session
from kombu_green.storage.sqlalchemy.tables import READY, message

__all__ = ["Deposit", "count", "purge", "put"]


# What can be taken, in two parts: each has an index, and one condition for both would have none.
_READY = (message.c.queue_id == bindparam("queue"), message.c.state == READY)
_DUE = (message.c.queue_id == bindparam("queue"), message.c.state != READY, message.c.due <= bindparam("now"))

_PUT = insert(message)
_PURGE_READY = delete(message).where(*_READY)
_PURGE_DUE = delete(message).where(*_DUE)
_COUNT_READY = select(func.count()).select_from(message).where(*_READY)
_COUNT_DUE = select(func.count()).select_from(message).where(*_DUE)


class Deposit(NamedTuple):
    """A message to be put, encoded."""

    queue: str
    priority: int
    delay: float
    expires: float | None
    envelope: bytes
    body: bytes


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
        session.run_for_each(_PUT, rows)
    return outcomes


def _row(deposit: Deposit, queue: KnownQueue, now: float) -> dict[str, Any]:
    return {
        "queue_id": queue.id,
        "state": 2 if deposit.delay > 0 else 0,
        "urgency": HIGHEST - clip(deposit.priority, queue.ceiling),
        "due": now + deposit.delay if deposit.delay > 0 else 0.0,
        "token": None,
        "takes": 0,
        "expires": deposit.expires,
        "envelope": deposit.envelope,
        "body": deposit.body,
    }


def purge(session: Session, callers: Sequence[str]) -> list[int | Exception]:
    return [_purge(session, name) for name in callers]


def _purge(session: Session, name: str) -> int | Exception:
    queue = session.queues([name]).get(name)
    if queue is None:
        return no_queue(name)
    ready = session.run(_PURGE_READY, queue=queue.id).rowcount
    return ready + session.run(_PURGE_DUE, queue=queue.id, now=session.now).rowcount


def count(session: Session, queue_id: int) -> int:
    """How many messages could be taken now."""
    ready: Any = session.run(_COUNT_READY, queue=queue_id).fetchone()
    due: Any = session.run(_COUNT_DUE, queue=queue_id, now=session.now).fetchone()
    return int(ready[0] + due[0])
