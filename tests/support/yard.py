"""The consumer of a queue on each broker, with a callback of the test's, and what became of its messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gevent

from kombu_green.clock import Deadline
from kombu_green.connection import Connection
from kombu_green.dispatch.middleware import Middleware, MiddlewareStack
from kombu_green.dispatch.policy import RetryPolicy
from kombu_green.dispatch.registry import Callback, Registry
from kombu_green.entity import Queue
from kombu_green.messaging import Producer
from kombu_green.retry import Backoff
from kombu_green.worker.connections import Connections
from kombu_green.worker.pipeline import Pipeline
from kombu_green.worker.redelivery_gate import RedeliveryGate
from kombu_green.worker.settler import Counters
from kombu_green.worker.spec import ConsumerSpec

__all__ = ["PATIENCE", "TWICE", "Yard"]

PATIENCE = 20.0
TWICE = RetryPolicy(attempts=2, backoff=Backoff(first=0.01, ceiling=0.01))


class Yard:
    """A queue on one broker; :attr:`handle` is its callback."""

    def __init__(self, url: str, connection: Connection, queue: str) -> None:
        self.url = url
        self.connection = connection
        self.queue = queue
        self.counters = Counters()
        self.results: list[object] = []  # of the callback, one after another; exceptions are raised
        self.handle: Callable[[Any, Any], object] = self._next_result

    def _next_result(self, body: Any, message: Any) -> object:
        result = self.results.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result

    @contextmanager
    def consuming(
        self, *middleware: Middleware, callbacks: Mapping[str, Callback] | None = None, **how: Any
    ) -> Iterator[None]:
        """All that a worker has, but for its start, which pytest has not patched the standard library for.

        *callbacks* are for keys; without them :attr:`handle` gets all messages.
        """
        registry, failures = Registry(), list[BaseException]()
        for key, callback in (callbacks or {"#": self.handle}).items():
            registry.register(callback, queue=self.queue, key=key)
        pipeline = Pipeline(
            registry,
            Connections(self.connection),
            self.counters,
            RedeliveryGate(),
            None,
            MiddlewareStack(middleware),
            failures.append,
            lambda: None,
        )
        spec = ConsumerSpec(Queue(self.queue), **{"concurrency": 1, "policy": TWICE, **how})
        consumer = pipeline.consumer(spec)
        consumer.start()
        assert consumer.ready.wait(PATIENCE)
        try:
            yield
        finally:
            consumer.quiet()
            consumer.stop(Deadline.after(PATIENCE))
        assert failures == []

    def wait(self, condition: Callable[[], bool]) -> None:
        with gevent.Timeout(PATIENCE):
            while not condition():
                gevent.sleep(0.001)

    def publish(self, body: Any = "x", **properties: Any) -> None:
        Producer(self.connection.default_channel).publish(body, routing_key=self.queue, **properties)

    def left(self, suffix: str = "") -> list[dict[str, Any]]:
        """The headers of what is in the queue, which is empty afterwards."""
        queue = Queue(self.queue + suffix)(self.connection.default_channel)
        queue.declare()
        found = []
        while (message := queue.get(no_ack=True)) is not None:
            found.append(message.headers)
        return found
