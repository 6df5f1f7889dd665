"""The one connection of a process to its database, and its transactions, each for a group of calls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from gevent.monkey import get_original
from sqlalchemy import Connection, Dialect, Engine, Executable, Insert, bindparam, insert, select, update
from sqlalchemy.engine.interfaces import DBAPICursor

from kombu_green.exceptions import AccessRefused, ConnectionLost, OperationalError, UnsupportedOption
from kombu_green.storage.sqlalchemy import sqlite
from kombu_green.storage.sqlalchemy.catalog import VERSION, Catalog, KnownQueue
from kombu_green.storage.sqlalchemy.change_file import ChangeFile
from kombu_green.storage.sqlalchemy.errors import translate
from kombu_green.storage.sqlalchemy.group_commit import AnyCall, Durability
from kombu_green.storage.sqlalchemy.lease_clock import LeaseClock
from kombu_green.storage.sqlalchemy.schema import LAYOUT, LEASED, UPGRADES, message, meta, metadata
from kombu_green.storage.wakeups import QueueListeners

__all__ = ["Database", "Transaction"]

log = logging.getLogger(__name__)

_new_lock: Callable[[], Any] = get_original("_thread", "allocate_lock")
_rank = attrgetter("operation.rank")

_SET_BOOT = update(meta).where(meta.c.name == "boot", meta.c.value != bindparam("boot")).values(value=bindparam("boot"))
_END_ALL_LEASES = update(message).where(message.c.state == LEASED).values(ends=0.0)  # of before the machine's restart


class _PreparedStatement(NamedTuple):
    text: str
    names: Sequence[str]  # of the parameters, in the order of the driver's placeholders
    given: Mapping[str, Any]  # values that are part of the statement


class Statements:
    """Statements as text for the driver, compiled by SQLAlchemy once.

    To execute a statement through SQLAlchemy costs several times what SQLite itself needs.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._prepared: dict[Executable, _PreparedStatement] = {}

    def prepared(self, statement: Executable) -> _PreparedStatement:
        found = self._prepared.get(statement)
        if found is None:
            columns = None
            if isinstance(statement, Insert):
                columns = [column.name for column in statement.table.columns if not column.primary_key]
            compiled: Any = statement.compile(dialect=self._dialect, column_keys=columns)  # type: ignore[attr-defined]
            found = self._prepared[statement] = _PreparedStatement(str(compiled), compiled.positiontup, compiled.params)
        return found


@dataclass(slots=True)
class Transaction:
    """What the operations of one group work with: a connection inside of a transaction, or one that only reads."""

    connection: Connection
    cursor: DBAPICursor  # on the same connection
    statements: Statements
    catalog: Catalog
    now: float  # epoch seconds, the same for the whole group: delays
    lease_now: float  # the same moment by the lease clock
    woken: set[str] = field(default_factory=set)  # queues whose consumers are woken after the commit

    def run(self, statement: Executable, **values: Any) -> DBAPICursor:
        """Execute it.  Fetch its rows, and read its rowcount, before the next statement runs."""
        text, names, given = self.statements.prepared(statement)
        self.cursor.execute(text, [values[name] if name in values else given[name] for name in names])
        return self.cursor

    def run_for_each(self, statement: Executable, rows: Iterable[Mapping[str, Any]]) -> None:
        text, names, _ = self.statements.prepared(statement)
        self.cursor.executemany(text, [[row[name] for name in names] for row in rows])

    def queues(self, names: Iterable[str]) -> Mapping[str, KnownQueue]:
        """Those of *names* that exist, by name; there may be others among them."""
        return self.catalog.queues(self.connection, set(names))


