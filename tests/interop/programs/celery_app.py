"""A Celery application: its worker, and whoever sends it tasks."""

from __future__ import annotations

import os

from celery import Celery

app = Celery("shop", broker=os.environ["BROKER"])
app.conf.update(
    task_default_queue=os.environ["TASKS"],
    task_ignore_result=True,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
)


@app.task(name="shop.note")  # type: ignore[untyped-decorator]  # celery has no types
def note(file: str, *, words: str) -> None:
    with open(file, "a") as journal:
        journal.write(words + "\n")
