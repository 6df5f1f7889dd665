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
        metadata=declared(duration(1.0), "A process whose last heartbeat is older than this is hung, and is replaced."),
    )
    start_timeout: float = field(
        default=60.0,
        metadata=declared(
            duration(1.0), "How long a process may take from its start to its first heartbeat, all imports included."
        ),
    )
    block_warning: float = field(
        default=1.0,
        metadata=declared(
            duration(), "What blocks a process for so long is named in the log, with its stack; 0 is never."
        ),
    )
    consumer_timeout: float = field(
        default=1800.0,
        metadata=declared(
            duration(),
            "How long RabbitMQ lets a message be held, unless its queue says x-consumer-timeout: a callback that"
            " takes half of that is named in the log; 0 is never.",
        ),
    )
    max_messages: int | None = field(
        default=None,
        metadata=declared(integer(1), "After about so many messages a process is replaced by a fresh one, gracefully."),
    )
    soft_memory: int | None = field(
        default=None,
        metadata=declared(size(), "A process that has grown to so much memory is replaced by a fresh one, gracefully."),
    )
    hard_memory: int | None = field(
        default=None,
        metadata=declared(
            size(), "A process that has grown to so much memory is killed, and what it worked on is blamed."
        ),
    )
    state: Path | None = field(
        default=None,
        metadata=declared(
            new_folder(),
            "The folder for what outlives a restart; else /var/tmp/kombu-worker-UID, with one for each file.",
        ),
    )
    path: Path = field(
        default_factory=Path.cwd,
        metadata=declared(
            folder(), "The folder that callbacks are imported from; without it, the one the command was started in."
        ),
    )
    app: str | None = field(
        default=None,
        metadata=declared(text(), "A whole worker made in code, module:name, instead of a callback for each consumer."),
    )
    middleware: tuple[str, ...] = field(
        default=(),
        metadata=declared(names(), "What surrounds every callback, module:name each, the first one outermost."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """``[broker]``: where the messages are.  ``options`` are checked by the transport, in the worker process."""

    url: str = field(repr=False, metadata=declared(urls(), "The broker's address; several are tried in turn."))
    heartbeat: float = field(
        default=10.0, metadata=declared(duration(), "How often the connection shows that it is alive; 0 is never.")
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
            "How long a message is kept from others without renewal: what a killed worker had comes back after it.",
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
        metadata=declared(choice("direct", "fanout", "topic", "headers", prefix="x-"), "How it picks the queues."),
    )
    durable: bool = field(default=True, metadata=declared(flag(), "Whether it survives a restart of the broker."))
    auto_delete: bool = field(
        default=False, metadata=declared(flag(), "Whether it goes when nothing is bound to it any more.")
    )
    arguments: Mapping[str, Any] = field(
        default_factory=dict,
        metadata=declared(argument(), "The broker's own arguments, one a key.", key="arguments.*"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """``[queue:NAME]``: a queue.  One without a section is durable and bound to the nameless exchange by its name."""

    name: str
    exchange: str | None = field(
        default=None, metadata=declared(text(), "The exchange it is bound to; without it, the nameless one.")
    )
    routing_key: str | None = field(
        default=None, metadata=declared(text(), "The key, or pattern, that it is bound with; needs an exchange.")
    )
    durable: bool = field(default=True, metadata=declared(flag(), "Whether it survives a restart of the broker."))
    exclusive: bool = field(
        default=False, metadata=declared(flag(), "Whether it belongs to one connection and goes with it.")
    )
    auto_delete: bool = field(default=False, metadata=declared(flag(), "Whether it goes with its last consumer."))
    expires: float | None = field(
        default=None, metadata=declared(duration(0.001), "It is deleted when it was not used for so long.")
    )
    message_ttl: float | None = field(
        default=None, metadata=declared(duration(), "Messages that waited longer are dead-lettered or dropped.")
    )
    max_length: int | None = field(
        default=None, metadata=declared(integer(0), "How many ready messages it holds at most.")
    )
    max_length_bytes: int | None = field(
        default=None, metadata=declared(size(), "How many bytes of ready messages it holds at most.")
    )
    max_priority: int | None = field(
        default=None, metadata=declared(integer(0, 255), "The highest priority that it tells apart.")
    )
    arguments: Mapping[str, Any] = field(
        default_factory=dict,
        metadata=declared(argument(), "The broker's own arguments, one a key.", key="arguments.*"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerSettings:
    """``[consumer:NAME]``: which queues feed which callback, and how."""

    name: str
    queues: tuple[str, ...] = field(
        metadata=declared(names(), "The queue, or several by commas, that it takes messages from.", key="queue")
    )
    callback: str | None = field(
        default=None, metadata=declared(text(), "The function that handles them, module:name; it gets (body, message).")
    )
    concurrency: int | None = field(
        default=None,
        metadata=declared(integer(1, 100_000), "How many it handles at a time; else as [worker] concurrency says."),
    )
    prefetch: int | None = field(
        default=None,
        metadata=declared(
            integer(1, 1_000_000),
            "How many a process takes from each queue before they are settled; else as many as it handles at a time.",
        ),
    )
    retry: str | None = field(
        default=None,
        metadata=declared(text(), "The [retry:NAME] that failures follow; else that section's defaults."),
    )
    time_limit: float | None = field(
        default=None,
        metadata=declared(duration(0.001), "A callback that runs longer is interrupted and has failed."),
    )
    hard_time_limit: float | None = field(
        default=None,
        metadata=declared(
            duration(0.001),
            "When a callback runs longer, its process is ended, and the message is to blame: three times park it.",
        ),
    )
    offload: bool = field(
        default=False, metadata=declared(flag(), "Whether the callback burns CPU, and so runs in a native thread.")
    )
    accept: tuple[str, ...] = field(
        default=("json",),
        metadata=declared(names(), "The serializers it decodes; all else is dead-lettered."),
    )
    ack: Literal["late", "early"] = field(
        default="late",
        metadata=declared(
            choice("late", "early"),
            "Whether a message is acked once it is done, or before it is begun: then it is lost with its process.",
        ),
    )
    exclusive: bool = field(
        default=False,
        metadata=declared(
            flag(), "Whether one process alone takes messages; the others stand by until its place is free.  AMQP only."
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySettings:
    """``[retry:NAME]``: what follows when a callback raises."""

    name: str
    attempts: int = field(default=5, metadata=declared(integer(1, 1_000_000), "How often it is tried in all."))
    backoff: tuple[float, float] = field(
        default=(1.0, 600.0),
        metadata=declared(backoff(), "The first wait and the longest; each wait is twice the one before."),
    )
    jitter: bool = field(default=True, metadata=declared(flag(), "Whether waits are spread at random."))
    dead_letter: bool = field(
        default=True, metadata=declared(flag(), "Whether it goes to <queue>.dead in the end, or is dropped.")
    )
    not_on: tuple[str, ...] = field(
        default=(),
        metadata=declared(names(), "Exceptions, by name, that are dead-lettered at once."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingSettings:
    """``[logging]``: what is said on standard error."""

    level: str = field(
        default="info",
        metadata=declared(choice("debug", "info", "warning", "error"), "The least that is said."),
    )
    format: str = field(
        default="text", metadata=declared(choice("text", "json"), "Lines for people, or one JSON object a line.")
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
