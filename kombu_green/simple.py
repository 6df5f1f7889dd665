"""Queues of messages with the interface of the standard library's ``queue.Queue``."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from queue import Empty
from typing import Any, ClassVar, Protocol, Self

from kombu_green.channel import Channel
from kombu_green.clock import Deadline
from kombu_green.entity import Exchange, Queue
from kombu_green.message import Message
from kombu_green.messaging import Consumer, Producer

__all__ = ["Empty", "SimpleBuffer", "SimpleQueue"]


class DrainableConnection(Protocol):
    """What a simple queue needs of a connection."""

    def channel(self) -> Channel: ...

    def drain_events(self, timeout: float | None = None) -> None: ...


class SimpleQueue:
    """A queue with ``put``, ``get``, ``clear`` and ``qsize``; messages from :meth:`get` are to be acked.

    *name* is a :class:`Queue`, or a text that becomes the name of queue and exchange, and the routing key.
    """

    no_ack = False
    exchange_options: ClassVar[Mapping[str, Any]] = {}
    queue_options: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        connection: DrainableConnection,
        name: str | Queue,
        no_ack: bool | None = None,
        *,
        queue_opts: Mapping[str, Any] | None = None,
        exchange_opts: Mapping[str, Any] | None = None,
        serializer: str | None = None,
        compression: str | None = None,
    ) -> None:
        self._connection = connection
        self.no_ack = self.no_ack if no_ack is None else no_ack
        self.channel = connection.channel()
        if isinstance(name, Queue):
            queue = name
            exchange = queue.exchange or Exchange("")
            key = queue.routing_key if exchange.name else queue.name
        else:
            exchange = Exchange(name, type="direct", **{**self.exchange_options, **(exchange_opts or {})})
            queue = Queue(name, exchange, name, **{**self.queue_options, **(queue_opts or {})})
            key = name
        self.queue = queue
        self.producer = Producer(
            self.channel, exchange, routing_key=key, serializer=serializer, compression=compression
        )
        self._buffer: deque[Message] = deque()
        self.consumer = Consumer(self.channel, queue, no_ack=False, on_message=self._buffer.append, prefetch_count=1)

    def get(self, block: bool = True, timeout: float | None = None) -> Message:
        """The oldest message; :exc:`Empty` after *timeout* seconds (None: never), or at once without *block*."""
        message = self.consumer.queues[0].get(no_ack=False)
        if message is None and block:
            message = self._wait(Deadline.after(timeout))
        if message is None:
            raise Empty
        if self.no_ack:
            message.ack()
        return message

    def _wait(self, deadline: Deadline) -> Message | None:
        # consumes one message, and only while this waits: others could not get what an idle consumer holds
        self.consumer.consume()
        try:
            while not self._buffer:
                self._connection.drain_events(timeout=deadline.remaining())
        except TimeoutError:
            pass
        finally:
            self.consumer.cancel()
        return self._buffer.popleft() if self._buffer else None

    def get_nowait(self) -> Message:
        return self.get(block=False)

    def put(
        self,
        message: Any,
        serializer: str | None = None,
        headers: Mapping[str, Any] | None = None,
        compression: str | None = None,
        routing_key: str | None = None,
        **properties: Any,
    ) -> None:
        """Publish *message*, encoded."""
        self.producer.publish(
            message, routing_key, serializer=serializer, headers=headers, compression=compression, **properties
        )

    def clear(self) -> int:
        """Delete all ready messages; returns their number."""
        return self.consumer.purge()

    def qsize(self) -> int:
        """The number of ready messages."""
        return self.consumer.queues[0].queue_declare(passive=True)[1]

    def close(self) -> None:
        """Close the channel; messages that were not settled return to the queue."""
        self.channel.close()

    def __len__(self) -> int:
        return self.qsize()

    def __bool__(self) -> bool:
        return True  # an empty queue is still a queue

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class SimpleBuffer(SimpleQueue):
    """A :class:`SimpleQueue` for messages that may be lost: transient, deleted with its last consumer, no acks."""

    no_ack = True
    exchange_options: ClassVar[Mapping[str, Any]] = {
        "durable": False,
        "auto_delete": True,
        "delivery_mode": "transient",
    }
    queue_options: ClassVar[Mapping[str, Any]] = {"durable": False, "auto_delete": True}
