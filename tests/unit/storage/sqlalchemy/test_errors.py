"""Real errors of the driver, as SQLAlchemy wraps them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, exc, text

from kombu_green.exceptions import (
    AccessRefused,
    ConnectionLost,
    KombuError,
    NotFound,
    OperationalError,
    UnsupportedOption,
)
from kombu_green.storage.sqlalchemy.errors import translate


def raised(url: str, *statements: str, timeout: float = 0.0) -> Exception:
    engine = create_engine(url, connect_args={"timeout": timeout})
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
    except Exception as error:  # noqa: BLE001  the test looks at it
        return error
    finally:
        engine.dispose()
    raise AssertionError("nothing was raised")


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    error = translate(raised(f"sqlite:///{tmp_path}/no/folder.db", "SELECT 1"), "here")
    assert type(error) is AccessRefused
    assert str(error) == "here: unable to open database file"


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("not a database at all, but long enough to be read as one" * 20)
    error = translate(raised(f"sqlite:///{path}", "CREATE TABLE t (a)"), "here")
    assert type(error) is AccessRefused
    assert str(error) == "here: file is not a database"


def test_a_database_that_may_only_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a)")
    error = translate(raised(f"sqlite:///file:{path}?mode=ro&uri=true", "INSERT INTO t VALUES (1)"), "here")
    assert type(error) is AccessRefused


def test_a_database_that_another_program_holds(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("CREATE TABLE t (a)")
        holder.execute("BEGIN EXCLUSIVE")
        error = translate(raised(f"sqlite:///{path}", "INSERT INTO t VALUES (1)"), "here")
    assert type(error) is ConnectionLost
    assert str(error) == "here: database is locked"


def test_a_full_disk(tmp_path: Path) -> None:
    statements = ("PRAGMA max_page_count = 1", "CREATE TABLE t (a)", "INSERT INTO t VALUES (zeroblob(100000))")
    error = translate(raised(f"sqlite:///{tmp_path}/x.db", *statements), "here")
    assert type(error) is OperationalError
    assert str(error) == "here: database or disk is full"


def test_a_broken_constraint_shows_neither_statement_nor_parameters(tmp_path: Path) -> None:
    statements = ("CREATE TABLE t (a NOT NULL)", "INSERT INTO t VALUES (NULL) RETURNING 'secret'")
    original = raised(f"sqlite:///{tmp_path}/x.db", *statements)
    error = translate(original, "here")
    assert type(error) is OperationalError
    assert str(error) == "here: NOT NULL constraint failed: t.a"
    assert error.__cause__ is original


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (exc.NoSuchModuleError("no dialect"), UnsupportedOption),
        (exc.ArgumentError("no URL"), UnsupportedOption),
        (exc.DisconnectionError("gone"), ConnectionLost),
        (exc.TimeoutError("pool"), ConnectionLost),
        (exc.InterfaceError("statement", None, Exception("gone")), ConnectionLost),
        (exc.ResourceClosedError("closed"), ConnectionLost),
        (exc.OperationalError("statement", None, Exception("gone"), connection_invalidated=True), ConnectionLost),
        (exc.OperationalError("statement", None, Exception("busy")), OperationalError),
        (exc.IntegrityError("statement", None, Exception("twice")), OperationalError),
        (exc.InvalidRequestError("what"), OperationalError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value.__name__,
)
def test_each_kind_of_error_has_its_class(theirs: Exception, ours: type[KombuError]) -> None:
    error = translate(theirs, "here")
    assert type(error) is ours
    assert str(error).startswith("here: ")


def test_the_driver_s_own_errors() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("PRAGMA query_only = ON")
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute("CREATE TABLE t (a)")
        with pytest.raises(sqlite3.OperationalError) as nonsense:
            connection.execute("nonsense")
    assert type(translate(caught.value, "here")) is AccessRefused
    assert type(translate(nonsense.value, "here")) is OperationalError
    assert type(translate(sqlite3.Error("whatever"), "here")) is OperationalError


def test_each_caller_gets_an_error_of_its_own() -> None:
    original = NotFound("no queue")
    one, two = translate(original, "here"), translate(original, "here")
    assert one is not two
    assert (type(one), one.args) == (type(two), two.args) == (NotFound, ("no queue",))


def test_errors_of_others_are_returned_as_they_are() -> None:
    error = ZeroDivisionError()
    assert translate(error, "here") is error


def test_a_file_that_was_moved_since_it_was_looked_at_is_a_lost_connection(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a)")
        (tmp_path / "x.db").rename(tmp_path / "y.db")
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute("INSERT INTO t VALUES (1)")
    assert caught.value.sqlite_errorname == "SQLITE_READONLY_DBMOVED"
    assert type(translate(caught.value, "here")) is ConnectionLost
