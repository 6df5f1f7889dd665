"""SQLite as a broker: what a durable put costs, and what whole workers get out of one file.

``put``: one greenlet, one message at a time, each on disk before the next.  ``put-50``: the same from 50 greenlets.
``consume-N``: N worker processes on a file that was filled before; what counts begins when each has handled a message.
Each ends after some seconds when it is not through by then.

``raw`` is the ``sqlite3`` module by hand: what SQLite and the disk let anybody have (50 messages in a transaction for
``put-50``).  kombu deletes a message when it hands it out, so its consumers have nothing left to ack, and lose it when
they die.
"""

from __future__ import annotations

from benchmarks.contract import Case, Workload

__all__ = ["STORES"]

_PEERS = ("kombu_green", "kombu-gevent")

STORES = Workload(
    "stores",
    (
        Case("SQLite, put one at a time", (*_PEERS, "raw"), messages=2_000, name="put", warm_up=100, seconds=8),
        Case("SQLite, put by 50 greenlets", (*_PEERS, "raw"), messages=10_000, name="put-50", warm_up=200, seconds=8),
        Case("SQLite, consume with 1 worker process", _PEERS, messages=10_000, name="consume-1", seconds=10),
        Case("SQLite, consume with 2 worker processes", _PEERS, messages=10_000, name="consume-2", seconds=10),
    ),
)
