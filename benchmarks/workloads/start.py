"""From the start of the command to the first message handled, and what an idle worker then uses.

The message waits in an SQLite file.  Ours is ``kombu-worker`` with one worker process, and its parent; kombu's is a
program with a ``ConsumerMixin`` under gevent, one process in all, which is what kombu has.
"""

from __future__ import annotations

from benchmarks.contract import Case, Workload

__all__ = ["START"]

START = Workload(
    "start",
    (
        Case(
            "start to first message on an SQLite file, then 4 s of idling",
            peers=("kombu_green", "kombu_green-unrecorded", "kombu-gevent"),
            messages=1,
            seconds=30.0,
        ),
    ),
)
