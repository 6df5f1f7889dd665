"""What every channel can do, whatever the broker: AMQP's verbs as one protocol.

Entities, producers and consumers are written against this; transports fulfil it.
Any greenlet may call any method at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from kombu_green.clock import Deadline
from kombu_green.exceptions import UnsupportedOption
from kombu_green.message import Content, Message

__all__ = ["Channel", "QueueDeclared", "refuse_mandatory_delay"]


class QueueDeclared(NamedTuple):
    """AMQP's queue.declare-ok."""

    queue: str
    message_count: int
    consumer_count: int


def refuse_mandatory_delay(exchange: str) -> None:
    """For a mandatory message with a delay: :exc:`UnsupportedOption` unless *exchange* is the default exchange.

    Whether a queue has a name is known when the message is published.  Whether an exchange will route it to one is
    known only when its delay ends, and then there is nobody to tell.
    """
    if exchange:
        raise UnsupportedOption(
            f"mandatory with a delay to exchange {exchange!r}: only when the delay ends is it known whether a queue"
            " takes it; publish to a queue by its name, or leave out one of the two"
        )


class Channel(Protocol):
    """AMQP's verbs.  Errors are :exc:`~kombu_green.exceptions.OperationalError` and ``TimeoutError``."""

    @property
    def is_open(self) -> bool: ...

    def exchange_declare(
        self,
        exchange: str,
        type: str = "direct",
        *,
        passive: bool = False,
        durable: bool = True,
        auto_delete: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> None: ...

    def exchange_bind(
        self, destination: str, source: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        """Let *destination*, an exchange too, have what *source* routes by this key and these arguments."""
        ...

    def exchange_unbind(
        self, destination: str, source: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None: ...

    def exchange_delete(self, exchange: str, *, if_unused: bool = False) -> None: ...

    def queue_declare(
        self,
        queue: str = "",
        *,
        passive: bool = False,
        durable: bool = True,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> QueueDeclared:
        """Create the queue or compare it with what is there; an empty name asks for one to be made up."""
        ...

    def queue_bind(
        self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None: ...

    def queue_unbind(
        self, queue: str, exchange: str, routing_key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None: ...

    def queue_purge(self, queue: str) -> int: ...

    def queue_delete(self, queue: str, *, if_unused: bool = False, if_empty: bool = False) -> int: ...

    def basic_publish(
        self,
        content: Content,
        exchange: str = "",
        routing_key: str = "",
        *,
        mandatory: bool = False,
        delay: float = 0.0,
        deadline: Deadline = ...,
    ) -> None:
        """Return when the broker has it.  *delay*: seconds before consumers may see it.

        Raises ``ValueError`` for a negative delay, and :exc:`~kombu_green.exceptions.EncodeError` for a property that
        AMQP does not have.

        *mandatory* with a delay needs a queue's name as *routing_key* and no exchange: see
        :func:`refuse_mandatory_delay`.
        """
        ...

    def publish_many(
        self,
        contents: Iterable[Content],
        exchange: str = "",
        routing_key: str = "",
        *,
        mandatory: bool = False,
        deadline: Deadline = ...,
    ) -> None:
        """Return when the broker has all of them; they are taken as they are sent, many in flight at a time.

        :exc:`~kombu_green.exceptions.PartlyPublished` says which ones failed; the others are published nevertheless.
        """
        ...

    def basic_get(self, queue: str, *, no_ack: bool = False) -> Message | None: ...

    def basic_consume(
        self,
        queue: str,
        callback: Callable[[Message], None],
        *,
        consumer_tag: str = "",
        no_ack: bool = False,
        exclusive: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> str:
        """Start a consumer with the channel's prefetch; returns its tag.  *callback* must not wait.

        Raises :exc:`~kombu_green.exceptions.UnsupportedOption` for *arguments* that would be ignored.
        """
        ...

    def basic_cancel(self, consumer_tag: str) -> None: ...

    def basic_ack(self, delivery_tag: Any, multiple: bool = False) -> None: ...

    def basic_reject(self, delivery_tag: Any, requeue: bool = False) -> None: ...

    def confirm_acks(self, deadline: Deadline) -> None:
        """Return when the broker has dealt with every ack and reject that was made on this channel so far.

        Such an ack is not lost when the process ends or the connection breaks afterwards.  When this raises, the broker
        may have the acks or not.  Supported where :attr:`~kombu_green.capabilities.Capabilities.confirms_acks` is true;
        elsewhere it returns at once.
        """
        ...

    def basic_recover(self, requeue: bool = True) -> None: ...

    def basic_qos(self, prefetch_size: int = 0, prefetch_count: int = 0, a_global: bool = False) -> None:
        """How many unsettled messages each consumer started from now on may hold; 0 is no limit.

        A size in bytes and a limit for all consumers together (*a_global*) are refused with
        :exc:`~kombu_green.exceptions.UnsupportedOption`.
        """
        ...

    def flow(self, active: bool) -> None: ...

    def serve(self, deadline: Deadline) -> None:
        """Deliver to this channel's consumers until *deadline*, :meth:`close`, or an error, which is raised."""
        ...

    def close(self) -> None:
        """Give back what is unsettled and end the channel; closing twice does nothing."""
        ...
