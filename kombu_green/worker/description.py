"""What ``kombu-worker --check`` prints of a worker: what the transport promises, and which callback gets what."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import closing

from kombu_green.capabilities import Capabilities
from kombu_green.config.problems import ConfigError, Problem
from kombu_green.connection import Connection
from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.dispatch.registry import Registry, Route
from kombu_green.entity import Queue
from kombu_green.exceptions import NotFound, PreconditionFailed, ResourceLocked
from kombu_green.republish import dead_queue
from kombu_green.worker.spec import ConsumerSpec, check_supported

__all__ = ["described"]

_YES_NO = {True: "yes", False: "no"}


def described(
    connection: Connection, queues: Collection[Queue], specs: Collection[ConsumerSpec], registry: Registry
) -> list[tuple[str, str]]:
    """Pairs of a name and words.  Connects, and checks that the transport can honour every declaration.

    What exists at the broker is compared: :exc:`ConfigError` if it has other arguments.  Nothing is created.
    """
    transport = connection.connect()
    check_supported(specs, transport.capabilities)
    all_queues = [*queues, *(spec.queue for spec in specs)]
    for queue in all_queues:
        for declared in _declarations(queue):
            transport.check(declared)
    problems = [problem for queue in all_queues for problem in _refused(connection, queue)]
    if problems:
        raise ConfigError(problems)
    return [
        ("broker", connection.as_uri()),
        ("delivery", "at least once; a message is acked after its callback's verdict was carried out"),
        *_promises(transport.capabilities),
        *((f"consumes {spec.queue.name}", _consumer(spec)) for spec in specs),
        *(note for spec in specs if spec.policy.dead_letter for note in _dead_letter_note(connection, spec.queue.name)),
        *(("callback", _callback(route)) for route in registry.routes),
    ]


def _refused(connection: Connection, queue: Queue) -> Iterator[Problem]:
    """What the broker would refuse when *queue* is declared, because it is there with other arguments."""
    for declared in _declarations(queue):
        kind = "queue" if isinstance(declared, QueueSpec) else "exchange"
        refusal = _refusal(connection, declared)
        if refusal is not None:
            yield Problem(refusal, section=f"{kind}:{declared.name}")


def _refusal(connection: Connection, declared: QueueSpec | ExchangeSpec) -> str | None:
    """Why the broker refuses to declare it; None if it does not exist, or exists with the same arguments.

    Declaring what exists with the same arguments changes nothing.  Each attempt has a channel of its own, as a refusal
    closes the channel.
    """
    if isinstance(declared, QueueSpec) and declared.exclusive:
        return None  # it belongs to the connection that declares it
    try:
        for passive in (True, False):
            with closing(connection.channel()) as channel:
                if isinstance(declared, QueueSpec):
                    channel.queue_declare(
                        declared.name,
                        passive=passive,
                        durable=declared.durable,
                        auto_delete=declared.auto_delete,
                        arguments=declared.arguments,
                    )
                else:
                    channel.exchange_declare(
                        declared.name,
                        declared.type,
                        passive=passive,
                        durable=declared.durable,
                        auto_delete=declared.auto_delete,
                        arguments=declared.arguments,
                    )
    except NotFound:
        return None
    except (PreconditionFailed, ResourceLocked) as error:
        return str(error)
    return None


def _dead_letter_note(connection: Connection, queue: str) -> Iterator[tuple[str, str]]:
    """Names the dead-letter queue of *queue* if it is there with arguments that the worker would not give it."""
    refusal = _refusal(connection, QueueSpec(dead_queue(queue)))
    if refusal is not None:
        yield f"dead letters of {queue}", f"{dead_queue(queue)} was declared otherwise, and is used as it is: {refusal}"


def _promises(can: Capabilities) -> Iterable[tuple[str, str]]:
    yield "durable", _YES_NO[can.durable]
    yield "shared by processes", _YES_NO[can.shared]
    yield "order", "first in, first out within a priority" if can.fifo else "none"
    yield "priorities", "0 to 9, 9 first" if can.priorities else "no"
    yield "delayed delivery", _YES_NO[can.delay]
    yield "message time to live", _YES_NO[can.ttl]
    yield "exclusive queues", can.exclusive
    yield "exclusive consumers", _YES_NO[can.exclusive_consumers]
    yield "wake-up", can.wakeup
    if can.leases:
        yield "leases", can.leases
    if can.caution:
        yield "mind", can.caution


def _consumer(spec: ConsumerSpec) -> str:
    policy = spec.policy
    end = "then to its dead letters" if policy.dead_letter else "then dropped"
    words = [f"{spec.concurrency} at a time in each process"]
    if spec.prefetch is not None:
        words.append(f"{spec.prefetch} taken")
    words.append("tried once" if policy.attempts == 1 else f"tried {policy.attempts} times")
    if spec.time_limit is not None:
        words.append(f"interrupted after {spec.time_limit:g} s")
    if spec.early:
        words.append("acked before it begins and lost with its process")
    if spec.exclusive:
        words.append("by one process alone, the others standing by")
    if spec.offload:
        words.append("in native threads")
    return ", ".join([*words, end])


def _callback(route: Route) -> str:
    named = (
        ("queue", route.queue),
        ("key", route.key.text),
        ("type", route.type),
        ("content type", route.content_type),
    )
    conditions = ", ".join(f"{name} {value}" for name, value in named if value not in (None, "#"))
    return f"{route.name} for {conditions or 'every message'}"


def _declarations(queue: Queue) -> list[QueueSpec | ExchangeSpec]:
    """What the broker is asked for when *queue* is declared."""
    exchange = queue.exchange
    found: list[QueueSpec | ExchangeSpec] = [
        QueueSpec(queue.name, queue.durable, queue.exclusive, queue.auto_delete, queue.queue_arguments)
    ]
    if exchange is not None and exchange.name:
        found.append(
            ExchangeSpec(exchange.name, exchange.type, exchange.durable, exchange.auto_delete, exchange.arguments)
        )
    return found
