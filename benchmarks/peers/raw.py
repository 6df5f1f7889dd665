"""The drivers by hand, with nothing around them: what a store lets anybody have, not a product."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice

from benchmarks.bodies import body
from benchmarks.crowd import CROWD
from benchmarks.round import Load, Measure, Sample, Span, bounded

INSERT = "INSERT INTO messages (body) VALUES (?)"


def put(load: Load) -> Sample:
    """A transaction for each message."""
    return _put(load, 1)


def put_50(load: Load) -> Sample:
    """As many messages in a transaction as others have greenlets."""
    return _put(load, CROWD)


def _put(load: Load, together: int) -> Sample:
    with _database(load) as database:
        _insert(database, load.warm_up, together, load.seconds)
        with Span() as span:
            done = _insert(database, load.messages, together, load.seconds)
    return span.sample(done)


def _insert(database: sqlite3.Connection, messages: int, together: int, seconds: float) -> int:
    done = 0
    numbers = bounded(messages, seconds)
    while rows := [(json.dumps(body(number)).encode(),) for number in islice(numbers, together)]:
        database.execute("BEGIN IMMEDIATE")
        database.executemany(INSERT, rows)
        database.execute("COMMIT")
        done += len(rows)
    return done


@contextmanager
def _database(load: Load) -> Iterator[sqlite3.Connection]:
    """A write-ahead log, and on disk when a transaction ends: what a durable broker needs."""
    with closing(sqlite3.connect(f"{load.folder}/broker.db", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")
        yield database


MEASURES: dict[str, Measure] = {"stores/put": put, "stores/put-50": put_50}
