"""Exchanges, queues and bindings: asked for over a connection's control channel, refused here where the broker would
answer by closing the connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from kombu_green.channel import QueueDeclared
from kombu_green.clock import Deadline
from kombu_green.exceptions import UnsupportedOption
from kombu_green.routing import EXCHANGE_TYPES
from kombu_green.transport.amqp import calls
from kombu_green.transport.amqp.control import Control

__all__ = ["DIRECT_REPLY", "Topology"]

#: the pseudo-queue of direct replies (https://www.rabbitmq.com/direct-reply-to.html), which cannot be declared
DIRECT_REPLY: Final = "amq.rabbitmq.reply-to"


class Topology:
    """One for a connection; its channels ask it, and it remembers which queues are there.

    *plugin_types* are the exchange types that the broker has beside the four of AMQP.
    """

    def __init__(self, control: Control, plugin_types: Iterable[str]) -> None:
        self._control: Final = control
        self._types: Final = frozenset((*EXCHANGE_TYPES, *plugin_types))
        self._queues: dict[str, bool] = {DIRECT_REPLY: False}  # name → whether it goes with its last consumer

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
            # RabbitMQ closes the connection, and everybody's work with it (503)
            known = ", ".join(sorted(self._types))
            raise UnsupportedOption(
                f"exchange {exchange!r}: there is no exchange type {type!r} (there are: {known};"
                " name those of the broker's plug-ins in the option exchange_types)"
            )
        self._control.call(calls.declare_exchange(exchange, type, passive, durable, auto_delete, arguments), deadline)

    def delete_exchange(self, exchange: str, if_unused: bool, deadline: Deadline) -> None:
        self._control.call(calls.delete_exchange(exchange, if_unused), deadline)

    def bind_exchange(
        self, destination: str, source: str, key: str, arguments: Mapping[str, Any], deadline: Deadline
    ) -> None:
        self._control.call(calls.bind_exchange(destination, source, key, arguments), deadline)

    def unbind_exchange(
        self, destination: str, source: str, key: str, arguments: Mapping[str, Any], deadline: Deadline
    ) -> None:
        self._control.call(calls.bind_exchange(destination, source, key, arguments, undo=True), deadline)

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
        call = calls.declare_queue(queue, passive, durable, exclusive, auto_delete, arguments)
        answer = self._control.call(call, deadline)
        found = QueueDeclared(*calls.read("sll", answer.arguments))
        if passive:
            self._queues.setdefault(found.queue, False)
        else:
            self._queues[found.queue] = auto_delete
        return found

    def require_queue(self, queue: str, deadline: Deadline) -> None:
        """:exc:`NotFound` when it is not there.

        Asked before a consume or a get: the broker would close the channel that other consumers use as well.
        """
        if queue not in self._queues:
            self.declare_queue(
                queue, passive=True, durable=True, exclusive=False, auto_delete=False, arguments={}, deadline=deadline
            )

    def forget_queue(self, queue: str) -> None:
        """It may not be there any more."""
        if queue != DIRECT_REPLY:
            self._queues.pop(queue, None)

    def goes_with_its_consumer(self, queue: str) -> bool:
        """Whether it was declared here as one that is deleted with its last consumer."""
        return self._queues.get(queue, False)

    def bind_queue(self, queue: str, exchange: str, key: str, arguments: Mapping[str, Any], deadline: Deadline) -> None:
        self._control.call(calls.bind_queue(queue, exchange, key, arguments), deadline)

    def unbind_queue(
        self, queue: str, exchange: str, key: str, arguments: Mapping[str, Any], deadline: Deadline
    ) -> None:
        self._control.call(calls.unbind_queue(queue, exchange, key, arguments), deadline)

    def purge_queue(self, queue: str, deadline: Deadline) -> int:
        return int(calls.read("l", self._control.call(calls.purge_queue(queue), deadline).arguments)[0])

    def delete_queue(self, queue: str, if_unused: bool, if_empty: bool, deadline: Deadline) -> int:
        answer = self._control.call(calls.delete_queue(queue, if_unused, if_empty), deadline)
        self.forget_queue(queue)
        return int(calls.read("l", answer.arguments)[0])
