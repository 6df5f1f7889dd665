"""From how a queue is consumed to its consumer: handler, settler, slots and channel put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kombu_green.dispatch.registry import Registry
from kombu_green.green.threads import Threads
from kombu_green.worker.connections import Connections
from kombu_green.worker.consumer import QueueConsumer
from kombu_green.worker.counters import Counters
from kombu_green.worker.early import EarlyHandler, EarlySettler
from kombu_green.worker.gate import Gate
from kombu_green.worker.handling import Handler
from kombu_green.worker.recording import FlightRecorder
from kombu_green.worker.settling import Settler
from kombu_green.worker.slots import Slots
from kombu_green.worker.spec import ConsumerSpec
from kombu_green.worker.turnstile import Turnstile

__all__ = ["Assembly"]


@dataclass(frozen=True, slots=True)
class Assembly:
    """What the consumers of one worker share, between a start and its stop."""

    registry: Registry
    connections: Connections
    counters: Counters
    gate: Gate
    flight: FlightRecorder | None
    on_failure: Callable[[BaseException], None]
    on_change: Callable[[], None]

    def consumer(self, spec: ConsumerSpec, threads: Threads) -> QueueConsumer:
        """The consumer that *spec* describes, not started; *threads* are for what it offloads."""
        turnstile = Turnstile(spec.concurrency) if spec.early else None
        handler = self._handler(spec, threads, turnstile)
        sit = None if self.flight is None else self.flight.sit
        slots = Slots(spec.queue.name, spec.concurrency, handler.handle, self.on_failure, on_begin=sit)
        return QueueConsumer(
            spec.queue,
            self.connections.consuming,
            slots,
            self.on_failure,
            self.on_change,
            prefetch=1 if turnstile is not None else spec.prefetch or spec.concurrency,
            exclusive=spec.exclusive,
            turnstile=turnstile,
        )

    def _handler(self, spec: ConsumerSpec, threads: Threads, turnstile: Turnstile | None) -> Handler:
        name, channel = spec.queue.name, self.connections.channel
        if turnstile is None:
            settler = Settler(name, channel, self.counters)
            return Handler(spec, self.registry, settler, threads, flight=self.flight, gate=self.gate)
        early = EarlySettler(name, channel, self.counters)
        return EarlyHandler(turnstile, spec, self.registry, early, threads, flight=self.flight, gate=self.gate)
