"""The store's operations as verbs of a group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import KombuError
from kombu_green.routing import Binding
from kombu_green.storage.contract import QueueInfo, Receipt, Topology
from kombu_green.storage.sqlalchemy import putting, settling, taking
from kombu_green.storage.sqlalchemy.catalog import KnownQueue
from kombu_green.storage.sqlalchemy.grouping import Effect, Verb
from kombu_green.storage.sqlalchemy.putting import Deposit
from kombu_green.storage.sqlalchemy.session import Session
from kombu_green.storage.sqlalchemy.settling import Change
from kombu_green.storage.sqlalchemy.taking import Demand, Look, Taken

__all__ = ["ACK", "BINDINGS", "DECLARE", "DESCRIBE", "DROP", "EXTEND", "FORGET", "LOOK", "PURGE", "PUT", "REBIND"]
__all__ += ["RELEASE", "RESERVE", "SIZE", "Rebinding"]

A = TypeVar("A")
T = TypeVar("T")


class Rebinding(NamedTuple):
    exchange: ExchangeSpec
    add: Sequence[Binding]
    remove: Sequence[Binding]


def _declare(session: Session, queue: QueueSpec) -> QueueInfo:
    return _info(session, session.catalog.declare(session.connection, queue))


def _describe(session: Session, name: str) -> QueueInfo | None:
    there = session.queues([name]).get(name)
    return None if there is None else _info(session, there)


def _info(session: Session, queue: KnownQueue) -> QueueInfo:
    return QueueInfo(queue.spec, putting.count(session, queue.id))


def _size(session: Session, name: str) -> int:
    return putting.count(session, session.catalog.queue(session.connection, name).id)


def _drop(session: Session, name: str) -> None:
    session.catalog.drop(session.connection, name)
    session.woken.add(name)  # whoever waits for it will be told that it is gone


def _bindings(session: Session, exchange: str) -> Topology:
    return session.catalog.topology(session.connection, exchange)


def _rebind(session: Session, change: Rebinding) -> None:
    session.catalog.rebind(session.connection, change.exchange, change.add, change.remove)


def _forget(session: Session, exchange: str) -> None:
    session.catalog.forget(session.connection, exchange)


def _each(do: Callable[[Session, A], T]) -> Callable[[Session, Sequence[A]], Sequence[T | Exception]]:
    """One after another; what one is refused is an error for that one alone.

    Refusals come before the first statement that changes anything.
    """

    def do_all(session: Session, arguments: Sequence[A]) -> Sequence[T | Exception]:
        outcomes: list[T | Exception] = []
        for argument in arguments:
            try:
                outcomes.append(do(session, argument))
            except KombuError as error:
                outcomes.append(error)
        return outcomes

    return do_all


# In the order in which they are done in a group: what is put or given back now can be taken now.
DECLARE: Final[Verb[QueueSpec, QueueInfo]] = Verb(0, Effect.KEEPS, _each(_declare))
REBIND: Final[Verb[Rebinding, None]] = Verb(1, Effect.KEEPS, _each(_rebind))
PUT: Final[Verb[Sequence[Deposit], None]] = Verb(2, Effect.KEEPS, putting.put)
ACK: Final[Verb[Sequence[Receipt], list[Receipt]]] = Verb(3, Effect.LENDS, settling.ack)
EXTEND: Final[Verb[Change, list[Receipt]]] = Verb(4, Effect.LENDS, settling.extend)
RELEASE: Final[Verb[Change, list[Receipt]]] = Verb(5, Effect.LENDS, settling.release)
RESERVE: Final[Verb[Demand, list[Taken]]] = Verb(6, Effect.LENDS, taking.reserve)
PURGE: Final[Verb[str, int]] = Verb(7, Effect.KEEPS, putting.purge)
FORGET: Final[Verb[str, None]] = Verb(8, Effect.KEEPS, _each(_forget))
DROP: Final[Verb[str, None]] = Verb(9, Effect.KEEPS, _each(_drop))
DESCRIBE: Final[Verb[str, QueueInfo | None]] = Verb(10, Effect.READS, _each(_describe))
SIZE: Final[Verb[str, int]] = Verb(11, Effect.READS, _each(_size))
BINDINGS: Final[Verb[str, Topology]] = Verb(12, Effect.READS, _each(_bindings))
LOOK: Final[Verb[Sequence[str], Look]] = Verb(13, Effect.READS, taking.look)
