"""Acknowledging, giving back and renewing, for many callers at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, delete, select, update

from kombu_green.storage.contract import Receipt
from kombu_green.storage.sqlalchemy.session import Session, chunks
from kombu_green.storage.sqlalchemy.tables import DELAYED, LEASED, READY, message

__all__ = ["Change", "ack", "extend", "release"]

_THESE = message.c.id.in_(bindparam("ids", expanding=True))
_TOKENS = select(message.c.id, message.c.token).where(_THESE).with_for_update()
_ACK = delete(message).where(_THESE)
_RELEASE = update(message).where(_THESE).values(state=READY, token=None)
_DELAY = update(message).where(_THESE).values(state=DELAYED, token=None, due=bindparam("end"))
_EXTEND = update(message).where(_THESE).values(state=LEASED, due=bindparam("end"))


class Change(NamedTuple):
    """Receipts, and the seconds of their new lease or delay."""

    receipts: Sequence[Receipt]
    seconds: float


def ack(session: Session, callers: Sequence[Sequence[Receipt]]) -> list[list[Receipt]]:
    held, lost = _held(session, callers)
    for ids in chunks([number for numbers in held for number in numbers]):
        session.connection.execute(_ACK, {"ids": ids})
    return lost


def release(session: Session, callers: Sequence[Change]) -> list[list[Receipt]]:
    held, lost = _held(session, [change.receipts for change in callers])
    for delay, numbers in _by_seconds(callers, held):
        statement = _DELAY if delay > 0 else _RELEASE
        for ids in chunks(numbers):
            session.connection.execute(statement, {"ids": ids} | ({"end": session.now + delay} if delay > 0 else {}))
    session.woken.update(receipt.queue for change in callers for receipt in change.receipts)
    return lost


def extend(session: Session, callers: Sequence[Change]) -> list[list[Receipt]]:
    held, lost = _held(session, [change.receipts for change in callers], once=False)
    for lease, numbers in _by_seconds(callers, held):
        for ids in chunks(numbers):
            session.connection.execute(_EXTEND, {"ids": ids, "end": session.now + lease})
    return lost


def _held(
    session: Session, callers: Sequence[Sequence[Receipt]], once: bool = True
) -> tuple[list[list[int]], list[list[Receipt]]]:
    """Ids of the messages whose last take each caller has, and the receipts of those that it has not.

    With *once* a receipt is good for its first bearer only.
    """
    tokens: dict[int, bytes] = {}
    for ids in chunks(list({receipt.id for receipts in callers for receipt in receipts})):
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
