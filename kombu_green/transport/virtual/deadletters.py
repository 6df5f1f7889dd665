"""Dead-letter exchanges: where a queue sends what was rejected in it or has outlived its time."""

from __future__ import annotations

import time
from typing import Final

from kombu_green.declarations import QueueSpec
from kombu_green.exceptions import NotFound
from kombu_green.message import Content
from kombu_green.storage.contract import Reserved, Storage
from kombu_green.transport.virtual.arguments import put_for
from kombu_green.transport.virtual.death import cycles, with_death
from kombu_green.transport.virtual.routes import Routes

__all__ = ["DeadLetters"]


class DeadLetters:
    """Moves messages as their queues' ``x-dead-letter-*`` arguments say; without them they are deleted."""

    def __init__(self, storage: Storage, routes: Routes) -> None:
        self._storage: Final = storage
        self._routes: Final = routes

    def dead_letter(self, reserved: Reserved, reason: str) -> None:
        """To the dead-letter exchange first, then off its queue: rather twice than never."""
        spec = self._routes.queue(reserved.receipt.queue)
        exchange = spec.arguments.get("x-dead-letter-exchange") if spec is not None else None
        if spec is not None and exchange is not None:
            self._publish(reserved, spec, exchange, reason)
        self._storage.ack([reserved.receipt])

    def _publish(self, reserved: Reserved, spec: QueueSpec, exchange: str, reason: str) -> None:
        content = reserved.content
        key = spec.arguments.get("x-dead-letter-routing-key", reserved.routing_key)
        headers = with_death(
            content.headers,
            reason=reason,
            queue=spec.name,
            exchange=reserved.exchange,
            routing_key=reserved.routing_key,
            now=int(time.time()),
        )
        # as in RabbitMQ, a message that expired here must not expire again where it is buried
        properties = {name: value for name, value in content.properties.items() if name != "expiration"}
        dead = Content(content.body, content.content_type, content.content_encoding, headers, properties)
        try:
            queues = self._routes.route(exchange, key, headers)
        except NotFound:
            queues = ()  # as in RabbitMQ: an exchange that is not there takes nothing
        self._storage.put(
            [put_for(target, dead, exchange, key) for target in queues if not cycles(headers, target.name)]
        )
