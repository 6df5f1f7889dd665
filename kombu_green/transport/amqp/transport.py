"""``amqp://user:password@host:port/vhost``: RabbitMQ, and whoever else speaks AMQP 0-9-1."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from kombu_green.capabilities import Capabilities
from kombu_green.clock import Deadline
from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import ConnectionLost
from kombu_green.transport.amqp.channel import AMQPChannel
from kombu_green.transport.amqp.connection import AMQPConnection
from kombu_green.transport.amqp.control import Control
from kombu_green.transport.amqp.ladder import Ladder
from kombu_green.transport.amqp.opening import open_connection
from kombu_green.transport.amqp.options import Settings, read_settings
from kombu_green.transport.amqp.topology import Topology
from kombu_green.url import BrokerURL

__all__ = ["AMQPTransport", "open_amqp"]

#: seconds that the broker may take to say goodbye; what is unsettled it finds out by itself
CLOSE_WITHIN: Final = 5.0

_CAPABILITIES: Final = Capabilities(
    durable=True,
    shared=True,
    priorities=True,
    delay=True,
    ttl=True,
    fifo=True,
    wakeup="pushed by the broker, at once",
    exclusive="everybody but the connection that declared it",
    exclusive_consumers=True,
    publish_apart=True,
    takes_back=True,
    caution=(
        "priorities need a queue with max_priority; RabbitMQ closes the channel of whoever holds a message for longer"
        " than its consumer_timeout (30 min unless the broker or the queue's x-consumer-timeout says otherwise), and"
        " hands out again what it held"
    ),
)


class AMQPTransport:
    """One connection; after it was lost, or closed, :meth:`connect` makes another one."""

    def __init__(self, settings: Settings) -> None:
        self._settings: Final = settings
        self._connection: AMQPConnection | None = None
        self._topology: Topology
        self._ladder: Ladder

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    @property
    def connected(self) -> bool:
        return self._connection is not None and self._connection.is_open

    @property
    def blocked(self) -> str | None:
        """What the broker said when it asked publishers to wait; None while it takes messages."""
        return None if self._connection is None else self._connection.blocked

    @property
    def times_blocked(self) -> int:
        """How often it has asked on this connection."""
        return 0 if self._connection is None else self._connection.blocking.times

    def connect(self, deadline: Deadline) -> None:
        if not self.connected:
            self._connection = open_connection(self._settings.address, deadline)
            self._topology = Topology(Control(self._connection), self._settings.exchange_types)
            self._ladder = Ladder(self._topology, safe=_moves_safely(self._connection.server))

    def check(self, declared: QueueSpec | ExchangeSpec) -> None:
        """Nothing to say: the broker knows its own arguments, and names what it refuses."""

    def _open(self) -> AMQPConnection:
        if self._connection is None:
            raise ConnectionLost("this connection is not open")
        self._connection.check()
        return self._connection

    def create_channel(self) -> AMQPChannel:
        return AMQPChannel(self._open(), self._topology, self._ladder, confirm=self._settings.confirm)

    def drain_events(self, deadline: Deadline) -> None:
        connection = self._connection
        if connection is None:
            raise ConnectionLost("this connection is not open")
        connection.drain(deadline)

    def close(self) -> None:
        """What is unsettled goes back to its queues; what was written goes out first."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(Deadline.after(min(self._settings.address.answer_within, CLOSE_WITHIN)))


def _moves_safely(server: Mapping[str, Any]) -> bool:
    """Whether the broker's dead letters survive its death: quorum queues with a time to live, since RabbitMQ 3.10."""
    digits = re.match(r"(\d+)\.(\d+)", str(server.get("version", "")))
    return server.get("product") == "RabbitMQ" and digits is not None and (int(digits[1]), int(digits[2])) >= (3, 10)


def open_amqp(url: BrokerURL, options: Mapping[str, Any]) -> AMQPTransport:
    """The options are those of :func:`~.options.read_settings`."""
    return AMQPTransport(read_settings(url, options))
