"""Puts together what a message passes through, for each queue that a worker consumes from.

From the outside in::

    QueueConsumer     a channel that consumes; hands each message to a slot
    Slots             greenlets, each of which handles one message at a time
    received          of middleware
    early ack         if the consumer says ack = early: counts the busy slots
    Dispatcher        finds the callback
    redelivery gate   if a launcher listens: asks it about messages that were delivered before
    flight recorder   if there is one: writes the slot's row
    Handler           makes an attempt:
                          early ack         acks
                          before, after     of middleware
                          the callback
                      then decides what follows, and lets the
    Settler           carry it out; then settled of middleware
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kombu_green.channel import Channel, QueueDeclared
from kombu_green.clock import Deadline
from kombu_green.dispatch.middleware import MiddlewareStack
from kombu_green.dispatch.registry import Registry
from kombu_green.green.threads import Threads
from kombu_green.message import Content
from kombu_green.republish import PublishingChannel
from kombu_green.worker.connections import Connections
from kombu_green.worker.consumer import QueueConsumer
from kombu_green.worker.dispatcher import Dispatcher
from kombu_green.worker.early_ack import ConsumerSwitch, EarlyAckStage, EarlySettler
from kombu_green.worker.flight_recorder import FlightRecorder, RecorderStage
from kombu_green.worker.handler import Settle, Stage
from kombu_green.worker.redelivery_gate import GateStage, RedeliveryGate
from kombu_green.worker.settler import Counters, Settler
from kombu_green.worker.slots import Slots
from kombu_green.worker.spec import ConsumerSpec

__all__ = ["HookedChannel", "Pipeline"]

_NEVER = Deadline.never()


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What the consumers of one worker share between a start and its stop."""

    registry: Registry
    connections: Connections
    counters: Counters
    gate: RedeliveryGate
    recorder: FlightRecorder | None
    middleware: MiddlewareStack
    on_failure: Callable[[BaseException], None]
    on_change: Callable[[], None]
    threads: list[Threads] = field(default_factory=list)

    def consumer(self, spec: ConsumerSpec) -> QueueConsumer:
        """The consumer that *spec* describes, not started."""
        name, settler, switch = spec.queue.name, self._settler(spec), None
        settle = self.middleware.around_settlement(settler.settle)
        stages = self._stages(spec, settle)
        if isinstance(settler, EarlySettler):
            switch = ConsumerSwitch(spec.concurrency)
            stages = (*stages, early := EarlyAckStage(name, switch, settler))
        dispatcher = Dispatcher(
            spec, self.registry, settle, self._threads(spec), middleware=self.middleware, stages=stages
        )
        dispatch = dispatcher.dispatch if switch is None else early.around_dispatch(dispatcher.dispatch)
        slots = Slots(
            name,
            spec.concurrency,
            self.middleware.around_dispatch(dispatch),
            self.on_failure,
            on_begin=None if self.recorder is None else self.recorder.assign_row,
        )
        return QueueConsumer(
            spec.queue,
            self.connections.consuming,
            slots,
            self.on_failure,
            self.on_change,
            prefetch=1 if switch is not None else spec.prefetch or spec.concurrency,
            exclusive=spec.exclusive,
            switch=switch,
        )

    def close(self) -> None:
        """End the threads of offloaded callbacks, once those have returned."""
        for threads in self.threads:
            threads.close()

    def _settler(self, spec: ConsumerSpec) -> Settler:
        return (EarlySettler if spec.early else Settler)(spec.queue.name, self._publishing, self.counters)

    def _stages(self, spec: ConsumerSpec, settle: Settle) -> tuple[Stage, ...]:
        """The stages that need a flight recorder, outermost first."""
        if self.recorder is None:
            return ()
        name = spec.queue.name
        record = RecorderStage(self.recorder, name, spec.hard_time_limit)
        return (GateStage(self.gate, self.recorder, name, settle), record) if self.gate.guarded else (record,)

    def _threads(self, spec: ConsumerSpec) -> Threads:
        threads = Threads(spec.concurrency)
        self.threads.append(threads)
        return threads

    def _publishing(self) -> PublishingChannel:
        channel = self.connections.channel()
        return HookedChannel(channel, self.middleware) if self.middleware.publishes else channel


class HookedChannel:
    """A channel to publish on; middleware sees what is published."""

    def __init__(self, channel: Channel, middleware: MiddlewareStack) -> None:
        self._channel = channel
        self._middleware = middleware

    def queue_declare(self, queue: str = "", *, passive: bool = False, durable: bool = True) -> QueueDeclared:
        return self._channel.queue_declare(queue, passive=passive, durable=durable)

    def basic_publish(
        self,
        content: Content,
        exchange: str = "",
        routing_key: str = "",
        *,
        mandatory: bool = False,
        delay: float = 0.0,
        deadline: Deadline = _NEVER,
    ) -> None:
        self._middleware.publishing(content, exchange, routing_key)
        self._channel.basic_publish(content, exchange, routing_key, mandatory=mandatory, delay=delay, deadline=deadline)
