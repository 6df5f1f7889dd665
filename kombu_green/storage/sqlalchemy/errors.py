"""Translation of the driver's and SQLAlchemy's errors to those of kombu_green."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from copy import copy
from typing import Final

from sqlalchemy import exc

from kombu_green.exceptions import AccessRefused, ConnectionLost, KombuError, OperationalError, UnsupportedOption

__all__ = ["translate"]

# SQLite's result codes (sqlite.org/rescode.html): an extended one, or the primary one that it begins with.  The others
# go by SQLAlchemy's class.
_SQLITE: Final[Mapping[str, type[OperationalError]]] = {
    "SQLITE_AUTH": AccessRefused,
    "SQLITE_BUSY": ConnectionLost,  # another program has it locked, for a while
    "SQLITE_CANTOPEN": AccessRefused,
    "SQLITE_IOERR": ConnectionLost,
    "SQLITE_LOCKED": ConnectionLost,
    "SQLITE_NOTADB": AccessRefused,
    "SQLITE_PERM": AccessRefused,
    "SQLITE_PROTOCOL": ConnectionLost,  # a race for the write-ahead log's locks
    "SQLITE_READONLY": AccessRefused,
    "SQLITE_READONLY_DBMOVED": ConnectionLost,  # the file was moved away since it was looked at
}

# The first class that fits counts: from the special to the general.
_SQLALCHEMY: Final[tuple[tuple[type[Exception], type[KombuError]], ...]] = (
    (exc.NoSuchModuleError, UnsupportedOption),
    (exc.ArgumentError, UnsupportedOption),
    (exc.DisconnectionError, ConnectionLost),
    (exc.TimeoutError, ConnectionLost),
    (exc.InterfaceError, ConnectionLost),
    (exc.ResourceClosedError, ConnectionLost),
    (exc.SQLAlchemyError, OperationalError),
    (sqlite3.Error, OperationalError),  # statements that go to the driver without SQLAlchemy around them
)


def translate(error: Exception, where: str) -> Exception:
    """The error to raise for *error*, chained to it; *where* names the database.

    An error of this package is copied, as several callers may get the same one.  Errors of others are returned as they
    are.
    """
    kind = _kind(error)
    if kind is None:
        return copy(error) if isinstance(error, KombuError) else error
    # the driver's text alone: SQLAlchemy adds the statement and its parameters, which hold whole messages
    said = getattr(error, "orig", None) or (error.args[0] if error.args else type(error).__name__)
    translated = kind(f"{where}: {said}")
    translated.__cause__ = error
    return translated


def _kind(error: Exception) -> type[KombuError] | None:
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return ConnectionLost
    name = str(getattr(getattr(error, "orig", error), "sqlite_errorname", ""))
    known = _SQLITE.get(name) or _SQLITE.get("_".join(name.split("_")[:2]))
    if known is not None:
        return known
    return next((ours for theirs, ours in _SQLALCHEMY if isinstance(error, theirs)), None)
