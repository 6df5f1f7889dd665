"""What is particular to SQLite: the file, its folder, and how a connection is set up.

Write-ahead log, so that readers never wait.  ``synchronous=FULL`` where what is committed must survive a power failure;
a lease or an ack need not, as the message is handed out again then, and they do not wait for the disk.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.pool import StaticPool

from kombu_green.exceptions import AccessRefused, UnsupportedOption

__all__ = ["BEGIN", "KEEPING", "LENDING", "bulletin_path", "database_path", "identity", "make_engine", "prepare_folder"]

_OLDEST: Final = (3, 35)
_BUSY: Final = 30.0  # seconds that a statement waits for another program's lock


def database_path(url: URL) -> Path:
    """The absolute path of the database file.  :exc:`~kombu_green.exceptions.UnsupportedOption` for one in memory."""
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


def prepare_folder(path: Path) -> None:
    """Make the folder of the database when it is missing.

    :exc:`~kombu_green.exceptions.AccessRefused` when there cannot be a database at *path*.
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


def make_engine(path: Path) -> Engine:
    """An engine with one connection, which whoever calls uses from one thread at a time.

    :exc:`~kombu_green.exceptions.UnsupportedOption` when Python's SQLite is older than 3.35.
    """
    if sqlite3.sqlite_version_info < _OLDEST:
        raise UnsupportedOption(
            f"{path}: SQLite {sqlite3.sqlite_version} is too old: this needs"
            f" {'.'.join(map(str, _OLDEST))}, which has UPDATE … RETURNING"
        )
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        poolclass=StaticPool,
        connect_args={"timeout": _BUSY, "check_same_thread": False, "cached_statements": 256},
        insertmanyvalues_page_size=500,
    )
    event.listen(engine, "connect", _set_up)
    return engine


def _set_up(connection: Any, record: object) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
    cursor = connection.cursor()
    try:
        for pragma in ("PRAGMA journal_mode = WAL", KEEPING):
            cursor.execute(pragma)
    finally:
        cursor.close()


#: said before a transaction: whether its commit waits for the disk
KEEPING: Final = "PRAGMA synchronous = FULL"
LENDING: Final = "PRAGMA synchronous = NORMAL"

# A reader that became a writer later could find that it is too late.
BEGIN: Final = "BEGIN IMMEDIATE"


def bulletin_path(path: Path) -> Path:
    """Beside the database, as SQLite's own ``-wal`` and ``-shm`` are."""
    return path.with_name(f"{path.name}-bulletin")


def identity(path: Path) -> tuple[int, int]:
    """Which file this is: another one of the same name is another database."""
    found = os.stat(path)
    return found.st_dev, found.st_ino
