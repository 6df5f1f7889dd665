"""Acknowledging, giving back and renewing, for many callers at once.  A receipt is good while it has the last token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam, delete, update

from kombu_green.storage.contract import Receipt
from kombu_green.storage.sqlalchemy.session import Session
from kombu_green.storage.sqlalchemy.tables import DELAYED, LEASED, READY, message

__all__ = ["Change", "ack", "extend", "release"]

_HELD = (message.c.id == bindparam("number"), message.c.token == bindparam("held"))
_ACK = delete(message).where(*_HELD)
_RELEASE = update(message).where(*_HELD).values(state=READY, token=None)
_DELAY = update(message).where(*_HELD).values(state=DELAYED, token=None, due=bindparam("end"))
_EXTEND = update(message).where(*_HELD).values(state=LEASED, due=bindparam("end"))


class Change(NamedTuple):
    """Receipts, and the seconds of their new lease or delay."""

    receipts: Sequence[Receipt]
    seconds: float


def ack(session: Session, callers: Sequence[Sequence[Receipt]]) -> list[list[Receipt]]:
    return [[receipt for receipt in receipts if not _acked(session, receipt)] for receipts in callers]


def _acked(session: Session, receipt: Receipt) -> bool:
    return session.run(_ACK, number=receipt.id, held=receipt.token).rowcount == 1


def release(session: Session, callers: Sequence[Change]) -> list[list[Receipt]]:
    session.woken.update(receipt.queue for change in callers for receipt in change.receipts)
    return [[receipt for receipt in receipts if not _released(session, receipt, delay)] for receipts, delay in callers]


def _released(session: Session, receipt: Receipt, delay: float) -> bool:
    if delay > 0:
        return session.run(_DELAY, number=receipt.id, held=receipt.token, end=session.now + delay).rowcount == 1
    return session.run(_RELEASE, number=receipt.id, held=receipt.token).rowcount == 1


def extend(session: Session, callers: Sequence[Change]) -> list[list[Receipt]]:
    return [
        [receipt for receipt in receipts if not _extended(session, receipt, session.now + lease)]
        for receipts, lease in callers
    ]


def _extended(session: Session, receipt: Receipt, end: float) -> bool:
    return session.run(_EXTEND, number=receipt.id, held=receipt.token, end=end).rowcount == 1
