"""The settings of a worker, frozen; each is declared once with its kind, default and one sentence.

``[worker]`` is a :class:`WorkerSettings`, ``[queue:video]`` a :class:`QueueSettings` named ``video``, and so on.  A key
in the file is the name of the field unless its declaration has another one.  Durations are in seconds, sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kombu_green.config.declaration import declared
from kombu_green.config.kinds import (
    argument,
    backoff,
    choice,
    duration,
    flag,
    folder,
    integer,
    names,
    new_folder,
    pattern,
    single_name,
    size,
    text,
    urls,
)
from kombu_green.config.problems import Problem

__all__ = [
    "BrokerSettings",
    "ConsumerSettings",
    "ExchangeSettings",
    "LoggingSettings",
    "Origin",
    "QueueSettings",
    "RetrySettings",
    "Settings",
    "WorkerSettings",
]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value was written: file and line, or ``--set``.  ``secret`` if it is the content of a ``file:``."""

    where: str
    secret: bool = False

    def __str__(self) -> str:
        return self.where


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """``[worker]``: the processes and how they stop."""

    processes: int = field(default=1, metadata=declared(integer(1, 1024), "How many worker processes run."))
    concurrency: int = field(
        default=10,
        metadata=declared(integer(1, 100_000), "How many messages each consumer of a process handles at a time."),
    )
    graceful_timeout: float = field(
        default=30.0,
        metadata=declared(duration(), "How long running callbacks may take to finish once the worker is told to stop."),
    )
    heartbeat_timeout: float = field(
        default=60.0,
        metadata=declared(
            duration(1.0), "A process whose last heartbeat is older than this counts as hung, and is replaced."
        ),
    )
    start_timeout: float = field(
        default=60.0,
        metadata=declared(
            duration(1.0), "How long a process may take from its start to its first heartbeat, imports included."
        ),
    )
    block_warning: float = field(
        default=1.0,
        metadata=declared(
            duration(), "What blocks the hub of a process for so long is logged, with its stack; 0 is never."
        ),
    )
    consumer_timeout: float = field(
        default=1800.0,
        metadata=declared(
            duration(),
            "RabbitMQ's consumer_timeout, unless the queue has x-consumer-timeout: a callback that runs for half of it"
            " is logged; 0 is never.",
        ),
    )
    max_messages: int | None = field(
        default=None,
        metadata=declared(integer(1), "A process that has handled about so many messages is replaced gracefully."),
    )
    soft_memory: int | None = field(
        default=None,
        metadata=declared(size(), "A process that uses more memory is replaced gracefully, once it is 60 s old."),
    )
    hard_memory: int | None = field(
        default=None,
        metadata=declared(
            size(), "A process that uses more memory is killed at once, and the message that had the hub is blamed."
        ),
    )
    state: Path | None = field(
        default=None,
        metadata=declared(
            new_folder(),
            "The folder for blames.json and the status socket; by default one for each"
            " file in /var/tmp/kombu-worker-UID.",
        ),
    )
    path: Path = field(
        default_factory=Path.cwd,
        metadata=declared(
            folder(),
            "The folder that callbacks are imported from; by default the one in which the command was started.",
        ),
    )
    app: str | None = field(
        default=None,
        metadata=declared(
            single_name(), "A worker made in Python, module:name, instead of a callback for each consumer."
        ),
    )
    middleware: tuple[str, ...] = field(
        default=(),
        metadata=declared(names(), "Middleware around every callback, module:name each, the outermost first."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """``[broker]``: the connection to the broker.  ``options`` are checked by the transport, in the worker process."""

    url: str = field(repr=False, metadata=declared(urls(), "The broker's address; several are tried in turn."))
    heartbeat: float = field(
        default=10.0,
        metadata=declared(duration(), "The interval of heartbeats on the connection; 0 is none. AMQP only."),
    )
    answer_timeout: float = field(
        default=30.0,
        metadata=declared(
            duration(0.1),
            "How long anything may wait for the broker without progress: for an answer, a confirm, or an alarm to end.",
        ),
    )
    lease: float = field(
        default=60.0,
        metadata=declared(
            duration(0.1),
            "How long a store keeps a message from other consumers without renewal;"
            " then a killed worker's messages are delivered again.",
        ),
    )
    options: Mapping[str, str] = field(
        default_factory=dict,
        repr=False,
        metadata=declared(text(), "Any other key is an option of the transport in use.", key="*"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSettings:
    """``[exchange:NAME]``: an exchange that queues are bound to."""

    name: str
    type: str = field(
        default="direct",
        metadata=declared(choice("direct", "fanout", "topic", "headers", prefix="x-"), "How it selects queues."),
    )
    durable: bool = field(default=True, metadata=declared(flag(), "Whether it survives a restart of the broker."))
    auto_delete: bool = field(default=False, metadata=declared(flag(), "Whether it is deleted with its last binding."))
    arguments: Mapping[str, Any] = field(
        default_factory=dict,
        metadata=declared(argument(), "Additional arguments for the broker, one for each key.", key="arguments.*"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """``[queue:NAME]``: a queue.  One without a section is durable, and reached by its name on the default exchange."""

    name: str
    exchange: str | None = field(
        default=None,
        metadata=declared(
            single_name(), "The exchange that it is bound to; without one, only the default exchange routes to it."
        ),
    )
    routing_key: str | None = field(
        default=None, metadata=declared(pattern(), "The routing key or pattern of its binding; needs an exchange.")
    )
    durable: bool = field(default=True, metadata=declared(flag(), "Whether it survives a restart of the broker."))
    exclusive: bool = field(
        default=False, metadata=declared(flag(), "Whether it belongs to one connection and is deleted with it.")
    )
    auto_delete: bool = field(default=False, metadata=declared(flag(), "Whether it is deleted with its last consumer."))
    expires: float | None = field(
        default=None, metadata=declared(duration(0.001), "It is deleted when it was unused for so long.")
    )
    message_ttl: float | None = field(
        default=None,
        metadata=declared(
            duration(), "Messages that wait longer expire: they go to the dead-letter exchange, or are dropped."
        ),
    )
    max_length: int | None = field(
        default=None, metadata=declared(integer(0), "How many ready messages it holds at most.")
    )
    max_length_bytes: int | None = field(
        default=None, metadata=declared(size(), "How many bytes of ready messages it holds at most.")
    )
    max_priority: int | None = field(
        default=None, metadata=declared(integer(0, 255), "The highest priority; higher ones count as this one.")
    )
    arguments: Mapping[str, Any] = field(
        default_factory=dict,
        metadata=declared(argument(), "Additional arguments for the broker, one for each key.", key="arguments.*"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSettings:
    """``[consumer:NAME]``: which queues feed which callback, and how."""

    name: str
    queues: tuple[str, ...] = field(
        metadata=declared(names(), "The queue, or several separated by commas, that it consumes.", key="queue")
    )
    callback: str | None = field(
        default=None,
        metadata=declared(
            single_name(), "The function that handles messages, module:name; it is called with (body, message)."
        ),
    )
    concurrency: int | None = field(
        default=None,
        metadata=declared(
            integer(1, 100_000),
            "How many messages of each queue a process handles at a time; by default [worker] concurrency.",
        ),
    )
    prefetch: int | None = field(
        default=None,
        metadata=declared(
            integer(1, 1_000_000),
            "How many unsettled messages of each queue a process holds; by default the same as concurrency.",
        ),
    )
    retry: str | None = field(
        default=None,
        metadata=declared(
            single_name(), "The [retry:NAME] section for failures; without one, the defaults of that section."
        ),
    )
    time_limit: float | None = field(
        default=None,
        metadata=declared(duration(0.001), "A callback that runs longer is interrupted, which is a failed attempt."),
    )
    hard_time_limit: float | None = field(
        default=None,
        metadata=declared(
            duration(0.001),
            "If a callback runs longer, its process is ended and the message is blamed; three blames park it.",
        ),
    )
    offload: bool = field(
        default=False,
        metadata=declared(flag(), "Whether the callback is called in a native thread, because it uses CPU."),
    )
    accept: tuple[str, ...] = field(
        default=("json",),
        metadata=declared(names(), "The serializers that it decodes; other messages are dead-lettered."),
    )
    max_unpacked: int = field(
        default=16 * 1024 * 1024,
        metadata=declared(
            size(), "The most bytes of a compressed body after decompression; larger ones are dead-lettered."
        ),
    )
    ack: Literal["late", "early"] = field(
        default="late",
        metadata=declared(
            choice("late", "early"),
            "Whether a message is acked after its callback, or before: then it is lost if its process dies.",
        ),
    )
    exclusive: bool = field(
        default=False,
        metadata=declared(flag(), "Whether only one process consumes; the others stand by until it ends.  AMQP only."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    """``[retry:NAME]``: what happens when a callback raises."""

    name: str
    attempts: int = field(
        default=5, metadata=declared(integer(1, 1_000_000), "The number of attempts, including the first.")
    )
    backoff: tuple[float, float] = field(
        default=(1.0, 600.0),
        metadata=declared(backoff(), "The first delay and the longest; each delay is twice the one before."),
    )
    jitter: bool = field(
        default=True, metadata=declared(flag(), "Whether delays are shortened at random, to half at most.")
    )
    dead_letter: bool = field(
        default=True,
        metadata=declared(
            flag(), "Whether a message that failed at its last attempt goes to <queue>.dead, or is dropped."
        ),
    )
    not_on: tuple[str, ...] = field(
        default=(),
        metadata=declared(names(), "Exceptions, module:Class, after which a message is dead-lettered without a retry."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingSettings:
    """``[logging]``: the log on standard error."""

    level: str = field(
        default="info",
        metadata=declared(choice("debug", "info", "warning", "error"), "The lowest level that is logged."),
    )
    format: str = field(
        default="text", metadata=declared(choice("text", "json"), "Plain text, or one JSON object a line.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one file, with those of the command line on top."""

    worker: WorkerSettings
    broker: BrokerSettings
    exchanges: Mapping[str, ExchangeSettings] = field(default_factory=dict)
    queues: Mapping[str, QueueSettings] = field(default_factory=dict)
    consumers: Mapping[str, ConsumerSettings] = field(default_factory=dict)
    retries: Mapping[str, RetrySettings] = field(default_factory=dict)
    logging: LoggingSettings = field(default_factory=LoggingSettings)
    file: Path
    #: where each value was written, by section and key, and each section by (section, ""); defaults have no entry
    origins: Mapping[tuple[str, str], Origin] = field(default_factory=dict, repr=False, compare=False)

    def problem(self, section: str, key: str, message: str) -> Problem:
        """A :class:`Problem` of one value, with its file and line (or those of its section, or the file alone)."""
        origin = self.origins.get((section, key)) or self.origins.get((section, ""))
        return Problem(message, str(origin or self.file), section, key)
