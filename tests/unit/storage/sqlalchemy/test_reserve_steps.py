"""What a reserve costs SQLite, in steps of its virtual machine: no other load on the machine changes those."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from kombu_green.declarations import QueueSpec
from kombu_green.message import Content
from kombu_green.storage.contract import Put
from kombu_green.storage.sqlalchemy import SQLAlchemyStore
from kombu_green.storage.sqlalchemy.lease_clock import system_lease_clock

FEW, MANY = 1_000, 100_000

_FILL = """
WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)
INSERT INTO kombu_green_message (queue_id, state, urgency, ends, token, takes, envelope, body)
SELECT queue.id, ?, 9, ?, x'00', 1, '["","q",null,null,{},{}]', x'61'
FROM numbers, kombu_green_queue AS queue WHERE queue.name = 'q'
"""


class Steps:
    """Counts the steps of whatever statements run on any connection that SQLAlchemy makes while it is open."""

    def __init__(self) -> None:
        self.count = 0

    def listen(self, connection: sqlite3.Connection, record: object) -> None:
        connection.set_progress_handler(self._step, 1)

    def _step(self) -> int:
        self.count += 1
        return 0

    def of(self, store: SQLAlchemyStore, wanted: int) -> int:
        self.count = 0
        assert len(store.reserve({"q": 10}, lease=600)) == wanted
        return self.count


@contextmanager
def counting() -> Iterator[Steps]:
    steps = Steps()
    event.listen(Engine, "connect", steps.listen)
    try:
        yield steps
    finally:
        event.remove(Engine, "connect", steps.listen)


def cost(folder: Path, rows: int, state: int, due: float, *, waiting: int = 10) -> int:
    """Steps of a reserve of 10 when *rows* of that state were put before *waiting* ready ones."""
    folder.mkdir()
    path = folder / "broker.db"
    with counting() as steps, closing(SQLAlchemyStore(f"sqlite:///{path}")) as store:
        store.declare(QueueSpec("q"))
        with closing(sqlite3.connect(path)) as direct, direct:
            direct.execute(_FILL, (rows, state, due))
            assert direct.execute("SELECT count(*) FROM kombu_green_message").fetchone() == (rows,)
        store.put([Put("q", Content(b"ready")) for _ in range(waiting)])
        return steps.of(store, 10)


@pytest.mark.parametrize(
    ("state", "what"),
    [(0, "ready"), (1, "leased"), (2, "delayed")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_cost_of_a_reserve_does_not_grow_with_what_waits(tmp_path: Path, state: int, what: str) -> None:
    due = (system_lease_clock().now() if what == "leased" else time.time()) + 3600
    few = cost(tmp_path / "few", FEW, state, due)
    many = cost(tmp_path / "many", MANY, state, due)
    assert few > 0
    assert many <= 2 * few, f"{many} steps with {MANY} {what} messages, {few} with {FEW}"


def test_the_cost_is_bounded_when_many_leases_end_at_once(tmp_path: Path) -> None:
    few = cost(tmp_path / "few", FEW, 1, 0.0)
    many = cost(tmp_path / "many", MANY, 1, 0.0)
    assert many <= 2 * few
