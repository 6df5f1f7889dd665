"""A consumer of a queue, as its channel keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kombu_green.message import Message, Settles
from kombu_green.transport.amqp import calls
from kombu_green.transport.amqp.calls import Call
from kombu_green.transport.amqp.delivery import AMQPMessage, Decoder
from kombu_green.transport.amqp.events import Delivery

__all__ = ["Consumer"]


@dataclass(slots=True, eq=False)
class Consumer:
    """One basic.consume."""

    tag: str
    queue: str
    callback: Callable[[Message], None]
    channel: Settles
    decoder: Decoder
    no_ack: bool
    exclusive: bool
    arguments: Mapping[str, Any]
    cancelled: bool = False  # what still comes goes back
    resting: bool = False  # stopped by flow(False): the broker does not know it

    def hand_over(self, delivery: Delivery) -> None:
        """Call the callback; what it raises is the caller's."""
        message = AMQPMessage(delivery, self.channel, self.decoder, self.tag)
        if not message.outlived():
            self.callback(message)
        elif not self.no_ack:
            message.reject()

    def call(self) -> Call:
        """What asks the broker for it."""
        return calls.consume(self.queue, self.tag, self.no_ack, self.exclusive, self.arguments)
