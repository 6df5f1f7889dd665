"""The worker of one process: callbacks and consumers, started and stopped as one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from gevent.event import AsyncResult, Event
from gevent.lock import RLock

from kombu_green.clock import Deadline
from kombu_green.config.problems import ConfigError
from kombu_green.config.reading import read
from kombu_green.config.settings import Settings
from kombu_green.connection import Connection
from kombu_green.dispatch.policy import RetryPolicy
from kombu_green.dispatch.registry import Callback, Registry
from kombu_green.entity import Queue
from kombu_green.exceptions import ConnectionLost, PluginError
from kombu_green.green.locks import mend
from kombu_green.green.patching import require_patched
from kombu_green.green.threads import Threads
from kombu_green.ipc.messages import AdmissionClosed, AdmissionReply, AdmissionRequest, Heartbeat
from kombu_green.ipc.phases import Phase
from kombu_green.service import Service
from kombu_green.worker.assembling import Assembly
from kombu_green.worker.building import Parts, load_app, parts
from kombu_green.worker.connections import Connections
from kombu_green.worker.consumer import QueueConsumer
from kombu_green.worker.counters import Counters
from kombu_green.worker.describing import described
from kombu_green.worker.draining import Drain
from kombu_green.worker.gate import Gate
from kombu_green.worker.overstay import longest_stays
from kombu_green.worker.recording import FlightRecorder, RecorderOptions
from kombu_green.worker.spec import ConsumerSpec, check_exclusive

__all__ = ["Worker"]

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callback)


class Worker(Service):
    """Feeds messages to callbacks.

    *broker* is a URL or a :class:`Connection`.  In code::

        app = Worker("sqla+sqlite:///media.db")

        @app.callback(queue="video", key="video.*")
        def handle(body, message): ...

    A callback gets ``(body, message)`` and returns nothing, which acks, or a verdict of
    :mod:`kombu_green.dispatch.outcome`;
    what it raises follows the retry policy.  :attr:`ready` is set once every consumer is registered at the broker;
    :attr:`failed` gets the error when it cannot go on.
    """

    def __init__(
        self,
        broker: str | Connection,
        *,
        concurrency: int = 10,
        transport_options: Mapping[str, Any] | None = None,
    ) -> None:
        self.connection = (
            broker if isinstance(broker, Connection) else Connection(broker, transport_options=transport_options)
        )
        self.concurrency: Final = concurrency
        self.registry: Final = Registry()
        self.specs: Final[dict[str, ConsumerSpec]] = {}
        #: queues that are declared at start and not consumed from, such as where dead letters go
        self.queues: Final[list[Queue]] = []
        self.ready: Final = Event()
        self.failed: AsyncResult[BaseException] = AsyncResult()
        #: told of each phase of this worker's life
        self.on_phase: Callable[[Phase], None] = lambda phase: None
        #: messages that were given back unfinished by the last stop, because its deadline passed
        self.released = 0
        self._counters = Counters()
        self._drain = Drain(Deadline.never())
        self._connections = Connections(self.connection)
        self._gate: Final = Gate()
        self._recorder_options: RecorderOptions | None = None
        self._flight: FlightRecorder | None = None
        self._stopping = RLock()
        self._consumers: list[QueueConsumer] = []
        self._threads: list[Threads] = []

    # -- building

    @classmethod
    def from_ini(cls, path: str | Path) -> Self:
        """The worker that an ini file describes, its callbacks imported; built, never started.

        Callbacks that are registered in code come on top.  Raises :exc:`~kombu_green.config.problems.ConfigError` with
        everything that is wrong.
        """
        return cls._built(read(path))

    @classmethod
    def from_settings(cls, settings: Settings) -> Worker:
        """The worker that *settings* describe, or the one that their ``[worker] app`` names.

        Of a worker made in code the file has the last word: its broker and its consumers replace those in the code.
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
        """Register a function for the messages that meet all conditions; a queue that is named is consumed from."""
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
        """Consume from *queue* as *how* (the fields of :class:`ConsumerSpec`) says; the last word on a queue counts."""
        entity = queue if isinstance(queue, Queue) else Queue(queue)
        how.setdefault("concurrency", self.concurrency)
        spec = self.specs[entity.name] = ConsumerSpec(entity, **how)
        return spec

    def problems(self) -> list[str]:
        """Why it cannot start, as far as that is known without a broker; empty when it can."""
        found = [str(conflict) for conflict in self.registry.conflicts()]
        if not self.specs:
            found.append("there is no queue to consume from")
        found += [
            f"no callback takes messages of queue {name!r}: all of them would be dead-lettered"
            for name in self.specs
            if not self.registry.covers(name)
        ]
        return found

    def describe(self) -> list[tuple[str, str]]:
        """What the transport promises and what is consumed, line by line; connects, and checks that the transport can
        honour every declaration."""
        return described(self.connection, self.queues, self.specs.values(), self.registry)

    # -- life

    def record(self, fd: int | None = None, *, block_warning: float = 1.0, consumer_timeout: float = 1800.0) -> None:
        """Keep a flight recorder from the next start on, in the file *fd* for somebody outside to read.

        What blocks the hub for *block_warning* seconds is told to the log, and what holds a message for half of
        *consumer_timeout* seconds, where the broker takes it back after that; 0 is never.
        """
        self._recorder_options = RecorderOptions(fd, block_warning, consumer_timeout)

    def guard(self, say: Callable[[AdmissionRequest | AdmissionClosed], None]) -> None:
        """Ask whoever listens to *say* before a message is begun that was delivered before; see :meth:`answered`."""
        self._gate.guard(say)

    def answered(self, answer: AdmissionReply) -> None:
        """What came of an :class:`~kombu_green.ipc.messages.AdmissionRequest`."""
        self._gate.answered(answer)

    def on_start(self) -> None:
        """Connect, declare and consume.

        What trying again will not help (a wrong password, a queue declared otherwise) is raised; a broker that cannot
        be reached is waited for.
        """
        require_patched()
        mend()
        problems = self.problems()
        if problems:
            raise PluginError("; ".join(problems))
        self.ready.clear()
        self.failed = AsyncResult()
        self._counters, self.released = Counters(), 0
        self._drain = Drain(Deadline.never())
        self._connections = Connections(self.connection)
        self._declare()
        self._gate.open()
        self._flight = self._recorder()
        self._consumers = self._assembled()
        for consumer in self._consumers:
            consumer.start()

    def _recorder(self) -> FlightRecorder | None:
        options = self._recorder_options
        if options is None:
            return None
        rows = sum(spec.concurrency for spec in self.specs.values())
        stays = longest_stays(self.specs.values(), options.consumer_timeout) if self._takes_back else {}
        made = FlightRecorder(rows, options, stays)
        made.start()
        return made

    @property
    def _takes_back(self) -> bool:
        try:
            return self.connection.transport.capabilities.takes_back
        except ConnectionLost:  # a store that could not be opened yet
            return False

    def _declare(self) -> None:
        """Declare everything once before the consumers do, so that what is refused is raised by :meth:`start`."""
        try:
            check_exclusive(self.specs.values(), self.connection.connect().capabilities)
            for queue in [*self.queues, *(spec.queue for spec in self.specs.values())]:
                queue.bind(self.connection.default_channel).declare()
        except (ConnectionLost, TimeoutError) as error:
            log.warning("the broker cannot be reached yet: %s", error)

    def _assembled(self) -> list[QueueConsumer]:
        assembly = Assembly(
            self.registry, self._connections, self._counters, self._gate, self._flight, self._fail, self._moved
        )
        self._threads = [Threads(spec.concurrency) for spec in self.specs.values()]
        return [assembly.consumer(*each) for each in zip(self.specs.values(), self._threads, strict=True)]

    def _moved(self) -> None:
        """A consumer is registered, or has found its place taken."""
        if all(consumer.ready.is_set() for consumer in self._consumers):
            self.ready.set()
            self.on_phase(Phase.READY)
        elif all(consumer.ready.is_set() or consumer.waits for consumer in self._consumers):
            self.on_phase(Phase.STANDBY)

    def _fail(self, error: BaseException) -> None:
        log.error("the worker cannot go on: %s: %s", type(error).__name__, error)
        if not self.failed.ready():
            self.failed.set(error)

    def counters(self) -> Heartbeat:
        """What a heartbeat tells the parent."""
        counts = self._counters
        running = sum(consumer.slots.busy for consumer in self._consumers)
        return Heartbeat(running, counts.handled, counts.retried, counts.dead_lettered)

    def stop(self, deadline: Deadline) -> None:
        """Finish what runs, by *deadline*; :attr:`released` says then how many messages were given back unfinished.

        Called again while a stop is under way, the sooner deadline counts for both.
        """
        self._drain.hasten(deadline)
        with self._stopping:
            super().stop(deadline)

    def _leave(self, phase: Phase) -> None:
        if phase is Phase.DRAINING:  # not before nothing more comes: what is given back at the gate would come again
            self._gate.close()
        self.on_phase(phase)

    def on_stop(self, deadline: Deadline) -> None:
        self.ready.clear()
        self.released = self._drain.run(self._consumers, self._leave)
        if self._flight is not None:
            self._flight.stop(deadline)
        self._connections.close()
        for threads in self._threads:
            threads.close()
