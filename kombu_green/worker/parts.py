"""From settings to the parts of a worker: imports callbacks, makes queues and policies, collects every problem."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from kombu_green import plugins
from kombu_green.config.problems import ConfigError, Problem
from kombu_green.config.settings import BrokerSettings, ConsumerSettings, QueueSettings, Settings
from kombu_green.connection import Connection
from kombu_green.dispatch.middleware import Middleware, MiddlewareStack
from kombu_green.dispatch.policy import RetryPolicy
from kombu_green.dispatch.registry import Callback, check_callback
from kombu_green.entity import Exchange, Queue
from kombu_green.exceptions import KombuError, UnsupportedOption
from kombu_green.retry import Backoff
from kombu_green.serialization import prepare_accept_content
from kombu_green.worker.spec import ConsumerSpec

__all__ = ["Parts", "connection_to", "load_app", "parts"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker is made of."""

    connection: Connection
    specs: list[ConsumerSpec] = field(default_factory=list)
    queues: list[Queue] = field(default_factory=list)  # declared and not consumed from
    callbacks: list[tuple[str, Callback]] = field(default_factory=list)  # by queue
    middleware: list[Middleware] = field(default_factory=list)  # the outermost first


def parts(settings: Settings) -> Parts:
    """Everything that *settings* describes; :exc:`ConfigError` with all that is wrong."""
    return _Builder(settings).build()


def load_app(settings: Settings) -> Any:
    """The object that ``[worker] app`` names."""
    assert settings.worker.app is not None
    _make_importable(settings)
    try:
        return plugins.load(settings.worker.app)
    except KombuError as error:
        raise ConfigError([settings.problem("worker", "app", str(error))]) from error


def connection_to(settings: Settings, *, longest_lease: float) -> Connection:
    """The connection that ``[broker]`` describes, with a lease of *longest_lease* seconds at most; opens nothing.

    For programs that want the messages and not the worker.  :exc:`ConfigError` when the address or an option is wrong.
    """
    builder = _Builder(settings)
    lease = min(settings.broker.lease, longest_lease)
    connection = builder._tried("broker", "url", _connection, settings.broker, lease)
    if connection is None:
        raise ConfigError(builder.problems)
    return connection


class _Builder:
    def __init__(self, settings: Settings) -> None:
        self.settings: Final = settings
        self.problems: Final[list[Problem]] = []

    def build(self) -> Parts:
        _make_importable(self.settings)
        connection = self._tried("broker", "url", self._connection)
        specs: list[ConsumerSpec] = []
        callbacks: list[tuple[str, Callback]] = []
        for consumer in self.settings.consumers.values():
            section = f"consumer:{consumer.name}"
            specs.extend(self._specs(consumer))
            if consumer.callback is not None:
                function = self._tried(section, "callback", _callback, consumer.callback)
                callbacks.extend((queue, function) for queue in consumer.queues if function is not None)
        named = [self._tried("worker", "middleware", _middleware, path) for path in self.settings.worker.middleware]
        if self.problems or connection is None:
            raise ConfigError(self.problems)
        consumed = {spec.queue.name for spec in specs}
        others = [self._queue(name) for name in self.settings.queues if name not in consumed]
        return Parts(connection, specs, others, callbacks, [one for one in named if one is not None])

    def _connection(self) -> Connection:
        return _connection(self.settings.broker, self.settings.broker.lease)

    def _specs(self, consumer: ConsumerSettings) -> Iterator[ConsumerSpec]:
        section = f"consumer:{consumer.name}"
        self._tried(section, "accept", prepare_accept_content, consumer.accept)
        policy = self._policy(consumer)
        for name in consumer.queues:
            spec = self._tried(section, "", self._spec, consumer, name, policy)
            if spec is not None:
                yield spec

    def _spec(self, consumer: ConsumerSettings, queue: str, policy: RetryPolicy) -> ConsumerSpec:
        return ConsumerSpec(
            self._queue(queue),
            consumer.concurrency or self.settings.worker.concurrency,
            policy,
            consumer.time_limit,
            consumer.offload,
            consumer.accept,
            consumer.prefetch,
            consumer.exclusive,
            consumer.hard_time_limit,
            consumer.ack,
            consumer.max_unpacked,
        )

    def _queue(self, name: str) -> Queue:
        described = self.settings.queues.get(name)
        return Queue(name) if described is None else _queue(described, self._exchange(described.exchange))

    def _exchange(self, name: str | None) -> Exchange | None:
        if name is None:
            return None
        found = self.settings.exchanges[name]
        return Exchange(
            name,
            found.type,
            durable=found.durable,
            auto_delete=found.auto_delete,
            arguments=found.arguments,
        )

    def _policy(self, consumer: ConsumerSettings) -> RetryPolicy:
        if consumer.retry is None:
            return RetryPolicy()
        found = self.settings.retries[consumer.retry]
        section = f"retry:{found.name}"
        not_on = [self._tried(section, "not_on", _exception, name) for name in found.not_on]
        first, ceiling = found.backoff
        return RetryPolicy(
            found.attempts,
            Backoff(first, ceiling, jitter=found.jitter),
            found.dead_letter,
            tuple(kind for kind in not_on if kind is not None),
        )

    def _tried(self, section: str, key: str, make: Callable[..., T], *args: Any) -> T | None:
        try:
            return make(*args)
        except (KombuError, ValueError, TypeError) as error:
            option = error.option if isinstance(error, UnsupportedOption) else None
            problem = self.settings.problem(section, option or key, str(error))
            if problem not in self.problems:  # several consumers may share one retry section
                self.problems.append(problem)
            return None


def _connection(broker: BrokerSettings, lease: float) -> Connection:
    options = {"lease": lease, **broker.options}
    connection = Connection(
        broker.url, heartbeat=broker.heartbeat, answer_timeout=broker.answer_timeout, transport_options=options
    )
    connection.create_transport()  # opens nothing: an unknown scheme or option is said here
    return connection


def _make_importable(settings: Settings) -> None:
    folder = str(settings.worker.path)
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _callback(path: str) -> Callback:
    found = plugins.load(path)
    if not callable(found):
        raise TypeError(
            f"{path!r} is {type(found).__name__}, which cannot be called: name a function of (body, message)"
        )
    check_callback(found)
    try:
        inspect.signature(found).bind(None, None)
    except TypeError:
        raise TypeError(f"{path!r} cannot be called with (body, message)") from None
    except ValueError:
        pass  # written in C, without a signature to look at
    return found  # type: ignore[no-any-return]  # callable with two arguments, as was just seen


def _middleware(path: str) -> Middleware:
    return MiddlewareStack([plugins.load(path)]).members[0]


def _exception(path: str) -> type[BaseException]:
    found = plugins.load(path if ":" in path or "." in path else f"builtins:{path}")
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise TypeError(f"{path!r} is no exception class")
    return found


def _queue(settings: QueueSettings, exchange: Exchange | None) -> Queue:
    return Queue(
        settings.name,
        exchange,
        settings.routing_key or "",
        durable=settings.durable,
        exclusive=settings.exclusive,
        auto_delete=settings.auto_delete,
        expires=settings.expires,
        message_ttl=settings.message_ttl,
        max_length=settings.max_length,
        max_length_bytes=settings.max_length_bytes,
        max_priority=settings.max_priority,
        queue_arguments=settings.arguments,
    )
