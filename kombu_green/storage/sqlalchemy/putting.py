"""Putting messages, for many callers at once; counting and deleting those that could be taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, delete, func, insert, select

from kombu_green.storage.priorities import HIGHEST, clip
from kombu_green.storage.sqlalchemy.catalog import KnownQueue, no_queue
from kombu_green.storage.sqlalchemy.session import Session
from kombu_green.storage.sqlalchemy.tables import READY, message

__all__ = ["Deposit", "count", "purge", "put"]


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
