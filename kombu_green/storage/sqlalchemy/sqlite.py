"""What is particular to SQLite: the file, its folder, and how a connection is set up.

It writes to a write-ahead log, so that readers never wait.  ``synchronous=FULL`` is for what must survive a power
failure.  A lease or an ack that is undone only means that the message is handed out again, so those transactions do not
wait for the disk.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from kombu_green.exceptions import AccessRefused, UnsupportedOption

__all__ = ["BEGIN", "SYNC_FULL", "SYNC_NORMAL"]
__all__ += ["change_file_path", "create_engine_for", "create_folder", "database_path", "file_identity"]

_OLDEST_VERSION: Final = (3, 35)


def database_path(url: URL) -> Path:
    """The absolute path of the database file.

    Raises :exc:`~kombu_green.exceptions.UnsupportedOption` for a database in memory and for options in the URL.
    """
    shown = url.render_as_string()
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise UnsupportedOption(f"{shown}: of the drivers of SQLite only pysqlite is supported: write sqlite:///PATH")
    if url.host or url.username or url.port:
        raise UnsupportedOption(
            f"{shown}: SQLite has no host: write sqlite:///PATH, or sqlite:////PATH for a path from /"
        )
    if url.query:
        raise UnsupportedOption(f"{shown}: unknown option {', '.join(map(repr, url.query))}: sqlite:///PATH takes none")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise UnsupportedOption(
            f"{shown}: a database in memory is seen by one connection only:"
            " write sqlite:///PATH, or use the memory transport, whose brokers have names"
        )
    return Path(url.database).absolute()


def create_folder(path: Path) -> None:
    """Create the folder of the database if it is missing.

    Raises :exc:`~kombu_green.exceptions.AccessRefused` when there cannot be a database at *path*.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        wrong = next((folder for folder in path.parents if folder.exists() and not folder.is_dir()), path.parent)
        raise AccessRefused(f"no database can be at {path}: {wrong} is a file, not a folder") from None
    except OSError as error:
        raise AccessRefused(f"the folder of the database {path} cannot be made: {error.strerror}") from error
    if path.is_dir():
        raise AccessRefused(f"no database can be at {path}: it is a folder")


def create_engine_for(path: Path, lock_timeout: float) -> Engine:
    """An engine with one connection, which the caller uses from one thread at a time.

    A statement waits *lock_timeout* seconds for another program's lock.

    Raises :exc:`~kombu_green.exceptions.UnsupportedOption` when Python's SQLite is older than 3.35.
    """
    if sqlite3.sqlite_version_info < _OLDEST_VERSION:
        raise UnsupportedOption(
            f"{path}: SQLite {sqlite3.sqlite_version} is too old: this needs"
            f" {'.'.join(map(str, _OLDEST_VERSION))}, which has UPDATE … RETURNING"
        )
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        poolclass=StaticPool,
        connect_args={"timeout": lock_timeout, "check_same_thread": False, "cached_statements": 256},
        insertmanyvalues_page_size=500,
    )
    event.listen(engine, "connect", _set_up)
    return engine


def _set_up(connection: Any, record: object) -> None:
    connection.isolation_level = None  # so the driver does not begin transactions by itself
    cursor = connection.cursor()
    try:
        for pragma in ("PRAGMA journal_mode = WAL", SYNC_FULL):
            cursor.execute(pragma)
    finally:
        cursor.close()


#: executed before a transaction: whether its commit waits for the disk
SYNC_FULL: Final = "PRAGMA synchronous = FULL"
SYNC_NORMAL: Final = "PRAGMA synchronous = NORMAL"

# Lock at once: a transaction that reads first and writes later may fail because another one wrote in between.
BEGIN: Final = "BEGIN IMMEDIATE"


def change_file_path(path: Path) -> Path:
    """Beside the database, as SQLite's own ``-wal`` and ``-shm`` are."""
    return path.with_name(f"{path.name}-changes")


def file_identity(path: Path) -> tuple[int, int]:
    """Device and inode: they tell the file from another one that was put in its place."""
    found = os.stat(path)
    return found.st_dev, found.st_ino
