"""Celery's tasks of the workloads that run a whole worker."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

app = Celery("load", broker=os.environ["BENCH_BROKER"])
app.conf.update(
    task_default_queue="load-celery",
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    task_acks_late=True,  # as all others here: done first, acked then
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="handle")  # type: ignore[untyped-decorator]  # it has no types
def handle(body: Any) -> None:
    from benchmarks.applications import counting

    counting.handle(body, None)


@app.task(name="wait")  # type: ignore[untyped-decorator]
def wait(body: Any) -> None:
    from benchmarks.applications import counting

    counting.wait(body, None)
