"""What a broker or store can do, as one value that every transport has."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Capabilities"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a transport can do; printed by ``kombu-worker --check``, and asking for more is an error at once."""

    durable: bool  # survives the end of every process
    shared: bool  # other processes see the same queues
    priorities: bool
    delay: bool
    ttl: bool
    fifo: bool  # messages of one priority come out in the order they went in
    wakeup: str  # one line: how a waiting consumer learns of work, and how late at most
    exclusive: str  # one line: whom an exclusive queue keeps out
    max_size: int | None = None  # bytes of one body
    caution: str = ""  # one line that whoever runs workers on it should know
    exclusive_consumers: bool = False  # one consumer may keep all others out
    publish_apart: bool = False  # a broker that stops publishers stops reading their connection, acks included
    leases: str = ""  # one line: by which clocks leases and delays end; empty where messages are not leased
    confirms_acks: bool = False  # Channel.confirm_acks returns only when the broker has dealt with all acks
    takes_back: bool = False  # a message that is held for too long, and nobody can renew that