class Database:
    """Its methods block, so they are called in a native thread.  A lock lets one at a time use the connection.

    *clock* returns epoch seconds, for delays.  *answer_timeout*: seconds to wait for another program's lock, of the
    change file and of the database each.
    """

    def __init__(
        self,
        path: Path,
        listeners: QueueListeners,
        clock: Callable[[], float],
        lease_clock: LeaseClock,
        answer_timeout: float,
    ) -> None:
        self.path: Final = path
        self._listeners: Final = listeners
        self._clock: Final = clock
        self._answer_timeout: Final = answer_timeout
        self._lease_clock: Final = lease_clock
        self._lease_now: Final = self._lease_clock.now
        self._lock: Final = _new_lock()
        self._catalog: Final = Catalog()
        self._statements: Statements
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._changes: ChangeFile | None = None
        self._identity: tuple[int, int] | None = None
        self._abandoned = False
        self._blocked = False  # whether the last group that failed could not get a lock; told once
        self.lost: str | None = None  # why, once the file was removed or replaced

    def open(self) -> ChangeFile:
        """Create the folder, the file and the tables if they are missing."""
        with self._lock:
            try:
                sqlite.create_folder(self.path)
                self._changes = changes = ChangeFile(sqlite.change_file_path(self.path), self._answer_timeout)
                self._engine = sqlite.create_engine_for(self.path, self._answer_timeout)
                self._statements = Statements(self._engine.dialect)
                with changes.turn():  # only one process at a time can switch to the write-ahead log
                    self._connection = self._engine.connect()
                    self._create(self._connection)
                self._identity = sqlite.file_identity(self.path)
                if self._abandoned:
                    raise ConnectionLost(f"{self.path}: the greenlet that opened it was killed")
            except OSError as error:
                self._dispose()
                raise AccessRefused(f"no database can be opened at {self.path}: {error.strerror}") from error
            except Exception as error:
                self._dispose()
                raise self._translated(error) from error
            return changes

    def _create(self, connection: Connection) -> None:
        connection.exec_driver_sql(sqlite.BEGIN)
        metadata.create_all(connection)
        boot = self._lease_clock.boot
        found = connection.execute(select(meta.c.value).where(meta.c.name == "layout")).scalar_one_or_none()
        if found is None:
            values = {"layout": LAYOUT, "topology": 0, "boot": boot}
            connection.execute(insert(meta), [{"name": name, "value": value} for name, value in values.items()])
        while found in UPGRADES:
            for statement in UPGRADES[found]:
                connection.exec_driver_sql(statement)
            found += 1
        if found not in (None, LAYOUT):
            connection.rollback()
            raise UnsupportedOption(
                f"{self.path}: its tables have layout {found}, and this version of kombu_green knows layout {LAYOUT}"
            )
        if connection.execute(_SET_BOOT, {"boot": boot}).rowcount:
            connection.execute(_END_ALL_LEASES)
        connection.commit()

    def close(self) -> None:
        with self._lock:
            self._dispose()

    def abandon(self) -> None:
        """Close as soon as :meth:`open` is over: its caller was killed, and cannot.  Any thread may call this."""
        self._abandoned = True
        if self._lock.acquire(False):  # open() is over, or has not begun
            try:
                self._dispose()
            finally:
                self._lock.release()

    def _dispose(self) -> None:
        connection, engine, changes = self._connection, self._engine, self._changes
        self._connection = self._engine = self._changes = None
        if connection is not None:
            connection.close()
        if engine is not None:
            engine.dispose()
        if changes is not None:
            changes.close()

    def run(self, calls: Sequence[AnyCall]) -> None:
        """Run all *calls*, those that write in one transaction.  If it fails, each of them is run in one of its own."""
        with self._lock:
            try:
                self._run(calls)
            except Exception as error:  # noqa: BLE001  it is raised for each caller
                self._tell_if_blocked(error)
                for call in calls:
                    call.finish(self._translated(error))
            finally:
                for call in calls:
                    call.finish(OperationalError(f"{self.path}: the thread ended"))

    def _run(self, calls: Sequence[AnyCall]) -> None:
        connection, changes = self._connection, self._changes
        if connection is None or changes is None:
            raise ConnectionLost(f"{self.path}: this store is closed")
        self._check_file()
        writing = [call for call in calls if call.operation.durability is not Durability.READ_ONLY]
        if writing:
            with changes.turn():
                if not self._write(connection, changes, writing):
                    for call in writing:
                        self._write(connection, changes, [call])
        reading = [call for call in calls if call.operation.durability is Durability.READ_ONLY]
        if reading:
            self._read(connection, reading)

    def _tell_if_blocked(self, error: Exception) -> None:
        if self.lost is None and not self._blocked and isinstance(found := self._translated(error), ConnectionLost):
            self._blocked = True
            log.warning("cannot be used for now: %s", found)

    def _check_file(self) -> None:
        """Raise if the file was removed or replaced: SQLite does not notice, and goes on with the old one."""
        if self.lost is None:
            try:
                if sqlite.file_identity(self.path) == self._identity:
                    return
            except OSError as error:
                self.lost = f"{self.path}: the database is gone: {error.strerror}"
            else:
                self.lost = f"{self.path}: the database was replaced by another"
        raise ConnectionLost(self.lost)

    def _write(self, connection: Connection, changes: ChangeFile, calls: Sequence[AnyCall]) -> bool:
        """Run one transaction.  False when one of several calls failed, and nothing was written."""
        transaction = self._transaction(connection)
        durable = any(call.operation.durability is Durability.DURABLE for call in calls)
        transaction.cursor.execute(sqlite.SYNC_FULL if durable else sqlite.SYNC_NORMAL)
        transaction.cursor.execute(sqlite.BEGIN)
        try:
            outcomes = _run_operations(transaction, calls)
        except Exception as error:  # noqa: BLE001  it is raised for the caller whose call it was
            _end(connection, "rollback")
            if len(calls) == 1:
                calls[0].finish(self._translated(error))
            return len(calls) == 1
        try:
            _end(connection, "commit")
        except Exception:
            _end(connection, "rollback")
            raise
        if self._blocked:
            self._blocked = False
            log.info("%s: can be used again", self.path)
        if self._catalog.changed:
            changes.announce_topology()
        for call, outcome in outcomes:
            call.finish(outcome)
        self._listeners.wake(transaction.woken)
        changes.announce(transaction.woken)
        return True

    def _read(self, connection: Connection, calls: Sequence[AnyCall]) -> None:
        transaction = self._transaction(connection)
        try:
            for call, outcome in _run_operations(transaction, calls):
                call.finish(outcome)
        finally:
            _end(connection, "rollback")

    def _transaction(self, connection: Connection) -> Transaction:
        cursor = connection.connection.cursor()
        return Transaction(connection, cursor, self._statements, self._catalog, self._clock(), self._lease_now())

    def _translated(self, error: Exception) -> Exception:
        return translate(error, str(self.path))


def _run_operations(transaction: Transaction, calls: Iterable[AnyCall]) -> list[tuple[AnyCall, Any]]:
    """Run each operation once for all of its callers, in the order of the operations' ranks."""
    version: Any = transaction.run(VERSION).fetchone()
    transaction.catalog.refresh(version[0])
    done: list[tuple[AnyCall, Any]] = []
    for _, same in groupby(sorted(calls, key=_rank), key=_rank):
        group = list(same)
        outcomes = group[0].operation.run(transaction, [call.argument for call in group])
        done += zip(group, outcomes, strict=True)
    return done


def _end(connection: Connection, how: Literal["commit", "rollback"]) -> None:
    """End the driver's transaction, and the one that SQLAlchemy has begun if a statement went through it."""
    getattr(connection.connection, how)()
    getattr(connection, how)()
