"""The worker of one process: its callbacks and consumers, started and stopped together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from gevent.event import AsyncResult, Event
from gevent.lock import RLock

from kombu_green.clock import Deadline
from kombu_green.config.loader import read_settings
from kombu_green.config.problems import ConfigError
from kombu_green.config.settings import Settings
from kombu_green.connection import Connection
from kombu_green.dispatch.middleware import Middleware, MiddlewareStack
from kombu_green.dispatch.policy import RetryPolicy
from kombu_green.dispatch.registry import Callback, Registry
from kombu_green.entity import Queue
from kombu_green.exceptions import ConnectionLost, PluginError
from kombu_green.green.fork import forks
from kombu_green.green.locks import fix_patched_locks
from kombu_green.green.monkey import require_patched
from kombu_green.ipc.messages import AdmissionClosed, AdmissionReply, AdmissionRequest, Heartbeat
from kombu_green.ipc.phases import Phase
from kombu_green.service import Service
from kombu_green.worker.connections import Connections
from kombu_green.worker.consumer import QueueConsumer
from kombu_green.worker.description import described
from kombu_green.worker.flight_recorder import FlightRecorder, RecorderOptions
from kombu_green.worker.long_callbacks import hold_limits
from kombu_green.worker.parts import Parts, load_app, parts
from kombu_green.worker.pipeline import Pipeline
from kombu_green.worker.redelivery_gate import RedeliveryGate
from kombu_green.worker.settler import Counters
from kombu_green.worker.shutdown import Shutdown
from kombu_green.worker.slots import SlotStopped
from kombu_green.worker.spec import ConsumerSpec, check_supported

__all__ = ["Worker"]

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callback)


class Worker(Service):
    """Feeds messages to callbacks.

    *broker* is a URL or a :class:`Connection`.  In code::

        app = Worker("sqla+sqlite:///media.db")

        @app.callback(queue="video", key="video.*")
        def handle(body, message): ...

    A callback gets ``(body, message)``.  It returns nothing, which acks, or a verdict of
    :mod:`kombu_green.dispatch.outcome`; what it raises follows the retry policy.  *middleware* surrounds every
    callback, the first one outermost: see :mod:`kombu_green.dispatch.middleware`.

    :attr:`ready` is set once every consumer is registered at the broker; :attr:`failed` gets the error when the worker
    cannot go on.
    """

    def __init__(
        self,
        broker: str | Connection,
        *,
        concurrency: int = 10,
        transport_options: Mapping[str, Any] | None = None,
        middleware: Sequence[Middleware | type[Middleware]] = (),
    ) -> None:
        self.connection = (
            broker if isinstance(broker, Connection) else Connection(broker, transport_options=transport_options)
        )
        self.concurrency: Final = concurrency
        self.registry: Final = Registry()
        self.specs: Final[dict[str, ConsumerSpec]] = {}
        self.middleware: Final[list[Middleware | type[Middleware]]] = list(middleware)
        #: queues that are declared at start and not consumed from, such as the target of a dead-letter exchange
        self.queues: Final[list[Queue]] = []
        self.ready: Final = Event()
        self.failed: AsyncResult[BaseException] = AsyncResult()
        #: called with each phase of this worker's life
        self.on_phase: Callable[[Phase], None] = lambda phase: None
        #: how many messages the last stop requeued unfinished, because its deadline passed
        self.released = 0
        self._counters = Counters()
        self._shutdown = Shutdown(Deadline.never())
        self._gate: Final = RedeliveryGate()
        self._recorder_options: RecorderOptions | None = None
        self._pipeline: Pipeline | None = None
        self._stack = MiddlewareStack()
        self._stopping = RLock()
        self._consumers: list[QueueConsumer] = []
        forks.add(self)

    def after_fork(self) -> None:
        """In the child of a fork this worker does not run; the parent's goes on."""
        forks.keep((self._pipeline, self._consumers))
        self._running = False
        self._pipeline, self._consumers, self._stopping = None, [], RLock()
        self.ready.clear()

    # -- building

    @classmethod
    def from_ini(cls, path: str | Path) -> Self:
        """The worker that an ini file describes, with its callbacks imported; it is not started.

        More callbacks can be registered in code.  Raises :exc:`~kombu_green.config.problems.ConfigError` with
        everything that is wrong.
        """
        return cls._built(read_settings(path))

    @classmethod
    def from_settings(cls, settings: Settings) -> Worker:
        """The worker that *settings* describe, or the one that their ``[worker] app`` names.

        The broker and the consumers of the file replace those that the worker was given in code.
        """
        if settings.worker.app is None:
            return cls._startable(cls._built(settings), settings)
        worker = load_app(settings)
        if not isinstance(worker, Worker):
            message = f"{settings.worker.app!r} is {type(worker).__name__}, not a kombu_green Worker"
            raise ConfigError([settings.problem("worker", "app", message)])
        worker._adopt(parts(settings))
        return cls._startable(worker, settings)

    @staticmethod
    def _startable(worker: Worker, settings: Settings) -> Worker:
        problems = [settings.problem("worker", "app", text) for text in worker.problems()]
        if problems:
            raise ConfigError(problems)
        return worker

    @classmethod
    def _built(cls, settings: Settings) -> Self:
        found = parts(settings)
        worker = cls(found.connection, concurrency=settings.worker.concurrency)
        worker._adopt(found)
        return worker

    def _adopt(self, found: Parts) -> None:
        self.connection = found.connection
        self.queues[:] = found.queues
        self.middleware.extend(found.middleware)
        for spec in found.specs:
            self.specs[spec.queue.name] = spec
        for queue, function in found.callbacks:
            self.registry.register(function, queue=queue)

    def callback(
        self,
        *,
        queue: str | Queue | None = None,
        key: str | None = None,
        type: str | None = None,
        content_type: str | None = None,
        retry: RetryPolicy | None = None,
        time_limit: float | None = None,
        offload: bool | None = None,
    ) -> Callable[[F], F]:
        """Register a function for the messages that meet all conditions; a *queue* that is named is consumed from.

        *key* is a pattern of routing keys as topic exchanges have them; *time_limit* is seconds.
        """
        name = queue.name if isinstance(queue, Queue) else queue

        def register(function: F) -> F:
            self.registry.register(
                function,
                queue=name,
                key=key,
                type=type,
                content_type=content_type,
                policy=retry,
                time_limit=time_limit,
                offload=offload,
            )
            if queue is not None and name not in self.specs:
                self.consume(queue)
            return function

        return register

    def consume(self, queue: str | Queue, **how: Any) -> ConsumerSpec:
        """Consume from *queue* as *how* (the fields of :class:`ConsumerSpec`) says; replaces an earlier call."""
        entity = queue if isinstance(queue, Queue) else Queue(queue)
        how.setdefault("concurrency", self.concurrency)
        spec = self.specs[entity.name] = ConsumerSpec(entity, **how)
        return spec

    def problems(self) -> list[str]:
        """Why this worker cannot start, as far as that can be known without a broker; empty when it can."""
        found = [str(conflict) for conflict in self.registry.conflicts()]
        try:
            MiddlewareStack(self.middleware)
        except TypeError as error:
            found.append(str(error))
        if not self.specs:
            found.append("there is no queue to consume from")
        found += [
            f"no callback takes messages of queue {name!r}: all of them would be dead-lettered"
            for name in self.specs
            if not self.registry.covers(name)
        ]
        return found

    def describe(self) -> list[tuple[str, str]]:
        """What the transport promises and what is consumed, as pairs of a name and words.

        Connects, and checks that the transport can honour every declaration.
        """
        return described(self.connection, self.queues, self.specs.values(), self.registry)

    # -- life

    def record(self, fd: int | None = None, *, block_warning: float = 1.0, consumer_timeout: float = 1800.0) -> None:
        """Keep a flight recorder from the next start on, in the file *fd*, which the launcher reads.

        The log names what blocks the hub for *block_warning* seconds, and callbacks that hold a message for half of
        *consumer_timeout* seconds, if the broker has such a limit; 0 switches the warning off.
        """
        self._recorder_options = RecorderOptions(fd, block_warning, consumer_timeout)

    def guard(self, say: Callable[[AdmissionRequest | AdmissionClosed], None]) -> None:
        """From the next start on, ask the launcher through *say* before a redelivered message is begun.

        Its answers come by :meth:`answered`.
        """
        self._gate.guard(say)

    def answered(self, answer: AdmissionReply) -> None:
        """The launcher's answer to one :class:`~kombu_green.ipc.messages.AdmissionRequest`; never waits."""
        self._gate.answered(answer)

    def on_start(self) -> None:
        """Connect, declare and consume.

        An error that trying again does not help (a wrong password, a queue that was declared with other arguments) is
        raised.  A broker that cannot be reached is waited for.
        """
        require_patched()
        fix_patched_locks()
        problems = self.problems()
        if problems:
            raise PluginError("; ".join(problems))
        self.ready.clear()
        self.failed = AsyncResult()
        self._counters, self.released = Counters(), 0
        self._shutdown = Shutdown(Deadline.never())
        self._stack = MiddlewareStack(self.middleware, not_caught=(SlotStopped,))
        self._declare()
        self._gate.open()
        self._pipeline = Pipeline(
            self.registry,
            Connections(self.connection),
            self._counters,
            self._gate,
            self._started_recorder(),
            self._stack,
            self._fail,
            self._consumer_changed,
        )
        self._consumers = [self._pipeline.consumer(spec) for spec in self.specs.values()]
        for consumer in self._consumers:
            consumer.start()
        self._stack.started(self)

    def _started_recorder(self) -> FlightRecorder | None:
        options = self._recorder_options
        if options is None:
            return None
        rows = sum(spec.concurrency for spec in self.specs.values())
        limits = hold_limits(self.specs.values(), options.consumer_timeout) if self._broker_limits_holding() else {}
        recorder = FlightRecorder(rows, options, limits)
        recorder.start()
        return recorder

    def _broker_limits_holding(self) -> bool:
        try:
            return self.connection.transport.capabilities.takes_back
        except ConnectionLost:  # a store that could not be opened yet
            return False

    def _declare(self) -> None:
        """Declare everything once before the consumers do, so that what is refused is raised by :meth:`start`."""
        try:
            check_supported(self.specs.values(), self.connection.connect().capabilities)
            for queue in [*self.queues, *(spec.queue for spec in self.specs.values())]:
                queue.bind(self.connection.default_channel).declare()
        except (ConnectionLost, TimeoutError) as error:
            log.warning("the broker cannot be reached yet: %s", error)

    def _consumer_changed(self) -> None:
        """A consumer is registered, or stands by because another process has an exclusive consumer of its queue."""
        if all(consumer.ready.is_set() for consumer in self._consumers):
            self.ready.set()
            self.on_phase(Phase.READY)
        elif all(consumer.ready.is_set() or consumer.stands_by for consumer in self._consumers):
            self.on_phase(Phase.STANDBY)

    def _fail(self, error: BaseException) -> None:
        log.error("the worker cannot go on: %s: %s", type(error).__name__, error)
        if not self.failed.ready():
            self.failed.set(error)

    def counters(self) -> Heartbeat:
        """The counts that a heartbeat sends to the launcher."""
        counts = self._counters
        running = sum(consumer.slots.busy for consumer in self._consumers)
        return Heartbeat(running, counts.handled, counts.retried, counts.dead_lettered)

    def stop(self, deadline: Deadline | float) -> None:
        """Finish what runs, by *deadline* or in so many seconds.

        Then :attr:`released` says how many messages were requeued unfinished.

        When it is called again while a stop is under way, the sooner deadline counts for both.
        """
        deadline = deadline if isinstance(deadline, Deadline) else Deadline.after(deadline)
        self._shutdown.hasten(deadline)
        with self._stopping:
            super().stop(deadline)

    def on_stop(self, deadline: Deadline) -> None:
        self.ready.clear()
        self._stack.stopping(self)
        self.released = self._shutdown.run(self._consumers, self._leave)
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is None:  # the start failed before there was one
            self.connection.close()
            return
        if pipeline.recorder is not None:
            pipeline.recorder.stop(deadline)
        pipeline.connections.close()
        pipeline.close()

    def _leave(self, phase: Phase) -> None:
        if phase is Phase.DRAINING:  # not earlier: while it consumes, what the gate requeues is delivered again
            self._gate.close()
        self.on_phase(phase)
