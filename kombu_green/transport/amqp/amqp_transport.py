"""``amqp://user:password@host:port/vhost``: RabbitMQ, and other brokers that speak AMQP 0-9-1."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from kombu_green.capabilities import Capabilities
from kombu_green.clock import Deadline
from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.exceptions import ConnectionLost
from kombu_green.transport.amqp.channel.amqp_channel import AMQPChannel, AMQPSession
from kombu_green.transport.amqp.channel.declarations import Declarations
from kombu_green.transport.amqp.channel.delivery import DeliveryDecoder
from kombu_green.transport.amqp.delay_ladder import DelayLadder
from kombu_green.transport.amqp.options import AMQPSettings, read_settings
from kombu_green.transport.amqp.protocol.properties import PropertyPacker
from kombu_green.transport.amqp.socket.login import open_connection
from kombu_green.url import BrokerURL

__all__ = ["AMQPTransport", "open_amqp"]

#: seconds that the broker may take to answer connection.close; it requeues unacked messages in any case
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
    confirms_acks=True,
    caution=(
        "priorities need a queue with max_priority; RabbitMQ closes the channel of whoever holds a message for longer"
        " than its consumer_timeout (30 min unless the broker or the queue's x-consumer-timeout says otherwise), and"
        " hands out again what it held"
    ),
)


class AMQPTransport:
    """One connection; when it was lost or closed, :meth:`connect` opens another one."""

    def __init__(self, settings: AMQPSettings) -> None:
        self._settings: Final = settings
        self._session: AMQPSession | None = None

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    @property
    def connected(self) -> bool:
        return self._session is not None and self._session.connection.is_open

    @property
    def blocked(self) -> str | None:
        """The broker's reason while it accepts no publishes, else None."""
        return None if self._session is None else self._session.connection.blocked

    @property
    def times_blocked(self) -> int:
        """How often the broker has blocked this connection."""
        return 0 if self._session is None else self._session.connection.blocking.times

    @property
    def publishes_given_up(self) -> int:
        """How many publishes of this connection were given up before the broker confirmed them."""
        return 0 if self._session is None else self._session.connection.given_up

    def connect(self, deadline: Deadline) -> None:
        if not self.connected:
            connection = open_connection(self._settings.address, deadline)
            declarations = Declarations(connection, self._settings.exchange_types)
            self._session = AMQPSession(
                connection,
                declarations,
                DelayLadder(declarations, safe=_dead_letters_safely(connection.server)),
                PropertyPacker(),
                DeliveryDecoder(),
                self._settings.confirm,
            )

    def check(self, declared: QueueSpec | ExchangeSpec) -> None:
        """Does nothing: the broker itself checks arguments when something is declared."""

    def create_channel(self) -> AMQPChannel:
        session = self._session
        if session is None:
            raise ConnectionLost("this connection is not open")
        session.connection.check()
        return AMQPChannel(session)

    def drain_events(self, deadline: Deadline) -> None:
        session = self._session
        if session is None:
            raise ConnectionLost("this connection is not open")
        session.connection.drain(deadline)

    def close(self) -> None:
        """Send what was written, and close; the broker requeues unacked messages."""
        session, self._session = self._session, None
        if session is not None:
            session.connection.close(Deadline.after(min(self._settings.address.answer_within, CLOSE_WITHIN)))


def _dead_letters_safely(server: Mapping[str, Any]) -> bool:
    """Whether quorum queues have a time to live and dead-letter at least once: RabbitMQ 3.10 and newer."""
    digits = re.match(r"(\d+)\.(\d+)", str(server.get("version", "")))
    return server.get("product") == "RabbitMQ" and digits is not None and (int(digits[1]), int(digits[2])) >= (3, 10)


def open_amqp(url: BrokerURL, options: Mapping[str, Any]) -> AMQPTransport:
    """A transport for *url*; :func:`~.options.read_settings` describes the options."""
    return AMQPTransport(read_settings(url, options))
