"""The pools that a whole program shares, by connection: ``connections[connection]``, ``producers[connection]``.

::

    with producers[Connection("sqla+sqlite:///media.db")].acquire(block=True, timeout=2) as producer:
        producer.publish({"path": "a.jpg"}, routing_key="media")

Connections with the same parameters share a pool.  The producers of a pool share one connection: any greenlet may
publish on it at any time, and what several publish at the same time is sent together.  As in kombu, the pools are
global to the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from kombu_green.connection import Connection
from kombu_green.exceptions import LimitExceeded
from kombu_green.messaging import Producer
from kombu_green.resource import Resource

__all__ = ["DEFAULT_LIMIT", "Pools", "connections", "get_limit", "producers", "reset", "set_limit"]

T = TypeVar("T")

DEFAULT_LIMIT: Final = 10


class Pools(Generic[T]):
    """A pool for each connection, created at its first use."""

    def __init__(self, make: Callable[[Connection, int], Resource[T]]) -> None:
        self._make: Final = make
        self._pools: dict[Connection, Resource[T]] = {}
        self._limit = DEFAULT_LIMIT

    def __getitem__(self, connection: Connection) -> Resource[T]:
        pool = self._pools.get(connection)
        if pool is None:
            pool = self._pools[connection] = self._make(connection, self._limit)
        return pool

    def __len__(self) -> int:
        return len(self._pools)

    @property
    def limit(self) -> int:
        """The limit of each pool."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limit = limit
        for pool in self._pools.values():
            pool.limit = limit

    def reset(self) -> None:
        """Close and remove all pools; lent resources are closed when they are released."""
        while self._pools:
            self._pools.popitem()[1].close()


def _connections(connection: Connection, limit: int) -> Resource[Connection]:
    return connection.Pool(limit)


def _producers(connection: Connection, limit: int) -> Resource[Producer]:
    shared = connection.clone()
    return Resource(
        limit,
        create=lambda deadline: Producer(shared),
        lend=Producer.lent,
        exhausted=LimitExceeded,
        name="producers",
    )


connections: Final[Pools[Connection]] = Pools(_connections)
producers: Final[Pools[Producer]] = Pools(_producers)


def get_limit() -> int:
    return connections.limit


def set_limit(limit: int) -> int:
    """Set the limit of every pool, existing and new; returns it."""
    connections.limit = producers.limit = limit
    return limit


def reset() -> None:
    """Close and remove all pools, and restore the default limit."""
    for group in (producers, connections):
        group.reset()
        group.limit = DEFAULT_LIMIT
