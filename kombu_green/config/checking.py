"""What must fit together across sections, as far as it can be known without the application and the broker."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from kombu_green.config.problems import Problem
from kombu_green.config.settings import ConsumerSettings, QueueSettings, Settings
from kombu_green.suggestions import did_you_mean

__all__ = ["check"]


def check(settings: Settings) -> list[Problem]:
    """Every dangling or contradictory reference between the sections of *settings*."""
    problems = [*_whole(settings)]
    for queue in settings.queues.values():
        problems += _queue(settings, queue)
    for consumer in settings.consumers.values():
        problems += _consumer(settings, consumer)
    for first, second in combinations(settings.consumers.values(), 2):
        problems += _both(settings, first, second)
    return problems


def _whole(settings: Settings) -> Iterator[Problem]:
    if ("broker", "") not in settings.origins:
        yield settings.problem("broker", "url", "is missing: add [broker] with url = the broker's address")
    if not settings.consumers and settings.worker.app is None:
        yield settings.problem("", "", "nothing to do: add a [consumer:NAME] with queue and callback")


def _queue(settings: Settings, queue: QueueSettings) -> Iterator[Problem]:
    title = f"queue:{queue.name}"
    if queue.exchange is not None and queue.exchange not in settings.exchanges:
        yield settings.problem(
            title,
            "exchange",
            f"no [exchange:{queue.exchange}] describes it{did_you_mean(queue.exchange, settings.exchanges)}",
        )
    if queue.routing_key is not None and queue.exchange is None:
        yield settings.problem(
            title,
            "routing_key",
            "needs an exchange: the nameless one knows a queue by its own name only",
        )


def _consumer(settings: Settings, consumer: ConsumerSettings) -> Iterator[Problem]:
    title = f"consumer:{consumer.name}"
    if consumer.retry is not None and consumer.retry not in settings.retries:
        yield settings.problem(
            title, "retry", f"no [retry:{consumer.retry}] describes it{did_you_mean(consumer.retry, settings.retries)}"
        )
    if consumer.callback is None and settings.worker.app is None:
        yield settings.problem(title, "callback", "is missing: give a callback here, or [worker] app = module:name")
    if consumer.callback is not None and settings.worker.app is not None:
        yield settings.problem(title, "callback", "[worker] app brings the callbacks already: leave out one of the two")


def _both(settings: Settings, first: ConsumerSettings, second: ConsumerSettings) -> Iterator[Problem]:
    for queue in first.queues:
        if queue in second.queues:
            yield settings.problem(
                f"consumer:{second.name}", "queue", f"[consumer:{first.name}] takes the messages of {queue!r} already"
            )
