"""The messages of one queue: finds the callback of each, and passes it through the stages to its handler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kombu_green.dispatch.history import QUEUE, origin_of
from kombu_green.dispatch.middleware import MiddlewareStack
from kombu_green.dispatch.outcome import DeadLetter
from kombu_green.dispatch.registry import Registry, Route
from kombu_green.green.threads import Threads
from kombu_green.message import Message
from kombu_green.republish import origin_in
from kombu_green.serialization import prepare_accept_content
from kombu_green.worker.handler import HandleMessage, Handler, Job, Settle, Stage, attempt_at
from kombu_green.worker.spec import ConsumerSpec

__all__ = ["Dispatcher"]


class Dispatcher:
    """Dispatches as *spec* says; :meth:`dispatch` is what the slots of its consumer run.

    *settle* carries out verdicts.  Callbacks that are offloaded run in *threads*.  *stages* are the outermost first.
    """

    def __init__(
        self,
        spec: ConsumerSpec,
        registry: Registry,
        settle: Settle,
        threads: Threads,
        *,
        middleware: MiddlewareStack | None = None,
        stages: Sequence[Stage] = (),
    ) -> None:
        self._spec: Final = spec
        self.queue: Final = spec.queue.name
        self._accept: Final = prepare_accept_content(spec.accept)
        self._max_unpacked: Final = spec.max_unpacked
        self._registry: Final = registry
        self._settle: Final = settle
        self._threads: Final = threads
        self._middleware: Final = middleware or MiddlewareStack()
        self._stages: Final = stages
        self._handlers: Final[dict[int, HandleMessage]] = {}  # by the ids of their routes, which the registry keeps

    def dispatch(self, message: Message) -> None:
        """Handle and settle *message*.  Raises nothing but what kills a greenlet."""
        message.accept, message.max_unpacked = self._accept, self._max_unpacked
        headers = message.headers
        if isinstance(headers, dict) and QUEUE in headers:
            self._restore_origin(message)
        route = self._registry.route(self.queue, message)
        if route is None:
            self._settle(message, DeadLetter("no callback takes it"))
            return
        handle = self._handlers.get(id(route)) or self._handler(route)
        handle(message)

    def _restore_origin(self, message: Message) -> None:
        """Let ``delivery_info`` of a retry have the exchange and routing key that it was first published with.

        So every attempt looks the same to the callback, and finds the same one.  ``delivered_with`` has those of this
        delivery: a retry is published to the queue itself.
        """
        delivered = origin_in(self.queue, message)
        origin = origin_of(message.headers, delivered)
        message.delivery_info |= {
            "exchange": origin.exchange,
            "routing_key": origin.routing_key,
            "delivered_with": {"exchange": delivered.exchange, "routing_key": delivered.routing_key},
        }

    def _handler(self, route: Route) -> HandleMessage:
        """The handler of *route* with every stage around it, put together once."""
        job = self._job(route)
        attempt = self._middleware.around_attempt(attempt_at(job, self._threads))
        for stage in reversed(self._stages):
            attempt = stage.around_attempt(job, attempt)
        handle: HandleMessage = Handler(job, attempt, self._settle, self._middleware.failed).handle
        for stage in reversed(self._stages):
            handle = stage.around_handling(job, handle)
        self._handlers[id(route)] = handle
        return handle

    def _job(self, route: Route) -> Job:
        spec = self._spec
        return Job(
            queue=self.queue,
            callback=route.name,
            function=route.function,
            policy=route.policy or spec.policy,
            time_limit=spec.time_limit if route.time_limit is None else route.time_limit,
            offload=spec.offload if route.offload is None else route.offload,
        )
