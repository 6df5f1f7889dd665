"""Declares, binds, purges and deletes of one connection, over an AMQP channel that is used for nothing else.

The broker closes a channel on which one of these fails; on a channel of their own that harms no consumer or publish.
What the broker would answer by closing the whole connection is refused here, before it is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gevent.lock import BoundedSemaphore

from kombu_green.channel import QueueDeclared
from kombu_green.clock import Deadline
from kombu_green.exceptions import UnsupportedOption
from kombu_green.routing import EXCHANGE_TYPES
from kombu_green.transport.amqp.protocol import rpc
from kombu_green.transport.amqp.protocol.parser import Method
from kombu_green.transport.amqp.socket.connection import AMQPConnection
from kombu_green.transport.amqp.socket.wire_channel import IGNORE_EVENTS, CallNotSent, WireChannel

__all__ = ["DIRECT_REPLY", "Declarations"]

#: the pseudo-queue of direct replies (https://www.rabbitmq.com/direct-reply-to.html), which cannot be declared
DIRECT_REPLY: Final = "amq.rabbitmq.reply-to"


class Declarations:
    """All channels of a connection share one; it remembers the queues that exist.

    *plugin_types*: exchange types that the broker has besides the four of AMQP.
    """

    def __init__(self, connection: AMQPConnection, plugin_types: Iterable[str]) -> None:
        self._connection: Final = connection
        self._opening: Final = BoundedSemaphore()
        self._wire: WireChannel | None = None
        self._types: Final = frozenset((*EXCHANGE_TYPES, *plugin_types))
        # name -> whether it is deleted with its last consumer
        self._queues: dict[str, bool] = {DIRECT_REPLY: False}

    # -- exchanges

    def declare_exchange(
        self,
        exchange: str,
        type: str,
        *,
        passive: bool,
        durable: bool,
        auto_delete: bool,
        arguments: Mapping[str, Any],
        deadline: Deadline,
    ) -> None:
        if not passive and type not in self._types:
            # RabbitMQ would close the connection (503)
            known = ", ".join(sorted(self._types))
            raise UnsupportedOption(
                f"exchange {exchange!r}: there is no exchange type {type!r} (there are: {known};"
                " name those of the broker's plug-ins in the option exchange_types)"
            )
        self._call(rpc.declare_exchange(exchange, type, passive, durable, auto_delete, arguments), deadline)

    def delete_exchange(self, exchange: str, if_unused: bool, deadline: Deadline) -> None:
        self._call(rpc.delete_exchange(exchange, if_unused), deadline)

    def bind_exchange(
        self, destination: str, source: str, key: str, arguments: Mapping[str, Any], deadline: Deadline
    ) -> None:
        self._call(rpc.bind_exchange(destination, source, key, arguments), deadline)

    def unbind_exchange(
        self, destination: str, source: str, key: str, arguments: Mapping[str, Any], deadline: Deadline
    ) -> None:
        self._call(rpc.bind_exchange(destination, source, key, arguments, undo=True), deadline)

    # -- queues

    def declare_queue(
        self,
        queue: str,
        *,
        passive: bool,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        arguments: Mapping[str, Any],
        deadline: Deadline,
    ) -> QueueDeclared:
        call = rpc.declare_queue(queue, passive, durable, exclusive, auto_delete, arguments)
        answer = self._call(call, deadline)
        found = QueueDeclared(*rpc.read_arguments("sll", answer.arguments))
        if passive:
            self._queues.setdefault(found.queue, False)
        else:
            self._queues[found.queue] = auto_delete
        return found

    def require_queue(self, queue: str, deadline: Deadline) -> None:
        """Raise :exc:`NotFound` unless *queue* exists.

        To be called before a consume or a get, whose refusal would close the channel that other consumers use as well.
        """
        if queue not in self._queues:
            self.declare_queue(
                queue, passive=True, durable=True, exclusive=False, auto_delete=False, arguments={}, deadline=deadline
            )

    def forget_queue(self, queue: str) -> None:
        """*queue* may not exist any more."""
        if queue != DIRECT_REPLY:
            self._queues.pop(queue, None)

    def deleted_with_last_consumer(self, queue: str) -> bool:
        """Whether *queue* was declared here with ``auto_delete``."""
        return self._queues.get(queue, False)

    def bind_queue(self, queue: str, exchange: str, key: str, arguments: Mapping[str, Any], deadline: Deadline) -> None:
        self._call(rpc.bind_queue(queue, exchange, key, arguments), deadline)

    def unbind_queue(
        self, queue: str, exchange: str, key: str, arguments: Mapping[str, Any], deadline: Deadline
    ) -> None:
        self._call(rpc.unbind_queue(queue, exchange, key, arguments), deadline)

    def purge_queue(self, queue: str, deadline: Deadline) -> int:
        return int(rpc.read_arguments("l", self._call(rpc.purge_queue(queue), deadline).arguments)[0])

    def delete_queue(self, queue: str, if_unused: bool, if_empty: bool, deadline: Deadline) -> int:
        answer = self._call(rpc.delete_queue(queue, if_unused, if_empty), deadline)
        self.forget_queue(queue)
        return int(rpc.read_arguments("l", answer.arguments)[0])

    # -- the channel

    def _call(self, call: rpc.RpcCall, deadline: Deadline) -> Method:
        """The broker's answer; its refusal is raised.  One call at a time."""
        deadline = deadline.soonest(Deadline.current())
        while True:
            wire = self._opened(deadline)
            try:
                answer = wire.call(call, deadline)
            except CallNotSent:
                # a call of another greenlet was refused meanwhile, so the broker has closed the channel
                self._connection.check()
                continue
            assert isinstance(answer, Method)
            return answer

    def _opened(self, deadline: Deadline) -> WireChannel:
        """The channel, opened at the first call and again after a refusal."""
        if self._wire is None or not self._wire.is_open:
            if not self._opening.acquire(timeout=deadline.remaining()):
                raise TimeoutError("opening a channel: the deadline passed")
            try:
                if self._wire is None or not self._wire.is_open:
                    self._wire = self._connection.open_channel(IGNORE_EVENTS, deadline)
            finally:
                self._opening.release()
        return self._wire
