"""The tables, all with the prefix ``kombu_green_``, and what their columns mean.

A message is *ready* (state 0), *leased* (1) or *delayed* (2).  Ready messages have one partial index, leased and
delayed ones another.  So the cost of a reserve does not depend on how many messages are leased or delayed: in a common
index it would have to walk past them.  Statements of their own make those ready whose lease or delay has ended; the two
end by different clocks, see :mod:`.lease_clock`.

There are no foreign keys: to check them a database would need one more index over all messages, and each transaction
looks up the queues that it touches anyway.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    literal_column,
)

__all__ = ["DELAYED", "LAYOUT", "LEASED", "READY", "binding", "exchange", "message", "meta", "metadata", "queue"]
__all__ += ["UPGRADES"]

LAYOUT: Final = 2  # raised when a version of this package makes tables that older versions cannot use

# States.  Literals, not parameters: a partial index is used only if its condition is in the statement's text.
READY: Final = literal_column("0", SmallInteger)
LEASED: Final = literal_column("1", SmallInteger)
DELAYED: Final = literal_column("2", SmallInteger)

metadata: Final = MetaData()

# SQLite numbers rows by itself only in a column of type INTEGER.
_ID = BigInteger().with_variant(Integer, "sqlite")

meta: Final = Table(
    "kombu_green_meta",
    metadata,
    # "layout" has LAYOUT; "topology" is raised with each change of a queue, an exchange or a binding; "boot" has the
    # number of the machine's start that the ends of leases count from
    Column("name", String(32), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

queue: Final = Table(
    "kombu_green_queue",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("durable", Boolean, nullable=False),
    Column("exclusive", Boolean, nullable=False),
    Column("auto_delete", Boolean, nullable=False),
    Column("arguments", LargeBinary, nullable=False),  # extended JSON
    sqlite_autoincrement=True,  # so the id of a dropped queue is never used again
)

exchange: Final = Table(
    "kombu_green_exchange",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("type", String(32), nullable=False),
    Column("durable", Boolean, nullable=False),
    Column("auto_delete", Boolean, nullable=False),
    Column("arguments", LargeBinary, nullable=False),
)

binding: Final = Table(
    "kombu_green_binding",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("exchange", String(255), nullable=False, index=True),
    Column("queue_id", BigInteger, nullable=False, index=True),
    Column("routing_key", String(255), nullable=False),
    Column("arguments", LargeBinary, nullable=False),
)

message: Final = Table(
    "kombu_green_message",
    metadata,
    Column("id", _ID, primary_key=True),  # in the order of the puts
    Column("queue_id", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("urgency", SmallInteger, nullable=False),  # 9 minus the priority: messages are taken in ascending order
    Column("ends", Float(53), nullable=False),  # the lease, by the lease clock; or the delay, in epoch seconds
    Column("token", LargeBinary),  # of the last take, until it is released
    Column("takes", Integer, nullable=False),
    Column("expires", Float(53)),  # epoch seconds
    Column("envelope", LargeBinary, nullable=False),  # extended JSON: all but the body
    Column("body", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

Index(
    "kombu_green_message_ready",
    message.c.queue_id,
    message.c.urgency,
    message.c.id,
    sqlite_where=message.c.state == READY,
)
Index(
    "kombu_green_message_held",
    message.c.queue_id,
    message.c.state,
    message.c.ends,
    sqlite_where=message.c.state != READY,
)

#: By the layout that is found: what makes the next one of it, for SQLite.  Layout 1 had leases by the wall clock; they
#: are over.  The column has another name, so that a process of an older version gets an error instead of leases that
#: nobody ends.
UPGRADES: Final = {
    1: (
        "DROP INDEX kombu_green_message_due",
        "ALTER TABLE kombu_green_message RENAME COLUMN due TO ends",
        "UPDATE kombu_green_message SET ends = 0 WHERE state = 1",
        "CREATE INDEX kombu_green_message_held ON kombu_green_message (queue_id, state, ends) WHERE state != 0",
        "INSERT INTO kombu_green_meta (name, value) VALUES ('boot', 0)",
        "UPDATE kombu_green_meta SET value = 2 WHERE name = 'layout'",
    ),
}
