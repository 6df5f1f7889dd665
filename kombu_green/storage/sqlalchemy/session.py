"""What the operations of one group share: a connection, and statements that are compiled once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, Dialect, Executable, Insert
from sqlalchemy.engine.interfaces import DBAPICursor

from kombu_green.storage.sqlalchemy.catalog import Catalog, KnownQueue

__all__ = ["Session", "Statements"]


class _Prepared(NamedTuple):
    text: str
    names: Sequence[str]  # of the parameters, in the order of their places
    given: Mapping[str, Any]  # those that the statement itself has


class Statements:
    """Statements as the database's driver takes them.

    SQLAlchemy writes them, once.  To run one through it costs several times what SQLite itself needs.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._prepared: dict[Executable, _Prepared] = {}

    def prepared(self, statement: Executable) -> _Prepared:
        found = self._prepared.get(statement)
        if found is None:
            columns = None
            if isinstance(statement, Insert):
                columns = [column.name for column in statement.table.columns if not column.primary_key]
            compiled: Any = statement.compile(dialect=self._dialect, column_keys=columns)  # type: ignore[attr-defined]
            found = self._prepared[statement] = _Prepared(str(compiled), compiled.positiontup, compiled.params)
        return found


@dataclass(slots=True)
class Session:
    """A connection inside of a transaction, or one that only reads."""

    connection: Connection
    cursor: DBAPICursor  # on the same connection
    statements: Statements
    catalog: Catalog
    now: float  # epoch seconds; one moment for the whole group
    woken: set[str] = field(default_factory=set)  # queues that may have more to take when this is committed

    def run(self, statement: Executable, **values: Any) -> DBAPICursor:
        """Rows are to be fetched, and counted, before the next one runs."""
        text, names, given = self.statements.prepared(statement)
        self.cursor.execute(text, [values[name] if name in values else given[name] for name in names])
        return self.cursor

    def run_for_each(self, statement: Executable, rows: Iterable[Mapping[str, Any]]) -> None:
        text, names, _ = self.statements.prepared(statement)
        self.cursor.executemany(text, [[row[name] for name in names] for row in rows])

    def queues(self, names: Iterable[str]) -> Mapping[str, KnownQueue]:
        """Those of *names* that are there; maybe others, too."""
        return self.catalog.queues(self.connection, set(names))
