"""What the operations of one group share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from kombu_green.storage.sqlalchemy.catalog import Catalog, KnownQueue

__all__ = ["Session", "chunks"]

_CHUNK = 500  # values in one list of a statement


@dataclass(slots=True)
class Session:
    """A connection inside of a transaction, or one that only reads."""

    connection: Connection
    catalog: Catalog
    now: float  # epoch seconds; one moment for the whole group
    woken: set[str] = field(default_factory=set)  # queues that may have more to take when this is committed

    def queues(self, names: Iterable[str]) -> Mapping[str, KnownQueue]:
        """Those of *names* that are there; maybe others, too."""
        return self.catalog.queues(self.connection, set(names))


def chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """Lists that fit into a statement."""
    return (ids[at : at + _CHUNK] for at in range(0, len(ids), _CHUNK))
