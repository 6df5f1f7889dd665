"""The one connection of a process to its database, and the transactions on it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Literal

from gevent.monkey import get_original
from sqlalchemy import Connection, Engine, insert, select

from kombu_green.exceptions import AccessRefused, ConnectionLost, OperationalError, UnsupportedOption
from kombu_green.storage.bell import Bells
from kombu_green.storage.sqlalchemy import sqlite
from kombu_green.storage.sqlalchemy.bulletin import Bulletin
from kombu_green.storage.sqlalchemy.catalog import VERSION, Catalog
from kombu_green.storage.sqlalchemy.errors import translate
from kombu_green.storage.sqlalchemy.grouping import AnyTask, Effect
from kombu_green.storage.sqlalchemy.session import Session, Statements
from kombu_green.storage.sqlalchemy.tables import LAYOUT, meta, metadata

__all__ = ["Database"]

log = logging.getLogger(__name__)

_new_lock: Callable[[], Any] = get_original("_thread", "allocate_lock")
_rank = attrgetter("verb.rank")


class Database:
    """Its methods block: they are for a native thread.  A lock lets one of them at a time use the connection."""

    def __init__(self, path: Path, bells: Bells, clock: Callable[[], float] = time.time) -> None:
        self.path: Final = path
        self._bells: Final = bells
        self._clock: Final = clock
        self._lock: Final = _new_lock()
        self._catalog: Final = Catalog()
        self._statements: Statements
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._bulletin: Bulletin | None = None
        self._identity: tuple[int, int] | None = None
        self._abandoned = False

    def open(self) -> Bulletin:
        """Make the file, the folder and the tables where they are missing."""
        with self._lock:
            try:
                sqlite.prepare_folder(self.path)
                self._bulletin = bulletin = Bulletin(sqlite.bulletin_path(self.path))
                self._engine = sqlite.make_engine(self.path)
                self._statements = Statements(self._engine.dialect)
                with bulletin.turn():  # to switch to the write-ahead log, nobody else may be about to
                    self._connection = self._engine.connect()
                    self._create(self._connection)
                self._identity = sqlite.identity(self.path)
                if self._abandoned:
                    raise ConnectionLost(f"{self.path}: nobody waits any more for this to open")
            except OSError as error:
                self._dispose()
                raise AccessRefused(f"no database can be opened at {self.path}: {error.strerror}") from error
            except Exception as error:
                self._dispose()
                raise self._translated(error) from error
            return bulletin

    def _create(self, connection: Connection) -> None:
        connection.exec_driver_sql(sqlite.BEGIN)
        metadata.create_all(connection)
        found = connection.execute(select(meta.c.value).where(meta.c.name == "layout")).scalar_one_or_none()
        if found is None:
            connection.execute(insert(meta), [{"name": "layout", "value": LAYOUT}, {"name": "topology", "value": 0}])
        elif found != LAYOUT:
            connection.rollback()
            raise UnsupportedOption(
                f"{self.path}: its tables have layout {found}, and this version of kombu_green knows layout {LAYOUT}"
            )
        connection.commit()

    def close(self) -> None:
        with self._lock:
            self._dispose()

    def abandon(self) -> None:
        """For any thread, and at once: whoever waited for :meth:`open` was killed, so nobody will close this."""
        self._abandoned = True
        if self._lock.acquire(False):  # it is open already, or has not begun
            try:
                self._dispose()
            finally:
                self._lock.release()

    def _dispose(self) -> None:
        connection, engine, bulletin = self._connection, self._engine, self._bulletin
        self._connection = self._engine = self._bulletin = None
        if connection is not None:
            connection.close()
        if engine is not None:
            engine.dispose()
        if bulletin is not None:
            bulletin.close()

    def run(self, tasks: Sequence[AnyTask]) -> None:
        """Do all *tasks*: those that write in one transaction, which fails for those alone that cannot be done."""
        with self._lock:
            try:
                self._run(tasks)
            except Exception as error:  # noqa: BLE001  it is raised for each caller
                for task in tasks:
                    task.finish(self._translated(error))
            finally:
                for task in tasks:
                    task.finish(OperationalError(f"{self.path}: the thread ended"))

    def _run(self, tasks: Sequence[AnyTask]) -> None:
        connection, bulletin = self._connection, self._bulletin
        if connection is None or bulletin is None:
            raise ConnectionLost(f"{self.path}: this store is closed")
        self._check_file()
        writing = [task for task in tasks if task.verb.effect is not Effect.READS]
        if writing:
            with bulletin.turn():
                if not self._transact(connection, bulletin, writing):
                    for task in writing:
                        self._transact(connection, bulletin, [task])
        reading = [task for task in tasks if task.verb.effect is Effect.READS]
        if reading:
            self._read(connection, reading)

    def _check_file(self) -> None:
        """In a file that was removed nobody finds what is written, nothing ever comes, and SQLite does not notice."""
        try:
            found = sqlite.identity(self.path)
        except OSError as error:
            raise ConnectionLost(f"{self.path}: the database is gone: {error.strerror}") from error
        if found != self._identity:
            raise ConnectionLost(f"{self.path}: the database was replaced by another")

    def _transact(self, connection: Connection, bulletin: Bulletin, tasks: Sequence[AnyTask]) -> bool:
        """False when one of several tasks failed, and nothing was done."""
        session = self._session(connection)
        keeps = any(task.verb.effect is Effect.KEEPS for task in tasks)
        session.cursor.execute(sqlite.KEEPING if keeps else sqlite.LENDING)
        session.cursor.execute(sqlite.BEGIN)
        try:
            outcomes = _do(session, tasks)
        except Exception as error:  # noqa: BLE001  it is raised for the caller whose task it was
            _end(connection, "rollback")
            if len(tasks) == 1:
                tasks[0].finish(self._translated(error))
            return len(tasks) == 1
        try:
            _end(connection, "commit")
        except Exception:
            _end(connection, "rollback")
            raise
        if self._catalog.changed:
            bulletin.topology_changed()
        for task, outcome in outcomes:
            task.finish(outcome)
        self._bells.ring(session.woken)
        bulletin.announce(session.woken)
        return True

    def _read(self, connection: Connection, tasks: Sequence[AnyTask]) -> None:
        session = self._session(connection)
        try:
            for task, outcome in _do(session, tasks):
                task.finish(outcome)
        finally:
            _end(connection, "rollback")

    def _session(self, connection: Connection) -> Session:
        cursor = connection.connection.cursor()
        return Session(connection, cursor, self._statements, self._catalog, self._clock())

    def _translated(self, error: Exception) -> Exception:
        return translate(error, str(self.path))


def _do(session: Session, tasks: Iterable[AnyTask]) -> list[tuple[AnyTask, Any]]:
    version: Any = session.run(VERSION).fetchone()
    session.catalog.refresh(version[0])
    done: list[tuple[AnyTask, Any]] = []
    for _, same in groupby(sorted(tasks, key=_rank), key=_rank):
        group = list(same)
        outcomes = group[0].verb.do(session, [task.argument for task in group])
        done += zip(group, outcomes, strict=True)
    return done


def _end(connection: Connection, how: Literal["commit", "rollback"]) -> None:
    """Both the driver's transaction, and what SQLAlchemy takes for one since it was used."""
    getattr(connection.connection, how)()
    getattr(connection, how)()
