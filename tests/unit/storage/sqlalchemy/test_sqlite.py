"""Where a database can be, and the errors when it cannot be there."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from kombu_green.declarations import QueueSpec
from kombu_green.exceptions import AccessRefused, UnsupportedOption
from kombu_green.storage.sqlalchemy import SQLAlchemyStore


def refused(url: str, said: str) -> None:
    with pytest.raises(AccessRefused, match=re.escape(said)):
        SQLAlchemyStore(url)


def test_missing_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "var" / "demo" / "media.db"
    with closing(SQLAlchemyStore(f"sqlite:///{path}")) as store:
        store.declare(QueueSpec("q"))
    assert path.is_file()


def test_a_relative_path_is_relative_to_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(SQLAlchemyStore("sqlite:///var/media.db")) as store:
        monkeypatch.chdir("/")
        store.declare(QueueSpec("q"))
    assert (tmp_path / "var" / "media.db").is_file()


def test_a_path_with_odd_characters(tmp_path: Path) -> None:
    path = tmp_path / "ünï code & 50%.db"
    with closing(SQLAlchemyStore(f"sqlite:///{path}")) as store:
        store.declare(QueueSpec("q"))
    assert path.is_file()


def test_it_survives_a_power_failure_and_readers_do_not_wait(tmp_path: Path) -> None:
    with closing(SQLAlchemyStore(f"sqlite:///{tmp_path}/x.db")) as store:
        connection = store._database._connection
        assert connection is not None
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refused(f"sqlite:///{tmp_path}/file/x.db", f"{tmp_path}/file is a file, not a folder")
    refused(f"sqlite:///{tmp_path}/file/deeper/x.db", f"{tmp_path}/file is a file, not a folder")


def test_a_path_of_a_folder_is_refused(tmp_path: Path) -> None:
    refused(f"sqlite:///{tmp_path}", f"no database can be at {tmp_path}: it is a folder")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no folder that even root cannot write to")
def test_a_folder_that_cannot_be_written_to_is_refused() -> None:
    refused("sqlite:////proc/x.db", "/proc/x.db")
    refused("sqlite:////proc/new/x.db", "the folder of the database /proc/new/x.db cannot be made")
    assert "x.db" not in os.listdir("/proc")


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    refused(f"sqlite:///{tmp_path}/{'x' * 300}.db", "File name too long")


def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(UnsupportedOption, match=r"is too old: this needs 3\.35"):
        SQLAlchemyStore(f"sqlite:///{tmp_path}/x.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("these are notes" * 100)
    refused(f"sqlite:///{path}", f"{path}: file is not a database")
    assert path.read_text() == "these are notes" * 100


def test_a_database_that_is_used_for_something_else_is_shared(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as mine, mine:
        mine.execute("CREATE TABLE message (id)")
        mine.execute("INSERT INTO message VALUES (1)")
    with closing(SQLAlchemyStore(f"sqlite:///{path}")) as store:
        store.declare(QueueSpec("q"))
    with closing(sqlite3.connect(path)) as mine:
        assert mine.execute("SELECT id FROM message").fetchall() == [(1,)]
        tables = [name for (name,) in mine.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert all(name.startswith(("kombu_green_", "sqlite_")) for name in tables if name != "message")


def test_tables_of_a_later_version_are_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    SQLAlchemyStore(url).close()
    with closing(sqlite3.connect(tmp_path / "x.db")) as later, later:
        later.execute("UPDATE kombu_green_meta SET value = 7 WHERE name = 'layout'")
    with pytest.raises(UnsupportedOption, match="layout 7"):
        SQLAlchemyStore(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///file:x?mode=memory&uri=true", "unknown option"),
        ("sqlite:///file:x", "in memory"),
        ("sqlite://relative.db", "write sqlite:///PATH"),
        ("sqlite:///x.db?timeout=5", "unknown option 'timeout'"),
        ("sqlite+aiosqlite:///x.db", "only pysqlite"),
        ("postgresql://user:secret@host/db", "only SQLite"),
        ("nonsense", "not a URL"),
        ("", "not a URL"),
        ("nodialect://x", "only SQLite"),
    ],
)
def test_the_error_for_another_url_says_what_to_write(url: str, said: str) -> None:
    with pytest.raises(UnsupportedOption, match=re.escape(said)) as caught:
        SQLAlchemyStore(url)
    assert "secret" not in str(caught.value)
