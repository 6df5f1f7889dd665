"""What ``kombu-worker --check`` prints of a worker: what the transport promises, and which callback gets what."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from kombu_green.capabilities import Capabilities
from kombu_green.connection import Connection
from kombu_green.declarations import ExchangeSpec, QueueSpec
from kombu_green.dispatch.registry import Registry, Route
from kombu_green.entity import Queue
from kombu_green.worker.spec import ConsumerSpec, check_supported

__all__ = ["described"]

_YES_NO = {True: "yes", False: "no"}


def described(
    connection: Connection, queues: Iterable[Queue], specs: Collection[ConsumerSpec], registry: Registry
) -> list[tuple[str, str]]:
    """Pairs of a name and words.  Connects, and checks that the transport can honour every declaration."""
    transport = connection.connect()
    check_supported(specs, transport.capabilities)
    for queue in [*queues, *(spec.queue for spec in specs)]:
        for declared in _declarations(queue):
            transport.check(declared)
    return [
        ("broker", connection.as_uri()),
        ("delivery", "at least once; a message is acked after its callback's verdict was carried out"),
        *_promises(transport.capabilities),
        *((f"consumes {spec.queue.name}", _consumer(spec)) for spec in specs),
        *(("callback", _callback(route)) for route in registry.routes),
    ]


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
