"""dramatiq's actors of the workloads that run a whole worker."""

from __future__ import annotations

import os
from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

broker = RabbitmqBroker(url=os.environ["BENCH_BROKER"], confirm_delivery=os.environ.get("BENCH_CONFIRM") == "yes")
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="load-dramatiq")  # type: ignore[untyped-decorator]  # not in the lock
def handle(body: Any) -> None:
    from benchmarks.applications import counting

    counting.handle(body, None)


@dramatiq.actor(queue_name="load-dramatiq")  # type: ignore[untyped-decorator]  # not in the lock
def wait(body: Any) -> None:
    from benchmarks.applications import counting

    counting.wait(body, None)
